/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every schedule of two actions, and of three where it takes that: the lock-free fast page fault against a
 * log that is read or cleared, against write protection for a new shadow page, against zapping. Judged by
 * what a migration, L1 or the host would see. The number of schedules is printed; mutants show that a
 * schedule which breaks something is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scenario/machine.h"
#include "scenario/sched.h"

#define HVA 0x7f0000000000ULL
#define RAM_PAGES 64u
#define PAGE_GFN 9u
#define PAGE_GPA ((u64)PAGE_GFN << 12)
#define SECOND_GPA (PAGE_GPA + 8) /* what the second vCPU writes to the same page */
#define POINT(id) (1u << NMMU_POINT_##id)

/* All that matters for two; a lock given back is the same as the next one waited for. */
#define POINTS_TWO (MS_SCHED_ALL_POINTS & ~POINT(UNLOCK))

#define OK(call) assert_null(call)

struct world {
	struct ms_sched *sched;
	struct ms_machine *machine;
	struct nmmu *m;
	u32 vcpu[2];
	/* Migration: what the other side has. */
	u64 copy, second_copy;
	bool manual;
	/* Zapping. */
	bool gone; /* the host, or the VMM, has finished */
	u64 kept; /* last value whose write began after that */
	bool written_after, device_after;
	int error;
	const char *broken;
};

static struct world w;

static struct nmmu_config base_config(void)
{
	return (struct nmmu_config){ .hv = MS_HV_VMX,
				     .tdp = true,
				     .ad = true,
				     .mmio_caching = true,
				     .phys_bits = 46,
				     .guest_phys_bits = 46 };
}

static bool is_deep(void)
{
	const char *deep = getenv("MMUSCOPE_DEEP");

	return deep && *deep == '1';
}

static void broken(const char *text)
{
	if (!w.broken)
		w.broken = text;
}

/* While the host takes pages away, or the VMM a slot, faults only try again: let them go on. */
static void yield(void *ctx, enum nmmu_point point)
{
	const struct nmmu_slot *slot = w.m ? w.m->as[0].first : NULL;

	if (point == NMMU_POINT_ENTER && slot &&
	    (w.m->invalidate_in_progress || slot->flags & MS_SLOT_INVALID))
		ms_sched_pause(ctx, point);
	else
		ms_sched_yield(ctx, point);
}

static void world_make(const struct nmmu_config *config)
{
	struct ms_machine_opts opts = { .config = *config,
					.seed = 5,
					.yield = yield,
					.lock = ms_sched_lock,
					.unlock = ms_sched_unlock,
					.yield_ctx = w.sched };

	OK(ms_machine_create(&opts, &w.machine));
	w.m = ms_machine_nmmu(w.machine);
	OK(ms_machine_map(w.machine, HVA, (u64)RAM_PAGES << 12, 1, true));
	assert_int_equal(nmmu_slot_set(w.m, 0, 0, 0, RAM_PAGES, HVA, 0), 0);
	OK(ms_machine_add_vcpu(w.machine, &w.vcpu[0]));
	OK(ms_machine_add_vcpu(w.machine, &w.vcpu[1]));
	w.gone = w.written_after = w.device_after = false;
	w.kept = 0;
	w.error = 0;
	w.broken = NULL;
}

static void world_free(void)
{
	const struct nmmu_sp *sp;
	const char *text = NULL;

	if (nmmu_self_check(w.m, &text, &sp))
		broken(text);
	if (ms_machine_misuse(w.machine))
		broken(ms_machine_misuse(w.machine));
	ms_machine_destroy(w.machine);
	w.machine = NULL;
	w.m = NULL;
}

static struct ms_run run(u32 vcpu, u64 gva, bool write, u64 value)
{
	struct nmmu_access a = { .gva = gva, .bytes = 8, .write = write, .value = value };
	struct ms_run ret;

	ms_machine_access(w.machine, w.vcpu[vcpu], &a, &ret);
	if (ret.error == -EFAULT && ret.pa)
		broken("the CPU reached a frame that is gone");
	else if (ret.error)
		broken("an access ended with an error");
	if (ret.stuck)
		broken("an access did not end");
	return ret;
}

static u64 peek(u64 gpa)
{
	u64 value = 0;

	if (ms_machine_peek(w.machine, gpa, &value, 8))
		broken("no memory");
	return value;
}

/* Runs all schedules of an experiment; returns how many were broken, and prints the first. */
struct experiment {
	const char *name;
	struct nmmu_config config;
	u32 points;
	void (*prepare)(void);
	void (*action[3])(void *arg);
	void (*judge)(void);
	bool manual;
};

static u64 explore(const struct experiment *e)
{
	u64 bad = 0;

	ms_sched_explore(w.sched, e->points);
	do {
		w.manual = e->manual;
		world_make(&e->config);
		e->prepare();
		for (u32 i = 0; i < 3 && e->action[i]; i++)
			assert_int_equal(ms_sched_add(w.sched, e->action[i], NULL), 0);
		if (ms_sched_run(w.sched))
			broken("deadlock");
		e->judge();
		world_free();
		if (w.broken && !bad++)
			printf("# %s%s: %s: %s\n", e->name,
			       e->config.mutant || e->config.bugs ? " (broken on purpose)" : "", w.broken,
			       ms_sched_text(w.sched));
	} while (ms_sched_next(w.sched) && (!bad || !(e->config.mutant || e->config.bugs)));
	printf("# ! %s: %llu schedules%s\n", e->name, (unsigned long long)ms_sched_nr(w.sched),
	       bad ? ", broken" : "");
	return bad;
}

static int setup(void **state)
{
	struct ms_err *err = ms_sched_create(&w.sched);

	return err ? -1 : 0;
}

static int teardown(void **state)
{
	ms_sched_destroy(w.sched);
	return 0;
}

/* --- the log --- */

static void copy_page(void)
{
	w.copy = peek(PAGE_GPA);
	w.second_copy = peek(SECOND_GPA);
}

/* The page is logged, known to the other side, and protected: the next write takes the fast path. */
static void log_prepare(void)
{
	u64 bits = 0;

	assert_int_equal(nmmu_log_mode(w.m, w.manual ? NMMU_LOG_MANUAL : 0), 0);
	run(0, PAGE_GPA, true, 1);
	assert_int_equal(nmmu_slot_set(w.m, 0, 0, 0, RAM_PAGES, HVA, MS_SLOT_LOG_DIRTY), 0);
	run(0, PAGE_GPA, true, 2);
	assert_int_equal(ms_machine_log_get(w.machine, 0, 0, &bits), 0);
	assert_int_equal(bits >> PAGE_GFN & 1, 1);
	if (w.manual)
		assert_int_equal(nmmu_log_clear(w.m, 0, 0, 0, RAM_PAGES, &bits), 0);
	copy_page();
	assert_int_equal(w.copy, 2);
}

/* As above, and access-tracked: a read gives R and X back without the lock too. */
static void log_prepare_tracked(void)
{
	log_prepare();
	assert_true(nmmu_age(w.m, HVA, HVA + ((u64)RAM_PAGES << 12)));
}

static void two_writes(void *arg)
{
	run(0, PAGE_GPA, true, 3);
	run(0, PAGE_GPA, true, 4);
}

static void one_write(void *arg)
{
	run(0, PAGE_GPA, true, 3);
}

static void read_and_write(void *arg)
{
	run(0, PAGE_GPA, false, 0);
	run(0, PAGE_GPA, true, 3);
}

static void other_write(void *arg)
{
	run(1, SECOND_GPA, true, 5);
}

/* One round of a migration. */
static void log_round(void *arg)
{
	u64 bits = 0;

	if (ms_machine_log_get(w.machine, 0, 0, &bits))
		broken("the log cannot be read");
	if (w.manual && nmmu_log_clear(w.m, 0, 0, 0, RAM_PAGES, &bits))
		broken("the log cannot be cleared");
	if (bits >> PAGE_GFN & 1)
		copy_page();
}

/* The last round, with all vCPUs stopped: then both sides must agree. */
static void log_judge(void)
{
	log_round(NULL);
	if (w.copy != peek(PAGE_GPA) || w.second_copy != peek(SECOND_GPA))
		broken("a write is in no log");
}

static const struct experiment log_experiment = {
	.name = "fast fault, log read",
	.points = POINTS_TWO,
	.prepare = log_prepare,
	.action = { two_writes, log_round },
	.judge = log_judge,
};

static void fast_fault_and_log(void **state)
{
	for (u32 i = 0; i < 8; i++) {
		struct experiment e = log_experiment;
		char name[80];

		e.config = base_config();
		e.config.kernel = i & 1 ? NMMU_6_12 : NMMU_6_1;
		e.config.ad = !(i & 2);
		e.manual = i & 4;
		snprintf(name, sizeof(name), "fast fault, log %s, %s%s", e.manual ? "cleared" : "read",
			 i & 1 ? "6.12" : "6.1", e.config.ad ? "" : ", no A/D");
		e.name = name;
		assert_int_equal(explore(&e), 0);
	}
}

static void fast_fault_with_pml(void **state)
{
	struct experiment e = log_experiment;

	/* No fault at all: the CPU logs, and the flush makes it log again. */
	e.name = "PML, log read";
	e.config = base_config();
	e.config.pml = true;
	assert_int_equal(explore(&e), 0);
}

static void access_tracked(void **state)
{
	struct experiment e = log_experiment;

	e.name = "access-tracked, log read";
	e.config = base_config();
	e.config.ad = false;
	e.prepare = log_prepare_tracked;
	e.action[0] = read_and_write;
	assert_int_equal(explore(&e), 0);
}

static void two_writers(void **state)
{
	struct experiment e = log_experiment;

	e.name = "two fast faults, log read";
	e.config = base_config();
	/* Three actions: only where they touch the SPTE and the bitmap. */
	e.points = POINT(FAST_READ) | POINT(FAST_CMPXCHG) | POINT(CLEAR_DIRTY) | POINT(FLUSH);
	if (is_deep())
		e.points |= POINT(ENTER) | POINT(SPTE_READ);
	e.action[0] = one_write;
	e.action[1] = other_write;
	e.action[2] = log_round;
	assert_int_equal(explore(&e), 0);
}

/* --- a new shadow page at the gfn --- */

#define NESTED_POOL 16u
#define NGPA 0x5000ULL

static u64 edited_entry; /* GPA of the entry that L1 changes */
static u64 edited_value;
static struct nmmu_nested nested;

/* EPT12 maps NGPA to page 9; L1 will make it page 10, in the last table or in the one above. */
static void shadow_build(u32 level)
{
	struct ms_tables *t;
	u64 other;

	log_prepare();
	OK(ms_tables_create(w.machine, NMMU_GPT_EPT, 4, NESTED_POOL, 8, &t));
	OK(ms_tables_map(t, NGPA, PAGE_GFN, 1, 0x337, 0x107));
	nested = (struct nmmu_nested){ .kind = NMMU_NESTED_EPT,
				       .root = ms_tables_root_gfn(t) << 12 | 0x5e,
				       .l2 = { .cr0 = 1 } };
	edited_entry = ms_tables_entry(t, NGPA, level);
	edited_value = (u64)(PAGE_GFN + 1) << 12 | 0x337;
	if (level == 2) {
		/* Another last table, with the other page. */
		other = (NESTED_POOL + 7) << 12;
		assert_int_equal(ms_machine_poke(w.machine, other + (NGPA >> 12) * 8, &edited_value, 8), 0);
		edited_value = other | 0x107;
	}
	ms_tables_destroy(t);
	/* L1 has the table mapped and logged: MMU-writable without W, and once more cached writable. */
	run(0, edited_entry, true, peek(edited_entry));
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(w.machine, w.vcpu[1]), &nested), 0);
}

static void shadow_prepare_1(void)
{
	shadow_build(1);
}

static void shadow_prepare_2(void)
{
	shadow_build(2);
}

static void l1_edits(void *arg)
{
	run(0, edited_entry, true, edited_value);
}

static void l2_reads(void *arg)
{
	run(1, NGPA, false, 0);
}

static void log_only(void *arg)
{
	u64 bits = 0;

	if (ms_machine_log_get(w.machine, 0, 0, &bits))
		broken("the log cannot be read");
}

/* L1 has changed its table; when it has flushed, L2 must be on the new page. */
static void shadow_judge(void)
{
	struct nmmu_vcpu *v = ms_machine_vcpu(w.machine, w.vcpu[1]);
	struct ms_run r;

	if (peek(edited_entry) != edited_value)
		broken("L1's edit is lost");
	if (nmmu_invept(v, true, 0))
		broken("INVEPT");
	r = run(1, NGPA, false, 0);
	if (r.action != NMMU_ACT_DONE || r.pa != ms_machine_pfn(w.machine, HVA + ((u64)(PAGE_GFN + 1) << 12))
							 << 12)
		broken("L2 is on the old page after INVEPT");
}

static void new_shadow_page(void **state)
{
	for (u32 i = 0; i < 4; i++) {
		struct experiment e = {
			.name = i & 1 ? "fast fault, new shadow page of level 2"
				      : "fast fault, new shadow page of level 1",
			.config = base_config(),
			.points = POINT(ENTER) | POINT(LOCK) | POINT(FAST_READ) | POINT(FAST_CMPXCHG) |
				  POINT(PFN_RESOLVED) | POINT(FLUSH) | POINT(GPTE_STORED),
			.prepare = i & 1 ? shadow_prepare_2 : shadow_prepare_1,
			.action = { l1_edits, l2_reads },
			.judge = shadow_judge,
		};

		e.config.kernel = i & 2 ? NMMU_6_12 : NMMU_6_1;
		assert_int_equal(explore(&e), 0);
	}
}

/*
 * SEMANTICS I 22: the log has taken W away and not yet flushed; the new page finds nothing to take but M, and
 * must flush all the same, for L1's CPU still has the translation.
 */
static void shadow_page_while_log_is_read(void **state)
{
	for (u32 i = 0; i < 2; i++) {
		struct experiment e = {
			.name = i ? "shadow page of level 2 and a log being read"
				  : "shadow page of level 1 and a log being read",
			.config = base_config(),
			.points = POINT(ENTER) | POINT(CLEAR_DIRTY) | POINT(PFN_RESOLVED) | POINT(FLUSH) |
				  POINT(FAST_CMPXCHG),
			.prepare = i ? shadow_prepare_2 : shadow_prepare_1,
			.action = { l1_edits, l2_reads, log_only },
			.judge = shadow_judge,
		};

		assert_int_equal(explore(&e), 0);
		if (i) {
			e.config.bugs = 1u << NMMU_BUG_NO_FLUSH;
			assert_int_not_equal(explore(&e), 0);
		}
	}
}

/* --- zapping --- */

static void zap_prepare(void)
{
	run(0, PAGE_GPA, true, 1);
}

static void zap_prepare_unmapped(void)
{
	u64 value = 1;

	assert_int_equal(ms_machine_poke(w.machine, PAGE_GPA, &value, 8), 0);
}

/* Logged: the fast path is what races with the zap. */
static void zap_prepare_logged(void)
{
	log_prepare();
}

static void writes_and_tells(void *arg)
{
	for (u64 value = 3; value < 5; value++) {
		bool after = w.gone;
		struct ms_run r = run(0, PAGE_GPA, true, value);

		if (after && r.action == NMMU_ACT_DONE) {
			w.written_after = true;
			w.kept = value;
		}
		w.device_after |= after && r.action == NMMU_ACT_MMIO;
	}
}

static void host_discards(void *arg)
{
	ms_machine_discard(w.machine, HVA + PAGE_GPA, 4096);
	w.gone = true;
}

static void host_migrates(void *arg)
{
	ms_machine_migrate(w.machine, HVA + PAGE_GPA, 4096);
	w.gone = true;
}

static void slot_deleted(void *arg)
{
	if (nmmu_slot_set(w.m, 0, 0, 0, 0, HVA, 0))
		broken("the slot cannot be deleted");
	w.gone = true;
}

static void all_zapped(void *arg)
{
	nmmu_zap_all(w.m);
	w.gone = true;
}

static void zap_judge(void)
{
	if (w.device_after)
		broken("memory is taken for a device's");
	if (w.written_after && peek(PAGE_GPA) != w.kept)
		broken("a write went to the old frame");
}

static void migrate_judge(void)
{
	zap_judge();
	if (peek(PAGE_GPA) != 4)
		broken("a write is lost");
}

static void deleted_judge(void)
{
	if (w.written_after)
		broken("memory of a deleted slot was written");
}

/* name, prepared by, against, judged by */
#define ZAP_EXPERIMENTS(X)                                                                           \
	X("first fault, discard", zap_prepare_unmapped, host_discards, zap_judge)                    \
	X("fast fault, discard", zap_prepare_logged, host_discards, zap_judge)                       \
	X("fault, discard", zap_prepare, host_discards, zap_judge)                                   \
	X("first fault, migration of the frame", zap_prepare_unmapped, host_migrates, migrate_judge) \
	X("fast fault, migration of the frame", zap_prepare_logged, host_migrates, migrate_judge)    \
	X("first fault, slot deleted", zap_prepare_unmapped, slot_deleted, deleted_judge)            \
	X("fast fault, slot deleted", zap_prepare_logged, slot_deleted, deleted_judge)               \
	X("fast fault, everything zapped", zap_prepare_logged, all_zapped, migrate_judge)

static const struct experiment zap_experiments[] = {
#define X(n, p, a, j) { .name = n, .prepare = p, .action = { writes_and_tells, a }, .judge = j },
	ZAP_EXPERIMENTS(X)
#undef X
};

static void zapping(void **state)
{
	for (u32 i = 0; i < sizeof(zap_experiments) / sizeof(zap_experiments[0]) * 2; i++) {
		struct experiment e = zap_experiments[i / 2];

		e.config = base_config();
		e.config.kernel = i & 1 ? NMMU_6_12 : NMMU_6_1;
		e.points = POINT(ENTER) | POINT(FAST_READ) | POINT(FAST_CMPXCHG) | POINT(PFN_RESOLVED) |
			   POINT(FLUSH) | POINT(SLOTS_SWAP);
		/* Deleting a slot takes the lock many times, and a fault waits for it to end. */
		if (e.action[1] != slot_deleted)
			e.points |= POINT(LOCK) | POINT(SPTE_READ);
		assert_int_equal(explore(&e), 0);
	}
}

/* --- broken on purpose --- */

static void mutants_are_found(void **state)
{
	static const enum nmmu_mutant log_mutants[] = { NMMU_MUTANT_FAST_MARK_FIRST,
							NMMU_MUTANT_LOG_NO_FLUSH };
	struct experiment e;

	for (u32 i = 0; i < 2; i++) {
		e = log_experiment;
		e.config = base_config();
		e.config.mutant = log_mutants[i];
		assert_int_not_equal(explore(&e), 0);
	}
	for (u32 i = 0; i < 2; i++) {
		e = zap_experiments[i];
		e.config = base_config();
		e.config.mutant = i ? NMMU_MUTANT_BLIND_STORE : NMMU_MUTANT_NO_SEQ;
		e.points = POINTS_TWO;
		assert_int_not_equal(explore(&e), 0);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(fast_fault_and_log),
		T(fast_fault_with_pml),
		T(access_tracked),
		T(two_writers),
		T(new_shadow_page),
		T(shadow_page_while_log_is_read),
		T(zapping),
		T(mutants_are_found),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
