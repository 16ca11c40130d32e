// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Roles (SEMANTICS C.1-C.3): from what the guest wrote into its control registers to the CPU role, the root
 * role, the format of the tables behind each MMU and their root. Roots themselves are not touched: whoever
 * calls these tells root.c the new pgd afterwards, and root.c finds by role.word that a root no longer fits
 * (C6).
 *
 *   L1, or L2 without nested paging   root_mmu                   direct (TDP) or shadow
 *   L2 under EPT12, NPT12             guest_mmu, and nested_mmu, which has L2's tables and never a root (A1)
 */
#include "nmmu/private.h"
#include "nmmu/x86.h"

#define EPTP_AD (1ULL << 6)
#define EPTP_LEVELS_SHIFT 3

static struct nmmu_cpu_role calc_cpu_role(const struct nmmu_regs *regs, bool smm, bool guest_mode)
{
	bool wp = regs->cr0 & CR0_WP, pae = regs->cr4 & CR4_PAE;
	bool smep = regs->cr4 & CR4_SMEP, smap = regs->cr4 & CR4_SMAP;
	/* Registers are as the guest wrote them: the CPU sets LMA when paging comes on under LME. */
	bool lma = pae && (regs->efer & (EFER_LMA | EFER_LME));
	struct nmmu_cpu_role role = { .ext.word = 0 };

	role.base.access = NMMU_ACC_ALL;
	role.base.smm = smm;
	role.base.guest_mode = guest_mode;
	role.ext.valid = 1;
	if (!(regs->cr0 & CR0_PG)) {
		role.base.direct = 1;
		return role;
	}

	role.base.efer_nx = (regs->efer & EFER_NX) != 0;
	role.base.cr0_wp = wp;
	role.base.smep_andnot_wp = smep && !wp;
	role.base.smap_andnot_wp = smap && !wp;
	role.base.has_4_byte_gpte = !pae;
	role.base.level = lma ? (regs->cr4 & CR4_LA57 ? 5 : 4) : (pae ? 3 : 2);
	role.ext.cr4_smep = smep;
	role.ext.cr4_smap = smap;
	role.ext.cr4_pse = (regs->cr4 & CR4_PSE) != 0;
	role.ext.cr4_pke = lma && (regs->cr4 & CR4_PKE);
	role.ext.cr4_la57 = lma && (regs->cr4 & CR4_LA57);
	role.ext.efer_lma = lma;
	return role;
}

/* The x86 tables that a CPU role describes. */
static void set_fmt(const struct nmmu *m, struct nmmu_mmu *mmu)
{
	static const u8 kinds[] = { NMMU_GPT_NONE, NMMU_GPT_NONE, NMMU_GPT_32,
				    NMMU_GPT_PAE,  NMMU_GPT_64,	  NMMU_GPT_LA57 };
	const struct nmmu_cpu_role *role = &mmu->cpu_role;
	struct nmmu_gfmt *fmt = &mmu->fmt;

	*fmt = (struct nmmu_gfmt){
		.kind = kinds[role->base.level],
		.levels = (u8)role->base.level,
		.phys_bits = m->cfg.guest_phys_bits,
		/* 4-byte entries have no NX bit, yet KVM's error code of a fetch depends on EFER alone. */
		.nx = role->base.efer_nx && (m->cfg.compat || !role->base.has_4_byte_gpte),
		.wp = role->base.cr0_wp,
		.pse = role->ext.cr4_pse,
		.smep = role->ext.cr4_smep,
		.smap = role->ext.cr4_smap,
		.gbpages = m->cfg.gbpages,
		.amd = m->cfg.hv == MS_HV_SVM,
		.ad = role->base.level != 0,
	};
	nmmu_gfmt_finish(fmt);
}

/* Levels of the tables under which a guest runs when the CPU translates its physical addresses. */
static u32 tdp_level(const struct nmmu *m)
{
	if (m->cfg.hv == MS_HV_SVM)
		return m->cfg.la57 ? 5 : 4; /* NPT has the host's paging mode */
	return m->cfg.la57 && m->cfg.guest_phys_bits > 48 ? 5 : 4;
}

static union nmmu_role tdp_root_role(const struct nmmu *m, const struct nmmu_cpu_role *cpu)
{
	union nmmu_role role = { .word = 0 };

	role.access = NMMU_ACC_ALL;
	role.cr0_wp = 1;
	role.efer_nx = 1;
	role.smm = cpu->base.smm;
	role.guest_mode = cpu->base.guest_mode;
	role.ad_disabled = m->cfg.hv == MS_HV_VMX && !m->cfg.ad;
	role.level = tdp_level(m);
	role.direct = 1;
	return role;
}

static union nmmu_role shadow_root_role(const struct nmmu_cpu_role *cpu)
{
	union nmmu_role role = cpu->base;

	if (role.level < 3)
		role.level = 3; /* PAE for all that is not long mode */
	/* KVM runs a shadowed guest with EFER.NX on, whatever the guest says. */
	role.efer_nx = 1;
	return role;
}

void nmmu_init_root_mmu(struct nmmu_vcpu *v)
{
	struct nmmu_mmu *mmu = &v->root_mmu;

	mmu->which = MS_MMU_ROOT;
	mmu->cpu_role = calc_cpu_role(&v->regs, v->regs.smm, v->guest_mode);
	mmu->root_role =
		v->m->cfg.tdp ? tdp_root_role(v->m, &mmu->cpu_role) : shadow_root_role(&mmu->cpu_role);
	mmu->guest_pgd = v->regs.cr3;
	set_fmt(v->m, mmu);
}

void nmmu_init_shadow_ept(struct nmmu_vcpu *v, u64 eptp)
{
	struct nmmu_mmu *mmu = &v->guest_mmu;
	const struct nmmu_config *cfg = &v->m->cfg;
	u32 level = (u32)(eptp >> EPTP_LEVELS_SHIFT & 7) + 1;
	struct nmmu_cpu_role role = { .ext.word = 0 };

	/* B3 was checked at entry; 4 whatever comes here keeps the walker within its arrays. */
	if (level != 5)
		level = 4;
	/* EPT does not consume CR0, CR4 or EFER, and L2 under it is never in SMM. */
	role.base.level = level;
	role.base.access = NMMU_ACC_ALL;
	role.base.guest_mode = 1;
	role.base.ad_disabled = !(eptp & EPTP_AD);
	role.ext.execonly = cfg->exec_only;
	role.ext.valid = 1;

	mmu->which = MS_MMU_GUEST;
	mmu->cpu_role = role;
	mmu->root_role = role.base;
	mmu->guest_pgd = eptp;
	mmu->fmt = (struct nmmu_gfmt){
		.kind = NMMU_GPT_EPT,
		.levels = (u8)level,
		.phys_bits = cfg->guest_phys_bits,
		.gbpages = cfg->gbpages,
		.ad = (eptp & EPTP_AD) != 0,
		.exec_only = cfg->exec_only,
	};
	if (nmmu_mutant(v->m, EXEC_ONLY_ALWAYS))
		mmu->fmt.exec_only = true;
	if (nmmu_mutant(v->m, EXEC_ONLY_NEVER))
		mmu->fmt.exec_only = false;
	nmmu_gfmt_finish(&mmu->fmt);
	if (nmmu_mutant(v->m, RSVD_ONE_SHORT)) {
		mmu->fmt.rsvd[1][1] &= ~SPTE_BIT(20);
		mmu->fmt.rsvd[1][2] &= ~SPTE_BIT(29);
	}
}

void nmmu_init_shadow_npt(struct nmmu_vcpu *v, const struct nmmu_regs *l1, u64 ncr3)
{
	struct nmmu_mmu *mmu = &v->guest_mmu;
	/* The format follows L1's CR4 and EFER; its CR0 is not asked, PG is a condition of VMRUN. */
	struct nmmu_regs regs = {
		.cr0 = CR0_PG,
		.cr4 = l1->cr4 & ~CR4_PKE,
		.efer = l1->efer,
	};

	if (nmmu_mutant(v->m, NPT_ALWAYS_SMEP))
		regs.cr4 |= CR4_SMEP | CR4_SMAP;
	if (nmmu_mutant(v->m, NPT_NEVER_SMEP))
		regs.cr4 &= ~(CR4_SMEP | CR4_SMAP);
	mmu->which = MS_MMU_GUEST;
	mmu->cpu_role = calc_cpu_role(&regs, v->regs.smm, true);
	mmu->root_role = mmu->cpu_role.base;
	mmu->root_role.level = tdp_level(v->m);
	/* C2: without the bit, a change of LA57 leaves the role, and hence the root, the same. */
	if (mmu->root_role.level == 5 && mmu->cpu_role.base.level == 4 && !nmmu_bug_on(v->m, LA57_ROOT))
		mmu->root_role.passthrough = 1;
	mmu->guest_pgd = ncr3;
	set_fmt(v->m, mmu);
}

void nmmu_init_nested_mmu(struct nmmu_vcpu *v)
{
	struct nmmu_mmu *mmu = &v->nested_mmu;

	mmu->which = MS_MMU_NESTED;
	mmu->cpu_role = calc_cpu_role(&v->regs, v->regs.smm, true);
	mmu->root_role.word = 0;
	mmu->guest_pgd = v->regs.cr3;
	set_fmt(v->m, mmu);
}
