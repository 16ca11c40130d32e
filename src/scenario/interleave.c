/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `interleave': two actions in every order that the engine's yield points allow (sched.h). A machine cannot
 * be put back, so each schedule is a play of its own, from the first statement to the last expectation behind
 * the block. The play that explores then does the two one after the other and goes on from there.
 */
#include "scenario/play.h"

#include <stdlib.h>
#include <string.h>

/* A lock that is given back is the same as the next one that is waited for. */
#define POINTS (MS_SCHED_ALL_POINTS & ~(1u << NMMU_POINT_UNLOCK))

static u32 points_of(struct ms_play *play, const struct stmt *stmt)
{
	return arg_choice(play, stmt, KEY_POINTS, POINTS);
}

/* What a schedule costs beside its statements: a machine is made for it. */
#define STEPS_A_SCHEDULE 16

struct half {
	struct ms_play *play;
	const struct stmt *stmt;
	struct outcome *out;
};

static void half_main(void *arg)
{
	struct half *half = arg;

	act(half->play, half->stmt, half->out);
}

/* While pages or slots are being taken away faults only try again: those who try let the other one go on. */
void interleave_yield(struct ms_play *play, enum nmmu_point point)
{
	if (point == NMMU_POINT_ENTER && ms_machine_unsettled(play->machine))
		ms_sched_pause(play->sched, point);
	else
		ms_sched_yield(play->sched, point);
}

/* Both actions of the block, in the order that sched has. */
static void run_both(struct ms_play *play, const struct stmt *stmt, struct ms_sched *sched)
{
	struct half halves[] = { { play, stmt + 1, &play->outcome }, { play, stmt + 2, &play->inner } };
	int rc = 0;
	u32 i;

	play_claim(play);
	play->nr_events = 0;
	play->outer_vcpus = 0;
	play->outer_slots = false;
	if (play->failed)
		return;
	for (i = 0; i < LEN(halves) && !rc; i++)
		rc = ms_sched_add(sched, half_main, &halves[i]);
	if (rc) {
		play_fail(play, stmt, "out of memory");
		return;
	}
	play->sched = sched;
	rc = ms_sched_run(sched);
	play->sched = NULL;
	if (rc)
		play_fail(play, stmt, "each of the two waits for the other");
	play_action_end(play, stmt);
	/* Behind the two: `then', or the end. */
	play->pc = (u32)(stmt - play->sc->stmts) + 3;
}

/* One order: that of the digits, behind them nobody is interrupted. */
static void run_one(struct ms_play *play, const struct stmt *stmt, struct word digits)
{
	struct ms_sched *sched = NULL;
	struct ms_err *err = ms_sched_create(&sched);

	if (!err && !ms_sched_replay(sched, points_of(play, stmt), digits.s, digits.len))
		err = ms_err_nomem();
	if (err)
		play_fail_err(play, stmt, err);
	else
		run_both(play, stmt, sched);
	ms_sched_destroy(sched);
}

/* A play of its own up to and with the expectations behind the block. */
static void play_schedule(struct ms_play *child)
{
	const struct stmt *block = &child->sc->stmts[child->explored], *next;
	struct ms_step_result result = { .step = MS_STEP_DONE };

	while (result.step == MS_STEP_DONE && child->pc <= block->jump)
		ms_play_step(child, &result);
	while (result.step == MS_STEP_DONE) {
		next = play_next(child);
		if (!next || ms_verbs[next->verb].group != GROUP_EXPECT)
			break;
		ms_play_step(child, &result);
	}
	play_claim(child);
}

static void take_failure(struct ms_play *play, const struct stmt *stmt, const struct ms_play *child,
			 const struct ms_sched *sched)
{
	struct ms_buf digits = { 0 };

	ms_sched_digits(sched, &digits);
	play_fail(play, stmt, "%s; with schedule=%s (%s)", ms_buf_str(&child->text), ms_buf_str(&digits),
		  ms_sched_text(sched));
	play->wrong = child->wrong;
	play->fail_line = child->fail_line;
	play->fail_col = child->fail_col;
	ms_buf_deinit(&digits);
}

/* False: this was the last, or it went wrong. */
static bool explore_one(struct ms_play *play, const struct stmt *stmt, struct ms_sched *sched)
{
	u64 max = play->opts.max_steps ? play->opts.max_steps : MS_SCENARIO_MAX_STEPS;
	struct ms_play_opts opts = play->opts;
	struct ms_play *child = NULL;
	struct ms_err *err;

	play->spent += STEPS_A_SCHEDULE;
	play->nr_steps--;
	if (!play_spend(play, stmt))
		return false;
	if (play->nr_schedules == MS_SCENARIO_MAX_SCHEDULES)
		return play_fail(play, stmt, "more than %u schedules: points= names those that matter",
				 MS_SCENARIO_MAX_SCHEDULES);
	opts.event = NULL;
	opts.max_steps = max - play->nr_steps - play->spent + 1;
	err = ms_play_create(play->sc, &opts, &child);
	if (err) {
		play_fail_err(play, stmt, err);
		return false;
	}
	child->root = play;
	child->explored = (u32)(stmt - play->sc->stmts);
	child->root_sched = sched;
	play_schedule(child);
	play->spent += child->nr_steps + child->spent;
	play->nr_schedules++;
	/* Out of steps: not a fault of this schedule. */
	if (play_spend(play, stmt) && child->failed)
		take_failure(play, stmt, child, sched);
	ms_play_destroy(child);
	return !play->failed && ms_sched_next(sched);
}

static void explore(struct ms_play *play, const struct stmt *stmt)
{
	struct ms_sched *sched = NULL;
	struct ms_err *err = ms_sched_create(&sched);

	free(play->held);
	play->held = calloc(play->sc->nr_stmts, 1);
	if (!err && !play->held)
		err = ms_err_nomem();
	if (err) {
		play_fail_err(play, stmt, err);
	} else {
		ms_sched_explore(sched, points_of(play, stmt));
		while (explore_one(play, stmt, sched))
			;
	}
	ms_sched_destroy(sched);
}

void do_interleave(struct ms_play *play, const struct stmt *stmt)
{
	const struct arg *given = stmt_arg(play->sc, stmt, KEY_SCHEDULE);
	struct word none = { .s = "" };

	if (play->nr_hooks) {
		play_wrong(play, stmt, NR_KEYS, "an action waits to be done in the next one: not in these");
		return;
	}
	if (play->root && play->explored == (u32)(stmt - play->sc->stmts)) {
		run_both(play, stmt, play->root_sched);
		return;
	}
	play->nr_schedules = 0;
	play->one_schedule = given;
	if (!given && !play->root)
		explore(play, stmt);
	if (!play->failed)
		run_one(play, stmt, given ? given->text : none);
}

/* `expect some': after one schedule at least. What it is not so of is no failure, and claims no outcome. */
bool expect_some(struct ms_play *play, const struct stmt *stmt)
{
	bool outer = play->outcome.unclaimed, inner = play->inner.unclaimed;
	u32 id = (u32)(stmt - play->sc->stmts);

	if (play->one_schedule)
		return expect(play, stmt);
	if (expect(play, stmt)) {
		if (play->root)
			play->root->held[id] = 1;
		return true;
	}
	if (play->wrong)
		return false;
	if (!play->root && !(play->held && play->held[id])) {
		play->failed = false;
		return play_fail(play, stmt, "it is so after none of %llu schedules",
				 (unsigned long long)play->nr_schedules);
	}
	play->failed = false;
	play->outcome.unclaimed = outer;
	play->inner.unclaimed = inner;
	return true;
}

bool expect_schedules(struct ms_play *play, const struct stmt *stmt)
{
	if (play->root || play->one_schedule)
		return true;
	return check_num(play, stmt, KEY_COUNT, "the number of schedules", play->nr_schedules);
}
