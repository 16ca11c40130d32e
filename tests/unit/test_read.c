/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs, vCPUs, memslots and MMUs out of memory that a test makes up: what a kernel lacks is absent, what is
 * stale is left out, and memory full of nonsense ends in an answer, not in a crash or a read outside what may
 * be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakemem.h"

enum {
	VM_MEMSLOTS = 0x200,
	VM_VCPUS = 0x240,
	VM_USED = 0x280,
	VM_ONLINE = 0x288,
	VM_MM = 0x290,
	VM_SETS = 0x300, /* struct kvm_memslots of both address spaces, 0x200 bytes each */
	SET_BYTES = 0x200,
	SET_GENERATION = 0,
	SET_HASH = 8,
	SET_IDX = 0x88,
	NR_BUCKETS = 16,
	VCPU_KVM = 0,
	VCPU_ID = 8,
	VCPU_CR3 = 0x10,
	VCPU_ROOT_MMU = 0x100,
	VCPU_GUEST_MMU = 0x200,
	VCPU_NESTED_MMU = 0x300,
	SLOT_ID_NODE = 0,
	SLOT_GFN = 0x20,
	SLOT_NPAGES = 0x28,
	SLOT_FLAGS = 0x30,
	SLOT_ID = 0x34,
	SLOT_AS = 0x36,
};

static void field(struct fakemem *fm, enum ms_field_id id, u32 off, u32 size, u32 elems)
{
	fm->layout.f[id] = (struct ms_field){
		.off = off, .size = size, .elem_size = size / elems, .nr_elems = elems, .present = true
	};
}

static void machine(struct fakemem *fm)
{
	fm_init(fm);
	field(fm, MS_F_kvm_memslots, VM_MEMSLOTS, 16, 2);
	field(fm, MS_F_kvm_vcpu_array, VM_VCPUS, 16, 1);
	field(fm, MS_F_kvm_n_used_mmu_pages, VM_USED, 8, 1);
	field(fm, MS_F_kvm_online_vcpus, VM_ONLINE, 4, 1);
	field(fm, MS_F_kvm_mm, VM_MM, 8, 1);
	field(fm, MS_F_kvm_shadow_mmio_value, 0xff8, 8, 1);
	field(fm, MS_F_xarray_head, 8, 8, 1);
	field(fm, MS_F_xa_node_slots, 16, 64 * 8, 64);
	field(fm, MS_F_memslots_generation, SET_GENERATION, 8, 1);
	field(fm, MS_F_memslots_id_hash, SET_HASH, NR_BUCKETS * 8, NR_BUCKETS);
	field(fm, MS_F_memslots_node_idx, SET_IDX, 4, 1);
	field(fm, MS_F_memslot_id_node, SLOT_ID_NODE, 32, 2);
	field(fm, MS_F_memslot_base_gfn, SLOT_GFN, 8, 1);
	field(fm, MS_F_memslot_npages, SLOT_NPAGES, 8, 1);
	field(fm, MS_F_memslot_flags, SLOT_FLAGS, 4, 1);
	field(fm, MS_F_memslot_id, SLOT_ID, 2, 1);
	field(fm, MS_F_memslot_as_id, SLOT_AS, 2, 1);
	field(fm, MS_F_vcpu_kvm, VCPU_KVM, 8, 1);
	field(fm, MS_F_vcpu_id, VCPU_ID, 4, 1);
	field(fm, MS_F_vcpu_cr3, VCPU_CR3, 8, 1);
	field(fm, MS_F_vcpu_root_mmu, VCPU_ROOT_MMU, 0x80, 1);
	field(fm, MS_F_vcpu_guest_mmu, VCPU_GUEST_MMU, 0x80, 1);
	field(fm, MS_F_mmu_root_pgd, 0, 8, 1);
	field(fm, MS_F_mmu_root_hpa, 8, 8, 1);
	field(fm, MS_F_mmu_prev_roots, 0x20, 48, 3);
	field(fm, MS_F_mmu_root_role, 0x18, 4, 1);
	field(fm, MS_F_root_info_pgd, 0, 8, 1);
	field(fm, MS_F_root_info_hpa, 8, 8, 1);
}

static u64 vcpu_addr(u32 i)
{
	return FM_PAGE_OFFSET + 0x20000 + i * 0x400ull;
}

static u64 slot_addr(u32 i)
{
	return FM_PAGE_OFFSET + 0x30000 + i * 0x40ull;
}

#define XA_NODE (FM_PAGE_OFFSET + 0x40000)

static u64 set_addr(u32 vm, u32 as)
{
	return fm_kvm(vm) + VM_SETS + as * SET_BYTES;
}

static void make_vcpu(struct fakemem *fm, u32 vm, u32 i)
{
	u64 v = vcpu_addr(i);
	u32 p;

	fm_set(fm, v + VCPU_KVM, fm_kvm(vm));
	fm_set(fm, v + VCPU_ID, i);
	fm_set(fm, v + VCPU_CR3, 0x1000 * (i + 1));
	fm_set(fm, v + VCPU_ROOT_MMU + 8, 0x5000 + i * 0x1000);
	fm_set(fm, v + VCPU_ROOT_MMU + 0x18, 0x3784);
	fm_set(fm, v + VCPU_GUEST_MMU + 8, MS_INVALID_PAGE);
	for (p = 0; p < 3; p++)
		fm_set(fm, v + VCPU_ROOT_MMU + 0x20 + 16 * p + 8, p ? MS_INVALID_PAGE : 0x77000);
}

static void make_slot(struct fakemem *fm, u32 vm, u32 i, u32 as, u64 gfn, u64 nr, u32 flags)
{
	u64 bucket = set_addr(vm, as) + SET_HASH + 8 * (i % NR_BUCKETS), s = slot_addr(i);

	fm_set(fm, s + SLOT_GFN, gfn);
	fm_set(fm, s + SLOT_NPAGES, nr);
	fm_set(fm, s + SLOT_FLAGS, flags | (u64)i << 32 | (u64)as << 48);
	fm_set(fm, s + 16, fm_get(fm, bucket)); /* node_idx 1: the second node is in use */
	fm_set(fm, bucket, s + 16);
}

static void make_vm(struct fakemem *fm, u32 vm)
{
	u32 as;

	for (as = 0; as < 2; as++) {
		fm_set(fm, fm_kvm(vm) + VM_MEMSLOTS + 8 * as, set_addr(vm, as));
		fm_set(fm, set_addr(vm, as) + SET_GENERATION, 10 + as);
		fm_set(fm, set_addr(vm, as) + SET_IDX, 1);
	}
	fm_set(fm, fm_kvm(vm) + VM_USED, 40 + vm);
	fm_set(fm, fm_kvm(vm) + VM_MM, 0x1234);
}

struct got {
	struct ms_rec_vm vm[8];
	struct ms_rec_vcpu vcpu[80];
	struct ms_rec_slot slot[80];
	struct ms_rec_mmu mmu[160];
	struct ms_rec_fd fd[8];
	u32 nr[MS_REC_CHANGED + 1];
};

static struct ms_err *collect(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables)
{
	struct got *got = ctx;
	u32 n = got->nr[type]++;

#define KEEP(t, member)                                                        \
	if (type == t) {                                                       \
		assert_true(n < sizeof(got->member) / sizeof(got->member[0])); \
		memcpy(&got->member[n], rec, sizeof(got->member[0]));          \
	}
	KEEP(MS_REC_VM, vm)
	KEEP(MS_REC_VCPU, vcpu)
	KEEP(MS_REC_SLOT, slot)
	KEEP(MS_REC_MMU, mmu)
	KEEP(MS_REC_FD, fd)
	return NULL;
}

static struct got got;

static void read_all(struct fakemem *fm, const struct ms_kfile *files, size_t nr_files, u64 kvm)
{
	const struct ms_rec_host host = { 0 };
	const struct ms_want want = { .what = MS_WANT_ALL, .kvm = kvm };
	const struct ms_sink sink = { collect, &got };

	memset(&got, 0, sizeof(got));
	assert_null(ms_kvm_read(&fm->kmem, &host, files, nr_files, &want, &sink));
}

static void test_one_vm(void **state)
{
	struct ms_kfile files[] = {
		{ .private_data = fm_kvm(0), .pid = 42, .fd = 5, .kind = MS_FD_VM, .comm = "qemu" },
		{ .private_data = fm_kvm(0), .pid = 42, .fd = 9, .kind = MS_FD_VM, .comm = "qemu" },
		{ .private_data = vcpu_addr(0), .pid = 42, .fd = 6, .kind = MS_FD_VCPU, .comm = "qemu" },
	};
	struct fakemem fm;
	u32 i;

	machine(&fm);
	make_vm(&fm, 0);
	make_vcpu(&fm, 0, 0);
	fm_set(&fm, fm_kvm(0) + VM_VCPUS + 8, vcpu_addr(0)); /* one vCPU: the head is the entry */
	for (i = 1; i <= 20; i++) /* more slots than buckets: chains */
		make_slot(&fm, 0, i, 0, 0x100 * i, 0x10, i == 3 ? MS_SLOT_READONLY : 0);
	make_slot(&fm, 0, 30, 1, 0x7000, 8, 0);
	read_all(&fm, files, 3, 0);
	assert_int_equal(got.nr[MS_REC_HOST], 1);
	assert_int_equal(got.nr[MS_REC_VM], 1);
	assert_int_equal(got.vm[0].pid, 42);
	assert_string_equal(got.vm[0].comm, "qemu");
	assert_int_equal(got.vm[0].n_used_mmu_pages, 40);
	assert_true(got.vm[0].have & MS_VM_HAVE_USED);
	assert_false(got.vm[0].have & (MS_VM_HAVE_INDIRECT | MS_VM_HAVE_PAGES_4K |
				       MS_VM_HAVE_TDP_PAGES)); /* absent, not zero */
	assert_int_equal(got.nr[MS_REC_FD], 3);
	assert_int_equal(got.fd[2].vcpu, vcpu_addr(0));
	assert_int_equal(got.nr[MS_REC_VCPU], 1);
	assert_int_equal(got.vcpu[0].cr3, 0x1000);
	assert_false(got.vcpu[0].have & MS_VCPU_HAVE_CR4);
	assert_int_equal(got.nr[MS_REC_MMU], 2); /* this kernel has no nested_mmu */
	assert_int_equal(got.mmu[0].root_role, 0x3784);
	assert_int_equal(got.mmu[0].prev[0].hpa, 0x77000);
	assert_int_equal(got.mmu[0].prev[2].hpa, MS_INVALID_PAGE);
	assert_int_equal(got.mmu[1].which, MS_MMU_GUEST);
	assert_int_equal(got.nr[MS_REC_SLOT], 21);
	for (i = 0; i < 21; i++) {
		const struct ms_rec_slot *s = &got.slot[i];

		assert_int_equal(s->base_gfn, s->as_id ? 0x7000 : 0x100 * s->id);
		assert_int_equal(s->flags, s->id == 3 ? MS_SLOT_READONLY : 0);
		assert_int_equal(s->generation, s->as_id ? 11 : 10);
	}
	assert_int_equal(fm.nr_refused, 0);
	fm_deinit(&fm);
}

static void test_many_vcpus_and_vms(void **state)
{
	struct ms_kfile files[] = {
		{ .private_data = fm_kvm(1), .pid = 7, .kind = MS_FD_VM },
		{ .private_data = vcpu_addr(70),
		  .pid = 8,
		  .kind = MS_FD_VCPU }, /* a vCPU of VM 0: its only file */
	};
	struct fakemem fm;
	u32 i;

	machine(&fm);
	make_vm(&fm, 0);
	make_vm(&fm, 1);
	make_vcpu(&fm, 0, 70);
	/* Two levels of xarray nodes; one entry is another VM's vCPU, one an internal mark, one nonsense. */
	fm_set(&fm, fm_kvm(0) + VM_VCPUS + 8, XA_NODE | 2);
	fm_set(&fm, XA_NODE + 16, (XA_NODE + 0x1000) | 2);
	fm_set(&fm, XA_NODE + 16 + 8, vcpu_addr(70));
	for (i = 0; i < 64; i++) {
		make_vcpu(&fm, i == 5, i);
		fm_set(&fm, XA_NODE + 0x1000 + 16 + 8 * i, i == 6 ? 0x402 : i == 7 ? ~3ull : vcpu_addr(i));
	}
	read_all(&fm, files, 2, fm_kvm(0));
	assert_int_equal(got.nr[MS_REC_VM], 2);
	assert_int_equal(got.nr[MS_REC_VCPU], 64 - 3 + 1);
	for (i = 0; i < got.nr[MS_REC_VCPU]; i++)
		assert_int_equal(got.vcpu[i].kvm, fm_kvm(0));
	assert_int_equal(got.nr[MS_REC_FD], 1);
	assert_int_equal(fm.nr_refused, 0);
	fm_deinit(&fm);
}

/* What may be read, to the byte; everything else never reaches the reader. */
static void test_may_read(void **state)
{
	const u64 direct_end = FM_PAGE_OFFSET + FM_PAGES * 4096ull, mm_end = FM_VMEMMAP + FM_PAGES * 64ull;
	const struct {
		u64 addr;
		u32 len;
		bool may;
	} cases[] = {
		{ FM_PAGE_OFFSET, 8, true },
		{ FM_PAGE_OFFSET - 1, 8, false },
		{ direct_end - 8, 8, true },
		{ direct_end - 7, 8, false },
		{ direct_end, 1, false },
		{ FM_VMEMMAP, 64, true },
		{ FM_VMEMMAP - 1, 1, false },
		{ mm_end - 1, 2, false },
		{ fm_kvm(0), 8, true },
		{ fm_kvm(0) - 8, 8, false },
		{ fm_kvm(1), 8, false }, /* another VM's structure, in vmalloc space */
		{ 0xffffffff80000000ull, 8, true },
		{ 0xffffffff7fffffffull, 1, false },
		{ 0xfffffffffefffff8ull, 8, true },
		{ 0xffffffffff000000ull, 1, false }, /* the fixmap: devices */
		{ ~7ull, 8, false },
		{ 0, 8, false },
		{ 0x7fffffffe000ull, 8, false },
		{ 0xffffc90040000000ull, 8, false }, /* an ioremap */
	};
	struct ms_kread reqs[sizeof(cases) / sizeof(cases[0])];
	u8 bytes[64];
	struct fakemem fm;
	size_t i;

	machine(&fm);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ms_kmem_may_read(&fm.kmem, cases[i].addr, cases[i].len), cases[i].may);
		reqs[i] = (struct ms_kread){
			.addr = cases[i].addr, .len = cases[i].len, .dst = bytes, .status = 1
		};
	}
	assert_null(ms_kmem_read(&fm.kmem, reqs, sizeof(cases) / sizeof(cases[0])));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(reqs[i].status == -ERANGE, !cases[i].may);
	assert_int_equal(fm.nr_ops, 6);
	assert_int_equal(fm.nr_refused, 0);
	fm_deinit(&fm);
}

/* A VM's TDP roots are looked at only if it has a TDP MMU: else KVM has not even initialised the list. */
static void test_tdp_switch(void **state)
{
	const struct ms_kfile file = { .private_data = fm_kvm(0), .pid = 1, .kind = MS_FD_VM };
	const struct ms_want want = { .what = 0 };
	const struct ms_sink sink = { collect, &got };
	struct ms_rec_host host = { .have = MS_HOST_HAVE_TDP_MMU };
	struct fakemem fm;
	u32 on;

	machine(&fm);
	make_vm(&fm, 0);
	for (on = 0; on < 2; on++) { /* 6.12: the host's switch */
		host.tdp_mmu_enabled = (u8)on;
		memset(&got, 0, sizeof(got));
		assert_null(ms_kvm_read(&fm.kmem, &host, &file, 1, &want, &sink));
		assert_int_equal(!!(got.vm[0].have & MS_VM_HAVE_TDP_MMU), on);
	}
	field(&fm, MS_F_kvm_tdp_mmu_enabled, 0x700, 1, 1);
	for (on = 0; on < 2; on++) { /* 6.1: the VM's own */
		fm_set(&fm, fm_kvm(0) + 0x700, on);
		memset(&got, 0, sizeof(got));
		assert_null(ms_kvm_read(&fm.kmem, &host, &file, 1, &want, &sink));
		assert_int_equal(!!(got.vm[0].have & MS_VM_HAVE_TDP_MMU), on);
	}
	fm_deinit(&fm);
}

/* Let off from nx_huge_pages, and how dirty logs are cleared: by their members, absent where there is none. */
static void test_vm_modes(void **state)
{
	const struct ms_kfile file = { .private_data = fm_kvm(0), .pid = 1, .kind = MS_FD_VM };
	static const u64 modes[] = { 0, 1, 3, 1ull << 40 | 1 };
	struct fakemem fm;
	u32 i;

	machine(&fm);
	make_vm(&fm, 0);
	fm_set(&fm, fm_kvm(0) + 0x700, ~0ull);
	read_all(&fm, &file, 1, 0);
	assert_false(got.vm[0].have & (MS_VM_HAVE_NX_DISABLED | MS_VM_HAVE_LOG_MODE));
	assert_int_equal(got.vm[0].nx_huge_disabled, 0);
	assert_int_equal(got.vm[0].log_mode, 0);
	field(&fm, MS_F_kvm_disable_nx_huge_pages, 0x701, 1, 1);
	field(&fm, MS_F_kvm_manual_dirty_log_protect, 0x708, 8, 1);
	for (i = 0; i < 4; i++) {
		fm_set(&fm, fm_kvm(0) + 0x700, i & 1 ? 0x0100 : 0xff0000ff);
		fm_set(&fm, fm_kvm(0) + 0x708, modes[i]);
		read_all(&fm, &file, 1, 0);
		assert_true(got.vm[0].have & MS_VM_HAVE_NX_DISABLED && got.vm[0].have & MS_VM_HAVE_LOG_MODE);
		assert_int_equal(got.vm[0].nx_huge_disabled, i & 1);
		assert_int_equal(got.vm[0].log_mode, modes[i]);
	}
	assert_false(got.vm[0].have & MS_VM_DIRTY_RING);
	field(&fm, MS_F_kvm_dirty_ring_size, 0x704, 4, 1);
	for (i = 0; i < 2; i++) {
		fm_set(&fm, fm_kvm(0) + 0x700, (u64)i << 48);
		read_all(&fm, &file, 1, 0);
		assert_int_equal(!!(got.vm[0].have & MS_VM_DIRTY_RING), i);
	}
	assert_int_equal(fm.nr_refused, 0);
	fm_deinit(&fm);
}

/* Zeros that KVM never set are no roots. */
static void test_nested_mmu(void **state)
{
	const struct ms_kfile file = { .private_data = fm_kvm(0), .pid = 1, .kind = MS_FD_VM };
	struct fakemem fm;
	u32 i;

	machine(&fm);
	field(&fm, MS_F_vcpu_nested_mmu, VCPU_NESTED_MMU, 0x80, 1);
	field(&fm, MS_F_mmu_pae_root, 0x60, 8, 1);
	make_vm(&fm, 0);
	make_vcpu(&fm, 0, 0);
	fm_set(&fm, fm_kvm(0) + VM_VCPUS + 8, vcpu_addr(0));
	read_all(&fm, &file, 1, 0);
	assert_int_equal(got.nr[MS_REC_MMU], 3);
	assert_int_equal(got.mmu[2].which, MS_MMU_NESTED);
	assert_int_equal(got.mmu[2].root.hpa, MS_INVALID_PAGE);
	assert_false(got.mmu[2].have & (MS_MMU_HAVE_PREV | MS_MMU_HAVE_PAE_ROOT));
	assert_true(got.mmu[0].have & MS_MMU_HAVE_PREV);
	assert_true(got.mmu[0].have & MS_MMU_HAVE_PAE_ROOT);
	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		assert_int_equal(got.mmu[2].prev[i].hpa, MS_INVALID_PAGE);
	fm_deinit(&fm);
}

/* vmcs02's PML control: of a vCPU of VMX's whose vmcs02 was prepared, and of no other. */
static void test_vmcs02(void **state)
{
	static const struct {
		u64 vmcs, ready, secondary;
		bool vmx, have, on;
	} cases[] = {
		{ 0x1000, 1, 0x20082, true, true, true },     { 0x1000, 1, 0x82, true, true, false },
		{ 0x1000, 1, 0xfffdffff, true, true, false }, { 0, 1, 0x20082, true, false, false },
		{ 0x1000, 0, 0x20082, true, false, false },   { 0x1000, 1, 0x20082, false, false, false },
	};
	const struct ms_kfile file = { .private_data = fm_kvm(0), .pid = 1, .kind = MS_FD_VM };
	struct fakemem fm;
	size_t i;

	machine(&fm);
	field(&fm, MS_F_vmx_vcpu, 0, 0x300, 1);
	field(&fm, MS_F_vmx_vmcs02, 0x3e0, 8, 1);
	field(&fm, MS_F_vmx_vmcs02_initialized, 0x3e8, 1, 1);
	field(&fm, MS_F_vmx_vmcs02_secondary_exec, 0x3f0, 4, 1);
	make_vm(&fm, 0);
	make_vcpu(&fm, 0, 0);
	fm_set(&fm, fm_kvm(0) + VM_VCPUS + 8, vcpu_addr(0));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fm_set(&fm, vcpu_addr(0) + 0x3e0, cases[i].vmcs);
		fm_set(&fm, vcpu_addr(0) + 0x3e8, cases[i].ready);
		fm_set(&fm, vcpu_addr(0) + 0x3f0, cases[i].secondary);
		fm.kmem.vmx = cases[i].vmx;
		read_all(&fm, &file, 1, 0);
		assert_int_equal(got.nr[MS_REC_VCPU], 1);
		assert_int_equal(!!(got.vcpu[0].have & MS_VCPU_HAVE_PML02), cases[i].have);
		assert_int_equal(got.vcpu[0].pml02, cases[i].on);
	}
	/* A kvm_vcpu that is not the first member: nothing is known of what is around it. */
	fm.layout.f[MS_F_vmx_vcpu].off = 8;
	fm_set(&fm, vcpu_addr(0) + 0x3e8, 1);
	fm.kmem.vmx = true;
	read_all(&fm, &file, 1, 0);
	assert_false(got.vcpu[0].have & MS_VCPU_HAVE_PML02);
	fm_deinit(&fm);
}

/* Whose vCPUs they are: a kernel that has both vendors' variables does not tell by them. */
static void test_vendor(void **state)
{
	struct fakemem fm;
	struct ms_rec_host host;
	u32 i;

	machine(&fm);
	for (i = 0; i < 4; i++) {
		fm.kmem.sym[MS_KSYM_enable_ept] = i & 1 ? FM_PAGE_OFFSET + 0x50000 : 0;
		fm.kmem.sym[MS_KSYM_npt_enabled] = i & 2 ? FM_PAGE_OFFSET + 0x50008 : 0;
		assert_null(ms_kvm_read_host(&fm.kmem, &host));
		assert_int_equal(fm.kmem.vmx, i == 1);
		assert_int_equal(host.hv, i == 1 ? MS_HV_VMX : i == 2 ? MS_HV_SVM : MS_HV_UNKNOWN);
	}
	fm_deinit(&fm);
}

/* Slots that never hold still are delivered, and marked. */
static void restless(struct fakemem *fm, void *ctx)
{
	u64 gen = set_addr(0, 0) + SET_GENERATION;

	fm_set(fm, gen, fm_get(fm, gen) + 2);
}

static void test_slots_restless(void **state)
{
	const struct ms_kfile file = { .private_data = fm_kvm(0), .pid = 1, .kind = MS_FD_VM };
	struct fakemem fm;
	u32 i;

	machine(&fm);
	make_vm(&fm, 0);
	make_slot(&fm, 0, 1, 0, 0x100, 1, 0);
	make_slot(&fm, 0, 2, 1, 0x100, 1, 0);
	fm.hook = restless;
	read_all(&fm, &file, 1, 0);
	assert_int_equal(got.nr[MS_REC_SLOT], 2);
	for (i = 0; i < 2; i++)
		assert_int_equal(!!(got.slot[i].have & MS_SLOT_UNSTABLE), got.slot[i].as_id == 0);
	fm_deinit(&fm);
}

static void test_slot_ring(void **state)
{
	struct ms_kfile file = { .private_data = fm_kvm(0), .pid = 1, .kind = MS_FD_VM };
	struct fakemem fm;

	machine(&fm);
	make_vm(&fm, 0);
	make_slot(&fm, 0, 1, 0, 0x100, 1, 0);
	make_slot(&fm, 0, 17, 0, 0x200, 1, 0);
	fm_set(&fm, slot_addr(1) + 16, slot_addr(17) + 16);
	read_all(&fm, &file, 1, 0);
	assert_int_equal(got.nr[MS_REC_SLOT], 2);
	fm_deinit(&fm);
}

/* The set is replaced while it is read: the new one is what counts. */
static void swap_set(struct fakemem *fm, void *ctx)
{
	u64 *at = ctx;

	if (fm->nr_ops == *at)
		fm_set(fm, fm_kvm(0) + VM_MEMSLOTS, set_addr(0, 1));
}

static void test_slots_swapped(void **state)
{
	struct ms_kfile file = { .private_data = fm_kvm(0), .pid = 1, .kind = MS_FD_VM };
	struct fakemem fm;
	u64 at, last = 1;
	u32 i, mixed = 0;

	for (at = 1; at <= last; at++) {
		machine(&fm);
		make_vm(&fm, 0);
		fm.layout.f[MS_F_kvm_memslots].nr_elems = 1;
		for (i = 1; i <= 3; i++)
			make_slot(&fm, 0, i, 0, 0x100, 1, 0);
		for (i = 4; i <= 8; i++) {
			make_slot(&fm, 0, i, 1, 0x900, 1, 0);
			fm_set(&fm, slot_addr(i) + SLOT_FLAGS, (u64)i << 32);
		}
		fm.hook = swap_set;
		fm.hook_ctx = &at;
		read_all(&fm, &file, 1, 0);
		for (i = 0; i < got.nr[MS_REC_SLOT]; i++)
			mixed += (got.slot[i].base_gfn == 0x900) != (got.slot[0].base_gfn == 0x900);
		assert_true(got.nr[MS_REC_SLOT] == 3 || got.nr[MS_REC_SLOT] == 5);
		last = at == 1 ? fm.nr_ops : last;
		fm_deinit(&fm);
	}
	assert_int_equal(mixed, 0);
	assert_true(last > 20);
}

static struct ms_err *count(void *ctx, enum ms_rec_type type, const void *rec,
			    const struct ms_sp_tables *tables)
{
	u64 *n = ctx;

	n[type]++;
	return NULL;
}

/* Memory full of pointers to anywhere. */
static void test_nonsense(void **state)
{
	const struct ms_kfile files[] = {
		{ .private_data = fm_kvm(0), .kind = MS_FD_VM },
		{ .private_data = vcpu_addr(1), .kind = MS_FD_VCPU },
		{ .private_data = 0x1122334455667788, .kind = MS_FD_VCPU },
		{ .private_data = 0, .kind = MS_FD_VM },
	};
	const struct ms_rec_host host = { 0 };
	const struct ms_want want = { .what = MS_WANT_ALL };
	u64 n[MS_REC_CHANGED + 1] = { 0 };
	const struct ms_sink sink = { count, n };
	struct fakemem fm;
	u32 seed, i;

	for (seed = 0; seed < 60; seed++) {
		srandom(seed);
		machine(&fm);
		for (i = 0; i < FM_PAGES * 512; i++) {
			u64 r = (u64)random() << 31 | (u64)random(), kind = (u64)random() % 8;
			u64 v = kind < 2   ? FM_PAGE_OFFSET + (r % (FM_PAGES * 4096ull) & ~7ull)
				: kind < 4 ? FM_PAGE_OFFSET + (r % FM_PAGES) * 4096
				: kind < 6 ? (r % FM_PAGES) * 4096 | 0x801
				: kind < 7 ? fm_kvm(0)
					   : r;

			fm_set(&fm, FM_PAGE_OFFSET + 8ull * i, v);
			if (i < FM_PAGES * 8)
				fm_set(&fm, FM_VMEMMAP + 8ull * i, v);
			if (i < 512)
				fm_set(&fm, fm_kvm(0) + 8ull * i, v);
		}
		fm_set(&fm, fm_kvm(0) + VM_USED, 100);
		assert_null(ms_kvm_read(&fm.kmem, &host, files, 4, &want, &sink));
		fm_deinit(&fm);
	}
	assert_true(n[MS_REC_VM] >= 60 && n[MS_REC_SP] > 0 && n[MS_REC_WALK] >= 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_vm),	       cmocka_unit_test(test_many_vcpus_and_vms),
		cmocka_unit_test(test_may_read),       cmocka_unit_test(test_tdp_switch),
		cmocka_unit_test(test_vm_modes),       cmocka_unit_test(test_vmcs02),
		cmocka_unit_test(test_vendor),	       cmocka_unit_test(test_nested_mmu),
		cmocka_unit_test(test_slots_restless), cmocka_unit_test(test_slot_ring),
		cmocka_unit_test(test_slots_swapped),  cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
