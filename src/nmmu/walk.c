// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Walks of the guest's tables: L1's or L2's own (dimension 0) and EPT12 or NPT12 (dimension 1), as the CPU or
 * KVM's software walker makes them (SEMANTICS D.1 steps 3-4, D.2). Reads guest memory; of it, writes A and D
 * bits and PML12 only, and only when asked. Decides nothing about shadow pages and injects nothing: a fault
 * is a result.
 *
 *   nested_mmu   L2 GVA --(tables at nGPAs, each through guest_mmu)--> nGPA --guest_mmu--> GPA
 *
 * Unlocked: entries may change under the walker, which the fault path checks again under mmu_lock.
 */
#include "nmmu/private.h"

#define PFERR_ACCESS (NMMU_PF_W | NMMU_PF_U | NMMU_PF_I)
#define PFERR_STAGE (NMMU_PF_FINAL | NMMU_PF_PAGE)

#define QUAL_R (1u << 0)
#define QUAL_W (1u << 1)
#define QUAL_X (1u << 2)
#define QUAL_RIGHTS_SHIFT 3
#define QUAL_GVA (1u << 7)
#define QUAL_FINAL (1u << 8)

#define EPT_RWX 7u
#define PDPTE_P 1u

struct walk {
	struct nmmu_vcpu *v;
	struct nmmu_mmu *mmu;
	u64 addr;
	u64 pferr;
	u32 flags;
	struct nmmu_walk *w;
	struct nmmu_trace *trace;
	u32 first_step; /* steps before it belong to an outer walk */
	u32 rwx; /* EPT: AND of RWX of the entries read, the failing one included (D.2) */
	/* By level - 1: the entry's place. */
	u64 hva[5];
	u64 l1_gfn[5];
	struct nmmu_slot *slot[5];
	u32 step[5];
};

/* Is this walk's output an nGPA that EPT12 or NPT12 has still to translate? */
static bool has_second_dim(const struct walk *c)
{
	return c->mmu == &c->v->nested_mmu;
}

static bool is_second_dim(const struct walk *c)
{
	return c->mmu == &c->v->guest_mmu;
}

static bool is_ept(const struct walk *c)
{
	return c->mmu->fmt.kind == NMMU_GPT_EPT;
}

/* Where 6.1 and 6.12 differ from a CPU, do as they do (D1, D2). */
static bool as_kvm(const struct walk *c)
{
	return c->v->m->cfg.compat && (c->flags & NMMU_WALK_EMULATOR);
}

static u32 trace_step(struct walk *c, u32 level, u64 entry_gpa, u64 entry, u32 flags)
{
	struct nmmu_trace *t = c->trace;

	if (!t || t->nr == NMMU_MAX_STEPS)
		return NMMU_MAX_STEPS;
	t->steps[t->nr] = (struct nmmu_step){
		.dim = is_second_dim(c),
		.level = (u8)level,
		.flags = (u16)flags,
		.input = c->addr,
		.entry_gpa = entry_gpa,
		.entry = entry,
	};
	return t->nr++;
}

static void trace_flag(struct walk *c, u32 step, u32 flags)
{
	if (c->trace && step < NMMU_MAX_STEPS)
		c->trace->steps[step].flags |= (u16)flags;
}

/* Fill the fault for errcode (P and RSVD) and return what nmmu_walk() then does. */
static int fail(struct walk *c, u64 errcode)
{
	const struct nmmu_gfmt *fmt = &c->mmu->fmt;
	bool ept = is_ept(c), table = c->pferr & NMMU_PF_PAGE;
	struct nmmu_walk_fault *f = &c->w->fault;

	*f = (struct nmmu_walk_fault){
		.error = errcode | (c->pferr & (NMMU_PF_W | NMMU_PF_U)),
		.addr = c->addr,
		.nested = is_second_dim(c),
		.misconfig = ept && (errcode & NMMU_PF_RSVD),
		.table = table,
	};
	/* #PF says that it was a fetch only where that can matter; an NPF has the same rule. */
	if ((c->pferr & NMMU_PF_I) && (ept || fmt->nx || fmt->smep))
		f->error |= NMMU_PF_I;
	if (f->nested)
		f->error |= c->pferr & PFERR_STAGE;
	if (ept && !f->misconfig) {
		if (c->pferr & NMMU_PF_W)
			f->qual |= QUAL_W;
		if (c->pferr & NMMU_PF_U)
			f->qual |= QUAL_R;
		if (c->pferr & NMMU_PF_I)
			f->qual |= QUAL_X;
		f->qual |= (u64)c->rwx << QUAL_RIGHTS_SHIFT | QUAL_GVA | (table ? 0 : QUAL_FINAL);
	}
	return 0;
}

/* Not for what the guest's tables say: the access may be granted. */
static int fail_unbacked(struct walk *c)
{
	int r = fail(c, 0);

	c->w->fault.unbacked = true;
	return r;
}

/* The rights with which the CPU asks EPT12 or NPT12 for a guest table's entry (D2). */
static u64 table_pferr(const struct walk *c, bool must_write)
{
	const struct nmmu_gfmt *fmt = &c->v->guest_mmu.fmt;
	u64 pferr = NMMU_PF_U | NMMU_PF_PAGE;

	/* A write always under NPT, and under EPT with A/D on. KVM's walker asks for W even with A/D off. */
	if (fmt->kind != NMMU_GPT_EPT || fmt->ad || must_write || as_kvm(c))
		pferr |= NMMU_PF_W;
	return pferr;
}

static int second_dim(struct walk *c, u64 ngpa, u64 pferr, struct nmmu_trace *trace, u64 *gpa_ret)
{
	struct nmmu_walk w;
	int r = nmmu_walk(c->v, &c->v->guest_mmu, ngpa, pferr, c->flags, &w, trace);

	if (r == 1)
		*gpa_ret = w.gfn << NMMU_PAGE_SHIFT | (ngpa & (NMMU_PAGE_SIZE - 1));
	else
		c->w->fault = w.fault;
	return r;
}

/* L1 GPA of an entry at gpa of this walk's space. */
static int entry_l1_gpa(struct walk *c, u64 gpa, u64 *l1_ret)
{
	u64 at, l1;
	int r;

	if (!has_second_dim(c)) {
		*l1_ret = gpa;
		return 1;
	}
	/* The CPU reports the entry's address, KVM's walker that of its page. */
	at = as_kvm(c) ? gpa & ~(u64)(NMMU_PAGE_SIZE - 1) : gpa;
	r = second_dim(c, at, table_pferr(c, false), c->trace, &l1);
	if (r == 1)
		*l1_ret = l1 | (gpa & (NMMU_PAGE_SIZE - 1));
	return r;
}

/* Highest address that the format can translate, as a number of bits. */
static u32 input_bits(const struct nmmu_gfmt *fmt)
{
	if (fmt->kind == NMMU_GPT_32 || fmt->kind == NMMU_GPT_PAE)
		return 32;
	return NMMU_PAGE_SHIFT + 9 * fmt->levels;
}

/* PAE: level 3 is a register, or for NPT12 memory read now and not checked (B1a). Returns the entry. */
static u64 read_pdpte(struct walk *c)
{
	struct nmmu_walk *w = c->w;
	u32 i = (u32)(c->addr >> 30) & 3;
	u64 gpa = (c->mmu->guest_pgd & SPTE_BITS(51, 5)) + i * 8, pdpte;
	bool npt = is_second_dim(c);

	if (!npt)
		pdpte = c->mmu->pdptrs[i];
	else if (nmmu_gpa_read(c->v->m, c->v->regs.smm, gpa, &pdpte, sizeof(pdpte)))
		pdpte = 0;
	w->table_gfn[2] = w->pgd_gfn;
	w->pte_gpa[2] = gpa;
	w->pte[2] = pdpte;
	w->pt_access[2] = NMMU_ACC_ALL;
	trace_step(c, 3, gpa, pdpte, pdpte & PDPTE_P ? 0 : NMMU_STEP_NOT_PRESENT);
	return pdpte;
}

/* Read the entry of this level: 1, 0 after a fault. */
static int read_entry(struct walk *c, u64 table_gfn, u32 level, u64 *pte_ret)
{
	const struct nmmu_gfmt *fmt = &c->mmu->fmt;
	struct nmmu_walk *w = c->w;
	u32 bytes = nmmu_gfmt_bytes(fmt), i = level - 1;
	u32 offset = nmmu_gfmt_index(fmt, c->addr, level) * bytes;
	u64 gpa = (table_gfn << NMMU_PAGE_SHIFT) + offset, l1, pte = 0;
	struct nmmu *m = c->v->m;
	u32 half;

	w->table_gfn[i] = table_gfn;
	if (entry_l1_gpa(c, gpa, &l1) != 1)
		return 0;
	w->pte_gpa[i] = l1;
	c->l1_gfn[i] = l1 >> NMMU_PAGE_SHIFT;
	c->slot[i] = nmmu_slot_vcpu(c->v, c->l1_gfn[i]);
	if (!c->slot[i] || (c->slot[i]->flags & MS_SLOT_INVALID))
		goto unbacked;
	c->hva[i] = nmmu_slot_hva(c->slot[i], c->l1_gfn[i]) + offset;
	if (bytes == 4) {
		if (m->ops->read(m->host, c->hva[i], &half, 4))
			goto unbacked;
		pte = half;
	} else if (m->ops->read(m->host, c->hva[i], &pte, 8)) {
		goto unbacked;
	}
	c->step[i] = trace_step(c, level, gpa, pte, 0);
	*pte_ret = pte;
	return 1;

unbacked:
	trace_step(c, level, gpa, 0, NMMU_STEP_UNBACKED);
	return fail_unbacked(c);
}

/* Down to the leaf, and its permissions. Per level: not present, then reserved; rights last (D.1 step 3). */
static int walk_tables(struct walk *c)
{
	const struct nmmu_gfmt *fmt = &c->mmu->fmt;
	struct nmmu_walk *w = c->w;
	u32 level = fmt->levels, acc = NMMU_ACC_ALL, index;
	u64 table_gfn, pte = 0;

	c->rwx = EPT_RWX;
	w->pgd_gfn = table_gfn = nmmu_gfmt_table_gfn(fmt, c->mmu->guest_pgd);
	/*
	 * C4, SDM 28.3.2: guest-physical bits that no level indexes must be 0. Linear ones are the CPU's #GP.
	 */
	if (is_second_dim(c) && c->addr >> input_bits(fmt)) {
		c->rwx = 0;
		trace_step(c, level, 0, 0, NMMU_STEP_NOT_PRESENT);
		return fail(c, 0);
	}
	if (fmt->kind == NMMU_GPT_PAE) {
		pte = read_pdpte(c);
		if (!(pte & PDPTE_P))
			return fail(c, 0);
		table_gfn = nmmu_gfmt_table_gfn(fmt, pte);
		level--;
	}
	w->top = (u8)level;

	for (;; level--) {
		w->pt_access[level - 1] = acc;
		if (!read_entry(c, table_gfn, level, &pte))
			return 0;
		c->rwx &= (u32)pte & EPT_RWX;
		if (!nmmu_gfmt_is_present(fmt, pte) &&
		    !(nmmu_mutant(c->v->m, NONZERO_IS_PRESENT) && is_ept(c) && level > 1 && pte)) {
			trace_flag(c, c->step[level - 1], NMMU_STEP_NOT_PRESENT);
			return fail(c, 0);
		}
		if (nmmu_gfmt_is_rsvd(fmt, pte, level)) {
			trace_flag(c, c->step[level - 1], NMMU_STEP_RSVD);
			return fail(c, NMMU_PF_RSVD | NMMU_PF_P);
		}
		w->pte[level - 1] = pte;
		acc &= nmmu_gfmt_access(fmt, pte);
		if (nmmu_gfmt_is_leaf(fmt, pte, level))
			break;
		table_gfn = nmmu_gfmt_table_gfn(fmt, pte);
	}

	w->level = (u8)level;
	w->pte_access = acc;
	trace_flag(c, c->step[level - 1], NMMU_STEP_LEAF);
	index = (u32)(c->pferr & PFERR_ACCESS) | (c->v->regs.ac ? (u32)NMMU_PF_RSVD : 0);
	if (fmt->perm[index >> 1] >> acc & 1) {
		trace_flag(c, c->step[level - 1], NMMU_STEP_DENIED);
		return fail(c, NMMU_PF_P);
	}
	w->gfn = nmmu_gfmt_leaf_gfn(fmt, pte, level, c->addr);
	return 1;
}

/* Log a first write for L1 (E5). 1, or 0 with the fault filled: the log is full. */
static int log_pml12(struct walk *c)
{
	if (!is_second_dim(c) || !is_ept(c) || !c->v->nested.pml)
		return 1;
	if (nmmu_pml12_put(c->v, c->addr) != -ENOSPC)
		return 1;
	fail(c, 0);
	c->w->fault.qual = 0;
	c->w->fault.pml_full = true;
	return 0;
}

/* One entry gets new bits: 1; 0 fault; -EAGAIN when it is not what was read any more. */
static int set_entry_bits(struct walk *c, u32 level, u64 new_pte, u64 d_mask)
{
	struct nmmu_walk *w = c->w;
	struct nmmu *m = c->v->m;
	u32 i = level - 1;
	u64 added = new_pte & ~w->pte[i];
	int err;

	if ((added & d_mask) && !log_pml12(c))
		return 0;
	if (c->slot[i]->flags & MS_SLOT_READONLY)
		return 1;
	err = (m->ops->cmpxchg)(m->host, c->hva[i], w->pte[i], new_pte, nmmu_gfmt_bytes(&c->mmu->fmt));
	if (err == -EAGAIN)
		return err;
	if (err)
		return fail_unbacked(c);
	nmmu_mark_written(m, c->v, c->slot[i], c->l1_gfn[i]);
	w->pte[i] = new_pte;
	trace_flag(c, c->step[i],
		   (added & d_mask ? NMMU_STEP_SET_D : 0) | (added & ~d_mask ? NMMU_STEP_SET_A : 0));
	return 1;
}

/* A of every entry used, D of the leaf for a write (D.1 step 4). Results as set_entry_bits(). */
static int set_accessed_dirty(struct walk *c)
{
	u64 a = nmmu_gfmt_a_mask(&c->mmu->fmt), d = nmmu_gfmt_d_mask(&c->mmu->fmt);
	struct nmmu_walk *w = c->w;
	u64 l1;
	u32 level;
	int r;

	for (level = w->top; a && level >= w->level; level--) {
		u64 pte = w->pte[level - 1], new_pte = pte | a;

		if (level == w->level && (c->pferr & NMMU_PF_W))
			new_pte |= d;
		if (new_pte == pte)
			continue;
		/* D2: EPT without A/D asked for R only; to set a bit it takes W too. */
		if (has_second_dim(c) && !(table_pferr(c, false) & NMMU_PF_W)) {
			u64 gpa = (w->table_gfn[level - 1] << NMMU_PAGE_SHIFT) |
				  (w->pte_gpa[level - 1] & (NMMU_PAGE_SIZE - 1));

			r = second_dim(c, gpa, table_pferr(c, true), NULL, &l1);
			if (r != 1)
				return r;
		}
		if (!(c->flags & NMMU_WALK_SET_AD))
			continue;
		r = set_entry_bits(c, level, new_pte, d);
		if (r != 1)
			return r;
	}
	w->dirty = !d || (w->pte[w->level - 1] & d);
	return 1;
}

/* The whole walk; with gpa_ret the second dimension for the page too, before A and D are set, as KVM does. */
static int walk_run(struct walk *c, u64 final_pferr, u64 *gpa_ret)
{
	struct nmmu_walk *w = c->w;
	u64 out;
	int r;

	c->first_step = c->trace ? c->trace->nr : 0;
	do {
		nmmu_zero(w, sizeof(*w));
		if (c->trace)
			c->trace->nr = c->first_step;
		if (c->mmu->fmt.kind == NMMU_GPT_NONE) {
			w->level = 1;
			w->pte_access = NMMU_ACC_ALL;
			w->gfn = c->addr >> NMMU_PAGE_SHIFT;
			w->dirty = true;
		} else if (walk_tables(c) != 1) {
			return 0;
		}
		if (gpa_ret) {
			out = w->gfn << NMMU_PAGE_SHIFT | (c->addr & (NMMU_PAGE_SIZE - 1));
			if (has_second_dim(c)) {
				if (c->trace)
					c->trace->l2_gpa = out;
				if (second_dim(c, out, final_pferr, c->trace, &out) != 1)
					return 0;
			}
		}
		r = c->mmu->fmt.kind == NMMU_GPT_NONE ? 1 : set_accessed_dirty(c);
	} while (r == -EAGAIN);
	if (r == 1 && gpa_ret)
		*gpa_ret = out;
	return r;
}

int nmmu_walk(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, u64 pferr, u32 flags, struct nmmu_walk *w,
	      struct nmmu_trace *trace)
{
	struct walk c = {
		.v = v, .mmu = mmu, .addr = addr, .pferr = pferr, .flags = flags, .w = w, .trace = trace
	};

	return walk_run(&c, 0, NULL);
}

/* What the page itself is asked for in EPT12 or NPT12. */
static u64 page_pferr(const struct walk *c)
{
	u64 pferr = c->pferr & (NMMU_PF_W | NMMU_PF_I);
	bool kvm = as_kvm(c);

	if (nmmu_mutant(c->v->m, EXACT_ADDS_R))
		kvm = c->flags & NMMU_WALK_EMULATOR;
	if (nmmu_mutant(c->v->m, COMPAT_IS_EXACT))
		kvm = false;
	/* NPT: every nested walk is a user's. KVM has its emulator ask for R always (D1). */
	if (c->v->guest_mmu.fmt.kind != NMMU_GPT_EPT || kvm || !pferr || (c->flags & NMMU_WALK_RMW))
		pferr |= NMMU_PF_U;
	return pferr | NMMU_PF_FINAL;
}

int nmmu_walk_gva(struct nmmu_vcpu *v, u64 gva, u64 pferr, u32 flags, u64 *gpa_ret, u32 *access_ret,
		  struct nmmu_walk_fault *fault, struct nmmu_trace *trace)
{
	struct nmmu_walk w;
	struct walk c = { .v = v,
			  .mmu = v->walk_mmu,
			  .addr = gva,
			  .pferr = pferr & PFERR_ACCESS,
			  .flags = flags,
			  .w = &w,
			  .trace = trace };
	int r = walk_run(&c, page_pferr(&c), gpa_ret);

	if (r == 1 && access_ret)
		*access_ret = w.pte_access;
	if (r != 1 && fault)
		*fault = w.fault;
	return r;
}
