// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Roots (SEMANTICS C.3, C5-C7, F "when synced"): which kind each mode gets, the cache of previous ones, roots
 * without memory, invalidation by the guest; and that running out of memory anywhere leaves a machine that
 * goes on.
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
#define DATA 0x1000000ULL

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

#define for_each_kernel(kernel) \
	for (const enum nmmu_kernel *k_ = kernels; k_ < kernels + 2 && (kernel = *k_, true); k_++)

static struct nmmu_sp *root_page(struct box *b)
{
	return nmmu_sp_by_pa(b->m, b->v->mmu->root.hpa);
}

static u64 *entries(struct nmmu_page page)
{
	return page.va;
}

static u64 pfn_at(struct box *b, u64 addr)
{
	u64 *sptep = box_spte(b, addr, 1);

	return sptep && spte_is_mmu_present(&b->m->profile, *sptep) ? spte_pfn(&b->m->profile, *sptep) : 0;
}

static u64 pfn_of(u64 gpa)
{
	return BOX_PFN + (gpa >> 12);
}

/* --- kinds of roots --- */

static void direct_root(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_vcpu *other;
		struct nmmu_entry entry;
		struct box b;

		box_init(&b, &cfg);
		box_long_mode(&b, 0x5000);
		box_load(&b);
		assert_int_equal(root_page(&b)->gfn, 0);
		assert_int_equal(root_page(&b)->role.word, b.v->mmu->root_role.word);
		assert_int_equal(b.v->mmu->root.pgd, 0);
		/* CR3 is nothing to a direct root. */
		box_long_mode(&b, 0x6000);
		box_load(&b);
		assert_int_equal(b.events[MS_EV_root_load], 1);
		/* Another vCPU has the same page. */
		assert_int_equal(nmmu_vcpu_create(b.m, &other), 0);
		other->regs = b.v->regs;
		nmmu_init_root_mmu(other);
		assert_int_equal(nmmu_vcpu_load(other, &entry), 0);
		assert_int_equal(other->mmu->root.hpa, b.v->mmu->root.hpa);
		assert_int_equal(root_page(&b)->root_count, 2);
		box_check(&b);
		box_deinit(&b);
	}
}

/* Shadow paging with CR0.PG=0: four direct pages of a GiB each. */
static void no_paging(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct box b;
		u32 i;

		cfg.tdp = false;
		box_init(&b, &cfg);
		box_load(&b);
		assert_int_equal(b.v->mmu->root.hpa, b.v->mmu->pae_root.pa);
		for (i = 0; i < 4; i++) {
			struct nmmu_sp *sp = nmmu_root_sp(b.v, b.v->mmu, b.v->mmu->root.hpa, (u64)i << 30);

			assert_int_equal(sp->gfn, i << 18);
			assert_int_equal(sp->role.level, 2);
			assert_true(sp->role.direct);
			assert_int_equal(entries(b.v->mmu->pae_root)[i], sp->spt_pa | 1);
		}
		assert_int_equal(box_fault(&b, DATA, W), NMMU_RET_FIXED);
		assert_int_equal(pfn_at(&b, DATA), pfn_of(DATA));
		box_deinit(&b);
	}
}

/*
 * PAE under shadow paging: a page for each PDPTE; one without memory is absent (6.12) or the end (6.1). C7.
 */
static void pae(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_regs regs = { .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr4 = CR4_PAE };
		struct nmmu_entry entry;
		u64 pdpt, pd;
		struct box b;

		cfg.tdp = false;
		box_init(&b, &cfg);
		pdpt = box_table(&b);
		pd = box_table(&b);
		box_set(&b, pdpt << 12, pd << 12 | 1);
		box_set(&b, (pdpt << 12) + 16, box_table(&b) << 12 | 1);
		box_map(&b, pd, 2, 0, DATA, 1, PT_RW, PT_TABLE);
		regs.cr3 = pdpt << 12;
		assert_int_equal(nmmu_set_regs(b.v, &regs), 0);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_int_equal(pfn_at(&b, 0), pfn_of(DATA));
		assert_int_equal(nmmu_root_sp(b.v, b.v->mmu, b.v->mmu->root.hpa, 0)->gfn, pd);
		assert_int_equal(entries(b.v->mmu->pae_root)[1], 0);
		assert_int_not_equal(entries(b.v->mmu->pae_root)[2], 0);
		assert_null(nmmu_root_sp(b.v, b.v->mmu, b.v->mmu->root.hpa, 1ULL << 30));

		/* PDPTE 2 into nowhere. */
		box_set(&b, (pdpt << 12) + 16, (u64)(BOX_PAGES + 5) << 12 | 1);
		assert_int_equal(nmmu_set_regs(b.v, &regs), 0);
		if (kernel == NMMU_6_1) {
			assert_int_equal(nmmu_vcpu_load(b.v, &entry), -EIO);
		} else {
			box_load(&b);
			assert_int_equal(entries(b.v->mmu->pae_root)[2], 0);
			assert_int_not_equal(entries(b.v->mmu->pae_root)[0], 0);
		}
		box_check(&b);
		box_deinit(&b);
	}
}

/* C.3 case 3 and 4: NPT12 of an L1 of fewer levels than the host's. */
static void npt_roots(void **state)
{
	enum nmmu_kernel kernel;
	u32 host5;

	for_each_kernel(kernel)
	{
		for (host5 = 0; host5 < 2; host5++) {
			struct nmmu_config cfg = box_config(kernel);
			struct nmmu_regs l1 = { .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr4 = CR4_PAE };
			struct nmmu_mmu *mmu;
			u64 ncr3, pd;
			struct box b;

			cfg.hv = MS_HV_SVM;
			cfg.la57 = host5;
			box_init(&b, &cfg);
			mmu = &b.v->guest_mmu;
			/* A PAE L1. */
			ncr3 = box_table(&b);
			pd = box_table(&b);
			box_set(&b, ncr3 << 12, pd << 12 | 1);
			box_map(&b, pd, 2, 0x4000, DATA, 1, PT_RW, PT_TABLE);
			l1.cr3 = box_table(&b) << 12;
			assert_int_equal(nmmu_set_regs(b.v, &l1), 0);
			box_enter(&b, NMMU_NESTED_NPT, ncr3 << 12);
			assert_int_equal(box_fault(&b, 0x4000, R), NMMU_RET_FIXED);
			assert_int_equal(pfn_at(&b, 0x4000), pfn_of(DATA));
			assert_int_equal(mmu->root.hpa, host5 ? mmu->pml5_root.pa : mmu->pml4_root.pa);
			if (host5)
				assert_int_equal(entries(mmu->pml5_root)[0] & ~0xfffULL, mmu->pml4_root.pa);
			assert_int_equal(entries(mmu->pml4_root)[0] & ~0xfffULL, mmu->pae_root.pa);
			assert_int_equal(entries(mmu->pae_root)[0] & 7, 7);
			/* Special roots are not cached. */
			nmmu_nested_leave(b.v, NULL);
			box_enter(&b, NMMU_NESTED_NPT, box_table(&b) << 12);
			box_load(&b);
			assert_int_equal(mmu->prev[0].hpa, NMMU_NO_PAGE);
			nmmu_nested_leave(b.v, NULL);

			/* A 4-level L1: a page of its own, passthrough under 5 levels. */
			box_long_mode(&b, l1.cr3);
			ncr3 = box_table(&b);
			box_map(&b, ncr3, 4, 0x4000, DATA, 1, PT_RW, PT_TABLE);
			box_enter(&b, NMMU_NESTED_NPT, ncr3 << 12);
			assert_int_equal(box_fault(&b, 0x4000, R), NMMU_RET_FIXED);
			assert_int_equal(pfn_at(&b, 0x4000), pfn_of(DATA));
			assert_int_equal(root_page(&b)->role.level, host5 ? 5 : 4);
			assert_int_equal(root_page(&b)->role.passthrough, host5);
			assert_int_equal(root_page(&b)->gfn, ncr3);
			if (host5) {
				struct nmmu_slot *slot = nmmu_slot_of(b.m, 0, ncr3);
				struct nmmu_sp *sp = nmmu_sp_of_spte(b.m, box_spte(&b, 0x4000, 4));

				assert_int_equal(sp->gfn, ncr3);
				assert_false(sp->role.passthrough);
				/* Only the level-4 page tracks the table (I 19). */
				assert_int_equal(slot->write_track[ncr3], 1);
				nmmu_pt_write(b.v, ncr3 << 12, 0, 8);
				assert_false(spte_is_mmu_present(&b.m->profile, sp->spt[0]));
				assert_true(spte_is_mmu_present(&b.m->profile, root_page(&b)->spt[0]));
				box_check(&b);
			}
			box_deinit(&b);
		}
	}
}

/* C7: a root that names no memory. */
static void unbacked_root(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_entry entry;
		struct nmmu_result result = { 0 };
		u64 root = BOX_PAGES + 0x200, table;
		struct box b;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		if (kernel == NMMU_6_1) {
			assert_int_equal(nmmu_vcpu_load(b.v, &entry), -EIO);
			box_deinit(&b);
			continue;
		}
		box_load(&b);
		assert_true(nmmu_root_is_dummy(b.v, b.v->mmu->root.hpa));
		assert_null(nmmu_root_sp(b.v, b.v->mmu, b.v->mmu->root.hpa, 0));
		assert_int_equal(b.m->nr_indirect, 0);
		/* Memory comes: the next fault finds out, and a root is made. */
		assert_int_equal(nmmu_slot_set(b.m, 0, 2, BOX_PAGES, 0x400, BOX_HVA, 0), 0);
		table = box_table(&b);
		box_set(&b, 0x200 << 12, table << 12 | EPT_TABLE);
		box_map(&b, table, 3, 0x4000, DATA, 1, EPT_RWX, EPT_TABLE);
		assert_int_equal(nmmu_page_fault(b.v, 0x4000, R, &result), NMMU_RET_RETRY);
		assert_int_equal(box_fault(&b, 0x4000, R), NMMU_RET_FIXED);
		assert_int_equal(root_page(&b)->gfn, root);
		box_deinit(&b);
	}
}

/* --- previous roots (C6) --- */

static void enter_ept(struct box *b, u64 eptp)
{
	box_enter(b, NMMU_NESTED_EPT, eptp);
	box_load(b);
	assert_int_equal(b->v->mmu->root.pgd, eptp);
	nmmu_nested_leave(b->v, NULL);
	box_load(b);
}

static void assert_prev(struct box *b, u64 first, u64 second, u64 third)
{
	const struct nmmu_root *prev = b->v->guest_mmu.prev;
	u64 want[3] = { first, second, third };
	u32 i;

	for (i = 0; i < 3; i++) {
		if (want[i])
			assert_int_equal(prev[i].pgd, want[i]);
		else
			assert_int_equal(prev[i].hpa, NMMU_NO_PAGE);
	}
}

static void previous_roots(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 e[5];
		struct box b;
		u32 i, created;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		for (i = 0; i < 5; i++)
			e[i] = box_table(&b) << 12 | EPTP;
		for (i = 0; i < 4; i++)
			enter_ept(&b, e[i]);
		assert_prev(&b, e[2], e[1], e[0]);
		created = b.events[MS_EV_sp_create];
		/* From the middle: what is younger moves down by one. */
		enter_ept(&b, e[1]);
		assert_true(b.last[MS_EV_root_load].u.root_load.cached ||
			    b.events[MS_EV_sp_create] == created);
		assert_prev(&b, e[3], e[2], e[0]);
		/* A fifth: the oldest goes, its page stays to be found. */
		enter_ept(&b, e[4]);
		assert_prev(&b, e[1], e[3], e[2]);
		assert_int_equal(box_sp(&b, e[0] >> 12, 4)->root_count, 0);
		created = b.events[MS_EV_sp_create];
		enter_ept(&b, e[0]);
		assert_int_equal(b.events[MS_EV_sp_create], created);

		/* The key is the whole EPTP: other A/D, another root; the role differs as well. */
		enter_ept(&b, e[0] & ~0x40ULL);
		assert_int_equal(b.v->guest_mmu.prev[0].pgd, e[0]);
		assert_true(root_page(&b)->role.word != 0);
		box_check(&b);

		/* INVEPT of one table: both, and nothing else. */
		assert_prev(&b, e[0], e[4], e[1]);
		assert_int_equal(nmmu_invept(b.v, false, e[0]), 0);
		assert_int_equal(b.v->guest_mmu.root.hpa, NMMU_NO_PAGE);
		assert_prev(&b, 0, e[4], e[1]);
		/* No current one: the match is taken out, and the rest moves up. */
		box_enter(&b, NMMU_NESTED_EPT, e[4]);
		assert_int_equal(b.v->guest_mmu.root.pgd, e[4]);
		assert_int_equal(b.v->guest_mmu.prev[1].pgd, e[1]);
		assert_int_equal(b.v->guest_mmu.prev[2].hpa, NMMU_NO_PAGE);
		nmmu_nested_leave(b.v, NULL);
		assert_int_equal(nmmu_invept(b.v, true, 0), 0);
		assert_prev(&b, 0, 0, 0);
		assert_int_equal(b.v->guest_mmu.root.hpa, NMMU_NO_PAGE);
		assert_int_equal(nmmu_invept(b.v, false, e[0] | 0x800), -EINVAL);
		box_check(&b);
		box_deinit(&b);
	}
}

/* A zapped root is not found again, though its key matches; its cached copies go with the request. */
static void zapped_root_is_no_match(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 e[2];
		struct box b;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		e[0] = box_table(&b) << 12 | EPTP;
		e[1] = box_table(&b) << 12 | EPTP;
		enter_ept(&b, e[0]);
		enter_ept(&b, e[1]);
		nmmu_lock(b.m);
		nmmu_unprotect_gfn(b.m, e[0] >> 12);
		nmmu_unlock(b.m);
		box_enter(&b, NMMU_NESTED_EPT, e[0]);
		assert_int_equal(b.v->mmu->root.hpa, NMMU_NO_PAGE);
		box_load(&b);
		assert_false(root_page(&b)->role.invalid);
		assert_prev(&b, e[1], 0, 0);
		box_deinit(&b);
	}
}

/* --- one address --- */

/*
 * Shadow paging, a level-1 table that the guest has mapped for itself. It changes one entry without a flush
 * and gives INVLPG for it: that entry is right, its neighbour may be old.
 */
static void invlpg(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 root, pte, self = 0x40000000;
		struct nmmu_sp *sp;
		struct box b;

		cfg.tdp = false;
		box_init(&b, &cfg);
		root = box_table(&b);
		pte = box_map(&b, root, 4, 0, DATA, 1, PT_RW, PT_TABLE);
		box_map(&b, root, 4, 0x9000, DATA + 0x1000, 1, PT_RW, PT_TABLE);
		box_map(&b, root, 4, self, pte & ~0xfffULL, 1, PT_RW, PT_TABLE);
		box_long_mode(&b, root << 12);
		box_fault(&b, 0, R);
		box_fault(&b, 0x9000, R);
		assert_int_equal(box_fault(&b, self, W), NMMU_RET_FIXED);
		sp = nmmu_sp_of_spte(b.m, box_spte(&b, 0, 1));
		assert_true(sp->unsync);
		box_set(&b, pte, (DATA + 0x5000) | PT_RW);
		box_set(&b, pte + 72, 0);
		nmmu_invlpg(b.v, 0);
		box_check(&b);
		/* 6.1 maps it at once, 6.12 drops it. */
		assert_int_equal(pfn_at(&b, 0), kernel == NMMU_6_1 ? pfn_of(DATA + 0x5000) : 0);
		assert_int_equal(pfn_at(&b, 0x9000), pfn_of(DATA + 0x1000));
		assert_true(sp->unsync);
		nmmu_invlpg(b.v, 0x9000);
		assert_int_equal(pfn_at(&b, 0x9000), 0);
		/* Not canonical: nothing at all. */
		b.flushes = 0;
		nmmu_invlpg(b.v, 1ULL << 47);
		assert_int_equal(b.flushes, 0);

		/* Everything of the guest's: synced, and protected. */
		nmmu_flush_guest(b.v);
		box_check(&b);
		assert_false(sp->unsync);
		assert_false(spte_is_writable(*box_spte(&b, self, 1)));
		box_deinit(&b);
	}
}

/*
 * Only what was changed is brought up to date in 6.12; 6.1 leaves the rest alone as well, by not looking at
 * it.
 */
static void flush_syncs_previous_roots(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 root[2], pte;
		struct box b;

		cfg.tdp = false;
		box_init(&b, &cfg);
		root[0] = box_table(&b);
		root[1] = box_table(&b);
		pte = box_map(&b, root[0], 4, 0, DATA, 1, PT_RW, PT_TABLE);
		box_map(&b, root[1], 4, 0, pte & ~0xfffULL, 1, PT_RW, PT_TABLE);
		box_long_mode(&b, root[0] << 12);
		box_fault(&b, 0, R);
		box_long_mode(&b, root[1] << 12);
		assert_int_equal(box_fault(&b, 0, W), NMMU_RET_FIXED);
		assert_int_equal(b.v->mmu->prev[0].pgd, root[0] << 12);
		assert_int_equal(nmmu_sp_by_pa(b.m, b.v->mmu->prev[0].hpa)->unsync_children, 1);
		nmmu_flush_guest(b.v);
		assert_int_equal(b.v->mmu->prev[0].hpa, NMMU_NO_PAGE);
		box_check(&b);
		box_deinit(&b);
	}
}

/* --- without memory --- */

/*
 * One L2 with EPT12, L1 writing tables, an unsync page, an INVEPT. Any call may fail; it is then made again.
 */
static int try_load(struct box *b)
{
	struct nmmu_entry entry;

	return nmmu_vcpu_load(b->v, &entry);
}

static int try_fault(struct box *b, u64 addr, u64 error)
{
	struct nmmu_result result = { 0 };
	int ret = try_load(b);

	return ret ? ret : nmmu_page_fault(b->v, addr, error, &result);
}

/* Runs call; out of memory, sees that nothing is broken, and runs it again with memory. Counts failures. */
#define starve(b, call)                                    \
	do {                                               \
		int ret_ = (call);                         \
		box_check(b);                              \
		if (ret_ == -ENOMEM) {                     \
			failed++;                          \
			(b)->fail_from = 0;                \
			ret_ = (call);                     \
			box_check(b);                      \
		}                                          \
		while (ret_ == NMMU_RET_RETRY && is_fault) \
			ret_ = (call);                     \
		assert_true(ret_ >= 0);                    \
	} while (0)

static u32 run_starving(enum nmmu_kernel kernel, enum ms_hv hv, bool tdp, u32 fail_after)
{
	struct nmmu_config cfg = box_config(kernel);
	const u64 none = 0;
	u64 root, pte;
	u32 failed = 0, i;
	bool is_fault = true;
	struct box b;

	cfg.hv = hv;
	cfg.tdp = tdp;
	cfg.la57 = hv == MS_HV_SVM && tdp;
	box_init(&b, &cfg);
	root = box_table(&b);
	for (i = 0; i < 12; i++)
		pte = box_map(&b, root, 4, (u64)i << 21, DATA + i * 0x1000, 1,
			      hv == MS_HV_VMX && tdp ? EPT_RWX : PT_RW,
			      hv == MS_HV_VMX && tdp ? EPT_TABLE : PT_TABLE);
	box_long_mode(&b, root << 12);
	if (tdp)
		box_enter(&b, hv == MS_HV_VMX ? NMMU_NESTED_EPT : NMMU_NESTED_NPT,
			  root << 12 | (hv == MS_HV_VMX ? EPTP : 0));
	b.fail_from = fail_after ? b.allocs + fail_after : 0;
	is_fault = false;
	starve(&b, try_load(&b));
	is_fault = true;
	for (i = 0; i < 12; i++)
		starve(&b, try_fault(&b, (u64)i << 21, R));
	if (tdp)
		nmmu_nested_leave(b.v, NULL);
	starve(&b, try_fault(&b, tdp ? pte : 0, W));
	box_set(&b, pte, none);
	if (hv == MS_HV_VMX && tdp)
		nmmu_invept(b.v, true, 0);
	else
		nmmu_flush_guest(b.v);
	nmmu_invlpg(b.v, 11ULL << 21);
	box_check(&b);
	box_deinit(&b);
	return failed;
}

static void out_of_memory_anywhere(void **state)
{
	enum nmmu_kernel kernel;
	u32 mode, i, failures = 0;

	for_each_kernel(kernel)
	{
		for (mode = 0; mode < 3; mode++) {
			enum ms_hv hv = mode == 1 ? MS_HV_SVM : MS_HV_VMX;

			for (i = 1;; i++) {
				u32 failed = run_starving(kernel, hv, mode < 2, i);

				if (!failed)
					break;
				failures += failed;
			}
			assert_true(i > 40);
		}
	}
	assert_true(failures > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct_root),
		cmocka_unit_test(no_paging),
		cmocka_unit_test(pae),
		cmocka_unit_test(npt_roots),
		cmocka_unit_test(unbacked_root),
		cmocka_unit_test(previous_roots),
		cmocka_unit_test(zapped_root_is_no_match),
		cmocka_unit_test(invlpg),
		cmocka_unit_test(flush_syncs_previous_roots),
		cmocka_unit_test(out_of_memory_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
