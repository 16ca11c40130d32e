// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host takes memory away: SPTEs of a range of its addresses are zapped, and faults that looked at it
 * before look again. Between begin and end nothing of the range is mapped (the fault path compares sequence
 * and range under the lock: D.1 step 6).
 */
#include "nmmu/private.h"

/* Frames of slot that lie in [start, end) of hva, counting those in part. False: none. */
bool nmmu_slot_hva_range(const struct nmmu_slot *slot, u64 start, u64 end, u64 *first_ret, u64 *end_ret)
{
	u64 slot_end = slot->hva + (slot->nr_pages << NMMU_PAGE_SHIFT);

	if (start < slot->hva)
		start = slot->hva;
	if (end > slot_end)
		end = slot_end;
	if (start >= end)
		return false;
	*first_ret = slot->base_gfn + ((start - slot->hva) >> NMMU_PAGE_SHIFT);
	*end_ret = slot->base_gfn + ((end - slot->hva + NMMU_PAGE_SIZE - 1) >> NMMU_PAGE_SHIFT);
	return true;
}

void nmmu_invalidate_begin(struct nmmu *m, u64 start, u64 end)
{
	bool flush = false;

	nmmu_lock(m);
	/* Ranges are not kept apart: one that covers all stands until the last has ended. */
	if (!m->invalidate_in_progress++) {
		m->invalidate_start = start;
		m->invalidate_end = end;
	} else {
		if (start < m->invalidate_start)
			m->invalidate_start = start;
		if (end > m->invalidate_end)
			m->invalidate_end = end;
	}
	for (u32 as_id = 0; as_id < NMMU_NR_AS; as_id++) {
		for (struct nmmu_slot *slot = m->as[as_id].first; slot; slot = slot->next) {
			u64 first, last_end;

			if (nmmu_slot_hva_range(slot, start, end, &first, &last_end))
				flush |= nmmu_zap_gfn_range(m, slot, first, last_end, MS_CAUSE_NOTIFIER);
		}
	}
	if (flush)
		nmmu_flush_all(m, MS_CAUSE_NOTIFIER, false);
	nmmu_unlock(m);
	nmmu_event_for(m, NULL, MS_CAUSE_NOTIFIER, invalidate, .start = start, .end = end);
}

/* An end without a begin is ignored. */
void nmmu_invalidate_end(struct nmmu *m, u64 start, u64 end)
{
	nmmu_lock(m);
	if (m->invalidate_in_progress) {
		/* The sequence first: whoever sees no invalidation in progress sees that there was one. */
		m->invalidate_seq++;
		nmmu_smp_wmb();
		m->invalidate_in_progress--;
	}
	nmmu_unlock(m);
	nmmu_event_for(m, NULL, MS_CAUSE_NOTIFIER, invalidate_end, .start = start, .end = end);
}
