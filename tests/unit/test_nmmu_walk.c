// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Walks, case by case: EPT's rights x level x access x A/D x execute-only in full (SEMANTICS I 14),
 * precedence (I 40), A and D with races, read-only and failing memory (D.1 step 4), PML12 (E5), PAE pointers
 * (B1a), L2's tables under EPT12 (D2, I 15) and NPT12 (I 17), what compat adds (D1, D2), and the trace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/nmmu_fixture.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define W NMMU_PF_W
#define U NMMU_PF_U
#define I NMMU_PF_I
#define EPT_A 0x100ULL
#define EPT_D 0x200ULL
#define PT_A 0x20ULL
#define PT_D 0x40ULL
#define PAGE_L 33 /* frame that L2's accesses go to */
#define GVA (PAGE_L * 4096ULL + 0x238)

static int setup_vmx(void **state)
{
	static struct fix f;

	fix_init(&f, MS_HV_VMX, NMMU_6_12);
	*state = &f;
	return 0;
}

static int setup_svm(void **state)
{
	static struct fix f;

	fix_init(&f, MS_HV_SVM, NMMU_6_12);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fix_deinit(*state);
	return 0;
}

/* PFERR bits that ask EPT for these rights. */
static u64 ept_pferr(u32 rwx)
{
	return (rwx & 1 ? U : 0) | (rwx & 2 ? W : 0) | (rwx & 4 ? I : 0);
}

/* An entry with rights rwx at `level', leaf or not; all others grant all. */
static void one_ept_case(struct fix *f, u32 level, bool leaf, u32 rwx, u32 access, bool ad, bool exec_only)
{
	u64 at = fix_entry(FIX_EPT_ROOT, level, PAGE_L), ngpa = GVA, entry;
	bool bad = (rwx & 3) == 2 || (rwx == 4 && !exec_only), granted = !(access & ~rwx);
	struct nmmu_walk w;
	int r;

	fix_identity_ept(f);
	entry = (fix_get(f, at) & ~7ULL) | rwx;
	if (leaf && level > 1)
		entry = 0xb0 | rwx; /* frame 0 of its size */
	fix_set(f, at, entry);
	f->m.cfg.exec_only = exec_only;
	fix_l2(f, NMMU_NESTED_EPT, EPTP_WB4 | (ad ? EPTP_AD : 0), &(struct nmmu_regs){ 0 },
	       &(struct nmmu_regs){ 0 });
	r = nmmu_walk(&f->v, &f->v.guest_mmu, ngpa, ept_pferr(access), NMMU_WALK_SET_AD, &w, NULL);
	assert_int_equal(r, rwx && !bad && granted);
	if (!r) {
		assert_true(w.fault.nested);
		assert_false(w.fault.pml_full);
		assert_int_equal(w.fault.addr, ngpa);
		assert_int_equal(w.fault.misconfig, rwx && bad);
		assert_int_equal(w.fault.qual, rwx && bad ? 0 : access | rwx << 3 | 0x180);
		assert_int_equal(fix_get(f, at), entry);
		return;
	}
	assert_int_equal(w.gfn, PAGE_L);
	assert_int_equal(w.level, leaf ? level : 1);
	assert_int_equal(w.pte_access, (rwx & 1 ? 4 : 0) | (rwx & 2) | rwx >> 2);
	assert_int_equal(w.pte_gpa[level - 1], at);
	assert_int_equal(w.top, 4);
	for (u32 l = 4; l >= w.level; l--) {
		u64 e = fix_get(f, fix_entry(FIX_EPT_ROOT, l, PAGE_L));
		bool d = ad && l == w.level && access & 2;

		assert_int_equal(e & (EPT_A | EPT_D), (ad ? EPT_A : 0) | (d ? EPT_D : 0));
		assert_int_equal(w.pte[l - 1], e);
	}
	assert_int_equal(w.dirty, !ad || access & 2);
}

static void ept_rights(void **state)
{
	struct fix *f = *state;
	u32 nr = 0;

	for (u32 level = 1; level <= 4; level++)
		for (u32 leaf = level == 1; leaf <= (level <= 3); leaf++)
			for (u32 rwx = 0; rwx < 8; rwx++)
				for (u32 access = 1; access < 8; access++)
					for (u32 caps = 0; caps < 4; caps++, nr++)
						one_ept_case(f, level, leaf, rwx, access, caps & 1, caps & 2);
	assert_int_equal(nr, 6 * 8 * 7 * 4);
}

static void precedence(void **state)
{
	struct fix *f = *state;
	struct nmmu_walk w;

	fix_l2_identity(f, EPTP_WB4);
	/* I 40: an upper entry not present hides a misconfigured lower one. */
	fix_set(f, fix_entry(FIX_EPT_ROOT, 3, 0), 0x2000);
	fix_set(f, fix_entry(FIX_EPT_ROOT, 2, 0), 0x3002);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, 0, &w, NULL), 0);
	assert_false(w.fault.misconfig);
	assert_int_equal(w.fault.qual, 0x181);
	/* A misconfigured lower one hides rights that an upper one denies. */
	fix_set(f, fix_entry(FIX_EPT_ROOT, 3, 0), 0x2001);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, 0, &w, NULL), 0);
	assert_true(w.fault.misconfig);
	assert_int_equal(w.fault.error, NMMU_PF_P | NMMU_PF_RSVD | W);
	/* x86: the same for rights and reserved bits. */
	fix_set(f, fix_entry(FIX_PT_ROOT, 4, 0), 21 << 12 | 3);
	fix_set(f, fix_entry(FIX_PT_ROOT, 1, PAGE_L), PAGE_L << 12 | 7 | 1ULL << 50);
	assert_int_equal(nmmu_walk(&f->v, &f->v.root_mmu, GVA, U, 0, &w, NULL), 0);
	assert_int_equal(w.fault.error, NMMU_PF_P | NMMU_PF_RSVD | U);
	fix_set(f, fix_entry(FIX_PT_ROOT, 2, 0), 0);
	assert_int_equal(nmmu_walk(&f->v, &f->v.root_mmu, GVA, U, 0, &w, NULL), 0);
	assert_int_equal(w.fault.error, U);
}

static void unbacked(void **state)
{
	struct fix *f = *state;
	struct nmmu_walk w;

	fix_l2_identity(f, EPTP_WB4);
	/* The root: nothing was read, so nothing was denied (D.2). */
	f->backed[FIX_EPT_ROOT] = false;
	fix_slots(f);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, 0, &w, NULL), 0);
	assert_int_equal(w.fault.qual, 0x1b9);
	assert_int_equal(w.fault.error & NMMU_PF_P, 0);
	f->backed[FIX_EPT_ROOT] = true;
	f->backed[FIX_EPT_ROOT + 1] = false;
	fix_slots(f);
	fix_set(f, fix_entry(FIX_EPT_ROOT, 4, 0), 0x1005);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, 0, &w, NULL), 0);
	assert_int_equal(w.fault.qual, 0x182 | 5 << 3);
	/* A slot whose host memory is gone is no better. */
	f->backed[FIX_EPT_ROOT + 1] = true;
	fix_slots(f);
	f->fault_hva = FIX_HVA + 0x1000;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, 0, &w, NULL), 0);
	assert_int_equal(w.fault.qual, 0x181 | 5 << 3);
}

/* --- A and D --- */

static int change_leaf_once(struct fix *f, u64 gpa)
{
	u64 leaf = fix_entry(FIX_EPT_ROOT, 1, PAGE_L);

	if (gpa == leaf && f->nr_cmpxchg == 4)
		fix_set(f, leaf, 35 << 12 | 0x35);
	return 0;
}

static int unmap_once(struct fix *f, u64 gpa)
{
	u64 leaf = fix_entry(FIX_EPT_ROOT, 1, PAGE_L);

	if (gpa == leaf && f->nr_cmpxchg == 4)
		fix_set(f, leaf, 0);
	return 0;
}

static void races(void **state)
{
	struct fix *f = *state;
	struct nmmu_trace t = { 0 };
	struct nmmu_walk w;

	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	/* Another CPU points the leaf elsewhere between the read and the exchange: the new one counts. */
	f->before_cmpxchg = change_leaf_once;
	f->nr_cmpxchg = 0;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, NMMU_WALK_SET_AD, &w, &t), 1);
	assert_int_equal(f->nr_cmpxchg, 5); /* the upper three have A by then */
	assert_int_equal(w.gfn, 35);
	assert_int_equal(w.pte_access, NMMU_ACC_U | NMMU_ACC_X);
	assert_int_equal(fix_get(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L)), 35 << 12 | 0x135);
	assert_int_equal(t.nr, 4);
	assert_int_equal(t.steps[3].flags, NMMU_STEP_LEAF | NMMU_STEP_SET_A);
	assert_int_equal(t.steps[0].flags, 0);

	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	f->before_cmpxchg = unmap_once;
	f->nr_cmpxchg = 0;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, NMMU_WALK_SET_AD, &w, NULL), 0);
	assert_int_equal(w.fault.qual, 0x181);
	assert_int_equal(fix_get(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L)), 0);
}

static int no_exchange(struct fix *f, u64 gpa)
{
	return gpa >> 12 == 1 ? -EFAULT : 0;
}

static void marks(void **state)
{
	struct fix *f = *state;
	struct nmmu_walk w;

	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	/* Nothing to set: nothing stored, nothing dirty. */
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W | U, 0, &w, NULL), 1);
	assert_int_equal(f->nr_cmpxchg, 0);
	assert_false(w.dirty);
	/* The tables' frames are dirty, not the page's. */
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(f->nr_cmpxchg, 4);
	assert_false(w.dirty);
	for (u32 gfn = 0; gfn < FIX_PAGES; gfn++)
		assert_int_equal(fix_is_dirty(f, gfn), gfn < 4);
	/* D alone now. */
	fix_clear_dirty(f);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(f->nr_cmpxchg, 5);
	assert_true(w.dirty);
	for (u32 gfn = 0; gfn < FIX_PAGES; gfn++)
		assert_int_equal(fix_is_dirty(f, gfn), gfn == 3);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(f->nr_cmpxchg, 5);

	/* Read-only slot: skipped in silence. */
	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	f->readonly[3] = true;
	fix_slots(f);
	f->nr_cmpxchg = 0;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(f->nr_cmpxchg, 3);
	assert_false(w.dirty);
	assert_int_equal(fix_get(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L)), PAGE_L << 12 | 0x37);
	assert_false(fix_is_dirty(f, 3));
	f->readonly[3] = false;
	fix_slots(f);

	/* An exchange that fails is a violation though all is granted. */
	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	f->before_cmpxchg = no_exchange;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 0);
	assert_int_equal(w.fault.qual, 0x1ba);
	assert_int_equal(w.fault.error, W);
	assert_false(w.fault.misconfig);
	f->before_cmpxchg = NULL;

	/* EPTP bit 6 clear: none of it. */
	fix_l2_identity(f, EPTP_WB4);
	f->nr_cmpxchg = 0;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(f->nr_cmpxchg, 0);
	assert_true(w.dirty);
}

/* 4-byte entries are exchanged as 4 bytes: their neighbours may change meanwhile. */
static void marks_4_bytes(void **state)
{
	struct fix *f = *state;
	struct nmmu_regs regs = { .cr0 = CR0_PG, .cr3 = 5 << 12 };
	struct nmmu_walk w;

	fix_set(f, 0x5000, 0xdeadbe0000006007);
	fix_set(f, 0x6008, 0x0002100700020007);
	fix_l1(f, &regs);
	assert_int_equal(nmmu_walk(&f->v, &f->v.root_mmu, 0x3123, W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(w.gfn, 0x21);
	assert_int_equal(w.top, 2);
	assert_int_equal(w.pte_gpa[0], 0x600c);
	assert_int_equal(fix_get(f, 0x5000), 0xdeadbe0000006027);
	assert_int_equal(fix_get(f, 0x6008), 0x0002106700020007);
}

/* --- PML12 --- */

static void pml12(void **state)
{
	struct fix *f = *state;
	u64 leaf = fix_entry(FIX_EPT_ROOT, 1, PAGE_L);
	struct nmmu_walk w;

	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	f->v.nested.pml = true;
	f->v.nested.pml_addr = 40 << 12;
	f->v.nested.pml_index = 1;
	/* A read logs nothing; the first write does, the second not. */
	nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, NMMU_WALK_SET_AD, &w, NULL);
	assert_int_equal(f->v.nested.pml_index, 1);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(f->v.nested.pml_index, 0);
	assert_int_equal(fix_get(f, 0x28008), PAGE_L << 12);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(f->v.nested.pml_index, 0);

	/* I 7: full, exit 62, D stays clear; A is set by then. */
	fix_set(f, leaf, PAGE_L << 12 | 0x37);
	f->v.nested.pml_index = 0xffff;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 0);
	assert_true(w.fault.pml_full);
	assert_true(w.fault.nested);
	assert_int_equal(w.fault.qual, 0);
	assert_int_equal(w.fault.error & NMMU_PF_P, 0);
	assert_int_equal(w.fault.addr, GVA);
	assert_int_equal(fix_get(f, leaf), PAGE_L << 12 | 0x37);

	/* I 39: a log page that cannot be written: D set, index as it was. */
	f->v.nested.pml_index = 7;
	f->v.nested.pml_addr = (u64)FIX_PAGES << 12;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(f->v.nested.pml_index, 7);
	assert_true(w.dirty);
	assert_int_equal(fix_get(f, leaf), PAGE_L << 12 | 0x337);

	/* Without set_ad nothing is logged, nor for L2's own D bits. */
	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	f->v.nested.pml = true;
	f->v.nested.pml_addr = 40 << 12;
	f->v.nested.pml_index = 9;
	nmmu_walk(&f->v, &f->v.guest_mmu, GVA, W, 0, &w, NULL);
	assert_int_equal(f->v.nested.pml_index, 9);
}

/* --- PAE --- */

static void pae(void **state)
{
	struct fix *f = *state;
	struct nmmu_regs l1 = { .cr0 = CR0_PG, .cr4 = CR4_PAE, .efer = EFER_NX }, l2 = { 0 };
	u64 ncr3 = 0x5000 | 0x7e0, ngpa = 2ULL << 30 | 0x3abc;
	struct nmmu_walk w;

	/* NPT12: read now, at nCR3[11:5], bits that loading would refuse do not matter, and grant all. */
	fix_l2(f, NMMU_NESTED_NPT, ncr3 | 0x1f, &l1, &l2);
	fix_set(f, 0x57f0, 0x6001 | 0x1e6 | 1ULL << 62);
	fix_set(f, 0x6000, 0x7007);
	fix_set(f, 0x7018, 0x9007);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, ngpa, U | W, NMMU_WALK_SET_AD, &w, NULL), 1);
	assert_int_equal(w.gfn, 9);
	assert_int_equal(w.top, 2);
	assert_int_equal(w.table_gfn[1], 6);
	assert_int_equal(w.pt_access[1], NMMU_ACC_ALL);
	assert_int_equal(w.pgd_gfn, 5);
	assert_int_equal(fix_get(f, 0x57f0), 0x6001 | 0x1e6 | 1ULL << 62); /* no A there */
	fix_set(f, 0x57f0, 0x6000);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, ngpa, U, 0, &w, NULL), 0);
	assert_int_equal(w.fault.error, U);
	/* nCR3 without memory: absent. */
	f->v.guest_mmu.guest_pgd = (u64)FIX_PAGES << 12;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, ngpa, U, 0, &w, NULL), 0);
	assert_int_equal(w.fault.error, U);
	/* C4's like: more than 32 bits. */
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, 1ULL << 32, U, 0, &w, NULL), 0);

	/* L1's own: registers, whatever memory says. */
	l1.cr3 = 0x5000;
	fix_l1(f, &l1);
	f->v.root_mmu.pdptrs[2] = 0x6001;
	assert_int_equal(nmmu_walk(&f->v, &f->v.root_mmu, ngpa, U, 0, &w, NULL), 1);
	assert_int_equal(w.gfn, 9);
	f->v.root_mmu.pdptrs[2] = 0;
	assert_int_equal(nmmu_walk(&f->v, &f->v.root_mmu, ngpa, U, 0, &w, NULL), 0);
	assert_int_equal(w.fault.error, U);
}

/* C4: bits of an nGPA that no level indexes. */
static void beyond(void **state)
{
	struct fix *f = *state;
	bool ept = f->m.cfg.hv == MS_HV_VMX;
	struct nmmu_walk w;

	fix_l2_identity(f, ept ? EPTP_WB4 | EPTP_AD : 0);
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, 0, &w, NULL), 1);
	for (int bit = 48; bit < 52; bit++) {
		assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA | 1ULL << bit, U | W, NMMU_WALK_SET_AD,
					   &w, NULL),
				 0);
		assert_int_equal(w.fault.error, U | W);
		assert_int_equal(w.fault.qual, ept ? 0x183 : 0);
		assert_int_equal(w.fault.addr, GVA | 1ULL << bit);
	}
	assert_int_equal(f->nr_cmpxchg, 0);
}

/* --- two dimensions --- */

/*
 * I 15: a guest table whose page EPT12 maps without W; the level-1 entry of L2's tables is looked at. D2:
 * with A/D on the CPU asks for R and W, without for R first and for both when it must set a bit.
 */
static void table_matrix(void **state)
{
	struct fix *f = *state;
	u64 pt = FIX_PT_ROOT + 3, at = fix_entry(FIX_PT_ROOT, 1, PAGE_L);
	u32 nr_faults = 0;

	for (u32 n = 0; n < 64; n++) {
		bool ad = n & 1, a = n & 2, d = n & 4, write = n & 8, set_ad = n & 16, compat = n & 32;
		bool fault = ad || compat || !a || (write && !d);
		struct nmmu_walk_fault wf;
		u64 gpa = 0, before;
		int r;

		fix_l2_identity(f, EPTP_WB4 | (ad ? EPTP_AD : 0));
		f->m.cfg.compat = compat;
		fix_set(f, fix_entry(FIX_EPT_ROOT, 1, pt), pt << 12 | 0x35);
		fix_set(f, at, PAGE_L << 12 | 7 | (a ? PT_A : 0) | (d ? PT_D : 0));
		before = fix_get(f, at);
		r = nmmu_walk_gva(&f->v, GVA, write ? W : 0,
				  (set_ad ? NMMU_WALK_SET_AD : 0) | (compat ? NMMU_WALK_EMULATOR : 0), &gpa,
				  NULL, &wf, NULL);
		assert_int_equal(r, !fault);
		assert_int_equal(fix_get(f, at), before);
		if (r) {
			assert_int_equal(gpa, GVA);
			continue;
		}
		nr_faults++;
		assert_true(wf.nested && wf.table && !wf.misconfig);
		assert_int_equal(wf.qual, 3 | 5 << 3 | 0x80);
		assert_int_equal(wf.error, NMMU_PF_P | W | U | NMMU_PF_PAGE);
		/* The CPU names the entry, KVM its page. */
		assert_int_equal(wf.addr, compat ? pt << 12 : at);
	}
	assert_int_equal(nr_faults, 32 + 16 + 8 + 2);
	f->m.cfg.compat = false;

	/* Not mapped at all: with A/D off the first thing asked is R. */
	fix_l2_identity(f, EPTP_WB4);
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, pt), 0);
	{
		struct nmmu_walk_fault wf;
		u64 gpa;

		assert_int_equal(nmmu_walk_gva(&f->v, GVA, W, 0, &gpa, NULL, &wf, NULL), 0);
		assert_int_equal(wf.qual, 0x81);
	}
}

/* The page itself: exactly what was asked, and what KVM makes of it (D1). */
static void page_access(void **state)
{
	static const struct {
		u64 pferr;
		u32 flags;
		bool compat;
		u64 qual;
	} v[] = {
		{ 0, 0, 0, 0x181 },
		{ U, 0, 0, 0x181 },
		{ W, 0, 0, 0x182 },
		{ W | U, 0, 0, 0x182 },
		{ W, NMMU_WALK_RMW, 0, 0x183 },
		{ I, 0, 0, 0x184 },
		{ W, NMMU_WALK_EMULATOR, 0, 0x182 },
		{ 0, NMMU_WALK_EMULATOR, 1, 0x181 },
		{ W, NMMU_WALK_EMULATOR, 1, 0x183 },
		{ I, NMMU_WALK_EMULATOR, 1, 0x185 },
		{ W, 0, 1, 0x182 },
	};
	struct fix *f = *state;

	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L), 0);
	for (unsigned int i = 0; i < NR(v); i++) {
		struct nmmu_walk_fault wf;
		u64 gpa;

		f->m.cfg.compat = v[i].compat;
		assert_int_equal(nmmu_walk_gva(&f->v, GVA, v[i].pferr, v[i].flags, &gpa, NULL, &wf, NULL), 0);
		if (wf.qual != v[i].qual)
			fail_msg("row %u: qualification %#llx", i, (unsigned long long)wf.qual);
		assert_true(wf.nested && !wf.table);
		assert_int_equal(wf.addr, GVA);
	}
	f->m.cfg.compat = false;
}

/* D.4's vectors (KUT svm_npt). */
static void npt_vectors(void **state)
{
	struct fix *f = *state;
	u64 leaf = fix_entry(FIX_EPT_ROOT, 1, PAGE_L), pt = FIX_PT_ROOT + 3;
	static const struct {
		u64 entry_set, entry_clear, pferr, error;
	} v[] = {
		{ 0, 1, 0, 0x100000004 }, { 1ULL << 63, 0, I, 0x100000015 }, { 0, 4, 0, 0x100000005 },
		{ 0, 2, W, 0x100000007 }, { 1ULL << 51, 0, 0, 0x10000000d },
	};
	struct nmmu_walk_fault wf;
	u64 gpa;

	for (unsigned int i = 0; i < NR(v); i++) {
		fix_l2_identity(f, 0);
		fix_set(f, leaf, (fix_get(f, leaf) | v[i].entry_set) & ~v[i].entry_clear);
		assert_int_equal(
			nmmu_walk_gva(&f->v, GVA, v[i].pferr, NMMU_WALK_SET_AD, &gpa, NULL, &wf, NULL), 0);
		assert_int_equal(wf.error, v[i].error);
		assert_true(wf.nested);
		assert_int_equal(wf.addr, GVA);
		assert_int_equal(wf.qual, 0);
	}
	/* I 17: a guest table that NPT12 has read-only. Always a write. */
	fix_l2_identity(f, 0);
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, pt), pt << 12 | 5);
	fix_set(f, fix_entry(FIX_PT_ROOT, 1, PAGE_L), PAGE_L << 12 | 0x67);
	assert_int_equal(nmmu_walk_gva(&f->v, GVA, 0, 0, &gpa, NULL, &wf, NULL), 0);
	assert_int_equal(wf.error, 0x200000007);
	assert_true(wf.table);
	assert_int_equal(wf.addr, fix_entry(FIX_PT_ROOT, 1, PAGE_L));
}

/* L2's A and D dirty the L1 frame that holds the table, and EPT12's D follows since the CPU writes there. */
static void nested_marks(void **state)
{
	struct fix *f = *state;
	u64 pt = FIX_PT_ROOT + 3, moved = 50, gpa = 0;
	u32 access = 0;

	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	/* L2's level-1 table is elsewhere in L1. */
	memcpy(f->mem + moved * 4096, f->mem + pt * 4096, 4096);
	memset(f->mem + pt * 4096, 0, 4096);
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, pt), moved << 12 | 0x37);
	assert_int_equal(nmmu_walk_gva(&f->v, GVA, W | U, NMMU_WALK_SET_AD, &gpa, &access, NULL, NULL), 1);
	assert_int_equal(gpa, GVA);
	assert_int_equal(access, NMMU_ACC_ALL);
	assert_int_equal(fix_get(f, moved << 12 | PAGE_L * 8), PAGE_L << 12 | 0x67);
	assert_true(fix_is_dirty(f, moved));
	assert_false(fix_is_dirty(f, pt));
	assert_int_equal(fix_get(f, fix_entry(FIX_EPT_ROOT, 1, pt)) & (EPT_A | EPT_D), EPT_A | EPT_D);
	assert_int_equal(fix_get(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L)) & (EPT_A | EPT_D), EPT_A | EPT_D);
}

/* A page that EPT12 denies leaves L2's own entry without D. */
static void no_marks_after_denial(void **state)
{
	struct fix *f = *state;
	u64 at = fix_entry(FIX_PT_ROOT, 1, PAGE_L), gpa;
	struct nmmu_walk_fault wf;

	fix_l2_identity(f, EPTP_WB4);
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L), PAGE_L << 12 | 0x35);
	assert_int_equal(nmmu_walk_gva(&f->v, GVA, W, NMMU_WALK_SET_AD, &gpa, NULL, &wf, NULL), 0);
	assert_int_equal(wf.qual, 0x182 | 5 << 3);
	assert_int_equal(fix_get(f, at), PAGE_L << 12 | 7);
}

/* --- one dimension, the vCPU's state --- */

static void smap_ac(void **state)
{
	struct fix *f = *state;
	struct nmmu_regs regs = {
		.cr0 = CR0_PG | CR0_WP, .cr4 = CR4_PAE | CR4_SMAP, .efer = EFER_LMA, .cr3 = FIX_PT_ROOT << 12
	};
	struct nmmu_walk_fault wf;
	u64 gpa;

	fix_identity_pt(f, FIX_PT_ROOT);
	for (u32 ac = 0; ac < 2; ac++) {
		regs.ac = ac;
		fix_l1(f, &regs);
		assert_int_equal(nmmu_walk_gva(&f->v, GVA, 0, 0, &gpa, NULL, &wf, NULL), ac);
		assert_int_equal(nmmu_walk_gva(&f->v, GVA, U, 0, &gpa, NULL, &wf, NULL), 1);
	}
	/* EPT is indexed by AC too, and must not care. */
	fix_l2_identity(f, EPTP_WB4);
	f->v.regs.ac = true;
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L), PAGE_L << 12 | 0x31);
	assert_int_equal(nmmu_walk_gva(&f->v, GVA, 0, 0, &gpa, NULL, &wf, NULL), 1);
	assert_int_equal(nmmu_walk_gva(&f->v, GVA, W, 0, &gpa, NULL, &wf, NULL), 0);
	/* Paging off: the address is physical. */
	regs = (struct nmmu_regs){ 0 };
	fix_l1(f, &regs);
	assert_int_equal(nmmu_walk_gva(&f->v, GVA, W, NMMU_WALK_SET_AD, &gpa, NULL, &wf, NULL), 1);
	assert_int_equal(gpa, GVA);
}

/* Address space 1 has no memory here. */
static void smm(void **state)
{
	struct fix *f = *state;
	struct nmmu_regs regs = { .cr0 = CR0_PG, .cr4 = CR4_PAE, .efer = EFER_LMA, .cr3 = FIX_PT_ROOT << 12 };
	struct nmmu_walk w;

	fix_identity_pt(f, FIX_PT_ROOT);
	fix_l1(f, &regs);
	assert_int_equal(nmmu_walk(&f->v, &f->v.root_mmu, GVA, 0, 0, &w, NULL), 1);
	regs.smm = true;
	fix_l1(f, &regs);
	assert_int_equal(nmmu_walk(&f->v, &f->v.root_mmu, GVA, 0, 0, &w, NULL), 0);
}

static void translate(void **state)
{
	struct nmmu_access a = { .gva = GVA, .bytes = 8, .user = true };
	struct fix *f = *state;
	struct nmmu_trace t;

	fix_l2_identity(f, EPTP_WB4 | EPTP_AD);
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L), 35 << 12 | 0x37);
	f->m.cfg.compat = true; /* a walk for display is exact all the same */
	assert_int_equal(nmmu_translate(&f->v, &a, false, &t), 0);
	assert_false(t.fault);
	assert_int_equal(t.l2_gpa, GVA);
	assert_int_equal(t.gpa, 35 << 12 | 0x238);
	assert_int_equal(t.nr, 24);
	assert_int_equal(f->nr_cmpxchg, 0);
	for (u32 i = 0; i < t.nr; i++) {
		u32 in_group = i % 5, level = in_group < 4 ? 4 - in_group : 4 - i / 5;

		assert_int_equal(t.steps[i].dim, i >= 20 || in_group < 4);
		assert_int_equal(t.steps[i].level, i >= 20 ? 24 - i : level);
		assert_int_equal(!!(t.steps[i].flags & NMMU_STEP_LEAF), t.steps[i].level == 1);
	}
	assert_int_equal(t.steps[4].input, GVA);
	assert_int_equal(t.steps[4].entry_gpa, FIX_PT_ROOT << 12);
	assert_int_equal(t.steps[0].input, FIX_PT_ROOT << 12);
	assert_int_equal(t.steps[23].entry, 35 << 12 | 0x37);

	a.write = true;
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L), 35 << 12 | 0x35);
	assert_int_equal(nmmu_translate(&f->v, &a, true, &t), 0);
	assert_true(t.fault);
	assert_int_equal(t.fault_dim, 1);
	assert_int_equal(t.qual, 0x182 | 5 << 3);
	assert_int_equal(t.l2_gpa, GVA);
	assert_int_equal(t.steps[23].flags, NMMU_STEP_LEAF | NMMU_STEP_DENIED);
	assert_true(f->nr_cmpxchg > 0);
	assert_true(t.steps[0].flags & NMMU_STEP_SET_A);

	fix_set(f, fix_entry(FIX_PT_ROOT, 2, 0), 0);
	assert_int_equal(nmmu_translate(&f->v, &a, false, &t), 0);
	assert_true(t.fault);
	assert_int_equal(t.fault_dim, 0);
	assert_int_equal(t.error, W | U);
	assert_int_equal(t.nr, 15);
	assert_int_equal(t.steps[14].flags, NMMU_STEP_NOT_PRESENT);
}

/* The longest walk there is fits, and one entry more is not written past the end. */
static void trace_bounds(void **state)
{
	struct fix *f = *state;
	struct {
		struct nmmu_trace t;
		u8 guard[64];
	} x;
	struct nmmu_walk w;

	fix_l2_identity(f, EPTP_WB4);
	memset(&x, 0xa5, sizeof(x));
	x.t.nr = NMMU_MAX_STEPS - 2;
	assert_int_equal(nmmu_walk(&f->v, &f->v.guest_mmu, GVA, U, 0, &w, &x.t), 1);
	assert_int_equal(x.t.nr, NMMU_MAX_STEPS);
	for (u32 i = 0; i < sizeof(x.guard); i++)
		assert_int_equal(x.guard[i], 0xa5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ept_rights, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(precedence, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(unbacked, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(races, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(marks, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(marks_4_bytes, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(pml12, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(pae, setup_svm, teardown),
		cmocka_unit_test_setup_teardown(beyond, setup_svm, teardown),
		cmocka_unit_test_setup_teardown(beyond, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(table_matrix, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(page_access, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(npt_vectors, setup_svm, teardown),
		cmocka_unit_test_setup_teardown(nested_marks, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(no_marks_after_denial, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(smap_ac, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(smm, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(translate, setup_vmx, teardown),
		cmocka_unit_test_setup_teardown(trace_bounds, setup_vmx, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
