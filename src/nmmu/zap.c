// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How shadow pages go. Zapping is done in two steps: a page is taken out of everything and put on an
 * `invalid' list; then TLBs are flushed once and the list is freed. A page that is some vCPU's root cannot be
 * freed yet: it is marked invalid, taken off active_pages, and goes with its last reference.
 *
 * Sources: SEMANTICS F "zap", "obsolete", "recycling", "parent_ptes"; mmu.c:__kvm_mmu_prepare_zap_page(),
 * kvm_mmu_zap_oldest_mmu_pages(), kvm_zap_obsolete_pages().
 */
#include "nmmu/private.h"

#define SPTES 512u
#define MIN_FREE_PAGES 5u /* KVM_MIN_FREE_MMU_PAGES */
#define REFILL_PAGES 25u /* KVM_REFILL_PAGES */
#define ZAP_BATCH 10u /* BATCH_ZAP_PAGES */

static u32 zap_page(struct nmmu *m, struct nmmu_sp *sp, struct nmmu_link *invalid, enum ms_cause cause,
		    bool *others_ret);

static void unlink_parent(struct nmmu *m, struct nmmu_sp *sp, u64 *parent, enum ms_cause cause)
{
	nmmu_rmap_del(m, &sp->parents, parent);
	nmmu_spte_clear(m, parent, cause);
}

/* Returns pages zapped below; *present_ret: there was something that TLBs may hold. */
static u32 zap_entry(struct nmmu *m, struct nmmu_sp *sp, u32 index, struct nmmu_link *invalid,
		     enum ms_cause cause, bool *present_ret)
{
	u64 *sptep = &sp->spt[index];
	u64 spte = nmmu_read64(sptep);
	struct nmmu_sp *child;

	*present_ret = spte_is_mmu_present(&m->profile, spte);
	if (!*present_ret) {
		if (spte_is_mmio(&m->profile, spte))
			nmmu_spte_clear(m, sptep, cause);
		return 0;
	}
	if (spte_is_leaf(&m->profile, spte, sp->role.level)) {
		nmmu_spte_drop(m, sptep, cause);
		return 0;
	}
	child = nmmu_sp_by_pa(m, spte_pfn(&m->profile, spte) << NMMU_PAGE_SHIFT);
	if (!child) {
		nmmu_spte_clear(m, sptep, cause);
		return 0;
	}
	unlink_parent(m, child, sptep, cause);
	/* An orphan of nested TDP is hardly ever wanted again: L1 gives each L2 tables of its own. */
	if (m->cfg.tdp && invalid && child->role.guest_mode && !child->root_count && !child->parents.val)
		/* However many that were, KVM counts them as one, and so goes on when it makes room. */
		return zap_page(m, child, invalid, cause, NULL) ? 1 : 0;
	return 0;
}

/* What is unsync below goes too: nobody else would sync it before it is found again. */
static u32 zap_unsync_children(struct nmmu *m, struct nmmu_sp *sp, struct nmmu_link *invalid,
			       enum ms_cause cause)
{
	struct nmmu_sp *unsync[NMMU_UNSYNC_BATCH];
	u32 nr, i, zapped = 0;

	if (sp->role.level == 1)
		return 0;
	while ((nr = nmmu_collect_unsync(m, sp, unsync, NMMU_UNSYNC_BATCH))) {
		for (i = 0; i < nr; i++)
			zap_page(m, unsync[i], invalid, cause, NULL);
		zapped += nr;
	}
	return zapped;
}

/*
 * Returns pages zapped, this one included when it is on the list now. *others_ret (may be NULL): some of them
 * were others, so that a walk of active_pages must start again. Recursion follows the levels down.
 */
static u32 zap_page(struct nmmu *m, struct nmmu_sp *sp, struct nmmu_link *invalid, enum ms_cause cause,
		    bool *others_ret)
{
	bool was_valid = !sp->role.invalid, tell = false, leaves = false, present;
	struct nmmu_rmap_iter it;
	u64 *parent;
	u32 i, zapped;

	m->stats.sp_zapped++;
	nmmu_event_for(m, m->at_work, cause, sp_zap, .sp = sp->id, .gfn = sp->gfn, .role = sp->role.word);
	zapped = zap_unsync_children(m, sp, invalid, cause);
	for (i = 0; i < SPTES; i++) {
		leaves |= spte_is_leaf(&m->profile, nmmu_read64(&sp->spt[i]), sp->role.level);
		zapped += zap_entry(m, sp, i, invalid, cause, &present);
	}
	while ((parent = nmmu_rmap_first(sp->parents, &it)))
		unlink_parent(m, sp, parent, cause);
	if (others_ret)
		*others_ret = zapped;

	if (was_valid)
		nmmu_sp_unaccount(m, sp);
	sp->unsync = false;
	/* A root zapped before is on no list. */
	nmmu_link_del(&sp->link);
	if (!sp->root_count) {
		zapped++;
		nmmu_link_add(&sp->link, invalid);
		m->nr_used--;
	} else {
		/* Obsolete roots are being dropped already. */
		tell = !nmmu_sp_is_obsolete(m, sp);
	}
	if (sp->nx_disallowed)
		nmmu_nx_unaccount(m, sp);
	sp->role.invalid = 1;
	/* Only now, or a vCPU might look and find its root still good. */
	if (tell)
		nmmu_request_all(m, NMMU_REQ_FREE_OBSOLETE);
	/*
	 * The list may end up empty, and then nobody flushes. KVM's request for new roots throws vCPUs out of
	 * the guest; ours is seen at their next entry only.
	 */
	if (sp->root_count && leaves)
		nmmu_flush_all(m, cause, false);
	return zapped;
}

bool nmmu_sp_zap_entry(struct nmmu *m, struct nmmu_sp *sp, u32 index, struct nmmu_link *invalid,
		       enum ms_cause cause)
{
	bool present;

	zap_entry(m, sp, index, invalid, cause, &present);
	return present;
}

bool nmmu_sp_prepare_zap(struct nmmu *m, struct nmmu_sp *sp, struct nmmu_link *invalid, enum ms_cause cause)
{
	return zap_page(m, sp, invalid, cause, NULL);
}

void nmmu_sp_commit_zap(struct nmmu *m, struct nmmu_link *invalid, enum ms_cause cause)
{
	struct nmmu_link *link;
	u8 was;

	if (nmmu_link_empty(invalid))
		return;
	was = nmmu_cause_begin(m, cause);
	for (link = invalid->next; link != invalid; link = link->next)
		nmmu_sp_unhash(m, nmmu_container(link, struct nmmu_sp, link));
	/* No CPU walks these pages once it returns. */
	nmmu_flush_all(m, cause, false);
	while (!nmmu_link_empty(invalid)) {
		link = invalid->next;
		nmmu_link_del(link);
		nmmu_link_add(link, &m->deferred);
	}
	nmmu_sp_free_deferred(m);
	nmmu_cause_end(m, was);
}

void nmmu_sp_free_deferred(struct nmmu *m)
{
	/*
	 * The last of them comes here again. Adds nothing: it is to be read after the pages left the hashes.
	 */
	if (nmmu_add64(&m->lockless_walkers, 0))
		return;
	while (!nmmu_link_empty(&m->deferred))
		nmmu_sp_free(m, nmmu_container(m->deferred.next, struct nmmu_sp, link));
}

/* --- making room (F "recycling") --- */

static u32 zap_oldest(struct nmmu *m, u32 nr_wanted)
{
	struct nmmu_link *link, *newer, invalid;
	u32 zapped = 0;
	bool others;

	nmmu_link_init(&invalid);
	for (link = m->active_pages.prev; link != &m->active_pages && zapped < nr_wanted; link = newer) {
		struct nmmu_sp *sp = nmmu_container(link, struct nmmu_sp, link);

		newer = link->prev;
		/* A root could not be freed, and its vCPU would only make it anew. */
		if (sp->root_count)
			continue;
		/* A pinned page is never taken from its guest to make room (G). */
		if (m->nr_pins && nmmu_sp_has_pins(m, sp) && !nmmu_mutant(m, PIN_RECYCLED))
			continue;
		zapped += zap_page(m, sp, &invalid, MS_CAUSE_RECYCLE, &others);
		if (others)
			newer = m->active_pages.prev;
	}
	nmmu_sp_commit_zap(m, &invalid, MS_CAUSE_RECYCLE);
	m->stats.sp_recycled += zapped;
	if (zapped)
		nmmu_event_for(m, m->at_work, MS_CAUSE_RECYCLE, recycle, .pages = zapped);
	return zapped;
}

static u32 pages_available(const struct nmmu *m)
{
	return m->nr_max > m->nr_used ? m->nr_max - m->nr_used : 0;
}

int nmmu_make_room(struct nmmu *m)
{
	u32 available = pages_available(m);

	if (!m->nr_max || available >= MIN_FREE_PAGES)
		return 0;
	zap_oldest(m, REFILL_PAGES - available);
	/* Soft, as KVM's: one page is promised, and a fault may take a few more. */
	return pages_available(m) ? 0 : -ENOSPC;
}

void nmmu_set_max_pages(struct nmmu *m, u32 max_pages)
{
	nmmu_slots_enter(m);
	nmmu_lock(m);
	if (max_pages && m->nr_used > max_pages) {
		zap_oldest(m, m->nr_used - max_pages);
		/* As KVM does: what could not go, or went as well, moves the limit. */
		if (m->nr_used)
			max_pages = m->nr_used;
	}
	m->nr_max = max_pages;
	nmmu_unlock(m);
	nmmu_slots_leave(m);
}

/* --- everything --- */

static void zap_obsolete(struct nmmu *m, struct nmmu_link *invalid, enum ms_cause cause)
{
	struct nmmu_link *link, *newer;
	bool others;

	for (link = m->active_pages.prev; link != &m->active_pages; link = newer) {
		struct nmmu_sp *sp = nmmu_container(link, struct nmmu_sp, link);

		newer = link->prev;
		if (!nmmu_sp_is_obsolete(m, sp))
			break;
		zap_page(m, sp, invalid, cause, &others);
		if (others)
			newer = m->active_pages.prev;
	}
}

void nmmu_zap_all_locked(struct nmmu *m, enum ms_cause cause)
{
	struct nmmu_link *link, *newer, invalid;
	u32 batch = 0;
	bool others;

	nmmu_link_init(&invalid);
	/*
	 * The generation has two values. Pages that another call has made obsolete and not zapped yet, for it
	 * is between two batches, would be valid again. (KVM's callers exclude each other by slots_lock.)
	 */
	zap_obsolete(m, &invalid, cause);
	m->valid_gen = !m->valid_gen;
	nmmu_event_for(m, m->at_work, cause, zap_all, .gen = m->valid_gen);
	/* In the same critical section: a vCPU that purges its root later must not miss the flush. */
	nmmu_request_all(m, NMMU_REQ_FREE_OBSOLETE);
	for (link = m->active_pages.prev; link != &m->active_pages; link = newer) {
		struct nmmu_sp *sp = nmmu_container(link, struct nmmu_sp, link);

		newer = link->prev;
		/* New pages are added at the other end: behind the first one there is nothing old. */
		if (!nmmu_sp_is_obsolete(m, sp))
			break;
		if (batch >= ZAP_BATCH) {
			batch = 0;
			/*
			 * What was zapped is in no reverse map any more: who comes now would see no need to
			 * flush it.
			 */
			nmmu_flush_all(m, cause, false);
			nmmu_unlock(m);
			nmmu_lock(m);
			newer = m->active_pages.prev;
			continue;
		}
		batch += zap_page(m, sp, &invalid, cause, &others);
		if (others)
			newer = m->active_pages.prev;
	}
	nmmu_sp_commit_zap(m, &invalid, cause);
}

void nmmu_zap_all_for(struct nmmu *m, enum ms_cause cause)
{
	nmmu_slots_enter(m);
	nmmu_lock(m);
	nmmu_zap_all_locked(m, cause);
	nmmu_unlock(m);
	nmmu_slots_leave(m);
}

void nmmu_zap_all(struct nmmu *m)
{
	nmmu_zap_all_for(m, MS_CAUSE_SLOT);
}

/* --- by gfn --- */

bool nmmu_zap_gfn_range(struct nmmu *m, struct nmmu_slot *slot, u64 first, u64 end, enum ms_cause cause)
{
	u64 slot_end = slot->base_gfn + slot->nr_pages;
	bool flush = false;
	u32 level;
	u64 gfn;

	if (first < slot->base_gfn)
		first = slot->base_gfn;
	if (end > slot_end)
		end = slot_end;
	for (level = 1; level <= SPTE_LEVEL_HUGE_MAX; level++)
		for (gfn = first; gfn < end; gfn = (gfn | (nmmu_level_pages(level) - 1)) + 1)
			flush |= nmmu_rmap_zap(m, nmmu_slot_rmap(slot, gfn, level), cause);
	return flush;
}

bool nmmu_unprotect_gfn(struct nmmu *m, u64 gfn)
{
	struct nmmu_link invalid;
	struct nmmu_sp *sp;
	bool some;

	nmmu_link_init(&invalid);
	for (sp = nmmu_hash_first(m, gfn); sp; sp = nmmu_hash_next(sp))
		if (!nmmu_sp_is_obsolete(m, sp) && nmmu_sp_has_gptes(sp))
			nmmu_sp_prepare_zap(m, sp, &invalid, MS_CAUSE_UNPROTECT);
	some = !nmmu_link_empty(&invalid);
	nmmu_sp_commit_zap(m, &invalid, MS_CAUSE_UNPROTECT);
	return some;
}
