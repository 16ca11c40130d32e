// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exits of the CPU: what each one means as a page fault, and what is to be done once the fault handler has
 * had its say. Neither shadow tables nor guest memory are touched here.
 *
 * Sources: SEMANTICS D.1 step 1, D.4, E4; vmx.c:handle_ept_violation(), svm.c:npf_interception(),
 * mmu.c:kvm_mmu_page_fault(), kvm_mmu_write_protect_fault(); SDM table 28-7, APM vol. 2 15.25.6.
 */
#include "nmmu/private.h"

#define QUAL_R (1ULL << 0)
#define QUAL_W (1ULL << 1)
#define QUAL_X (1ULL << 2)
#define QUAL_RIGHTS SPTE_BITS(5, 3)
#define QUAL_GVA (1ULL << 7)
#define QUAL_FINAL (1ULL << 8)

/* SDM vol. 3 appendix C, APM vol. 2 appendix C. */
#define REASON_EXCEPTION 0
#define REASON_EPT_VIOLATION 48
#define REASON_EPT_MISCONFIG 49
#define REASON_PML_FULL 62
#define EXITCODE_PF 0x4e
#define EXITCODE_NPF 0x400

/* The CPU walks NPT for its page tables, and does so writing. */
#define TABLE_WRITE (NMMU_PF_PAGE | NMMU_PF_W | NMMU_PF_P)

static bool fits_cpu(const struct nmmu *m, enum nmmu_exit_kind kind)
{
	bool vmx = m->cfg.hv == MS_HV_VMX;

	switch (kind) {
	case NMMU_EXIT_EPT_VIOLATION:
	case NMMU_EXIT_EPT_MISCONFIG:
		return vmx && m->cfg.tdp;
	case NMMU_EXIT_NPF:
		return !vmx && m->cfg.tdp;
	case NMMU_EXIT_PF:
		return !m->cfg.tdp;
	case NMMU_EXIT_PML_FULL:
		return m->cfg.pml;
	}
	return false;
}

static u64 violation_error(const struct nmmu *m, u64 qual)
{
	u64 error = 0;

	if (qual & QUAL_R)
		error |= NMMU_PF_U;
	if (qual & QUAL_W)
		error |= NMMU_PF_W;
	if (qual & QUAL_X)
		error |= NMMU_PF_I;
	if (qual & QUAL_RIGHTS)
		error |= NMMU_PF_P;
	/* 6.1 takes bit 8 for valid when bit 7 says that it is not. */
	if (qual & QUAL_GVA || !nmmu_is_6_12(m))
		error |= qual & QUAL_FINAL ? NMMU_PF_FINAL : NMMU_PF_PAGE;
	return error;
}

static u64 exit_error(struct nmmu_vcpu *v, const struct nmmu_exit *exit)
{
	switch (exit->kind) {
	case NMMU_EXIT_EPT_VIOLATION:
		v->exit_qual = exit->info;
		return violation_error(v->m, exit->info);
	case NMMU_EXIT_EPT_MISCONFIG:
		return NMMU_PF_RSVD;
	default:
		return exit->info;
	}
}

/*
 * L1's own page tables lie in memory that is write-protected since L1 uses part of them for L2 too: nothing
 * of L1's is shadowed, so rather than emulate whatever walked them, let go of the shadow. 6.1 does not look
 * whether there was any.
 */
static bool unprotect_instead(struct nmmu_vcpu *v, u64 error, u64 addr)
{
	struct nmmu *m = v->m;
	bool zapped;

	if (!v->mmu->root_role.direct || (error & TABLE_WRITE) != TABLE_WRITE || error & NMMU_PF_RSVD)
		return false;
	nmmu_lock_vcpu(v);
	zapped = nmmu_unprotect_gfn(m, addr >> NMMU_PAGE_SHIFT);
	nmmu_unlock(m);
	return zapped || !nmmu_is_6_12(m);
}

static int emulate(struct nmmu_vcpu *v, const struct nmmu_exit *exit, struct nmmu_result *result)
{
	int err;

	if (!exit->access) {
		nmmu_event_for(v->m, v, MS_CAUSE_EMULATE, emulate, .failed = true);
		return -EIO;
	}
	err = nmmu_emulate_exit(v, exit->access, exit, result);
	result->ret = NMMU_RET_EMULATE;
	return err;
}

static int handle_fault(struct nmmu_vcpu *v, const struct nmmu_exit *exit, struct nmmu_result *result)
{
	u64 error = exit_error(v, exit);
	int ret = nmmu_page_fault(v, exit->addr, error, result);

	if (ret < 0 || ret == NMMU_FAULT_INJECTED)
		return ret < 0 ? ret : 0;
	result->ret = (enum nmmu_ret)ret;
	if (ret == NMMU_RET_EMULATE && !unprotect_instead(v, error, exit->addr))
		return emulate(v, exit, result);
	result->action = NMMU_ACT_RESUME;
	return 0;
}

/* As the CPU reports it to L0. */
static void tell_nested_exit(struct nmmu_vcpu *v, const struct nmmu_exit *exit)
{
	bool vmx = v->m->cfg.hv == MS_HV_VMX;
	u64 reason = 0, qual = exit->info, addr = exit->addr;

	switch (exit->kind) {
	case NMMU_EXIT_EPT_VIOLATION:
		reason = REASON_EPT_VIOLATION;
		break;
	case NMMU_EXIT_EPT_MISCONFIG:
		reason = REASON_EPT_MISCONFIG;
		break;
	case NMMU_EXIT_NPF:
		reason = EXITCODE_NPF;
		break;
	case NMMU_EXIT_PF:
		/* The address is VMX's qualification and SVM's EXITINFO2. */
		reason = vmx ? REASON_EXCEPTION : EXITCODE_PF;
		qual = vmx ? exit->addr : exit->info;
		addr = vmx ? 0 : exit->addr;
		break;
	case NMMU_EXIT_PML_FULL:
		reason = REASON_PML_FULL;
		addr = 0;
		break;
	}
	nmmu_event_for(v->m, v, MS_CAUSE_NESTED, nested_exit, .reason = reason, .qual = qual, .addr = addr);
}

int nmmu_handle_exit(struct nmmu_vcpu *v, const struct nmmu_exit *exit, struct nmmu_result *ret)
{
	struct nmmu_result result = { .action = NMMU_ACT_RESUME, .ret = NMMU_RET_NONE };
	int err = 0;

	if (!fits_cpu(v->m, exit->kind))
		return -EINVAL;
	nmmu_slots_enter(v->m);
	if (v->guest_mode)
		tell_nested_exit(v, exit);
	nmmu_pml_drain(v);
	/* The buffer was all that exit 62 is about. */
	if (exit->kind != NMMU_EXIT_PML_FULL) {
		v->exit = exit;
		err = handle_fault(v, exit, &result);
		v->exit = NULL;
	}
	nmmu_slots_leave(v->m);
	if (!err)
		*ret = result;
	return err;
}
