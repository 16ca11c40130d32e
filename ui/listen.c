// SPDX-License-Identifier: GPL-2.0-or-later
/* One listener for all views: who gets it, and what is done when it fails. */
#include "ui/listen.h"

#include <stdlib.h>

#include "ui/core.h"

static bool same(const struct ms_listen *a, const struct ms_listen *b)
{
	return a->kvm == b->kvm && a->events == b->events && a->has_gfn == b->has_gfn &&
	       a->gfn_start == b->gfn_start && a->gfn_end == b->gfn_end && a->has_vcpu == b->has_vcpu &&
	       a->vcpu == b->vcpu && a->count_by == b->count_by && a->stacks == b->stacks &&
	       a->buffer_bytes == b->buffer_bytes;
}

/* The topmost view that wants to hear something; NULL: none. */
static struct ms_view *wanted(struct ms_ui *ui, struct ms_listen *ret)
{
	size_t i;

	if (!(ui->target->caps & MS_CAP_LISTEN))
		return NULL;
	for (i = ui->nr_views; i--;) {
		struct ms_view *view = ui->views[i];

		*ret = (struct ms_listen){ 0 };
		if (view->ops->listen && view->ops->listen(ui, view, ret))
			return view;
	}
	return NULL;
}

static void end(struct ms_ui *ui)
{
	struct ms_ui_listen *listen = &ui->listen;

	if (!listen->l)
		return;
	if (listen->view->ops->ended)
		listen->view->ops->ended(ui, listen->view);
	ms_unlisten(listen->l);
	listen->l = NULL;
}

void ms_ui_listen_stop(struct ms_ui *ui)
{
	end(ui);
	ui->listen = (struct ms_ui_listen){ 0 };
}

static void failed(struct ms_ui *ui, struct ms_err *err)
{
	ms_ui_error(ui, err);
	ui->status_read = true;
	end(ui);
	ui->listen.failed = true;
}

static bool attaching(void *ctx, u32 nr)
{
	struct ms_ui *ui = ctx;

	(void)nr;
	return !ui->progress || ui->progress(ui->progress_ctx, 0);
}

void ms_ui_listen_sync(struct ms_ui *ui)
{
	struct ms_ui_listen *listen = &ui->listen;
	struct ms_listen want;
	struct ms_view *view = wanted(ui, &want);
	struct ms_err *err;

	if (view && view == listen->view && same(&want, &listen->want) && (listen->l || listen->failed))
		return;
	ms_ui_listen_stop(ui);
	if (!view)
		return;
	listen->view = view;
	listen->want = want;
	want.progress = attaching;
	want.progress_ctx = ui;
	err = ms_target_listen(ui->target, &want, &listen->l);
	if (err) {
		listen->l = NULL;
		failed(ui, err);
		return;
	}
	listen->fed = ms_listen_fed(listen->l);
}

static bool put(void *ctx, const struct ms_event *event)
{
	struct ms_ui *ui = ctx;
	struct ms_view *view = ui->listen.view;

	if (view->ops->event)
		view->ops->event(ui, view, event);
	return ++ui->listen.taken < MS_UI_LISTEN_MAX;
}

static struct ms_err *counts(struct ms_ui *ui)
{
	struct ms_ui_listen *listen = &ui->listen;
	struct ms_event_count *rows = NULL;
	struct ms_err *err;
	size_t nr = 0;

	if (!listen->want.count_by || !listen->view->ops->counts)
		return NULL;
	err = ms_listen_counts(listen->l, &rows, &nr);
	if (!err)
		listen->view->ops->counts(ui, listen->view, rows, nr, ms_listen_now(listen->l));
	free(rows);
	return err;
}

bool ms_ui_listen_poll(struct ms_ui *ui)
{
	struct ms_ui_listen *listen = &ui->listen;
	struct ms_err *err;

	if (!listen->l)
		return false;
	listen->taken = 0;
	/* What has no file descriptor moves on while it is waited for. */
	err = ms_listen_next(listen->l, ms_listen_fd(listen->l) < 0 ? (int)MS_UI_LISTEN_MS : 0, put, ui);
	if (!err)
		err = counts(ui);
	if (!err)
		err = ms_listen_stats(listen->l, &listen->stats);
	if (err)
		failed(ui, err);
	return true;
}

int ms_ui_listen_fd(const struct ms_ui *ui)
{
	/* What is counted where it happens is delivered to nobody: no descriptor tells that there is something. */
	return ui->listen.want.count_by ? -1 : ms_listen_fd(ui->listen.l);
}

u64 ms_ui_listen_lost(const struct ms_ui *ui)
{
	return ms_listen_lost(&ui->listen.stats);
}
