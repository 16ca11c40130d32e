// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fault of the CPU on shadow tables, from its error code to a stored leaf: what all MMUs share (host
 * page, staleness, page size, the leaf itself, prefetch) and the direct MMUs' own path. Indirect ones go on
 * in fault_shadow.c; emulation is somebody else's.
 *
 * Sources: SEMANTICS D.1, E.1, F; mmu.c:direct_page_fault(), mmu_set_spte(), kvm_faultin_pfn() of 6.1 and
 * 6.12.
 */
#include "nmmu/private.h"

bool nmmu_fault_write_tracked(struct nmmu_vcpu *v, const struct nmmu_fault *fault)
{
	if (fault->rsvd || !fault->present || !fault->write || !fault->slot)
		return false;
	return nmmu_is_write_tracked(fault->slot, fault->gfn);
}

/* No memory there: a device (B.3, D.1 step 5). */
static int noslot(struct nmmu_vcpu *v, struct nmmu_fault *fault, u32 access)
{
	const struct spte_profile *p = &v->m->profile;
	bool tdp_direct = v->m->cfg.tdp && v->mmu->root_role.direct;

	nmmu_mmio_cache_fill(v, tdp_direct ? 0 : fault->addr, fault->gfn, access & (u32)p->m.mmio_access);
	fault->slot = NULL;
	fault->pfn = NMMU_PFN_NOSLOT;
	fault->host_writable = false;
	/* Without caching, or for a frame that no entry can name, each access is an exit of its own. */
	if (!p->m.mmio_value || fault->gfn >> (v->m->cfg.phys_bits - NMMU_PAGE_SHIFT))
		return NMMU_RET_EMULATE;
	return NMMU_RET_NONE;
}

/* Does an invalidation of the host speak against a page looked up at `seq'? */
static bool invalidated(const struct nmmu *m, const struct nmmu_fault *fault)
{
	u64 hva = nmmu_slot_hva(fault->slot, fault->gfn);

	if (nmmu_mutant(m, NO_SEQ))
		return false;
	if (m->invalidate_in_progress && hva >= m->invalidate_start && hva < m->invalidate_end)
		return true;
	return m->invalidate_seq != fault->seq;
}

/* What the fault was built on went: the numbers that say so. */
static bool tell_stale(struct nmmu_vcpu *v, const struct nmmu_fault *fault, bool root)
{
	struct nmmu *m = v->m;

	nmmu_event(m, v, stale, .addr = fault->addr, .gfn = fault->gfn, .seq_seen = fault->seq,
		   .seq_now = nmmu_read64(&m->invalidate_seq), .in_progress = m->invalidate_in_progress,
		   .root_obsolete = root);
	return true;
}

int nmmu_faultin_pfn(struct nmmu_vcpu *v, struct nmmu_fault *fault, u32 access)
{
	struct nmmu *m = v->m;
	struct nmmu_slot *slot = fault->slot;
	struct nmmu_pfn pfn;

	fault->seq = nmmu_read64(&m->invalidate_seq);
	if (!slot)
		return noslot(v, fault, access);
	/* Being deleted or moved: its SPTEs must go before a device's can come. */
	if (slot->flags & MS_SLOT_INVALID) {
		tell_stale(v, fault, false);
		return NMMU_RET_RETRY;
	}
	/* 6.12 asks here already, so as not to fight the one who invalidates for the lock. */
	if (nmmu_is_6_12(m) && invalidated(m, fault)) {
		tell_stale(v, fault, false);
		return NMMU_RET_RETRY;
	}
	if (fault->write && slot->flags & MS_SLOT_READONLY)
		return NMMU_RET_EMULATE; /* a write to ROM is the device's business; the leaf stays */
	if (m->ops->hva_to_pfn(m->host, nmmu_slot_hva(slot, fault->gfn), fault->write, &pfn))
		return -EFAULT;

	fault->pfn = pfn.pfn;
	fault->host_level = pfn.level;
	fault->host_writable = (pfn.writable || fault->write) && !(slot->flags & MS_SLOT_READONLY);
	nmmu_yield(m, NMMU_POINT_PFN_RESOLVED);
	if (nmmu_is_6_12(m) && invalidated(m, fault)) {
		tell_stale(v, fault, false);
		return NMMU_RET_RETRY;
	}
	return NMMU_RET_NONE;
}

bool nmmu_fault_is_stale(struct nmmu_vcpu *v, const struct nmmu_fault *fault)
{
	bool stale;

	if (nmmu_root_is_stale(v))
		return tell_stale(v, fault, true);
	/* A slot made since: an MMIO SPTE with the new generation would hide its memory (H 13). */
	if (!fault->slot)
		stale = nmmu_slot_any(v->m, v->regs.smm, fault->gfn);
	else
		stale = invalidated(v->m, fault);
	return stale && tell_stale(v, fault, false);
}

void nmmu_hugepage_adjust(struct nmmu_vcpu *v, struct nmmu_fault *fault)
{
	struct nmmu *m = v->m;

	fault->huge_disallowed = fault->fetch && m->cfg.nx_huge_pages;
	if (fault->max_level == 1 || fault->pfn == NMMU_PFN_NOSLOT || nmmu_slot_logs(fault->slot))
		return;
	fault->req_level =
		(u8)nmmu_max_level(m, fault->slot, fault->gfn, fault->host_level, fault->max_level);
	if (fault->req_level > 2 && !m->cfg.gbpages)
		fault->req_level = 2;
	if (fault->req_level == 1 || fault->huge_disallowed)
		return;
	fault->goal_level = fault->req_level;
	fault->pfn &= ~(nmmu_level_pages(fault->goal_level) - 1);
}

void nmmu_hugepage_disallowed(struct nmmu_vcpu *v, struct nmmu_fault *fault, u64 spte, u32 level)
{
	struct nmmu *m = v->m;
	const struct spte_profile *p = &m->profile;
	struct nmmu_sp *child;

	if (!m->cfg.nx_huge_pages || level == 1 || level != fault->goal_level)
		return;
	if (!spte_is_mmu_present(p, spte) || spte_is_leaf(p, spte, level))
		return;
	/* 6.1 keeps to any table that is there, 6.12 to those which the mitigation split. */
	if (nmmu_is_6_12(m)) {
		child = nmmu_sp_by_pa(m, spte & spte_pfn_mask(p));
		if (!child || !child->nx_disallowed)
			return;
	}
	fault->pfn |= fault->gfn & (nmmu_level_pages(level) - nmmu_level_pages(level - 1));
	fault->goal_level--;
}

void nmmu_link_direct(struct nmmu_vcpu *v, struct nmmu_fault *fault, const struct nmmu_shadow_iter *it,
		      u64 base_gfn, u32 access)
{
	struct nmmu *m = v->m;
	union nmmu_role role = nmmu_child_role(it->sp, it->index, true, access);
	struct nmmu_sp *child = nmmu_sp_get_child(v, it->sptep, base_gfn, role);
	bool possible = fault->req_level >= it->level; /* would be huge but for the mitigation */

	if (!child)
		return;
	nmmu_sp_link(v, it->sptep, child);
	if (!fault->huge_disallowed)
		return;
	/*
	 * 6.12 keeps large pages from coming back to any of these, but only those lost to the mitigation
	 * are recovered.
	 */
	if (possible && (nmmu_is_6_12(m) || m->cfg.tdp || !v->mmu->root_role.direct))
		nmmu_nx_account(m, child);
	else if (nmmu_is_6_12(m))
		child->nx_disallowed = true;
}

/* --- the leaf --- */

static void add_rmap(struct nmmu_vcpu *v, struct nmmu_slot *slot, const struct nmmu_sp *sp, u32 index,
		     u64 gfn)
{
	struct nmmu_rmap *head = nmmu_slot_rmap(slot, gfn, sp->role.level);
	struct nmmu *m = v->m;
	u32 before = nmmu_rmap_add(m, &v->cache, head, &sp->spt[index]);

	nmmu_event(m, v, rmap_add, .sp = sp->id, .gfn = gfn, .role = sp->role.word, .index = (u16)index);
	if (before > NMMU_RMAP_MAX)
		nmmu_rmap_recycle(m, head);
}

/*
 * Makes room for a leaf of this gfn and pfn. True when it is there already; *flush_ret is set when
 * something went. KVM asks for the pfn alone: where two frames share memory, the leaf then stays in the
 * other one's reverse map, and out of its log.
 */
static bool clear_the_way(struct nmmu *m, struct nmmu_sp *sp, u64 *sptep, u64 gfn, u64 pfn,
			  enum ms_cause cause, bool *flush_ret)
{
	const struct spte_profile *p = &m->profile;
	u64 old_spte = nmmu_read64(sptep);

	if (!spte_is_mmu_present(p, old_spte))
		return false;
	if (!spte_is_leaf(p, old_spte, sp->role.level)) {
		nmmu_sp_zap_entry(m, sp, (u32)(sptep - sp->spt), NULL, cause);
		*flush_ret = true;
		return false;
	}
	if (pfn == spte_pfn(p, old_spte) && gfn == nmmu_sp_gfn(sp, (u32)(sptep - sp->spt)))
		return true;
	nmmu_spte_drop(m, sptep, cause);
	*flush_ret = true;
	return false;
}

static int set_spte(struct nmmu_vcpu *v, struct nmmu_slot *slot, u64 *sptep, u32 access, u64 gfn, u64 pfn,
		    bool host_writable, struct nmmu_fault *fault)
{
	struct nmmu *m = v->m;
	struct nmmu_sp *sp = nmmu_sp_of_spte(m, sptep);
	u32 index = (u32)(sptep - sp->spt);
	bool prefetch = !fault || fault->prefetch;
	enum ms_cause cause = prefetch ? MS_CAUSE_PREFETCH : MS_CAUSE_FAULT;
	bool flush = false;
	bool was_rmapped = clear_the_way(m, sp, sptep, gfn, pfn, cause, &flush);
	struct nmmu_make make = {
		.sp = sp,
		.slot = slot,
		.access = access,
		.gfn = gfn,
		.pfn = pfn,
		.level = sp->role.level,
		.prefetch = prefetch,
		.can_unsync = true,
		.host_writable = host_writable,
	};
	int ret = NMMU_RET_FIXED;
	bool unzap = false;
	u64 spte;

	if (nmmu_mutant(m, LEAF_KEEPS_MMIO) && spte_is_mmio(&m->profile, nmmu_read64(sptep)) &&
	    pfn != NMMU_PFN_NOSLOT)
		return NMMU_RET_RETRY;
	if (pfn == NMMU_PFN_NOSLOT) {
		spte = nmmu_make_mmio(v, gfn, access);
		nmmu_event_for(m, v, cause, mmio_mark, .gfn = gfn, .new_spte = spte,
			       .gen = spte_mmio_gen(&m->profile, spte));
		nmmu_spte_init(m, sptep, spte, cause);
		if (flush)
			nmmu_flush_all(m, cause, false);
		return NMMU_RET_EMULATE;
	}

	if (nmmu_mutant(m, PIN_OVER_MMIO) && m->cfg.pins && !was_rmapped && nmmu_read64(sptep) & SPTE_BIT(62))
		was_rmapped = unzap = true;
	/* Behind the MMIO test: a device's page is never pinned (G defects 7, 9). */
	if (m->cfg.pins && v->mmu->root_role.direct && !was_rmapped) {
		int err = nmmu_pin_leaf(m, slot, sp, index, gfn, pfn, &unzap);

		if (err) {
			if (flush)
				nmmu_flush_all(m, cause, false);
			return err;
		}
	}
	make.old_spte = nmmu_read64(sptep);
	if (nmmu_mutant(m, TRACKED_READ_ONLY) && !sp->role.direct && fault && !fault->write &&
	    spte_is_access_tracked(&m->profile, make.old_spte))
		make.access &= ~NMMU_ACC_W;
	if (nmmu_make_spte(v, &make, &spte) && fault && fault->write)
		ret = NMMU_RET_EMULATE;
	if (nmmu_mutant(m, PIN_BIT_SET) && nmmu_sp_is_pinned(sp, index))
		spte |= SPTE_BIT(62);
	/* Also what is there already: the rights that the guest grants may have changed. */
	nmmu_sp_set_translation(m, sp, index, gfn, access);
	if (make.old_spte == spte)
		ret = ret == NMMU_RET_EMULATE ? ret : NMMU_RET_SPURIOUS;
	else if (was_rmapped)
		flush |= nmmu_spte_update(m, sptep, spte, cause);
	else
		nmmu_spte_init(m, sptep, spte, cause);
	if (flush)
		nmmu_flush_all(m, cause, false);
	if (!was_rmapped)
		add_rmap(v, slot, sp, index, gfn);
	if (unzap)
		nmmu_pin_unzapped(m, gfn, pfn, (u8)sp->role.level);
	if (prefetch)
		m->stats.prefetched++;
	return ret;
}

int nmmu_set_spte(struct nmmu_vcpu *v, struct nmmu_slot *slot, u64 *sptep, u32 access, u64 gfn, u64 pfn,
		  bool host_writable, struct nmmu_fault *fault)
{
	u8 was = v->cause;
	int ret;

	if (!fault || fault->prefetch)
		v->cause = MS_CAUSE_PREFETCH;
	ret = set_spte(v, slot, sptep, access, gfn, pfn, host_writable, fault);
	v->cause = was;
	return ret;
}

/* --- prefetch (F) --- */

bool nmmu_prefetch_pfn(struct nmmu *m, const struct nmmu_slot *slot, u64 gfn, u64 *pfn_ret)
{
	u64 hva = nmmu_slot_hva(slot, gfn);
	struct nmmu_pfn pfn;
	int err;

	if (slot->flags & (MS_SLOT_READONLY | MS_SLOT_INVALID))
		return false;
	err = m->ops->hva_to_pfn_fast ? m->ops->hva_to_pfn_fast(m->host, hva, &pfn)
				      : m->ops->hva_to_pfn(m->host, hva, true, &pfn);
	if (err)
		return false;
	*pfn_ret = pfn.pfn;
	return true;
}

/* Neighbours [first, end) of a direct page; false: no more after them. */
static bool prefetch_run(struct nmmu_vcpu *v, struct nmmu_sp *sp, u32 first, u32 end)
{
	struct nmmu *m = v->m;
	u64 gfn = nmmu_sp_gfn(sp, first);
	struct nmmu_slot *slot = nmmu_slot_vcpu(v, gfn);
	u32 access = sp->role.access;
	u64 pfn[NMMU_PREFETCH_NR];
	u32 nr = end - first;
	u32 got, i;

	if (!slot || slot->flags & MS_SLOT_INVALID || (access & NMMU_ACC_W && nmmu_slot_logs(slot)))
		return false;
	/* All of the run in the slot, or nothing; then as many as the host has at hand. */
	if (gfn + nr > slot->base_gfn + slot->nr_pages)
		return false;
	for (got = 0; got < nr && nmmu_prefetch_pfn(m, slot, gfn + got, &pfn[got]); got++)
		;
	for (i = 0; i < got; i++)
		nmmu_set_spte(v, slot, &sp->spt[first + i], access, gfn + i, pfn[i], true, NULL);
	return got;
}

void nmmu_prefetch_direct(struct nmmu_vcpu *v, struct nmmu_sp *sp, u64 *sptep)
{
	const struct spte_profile *p = &v->m->profile;
	u32 fault_index = (u32)(sptep - sp->spt);
	u32 first = fault_index & ~(NMMU_PREFETCH_NR - 1u);
	u32 end = first + NMMU_PREFETCH_NR;
	u32 start = end; /* of the run of absent entries, end: none */
	u32 i;

	for (i = first; i <= end; i++) {
		bool absent =
			i < end && i != fault_index && !spte_is_mmu_present(p, nmmu_read64(&sp->spt[i]));

		if (absent) {
			start = start == end ? i : start;
			continue;
		}
		if (start != end && !prefetch_run(v, sp, start, i))
			return;
		start = end;
	}
}

/* --- direct MMUs --- */

static int direct_map(struct nmmu_vcpu *v, struct nmmu_fault *fault)
{
	struct nmmu *m = v->m;
	struct nmmu_shadow_iter it;
	int ret;

	nmmu_hugepage_adjust(v, fault);
	if (m->nr_pins)
		nmmu_pin_limit(fault);
	for (nmmu_shadow_first(v, fault->addr, &it); it.sptep;
	     nmmu_shadow_next(v, &it, nmmu_read64(it.sptep))) {
		nmmu_hugepage_disallowed(v, fault, nmmu_read64(it.sptep), it.level);
		if (it.level == fault->goal_level)
			break;
		nmmu_link_direct(v, fault, &it, nmmu_round_gfn(fault->gfn, it.level), NMMU_ACC_ALL);
	}
	if (!it.sptep)
		return NMMU_RET_RETRY;
	if (m->nr_pins && fault->slot) {
		ret = nmmu_pin_split(m, fault->slot, fault->gfn, it.level);
		if (ret)
			return ret;
	}

	ret = nmmu_set_spte(v, fault->slot, it.sptep, NMMU_ACC_ALL, nmmu_round_gfn(fault->gfn, it.level),
			    fault->pfn, fault->host_writable, fault);
	if (ret == NMMU_RET_SPURIOUS || ret < 0)
		return ret;
	/* Without A bits a prefetched leaf could not be told from a used one. */
	if (!it.sp->role.ad_disabled && it.level == 1 && !m->invalidate_in_progress)
		nmmu_prefetch_direct(v, it.sp, it.sptep);
	return ret;
}

/* Address bits that the root translates; a PAE one has four entries. */
static u32 root_addr_bits(const struct nmmu_mmu *mmu)
{
	return mmu->root_role.level < 4 ? 32 : NMMU_PAGE_SHIFT + 9 * mmu->root_role.level;
}

int nmmu_direct_fault(struct nmmu_vcpu *v, struct nmmu_fault *fault)
{
	struct nmmu *m = v->m;
	int ret;

	/*
	 * C4 for L1: an address wider than the root can index, with a CPU of more than 48 address bits and
	 * tables of four levels, or above 4 GiB without paging. An entry for it would stand where that of
	 * another address belongs.
	 */
	if (fault->addr >> root_addr_bits(v->mmu))
		return NMMU_RET_EMULATE;
	if (nmmu_fault_write_tracked(v, fault))
		return NMMU_RET_EMULATE;
	ret = nmmu_fast_fault(v, fault);
	if (ret != NMMU_RET_INVALID)
		return ret;
	ret = nmmu_cache_topup(v, false);
	if (ret)
		return ret;
	ret = nmmu_faultin_pfn(v, fault, NMMU_ACC_ALL);
	if (ret != NMMU_RET_NONE)
		return ret;

	nmmu_lock_vcpu(v);
	if (nmmu_make_room(m))
		ret = m->nr_pins ? -ENOSPC : -ENOMEM;
	else if (nmmu_fault_is_stale(v, fault))
		ret = NMMU_RET_RETRY;
	else
		ret = direct_map(v, fault);
	nmmu_unlock(m);
	return ret;
}

static void account(struct nmmu *m, int ret)
{
	switch (ret) {
	case NMMU_RET_FIXED:
		nmmu_add64(&m->stats.fixed, 1);
		break;
	case NMMU_RET_EMULATE:
		nmmu_add64(&m->stats.emulated, 1);
		break;
	case NMMU_RET_SPURIOUS:
		nmmu_add64(&m->stats.spurious, 1);
		break;
	case NMMU_RET_RETRY:
		nmmu_add64(&m->stats.retries, 1);
		break;
	}
}

int nmmu_page_fault(struct nmmu_vcpu *v, u64 addr, u64 error, struct nmmu_result *result_ret)
{
	struct nmmu *m = v->m;
	bool direct = v->mmu->root_role.direct;
	struct nmmu_fault fault = {
		.addr = addr,
		.error = error,
		.write = error & NMMU_PF_W,
		.user = error & NMMU_PF_U,
		.fetch = error & NMMU_PF_I,
		.present = error & NMMU_PF_P,
		.rsvd = error & NMMU_PF_RSVD,
		/* Without paging the root is a PAE one. */
		.max_level = direct && !m->cfg.tdp ? 2 : SPTE_LEVEL_HUGE_MAX,
		.req_level = 1,
		.goal_level = 1,
		.gfn = NMMU_NO_GFN,
	};
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_FAULT);
	int ret = NMMU_RET_NONE;

	nmmu_add64(&m->stats.faults, 1);
	nmmu_event(m, v, fault, .addr = addr, .error = error, .mmu = v->mmu->which);
	if (v->mmu->root.hpa == NMMU_NO_PAGE) {
		ret = NMMU_RET_RETRY;
	} else if (fault.rsvd) {
		ret = nmmu_mmio_fault(v, addr);
	}
	if (ret == NMMU_RET_NONE && direct) {
		fault.gfn = addr >> NMMU_PAGE_SHIFT;
		fault.slot = nmmu_slot_any(m, v->regs.smm, fault.gfn);
		ret = nmmu_direct_fault(v, &fault);
	} else if (ret == NMMU_RET_NONE) {
		ret = nmmu_shadow_fault(v, &fault, result_ret);
	}
	account(m, ret);
	result_ret->fast = fault.fast;
	if (ret >= 0)
		nmmu_event(m, v, fault_done, .addr = addr, .gfn = fault.gfn,
			   .ret = ret == NMMU_FAULT_INJECTED ? NMMU_RET_NONE : (u8)ret, .fast = fault.fast);
	v->cause = was;
	return ret;
}
