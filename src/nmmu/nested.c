// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults that go to the guest (SEMANTICS D.2-D.4): what is invalidated first, and what L1 or the guest at
 * work is told, bit by bit; and the way back from L2 to L1. Finds no faults itself: walk.c does.
 *
 * Sources: Intel SDM vol. 3 table 28-7 (exit qualification); AMD APM vol. 2 15.25.6 (EXITINFO1); SEMANTICS
 * D1, D3, D4.
 */
#include "nmmu/private.h"

#define REASON_PF 14
#define REASON_EPT_VIOLATION 48
#define REASON_EPT_MISCONFIG 49
#define REASON_PML_FULL 62
#define REASON_NPF 0x400

#define QUAL_ACCESS 7u
#define QUAL_GVA_BITS (1ULL << 7 | 1ULL << 8)
#define QUAL_NMI_UNBLOCK (1ULL << 12)

#define PFERR_STAGE (NMMU_PF_FINAL | NMMU_PF_PAGE)
#define PFERR_LOW 0xffffffffULL

/* Which EPT table an EPTP names: what the CPU tags translations with (D3). */
#define EP4TA SPTE_BITS(51, 12)

struct inject {
	struct nmmu_vcpu *v;
	const struct nmmu_walk_fault *fault;
	const struct nmmu_exit *exit;
	bool from_cpu; /* the fault is that of exit; else of an access of the emulator */
};

static bool exit_is(const struct inject *in, enum nmmu_exit_kind kind)
{
	return in->exit && in->exit->kind == kind;
}

/* What the last EPT violation said: what 6.1 passes on where it has nothing newer. */
static u64 last_qual(const struct inject *in)
{
	return exit_is(in, NMMU_EXIT_EPT_VIOLATION) ? in->exit->info : in->v->exit_qual;
}

static u64 violation_qual(const struct inject *in)
{
	const struct nmmu_config *cfg = &in->v->m->cfg;
	u64 qual = in->fault->qual, bits = qual & QUAL_GVA_BITS;

	if (nmmu_bug_on(in->v->m, STALE_QUAL))
		qual = (qual & ~(u64)QUAL_ACCESS) | (last_qual(in) & QUAL_ACCESS);
	if (cfg->compat && cfg->kernel == NMMU_6_1)
		bits = last_qual(in) & QUAL_GVA_BITS;
	else if (in->from_cpu && (exit_is(in, NMMU_EXIT_EPT_VIOLATION) || cfg->compat))
		/* 6.12 reads the field though an exit 49 leaves other things there (D4). */
		bits = in->exit->info & QUAL_GVA_BITS;
	if (nmmu_mutant(in->v->m, ALWAYS_FINAL))
		bits |= QUAL_GVA_BITS;
	return (qual & ~QUAL_GVA_BITS) | bits;
}

static u64 misconfig_qual(const struct inject *in)
{
	const struct nmmu_config *cfg = &in->v->m->cfg;

	return cfg->compat && cfg->kernel == NMMU_6_1 ? last_qual(in) : 0;
}

/* EXITINFO1 and EXITINFO2. */
static void npf_info(const struct inject *in, struct nmmu_result *ret)
{
	const struct nmmu_walk_fault *f = in->fault;
	u64 stage = f->error & PFERR_STAGE;

	ret->addr = f->addr;
	if (exit_is(in, NMMU_EXIT_NPF) && (in->from_cpu || in->v->m->cfg.compat)) {
		/* KVM takes these from the CPU even when the fault is another one (D.4). */
		stage = in->exit->info & ~PFERR_LOW;
		ret->addr = in->exit->addr;
	} else if (in->v->m->cfg.compat) {
		stage = NMMU_PF_FINAL;
	} else if (!stage) {
		stage = f->table ? NMMU_PF_PAGE : NMMU_PF_FINAL;
	}
	if (nmmu_mutant(in->v->m, NPF_ALWAYS_FINAL))
		stage = NMMU_PF_FINAL;
	ret->qual = (f->error & PFERR_LOW) | stage;
	if (nmmu_mutant(in->v->m, NPF_CODE_OF_CPU) && exit_is(in, NMMU_EXIT_NPF) &&
	    in->exit->info & NMMU_PF_RSVD)
		ret->qual = (in->exit->info & PFERR_LOW) | stage;
}

/* Previous roots whose EPTP names the same tables as the current one. */
static u32 same_ep4ta(const struct nmmu_mmu *mmu)
{
	u32 i, mask = 0;

	for (i = 0; i < MS_NR_PREV_ROOTS; i++) {
		if (mmu->prev[i].hpa != NMMU_NO_PAGE && !((mmu->prev[i].pgd ^ mmu->guest_pgd) & EP4TA))
			mask |= 1u << i;
	}
	return mask;
}

/*
 * Forget an MMIO SPTE for this nGPA, so that the access comes back as an exit 48 that says what it is (D4).
 */
static void drop_mmio_spte(struct nmmu_vcpu *v, u64 ngpa)
{
	struct nmmu *m = v->m;
	struct nmmu_sp *sp;

	nmmu_lock_vcpu(v);
	sp = nmmu_sp_by_pa(m, v->guest_mmu.root.hpa);
	while (sp) {
		u32 level = sp->role.level;
		u64 *sptep = &sp->spt[ngpa >> (NMMU_PAGE_SHIFT + 9 * (level - 1)) & 511];
		u64 spte = nmmu_read64(sptep);

		if (spte_is_mmio(&m->profile, spte)) {
			nmmu_spte_clear(m, sptep, MS_CAUSE_MMIO_GEN);
			break;
		}
		if (!spte_is_mmu_present(&m->profile, spte) || spte_is_leaf(&m->profile, spte, level))
			break;
		sp = nmmu_sp_by_pa(m, spte_pfn(&m->profile, spte) << NMMU_PAGE_SHIFT);
	}
	nmmu_unlock(m);
}

static void finish(struct inject *in, struct nmmu_result *ret)
{
	struct nmmu_vcpu *v = in->v;
	u64 reason = ret->action == NMMU_ACT_PF ? REASON_PF : ret->reason;

	nmmu_add64(&v->m->stats.injected, 1);
	nmmu_event(v->m, v, inject, .reason = reason, .qual = ret->qual, .addr = ret->addr,
		   .unbacked = in->fault->unbacked);
	if (ret->action == NMMU_ACT_EXIT_L1)
		nmmu_leave_guest(v);
}

static void inject_nested(struct inject *in, struct nmmu_result *ret)
{
	const struct nmmu_walk_fault *f = in->fault;
	struct nmmu_vcpu *v = in->v;
	bool ept = v->m->cfg.hv == MS_HV_VMX;

	if (ept && !f->misconfig && !f->pml_full && !(f->qual & QUAL_ACCESS) && !v->m->cfg.compat &&
	    !nmmu_mutant(v->m, NO_ACCESS)) {
		drop_mmio_spte(v, f->addr);
		ret->action = NMMU_ACT_RESUME;
		return;
	}
	ret->action = NMMU_ACT_EXIT_L1;
	/* D3, in this order. */
	if ((f->error & NMMU_PF_P) && !(f->error & NMMU_PF_RSVD))
		nmmu_invalidate_addr(v, &v->guest_mmu, f->addr, true, 0);
	if (!ept) {
		ret->reason = REASON_NPF;
		npf_info(in, ret);
		finish(in, ret);
		return;
	}
	if (!f->pml_full) {
		u32 prev = same_ep4ta(&v->guest_mmu);

		if (prev)
			nmmu_invalidate_addr(v, &v->guest_mmu, f->addr, false, prev);
	}
	ret->addr = f->addr;
	if (f->pml_full) {
		ret->reason = REASON_PML_FULL;
		ret->qual = exit_is(in, NMMU_EXIT_EPT_VIOLATION) && nmmu_is_6_12(v->m)
				    ? in->exit->info & QUAL_NMI_UNBLOCK
				    : 0;
	} else if (f->misconfig) {
		ret->reason = REASON_EPT_MISCONFIG;
		ret->qual = misconfig_qual(in);
	} else {
		ret->reason = REASON_EPT_VIOLATION;
		ret->qual = violation_qual(in);
	}
	finish(in, ret);
}

static void inject(struct inject *in, struct nmmu_result *ret)
{
	const struct nmmu_walk_fault *f = in->fault;
	struct nmmu_vcpu *v = in->v;

	nmmu_zero(ret, sizeof(*ret));
	ret->ret = NMMU_RET_NONE;
	if (f->nested) {
		inject_nested(in, ret);
		return;
	}
	ret->action = NMMU_ACT_PF;
	ret->qual = f->error & PFERR_LOW;
	ret->addr = f->addr;
	/* nested_mmu owns no SPTEs (A1); for tdp, the guest's own paging has none either. */
	if ((f->error & NMMU_PF_P) && !(f->error & NMMU_PF_RSVD) && v->walk_mmu == &v->root_mmu &&
	    !v->root_mmu.root_role.direct)
		nmmu_invalidate_addr(v, &v->root_mmu, f->addr, true, 0);
	finish(in, ret);
}

void nmmu_inject(struct nmmu_vcpu *v, const struct nmmu_walk_fault *fault, const struct nmmu_exit *exit,
		 struct nmmu_result *ret)
{
	struct inject in = { .v = v, .fault = fault, .exit = exit, .from_cpu = exit != NULL };

	inject(&in, ret);
}

void nmmu_inject_emulated(struct nmmu_vcpu *v, const struct nmmu_walk_fault *fault,
			  const struct nmmu_exit *exit, struct nmmu_result *ret)
{
	struct inject in = { .v = v, .fault = fault, .exit = exit };

	inject(&in, ret);
}

void nmmu_leave_guest(struct nmmu_vcpu *v)
{
	if (!v->guest_mode)
		return;
	v->guest_mode = false;
	v->regs = v->l1;
	v->mmu = &v->root_mmu;
	v->walk_mmu = &v->root_mmu;
	nmmu_copy(v->root_mmu.pdptrs, v->l1_pdptrs, sizeof(v->l1_pdptrs));
	nmmu_init_root_mmu(v);
	/* Finds by role and pgd whether L1's root is still the current one or among the previous (C6). */
	nmmu_root_new_pgd(v, v->regs.cr3);
	nmmu_nested_transition(v);
}
