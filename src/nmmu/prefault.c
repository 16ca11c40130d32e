// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mapping a range before the guest touches it: the direct MMU's own fault, once a page. Nothing is taken
 * that an error would have to give back: slots are entered once and left once, whatever happens.
 *
 * Sources: SEMANTICS G (prepopulate), I 35, 36; mmu.c:kvm_tdp_map_page(), kvm_main.c:
 * kvm_vcpu_pre_fault_memory() of 6.12.
 */
#include "nmmu/private.h"

/* KVM goes on until a signal comes; there is none here. */
#define MAX_RETRIES 1000u

/* Bytes of range that are mapped now (> 0), or -errno. */
static s64 map_one(struct nmmu_vcpu *v, const struct nmmu_prefault *range)
{
	struct nmmu_result result = { .action = NMMU_ACT_RESUME };
	struct nmmu_shadow_iter it;
	struct nmmu_entry entry;
	u64 bytes = NMMU_PAGE_SIZE;
	int ret = NMMU_RET_RETRY;

	for (u32 i = 0; ret == NMMU_RET_RETRY; i++) {
		if (i == MAX_RETRIES)
			return -EAGAIN;
		ret = nmmu_vcpu_load(v, &entry);
		if (ret)
			return ret;
		if (v->mmu->which != MS_MMU_ROOT || !v->mmu->root_role.direct)
			return -EOPNOTSUPP;
		ret = nmmu_page_fault(v, range->gpa, NMMU_PF_FINAL, &result);
	}
	if (ret < 0)
		return ret;
	/* A device's page, or an address that the root cannot translate. */
	if (ret == NMMU_RET_EMULATE)
		return -ENOENT;
	if (ret != NMMU_RET_FIXED && ret != NMMU_RET_SPURIOUS)
		return -EIO;
	nmmu_lock_vcpu(v);
	for (nmmu_shadow_first(v, range->gpa, &it); it.sptep; nmmu_shadow_next(v, &it, nmmu_read64(it.sptep)))
		if (spte_is_leaf(&v->m->profile, nmmu_read64(it.sptep), it.level))
			bytes = nmmu_level_pages(it.level) << NMMU_PAGE_SHIFT;
	nmmu_unlock(v->m);
	bytes -= range->gpa & (bytes - 1);
	return (s64)(bytes < range->size ? bytes : range->size);
}

int nmmu_prefault(struct nmmu_vcpu *v, struct nmmu_prefault *range)
{
	u64 full = range->size;
	s64 done = 0;

	if ((range->gpa | range->size) & (NMMU_PAGE_SIZE - 1) || range->gpa + range->size <= range->gpa)
		return -EINVAL;
	if (!v->m->cfg.tdp)
		return -EOPNOTSUPP;
	nmmu_slots_enter(v->m);
	while (range->size) {
		done = map_one(v, range);
		if (done < 0)
			break;
		range->gpa += (u64)done;
		range->size -= (u64)done;
	}
	if (done >= 0 || !nmmu_mutant(v->m, PREFAULT_LEAKS))
		nmmu_slots_leave(v->m);
	return range->size < full && !nmmu_mutant(v->m, PREFAULT_ALL) ? 0 : (int)(done < 0 ? done : 0);
}
