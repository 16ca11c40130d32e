/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the builder of the table (build.c) and what knows types: BTF (btf.c), DWARF (dwarf.c). A source answers
 * few questions about types; all that is decided about them is decided in the builder, so that the table does not
 * depend on where types come from.
 */
#ifndef LAYOUT_PRIVATE_H
#define LAYOUT_PRIVATE_H

#include <limits.h>
#include <stddef.h>

#include "layout/layout.h"

/* A type of a source: the source's own words. */
struct layout_type {
	uint64_t word[4];
};

enum layout_kind {
	LAYOUT_SCALAR, /* integer, enum, pointer */
	LAYOUT_ARRAY,
	LAYOUT_COMPOSITE, /* struct, union; a definition */
};

/* Of a type with typedefs and qualifiers peeled off. */
struct layout_info {
	enum layout_kind kind;
	uint32_t size; /* bytes; of the whole array */
	uint32_t nr_elems; /* arrays: of all dimensions together; 0: flexible */
};

struct layout_member {
	const char *name; /* NULL or "": anonymous */
	struct layout_type type;
	uint32_t bit_off; /* from the start of the struct, counted from the lowest bit of its first byte */
	uint32_t bits; /* 0: not a bit field */
};

/* What is looked for: structs and unions by name. */
struct layout_wanted {
	const char *name;
	const struct layout_source *source; /* that has it; NULL: not found so far */
	struct layout_type type;
};

struct layout_source {
	/* Fill in those that are not found so far and that this source defines. */
	struct ms_err *(*find)(struct layout_source *source, struct layout_wanted *wanted, size_t nr);
	/* False: it has no size that is known here. */
	bool (*info)(const struct layout_source *source, const struct layout_type *type,
		     struct layout_info *ret);
	/*
	 * Members of a composite in their order, until each() returns false, of which no error is made. False: what
	 * is there makes no sense.
	 */
	bool (*members)(const struct layout_source *source, const struct layout_type *type,
			bool (*each)(void *ctx, const struct layout_member *member), void *ctx);
	void (*close)(struct layout_source *source); /* takes NULL */
	const char *path;
};

/*
 * Build the table. A type is the first source's that has it. The error, when a type is lacking without which
 * nothing can be read, names it; what says where it was looked for ("BTF of this kernel"), and hint what to do
 * about it.
 */
struct ms_err *layout_build(struct layout_source *const *sources, size_t nr, const char *what,
			    const char *hint, struct ms_layout *ret) MS_MUST_CHECK;

/* --- BTF --- */

/* *base_ret is closed after those that are made on it. */
struct ms_err *layout_btf_open(const char *path, struct layout_source **ret) MS_MUST_CHECK;
/* A module's own types only. */
struct ms_err *layout_btf_open_module(const char *path, const struct layout_source *base,
				      struct layout_source **ret) MS_MUST_CHECK;

/* --- DWARF --- */

/* Of an ELF file, or of its debug file, which is looked for in dirs (NULL: where the system has them). */
struct ms_err *layout_dwarf_open(const char *path, const char *dirs,
				 struct layout_source **ret) MS_MUST_CHECK;

/* --- debug files by build-id (find.c) --- */

struct build_id {
	uint8_t byte[64];
	size_t len; /* 0: not known */
};

#define BUILD_ID_TEXT (2 * 64 + 1)

/* Out of notes as /sys/kernel/notes has them. False: there is none. */
bool build_id_read(const char *path, struct build_id *ret);
const char *build_id_text(const struct build_id *id, char text[BUILD_ID_TEXT]);

/* Of an ELF file; id_ret->len 0: it has none. */
struct ms_err *build_id_of_file(const char *path, struct build_id *id_ret) MS_MUST_CHECK;

struct debug_wanted {
	const char *name; /* "kvm", for messages */
	struct build_id id;
	const char *dirs; /* as elfutils' debuginfo_path: absolute, separated by ':' */
	const char *const *files; /* also looked at, if they have that build-id; ended by NULL */
	const char *elf; /* the stripped file, for its debug link; need not be there */
	bool network; /* ask debuginfod, if the user has set DEBUGINFOD_URLS */
};

/* The file that holds the DWARF of it. The error says what was looked for and where. */
struct ms_err *debug_find(const struct debug_wanted *wanted, char path[PATH_MAX]) MS_MUST_CHECK;

/* --- damaged files (apart.c) --- */

/*
 * fn(in, out) in a process of its own: whatever it does with a file that others wrote, this one goes on. out_bytes
 * of out come back with success. what: for the error when it dies or takes longer than `seconds' of CPU time.
 */
struct ms_err *layout_apart(struct ms_err *(*fn)(const void *in, void *out), const void *in, void *out,
			    size_t out_bytes, unsigned int seconds, const char *what) MS_MUST_CHECK;

#endif
