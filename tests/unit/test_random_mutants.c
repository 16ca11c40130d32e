/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would random operations find it? Mutants of the engine, and the bugs that are switches, on machines of
 * random settings until something is wrong: an access, a log, or an invariant, judged after every tenth
 * operation. Those named here must be found within LIMIT operations. The others show in what is not judged
 * there (counts of faults, contents of L1's log, the order of lists), in compat, or in races that only
 * test_explore's schedules meet; MMUSCOPE_DEEP=1 tries them too, for longer, and prints what became of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scenario/scenario.h"
#include "tests/unit/rnd.h"

#define LIMIT 100000ULL
#define DEEP_LIMIT 1000000ULL
#define MACHINE_OPS 2500ULL
#define CHECK_EVERY 10
#define FIRST_SEED 0x6b07a24400000ULL

static const enum nmmu_mutant mutants[] = {
	NMMU_MUTANT_LOG_NO_FLUSH,     NMMU_MUTANT_NO_SEQ,	   NMMU_MUTANT_LOG_ONE_OF_LIST,
	NMMU_MUTANT_KIND_BY_EPT12,    NMMU_MUTANT_CLEAN_WRITABLE,  NMMU_MUTANT_EXACT_ADDS_R,
	NMMU_MUTANT_NPF_CODE_OF_CPU,  NMMU_MUTANT_LEAF_KEEPS_MMIO, NMMU_MUTANT_EXEC_ONLY_ALWAYS,
	NMMU_MUTANT_EXEC_ONLY_NEVER,  NMMU_MUTANT_ALWAYS_FINAL,	   NMMU_MUTANT_NPF_ALWAYS_FINAL,
	NMMU_MUTANT_NPT_ALWAYS_SMEP,  NMMU_MUTANT_NPT_NEVER_SMEP,  NMMU_MUTANT_SYNC_KEEPS_GFN,
	NMMU_MUTANT_PIN_LEVEL_1,      NMMU_MUTANT_PIN_Z_RAW,	   NMMU_MUTANT_PIN_BIT_62,
	NMMU_MUTANT_PIN_Z_TABLE,      NMMU_MUTANT_PIN_BIT_SET,	   NMMU_MUTANT_PIN_Z_LEAK,
	NMMU_MUTANT_PIN_STAYS_MAPPED, NMMU_MUTANT_PIN_MM_LEAK,	   NMMU_MUTANT_PIN_RECYCLED,
	NMMU_MUTANT_PIN_SLOT_ALL,     NMMU_MUTANT_PIN_SLOT_LEAK,   NMMU_MUTANT_PIN_NX,
	NMMU_MUTANT_PIN_ANY_PFN,      NMMU_MUTANT_PIN_NO_SPLIT,	   NMMU_MUTANT_PREFAULT_ALL,
	NMMU_MUTANT_PREFAULT_LEAKS,
};

static const enum nmmu_bug bugs[] = { NMMU_BUG_PML_L2, NMMU_BUG_WRITABLE_INVARIANT };

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

static bool is_found(const char *name, u64 limit)
{
	struct rnd_count count = { 0 };
	struct rnd_found found = { 0 };
	bool ok = true;

	for (u64 seed = FIRST_SEED; ok && count.ops < limit; seed++)
		ok = rnd_run(&count, seed, MACHINE_OPS, CHECK_EVERY, &found);
	if (ok)
		printf("# ! %-22s not within %llu operations\n", name, (unsigned long long)count.ops);
	else
		printf("# ! %-22s at %6llu: %s\n", name, (unsigned long long)count.ops, found.text);
	return !ok;
}

static bool is_listed(u32 mutant)
{
	for (u32 i = 0; i < sizeof(mutants) / sizeof(*mutants); i++)
		if (mutants[i] == mutant)
			return true;
	return false;
}

static void mutants_are_found(void **state)
{
	for (rnd_mutant = 1; rnd_mutant < NMMU_NR_MUTANTS; rnd_mutant++) {
		if (is_listed(rnd_mutant) && !is_found(ms_mutant_name(rnd_mutant), LIMIT))
			fail_msg("%s was not found", ms_mutant_name(rnd_mutant));
		if (!is_listed(rnd_mutant) && is_deep())
			is_found(ms_mutant_name(rnd_mutant), DEEP_LIMIT);
	}
	rnd_mutant = 0;
}

static void bugs_are_found(void **state)
{
	for (u32 i = 0; i < NMMU_NR_BUGS; i++) {
		bool listed = false;

		for (u32 k = 0; k < sizeof(bugs) / sizeof(*bugs); k++)
			listed |= bugs[k] == i;
		rnd_bugs = 1u << i;
		if (listed && !is_found(ms_bug_name(i), LIMIT))
			fail_msg("%s was not found", ms_bug_name(i));
		if (!listed && is_deep())
			is_found(ms_bug_name(i), DEEP_LIMIT);
	}
	rnd_bugs = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mutants_are_found),
		cmocka_unit_test(bugs_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
