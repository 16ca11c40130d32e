/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared within src/render only. */
#ifndef RENDER_PRIVATE_H
#define RENDER_PRIVATE_H

#include "render/render.h"

/*
 * Collects output and passes it on in large pieces. After a failed write nothing more is written; `error'
 * keeps the errno.
 */
struct sink {
	FILE *out;
	struct ms_buf buf;
	int error;
};

/* Pass on what has been collected, if it is much or `all'. False: stop, something went wrong. */
bool sink_flush(struct sink *sink, bool all);

/* Both return false when cells could not be allocated or the sink has failed. */
bool render_text(const struct ms_result *result, const struct ms_render_opts *opts, struct sink *sink);
bool render_json(const struct ms_result *result, const struct ms_render_opts *opts, struct sink *sink);
bool render_rows_text(const struct ms_result *result, const struct ms_render_opts *opts, struct ms_rows *rows,
		      struct sink *sink);
bool render_rows_json(const struct ms_result *result, struct sink *sink);

/* Parts of JSON for others: a string, cleaned and quoted; the members of a row from column first on, without braces. */
void json_string(struct sink *sink, const char *s, size_t len);
void json_members(struct sink *sink, const struct ms_section *section, size_t first,
		  const struct ms_cell *cells);

#endif
