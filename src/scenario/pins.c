/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pinned pages in a scenario (SEMANTICS G): what a VMM asks for, the end of its memory, and what may be
 * expected of the pin table and of the calls that the host got.
 */
#include "scenario/play.h"

#include <errno.h>

/* One call, as KVM_PRE_FAULT_MEMORY is: what is left is for the next. */
static void prefault(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u64 pages = arg_num(play, stmt, KEY_PAGES, 1);
	struct nmmu_prefault range = { .gpa = arg_num(play, stmt, KEY_GPA, 0),
				       .size = pages << NMMU_PAGE_SHIFT };
	int id = arg_vcpu(play, stmt);

	if (play->failed || id < 0)
		return;
	if (pages < 1 || pages > MS_SCENARIO_MAX_PAGES) {
		play_wrong(play, stmt, KEY_PAGES, "pages: %llu is not 1 to %u", (unsigned long long)pages,
			   MS_SCENARIO_MAX_PAGES);
		return;
	}
	if (!play_spend_pages(play, stmt, pages))
		return;
	call_done(out, ms_machine_prefault(play->machine, (u32)id, &range));
	out->prefault = true;
	out->pages = pages - (range.size >> NMMU_PAGE_SHIFT);
}

static void unpin(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u64 gfn = arg_num(play, stmt, KEY_GPA, 0) >> NMMU_PAGE_SHIFT, as_id = arg_num(play, stmt, KEY_AS, 0);

	struct nmmu_pin_info info;
	u64 pages = 1;

	if (play->failed)
		return;
	if (as_id >= NMMU_NR_AS) {
		play_fail(play, stmt, "address spaces are 0 and 1");
		return;
	}
	if (!nmmu_pin_get(play_nmmu(play), (u16)as_id, gfn, &info))
		pages = 1ULL << 9 * (info.level - 1);
	if (play_spend_pages(play, stmt, pages))
		call_done(out, ms_machine_unpin(play->machine, (u16)as_id, gfn));
}

/* Of all slots that may have pins: the time that looking at each of them takes. */
static u64 pages_to_look_at(const struct nmmu *m)
{
	u64 pages = 0;

	for (u32 as_id = 0; as_id < NMMU_NR_AS; as_id++)
		for (const struct nmmu_slot *slot = m->as[as_id].first; slot; slot = slot->next)
			pages += slot->nr_pages;
	return pages;
}

void act_pins(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	switch ((enum verb_id)stmt->verb) {
	case VERB_PREFAULT:
		prefault(play, stmt, out);
		break;
	case VERB_UNPIN:
		unpin(play, stmt, out);
		break;
	case VERB_MM_RELEASE:
		if (play_spend_pages(play, stmt, pages_to_look_at(play_nmmu(play))))
			ms_machine_mm_release(play->machine);
		break;
	case VERB_FAIL_PIN:
		ms_machine_fail_pin(play->machine, arg_num(play, stmt, KEY_NR, 1));
		break;
	default:
		break;
	}
}

bool expect_prefaulted(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	struct ms_buf is = { 0 };

	if (out->kind == OUT_CALL && out->prefault && !out->error)
		return check_num(play, stmt, KEY_PAGES, "the number of pages", out->pages);
	outcome_print(out, &is);
	play_fail(play, stmt, "no prefault that has done anything, but: %s", ms_buf_str(&is));
	ms_buf_deinit(&is);
	return false;
}

static u64 nr_zapped(const struct nmmu *m)
{
	u64 nr = 0;

	for (u32 as_id = 0; as_id < NMMU_NR_AS; as_id++)
		for (const struct nmmu_slot *slot = m->as[as_id].first; slot; slot = slot->next)
			for (u64 i = 0; slot->nr_pins && i < slot->nr_pages; i++)
				nr += slot->pins[i].level && !slot->pins[i].mapped;
	return nr;
}

static bool maps(struct ms_play *play, const struct stmt *stmt, u64 pfn)
{
	u64 gpa = arg_num(play, stmt, KEY_MAPS, 0);
	struct nmmu_slot *slot = nmmu_slot_of(play_nmmu(play), 0, gpa >> NMMU_PAGE_SHIFT);

	if (!slot)
		return play_fail(play, stmt, "no slot has 0x%llx", (unsigned long long)gpa);
	return ms_machine_pfn(play->machine, slot->hva + (gpa - (slot->base_gfn << NMMU_PAGE_SHIFT))) ==
		       pfn ||
	       play_fail(play, stmt, "pinned is another frame, 0x%llx", (unsigned long long)pfn);
}

static bool expect_pin(struct ms_play *play, const struct stmt *stmt)
{
	u64 gpa = arg_num(play, stmt, KEY_GPA, 0), gfn = gpa >> NMMU_PAGE_SHIFT;
	u64 as_id = arg_num(play, stmt, KEY_AS, 0);
	bool none = arg_has(play, stmt, KEY_NONE);
	struct nmmu_pin_info info;

	if (as_id >= NMMU_NR_AS)
		return play_fail(play, stmt, "address spaces are 0 and 1");
	if (nmmu_pin_get(play_nmmu(play), (u16)as_id, gfn, &info))
		return none || play_fail(play, stmt, "0x%llx is not pinned", (unsigned long long)gpa);
	if (none)
		return play_fail(play, stmt, "0x%llx is pinned", (unsigned long long)gpa);
	return check_num(play, stmt, KEY_LEVEL, "the level", info.level) &&
	       check_num(play, stmt, KEY_MAPPED, "mapped", info.mapped) &&
	       (!arg_has(play, stmt, KEY_MAPS) || maps(play, stmt, info.pfn + gfn - info.gfn));
}

bool expect_pins(struct ms_play *play, const struct stmt *stmt)
{
	struct ms_pin_calls calls = ms_machine_pin_calls(play->machine);
	const struct nmmu *m = play_nmmu(play);

	switch ((enum verb_id)stmt->verb) {
	case VERB_X_PIN:
		return expect_pin(play, stmt);
	case VERB_X_PINS:
		if (arg_has(play, stmt, KEY_ZAPPED) && !play_spend_pages(play, stmt, pages_to_look_at(m)))
			return false;
		return check_num(play, stmt, KEY_COUNT, "the number of pinned pages", m->nr_pins) &&
		       check_num(play, stmt, KEY_ZAPPED, "the number of those not mapped", nr_zapped(m)) &&
		       check_num(play, stmt, KEY_HELD, "the number of frames that the host keeps",
				 calls.held_pages);
	case VERB_X_PIN_CALLS:
		return check_num(play, stmt, KEY_PIN, "the number of pin calls", calls.pin) &&
		       check_num(play, stmt, KEY_UNPIN, "the number of unpin calls", calls.unpin) &&
		       check_num(play, stmt, KEY_ZAP, "the number of zap calls", calls.zap) &&
		       check_num(play, stmt, KEY_UNZAP, "the number of unzap calls", calls.unzap) &&
		       check_num(play, stmt, KEY_LEVEL, "the level of the last call", calls.last_level);
	default:
		return check_num(play, stmt, KEY_COUNT, "the number of those inside the memslots",
				 m->readers);
	}
}
