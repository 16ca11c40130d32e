/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output that can be stopped. write() into a full pipe waits for its reader, and a signal that comes right before
 * it is not noticed; so here it is waited for room, with signals let in there only, and no more is written than has
 * room: of a pipe poll() says so for PIPE_BUF bytes, of a terminal for one, which is therefore opened again to be
 * written without waiting.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GRACE_MS 500 /* for a reader that is slow, once we were told to stop */

struct pipe_out {
	int fd;
	bool own; /* closed in the end */
};

/* False: errno. */
static bool wait_room(int fd, const sigset_t *mask)
{
	static const struct timespec grace = { .tv_nsec = GRACE_MS * 1000000l };
	struct pollfd out = { .fd = fd, .events = POLLOUT };
	int nr;

	do
		nr = ppoll(&out, 1, cli_stop_asked() ? &grace : NULL, mask);
	while (nr < 0 && errno == EINTR);
	/* What else poll() has to say, write() says, too. */
	if (nr > 0)
		return true;
	if (!nr)
		errno = EINTR;
	return false;
}

/* Returns what was written; less than size: errno. */
static ssize_t pipe_write(void *cookie, const char *buf, size_t size)
{
	const struct pipe_out *pipe = cookie;
	sigset_t block, mask;
	size_t done = 0;
	ssize_t n;
	int error = 0;

	cli_stop_sigs(&block);
	sigprocmask(SIG_BLOCK, &block, &mask);
	while (done < size && !error) {
		n = wait_room(pipe->fd, &mask)
			    ? write(pipe->fd, buf + done, size - done < PIPE_BUF ? size - done : PIPE_BUF)
			    : -1;
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EAGAIN)
			error = errno;
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	errno = error;
	return (ssize_t)done;
}

static int pipe_close(void *cookie)
{
	struct pipe_out *pipe = cookie;

	if (pipe->own)
		close(pipe->fd);
	free(pipe);
	return 0;
}

/* The same terminal by a file description of its own, -1 where it cannot be had: O_NONBLOCK is nobody else's. */
static int reopened(int fd)
{
	char path[32];

	if (!isatty(fd))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

FILE *cli_out_open(FILE *out)
{
	static const cookie_io_functions_t ops = { .write = pipe_write, .close = pipe_close };
	struct pipe_out *pipe = malloc(sizeof(*pipe));
	FILE *ret = NULL;

	if (!pipe || fflush(out))
		goto fail;
	pipe->fd = reopened(fileno(out));
	pipe->own = pipe->fd >= 0;
	if (!pipe->own)
		pipe->fd = fileno(out);
	ret = fopencookie(pipe, "w", ops);
	if (ret)
		return ret;
	if (pipe->own)
		close(pipe->fd);
fail:
	free(pipe);
	return NULL;
}
