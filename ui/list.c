// SPDX-License-Identifier: GPL-2.0-or-later
/* A cursor over rows: see list.h. */
#include "ui/list.h"

void ms_list_fit(struct ms_list *list, size_t nr, size_t rows)
{
	list->nr = nr;
	list->rows = rows ? rows : 1;
	ms_list_go(list, list->cursor);
	if (list->top + list->rows > nr)
		list->top = nr > list->rows ? nr - list->rows : 0;
}

void ms_list_go(struct ms_list *list, size_t row)
{
	if (row >= list->nr)
		row = list->nr ? list->nr - 1 : 0;
	list->cursor = row;
	if (list->top > row)
		list->top = row;
	if (list->rows && row >= list->top + list->rows)
		list->top = row - list->rows + 1;
}

bool ms_list_request(struct ms_list *list, enum ms_request request)
{
	size_t page = list->rows > 1 ? list->rows - 1 : 1;

	switch (request) {
	case MS_REQ_UP:
		ms_list_go(list, list->cursor ? list->cursor - 1 : 0);
		return true;
	case MS_REQ_DOWN:
		ms_list_go(list, list->cursor + 1);
		return true;
	case MS_REQ_PAGE_UP:
		ms_list_go(list, list->cursor > page ? list->cursor - page : 0);
		return true;
	case MS_REQ_PAGE_DOWN:
		ms_list_go(list, list->cursor + page);
		return true;
	case MS_REQ_FIRST:
		ms_list_go(list, 0);
		return true;
	case MS_REQ_LAST:
		ms_list_go(list, list->nr);
		return true;
	default:
		return false;
	}
}
