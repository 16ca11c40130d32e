/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command audit: what src/audit finds, read again where it may be of two moments. */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "audit/audit.h"

struct audit_view {
	struct ms_audit audit;
	size_t kept, dropped; /* findings that count, and that do not */
	u32 rows[MS_AUDIT_ROWS];
	u32 nr_rows;
	size_t *shown; /* indices of findings that count, then of the others */
	char vm[48]; /* how to name the VM in a command */
	bool guest, quick; /* of the options */
};

static void audit_view_free(void *owned)
{
	struct audit_view *view = owned;

	if (!view)
		return;
	ms_audit_deinit(&view->audit);
	free(view->shown);
	free(view);
}

/* --- sections --- */

static const struct ms_column sum_cols[] = {
	{ "invariants", "invariants", MS_V_COUNT },
	{ "checked", "checked", MS_V_COUNT },
	{ "skipped", "skipped", MS_V_COUNT },
	{ "pages", "pages", MS_V_COUNT },
	{ "pages_unconfirmed", "pages not confirmed, not judged", MS_V_COUNT },
	{ "sptes", "entries", MS_V_COUNT },
	{ "slots", "memslots", MS_V_COUNT },
	{ "mmus", "MMUs", MS_V_COUNT },
	{ "findings", "findings", MS_V_COUNT },
	{ "not_seen_again", "not seen again", MS_V_COUNT },
	{ "not_kept", "found beyond what is kept", MS_V_COUNT },
};

static void sum_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct audit_view *view = section->ctx;
	u64 checked = 0;
	u32 i;

	(void)row;
	for (i = 0; i < view->nr_rows; i++)
		checked += !view->audit.lacking[view->rows[i]];
	cell_count(&cells, view->nr_rows);
	cell_count(&cells, checked);
	cell_count(&cells, view->nr_rows - checked);
	cell_count(&cells, view->audit.nr_pages);
	cell_count(&cells, view->audit.nr_unconfirmed);
	cell_count(&cells, view->audit.nr_sptes);
	cell_count(&cells, view->audit.nr_slots);
	cell_count(&cells, view->audit.nr_mmus);
	cell_count(&cells, view->kept);
	cell_count(&cells, view->dropped);
	cell_count(&cells, view->audit.nr_lost);
}

static const struct ms_column finding_cols[] = {
	FINDING_NAME_COLUMNS,
	{ "counts", "COUNTS", MS_V_BOOL },
	FINDING_PLACE_COLUMNS,
};

/* Of what happened, to what is kept of it. */
static void event_words(const struct ms_finding *f, const char *vm, struct ms_buf *buf)
{
	struct ms_event_desc desc;

	if (ms_event_desc(f->event, &desc))
		ms_buf_printf(buf, "events --last %u --event %s%s", MS_EVENTS_MAX, desc.name, vm);
}

void finding_name_cells(struct ms_cell **at, const struct ms_finding *f)
{
	cell_count(at, f->row);
	cell_text(at, ms_invariants[f->row].name);
	cell_text(at, ms_audit_severity_name(ms_invariants[f->row].severity));
}

void finding_place_cells(struct ms_cell **at, const struct ms_finding *f, const char *vm)
{
	struct ms_cell *see;

	cell_opt(at, f->sp, MS_V_HEX, f->sp)->style = MS_STYLE_ACCENT;
	cell_opt(at, f->idx != MS_AUDIT_NO_INDEX, MS_V_COUNT, f->idx);
	cell_opt(at, f->mmu, MS_V_HEX, f->mmu);
	cell_opt(at, f->vcpu, MS_V_HEX, f->vcpu);
	cell_opt(at, f->have_gfn, MS_V_HEX, f->gfn);
	cell_opt(at, f->idx != MS_AUDIT_NO_INDEX, MS_V_HEX, f->raw);
	cell_opt(at, f->spte, MS_V_HEX, f->spte);
	cell_opt(at, f->have_gpte, MS_V_HEX, f->gpte);
	cell_text(at, f->text);
	see = cell_text(at, "");
	if (f->event)
		event_words(f, vm, &see->text);
	else if (f->sp)
		ms_buf_printf(&see->text, "sp 0x%llx%s", (unsigned long long)f->sp, vm);
	else if (f->mmu)
		ms_buf_printf(&see->text, "mmus%s", vm);
	else if (f->have_gfn)
		ms_buf_printf(&see->text, "rmap 0x%llx%s", (unsigned long long)f->gfn, vm);
	else
		ms_buf_printf(&see->text, "vcpus%s", vm);
}

static void finding_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct audit_view *view = section->ctx;
	const struct ms_finding *f = &view->audit.findings[view->shown[row]];

	finding_name_cells(&cells, f);
	cell_bool(&cells, row < view->kept);
	finding_place_cells(&cells, f, view->vm);
}

static const struct ms_column row_cols[] = {
	{ "row", "ROW", MS_V_COUNT },
	{ "name", "NAME", MS_V_TEXT },
	{ "severity", "SEVERITY", MS_V_TEXT },
	{ "judged", "JUDGED", MS_V_COUNT },
	{ "found", "FOUND", MS_V_COUNT },
	{ "lacking", "SKIPPED, LACKING", MS_V_TEXT },
	{ "statement", "STATEMENT", MS_V_TEXT, .prio = 2 },
};

/* Where it is an option that has it lacking, the option. */
static void lacking_cell(struct ms_cell *cell, const struct audit_view *view, u32 lacking)
{
	const u32 lists = MS_AUDIT_NEED_RMAPS | MS_AUDIT_NEED_PARENTS | MS_AUDIT_NEED_TRACK;

	if (lacking & lists && view->quick)
		ms_buf_puts(&cell->text, " (--quick)");
	else if (lacking == MS_AUDIT_NEED_GUEST && !view->guest)
		ms_buf_puts(&cell->text, " (--guest)");
}

static void row_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct audit_view *view = section->ctx;
	u32 number = view->rows[row], lacking = view->audit.lacking[number];

	cell_count(&cells, number);
	cell_text(&cells, ms_invariants[number].name);
	cell_text(&cells, ms_audit_severity_name(ms_invariants[number].severity));
	cell_opt(&cells, !lacking, MS_V_COUNT, view->audit.judged[number]);
	cell_opt(&cells, !lacking, MS_V_COUNT, view->audit.found[number]);
	lacking_cell(cell_text(&cells, lacking ? ms_audit_need_name(lacking) : NULL), view, lacking);
	cell_text(&cells, ms_invariants[number].statement);
}

static const struct ms_column list_cols[] = {
	{ "row", "ROW", MS_V_COUNT },
	{ "name", "NAME", MS_V_TEXT },
	{ "severity", "SEVERITY", MS_V_TEXT },
	{ "needs", "NEEDS", MS_V_TEXT, .prio = 2 },
	{ "statement", "STATEMENT", MS_V_TEXT },
};

/* What a reader has to hold so that one look is enough. */
static const char *lock_words(enum ms_audit_lock lock)
{
	static const char *const words[] = { "one read", "a second read", "mmu_lock", "stopped vCPUs" };

	return words[lock];
}

static void list_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct audit_view *view = section->ctx;
	const struct ms_invariant *inv = &ms_invariants[view->rows[row]];

	cell_count(&cells, view->rows[row]);
	cell_text(&cells, inv->name);
	cell_text(&cells, ms_audit_severity_name(inv->severity));
	cell_text(&cells, lock_words(inv->lock));
	cell_text(&cells, inv->statement);
}

/* --- which invariants --- */

static u64 rows_of(const struct ms_args *args)
{
	u64 rows = 0;
	u32 row;

	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if ((!args->rows || args->rows & 1ull << row) &&
		    (u32)ms_invariants[row].severity >= args->severity)
			rows |= 1ull << row;
	return rows;
}

static struct ms_err *chosen_rows(const struct ms_args *args, u64 *rows_ret)
{
	*rows_ret = rows_of(args);
	if (!*rows_ret)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "--row and --severity leave no invariant"),
				   "see `audit --list'");
	return NULL;
}

u32 query_audit_want(const struct ms_args *args)
{
	u64 rows = rows_of(args);
	u32 want = ms_audit_want(rows);

	if (args->guest)
		want |= ms_audit_want_guest(rows);
	return args->quick ? want & ~MS_WANT_RMAPS : want;
}

static void rows_fill(struct audit_view *view, u64 rows)
{
	u32 row;

	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if (rows & 1ull << row)
			view->rows[view->nr_rows++] = row;
}

static struct ms_err *judge(struct query *q, u64 rows, struct audit_view *view)
{
	const struct ms_want want = { .what = query_want(q->args), .kvm = q->vm->rec.kvm };
	struct ms_audit *audit = &view->audit;
	struct ms_err *err = ms_audit_target(q->session->target, &want, q->model, q->vm, rows, audit);

	if (err)
		return err;
	view->shown = ms_audit_order(q->model, audit, &view->kept);
	if (!view->shown)
		return ms_err_nomem();
	view->dropped = audit->nr - view->kept;
	return NULL;
}

static struct ms_err *notes(struct query *q, const struct audit_view *view)
{
	struct ms_err *err = NULL;

	u32 i;

	if (view->kept)
		q->result->status = 1;
	/* Who names such a row wants it judged. */
	for (i = 0; q->args->rows && !q->args->guest && i < view->nr_rows; i++)
		if (ms_audit_want_guest(1ull << view->rows[i])) {
			err = note_add(q->result, "%s: guest memory is read with --guest only",
				       ms_invariants[view->rows[i]].name);
			break;
		}
	if (err)
		return err;
	if (view->dropped && q->model->caps & MS_CAP_LIVE)
		err = note_add(
			q->result,
			"%llu findings were not there again when the VM was read again: they do not count",
			(unsigned long long)view->dropped);
	else if (view->dropped)
		err = note_add(
			q->result,
			"%llu findings may be of two moments, and this target cannot be read again: they do not count",
			(unsigned long long)view->dropped);
	if (!err && view->audit.nr_lost)
		err = note_add(q->result, "%llu findings more than the %u that are kept",
			       (unsigned long long)view->audit.nr_lost, MS_AUDIT_KEPT);
	return err;
}

static struct ms_err *sections_add(struct query *q, struct audit_view *view)
{
	struct ms_section *section;
	struct ms_err *err;
	size_t nr;

	section = section_add(q, "audit", "Audit", false, sum_cols, MS_LEN(sum_cols), 1, sum_row);
	if (!section) {
		audit_view_free(view);
		return ms_err_nomem();
	}
	section->ctx = section->owned = view;
	section->owned_free = audit_view_free;
	nr = q->args->last && q->args->last < view->audit.nr ? q->args->last : view->audit.nr;
	section = section_add(q, "findings", "Findings", true, finding_cols, MS_LEN(finding_cols), nr,
			      finding_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = view;
	err = rows_left_note(q, "findings", view->audit.nr - nr);
	if (err)
		return err;
	section = section_add(q, "invariants", "Invariants", true, row_cols, MS_LEN(row_cols), view->nr_rows,
			      row_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = view;
	return notes(q, view);
}

void audit_vm_words(const struct query *q, char *buf, size_t len)
{
	*buf = '\0';
	if (q->model->nr_vms > 1)
		snprintf(buf, len, " --vm kvm:0x%llx", (unsigned long long)q->vm->rec.kvm);
}

struct ms_err *query_run_audit(struct query *q)
{
	struct audit_view *view;
	struct ms_section *section;
	struct ms_err *err;
	u64 rows = 0;

	err = chosen_rows(q->args, &rows);
	if (!err && q->args->watch && !q->session->watch)
		err = ms_err_hint(ms_err_new(MS_ERR_USAGE, "audit: --watch is not possible here"),
				  "the audit view (key `a') is read again by itself with `i'");
	if (err)
		return err;
	view = calloc(1, sizeof(*view));
	if (!view)
		return ms_err_nomem();
	rows_fill(view, rows);
	view->guest = q->args->guest;
	view->quick = q->args->quick;
	if (!q->args->list) {
		audit_vm_words(q, view->vm, sizeof(view->vm));
		err = judge(q, rows, view);
		if (!err && !q->session->watch)
			return sections_add(q, view);
		if (!err)
			err = watch_sections(q, &view->audit, view->shown, view->kept);
		if (!err)
			err = notes(q, view);
		audit_view_free(view);
		return err;
	}
	section = section_add(q, "list", "Invariants", true, list_cols, MS_LEN(list_cols), view->nr_rows,
			      list_row);
	if (!section) {
		audit_view_free(view);
		return ms_err_nomem();
	}
	section->ctx = section->owned = view;
	section->owned_free = audit_view_free;
	return NULL;
}
