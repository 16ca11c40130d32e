/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random operations on machines of random settings, each one judged (rnd.h). The seed of a failure is
 * printed; RND_SEED=0x... runs that machine alone, RND_OPS=n bounds its operations. MMUSCOPE_DEEP=1 runs four
 * times as many, MMUSCOPE_QUICK=1 a tenth.
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
#define MACHINE_OPS 2500ULL
#define CHECK_EVERY 50

static struct rnd_count count;

static void self_check(struct rnd *r)
{
	const struct nmmu_sp *sp = NULL;
	const char *text = NULL;
	u32 row = nmmu_self_check(r->m, &text, &sp);

	r->count->checks++;
	rnd_audit(r);
	if (row)
		rnd_fail(r, "row %u: %s (page of gfn 0x%llx role 0x%x)", row, text,
			 (unsigned long long)(sp ? sp->gfn : ~0ULL), sp ? sp->role.word : 0);
	if (ms_machine_misuse(r->machine))
		rnd_fail(r, "%s", ms_machine_misuse(r->machine));
}

static void one_op(struct rnd *r)
{
	struct rnd_vcpu *vc = &r->vc[rnd_below(r, RND_VCPUS)];
	u32 dice = rnd_below(r, 100);

	/* L2 is met by chance only a third of the time, and has more to show. */
	for (u32 i = 0; dice < 62 && i < RND_VCPUS && rnd_chance(r, 60) && !vc->l2; i++)
		vc = &r->vc[i];
	r->now++;
	r->nomem = rnd_chance(r, 2);
	if (r->nomem)
		ms_machine_fail_alloc(r->machine, 1 + rnd_below(r, 3));
	if (dice < 62)
		rnd_op_access(r, vc);
	else if (dice < 66)
		rnd_op_emulate(r, vc);
	else if (dice < 78 && !vc->l2)
		rnd_op_gpte(r, vc);
	else if (dice < 84)
		rnd_op_cycle(r, vc);
	else if (dice < 88)
		rnd_op_parallel(r);
	else
		rnd_op_other(r, vc);
	if (r->nomem)
		ms_machine_fail_alloc(r->machine, 0);
	r->count->ops++;
}

/*
 * For those who look for the cause of a failure: RND_WATCH=gfn tells what changes a page and whether it is
 * logged.
 */
static void watch(struct rnd *r, u64 gfn)
{
	static u64 last[512];
	struct rnd_slot *s = rnd_slot_of(r, gfn);
	const struct nmmu_slot *slot = nmmu_slot_of(r->m, 0, gfn);
	u64 now[512];

	if (!s || !slot || ms_machine_peek(r->machine, gfn << 12, now, sizeof(now)))
		return;
	for (u32 i = 0; i < 512; i++) {
		if (now[i] == last[i])
			continue;
		printf("# %llu: 0x%03x %llx -> %llx, logged %d: %s\n", (unsigned long long)r->now, i * 8,
		       (unsigned long long)last[i], (unsigned long long)now[i],
		       slot->dirty ? (int)(slot->dirty[(gfn - s->gfn) / 64] >> (gfn - s->gfn) % 64 & 1) : -1,
		       r->what);
	}
	memcpy(last, now, sizeof(last));
}

static bool one_machine(u64 seed, u64 ops, u32 check_every)
{
	struct rnd *r = calloc(1, sizeof(*r));
	bool ok;

	assert_non_null(r);
	r->seed = r->rng = seed;
	r->count = &count;
	if (rnd_world_make(r)) {
		while (!r->failed && r->now < ops) {
			one_op(r);
			if (getenv("RND_WATCH"))
				watch(r, strtoull(getenv("RND_WATCH"), NULL, 0));
			if (getenv("RND_TRACE"))
				printf("# %llu: %s\n", (unsigned long long)r->now, r->what);
			if (!r->failed && (r->now % check_every == 0 || r->now == ops))
				self_check(r);
		}
	}
	ok = !r->failed;
	rnd_world_free(r);
	free(r);
	return ok;
}

/* Of the machines that a run without --deep makes. */
#define FIRST_SEED 0x6b07a24400000ull

static u64 env(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_operations(void **state)
{
	u64 total = TOTAL_OPS * (env("MMUSCOPE_DEEP", 0) ? 4 : 1) / (env("MMUSCOPE_QUICK", 0) ? 10 : 1);
	/* Two runs do the same, as the fuzzers'; --deep looks elsewhere each time. */
	u64 seed = env("RND_SEED", 0), fresh = env("MMUSCOPE_DEEP", 0) ? (u64)time(NULL) << 20 : FIRST_SEED;
	u64 start = env("RND_START", fresh);
	u64 ops = env("RND_OPS", MACHINE_OPS), failed = 0;

	total = env("RND_TOTAL", total);
	if (seed) {
		assert_true(one_machine(seed, ops, env("RND_CHECK", 1)));
		return;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# seeds from 0x%llx\n", (unsigned long long)start);
	for (; count.ops < total && failed < env("RND_FAILURES", 1); start++)
		failed += !one_machine(start, ops, CHECK_EVERY);
	printf("# ! operations %llu, checks %llu, shut down %llu, host fault %llu; succeeded:\n# !",
	       (unsigned long long)count.ops, (unsigned long long)count.checks,
	       (unsigned long long)count.dead, (unsigned long long)count.host_fault);
#define RND_OP(name) printf(" %s %llu", #name, (unsigned long long)count.name);
#include "tests/unit/rnd_ops.def"
#undef RND_OP
	printf("\n");
	assert_int_equal(failed, 0);
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
