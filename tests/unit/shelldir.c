/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shelldir.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char shelldir[PATH_MAX];

void sh(const char *fmt, ...)
{
	char words[2048], command[sizeof(words) + sizeof(shelldir) + 64];
	va_list ap;

	va_start(ap, fmt);
	assert_true(vsnprintf(words, sizeof(words), fmt, ap) < (int)sizeof(words));
	va_end(ap);
	snprintf(command, sizeof(command), "cd %s && { %s; } >>log 2>&1", shelldir, words);
	if (system(command))
		fail_msg("%s: see %s/log", words, shelldir);
}

void shelldir_put(const char *name, const char *text)
{
	char path[PATH_MAX + 256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", shelldir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

int shelldir_run_all(const char *name, void (*prepare)(void), const char *group,
		     const struct CMUnitTest *tests, size_t nr)
{
	char command[PATH_MAX + 16];
	int failed;

	snprintf(shelldir, sizeof(shelldir), "/tmp/%s.XXXXXX", name);
	if (!mkdtemp(shelldir))
		return 1;
	unsetenv("DEBUGINFOD_URLS");
	prepare();
	failed = _cmocka_run_group_tests(group, tests, nr, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", shelldir);
	if (!failed && system(command))
		return 1;
	return failed;
}
