/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading snapshot files. Nothing in one is trusted: each record is checked (snapfmt.c) before the sink sees
 * it, and nothing is allocated by a number that the file claims.
 */
#include "target/snapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/guard.h"
#include "target/snapfmt.h"

#define PACKED_CHUNK (64u << 10)
/* windowBits of zlib: the largest window, and a gzip header is wanted. */
#define GZIP_WINDOW (15 + 16)
#define PROGRESS_EVERY 256

struct stream {
	const struct ms_snap_source *source;
	const char *name;
	const struct ms_want *want;
	const struct ms_sink *sink;
	u64 max_records;
	u64 offset; /* of the record in hand, in the unpacked stream */
	u64 nr; /* its number, from 1 */
	u64 at; /* bytes read so far */
	u64 delivered; /* pages handed to the sink */
	struct ms_rec_walk open; /* the walk being delivered: what it would say if it ended here */
	struct ms_snap_order order;
	/* As u64, for alignment. */
	u64 rec[(MS_SNAP_LEN_MAX + 7) / 8];
	struct ms_sp_tables tables;
};

static struct ms_err *bad_at(const struct stream *s, const char *what)
{
	return ms_err_new(MS_ERR_TARGET, "%s: record %llu at byte %llu: %s", s->name,
			  (unsigned long long)s->nr, (unsigned long long)s->offset, what);
}

static struct ms_err *stream_bytes(struct stream *s, void *buf, size_t len)
{
	size_t got = 0;
	struct ms_err *err = s->source->read(s->source->ctx, buf, len, &got);

	if (err)
		return err;
	s->at += got;
	return got == len ? NULL : bad_at(s, "the file ends here, it is cut off");
}

static struct ms_err *stream_head(struct stream *s)
{
	struct ms_snap_head head;
	size_t got = 0;
	struct ms_err *err = s->source->read(s->source->ctx, &head, sizeof(head), &got);

	if (err)
		return err;
	s->at += got;
	if (got != sizeof(head) || memcmp(head.magic, MS_SNAP_MAGIC, sizeof(head.magic)))
		return ms_err_new(MS_ERR_TARGET, "%s: not a snapshot of mmuscope", s->name);
	if (head.version != MS_SNAP_VERSION || head.rec_version != MS_REC_VERSION)
		return ms_err_hint(
			ms_err_new(MS_ERR_TARGET, "%s: snapshot format %u.%u, this program reads %u.%u",
				   s->name, head.version, head.rec_version, MS_SNAP_VERSION, MS_REC_VERSION),
			"read it with the release of mmuscope that wrote it");
	return NULL;
}

/* The tables behind an SP's struct. They must fill the record exactly. */
static struct ms_err *stream_tables(struct stream *s, const struct ms_rec_sp *sp, size_t len)
{
	const u8 *in = (const u8 *)s->rec;
	size_t at = sizeof(*sp), used;

	if (sp->have & MS_SP_HAVE_SPTES) {
		used = ms_snap_table_decode(in + at, len - at, s->tables.sptes);
		if (!used)
			return bad_at(s, "damaged table of SPTEs");
		at += used;
	}
	if (sp->have & MS_SP_HAVE_TRANSLATIONS) {
		used = ms_snap_table_decode(in + at, len - at, s->tables.translations);
		if (!used)
			return bad_at(s, "damaged table of translations");
		at += used;
	}
	return at == len ? NULL : bad_at(s, "more bytes than its tables need");
}

/* Read and check the next record into s->rec and s->tables. */
static struct ms_err *stream_next(struct stream *s, enum ms_rec_type *type_ret)
{
	struct ms_snap_rec head;
	struct ms_err *err;
	const char *what;
	size_t size;

	s->offset = s->at;
	s->nr++;
	err = stream_bytes(s, &head, sizeof(head));
	if (err)
		return err;
	size = ms_rec_size((enum ms_rec_type)head.type);
	if (!size)
		return bad_at(s, "a record of unknown type");
	if (head.type == MS_REC_SP ? head.len < size || head.len > MS_SNAP_LEN_MAX : head.len != size)
		return bad_at(s, "a length that its type cannot have");
	err = stream_bytes(s, s->rec, head.len);
	if (err)
		return err;
	what = ms_snap_check_record((enum ms_rec_type)head.type, s->rec);
	if (what)
		return bad_at(s, what);
	if (head.type == MS_REC_SP) {
		err = stream_tables(s, (const struct ms_rec_sp *)s->rec, head.len);
		if (err)
			return err;
	}
	err = ms_snap_order_next(&s->order, (enum ms_rec_type)head.type, s->rec, &what);
	if (!err && what)
		err = bad_at(s, what);
	if (!err && ms_snap_order_full(&s->order, s->max_records))
		err = bad_at(s, "more records than a snapshot may hold");
	*type_ret = (enum ms_rec_type)head.type;
	return err;
}

/*
 * Is this record, the one in hand, asked for? What is asked for of a live target comes out of a snapshot of
 * it.
 */
static bool stream_wanted(const struct stream *s, enum ms_rec_type type)
{
	u32 what = s->want->what;

	if (type == MS_REC_HOST || type == MS_REC_VM)
		return true;
	if (!what || (s->want->kvm && s->want->kvm != s->order.kvm))
		return false;
	switch (type) {
	case MS_REC_FD:
		return true;
	case MS_REC_VCPU:
		return what & MS_WANT_VCPUS;
	case MS_REC_SLOT:
		return what & MS_WANT_SLOTS;
	case MS_REC_MMU:
		return what & MS_WANT_MMUS;
	case MS_REC_SP:
	case MS_REC_WALK:
		return what & (MS_WANT_SPS | MS_WANT_SPTES);
	case MS_REC_RMAP:
	case MS_REC_RMAP_DESC:
	case MS_REC_GFN:
	case MS_REC_RMAPS:
		return what & MS_WANT_RMAPS;
	case MS_REC_EXACT:
		return what & (MS_WANT_SPS | MS_WANT_SPTES | MS_WANT_RMAPS);
	case MS_REC_PIN:
		return what & MS_WANT_PINS;
	case MS_REC_GTABLE:
		return what & MS_WANT_GUEST;
	case MS_REC_CHANGED:
		return what & MS_WANT_CHANGED;
	default:
		return false;
	}
}

static struct ms_err *put_sp(struct stream *s)
{
	struct ms_rec_sp *sp = (struct ms_rec_sp *)s->rec;

	if (!(s->want->what & MS_WANT_SPTES))
		sp->have &= ~(MS_SP_HAVE_SPTES | MS_SP_HAVE_TRANSLATIONS);
	s->open.kvm = sp->kvm;
	s->open.flags = (sp->tdp_mmu_page ? MS_WALK_TDP : MS_WALK_LEGACY) | MS_WALK_BROKEN;
	s->open.nr_pages++;
	s->open.nr_torn += sp->state == MS_SP_TORN;
	s->open.nr_unlinked += sp->state == MS_SP_UNLINKED;
	s->open.nr_unreadable += sp->state == MS_SP_UNREADABLE;
	s->delivered++;
	return s->sink->put(s->sink->ctx, MS_REC_SP, sp, sp->have & MS_SP_HAVE_SPTES ? &s->tables : NULL);
}

static struct ms_err *stream_put(struct stream *s, enum ms_rec_type type)
{
	if (type == MS_REC_SP)
		return put_sp(s);
	if (type == MS_REC_WALK)
		memset(&s->open, 0, sizeof(s->open));
	return s->sink->put(s->sink->ctx, type, s->rec, NULL);
}

/* True: whoever reads has had enough. */
static bool stream_given_up(struct stream *s, enum ms_rec_type type)
{
	if (type != MS_REC_SP || !s->want->progress || s->delivered % PROGRESS_EVERY)
		return false;
	return !s->want->progress(s->want->progress_ctx, s->delivered);
}

static struct ms_err *stream_run(struct stream *s)
{
	enum ms_rec_type type = MS_REC_HOST;
	struct ms_err *err = stream_head(s);
	size_t got = 0;
	u8 more;

	while (!err) {
		err = stream_next(s, &type);
		if (err || type == MS_REC_END)
			break;
		if (!stream_wanted(s, type))
			continue;
		err = stream_put(s, type);
		if (!err && stream_given_up(s, type))
			return s->sink->put(s->sink->ctx, MS_REC_WALK, &s->open, NULL);
	}
	if (err)
		return err;
	err = s->source->read(s->source->ctx, &more, 1, &got);
	if (!err && got) {
		s->offset = s->at;
		s->nr++;
		err = bad_at(s, "data after the end");
	}
	return err;
}

struct ms_err *ms_snap_read_stream(const struct ms_snap_source *source, const char *name, u64 max_records,
				   const struct ms_want *want, const struct ms_sink *sink)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct ms_err *err;

	if (!s)
		return ms_err_nomem();
	s->source = source;
	s->name = name;
	s->max_records = max_records;
	s->want = want;
	s->sink = sink;
	err = stream_run(s);
	ms_snap_order_deinit(&s->order);
	free(s);
	return err;
}

/* --- the packed file --- */

struct packed {
	const char *path;
	int fd;
	bool ended; /* the gzip member is over and its checksum held */
	z_stream z;
	u8 in[PACKED_CHUNK];
};

static struct ms_err *packed_fill(struct packed *p)
{
	ssize_t got;

	do
		got = read(p->fd, p->in, sizeof(p->in));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return ms_err_errno(MS_ERR_TARGET, errno, "%s: read", p->path);
	p->z.next_in = p->in;
	p->z.avail_in = (uInt)got;
	return NULL;
}

/* After the checksum nothing may follow: zlib's own reader would skip it in silence. */
static struct ms_err *packed_end(struct packed *p)
{
	struct ms_err *err = NULL;

	p->ended = true;
	if (!p->z.avail_in)
		err = packed_fill(p);
	if (!err && p->z.avail_in)
		err = ms_err_new(MS_ERR_TARGET, "%s: data after the end of the packed stream", p->path);
	return err;
}

static struct ms_err *packed_read(void *ctx, void *buf, size_t len, size_t *got_ret)
{
	struct packed *p = ctx;
	struct ms_err *err;
	int rc;

	p->z.next_out = buf;
	p->z.avail_out = (uInt)len;
	while (p->z.avail_out && !p->ended) {
		if (!p->z.avail_in) {
			err = packed_fill(p);
			if (err)
				return err;
			if (!p->z.avail_in)
				return ms_err_new(
					MS_ERR_TARGET,
					"%s: the file ends early, at byte %llu of the unpacked stream",
					p->path, (unsigned long long)p->z.total_out);
		}
		rc = inflate(&p->z, Z_NO_FLUSH);
		if (rc == Z_STREAM_END) {
			err = packed_end(p);
			if (err)
				return err;
		} else if (rc == Z_MEM_ERROR) {
			return ms_err_nomem();
		} else if (rc != Z_OK && !p->z.total_out) {
			return ms_err_new(MS_ERR_TARGET, "%s: not a snapshot of mmuscope", p->path);
		} else if (rc != Z_OK) {
			return ms_err_new(
				MS_ERR_TARGET, "%s: damaged at byte %llu of the unpacked stream: %s", p->path,
				(unsigned long long)p->z.total_out, p->z.msg ? p->z.msg : "no gzip data");
		}
	}
	*got_ret = len - p->z.avail_out;
	return NULL;
}

/* Devices and pipes are no snapshots, and opening one must not wait or have an effect. */
static struct ms_err *packed_open(const char *path, int *fd_ret)
{
	MS_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return ms_err_errno(MS_ERR_TARGET, errno, "%s", path);
	if (fstat(fd, &st))
		return ms_err_errno(MS_ERR_TARGET, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return ms_err_new(MS_ERR_TARGET, "%s: not a regular file", path);
	*fd_ret = fd;
	fd = -1;
	return NULL;
}

static struct ms_err *packed_run(const char *path, u64 max_records, const struct ms_want *want,
				 const struct ms_sink *sink)
{
	struct packed *p = calloc(1, sizeof(*p));
	struct ms_snap_source source = { .read = packed_read, .ctx = p };
	struct ms_err *err;

	if (!p)
		return ms_err_nomem();
	p->path = path;
	p->fd = -1;
	err = packed_open(path, &p->fd);
	if (!err && inflateInit2(&p->z, GZIP_WINDOW) != Z_OK)
		err = ms_err_nomem();
	if (!err) {
		err = ms_snap_read_stream(&source, path, max_records, want, sink);
		inflateEnd(&p->z);
	}
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	return err;
}

struct ms_err *ms_snap_read(const char *path, const struct ms_want *want, const struct ms_sink *sink)
{
	return packed_run(path, MS_SNAP_MAX_RECORDS, want, sink);
}

static struct ms_err *probe_put(void *ctx, enum ms_rec_type type, const void *rec,
				const struct ms_sp_tables *tables)
{
	*(bool *)ctx = true;
	return NULL;
}

struct ms_err *ms_snap_probe(const char *path)
{
	const struct ms_want want = { 0 };
	bool host = false;
	const struct ms_sink sink = { .put = probe_put, .ctx = &host };
	struct ms_err *err = packed_run(path, 1, &want, &sink);

	/* With room for one record the second ends the read: what came before it was good. */
	if (err && host) {
		ms_err_free(err);
		err = NULL;
	}
	return err;
}
