// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Roots of a vCPU's MMUs: made, switched between, synced and given back (SEMANTICS C.3, C6, C7, F).
 *
 *	direct, 4 or 5 levels            a page of gfn 0
 *	64-bit, EPT12, NPT12 of 4/5      a page of the guest's root table (passthrough for 4 under 5)
 *	paging off, 32-bit, PAE          pae_root[4] -> level-2 pages
 *	NPT12 of a 32-bit or PAE L1      [pml5_root[0] ->] pml4_root[0] -> pae_root[4] -> level-2 pages
 *	no memory at the root (6.12)     the dummy root: an empty table
 *
 * Only the first two are pages of their own and are cached. What the guest asks to be invalidated is
 * invalidate.c.
 */
#include "nmmu/private.h"

#define PT_P (1ULL << 0)
#define PT_W (1ULL << 1)
#define PT_U (1ULL << 2)
#define PT_A (1ULL << 5)
#define TABLE_MASK SPTE_BITS(51, NMMU_PAGE_SHIFT)

static bool is_unsync(const struct nmmu_sp *sp)
{
	return sp && (sp->unsync || sp->unsync_children);
}

bool nmmu_root_is_dummy(const struct nmmu_vcpu *v, u64 hpa)
{
	return v->dummy_root.va && hpa == v->dummy_root.pa;
}

/* The four level-2 pages stand where pages of levels 3 and up would. */
static bool has_special_root(const struct nmmu_mmu *mmu)
{
	return mmu->root_role.level == 3 || (!mmu->root_role.direct && mmu->cpu_role.base.level < 4);
}

static u64 *pae_entries(const struct nmmu_mmu *mmu)
{
	return mmu->pae_root.va;
}

static struct nmmu_sp *pae_sp(const struct nmmu *m, const struct nmmu_mmu *mmu, u32 i)
{
	u64 entry = mmu->pae_root.va ? nmmu_read64(&pae_entries(mmu)[i]) : 0;

	return entry ? nmmu_sp_by_pa(m, entry & spte_pfn_mask(&m->profile)) : NULL;
}

struct nmmu_sp *nmmu_root_sp(const struct nmmu_vcpu *v, const struct nmmu_mmu *mmu, u64 hpa, u64 addr)
{
	if (hpa == NMMU_NO_PAGE || nmmu_root_is_dummy(v, hpa))
		return NULL;
	/* Never a previous root, so pae_root is that of the current one. */
	if (has_special_root(mmu))
		return pae_sp(v->m, mmu, addr >> 30 & 3);
	return nmmu_sp_by_pa(v->m, hpa);
}

/* --- begin and end --- */

static void mmu_init(struct nmmu_mmu *mmu)
{
	u32 i;

	mmu->root = (struct nmmu_root){ .hpa = NMMU_NO_PAGE };
	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		mmu->prev[i] = (struct nmmu_root){ .hpa = NMMU_NO_PAGE };
}

int nmmu_roots_init(struct nmmu_vcpu *v)
{
	mmu_init(&v->root_mmu);
	mmu_init(&v->guest_mmu);
	mmu_init(&v->nested_mmu);
	return 0;
}

static void page_put(struct nmmu *m, struct nmmu_page *page)
{
	if (page->va)
		m->ops->page_free(m->host, *page);
	page->va = NULL;
}

static void special_put(struct nmmu *m, struct nmmu_mmu *mmu)
{
	page_put(m, &mmu->pae_root);
	page_put(m, &mmu->pml4_root);
	page_put(m, &mmu->pml5_root);
}

void nmmu_roots_deinit(struct nmmu_vcpu *v)
{
	nmmu_root_free(v, &v->root_mmu, true, NMMU_PREV_ROOTS, MS_CAUSE_TEARDOWN);
	nmmu_root_free(v, &v->guest_mmu, true, NMMU_PREV_ROOTS, MS_CAUSE_TEARDOWN);
	special_put(v->m, &v->root_mmu);
	special_put(v->m, &v->guest_mmu);
	page_put(v->m, &v->dummy_root);
}

/* --- giving back --- */

/* A page that is still good stays where it can be found again. */
static void put_root(struct nmmu *m, u64 hpa, struct nmmu_link *invalid, enum ms_cause cause)
{
	struct nmmu_sp *sp = nmmu_sp_by_pa(m, hpa);

	if (sp && !--sp->root_count && sp->role.invalid)
		nmmu_sp_prepare_zap(m, sp, invalid, cause);
}

static void free_one(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, struct nmmu_root *root,
		     struct nmmu_link *invalid, enum ms_cause cause)
{
	struct nmmu *m = v->m;
	u32 i;

	if (root->hpa == NMMU_NO_PAGE)
		return;
	nmmu_event_for(m, v, cause, root_free, .hpa = root->hpa);
	if (nmmu_sp_by_pa(m, root->hpa)) {
		put_root(m, root->hpa, invalid, cause);
	} else if (!nmmu_root_is_dummy(v, root->hpa) && mmu->pae_root.va) {
		for (i = 0; i < 4; i++) {
			struct nmmu_sp *sp = pae_sp(m, mmu, i);

			nmmu_write64(&pae_entries(mmu)[i], 0);
			if (sp)
				put_root(m, sp->spt_pa, invalid, cause);
		}
	}
	*root = (struct nmmu_root){ .hpa = NMMU_NO_PAGE };
}

static void free_locked(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, bool current, u32 prev_mask,
			enum ms_cause cause)
{
	struct nmmu_link invalid;
	u32 i;

	nmmu_link_init(&invalid);
	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		if (prev_mask & 1u << i)
			free_one(v, mmu, &mmu->prev[i], &invalid, cause);
	if (current)
		free_one(v, mmu, &mmu->root, &invalid, cause);
	nmmu_sp_commit_zap(v->m, &invalid, cause);
}

void nmmu_root_free(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, bool current, u32 prev_mask,
		    enum ms_cause cause)
{
	nmmu_lock_vcpu(v);
	free_locked(v, mmu, current, prev_mask, cause);
	nmmu_unlock(v->m);
}

/* A root without a page cannot be told from a stale one, so it counts as that. */
static bool is_obsolete(const struct nmmu *m, u64 hpa)
{
	const struct nmmu_sp *sp;

	if (hpa == NMMU_NO_PAGE)
		return false;
	sp = nmmu_sp_by_pa(m, hpa);
	return !sp || nmmu_sp_is_obsolete(m, sp);
}

static void free_obsolete(struct nmmu_vcpu *v, struct nmmu_mmu *mmu)
{
	u32 prev_mask = 0, i;

	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		if (is_obsolete(v->m, mmu->prev[i].hpa))
			prev_mask |= 1u << i;
	free_locked(v, mmu, is_obsolete(v->m, mmu->root.hpa), prev_mask, MS_CAUSE_OBSOLETE);
}

void nmmu_root_free_obsolete(struct nmmu_vcpu *v)
{
	nmmu_lock_vcpu(v);
	free_obsolete(v, &v->root_mmu);
	free_obsolete(v, &v->guest_mmu);
	nmmu_unlock(v->m);
}

bool nmmu_root_is_stale(struct nmmu_vcpu *v)
{
	const struct nmmu_sp *sp;

	if (v->mmu->root.hpa == NMMU_NO_PAGE)
		return true;
	sp = nmmu_sp_by_pa(v->m, v->mmu->root.hpa);
	return sp ? nmmu_sp_is_obsolete(v->m, sp) : v->requests & NMMU_REQ_FREE_OBSOLETE;
}

/* --- making --- */

static int page_get(struct nmmu *m, struct nmmu_page *page)
{
	struct nmmu_page got;

	if (page->va)
		return 0;
	if (m->ops->page_alloc(m->host, &got))
		return -ENOMEM;
	*page = got;
	return 0;
}

/* What this root takes that is not a shadow page. Each may be there from a root before. */
static int special_get(struct nmmu *m, struct nmmu_mmu *mmu)
{
	int err;

	if (!has_special_root(mmu))
		return 0;
	err = page_get(m, &mmu->pae_root);
	if (!err && mmu->root_role.level >= 4)
		err = page_get(m, &mmu->pml4_root);
	if (!err && mmu->root_role.level >= 5)
		err = page_get(m, &mmu->pml5_root);
	return err;
}

static u64 alloc_root(struct nmmu_vcpu *v, u64 gfn, u32 quadrant, u32 level)
{
	union nmmu_role role = v->mmu->root_role;
	struct nmmu_sp *sp;

	role.level = level;
	role.quadrant = quadrant;
	sp = nmmu_sp_get(v, gfn, role);
	sp->root_count++;
	return sp->spt_pa;
}

static u64 pae_entry_bits(const struct nmmu *m, const struct nmmu_mmu *mmu)
{
	u64 bits = PT_P | m->profile.m.me_value;

	/* PDPTEs of PAE proper have no permissions. */
	return mmu->root_role.level >= 4 ? bits | PT_A | PT_W | PT_U : bits;
}

/* The tables above pae_root; returns the root's address. */
static u64 link_special(struct nmmu *m, struct nmmu_mmu *mmu)
{
	u64 bits = pae_entry_bits(m, mmu);

	if (mmu->root_role.level < 4)
		return mmu->pae_root.pa;
	nmmu_write64(mmu->pml4_root.va, mmu->pae_root.pa | bits);
	if (mmu->root_role.level < 5)
		return mmu->pml4_root.pa;
	nmmu_write64(mmu->pml5_root.va, mmu->pml4_root.pa | bits);
	return mmu->pml5_root.pa;
}

static void load_direct(struct nmmu_vcpu *v)
{
	struct nmmu_mmu *mmu = v->mmu;
	u64 bits = pae_entry_bits(v->m, mmu);
	u32 i;

	/* The pgd of a direct root means nothing (C6). */
	mmu->root.pgd = 0;
	if (!has_special_root(mmu)) {
		mmu->root.hpa = alloc_root(v, 0, 0, mmu->root_role.level);
		return;
	}
	for (i = 0; i < 4; i++)
		nmmu_write64(&pae_entries(mmu)[i], alloc_root(v, (u64)i << 18, 0, 2) | bits);
	mmu->root.hpa = link_special(v->m, mmu);
}

static bool is_visible(const struct nmmu_vcpu *v, u64 gfn)
{
	return nmmu_slot_of(v->m, v->mmu->root_role.smm, gfn);
}

/*
 * C7: a root, or PDPTE, that names no memory. 0 in 6.12, which goes on without it; 6.1 shuts the guest down.
 */
static int unbacked(const struct nmmu *m)
{
	return nmmu_is_6_12(m) ? 0 : -EIO;
}

/* The four PDPTEs; those of NPT12 are read from memory each time (B1a). 0 stands for not present. */
static int read_pdptrs(struct nmmu_vcpu *v, u64 *pdptrs)
{
	const struct nmmu_mmu *mmu = v->mmu;
	u64 table = mmu->guest_pgd & SPTE_BITS(51, 5);
	u32 i;

	for (i = 0; i < 4; i++) {
		pdptrs[i] = mmu->pdptrs[i];
		if (mmu->which == MS_MMU_GUEST &&
		    nmmu_gpa_read(v->m, mmu->root_role.smm, table + i * 8, &pdptrs[i], 8))
			pdptrs[i] = 0;
		if (!(pdptrs[i] & PT_P)) {
			pdptrs[i] = 0;
		} else if (!is_visible(v, (pdptrs[i] & TABLE_MASK) >> NMMU_PAGE_SHIFT)) {
			pdptrs[i] = 0;
			if (unbacked(v->m))
				return unbacked(v->m);
		}
	}
	return 0;
}

static void load_shadow(struct nmmu_vcpu *v, const u64 *pdptrs)
{
	struct nmmu_mmu *mmu = v->mmu;
	u64 gfn = (mmu->guest_pgd & TABLE_MASK) >> NMMU_PAGE_SHIFT;
	u64 bits = pae_entry_bits(v->m, mmu);
	u32 i;

	mmu->root.pgd = mmu->guest_pgd;
	if (!has_special_root(mmu)) {
		mmu->root.hpa = alloc_root(v, gfn, 0, mmu->root_role.level);
		return;
	}
	for (i = 0; i < 4; i++) {
		bool pae = mmu->cpu_role.base.level == 3;
		u64 entry = 0;

		if (!pae)
			entry = alloc_root(v, gfn, i, 2) | bits;
		else if (pdptrs[i])
			entry = alloc_root(v, (pdptrs[i] & TABLE_MASK) >> NMMU_PAGE_SHIFT, 0, 2) | bits;
		nmmu_write64(&pae_entries(mmu)[i], entry);
	}
	mmu->root.hpa = link_special(v->m, mmu);
}

/*
 * Is there still memory behind all that the root will shadow? Asked under the lock: a slot that goes later
 * makes the root obsolete; one that went before would be gone without a trace, and its counts with it.
 */
static bool still_visible(const struct nmmu_vcpu *v, const u64 *pdptrs)
{
	const struct nmmu_mmu *mmu = v->mmu;
	u32 i;

	if (mmu->cpu_role.base.level != 3)
		return is_visible(v, (mmu->guest_pgd & TABLE_MASK) >> NMMU_PAGE_SHIFT);
	for (i = 0; i < 4; i++)
		if (pdptrs[i] && !is_visible(v, (pdptrs[i] & TABLE_MASK) >> NMMU_PAGE_SHIFT))
			return false;
	return true;
}

/* nmmu_root_load(), or -EAGAIN: a memslot went meanwhile. */
static int root_load(struct nmmu_vcpu *v)
{
	struct nmmu *m = v->m;
	struct nmmu_mmu *mmu = v->mmu;
	bool direct = mmu->root_role.direct;
	bool dummy = !direct && !is_visible(v, (mmu->guest_pgd & TABLE_MASK) >> NMMU_PAGE_SHIFT);
	u64 pdptrs[4] = { 0 };
	int err;

	err = nmmu_cache_topup(v, !direct);
	if (!err)
		err = special_get(m, mmu);
	if (!err && dummy)
		err = unbacked(m) ? unbacked(m) : page_get(m, &v->dummy_root);
	if (!err && !dummy && !direct && mmu->cpu_role.base.level == 3)
		err = read_pdptrs(v, pdptrs);
	if (err)
		return err;

	nmmu_lock_vcpu(v);
	err = dummy ? 0 : nmmu_make_room(m);
	if (!err && !dummy && !direct && !still_visible(v, pdptrs))
		err = -EAGAIN;
	if (!err) {
		if (dummy)
			mmu->root = (struct nmmu_root){ .hpa = v->dummy_root.pa };
		else if (direct)
			load_direct(v);
		else
			load_shadow(v, pdptrs);
		nmmu_event(m, v, root_load, .pgd = mmu->root.pgd, .hpa = mmu->root.hpa,
			   .role = mmu->root_role.word, .cached = false);
	}
	nmmu_unlock(m);
	return err;
}

int nmmu_root_load(struct nmmu_vcpu *v)
{
	int err;

	do {
		err = root_load(v);
	} while (err == -EAGAIN);
	if (err)
		return err;

	nmmu_root_sync(v);
	/* Nobody knows what was cached under this root before. */
	nmmu_flush_one(v, MS_CAUSE_LOAD);
	return 0;
}

/* --- switching (C6) --- */

static bool is_usable(const struct nmmu *m, const struct nmmu_root *root, u64 pgd, union nmmu_role role)
{
	const struct nmmu_sp *sp;

	if (root->hpa == NMMU_NO_PAGE || (!role.direct && root->pgd != pgd))
		return false;
	/* A zapped root differs in `invalid'. */
	sp = nmmu_sp_by_pa(m, root->hpa);
	return sp && sp->role.word == role.word;
}

static void swap_roots(struct nmmu_root *a, struct nmmu_root *b)
{
	struct nmmu_root tmp = *a;

	*a = *b;
	*b = tmp;
}

/* The current root becomes the most recent of the previous ones; the oldest goes when there is no match. */
static bool switch_keeping(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 pgd)
{
	u32 i;

	for (i = 0; i < MS_NR_PREV_ROOTS; i++) {
		swap_roots(&mmu->root, &mmu->prev[i]);
		if (is_usable(v->m, &mmu->root, pgd, mmu->root_role))
			return true;
	}
	free_locked(v, mmu, true, 0, MS_CAUSE_CR3);
	return false;
}

/* There is no current root; the match leaves a hole at the old end. */
static bool switch_without(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 pgd)
{
	u32 i;

	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		if (is_usable(v->m, &mmu->prev[i], pgd, mmu->root_role))
			break;
	if (i == MS_NR_PREV_ROOTS)
		return false;
	mmu->root = mmu->prev[i];
	for (; i < MS_NR_PREV_ROOTS - 1; i++)
		mmu->prev[i] = mmu->prev[i + 1];
	mmu->prev[i] = (struct nmmu_root){ .hpa = NMMU_NO_PAGE };
	return true;
}

static bool fast_switch(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 pgd)
{
	/* Roots that are no pages are never cached. */
	if (mmu->root.hpa != NMMU_NO_PAGE && !nmmu_sp_by_pa(v->m, mmu->root.hpa))
		free_locked(v, mmu, true, 0, MS_CAUSE_CR3);
	if (mmu->root.hpa == NMMU_NO_PAGE)
		return switch_without(v, mmu, pgd);
	if (is_usable(v->m, &mmu->root, pgd, mmu->root_role))
		return true;
	return switch_keeping(v, mmu, pgd);
}

void nmmu_root_new_pgd(struct nmmu_vcpu *v, u64 pgd)
{
	struct nmmu_mmu *mmu = v->mmu;
	struct nmmu *m = v->m;
	u64 old_hpa = mmu->root.hpa;
	struct nmmu_sp *sp;

	nmmu_lock_vcpu(v);
	if (fast_switch(v, mmu, pgd)) {
		nmmu_mmio_cache_clear(v, true, 0);
		sp = nmmu_sp_by_pa(m, mmu->root.hpa);
		if (sp)
			sp->write_flooding = 0;
		if (mmu->root.hpa != old_hpa)
			nmmu_event(m, v, root_load, .pgd = mmu->root.pgd, .hpa = mmu->root.hpa,
				   .role = mmu->root_role.word, .cached = true);
	}
	nmmu_unlock(m);
}

/* --- syncing --- */

void nmmu_root_sync(struct nmmu_vcpu *v)
{
	struct nmmu_mmu *mmu = v->mmu;
	struct nmmu_sp *sp;
	u32 i;

	if (mmu->root_role.direct || mmu->root.hpa == NMMU_NO_PAGE)
		return;
	nmmu_mmio_cache_clear(v, true, 0);
	nmmu_lock_vcpu(v);
	for (i = 0; i < 4; i++) {
		sp = nmmu_root_sp(v, mmu, mmu->root.hpa, (u64)i << 30);
		if (is_unsync(sp))
			nmmu_sync_children(v, sp);
		if (!has_special_root(mmu))
			break;
	}
	nmmu_unlock(v->m);
}

/* Previous roots are synced by making them anew when they are wanted. */
void nmmu_root_sync_prev(struct nmmu_vcpu *v)
{
	u32 prev_mask = 0, i;

	nmmu_lock_vcpu(v);
	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		if (v->mmu->prev[i].hpa != NMMU_NO_PAGE &&
		    is_unsync(nmmu_sp_by_pa(v->m, v->mmu->prev[i].hpa)))
			prev_mask |= 1u << i;
	free_locked(v, v->mmu, false, prev_mask, MS_CAUSE_GUEST_FLUSH);
	nmmu_unlock(v->m);
}
