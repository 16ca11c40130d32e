// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The iTLB multihit mitigation (SEMANTICS F "NX huge"): huge leaves are mapped without X, an execute fault
 * splits one into a page of 4K leaves. Here is the list of the pages that exist for that reason alone, and
 * the worker that zaps some of them a period, so that the range may become huge again.
 */
#include "nmmu/private.h"

/* sp stands where a huge leaf could. May be told twice. Locked. */
void nmmu_nx_account(struct nmmu *m, struct nmmu_sp *sp)
{
	sp->nx_disallowed = true;
	if (!nmmu_link_empty(&sp->nx_link))
		return;
	nmmu_link_add(&sp->nx_link, m->nx_pages.prev); /* oldest first */
	m->nr_nx_pages++;
	m->stats.nx_splits++;
}

void nmmu_nx_unaccount(struct nmmu *m, struct nmmu_sp *sp)
{
	sp->nx_disallowed = false;
	if (nmmu_link_empty(&sp->nx_link))
		return;
	nmmu_link_del(&sp->nx_link);
	m->nr_nx_pages--;
	m->stats.nx_splits--;
}

/* 6.12: while the slot logs its pages stay 4K anyway, so zapping would gain nothing. */
static bool is_logged(const struct nmmu *m, const struct nmmu_sp *sp)
{
	const struct nmmu_slot *slot;

	if (!nmmu_is_6_12(m) || !m->nr_log_slots)
		return false;
	slot = nmmu_slot_of(m, sp->role.smm, sp->gfn);
	return slot && slot->flags & MS_SLOT_LOG_DIRTY;
}

u32 nmmu_nx_recover(struct nmmu *m, u32 ratio)
{
	struct nmmu_link invalid;
	u32 zapped = 0;
	u64 left;

	if (!ratio)
		return 0;
	nmmu_link_init(&invalid);
	nmmu_lock(m);
	left = (m->stats.nx_splits + ratio - 1) / ratio;
	for (; left && !nmmu_link_empty(&m->nx_pages); left--) {
		struct nmmu_sp *sp = nmmu_container(m->nx_pages.next, struct nmmu_sp, nx_link);

		/* Pinned parts stay parts: zapping would gain nothing there either. */
		if (is_logged(m, sp) || (m->nr_pins && nmmu_sp_has_pins(m, sp)) ||
		    nmmu_mutant(m, NX_FORGETS)) {
			nmmu_nx_unaccount(m, sp);
			continue;
		}
		nmmu_event_for(m, NULL, MS_CAUSE_NX, nx_recover, .sp = sp->id, .gfn = sp->gfn,
			       .role = sp->role.word);
		nmmu_sp_prepare_zap(m, sp, &invalid, MS_CAUSE_NX);
		zapped++;
	}
	nmmu_sp_commit_zap(m, &invalid, MS_CAUSE_NX);
	nmmu_unlock(m);
	return zapped;
}

int nmmu_set_nx_huge_pages(struct nmmu *m, bool on)
{
	bool was;

	nmmu_lock(m);
	was = m->cfg.nx_huge_pages;
	if (was != on && m->nr_pins && !nmmu_mutant(m, PIN_NX)) {
		nmmu_unlock(m);
		return -EBUSY;
	}
	m->cfg.nx_huge_pages = on;
	nmmu_unlock(m);
	if (was != on)
		nmmu_zap_all_for(m, MS_CAUSE_NX);
	return 0;
}
