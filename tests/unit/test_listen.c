/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening: what passes a filter, what is counted together, and a simulated machine that is listened to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/event_desc.h"
#include "target/sim.h"
#include "target/target.h"

#define ALL (~0ull)
#define BIT(name) (1ull << MS_EV_##name)

static void must(struct ms_err *err)
{
	if (err)
		fail_msg("%s", ms_err_text(err));
}

static void test_passes(void **state)
{
	struct ms_event event = { .id = MS_EV_dirty, .vcpu = 1, .kvm = 0x1000, .u.dirty = { .gfn = 0x20 } };
	struct ms_listen listen = { .events = ALL };

	(void)state;
	assert_true(ms_listen_passes(&listen, &event));
	listen.events = ALL & ~BIT(dirty);
	assert_false(ms_listen_passes(&listen, &event));
	listen = (struct ms_listen){ .events = ALL, .kvm = 0x1000, .has_vcpu = true, .vcpu = 1 };
	assert_true(ms_listen_passes(&listen, &event));
	listen.kvm = 0x2000;
	assert_false(ms_listen_passes(&listen, &event));
	/* Whose it is nobody knows: it may be another's. */
	event.kvm = 0;
	assert_false(ms_listen_passes(&listen, &event));
	listen.kvm = 0;
	assert_true(ms_listen_passes(&listen, &event));
	listen.vcpu = 0;
	assert_false(ms_listen_passes(&listen, &event));

	listen = (struct ms_listen){ .events = ALL, .has_gfn = true, .gfn_start = 0x20, .gfn_end = 0x21 };
	assert_true(ms_listen_passes(&listen, &event));
	event.u.dirty.gfn = 0x21;
	assert_false(ms_listen_passes(&listen, &event));
	event.u.dirty.gfn = 0x1f;
	assert_false(ms_listen_passes(&listen, &event));
	/* A huge entry and a range are about each frame in them. */
	event = (struct ms_event){ .id = MS_EV_spte_set, .u.spte_set = { .gfn = 0, .level = 2 } };
	assert_true(ms_listen_passes(&listen, &event));
	event.u.spte_set.level = 1;
	assert_false(ms_listen_passes(&listen, &event));
	event = (struct ms_event){ .id = MS_EV_log_clear, .u.log_clear = { .gfn = 1, .pages = 0x20 } };
	assert_true(ms_listen_passes(&listen, &event));
	event.u.log_clear.pages = 0x1f;
	assert_false(ms_listen_passes(&listen, &event));
	event.u.log_clear.gfn = 0x21;
	assert_false(ms_listen_passes(&listen, &event));
	/* A GPA is in its frame; no frame is in none. */
	event = (struct ms_event){ .id = MS_EV_pt_write, .u.pt_write = { .gpa = 0x20ff8 } };
	assert_true(ms_listen_passes(&listen, &event));
	event = (struct ms_event){ .id = MS_EV_fault_done, .u.fault_done = { .gfn = ~0ull } };
	listen.gfn_end = ~0ull;
	assert_false(ms_listen_passes(&listen, &event));
	event = (struct ms_event){ .id = MS_EV_flush };
	assert_false(ms_listen_passes(&listen, &event));
	event.id = MS_EV_NR;
	listen.has_gfn = false;
	assert_false(ms_listen_passes(&listen, &event));
}

/* One listener serves two only if they want the same, member by member. */
static void test_same(void **state)
{
	const struct ms_listen listen = {
		.kvm = 0x1000, .events = ALL, .gfn_start = 1, .gfn_end = 2, .vcpu = 1, .progress_ctx = state
	};
	struct ms_listen other[] = {
		listen, listen, listen, listen, listen, listen, listen, listen,
		listen, listen, listen, listen, listen, listen, listen,
	};
	size_t i = 0;

	other[i++].kvm = 0x2000;
	other[i++].events = ALL & ~BIT(dirty);
	other[i++].gfn_start = 0;
	other[i++].gfn_end = 3;
	other[i++].vcpu = 0;
	other[i++].has_gfn = true;
	other[i++].has_vcpu = true;
	other[i++].stacks = true;
	other[i++].count_by = MS_BY_EVENT;
	other[i++].buffer_bytes = 4096;
	other[i++].stacks_max = 1;
	other[i++].free_max = 1;
	other[i++].zapped_max = 1;
	other[i++].counts_max = 1;
	other[i++].threads_max = 1;
	assert_int_equal(i, sizeof(other) / sizeof(other[0]));
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		if (ms_listen_same(&listen, &other[i]) || ms_listen_same(&other[i], &listen))
			fail_msg("member %zu is not looked at", i);
		assert_true(ms_listen_same(&other[i], &other[i]));
	}
	other[0] = listen;
	other[0].progress_ctx = NULL;
	assert_true(ms_listen_same(&listen, &other[0]));
}

static void test_key(void **state)
{
	const struct ms_event set = {
		.id = MS_EV_spte_set,
		.vcpu = 3,
		.kvm = 5,
		.guest = MS_EV_L2,
		.cause = MS_CAUSE_SYNC,
		.u.spte_set = { .gfn = 7, .level = 2 },
	};
	const struct ms_event done = { .id = MS_EV_fault_done,
				       .u.fault_done = { .gfn = ~0ull, .ret = MS_RET_FIXED } };
	struct ms_event_count key;

	(void)state;
	ms_listen_key(MS_BY_EVENT, &set, &key);
	assert_memory_equal(&key, (&(struct ms_event_count){ .id = MS_EV_spte_set }), sizeof(key));
	ms_listen_key(~0u, &set, &key);
	assert_int_equal(key.kvm, 5);
	assert_int_equal(key.gfn, 7);
	assert_int_equal(key.vcpu, 3);
	assert_int_equal(key.guest, MS_EV_L2);
	assert_int_equal(key.cause, MS_CAUSE_SYNC);
	assert_int_equal(key.level, 2);
	assert_int_equal(key.ret, MS_RET_NR);
	ms_listen_key(~0u, &done, &key);
	assert_true(key.gfn == ~0ull);
	assert_int_equal(key.level, 0);
	assert_int_equal(key.ret, MS_RET_FIXED);
}

struct heard {
	u64 nr, by_event[MS_EV_NR], last_seq, last_ns, gaps, stop_after;
};

static bool hear(void *ctx, const struct ms_event *event)
{
	struct heard *heard = ctx;

	assert_in_range(event->id, 1, MS_EV_NR - 1);
	assert_true(event->kvm);
	assert_true(event->time_ns >= heard->last_ns);
	heard->gaps += heard->nr && event->seq != heard->last_seq + 1;
	heard->last_seq = event->seq;
	heard->last_ns = event->time_ns;
	heard->by_event[event->id]++;
	heard->nr++;
	return heard->nr != heard->stop_after;
}

static u64 sum(const u64 *by_event)
{
	u64 ret = 0;
	size_t i;

	for (i = 0; i < MS_EV_NR; i++)
		ret += by_event[i];
	return ret;
}

static void test_sim(void **state)
{
	const struct ms_listen all = { .events = ALL }, counting = { .events = ALL, .count_by = MS_BY_EVENT },
			       fine = { .events = ALL, .count_by = MS_BY_EVENT | MS_BY_GFN | MS_BY_VCPU };
	struct heard heard = { .stop_after = 100 };
	struct ms_event_count *counts;
	struct ms_listen_stats stats;
	struct ms_target *target;
	struct ms_listener *l, *other;
	struct ms_err *err;
	u64 before, nr = 0;
	size_t n, i;
	int round;

	(void)state;
	must(ms_target_open("sim", NULL, &target));
	assert_true(target->caps & MS_CAP_LISTEN);
	must(ms_target_listen(target, &all, &l));
	err = ms_target_listen(target, &all, &other);
	assert_non_null(err);
	ms_err_free(err);
	before = ms_listen_now(l);
	/* Nothing has happened yet, and nothing does while nobody waits. */
	must(ms_listen_next(l, 0, hear, &heard));
	assert_int_equal(heard.nr, 0);
	assert_true(ms_listen_now(l) == before);
	must(ms_listen_next(l, 100, hear, &heard));
	assert_int_equal(heard.nr, 100);
	assert_true(ms_listen_now(l) == before + 100000000);
	/* What was left is handed out without moving on. */
	must(ms_listen_next(l, 100, hear, &heard));
	assert_true(ms_listen_now(l) == before + 100000000);
	must(ms_listen_stats(l, &stats));
	assert_int_equal(stats.delivered, heard.nr);
	assert_int_equal(sum(stats.by_event), heard.nr);
	assert_memory_equal(stats.by_event, heard.by_event, sizeof(heard.by_event));
	assert_int_equal(heard.gaps, 0);
	ms_unlisten(l);
	ms_target_close(target);

	/* Two machines of one seed, one counted coarsely and one finely: the same sums. */
	for (round = 0; round < 2; round++) {
		must(ms_target_open("sim", NULL, &target));
		must(ms_target_listen(target, round ? &fine : &counting, &l));
		must(ms_listen_next(l, 100, hear, &heard));
		must(ms_listen_stats(l, &stats));
		assert_memory_equal(stats.by_event, heard.by_event, sizeof(heard.by_event));
		assert_int_equal(stats.delivered, 0);
		must(ms_listen_counts(l, &counts, &n));
		for (i = 0, nr = 0; i < n; i++) {
			nr += counts[i].nr;
			if (!round)
				assert_int_equal(counts[i].nr, heard.by_event[counts[i].id]);
		}
		assert_int_equal(nr, heard.nr);
		if (round)
			assert_true(n > 100);
		free(counts);
		ms_unlisten(l);
		ms_target_close(target);
	}
}

static void test_filters(void **state)
{
	const struct ms_listen all = { .events = ALL }, some = { .events = BIT(spte_set) | BIT(dirty),
								 .has_gfn = true,
								 .gfn_start = 0x1000,
								 .gfn_end = 0x2000,
								 .has_vcpu = true,
								 .vcpu = 1 };
	struct heard heard = { 0 };
	struct ms_target *target;
	struct ms_listener *l;

	(void)state;
	must(ms_target_open("sim", NULL, &target));
	must(ms_target_listen(target, &some, &l));
	must(ms_listen_next(l, 250, hear, &heard));
	assert_true(heard.by_event[MS_EV_spte_set] > 0);
	assert_true(heard.nr == heard.by_event[MS_EV_spte_set] + heard.by_event[MS_EV_dirty]);
	ms_unlisten(l);
	/* One after the other may listen. */
	must(ms_target_listen(target, &all, &l));
	ms_unlisten(l);
	ms_target_close(target);
}

static void test_nobody(void **state)
{
	struct ms_listener *l = NULL;
	struct ms_target none = { .ops = &ms_target_snap, .spec = "snap:x" };
	struct ms_err *err = ms_target_listen(&none, &(struct ms_listen){ .events = ALL }, &l);

	(void)state;
	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), "snap:x"));
	ms_err_free(err);
	ms_unlisten(NULL);
}

/* --- what a source can raise --- */

static const struct ms_probe *list;
static size_t nr_list;

static size_t made_probes(const struct ms_listener *l, const struct ms_probe **ret)
{
	(void)l;
	*ret = list;
	return nr_list;
}

/* A probe that is on, or whose events another one raises; never one that is for the cause only, idle or off. */
static void test_fed(void **state)
{
	static const struct ms_listen_ops ops = { .probes = made_probes }, bare = { 0 };
	const struct ms_probe probes[] = {
		{ .status = MS_PROBE_ON, .events = BIT(fault) },
		{ .status = MS_PROBE_SPARE, .events = BIT(dirty) },
		{ .status = MS_PROBE_IDLE, .events = BIT(age) },
		{ .status = MS_PROBE_OFF, .events = BIT(flush) },
		{ .status = MS_PROBE_ON, .events = BIT(slot), .explains = true },
		{ .status = MS_PROBE_SPARE, .events = BIT(wp), .explains = true },
	};
	struct ms_listener l = { .ops = &ops };

	(void)state;
	list = probes;
	nr_list = sizeof(probes) / sizeof(probes[0]);
	assert_true(ms_listen_fed(&l) == (BIT(fault) | BIT(dirty)));
	nr_list = 3;
	list = probes + 2;
	assert_true(ms_listen_fed(&l) == 0);
	/* Without probes every event is seen. */
	nr_list = 0;
	assert_true(ms_listen_fed(&l) == ALL);
	l.ops = &bare;
	assert_true(ms_listen_fed(&l) == ALL);
}

/* --- counts of a simulated machine, of events made up --- */

static struct ms_err *stands_still(struct ms_sim_clock *clock, u32 steps)
{
	(void)clock;
	(void)steps;
	return NULL;
}

/* Each key by itself keeps apart what differs in it alone. */
static void test_sim_keys(void **state)
{
	struct ms_event one = { .id = MS_EV_fault_done,
				.kvm = 0x1000,
				.vcpu = 1,
				.guest = MS_EV_L1,
				.cause = MS_CAUSE_FAULT,
				.u.fault_done = { .gfn = 5, .ret = MS_RET_FIXED } };
	const struct ms_listen listen = { .events = ALL, .count_by = ~0u };
	struct ms_sim_clock clock = { .run = stands_still };
	struct ms_event other[6], level = { .id = MS_EV_spte_set, .u.spte_set = { .level = 1 } };
	struct ms_event_count *counts;
	struct ms_listener *l;
	size_t n, i, round;

	(void)state;
	for (i = 0; i < 6; i++)
		other[i] = one;
	other[0].kvm++;
	other[1].vcpu++;
	other[2].guest = MS_EV_L2;
	other[3].cause = MS_CAUSE_SYNC;
	other[4].u.fault_done.gfn++;
	other[5].u.fault_done.ret = MS_RET_RETRY;
	must(ms_sim_listen(&clock, &listen, &l));
	l->listen = listen;
	for (round = 0; round < 3; round++) {
		ms_sim_listener_put(l, &one);
		for (i = 0; i < 6; i++)
			ms_sim_listener_put(l, &other[i]);
		level.u.spte_set.level = 1;
		ms_sim_listener_put(l, &level);
		level.u.spte_set.level = 2;
		ms_sim_listener_put(l, &level);
	}
	must(ms_listen_counts(l, &counts, &n));
	assert_int_equal(n, 9);
	for (i = 0; i < n; i++)
		assert_int_equal(counts[i].nr, 3);
	free(counts);
	ms_unlisten(l);
	assert_null(clock.listener);
}

/* So many that differ in one thing alone that some meet in the table: they stay apart. */
static void test_sim_crowd(void **state)
{
	enum { NR = 250 };
	const struct ms_listen listen = { .events = ALL, .count_by = ~0u };
	struct ms_sim_clock clock = { .run = stands_still };
	struct ms_event event;
	struct ms_event_count *counts;
	struct ms_listener *l;
	u32 what, i, k;
	size_t n;

	(void)state;
	for (what = 0; what < 4; what++) {
		must(ms_sim_listen(&clock, &listen, &l));
		l->listen = listen;
		for (i = 0; i < NR; i++)
			for (k = 1; k <= NR; k++) {
				event = (struct ms_event){ .id = MS_EV_fault_done,
							   .u.fault_done = { .gfn = i } };
				if (what == 0)
					event.cause = (u8)k;
				else if (what == 1)
					event.u.fault_done.ret = (u8)k;
				else if (what == 2)
					event.vcpu = (u16)k;
				else
					event.kvm = k;
				ms_sim_listener_put(l, &event);
			}
		must(ms_listen_counts(l, &counts, &n));
		assert_int_equal(n, NR * NR);
		free(counts);
		ms_unlisten(l);
	}
}

/* More keys than there is room for, and what the source itself has lost: counted as such. */
static void test_sim_losses(void **state)
{
	const struct ms_listen listen = { .events = ALL, .count_by = MS_BY_GFN };
	struct ms_event event = { .id = MS_EV_dirty };
	struct ms_sim_clock clock = { .run = stands_still };
	struct ms_event_count *counts;
	struct ms_listen_stats stats;
	struct ms_listener *l;
	size_t n;
	u64 gfn;

	(void)state;
	must(ms_sim_listen(&clock, &listen, &l));
	l->listen = listen;
	for (gfn = 0; gfn < 65536 + 7; gfn++) {
		event.u.dirty.gfn = gfn;
		ms_sim_listener_put(l, &event);
	}
	/* One that has a count already goes on. */
	event.u.dirty.gfn = 3;
	ms_sim_listener_put(l, &event);
	ms_sim_listener_lost(l, 11);
	must(ms_listen_stats(l, &stats));
	assert_int_equal(stats.lost_count, 7);
	assert_int_equal(stats.lost_buffer, 11);
	assert_int_equal(stats.by_event[MS_EV_dirty], 65536 + 8);
	must(ms_listen_counts(l, &counts, &n));
	assert_int_equal(n, 65536);
	assert_int_equal(counts[3].nr, 2);
	free(counts);
	ms_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes),	   cmocka_unit_test(test_key),
		cmocka_unit_test(test_same),	   cmocka_unit_test(test_sim),
		cmocka_unit_test(test_filters),	   cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_fed),	   cmocka_unit_test(test_sim_keys),
		cmocka_unit_test(test_sim_losses), cmocka_unit_test(test_sim_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
