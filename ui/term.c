// SPDX-License-Identifier: GPL-2.0-or-later
/* Curses behind term.h. */
#define NCURSES_WIDECHAR 1
#include "ui/term.h"

#include <errno.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define DOUBLE_CLICK_MS 400
#define AHEAD_MAX 16u

struct ms_term {
	SCREEN *screen;
	sigset_t old_mask;
	int signals; /* signalfd */
	int ended_by;
	bool colour;
	struct ms_term_event ahead[AHEAD_MAX]; /* typed during ms_term_busy() */
	u32 nr_ahead;
	u64 click_ms; /* last press, for double clicks */
	u32 click_y, click_x;
	attr_t looks[MS_NR_LOOKS];
	short pairs[MS_NR_LOOKS];
};

/* ---- looks ---- */

#define DEFAULT (-1)
#define BLUE COLOR_BLUE
#define CYAN COLOR_CYAN
#define GREEN COLOR_GREEN
#define MAGENTA COLOR_MAGENTA
#define RED COLOR_RED
#define YELLOW COLOR_YELLOW
#define PLAIN A_NORMAL
#define BOLD A_BOLD
#define DIM A_DIM
#define REVERSE A_REVERSE
#define UNDERLINE A_UNDERLINE
static const struct {
	short colour;
	attr_t attrs, mono;
} looks[MS_NR_LOOKS] = {
#define MS_LOOK(id, letter, colour, attrs, mono) [MS_LOOK_##id] = { colour, attrs, mono },
#include "ui/look.def"
#undef MS_LOOK
};
#undef DEFAULT
#undef DIM

static bool colour_wanted(enum ms_ui_color color)
{
	const char *no = getenv("NO_COLOR");

	if (color == MS_UI_COLOR_NEVER || !has_colors())
		return false;
	return color == MS_UI_COLOR_ALWAYS || !no || !*no;
}

static void looks_init(struct ms_term *term)
{
	short background = -1;
	int i;

	if (term->colour) {
		start_color();
		/* The user's own background; where that cannot be had, black. */
		if (use_default_colors() == ERR)
			background = COLOR_BLACK;
	}
	for (i = 0; i < MS_NR_LOOKS; i++) {
		short fore = looks[i].colour;

		term->looks[i] = term->colour ? looks[i].attrs : looks[i].mono;
		if (!term->colour || fore < 0)
			continue;
		if (init_pair((short)(i + 1), fore, background) != ERR)
			term->pairs[i] = (short)(i + 1);
	}
}

/* ---- taking and giving back ---- */

static struct ms_err *signals_take(struct ms_term *term)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &set, &term->old_mask))
		return ms_err_errno(MS_ERR_TARGET, errno, "block signals");
	term->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (term->signals >= 0)
		return NULL;
	sigprocmask(SIG_SETMASK, &term->old_mask, NULL);
	return ms_err_errno(MS_ERR_TARGET, errno, "make a file of signals");
}

struct ms_err *ms_term_create(enum ms_ui_color color, struct ms_term **ret)
{
	const char *name = getenv("TERM");
	struct ms_term *term;
	struct ms_err *err;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "no terminal to run on"),
				   "--frame prints one frame as text, --help names the commands");
	term = calloc(1, sizeof(*term));
	if (!term)
		return ms_err_nomem();
	err = signals_take(term);
	if (err) {
		free(term);
		return err;
	}
	/* Not initscr(): that one ends the process when TERM is not known. */
	term->screen = newterm(NULL, stdout, stdin);
	if (!term->screen) {
		ms_term_destroy(term);
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "terminal type '%s' is not known here", name ? name : ""),
			"set TERM to one that is, as vt100 or xterm");
	}
	set_term(term->screen);
	cbreak();
	noecho();
	nonl(); /* Enter comes as \r */
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	meta(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	/* Clicks are put together here: curses would hold each press back to see what follows. */
	mouseinterval(0);
	mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
	term->colour = colour_wanted(color);
	looks_init(term);
	*ret = term;
	return NULL;
}

int ms_term_destroy(struct ms_term *term)
{
	struct signalfd_siginfo info;
	int ended_by;

	if (!term)
		return 0;
	if (term->screen) {
		endwin();
		delscreen(term->screen);
	}
	/* A second ^C or a window change that is still pending must not end the process once unblocked. */
	while (read(term->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP)
			term->ended_by = (int)info.ssi_signo;
	close(term->signals);
	sigprocmask(SIG_SETMASK, &term->old_mask, NULL);
	ended_by = term->ended_by;
	free(term);
	return ended_by;
}

void ms_term_size(struct ms_term *term, u32 *width_ret, u32 *height_ret)
{
	*width_ret = COLS > 0 ? (u32)COLS : 1;
	*height_ret = LINES > 0 ? (u32)LINES : 1;
}

/* ---- out ---- */

static void cell_show(struct ms_term *term, const struct ms_grid *grid, u32 y, u32 x,
		      const struct ms_grid_cell *cell)
{
	attr_t attrs = term->looks[cell->look];
	wchar_t text[2] = { (wchar_t)cell->cp, 0 };
	cchar_t out;

	if (cell->flags & MS_CELL_SELECTED)
		attrs = (attrs & ~(attr_t)(A_DIM | A_UNDERLINE)) | A_REVERSE;
	else if (cell->flags & MS_CELL_MARKED)
		attrs |= A_UNDERLINE | A_BOLD;
	if (!grid->utf8) {
		attr_set(attrs, term->pairs[cell->look], NULL);
		mvaddch((int)y, (int)x, cell->cp < 0x80 ? (chtype)cell->cp : '?');
		return;
	}
	setcchar(&out, text, attrs, term->pairs[cell->look], NULL);
	mvadd_wch((int)y, (int)x, &out);
}

void ms_term_show(struct ms_term *term, const struct ms_grid *grid, bool all)
{
	u32 y, x;

	if (all)
		clearok(curscr, TRUE);
	erase();
	for (y = 0; y < grid->height; y++) {
		for (x = 0; x < grid->width; x++) {
			const struct ms_grid_cell *cell = ms_grid_at(grid, y, x);

			if (cell->cp && (cell->cp != ' ' || cell->look || cell->flags))
				cell_show(term, grid, y, x, cell);
		}
	}
	refresh();
}

/* ---- in ---- */

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

/* True when an event came of it. */
static bool signal_read(struct ms_term *term, struct ms_term_event *ret)
{
	struct signalfd_siginfo info;
	struct winsize size;

	if (read(term->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo == SIGWINCH) {
		if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
			resizeterm(size.ws_row, size.ws_col);
		ret->kind = MS_EVENT_RESIZE;
		return true;
	}
	if (info.ssi_signo != SIGINT)
		term->ended_by = (int)info.ssi_signo;
	ret->kind = MS_EVENT_END;
	return true;
}

static void mouse_read(struct ms_term *term, struct ms_term_event *ret)
{
	MEVENT event;
	u64 now;

	if (getmouse(&event) != OK || event.x < 0 || event.y < 0)
		return;
	ret->kind = MS_EVENT_MOUSE;
	ret->y = (u32)event.y;
	ret->x = (u32)event.x;
	if (event.bstate & BUTTON4_PRESSED) {
		ret->mouse = MS_MOUSE_WHEEL_UP;
	} else if (event.bstate & BUTTON5_PRESSED) {
		ret->mouse = MS_MOUSE_WHEEL_DOWN;
	} else if (event.bstate & BUTTON1_PRESSED) {
		now = now_ms();
		ret->mouse = MS_MOUSE_CLICK;
		if (now - term->click_ms < DOUBLE_CLICK_MS && ret->y == term->click_y &&
		    ret->x == term->click_x)
			ret->mouse = MS_MOUSE_DOUBLE;
		term->click_ms = ret->mouse == MS_MOUSE_DOUBLE ? 0 : now;
		term->click_y = ret->y;
		term->click_x = ret->x;
	} else {
		ret->kind = MS_EVENT_NONE;
	}
}

static u32 key_of(wint_t code)
{
	static const struct {
		int code;
		u32 key;
	} keys[] = {
		{ KEY_UP, MS_KEY_UP },	       { KEY_DOWN, MS_KEY_DOWN },
		{ KEY_LEFT, MS_KEY_LEFT },     { KEY_RIGHT, MS_KEY_RIGHT },
		{ KEY_PPAGE, MS_KEY_PAGE_UP }, { KEY_NPAGE, MS_KEY_PAGE_DOWN },
		{ KEY_HOME, MS_KEY_HOME },     { KEY_END, MS_KEY_END },
		{ KEY_DC, MS_KEY_DELETE },     { KEY_BACKSPACE, MS_KEY_BACKSPACE },
		{ KEY_ENTER, MS_KEY_ENTER },   { KEY_BTAB, MS_KEY_TAB },
	};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if ((wint_t)keys[i].code == code)
			return keys[i].key;
	if (code > KEY_F0 && code <= KEY_F(12))
		return MS_KEY_F(code - KEY_F0);
	return 0;
}

static bool key_read(struct ms_term *term, struct ms_term_event *ret)
{
	wint_t code;
	int kind = get_wch(&code);

	if (kind == ERR)
		return false;
	if (kind == KEY_CODE_YES && code == KEY_MOUSE) {
		mouse_read(term, ret);
		return true;
	}
	if (kind == KEY_CODE_YES) {
		ret->key = key_of(code);
		ret->kind = ret->key ? MS_EVENT_KEY : code == KEY_RESIZE ? MS_EVENT_RESIZE : MS_EVENT_NONE;
		return true;
	}
	ret->kind = MS_EVENT_KEY;
	ret->key = code == '\n' ? MS_KEY_ENTER : code == '\b' ? MS_KEY_BACKSPACE : (u32)code;
	return true;
}

void ms_term_wait(struct ms_term *term, int timeout_ms, int fd, struct ms_term_event *ret)
{
	struct pollfd fds[3] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = term->signals, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};

	memset(ret, 0, sizeof(*ret));
	if (term->ended_by) { /* during ms_term_busy() */
		ret->kind = MS_EVENT_END;
		return;
	}
	if (term->nr_ahead) {
		*ret = term->ahead[0];
		memmove(term->ahead, term->ahead + 1, --term->nr_ahead * sizeof(*ret));
		return;
	}
	/* Curses may hold keys of what it read already. */
	if (key_read(term, ret) || signal_read(term, ret))
		return;
	if (poll(fds, 3, timeout_ms) <= 0)
		return; /* also after a stop and continue: what is on screen is drawn anew by curses */
	if (fds[1].revents && signal_read(term, ret))
		return;
	if (!fds[0].revents || key_read(term, ret))
		return;
	if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		ret->kind = MS_EVENT_END;
}

bool ms_term_busy(struct ms_term *term, const char *text)
{
	struct ms_term_event event = { 0 };

	attr_set(A_REVERSE, 0, NULL);
	mvaddnstr(LINES - 1, 0, text, COLS);
	clrtoeol();
	refresh();
	if (signal_read(term, &event) && event.kind == MS_EVENT_END)
		return true;
	for (;;) {
		memset(&event, 0, sizeof(event));
		if (!key_read(term, &event))
			return false;
		if (event.kind != MS_EVENT_KEY)
			continue;
		if (event.key == MS_KEY_ESC) {
			term->nr_ahead = 0;
			return true;
		}
		if (term->nr_ahead < AHEAD_MAX)
			term->ahead[term->nr_ahead++] = event;
	}
}
