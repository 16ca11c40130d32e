// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's outside: which registers, EPTPs and PDPTRs are refused, what the CPU is told to run on, how
 * exits become error codes; and life at the limits: NX huge pages, reverse maps that grow too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/faultlab.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define PG (LAB_CR0_PE | LAB_CR0_PG | LAB_CR0_WP)
#define POOL_GFN 0x1000
#define POOL_PAGES 256
#define PT_BITS 0x67ULL
#define PT_UPPER 0x27ULL
#define EPT_BITS 0x337ULL
#define EPT_UPPER 0x107ULL
#define GFN 0x1234u
#define GPA ((u64)GFN << 12)

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

/* --- what is refused --- */

static void registers(void **state)
{
	static const struct {
		struct nmmu_regs regs;
		int err;
	} v[] = {
		{ { .cr0 = 0 }, 0 },
		{ { .cr0 = LAB_CR0_PG }, -EINVAL }, /* without PE */
		{ { .cr0 = PG }, 0 },
		{ { .cr0 = PG, .efer = LAB_EFER_LME }, -EINVAL }, /* long mode without PAE */
		{ { .cr0 = PG, .cr4 = LAB_CR4_PAE, .efer = LAB_EFER_LME }, 0 },
		{ { .cr0 = PG, .cr4 = LAB_CR4_PAE, .efer = LAB_EFER_LME, .cr3 = 1ULL << 45 }, 0 },
		{ { .cr0 = PG, .cr4 = LAB_CR4_PAE, .efer = LAB_EFER_LME, .cr3 = 1ULL << 46 }, -EINVAL },
		{ { .cr0 = PG, .cr3 = 1ULL << 32 }, -EINVAL },
		{ { .cr0 = PG, .cr4 = LAB_CR4_PAE }, 0 },
		{ { .cr0 = PG, .cr4 = LAB_CR4_PAE, .cr3 = 0x7000000000 }, -EINVAL },
		/* PDPTRs without memory */
		{ { .cr0 = PG, .cr4 = LAB_CR4_PAE, .cr3 = 0xf0000000 }, -EINVAL },
	};
	u32 tdp, i;

	(void)state;
	for (tdp = 0; tdp < 2; tdp++) {
		struct nmmu_config cfg = lab_config(false, NMMU_6_12);
		struct lab lab;

		cfg.tdp = tdp;
		lab_init(&lab, &cfg, 1);
		for (i = 0; i < NR(v); i++) {
			struct nmmu_regs before = lab.v->regs;

			if (nmmu_set_regs(lab.v, &v[i].regs) != v[i].err)
				fail_msg("registers %u", i);
			if (v[i].err)
				assert_memory_equal(&before, &lab.v->regs, sizeof(before));
			else
				assert_int_equal(lab.v->regs.cr3, v[i].regs.cr3);
		}
		lab_deinit(&lab);
	}
}

/* B1a: every bit of a PDPTE, present and not. */
static void pdptrs(void **state)
{
	struct nmmu_regs regs = { .cr0 = PG, .cr4 = LAB_CR4_PAE, .cr3 = GPA | 0x20 };
	struct nmmu_config cfg = lab_config(true, NMMU_6_12);
	u32 bit, i, present;
	struct lab lab;

	(void)state;
	lab_init(&lab, &cfg, 1);
	for (i = 0; i < 4; i++)
		for (bit = 1; bit < 64; bit++)
			for (present = 0; present < 2; present++) {
				bool rsvd = bit >= 46 || (bit >= 5 && bit <= 8) || bit <= 2;
				int err;

				lab_poke(&lab, GPA + 0x20 + 8 * i, 1ULL << bit | present, 8);
				err = nmmu_set_regs(lab.v, &regs);
				if (err != (rsvd && present ? -EINVAL : 0))
					fail_msg("PDPTE bit %u, present %u: %d", bit, present, err);
				if (!err)
					assert_true(lab.v->root_mmu.pdptrs[i] == (1ULL << bit | present));
				lab_poke(&lab, GPA + 0x20 + 8 * i, 0, 8);
			}
	lab_deinit(&lab);
}

/* B3, written out. */
static bool eptp_fine(u64 eptp, bool la57, bool ad)
{
	u32 mt = eptp & 7, levels = (eptp >> 3 & 7) + 1;

	return (mt == 0 || mt == 6) && (levels == 4 || (levels == 5 && la57)) && (ad || !(eptp & 0x40)) &&
	       !(eptp & 0xf80) && !(eptp >> 46);
}

static void eptps(void **state)
{
	u32 low, la57, ad, bit, refused = 0;

	(void)state;
	for (la57 = 0; la57 < 2; la57++)
		for (ad = 0; ad < 2; ad++) {
			struct nmmu_config cfg = lab_config(false, NMMU_6_12);
			struct lab lab;

			cfg.la57 = la57;
			cfg.ad = ad;
			lab_init(&lab, &cfg, 1);
			for (low = 0; low < 4096 + 64; low++) {
				struct nmmu_nested nested = { .kind = NMMU_NESTED_EPT };
				struct nmmu_regs before = lab.v->regs;
				int err;

				bit = low < 4096 ? 12 : low - 4096;
				nested.root = low < 4096 ? low | GPA : 1ULL << bit | 0x1e;
				err = nmmu_nested_enter(lab.v, &nested);
				if (err != (eptp_fine(nested.root, la57, ad) ? 0 : -EINVAL))
					fail_msg("EPTP 0x%llx: %d", (unsigned long long)nested.root, err);
				if (err) {
					assert_false(lab.v->guest_mode);
					assert_ptr_equal(lab.v->mmu, &lab.v->root_mmu);
					assert_memory_equal(&before, &lab.v->regs, sizeof(before));
					refused++;
				} else {
					assert_ptr_equal(lab.v->mmu, &lab.v->guest_mmu);
					assert_ptr_equal(lab.v->walk_mmu, &lab.v->nested_mmu);
					assert_int_equal(nmmu_nested_enter(lab.v, &nested), -EINVAL);
				}
				nmmu_nested_leave(lab.v, NULL);
			}
			lab_deinit(&lab);
		}
	assert_true(refused > 16000);
}

/* What does not belong to the machine; and PML12 where it may not be. */
static void nested_kinds(void **state)
{
	struct nmmu_config cfg = lab_config(true, NMMU_6_12);
	struct nmmu_nested n = { .kind = NMMU_NESTED_NPT, .root = GPA };
	struct lab lab;

	(void)state;
	lab_init(&lab, &cfg, 1);
	assert_int_equal(nmmu_nested_enter(lab.v, &n), 0);
	nmmu_nested_leave(lab.v, NULL);
	n.root = 1ULL << 46;
	assert_int_equal(nmmu_nested_enter(lab.v, &n), -EINVAL);
	n = (struct nmmu_nested){ .kind = NMMU_NESTED_EPT, .root = GPA | 0x1e };
	assert_int_equal(nmmu_nested_enter(lab.v, &n), -EINVAL);
	lab_deinit(&lab);

	cfg = lab_config(false, NMMU_6_12);
	lab_init(&lab, &cfg, 1);
	n.kind = NMMU_NESTED_NPT;
	assert_int_equal(nmmu_nested_enter(lab.v, &n), -EINVAL);
	n = (struct nmmu_nested){
		.kind = NMMU_NESTED_EPT, .root = GPA | 0x1e, .pml = true, .pml_addr = 0x3000
	};
	assert_int_equal(nmmu_nested_enter(lab.v, &n), -EINVAL); /* no A/D */
	n.root |= 0x40;
	n.pml_addr = 0x3008;
	assert_int_equal(nmmu_nested_enter(lab.v, &n), -EINVAL);
	n.pml_addr = 0x3000;
	assert_int_equal(nmmu_nested_enter(lab.v, &n), 0);
	lab_deinit(&lab);

	cfg.tdp = false;
	lab_init(&lab, &cfg, 1);
	assert_int_equal(nmmu_nested_enter(lab.v, &n), -EINVAL);
	n.kind = NMMU_NESTED_OFF;
	assert_int_equal(nmmu_nested_enter(lab.v, &n), 0);
	assert_ptr_equal(lab.v->mmu, &lab.v->root_mmu);
	assert_true(lab.v->root_mmu.root_role.guest_mode);
	nmmu_nested_leave(lab.v, NULL);
	assert_false(lab.v->root_mmu.root_role.guest_mode);
	lab_deinit(&lab);
}

/* --- what the CPU runs on --- */

static void entries(void **state)
{
	u32 bug;

	(void)state;
	for (bug = 0; bug < 2; bug++) {
		struct nmmu_config cfg = lab_config(false, NMMU_6_12);
		struct nmmu_nested n = { .kind = NMMU_NESTED_EPT, .root = GPA | 0x1e };
		struct nmmu_entry l1, l2;
		struct lab lab;

		cfg.pml = true;
		cfg.bugs = bug ? 1u << NMMU_BUG_PML_L2 : 0;
		lab_init(&lab, &cfg, 1);
		assert_int_equal(nmmu_vcpu_load(lab.v, &l1), 0);
		assert_true(l1.tdp && l1.ad && !l1.pml && l1.level == 4 && l1.format == SPTE_FMT_EPT);
		assert_int_equal(l1.tag, l1.root_pa | 0x5e);
		lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
		assert_int_equal(nmmu_vcpu_load(lab.v, &l1), 0);
		assert_true(l1.pml && l1.pml_pa && l1.pml_index == &lab.v->pml_index);
		assert_int_equal(*l1.pml_index, 511);

		/* EPTP02 copies bit 6 of EPTP12, and PML is off in L2, but for the bug. */
		assert_int_equal(nmmu_nested_enter(lab.v, &n), 0);
		assert_int_equal(nmmu_vcpu_load(lab.v, &l2), 0);
		assert_true(!l2.ad && l2.pml == bug && l2.root_pa != l1.root_pa && l2.tag != l1.tag);
		nmmu_nested_leave(lab.v, NULL);
		n.root |= 0x40;
		assert_int_equal(nmmu_nested_enter(lab.v, &n), 0);
		assert_int_equal(nmmu_vcpu_load(lab.v, &l2), 0);
		assert_true(l2.ad);
		nmmu_nested_leave(lab.v, NULL);
		/* E.2: without EPT12 the field is copied all the same. */
		n.kind = NMMU_NESTED_OFF;
		assert_int_equal(nmmu_nested_enter(lab.v, &n), 0);
		assert_int_equal(nmmu_vcpu_load(lab.v, &l2), 0);
		assert_true(l2.ad);
		nmmu_nested_leave(lab.v, NULL);
		n.root = 0;
		assert_int_equal(nmmu_nested_enter(lab.v, &n), 0);
		assert_int_equal(nmmu_vcpu_load(lab.v, &l2), 0);
		assert_false(l2.ad);
		nmmu_nested_leave(lab.v, NULL);
		/* L1's root was kept through all of it (C6). */
		assert_int_equal(nmmu_vcpu_load(lab.v, &l2), 0);
		assert_true(l2.root_pa == l1.root_pa);
		lab_deinit(&lab);
	}
}

/* Shadow paging: KVM has NX and WP on, whatever the guest has. */
static void entries_shadow(void **state)
{
	struct nmmu_config cfg = lab_config(false, NMMU_6_12);
	struct nmmu_regs regs = { .cr0 = LAB_CR0_PE | LAB_CR0_PG, .cr4 = LAB_CR4_SMEP };
	struct nmmu_entry e;
	struct lab lab;

	(void)state;
	cfg.tdp = false;
	lab_init(&lab, &cfg, 1);
	assert_int_equal(nmmu_vcpu_load(lab.v, &e), 0);
	assert_true(!e.tdp && e.ad && e.nx && e.wp && !e.smep && e.level == 3 && !e.pml);
	assert_int_equal(nmmu_set_regs(lab.v, &regs), 0);
	assert_int_equal(nmmu_vcpu_load(lab.v, &e), 0);
	assert_true(e.nx && e.wp && e.smep && e.level == 3);
	lab_deinit(&lab);
}

/* --- D.1 step 1 --- */

static u64 error_told(struct lab *lab, enum nmmu_exit_kind kind, u64 info)
{
	struct nmmu_exit exit = { .kind = kind, .info = info, .addr = GPA };
	struct nmmu_result result;
	struct nmmu_entry e;

	assert_int_equal(nmmu_vcpu_load(lab->v, &e), 0);
	lab->last[MS_EV_fault].u.fault.error = ~0ULL;
	assert_int_equal(nmmu_handle_exit(lab->v, &exit, &result), 0);
	return lab->last[MS_EV_fault].u.fault.error;
}

static void exit_errors(void **state)
{
	u32 k, qual;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		struct nmmu_exit exit = { .kind = NMMU_EXIT_NPF };
		struct nmmu_result result;
		struct lab lab;

		lab_init(&lab, &cfg, 1);
		for (qual = 0; qual < 512; qual++) {
			u64 want = (qual & 1 ? NMMU_PF_U : 0) | (qual & 2 ? NMMU_PF_W : 0) |
				   (qual & 4 ? NMMU_PF_I : 0) | (qual & 0x38 ? NMMU_PF_P : 0);

			if (k == 0 || qual & 0x80)
				want |= qual & 0x100 ? NMMU_PF_FINAL : NMMU_PF_PAGE;
			assert_true(error_told(&lab, NMMU_EXIT_EPT_VIOLATION, qual) == want);
			assert_int_equal(lab.v->exit_qual, qual);
		}
		assert_true(error_told(&lab, NMMU_EXIT_EPT_MISCONFIG, 0x1ff) == NMMU_PF_RSVD);
		/* Exits of another CPU. */
		assert_int_equal(nmmu_handle_exit(lab.v, &exit, &result), -EINVAL);
		exit.kind = NMMU_EXIT_PF;
		assert_int_equal(nmmu_handle_exit(lab.v, &exit, &result), -EINVAL);
		exit.kind = NMMU_EXIT_PML_FULL;
		assert_int_equal(nmmu_handle_exit(lab.v, &exit, &result), -EINVAL);
		lab_deinit(&lab);
	}
}

/* An access that nobody described cannot be emulated; memory that the host does not have fails KVM_RUN. */
static void exit_ends(void **state)
{
	struct nmmu_config cfg = lab_config(false, NMMU_6_12);
	struct nmmu_exit exit = { .kind = NMMU_EXIT_EPT_VIOLATION, .info = 1, .addr = 0x80000000 };
	struct nmmu_result result;
	struct nmmu_entry e;
	struct lab lab;

	(void)state;
	lab_init(&lab, &cfg, 1);
	assert_int_equal(nmmu_vcpu_load(lab.v, &e), 0);
	assert_int_equal(nmmu_handle_exit(lab.v, &exit, &result), -EIO);
	assert_int_equal(nmmu_slot_set(lab.m, 0, 3, 0x90000, 16, LAB_HVA + (4ULL << 30), 0), 0);
	exit.addr = 0x90000000;
	assert_int_equal(nmmu_handle_exit(lab.v, &exit, &result), -EFAULT);
	lab_deinit(&lab);
}

/* --- NX huge pages (F, I 30) --- */

static void nx_huge(void **state)
{
	u32 k, svm, level;

	(void)state;
	for (svm = 0; svm < 2; svm++)
		for (k = 0; k < 2; k++) {
			struct nmmu_config cfg = lab_config(svm, kernels[k]);
			struct ms_run run;
			struct lab lab;

			cfg.nx_huge_pages = true;
			lab_init(&lab, &cfg, 2);
			lab_poke(&lab, GPA, 0xc3, 8);
			lab_access(&lab, GPA, "r", 0);
			assert_false(spte_is_executable(&lab.m->profile, lab_leaf(&lab, GPA, &level)));
			assert_int_equal(level, 2);
			assert_int_equal(lab.m->stats.nx_splits, 0);
			assert_int_equal(lab.m->stats.pages[1], 1);

			run = lab_access(&lab, GPA, "x", 0);
			assert_int_equal(run.action, NMMU_ACT_DONE);
			assert_true(spte_is_executable(&lab.m->profile, lab_leaf(&lab, GPA, &level)));
			assert_int_equal(level, 1);
			assert_int_equal(lab.m->stats.nx_splits, 1);
			assert_int_equal(lab.m->stats.pages[1], 0);
			/* A write elsewhere in it does not bring the large page back. */
			lab_access(&lab, GPA ^ 0x100000, "w", 0);
			lab_leaf(&lab, GPA, &level);
			assert_int_equal(level, 1);
			lab_check(&lab);

			assert_int_equal(nmmu_nx_recover(lab.m, 1), 1);
			assert_int_equal(lab.m->stats.nx_splits, 0);
			lab_access(&lab, GPA, "r", 0);
			assert_false(spte_is_executable(&lab.m->profile, lab_leaf(&lab, GPA, &level)));
			assert_int_equal(level, 2);
			nmmu_set_nx_huge_pages(lab.m, false);
			lab_access(&lab, GPA, "x", 0);
			assert_true(spte_is_executable(&lab.m->profile, lab_leaf(&lab, GPA, &level)));
			assert_int_equal(level, 2);
			lab_deinit(&lab);
		}
}

/* --- reverse maps (F "recycle", I 24) --- */

static void rmap_limit(void **state)
{
	u32 k;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		struct ms_tables *t;
		struct nmmu_slot *slot;
		struct lab lab;
		u32 i;

		lab_init(&lab, &cfg, 1);
		lab_ok(ms_tables_create(lab.mm, NMMU_GPT_EPT, 4, POOL_GFN, POOL_PAGES, &t));
		/* Apart by more than the prefetch window, and without A, which would be prefetched. */
		for (i = 0; i < 1002; i++)
			lab_map(t, (u64)i << 12, GFN, 1, EPT_BITS & ~0x100ULL, EPT_UPPER);
		lab_enter(&lab, t, true, true);
		slot = nmmu_slot_of(lab.m, 0, GFN);
		for (i = 0; i < 1002; i++) {
			lab_access(&lab, (u64)i << 12, "r", 0);
			/*
			 * The 1002nd drops all and faults in again, with the one before it, whose A is set
			 * by now.
			 */
			assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(slot, GFN, 1)),
					 i < 1001 ? i + 1 : 2);
			if (i == 1000)
				lab_check(&lab);
		}
		assert_int_equal(lab.m->stats.pages[0], 2);
		ms_tables_destroy(t);
		lab_deinit(&lab);
	}
}

/* --- L1's tables shared with L2's (6.1 and 6.12 part here) --- */

static void table_walk_unprotects(void **state)
{
	u32 k;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(true, kernels[k]);
		struct nmmu_regs regs = { .cr0 = PG, .cr4 = LAB_CR4_PAE, .efer = LAB_EFER_LME };
		struct ms_tables *t;
		struct ms_run run;
		struct lab lab;

		/*
		 * One set of tables is L1's CR3 and nCR3: their shadows are write-protected, and L1's walk
		 * writes.
		 */
		lab_init(&lab, &cfg, 1);
		lab_ok(ms_tables_create(lab.mm, NMMU_GPT_64, 4, POOL_GFN, POOL_PAGES, &t));
		lab_map(t, 0x5000, GFN, 1, PT_BITS, PT_UPPER);
		regs.cr3 = ms_tables_root_gfn(t) << 12;
		assert_int_equal(ms_machine_set_regs(lab.mm, 0, &regs), 0);
		/* Mapped in NPT01 before, so that what comes is a protection fault. */
		lab_access(&lab, 0x5000, "r", 0);
		lab_enter(&lab, t, false, false);
		lab_access(&lab, 0x5000, "w", 1);
		nmmu_nested_leave(lab.v, NULL);
		assert_true(lab.m->nr_indirect > 0);
		run = lab_access(&lab, 0x5000, "w", 2);
		assert_int_equal(run.action, NMMU_ACT_DONE);
		assert_false(run.emulated);
		assert_int_equal(lab.m->nr_indirect, 0);
		assert_int_equal(lab_peek(&lab, GPA), 2);
		ms_tables_destroy(t);
		lab_deinit(&lab);
	}
}

/* L1's NPT12 would have five levels, and the host's four could not shadow them. */
static void npt12_too_wide(void **state)
{
	struct nmmu_regs regs = { .cr0 = PG, .cr4 = LAB_CR4_PAE | LAB_CR4_LA57, .efer = LAB_EFER_LME };
	struct nmmu_nested n = { .kind = NMMU_NESTED_NPT, .root = GPA };
	u32 la57, l1_la57;

	(void)state;
	for (la57 = 0; la57 < 2; la57++)
		for (l1_la57 = 0; l1_la57 < 2; l1_la57++) {
			struct nmmu_config cfg = lab_config(true, NMMU_6_12);
			struct lab lab;

			cfg.la57 = la57;
			regs.cr4 = LAB_CR4_PAE | (l1_la57 ? LAB_CR4_LA57 : 0);
			lab_init(&lab, &cfg, 1);
			assert_int_equal(nmmu_set_regs(lab.v, &regs), 0);
			assert_int_equal(nmmu_nested_enter(lab.v, &n), l1_la57 && !la57 ? -EINVAL : 0);
			assert_int_equal(lab.v->guest_mode, !l1_la57 || la57);
			lab_deinit(&lab);
		}
}

static void too_many_vcpus(void **state)
{
	struct nmmu_config cfg = lab_config(false, NMMU_6_12);
	struct nmmu_vcpu *v;
	struct lab lab;
	u32 i;

	(void)state;
	lab_init(&lab, &cfg, 1);
	for (i = 1; i < NMMU_MAX_VCPUS; i++)
		assert_int_equal(nmmu_vcpu_create(lab.m, &v), 0);
	/* Events have 16 bits for its number, and all ones for nobody. */
	assert_true(v->id < MS_EV_NO_VCPU);
	assert_int_equal(nmmu_vcpu_create(lab.m, &v), -EINVAL);
	assert_int_equal(lab.m->nr_vcpus, NMMU_MAX_VCPUS);
	lab_deinit(&lab);
}

/* Without paging, an address above 4 GiB must not end in the entry of another. */
static void beyond_pae_root(void **state)
{
	struct nmmu_exit exit = { .kind = NMMU_EXIT_PF, .info = NMMU_PF_W, .addr = 1ULL << 32 | 0x5000 };
	struct nmmu_config cfg = lab_config(false, NMMU_6_12);
	struct nmmu_result result;
	struct nmmu_entry entry;
	struct lab lab;

	(void)state;
	cfg.tdp = cfg.exec_only = false;
	lab_init(&lab, &cfg, 1);
	lab_ok(ms_machine_map(lab.mm, LAB_HVA, 4096, 1, true));
	assert_int_equal(nmmu_slot_set(lab.m, 0, 5, 1ULL << 20 | 5, 1, LAB_HVA, 0), 0);
	assert_int_equal(nmmu_vcpu_load(lab.v, &entry), 0);
	/* There is nothing to be emulated, which is the other way out. */
	assert_int_equal(nmmu_handle_exit(lab.v, &exit, &result), -EIO);
	assert_false(spte_is_mmu_present(&lab.m->profile, lab_leaf(&lab, 0x5000, NULL)));
	exit.addr = 0x5000;
	assert_int_equal(nmmu_handle_exit(lab.v, &exit, &result), 0);
	lab_deinit(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),
		cmocka_unit_test(pdptrs),
		cmocka_unit_test(eptps),
		cmocka_unit_test(nested_kinds),
		cmocka_unit_test(entries),
		cmocka_unit_test(entries_shadow),
		cmocka_unit_test(exit_errors),
		cmocka_unit_test(exit_ends),
		cmocka_unit_test(nx_huge),
		cmocka_unit_test(rmap_limit),
		cmocka_unit_test(table_walk_unprotects),
		cmocka_unit_test(npt12_too_wide),
		cmocka_unit_test(too_many_vcpus),
		cmocka_unit_test(beyond_pae_root),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
