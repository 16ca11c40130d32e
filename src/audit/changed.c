/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Row 37 of SEMANTICS H: what was written, against the dirty logs. */
#include "audit/private.h"

void audit_changed(struct audit *a)
{
	size_t i;

	for (i = 0; i < a->vm->nr_changed; i++) {
		const struct ms_rec_changed *rec = &a->vm->changed[i];
		const struct place at = { .idx = MS_AUDIT_NO_INDEX, .have_gfn = true, .gfn = rec->gfn };

		if (audit_asks(a, 37) && !rec->logged)
			audit_found(a, 37, &at, "written, and not in the log of memslot %u", rec->slot);
	}
}
