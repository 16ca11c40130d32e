/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pinned pages (SEMANTICS G) on those machines that have them: prefault, ballooning, notifiers, a host that refuses,
 * the end of the VMM's memory. The host keeps what it was asked to keep: what would move it only notifies.
 */
#include "tests/unit/rnd.h"

#define SAY(r, ...) snprintf((r)->what, sizeof((r)->what), __VA_ARGS__)

bool rnd_is_pinned(const struct rnd *r, u64 gfn, u64 nr)
{
	struct nmmu_pin_info info;

	for (u64 i = 0; r->cfg.pins && i < nr; i++)
		if (!nmmu_pin_get(r->m, 0, gfn + i, &info))
			return true;
	return false;
}

static u64 draw_gfn(struct rnd *r)
{
	u32 dice = rnd_below(r, 100);

	if (dice < 70)
		return 0x400 + rnd_below(r, 0x400);
	if (dice < 80)
		return 0x2f8 + rnd_below(r, 0x90);
	return dice < 90 ? rnd_below(r, 0x300) : 0x7f8 + rnd_below(r, 0x20);
}

static bool is_direct(const struct rnd_vcpu *vc)
{
	return vc->v->mmu->which == MS_MMU_ROOT && vc->v->mmu->root_role.direct;
}

static void op_prefault(struct rnd *r, struct rnd_vcpu *vc)
{
	u64 gfn = draw_gfn(r), nr = 1 + rnd_below(r, 16), done;
	struct nmmu_prefault range = { .gpa = gfn << 12, .size = nr << 12 };
	int rc;

	SAY(r, "vCPU %u: prefault of %llu pages from gfn 0x%llx", vc->id, (unsigned long long)nr,
	    (unsigned long long)gfn);
	rc = nmmu_prefault(vc->v, &range);
	done = nr - (range.size >> 12);
	if (r->m->readers)
		rnd_fail(r, "somebody is still inside the memslots");
	if (!rc) {
		for (u64 i = 0; i < done; i++)
			if (!rnd_slot_of(r, gfn + i))
				rnd_fail(r, "gfn 0x%llx is said to be mapped", (unsigned long long)(gfn + i));
		if (!done || range.gpa != (gfn + done) << 12)
			rnd_fail(r, "nothing done, and no error");
		r->count->prefault++;
		return;
	}
	if (done)
		rnd_fail(r, "error %d, and %llu pages done", rc, (unsigned long long)done);
	else if (rc == -EOPNOTSUPP ? !r->cfg.tdp || !is_direct(vc)
		 : rc == -ENOENT   ? !rnd_slot_of(r, gfn)
		 : rc == -ENOMEM   ? r->nomem
				   : rc == -ENOSPC || rc == -EBUSY)
		r->count->prefault_refused++;
	else
		rnd_fail(r, "error %d", rc);
}

static void op_unpin(struct rnd *r)
{
	u64 gfn = draw_gfn(r);
	bool pinned;
	int rc;

	for (u32 i = 0; i < 16 && !rnd_is_pinned(r, gfn, 1); i++)
		gfn = draw_gfn(r);
	SAY(r, "gfn 0x%llx unpinned", (unsigned long long)gfn);
	pinned = rnd_is_pinned(r, gfn, 1);
	rc = nmmu_unpin(r->m, 0, gfn);
	if (rc != (pinned ? 0 : -ENOENT))
		rnd_fail(r, "error %d, pinned %d", rc, pinned);
	if (rnd_is_pinned(r, gfn, 1))
		rnd_fail(r, "it is pinned");
	r->count->unpin += pinned;
}

static void op_release(struct rnd *r)
{
	SAY(r, "the VMM's address space goes");
	nmmu_mm_release(r->m);
	if (r->m->nr_pins || ms_machine_pin_calls(r->machine).held_pages)
		rnd_fail(r, "%llu pages are pinned", (unsigned long long)r->m->nr_pins);
	if (r->m->stats.pages[0] || r->m->stats.pages[1] || r->m->stats.pages[2])
		rnd_fail(r, "pages are mapped");
	r->count->mm_release++;
}

/* Pins whose page is mapped (P). */
static u64 nr_mapped(const struct rnd *r)
{
	u64 nr = 0;

	for (const struct nmmu_slot *s = r->m->as[0].first; s; s = s->next)
		for (u64 i = 0; s->nr_pins && i < s->nr_pages; i++)
			nr += s->pins[i].level && s->pins[i].mapped;
	return nr;
}

/* Room is made of pages without pins only. */
static void op_limit(struct rnd *r)
{
	u32 max = 40 + rnd_below(r, 30);
	u64 before = nr_mapped(r);

	SAY(r, "at most %u shadow pages, with pins", max);
	nmmu_set_max_pages(r->m, max);
	if (nr_mapped(r) != before)
		rnd_fail(r, "%llu pinned pages were mapped, %llu are", (unsigned long long)before,
			 (unsigned long long)nr_mapped(r));
	nmmu_set_max_pages(r->m, 0);
}

static void op_nx(struct rnd *r)
{
	bool on = rnd_chance(r, 50), was = r->m->cfg.nx_huge_pages;
	int want = on != was && r->m->nr_pins ? -EBUSY : 0, rc;

	SAY(r, "NX huge pages %s, with pins", on ? "on" : "off");
	rc = nmmu_set_nx_huge_pages(r->m, on);
	if (rc != want || r->m->cfg.nx_huge_pages != (rc ? was : on))
		rnd_fail(r, "error %d, expected %d", rc, want);
}

/* A host that moves a page which it was to keep: whoever maps it next is told, until the pin ends. */
static void op_moved(struct rnd *r, struct rnd_vcpu *vc)
{
	u64 gfn = draw_gfn(r);
	struct nmmu_prefault range = { .size = 1 << 12 };
	struct rnd_slot *s = rnd_slot_of(r, gfn);
	struct nmmu_pin_info info;
	int rc;

	if (!s || nmmu_pin_get(r->m, 0, gfn, &info) || info.level > 1 || !r->cfg.tdp || !is_direct(vc))
		return;
	SAY(r, "gfn 0x%llx is moved though it is pinned", (unsigned long long)gfn);
	ms_machine_migrate(r->machine, s->hva + ((gfn - s->gfn) << 12), 1 << 12);
	range.gpa = gfn << 12;
	rc = nmmu_prefault(vc->v, &range);
	if (rc != -EIO && rc != -ENOSPC && !(rc == -ENOMEM && r->nomem))
		rnd_fail(r, "error %d", rc);
	if (nmmu_unpin(r->m, 0, gfn))
		rnd_fail(r, "it was not pinned");
	r->count->moved++;
}

void rnd_notify(struct rnd *r, const struct rnd_slot *s, u64 first, u64 nr)
{
	ms_machine_notify(r->machine, s->hva + (first << 12), nr << 12);
	r->count->notify++;
}

void rnd_op_pins(struct rnd *r, struct rnd_vcpu *vc)
{
	u32 dice = rnd_below(r, 100);
	struct rnd_slot *s;
	u64 first;

	if (dice < 40) {
		op_prefault(r, vc);
	} else if (dice < 65) {
		op_unpin(r);
	} else if (dice < 75) {
		op_moved(r, vc);
	} else if (dice < 90) {
		s = &r->slot[rnd_chance(r, 75) ? 1 : rnd_below(r, 3)];
		first = rnd_below(r, s->nr);
		SAY(r, "notifier of slot %u from %llu", (u32)(s - r->slot), (unsigned long long)first);
		rnd_notify(r, s, first, 1 + rnd_below(r, s->nr - first));
	} else if (dice < 92) {
		op_limit(r);
	} else if (dice < 94) {
		op_nx(r);
	} else if (dice < 97) {
		SAY(r, "the host refuses a pin");
		ms_machine_fail_pin(r->machine, 1 + rnd_below(r, 3));
	} else {
		op_release(r);
	}
}

/* The host keeps just what the pin tables have. */
void rnd_check_pins(struct rnd *r)
{
	u64 held = ms_machine_pin_calls(r->machine).held_pages, pinned = 0;

	for (u32 as_id = 0; as_id < NMMU_NR_AS; as_id++)
		for (const struct nmmu_slot *s = r->m->as[as_id].first; s; s = s->next)
			for (u64 i = 0; s->nr_pins && i < s->nr_pages; i++)
				pinned += s->pins[i].level ? 1ULL << 9 * (s->pins[i].level - 1) : 0;
	if (held != pinned)
		rnd_fail(r, "the host keeps %llu frames, %llu are pinned", (unsigned long long)held,
			 (unsigned long long)pinned);
	r->count->pins += r->m->nr_pins;
}
