/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The error object: see err.h. Nothing here prints. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct ms_err {
	enum ms_err_kind kind;
	char *text;
	char *hint;
};

static struct ms_err nomem = { .kind = MS_ERR_MEMORY, .text = (char *)"out of memory" };

/* The message as one clean line: errors quote names that others wrote. NULL when memory is out. */
static char *format_line(const char *fmt, va_list ap)
{
	char *raw = NULL;
	char *line;

	if (vasprintf(&raw, fmt, ap) < 0)
		return NULL;
	line = ms_clean_dup(raw);
	free(raw);
	return line;
}

static struct ms_err *err_from(enum ms_err_kind kind, char *text)
{
	struct ms_err *err;

	if (!text)
		return &nomem;
	err = calloc(1, sizeof(*err));
	if (!err) {
		free(text);
		return &nomem;
	}
	err->kind = kind;
	err->text = text;
	return err;
}

struct ms_err *ms_err_new(enum ms_err_kind kind, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = format_line(fmt, ap);
	va_end(ap);
	return err_from(kind, text);
}

struct ms_err *ms_err_errno(enum ms_err_kind kind, int errnum, const char *fmt, ...)
{
	va_list ap;
	char *text, *full = NULL;

	va_start(ap, fmt);
	text = format_line(fmt, ap);
	va_end(ap);
	if (!text || asprintf(&full, "%s: %s", text, strerror(errnum)) < 0)
		full = NULL;
	free(text);
	return err_from(kind, full);
}

struct ms_err *ms_err_nomem(void)
{
	return &nomem;
}

struct ms_err *ms_err_wrap(struct ms_err *err, const char *fmt, ...)
{
	va_list ap;
	char *text, *full = NULL;

	if (err == &nomem)
		return err;
	va_start(ap, fmt);
	text = format_line(fmt, ap);
	va_end(ap);
	if (!text || asprintf(&full, "%s: %s", text, err->text) < 0) {
		free(text);
		ms_err_free(err);
		return &nomem;
	}
	free(text);
	free(err->text);
	err->text = full;
	return err;
}

struct ms_err *ms_err_hint(struct ms_err *err, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (err == &nomem)
		return err;
	va_start(ap, fmt);
	text = format_line(fmt, ap);
	va_end(ap);
	/* A lost hint is no reason to lose the error. */
	if (text) {
		free(err->hint);
		err->hint = text;
	}
	return err;
}

enum ms_err_kind ms_err_kind(const struct ms_err *err)
{
	return err->kind;
}

const char *ms_err_text(const struct ms_err *err)
{
	return err->text;
}

const char *ms_err_hint_text(const struct ms_err *err)
{
	return err->hint;
}

int ms_err_exit_status(const struct ms_err *err)
{
	return err->kind == MS_ERR_USAGE ? 2 : 3;
}

void ms_err_free(struct ms_err *err)
{
	if (!err || err == &nomem)
		return;
	free(err->text);
	free(err->hint);
	free(err);
}
