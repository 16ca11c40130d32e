/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command audit on a VM in motion: what is there in each of six readings counts, what is not does not, and a value
 * that is wrong by itself is believed at once.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auditlists.h"
#include "audittrips.h"
#include "query/query.h"

struct moving {
	struct audit_host host; /* first: the target's priv is its records */
	struct ms_target_ops ops;
	struct ms_err *(*read)(struct ms_target *target, const struct ms_want *want,
			       const struct ms_sink *sink);
	u64 *spte, good, bad;
	u32 bad_in; /* 1 << reading, from 0: the entry is bad there */
	u32 gone_from; /* from this reading on there is no VM */
	u32 readings; /* of entries */
	u64 look_flip; /* the entry is another by these bits after the lists were read, in readings of look_in */
	u32 look_in, looks;
};

static struct ms_err *moving_read(struct ms_target *target, const struct ms_want *want,
				  const struct ms_sink *sink)
{
	struct moving *m = target->priv;

	if (!(want->what & MS_WANT_SPTES))
		return m->read(target, want, sink);
	*m->spte = m->bad_in & 1u << m->readings ? m->bad : m->good;
	if (m->readings++ >= m->gone_from)
		return sink->put(sink->ctx, MS_REC_HOST, audit_host(&m->host), NULL);
	return m->read(target, want, sink);
}

/* The entry, after everything else of the reading. */
static struct ms_err *moving_kread(struct ms_target *target, struct ms_kread *reqs, size_t nr)
{
	struct moving *m = target->priv;
	u64 now = *m->spte ^ (m->look_in & 1u << m->looks ? m->look_flip : 0);
	size_t i;

	m->looks++;
	for (i = 0; i < nr; i++) {
		reqs[i].status =
			reqs[i].addr == FAKE_ENTRY_VA(0, FAKE_N_L1, 3) && reqs[i].len == 8 ? 0 : -EFAULT;
		if (!reqs[i].status)
			memcpy(reqs[i].dst, &now, 8);
	}
	return NULL;
}

static void moving_init(struct moving *m, enum fake_page page, u32 idx, u64 flip)
{
	struct small_item *item;
	size_t i;

	memset(m, 0, sizeof(*m));
	audit_host_init(&m->host, &audit_variants[1]);
	for (i = 0; (item = small_find(&m->host.records, MS_REC_SP, i)); i++)
		if (((struct ms_rec_sp *)item->rec)->sp == FAKE_SP(0, (u64)page))
			m->spte = &item->tables->sptes[idx];
	assert_non_null(m->spte);
	m->good = *m->spte;
	m->bad = m->good ^ flip;
	m->gone_from = ~0u;
	m->read = m->host.records.target.ops->read;
	m->ops = *m->host.records.target.ops;
	m->ops.read = moving_read;
	m->ops.kread = moving_kread;
	m->host.records.target.ops = &m->ops;
}

static u64 summed(const struct ms_result *result, const char *name)
{
	const struct ms_section *s = &result->sections[0];
	struct ms_cell *cells = ms_cells_create(s->nr_cols);
	u64 value = ~0ull;
	size_t i;

	ms_result_row(result, s, 0, cells);
	for (i = 0; i < s->nr_cols; i++)
		if (!strcmp(s->cols[i].name, name))
			value = cells[i].u;
	ms_cells_destroy(cells, s->nr_cols);
	return value;
}

struct outcome {
	u64 counted, dropped;
	int status;
	u32 readings;
	char notes[600]; /* all of them */
};

static struct outcome ask(struct moving *m, u32 caps)
{
	struct ms_session session = { 0 };
	struct ms_result *result = NULL;
	struct ms_args args = { 0 };
	struct outcome got = { 0 };
	struct ms_err *err;
	size_t i;

	m->host.records.target.caps = caps;
	session.target = small_open(&m->host.records);
	err = ms_args_parse_line("audit --vm 4242", NULL, &args);
	if (!err)
		err = ms_query_run(&session, &args, &result);
	if (err)
		fail_msg("%s", ms_err_text(err));
	got.counted = summed(result, "findings");
	got.dropped = summed(result, "not_seen_again");
	got.status = result->status;
	got.readings = m->readings;
	for (i = 0; i < result->nr_notes; i++)
		strncat(got.notes, result->notes[i], sizeof(got.notes) - 1 - strlen(got.notes));
	ms_result_destroy(result);
	ms_args_deinit(&args);
	ms_session_deinit(&session);
	small_end(&m->host.records);
	return got;
}

/* Bit 3 makes an entry that is not present one of no form (row 15); a second read is needed. */
#define NO_FORM FAKE_TDP_L1, 100, 8

static void test_stays(void **state)
{
	struct outcome got;
	struct moving m;

	(void)state;
	moving_init(&m, NO_FORM);
	m.bad_in = 63;
	got = ask(&m, MS_CAP_LIVE);
	assert_int_equal(got.counted, 1);
	assert_int_equal(got.dropped, 0);
	assert_int_equal(got.status, 1);
	assert_int_equal(got.readings, 6);
	assert_null(strstr(got.notes, "again"));
}

static void test_passes(void **state)
{
	static const u32 bad_in[] = { 1, 3, 5 };
	struct outcome got;
	struct moving m;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		moving_init(&m, NO_FORM);
		m.bad_in = bad_in[i];
		got = ask(&m, MS_CAP_LIVE);
		assert_int_equal(got.counted, 0);
		assert_int_equal(got.dropped, 1);
		assert_int_equal(got.status, 0);
		assert_int_equal(got.readings, bad_in[i] == 3 ? 3 : 2);
		assert_non_null(strstr(got.notes, "not there again"));
	}
}

static void test_one_read_is_enough(void **state)
{
	struct outcome got;
	struct moving m;

	(void)state;
	/* Writable and not MMU-writable (row 2). */
	moving_init(&m, FAKE_N_L1, 5, 1ull << 58);
	m.bad_in = 1;
	got = ask(&m, MS_CAP_LIVE);
	assert_int_equal(got.counted, 1);
	assert_int_equal(got.dropped, 0);
	assert_int_equal(got.status, 1);
	assert_int_equal(got.readings, 1);
}

static void test_silent_is_read_once(void **state)
{
	struct outcome got;
	struct moving m;

	(void)state;
	moving_init(&m, NO_FORM);
	m.bad_in = 6;
	got = ask(&m, MS_CAP_LIVE);
	assert_int_equal(got.counted + got.dropped, 0);
	assert_int_equal(got.status, 0);
	assert_int_equal(got.readings, 1);
}

/* As a snapshot: wrong for all that is known, but of two moments perhaps. */
static void test_cannot_be_read_again(void **state)
{
	struct outcome got;
	struct moving m;

	(void)state;
	moving_init(&m, NO_FORM);
	m.bad_in = ~0u;
	got = ask(&m, 0);
	assert_int_equal(got.counted, 0);
	assert_int_equal(got.dropped, 1);
	assert_int_equal(got.status, 0);
	assert_int_equal(got.readings, 1);
	assert_non_null(strstr(got.notes, "cannot be read again"));
}

static void test_gone(void **state)
{
	struct outcome got;
	struct moving m;

	(void)state;
	moving_init(&m, NO_FORM);
	m.bad_in = ~0u;
	m.gone_from = 1;
	got = ask(&m, MS_CAP_LIVE);
	assert_int_equal(got.counted, 0);
	assert_int_equal(got.dropped, 1);
	assert_int_equal(got.status, 0);
}

/* W and MMU-writable, and the frame is a table in sync (row 31): of two pages, which need not be of one moment. */
static void test_of_two_pages(void **state)
{
	struct outcome got;
	struct moving m;
	u32 missing;

	(void)state;
	moving_init(&m, FAKE_TDP_L1, FAKE_N_L1_GFN, 1ull << 58 | 1ull << 1);
	m.bad_in = 63;
	got = ask(&m, MS_CAP_LIVE);
	assert_int_equal(got.counted, 1);
	assert_int_equal(got.readings, 6);
	for (missing = 1; missing < 6; missing++) {
		moving_init(&m, FAKE_TDP_L1, FAKE_N_L1_GFN, 1ull << 58 | 1ull << 1);
		m.bad_in = 63 ^ 1u << missing;
		got = ask(&m, MS_CAP_LIVE);
		assert_int_equal(got.counted, 0);
		assert_int_equal(got.dropped, 1);
		assert_int_equal(got.readings, missing + 1);
	}
}

/* The same, read under the lock: if all is of one moment one reading tells, also of a snapshot; else as without it. */
static struct outcome ask_locked(u32 flags, u32 bad_in, u32 caps, enum fake_page page, u32 idx, u64 flip)
{
	const struct ms_rec_exact exact = {
		.kvm = FAKE_KVM(0), .flags = flags, .holds = 5, .longest_ns = 90001
	};
	struct moving m;

	moving_init(&m, page, idx, flip);
	small_add(&m.host.records, MS_REC_EXACT, &exact, NULL);
	m.bad_in = bad_in;
	return ask(&m, caps);
}

static void test_of_one_moment(void **state)
{
#define IN_SYNC FAKE_TDP_L1, FAKE_N_L1_GFN, 1ull << 58 | 1ull << 1
	struct outcome got;

	(void)state;
	got = ask_locked(MS_EXACT_ONE_MOMENT, 1, MS_CAP_LIVE, IN_SYNC);
	assert_int_equal(got.counted, 1);
	assert_int_equal(got.dropped, 0);
	assert_int_equal(got.readings, 1);
	assert_non_null(
		strstr(got.notes, "held 5 times, for 91 us at the longest; all of it was so at one moment"));
	assert_int_equal(ask_locked(MS_EXACT_ONE_MOMENT, 1, 0, IN_SYNC).counted, 1);
	/* A second read that agrees (row 15) is not needed either. */
	assert_int_equal(ask_locked(MS_EXACT_ONE_MOMENT, 1, MS_CAP_LIVE, NO_FORM).counted, 1);

	got = ask_locked(0, 1, MS_CAP_LIVE, IN_SYNC);
	assert_int_equal(got.counted, 0);
	assert_int_equal(got.dropped, 1);
	assert_int_equal(got.readings, 2);
	assert_non_null(strstr(got.notes, "not of the same"));
	got = ask_locked(0, 63, MS_CAP_LIVE, IN_SYNC);
	assert_int_equal(got.counted, 1);
	assert_int_equal(got.readings, 6);
	/* Memslots are read without the lock: an entry of a read-only one that is host-writable (row 3). */
	got = ask_locked(MS_EXACT_ONE_MOMENT, 1, MS_CAP_LIVE, FAKE_TDP_L1_RO, 3, 1ull << 57);
	assert_int_equal(got.counted, 0);
	assert_int_equal(got.dropped, 1);
	assert_int_equal(got.readings, 2);
#undef IN_SYNC
}

/* A leaf that is in no list: it counts if it still is what it was when the list has been read, each time. */
static struct outcome ask_unlisted(u64 flip, u32 in)
{
	struct moving m;

	moving_init(&m, FAKE_N_L1, 3, 0);
	AUDIT_LISTS(&m.host, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
	m.look_flip = flip;
	m.look_in = in;
	return ask(&m, MS_CAP_LIVE | MS_CAP_KREAD);
}

static void test_looked_at_again(void **state)
{
	struct outcome got;
	u32 in;

	(void)state;
	got = ask_unlisted(0, 0);
	assert_int_equal(got.counted, 1);
	assert_int_equal(got.readings, 6);
	/* Zapped, or another frame, at one look of six. */
	for (in = 1; in < 64; in <<= 1) {
		got = ask_unlisted(1ull << 11, in);
		assert_int_equal(got.counted, 0);
		assert_int_equal(got.dropped, 1);
		assert_int_equal(ask_unlisted(1ull << 20, in).counted, 0);
	}
	/* EPT's A and D bits are the CPU's. */
	assert_int_equal(ask_unlisted(3ull << 8, 63).counted, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_one_read_is_enough),
		cmocka_unit_test(test_silent_is_read_once),
		cmocka_unit_test(test_cannot_be_read_again),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_of_two_pages),
		cmocka_unit_test(test_of_one_moment),
		cmocka_unit_test(test_looked_at_again),
	};

	return cmocka_run_group_tests_name("audit_cmd", tests, NULL, NULL);
}
