// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who dirties what, as it happens: memslots with rate and time line, the selected one's frames in time, the PML
 * buffers that were emptied, the frames that are marked most. While the view is open it listens, unless it is paused;
 * Enter leads from a frame to its leaf. What a way is, and how it is told: query/dirty.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "query/dirty.h"
#include "ui/core.h"

#define FRAMES 256u /* of the most marked ones */
#define SLOTS_MAX 6u /* rows of the upper list */
#define BOTH_FROM 34u /* lines of the view that show map and list together */

enum pane { PANE_SLOTS, PANE_BATCHES, PANE_FRAMES, NR_PANES };

struct dirty_view {
	struct ms_view view;
	struct ms_dirty *d; /* NULL: no memory */
	enum pane pane; /* where the cursor is */
	struct ms_list lists[NR_PANES];
	u32 tops[NR_PANES]; /* first line of each list in the view; 0: not shown */
	u64 serial; /* of the batch selected, ~0: the newest, whichever it is */
	u64 gfn; /* of the frame selected, ~0: the first */
	size_t order[FRAMES], nr_frames; /* as drawn */
	u64 nr_batches; /* that had come when it was drawn */
	bool paused;
	u64 lost; /* by listeners that have ended */
	u64 paused_ns, since_ns; /* time that nobody listened; since when nobody does, 0: somebody does */
};

static struct dirty_view *dirty_of(struct ms_view *view)
{
	return (struct dirty_view *)view;
}

static void dirty_destroy(struct ms_view *view)
{
	ms_dirty_destroy(dirty_of(view)->d);
	free(view);
}

/* Memslots and leaves are of the reading; what was heard stays. */
static struct ms_err *dirty_reload(struct ms_ui *ui, struct ms_view *view)
{
	struct dirty_view *v = dirty_of(view);
	const struct ms_vm *vm = ms_ui_vm(ui);
	struct ms_err *err = NULL;

	if (!v->d)
		err = ms_dirty_create(ui->detail ? &ui->detail->profile : NULL, &v->d);
	if (err || !vm)
		return err;
	ms_dirty_slots(v->d, vm);
	ms_dirty_leaves(v->d, ui->detail, vm);
	return NULL;
}

/* --- listening --- */

static bool dirty_listen(struct ms_ui *ui, struct ms_view *view, struct ms_listen *ret)
{
	if (dirty_of(view)->paused || !dirty_of(view)->d)
		return false;
	ret->kvm = ui->kvm;
	ret->events = ms_dirty_events();
	return true;
}

static void time_is(struct dirty_view *v, u64 now_ns)
{
	ms_dirty_time(v->d, now_ns);
	if (v->since_ns && now_ns > v->since_ns)
		v->paused_ns += now_ns - v->since_ns;
	v->since_ns = 0;
}

static void dirty_event(struct ms_ui *ui, struct ms_view *view, const struct ms_event *event)
{
	struct dirty_view *v = dirty_of(view);

	(void)ui;
	time_is(v, event->time_ns);
	ms_dirty_event(v->d, event);
}

static void dirty_ended(struct ms_ui *ui, struct ms_view *view)
{
	struct dirty_view *v = dirty_of(view);

	v->lost += ms_ui_listen_lost(ui);
	v->since_ns = v->d->started ? v->d->last_ns : 0;
}

static u64 lost_of(const struct ms_ui *ui, const struct dirty_view *v)
{
	return v->lost + (ui->listen.view == &v->view ? ms_ui_listen_lost(ui) : 0);
}

/* --- what is selected --- */

static struct ms_dirty_slot *slot_of(const struct dirty_view *v)
{
	size_t at = v->lists[PANE_SLOTS].cursor;

	return at < v->d->nr_slots ? &v->d->slots[at] : NULL;
}

static size_t nr_batches(const struct dirty_view *v)
{
	return v->nr_batches < MS_DIRTY_BATCHES ? (size_t)v->nr_batches : MS_DIRTY_BATCHES;
}

/* Row 0 is the newest that is shown. NULL: none, or given up since. */
static const struct ms_dirty_batch *batch_at(const struct dirty_view *v, size_t row)
{
	return row < nr_batches(v) ? ms_dirty_batch(v->d, v->nr_batches - 1 - row) : NULL;
}

/* Rows move under what is selected: new batches come on top, frames overtake one another. */
static void rows_find(struct dirty_view *v)
{
	size_t i;

	v->nr_frames = ms_dirty_top(v->d, v->order, FRAMES);
	v->nr_batches = v->d->nr_batches;
	v->lists[PANE_SLOTS].nr = v->d->nr_slots;
	v->lists[PANE_BATCHES].nr = nr_batches(v);
	v->lists[PANE_FRAMES].nr = v->nr_frames;
	if (v->serial != ~0ull && v->serial < v->nr_batches)
		ms_list_go(&v->lists[PANE_BATCHES], (size_t)(v->nr_batches - 1 - v->serial));
	for (i = 0; i < v->nr_frames && v->gfn != ~0ull; i++)
		if (v->d->gfns[v->order[i]].gfn == v->gfn)
			ms_list_go(&v->lists[PANE_FRAMES], i);
}

static void selection_note(struct dirty_view *v)
{
	const struct ms_list *batches = &v->lists[PANE_BATCHES], *frames = &v->lists[PANE_FRAMES];

	v->serial = batches->cursor ? v->nr_batches - 1 - batches->cursor : ~0ull;
	v->gfn = frames->cursor && frames->cursor < v->nr_frames ? v->d->gfns[v->order[frames->cursor]].gfn
								 : ~0ull;
}

/* --- what is shown --- */

static void dirty_title(struct ms_ui *ui, struct ms_view *view, struct ms_buf *buf)
{
	u64 lost = lost_of(ui, dirty_of(view));

	ms_buf_puts(buf, dirty_of(view)->paused ? "Dirty, paused" : "Dirty");
	if (lost)
		ms_buf_printf(buf, ", %llu LOST", (unsigned long long)lost);
}

/* A second; of less than a second's listening nothing is said. */
static u64 rate_of(const struct dirty_view *v, u64 nr)
{
	u64 span = ms_dirty_span_ns(v->d);

	span -= v->paused_ns < span ? v->paused_ns : span;
	return span >= 100000000 ? (u64)((double)nr * 1e9 / (double)span + 0.5) : 0;
}

static void draw_summary(struct ms_ui *ui, const struct dirty_view *v, struct ms_grid *grid, struct ms_rect r)
{
	const struct ms_dirty *d = v->d;
	u64 lost = lost_of(ui, v), dropped = d->dropped_slots + d->dropped_vcpus;
	struct ms_buf buf = { 0 };

	ms_buf_printf(&buf, "marks %llu, %llu/s; PML buffers %llu, full %llu, entries %llu",
		      (unsigned long long)d->nr, (unsigned long long)rate_of(v, d->nr),
		      (unsigned long long)d->nr_batches, (unsigned long long)d->nr_full,
		      (unsigned long long)d->nr_entries);
	if (lost || dropped)
		ms_buf_printf(&buf, "; %llu events lost: not the whole",
			      (unsigned long long)(lost + dropped));
	if (d->nr_pml12)
		ms_buf_printf(&buf, "; L1's PML %llu", (unsigned long long)d->nr_pml12);
	ms_grid_put(grid, r.y, r.x + 1, r.w - 1, lost || dropped ? MS_LOOK_WARNING : MS_LOOK_HEADER,
		    ms_buf_str(&buf));
	ms_buf_deinit(&buf);
}

enum { COL_SLOT, COL_GFN, COL_PAGES, COL_LOGS, COL_MARKS, COL_RATE, COL_UNREAD, NR_SLOT_COLS };

static const struct {
	const char *title;
	u32 width, since;
} slot_cols[NR_SLOT_COLS] = {
	[COL_SLOT] = { "SLOT", 4, 0 },	    [COL_GFN] = { "GFN", 10, 56 },
	[COL_PAGES] = { "PAGES", 8, 100 },  [COL_LOGS] = { "LOGS", 4, 0 },
	[COL_MARKS] = { "MARKS", 8, 0 },    [COL_RATE] = { "/S", 7, 0 },
	[COL_UNREAD] = { "UNREAD", 7, 70 },
};

static void slot_cell(const struct dirty_view *v, const struct ms_dirty_slot *slot, u32 col,
		      struct ms_buf *buf)
{
	switch (col) {
	case COL_SLOT:
		ms_buf_printf(buf, slot->as_id ? "%u/%u" : "%u", slot->id, slot->as_id);
		break;
	case COL_GFN:
		ms_buf_printf(buf, slot->known ? "0x%llx" : "-", (unsigned long long)slot->base_gfn);
		break;
	case COL_PAGES:
		ms_buf_printf(buf, slot->known ? "%llu" : "-", (unsigned long long)slot->nr_pages);
		break;
	case COL_LOGS:
		ms_buf_puts(buf, slot->logging ? "yes" : "no");
		break;
	case COL_MARKS:
		ms_buf_printf(buf, "%llu", (unsigned long long)slot->nr);
		break;
	case COL_RATE:
		ms_buf_printf(buf, "%llu", (unsigned long long)rate_of(v, slot->nr));
		break;
	default:
		ms_buf_printf(buf, v->d->ring ? "ring" : "%llu", (unsigned long long)slot->since_read);
	}
}

static void spark_put(const struct dirty_view *v, struct ms_grid *grid, u32 y, u32 x, u32 cells,
		      const u32 *bins, u32 max)
{
	struct ms_buf buf = { 0 };

	ms_dirty_spark(bins, ms_dirty_nr_bins(v->d), cells, max, grid->utf8, &buf);
	ms_grid_put(grid, y, x, cells, MS_LOOK_DIRTY_LOG, ms_buf_str(&buf));
	ms_buf_deinit(&buf);
}

/* slot NULL: the headings. */
static void draw_slot(const struct dirty_view *v, struct ms_grid *grid, u32 y, u32 w,
		      const struct ms_dirty_slot *slot)
{
	struct ms_buf buf = { 0 };
	u32 x = 1, c;

	for (c = 0; c < NR_SLOT_COLS; c++) {
		if (w < slot_cols[c].since || x + slot_cols[c].width >= w)
			continue;
		ms_buf_reset(&buf);
		if (slot)
			slot_cell(v, slot, c, &buf);
		else
			ms_buf_puts(&buf, slot_cols[c].title);
		ms_grid_put_right(grid, y, x, slot_cols[c].width, slot ? MS_LOOK_NORMAL : MS_LOOK_HEADER,
				  ms_buf_str(&buf));
		x += slot_cols[c].width + 1;
	}
	x++;
	if (!slot)
		ms_grid_put(grid, y, x, w > x ? w - x : 0, MS_LOOK_HEADER, "TIME");
	else if (x < w)
		spark_put(v, grid, y, x, w - x, slot->bins, 0);
	ms_buf_deinit(&buf);
}

/* Rows of a list whose cursor is this pane's. */
static void draw_cursor(const struct dirty_view *v, struct ms_grid *grid, u32 y, const struct ms_rect *r,
			enum pane pane, size_t row)
{
	if (row == v->lists[pane].cursor)
		ms_grid_flag(grid, y, r->x, r->w, pane == v->pane ? MS_CELL_SELECTED : MS_CELL_MARKED);
}

static void draw_slots(struct dirty_view *v, struct ms_grid *grid, struct ms_rect r)
{
	struct ms_list *list = &v->lists[PANE_SLOTS];
	size_t i;

	draw_slot(v, grid, r.y, r.w, NULL);
	ms_list_fit(list, v->d->nr_slots, r.h - 1);
	for (i = 0; i < list->rows && list->top + i < v->d->nr_slots; i++) {
		draw_slot(v, grid, r.y + 1 + (u32)i, r.w, &v->d->slots[list->top + i]);
		draw_cursor(v, grid, r.y + 1 + (u32)i, &r, PANE_SLOTS, list->top + i);
	}
}

/* What the marks of the selected slot are from, and what could see a write to its pages. */
static u32 draw_ways(const struct dirty_view *v, struct ms_grid *grid, struct ms_rect r)
{
	const struct ms_dirty_slot *slot = slot_of(v);
	struct ms_buf buf = { 0 };
	u32 way;

	if (!slot || r.h < 6)
		return 0;
	for (way = 0; way < MS_DIRTY_WAYS; way++)
		if (slot->ways[way])
			ms_buf_printf(&buf, "%s%s %llu", buf.len ? ", " : "", ms_dirty_way_name(way),
				      (unsigned long long)slot->ways[way]);
	ms_grid_put(grid, r.y, r.x + 1, r.w - 1, MS_LOOK_NORMAL, buf.len ? ms_buf_str(&buf) : "no marks yet");
	ms_buf_reset(&buf);
	ms_buf_printf(&buf, "leaves: %llu A/D enabled, %llu write-protect only, %llu A/D disabled; %llu huge",
		      (unsigned long long)slot->kinds[SPTE_AD_ENABLED],
		      (unsigned long long)slot->kinds[SPTE_AD_WRPROT_ONLY],
		      (unsigned long long)slot->kinds[SPTE_AD_DISABLED], (unsigned long long)slot->huge);
	ms_grid_put(grid, r.y + 1, r.x + 1, r.w - 1, MS_LOOK_DIM, ms_buf_str(&buf));
	ms_buf_deinit(&buf);
	return 2;
}

/* A rule across the view with a name in it. */
static void draw_rule(struct ms_grid *grid, struct ms_rect r, bool focus, const char *name)
{
	ms_grid_hline(grid, r.y, r.x, r.w, MS_LOOK_DIM);
	ms_grid_printf(grid, r.y, r.x + 2, r.w - 2, focus ? MS_LOOK_KEY : MS_LOOK_LABEL, " %s ", name);
}

/* The map's rows, several as one where there is not room for all. */
static void draw_map(const struct dirty_view *v, struct ms_grid *grid, struct ms_rect r)
{
	const struct ms_dirty_slot *slot = slot_of(v);
	u32 rows = 0, per, row, i, bin, max = 0, y, sums[MS_DIRTY_ROWS][MS_DIRTY_BINS] = { 0 };
	u64 start, end, unused;

	if (!slot || !r.h)
		return;
	while (rows < MS_DIRTY_ROWS && (ms_dirty_row(slot, rows, &start, &end), end))
		rows++;
	if (!rows) {
		ms_grid_put(grid, r.y, r.x + 1, r.w - 1, MS_LOOK_DIM, "The memslot's frames are not known.");
		return;
	}
	per = (rows + r.h - 1) / r.h;
	for (row = 0; row < rows; row++)
		for (bin = 0; bin < MS_DIRTY_BINS; bin++) {
			sums[row / per][bin] += slot->map[row][bin];
			if (sums[row / per][bin] > max)
				max = sums[row / per][bin];
		}
	for (i = 0; i * per < rows; i++) {
		y = r.y + i;
		ms_dirty_row(slot, i * per, &start, &end);
		row = i * per + per - 1;
		ms_dirty_row(slot, row < rows ? row : rows - 1, &unused, &end);
		ms_grid_printf(grid, y, r.x + 1, 24, MS_LOOK_ADDRESS, "0x%llx-0x%llx",
			       (unsigned long long)start, (unsigned long long)end);
		if (r.w > 27)
			spark_put(v, grid, y, r.x + 26, r.w - 27, sums[i], max);
	}
}

static void draw_batches(struct dirty_view *v, struct ms_grid *grid, struct ms_rect r)
{
	struct ms_list *list = &v->lists[PANE_BATCHES];
	const struct ms_dirty_batch *b;
	struct ms_buf buf = { 0 };
	size_t i;
	u32 k;

	ms_list_fit(list, nr_batches(v), r.h);
	if (!nr_batches(v))
		ms_grid_put(grid, r.y, r.x + 1, r.w - 1, MS_LOOK_DIM, "No PML buffer was emptied.");
	for (i = 0; i < list->rows && (b = batch_at(v, list->top + i)); i++) {
		ms_buf_reset(&buf);
		ms_buf_printf(&buf, "%9.3f s ", (double)(b->time_ns - v->d->start_ns) / 1e9);
		if (b->vcpu != MS_EV_NO_VCPU)
			ms_buf_printf(&buf, "vCPU %-3u ", b->vcpu);
		if (b->announced)
			ms_buf_printf(&buf, "%3u %s%s:", b->entries, b->entries == 1 ? "entry" : "entries",
				      b->full ? ", FULL" : "");
		else
			ms_buf_printf(&buf, "%3u or more entries:", b->seen);
		for (k = 0; k < b->nr && buf.len < r.w; k++)
			ms_buf_printf(&buf, b->gfns[k] == ~0ull ? " ?" : " 0x%llx",
				      (unsigned long long)b->gfns[k]);
		ms_grid_put(grid, r.y + (u32)i, r.x + 1, r.w - 1, b->full ? MS_LOOK_WARNING : MS_LOOK_NORMAL,
			    ms_buf_str(&buf));
		draw_cursor(v, grid, r.y + (u32)i, &r, PANE_BATCHES, list->top + i);
	}
	ms_buf_deinit(&buf);
}

static void frame_words(const struct dirty_view *v, const struct ms_dirty_gfn *g, struct ms_buf *buf)
{
	u32 way;

	ms_buf_printf(buf, "0x%-10llx slot %-2u %7llu %s last %.3f s", (unsigned long long)g->gfn,
		      v->d->slots[g->slot].id, (unsigned long long)g->nr, g->nr == 1 ? "mark, " : "marks,",
		      (double)(g->last_ns - v->d->start_ns) / 1e9);
	if (g->guest)
		ms_buf_printf(buf, " by %s", ms_guest_name(g->guest));
	ms_buf_putc(buf, ':');
	for (way = 0; way < MS_DIRTY_WAYS; way++)
		if (g->ways[way])
			ms_buf_printf(buf, " %s %u", ms_dirty_way_name(way), g->ways[way]);
}

static void draw_frames(struct dirty_view *v, struct ms_grid *grid, struct ms_rect r)
{
	struct ms_list *list = &v->lists[PANE_FRAMES];
	struct ms_buf buf = { 0 };
	size_t i, row;

	ms_list_fit(list, v->nr_frames, r.h);
	if (!v->nr_frames)
		ms_grid_put(grid, r.y, r.x + 1, r.w - 1, MS_LOOK_DIM, "No frame was marked.");
	for (i = 0; i < list->rows && (row = list->top + i) < v->nr_frames; i++) {
		ms_buf_reset(&buf);
		frame_words(v, &v->d->gfns[v->order[row]], &buf);
		ms_grid_put(grid, r.y + (u32)i, r.x + 1, r.w - 1, MS_LOOK_NORMAL, ms_buf_str(&buf));
		draw_cursor(v, grid, r.y + (u32)i, &r, PANE_FRAMES, row);
	}
	ms_buf_deinit(&buf);
}

static struct ms_rect below(struct ms_rect r, u32 lines)
{
	lines = lines < r.h ? lines : r.h;
	r.y += lines;
	r.h -= lines;
	return r;
}

static void draw_list(struct dirty_view *v, struct ms_grid *grid, struct ms_rect r, u32 view_y)
{
	bool frames = v->pane == PANE_FRAMES;

	draw_rule(grid, r, v->pane != PANE_SLOTS,
		  frames ? "Frames, the most marked first" : "PML buffers, the newest first");
	r = below(r, 1);
	if (!r.h)
		return;
	v->tops[frames ? PANE_FRAMES : PANE_BATCHES] = r.y - view_y;
	if (frames)
		draw_frames(v, grid, r);
	else
		draw_batches(v, grid, r);
}

static void draw_lower(struct dirty_view *v, struct ms_grid *grid, struct ms_rect r, bool both, u32 view_y)
{
	const struct ms_dirty_slot *slot = slot_of(v);
	struct ms_rect map = r;
	char name[64];

	if (!both && v->pane != PANE_SLOTS) {
		draw_list(v, grid, r, view_y);
		return;
	}
	if (both && map.h > MS_DIRTY_ROWS + 3)
		map.h = MS_DIRTY_ROWS + 3;
	snprintf(name, sizeof(name), slot ? "Memslot %u in time" : "No memslot", slot ? slot->id : 0u);
	draw_rule(grid, map, false, name);
	map = below(map, 1);
	draw_map(v, grid, below(map, draw_ways(v, grid, map)));
	if (both)
		draw_list(v, grid, below(r, MS_DIRTY_ROWS + 3), view_y);
}

static void dirty_draw(struct ms_ui *ui, struct ms_view *view, struct ms_grid *grid, struct ms_rect r)
{
	struct dirty_view *v = dirty_of(view);
	struct ms_rect upper = r;

	if (!v->d)
		return;
	if (ui->listen.view == view && ui->listen.l)
		time_is(v, ms_listen_now(ui->listen.l));
	rows_find(v);
	memset(v->tops, 0, sizeof(v->tops));
	draw_summary(ui, v, grid, r);
	upper = below(upper, 1);
	upper.h = (u32)(v->d->nr_slots < SLOTS_MAX ? v->d->nr_slots : SLOTS_MAX) + 1;
	if (upper.h > r.h / 3)
		upper.h = r.h / 3 > 2 ? r.h / 3 : 2;
	v->tops[PANE_SLOTS] = 2;
	draw_slots(v, grid, upper);
	draw_lower(v, grid, below(r, upper.h + 1), r.h >= BOTH_FROM, r.y);
}

/* --- what is done --- */

static void gfn_open(struct ms_ui *ui, struct dirty_view *v, u64 gfn, bool l2)
{
	struct ms_ui_entry to;
	struct ms_err *err;

	if (!v->paused && ui->target->caps & MS_CAP_LIVE)
		ms_ui_refresh(ui);
	if (!ms_ui_vm(ui) || !ms_ui_leaf_of(ui, ms_ui_vm(ui), gfn, l2, &to)) {
		ms_ui_status(ui, MS_LOOK_WARNING, "no leaf maps gfn 0x%llx now", (unsigned long long)gfn);
		return;
	}
	err = ms_view_sp_open(ui, to.sp, NULL, 0, false);
	if (!err)
		ms_view_sp_select(ui, to.idx);
	ms_ui_error(ui, err);
}

static void selected_open(struct ms_ui *ui, struct dirty_view *v)
{
	const struct ms_dirty_batch *b = batch_at(v, v->lists[PANE_BATCHES].cursor);
	size_t row = v->lists[PANE_FRAMES].cursor;
	u32 i = 0;

	if (v->pane == PANE_SLOTS) {
		v->pane = PANE_FRAMES;
	} else if (v->pane == PANE_FRAMES && row < v->nr_frames) {
		gfn_open(ui, v, v->d->gfns[v->order[row]].gfn, v->d->gfns[v->order[row]].guest == MS_EV_L2);
	} else if (v->pane == PANE_BATCHES && b) {
		/* The newest entry that was seen; the host's PML has what L1 wrote. */
		while (i < b->nr && b->gfns[i] == ~0ull)
			i++;
		if (i < b->nr)
			gfn_open(ui, v, b->gfns[i], false);
	}
}

static const char *dirty_label(struct ms_view *view, enum ms_request request)
{
	return request == MS_REQ_PAUSE && dirty_of(view)->paused ? "Go on" : NULL;
}

static bool dirty_request(struct ms_ui *ui, struct ms_view *view, enum ms_request request)
{
	struct dirty_view *v = dirty_of(view);

	if (!v->d)
		return false;
	switch (request) {
	case MS_REQ_DIRTY:
		return true;
	case MS_REQ_PAUSE:
		v->paused = !v->paused;
		if (v->paused)
			ms_ui_status(ui, MS_LOOK_NORMAL, "paused: what happens now is not heard");
		return true;
	case MS_REQ_NEXT_PANE:
		v->pane = (v->pane + 1) % NR_PANES;
		return true;
	case MS_REQ_OPEN:
	case MS_REQ_RIGHT:
		selected_open(ui, v);
		return true;
	default:
		break;
	}
	if (!ms_list_request(&v->lists[v->pane], request))
		return false;
	selection_note(v);
	return true;
}

static bool dirty_search(struct ms_ui *ui, struct ms_view *view, const char *needle, int dir)
{
	struct dirty_view *v = dirty_of(view);
	struct ms_list *list = &v->lists[PANE_FRAMES];
	size_t nr, i, row;
	struct ms_buf buf = { 0 };
	bool found = false;

	(void)ui;
	if (!v->d)
		return false;
	rows_find(v);
	nr = v->nr_frames;
	for (i = 1; i <= nr && !found; i++) {
		row = (list->cursor + (dir > 0 ? i : nr - i)) % nr;
		ms_buf_reset(&buf);
		frame_words(v, &v->d->gfns[v->order[row]], &buf);
		found = ms_text_has(ms_buf_str(&buf), needle);
		if (found)
			ms_list_go(list, row);
	}
	ms_buf_deinit(&buf);
	if (found) {
		v->pane = PANE_FRAMES;
		selection_note(v);
	}
	return found;
}

static bool dirty_click(struct ms_ui *ui, struct ms_view *view, u32 y, u32 x)
{
	struct dirty_view *v = dirty_of(view);
	u32 pane;

	(void)ui;
	(void)x;
	for (pane = 0; pane < NR_PANES; pane++) {
		struct ms_list *list = &v->lists[pane];

		if (!v->tops[pane] || y < v->tops[pane] || y - v->tops[pane] >= list->rows ||
		    list->top + y - v->tops[pane] >= list->nr)
			continue;
		v->pane = pane;
		ms_list_go(list, list->top + y - v->tops[pane]);
		selection_note(v);
		return true;
	}
	return false;
}

static const struct ms_view_ops dirty_ops = {
	.context = MS_CTX_DIRTY,
	.of_vm = true,
	.destroy = dirty_destroy,
	.reload = dirty_reload,
	.title = dirty_title,
	.draw = dirty_draw,
	.request = dirty_request,
	.search = dirty_search,
	.click = dirty_click,
	.listen = dirty_listen,
	.event = dirty_event,
	.ended = dirty_ended,
	.label = dirty_label,
	.hints = { MS_REQ_OPEN, MS_REQ_NEXT_PANE, MS_REQ_PAUSE, MS_REQ_REFRESH, MS_REQ_SEARCH, MS_REQ_BACK },
};

struct ms_err *ms_view_dirty_open(struct ms_ui *ui)
{
	struct dirty_view *v;
	size_t i;

	/* It is open below this view. */
	for (i = 0; i < ui->nr_views; i++)
		if (ui->views[i]->ops == &dirty_ops) {
			while (ms_ui_top(ui)->ops != &dirty_ops)
				ms_ui_pop(ui);
			return NULL;
		}
	v = calloc(1, sizeof(*v));
	if (!v)
		return ms_err_nomem();
	v->view.ops = &dirty_ops;
	v->serial = v->gfn = ~0ull;
	return ms_ui_push(ui, &v->view);
}
