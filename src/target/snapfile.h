/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot file: records in a gzip stream (zlib's CRC guards it). Layout: 16 bytes magic and version, then for each record
 * a header { u32 type, u32 len }, the struct, and for an SP with tables the non-zero entries of both (bitmap, values);
 * last an MS_REC_END with the count. A file without its end is refused as cut off. Nothing in it is trusted.
 */
#ifndef TARGET_SNAPFILE_H
#define TARGET_SNAPFILE_H

#include "abi/rec.h"
#include "base/err.h"
#include "target/target.h"

struct ms_snap_writer;

/*
 * Write FILE atomically (a temporary beside it, mode 0600, renamed at commit). An existing file is replaced only with `force'.
 */
struct ms_err *ms_snap_create(const char *path, bool force, struct ms_snap_writer **ret) MS_MUST_CHECK;
/* The writer as a sink. */
struct ms_sink ms_snap_sink(struct ms_snap_writer *writer);
struct ms_err *ms_snap_commit(struct ms_snap_writer *writer, u64 *nr_records_ret, u64 *nr_bytes_ret) MS_MUST_CHECK; /* ends the writer */
void ms_snap_abort(struct ms_snap_writer *writer); /* takes NULL; leaves no file */

/* Read a snapshot file into a sink. The error names file, record number and byte offset (of the unpacked stream). */
struct ms_err *ms_snap_read(const char *path, const struct ms_want *want, const struct ms_sink *sink) MS_MUST_CHECK;

#endif
