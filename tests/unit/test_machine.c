/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole accesses: the CPU of src/hw on tables of src/nmmu, exits and all, in every mode that a guest can run
 * in. What comes out is judged by where the access went in host memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scenario/machine.h"
#include "nmmu/x86.h"

#define HVA 0x7f0000000000ULL
#define MIB (1ULL << 20)
#define RAM_PAGES 0x4000u /* 64 MiB from gfn 0, and nothing behind */
#define MMIO_GPA 0x10000000ULL

#define CR0_LONG 0x80010001ULL
#define NX (1ULL << 63)

static struct ms_machine *machine;
static struct nmmu *m;
static u32 vcpu;

#define OK(call) assert_null(call)

static void make(const struct nmmu_config *config, u32 host_level)
{
	struct ms_machine_opts opts = { .config = *config, .seed = 11 };

	OK(ms_machine_create(&opts, &machine));
	m = ms_machine_nmmu(machine);
	OK(ms_machine_map(machine, HVA, (u64)RAM_PAGES << 12, host_level, true));
	assert_int_equal(nmmu_slot_set(m, 0, 0, 0, RAM_PAGES, HVA, 0), 0);
	OK(ms_machine_add_vcpu(machine, &vcpu));
}

static int teardown(void **state)
{
	const struct nmmu_sp *sp;
	const char *text = NULL;
	u32 row;

	if (!machine)
		return 0;
	row = nmmu_self_check(m, &text, &sp);
	if (row)
		print_error("row %u: %s\n", row, text);
	if (ms_machine_misuse(machine)) {
		print_error("%s\n", ms_machine_misuse(machine));
		row = 1;
	}
	ms_machine_destroy(machine);
	machine = NULL;
	return row ? -1 : 0;
}

static struct ms_run go(u64 gva, const char *how, u64 value)
{
	struct nmmu_access a = { .gva = gva, .bytes = 8, .value = value };
	struct ms_run run;

	for (; *how; how++) {
		a.write |= *how == 'w' || *how == 'm';
		a.rmw |= *how == 'm';
		a.fetch |= *how == 'x';
		a.user |= *how == 'u';
	}
	ms_machine_access(machine, vcpu, &a, &run);
	assert_int_equal(run.error, 0);
	assert_false(run.stuck);
	return run;
}

static u64 pa_of(u64 gpa)
{
	return ms_machine_pfn(machine, HVA + (gpa & ~0xfffULL)) << 12 | (gpa & 0xfff);
}

static u64 peek(u64 gpa)
{
	u64 value;

	assert_int_equal(ms_machine_peek(machine, gpa, &value, 8), 0);
	return value;
}

/* The CPU itself made the access at this GPA. */
#define at(run, gpa)                                          \
	do {                                                  \
		struct ms_run run_ = run;                     \
		assert_int_equal(run_.action, NMMU_ACT_DONE); \
		assert_false(run_.emulated);                  \
		assert_int_equal(run_.pa, pa_of(gpa));        \
	} while (0)

/* --- configurations --- */

static struct nmmu_config vmx(void)
{
	return (struct nmmu_config){ .hv = MS_HV_VMX,
				     .tdp = true,
				     .ad = true,
				     .pml = true,
				     .exec_only = true,
				     .la57 = true,
				     .gbpages = true,
				     .mmio_caching = true,
				     .phys_bits = 46,
				     .guest_phys_bits = 46 };
}

static struct nmmu_config svm(void)
{
	return (struct nmmu_config){ .hv = MS_HV_SVM,
				     .tdp = true,
				     .gbpages = true,
				     .mmio_caching = true,
				     .phys_bits = 46,
				     .guest_phys_bits = 46 };
}

/* A guest's paging mode: registers, table kind, and a root made of a pool that starts at gfn. */
struct mode {
	const char *name;
	enum nmmu_gpt kind;
	u8 levels;
	u64 cr0, cr4, efer;
};

static const struct mode modes[] = {
	{ "none", NMMU_GPT_NONE, 0, 1, 0, 0 },
	{ "32", NMMU_GPT_32, 2, CR0_LONG, CR4_PSE, 0 },
	{ "pae", NMMU_GPT_PAE, 3, CR0_LONG, CR4_PAE, EFER_NX },
	{ "64", NMMU_GPT_64, 4, CR0_LONG, CR4_PAE, EFER_LME | EFER_NX },
	{ "la57", NMMU_GPT_LA57, 5, CR0_LONG, CR4_PAE | CR4_LA57, EFER_LME | EFER_NX },
};
#define NR_MODES (sizeof(modes) / sizeof(modes[0]))

static struct ms_tables *tables_new(enum nmmu_gpt kind, u32 levels, u64 pool)
{
	struct ms_tables *t;

	OK(ms_tables_create(machine, kind, levels, pool, 64, &t));
	return t;
}

static struct nmmu_regs regs_of(const struct mode *mode, u64 root_gfn)
{
	return (struct nmmu_regs){
		.cr0 = mode->cr0, .cr4 = mode->cr4, .efer = mode->efer, .cr3 = root_gfn << 12
	};
}

/* The guest's own tables of a mode: gva 0x400000.. -> gfn 0x800.., 4K and (where there is) 2M at 0x800000. */
static struct nmmu_regs own_tables(const struct mode *mode, u64 pool)
{
	u64 nx = mode->levels > 2 ? NX : 0;
	struct ms_tables *t;
	struct nmmu_regs regs;

	if (!mode->levels)
		return regs_of(mode, 0);
	t = tables_new(mode->kind, mode->levels, pool);
	for (u64 i = 0; i < 8; i++)
		OK(ms_tables_map(t, 0x400000 + (i << 12), 0x800 + i, 1, 7, 7));
	OK(ms_tables_map(t, 0x408000, 0x808, 1, 5, 7));
	OK(ms_tables_map(t, 0x409000, 0x809, 1, 3, 7));
	OK(ms_tables_map(t, 0x40a000, 0x80a, 1, 7 | nx, 7));
	OK(ms_tables_map(t, 0x40b000, MMIO_GPA >> 12, 1, 7, 7));
	OK(ms_tables_map(t, 0xc00000, 0xc00, 2, 7, 7));
	regs = regs_of(mode, ms_tables_root_gfn(t));
	ms_tables_destroy(t);
	return regs;
}

/* GVA of the n-th page of the 0x800 pages. */
static u64 gva_of(const struct mode *mode, u64 n)
{
	return mode->levels ? 0x400000 + (n << 12) : (0x800 + n) << 12;
}

/* What every guest can do, whatever is below it: base is what its "gfn" 0 is in L1's memory. */
static void exercise(const struct mode *mode, u64 base)
{
	u64 page = gva_of(mode, 0);

	at(go(page + 8, "uw", 0x1234), base + 0x800008);
	assert_int_equal(peek(base + 0x800008), 0x1234);
	assert_int_equal(go(page + 8, "um", 0x77).value, 0x1234);
	assert_int_equal(go(page + 8, "u", 0).value, 0x77);
	at(go(gva_of(mode, 5), "x", 0), base + 0x805000);
	at(go(gva_of(mode, 6), "", 0), base + 0x806000);
	at(go(gva_of(mode, 6), "w", 0), base + 0x806000);
	if (!mode->levels)
		return;
	/* Rights of the guest's own. */
	at(go(0x408000, "u", 0), base + 0x808000);
	assert_int_equal(go(0x408000, "uw", 0).action, NMMU_ACT_PF);
	assert_int_equal(go(0x408000, "uw", 0).last.qual, 7);
	assert_int_equal(go(0x408000, "w", 0).last.qual, 3);
	at(go(0x409000, "w", 0), base + 0x809000);
	assert_int_equal(go(0x409000, "u", 0).last.qual, 5);
	if (mode->levels > 2) {
		assert_int_equal(go(0x40a000, "ux", 0).last.qual, 0x15);
		at(go(0x40a000, "u", 0), base + 0x80a000);
	}
	assert_int_equal(go(0x40f000, "u", 0).last.qual, 4);
	assert_int_equal(go(0x40f000, "u", 0).last.addr, 0x40f000);
	at(go(0xc03008, "uw", 3), base + 0xc03008);
	at(go(0xdff000, "u", 3), base + 0xdff000);
}

static void mmio(u64 gva, u64 gpa)
{
	for (u32 i = 0; i < 3; i++) {
		struct ms_run run = go(gva + 0x10, i == 1 ? "w" : "", 5);

		assert_int_equal(run.action, NMMU_ACT_MMIO);
		assert_int_equal(run.last.gpa, gpa + 0x10);
	}
}

/* --- L1 --- */

static void l1_one(const struct nmmu_config *config, u32 host_level)
{
	for (u32 i = 0; i < NR_MODES; i++) {
		struct nmmu_regs regs;

		make(config, host_level);
		regs = own_tables(&modes[i], 0x100);
		assert_int_equal(ms_machine_set_regs(machine, vcpu, &regs), 0);
		exercise(&modes[i], 0);
		mmio(modes[i].levels ? 0x40b000 : MMIO_GPA, MMIO_GPA);
		assert_int_equal(teardown(NULL), 0);
	}
}

static void l1(void **state)
{
	struct nmmu_config vmx_config = vmx(), svm_config = svm();

	for (u32 kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		for (u32 level = 1; level <= 3; level++) {
			vmx_config = vmx();
			vmx_config.kernel = kernel;
			l1_one(&vmx_config, level);
			vmx_config.ad = vmx_config.pml = vmx_config.exec_only = false;
			l1_one(&vmx_config, level);
			/* Shadow paging, on either CPU. */
			vmx_config.tdp = false;
			vmx_config.ad = false;
			l1_one(&vmx_config, level);
			svm_config = svm();
			svm_config.kernel = kernel;
			l1_one(&svm_config, level);
			svm_config.la57 = true;
			l1_one(&svm_config, level);
			svm_config.tdp = false;
			l1_one(&svm_config, level);
		}
	}
}

/* --- L2 --- */

/* nGPA page n is GPA page n + 0x1000, 4K up to 0xc00 and 2M behind; its tables begin at gfn 0x2000. */
#define L2_BASE 0x1000000ULL

static u64 l2_space(void *ctx, u64 ngpa)
{
	return ngpa + L2_BASE;
}

static struct ms_tables *second_stage(enum nmmu_gpt kind, u32 levels)
{
	bool ept = kind == NMMU_GPT_EPT;
	struct ms_tables *t = tables_new(kind, levels, 0x3000);

	for (u64 i = 0; i < 0xc00; i++)
		OK(ms_tables_map(t, i << 12, i + 0x1000, 1, ept ? 0x37 : 7, 7));
	for (u64 i = 0xc00; i < 0x1000; i += kind == NMMU_GPT_32 ? 0x400 : 0x200)
		OK(ms_tables_map(t, i << 12, i + 0x1000, 2, ept ? 0x37 : 7, 7));
	OK(ms_tables_map(t, MMIO_GPA, MMIO_GPA >> 12, 1, ept ? 0x07 : 7, 7));
	return t;
}

/* L2's own tables lie at nGPAs, so they are built through the second stage. */
static struct nmmu_regs l2_tables(const struct mode *mode)
{
	struct nmmu_regs regs;
	struct ms_tables *t;

	if (!mode->levels)
		return regs_of(mode, 0);
	t = tables_new(mode->kind, mode->levels, 0x100);
	ms_tables_set_space(t, l2_space, NULL);
	for (u64 i = 0; i < 8; i++)
		OK(ms_tables_map(t, 0x400000 + (i << 12), 0x800 + i, 1, 7, 7));
	OK(ms_tables_map(t, 0x408000, 0x808, 1, 5, 7));
	OK(ms_tables_map(t, 0x409000, 0x809, 1, 3, 7));
	OK(ms_tables_map(t, 0x40a000, 0x80a, 1, 7 | (mode->levels > 2 ? NX : 0), 7));
	OK(ms_tables_map(t, 0x40b000, MMIO_GPA >> 12, 1, 7, 7));
	OK(ms_tables_map(t, 0xc00000, 0xc00, 2, 7, 7));
	regs = regs_of(mode, ms_tables_root_gfn(t));
	ms_tables_destroy(t);
	return regs;
}

/* The second stage's own answer, in an L2 that runs without paging. */
static void second_stage_faults(struct ms_tables *t, const struct nmmu_nested *nested, bool ept)
{
	u64 entry = ms_tables_entry(t, 0x7000, 1), pte = peek(entry), denied = ept ? 0x35 : 5;
	struct ms_run run;
	u64 zero = 0;

	pte &= ~7ULL;
	denied |= pte;
	assert_int_equal(nmmu_host_write(m, entry, &zero, 8), 0);
	run = go(0x7008, "w", 1);
	assert_int_equal(run.action, NMMU_ACT_EXIT_L1);
	assert_int_equal(run.last.reason, ept ? 48 : 0x400);
	assert_int_equal(run.last.addr, 0x7008);
	assert_int_equal(run.last.qual, ept ? 0x182 : 0x100000006);
	assert_false(ms_machine_vcpu(machine, vcpu)->guest_mode);

	assert_int_equal(nmmu_host_write(m, entry, &denied, 8), 0);
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), nested), 0);
	at(go(0x7008, "", 0), L2_BASE + 0x7008);
	run = go(0x7008, "w", 1);
	assert_int_equal(run.action, NMMU_ACT_EXIT_L1);
	assert_int_equal(run.last.qual, ept ? 0x1aa : 0x100000007);
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), nested), 0);
}

static void l2_one(const struct nmmu_config *config, const struct mode *l1_mode, const struct mode *l2_mode,
		   enum nmmu_nested_kind kind, u32 ept_levels, bool ept_ad, u32 host_level)
{
	struct nmmu_nested nested = { .kind = kind };
	struct nmmu_regs l1_regs;
	struct ms_tables *second = NULL;
	u64 base = kind == NMMU_NESTED_OFF ? 0 : L2_BASE;

	make(config, host_level);
	l1_regs = own_tables(l1_mode, 0x200);
	assert_int_equal(ms_machine_set_regs(machine, vcpu, &l1_regs), 0);
	if (kind == NMMU_NESTED_EPT) {
		second = second_stage(NMMU_GPT_EPT, ept_levels);
		nested.root = ms_tables_root_gfn(second) << 12 | 6 | (u64)(ept_levels - 1) << 3 |
			      (ept_ad ? 0x40 : 0);
	} else if (kind == NMMU_NESTED_NPT) {
		second = second_stage(l1_mode->kind, l1_mode->levels);
		nested.root = ms_tables_root_gfn(second) << 12;
	}
	nested.l2 = base ? l2_tables(l2_mode) : own_tables(l2_mode, 0x100);
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
	exercise(l2_mode, base);
	mmio(l2_mode->levels ? 0x40b000 : MMIO_GPA, MMIO_GPA);
	if (second && !l2_mode->levels)
		second_stage_faults(second, &nested, kind == NMMU_NESTED_EPT);
	/* L1 in between, and L2 again. */
	nmmu_nested_leave(ms_machine_vcpu(machine, vcpu), NULL);
	exercise(l1_mode, 0);
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
	exercise(l2_mode, base);
	ms_tables_destroy(second);
	assert_int_equal(teardown(NULL), 0);
}

static void l2_vmx(void **state)
{
	for (u32 i = 0; i < NR_MODES * 8; i++) {
		struct nmmu_config config = vmx();
		const struct mode *mode = &modes[i % NR_MODES];

		config.kernel = i / NR_MODES & 1 ? NMMU_6_12 : NMMU_6_1;
		config.pml = i / NR_MODES & 2;
		l2_one(&config, &modes[3], mode, NMMU_NESTED_EPT, i & 4 ? 5 : 4, i / NR_MODES & 4, 1 + i % 3);
		config.ad = !(i / NR_MODES & 4);
		config.pml &= config.ad;
		l2_one(&config, &modes[3], mode, NMMU_NESTED_EPT, 4, false, 1 + i % 3);
		l2_one(&config, &modes[3], mode, NMMU_NESTED_OFF, 0, false, 1 + i % 3);
	}
}

/* Every paging mode that L1's nested tables can have, on hosts of 4 and 5 levels: C.3's cases 3 and 4. */
static void l2_svm(void **state)
{
	for (u32 i = 0; i < NR_MODES * NR_MODES * 4; i++) {
		struct nmmu_config config = svm();
		const struct mode *l2_mode = &modes[i % NR_MODES], *l1_mode = &modes[i / NR_MODES % NR_MODES];

		config.la57 = i / (NR_MODES * NR_MODES) & 1;
		config.kernel = i / (NR_MODES * NR_MODES) & 2 ? NMMU_6_12 : NMMU_6_1;
		l2_one(&config, l1_mode, l2_mode, NMMU_NESTED_OFF, 0, false, 1 + i % 3);
		/* VMRUN needs paging; nested tables of 5 levels need a host that has them. */
		if (!l1_mode->levels || (l1_mode->kind == NMMU_GPT_LA57 && !config.la57))
			continue;
		l2_one(&config, l1_mode, l2_mode, NMMU_NESTED_NPT, 0, false, 1 + i % 3);
	}
}

/* C4 for L1: four levels index 48 bits, however wide the CPU's addresses: none may stand for another. */
static void wide_addresses(void **state)
{
	struct nmmu_config config = svm();
	struct nmmu_regs regs;
	struct ms_tables *t;

	config.phys_bits = config.guest_phys_bits = 50;
	make(&config, 1);
	t = tables_new(NMMU_GPT_64, 4, 0x100);
	OK(ms_tables_map(t, 0x400000, (1ULL << 36) + 0x800, 1, 7, 7));
	OK(ms_tables_map(t, 0x401000, 0x800, 1, 7, 7));
	regs = regs_of(&modes[3], ms_tables_root_gfn(t));
	assert_int_equal(ms_machine_set_regs(machine, vcpu, &regs), 0);
	mmio(0x400000, (1ULL << 48) + 0x800000);
	at(go(0x401000, "w", 3), 0x800000);
	mmio(0x400000, (1ULL << 48) + 0x800000);
	assert_int_equal(go(0x401000, "", 0).exits, 0);
	ms_tables_destroy(t);
}

/* NPT12 of a PAE L1: a PDPTE that L1 changes while L2 runs counts from the next walk on (B1a). */
static void npt_pdpte_changes(void **state)
{
	for (u32 kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		struct nmmu_nested nested = { .kind = NMMU_NESTED_NPT, .l2 = { .cr0 = 1 } };
		struct nmmu_config config = svm();
		struct nmmu_regs l1_regs;
		struct ms_tables *second, *other;
		u64 pdpte, value;

		config.kernel = kernel;
		make(&config, 1);
		l1_regs = own_tables(&modes[2], 0x200);
		assert_int_equal(ms_machine_set_regs(machine, vcpu, &l1_regs), 0);
		second = tables_new(NMMU_GPT_PAE, 3, 0x3000);
		other = tables_new(NMMU_GPT_PAE, 3, 0x3100);
		OK(ms_tables_map(second, 0, 0x800, 1, 7, 7));
		OK(ms_tables_map(other, 0, 0x900, 1, 7, 7));
		nested.root = ms_tables_root_gfn(second) << 12;
		assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
		at(go(0, "w", 1), 0x800000);
		/* From nothing to something, ... */
		pdpte = nested.root + 8;
		value = peek(nested.root);
		assert_int_equal(nmmu_host_write(m, pdpte, &value, 8), 0);
		at(go(0x40000000, "w", 1), 0x800000);
		/* ... and to something else, for which L1 flushes. */
		value = peek(ms_tables_root_gfn(other) << 12);
		assert_int_equal(nmmu_host_write(m, pdpte, &value, 8), 0);
		at(go(0x40000000, "w", 1), 0x800000);
		nmmu_nested_leave(ms_machine_vcpu(machine, vcpu), NULL);
		assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
		at(go(0x40000000, "w", 1), 0x900000);
		at(go(0, "w", 1), 0x800000);
		/* To nothing, with a flush. */
		value = 0;
		assert_int_equal(nmmu_host_write(m, pdpte, &value, 8), 0);
		nmmu_flush_nested_npt(ms_machine_vcpu(machine, vcpu));
		assert_int_equal(go(0x40000000, "", 1).action, NMMU_ACT_EXIT_L1);
		assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
		/* Nobody checks their reserved bits, and none of them is part of the address. */
		value = peek(nested.root) | 1ULL << 57 | 6;
		assert_int_equal(nmmu_host_write(m, nested.root + 16, &value, 8), 0);
		at(go(0x80000000, "w", 1), 0x800000);
		ms_tables_destroy(second);
		ms_tables_destroy(other);
		assert_int_equal(teardown(NULL), 0);
	}
}

/*
 * VMX: L1 changes a PDPTE of an L2 without EPT12 and enters it again with the CR3 and the VPID of before: the
 * entry loads the registers, and what the CPU holds is L1's to invalidate (SDM 28.3.3.1).
 */
static void reentry_keeps_translations(void **state)
{
	struct nmmu_nested nested = { .kind = NMMU_NESTED_OFF };
	struct nmmu_config config = vmx();
	struct ms_tables *t;
	struct ms_run run;
	u64 zero = 0;

	make(&config, 1);
	t = tables_new(NMMU_GPT_PAE, 3, 0x100);
	OK(ms_tables_map(t, 0xc0000000, 0x800, 1, 7, 7));
	OK(ms_tables_map(t, 0xc0001000, 0x801, 1, 7, 7));
	nested.l2 = regs_of(&modes[2], ms_tables_root_gfn(t));
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
	at(go(0xc0000000, "w", 1), 0x800000);
	nmmu_nested_leave(ms_machine_vcpu(machine, vcpu), NULL);
	assert_int_equal(nmmu_host_write(m, nested.l2.cr3 + 24, &zero, 8), 0);
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
	at(go(0xc0000000, "w", 1), 0x800000);
	/* Which the CPU did not hold. */
	assert_int_equal(go(0xc0001000, "w", 1).action, NMMU_ACT_PF);
	ms_machine_flush_guest(machine, vcpu);
	run = go(0xc0000000, "w", 1);
	assert_int_equal(run.action, NMMU_ACT_PF);
	assert_int_equal(run.last.qual, 2);
	ms_tables_destroy(t);
}

/* An entry of a table that became memory is not made a device's again by L1's flush (H 13). */
static void synced_mmio(void **state)
{
	struct nmmu_nested nested = { .kind = NMMU_NESTED_EPT, .l2 = { .cr0 = 1 } };
	struct nmmu_config config = vmx();
	struct ms_tables *second;
	struct ms_run run;
	u64 ngpa = 0x4000, pte;

	make(&config, 1);
	second = tables_new(NMMU_GPT_EPT, 4, 0x3000);
	OK(ms_tables_map(second, ngpa, MMIO_GPA >> 12, 1, 0x337, 7));
	OK(ms_tables_map(second, ngpa + 0x1000, 0x900, 1, 0x337, 7));
	nested.root = ms_tables_root_gfn(second) << 12 | 0x5e;
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
	assert_int_equal(go(ngpa, "", 0).action, NMMU_ACT_MMIO);
	/* Another slot takes no page of L2's away; L1 writes the table, which makes it unsync. */
	OK(ms_machine_map(machine, HVA + 0x40000000, 0x1000, 1, true));
	assert_int_equal(nmmu_slot_set(m, 0, 1, MMIO_GPA >> 12, 1, HVA + 0x40000000, 0), 0);
	nmmu_nested_leave(ms_machine_vcpu(machine, vcpu), NULL);
	pte = ms_tables_entry(second, ngpa + 0x1000, 1);
	assert_int_equal(go(pte, "w", 0x901337).action, NMMU_ACT_DONE);
	assert_int_equal(nmmu_invept(ms_machine_vcpu(machine, vcpu), true, 0), 0);
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
	run = go(ngpa, "", 0);
	assert_int_equal(run.action, NMMU_ACT_DONE);
	assert_false(run.emulated);
	at(go(ngpa + 0x1000, "", 0), 0x901000);
	ms_tables_destroy(second);
}

/* L1's log must not lose what the CPU has in its buffer when L1 goes on to L2, or its slot elsewhere (E4). */
static void buffered_writes_are_kept(void **state)
{
	struct nmmu_nested nested = { .kind = NMMU_NESTED_OFF, .l2 = { .cr0 = 1 } };
	struct nmmu_config config = vmx();
	u64 bitmap[RAM_PAGES / 64];

	make(&config, 1);
	at(go(0x800000, "w", 5), 0x800000);
	assert_int_equal(nmmu_slot_set(m, 0, 0, 0, RAM_PAGES, HVA, MS_SLOT_LOG_DIRTY), 0);
	assert_int_equal(ms_machine_log_get(machine, 0, 0, bitmap), 0);
	assert_int_equal(go(0x800000, "w", 6).exits, 0);
	assert_int_equal(nmmu_nested_enter(ms_machine_vcpu(machine, vcpu), &nested), 0);
	assert_int_equal(ms_machine_log_get(machine, 0, 0, bitmap), 0);
	assert_int_equal(bitmap[0x800 / 64], 1);
	nmmu_nested_leave(ms_machine_vcpu(machine, vcpu), NULL);

	assert_int_equal(go(0x800000, "w", 7).exits, 0);
	assert_int_equal(nmmu_slot_set(m, 0, 0, 0x100000, RAM_PAGES, HVA, MS_SLOT_LOG_DIRTY), 0);
	assert_int_equal(ms_machine_log_get(machine, 0, 0, bitmap), 0);
	assert_int_equal(bitmap[0x800 / 64], 1);
}

/* --- the host --- */

static void host_changes(void **state)
{
	struct nmmu_config config = vmx();
	u64 before;

	make(&config, 2);
	at(go(0x800000, "w", 5), 0x800000);
	assert_int_equal(go(0x800000, "", 0).exits, 0);
	before = pa_of(0x800000);
	ms_machine_migrate(machine, HVA + 0x800000, 2 * MIB);
	assert_int_not_equal(pa_of(0x800000), before);
	at(go(0x800000, "", 0), 0x800000);
	assert_int_equal(go(0x800000, "", 0).value, 5);
	ms_machine_protect(machine, HVA + 0x800000, 0x1000, false);
	assert_int_equal(go(0x800000, "", 0).value, 5);
	ms_machine_protect(machine, HVA + 0x800000, 0x1000, true);
	at(go(0x800000, "w", 6), 0x800000);
	ms_machine_discard(machine, HVA + 0x800000, 0x1000);
	assert_int_equal(go(0x800000, "", 0).value, 0);
	ms_machine_collapse(machine, HVA + 0x800000, 2 * MIB);
	at(go(0x801000, "w", 6), 0x801000);
	assert_int_equal(go(0x9ff000, "w", 0).exits, 0);
}

/* A flush that does not come is seen: the frame behind a translation is gone. */
static void a_missing_flush_is_seen(void **state)
{
	struct nmmu_config config = vmx();
	struct nmmu_access a = { .gva = 0x800000, .bytes = 8 };
	struct ms_run run;

	make(&config, 1);
	at(go(0x800000, "w", 5), 0x800000);
	/* Behind the notifier's back. */
	assert_int_equal(ms_machine_break_host(machine, HVA + 0x800000), 0);
	ms_machine_access(machine, vcpu, &a, &run);
	assert_int_equal(run.error, -EFAULT);
}

static void logging(void **state)
{
	for (u32 i = 0; i < 4; i++) {
		struct nmmu_config config = vmx();
		u64 bitmap[RAM_PAGES / 64];

		config.ad = i & 1;
		config.pml = i == 3;
		config.exec_only = i & 2;
		make(&config, 2);
		at(go(0x800000, "w", 5), 0x800000);
		assert_int_equal(nmmu_slot_set(m, 0, 0, 0, RAM_PAGES, HVA, MS_SLOT_LOG_DIRTY), 0);
		assert_int_equal(ms_machine_log_get(machine, 0, 0, bitmap), 0);
		for (u32 round = 0; round < 3; round++) {
			at(go(0x800000, "w", 5), 0x800000);
			at(go(0x800000, "w", 5), 0x800000);
			at(go(0x805000, "m", 5), 0x805000);
			assert_int_equal(ms_machine_log_get(machine, 0, 0, bitmap), 0);
			assert_int_equal(bitmap[0x800 / 64], 0x21);
			at(go(0x806000, "", 0), 0x806000);
			assert_int_equal(ms_machine_log_get(machine, 0, 0, bitmap), 0);
			/* A read may map writable, which counts as dirty without D bits (E.2). */
			assert_int_equal(bitmap[0x800 / 64] & ~0x40ULL, 0);
		}
		assert_int_equal(teardown(NULL), 0);
	}
}

static void out_of_memory(void **state)
{
	struct nmmu_config config = vmx();
	struct nmmu_access a = { .gva = 0x800000, .bytes = 8, .write = true, .value = 3 };
	struct ms_run run;
	u32 failed = 0;

	for (u64 after = 1; after < 400; after++) {
		make(&config, 1);
		ms_machine_fail_alloc(machine, after);
		ms_machine_access(machine, vcpu, &a, &run);
		failed += run.error == -ENOMEM;
		if (run.error)
			ms_machine_access(machine, vcpu, &a, &run);
		assert_int_equal(run.error, 0);
		assert_int_equal(run.action, NMMU_ACT_DONE);
		assert_int_equal(peek(0x800000), 3);
		assert_int_equal(teardown(NULL), 0);
	}
	assert_true(failed > 5);
}

static void bad_settings(void **state)
{
	struct ms_machine_opts opts = { .config = vmx() };
	struct ms_tables *t;
	struct ms_err *err;

	opts.config.phys_bits = 20;
	err = ms_machine_create(&opts, &machine);
	assert_non_null(err);
	ms_err_free(err);
	opts.config = vmx();
	opts.config.ad = false;
	err = ms_machine_create(&opts, &machine);
	assert_non_null(err);
	ms_err_free(err);
	machine = NULL;

	opts.config = vmx();
	make(&opts.config, 1);
	err = ms_machine_map(machine, HVA, 4096, 1, true);
	assert_non_null(err);
	ms_err_free(err);
	err = ms_tables_create(machine, NMMU_GPT_PAE, 4, 0, 1, &t);
	assert_non_null(err);
	ms_err_free(err);
	OK(ms_tables_create(machine, NMMU_GPT_64, 4, 0, 2, &t));
	err = ms_tables_map(t, 0x1000, 1, 1, 7, 7);
	assert_non_null(err);
	assert_non_null(ms_err_hint_text(err));
	ms_err_free(err);
	assert_int_equal(ms_tables_entry(t, 0x1000, 1), ~0ULL);
	assert_int_equal(ms_tables_entry(t, 0x1000, 4), 0);
	ms_tables_destroy(t);
	assert_null(ms_machine_vcpu(machine, 7));
}

int main(void)
{
#define T(fn) cmocka_unit_test_teardown(fn, teardown)
	const struct CMUnitTest tests[] = {
		T(wide_addresses),
		T(npt_pdpte_changes),
		T(reentry_keeps_translations),
		T(synced_mmio),
		T(buffered_writes_are_kept),
		T(l1),
		T(l2_vmx),
		T(l2_svm),
		T(host_changes),
		T(a_missing_flush_is_seen),
		T(logging),
		T(out_of_memory),
		T(bad_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
