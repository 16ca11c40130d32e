/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How results and errors leave the program. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "render/render.h"

static bool color_wanted(enum ms_color when, int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when != MS_COLOR_AUTO)
		return when == MS_COLOR_ALWAYS;
	/* no-color.org: set and not empty, whatever its value. */
	return isatty(fd) && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

void cli_render_opts(const struct ms_args *args, int fd, struct ms_render_opts *ret)
{
	struct winsize size;

	*ret = (struct ms_render_opts){
		.json = args->json,
		.pretty = args->pretty,
		.color = color_wanted(args->color, fd),
		.no_header = args->no_header,
	};
	if (isatty(fd) && !ioctl(fd, TIOCGWINSZ, &size))
		ret->width = size.ws_col;
}

int cli_fail(struct ms_err *err)
{
	const char *hint = ms_err_hint_text(err);
	int status = ms_err_exit_status(err);
	/* Who was told to stop does not wait for a terminal that takes nothing. */
	FILE *stoppable = cli_stop_asked() ? cli_out_open(stderr) : NULL;

	fprintf(stoppable ? stoppable : stderr, "mmuscope: %s%s%s\n", ms_err_text(err), hint ? ": " : "",
		hint ? hint : "");
	if (stoppable)
		fclose(stoppable);
	ms_err_free(err);
	return status;
}

int cli_write_failed(const struct ms_args *args, struct ms_err *err, int write_errno)
{
	int status = ms_err_exit_status(err);

	/* The reader of a pipe has seen enough: not a word, but no 0 either. */
	if (write_errno == EPIPE) {
		ms_err_free(err);
		return status;
	}
	if (write_errno != EINTR)
		return cli_fail(err);
	ms_err_free(err);
	return cli_fail(ms_err_hint(
		ms_err_new(MS_ERR_TARGET, "%s: stopped while nobody read the output", args->command->name),
		"what was written so far is not complete"));
}

static struct ms_err *render_out(const struct ms_session *session, const struct ms_result *result,
				 const struct ms_render_opts *opts, FILE *out, int *write_errno_ret)
{
	/* Without anybody who catches signals, one ends the process wherever it is. */
	FILE *stoppable = session->progress ? cli_out_open(out) : NULL;
	struct ms_err *err = ms_render(result, opts, stoppable ? stoppable : out, write_errno_ret);

	if (stoppable)
		fclose(stoppable);
	return err;
}

int cli_run(struct ms_session *session, const struct ms_args *args, FILE *out)
{
	struct ms_result *result = NULL;
	struct ms_render_opts opts;
	int write_errno = 0, status;
	bool stream = false;
	struct ms_err *err;

	if (!(args->given & (1ull << MS_OPT_HELP | 1ull << MS_OPT_VERSION))) {
		err = ms_stream_wanted(session, args, &stream);
		if (err)
			return cli_fail(err);
	}
	if (stream)
		return cli_stream(session, args, out);
	if (args->watch && !(args->given & (1ull << MS_OPT_HELP | 1ull << MS_OPT_VERSION)))
		return cli_watch(session, args, out);
	err = ms_query_run(session, args, &result);
	if (err)
		return cli_fail(err);
	cli_render_opts(args, fileno(out), &opts);
	status = result->status;
	err = render_out(session, result, &opts, out, &write_errno);
	ms_result_destroy(result);
	return err ? cli_write_failed(args, err, write_errno) : status;
}
