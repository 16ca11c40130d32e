/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interleavings: up to four actions run as coroutines that switch only at the engine's yield points and where
 * mmu_lock is waited for, so that a schedule is a list of choices and can be replayed. Either a script says
 * who runs until where, or every schedule is explored, depth first, one run from the start for each, or each
 * run has one drawn from a seed.
 *
 *	ms_sched_create(&sched)
 *	ms_sched_explore(sched, points)              or ms_sched_script(sched, steps, nr)
 *	do {
 *		build the machine with ms_sched_yield, _lock, _unlock and yield_ctx = sched
 *		ms_sched_add(sched, action, arg) ...
 *		ms_sched_run(sched)
 *		look at what came out
 *	} while (ms_sched_next(sched));
 *
 * Outside ms_sched_run() the hooks do nothing. One sched may be used by one thread at a time.
 */
#ifndef SCENARIO_SCHED_H
#define SCENARIO_SCHED_H

#include "base/buf.h"
#include "base/err.h"
#include "nmmu/nmmu.h"

#define MS_SCHED_ACTIONS 4

struct ms_sched;

/* `action' runs until it comes to `point' (there it stops), or to its end. */
struct ms_sched_step {
	u32 action;
	u32 point; /* enum nmmu_point, or MS_SCHED_END */
	u32 times; /* the n-th coming to it; 0 is 1 */
};
#define MS_SCHED_END NMMU_NR_POINTS

struct ms_err *ms_sched_create(struct ms_sched **ret) MS_MUST_CHECK;
void ms_sched_destroy(struct ms_sched *sched); /* takes NULL */

/* Every schedule that switches at the points in the mask (1u << enum nmmu_point); all_points for all. */
#define MS_SCHED_ALL_POINTS (~0u)
void ms_sched_explore(struct ms_sched *sched, u32 points);
/*
 * One schedule. After the last step all actions run to their ends, lowest number first. An action that must
 * wait for mmu_lock lets the others run until it is free. steps must stay.
 */
void ms_sched_script(struct ms_sched *sched, const struct ms_sched_step *steps, u32 nr);

/*
 * One schedule of those that ms_sched_explore() with the same points would run: who of the ready ones goes on
 * at each decision, the one that ran last being 0. Behind the last digit it is always 0. False: out of
 * memory.
 */
bool ms_sched_replay(struct ms_sched *sched, u32 points, const char *digits, u32 nr) MS_MUST_CHECK;
/* The digits of the last run, those that are 0 at its end left out; "0" when all are. */
void ms_sched_digits(const struct ms_sched *sched, struct ms_buf *to);

/* Schedules drawn from a seed, one a run, without end: ms_sched_next() is always true. */
void ms_sched_random(struct ms_sched *sched, u64 seed);

/* Numbered from 0 in the order they are added; -ENOSPC, -ENOMEM. Forgotten by ms_sched_run(). */
int ms_sched_add(struct ms_sched *sched, void (*fn)(void *arg), void *arg);
/* 0, or -EDEADLK: nobody can run; the actions left are abandoned where they stand. */
int ms_sched_run(struct ms_sched *sched);
/* Go on to the next schedule; false when there is none. */
bool ms_sched_next(struct ms_sched *sched);

/* Schedules run so far. */
u64 ms_sched_nr(const struct ms_sched *sched);
/* Points of the script that its actions never came to. */
u32 ms_sched_missed(const struct ms_sched *sched);
/* The last run as text, "0:lock 1:fast-read ...": for the report of a failure. Valid until the next run. */
const char *ms_sched_text(const struct ms_sched *sched);

/* The hooks for struct ms_machine_opts. */
void ms_sched_yield(void *sched, enum nmmu_point point);
/* As yield, for who waits in a loop: it goes on when another action has run on. */
void ms_sched_pause(void *sched, enum nmmu_point point);
void ms_sched_lock(void *sched);
void ms_sched_unlock(void *sched);

#endif
