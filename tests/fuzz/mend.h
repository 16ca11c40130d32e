/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A well-formed snapshot stream of any bytes. Records are put in order, counted and padded with zero, until the format
 * lets them through; what they say of pages, lists, frames and slots stays as nonsensical as it came.
 */
#ifndef TESTS_FUZZ_MEND_H
#define TESTS_FUZZ_MEND_H

#include <stddef.h>
#include <stdint.h>

#include "target/snapfmt.h"

#define MEND_MAX_RECORDS 4096
#define MEND_MAX_TABLE_BYTES (2u << 20)

struct stream {
	struct ms_snap_encoder encoder;
	uint8_t *bytes;
	size_t len, cap, at;
	struct ms_map seen; /* in this stage */
};

/* s is zero, and ended by mend_deinit(). */
void mend_stream(const uint8_t *data, size_t size, struct stream *s);
void mend_deinit(struct stream *s);

#endif
