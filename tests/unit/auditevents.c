/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events that break an invariant of SEMANTICS H, and such that look like it and are right: rows 4, 41, 44. */
#include <string.h>

#include "audittrips.h"

#define BIT(n) (1ull << (n))

/* A leaf of L1's, as fake.c makes one. */
static u64 a_leaf(struct audit_host *h)
{
	return *audit_spte(h, FAKE_TDP_L1, 3);
}

static struct ms_event *event(struct audit_host *h, enum ms_event_id id)
{
	struct ms_event *e = &h->events[h->nr_events++];

	memset(e, 0, sizeof(*e));
	e->seq = h->nr_events;
	e->id = id;
	return e;
}

static void set_to(struct audit_host *h, u64 old_spte, u64 new_spte, u8 level)
{
	event(h, MS_EV_spte_set)->u.spte_set = (struct ms_ev_spte_set){ .sp = FAKE_SP(0, (u64)FAKE_TDP_L1),
									.gfn = 3,
									.old_spte = old_spte,
									.new_spte = new_spte,
									.index = 3,
									.level = level };
}

static void host_writable_lost(struct audit_host *h)
{
	set_to(h, a_leaf(h), a_leaf(h) & ~(h->ept ? BIT(57) : BIT(9)), 1);
}

static void host_writable_won(struct audit_host *h)
{
	set_to(h, a_leaf(h) & ~(h->ept ? BIT(57) : BIT(9)), a_leaf(h), 1);
}

static void frame_changed(struct audit_host *h)
{
	set_to(h, a_leaf(h), a_leaf(h) ^ BIT(20), 1);
}

static void frame_changed_huge(struct audit_host *h)
{
	set_to(h, a_leaf(h) | BIT(7), (a_leaf(h) | BIT(7)) ^ BIT(30), 2);
}

static void frame_changed_by_way_of_nothing(struct audit_host *h)
{
	u64 nothing = h->v61 ? 0 : BIT(63);

	set_to(h, a_leaf(h), nothing, 1);
	set_to(h, nothing, (a_leaf(h) ^ BIT(20)) & ~(h->ept ? BIT(57) : BIT(9)), 1);
}

/* A huge page is split: its entry leads to a table elsewhere. */
static void huge_page_split(struct audit_host *h)
{
	set_to(h, a_leaf(h) | BIT(7), (a_leaf(h) & ~BIT(7)) ^ BIT(30), 2);
}

static void protected(struct audit_host *h)
{
	set_to(h, a_leaf(h), a_leaf(h) & ~BIT(1), 1);
}

static void injected(struct audit_host *h, u64 reason, u64 qual, u8 unbacked)
{
	event(h, MS_EV_inject)->u.inject =
		(struct ms_ev_inject){ .reason = reason, .qual = qual, .addr = 0x5000, .unbacked = unbacked };
}

static void no_access(struct audit_host *h)
{
	injected(h, 48, 0x188, false);
}

static void read_where_granted(struct audit_host *h)
{
	injected(h, 48, 0x189, false);
}

static void fetch_where_granted(struct audit_host *h)
{
	injected(h, 48, 0x1a4, false);
}

static void no_access_unbacked(struct audit_host *h)
{
	injected(h, 48, 0x1b8, true);
}

static void write_where_read_is_granted(struct audit_host *h)
{
	injected(h, 48, 0x18a, false);
	injected(h, 48, 0x181, false);
	/* A read and a write, of which one is granted. */
	injected(h, 48, 0x18b, false);
}

static void granted_and_unbacked(struct audit_host *h)
{
	injected(h, 48, 0x1b9, true);
}

static void granted_and_unknown(struct audit_host *h)
{
	injected(h, 48, 0x1b9, MS_EV_UNKNOWN);
}

static void not_a_violation(struct audit_host *h)
{
	injected(h, 49, 0, false);
	injected(h, 62, 0, false);
	injected(h, 14, 2, false);
	injected(h, 0x400, 0x100000007, false);
}

const struct audit_trip audit_event_trips[] = {
	{ "host-writable lost by a leaf", ROW(4), ALL, host_writable_lost },
	{ "host-writable won by a leaf", ROW(4), ALL, host_writable_won },
	{ "a leaf's frame changed", ROW(41), ALL, frame_changed },
	{ "a huge leaf's frame changed", ROW(41), ALL, frame_changed_huge },
	{ "a violation without an access", ROW(44), ALL, no_access },
	{ "the same of a table without memory", ROW(44), ALL, no_access_unbacked },
	{ "a violation of what is granted, R", ROW(44), ALL, read_where_granted },
	{ "a violation of what is granted, X", ROW(44), ALL, fetch_where_granted },

	{ "a frame changed, zapped in between", 0, ALL, frame_changed_by_way_of_nothing },
	{ "a huge page split", 0, ALL, huge_page_split },
	{ "write-protected", 0, ALL, protected },
	{ "violations of what is not granted", 0, ALL, write_where_read_is_granted },
	{ "granted, and the table has no memory", 0, ALL, granted_and_unbacked },
	{ "granted, and it is not known whether the table has memory", 0, ALL, granted_and_unknown },
	{ "other exits without qualification", 0, ALL, not_a_violation },
	{ 0 },
};
