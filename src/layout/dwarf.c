/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Types out of DWARF 3 to 5, through libdwfl: a module is a relocatable file, whose debug sections make no sense
 * until libdwfl has applied their relocations. What such a file says is not believed: every loop here has an end of
 * its own.
 */
#include "config.h"
#include "layout/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"

#ifdef WITH_LIBDW
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

/* Typedefs of typedefs, arrays of arrays. */
#define MAX_PEEL 64

struct dwarf_source {
	struct layout_source source;
	Dwfl *dwfl;
	Dwfl_Callbacks callbacks;
	char *dirs; /* NULL: where the system has debug files */
	Dwarf *dwarf;
};

_Static_assert(sizeof(Dwarf_Die) <= sizeof(struct layout_type), "a DIE fits into a struct layout_type");

static struct layout_type type_make(const Dwarf_Die *die)
{
	struct layout_type type = { 0 };

	memcpy(&type, die, sizeof(*die));
	return type;
}

static Dwarf_Die type_die(const struct layout_type *type)
{
	Dwarf_Die die;

	memcpy(&die, type, sizeof(die));
	return die;
}

/* The DIE that an attribute refers to. */
static bool die_ref(Dwarf_Die *die, unsigned int name, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr(die, name, &attr) && dwarf_formref_die(&attr, ret);
}

static bool definition_find(const struct dwarf_source *ds, Dwarf_Die *die);

/* Typedefs and qualifiers peeled off, and a definition put in the place of a declaration. False: void, or damaged. */
static bool die_strip(const struct dwarf_source *ds, Dwarf_Die *die)
{
	unsigned int steps;

	for (steps = 0; steps < MAX_PEEL; steps++) {
		switch (dwarf_tag(die)) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
		case DW_TAG_atomic_type:
			if (!die_ref(die, DW_AT_type, die))
				return false;
			break;
		case DW_TAG_structure_type:
		case DW_TAG_union_type:
			if (dwarf_hasattr(die, DW_AT_signature)) {
				if (!die_ref(die, DW_AT_signature, die))
					return false;
				break;
			}
			return !dwarf_hasattr(die, DW_AT_declaration) || definition_find(ds, die);
		default:
			return dwarf_tag(die) != DW_TAG_invalid;
		}
	}
	return false;
}

/*
 * The next DIE of the same parent: 0; 1: there is none; -1: damaged. It lies behind this one, or we would go in
 * circles.
 */
static int die_next(Dwarf_Die *die)
{
	Dwarf_Off before = dwarf_dieoffset(die);
	int end = dwarf_siblingof(die, die);

	return end ? end : dwarf_dieoffset(die) > before ? 0 : -1;
}

static bool attr_udata(Dwarf_Die *die, unsigned int name, Dwarf_Word *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr(die, name, &attr) && !dwarf_formudata(&attr, ret);
}

/* Of all dimensions; 0 when one of them is flexible. */
static bool array_elems(Dwarf_Die *array, uint64_t *ret)
{
	Dwarf_Die dim;
	Dwarf_Word n;
	int end = dwarf_child(array, &dim);

	*ret = 1;
	for (; !end; end = die_next(&dim)) {
		if (dwarf_tag(&dim) != DW_TAG_subrange_type)
			continue;
		if (!attr_udata(&dim, DW_AT_count, &n)) {
			/* [0] has no bound, or -1. */
			if (!attr_udata(&dim, DW_AT_upper_bound, &n) || n >= UINT32_MAX)
				n = 0;
			else
				n++;
		}
		if (n > UINT32_MAX || n * *ret > UINT32_MAX)
			return false;
		*ret *= n;
	}
	return end > 0;
}

static bool die_info(const struct dwarf_source *ds, Dwarf_Die die, struct layout_info *ret,
		     unsigned int depth)
{
	struct layout_info elem;
	Dwarf_Die inner;
	uint64_t elems;
	int size;

	if (depth > MAX_PEEL || !die_strip(ds, &die))
		return false;
	*ret = (struct layout_info){ .kind = LAYOUT_SCALAR, .nr_elems = 1 };
	size = dwarf_bytesize(&die);
	switch (dwarf_tag(&die)) {
	case DW_TAG_array_type:
		if (!die_ref(&die, DW_AT_type, &inner) || !die_info(ds, inner, &elem, depth + 1) ||
		    !array_elems(&die, &elems) || elems * elem.size > UINT32_MAX)
			return false;
		ret->kind = LAYOUT_ARRAY;
		ret->nr_elems = (uint32_t)elems;
		ret->size = (uint32_t)elems * elem.size;
		return true;
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		ret->kind = LAYOUT_COMPOSITE;
		break;
	case DW_TAG_pointer_type:
		/* Its size may be left to the unit. */
		if (size < 0) {
			uint8_t address = 0;

			if (!dwarf_diecu(&die, &inner, &address, NULL))
				return false;
			size = address;
		}
		break;
	case DW_TAG_enumeration_type:
		if (size < 0)
			return die_ref(&die, DW_AT_type, &inner) && die_info(ds, inner, ret, depth + 1);
		break;
	case DW_TAG_base_type:
		break;
	default:
		return false;
	}
	ret->size = (uint32_t)size;
	return size >= 0;
}

static bool dwarf_info(const struct layout_source *source, const struct layout_type *type,
		       struct layout_info *ret)
{
	return die_info((const struct dwarf_source *)source, type_die(type), ret, 0);
}

/* A number of bytes: a constant, or an expression that adds one. Not there in unions. False: neither. */
static bool member_location(Dwarf_Die *die, Dwarf_Word *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Op *op;
	size_t nr;

	*ret = 0;
	if (!dwarf_attr(die, DW_AT_data_member_location, &attr) || !dwarf_formudata(&attr, ret))
		return true;
	if (dwarf_getlocation(&attr, &op, &nr) || nr != 1 ||
	    (op->atom != DW_OP_plus_uconst && op->atom != DW_OP_constu))
		return false;
	*ret = op->number;
	return true;
}

static bool member_make(const struct dwarf_source *ds, Dwarf_Die *die, struct layout_member *ret)
{
	Dwarf_Word bytes, bits = 0, off, storage;
	struct layout_info info;
	Dwarf_Die type;

	if (!die_ref(die, DW_AT_type, &type) || !member_location(die, &bytes) || bytes > UINT32_MAX / 8)
		return false;
	off = bytes * 8;
	if (attr_udata(die, DW_AT_bit_size, &bits) && bits) {
		Dwarf_Word from = 0;

		if (attr_udata(die, DW_AT_data_bit_offset, &from)) {
			off += from;
		} else if (attr_udata(die, DW_AT_bit_offset, &from)) {
			/* Until DWARF 4: from the highest bit of the storage unit down, on any machine. */
			if (!attr_udata(die, DW_AT_byte_size, &storage)) {
				if (!die_info(ds, type, &info, 0))
					return false;
				storage = info.size;
			}
			if (storage > 16 || from > storage * 8 || bits > storage * 8 - from)
				return false;
			off += storage * 8 - from - bits;
		}
		if (bits > 64)
			return false;
	}
	if (off > UINT32_MAX - bits)
		return false;
	*ret = (struct layout_member){ .name = dwarf_diename(die),
				       .type = type_make(&type),
				       .bit_off = (uint32_t)off,
				       .bits = (uint32_t)bits };
	return true;
}

static bool dwarf_members(const struct layout_source *source, const struct layout_type *type,
			  bool (*each)(void *ctx, const struct layout_member *member), void *ctx)
{
	const struct dwarf_source *ds = (const struct dwarf_source *)source;
	Dwarf_Die die = type_die(type), child;
	struct layout_member member;
	int end;

	if (!die_strip(ds, &die))
		return false;
	for (end = dwarf_child(&die, &child); !end; end = die_next(&child)) {
		if (dwarf_tag(&child) != DW_TAG_member)
			continue;
		if (!member_make(ds, &child, &member))
			return false;
		if (!each(ctx, &member))
			return true;
	}
	return end > 0;
}

static struct ms_err *damaged(const char *path)
{
	const char *msg = dwarf_errmsg(-1);

	return ms_err_hint(ms_err_new(MS_ERR_TARGET, "DWARF of %s is damaged%s%s", path, msg ? ": " : "",
				      msg ? msg : ""),
			   "get the file anew");
}

/* One unit's definitions; how many were found is added to *found. */
static bool unit_find(const struct layout_source *source, Dwarf_Die *unit, struct layout_wanted *wanted,
		      size_t nr, size_t *found)
{
	Dwarf_Die die;
	int end = dwarf_child(unit, &die);
	size_t i;

	for (; !end; end = die_next(&die)) {
		int tag = dwarf_tag(&die);
		const char *name;

		if (tag == DW_TAG_invalid)
			return false;
		if (tag != DW_TAG_structure_type && tag != DW_TAG_union_type)
			continue;
		name = dwarf_diename(&die);
		for (i = 0; name && i < nr; i++) {
			if (wanted[i].source || wanted[i].name[0] != name[0] || strcmp(wanted[i].name, name))
				continue;
			if (dwarf_hasattr(&die, DW_AT_declaration))
				continue;
			wanted[i].source = source;
			wanted[i].type = type_make(&die);
			++*found;
		}
	}
	return end > 0;
}

/* Units of `dwarf' until all is found. */
static struct ms_err *units_find(const struct dwarf_source *ds, Dwarf *dwarf, struct layout_wanted *wanted,
				 size_t nr, size_t *found)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit, skeleton;
	int end = 0;

	while (*found < nr && !(end = dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &unit, &skeleton)))
		if (!unit_find(&ds->source, &unit, wanted, nr, found))
			return damaged(ds->source.path);
	return end < 0 ? damaged(ds->source.path) : NULL;
}

/* A declaration by its name stands for the definition, which may be another unit's. False: nobody defines it. */
static bool definition_find(const struct dwarf_source *ds, Dwarf_Die *die)
{
	struct layout_wanted wanted = { .name = dwarf_diename(die) };
	size_t found = 0;

	if (!wanted.name)
		return false;
	ms_err_free(units_find(ds, ds->dwarf, &wanted, 1, &found));
	if (found)
		*die = type_die(&wanted.type);
	return found != 0;
}

static struct ms_err *dwarf_find(struct layout_source *source, struct layout_wanted *wanted, size_t nr)
{
	const struct dwarf_source *ds = (const struct dwarf_source *)source;
	size_t found = 0, i;
	struct ms_err *err;

	for (i = 0; i < nr; i++)
		found += wanted[i].source != NULL;
	err = units_find(ds, ds->dwarf, wanted, nr, &found);
	/* What dwz(1) took out of several files is in one beside them. */
	if (!err && found < nr && dwarf_getalt(ds->dwarf))
		err = units_find(ds, dwarf_getalt(ds->dwarf), wanted, nr, &found);
	return err;
}

static void dwarf_close(struct layout_source *source)
{
	struct dwarf_source *ds = (struct dwarf_source *)source;

	if (!ds)
		return;
	if (ds->dwfl)
		dwfl_end(ds->dwfl);
	free(ds->dirs);
	free(ds);
}

static struct ms_err *dwarf_err(const char *path)
{
	const char *msg = dwfl_errmsg(-1);

	return ms_err_hint(ms_err_new(MS_ERR_TARGET, "%s holds no DWARF that can be read%s%s", path,
				      msg ? ": " : "", msg ? msg : ""),
			   "it takes a file with debug information (Debian: linux-image-VERSION-dbg)");
}

static struct ms_err *dwarf_load(struct dwarf_source *ds, const char *path)
{
	Dwfl_Module *module;
	Dwarf_Addr bias;

	ds->dwfl = dwfl_begin(&ds->callbacks);
	if (!ds->dwfl)
		return ms_err_nomem();
	module = dwfl_report_offline(ds->dwfl, path, path, -1);
	if (!module || dwfl_report_end(ds->dwfl, NULL, NULL))
		return dwarf_err(path);
	ds->dwarf = dwfl_module_getdwarf(module, &bias);
	return ds->dwarf ? NULL : dwarf_err(path);
}

struct ms_err *layout_dwarf_open(const char *path, const char *dirs, struct layout_source **ret)
{
	struct dwarf_source *ds;
	struct ms_err *err;
	struct stat st;

	if (stat(path, &st))
		return ms_err_errno(MS_ERR_TARGET, errno, "debug file %s", path);
	/* Opening a fifo would wait for its other end. */
	if (!S_ISREG(st.st_mode))
		return ms_err_new(MS_ERR_TARGET, "debug file %s: not a regular file", path);
	ds = calloc(1, sizeof(*ds));
	if (!ds || (dirs && !(ds->dirs = strdup(dirs)))) {
		free(ds);
		return ms_err_nomem();
	}
	ds->source = (struct layout_source){ .find = dwarf_find,
					     .info = dwarf_info,
					     .members = dwarf_members,
					     .close = dwarf_close,
					     .path = path };
	ds->callbacks = (Dwfl_Callbacks){
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address = dwfl_offline_section_address,
		.debuginfo_path = &ds->dirs,
	};
	err = dwarf_load(ds, path);
	if (err) {
		dwarf_close(&ds->source);
		return err;
	}
	*ret = &ds->source;
	return NULL;
}

#else

struct ms_err *layout_dwarf_open(const char *path, const char *dirs, struct layout_source **ret)
{
	(void)dirs;
	(void)ret;
	return ms_err_hint(ms_err_new(MS_ERR_TARGET, "debug file %s: this build reads no DWARF", path),
			   "configure --with-libdw");
}

#endif

struct ms_err *ms_layout_from_dwarf(const char *const *files, size_t nr, struct ms_layout *ret)
{
	struct layout_source *sources[MS_LAYOUT_FILES];
	struct ms_err *err = NULL;
	size_t opened;

	if (nr > MS_LAYOUT_FILES)
		return ms_err_new(MS_ERR_USAGE, "%zu debug files: at most %d", nr, MS_LAYOUT_FILES);
	for (opened = 0; opened < nr; opened++) {
		err = layout_dwarf_open(files[opened], NULL, &sources[opened]);
		if (err)
			break;
	}
	if (!err)
		err = layout_build(
			sources, nr, nr == 1 ? files[0] : "the debug files",
			"it takes the DWARF of vmlinux and kvm.ko, or of something that includes KVM's own headers",
			ret);
	while (opened--)
		sources[opened]->close(sources[opened]);
	return err;
}
