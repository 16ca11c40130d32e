// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What can come between: memory that runs out at each allocation of a fault, and others who zap, move, log
 * or rewrite tables while a fault is under way. Each time the machine must be whole and the access made in
 * the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/faultlab.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define GFN 0x1234u
#define GPA ((u64)GFN << 12)
#define POOL_GFN 0x1000
#define POOL_PAGES 256
#define PT_BITS 0x67ULL /* P W U A D */
#define PT_UPPER 0x27ULL
#define EPT_BITS 0x337ULL /* RWX WB A D */
#define EPT_UPPER 0x107ULL

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

#define DEV_GFN 0x80000u /* no slot there */
#define DEV ((u64)DEV_GFN << 12)

static void take_log(struct lab *lab)
{
	static u64 bitmap[LAB_PAGES / 64];

	assert_int_equal(ms_machine_log_get(lab->mm, 0, 0, bitmap), 0);
}

/* --- memory runs out --- */

struct story {
	const char *name;
	bool tdp, nested;
	enum nmmu_gpt kind;
	u32 levels, guest_level, host_level;
	struct nmmu_regs regs;
};

#define PG (LAB_CR0_PE | LAB_CR0_PG | LAB_CR0_WP)

static const struct story stories[] = {
	{ "direct", true, false, NMMU_GPT_NONE, 0, 1, 1, { 0 } },
	{ "direct huge", true, false, NMMU_GPT_NONE, 0, 1, 2, { 0 } },
	{ "ept", true, true, NMMU_GPT_EPT, 4, 1, 1, { 0 } },
	{ "ept, large", true, true, NMMU_GPT_EPT, 4, 2, 1, { 0 } },
	{ "npt", true, true, NMMU_GPT_64, 4, 1, 1, { .cr0 = PG, .cr4 = LAB_CR4_PAE, .efer = LAB_EFER_LME } },
	{ "npt pae", true, true, NMMU_GPT_PAE, 3, 2, 2, { .cr0 = PG, .cr4 = LAB_CR4_PAE } },
	{ "npt 32", true, true, NMMU_GPT_32, 2, 1, 1, { .cr0 = PG } },
	{ "shadow 64",
	  false,
	  false,
	  NMMU_GPT_64,
	  4,
	  1,
	  1,
	  { .cr0 = PG, .cr4 = LAB_CR4_PAE, .efer = LAB_EFER_LME } },
	{ "shadow pae", false, false, NMMU_GPT_PAE, 3, 2, 1, { .cr0 = PG, .cr4 = LAB_CR4_PAE } },
	{ "shadow 32", false, false, NMMU_GPT_32, 2, 1, 1, { .cr0 = PG } },
};

/* Builds the machine up to the access; the guest's tables are there, nothing is shadowed. */
static struct ms_tables *set_stage(struct lab *lab, const struct story *s, enum nmmu_kernel kernel)
{
	bool ept_tables = s->kind == NMMU_GPT_EPT, svm = s->kind != NMMU_GPT_EPT && s->kind != NMMU_GPT_NONE;
	struct nmmu_config cfg = lab_config(svm, kernel);
	struct nmmu_regs regs = s->regs;
	struct ms_tables *t = NULL;

	cfg.tdp = s->tdp;
	lab_init(lab, &cfg, s->host_level);
	if (s->kind != NMMU_GPT_NONE) {
		lab_ok(ms_tables_create(lab->mm, s->kind, s->levels, POOL_GFN, POOL_PAGES, &t));
		lab_map(t, 0x600000, 0x8000, s->guest_level, ept_tables ? EPT_BITS : PT_BITS,
			ept_tables ? EPT_UPPER : PT_UPPER);
		if (s->guest_level == 1)
			lab_map(t, 0x601000, 0x8300, 1, ept_tables ? EPT_BITS : PT_BITS,
				ept_tables ? EPT_UPPER : PT_UPPER);
	}
	if (!s->tdp)
		regs.cr3 = ms_tables_root_gfn(t) << 12;
	/* L1 of a nested story needs no tables of its own: it never runs. */
	if (s->nested && s->kind == NMMU_GPT_PAE)
		regs.cr3 = (POOL_GFN + POOL_PAGES) << 12;
	if (regs.cr0)
		assert_int_equal(ms_machine_set_regs(lab->mm, 0, &regs), 0);
	if (s->nested)
		lab_enter(lab, t, ept_tables, true);
	return t;
}

static void no_memory(void **state)
{
	u32 i, k;
	u64 after;

	(void)state;
	for (i = 0; i < NR(stories); i++)
		for (k = 0; k < 2; k++) {
			u32 failures = 0;

			for (after = 1; after < 110; after++) {
				struct nmmu_access access = {
					.gva = 0x600000, .bytes = 8, .write = true, .value = 3
				};
				struct ms_tables *t;
				struct ms_run run;
				struct lab lab;

				t = set_stage(&lab, &stories[i], kernels[k]);
				ms_machine_fail_alloc(lab.mm, after);
				ms_machine_access(lab.mm, 0, &access, &run);
				ms_machine_fail_alloc(lab.mm, 0);
				if (run.error) {
					assert_int_equal(run.error, -ENOMEM);
					failures++;
				} else {
					assert_int_equal(run.action, NMMU_ACT_DONE);
				}
				lab_check(&lab);
				/* It is tried again, and works. */
				run = lab_access(&lab, 0x600000, "w", 4);
				assert_int_equal(run.error, 0);
				assert_int_equal(run.action, NMMU_ACT_DONE);
				assert_false(run.emulated);
				if (stories[i].kind != NMMU_GPT_NONE)
					assert_int_equal(lab_peek(&lab, 0x8000000), 4);
				ms_tables_destroy(t);
				lab_deinit(&lab);
			}
			if (failures < 10)
				fail_msg("%s: only %u allocations failed", stories[i].name, failures);
		}
}

/* --- others in the middle of a fault --- */

struct intrusion {
	enum nmmu_point point;
	u32 skip; /* that many times at the point first */
	void (*act)(struct lab *lab);
	struct ms_tables *t; /* with a leaf of level 1, or NULL */
	bool done, changed;
};

static void intrude(struct lab *lab, enum nmmu_point point)
{
	struct intrusion *in = lab->ctx;

	if (in->done || point != in->point || in->skip--)
		return;
	in->done = true;
	lab->on_yield = NULL;
	in->act(lab);
	lab->on_yield = intrude;
}

static void act_zap_all(struct lab *lab)
{
	nmmu_zap_all(lab->m);
}

static void act_migrate(struct lab *lab)
{
	ms_machine_migrate(lab->mm, LAB_SLOT_HVA + 0x8000000, 4096);
}

static void act_slot_away(struct lab *lab)
{
	assert_int_equal(nmmu_slot_set(lab->m, 0, 0, 0, 0, 0, 0), 0);
	lab_set_slot_flags(lab, 0);
}

static void act_log(struct lab *lab)
{
	lab_set_slot_flags(lab, MS_SLOT_LOG_DIRTY);
}

/*
 * The guest's leaf entry says another page. Not once it is shadowed, for then the guest would have had to
 * fault to change it.
 */
static void act_gpte(struct lab *lab)
{
	struct intrusion *in = lab->ctx;
	u64 entry, bits;

	if (!in->t || spte_is_mmu_present(&lab->m->profile, lab_leaf(lab, 0x600000, NULL)))
		return;
	entry = ms_tables_entry(in->t, 0x600000, 1);
	if (entry == ~0ULL)
		return;
	bits = lab_peek(lab, entry & ~7ULL) & 0xfff;
	in->changed = !(entry & 4);
	if (in->changed)
		lab_poke(lab, entry, 0x8001000 | bits, 4);
}

/*
 * Whatever happens at whichever point, the access is made in the end, on the page that is there then, and
 * the machine is whole.
 */
static void intruders(void **state)
{
	static void (*const acts[])(struct lab *) = { act_zap_all, act_migrate, act_slot_away, act_log,
						      act_gpte };
	static const enum nmmu_point points[] = { NMMU_POINT_LOCK, NMMU_POINT_PFN_RESOLVED,
						  NMMU_POINT_UNLOCK };
	u32 i, k, a, n, skip, happened = 0, warm;

	(void)state;
	for (i = 0; i < NR(stories); i++)
		for (k = 0; k < 2; k++)
			for (a = 0; a < NR(acts); a++)
				for (n = 0; n < NR(points); n++)
					for (skip = 0; skip < 4; skip++)
						for (warm = 0; warm < 2; warm++) {
							struct intrusion in = { .point = points[n],
										.skip = skip,
										.act = acts[a] };
							struct ms_run run;
							struct lab lab;
							struct ms_tables *t;
							u64 where, gfn;

							t = set_stage(&lab, &stories[i], kernels[k]);
							in.t = stories[i].guest_level == 1 ? t : NULL;
							if (warm)
								lab_access(&lab, 0x601000, "r", 0);
							lab.ctx = &in;
							lab.on_yield = intrude;
							run = lab_access(&lab, 0x600000, "w", 0x4242);
							lab.on_yield = NULL;
							assert_int_equal(run.error, 0);
							happened += in.done;
							lab_check(&lab);
							where = lab_leaf(&lab, 0x600000, NULL);
							assert_int_equal(run.action, NMMU_ACT_DONE);
							/*
							 * Once more, after a flush: the guest may have been
							 * changing its tables.
							 */
							ms_machine_invlpg(lab.mm, 0, 0x600000);
							nmmu_invept(lab.v, true, 0);
							nmmu_flush_all(lab.m, MS_CAUSE_INVEPT, false);
							run = lab_access(&lab, 0x600000, "w", 0x4343);
							assert_int_equal(run.action, NMMU_ACT_DONE);
							where = lab_leaf(&lab, 0x600000, NULL);
							gfn = stories[i].kind == NMMU_GPT_NONE ? 0x600
											       : 0x8000;
							if (in.changed)
								gfn = 0x8001;
							{
								if (lab_peek(&lab, gfn << 12) != 0x4343)
									fail_msg(
										"%s, kernel %u, act %u at point %u after %u, warm %u: the write went elsewhere",
										stories[i].name, k, a, n,
										skip, warm);
								assert_int_equal(
									spte_pfn(&lab.m->profile, where),
									stories[i].host_level > 1 &&
											(where & SPTE_HW_HUGE)
										? lab_pfn(&lab, gfn) & ~511ULL
										: lab_pfn(&lab, gfn));
							}
							ms_tables_destroy(t);
							lab_deinit(&lab);
						}
	if (happened < 900)
		fail_msg("only %u intrusions", happened);
}

/*
 * A lock-free fault has read an entry whose page then goes: the page stays until it is done, and nothing is
 * mended in it.
 */
static void fast_and_zapped(void **state)
{
	static void (*const acts[])(struct lab *) = { act_zap_all, act_slot_away };
	static const enum nmmu_point points[] = { NMMU_POINT_FAST_READ, NMMU_POINT_FAST_CMPXCHG };
	u32 k, a, n;

	(void)state;
	for (k = 0; k < 2; k++)
		for (a = 0; a < 2; a++)
			for (n = 0; n < 2; n++) {
				struct nmmu_config cfg = lab_config(false, kernels[k]);
				struct intrusion in = { .point = points[n], .act = acts[a] };
				struct ms_run run;
				struct lab lab;

				lab_init(&lab, &cfg, 1);
				lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
				lab_access(&lab, GPA, "w", 1);
				take_log(&lab);
				lab.ctx = &in;
				lab.on_yield = intrude;
				run = lab_access(&lab, GPA, "w", 0x4444);
				lab.on_yield = NULL;
				assert_true(in.done);
				assert_int_equal(run.action, NMMU_ACT_DONE);
				assert_int_equal(lab_peek(&lab, GPA), 0x4444);
				assert_true(nmmu_link_empty(&lab.m->deferred));
				assert_int_equal(lab.m->lockless_walkers, 0);
				lab_deinit(&lab);
			}
}

/* A slot comes where a fault has found none: no device's entry must pass for current. */
static void act_slot_comes(struct lab *lab)
{
	assert_int_equal(nmmu_slot_set(lab->m, 0, 5, DEV_GFN, 1, LAB_HVA, 0), 0);
}

static void mmio_and_slot(void **state)
{
	u32 k, skip;

	(void)state;
	for (k = 0; k < 2; k++)
		for (skip = 0; skip < 2; skip++) {
			struct nmmu_config cfg = lab_config(false, kernels[k]);
			struct intrusion in = { .point = NMMU_POINT_LOCK,
						.skip = skip,
						.act = act_slot_comes };
			struct ms_run run;
			struct lab lab;

			lab_init(&lab, &cfg, 1);
			lab_ok(ms_machine_map(lab.mm, LAB_HVA, 4096, 1, true));
			lab_access(&lab, GPA, "r", 0);
			lab.ctx = &in;
			lab.on_yield = intrude;
			run = lab_access(&lab, DEV, "w", 0x45);
			lab.on_yield = NULL;
			assert_int_equal(in.done, skip < 1);
			assert_int_equal(run.action, skip < 1 ? NMMU_ACT_DONE : NMMU_ACT_MMIO);
			lab_deinit(&lab);
		}
}

/* --- who excludes whom --- */

static u32 nr_pages(struct lab *lab)
{
	const struct nmmu_link *link;
	u32 nr = 0;

	for (link = lab->m->active_pages.next; link != &lab->m->active_pages; link = link->next)
		nr++;
	return nr;
}

/*
 * Two who zap everything: pages that the first has made obsolete do not come back with the second's
 * generation.
 */
static void zap_all_twice(void **state)
{
	u32 k, i;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		struct intrusion in = { .point = NMMU_POINT_UNLOCK, .act = act_zap_all };
		struct lab lab;

		lab_init(&lab, &cfg, 1);
		for (i = 0; i < 40; i++)
			lab_access(&lab, (u64)i << 21, "w", 1);
		assert_true(nr_pages(&lab) > 40);
		lab.ctx = &in;
		lab.on_yield = intrude;
		nmmu_zap_all(lab.m);
		lab.on_yield = NULL;
		assert_true(in.done);
		assert_int_equal(nr_pages(&lab), 0);
		lab_deinit(&lab);
	}
}

static void act_slot_gone(struct lab *lab)
{
	assert_int_equal(nmmu_slot_set(lab->m, 0, 0, 0, 0, 0, 0), 0);
}

/*
 * The slot of its tables goes while a root is made: the new root is not left behind, counted in memory that
 * is gone.
 */
static void root_and_slot(void **state)
{
	static const struct story *const s = &stories[7];
	struct nmmu_entry entry;
	u32 k, happened = 0;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct intrusion in = { .point = NMMU_POINT_LOCK, .act = act_slot_gone };
		struct ms_tables *t;
		struct lab lab;

		t = set_stage(&lab, s, kernels[k]);
		lab_access(&lab, 0x600000, "r", 0);
		nmmu_root_free(lab.v, lab.v->mmu, true, NMMU_PREV_ROOTS, MS_CAUSE_ROLE);
		lab.ctx = &in;
		lab.on_yield = intrude;
		assert_int_equal(nmmu_vcpu_load(lab.v, &entry), k ? 0 : -EIO);
		lab.on_yield = NULL;
		happened += in.done;
		assert_int_equal(nmmu_slot_set(lab.m, 0, 0, 0, LAB_PAGES, LAB_SLOT_HVA, 0), 0);
		lab_check(&lab);
		assert_int_equal(lab_access(&lab, 0x600000, "w", 4).action, NMMU_ACT_DONE);
		assert_int_equal(lab_peek(&lab, 0x8000000), 4);
		ms_tables_destroy(t);
		lab_deinit(&lab);
	}
	assert_int_equal(happened, 2);
}

/*
 * The same for a table on the way of a fault, in the part of a slot's end that a fault can see without being
 * stale.
 */
static u32 indirect_before;

static void slot_goes(struct lab *lab, enum nmmu_point point)
{
	struct intrusion *in = lab->ctx;
	struct nmmu_slot *slot = nmmu_slot_by_id(lab->m, 0, 1);

	if (point == NMMU_POINT_LOCK && !in->done) {
		in->done = true;
		indirect_before = lab->m->nr_indirect;
		slot->flags |= MS_SLOT_INVALID;
	} else if (point == NMMU_POINT_UNLOCK && slot->flags & MS_SLOT_INVALID) {
		in->changed = lab->m->nr_indirect != indirect_before;
		slot->flags &= ~MS_SLOT_INVALID;
	}
}

static void table_and_slot(void **state)
{
	static const struct {
		u64 gfn, pages;
	} parts[] = { { 0, POOL_GFN + 1 },
		      { POOL_GFN + 1, POOL_PAGES - 1 },
		      { POOL_GFN + POOL_PAGES, LAB_PAGES - POOL_GFN - POOL_PAGES } };
	u32 k, i;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct intrusion in = { .point = NMMU_POINT_LOCK };
		struct nmmu_entry entry;
		struct ms_tables *t;
		struct lab lab;

		t = set_stage(&lab, &stories[7], kernels[k]);
		/* The root's table has a slot of its own. */
		act_slot_gone(&lab);
		for (i = 0; i < NR(parts); i++)
			assert_int_equal(nmmu_slot_set(lab.m, 0, (u16)i, parts[i].gfn, parts[i].pages,
						       LAB_SLOT_HVA + (parts[i].gfn << 12), 0),
					 0);
		assert_int_equal(nmmu_vcpu_load(lab.v, &entry), 0);
		lab.ctx = &in;
		lab.on_yield = slot_goes;
		lab_access(&lab, 0x600000, "w", 4);
		lab.on_yield = NULL;
		assert_true(in.done);
		assert_false(in.changed);
		assert_int_equal(lab_peek(&lab, 0x8000000), 4);
		ms_tables_destroy(t);
		lab_deinit(&lab);
	}
}

static void has_reader(struct lab *lab, const struct ms_event *event)
{
	if (event->id == MS_EV_dirty && !nmmu_read64(&lab->m->readers))
		fail_msg("a slot is used that may be freed");
}

/* Userspace and devices who look slots up hold them, as vCPUs do. */
static void slots_are_held(void **state)
{
	struct nmmu_config cfg = lab_config(false, NMMU_6_12);
	struct lab lab;
	u64 value = 3;

	(void)state;
	cfg.pml = true;
	lab_init(&lab, &cfg, 1);
	lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
	lab.on_event = has_reader;
	assert_int_equal(nmmu_host_write(lab.m, GPA, &value, 8), 0);
	assert_int_equal(lab.events[MS_EV_dirty], 1);
	lab_access(&lab, GPA + 0x1000, "r", 0);
	lab_access(&lab, GPA + 0x1000, "w", 1);
	take_log(&lab);
	lab_access(&lab, GPA + 0x1000, "w", 1);
	take_log(&lab);
	assert_true(lab.events[MS_EV_pml_drain] > 0);
	lab_deinit(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_memory),	   cmocka_unit_test(intruders),
		cmocka_unit_test(fast_and_zapped), cmocka_unit_test(mmio_and_slot),
		cmocka_unit_test(zap_all_twice),   cmocka_unit_test(root_and_slot),
		cmocka_unit_test(table_and_slot),  cmocka_unit_test(slots_are_held),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
