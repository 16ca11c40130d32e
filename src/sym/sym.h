/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel symbols: addresses by name and names by address, out of kallsyms; source lines out of DWARF. What they say
 * comes from files: names are to be cleaned before they are shown.
 */
#ifndef SYM_SYM_H
#define SYM_SYM_H

#include <stdbool.h>
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

/* No function is larger: what lies farther behind its start is not in it, whatever kallsyms has. */
#define MS_FUNCTION_MAX (1u << 20)

/* --- every line of kallsyms --- */

/* Texts are not terminated, and valid during the call. */
struct ms_kallsym {
	uint64_t addr; /* 0 when the kernel hides it */
	char type; /* as nm(1) has it */
	const char *name, *module;
	size_t name_len, module_len; /* module_len 0: the kernel itself */
};

/* Lines that are none are skipped. each() returns false when memory is out, which is the error then. */
struct ms_err *ms_kallsyms_each(const char *path, bool (*each)(void *ctx, const struct ms_kallsym *sym),
				void *ctx) MS_MUST_CHECK;

/*
 * Where the function that begins at addr ends: where the next begins, of whichever module, padding included. kallsyms
 * has no sizes. path NULL: /proc/kallsyms. Written: 0 when no function begins at addr, or none within 1 MiB behind it.
 */
struct ms_err *ms_sym_end(const char *path, uint64_t addr, uint64_t *end_ret) MS_MUST_CHECK;

/* --- code by address (addr.c) --- */

struct ms_symtab;

struct ms_place {
	const char *name, *module; /* module "": the kernel itself. The table's */
	uint64_t offset; /* bytes from where the function begins */
};

/* Functions of the running kernel and its modules; path NULL: /proc/kallsyms. Hidden addresses are an error. */
struct ms_err *ms_symtab_load(const char *path, struct ms_symtab **ret) MS_MUST_CHECK;
void ms_symtab_destroy(struct ms_symtab *symtab); /* takes NULL */
/* False: no function begins within 1 MiB before it. */
bool ms_symtab_find(const struct ms_symtab *symtab, uint64_t addr, struct ms_place *ret);

/* --- source lines (lines.c) --- */

struct ms_lines;

/* Of the running kernel and its modules, where debug information is found; without libdw always an error. */
struct ms_err *ms_lines_open_kernel(struct ms_lines **ret) MS_MUST_CHECK;
/* Of one file, as if it were loaded with this bias (0: at the addresses that it names). */
struct ms_err *ms_lines_open_file(const char *path, uint64_t base, struct ms_lines **ret) MS_MUST_CHECK;
void ms_lines_close(struct ms_lines *lines); /* takes NULL */
/* The file as the compiler was told it; its text is the table's. False: nothing is known of it. */
bool ms_lines_find(struct ms_lines *lines, uint64_t addr, const char **file_ret, int *line_ret);

#endif
