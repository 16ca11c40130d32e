// SPDX-License-Identifier: GPL-2.0-or-later
/* See nmmu_box.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmu_box.h"

#define PAGE 4096u

/* --- the host --- */

static bool runs_out(struct box *b)
{
	assert_false(b->locked); /* nothing is allocated under mmu_lock */
	b->allocs++;
	return b->fail_from && b->allocs >= b->fail_from;
}

static int host_page_alloc(void *host, struct nmmu_page *ret)
{
	struct box *b = host;

	if (runs_out(b))
		return -ENOMEM;
	ret->va = aligned_alloc(PAGE, PAGE);
	assert_non_null(ret->va);
	memset(ret->va, 0, PAGE);
	/* Host-physical addresses are made up, and not those of the memory that guests see. */
	ret->pa = 0x4000000000ULL | ((uintptr_t)ret->va & 0x3ffffff000ULL);
	b->live++;
	return 0;
}

static void host_page_free(void *host, struct nmmu_page page)
{
	((struct box *)host)->live--;
	free(page.va);
}

static void *host_alloc(void *host, size_t bytes)
{
	struct box *b = host;
	void *p = runs_out(b) ? NULL : calloc(1, bytes);

	b->live += p != NULL;
	return p;
}

static void host_free(void *host, void *p)
{
	((struct box *)host)->live -= p != NULL;
	free(p);
}

static u8 *host_at(struct box *b, u64 hva, u32 len)
{
	if (hva < BOX_HVA || hva - BOX_HVA + len > (u64)BOX_PAGES * PAGE)
		return NULL;
	return b->mem + (hva - BOX_HVA);
}

static int host_hva_to_pfn(void *host, u64 hva, bool write, struct nmmu_pfn *ret)
{
	struct box *b = host;

	if (!host_at(b, hva, 1))
		return -EFAULT;
	*ret = (struct nmmu_pfn){ .pfn = BOX_PFN + ((hva - BOX_HVA) >> 12),
				  .level = b->host_level,
				  .writable = true };
	return 0;
}

static int host_read(void *host, u64 hva, void *dst, u32 len)
{
	u8 *p = host_at(host, hva, len);

	if (!p)
		return -EFAULT;
	memcpy(dst, p, len);
	return 0;
}

static int host_write(void *host, u64 hva, const void *src, u32 len)
{
	u8 *p = host_at(host, hva, len);

	if (!p)
		return -EFAULT;
	memcpy(p, src, len);
	return 0;
}

static int host_cmpxchg(void *host, u64 hva, u64 old, u64 new_value, u32 bytes)
{
	u8 *p = host_at(host, hva, bytes);
	u64 now = 0;

	if (!p)
		return -EFAULT;
	memcpy(&now, p, bytes);
	if (now != old)
		return -EAGAIN;
	memcpy(p, &new_value, bytes);
	return 0;
}

static void host_flush(void *host, struct nmmu_vcpu *v)
{
	((struct box *)host)->flushes++;
}

static void host_event(void *host, const struct ms_event *event)
{
	struct box *b = host;

	b->events[event->id]++;
	b->last[event->id] = *event;
	if (b->on_event)
		b->on_event(b, event);
}

static void host_lock(void *host)
{
	struct box *b = host;

	assert_false(b->locked);
	b->locked = true;
}

static void host_unlock(void *host)
{
	struct box *b = host;

	assert_true(b->locked);
	b->locked = false;
}

static void host_yield(void *host, enum nmmu_point point)
{
	struct box *b = host;

	if (b->on_yield)
		b->on_yield(b, point);
}

static const struct nmmu_ops box_ops = {
	.page_alloc = host_page_alloc,
	.page_free = host_page_free,
	.alloc = host_alloc,
	.free = host_free,
	.hva_to_pfn = host_hva_to_pfn,
	.read = host_read,
	.write = host_write,
	.cmpxchg = host_cmpxchg,
	.flush = host_flush,
	.event = host_event,
	.lock = host_lock,
	.unlock = host_unlock,
	.yield = host_yield,
};

/* --- the machine --- */

struct nmmu_config box_config(enum nmmu_kernel kernel)
{
	return (struct nmmu_config){
		.hv = MS_HV_VMX,
		.kernel = kernel,
		.tdp = true,
		.ad = true,
		.gbpages = true,
		.mmio_caching = true,
		.phys_bits = 46,
		.guest_phys_bits = 46,
	};
}

void box_init(struct box *b, const struct nmmu_config *cfg)
{
	memset(b, 0, sizeof(*b));
	b->mem = calloc(BOX_PAGES, PAGE);
	assert_non_null(b->mem);
	b->next_table = BOX_FIRST_TABLE;
	b->host_level = 1;
	assert_int_equal(nmmu_create(cfg, &box_ops, b, &b->m), 0);
	assert_int_equal(nmmu_slot_set(b->m, 0, 1, 0, BOX_PAGES, BOX_HVA, 0), 0);
	assert_int_equal(nmmu_vcpu_create(b->m, &b->v), 0);
}

void box_deinit(struct box *b)
{
	b->fail_from = 0;
	b->on_event = NULL;
	b->on_yield = NULL;
	nmmu_destroy(b->m);
	assert_int_equal(b->live, 0);
	free(b->mem);
}

void box_check_at(struct box *b, const char *file, int line)
{
	const struct nmmu_sp *sp = NULL;
	const char *text = "";
	u32 row = nmmu_self_check(b->m, &text, &sp);

	if (!row)
		return;
	print_error("H %u: %s (gfn %llx, role %x)\n", row, text, sp ? (unsigned long long)sp->gfn : 0,
		    sp ? sp->role.word : 0);
	_fail(file, line);
}

u64 box_get(const struct box *b, u64 gpa)
{
	u64 value;

	memcpy(&value, b->mem + gpa, sizeof(value));
	return value;
}

void box_set(struct box *b, u64 gpa, u64 value)
{
	memcpy(b->mem + gpa, &value, sizeof(value));
}

void box_set32(struct box *b, u64 gpa, u32 value)
{
	memcpy(b->mem + gpa, &value, sizeof(value));
}

u64 box_table(struct box *b)
{
	return b->next_table++;
}

u64 box_map(struct box *b, u64 root, u32 top, u64 addr, u64 gpa, u32 level, u64 leaf, u64 table)
{
	u64 gfn = root, entry_gpa;
	u32 at;

	for (at = top;; at--) {
		entry_gpa = (gfn << 12) + (addr >> (12 + 9 * (at - 1)) & 511) * 8;
		if (at == level)
			break;
		if (!box_get(b, entry_gpa))
			box_set(b, entry_gpa, box_table(b) << 12 | table);
		gfn = (box_get(b, entry_gpa) & 0xffffffffff000ULL) >> 12;
	}
	box_set(b, entry_gpa, gpa | leaf);
	return entry_gpa;
}

void box_long_mode(struct box *b, u64 cr3)
{
	struct nmmu_regs regs = {
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = cr3,
		.cr4 = CR4_PAE,
		.efer = EFER_LME | EFER_NX,
	};

	assert_int_equal(nmmu_set_regs(b->v, &regs), 0);
}

void box_enter(struct box *b, enum nmmu_nested_kind kind, u64 root)
{
	struct nmmu_nested nested = {
		.kind = kind,
		.root = root,
		.l2 = { .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr4 = CR4_PAE, .efer = EFER_LME | EFER_NX },
	};

	assert_int_equal(nmmu_nested_enter(b->v, &nested), 0);
}

void box_load(struct box *b)
{
	struct nmmu_entry entry;

	assert_int_equal(nmmu_vcpu_load(b->v, &entry), 0);
	box_check(b);
}

int box_fault(struct box *b, u64 addr, u64 error)
{
	struct nmmu_result result = { 0 };
	int ret, tries = 0;

	do {
		box_load(b);
		ret = nmmu_page_fault(b->v, addr, error, &result);
		box_check(b);
		assert_true(++tries < 10);
	} while (ret == NMMU_RET_RETRY);
	return ret;
}

/* --- the shadow --- */

struct nmmu_sp *box_sp(struct box *b, u64 gfn, u32 level)
{
	struct nmmu_sp *sp;

	for (sp = nmmu_hash_first(b->m, gfn); sp; sp = nmmu_hash_next(sp))
		if (!nmmu_sp_is_obsolete(b->m, sp) && sp->role.level == level && !sp->role.direct)
			return sp;
	return NULL;
}

u64 *box_spte(struct box *b, u64 addr, u32 level)
{
	const struct spte_profile *p = &b->m->profile;
	struct nmmu_sp *sp = nmmu_root_sp(b->v, b->v->mmu, b->v->mmu->root.hpa, addr);

	while (sp) {
		u64 *sptep = &sp->spt[addr >> (12 + 9 * (sp->role.level - 1)) & 511];

		if (sp->role.level == level)
			return sptep;
		if (!spte_is_mmu_present(p, *sptep) || spte_is_leaf(p, *sptep, sp->role.level))
			return NULL;
		sp = nmmu_sp_by_pa(b->m, *sptep & spte_pfn_mask(p));
	}
	return NULL;
}

static bool count_one(void *ctx, const struct nmmu_sp *sp)
{
	++*(u32 *)ctx;
	return true;
}

u32 box_nr_pages(struct box *b)
{
	u32 nr = 0;

	nmmu_for_each_sp(b->m, count_one, &nr);
	return nr;
}

/* --- L2 on EPT12 --- */

bool box_is_present(struct box *b, const u64 *sptep)
{
	return sptep && spte_is_mmu_present(&b->m->profile, *sptep);
}

u64 box_pfn_at(struct box *b, u64 addr)
{
	u64 *sptep = box_spte(b, addr, 1);

	return box_is_present(b, sptep) ? spte_pfn(&b->m->profile, *sptep) : 0;
}

u64 box_pfn_of(u64 gpa)
{
	return BOX_PFN + (gpa >> 12);
}

struct nmmu_sp *box_page_of(struct box *b, u64 addr, u32 level)
{
	return nmmu_sp_of_spte(b->m, box_spte(b, addr, level));
}

void box_start_l2(struct box *b, enum nmmu_kernel kernel, u64 *root_ret)
{
	struct nmmu_config cfg = box_config(kernel);

	box_init(b, &cfg);
	*root_ret = box_table(b);
	box_long_mode(b, 0);
	box_enter(b, NMMU_NESTED_EPT, *root_ret << 12 | EPTP);
}

void box_map_l2(struct box *b, u64 root, u64 ngpa, u64 gpa)
{
	box_map(b, root, 4, ngpa, gpa, 1, EPT_RWX, EPT_TABLE);
	assert_int_equal(box_fault(b, ngpa, NMMU_PF_U), NMMU_RET_FIXED);
	assert_int_equal(box_pfn_at(b, ngpa), box_pfn_of(gpa));
}

void box_leave(struct box *b)
{
	nmmu_nested_leave(b->v, NULL);
	box_check(b);
}

bool box_l1_write(struct box *b, u64 gpa, u64 value)
{
	int ret = box_fault(b, gpa, NMMU_PF_W | NMMU_PF_P);

	box_set(b, gpa, value);
	if (ret != NMMU_RET_EMULATE)
		return false;
	nmmu_pt_write(b->v, gpa, value, 8);
	box_check(b);
	return true;
}
