/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The little of string handling that src/spte needs, since it has no libc. Private to this folder. */
#ifndef MS_SPTE_STR_H
#define MS_SPTE_STR_H

#include "abi/types.h"

static inline bool spte_str_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

#endif
