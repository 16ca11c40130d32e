/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events as they happen: what has come is written at once, what was raised and lost at the end. */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "render/render.h"
#include "render/trace.h"

struct out {
	struct ms_render_opts opts;
	struct ms_rows rows;
	struct ms_tracefile *trace; /* NULL: events go to the output */
	FILE *out; /* that can be stopped; in front of `fd' */
	int fd;
	FILE *summary; /* where that goes: stderr if the output has a trace */
	int write_errno; /* of what could not be written */
};

static struct ms_err *no_reader(const struct ms_args *args, const struct ms_stream *stream)
{
	return ms_err_hint(
		ms_err_new(MS_ERR_TARGET, "%s: nobody reads the output any more", args->command->name),
		"%llu %s were seen", (unsigned long long)stream->nr_seen,
		args->command == &ms_commands[MS_CMD_ID_wp] ? "writes" : "events");
}

/* The end of a pipe's reader, before there is something to write. */
static bool has_reader(int out)
{
	struct pollfd fd = { .fd = out };

	return poll(&fd, 1, 0) <= 0 || !(fd.revents & (POLLERR | POLLHUP | POLLNVAL));
}

static struct ms_err *write_result(const struct ms_args *args, const struct ms_stream *stream, struct out *o,
				   const struct ms_result *result, FILE *out, bool rows)
{
	struct ms_err *err;

	if (rows)
		err = ms_render_rows(result, &o->opts, &o->rows, out, &o->write_errno);
	else
		err = ms_render(result, &o->opts, out, &o->write_errno);
	if (!err || o->write_errno != EPIPE)
		return err;
	ms_err_free(err);
	o->write_errno = 0;
	return no_reader(args, stream);
}

static struct ms_err *round_run(struct ms_session *session, const struct ms_args *args,
				struct ms_stream *stream, struct out *o)
{
	struct ms_result *result = NULL;
	struct ms_err *err;

	if (!has_reader(o->fd))
		return no_reader(args, stream);
	err = ms_stream_round(session, args, stream, &result);
	if (err)
		return err;
	/* Not before the target is listened to: what fails until then leaves no file, and an old one as it is. */
	if (args->trace && !o->trace)
		err = ms_tracefile_create(args->trace, args->force, o->out, &o->trace);
	if (!err && o->trace)
		err = ms_tracefile_put(o->trace, result, stream->events, stream->nr);
	else if (!err && !args->by)
		err = write_result(args, stream, o, result, o->out, true);
	else if (!err && args->watch && !stream->over)
		err = write_result(args, stream, o, result, o->out, false);
	ms_result_destroy(result);
	return err;
}

static struct ms_err *end(struct ms_session *session, const struct ms_args *args, struct ms_stream *stream,
			  struct out *o, int *status_ret)
{
	struct ms_result *result = NULL;
	struct ms_err *err = ms_stream_summary(session, args, stream, &result);

	if (err)
		return err;
	*status_ret = result->status;
	/* Provenance stands above the rows. */
	o->opts.brief = o->rows.begun;
	if (o->rows.begun && !args->json && !args->no_header && fputc('\n', o->out) == EOF)
		err = no_reader(args, stream);
	if (!err)
		err = write_result(args, stream, o, result, o->summary, false);
	ms_result_destroy(result);
	return err;
}

int cli_stream(struct ms_session *session, const struct ms_args *args, FILE *out)
{
	/* A trace is made of both. */
	struct ms_stream stream = { .cells = args->trace  ? MS_STREAM_ALL
					     : args->json ? MS_STREAM_DATA
							  : MS_STREAM_TEXT };
	struct out o = { .out = cli_out_open(out), .fd = fileno(out) };
	struct ms_err *err = NULL, *closed;
	bool caught = session->progress;
	struct cli_stop before;
	int status = 0;

	if (!o.out)
		return cli_fail(ms_err_errno(MS_ERR_TARGET, errno, "%s: the output", args->command->name));
	o.summary = args->trace && !strcmp(args->trace, "-") ? stderr : o.out;
	cli_render_opts(args, o.summary == stderr ? STDERR_FILENO : o.fd, &o.opts);
	/* Who was told to stop while the target was opened has not forgotten it. */
	if (!caught)
		cli_stop_catch(session, 0, &before);
	if (args->trace)
		err = ms_tracefile_check(args->trace, args->force);
	while (!err && !stream.over)
		err = round_run(session, args, &stream, &o);
	/* Whatever ended it: the file is one that can be read. */
	closed = ms_tracefile_close(o.trace);
	if (err)
		ms_err_free(closed);
	else
		err = closed;
	if (!err)
		err = end(session, args, &stream, &o, &status);
	if (!caught)
		cli_stop_release(session, &before);
	ms_stream_deinit(session, &stream);
	fclose(o.out);
	return err ? cli_write_failed(args, err, o.write_errno) : status;
}
