// SPDX-License-Identifier: GPL-2.0-or-later
/* See nmmuhost.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmuhost.h"

static bool fails(struct host *h)
{
	return h->fail_in && !--h->fail_in;
}

static int page_alloc(void *host, struct nmmu_page *ret)
{
	struct host *h = host;

	assert_false(h->locked);
	if (fails(h))
		return -ENOMEM;
	ret->va = aligned_alloc(4096, 4096);
	assert_non_null(ret->va);
	memset(ret->va, 0, 4096);
	ret->pa = (u64)(uintptr_t)ret->va & SPTE_BITS(38, 12);
	h->live++;
	return 0;
}

static void page_free(void *host, struct nmmu_page page)
{
	struct host *h = host;

	h->live--;
	free(page.va);
}

static void *alloc(void *host, size_t bytes)
{
	struct host *h = host;
	void *p;

	assert_false(h->locked);
	if (fails(h))
		return NULL;
	p = calloc(1, bytes);
	assert_non_null(p);
	h->live++;
	return p;
}

static void free_it(void *host, void *p)
{
	struct host *h = host;

	h->live--;
	free(p);
}

static bool hva_ok(u64 hva, u64 len)
{
	return hva >= HOST_HVA && hva - HOST_HVA + len <= (u64)HOST_PAGES * 4096;
}

static int hva_to_pfn(void *host, u64 hva, bool write, struct nmmu_pfn *ret)
{
	struct host *h = host;

	/* It may have to wait for the page. */
	assert_false(h->locked);
	if (!hva_ok(hva, 1) || (write && h->readonly))
		return -EFAULT;
	*ret = (struct nmmu_pfn){ .pfn = HOST_PFN + h->moved + ((hva - HOST_HVA) >> 12),
				  .level = h->level,
				  .writable = !h->readonly };
	return 0;
}

static int hva_to_pfn_fast(void *host, u64 hva, struct nmmu_pfn *ret)
{
	struct host *h = host;

	if (!hva_ok(hva, 1) || h->readonly)
		return -EFAULT;
	*ret = (struct nmmu_pfn){ .pfn = HOST_PFN + ((hva - HOST_HVA) >> 12),
				  .level = h->level,
				  .writable = true };
	return 0;
}

static int read_mem(void *host, u64 hva, void *dst, u32 len)
{
	struct host *h = host;

	if (!hva_ok(hva, len))
		return -EFAULT;
	memcpy(dst, h->mem + (hva - HOST_HVA), len);
	return 0;
}

static int write_mem(void *host, u64 hva, const void *src, u32 len)
{
	struct host *h = host;

	if (!hva_ok(hva, len) || h->readonly)
		return -EFAULT;
	memcpy(h->mem + (hva - HOST_HVA), src, len);
	return 0;
}

static int cmpxchg(void *host, u64 hva, u64 old, u64 new_value, u32 bytes)
{
	struct host *h = host;

	if (!hva_ok(hva, bytes) || h->readonly)
		return -EFAULT;
	if (memcmp(h->mem + (hva - HOST_HVA), &old, bytes))
		return -EAGAIN;
	memcpy(h->mem + (hva - HOST_HVA), &new_value, bytes);
	return 0;
}

static void flush(void *host, struct nmmu_vcpu *vcpu)
{
	struct host *h = host;

	(void)vcpu;
	h->flushes++;
	h->flush_locked = h->locked;
}

static void event(void *host, const struct ms_event *ev)
{
	struct host *h = host;

	h->events[ev->id]++;
	h->last[ev->id] = *ev;
}

static void lock(void *host)
{
	struct host *h = host;

	assert_false(h->locked);
	h->locked = true;
	h->locks++;
}

static void unlock(void *host)
{
	struct host *h = host;

	assert_true(h->locked);
	h->locked = false;
}

static void yield(void *host, enum nmmu_point point)
{
	struct host *h = host;

	if (h->on_yield)
		h->on_yield(h, point);
}

static void pin_called(struct host *h, u32 which, u64 gfn, u64 pfn, u8 level)
{
	assert_true(h->locked);
	h->pin_calls[which]++;
	h->pin_gfn = gfn;
	h->pin_pfn = pfn;
	h->pin_level = level;
}

static bool pin(void *host, u64 gfn, u64 pfn, u8 level)
{
	struct host *h = host;

	if (h->pin_refuse && !--h->pin_refuse)
		return false;
	pin_called(h, 0, gfn, pfn, level);
	h->pinned_pages += nmmu_level_pages(level);
	return true;
}

static void unpin(void *host, u64 gfn, u64 pfn, u8 level)
{
	struct host *h = host;

	pin_called(h, 1, gfn, pfn, level);
	h->pinned_pages -= nmmu_level_pages(level);
}

static void zap(void *host, u64 gfn, u64 pfn, u8 level)
{
	pin_called(host, 2, gfn, pfn, level);
}

static void unzap(void *host, u64 gfn, u64 pfn, u8 level)
{
	pin_called(host, 3, gfn, pfn, level);
}

static const struct nmmu_ops ops = {
	.pin = pin,
	.unpin = unpin,
	.zap = zap,
	.unzap = unzap,
	.page_alloc = page_alloc,
	.page_free = page_free,
	.alloc = alloc,
	.free = free_it,
	.hva_to_pfn = hva_to_pfn,
	.hva_to_pfn_fast = hva_to_pfn_fast,
	.read = read_mem,
	.write = write_mem,
	.cmpxchg = cmpxchg,
	.flush = flush,
	.event = event,
	.lock = lock,
	.unlock = unlock,
	.yield = yield,
};

struct nmmu_config host_config(bool pml)
{
	return (struct nmmu_config){
		.hv = MS_HV_VMX,
		.kernel = NMMU_6_12,
		.tdp = true,
		.ad = true,
		.pml = pml,
		.gbpages = true,
		.mmio_caching = true,
		.phys_bits = 46,
		.guest_phys_bits = 46,
	};
}

void host_init(struct host *h, const struct nmmu_config *cfg)
{
	struct nmmu_config normal = host_config(false);

	memset(h, 0, sizeof(*h));
	h->level = 1;
	h->mem = calloc(HOST_PAGES, 4096);
	assert_non_null(h->mem);
	assert_int_equal(nmmu_create(cfg ? cfg : &normal, &ops, h, &h->m), 0);
	h->v.m = h->m;
}

void host_deinit(struct host *h)
{
	h->on_yield = NULL;
	nmmu_cache_free(h->m, &h->v.cache);
	nmmu_destroy(h->m);
	assert_int_equal(h->live, 0);
	free(h->mem);
}

struct nmmu_sp *host_sp(struct host *h, u64 gfn, union nmmu_role role)
{
	struct nmmu_sp *sp;

	assert_int_equal(nmmu_cache_topup(&h->v, true), 0);
	nmmu_lock(h->m);
	sp = nmmu_sp_get(&h->v, gfn, role);
	nmmu_unlock(h->m);
	assert_non_null(sp);
	return sp;
}

u64 *host_map(struct host *h, struct nmmu_slot *slot, struct nmmu_sp *sp, u32 index, u64 gfn, u64 leaf)
{
	u64 pfn = HOST_PFN + ((nmmu_slot_hva(slot, gfn) - HOST_HVA) >> 12);
	u64 *sptep = &sp->spt[index];

	assert_int_equal(nmmu_cache_topup(&h->v, true), 0);
	nmmu_lock(h->m);
	nmmu_spte_init(h->m, sptep, leaf | pfn << 12, MS_CAUSE_FAULT);
	nmmu_sp_set_translation(h->m, sp, index, gfn, NMMU_ACC_ALL);
	nmmu_rmap_add(h->m, &h->v.cache, nmmu_slot_rmap(slot, gfn, sp->role.level), sptep);
	nmmu_unlock(h->m);
	return sptep;
}

u64 host_leaf(struct host *h, u32 level, enum spte_ad_kind kind, u32 what)
{
	const struct spte_profile *p = &h->m->profile;
	u64 leaf = p->mmu_present | p->m.present | p->m.user | p->m.x | (u64)kind << p->ad_shift;

	if (p->format == SPTE_FMT_EPT)
		leaf |= SPTE_EPT_R | 6 << SPTE_EPT_MT_SHIFT;
	if (level > 1)
		leaf |= SPTE_HW_HUGE;
	if (what & (HOST_W | HOST_DL))
		leaf |= p->m.host_writable | p->m.mmu_writable;
	if (what & HOST_W)
		leaf |= SPTE_HW_W;
	if (what & HOST_A)
		leaf |= p->m.accessed;
	if (what & HOST_D)
		leaf |= p->m.dirty;
	return leaf;
}
