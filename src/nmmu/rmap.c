// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lists of SPTEs: one for each frame, level and slot (its leaves), and one for each shadow page (its
 * parents). Both kernels' shapes, since what they leave behind is seen by whoever reads such a list. Nothing
 * here stores an SPTE but through spte_set.c, and nothing but nmmu_rmap_recycle() flushes.
 *
 *	6.1:  head -> [1..14] -> [1..14] -> [1..14]   adds fill the first one that has room, a new one goes to the end;
 *	                                              removal backfills within its descriptor
 *	6.12: head -> [1..14] -> [14] -> [14]         adds fill the head, a new one becomes the head; removal backfills
 *	                                              from the head, so only the head is ever not full
 *
 * A list of one is the SPTE's address itself. Sources: SEMANTICS F "rmap head", "recycle";
 * mmu.c:pte_list_add(), pte_list_remove().
 */
#include "nmmu/private.h"

#define RMAP_MANY ((uintptr_t)1)

static struct nmmu_pte_desc *desc_of(struct nmmu_rmap head)
{
	return head.val & RMAP_MANY ? (struct nmmu_pte_desc *)(head.val & ~RMAP_MANY) : NULL;
}

static void set_desc(struct nmmu_rmap *head, struct nmmu_pte_desc *desc)
{
	head->val = desc ? (uintptr_t)desc | RMAP_MANY : 0;
}

/* The cache was filled before the lock was taken: it cannot be empty here (nmmu_cache_topup()). */
static struct nmmu_pte_desc *desc_take(struct nmmu_cache *cache)
{
	struct nmmu_pte_desc *desc = cache->descs[--cache->nr_descs];

	cache->descs[cache->nr_descs] = NULL;
	desc->more = NULL;
	desc->nr = 0;
	desc->tail_count = 0;
	return desc;
}

/* 6.12: into the head; a full head becomes a tail. */
static u32 add_head(struct nmmu_cache *cache, struct nmmu_rmap *head, u64 *sptep)
{
	struct nmmu_pte_desc *desc = desc_of(*head);
	u32 count = desc->tail_count + desc->nr;

	if (desc->nr == NMMU_PTE_LIST_EXT) {
		struct nmmu_pte_desc *first = desc_take(cache);

		first->more = desc;
		first->tail_count = count;
		set_desc(head, first);
		desc = first;
	}
	desc->sptes[desc->nr++] = sptep;
	return count;
}

/* 6.1: into the first that has room; what lies behind that is not counted. */
static u32 add_tail(struct nmmu_cache *cache, struct nmmu_rmap *head, u64 *sptep)
{
	struct nmmu_pte_desc *desc = desc_of(*head);
	u32 count = 0;

	while (desc->nr == NMMU_PTE_LIST_EXT) {
		count += NMMU_PTE_LIST_EXT;
		if (!desc->more)
			desc->more = desc_take(cache);
		desc = desc->more;
	}
	count += desc->nr;
	desc->sptes[desc->nr++] = sptep;
	return count;
}

u32 nmmu_rmap_add(struct nmmu *m, struct nmmu_cache *cache, struct nmmu_rmap *head, u64 *sptep)
{
	struct nmmu_pte_desc *desc;

	if (!head->val) {
		head->val = (uintptr_t)sptep;
		return 0;
	}
	if (nmmu_mutant(m, RMAP_AT_HEAD) && head->val & RMAP_MANY)
		return add_head(cache, head, sptep);
	if (nmmu_mutant(m, RMAP_AT_TAIL) && head->val & RMAP_MANY)
		return add_tail(cache, head, sptep);
	if (head->val & RMAP_MANY)
		return nmmu_is_6_12(m) ? add_head(cache, head, sptep) : add_tail(cache, head, sptep);

	desc = desc_take(cache);
	desc->sptes[0] = (u64 *)head->val;
	desc->sptes[1] = sptep;
	desc->nr = 2;
	set_desc(head, desc);
	return 1;
}

/* Entry i of desc goes; filler is the descriptor that gives its last entry, prev the one before it. */
static void remove_entry(struct nmmu *m, struct nmmu_rmap *head, struct nmmu_pte_desc *desc, u32 i,
			 struct nmmu_pte_desc *filler, struct nmmu_pte_desc *prev)
{
	u32 last = filler->nr - 1;

	desc->sptes[i] = filler->sptes[last];
	filler->sptes[last] = NULL;
	filler->nr = last;
	if (last)
		return;
	if (prev)
		prev->more = filler->more;
	else
		set_desc(head, filler->more);
	m->ops->free(m->host, filler);
}

int nmmu_rmap_del(struct nmmu *m, struct nmmu_rmap *head, u64 *sptep)
{
	struct nmmu_pte_desc *first = desc_of(*head), *desc, *prev = NULL;
	u32 i;

	if (!first) {
		if (!head->val || head->val != (uintptr_t)sptep)
			return -ENOENT;
		head->val = 0;
		return 0;
	}
	for (desc = first; desc; prev = desc, desc = desc->more) {
		for (i = 0; i < desc->nr; i++) {
			if (desc->sptes[i] != sptep)
				continue;
			if (nmmu_is_6_12(m))
				remove_entry(m, head, desc, i, first, NULL);
			else
				remove_entry(m, head, desc, i, desc, prev);
			return 0;
		}
	}
	return -ENOENT;
}

u32 nmmu_rmap_count(struct nmmu_rmap head)
{
	const struct nmmu_pte_desc *desc;
	u32 count = 0;

	if (!desc_of(head))
		return head.val ? 1 : 0;
	for (desc = desc_of(head); desc; desc = desc->more)
		count += desc->nr;
	return count;
}

u64 *nmmu_rmap_first(struct nmmu_rmap head, struct nmmu_rmap_iter *it)
{
	it->pos = 0;
	it->desc = desc_of(head);
	return it->desc ? it->desc->sptes[0] : (u64 *)head.val;
}

u64 *nmmu_rmap_next(struct nmmu_rmap_iter *it)
{
	if (!it->desc)
		return NULL;
	if (++it->pos == it->desc->nr) {
		it->pos = 0;
		it->desc = it->desc->more;
	}
	return it->desc ? it->desc->sptes[it->pos] : NULL;
}

void nmmu_rmap_each(struct nmmu_rmap rmap, bool (*visit)(void *ctx, u64 *sptep), void *ctx)
{
	struct nmmu_rmap_iter it;
	u64 *sptep;

	for (sptep = nmmu_rmap_first(rmap, &it); sptep; sptep = nmmu_rmap_next(&it))
		if (!visit(ctx, sptep))
			return;
}

struct nmmu_rmap *nmmu_rmap_of(struct nmmu *m, struct nmmu_sp *sp, u32 index)
{
	u64 gfn = nmmu_sp_gfn(sp, index);
	struct nmmu_slot *slot = nmmu_sp_slot(m, sp, gfn);

	return slot ? nmmu_slot_rmap(slot, gfn, sp->role.level) : NULL;
}

/* Of a leaf: its page and frame are still known. */
static void tell_removed(struct nmmu *m, u64 *sptep, enum ms_cause cause)
{
	const struct nmmu_sp *sp;

	if (!m->ops->event)
		return;
	sp = nmmu_sp_of_spte(m, sptep);
	if (sp)
		nmmu_event_for(m, m->at_work, cause, rmap_remove, .sp = sp->id,
			       .gfn = nmmu_sp_gfn(sp, (u32)(sptep - sp->spt)), .role = sp->role.word,
			       .index = (u16)(sptep - sp->spt));
}

static void zap_one(struct nmmu *m, u64 *sptep, enum ms_cause cause)
{
	nmmu_spte_clear(m, sptep, cause);
	tell_removed(m, sptep, cause);
}

bool nmmu_rmap_zap(struct nmmu *m, struct nmmu_rmap *head, enum ms_cause cause)
{
	struct nmmu_pte_desc *desc, *more;
	u32 i;

	if (!head->val)
		return false;
	desc = desc_of(*head);
	if (!desc)
		zap_one(m, (u64 *)head->val, cause);
	for (; desc; desc = more) {
		for (i = 0; i < desc->nr; i++)
			zap_one(m, desc->sptes[i], cause);
		more = desc->more;
		m->ops->free(m->host, desc);
	}
	head->val = 0;
	return true;
}

void nmmu_rmap_recycle(struct nmmu *m, struct nmmu_rmap *head)
{
	if (nmmu_rmap_zap(m, head, MS_CAUSE_RMAP_FULL))
		nmmu_flush_all(m, MS_CAUSE_RMAP_FULL, false);
}
