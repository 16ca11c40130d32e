// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages that lag behind the guest's tables, as a TLB may: a level-1 page becomes unsync when its table is
 * made writable for the guest, and is brought up to date when the guest flushes (SEMANTICS F "unsync",
 * "sync", "when synced"). What this file may never do is make a table writable while syncing: the guest's
 * flush must end with it protected.
 */
#include "nmmu/private.h"

#define SPTES 512u

/* --- becoming unsync --- */

int nmmu_try_unsync(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, bool can_unsync, bool prefetch)
{
	struct nmmu_rmap_iter it;
	struct nmmu_sp *sp;
	u64 *parent;

	if (nmmu_is_write_tracked(slot, gfn))
		return -EPERM;
	for (sp = nmmu_hash_first(m, gfn); sp; sp = nmmu_hash_next(sp)) {
		if (nmmu_sp_is_obsolete(m, sp) || !nmmu_sp_has_gptes(sp))
			continue;
		if (!can_unsync)
			return -EPERM;
		if (sp->unsync)
			continue;
		if (prefetch)
			return -EEXIST;
		/* Tracked in another address space only: the hash is blind to those, the slot is not. */
		if (sp->role.level != 1)
			return -EPERM;
		sp->unsync = true;
		m->stats.unsyncs++;
		nmmu_event(m, m->at_work, unsync, .sp = sp->id, .gfn = gfn);
		for (parent = nmmu_rmap_first(sp->parents, &it); parent; parent = nmmu_rmap_next(&it))
			nmmu_mark_unsync(m, parent);
	}
	/* Marked before the SPTE can let the guest write: is the root unsync? is asked without the lock. */
	nmmu_smp_wmb();
	return 0;
}

/* --- syncing one page --- */

/* Is v->mmu the one that this page was made for? The rest of the role is each page's own. */
static bool can_sync(const struct nmmu_vcpu *v, const struct nmmu_sp *sp)
{
	union nmmu_role ignored = { .word = 0 };

	ignored.level = 0xf;
	ignored.access = NMMU_ACC_ALL;
	ignored.quadrant = 3;
	ignored.passthrough = 1;
	return !sp->role.direct && !((sp->role.word ^ v->mmu->root_role.word) & ~ignored.word);
}

int nmmu_gpte_read(struct nmmu_vcpu *v, const struct nmmu_sp *sp, u32 index, struct nmmu_gpte *ret)
{
	const struct nmmu_gfmt *fmt = &v->mmu->fmt;
	u32 bytes = nmmu_gfmt_bytes(fmt);
	u64 a_mask = nmmu_gfmt_a_mask(fmt), d_mask = nmmu_gfmt_d_mask(fmt);
	u64 gpte = 0;

	/*
	 * A previous root of the same table may go by A/D bits, and the current one not (D3). KVM reads all
	 * the same, and may give W where D is clear.
	 */
	if (!can_sync(v, sp))
		return -EINVAL;
	/* C5: a table of 4-byte entries has 1024 of them, half for each quadrant. */
	if (fmt->kind == NMMU_GPT_32)
		index += sp->role.quadrant * SPTES;
	if (nmmu_gpa_read(v->m, sp->role.smm, (sp->gfn << NMMU_PAGE_SHIFT) + index * bytes, &gpte, bytes))
		return -EFAULT;
	if (!nmmu_gfmt_is_present(fmt, gpte) || (a_mask && !(gpte & a_mask)) ||
	    nmmu_gfmt_is_rsvd(fmt, gpte, 1))
		return 0;

	ret->gfn = nmmu_gfmt_leaf_gfn(fmt, gpte, 1, 0);
	ret->access = sp->role.access & nmmu_gfmt_access(fmt, gpte);
	/* B1: the first write must fault, to set D. */
	if (d_mask && !(gpte & d_mask))
		ret->access &= ~NMMU_ACC_W;
	return 1;
}

static void drop(struct nmmu *m, u64 *sptep)
{
	if (spte_is_mmu_present(&m->profile, nmmu_read64(sptep)))
		nmmu_spte_drop(m, sptep, MS_CAUSE_SYNC);
	else
		nmmu_spte_clear(m, sptep, MS_CAUSE_SYNC);
}

static void mark_mmio(struct nmmu_vcpu *v, u64 *sptep, const struct nmmu_gpte *gpte)
{
	struct nmmu *m = v->m;
	u64 spte = nmmu_make_mmio(v, gpte->gfn, gpte->access);

	nmmu_event_for(m, v, MS_CAUSE_SYNC, mmio_mark, .gfn = gpte->gfn, .new_spte = spte,
		       .gen = spte_mmio_gen(&m->profile, spte));
	nmmu_spte_init(m, sptep, spte, MS_CAUSE_SYNC);
}

/*
 * KVM gives the entry the current generation also where memory has come since it was made: every access is
 * then emulated, until something zaps it. Here it goes (H 13).
 */
static void sync_mmio(struct nmmu_vcpu *v, struct nmmu_sp *sp, u64 *sptep, u64 spte,
		      const struct nmmu_gpte *gpte)
{
	if (spte_mmio_gfn(&v->m->profile, spte) != gpte->gfn || nmmu_slot_of(v->m, sp->role.smm, gpte->gfn))
		nmmu_spte_clear(v->m, sptep, MS_CAUSE_SYNC);
	else
		mark_mmio(v, sptep, gpte);
}

int nmmu_sp_sync_spte(struct nmmu_vcpu *v, struct nmmu_sp *sp, u32 index)
{
	struct nmmu *m = v->m;
	const struct spte_profile *p = &m->profile;
	u64 *sptep = &sp->spt[index];
	u64 spte = nmmu_read64(sptep);
	struct nmmu_gpte gpte;
	struct nmmu_make make;
	u64 new_spte;
	int ret;

	if (spte_is_nonpresent(p, spte))
		return 0;
	ret = nmmu_gpte_read(v, sp, index, &gpte);
	if (ret < 0)
		return ret;
	if (!ret) {
		drop(m, sptep);
		return 1;
	}
	if (!spte_is_mmu_present(p, spte)) {
		sync_mmio(v, sp, sptep, spte, &gpte);
		return 0;
	}
	make = (struct nmmu_make){
		.sp = sp,
		.slot = nmmu_slot_of(m, sp->role.smm, gpte.gfn),
		.access = gpte.access,
		.gfn = gpte.gfn,
		.pfn = spte_pfn(p, spte),
		.old_spte = spte,
		.level = 1,
		.prefetch = true,
		.can_unsync = false,
		.host_writable = spte_is_host_writable(p, spte),
	};
	/* Execute-only hardware: nothing granted would be an entry that is not present to the CPU. */
	if ((gpte.access | p->m.present) == p->nonpresent_value ||
	    (gpte.gfn != nmmu_sp_gfn(sp, index) && !nmmu_mutant(m, SYNC_KEEPS_GFN)) || !make.slot) {
		drop(m, sptep);
		return 1;
	}
	if (nmmu_is_6_12(m) && nmmu_sp_access(sp, index) == gpte.access)
		return 0;
	nmmu_sp_set_translation(m, sp, index, gpte.gfn, gpte.access);
	nmmu_make_spte(v, &make, &new_spte);
	return nmmu_spte_update(m, sptep, new_spte, MS_CAUSE_SYNC);
}

static int sync_page(struct nmmu_vcpu *v, struct nmmu_sp *sp)
{
	struct nmmu *m = v->m;
	u16 changed = 0;
	int flush = 0;
	u32 i;

	if (!can_sync(v, sp))
		return -EINVAL;
	for (i = 0; i < SPTES; i++) {
		u64 old_spte = nmmu_read64(&sp->spt[i]);
		int ret = nmmu_sp_sync_spte(v, sp, i);

		if (ret < 0)
			return ret;
		flush |= ret;
		changed += nmmu_read64(&sp->spt[i]) != old_spte;
	}
	m->stats.syncs++;
	nmmu_event(m, v, sync, .sp = sp->id, .gfn = sp->gfn, .changed = changed);
	return flush;
}

int nmmu_sp_sync(struct nmmu_vcpu *v, struct nmmu_sp *sp)
{
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_SYNC);
	int ret = sync_page(v, sp);

	v->cause = was;
	return ret;
}

/* --- syncing all below --- */

static void clear_child(struct nmmu_sp *sp, u32 index)
{
	sp->unsync_bitmap[index / 64] &= ~(1ULL << index % 64);
	sp->unsync_children--;
}

static bool collected(struct nmmu_sp *sp, struct nmmu_sp **list, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (list[i] == sp)
			return true;
	return false;
}

static struct nmmu_sp *child_at(const struct nmmu *m, const struct nmmu_sp *sp, u32 index)
{
	u64 spte = nmmu_read64(&sp->spt[index]);

	if (!spte_is_mmu_present(&m->profile, spte) || spte_is_leaf(&m->profile, spte, sp->role.level))
		return NULL;
	return nmmu_sp_by_pa(m, spte_pfn(&m->profile, spte) << NMMU_PAGE_SHIFT);
}

/*
 * Adds what is unsync below sp; returns whether there was anything. A mark may outlive what it was made for:
 * those met are cleared. Recursion goes down, at most from level 5.
 */
static bool collect(struct nmmu *m, struct nmmu_sp *sp, struct nmmu_sp **list, u32 *nr, u32 max)
{
	bool any = false;
	u32 i;

	for (i = 0; i < SPTES && *nr < max; i++) {
		struct nmmu_sp *child;

		if (!sp->unsync_bitmap[i / 64]) {
			i |= 63;
			continue;
		}
		if (!(sp->unsync_bitmap[i / 64] & 1ULL << i % 64))
			continue;
		child = child_at(m, sp, i);
		if (child && child->unsync_children && collect(m, child, list, nr, max)) {
			any = true;
		} else if (child && child->unsync) {
			if (!collected(child, list, *nr))
				list[(*nr)++] = child;
			any = true;
		} else {
			clear_child(sp, i);
		}
	}
	return any;
}

u32 nmmu_collect_unsync(struct nmmu *m, struct nmmu_sp *parent, struct nmmu_sp **ret, u32 max)
{
	u32 nr = 0;

	if (parent->unsync_children)
		collect(m, parent, ret, &nr, max);
	return nr;
}

/* Protects the table in the page's own address space. */
static void protect(struct nmmu *m, const struct nmmu_sp *sp, bool *flush)
{
	struct nmmu_slot *slot = nmmu_sp_slot(m, sp, sp->gfn);

	if (slot)
		nmmu_gfn_write_protect(m, slot, sp->gfn, 1, false, MS_CAUSE_SYNC, flush);
}

void nmmu_sync_children(struct nmmu_vcpu *v, struct nmmu_sp *parent)
{
	struct nmmu *m = v->m;
	struct nmmu_sp *unsync[NMMU_UNSYNC_BATCH];
	struct nmmu_link invalid;
	bool flush = false;
	u32 nr, i;

	nmmu_link_init(&invalid);
	while ((nr = nmmu_collect_unsync(m, parent, unsync, NMMU_UNSYNC_BATCH))) {
		bool protected = false;

		for (i = 0; i < nr; i++)
			protect(m, unsync[i], &protected);
		/* Writes still going by a cached translation are seen by what is read next, or fault. */
		if (protected)
			nmmu_flush_all(m, MS_CAUSE_SYNC, false);
		for (i = 0; i < nr; i++) {
			int ret;

			unsync[i]->unsync = false;
			ret = nmmu_sp_sync(v, unsync[i]);
			if (ret < 0)
				nmmu_sp_prepare_zap(m, unsync[i], &invalid, MS_CAUSE_SYNC);
			else
				flush |= ret;
		}
	}
	if (!nmmu_link_empty(&invalid))
		nmmu_sp_commit_zap(m, &invalid, MS_CAUSE_SYNC);
	else if (flush)
		nmmu_flush_all(m, MS_CAUSE_SYNC, false);
}
