// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text to be read: what a command said, or the help. Scrolls both ways and is searched; shows text as data
 * and never acts on it. What a command said is asked for again when the target is read again.
 */
#include <stdlib.h>
#include <string.h>

#include "query/query.h"
#include "ui/core.h"

struct pager_view {
	struct ms_view view;
	char *title;
	char *text; /* lines ended by NUL */
	const char **lines; /* into text */
	struct ms_list list; /* the cursor is the match or the top line */
	size_t nr_lines;
	u32 left; /* first column shown, in characters */
	bool matched;
	bool command; /* the title is a command line, the text what it said */
};

#define PAGER_STEP 8u
#define PAGER_LEFT_MAX 400u

static struct pager_view *pager_of(struct ms_view *view)
{
	return (struct pager_view *)view;
}

static void pager_destroy(struct ms_view *view)
{
	struct pager_view *p = pager_of(view);

	free(p->title);
	free(p->text);
	free(p->lines);
	free(p);
}

static struct ms_err *pager_reload(struct ms_ui *ui, struct ms_view *view)
{
	return NULL;
}

static void pager_title(struct ms_ui *ui, struct ms_view *view, struct ms_buf *buf)
{
	ms_buf_puts(buf, pager_of(view)->title);
}

static const char *skip_chars(const char *text, u32 nr)
{
	while (nr-- && *text)
		for (text++; (*text & 0xc0) == 0x80; text++)
			;
	return text;
}

static void pager_draw(struct ms_ui *ui, struct ms_view *view, struct ms_grid *grid, struct ms_rect r)
{
	struct pager_view *p = pager_of(view);
	size_t last;
	u32 i;

	/* Without a match the window moves and the cursor is only its first line. */
	ms_list_fit(&p->list, p->nr_lines, r.h - 1);
	for (i = 0; i + 1 < r.h && p->list.top + i < p->nr_lines; i++) {
		const char *line = skip_chars(p->lines[p->list.top + i], p->left);

		ms_grid_put(grid, r.y + i, r.x + 1, r.w - 1, MS_LOOK_NORMAL, line);
		if (p->matched && p->list.top + i == p->list.cursor)
			ms_grid_flag(grid, r.y + i, r.x, r.w, MS_CELL_SELECTED);
	}
	last = p->list.top + (r.h - 1) < p->nr_lines ? p->list.top + (r.h - 1) : p->nr_lines;
	ms_grid_printf(grid, r.y + r.h - 1, r.x + 1, r.w - 1, MS_LOOK_DIM, "lines %zu-%zu of %zu",
		       p->nr_lines ? p->list.top + 1 : 0, last, p->nr_lines);
}

static void scroll(struct pager_view *p, enum ms_request request)
{
	size_t rows = p->list.rows, top = p->list.top, end = p->nr_lines > rows ? p->nr_lines - rows : 0;

	if (request == MS_REQ_UP)
		top -= top ? 1 : 0;
	else if (request == MS_REQ_DOWN)
		top++;
	else if (request == MS_REQ_PAGE_UP)
		top -= top > rows ? rows : top;
	else if (request == MS_REQ_PAGE_DOWN)
		top += rows;
	else
		top = request == MS_REQ_FIRST ? 0 : end;
	p->list.top = top < end ? top : end;
	p->list.cursor = p->list.top;
	p->matched = false;
}

static bool pager_request(struct ms_ui *ui, struct ms_view *view, enum ms_request request)
{
	struct pager_view *p = pager_of(view);

	switch (request) {
	case MS_REQ_UP:
	case MS_REQ_DOWN:
	case MS_REQ_PAGE_UP:
	case MS_REQ_PAGE_DOWN:
	case MS_REQ_FIRST:
	case MS_REQ_LAST:
		scroll(p, request);
		return true;
	case MS_REQ_LEFT:
		p->left -= p->left ? PAGER_STEP : 0;
		return true;
	case MS_REQ_RIGHT:
		p->left += p->left < PAGER_LEFT_MAX ? PAGER_STEP : 0;
		return true;
	default:
		return false;
	}
}

static bool pager_search(struct ms_ui *ui, struct ms_view *view, const char *needle, int dir)
{
	struct pager_view *p = pager_of(view);
	size_t nr = p->nr_lines, i, row;

	for (i = p->matched ? 1 : 0; i <= nr && nr; i++) {
		row = (p->list.cursor + (dir > 0 ? i : nr - i)) % nr;
		if (!ms_text_has(p->lines[row], needle))
			continue;
		p->matched = true;
		ms_list_go(&p->list, row);
		return true;
	}
	return false;
}

static void text_clear(struct pager_view *p)
{
	free(p->text);
	free(p->lines);
	p->text = NULL;
	p->lines = NULL;
	p->nr_lines = 0;
}

/* On an error there is no text. */
static struct ms_err *text_set(struct pager_view *p, const char *text)
{
	size_t cap = 0;
	char *at, *end;

	text_clear(p);
	p->text = strdup(text);
	for (at = p->text; at && *at; at = end + 1) {
		const char **grown = ms_grow(p->lines, &cap, p->nr_lines + 1, sizeof(*p->lines));

		if (!grown)
			break;
		p->lines = grown;
		p->lines[p->nr_lines++] = at;
		end = strchr(at, '\n');
		if (!end)
			return NULL;
		*end = '\0';
	}
	if (at)
		return NULL;
	text_clear(p);
	return ms_err_nomem();
}

static bool is_listening(const char *line)
{
	size_t len;
	u32 i;

	line += strspn(line, " \t");
	len = strcspn(line, " \t");
	for (i = 0; i < MS_NR_CMDS; i++)
		if (strlen(ms_commands[i].name) == len && !strncmp(line, ms_commands[i].name, len))
			return ms_commands[i].flags & MS_CMD_LISTEN;
	/* Options come first, or it is none. */
	return true;
}

static struct ms_err *run(struct ms_ui *ui, const char *line, bool again, struct ms_buf *out)
{
	u32 w = ms_ui_top(ui)->rect.w;
	const struct ms_ui_command command = {
		.line = line,
		.kvm = ui->kvm,
		.width = w > 2 ? w - 2 : 0,
		.flips = ui->wp,
		.again = again,
		.progress = ui->progress,
		.progress_ctx = ui->progress_ctx,
	};
	struct ms_err *err;

	/* A target has one listener at a time. */
	if (!again && is_listening(line))
		ms_ui_listen_stop(ui);
	err = ui->opts->command(ui->opts->command_ctx, ui->target, &command, out);
	return !err && out->oom ? ms_err_nomem() : err;
}

/* Who looks at the end goes on looking at the end. */
static struct ms_err *pager_again(struct ms_ui *ui, struct ms_view *view)
{
	struct pager_view *p = pager_of(view);
	size_t top = p->list.top, end;
	bool at_end = top + p->list.rows >= p->nr_lines;
	struct ms_buf out = { 0 };
	struct ms_err *err;

	if (!p->command)
		return NULL;
	err = run(ui, p->title, true, &out);
	if (!err && out.len) {
		err = text_set(p, ms_buf_str(&out));
		end = p->nr_lines > p->list.rows ? p->nr_lines - p->list.rows : 0;
		p->list.top = p->list.cursor = at_end || top > end ? end : top;
		p->matched = false;
	}
	ms_buf_deinit(&out);
	return err;
}

static const struct ms_view_ops pager_ops = {
	.context = MS_CTX_GLOBAL,
	.destroy = pager_destroy,
	.reload = pager_reload,
	.title = pager_title,
	.draw = pager_draw,
	.request = pager_request,
	.search = pager_search,
	.again = pager_again,
	.hints = { MS_REQ_BACK, MS_REQ_SEARCH, MS_REQ_SEARCH_NEXT, MS_REQ_PAGE_DOWN, MS_REQ_QUIT },
};

static struct ms_err *pager_open(struct ms_ui *ui, const char *title, const char *text, bool command,
				 struct pager_view **ret)
{
	struct pager_view *p = calloc(1, sizeof(*p));
	struct ms_err *err;

	if (!p)
		return ms_err_nomem();
	p->view.ops = &pager_ops;
	p->command = command;
	p->title = strdup(title);
	err = p->title ? text_set(p, text) : ms_err_nomem();
	if (err) {
		pager_destroy(&p->view);
		return err;
	}
	ms_list_fit(&p->list, p->nr_lines, 1);
	*ret = p;
	return ms_ui_push(ui, &p->view);
}

struct ms_err *ms_view_pager_open(struct ms_ui *ui, const char *title, const char *text)
{
	struct pager_view *p;

	return pager_open(ui, title, text, false, &p);
}

void ms_view_command_open(struct ms_ui *ui, const char *line, bool at_end)
{
	u32 rows = ms_ui_top(ui)->rect.h > 1 ? ms_ui_top(ui)->rect.h - 1 : 1;
	struct ms_buf out = { 0 };
	struct pager_view *p;
	struct ms_err *err = run(ui, line, false, &out), *open;
	bool failed = err;

	ms_ui_error(ui, err);
	if (out.len) {
		open = pager_open(ui, line, ms_buf_str(&out), true, &p);
		ms_ui_error(ui, open);
		/* It is drawn in the rows that the view before it had. */
		if (!open && at_end && p->nr_lines > rows)
			p->list.top = p->list.cursor = p->nr_lines - rows;
	} else if (!failed) {
		ms_ui_status(ui, MS_LOOK_NORMAL, "nothing to show: %s", line);
	}
	ms_buf_deinit(&out);
}
