// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dirty logging: the bitmap of a slot, and what is done to SPTEs so that the next write is seen again. Which
 * bit goes is E.2's rule (need_wp): the D bit where the CPU logs by it, W everywhere else.
 *
 * Flushes for the log are deferred until after mmu_lock, for userspace must not see a log before them, and
 * nobody else relies on them (E.1). Write protection for shadow paging is flushed by its caller, under the
 * lock.
 */
#include "nmmu/private.h"

#define BITS_PER_WORD 64

static u64 nr_words(const struct nmmu_slot *slot)
{
	return (slot->nr_pages + BITS_PER_WORD - 1) / BITS_PER_WORD;
}

int nmmu_dirty_alloc(struct nmmu *m, struct nmmu_slot *slot)
{
	u64 words = nr_words(slot);
	struct nmmu_grave *mem = m->ops->alloc(m->host, sizeof(*mem) + words * sizeof(u64));
	u64 *dirty;

	if (!mem)
		return -ENOMEM;
	dirty = (u64 *)(mem + 1);
	if (m->log_mode & NMMU_LOG_INIT_SET) {
		for (u64 i = 0; i < words; i++)
			dirty[i] = ~0ULL;
		if (slot->nr_pages % BITS_PER_WORD)
			dirty[words - 1] >>= BITS_PER_WORD - slot->nr_pages % BITS_PER_WORD;
	}
	slot->dirty_mem = mem;
	slot->dirty = dirty;
	return 0;
}

static void mark(struct nmmu *m, struct nmmu_vcpu *v, struct nmmu_slot *slot, u64 gfn, enum ms_cause cause)
{
	u64 *dirty, index, bit;

	if (!slot)
		return;
	dirty = slot->dirty;
	index = gfn - slot->base_gfn;
	if (!dirty || index >= slot->nr_pages)
		return;
	bit = 1ULL << index % BITS_PER_WORD;
	if (nmmu_read64(&dirty[index / BITS_PER_WORD]) & bit ||
	    nmmu_fetch_or64(&dirty[index / BITS_PER_WORD], bit) & bit)
		return;
	nmmu_add64(&m->stats.dirtied, 1);
	nmmu_event_for(m, v, cause, dirty, .gfn = gfn, .slot = slot->id);
}

void nmmu_mark_dirty(struct nmmu *m, struct nmmu_vcpu *v, struct nmmu_slot *slot, u64 gfn)
{
	mark(m, v, slot, gfn, MS_CAUSE_NONE);
}

void nmmu_mark_written(struct nmmu *m, struct nmmu_vcpu *v, struct nmmu_slot *slot, u64 gfn)
{
	mark(m, v, slot, gfn, MS_CAUSE_HOST_WRITE);
}

/* After mmu_lock is dropped and before userspace sees the log. */
static void log_flush(struct nmmu *m, enum ms_cause cause)
{
	if (!nmmu_mutant(m, LOG_NO_FLUSH))
		nmmu_flush_all(m, cause, true);
}

/* --- one reverse map --- */

static void tell_protected(struct nmmu *m, u64 gfn, u32 nr, enum ms_cause cause)
{
	if (nr)
		nmmu_event_for(m, m->at_work, cause, wp, .gfn = gfn, .sptes = (u16)nr);
}

/* W goes, and M too when it is for shadow paging. Returns SPTEs changed. */
static u32 protect_rmap(struct nmmu *m, struct nmmu_rmap head, bool for_log, enum ms_cause cause, bool *flush)
{
	const struct spte_profile *p = &m->profile;
	struct nmmu_rmap_iter it;
	u32 nr = 0;

	for (u64 *sptep = nmmu_rmap_first(head, &it); sptep; sptep = nmmu_rmap_next(&it)) {
		u64 spte = nmmu_read64(sptep);
		u64 new_spte = spte & ~SPTE_HW_W;

		if (!for_log)
			new_spte &= ~p->m.mmu_writable;
		if (new_spte == spte)
			continue;
		*flush |= nmmu_spte_update(m, sptep, new_spte, cause);
		nr++;
	}
	return nr;
}

/*
 * E.2: D where the CPU logs by it; W, atomically and with D left alone, where it does not (A/D kinds disabled
 * and wrprot-only). Returns SPTEs that lost W.
 */
static u32 clear_dirty_rmap(struct nmmu *m, struct nmmu_rmap head, enum ms_cause cause)
{
	const struct spte_profile *p = &m->profile;
	struct nmmu_rmap_iter it;
	u32 nr = 0;

	for (u64 *sptep = nmmu_rmap_first(head, &it); sptep; sptep = nmmu_rmap_next(&it)) {
		u64 spte = nmmu_read64(sptep);

		if (spte_ad_kind(p, spte) == SPTE_AD_ENABLED) {
			if (spte & p->m.dirty)
				nmmu_spte_update(m, sptep, spte & ~p->m.dirty, cause);
		} else if (spte_is_writable(spte)) {
			nmmu_spte_clear_bits(m, sptep,
					     SPTE_HW_W | (nmmu_mutant(m, WRPROT_CLEARS_D) ? p->m.dirty : 0),
					     cause);
			nr++;
		}
		if (nmmu_mutant(m, LOG_ONE_OF_LIST))
			break;
	}
	return nr;
}

u32 nmmu_gfn_write_protect(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, u32 min_level, bool for_log,
			   enum ms_cause cause, bool *flush_ret)
{
	bool flush = false;
	u32 nr = 0;

	for (u32 level = min_level; level <= SPTE_LEVEL_HUGE_MAX; level++)
		nr += protect_rmap(m, *nmmu_slot_rmap(slot, gfn, level), for_log, cause, &flush);
	if (flush)
		*flush_ret = true;
	tell_protected(m, gfn, nr, cause);
	return nr;
}

/* --- a whole slot (E6) --- */

static u64 level_gfn(const struct nmmu_slot *slot, u32 level, u64 index)
{
	u64 gfn = ((slot->base_gfn >> (9 * (level - 1))) + index) << (9 * (level - 1));

	return gfn < slot->base_gfn ? slot->base_gfn : gfn;
}

void nmmu_log_started(struct nmmu *m, struct nmmu_slot *slot)
{
	bool flush = false;

	/* All pages count as dirty: protected when CLEAR_DIRTY_LOG reaches them. */
	if (m->log_mode & NMMU_LOG_INIT_SET)
		return;
	nmmu_lock(m);
	for (u32 level = 1; level <= SPTE_LEVEL_HUGE_MAX; level++) {
		u64 nr = nmmu_nr_lpages(slot, level);

		for (u64 i = 0; i < nr; i++) {
			struct nmmu_rmap head = slot->rmap[level - 1][i];
			u32 changed;

			if (!head.val)
				continue;
			if (m->cfg.pml && level == 1)
				changed = clear_dirty_rmap(m, head, MS_CAUSE_LOG_ENABLE);
			else
				changed = protect_rmap(m, head, true, MS_CAUSE_LOG_ENABLE, &flush);
			tell_protected(m, level_gfn(slot, level, i), changed, MS_CAUSE_LOG_ENABLE);
		}
	}
	nmmu_unlock(m);
	/* Whatever the SPTEs said: one may have lost W before, without a flush. */
	nmmu_flush_all(m, MS_CAUSE_LOG_ENABLE, true);
}

/* Could the page of this leaf be mapped by a larger one? Only where no guest table decides the size. */
static bool is_collapsible(struct nmmu *m, struct nmmu_slot *slot, const struct nmmu_sp *sp)
{
	const struct nmmu_ops *ops = m->ops;
	struct nmmu_pfn pfn;
	u64 hva;

	if (!sp || !sp->role.direct || sp->gfn - slot->base_gfn >= slot->nr_pages)
		return false;
	if (sp->role.level >= nmmu_max_level(m, slot, sp->gfn, SPTE_LEVEL_HUGE_MAX, SPTE_LEVEL_HUGE_MAX))
		return false;
	/* Under mmu_lock, and about what is there: nothing is faulted in for it. */
	hva = nmmu_slot_hva(slot, sp->gfn);
	if (ops->hva_to_pfn_fast ? ops->hva_to_pfn_fast(m->host, hva, &pfn)
				 : ops->hva_to_pfn(m->host, hva, false, &pfn))
		return false;
	return pfn.level > sp->role.level;
}

static bool collapse_rmap(struct nmmu *m, struct nmmu_slot *slot, struct nmmu_rmap *head)
{
	struct nmmu_rmap_iter it;
	bool zapped = false;
	u64 *sptep;

restart:
	for (sptep = nmmu_rmap_first(*head, &it); sptep; sptep = nmmu_rmap_next(&it)) {
		struct nmmu_sp *sp = nmmu_sp_of_spte(m, sptep);

		if (!is_collapsible(m, slot, sp))
			continue;
		if (sp->nr_pinned && nmmu_sp_is_pinned(sp, (u32)(sptep - sp->spt)))
			continue;
		nmmu_spte_drop(m, sptep, MS_CAUSE_LOG_DISABLE);
		zapped = true;
		goto restart;
	}
	return zapped;
}

void nmmu_log_stopped(struct nmmu *m, struct nmmu_slot *slot)
{
	bool flush = false;

	if (nmmu_mutant(m, NO_COLLAPSE))
		return;
	nmmu_lock(m);
	for (u32 level = 1; level < SPTE_LEVEL_HUGE_MAX; level++) {
		u64 nr = nmmu_nr_lpages(slot, level);

		for (u64 i = 0; i < nr; i++)
			if (slot->rmap[level - 1][i].val)
				flush |= collapse_rmap(m, slot, &slot->rmap[level - 1][i]);
	}
	if (flush)
		nmmu_flush_all(m, MS_CAUSE_LOG_DISABLE, false);
	nmmu_unlock(m);
}

/* --- the ioctls --- */

int nmmu_log_mode(struct nmmu *m, u32 mode)
{
	if (mode & ~(NMMU_LOG_MANUAL | NMMU_LOG_INIT_SET) || mode == NMMU_LOG_INIT_SET)
		return -EINVAL;
	if (m->nr_log_slots)
		return -EBUSY;
	m->log_mode = mode;
	return 0;
}

/* -EINVAL, or -ENOENT when there is no such slot or it does not log. */
static int find_log(struct nmmu *m, u16 as_id, u16 id, struct nmmu_slot **slot_ret)
{
	struct nmmu_slot *slot;

	if (as_id >= NMMU_NR_AS)
		return -EINVAL;
	slot = nmmu_slot_by_id(m, as_id, id);
	if (!slot || !slot->dirty)
		return -ENOENT;
	*slot_ret = slot;
	return 0;
}

/* Pages of mask (bit 0: first_gfn, not 0) must be seen when they are written next. */
static void protect_masked(struct nmmu *m, struct nmmu_slot *slot, u64 first_gfn, u64 mask,
			   enum ms_cause cause)
{
	u64 first = first_gfn + (u64)__builtin_ctzll(mask);
	u64 last = first_gfn + 63 - (u64)__builtin_clzll(mask);
	bool flush = false; /* the caller flushes anyway */

	/*
	 * Large leaves are still there in this mode. Without M, a write must take the slow path, which maps
	 * 4K. The mask may lie across two of them.
	 */
	if (m->log_mode & NMMU_LOG_INIT_SET) {
		bool keep_m = nmmu_mutant(m, CLEAR_KEEPS_M);

		nmmu_gfn_write_protect(m, slot, first, 2, keep_m, cause, &flush);
		if (first >> 9 != last >> 9)
			nmmu_gfn_write_protect(m, slot, last, 2, keep_m, cause, &flush);
	}
	for (; mask; mask &= mask - 1) {
		u64 gfn = first_gfn + (u64)__builtin_ctzll(mask);
		struct nmmu_rmap head = *nmmu_slot_rmap(slot, gfn, 1);
		u32 changed;

		if (m->cfg.pml)
			changed = clear_dirty_rmap(m, head, cause);
		else
			changed = protect_rmap(m, head, true, cause, &flush);
		tell_protected(m, gfn, changed, cause);
	}
}

static void tell_read(struct nmmu *m, const struct nmmu_slot *slot, bool kept)
{
	nmmu_event_for(m, NULL, MS_CAUSE_LOG_READ, log_read, .slot = slot->id, .as_id = slot->as_id,
		       .kept = kept);
}

int nmmu_log_get(struct nmmu *m, u16 as_id, u16 id, u64 *bitmap_ret)
{
	struct nmmu_slot *slot;
	bool any = false;
	u64 words;
	int err;

	err = find_log(m, as_id, id, &slot);
	if (err)
		return err;
	words = nr_words(slot);
	if (m->log_mode & NMMU_LOG_MANUAL) {
		for (u64 i = 0; i < words; i++)
			bitmap_ret[i] = nmmu_read64(&slot->dirty[i]);
		tell_read(m, slot, true);
		return 0;
	}
	nmmu_lock(m);
	for (u64 i = 0; i < words; i++) {
		bitmap_ret[i] = 0;
		if (!nmmu_read64(&slot->dirty[i]))
			continue;
		any = true;
		bitmap_ret[i] = nmmu_xchg64(&slot->dirty[i], 0);
		nmmu_yield(m, NMMU_POINT_CLEAR_DIRTY);
		protect_masked(m, slot, slot->base_gfn + i * BITS_PER_WORD, bitmap_ret[i], MS_CAUSE_LOG_READ);
	}
	nmmu_unlock(m);
	if (any)
		log_flush(m, MS_CAUSE_LOG_READ);
	tell_read(m, slot, false);
	return 0;
}

int nmmu_log_clear(struct nmmu *m, u16 as_id, u16 id, u64 first, u64 nr, const u64 *bitmap)
{
	struct nmmu_slot *slot;
	bool any = false;
	int err;

	if (first % BITS_PER_WORD)
		return -EINVAL;
	err = find_log(m, as_id, id, &slot);
	if (err)
		return err;
	if (first > slot->nr_pages || nr > slot->nr_pages - first ||
	    (nr < slot->nr_pages - first && nr % BITS_PER_WORD))
		return -EINVAL;
	nmmu_lock(m);
	for (u64 i = 0; i < (nr + BITS_PER_WORD - 1) / BITS_PER_WORD; i++) {
		u64 *word = &slot->dirty[first / BITS_PER_WORD + i];
		u64 mask = nmmu_read64(&bitmap[i]);

		if (!mask)
			continue;
		/* Those that were set: none lies behind the end of the slot, whatever the caller says. */
		mask &= nmmu_fetch_and64(word, ~mask);
		if (!mask)
			continue;
		any = true;
		nmmu_yield(m, NMMU_POINT_CLEAR_DIRTY);
		protect_masked(m, slot, slot->base_gfn + first + i * BITS_PER_WORD, mask, MS_CAUSE_LOG_CLEAR);
	}
	nmmu_unlock(m);
	if (any)
		log_flush(m, MS_CAUSE_LOG_CLEAR);
	nmmu_event_for(m, NULL, MS_CAUSE_LOG_CLEAR, log_clear, .slot = slot->id, .as_id = slot->as_id,
		       .gfn = slot->base_gfn + first, .pages = nr);
	return 0;
}
