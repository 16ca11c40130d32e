// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults of indirect MMUs: the guest's tables are walked without the lock, then shadowed under it, with
 * every entry read again, for the guest may have changed it. Covers shadow EPT, shadow NPT and shadow
 * paging alike.
 *
 * Sources: SEMANTICS D.1 steps 3-8, C3, C.3, F; paging_tmpl.h:page_fault(), fetch(), pte_prefetch().
 */
#include "nmmu/private.h"

/* The guest's entries around the fault, read under the lock. */
struct window {
	u64 gpte[NMMU_PREFETCH_NR];
};

static u64 load_gpte(const u8 *src, u32 bytes)
{
	u64 gpte;
	u32 half;

	if (bytes == sizeof(half)) {
		nmmu_copy(&half, src, sizeof(half));
		return half;
	}
	nmmu_copy(&gpte, src, sizeof(gpte));
	return gpte;
}

/*
 * Is the guest's entry of this level no longer what the walk found? At level 1 the neighbours are read in
 * the same go, for the prefetch.
 */
static bool gpte_changed(struct nmmu_vcpu *v, const struct nmmu_walk *w, u32 level, struct window *win)
{
	u32 bytes = nmmu_gfmt_bytes(&v->mmu->fmt);
	u64 gpa = w->pte_gpa[level - 1];
	u64 base = gpa;
	u32 nr = 1;
	u8 raw[NMMU_PREFETCH_NR * 8];
	u32 i;

	if (level == 1) {
		nr = NMMU_PREFETCH_NR;
		base = gpa & ~(u64)(nr * bytes - 1);
	}
	if (nmmu_gpa_read(v->m, v->regs.smm, base, raw, nr * bytes))
		return true;
	if (level == 1) {
		for (i = 0; i < nr; i++)
			win->gpte[i] = load_gpte(raw + i * bytes, bytes);
	}
	return load_gpte(raw + (gpa - base), bytes) != w->pte[level - 1];
}

/* --- prefetch --- */

/* One neighbour; false ends the prefetch. */
static bool prefetch_gpte(struct nmmu_vcpu *v, struct nmmu_sp *sp, u64 *sptep, u64 gpte)
{
	const struct nmmu_gfmt *fmt = &v->mmu->fmt;
	u64 a_mask = nmmu_gfmt_a_mask(fmt);
	u64 d_mask = nmmu_gfmt_d_mask(fmt);
	struct nmmu_slot *slot;
	u64 gfn, pfn;
	u32 access;

	if (!nmmu_gfmt_is_present(fmt, gpte) || (a_mask && !(gpte & a_mask)) ||
	    nmmu_gfmt_is_rsvd(fmt, gpte, 1))
		return false;
	gfn = nmmu_gfmt_leaf_gfn(fmt, gpte, 1, 0);
	access = sp->role.access & nmmu_gfmt_access(fmt, gpte);
	if (d_mask && !(gpte & d_mask))
		access &= ~NMMU_ACC_W; /* B1: its first write is to fault */

	slot = nmmu_slot_vcpu(v, gfn);
	if (!slot || slot->flags & MS_SLOT_INVALID || (access & NMMU_ACC_W && nmmu_slot_logs(slot)))
		return false;
	if (!nmmu_prefetch_pfn(v->m, slot, gfn, &pfn))
		return false;
	nmmu_set_spte(v, slot, sptep, access, gfn, pfn, true, NULL);
	return true;
}

static void prefetch(struct nmmu_vcpu *v, struct nmmu_sp *sp, u64 *sptep, const struct window *win)
{
	const struct spte_profile *p = &v->m->profile;
	u32 first = (u32)(sptep - sp->spt) & ~(NMMU_PREFETCH_NR - 1u);
	u32 i;

	if (sp->role.level > 1 || v->m->invalidate_in_progress)
		return;
	if (sp->role.direct) {
		nmmu_prefetch_direct(v, sp, sptep);
		return;
	}
	for (i = 0; i < NMMU_PREFETCH_NR; i++) {
		u64 *neighbour = &sp->spt[first + i];

		if (neighbour == sptep || spte_is_mmu_present(p, nmmu_read64(neighbour)))
			continue;
		if (!prefetch_gpte(v, sp, neighbour, win->gpte[i]))
			return;
	}
}

/* --- building the way down --- */

/* One level of the guest's tables. False: the guest changed them, fault again. */
static bool link_indirect(struct nmmu_vcpu *v, struct nmmu_fault *fault, const struct nmmu_walk *w,
			  const struct nmmu_shadow_iter *it, struct window *win)
{
	u64 table_gfn = w->table_gfn[it->level - 2];
	union nmmu_role role = nmmu_child_role(it->sp, it->index, false, w->pt_access[it->level - 2]);
	struct nmmu_sp *child;

	/* A page for a table whose slot goes would be counted nowhere, or where nobody takes it back. */
	if (!nmmu_slot_vcpu(v, table_gfn))
		return false;
	child = nmmu_sp_get_child(v, it->sptep, table_gfn, role);
	/* The guest need not flush after not present -> present: what is linked must be up to date. */
	if (child && child->unsync_children)
		nmmu_sync_children(v, child);
	if (gpte_changed(v, w, it->level - 1, win))
		return false;
	if (child)
		nmmu_sp_link(v, it->sptep, child);
	return true;
}

/*
 * PDPTEs of NPT12 are memory, read at every walk (B1a), but the root was made from what they held then. KVM
 * would shadow entries of the new table in the page of the old one, or fail with -EFAULT where there was
 * none.
 */
static bool pdpte_changed(const struct nmmu_vcpu *v, const struct nmmu_shadow_iter *it,
			  const struct nmmu_walk *w)
{
	if (v->mmu->which != MS_MMU_GUEST || v->mmu->fmt.kind != NMMU_GPT_PAE)
		return false;
	return !it->sptep || it->sp->gfn != w->table_gfn[1];
}

static int fetch(struct nmmu_vcpu *v, struct nmmu_fault *fault, const struct nmmu_walk *w, bool *old_root_ret)
{
	struct nmmu_shadow_iter it;
	struct window win;
	int ret;

	if (gpte_changed(v, w, w->top, &win))
		return NMMU_RET_RETRY;
	/* 6.12: its gfn has become memory since (C7). */
	if (nmmu_root_is_dummy(v, v->mmu->root.hpa)) {
		v->requests |= NMMU_REQ_FREE_OBSOLETE;
		return NMMU_RET_RETRY;
	}

	nmmu_shadow_first(v, fault->addr, &it);
	if (pdpte_changed(v, &it, w)) {
		*old_root_ret = true;
		return NMMU_RET_RETRY;
	}
	for (; it.sptep; nmmu_shadow_next(v, &it, nmmu_read64(it.sptep))) {
		it.sp->write_flooding = 0; /* in use */
		if (it.level == w->level)
			break;
		if (!link_indirect(v, fault, w, &it, &win))
			return NMMU_RET_RETRY;
	}

	/* Only now: a page shadowed just above may forbid a large one (F, lpage). */
	nmmu_hugepage_adjust(v, fault);
	for (; it.sptep; nmmu_shadow_next(v, &it, nmmu_read64(it.sptep))) {
		if (!nmmu_is_6_12(v->m))
			it.sp->write_flooding = 0;
		nmmu_hugepage_disallowed(v, fault, nmmu_read64(it.sptep), it.level);
		if (it.level == fault->goal_level)
			break;
		/* Rights may have come or gone since the direct page was made, D above all. */
		nmmu_sp_validate_direct(v->m, it.sptep, w->pte_access);
		nmmu_link_direct(v, fault, &it, nmmu_round_gfn(fault->gfn, it.level), w->pte_access);
	}
	if (!it.sptep)
		return NMMU_RET_RETRY;

	ret = nmmu_set_spte(v, fault->slot, it.sptep, w->pte_access, nmmu_round_gfn(fault->gfn, it.level),
			    fault->pfn, fault->host_writable, fault);
	if (ret != NMMU_RET_SPURIOUS)
		prefetch(v, it.sp, it.sptep, &win);
	return ret;
}

/* --- the fault --- */

/*
 * 6.1: a guest that maps one of its own tables by a large page would have it write-protected for ever; it
 * is mapped in 4K then. 6.12 leaves that to the lpage counts, and asks later only whether the very page is
 * a table.
 */
static bool self_change_6_1(const struct nmmu_vcpu *v, const struct nmmu_fault *fault,
			    const struct nmmu_walk *w)
{
	u64 mask = ~(nmmu_level_pages(w->level) - 1);
	bool self = false;
	u32 level;

	if (!(w->pte_access & NMMU_ACC_W) && (v->mmu->cpu_role.base.cr0_wp || fault->user))
		return false;
	for (level = w->level; level <= w->top; level++)
		self |= !((w->gfn ^ w->table_gfn[level - 1]) & mask);
	return self;
}

/*
 * CR0.WP=0: the kernel writes where only reading is granted; users then must not, nor may the kernel
 * execute there.
 */
static void grant_wp0(const struct nmmu_vcpu *v, const struct nmmu_fault *fault, struct nmmu_walk *w)
{
	if (!fault->write || w->pte_access & NMMU_ACC_W || v->mmu->cpu_role.base.cr0_wp || fault->user ||
	    !fault->slot)
		return;
	w->pte_access |= NMMU_ACC_W;
	w->pte_access &= ~NMMU_ACC_U;
	if (v->mmu->cpu_role.ext.cr4_smep)
		w->pte_access &= ~NMMU_ACC_X;
}

static void clear_flood(struct nmmu_vcpu *v, u64 addr)
{
	struct nmmu_shadow_iter it;
	u64 spte;

	nmmu_lockless_begin(v);
	for (nmmu_shadow_first(v, addr, &it); it.sptep; nmmu_shadow_next(v, &it, spte)) {
		spte = nmmu_read64(it.sptep);
		it.sp->write_flooding = 0;
	}
	nmmu_lockless_end(v);
}

int nmmu_shadow_fault(struct nmmu_vcpu *v, struct nmmu_fault *fault, struct nmmu_result *result_ret)
{
	struct nmmu *m = v->m;
	struct nmmu_walk w;
	bool old_root = false;
	int ret;

	if (!nmmu_walk(v, v->mmu, fault->addr, fault->error & ~NMMU_PF_RSVD, NMMU_WALK_SET_AD, &w, NULL)) {
		if (fault->prefetch)
			return NMMU_RET_RETRY;
		nmmu_inject(v, &w.fault, v->exit, result_ret);
		return NMMU_FAULT_INJECTED;
	}
	/* B1: the first write is to fault, to set D. A write fault has set it, or could not (D.1 step 6). */
	if (!fault->write && !w.dirty && !nmmu_mutant(m, CLEAN_WRITABLE))
		w.pte_access &= ~NMMU_ACC_W;
	fault->gfn = w.gfn;
	fault->max_level = w.level;
	fault->slot = nmmu_slot_any(m, v->regs.smm, fault->gfn);
	if (nmmu_fault_write_tracked(v, fault)) {
		clear_flood(v, fault->addr);
		return NMMU_RET_EMULATE;
	}
	ret = nmmu_cache_topup(v, true);
	if (ret)
		return ret;
	if (!nmmu_is_6_12(m) && self_change_6_1(v, fault, &w))
		fault->max_level = 1;
	ret = nmmu_faultin_pfn(v, fault, w.pte_access);
	if (ret != NMMU_RET_NONE)
		return ret;
	grant_wp0(v, fault, &w);

	nmmu_lock_vcpu(v);
	if (nmmu_make_room(m))
		ret = -ENOMEM;
	else if (nmmu_fault_is_stale(v, fault))
		ret = NMMU_RET_RETRY;
	else
		ret = fetch(v, fault, &w, &old_root);
	nmmu_unlock(m);
	if (old_root)
		nmmu_root_free(v, v->mmu, true, 0, MS_CAUSE_OBSOLETE);
	return ret;
}
