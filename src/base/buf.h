/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growing string, and the one place where text that others wrote is made harmless (ARCHITECTURE decision
 * 10).
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

/*
 * Zero-initialised is empty and valid. Writers never fail visibly: when memory is out `oom' is set, the
 * content stays as it was, and later writes do nothing. Whoever hands the content on checks `oom' once.
 */
struct ms_buf {
	char *data; /* NUL terminated when len > 0, else possibly NULL */
	size_t len, cap;
	bool oom;
};

void ms_buf_deinit(struct ms_buf *buf);
void ms_buf_reset(struct ms_buf *buf);
void ms_buf_put(struct ms_buf *buf, const char *data, size_t len);
void ms_buf_puts(struct ms_buf *buf, const char *str);
void ms_buf_putc(struct ms_buf *buf, char c);
void ms_buf_pad(struct ms_buf *buf, char c, size_t count);
void ms_buf_printf(struct ms_buf *buf, const char *fmt, ...) MS_PRINTF(2, 3);
/* In base 10 or 16, with zeros before it up to `digits'. ms_buf_printf() cost a third of a long table. */
void ms_buf_put_number(struct ms_buf *buf, unsigned long long value, unsigned int base, unsigned int digits);
/* The content as a string; "" when empty. */
const char *ms_buf_str(const struct ms_buf *buf);

/*
 * Append text that others wrote: well-formed UTF-8 of printable characters stays, every control character
 * (C0, C1, DEL), bidirectional control, and every byte that is not UTF-8 becomes \xNN.
 */
void ms_buf_put_clean(struct ms_buf *buf, const char *str, size_t len);
/* The same into a new string. NULL when memory is out. */
char *ms_clean_dup(const char *str);

/*
 * Length in bytes of the well-formed UTF-8 sequence at s (at most len bytes are looked at), 0 when there is
 * none. The code point goes to *cp_ret.
 */
size_t ms_utf8_next(const char *s, size_t len, unsigned int *cp_ret);
/* True for a code point that may be shown on a terminal as it is. */
bool ms_cp_is_printable(unsigned int cp);

/* Grow an array: returns the new storage with *cap elements >= need, or NULL (the old storage stays valid).
 */
void *ms_grow(void *array, size_t *cap, size_t need, size_t elem_bytes) MS_MUST_CHECK;

#endif
