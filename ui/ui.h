/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal interface as the rest of the program sees it: run it, or have one frame of it as text. What is
 * inside is in ui/core.h.
 */
#ifndef UI_UI_H
#define UI_UI_H

#include <stdio.h>

#include "abi/types.h"
#include "base/buf.h"
#include "base/err.h"
#include "target/target.h"

enum ms_ui_color {
	MS_UI_COLOR_AUTO, /* colour when the terminal has it and NO_COLOR is unset or empty */
	MS_UI_COLOR_ALWAYS, /* colour when the terminal has it */
	MS_UI_COLOR_NEVER,
};

enum ms_ui_charset {
	MS_UI_CHARSET_AUTO, /* by the locale, which the caller has set with setlocale() */
	MS_UI_CHARSET_ASCII,
	MS_UI_CHARSET_UTF8,
};

struct ms_wp; /* target/wp.h */

struct ms_ui_command {
	const char *line;
	u64 kvm; /* the VM on screen, which commands about one VM mean when they name none; 0: there is none */
	u32 width; /* columns there are */
	struct ms_wp *flips; /* made here, NULL: none */
	/*
	 * Nobody asked anew, its output is only brought up to date: what a command would do beside saying
	 * something is then not done, it listens to nothing, and out stays empty.
	 */
	bool again;
	/* As of ms_ui_create(): called now and then while it reads or listens; false: give up. May be NULL. */
	bool (*progress)(void *ctx, u64 nr_pages);
	void *progress_ctx;
};

struct ms_ui_opts {
	enum ms_ui_color color;
	enum ms_ui_charset charset;
	const char *vm; /* open this VM (words as for ms_model_find_vm()); NULL: by what is there */
	const char *notice; /* shown in the status line until a key is pressed; NULL or "": nothing */
	bool may_write; /* --write: what changes a VM is allowed */
	u32 interval_s; /* read again by itself, 0 off; on a live target only */
	u32 width, height; /* of ms_ui_frame(); 0: COLUMNS and LINES of the environment, else 80 and 24 */
	/*
	 * Run one command line of the query language on the target and append its text to out. NULL: there is no
	 * `:'. What it returns is shown in the status line; out may hold text all the same.
	 */
	struct ms_err *(*command)(void *ctx, struct ms_target *target, const struct ms_ui_command *command,
				  struct ms_buf *out);
	void *command_ctx;
	/*
	 * What the last word of such a line may become: at most max static strings; *word_start_ret is where
	 * that word begins. NULL: nothing is completed.
	 */
	size_t (*complete)(const char *line, const char **ret, size_t max, size_t *word_start_ret);
};

/*
 * Run until the user ends it. The terminal is as it was on every return; SIGTERM and SIGHUP end the process
 * by that signal after the terminal was restored. An error is one of starting (no terminal, first read
 * failed): later ones are shown on the screen. Only in a build with WITH_TUI.
 */
struct ms_err *ms_ui_run(struct ms_target *target, const struct ms_ui_opts *opts) MS_MUST_CHECK;

/*
 * Write one frame as text, with neither colour nor control characters: the tree of the VM when there is one
 * or opts names one, else the list of VMs. Needs no terminal. A failed write is an error; EPIPE too.
 */
struct ms_err *ms_ui_frame(struct ms_target *target, const struct ms_ui_opts *opts, FILE *out) MS_MUST_CHECK;

#endif
