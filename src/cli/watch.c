/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --watch: rounds at an interval, until they are enough, a signal comes, or nothing or nobody is left. */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "render/render.h"

static s64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

enum waited { WAIT_OVER, WAIT_STOP, WAIT_NO_READER };

/* Until then, a signal, or the end of the pipe's reader. A signal that comes before ppoll() is not lost. */
static enum waited wait_until(s64 then_ms, int fd)
{
	struct pollfd out = { .fd = fd };
	enum waited ret = WAIT_OVER;
	struct timespec ts;
	sigset_t block, mask;
	s64 left;

	cli_stop_sigs(&block);
	sigprocmask(SIG_BLOCK, &block, &mask);
	while (ret == WAIT_OVER) {
		left = then_ms > now_ms() ? then_ms - now_ms() : 0;
		ts = (struct timespec){ .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
		if (!cli_stop_asked() && ppoll(&out, 1, &ts, &mask) > 0 &&
		    out.revents & (POLLERR | POLLHUP | POLLNVAL))
			ret = WAIT_NO_READER;
		if (cli_stop_asked())
			ret = WAIT_STOP;
		if (!left)
			break;
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return ret;
}

static int no_reader(const struct ms_args *args, const struct ms_watch *watch)
{
	return cli_fail(ms_err_hint(
		ms_err_new(MS_ERR_TARGET, "%s: nobody reads the output any more", args->command->name),
		"it was carried out %llu times", (unsigned long long)watch->rounds));
}

struct watch_out {
	FILE *out; /* that can be stopped */
	int fd;
};

/* Text: what stands on a line of its own is all that a round without news has to say. */
static struct ms_err *show(const struct ms_args *args, const struct ms_watch *watch,
			   const struct ms_result *result, const struct watch_out *o, int *write_errno_ret)
{
	struct ms_render_opts opts;

	cli_render_opts(args, o->fd, &opts);
	opts.lines_only = watch->whole && !watch->came && !watch->went;
	opts.no_header |= opts.lines_only && watch->rounds > 1;
	return ms_render(result, &opts, o->out, write_errno_ret);
}

/* One round; *status_ret is what it adds to the exit status. False: there is no other. */
static bool round_run(struct ms_session *session, const struct ms_args *args, struct ms_watch *watch,
		      const struct watch_out *o, int *status_ret)
{
	struct ms_result *result = NULL;
	int write_errno = 0;
	struct ms_err *err;

	err = ms_watch_round(session, args, watch, &result);
	if (cli_stop_asked()) {
		/* What was cut short says nothing. */
		ms_err_free(err);
		ms_result_destroy(result);
		return false;
	}
	if (err) {
		*status_ret = cli_fail(err);
		return false;
	}
	if (result->status > *status_ret)
		*status_ret = result->status;
	err = show(args, watch, result, o, &write_errno);
	ms_result_destroy(result);
	if (!err)
		return true;
	if (write_errno != EPIPE) {
		*status_ret = cli_write_failed(args, err, write_errno);
	} else {
		ms_err_free(err);
		*status_ret = no_reader(args, watch);
	}
	return false;
}

int cli_watch(struct ms_session *session, const struct ms_args *args, FILE *out)
{
	struct watch_out o = { .out = cli_out_open(out), .fd = fileno(out) };
	struct ms_watch watch = { 0 };
	enum waited waited = WAIT_OVER;
	bool caught = session->progress;
	struct cli_stop before;
	int status = 0;
	s64 next_ms = now_ms();

	if (!o.out)
		return cli_fail(ms_err_errno(MS_ERR_TARGET, errno, "%s: the output", args->command->name));
	/* Who was told to stop while the target was opened has not forgotten it. */
	if (!caught)
		cli_stop_catch(session, 0, &before);
	while (waited == WAIT_OVER && round_run(session, args, &watch, &o, &status)) {
		if (args->count && watch.rounds >= args->count)
			break;
		/* From start to start; a round that takes longer is followed by the next one at once. */
		next_ms += args->interval_ms;
		if (next_ms < now_ms())
			next_ms = now_ms();
		waited = wait_until(next_ms, o.fd);
		if (waited == WAIT_NO_READER)
			status = no_reader(args, &watch);
	}
	if (!caught)
		cli_stop_release(session, &before);
	/* Models and results name what is in it no longer. */
	ms_watch_deinit(&watch);
	fclose(o.out);
	return status;
}
