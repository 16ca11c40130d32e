/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared within src/cli: how results and errors leave the program. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "query/query.h"

/* Options, terminal and environment to what a renderer needs. fd is where the output goes. */
struct ms_render_opts;
void cli_render_opts(const struct ms_args *args, int fd, struct ms_render_opts *ret);

/*
 * Output that a signal gets out of: as `out', but whoever was told to stop (stop.c) while nobody reads, or is told
 * before, waits no longer than a moment for a reader; then writing fails with EINTR. Ended by fclose(), which leaves
 * `out' open. NULL: errno.
 */
FILE *cli_out_open(FILE *out) MS_MUST_CHECK;
/* A result could not be written: what is said of it, and the exit status. Takes err. */
int cli_write_failed(const struct ms_args *args, struct ms_err *err, int write_errno);

/* Run one parsed command and write its result. Returns the exit status; errors go to stderr. */
int cli_run(struct ms_session *session, const struct ms_args *args, FILE *out);

/*
 * The same of a command with --watch, round by round. Returns the highest status of its rounds, also after SIGINT,
 * SIGTERM or SIGHUP; 3 when the VM or the reader of the output has gone.
 */
int cli_watch(struct ms_session *session, const struct ms_args *args, FILE *out);

/*
 * Events as they happen: batch by batch, then the summary. Status of the summary, also after SIGINT, SIGTERM or
 * SIGHUP; 3 when the reader of the output has gone.
 */
int cli_stream(struct ms_session *session, const struct ms_args *args, FILE *out);

/* --- signals that ask to stop: SIGINT, SIGTERM, SIGHUP (stop.c) --- */

#define CLI_NR_STOP_SIGS 3

/* What is put back afterwards. */
struct cli_stop {
	struct sigaction actions[CLI_NR_STOP_SIGS];
	bool (*progress)(void *ctx, u64 nr_pages);
};

/*
 * From now on the first of them is noted, and the session's readings give up; a second ends the process as it would
 * have without us. flags: SA_RESTART, or 0 to be woken by it.
 */
void cli_stop_catch(struct ms_session *session, int flags, struct cli_stop *before);
void cli_stop_release(struct ms_session *session, const struct cli_stop *before);
bool cli_stop_asked(void);
void cli_stop_sigs(sigset_t *ret);

/* Print "mmuscope: what" and the hint on one line, free the error; returns its exit status. */
int cli_fail(struct ms_err *err);

/* Read commands from stdin until it ends. base holds the options that hold for all of them. */
int cli_prompt(struct ms_session *session, const struct ms_args *base);

/* The terminal interface, or with --frame one screen of it as text. */
int cli_ui(struct ms_session *session, const struct ms_args *args);

/* The first `|' outside quotes, NULL when there is none. */
char *cli_find_pipe(const char *line);

/* The completion script for a shell. */
int cli_completion(const char *shell);

#endif
