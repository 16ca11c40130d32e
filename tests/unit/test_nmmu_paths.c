// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ways a fault can go that one access does not show: the rows of E.1 with who does them, under which lock
 * and with what flush; devices (D.1 step 2, D.3).
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

#define DEV_GFN 0x80000u /* no slot there */
#define DEV ((u64)DEV_GFN << 12)

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

static enum spte_wstate wstate(struct lab *lab, u64 addr)
{
	u32 level;
	u64 spte = lab_leaf(lab, addr, &level);

	return spte_wstate(&lab->m->profile, spte, level);
}

static struct ms_tables *ept(struct lab *lab)
{
	struct ms_tables *t;

	lab_ok(ms_tables_create(lab->mm, NMMU_GPT_EPT, 4, POOL_GFN, POOL_PAGES, &t));
	return t;
}

/* --- E.1 on a machine --- */

/* What was seen at the yield points of one fault. */
struct order {
	u64 *sptep;
	u64 gfn;
	u32 locks;
	bool writable_before_dirty, dirty_before_writable;
	bool dirty_at_cmpxchg, dirty_at_done;
};

static void watch(struct lab *lab, enum nmmu_point point)
{
	struct order *o = lab->ctx;
	bool dirty = lab_is_dirty(lab, o->gfn);

	if (point == NMMU_POINT_LOCK)
		o->locks++;
	if (point == NMMU_POINT_FAST_CMPXCHG)
		o->dirty_at_cmpxchg = dirty;
	if (point == NMMU_POINT_FAST_DONE)
		o->dirty_at_done = dirty;
	if (point == NMMU_POINT_SPTE_STORED && spte_is_writable(nmmu_read64(o->sptep))) {
		o->writable_before_dirty |= !dirty;
		o->dirty_before_writable |= dirty;
	}
}

static void take_log(struct lab *lab)
{
	static u64 bitmap[LAB_PAGES / 64];

	assert_int_equal(ms_machine_log_get(lab->mm, 0, 0, bitmap), 0);
}

/* DL->RW, direct: no lock, the exchange first and then the mark. */
static void dl_rw_direct(void **state)
{
	u32 svm, k;

	(void)state;
	for (svm = 0; svm < 2; svm++)
		for (k = 0; k < 2; k++) {
			struct nmmu_config cfg = lab_config(svm, kernels[k]);
			struct order o = { .gfn = GFN };
			struct ms_run run;
			struct lab lab;

			lab_init(&lab, &cfg, 1);
			lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
			lab_access(&lab, GPA, "w", 1);
			assert_true(lab_is_dirty(&lab, GFN));
			take_log(&lab);
			assert_false(lab_is_dirty(&lab, GFN));
			assert_int_equal(wstate(&lab, GPA), SPTE_W_DL);
			o.sptep = lab_leafp(&lab, GPA, NULL);
			lab.ctx = &o;
			lab.on_yield = watch;
			run = lab_access(&lab, GPA, "w", 2);
			lab.on_yield = NULL;
			assert_int_equal(run.exits, 1);
			assert_int_equal(run.last.ret, NMMU_RET_FIXED);
			assert_true(run.last.fast);
			assert_int_equal(o.locks, 0);
			assert_false(o.dirty_at_cmpxchg);
			assert_true(o.dirty_at_done);
			assert_true(o.writable_before_dirty);
			assert_int_equal(wstate(&lab, GPA), SPTE_W_RW);
			lab_deinit(&lab);
		}
}

/*
 * DL->RW, indirect: under the lock, marked before it is stored. And by a read too, when all grant W (E.2, I
 * 3b).
 */
static void dl_rw_indirect(void **state)
{
	static const char *const how[] = { "w", "r" };
	u32 k, i;

	(void)state;
	for (k = 0; k < 2; k++)
		for (i = 0; i < 2; i++) {
			struct nmmu_config cfg = lab_config(false, kernels[k]);
			struct order o = { .gfn = GFN };
			struct ms_tables *t;
			struct ms_run run;
			struct lab lab;

			lab_init(&lab, &cfg, 1);
			lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
			t = ept(&lab);
			lab_map(t, 0x5000, GFN, 1, EPT_BITS, EPT_UPPER);
			lab_enter(&lab, t, true, true);
			lab_access(&lab, 0x5000, "w", 1);
			take_log(&lab);
			assert_int_equal(wstate(&lab, 0x5000), SPTE_W_DL);
			/* Make the leaf go for the read: a DL leaf can be read without a fault. */
			if (i)
				ms_machine_migrate(lab.mm, LAB_SLOT_HVA + GPA, 4096);
			o.sptep = lab_leafp(&lab, 0x5000, NULL);
			lab.ctx = &o;
			lab.on_yield = watch;
			run = lab_access(&lab, 0x5000, how[i], 2);
			lab.on_yield = NULL;
			assert_int_equal(run.last.ret, NMMU_RET_FIXED);
			assert_false(run.last.fast);
			assert_true(o.dirty_before_writable);
			assert_false(o.writable_before_dirty);
			assert_true(lab_is_dirty(&lab, GFN));
			assert_int_equal(wstate(&lab, 0x5000), SPTE_W_RW);
			ms_tables_destroy(t);
			lab_deinit(&lab);
		}
}

/* A huge leaf where the slot logs is not mended lock-free: 4K come instead (I 29, I 38). */
static void huge_and_logging(void **state)
{
	u32 svm, k, level, got, i;

	(void)state;
	for (svm = 0; svm < 2; svm++)
		for (k = 0; k < 2; k++)
			for (level = 2; level <= 3; level++) {
				struct nmmu_config cfg = lab_config(svm, kernels[k]);
				struct ms_run run;
				struct lab lab;

				lab_init(&lab, &cfg, level);
				lab_access(&lab, GPA, "w", 1);
				lab_leaf(&lab, GPA, &got);
				assert_int_equal(got, level);
				lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
				assert_int_equal(wstate(&lab, GPA), SPTE_W_DL);
				run = lab_access(&lab, GPA, "w", 2);
				assert_false(run.last.fast);
				lab_leaf(&lab, GPA, &got);
				assert_int_equal(got, 1);
				for (i = 0; i < 16; i++)
					assert_int_equal(lab_is_dirty(&lab, GFN - 8 + i), i == 8);
				lab_check(&lab);
				/* Logging off: huge again. */
				lab_set_slot_flags(&lab, 0);
				lab_access(&lab, GPA, "w", 3);
				lab_leaf(&lab, GPA, &got);
				assert_int_equal(got, level);
				lab_deinit(&lab);
			}
}

/* RW->WP and DL->WP: another page of guest tables at the gfn, flushed before the lock is dropped. */
struct wp_order {
	bool flushed_locked, locked, protected;
};

static void watch_wp(struct lab *lab, enum nmmu_point point)
{
	struct wp_order *o = lab->ctx;

	if (point == NMMU_POINT_LOCK)
		o->locked = true;
	if (point == NMMU_POINT_UNLOCK)
		o->locked = false;
	if (point == NMMU_POINT_FLUSH && lab->last[MS_EV_flush].cause == MS_CAUSE_SHADOWED)
		o->flushed_locked = o->locked;
}

static void protect_for_shadow(void **state)
{
	u32 k, dl, bug;

	(void)state;
	for (k = 0; k < 2; k++)
		for (dl = 0; dl < 2; dl++)
			for (bug = 0; bug < 3; bug++) {
				struct nmmu_config cfg = lab_config(false, kernels[k]);
				struct wp_order o = { 0 };
				struct ms_tables *t;
				struct lab lab;
				u64 table;
				bool flushed;

				cfg.bugs = bug == 1   ? 1u << NMMU_BUG_NO_FLUSH
					   : bug == 2 ? 1u << NMMU_BUG_WRITABLE_INVARIANT
						      : 0;
				lab_init(&lab, &cfg, 1);
				t = ept(&lab);
				lab_map(t, 0x5000, GFN, 1, EPT_BITS, EPT_UPPER);
				table = ms_tables_entry(t, 0x5000, 2) & ~0xfffULL;
				/* L1 has the table writable, and may have it cached so. */
				lab_access(&lab, table + 8, "w", 0);
				if (dl) {
					lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
					lab_access(&lab, table + 8, "w", 0);
					take_log(&lab);
					assert_int_equal(wstate(&lab, table),
							 bug == 2 ? SPTE_W_WP : SPTE_W_DL);
				} else {
					assert_int_equal(wstate(&lab, table),
							 bug == 2 ? SPTE_W_ILLEGAL : SPTE_W_RW);
				}
				lab_enter(&lab, t, true, true);
				lab.ctx = &o;
				lab.on_yield = watch_wp;
				lab_access(&lab, 0x5000, "w", 1);
				lab.on_yield = NULL;
				flushed = o.flushed_locked;
				/*
				 * no-flush leaves out what was DL, writable-invariant what was W without M.
				 * The pages for the levels above flush nothing of theirs: L1 never wrote
				 * them.
				 */
				assert_int_equal(flushed, bug == 0 || (bug == 1 && !dl));
				nmmu_nested_leave(lab.v, NULL);
				assert_int_equal(wstate(&lab, table), SPTE_W_WP);
				ms_tables_destroy(t);
				lab.on_yield = NULL;
				if (bug == 2)
					ms_machine_destroy(lab.mm);
				else
					lab_deinit(&lab);
			}
}

/* AT on a host without A/D bits: a read gives R and X back, W only a write (I 28). */
static void tracked_direct(void **state)
{
	u32 k;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		struct ms_run run;
		struct lab lab;

		cfg.ad = false;
		lab_init(&lab, &cfg, 1);
		lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
		lab_access(&lab, GPA, "w", 1);
		take_log(&lab);
		assert_true(nmmu_age(lab.m, LAB_SLOT_HVA, LAB_SLOT_HVA + (1 << 30)));
		assert_false(nmmu_age(lab.m, LAB_SLOT_HVA, LAB_SLOT_HVA + (1 << 30)));
		assert_int_equal(wstate(&lab, GPA), SPTE_W_AT);
		/* Aging flushes nothing; the CPU has to have forgotten before it faults. */
		nmmu_flush_all(lab.m, MS_CAUSE_AGE, false);
		run = lab_access(&lab, GPA, "r", 0);
		assert_int_equal(run.exits, 1);
		assert_true(run.last.fast);
		assert_int_equal(wstate(&lab, GPA), SPTE_W_DL);
		assert_false(lab_is_dirty(&lab, GFN));
		run = lab_access(&lab, GPA, "w", 2);
		assert_true(run.last.fast);
		assert_int_equal(wstate(&lab, GPA), SPTE_W_RW);
		assert_true(lab_is_dirty(&lab, GFN));
		lab_deinit(&lab);
	}
}

/* The same for EPT12 without A/D: the slow path, and a read brings W back, with the mark (I 28a). */
static void tracked_indirect(void **state)
{
	u32 k;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		struct ms_tables *t;
		struct ms_run run;
		struct lab lab;

		lab_init(&lab, &cfg, 1);
		lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
		t = ept(&lab);
		lab_map(t, 0x5000, GFN, 1, EPT_BITS, EPT_UPPER);
		lab_enter(&lab, t, true, false);
		lab_access(&lab, 0x5000, "w", 1);
		assert_int_equal(spte_ad_kind(&lab.m->profile, lab_leaf(&lab, 0x5000, NULL)),
				 SPTE_AD_DISABLED);
		take_log(&lab);
		nmmu_age(lab.m, LAB_SLOT_HVA, LAB_SLOT_HVA + (1 << 30));
		assert_int_equal(wstate(&lab, 0x5000), SPTE_W_AT);
		nmmu_flush_all(lab.m, MS_CAUSE_AGE, false);
		run = lab_access(&lab, 0x5000, "r", 0);
		assert_int_equal(run.exits, 1);
		assert_false(run.last.fast);
		assert_int_equal(wstate(&lab, 0x5000), SPTE_W_RW);
		assert_true(lab_is_dirty(&lab, GFN));
		ms_tables_destroy(t);
		lab_deinit(&lab);
	}
}

/*
 * DL->RW and ->AT by sync: 6.1 rebuilds every entry of the page, 6.12 those whose rights changed. L1 has
 * written some other entry of the table, unsync, and says INVEPT.
 */
static void by_sync(void **state)
{
	u32 k, ad;

	(void)state;
	for (k = 0; k < 2; k++)
		for (ad = 0; ad < 2; ad++) {
			struct nmmu_config cfg = lab_config(false, kernels[k]);
			struct ms_tables *t;
			struct ms_run run;
			struct lab lab;
			bool rebuilt = kernels[k] == NMMU_6_1;
			u32 flushes;

			lab_init(&lab, &cfg, 1);
			lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
			t = ept(&lab);
			lab_map(t, 0x5000, GFN, 1, EPT_BITS, EPT_UPPER);
			lab_enter(&lab, t, true, ad);
			lab_access(&lab, 0x5000, "w", 1);
			nmmu_nested_leave(lab.v, NULL);
			run = lab_access(&lab, ms_tables_entry(t, 0x99000, 1), "w",
					 (GFN + 1) << 12 | EPT_BITS);
			assert_false(run.emulated);
			assert_int_equal(lab.events[MS_EV_unsync], 1);
			take_log(&lab);
			lab_enter(&lab, t, true, ad);
			assert_int_equal(wstate(&lab, 0x5000), SPTE_W_DL);
			flushes = lab.events[MS_EV_flush];
			assert_int_equal(nmmu_invept(lab.v, true, 0), 0);
			run = lab_access(&lab, 0x99000, "r", 0);
			assert_int_equal(run.action, NMMU_ACT_DONE);
			assert_int_equal(lab.events[MS_EV_sync], 1);
			if (ad) {
				assert_int_equal(wstate(&lab, 0x5000), rebuilt ? SPTE_W_RW : SPTE_W_DL);
				assert_int_equal(lab_is_dirty(&lab, GFN), rebuilt);
			} else {
				/*
				 * No longer accessed, E1: flushed. W comes with the next access, and then
				 * the mark.
				 */
				assert_int_equal(wstate(&lab, 0x5000), rebuilt ? SPTE_W_AT : SPTE_W_DL);
				assert_false(lab_is_dirty(&lab, GFN));
				assert_true(!rebuilt || lab.events[MS_EV_flush] > flushes);
			}
			run = lab_access(&lab, 0x5000, "w", 2);
			assert_int_equal(run.action, NMMU_ACT_DONE);
			assert_true(lab_is_dirty(&lab, GFN));
			assert_int_equal(wstate(&lab, 0x5000), SPTE_W_RW);
			/* The table was protected again by the sync. */
			nmmu_nested_leave(lab.v, NULL);
			assert_int_equal(wstate(&lab, ms_tables_entry(t, 0x99000, 1)), SPTE_W_WP);
			ms_tables_destroy(t);
			lab_deinit(&lab);
		}
}

/*
 * Prefetch (F): the aligned window of 8, until the first entry that is not present, has A clear, reserved
 * bits, no slot, or would be writable where the slot logs. What comes has A clear; of kind 01 it is
 * tracked.
 */
static void prefetch_window(void **state)
{
	enum { FINE, ABSENT, NOT_ACCESSED, RESERVED, NO_SLOT, CLEAN, NR };
	u32 k, ad, what, i, logging;

	(void)state;
	for (k = 0; k < 2; k++)
		for (ad = 0; ad < 2; ad++)
			for (logging = 0; logging < 2; logging++)
				for (what = 0; what < NR; what++) {
					struct nmmu_config cfg = lab_config(false, kernels[k]);
					/*
					 * A third entry that is not FINE ends it; an ignored A bit, or a
					 * clean entry, does not.
					 */
					bool ends = what == ABSENT || what == RESERVED || what == NO_SLOT ||
						    (what == NOT_ACCESSED && ad);
					const struct spte_profile *p;
					struct ms_tables *t;
					struct lab lab;

					lab_init(&lab, &cfg, 1);
					p = &lab.m->profile;
					if (logging)
						lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
					t = ept(&lab);
					for (i = 0; i < 10; i++) {
						bool odd = i == 2;
						u64 bits = EPT_BITS;

						if (odd && what == ABSENT)
							continue;
						if (odd && what == NOT_ACCESSED)
							bits &= ~0x100ULL;
						if (odd && what == RESERVED)
							bits = (bits & ~0x38ULL) | 2 << 3; /* memory type 2 */
						if (odd && what == CLEAN)
							bits &= ~0x200ULL;
						/* All others are read-only where writing would end it. */
						if (logging)
							bits &= ~2ULL;
						lab_map(t, i << 12,
							odd && what == NO_SLOT ? DEV_GFN : GFN + i, 1, bits,
							EPT_UPPER);
						/* The host has them at hand. */
						lab_poke(&lab, (GFN + i) << 12, 1, 8);
					}
					lab_enter(&lab, t, true, ad);
					lab_access(&lab, 0x0000, "r", 0);
					for (i = 1; i < 10; i++) {
						u64 spte = lab_leaf(&lab, i << 12, NULL);
						bool mapped = i < 8 && !(ends && i >= 2);

						if (spte_is_mmu_present(p, spte) != mapped)
							fail_msg("kernel %u ad %u log %u what %u: entry %u",
								 k, ad, logging, what, i);
						if (!mapped)
							continue;
						assert_int_equal(spte_pfn(p, spte), lab_pfn(&lab, GFN + i));
						assert_false(spte_is_accessed(p, spte));
						if (!ad)
							assert_int_equal(spte_wstate(p, spte, 1), SPTE_W_AT);
						else
							assert_int_equal(spte_wstate(p, spte, 1),
									 logging || (i == 2 && what == CLEAN)
										 ? SPTE_W_WP
										 : SPTE_W_RW);
					}
					ms_tables_destroy(t);
					lab_deinit(&lab);
				}
}

/* And in a direct MMU: not without A bits, not over the end of a slot, not what the host has not at hand. */
static void prefetch_direct(void **state)
{
	u32 k, ad, i;

	(void)state;
	for (k = 0; k < 2; k++)
		for (ad = 0; ad < 2; ad++) {
			struct nmmu_config cfg = lab_config(false, kernels[k]);
			const struct spte_profile *p;
			struct lab lab;

			cfg.ad = ad;
			lab_init(&lab, &cfg, 1);
			p = &lab.m->profile;
			for (i = 0; i < 16; i++)
				if (i != 5)
					lab_poke(&lab, (0x1230 + i) << 12, 1, 8);
			lab_access(&lab, 0x1232000, "w", 0);
			for (i = 0; i < 16; i++) {
				u64 spte = lab_leaf(&lab, (0x1230 + i) << 12, NULL);

				/* Runs 0-1 and 3-7, the second up to the hole. */
				assert_int_equal(spte_is_mmu_present(p, spte), i == 2 || (ad && i < 5));
				if (spte_is_mmu_present(p, spte))
					assert_int_equal(spte_is_accessed(p, spte), i == 2);
			}
			lab_check(&lab);
			lab_deinit(&lab);
		}
}

/*
 * RO: neither a read-only slot nor a host page that must not be written gives H; writes to ROM go to the
 * device.
 */
static void read_only(void **state)
{
	u32 k, rom;

	(void)state;
	for (k = 0; k < 2; k++)
		for (rom = 0; rom < 2; rom++) {
			struct nmmu_config cfg = lab_config(false, kernels[k]);
			struct ms_run run;
			struct lab lab;

			lab_init(&lab, &cfg, 1);
			lab_poke(&lab, GPA, 0x99, 8);
			if (rom)
				assert_int_equal(nmmu_slot_set(lab.m, 0, 0, 0, 0, 0, 0), 0);
			if (rom)
				lab_set_slot_flags(&lab, MS_SLOT_READONLY);
			else
				ms_machine_protect(lab.mm, LAB_SLOT_HVA + GPA, 4096, false);
			run = lab_access(&lab, GPA, "r", 0);
			assert_int_equal(run.value, 0x99);
			assert_int_equal(wstate(&lab, GPA), SPTE_W_RO);
			if (rom) {
				run = lab_access(&lab, GPA, "w", 1);
				assert_int_equal(run.action, NMMU_ACT_MMIO);
				assert_int_equal(run.last.gpa, GPA);
				assert_int_equal(wstate(&lab, GPA), SPTE_W_RO);
			} else {
				struct nmmu_access access = { .gva = GPA, .bytes = 8, .write = true };

				ms_machine_access(lab.mm, 0, &access, &run);
				assert_int_equal(run.error, -EFAULT);
			}
			lab_deinit(&lab);
		}
}

/* --- devices --- */

#define VIOLATION NMMU_EXIT_EPT_VIOLATION
#define MISCONFIG NMMU_EXIT_EPT_MISCONFIG

/* First an MMIO SPTE, then what it is for; a slot there makes it stale, and memory is mapped (I 10). */
static void mmio_direct(void **state)
{
	u32 svm, k, i;

	(void)state;
	for (svm = 0; svm < 2; svm++)
		for (k = 0; k < 2; k++) {
			struct nmmu_config cfg = lab_config(svm, kernels[k]);
			struct ms_run run;
			struct lab lab;

			lab_init(&lab, &cfg, 1);
			lab_ok(ms_machine_map(lab.mm, LAB_HVA, 4096, 1, true));
			for (i = 0; i < 3; i++) {
				run = lab_access(&lab, DEV + 8 * i, i & 1 ? "w" : "r", 0);
				assert_int_equal(run.action, NMMU_ACT_MMIO);
				assert_int_equal(run.last.gpa, DEV + 8 * i);
				assert_int_equal(run.exits, 1);
				assert_int_equal(run.last.ret, NMMU_RET_EMULATE);
				assert_int_equal(run.nr_kind[svm ? NMMU_EXIT_NPF
							     : i ? MISCONFIG
								 : VIOLATION],
						 1);
				assert_true(spte_is_mmio(&lab.m->profile, lab_leaf(&lab, DEV, NULL)));
			}
			lab_check(&lab);
			assert_int_equal(nmmu_slot_set(lab.m, 0, 5, DEV_GFN, 1, LAB_HVA, 0), 0);
			run = lab_access(&lab, DEV, "w", 0x77);
			assert_int_equal(run.action, NMMU_ACT_DONE);
			assert_false(run.emulated);
			assert_int_equal(lab_peek(&lab, DEV), 0x77);
			/* And away with it: a device again. */
			assert_int_equal(nmmu_slot_set(lab.m, 0, 5, 0, 0, 0, 0), 0);
			run = lab_access(&lab, DEV, "r", 0);
			assert_int_equal(run.action, NMMU_ACT_MMIO);
			lab_deinit(&lab);
		}
}

/* Nothing is cached: each access walks its way again. */
static void mmio_uncached(void **state)
{
	u32 svm, bits52;

	(void)state;
	for (svm = 0; svm < 2; svm++)
		for (bits52 = 0; bits52 <= svm; bits52++) {
			struct nmmu_config cfg = lab_config(svm, NMMU_6_12);
			struct ms_run run;
			struct lab lab;
			u32 i;

			if (bits52)
				cfg.phys_bits = 52;
			else
				cfg.mmio_caching = false;
			lab_init(&lab, &cfg, 1);
			for (i = 0; i < 2; i++) {
				run = lab_access(&lab, DEV, "r", 0);
				assert_int_equal(run.action, NMMU_ACT_MMIO);
				assert_int_equal(run.nr_kind[svm ? NMMU_EXIT_NPF : VIOLATION], 1);
				assert_false(spte_is_mmio(&lab.m->profile, lab_leaf(&lab, DEV, NULL)));
			}
			lab_deinit(&lab);
		}
}

/*
 * I 11: in the middle of an update the old number is stored, stale as soon as it ends; the vCPU's cache is
 * left alone.
 */
static void in_update(struct lab *lab, enum nmmu_point point)
{
	struct ms_run *run = lab->ctx;

	if (point != NMMU_POINT_SLOTS_SWAP || run->exits)
		return;
	*run = lab_access(lab, DEV, "r", 0);
}

static void mmio_update(void **state)
{
	u32 k;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		struct ms_run run = { 0 };
		struct lab lab;
		u64 spte;

		lab_init(&lab, &cfg, 1);
		lab.ctx = &run;
		lab.on_yield = in_update;
		lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
		lab.on_yield = NULL;
		assert_int_equal(run.action, NMMU_ACT_MMIO);
		assert_false(lab.v->mmio_valid);
		spte = lab_leaf(&lab, DEV, NULL);
		assert_true(spte_is_mmio(&lab.m->profile, spte));
		assert_true(spte_mmio_gen(&lab.m->profile, spte) < nmmu_generation(lab.m, 0));
		/* Stale: the exit 49 goes through the whole fault and renews it. */
		run = lab_access(&lab, DEV, "r", 0);
		assert_int_equal(run.nr_kind[MISCONFIG], 1);
		assert_int_equal(run.action, NMMU_ACT_MMIO);
		assert_true(lab.v->mmio_valid);
		spte = lab_leaf(&lab, DEV, NULL);
		assert_true(spte_mmio_gen(&lab.m->profile, spte) == nmmu_generation(lab.m, 0));
		lab_deinit(&lab);
	}
}

static void ept_poke(struct lab *lab, const struct ms_tables *t, u64 addr, u64 bits)
{
	lab_poke(lab, ms_tables_entry(t, addr, 1), DEV | bits, 8);
}

/*
 * D.3, I 8: L1 passes a device through and grants what it is told is missing. Exact: R, then W. 6.1 and
 * 6.12 say R|W. With the bug the read of long ago is told again, for ever.
 */
static void ping_pong(void **state)
{
	u32 k, compat, bug;

	(void)state;
	for (k = 0; k < 2; k++)
		for (compat = 0; compat < 2; compat++)
			for (bug = 0; bug < 2; bug++) {
				struct nmmu_config cfg = lab_config(false, kernels[k]);
				u64 told[8], rights = 0;
				struct ms_tables *t;
				struct ms_run run;
				struct lab lab;
				u32 nr = 0, i;

				cfg.compat = compat;
				cfg.bugs = bug ? 1u << NMMU_BUG_STALE_QUAL : 0;
				lab_init(&lab, &cfg, 1);
				t = ept(&lab);
				lab_map(t, 0x7000, DEV_GFN, 1, 0x330, EPT_UPPER);
				lab_map(t, 0x8000, GFN, 1, EPT_BITS, EPT_UPPER);
				for (i = 0; i < 8; i++) {
					bool read_done = lab.events[MS_EV_mmio] > 0;

					if (!lab.v->guest_mode)
						lab_enter(&lab, t, true, true);
					run = lab_access(&lab, 0x7000, read_done ? "w" : "r", 0);
					if (run.action == NMMU_ACT_MMIO && read_done)
						break;
					if (run.action == NMMU_ACT_MMIO)
						continue;
					assert_int_equal(run.action, NMMU_ACT_EXIT_L1);
					assert_int_equal(run.last.reason, 48);
					assert_int_equal(run.last.addr, 0x7000);
					told[nr++] = run.last.qual & 7;
					rights |= run.last.qual & 7;
					/* Behind L0's back, as if its page were unsync. */
					ept_poke(&lab, t, 0x7000, rights | 0x30);
					assert_int_equal(nmmu_invept(lab.v, true, 0), 0);
					if (read_done || nr == 1)
						continue;
				}
				assert_int_equal(told[0], 1);
				if (bug) {
					assert_true(nr > 3);
					assert_int_equal(told[2], 1);
				} else {
					assert_int_equal(nr, 2);
					assert_int_equal(told[1], compat ? 3 : 2);
				}
				ms_tables_destroy(t);
				lab_deinit(&lab);
			}
}

/* --- two frames of one page --- */

#define ALIAS_GFN 0x100000u

/* The guest turns to the other frame without a flush: reverse map and log follow. */
static void aliases(void **state)
{
	static u64 bitmap[1];
	u32 k;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		struct ms_tables *t;
		struct nmmu_slot *slot;
		struct ms_run run;
		struct lab lab;

		lab_init(&lab, &cfg, 1);
		assert_int_equal(
			nmmu_slot_set(lab.m, 0, 5, ALIAS_GFN, 1, LAB_SLOT_HVA + GPA, MS_SLOT_LOG_DIRTY), 0);
		t = ept(&lab);
		lab_map(t, 0x5000, GFN, 1, EPT_BITS & ~0x200ULL, EPT_UPPER);
		lab_enter(&lab, t, true, true);
		lab_access(&lab, 0x5000, "r", 0);
		assert_int_equal(wstate(&lab, 0x5000), SPTE_W_WP);
		lab_poke(&lab, ms_tables_entry(t, 0x5000, 1), (u64)ALIAS_GFN << 12 | EPT_BITS, 8);
		run = lab_access(&lab, 0x5000, "w", 1);
		assert_int_equal(run.action, NMMU_ACT_DONE);
		lab_check(&lab);
		slot = nmmu_slot_of(lab.m, 0, ALIAS_GFN);
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(slot, ALIAS_GFN, 1)), 1);
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(nmmu_slot_of(lab.m, 0, GFN), GFN, 1)), 0);
		/* Written, taken, written again: seen both times. */
		assert_int_equal(ms_machine_log_get(lab.mm, 0, 5, bitmap), 0);
		assert_int_equal(bitmap[0], 1);
		lab_access(&lab, 0x5000, "w", 2);
		assert_int_equal(ms_machine_log_get(lab.mm, 0, 5, bitmap), 0);
		assert_int_equal(bitmap[0], 1);
		ms_tables_destroy(t);
		lab_deinit(&lab);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dl_rw_direct),	    cmocka_unit_test(dl_rw_indirect),
		cmocka_unit_test(huge_and_logging), cmocka_unit_test(protect_for_shadow),
		cmocka_unit_test(tracked_direct),   cmocka_unit_test(tracked_indirect),
		cmocka_unit_test(by_sync),	    cmocka_unit_test(prefetch_window),
		cmocka_unit_test(prefetch_direct),  cmocka_unit_test(read_only),
		cmocka_unit_test(mmio_direct),	    cmocka_unit_test(mmio_uncached),
		cmocka_unit_test(mmio_update),	    cmocka_unit_test(ping_pong),
		cmocka_unit_test(aliases),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
