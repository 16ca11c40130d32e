/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main(): options, then one command, the terminal interface, or help. */
#include "config.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"

/* The list of commands, for one who has not asked for it: nothing that belongs on stdout. */
static int run_help(struct ms_session *session, const struct ms_args *args)
{
	struct ms_args help = *args;

	help.given |= 1ull << MS_OPT_HELP;
	return cli_run(session, &help, stderr);
}

static int run_cli_command(struct ms_session *session, const struct ms_args *args)
{
	return args->command->name[0] == 'p' ? cli_prompt(session, args) : cli_completion(args->args[0]);
}

static bool ui_wanted(const struct ms_args *args)
{
#ifdef WITH_TUI
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !args->json)
		return true;
#endif
	return args->given & 1ull << MS_OPT_FRAME;
}

static int run(struct ms_session *session, const struct ms_args *args)
{
	int status;

	if (args->given & (1ull << MS_OPT_HELP | 1ull << MS_OPT_VERSION))
		return cli_run(session, args, stdout);
	if (args->command && args->command->flags & MS_CMD_CLI)
		return run_cli_command(session, args);
	if (args->command)
		return cli_run(session, args, stdout);
	if (ui_wanted(args))
		return cli_ui(session, args);
	status = run_help(session, args);
	if (status)
		return status;
	return cli_fail(ms_err_hint(ms_err_new(MS_ERR_USAGE, "no command"), "the list above has them"));
}

static void tell(const char *line)
{
	fprintf(stderr, "mmuscope: %s\n", line);
}

int main(int argc, char **argv)
{
	struct ms_session session = { .tell = tell };
	struct ms_args args = { 0 };
	struct cli_stop before;
	struct ms_err *err;
	int status;

	/*
	 * A reader that goes away is an error of write(), not the end of this process: targets are closed
	 * in order.
	 */
	signal(SIGPIPE, SIG_IGN);
	/* What characters the terminal has; numbers stay as they are. */
	setlocale(LC_CTYPE, "");
	err = ms_args_parse(argc > 1 ? (size_t)argc - 1 : 0, (const char *const *)argv + 1, NULL, &args);
	if (err)
		return cli_fail(err);
	/*
	 * What would leave half a file behind is told to stop instead of being killed; who listens is woken up and
	 * says what was heard.
	 */
	if (args.command && args.command->flags & (MS_CMD_FILE | MS_CMD_LISTEN))
		cli_stop_catch(&session, args.command->flags & MS_CMD_FILE ? SA_RESTART : 0, &before);
	status = run(&session, &args);
	ms_session_deinit(&session);
	ms_args_deinit(&args);
	return status;
}
