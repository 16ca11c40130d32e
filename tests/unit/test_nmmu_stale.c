// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What must not outlive a change: translations that a CPU may hold of an entry that went, unsync pages below
 * a new link, device entries in the middle of a memslot update, entries of previous roots (SEMANTICS E1, D.1
 * steps 2, 6 and 8, D3, F).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmu_box.h"

#define R NMMU_PF_U
#define W NMMU_PF_W
#define P NMMU_PF_P
#define I NMMU_PF_I

#define DATA 0x1000000ULL /* GPAs from here on are data */
#define LARGE 0x1200000ULL /* 2 MiB aligned */
#define DEV_GFN 0x80000ULL /* no slot there */
#define DEV (DEV_GFN << 12)

#define EPT_R 0x331ULL /* read only, write-back, A D */
#define EPT_RW_CLEAN 0x133ULL /* no X, D clear */

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

#define for_each_kernel(kernel) \
	for (const enum nmmu_kernel *k_ = kernels; k_ < kernels + 2 && (kernel = *k_, true); k_++)

/* --- leaves that went and were not flushed yet --- */

struct watch {
	bool pending_w, synced_early; /* the same of W; a table was read for syncing meanwhile */
	bool pending; /* a CPU may hold a translation of what is no longer there */
	u32 cleared, unlocks, unflushed;
	enum ms_cause flush_cause;
	bool flush_locked;
};

static void watch_event(struct box *b, const struct ms_event *event)
{
	const struct spte_profile *p = &b->m->profile;
	struct watch *watch = b->ctx;

	if (event->id == MS_EV_spte_set &&
	    spte_is_leaf(p, event->u.spte_set.old_spte, event->u.spte_set.level) &&
	    !spte_is_mmu_present(p, event->u.spte_set.new_spte)) {
		watch->pending = true;
		watch->cleared++;
	}
	if (event->id == MS_EV_spte_set && spte_is_mmu_present(p, event->u.spte_set.new_spte) &&
	    spte_is_writable(event->u.spte_set.old_spte) && !spte_is_writable(event->u.spte_set.new_spte))
		watch->pending_w = true;
	if (event->id == MS_EV_sync)
		watch->synced_early |= watch->pending_w;
	if (event->id == MS_EV_flush) {
		watch->pending_w = false;
		watch->pending = false;
		watch->flush_cause = event->cause;
		watch->flush_locked = b->locked;
	}
}

static void watch_yield(struct box *b, enum nmmu_point point)
{
	struct watch *watch = b->ctx;

	if (point != NMMU_POINT_UNLOCK)
		return;
	watch->unlocks++;
	watch->unflushed += watch->pending;
}

static void watch_start(struct box *b, struct watch *watch)
{
	*watch = (struct watch){ .pending = false };
	b->ctx = watch;
	b->on_event = watch_event;
	b->on_yield = watch_yield;
}

static void watch_stop(struct box *b)
{
	b->on_event = NULL;
	b->on_yield = NULL;
}

/*
 * D.1 step 8: L1 maps another frame, without INVEPT; the fault that finds it replaces the leaf and flushes.
 */
static void leaf_of_another_frame(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_result result = { 0 };
		struct nmmu_slot *slot;
		struct watch watch;
		struct box b;
		u64 root, pte;

		box_start_l2(&b, kernel, &root);
		pte = box_map(&b, root, 4, 0, DATA, 1, EPT_R, EPT_TABLE);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		box_leave(&b);
		assert_false(box_l1_write(&b, pte, (DATA + 0x5000) | EPT_RWX));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(box_pfn_at(&b, 0), box_pfn_of(DATA));

		watch_start(&b, &watch);
		assert_int_equal(nmmu_page_fault(b.v, 0, W | P, &result), NMMU_RET_FIXED);
		watch_stop(&b);
		assert_int_equal(watch.cleared, 1);
		assert_int_equal(watch.unflushed, 0);
		assert_int_equal(watch.flush_cause, MS_CAUSE_FAULT);
		assert_true(watch.flush_locked);
		box_check(&b);
		assert_int_equal(box_pfn_at(&b, 0), box_pfn_of(DATA + 0x5000));
		slot = nmmu_slot_of(b.m, 0, 0);
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(slot, DATA >> 12, 1)), 0);
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(slot, (DATA + 0x5000) >> 12, 1)), 1);
		box_deinit(&b);
	}
}

/* The same, and what L1 maps now is a device. */
static void leaf_becomes_device(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_result result = { 0 };
		struct watch watch;
		struct box b;
		u64 root, pte;

		box_start_l2(&b, kernel, &root);
		pte = box_map(&b, root, 4, 0, DATA, 1, EPT_R, EPT_TABLE);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		box_leave(&b);
		assert_false(box_l1_write(&b, pte, DEV | EPT_RWX));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);

		watch_start(&b, &watch);
		assert_int_equal(nmmu_page_fault(b.v, 0, W | P, &result), NMMU_RET_EMULATE);
		watch_stop(&b);
		assert_int_equal(watch.cleared, 1);
		assert_int_equal(watch.unflushed, 0);
		box_check(&b);
		assert_true(spte_is_mmio(&b.m->profile, *box_spte(&b, 0, 1)));
		box_deinit(&b);
	}
}

/*
 * A root that is zapped while it is used goes on no list whose end would flush. Its own leaves, of a guest
 * without paging under shadow paging, must be flushed all the same: the slot's memory is not the guest's any
 * more. KVM throws vCPUs out of the guest by the request.
 */
static void leaves_of_a_root(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct watch watch;
		struct box b;
		u32 level;

		cfg.tdp = false;
		box_init(&b, &cfg);
		b.host_level = 2;
		assert_int_equal(box_fault(&b, LARGE, R), NMMU_RET_FIXED);
		level = box_page_of(&b, LARGE, 2)->role.level;
		assert_true(spte_is_leaf(&b.m->profile, *box_spte(&b, LARGE, 2), level));
		watch_start(&b, &watch);
		assert_int_equal(nmmu_slot_set(b.m, 0, 1, 0, 0, 0, 0), 0);
		watch_stop(&b);
		assert_int_equal(watch.cleared, 1);
		assert_int_equal(watch.unflushed, 0);
		assert_false(watch.pending);
		box_deinit(&b);
	}
}

/*
 * zap-all gives the lock away between batches: whoever takes it finds nothing mapped, and must be right about
 * TLBs.
 */
static void zap_all_in_batches(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct watch watch;
		struct box b;
		u64 root;
		u32 i;

		box_start_l2(&b, kernel, &root);
		box_leave(&b);
		for (i = 0; i < 14; i++)
			assert_int_equal(box_fault(&b, (u64)i << 21, R), NMMU_RET_FIXED);
		watch_start(&b, &watch);
		nmmu_zap_all(b.m);
		watch_stop(&b);
		assert_true(watch.unlocks > 1);
		assert_true(watch.cleared >= 14);
		assert_int_equal(watch.unflushed, 0);
		box_deinit(&b);
	}
}

/* --- links --- */

/*
 * D.1 step 6: a level-3 table with an unsync page below is linked to a second place. The guest need not flush
 * for what was not present there, so all below must be up to date, not just what the fault was about.
 */
static void synced_before_linked(void **state)
{
	const u64 second = 1ULL << 39;
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_sp *sp, *table;
		struct box b;
		u64 root;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		box_map_l2(&b, root, 0x9000, DATA + 0x1000);
		sp = box_page_of(&b, 0, 1);
		table = box_page_of(&b, 0, 3);
		box_set(&b, (root << 12) + 8, table->gfn << 12 | EPT_TABLE);
		box_leave(&b);
		assert_false(box_l1_write(&b, (sp->gfn << 12) + 9 * 8, 0));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_true(sp->unsync);
		assert_int_equal(box_pfn_at(&b, 0x9000), box_pfn_of(DATA + 0x1000));

		box_fault(&b, second, R);
		assert_ptr_equal(box_page_of(&b, second, 3), table);
		assert_int_equal(box_pfn_at(&b, second), box_pfn_of(DATA));
		assert_int_equal(box_pfn_at(&b, second + 0x9000), 0);
		assert_false(sp->unsync);
		assert_int_equal(table->unsync_children, 0);
		box_deinit(&b);
	}
}

/* --- devices while memslots change --- */

struct in_swap {
	u32 swaps;
	int ret;
};

static void fault_in_swap(struct box *b, enum nmmu_point point)
{
	struct in_swap *in = b->ctx;
	struct nmmu_result result = { 0 };

	if (point == NMMU_POINT_SLOTS_SWAP && !in->swaps++)
		in->ret = nmmu_page_fault(b->v, DEV, NMMU_PF_RSVD, &result);
}

/*
 * D.1 step 2: while the slots are being exchanged the number is still the one in the entry, but memory is
 * there already. Bit 63 makes it stale.
 */
static void device_entry_in_update(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct in_swap in = { .ret = -1 };
		struct nmmu_result result = { 0 };
		struct box b;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		assert_int_equal(box_fault(&b, DEV, R), NMMU_RET_EMULATE);
		assert_int_equal(nmmu_page_fault(b.v, DEV, NMMU_PF_RSVD, &result), NMMU_RET_EMULATE);
		/* Of another device since: the one-page cache does not answer for it. */
		assert_int_equal(box_fault(&b, DEV + 0x1000, R), NMMU_RET_EMULATE);
		b.ctx = &in;
		b.on_yield = fault_in_swap;
		assert_int_equal(nmmu_slot_set(b.m, 0, 5, DEV_GFN, 1, BOX_HVA, 0), 0);
		b.on_yield = NULL;
		assert_int_equal(in.swaps, 1);
		assert_int_equal(in.ret, NMMU_RET_FIXED);
		assert_int_equal(box_pfn_at(&b, DEV), BOX_PFN);
		box_check(&b);
		box_deinit(&b);
	}
}

/* A CR3 write and INVLPG make the cached device's address uncertain, not its frame. */
static void device_cache(void **state)
{
	enum nmmu_kernel kernel;
	u32 tdp;

	for_each_kernel(kernel) for (tdp = 0; tdp < 2; tdp++)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_regs regs;
		u64 root[2], gva = 0x7000;
		struct box b;
		u32 i;

		cfg.tdp = tdp;
		box_init(&b, &cfg);
		for (i = 0; i < 2; i++) {
			root[i] = box_table(&b);
			box_map(&b, root[i], 4, gva, DEV, 1, PT_RW, PT_TABLE);
		}
		box_long_mode(&b, root[0] << 12);
		assert_int_equal(box_fault(&b, tdp ? DEV : gva, R), NMMU_RET_EMULATE);
		assert_int_equal(nmmu_mmio_cache_has_gva(b.v, gva), !tdp);
		assert_true(nmmu_mmio_cache_has_gpa(b.v, DEV));
		nmmu_invlpg(b.v, gva + 0x1000);
		assert_int_equal(nmmu_mmio_cache_has_gva(b.v, gva), !tdp);
		nmmu_invlpg(b.v, gva);
		assert_false(nmmu_mmio_cache_has_gva(b.v, gva));
		assert_true(nmmu_mmio_cache_has_gpa(b.v, DEV));

		box_fault(&b, tdp ? DEV + 0x1000 : gva, R);
		box_fault(&b, tdp ? DEV : gva, R);
		regs = b.v->regs;
		regs.cr3 = root[1] << 12;
		assert_int_equal(nmmu_set_regs(b.v, &regs), 0);
		box_load(&b);
		assert_false(nmmu_mmio_cache_has_gva(b.v, gva));
		assert_true(nmmu_mmio_cache_has_gpa(b.v, DEV));
		box_deinit(&b);
	}
}

/* --- previous roots --- */

/*
 * D3 syncs an address in previous roots of the same table too. One of them may go by A/D bits that the
 * current one, whose format is at hand, does not know of: B1 holds for it all the same.
 */
static void previous_root_with_other_bits(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_result result = { 0 };
		u64 root, pte, *sptep;
		struct box b;

		box_start_l2(&b, kernel, &root);
		pte = box_map(&b, root, 4, 0, DATA, 1, EPT_RW_CLEAN, EPT_TABLE);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_false(spte_is_writable(*box_spte(&b, 0, 1)));
		box_leave(&b);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP_NO_AD);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_true(spte_is_writable(*box_spte(&b, 0, 1)));
		box_leave(&b);
		/* Unsync, by a bit that EPT ignores. */
		assert_false(box_l1_write(&b, pte, DATA | EPT_RW_CLEAN | 1ULL << 11));

		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP_NO_AD);
		box_load(&b);
		assert_int_equal(b.v->guest_mmu.prev[0].pgd, root << 12 | EPTP);
		assert_int_equal(nmmu_page_fault(b.v, 0, I | P, &result), NMMU_FAULT_INJECTED);
		box_check(&b);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		sptep = box_spte(&b, 0, 1);
		if (box_is_present(&b, sptep))
			assert_false(spte_is_writable(*sptep));
		/* The write goes by EPT12's D bit. */
		assert_int_equal(box_fault(&b, 0, W), NMMU_RET_FIXED);
		assert_true(box_get(&b, pte) & 0x200);
		box_deinit(&b);
	}
}

/* --- faults and the host's invalidations --- */

struct race {
	u64 start, end; /* of hva, taken away while the page is looked up */
	bool request;
	u32 resolved, locks_after;
};

static void race_yield(struct box *b, enum nmmu_point point)
{
	struct race *race = b->ctx;

	if (point == NMMU_POINT_LOCK && race->resolved)
		race->locks_after++;
	if (point != NMMU_POINT_PFN_RESOLVED || race->resolved++)
		return;
	b->on_yield = NULL;
	if (race->request)
		b->v->requests |= NMMU_REQ_FREE_OBSOLETE;
	if (race->end)
		nmmu_invalidate_begin(b->m, race->start, race->end);
	b->on_yield = race_yield;
}

static int race_run(struct box *b, struct race *race, u64 addr)
{
	struct nmmu_result result = { 0 };
	int ret;

	box_load(b);
	b->ctx = race;
	b->on_yield = race_yield;
	ret = nmmu_page_fault(b->v, addr, R, &result);
	b->on_yield = NULL;
	return ret;
}

/* D.1 step 6: begun and not ended, so that the sequence is the same; only the range tells. */
static void range_in_progress(void **state)
{
	static const struct {
		s64 from, to; /* pages from the one that faults */
		bool hit;
	} t[] = { { 0, 1, true }, { -1, 1, true }, { -2, 0, false }, { 1, 3, false } };
	enum nmmu_kernel kernel;
	u32 i;

	for_each_kernel(kernel) for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 hva = BOX_HVA + DATA;
		struct race race = { .start = hva + (u64)t[i].from * 4096, .end = hva + (u64)t[i].to * 4096 };
		struct race again = { .end = 0 };
		struct box b;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		assert_int_equal(race_run(&b, &race, DATA), t[i].hit ? NMMU_RET_RETRY : NMMU_RET_FIXED);
		assert_int_equal(box_pfn_at(&b, DATA), t[i].hit ? 0 : box_pfn_of(DATA));
		/* None of the neighbours comes along while that lasts. */
		assert_int_equal(box_pfn_at(&b, DATA + 0x5000), 0);
		if (t[i].hit) {
			/* 6.12 sees it without the lock, and the second time before it asks the host. */
			assert_int_equal(race.locks_after, kernel == NMMU_6_1);
			assert_int_equal(race_run(&b, &again, DATA), NMMU_RET_RETRY);
			assert_int_equal(again.resolved, kernel == NMMU_6_1);
		}
		nmmu_invalidate_end(b.m, race.start, race.end);
		if (t[i].hit) {
			assert_int_equal(box_fault(&b, DATA, R), NMMU_RET_FIXED);
			assert_int_equal(box_pfn_at(&b, DATA + 0x5000), box_pfn_of(DATA + 0x5000));
		}
		box_deinit(&b);
	}
}

/* A root that is no page, and a request to look at roots: it may be made of what is gone. */
static void request_without_root_page(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct race race = { .request = true };
		struct box b;

		cfg.tdp = false;
		box_init(&b, &cfg);
		assert_int_equal(race_run(&b, &race, DATA), NMMU_RET_RETRY);
		assert_int_equal(box_fault(&b, DATA, R), NMMU_RET_FIXED);
		box_deinit(&b);
	}
}

/* --- prefetch: where it stops --- */

static void prefetch_stops(void **state)
{
	enum nmmu_kernel kernel;
	u32 during;

	for_each_kernel(kernel) for (during = 0; during < 2; during++)
	{
		struct box b;
		u64 root;
		u32 i;

		box_start_l2(&b, kernel, &root);
		assert_int_equal(nmmu_slot_set(b.m, 0, 1, 0, BOX_PAGES, BOX_HVA, MS_SLOT_LOG_DIRTY), 0);
		for (i = 0; i < 4; i++)
			box_map(&b, root, 4, i * 0x1000, DATA + i * 0x1000, 1, i == 2 ? EPT_RWX : EPT_R,
				EPT_TABLE);
		if (during)
			nmmu_invalidate_begin(b.m, BOX_HVA, BOX_HVA + 4096);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		if (during)
			nmmu_invalidate_end(b.m, BOX_HVA, BOX_HVA + 4096);
		assert_int_equal(box_pfn_at(&b, 0x1000), during ? 0 : box_pfn_of(DATA + 0x1000));
		/* It would be writable, and dirty by being looked ahead at: the end. */
		assert_int_equal(box_pfn_at(&b, 0x2000), 0);
		assert_int_equal(box_pfn_at(&b, 0x3000), 0);
		box_deinit(&b);
	}
}

/* A run of neighbours that leaves the slot: none of it. */
static void prefetch_at_end_of_slot(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct box b;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		assert_int_equal(nmmu_slot_set(b.m, 0, 5, DEV_GFN, 5, BOX_HVA, 0), 0);
		assert_int_equal(box_fault(&b, DEV + 0x2000, R), NMMU_RET_FIXED);
		/* Before it is a run of its own. */
		assert_int_equal(box_pfn_at(&b, DEV + 0x1000), BOX_PFN + 1);
		assert_int_equal(box_pfn_at(&b, DEV + 0x3000), 0);
		box_deinit(&b);
	}
}

/* NX: an execute fault puts a table where a large leaf is. Its translations go at once. */
static void link_over_a_leaf(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_result result = { 0 };
		struct watch watch;
		struct box b;

		cfg.nx_huge_pages = true;
		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		b.host_level = 2;
		assert_int_equal(box_fault(&b, LARGE, R), NMMU_RET_FIXED);
		watch_start(&b, &watch);
		assert_int_equal(nmmu_page_fault(b.v, LARGE, I | P, &result), NMMU_RET_FIXED);
		watch_stop(&b);
		assert_int_equal(watch.cleared, 1);
		assert_int_equal(watch.unflushed, 0);
		assert_int_equal(watch.flush_cause, MS_CAUSE_RELINK);
		box_check(&b);
		box_deinit(&b);
	}
}

/* An unsync level-1 page found by its role is synced as a whole, and what was dropped is flushed. */
static void found_unsync_is_synced(void **state)
{
	const u64 second = 1ULL << 39;
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_result result = { 0 };
		struct nmmu_sp *sp;
		struct watch watch;
		struct box b;
		u64 root;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		box_map_l2(&b, root, 0x9000, DATA + 0x1000);
		sp = box_page_of(&b, 0, 1);
		box_map(&b, root, 4, second, sp->gfn << 12, 2, EPT_TABLE, EPT_TABLE);
		box_leave(&b);
		assert_false(box_l1_write(&b, (sp->gfn << 12) + 9 * 8, 0));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		watch_start(&b, &watch);
		nmmu_page_fault(b.v, second, R, &result);
		watch_stop(&b);
		assert_ptr_equal(box_page_of(&b, second, 1), sp);
		assert_true(sp->unsync);
		assert_int_equal(box_pfn_at(&b, second + 0x9000), 0);
		assert_int_equal(watch.cleared, 1);
		assert_int_equal(watch.unflushed, 0);
		box_check(&b);
		box_deinit(&b);
	}
}

/*
 * E1 in those that drop entries by themselves: sync at load, INVLPG, an emulated write, a reverse map that is
 * full.
 */
static void who_drops_flushes(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_slot *slot;
		struct watch watch;
		struct box b;
		u64 root, pte;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		box_map_l2(&b, root, 0x9000, DATA + 0x1000);
		pte = box_page_of(&b, 0, 1)->gfn << 12;
		box_leave(&b);
		assert_false(box_l1_write(&b, pte, 0));
		assert_int_equal(nmmu_invept(b.v, true, 0), 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		watch_start(&b, &watch);
		box_load(&b);
		watch_stop(&b);
		assert_true(watch.cleared);
		assert_int_equal(watch.unflushed, 0);
		assert_false(watch.synced_early);

		watch_start(&b, &watch);
		nmmu_pt_write(b.v, pte + 9 * 8, 0, 8);
		watch_stop(&b);
		assert_int_equal(watch.cleared, 1);
		assert_int_equal(watch.unflushed, 0);

		assert_int_equal(box_fault(&b, 0x9000, R), NMMU_RET_FIXED);
		slot = nmmu_slot_of(b.m, 0, 0);
		watch_start(&b, &watch);
		nmmu_lock(b.m);
		nmmu_rmap_recycle(b.m, nmmu_slot_rmap(slot, (DATA + 0x1000) >> 12, 1));
		nmmu_unlock(b.m);
		watch_stop(&b);
		assert_int_equal(watch.cleared, 1);
		assert_int_equal(watch.unflushed, 0);
		box_check(&b);
		box_deinit(&b);
	}
}

static void invlpg_flushes(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 root, pte, self = 0x40000000;
		struct watch watch;
		struct box b;

		cfg.tdp = false;
		box_init(&b, &cfg);
		root = box_table(&b);
		pte = box_map(&b, root, 4, 0, DATA, 1, PT_RW, PT_TABLE);
		box_map(&b, root, 4, self, pte & ~0xfffULL, 1, PT_RW, PT_TABLE);
		box_long_mode(&b, root << 12);
		box_fault(&b, 0, R);
		assert_int_equal(box_fault(&b, self, W), NMMU_RET_FIXED);
		box_set(&b, pte, 0);
		watch_start(&b, &watch);
		nmmu_invlpg(b.v, 0);
		watch_stop(&b);
		assert_int_equal(watch.cleared, 1);
		assert_int_equal(watch.unflushed, 0);
		box_check(&b);
		box_deinit(&b);
	}
}

/* An entry made in SMM has the number of that address space, and is current by it alone. */
static void device_entry_in_smm(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_result result = { 0 };
		struct nmmu_regs regs;
		struct box b;
		u32 stored;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		/* The numbers differ by more than the address space's bit. */
		assert_int_equal(nmmu_slot_set(b.m, 1, 1, 0, 16, BOX_HVA, 0), 0);
		assert_int_equal(nmmu_slot_set(b.m, 1, 1, 0, 16, BOX_HVA, MS_SLOT_LOG_DIRTY), 0);
		box_load(&b); /* a root for the other address space */
		regs = b.v->regs;
		regs.smm = true;
		assert_int_equal(nmmu_set_regs(b.v, &regs), 0);
		assert_int_equal(box_fault(&b, DEV, R), NMMU_RET_EMULATE);
		assert_int_equal(box_fault(&b, DEV + 0x1000, R), NMMU_RET_EMULATE);
		assert_int_equal(box_page_of(&b, DEV, 1)->role.smm, 1);
		assert_int_equal(spte_mmio_gen(&b.m->profile, *box_spte(&b, DEV, 1)),
				 nmmu_generation(b.m, 1));
		stored = b.events[MS_EV_spte_set];
		assert_int_equal(nmmu_page_fault(b.v, DEV, NMMU_PF_RSVD, &result), NMMU_RET_EMULATE);
		assert_int_equal(b.events[MS_EV_spte_set], stored);
		box_deinit(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaf_of_another_frame), cmocka_unit_test(leaf_becomes_device),
		cmocka_unit_test(leaves_of_a_root),	 cmocka_unit_test(zap_all_in_batches),
		cmocka_unit_test(synced_before_linked),	 cmocka_unit_test(device_entry_in_update),
		cmocka_unit_test(device_cache),		 cmocka_unit_test(previous_root_with_other_bits),
		cmocka_unit_test(range_in_progress),	 cmocka_unit_test(request_without_root_page),
		cmocka_unit_test(prefetch_stops),	 cmocka_unit_test(prefetch_at_end_of_slot),
		cmocka_unit_test(link_over_a_leaf),	 cmocka_unit_test(found_unsync_is_synced),
		cmocka_unit_test(who_drops_flushes),	 cmocka_unit_test(invlpg_flushes),
		cmocka_unit_test(device_entry_in_smm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
