/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * audit --watch on a VM in motion, round by round: what comes and goes, what cannot be told, a VM that ends, and the
 * words of the command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audittrips.h"
#include "query/query.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A VM whose entry is bad in some readings. */
struct moving {
	struct audit_host host; /* first: the target's priv is its records */
	struct ms_target_ops ops;
	struct ms_err *(*read)(struct ms_target *target, const struct ms_want *want,
			       const struct ms_sink *sink);
	u64 *spte, good;
	bool first_bad, again_bad; /* in the first reading of a round, in the others */
	bool vm_gone;
	u32 readings; /* of this round */
	struct ms_session session;
	struct ms_args args;
	struct ms_watch watch;
};

static struct ms_err *moving_read(struct ms_target *target, const struct ms_want *want,
				  const struct ms_sink *sink)
{
	struct moving *m = target->priv;

	if (m->vm_gone)
		return sink->put(sink->ctx, MS_REC_HOST, audit_host(&m->host), NULL);
	if (want->what & MS_WANT_SPTES)
		*m->spte = (m->readings++ ? m->again_bad : m->first_bad) ? m->good ^ 8 : m->good;
	return m->read(target, want, sink);
}

/* Bit 3 makes an entry that is not present one of no form: row 15, which needs a second look. */
static void moving_init(struct moving *m, const char *words)
{
	struct small_item *item;
	size_t i;

	memset(m, 0, sizeof(*m));
	audit_host_init(&m->host, &audit_variants[1]);
	for (i = 0; (item = small_find(&m->host.records, MS_REC_SP, i)); i++)
		if (((struct ms_rec_sp *)item->rec)->sp == FAKE_SP(0, (u64)FAKE_TDP_L1))
			m->spte = &item->tables->sptes[100];
	assert_non_null(m->spte);
	m->good = *m->spte;
	m->read = m->host.records.target.ops->read;
	m->ops = *m->host.records.target.ops;
	m->ops.read = moving_read;
	m->host.records.target.ops = &m->ops;
	m->host.records.target.caps = MS_CAP_LIVE;
	m->session.target = small_open(&m->host.records);
	assert_null(ms_args_parse_line(words, NULL, &m->args));
}

static void moving_end(struct moving *m)
{
	ms_watch_deinit(&m->watch);
	ms_args_deinit(&m->args);
	ms_session_deinit(&m->session);
	small_end(&m->host.records);
}

/* A round; came and went as wanted, and the table has as many rows. */
static void round_is(struct moving *m, u64 came, u64 went, u64 known, int status)
{
	struct ms_result *result = NULL;
	struct ms_err *err;

	m->readings = 0;
	err = ms_watch_round(&m->session, &m->args, &m->watch, &result);
	if (err)
		fail_msg("%s", ms_err_text(err));
	assert_int_equal(m->watch.came, came);
	assert_int_equal(m->watch.went, went);
	assert_int_equal(m->watch.nr_known, known);
	assert_int_equal(result->status, status);
	assert_int_equal(result->nr_sections, 2);
	assert_string_equal(result->sections[0].key, "watch");
	assert_true(result->sections[0].line);
	assert_int_equal(result->sections[1].nr_rows, came + went);
	ms_result_destroy(result);
}

static void round_fails(struct moving *m, const char *text)
{
	struct ms_result *result = NULL;
	struct ms_err *err;

	m->readings = 0;
	err = ms_watch_round(&m->session, &m->args, &m->watch, &result);
	assert_non_null(err);
	assert_null(result);
	assert_int_equal(ms_err_kind(err), MS_ERR_TARGET);
	assert_string_equal(ms_err_text(err), text);
	ms_err_free(err);
}

static void is_bad(struct moving *m, bool first, bool again)
{
	m->first_bad = first;
	m->again_bad = again;
}

static void test_come_and_go(void **state)
{
	struct moving m;

	(void)state;
	moving_init(&m, "audit --watch --vm 4242");
	round_is(&m, 0, 0, 0, 0);
	is_bad(&m, true, true);
	round_is(&m, 1, 0, 1, 1);
	round_is(&m, 0, 0, 1, 1);
	is_bad(&m, false, false);
	round_is(&m, 0, 1, 0, 0);
	round_is(&m, 0, 0, 0, 0);
	assert_int_equal(m.watch.rounds, 5);
	moving_end(&m);
}

/* What one reading has and the next one has not came not; what was known went not either, for it was there. */
static void test_not_each_reading(void **state)
{
	struct moving m;

	(void)state;
	moving_init(&m, "audit --watch --vm 4242");
	is_bad(&m, true, false);
	round_is(&m, 0, 0, 0, 0);
	is_bad(&m, true, true);
	round_is(&m, 1, 0, 1, 1);
	is_bad(&m, true, false);
	round_is(&m, 0, 0, 1, 0);
	is_bad(&m, false, true);
	round_is(&m, 0, 1, 0, 0);
	moving_end(&m);
}

/* A page that could not be confirmed was not judged: what it had is still known. */
static void test_not_judged(void **state)
{
	struct moving m;

	(void)state;
	moving_init(&m, "audit --watch --vm 4242");
	is_bad(&m, true, true);
	round_is(&m, 1, 0, 1, 1);
	audit_page_of(&m.host, FAKE_TDP_L1)->state = MS_SP_TORN;
	round_is(&m, 0, 0, 1, 0);
	audit_page_of(&m.host, FAKE_TDP_L1)->state = MS_SP_CONFIRMED;
	round_is(&m, 0, 0, 1, 1);
	is_bad(&m, false, false);
	audit_page_of(&m.host, FAKE_TDP_L1)->state = MS_SP_UNLINKED;
	round_is(&m, 0, 0, 1, 0);
	audit_page_of(&m.host, FAKE_TDP_L1)->state = MS_SP_CONFIRMED;
	round_is(&m, 0, 1, 0, 0);
	moving_end(&m);
}

/* A row that could not be judged this time says nothing about what it found before. */
static void test_row_lacking(void **state)
{
	struct small_item *item;
	struct moving m;
	size_t i;
	int have;

	(void)state;
	moving_init(&m, "audit --watch --vm 4242");
	is_bad(&m, true, true);
	round_is(&m, 1, 0, 1, 1);
	is_bad(&m, false, false);
	for (have = 0; have < 2; have++) {
		for (i = 0; (item = small_find(&m.host.records, MS_REC_SP, i)); i++) {
			struct ms_rec_sp *sp = item->rec;

			sp->have ^= MS_SP_HAVE_SPTES;
		}
		round_is(&m, 0, have, !have, 0);
	}
	moving_end(&m);
}

/* Nothing goes in a round that did not see all; and it says so. */
static void test_not_whole(void **state)
{
	struct ms_rec_walk *walk;
	struct moving m;

	(void)state;
	moving_init(&m, "audit --watch --vm 4242");
	walk = small_find(&m.host.records, MS_REC_WALK, 0)->rec;
	is_bad(&m, true, true);
	round_is(&m, 1, 0, 1, 1);
	assert_true(m.watch.whole);
	is_bad(&m, false, false);
	walk->flags |= MS_WALK_BROKEN;
	round_is(&m, 0, 0, 1, 1);
	assert_false(m.watch.whole);
	walk->flags &= ~(u32)MS_WALK_BROKEN;
	round_is(&m, 0, 1, 0, 0);
	assert_true(m.watch.whole);
	moving_end(&m);
}

#define GONE "audit: the VM that is watched has ended"

static void test_gone(void **state)
{
	struct ms_rec_walk *walk;
	struct moving m;

	(void)state;
	/* Its words would name another VM by now. */
	moving_init(&m, "audit --watch --vm 4242");
	round_is(&m, 0, 0, 0, 0);
	m.vm_gone = true;
	round_fails(&m, GONE);
	moving_end(&m);

	moving_init(&m, "audit --watch --vm 4242");
	round_is(&m, 0, 0, 0, 0);
	audit_vm(&m.host)->mm += 0x1000;
	round_fails(&m, GONE);
	moving_end(&m);

	moving_init(&m, "audit --watch --vm 4242");
	round_is(&m, 0, 0, 0, 0);
	walk = small_find(&m.host.records, MS_REC_WALK, 0)->rec;
	walk->flags |= MS_WALK_VM_GONE;
	round_fails(&m, GONE);
	moving_end(&m);
}

/* Another process took over: it is the same VM all the same. */
static void test_handed_over(void **state)
{
	struct small_item *item;
	struct moving m;
	size_t i;

	(void)state;
	moving_init(&m, "audit --watch --vm 4242");
	round_is(&m, 0, 0, 0, 0);
	audit_vm(&m.host)->pid = 77;
	for (i = 0; (item = small_find(&m.host.records, MS_REC_FD, i)); i++)
		((struct ms_rec_fd *)item->rec)->pid = 77;
	round_is(&m, 0, 0, 0, 0);
	moving_end(&m);
}

static void test_first_round(void **state)
{
	struct ms_result *result = NULL;
	struct ms_err *err;
	struct moving m;

	(void)state;
	moving_init(&m, "audit --watch --vm 1");
	err = ms_watch_round(&m.session, &m.args, &m.watch, &result);
	assert_non_null(err);
	assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
	ms_err_free(err);
	moving_end(&m);
	/* Outside a watch the command is carried out nowhere. */
	moving_init(&m, "audit --watch --vm 4242");
	err = ms_query_run(&m.session, &m.args, &result);
	assert_non_null(err);
	assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
	assert_null(result);
	ms_err_free(err);
	moving_end(&m);
}

static void test_words(void **state)
{
	static const struct {
		const char *words;
		u32 interval_ms, count;
	} cases[] = {
		{ "audit --watch", 5000, 0 },
		{ "audit -w", 5000, 0 },
		{ "audit --watch 0.1", 100, 0 },
		{ "audit --watch 0.5", 500, 0 },
		{ "audit --watch 2 --vm 7", 2000, 0 },
		{ "audit -w 2.25 --count 3", 2250, 3 },
		{ "audit -w12.125", 12125, 0 },
		{ "audit --watch=7 --count=4294967295", 7000, 0xffffffff },
		{ "--watch 9 audit", 9000, 0 },
		{ "audit --watch 86400", 86400000, 0 },
		{ "audit --watch .5", 500, 0 },
		{ "audit --watch -j", 5000, 0 },
	};
	static const char *const bad[] = {
		"audit --watch 0",
		"audit --watch 0.099",
		"audit --watch 86400.001",
		"audit --watch 1.",
		"audit --watch=x",
		"audit --watch=",
		"audit --watch 1 1",
		"audit 5 --watch",
		"audit --count 1",
		"audit -w --count 0",
		"audit -w --count",
		"audit --watch --list",
		"audit --watch -p",
		"audit -w -w",
		"vms --watch",
		"audit --watch 00000000001",
		"audit --watch 0x5",
		"audit --watch 1e1",
		"audit --watch --count 4294967296",
	};
	struct ms_args args;
	struct ms_err *err;
	size_t i;

	(void)state;
	for (i = 0; i < LEN(cases); i++) {
		err = ms_args_parse_line(cases[i].words, NULL, &args);
		if (err)
			fail_msg("%s: %s", cases[i].words, ms_err_text(err));
		assert_true(args.watch);
		if (args.interval_ms != cases[i].interval_ms || args.count != cases[i].count)
			fail_msg("%s: %u ms, %u rounds", cases[i].words, args.interval_ms, args.count);
		ms_args_deinit(&args);
	}
	for (i = 0; i < LEN(bad); i++) {
		err = ms_args_parse_line(bad[i], NULL, &args);
		if (!err)
			fail_msg("%s: taken", bad[i]);
		assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
		ms_err_free(err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_come_and_go), cmocka_unit_test(test_not_each_reading),
		cmocka_unit_test(test_not_judged),  cmocka_unit_test(test_row_lacking),
		cmocka_unit_test(test_not_whole),   cmocka_unit_test(test_gone),
		cmocka_unit_test(test_handed_over), cmocka_unit_test(test_first_round),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
