/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was really written, against what the dirty logs say of it (SEMANTICS H 37). Each frame of the host has a mark
 * that any write sets; it is taken away where the log's bit is: when a slot begins to log, and when bits are cleared.
 * What the VMM itself writes is no business of KVM's, and leaves the mark as it was.
 */
#include "scenario/machine_private.h"

#include <stdlib.h>

#include "nmmu/types.h"

/* The log has begun anew for page i of the slot. */
static void forget(struct ms_machine *machine, const struct nmmu_slot *slot, u64 i)
{
	u64 pfn = ms_machine_pfn(machine, slot->hva + (i << NMMU_PAGE_SHIFT));

	if (pfn != ~0ull)
		hostmem_clear_written(ms_machine_mem(machine), pfn);
}

static void forget_bits(struct ms_machine *machine, const struct nmmu_slot *slot, u64 first, u64 word)
{
	for (; word; word &= word - 1)
		forget(machine, slot, first + (u64)__builtin_ctzll(word));
}

int ms_machine_slot_set(struct ms_machine *machine, u16 as_id, u16 id, u64 gfn, u64 nr_pages, u64 hva,
			u32 flags)
{
	const struct nmmu_slot *old = as_id < NMMU_NR_AS ? ms_machine_slot(machine, as_id, id) : NULL, *slot;
	bool logged =
		old && old->flags & MS_SLOT_LOG_DIRTY && old->base_gfn == gfn && old->nr_pages == nr_pages;
	int err = engine_slot_set(machine, as_id, id, gfn, nr_pages, hva, flags);
	u64 i;

	if (err || !nr_pages || !(flags & MS_SLOT_LOG_DIRTY) || logged)
		return err;
	slot = ms_machine_slot(machine, as_id, id);
	for (i = 0; slot && i < slot->nr_pages; i++)
		forget(machine, slot, i);
	return 0;
}

int ms_machine_log_get(struct ms_machine *machine, u16 as_id, u16 id, u64 *bitmap_ret)
{
	const struct nmmu_slot *slot;
	int err;
	u64 i;

	ms_machine_kick(machine);
	err = engine_log_get(machine, as_id, id, bitmap_ret);
	if (err || ms_machine_nmmu(machine)->log_mode & NMMU_LOG_MANUAL)
		return err;
	slot = ms_machine_slot(machine, as_id, id);
	for (i = 0; slot && i < (slot->nr_pages + 63) / 64; i++)
		forget_bits(machine, slot, i * 64, bitmap_ret[i]);
	return 0;
}

int ms_machine_log_clear(struct ms_machine *machine, u16 as_id, u16 id, u64 first, u64 nr, const u64 *bitmap)
{
	const struct nmmu_slot *slot =
		as_id < NMMU_NR_AS ? nmmu_slot_by_id(ms_machine_nmmu(machine), as_id, id) : NULL;
	u64 i, words = (nr + 63) / 64;
	u64 *was = slot && slot->dirty && words ? calloc(words, sizeof(*was)) : NULL;
	int err;

	/* Of bits that are not set nothing is cleared, and nothing begins anew. */
	for (i = 0; was && i < words && first / 64 + i < (slot->nr_pages + 63) / 64; i++)
		was[i] = slot->dirty[first / 64 + i];
	err = engine_log_clear(machine, as_id, id, first, nr, bitmap);
	slot = ms_machine_slot(machine, as_id, id);
	for (i = 0; was && !err && slot && i < words; i++)
		forget_bits(machine, slot, first + i * 64, bitmap[i] & was[i]);
	free(was);
	return err;
}

/* --- what the logs miss --- */

/* Another slot with the same memory has a log of its own, or none: which of them a write went by is not known. */
static bool is_alias(const struct nmmu *m, const struct nmmu_slot *slot, u64 hva)
{
	const struct nmmu_slot *other;
	u32 as;

	for (as = 0; as < NMMU_NR_AS; as++)
		for (other = m->as[as].first; other; other = other->next)
			if (other != slot && hva - other->hva < other->nr_pages << NMMU_PAGE_SHIFT)
				return true;
	return false;
}

/* In a buffer that the CPU filled since the last exit. */
static bool is_in_pml(const struct nmmu *m, u64 gfn)
{
	const struct nmmu_vcpu *v;
	u32 i;

	for (v = m->vcpus; v; v = v->next)
		for (i = (u32)(u16)(v->pml_index + 1); v->pml.va && i < 512; i++)
			if (((const u64 *)v->pml.va)[i] >> NMMU_PAGE_SHIFT == gfn)
				return true;
	return false;
}

static int each_of_slot(struct ms_machine *machine, const struct nmmu_slot *slot, ms_machine_changed_fn fn,
			void *ctx)
{
	const struct nmmu *m = ms_machine_nmmu(machine);
	u64 i, hva, pfn;
	int err = 0;

	for (i = 0; i < slot->nr_pages && !err; i++) {
		struct ms_rec_changed rec = { .gfn = slot->base_gfn + i,
					      .as_id = slot->as_id,
					      .slot = slot->id };

		hva = slot->hva + (i << NMMU_PAGE_SHIFT);
		pfn = ms_machine_pfn(machine, hva);
		if (pfn == ~0ull || !hostmem_is_written(ms_machine_mem(machine), pfn) ||
		    is_alias(m, slot, hva))
			continue;
		rec.logged = slot->dirty[i / 64] >> i % 64 & 1 || is_in_pml(m, rec.gfn);
		err = fn(ctx, &rec);
	}
	return err;
}

int ms_machine_changed(struct ms_machine *machine, ms_machine_changed_fn fn, void *ctx)
{
	const struct nmmu *m = ms_machine_nmmu(machine);
	const struct nmmu_slot *slot;
	int err = 0;
	u32 as;

	for (as = 0; as < NMMU_NR_AS; as++)
		for (slot = m->as[as].first; slot && !err; slot = slot->next)
			if (slot->dirty)
				err = each_of_slot(machine, slot, fn, ctx);
	return err;
}
