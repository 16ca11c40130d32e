// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The only stores of SPTEs: each one goes by here, is told as an event and counted, and says whether TLBs
 * must be flushed. Where a CPU or a lock-free fault may change the entry meanwhile, it is exchanged
 * atomically, so that no dirty or accessed bit is lost. It does not decide what value to store, and keeps
 * no reverse map but in nmmu_spte_drop().
 *
 * Sources: SEMANTICS E1, E2, B6; mmu.c:mmu_spte_update(), spte.c:spte_has_volatile_bits().
 */
#include "nmmu/private.h"

struct place {
	struct nmmu_sp *sp; /* NULL: an entry of no page (never for a leaf) */
	u32 index;
	u8 level;
};

static struct place place_of(struct nmmu *m, const u64 *sptep)
{
	struct place at = { .sp = nmmu_sp_of_spte(m, sptep), .level = 1 };

	if (at.sp) {
		at.index = (u32)(sptep - at.sp->spt);
		at.level = at.sp->role.level;
	}
	return at;
}

/* What the event says is mapped: a page, or a device's frame; ~0 for a table. */
static u64 event_gfn(struct nmmu *m, const struct place *at, u64 old_spte, u64 new_spte)
{
	const struct spte_profile *p = &m->profile;

	if (at->sp && (spte_is_leaf(p, new_spte, at->level) || spte_is_leaf(p, old_spte, at->level)))
		return nmmu_sp_gfn(at->sp, at->index);
	if (spte_is_mmio(p, new_spte))
		return spte_mmio_gfn(p, new_spte);
	if (spte_is_mmio(p, old_spte))
		return spte_mmio_gfn(p, old_spte);
	return NMMU_NO_GFN;
}

static void count_leaf(struct nmmu *m, const struct place *at, u64 spte, u64 delta)
{
	if (at->level <= SPTE_LEVEL_HUGE_MAX && spte_is_leaf(&m->profile, spte, at->level))
		nmmu_add64(&m->stats.pages[at->level - 1], delta);
}

/* After the store. */
static void stored(struct nmmu *m, const struct nmmu_vcpu *v, const struct place *at, u64 old_spte,
		   u64 new_spte, enum ms_cause cause)
{
	count_leaf(m, at, old_spte, (u64)-1);
	count_leaf(m, at, new_spte, 1);
	nmmu_event_for(m, v, cause, spte_set, .sp = at->sp ? at->sp->id : 0,
		       .gfn = event_gfn(m, at, old_spte, new_spte), .old_spte = old_spte,
		       .new_spte = new_spte, .index = (u16)at->index, .level = at->level,
		       .role = at->sp ? at->sp->role.word : MS_EV_NO_ROLE);
	nmmu_yield(m, NMMU_POINT_SPTE_STORED);
}

/*
 * E2: may the entry change without mmu_lock? W by a lock-free fault, R and X as well when access-tracked, A
 * and D by the CPU. Only leaves are asked about.
 */
static bool is_volatile(const struct spte_profile *p, u64 spte)
{
	if (!spte_is_writable(spte) && spte_is_mmu_writable(p, spte))
		return true;
	if (spte_is_access_tracked(p, spte))
		return true;
	if (spte_ad_kind(p, spte) == SPTE_AD_DISABLED)
		return false;
	if (p->m.accessed && !(spte & p->m.accessed))
		return true;
	return p->m.dirty && spte_is_writable(spte) && !(spte & p->m.dirty);
}

/* Replace what is there; returns it. */
static u64 replace(struct nmmu *m, const struct place *at, u64 *sptep, u64 new_spte)
{
	const struct spte_profile *p = &m->profile;
	u64 old_spte = nmmu_read64(sptep);

	nmmu_yield(m, NMMU_POINT_SPTE_READ);
	if (spte_is_leaf(p, old_spte, at->level) && is_volatile(p, old_spte))
		return nmmu_xchg64(sptep, new_spte);
	nmmu_write64(sptep, new_spte);
	return old_spte;
}

void nmmu_spte_init(struct nmmu *m, u64 *sptep, u64 new_spte, enum ms_cause cause)
{
	struct place at = place_of(m, sptep);
	u64 old_spte = nmmu_read64(sptep);

	nmmu_write64(sptep, new_spte);
	stored(m, m->at_work, &at, old_spte, new_spte, cause);
}

u64 nmmu_spte_update_no_track(struct nmmu *m, u64 *sptep, u64 new_spte, enum ms_cause cause)
{
	struct place at = place_of(m, sptep);
	u64 old_spte = replace(m, &at, sptep, new_spte);

	stored(m, m->at_work, &at, old_spte, new_spte, cause);
	return old_spte;
}

/*
 * E1. A leaf that was MMU-writable may be cached writable even if W is clear by now: protection for a dirty
 * log flushes late, so whoever takes W away for shadow paging must flush himself.
 */
static bool needs_flush(struct nmmu *m, u64 old_spte, u64 new_spte)
{
	const struct spte_profile *p = &m->profile;
	bool was_writable =
		nmmu_bug_on(m, NO_FLUSH) ? spte_is_writable(old_spte) : spte_is_mmu_writable(p, old_spte);

	if (was_writable && !spte_is_writable(new_spte))
		return true;
	if (spte_is_accessed(p, old_spte) && !spte_is_accessed(p, new_spte))
		return true;
	return spte_is_dirty(p, old_spte) && !spte_is_dirty(p, new_spte);
}

bool nmmu_spte_update(struct nmmu *m, u64 *sptep, u64 new_spte, enum ms_cause cause)
{
	u64 old_spte = nmmu_spte_update_no_track(m, sptep, new_spte, cause);

	return spte_is_mmu_present(&m->profile, old_spte) && needs_flush(m, old_spte, new_spte);
}

u64 nmmu_spte_clear(struct nmmu *m, u64 *sptep, enum ms_cause cause)
{
	struct place at = place_of(m, sptep);
	u64 old_spte = replace(m, &at, sptep, m->profile.nonpresent_value);

	stored(m, m->at_work, &at, old_spte, m->profile.nonpresent_value, cause);
	if (nmmu_mutant(m, PIN_BIT_62) && m->cfg.pins && old_spte & SPTE_BIT(62))
		m->ops->zap(m->host, at.sp->gfn, spte_pfn(&m->profile, old_spte), at.level);
	if (nmmu_mutant(m, PIN_Z_TABLE) && at.sp && at.level > 1 && nmmu_sp_is_pinned(at.sp, at.index))
		nmmu_write64(sptep, SPTE_BIT(11) | (old_spte & spte_pfn_mask(&m->profile)));
	if (nmmu_mutant(m, PIN_Z_RAW) && at.sp && nmmu_sp_is_pinned(at.sp, at.index))
		nmmu_write64(sptep, SPTE_BIT(62) | (old_spte & spte_pfn_mask(&m->profile)));
	if (at.sp && at.sp->nr_pinned)
		nmmu_pin_cleared(m, at.sp, at.index);
	return old_spte;
}

void nmmu_spte_drop(struct nmmu *m, u64 *sptep, enum ms_cause cause)
{
	struct place at = place_of(m, sptep);
	u64 old_spte = nmmu_spte_clear(m, sptep, cause);
	struct nmmu_rmap *head;

	if (!at.sp || !spte_is_leaf(&m->profile, old_spte, at.level))
		return;
	head = nmmu_rmap_of(m, at.sp, at.index);
	if (!head || nmmu_rmap_del(m, head, sptep))
		return;
	nmmu_event_for(m, m->at_work, cause, rmap_remove, .sp = at.sp->id,
		       .gfn = nmmu_sp_gfn(at.sp, at.index), .role = at.sp->role.word, .index = (u16)at.index);
}

u64 nmmu_spte_clear_bits(struct nmmu *m, u64 *sptep, u64 bits, enum ms_cause cause)
{
	struct place at = place_of(m, sptep);
	u64 old_spte = nmmu_read64(sptep);

	nmmu_yield(m, NMMU_POINT_SPTE_READ);
	while (!nmmu_cmpxchg64(sptep, old_spte, old_spte & ~bits))
		old_spte = nmmu_read64(sptep);
	stored(m, m->at_work, &at, old_spte, old_spte & ~bits, cause);
	return old_spte;
}

/*
 * The page may be unlinked and gone for all but this vCPU's flush to come, so nothing but the entry is
 * touched before the exchange has succeeded.
 */
bool nmmu_spte_try_update(struct nmmu_vcpu *v, u64 *sptep, u64 old_spte, u64 new_spte, enum ms_cause cause)
{
	struct nmmu *m = v->m;
	struct place at;

	if (nmmu_mutant(m, BLIND_STORE))
		nmmu_write64(sptep, new_spte);
	else if (!nmmu_cmpxchg64(sptep, old_spte, new_spte))
		return false;
	at = place_of(m, sptep);
	stored(m, v, &at, old_spte, new_spte, cause);
	return true;
}
