// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's events: each one of events.def is raised, with the right numbers in it, and each says on whose
 * behalf it happened: the innermost operation of causes.def. What the engine cannot raise stands in a list with
 * its reason, and is held to that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/event_desc.h"
#include "scenario/workload.h"
#include "tests/unit/nmmu_box.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define R NMMU_PF_U
#define W NMMU_PF_W
#define P NMMU_PF_P
#define I NMMU_PF_I
#define LOG MS_SLOT_LOG_DIRTY
#define DATA 0x1000000ULL /* GPAs from here on are data */
#define LARGE 0x1200000ULL /* 2 MiB aligned */
#define READ_ONLY (DATA + 0x100000)
#define TABLE (1ULL << 30) /* GVA of a guest table */
#define DEV 0x80000000ULL /* no slot there */

/* What is seen, over all tests: id by cause. The last test looks at it. */
static u32 seen[MS_EV_NR][MS_CAUSE_NR];

static const struct {
	u16 id;
	const char *why;
} never[] = {
	{ MS_EV_split, "the engine replaces huge pages by faults only: it splits none ahead of time" },
	{ MS_EV_write_track, "nobody outside asks the engine to track a frame" },
};

static const struct {
	u8 cause;
	const char *why;
} never_why[] = {
	{ MS_CAUSE_NONE, "the engine always knows" },
	{ MS_CAUSE_SPLIT, "as the event" },
	{ MS_CAUSE_WRITE_TRACK, "as the event" },
	{ MS_CAUSE_IOCTL, "what a VMM asks for has causes of its own" },
	{ MS_CAUSE_SHRINK, "the machine has no shrinker" },
};

/* Of one operation: what was raised, in order, and how often. */
#define KEPT 1024
struct got {
	struct ms_event event[KEPT];
	u32 nr;
};

static void note(const struct ms_event *event)
{
	assert_in_range(event->id, 1, MS_EV_NR - 1);
	assert_in_range(event->cause, 0, MS_CAUSE_NR - 1);
	if (!event->cause)
		fail_msg("event %u without a cause", event->id);
	assert_int_equal(event->stack, MS_EV_NO_STACK);
	assert_int_equal(event->guest != MS_EV_GUEST_UNKNOWN, event->vcpu != MS_EV_NO_VCPU);
	seen[event->id][event->cause]++;
}

static void box_event(struct box *b, const struct ms_event *event)
{
	struct got *got = b->ctx;

	note(event);
	if (got->nr < KEPT)
		got->event[got->nr] = *event;
	got->nr++;
}

static void listen(struct box *b, struct got *got)
{
	got->nr = 0;
	b->ctx = got;
	b->on_event = box_event;
}

static const char *name_of(u32 id)
{
	struct ms_event_desc desc;

	return ms_event_desc(id, &desc) ? desc.name : "?";
}

/* The nth event of this id and cause. */
static const struct ms_event *nth(const struct got *got, u32 id, enum ms_cause cause, u32 n)
{
	u32 i;

	assert_in_range(got->nr, 0, KEPT);
	for (i = 0; i < got->nr; i++)
		if (got->event[i].id == id && got->event[i].cause == cause && !n--)
			return &got->event[i];
	for (i = 0; i < got->nr; i++)
		print_error("%s by %s\n", name_of(got->event[i].id),
			    ms_value_name(MS_UNIT_CAUSE, got->event[i].cause));
	fail_msg("no %s by %s", name_of(id), ms_value_name(MS_UNIT_CAUSE, cause));
	return NULL;
}

#define the(got, name, cause) (&nth(got, MS_EV_##name, MS_CAUSE_##cause, 0)->u.name)
#define saw(got, name, cause) ((void)nth(got, MS_EV_##name, MS_CAUSE_##cause, 0))
#define the_nth(got, name, cause, n) (&nth(got, MS_EV_##name, MS_CAUSE_##cause, n)->u.name)

/* Nothing was raised but by these causes, 1 << MS_CAUSE_. */
static void only(const struct got *got, u64 causes)
{
	u32 i;

	for (i = 0; i < got->nr; i++)
		if (!(causes >> got->event[i].cause & 1))
			fail_msg("%s by %s", name_of(got->event[i].id),
				 ms_value_name(MS_UNIT_CAUSE, got->event[i].cause));
}

#define C(name) (1ULL << MS_CAUSE_##name)

static void start(struct box *b, const struct nmmu_config *cfg, struct got *got)
{
	box_init(b, cfg);
	box_long_mode(b, 0);
	listen(b, got);
}

static void map(struct box *b, u64 addr, u64 error)
{
	assert_int_equal(box_fault(b, addr, error), NMMU_RET_FIXED);
}

static void slot_flags(struct box *b, u32 flags)
{
	assert_int_equal(nmmu_slot_set(b->m, 0, 1, 0, BOX_PAGES, BOX_HVA, flags), 0);
}

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

/* --- one operation each --- */

static void faults(void **state)
{
	(void)state;
	for (u32 k = 0; k < NR(kernels); k++) {
		struct nmmu_config cfg = box_config(kernels[k]);
		struct got got;
		struct box b;
		u64 id;

		start(&b, &cfg, &got);
		box_load(&b);
		assert_int_equal(the(&got, root_load, LOAD)->hpa, b.v->mmu->root.hpa);
		assert_int_equal(the(&got, sp_create, LOAD)->role, b.v->mmu->root_role.word);
		only(&got, C(LOAD));

		listen(&b, &got);
		map(&b, DATA, W);
		id = box_page_of(&b, DATA, 1)->id;
		assert_int_equal(the(&got, fault, FAULT)->addr, DATA);
		assert_int_equal(the(&got, fault_done, FAULT)->ret, MS_RET_FIXED);
		assert_int_equal(the(&got, rmap_add, FAULT)->sp, id);
		assert_int_equal(the(&got, rmap_add, FAULT)->gfn, DATA >> 12);
		assert_int_equal(the(&got, rmap_add, FAULT)->role, box_page_of(&b, DATA, 1)->role.word);
		assert_int_equal(the(&got, rmap_add, FAULT)->index, DATA >> 12 & 511);
		assert_int_equal(the(&got, rmap_add, PREFETCH)->gfn, (DATA >> 12) + 1);
		assert_int_equal(the(&got, spte_set, LINK)->level, 4);
		assert_int_equal(the_nth(&got, sp_create, FAULT, 2)->sp, id);
		only(&got, C(FAULT) | C(LINK) | C(PREFETCH));

		/* A device: an SPTE that stands for it, then the access itself. */
		listen(&b, &got);
		assert_int_equal(box_fault(&b, DEV, R), NMMU_RET_EMULATE);
		assert_int_equal(the(&got, mmio_mark, FAULT)->gfn, DEV >> 12);
		assert_int_equal(the(&got, mmio_mark, FAULT)->new_spte, *box_spte(&b, DEV, 1));
		assert_int_equal(the(&got, mmio_mark, FAULT)->gen,
				 spte_mmio_gen(&b.m->profile, *box_spte(&b, DEV, 1)));
		box_deinit(&b);
	}
}

static void replaced(void **state)
{
	(void)state;
	for (u32 k = 0; k < NR(kernels); k++) {
		struct nmmu_config cfg = box_config(kernels[k]);
		struct got got;
		struct box b;
		u64 gfn, id;

		cfg.nx_huge_pages = true;
		start(&b, &cfg, &got);
		b.host_level = 2;
		map(&b, LARGE, R);
		listen(&b, &got);
		map(&b, LARGE, I | P);
		assert_int_equal(the(&got, rmap_remove, RELINK)->gfn, LARGE >> 12);
		assert_int_equal(the(&got, rmap_remove, RELINK)->sp, box_page_of(&b, LARGE, 2)->id);
		assert_int_equal(the(&got, rmap_remove, RELINK)->role, box_page_of(&b, LARGE, 2)->role.word);
		only(&got, C(FAULT) | C(RELINK) | C(LINK) | C(PREFETCH));

		id = box_page_of(&b, LARGE, 1)->id;
		gfn = box_page_of(&b, LARGE, 1)->gfn;
		listen(&b, &got);
		assert_int_equal(nmmu_nx_recover(b.m, 1), 1);
		assert_int_equal(the(&got, nx_recover, NX)->sp, id);
		assert_int_equal(the(&got, nx_recover, NX)->gfn, gfn);
		assert_int_equal(the(&got, sp_free, NX)->sp, id);
		only(&got, C(NX));

		listen(&b, &got);
		assert_int_equal(nmmu_set_nx_huge_pages(b.m, false), 0);
		assert_int_equal(the(&got, zap_all, NX)->gen, b.m->valid_gen);
		only(&got, C(NX));
		listen(&b, &got);
		box_load(&b);
		saw(&got, root_free, OBSOLETE);
		saw(&got, sp_free, OBSOLETE);
		only(&got, C(OBSOLETE) | C(LOAD));
		box_deinit(&b);
	}
}

/* Which way a frame was dirtied is what its event says. */
static void dirtied(void **state)
{
	(void)state;
	for (u32 k = 0; k < NR(kernels); k++) {
		struct nmmu_config cfg = box_config(kernels[k]);
		struct nmmu_access access = { .gva = DATA + 0x3000, .bytes = 8, .write = true };
		static u64 bitmap[BOX_PAGES / 64];
		struct nmmu_result result;
		struct got got;
		struct box b;
		u64 before;

		start(&b, &cfg, &got);
		box_long_mode(&b, 0);
		map(&b, DATA, W);
		listen(&b, &got);
		slot_flags(&b, LOG);
		assert_int_equal(the(&got, log_enable, LOG_ENABLE)->slot, 1);
		assert_int_equal(the(&got, slot, SLOT)->flags, LOG);
		saw(&got, wp, LOG_ENABLE);
		only(&got, C(LOG_ENABLE) | C(SLOT));

		/* W went, M stayed: mended without the lock. */
		listen(&b, &got);
		before = *box_spte(&b, DATA, 1);
		map(&b, DATA, W | P);
		assert_int_equal(the(&got, fast_fault, FAST_FAULT)->addr, DATA);
		assert_int_equal(the(&got, fast_fault, FAST_FAULT)->gfn, DATA >> 12);
		assert_int_equal(the(&got, spte_set, FAST_FAULT)->role, box_page_of(&b, DATA, 1)->role.word);
		assert_int_equal(the(&got, fast_fault, FAST_FAULT)->old_spte, before);
		assert_int_equal(the(&got, fast_fault, FAST_FAULT)->new_spte, *box_spte(&b, DATA, 1));
		assert_int_equal(the(&got, fast_fault, FAST_FAULT)->ret, MS_RET_FIXED);
		assert_int_equal(the(&got, dirty, FAST_FAULT)->gfn, DATA >> 12);
		only(&got, C(FAULT) | C(FAST_FAULT));
		/* It is no path for what is not there. */
		listen(&b, &got);
		map(&b, DATA + 0x100000, W);
		assert_int_equal(the(&got, dirty, FAULT)->gfn, (DATA + 0x100000) >> 12);
		only(&got, C(FAULT) | C(PREFETCH) | C(LINK));

		listen(&b, &got);
		box_map(&b, box_table(&b), 4, DATA, DATA, 1, PT_RW, PT_TABLE);
		access.gva = DATA;
		box_long_mode(&b, (u64)(BOX_FIRST_TABLE) << 12);
		access.gva = DATA + 0x3000;
		box_map(&b, BOX_FIRST_TABLE, 4, access.gva, access.gva, 1, PT_RW & ~0x60ULL, PT_TABLE);
		listen(&b, &got);
		assert_int_equal(nmmu_emulate(b.v, &access, &result), 0);
		assert_int_equal(the(&got, emulate, EMULATE)->failed, 0);
		assert_int_equal(the(&got, dirty, EMULATE)->gfn, access.gva >> 12);
		/* The entry's A and D bits, which are in memory that logs too. */
		saw(&got, dirty, HOST_WRITE);
		only(&got, C(EMULATE) | C(HOST_WRITE));

		listen(&b, &got);
		assert_int_equal(nmmu_host_write(b.m, DATA + 0x8000, "x", 1), 0);
		assert_int_equal(the(&got, dirty, HOST_WRITE)->gfn, (DATA + 0x8000) >> 12);
		only(&got, C(HOST_WRITE));

		listen(&b, &got);
		assert_int_equal(nmmu_log_get(b.m, 0, 1, bitmap), 0);
		assert_int_equal(the(&got, log_read, LOG_READ)->slot, 1);
		assert_int_equal(the(&got, log_read, LOG_READ)->kept, 0);
		assert_int_equal(the(&got, wp, LOG_READ)->gfn, DATA >> 12);
		only(&got, C(LOG_READ));

		listen(&b, &got);
		slot_flags(&b, 0);
		assert_int_equal(the(&got, log_disable, LOG_DISABLE)->slot, 1);
		only(&got, C(LOG_DISABLE) | C(SLOT));
		box_deinit(&b);
	}
}

static void logs_by_hand(void **state)
{
	struct nmmu_config cfg = box_config(NMMU_6_12);
	static u64 bitmap[BOX_PAGES / 64];
	struct got got;
	struct box b;
	u64 *log;

	(void)state;
	cfg.pml = true;
	start(&b, &cfg, &got);
	assert_int_equal(nmmu_log_mode(b.m, NMMU_LOG_MANUAL), 0);
	map(&b, DATA, W);
	slot_flags(&b, LOG);

	/* Newest first: the CPU fills its buffer from the end. */
	log = b.v->pml.va;
	log[511] = DATA;
	log[510] = DATA + 0x1000;
	log[509] = DATA + 0x1000;
	b.v->pml_index = 508;
	listen(&b, &got);
	nmmu_pml_drain(b.v);
	assert_int_equal(the(&got, pml_drain, PML)->entries, 3);
	assert_int_equal(the(&got, pml_drain, PML)->full, 0);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(the_nth(&got, pml, PML, i)->nth, i);
		assert_int_equal(the_nth(&got, pml, PML, i)->gfn, (DATA >> 12) + (i < 2));
	}
	/* The frame that is logged twice is dirtied once, and each right after its entry. */
	assert_int_equal(got.nr, 1 + 3 + 2);
	assert_int_equal(got.event[2].id, MS_EV_dirty);
	assert_int_equal(got.event[2].u.dirty.gfn, (DATA >> 12) + 1);
	assert_int_equal(got.event[5].u.dirty.gfn, DATA >> 12);
	only(&got, C(PML));

	for (u32 i = 0; i < 512; i++)
		log[i] = DATA;
	b.v->pml_index = 0xffff;
	listen(&b, &got);
	nmmu_pml_drain(b.v);
	assert_int_equal(the(&got, pml_drain, PML)->entries, 512);
	assert_int_equal(the(&got, pml_drain, PML)->full, 1);

	listen(&b, &got);
	assert_int_equal(nmmu_log_get(b.m, 0, 1, bitmap), 0);
	assert_int_equal(the(&got, log_read, LOG_READ)->kept, 1);
	assert_int_equal(got.nr, 1);
	*box_spte(&b, DATA, 1) |= b.m->profile.m.dirty; /* as the CPU does for what it logs */
	listen(&b, &got);
	assert_int_equal(nmmu_log_clear(b.m, 0, 1, DATA >> 12, 64, &bitmap[(DATA >> 12) / 64]), 0);
	assert_int_equal(the(&got, log_clear, LOG_CLEAR)->gfn, DATA >> 12);
	assert_int_equal(the(&got, log_clear, LOG_CLEAR)->pages, 64);
	saw(&got, spte_set, LOG_CLEAR);
	only(&got, C(LOG_CLEAR));
	box_deinit(&b);
}

static void by_the_host(void **state)
{
	(void)state;
	for (u32 k = 0; k < NR(kernels); k++) {
		struct nmmu_config cfg = box_config(kernels[k]);
		struct nmmu_result result = { 0 };
		struct got got;
		struct box b;
		u64 hva = BOX_HVA + DATA, seq;

		cfg.max_pages = 60;
		cfg.first_generation = 0x7fffa; /* three changes later it wraps */
		start(&b, &cfg, &got);
		map(&b, DATA, W);
		listen(&b, &got);
		assert_true(nmmu_age(b.m, hva, hva + 0x1000));
		assert_int_equal(the(&got, age, AGE)->start, hva);
		assert_int_equal(the(&got, age, AGE)->end, hva + 0x1000);
		assert_int_equal(the(&got, age, AGE)->clears, 1);
		saw(&got, spte_set, AGE);
		only(&got, C(AGE));

		listen(&b, &got);
		seq = b.m->invalidate_seq;
		nmmu_invalidate_begin(b.m, hva, hva + 0x1000);
		assert_int_equal(the(&got, invalidate, NOTIFIER)->start, hva);
		assert_int_equal(the(&got, rmap_remove, NOTIFIER)->gfn, DATA >> 12);
		assert_int_equal(the(&got, rmap_remove, NOTIFIER)->index, DATA >> 12 & 511);
		only(&got, C(NOTIFIER));
		listen(&b, &got);
		assert_int_equal(nmmu_page_fault(b.v, DATA, W, &result), NMMU_RET_RETRY);
		assert_int_equal(the(&got, stale, FAULT)->gfn, DATA >> 12);
		assert_int_equal(the(&got, stale, FAULT)->seq_seen, seq);
		assert_int_equal(the(&got, stale, FAULT)->in_progress, 1);
		assert_int_equal(the(&got, stale, FAULT)->root_obsolete, 0);
		listen(&b, &got);
		nmmu_invalidate_end(b.m, hva, hva + 0x1000);
		assert_int_equal(the(&got, invalidate_end, NOTIFIER)->end, hva + 0x1000);
		assert_int_equal(got.nr, 1);

		/* As many tables as there is room for, and more. */
		listen(&b, &got);
		for (u64 i = 0; i < 14; i++)
			map(&b, i * 0x200000, R);
		listen(&b, &got);
		nmmu_set_max_pages(b.m, 10);
		assert_true(the(&got, recycle, RECYCLE)->pages > 0);
		saw(&got, sp_free, RECYCLE);
		saw(&got, rmap_remove, RECYCLE);
		only(&got, C(RECYCLE));
		nmmu_set_max_pages(b.m, 0);

		/* A root that goes under the fault. */
		listen(&b, &got);
		nmmu_zap_all(b.m);
		assert_int_equal(the(&got, zap_all, SLOT)->gen, b.m->valid_gen);
		only(&got, C(SLOT));
		listen(&b, &got);
		assert_int_equal(nmmu_page_fault(b.v, DATA, W, &result), NMMU_RET_RETRY);
		assert_int_equal(the(&got, stale, FAULT)->root_obsolete, 1);

		map(&b, DATA, W);
		listen(&b, &got);
		for (u32 i = 0; i < 3; i++)
			assert_int_equal(nmmu_slot_set(b.m, 0, 2 + i, 0x10000 + 0x10 * i, 1, BOX_HVA, 0), 0);
		saw(&got, zap_all, MMIO_GEN);
		saw(&got, sp_zap, MMIO_GEN);
		only(&got, C(SLOT) | C(MMIO_GEN));
		listen(&b, &got);
		assert_int_equal(nmmu_slot_set(b.m, 0, 1, 0, 0, 0, 0), 0);
		assert_int_equal(the(&got, slot, SLOT)->pages, 0);
		only(&got, C(SLOT));
		/* What a vCPU leaves behind. */
		box_load(&b);
		b.events[MS_EV_sp_free] = b.events[MS_EV_root_free] = 0;
		box_deinit(&b);
		assert_true(b.events[MS_EV_root_free]);
		assert_int_equal(b.last[MS_EV_root_free].cause, MS_CAUSE_TEARDOWN);
		assert_int_equal(b.last[MS_EV_sp_free].cause, MS_CAUSE_TEARDOWN);
		seen[MS_EV_sp_free][MS_CAUSE_TEARDOWN]++;
	}
}

/* L1 and its tables for L2. */
static void nested(void **state)
{
	(void)state;
	for (u32 k = 0; k < NR(kernels); k++) {
		struct nmmu_exit exit = { .kind = NMMU_EXIT_EPT_VIOLATION, .info = 0x81, .addr = 0x9000 };
		struct nmmu_result result;
		struct nmmu_sp *sp;
		struct got got;
		struct box b;
		u64 root, pde, pte;

		box_start_l2(&b, kernels[k], &root);
		box_leave(&b);
		listen(&b, &got);
		/* L1 may write the pages that will hold its tables: none is shadowed yet. */
		for (u64 i = 0; i < 4; i++)
			map(&b, (root + i) << 12, W);
		listen(&b, &got);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		assert_int_equal(the(&got, nested_enter, NESTED)->pgd, root << 12 | EPTP);
		assert_int_equal(nth(&got, MS_EV_nested_enter, MS_CAUSE_NESTED, 0)->guest, MS_EV_L2);
		only(&got, C(NESTED));
		listen(&b, &got);
		pte = box_map(&b, root, 4, 0, DATA, 1, EPT_RWX, EPT_TABLE);
		map(&b, 0, R);
		saw(&got, wp, SHADOWED);
		only(&got, C(LOAD) | C(FAULT) | C(SHADOWED) | C(LINK) | C(PREFETCH));

		/* An exit of L2, which is L1's. */
		listen(&b, &got);
		assert_int_equal(nmmu_handle_exit(b.v, &exit, &result), 0);
		assert_int_equal(result.action, NMMU_ACT_EXIT_L1);
		assert_int_equal(the(&got, nested_exit, NESTED)->reason, 48);
		assert_int_equal(the(&got, nested_exit, NESTED)->qual, 0x81);
		assert_int_equal(the(&got, nested_exit, NESTED)->addr, 0x9000);
		saw(&got, inject, FAULT);
		only(&got, C(NESTED) | C(FAULT));

		/* L1 changes the table: it goes out of sync, and comes back with INVEPT. */
		sp = box_sp(&b, pte >> 12, 1);
		listen(&b, &got);
		assert_false(box_l1_write(&b, pte, (DATA + 0x5000) | EPT_RWX));
		assert_int_equal(the(&got, unsync, FAULT)->sp, sp->id);
		listen(&b, &got);
		assert_int_equal(nmmu_invept(b.v, false, root << 12 | EPTP), 0);
		saw(&got, root_free, INVEPT);
		only(&got, C(INVEPT));
		listen(&b, &got);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		/* Its pages are still there. */
		assert_int_equal(the(&got, sp_find, LOAD)->gfn, root);
		assert_int_equal(the(&got, sync, SYNC)->sp, sp->id);
		assert_int_equal(the(&got, rmap_remove, SYNC)->gfn, DATA >> 12);
		only(&got, C(NESTED) | C(LOAD) | C(SYNC));

		/* The table above is written by emulation: once is a change, often is no table. */
		map(&b, 0, R);
		pde = 0;
		for (u64 gfn = root; gfn < root + 4; gfn++)
			if (box_sp(&b, gfn, 2))
				pde = gfn << 12;
		listen(&b, &got);
		box_leave(&b);
		assert_int_equal(the(&got, nested_exit, NESTED)->reason, ~0ULL);
		only(&got, C(NESTED));
		listen(&b, &got);
		assert_true(box_l1_write(&b, pde, 0));
		saw(&got, spte_set, PT_WRITE);
		assert_int_equal(the(&got, pt_write, PT_WRITE)->zapped, 1);
		only(&got, C(FAULT) | C(PT_WRITE));
		listen(&b, &got);
		assert_true(box_l1_write(&b, pde + 8, 0));
		assert_true(box_l1_write(&b, pde + 8, 0));
		saw(&got, sp_zap, FLOODING);
		saw(&got, sp_free, FLOODING);
		box_deinit(&b);
	}
}

/* An SVM host where L1's own tables lie in a page that holds a table for L2. */
static void unprotected(void **state)
{
	struct nmmu_config cfg = box_config(NMMU_6_12);
	struct nmmu_exit exit = { .kind = NMMU_EXIT_NPF, .info = NMMU_PF_PAGE | W | P | NMMU_PF_U };
	struct nmmu_result result;
	struct got got;
	struct box b;
	u64 root;

	(void)state;
	cfg.hv = MS_HV_SVM;
	start(&b, &cfg, &got);
	root = box_table(&b);
	box_enter(&b, NMMU_NESTED_NPT, root << 12);
	box_map(&b, root, 4, 0, DATA, 1, PT_RW, PT_TABLE);
	map(&b, 0, R);
	listen(&b, &got);
	exit.addr = 0x9000;
	assert_int_equal(nmmu_handle_exit(b.v, &exit, &result), 0);
	assert_int_equal(the(&got, nested_exit, NESTED)->reason, 0x400);
	assert_int_equal(the(&got, nested_exit, NESTED)->qual, exit.info);
	if (b.v->guest_mode)
		box_leave(&b);
	/* L1 may use the frame again. */
	exit.addr = root << 12;
	map(&b, exit.addr, R);
	listen(&b, &got);
	assert_int_equal(nmmu_handle_exit(b.v, &exit, &result), 0);
	saw(&got, sp_zap, UNPROTECT);
	saw(&got, sp_free, UNPROTECT);
	only(&got, C(FAULT) | C(UNPROTECT) | C(FAST_FAULT) | C(PREFETCH) | C(LINK));
	/* A device is no place for code. */
	exit = (struct nmmu_exit){ .kind = NMMU_EXIT_NPF, .info = NMMU_PF_FINAL | NMMU_PF_U, .addr = DEV };
	listen(&b, &got);
	assert_int_equal(nmmu_handle_exit(b.v, &exit, &result), -EIO);
	assert_int_equal(the(&got, emulate, EMULATE)->failed, 1);
	box_deinit(&b);
}

/* Shadow paging, for what the guest itself asks for. */
static void by_the_guest(void **state)
{
	(void)state;
	for (u32 k = 0; k < NR(kernels); k++) {
		struct nmmu_config cfg = box_config(kernels[k]);
		struct nmmu_regs regs = { .cr0 = CR0_PE | CR0_PG | CR0_WP,
					  .cr4 = CR4_PAE,
					  .efer = EFER_LME | EFER_NX };
		struct got got;
		struct box b;
		u64 root, other, pte;

		cfg.tdp = false;
		box_init(&b, &cfg);
		root = box_table(&b);
		other = box_table(&b);
		box_map(&b, root, 4, DATA, DATA, 1, PT_RW, PT_TABLE);
		pte = box_map(&b, root, 4, READ_ONLY, READ_ONLY, 1, PT_RW & ~2ULL, PT_TABLE);
		box_long_mode(&b, root << 12);
		listen(&b, &got);
		map(&b, DATA, W);
		listen(&b, &got);
		nmmu_invlpg(b.v, DATA);
		saw(&got, flush_vcpu, INVLPG);
		only(&got, C(INVLPG));
		/* A right that has come since: 6.12 makes the entry anew, and writable. 6.1 prefetches. */
		box_map(&b, root, 4, TABLE, pte & ~0xfffULL, 1, PT_RW, PT_TABLE);
		map(&b, TABLE, W);
		map(&b, READ_ONLY, R);
		slot_flags(&b, LOG);
		map(&b, TABLE, W | P);
		assert_true(box_page_of(&b, READ_ONLY, 1)->unsync);
		box_set(&b, pte, READ_ONLY | PT_RW);
		listen(&b, &got);
		nmmu_invlpg(b.v, READ_ONLY);
		if (kernels[k] == NMMU_6_12)
			assert_int_equal(the(&got, dirty, INVLPG)->gfn, READ_ONLY >> 12);
		else
			assert_int_equal(the(&got, dirty, PREFETCH)->gfn, READ_ONLY >> 12);
		listen(&b, &got);
		nmmu_flush_guest(b.v);
		saw(&got, flush_vcpu, GUEST_FLUSH);
		only(&got, C(GUEST_FLUSH) | C(SYNC));
		box_long_mode(&b, other << 12);
		box_load(&b);
		listen(&b, &got);
		box_long_mode(&b, root << 12);
		assert_int_equal(the(&got, root_load, CR3)->cached, 1);
		only(&got, C(CR3));
		listen(&b, &got);
		regs.cr3 = root << 12;
		regs.cr4 |= CR4_SMEP;
		assert_int_equal(nmmu_set_regs(b.v, &regs), 0);
		saw(&got, root_free, ROLE);
		only(&got, C(ROLE));
		box_deinit(&b);
	}
}

/* One frame mapped by more entries than a list may have. */
static void too_many(void **state)
{
	struct nmmu_result result;
	struct got *got = malloc(sizeof(*got));
	struct box b;
	u64 root;

	(void)state;
	assert_non_null(got);
	box_start_l2(&b, NMMU_6_12, &root);
	listen(&b, got);
	for (u64 i = 0; i <= NMMU_RMAP_MAX + 1; i++) {
		struct nmmu_entry entry;

		box_map(&b, root, 4, i * 8 << 12, DATA, 1, EPT_RWX, EPT_TABLE);
		assert_int_equal(nmmu_vcpu_load(b.v, &entry), 0);
		got->nr = 0;
		assert_int_equal(nmmu_page_fault(b.v, i * 8 << 12, R, &result), NMMU_RET_FIXED);
	}
	box_check(&b);
	assert_true(got->nr > NMMU_RMAP_MAX);
	assert_true(seen[MS_EV_rmap_remove][MS_CAUSE_RMAP_FULL] > NMMU_RMAP_MAX);
	assert_true(seen[MS_EV_flush][MS_CAUSE_RMAP_FULL]);
	box_deinit(&b);
	free(got);
}

/* --- over all of it --- */

static void any_event(void *ctx, const struct ms_event *event)
{
	(void)ctx;
	note(event);
}

/* A host with all that it does: every event has a cause. */
static void workload(void **state)
{
	(void)state;
	for (u32 i = 0; i < 4; i++) {
		struct ms_workload_opts opts = { .seed = 5,
						 .hv = i & 1 ? MS_HV_SVM : MS_HV_VMX,
						 .kernel = kernels[i / 2],
						 .event = any_event };
		struct ms_workload *w;

		assert_null(ms_workload_create(&opts, &w));
		assert_null(ms_workload_run(w, 2000));
		ms_workload_destroy(w);
	}
}

static bool is_never(u32 id)
{
	for (u32 i = 0; i < NR(never); i++)
		if (never[i].id == id)
			return true;
	return false;
}

static bool is_never_why(u32 cause)
{
	for (u32 i = 0; i < NR(never_why); i++)
		if (never_why[i].cause == cause)
			return true;
	return false;
}

static void all_of_them(void **state)
{
	u32 id, cause, nr;

	(void)state;
	for (id = 1; id < MS_EV_NR; id++) {
		for (nr = cause = 0; cause < MS_CAUSE_NR; cause++)
			nr += seen[id][cause];
		if (!nr == !is_never(id))
			fail_msg("%s: raised %u times", name_of(id), nr);
	}
	for (cause = 0; cause < MS_CAUSE_NR; cause++) {
		for (nr = id = 0; id < MS_EV_NR; id++)
			nr += seen[id][cause];
		if (!nr == !is_never_why(cause))
			fail_msg("%s: %u events", ms_value_name(MS_UNIT_CAUSE, cause), nr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),	cmocka_unit_test(replaced),	cmocka_unit_test(dirtied),
		cmocka_unit_test(logs_by_hand), cmocka_unit_test(by_the_host),	cmocka_unit_test(nested),
		cmocka_unit_test(unprotected),	cmocka_unit_test(by_the_guest), cmocka_unit_test(too_many),
		cmocka_unit_test(workload),	cmocka_unit_test(all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
