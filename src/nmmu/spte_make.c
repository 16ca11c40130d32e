// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What SPTEs are made of: the value for a leaf, a link, a device's page; the A/D kind it gets for life;
 * access tracking as a change of value. Nothing is stored here but dirty bits in the slot's log, which must
 * be set before the SPTE that allows the write.
 *
 * Sources: SEMANTICS B.3, B5, D.1 step 6, E.2, F (unsync attempt, NX huge); spte.c:make_spte() of 6.1 and
 * 6.12.
 */
#include "nmmu/private.h"

#define MEMTYPE_WB 6ULL

/*
 * E.2: without A/D bits the entry is access-tracked and write-protected; where PML could run, L2's writes
 * must not go by it, for it would log nGPAs. PT formats never get there: the field is reserved in PAE
 * entries.
 */
static u64 leaf_kind(const struct nmmu *m, const struct nmmu_sp *sp)
{
	const struct spte_profile *p = &m->profile;

	if (sp->role.ad_disabled)
		return (u64)SPTE_AD_DISABLED << p->ad_shift;
	if (nmmu_mutant(m, KIND_BY_EPT12) && sp->role.direct)
		return 0;
	if (nmmu_mutant(m, WRPROT_WITHOUT_PML) && p->format == SPTE_FMT_EPT && sp->role.guest_mode)
		return (u64)SPTE_AD_WRPROT_ONLY << p->ad_shift;
	if (m->cfg.pml && sp->role.guest_mode && !nmmu_bug_on(m, PML_L2))
		return (u64)SPTE_AD_WRPROT_ONLY << p->ad_shift;
	return 0;
}

/*
 * Write permission was granted by all that is not the shadow MMU itself. Returns false when a shadowed
 * table is in the way.
 */
static bool may_write(struct nmmu *m, const struct nmmu_make *make)
{
	const struct spte_profile *p = &m->profile;

	/* What was writable has only unsync pages at its gfn: no need to look again. */
	if (spte_is_leaf(p, make->old_spte, make->level) && spte_is_writable(make->old_spte))
		return true;
	return !nmmu_try_unsync(m, make->slot, make->gfn, make->can_unsync, make->prefetch);
}

bool nmmu_make_spte(struct nmmu_vcpu *v, const struct nmmu_make *make, u64 *spte_ret)
{
	struct nmmu *m = v->m;
	const struct spte_profile *p = &m->profile;
	u64 kind = leaf_kind(m, make->sp);
	bool has_ad = kind != (u64)SPTE_AD_DISABLED << p->ad_shift;
	u32 access = make->access;
	u64 spte = p->mmu_present | p->m.present | kind | p->m.me_value;
	bool wrprot = false;

	if (!make->prefetch && has_ad)
		spte |= p->m.accessed;
	if (make->level > 1) {
		spte |= SPTE_HW_HUGE;
		if (m->cfg.nx_huge_pages)
			access &= ~NMMU_ACC_X;
	}
	spte |= access & NMMU_ACC_X ? p->m.x : p->m.nx;
	if (access & NMMU_ACC_U)
		spte |= p->m.user;
	if (p->m.memtype)
		spte |= MEMTYPE_WB << SPTE_EPT_MT_SHIFT | SPTE_EPT_IPAT; /* B5 */
	if (make->host_writable)
		spte |= p->m.host_writable;
	spte |= make->pfn << SPTE_PAGE_SHIFT;

	if (access & NMMU_ACC_W && make->host_writable) {
		bool was_writable =
			spte_is_leaf(p, make->old_spte, make->level) && spte_is_writable(make->old_spte);

		if (may_write(m, make)) {
			spte |= SPTE_HW_W;
			if (!nmmu_bug_on(m, WRITABLE_INVARIANT))
				spte |= p->m.mmu_writable;
			/* E3: a leaf rebuilt while writable keeps its D as the CPU has it. */
			if (has_ad && !was_writable)
				spte |= p->m.dirty;
		} else {
			wrprot = true;
		}
	}
	if (make->prefetch)
		spte = nmmu_spte_mark_tracked(m, spte);

	/* Access-tracked has lost W for now, and its next access comes by here again. */
	if (spte_is_writable(spte) && nmmu_slot_logs(make->slot))
		nmmu_mark_dirty(m, v, make->slot, make->gfn);
	*spte_ret = spte;
	return wrprot;
}

u64 nmmu_make_nonleaf(struct nmmu *m, u64 child_pa, bool ad_disabled)
{
	const struct spte_profile *p = &m->profile;
	u64 spte = p->mmu_present | p->m.present | p->m.user | p->m.x | p->m.me_value | SPTE_HW_W | child_pa;

	if (ad_disabled)
		return spte | (u64)SPTE_AD_DISABLED << p->ad_shift;
	return spte | p->m.accessed;
}

u64 nmmu_make_mmio(struct nmmu_vcpu *v, u64 gfn, u32 access)
{
	const struct spte_profile *p = &v->m->profile;
	u64 gen = nmmu_generation(v->m, v->regs.smm);
	u64 gpa = gfn << SPTE_PAGE_SHIFT;
	u64 spte = p->m.mmio_value | (access & p->m.mmio_access);

	spte |= gen << p->gen_low_start & spte_gen_low_mask(p);
	spte |= gen >> p->gen_low_bits << p->gen_high_start & spte_gen_high_mask(p);
	/* L1TF: the address bits under the guard are kept further up. */
	spte |= gpa | p->m.nonpresent_or_rsvd;
	spte |= (gpa & p->m.nonpresent_or_rsvd) << p->rsvd_shift;
	return spte;
}

/*
 * No longer accessed: by the A bit, or without one by taking R, W and X away. W is not kept, a write must
 * be seen.
 */
u64 nmmu_spte_mark_tracked(const struct nmmu *m, u64 spte)
{
	const struct spte_profile *p = &m->profile;

	if (spte_ad_kind(p, spte) != SPTE_AD_DISABLED)
		return spte & ~p->m.accessed;
	if (!p->m.acc_track || spte_is_access_tracked(p, spte))
		return spte;
	spte |= (spte & p->track_saved) << p->track_saved_shift;
	return spte & ~p->m.acc_track;
}

u64 nmmu_spte_restore_tracked(const struct nmmu *m, u64 spte)
{
	const struct spte_profile *p = &m->profile;
	u64 saved = spte_saved_bits(p, spte);

	spte &= ~(p->m.acc_track | p->track_saved << p->track_saved_shift);
	return spte | saved;
}
