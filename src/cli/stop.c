/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals that ask to stop, taken as a wish: what is under way ends at its next step and leaves nothing half done. */
#include "cli/cli.h"

static const int sigs[CLI_NR_STOP_SIGS] = { SIGINT, SIGTERM, SIGHUP };

static volatile sig_atomic_t asked;

static void on_stop(int sig)
{
	(void)sig;
	asked = 1;
}

static bool go_on(void *ctx, u64 nr_pages)
{
	(void)ctx;
	(void)nr_pages;
	return !asked;
}

bool cli_stop_asked(void)
{
	return asked;
}

void cli_stop_sigs(sigset_t *ret)
{
	size_t i;

	sigemptyset(ret);
	for (i = 0; i < CLI_NR_STOP_SIGS; i++)
		sigaddset(ret, sigs[i]);
}

void cli_stop_catch(struct ms_session *session, int flags, struct cli_stop *before)
{
	struct sigaction sa = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND | flags };
	size_t i;

	asked = 0;
	sigemptyset(&sa.sa_mask);
	for (i = 0; i < CLI_NR_STOP_SIGS; i++) {
		sigaction(sigs[i], &sa, &before->actions[i]);
		/* As nohup wants it. That SIGINT is ignored says only that a shell started us in the background. */
		if (sigs[i] == SIGHUP && before->actions[i].sa_handler == SIG_IGN)
			sigaction(sigs[i], &before->actions[i], NULL);
	}
	before->progress = session->progress;
	session->progress = go_on;
}

void cli_stop_release(struct ms_session *session, const struct cli_stop *before)
{
	size_t i;

	for (i = 0; i < CLI_NR_STOP_SIGS; i++)
		sigaction(sigs[i], &before->actions[i], NULL);
	session->progress = before->progress;
}
