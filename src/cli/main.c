/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main(): options, then one command, the terminal interface, or help. */
#include "config.h"

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

/* A command that would leave half a file behind is told to stop at its next step instead of being killed. */
static volatile sig_atomic_t stop_asked;

static void on_stop(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static bool go_on(void *ctx, u64 nr_pages)
{
	(void)ctx;
	(void)nr_pages;
	return !stop_asked;
}

/* A second signal ends the process as it would have without us. */
static void stop_gently(struct ms_session *session)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND | SA_RESTART };
	size_t i;

	sigemptyset(&sa.sa_mask);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
	session->progress = go_on;
}

int main(int argc, char **argv)
{
	struct ms_session session = { 0 };
	struct ms_args args = { 0 };
	struct ms_err *err;
	int status;

	/*
	 * A reader that goes away is an error of write(), not the end of this process: targets are closed
	 * in order.
	 */
	signal(SIGPIPE, SIG_IGN);
	err = ms_args_parse(argc > 1 ? (size_t)argc - 1 : 0, (const char *const *)argv + 1, NULL, &args);
	if (err)
		return cli_fail(err);
	if (args.command && args.command->flags & MS_CMD_FILE)
		stop_gently(&session);
	status = run(&session, &args);
	ms_session_deinit(&session);
	ms_args_deinit(&args);
	return status;
}
