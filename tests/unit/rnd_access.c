/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses and table writes, and whether what came of them is allowed: see rnd.h. */
#include "tests/unit/rnd.h"

#include <string.h>

#define HOT_PAGES 24
#define CYCLES 3

static u64 low(u64 value, u32 bytes)
{
	return bytes == 8 ? value : value & ((1ULL << 8 * bytes) - 1);
}

static void describe(struct rnd *r, const struct rnd_vcpu *vc, const char *by, const struct nmmu_access *a)
{
	snprintf(r->what, sizeof(r->what),
		 "vCPU %u %s kind %d nested %d: %s %s%s%s%s 0x%llx bytes %u value 0x%llx", vc->id,
		 vc->l2 ? "L2" : "L1", vc->kind[vc->l2], vc->l2 ? vc->nested.kind : 0, by,
		 a->fetch   ? "x"
		 : a->write ? "w"
			    : "r",
		 a->rmw ? "m" : "", a->user ? "u" : "", vc->regs[vc->l2].ac ? " ac" : "",
		 (unsigned long long)a->gva, a->bytes, (unsigned long long)a->value);
}

/* --- judging --- */

/* The engine's own walk, for the report. */
static void tell_walk(struct rnd *r, const struct rnd_vcpu *vc, const struct rnd_want *want)
{
	struct nmmu_access a = {
		.gva = want->addr, .bytes = 1, .write = want->write, .fetch = want->fetch, .user = want->user
	};
	struct nmmu_trace t;

	if (!r->failed || r->quiet || nmmu_translate(vc->v, &a, false, &t))
		return;
	printf("# %s, cr0 %llx cr3 %llx cr4 %llx efer %llx, PDPTEs", vc->v->guest_mode ? "L2" : "L1",
	       (unsigned long long)vc->regs[vc->l2].cr0, (unsigned long long)vc->regs[vc->l2].cr3,
	       (unsigned long long)vc->regs[vc->l2].cr4, (unsigned long long)vc->regs[vc->l2].efer);
	for (u32 i = 0; i < 4; i++)
		printf(" %llx (expected %llx)", (unsigned long long)vc->v->walk_mmu->pdptrs[i],
		       (unsigned long long)vc->pdpte[vc->l2][i]);
	printf("\n");
	for (u32 i = 0; i < t.nr; i++)
		printf("# dim %u level %u input 0x%llx at 0x%llx entry 0x%llx flags 0x%x\n", t.steps[i].dim,
		       t.steps[i].level, (unsigned long long)t.steps[i].input,
		       (unsigned long long)t.steps[i].entry_gpa, (unsigned long long)t.steps[i].entry,
		       t.steps[i].flags);
}

static u64 host_pa(struct rnd *r, u64 gpa)
{
	struct rnd_slot *s = rnd_slot_of(r, gpa >> 12);
	u64 pfn = s ? ms_machine_pfn(r->machine, s->hva + (gpa & ~0xfffULL) - (s->gfn << 12)) : ~0ULL;

	return pfn == ~0ULL ? ~0ULL : pfn << 12 | (gpa & 0xfff);
}

/* Also a write that the host does not let the emulator make: userspace is asked. */
static bool is_device_to_emulator(struct rnd *r, u64 gpa, bool write)
{
	struct rnd_slot *s = rnd_slot_of(r, gpa >> 12);

	return !s || (write && (s->protected[(gpa >> 12) - s->gfn] || s->flags & MS_SLOT_READONLY));
}

static bool is_device(struct rnd *r, u64 gpa, bool write)
{
	struct rnd_slot *s = rnd_slot_of(r, gpa >> 12);

	return !s || (write && (s->flags & MS_SLOT_READONLY));
}

/* Under NPT the CPU reads PDPTEs from memory, software goes by those that were loaded: both are right. */
static bool pdptes_differ(struct rnd *r, const struct rnd_vcpu *vc)
{
	u64 now[4];

	if (vc->kind[vc->l2] != NMMU_GPT_PAE || r->cfg.hv != MS_HV_SVM || !r->cfg.tdp)
		return false;
	if (vc->l2 && vc->nested.kind != NMMU_NESTED_OFF)
		return true;
	if (ms_machine_peek(r->machine, vc->regs[vc->l2].cr3 & 0xffffffe0, now, sizeof(now)))
		return true;
	return memcmp(now, vc->pdpte[vc->l2], sizeof(now));
}

/* They did before the access, or do now: it may have been made to them. */
static bool pdptes_unsure(struct rnd *r, const struct rnd_vcpu *vc)
{
	return r->pdptes_differ || pdptes_differ(r, vc);
}

static const struct rnd_path *find_path(struct rnd *r, const struct rnd_answer *answer, u64 pa)
{
	for (u32 i = 0; i < answer->nr; i++)
		if (host_pa(r, answer->paths[i].gpa) == pa)
			return &answer->paths[i];
	return NULL;
}

/* Did the CPU go where it may? The path taken, or NULL. */
static const struct rnd_path *judge_cpu(struct rnd *r, const struct rnd_vcpu *vc, const struct nmmu_access *a,
					const struct ms_run *run, const struct rnd_answer *answer)
{
	const struct rnd_path *path = find_path(r, answer, run->pa);

	if (!path) {
		if (!answer->too_many && !pdptes_unsure(r, vc))
			rnd_fail(r,
				 "went to pa 0x%llx; %u paths allowed, first 0x%llx (pa 0x%llx), verdict %d",
				 (unsigned long long)run->pa, answer->nr,
				 (unsigned long long)answer->paths[0].gpa,
				 (unsigned long long)(answer->nr ? host_pa(r, answer->paths[0].gpa) : 0),
				 answer->verdict);
		return NULL;
	}
	if (a->write && is_device(r, path->gpa, true))
		rnd_fail(r, "wrote to read-only memory, gpa 0x%llx", (unsigned long long)path->gpa);
	if (answer->verdict != RND_OK || path->gpa != answer->gpa)
		r->count->stale_used++;
	return path;
}

/* A refusal must be one of the tables as they were, or are now: they may map themselves, and get A and D. */
static bool same_refusal(const struct rnd_answer *answer, enum nmmu_action action,
			 const struct nmmu_result *res)
{
	if (action == NMMU_ACT_PF)
		return answer->verdict == RND_PF && answer->error == res->qual && answer->addr == res->addr;
	if (answer->update)
		return res->reason == 49 || answer->verdict == RND_NESTED_FAULT;
	if (answer->addr != res->addr)
		return false;
	if (res->reason == 49)
		return answer->verdict == RND_NESTED_MISCONFIG && !res->qual;
	if (answer->verdict != RND_NESTED_FAULT)
		return false;
	/* Bits 7 and 8 of a qualification, bits 32 and 33 of EXITINFO1. */
	if (res->reason == 48)
		return res->qual == (answer->error | 1 << 7 | (answer->table ? 0 : 1 << 8));
	return res->qual == (answer->error | (answer->table ? 2ULL : 1ULL) << 32);
}

static void judge_refusal(struct rnd *r, const struct rnd_vcpu *vc, const struct rnd_want *want,
			  enum nmmu_action action, const struct nmmu_result *res,
			  const struct rnd_answer *before)
{
	struct rnd_answer after;

	if (action == NMMU_ACT_EXIT_L1 && res->reason == 62) {
		if (!vc->nested.pml || vc->v->nested.pml_index < 512)
			rnd_fail(r, "exit 62 though PML12 has room");
		return;
	}
	if (action == NMMU_ACT_EXIT_L1 && res->reason == 48 && !(res->qual & 7))
		rnd_fail(r, "a violation without access, qualification 0x%llx",
			 (unsigned long long)res->qual);
	/* A table whose A bit cannot be set refuses everything (D.1 step 4). */
	/* Nested tables as they were may lead the CPU to other tables of L2's, with faults of their own. */
	if (same_refusal(before, action, res) || before->old || before->frozen || pdptes_unsure(r, vc))
		return;
	rnd_ask(r, vc, want, &after);
	if (!same_refusal(&after, action, res))
		rnd_fail(
			r,
			"refused by %s, reason %llu info 0x%llx addr 0x%llx; expected verdict %d error 0x%llx addr 0x%llx",
			action == NMMU_ACT_PF ? "#PF" : "L1", (unsigned long long)res->reason,
			(unsigned long long)res->qual, (unsigned long long)res->addr, before->verdict,
			(unsigned long long)before->error, (unsigned long long)before->addr);
}

/* A table that is read by way of itself gets its A bit on the way. */
static bool same_value(u64 gpa, u64 value, u64 old)
{
	u64 flags = 0x0000032000000320ULL;

	if (gpa >> 12 >= RND_POOL_PAGES)
		return value == old;
	/* Emulated accesses are of whole entries. */
	return (value | flags) == (old | flags);
}

static void judge_emulated(struct rnd *r, const struct rnd_vcpu *vc, const struct nmmu_access *a,
			   const struct rnd_answer *before, u64 value, u64 old)
{
	if (before->verdict != RND_OK) {
		if (!pdptes_unsure(r, vc))
			rnd_fail(r, "emulated, but refused by the tables: verdict %d", before->verdict);
	} else if (is_device(r, before->gpa, a->write)) {
		rnd_fail(r, "emulated on memory, but gpa 0x%llx is a device's",
			 (unsigned long long)before->gpa);
	} else if ((!a->write || a->rmw) && !same_value(before->gpa, value, low(old, a->bytes)) &&
		   !pdptes_unsure(r, vc)) {
		rnd_fail(r, "read 0x%llx, there was 0x%llx", (unsigned long long)value,
			 (unsigned long long)low(old, a->bytes));
	}
}

/* 6.1 shuts a guest down whose PDPTEs name no memory (C7); fetching from a device cannot be emulated. */
static bool may_die(struct rnd *r, const struct rnd_vcpu *vc, const struct nmmu_access *a,
		    const struct rnd_answer *before)
{
	enum nmmu_gpt kind = vc->kind[vc->l2];

	if (a->fetch && before->verdict == RND_OK && is_device(r, before->gpa, false))
		return true;
	if (r->cfg.kernel != NMMU_6_1)
		return false;
	return (!r->cfg.tdp && kind == NMMU_GPT_PAE) ||
	       (vc->l2 && vc->nested.kind == NMMU_NESTED_NPT && vc->nested_kind == NMMU_GPT_PAE);
}

static void judge_error(struct rnd *r, const struct rnd_vcpu *vc, const struct nmmu_access *a, int error,
			u64 pa, const struct rnd_answer *before)
{
	if (error == -ENOMEM && r->nomem) {
		r->count->nomem++;
	} else if (r->cfg.pins && (error == -ENOSPC || error == -EBUSY)) {
		/* All shadow pages have pinned ones, or the host does not pin parts of a huge page. */
		r->count->pin_refused++;
	} else if (error == -EFAULT && !pa) {
		r->count->host_fault++; /* a write to a page that the host has write-protected */
	} else if (error == -EIO && may_die(r, vc, a, before)) {
		r->count->dead++;
	} else {
		rnd_fail(r, "error %d, pa 0x%llx", error, (unsigned long long)pa);
	}
}

/* --- doing --- */

struct befores {
	u64 pair[RND_PATHS_MAX][2];
};

static void note(struct rnd *r, const struct rnd_answer *answer, const struct befores *before)
{
	for (u32 i = 0; i < answer->nr; i++)
		rnd_note_write(r, answer->paths[i].gpa, before->pair[i]);
}

static u64 old_value(const struct rnd_answer *answer, const struct befores *before)
{
	u64 value[2] = { 0 }, ret;

	for (u32 i = 0; i < answer->nr; i++)
		if (answer->paths[i].gpa == answer->gpa)
			memcpy(value, before->pair[i], sizeof(value));
	memcpy(&ret, (u8 *)value + (answer->gpa & 7), 8);
	return ret;
}

/* What a write left behind. */
static void judge_written(struct rnd *r, const struct nmmu_access *a, u64 gpa)
{
	u64 value = 0;

	if (!a->write)
		return;
	if (ms_machine_peek(r->machine, gpa, &value, a->bytes) || value != low(a->value, a->bytes))
		rnd_fail(r, "gpa 0x%llx holds 0x%llx after the write", (unsigned long long)gpa,
			 (unsigned long long)value);
}

/*
 * After a write by the current tables, A is set on the way and D on the page (B1, E5), unless the tables
 * cannot be written, or somebody stored into them by this very write.
 */
static void judge_flags(struct rnd *r, const struct rnd_vcpu *vc, const struct rnd_want *want, u64 gpa)
{
	struct rnd_answer after;

	if (gpa >> 12 < RND_POOL_PAGES)
		return;
	rnd_ask(r, vc, want, &after);
	if (after.verdict != RND_OK || after.nr != 1 || after.old || after.too_many || after.gpa != gpa)
		return;
	if (!after.paths[0].clean && !pdptes_unsure(r, vc))
		rnd_fail(r, "A or D is not set after the access to gpa 0x%llx", (unsigned long long)gpa);
}

static void count_done(struct rnd *r, const struct rnd_vcpu *vc)
{
	if (vc->l2)
		r->count->access_l2++;
	else
		r->count->access_l1++;
}

/* What is shown to a user as the walk must end as the oracle's does. */
static void judge_translation(struct rnd *r, const struct rnd_vcpu *vc, const struct nmmu_access *a,
			      const struct rnd_answer *answer)
{
	enum rnd_verdict verdict = RND_OK;
	struct nmmu_trace t;

	if (pdptes_unsure(r, vc) || nmmu_translate(vc->v, a, false, &t))
		return;
	if (t.fault)
		verdict = !t.fault_dim					      ? RND_PF
			  : vc->nested.kind == NMMU_NESTED_EPT && t.error & 8 ? RND_NESTED_MISCONFIG
									      : RND_NESTED_FAULT;
	/* A D bit that EPT12 does not let be set, and a page that it misconfigures: either may be told. */
	if (answer->update && verdict == RND_NESTED_MISCONFIG)
		verdict = RND_NESTED_FAULT;
	if (verdict != answer->verdict || (verdict == RND_OK && t.gpa != answer->gpa) ||
	    (verdict == RND_PF && (t.error & 31) != answer->error))
		rnd_fail(r, "translated with verdict %d gpa 0x%llx error 0x%llx; expected %d 0x%llx 0x%llx",
			 verdict, (unsigned long long)t.gpa, (unsigned long long)t.error, answer->verdict,
			 (unsigned long long)answer->gpa, (unsigned long long)answer->error);
	r->count->translated++;
}

/*
 * Nested tables as they were may have let the CPU set A and D where those of now do not; the emulator finds
 * them set.
 */
static void ask_again(struct rnd *r, const struct rnd_vcpu *vc, const struct rnd_want *want,
		      struct rnd_answer *answer)
{
	struct rnd_answer after;

	if (answer->verdict == RND_OK || !answer->old)
		return;
	rnd_ask(r, vc, want, &after);
	if (after.verdict != RND_OK)
		return;
	answer->verdict = RND_OK;
	answer->gpa = after.gpa;
}

/* True: made, or answered by a device. */
static bool access_judged(struct rnd *r, struct rnd_vcpu *vc, const struct nmmu_access *a, bool emulate)
{
	struct rnd_want want = {
		.addr = a->gva, .write = a->write, .fetch = a->fetch, .user = a->user, .rmw = a->rmw
	};
	const struct rnd_path *path;
	struct rnd_answer answer;
	struct befores before;
	u16 pml_index = vc->v->nested.pml_index;
	struct ms_run run = { 0 };
	bool l2 = vc->l2;

	describe(r, vc, emulate ? "emulated" : "access", a);
	rnd_ask(r, vc, &want, &answer);
	r->pdptes_differ = pdptes_differ(r, vc);
	judge_translation(r, vc, a, &answer);
	for (u32 i = 0; i < answer.nr; i++)
		rnd_read_pair(r, answer.paths[i].gpa, before.pair[i]);
	if (emulate) {
		run.error = nmmu_emulate(vc->v, a, &run.last);
		run.action = run.last.action;
		run.value = run.last.value;
		run.emulated = true;
	} else {
		ms_machine_access(r->machine, vc->id, a, &run);
	}
	note(r, &answer, &before);
	if (l2)
		rnd_judge_pml12(r, vc, pml_index, &answer);
	/* KVM 6.1 never ends here: the CPU's walk is a write, and kvm_mmu_page_fault() unprotects in vain. */
	if (run.stuck && answer.rom && r->cfg.tdp && r->cfg.kernel == NMMU_6_1) {
		r->count->dead++;
		return false;
	}
	if (run.stuck) {
		rnd_fail(r, "more than %u exits: the last handler said %d", MS_RUN_MAX_EXITS, run.last.ret);
		return false;
	}
	if (run.error) {
		ask_again(r, vc, &want, &answer);
		judge_error(r, vc, a, run.error, run.pa, &answer);
		return false;
	}
	switch (run.action) {
	case NMMU_ACT_DONE:
		if (run.emulated) {
			r->count->emulated++;
			ask_again(r, vc, &want, &answer);
			judge_emulated(r, vc, a, &answer, run.value, old_value(&answer, &before));
			if (answer.verdict == RND_OK && !pdptes_unsure(r, vc))
				judge_written(r, a, answer.gpa);
			return true;
		}
		count_done(r, vc);
		path = judge_cpu(r, vc, a, &run, &answer);
		if (!path)
			return true;
		judge_written(r, a, path->gpa);
		judge_flags(r, vc, &want, path->gpa);
		return true;
	case NMMU_ACT_MMIO:
		r->count->mmio++;
		ask_again(r, vc, &want, &answer);
		if ((answer.verdict != RND_OK || !is_device_to_emulator(r, answer.gpa, a->write)) &&
		    !pdptes_unsure(r, vc))
			rnd_fail(r, "to a device at 0x%llx; expected verdict %d gpa 0x%llx",
				 (unsigned long long)run.last.gpa, answer.verdict,
				 (unsigned long long)answer.gpa);
		return true;
	case NMMU_ACT_PF:
		r->count->fault++;
		judge_refusal(r, vc, &want, run.action, &run.last, &answer);
		return false;
	case NMMU_ACT_EXIT_L1:
		r->count->exit_to_l1++;
		if (run.last.reason == 62)
			r->count->pml12_full++;
		judge_refusal(r, vc, &want, run.action, &run.last, &answer);
		rnd_left_l2(r, vc);
		return false;
	default:
		rnd_fail(r, "ended with action %d", run.action);
		return false;
	}
}

bool rnd_access(struct rnd *r, struct rnd_vcpu *vc, const struct nmmu_access *a, bool emulate)
{
	struct rnd_want want = {
		.addr = a->gva, .write = a->write, .fetch = a->fetch, .user = a->user, .rmw = a->rmw
	};
	bool done = access_judged(r, vc, a, emulate);

	if (r->failed)
		tell_walk(r, vc, &want);
	return done;
}

/* --- drawing --- */

static u64 draw_page(struct rnd *r)
{
	u32 dice = rnd_below(r, 100);
	u64 hot = rnd_below(r, HOT_PAGES);

	if (dice < 35)
		return 0x400 + hot * 3;
	if (dice < 55)
		return 0x400 + rnd_below(r, 0x400);
	if (dice < 70)
		return 0x300 + hot;
	if (dice < 80)
		return 0x200 + hot;
	if (dice < 85)
		return 0x800 + rnd_below(r, 0x11);
	if (dice < 92)
		return rnd_below(r, RND_POOL_PAGES);
	return 0x1000 + rnd_below(r, 8);
}

u64 rnd_recent(struct rnd *r, enum nmmu_gpt kind)
{
	return r->recent[rnd_below(r, RND_RECENT)] &
	       (kind < NMMU_GPT_64 ? 0xfffff000 : (1ULL << (kind == NMMU_GPT_64 ? 47 : 56)) - 1);
}

static u64 draw_gva(struct rnd *r, enum nmmu_gpt kind)
{
	u64 gva = draw_page(r) << 12;
	u32 dice = rnd_below(r, 100);

	if (rnd_chance(r, 25))
		gva = rnd_recent(r, kind);
	if (kind == NMMU_GPT_NONE || dice < 80)
		return gva;
	/* Large pages at level-2 entries 4 to 7. */
	if (dice < 92)
		return kind == NMMU_GPT_32 ? 0x1000000 + rnd_below(r, 0x1000000)
					   : 0x800000 + rnd_below(r, 0x800000);
	if (kind == NMMU_GPT_32)
		return gva | 0x80000000;
	if (kind == NMMU_GPT_PAE)
		return gva | rnd_below(r, 4) << 30;
	return gva | rnd_below(r, 2) << 30 | rnd_below(r, 2) << 39;
}

static u32 draw_index(struct rnd *r, const struct rnd_table *t)
{
	if (t->level == 1)
		return draw_page(r) % rnd_entries(t);
	return rnd_below(r, rnd_chance(r, 90) ? 8 : rnd_entries(t)) % rnd_entries(t);
}

/* A store that could be a guest's edit of its tables. */
static void draw_gpte(struct rnd *r, const struct rnd_table *t, u32 index, u64 window, struct nmmu_access *a)
{
	*a = (struct nmmu_access){ .write = true, .bytes = rnd_entry_bytes(t->kind) };
	a->value = low(rnd_entry(r, t, index), a->bytes);
	a->gva = window + ((u64)t->gfn << 12) + index * a->bytes;
	r->recent[r->next_recent++ % RND_RECENT] = t->base + ((u64)index << rnd_shift(t->kind, t->level));
	/* Sometimes in halves, or a byte of it. */
	if (a->bytes == 8 && rnd_chance(r, 5)) {
		a->bytes = 4;
		if (rnd_chance(r, 50)) {
			a->gva += 4;
			a->value >>= 32;
		}
	} else if (rnd_chance(r, 3)) {
		a->bytes = 1 << rnd_below(r, 2);
	}
	a->value = low(a->value, a->bytes);
}

void rnd_draw_access(struct rnd *r, struct rnd_vcpu *vc, struct nmmu_access *ret)
{
	struct nmmu_access a = { .gva = draw_gva(r, vc->kind[vc->l2]),
				 .bytes = 1 << rnd_below(r, 4),
				 .write = rnd_chance(r, 45),
				 .user = rnd_chance(r, 50) };

	a.fetch = !a.write && rnd_chance(r, 20);
	a.rmw = a.write && rnd_chance(r, 20);
	a.gva += rnd_below(r, 512) * 8;
	a.gva &= ~(u64)(a.bytes - 1);
	a.value = low(rnd_next(r), a.bytes);
	*ret = a;
}

void rnd_op_access(struct rnd *r, struct rnd_vcpu *vc)
{
	const struct rnd_table *t;
	struct nmmu_access a;

	rnd_draw_access(r, vc, &a);
	t = rnd_table_at(r, a.gva >> 12);
	/* Where tables are, edits; anything else written there would soon leave nothing to walk. */
	if (a.write && t) {
		u64 gva = a.gva & ~0xfffULL;

		draw_gpte(r, t, draw_index(r, t), gva - ((u64)t->gfn << 12), &a);
	} else if (a.write && a.gva >> 12 < RND_POOL_PAGES) {
		a.write = a.rmw = false;
	}
	rnd_access(r, vc, &a, false);
}

void rnd_op_emulate(struct rnd *r, struct rnd_vcpu *vc)
{
	struct nmmu_access a = { .gva = draw_gva(r, vc->kind[vc->l2]),
				 .bytes = 8,
				 .user = rnd_chance(r, 50) };

	a.gva &= ~7ULL;
	a.write = a.gva >> 12 >= RND_POOL_PAGES && rnd_chance(r, 50);
	a.rmw = a.write && rnd_chance(r, 20);
	a.value = rnd_next(r);
	rnd_access(r, vc, &a, true);
}

/* The window's own entries of L1's roots, should an edit have hit them. */
static void mend_window(struct rnd *r, struct rnd_vcpu *vc)
{
	u64 pt8 = r->next_gfn - 6, pd8 = pt8 + 2, pdpt8 = pd8 + 1, pml4 = pdpt8 + 1, pt4 = pml4 + 1;
	struct nmmu_regs regs = rnd_regs(r, RND_L1, NMMU_GPT_NONE);

	if (ms_machine_set_regs(r->machine, vc->id, &regs))
		return;
	vc->regs[0] = regs;
	vc->kind[0] = NMMU_GPT_NONE;
	vc->flush1[0] = r->now;
	for (u32 i = 0; i < r->nr_roots && !r->failed; i++) {
		u64 root = (u64)r->roots[i].gfn << 12;
		struct nmmu_access a = { .write = true, .bytes = rnd_entry_bytes(r->roots[i].kind) };

		if (r->roots[i].use != RND_L1)
			continue;
		switch (r->roots[i].kind) {
		case NMMU_GPT_32:
			a.gva = root + 768 * 4;
			a.value = pt4 << 12 | 0x23;
			break;
		case NMMU_GPT_PAE:
			a.gva = root + 3 * 8;
			a.value = pd8 << 12 | 1;
			break;
		case NMMU_GPT_64:
			a.gva = root + 2 * 8;
			a.value = pdpt8 << 12 | 0x23;
			break;
		default:
			a.gva = root + 2 * 8;
			a.value = pml4 << 12 | 0x23;
		}
		rnd_access(r, vc, &a, false);
	}
}

static bool is_in_use(const struct rnd *r, const struct rnd_table *t)
{
	for (u32 i = 0; i < RND_VCPUS; i++) {
		const struct rnd_vcpu *vc = &r->vc[i];
		bool nested = vc->l2 && vc->nested.kind != NMMU_NESTED_OFF;

		if (t->use == RND_L1 && t->kind == vc->kind[vc->l2] && !nested)
			return true;
		if (nested && ((t->use == RND_L2 && t->kind == vc->kind[1]) ||
			       (t->use == RND_NESTED && t->kind == vc->nested_kind)))
			return true;
	}
	return false;
}

void rnd_draw_edit(struct rnd *r, struct rnd_vcpu *vc, struct nmmu_access *ret)
{
	const struct rnd_table *t;

	/* Those that some vCPU runs on are worth more. */
	for (u32 i = 0; i < 12; i++) {
		t = &r->tables[rnd_below(r, r->nr_tables)];
		if (is_in_use(r, t))
			break;
	}
	draw_gpte(r, t, draw_index(r, t), rnd_window(vc->kind[0]), ret);
}

void rnd_op_gpte(struct rnd *r, struct rnd_vcpu *vc)
{
	bool emulate = rnd_chance(r, 25), done;
	struct nmmu_access a;

	rnd_draw_edit(r, vc, &a);
	done = rnd_access(r, vc, &a, emulate);
	if (done && emulate)
		r->count->gpte_emulated++;
	else if (done)
		r->count->gpte_store++;
	else if (!r->failed)
		mend_window(r, vc);
}

/*
 * More first writes than a log of 512 entries holds, and more pages than most limits allow. The second time,
 * behind a log that was read, they are mapped already: nothing but the CPU's own log tells of them.
 */
void rnd_op_burst(struct rnd *r, struct rnd_vcpu *vc)
{
	u32 nr = 500 + rnd_below(r, 400), i = 0;

	for (u32 round = 0; round < 2; round++) {
		for (i = 0; i < nr && !r->failed; i++) {
			struct nmmu_access a = {
				.gva = (0x400 + i) << 12, .bytes = 8, .write = true, .value = r->now
			};

			r->now++;
			if (!rnd_access(r, vc, &a, false))
				return;
		}
		r->now++;
		if (!r->failed)
			rnd_op_log_get(r);
	}
	r->count->burst++;
}

/* --- change, invalidate, look: what a guest does with a page, on purpose --- */

static struct rnd_vcpu *find_editor(struct rnd *r, struct rnd_vcpu *vc)
{
	if (!vc->l2)
		return vc;
	for (u32 i = 0; i < RND_VCPUS; i++)
		if (!r->vc[i].l2)
			return &r->vc[i];
	return NULL;
}

/* A table on the way of this vCPU's accesses. */
static const struct rnd_table *find_table(struct rnd *r, const struct rnd_vcpu *vc)
{
	bool nested = vc->l2 && vc->nested.kind != NMMU_NESTED_OFF;
	enum rnd_use use = !nested ? RND_L1 : rnd_chance(r, 70) ? RND_NESTED : RND_L2;
	enum nmmu_gpt kind = use == RND_NESTED ? vc->nested_kind : vc->kind[vc->l2];
	u32 level = rnd_chance(r, 80) ? 1 : 2, start = rnd_below(r, r->nr_tables);

	for (u32 i = 0; i < r->nr_tables; i++) {
		const struct rnd_table *t = &r->tables[(start + i) % r->nr_tables];

		if (t->use == use && t->kind == kind && t->level == level)
			return t;
	}
	return NULL;
}

void rnd_op_cycle(struct rnd *r, struct rnd_vcpu *vc)
{
	struct rnd_vcpu *editor = find_editor(r, vc);
	const struct rnd_table *t = find_table(r, vc);
	struct nmmu_access look = { .bytes = 8, .value = rnd_next(r), .user = rnd_chance(r, 60) }, edit;
	u32 index;

	if (!editor || !t)
		return;
	index = draw_index(r, t);
	look.gva = t->base + ((u64)index << rnd_shift(t->kind, t->level)) + rnd_below(r, 512) * 8;
	if (look.gva >> 12 < RND_POOL_PAGES)
		return;
	for (u32 i = 0; i < CYCLES && !r->failed; i++) {
		bool l2 = vc->l2;

		look.write = rnd_chance(r, 50);
		r->now++;
		rnd_access(r, vc, &look, false);
		draw_gpte(r, t, index, rnd_window(editor->kind[0]), &edit);
		r->now++;
		if (rnd_access(r, editor, &edit, false))
			r->count->gpte_store++;
		r->now++;
		/* A device's entry ends by itself when memslots change. */
		if (rnd_mix->devices && rnd_chance(r, 60))
			rnd_op_slot(r);
		else if (rnd_chance(r, 60))
			rnd_invalidate(r, vc, look.gva, t->use == RND_NESTED);
		r->now++;
		if (!r->failed)
			rnd_access(r, vc, &look, false);
		if (vc->l2 != l2)
			return;
	}
	r->count->cycle++;
}
