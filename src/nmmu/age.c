// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Aging: was a page used since it was last asked? Where there are A bits they are cleared; where there are
 * none, R, W and X go and come back with the next access (access tracking). No flush either way: an access
 * through a stale translation goes unseen, which costs nothing but precision (E.1 "->AT").
 */
#include "nmmu/private.h"

static bool age_spte(struct nmmu *m, u64 *sptep)
{
	const struct spte_profile *p = &m->profile;
	u64 spte = nmmu_read64(sptep);

	if (!spte_is_accessed(p, spte))
		return false;
	if (p->m.accessed && spte_ad_kind(p, spte) != SPTE_AD_DISABLED)
		nmmu_spte_clear_bits(m, sptep, p->m.accessed, MS_CAUSE_AGE);
	else
		nmmu_spte_update_no_track(m, sptep, nmmu_spte_mark_tracked(m, spte), MS_CAUSE_AGE);
	return true;
}

static bool age_slot(struct nmmu *m, struct nmmu_slot *slot, u64 first, u64 end)
{
	bool young = false;

	for (u32 level = 1; level <= SPTE_LEVEL_HUGE_MAX; level++) {
		u64 last = nmmu_lpage_index(slot, end - 1, level);

		for (u64 i = nmmu_lpage_index(slot, first, level); i <= last; i++) {
			struct nmmu_rmap head = slot->rmap[level - 1][i];
			struct nmmu_rmap_iter it;

			for (u64 *sptep = nmmu_rmap_first(head, &it); sptep; sptep = nmmu_rmap_next(&it))
				young |= age_spte(m, sptep);
		}
	}
	return young;
}

bool nmmu_age(struct nmmu *m, u64 start, u64 end)
{
	bool young = false;

	nmmu_event_for(m, NULL, MS_CAUSE_AGE, age, .start = start, .end = end, .clears = true);
	nmmu_lock(m);
	for (u32 as_id = 0; as_id < NMMU_NR_AS; as_id++) {
		for (struct nmmu_slot *slot = m->as[as_id].first; slot; slot = slot->next) {
			u64 first, slot_end;

			if (nmmu_slot_hva_range(slot, start, end, &first, &slot_end))
				young |= age_slot(m, slot, first, slot_end);
		}
	}
	nmmu_unlock(m);
	return young;
}
