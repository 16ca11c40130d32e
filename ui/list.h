/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A cursor over rows of which a window is seen. It knows numbers only. */
#ifndef UI_LIST_H
#define UI_LIST_H

#include "abi/types.h"
#include "ui/keymap.h"

struct ms_list {
	size_t nr; /* rows there are */
	size_t cursor; /* < nr, 0 when there is none */
	size_t top; /* first row seen */
	size_t rows; /* rows that can be seen */
};

/* Rows or window changed: keep the cursor valid and in sight, and waste no window. */
void ms_list_fit(struct ms_list *list, size_t nr, size_t rows);
/* Move the cursor, in sight. */
void ms_list_go(struct ms_list *list, size_t row);
/* UP, DOWN, PAGE_UP, PAGE_DOWN, FIRST, LAST; false for any other. */
bool ms_list_request(struct ms_list *list, enum ms_request request);

#endif
