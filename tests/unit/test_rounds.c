// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands that listen, beside the stream: the last that were heard, no VM, one listener for the same, rounds. */
#include "made.h"

#include "query/stuck.h"

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
/* Of several CPUs, one may be a little behind: its time is before the beginning. */
static void test_before(void **state)
{
	static const struct ms_event two[] = { EV(9000, 0, dirty, .gfn = 1), EV(7500, 1, dirty, .gfn = 2) };
	struct run run;

	begin(&run);
	made.events = two;
	made.nr = 2;
	ask(&run, "events");
	is(&run, "events", 0, "time", "0.000us");
	is(&run, "events", 1, "time", "-1.500us");
	drop(&run);
	teardown(&run);
}

/* The first may come from before the clock was looked at: from there on time counts, and from no later one. */
static void test_early(void **state)
{
	static const struct ms_event three[] = { EV(-1500, 0, dirty, .gfn = 1), EV(500, 1, dirty, .gfn = 2),
						 EV(-2000, 1, dirty, .gfn = 3) };
	struct ms_stream stream = { 0 };
	struct run run;

	(void)state;
	begin(&run);
	made.events = three;
	made.nr = 3;
	line(&run, "events --for 1");
	next(&run, &stream);
	is(&run, "events", 0, "time", "0.000us");
	is(&run, "events", 1, "time", "2.000us");
	is(&run, "events", 2, "time", "-0.500us");
	end(&run, &stream);
}

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
	assert_null(ms_args_parse_line("stuck --watch 1 --vm 4242", NULL, &run.args));
	assert_null(watch_next(&run, &watch));
	is(&run, "watch", 0, "came", "1");
	is(&run, "watch", 0, "went", "0");
	is(&run, "watch", 0, "open", "1");
	is(&run, "places", 0, "cause", "retry");
	/* Nine in the 18 us since the first. */
	is(&run, "places", 0, "rate", "500000");
	is(&run, "places", 0, "figures",
	   "error code 0x2 (absent,write); root MMU; first at 0 ms; of 10 faults here 0 resolved: it has not got on since");
	/* Nothing new; then it gets on, which is said once. What was lost is said of its round. */
	made.stats.lost_buffer = 3;
	assert_null(watch_next(&run, &watch));
	is(&run, "watch", 0, "lost", "3");
	is(&run, "watch", 0, "came", "0");
	is(&run, "watch", 0, "went", "0");
	made.nr = 2 * NR + 2;
	assert_null(watch_next(&run, &watch));
	is(&run, "watch", 0, "came", "0");
	is(&run, "watch", 0, "went", "1");
	is(&run, "watch", 0, "lost", "0");
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

#define FIGURES                                                                                     \
	"error code 0x2 (absent,write); root MMU; first at 0 ms; of 10 faults here 0 resolved: it " \
	"has not got on since"

/* What a kernel without the members cannot tell is absent, and no figure in words either. */
static void test_stale_values(void **state)
{
	enum { NR = 10 };
	struct ms_event again[3 * NR];
	struct run run;
	u32 known, i;

	for (known = 0; known < 2; known++) {
		begin(&run);
		for (i = 0; i < NR; i++) {
			again[3 * i] = (struct ms_event)EV(i * 1000, 0, fault, .addr = 0x5000, .error = 2);
			again[3 * i + 1] = (struct ms_event)EV(i * 1000 + 1, 0, stale, .addr = 0x5000,
							       .gfn = 5, .seq_seen = known ? 7 : ~0ull,
							       .seq_now = known ? 8 : ~0ull,
							       .in_progress = known ? 0 : ~0u);
			again[3 * i + 2] = (struct ms_event)EV(i * 1000 + 2, 0, fault_done, .addr = 0x5000,
							       .gfn = 5, .ret = MS_RET_RETRY);
		}
		made.events = again;
		made.nr = sizeof(again) / sizeof(again[0]);
		ask(&run, "stuck --for 1 --vm 4242");
		is(&run, "places", 0, "cause", known ? "invalidated" : "retry");
		is(&run, "places", 0, "seq_seen", known ? "7" : "-");
		is(&run, "places", 0, "seq_now", known ? "8" : "-");
		is(&run, "places", 0, "in_progress", known ? "0" : "-");
		is(&run, "places", 0, "figures", known ? FIGURES "; seq 7, now 8, 0 under way" : FIGURES);
		drop(&run);
		teardown(&run);
	}
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

/* The content of the frame is another from the sixth event on. */
static struct ms_err *made_frames(struct ms_target *target, u64 kvm, u32 as_id, struct ms_frame *frames,
				  size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		frames[i].state = MS_GTABLE_READ;
		frames[i].digest = frames[i].gfn == 0x11 && made.at >= 6 ? 2 : 1;
	}
	return NULL;
}

/* dirty --check: where events were lost nothing is said to be clean, and nothing is found for want of its mark. */
static void test_check_lost(void **state)
{
	struct ms_event log[] = {
		EV(1 * 100 * MS - 1, 0, log_enable, .slot = 0),
		EV(2 * 100 * MS - 1, 0, dirty, .gfn = 0x11),
		EV(3 * 100 * MS - 1, 0, log_read, .kept = true),
		EV(4 * 100 * MS - 1, 0, spte_set, .gfn = 0x11, .level = 1, .old_spte = 0x77,
		   .new_spte = 0x75),
		EV(5 * 100 * MS - 1, 0, log_clear, .pages = 64),
		EV(6 * 100 * MS - 1, 0, dirty, .gfn = 0x11),
		EV(7 * 100 * MS - 1, 0, log_read, .kept = true),
		EV(8 * 100 * MS - 1, 0, log_read, .kept = true),
		EV(9 * 100 * MS - 1, 0, dirty, .gfn = 0x12),
	};
	static const struct {
		bool marked; /* the write that changed it */
		size_t lost_at;
		const char *found, *reported, *verdict;
		int status;
	} cases[] = {
		{ true, 0, "0", "1", "nothing found", 0 },
		{ false, 0, "1", "0", "1 changes are in no log", 1 },
		/* Before anything is known, between, and when all is judged. */
		{ true, 1, "0", "1", "not known: 1 events were lost", 1 },
		{ true, 6, "0", "0", "not known: 1 events were lost", 1 },
		{ false, 6, "0", "0", "not known: 1 events were lost", 1 },
		{ false, 7, "0", "0", "not known: 1 events were lost", 1 },
		{ true, 8, "0", "1", "not known: 1 events were lost", 1 },
		/* With the reading that would have found it: before or behind it, nobody knows. */
		{ false, 8, "0", "0", "not known: 1 events were lost", 1 },
		{ false, 9, "1", "0", "1 changes are in no log", 1 },
	};
	struct run run;
	size_t i;

	(void)state;
	log[2].cause = MS_CAUSE_LOG_READ;
	log[3].cause = log[4].cause = MS_CAUSE_LOG_CLEAR;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&run);
		ops.frames = made_frames;
		log[5].u.dirty.gfn = cases[i].marked ? 0x11 : 0x12;
		made.events = log;
		made.nr = sizeof(log) / sizeof(log[0]);
		made.per_call = 1;
		made.step_ns = 100 * MS;
		made.lost_at = cases[i].lost_at;
		ask(&run, "dirty --vm 4242 --check 0x10+4 --for 1");
		is(&run, "check", 0, "found", cases[i].found);
		is(&run, "check", 0, "reported", cases[i].reported);
		is(&run, "check", 0, "verdict", cases[i].verdict);
		assert_int_equal(run.result->status, cases[i].status);
		assert_int_equal(has_note(&run, "1 events were lost"), cases[i].lost_at != 0);
		drop(&run);
		teardown(&run);
	}
}

/* The same, where the loss is in the batch of the reading: by a number that is missing, and by a counter alone. */
static void test_check_batch(void **state)
{
#define BATCH(nr, i, ...) EV((nr)*100 * MS - 10 + (i), 0, __VA_ARGS__)
	struct ms_event log[] = {
		BATCH(1, 0, log_enable, .slot = 0),
		BATCH(1, 1, spte_set, .gfn = 0x11, .level = 1, .old_spte = 0x77, .new_spte = 0x75),
		BATCH(1, 2, log_clear, .pages = 64),
		BATCH(2, 0, dirty, .gfn = 0x12),
		BATCH(2, 1, dirty, .gfn = 0x12),
		BATCH(2, 2, log_clear, .gfn = 0x40, .pages = 64),
		BATCH(3, 0, dirty, .gfn = 0x12),
		BATCH(3, 1, log_read, .kept = true),
		BATCH(3, 2, log_read, .kept = true),
	};
#undef BATCH
	static const struct {
		size_t gap_at, lost_at;
		const char *found, *dropped, *verdict;
		int status;
	} cases[] = {
		{ 0, 0, "1", "0", "1 changes are in no log", 1 },
		/* Between the change and the reading that is to have it, and behind that. */
		{ 6, 0, "0", "1", "not known: see the notes", 0 },
		{ 7, 0, "0", "1", "not known: see the notes", 0 },
		{ 8, 0, "1", "0", "1 changes are in no log", 1 },
		{ 0, 7, "0", "1", "not known: 1 events were lost", 1 },
		{ 0, 9, "0", "1", "not known: 1 events were lost", 1 },
		{ 7, 9, "0", "1", "not known: 1 events were lost", 1 },
	};
	struct run run;
	size_t i, k;

	(void)state;
	log[1].cause = log[2].cause = log[5].cause = MS_CAUSE_LOG_CLEAR;
	log[7].cause = log[8].cause = MS_CAUSE_LOG_READ;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&run);
		ops.frames = made_frames;
		for (k = 0; k < sizeof(log) / sizeof(log[0]); k++)
			log[k].seq = k + 1 + (cases[i].gap_at && k >= cases[i].gap_at);
		made.events = log;
		made.nr = sizeof(log) / sizeof(log[0]);
		made.numbered = true;
		made.per_call = 3;
		made.step_ns = 100 * MS;
		made.lost_at = cases[i].lost_at;
		ask(&run, "dirty --vm 4242 --check 0x10+64 --for 1");
		is(&run, "check", 0, "found", cases[i].found);
		rows(&run, "written", *cases[i].found == '1');
		is(&run, "check", 0, "dropped", cases[i].dropped);
		is(&run, "check", 0, "verdict", cases[i].verdict);
		assert_int_equal(run.result->status, cases[i].status);
		drop(&run);
		teardown(&run);
	}
}

/* A range that no memslot has is refused before anybody listens. */
static void test_no_frame(void **state)
{
	struct run run;

	(void)state;
	begin(&run);
	ops.frames = made_frames;
	refuse(&run, "dirty --vm 4242 --check 0x800+4 --for 1",
	       "--check: no memslot of this VM has a frame of 0x800-0x804");
	refuse(&run, "dirty --vm 4242 --gfn 0x900+1 --for 1",
	       "--gfn: no memslot of this VM has a frame of 0x900-0x901");
	refuse(&run, "dirty --vm 4242 --gfn 0+1 --check 0x1010 --for 1", "0x1010-0x1011");
	assert_int_equal(made.listens, 0);
	ask(&run, "dirty --vm 4242 --gfn 0x7ff+4 --check 0xfff+2 --for 1");
	is(&run, "check", 0, "no_slot", "1");
	drop(&run);
	teardown(&run);
}

#define NO_LEAF (~0ull)
#define KIND(nr) ((nr##ull) << 52) /* of an SPTE: 1 without A/D, 2 A/D enabled but write-protected */

/* What can see a write (SEMANTICS E.2): PML to no huge leaf and to none of another kind, which a fault sees. */
static void test_tracking(void **state)
{
	static const struct {
		bool pml;
		u64 small, huge; /* kinds of the one leaf of each size */
		const char *leaves, *seen_by;
	} cases[] = {
		{ true, 0, NO_LEAF, "1", "pml" },	   { true, 0, 0, "2", "pml write-fault" },
		{ true, NO_LEAF, 0, "1", "write-fault" },  { true, KIND(1), NO_LEAF, "1", "write-fault" },
		{ true, KIND(2), 0, "2", "write-fault" },  { true, 0, KIND(2), "2", "pml write-fault" },
		{ false, 0, NO_LEAF, "1", "write-fault" }, { true, NO_LEAF, NO_LEAF, "0", "-" },
	};
	const u64 leaf = 0x8600000000000b77ull;
	const struct spte_profile *ept = spte_profile_by_name("ept-6.12");
	struct ms_rec_slot *slot;
	struct ms_rec_host *host;
	struct ms_sp_tables *tables;
	struct run run;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&run);
		host = small_find(&run.fake, MS_REC_HOST, 0)->rec;
		host->hv = MS_HV_VMX;
		host->have |= MS_HOST_HAVE_PML | (cases[i].pml ? MS_HOST_PML : 0);
		for (k = 0; k < SPTE_NR_MASKS; k++)
			host->masks[k] = spte_mask_get(&ept->m, k);
		slot = small_find(&run.fake, MS_REC_SLOT, 0)->rec;
		slot->flags |= MS_SLOT_LOG_DIRTY;
		for (k = 0; small_find(&run.fake, MS_REC_SP, k); k++) {
			tables = small_find(&run.fake, MS_REC_SP, k)->tables;
			if (tables)
				memset(tables->sptes, 0, sizeof(tables->sptes));
		}
		/* Of level 1, and of level 2. */
		if (cases[i].small != NO_LEAF)
			small_find(&run.fake, MS_REC_SP, 3)->tables->sptes[0] = leaf | cases[i].small;
		if (cases[i].huge != NO_LEAF)
			small_find(&run.fake, MS_REC_SP, 2)->tables->sptes[2] = leaf | 0x80 | cases[i].huge;
		ask(&run, "dirty --vm 4242 --for 1");
		is(&run, "tracking", 0, "leaves", cases[i].leaves);
		is(&run, "tracking", 0, "seen_by", cases[i].seen_by);
		drop(&run);
		teardown(&run);
	}
}

/* Of rings nobody hears when they are read: that is said, and no figure given. */
static void test_ring(void **state)
{
	struct run run;
	u32 ring;

	(void)state;
	for (ring = 0; ring < 2; ring++) {
		begin(&run);
		if (ring)
			((struct ms_rec_vm *)small_find(&run.fake, MS_REC_VM, 0)->rec)->have |=
				MS_VM_DIRTY_RING;
		ask(&run, "dirty --vm 4242 --for 1");
		assert_int_equal(has_note(&run, "dirty frames go to rings of the vCPUs"), ring);
		is(&run, "slots", 0, "since_read", ring ? "-" : "2");
		is(&run, "slots", 0, "reads", ring ? "-" : "0");
		is(&run, "slots", 0, "clears", ring ? "-" : "0");
		drop(&run);
		teardown(&run);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_heard),   cmocka_unit_test(test_no_vm),
		cmocka_unit_test(test_check_lost),   cmocka_unit_test(test_no_frame),
		cmocka_unit_test(test_check_batch),  cmocka_unit_test(test_early),
		cmocka_unit_test(test_tracking),     cmocka_unit_test(test_ring),
		cmocka_unit_test(test_same),	     cmocka_unit_test(test_before),
		cmocka_unit_test(test_stuck_rounds), cmocka_unit_test(test_stale_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
