// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages that lag behind the guest's tables (SEMANTICS F "unsync", "unsync attempt", "sync", "when synced"; I
 * 25): who may become unsync, the way up that is marked, and what a sync does to each entry in both kernels.
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

/* I 25, and what happens to the way up; then what a sync does to an entry that did not change. */
static void unsync_and_sync(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, pte, kept, before;
		struct nmmu_sp *sp;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		box_map_l2(&b, root, 0x9000, DATA + 0x1000);
		sp = box_page_of(&b, 0, 1);
		pte = sp->gfn << 12;
		before = *box_spte(&b, 0x9000, 1);
		assert_true(spte_is_accessed(&b.m->profile, before));
		box_leave(&b);
		assert_false(box_l1_write(&b, pte, (DATA + 0x5000) | EPT_RWX));
		assert_true(sp->unsync);
		assert_int_equal(b.events[MS_EV_unsync], 1);
		assert_false(box_l1_write(&b, pte + 8, 0));
		assert_int_equal(b.events[MS_EV_unsync], 1);

		/* Entered again without INVEPT: the old translation may be used. */
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(box_page_of(&b, 0, 4)->unsync_children, 1);
		assert_int_equal(box_page_of(&b, 0, 2)->unsync_children, 1);
		assert_int_equal(box_pfn_at(&b, 0), box_pfn_of(DATA));
		box_leave(&b);

		assert_int_equal(nmmu_invept(b.v, false, root << 12 | EPTP), 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_false(sp->unsync);
		assert_int_equal(box_page_of(&b, 0, 4)->unsync_children, 0);
		assert_false(box_is_present(&b, box_spte(&b, 0, 1)));
		kept = *box_spte(&b, 0x9000, 1);
		if (kernel == NMMU_6_12)
			assert_int_equal(kept, before);
		else
			/*
			 * Built anew as prefetched, and W already: neither A nor D is set (F "unsync
			 * attempt").
			 */
			assert_int_equal(kept, before & ~(b.m->profile.m.accessed | b.m->profile.m.dirty));
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_int_equal(box_pfn_at(&b, 0), box_pfn_of(DATA + 0x5000));
		/* Protected again. */
		box_leave(&b);
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

		box_start_l2(&b, kernel, &root);
		slot = nmmu_slot_of(b.m, 0, 0);
		box_map_l2(&b, root, 0, DATA);
		sp = box_page_of(&b, 0, 1);
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

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		assert_true(spte_is_writable(*box_spte(&b, 0, 1)));
		pte = box_page_of(&b, 0, 1)->gfn << 12;
		box_leave(&b);
		box_l1_write(&b, pte, DATA | 0x331);
		assert_int_equal(nmmu_invept(b.v, true, 0), 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(box_pfn_at(&b, 0), box_pfn_of(DATA));
		assert_false(spte_is_writable(*box_spte(&b, 0, 1)));
		assert_false(spte_is_executable(&b.m->profile, *box_spte(&b, 0, 1)));
		assert_int_equal(nmmu_sp_access(box_page_of(&b, 0, 1), 0), NMMU_ACC_U);
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

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		sp = box_page_of(&b, 0, 1);
		box_map(&b, root, 4, 1ULL << 39, sp->gfn << 12, 2, EPT_TABLE, EPT_TABLE);
		box_leave(&b);
		assert_false(box_l1_write(&b, sp->gfn << 12, (DATA + 0x5000) | EPT_RWX));
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(box_pfn_at(&b, 0), box_pfn_of(DATA));
		box_fault(&b, 1ULL << 39, R);
		assert_ptr_equal(box_page_of(&b, 1ULL << 39, 1), sp);
		assert_true(sp->unsync);
		assert_int_equal(box_page_of(&b, 1ULL << 39, 2)->unsync_children, 1);
		assert_int_equal(box_page_of(&b, 0, 4)->unsync_children, 2);
		assert_int_equal(box_pfn_at(&b, 0), box_pfn_of(DATA + 0x5000));
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

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		box_map_l2(&b, root, 0x9000, DATA + 0x1000);
		pte = box_page_of(&b, 0, 1)->gfn << 12;
		box_leave(&b);
		assert_false(box_l1_write(&b, pte, DATA | (EPT_RWX & ~0x100ULL)));
		assert_false(box_l1_write(&b, pte + 72, (DATA + 0x1000) | (EPT_RWX & ~0x200ULL)));
		nmmu_invept(b.v, true, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(box_pfn_at(&b, 0), 0);
		assert_int_equal(box_pfn_at(&b, 0x9000), box_pfn_of(DATA + 0x1000));
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

		box_start_l2(&b, kernel, &root);
		for (i = 0; i < 40; i++) {
			box_map_l2(&b, root, (u64)i << 21, DATA + i * 0x1000);
			pte[i] = box_page_of(&b, (u64)i << 21, 1)->gfn << 12;
		}
		box_leave(&b);
		for (i = 0; i < 40; i++)
			assert_false(box_l1_write(&b, pte[i], (DATA + 0x100000 + i * 0x1000) | EPT_RWX));
		nmmu_invept(b.v, true, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(b.events[MS_EV_sync], 40);
		assert_int_equal(box_page_of(&b, 0, 4)->unsync_children, 0);
		for (i = 0; i < 40; i++)
			assert_int_equal(box_pfn_at(&b, (u64)i << 21), 0);
		box_deinit(&b);
	}
}

/*
 * An entry for a device, and memory comes to its place: when the page is synced it may not be made current
 * again, or all accesses would be emulated (KVM does so).
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

		box_start_l2(&b, kernel, &root);
		p = &b.m->profile;
		box_map_l2(&b, root, 0x20000, DATA);
		pte = box_map(&b, root, 4, 0, device, 1, EPT_RWX, EPT_TABLE);
		box_map(&b, root, 4, 0x9000, other, 1, EPT_RWX, EPT_TABLE);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_EMULATE);
		assert_int_equal(box_fault(&b, 0x9000, R), NMMU_RET_EMULATE);
		stale = *box_spte(&b, 0x9000, 1);
		assert_true(spte_is_mmio(p, stale));
		box_leave(&b);
		assert_false(box_l1_write(&b, pte + 800, 0));
		assert_int_equal(nmmu_slot_set(b.m, 0, 2, BOX_PAGES, 0x80, BOX_HVA, 0), 0);
		nmmu_invept(b.v, true, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_true(spte_is_nonpresent(p, *box_spte(&b, 0, 1)));
		/* Still a device: made current. */
		assert_true(spte_is_mmio(p, *box_spte(&b, 0x9000, 1)));
		assert_true(spte_mmio_gen(p, *box_spte(&b, 0x9000, 1)) != spte_mmio_gen(p, stale));
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_int_equal(box_pfn_at(&b, 0), BOX_PFN + 0x10);
		box_deinit(&b);
	}
}

/*
 * A table becomes one of a higher level: pages of level 1 that were unsync go, since the frame must not stay
 * writable.
 */
static void unsync_page_yields_to_a_higher_level(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, gfn;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		gfn = box_page_of(&b, 0, 1)->gfn;
		box_leave(&b);
		assert_false(box_l1_write(&b, gfn << 12, 0));
		/* Now the frame is a level-2 table, elsewhere. */
		box_l1_write(&b, gfn << 12, box_table(&b) << 12 | EPT_TABLE);
		box_set(&b, (b.next_table - 1) << 12, DATA | EPT_RWX);
		box_map(&b, root, 4, 1ULL << 39, gfn << 12, 3, EPT_TABLE, EPT_TABLE);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		assert_int_equal(box_fault(&b, 1ULL << 39, R), NMMU_RET_FIXED);
		assert_int_equal(box_page_of(&b, 1ULL << 39, 2)->gfn, gfn);
		assert_null(box_sp(&b, gfn, 1));
		assert_int_equal(nmmu_slot_of(b.m, 0, gfn)->write_track[gfn], 1);
		box_deinit(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unsync_and_sync),
		cmocka_unit_test(unsync_attempts),
		cmocka_unit_test(sync_takes_rights_away),
		cmocka_unit_test(unsync_page_is_linked_again),
		cmocka_unit_test(sync_of_clear_bits),
		cmocka_unit_test(sync_in_batches),
		cmocka_unit_test(sync_of_device_entries),
		cmocka_unit_test(unsync_page_yields_to_a_higher_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
