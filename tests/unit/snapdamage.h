/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unpacked snapshot streams in memory, for tests that damage them: made from the made-up host, taken apart by
 * this file's own knowledge of the format (not by the reader under test), read back.
 */
#ifndef TESTS_UNIT_SNAPDAMAGE_H
#define TESTS_UNIT_SNAPDAMAGE_H

#include "abi/rec.h"
#include "base/err.h"
#include "target/target.h"
#include "tests/unit/fake.h"

/* Bytes in memory, growing at the end and read from `at'. Zero-initialised is empty. */
struct mem {
	u8 *data;
	size_t len, cap, at;
};

void mem_put(struct mem *mem, const void *data, size_t len);
void mem_deinit(struct mem *mem);

/* The whole stream of a made-up host. */
void stream_of(const struct fake_opts *opts, const struct ms_want *want, struct mem *ret);
/* A short one with a record of every type: VM 0 without most of its pages. */
void stream_short(struct mem *ret);

/* Read it into a log. */
struct ms_err *stream_read(const struct mem *stream, struct fake_log *log) MS_MUST_CHECK;
/* Read it and encode what came out once more. */
struct ms_err *stream_again(const struct mem *stream, struct mem *ret) MS_MUST_CHECK;

/* Where the nth record of a type begins (its header), SIZE_MAX when there is none. */
size_t stream_find(const struct mem *stream, enum ms_rec_type type, size_t nth);
/*
 * One byte a byte: 1 where a change must be noticed (headers, bitmaps, padding, counts), 0 where a value
 * stands that may be anything as far as the format knows. Freed by the caller.
 */
u8 *stream_structure(const struct mem *stream);

#endif
