/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests whose files are made by a shell and a compiler: a directory of their own, commands in it, and the end.
 * After a failure the directory is left, with what the commands said in its file "log".
 */
#ifndef TESTS_UNIT_SHELLDIR_H
#define TESTS_UNIT_SHELLDIR_H

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"

/* Its path, once shelldir_run() was called. */
extern char shelldir[PATH_MAX];

/* The command succeeds there; else the test fails, and says it. */
void sh(const char *fmt, ...) MS_PRINTF(1, 2);
/* A file of this text. */
void shelldir_put(const char *name, const char *text);

/*
 * What main() returns. NAME is the program's; prepare makes the files that all tests find. debuginfod is asked by none
 * that does not say so: found is what is put here.
 */
#define shelldir_run(name, prepare, tests) \
	shelldir_run_all(name, prepare, #tests, tests, sizeof(tests) / sizeof((tests)[0]))
int shelldir_run_all(const char *name, void (*prepare)(void), const char *group,
		     const struct CMUnitTest *tests, size_t nr);

#endif
