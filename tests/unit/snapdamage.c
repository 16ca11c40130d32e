/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unpacked snapshot streams in memory: see snapdamage.h. */
#include "tests/unit/snapdamage.h"

#include <stdlib.h>
#include <string.h>

#include "target/snapfmt.h"

void mem_put(struct mem *mem, const void *data, size_t len)
{
	if (mem->len + len > mem->cap) {
		mem->cap = (mem->len + len) * 2;
		mem->data = realloc(mem->data, mem->cap);
		if (!mem->data)
			abort();
	}
	if (len)
		memcpy(mem->data + mem->len, data, len);
	mem->len += len;
}

void mem_deinit(struct mem *mem)
{
	free(mem->data);
	*mem = (struct mem){ 0 };
}

static struct ms_err *mem_write(void *ctx, const void *data, size_t len)
{
	mem_put(ctx, data, len);
	return NULL;
}

static struct ms_err *mem_read(void *ctx, void *buf, size_t len, size_t *got_ret)
{
	struct mem *mem = ctx;
	size_t n = len < mem->len - mem->at ? len : mem->len - mem->at;

	if (n)
		memcpy(buf, mem->data + mem->at, n);
	mem->at += n;
	*got_ret = n;
	return NULL;
}

static struct ms_err *encode_put(void *ctx, enum ms_rec_type type, const void *rec,
				 const struct ms_sp_tables *tables)
{
	return ms_snap_encode_put(ctx, type, rec, tables);
}

/* Of VM 0, only a few pages: few enough to flip each bit of the stream. The walks must then count these. */
static struct ms_err *thin_put(void *ctx, enum ms_rec_type type, const void *rec,
			       const struct ms_sp_tables *tables)
{
	static const u32 keep[] = { FAKE_TDP_L2, FAKE_TDP_L1_MMIO, FAKE_N_TORN, FAKE_N_UNSYNC, FAKE_N_L2 };
	size_t i;

	if (type == MS_REC_WALK) {
		struct ms_rec_walk walk = *(const struct ms_rec_walk *)rec;

		walk.nr_pages = walk.flags & MS_WALK_TDP ? 2 : 3;
		walk.nr_torn = walk.flags & MS_WALK_LEGACY ? 1 : 0;
		walk.nr_unlinked = 0;
		return ms_snap_encode_put(ctx, type, &walk, NULL);
	}
	if (type == MS_REC_SP) {
		for (i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
			if (((const struct ms_rec_sp *)rec)->sp == FAKE_SP(0, keep[i]))
				return ms_snap_encode_put(ctx, type, rec, tables);
		return NULL;
	}
	return ms_snap_encode_put(ctx, type, rec, tables);
}

typedef struct ms_err *(*put_fn)(void *, enum ms_rec_type, const void *, const struct ms_sp_tables *);

static void stream_make(const struct fake_opts *opts, const struct ms_want *want, put_fn put, struct mem *ret)
{
	struct ms_snap_encoder *encoder = calloc(1, sizeof(*encoder));
	const struct ms_sink sink = { .put = put, .ctx = encoder };
	struct ms_target *target = NULL;

	if (!encoder)
		abort();
	encoder->drain = (struct ms_snap_drain){ .write = mem_write, .ctx = ret };
	if (fake_open(opts, &target) || ms_snap_encode_begin(encoder) ||
	    ms_target_read(target, want, &sink) || ms_snap_encode_end(encoder))
		abort();
	ms_target_close(target);
	ms_snap_order_deinit(&encoder->order);
	free(encoder);
}

void stream_of(const struct fake_opts *opts, const struct ms_want *want, struct mem *ret)
{
	stream_make(opts, want, encode_put, ret);
}

void stream_short(struct mem *ret)
{
	stream_make(&(struct fake_opts){ .ept = true },
		    &(struct ms_want){ .what = MS_WANT_ALL, .kvm = FAKE_KVM(0) }, thin_put, ret);
}

struct ms_err *stream_read(const struct mem *stream, struct fake_log *log)
{
	struct mem from = { .data = stream->data, .len = stream->len };
	const struct ms_snap_source source = { .read = mem_read, .ctx = &from };
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_sink sink = fake_log_sink(log);

	return ms_snap_read_stream(&source, "mem", MS_SNAP_MAX_RECORDS, &want, &sink);
}

struct ms_err *stream_again(const struct mem *stream, struct mem *ret)
{
	struct mem from = { .data = stream->data, .len = stream->len };
	const struct ms_snap_source source = { .read = mem_read, .ctx = &from };
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_snap_encoder *encoder = calloc(1, sizeof(*encoder));
	const struct ms_sink sink = { .put = encode_put, .ctx = encoder };
	struct ms_err *err;

	if (!encoder)
		return ms_err_nomem();
	encoder->drain = (struct ms_snap_drain){ .write = mem_write, .ctx = ret };
	err = ms_snap_encode_begin(encoder);
	if (!err)
		err = ms_snap_read_stream(&source, "mem", MS_SNAP_MAX_RECORDS, &want, &sink);
	if (!err)
		err = ms_snap_encode_end(encoder);
	ms_snap_order_deinit(&encoder->order);
	free(encoder);
	return err;
}

static u32 get32(const struct mem *stream, size_t at)
{
	u32 v;

	memcpy(&v, stream->data + at, 4);
	return v;
}

size_t stream_find(const struct mem *stream, enum ms_rec_type type, size_t nth)
{
	size_t at;

	for (at = 16; at < stream->len; at += 8 + get32(stream, at + 4))
		if (get32(stream, at) == type && !nth--)
			return at;
	return SIZE_MAX;
}

#define MARK(map, at, type, field) memset((map) + (at) + offsetof(type, field), 1, sizeof(((type *)0)->field))

static void mark_host(const struct mem *stream, size_t at, u8 *map)
{
	size_t fields = at + offsetof(struct ms_rec_host, role_fields), i;
	u32 nr = get32(stream, at + offsetof(struct ms_rec_host, nr_role_fields));

	for (i = 0; i < MS_ROLE_FIELDS_MAX; i++) {
		size_t field = fields + i * sizeof(struct ms_rec_role_field);

		if (i >= nr)
			memset(map + field, 1, sizeof(struct ms_rec_role_field));
		else
			MARK(map, field, struct ms_rec_role_field, pad);
	}
}

/* The bitmaps: the 64 bytes after each table's filler. */
static void mark_tables(const struct mem *stream, size_t at, size_t end, u8 *map)
{
	while (at < end) {
		size_t i, values = 0;

		memset(map + at + 8, 1, 64);
		for (i = 0; i < 64; i++)
			values += (size_t)__builtin_popcount(stream->data[at + 8 + i]);
		at += 72 + 8 * values;
	}
}

u8 *stream_structure(const struct mem *stream)
{
	u8 *map = calloc(1, stream->len);
	size_t at, end;

	if (!map)
		abort();
	memset(map, 1, 16);
	for (at = 16; at < stream->len; at = end) {
		u32 type = get32(stream, at);
		size_t rec = at + 8;

		end = rec + get32(stream, at + 4);
		memset(map + at, 1, 8);
		if (type == MS_REC_HOST) {
			mark_host(stream, rec, map);
		} else if (type == MS_REC_FD) {
			MARK(map, rec, struct ms_rec_fd, pad);
			MARK(map, rec, struct ms_rec_fd, kind);
		} else if (type == MS_REC_VCPU) {
			MARK(map, rec, struct ms_rec_vcpu, pad);
		} else if (type == MS_REC_SP) {
			MARK(map, rec, struct ms_rec_sp, pad);
			/* The walk counts them by state. */
			MARK(map, rec, struct ms_rec_sp, state);
			mark_tables(stream, rec + sizeof(struct ms_rec_sp), end, map);
		} else if (type == MS_REC_WALK) {
			MARK(map, rec, struct ms_rec_walk, nr_pages);
			MARK(map, rec, struct ms_rec_walk, nr_torn);
			MARK(map, rec, struct ms_rec_walk, nr_unlinked);
			MARK(map, rec, struct ms_rec_walk, nr_unreadable);
		} else if (type == MS_REC_END) {
			memset(map + rec, 1, end - rec);
		}
	}
	return map;
}
