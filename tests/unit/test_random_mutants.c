/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would random operations find it? Each mutant and each bug of the engine has its line in rnd_switches.def: on which
 * machines, and within how many operations, something is wrong (an access, a log, an invariant, judged after every
 * tenth operation); or, for what no answer depends on, the scenario that shows it. A switch without a line fails. A
 * right engine must pass the same machines. MMUSCOPE_DEEP=1 tries the others, too, for longer, and prints what became
 * of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "scenario/scenario.h"
#include "tests/unit/rnd.h"

#define DEEP_LIMIT 1000000ULL
#define MACHINE_OPS 2500ULL
#define CHECK_EVERY 10
#define FIRST_SEED 0x6b07a24400000ULL
/* Of a right engine, for each mix. */
#define RIGHT_OPS 20000ULL

#define LEN(a) (sizeof(a) / sizeof(*(a)))

enum kind { MUTANT, BUG };

struct line {
	enum kind kind;
	u32 id;
	const char *mix; /* NULL: not found so */
	u64 steps;
	const char *file, *why; /* instead */
};

#define ID_MUTANT(id) NMMU_MUTANT_##id
#define ID_BUG(id) NMMU_BUG_##id
static const struct line lines[] = {
#define RND_FINDS(kind, id, mix, steps) { kind, ID_##kind(id), mix, steps, NULL, NULL },
#define RND_LEAVES(kind, id, file, why) { kind, ID_##kind(id), NULL, 0, file, why },
#include "tests/unit/rnd_switches.def"
#undef RND_FINDS
#undef RND_LEAVES
};

/* A mutant may well lose what it should free; that is not what is looked for here. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "detect_leaks=0";
}

static bool is_deep(void)
{
	const char *deep = getenv("MMUSCOPE_DEEP");

	return deep && *deep == '1';
}

static const char *name_of(const struct line *line)
{
	return line->kind == MUTANT ? ms_mutant_name(line->id) : ms_bug_name(line->id);
}

static bool find(const struct line *line, const char *mix, u64 limit)
{
	struct rnd_count count = { 0 };
	struct rnd_found found = { 0 };
	bool ok = true;

	rnd_mix = rnd_mix_find(mix);
	rnd_mutant = line->kind == MUTANT ? line->id : NMMU_MUTANT_NONE;
	rnd_bugs = line->kind == BUG ? 1u << line->id : 0;
	for (u64 seed = FIRST_SEED; ok && count.ops < limit; seed++)
		ok = rnd_run(&count, seed, MACHINE_OPS, CHECK_EVERY, &found);
	if (ok)
		printf("# ! %-22s not within %llu operations (%s)\n", name_of(line),
		       (unsigned long long)count.ops, mix);
	else
		printf("# ! %-22s at %6llu of %llu (%s): %s\n", name_of(line), (unsigned long long)count.ops,
		       (unsigned long long)limit, mix, found.text);
	return !ok;
}

/*
 * In a process of its own: an engine that is wrong may use what it has freed, and who sees that (a sanitizer, the
 * kernel) has found it as well.
 */
static bool is_found(const struct line *line, const char *mix, u64 limit)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		bool found = find(line, mix, limit);

		fflush(stdout);
		_exit(!found);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return !WEXITSTATUS(status);
	printf("# ! %-22s within %llu (%s): it does not survive it, status 0x%x\n", name_of(line),
	       (unsigned long long)limit, mix, (u32)status);
	return true;
}

static u32 nr_lines_of(enum kind kind, u32 id)
{
	u32 nr = 0;

	for (u32 i = 0; i < LEN(lines); i++)
		nr += lines[i].kind == kind && lines[i].id == id;
	return nr;
}

/* What tests/unit/test_mutants holds to be broken by it, and nothing else. */
static const char *scenario_of(const struct line *line)
{
	static const char *const files[] = {
		"",
#define NMMU_MUTANT_DEF(id, name, scenario, text) scenario,
#include "nmmu/mutants.def"
#undef NMMU_MUTANT_DEF
	};
	static char text[80];

	if (line->kind == MUTANT)
		return files[line->id];
	snprintf(text, sizeof(text), "bug-%s", ms_bug_name(line->id));
	return text;
}

static void table_is_whole(void **state)
{
	const char *src = getenv("SRCDIR");
	char path[300];

	(void)state;
	for (u32 id = 1; id < NMMU_NR_MUTANTS; id++)
		if (nr_lines_of(MUTANT, id) != 1)
			fail_msg("%s has %u lines", ms_mutant_name(id), nr_lines_of(MUTANT, id));
	for (u32 id = 0; id < NMMU_NR_BUGS; id++)
		if (nr_lines_of(BUG, id) != 1)
			fail_msg("%s has %u lines", ms_bug_name(id), nr_lines_of(BUG, id));
	for (u32 i = 0; i < LEN(lines); i++) {
		const struct line *line = &lines[i];

		if (line->mix) {
			if (!rnd_mix_find(line->mix) || !line->steps)
				fail_msg("%s: no mix %s, or no steps", name_of(line), line->mix);
			continue;
		}
		snprintf(path, sizeof(path), "%s/tests/scenarios/%s.scn", src ? src : ".", line->file);
		if (strcmp(line->file, scenario_of(line)) || access(path, R_OK) || !*line->why)
			fail_msg("%s is not found by %s", name_of(line), line->file);
		printf("# ! %-22s by %s: %s\n", name_of(line), line->file, line->why);
	}
	/* Each mix is there for something. */
	for (const struct rnd_mix *mix = rnd_mixes; mix->name; mix++) {
		bool used = false;

		for (u32 i = 0; i < LEN(lines); i++)
			used |= lines[i].mix && !strcmp(lines[i].mix, mix->name);
		if (!used)
			fail_msg("mix %s finds nothing", mix->name);
	}
}

static void right_engine_passes(void **state)
{
	(void)state;
	for (rnd_mix = rnd_mixes; rnd_mix->name; rnd_mix++) {
		struct rnd_count count = { 0 };

		for (u64 seed = FIRST_SEED; count.ops < RIGHT_OPS * (is_deep() ? 20 : 1); seed++)
			if (!rnd_run(&count, seed, MACHINE_OPS, CHECK_EVERY, NULL))
				fail_msg("mix %s", rnd_mix->name);
	}
	rnd_mix = &rnd_mixes[0];
}

static void switches_are_found(void **state)
{
	(void)state;
	for (u32 i = 0; i < LEN(lines); i++) {
		const struct line *line = &lines[i];

		if (line->mix && !is_found(line, line->mix, line->steps))
			fail_msg("%s was not found", name_of(line));
		if (!line->mix && is_deep())
			is_found(line, "usual", DEEP_LIMIT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_whole),
		cmocka_unit_test(right_engine_passes),
		cmocka_unit_test(switches_are_found),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests_name("random mutants", tests, NULL, NULL);
}
