// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults on SPTEs that stand for a device (D.1 step 2), and the one-page cache each vCPU keeps of the last
 * device page it met. It emulates nothing.
 *
 * Sources: SEMANTICS D.1 step 2, B.3 (MMIO generation), F (memslot generation);
 * mmu.c:handle_mmio_page_fault(), x86.h:vcpu_cache_mmio_info().
 */
#include "nmmu/private.h"

static u64 generation_of(const struct nmmu_vcpu *v)
{
	return nmmu_generation(v->m, v->regs.smm);
}

void nmmu_mmio_cache_fill(struct nmmu_vcpu *v, u64 gva, u64 gfn, u32 access)
{
	u64 gen = generation_of(v);

	if (gen & NMMU_GEN_UPDATE && !nmmu_mutant(v->m, MMIO_CACHE_IN_UPDATE))
		return;
	/* Under nested paging what comes as the address is an nGPA: no GVA is known. */
	v->mmio_gva = v->walk_mmu == &v->nested_mmu ? 0 : gva & ~(u64)(NMMU_PAGE_SIZE - 1);
	v->mmio_gfn = gfn;
	v->mmio_access = (u8)access;
	v->mmio_gen = gen;
	v->mmio_valid = true;
}

/* As in KVM the frame outlives an invalidation of the address: it is the generation that ends it. */
void nmmu_mmio_cache_clear(struct nmmu_vcpu *v, bool all, u64 gva)
{
	if (all || v->mmio_gva == (gva & ~(u64)(NMMU_PAGE_SIZE - 1)))
		v->mmio_gva = 0;
}

bool nmmu_mmio_cache_has_gpa(const struct nmmu_vcpu *v, u64 gpa)
{
	return v->mmio_valid && v->mmio_gen == generation_of(v) && v->mmio_gfn &&
	       v->mmio_gfn == gpa >> NMMU_PAGE_SHIFT;
}

bool nmmu_mmio_cache_has_gva(const struct nmmu_vcpu *v, u64 gva)
{
	return v->mmio_valid && v->mmio_gen == generation_of(v) && v->mmio_gva &&
	       v->mmio_gva == (gva & ~(u64)(NMMU_PAGE_SIZE - 1));
}

static bool in_cache(const struct nmmu_vcpu *v, u64 addr, bool direct)
{
	if (v->walk_mmu == &v->nested_mmu)
		return false;
	return direct ? nmmu_mmio_cache_has_gpa(v, addr) : nmmu_mmio_cache_has_gva(v, addr);
}

int nmmu_mmio_fault(struct nmmu_vcpu *v, u64 addr)
{
	struct nmmu *m = v->m;
	const struct spte_profile *p = &m->profile;
	bool direct = v->mmu->root_role.direct;
	struct nmmu_shadow_iter it;
	u64 spte = 0, gen;
	u32 shift = 64 - p->gen_low_bits - p->gen_high_bits;

	if (in_cache(v, addr, direct))
		return NMMU_RET_EMULATE;

	nmmu_lockless_begin(v);
	for (nmmu_shadow_first(v, addr, &it); it.sptep; nmmu_shadow_next(v, &it, spte))
		spte = nmmu_read64(it.sptep);
	nmmu_lockless_end(v);

	if (!spte_is_mmio(p, spte))
		return NMMU_RET_RETRY; /* zapped meanwhile: let it fault again */

	gen = generation_of(v);
	if (gen & NMMU_GEN_UPDATE || spte_mmio_gen(p, spte) != gen << shift >> shift)
		return NMMU_RET_NONE;
	nmmu_mmio_cache_fill(v, direct ? 0 : addr, spte_mmio_gfn(p, spte), spte_mmio_access(p, spte));
	return NMMU_RET_EMULATE;
}
