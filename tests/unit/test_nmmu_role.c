// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Roles as the engine computes them (SEMANTICS C.1-C.3): the union's bits against the layout that src/spte
 * decodes with, the example words of C.2, the levels of every MMU kind, the formats that follow from them,
 * and the switch that takes the passthrough bit away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "spte/role.h"
#include "tests/unit/nmmu_fixture.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Each field by its name, all ones, must be the bits that role.def gives it; and the fields are all there
 * are.
 */
static void layout(void **state)
{
	const struct role_layout *base = role_layout_builtin(ROLE_BASE), *ext = role_layout_builtin(ROLE_EXT);
	u32 seen = 0, ones = ~0u;

	(void)state;
#define CHECK_BASE(id, field)                                            \
	do {                                                             \
		union nmmu_role role = { .word = 0 };                    \
                                                                         \
		role.field = ones;                                       \
		assert_int_equal(role.word, role_mask(base, ROLE_##id)); \
		seen |= role.word;                                       \
	} while (0)
#define CHECK_EXT(id, field)                                            \
	do {                                                            \
		union nmmu_role_ext role = { .word = 0 };               \
                                                                        \
		role.field = ones;                                      \
		assert_int_equal(role.word, role_mask(ext, ROLE_##id)); \
		seen |= role.word;                                      \
	} while (0)
	CHECK_BASE(LEVEL, level);
	CHECK_BASE(HAS_4_BYTE_GPTE, has_4_byte_gpte);
	CHECK_BASE(QUADRANT, quadrant);
	CHECK_BASE(DIRECT, direct);
	CHECK_BASE(ACCESS, access);
	CHECK_BASE(INVALID, invalid);
	CHECK_BASE(EFER_NX, efer_nx);
	CHECK_BASE(CR0_WP, cr0_wp);
	CHECK_BASE(SMEP_ANDNOT_WP, smep_andnot_wp);
	CHECK_BASE(SMAP_ANDNOT_WP, smap_andnot_wp);
	CHECK_BASE(AD_DISABLED, ad_disabled);
	CHECK_BASE(GUEST_MODE, guest_mode);
	CHECK_BASE(PASSTHROUGH, passthrough);
	CHECK_BASE(SMM, smm);
	assert_int_equal(role_unknown_bits(base, ~0u), ~seen);
	seen = 0;
	CHECK_EXT(VALID, valid);
	CHECK_EXT(EXECONLY, execonly);
	CHECK_EXT(CR4_PSE, cr4_pse);
	CHECK_EXT(CR4_PKE, cr4_pke);
	CHECK_EXT(CR4_SMAP, cr4_smap);
	CHECK_EXT(CR4_SMEP, cr4_smep);
	CHECK_EXT(CR4_LA57, cr4_la57);
	CHECK_EXT(EFER_LMA, efer_lma);
	assert_int_equal(role_unknown_bits(ext, ~0u), ~seen);
	assert_int_equal(ROLE_ACC_EXEC, NMMU_ACC_X);
	assert_int_equal(ROLE_ACC_WRITE, NMMU_ACC_W);
	assert_int_equal(ROLE_ACC_USER, NMMU_ACC_U);
}

#define LONG (EFER_LME | EFER_LMA)
/* With paging on: more of CR0, CR4, EFER than the mode asks for. */
#define REGS_32(cr0_, cr4_, efer_)                                     \
	{                                                              \
		.cr0 = CR0_PG | (cr0_), .cr4 = (cr4_), .efer = (efer_) \
	}
#define REGS_PAE(cr0_, cr4_, efer_) REGS_32(cr0_, CR4_PAE | (cr4_), efer_)
#define REGS_64(cr0_, cr4_, efer_) REGS_PAE(cr0_, cr4_, LONG | (efer_))
#define REGS_57(cr0_, cr4_, efer_) REGS_PAE(cr0_, CR4_LA57 | (cr4_), LONG | (efer_))

/* root_mmu: L1, and L2 without nested paging. */
static void root_mmu(void **state)
{
	static const struct {
		bool tdp, svm, no_ad, la57;
		u8 guest_phys_bits;
		bool guest_mode, smm;
		struct nmmu_regs regs;
		u32 root, cpu;
		enum nmmu_gpt kind;
	} v[] = {
		/* direct: the guest's own paging does not matter */
		{ 1, 0, 0, 0, 46, 0, 0, REGS_64(0, 0, 0), 0x3784, 0x704, NMMU_GPT_64 },
		{ 1, 0, 0, 0, 46, 0, 0, REGS_32(0, 0, 0), 0x3784, 0x712, NMMU_GPT_32 },
		{ 1, 0, 0, 0, 46, 0, 0, { .cr0 = 0 }, 0x3784, 0x780, NMMU_GPT_NONE },
		{ 1, 0, 1, 0, 46, 0, 0, REGS_64(0, 0, 0), 0x13784, 0x704, NMMU_GPT_64 },
		{ 1, 1, 1, 0, 46, 0, 0, REGS_64(0, 0, 0), 0x3784, 0x704, NMMU_GPT_64 },
		{ 1, 0, 0, 1, 48, 0, 0, REGS_57(0, 0, 0), 0x3784, 0x705, NMMU_GPT_LA57 },
		{ 1, 0, 0, 1, 49, 0, 0, REGS_64(0, 0, 0), 0x3785, 0x704, NMMU_GPT_64 },
		{ 1, 0, 0, 0, 52, 0, 0, REGS_64(0, 0, 0), 0x3784, 0x704, NMMU_GPT_64 },
		{ 1, 1, 0, 1, 40, 0, 0, REGS_64(0, 0, 0), 0x3785, 0x704, NMMU_GPT_64 },
		{ 1, 0, 0, 0, 46, 1, 0, REGS_64(0, 0, 0), 0x23784, 0x20704, NMMU_GPT_64 },
		{ 1, 0, 0, 0, 46, 0, 1, REGS_64(0, 0, 0), 0x1003784, 0x1000704, NMMU_GPT_64 },
		/* shadow */
		{ 0, 0, 0, 0, 46, 0, 0, { .cr0 = 0 }, 0x1783, 0x780, NMMU_GPT_NONE },
		{ 0,
		  0,
		  0,
		  0,
		  46,
		  0,
		  0,
		  { .cr0 = CR0_WP, .cr4 = CR4_PAE, .efer = EFER_NX },
		  0x1783,
		  0x780,
		  NMMU_GPT_NONE },
		{ 0, 0, 0, 0, 46, 0, 0, REGS_32(0, 0, 0), 0x1713, 0x712, NMMU_GPT_32 },
		{ 0,
		  0,
		  0,
		  0,
		  46,
		  0,
		  0,
		  { .cr0 = CR0_PG | CR0_WP, .cr4 = CR4_SMEP },
		  0x3713,
		  0x2712,
		  NMMU_GPT_32 },
		{ 0, 0, 0, 0, 46, 0, 0, REGS_32(0, CR4_SMEP, 0), 0x5713, 0x4712, NMMU_GPT_32 },
		{ 0, 0, 0, 0, 46, 0, 0, REGS_32(0, CR4_SMAP, 0), 0x9713, 0x8712, NMMU_GPT_32 },
		{ 0, 0, 0, 0, 46, 0, 0, REGS_PAE(0, 0, 0), 0x1703, 0x703, NMMU_GPT_PAE },
		{ 0, 0, 0, 0, 46, 0, 0, REGS_PAE(0, 0, EFER_NX), 0x1703, 0x1703, NMMU_GPT_PAE },
		{ 0, 0, 1, 0, 46, 0, 0, REGS_64(0, 0, 0), 0x1704, 0x704, NMMU_GPT_64 },
		{ 0, 0, 0, 0, 46, 0, 0, REGS_57(CR0_WP, 0, 0), 0x3705, 0x2705, NMMU_GPT_LA57 },
		{ 0, 1, 0, 0, 46, 1, 1, REGS_64(0, 0, 0), 0x1021704, 0x1020704, NMMU_GPT_64 },
		/* LME alone is enough, LMA is the CPU's; LA57 without long mode is nothing */
		{ 0, 0, 0, 0, 46, 0, 0, REGS_PAE(0, 0, EFER_LME), 0x1704, 0x704, NMMU_GPT_64 },
		{ 0, 0, 0, 0, 46, 0, 0, REGS_32(0, CR4_PAE | CR4_LA57, 0), 0x1703, 0x703, NMMU_GPT_PAE },
	};
	struct fix f;

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		struct nmmu_mmu *mmu = &f.v.root_mmu;

		fix_init(&f, v[i].svm ? MS_HV_SVM : MS_HV_VMX, NMMU_6_1);
		f.m.cfg.tdp = v[i].tdp;
		f.m.cfg.ad = !v[i].no_ad;
		f.m.cfg.la57 = v[i].la57;
		f.m.cfg.guest_phys_bits = v[i].guest_phys_bits;
		f.v.regs = v[i].regs;
		f.v.regs.smm = v[i].smm;
		f.v.regs.cr3 = 0x5018;
		f.v.guest_mode = v[i].guest_mode;
		mmu->root.hpa = 0x777000;
		nmmu_init_root_mmu(&f.v);
		if (mmu->root_role.word != v[i].root || mmu->cpu_role.base.word != v[i].cpu)
			fail_msg("row %u: root %#x cpu %#x", i, mmu->root_role.word, mmu->cpu_role.base.word);
		assert_int_equal(mmu->fmt.kind, v[i].kind);
		assert_int_equal(mmu->fmt.levels, mmu->cpu_role.base.level);
		assert_int_equal(mmu->fmt.phys_bits, v[i].guest_phys_bits);
		assert_int_equal(mmu->fmt.amd, v[i].svm);
		assert_int_equal(mmu->guest_pgd, 0x5018);
		assert_true(mmu->cpu_role.ext.valid);
		/* Roots are root.c's. */
		assert_int_equal(mmu->root.hpa, 0x777000);
		mmu->root.hpa = NMMU_NO_PAGE;
		fix_deinit(&f);
	}
}

static void shadow_ept(void **state)
{
	static const struct {
		u64 eptp;
		u32 word;
		u8 levels;
		bool ad;
	} v[] = {
		{ 0x1000 | EPTP_WB4 | EPTP_AD, 0x20704, 4, true },
		{ 0x1000 | EPTP_WB4, 0x30704, 4, false },
		{ 0x1000 | EPTP_WB5 | EPTP_AD, 0x20705, 5, true },
		{ 0x1000 | EPTP_WB5, 0x30705, 5, false },
	};
	struct nmmu_regs busy = { .cr0 = CR0_PG | CR0_WP,
				  .cr4 = CR4_PAE | CR4_SMEP | CR4_SMAP,
				  .efer = LONG | EFER_NX };
	struct fix f;

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		for (u32 x = 0; x < 2; x++) {
			fix_init(&f, MS_HV_VMX, NMMU_6_12);
			f.m.cfg.exec_only = x;
			f.m.cfg.guest_phys_bits = 39;
			fix_l2(&f, NMMU_NESTED_EPT, v[i].eptp, &busy, &busy);
			assert_int_equal(f.v.guest_mmu.root_role.word, v[i].word);
			assert_int_equal(f.v.guest_mmu.cpu_role.base.word, v[i].word);
			assert_int_equal(f.v.guest_mmu.cpu_role.ext.word, 1 | x << 1);
			assert_int_equal(f.v.guest_mmu.guest_pgd, v[i].eptp);
			assert_int_equal(f.v.guest_mmu.fmt.kind, NMMU_GPT_EPT);
			assert_int_equal(f.v.guest_mmu.fmt.levels, v[i].levels);
			assert_int_equal(f.v.guest_mmu.fmt.ad, v[i].ad);
			assert_int_equal(f.v.guest_mmu.fmt.exec_only, x);
			assert_int_equal(f.v.guest_mmu.fmt.phys_bits, 39);
			/* L2's own tables: no roots, its own registers. */
			assert_int_equal(f.v.nested_mmu.root_role.word, 0);
			assert_int_equal(f.v.nested_mmu.cpu_role.base.word, 0x23704);
			assert_int_equal(f.v.nested_mmu.fmt.kind, NMMU_GPT_64);
			fix_deinit(&f);
		}
	}
}

static void shadow_npt(void **state)
{
	static const struct {
		bool la57, bug;
		struct nmmu_regs l1;
		u32 root, cpu;
		enum nmmu_gpt kind;
	} v[] = {
		/* C2's words, with SMEP = SMAP = 0 and with both; L1's CR0.WP is not asked */
		{ 1, 0, REGS_64(0, 0, EFER_NX), 0x61705, 0x21704, NMMU_GPT_64 },
		{ 1, 0, REGS_57(0, 0, EFER_NX), 0x21705, 0x21705, NMMU_GPT_LA57 },
		{ 1,
		  0,
		  { .cr0 = CR0_PG | CR0_WP, .cr4 = CR4_PAE | CR4_SMEP | CR4_SMAP, .efer = LONG | EFER_NX },
		  0x6d705,
		  0x2d704,
		  NMMU_GPT_64 },
		{ 1,
		  0,
		  { .cr0 = CR0_PG | CR0_WP,
		    .cr4 = CR4_PAE | CR4_SMEP | CR4_SMAP | CR4_LA57 | CR4_PKE,
		    .efer = LONG | EFER_NX },
		  0x2d705,
		  0x2d705,
		  NMMU_GPT_LA57 },
		/* the bug: both of L1's modes have one word */
		{ 1, 1, REGS_64(0, 0, EFER_NX), 0x21705, 0x21704, NMMU_GPT_64 },
		{ 1, 1, REGS_57(0, 0, EFER_NX), 0x21705, 0x21705, NMMU_GPT_LA57 },
		{ 1, 0, REGS_64(0, 0, 0), 0x60705, 0x20704, NMMU_GPT_64 },
		{ 0, 0, REGS_64(0, 0, EFER_NX), 0x21704, 0x21704, NMMU_GPT_64 },
		/* cases 3: special roots above level-2 pages */
		{ 0, 0, REGS_PAE(0, 0, 0), 0x20704, 0x20703, NMMU_GPT_PAE },
		{ 1, 0, REGS_PAE(0, 0, 0), 0x20705, 0x20703, NMMU_GPT_PAE },
		{ 0, 0, REGS_32(0, CR4_PSE, 0), 0x20714, 0x20712, NMMU_GPT_32 },
	};
	struct nmmu_regs l2 = { .cr0 = 0 };
	struct fix f;

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		fix_init(&f, MS_HV_SVM, NMMU_6_12);
		f.m.cfg.la57 = v[i].la57;
		f.m.cfg.bugs = v[i].bug ? 1u << NMMU_BUG_LA57_ROOT : 0;
		fix_l2(&f, NMMU_NESTED_NPT, 0x3000, &v[i].l1, &l2);
		if (f.v.guest_mmu.root_role.word != v[i].root || f.v.guest_mmu.cpu_role.base.word != v[i].cpu)
			fail_msg("row %u: root %#x cpu %#x", i, f.v.guest_mmu.root_role.word,
				 f.v.guest_mmu.cpu_role.base.word);
		assert_int_equal(f.v.guest_mmu.fmt.kind, v[i].kind);
		assert_false(f.v.guest_mmu.fmt.wp);
		assert_false(f.v.guest_mmu.cpu_role.ext.cr4_pke);
		assert_int_equal(f.v.guest_mmu.fmt.pse, v[i].kind == NMMU_GPT_32);
		assert_int_equal(f.v.guest_mmu.guest_pgd, 0x3000);
		assert_int_equal(f.v.nested_mmu.fmt.kind, NMMU_GPT_NONE);
		fix_deinit(&f);
	}
}

static void extended(void **state)
{
	struct nmmu_regs regs = REGS_64(0, CR4_PSE | CR4_PKE | CR4_SMEP | CR4_SMAP | CR4_LA57, 0);
	struct fix f;

	(void)state;
	fix_init(&f, MS_HV_VMX, NMMU_6_1);
	fix_l1(&f, &regs);
	assert_int_equal(f.v.root_mmu.cpu_role.ext.word, 0xfd);
	/* PKE and LA57 are long mode's. */
	regs.efer = 0;
	fix_l1(&f, &regs);
	assert_int_equal(f.v.root_mmu.cpu_role.ext.word, 0x35);
	regs.cr0 = 0;
	fix_l1(&f, &regs);
	assert_int_equal(f.v.root_mmu.cpu_role.ext.word, 1);
	/* NX of 4-byte entries: there is none, and only compat has error codes pretend. */
	regs = (struct nmmu_regs)REGS_32(0, 0, EFER_NX);
	fix_l1(&f, &regs);
	assert_false(f.v.root_mmu.fmt.nx);
	f.m.cfg.compat = true;
	fix_l1(&f, &regs);
	assert_true(f.v.root_mmu.fmt.nx);
	fix_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout),     cmocka_unit_test(root_mmu), cmocka_unit_test(shadow_ept),
		cmocka_unit_test(shadow_npt), cmocka_unit_test(extended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
