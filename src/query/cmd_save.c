/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * save: all that a target says, into a snapshot file. Records go from target to file as they are; no model
 * is made of them.
 */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

#include "target/snapfile.h"

struct saved {
	const char *path;
	u64 nr_records, nr_bytes;
};

static const struct ms_column save_cols[] = {
	{ "file", "file", MS_V_TEXT },
	{ "records", "records", MS_V_COUNT },
	{ "bytes", "bytes", MS_V_COUNT },
};

static void save_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct saved *saved = section->ctx;

	(void)row;
	cell_text(&cells, saved->path);
	cell_count(&cells, saved->nr_records);
	cell_count(&cells, saved->nr_bytes);
}

/* The session's progress callback, and whether it gave up: half a snapshot is none. */
struct watch {
	const struct ms_session *session;
	bool stopped;
};

static bool watch_progress(void *ctx, u64 nr_pages)
{
	struct watch *watch = ctx;
	const struct ms_session *session = watch->session;

	if (session->progress && !session->progress(session->progress_ctx, nr_pages))
		watch->stopped = true;
	return !watch->stopped;
}

static struct ms_err *write_file(struct query *q, u64 kvm, struct saved *saved)
{
	struct watch watch = { .session = q->session };
	struct ms_want want = {
		.what = q->args->guest ? MS_WANT_ALL : MS_WANT_HOSTS,
		.kvm = kvm,
		.progress = watch_progress,
		.progress_ctx = &watch,
	};
	struct ms_snap_writer *writer = NULL;
	struct ms_sink sink;
	struct ms_err *err;

	err = ms_snap_create(saved->path, q->args->force, &writer);
	if (err)
		return err;
	sink = ms_snap_sink(writer);
	err = ms_target_read(q->session->target, &want, &sink);
	if (!err && !watch_progress(&watch, 0))
		err = ms_err_new(MS_ERR_TARGET, "save: interrupted: %s was not written", saved->path);
	if (err) {
		ms_snap_abort(writer);
		return err;
	}
	return ms_snap_commit(writer, &saved->nr_records, &saved->nr_bytes);
}

struct ms_err *query_run_save(struct query *q)
{
	struct ms_section *section;
	struct ms_vm *vm = NULL;
	struct saved *saved;
	struct ms_err *err;

	if (q->args->redact)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "save: a snapshot cannot be redacted"),
				   "share the output of other commands with --redact instead");
	if (!strcmp(q->args->args[0], "-"))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "save: a snapshot is a file, not a stream"),
				   "name one, e.g. vm.snap");
	if (q->args->vm) {
		err = ms_model_find_vm(q->model, q->args->vm, &vm);
		if (err)
			return err;
	}
	saved = calloc(1, sizeof(*saved));
	if (!saved)
		return ms_err_nomem();
	saved->path = q->args->args[0];
	err = write_file(q, vm ? vm->rec.kvm : 0, saved);
	section = err ? NULL
		      : section_add(q, "saved", "Snapshot", false, save_cols, MS_LEN(save_cols), 1, save_row);
	if (!section) {
		free(saved);
		return err ? err : ms_err_nomem();
	}
	section->ctx = section->owned = saved;
	return note_add(q->result,
			"the file holds kernel addresses, process names and guest %s: treat it as private",
			q->args->guest ? "memory" : "addresses");
}
