/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: plays scenario files, one row a play. A file whose head names bugs is played without and with each, one
 * whose machine names no kernel as each kernel. All files are read before the first is played, so that a
 * misspelling is not found behind an hour's work: one bad file alone is an error, of several the others are
 * played, and the bad ones are rows that are wrong.
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
	struct ms_scenario *scenario; /* NULL: it is none, err says why */
	struct ms_err *err;
};

enum result { PASSED, FAILED, WRONG };

static const char *const result_names[] = { "passed", "failed", "wrong" };
static const enum ms_style result_styles[] = { MS_STYLE_GOOD, MS_STYLE_BAD, MS_STYLE_BAD };

struct played {
	const struct file *file;
	u32 bugs;
	bool has_machine; /* it came as far as to make one: of this kernel */
	enum nmmu_kernel kernel;
	enum result result;
	u64 nr_expects, nr_steps;
	char *found, *where; /* NULL: passed */
};

struct runs {
	struct file *files;
	size_t nr_files, cap_files;
	struct played *rows;
	size_t nr_rows, cap_rows;
	size_t *failures; /* rows that did not pass */
	size_t nr_failures;
};

static void runs_free(void *owned)
{
	struct runs *runs = owned;
	size_t i;

	for (i = 0; i < runs->nr_rows; i++) {
		free(runs->rows[i].found);
		free(runs->rows[i].where);
	}
	free(runs->failures);
	for (i = 0; i < runs->nr_files; i++) {
		ms_err_free(runs->files[i].err);
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
	struct ms_err *err;
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
	err = ms_scenario_parse(file->path, text, len, &file->scenario);
	if (err || ms_scenario_nr_expects(file->scenario))
		return err;
	ms_scenario_destroy(file->scenario);
	file->scenario = NULL;
	return ms_err_hint(
		ms_err_new(MS_ERR_USAGE, "%s:1:1: it expects nothing, so that it could not fail", file->path),
		"add an `expect'");
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
	for (i = 0; i < runs->nr_files && !err; i++) {
		err = read_file(&runs->files[i]);
		if (err && runs->nr_files > 1 && ms_err_kind(err) != MS_ERR_MEMORY) {
			runs->files[i].err = err;
			err = NULL;
		}
	}
	return err;
}

/* --- plays --- */

static struct played *add_row(struct runs *runs, const struct file *file)
{
	struct played *rows = ms_grow(runs->rows, &runs->cap_rows, runs->nr_rows + 1, sizeof(*rows));

	if (!rows)
		return NULL;
	runs->rows = rows;
	rows[runs->nr_rows] = (struct played){ .file = file };
	return &rows[runs->nr_rows++];
}

/* A file that is no scenario: its error begins with the place. */
static struct ms_err *add_wrong(struct runs *runs, const struct file *file)
{
	struct played *row = add_row(runs, file);
	const char *text = ms_err_text(file->err), *hint = ms_err_hint_text(file->err);
	size_t len = strlen(file->path), digits = 0;
	struct ms_buf found = { 0 };

	if (!row)
		return ms_err_nomem();
	row->result = WRONG;
	if (!strncmp(text, file->path, len) && text[len] == ':') {
		digits = strspn(text + len, ":0123456789");
		len = text[len + digits] == ' ' ? len + digits - 1 : len + digits;
	} else {
		len = 0;
	}
	row->where = len ? strndup(text, len) : strdup(file->path);
	ms_buf_printf(&found, "%s%s%s", text + len + strspn(text + len, ": "), hint ? ": " : "",
		      hint ? hint : "");
	row->found = ms_clean_dup(ms_buf_str(&found));
	ms_buf_deinit(&found);
	return row->where && row->found ? NULL : ms_err_nomem();
}

static char *where_of(const struct file *file, const struct ms_step_result *result)
{
	struct ms_buf where = { 0 };
	char *ret;

	ms_buf_printf(&where, "%s:%u:%u", file->path, result->line, result->column);
	ret = where.oom ? NULL : strdup(ms_buf_str(&where));
	ms_buf_deinit(&where);
	return ret;
}

static struct ms_err *play(struct runs *runs, const struct file *file, enum nmmu_kernel kernel, u32 bugs)
{
	const struct ms_play_opts opts = { .bugs = bugs, .kernel = kernel };
	struct ms_step_result result;
	struct ms_play *p = NULL;
	struct played *row;
	struct ms_err *err;

	err = ms_play_create(file->scenario, &opts, &p);
	if (err)
		return err;
	ms_play_run(p, &result);
	row = add_row(runs, file);
	if (!row) {
		ms_play_destroy(p);
		return ms_err_nomem();
	}
	row->bugs = bugs;
	row->result = result.step == MS_STEP_END ? PASSED : result.wrong ? WRONG : FAILED;
	row->nr_expects = ms_play_nr_expects(p);
	row->nr_steps = ms_play_nr_steps(p);
	if (ms_play_machine(p)) {
		row->has_machine = true;
		row->kernel = ms_machine_nmmu(ms_play_machine(p))->cfg.kernel;
	}
	if (row->result != PASSED) {
		row->found = ms_clean_dup(result.text);
		row->where = where_of(file, &result);
		if (!row->found || !row->where)
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
	if (!err && runs->rows[runs->nr_rows - 1].result == WRONG)
		return NULL;
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

		if (file->err) {
			err = add_wrong(runs, file);
			continue;
		}
		err = play_as(q, runs, file, NMMU_6_1);
		/* What is wrong of a text is so as each kernel. */
		if (!err && runs->rows[runs->nr_rows - 1].result != WRONG &&
		    !ms_scenario_names_kernel(file->scenario))
			err = play_as(q, runs, file, NMMU_6_12);
	}
	return err;
}

/* --- rows --- */

static const struct ms_column play_cols[] = {
	{ "file", "FILE", MS_V_TEXT, .flags = MS_COL_SKIP },
	{ "name", "FILE", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },
	{ "result", "RESULT", MS_V_TEXT },
	{ "kernel", "KERNEL", MS_V_TEXT, .prio = 2 },
	{ "bugs", "BUGS", MS_V_WORDS, .prio = 1 },
	{ "rule", "RULE", MS_V_TEXT, .flags = MS_COL_SKIP },
	{ "title", "SCENARIO", MS_V_TEXT, .flags = MS_COL_SKIP },
	{ "twin", "TWIN", MS_V_TEXT, .prio = 6, .flags = MS_COL_SKIP },
	{ "expectations", "MET", MS_V_COUNT, .prio = 3 },
	{ "steps", "STEPS", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "where", "WHERE", MS_V_TEXT, .flags = MS_COL_SKIP },
	{ "found", "FOUND", MS_V_TEXT, .flags = MS_COL_SKIP },
};

static void kernel_and_bugs(const struct played *row, struct ms_cell **cells)
{
	struct ms_cell *cell;
	u32 bug;

	if (!row->has_machine)
		cell_none(cells);
	else
		cell_text(cells, row->kernel == NMMU_6_1 ? "6.1" : "6.12");
	cell = cell_words(cells);
	for (bug = 0; ms_bug_name(bug); bug++)
		if (row->bugs & 1u << bug)
			word_add(cell, ms_bug_name(bug));
}

static void play_row(const struct ms_section *section, size_t at, struct ms_cell *cells)
{
	const struct runs *runs = section->ctx;
	const struct played *row = &runs->rows[at];
	const struct ms_scenario *sc = row->file->scenario;
	const char *slash = strrchr(row->file->path, '/');

	cell_text(&cells, row->file->path);
	cell_text(&cells, slash && slash[1] ? slash + 1 : row->file->path)->style = MS_STYLE_ACCENT;
	cell_text(&cells, result_names[row->result])->style = result_styles[row->result];
	kernel_and_bugs(row, &cells);
	cell_text(&cells, sc ? ms_scenario_rule(sc) : "");
	cell_text(&cells, sc ? ms_scenario_title(sc) : "");
	cell_text(&cells, sc && *ms_scenario_twin(sc) ? ms_scenario_twin(sc) : NULL);
	cell_count(&cells, row->nr_expects);
	cell_count(&cells, row->nr_steps);
	cell_text(&cells, row->where);
	cell_text(&cells, row->found);
}

static const struct ms_column failure_cols[] = {
	{ "where", "WHERE", MS_V_TEXT },
	{ "kernel", "KERNEL", MS_V_TEXT, .prio = 1 },
	{ "bugs", "BUGS", MS_V_WORDS, .prio = 1 },
	{ "found", "FOUND", MS_V_TEXT },
};

static void failure_row(const struct ms_section *section, size_t at, struct ms_cell *cells)
{
	const struct runs *runs = section->ctx;
	const struct played *row = &runs->rows[runs->failures[at]];

	cell_text(&cells, row->where)->style = MS_STYLE_ACCENT;
	kernel_and_bugs(row, &cells);
	cell_text(&cells, row->found);
}

static const struct ms_column total_cols[] = {
	{ "files", "files", MS_V_COUNT },   { "plays", "plays", MS_V_COUNT },
	{ "passed", "passed", MS_V_COUNT }, { "failed", "failed", MS_V_COUNT },
	{ "wrong", "wrong", MS_V_COUNT },   { "expectations", "expectations met", MS_V_COUNT },
};

static void total_row(const struct ms_section *section, size_t at, struct ms_cell *cells)
{
	const struct runs *runs = section->ctx;
	u64 nr[3] = { 0 }, expects = 0;
	size_t i;

	(void)at;
	for (i = 0; i < runs->nr_rows; i++) {
		nr[runs->rows[i].result]++;
		expects += runs->rows[i].nr_expects;
	}
	cell_count(&cells, runs->nr_files);
	cell_count(&cells, runs->nr_rows);
	cell_count(&cells, nr[PASSED]);
	cell_count(&cells, nr[FAILED]);
	cell_count(&cells, nr[WRONG]);
	cell_count(&cells, expects);
}

/* The rows that did not pass, and what they make of the exit status. */
static struct ms_err *note_failures(struct query *q, struct runs *runs)
{
	const struct played *row;
	int status = 0, worst = 0;
	size_t i;

	runs->failures = calloc(runs->nr_rows + 1, sizeof(*runs->failures));
	if (!runs->failures)
		return ms_err_nomem();
	for (i = 0; i < runs->nr_rows; i++) {
		row = &runs->rows[i];
		if (row->result == PASSED)
			continue;
		runs->failures[runs->nr_failures++] = i;
		status = row->result == FAILED ? 1 : row->file->err ? ms_err_exit_status(row->file->err) : 2;
		worst = status > worst ? status : worst;
	}
	q->result->status = worst;
	return NULL;
}

struct ms_err *query_run_run(struct query *q)
{
	struct runs *runs = calloc(1, sizeof(*runs));
	struct ms_section *section;
	struct ms_err *err;

	if (!runs)
		return ms_err_nomem();
	err = find_files(runs, q->args);
	if (!err)
		err = play_all(q, runs);
	if (!err)
		err = note_failures(q, runs);
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
	/* Last, where the eye is when it has run through. */
	section = section_add(q, "failures", "Failures", true, failure_cols, MS_LEN(failure_cols),
			      runs->nr_failures, failure_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = runs;
	if (q->args->bugs && runs->nr_failures)
		return note_add(q->result,
				"played with the bugs of --bug in the engine: a scenario that fails "
				"with one and passes without has found it");
	return NULL;
}
