// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM's events as they happen: the last ones in a ring, what is not kept and what was lost said above them. While the
 * view is open it listens, unless it is paused; Enter leads to the page or the entry that an event is about. From a
 * search on nothing that is kept gives way to what comes, until it follows again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "query/events.h"
#include "ui/core.h"

#define KEPT 4096u /* a power of two */
#define BEFORE 200u /* of those before it was opened, where the target keeps them */
#define TOP 2u /* lines above the list */
#define DETAIL 4u /* lines below it, where there is room */
#define DETAIL_FROM 16u /* lines of the view */
#define SETTLED_MS 500u /* what has been selected for so long was seen by whoever presses a key */

struct events_view {
	struct ms_view view;
	struct ms_list list;
	struct ms_event *ring; /* KEPT of them */
	u64 nr_put; /* since it was opened, or the filter was changed */
	u64 start_ns; /* times are told from here */
	u64 lost; /* by listeners that have ended */
	u64 skipped; /* came while it was held, and found no room */
	bool follow, paused;
	bool held; /* a match is shown: what is kept stays */
	u64 moved_ms; /* when following selected another one, on the clock of ui->now_ms */
	bool gone; /* the one selected is no longer kept, another stands in its place */
	char filter[MS_UI_LINE_MAX]; /* as typed; "" for none */
	struct ms_listen want;
};

static struct events_view *events_of(struct ms_view *view)
{
	return (struct events_view *)view;
}

static size_t nr_kept(const struct events_view *v)
{
	return v->nr_put < KEPT ? (size_t)v->nr_put : KEPT;
}

/* row 0 is the oldest that is kept. */
static const struct ms_event *event_at(const struct events_view *v, size_t row)
{
	return row < nr_kept(v) ? &v->ring[(v->nr_put - nr_kept(v) + row) & (KEPT - 1)] : NULL;
}

static void events_destroy(struct ms_view *view)
{
	free(events_of(view)->ring);
	free(view);
}

/* Events are of the VM, not of one reading of it. */
static struct ms_err *events_reload(struct ms_ui *ui, struct ms_view *view)
{
	(void)ui;
	(void)view;
	return NULL;
}

static void follow_set(struct events_view *v, bool follow)
{
	v->follow = follow;
	v->held &= !follow;
}

/* Who types what to look for looks for it among what is on the screen now. */
static bool is_held(struct ms_ui *ui, const struct events_view *v)
{
	return v->held || (ui->prompt == MS_PROMPT_SEARCH && ms_ui_top(ui) == &v->view);
}

static void take(struct ms_ui *ui, struct events_view *v, const struct ms_event *event)
{
	bool full = v->nr_put >= KEPT;

	if (full && is_held(ui, v)) {
		v->skipped++;
		return;
	}
	if (!v->nr_put)
		v->start_ns = event->time_ns;
	v->ring[v->nr_put++ & (KEPT - 1)] = *event;
	v->list.nr = nr_kept(v);
	if (v->follow) {
		ms_list_go(&v->list, v->list.nr - 1);
		v->moved_ms = ui->now_ms;
	} else if (full) {
		/* Rows move up: what is selected stays selected as long as it is kept. */
		v->gone |= !v->list.cursor;
		v->list.cursor -= v->list.cursor > 0;
		v->list.top -= v->list.top > 0;
	}
}

static u64 lost_of(const struct ms_ui *ui, const struct events_view *v)
{
	return v->lost + (ui->listen.view == &v->view ? ms_ui_listen_lost(ui) : 0);
}

/* --- what is listened to --- */

static bool events_listen(struct ms_ui *ui, struct ms_view *view, struct ms_listen *ret)
{
	struct events_view *v = events_of(view);

	if (v->paused)
		return false;
	*ret = v->want;
	ret->kvm = ui->kvm;
	return true;
}

static void events_event(struct ms_ui *ui, struct ms_view *view, const struct ms_event *event)
{
	take(ui, events_of(view), event);
}

static void events_ended(struct ms_ui *ui, struct ms_view *view)
{
	events_of(view)->lost += ms_ui_listen_lost(ui);
}

#define FILTER_OPTS (1ull << MS_OPT_EVENT | 1ull << MS_OPT_VCPU | 1ull << MS_OPT_GFN)

static struct ms_err *filter_parse(const char *line, struct ms_listen *ret)
{
	struct ms_listen want = { .events = ~0ull };
	struct ms_buf words = { 0 };
	struct ms_args args;
	struct ms_err *err;

	/* Names alone are those of events. */
	line += strspn(line, " ");
	ms_buf_printf(&words, "events %s%s", *line && *line != '-' ? "--event " : "", line);
	err = ms_args_parse_line(ms_buf_str(&words), NULL, &args);
	ms_buf_deinit(&words);
	if (err)
		return err;
	if (args.given & ~FILTER_OPTS || args.nr_args) {
		err = ms_err_hint(ms_err_new(MS_ERR_USAGE, "the filter takes --event, --vcpu and --gfn"),
				  "e.g. --event spte_set,flush --vcpu 0; an empty line takes it away");
	} else {
		if (args.events)
			want.events = args.events;
		want.has_vcpu = args.has_vcpu;
		want.vcpu = (u16)args.vcpu;
		want.has_gfn = args.filter.has_gfn;
		want.gfn_start = args.filter.gfn_start;
		want.gfn_end = args.filter.gfn_end;
		*ret = want;
	}
	ms_args_deinit(&args);
	return err;
}

/* Of what is kept, what passes `want' stays. */
static struct ms_err *sift(struct events_view *v, const struct ms_listen *want)
{
	size_t nr = nr_kept(v), i;
	u64 first = v->nr_put - nr, to = 0;
	struct ms_event *old = calloc(nr ? nr : 1, sizeof(*old));

	if (!old)
		return ms_err_nomem();
	for (i = 0; i < nr; i++)
		old[i] = v->ring[(first + i) & (KEPT - 1)];
	for (i = 0; i < nr; i++)
		if (ms_listen_passes(want, &old[i]))
			v->ring[to++] = old[i];
	free(old);
	v->nr_put = to;
	ms_list_fit(&v->list, nr_kept(v), v->list.rows);
	if (v->follow)
		ms_list_go(&v->list, v->list.nr);
	return NULL;
}

static struct ms_err *events_filter(struct ms_ui *ui, struct ms_view *view, const char *line)
{
	struct events_view *v = events_of(view);
	const struct ms_vm *vm = ms_ui_vm(ui);
	struct ms_listen want;
	struct ms_err *err = filter_parse(line, &want);
	size_t i;

	if (err)
		return err;
	for (i = 0; vm && want.has_vcpu && i < vm->nr_vcpus; i++)
		if (vm->vcpus[i].rec.vcpu_id == want.vcpu)
			break;
	if (vm && want.has_vcpu && i == vm->nr_vcpus)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "the VM has no vCPU %u", want.vcpu),
				   "`:vcpus' lists them");
	err = sift(v, &want);
	if (err)
		return err;
	v->want = want;
	snprintf(v->filter, sizeof(v->filter), "%s", line + strspn(line, " "));
	return NULL;
}

/* --- what is shown --- */

static void events_title(struct ms_ui *ui, struct ms_view *view, struct ms_buf *buf)
{
	const struct events_view *v = events_of(view);
	u64 lost = lost_of(ui, v);

	ms_buf_puts(buf, v->paused   ? "Events, paused"
			 : v->follow ? "Events, following"
			 : v->held   ? "Events, held at a match"
				     : "Events");
	if (lost)
		ms_buf_printf(buf, ", %llu LOST", (unsigned long long)lost);
}

/* Kinds of events that are asked for, and that this kernel has no place to take from. */
static u32 unheard(const struct ms_ui *ui)
{
	const struct ms_ui_listen *listen = &ui->listen;
	u32 id, nr = 0;

	for (id = 1; id < MS_EV_NR; id++)
		nr += listen->want.events >> id & ~(listen->fed >> id) & 1;
	return nr;
}

static void draw_top(struct ms_ui *ui, const struct events_view *v, struct ms_grid *grid, struct ms_rect r)
{
	u64 dropped = v->nr_put - nr_kept(v), lost = lost_of(ui, v);
	struct ms_buf buf = { 0 };

	ms_buf_printf(&buf, "%zu events", nr_kept(v));
	if (dropped)
		ms_buf_printf(&buf, ", %llu before them no longer kept", (unsigned long long)dropped);
	if (v->skipped)
		ms_buf_printf(&buf, ", %llu not kept while it was held", (unsigned long long)v->skipped);
	if (lost)
		ms_buf_printf(&buf, ", %llu lost on the way", (unsigned long long)lost);
	if (ui->listen.view == &v->view && ui->listen.l && unheard(ui))
		ms_buf_printf(&buf, "; %u kinds cannot be heard here", unheard(ui));
	if (v->filter[0])
		ms_buf_printf(&buf, "; only %s", v->filter);
	ms_grid_put(grid, r.y, r.x + 1, r.w - 1, lost ? MS_LOOK_WARNING : MS_LOOK_HEADER, ms_buf_str(&buf));
	ms_buf_deinit(&buf);
}

enum { COL_TIME, COL_VCPU, COL_OF, COL_EVENT, COL_CAUSE, COL_FIELDS, NR_COLS };

static const struct {
	const char *title;
	u32 width; /* 0: takes what is left */
	u32 since; /* shown from this width of the view on */
	bool left;
	enum ms_look look;
} cols[NR_COLS] = {
	[COL_TIME] = { "TIME", 11, 56, false, MS_LOOK_DIM },
	[COL_VCPU] = { "VCPU", 4, 0, false, MS_LOOK_NORMAL },
	[COL_OF] = { "OF", 2, 44, true, MS_LOOK_NORMAL },
	[COL_EVENT] = { "EVENT", 14, 0, true, MS_LOOK_LABEL },
	[COL_CAUSE] = { "CAUSE", 13, 72, true, MS_LOOK_NORMAL },
	[COL_FIELDS] = { "FIELDS", 0, 0, true, MS_LOOK_NORMAL },
};

/* In a row the addresses of kernel objects come last: there is not room for all. */
static bool is_late(enum ms_event_unit unit)
{
	return unit == MS_UNIT_SP || unit == MS_UNIT_ROLE || unit == MS_UNIT_HPA;
}

static void put_fields(struct ms_ui *ui, const struct ms_event *event, struct ms_buf *buf)
{
	const struct ms_event_show show = { .model = ui->detail };
	struct ms_event_desc desc;
	u32 late, i;

	if (!ms_event_desc(event->id, &desc))
		return;
	for (late = 0; late < 2; late++)
		for (i = 0; i < desc.nr_fields; i++)
			if (is_late(desc.fields[i].unit) == late)
				ms_event_field(&show, event, &desc.fields[i], buf);
}

static void put_time(const struct events_view *v, const struct ms_event *event, struct ms_buf *buf)
{
	bool before = event->time_ns < v->start_ns;

	/* Of a machine without a clock. */
	if (!event->time_ns) {
		ms_buf_putc(buf, '-');
		return;
	}
	if (before)
		ms_buf_putc(buf, '-');
	ms_event_time(before ? v->start_ns - event->time_ns : event->time_ns - v->start_ns, buf);
}

static void cell_put(struct ms_ui *ui, const struct events_view *v, const struct ms_event *event, u32 col,
		     struct ms_buf *buf)
{
	const char *name;

	switch (col) {
	case COL_TIME:
		put_time(v, event, buf);
		break;
	case COL_VCPU:
		if (event->vcpu != MS_EV_NO_VCPU)
			ms_buf_printf(buf, "%u", event->vcpu);
		break;
	case COL_OF:
		name = ms_guest_name(event->guest);
		ms_buf_puts(buf, name ? name : "");
		break;
	case COL_EVENT:
		name = ms_event_name(event->id);
		ms_buf_puts(buf, name ? name : "?");
		break;
	case COL_CAUSE:
		if (event->cause && ms_value_name(MS_UNIT_CAUSE, event->cause))
			ms_buf_puts(buf, ms_value_name(MS_UNIT_CAUSE, event->cause));
		break;
	default:
		put_fields(ui, event, buf);
	}
}

/* event NULL: the headings. */
static void draw_row(struct ms_ui *ui, const struct events_view *v, struct ms_grid *grid, u32 y, u32 w,
		     const struct ms_event *event)
{
	struct ms_buf buf = { 0 };
	u32 x = 1, c, room;

	for (c = 0; c < NR_COLS && x < w; c++) {
		enum ms_look look = event ? cols[c].look : MS_LOOK_HEADER;

		if (w < cols[c].since)
			continue;
		room = cols[c].width && x + cols[c].width < w ? cols[c].width : w - x;
		ms_buf_reset(&buf);
		if (event)
			cell_put(ui, v, event, c, &buf);
		else
			ms_buf_puts(&buf, cols[c].title);
		if (cols[c].left)
			ms_grid_put(grid, y, x, room, look, ms_buf_str(&buf));
		else
			ms_grid_put_right(grid, y, x, room, look, ms_buf_str(&buf));
		x += room + 1;
	}
	ms_buf_deinit(&buf);
}

/* All fields of the one selected, words unbroken where they fit. */
static void draw_detail(struct ms_ui *ui, const struct events_view *v, struct ms_grid *grid, struct ms_rect r)
{
	const struct ms_event *event = event_at(v, v->list.cursor);
	struct ms_buf words = { 0 }, line = { 0 };
	u32 y = r.y + r.h - DETAIL, room = r.w - 2;
	const char *at;
	size_t len;

	ms_grid_hline(grid, y++, r.x, r.w, MS_LOOK_DIM);
	if (!event)
		return;
	put_fields(ui, event, &words);
	ms_buf_printf(&words, "%sseq=%llu", words.len ? " " : "", (unsigned long long)event->seq);
	if (event->tid)
		ms_buf_printf(&words, " thread=%u", event->tid);
	for (at = ms_buf_str(&words); *at && y < r.y + r.h; at += len, at += *at == ' ') {
		len = strcspn(at, " ");
		if (line.len && line.len + 1 + len > room) {
			ms_grid_put(grid, y++, r.x + 1, room, MS_LOOK_NORMAL, ms_buf_str(&line));
			ms_buf_reset(&line);
		}
		ms_buf_printf(&line, "%s%.*s", line.len ? " " : "", (int)len, at);
	}
	if (line.len && y < r.y + r.h)
		ms_grid_put(grid, y, r.x + 1, room, MS_LOOK_NORMAL, ms_buf_str(&line));
	ms_buf_deinit(&words);
	ms_buf_deinit(&line);
}

static void events_draw(struct ms_ui *ui, struct ms_view *view, struct ms_grid *grid, struct ms_rect r)
{
	struct events_view *v = events_of(view);
	u32 detail = r.h >= DETAIL_FROM ? DETAIL : 0, i;

	draw_top(ui, v, grid, r);
	draw_row(ui, v, grid, r.y + 1, r.w, NULL);
	ms_list_fit(&v->list, nr_kept(v), r.h - TOP - detail);
	if (!nr_kept(v))
		ms_grid_put(grid, r.y + TOP, r.x + 1, r.w - 1, MS_LOOK_DIM,
			    v->paused ? "Paused: nobody listens; p goes on." : "Nothing has happened yet.");
	for (i = 0; i < v->list.rows && event_at(v, v->list.top + i); i++) {
		draw_row(ui, v, grid, r.y + TOP + i, r.w, event_at(v, v->list.top + i));
		if (v->list.top + i == v->list.cursor)
			ms_grid_flag(grid, r.y + TOP + i, r.x, r.w, MS_CELL_SELECTED);
	}
	if (detail)
		draw_detail(ui, v, grid, r);
}

/* --- from an event to what it is about --- */

static bool has_entry(const struct ms_vm *vm, u64 sp)
{
	return sp && ms_vm_sp(vm, sp);
}

bool ms_ui_leaf_of(const struct ms_ui *ui, const struct ms_vm *vm, u64 gfn, bool l2, struct ms_ui_entry *ret)
{
	bool found = false;
	u64 maps;
	size_t i;
	u32 idx;

	for (i = 0; i < vm->nr_sps; i++) {
		const struct ms_sp *sp = &vm->sps[i];
		bool mine;

		if (!sp->tables)
			continue;
		mine = role_get(&ui->detail->roles, sp->rec.role, ROLE_GUEST_MODE) == l2;
		for (idx = 0; idx < MS_SPTES && !(found && !mine); idx++) {
			if (!ms_sp_entry_gfn(ui->detail, sp, idx, &maps) ||
			    gfn - maps >= ms_level_pages(sp->level))
				continue;
			*ret = (struct ms_ui_entry){ .sp = sp->rec.sp, .idx = idx };
			if (mine)
				return true;
			found = true;
		}
	}
	return found;
}

/* False: it names neither a page nor a frame; sp 0: what it names is not there. */
static bool target_of(const struct ms_ui *ui, const struct ms_vm *vm, const struct ms_event *event,
		      struct ms_ui_entry *ret)
{
	u64 sp = 0, idx = MS_SPTES, gfn = ~0ull;

	*ret = (struct ms_ui_entry){ 0 };
	if (ms_event_first(event, MS_UNIT_SP, &sp) && has_entry(vm, sp)) {
		if (!ms_event_first(event, MS_UNIT_INDEX, &idx))
			idx = MS_SPTES;
		*ret = (struct ms_ui_entry){ .sp = sp, .idx = (u32)idx };
		return true;
	}
	if (ms_event_gfn(event, &gfn) && gfn != ~0ull) {
		if (!ms_ui_leaf_of(ui, vm, gfn, event->guest == MS_EV_L2, ret))
			ret->sp = 0;
		return true;
	}
	return sp;
}

/*
 * Is the event under the cursor the one that was meant? Else it becomes the one selected, and stays it: who still wants
 * it presses the key again.
 */
static bool is_meant(struct ms_ui *ui, struct events_view *v)
{
	bool moved = v->follow && !v->paused && ui->now_ms - v->moved_ms < SETTLED_MS;

	v->follow = false;
	if (v->gone)
		ms_ui_status(ui, MS_LOOK_WARNING, "what was selected is no longer kept: this is the oldest");
	else if (moved)
		ms_ui_status(ui, MS_LOOK_NORMAL, "events go on, this one is selected: Enter opens it");
	moved |= v->gone;
	v->gone = false;
	return !moved;
}

static void event_open(struct ms_ui *ui, struct events_view *v)
{
	const struct ms_event *at = event_at(v, v->list.cursor);
	const struct ms_vm *vm;
	struct ms_ui_entry to;
	struct ms_event event;
	struct ms_err *err;
	bool names;

	if (!at || !is_meant(ui, v))
		return;
	/* Reading may make new events, where time passes only when it is asked for. */
	event = *at;
	/* What was read when it was paused is nearer to the event than what is there now. */
	if (!v->paused && ui->target->caps & MS_CAP_LIVE)
		ms_ui_refresh(ui);
	vm = ms_ui_vm(ui);
	names = vm && target_of(ui, vm, &event, &to);
	if (names && !to.sp && v->paused && ui->target->caps & MS_CAP_LIVE) {
		ms_ui_refresh(ui);
		vm = ms_ui_vm(ui);
		names = vm && target_of(ui, vm, &event, &to);
	}
	if (!names)
		ms_ui_status(ui, MS_LOOK_WARNING, "this event names no page and no frame");
	else if (!to.sp)
		ms_ui_status(ui, MS_LOOK_WARNING, "what it was about is not there any more");
	if (!names || !to.sp)
		return;
	err = ms_view_sp_open(ui, to.sp, NULL, 0, false);
	if (!err && to.idx < MS_SPTES)
		ms_view_sp_select(ui, to.idx);
	ms_ui_error(ui, err);
}

/* --- keys --- */

static void pause_set(struct ms_ui *ui, struct events_view *v, bool paused)
{
	v->paused = paused;
	if (!paused)
		return;
	if (ui->target->caps & MS_CAP_LIVE)
		ms_ui_refresh(ui);
	ms_ui_status(ui, MS_LOOK_NORMAL, "paused: what happens now is not heard");
}

static const char *events_label(struct ms_view *view, enum ms_request request)
{
	return request == MS_REQ_PAUSE && events_of(view)->paused ? "Go on" : NULL;
}

static bool events_request(struct ms_ui *ui, struct ms_view *view, enum ms_request request)
{
	struct events_view *v = events_of(view);

	switch (request) {
	case MS_REQ_EVENTS:
		return true;
	case MS_REQ_PAUSE:
		pause_set(ui, v, !v->paused);
		return true;
	case MS_REQ_FOLLOW:
		follow_set(v, !v->follow);
		if (v->follow)
			ms_list_go(&v->list, v->list.nr);
		return true;
	case MS_REQ_FILTER:
		ms_ui_prompt_filter(ui, v->filter);
		return true;
	case MS_REQ_OPEN:
	case MS_REQ_RIGHT:
		event_open(ui, v);
		return true;
	default:
		break;
	}
	if (!ms_list_request(&v->list, request))
		return false;
	v->gone = false;
	/* Who goes to the end stays there. */
	follow_set(v, v->list.cursor + 1 >= v->list.nr);
	return true;
}

/* While it follows, from the newest back: that is what was seen. */
static bool events_search(struct ms_ui *ui, struct ms_view *view, const char *needle, int dir)
{
	struct events_view *v = events_of(view);
	size_t nr = nr_kept(v), first = v->follow ? 0 : 1, i, row;
	struct ms_buf buf = { 0 };
	bool found = false;
	u32 c;

	if (v->follow)
		dir = -1;
	for (i = first; i < nr + first && !found; i++) {
		row = (v->list.cursor + (dir > 0 ? i : nr - i)) % nr;
		ms_buf_reset(&buf);
		for (c = COL_VCPU; c < NR_COLS; c++) {
			cell_put(ui, v, event_at(v, row), c, &buf);
			ms_buf_putc(&buf, ' ');
		}
		found = ms_text_has(ms_buf_str(&buf), needle);
		if (found)
			ms_list_go(&v->list, row);
	}
	ms_buf_deinit(&buf);
	if (found) {
		v->follow = v->gone = false;
		v->held = true;
	}
	return found;
}

static bool events_click(struct ms_ui *ui, struct ms_view *view, u32 y, u32 x)
{
	struct events_view *v = events_of(view);

	(void)ui;
	(void)x;
	if (y < TOP || y - TOP >= v->list.rows || !event_at(v, v->list.top + y - TOP))
		return false;
	ms_list_go(&v->list, v->list.top + y - TOP);
	v->follow = v->gone = false;
	return true;
}

static const struct ms_view_ops events_ops = {
	.context = MS_CTX_EVENTS,
	.of_vm = true,
	.destroy = events_destroy,
	.reload = events_reload,
	.title = events_title,
	.draw = events_draw,
	.request = events_request,
	.search = events_search,
	.click = events_click,
	.listen = events_listen,
	.event = events_event,
	.ended = events_ended,
	.label = events_label,
	.filter = events_filter,
	.hints = { MS_REQ_OPEN, MS_REQ_FILTER, MS_REQ_PAUSE, MS_REQ_FOLLOW, MS_REQ_SEARCH, MS_REQ_BACK },
};

/* Those that the target has kept: not of one that tells all of them again to who listens. */
static struct ms_err *before(struct ms_ui *ui, struct events_view *v)
{
	struct ms_event_log log;
	struct ms_err *err;
	size_t i;

	if ((ui->target->caps & (MS_CAP_LIVE | MS_CAP_EVENTS)) != (MS_CAP_LIVE | MS_CAP_EVENTS))
		return NULL;
	err = ms_target_events(ui->target, ui->kvm, BEFORE, &log);
	if (err)
		return err;
	for (i = 0; i < log.nr; i++)
		take(ui, v, &log.events[i]);
	free(log.events);
	return NULL;
}

struct ms_err *ms_view_events_open(struct ms_ui *ui)
{
	struct events_view *v;
	struct ms_err *err;
	size_t i;

	/* It is open below this view. */
	for (i = 0; i < ui->nr_views; i++)
		if (ui->views[i]->ops == &events_ops) {
			while (ms_ui_top(ui)->ops != &events_ops)
				ms_ui_pop(ui);
			return NULL;
		}
	v = calloc(1, sizeof(*v));
	if (!v)
		return ms_err_nomem();
	v->view.ops = &events_ops;
	v->want.events = ~0ull;
	v->follow = true;
	v->list.rows = 1;
	v->ring = calloc(KEPT, sizeof(*v->ring));
	err = v->ring ? before(ui, v) : ms_err_nomem();
	if (err) {
		events_destroy(&v->view);
		return err;
	}
	return ms_ui_push(ui, &v->view);
}
