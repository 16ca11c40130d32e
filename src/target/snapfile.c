/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing snapshot files: packs the encoder's stream (snapfmt.c) and sees to it that FILE is either the whole
 * snapshot or untouched. A snapshot shows a kernel's addresses, so nobody but its owner may read it.
 */
#include "target/snapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/guard.h"
#include "target/snapfmt.h"

#define PACKED_CHUNK (64u << 10)
#define GZIP_WINDOW (15 + 16) /* zlib's windowBits: the largest window, with a gzip header */
/* Level 1 packs a table to within a few per cent of level 6 in a quarter of the time. */
#define PACK_LEVEL 1
#define TEMP_TRIES 16

struct ms_snap_writer {
	char *path;
	const char *name; /* the last part of path */
	char temp[40]; /* name of the file being written, "" when there is none */
	int dir_fd, fd;
	bool force, packing;
	u64 bytes; /* written to the file */
	z_stream z;
	u8 out[PACKED_CHUNK];
	struct ms_snap_encoder encoder;
};

static struct ms_err *write_err(const struct ms_snap_writer *w, int err)
{
	struct ms_err *e = ms_err_errno(MS_ERR_TARGET, err, "%s: write", w->path);

	return err == ENOSPC || err == EDQUOT ? ms_err_hint(e, "make room, or save to another file system")
					      : e;
}

static struct ms_err *write_all(struct ms_snap_writer *w, const u8 *buf, size_t len)
{
	while (len) {
		ssize_t put = write(w->fd, buf, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return write_err(w, errno);
		buf += put;
		len -= (size_t)put;
		w->bytes += (u64)put;
	}
	return NULL;
}

/* Feed what is in z.next_in; with Z_FINISH also end the gzip member. */
static struct ms_err *pack(struct ms_snap_writer *w, int flush)
{
	struct ms_err *err;
	int rc;

	do {
		w->z.next_out = w->out;
		w->z.avail_out = sizeof(w->out);
		rc = deflate(&w->z, flush);
		if (rc == Z_STREAM_ERROR)
			return ms_err_new(MS_ERR_BUG, "%s: packing", w->path);
		err = write_all(w, w->out, sizeof(w->out) - w->z.avail_out);
		if (err)
			return err;
	} while (!w->z.avail_out);
	return NULL;
}

static struct ms_err *drain_write(void *ctx, const void *buf, size_t len)
{
	struct ms_snap_writer *w = ctx;

	/* zlib takes its input as not const and does not write to it. */
	w->z.next_in = (Bytef *)(uintptr_t)buf;
	w->z.avail_in = (uInt)len;
	return pack(w, Z_NO_FLUSH);
}

static struct ms_err *err_exists(const struct ms_snap_writer *w)
{
	return ms_err_hint(ms_err_new(MS_ERR_TARGET, "%s: exists", w->path), "--force replaces it");
}

/*
 * May a file of this name come to be? Only a regular file is ever replaced: with --force a device would be
 * gone, and a symbolic link may lead where its maker wants.
 */
static struct ms_err *check_name(const struct ms_snap_writer *w)
{
	struct stat st;

	if (fstatat(w->dir_fd, w->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? NULL : ms_err_errno(MS_ERR_TARGET, errno, "%s", w->path);
	if (!S_ISREG(st.st_mode))
		return ms_err_new(MS_ERR_TARGET, "%s: exists and is not a regular file", w->path);
	return w->force ? NULL : err_exists(w);
}

static struct ms_err *open_dir(struct ms_snap_writer *w)
{
	char *slash = strrchr(w->path, '/');
	MS_FREE char *dir = NULL;

	w->name = slash ? slash + 1 : w->path;
	if (!w->name[0] || !strcmp(w->name, ".") || !strcmp(w->name, ".."))
		return ms_err_new(MS_ERR_USAGE, "'%s' is not the name of a file", w->path);
	dir = !slash		 ? strdup(".")
	      : slash == w->path ? strdup("/")
				 : strndup(w->path, (size_t)(slash - w->path));
	if (!dir)
		return ms_err_nomem();
	w->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->dir_fd < 0 ? ms_err_errno(MS_ERR_TARGET, errno, "%s", dir) : NULL;
}

/* A new file beside the one to be: on the same file system, so that a rename is enough in the end. */
static struct ms_err *open_temp(struct ms_snap_writer *w)
{
	int tries;

	for (tries = 0; tries < TEMP_TRIES; tries++) {
		u64 number;

		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return ms_err_errno(MS_ERR_TARGET, errno, "%s", w->path);
		snprintf(w->temp, sizeof(w->temp), ".mmuscope-%016llx", (unsigned long long)number);
		w->fd = openat(w->dir_fd, w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			       0600);
		if (w->fd >= 0)
			return fchmod(w->fd, 0600) ? write_err(w, errno) : NULL; /* whatever the umask */
		if (errno != EEXIST)
			break;
	}
	w->temp[0] = '\0';
	return ms_err_errno(MS_ERR_TARGET, errno, "%s: cannot be created", w->path);
}

void ms_snap_abort(struct ms_snap_writer *w)
{
	if (!w)
		return;
	if (w->packing)
		deflateEnd(&w->z);
	if (w->fd >= 0)
		close(w->fd);
	if (w->temp[0])
		unlinkat(w->dir_fd, w->temp, 0);
	if (w->dir_fd >= 0)
		close(w->dir_fd);
	ms_snap_order_deinit(&w->encoder.order);
	free(w->path);
	free(w);
}

struct ms_err *ms_snap_create(const char *path, bool force, struct ms_snap_writer **ret)
{
	struct ms_snap_writer *w = calloc(1, sizeof(*w));
	struct ms_err *err;

	if (!w)
		return ms_err_nomem();
	w->fd = w->dir_fd = -1;
	w->force = force;
	w->path = strdup(path);
	w->encoder.drain = (struct ms_snap_drain){ .write = drain_write, .ctx = w };
	err = w->path ? open_dir(w) : ms_err_nomem();
	if (!err)
		err = check_name(w);
	if (!err)
		err = open_temp(w);
	if (!err) {
		w->packing = deflateInit2(&w->z, PACK_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8,
					  Z_DEFAULT_STRATEGY) == Z_OK;
		err = w->packing ? ms_snap_encode_begin(&w->encoder) : ms_err_nomem();
	}
	if (err) {
		ms_snap_abort(w);
		return err;
	}
	*ret = w;
	return NULL;
}

static struct ms_err *sink_put(void *ctx, enum ms_rec_type type, const void *rec,
			       const struct ms_sp_tables *tables)
{
	struct ms_snap_writer *w = ctx;

	return ms_snap_encode_put(&w->encoder, type, rec, tables);
}

struct ms_sink ms_snap_sink(struct ms_snap_writer *w)
{
	return (struct ms_sink){ .put = sink_put, .ctx = w };
}

/*
 * Give the finished file its name. Without force the step itself refuses a name that came to be meanwhile;
 * file systems without RENAME_NOREPLACE have a hard link do the same.
 */
static struct ms_err *take_name(struct ms_snap_writer *w)
{
	struct ms_err *err;
	int rc;

	if (w->force) {
		err = check_name(w);
		if (err)
			return err;
		rc = renameat(w->dir_fd, w->temp, w->dir_fd, w->name);
	} else {
		rc = renameat2(w->dir_fd, w->temp, w->dir_fd, w->name, RENAME_NOREPLACE);
		if (rc && (errno == EINVAL || errno == ENOSYS)) {
			rc = linkat(w->dir_fd, w->temp, w->dir_fd, w->name, 0);
			if (!rc)
				unlinkat(w->dir_fd, w->temp, 0);
		}
	}
	if (rc && errno == EEXIST)
		return err_exists(w);
	if (rc)
		return ms_err_errno(MS_ERR_TARGET, errno, "%s", w->path);
	w->temp[0] = '\0';
	return NULL;
}

struct ms_err *ms_snap_commit(struct ms_snap_writer *w, u64 *nr_records_ret, u64 *nr_bytes_ret)
{
	struct ms_err *err = ms_snap_encode_end(&w->encoder);
	int fd = w->fd;

	if (!err)
		err = pack(w, Z_FINISH);
	if (!err && fsync(fd))
		err = write_err(w, errno);
	if (!err) {
		/* Some file systems say only now that there was no room. */
		w->fd = -1;
		if (close(fd))
			err = write_err(w, errno);
	}
	if (!err)
		err = take_name(w);
	if (!err) {
		*nr_records_ret = w->encoder.order.nr_records;
		*nr_bytes_ret = w->bytes;
		/*
		 * The name's own way to the disk. The file is whole either way, so that a file system that
		 * cannot is no failure.
		 */
		(void)fsync(w->dir_fd);
	}
	ms_snap_abort(w);
	return err;
}
