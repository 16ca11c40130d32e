/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the kernel keeps things: every field of fields.def resolved for one kernel. Walkers, and later the
 * module and the vmcore reader, use this table and nothing else.
 */
#ifndef LAYOUT_LAYOUT_H
#define LAYOUT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum ms_field_id {
#define MS_FIELD(id, type, path) MS_F_##id,
#include "layout/fields.def"
	MS_F_NR
};

enum ms_type_id {
#define MS_TYPE(id, type) MS_T_##id,
#include "layout/fields.def"
	MS_T_NR
};

enum ms_field_kind {
	MS_FK_SCALAR, /* integer, enum, pointer, bitfield */
	MS_FK_ARRAY,
	MS_FK_STRUCT,
};

struct ms_field {
	uint32_t off; /* bytes from the start of the type in fields.def */
	uint32_t size; /* bytes; of the whole array; of the storage for a bitfield */
	uint32_t elem_size, nr_elems; /* arrays; else size and 1 */
	uint8_t bit_off, bit_size; /* bitfields: counted from the lowest bit at `off'; bit_size 0: not one */
	uint8_t kind; /* enum ms_field_kind */
	bool present;
};

#define MS_LAYOUT_ROLE_MAX 32

/* One bit field of a role: bit 0..31 in the base word, 32..63 in the extended one. */
struct ms_role_bit {
	char name[20];
	uint8_t bit, width;
};

struct ms_layout {
	struct ms_field f[MS_F_NR];
	uint32_t type_size[MS_T_NR]; /* 0: the type is not there */
	struct ms_role_bit role[MS_LAYOUT_ROLE_MAX];
	uint32_t nr_role;
};

/* A field of a role's base word by the kernel's name; NULL: this kernel has none. */
const struct ms_role_bit *ms_layout_role_bit(const struct ms_layout *layout, const char *name);
static inline uint32_t ms_role_bit_get(const struct ms_role_bit *bit, uint32_t role)
{
	return role >> bit->bit & (uint32_t)((1ull << bit->width) - 1);
}

/* "kvm_mmu_page.gfn": for messages. */
const char *ms_field_name(enum ms_field_id id);

/*
 * Resolve from BTF. vmlinux and module are file paths (the running kernel's: /sys/kernel/btf/vmlinux and
 * /sys/kernel/btf/kvm); module NULL when KVM is built in. A type without which nothing can be read (kvm,
 * kvm_mmu_page ...) is an error that names it.
 *
 * vendor: the same of kvm_intel or kvm_amd, for types that vmlinux and module have not; NULL for none. The
 * fields of one that cannot be read are absent.
 */
struct ms_err *ms_layout_from_btf(const char *vmlinux, const char *module, const char *vendor,
				  struct ms_layout *ret) MS_MUST_CHECK;

#define MS_LAYOUT_FILES 8

/*
 * The same from DWARF. files: ELF files with debug information, or whose debug files lie where the system has them;
 * a type is the first one's that defines it. They are read in this process.
 */
struct ms_err *ms_layout_from_dwarf(const char *const *files, size_t nr, struct ms_layout *ret) MS_MUST_CHECK;

/* --- the running kernel (running.c) --- */

enum ms_layout_from { MS_LAYOUT_BTF, MS_LAYOUT_DWARF };

struct ms_layout_part {
	enum ms_layout_from from;
	char name[32]; /* vmlinux, kvm, kvm_intel, or what was named */
	char path[512];
};

/* From which files the table is made. */
struct ms_layout_plan {
	struct ms_layout_part part[MS_LAYOUT_FILES];
	size_t nr;
	char lacking
		[1024]; /* what was not found that can be done without, and where it was looked for; "": nothing */
};

/*
 * Where types of the running kernel are found. root: "" for this host, as ms_doctor_run() has it. spec: NULL or
 * "auto": BTF, and debug files for what has none; "btf"; "dwarf"; a directory in which debug files lie as below
 * /usr/lib/debug; or debug files, separated by commas. network: debuginfod may be asked, if the user has set
 * DEBUGINFOD_URLS. The error names the build-id and the places.
 */
struct ms_err *ms_layout_plan(const char *root, const char *spec, bool network,
			      struct ms_layout_plan *ret) MS_MUST_CHECK;
/*
 * Debug files are read in a process of its own: one that is damaged is an error, whatever it does to the library
 * that reads it.
 */
struct ms_err *ms_layout_load(const struct ms_layout_plan *plan, struct ms_layout *ret) MS_MUST_CHECK;
/* "BTF /sys/kernel/btf/kvm, DWARF /usr/lib/debug/...": for doctor. */
void ms_layout_plan_text(const struct ms_layout_plan *plan, char *text, size_t size);

#endif
