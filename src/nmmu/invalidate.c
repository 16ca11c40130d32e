// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the guest at work, or an injected fault, has invalidated: one address, all of its own paging, or the
 * roots of an EPT context (SEMANTICS F "when synced", D3). It syncs and drops; it builds nothing but what 6.1
 * prefetches at INVLPG.
 */
#include "nmmu/private.h"
#include "nmmu/x86.h"

#define TABLE_MASK SPTE_BITS(51, NMMU_PAGE_SHIFT)

/* --- one address --- */

/*
 * 6.1 gives the entry back at once, when the guest's says that it may be accessed. Not while the host takes
 * pages away.
 */
static void reload_entry(struct nmmu_vcpu *v, struct nmmu_sp *sp, u32 index)
{
	struct nmmu *m = v->m;
	struct nmmu_gpte gpte;
	struct nmmu_slot *slot;
	u64 pfn;

	if (!v->cache.nr_descs || m->invalidate_in_progress || nmmu_gpte_read(v, sp, index, &gpte) <= 0)
		return;
	slot = nmmu_slot_of(m, sp->role.smm, gpte.gfn);
	if (!slot)
		return;
	if (nmmu_prefetch_pfn(m, slot, gpte.gfn, &pfn))
		nmmu_set_spte(v, slot, &sp->spt[index], gpte.access, gpte.gfn, pfn, true, NULL);
}

/* True: the walk ends here. */
static bool invalidate_6_1(struct nmmu_vcpu *v, struct nmmu_sp *sp, u32 index)
{
	struct nmmu *m = v->m;
	u64 spte = nmmu_read64(&sp->spt[index]);

	if (sp->role.level > 1 && !spte_is_leaf(&m->profile, spte, sp->role.level))
		return false;
	if (!sp->unsync)
		return true;
	if (nmmu_sp_zap_entry(m, sp, index, NULL, MS_CAUSE_INVLPG))
		nmmu_flush_all(m, MS_CAUSE_INVLPG, false);
	reload_entry(v, sp, index);
	return true;
}

static void invalidate_6_12(struct nmmu_vcpu *v, struct nmmu_sp *sp, u32 index)
{
	int ret;

	if (!sp->unsync)
		return;
	ret = nmmu_sp_sync_spte(v, sp, index);
	if (ret < 0)
		nmmu_sp_zap_entry(v->m, sp, index, NULL, MS_CAUSE_INVLPG);
	if (ret)
		nmmu_flush_all(v->m, MS_CAUSE_INVLPG, false);
}

static void invalidate_root(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, u64 hpa)
{
	struct nmmu *m = v->m;
	struct nmmu_sp *sp;

	nmmu_mmio_cache_clear(v, false, addr);
	if (hpa == NMMU_NO_PAGE)
		return;
	/* Short of memory it does without what only 6.1's prefetch needs. */
	if (!nmmu_is_6_12(m))
		nmmu_cache_topup(v, true);
	nmmu_lock_vcpu(v);
	sp = nmmu_root_sp(v, mmu, hpa, addr);
	while (sp) {
		u32 index = addr >> (NMMU_PAGE_SHIFT + SPTE_LEVEL_BITS * (sp->role.level - 1)) & 511;
		u64 spte;

		if (nmmu_is_6_12(m))
			invalidate_6_12(v, sp, index);
		else if (invalidate_6_1(v, sp, index))
			break;
		if (!sp->unsync_children)
			break;
		spte = nmmu_read64(&sp->spt[index]);
		if (!spte_is_mmu_present(&m->profile, spte) ||
		    spte_is_leaf(&m->profile, spte, sp->role.level))
			break;
		sp = nmmu_sp_by_pa(m, spte_pfn(&m->profile, spte) << NMMU_PAGE_SHIFT);
	}
	nmmu_unlock(m);
}

static bool is_canonical(const struct nmmu_vcpu *v, u64 gva)
{
	u32 shift = v->regs.cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(gva << shift) >> shift) == gva;
}

static void invalidate_addr(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, bool current, u32 prev_mask)
{
	u32 i;

	/* The address is a GPA when it is guest_mmu's. */
	if (mmu != &v->guest_mmu) {
		if (!is_canonical(v, addr))
			return;
		nmmu_flush_one(v, MS_CAUSE_INVLPG);
	}
	/* Nothing is shadowed; or by another MMU than the one at work, whose tables cannot be read now. */
	if (mmu->which == MS_MMU_NESTED || mmu->root_role.direct || mmu != v->mmu)
		return;
	if (current)
		invalidate_root(v, mmu, addr, mmu->root.hpa);
	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		if (prev_mask & 1u << i)
			invalidate_root(v, mmu, addr, mmu->prev[i].hpa);
}

void nmmu_invalidate_addr(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, bool current, u32 prev_mask)
{
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_INVLPG);

	invalidate_addr(v, mmu, addr, current, prev_mask);
	v->cause = was;
}

/* --- what the guest at work asks for --- */

void nmmu_invlpg(struct nmmu_vcpu *v, u64 gva)
{
	/* Global mappings go whatever the PCID: no previous root is spared. */
	nmmu_slots_enter(v->m);
	nmmu_invalidate_addr(v, v->walk_mmu, gva, true, NMMU_PREV_ROOTS);
	nmmu_slots_leave(v->m);
}

void nmmu_flush_guest(struct nmmu_vcpu *v)
{
	if (!v->m->cfg.tdp) {
		nmmu_slots_enter(v->m);
		nmmu_root_sync(v);
		nmmu_root_sync_prev(v);
		nmmu_slots_leave(v->m);
	}
	nmmu_flush_one(v, MS_CAUSE_GUEST_FLUSH);
}

int nmmu_invept(struct nmmu_vcpu *v, bool all, u64 eptp)
{
	struct nmmu_mmu *mmu = &v->guest_mmu;
	u32 prev_mask = 0, i;
	bool current;

	if (v->m->cfg.hv != MS_HV_VMX || !v->m->cfg.tdp || (!all && !nmmu_eptp_ok(v->m, eptp)))
		return -EINVAL;
	/* TLBs know a context by its table alone, not by the rest of the EPTP. */
	current = all || !((mmu->root.pgd ^ eptp) & TABLE_MASK);
	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		if (all || !((mmu->prev[i].pgd ^ eptp) & TABLE_MASK))
			prev_mask |= 1u << i;
	nmmu_slots_enter(v->m);
	nmmu_root_free(v, mmu, current, prev_mask, MS_CAUSE_INVEPT);
	nmmu_slots_leave(v->m);
	return 0;
}

void nmmu_flush_nested_npt(struct nmmu_vcpu *v)
{
	/* The PDPTEs that its root was made of are translations too; to sync looks at pages only. */
	if (v->guest_mmu.fmt.kind == NMMU_GPT_PAE)
		nmmu_root_free(v, &v->guest_mmu, true, 0, MS_CAUSE_GUEST_FLUSH);
	nmmu_lock_vcpu(v);
	v->requests |= NMMU_REQ_SYNC | NMMU_REQ_FLUSH;
	nmmu_unlock(v->m);
}
