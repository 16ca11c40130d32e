/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The error object. Made in one place, carried up, printed only by cli and ui (STYLE 5, ARCHITECTURE decision
 * 6).
 *
 * A function that can fail returns `struct ms_err *': NULL is success, anything else is owned by the caller,
 * who hands it on, or frees it. An error says what was being done, to what, and what the user can do about it
 * (the hint).
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

/* The class decides the exit status: see ms_err_exit_status(). */
enum ms_err_kind {
	MS_ERR_USAGE, /* the words of the call are off: exit 2 */
	MS_ERR_TARGET, /* the target cannot be read: exit 3 */
	MS_ERR_MEMORY, /* out of memory: exit 3 */
	MS_ERR_BUG, /* ours: exit 3 */
};

struct ms_err;

#define MS_MUST_CHECK __attribute__((warn_unused_result))
#define MS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Never NULL, even when memory is out (a static object then says so). */
struct ms_err *ms_err_new(enum ms_err_kind kind, const char *fmt, ...) MS_PRINTF(2, 3) MS_MUST_CHECK;
/* As ms_err_new(), with ": " and the text of errno value `err' (positive) appended. */
struct ms_err *ms_err_errno(enum ms_err_kind kind, int err, const char *fmt, ...)
	MS_PRINTF(3, 4) MS_MUST_CHECK;
struct ms_err *ms_err_nomem(void) MS_MUST_CHECK;
/* Put "text: " before the message. Takes and returns ownership. */
struct ms_err *ms_err_wrap(struct ms_err *err, const char *fmt, ...) MS_PRINTF(2, 3) MS_MUST_CHECK;
/* Say what the user can do. Takes and returns ownership; a later hint replaces an earlier one. */
struct ms_err *ms_err_hint(struct ms_err *err, const char *fmt, ...) MS_PRINTF(2, 3) MS_MUST_CHECK;

enum ms_err_kind ms_err_kind(const struct ms_err *err);
/* One line without control characters and without newline. Valid until the error is freed. */
const char *ms_err_text(const struct ms_err *err);
/* NULL when there is none. */
const char *ms_err_hint_text(const struct ms_err *err);
/* 2 for usage, 3 for all others. */
int ms_err_exit_status(const struct ms_err *err);
void ms_err_free(struct ms_err *err);

#endif
