// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU: its beginning and end, its control registers, entering and leaving L2, and what the CPU is to run
 * on next. Roles come from role.c and roots from root.c; here is when they are asked for, and what was
 * refused before.
 *
 * Sources: SEMANTICS A1, A2, B1a, B3, C.2, E4, E.2; x86.c:load_pdptrs(), kvm_post_set_cr0(),
 * vcpu_enter_guest(); vmx/nested.c:nested_vmx_check_eptp(), nested_vmx_load_cr3(); SDM vol. 3 4.4.1,
 * 26.3.1.
 */
#include "nmmu/private.h"
#include "nmmu/x86.h"

/* What roles are made of (KVM_MMU_*_ROLE_BITS). */
#define ROLE_CR0 (CR0_PG | CR0_WP)
#define ROLE_CR4 (CR4_PSE | CR4_PAE | CR4_LA57 | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define ROLE_EFER (EFER_LMA | EFER_NX)

#define PDPTE_P 1ULL
#define EPTP_MT 7ULL
#define EPTP_UC 0ULL
#define EPTP_WB 6ULL
#define EPTP_LEVELS_SHIFT 3
#define EPTP_AD (1ULL << 6)

#define ALL_PREV ((1u << MS_NR_PREV_ROOTS) - 1)
#define PML_LAST 511

/* --- beginning and end --- */

int nmmu_vcpu_create(struct nmmu *m, struct nmmu_vcpu **ret)
{
	struct nmmu_vcpu *v = m->ops->alloc(m->host, sizeof(*v));
	struct nmmu_vcpu **tail;

	if (!v)
		return -ENOMEM;
	v->m = m;
	if (nmmu_roots_init(v) || (m->cfg.pml && m->ops->page_alloc(m->host, &v->pml))) {
		m->ops->free(m->host, v);
		return -ENOMEM;
	}
	v->pml_index = PML_LAST;
	v->regs.cr0 = CR0_RESET;
	v->mmu = &v->root_mmu;
	v->walk_mmu = &v->root_mmu;
	v->guest_mmu.which = MS_MMU_GUEST;
	v->nested_mmu.which = MS_MMU_NESTED;
	nmmu_init_root_mmu(v);

	nmmu_lock(m);
	if (m->nr_vcpus == NMMU_MAX_VCPUS) {
		nmmu_unlock(m);
		nmmu_vcpu_destroy(v);
		return -EINVAL;
	}
	v->id = m->nr_vcpus++;
	v->ident = 0xffff888800000000ULL + ((u64)v->id << 14);
	for (tail = &m->vcpus; *tail; tail = &(*tail)->next)
		;
	*tail = v;
	nmmu_unlock(m);
	*ret = v;
	return 0;
}

void nmmu_vcpu_destroy(struct nmmu_vcpu *v)
{
	struct nmmu *m = v->m;

	v->cause = MS_CAUSE_TEARDOWN;
	nmmu_roots_deinit(v);
	nmmu_cache_free(m, &v->cache);
	if (v->pml.va)
		m->ops->page_free(m->host, v->pml);
	m->ops->free(m->host, v);
}

/* --- registers --- */

static u64 rsvd_pa(const struct nmmu *m)
{
	return ~0ULL << m->cfg.guest_phys_bits;
}

/* What a MOV to CR0, CR3, CR4 or WRMSR of these values would refuse, as far as paging is concerned. */
static bool regs_ok(const struct nmmu *m, const struct nmmu_regs *regs)
{
	bool lma = regs->efer & EFER_LMA;

	if (!(regs->cr0 & CR0_PG))
		return true;
	if (!(regs->cr0 & CR0_PE) || (lma && !(regs->cr4 & CR4_PAE)))
		return false;
	return !(regs->cr3 & (lma ? rsvd_pa(m) : ~0ULL << 32));
}

/* LMA is the CPU's own: paging under LME. */
static struct nmmu_regs settled(const struct nmmu_regs *regs)
{
	struct nmmu_regs r = *regs;

	r.efer &= ~EFER_LMA;
	if (r.cr0 & CR0_PG && r.efer & EFER_LME)
		r.efer |= EFER_LMA;
	return r;
}

static bool is_pae_paging(const struct nmmu_regs *regs)
{
	return regs->cr0 & CR0_PG && regs->cr4 & CR4_PAE && !(regs->efer & EFER_LMA);
}

/* CR3 of L2 under nested paging is an nGPA; what the CPU reads there goes through L1's tables. */
static bool pdpt_gpa(struct nmmu_vcpu *v, u64 addr, u64 *gpa_ret)
{
	const struct nmmu_gfmt *fmt = &v->guest_mmu.fmt;
	struct nmmu_walk w;
	u64 pferr = NMMU_PF_U | NMMU_PF_PAGE;

	if (v->walk_mmu != &v->nested_mmu) {
		*gpa_ret = addr;
		return true;
	}
	if (fmt->kind != NMMU_GPT_EPT || fmt->ad)
		pferr |= NMMU_PF_W;
	if (nmmu_walk(v, &v->guest_mmu, addr, pferr, NMMU_WALK_SET_AD, &w, NULL) != 1)
		return false;
	*gpa_ret = w.gfn << NMMU_PAGE_SHIFT | (addr & (NMMU_PAGE_SIZE - 1));
	return true;
}

/* B1a: the only place where reserved bits of a PDPTE count. */
static bool read_pdptrs(struct nmmu_vcpu *v, u64 cr3, u64 *pdptrs)
{
	u64 rsvd = rsvd_pa(v->m) | SPTE_BITS(8, 5) | SPTE_BITS(2, 1);
	u64 gpa;
	u32 i;

	if (!pdpt_gpa(v, cr3 & SPTE_BITS(31, 5), &gpa) ||
	    nmmu_gpa_read(v->m, v->regs.smm, gpa, pdptrs, 4 * sizeof(*pdptrs)))
		return false;
	for (i = 0; i < 4; i++) {
		if (pdptrs[i] & PDPTE_P && pdptrs[i] & rsvd)
			return false;
	}
	return true;
}

static void request(struct nmmu_vcpu *v, u32 requests)
{
	nmmu_lock_vcpu(v);
	v->requests |= requests;
	nmmu_unlock(v->m);
}

static void use_pdptrs(struct nmmu_vcpu *v, const u64 *pdptrs)
{
	struct nmmu_mmu *mmu = v->walk_mmu;
	bool same = true;
	u32 i;

	for (i = 0; i < 4; i++) {
		same &= mmu->pdptrs[i] == pdptrs[i];
		mmu->pdptrs[i] = pdptrs[i];
	}
	/* A shadowed PAE guest's are part of its root. */
	if (!same && !v->m->cfg.tdp)
		nmmu_root_free(v, mmu, true, 0, MS_CAUSE_CR3);
}

static void init_walk_mmu(struct nmmu_vcpu *v)
{
	if (v->walk_mmu == &v->nested_mmu)
		nmmu_init_nested_mmu(v);
	else
		nmmu_init_root_mmu(v);
}

/*
 * Roots made for another role are of no use for long, and KVM drops them all. CR0.WP alone changes nothing
 * that TDP depends on.
 */
static void role_changed(struct nmmu_vcpu *v, const struct nmmu_regs *old)
{
	const struct nmmu_regs *now = &v->regs;
	u64 cr0 = (old->cr0 ^ now->cr0) & ROLE_CR0;
	bool other = ((old->cr4 ^ now->cr4) & ROLE_CR4) || ((old->efer ^ now->efer) & ROLE_EFER) ||
		     old->smm != now->smm;

	if (!cr0 && !other)
		return;
	if (other || cr0 != CR0_WP || !v->m->cfg.tdp) {
		nmmu_root_free(v, &v->root_mmu, true, ALL_PREV, MS_CAUSE_ROLE);
		nmmu_root_free(v, &v->guest_mmu, true, ALL_PREV, MS_CAUSE_ROLE);
	}
}

static int set_regs(struct nmmu_vcpu *v, const struct nmmu_regs *regs)
{
	struct nmmu_regs old = v->regs;
	struct nmmu_regs now = settled(regs);
	u64 pdptrs[4];

	/* An SMI ends L2 first: its pages are those of address space 0 (C.2). */
	if (!regs_ok(v->m, &now) || (v->guest_mode && now.smm))
		return -EINVAL;
	if (is_pae_paging(&now)) {
		if (!read_pdptrs(v, now.cr3, pdptrs))
			return -EINVAL;
		use_pdptrs(v, pdptrs);
	}
	v->regs = now;
	role_changed(v, &old);
	init_walk_mmu(v);
	if (now.cr3 == old.cr3 || v->walk_mmu == &v->nested_mmu)
		return 0;
	nmmu_root_new_pgd(v, now.cr3);
	/* MOV to CR3 without NOFLUSH. Previous roots are synced when they are switched to, by this. */
	if (!v->m->cfg.tdp)
		request(v, NMMU_REQ_SYNC | NMMU_REQ_FLUSH);
	return 0;
}

int nmmu_set_regs(struct nmmu_vcpu *v, const struct nmmu_regs *regs)
{
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_CR3);
	int err;

	nmmu_slots_enter(v->m);
	err = set_regs(v, regs);
	nmmu_slots_leave(v->m);
	v->cause = was;
	return err;
}

/* --- L2 --- */

bool nmmu_eptp_ok(const struct nmmu *m, u64 eptp)
{
	u64 mt = eptp & EPTP_MT;
	u64 levels = (eptp >> EPTP_LEVELS_SHIFT & 7) + 1;

	if (mt != EPTP_UC && mt != EPTP_WB)
		return false;
	if (levels != 4 && !(levels == 5 && m->cfg.la57))
		return false;
	if (eptp & EPTP_AD && !m->cfg.ad)
		return false;
	return !(eptp & (rsvd_pa(m) | SPTE_BITS(11, 7)));
}

/*
 * L1 has five levels in NPT12, and NPT02 has four: what lies above 48 bits could not be told from what lies
 * below. KVM shows such an L1 a CPU without LA57.
 */
static bool npt_is_too_wide(const struct nmmu *m, const struct nmmu_regs *l1)
{
	return l1->cr4 & CR4_LA57 && l1->efer & EFER_LMA && !m->cfg.la57;
}

static bool nested_ok(const struct nmmu_vcpu *v, const struct nmmu_nested *nested)
{
	const struct nmmu *m = v->m;

	switch (nested->kind) {
	case NMMU_NESTED_OFF:
		return true;
	case NMMU_NESTED_EPT:
		if (m->cfg.hv != MS_HV_VMX || !m->cfg.tdp || !nmmu_eptp_ok(m, nested->root))
			return false;
		/* PML12 needs the A/D bits that it logs (SDM 26.2.1.1). */
		return !nested->pml ||
		       (nested->root & EPTP_AD && !(nested->pml_addr & (rsvd_pa(m) | (NMMU_PAGE_SIZE - 1))));
	case NMMU_NESTED_NPT:
		return m->cfg.hv == MS_HV_SVM && m->cfg.tdp && !(nested->root & rsvd_pa(m)) &&
		       !npt_is_too_wide(m, &v->regs);
	}
	return false;
}

/* The MMUs of A1 or A2 for what v->nested asks; roots are switched by the caller. */
static void enter_mmus(struct nmmu_vcpu *v)
{
	switch (v->nested.kind) {
	case NMMU_NESTED_EPT:
		nmmu_init_shadow_ept(v, v->nested.root);
		break;
	case NMMU_NESTED_NPT:
		nmmu_init_shadow_npt(v, &v->l1, v->nested.root);
		break;
	case NMMU_NESTED_OFF:
		v->mmu = &v->root_mmu;
		v->walk_mmu = &v->root_mmu;
		return;
	}
	v->mmu = &v->guest_mmu;
	v->walk_mmu = &v->nested_mmu;
}

/*
 * SVM: no TLB entry is kept across, for L1's and L2's share an ASID; and guest tables may have been changed
 * by the other. With shadow paging the CR3 load of the transition does the same.
 */
void nmmu_nested_transition(struct nmmu_vcpu *v)
{
	if (v->m->cfg.hv == MS_HV_SVM || !v->m->cfg.tdp)
		request(v, NMMU_REQ_SYNC | NMMU_REQ_FLUSH);
}

static int nested_enter(struct nmmu_vcpu *v, const struct nmmu_nested *nested)
{
	struct nmmu_regs l2 = settled(&nested->l2);
	struct nmmu_mmu old_guest = v->guest_mmu;
	u64 pdptrs[4];

	if (v->guest_mode || !nested_ok(v, nested) || !regs_ok(v->m, &l2))
		return -EINVAL;
	/* VMX is off in SMM, VMRUN undefined. */
	if (v->regs.smm || l2.smm)
		return -EINVAL;
	v->l1 = v->regs;
	nmmu_copy(v->l1_pdptrs, v->root_mmu.pdptrs, sizeof(v->l1_pdptrs));
	v->nested = *nested;
	v->nested.l2 = l2;
	v->guest_mode = true;
	v->regs = l2;
	enter_mmus(v);
	if (is_pae_paging(&l2)) {
		/*
		 * Under nested paging their addresses are L2's: the second stage must be there to read
		 * them.
		 */
		if (!read_pdptrs(v, l2.cr3, pdptrs)) {
			v->guest_mode = false;
			v->regs = v->l1;
			v->mmu = v->walk_mmu = &v->root_mmu;
			v->guest_mmu = old_guest;
			return -EINVAL;
		}
		use_pdptrs(v, pdptrs);
	}
	nmmu_event(v->m, v, nested_enter, .pgd = nested->kind == NMMU_NESTED_OFF ? 0 : nested->root);
	init_walk_mmu(v);
	nmmu_root_new_pgd(v, nested->kind == NMMU_NESTED_OFF ? l2.cr3 : nested->root);
	nmmu_nested_transition(v);
	return 0;
}

int nmmu_nested_enter(struct nmmu_vcpu *v, const struct nmmu_nested *nested)
{
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_NESTED);
	int err;

	nmmu_slots_enter(v->m);
	/* L1's VM entry was an exit too. What its buffer holds cannot be told from L2's once L2 runs. */
	nmmu_pml_drain(v);
	err = nested_enter(v, nested);
	nmmu_slots_leave(v->m);
	v->cause = was;
	return err;
}

void nmmu_nested_leave(struct nmmu_vcpu *v, u16 *pml_index_ret)
{
	u8 was;

	if (!v->guest_mode)
		return;
	if (pml_index_ret)
		*pml_index_ret = v->nested.pml_index;
	was = nmmu_vcpu_begin(v, MS_CAUSE_NESTED);
	nmmu_slots_enter(v->m);
	nmmu_event(v->m, v, nested_exit, .reason = ~0ULL);
	nmmu_pml_drain(v);
	nmmu_leave_guest(v);
	nmmu_slots_leave(v->m);
	v->cause = was;
}

/* --- entry --- */

/* EPTP bit 6. L2's follows vmcs12's EPT pointer, even when EPT12 is off and the field means nothing (E.2). */
static bool entry_ad(const struct nmmu_vcpu *v)
{
	const struct nmmu_config *cfg = &v->m->cfg;

	if (cfg->hv != MS_HV_VMX || !cfg->tdp)
		return true;
	return cfg->ad && (!v->guest_mode || v->nested.root & EPTP_AD);
}

/* E4: PML01 runs while a slot logs; vmcs02 never has it. */
bool nmmu_vcpu_pml(const struct nmmu_vcpu *v)
{
	if (!v->m->cfg.pml || !v->m->nr_log_slots)
		return false;
	return !v->guest_mode || nmmu_bug_on(v->m, PML_L2);
}

/*
 * Roots differ wherever translations do; the rest of an EPTP is part of the tag too. NPT and shadow paging
 * run under one ASID, flushed when another root comes, which comes to the same.
 */
static u64 entry_tag(const struct nmmu_vcpu *v, const struct nmmu_entry *e)
{
	if (e->format != SPTE_FMT_EPT)
		return e->root_pa;
	return e->root_pa | (e->ad ? EPTP_AD : 0) | (u64)(e->level - 1) << EPTP_LEVELS_SHIFT | EPTP_WB;
}

static void fill_entry(struct nmmu_vcpu *v, struct nmmu_entry *e)
{
	const struct nmmu_config *cfg = &v->m->cfg;
	bool paging = v->regs.cr0 & CR0_PG;

	nmmu_zero(e, sizeof(*e));
	e->tdp = cfg->tdp;
	e->format = v->m->profile.format;
	e->root_pa = v->mmu->root.hpa;
	e->level = v->mmu->root_role.level;
	e->ad = entry_ad(v);
	e->pml = nmmu_vcpu_pml(v);
	e->pml_pa = v->pml.pa;
	e->pml_index = &v->pml_index;
	e->phys_bits = cfg->phys_bits;
	e->exec_only = cfg->exec_only;
	e->regs = v->regs;
	if (cfg->tdp) {
		e->nx = v->regs.efer & EFER_NX;
		e->wp = v->regs.cr0 & CR0_WP;
	} else {
		/*
		 * Shadow tables use NX and need W to be asked of the kernel too; C.1 smep_/smap_andnot_wp
		 * make up for it.
		 */
		e->nx = true;
		e->wp = true;
	}
	/*
	 * Without paging of its own the guest has neither, though shadow paging has the CPU page all the
	 * same.
	 */
	e->smep = paging && v->regs.cr4 & CR4_SMEP;
	e->smap = paging && v->regs.cr4 & CR4_SMAP;
	e->tag = entry_tag(v, e);
}

static u64 take_requests(struct nmmu_vcpu *v)
{
	u64 requests;

	/* As a CPU that runs does not wait for mmu_lock: with nothing to do it is not taken. */
	if (!nmmu_read64(&v->requests))
		return 0;
	nmmu_lock_vcpu(v);
	requests = v->requests;
	v->requests = 0;
	nmmu_unlock(v->m);
	return requests;
}

static int vcpu_load(struct nmmu_vcpu *v, struct nmmu_entry *ret)
{
	u64 requests = take_requests(v);
	int err;

	if (requests & NMMU_REQ_FREE_OBSOLETE)
		nmmu_root_free_obsolete(v);
	if (requests & NMMU_REQ_SYNC)
		nmmu_root_sync(v);
	if (requests & NMMU_REQ_FLUSH)
		nmmu_flush_one(v, v->guest_mode ? MS_CAUSE_GUEST_FLUSH : MS_CAUSE_CR3);
	if (v->mmu->root.hpa == NMMU_NO_PAGE) {
		err = nmmu_root_load(v);
		if (err)
			return err == -ENOSPC ? -ENOMEM : err;
	}
	fill_entry(v, ret);
	return 0;
}

int nmmu_vcpu_load(struct nmmu_vcpu *v, struct nmmu_entry *ret)
{
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_LOAD);
	int err;

	nmmu_slots_enter(v->m);
	err = vcpu_load(v, ret);
	nmmu_slots_leave(v->m);
	v->cause = was;
	return err;
}
