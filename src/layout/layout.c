/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the layout table needs no debug information reader. */
#include "layout/layout.h"

#include <string.h>

const char *ms_field_name(enum ms_field_id id)
{
	static const char *const names[MS_F_NR] = {
#define MS_FIELD(id, type, path) [MS_F_##id] = type "." path,
#include "layout/fields.def"
	};

	return names[id];
}

const struct ms_role_bit *ms_layout_role_bit(const struct ms_layout *layout, const char *name)
{
	uint32_t i;

	for (i = 0; i < layout->nr_role; i++)
		if (!strcmp(layout->role[i].name, name) && layout->role[i].bit + layout->role[i].width <= 32)
			return &layout->role[i];
	return NULL;
}
