/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: plays scenario files, one row a play. A file whose head names bugs is played without and with each,
 * one whose machine names no kernel as each kernel. All files are read before the first is played, so that a
 * misspelling is not found behind an hour's work.
 */
#include "query/private.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/guard.h"
#include "nmmu/types.h"
#include "scenario/scenario.h"

#define SUFFIX ".scn"
#define MAX_FILES 4096

struct file {
	char *path;
	struct ms_scenario *scenario;
};

struct played {
	const struct file *file;
	u32 bugs;
	bool has_machine; /* it came as far as to make one: of this kernel */
	enum nmmu_kernel kernel;
	bool passed;
	u64 nr_expects, nr_steps;
	u32 line, column;
	char *found; /* NULL: passed */
};

struct runs {
	struct file *files;
	size_t nr_files, cap_files;
	struct played *rows;
	size_t nr_rows, cap_rows;
};

static void runs_free(void *owned)
{
	struct runs *runs = owned;
	size_t i;

	for (i = 0; i < runs->nr_rows; i++)
		free(runs->rows[i].found);
	for (i = 0; i < runs->nr_files; i++) {
		free(runs->files[i].path);
		ms_scenario_destroy(runs->files[i].scenario);
	}
	free(runs->files);
	free(runs->rows);
	free(runs);
}

/* --- files --- */

static struct ms_err *add_file(struct runs *runs, const char *path)
{
	struct file *files = ms_grow(runs->files, &runs->cap_files, runs->nr_files + 1, sizeof(*files));

	if (!files)
		return ms_err_nomem();
	runs->files = files;
	if (runs->nr_files == MAX_FILES)
		return ms_err_new(MS_ERR_USAGE, "run: more than %d files", MAX_FILES);
	files[runs->nr_files] = (struct file){ .path = strdup(path) };
	if (!files[runs->nr_files].path)
		return ms_err_nomem();
	runs->nr_files++;
	return NULL;
}

static int is_scenario(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(SUFFIX) && !strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX);
}

static struct ms_err *add_dir(struct runs *runs, const char *dir)
{
	const char *slash = dir[strlen(dir) - 1] == '/' ? "" : "/";
	struct dirent **entries = NULL;
	struct ms_buf path = { 0 };
	struct ms_err *err = NULL;
	int nr, i;

	nr = scandir(dir, &entries, is_scenario, alphasort);
	if (nr < 0)
		return ms_err_errno(MS_ERR_TARGET, errno, "run: %s", dir);
	if (!nr)
		err = ms_err_hint(ms_err_new(MS_ERR_USAGE, "run: %s: there is no scenario in it", dir),
				  "scenarios are files *" SUFFIX);
	for (i = 0; i < nr; i++) {
		ms_buf_reset(&path);
		ms_buf_printf(&path, "%s%s%s", dir, slash, entries[i]->d_name);
		if (!err)
			err = path.oom ? ms_err_nomem() : add_file(runs, ms_buf_str(&path));
		free(entries[i]);
	}
	free(entries);
	ms_buf_deinit(&path);
	return err;
}

static struct ms_err *read_file(struct file *file)
{
	FILE *stream MS_FCLOSE = fopen(file->path, "r");
	char *text MS_FREE = NULL;
	size_t len;

	if (!stream)
		return ms_err_errno(MS_ERR_TARGET, errno, "run: %s", file->path);
	/* One byte more than is allowed: the parser says that it is too long. */
	text = malloc(MS_SCENARIO_MAX_BYTES + 1);
	if (!text)
		return ms_err_nomem();
	len = fread(text, 1, MS_SCENARIO_MAX_BYTES + 1, stream);
	if (ferror(stream))
		return ms_err_errno(MS_ERR_TARGET, errno, "run: %s", file->path);
	return ms_scenario_parse(file->path, text, len, &file->scenario);
}

static struct ms_err *find_files(struct runs *runs, const struct ms_args *args)
{
	struct ms_err *err = NULL;
	struct stat st;
	size_t i;

	for (i = 0; i < args->nr_args && !err; i++) {
		const char *path = args->args[i];

		if (!*path || stat(path, &st))
			err = ms_err_errno(MS_ERR_TARGET, *path ? errno : ENOENT, "run: %s", path);
		else
			err = S_ISDIR(st.st_mode) ? add_dir(runs, path) : add_file(runs, path);
	}
	for (i = 0; i < runs->nr_files && !err; i++)
		err = read_file(&runs->files[i]);
	return err;
}

/* --- plays --- */

static struct ms_err *play(struct runs *runs, const struct file *file, enum nmmu_kernel kernel, u32 bugs)
{
	const struct ms_play_opts opts = { .bugs = bugs, .kernel = kernel };
	struct ms_step_result result;
	struct played *rows, *row;
	struct ms_play *p = NULL;
	struct ms_err *err;

	rows = ms_grow(runs->rows, &runs->cap_rows, runs->nr_rows + 1, sizeof(*rows));
	if (!rows)
		return ms_err_nomem();
	runs->rows = rows;
	err = ms_play_create(file->scenario, &opts, &p);
	if (err)
		return err;
	ms_play_run(p, &result);
	row = &rows[runs->nr_rows++];
	*row = (struct played){
		.file = file,
		.bugs = bugs,
		.passed = result.step == MS_STEP_END,
		.nr_expects = ms_play_nr_expects(p),
		.nr_steps = ms_play_nr_steps(p),
		.line = result.line,
		.column = result.column,
	};
	if (ms_play_machine(p)) {
		row->has_machine = true;
		row->kernel = ms_machine_nmmu(ms_play_machine(p))->cfg.kernel;
	}
	if (!row->passed) {
		row->found = ms_clean_dup(result.text);
		if (!row->found)
			err = ms_err_nomem();
	}
	ms_play_destroy(p);
	return err;
}

static struct ms_err *play_as(const struct query *q, struct runs *runs, const struct file *file,
			      enum nmmu_kernel kernel)
{
	u32 shown = ms_scenario_bugs(file->scenario) & ~q->args->bugs, bug;
	struct ms_err *err;

	err = play(runs, file, kernel, q->args->bugs);
	for (bug = 0; ms_bug_name(bug) && !err; bug++)
		if (shown & 1u << bug)
			err = play(runs, file, kernel, q->args->bugs | 1u << bug);
	return err;
}

static struct ms_err *play_all(struct query *q, struct runs *runs)
{
	struct ms_err *err = NULL;
	size_t i;

	for (i = 0; i < runs->nr_files && !err; i++) {
		const struct file *file = &runs->files[i];

		err = play_as(q, runs, file, NMMU_6_1);
		if (!err && !ms_scenario_names_kernel(file->scenario))
			err = play_as(q, runs, file, NMMU_6_12);
	}
	return err;
}

/* --- rows --- */

static const struct ms_column play_cols[] = {
	{ "file", "FILE", MS_V_TEXT },
	{ "result", "RESULT", MS_V_TEXT },
	{ "kernel", "KERNEL", MS_V_TEXT, .prio = 2 },
	{ "bugs", "BUGS", MS_V_WORDS, .prio = 1 },
	{ "rule", "RULE", MS_V_TEXT, .prio = 2 },
	{ "title", "SCENARIO", MS_V_TEXT, .prio = 4 },
	{ "twin", "TWIN", MS_V_TEXT, .prio = 6, .flags = MS_COL_SKIP },
	{ "expectations", "EXPECTED", MS_V_COUNT, .prio = 3 },
	{ "steps", "STEPS", MS_V_COUNT, .prio = 5 },
	{ "where", "WHERE", MS_V_TEXT },
	{ "found", "FOUND", MS_V_TEXT },
};

static void play_row(const struct ms_section *section, size_t at, struct ms_cell *cells)
{
	const struct runs *runs = section->ctx;
	const struct played *row = &runs->rows[at];
	const struct ms_scenario *sc = row->file->scenario;
	struct ms_buf where = { 0 };
	struct ms_cell *cell;
	u32 bug;

	cell_text(&cells, row->file->path)->style = MS_STYLE_ACCENT;
	cell_text(&cells, row->passed ? "passed" : "failed")->style =
		row->passed ? MS_STYLE_GOOD : MS_STYLE_BAD;
	if (!row->has_machine)
		cell_none(&cells);
	else
		cell_text(&cells, row->kernel == NMMU_6_1 ? "6.1" : "6.12");
	cell = cell_words(&cells);
	for (bug = 0; ms_bug_name(bug); bug++)
		if (row->bugs & 1u << bug)
			word_add(cell, ms_bug_name(bug));
	cell_text(&cells, ms_scenario_rule(sc));
	cell_text(&cells, ms_scenario_title(sc));
	cell_text(&cells, *ms_scenario_twin(sc) ? ms_scenario_twin(sc) : NULL);
	cell_count(&cells, row->nr_expects);
	cell_count(&cells, row->nr_steps);
	if (row->passed)
		return;
	ms_buf_printf(&where, "%s:%u:%u", row->file->path, row->line, row->column);
	cell_text(&cells, ms_buf_str(&where));
	ms_buf_deinit(&where);
	cell_text(&cells, row->found);
}

static const struct ms_column total_cols[] = {
	{ "files", "files", MS_V_COUNT },
	{ "plays", "plays", MS_V_COUNT },
	{ "passed", "passed", MS_V_COUNT },
	{ "failed", "failed", MS_V_COUNT },
	{ "expectations", "expectations met", MS_V_COUNT },
};

static void total_row(const struct ms_section *section, size_t at, struct ms_cell *cells)
{
	const struct runs *runs = section->ctx;
	u64 passed = 0, expects = 0;
	size_t i;

	(void)at;
	for (i = 0; i < runs->nr_rows; i++) {
		passed += runs->rows[i].passed;
		expects += runs->rows[i].nr_expects;
	}
	cell_count(&cells, runs->nr_files);
	cell_count(&cells, runs->nr_rows);
	cell_count(&cells, passed);
	cell_count(&cells, runs->nr_rows - passed);
	cell_count(&cells, expects);
}

struct ms_err *query_run_run(struct query *q)
{
	struct runs *runs = calloc(1, sizeof(*runs));
	struct ms_section *section;
	struct ms_err *err;
	size_t i;

	if (!runs)
		return ms_err_nomem();
	err = find_files(runs, q->args);
	if (!err)
		err = play_all(q, runs);
	section = err ? NULL
		      : section_add(q, "plays", "Plays", true, play_cols, MS_LEN(play_cols), runs->nr_rows,
				    play_row);
	if (!section) {
		runs_free(runs);
		return err ? err : ms_err_nomem();
	}
	section->ctx = section->owned = runs;
	section->owned_free = runs_free;
	section = section_add(q, "total", "Total", false, total_cols, MS_LEN(total_cols), 1, total_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = runs;
	for (i = 0; i < runs->nr_rows; i++)
		if (!runs->rows[i].passed)
			q->result->status = 1;
	return NULL;
}
