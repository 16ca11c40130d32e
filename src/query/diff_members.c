/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs outside the pages: host, VM, vCPUs, MMUs and their roots, memslots. Host addresses are compared
 * only where both sides are one VM; where a vCPU ran last is not: it differs always and tells nothing here.
 */
#include "query/diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* Where members are being compared. */
struct place {
	struct diff *d;
	enum diff_object object;
	const char *id;
};

static struct diff_value number(enum ms_value_kind kind, enum ms_secret secret, u64 value)
{
	return (struct diff_value){ .kind = kind, .secret = secret, .u = value };
}

static struct diff_value text(enum ms_secret secret, const char *value, size_t max)
{
	return (struct diff_value){
		.kind = MS_V_TEXT, .secret = secret, .text = value, .len = strnlen(value, max)
	};
}

static struct ms_err *add(const struct place *at, enum diff_change change, const char *member,
			  const struct diff_value *a, const struct diff_value *b)
{
	struct diff *d = at->d;
	struct diff_member *grown = ms_grow(d->members, &d->members_cap, d->nr_members + 1, sizeof(*grown));
	struct diff_member *row;

	if (!grown)
		return ms_err_nomem();
	d->members = grown;
	row = &grown[d->nr_members++];
	*row = (struct diff_member){ .object = at->object, .change = change, .member = member };
	snprintf(row->id, sizeof(row->id), "%s", at->id);
	if (a)
		row->value[DIFF_A] = *a;
	if (b)
		row->value[DIFF_B] = *b;
	diff_count(d, at->object, change, 0);
	return NULL;
}

/* The object itself is on one side only; its address is the value. */
static struct ms_err *one_sided(const struct place *at, enum diff_side side, enum ms_secret secret,
				u64 address)
{
	struct diff_value value = number(MS_V_HEX, secret, address);

	return side == DIFF_A ? add(at, DIFF_WENT, NULL, &value, NULL)
			      : add(at, DIFF_CAME, NULL, NULL, &value);
}

/* A member that both have, one has (lacking, no difference), or none has. */
static struct ms_err *member(const struct place *at, const char *name, bool have_a, struct diff_value a,
			     bool have_b, struct diff_value b)
{
	bool equal = a.text ? a.len == b.len && !memcmp(a.text, b.text, a.len) : a.u == b.u;

	if (have_a != have_b)
		at->d->lacks[at->object][DIFF_L_MEMBER][have_a ? DIFF_B : DIFF_A]++;
	if (!have_a || !have_b || equal)
		return NULL;
	return add(at, DIFF_CHANGED, name, &a, &b);
}

/* Numbers by one table: name, bit of `have' (0: always), how it is shown, both values. */
struct number_member {
	const char *name;
	u64 have;
	enum ms_value_kind kind;
	enum ms_secret secret;
	u64 a, b;
};

static struct ms_err *numbers(const struct place *at, u64 have_a, u64 have_b, const struct number_member *m,
			      size_t nr)
{
	struct ms_err *err = NULL;
	size_t i;

	for (i = 0; i < nr && !err; i++)
		err = member(at, m[i].name, (have_a & m[i].have) == m[i].have,
			     number(m[i].kind, m[i].secret, m[i].a), (have_b & m[i].have) == m[i].have,
			     number(m[i].kind, m[i].secret, m[i].b));
	return err;
}

static struct ms_err *host(struct diff *d)
{
	const struct ms_model *ma = d->q[DIFF_A].model, *mb = d->q[DIFF_B].model;
	const struct ms_rec_host *a = &ma->host, *b = &mb->host;
	const struct place at = { .d = d, .object = DIFF_O_HOST, .id = "" };
	const struct number_member members[] = {
		{ "tdp", MS_HOST_HAVE_TDP_ENABLED, MS_V_BOOL, MS_PUBLIC, a->tdp_enabled, b->tdp_enabled },
		{ "tdp_mmu", MS_HOST_HAVE_TDP_MMU, MS_V_BOOL, MS_PUBLIC, a->tdp_mmu_enabled,
		  b->tdp_mmu_enabled },
		{ "mmio_caching", MS_HOST_HAVE_MMIO_CACHING, MS_V_BOOL, MS_PUBLIC, a->mmio_caching,
		  b->mmio_caching },
		{ "nx_huge_pages", MS_HOST_HAVE_NX_HUGE, MS_V_INT, MS_PUBLIC, (u64)(s64)a->nx_huge_pages,
		  (u64)(s64)b->nx_huge_pages },
		{ "phys_bits", MS_HOST_HAVE_PHYS_BITS, MS_V_COUNT, MS_PUBLIC, a->phys_bits, b->phys_bits },
	};
	struct ms_err *err;

	err = member(&at, "kernel", true, text(MS_PUBLIC, a->release, sizeof(a->release)), true,
		     text(MS_PUBLIC, b->release, sizeof(b->release)));
	if (!err)
		err = member(&at, "hypervisor", true, text(MS_PUBLIC, hv_name(a->hv), 16), true,
			     text(MS_PUBLIC, hv_name(b->hv), 16));
	if (!err)
		err = member(&at, "profile", true, text(MS_PUBLIC, ma->profile.name, 32), true,
			     text(MS_PUBLIC, mb->profile.name, 32));
	return err ? err : numbers(&at, a->have, b->have, members, MS_LEN(members));
}

static bool vm_is(const struct ms_vm *a, const struct ms_vm *b)
{
	return a->rec.kvm == b->rec.kvm &&
	       (a->rec.have & MS_VM_HAVE_OWNER) == (b->rec.have & MS_VM_HAVE_OWNER) &&
	       (!(a->rec.have & MS_VM_HAVE_OWNER) || a->rec.pid == b->rec.pid);
}

/* VMs that one side has alone, but for the two that were chosen. */
static struct ms_err *vms(struct diff *d)
{
	const struct place at = { .d = d, .object = DIFF_O_VM, .id = "" };
	struct ms_map other = { 0 };
	struct ms_err *err = NULL;
	u32 side, i, found;

	for (side = DIFF_A; side < DIFF_SIDES && !err; side++) {
		const struct ms_model *here = d->q[side].model, *there = d->q[!side].model;

		for (i = 0; i < there->nr_vms && !err; i++)
			if (!ms_map_put(&other, there->vms[i].rec.kvm, i))
				err = ms_err_nomem();
		for (i = 0; i < here->nr_vms && !err; i++) {
			const struct ms_vm *vm = &here->vms[i];

			found = ms_map_get(&other, vm->rec.kvm);
			if (vm != d->q[side].vm && (found == MS_MAP_NONE || !vm_is(vm, &there->vms[found])))
				err = one_sided(&at, (enum diff_side)side, MS_SECRET_KVM, vm->rec.kvm);
		}
		ms_map_deinit(&other);
		other = (struct ms_map){ 0 };
	}
	return err;
}

static struct ms_err *vm(struct diff *d)
{
	const struct ms_rec_vm *a = &d->q[DIFF_A].vm->rec, *b = &d->q[DIFF_B].vm->rec;
	const struct place at = { .d = d, .object = DIFF_O_VM, .id = "" };
	const struct number_member members[] = {
		{ "used_pages", MS_VM_HAVE_USED, MS_V_COUNT, MS_PUBLIC, a->n_used_mmu_pages,
		  b->n_used_mmu_pages },
		{ "max_pages", MS_VM_HAVE_MAX, MS_V_COUNT, MS_PUBLIC, a->n_max_mmu_pages,
		  b->n_max_mmu_pages },
		{ "tdp_pages", MS_VM_HAVE_TDP_PAGES, MS_V_COUNT, MS_PUBLIC, a->tdp_mmu_pages,
		  b->tdp_mmu_pages },
		{ "indirect_pages", MS_VM_HAVE_INDIRECT, MS_V_COUNT, MS_PUBLIC, a->indirect_shadow_pages,
		  b->indirect_shadow_pages },
		{ "pages_4k", MS_VM_HAVE_PAGES_4K, MS_V_COUNT, MS_PUBLIC, a->pages_4k, b->pages_4k },
		{ "pages_2m", MS_VM_HAVE_PAGES_2M, MS_V_COUNT, MS_PUBLIC, a->pages_2m, b->pages_2m },
		{ "pages_1g", MS_VM_HAVE_PAGES_1G, MS_V_COUNT, MS_PUBLIC, a->pages_1g, b->pages_1g },
		{ "generation", MS_VM_HAVE_VALID_GEN, MS_V_COUNT, MS_PUBLIC, a->mmu_valid_gen,
		  b->mmu_valid_gen },
		{ "shadow_root_allocated", MS_VM_HAVE_SHADOW_ROOT, MS_V_BOOL, MS_PUBLIC,
		  a->shadow_root_allocated, b->shadow_root_allocated },
		{ "tdp_mmu", MS_VM_HAVE_TDP_MMU_ON, MS_V_BOOL, MS_PUBLIC, a->tdp_mmu_on, b->tdp_mmu_on },
		{ "invalidate_seq", MS_VM_HAVE_INVALIDATE, MS_V_COUNT, MS_PUBLIC, a->invalidate_seq,
		  b->invalidate_seq },
		{ "invalidate_in_progress", MS_VM_HAVE_INVALIDATE, MS_V_COUNT, MS_PUBLIC,
		  a->invalidate_in_progress, b->invalidate_in_progress },
		{ "mmio_value", MS_VM_HAVE_MMIO_VALUE, MS_V_HEX, MS_PUBLIC, a->mmio_value, b->mmio_value },
		{ "vcpus", MS_VM_HAVE_ONLINE_VCPUS, MS_V_COUNT, MS_PUBLIC, a->online_vcpus, b->online_vcpus },
	};

	return numbers(&at, a->have, b->have, members, MS_LEN(members));
}

/* --- vCPUs and MMUs --- */

static const struct ms_rec_mmu *mmu_of(const struct ms_vm *vm, const struct ms_vcpu *vcpu, u32 which)
{
	u32 i;

	for (i = 0; i < vcpu->nr_mmus; i++)
		if (vm->mmus[vcpu->first_mmu + i].which == which)
			return &vm->mmus[vcpu->first_mmu + i];
	return NULL;
}

/* Which MMU a pointer of the vCPU means; 0: none of those read. */
static const char *mmu_named(const struct ms_vm *vm, const struct ms_vcpu *vcpu, u64 address)
{
	u32 i;

	for (i = 0; i < vcpu->nr_mmus; i++)
		if (vm->mmus[vcpu->first_mmu + i].mmu == address)
			return ms_mmu_name(vm->mmus[vcpu->first_mmu + i].which);
	return "?";
}

static struct ms_err *root(const struct place *at, const char *const names[2], bool have_a,
			   const struct ms_rec_root *a, bool have_b, const struct ms_rec_root *b)
{
	/* A slot without a root keeps a pgd that means nothing. */
	const bool is_a = a->hpa && a->hpa != MS_INVALID_PAGE, is_b = b->hpa && b->hpa != MS_INVALID_PAGE;
	struct diff_value value[2] = { number(MS_V_HEX, MS_SECRET_HPA, a->hpa),
				       number(MS_V_HEX, MS_SECRET_HPA, b->hpa) };
	struct ms_err *err = NULL;

	if (!have_a || !have_b)
		return member(at, names[0], have_a, value[0], have_b, value[1]);
	if (is_a != is_b)
		return add(at, is_b ? DIFF_CAME : DIFF_WENT, names[0], is_a ? &value[0] : NULL,
			   is_b ? &value[1] : NULL);
	if (!is_a)
		return NULL;
	if (at->d->same_vm)
		err = member(at, names[0], true, value[0], true, value[1]);
	return err ? err
		   : member(at, names[1], true, number(MS_V_HEX, MS_PUBLIC, a->pgd), true,
			    number(MS_V_HEX, MS_PUBLIC, b->pgd));
}

static struct ms_err *mmu(const struct place *at, const struct ms_rec_mmu *a, const struct ms_rec_mmu *b)
{
	static const char *const roots[][2] = { { "root_hpa", "root_pgd" },
						{ "previous-0.hpa", "previous-0.pgd" },
						{ "previous-1.hpa", "previous-1.pgd" },
						{ "previous-2.hpa", "previous-2.pgd" } };
	const struct number_member members[] = {
		{ "root_role", MS_MMU_HAVE_ROOT_ROLE, MS_V_HEX, MS_PUBLIC, a->root_role, b->root_role },
		{ "cpu_role", MS_MMU_HAVE_CPU_ROLE, MS_V_HEX, MS_PUBLIC, a->cpu_role, b->cpu_role },
		{ "pdptr0", MS_MMU_HAVE_PDPTRS, MS_V_HEX, MS_PUBLIC, a->pdptrs[0], b->pdptrs[0] },
		{ "pdptr1", MS_MMU_HAVE_PDPTRS, MS_V_HEX, MS_PUBLIC, a->pdptrs[1], b->pdptrs[1] },
		{ "pdptr2", MS_MMU_HAVE_PDPTRS, MS_V_HEX, MS_PUBLIC, a->pdptrs[2], b->pdptrs[2] },
		{ "pdptr3", MS_MMU_HAVE_PDPTRS, MS_V_HEX, MS_PUBLIC, a->pdptrs[3], b->pdptrs[3] },
	};
	const struct number_member special[] = {
		{ "pae_root", MS_MMU_HAVE_PAE_ROOT, MS_V_HEX, MS_SECRET_PTR, a->pae_root, b->pae_root },
		{ "pml4_root", MS_MMU_HAVE_PML4_ROOT, MS_V_HEX, MS_SECRET_PTR, a->pml4_root, b->pml4_root },
		{ "pml5_root", MS_MMU_HAVE_PML5_ROOT, MS_V_HEX, MS_SECRET_PTR, a->pml5_root, b->pml5_root },
	};
	struct ms_err *err;
	u32 i;

	err = root(at, roots[0], true, &a->root, true, &b->root);
	for (i = 0; i < MS_NR_PREV_ROOTS && !err; i++)
		err = root(at, roots[1 + i], a->have & MS_MMU_HAVE_PREV, &a->prev[i],
			   b->have & MS_MMU_HAVE_PREV, &b->prev[i]);
	if (!err)
		err = numbers(at, a->have, b->have, members, MS_LEN(members));
	if (!err && at->d->same_vm)
		err = numbers(at, a->have, b->have, special, MS_LEN(special));
	return err;
}

static struct ms_err *mmus(struct diff *d, const struct ms_vcpu *va, const struct ms_vcpu *vb)
{
	const struct ms_filter *f = &d->q[DIFF_A].args->filter;
	const struct ms_rec_mmu *a, *b;
	struct ms_err *err = NULL;
	char id[40];
	u32 which;

	for (which = MS_MMU_ROOT; which <= MS_MMU_NESTED && !err; which++) {
		const struct place at = { .d = d, .object = DIFF_O_MMU, .id = id };

		if (f->has_mmu && f->mmu != which)
			continue;
		snprintf(id, sizeof(id), "vcpu%d:%s", va->rec.vcpu_id, ms_mmu_name(which));
		a = mmu_of(d->q[DIFF_A].vm, va, which);
		b = mmu_of(d->q[DIFF_B].vm, vb, which);
		if (a && b)
			err = mmu(&at, a, b);
		else if (a)
			err = one_sided(&at, DIFF_A, MS_SECRET_MMU, a->mmu);
		else if (b)
			err = one_sided(&at, DIFF_B, MS_SECRET_MMU, b->mmu);
	}
	return err;
}

static struct ms_err *vcpu(struct diff *d, const char *id, const struct ms_vcpu *va, const struct ms_vcpu *vb)
{
	const struct ms_rec_vcpu *a = &va->rec, *b = &vb->rec;
	const struct ms_vm *vm_a = d->q[DIFF_A].vm, *vm_b = d->q[DIFF_B].vm;
	const struct place at = { .d = d, .object = DIFF_O_VCPU, .id = id };
	const struct number_member members[] = {
		{ "guest_mode", MS_VCPU_HAVE_GUEST_MODE, MS_V_BOOL, MS_PUBLIC, a->guest_mode, b->guest_mode },
		{ "smm", MS_VCPU_HAVE_SMM, MS_V_BOOL, MS_PUBLIC, a->smm, b->smm },
		{ "cr0", MS_VCPU_HAVE_CR0, MS_V_HEX, MS_PUBLIC, a->cr0, b->cr0 },
		{ "cr3", MS_VCPU_HAVE_CR3, MS_V_HEX, MS_PUBLIC, a->cr3, b->cr3 },
		{ "cr4", MS_VCPU_HAVE_CR4, MS_V_HEX, MS_PUBLIC, a->cr4, b->cr4 },
		{ "efer", MS_VCPU_HAVE_EFER, MS_V_HEX, MS_PUBLIC, a->efer, b->efer },
	};
	struct ms_err *err;

	err = member(&at, "mmu", a->have & MS_VCPU_HAVE_MMU, text(MS_PUBLIC, mmu_named(vm_a, va, a->mmu), 16),
		     b->have & MS_VCPU_HAVE_MMU, text(MS_PUBLIC, mmu_named(vm_b, vb, b->mmu), 16));
	if (!err)
		err = member(&at, "walk_mmu", a->have & MS_VCPU_HAVE_MMU,
			     text(MS_PUBLIC, mmu_named(vm_a, va, a->walk_mmu), 16),
			     b->have & MS_VCPU_HAVE_MMU,
			     text(MS_PUBLIC, mmu_named(vm_b, vb, b->walk_mmu), 16));
	return err ? err : numbers(&at, a->have, b->have, members, MS_LEN(members));
}

/* Both lists are sorted by vcpu_id. */
static struct ms_err *vcpus(struct diff *d)
{
	const struct ms_vm *vm_a = d->q[DIFF_A].vm, *vm_b = d->q[DIFF_B].vm;
	struct ms_err *err = NULL;
	size_t i = 0, j = 0;
	char id[40];

	while ((i < vm_a->nr_vcpus || j < vm_b->nr_vcpus) && !err) {
		const struct ms_vcpu *a = i < vm_a->nr_vcpus ? &vm_a->vcpus[i] : NULL;
		const struct ms_vcpu *b = j < vm_b->nr_vcpus ? &vm_b->vcpus[j] : NULL;
		const struct place at = { .d = d, .object = DIFF_O_VCPU, .id = id };

		snprintf(id, sizeof(id), "vcpu%d",
			 a && (!b || a->rec.vcpu_id <= b->rec.vcpu_id) ? a->rec.vcpu_id : b->rec.vcpu_id);
		if (a && b && a->rec.vcpu_id == b->rec.vcpu_id) {
			err = vcpu(d, id, a, b);
			if (!err)
				err = mmus(d, a, b);
			i++;
			j++;
		} else if (a && (!b || a->rec.vcpu_id < b->rec.vcpu_id)) {
			err = one_sided(&at, DIFF_A, MS_SECRET_VCPU, a->rec.vcpu);
			i++;
		} else {
			err = one_sided(&at, DIFF_B, MS_SECRET_VCPU, b->rec.vcpu);
			j++;
		}
	}
	return err;
}

/* --- memslots --- */

static u64 slot_key(const struct ms_rec_slot *slot)
{
	return (1ull << 32) | (u64)slot->as_id << 16 | (u16)slot->id;
}

static bool slot_passes(const struct diff *d, const struct ms_rec_slot *slot)
{
	const struct ms_filter *f = &d->q[DIFF_A].args->filter;

	return !f->has_gfn ||
	       (slot->base_gfn < f->gfn_end &&
		(slot->base_gfn >= f->gfn_start || f->gfn_start - slot->base_gfn < slot->nr_pages));
}

static struct ms_err *slot(const struct place *at, const struct ms_rec_slot *a, const struct ms_rec_slot *b)
{
	const struct number_member members[] = {
		{ "gfn", 0, MS_V_HEX, MS_PUBLIC, a->base_gfn, b->base_gfn },
		{ "pages", 0, MS_V_COUNT, MS_PUBLIC, a->nr_pages, b->nr_pages },
		{ "flags", 0, MS_V_HEX, MS_PUBLIC, a->flags, b->flags },
		{ "dirty_log", MS_SLOT_HAVE_DIRTY_BITMAP, MS_V_BOOL, MS_PUBLIC, a->dirty_bitmap != 0,
		  b->dirty_bitmap != 0 },
	};
	struct ms_err *err = numbers(at, a->have, b->have, members, MS_LEN(members));

	return err || !at->d->same_vm ? err
				      : member(at, "hva", true, number(MS_V_HEX, MS_SECRET_HVA, a->hva), true,
					       number(MS_V_HEX, MS_SECRET_HVA, b->hva));
}

/* All slots of an address space have its generation: it is told once. */
static struct ms_err *generations(struct diff *d)
{
	const struct ms_vm *vm_a = d->q[DIFF_A].vm, *vm_b = d->q[DIFF_B].vm;
	struct ms_err *err = NULL;
	size_t i, j = 0;
	char id[40];

	for (i = 0; i < vm_a->nr_slots && !err; i++) {
		const struct ms_rec_slot *a = &vm_a->slots[i], *b;
		const struct place at = { .d = d, .object = DIFF_O_SLOTS, .id = id };

		if (i && a->as_id == vm_a->slots[i - 1].as_id)
			continue;
		while (j < vm_b->nr_slots && vm_b->slots[j].as_id < a->as_id)
			j++;
		if (j == vm_b->nr_slots || vm_b->slots[j].as_id != a->as_id)
			continue;
		b = &vm_b->slots[j];
		snprintf(id, sizeof(id), "as%u", a->as_id);
		err = member(&at, "generation", a->have & MS_SLOT_HAVE_GENERATION,
			     number(MS_V_HEX, MS_PUBLIC, a->generation), b->have & MS_SLOT_HAVE_GENERATION,
			     number(MS_V_HEX, MS_PUBLIC, b->generation));
	}
	return err;
}

/* A number that occurs twice stands for neither. */
static struct ms_err *slots_by_key(struct diff *d, enum diff_side side, struct ms_map *map)
{
	const struct ms_vm *vm = d->q[side].vm;
	u32 i;

	for (i = 0; i < vm->nr_slots; i++) {
		const struct ms_rec_slot *s = &vm->slots[i];

		if (s->have & MS_SLOT_UNSTABLE || ms_map_get(map, slot_key(s)) != MS_MAP_NONE) {
			d->lacks[DIFF_O_SLOT][DIFF_L_UNSTABLE][side]++;
			if (ms_map_get(map, slot_key(s)) == MS_MAP_NONE)
				continue;
		}
		if (!ms_map_put(map, slot_key(s), i))
			return ms_err_nomem();
	}
	return NULL;
}

static struct ms_err *slots(struct diff *d)
{
	struct ms_map map[DIFF_SIDES] = { { 0 }, { 0 } };
	struct ms_err *err;
	char id[40];
	u32 side, i, found;

	err = slots_by_key(d, DIFF_A, &map[DIFF_A]);
	if (!err)
		err = slots_by_key(d, DIFF_B, &map[DIFF_B]);
	for (side = DIFF_A; side < DIFF_SIDES; side++)
		for (i = 0; i < d->q[side].vm->nr_slots && !err; i++) {
			const struct ms_vm *there = d->q[!side].vm;
			const struct ms_rec_slot *s = &d->q[side].vm->slots[i];
			const struct place at = { .d = d, .object = DIFF_O_SLOT, .id = id };

			if (ms_map_get(&map[side], slot_key(s)) != i)
				continue;
			snprintf(id, sizeof(id), "as%u:%d", s->as_id, s->id);
			found = ms_map_get(&map[!side], slot_key(s));
			if (found == MS_MAP_NONE && slot_passes(d, s) &&
			    !d->lacks[DIFF_O_SLOT][DIFF_L_UNSTABLE][!side])
				err = one_sided(&at, (enum diff_side)side, MS_SECRET_HVA, s->hva);
			else if (found != MS_MAP_NONE && side == DIFF_A &&
				 (slot_passes(d, s) || slot_passes(d, &there->slots[found])))
				err = slot(&at, s, &there->slots[found]);
		}
	ms_map_deinit(&map[DIFF_A]);
	ms_map_deinit(&map[DIFF_B]);
	return err;
}

struct ms_err *diff_members(struct diff *d)
{
	struct ms_err *err = NULL;

	if (d->q[DIFF_A].vm)
		d->same_vm = vm_is(d->q[DIFF_A].vm, d->q[DIFF_B].vm) &&
			     d->q[DIFF_A].model->host.hv == d->q[DIFF_B].model->host.hv &&
			     !strcmp(d->q[DIFF_A].model->host.release, d->q[DIFF_B].model->host.release);
	err = host(d);
	if (!err)
		err = vms(d);
	if (err || !d->q[DIFF_A].vm)
		return err;
	err = vm(d);
	if (!err)
		err = vcpus(d);
	if (!err)
		err = generations(d);
	return err ? err : slots(d);
}
