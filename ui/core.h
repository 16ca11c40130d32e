/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interface as a state machine: a key or a tick goes in, a grid comes out. No terminal, no threads, no
 * clock of its own; so a test can drive it with any keys at any size. Views (view_*.c) see one another only
 * through the functions here.
 *
 *   key -> keymap -> request -> top view, else core     model -> views -> grid -> term.c or a test
 *
 * Selection is kept by identity (the address of a kvm or of a shadow page's header), for rows move between
 * two reads.
 */
#ifndef UI_CORE_H
#define UI_CORE_H

#include "base/buf.h"
#include "model/model.h"
#include "ui/grid.h"
#include "ui/keymap.h"
#include "ui/list.h"
#include "ui/listen.h"
#include "ui/ui.h"

struct ms_ui;
struct ms_view;
struct ms_wp;

struct ms_view_ops {
	enum ms_key_context context;
	bool of_vm; /* shows the VM in ui->detail and is closed with it */
	void (*destroy)(struct ms_view *view);
	/*
	 * The model it shows was replaced: take rows from the new one. Called once after creation, too. When
	 * it fails, the view holds no rows.
	 */
	struct ms_err *(*reload)(struct ms_ui *ui, struct ms_view *view);
	void (*title)(struct ms_ui *ui, struct ms_view *view, struct ms_buf *buf);
	void (*draw)(struct ms_ui *ui, struct ms_view *view, struct ms_grid *grid, struct ms_rect r);
	/* False: not for this view, the core takes it. */
	bool (*request)(struct ms_ui *ui, struct ms_view *view, enum ms_request request);
	/* Select the next (dir 1) or previous (-1) match, wrapping around. False: none. */
	bool (*search)(struct ms_ui *ui, struct ms_view *view, const char *needle, int dir);
	/*
	 * (y, x) in the view's rectangle; true when that selected something that OPEN would open. NULL: no
	 * mouse.
	 */
	bool (*click)(struct ms_ui *ui, struct ms_view *view, u32 y, u32 x);
	/* On top when the target is read again: bring what only this view shows up to date. NULL: nothing. */
	struct ms_err *(*again)(struct ms_ui *ui, struct ms_view *view);
	/*
	 * What it wants to hear now, into *ret (zeroed); false: nothing. Asked often: the same answer keeps
	 * the listener. NULL: never anything.
	 */
	bool (*listen)(struct ms_ui *ui, struct ms_view *view, struct ms_listen *ret);
	/* One event of those. NULL when it only counts. */
	void (*event)(struct ms_ui *ui, struct ms_view *view, const struct ms_event *event);
	/* With count_by: counts since listening began, and the time on the events' clock. */
	void (*counts)(struct ms_ui *ui, struct ms_view *view, const struct ms_event_count *counts, size_t nr,
		       u64 now_ns);
	/* It is no longer listened for it; ui->listen still has the figures. NULL: it does not care. */
	void (*ended)(struct ms_ui *ui, struct ms_view *view);
	/* What was typed after ms_ui_prompt_filter(). An error is shown, and leaves the filter as it was. */
	struct ms_err *(*filter)(struct ms_ui *ui, struct ms_view *view, const char *line);
	/* What a request is called now, at most 6 columns. NULL, or the answer NULL: as ever. */
	const char *(*label)(struct ms_view *view, enum ms_request request);
	enum ms_request hints[8]; /* named in the footer, MS_REQ_NONE ends */
};

struct ms_view {
	const struct ms_view_ops *ops;
	struct ms_rect rect; /* where it was drawn last */
};

enum ms_ui_prompt {
	MS_PROMPT_NONE,
	MS_PROMPT_SEARCH,
	MS_PROMPT_COMMAND,
	MS_PROMPT_FILTER, /* of the top view */
};

/* What views show of a VM; reverse maps are asked for by the command that shows them. */
#define MS_UI_WANT (MS_WANT_VCPUS | MS_WANT_SLOTS | MS_WANT_MMUS | MS_WANT_SPS | MS_WANT_SPTES | MS_WANT_PINS)

#define MS_UI_MAX_VIEWS 8
#define MS_UI_LINE_MAX 200
#define MS_UI_HISTORY 32
#define MS_UI_MIN_WIDTH 40u
#define MS_UI_MIN_HEIGHT 10u

/* How many pages of a VM are in which state (enum ms_sp_state). */
struct ms_ui_pages {
	size_t nr, by_state[4];
	u32 walk_flags; /* of both walks together */
};

struct ms_ui {
	struct ms_target *target;
	const struct ms_ui_opts *opts;
	struct ms_model *list; /* all VMs, without their pages; NULL before the first read */
	struct ms_model *detail; /* one VM with everything; NULL when none is open */
	u64 kvm; /* the one in `detail' */
	struct ms_ui_pages pages; /* of `detail' */
	bool stale; /* the last attempt to read failed: what is shown is older */
	struct ms_view *views[MS_UI_MAX_VIEWS];
	size_t nr_views;
	char status[320];
	enum ms_look status_look;
	bool status_read; /* it says that reading or listening failed: gone when that succeeds */
	enum ms_ui_prompt prompt;
	char line[MS_UI_LINE_MAX]; /* of the prompt, UTF-8 */
	char refused
		[MS_UI_LINE_MAX]; /* the filter that was an error: what is asked for next begins with it */
	char needle[MS_UI_LINE_MAX];
	char history[MS_UI_HISTORY][MS_UI_LINE_MAX]; /* of `:', oldest first */
	size_t nr_history, history_at; /* at: the one in `line', nr_history: none */
	char candidates[MS_UI_LINE_MAX]; /* what the last word of `:' may become; "": not asked, or one */
	u32 interval_s;
	struct ms_ui_listen listen;
	struct ms_wp *wp; /* flips made here, NULL: none */
	u64 now_ms; /* as the loop has looked at the clock last; any beginning */
	bool utf8;
	bool quit;
	bool redraw; /* the terminal's content is not to be trusted */
	bool (*progress)(void *ctx, u64 nr_pages); /* see ms_ui_create() */
	void *progress_ctx;
};

/* core.c */
typedef bool ms_ui_progress_fn(void *ctx, u64 nr_pages);
/*
 * Reads the target for the first time and opens the first view. *ret is ended by ms_ui_destroy(). target and
 * opts stay the caller's. progress may be NULL; it is called now and then during a read with the pages so
 * far, and gives up when it returns false.
 */
struct ms_err *ms_ui_create(struct ms_target *target, const struct ms_ui_opts *opts,
			    ms_ui_progress_fn *progress, void *progress_ctx,
			    struct ms_ui **ret) MS_MUST_CHECK;
void ms_ui_destroy(struct ms_ui *ui);
void ms_ui_key(struct ms_ui *ui, u32 key);
enum ms_ui_mouse {
	MS_MOUSE_CLICK,
	MS_MOUSE_DOUBLE,
	MS_MOUSE_WHEEL_UP,
	MS_MOUSE_WHEEL_DOWN,
};
void ms_ui_mouse(struct ms_ui *ui, enum ms_ui_mouse event, u32 y, u32 x);
void ms_ui_draw(struct ms_ui *ui, struct ms_grid *grid);
struct ms_view *ms_ui_top(struct ms_ui *ui);
/* Takes ownership of the view, reloads and shows it. An error has destroyed it. */
struct ms_err *ms_ui_push(struct ms_ui *ui, struct ms_view *view) MS_MUST_CHECK;
void ms_ui_pop(struct ms_ui *ui);
/* The VM in ui->detail goes, unless a view shows it. */
void ms_ui_forget_vm(struct ms_ui *ui);
void ms_ui_status(struct ms_ui *ui, enum ms_look look, const char *fmt, ...) MS_PRINTF(3, 4);
/* Ask for the top view's filter, which is `now'; or again for what was refused. */
void ms_ui_prompt_filter(struct ms_ui *ui, const char *now);
/* Show an error in the status line, and free it. NULL is fine. */
void ms_ui_error(struct ms_ui *ui, struct ms_err *err);

/* load.c */
struct ms_err *ms_ui_load_list(struct ms_ui *ui) MS_MUST_CHECK;
/* Read this VM. An error leaves what was there before. */
struct ms_err *ms_ui_load_vm(struct ms_ui *ui, u64 kvm) MS_MUST_CHECK;
/*
 * Read again what the top view shows and tell every view of it; failure marks the old data stale and says so.
 */
void ms_ui_refresh(struct ms_ui *ui);
/* The VM in ui->detail; NULL when there is none. */
const struct ms_vm *ms_ui_vm(const struct ms_ui *ui);
/* "pid name" of a VM, or its kvm address, not cleaned. */
void ms_ui_vm_words(const struct ms_vm *vm, struct ms_buf *buf);

/* views */
struct ms_err *ms_view_vms_open(struct ms_ui *ui) MS_MUST_CHECK;
struct ms_err *ms_view_tree_open(struct ms_ui *ui) MS_MUST_CHECK;
/* One step down from a root: entry idx of the page sp was followed. */
struct ms_step {
	u64 sp;
	u32 idx;
};
#define MS_MAX_STEPS 12
/*
 * The table of page sp. `steps' leads from a root page to it (nr 0: it is a root itself, or when !rooted,
 * nobody knows).
 */
struct ms_err *ms_view_sp_open(struct ms_ui *ui, u64 sp, const struct ms_step *steps, size_t nr,
			       bool rooted) MS_MUST_CHECK;
/* Select an entry of the page just opened. */
void ms_view_sp_select(struct ms_ui *ui, u32 idx);
/* An entry that a view leads to. */
struct ms_ui_entry {
	u64 sp;
	u32 idx; /* MS_SPTES: the page, no entry of it */
};
/* The leaf of ui->detail that maps a frame, of L2's pages where there is one when l2 is set. False: none does. */
bool ms_ui_leaf_of(const struct ms_ui *ui, const struct ms_vm *vm, u64 gfn, bool l2, struct ms_ui_entry *ret);
/* Who dirties what in the VM in ui->detail, as it happens; the view that is open below, if there is one. */
struct ms_err *ms_view_dirty_open(struct ms_ui *ui) MS_MUST_CHECK;
/* What the auditor finds in the VM in ui->detail. */
struct ms_err *ms_view_audit_open(struct ms_ui *ui) MS_MUST_CHECK;
/* The events of the VM in ui->detail as they happen; the view that is open below, if there is one. */
struct ms_err *ms_view_events_open(struct ms_ui *ui) MS_MUST_CHECK;
/* Text in lines, cleaned when drawn. The title and the text are copied. */
struct ms_err *ms_view_pager_open(struct ms_ui *ui, const char *title, const char *text) MS_MUST_CHECK;
/* Run a command line and show what it says; with at_end from its end. Reading again runs it again. */
void ms_view_command_open(struct ms_ui *ui, const char *line, bool at_end);
struct ms_err *ms_view_help_open(struct ms_ui *ui) MS_MUST_CHECK;

/* How an entry looks, by its meaning. */
enum ms_look ms_look_of_entry(const struct spte_info *info);
/* True when needle is in text; ASCII letters match in either case. */
bool ms_text_has(const char *text, const char *needle);

#endif
