// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages that the host must not move. What is pinned stands in the slot's table, not in SPTEs: those go with
 * their roots, at a recycling or a slot's update, and a pin must not (SEMANTICS G, open questions). A shadow
 * page keeps a mark for each leaf of a pinned page, so that a clear finds the entry, and recycling the page.
 *
 *	none --pin, first leaf--> P --zap, last leaf--> Z --unzap, next leaf--> P       P, Z --unpin--> none
 *
 * An SPTE of state Z is an ordinary non-present one: it names no frame (L1TF), needs no bit that PAE
 * reserves, and is never taken for a table or a device.
 */
#include "nmmu/private.h"

static struct nmmu_pin *pin_at(const struct nmmu_slot *slot, u64 gfn)
{
	return &slot->pins[gfn - slot->base_gfn];
}

/* The entry whose page holds gfn; *gfn_ret: its first frame. */
static struct nmmu_pin *find_pin(const struct nmmu_slot *slot, u64 gfn, u64 *gfn_ret)
{
	if (!slot || !slot->nr_pins)
		return NULL;
	for (u32 level = 1; level <= SPTE_LEVEL_HUGE_MAX; level++) {
		u64 first = nmmu_round_gfn(gfn, level);

		if (first < slot->base_gfn)
			break;
		/* A larger page that begins here holds gfn too. */
		if (pin_at(slot, first)->level >= level) {
			*gfn_ret = first;
			return pin_at(slot, first);
		}
	}
	return NULL;
}

int nmmu_pins_alloc(struct nmmu *m, struct nmmu_slot *slot)
{
	slot->pin_mem = m->ops->alloc(m->host, sizeof(*slot->pin_mem) + slot->nr_pages * sizeof(*slot->pins));
	if (!slot->pin_mem)
		return -ENOMEM;
	slot->pins = (struct nmmu_pin *)(slot->pin_mem + 1);
	return 0;
}

/* What the hooks are told. */
static u8 told_level(struct nmmu *m, u8 level)
{
	return nmmu_mutant(m, PIN_LEVEL_1) ? 1 : level;
}

static void tell_zap(struct nmmu *m, u64 gfn, u64 pfn, u8 level)
{
	if (m->ops->zap)
		m->ops->zap(m->host, gfn, pfn, told_level(m, level));
}

static void set_pin(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, u64 pfn, u32 level)
{
	*pin_at(slot, gfn) = (struct nmmu_pin){ .pfn = pfn, .level = (u8)level };
	slot->nr_pins++;
	m->nr_pins++;
}

static void drop_pin(struct nmmu *m, struct nmmu_slot *slot, u64 gfn)
{
	struct nmmu_pin *pin = pin_at(slot, gfn), old = *pin;

	nmmu_zero(pin, sizeof(*pin));
	slot->nr_pins--;
	m->nr_pins--;
	m->ops->unpin(m->host, gfn, old.pfn, told_level(m, old.level));
}

void nmmu_pins_drop(struct nmmu *m, struct nmmu_slot *slot)
{
	for (u64 i = 0; i < slot->nr_pages && slot->nr_pins; i++)
		if (slot->pins[i].level)
			drop_pin(m, slot, slot->base_gfn + i);
}

void nmmu_pins_drop_all(struct nmmu *m)
{
	for (u32 as_id = 0; m->nr_pins && as_id < NMMU_NR_AS; as_id++)
		for (struct nmmu_slot *slot = m->as[as_id].first; slot; slot = slot->next)
			nmmu_pins_drop(m, slot);
}

/* --- mapping --- */

static bool has_smaller(const struct nmmu_slot *slot, u64 gfn, u32 level)
{
	u64 first = nmmu_round_gfn(gfn, level);

	for (u64 i = 0; i < nmmu_level_pages(level); i++) {
		u8 pinned = pin_at(slot, first + i)->level;

		if (pinned && pinned < level)
			return true;
	}
	return false;
}

void nmmu_pin_limit(struct nmmu_fault *fault)
{
	if (!fault->slot || !fault->slot->nr_pins)
		return;
	while (fault->goal_level > 1 && has_smaller(fault->slot, fault->gfn, fault->goal_level)) {
		fault->pfn |= fault->gfn &
			      (nmmu_level_pages(fault->goal_level) - nmmu_level_pages(fault->goal_level - 1));
		fault->goal_level--;
	}
}

/* One level down. The parts are of state Z, and the host is told so: nothing maps them yet. */
static int split_pin(struct nmmu *m, struct nmmu_slot *slot, u64 first)
{
	struct nmmu_pin old;
	u32 level = pin_at(slot, first)->level;
	u64 step = nmmu_level_pages(level - 1);
	u64 end = first + nmmu_level_pages(level), gfn;

	if (nmmu_zap_gfn_range(m, slot, first, end, MS_CAUSE_RELINK))
		nmmu_flush_all(m, MS_CAUSE_RELINK, false);
	old = *pin_at(slot, first);
	/* All parts before the whole is let go: the page is pinned throughout. */
	for (gfn = first; gfn < end; gfn += step)
		if (m->ops->pin(m->host, gfn, old.pfn + gfn - first, (u8)(level - 1)))
			tell_zap(m, gfn, old.pfn + gfn - first, (u8)(level - 1));
		else
			break;
	if (gfn < end) {
		while (gfn > first) {
			gfn -= step;
			m->ops->unpin(m->host, gfn, old.pfn + gfn - first, (u8)(level - 1));
		}
		return -EBUSY;
	}
	drop_pin(m, slot, first);
	for (gfn = first; gfn < end; gfn += step)
		set_pin(m, slot, gfn, old.pfn + gfn - first, level - 1);
	return 0;
}

int nmmu_pin_split(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, u32 level)
{
	struct nmmu_pin *pin;
	u64 first;

	if (nmmu_mutant(m, PIN_NO_SPLIT))
		return 0;
	while ((pin = find_pin(slot, gfn, &first)) && pin->level > level) {
		int err = split_pin(m, slot, first);

		if (err)
			return err;
	}
	return 0;
}

int nmmu_pin_leaf(struct nmmu *m, struct nmmu_slot *slot, struct nmmu_sp *sp, u32 index, u64 gfn, u64 pfn,
		  bool *unzap_ret)
{
	u8 level = (u8)sp->role.level;
	u64 first;
	struct nmmu_pin *pin = find_pin(slot, gfn, &first);
	bool unzap = false;

	if (pin) {
		/* A pinned page has not moved, nor has it another size: nmmu_pin_limit(), nmmu_pin_split(). */
		if ((pin->level != level && !nmmu_mutant(m, PIN_NO_SPLIT)) ||
		    (pin->pfn != pfn && !nmmu_mutant(m, PIN_ANY_PFN)))
			return -EIO;
		unzap = !pin->mapped;
	} else {
		/* Logging and pins exclude each other (G). */
		if (nmmu_slot_logs(slot) || !m->ops->pin(m->host, gfn, pfn, level))
			return 0;
		set_pin(m, slot, gfn, pfn, level);
		pin = pin_at(slot, gfn);
	}
	pin->mapped++;
	sp->pinned[index / 64] |= 1ULL << index % 64;
	sp->nr_pinned++;
	*unzap_ret = unzap;
	return 0;
}

void nmmu_pin_unzapped(struct nmmu *m, u64 gfn, u64 pfn, u8 level)
{
	if (m->ops->unzap)
		m->ops->unzap(m->host, gfn, pfn, told_level(m, level));
}

void nmmu_pin_cleared(struct nmmu *m, struct nmmu_sp *sp, u32 index)
{
	u64 gfn = nmmu_sp_gfn(sp, index);
	struct nmmu_slot *slot;
	struct nmmu_pin *pin;

	if (!nmmu_sp_is_pinned(sp, index))
		return;
	sp->pinned[index / 64] &= ~(1ULL << index % 64);
	sp->nr_pinned--;
	slot = nmmu_sp_slot(m, sp, gfn);
	if (!slot || !slot->pins)
		return;
	pin = pin_at(slot, gfn);
	if (pin->mapped && !--pin->mapped)
		tell_zap(m, gfn, pin->pfn, pin->level);
}

/* Recursion follows the levels down. */
bool nmmu_sp_has_pins(const struct nmmu *m, const struct nmmu_sp *sp)
{
	const struct spte_profile *p = &m->profile;

	if (sp->nr_pinned)
		return true;
	for (u32 i = 0; sp->role.level > 1 && i < 512; i++) {
		u64 spte = nmmu_read64(&sp->spt[i]);
		const struct nmmu_sp *child;

		if (!spte_is_mmu_present(p, spte) || spte_is_leaf(p, spte, sp->role.level))
			continue;
		child = nmmu_sp_by_pa(m, spte_pfn(p, spte) << NMMU_PAGE_SHIFT);
		if (child && nmmu_sp_has_pins(m, child))
			return true;
	}
	return false;
}

/* --- asked from outside --- */

int nmmu_pin_get(const struct nmmu *m, u16 as_id, u64 gfn, struct nmmu_pin_info *ret)
{
	u64 first;
	const struct nmmu_pin *pin = find_pin(nmmu_slot_any(m, as_id, gfn), gfn, &first);

	if (!pin)
		return -ENOENT;
	*ret = (struct nmmu_pin_info){
		.gfn = first, .pfn = pin->pfn, .level = pin->level, .mapped = pin->mapped
	};
	return 0;
}

int nmmu_unpin(struct nmmu *m, u16 as_id, u64 gfn)
{
	struct nmmu_slot *slot;
	struct nmmu_pin *pin;
	int err = -ENOENT;
	u64 first;

	nmmu_slots_enter(m);
	nmmu_lock(m);
	slot = nmmu_slot_of(m, as_id, gfn);
	pin = find_pin(slot, gfn, &first);
	if (pin) {
		u64 end = first + nmmu_level_pages(pin->level);

		/* L2's leaves of the page too. */
		if (!nmmu_mutant(m, PIN_STAYS_MAPPED) &&
		    nmmu_zap_gfn_range(m, slot, first, end, MS_CAUSE_NOTIFIER))
			nmmu_flush_all(m, MS_CAUSE_NOTIFIER, false);
		/* A fault that has looked the page up already must look again. */
		m->invalidate_seq++;
		drop_pin(m, slot, first);
		err = 0;
	}
	nmmu_unlock(m);
	nmmu_slots_leave(m);
	return err;
}

void nmmu_mm_release(struct nmmu *m)
{
	nmmu_slots_enter(m);
	nmmu_lock(m);
	nmmu_zap_all_locked(m, MS_CAUSE_TEARDOWN);
	/* What was mapped while the lock was dropped between batches goes as well. */
	for (u32 as_id = 0; m->nr_pins && as_id < NMMU_NR_AS; as_id++)
		for (struct nmmu_slot *slot = m->as[as_id].first; slot; slot = slot->next)
			if (nmmu_zap_gfn_range(m, slot, slot->base_gfn, slot->base_gfn + slot->nr_pages,
					       MS_CAUSE_TEARDOWN))
				nmmu_flush_all(m, MS_CAUSE_TEARDOWN, false);
	if (!nmmu_mutant(m, PIN_MM_LEAK))
		nmmu_pins_drop_all(m);
	m->invalidate_seq++;
	nmmu_unlock(m);
	nmmu_slots_leave(m);
}
