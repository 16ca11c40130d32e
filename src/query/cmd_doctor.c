/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor: what this host allows, and what is missing for what. The checks are target/doctor's. */
#include "query/private.h"

#include <stdlib.h>

#include "target/doctor.h"

static const struct ms_column check_cols[] = {
	{ "check", "CHECK", MS_V_TEXT },
	{ "status", "STATUS", MS_V_TEXT },
	{ "live", "FOR LIVE", MS_V_BOOL, .prio = 1 },
	{ "detail", "FOUND", MS_V_TEXT },
	{ "needed_for", "NEEDED FOR", MS_V_TEXT },
	{ "what_to_do", "WHAT TO DO", MS_V_TEXT },
};

static enum ms_style status_style(enum ms_check_status status)
{
	switch (status) {
	case MS_CHECK_OK:
		return MS_STYLE_GOOD;
	case MS_CHECK_MISSING:
		return MS_STYLE_BAD;
	case MS_CHECK_LIMITED:
	case MS_CHECK_UNKNOWN:
		break;
	}
	return MS_STYLE_WARN;
}

static void check_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_doctor *doctor = section->ctx;
	const struct ms_check *check = &doctor->checks[row];

	cell_text(&cells, check->name)->style = MS_STYLE_ACCENT;
	cell_text(&cells, ms_check_status_name(check->status))->style = status_style(check->status);
	cell_bool(&cells, check->for_live);
	cell_text(&cells, check->detail);
	cell_text(&cells, check->needed_for);
	cell_text(&cells, check->what_to_do);
}

static const struct ms_column verdict_cols[] = {
	{ "live", "target live", MS_V_TEXT },
	{ "snap", "target snap", MS_V_TEXT },
	{ "sim", "target sim", MS_V_TEXT },
	{ "module", "kernel module", MS_V_TEXT },
};

static void verdict_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_doctor *doctor = section->ctx;

	(void)row;
	cell_text(&cells, ms_check_status_name(doctor->live))->style = status_style(doctor->live);
	cell_text(&cells, ms_check_status_name(doctor->snap))->style = status_style(doctor->snap);
	/* It asks nothing of the host. */
	cell_text(&cells, ms_check_status_name(MS_CHECK_OK))->style = status_style(MS_CHECK_OK);
	cell_text(&cells, ms_check_status_name(doctor->module))->style = status_style(doctor->module);
}

struct ms_err *query_run_doctor(struct query *q)
{
	struct ms_doctor *doctor = calloc(1, sizeof(*doctor));
	struct ms_section *section;

	if (!doctor)
		return ms_err_nomem();
	ms_doctor_run("", q->args->types, doctor);
	section = section_add(q, "checks", "Checks", true, check_cols, MS_LEN(check_cols), doctor->nr,
			      check_row);
	if (!section) {
		free(doctor);
		return ms_err_nomem();
	}
	section->ctx = section->owned = doctor;
	section = section_add(q, "verdict", "Verdict", false, verdict_cols, MS_LEN(verdict_cols), 1,
			      verdict_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = doctor;
	if (doctor->live == MS_CHECK_MISSING)
		q->result->status = 1;
	return NULL;
}
