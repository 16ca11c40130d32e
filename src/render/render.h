/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Results to text and to JSON. All that is shown comes through a result's cells; nothing here knows a
 * command by name.
 */
#ifndef RENDER_RENDER_H
#define RENDER_RENDER_H

#include <stdio.h>

#include "query/query.h"

/* The version of the JSON form, in its "schema" member; doc/schema.json describes it. */
#define MS_JSON_SCHEMA "mmuscope/1"

struct ms_render_opts {
	bool json;
	bool pretty; /* JSON: with line breaks */
	bool color; /* text: SGR sequences around cells */
	bool no_header; /* text: no provenance, no headings */
	bool lines_only; /* text: after provenance, sections that are a line; no notes */
	bool brief; /* text: of provenance only target, time and kernel */
	u32 width; /* text: columns of the terminal, 0: no limit */
};

/*
 * Write a whole result. The output is written in pieces, so that a long one starts at once. When it cannot
 * be written, the error says so and *write_errno_ret is the errno value (EPIPE: the reader has gone); it is
 * 0 for any other error.
 */
struct ms_err *ms_render(const struct ms_result *result, const struct ms_render_opts *opts, FILE *out,
			 int *write_errno_ret) MS_MUST_CHECK;

/* --- rows that come bit by bit --- */

#define MS_ROWS_COLS_MAX 128

/* Zero-initialised is before the first ones. */
struct ms_rows {
	bool begun;
	u32 widths[MS_ROWS_COLS_MAX]; /* of text's columns: what was seen so far */
};

/*
 * The rows of a result's first section, a table, and behind what was written before: text has provenance and headings
 * once, and columns that only grow; JSON is one object a row, each on a line of its own. Ends with everything passed
 * on. Errors as of ms_render().
 */
struct ms_err *ms_render_rows(const struct ms_result *result, const struct ms_render_opts *opts,
			      struct ms_rows *rows, FILE *out, int *write_errno_ret) MS_MUST_CHECK;

#endif
