// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The interface's state machine: the stack of views, keys, the prompt, and the frame around a view. What is
 * read and when is in load.c, what is shown of it in view_*.c. Must not include curses.
 */
#include "ui/core.h"
#include "ui/flip.h"

#include <ctype.h>
#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

bool ms_text_has(const char *text, const char *needle)
{
	return strcasestr(text, needle);
}

struct ms_view *ms_ui_top(struct ms_ui *ui)
{
	return ui->nr_views ? ui->views[ui->nr_views - 1] : NULL;
}

void ms_ui_status(struct ms_ui *ui, enum ms_look look, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ui->status, sizeof(ui->status), fmt, ap);
	va_end(ap);
	ui->status_look = look;
	ui->status_read = false;
}

void ms_ui_error(struct ms_ui *ui, struct ms_err *err)
{
	const char *hint;

	if (!err)
		return;
	hint = ms_err_hint_text(err);
	ms_ui_status(ui, MS_LOOK_ERROR, "%s%s%s", ms_err_text(err), hint ? "; " : "", hint ? hint : "");
	ms_err_free(err);
}

struct ms_err *ms_ui_push(struct ms_ui *ui, struct ms_view *view)
{
	struct ms_err *err = NULL;

	if (ui->nr_views == MS_UI_MAX_VIEWS)
		err = ms_err_new(MS_ERR_USAGE, "too many views are open: close one first");
	if (!err)
		err = view->ops->reload(ui, view);
	if (err) {
		view->ops->destroy(view);
		return err;
	}
	ui->views[ui->nr_views++] = view;
	return NULL;
}

void ms_ui_forget_vm(struct ms_ui *ui)
{
	size_t i;

	for (i = 0; i < ui->nr_views; i++)
		if (ui->views[i]->ops->of_vm)
			return;
	/* Nothing shows the VM any more: its tables are large. */
	ms_model_destroy(ui->detail);
	ui->detail = NULL;
	ui->kvm = 0;
}

void ms_ui_pop(struct ms_ui *ui)
{
	struct ms_view *view;

	if (!ui->nr_views)
		return;
	view = ui->views[--ui->nr_views];
	if (view == ui->listen.view)
		ms_ui_listen_stop(ui);
	view->ops->destroy(view);
	ui->refused[0] = '\0';
	ms_ui_forget_vm(ui);
}

static struct ms_err *open_first(struct ms_ui *ui)
{
	struct ms_vm *vm = NULL;
	struct ms_err *err;

	if (ui->opts->vm) {
		err = ms_model_find_vm(ui->list, ui->opts->vm, &vm);
		if (err)
			return err;
	} else if (ui->list->nr_vms == 1) {
		vm = &ui->list->vms[0];
	}
	err = ms_view_vms_open(ui);
	if (err || !vm)
		return err;
	err = ms_ui_load_vm(ui, vm->rec.kvm);
	return err ? err : ms_view_tree_open(ui);
}

struct ms_err *ms_ui_create(struct ms_target *target, const struct ms_ui_opts *opts,
			    ms_ui_progress_fn *progress, void *progress_ctx, struct ms_ui **ret)
{
	struct ms_ui *ui = calloc(1, sizeof(*ui));
	struct ms_err *err;

	if (!ui)
		return ms_err_nomem();
	ui->target = target;
	ui->opts = opts;
	ui->progress = progress;
	ui->progress_ctx = progress_ctx;
	ui->interval_s = target->caps & MS_CAP_LIVE ? opts->interval_s : 0;
	ui->utf8 = opts->charset == MS_UI_CHARSET_UTF8 ||
		   (opts->charset == MS_UI_CHARSET_AUTO && !strcmp(nl_langinfo(CODESET), "UTF-8"));
	err = ms_ui_load_list(ui);
	if (!err)
		err = open_first(ui);
	if (err) {
		ms_ui_destroy(ui);
		return err;
	}
	if (opts->notice && *opts->notice)
		ms_ui_status(ui, MS_LOOK_WARNING, "%s", opts->notice);
	*ret = ui;
	return NULL;
}

void ms_ui_destroy(struct ms_ui *ui)
{
	if (!ui)
		return;
	ms_ui_listen_stop(ui);
	ms_ui_flip_end(ui);
	while (ui->nr_views)
		ms_ui_pop(ui);
	ms_model_destroy(ui->detail);
	ms_model_destroy(ui->list);
	free(ui);
}

/* ---- the prompt ---- */

static void history_add(struct ms_ui *ui)
{
	const size_t last = MS_UI_HISTORY - 1;

	if (!ui->line[0] || (ui->nr_history && !strcmp(ui->history[ui->nr_history - 1], ui->line)))
		return;
	if (ui->nr_history == MS_UI_HISTORY)
		memmove(ui->history[0], ui->history[1], last * sizeof(ui->history[0]));
	else
		ui->nr_history++;
	memcpy(ui->history[ui->nr_history - 1], ui->line, sizeof(ui->line));
}

/* Behind the last line there is an empty one. */
static void history_go(struct ms_ui *ui, int dir)
{
	if (ui->prompt != MS_PROMPT_COMMAND || (dir < 0 && !ui->history_at) ||
	    (dir > 0 && ui->history_at >= ui->nr_history))
		return;
	ui->history_at += dir;
	if (ui->history_at < ui->nr_history)
		memcpy(ui->line, ui->history[ui->history_at], sizeof(ui->line));
	else
		ui->line[0] = '\0';
}

#define CANDIDATES_MAX 128

/* As far as all candidates agree; what there is to choose from is shown behind the line. */
static void prompt_complete(struct ms_ui *ui)
{
	/* A filter has the options of `events'. */
	static const char events[] = "events ";
	char line[sizeof(events) + MS_UI_LINE_MAX];
	const char *found[CANDIDATES_MAX];
	size_t start = 0, same, nr, i, at = 0, skip = ui->prompt == MS_PROMPT_FILTER ? strlen(events) : 0;

	if (ui->prompt == MS_PROMPT_SEARCH || !ui->opts->complete)
		return;
	snprintf(line, sizeof(line), "%.*s%s", (int)skip, events, ui->line);
	nr = ui->opts->complete(line, found, CANDIDATES_MAX, &start);
	if (!nr || start < skip)
		return;
	start -= skip;
	same = strlen(found[0]);
	for (i = 1; i < nr; i++)
		while (strncmp(found[0], found[i], same))
			same--;
	if (start + same + 2 > sizeof(ui->line))
		return;
	if (same >= strlen(ui->line + start))
		snprintf(ui->line + start, sizeof(ui->line) - start, "%.*s%s", (int)same, found[0],
			 nr == 1 ? " " : "");
	for (i = 0; i < nr && nr > 1 && at < sizeof(ui->candidates); i++)
		at += (size_t)snprintf(ui->candidates + at, sizeof(ui->candidates) - at, "%s%s", i ? " " : "",
				       found[i]);
}

static void prompt_open(struct ms_ui *ui, enum ms_ui_prompt prompt)
{
	if (prompt == MS_PROMPT_COMMAND && !ui->opts->command) {
		ms_ui_status(ui, MS_LOOK_WARNING, "no commands here");
		return;
	}
	ui->prompt = prompt;
	ui->line[0] = '\0';
	ui->candidates[0] = '\0';
	ui->history_at = ui->nr_history;
}

void ms_ui_prompt_filter(struct ms_ui *ui, const char *now)
{
	prompt_open(ui, MS_PROMPT_FILTER);
	snprintf(ui->line, sizeof(ui->line), "%s", ui->refused[0] ? ui->refused : now);
}

static void search(struct ms_ui *ui, int dir)
{
	struct ms_view *view = ms_ui_top(ui);

	if (!ui->needle[0])
		prompt_open(ui, MS_PROMPT_SEARCH);
	else if (!view->ops->search || !view->ops->search(ui, view, ui->needle, dir))
		ms_ui_status(ui, MS_LOOK_WARNING, "nothing found: %s", ui->needle);
}

static void prompt_commit(struct ms_ui *ui)
{
	enum ms_ui_prompt prompt = ui->prompt;

	ui->prompt = MS_PROMPT_NONE;
	if (prompt == MS_PROMPT_COMMAND) {
		history_add(ui);
		if (!strcmp(ui->line, "q") || !strcmp(ui->line, "quit") || !strcmp(ui->line, "exit"))
			ui->quit = true;
		else if (ui->line[0])
			ms_view_command_open(ui, ui->line, false);
		return;
	}
	if (prompt == MS_PROMPT_FILTER) {
		struct ms_err *err = ms_ui_top(ui)->ops->filter(ui, ms_ui_top(ui), ui->line);

		snprintf(ui->refused, sizeof(ui->refused), "%s", err ? ui->line : "");
		ms_ui_error(ui, err);
		return;
	}
	if (!ui->line[0] && !ui->needle[0])
		return;
	if (ui->line[0])
		memcpy(ui->needle, ui->line, sizeof(ui->needle));
	search(ui, 1);
}

static void prompt_type(struct ms_ui *ui, u32 key)
{
	size_t len = strlen(ui->line);
	char utf8[5] = "";
	size_t n;

	if (key < 0x80) {
		utf8[0] = (char)key;
	} else if (key < 0x800) {
		utf8[0] = (char)(0xc0 | key >> 6);
		utf8[1] = (char)(0x80 | (key & 0x3f));
	} else if (key < 0x10000) {
		utf8[0] = (char)(0xe0 | key >> 12);
		utf8[1] = (char)(0x80 | (key >> 6 & 0x3f));
		utf8[2] = (char)(0x80 | (key & 0x3f));
	} else {
		utf8[0] = (char)(0xf0 | key >> 18);
		utf8[1] = (char)(0x80 | (key >> 12 & 0x3f));
		utf8[2] = (char)(0x80 | (key >> 6 & 0x3f));
		utf8[3] = (char)(0x80 | (key & 0x3f));
	}
	n = strlen(utf8);
	if (len + n < sizeof(ui->line))
		memcpy(ui->line + len, utf8, n + 1);
}

static void prompt_key(struct ms_ui *ui, u32 key)
{
	size_t len = strlen(ui->line);

	ui->candidates[0] = '\0';
	switch (key) {
	case MS_KEY_UP:
	case MS_CTRL('p'):
		history_go(ui, -1);
		return;
	case MS_KEY_DOWN:
	case MS_CTRL('n'):
		history_go(ui, 1);
		return;
	case MS_KEY_TAB:
		prompt_complete(ui);
		return;
	case MS_KEY_ENTER:
		prompt_commit(ui);
		return;
	case MS_KEY_ESC:
		if (ui->prompt == MS_PROMPT_FILTER)
			ui->refused[0] = '\0';
		ui->prompt = MS_PROMPT_NONE;
		return;
	case MS_KEY_BACKSPACE:
	case MS_KEY_DELETE:
		if (!len) {
			ui->prompt = MS_PROMPT_NONE;
			return;
		}
		/* One character: its continuation bytes and the byte that leads them. */
		while (len > 1 && (ui->line[len - 1] & 0xc0) == 0x80)
			len--;
		ui->line[len - 1] = '\0';
		return;
	case MS_CTRL('u'):
		ui->line[0] = '\0';
		return;
	default:
		if (key < MS_KEY_SPECIAL && ms_cp_is_printable(key))
			prompt_type(ui, key);
	}
}

/* ---- requests ---- */

static void interval_set(struct ms_ui *ui, enum ms_request request)
{
	static const u32 steps[] = { 0, 1, 2, 5 };
	static const size_t nr = sizeof(steps) / sizeof(*steps);
	size_t i = 0;

	if (!(ui->target->caps & MS_CAP_LIVE)) {
		ms_ui_status(ui, MS_LOOK_WARNING, "%s does not change by itself", ui->target->spec);
		return;
	}
	while (i + 1 < nr && steps[i] < ui->interval_s)
		i++;
	if (request == MS_REQ_INTERVAL)
		i = (i + 1) % nr;
	else if (request == MS_REQ_FASTER)
		i = i == 0 ? nr - 1 : i == 1 ? 1 : i - 1;
	else
		i = i == nr - 1 ? 0 : i ? i + 1 : 0;
	ui->interval_s = steps[i];
	if (steps[i])
		ms_ui_status(ui, MS_LOOK_NORMAL, "reads again every %u s", steps[i]);
	else
		ms_ui_status(ui, MS_LOOK_NORMAL, "reads again when asked");
}

static void core_request(struct ms_ui *ui, enum ms_request request)
{
	switch (request) {
	case MS_REQ_BACK:
		if (ui->nr_views > 1)
			ms_ui_pop(ui);
		break;
	case MS_REQ_QUIT:
		if (ui->nr_views > 1)
			ms_ui_pop(ui);
		else
			ui->quit = true;
		break;
	case MS_REQ_SEARCH:
		prompt_open(ui, MS_PROMPT_SEARCH);
		break;
	case MS_REQ_SEARCH_NEXT:
		search(ui, 1);
		break;
	case MS_REQ_SEARCH_PREV:
		search(ui, -1);
		break;
	case MS_REQ_COMMAND:
		prompt_open(ui, MS_PROMPT_COMMAND);
		break;
	case MS_REQ_REFRESH:
		ms_ui_refresh(ui);
		break;
	case MS_REQ_EVENTS:
		if (!(ui->target->caps & MS_CAP_LISTEN))
			ms_ui_status(ui, MS_LOOK_WARNING, "%s has no events", ui->target->spec);
		else if (ui->detail)
			ms_ui_error(ui, ms_view_events_open(ui));
		else
			ms_ui_status(ui, MS_LOOK_WARNING, "open a VM first");
		break;
	case MS_REQ_DIRTY:
		if (!(ui->target->caps & MS_CAP_LISTEN))
			ms_ui_status(ui, MS_LOOK_WARNING, "%s has no events", ui->target->spec);
		else if (ui->detail)
			ms_ui_error(ui, ms_view_dirty_open(ui));
		else
			ms_ui_status(ui, MS_LOOK_WARNING, "open a VM first");
		break;
	case MS_REQ_AUDIT:
		if (ui->detail)
			ms_ui_error(ui, ms_view_audit_open(ui));
		else
			ms_ui_status(ui, MS_LOOK_WARNING, "open a VM first");
		break;
	case MS_REQ_INTERVAL:
	case MS_REQ_FASTER:
	case MS_REQ_SLOWER:
		interval_set(ui, request);
		break;
	case MS_REQ_HELP:
		ms_ui_error(ui, ms_view_help_open(ui));
		break;
	case MS_REQ_REDRAW:
		ui->redraw = true;
		break;
	default:
		break;
	}
}

static void request_do(struct ms_ui *ui, enum ms_request request)
{
	struct ms_view *view = ms_ui_top(ui);

	if (request != MS_REQ_NONE && !view->ops->request(ui, view, request))
		core_request(ui, request);
}

void ms_ui_key(struct ms_ui *ui, u32 key)
{
	if (ui->prompt != MS_PROMPT_NONE) {
		prompt_key(ui, key);
		return;
	}
	/* A message is read by whoever goes on; that the data is stale stays in the header. */
	ms_ui_status(ui, MS_LOOK_NORMAL, "%s", "");
	request_do(ui, ms_key_request(ms_ui_top(ui)->ops->context, key));
}

void ms_ui_mouse(struct ms_ui *ui, enum ms_ui_mouse event, u32 y, u32 x)
{
	struct ms_view *view = ms_ui_top(ui);
	const struct ms_rect *r = &view->rect;
	u32 i;

	if (ui->prompt != MS_PROMPT_NONE)
		return;
	if (event == MS_MOUSE_WHEEL_UP || event == MS_MOUSE_WHEEL_DOWN) {
		for (i = 0; i < 3; i++)
			request_do(ui, event == MS_MOUSE_WHEEL_UP ? MS_REQ_UP : MS_REQ_DOWN);
		return;
	}
	if (!view->ops->click || y < r->y || y - r->y >= r->h || x < r->x || x - r->x >= r->w)
		return;
	if (view->ops->click(ui, view, y - r->y, x - r->x) && event == MS_MOUSE_DOUBLE)
		request_do(ui, MS_REQ_OPEN);
}

/* ---- the frame around a view ---- */

static void time_put(const struct ms_model *model, struct ms_buf *buf)
{
	time_t seconds = (time_t)(model->host.time_ns / 1000000000u);
	char text[16] = "";
	struct tm tm;

	if (model->host.time_ns && localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	ms_buf_puts(buf, text);
}

static void provenance_put(struct ms_ui *ui, struct ms_buf *buf)
{
	const struct ms_ui_pages *pages = &ui->pages;
	size_t i;

	if (!ui->detail) {
		ms_buf_printf(buf, "%zu VM%s", ui->list->nr_vms, ui->list->nr_vms == 1 ? "" : "s");
		return;
	}
	ms_buf_printf(buf, "%zu pages", pages->nr);
	for (i = MS_SP_TORN; i <= MS_SP_UNREADABLE; i++)
		if (pages->by_state[i])
			ms_buf_printf(buf, " %zu %s", pages->by_state[i], ms_sp_state_name((u32)i));
	if (ms_ui_vm(ui) && ms_ui_vm(ui)->nr_pins)
		ms_buf_printf(buf, " %zu pin%s", ms_ui_vm(ui)->nr_pins,
			      ms_ui_vm(ui)->nr_pins == 1 ? "" : "s");
	if (pages->walk_flags & MS_WALK_BROKEN)
		ms_buf_puts(buf, " INCOMPLETE");
	if (pages->walk_flags & MS_WALK_VM_GONE)
		ms_buf_puts(buf, " VM GONE");
	if (pages->walk_flags & MS_WALK_CHANGED)
		ms_buf_puts(buf, " moving");
	/* The list of VMs has it in full. */
	if (*ui->target->note)
		ms_buf_puts(buf, " NOTE");
}

/* A snapshot of a simulation is one, too: the kernel it names is none (ms_sim_release()). */
static bool is_simulated(const struct ms_model *model)
{
	return !strncmp(model->host.release, "nmmu ", 5);
}

static void draw_header(struct ms_ui *ui, struct ms_grid *grid)
{
	const struct ms_model *model = ui->detail ? ui->detail : ui->list;
	struct ms_buf right = { 0 };
	const u32 stale_len = 6;
	u32 w = grid->width, cols, room, x;

	ms_grid_fill(grid, 0, 0, w, MS_LOOK_BAR, ' ');
	provenance_put(ui, &right);
	ms_buf_puts(&right, "  ");
	time_put(model, &right);
	if (ui->interval_s)
		ms_buf_printf(&right, " +%us", ui->interval_s);
	ms_buf_putc(&right, ' ');
	cols = ms_text_width(ms_buf_str(&right)) + (ui->stale ? stale_len : 0);
	room = cols + 12 < w ? w - cols - 2 : 12;
	x = cols + 12 < w ? w - cols : 14;
	ms_grid_printf(grid, 0, 1, room, MS_LOOK_BAR, "%s%s%s", w >= 60 ? "mmuscope  " : "",
		       is_simulated(model) ? "SIMULATED  " : "", ui->target->spec);
	if (ui->stale) {
		ms_grid_put(grid, 0, x, stale_len - 1, MS_LOOK_ERROR, "STALE");
		x += stale_len;
	}
	ms_grid_put(grid, 0, x, w - x, MS_LOOK_BAR, ms_buf_str(&right));
	ms_buf_deinit(&right);
}

/* Without the VM's pages below it, a view of the VM says whose it is. */
static void title_put(struct ms_ui *ui, size_t nr, struct ms_buf *buf)
{
	struct ms_view *view = ui->views[nr];
	const struct ms_vm *vm = ms_ui_vm(ui);

	ms_buf_reset(buf);
	if (nr && vm && view->ops->of_vm && view->ops->context != MS_CTX_TREE &&
	    !ui->views[nr - 1]->ops->of_vm) {
		ms_ui_vm_words(vm, buf);
		ms_buf_puts(buf, ": ");
	}
	view->ops->title(ui, view, buf);
}

static void draw_crumbs(struct ms_ui *ui, struct ms_grid *grid)
{
	u32 x = 1, widths[MS_UI_MAX_VIEWS], total = 0;
	struct ms_buf title = { 0 };
	size_t i, first = 0;

	for (i = 0; i < ui->nr_views; i++) {
		title_put(ui, i, &title);
		widths[i] = ms_text_width(ms_buf_str(&title)) + 3;
		total += widths[i];
	}
	/* The end of the path says where one is: what does not fit goes from its start. */
	while (first + 1 < ui->nr_views && total > grid->width)
		total -= widths[first++];
	for (i = first; i < ui->nr_views && x < grid->width; i++) {
		bool last = i + 1 == ui->nr_views;

		title_put(ui, i, &title);
		x += ms_grid_put(grid, 1, x, grid->width - x, last ? MS_LOOK_TITLE : MS_LOOK_DIM,
				 ms_buf_str(&title));
		if (!last) {
			ms_grid_glyph(grid, 1, x + 1, MS_LOOK_DIM, MS_GLYPH_CRUMB);
			x += 3;
		}
	}
	ms_buf_deinit(&title);
}

static const char *label_of(struct ms_ui *ui, enum ms_request request)
{
	struct ms_view *view = ms_ui_top(ui);
	const char *label = view->ops->label ? view->ops->label(view, request) : NULL;

	return label ? label : ms_request_label(request);
}

static void draw_hints(struct ms_ui *ui, struct ms_grid *grid, u32 y)
{
	const struct ms_view_ops *ops = ms_ui_top(ui)->ops;
	char name[MS_KEY_NAME_MAX];
	u32 x = 1, need;
	size_t i;

	for (i = 0; i < sizeof(ops->hints) / sizeof(*ops->hints) && ops->hints[i] != MS_REQ_NONE; i++) {
		const char *label = label_of(ui, ops->hints[i]);
		u32 key = ms_request_key(ops->context, ops->hints[i]);

		if (!key)
			continue;
		ms_key_name(key, name);
		need = (u32)(strlen(name) + strlen(label) + 1);
		if (x + need + 1 > grid->width)
			return;
		x += ms_grid_put(grid, y, x, grid->width - x, MS_LOOK_KEY, name) + 1;
		x += ms_grid_put(grid, y, x, grid->width - x, MS_LOOK_DIM, label) + 2;
	}
}

static void draw_status(struct ms_ui *ui, struct ms_grid *grid, u32 y)
{
	static const char *const labels[] = {
		[MS_PROMPT_SEARCH] = "/", [MS_PROMPT_COMMAND] = ":", [MS_PROMPT_FILTER] = "only: "
	};
	u32 w = grid->width, used, x;
	const char *line = ui->line;

	if (ui->prompt != MS_PROMPT_NONE) {
		x = ms_grid_put(grid, y, 0, w, MS_LOOK_KEY, labels[ui->prompt]);
		/* The end of the line is where one types. */
		while (*line && ms_text_width(line) + x + 1 > w)
			for (line++; (*line & 0xc0) == 0x80; line++)
				;
		used = x - 1 + ms_grid_put(grid, y, x, w - x, MS_LOOK_NORMAL, line);
		ms_grid_flag(grid, y, 1 + used, 1, MS_CELL_SELECTED);
		if (ui->candidates[0] && used + 4 < w)
			ms_grid_put(grid, y, used + 3, w - used - 3, MS_LOOK_DIM, ui->candidates);
	} else if (ui->status[0]) {
		ms_grid_put(grid, y, 1, w - 1, ui->status_look, ui->status);
	} else {
		draw_hints(ui, grid, y);
	}
}

/* F1 to F10 in ten equal parts, from the keymap; narrow terminals do without. */
static void draw_fkeys(struct ms_ui *ui, struct ms_grid *grid, u32 y)
{
	u32 w = grid->width, part = w / 10 > 12 ? 12 : w / 10, i;

	for (i = 1; i <= 10 && part >= 6; i++) {
		enum ms_request request = ms_key_request(ms_ui_top(ui)->ops->context, MS_KEY_F(i));
		u32 x = (i - 1) * part, len = i == 10 ? 2 : 1;

		ms_grid_printf(grid, y, x, len, MS_LOOK_KEY, "%u", i);
		ms_grid_fill(grid, y, x + len, part - len - 1, MS_LOOK_BAR, ' ');
		ms_grid_put(grid, y, x + len, part - len - 1, MS_LOOK_BAR, label_of(ui, request));
	}
}

void ms_ui_draw(struct ms_ui *ui, struct ms_grid *grid)
{
	struct ms_view *view = ms_ui_top(ui);
	bool fkeys = grid->width >= 60 && grid->height >= 14;

	grid->utf8 = ui->utf8;
	ms_grid_clear(grid);
	if (grid->width < MS_UI_MIN_WIDTH || grid->height < MS_UI_MIN_HEIGHT) {
		ms_grid_printf(grid, 0, 0, grid->width, MS_LOOK_WARNING, "%ux%u: needs %ux%u", grid->width,
			       grid->height, MS_UI_MIN_WIDTH, MS_UI_MIN_HEIGHT);
		return;
	}
	draw_header(ui, grid);
	draw_crumbs(ui, grid);
	view->rect = (struct ms_rect){ .y = 2, .h = grid->height - 3 - fkeys, .w = grid->width };
	view->ops->draw(ui, view, grid, view->rect);
	draw_status(ui, grid, grid->height - 1 - fkeys);
	if (fkeys)
		draw_fkeys(ui, grid, grid->height - 1);
}

/* ---- one frame as text ---- */

static u32 size_from_env(u32 wanted, const char *name, u32 fallback)
{
	const char *text = getenv(name);
	char *end;
	unsigned long n;

	if (wanted)
		return wanted;
	if (!text || !isdigit((unsigned char)*text))
		return fallback;
	n = strtoul(text, &end, 10);
	return *end || !n || n > MS_GRID_MAX ? fallback : (u32)n;
}

struct ms_err *ms_ui_frame(struct ms_target *target, const struct ms_ui_opts *opts, FILE *out)
{
	struct ms_grid grid = { 0 };
	struct ms_buf text = { 0 };
	struct ms_ui *ui;
	struct ms_err *err;

	err = ms_ui_create(target, opts, NULL, NULL, &ui);
	if (err)
		return err;
	err = ms_grid_resize(&grid, size_from_env(opts->width, "COLUMNS", 80),
			     size_from_env(opts->height, "LINES", 24));
	if (!err) {
		ms_ui_draw(ui, &grid);
		ms_grid_text(&grid, &text);
		if (text.oom)
			err = ms_err_nomem();
		else if (fwrite(text.data, 1, text.len, out) != text.len || fflush(out))
			err = ms_err_errno(MS_ERR_TARGET, errno, "write the frame");
	}
	ms_buf_deinit(&text);
	ms_grid_deinit(&grid);
	ms_ui_destroy(ui);
	return err;
}
