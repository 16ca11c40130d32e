/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random operations on machines of random settings, each one judged (rnd.h). The seed of a failure is
 * printed; RND_SEED=0x... runs that machine alone, RND_MIX=name on a mix of rnd_mix.c, RND_OPS=n bounds its operations.
 * MMUSCOPE_DEEP=1 runs ten times as many, MMUSCOPE_QUICK=1 a tenth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/rnd.h"

#define TOTAL_OPS 1000000ULL
/* Ten times as slow under a sanitizer. */
#ifdef __SANITIZE_ADDRESS__
#define DEEP_TIMES 2
#else
#define DEEP_TIMES 10
#endif
#define MACHINE_OPS 2500ULL
#define CHECK_EVERY 50

static struct rnd_count count;

/* Of the machines that a run without --deep makes. */
#define FIRST_SEED 0x6b07a24400000ull

static u64 env(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_operations(void **state)
{
	static const u32 judged[] = { 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
				      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
				      31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44 };
	u64 total =
		TOTAL_OPS * (env("MMUSCOPE_DEEP", 0) ? DEEP_TIMES : 1) / (env("MMUSCOPE_QUICK", 0) ? 10 : 1);
	/* Two runs do the same, as the fuzzers'; --deep looks elsewhere each time. */
	u64 seed = env("RND_SEED", 0), fresh = env("MMUSCOPE_DEEP", 0) ? (u64)time(NULL) << 20 : FIRST_SEED;
	u64 start = env("RND_START", fresh);
	u64 ops = env("RND_OPS", MACHINE_OPS), failed = 0;

	total = env("RND_TOTAL", total);
	if (getenv("RND_MIX"))
		rnd_mix = rnd_mix_find(getenv("RND_MIX"));
	if (!rnd_mix)
		fail_msg("no such mix");
	if (seed) {
		assert_true(rnd_run(&count, seed, ops, env("RND_CHECK", 1), NULL));
		return;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# seeds from 0x%llx\n", (unsigned long long)start);
	for (; count.ops < total && failed < env("RND_FAILURES", 1); start++)
		failed += !rnd_run(&count, start, ops, env("RND_CHECK", CHECK_EVERY), NULL);
	printf("# ! operations %llu, checks %llu, shut down %llu, host fault %llu; succeeded:\n# !",
	       (unsigned long long)count.ops, (unsigned long long)count.checks,
	       (unsigned long long)count.dead, (unsigned long long)count.host_fault);
#define RND_OP(name) printf(" %s %llu", #name, (unsigned long long)count.name);
#include "tests/unit/rnd_ops.def"
#undef RND_OP
	printf("\n# ! audited:");
	for (u32 row = 1; row <= RND_ROWS; row++)
		if (count.judged[row])
			printf(" %u: %llu", row, (unsigned long long)count.judged[row]);
	printf("\n");
	assert_int_equal(failed, 0);
	/* What the records can answer was asked, the passthrough roots of a 5-level host included. */
	for (u32 i = 0; i < sizeof(judged) / sizeof(*judged); i++)
		if (!count.judged[judged[i]])
			fail_msg("row %u was never asked", judged[i]);
			/* None may be near zero: one in twenty thousand operations at the least. */
#define RND_OP(name)                    \
	if (count.name < total / 20000) \
		fail_msg("%s succeeded %llu times only", #name, (unsigned long long)count.name);
#include "tests/unit/rnd_ops.def"
#undef RND_OP
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
