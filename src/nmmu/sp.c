// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow pages: how they are found, made, accounted and linked. A page is 512 SPTEs for (gfn, role.word); see
 * SEMANTICS A3, C.3, C3 and F. How they go is zap.c, how they lag behind the guest's tables unsync.c.
 *
 * Memory comes from the vCPU's cache, filled before mmu_lock is taken, so that nothing below can fail half
 * way.
 */
#include "nmmu/private.h"

/*
 * One fault builds at most a page for each level, and a leaf with its prefetched neighbours (KVM's numbers).
 */
#define TOPUP_PAGES 5
#define TOPUP_DESCS (1 + 5 + 8)

#define SPTES 512u

/* --- the cache --- */

static void fill_nonpresent(const struct nmmu *m, u64 *spt)
{
	if (m->profile.nonpresent_value)
		nmmu_fill64(spt, m->profile.nonpresent_value, SPTES);
}

static void *alloc_one(struct nmmu *m, size_t bytes)
{
	return m->ops->alloc(m->host, bytes);
}

static int topup_descs(struct nmmu *m, struct nmmu_cache *c)
{
	while (c->nr_descs < NMMU_CACHE_DESCS) {
		struct nmmu_pte_desc *desc = alloc_one(m, sizeof(*desc));

		if (!desc)
			break;
		c->descs[c->nr_descs++] = desc;
	}
	return c->nr_descs < TOPUP_DESCS ? -ENOMEM : 0;
}

static int topup_pages(struct nmmu *m, struct nmmu_cache *c)
{
	while (c->nr_pages < NMMU_CACHE_PAGES) {
		struct nmmu_page page;

		if (m->ops->page_alloc(m->host, &page))
			break;
		fill_nonpresent(m, page.va);
		c->pages[c->nr_pages++] = page;
	}
	return c->nr_pages < TOPUP_PAGES ? -ENOMEM : 0;
}

static int topup_trans(struct nmmu *m, struct nmmu_cache *c)
{
	while (c->nr_trans < NMMU_CACHE_PAGES) {
		u64 *trans = alloc_one(m, SPTES * sizeof(*trans));

		if (!trans)
			break;
		c->trans[c->nr_trans++] = trans;
	}
	return c->nr_trans < TOPUP_PAGES ? -ENOMEM : 0;
}

static int topup_sps(struct nmmu *m, struct nmmu_cache *c)
{
	while (c->nr_sp < NMMU_CACHE_PAGES) {
		struct nmmu_sp *sp = alloc_one(m, sizeof(*sp));

		if (!sp)
			break;
		c->sp[c->nr_sp++] = sp;
	}
	return c->nr_sp < TOPUP_PAGES ? -ENOMEM : 0;
}

int nmmu_cache_topup(struct nmmu_vcpu *v, bool indirect)
{
	struct nmmu_cache *c = &v->cache;
	int err = 0;

	nmmu_index_grow(v->m);
	if (c->nr_descs < TOPUP_DESCS)
		err = topup_descs(v->m, c);
	if (!err && c->nr_pages < TOPUP_PAGES)
		err = topup_pages(v->m, c);
	if (!err && indirect && c->nr_trans < TOPUP_PAGES)
		err = topup_trans(v->m, c);
	if (!err && c->nr_sp < TOPUP_PAGES)
		err = topup_sps(v->m, c);
	return err;
}

void nmmu_cache_free(struct nmmu *m, struct nmmu_cache *cache)
{
	while (cache->nr_descs)
		m->ops->free(m->host, cache->descs[--cache->nr_descs]);
	while (cache->nr_pages)
		m->ops->page_free(m->host, cache->pages[--cache->nr_pages]);
	while (cache->nr_trans)
		m->ops->free(m->host, cache->trans[--cache->nr_trans]);
	while (cache->nr_sp)
		m->ops->free(m->host, cache->sp[--cache->nr_sp]);
}

/* --- finding --- */

void nmmu_for_each_sp(const struct nmmu *m, bool (*visit)(void *ctx, const struct nmmu_sp *sp), void *ctx)
{
	const struct nmmu_link *link, *next;

	for (link = m->active_pages.next; link != &m->active_pages; link = next) {
		next = link->next;
		if (!visit(ctx, nmmu_container(link, struct nmmu_sp, link)))
			return;
	}
}

/* --- what a page says --- */

bool nmmu_sp_is_obsolete(const struct nmmu *m, const struct nmmu_sp *sp)
{
	return sp->role.invalid || sp->gen != m->valid_gen;
}

bool nmmu_sp_has_gptes(const struct nmmu_sp *sp)
{
	return !sp->role.direct && !sp->role.passthrough;
}

/*
 * C.3: 6.1 gives an array to every indirect page, 6.12 only where the guest can have leaves. A passthrough
 * page has one in 6.1 that nobody uses.
 */
static bool has_translation(const struct nmmu *m, union nmmu_role role)
{
	if (role.direct)
		return false;
	return !nmmu_is_6_12(m) || role.level <= SPTE_LEVEL_HUGE_MAX;
}

static bool uses_translation(const struct nmmu_sp *sp)
{
	return sp->translation && !sp->role.passthrough;
}

u64 nmmu_sp_gfn(const struct nmmu_sp *sp, u32 index)
{
	if (sp->role.passthrough)
		return sp->gfn;
	if (uses_translation(sp))
		return sp->translation[index] >> NMMU_PAGE_SHIFT;
	return sp->gfn + ((u64)index << (SPTE_LEVEL_BITS * (sp->role.level - 1)));
}

u32 nmmu_sp_access(const struct nmmu_sp *sp, u32 index)
{
	if (uses_translation(sp))
		return sp->translation[index] & NMMU_ACC_ALL;
	return sp->role.access;
}

void nmmu_sp_set_translation(struct nmmu *m, struct nmmu_sp *sp, u32 index, u64 gfn, u32 access)
{
	if (uses_translation(sp))
		sp->translation[index] = gfn << NMMU_PAGE_SHIFT | (access & NMMU_ACC_ALL);
}

struct nmmu_slot *nmmu_sp_slot(const struct nmmu *m, const struct nmmu_sp *sp, u64 gfn)
{
	return nmmu_slot_any(m, sp->role.smm, gfn);
}

union nmmu_role nmmu_child_role(const struct nmmu_sp *parent, u32 index, bool direct, u32 access)
{
	union nmmu_role role = parent->role;

	role.level--;
	role.access = access;
	role.direct = direct;
	role.passthrough = 0;
	role.invalid = 0;
	/* C5: which 2 MiB half of the 4 MiB that one table of 4-byte entries maps. */
	if (role.has_4_byte_gpte)
		role.quadrant = index & 1;
	return role;
}

/* --- accounting --- */

/*
 * The guest's table at sp->gfn is shadowed from now on: no large page may cover it, and it must not be
 * writable without our knowing. Cached writable translations go before the lock does, also where W was clear
 * already (E.1 DL->WP).
 */
static void account(struct nmmu *m, struct nmmu_sp *sp)
{
	struct nmmu_slot *slot = nmmu_slot_of(m, sp->role.smm, sp->gfn);
	bool flush = false;

	/*
	 * Its memory went away, or is about to, since the guest's tables were walked. The fault finds out
	 * when it reads again.
	 */
	if (!slot)
		return;
	sp->accounted = true;
	m->nr_indirect++;
	if (sp->role.level > 1)
		nmmu_write_track(m, slot, sp->gfn, 1);
	nmmu_lpage_disallow(slot, sp->gfn, 1);
	nmmu_gfn_write_protect(m, slot, sp->gfn, 1, false, MS_CAUSE_SHADOWED, &flush);
	if (flush && nmmu_mutant(m, FLUSH_LATE)) {
		struct nmmu_vcpu *v = m->at_work;

		nmmu_unlock(m);
		nmmu_flush_all(m, MS_CAUSE_SHADOWED, true);
		nmmu_lock_vcpu(v);
	} else if (flush) {
		nmmu_flush_all(m, MS_CAUSE_SHADOWED, false);
	}
}

void nmmu_sp_unaccount(struct nmmu *m, struct nmmu_sp *sp)
{
	struct nmmu_slot *slot;

	if (!sp->accounted)
		return;
	sp->accounted = false;
	m->nr_indirect--;
	slot = nmmu_sp_slot(m, sp, sp->gfn);
	if (!slot)
		return;
	if (sp->role.level > 1)
		nmmu_write_track(m, slot, sp->gfn, -1);
	nmmu_lpage_disallow(slot, sp->gfn, -1);
}

/* --- making --- */

static struct nmmu_sp *sp_alloc(struct nmmu_vcpu *v, u64 gfn, union nmmu_role role)
{
	struct nmmu_cache *c = &v->cache;
	struct nmmu *m = v->m;
	struct nmmu_sp *sp = c->sp[--c->nr_sp];
	struct nmmu_page page = c->pages[--c->nr_pages];

	sp->spt = page.va;
	sp->spt_pa = page.pa;
	if (has_translation(m, role))
		sp->translation = c->trans[--c->nr_trans];
	sp->id = 0xffff888000000000ULL + (m->next_id++ << 8);
	sp->gfn = gfn;
	sp->role = role;
	/* zap-all stops at the first page of the new generation: pages are added at the head, always. */
	sp->gen = m->valid_gen;
	nmmu_link_init(&sp->nx_link);
	nmmu_link_add(&sp->link, &m->active_pages);
	m->nr_used++;
	m->stats.sp_created++;
	nmmu_index_add(m, sp);
	nmmu_event(m, v, sp_create, .sp = sp->id, .gfn = gfn, .role = role.word);
	if (nmmu_sp_has_gptes(sp))
		account(m, sp);
	return sp;
}

/* Lock-free walks that begin from now on do not find it; those under way may still be on it. */
void nmmu_sp_unhash(struct nmmu *m, struct nmmu_sp *sp)
{
	nmmu_index_del(m, sp);
}

void nmmu_sp_free(struct nmmu *m, struct nmmu_sp *sp)
{
	nmmu_link_del(&sp->link);
	nmmu_event(m, m->at_work, sp_free, .sp = sp->id);
	m->ops->page_free(m->host, (struct nmmu_page){ .va = sp->spt, .pa = sp->spt_pa });
	if (sp->translation)
		m->ops->free(m->host, sp->translation);
	m->ops->free(m->host, sp);
}

/*
 * An unsync page is current for whoever asks for it, but it stays unsync and writable: the guest has not
 * flushed yet. False: it could not be read and is zapped.
 */
static bool found_unsync(struct nmmu_vcpu *v, struct nmmu_sp *sp, struct nmmu_link *invalid)
{
	int ret = nmmu_sp_sync(v, sp);

	if (ret < 0) {
		nmmu_sp_prepare_zap(v->m, sp, invalid, MS_CAUSE_SYNC);
		return false;
	}
	if (ret)
		nmmu_flush_all(v->m, MS_CAUSE_SYNC, false);
	return true;
}

struct nmmu_sp *nmmu_sp_get(struct nmmu_vcpu *v, u64 gfn, union nmmu_role role)
{
	struct nmmu *m = v->m;
	struct nmmu_sp *sp, *found = NULL;
	struct nmmu_link invalid;

	nmmu_link_init(&invalid);
	for (sp = nmmu_hash_first(m, gfn); sp && !found; sp = nmmu_hash_next(sp)) {
		if (nmmu_sp_is_obsolete(m, sp))
			continue;
		if (sp->role.word != role.word) {
			/* The new page will be write-tracked: no page of the gfn may stay writable. */
			if (role.level > 1 && sp->unsync)
				nmmu_sp_prepare_zap(m, sp, &invalid, MS_CAUSE_SHADOWED);
			continue;
		}
		/* Made while its table had no memory: never protected, so not to be relied on. */
		if (nmmu_sp_has_gptes(sp) && !sp->accounted) {
			nmmu_sp_prepare_zap(m, sp, &invalid, MS_CAUSE_SLOT);
			continue;
		}
		if (sp->unsync && !found_unsync(v, sp, &invalid))
			break;
		sp->write_flooding = 0;
		found = sp;
	}
	nmmu_sp_commit_zap(m, &invalid, MS_CAUSE_SHADOWED);
	if (!found)
		return sp_alloc(v, gfn, role);
	nmmu_event(m, v, sp_find, .sp = found->id, .gfn = gfn, .role = role.word);
	return found;
}

struct nmmu_sp *nmmu_sp_get_child(struct nmmu_vcpu *v, u64 *sptep, u64 gfn, union nmmu_role role)
{
	struct nmmu *m = v->m;
	struct nmmu_sp *parent = nmmu_sp_of_spte(m, sptep);
	u64 spte = nmmu_read64(sptep);

	if (spte_is_mmu_present(&m->profile, spte) && !spte_is_leaf(&m->profile, spte, parent->role.level)) {
		struct nmmu_sp *child = nmmu_sp_by_pa(m, spte_pfn(&m->profile, spte) << NMMU_PAGE_SHIFT);

		/*
		 * C3, both comparisons: a leaf is removed from the list of the gfn that its own page
		 * computes, which is another one under a page of another gfn, or of another role (direct or
		 * not).
		 */
		if (child && (child->gfn == gfn || nmmu_mutant(m, REUSE_ANY_GFN)) &&
		    (child->role.word == role.word || nmmu_mutant(m, REUSE_ANY_ROLE)))
			return NULL;
	}
	return nmmu_sp_get(v, gfn, role);
}

/* --- linking --- */

void nmmu_mark_unsync(struct nmmu *m, u64 *sptep)
{
	struct nmmu_sp *sp = nmmu_sp_of_spte(m, sptep);
	struct nmmu_rmap_iter it;
	u64 *parent;
	u32 index;

	if (!sp)
		return;
	index = (u32)(sptep - sp->spt);
	if (sp->unsync_bitmap[index / 64] & 1ULL << index % 64)
		return;
	sp->unsync_bitmap[index / 64] |= 1ULL << index % 64;
	/* Marked before: then so are its parents (F "unsync"). Recursion goes up, at most to level 5. */
	if (sp->unsync_children++)
		return;
	for (parent = nmmu_rmap_first(sp->parents, &it); parent; parent = nmmu_rmap_next(&it))
		nmmu_mark_unsync(m, parent);
}

void nmmu_sp_link(struct nmmu_vcpu *v, u64 *sptep, struct nmmu_sp *child)
{
	struct nmmu *m = v->m;
	u64 spte;

	if (spte_is_mmu_present(&m->profile, nmmu_read64(sptep))) {
		struct nmmu_sp *parent = nmmu_sp_of_spte(m, sptep);
		struct nmmu_link invalid;

		nmmu_link_init(&invalid);
		nmmu_sp_zap_entry(m, parent, (u32)(sptep - parent->spt), &invalid, MS_CAUSE_RELINK);
		if (nmmu_link_empty(&invalid))
			nmmu_flush_all(m, MS_CAUSE_RELINK, false);
		else
			nmmu_sp_commit_zap(m, &invalid, MS_CAUSE_RELINK);
	}
	spte = nmmu_make_nonleaf(m, child->spt_pa, child->role.ad_disabled);
	nmmu_spte_init(m, sptep, spte, MS_CAUSE_LINK);
	nmmu_rmap_add(m, &v->cache, &child->parents, sptep);
	if (child->unsync || child->unsync_children)
		nmmu_mark_unsync(m, sptep);
}

void nmmu_sp_validate_direct(struct nmmu *m, u64 *sptep, u32 access)
{
	struct nmmu_sp *parent = nmmu_sp_of_spte(m, sptep), *child;
	u64 spte = nmmu_read64(sptep);

	if (!spte_is_mmu_present(&m->profile, spte) || spte_is_leaf(&m->profile, spte, parent->role.level))
		return;
	child = nmmu_sp_by_pa(m, spte_pfn(&m->profile, spte) << NMMU_PAGE_SHIFT);
	if (child && child->role.access == access)
		return;
	/* Without a list: the child becomes an orphan, to be found again by its role (F "parent_ptes"). */
	nmmu_sp_zap_entry(m, parent, (u32)(sptep - parent->spt), NULL, MS_CAUSE_RELINK);
	nmmu_flush_all(m, MS_CAUSE_RELINK, false);
}
