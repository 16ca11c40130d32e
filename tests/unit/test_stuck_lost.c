/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events that were lost break off each series, whatever its cause: src/query/stuck.c, and the command that feeds it. */
#include "made.h"

#include "query/stuck.h"

enum { HALF = MS_STUCK_MIN / 2 + 2, NR = 2 * HALF, PER = 3 };

#define STALE(...) EV(1, 0, stale, .addr = 0x5000, .gfn = 5, __VA_ARGS__)
#define DONE(how) EV(2, 0, fault_done, .addr = 0x5000, .gfn = 5, .ret = MS_RET_##how)
#define TOLD(qualification) EV(1, 0, inject, .reason = 48, .qual = (qualification), .addr = 0x5000)
#define EMULATE(fails) EV(3, 0, emulate, .rip = 0x401000, .failed = (fails))
/* Of no business to a series: another vCPU's. */
#define ELSE EV(1, 1, dirty, .gfn = 9)

/* A fault, then these; again and again that is a series. */
static const struct series {
	enum ms_stuck_cause cause;
	struct ms_event then[PER - 1];
} series[] = {
	{ MS_STUCK_RETRY, { ELSE, DONE(RETRY) } },
	{ MS_STUCK_SEQ, { STALE(.seq_seen = 7, .seq_now = 8), DONE(RETRY) } },
	{ MS_STUCK_IN_PROGRESS, { STALE(.seq_seen = 7, .seq_now = 7, .in_progress = 2), DONE(RETRY) } },
	{ MS_STUCK_ROOT, { STALE(.seq_seen = 7, .seq_now = 7, .root_obsolete = 1), DONE(RETRY) } },
	{ MS_STUCK_FIXED, { ELSE, DONE(FIXED) } },
	{ MS_STUCK_SPURIOUS, { ELSE, DONE(SPURIOUS) } },
	{ MS_STUCK_ERROR, { ELSE, DONE(ERROR) } },
	{ MS_STUCK_EMULATION_FAILS, { DONE(EMULATE), EMULATE(1) } },
	{ MS_STUCK_EMULATION_REPEATS, { DONE(EMULATE), EMULATE(0) } },
	{ MS_STUCK_L1_GRANTS, { TOLD(0x189), DONE(NONE) } },
	{ MS_STUCK_L1_DENIES, { TOLD(0x18a), DONE(NONE) } },
};
#define NR_SERIES (sizeof(series) / sizeof(series[0]))

/* One fault more, so that what became of the last one is known. */
static void make(const struct series *of, struct ms_event ret[NR * PER + 1])
{
	size_t i, k;

	for (i = 0; i <= NR; i++) {
		ret[i * PER] = (struct ms_event)EV(0, 0, fault, .addr = 0x5000, .error = 2);
		for (k = 1; k < PER && i < NR; k++)
			ret[i * PER + k] = of->then[k - 1];
	}
	for (i = 0; i <= NR * PER; i++) {
		ret[i].seq = i + 1;
		ret[i].time_ns = 5000 * MS + i * 1000;
		ret[i].guest = MS_EV_L2;
	}
}

static u64 longest(const struct ms_stuck *stuck, enum ms_stuck_cause cause)
{
	struct ms_stuck_place *found;
	size_t nr = ms_stuck_found(stuck, 2, &found), i;
	u64 ret = 0;

	for (i = 0; i < nr; i++) {
		assert_int_equal(ms_stuck_cause(&found[i]), cause);
		if (found[i].nr > ret)
			ret = found[i].nr;
	}
	free(found);
	return ret;
}

static bool all_told(void)
{
	u32 seen = 0;
	size_t i;

	for (i = 0; i < NR_SERIES; i++)
		seen |= 1u << series[i].cause;
	return seen == (1u << MS_NR_STUCK) - 1;
}

/* A loss between two faults, or in the midst of one; each half is a series of its own. */
static void test_library(void **state)
{
	struct ms_event list[NR * PER + 1];
	struct ms_stuck *stuck;
	size_t which, at, i;
	u64 got;

	(void)state;
	assert_true(all_told());
	for (which = 0; which < NR_SERIES; which++)
		for (at = 0; at < 1 + PER; at++) {
			make(&series[which], list);
			stuck = ms_stuck_create(~0ull);
			for (i = 0; i <= NR * PER; i++) {
				if (at && i == HALF * PER + at - 1)
					ms_stuck_lost(stuck);
				ms_stuck_event(stuck, &list[i]);
			}
			got = longest(stuck, series[which].cause);
			if (at ? got < HALF - 1 || got > HALF + 1 : got != NR)
				fail_msg("%s, lost at %zu: %llu in a row", ms_stuck_name(series[which].cause),
					 at, (unsigned long long)got);
			ms_stuck_destroy(stuck);
		}
}

/* Where in what was heard since the last time it was lost is not known: what was found before stands, and no more. */
static void test_settle(void **state)
{
	struct ms_event list[NR * PER + 1];
	struct ms_stuck_place *found;
	struct ms_stuck *stuck;
	size_t which, i;
	u32 lost;
	u64 got;

	(void)state;
	for (which = 0; which < NR_SERIES; which++)
		for (lost = 0; lost < 2; lost++) {
			make(&series[which], list);
			stuck = ms_stuck_create(~0ull);
			for (i = 0; i <= NR * PER; i++) {
				if (i == HALF * PER + 1)
					ms_stuck_settle(stuck, false);
				ms_stuck_event(stuck, &list[i]);
			}
			ms_stuck_settle(stuck, lost);
			got = longest(stuck, series[which].cause);
			if (got != (lost ? HALF : NR))
				fail_msg("%s, lost %u: %llu in a row", ms_stuck_name(series[which].cause),
					 lost, (unsigned long long)got);
			assert_int_equal(ms_stuck_found(stuck, HALF, &found), 1);
			assert_true(found[0].open);
			assert_int_equal(found[0].torn, lost);
			free(found);
			ms_stuck_destroy(stuck);
		}
}

/* What is half known of a vCPU: a fault, an emulation, and which L2 it runs. */
static void test_vcpu(void **state)
{
	struct ms_event fault = EV(0, 0, fault, .addr = 0x5000, .error = 2), done = DONE(RETRY);
	struct ms_event emulate = DONE(EMULATE), mmio = EV(3, 0, mmio, .gpa = 0x5000, .write = 1);
	struct ms_event inject = TOLD(0x182), enter = EV(0, 0, nested_enter, .pgd = 0x7000);
	struct ms_stuck *stuck = ms_stuck_create(~0ull);
	struct ms_stuck_place *found;
	struct ms_stuck_vcpu v;
	u32 i;

	(void)state;
	fault.guest = inject.guest = MS_EV_L2;
	/* Its end was lost, and the one that comes is another's. */
	ms_stuck_event(stuck, &fault);
	ms_stuck_lost(stuck);
	ms_stuck_event(stuck, &done);
	assert_true(ms_stuck_vcpu(stuck, 0, &v));
	assert_int_equal(v.faults, 1);
	assert_int_equal(v.retried, 0);
	assert_int_equal(v.unfinished, 1);
	/* What L1 is told then is not of the emulation before. */
	ms_stuck_event(stuck, &fault);
	ms_stuck_event(stuck, &emulate);
	ms_stuck_lost(stuck);
	ms_stuck_event(stuck, &inject);
	assert_true(ms_stuck_vcpu(stuck, 0, &v));
	assert_int_equal(v.emulated, 1);
	assert_int_equal(v.injected, 0);
	assert_int_equal(v.unasked, 1);
	/* Nor does what a device gets carry that one out. */
	for (i = 0; i < 4; i++) {
		ms_stuck_event(stuck, &fault);
		ms_stuck_event(stuck, &done);
	}
	ms_stuck_event(stuck, &fault);
	ms_stuck_event(stuck, &emulate);
	ms_stuck_lost(stuck);
	ms_stuck_event(stuck, &mmio);
	assert_int_equal(ms_stuck_found(stuck, 4, &found), 1);
	assert_true(found[0].open && found[0].torn);
	assert_int_equal(found[0].resolved, 0);
	free(found);
	/* It may have left that L2. */
	ms_stuck_event(stuck, &enter);
	ms_stuck_lost(stuck);
	for (i = 0; i < 5; i++) {
		ms_stuck_event(stuck, &fault);
		ms_stuck_event(stuck, &done);
	}
	assert_int_equal(ms_stuck_found(stuck, 5, &found), 1);
	assert_int_equal(found[0].pgd, 0);
	assert_true(found[0].open && !found[0].torn);
	free(found);
	ms_stuck_destroy(stuck);
}

/* Until it is seen to get on it is open; whatever was lost meanwhile. */
static void test_open(void **state)
{
	struct ms_event fault = EV(0, 0, fault, .addr = 0x5000, .error = 2), done = DONE(RETRY);
	struct ms_event fixed = DONE(FIXED);
	struct ms_stuck *stuck = ms_stuck_create(~0ull);
	struct ms_stuck_place *found;
	u32 i;

	(void)state;
	for (i = 0; i < 8; i++) {
		if (i == 6)
			ms_stuck_lost(stuck);
		ms_stuck_event(stuck, &fault);
		ms_stuck_event(stuck, &done);
	}
	assert_int_equal(ms_stuck_found(stuck, 6, &found), 1);
	assert_int_equal(found[0].nr, 6);
	assert_true(found[0].open && found[0].torn);
	free(found);
	ms_stuck_event(stuck, &fault);
	ms_stuck_event(stuck, &fixed);
	assert_int_equal(ms_stuck_found(stuck, 6, &found), 1);
	assert_false(found[0].open || found[0].torn);
	assert_int_equal(found[0].resolved, 2);
	free(found);
	ms_stuck_destroy(stuck);
}

/* --- the command --- */

/* What has no number: known by a counter alone, between two batches and within one. */
static void test_loss(void **state)
{
	struct ms_event list[NR * PER + 1];
	struct run run;
	size_t which;
	u32 how;

	(void)state;
	for (which = 0; which < NR_SERIES; which++)
		for (how = 0; how < 4; how++) {
			begin(&run);
			make(&series[which], list);
			made.events = list;
			made.nr = NR * PER + 1;
			made.per_call = how & 2 ? 0 : 1;
			made.step_ns = MS;
			made.lost_at = how & 1 ? HALF * PER : 0;
			ask(&run, "stuck --for 1 --vm 4242");
			is(&run, "stuck", 0, "findings", how & 1 ? "0" : "1");
			rows(&run, "places", how & 1 ? 0 : 1);
			if (!(how & 1))
				is(&run, "places", 0, "cause", ms_stuck_name(series[which].cause));
			drop(&run);
			teardown(&run);
		}
}

static void round_of(struct run *run, struct ms_watch *watch)
{
	ms_result_destroy(run->result);
	run->result = NULL;
	assert_null(ms_watch_round(&run->session, &run->args, watch, &run->result));
}

/* A number that is missing: within a batch, and between two rounds as well. */
static void test_gap(void **state)
{
	struct ms_event list[NR * PER + 1];
	struct run run;
	size_t which, i;
	u32 how;

	(void)state;
	for (which = 0; which < NR_SERIES; which++)
		for (how = 0; how < 4; how++) {
			struct ms_watch watch = { 0 };

			begin(&run);
			make(&series[which], list);
			for (i = HALF * PER; i <= NR * PER; i++)
				list[i].seq += how & 1;
			made.events = list;
			made.numbered = true;
			made.nr = how & 2 ? HALF * PER : NR * PER + 1;
			assert_null(ms_args_parse_line("stuck --watch 1 --vm 4242", NULL, &run.args));
			round_of(&run, &watch);
			if (how & 2)
				is(&run, "watch", 0, "findings", "0");
			made.nr = NR * PER + 1;
			round_of(&run, &watch);
			is(&run, "watch", 0, "findings", how & 1 ? "0" : "1");
			ms_watch_deinit(&watch);
			drop(&run);
			teardown(&run);
		}
}

/* What was lost in a round before is no loss of this one: a series of the rounds after it goes on. */
static void test_lost_before(void **state)
{
	struct ms_event list[NR * PER + 1];
	struct ms_watch watch = { 0 };
	struct run run;

	(void)state;
	begin(&run);
	make(&series[0], list);
	made.events = list;
	made.stats.lost_probe = 3;
	assert_null(ms_args_parse_line("stuck --watch 1 --vm 4242", NULL, &run.args));
	made.nr = 0;
	round_of(&run, &watch);
	is(&run, "watch", 0, "lost", "3");
	made.nr = HALF * PER;
	round_of(&run, &watch);
	is(&run, "watch", 0, "lost", "0");
	is(&run, "watch", 0, "findings", "0");
	made.nr = NR * PER;
	round_of(&run, &watch);
	is(&run, "watch", 0, "findings", "1");
	is(&run, "places", 0, "count", "12");
	is(&run, "places", 0, "figures",
	   "error code 0x2 (absent,write); root MMU; first at 0 ms; of 12 faults here 0 resolved: it has not got on since");
	/* Lost since: it may have got on. */
	made.stats.lost_probe++;
	round_of(&run, &watch);
	is(&run, "places", 0, "open", "yes");
	is(&run, "places", 0, "figures",
	   "error code 0x2 (absent,write); root MMU; first at 0 ms; of 12 faults here 0 resolved: it was not seen to get on, but events were lost since");
	ms_watch_deinit(&watch);
	drop(&run);
	teardown(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_library),	    cmocka_unit_test(test_settle),
		cmocka_unit_test(test_vcpu),	    cmocka_unit_test(test_open),
		cmocka_unit_test(test_loss),	    cmocka_unit_test(test_gap),
		cmocka_unit_test(test_lost_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
