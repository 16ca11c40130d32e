/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory made up for the walkers: see fakemem.h. */
#include "fakemem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Offsets of our own choosing: the walkers may not know any. */
enum {
	OFF_VM_LEGACY = 0x100,
	OFF_VM_TDP = 0x140,
	OFF_VM_LOCK = 0x180,
	OFF_VM_LAST = 0x800,
	OFF_SP_LINK = 8,
	OFF_SP_ROLE = 0x24,
	OFF_SP_GFN = 0x28,
	OFF_SP_SPT = 0x38,
	OFF_SP_TRANS = 0x40,
	OFF_SP_PARENTS = 0x58,
	OFF_SP_TDP = 0x20,
	OFF_SP_UNSYNC = 0x21,
	OFF_SP_ROOT_COUNT = 0x60,
};

static void field(struct fakemem *fm, enum ms_field_id id, u32 off, u32 size)
{
	fm->layout.f[id] = (struct ms_field){
		.off = off, .size = size, .elem_size = size, .nr_elems = 1, .present = true
	};
}

u64 fm_kvm(u32 vm)
{
	return FM_VM_BASE + vm * FM_VM_STRIDE;
}

u64 fm_legacy_head(u32 vm)
{
	return fm_kvm(vm) + OFF_VM_LEGACY;
}

u64 fm_tdp_head(u32 vm)
{
	return fm_kvm(vm) + OFF_VM_TDP;
}

u64 fm_sp(u32 n)
{
	return FM_PAGE_OFFSET + 4096 + n * FM_SP_BYTES;
}

u64 fm_table(u32 n)
{
	return FM_PAGE_OFFSET + (128 + n) * 4096ull;
}

u64 fm_trans(u32 n)
{
	return FM_PAGE_OFFSET + (320 + n) * 4096ull;
}

/* NULL: nothing is mapped there. */
static u8 *at(struct fakemem *fm, u64 addr, u64 len)
{
	u32 vm;

	if (addr >= FM_PAGE_OFFSET && addr + len <= FM_PAGE_OFFSET + FM_PAGES * 4096ull)
		return fm->phys + (addr - FM_PAGE_OFFSET);
	if (addr >= FM_VMEMMAP && addr + len <= FM_VMEMMAP + FM_PAGES * 64ull)
		return fm->vmemmap + (addr - FM_VMEMMAP);
	for (vm = 0; vm < FM_NR_VMS; vm++)
		if (addr >= fm_kvm(vm) && addr + len <= fm_kvm(vm) + sizeof(fm->vm[vm]))
			return fm->vm[vm] + (addr - fm_kvm(vm));
	return NULL;
}

u64 fm_get(struct fakemem *fm, u64 addr)
{
	u64 value;
	u8 *p = at(fm, addr, 8);

	assert(p);
	memcpy(&value, p, 8);
	return value;
}

void fm_set(struct fakemem *fm, u64 addr, u64 value)
{
	u8 *p = at(fm, addr, 8);

	assert(p);
	memcpy(p, &value, 8);
}

static void op(struct fakemem *fm)
{
	fm->nr_ops++;
	if (fm->hook)
		fm->hook(fm, fm->hook_ctx);
}

static struct ms_err *fm_read(struct ms_kmem *kmem, struct ms_kread *reqs, size_t nr)
{
	struct fakemem *fm = kmem->priv;
	size_t i;

	for (i = 0; i < nr; i++) {
		u8 *p;

		op(fm);
		if (!ms_kmem_may_read(kmem, reqs[i].addr, reqs[i].len)) {
			fm->nr_refused++;
			reqs[i].status = -EFAULT;
			continue;
		}
		p = at(fm, reqs[i].addr, reqs[i].len);
		reqs[i].status = p ? 0 : -EFAULT;
		if (p)
			memcpy(reqs[i].dst, p, reqs[i].len);
	}
	return NULL;
}

static struct ms_err *fm_chase(struct ms_kmem *kmem, struct ms_chase_args *a, u64 *nodes)
{
	struct fakemem *fm = kmem->priv;

	a->nr = 0;
	for (a->end = MS_CHASE_MAX; a->nr < a->max;) {
		u8 *p;

		op(fm);
		if (a->cur == a->stop)
			break;
		if (a->cur < a->lo || a->cur >= a->hi) {
			a->end = MS_CHASE_RANGE;
			return NULL;
		}
		p = at(fm, a->cur + a->next_off, 8);
		if (!p) {
			a->end = MS_CHASE_FAULT;
			return NULL;
		}
		nodes[a->nr++] = a->cur;
		memcpy(&a->cur, p, 8);
	}
	if (a->cur == a->stop)
		a->end = MS_CHASE_STOP;
	return NULL;
}

static struct ms_err *fm_alive(struct ms_kmem *kmem, u64 kvm, bool *ret)
{
	*ret = !((struct fakemem *)kmem->priv)->vm_dead;
	return NULL;
}

static void list_init(struct fakemem *fm, u64 head)
{
	fm_set(fm, head, head);
	fm_set(fm, head + 8, head);
}

void fm_init(struct fakemem *fm)
{
	u32 vm;

	memset(fm, 0, sizeof(*fm));
	fm->phys = calloc(FM_PAGES, 4096);
	fm->vmemmap = calloc(FM_PAGES, 64);
	assert(fm->phys && fm->vmemmap);
	fm->kmem = (struct ms_kmem){ .layout = &fm->layout,
				     .page_offset = FM_PAGE_OFFSET,
				     .vmemmap = FM_VMEMMAP,
				     .max_pfn = FM_PAGES,
				     .buffer_pages = 16,
				     .read = fm_read,
				     .chase = fm_chase,
				     .alive = fm_alive,
				     .priv = fm };
	fm->layout.type_size[MS_T_page] = 64;
	fm->layout.type_size[MS_T_kvm_mmu_page] = FM_SP_BYTES;
	field(fm, MS_F_page_private, 40, 8);
	field(fm, MS_F_kvm_active_mmu_pages, OFF_VM_LEGACY, 16);
	field(fm, MS_F_kvm_tdp_mmu_roots, OFF_VM_TDP, 16);
	field(fm, MS_F_kvm_mmu_lock_writer, OFF_VM_LOCK, 1);
	field(fm, MS_F_sp_link, OFF_SP_LINK, 16);
	field(fm, MS_F_sp_role, OFF_SP_ROLE, 4);
	field(fm, MS_F_sp_gfn, OFF_SP_GFN, 8);
	field(fm, MS_F_sp_spt, OFF_SP_SPT, 8);
	field(fm, MS_F_sp_shadowed_translation, OFF_SP_TRANS, 8);
	field(fm, MS_F_sp_parent_ptes, OFF_SP_PARENTS, 8);
	field(fm, MS_F_sp_ptep, OFF_SP_PARENTS, 8);
	field(fm, MS_F_sp_tdp_mmu_page, OFF_SP_TDP, 1);
	field(fm, MS_F_sp_unsync, OFF_SP_UNSYNC, 1);
	field(fm, MS_F_sp_root_count, OFF_SP_ROOT_COUNT, 4);
	fm->layout.nr_role = 1;
	fm->layout.role[0] = (struct ms_role_bit){ .name = "level", .bit = 0, .width = 4 };
	for (vm = 0; vm < FM_NR_VMS; vm++) {
		list_init(fm, fm_legacy_head(vm));
		list_init(fm, fm_tdp_head(vm));
	}
	fm->kmem.vm_lo = fm_kvm(0);
	fm->kmem.vm_hi = fm_kvm(0) + OFF_VM_LAST;
}

void fm_deinit(struct fakemem *fm)
{
	free(fm->phys);
	free(fm->vmemmap);
}

static void list_add(struct fakemem *fm, u64 head, u64 node)
{
	u64 first = fm_get(fm, head);

	fm_set(fm, node, first);
	fm_set(fm, node + 8, head);
	fm_set(fm, first + 8, node);
	fm_set(fm, head, node);
}

static void page_init(struct fakemem *fm, u32 n, u64 gfn, u32 role)
{
	u64 sp = fm_sp(n);
	u32 i;

	for (i = 0; i < FM_SP_BYTES; i += 8)
		fm_set(fm, sp + i, 0);
	fm_set(fm, sp + OFF_SP_GFN, gfn);
	memcpy(at(fm, sp + OFF_SP_ROLE, 4), &role, 4);
	fm_set(fm, sp + OFF_SP_SPT, fm_table(n));
	fm_set(fm, FM_VMEMMAP + (128 + n) * 64ull + 40, sp);
}

void fm_legacy_add(struct fakemem *fm, u32 vm, u32 n, u64 gfn, u32 role, u64 spte)
{
	u32 i;

	page_init(fm, n, gfn, role);
	fm_set(fm, fm_sp(n) + OFF_SP_TRANS, fm_trans(n));
	for (i = 0; i < MS_SPTES; i++) {
		fm_set(fm, fm_table(n) + 8 * i, spte);
		fm_set(fm, fm_trans(n) + 8 * i, gfn << 12 | 7);
	}
	list_add(fm, fm_legacy_head(vm), fm_sp(n) + OFF_SP_LINK);
}

void fm_link(struct fakemem *fm, u32 parent, u32 idx, u32 n)
{
	fm_set(fm, fm_table(parent) + 8 * idx, (fm_table(n) - FM_PAGE_OFFSET) | 0x807);
	fm_set(fm, fm_sp(n) + OFF_SP_PARENTS, fm_table(parent) + 8 * idx);
}

void fm_parents(struct fakemem *fm, u32 n, u64 word)
{
	fm_set(fm, fm_sp(n) + OFF_SP_PARENTS, word);
}

void fm_lock(struct fakemem *fm, u32 vm, bool writer)
{
	fm_set(fm, fm_kvm(vm) + OFF_VM_LOCK, writer ? 0xff : 0);
}

void fm_legacy_free(struct fakemem *fm, u32 n)
{
	u64 node = fm_sp(n) + OFF_SP_LINK, next = fm_get(fm, node), prev = fm_get(fm, node + 8);

	fm_set(fm, prev, next);
	fm_set(fm, next + 8, prev);
	fm_set(fm, node, FM_LIST_POISON1);
	fm_set(fm, node + 8, FM_LIST_POISON2);
}

void fm_tdp_add(struct fakemem *fm, u32 vm, u32 n, u64 gfn, u32 level, u32 parent, u32 idx)
{
	u64 entry;
	u32 i;

	page_init(fm, n, gfn, level);
	*at(fm, fm_sp(n) + OFF_SP_TDP, 1) = 1;
	for (i = 0; i < MS_SPTES; i++)
		fm_set(fm, fm_table(n) + 8 * i, 0);
	if (parent == FM_ROOT) {
		list_add(fm, fm_tdp_head(vm), fm_sp(n) + OFF_SP_LINK);
		return;
	}
	entry = fm_table(parent) + 8ull * idx;
	fm_set(fm, fm_sp(n) + OFF_SP_PARENTS, entry);
	fm_set(fm, entry, (128 + n) * 4096ull | 1ull << 11 | 7);
}
