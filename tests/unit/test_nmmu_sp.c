// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow pages: found, shared, linked, zapped, written to, recycled (SEMANTICS A3, C3, C5, F; scenarios
 * 20-22, 26, 27 of I). Every step ends with the engine's check of all its invariants; what that cannot know
 * is asserted here.
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

/* --- finding and sharing --- */

static void one_page_for_gfn_and_role(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, l3;
		u32 nr;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		assert_int_equal(box_nr_pages(&b), 4);
		/* A second way to the same level-3 table: nothing new but the link. */
		l3 = box_get(&b, root << 12);
		box_set(&b, (root << 12) + 8, l3);
		nr = box_nr_pages(&b);
		box_fault(&b, 1ULL << 39, R);
		assert_int_equal(box_nr_pages(&b), nr);
		assert_int_equal(nmmu_rmap_count(box_page_of(&b, 0, 3)->parents), 2);
		assert_ptr_equal(box_page_of(&b, 0, 1), box_page_of(&b, 1ULL << 39, 1));
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

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		box_set(&b, (root << 12) + 8, (box_get(&b, root << 12) & ~7ULL) | 1);
		assert_int_equal(box_fault(&b, 1ULL << 39, R), NMMU_RET_FIXED);
		all = box_page_of(&b, 0, 1);
		read = box_page_of(&b, 1ULL << 39, 1);
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

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		for (level = 1; level <= 4; level++)
			assert_int_equal(box_page_of(&b, 0, level)->translation != NULL,
					 kernel == NMMU_6_1 || level <= 3);
		assert_int_equal(nmmu_sp_gfn(box_page_of(&b, 0, 1), 0), DATA >> 12);
		assert_int_equal(nmmu_sp_access(box_page_of(&b, 0, 1), 0), NMMU_ACC_ALL);
		box_leave(&b);
		box_fault(&b, DATA, R);
		assert_null(box_page_of(&b, DATA, 1)->translation);
		assert_int_equal(nmmu_sp_gfn(box_page_of(&b, DATA, 1), 3), (DATA >> 12) + 3);
		assert_int_equal(nmmu_sp_gfn(box_page_of(&b, DATA, 2), 3), 3 << 9);
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

		box_start_l2(&b, kernel, &root);
		slot = nmmu_slot_of(b.m, 0, 0);
		/* L1 has its tables mapped writable before L2 runs. */
		box_leave(&b);
		box_fault(&b, root << 12, W);
		assert_true(spte_is_writable(*box_spte(&b, root << 12, 1)));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_map_l2(&b, root, 0, DATA);
		l1 = box_page_of(&b, 0, 1)->gfn;
		assert_int_equal(slot->write_track[root], 1);
		assert_int_equal(slot->write_track[l1], 0);
		/* Four tables, all in the same 2 MiB. */
		assert_int_equal(slot->disallow_lpage[0][nmmu_lpage_index(slot, l1, 2)], 4);
		assert_int_equal(b.m->nr_indirect, 4);
		box_leave(&b);
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

/*
 * I 22: an entry whose W was taken by the log is still cached writable: the flush comes before the lock is
 * dropped.
 */
static bool flushed_locked;

static void note_flush(struct box *b, const struct ms_event *event)
{
	if (event->id == MS_EV_flush && event->cause == MS_CAUSE_SHADOWED)
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

		box_start_l2(&b, kernel, &root);
		assert_int_equal(nmmu_slot_set(b.m, 0, 1, 0, BOX_PAGES, BOX_HVA, MS_SLOT_LOG_DIRTY), 0);
		box_leave(&b);
		box_fault(&b, root << 12, W);
		assert_int_equal(nmmu_log_get(b.m, 0, 1, bitmap), 0);
		assert_int_equal(spte_wstate(&b.m->profile, *box_spte(&b, root << 12, 1), 1), SPTE_W_DL);
		flushed_locked = false;
		b.on_event = note_flush;
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_true(flushed_locked);
		box_leave(&b);
		assert_int_equal(spte_wstate(&b.m->profile, *box_spte(&b, root << 12, 1), 1), SPTE_W_WP);
		box_deinit(&b);
	}
}

/* --- C3: what may be kept at an entry --- */

/*
 * I 20 and 21. A large entry is shadowed by a direct page; then the guest's memory says that it is a table,
 * at the same gfn or another, and nobody told the engine (a device wrote it).
 */
static void large_becomes_table(enum nmmu_kernel kernel, bool same_gfn)
{
	struct box b;
	u64 root, pde, table;
	struct nmmu_sp *direct, *indirect;

	box_start_l2(&b, kernel, &root);
	pde = box_map(&b, root, 4, 0, LARGE, 2, EPT_RWX | PT_HUGE, EPT_TABLE);
	assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
	direct = box_page_of(&b, 0, 1);
	assert_true(direct->role.direct);
	assert_int_equal(direct->gfn, LARGE >> 12);

	table = same_gfn ? LARGE >> 12 : box_table(&b);
	box_set(&b, table << 12, DATA | EPT_RWX);
	box_set(&b, (table << 12) + 8 * 8, (DATA + 0x8000) | EPT_RWX);
	box_set(&b, pde, table << 12 | EPT_TABLE);
	assert_int_equal(box_fault(&b, 0x8000, R), NMMU_RET_FIXED);
	indirect = box_page_of(&b, 0x8000, 1);
	assert_false(indirect->role.direct);
	assert_int_equal(indirect->gfn, table);
	assert_int_equal(box_pfn_at(&b, 0x8000), box_pfn_of(DATA + 0x8000));
	assert_false(box_is_present(&b, box_spte(&b, 0, 1)));

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

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		created = b.events[MS_EV_sp_create];
		box_map_l2(&b, root, 0x9000, DATA + 0x1000);
		assert_int_equal(b.events[MS_EV_sp_create], created);
		assert_int_equal(b.events[MS_EV_sp_zap], 0);
		box_deinit(&b);
	}
}

/* --- zapping, orphans --- */

/*
 * A store to an entry of level 2 leaves its child to be found again; relinking over another child zaps that
 * one.
 */
static void orphans(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, pde, old_pde, other;
		struct nmmu_sp *child;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		child = box_page_of(&b, 0, 1);
		pde = box_page_of(&b, 0, 2)->gfn << 12;
		old_pde = box_get(&b, pde);
		box_leave(&b);
		assert_true(box_l1_write(&b, pde, 0));
		assert_int_equal(child->parents.val, 0);
		assert_false(child->role.invalid);
		assert_true(box_is_present(&b, &child->spt[0]));
		/* Put back: found again. */
		assert_true(box_l1_write(&b, pde, old_pde));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_fault(&b, 0, R);
		assert_ptr_equal(box_page_of(&b, 0, 1), child);

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

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		box_map_l2(&b, root, 1ULL << 30, DATA + 0x1000);
		/* The second level-3 table leads to one level-2 table of the first. */
		box_map_l2(&b, root, 1ULL << 39, DATA + 0x2000);
		box_set(&b, (box_page_of(&b, 1ULL << 39, 3)->gfn << 12) + 8,
			box_get(&b, (box_page_of(&b, 0, 3)->gfn << 12) + 8));
		box_fault(&b, (1ULL << 39) + (1ULL << 30), R);
		shared = box_page_of(&b, 1ULL << 30, 2);
		assert_int_equal(nmmu_rmap_count(shared->parents), 2);
		l3 = box_page_of(&b, 0, 3);
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
		assert_false(box_is_present(&b, box_spte(&b, 0, 4)));
		assert_int_equal(box_pfn_at(&b, (1ULL << 39) + (1ULL << 30)), box_pfn_of(DATA + 0x1000));
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
		assert_true(nmmu_unprotect_gfn(b.m, box_page_of(&b, 0, 2)->gfn));
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

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		sp = box_page_of(&b, 0, 4);
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

		box_start_l2(&b, kernel, &root);
		/* L1's own pages are not zapped with their parents, so there are many to go. */
		box_leave(&b);
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
		box_map_l2(&b, root, 0, DATA);
		assert_int_equal(b.m->nr_used, box_nr_pages(&b));
		nmmu_zap_all(b.m);
		assert_int_equal(b.m->valid_gen, gen);
		box_load(&b);
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

			box_start_l2(&b, kernel, &root);
			box_map_l2(&b, root, 0, DATA);
			box_map_l2(&b, root, 0x9000, DATA + 0x1000);
			sp = box_page_of(&b, 0, 1);
			gpa = sp->gfn << 12;
			/*
			 * A store that is misaligned after KVM's rounding of 4 bytes to 8 is none any more.
			 */
			other = writes[i].offset == 6 && writes[i].bytes == 4;
			nmmu_pt_write(b.v, gpa + writes[i].offset, 0, writes[i].bytes);
			box_check(&b);
			if (writes[i].page && !other) {
				assert_null(box_sp(&b, gpa >> 12, 1));
			} else {
				assert_ptr_equal(box_sp(&b, gpa >> 12, 1), sp);
				assert_false(box_is_present(&b, &sp->spt[0]));
				assert_true(box_is_present(&b, &sp->spt[9]));
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

		box_start_l2(&b, kernel, &root);
		slot = nmmu_slot_of(b.m, 0, 0);
		box_map_l2(&b, root, 0, DATA);
		pd = box_page_of(&b, 0, 2)->gfn;
		nmmu_pt_write(b.v, (pd << 12) + 80, 0, 8);
		nmmu_pt_write(b.v, (pd << 12) + 88, 0, 8);
		/* A walk through it says that it is in use. */
		box_map_l2(&b, root, 0x9000, DATA + 0x1000);
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
		box_map_l2(&b, root, 0x12000, DATA + 0x3000);
		pd = box_page_of(&b, 0, 1)->gfn;
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
							 box_pfn_at(&b, addr) != 0,
						 true);
				assert_int_equal(box_pfn_at(&b, addr),
						 box_pfn_of(DATA + (half ? 0x203000 : 0x3000)));
				assert_int_equal(box_page_of(&b, addr, 2)->role.quadrant, i);
				assert_int_equal(box_page_of(&b, addr, 1)->role.quadrant, half);
			}
		}
		/* Four roots, and two halves of one table shared by all. */
		assert_int_equal(box_nr_pages(&b), 4 + 2);
		assert_int_equal(nmmu_rmap_count(box_page_of(&b, 0, 1)->parents), 4);

		/* An entry of the second half: nothing in the first. */
		nmmu_pt_write(b.v, (pt << 12) + (512 + 3) * 4, 0, 4);
		box_check(&b);
		assert_int_equal(box_pfn_at(&b, 0x3000), box_pfn_of(DATA + 0x3000));
		assert_int_equal(box_pfn_at(&b, 0x203000), 0);
		/* A PDE: both SPTEs of the page of its quadrant, none in others. */
		nmmu_pt_write(b.v, (pd << 12) + 2 * 1024, 0, 4);
		box_check(&b);
		assert_false(box_is_present(&b, box_spte(&b, 2ULL << 30, 2)));
		assert_false(box_is_present(&b, box_spte(&b, (2ULL << 30) + (1 << 21), 2)));
		assert_true(box_is_present(&b, box_spte(&b, 1ULL << 30, 2)));
		assert_int_equal(nmmu_rmap_count(box_page_of(&b, 0, 1)->parents), 3);
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
		cmocka_unit_test(write_sizes),
		cmocka_unit_test(flooding),
		cmocka_unit_test(recycling),
		cmocka_unit_test(quadrants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
