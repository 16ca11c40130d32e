// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * events as they happen, from a listener made up: what is asked of it, when it ends, what it lost, where its probes
 * are, stacks; and what text and the trace make of it.
 */
#include "made.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/event_desc.h"
#include "query/events.h"
#include "render/render.h"
#include "render/trace.h"

/* --- tests --- */

static void test_asked_for(void **state)
{
	const struct ms_listen *l = &made.l.listen;
	struct ms_stream stream = { 0 };
	struct run run;

	begin(&run);
	/* A target that keeps no events is listened to without being told so; of every VM. */
	line(&run, "events");
	next(&run, &stream);
	assert_int_equal(l->kvm, 0);
	assert_int_equal(l->events, ~0ull);
	assert_false(l->has_gfn || l->has_vcpu || l->stacks);
	assert_int_equal(l->count_by, 0);
	rows(&run, "events", NR_EVENTS);
	is(&run, "events", 0, "kvm", "0xffff888100000000");
	is(&run, "events", 0, "time", "0.010us");
	is(&run, "events", 1, "time", "1.510us");
	is(&run, "events", 2, "time", "2.000ms");
	is(&run, "events", 4, "time", "1.200000s");
	assert_false(stream.over);
	ms_result_destroy(run.result);
	run.result = NULL;
	ms_stream_deinit(&run.session, &stream);
	assert_false(made.open);

	line(&run, "events --vm 4242 -e dirty,fault -c 0 -g 5+2 --stack");
	next(&run, &stream);
	assert_int_equal(l->kvm, SMALL_KVM);
	assert_int_equal(l->events, 1ull << MS_EV_dirty | 1ull << MS_EV_fault);
	assert_true(l->has_gfn && l->has_vcpu && l->stacks);
	assert_int_equal(l->gfn_start, 5);
	assert_int_equal(l->gfn_end, 7);
	assert_int_equal(l->vcpu, 0);
	end(&run, &stream);
}

static u32 nr_told;

static void told(const char *text)
{
	static const char *const lines[] = {
		"attaching 7 probes, behind those that an earlier listening may have left...",
		"listening by 7 probes",
	};

	assert_in_range(nr_told, 0, 1);
	assert_string_equal(text, lines[nr_told++]);
}

/* A wait is told of once, and not when it is short; that it is over always. */
static void test_attaching(void **state)
{
	static const u32 ms[] = { 60, 1000 };
	u32 i;

	for (i = 0; i < 2; i++) {
		struct ms_stream stream = { 0 };
		struct run run;

		begin(&run);
		made.attach_ms = ms[i];
		nr_told = 1 - i;
		run.session.tell = told;
		line(&run, "events --count 2");
		next(&run, &stream);
		assert_int_equal(nr_told, 2);
		end(&run, &stream);
	}
}

static void test_until(void **state)
{
	struct ms_stream stream = { 0 };
	struct run run;

	begin(&run);
	line(&run, "events --for 1");
	/* What happens behind the end is not shown, though it was taken. */
	next(&run, &stream);
	rows(&run, "events", 4);
	assert_true(stream.over);
	assert_int_equal(stream.nr_seen, 4);
	end(&run, &stream);

	begin(&run);
	made.per_call = 1;
	line(&run, "events --for 1");
	next(&run, &stream);
	rows(&run, "events", 1);
	assert_false(stream.over);
	next(&run, &stream);
	assert_false(stream.over);
	/* The clock says that it is over, and what happened before is still to be had. */
	next(&run, &stream);
	assert_true(stream.over);
	assert_int_equal(stream.nr_seen, 4);
	assert_int_equal(stream.rounds, 3);
	end(&run, &stream);

	begin(&run);
	line(&run, "events --count 2");
	next(&run, &stream);
	rows(&run, "events", 2);
	assert_true(stream.over);
	assert_ptr_equal(stream.events[1].u.dirty.gfn, 1);
	end(&run, &stream);

	begin(&run);
	line(&run, "events --count 2");
	made.fails = true;
	{
		struct ms_err *err = ms_stream_round(&run.session, &run.args, &stream, &run.result);

		assert_non_null(err);
		assert_string_equal(ms_err_text(err), "made: it broke");
		ms_err_free(err);
	}
	end(&run, &stream);
}

static bool go_on(void *ctx, u64 nr)
{
	(void)nr;
	return !*(bool *)ctx;
}

/* The command of a case; who asks is told to stop when *stop is set. */
static void begin_case(struct run *run, const char *words, size_t per_call, bool *stop)
{
	begin(run);
	made.per_call = per_call;
	run->session.progress = go_on;
	run->session.progress_ctx = stop;
	line(run, words);
}

/* Whatever ends it, nothing is taken any more from then on, and before everything is. */
static void test_hold(void **state)
{
	static const struct {
		const char *words;
		size_t per_call, rounds; /* until it is over */
		bool stop;
	} cases[] = {
		{ "events --for 1", 0, 1, false },
		/* Its end is seen by the clock; those of before are still handed out. */
		{ "events --for 1", 1, 3, false },
		{ "events --count 2", 0, 1, false },
		{ "events --count 3", 1, 3, false },
		{ "events --follow", 0, 1, true },
		{ "events --by cause --for 1", 0, 1, false },
		{ "events --by cause --watch 0.5 --for 1", 1, 2, false },
		{ "events --by cause --watch 0.5", 0, 1, true },
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ms_stream stream = { 0 };
		struct run run;
		bool stop = cases[i].stop;

		begin_case(&run, cases[i].words, cases[i].per_call, &stop);
		for (k = 0; k < cases[i].rounds; k++) {
			if (made.holds)
				fail_msg("%s: held in round %zu", cases[i].words, k);
			next(&run, &stream);
		}
		if (!made.holds || !stream.over)
			fail_msg("%s: goes on: %u, over: %d", cases[i].words, made.holds, stream.over);
		end(&run, &stream);
	}
}

/* What a listener keeps back for one that may come late is waited for; not by --count, which has enough. */
static void test_late(void **state)
{
	static const struct {
		const char *words;
		size_t per_call, seen;
		bool stop;
	} cases[] = {
		{ "events --follow", 0, 5, true },   { "events --follow", 1, 5, true },
		{ "events --for 2", 0, 5, false },   { "events --for 1", 0, 4, false },
		{ "events --count 2", 0, 2, false },
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ms_stream stream = { 0 };
		struct run run;
		bool stop = cases[i].stop;

		begin_case(&run, cases[i].words, cases[i].per_call, &stop);
		made.keeps = 2;
		made.late = 8;
		for (k = 0; !stream.over && k < 20; k++)
			next(&run, &stream);
		if (!stream.over || stream.nr_seen != cases[i].seen)
			fail_msg("%s: case %zu: %llu seen, over: %d", cases[i].words, i,
				 (unsigned long long)stream.nr_seen, stream.over);
		end(&run, &stream);
	}
}

static const struct ms_probe probes[] = {
	{ .name = "tp_btf/kvm_page_fault",
	  .status = MS_PROBE_ON,
	  .events = 1ull << MS_EV_fault,
	  .lost = "faults",
	  .why = "" },
	{ .name = "fentry/mark_page_dirty",
	  .status = MS_PROBE_OFF,
	  .events = 1ull << MS_EV_dirty | 1ull << MS_EV_pml,
	  .lost = "who dirties what",
	  .why = "no such function",
	  .misses = 4 },
	{ .name = "kprobe/x",
	  .status = MS_PROBE_SPARE,
	  .events = 1ull << MS_EV_flush,
	  .misses_unknown = true,
	  .lost = "",
	  .why = "" },
	{ .name = "fexit/y",
	  .status = MS_PROBE_IDLE,
	  .events = 1ull << MS_EV_age,
	  .explains = true,
	  .lost = "ages",
	  .why = "" },
	{ .name = "fexit/z",
	  .status = MS_PROBE_ON,
	  .events = 1ull << MS_EV_age | 1ull << MS_EV_flush | 1ull << MS_EV_fault | 1ull << MS_EV_pml |
		    1ull << MS_EV_zap_all,
	  .lost = "this and that",
	  .why = "" },
	{ .name = "fentry/gone",
	  .status = MS_PROBE_OFF,
	  .events = 1ull << MS_EV_slot,
	  .lost = "which memslots changed, from where to where, how large they were, "
		  "and whether their log was on or off at that time",
	  .why = "" },
};

/* All lines of text, but for that of provenance, end within so many columns. */
static void fits(const struct run *run, size_t width)
{
	struct ms_render_opts opts = { .no_header = false };
	int write_errno;
	char *text = NULL, *line;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_null(ms_render(run->result, &opts, out, &write_errno));
	fclose(out);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (*line != '#' && strlen(line) > width)
			fail_msg("%zu columns: %s", strlen(line), line);
	free(text);
}

static void test_summary(void **state)
{
	struct ms_stream stream = { 0 };
	struct run run;
	size_t i;

	begin(&run);
	made.probes = probes;
	made.nr_probes = 5;
	made.before.by_event[MS_EV_dirty] = made.before.delivered = 100;
	made.stats = (struct ms_listen_stats){ .delivered = 105, .runs = 60, .run_ns = 9000 };
	made.stats.by_event[MS_EV_dirty] = 102;
	made.stats.by_event[MS_EV_fault] = 20;
	line(&run, "events --for 1");
	next(&run, &stream);
	summary(&run, &stream);
	assert_int_equal(run.result->status, 0);
	rows(&run, "by_event", 2);
	is(&run, "by_event", 0, "event", "fault");
	is(&run, "by_event", 0, "raised", "20");
	is(&run, "by_event", 1, "raised", "2");
	is(&run, "listened", 0, "raised", "22");
	/* Of five that were handed out one was behind the end. */
	is(&run, "listened", 0, "delivered", "4");
	is(&run, "listened", 0, "ms", "400");
	is(&run, "cost", 0, "ns_per_event", "409");
	is(&run, "cost", 0, "cpu_ppm", "22"); /* 9 us of 400 ms */
	is(&run, "cost", 0, "cpu", "0.00%");
	/* Only what is not on for want of a place. */
	rows(&run, "probes", 1);
	is(&run, "probes", 0, "probe", "fentry/mark_page_dirty");
	is(&run, "probes", 0, "status", "off");
	is(&run, "probes", 0, "events", "dirty pml");
	is(&run, "probes", 0, "lost", "who dirties what");
	is(&run, "probes", 0, "why", "no such function");
	is(&run, "probes", 0, "misses", "4");
	end(&run, &stream);

	/* Of all figures, what was before anybody asked is no part. */
	begin(&run);
	made.before = (struct ms_listen_stats){ .lost_buffer = 5,
						.lost_count = 6,
						.lost_recursion = 7,
						.lost_probe = 8,
						.runs = 9,
						.run_ns = 10,
						.delivered = 11 };
	made.stats = made.before;
	made.stats.delivered += NR_EVENTS;
	made.stats.runs += 2;
	made.stats.run_ns += 300;
	line(&run, "events --for 1");
	next(&run, &stream);
	summary(&run, &stream);
	assert_int_equal(run.result->status, 0);
	is(&run, "listened", 0, "lost_buffer", "0");
	is(&run, "listened", 0, "lost_count", "0");
	is(&run, "listened", 0, "lost_recursion", "0");
	is(&run, "listened", 0, "lost_probe", "0");
	is(&run, "listened", 0, "delivered", "4");
	is(&run, "listened", 0, "probe_runs", "2");
	is(&run, "listened", 0, "probe_ns", "300");
	end(&run, &stream);

	/* Each kind of loss by itself. */
	for (i = 0; i < 7; i++) {
		static const char *const names[] = { "lost_buffer", "lost_count",  "lost_recursion",
						     "lost_probe",  "lost_thread", "lost_free",
						     "lost_owner" };
		u64 *const lost[] = { &made.stats.lost_buffer,	  &made.stats.lost_count,
				      &made.stats.lost_recursion, &made.stats.lost_probe,
				      &made.stats.lost_thread,	  &made.stats.lost_free,
				      &made.stats.lost_owner };

		begin(&run);
		*lost[i] = 3;
		line(&run, "events --for 1");
		next(&run, &stream);
		summary(&run, &stream);
		assert_int_equal(run.result->status, 1);
		is(&run, "listened", 0, names[i], "3");
		assert_non_null(strstr(run.result->notes[0], "3 events were lost"));
		end(&run, &stream);
	}
}

/* What is told beside the losses: stacks, events of no known VM, and figures that a kernel does not give. */
static void test_not_whole(void **state)
{
	struct ms_stream stream = { 0 };
	struct run run;

	(void)state;
	begin(&run);
	made.before = (struct ms_listen_stats){
		.lost_stack = 1, .unknown_vm = 2, .lost_thread = 5, .lost_free = 6, .lost_owner = 7
	};
	made.stats = made.before;
	made.stats.lost_stack = 8;
	made.stats.unknown_vm = 4;
	line(&run, "events --for 1");
	next(&run, &stream);
	summary(&run, &stream);
	assert_int_equal(run.result->status, 0);
	is(&run, "listened", 0, "lost_stack", "7");
	is(&run, "listened", 0, "unknown_vm", "2");
	is(&run, "listened", 0, "lost_thread", "0");
	is(&run, "listened", 0, "lost_free", "0");
	is(&run, "listened", 0, "lost_owner", "0");
	is(&run, "listened", 0, "lost_probe", "0");
	assert_int_equal(run.result->nr_notes, 2);
	assert_non_null(strstr(run.result->notes[0], "7 stacks could not be kept"));
	assert_non_null(strstr(run.result->notes[1], "2 events were left out"));
	end(&run, &stream);

	/* What a kernel does not tell is no 0. */
	begin(&run);
	made.stats = (struct ms_listen_stats){ .lost_probe_unknown = true };
	line(&run, "events --for 1");
	next(&run, &stream);
	summary(&run, &stream);
	assert_int_equal(run.result->status, 0);
	is(&run, "listened", 0, "lost_probe", "-");
	end(&run, &stream);
}

static void test_probes(void **state)
{
	struct run run;

	begin(&run);
	made.probes = probes;
	made.nr_probes = 6;
	ask(&run, "events --probes");
	rows(&run, "probes", 6);
	/* First what cannot be seen. */
	is(&run, "probes", 0, "probe", "fentry/mark_page_dirty");
	is(&run, "probes", 0, "off", "without it: who dirties what; it is off: no such function");
	is(&run, "probes", 1, "probe", "fentry/gone");
	is(&run, "probes", 2, "status", "on");
	is(&run, "probes", 2, "off", "-");
	is(&run, "probes", 3, "status", "spare");
	is(&run, "probes", 3, "lost", "-");
	is(&run, "probes", 4, "status", "idle");
	is(&run, "probes", 4, "explains", "yes");
	is(&run, "probes", 2, "explains", "no");
	is(&run, "probes", 5, "probe", "fexit/z");
	is(&run, "probes", 3, "misses", "-");
	is(&run, "probes", 4, "misses", "0");
	/* Text has room for some names only. */
	is(&run, "probes", 5, "events", "fault flush zap_all pml age");
	is(&run, "probes", 5, "feeds", "fault flush zap_all +2");
	is(&run, "probes", 0, "feeds", "dirty pml");
	fits(&run, 100);
	drop(&run);
	teardown(&run);
	assert_false(made.open);
}

static void test_counts(void **state)
{
	struct ms_stream stream = { 0 };
	struct run run;

	begin(&run);
	line(&run, "events --by event,vm,vcpu,guest,cause,gfn,level,ret --for 1");
	next(&run, &stream);
	assert_int_equal(made.l.listen.count_by, MS_BY_EVENT | MS_BY_KVM | MS_BY_VCPU | MS_BY_GUEST |
							 MS_BY_CAUSE | MS_BY_GFN | MS_BY_LEVEL | MS_BY_RET);
	assert_true(stream.over);
	summary(&run, &stream);
	rows(&run, "counts", 4);
	is(&run, "counts", 3, "event", "fault");
	is(&run, "counts", 0, "event", "fault_done");
	is(&run, "counts", 0, "count", "9");
	is(&run, "counts", 0, "vcpu_id", "-");
	is(&run, "counts", 0, "gfn", "-");
	is(&run, "counts", 0, "ret", "fixed");
	is(&run, "counts", 0, "guest", "l2");
	/* As many: by their keys. */
	is(&run, "counts", 1, "event", "spte_set");
	is(&run, "counts", 1, "level", "2");
	is(&run, "counts", 1, "ret", "-");
	is(&run, "counts", 1, "kvm", "0xffff888100000000");
	is(&run, "counts", 2, "cause", "pml");
	is(&run, "counts", 2, "kvm", "-");
	end(&run, &stream);

	begin(&run);
	line(&run, "events --by cause --watch 0.4 --count 2");
	next(&run, &stream);
	assert_int_equal(made.l.listen.count_by, MS_BY_EVENT | MS_BY_CAUSE);
	rows(&run, "counts", 4);
	assert_false(stream.over);
	next(&run, &stream);
	assert_true(stream.over);
	end(&run, &stream);
}

/* Words of a stack stand below the event, addresses without a name as such, and with --redact not at all. */
static void test_stacks(void **state)
{
	static const struct ms_event one = {
		.seq = 7, .time_ns = 5000 * MS, .vcpu = 0, .tid = 77, .id = MS_EV_dirty, .stack = 3
	};
	struct ms_render_opts opts = { 0 };
	struct ms_stream stream = { 0 };
	struct ms_rows shown = { 0 };
	char *text = NULL;
	size_t len = 0;
	struct run run;
	int error;
	FILE *out;

	begin(&run);
	made.events = &one;
	made.nr = 1;
	made.nr_ips = 2;
	line(&run, "events --stack --count 1");
	next(&run, &stream);
	is(&run, "events", 0, "stack", "0x1003 0x2003");
	out = open_memstream(&text, &len);
	assert_null(ms_render_rows(run.result, &opts, &shown, out, &error));
	assert_null(ms_render_rows(run.result, &opts, &shown, out, &error));
	fclose(out);
	assert_non_null(strstr(text, "dirty"));
	assert_non_null(strstr(text, "\n        0x1003\n        0x2003\n"));
	/* Of several VMs, whose each is. Headings once. */
	assert_non_null(strstr(text, "  VM "));
	assert_null(strstr(strstr(text, "SEQ") + 1, "SEQ"));
	free(text);
	summary(&run, &stream);
	end(&run, &stream);

	begin(&run);
	made.events = &one;
	made.nr = 1;
	made.nr_ips = 2;
	line(&run, "events --stack --count 1 --redact");
	next(&run, &stream);
	is(&run, "events", 0, "stack", "hidden hidden");
	is(&run, "events", 0, "tid", "pid#0");
	end(&run, &stream);

	/* Lost, or none taken. */
	begin(&run);
	made.events = &one;
	made.nr = 1;
	line(&run, "events --stack --count 1 --vm 4242");
	next(&run, &stream);
	is(&run, "events", 0, "stack", "-");
	assert_true(section(&run, "events")->cols[3].flags & MS_COL_SKIP);
	assert_string_equal(section(&run, "events")->cols[3].name, "kvm");
	end(&run, &stream);
}

/* What KVM has not read of an exit is no number: in text a dash, in JSON no member. Elsewhere all bits are a number. */
static void test_not_known(void **state)
{
	static const struct ms_event four[] = {
		EV(0, 0, nested_exit, .reason = 0x400, .qual = ~0ull, .addr = ~0ull),
		EV(1, 0, nested_exit, .reason = 0x400, .qual = 0x100000006, .addr = 0x1000),
		EV(2, 0, fault, .addr = ~0ull, .error = 2),
		EV(3, 0, stale, .addr = 0x1000, .gfn = 1, .seq_seen = ~0ull, .seq_now = ~0ull,
		   .in_progress = ~0u),
	};
	struct ms_stream stream = { 0 };
	struct ms_render_opts opts = { .json = true };
	struct ms_rows shown = { 0 };
	char *text = NULL;
	size_t len = 0;
	struct run run;
	int error;
	FILE *out;

	(void)state;
	begin(&run);
	made.events = four;
	made.nr = 4;
	line(&run, "events --for 1");
	next(&run, &stream);
	is(&run, "events", 0, "fields", "reason=0x400[npf] qual=- addr=-");
	is(&run, "events", 1, "fields",
	   "reason=0x400[npf] qual=0x100000006[absent,write,user,translation] addr=0x1000");
	is(&run, "events", 2, "addr", "0xffffffffffffffff");
	is(&run, "events", 3, "fields",
	   "addr=0x1000 gfn=0x1 seq_seen=- seq_now=- in_progress=- root_obsolete=no");
	is(&run, "events", 3, "seq_now", "-");
	is(&run, "events", 3, "in_progress", "-");
	out = open_memstream(&text, &len);
	assert_null(ms_render_rows(run.result, &opts, &shown, out, &error));
	fclose(out);
	text[strcspn(text, "\n")] = '\0';
	assert_non_null(strstr(text, "\"reason\":\"0x400\""));
	assert_null(strstr(text, "qual"));
	assert_null(strstr(text, "addr"));
	free(text);
	end(&run, &stream);
}

/* A yes or no that the source does not know is neither. */
static void test_unknown_bool(void **state)
{
	static const struct {
		u8 value;
		const char *cell, *word;
	} cases[] = { { 0, "no", "=no" }, { 1, "yes", "=yes" }, { MS_EV_UNKNOWN, "-", "=-" } };
	struct run run;
	size_t i;
	char *text;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ms_event two[] = {
			EV(0, 0, inject, .reason = 14, .unbacked = cases[i].value),
			EV(1, 0, flush, .deferred = cases[i].value),
		};
		struct ms_stream stream = { 0 };

		begin(&run);
		made.events = two;
		made.nr = 2;
		line(&run, "events --for 1");
		next(&run, &stream);
		is(&run, "events", 0, "unbacked", cases[i].cell);
		is(&run, "events", 1, "deferred", cases[i].cell);
		text = cell(&run, section(&run, "events"), 0, "fields");
		assert_string_equal(strstr(text, "unbacked") + strlen("unbacked"), cases[i].word);
		free(text);
		text = cell(&run, section(&run, "events"), 1, "fields");
		assert_string_equal(strstr(text, "deferred") + strlen("deferred"), cases[i].word);
		free(text);
		end(&run, &stream);
	}
}

/* Batches whose cells get wider: each row stands below its headings, which come once but where that cannot be. */
static void test_widths(void **state)
{
	static const struct {
		u64 seq, ns;
		u32 headings;
	} cases[] = { { 12345678, 99 * 1000 * MS, 1 },
		      { 123456789012ull, 0, 2 },
		      { 7, 12345 * 1000 * MS, 2 } };
	struct ms_render_opts opts = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ms_event two[] = { EV(0, 0, dirty, .gfn = 1), EV(0, 0, dirty, .gfn = 1) };
		struct ms_stream stream = { 0 };
		struct ms_rows shown = { 0 };
		char *text = NULL, *at, *row, *heading = NULL;
		u32 headings = 0, nr = 0;
		size_t len = 0;
		struct run run;
		int error;
		FILE *out;

		begin(&run);
		two[1].seq = cases[i].seq;
		two[1].time_ns += cases[i].ns;
		two[1].cause = MS_CAUSE_NESTED;
		made.events = two;
		made.nr = 2;
		made.per_call = 1;
		line(&run, "events --follow --vm 4242");
		out = open_memstream(&text, &len);
		next(&run, &stream);
		assert_null(ms_render_rows(run.result, &opts, &shown, out, &error));
		next(&run, &stream);
		assert_null(ms_render_rows(run.result, &opts, &shown, out, &error));
		fclose(out);
		for (row = strtok_r(text, "\n", &at); row; row = strtok_r(NULL, "\n", &at)) {
			if (strstr(row, "SEQ")) {
				headings++;
				heading = row;
			} else if (strstr(row, "dirty")) {
				nr++;
				assert_non_null(heading);
				assert_int_equal(strstr(row, "dirty") - row,
						 strstr(heading, "EVENT") - heading);
				assert_int_equal(strstr(row, "gfn=") - row,
						 strstr(heading, "FIELDS") - heading);
			}
		}
		assert_int_equal(nr, 2);
		assert_int_equal(headings, cases[i].headings);
		free(text);
		end(&run, &stream);
	}
}

/* --- the trace --- */

static char *trace(const struct ms_event *list, size_t nr, const char *words)
{
	struct ms_tracefile *file = NULL;
	struct ms_stream stream = { 0 };
	char path[] = "/tmp/test_stream.XXXXXX";
	char *text = calloc(1, 65536);
	struct stat st;
	struct run run;
	size_t i, got;
	FILE *in;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	begin(&run);
	made.events = list;
	made.nr = nr;
	line(&run, words);
	next(&run, &stream);
	assert_null(ms_tracefile_create(path, true, stdout, &file));
	assert_null(ms_tracefile_put(file, run.result, stream.events, stream.nr));
	assert_null(ms_tracefile_close(file));
	end(&run, &stream);
	in = fopen(path, "r");
	got = fread(text, 1, 65535, in);
	fclose(in);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
	assert_int_equal(got, st.st_size);
	assert_int_equal(strcmp(text + got - 4, "\n]}\n"), 0);
	for (i = 0; i < got; i++)
		assert_true((u8)text[i] >= 0x20 || text[i] == '\n');
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in %s", part, text);
}

static void test_trace(void **state)
{
	static const struct ms_event cut[] = {
		EV(0, 3, fault_done, .addr = 1, .ret = MS_RET_RETRY), /* begun before anybody listened */
		EV(1000, 3, fault, .addr = 0x5000),
		EV(2000, 3, fault, .addr = 0x6000), /* the one before ended with an error */
		EV(2500, MS_EV_NO_VCPU, invalidate, .start = 0x1000, .end = 0x2000),
		EV(2600, MS_EV_NO_VCPU, invalidate, .start = 0x1000, .end = 0x3000),
		EV(2700, MS_EV_NO_VCPU, invalidate_end, .start = 0x1000, .end = 0x2000),
		EV(2800, MS_EV_NO_VCPU, invalidate_end, .start = 0x7000, .end = 0x8000),
		EV(4000, 3, dirty, .gfn = 2),
	};
	struct ms_event pml[] = {
		EV(1000, 1, pml_drain, .entries = 2), EV(1100, 1, pml, .gfn = 1, .nth = 0),
		EV(1200, 1, dirty, .gfn = 1),	      EV(1300, 1, pml, .gfn = 2, .nth = 1),
		EV(9000, 1, fault, .addr = 0x1000),
	};
	struct ms_event foreign = EV(0, 0, dirty, .gfn = 1);
	struct ms_event thread = EV(0, MS_EV_NO_VCPU, slot, .slot = 1);
	char *text;
	size_t i;

	text = trace(cut, sizeof(cut) / sizeof(cut[0]), "events --trace x --count 8");
	has(text,
	    "{\"name\":\"fault_done\",\"cat\":\"mmu\",\"ph\":\"i\",\"pid\":1,\"tid\":4,\"ts\":5000000.000,\"s\":\"t\"");
	has(text,
	    "\"ph\":\"X\",\"pid\":1,\"tid\":4,\"ts\":5000001.000,\"dur\":1.000,\"args\":{\"seq\":7,\"event\":\"fault\"");
	/* The last one is still on: as far as is known. */
	has(text, "\"ph\":\"X\",\"pid\":1,\"tid\":4,\"ts\":5000002.000,\"dur\":2.000,");
	has(text, "\"unfinished\":true");
	has(text, "\"ph\":\"b\",\"pid\":1,\"tid\":100001,\"ts\":5000002.500,\"id\":1,");
	has(text, "\"ph\":\"e\",\"pid\":1,\"tid\":100001,\"ts\":5000002.700,\"id\":1,");
	has(text, "\"ph\":\"e\",\"pid\":1,\"tid\":100001,\"ts\":5000004.000,\"id\":2,");
	has(text, "{\"name\":\"invalidate_end\",\"cat\":\"mmu\",\"ph\":\"i\"");
	has(text, "\"args\":{\"name\":\"host\"}");
	free(text);

	for (i = 0; i < 4; i++)
		pml[i].cause = MS_CAUSE_PML;
	text = trace(pml, 5, "events --trace x --count 5");
	has(text,
	    "{\"name\":\"pml_drain\",\"cat\":\"mmu\",\"ph\":\"X\",\"pid\":1,\"tid\":2,\"ts\":5000001.000,\"dur\":0.300,");
	has(text, "\"gfn\":\"0x2\",\"nth\":1}");
	free(text);

	/* A name that would harm a terminal, and end a string. */
	foreign.kvm = SMALL_KVM2;
	text = trace(&foreign, 1, "events --trace x --count 1");
	has(text,
	    "{\"name\":\"process_name\",\"cat\":\"mmu\",\"ph\":\"M\",\"pid\":1,\"tid\":0,\"ts\":0.000,\"args\":{\"name\":\"VM 0xffff888200000000 (");
	has(text, "\\\"q)\"}}");
	free(text);
	text = trace(&foreign, 1, "events --trace x --count 1 --redact");
	has(text, "\"args\":{\"name\":\"VM kvm#0\"}");
	free(text);

	thread.tid = 4711;
	text = trace(&thread, 1, "events --trace x --count 1");
	has(text, "\"args\":{\"name\":\"thread 4711\"}");
	free(text);
	text = trace(&thread, 1, "events --trace x --count 1 --redact");
	has(text, "\"args\":{\"name\":\"thread pid#0\"}");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked_for), cmocka_unit_test(test_attaching),
		cmocka_unit_test(test_until),	  cmocka_unit_test(test_hold),
		cmocka_unit_test(test_late),	  cmocka_unit_test(test_summary),
		cmocka_unit_test(test_not_whole), cmocka_unit_test(test_probes),
		cmocka_unit_test(test_counts),	  cmocka_unit_test(test_widths),
		cmocka_unit_test(test_not_known), cmocka_unit_test(test_unknown_bool),
		cmocka_unit_test(test_stacks),	  cmocka_unit_test(test_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
