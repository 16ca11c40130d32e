/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scope guards for user space: the resource is given back when the variable leaves its scope. */
#ifndef BASE_GUARD_H
#define BASE_GUARD_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MS_GUARD(fn) __attribute__((cleanup(fn)))

static inline void ms_guard_free(void *ptr)
{
	free(*(void **)ptr);
}

static inline void ms_guard_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void ms_guard_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define MS_FREE MS_GUARD(ms_guard_free)
#define MS_CLOSE MS_GUARD(ms_guard_close)
#define MS_FCLOSE MS_GUARD(ms_guard_fclose)

#endif
