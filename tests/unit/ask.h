/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking the smallest host by lines of words, for tests of src/query. */
#ifndef TESTS_UNIT_ASK_H
#define TESTS_UNIT_ASK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "small.h"
#include "query/query.h"

#define VM "--vm 4242 "

struct run {
	struct small fake;
	struct ms_session session;
	struct ms_args args;
	struct ms_result *result;
	struct ms_cell *cells;
};

static inline void setup(struct run *run)
{
	memset(run, 0, sizeof(*run));
	small_machine(&run->fake);
	run->session.target = small_open(&run->fake);
}

static inline void drop(struct run *run)
{
	ms_result_destroy(run->result);
	run->result = NULL;
	ms_args_deinit(&run->args);
}

static inline void teardown(struct run *run)
{
	drop(run);
	ms_session_deinit(&run->session);
	small_end(&run->fake);
}

/* Run a line; it must succeed. */
static inline void ask(struct run *run, const char *line)
{
	struct ms_err *err;

	drop(run);
	err = ms_args_parse_line(line, NULL, &run->args);
	if (err)
		fail_msg("%s: %s", line, ms_err_text(err));
	err = ms_query_run(&run->session, &run->args, &run->result);
	if (err)
		fail_msg("%s: %s", line, ms_err_text(err));
}

/* Run a line; it must be refused as a usage error that says `part' in text or hint. */
static inline void refuse(struct run *run, const char *line, const char *part)
{
	struct ms_err *err;
	size_t i;

	drop(run);
	err = ms_args_parse_line(line, NULL, &run->args);
	if (!err)
		err = ms_query_run(&run->session, &run->args, &run->result);
	if (!err)
		fail_msg("%s: was taken", line);
	assert_int_equal(ms_err_exit_status(err), 2);
	assert_non_null(ms_err_hint_text(err));
	if (!strstr(ms_err_text(err), part) && !strstr(ms_err_hint_text(err), part))
		fail_msg("%s: '%s: %s' lacks '%s'", line, ms_err_text(err), ms_err_hint_text(err), part);
	/* A whole option's help is no hint. */
	for (i = 0; i < MS_NR_OPTS; i++)
		assert_string_not_equal(ms_err_hint_text(err), ms_options[i].help);
	ms_err_free(err);
}

static inline const struct ms_section *section(const struct run *run, const char *key)
{
	size_t i;

	for (i = 0; i < run->result->nr_sections; i++)
		if (!strcmp(run->result->sections[i].key, key))
			return &run->result->sections[i];
	fail_msg("%s: no section %s", run->result->command, key);
	return NULL;
}

/* One cell as text; the caller frees. */
static inline char *cell(const struct run *run, const struct ms_section *s, size_t row, const char *name)
{
	struct ms_cell *cells = ms_cells_create(s->nr_cols);
	struct ms_buf out = { 0 };
	size_t i;

	assert_true(row < s->nr_rows);
	ms_result_row(run->result, s, row, cells);
	for (i = 0; i < s->nr_cols; i++)
		if (!strcmp(s->cols[i].name, name))
			ms_cell_format(&cells[i], &s->cols[i], &out);
	assert_non_null(out.data);
	ms_cells_destroy(cells, s->nr_cols);
	return out.data;
}

static inline void is(const struct run *run, const char *key, size_t row, const char *name, const char *want)
{
	char *got = cell(run, section(run, key), row, name);

	if (strcmp(got, want))
		fail_msg("%s[%zu].%s is '%s', not '%s'", key, row, name, got, want);
	free(got);
}

static inline void rows(const struct run *run, const char *key, size_t want)
{
	assert_int_equal(section(run, key)->nr_rows, want);
}

static inline void note_is(const struct run *run, const char *part)
{
	size_t i;

	for (i = 0; i < run->result->nr_notes; i++)
		if (strstr(run->result->notes[i], part))
			return;
	fail_msg("%s: no note says '%s'", run->result->command, part);
}

#endif
