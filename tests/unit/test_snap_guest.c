/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest tables in snapshots: kept byte for byte, and what no reader of memory can have said is refused. How a reading
 * under the lock is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/snapfile.h"
#include "target/snapfmt.h"
#include "tests/unit/fake.h"

static char file[64];

static struct ms_rec_gtable table(u64 gfn)
{
	return (struct ms_rec_gtable){
		.kvm = FAKE_KVM(0), .gfn = gfn, .hpa = 0x123000, .state = MS_GTABLE_READ, .bytes = { 1, 2, 3 }
	};
}

/* The made-up host with tables of these frames behind its first VM. */
static struct ms_err *save(const struct ms_rec_gtable *tables, size_t nr)
{
	const struct ms_want want = { .what = MS_WANT_HOSTS, .kvm = FAKE_KVM(0) };
	struct ms_snap_writer *writer = NULL;
	struct ms_target *target = NULL;
	u64 nr_records, nr_bytes;
	struct ms_sink sink;
	struct ms_err *err;
	size_t i;

	assert_null(ms_snap_create(file, true, &writer));
	assert_null(fake_open(&(struct fake_opts){ .ept = true }, &target));
	sink = ms_snap_sink(writer);
	err = ms_target_read(target, &want, &sink);
	for (i = 0; i < nr && !err; i++)
		err = sink.put(sink.ctx, MS_REC_GTABLE, &tables[i], NULL);
	ms_target_close(target);
	if (!err)
		return ms_snap_commit(writer, &nr_records, &nr_bytes);
	ms_snap_abort(writer);
	return err;
}

static void test_kept(void **state)
{
	struct ms_rec_gtable tables[] = { table(0), table(7), table(7), table(9) };
	struct ms_want want = { .what = MS_WANT_GUEST };
	struct fake_log log = { 0 };
	struct ms_sink sink = fake_log_sink(&log);
	size_t i;

	(void)state;
	tables[2].as_id = 1;
	tables[3].state = MS_GTABLE_NOT_PRESENT;
	tables[3].hpa = 0;
	memset(tables[3].bytes, 0, sizeof(tables[3].bytes));
	for (i = 0; i < 4096; i++)
		tables[1].bytes[i] = (u8)(i * 7 >> 3);
	assert_null(save(tables, 4));
	assert_null(ms_snap_read(file, &want, &sink));
	assert_int_equal(fake_log_count(&log, MS_REC_GTABLE), 4);
	for (i = 0; i < 4; i++)
		assert_memory_equal(fake_log_get(&log, MS_REC_GTABLE, i), &tables[i], sizeof(tables[i]));
	fake_log_deinit(&log);
	/* Whoever does not ask for the guest's memory does not get it. */
	want.what = MS_WANT_HOSTS;
	log = (struct fake_log){ 0 };
	assert_null(ms_snap_read(file, &want, &sink));
	assert_int_equal(fake_log_count(&log, MS_REC_GTABLE), 0);
	assert_true(fake_log_count(&log, MS_REC_SP) > 0);
	fake_log_deinit(&log);
}

static void refused(const struct ms_rec_gtable *t, const char *words)
{
	struct ms_err *err = save(t, 1);

	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), words));
	assert_non_null(strstr(ms_snap_check_record(MS_REC_GTABLE, t), words));
	ms_err_free(err);
}

static void test_refused(void **state)
{
	struct ms_rec_gtable t = table(7), twice[2] = { table(0), table(0) };
	struct ms_err *err;

	(void)state;
	assert_null(save(&t, 1));
	t.gfn = 1ull << 52;
	refused(&t, "outside every address space");
	t = table(7);
	t.state = MS_GTABLE_UNREADABLE + 1;
	refused(&t, "unknown state");
	t.state = MS_GTABLE_NOT_PRESENT;
	refused(&t, "bytes that were not read");
	t = table(7);
	t.pad[4] = 1;
	refused(&t, "padding is not zero");
	err = save(twice, 2);
	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), "the same guest table twice"));
	ms_err_free(err);
}

/* --- how a VM was read under its lock --- */

static void exact_fails(struct ms_snap_writer *writer, enum ms_rec_type type, const void *rec,
			const char *words)
{
	const struct ms_sink sink = ms_snap_sink(writer);
	struct ms_err *err = sink.put(sink.ctx, type, rec, NULL);

	assert_non_null(err);
	if (!strstr(ms_err_text(err), words))
		fail_msg("%s: no word of \"%s\"", ms_err_text(err), words);
	ms_err_free(err);
	ms_snap_abort(writer);
}

#define KVM 0x1000
/* A file that has a page, and the walk's end where it is wanted. */
static struct ms_snap_writer *begun(bool walked)
{
	const struct ms_rec_host host = { .have = 0 };
	const struct ms_rec_vm vm = { .kvm = KVM };
	const struct ms_rec_sp sp = { .kvm = KVM, .sp = 8 };
	const struct ms_rec_walk walk = { .kvm = KVM, .flags = MS_WALK_LEGACY, .nr_pages = 1 };
	struct ms_snap_writer *writer = NULL;
	struct ms_sink sink;

	assert_null(ms_snap_create(file, true, &writer));
	sink = ms_snap_sink(writer);
	assert_null(sink.put(sink.ctx, MS_REC_HOST, &host, NULL));
	assert_null(sink.put(sink.ctx, MS_REC_VM, &vm, NULL));
	assert_null(sink.put(sink.ctx, MS_REC_SP, &sp, NULL));
	if (walked)
		assert_null(sink.put(sink.ctx, MS_REC_WALK, &walk, NULL));
	return writer;
}

static void test_exact(void **state)
{
	const struct ms_rec_exact exact = {
		.kvm = KVM, .flags = MS_EXACT_ONE_MOMENT, .holds = 7, .longest_ns = 8, .held_ns = 9
	};
	const struct ms_rec_exact odd = { .kvm = KVM, .flags = 2 }, other = { .kvm = 2 * KVM };
	const struct ms_rec_rmap list = {
		.have = MS_RMAP_HAVE_GFN, .kvm = KVM, .head = 8, .nr_entries = 1, .level = 1
	};
	const struct ms_rec_rmaps lists = { .kvm = KVM };
	const struct ms_rec_pin pin = { .kvm = KVM, .level = 1 };
	struct ms_want want = { .what = MS_WANT_SPS };
	struct fake_log log = { 0 };
	struct ms_sink sink, to = fake_log_sink(&log);
	struct ms_snap_writer *writer;
	u64 nr;

	(void)state;
	exact_fails(begun(false), MS_REC_EXACT, &exact, "without their walk");
	exact_fails(begun(true), MS_REC_EXACT, &odd, "unknown flags");
	exact_fails(begun(true), MS_REC_EXACT, &other, "not listed");
	writer = begun(true);
	sink = ms_snap_sink(writer);
	assert_null(sink.put(sink.ctx, MS_REC_RMAP, &list, NULL));
	exact_fails(writer, MS_REC_EXACT, &exact, "without their end");
	writer = begun(true);
	sink = ms_snap_sink(writer);
	assert_null(sink.put(sink.ctx, MS_REC_EXACT, &exact, NULL));
	exact_fails(writer, MS_REC_EXACT, &exact, "a second locked reading");
	writer = begun(true);
	sink = ms_snap_sink(writer);
	assert_null(sink.put(sink.ctx, MS_REC_EXACT, &exact, NULL));
	exact_fails(writer, MS_REC_RMAPS, &lists, "out of order");

	writer = begun(true);
	sink = ms_snap_sink(writer);
	assert_null(sink.put(sink.ctx, MS_REC_RMAPS, &lists, NULL));
	assert_null(sink.put(sink.ctx, MS_REC_EXACT, &exact, NULL));
	assert_null(sink.put(sink.ctx, MS_REC_PIN, &pin, NULL));
	assert_null(ms_snap_commit(writer, &nr, &nr));
	assert_null(ms_snap_read(file, &want, &to));
	assert_int_equal(fake_log_count(&log, MS_REC_EXACT), 1);
	assert_memory_equal(fake_log_get(&log, MS_REC_EXACT, 0), &exact, sizeof(exact));
	fake_log_deinit(&log);
	/* It is about pages and lists. */
	want.what = MS_WANT_SLOTS;
	log = (struct fake_log){ 0 };
	assert_null(ms_snap_read(file, &want, &to));
	assert_int_equal(fake_log_count(&log, MS_REC_EXACT), 0);
	fake_log_deinit(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_exact),
	};
	char dir[] = "/tmp/test_snap_guest.XXXXXX";
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(file, sizeof(file), "%s/x.snap", dir);
	failed = cmocka_run_group_tests_name("snap_guest", tests, NULL, NULL);
	unlink(file);
	rmdir(dir);
	return failed;
}
