/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every mutant of src/nmmu/mutants.def against every scenario: it must break its own and no other, and every
 * scenario must have one. Those named bug-* show a bug of the seeds, whose switch is their mutant: what it
 * breaks must not depend on one of these. A switch must break what its own file says of a machine without it.
 * The engine is linked with its mutants here, and nowhere else.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scenario/scenario.h"

#define MAX_FILES 128
#define SUFFIX ".scn"
#define LONG_STEPS 50000

/* A long one, once for each mutant: seconds, but minutes under a sanitizer, where only --deep plays it. */
#ifdef __SANITIZE_ADDRESS__
#define LONG_IS_TOO_LONG true
#else
#define LONG_IS_TOO_LONG false
#endif

struct file {
	char name[64]; /* without suffix */
	struct ms_scenario *scenario;
	struct ms_scenario *plain; /* of those that show a bug: without what is said of it */
	u32 broken_by; /* mutants that must break it */
	u64 steps; /* of its last play */
	bool is_long;
};

static struct file files[MAX_FILES];
static u32 nr_files;

static int is_scenario(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(SUFFIX) && !strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX);
}

static bool is_deep(void)
{
	const char *env = getenv("MMUSCOPE_DEEP");

	return env && *env == '1';
}

/* The file as one that has never heard of bugs: lines `with' one go, `without' one is always. */
static void make_plain(char *text)
{
	char *line, *end, *rest;

	for (line = text; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (!strncmp(line, "bug ", 4) || !strncmp(line, "with ", 5)) {
			memset(line, ' ', (size_t)(end - line));
		} else if (!strncmp(line, "without ", 8)) {
			rest = strchr(line + 8, ' ');
			assert_true(rest && rest < end);
			memset(line, ' ', (size_t)(rest - line));
		}
	}
}

static void load_file(const char *dir, const char *name)
{
	struct file *file = &files[nr_files++];
	char *text = malloc(MS_SCENARIO_MAX_BYTES + 1);
	char path[512];
	struct ms_err *err;
	FILE *stream;
	size_t len;

	assert_non_null(text);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(file->name, sizeof(file->name), "%.*s", (int)(strlen(name) - strlen(SUFFIX)), name);
	stream = fopen(path, "r");
	assert_non_null(stream);
	len = fread(text, 1, MS_SCENARIO_MAX_BYTES, stream);
	fclose(stream);
	err = ms_scenario_parse(path, text, len, &file->scenario);
	if (err)
		fail_msg("%s", ms_err_text(err));
	if (ms_scenario_bugs(file->scenario)) {
		text[len] = '\0';
		make_plain(text);
		err = ms_scenario_parse(path, text, len, &file->plain);
		if (err)
			fail_msg("%s", ms_err_text(err));
	}
	free(text);
}

static int load_all(void **state)
{
	const char *src = getenv("SRCDIR");
	struct dirent **entries;
	char dir[256];
	u32 mutant, i;
	int nr, k;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/tests/scenarios", src ? src : ".");
	nr = scandir(dir, &entries, is_scenario, alphasort);
	assert_in_range(nr, 1, MAX_FILES);
	for (k = 0; k < nr; k++) {
		load_file(dir, entries[k]->d_name);
		free(entries[k]);
	}
	free(entries);
	for (mutant = 1; mutant < NMMU_NR_MUTANTS; mutant++)
		for (i = 0; i < nr_files; i++)
			files[i].broken_by += !strcmp(files[i].name, ms_mutant_scenario(mutant));
	return 0;
}

static int unload_all(void **state)
{
	(void)state;
	while (nr_files) {
		ms_scenario_destroy(files[--nr_files].scenario);
		ms_scenario_destroy(files[nr_files].plain);
	}
	return 0;
}

/*
 * Where it failed, 0: it did not. A mutant must be caught by what the text expects: the engine's own checks
 * are left out then.
 */
static u32 play_as(struct file *file, enum nmmu_kernel kernel, u32 mutant, u32 bugs, char *text, size_t len)
{
	const struct ms_play_opts opts = {
		.kernel = kernel,
		.mutant = mutant,
		.bugs = bugs,
		.no_self_check = mutant != NMMU_MUTANT_NONE,
	};
	struct ms_step_result result;
	struct ms_play *p = NULL;

	assert_null(ms_play_create(file->scenario, &opts, &p));
	ms_play_run(p, &result);
	snprintf(text, len, "%s", result.text);
	file->steps = ms_play_nr_steps(p);
	ms_play_destroy(p);
	return result.step == MS_STEP_FAILED ? result.line : 0;
}

/* As each kernel, unless it names one. */
static u32 play(struct file *file, u32 mutant, u32 bugs, char *text, size_t len)
{
	u32 line = play_as(file, NMMU_6_12, mutant, bugs, text, len);

	if (line || ms_scenario_names_kernel(file->scenario))
		return line;
	return play_as(file, NMMU_6_1, mutant, bugs, text, len);
}

static void test_without(void **state)
{
	char text[200];
	u32 i, line;

	(void)state;
	for (i = 0; i < nr_files; i++) {
		line = play(&files[i], NMMU_MUTANT_NONE, 0, text, sizeof(text));
		if (line)
			fail_msg("%s:%u: %s", files[i].name, line, text);
		files[i].is_long = files[i].steps > LONG_STEPS;
	}
}

/* What tries every order finds whatever is done wrong in any: no mutant is its own. See test_every_order(). */
static bool is_every_order(const struct file *file)
{
	size_t len = strlen(file->name), end = strlen("-every-order");

	return len > end && !strcmp(file->name + len - end, "-every-order");
}

static bool shows_bug(const struct file *file)
{
	return ms_scenario_bugs(file->scenario);
}

static void test_each_has_one(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < nr_files; i++)
		if (!files[i].broken_by && !shows_bug(&files[i]) && !is_every_order(&files[i]))
			fail_msg("no mutant is said to break %s", files[i].name);
}

/* With a bug, its file is right in what it says of the harm, and wrong in what it says of its absence. */
static void test_bugs(void **state)
{
	char text[200];
	u32 i, bug, line, seen = 0;

	(void)state;
	for (i = 0; i < nr_files; i++) {
		for (bug = 0; ms_bug_name(bug); bug++) {
			if (!(ms_scenario_bugs(files[i].scenario) & 1u << bug))
				continue;
			seen |= 1u << bug;
			line = play(&files[i], NMMU_MUTANT_NONE, 1u << bug, text, sizeof(text));
			if (line)
				fail_msg("%s with %s:%u: %s", files[i].name, ms_bug_name(bug), line, text);
		}
	}
	assert_int_equal(seen, (1u << NMMU_NR_BUGS) - 1);
}

static void test_every_order(void **state)
{
	static const struct {
		const char *name;
		u32 mutant;
	} breaks[] = {
		{ "22-shadowed-every-order", NMMU_MUTANT_BLIND_STORE },
		{ "23-fast-fault-every-order", NMMU_MUTANT_FAST_MARK_FIRST },
	};
	u32 i, k, seen = 0, nr = 0;
	char text[300];

	(void)state;
	for (i = 0; i < nr_files; i++) {
		nr += is_every_order(&files[i]);
		for (k = 0; k < sizeof(breaks) / sizeof(breaks[0]); k++) {
			if (strcmp(files[i].name, breaks[k].name))
				continue;
			seen++;
			if (!play(&files[i], breaks[k].mutant, 0, text, sizeof(text)))
				fail_msg("%s stands %s", files[i].name, ms_mutant_name(breaks[k].mutant));
			printf("# ! %-22s breaks %s: %s\n", ms_mutant_name(breaks[k].mutant), files[i].name,
			       text);
		}
	}
	assert_int_equal(seen, sizeof(breaks) / sizeof(breaks[0]));
	assert_int_equal(nr, seen);
}

/* With a bug, and no word of it: its own file fails. What else does is printed. */
static void test_bugs_break(void **state)
{
	char text[200];
	u32 i, bug, line;

	(void)state;
	for (bug = 0; ms_bug_name(bug); bug++) {
		u32 broken = 0;

		for (i = 0; i < nr_files; i++) {
			bool own = ms_scenario_bugs(files[i].scenario) & 1u << bug;
			struct file file = files[i];

			if (file.is_long && !is_deep() && LONG_IS_TOO_LONG)
				continue;
			if (file.plain)
				file.scenario = file.plain;
			line = play(&file, NMMU_MUTANT_NONE, 0, text, sizeof(text));
			if (line)
				fail_msg("%s without its bug:%u: %s", file.name, line, text);
			line = play(&file, NMMU_MUTANT_NONE, 1u << bug, text, sizeof(text));
			if (line)
				printf("# ! bug=%-18s %s %s:%u: %s\n", ms_bug_name(bug),
				       own ? "breaks" : "also breaks", file.name, line, text);
			broken += own && line;
			if (own && !line)
				fail_msg("%s does not break %s", ms_bug_name(bug), file.name);
		}
		assert_true(broken);
	}
}

/* What another file cannot do without. */
static bool breaks_too(u32 mutant, const struct file *file)
{
	/* I 37 is about memory that comes where an MMIO entry is. */
	return mutant == NMMU_MUTANT_LEAF_KEEPS_MMIO && !strcmp(file->name, "37-device-with-bit-62");
}

static void test_mutant(void **state)
{
	u32 mutant = (u32)(uintptr_t)*state, i, line, others = 0;
	const char *wanted = ms_mutant_scenario(mutant);
	bool broken = false, known = false;
	char text[200];

	for (i = 0; i < nr_files; i++) {
		bool own = !strcmp(files[i].name, wanted);

		known |= own;
		if (files[i].is_long && !own && !is_deep() && LONG_IS_TOO_LONG)
			continue;
		if (is_every_order(&files[i]) || breaks_too(mutant, &files[i]))
			continue;
		line = play(&files[i], mutant, 0, text, sizeof(text));
		if (!line)
			continue;
		printf("# ! %-22s %s %s:%u: %s\n", ms_mutant_name(mutant), own ? "breaks" : "ALSO BREAKS",
		       files[i].name, line, text);
		broken |= own;
		others += !own;
	}
	if (!known)
		fail_msg("%s: there is no scenario %s", ms_mutant_name(mutant), wanted);
	if (!broken)
		fail_msg("%s does not break %s", ms_mutant_name(mutant), wanted);
	if (others)
		fail_msg("%s breaks %u others", ms_mutant_name(mutant), others);
}

int main(void)
{
	static struct CMUnitTest tests[NMMU_NR_MUTANTS + 5];
	u32 mutant, nr = 0;

	tests[nr++] = (struct CMUnitTest)cmocka_unit_test(test_without);
	tests[nr++] = (struct CMUnitTest)cmocka_unit_test(test_each_has_one);
	tests[nr++] = (struct CMUnitTest)cmocka_unit_test(test_bugs);
	tests[nr++] = (struct CMUnitTest)cmocka_unit_test(test_every_order);
	tests[nr++] = (struct CMUnitTest)cmocka_unit_test(test_bugs_break);
	for (mutant = 1; mutant < NMMU_NR_MUTANTS; mutant++) {
		/* Found by schedules only: test_explore.c. */
		if (!*ms_mutant_scenario(mutant))
			continue;
		tests[nr++] = (struct CMUnitTest){
			.name = ms_mutant_name(mutant),
			.test_func = test_mutant,
			.initial_state = (void *)(uintptr_t)mutant,
		};
	}
	/* All of the array, whatever the compiler makes of its length. */
	return _cmocka_run_group_tests("mutants", tests, nr, load_all, unload_all);
}
