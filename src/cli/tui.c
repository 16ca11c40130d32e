/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting the terminal interface, and answering the commands of its ':' line. */
#include "config.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#ifdef WITH_TUI

#include "render/render.h"
#include "ui/ui.h"

/* The interface reads and owns the screen; commands read for themselves, on the same target. */
struct tui_ctx {
	const struct ms_args *base;
};

static struct ms_err *render_to(const struct ms_result *result, const struct ms_args *args, u32 width,
				struct ms_buf *out)
{
	struct ms_render_opts opts = {
		.json = args->json,
		.pretty = args->pretty,
		.no_header = args->no_header,
		.brief = true,
		.width = width,
	};
	struct ms_err *err;
	char *text = NULL;
	int write_errno;
	size_t len = 0;
	FILE *mem = open_memstream(&text, &len);

	if (!mem)
		return ms_err_nomem();
	err = ms_render(result, &opts, mem, &write_errno);
	fclose(mem);
	if (!err)
		ms_buf_put(out, text, len);
	free(text);
	return err;
}

/* Does it take its time because it listens, instead of asking for events that are kept? */
static bool listens(const struct ms_target *target, const struct ms_args *args)
{
	return args->command && args->command->flags & MS_CMD_LISTEN &&
	       !(args->command == &ms_commands[MS_CMD_ID_events] && target->caps & MS_CAP_EVENTS &&
		 !args->for_ms);
}

static struct ms_err *command(void *ctx, struct ms_target *target, const struct ms_ui_command *cmd,
			      struct ms_buf *out)
{
	const struct tui_ctx *tui = ctx;
	/* Borrows the target: it is taken out again before the session ends. */
	struct ms_session session = { .target = target,
				      .flips = cmd->flips,
				      .progress = cmd->progress,
				      .progress_ctx = cmd->progress_ctx };
	const char *line = cmd->line;
	struct ms_result *result = NULL;
	struct ms_args args;
	struct ms_err *err;
	char vm[32];

	if (line[strspn(line, " ")] == '!' || cli_find_pipe(line))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "no shell here: neither `!' nor `|'"),
				   "mmuscope prompt has both");
	err = ms_args_parse_line(line, &(struct ms_args){ .may_write = tui->base->may_write }, &args);
	if (err)
		return err;
	args.redact |= tui->base->redact;
	if (cmd->kvm && !args.vm && args.command && args.command->flags & (MS_CMD_VM | MS_CMD_LISTEN)) {
		snprintf(vm, sizeof(vm), "kvm:0x%llx", (unsigned long long)cmd->kvm);
		args.vm = vm;
	}
	if (args.target)
		err = ms_err_hint(ms_err_new(MS_ERR_USAGE, "--target: not here"),
				  "start mmuscope anew on another target");
	/* A file is not written a second time because somebody looks on, nor does he wait for events each time. */
	if (!err &&
	    !(cmd->again && args.command && (args.command->flags & MS_CMD_FILE || listens(target, &args))))
		err = ms_query_run(&session, &args, &result);
	if (!err && result)
		err = render_to(result, &args, cmd->width, out);
	ms_result_destroy(result);
	session.target = NULL;
	ms_session_deinit(&session);
	ms_args_deinit(&args);
	return err;
}

#define SIM_INTERVAL_S 2

/* Is there a VM on this host that can be read? *why_ret: what keeps it from being so. */
static bool live_has_vms(struct ms_session *session, const struct ms_args *args, struct ms_buf *why)
{
	const struct ms_model *model;
	struct ms_err *err = ms_session_open(session, args);
	bool has;

	if (!err)
		err = ms_session_load(session, 0, NULL, &model, NULL);
	has = !err && model->nr_vms;
	if (err)
		ms_buf_puts(why, ms_err_text(err));
	else if (!has)
		ms_buf_puts(why, "no VM runs on this host");
	ms_err_free(err);
	ms_session_drop(session);
	return has;
}

/*
 * Without --target: this host. Where it has no VM to look at, the simulated one, and *notice says so. Who
 * names a VM means one of this host. Commands never do this: a script must not take a simulation for its
 * host.
 */
static struct ms_err *open_target(struct ms_session *session, const struct ms_args *args,
				  struct ms_buf *notice)
{
	struct ms_args sim = *args;

	if (args->target || args->vm)
		return ms_session_open(session, args);
	if (live_has_vms(session, args, notice))
		return NULL;
	sim.target = "sim";
	return ms_session_open(session, &sim);
}

int cli_ui(struct ms_session *session, const struct ms_args *args)
{
	static const enum ms_ui_color colors[] = {
		[MS_COLOR_AUTO] = MS_UI_COLOR_AUTO,
		[MS_COLOR_ALWAYS] = MS_UI_COLOR_ALWAYS,
		[MS_COLOR_NEVER] = MS_UI_COLOR_NEVER,
	};
	struct tui_ctx ctx = { .base = args };
	struct ms_ui_opts opts = { .color = colors[args->color],
				   .vm = args->vm,
				   .may_write = args->may_write,
				   .command = command,
				   .command_ctx = &ctx,
				   .complete = ms_query_complete };
	bool frame = args->given & 1ull << MS_OPT_FRAME;
	struct ms_buf why = { 0 }, notice = { 0 };
	struct ms_err *err;

	if (args->redact)
		return cli_fail(
			ms_err_hint(ms_err_new(MS_ERR_USAGE, "--redact: not with the terminal interface"),
				    "use a command, see `mmuscope help'"));
	/* For the character set alone; numbers are written the same everywhere. */
	setlocale(LC_CTYPE, "");
	err = open_target(session, args, &why);
	if (err) {
		ms_buf_deinit(&why);
		return cli_fail(err);
	}
	if (why.len)
		ms_buf_printf(&notice, "Simulated VM, not this host: %s", ms_buf_str(&why));
	else
		ms_buf_puts(&notice, session->target->note);
	opts.notice = ms_buf_str(&notice);
	/* A simulated machine is there to be watched. */
	if (session->target->ops == &ms_target_sim && session->target->caps & MS_CAP_LIVE)
		opts.interval_s = SIM_INTERVAL_S;
	errno = 0;
	err = frame ? ms_ui_frame(session->target, &opts, stdout) : ms_ui_run(session->target, &opts);
	if (!err && fflush(stdout))
		err = ms_err_errno(MS_ERR_TARGET, errno, "the output cannot be written");
	ms_buf_deinit(&why);
	ms_buf_deinit(&notice);
	return err ? cli_fail(err) : 0;
}

#else

int cli_ui(struct ms_session *session, const struct ms_args *args)
{
	(void)session;
	(void)args;
	return cli_fail(ms_err_hint(ms_err_new(MS_ERR_USAGE, "this build has no terminal interface"),
				    "see `mmuscope help'"));
}

#endif
