/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts, VMs, vCPUs, memslots and MMUs out of a kernel's memory. Shadow pages are kvm_sps.c's. Takes no lock:
 * each record is a handful of reads of words that may change between them; what a record names by address is
 * checked before it is followed.
 */
#include "target/kvm_slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/guard.h"
#include "base/map.h"

/* KVM_MEM_SLOTS_NUM: memslot ids are shorts. */
#define MAX_SLOTS 32768
/* The non-present SPTE of kernels that keep an MMIO value per VM (6.12; 6.1 has neither). */
#define NP_SUPPRESS_VE (1ull << 63)

/* Of the secondary processor-based VM-execution controls: "enable PML" (SDM volume 3, 25.6.2). */
#define SECONDARY_EXEC_ENABLE_PML 17

#define PUT(sink, type, rec) ((sink)->put((sink)->ctx, type, rec, NULL))

/* Remember which destination belongs to which have bit until the batch was run. */
struct want_field {
	enum ms_field_id id;
	u64 *dst;
	u64 have;
};

/* Read the listed fields of the object at base; *have gets the bits of those that exist and could be read. */
static struct ms_err *read_fields(struct ms_kmem *kmem, u64 base, const struct want_field *wants, size_t nr,
				  u64 *have)
{
	struct ms_kbatch batch = { 0 };
	struct ms_err *err;
	size_t i, k;

	for (i = 0; i < nr; i++)
		ms_kbatch_field(&batch, kmem, base, wants[i].id, wants[i].dst);
	if (batch.oom) {
		ms_kbatch_deinit(&batch);
		return ms_err_nomem();
	}
	err = batch.nr ? ms_kmem_read(kmem, batch.reqs, batch.nr) : NULL;
	for (i = k = 0; !err && i < nr && k < batch.nr; i++) {
		if (batch.reqs[k].dst != wants[i].dst)
			continue;
		if (!batch.reqs[k].status)
			*have |= wants[i].have;
		k++;
	}
	ms_kbatch_deinit(&batch);
	return err;
}

static void host_roles(const struct ms_layout *layout, struct ms_rec_host *host)
{
	u32 i;

	host->nr_role_fields = layout->nr_role < MS_ROLE_FIELDS_MAX ? layout->nr_role : MS_ROLE_FIELDS_MAX;
	for (i = 0; i < host->nr_role_fields; i++) {
		memcpy(host->role_fields[i].name, layout->role[i].name, sizeof(host->role_fields[i].name));
		host->role_fields[i].bit = layout->role[i].bit;
		host->role_fields[i].width = layout->role[i].width;
	}
	if (host->nr_role_fields)
		host->have |= MS_HOST_HAVE_ROLE_FIELDS;
}

/*
 * The vendor by what the masks say, for a kernel with both built in has the variables of both: EPT alone has
 * an execute bit. With shadow paging the modules that are loaded decide.
 */
static u32 host_vendor(const struct ms_kmem *kmem, const struct ms_rec_host *host)
{
	bool amd = kmem->sym[MS_KSYM_npt_enabled], intel = kmem->sym[MS_KSYM_enable_ept];

	if (host->have & MS_HOST_HAVE_MASK(MS_SM_x) && host->masks[MS_SM_x])
		return MS_HV_VMX;
	if (host->have & MS_HOST_HAVE_TDP_ENABLED && host->tdp_enabled)
		return MS_HV_SVM;
	return amd == intel ? MS_HV_UNKNOWN : amd ? MS_HV_SVM : MS_HV_VMX;
}

struct ms_err *ms_kvm_read_host(struct ms_kmem *kmem, struct ms_rec_host *ret)
{
	struct ms_rec_host host = { 0 };
	struct {
		enum ms_ksym_id sym;
		void *dst;
		u32 len;
		u64 have;
	} vars[MS_SM_NR + 6];
	u8 pml = 0;
	struct ms_kbatch batch = { 0 };
	struct ms_err *err;
	size_t nr = 0, i, k;

	for (i = 0; i < MS_SM_NR; i++) {
		vars[nr].sym = (enum ms_ksym_id)(MS_KSYM_mask_host_writable + i);
		vars[nr].dst = &host.masks[i];
		vars[nr].len = 8;
		vars[nr++].have = MS_HOST_HAVE_MASK(i);
	}
#define VAR(id, member, bit)                        \
	do {                                        \
		vars[nr].sym = MS_KSYM_##id;        \
		vars[nr].dst = &host.member;        \
		vars[nr].len = sizeof(host.member); \
		vars[nr++].have = bit;              \
	} while (0)
	VAR(tdp_enabled, tdp_enabled, MS_HOST_HAVE_TDP_ENABLED);
	VAR(tdp_mmu_allowed, tdp_mmu_enabled, MS_HOST_HAVE_TDP_MMU);
	VAR(tdp_mmu_enabled, tdp_mmu_enabled, MS_HOST_HAVE_TDP_MMU);
	VAR(enable_mmio_caching, mmio_caching, MS_HOST_HAVE_MMIO_CACHING);
#undef VAR
	/* `nx_huge_pages' is an int of -1, 0 or 1: its low byte says it all on x86. */
	vars[nr].sym = MS_KSYM_nx_huge_pages;
	vars[nr].dst = &host.nx_huge_pages;
	vars[nr].len = 1;
	vars[nr++].have = MS_HOST_HAVE_NX_HUGE;
	vars[nr].sym = MS_KSYM_enable_pml;
	vars[nr].dst = &pml;
	vars[nr].len = sizeof(pml);
	vars[nr++].have = MS_HOST_HAVE_PML;

	for (i = 0; i < nr; i++)
		if (kmem->sym[vars[i].sym])
			ms_kbatch_add(&batch, kmem->sym[vars[i].sym], vars[i].len, vars[i].dst);
	if (batch.oom) {
		ms_kbatch_deinit(&batch);
		return ms_err_nomem();
	}
	err = batch.nr ? ms_kmem_read(kmem, batch.reqs, batch.nr) : NULL;
	for (i = k = 0; !err && i < nr; i++)
		if (kmem->sym[vars[i].sym] && !batch.reqs[k++].status)
			host.have |= vars[i].have;
	ms_kbatch_deinit(&batch);
	if (err)
		return err;
	host.hv = host_vendor(kmem, &host);
	kmem->vmx = host.hv == MS_HV_VMX;
	/* Both modules may be there; only one has a VM. */
	if (host.hv == MS_HV_SVM) {
		host.have |= MS_HOST_HAVE_PML;
		pml = 0;
	}
	if (host.have & MS_HOST_HAVE_PML && pml)
		host.have |= MS_HOST_PML;
	/* The switch is for two-dimensional paging only. */
	if (host.have & MS_HOST_HAVE_TDP_ENABLED && !host.tdp_enabled)
		host.tdp_mmu_enabled = 0;
	host.np_value = kmem->layout->f[MS_F_kvm_shadow_mmio_value].present ? NP_SUPPRESS_VE : 0;
	host.have |= MS_HOST_HAVE_NP_VALUE;
	host_roles(kmem->layout, &host);
	*ret = host;
	return NULL;
}

/* VMs met in files, each once. */
struct vm_set {
	u64 *kvm;
	size_t nr, cap;
};

static struct ms_err *vm_set_add(struct vm_set *set, u64 kvm)
{
	u64 *grown;
	size_t i;

	for (i = 0; i < set->nr; i++)
		if (set->kvm[i] == kvm)
			return NULL;
	grown = ms_grow(set->kvm, &set->cap, set->nr + 1, sizeof(*grown));
	if (!grown)
		return ms_err_nomem();
	set->kvm = grown;
	grown[set->nr++] = kvm;
	return NULL;
}

/* The struct kvm that a file refers to. 0 when it cannot be told. */
static struct ms_err *file_kvm(struct ms_kmem *kmem, const struct ms_kfile *file, u64 *ret)
{
	const struct want_field want = { MS_F_vcpu_kvm, ret, 0 };
	u64 have = 0;

	if (file->kind == MS_FD_VM) {
		*ret = file->private_data;
		return NULL;
	}
	*ret = 0;
	return read_fields(kmem, file->private_data, &want, 1, &have);
}

static void vm_owner(const struct ms_kfile *files, size_t nr, const u64 *file_kvms, struct ms_rec_vm *vm)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (file_kvms[i] != vm->kvm)
			continue;
		vm->pid = files[i].pid;
		memcpy(vm->comm, files[i].comm, sizeof(vm->comm));
		vm->comm[MS_COMM_LEN - 1] = '\0';
		vm->have |= MS_VM_HAVE_OWNER;
		return;
	}
}

void ms_kvm_enter(struct ms_kmem *kmem, u64 kvm)
{
	u32 end = 0, i;

	for (i = 0; i < MS_F_NR; i++)
		if (i >= MS_F_kvm_mm && i <= MS_F_kvm_shadow_mmio_value && kmem->layout->f[i].present &&
		    kmem->layout->f[i].off + kmem->layout->f[i].size > end)
			end = kmem->layout->f[i].off + kmem->layout->f[i].size;
	/* 6.1 and 6.12 keep the memslots sets inside struct kvm, before the last field listed. */
	kmem->vm_lo = kvm;
	kmem->vm_hi = kvm + end;
}

/* KVM leaves the list of TDP roots uninitialised in a VM that has no TDP MMU: the switch of that VM, or of
 * the host, decides. */
static bool has_tdp_mmu(const struct ms_kmem *kmem, const struct ms_rec_host *host,
			const struct ms_rec_vm *vm)
{
	if (!kmem->layout->f[MS_F_kvm_tdp_mmu_roots].present)
		return false;
	if (vm->have & MS_VM_HAVE_TDP_MMU_ON)
		return vm->tdp_mmu_on;
	return !(host->have & MS_HOST_HAVE_TDP_MMU) || host->tdp_mmu_enabled;
}

static struct ms_err *read_vm(struct ms_kmem *kmem, const struct ms_rec_host *host, u64 kvm,
			      struct ms_rec_vm *vm)
{
	u64 upid = 0, indirect = 0, gen = 0, online = 0, created = 0, shadow_root = 0, tdp_on = 0, nx_off = 0;
	u64 ring = 0;
	const struct want_field wants[] = {
		{ MS_F_kvm_mm, &vm->mm, MS_VM_HAVE_MM },
		{ MS_F_kvm_userspace_pid, &upid, MS_VM_HAVE_USERSPACE_PID },
		{ MS_F_kvm_n_used_mmu_pages, &vm->n_used_mmu_pages, MS_VM_HAVE_USED },
		{ MS_F_kvm_n_max_mmu_pages, &vm->n_max_mmu_pages, MS_VM_HAVE_MAX },
		{ MS_F_kvm_indirect_shadow_pages, &indirect, MS_VM_HAVE_INDIRECT },
		{ MS_F_kvm_mmu_valid_gen, &gen, MS_VM_HAVE_VALID_GEN },
		{ MS_F_kvm_online_vcpus, &online, MS_VM_HAVE_ONLINE_VCPUS },
		{ MS_F_kvm_created_vcpus, &created, MS_VM_HAVE_CREATED_VCPUS },
		{ MS_F_kvm_shadow_mmio_value, &vm->mmio_value, MS_VM_HAVE_MMIO_VALUE },
		{ MS_F_kvm_invalidate_seq, &vm->invalidate_seq, MS_VM_HAVE_INVALIDATE },
		{ MS_F_kvm_invalidate_in_progress, &vm->invalidate_in_progress, MS_VM_HAVE_INVALIDATE },
		{ MS_F_kvm_pages_4k, &vm->pages_4k, MS_VM_HAVE_PAGES_4K },
		{ MS_F_kvm_pages_2m, &vm->pages_2m, MS_VM_HAVE_PAGES_2M },
		{ MS_F_kvm_pages_1g, &vm->pages_1g, MS_VM_HAVE_PAGES_1G },
		{ MS_F_kvm_shadow_root_allocated, &shadow_root, MS_VM_HAVE_SHADOW_ROOT },
		{ MS_F_kvm_tdp_mmu_enabled, &tdp_on, MS_VM_HAVE_TDP_MMU_ON },
		{ MS_F_kvm_disable_nx_huge_pages, &nx_off, MS_VM_HAVE_NX_DISABLED },
		{ MS_F_kvm_manual_dirty_log_protect, &vm->log_mode, MS_VM_HAVE_LOG_MODE },
		{ MS_F_kvm_dirty_ring_size, &ring, 0 },
		/* A list head here is twice as long as the counter: then read_fields() leaves it out. */
		{ MS_F_kvm_tdp_mmu_pages, &vm->tdp_mmu_pages, MS_VM_HAVE_TDP_PAGES },
	};
	struct ms_err *err;

	vm->kvm = kvm;
	ms_kvm_enter(kmem, kvm);
	err = read_fields(kmem, kvm, wants, sizeof(wants) / sizeof(wants[0]), &vm->have);
	if (err)
		return err;
	vm->userspace_pid = (s32)upid;
	vm->indirect_shadow_pages = (u32)indirect;
	vm->mmu_valid_gen = (u8)gen;
	vm->online_vcpus = (u32)online;
	vm->created_vcpus = (u32)created;
	vm->shadow_root_allocated = (u8)shadow_root;
	vm->tdp_mmu_on = (u8)tdp_on;
	vm->nx_huge_disabled = nx_off != 0;
	if (ring)
		vm->have |= MS_VM_DIRTY_RING;
	if (kmem->layout->f[MS_F_kvm_active_mmu_pages].present)
		vm->have |= MS_VM_HAVE_LEGACY;
	if (has_tdp_mmu(kmem, host, vm))
		vm->have |= MS_VM_HAVE_TDP_MMU;
	return NULL;
}

/* The cached roots of the MMU at base. */
static void ask_prev_roots(struct ms_kbatch *batch, struct ms_kmem *kmem, u64 base, struct ms_rec_mmu *rec)
{
	const struct ms_field *prev = &kmem->layout->f[MS_F_mmu_prev_roots];
	u32 i;

	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		rec->prev[i].pgd = rec->prev[i].hpa = MS_INVALID_PAGE;
	if (!prev->present || !kmem->layout->f[MS_F_root_info_hpa].present)
		return;
	for (i = 0; i < MS_NR_PREV_ROOTS && i < prev->nr_elems; i++) {
		u64 info = base + prev->off + (u64)i * prev->elem_size;

		ms_kbatch_field(batch, kmem, info, MS_F_root_info_pgd, &rec->prev[i].pgd);
		ms_kbatch_field(batch, kmem, info, MS_F_root_info_hpa, &rec->prev[i].hpa);
	}
	rec->have |= MS_MMU_HAVE_PREV;
}

static struct ms_err *read_mmu(struct ms_kmem *kmem, struct ms_rec_mmu *rec, const struct ms_sink *sink)
{
	const struct ms_field *pdptrs = &kmem->layout->f[MS_F_mmu_pdptrs];
	const u64 have_root = 1ull << 32;
	u64 root_role = 0, have = 0;
	const struct want_field wants[] = {
		{ MS_F_mmu_root_pgd, &rec->root.pgd, 0 },
		{ MS_F_mmu_root_hpa, &rec->root.hpa, have_root },
		{ MS_F_mmu_cpu_role, &rec->cpu_role, MS_MMU_HAVE_CPU_ROLE },
		{ MS_F_mmu_root_role, &root_role, MS_MMU_HAVE_ROOT_ROLE },
		{ MS_F_mmu_pae_root, &rec->pae_root, MS_MMU_HAVE_PAE_ROOT },
		{ MS_F_mmu_pml4_root, &rec->pml4_root, MS_MMU_HAVE_PML4_ROOT },
		{ MS_F_mmu_pml5_root, &rec->pml5_root, MS_MMU_HAVE_PML5_ROOT },
	};
	struct ms_kbatch batch = { 0 };
	struct ms_err *err;
	size_t failed = 0;

	err = read_fields(kmem, rec->mmu, wants, sizeof(wants) / sizeof(wants[0]), &have);
	if (err || !(have & have_root))
		return err; /* without a root there is nothing to say */
	rec->have = have & 0xffffffff;
	rec->root_role = (u32)root_role;
	if (rec->which == MS_MMU_NESTED) {
		/* It walks L2's tables and owns no page (SEMANTICS A1): KVM never sets these, they are zeros.
		 */
		rec->root.pgd = rec->root.hpa = MS_INVALID_PAGE;
		memset(rec->prev, 0xff, sizeof(rec->prev)); /* MS_INVALID_PAGE throughout */
		rec->have &= ~(u64)(MS_MMU_HAVE_PAE_ROOT | MS_MMU_HAVE_PML4_ROOT | MS_MMU_HAVE_PML5_ROOT);
	} else {
		ask_prev_roots(&batch, kmem, rec->mmu, rec);
	}
	if (pdptrs->present && pdptrs->size == sizeof(rec->pdptrs)) {
		ms_kbatch_add(&batch, rec->mmu + pdptrs->off, sizeof(rec->pdptrs), rec->pdptrs);
		rec->have |= MS_MMU_HAVE_PDPTRS;
	}
	err = ms_kbatch_run(&batch, kmem, &failed);
	ms_kbatch_deinit(&batch);
	return err || failed ? err : PUT(sink, MS_REC_MMU, rec);
}

static struct ms_err *read_mmus(struct ms_kmem *kmem, u64 kvm, u64 vcpu, const struct ms_sink *sink)
{
	static const enum ms_field_id bases[] = { MS_F_vcpu_root_mmu, MS_F_vcpu_guest_mmu,
						  MS_F_vcpu_nested_mmu };
	struct ms_err *err = NULL;
	u32 which;

	for (which = 0; !err && which < 3; which++) {
		const struct ms_field *f = &kmem->layout->f[bases[which]];
		struct ms_rec_mmu rec = { .kvm = kvm, .vcpu = vcpu, .which = which, .mmu = vcpu + f->off };

		if (f->present)
			err = read_mmu(kmem, &rec, sink);
	}
	return err;
}

static struct ms_err *read_vcpu(struct ms_kmem *kmem, u64 kvm, u64 vcpu, const struct ms_want *want,
				const struct ms_sink *sink)
{
	struct ms_rec_vcpu rec = { .kvm = kvm, .vcpu = vcpu };
	u64 id = 0, idx = 0, cpu = 0, mode = 0, hflags = 0, guest_mode = 0, owner = 0, have = 0;
	u64 vmcs02 = 0, vmcs02_ready = 0, secondary = 0;
	const u64 have_id = 1ull << 32, have_owner = 1ull << 33;
	const u64 have_vmcs02 = 1ull << 34, have_ready = 1ull << 35, have_secondary = 1ull << 36,
		  have_02 = have_vmcs02 | have_ready | have_secondary;
	const struct ms_field *in_vmx = &kmem->layout->f[MS_F_vmx_vcpu];
	const struct want_field wants[] = {
		{ MS_F_vcpu_kvm, &owner, have_owner },
		{ MS_F_vcpu_id, &id, have_id },
		{ MS_F_vcpu_idx, &idx, 0 },
		{ MS_F_vcpu_cpu, &cpu, MS_VCPU_HAVE_CPU },
		{ MS_F_vcpu_mode, &mode, MS_VCPU_HAVE_MODE },
		{ MS_F_vcpu_hflags, &hflags, MS_VCPU_HAVE_HFLAGS },
		{ MS_F_vcpu_guest_mode, &guest_mode, MS_VCPU_HAVE_GUEST_MODE },
		{ MS_F_vcpu_cr0, &rec.cr0, MS_VCPU_HAVE_CR0 },
		{ MS_F_vcpu_cr3, &rec.cr3, MS_VCPU_HAVE_CR3 },
		{ MS_F_vcpu_cr4, &rec.cr4, MS_VCPU_HAVE_CR4 },
		{ MS_F_vcpu_efer, &rec.efer, MS_VCPU_HAVE_EFER },
		{ MS_F_vcpu_mmu, &rec.mmu, MS_VCPU_HAVE_MMU },
		{ MS_F_vcpu_walk_mmu, &rec.walk_mmu, MS_VCPU_HAVE_MMU },
		/* The last three are for a vcpu_vmx, which begins with its kvm_vcpu. */
		{ MS_F_vmx_vmcs02, &vmcs02, have_vmcs02 },
		{ MS_F_vmx_vmcs02_initialized, &vmcs02_ready, have_ready },
		{ MS_F_vmx_vmcs02_secondary_exec, &secondary, have_secondary },
	};
	const size_t nr = sizeof(wants) / sizeof(wants[0]);
	struct ms_err *err;

	err = read_fields(kmem, vcpu, wants, kmem->vmx && in_vmx->present && !in_vmx->off ? nr : nr - 3,
			  &have);
	/* A vCPU names its VM: one that names another is a stale pointer. */
	if (err || !(have & have_id) || !(have & have_owner) || owner != kvm)
		return err;
	rec.have = have & 0xffffffff;
	rec.vcpu_id = (s32)id;
	rec.vcpu_idx = (s32)idx;
	rec.cpu = (s32)cpu;
	rec.mode = (s32)mode;
	rec.hflags = (u32)hflags;
	rec.guest_mode = guest_mode != 0;
	/* Before L2 was entered for the first time nothing was written to vmcs02. */
	if ((have & have_02) == have_02 && vmcs02 && vmcs02_ready) {
		rec.have |= MS_VCPU_HAVE_PML02;
		rec.pml02 = secondary >> SECONDARY_EXEC_ENABLE_PML & 1;
	}
	if (want->what & MS_WANT_VCPUS)
		err = PUT(sink, MS_REC_VCPU, &rec);
	if (!err && (want->what & MS_WANT_MMUS))
		err = read_mmus(kmem, kvm, vcpu, sink);
	return err;
}

/*
 * kvm->vcpu_array is an xarray: the head is one entry for index 0, or a node tagged 10b with 64 slots. More
 * than four levels would be more vCPUs than there can be.
 */
static struct ms_err *read_xa(struct ms_kmem *kmem, u64 entry, u32 depth, u64 kvm, const struct ms_want *want,
			      const struct ms_sink *sink)
{
	const struct ms_field *slots = &kmem->layout->f[MS_F_xa_node_slots];
	MS_FREE u64 *below = NULL;
	struct ms_kread req;
	struct ms_err *err;
	u32 i;

	if (!(entry & 3)) {
		if (!ms_kmem_is_direct(kmem, entry, 8))
			return NULL;
		return read_vcpu(kmem, kvm, entry, want, sink);
	}
	if ((entry & 3) != 2 || !ms_kmem_is_direct(kmem, entry - 2, 8) || depth == 4 || !slots->present ||
	    slots->elem_size != 8 || slots->nr_elems > 64)
		return NULL;
	below = calloc(slots->nr_elems, 8);
	if (!below)
		return ms_err_nomem();
	req = (struct ms_kread){ .addr = entry - 2 + slots->off, .len = slots->size, .dst = below };
	err = ms_kmem_read(kmem, &req, 1);
	if (req.status)
		return err;
	for (i = 0; !err && i < slots->nr_elems; i++)
		if (below[i])
			err = read_xa(kmem, below[i], depth + 1, kvm, want, sink);
	return err;
}

static struct ms_err *read_vcpus(struct ms_kmem *kmem, u64 kvm, const struct ms_want *want,
				 const struct ms_sink *sink)
{
	const struct ms_field *array = &kmem->layout->f[MS_F_kvm_vcpu_array];
	const struct want_field head_want = { MS_F_xarray_head, &(u64){ 0 }, 1 };
	u64 have = 0;
	struct ms_err *err;

	if (!array->present)
		return ms_err_new(MS_ERR_TARGET, "this kernel has no kvm.vcpu_array: vCPUs cannot be listed");
	err = read_fields(kmem, kvm + array->off, &head_want, 1, &have);
	if (err || !have || !*head_want.dst)
		return err;
	return read_xa(kmem, *head_want.dst, 0, kvm, want, sink);
}

static void slot_ask(struct ms_kbatch *batch, struct ms_kmem *kmem, u64 node_off, struct slot_read *s)
{
	u64 slot = s->node - node_off;

	ms_kbatch_add(batch, s->node, 8, &s->next);
	ms_kbatch_field(batch, kmem, slot, MS_F_memslot_base_gfn, &s->base_gfn);
	ms_kbatch_field(batch, kmem, slot, MS_F_memslot_npages, &s->npages);
	ms_kbatch_field(batch, kmem, slot, MS_F_memslot_dirty_bitmap, &s->dirty);
	ms_kbatch_field(batch, kmem, slot, MS_F_memslot_userspace_addr, &s->hva);
	ms_kbatch_field(batch, kmem, slot, MS_F_memslot_flags, &s->flags);
	ms_kbatch_field(batch, kmem, slot, MS_F_memslot_id, &s->id);
	ms_kbatch_field(batch, kmem, slot, MS_F_memslot_as_id, &s->as_id);
}

/*
 * One address space's slots: all chains of the hash by id, a generation of nodes at a time. *gen_ret and the
 * slots belong together only if the generation is the same afterwards: the caller looks.
 */
static struct ms_err *read_slot_set(struct ms_kmem *kmem, u64 memslots, struct slot_read **ret,
				    size_t *nr_ret, u64 *gen_ret, u64 *node_off_ret)
{
	const struct ms_field *hash = &kmem->layout->f[MS_F_memslots_id_hash];
	const struct ms_field *id_node = &kmem->layout->f[MS_F_memslot_id_node];
	MS_FREE u64 *buckets = NULL;
	struct slot_read *slots = NULL;
	struct ms_kbatch batch = { 0 };
	struct ms_map met = { 0 }; /* a chain in motion can lead back to itself */
	size_t nr = 0, cap = 0, from, i, failed = 0;
	u64 idx = 0, node_off = 0;
	struct ms_err *err;

	if (!hash->present || !id_node->present || !id_node->elem_size || hash->size > MS_KREAD_MAX_LEN)
		return ms_err_new(MS_ERR_TARGET,
				  "this kernel keeps memslots in a way that is not known here");
	buckets = calloc(1, hash->size);
	if (!buckets)
		return ms_err_nomem();
	ms_kbatch_field(&batch, kmem, memslots, MS_F_memslots_generation, gen_ret);
	ms_kbatch_field(&batch, kmem, memslots, MS_F_memslots_node_idx, &idx);
	ms_kbatch_add(&batch, memslots + hash->off, hash->size, buckets);
	err = ms_kbatch_run(&batch, kmem, &failed);
	if (err || failed)
		goto out;
	node_off = id_node->off + (idx & 1) * id_node->elem_size;
	for (i = 0; i < hash->size / 8; i++) {
		struct slot_read *grown;

		if (!ms_kmem_is_direct(kmem, buckets[i], 16))
			continue;
		grown = ms_grow(slots, &cap, nr + 1, sizeof(*slots));
		if (!grown) {
			err = ms_err_nomem();
			goto out;
		}
		slots = grown;
		if (!ms_map_put(&met, buckets[i], 0)) {
			err = ms_err_nomem();
			goto out;
		}
		slots[nr++] = (struct slot_read){ .node = buckets[i] };
	}
	for (from = 0; !err && from < nr;) {
		size_t end = nr, k;
		struct slot_read *grown;

		/* Room for one follower each: the batch holds pointers into the array. */
		grown = ms_grow(slots, &cap, nr + (end - from), sizeof(*slots));
		if (!grown) {
			err = ms_err_nomem();
			break;
		}
		slots = grown;
		for (k = from; k < end; k++)
			slot_ask(&batch, kmem, node_off, &slots[k]);
		err = ms_kbatch_run(&batch, kmem, NULL);
		for (k = from; !err && k < end; k++) {
			u64 next = slots[k].next;

			if (!ms_kmem_is_direct(kmem, next, 16) || nr == MAX_SLOTS ||
			    ms_map_get(&met, next) != MS_MAP_NONE)
				continue;
			if (!ms_map_put(&met, next, 0))
				err = ms_err_nomem();
			else
				slots[nr++] = (struct slot_read){ .node = next };
		}
		from = end;
	}
out:
	ms_kbatch_deinit(&batch);
	ms_map_deinit(&met);
	if (err) {
		free(slots);
		return err;
	}
	*ret = slots;
	*nr_ret = nr;
	*node_off_ret = node_off;
	return NULL;
}

static struct ms_err *put_slots(u64 kvm, u32 as_id, u64 gen, bool stable, const struct slot_read *slots,
				size_t nr, const struct ms_sink *sink)
{
	struct ms_err *err = NULL;
	size_t i;

	for (i = 0; !err && i < nr; i++) {
		const struct slot_read *s = &slots[i];
		struct ms_rec_slot rec = {
			.have = MS_SLOT_HAVE_DIRTY_BITMAP | MS_SLOT_HAVE_GENERATION,
			.kvm = kvm,
			.base_gfn = s->base_gfn,
			.nr_pages = s->npages,
			.hva = s->hva,
			.dirty_bitmap = s->dirty,
			.generation = gen,
			.flags = (u32)s->flags,
			.id = (s16)s->id,
			.as_id = (u16)s->as_id,
		};

		if (!stable)
			rec.have |= MS_SLOT_UNSTABLE;
		if (s->as_id == as_id && s->npages)
			err = PUT(sink, MS_REC_SLOT, &rec);
	}
	return err;
}

/* A set that changed while it was read is read again; the last try stands, and says so. */
struct ms_err *kvm_slots_read(struct ms_kmem *kmem, u64 kvm, u32 as_id, struct slot_set *ret)
{
	u64 at = kvm + kmem->layout->f[MS_F_kvm_memslots].off + 8ull * as_id;
	struct slot_set set = { 0 };
	struct ms_err *err = NULL;
	u32 tries;

	for (tries = 0; !err && tries < 8; tries++) {
		u64 memslots = 0, again = 0;
		struct ms_kread req = { .addr = at, .len = 8, .dst = &memslots };
		struct ms_kread check = { .addr = at, .len = 8, .dst = &again };

		free(set.slots);
		set = (struct slot_set){ 0 };
		err = ms_kmem_read(kmem, &req, 1);
		if (err || req.status || !memslots || !ms_kmem_may_read(kmem, memslots, 8))
			break;
		err = read_slot_set(kmem, memslots, &set.slots, &set.nr, &set.gen, &set.node_off);
		if (err)
			break;
		set.memslots = memslots;
		err = ms_kmem_read(kmem, &check, 1);
		if (err || check.status || again != memslots)
			continue;
		check.addr = memslots + kmem->layout->f[MS_F_memslots_generation].off;
		err = ms_kmem_read(kmem, &check, 1);
		set.stable = !err && !check.status && again == set.gen;
		if (set.stable)
			break;
	}
	if (err) {
		free(set.slots);
		return err;
	}
	*ret = set;
	return NULL;
}

static struct ms_err *read_slots(struct ms_kmem *kmem, u64 kvm, const struct ms_sink *sink)
{
	const struct ms_field *f = &kmem->layout->f[MS_F_kvm_memslots];
	struct ms_err *err = NULL;
	struct slot_set set;
	u32 as_id;

	if (!f->present)
		return ms_err_new(MS_ERR_TARGET, "this kernel has no kvm.memslots");
	for (as_id = 0; !err && as_id < f->nr_elems; as_id++) {
		err = kvm_slots_read(kmem, kvm, as_id, &set);
		if (err)
			break;
		err = put_slots(kvm, as_id, set.gen, set.stable, set.slots, set.nr, sink);
		free(set.slots);
	}
	return err;
}

static struct ms_err *read_vm_details(struct ms_kmem *kmem, const struct ms_rec_host *host,
				      const struct ms_rec_vm *vm, const struct ms_kfile *files,
				      const u64 *file_kvms, size_t nr_files, const struct ms_want *want,
				      const struct ms_sink *sink)
{
	struct ms_kvm_guest *guest = NULL;
	struct ms_err *err = NULL;
	size_t i;

	ms_kvm_enter(kmem, vm->kvm);
	for (i = 0; !err && i < nr_files; i++) {
		struct ms_rec_fd rec = {
			.kvm = vm->kvm, .pid = files[i].pid, .fd = files[i].fd, .kind = files[i].kind
		};

		if (file_kvms[i] != vm->kvm)
			continue;
		rec.vcpu = files[i].kind == MS_FD_VCPU ? files[i].private_data : 0;
		memcpy(rec.comm, files[i].comm, sizeof(rec.comm));
		rec.comm[MS_COMM_LEN - 1] = '\0';
		err = PUT(sink, MS_REC_FD, &rec);
	}
	if (!err && (want->what & (MS_WANT_VCPUS | MS_WANT_MMUS)))
		err = read_vcpus(kmem, vm->kvm, want, sink);
	if (!err && (want->what & MS_WANT_SLOTS))
		err = read_slots(kmem, vm->kvm, sink);
	if (!err && (want->what & MS_WANT_GUEST))
		err = ms_kvm_guest_look(kmem, host, vm, want, &guest);
	if (!err && (want->what & (MS_WANT_SPS | MS_WANT_SPTES)))
		err = (kmem->pages ? kmem->pages->sps : ms_kvm_read_sps)(kmem, host, vm, want, sink);
	if (!err && guest)
		err = ms_kvm_guest_look_again(guest);
	if (!err && (want->what & MS_WANT_RMAPS))
		err = (kmem->pages ? kmem->pages->rmaps : ms_kvm_read_rmaps)(kmem, host, vm, want, sink);
	if (!err && kmem->pages && (want->what & (MS_WANT_SPS | MS_WANT_SPTES | MS_WANT_RMAPS)))
		err = kmem->pages->end(kmem, vm, want, sink);
	if (!err && guest)
		err = ms_kvm_guest_put(guest, sink);
	ms_kvm_guest_destroy(guest);
	return err;
}

struct ms_err *ms_kvm_read(struct ms_kmem *kmem, const struct ms_rec_host *host, const struct ms_kfile *files,
			   size_t nr_files, const struct ms_want *want, const struct ms_sink *sink)
{
	MS_FREE u64 *file_kvms = calloc(nr_files + 1, sizeof(*file_kvms));
	MS_FREE struct ms_rec_vm *vms = NULL;
	struct vm_set set = { 0 };
	struct ms_err *err = NULL;
	size_t i;

	if (!file_kvms)
		return ms_err_nomem();
	for (i = 0; !err && i < nr_files; i++) {
		err = file_kvm(kmem, &files[i], &file_kvms[i]);
		if (!err && file_kvms[i])
			err = vm_set_add(&set, file_kvms[i]);
	}
	if (!err) {
		vms = calloc(set.nr + 1, sizeof(*vms));
		err = vms ? PUT(sink, MS_REC_HOST, host) : ms_err_nomem();
	}
	for (i = 0; !err && i < set.nr; i++) {
		err = read_vm(kmem, host, set.kvm[i], &vms[i]);
		if (err)
			break;
		vm_owner(files, nr_files, file_kvms, &vms[i]);
		/* Nothing at all could be read: the VM ended after it was listed. */
		if (!(vms[i].have & (MS_VM_HAVE_MM | MS_VM_HAVE_USED)))
			vms[i].kvm = 0;
		else
			err = PUT(sink, MS_REC_VM, &vms[i]);
	}
	for (i = 0; !err && i < set.nr; i++)
		if (vms[i].kvm && (!want->kvm || want->kvm == vms[i].kvm))
			err = read_vm_details(kmem, host, &vms[i], files, file_kvms, nr_files, want, sink);
	free(set.kvm);
	return err;
}
