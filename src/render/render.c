/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What text and JSON share: the way out, and its errors. */
#include "render/private.h"

#include <errno.h>

#define PIECE_BYTES (64u << 10)

bool sink_flush(struct sink *sink, bool all)
{
	if (sink->error || sink->buf.oom)
		return false;
	if (!all && sink->buf.len < PIECE_BYTES)
		return true;
	if ((sink->buf.len && fwrite(sink->buf.data, 1, sink->buf.len, sink->out) != sink->buf.len) ||
	    (all && fflush(sink->out)))
		sink->error = errno ? errno : EIO;
	ms_buf_reset(&sink->buf);
	return !sink->error;
}

static struct ms_err *finish(const struct ms_result *result, struct sink *sink, bool ok, int *write_errno_ret)
{
	ok = ok && sink_flush(sink, true);
	ms_buf_deinit(&sink->buf);
	*write_errno_ret = 0;
	if (ok)
		return NULL;
	if (!sink->error)
		return ms_err_nomem();
	*write_errno_ret = sink->error;
	return ms_err_hint(
		ms_err_errno(MS_ERR_TARGET, sink->error, "%s: the output cannot be written", result->command),
		"what was written so far is not complete");
}

struct ms_err *ms_render(const struct ms_result *result, const struct ms_render_opts *opts, FILE *out,
			 int *write_errno_ret)
{
	struct sink sink = { .out = out };
	bool ok = opts->json ? render_json(result, opts, &sink) : render_text(result, opts, &sink);

	return finish(result, &sink, ok, write_errno_ret);
}

struct ms_err *ms_render_rows(const struct ms_result *result, const struct ms_render_opts *opts,
			      struct ms_rows *rows, FILE *out, int *write_errno_ret)
{
	struct sink sink = { .out = out };
	bool ok = opts->json ? render_rows_json(result, &sink) : render_rows_text(result, opts, rows, &sink);

	return finish(result, &sink, ok, write_errno_ret);
}
