// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is done to shadow tables without mmu_lock: walking them, and mending a leaf that was protected only
 * to see a write or an access (E.1: DL->RW, AT->present). Direct MMUs only: in others the gfn of an entry
 * is not stable.
 *
 * A walker may have read an entry whose page is zapped before it is done. Pages are therefore not freed
 * while there are walkers (nmmu_lockless_begin()); what it finds in such a page is empty, so its exchange
 * fails.
 *
 * Sources: SEMANTICS E.1, E.2, D.1; mmu.c:fast_page_fault(), walk_shadow_page_lockless_begin().
 */
#include "nmmu/private.h"

#define FAST_TRIES 4

/* The entry of addr in the page at pa, or an end: there is no such page. */
static void iter_at(struct nmmu_vcpu *v, struct nmmu_shadow_iter *it, u64 pa)
{
	struct nmmu_sp *sp = it->level ? nmmu_sp_by_pa(v->m, pa) : NULL;

	it->sp = sp;
	it->index = it->level ? (it->addr >> (NMMU_PAGE_SHIFT + 9 * (it->level - 1))) & 511 : 0;
	it->sptep = sp ? &sp->spt[it->index] : NULL;
}

void nmmu_shadow_first(struct nmmu_vcpu *v, u64 addr, struct nmmu_shadow_iter *it)
{
	const struct nmmu_mmu *mmu = v->mmu;
	u64 pa = mmu->root.hpa;

	it->addr = addr;
	it->level = mmu->root_role.level;
	/* C.3 cases 1-3: the tables above the four of the PAE root are nobody's shadow pages. */
	if (it->level >= 4 && mmu->cpu_role.base.level < 4 && !mmu->root_role.direct)
		it->level = 3;
	if (it->level == 3) {
		const u64 *pae_root = mmu->pae_root.va;

		pa = pae_root ? pae_root[addr >> 30 & 3] : 0;
		it->level = pa ? 2 : 0;
		pa &= spte_pfn_mask(&v->m->profile);
	}
	iter_at(v, it, pa);
}

void nmmu_shadow_next(struct nmmu_vcpu *v, struct nmmu_shadow_iter *it, u64 spte)
{
	const struct spte_profile *p = &v->m->profile;

	if (!spte_is_mmu_present(p, spte) || spte_is_leaf(p, spte, it->level)) {
		it->sptep = NULL;
		return;
	}
	it->level--;
	iter_at(v, it, spte & spte_pfn_mask(p));
}

void nmmu_lockless_begin(struct nmmu_vcpu *v)
{
	nmmu_add64(&v->m->lockless_walkers, 1);
}

void nmmu_lockless_end(struct nmmu_vcpu *v)
{
	struct nmmu *m = v->m;

	if (nmmu_add64(&m->lockless_walkers, (u64)-1) || nmmu_link_empty(&m->deferred))
		return;
	nmmu_lock_vcpu(v);
	nmmu_sp_free_deferred(m);
	nmmu_unlock(m);
}

static bool can_be_fast(const struct nmmu *m, const struct nmmu_fault *fault)
{
	/* A stale MMIO entry needs a new one. */
	if (fault->rsvd)
		return false;
	/* Not present to the CPU: access-tracked, or nothing there. */
	if (!fault->present)
		return !m->profile.m.accessed;
	return fault->write;
}

static bool access_allowed(const struct spte_profile *p, const struct nmmu_fault *fault, u64 spte)
{
	if (fault->fetch)
		return spte_is_executable(p, spte);
	if (fault->write)
		return spte_is_writable(spte);
	return spte_is_readable(p, spte);
}

static u64 last_spte(struct nmmu_vcpu *v, u64 addr, struct nmmu_shadow_iter *last_ret)
{
	struct nmmu_shadow_iter it;
	u64 spte = 0;

	last_ret->sptep = NULL;
	last_ret->level = 0;
	for (nmmu_shadow_first(v, addr, &it); it.sptep; nmmu_shadow_next(v, &it, spte)) {
		spte = nmmu_read64(it.sptep);
		*last_ret = it;
	}
	return spte;
}

/* What would make the access go on; the same value when this path cannot. */
static u64 mended(struct nmmu_vcpu *v, const struct nmmu_fault *fault, u32 level, u64 spte)
{
	const struct spte_profile *p = &v->m->profile;
	u64 new_spte = spte;

	if (!p->m.accessed && spte_is_access_tracked(p, spte))
		new_spte = nmmu_spte_restore_tracked(v->m, new_spte) |
			   (nmmu_mutant(v->m, FAST_RESTORES_W) ? SPTE_HW_W : 0);
	if (fault->write && spte_is_mmu_writable(p, spte)) {
		/* Only one page would be marked, and all of them could be written. */
		if (level > 1 && nmmu_slot_logs(fault->slot))
			return spte;
		new_spte |= SPTE_HW_W;
	}
	return access_allowed(p, fault, new_spte) ? new_spte : spte;
}

/* What the last try met, for the event. */
struct fast_tried {
	u64 old_spte, new_spte;
	bool again; /* the entry was changed by somebody else */
};

static int try_once(struct nmmu_vcpu *v, struct nmmu_fault *fault, struct fast_tried *tried)
{
	struct nmmu *m = v->m;
	const struct spte_profile *p = &m->profile;
	struct nmmu_shadow_iter it;
	u64 spte = last_spte(v, fault->addr, &it);
	u64 new_spte;

	tried->old_spte = tried->new_spte = spte;
	tried->again = false;
	nmmu_yield(m, NMMU_POINT_FAST_READ);
	if (!it.sptep || !spte_is_leaf(p, spte, it.level))
		return NMMU_RET_INVALID;
	if (access_allowed(p, fault, spte))
		return NMMU_RET_SPURIOUS;
	new_spte = mended(v, fault, it.level, spte);
	if (new_spte == spte)
		return NMMU_RET_INVALID;
	if (nmmu_mutant(m, FAST_MARK_FIRST) && spte_is_writable(new_spte)) {
		nmmu_mark_dirty(m, v, fault->slot, fault->gfn);
		nmmu_yield(m, NMMU_POINT_FAST_CMPXCHG);
	}
	if (!nmmu_spte_try_update(v, it.sptep, spte, new_spte, MS_CAUSE_FAST_FAULT)) {
		tried->again = true;
		return NMMU_RET_INVALID;
	}
	tried->new_spte = new_spte;
	nmmu_yield(m, NMMU_POINT_FAST_CMPXCHG);
	/*
	 * Marked last. The other way round, a log read between the two would take the bit and find nothing
	 * to protect, the exchange would still succeed, and the writes after it would be seen by nobody.
	 */
	if (spte_is_writable(new_spte) && !spte_is_writable(spte) && !nmmu_mutant(m, FAST_MARK_FIRST))
		nmmu_mark_dirty(m, v, fault->slot, fault->gfn);
	nmmu_yield(m, NMMU_POINT_FAST_DONE);
	return NMMU_RET_FIXED;
}

int nmmu_fast_fault(struct nmmu_vcpu *v, struct nmmu_fault *fault)
{
	struct nmmu *m = v->m;
	struct fast_tried tried = { .again = true };
	int ret = NMMU_RET_INVALID;
	u8 was;
	u32 i;

	if (!can_be_fast(m, fault))
		return ret;
	was = nmmu_vcpu_begin(v, MS_CAUSE_FAST_FAULT);
	nmmu_lockless_begin(v);
	for (i = 0; tried.again && i <= FAST_TRIES; i++)
		ret = try_once(v, fault, &tried);
	nmmu_lockless_end(v);
	nmmu_event(m, v, fast_fault, .addr = fault->addr, .gfn = fault->gfn, .old_spte = tried.old_spte,
		   .new_spte = tried.new_spte, .ret = (u8)ret);
	v->cause = was;
	if (ret != NMMU_RET_INVALID) {
		fault->fast = true;
		nmmu_add64(&m->stats.fast, 1);
	}
	return ret;
}
