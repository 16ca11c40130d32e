/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interface's one listener: whatever the topmost view asks for that wants events (ms_view_ops.listen). It is
 * looked after from the loop in run.c, or by a test: sync, wait, poll. No threads; while no view asks, nobody listens
 * and it costs the host nothing.
 */
#ifndef UI_LISTEN_H
#define UI_LISTEN_H

#include "target/target.h"

struct ms_ui;
struct ms_view;

#define MS_UI_LISTEN_MS 100u /* between two looks; a simulated machine makes as many steps */
#define MS_UI_LISTEN_MAX 16384u /* events taken in one look: keys come in between */

struct ms_ui_listen {
	struct ms_listener *l; /* NULL: nobody listens */
	struct ms_view *view; /* for whom */
	struct ms_listen want; /* what was asked for, also when that failed */
	u64 fed; /* 1 << enum ms_event_id: what can be heard here */
	struct ms_listen_stats stats; /* when it was looked at last */
	bool failed; /* it is not tried again until something else is asked for, or the target is read */
	u32 taken; /* events, in this look */
};

/* Begin, end or change listening as the views want it now. */
void ms_ui_listen_sync(struct ms_ui *ui);
/* Take what there is and hand it to its view. True: the view may look different now. */
bool ms_ui_listen_poll(struct ms_ui *ui);
/* Readable when there is something; -1: only time tells. With ui->listen.l only. */
int ms_ui_listen_fd(const struct ms_ui *ui);
/* For those who listen to the target themselves; the next sync begins anew, and what happened between is not heard. */
void ms_ui_listen_stop(struct ms_ui *ui);
/* Events that passed and were not delivered, of every kind, since listening began. */
u64 ms_ui_listen_lost(const struct ms_ui *ui);

#endif
