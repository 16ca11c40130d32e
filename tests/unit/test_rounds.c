// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands that listen, beside the stream: the last that were heard, no VM, one listener for the same, rounds. */
#include "made.h"

/* Without anybody who goes on asking: only as many as are shown are kept, whatever comes. */
static void test_last_heard(void **state)
{
	struct run run;
	size_t nr, i;
	char words[32], number[24];

	for (nr = 1; nr <= NR_EVENTS + 1; nr++) {
		begin(&run);
		snprintf(words, sizeof(words), "events -n %zu", nr);
		ask(&run, words);
		rows(&run, "events", nr < NR_EVENTS ? nr : NR_EVENTS);
		for (i = 0; i < nr && i < NR_EVENTS; i++) {
			snprintf(number, sizeof(number), "%llu",
				 (unsigned long long)events[nr < NR_EVENTS ? NR_EVENTS - nr + i : i].time_ns);
			is(&run, "events", i, "time_ns", number);
		}
		is(&run, "log", 0, "looked_at", "5");
		snprintf(number, sizeof(number), "%zu", nr < NR_EVENTS ? NR_EVENTS - nr : 0);
		is(&run, "log", 0, "overwritten", number);
		refuse(&run, "events --count 3", "not possible here");
		refuse(&run, "events --by event", "not possible here");
		refuse(&run, "events --trace x", "not possible here");
		drop(&run);
		teardown(&run);
	}
}

static bool has_note(const struct run *run, const char *part)
{
	size_t i;

	for (i = 0; i < run->result->nr_notes; i++)
		if (strstr(run->result->notes[i], part))
			return true;
	return false;
}

/* events is about all VMs that there are and will be; other commands need one. */
/* A session goes on listening only for who asks for the same. */
static void test_same(void **state)
{
	static const struct {
		const char *first, *then;
		u32 listens;
	} cases[] = {
		{ "events -g 5+2", "events -g 5+2", 1 },
		{ "events -g 5+2", "events -g 5+2 -n 3", 1 },
		{ "events -g 5+2", "events -g 6+1", 2 },
		{ "events -g 5+2", "events -g 5+3", 2 },
		{ "events -g 0+1", "events", 2 },
		{ "events --vm 4242", "events --vm 4343", 2 },
		{ "events --vm 4242 -c 0", "events --vm 4242", 2 },
		{ "events -e dirty", "events -e dirty,fault", 2 },
	};
	struct run run;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&run);
		ask(&run, cases[i].first);
		ask(&run, cases[i].then);
		if (made.listens != cases[i].listens)
			fail_msg("%s, then %s: listened %u times", cases[i].first, cases[i].then,
				 made.listens);
		drop(&run);
		teardown(&run);
	}
}

static struct ms_err *watch_next(struct run *run, struct ms_watch *watch)
{
	ms_result_destroy(run->result);
	run->result = NULL;
	return ms_watch_round(&run->session, &run->args, watch, &run->result);
}

/* stuck --watch: what came and what went since the round before; and a VM that is no longer there. */
static void test_stuck_rounds(void **state)
{
	enum { NR = 10 };
	struct ms_event again[2 * NR + 2];
	struct ms_watch watch = { 0 };
	struct ms_rec_host host;
	struct ms_err *err;
	struct run run;
	size_t i;

	begin(&run);
	for (i = 0; i < 2 * NR + 2; i += 2) {
		again[i] = (struct ms_event)EV(i * 1000, 0, fault, .addr = 0x5000, .error = 2);
		again[i + 1] = (struct ms_event)EV(i * 1000 + 500, 0, fault_done, .addr = 0x5000, .gfn = 5,
						   .ret = i < 2 * NR ? MS_RET_RETRY : MS_RET_FIXED);
	}
	made.events = again;
	made.nr = 2 * NR;
	drop(&run);
	assert_null(ms_args_parse_line("stuck --watch --for 1 --vm 4242", NULL, &run.args));
	assert_null(watch_next(&run, &watch));
	is(&run, "watch", 0, "came", "1");
	is(&run, "watch", 0, "went", "0");
	is(&run, "watch", 0, "open", "1");
	is(&run, "places", 0, "cause", "retry");
	is(&run, "places", 0, "figures",
	   "error code 0x2; root MMU; first at 0 ms; of 10 faults here 0 resolved");
	/* Nothing new; then it gets on, which is said once. */
	assert_null(watch_next(&run, &watch));
	is(&run, "watch", 0, "came", "0");
	is(&run, "watch", 0, "went", "0");
	made.nr = 2 * NR + 2;
	assert_null(watch_next(&run, &watch));
	is(&run, "watch", 0, "came", "0");
	is(&run, "watch", 0, "went", "1");
	is(&run, "watch", 0, "open", "0");
	assert_null(watch_next(&run, &watch));
	is(&run, "watch", 0, "went", "0");
	is(&run, "watch", 0, "findings", "1");
	/* The VM ends. */
	ms_result_destroy(run.result);
	run.result = NULL;
	small_end(&run.fake);
	small_init(&run.fake);
	small_host(&host);
	small_add(&run.fake, MS_REC_HOST, &host, NULL);
	err = watch_next(&run, &watch);
	assert_non_null(err);
	assert_int_equal(ms_err_exit_status(err), 3);
	assert_non_null(strstr(ms_err_text(err), "has ended"));
	ms_err_free(err);
	ms_watch_deinit(&watch);
	drop(&run);
	teardown(&run);
}

static void test_no_vm(void **state)
{
	struct ms_stream stream;
	struct run run;
	u32 vms;

	for (vms = 0; vms < 2; vms++) {
		stream = (struct ms_stream){ 0 };
		begin_on(&run, vms);
		line(&run, "events --for 1");
		next(&run, &stream);
		summary(&run, &stream);
		assert_int_equal(run.result->status, 0);
		assert_int_equal(has_note(&run, "there was no VM"), !vms);
		end(&run, &stream);
	}
	begin_on(&run, false);
	refuse(&run, "events --vm 4242", "4242");
	refuse(&run, "dirty --for 1", "VM");
	refuse(&run, "stuck --for 1", "VM");
	teardown(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_heard),
		cmocka_unit_test(test_no_vm),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_stuck_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
