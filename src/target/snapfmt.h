/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The unpacked form of a snapshot, for snapfile.c, snapfile_read.c and their tests; everyone else includes
 * snapfile.h. What a well-formed stream is stands here and is checked by one piece of code on both sides, so
 * that nothing is written that would be refused when read.
 *
 * All integers are little-endian. The stream is
 *
 *	struct ms_snap_head				magic and versions
 *	{ struct ms_snap_rec; the record's struct; tables of an SP }	as often as there are records
 *	{ struct ms_snap_rec; struct ms_rec_end }	the end; nothing follows it
 *
 * The tables of an SP with MS_SP_HAVE_SPTES: its SPTEs, then with MS_SP_HAVE_TRANSLATIONS its translations,
 * each as
 *
 *	u64 filler; u64 bitmap[8]; u64 value[number of bits set]
 *
 * Bit i % 64 of bitmap[i / 64] says that entry i differs from the filler and is the next value. Most of a
 * table is one value, and not always 0 (a non-present SPTE is bit 63 on 6.12), so the filler is the table's
 * majority value where there is one, else the one that the vote below ends with. The reader takes no other
 * encoding: one content has one form.
 */
#ifndef TARGET_SNAPFMT_H
#define TARGET_SNAPFMT_H

#include "abi/rec.h"
#include "base/err.h"
#include "base/map.h"
#include "target/target.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are stored as they lie in memory");

#define MS_SNAP_MAGIC "mmuscope" /* 8 bytes, no NUL */
/* Goes up with every change of this format. A file of another version is refused, never guessed at. */
#define MS_SNAP_VERSION 1

/*
 * The most records of all kinds in one file. A guest of 1 TiB mapped in 4 KiB pages needs some 525,000 shadow
 * pages, so this is room for 8 TiB. It bounds what a small file can unpack to (at most 8.4 KB a record). A
 * limit on the ratio of unpacked to packed bytes would not do: a table that is nearly empty packs by any
 * factor.
 */
#define MS_SNAP_MAX_RECORDS (4ull << 20)

/* Lists of SPTEs are many and small: so many of their records take the room of one shadow page's. */
#define MS_SNAP_SMALL_PER_RECORD 48

struct ms_snap_head {
	char magic[8];
	u32 version; /* MS_SNAP_VERSION */
	u32 rec_version; /* MS_REC_VERSION */
};

struct ms_snap_rec {
	u32 type; /* enum ms_rec_type */
	u32 len; /* bytes that follow, up to the next struct ms_snap_rec */
};

#define MS_SNAP_BITMAP_WORDS (MS_SPTES / 64)
/* The longest encoding of one table: every value given. */
#define MS_SNAP_TABLE_MAX (8 + 8 * MS_SNAP_BITMAP_WORDS + 8 * MS_SPTES)
/* The longest `len': the largest struct, or an SP with two full tables. */
#define MS_SNAP_LEN_MAX (sizeof(struct ms_rec_sp) + 2 * MS_SNAP_TABLE_MAX)

_Static_assert(sizeof(struct ms_snap_head) == 16, "stream layout");
_Static_assert(sizeof(struct ms_snap_rec) == 8, "stream layout");
_Static_assert(sizeof(struct ms_rec_host) <= MS_SNAP_LEN_MAX, "one buffer holds any record");

/*
 * Does each record say something possible by itself: strings that end, numbers of our own enums, presence
 * bits that exist, padding of zero? NULL or a static text that names what is wrong. What the kernel wrote is
 * not judged.
 */
const char *ms_snap_check_record(enum ms_rec_type type, const void *rec);

/*
 * What was seen so far of a stream, to judge the order and the sum of its records. Zero-initialised is the
 * start.
 */
struct ms_snap_order {
	bool host;
	bool details; /* the list of VMs is over */
	u64 nr_records; /* accepted, the end not counted */
	u64 nr_small; /* of those, the ones about lists of SPTEs */
	u64 kvm; /* the VM whose details come now, 0: none */
	u32 stage; /* how far these details got */
	u32 walks; /* MS_WALK_LEGACY, MS_WALK_TDP: done for this VM */
	u64 nr_sps; /* since the last walk record */
	u64 nr_by_state[4]; /* of those, by enum ms_sp_state */
	bool rmaps_open, rmaps_done; /* lists of SPTEs of this VM: began, and ended */
	bool exact; /* how it was read under the lock was said */
	u32 nr_descs, nr_entries; /* that the list in hand still has to come */
	u64 nr_lists, nr_counts, nr_lists_by_state[3]; /* of this VM */
	struct ms_map vms; /* kvm -> 1: listed, 2: details begun */
	struct ms_map seen; /* addresses of this VM's vCPUs and MMUs; in a walk, of its pages */
};

void ms_snap_order_deinit(struct ms_snap_order *order);
/*
 * Accept the next record, which ms_snap_check_record() found good. *what_ret is NULL, or a static text that
 * names what is wrong with its place; a returned error is memory. An END must carry the right count.
 */
struct ms_err *ms_snap_order_next(struct ms_snap_order *order, enum ms_rec_type type, const void *rec,
				  const char **what_ret) MS_MUST_CHECK;
/* Are there more records than a file holds, when it holds max_records shadow pages? */
bool ms_snap_order_full(const struct ms_snap_order *order, u64 max_records);

/* Encode 512 values at out, which has room for MS_SNAP_TABLE_MAX bytes. Returns the bytes written. */
size_t ms_snap_table_encode(const u64 *values, u8 *out);
/*
 * Decode one table from at most len bytes. Returns the bytes used, 0 when they are too few or the encoding is
 * not the one that ms_snap_table_encode() makes.
 */
size_t ms_snap_table_decode(const u8 *in, size_t len, u64 *values_ret);

/* Bytes of the unpacked stream from somewhere. *got < len only at the end of the stream. */
struct ms_snap_source {
	struct ms_err *(*read)(void *ctx, void *buf, size_t len, size_t *got_ret);
	void *ctx;
};

/*
 * Read an unpacked stream into a sink, as ms_snap_read(). name is put before errors. max_records:
 * MS_SNAP_MAX_RECORDS but for tests. Memory: one record, and at most 64 bytes for each VM and for each page
 * of the longest walk.
 */
struct ms_err *ms_snap_read_stream(const struct ms_snap_source *source, const char *name, u64 max_records,
				   const struct ms_want *want, const struct ms_sink *sink) MS_MUST_CHECK;

/* Takes the unpacked stream. */
struct ms_snap_drain {
	struct ms_err *(*write)(void *ctx, const void *buf, size_t len);
	void *ctx;
};

/*
 * Writes the unpacked stream. Zero-initialise but for the drain; end with
 * ms_snap_order_deinit(&encoder.order).
 */
struct ms_snap_encoder {
	struct ms_snap_drain drain;
	struct ms_snap_order order;
	u8 buf[sizeof(struct ms_snap_rec) + MS_SNAP_LEN_MAX];
};

struct ms_err *ms_snap_encode_begin(struct ms_snap_encoder *encoder) MS_MUST_CHECK;
/* As a sink's put; refuses MS_REC_END. */
struct ms_err *ms_snap_encode_put(struct ms_snap_encoder *encoder, enum ms_rec_type type, const void *rec,
				  const struct ms_sp_tables *tables) MS_MUST_CHECK;
struct ms_err *ms_snap_encode_end(struct ms_snap_encoder *encoder) MS_MUST_CHECK;

#endif
