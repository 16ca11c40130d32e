// SPDX-License-Identifier: GPL-2.0-or-later
/* The loop between a terminal and the state machine: one poll over keys, signals, the interval and events. */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "ui/core.h"
#include "ui/flip.h"
#include "ui/term.h"

#define BUSY_EVERY_MS 100

struct runner {
	struct ms_term *term;
	struct ms_grid grid;
	u64 busy_ms; /* when progress was shown last */
	u64 refresh_ms; /* when to read again, with an interval */
	u64 flip_ms; /* when to look for writes to flipped frames again */
	u64 listen_ms; /* when to look for events again, while somebody listens */
};

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

static bool progress(void *ctx, u64 nr_pages)
{
	struct runner *run = ctx;
	u64 now = now_ms();
	char text[80];

	if (now - run->busy_ms < BUSY_EVERY_MS)
		return true;
	run->busy_ms = now;
	if (nr_pages)
		snprintf(text, sizeof(text), " reading: %llu pages; Esc stops ",
			 (unsigned long long)nr_pages);
	else
		snprintf(text, sizeof(text), " at work; Esc stops ");
	return !ms_term_busy(run->term, text);
}

/* The size is asked for each time: a change can also come to light during a read. */
static struct ms_err *resize(struct runner *run)
{
	u32 width, height;

	ms_term_size(run->term, &width, &height);
	return ms_grid_resize(&run->grid, width, height);
}

static int until(u64 then_ms, u64 now)
{
	return then_ms > now ? (int)(then_ms - now) : 0;
}

/*
 * How long to wait, and for what beside keys: for events no sooner than the last were looked at MS_UI_LISTEN_MS ago,
 * since a storm of them must not draw the screen all the time.
 */
static int timeout_of(struct ms_ui *ui, const struct runner *run, int *fd_ret)
{
	u64 now = now_ms();
	int ret = ui->interval_s ? until(run->refresh_ms, now) : -1, listen;

	if (ui->wp && (ret < 0 || until(run->flip_ms, now) < ret))
		ret = until(run->flip_ms, now);
	*fd_ret = -1;
	if (!ui->listen.l)
		return ret;
	if (run->listen_ms <= now)
		*fd_ret = ms_ui_listen_fd(ui);
	if (*fd_ret >= 0)
		return ret;
	listen = until(run->listen_ms, now);
	return ret < 0 || listen < ret ? listen : ret;
}

static void listen_do(struct ms_ui *ui, struct runner *run)
{
	ms_ui_listen_sync(ui);
	if (!ui->listen.l || run->listen_ms > now_ms())
		return;
	ms_ui_listen_poll(ui);
	run->listen_ms = now_ms() + MS_UI_LISTEN_MS;
}

static void flip_do(struct ms_ui *ui, struct runner *run)
{
	if (!ui->wp || run->flip_ms > now_ms())
		return;
	ms_ui_flip_poll(ui);
	run->flip_ms = now_ms() + MS_UI_FLIP_MS;
}

static void interval_do(struct ms_ui *ui, struct runner *run)
{
	u64 now = now_ms(), due = now + ui->interval_s * 1000ull;

	if (!ui->interval_s)
		return;
	if (run->refresh_ms > due) /* the interval became shorter */
		run->refresh_ms = due;
	/* Not while someone types: rows would move under the search. */
	if (run->refresh_ms <= now && ui->prompt == MS_PROMPT_NONE) {
		if (run->refresh_ms)
			ms_ui_refresh(ui);
		run->refresh_ms = now_ms() + ui->interval_s * 1000ull;
	} else if (run->refresh_ms <= now) {
		run->refresh_ms = due;
	}
}

static struct ms_err *loop(struct ms_ui *ui, struct runner *run)
{
	struct ms_term_event event;
	struct ms_err *err;
	int timeout, fd;

	while (!ui->quit) {
		ui->now_ms = now_ms();
		/* Before drawing: what was read is shown now, not an interval later. */
		interval_do(ui, run);
		listen_do(ui, run);
		flip_do(ui, run);
		err = resize(run);
		if (err)
			return err;
		ms_ui_draw(ui, &run->grid);
		ms_term_show(run->term, &run->grid, ui->redraw);
		ui->redraw = false;
		timeout = timeout_of(ui, run, &fd);
		ms_term_wait(run->term, timeout, fd, &event);
		ui->now_ms = now_ms();
		if (event.kind == MS_EVENT_END)
			break;
		if (event.kind == MS_EVENT_KEY)
			ms_ui_key(ui, event.key);
		else if (event.kind == MS_EVENT_MOUSE)
			ms_ui_mouse(ui, event.mouse, event.y, event.x);
	}
	return NULL;
}

struct ms_err *ms_ui_run(struct ms_target *target, const struct ms_ui_opts *opts)
{
	struct runner run = { 0 };
	struct ms_ui *ui = NULL;
	struct ms_err *err;
	int signo;

	err = ms_term_create(opts->color, &run.term);
	if (err)
		return err;
	err = ms_ui_create(target, opts, progress, &run, &ui);
	if (!err)
		err = loop(ui, &run);
	ms_ui_destroy(ui);
	ms_grid_deinit(&run.grid);
	signo = ms_term_destroy(run.term);
	if (signo) {
		/* As anyone else who is asked to end: by the signal, so that the parent sees it. */
		signal(signo, SIG_DFL);
		raise(signo);
	}
	return err;
}
