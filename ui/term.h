/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal: the grid out, keys and mouse in. term.c is the one file that includes curses. It knows
 * neither model nor views.
 */
#ifndef UI_TERM_H
#define UI_TERM_H

#include "ui/core.h"
#include "ui/grid.h"

struct ms_term;

enum ms_term_event_kind {
	MS_EVENT_NONE, /* time is up, or nothing that matters */
	MS_EVENT_KEY,
	MS_EVENT_MOUSE,
	MS_EVENT_RESIZE,
	MS_EVENT_END, /* a signal asks to end, or the terminal is gone */
};

struct ms_term_event {
	enum ms_term_event_kind kind;
	u32 key; /* as in keymap.h */
	enum ms_ui_mouse mouse;
	u32 y, x;
};

/*
 * Take the terminal over. From here to ms_term_destroy() SIGINT, SIGTERM, SIGHUP and SIGWINCH are blocked and
 * come as events. Fails when standard input or output is no terminal, or TERM names none that curses knows.
 */
struct ms_err *ms_term_create(enum ms_ui_color color, struct ms_term **ret) MS_MUST_CHECK;
/*
 * Give the terminal back as it was. Takes NULL. Returns the signal that asked to end (SIGTERM or SIGHUP), 0
 * when none did.
 */
int ms_term_destroy(struct ms_term *term);
void ms_term_size(struct ms_term *term, u32 *width_ret, u32 *height_ret);
/* Show the grid; `all': the terminal's content is not to be trusted. */
void ms_term_show(struct ms_term *term, const struct ms_grid *grid, bool all);
/* Wait for one event, at most timeout_ms (-1: without limit), or until fd can be read (-1: none): MS_EVENT_NONE. */
void ms_term_wait(struct ms_term *term, int timeout_ms, int fd, struct ms_term_event *ret);
/*
 * During long work: show a line at the bottom; true when Esc, ^C or a signal asks to stop. Other keys, 16 at most,
 * wait for ms_term_wait(); Esc drops them.
 */
bool ms_term_busy(struct ms_term *term, const char *text);

#endif
