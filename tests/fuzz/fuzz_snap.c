/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer target: the reader of unpacked snapshot streams. The input is what would come out of gunzip, for
 * no fuzzer gets past a checksum. Besides not crashing, a stream that is taken must be the one form of what
 * was read: encoded again it gives the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "target/snapfmt.h"

/* Enough for every order and table, and a run stays fast. */
#define MAX_RECORDS 4096

struct input {
	const uint8_t *data;
	size_t len, at;
};

struct check {
	struct ms_snap_encoder encoder;
	const uint8_t *data;
	size_t len, at;
};

static bool has_head(const uint8_t *data, size_t size)
{
	uint32_t version;

	if (size < sizeof(struct ms_snap_head) || memcmp(data, MS_SNAP_MAGIC "\1\0\0\0", 12))
		return false;
	memcpy(&version, data + 12, sizeof(version));
	return version == MS_REC_VERSION;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static struct ms_err *input_read(void *ctx, void *buf, size_t len, size_t *got_ret)
{
	struct input *in = ctx;
	size_t n = len < in->len - in->at ? len : in->len - in->at;

	if (n)
		memcpy(buf, in->data + in->at, n);
	in->at += n;
	*got_ret = n;
	return NULL;
}

/* What the encoder says now must be what the input said. */
static struct ms_err *check_write(void *ctx, const void *buf, size_t len)
{
	struct check *check = ctx;

	if (len > check->len - check->at || memcmp(check->data + check->at, buf, len))
		abort();
	check->at += len;
	return NULL;
}

/*
 * A record that the reader lets through and the writer refuses would be a difference between two checks that
 * are one.
 */
static struct ms_err *check_put(void *ctx, enum ms_rec_type type, const void *rec,
				const struct ms_sp_tables *tables)
{
	struct check *check = ctx;

	if (ms_snap_encode_put(&check->encoder, type, rec, tables))
		abort();
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data, .len = size };
	const struct ms_snap_source source = { .read = input_read, .ctx = &in };
	struct check *check = calloc(1, sizeof(*check));
	const struct ms_want want = { .what = MS_WANT_ALL };
	const struct ms_sink sink = { .put = check_put, .ctx = check };
	struct ms_err *err;

	if (!check)
		abort();
	check->data = data;
	check->len = size;
	check->encoder.drain = (struct ms_snap_drain){ .write = check_write, .ctx = check };
	/* The head must be right for anything to come: only then is there something to compare. */
	if (has_head(data, size) && ms_snap_encode_begin(&check->encoder))
		abort();
	err = ms_snap_read_stream(&source, "fuzz", MAX_RECORDS, &want, &sink);
	if (!err && (ms_snap_encode_end(&check->encoder) || check->at != size))
		abort();
	ms_err_free(err);
	ms_snap_order_deinit(&check->encoder.order);
	free(check);
	return 0;
}

/* --- mutation by the format: changed bytes alone seldom get past the lengths and the counts --- */

#define MAX_MARKS 1024

struct marks {
	size_t at[MAX_MARKS], nr; /* where records begin */
};

static void find_records(const uint8_t *data, size_t size, struct marks *marks)
{
	size_t at = sizeof(struct ms_snap_head);
	struct ms_snap_rec rec;

	marks->nr = 0;
	while (at + sizeof(rec) <= size && marks->nr < MAX_MARKS) {
		memcpy(&rec, data + at, sizeof(rec));
		if (rec.len > size - at - sizeof(rec))
			break;
		marks->at[marks->nr++] = at;
		at += sizeof(rec) + rec.len;
	}
}

/* Let the end count what is there now, or every change of their number would stop at it. */
static void fix_end(uint8_t *data, size_t size)
{
	struct marks marks;
	struct ms_snap_rec rec;
	u64 count;

	find_records(data, size, &marks);
	if (!marks.nr)
		return;
	memcpy(&rec, data + marks.at[marks.nr - 1], sizeof(rec));
	count = marks.nr - 1;
	if (rec.type == MS_REC_END && rec.len == sizeof(count))
		memcpy(data + marks.at[marks.nr - 1] + sizeof(rec), &count, sizeof(count));
}

static unsigned int next(unsigned int *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

/* Put a copy of one record before another. Returns the new size. */
static size_t copy_record(uint8_t *data, size_t size, size_t max_size, size_t from, size_t len, size_t to)
{
	uint8_t *copy;

	if (len > max_size - size)
		return size;
	copy = malloc(len);
	if (!copy)
		return size;
	memcpy(copy, data + from, len);
	memmove(data + to + len, data + to, size - to);
	memcpy(data + to, copy, len);
	free(copy);
	return size + len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	static const u32 lens[] = { 0, 7, 88, 8424, 8425, 16384, 0x7fffffff, 0xffffffff };
	struct marks marks;
	struct ms_snap_rec rec;
	size_t at, words, from, count; /* from: where a change begins */

	find_records(data, size, &marks);
	if (!marks.nr || next(&seed) % 4 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	at = marks.at[next(&seed) % marks.nr];
	memcpy(&rec, data + at, sizeof(rec));
	switch (next(&seed) % 5) {
	case 0: /* another length, the one that takes all the rest among them */
		rec.len = next(&seed) % 2 ? lens[next(&seed) % 8] : (u32)(size - at - sizeof(rec));
		memcpy(data + at, &rec, sizeof(rec));
		return size;
	case 1: /* another type */
		rec.type = next(&seed) % 11;
		memcpy(data + at, &rec, sizeof(rec));
		return size;
	case 2: /* out with it */
		memmove(data + at, data + at + sizeof(rec) + rec.len, size - at - sizeof(rec) - rec.len);
		size -= sizeof(rec) + rec.len;
		break;
	case 3: /* once more, elsewhere or behind the end */
		from = next(&seed) % 8 ? marks.at[next(&seed) % marks.nr] : size;
		size = copy_record(data, size, max_size, at, sizeof(rec) + rec.len, from);
		break;
	default: /* a run of 64-bit words becomes one value: another filler, values that are the filler */
		words = rec.len / 8;
		if (words < 2)
			break;
		from = next(&seed) % words;
		for (count = next(&seed) % (words - from) + 1; count; count--)
			memcpy(data + at + sizeof(rec) + 8 * (from + count - 1),
			       data + at + sizeof(rec) + 8 * from, 8);
		break;
	}
	fix_end(data, size);
	return size;
}
