/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the layout table needs no debug information reader. */
#include "layout/layout.h"

const char *ms_field_name(enum ms_field_id id)
{
	static const char *const names[MS_F_NR] = {
#define MS_FIELD(id, type, path) [MS_F_##id] = type "." path,
#include "layout/fields.def"
	};

	return names[id];
}
