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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	if (size >= sizeof(struct ms_snap_head) && !memcmp(data, MS_SNAP_MAGIC "\1\0\0\0\1\0\0\0", 16) &&
	    ms_snap_encode_begin(&check->encoder))
		abort();
	err = ms_snap_read_stream(&source, "fuzz", MAX_RECORDS, &want, &sink);
	if (!err && (ms_snap_encode_end(&check->encoder) || check->at != size))
		abort();
	ms_err_free(err);
	ms_snap_order_deinit(&check->encoder.order);
	free(check);
	return 0;
}
