// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What hangs on a memslot page by page: reverse maps, the counts that forbid large pages, write tracking. One
 * piece of memory a slot:
 *
 *   grave | rmap 4K .. | rmap 2M .. | rmap 1G .. | disallow 2M .. | disallow 1G .. | write_track ..
 *
 * Counts only; who shadows what and when SPTEs are protected is sp.c's business. All but the allocation is
 * under mmu_lock.
 */
#include "nmmu/private.h"

#define NR_LEVELS (NMMU_LPAGE_LEVELS + 1)

static void fill_disallowed(struct nmmu_slot *slot, u32 level)
{
	u64 rest = nmmu_level_pages(level) - 1, nr = nmmu_nr_lpages(slot, level);
	u32 *count = slot->disallow_lpage[level - 2];

	if (slot->base_gfn & rest)
		count[0] = 1;
	if ((slot->base_gfn + slot->nr_pages) & rest)
		count[nr - 1] = 1;
	/* Not congruent: no large page of the guest is one of the host. */
	if ((slot->base_gfn ^ slot->hva >> NMMU_PAGE_SHIFT) & rest)
		for (u64 i = 0; i < nr; i++)
			count[i] = 1;
}

int nmmu_slot_arrays(struct nmmu *m, struct nmmu_slot *slot)
{
	u64 nr_rmaps = 0, nr_counts = slot->nr_pages;
	struct nmmu_rmap *rmap;
	u32 *count;

	for (u32 level = 1; level <= NR_LEVELS; level++) {
		nr_rmaps += nmmu_nr_lpages(slot, level);
		if (level > 1)
			nr_counts += nmmu_nr_lpages(slot, level);
	}
	slot->arrays = m->ops->alloc(m->host, sizeof(*slot->arrays) + nr_rmaps * sizeof(*rmap) +
						      nr_counts * sizeof(*count));
	if (!slot->arrays)
		return -ENOMEM;
	rmap = (struct nmmu_rmap *)(slot->arrays + 1);
	count = (u32 *)(rmap + nr_rmaps);
	for (u32 level = 1; level <= NR_LEVELS; level++) {
		u64 nr = nmmu_nr_lpages(slot, level);

		slot->rmap[level - 1] = rmap;
		rmap += nr;
		if (level == 1)
			continue;
		slot->disallow_lpage[level - 2] = count;
		count += nr;
		fill_disallowed(slot, level);
	}
	slot->write_track = count;
	return 0;
}

struct nmmu_rmap *nmmu_slot_rmap(struct nmmu_slot *slot, u64 gfn, u32 level)
{
	return &slot->rmap[level - 1][nmmu_lpage_index(slot, gfn, level)];
}

u32 nmmu_max_level(struct nmmu *m, const struct nmmu_slot *slot, u64 gfn, u32 host_level, u32 max_level)
{
	u32 level = m->cfg.gbpages ? 3 : 2;

	/* Dirty pages are counted in 4K (E6). */
	if (!slot || slot->flags & MS_SLOT_LOG_DIRTY)
		return 1;
	if (level > max_level)
		level = max_level;
	if (level > host_level)
		level = host_level;
	while (level > 1 && slot->disallow_lpage[level - 2][nmmu_lpage_index(slot, gfn, level)])
		level--;
	return level ? level : 1;
}

void nmmu_lpage_disallow(struct nmmu_slot *slot, u64 gfn, s32 delta)
{
	for (u32 level = 2; level <= NR_LEVELS; level++)
		slot->disallow_lpage[level - 2][nmmu_lpage_index(slot, gfn, level)] += delta;
}

void nmmu_write_track(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, s32 delta)
{
	(void)m;
	slot->write_track[gfn - slot->base_gfn] += delta;
}

bool nmmu_is_write_tracked(const struct nmmu_slot *slot, u64 gfn)
{
	return slot && slot->write_track[gfn - slot->base_gfn];
}
