/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of kernel symbols by name: which of them counts, and looking them up in kallsyms. */
#ifndef SYM_SYM_H
#define SYM_SYM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A wanted symbol. */
struct ms_sym {
	const char *name;
	const char *module; /* the module it must be in; NULL: the kernel itself */
	uint64_t addr; /* written: 0 when it was not found */
};

/*
 * One symbol that was met: kept in those of syms that it answers. module: "" for the kernel itself, whose
 * symbols have to be offered before those of modules. A wanted module's symbol replaces a namesake of the
 * kernel.
 */
void ms_sym_offer(struct ms_sym *syms, size_t nr, const char *name, const char *module, uint64_t addr);
/* The error for symbols without addresses: source is where they were read. */
struct ms_err *ms_sym_hidden_err(const char *source) MS_MUST_CHECK;

/*
 * Look up nr symbols in one pass over path (NULL: /proc/kallsyms). A module that is built in has its symbols
 * in the kernel itself: they are taken from there when the module has none. A symbol that is not there stays
 * 0 and is no error; addresses that the kernel hides (all zero: kptr_restrict, no CAP_SYSLOG) are one.
 */
struct ms_err *ms_sym_lookup(const char *path, struct ms_sym *syms, size_t nr) MS_MUST_CHECK;

#endif
