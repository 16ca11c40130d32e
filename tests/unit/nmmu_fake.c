// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stand-ins for parts of the engine that tests of guest tables do not reach: weak, so that the real ones win where they
 * are linked.
 */
#include "nmmu/private.h"

#define FAKE __attribute__((weak))

FAKE struct nmmu_sp *nmmu_hash_first(const struct nmmu *m, u64 gfn)
{
	return NULL;
}

FAKE struct nmmu_sp *nmmu_hash_next(const struct nmmu_sp *sp)
{
	return NULL;
}

FAKE void nmmu_invalidate_addr(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, bool current,
			       u32 prev_mask)
{
}

FAKE void nmmu_pt_write(struct nmmu_vcpu *v, u64 gpa, u64 value, u32 bytes)
{
}

FAKE u64 *nmmu_rmap_first(struct nmmu_rmap head, struct nmmu_rmap_iter *it)
{
	return NULL;
}

FAKE u64 *nmmu_rmap_next(struct nmmu_rmap_iter *it)
{
	return NULL;
}

FAKE void nmmu_root_new_pgd(struct nmmu_vcpu *v, u64 pgd)
{
}

FAKE struct nmmu_sp *nmmu_sp_by_pa(const struct nmmu *m, u64 pa)
{
	return NULL;
}

FAKE struct nmmu_sp *nmmu_sp_of_spte(const struct nmmu *m, const u64 *sptep)
{
	return NULL;
}

FAKE void nmmu_sp_commit_zap(struct nmmu *m, struct nmmu_link *invalid, enum ms_cause cause)
{
}

FAKE bool nmmu_sp_prepare_zap(struct nmmu *m, struct nmmu_sp *sp, struct nmmu_link *invalid,
			      enum ms_cause cause)
{
	return false;
}

FAKE bool nmmu_sp_has_gptes(const struct nmmu_sp *sp)
{
	return false;
}

FAKE void nmmu_zap_all(struct nmmu *m)
{
}

FAKE void nmmu_zap_all_locked(struct nmmu *m, enum ms_cause cause)
{
}

FAKE bool nmmu_zap_gfn_range(struct nmmu *m, struct nmmu_slot *slot, u64 first, u64 end, enum ms_cause cause)
{
	return false;
}

FAKE void nmmu_vcpu_destroy(struct nmmu_vcpu *v)
{
}

FAKE u64 nmmu_sp_gfn(const struct nmmu_sp *sp, u32 index)
{
	return NMMU_NO_GFN;
}

FAKE struct nmmu_rmap *nmmu_rmap_of(struct nmmu *m, struct nmmu_sp *sp, u32 index)
{
	return NULL;
}

FAKE int nmmu_rmap_del(struct nmmu *m, struct nmmu_rmap *head, u64 *sptep)
{
	return -ENOENT;
}

FAKE u64 nmmu_spte_mark_tracked(const struct nmmu *m, u64 spte)
{
	return spte;
}
