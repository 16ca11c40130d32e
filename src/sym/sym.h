/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of kernel symbols by name, from kallsyms. Reads one file, once. */
#ifndef SYM_SYM_H
#define SYM_SYM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A wanted symbol. */
struct ms_sym {
	const char *name;
	const char *module; /* the module it must be in; NULL: the kernel itself */
	uint64_t addr;	    /* written: 0 when it was not found */
};

/*
 * Look up nr symbols in one pass over path (NULL: /proc/kallsyms). A module that is built in has its symbols in the kernel itself: they are
 * taken from there when the module has none. A symbol that is not there stays 0 and is no error; addresses that the
 * kernel hides (all zero: kptr_restrict, no CAP_SYSLOG) are one.
 */
struct ms_err *ms_sym_lookup(const char *path, struct ms_sym *syms, size_t nr) MS_MUST_CHECK;

#endif
