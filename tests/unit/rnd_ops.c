/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What guests, VMM and host do beside accesses: see rnd.h. */
#include "tests/unit/rnd.h"

#include <string.h>

#define MIB (1ULL << 20)

#define SAY(r, ...) snprintf((r)->what, sizeof((r)->what), __VA_ARGS__)

/* --- the guest --- */

void rnd_left_l2(struct rnd *r, struct rnd_vcpu *vc)
{
	vc->l2 = false;
	if (vc->v->guest_mode)
		rnd_fail(r, "still in L2");
}

static void invlpg(struct rnd *r, struct rnd_vcpu *vc, u64 gva)
{
	struct rnd_invlpg *inv = &vc->invlpg[vc->next_invlpg++ % RND_INVLPG_MAX];

	SAY(r, "vCPU %u %s: INVLPG 0x%llx", vc->id, vc->l2 ? "L2" : "L1", (unsigned long long)gva);
	ms_machine_invlpg(r->machine, vc->id, gva);
	*inv = (struct rnd_invlpg){ .page = gva >> 12, .when = r->now, .l2 = vc->l2 };
	r->count->invlpg++;
}

static void op_invlpg(struct rnd *r, struct rnd_vcpu *vc)
{
	u64 gva = (0x300 + rnd_below(r, 0x500)) << 12;

	if (rnd_chance(r, 70))
		gva = rnd_recent(r, vc->kind[vc->l2]);
	invlpg(r, vc, gva);
}

static void op_flush_guest(struct rnd *r, struct rnd_vcpu *vc)
{
	SAY(r, "vCPU %u %s: flush", vc->id, vc->l2 ? "L2" : "L1");
	ms_machine_flush_guest(r->machine, vc->id);
	vc->flush1[vc->l2] = r->now;
	r->count->flush_guest++;
}

static void op_flush_nested(struct rnd *r, struct rnd_vcpu *vc)
{
	int rc;

	if (!r->cfg.tdp)
		return;
	SAY(r, "vCPU %u: nested paging flushed", vc->id);
	if (r->cfg.hv == MS_HV_SVM) {
		nmmu_flush_nested_npt(vc->v);
		vc->flush2 = r->now;
		r->count->flush_npt++;
		return;
	}
	if (vc->nested.kind == NMMU_NESTED_EPT && rnd_chance(r, 60)) {
		rc = nmmu_invept(vc->v, false, vc->nested.root);
		/* The other root's translations live on; told by nothing but the age of the entry. */
		if (!rc && rnd_chance(r, 50))
			rc = nmmu_invept(vc->v, true, 0);
		else
			return;
	} else {
		rc = nmmu_invept(vc->v, true, 0);
	}
	if (rc)
		rnd_fail(r, "error %d", rc);
	vc->flush2 = r->now;
	r->count->invept++;
}

void rnd_invalidate(struct rnd *r, struct rnd_vcpu *vc, u64 gva, bool nested)
{
	if (nested)
		op_flush_nested(r, vc);
	else if (rnd_chance(r, 80))
		invlpg(r, vc, gva);
	else
		op_flush_guest(r, vc);
}

/* Reading L2's PDPTEs is an access to be logged. */
static bool pml12_is_full(const struct rnd_vcpu *vc)
{
	return vc->l2 && vc->kind[1] == NMMU_GPT_PAE && vc->nested.pml && vc->v->nested.pml_index > 511;
}

/* New registers for the guest at work; false: it would have been #GP. */
static bool set_regs(struct rnd *r, struct rnd_vcpu *vc, const struct nmmu_regs *regs, enum nmmu_gpt kind)
{
	struct nmmu_regs old = vc->regs[vc->l2];
	enum nmmu_gpt old_kind = vc->kind[vc->l2];
	bool loads = kind == NMMU_GPT_PAE, loaded = true;
	u64 pdpte[4];
	int rc;

	memcpy(pdpte, vc->pdpte[vc->l2], sizeof(pdpte));
	vc->regs[vc->l2] = *regs;
	vc->kind[vc->l2] = kind;
	if (loads)
		loaded = rnd_load_pdptes(r, vc, vc->l2);
	rc = ms_machine_set_regs(r->machine, vc->id, regs);
	if (rc == -EINVAL && (!loaded || pml12_is_full(vc))) {
		vc->regs[vc->l2] = old;
		vc->kind[vc->l2] = old_kind;
		memcpy(vc->pdpte[vc->l2], pdpte, sizeof(pdpte));
		return false;
	}
	if (rc || !loaded)
		rnd_fail(r, "registers: error %d, PDPTEs %s", rc, loaded ? "good" : "bad");
	if (old.cr3 != regs->cr3)
		vc->flush1[vc->l2] = r->now;
	return true;
}

static void op_regs(struct rnd *r, struct rnd_vcpu *vc)
{
	struct nmmu_regs regs = vc->regs[vc->l2], drawn;
	enum nmmu_gpt kind = vc->kind[vc->l2];
	enum rnd_use use = vc->l2 ? RND_L2 : RND_L1;
	u32 dice = rnd_below(r, 100);

	SAY(r, "vCPU %u %s: registers", vc->id, vc->l2 ? "L2" : "L1");
	if (dice < 35 && kind != NMMU_GPT_NONE) {
		regs.cr3 = (u64)rnd_root_pick(r, use, kind)->gfn << 12;
		r->count->cr3 += set_regs(r, vc, &regs, kind);
		return;
	}
	if (dice < 80) {
		drawn = rnd_regs(r, use, kind);
		drawn.cr3 = regs.cr3;
		r->count->role += set_regs(r, vc, &drawn, kind);
		return;
	}
	do {
		kind = rnd_below(r, 5);
	} while (!rnd_kind_ok(r, kind));
	regs = rnd_regs(r, use, kind);
	r->count->mode += set_regs(r, vc, &regs, kind);
}

/* --- L1's hypervisor --- */

static bool draw_nested(struct rnd *r, struct rnd_vcpu *vc, struct nmmu_nested *nested)
{
	const struct rnd_root *root;
	enum nmmu_gpt kind = vc->kind[0];

	*nested = (struct nmmu_nested){ .kind = NMMU_NESTED_OFF };
	if (!r->cfg.tdp || rnd_chance(r, 20))
		return true;
	if (r->cfg.hv == MS_HV_VMX) {
		root = rnd_root_pick(r, RND_NESTED, NMMU_GPT_EPT);
		nested->kind = NMMU_NESTED_EPT;
		nested->root = (u64)root->gfn << 12 | 6 | (u64)(root->levels - 1) << 3;
		if (r->cfg.ad && rnd_chance(r, 60))
			nested->root |= 0x40;
		if (nested->root & 0x40 && rnd_chance(r, 60)) {
			nested->pml = true;
			nested->pml_addr = rnd_mix->pml12_rom ? 0x80f000 : 0x2ff000;
			nested->pml_index = rnd_chance(r, 40) ? 511 : (u16)(rnd_below(r, 3) - 1);
		}
		vc->nested_kind = NMMU_GPT_EPT;
		vc->nested_levels = root->levels;
		return true;
	}
	if (kind == NMMU_GPT_NONE)
		return false;
	root = rnd_root_pick(r, RND_NESTED, kind);
	nested->kind = NMMU_NESTED_NPT;
	nested->root = (u64)root->gfn << 12;
	vc->nested_kind = kind;
	vc->nested_levels = root->levels;
	return true;
}

static void op_enter(struct rnd *r, struct rnd_vcpu *vc)
{
	enum nmmu_gpt kind;
	struct nmmu_nested nested;
	bool loaded = true;
	int rc;

	SAY(r, "vCPU %u: enter L2", vc->id);
	if (!draw_nested(r, vc, &nested))
		return;
	do {
		kind = rnd_below(r, 5);
	} while (!rnd_kind_ok(r, kind));
	/* Most often as before, so that roots and TLB are met again. */
	if (vc->regs[1].cr0 && rnd_chance(r, 60)) {
		nested.l2 = vc->regs[1];
		kind = vc->kind[1];
	} else {
		nested.l2 = rnd_regs(r, nested.kind == NMMU_NESTED_OFF ? RND_L1 : RND_L2, kind);
	}
	vc->nested = nested;
	vc->regs[1] = nested.l2;
	vc->kind[1] = kind;
	if (kind == NMMU_GPT_PAE)
		loaded = rnd_load_pdptes(r, vc, true);
	rc = nmmu_nested_enter(vc->v, &nested);
	/* Reading PDPTEs is an access to L2's memory, to be logged. */
	if (rc == -EINVAL && (!loaded || (kind == NMMU_GPT_PAE && nested.pml && nested.pml_index > 511)))
		return;
	if (rc || !loaded) {
		rnd_fail(r, "error %d, PDPTEs %s", rc, loaded ? "good" : "bad");
		return;
	}
	vc->l2 = true;
	if (nested.kind == NMMU_NESTED_OFF)
		r->count->enter_off++;
	else
		r->count->enter_nested++;
}

static void op_leave(struct rnd *r, struct rnd_vcpu *vc)
{
	SAY(r, "vCPU %u: leave L2", vc->id);
	nmmu_nested_leave(vc->v, NULL);
	rnd_left_l2(r, vc);
	r->count->leave++;
}

/* --- the VMM --- */

static void slot_set(struct rnd *r, u32 id, u64 gfn, u64 nr, u32 flags, u64 *count)
{
	struct rnd_slot *s = &r->slot[id];
	int rc = ms_machine_slot_set(r->machine, 0, id, gfn, nr, s->hva, flags);

	if (rc == -ENOMEM && r->nomem) {
		r->count->nomem++;
		return;
	}
	/* A slot with pinned pages does not log. */
	if (rc == -EBUSY && flags & MS_SLOT_LOG_DIRTY && rnd_is_pinned(r, s->gfn, s->nr)) {
		r->count->log_refused++;
		return;
	}
	if (rc) {
		rnd_fail(r, "error %d", rc);
		return;
	}
	++*count;
	if (!nr) {
		s->on = false;
		rnd_log_stop(s);
		return;
	}
	s->on = true;
	s->gfn = gfn;
	if (flags & MS_SLOT_LOG_DIRTY && !s->logging)
		rnd_log_start(r, s);
	else if (!(flags & MS_SLOT_LOG_DIRTY))
		rnd_log_stop(s);
	s->flags = flags;
}

void rnd_slot_log(struct rnd *r, u32 id)
{
	slot_set(r, id, r->slot[id].gfn, r->slot[id].nr, r->slot[id].flags | MS_SLOT_LOG_DIRTY,
		 &r->count->slot_log);
}

/* Does any shadow page stand for tables in the slot? They may outlive a change of contents (H 35). */
struct seek {
	u64 first, end;
	bool found;
};

static bool seek_sp(void *ctx, const struct nmmu_sp *sp)
{
	struct seek *seek = ctx;

	seek->found |= !sp->role.direct && sp->gfn >= seek->first && sp->gfn < seek->end;
	return !seek->found;
}

static bool is_shadowed(struct rnd *r, u64 gfn, u64 nr)
{
	struct seek seek = { .first = gfn, .end = gfn + nr };

	nmmu_for_each_sp(r->m, seek_sp, &seek);
	return seek.found;
}

void rnd_op_slot(struct rnd *r)
{
	u32 dice = rnd_below(r, 100), id = rnd_below(r, 3);
	struct rnd_slot *s = &r->slot[2];

	if (dice < 60) {
		s = &r->slot[id];
		SAY(r, "slot %u: logging %s", id, s->logging ? "off" : "on");
		if (s->on)
			slot_set(r, id, s->gfn, s->nr, s->flags ^ MS_SLOT_LOG_DIRTY, &r->count->slot_log);
	} else if (!s->on) {
		SAY(r, "slot 2: added");
		slot_set(r, 2, 0x300, s->nr, rnd_chance(r, 30) ? MS_SLOT_LOG_DIRTY : 0, &r->count->slot_add);
	} else if (dice < 80) {
		SAY(r, "slot 2: moved");
		slot_set(r, 2, s->gfn == 0x300 ? 0x340 : 0x300, s->nr, s->flags, &r->count->slot_move);
	} else {
		SAY(r, "slot 2: deleted");
		slot_set(r, 2, s->gfn, 0, 0, &r->count->slot_delete);
	}
}

static void op_host_write(struct rnd *r)
{
	u64 gfn = 0x400 + rnd_below(r, 0x400), value = rnd_next(r);
	u64 gpa = (gfn << 12) + rnd_below(r, 512) * 8;
	int rc;

	SAY(r, "host write to gpa 0x%llx", (unsigned long long)gpa);
	if (is_shadowed(r, gfn, 1))
		return;
	rc = nmmu_host_write(r->m, gpa, &value, 8);
	if (rc && rc != -EFAULT)
		rnd_fail(r, "error %d", rc);
	r->count->host_write += !rc;
}

static void op_max_pages(struct rnd *r)
{
	u32 max = rnd_chance(r, 30) ? 0 : 40 + rnd_below(r, 100);

	SAY(r, "at most %u shadow pages", max);
	nmmu_set_max_pages(r->m, max);
	r->count->max_pages++;
}

/* --- the host --- */

static void op_host_memory(struct rnd *r)
{
	u32 id = rnd_chance(r, 75) ? 1 : rnd_below(r, 3), dice = rnd_below(r, 100);
	struct rnd_slot *s = &r->slot[id];
	u64 first = rnd_below(r, s->nr), nr = 1 + rnd_below(r, 8), hva, bytes;

	if (id == 1 && rnd_chance(r, 20)) {
		first &= ~511ULL;
		nr = 512;
	}
	if (first + nr > s->nr)
		nr = s->nr - first;
	hva = s->hva + (first << 12);
	bytes = nr << 12;
	SAY(r, "host memory of slot %u, %llu pages from %llu, %u", id, (unsigned long long)nr,
	    (unsigned long long)first, dice);
	if ((dice < 65 && rnd_is_pinned(r, s->gfn + first, nr)) ||
	    (dice >= 85 && rnd_is_pinned(r, s->gfn, s->nr))) {
		rnd_notify(r, s, first, nr);
	} else if (dice < 30) {
		/* Tables that lose their contents are nobody's idea of a guest. */
		if (id == 0 || is_shadowed(r, s->gfn + first, nr))
			return;
		ms_machine_discard(r->machine, hva, bytes);
		rnd_log_forget(r, hva, bytes);
		r->count->discard++;
	} else if (dice < 65) {
		ms_machine_migrate(r->machine, hva, bytes);
		r->count->migrate++;
	} else if (dice < 85) {
		/* Not where tables are. */
		bool writable = id == 0 || rnd_chance(r, 60);

		ms_machine_protect(r->machine, hva, bytes, writable);
		for (u64 i = 0; i < nr; i++)
			s->protected[first + i] = !writable;
		r->count->protect++;
	} else {
		ms_machine_collapse(r->machine, s->hva, s->nr << 12);
		r->count->collapse++;
	}
}

void rnd_op_migrate(struct rnd *r)
{
	struct rnd_slot *s = &r->slot[rnd_below(r, 3)];
	u64 first = rnd_below(r, s->nr), nr = rnd_chance(r, 10) ? s->nr : 1 + rnd_below(r, 8);

	if (first + nr > s->nr)
		nr = s->nr - first;
	/* What is looked at now may be pinned when the host begins. */
	if (r->cfg.pins)
		rnd_notify(r, s, first, nr);
	else if (rnd_chance(r, 10))
		ms_machine_collapse(r->machine, s->hva, s->nr << 12);
	else
		ms_machine_migrate(r->machine, s->hva + (first << 12), nr << 12);
	r->count->migrate++;
}

void rnd_op_age(struct rnd *r)
{
	struct rnd_slot *s = &r->slot[rnd_below(r, 2)];
	u64 first = rnd_chance(r, 50) ? 0 : rnd_below(r, s->nr);

	SAY(r, "aging");
	r->count->age_young += nmmu_age(r->m, s->hva + (first << 12), s->hva + (s->nr << 12));
	r->count->age++;
}

static void op_nx(struct rnd *r)
{
	SAY(r, "NX huge pages");
	if (rnd_chance(r, 10)) {
		nmmu_set_nx_huge_pages(r->m, rnd_chance(r, 60));
		r->count->nx_toggle++;
	} else {
		r->count->nx_recover += rnd_nx_recover(r, 1 + rnd_below(r, 4));
	}
}

void rnd_op_reclaim(struct rnd *r)
{
	if (rnd_chance(r, 50))
		op_max_pages(r);
	else
		op_nx(r);
}

void rnd_op_other(struct rnd *r, struct rnd_vcpu *vc)
{
	u32 dice = rnd_below(r, 1000);

	if (dice < 130)
		op_invlpg(r, vc);
	else if (dice < 200)
		op_flush_guest(r, vc);
	else if (dice < 280)
		op_flush_nested(r, vc);
	else if (dice < 450)
		op_regs(r, vc);
	else if (dice < 640)
		vc->l2 ? op_leave(r, vc) : op_enter(r, vc);
	else if (dice < 700)
		rnd_op_log_get(r);
	else if (dice < 740)
		rnd_op_log_clear(r);
	else if (dice < 780)
		rnd_op_slot(r);
	else if (dice < 880)
		op_host_memory(r);
	else if (dice < 910)
		rnd_op_age(r);
	else if (dice < 940)
		op_nx(r);
	else if (dice < 945)
		op_max_pages(r);
	else if (dice < 948)
		rnd_op_burst(r, vc);
	else if (dice < 995)
		op_host_write(r);
	else {
		SAY(r, "everything zapped");
		nmmu_zap_all(r->m);
		r->count->zap_all++;
	}
}
