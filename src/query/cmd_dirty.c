/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dirty: listen for a while, and say who dirtied what, by which way, and what the VMM did to the log meanwhile. */
#include "query/cmd_dirty.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"

#define TOP_DEFAULT 8u
#define TOP_DEFAULT_JSON 20u
#define SPARK_CELLS 32u
#define TEXT_GFNS 6u /* of a batch; JSON has all */

static void dirty_free(void *owned)
{
	struct dirty *dirty = owned;

	ms_dirty_destroy(dirty->d);
	ms_dirty_check_destroy(dirty->check);
	free(dirty->frames);
	free(dirty->slots);
	free(dirty->top);
	free(dirty);
}

/* --- cells that several tables have --- */

static void vcpu_cell(struct ms_cell **at, u16 vcpu)
{
	cell_opt(at, vcpu != MS_EV_NO_VCPU, MS_V_INT, vcpu);
}

static void guest_cell(struct ms_cell **at, u8 guest)
{
	cell_text(at, ms_guest_name(guest));
}

static void rate_cell(struct ms_cell **at, const struct dirty *dirty, u64 nr)
{
	u64 rate = dirty->rate_ns ? (u64)((double)nr * 1e9 / (double)dirty->rate_ns + 0.5) : 0;

	cell_opt(at, dirty->rate_ns, MS_V_COUNT, rate);
}

/* A text for eyes, then the counts themselves. */
static void timeline_cells(struct ms_cell **at, const struct dirty *dirty, const u32 *bins, u32 max)
{
	u32 nr = ms_dirty_nr_bins(dirty->d), i;
	struct ms_cell *cell = cell_text(at, "");
	char word[16];

	ms_dirty_spark(bins, nr, SPARK_CELLS, max, dirty->utf8, &cell->text);
	cell = cell_words(at);
	for (i = 0; i < nr; i++) {
		snprintf(word, sizeof(word), "%u", bins[i]);
		word_add(cell, word);
	}
}

#define TIMELINE_COLUMNS                                                 \
	{ "spark", "TIME ->", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },    \
	{                                                                \
		"timeline", "TIMELINE", MS_V_WORDS, .flags = MS_COL_SKIP \
	}

/* The ways that were taken, then each as a number. */
static void way_cells(struct ms_cell **at, const u64 *ways)
{
	struct ms_cell *cell = cell_words(at);
	char word[48], *blank;
	u32 way;

	for (way = 0; way < MS_DIRTY_WAYS; way++) {
		if (!ways[way])
			continue;
		snprintf(word, sizeof(word), "%s=%llu", ms_dirty_way_name(way),
			 (unsigned long long)ways[way]);
		while ((blank = strchr(word, ' ')))
			*blank = '-';
		word_add(cell, word);
	}
	for (way = 0; way < MS_DIRTY_WAYS; way++)
		cell_count(at, ways[way]);
}

/* --- summary --- */

static const struct ms_column summary_cols[] = {
	{ "marks", "marks", MS_V_COUNT },
	{ "rate", "a second", MS_V_COUNT },
	{ "frames", "frames marked", MS_V_COUNT },
	{ "frames_dropped", "marks of frames beyond those kept", MS_V_COUNT },
	{ "d_bits", "D bits found set by the log", MS_V_COUNT },
	{ "write_faults", "faults for a write", MS_V_COUNT },
	{ "host_pml", "host uses PML", MS_V_BOOL },
	{ "batches", "PML buffers emptied", MS_V_COUNT },
	{ "batches_full", "of these full", MS_V_COUNT },
	{ "entries", "their entries", MS_V_COUNT },
	{ "pml12", "entries of the PML that L1 reads", MS_V_COUNT },
	{ "log_marks", "readings and changes of the logs", MS_V_COUNT },
	{ "bin_ns", "one part of the time, ns", MS_V_COUNT },
};

static void summary_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty *d = dirty->d;
	size_t i, frames = 0;

	(void)row;
	for (i = 0; i < d->nr_gfns; i++)
		frames += d->gfns[i].nr > 0;
	cell_count(&cells, d->nr);
	rate_cell(&cells, dirty, d->nr);
	cell_count(&cells, frames);
	cell_count(&cells, d->dropped_gfns)->style = d->dropped_gfns ? MS_STYLE_WARN : MS_STYLE_PLAIN;
	cell_count(&cells, d->ways[MS_DIRTY_D_BIT]);
	cell_count(&cells, d->faults);
	cell_opt(&cells, dirty->pml_known, MS_V_BOOL, dirty->pml);
	cell_count(&cells, d->nr_batches);
	cell_count(&cells, d->nr_full);
	cell_count(&cells, d->nr_entries);
	cell_count(&cells, d->nr_pml12);
	cell_count(&cells, d->nr_marks);
	cell_count(&cells, d->bin_ns);
}

/* --- slots --- */

static const struct ms_column slot_cols[] = {
	{ "slot", "SLOT", MS_V_COUNT },
	{ "as_id", "AS", MS_V_COUNT, .prio = 5 },
	{ "gfn", "GFN", MS_V_HEX },
	{ "pages", "PAGES", MS_V_COUNT, .prio = 3 },
	{ "logging", "LOGS", MS_V_BOOL, .prio = 2 },
	{ "marks", "MARKS", MS_V_COUNT },
	{ "rate", "/S", MS_V_COUNT },
	{ "l1", "L1", MS_V_COUNT, .prio = 4 },
	{ "l2", "L2", MS_V_COUNT, .prio = 4 },
	{ "of_none", "NEITHER", MS_V_COUNT, .prio = 5 },
	{ "since_read", "UNREAD", MS_V_COUNT, .prio = 2 },
	{ "reads", "READS", MS_V_COUNT, .prio = 6 },
	{ "clears", "CLEARS", MS_V_COUNT, .prio = 6 },
	TIMELINE_COLUMNS,
	{ "ways", "BY WAY", MS_V_WORDS, .flags = MS_COL_TEXT_ONLY },
#define DIRTY_WAY(id, key, name, meaning) { key, name, MS_V_COUNT, .flags = MS_COL_SKIP },
#include "query/dirty.def"
};

static void slot_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_slot *slot = &dirty->d->slots[dirty->slots[row]];

	cell_count(&cells, slot->id);
	cell_count(&cells, slot->as_id);
	cell_opt(&cells, slot->known, MS_V_HEX, slot->base_gfn);
	cell_opt(&cells, slot->known, MS_V_COUNT, slot->nr_pages);
	cell_bool(&cells, slot->logging);
	cell_count(&cells, slot->nr);
	rate_cell(&cells, dirty, slot->nr);
	cell_count(&cells, slot->by_guest[MS_EV_L1]);
	cell_count(&cells, slot->by_guest[MS_EV_L2]);
	cell_count(&cells, slot->by_guest[MS_EV_GUEST_UNKNOWN]);
	cell_opt(&cells, !dirty->d->ring, MS_V_COUNT, slot->since_read);
	cell_opt(&cells, !dirty->d->ring, MS_V_COUNT, slot->reads);
	cell_opt(&cells, !dirty->d->ring, MS_V_COUNT, slot->clears);
	timeline_cells(&cells, dirty, slot->bins, 0);
	way_cells(&cells, slot->ways);
}

/* --- how pages can be tracked at all --- */

static const struct ms_column tracking_cols[] = {
	{ "slot", "SLOT", MS_V_COUNT },
	{ "as_id", "AS", MS_V_COUNT, .prio = 2 },
	{ "leaves", "LEAVES", MS_V_COUNT },
	{ "huge", "HUGE", MS_V_COUNT },
	{ "writable", "WRITABLE", MS_V_COUNT },
	{ "ad_enabled", "A/D ENABLED", MS_V_COUNT },
	{ "wrprot_only", "WRPROT ONLY", MS_V_COUNT },
	{ "ad_disabled", "A/D DISABLED", MS_V_COUNT },
	{ "seen_by", "A WRITE IS SEEN BY", MS_V_WORDS },
};

static void tracking_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_slot *slot = &dirty->d->slots[dirty->slots[row]];
	u64 enabled = slot->kinds[SPTE_AD_ENABLED];
	u64 leaves = enabled + slot->kinds[SPTE_AD_DISABLED] + slot->kinds[SPTE_AD_WRPROT_ONLY] +
		     slot->kinds[SPTE_AD_INVALID];
	struct ms_cell *words;

	cell_count(&cells, slot->id);
	cell_count(&cells, slot->as_id);
	cell_count(&cells, leaves);
	cell_count(&cells, slot->huge);
	cell_count(&cells, slot->writable);
	cell_count(&cells, enabled);
	cell_count(&cells, slot->kinds[SPTE_AD_WRPROT_ONLY]);
	cell_count(&cells, slot->kinds[SPTE_AD_DISABLED]);
	/* SEMANTICS E.2: the D bit where the CPU logs by it, which is not above level 1; W everywhere else. */
	words = leaves && dirty->pml_known && slot->logging ? cell_words(&cells) : cell_none(&cells);
	if (words->kind != MS_V_WORDS)
		return;
	if (dirty->pml && slot->enabled_small)
		word_add(words, "pml");
	if (!dirty->pml || leaves > slot->enabled_small)
		word_add(words, "write-fault");
}

/* --- ways --- */

static const struct ms_column way_cols[] = {
	{ "way", "WAY", MS_V_TEXT },
	{ "count", "COUNT", MS_V_COUNT },
	{ "rate", "/S", MS_V_COUNT },
	{ "meaning", "MEANING", MS_V_TEXT, .prio = 1 },
};

static void way_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	u32 way = dirty->ways[row];
	u64 nr = dirty->d->ways[way];

	cell_text(&cells, ms_dirty_way_name(way))->style = nr ? MS_STYLE_ACCENT : MS_STYLE_DIM;
	cell_count(&cells, nr);
	rate_cell(&cells, dirty, nr);
	cell_text(&cells, ms_dirty_way_text(way));
}

/* --- batches --- */

static const struct ms_column batch_cols[] = {
	{ "at_us", "AT US", MS_V_COUNT },
	{ "vcpu_id", "VCPU", MS_V_INT },
	{ "guest", "OF", MS_V_TEXT },
	{ "entries", "ENTRIES", MS_V_COUNT },
	{ "full", "FULL", MS_V_BOOL },
	{ "seen", "SEEN", MS_V_COUNT, .prio = 2 },
	{ "marked", "MARKED", MS_V_COUNT, .prio = 1 },
	{ "newest", "GFNS, NEWEST FIRST", MS_V_WORDS, .flags = MS_COL_TEXT_ONLY },
	{ "gfns", "GFNS", MS_V_WORDS, .flags = MS_COL_SKIP },
};

static void gfn_words(struct ms_cell **at, const struct ms_dirty_batch *b, u32 max)
{
	struct ms_cell *cell = cell_words(at);
	char word[24];
	u32 i;

	for (i = 0; i < b->nr && i < max; i++) {
		snprintf(word, sizeof(word), "0x%llx", (unsigned long long)b->gfns[i]);
		word_add(cell, b->gfns[i] == ~0ull ? "?" : word);
	}
	if (i < b->nr)
		word_add(cell, "...");
}

static void batch_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_batch *b = ms_dirty_batch(dirty->d, dirty->d->nr_batches - 1 - row);

	if (!b)
		return;
	us_cell(&cells, dirty, b->time_ns);
	vcpu_cell(&cells, b->vcpu);
	guest_cell(&cells, b->guest);
	cell_opt(&cells, b->announced, MS_V_COUNT, b->entries);
	cell_opt(&cells, b->announced, MS_V_BOOL, b->full);
	cell_count(&cells, b->seen);
	cell_count(&cells, b->marked);
	gfn_words(&cells, b, TEXT_GFNS);
	gfn_words(&cells, b, MS_DIRTY_BATCH_MAX);
}

static const struct ms_column pml12_cols[] = {
	{ "at_us", "AT US", MS_V_COUNT },
	{ "vcpu_id", "VCPU", MS_V_INT },
	{ "addr", "NGPA", MS_V_HEX },
	{ "index", "INDEX", MS_V_COUNT },
};

static void pml12_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_pml12 *e = &dirty->d->pml12[(dirty->d->nr_pml12 - 1 - row) % MS_DIRTY_PML12];

	us_cell(&cells, dirty, e->time_ns);
	vcpu_cell(&cells, e->vcpu);
	cell_hex(&cells, e->addr);
	cell_count(&cells, e->index);
}

/* --- frames --- */

static const struct ms_column gfn_cols[] = {
	{ "gfn", "GFN", MS_V_HEX },
	{ "slot", "SLOT", MS_V_COUNT },
	{ "marks", "MARKS", MS_V_COUNT },
	{ "last_us", "LAST AT US", MS_V_COUNT },
	{ "last_way", "BY", MS_V_TEXT },
	{ "last_vcpu", "VCPU", MS_V_INT },
	{ "last_guest", "OF", MS_V_TEXT },
	{ "ways", "BY WAY", MS_V_WORDS, .prio = 1, .flags = MS_COL_TEXT_ONLY },
#define DIRTY_WAY(id, key, name, meaning) { key, name, MS_V_COUNT, .flags = MS_COL_SKIP },
#include "query/dirty.def"
};

static void gfn_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_gfn *g = &dirty->d->gfns[dirty->top[row]];
	u64 ways[MS_DIRTY_WAYS];
	u32 way;

	for (way = 0; way < MS_DIRTY_WAYS; way++)
		ways[way] = g->ways[way];
	cell_hex(&cells, g->gfn);
	cell_count(&cells, dirty->d->slots[g->slot].id);
	cell_count(&cells, g->nr);
	us_cell(&cells, dirty, g->last_ns);
	cell_text(&cells, ms_dirty_way_name(g->way));
	vcpu_cell(&cells, g->vcpu);
	guest_cell(&cells, g->guest);
	way_cells(&cells, ways);
}

/* --- the log --- */

static const struct ms_column mark_cols[] = {
	{ "at_us", "AT US", MS_V_COUNT },
	{ "slot", "SLOT", MS_V_COUNT },
	{ "as_id", "AS", MS_V_COUNT, .prio = 2 },
	{ "what", "LOG", MS_V_TEXT },
	{ "gfn", "GFN", MS_V_HEX },
	{ "pages", "PAGES", MS_V_COUNT },
	{ "marked", "MARKS SINCE READ", MS_V_COUNT },
	{ "tid", "TID", MS_V_INT, MS_SECRET_PID, .prio = 1 },
};

static void mark_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_mark *mark = &dirty->d->marks[(dirty->d->nr_marks - 1 - row) % MS_DIRTY_MARKS];
	bool range = mark->kind == MS_DIRTY_MARK_CLEAR;

	us_cell(&cells, dirty, mark->time_ns);
	cell_count(&cells, mark->slot);
	cell_count(&cells, mark->as_id);
	cell_text(&cells, ms_dirty_mark_name(mark->kind));
	cell_opt(&cells, range, MS_V_HEX, mark->gfn);
	cell_opt(&cells, range, MS_V_COUNT, mark->pages);
	cell_count(&cells, mark->marked);
	cell_opt(&cells, mark->tid, MS_V_INT, mark->tid);
}

/* --- one slot in time --- */

static const struct ms_column map_cols[] = {
	{ "slot", "SLOT", MS_V_COUNT },	  { "gfn", "GFN", MS_V_HEX }, { "end", "UP TO", MS_V_HEX },
	{ "marks", "MARKS", MS_V_COUNT }, TIMELINE_COLUMNS,
};

static void map_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_slot *slot = &dirty->d->slots[dirty->map];
	u64 start, end, nr = 0;
	u32 i;

	ms_dirty_row(slot, (u32)row, &start, &end);
	for (i = 0; i < MS_DIRTY_BINS; i++)
		nr += slot->map[row][i];
	cell_count(&cells, slot->id);
	cell_hex(&cells, start);
	cell_hex(&cells, end);
	cell_count(&cells, nr);
	timeline_cells(&cells, dirty, slot->map[row], dirty->map_max);
}

/* --- listening --- */

static bool on_event(void *ctx, const struct ms_event *event)
{
	struct dirty *dirty = ctx;

	if (!dirty->d->started)
		ms_dirty_time(dirty->d, dirty->listened.start_ns);
	ms_dirty_event(dirty->d, event);
	if (dirty->check)
		dirty_check_event(dirty, event);
	return true;
}

static bool slot_shown(const struct ms_args *args, const struct ms_dirty_slot *slot)
{
	return !(args->given & 1ull << MS_OPT_SLOT) || slot->id == args->slot;
}

static struct ms_err *no_slot(const struct query *q)
{
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "this VM has no memslot %u", q->args->slot),
			   "`mmuscope slots' lists them");
}

/* Rows of a table that may be long. */
static size_t top_of(const struct ms_args *args)
{
	if (args->last)
		return args->last;
	return args->json ? TOP_DEFAULT_JSON : TOP_DEFAULT;
}

/* What is shown of what was found. */
static struct ms_err *choose(struct query *q, struct dirty *dirty)
{
	size_t max = top_of(q->args), i;
	struct ms_dirty *d = dirty->d;
	const struct ms_dirty_slot *slot;
	u64 most = 0, start, end;
	u32 row, bin, way;

	dirty->slots = calloc(d->nr_slots + 1, sizeof(*dirty->slots));
	dirty->top = calloc(max, sizeof(*dirty->top));
	if (!dirty->slots || !dirty->top)
		return ms_err_nomem();
	dirty->map = d->nr_slots;
	for (i = 0; i < d->nr_slots; i++) {
		if (!slot_shown(q->args, &d->slots[i]))
			continue;
		dirty->slots[dirty->nr_slots++] = i;
		if (d->slots[i].nr > most) {
			most = d->slots[i].nr;
			dirty->map = i;
		}
	}
	dirty->nr_top = ms_dirty_top(d, dirty->top, max);
	dirty->nr_batches = d->nr_batches < MS_DIRTY_BATCHES ? d->nr_batches : MS_DIRTY_BATCHES;
	dirty->nr_pml12 = d->nr_pml12 < MS_DIRTY_PML12 ? d->nr_pml12 : MS_DIRTY_PML12;
	dirty->nr_marks = d->nr_marks < MS_DIRTY_MARKS ? d->nr_marks : MS_DIRTY_MARKS;
	if (dirty->nr_batches > max)
		dirty->nr_batches = max;
	if (dirty->nr_pml12 > max)
		dirty->nr_pml12 = max;
	if (dirty->nr_marks > max)
		dirty->nr_marks = max;
	for (way = 0; way < MS_DIRTY_WAYS; way++)
		if (d->ways[way] || q->args->json)
			dirty->ways[dirty->nr_ways++] = way;
	slot = &d->slots[dirty->map];
	for (row = 0; dirty->map < d->nr_slots && row < MS_DIRTY_ROWS; row++) {
		ms_dirty_row(slot, row, &start, &end);
		if (!end)
			break;
		dirty->map_rows++;
		for (bin = 0; bin < MS_DIRTY_BINS; bin++)
			if (slot->map[row][bin] > dirty->map_max)
				dirty->map_max = slot->map[row][bin];
	}
	return NULL;
}

/* For nothing to be heard there: more likely a number that is off. A memslot that goes later is a note. */
static struct ms_err *no_frame(const struct query *q, enum ms_opt_id opt, u64 start, u64 end)
{
	size_t i;

	if (!(q->args->given & 1ull << opt) || (q->session->watch && q->session->watch->rounds))
		return NULL;
	for (i = 0; i < q->vm->nr_slots; i++)
		if (q->vm->slots[i].base_gfn < end &&
		    start < q->vm->slots[i].base_gfn + q->vm->slots[i].nr_pages)
			return NULL;
	return ms_err_hint(
		ms_err_new(MS_ERR_USAGE, "dirty: --%s: no memslot of this VM has a frame of 0x%llx-0x%llx",
			   ms_options[opt].name, (unsigned long long)start, (unsigned long long)end),
		"`mmuscope slots' lists them");
}

/* Is there a memslot, before or since, that has a frame of this range? */
static bool has_slot(const struct dirty *dirty, u64 start, u64 end)
{
	const struct ms_dirty *d = dirty->d;
	size_t i;

	for (i = 0; i < d->nr_slots; i++)
		if (d->slots[i].known && d->slots[i].base_gfn < end &&
		    start < d->slots[i].base_gfn + d->slots[i].nr_pages)
			return true;
	return false;
}

static struct ms_err *no_slot_note(struct query *q, const struct dirty *dirty, enum ms_opt_id opt, u64 start,
				   u64 end)
{
	if (!(q->args->given & 1ull << opt) || has_slot(dirty, start, end))
		return NULL;
	return note_add(q->result, "--%s: no memslot has a frame of 0x%llx-0x%llx: see `mmuscope slots'",
			ms_options[opt].name, (unsigned long long)start, (unsigned long long)end);
}

/* What the tables had no room for. */
static struct ms_err *left_out_note(struct query *q, const struct dirty *dirty)
{
	const struct ms_dirty *d = dirty->d;
	struct ms_buf words = { 0 };
	struct ms_err *err = NULL;
	u64 frames = 0;
	size_t i;

	for (i = 0; i < d->nr_gfns; i++)
		frames += d->gfns[i].nr > 0;
	{
		const struct {
			u64 nr;
			const char *what;
		} left[] = {
			{ frames - dirty->nr_top, "frames" },
			{ d->nr_batches - dirty->nr_batches, "PML buffers" },
			{ d->nr_pml12 - dirty->nr_pml12, "entries of L1's PML" },
			{ d->nr_marks - dirty->nr_marks, "readings and changes of logs" },
		};

		for (i = 0; i < MS_LEN(left); i++)
			if (left[i].nr)
				ms_buf_printf(&words, "%s%llu %s", words.len ? ", " : "",
					      (unsigned long long)left[i].nr, left[i].what);
	}
	if (words.oom)
		err = ms_err_nomem();
	else if (words.len)
		err = note_add(q->result, "not shown: %s; --last N shows more of what is kept",
			       ms_buf_str(&words));
	ms_buf_deinit(&words);
	return err;
}

static struct ms_err *notes(struct query *q, const struct dirty *dirty)
{
	const struct ms_filter *f = &q->args->filter;
	const struct ms_dirty *d = dirty->d;
	struct ms_err *err = NULL;
	bool logging = false;
	size_t i;

	for (i = 0; i < dirty->nr_slots; i++)
		logging |= d->slots[dirty->slots[i]].logging;
	err = no_slot_note(q, dirty, MS_OPT_GFN, f->gfn_start, f->gfn_end);
	if (!err)
		err = no_slot_note(q, dirty, MS_OPT_CHECK, q->args->check_start, q->args->check_end);
	if (!err)
		err = left_out_note(q, dirty);
	if (!err && !logging && !d->nr)
		err = note_add(q->result, "no memslot %slogs: nothing is marked until the VMM asks for it",
			       q->args->given & 1ull << MS_OPT_SLOT ? "that was asked for " : "");
	if (!err && d->ring)
		err = note_add(q->result, "dirty frames go to rings of the vCPUs (KVM_CAP_DIRTY_LOG_RING): "
					  "when the VMM takes them from there is not seen");
	if (!err && dirty->listened.stopped)
		err = note_add(q->result, "it was stopped before its time");
	if (d->dropped_gfns || d->dropped_slots || d->dropped_vcpus)
		q->result->status = 1;
	if (!err && d->dropped_gfns)
		err = note_add(
			q->result,
			"%llu marks are of frames beyond the %u that are kept one by one: `gfns' lacks them",
			(unsigned long long)d->dropped_gfns, MS_DIRTY_GFNS);
	if (!err && (d->dropped_slots || d->dropped_vcpus))
		err = note_add(
			q->result,
			"%llu events of more slots or vCPUs than are kept: what is said is not the whole",
			(unsigned long long)(d->dropped_slots + d->dropped_vcpus));
	return err;
}

static struct ms_err *sections(struct query *q, struct dirty *dirty)
{
	const struct {
		const char *key, *title;
		bool table;
		const struct ms_column *cols;
		size_t nr_cols, nr_rows;
		void (*row)(const struct ms_section *section, size_t row, struct ms_cell *cells);
	} all[] = {
		{ "summary", "Dirty", false, summary_cols, MS_LEN(summary_cols), 1, summary_row },
		{ "ways", "Ways", true, way_cols, MS_LEN(way_cols), dirty->nr_ways, way_row },
		{ "slots", "Memslots", true, slot_cols, MS_LEN(slot_cols), dirty->nr_slots, slot_row },
		{ "gfns", "Frames, the most marked first", true, gfn_cols, MS_LEN(gfn_cols), dirty->nr_top,
		  gfn_row },
		{ "batches", "PML buffers of the host, the last first", true, batch_cols, MS_LEN(batch_cols),
		  (size_t)dirty->nr_batches, batch_row },
		{ "pml12", "Entries of the PML that L1 reads, the last first", true, pml12_cols,
		  MS_LEN(pml12_cols), (size_t)dirty->nr_pml12, pml12_row },
		{ "log", "What the VMM did to the logs, the last first", true, mark_cols, MS_LEN(mark_cols),
		  (size_t)dirty->nr_marks, mark_row },
		{ "tracking", "Leaves, before it was listened", true, tracking_cols, MS_LEN(tracking_cols),
		  dirty->nr_slots, tracking_row },
		{ "map", "The busiest memslot in time", true, map_cols, MS_LEN(map_cols), dirty->map_rows,
		  map_row },
	};
	struct ms_section *section;
	struct ms_err *err;
	size_t i;

	for (i = 0; i < MS_LEN(all); i++) {
		section = section_add(q, all[i].key, all[i].title, all[i].table, all[i].cols, all[i].nr_cols,
				      all[i].nr_rows, all[i].row);
		if (!section) {
			if (!i)
				dirty_free(dirty);
			return ms_err_nomem();
		}
		section->ctx = dirty;
		if (i)
			continue;
		section->owned = dirty;
		section->owned_free = dirty_free;
		/* The verdict is what was asked for. */
		err = dirty->check ? dirty_check_sections(q, dirty) : NULL;
		if (err)
			return err;
	}
	err = q->session->listener ? probes_add(q, q->session->listener, false) : NULL;
	if (err)
		return err;
	return listened_add(q, &dirty->listened);
}

static struct ms_err *listen_run(struct query *q, struct dirty *dirty)
{
	struct ms_listen listen = { .kvm = q->vm->rec.kvm, .events = ms_dirty_events() };
	const struct ms_filter *f = &q->args->filter;
	struct ms_dirty *d = dirty->d;
	struct ms_err *err;
	u32 for_ms = q->args->for_ms ? q->args->for_ms : MS_FOR_MS;

	if (q->args->watch && !q->args->for_ms)
		for_ms = q->args->interval_ms;
	ms_dirty_slots(d, q->vm);
	ms_dirty_leaves(d, q->model, q->vm);
	d->only_gfns = f->has_gfn;
	d->gfn_start = f->gfn_start;
	d->gfn_end = f->gfn_end;
	d->only_slot = q->args->given & 1ull << MS_OPT_SLOT;
	d->slot_id = (u16)q->args->slot;
	if (q->args->given & 1ull << MS_OPT_CHECK) {
		err = dirty_check_create(q, dirty);
		if (err)
			return err;
		listen.events |= ms_dirty_check_events();
	}
	err = query_listen_ticks(q, &listen, for_ms, on_event, dirty->check ? dirty_check_tick : NULL, dirty,
				 &dirty->listened);
	if (err)
		return err;
	ms_dirty_time(d, dirty->listened.start_ns);
	ms_dirty_time(d, dirty->listened.end_ns);
	dirty->rate_ns = dirty->listened.end_ns - dirty->listened.start_ns;
	return choose(q, dirty);
}

struct ms_err *query_run_dirty(struct query *q)
{
	const struct ms_rec_host *host = &q->model->host;
	struct dirty *dirty;
	struct ms_err *err;
	size_t i;

	for (i = 0; i < q->vm->nr_slots && q->args->given & 1ull << MS_OPT_SLOT; i++)
		if (q->vm->slots[i].id >= 0 && (u32)q->vm->slots[i].id == q->args->slot)
			break;
	if (q->args->given & 1ull << MS_OPT_SLOT && i == q->vm->nr_slots)
		return no_slot(q);
	err = no_frame(q, MS_OPT_GFN, q->args->filter.gfn_start, q->args->filter.gfn_end);
	if (!err)
		err = no_frame(q, MS_OPT_CHECK, q->args->check_start, q->args->check_end);
	if (!err)
		err = watch_begin(q);
	if (err)
		return err;
	dirty = calloc(1, sizeof(*dirty));
	if (!dirty)
		return ms_err_nomem();
	dirty->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	dirty->pml_known = host->have & MS_HOST_HAVE_PML;
	dirty->pml = host->have & MS_HOST_PML;
	err = ms_dirty_create(&q->model->profile, &dirty->d);
	if (!err)
		err = listen_run(q, dirty);
	if (err) {
		dirty_free(dirty);
		return err;
	}
	err = sections(q, dirty);
	return err ? err : notes(q, dirty);
}
