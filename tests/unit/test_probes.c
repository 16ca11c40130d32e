/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/target/live_probes.c: the list of probes against the list of events, and events that come out of order, late,
 * or not at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/event_desc.h"
#include "target/live_listen.h"

static void test_every_event_is_fed(void **state)
{
	struct ms_event_desc desc;
	u64 fed = 0;
	size_t i;
	u32 id;

	(void)state;
	for (i = 0; i < ms_nr_probe_descs; i++)
		if (!ms_probe_descs[i].is_operation)
			fed |= ms_probe_descs[i].events;
	for (id = 1; id < MS_EV_NR; id++) {
		assert_true(ms_event_desc(id, &desc));
		if (!(fed >> id & 1))
			fail_msg("no probe feeds '%s'", desc.name);
	}
	assert_int_equal(fed & 1, 0);
	assert_int_equal(fed >> MS_EV_NR, 0);
}

static void test_probes_say_what_they_are(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < ms_nr_probe_descs; i++) {
		const struct ms_probe_desc *a = &ms_probe_descs[i];
		bool alone = true;

		assert_non_null(strchr(a->name, '/'));
		assert_string_equal(strchr(a->name, '/') + 1, a->fn);
		/* Nobody asks for what explains nothing. */
		assert_int_equal(a->events != 0, a->lost[0] != 0);
		assert_null(strchr(a->lost, '\n'));
		for (k = 0; k < ms_nr_probe_descs; k++) {
			const struct ms_probe_desc *b = &ms_probe_descs[k];

			if (k == i)
				continue;
			assert_false(a->is_operation == b->is_operation && !strcmp(a->prog, b->prog));
			alone &= !ms_probe_replaces(b, a);
			assert_int_equal(ms_probe_replaces(a, b), ms_probe_replaces(b, a));
			if (!a->group || a->group != b->group)
				assert_false(ms_probe_replaces(a, b));
			else
				assert_int_equal(ms_probe_replaces(a, b), !a->together || !b->together);
			/* Of a group one is enough: so they do the same. */
			if (a->group && a->group == b->group)
				assert_int_equal(a->events, b->events);
		}
		assert_false(a->group && alone);
	}
}

static const struct ms_probe_desc *probe_on(const char *name)
{
	size_t i;

	for (i = 0; i < ms_nr_probe_descs; i++)
		if (!strcmp(ms_probe_descs[i].name, name))
			return &ms_probe_descs[i];
	fail_msg("no probe '%s'", name);
	return NULL;
}

/* 6.1 has a function for each format of guest tables: one that cannot be had is missed, whatever the others do. */
static void test_side_by_side(void **state)
{
	static const char *const one_each[] = { "paging64_sync_page", "paging32_sync_page", "ept_sync_page" };
	static const char *const kinds[] = { "fentry+fexit", "fentry", "fexit" };
	char a[64], b[64];
	size_t i, k, n;

	(void)state;
	for (n = 0; n < 3; n++)
		for (i = 0; i < 3; i++) {
			snprintf(a, sizeof(a), "%s/%s", kinds[n], one_each[i]);
			snprintf(b, sizeof(b), "%s/__kvm_sync_page", kinds[n]);
			assert_true(ms_probe_replaces(probe_on(b), probe_on(a)));
			assert_true(ms_probe_replaces(probe_on(a), probe_on(b)));
			for (k = 0; k < 3; k++) {
				snprintf(b, sizeof(b), "%s/%s", kinds[n], one_each[k]);
				assert_false(ms_probe_replaces(probe_on(b), probe_on(a)));
			}
		}
}

/* xorshift: the same numbers each time. */
static u64 below(u64 *seed, u64 limit)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed % limit;
}

static struct ms_event numbered(u64 seq)
{
	return (struct ms_event){ .seq = seq, .id = MS_EV_flush };
}

static void put(struct ms_event_queue *q, u64 seq)
{
	struct ms_event event = numbered(seq);

	ms_event_queue_put(q, &event);
}

/* 0: none is handed out. */
static u64 next(struct ms_event_queue *q, u64 lost, u64 now)
{
	const struct ms_event *event = ms_event_queue_next(q, lost, now);

	return event ? event->seq : 0;
}

static void test_late_ones_are_waited_for(void **state)
{
	struct ms_event_queue q = { 0 };

	(void)state;
	put(&q, 1);
	put(&q, 3);
	ms_event_queue_sort(&q);
	assert_int_equal(next(&q, 0, 1), 1);
	assert_int_equal(next(&q, 0, 1), 0);
	put(&q, 4);
	put(&q, 2);
	ms_event_queue_sort(&q);
	assert_int_equal(next(&q, 0, 2), 2);
	assert_int_equal(next(&q, 0, 2), 3);
	assert_int_equal(next(&q, 0, 2), 4);
	assert_int_equal(next(&q, 0, 2), 0);
	assert_int_equal(q.missing, 0);
	ms_event_queue_deinit(&q);
}

static void test_lost_ones_are_not(void **state)
{
	struct ms_event_queue q = { 0 };

	(void)state;
	put(&q, 3);
	put(&q, 5);
	ms_event_queue_sort(&q);
	/* Two are known to be lost, which may be these; the third is not known of. */
	assert_int_equal(next(&q, 1, 1), 0);
	assert_int_equal(next(&q, 2, 1), 3);
	assert_int_equal(next(&q, 2, 1), 0);
	assert_int_equal(next(&q, 3, 1), 5);
	assert_int_equal(q.missing, 3);
	ms_event_queue_deinit(&q);
}

static void test_waiting_ends(void **state)
{
	struct ms_event_queue q = { 0 };

	(void)state;
	put(&q, 2);
	assert_int_equal(next(&q, 0, 1000), 0);
	assert_int_equal(next(&q, 0, 999 + MS_QUEUE_WAIT_NS), 0);
	assert_int_equal(next(&q, 0, 1000 + MS_QUEUE_WAIT_NS), 2);
	assert_int_equal(q.missing, 1);
	/* It comes all the same, and is missing no longer. */
	put(&q, 1);
	put(&q, 3);
	ms_event_queue_sort(&q);
	assert_int_equal(next(&q, 0, 1000 + MS_QUEUE_WAIT_NS), 1);
	assert_int_equal(q.missing, 0);
	assert_int_equal(next(&q, 0, 1000 + MS_QUEUE_WAIT_NS), 3);
	ms_event_queue_deinit(&q);
}

/* CPUs that overtake each other by a few places, with losses that are known by then: all in order, all accounted. */
static void test_at_random(void **state)
{
	struct ms_event_queue q = { 0 };
	u64 seed = 0x5eed, order[600], seq, last = 0, handed = 0, lost = 0, nr = 0, i, k;

	(void)state;
	for (seq = 1; seq <= 600; seq++) {
		if (below(&seed, 10) == 0)
			lost++;
		else
			order[nr++] = seq;
	}
	for (i = 0; i + 4 < nr; i += 4) {
		k = i + below(&seed, 4);
		seq = order[i];
		order[i] = order[k];
		order[k] = seq;
	}
	for (i = 0; i < nr; i++) {
		put(&q, order[i]);
		if (below(&seed, 5) && i + 1 < nr)
			continue;
		ms_event_queue_sort(&q);
		while ((seq = next(&q, lost, 1)) != 0) {
			handed++;
			last = seq > last ? seq : last;
		}
	}
	assert_int_equal(handed, nr);
	assert_int_equal(q.missing, last - handed);
	ms_event_queue_deinit(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_event_is_fed), cmocka_unit_test(test_probes_say_what_they_are),
		cmocka_unit_test(test_side_by_side),	   cmocka_unit_test(test_late_ones_are_waited_for),
		cmocka_unit_test(test_lost_ones_are_not),  cmocka_unit_test(test_waiting_ends),
		cmocka_unit_test(test_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
