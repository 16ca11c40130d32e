// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the guest is told of a fault (SEMANTICS D.2, D.4), what is invalidated before and in which order (D3),
 * that an exact engine never reports an access of none (D4), the way back to L1, and accesses made by the
 * emulator.
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
#define P NMMU_PF_P
#define RSVD NMMU_PF_RSVD
#define PAGE_L 33
#define GVA (PAGE_L * 4096ULL + 0x238)

/* Calls seen on the way, in order. */
struct call {
	u64 what; /* 'i' invalidate, 'n' new pgd, 'p' pt_write, 'y' yield */
	u64 a, b, c;
};
static struct call calls[16];
static u32 nr_calls;

static void saw(char what, u64 a, u64 b, u64 c)
{
	assert_true(nr_calls < NR(calls));
	calls[nr_calls++] = (struct call){ what, a, b, c };
}

void __wrap_nmmu_invalidate_addr(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, bool current,
				 u32 prev_mask);
void __wrap_nmmu_root_new_pgd(struct nmmu_vcpu *v, u64 pgd);
void __wrap_nmmu_pt_write(struct nmmu_vcpu *v, u64 gpa, u64 value, u32 bytes);

void __wrap_nmmu_invalidate_addr(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, bool current,
				 u32 prev_mask)
{
	assert_ptr_equal(mmu, v->guest_mode ? &v->guest_mmu : &v->root_mmu);
	saw('i', addr, current, prev_mask);
}

void __wrap_nmmu_root_new_pgd(struct nmmu_vcpu *v, u64 pgd)
{
	assert_false(v->guest_mode);
	saw('n', pgd, 0, 0);
}

void __wrap_nmmu_pt_write(struct nmmu_vcpu *v, u64 gpa, u64 value, u32 bytes)
{
	saw('p', gpa, value, bytes);
}

/* EPT02 of the test on D4, from the root down. */
static struct nmmu_sp ept02[4];

struct nmmu_sp *__wrap_nmmu_sp_by_pa(const struct nmmu *m, u64 pa);

struct nmmu_sp *__wrap_nmmu_sp_by_pa(const struct nmmu *m, u64 pa)
{
	(void)m;
	for (u32 i = 0; i < NR(ept02); i++)
		if (ept02[i].spt && ept02[i].spt_pa == pa)
			return &ept02[i];
	return NULL;
}

static struct fix fix;

static struct fix *start(enum ms_hv hv, enum nmmu_kernel kernel)
{
	nr_calls = 0;
	fix_init(&fix, hv, kernel);
	fix_l2_identity(&fix, hv == MS_HV_VMX ? EPTP_WB4 | EPTP_AD : 0);
	fix.v.l1.cr3 = 0x7000;
	return &fix;
}

static void finish(void)
{
	fix_deinit(&fix);
}

static struct nmmu_exit ept_exit(u64 info)
{
	return (struct nmmu_exit){ .kind = NMMU_EXIT_EPT_VIOLATION, .info = info, .addr = GVA };
}

/* D.2, column by column. */
static void qualification(void **state)
{
	static const struct {
		enum nmmu_kernel kernel;
		bool compat, stale_bug;
		enum { FROM_48, FROM_49, EMULATED } from;
		u64 info, last; /* of the exit; of the last exit 48 */
		u64 fault, want;
	} v[] = {
		/* exact: access and rights are the walk's; 8:7 the CPU's if it made the access */
		{ NMMU_6_12, 0, 0, FROM_48, 0x181, 0x181, 0x182, 0x182 },
		{ NMMU_6_12, 0, 0, FROM_48, 0x083, 0x083, 0x183 | 5 << 3, 0x083 | 5 << 3 },
		{ NMMU_6_12, 0, 0, FROM_48, 0x001, 0x001, 0x181, 0x001 },
		{ NMMU_6_1, 0, 0, FROM_48, 0x083, 0x083, 0x183, 0x083 },
		{ NMMU_6_1, 0, 0, EMULATED, 0x083, 0x083, 0x182, 0x182 },
		{ NMMU_6_12, 0, 0, EMULATED, 0x181, 0x181, 0x083, 0x083 },
		{ NMMU_6_12, 0, 0, FROM_49, 0xfff, 0x083, 0x182, 0x182 },
		/* nothing else of the CPU's word gets through */
		{ NMMU_6_12, 0, 0, FROM_48, 0x1e01 | 0x180 | 0x40, 0x181, 0x181, 0x181 },
		/* 6.12: the field itself, even after exit 49 */
		{ NMMU_6_12, 1, 0, FROM_48, 0x083, 0x181, 0x183, 0x083 },
		{ NMMU_6_12, 1, 0, FROM_49, 0x100, 0x083, 0x183, 0x103 },
		{ NMMU_6_12, 1, 0, EMULATED, 0x000, 0x000, 0x183, 0x183 },
		/* 6.1: the last exit 48's */
		{ NMMU_6_1, 1, 0, FROM_49, 0x100, 0x083, 0x183, 0x083 },
		{ NMMU_6_1, 1, 0, EMULATED, 0x181, 0x181, 0x083, 0x183 },
		{ NMMU_6_1, 1, 0, FROM_48, 0x081, 0x181, 0x183, 0x083 },
		/* the bug of seed 3: access bits of the last exit 48 (D.3 #4) */
		{ NMMU_6_12, 0, 1, EMULATED, 0, 0x181, 0x18a, 0x189 },
		{ NMMU_6_12, 0, 1, FROM_49, 0, 0x181, 0x18a, 0x189 },
		/* D4, as the kernels have it */
		{ NMMU_6_12, 1, 0, FROM_49, 0x180, 0x083, 0x180, 0x180 },
		{ NMMU_6_1, 1, 0, FROM_49, 0x180, 0x083, 0x180, 0x080 },
	};

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		struct fix *f = start(MS_HV_VMX, v[i].kernel);
		struct nmmu_walk_fault fault = { .qual = v[i].fault, .addr = GVA, .nested = true };
		struct nmmu_exit exit = ept_exit(v[i].info);
		struct nmmu_result r;

		f->m.cfg.compat = v[i].compat;
		f->m.cfg.bugs = v[i].stale_bug ? 1u << NMMU_BUG_STALE_QUAL : 0;
		f->v.exit_qual = v[i].last;
		if (v[i].from == FROM_49)
			exit.kind = NMMU_EXIT_EPT_MISCONFIG;
		if (v[i].from == EMULATED) {
			exit.kind = NMMU_EXIT_EPT_MISCONFIG;
			nmmu_inject_emulated(&f->v, &fault, &exit, &r);
		} else {
			nmmu_inject(&f->v, &fault, &exit, &r);
		}
		assert_int_equal(r.action, NMMU_ACT_EXIT_L1);
		assert_int_equal(r.reason, 48);
		if (r.qual != v[i].want)
			fail_msg("row %u: %#llx", i, (unsigned long long)r.qual);
		assert_int_equal(r.addr, GVA);
		assert_int_equal(r.ret, NMMU_RET_NONE);
		assert_int_equal(f->nr_events[MS_EV_inject], 1);
		assert_int_equal(f->last[MS_EV_inject].u.inject.qual, r.qual);
		assert_int_equal(f->last[MS_EV_inject].u.inject.reason, 48);
		assert_int_equal(f->m.stats.injected, 1);
		finish();
	}
}

static void misconfig_and_pml(void **state)
{
	static const struct {
		enum nmmu_kernel kernel;
		bool compat;
		bool pml_full;
		u64 info, want;
	} v[] = {
		{ NMMU_6_12, 0, 0, 0x183, 0 },	     { NMMU_6_1, 0, 0, 0x183, 0 },
		{ NMMU_6_12, 1, 0, 0x183, 0 },	     { NMMU_6_1, 1, 0, 0x183, 0x183 },
		{ NMMU_6_12, 0, 1, 0x182, 0 },	     { NMMU_6_1, 1, 1, 0x1182, 0 },
		{ NMMU_6_12, 1, 1, 0x1182, 0x1000 },
	};

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		struct fix *f = start(MS_HV_VMX, v[i].kernel);
		struct nmmu_walk_fault fault = { .addr = GVA, .nested = true };
		struct nmmu_exit exit = ept_exit(v[i].info);
		struct nmmu_result r;

		fault.pml_full = v[i].pml_full;
		fault.misconfig = !v[i].pml_full;
		fault.error = fault.misconfig ? P | RSVD : W;
		f->m.cfg.compat = v[i].compat;
		nmmu_inject(&f->v, &fault, &exit, &r);
		assert_int_equal(r.action, NMMU_ACT_EXIT_L1);
		assert_int_equal(r.reason, v[i].pml_full ? 62 : 49);
		assert_int_equal(r.qual, v[i].want);
		finish();
	}
}

/* D3: (1) the current root, (2) previous ones of the same tables, (3) L1. */
static void invalidations(void **state)
{
	static const struct {
		u64 error;
		bool misconfig, pml_full, current;
		u32 prev;
	} v[] = {
		{ P | W, 0, 0, 1, 5 }, /* denied */
		{ W, 0, 0, 0, 5 }, /* not present */
		{ P | RSVD, 1, 0, 0, 5 },
		{ W, 0, 1, 0, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		struct fix *f = start(MS_HV_VMX, NMMU_6_12);
		u64 eptp = f->v.guest_mmu.guest_pgd;
		struct nmmu_walk_fault fault = { .error = v[i].error,
						 .qual = v[i].misconfig || v[i].pml_full ? 0 : 0x182,
						 .addr = GVA,
						 .nested = true,
						 .misconfig = v[i].misconfig,
						 .pml_full = v[i].pml_full };
		struct nmmu_exit exit = ept_exit(0x182);
		struct nmmu_result r;
		u32 n = 0;

		/* Same tables with other low bits; other tables; and one more of the same. */
		f->v.guest_mmu.prev[0] = (struct nmmu_root){ .pgd = eptp ^ EPTP_AD, .hpa = 0x1000 };
		f->v.guest_mmu.prev[1] = (struct nmmu_root){ .pgd = eptp ^ 0x1000, .hpa = 0x2000 };
		f->v.guest_mmu.prev[2] = (struct nmmu_root){ .pgd = eptp, .hpa = 0x3000 };
		nmmu_inject(&f->v, &fault, &exit, &r);
		if (v[i].current) {
			assert_memory_equal(&calls[n], (&(struct call){ 'i', GVA, 1, 0 }), sizeof(calls[0]));
			n++;
		}
		if (v[i].prev) {
			assert_memory_equal(&calls[n], (&(struct call){ 'i', GVA, 0, v[i].prev }),
					    sizeof(calls[0]));
			n++;
		}
		assert_int_equal(calls[n].what, 'n');
		assert_int_equal(calls[n].a, 0x7000);
		assert_int_equal(nr_calls, n + 1);
		finish();
	}

	/* No previous root, no call. */
	{
		struct fix *f = start(MS_HV_VMX, NMMU_6_12);
		struct nmmu_walk_fault fault = { .error = W, .qual = 0x182, .addr = GVA, .nested = true };
		struct nmmu_exit exit = ept_exit(0x182);
		struct nmmu_result r;

		nmmu_inject(&f->v, &fault, &exit, &r);
		assert_int_equal(nr_calls, 1);
		finish();
	}
}

static void npf(void **state)
{
	static const struct {
		bool compat, emulated;
		u64 info, error;
		bool table;
		u64 want, want_addr;
	} v[] = {
		/* the CPU's own fault: its upper half and address */
		{ 0, 0, 0x100000006, 0x100000006, 0, 0x100000006, 0xaaa },
		{ 0, 0, 0x200000007, 0x200000007, 1, 0x200000007, 0xaaa },
		{ 1, 0, 0x200000007, 0x200000007, 1, 0x200000007, 0xaaa },
		/* an access of the emulator's while an NPF is dealt with: KVM has the CPU's words (D.4) */
		{ 0, 1, 0x10000000f, 0x200000007, 1, 0x200000007, GVA },
		{ 1, 1, 0x10000000f, 0x200000007, 1, 0x100000007, 0xaaa },
	};
	struct nmmu_result r;

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		struct fix *f = start(MS_HV_SVM, NMMU_6_12);
		struct nmmu_walk_fault fault = {
			.error = v[i].error, .addr = GVA, .nested = true, .table = v[i].table
		};
		struct nmmu_exit exit = { .kind = NMMU_EXIT_NPF, .info = v[i].info, .addr = 0xaaa };

		f->m.cfg.compat = v[i].compat;
		f->v.guest_mmu.prev[0] = (struct nmmu_root){ .pgd = 0, .hpa = 0x1000 };
		if (v[i].emulated)
			nmmu_inject_emulated(&f->v, &fault, &exit, &r);
		else
			nmmu_inject(&f->v, &fault, &exit, &r);
		assert_int_equal(r.action, NMMU_ACT_EXIT_L1);
		assert_int_equal(r.reason, 0x400);
		assert_int_equal(r.qual, v[i].want);
		assert_int_equal(r.addr, v[i].want_addr);
		/* Only EPT's tables are tagged by EP4TA. */
		assert_int_equal(nr_calls, v[i].error & 1 ? 2 : 1);
		finish();
	}
	/* Emulation without an NPF: KVM says FINAL always. */
	for (u32 compat = 0; compat < 2; compat++) {
		struct fix *f = start(MS_HV_SVM, NMMU_6_12);
		struct nmmu_walk_fault fault = {
			.error = 0x200000007, .addr = GVA, .nested = true, .table = true
		};

		f->m.cfg.compat = compat;
		nmmu_inject_emulated(&f->v, &fault, NULL, &r);
		assert_int_equal(r.qual, compat ? 0x100000007 : 0x200000007);
		assert_int_equal(r.addr, GVA);
		finish();
	}
}

/* D4: an exit 49 that turns out to be L1's affair says nothing of the access: look again. */
static void no_empty_access(void **state)
{
	static u64 spt[4][512];
	struct nmmu_sp *sp = ept02;
	struct nmmu_walk_fault fault = { .qual = 0x180, .addr = GVA, .nested = true };
	struct nmmu_exit exit = { .kind = NMMU_EXIT_EPT_MISCONFIG, .addr = GVA };
	struct fix *f = start(MS_HV_VMX, NMMU_6_12);
	const struct spte_profile *p = &f->m.profile;
	struct nmmu_result r;

	(void)state;
	/* EPT02 down to an MMIO SPTE. */
	for (u32 i = 0; i < 4; i++) {
		u64 pa = 0x100000 + i * 0x1000ULL;

		sp[i].spt = spt[i];
		sp[i].spt_pa = pa;
		sp[i].role.level = 4 - i;
		sp[i].id = i + 1;
		memset(spt[i], 0, sizeof(spt[i]));
		if (i < 3)
			spt[i][0] = p->mmu_present | (pa + 0x1000) | 7;
	}
	spt[3][PAGE_L] = p->m.mmio_value | PAGE_L << 12;
	spt[3][PAGE_L + 1] = p->m.mmio_value | (PAGE_L + 1) << 12;
	f->v.guest_mmu.root.hpa = sp[0].spt_pa;
	nmmu_inject(&f->v, &fault, &exit, &r);
	assert_int_equal(r.action, NMMU_ACT_RESUME);
	assert_true(f->v.guest_mode);
	assert_int_equal(spt[3][PAGE_L], p->nonpresent_value);
	assert_true(spte_is_mmio(p, spt[3][PAGE_L + 1]));
	assert_int_equal(f->m.stats.injected, 0);
	assert_int_equal(f->nr_events[MS_EV_inject], 0);
	assert_int_equal(nr_calls, 0);
	f->v.guest_mmu.root.hpa = NMMU_NO_PAGE;
	finish();
}

static void page_faults(void **state)
{
	struct nmmu_walk_fault fault = { .error = P | W | U, .addr = GVA };
	struct nmmu_exit exit = { .kind = NMMU_EXIT_PF, .info = 7, .addr = GVA };
	struct nmmu_regs regs = { .cr0 = CR0_PG, .cr4 = CR4_PAE, .efer = EFER_LMA, .cr3 = FIX_PT_ROOT << 12 };
	struct nmmu_result r;
	struct fix *f = start(MS_HV_VMX, NMMU_6_12);

	(void)state;
	/* L2's own: no exit to L1. */
	nmmu_inject_emulated(&f->v, &fault, NULL, &r);
	assert_int_equal(r.action, NMMU_ACT_PF);
	assert_int_equal(r.qual, 7);
	assert_int_equal(r.addr, GVA);
	assert_true(f->v.guest_mode);
	assert_int_equal(nr_calls, 0);
	assert_int_equal(f->last[MS_EV_inject].u.inject.reason, 14);

	/* Shadow paging: what is shadowed of a present entry may be old. */
	f->m.cfg.tdp = false;
	fix_l1(f, &regs);
	nmmu_inject(&f->v, &fault, &exit, &r);
	assert_int_equal(r.action, NMMU_ACT_PF);
	assert_int_equal(nr_calls, 1);
	assert_int_equal(calls[0].a, GVA);
	fault.error = W | U;
	nmmu_inject(&f->v, &fault, &exit, &r);
	fault.error = P | RSVD;
	nmmu_inject(&f->v, &fault, &exit, &r);
	assert_int_equal(nr_calls, 1);
	/* Direct: there is nothing. */
	f->m.cfg.tdp = true;
	fix_l1(f, &regs);
	fault.error = P | W | U;
	nmmu_inject(&f->v, &fault, &exit, &r);
	assert_int_equal(nr_calls, 1);
	finish();
}

static void leaving(void **state)
{
	struct fix *f = start(MS_HV_VMX, NMMU_6_12);

	(void)state;
	f->v.l1.cr4 = 0;
	f->v.l1.efer = 0;
	f->v.l1_pdptrs[3] = 0x5001;
	f->v.nested.pml_index = 77;
	nmmu_leave_guest(&f->v);
	assert_false(f->v.guest_mode);
	assert_ptr_equal(f->v.mmu, &f->v.root_mmu);
	assert_ptr_equal(f->v.walk_mmu, &f->v.root_mmu);
	assert_int_equal(f->v.regs.cr3, 0x7000);
	assert_int_equal(f->v.root_mmu.guest_pgd, 0x7000);
	assert_int_equal(f->v.root_mmu.root_role.word, 0x3784);
	assert_int_equal(f->v.root_mmu.fmt.kind, NMMU_GPT_32);
	assert_int_equal(f->v.root_mmu.pdptrs[3], 0x5001);
	assert_int_equal(f->v.nested.pml_index, 77);
	assert_int_equal(nr_calls, 1);
	/* With L1 at work it is nothing. */
	nmmu_leave_guest(&f->v);
	assert_int_equal(nr_calls, 1);
	finish();
}

/* --- the emulator --- */

static void yield(void *host, enum nmmu_point point)
{
	struct fix *f = host;

	/* Others see the store before shadow pages are told. */
	if (point == NMMU_POINT_GPTE_STORED)
		saw('y', fix_get(f, GVA), 0, 0);
}

static void emulated_ram(void **state)
{
	struct fix *f = start(MS_HV_VMX, NMMU_6_12);
	struct nmmu_access a = { .gva = GVA, .bytes = 8 };
	struct nmmu_result r;

	(void)state;
	f->ops.yield = yield;
	fix_set(f, GVA, 0x1122334455667788);
	assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
	assert_int_equal(r.action, NMMU_ACT_DONE);
	assert_int_equal(r.value, 0x1122334455667788);
	assert_false(fix_is_dirty(f, PAGE_L));
	a.bytes = 2;
	assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
	assert_int_equal(r.value, 0x7788);
	assert_int_equal(nr_calls, 0);

	a = (struct nmmu_access){ .gva = GVA, .bytes = 4, .write = true, .value = 0xffffffff99aabbcc };
	assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
	assert_int_equal(r.action, NMMU_ACT_DONE);
	assert_int_equal(fix_get(f, GVA), 0x1122334499aabbcc);
	assert_true(fix_is_dirty(f, PAGE_L));
	assert_int_equal(nr_calls, 2);
	assert_memory_equal(&calls[0], (&(struct call){ 'y', 0x1122334499aabbcc, 0, 0 }), sizeof(calls[0]));
	assert_memory_equal(&calls[1], (&(struct call){ 'p', GVA, 0x99aabbcc, 4 }), sizeof(calls[0]));
	/* The guest's A and D are set on the way. */
	assert_int_equal(fix_get(f, fix_entry(FIX_PT_ROOT, 1, PAGE_L)), PAGE_L << 12 | 0x67);

	for (u32 bytes = 1; bytes <= 8; bytes *= 2) {
		u64 mask = bytes == 8 ? ~0ULL : (1ULL << 8 * bytes) - 1;

		fix_set(f, GVA, 0x1122334455667788);
		a = (struct nmmu_access){
			.gva = GVA, .bytes = (u8)bytes, .write = true, .rmw = true, .value = ~0ULL
		};
		nr_calls = 0;
		assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
		assert_int_equal(r.value, 0x1122334455667788 & mask);
		assert_int_equal(fix_get(f, GVA), 0x1122334455667788 | mask);
		assert_int_equal(nr_calls, 2);
	}
	finish();
}

static int other_cpu_adds(struct fix *f, u64 gpa)
{
	if (gpa == GVA && f->ctx) {
		f->ctx = NULL;
		fix_set(f, GVA, fix_get(f, GVA) + 1);
	}
	return 0;
}

static void emulated_exchange_race(void **state)
{
	struct nmmu_access a = { .gva = GVA, .bytes = 8, .write = true, .rmw = true, .value = 7 };
	struct fix *f = start(MS_HV_VMX, NMMU_6_12);
	struct nmmu_result r;

	(void)state;
	fix_set(f, GVA, 41);
	f->before_cmpxchg = other_cpu_adds;
	f->ctx = f;
	assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
	assert_int_equal(r.value, 42);
	assert_int_equal(fix_get(f, GVA), 7);
	finish();
}

static void emulated_mmio(void **state)
{
	struct nmmu_access a = { .gva = GVA, .bytes = 4, .write = true };
	struct fix *f = start(MS_HV_VMX, NMMU_6_12);
	struct nmmu_result r;

	(void)state;
	/* No slot. */
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L), 0xfee00037);
	assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
	assert_int_equal(r.action, NMMU_ACT_MMIO);
	assert_int_equal(r.gpa, 0xfee00238);
	assert_int_equal(f->nr_events[MS_EV_mmio], 1);
	assert_true(f->last[MS_EV_mmio].u.mmio.write);
	assert_int_equal(f->m.stats.mmio, 1);
	/* Nothing executes from a device. */
	a = (struct nmmu_access){ .gva = GVA, .bytes = 4, .fetch = true };
	assert_int_equal(nmmu_emulate(&f->v, &a, &r), -EIO);

	/* A read-only slot: read as memory, written as a device. */
	fix_set(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L), PAGE_L << 12 | 0x37);
	fix_set(f, GVA, 5);
	f->readonly[PAGE_L] = true;
	fix_slots(f);
	a = (struct nmmu_access){ .gva = GVA, .bytes = 4 };
	assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
	assert_int_equal(r.action, NMMU_ACT_DONE);
	assert_int_equal(r.value, 5);
	a.write = true;
	assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
	assert_int_equal(r.action, NMMU_ACT_MMIO);
	assert_int_equal(fix_get(f, GVA), 5);
	assert_int_equal(nr_calls, 0);
	f->readonly[PAGE_L] = false;
	fix_slots(f);

	/* A slot whose host memory is gone. */
	f->fault_hva = FIX_HVA + GVA;
	for (u32 kind = 0; kind < 3; kind++) {
		a = (struct nmmu_access){ .gva = GVA, .bytes = 8, .write = kind, .rmw = kind == 2 };
		assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
		assert_int_equal(r.action, NMMU_ACT_MMIO);
	}
	assert_int_equal(nr_calls, 0);
	assert_false(fix_is_dirty(f, PAGE_L));
	finish();
}

static void emulated_faults(void **state)
{
	struct nmmu_access a = { .gva = GVA, .bytes = 4, .write = true, .user = true };
	struct nmmu_exit exit = { .kind = NMMU_EXIT_EPT_MISCONFIG, .addr = GVA };
	struct nmmu_result r;

	(void)state;
	/* D.3 #4: an MMIO SPTE is hit for write, EPT12 grants R only. Exact: W; kernels: R|W. */
	for (u32 compat = 0; compat < 2; compat++) {
		struct fix *f = start(MS_HV_VMX, NMMU_6_12);

		f->m.cfg.compat = compat;
		fix_set(f, fix_entry(FIX_EPT_ROOT, 1, PAGE_L), 0xfee00031);
		assert_int_equal(nmmu_emulate_exit(&f->v, &a, &exit, &r), 0);
		assert_int_equal(r.action, NMMU_ACT_EXIT_L1);
		assert_int_equal(r.reason, 48);
		assert_int_equal(r.qual, (compat ? 3 : 2) | 1 << 3 | 0x180);
		assert_int_equal(r.addr, GVA);
		assert_false(f->v.guest_mode);
		finish();
	}
	/* L2's own tables deny. */
	{
		struct fix *f = start(MS_HV_VMX, NMMU_6_12);

		fix_set(f, fix_entry(FIX_PT_ROOT, 2, 0), (FIX_PT_ROOT + 3) << 12 | 5);
		assert_int_equal(nmmu_emulate(&f->v, &a, &r), 0);
		assert_int_equal(r.action, NMMU_ACT_PF);
		assert_int_equal(r.qual, 7);
		assert_int_equal(r.addr, GVA);
		finish();
	}
}

static void refused(void **state)
{
	static const struct nmmu_access bad[] = {
		{ .gva = GVA, .bytes = 0 },
		{ .gva = GVA, .bytes = 3 },
		{ .gva = GVA, .bytes = 16 },
		{ .gva = 0x1ffd, .bytes = 4 },
		{ .gva = GVA, .bytes = 4, .write = true, .fetch = true },
	};
	struct fix *f = start(MS_HV_VMX, NMMU_6_12);
	struct nmmu_access edge = { .gva = 0x1ffc, .bytes = 4 };
	struct nmmu_result r = { .addr = 0x5a5a };

	(void)state;
	for (unsigned int i = 0; i < NR(bad); i++)
		assert_int_equal(nmmu_emulate(&f->v, &bad[i], &r), -EINVAL);
	assert_int_equal(r.addr, 0x5a5a);
	assert_int_equal(f->nr_cmpxchg, 0);
	assert_int_equal(nmmu_emulate(&f->v, &edge, &r), 0);
	assert_int_equal(r.action, NMMU_ACT_DONE);
	/* Slots are given back on every way out. */
	assert_int_equal(f->m.readers, 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qualification),
		cmocka_unit_test(misconfig_and_pml),
		cmocka_unit_test(invalidations),
		cmocka_unit_test(npf),
		cmocka_unit_test(no_empty_access),
		cmocka_unit_test(page_faults),
		cmocka_unit_test(leaving),
		cmocka_unit_test(emulated_ram),
		cmocka_unit_test(emulated_exchange_race),
		cmocka_unit_test(emulated_mmio),
		cmocka_unit_test(emulated_faults),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
