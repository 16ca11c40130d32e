/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rmap: which SPTEs map a frame by the reverse maps of its memslots, and what the memslots count for it. */
#include "query/private.h"

#include <stdio.h>
#include <stdlib.h>

struct entry {
	const struct ms_rmap *rmap;
	u32 i;
};

struct rmap_answer {
	const struct ms_rmap **lists;
	struct entry *entries;
	const struct ms_rec_gfn **counts;
	size_t nr_lists, nr_entries, nr_counts;
};

static const struct ms_column list_cols[] = {
	{ "as_id", "AS", MS_V_COUNT },
	{ "level", "LEVEL", MS_V_COUNT },
	{ "gfn", "GFN", MS_V_HEX },
	{ "entries", "SPTES", MS_V_COUNT },
	{ "state", "STATE", MS_V_TEXT },
	{ "head", "HEAD", MS_V_HEX, MS_SECRET_PTR },
	{ "descs", "DESCRIPTORS", MS_V_COUNT },
	{ "desc_counts", "COUNT OF EACH", MS_V_WORDS },
	{ "tail_counts", "TAIL COUNT OF EACH", MS_V_WORDS, .prio = 1 },
	{ "endless", "ENDLESS", MS_V_BOOL, .prio = 2 },
};

static void count_words(struct ms_cell **at, const struct ms_section *section, const struct ms_rmap *rmap,
			bool tail)
{
	const struct ms_rec_rmap_desc *desc = &section->vm->rmap_descs[rmap->first_desc];
	struct ms_cell *cell;
	char text[24];
	u32 d;

	if (tail && !(rmap->rec.have & MS_RMAP_HAVE_TAIL_COUNT)) {
		cell_none(at);
		return;
	}
	cell = cell_words(at);
	for (d = 0; d < rmap->rec.nr_descs; d++) {
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)(tail ? desc[d].tail_count : desc[d].count));
		word_add(cell, text);
	}
}

static void list_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_rmap *rmap = ((const struct rmap_answer *)section->ctx)->lists[row];
	const struct ms_rec_rmap *rec = &rmap->rec;

	cell_count(&cells, rec->as_id);
	cell_count(&cells, rec->level);
	cell_hex(&cells, rec->gfn);
	cell_count(&cells, rec->nr_entries);
	cell_text(&cells, ms_rmap_state_name(rec->state))->style =
		rec->state == MS_RMAP_CONFIRMED ? MS_STYLE_GOOD : MS_STYLE_WARN;
	cell_hex(&cells, rec->head);
	cell_count(&cells, rec->nr_descs);
	count_words(&cells, section, rmap, false);
	count_words(&cells, section, rmap, true);
	cell_bool(&cells, rec->have & MS_RMAP_ENDLESS);
}

static const struct ms_column spte_cols[] = {
	{ "as_id", "AS", MS_V_COUNT },
	{ "level", "LEVEL", MS_V_COUNT },
	{ "address", "SPTE AT", MS_V_HEX, MS_SECRET_PTR },
	{ "sp", "SP", MS_V_HEX, MS_SECRET_SP },
	{ "index", "INDEX", MS_V_COUNT },
	{ "page_state", "PAGE STATE", MS_V_TEXT },
	{ "raw", "RAW", MS_V_HEX, MS_SECRET_SPTE, .digits = 16 },
};

static void spte_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct entry *e = &((const struct rmap_answer *)section->ctx)->entries[row];
	u64 at = ms_rmap_entry(section->vm, e->rmap, e->i);
	u32 idx = 0;
	const struct ms_sp *sp = ms_vm_sp_of_spte(section->vm, at, &idx);

	cell_count(&cells, e->rmap->rec.as_id);
	cell_count(&cells, e->rmap->rec.level);
	cell_hex(&cells, at);
	cell_opt(&cells, sp, MS_V_HEX, sp ? sp->rec.sp : 0);
	cell_opt(&cells, sp, MS_V_COUNT, idx);
	if (sp)
		cell_sp_state(&cells, sp->rec.state);
	else
		cell_none(&cells);
	cell_opt(&cells, sp && sp->tables, MS_V_HEX, sp && sp->tables ? sp->tables->sptes[idx] : 0);
}

static const struct ms_column count_cols[] = {
	{ "as_id", "AS", MS_V_COUNT },	  { "level", "LEVEL", MS_V_COUNT },
	{ "gfn", "GFN", MS_V_HEX },	  { "counter", "COUNTER", MS_V_TEXT },
	{ "count", "COUNT", MS_V_COUNT }, { "state", "STATE", MS_V_TEXT },
};

static void count_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_rec_gfn *rec = ((const struct rmap_answer *)section->ctx)->counts[row];

	cell_count(&cells, rec->as_id);
	cell_count(&cells, rec->level);
	cell_hex(&cells, rec->gfn);
	cell_text(&cells, rec->level == 1 ? "gfn_write_track" : "disallow_lpage");
	cell_count(&cells, rec->count);
	cell_text(&cells, ms_rmap_state_name(rec->state));
}

static void answer_free(void *owned)
{
	struct rmap_answer *a = owned;

	free(a->lists);
	free(a->entries);
	free(a->counts);
	free(a);
}

static bool holds(u32 level, u64 first, u64 gfn)
{
	return level && level < 6 && gfn >= first && gfn - first < ms_level_pages(level);
}

static bool answer_fill(struct rmap_answer *a, const struct ms_vm *vm, u64 gfn)
{
	size_t i, nr_lists = 0, nr_entries = 0, nr_counts = 0;
	u32 e;

	for (i = 0; i < vm->nr_gfn_rmaps; i++)
		if (holds(vm->rmaps[i].rec.level, vm->rmaps[i].rec.gfn, gfn)) {
			nr_lists++;
			nr_entries += vm->rmaps[i].rec.nr_entries;
		}
	for (i = 0; i < vm->nr_gfn_counts; i++)
		nr_counts += holds(vm->gfn_counts[i].level, vm->gfn_counts[i].gfn, gfn);
	a->lists = calloc(nr_lists + 1, sizeof(*a->lists));
	a->entries = calloc(nr_entries + 1, sizeof(*a->entries));
	a->counts = calloc(nr_counts + 1, sizeof(*a->counts));
	if (!a->lists || !a->entries || !a->counts)
		return false;
	for (i = 0; i < vm->nr_gfn_rmaps; i++) {
		if (!holds(vm->rmaps[i].rec.level, vm->rmaps[i].rec.gfn, gfn))
			continue;
		a->lists[a->nr_lists++] = &vm->rmaps[i];
		for (e = 0; e < vm->rmaps[i].rec.nr_entries; e++)
			a->entries[a->nr_entries++] = (struct entry){ &vm->rmaps[i], e };
	}
	for (i = 0; i < vm->nr_gfn_counts; i++)
		if (holds(vm->gfn_counts[i].level, vm->gfn_counts[i].gfn, gfn))
			a->counts[a->nr_counts++] = &vm->gfn_counts[i];
	return true;
}

/* What was not read, and why the answer may be incomplete. */
static struct ms_err *say_limits(struct query *q, u64 gfn)
{
	const struct ms_rec_rmaps *end = &q->vm->rmaps_end;
	struct ms_err *err = NULL;
	bool slot = false;
	size_t i;

	for (i = 0; i < q->vm->nr_slots; i++)
		slot |= gfn >= q->vm->slots[i].base_gfn &&
			gfn - q->vm->slots[i].base_gfn < q->vm->slots[i].nr_pages;
	if (!slot)
		err = note_add(q->result, "no memslot holds gfn 0x%llx", (unsigned long long)gfn);
	if (!err && !(end->have & MS_RMAPS_HAVE_RMAPS))
		err = note_add(q->result, "reverse maps were not read: an empty answer says nothing");
	if (!err && !(end->have & MS_RMAPS_HAVE_WRITE_TRACK))
		err = note_add(q->result, "write-track counts were not read");
	if (!err && !(end->have & MS_RMAPS_HAVE_LPAGE))
		err = note_add(q->result, "disallow_lpage was not read");
	if (!err && end->flags & (MS_RMAPS_BROKEN | MS_RMAPS_UNREAD | MS_RMAPS_UNSTABLE))
		err = note_add(q->result,
			       "not all of the memslots' arrays could be read: lists may be missing");
	if (!err && end->flags & MS_RMAPS_NO_ARRAY)
		err = note_add(
			q->result,
			"some memslots have no such arrays: KVM makes them with the first shadow root");
	return err;
}

struct ms_err *query_run_rmap(struct query *q)
{
	struct ms_section *section;
	struct rmap_answer *a;
	u64 gfn;

	if (!ms_parse_u64(q->args->args[0], (1ull << 52) - 1, &gfn))
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "rmap: '%s' is not a frame number", q->args->args[0]),
			"decimal, or 0x and hexadecimal digits: an L1 address without its last 12 bits");
	a = calloc(1, sizeof(*a));
	if (!a || !answer_fill(a, q->vm, gfn)) {
		if (a)
			answer_free(a);
		return ms_err_nomem();
	}
	section = section_add(q, "rmaps", "Reverse maps", true, list_cols, MS_LEN(list_cols), a->nr_lists,
			      list_row);
	if (!section) {
		answer_free(a);
		return ms_err_nomem();
	}
	section->ctx = section->owned = a;
	section->owned_free = answer_free;
	section =
		section_add(q, "sptes", "SPTEs", true, spte_cols, MS_LEN(spte_cols), a->nr_entries, spte_row);
	if (section) {
		section->ctx = a;
		section = section_add(q, "counts", "Counts of the memslots", true, count_cols,
				      MS_LEN(count_cols), a->nr_counts, count_row);
	}
	if (!section)
		return ms_err_nomem();
	section->ctx = a;
	return say_limits(q, gfn);
}
