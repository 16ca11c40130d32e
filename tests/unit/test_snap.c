/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot files: what goes in comes out, what is asked for comes out, damage is noticed, and FILE is the
 * whole snapshot or untouched.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/snapfile.h"
#include "target/snapfmt.h"
#include "tests/unit/fake.h"
#include "tests/unit/snapdamage.h"

static char dir[] = "/tmp/test_snap.XXXXXX";
static char file[64];

static const struct fake_opts variants[] = {
	{ .ept = true },
	{ .ept = true, .v61 = true },
	{ .owner = "\033[31mred\n\xff", .extra_pages = 5 },
	{ .v61 = true, .passthrough = true },
};
#define NR_VARIANTS (sizeof(variants) / sizeof(variants[0]))

/* The error's text holds the words. */
static void expect_err(struct ms_err *err, const char *words)
{
	assert_non_null(err);
	if (!strstr(ms_err_text(err), words))
		fail_msg("'%s' does not say '%s'", ms_err_text(err), words);
	ms_err_free(err);
}

static size_t files_in_dir(void)
{
	DIR *d = opendir(dir);
	size_t nr = 0;

	assert_non_null(d);
	while (readdir(d))
		nr++;
	closedir(d);
	return nr - 2;
}

static struct ms_err *save(const struct fake_opts *opts, const char *path, bool force)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_snap_writer *writer = NULL;
	struct ms_target *target = NULL;
	u64 nr_records = 0, nr_bytes = 0;
	struct ms_sink sink;
	struct stat st;
	struct ms_err *err = ms_snap_create(path, force, &writer);

	if (err)
		return err;
	sink = ms_snap_sink(writer);
	assert_null(fake_open(opts, &target));
	err = ms_target_read(target, &want, &sink);
	ms_target_close(target);
	if (err) {
		ms_snap_abort(writer);
		return err;
	}
	err = ms_snap_commit(writer, &nr_records, &nr_bytes);
	if (!err) {
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, nr_bytes);
		assert_true(nr_records > 20);
	}
	return err;
}

static void write_file(const void *data, size_t len)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/*
 * Change a file in place: one that is cut to nothing and written anew goes to the disk each time, and there
 * are thousands.
 */
static void change_file(size_t at, u8 byte)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

static void read_file(struct mem *mem)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	u8 chunk[4096];
	ssize_t got;

	assert_true(fd >= 0);
	while ((got = read(fd, chunk, sizeof(chunk))) > 0)
		mem_put(mem, chunk, (size_t)got);
	close(fd);
}

static bool log_equal(const struct fake_log *a, const struct fake_log *b)
{
	size_t i;

	if (a->nr != b->nr || a->nr_bytes != b->nr_bytes || memcmp(a->bytes, b->bytes, a->nr_bytes))
		return false;
	for (i = 0; i < a->nr; i++)
		if (a->recs[i].type != b->recs[i].type || a->recs[i].tables != b->recs[i].tables)
			return false;
	return true;
}

/* Whatever is asked for, a snapshot of a target gives what the target itself gives. */
static void test_round_trip(void **state)
{
	size_t k;
	u32 what, v;

	for (k = 0; k < NR_VARIANTS; k++) {
		char spec[96];
		struct ms_target *fake = NULL, *snap = NULL;

		assert_null(save(&variants[k], file, true));
		assert_null(fake_open(&variants[k], &fake));
		snprintf(spec, sizeof(spec), "snap:%s", file);
		assert_null(ms_target_open(spec, NULL, &snap));
		assert_int_equal(snap->caps, 0);
		for (what = 0; what <= MS_WANT_ALL; what++) {
			for (v = 0; v <= 3; v++) {
				/* All VMs, either one, one that is not there. */
				const struct ms_want want = { .what = what, .kvm = v ? FAKE_KVM(v - 1) : 0 };
				struct fake_log from = { 0 }, to = { 0 };
				struct ms_sink from_sink = fake_log_sink(&from), to_sink = fake_log_sink(&to);

				assert_null(ms_target_read(fake, &want, &from_sink));
				assert_null(ms_target_read(snap, &want, &to_sink));
				assert_true(log_equal(&from, &to));
				fake_log_deinit(&from);
				fake_log_deinit(&to);
			}
		}
		ms_target_close(fake);
		ms_target_close(snap);
		assert_int_equal(unlink(file), 0);
	}
}

static bool give_up(void *ctx, u64 nr_pages)
{
	*(u64 *)ctx = nr_pages;
	return nr_pages < 512;
}

static void test_give_up(void **state)
{
	u64 asked = 0;
	const struct ms_want want = { .what = MS_WANT_ALL, .progress = give_up, .progress_ctx = &asked };
	struct fake_log log = { 0 };
	struct ms_sink sink = fake_log_sink(&log);
	const struct ms_rec_walk *walk;

	assert_null(save(&(struct fake_opts){ .extra_pages = 1000 }, file, false));
	assert_null(ms_snap_read(file, &want, &sink));
	assert_int_equal(asked, 512);
	assert_int_equal(fake_log_count(&log, MS_REC_SP), 512);
	assert_int_equal(log.recs[log.nr - 1].type, MS_REC_WALK);
	walk = (const void *)(log.bytes + log.recs[log.nr - 1].at);
	assert_int_equal(walk->flags, MS_WALK_TDP | MS_WALK_BROKEN);
	assert_int_equal(walk->nr_pages, 512 - FAKE_NR_LEGACY(&(struct fake_opts){ 0 }));
	fake_log_deinit(&log);
	assert_int_equal(unlink(file), 0);
}

static struct ms_err *sink_fails(void *ctx, enum ms_rec_type type, const void *rec,
				 const struct ms_sp_tables *tables)
{
	return type == MS_REC_SLOT ? ms_err_new(MS_ERR_TARGET, "enough of it") : NULL;
}

static void test_sink_error(void **state)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	const struct ms_sink sink = { .put = sink_fails };

	assert_null(save(&variants[0], file, false));
	expect_err(ms_snap_read(file, &want, &sink), "enough of it");
	assert_int_equal(unlink(file), 0);
}

/* --- damage --- */

static void test_stream_cut(void **state)
{
	struct mem stream = { 0 }, cut;
	struct fake_log log = { 0 };
	size_t len;

	stream_short(&stream);
	assert_null(stream_read(&stream, &log));
	fake_log_deinit(&log);
	for (len = 0; len < stream.len; len++) {
		cut = (struct mem){ .data = stream.data, .len = len };
		expect_err(stream_read(&cut, &log), len < 16 ? "not a snapshot" : "cut off");
		fake_log_deinit(&log);
	}
	mem_deinit(&stream);
}

/*
 * Every bit. What is structure must be refused. Where it is a value the read may succeed, and then it must
 * have said just that other value and nothing else: encoded again it gives the very bytes that were read.
 */
static void test_stream_flips(void **state)
{
	struct mem stream = { 0 }, again = { 0 };
	size_t bit, taken = 0, refused = 0;
	u8 *structure;

	stream_short(&stream);
	structure = stream_structure(&stream);
	for (bit = 0; bit < stream.len * 8; bit++) {
		struct ms_err *err;

		stream.data[bit / 8] ^= 1u << (bit % 8);
		again.len = 0;
		err = stream_again(&stream, &again);
		if (err) {
			refused++;
		} else {
			if (structure[bit / 8])
				fail_msg("bit %zu of byte %zu: damaged structure was read", bit % 8, bit / 8);
			if (again.len != stream.len || memcmp(again.data, stream.data, stream.len))
				fail_msg("bit %zu of byte %zu: read as something else", bit % 8, bit / 8);
			taken++;
		}
		ms_err_free(err);
		stream.data[bit / 8] ^= 1u << (bit % 8);
	}
	/* Both happen, or this test says nothing. */
	assert_true(taken > 5000 && refused > 5000);
	free(structure);
	mem_deinit(&stream);
	mem_deinit(&again);
}

static struct ms_err *read_log(struct fake_log *log)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_sink sink = fake_log_sink(log);

	return ms_snap_read(file, &want, &sink);
}

static void pack_short(struct mem *packed)
{
	struct ms_snap_writer *writer = NULL;
	struct mem stream = { 0 };
	struct fake_log log = { 0 };
	struct ms_sink sink;
	u64 nr_records, nr_bytes;
	size_t i;

	stream_short(&stream);
	assert_null(stream_read(&stream, &log));
	assert_null(ms_snap_create(file, true, &writer));
	sink = ms_snap_sink(writer);
	for (i = 0; i < log.nr; i++)
		assert_null(sink.put(sink.ctx, log.recs[i].type, log.bytes + log.recs[i].at,
				     fake_log_tables(&log, i)));
	assert_null(ms_snap_commit(writer, &nr_records, &nr_bytes));
	assert_int_equal(nr_records, log.nr);
	read_file(packed);
	fake_log_deinit(&log);
	mem_deinit(&stream);
}

/*
 * A packed file has a checksum: no flip may change what is read. A few change nothing: in the gzip header's
 * remarks (time, system), in the bits that fill up the last byte, in a copy's distance within a run of zeros.
 */
static void test_packed_flips(void **state)
{
	struct mem packed = { 0 };
	struct fake_log good = { 0 };
	size_t bit, taken = 0;

	pack_short(&packed);
	assert_null(read_log(&good));
	for (bit = 0; bit < packed.len * 8; bit++) {
		struct fake_log log = { 0 };
		struct ms_err *err;

		change_file(bit / 8, packed.data[bit / 8] ^ (u8)(1u << (bit % 8)));
		err = read_log(&log);
		if (!err) {
			assert_true(log_equal(&good, &log));
			taken++;
		}
		ms_err_free(err);
		fake_log_deinit(&log);
		change_file(bit / 8, packed.data[bit / 8]);
	}
	assert_true(taken >= 6 * 8 && taken < packed.len * 8 / 20);
	fake_log_deinit(&good);
	mem_deinit(&packed);
	assert_int_equal(unlink(file), 0);
}

static void test_packed_cut(void **state)
{
	struct mem packed = { 0 };
	struct fake_log log = { 0 };
	size_t len;

	pack_short(&packed);
	for (len = packed.len; len-- > 0;) {
		assert_int_equal(truncate(file, (off_t)len), 0);
		expect_err(read_log(&log), "the file ends early");
		fake_log_deinit(&log);
	}
	/* More of it: zeros, as a disk after a crash leaves them, or a second member. */
	len = packed.len;
	mem_put(&packed, "\0\0\0", 3);
	write_file(packed.data, packed.len);
	expect_err(read_log(&log), "data after the end of the packed stream");
	fake_log_deinit(&log);
	packed.len = len;
	{
		struct mem twice = { 0 };

		mem_put(&twice, packed.data, packed.len);
		mem_put(&twice, packed.data, packed.len);
		write_file(twice.data, twice.len);
		expect_err(read_log(&log), "data after the end of the packed stream");
		fake_log_deinit(&log);
		mem_deinit(&twice);
	}
	mem_deinit(&packed);
	assert_int_equal(unlink(file), 0);
}

/* --- single lies --- */

static struct mem short_stream;

/*
 * The short stream with `len' bytes at `at' bytes into the nth record of a type (into its struct) replaced.
 */
static void lie(enum ms_rec_type type, size_t nth, size_t at, const void *bytes, size_t len,
		const char *words)
{
	size_t rec = stream_find(&short_stream, type, nth);
	struct mem bad = { 0 };
	struct fake_log log = { 0 };

	assert_true(rec != SIZE_MAX);
	mem_put(&bad, short_stream.data, short_stream.len);
	memcpy(bad.data + rec + 8 + at, bytes, len);
	expect_err(stream_read(&bad, &log), words);
	fake_log_deinit(&log);
	mem_deinit(&bad);
}

#define LIE(type, nth, struct_, field, value, words)                                            \
	lie(type, nth, offsetof(struct_, field), &(__typeof__(((struct_ *)0)->field)){ value }, \
	    sizeof(((struct_ *)0)->field), words)
#define UNENDED(type, struct_, field)                                                               \
	lie(type, 0, offsetof(struct_, field),                                                      \
	    memset((char[sizeof(((struct_ *)0)->field)]){ 0 }, 'A', sizeof(((struct_ *)0)->field)), \
	    sizeof(((struct_ *)0)->field), "string without an end")

static void test_lies(void **state)
{
	u8 bytes[8];

	stream_short(&short_stream);
	UNENDED(MS_REC_HOST, struct ms_rec_host, release);
	UNENDED(MS_REC_HOST, struct ms_rec_host, target);
	UNENDED(MS_REC_VM, struct ms_rec_vm, comm);
	UNENDED(MS_REC_FD, struct ms_rec_fd, comm);
	LIE(MS_REC_HOST, 0, struct ms_rec_host, have, ~0ull, "unknown presence bits");
	LIE(MS_REC_HOST, 0, struct ms_rec_host, hv, 3, "unknown kind of hypervisor");
	LIE(MS_REC_HOST, 0, struct ms_rec_host, nr_role_fields, 33, "more role fields");
	LIE(MS_REC_HOST, 0, struct ms_rec_host, nr_role_fields, 0xffffffff, "more role fields");
	LIE(MS_REC_HOST, 0, struct ms_rec_host, role_fields[1].width, 32, "outside its word");
	LIE(MS_REC_HOST, 0, struct ms_rec_host, role_fields[1].bit, 64, "outside its word");
	LIE(MS_REC_VM, 0, struct ms_rec_vm, have, 1ull << 24, "unknown presence bits");
	LIE(MS_REC_VM, 0, struct ms_rec_vm, kvm, 0, "no address");
	LIE(MS_REC_VM, 1, struct ms_rec_vm, kvm, FAKE_KVM(0), "the same VM twice");
	LIE(MS_REC_FD, 0, struct ms_rec_fd, kind, 3, "unknown kind");
	LIE(MS_REC_FD, 0, struct ms_rec_fd, vcpu, 8, "a VM's, but of a vCPU");
	LIE(MS_REC_FD, 0, struct ms_rec_fd, kvm, 8, "not listed");
	LIE(MS_REC_VCPU, 1, struct ms_rec_vcpu, vcpu, FAKE_VCPU(0, 0), "the same vCPU twice");
	LIE(MS_REC_VCPU, 1, struct ms_rec_vcpu, kvm, FAKE_KVM(1), "details of a VM in two places");
	LIE(MS_REC_SLOT, 0, struct ms_rec_slot, base_gfn, 1ull << 52, "outside every address space");
	LIE(MS_REC_MMU, 0, struct ms_rec_mmu, which, 3, "unknown which");
	LIE(MS_REC_MMU, 1, struct ms_rec_mmu, mmu, FAKE_MMU(0, 0, 0), "the same MMU twice");
	LIE(MS_REC_SP, 0, struct ms_rec_sp, state, 4, "unknown state");
	LIE(MS_REC_SP, 0, struct ms_rec_sp, state, MS_SP_CONFIRMED, "counts other pages");
	LIE(MS_REC_SP, 1, struct ms_rec_sp, sp, FAKE_SP(0, FAKE_N_TORN), "the same shadow page twice");
	LIE(MS_REC_SP, 0, struct ms_rec_sp, have, MS_SP_HAVE_TRANSLATIONS, "translations without SPTEs");
	LIE(MS_REC_SP, 0, struct ms_rec_sp, have, MS_SP_HAVE_SPTES, "more bytes than its tables need");
	LIE(MS_REC_WALK, 0, struct ms_rec_walk, flags, 0, "of no MMU");
	LIE(MS_REC_WALK, 0, struct ms_rec_walk, flags, MS_WALK_LEGACY | MS_WALK_TDP, "of both");
	LIE(MS_REC_WALK, 1, struct ms_rec_walk, flags, MS_WALK_LEGACY, "the same walk twice");
	LIE(MS_REC_WALK, 1, struct ms_rec_walk, nr_pages, 1ull << 40, "counts other pages");
	LIE(MS_REC_END, 0, struct ms_rec_end, nr_records, 1ull << 40, "counts other records");
	/*
	 * A table that says nothing differs has no room for its values; one full of values has not enough of
	 * them.
	 */
	memset(bytes, 0, sizeof(bytes));
	lie(MS_REC_SP, 1, sizeof(struct ms_rec_sp) + 8, bytes, 8, "damaged table");
	memset(bytes, 0xff, sizeof(bytes));
	lie(MS_REC_SP, 1, sizeof(struct ms_rec_sp) + 8, bytes, 8, "damaged table");
	/* Claims of length, in the record's head. */
	lie(MS_REC_SP, 0, (size_t)-4, &(u32){ 0xffffffff }, 4, "a length that its type cannot have");
	lie(MS_REC_SP, 0, (size_t)-4, &(u32){ 87 }, 4, "a length that its type cannot have");
	lie(MS_REC_VM, 0, (size_t)-4, &(u32){ 143 }, 4, "a length that its type cannot have");
	lie(MS_REC_VM, 0, (size_t)-8, &(u32){ 18 }, 4, "a record of unknown type");
	lie(MS_REC_VM, 0, (size_t)-8, &(u32){ 0 }, 4, "a record of unknown type");
	/* Versions and magic: before the host, whose struct begins at byte 24. */
	lie(MS_REC_HOST, 0, (size_t)-24, "MMUSCOPE", 8, "not a snapshot");
	lie(MS_REC_HOST, 0, (size_t)-16, &(u32){ 2 }, 4, "snapshot format 2.3");
	lie(MS_REC_HOST, 0, (size_t)-12, &(u32){ 0 }, 4, "snapshot format 1.0");
	mem_deinit(&short_stream);
}

static void patch(const struct mem *stream, size_t skip_from, size_t skip_to, size_t insert_at,
		  const char *words)
{
	struct mem bad = { 0 };
	struct fake_log log = { 0 };

	/*
	 * Bytes [skip_from, skip_to) go to insert_at: a copy when insert_at lies outside, removed when it is
	 * SIZE_MAX.
	 */
	if (insert_at == SIZE_MAX) {
		mem_put(&bad, stream->data, skip_from);
		mem_put(&bad, stream->data + skip_to, stream->len - skip_to);
	} else {
		mem_put(&bad, stream->data, insert_at);
		mem_put(&bad, stream->data + skip_from, skip_to - skip_from);
		mem_put(&bad, stream->data + insert_at, stream->len - insert_at);
	}
	expect_err(stream_read(&bad, &log), words);
	fake_log_deinit(&log);
	mem_deinit(&bad);
}

static void test_order(void **state)
{
	struct mem s = { 0 };
	size_t host, vm0, vm1, fd, vcpu, sp, walk, end;

	stream_short(&s);
	host = stream_find(&s, MS_REC_HOST, 0);
	vm0 = stream_find(&s, MS_REC_VM, 0);
	vm1 = stream_find(&s, MS_REC_VM, 1);
	fd = stream_find(&s, MS_REC_FD, 0);
	vcpu = stream_find(&s, MS_REC_VCPU, 0);
	sp = stream_find(&s, MS_REC_SP, 0);
	walk = stream_find(&s, MS_REC_WALK, 0);
	end = stream_find(&s, MS_REC_END, 0);
	patch(&s, host, vm0, SIZE_MAX, "does not begin with the host");
	patch(&s, host, vm0, vm0, "a second host");
	patch(&s, vm1, fd, SIZE_MAX, "counts other records");
	patch(&s, vm0, vm1, SIZE_MAX, "not listed");
	patch(&s, vm0, vm1, vm1, "the same VM twice");
	patch(&s, vm1, fd, vcpu, "a VM after details");
	patch(&s, fd, vcpu, sp, "out of order");
	patch(&s, vcpu, sp, walk, "out of order");
	patch(&s, walk, stream_find(&s, MS_REC_SP, 3), SIZE_MAX, "counts other pages");
	patch(&s, stream_find(&s, MS_REC_WALK, 1), end, SIZE_MAX, "shadow pages without their walk");
	patch(&s, end, s.len, SIZE_MAX, "cut off");
	patch(&s, end, s.len, sp, "counts other records");
	patch(&s, end, s.len, s.len, "data after the end");
	patch(&s, 0, 1, s.len, "data after the end");
	mem_deinit(&s);
}

/* Details of one VM must be in one place. */
static void test_order_vms(void **state)
{
	const struct ms_want want = { .what = MS_WANT_VCPUS };
	struct mem s = { 0 };
	size_t fd0, fd1, end;

	stream_of(&variants[0], &want, &s);
	fd0 = stream_find(&s, MS_REC_FD, 0);
	fd1 = stream_find(&s, MS_REC_FD, FAKE_NR_VCPUS + 1);
	end = stream_find(&s, MS_REC_END, 0);
	patch(&s, fd0, fd0 + 8 + sizeof(struct ms_rec_fd), end, "details of a VM in two places");
	patch(&s, fd0, fd1, end, "details of a VM in two places");
	mem_deinit(&s);
}

struct stopped {
	const struct mem *stream;
	size_t at;
};

static struct ms_err *stopped_read(void *ctx, void *buf, size_t len, size_t *got_ret)
{
	struct stopped *s = ctx;

	assert_true(len <= MS_SNAP_LEN_MAX);
	*got_ret = len < s->stream->len - s->at ? len : s->stream->len - s->at;
	memcpy(buf, s->stream->data + s->at, *got_ret);
	s->at += *got_ret;
	return NULL;
}

/* What a tiny file unpacks to is bounded by a number of records. */
static void test_limit(void **state)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct fake_log log = { 0 };
	struct ms_sink sink = fake_log_sink(&log);
	struct stopped from = { 0 };
	const struct ms_snap_source source = { .read = stopped_read, .ctx = &from };
	struct mem s = { 0 };
	u64 nr;

	stream_of(&variants[2], &want, &s);
	from.stream = &s;
	memcpy(&nr, s.data + s.len - 8, 8);
	assert_null(ms_snap_read_stream(&source, "mem", nr, &want, &sink));
	assert_int_equal(log.nr, nr);
	from.at = 0;
	expect_err(ms_snap_read_stream(&source, "mem", nr - 1, &want, &sink),
		   "more records than a snapshot may hold");
	fake_log_deinit(&log);
	mem_deinit(&s);
}

static void test_tables(void **state)
{
	u64 values[MS_SPTES], back[MS_SPTES];
	u8 code[MS_SNAP_TABLE_MAX];
	u32 fill, i;
	size_t len;

	/* From one value throughout to 512 different ones. */
	for (fill = 0; fill <= MS_SPTES; fill++) {
		for (i = 0; i < MS_SPTES; i++)
			values[i] = i * 7919u % MS_SPTES < fill ? (u64)i << 12 | 1 : 1ull << 63;
		len = ms_snap_table_encode(values, code);
		assert_true(len <= sizeof(code));
		if (fill < MS_SPTES / 2)
			assert_int_equal(len, 72 + 8 * fill);
		memset(back, 0xa5, sizeof(back));
		assert_int_equal(ms_snap_table_decode(code, len, back), len);
		assert_memory_equal(values, back, sizeof(values));
		assert_int_equal(ms_snap_table_decode(code, len - 1, back), 0);
	}
	/*
	 * A value given though it is the filler: one bit of the bitmap and one value more than the one form
	 * has.
	 */
	for (i = 0; i < MS_SPTES; i++)
		values[i] = 5;
	len = ms_snap_table_encode(values, code);
	assert_int_equal(len, 72);
	code[8] = 1;
	memcpy(code + 72, code, 8);
	assert_int_equal(ms_snap_table_decode(code, 80, back), 0);
	/*
	 * The same table against another filler: 511 values given, one left out. Read, it would be right; it
	 * is not the one form.
	 */
	for (i = 0; i < MS_SPTES; i++)
		values[i] = i ? 5 : 6;
	memset(code, 0, sizeof(code));
	memset(code + 8, 0xff, 64);
	code[8] = 0xfe;
	code[0] = 6;
	for (i = 0; i < MS_SPTES - 1; i++)
		code[72 + 8 * i] = 5;
	assert_int_equal(ms_snap_table_decode(code, 72 + 8 * (MS_SPTES - 1), back), 0);
	assert_int_equal(ms_snap_table_encode(values, code), 80);
}

/* --- files --- */

static void test_mode(void **state)
{
	mode_t before = umask(0);
	struct stat st;

	assert_null(save(&variants[0], file, false));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	umask(0777);
	assert_null(save(&variants[0], file, true));
	umask(before);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_in_dir(), 1);
	assert_int_equal(unlink(file), 0);
}

static void test_exists(void **state)
{
	struct ms_snap_writer *writer = NULL;
	struct mem content = { 0 };
	struct fake_log log = { 0 };

	write_file("mine", 4);
	expect_err(save(&variants[0], file, false), "exists");
	/* It may also come to be while we write. */
	assert_int_equal(unlink(file), 0);
	assert_null(ms_snap_create(file, false, &writer));
	{
		struct ms_sink sink = ms_snap_sink(writer);
		const struct ms_want want = { .what = MS_WANT_ALL };
		struct ms_target *target = NULL;
		u64 a, b;

		assert_null(fake_open(&variants[0], &target));
		assert_null(ms_target_read(target, &want, &sink));
		ms_target_close(target);
		write_file("mine", 4);
		expect_err(ms_snap_commit(writer, &a, &b), "exists");
	}
	read_file(&content);
	assert_int_equal(content.len, 4);
	assert_memory_equal(content.data, "mine", 4);
	assert_int_equal(files_in_dir(), 1);
	assert_null(save(&variants[0], file, true));
	assert_null(read_log(&log));
	fake_log_deinit(&log);
	mem_deinit(&content);
	assert_int_equal(unlink(file), 0);
}

static void test_not_a_file(void **state)
{
	char target[80], path[80];
	struct stat st;

	snprintf(target, sizeof(target), "%s/victim", dir);
	assert_int_equal(symlink(target, file), 0);
	expect_err(save(&variants[0], file, false), "not a regular file");
	expect_err(save(&variants[0], file, true), "not a regular file");
	assert_int_equal(lstat(file, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat(target, &st), -1);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	expect_err(save(&variants[0], file, true), "not a regular file");
	/* And reading one does not wait for a writer. */
	expect_err(ms_snap_probe(file), "not a regular file");
	assert_int_equal(unlink(file), 0);
	expect_err(save(&variants[0], dir, true), "not a regular file");
	snprintf(path, sizeof(path), "%s/", dir);
	expect_err(save(&variants[0], path, true), "not the name of a file");
	snprintf(path, sizeof(path), "%s/none/x", dir);
	expect_err(save(&variants[0], path, true), "No such file");
	expect_err(ms_snap_probe(path), "No such file");
	assert_int_equal(files_in_dir(), 0);
}

static void test_full_disk(void **state)
{
	struct rlimit old, small;
	struct ms_err *err;

	write_file("mine", 4);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100 << 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	err = save(&(struct fake_opts){ .extra_pages = 1000 }, file, true);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	expect_err(err, "write: File too large");
	assert_int_equal(files_in_dir(), 1);
	assert_int_equal(unlink(file), 0);
}

static void test_abort(void **state)
{
	struct ms_snap_writer *writer = NULL;
	struct ms_rec_end end = { 0 };
	struct ms_rec_vm vm = { .kvm = 1 };
	struct ms_sink sink;

	ms_snap_abort(NULL);
	assert_null(ms_snap_create(file, false, &writer));
	assert_int_equal(files_in_dir(), 1);
	sink = ms_snap_sink(writer);
	expect_err(sink.put(sink.ctx, MS_REC_END, &end, NULL), "by its writer");
	expect_err(sink.put(sink.ctx, MS_REC_VM, &vm, NULL), "does not begin with the host");
	ms_snap_abort(writer);
	assert_int_equal(files_in_dir(), 0);
}

/* The writer takes nothing that the reader would refuse. */
static void test_writer_checks(void **state)
{
	struct ms_snap_writer *writer = NULL;
	struct ms_rec_host host = { .hv = 9 };
	struct ms_rec_vm vm = { .kvm = 1 };
	struct ms_rec_sp sp = { .kvm = 1, .sp = 2 };
	struct ms_sp_tables *tables = calloc(1, sizeof(*tables));
	struct ms_sink sink;
	u64 a, b;

	assert_null(ms_snap_create(file, false, &writer));
	sink = ms_snap_sink(writer);
	expect_err(sink.put(sink.ctx, MS_REC_HOST, &host, NULL), "unknown kind of hypervisor");
	host.hv = 0;
	assert_null(sink.put(sink.ctx, MS_REC_HOST, &host, NULL));
	memset(vm.comm, 'x', sizeof(vm.comm));
	expect_err(sink.put(sink.ctx, MS_REC_VM, &vm, NULL), "string without an end");
	vm.comm[15] = '\0';
	assert_null(sink.put(sink.ctx, MS_REC_VM, &vm, NULL));
	expect_err(sink.put(sink.ctx, MS_REC_SP, &sp, tables), "says that it has SPTEs");
	expect_err(ms_snap_commit(writer, &a, &b), "shadow pages without their walk");
	assert_int_equal(files_in_dir(), 0);
	free(tables);
}

static void test_target(void **state)
{
	struct ms_target *target = NULL;
	struct ms_kread req = { 0 };
	char spec[96];

	expect_err(ms_target_open("snap", NULL, &target), "needs a file");
	expect_err(ms_target_open("snap:", NULL, &target), "needs a file");
	write_file("PK\003\004 something else, long enough to be mistaken", 48);
	snprintf(spec, sizeof(spec), "snap:%s", file);
	expect_err(ms_target_open(spec, NULL, &target), "not a snapshot");
	assert_null(save(&variants[0], file, true));
	assert_null(ms_target_open(spec, NULL, &target));
	expect_err(ms_target_kread(target, &req, 1), "no kernel memory");
	ms_target_close(target);
	assert_int_equal(unlink(file), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_give_up),
		cmocka_unit_test(test_sink_error),   cmocka_unit_test(test_stream_cut),
		cmocka_unit_test(test_stream_flips), cmocka_unit_test(test_packed_cut),
		cmocka_unit_test(test_packed_flips), cmocka_unit_test(test_lies),
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_order_vms),
		cmocka_unit_test(test_limit),	     cmocka_unit_test(test_tables),
		cmocka_unit_test(test_mode),	     cmocka_unit_test(test_exists),
		cmocka_unit_test(test_not_a_file),   cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_abort),	     cmocka_unit_test(test_writer_checks),
		cmocka_unit_test(test_target),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(file, sizeof(file), "%s/x.snap", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	/* After a failed test something may still lie there. */
	unlink(file);
	rmdir(dir);
	return failed;
}
