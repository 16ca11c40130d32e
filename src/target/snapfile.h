/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot file: records in one gzip member (its CRC guards it). Layout: 16 bytes magic and versions,
 * then for each record a header { u32 type, u32 len }, the struct, and for an SP with tables the entries of
 * both that differ from most of the table (snapfmt.h); last an MS_REC_END with the count. A file without its
 * end is refused as cut off, one with more behind it as damaged. Nothing in it is trusted. It holds kernel
 * addresses and is for its owner's eyes.
 */
#ifndef TARGET_SNAPFILE_H
#define TARGET_SNAPFILE_H

#include "abi/rec.h"
#include "base/err.h"
#include "target/target.h"

struct ms_snap_writer;

/*
 * Write FILE atomically (a temporary beside it, mode 0600, renamed at commit). An existing file is replaced
 * only with `force', and only when it is a regular file: symbolic links are neither followed nor replaced.
 */
struct ms_err *ms_snap_create(const char *path, bool force, struct ms_snap_writer **ret) MS_MUST_CHECK;
/* The writer as a sink. It refuses records that ms_snap_read() would refuse. */
struct ms_sink ms_snap_sink(struct ms_snap_writer *writer);
struct ms_err *ms_snap_commit(struct ms_snap_writer *writer, u64 *nr_records_ret,
			      u64 *nr_bytes_ret) MS_MUST_CHECK; /* ends the writer */
void ms_snap_abort(struct ms_snap_writer *writer); /* takes NULL; leaves no file */

/*
 * Read a snapshot file into a sink, as far as `want' asks. The error names file, record number and byte
 * offset (of the unpacked stream). The checksum is at the file's end: when an error comes back, what the sink
 * was given before it is worth nothing. When want->progress gives up, the rest of the file is not looked at.
 */
struct ms_err *ms_snap_read(const char *path, const struct ms_want *want,
			    const struct ms_sink *sink) MS_MUST_CHECK;
/*
 * Is FILE there, readable, and does it begin as a snapshot of this version? Looks at its first record only.
 */
struct ms_err *ms_snap_probe(const char *path) MS_MUST_CHECK;

#endif
