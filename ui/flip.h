/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Write-protect flips made with a key: they belong to the interface and end with it. What is written
 * meanwhile is told in the status line.
 */
#ifndef UI_FLIP_H
#define UI_FLIP_H

#include "abi/types.h"

struct ms_ui;

/* How often, in ms, somebody should call ms_ui_flip_poll() while ui->wp is there. */
#define MS_UI_FLIP_MS 200

/* The other way round for this frame of the VM in ui->detail; says what came of it. */
void ms_ui_flip(struct ms_ui *ui, u64 gfn);
/* What was written since: the last of it goes to the status line. */
void ms_ui_flip_poll(struct ms_ui *ui);
/* Undo all. */
void ms_ui_flip_end(struct ms_ui *ui);

#endif
