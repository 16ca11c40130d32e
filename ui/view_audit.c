// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the auditor found in the VM, the findings that count first; Enter opens the page or the entry. Reading
 * again audits again. Selection is by the finding's place, for rows move.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "audit/audit.h"
#include "query/query.h"
#include "ui/core.h"

/* Lines above the list. */
#define TOP 3u

struct audit_view {
	struct ms_view view;
	struct ms_list list;
	struct ms_audit audit;
	size_t *order; /* of findings; NULL when there is none */
	size_t kept; /* that many count */
	u32 row, idx; /* the one selected, and its page */
	u64 sp;
};

static struct audit_view *audit_of(struct ms_view *view)
{
	return (struct audit_view *)view;
}

static const struct ms_finding *finding_at(const struct audit_view *v, size_t row)
{
	return row < v->audit.nr ? &v->audit.findings[v->order[row]] : NULL;
}

static void selection_note(struct audit_view *v)
{
	const struct ms_finding *f = finding_at(v, v->list.cursor);

	v->row = f ? f->row : 0;
	v->idx = f ? f->idx : 0;
	v->sp = f ? f->sp : 0;
}

static void drop(struct audit_view *v)
{
	ms_audit_deinit(&v->audit);
	free(v->order);
	v->order = NULL;
	v->kept = 0;
}

static void audit_destroy(struct ms_view *view)
{
	drop(audit_of(view));
	free(view);
}

static struct ms_err *audit_reload(struct ms_ui *ui, struct ms_view *view)
{
	const struct ms_want want = { .what = ms_audit_want(0),
				      .kvm = ui->kvm,
				      .progress = ui->progress,
				      .progress_ctx = ui->progress_ctx };
	struct audit_view *v = audit_of(view);
	struct ms_model *model = NULL;
	struct ms_err *err;
	size_t i;

	drop(v);
	/* More than ui->detail has: lists of SPTEs, whatever else this target can say. */
	err = ms_model_load(ui->target, &want, &model);
	for (i = 0; !err && i < model->nr_vms; i++)
		if (model->vms[i].rec.kvm == ui->kvm)
			err = ms_audit_target(ui->target, &want, model, &model->vms[i], 0, &v->audit);
	if (!err)
		v->order = ms_audit_order(model, &v->audit, &v->kept);
	if (!err && !v->order)
		err = ms_err_nomem();
	if (err)
		drop(v);
	ms_model_destroy(model);
	ms_list_fit(&v->list, v->audit.nr, v->list.rows);
	for (i = 0; i < v->audit.nr; i++) {
		const struct ms_finding *f = finding_at(v, i);

		if (f->row == v->row && f->sp == v->sp && f->idx == v->idx)
			ms_list_go(&v->list, i);
	}
	selection_note(v);
	return err;
}

static void audit_title(struct ms_ui *ui, struct ms_view *view, struct ms_buf *buf)
{
	(void)ui;
	(void)view;
	ms_buf_puts(buf, "Audit");
}

/* --- what is shown --- */

static void finding_words(const struct ms_finding *f, struct ms_buf *buf)
{
	ms_buf_printf(buf, "%2u %-14s ", f->row, ms_invariants[f->row].name);
	if (f->sp)
		ms_buf_printf(buf, "0x%llx", (unsigned long long)f->sp);
	else if (f->mmu)
		ms_buf_printf(buf, "MMU 0x%llx", (unsigned long long)f->mmu);
	else if (f->vcpu)
		ms_buf_printf(buf, "vCPU 0x%llx", (unsigned long long)f->vcpu);
	if (f->idx != MS_AUDIT_NO_INDEX)
		ms_buf_printf(buf, "[%u]", f->idx);
	if (f->have_gfn)
		ms_buf_printf(buf, " gfn 0x%llx", (unsigned long long)f->gfn);
	ms_buf_printf(buf, "  %s", f->text);
}

static enum ms_look look_of(const struct audit_view *v, size_t row)
{
	if (row >= v->kept)
		return MS_LOOK_DIM;
	return ms_invariants[finding_at(v, row)->row].severity >= MS_AUDIT_HIGH ? MS_LOOK_ERROR
										: MS_LOOK_WARNING;
}

static u32 nr_checked(const struct ms_audit *audit)
{
	u32 row, nr = 0;

	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		nr += !audit->lacking[row];
	return nr;
}

static void draw_counts(const struct audit_view *v, struct ms_grid *grid, struct ms_rect r)
{
	const struct ms_audit *a = &v->audit;
	struct ms_buf rows = { 0 };
	u32 row;

	ms_grid_printf(grid, r.y, r.x + 1, r.w - 1, v->kept ? MS_LOOK_ERROR : MS_LOOK_HEADER,
		       "%zu findings; %u of %u invariants judged, on %llu pages, %llu entries", v->kept,
		       nr_checked(a), MS_AUDIT_ROWS, (unsigned long long)a->nr_pages,
		       (unsigned long long)a->nr_sptes);
	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if (a->found[row])
			ms_buf_printf(&rows, "%s%u %s: %llu", rows.len ? ", " : "", row,
				      ms_invariants[row].name, (unsigned long long)a->found[row]);
	if (rows.len)
		ms_grid_put(grid, r.y + 2, r.x + 1, r.w - 1, MS_LOOK_DIM, ms_buf_str(&rows));
	ms_buf_deinit(&rows);
	if (a->nr_unconfirmed || a->nr > v->kept)
		ms_grid_printf(grid, r.y + 1, r.x + 1, r.w - 1, MS_LOOK_DIM,
			       "%llu pages not confirmed and not judged; %zu findings not seen again",
			       (unsigned long long)a->nr_unconfirmed, a->nr - v->kept);
}

/* Under the list: what the selected one is about. */
static void draw_statement(const struct audit_view *v, struct ms_grid *grid, struct ms_rect r)
{
	const struct ms_finding *f = finding_at(v, v->list.cursor);

	if (!f)
		return;
	ms_grid_printf(grid, r.y + r.h - 2, r.x + 1, r.w - 1, MS_LOOK_NORMAL, "%s, broken: %s",
		       ms_audit_severity_name(ms_invariants[f->row].severity),
		       ms_invariants[f->row].statement);
	if (f->idx != MS_AUDIT_NO_INDEX)
		ms_grid_printf(grid, r.y + r.h - 1, r.x + 1, r.w - 1, MS_LOOK_DIM, "raw 0x%016llx",
			       (unsigned long long)f->raw);
}

static void audit_draw(struct ms_ui *ui, struct ms_view *view, struct ms_grid *grid, struct ms_rect r)
{
	struct audit_view *v = audit_of(view);
	struct ms_buf buf = { 0 };
	size_t i, row;

	(void)ui;
	draw_counts(v, grid, r);
	if (!v->audit.nr) {
		ms_grid_put(
			grid, r.y + 3, r.x + 1, r.w - 1, MS_LOOK_NORMAL,
			"Nothing found. `:audit' says what was judged; `:audit --guest' reads the guest's tables, too.");
		return;
	}
	ms_list_fit(&v->list, v->audit.nr, r.h > 6 ? r.h - 6 : 1);
	for (i = 0; i < v->list.rows; i++) {
		row = v->list.top + i;
		if (row >= v->audit.nr)
			break;
		ms_buf_reset(&buf);
		finding_words(finding_at(v, row), &buf);
		ms_grid_put(grid, r.y + TOP + (u32)i, r.x + 1, r.w - 1, look_of(v, row), ms_buf_str(&buf));
		if (row == v->list.cursor)
			ms_grid_flag(grid, r.y + TOP + (u32)i, r.x, r.w, MS_CELL_SELECTED);
	}
	ms_buf_deinit(&buf);
	draw_statement(v, grid, r);
}

/* --- what is done --- */

static void finding_open(struct ms_ui *ui, struct audit_view *v)
{
	const struct ms_finding *f = finding_at(v, v->list.cursor);
	struct ms_err *err;
	struct ms_event_desc desc;
	char line[64];
	u32 idx;

	if (!f)
		return;
	if (f->event || !f->sp) {
		if (f->event && ms_event_desc(f->event, &desc))
			snprintf(line, sizeof(line), "events --last %u --event %s", MS_EVENTS_MAX, desc.name);
		else
			snprintf(line, sizeof(line), "rmap 0x%llx", (unsigned long long)f->gfn);
		ms_view_command_open(ui, f->vcpu ? "vcpus" : f->mmu ? "mmus" : line, f->event);
		return;
	}
	if (!ms_vm_sp(ms_ui_vm(ui), f->sp)) {
		ms_ui_status(ui, MS_LOOK_WARNING, "page 0x%llx is gone", (unsigned long long)f->sp);
		return;
	}
	idx = f->idx;
	err = ms_view_sp_open(ui, f->sp, NULL, 0, false);
	if (!err && idx != MS_AUDIT_NO_INDEX)
		ms_view_sp_select(ui, idx);
	ms_ui_error(ui, err);
}

static bool audit_request(struct ms_ui *ui, struct ms_view *view, enum ms_request request)
{
	struct audit_view *v = audit_of(view);

	if (ms_list_request(&v->list, request)) {
		selection_note(v);
		return true;
	}
	if (request == MS_REQ_AUDIT)
		return true;
	if (request != MS_REQ_OPEN && request != MS_REQ_RIGHT)
		return false;
	finding_open(ui, v);
	return true;
}

static bool audit_search(struct ms_ui *ui, struct ms_view *view, const char *needle, int dir)
{
	struct audit_view *v = audit_of(view);
	size_t nr = v->audit.nr, i, row;
	struct ms_buf buf = { 0 };
	bool found = false;

	(void)ui;
	for (i = 1; i <= nr && !found; i++) {
		row = (v->list.cursor + (dir > 0 ? i : nr - i)) % nr;
		ms_buf_reset(&buf);
		finding_words(finding_at(v, row), &buf);
		found = ms_text_has(ms_buf_str(&buf), needle);
		if (found)
			ms_list_go(&v->list, row);
	}
	ms_buf_deinit(&buf);
	selection_note(v);
	return found;
}

static bool audit_click(struct ms_ui *ui, struct ms_view *view, u32 y, u32 x)
{
	struct audit_view *v = audit_of(view);

	(void)ui;
	(void)x;
	if (y < TOP || y - TOP >= v->list.rows || v->list.top + y - TOP >= v->audit.nr)
		return false;
	ms_list_go(&v->list, v->list.top + y - TOP);
	selection_note(v);
	return true;
}

static const struct ms_view_ops audit_ops = {
	.context = MS_CTX_GLOBAL,
	.of_vm = true,
	.destroy = audit_destroy,
	.reload = audit_reload,
	.title = audit_title,
	.draw = audit_draw,
	.request = audit_request,
	.search = audit_search,
	.click = audit_click,
	.hints = { MS_REQ_OPEN, MS_REQ_REFRESH, MS_REQ_INTERVAL, MS_REQ_SEARCH, MS_REQ_BACK },
};

struct ms_err *ms_view_audit_open(struct ms_ui *ui)
{
	struct audit_view *v = calloc(1, sizeof(*v));

	if (!v)
		return ms_err_nomem();
	v->view.ops = &audit_ops;
	return ms_ui_push(ui, &v->view);
}
