/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of SEMANTICS H about what happened, 4, 41 and 44, from the events that a target keeps. */
#include "audit/private.h"

#include "target/target.h"

#define QUAL_ACCESS 7u /* what was tried: R, W, X */
#define QUAL_GRANTED(qual) ((qual) >> 3 & 7) /* what EPT12 grants */
#define REASON_EPT_VIOLATION 48

static struct place place_of(const struct audit *a, const struct ms_event *event)
{
	const struct ms_ev_spte_set *ev = &event->u.spte_set;
	struct place at = { .idx = MS_AUDIT_NO_INDEX,
			    .have_gfn = true,
			    .gfn = ev->gfn,
			    .event = event->id,
			    .seq = event->seq };

	at.sp = ms_vm_sp(a->vm, ev->sp);
	if (at.sp && at.sp->tables && ev->index < MS_SPTES)
		at.idx = ev->index;
	return at;
}

/* 4 and 41: a leaf that takes the place of a leaf, with nothing in between. */
static void spte_set(struct audit *a, const struct ms_event *event)
{
	const struct ms_ev_spte_set *ev = &event->u.spte_set;
	const struct place at = place_of(a, event);

	if (!spte_is_leaf(a->p, ev->old_spte, ev->level) || !spte_is_leaf(a->p, ev->new_spte, ev->level))
		return;
	if (audit_asks(a, 4) &&
	    spte_is_host_writable(a->p, ev->old_spte) != spte_is_host_writable(a->p, ev->new_spte))
		audit_found(a, 4, &at, "event %llu: host-writable changed, 0x%llx to 0x%llx",
			    (unsigned long long)event->seq, (unsigned long long)ev->old_spte,
			    (unsigned long long)ev->new_spte);
	if (audit_asks(a, 41) && spte_pfn(a->p, ev->old_spte) != spte_pfn(a->p, ev->new_spte))
		audit_found(a, 41, &at, "event %llu: the host frame changed, 0x%llx to 0x%llx",
			    (unsigned long long)event->seq, (unsigned long long)ev->old_spte,
			    (unsigned long long)ev->new_spte);
}

/*
 * 44. Where a table has no memory, or its A and D bits could not be set, what is reported may be granted (D.1); and
 * where that is not known.
 */
static void inject(struct audit *a, const struct ms_event *event)
{
	const struct ms_ev_inject *ev = &event->u.inject;
	const struct place at = { .idx = MS_AUDIT_NO_INDEX, .event = event->id, .seq = event->seq };
	u32 access = ev->qual & QUAL_ACCESS, granted = QUAL_GRANTED(ev->qual);

	if (ev->reason != REASON_EPT_VIOLATION || !audit_asks(a, 44))
		return;
	if (!access)
		audit_found(a, 44, &at, "event %llu: qualification 0x%llx at nGPA 0x%llx says no access",
			    (unsigned long long)event->seq, (unsigned long long)ev->qual,
			    (unsigned long long)ev->addr);
	else if (!ev->unbacked && !(access & ~granted))
		audit_found(a, 44, &at, "event %llu: qualification 0x%llx at nGPA 0x%llx: that was granted",
			    (unsigned long long)event->seq, (unsigned long long)ev->qual,
			    (unsigned long long)ev->addr);
}

void audit_events(struct audit *a, const struct ms_event_log *events)
{
	size_t i;

	for (i = 0; i < events->nr; i++) {
		if (events->events[i].id == MS_EV_spte_set)
			spte_set(a, &events->events[i]);
		else if (events->events[i].id == MS_EV_inject)
			inject(a, &events->events[i]);
	}
}
