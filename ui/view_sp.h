/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the page view (view_sp.c) and its decoded pane (view_entry.c). */
#ifndef UI_VIEW_SP_H
#define UI_VIEW_SP_H

#include "ui/core.h"

/* "RW", "WP", ... of a leaf, else the class: "table", "empty", ... Static string. */
const char *ms_entry_state(const struct spte_info *info);

/*
 * Draw entry idx of a page whose table was read, taken apart, from line `top' on; `address' is what it
 * translates. Returns the line it started with, which is less than `top' when there are fewer lines.
 */
u32 ms_entry_draw(struct ms_ui *ui, const struct ms_sp *sp, u32 idx, const char *address, u32 top,
		  struct ms_grid *grid, struct ms_rect r);

#endif
