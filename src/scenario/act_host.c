/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Actions of a scenario on memslots and on what is behind them: the VMM's memory and the host's mappings. */
#include "scenario/play.h"

#include <errno.h>

#define HVA_BASE 0x7f0000000000ULL
#define HVA_AS_SHIFT 44
#define MAX_SLOT_PAGES MS_SCENARIO_MAX_PAGES

enum host { HOST_4K, HOST_2M, HOST_1G, HOST_RO, HOST_NONE }; /* choices of keys.def */

/* Back a slot's memory, unless it is backed already. Part of it being so is not told from all of it. */
static bool back(struct ms_play *play, const struct stmt *stmt, u64 hva, u64 bytes)
{
	u32 host = arg_choice(play, stmt, KEY_HOST, HOST_4K), i;
	struct ms_err *err;

	for (i = 0; i < play->nr_mapped; i++)
		if (hva < play->mapped[i].start + play->mapped[i].bytes &&
		    play->mapped[i].start < hva + bytes)
			return true;
	if (host == HOST_NONE)
		return true;
	if (play->nr_mapped == MAX_MAPPED)
		return play_fail(play, stmt, "more than %d pieces of memory", MAX_MAPPED);
	err = ms_machine_map(play->machine, hva, bytes,
			     host == HOST_2M   ? 2
			     : host == HOST_1G ? 3
					       : 1,
			     host != HOST_RO);
	if (err) {
		play_fail_err(play, stmt, err);
		return false;
	}
	play->mapped[play->nr_mapped].start = hva;
	play->mapped[play->nr_mapped++].bytes = bytes;
	return true;
}

void act_slot(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u64 id = arg_num(play, stmt, KEY_SLOT, 0), as_id = arg_num(play, stmt, KEY_AS, 0);
	const struct nmmu_slot *slot;
	u64 gfn, pages, hva;
	u32 flags;

	if (id > 0xffff || as_id >= NMMU_NR_AS) {
		play_fail(play, stmt, "slots are 0 to 65535, address spaces 0 and 1");
		return;
	}
	slot = ms_machine_slot(play->machine, (u16)as_id, (u16)id);
	gfn = arg_num(play, stmt, KEY_GFN, slot ? slot->base_gfn : 0);
	pages = arg_num(play, stmt, KEY_PAGES, slot ? slot->nr_pages : 0);
	hva = arg_num(play, stmt, KEY_HVA,
		      slot ? slot->hva : HVA_BASE + (as_id << HVA_AS_SHIFT) + (gfn << NMMU_PAGE_SHIFT));
	flags = slot ? slot->flags & (MS_SLOT_LOG_DIRTY | MS_SLOT_READONLY) : 0;
	if (arg_has(play, stmt, KEY_READONLY))
		flags |= MS_SLOT_READONLY;
	if (arg_has(play, stmt, KEY_LOG))
		flags = (flags & ~MS_SLOT_LOG_DIRTY) |
			(arg_choice(play, stmt, KEY_LOG, 0) ? MS_SLOT_LOG_DIRTY : 0);
	if (arg_has(play, stmt, KEY_DELETE))
		pages = 0;
	else if (!pages || pages > MAX_SLOT_PAGES || gfn >= 1ULL << 40)
		play_wrong(play, stmt, arg_has(play, stmt, KEY_PAGES) ? KEY_PAGES : KEY_SLOT,
			   "pages: a slot has 1 to %u below frame 2^40", MAX_SLOT_PAGES);
	else if (hva & (NMMU_PAGE_SIZE - 1) || hva >= 1ULL << 47)
		play_wrong(play, stmt, KEY_HVA, "hva: 0x%llx is no address of a page",
			   (unsigned long long)hva);
	if (!play_spend_pages(play, stmt,
			      pages  ? pages
			      : slot ? slot->nr_pages
				     : 0) ||
	    (pages && !back(play, stmt, hva, pages << NMMU_PAGE_SHIFT)))
		return;
	out->kind = OUT_CALL;
	out->error = ms_machine_slot_set(play->machine, (u16)as_id, (u16)id, gfn, pages, hva, flags);
	out->unclaimed = out->error;
}

/* Where the VMM has a guest address; false with a failure when no slot has it. */
static bool hva_of(struct ms_play *play, const struct stmt *stmt, u64 gpa, u64 *ret)
{
	const struct nmmu_slot *slot = ms_machine_slot_at(play->machine, 0, gpa >> NMMU_PAGE_SHIFT);

	if (!slot)
		return play_wrong(play, stmt, KEY_GPA, "no slot has 0x%llx", (unsigned long long)gpa);
	*ret = slot->hva + (((gpa >> NMMU_PAGE_SHIFT) - slot->base_gfn) << NMMU_PAGE_SHIFT);
	return true;
}

static void act_bytes(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u64 gpa = arg_num(play, stmt, KEY_GPA, 0), value = arg_num(play, stmt, KEY_VALUE, 0x5ca1ab1e);
	u64 bytes = arg_num(play, stmt, KEY_BYTES, 8);

	if (!bytes || bytes > 8 || (gpa & (NMMU_PAGE_SIZE - 1)) + bytes > NMMU_PAGE_SIZE)
		play_wrong(play, stmt, KEY_GPA, "1 to 8 bytes of one page");
	if (bytes < 8 && value >> 8 * bytes && arg_has(play, stmt, KEY_VALUE))
		play_wrong(play, stmt, KEY_VALUE, "value: 0x%llx does not fit into %llu bytes",
			   (unsigned long long)value, (unsigned long long)bytes);
	if (play->failed)
		return;
	out->kind = OUT_CALL;
	out->error = stmt->verb == VERB_POKE ? ms_machine_poke(play->machine, gpa, &value, (u32)bytes)
					     : ms_machine_host_write(play->machine, gpa, &value, (u32)bytes);
	out->unclaimed = out->error;
}

void act_host(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u64 gpa = arg_num(play, stmt, KEY_GPA, 0), pages = arg_num(play, stmt, KEY_PAGES, 1), bytes, hva = 0;

	if (stmt->verb == VERB_POKE || stmt->verb == VERB_HOST_WRITE) {
		act_bytes(play, stmt, out);
		return;
	}
	if (pages < 1 || pages > MAX_SLOT_PAGES)
		play_wrong(play, stmt, KEY_PAGES, "pages: %llu is not 1 to %u", (unsigned long long)pages,
			   MAX_SLOT_PAGES);
	if (!play_spend_pages(play, stmt, pages) || !hva_of(play, stmt, gpa, &hva))
		return;
	bytes = pages << NMMU_PAGE_SHIFT;
	switch ((enum verb_id)stmt->verb) {
	case VERB_HOST_DISCARD:
		ms_machine_discard(play->machine, hva, bytes);
		break;
	case VERB_HOST_NOTIFY:
		ms_machine_notify(play->machine, hva, bytes);
		break;
	case VERB_HOST_MIGRATE:
		ms_machine_migrate(play->machine, hva, bytes);
		break;
	case VERB_HOST_PROTECT:
		if (arg_has(play, stmt, KEY_RO) == arg_has(play, stmt, KEY_RW))
			play_fail(play, stmt, "ro or rw?");
		else
			ms_machine_protect(play->machine, hva, bytes, arg_has(play, stmt, KEY_RW));
		break;
	case VERB_HOST_AGE:
		out->kind = OUT_AGE;
		out->young = ms_machine_age(play->machine, hva, hva + bytes);
		break;
	default:
		break;
	}
}
