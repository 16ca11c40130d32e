/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The prompt: one command a line, with completion from the command table. `COMMAND | SHELL COMMAND' and
 * `!SHELL COMMAND' hand to the shell what the user typed and nothing else; what a target says is only ever
 * written to a pipe. History stays in memory: it would put addresses and names on disk.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef WITH_READLINE
#include <readline/history.h>
#include <readline/readline.h>
#endif

#include "cli/cli.h"

#define CANDIDATES_MAX 128

#ifdef WITH_READLINE
/* readline calls back for one candidate at a time. */
static char *next_candidate(const char *text, int state)
{
	static const char *found[CANDIDATES_MAX];
	static size_t nr, at;
	size_t start;

	(void)text;
	if (!state) {
		char *line = strndup(rl_line_buffer, (size_t)rl_point);

		nr = line ? ms_query_complete(line, found, CANDIDATES_MAX, &start) : 0;
		at = 0;
		free(line);
	}
	return at < nr ? strdup(found[at++]) : NULL;
}

static char **complete(const char *text, int start, int end)
{
	(void)start;
	(void)end;
	rl_attempted_completion_over = 1; /* never file names: no command but save takes one */
	return rl_completion_matches(text, next_candidate);
}
#endif

static char *read_line(bool tty)
{
	size_t cap = 0;
	char *line = NULL;

#ifdef WITH_READLINE
	if (tty)
		return readline("mmuscope> ");
#endif
	if (tty) {
		fputs("mmuscope> ", stdout);
		fflush(stdout);
	}
	if (getline(&line, &cap, stdin) < 0) {
		free(line);
		return NULL;
	}
	return line;
}

char *cli_find_pipe(const char *line)
{
	char quote = 0;

	for (; *line; line++) {
		if (*line == '\\' && quote != '\'' && line[1])
			line++;
		else if (quote)
			quote = *line == quote ? 0 : quote;
		else if (*line == '\'' || *line == '"')
			quote = *line;
		else if (*line == '|')
			return (char *)line;
	}
	return NULL;
}

/* Shell commands get SIGPIPE as everyone expects it. */
static int run_shell(const char *command)
{
	int status;

	signal(SIGPIPE, SIG_DFL);
	status = system(command);
	signal(SIGPIPE, SIG_IGN);
	return status == -1 ? 3 : WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

static int run_line(struct ms_session *session, const struct ms_args *base, char *line)
{
	char *shell = cli_find_pipe(line);
	struct ms_args args;
	struct ms_err *err;
	FILE *out = stdout;
	int status;

	if (shell)
		*shell++ = '\0';
	err = ms_args_parse_line(line, base, &args);
	if (err)
		return cli_fail(err);
	if (!args.command && !(args.given & (1ull << MS_OPT_HELP | 1ull << MS_OPT_VERSION))) {
		ms_args_deinit(&args);
		return shell ? cli_fail(ms_err_hint(ms_err_new(MS_ERR_USAGE, "no command before `|'"),
						    "!COMMAND runs a shell command"))
			     : 0;
	}
	if (shell) {
		signal(SIGPIPE, SIG_DFL);
		out = popen(shell, "we");
		signal(SIGPIPE, SIG_IGN);
	}
	if (!out) {
		ms_args_deinit(&args);
		return cli_fail(ms_err_errno(MS_ERR_TARGET, errno, "the shell cannot be started"));
	}
	status = cli_run(session, &args, out);
	if (shell)
		pclose(out);
	ms_args_deinit(&args);
	return status;
}

int cli_prompt(struct ms_session *session, const struct ms_args *base)
{
	bool tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	int status = 0;
	size_t len;
	char *line;

#ifdef WITH_READLINE
	rl_readline_name = "mmuscope";
	rl_attempted_completion_function = complete;
	rl_completer_word_break_characters = " \t";
	using_history();
#endif
	session->keeps = true;
	while ((line = read_line(tty))) {
		char *at = line + strspn(line, " \t");

		len = strlen(at);
		while (len && strchr(" \t\r\n", at[len - 1]))
			at[--len] = '\0';
		if (!strcmp(at, "quit") || !strcmp(at, "exit") || !strcmp(at, "q")) {
			free(line);
			break;
		}
#ifdef WITH_READLINE
		if (tty && *at)
			add_history(at);
#endif
		if (*at == '!')
			status = run_shell(at + 1);
		else if (*at && *at != '#')
			status = run_line(session, base, at);
		free(line);
	}
	/* A script's status is its last command's; who types has seen it. */
	return tty ? 0 : status;
}
