/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug files are read in a process of their own. They are big, and those who make the library that reads them find
 * a file that crashes it now and then: a damaged file must be an error of one line, and not the end of a session.
 */
#include "layout/private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Data of vmlinux's DWARF takes 1 GiB where its sections are compressed. */
#define MAX_DATA_BYTES (8ull << 30)

struct answer {
	bool done, failed;
	enum ms_err_kind kind;
	char text[4096], hint[1024];
	_Alignas(16) char out[];
};

static void put(char *to, size_t size, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (len >= size)
		len = size - 1;
	if (len)
		memcpy(to, text, len);
	to[len] = '\0';
}

static void limit(int what, rlim_t to)
{
	struct rlimit r;

	if (getrlimit(what, &r) || (r.rlim_max != RLIM_INFINITY && r.rlim_max < to))
		return;
	r.rlim_cur = to;
	setrlimit(what, &r);
}

static void child(struct ms_err *(*fn)(const void *in, void *out), const void *in, struct answer *answer,
		  unsigned int seconds)
{
	struct ms_err *err;

	/* An interrupt is for the one who waits, who then is gone. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGXCPU, SIG_DFL);
	limit(RLIMIT_CPU, seconds);
	limit(RLIMIT_CORE, 0);
#ifndef __SANITIZE_ADDRESS__
	/* Its shadow is more than this. */
	limit(RLIMIT_DATA, MAX_DATA_BYTES);
#endif
	err = fn(in, answer->out);
	answer->failed = err != NULL;
	if (err) {
		answer->kind = ms_err_kind(err);
		put(answer->text, sizeof(answer->text), ms_err_text(err));
		put(answer->hint, sizeof(answer->hint), ms_err_hint_text(err));
	}
	answer->done = true;
	/* Nothing of the parent's is tidied up. */
	_exit(0);
}

static struct ms_err *answer_err(const struct answer *answer)
{
	struct ms_err *err = ms_err_new(answer->kind, "%s", answer->text);

	return answer->hint[0] ? ms_err_hint(err, "%s", answer->hint) : err;
}

struct ms_err *layout_apart(struct ms_err *(*fn)(const void *in, void *out), const void *in, void *out,
			    size_t out_bytes, unsigned int seconds, const char *what)
{
	size_t bytes = sizeof(struct answer) + out_bytes;
	struct answer *answer = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ms_err *err = NULL;
	int status = 0;
	pid_t pid, got;

	if (answer == MAP_FAILED)
		return ms_err_nomem();
	pid = fork();
	if (!pid)
		child(fn, in, answer, seconds);
	if (pid < 0) {
		err = ms_err_errno(MS_ERR_TARGET, errno, "%s: a process to read it", what);
	} else {
		do
			got = waitpid(pid, &status, 0);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			err = ms_err_errno(MS_ERR_TARGET, errno, "%s: the process that reads it", what);
		else if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
			err = ms_err_new(MS_ERR_TARGET, "%s: not read within %u s", what, seconds);
		else if (WIFSIGNALED(status))
			err = ms_err_new(MS_ERR_TARGET, "%s: reading it ended with signal %d (%s)", what,
					 WTERMSIG(status), strsignal(WTERMSIG(status)));
		else if (!answer->done)
			err = ms_err_new(MS_ERR_TARGET, "%s: reading it ended with status %d", what,
					 WEXITSTATUS(status));
		else if (answer->failed)
			err = answer_err(answer);
		if (err && !ms_err_hint_text(err))
			err = ms_err_hint(
				err, "the file is damaged: get it anew, or name another one with --types");
	}
	if (!err)
		memcpy(out, answer->out, out_bytes);
	munmap(answer, bytes);
	return err;
}
