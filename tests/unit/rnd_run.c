/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One machine of random settings, and random operations on it until something is wrong: see rnd.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/rnd.h"

static void self_check(struct rnd *r)
{
	const struct nmmu_sp *sp = NULL;
	const char *text = NULL;
	u32 row = nmmu_self_check(r->m, &text, &sp);

	r->count->checks++;
	rnd_audit(r);
	rnd_judge_pages(r);
	rnd_invariants(r);
	if (r->cfg.pins)
		rnd_check_pins(r);
	if (row && !r->failed)
		r->row = row;
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
	if (rnd_op_mix(r, vc))
		;
	else if (r->cfg.pins && rnd_chance(r, 6))
		rnd_op_pins(r, vc);
	else if (dice < 62)
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

bool rnd_run(struct rnd_count *count, u64 seed, u64 ops, u32 check_every, struct rnd_found *found)
{
	struct rnd *r = calloc(1, sizeof(*r));
	bool ok;

	assert_non_null(r);
	r->seed = r->rng = seed;
	r->count = count;
	r->quiet = found;
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
	if (found)
		*found = (struct rnd_found){ .now = r->now, .row = r->row };
	if (found)
		memcpy(found->text, r->text, sizeof(found->text));
	rnd_world_free(r);
	free(r);
	return ok;
}
