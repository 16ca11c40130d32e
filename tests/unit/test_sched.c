/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scheduler of interleavings by itself: counts that can be worked out by hand, and a lock that is kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scenario/sched.h"

static struct ms_sched *sched;
static int counter, inside, most_inside;
static char trace[64];
static u32 trace_len;

static int setup(void **state)
{
	counter = inside = most_inside = 0;
	trace_len = 0;
	return ms_sched_create(&sched) ? -1 : 0;
}

static int teardown(void **state)
{
	ms_sched_destroy(sched);
	return 0;
}

/* Reads, yields, stores: two of them may lose one increment. */
static void increment(void *arg)
{
	int seen = counter;

	ms_sched_yield(sched, NMMU_POINT_SPTE_READ);
	counter = seen + 1;
}

static void increment_locked(void *arg)
{
	ms_sched_lock(sched);
	inside++;
	if (inside > most_inside)
		most_inside = inside;
	increment(arg);
	inside--;
	ms_sched_unlock(sched);
}

static void steps_of(void *arg)
{
	const char *name = arg;

	for (u32 i = 0; i < 3; i++) {
		trace[trace_len++] = name[0];
		trace[trace_len] = '\0';
		ms_sched_yield(sched, i ? NMMU_POINT_FAST_DONE : NMMU_POINT_FAST_READ);
	}
	trace[trace_len++] = name[1];
	trace[trace_len] = '\0';
}

static void all_schedules(void **state)
{
	u32 lost = 0, kept = 0;

	do {
		counter = 0;
		assert_int_equal(ms_sched_add(sched, increment, NULL), 0);
		assert_int_equal(ms_sched_add(sched, increment, NULL), 0);
		assert_int_equal(ms_sched_run(sched), 0);
		lost += counter == 1;
		kept += counter == 2;
	} while (ms_sched_next(sched));
	/* Two parts each: 4! / (2! 2!) = 6 schedules, of which two keep both apart. */
	assert_int_equal(ms_sched_nr(sched), 6);
	assert_int_equal(kept, 2);
	assert_int_equal(lost, 4);
}

static void four_parts_each(void **state)
{
	do {
		trace_len = 0;
		assert_int_equal(ms_sched_add(sched, steps_of, (char *)"aA"), 0);
		assert_int_equal(ms_sched_add(sched, steps_of, (char *)"bB"), 0);
		assert_int_equal(ms_sched_run(sched), 0);
	} while (ms_sched_next(sched));
	/* 8! / (4! 4!) */
	assert_int_equal(ms_sched_nr(sched), 70);
	/* Only one of the three points: two parts each again. */
	ms_sched_explore(sched, 1u << NMMU_POINT_FAST_READ);
	do {
		trace_len = 0;
		assert_int_equal(ms_sched_add(sched, steps_of, (char *)"aA"), 0);
		assert_int_equal(ms_sched_add(sched, steps_of, (char *)"bB"), 0);
		assert_int_equal(ms_sched_run(sched), 0);
	} while (ms_sched_next(sched));
	assert_int_equal(ms_sched_nr(sched), 6);
}

static void the_lock_is_kept(void **state)
{
	do {
		counter = 0;
		for (u32 i = 0; i < 3; i++)
			assert_int_equal(ms_sched_add(sched, increment_locked, NULL), 0);
		assert_int_equal(ms_sched_run(sched), 0);
		assert_int_equal(counter, 3);
	} while (ms_sched_next(sched));
	assert_int_equal(most_inside, 1);
	assert_true(ms_sched_nr(sched) >= 6);
}

static void take_and_keep(void *arg)
{
	ms_sched_lock(sched);
}

static void deadlock(void **state)
{
	assert_int_equal(ms_sched_add(sched, take_and_keep, NULL), 0);
	assert_int_equal(ms_sched_add(sched, take_and_keep, NULL), 0);
	assert_int_equal(ms_sched_run(sched), -EDEADLK);
	/* Usable afterwards. */
	assert_int_equal(ms_sched_add(sched, increment, NULL), 0);
	assert_int_equal(ms_sched_run(sched), 0);
	assert_int_equal(counter, 1);
}

static void scripts(void **state)
{
	static const struct ms_sched_step steps[] = {
		{ .action = 1, .point = NMMU_POINT_FAST_DONE },
		{ .action = 0, .point = MS_SCHED_END },
	};
	static const struct ms_sched_step twice[] = {
		{ .action = 0, .point = NMMU_POINT_FAST_DONE, .times = 2 },
		{ .action = 1, .point = NMMU_POINT_FLUSH },
	};

	ms_sched_script(sched, steps, 2);
	assert_int_equal(ms_sched_add(sched, steps_of, (char *)"aA"), 0);
	assert_int_equal(ms_sched_add(sched, steps_of, (char *)"bB"), 0);
	assert_int_equal(ms_sched_run(sched), 0);
	assert_string_equal(trace, "bbaaaAbB");
	assert_string_equal(
		ms_sched_text(sched),
		"1:fast-read 1:fast-done 0:fast-read 0:fast-done 0:fast-done 0:end 1:fast-done 1:end");
	assert_int_equal(ms_sched_missed(sched), 0);
	assert_false(ms_sched_next(sched));

	trace_len = 0;
	ms_sched_script(sched, twice, 2);
	assert_int_equal(ms_sched_add(sched, steps_of, (char *)"aA"), 0);
	assert_int_equal(ms_sched_add(sched, steps_of, (char *)"bB"), 0);
	assert_int_equal(ms_sched_run(sched), 0);
	assert_string_equal(trace, "aaabbbBA");
	/* A point that is never reached is said. */
	assert_int_equal(ms_sched_missed(sched), 1);
}

static int turns;

static void waits(void *arg)
{
	while (!counter) {
		turns++;
		ms_sched_pause(sched, NMMU_POINT_ENTER);
	}
}

/* Who waits in a loop does not keep the others from going on, and does not make schedules without end. */
static void pausing(void **state)
{
	do {
		counter = turns = 0;
		assert_int_equal(ms_sched_add(sched, waits, NULL), 0);
		assert_int_equal(ms_sched_add(sched, increment, NULL), 0);
		assert_int_equal(ms_sched_run(sched), 0);
		assert_true(turns <= 2);
	} while (ms_sched_next(sched));
	assert_true(ms_sched_nr(sched) >= 3 && ms_sched_nr(sched) < 10);
	/* Nobody else is there to wait for. */
	assert_int_equal(ms_sched_add(sched, waits, NULL), 0);
	counter = 1;
	assert_int_equal(ms_sched_run(sched), 0);
}

/* Drawn schedules: equal for equal seeds, and sooner or later each of the few there are. */
static void drawn(void **state)
{
	u32 lost = 0, kept = 0, first = 0;

	for (u32 round = 0; round < 2; round++) {
		lost = kept = 0;
		ms_sched_random(sched, 7);
		do {
			counter = 0;
			assert_int_equal(ms_sched_add(sched, increment, NULL), 0);
			assert_int_equal(ms_sched_add(sched, increment, NULL), 0);
			assert_int_equal(ms_sched_run(sched), 0);
			lost += counter == 1;
			kept += counter == 2;
		} while (ms_sched_next(sched) && ms_sched_nr(sched) < 200);
		assert_true(lost > 20 && kept > 20);
		if (round)
			assert_int_equal(lost, first);
		first = lost;
	}
}

static void too_many(void **state)
{
	for (u32 i = 0; i < MS_SCHED_ACTIONS; i++)
		assert_int_equal(ms_sched_add(sched, increment, NULL), 0);
	assert_int_equal(ms_sched_add(sched, increment, NULL), -ENOSPC);
	assert_int_equal(ms_sched_run(sched), 0);
	/* Outside of a run the hooks do nothing. */
	ms_sched_yield(sched, NMMU_POINT_LOCK);
	ms_sched_lock(sched);
	ms_sched_lock(sched);
	ms_sched_unlock(sched);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(all_schedules), T(four_parts_each), T(the_lock_is_kept), T(deadlock), T(scripts),
		T(pausing),	  T(drawn),	      T(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
