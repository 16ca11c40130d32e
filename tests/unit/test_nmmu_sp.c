// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow pages: found, shared, linked, zapped, unsync and synced, recycled (SEMANTICS A3, C3, C5, F; scenarios 20, 21,
 * 25-27 of I). Every step ends with the engine's check of all its invariants; what that cannot know is asserted here.
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

#define DATA 0x1000000ULL /* GPAs from here on are data */
#define LARGE 0x1200000ULL /* 2 MiB aligned */

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

#define for_each_kernel(kernel) \
	for (const enum nmmu_kernel *k_ = kernels; k_ < kernels + 2 && (kernel = *k_, true); k_++)

static bool is_present(struct box *b, const u64 *sptep)
{
	return sptep && spte_is_mmu_present(&b->m->profile, *sptep);
}

static u64 pfn_at(struct box *b, u64 addr)
{
	u64 *sptep = box_spte(b, addr, 1);

	return is_present(b, sptep) ? spte_pfn(&b->m->profile, *sptep) : 0;
}

static u64 pfn_of(u64 gpa)
{
	return BOX_PFN + (gpa >> 12);
}

static struct nmmu_sp *page_of(struct box *b, u64 addr, u32 level)
{
	return nmmu_sp_of_spte(b->m, box_spte(b, addr, level));
}

/* L2 runs on EPT12 tables below *root_ret. */
static void start_l2(struct box *b, enum nmmu_kernel kernel, u64 *root_ret)
{
	struct nmmu_config cfg = box_config(kernel);

	box_init(b, &cfg);
	*root_ret = box_table(b);
	box_long_mode(b, 0);
	box_enter(b, NMMU_NESTED_EPT, *root_ret << 12 | EPTP);
}

static void map(struct box *b, u64 root, u64 ngpa, u64 gpa)
{
	box_map(b, root, 4, ngpa, gpa, 1, EPT_RWX, EPT_TABLE);
	assert_int_equal(box_fault(b, ngpa, R), NMMU_RET_FIXED);
	assert_int_equal(pfn_at(b, ngpa), pfn_of(gpa));
}

static void leave(struct box *b)
{
	nmmu_nested_leave(b->v, NULL);
	box_check(b);
}

/* L1's store, by the CPU where EPT01 lets it, else emulated. True: emulated. */
static bool l1_write(struct box *b, u64 gpa, u64 value)
{
	int ret = box_fault(b, gpa, W | P);

	box_set(b, gpa, value);
	if (ret != NMMU_RET_EMULATE)
		return false;
	nmmu_pt_write(b->v, gpa, value, 8);
	box_check(b);
	return true;
}

/* --- finding and sharing --- */

static void one_page_for_gfn_and_role(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, l3;
		u32 nr;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		assert_int_equal(box_nr_pages(&b), 4);
		/* A second way to the same level-3 table: nothing new but the link. */
		l3 = box_get(&b, root << 12);
		box_set(&b, (root << 12) + 8, l3);
		nr = box_nr_pages(&b);
		box_fault(&b, 1ULL << 39, R);
		assert_int_equal(box_nr_pages(&b), nr);
		assert_int_equal(nmmu_rmap_count(page_of(&b, 0, 3)->parents), 2);
		assert_ptr_equal(page_of(&b, 0, 1), page_of(&b, 1ULL << 39, 1));
		box_deinit(&b);
	}
}

/* The same table below entries that grant different rights: two pages, told apart by role.access. */
static void rights_of_ancestors_are_the_role(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root;
		struct nmmu_sp *all, *read;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		box_set(&b, (root << 12) + 8, (box_get(&b, root << 12) & ~7ULL) | 1);
		assert_int_equal(box_fault(&b, 1ULL << 39, R), NMMU_RET_FIXED);
		all = page_of(&b, 0, 1);
		read = page_of(&b, 1ULL << 39, 1);
		assert_ptr_not_equal(all, read);
		assert_int_equal(all->gfn, read->gfn);
		assert_int_equal(all->role.access, NMMU_ACC_ALL);
		assert_int_equal(read->role.access, NMMU_ACC_U);
		assert_false(spte_is_writable(*box_spte(&b, 1ULL << 39, 1)));
		box_deinit(&b);
	}
}

/* Arrays for translations: every indirect page in 6.1, levels 1 to 3 in 6.12 (C.3). */
static void who_has_translations(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root;
		u32 level;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		for (level = 1; level <= 4; level++)
			assert_int_equal(page_of(&b, 0, level)->translation != NULL,
					 kernel == NMMU_6_1 || level <= 3);
		assert_int_equal(nmmu_sp_gfn(page_of(&b, 0, 1), 0), DATA >> 12);
		assert_int_equal(nmmu_sp_access(page_of(&b, 0, 1), 0), NMMU_ACC_ALL);
		leave(&b);
		box_fault(&b, DATA, R);
		assert_null(page_of(&b, DATA, 1)->translation);
		assert_int_equal(nmmu_sp_gfn(page_of(&b, DATA, 1), 3), (DATA >> 12) + 3);
		assert_int_equal(nmmu_sp_gfn(page_of(&b, DATA, 2), 3), 3 << 9);
		box_deinit(&b);
	}
}

/* --- accounting --- */

static void tables_are_tracked(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_slot *slot;
		struct box b;
		u64 root, l1;

		start_l2(&b, kernel, &root);
		slot = nmmu_slot_of(b.m, 0, 0);
		/* L1 has its tables mapped writable before L2 runs. */
		leave(&b);
		box_fault(&b, root << 12, W);
		assert_true(spte_is_writable(*box_spte(&b, root << 12, 1)));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		map(&b, root, 0, DATA);
		l1 = page_of(&b, 0, 1)->gfn;
		assert_int_equal(slot->write_track[root], 1);
		assert_int_equal(slot->write_track[l1], 0);
		/* Four tables, all in the same 2 MiB. */
		assert_int_equal(slot->disallow_lpage[0][nmmu_lpage_index(slot, l1, 2)], 4);
		assert_int_equal(b.m->nr_indirect, 4);
		leave(&b);
		assert_false(spte_is_writable(*box_spte(&b, root << 12, 1)));
		assert_false(spte_is_mmu_writable(&b.m->profile, *box_spte(&b, root << 12, 1)));

		nmmu_lock(b.m);
		assert_true(nmmu_unprotect_gfn(b.m, l1));
		assert_false(nmmu_unprotect_gfn(b.m, l1));
		nmmu_unlock(b.m);
		box_check(&b);
		assert_int_equal(slot->disallow_lpage[0][nmmu_lpage_index(slot, l1, 2)], 3);
		nmmu_zap_all(b.m);
		assert_int_equal(b.m->nr_indirect, 0);
		assert_int_equal(slot->disallow_lpage[0][nmmu_lpage_index(slot, l1, 2)], 0);
		assert_int_equal(slot->write_track[root], 0);
		box_deinit(&b);
	}
}

/* I 22: an entry whose W was taken by the log is still cached writable: the flush comes before the lock is dropped. */
static bool flushed_locked;

static void note_flush(struct box *b, const struct ms_event *event)
{
	if (event->id == MS_EV_flush && event->u.flush.cause == MS_CAUSE_SHADOWED)
		flushed_locked = b->locked;
}

static void protecting_flushes_before_unlock(void **state)
{
	enum nmmu_kernel kernel;
	static u64 bitmap[BOX_PAGES / 64];

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root;

		start_l2(&b, kernel, &root);
		assert_int_equal(nmmu_slot_set(b.m, 0, 1, 0, BOX_PAGES, BOX_HVA, MS_SLOT_LOG_DIRTY), 0);
		leave(&b);
		box_fault(&b, root << 12, W);
		assert_int_equal(nmmu_log_get(b.m, 0, 1, bitmap), 0);
		assert_int_equal(spte_wstate(&b.m->profile, *box_spte(&b, root << 12, 1), 1), SPTE_W_DL);
		flushed_locked = false;
		b.on_event = note_flush;
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_true(flushed_locked);
		leave(&b);
		assert_int_equal(spte_wstate(&b.m->profile, *box_spte(&b, root << 12, 1), 1), SPTE_W_WP);
		box_deinit(&b);
	}
}

/* --- C3: what may be kept at an entry --- */

/*
 * I 20 and 21. A large entry is shadowed by a direct page; then the guest's memory says that it is a table, at the same gfn
 * or another, and nobody told the engine (a device wrote it).
 */
static void large_becomes_table(enum nmmu_kernel kernel, bool same_gfn)
{
	struct box b;
	u64 root, pde, table;
	struct nmmu_sp *direct, *indirect;

	start_l2(&b, kernel, &root);
	pde = box_map(&b, root, 4, 0, LARGE, 2, EPT_RWX | PT_HUGE, EPT_TABLE);
	assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
	direct = page_of(&b, 0, 1);
	assert_true(direct->role.direct);
	assert_int_equal(direct->gfn, LARGE >> 12);

	table = same_gfn ? LARGE >> 12 : box_table(&b);
	box_set(&b, table << 12, DATA | EPT_RWX);
	box_set(&b, (table << 12) + 8 * 8, (DATA + 0x8000) | EPT_RWX);
	box_set(&b, pde, table << 12 | EPT_TABLE);
	assert_int_equal(box_fault(&b, 0x8000, R), NMMU_RET_FIXED);
	indirect = page_of(&b, 0x8000, 1);
	assert_false(indirect->role.direct);
	assert_int_equal(indirect->gfn, table);
	assert_int_equal(pfn_at(&b, 0x8000), pfn_of(DATA + 0x8000));
	assert_false(is_present(&b, box_spte(&b, 0, 1)));

	/* Nothing may be left in the slot's lists when it goes, nor anything that points into freed pages. */
	assert_int_equal(nmmu_slot_set(b.m, 0, 1, 0, 0, 0, 0), 0);
	box_check(&b);
	assert_int_equal(b.m->nr_indirect, 0);
	box_deinit(&b);
}

static void large_becomes_table_of_same_gfn(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel) large_becomes_table(kernel, true);
}

static void large_becomes_table_of_other_gfn(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel) large_becomes_table(kernel, false);
}

/* The right child is kept, not made again. */
static void right_child_is_kept(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root;
		u32 created;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		created = b.events[MS_EV_sp_create];
		map(&b, root, 0x9000, DATA + 0x1000);
		assert_int_equal(b.events[MS_EV_sp_create], created);
		assert_int_equal(b.events[MS_EV_sp_zap], 0);
		box_deinit(&b);
	}
}

/* --- zapping, orphans --- */

/* A store to an entry of level 2 leaves its child to be found again; relinking over another child zaps that one. */
static void orphans(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, pde, old_pde, other;
		struct nmmu_sp *child;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		child = page_of(&b, 0, 1);
		pde = page_of(&b, 0, 2)->gfn << 12;
		old_pde = box_get(&b, pde);
		leave(&b);
		assert_true(l1_write(&b, pde, 0));
		assert_int_equal(child->parents.val, 0);
		assert_false(child->role.invalid);
		assert_true(is_present(&b, &child->spt[0]));
		/* Put back: found again. */
		assert_true(l1_write(&b, pde, old_pde));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_fault(&b, 0, R);
		assert_ptr_equal(page_of(&b, 0, 1), child);

		/* Changed behind the engine's back: the old child has no parent left and goes, at once. */
		other = box_table(&b);
		box_set(&b, other << 12, (DATA + 0x1000) | EPT_RWX);
		box_set(&b, pde, other << 12 | EPT_TABLE);
		/* A page of its own for the address not yet mapped, so that the walk is asked for. */
		box_set(&b, (other << 12) + 9 * 8, (DATA + 0x2000) | EPT_RWX);
		assert_int_equal(box_fault(&b, 0x9000, R), NMMU_RET_FIXED);
		assert_null(box_sp(&b, old_pde >> 12, 1));
		box_deinit(&b);
	}
}

/* Zapping a table takes what only it led to, and leaves what has another parent. */
static void zapping_goes_down(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root;
		struct nmmu_sp *l3, *shared;
		struct nmmu_link invalid;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		map(&b, root, 1ULL << 30, DATA + 0x1000);
		/* The second level-3 table leads to one level-2 table of the first. */
		map(&b, root, 1ULL << 39, DATA + 0x2000);
		box_set(&b, (page_of(&b, 1ULL << 39, 3)->gfn << 12) + 8,
			box_get(&b, (page_of(&b, 0, 3)->gfn << 12) + 8));
		box_fault(&b, (1ULL << 39) + (1ULL << 30), R);
		shared = page_of(&b, 1ULL << 30, 2);
		assert_int_equal(nmmu_rmap_count(shared->parents), 2);
		l3 = page_of(&b, 0, 3);
		assert_int_equal(box_nr_pages(&b), 1 + 2 + 3 + 3);

		nmmu_lock(b.m);
		nmmu_link_init(&invalid);
		nmmu_sp_prepare_zap(b.m, l3, &invalid, MS_CAUSE_UNPROTECT);
		nmmu_sp_commit_zap(b.m, &invalid, MS_CAUSE_UNPROTECT);
		nmmu_unlock(b.m);
		box_check(&b);
		/* Gone: the level-3 page, and its own level-2 and level-1 pages. */
		assert_int_equal(box_nr_pages(&b), 1 + 1 + 2 + 2);
		assert_int_equal(nmmu_rmap_count(shared->parents), 1);
		assert_false(is_present(&b, box_spte(&b, 0, 4)));
		assert_int_equal(pfn_at(&b, (1ULL << 39) + (1ULL << 30)), pfn_of(DATA + 0x1000));
		box_deinit(&b);
	}
}

/* Shadow paging leaves orphans; those that are unsync go, though, with whatever led to them. */
static void unsync_children_go_too(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 root, pt[2], self = 0x40000000;
		struct box b;

		cfg.tdp = false;
		box_init(&b, &cfg);
		root = box_table(&b);
		pt[0] = box_map(&b, root, 4, 0, DATA, 1, PT_RW, PT_TABLE) >> 12;
		pt[1] = box_map(&b, root, 4, 1 << 21, DATA, 1, PT_RW, PT_TABLE) >> 12;
		box_map(&b, root, 4, self, pt[1] << 12, 1, PT_RW, PT_TABLE);
		box_long_mode(&b, root << 12);
		box_fault(&b, 0, R);
		box_fault(&b, 1 << 21, R);
		assert_int_equal(box_fault(&b, self, W), NMMU_RET_FIXED);
		assert_true(box_sp(&b, pt[1], 1)->unsync);
		nmmu_lock(b.m);
		assert_true(nmmu_unprotect_gfn(b.m, page_of(&b, 0, 2)->gfn));
		nmmu_unlock(b.m);
		box_check(&b);
		assert_non_null(box_sp(&b, pt[0], 1));
		assert_int_equal(box_sp(&b, pt[0], 1)->parents.val, 0);
		assert_null(box_sp(&b, pt[1], 1));
		box_deinit(&b);
	}
}

/* A root in use is zapped and stays until its vCPU has dropped it. */
static void zapped_root_waits(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, old_hpa;
		struct nmmu_sp *sp;
		u32 freed;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		sp = page_of(&b, 0, 4);
		old_hpa = b.v->mmu->root.hpa;
		assert_int_equal(sp->root_count, 1);
		freed = b.events[MS_EV_sp_free];
		nmmu_lock(b.m);
		nmmu_unprotect_gfn(b.m, root);
		assert_true(sp->role.invalid);
		assert_true(b.v->requests & NMMU_REQ_FREE_OBSOLETE);
		assert_true(nmmu_root_is_stale(b.v));
		nmmu_unlock(b.m);
		box_check(&b);
		assert_int_equal(b.events[MS_EV_sp_free], freed + 3); /* all below it */
		box_load(&b);
		assert_int_equal(b.events[MS_EV_sp_free], freed + 4);
		assert_int_not_equal(b.v->mmu->root.hpa, NMMU_NO_PAGE);
		assert_null(nmmu_sp_by_pa(b.m, old_hpa == b.v->mmu->root.hpa ? 0 : old_hpa));
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		box_deinit(&b);
	}
}

static void on_unlock(struct box *b, enum nmmu_point point)
{
	if (point == NMMU_POINT_UNLOCK)
		++*(u32 *)b->ctx;
}

static void zap_all(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root;
		u32 unlocks = 0, i;
		u8 gen;

		start_l2(&b, kernel, &root);
		/* L1's own pages are not zapped with their parents, so there are many to go. */
		leave(&b);
		for (i = 0; i < 14; i++)
			assert_int_equal(box_fault(&b, (u64)i << 21, R), NMMU_RET_FIXED);
		assert_true(box_nr_pages(&b) > 14);
		gen = b.m->valid_gen;
		b.ctx = &unlocks;
		b.on_yield = on_unlock;
		nmmu_zap_all(b.m);
		b.on_yield = NULL;
		assert_int_equal(b.m->valid_gen, !gen);
		assert_int_equal(box_nr_pages(&b), 0);
		/* In batches: others get the lock in between. */
		assert_int_equal(unlocks, 2);
		assert_int_equal(b.m->nr_used, 1); /* the root that the vCPU still has */
		box_check(&b);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		map(&b, root, 0, DATA);
		assert_int_equal(b.m->nr_used, box_nr_pages(&b));
		nmmu_zap_all(b.m);
		assert_int_equal(b.m->valid_gen, gen);
		box_load(&b);
		box_deinit(&b);
	}
}

/* --- unsync --- */

/* I 25, and what happens to the way up; then what a sync does to an entry that did not change. */
static void unsync_and_sync(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, pte, kept, before;
		struct nmmu_sp *sp;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		map(&b, root, 0x9000, DATA + 0x1000);
		sp = page_of(&b, 0, 1);
		pte = sp->gfn << 12;
		before = *box_spte(&b, 0x9000, 1);
		assert_true(spte_is_accessed(&b.m->profile, before));
		leave(&b);
		assert_false(l1_write(&b, pte, (DATA + 0x5000) | EPT_RWX));
		assert_true(sp->unsync);
		assert_int_equal(b.events[MS_EV_unsync], 1);
		assert_false(l1_write(&b, pte + 8, 0));
		assert_int_equal(b.events[MS_EV_unsync], 1);

		/* Entered again without INVEPT: the old translation may be used. */
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(page_of(&b, 0, 4)->unsync_children, 1);
		assert_int_equal(page_of(&b, 0, 2)->unsync_children, 1);
		assert_int_equal(pfn_at(&b, 0), pfn_of(DATA));
		leave(&b);

		assert_int_equal(nmmu_invept(b.v, false, root << 12 | EPTP), 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_false(sp->unsync);
		assert_int_equal(page_of(&b, 0, 4)->unsync_children, 0);
		assert_false(is_present(&b, box_spte(&b, 0, 1)));
		kept = *box_spte(&b, 0x9000, 1);
		if (kernel == NMMU_6_12)
			assert_int_equal(kept, before);
		else
			/* Built anew as prefetched, and W already: neither A nor D is set (F "unsync attempt"). */
			assert_int_equal(kept, before & ~(b.m->profile.m.accessed | b.m->profile.m.dirty));
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_int_equal(pfn_at(&b, 0), pfn_of(DATA + 0x5000));
		/* Protected again. */
		leave(&b);
		assert_false(spte_is_writable(*box_spte(&b, pte, 1)));
		box_deinit(&b);
	}
}

/* F "unsync attempt", row by row. */
static void unsync_attempts(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_slot *slot;
		struct nmmu_sp *sp;
		struct box b;
		u64 root;

		start_l2(&b, kernel, &root);
		slot = nmmu_slot_of(b.m, 0, 0);
		map(&b, root, 0, DATA);
		sp = page_of(&b, 0, 1);
		nmmu_lock(b.m);
		assert_int_equal(nmmu_try_unsync(b.m, slot, DATA >> 12, false, true), 0);
		assert_int_equal(nmmu_try_unsync(b.m, slot, root, true, false), -EPERM);
		assert_int_equal(nmmu_try_unsync(b.m, slot, sp->gfn, false, false), -EPERM);
		assert_int_equal(nmmu_try_unsync(b.m, slot, sp->gfn, true, true), -EEXIST);
		assert_false(sp->unsync);
		assert_int_equal(nmmu_try_unsync(b.m, slot, sp->gfn, true, false), 0);
		assert_true(sp->unsync);
		/* Unsync by now: no matter to a prefetch, but none may be made while syncing. */
		assert_int_equal(nmmu_try_unsync(b.m, slot, sp->gfn, true, true), 0);
		assert_int_equal(nmmu_try_unsync(b.m, slot, sp->gfn, false, false), -EPERM);
		nmmu_unlock(b.m);
		box_check(&b);
		/* An obsolete page does not count. */
		nmmu_lock(b.m);
		b.m->valid_gen = !b.m->valid_gen;
		assert_int_equal(nmmu_try_unsync(b.m, slot, sp->gfn, false, true), 0);
		b.m->valid_gen = !b.m->valid_gen;
		nmmu_unlock(b.m);
		box_deinit(&b);
	}
}

/* A gpte that grants less: the entry follows, in both kernels. */
static void sync_takes_rights_away(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, pte;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		assert_true(spte_is_writable(*box_spte(&b, 0, 1)));
		pte = page_of(&b, 0, 1)->gfn << 12;
		leave(&b);
		l1_write(&b, pte, DATA | 0x331);
		assert_int_equal(nmmu_invept(b.v, true, 0), 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(pfn_at(&b, 0), pfn_of(DATA));
		assert_false(spte_is_writable(*box_spte(&b, 0, 1)));
		assert_false(spte_is_executable(&b.m->profile, *box_spte(&b, 0, 1)));
		assert_int_equal(nmmu_sp_access(page_of(&b, 0, 1), 0), NMMU_ACC_U);
		assert_int_equal(b.last[MS_EV_sync].u.sync.changed, 1);
		box_deinit(&b);
	}
}

/* An unsync page found again is brought up to date, stays unsync, and its new way up is marked. */
static void unsync_page_is_linked_again(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_sp *sp;
		struct box b;
		u64 root;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		sp = page_of(&b, 0, 1);
		box_map(&b, root, 4, 1ULL << 39, sp->gfn << 12, 2, EPT_TABLE, EPT_TABLE);
		leave(&b);
		assert_false(l1_write(&b, sp->gfn << 12, (DATA + 0x5000) | EPT_RWX));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(pfn_at(&b, 0), pfn_of(DATA));
		box_fault(&b, 1ULL << 39, R);
		assert_ptr_equal(page_of(&b, 1ULL << 39, 1), sp);
		assert_true(sp->unsync);
		assert_int_equal(page_of(&b, 1ULL << 39, 2)->unsync_children, 1);
		assert_int_equal(page_of(&b, 0, 4)->unsync_children, 2);
		assert_int_equal(pfn_at(&b, 0), pfn_of(DATA + 0x5000));
		box_deinit(&b);
	}
}

/* A clear: to be set by a walk, so nothing is mapped. D clear: the first write must fault (B1). */
static void sync_of_clear_bits(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, pte;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		map(&b, root, 0x9000, DATA + 0x1000);
		pte = page_of(&b, 0, 1)->gfn << 12;
		leave(&b);
		assert_false(l1_write(&b, pte, DATA | (EPT_RWX & ~0x100ULL)));
		assert_false(l1_write(&b, pte + 72, (DATA + 0x1000) | (EPT_RWX & ~0x200ULL)));
		nmmu_invept(b.v, true, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(pfn_at(&b, 0), 0);
		assert_int_equal(pfn_at(&b, 0x9000), pfn_of(DATA + 0x1000));
		assert_false(spte_is_writable(*box_spte(&b, 0x9000, 1)));
		box_deinit(&b);
	}
}

/* More unsync pages than one batch, below one root. */
static void sync_in_batches(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, pte[40];
		u32 i;

		start_l2(&b, kernel, &root);
		for (i = 0; i < 40; i++) {
			map(&b, root, (u64)i << 21, DATA + i * 0x1000);
			pte[i] = page_of(&b, (u64)i << 21, 1)->gfn << 12;
		}
		leave(&b);
		for (i = 0; i < 40; i++)
			assert_false(l1_write(&b, pte[i], (DATA + 0x100000 + i * 0x1000) | EPT_RWX));
		nmmu_invept(b.v, true, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(b.events[MS_EV_sync], 40);
		assert_int_equal(page_of(&b, 0, 4)->unsync_children, 0);
		for (i = 0; i < 40; i++)
			assert_int_equal(pfn_at(&b, (u64)i << 21), 0);
		box_deinit(&b);
	}
}

/*
 * An entry for a device, and memory comes to its place: when the page is synced it may not be made current again, or all
 * accesses would be emulated (KVM does so).
 */
static void sync_of_device_entries(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		const u64 device = (BOX_PAGES + 0x10ULL) << 12, other = device + 0x100000;
		const struct spte_profile *p;
		struct box b;
		u64 root, pte, stale;

		start_l2(&b, kernel, &root);
		p = &b.m->profile;
		map(&b, root, 0x20000, DATA);
		pte = box_map(&b, root, 4, 0, device, 1, EPT_RWX, EPT_TABLE);
		box_map(&b, root, 4, 0x9000, other, 1, EPT_RWX, EPT_TABLE);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_EMULATE);
		assert_int_equal(box_fault(&b, 0x9000, R), NMMU_RET_EMULATE);
		stale = *box_spte(&b, 0x9000, 1);
		assert_true(spte_is_mmio(p, stale));
		leave(&b);
		assert_false(l1_write(&b, pte + 800, 0));
		assert_int_equal(nmmu_slot_set(b.m, 0, 2, BOX_PAGES, 0x80, BOX_HVA, 0), 0);
		nmmu_invept(b.v, true, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_true(spte_is_nonpresent(p, *box_spte(&b, 0, 1)));
		/* Still a device: made current. */
		assert_true(spte_is_mmio(p, *box_spte(&b, 0x9000, 1)));
		assert_true(spte_mmio_gen(p, *box_spte(&b, 0x9000, 1)) != spte_mmio_gen(p, stale));
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_int_equal(pfn_at(&b, 0), BOX_PFN + 0x10);
		box_deinit(&b);
	}
}

/* A table becomes one of a higher level: pages of level 1 that were unsync go, since the frame must not stay writable. */
static void unsync_page_yields_to_a_higher_level(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, gfn;

		start_l2(&b, kernel, &root);
		map(&b, root, 0, DATA);
		gfn = page_of(&b, 0, 1)->gfn;
		leave(&b);
		assert_false(l1_write(&b, gfn << 12, 0));
		/* Now the frame is a level-2 table, elsewhere. */
		l1_write(&b, gfn << 12, box_table(&b) << 12 | EPT_TABLE);
		box_set(&b, (b.next_table - 1) << 12, DATA | EPT_RWX);
		box_map(&b, root, 4, 1ULL << 39, gfn << 12, 3, EPT_TABLE, EPT_TABLE);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		assert_int_equal(box_fault(&b, 1ULL << 39, R), NMMU_RET_FIXED);
		assert_int_equal(page_of(&b, 1ULL << 39, 2)->gfn, gfn);
		assert_null(box_sp(&b, gfn, 1));
		assert_int_equal(nmmu_slot_of(b.m, 0, gfn)->write_track[gfn], 1);
		box_deinit(&b);
	}
}

/* --- emulated writes (I 26, 27) --- */

static void write_sizes(void **state)
{
	static const struct {
		u32 offset, bytes;
		bool page; /* zaps the page; else only the entry */
	} writes[] = {
		{ 0, 8, false }, { 0, 4, false }, { 4, 4, false }, { 0, 1, false }, { 1, 1, true },
		{ 0, 2, true },	 { 4, 2, true },  { 4, 8, true },  { 6, 4, true },
	};
	enum nmmu_kernel kernel;
	u32 i;

	for_each_kernel(kernel)
	{
		for (i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
			struct nmmu_sp *sp;
			struct box b;
			u64 root, gpa;
			bool other;

			start_l2(&b, kernel, &root);
			map(&b, root, 0, DATA);
			map(&b, root, 0x9000, DATA + 0x1000);
			sp = page_of(&b, 0, 1);
			gpa = sp->gfn << 12;
			/* A store that is misaligned after KVM's rounding of 4 bytes to 8 is none any more. */
			other = writes[i].offset == 6 && writes[i].bytes == 4;
			nmmu_pt_write(b.v, gpa + writes[i].offset, 0, writes[i].bytes);
			box_check(&b);
			if (writes[i].page && !other) {
				assert_null(box_sp(&b, gpa >> 12, 1));
			} else {
				assert_ptr_equal(box_sp(&b, gpa >> 12, 1), sp);
				assert_false(is_present(&b, &sp->spt[0]));
				assert_true(is_present(&b, &sp->spt[9]));
			}
			box_deinit(&b);
		}
	}
}

/* The third store to a table of level 2 with no walk through it in between. */
static void flooding(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, pd;
		struct nmmu_slot *slot;

		start_l2(&b, kernel, &root);
		slot = nmmu_slot_of(b.m, 0, 0);
		map(&b, root, 0, DATA);
		pd = page_of(&b, 0, 2)->gfn;
		nmmu_pt_write(b.v, (pd << 12) + 80, 0, 8);
		nmmu_pt_write(b.v, (pd << 12) + 88, 0, 8);
		/* A walk through it says that it is in use. */
		map(&b, root, 0x9000, DATA + 0x1000);
		nmmu_pt_write(b.v, (pd << 12) + 80, 0, 8);
		nmmu_pt_write(b.v, (pd << 12) + 88, 0, 8);
		assert_non_null(box_sp(&b, pd, 2));
		nmmu_pt_write(b.v, (pd << 12) + 80, 0, 8);
		assert_null(box_sp(&b, pd, 2));
		assert_int_equal(slot->write_track[pd], 0);
		box_check(&b);

		/* A root that is loaded anew is in use, too. */
		nmmu_pt_write(b.v, (root << 12) + 80, 0, 8);
		nmmu_pt_write(b.v, (root << 12) + 88, 0, 8);
		nmmu_invept(b.v, true, 0);
		box_load(&b);
		nmmu_pt_write(b.v, (root << 12) + 80, 0, 8);
		assert_non_null(box_sp(&b, root, 4));

		/* Level 1 is never flooded. */
		map(&b, root, 0x12000, DATA + 0x3000);
		pd = page_of(&b, 0, 1)->gfn;
		for (u32 i = 0; i < 8; i++)
			nmmu_pt_write(b.v, (pd << 12) + 800, 0, 8);
		assert_non_null(box_sp(&b, pd, 1));
		box_deinit(&b);
	}
}

/* --- making room --- */

static void recycling(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 root, pt[200];
		struct box b;
		u32 i, first_zap = 0;

		/* Shadow paging: pages are zapped one by one. */
		cfg.tdp = false;
		cfg.max_pages = 64;
		box_init(&b, &cfg);
		root = box_table(&b);
		box_long_mode(&b, root << 12);
		for (i = 0; i < 200; i++) {
			u64 addr = (u64)i << 21;

			pt[i] = box_map(&b, root, 4, addr, DATA + i * 0x1000, 1, PT_RW, PT_TABLE) >> 12;
			assert_int_equal(box_fault(&b, addr, R), NMMU_RET_FIXED);
			assert_true(b.m->nr_used <= 64);
			if (first_zap || !b.events[MS_EV_sp_zap])
				continue;
			first_zap = i;
			/* Fewer than 5 were free; then 25, less what this fault took: three levels. */
			assert_int_equal(b.m->nr_used, 64 - 25 + 3);
			assert_int_equal(b.last[MS_EV_recycle].u.recycle.pages, 25 - 4);
			/* The oldest, but for the root in use. */
			assert_int_equal(nmmu_sp_by_pa(b.m, b.v->mmu->root.hpa)->gfn, root);
			assert_int_equal(b.events[MS_EV_root_load], 1);
			assert_null(box_sp(&b, pt[0], 1));
			assert_non_null(box_sp(&b, pt[i - 1], 1));
			assert_non_null(box_sp(&b, pt[25], 1));
		}
		/* Root, two more levels, and one page for each address: at 60 there are 4 left. */
		assert_int_equal(first_zap, 60 - 3);
		assert_true(b.events[MS_EV_recycle] > 1);

		/* With nothing but roots left there is no room to be made. */
		nmmu_lock(b.m);
		b.m->nr_max = 1;
		assert_int_equal(nmmu_make_room(b.m), 0 - ENOSPC);
		b.m->nr_max = 0;
		assert_int_equal(nmmu_make_room(b.m), 0);
		nmmu_unlock(b.m);
		box_check(&b);
		assert_int_not_equal(box_nr_pages(&b), 0);
		for (i = 0; i < 50; i++)
			box_fault(&b, (u64)i << 21, R);
		nmmu_set_max_pages(b.m, 40);
		assert_int_equal(b.m->nr_used, 40);
		assert_int_equal(b.m->nr_max, 40);
		box_check(&b);
		box_deinit(&b);
	}
}

/* --- 32-bit guests: quadrants (C5) --- */

static void quadrants(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_regs regs = { .cr0 = CR0_PE | CR0_PG | CR0_WP };
		u64 pd, pt, addr;
		struct box b;
		u32 i, half;

		cfg.tdp = false;
		box_init(&b, &cfg);
		pd = box_table(&b);
		pt = box_table(&b);
		regs.cr3 = pd << 12;
		assert_int_equal(nmmu_set_regs(b.v, &regs), 0);
		/* One table of 1024 entries for the first 4 MiB of each GiB. */
		for (i = 0; i < 4; i++)
			box_set32(&b, (pd << 12) + i * 1024, (u32)(pt << 12 | PT_TABLE));
		for (i = 0; i < 1024; i++)
			box_set32(&b, (pt << 12) + i * 4, (u32)((DATA + (u64)i * 0x1000) | PT_RW));
		for (i = 0; i < 4; i++) {
			for (half = 0; half < 2; half++) {
				addr = (u64)i << 30 | half << 21 | 0x3000;
				assert_int_equal(box_fault(&b, addr, P | R) == NMMU_RET_FIXED ||
							 pfn_at(&b, addr) != 0,
						 true);
				assert_int_equal(pfn_at(&b, addr), pfn_of(DATA + (half ? 0x203000 : 0x3000)));
				assert_int_equal(page_of(&b, addr, 2)->role.quadrant, i);
				assert_int_equal(page_of(&b, addr, 1)->role.quadrant, half);
			}
		}
		/* Four roots, and two halves of one table shared by all. */
		assert_int_equal(box_nr_pages(&b), 4 + 2);
		assert_int_equal(nmmu_rmap_count(page_of(&b, 0, 1)->parents), 4);

		/* An entry of the second half: nothing in the first. */
		nmmu_pt_write(b.v, (pt << 12) + (512 + 3) * 4, 0, 4);
		box_check(&b);
		assert_int_equal(pfn_at(&b, 0x3000), pfn_of(DATA + 0x3000));
		assert_int_equal(pfn_at(&b, 0x203000), 0);
		/* A PDE: both SPTEs of the page of its quadrant, none in others. */
		nmmu_pt_write(b.v, (pd << 12) + 2 * 1024, 0, 4);
		box_check(&b);
		assert_false(is_present(&b, box_spte(&b, 2ULL << 30, 2)));
		assert_false(is_present(&b, box_spte(&b, (2ULL << 30) + (1 << 21), 2)));
		assert_true(is_present(&b, box_spte(&b, 1ULL << 30, 2)));
		assert_int_equal(nmmu_rmap_count(page_of(&b, 0, 1)->parents), 3);
		box_deinit(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_page_for_gfn_and_role),
		cmocka_unit_test(rights_of_ancestors_are_the_role),
		cmocka_unit_test(who_has_translations),
		cmocka_unit_test(tables_are_tracked),
		cmocka_unit_test(protecting_flushes_before_unlock),
		cmocka_unit_test(large_becomes_table_of_same_gfn),
		cmocka_unit_test(large_becomes_table_of_other_gfn),
		cmocka_unit_test(right_child_is_kept),
		cmocka_unit_test(orphans),
		cmocka_unit_test(zapping_goes_down),
		cmocka_unit_test(unsync_children_go_too),
		cmocka_unit_test(zapped_root_waits),
		cmocka_unit_test(zap_all),
		cmocka_unit_test(unsync_and_sync),
		cmocka_unit_test(unsync_attempts),
		cmocka_unit_test(sync_takes_rights_away),
		cmocka_unit_test(unsync_page_is_linked_again),
		cmocka_unit_test(sync_of_clear_bits),
		cmocka_unit_test(sync_in_batches),
		cmocka_unit_test(sync_of_device_entries),
		cmocka_unit_test(unsync_page_yields_to_a_higher_level),
		cmocka_unit_test(write_sizes),
		cmocka_unit_test(flooding),
		cmocka_unit_test(recycling),
		cmocka_unit_test(quadrants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
