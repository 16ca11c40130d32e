/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The layout table from BTF, the module's split BTF included. Reads files; loads nothing. */
#include "layout/layout.h"

#include <errno.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

static const struct {
	const char *type, *path;
} field_defs[MS_F_NR] = {
#define MS_FIELD(id, t, p) [MS_F_##id] = { t, p },
#include "layout/fields.def"
};

static const char *const type_defs[MS_T_NR] = {
#define MS_TYPE(id, t) [MS_T_##id] = t,
#include "layout/fields.def"
};

/* The types that fields.def names, found in one pass: a search per field would walk 130,000 types each time.
 */
#define MAX_TYPES 32

struct type_index {
	const struct btf *btf;
	const char *name[MAX_TYPES];
	__u32 id[MAX_TYPES]; /* 0: not found */
	size_t nr;
};

static size_t index_slot(struct type_index *index, const char *name)
{
	size_t i;

	for (i = 0; i < index->nr; i++)
		if (!strcmp(index->name[i], name))
			return i;
	if (index->nr == MAX_TYPES)
		return MAX_TYPES;
	index->name[index->nr] = name;
	return index->nr++;
}

static struct ms_err *index_build(struct type_index *index, const struct btf *btf, __u32 split_start)
{
	__u32 id, nr = btf__type_cnt(btf), pass;
	size_t i;

	index->btf = btf;
	for (i = 0; i < MS_F_NR; i++)
		if (index_slot(index, field_defs[i].type) == MAX_TYPES)
			return ms_err_new(MS_ERR_BUG, "fields.def names more than %d types", MAX_TYPES);
	for (i = 0; i < MS_T_NR; i++)
		if (index_slot(index, type_defs[i]) == MAX_TYPES)
			return ms_err_new(MS_ERR_BUG, "fields.def names more than %d types", MAX_TYPES);
	if (index_slot(index, "kvm_mmu_page_role") == MAX_TYPES ||
	    index_slot(index, "kvm_mmu_extended_role") == MAX_TYPES)
		return ms_err_new(MS_ERR_BUG, "fields.def names more than %d types", MAX_TYPES);

	/* The module's own types first: vmlinux may hold a namesake. */
	for (pass = 0; pass < 2; pass++) {
		__u32 first = pass ? 1 : split_start, end = pass ? split_start : nr;

		for (id = first; id < end; id++) {
			const struct btf_type *t = btf__type_by_id(btf, id);
			const char *name;

			if (!t || !btf_is_composite(t) || !t->name_off)
				continue;
			name = btf__str_by_offset(btf, t->name_off);
			for (i = 0; name && i < index->nr; i++)
				if (!index->id[i] && index->name[i][0] == name[0] &&
				    !strcmp(index->name[i], name))
					index->id[i] = id;
		}
	}
	return NULL;
}

static const struct btf_type *index_get(const struct type_index *index, const char *name)
{
	size_t i;

	for (i = 0; i < index->nr; i++)
		if (!strcmp(index->name[i], name))
			return index->id[i] ? btf__type_by_id(index->btf, index->id[i]) : NULL;
	return NULL;
}

/* Typedefs and qualifiers peeled off. */
static const struct btf_type *type_strip(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	return t;
}

struct found {
	const struct btf_member *member;
	const struct btf_type *parent;
	__u32 idx;
	__u32 bit_off; /* from the outermost type */
};

/* A member by name (len characters), through anonymous structs and unions. */
static bool member_find(const struct btf *btf, const struct btf_type *t, const char *name, size_t len,
			__u32 base_bits, struct found *ret)
{
	const struct btf_member *m = btf_members(t);
	__u32 i;

	for (i = 0; i < btf_vlen(t); i++) {
		const char *mname = btf__str_by_offset(btf, m[i].name_off);
		__u32 off = base_bits + btf_member_bit_offset(t, i);

		if (mname && *mname) {
			if (strlen(mname) == len && !memcmp(mname, name, len)) {
				*ret = (struct found){ &m[i], t, i, off };
				return true;
			}
		} else {
			const struct btf_type *inner = type_strip(btf, m[i].type);

			if (inner && btf_is_composite(inner) && member_find(btf, inner, name, len, off, ret))
				return true;
		}
	}
	return false;
}

static void field_fill(const struct btf *btf, const struct found *found, struct ms_field *f)
{
	const struct btf_type *t = type_strip(btf, found->member->type);
	__u32 bits = btf_member_bitfield_size(found->parent, found->idx);
	__s64 size = btf__resolve_size(btf, found->member->type);

	if (!t || size < 0)
		return;
	f->present = true;
	f->off = found->bit_off / 8;
	f->size = f->elem_size = (__u32)size;
	f->nr_elems = 1;
	f->kind = MS_FK_SCALAR;
	if (bits) {
		f->bit_off = (__u8)(found->bit_off % 8);
		f->bit_size = (__u8)bits;
	} else if (btf_is_array(t)) {
		f->kind = MS_FK_ARRAY;
		f->nr_elems = btf_array(t)->nelems;
		f->elem_size = f->nr_elems ? f->size / f->nr_elems : 0;
	} else if (btf_is_composite(t)) {
		f->kind = MS_FK_STRUCT;
	}
}

static void field_resolve(const struct btf *btf, const struct btf_type *t, const char *path,
			  struct ms_field *f)
{
	struct found found = { 0 };
	__u32 base = 0;

	for (;;) {
		size_t len = strcspn(path, ".");

		if (!t || !btf_is_composite(t) || !member_find(btf, t, path, len, base, &found))
			return;
		if (!path[len])
			break;
		base = found.bit_off;
		t = type_strip(btf, found.member->type);
		path += len + 1;
	}
	field_fill(btf, &found, f);
}

/* The named bit fields of a role union, base word first. */
static void role_collect(const struct btf *btf, const struct btf_type *t, __u32 base,
			 struct ms_layout *layout)
{
	const struct btf_member *m = btf_members(t);
	__u32 i;

	for (i = 0; i < btf_vlen(t); i++) {
		const char *name = btf__str_by_offset(btf, m[i].name_off);
		const struct btf_type *inner = type_strip(btf, m[i].type);
		__u32 off = base + btf_member_bit_offset(t, i);
		__u32 bits = btf_member_bitfield_size(t, i);
		struct ms_role_bit *role;

		if (inner && btf_is_composite(inner)) {
			role_collect(btf, inner, off, layout);
			continue;
		}
		/* `smm' is a full byte: DWARF producers may leave the bitfield size out of it, then its type
		 * says it. */
		if (!bits && name && strcmp(name, "word"))
			bits = 8 * (__u32)(inner ? inner->size : 0);
		if (!name || !*name || !strcmp(name, "word") || !bits || bits > 32 || off + bits > 64 ||
		    layout->nr_role == MS_LAYOUT_ROLE_MAX)
			continue;
		role = &layout->role[layout->nr_role++];
		strncpy(role->name, name, sizeof(role->name) - 1);
		role->bit = (__u8)off;
		role->width = (__u8)bits;
	}
}

static struct ms_err *layout_fill(struct type_index *index, struct ms_layout *ret)
{
	static const char *const needed[] = { "kvm", "kvm_vcpu", "kvm_mmu", "kvm_mmu_page",
					      "kvm_memory_slot" };
	const struct btf *btf = index->btf;
	const struct btf_type *t;
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!index_get(index, needed[i]))
			return ms_err_hint(
				ms_err_new(MS_ERR_TARGET, "BTF of this kernel has no struct %s", needed[i]),
				"load kvm first; the kernel needs CONFIG_DEBUG_INFO_BTF_MODULES");
	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < MS_F_NR; i++) {
		t = index_get(index, field_defs[i].type);
		if (t)
			field_resolve(btf, t, field_defs[i].path, &ret->f[i]);
	}
	for (i = 0; i < MS_T_NR; i++) {
		t = index_get(index, type_defs[i]);
		ret->type_size[i] = t ? t->size : 0;
	}
	t = index_get(index, "kvm_mmu_page_role");
	if (t)
		role_collect(btf, t, 0, ret);
	t = index_get(index, "kvm_mmu_extended_role");
	if (t)
		role_collect(btf, t, 32, ret);
	return NULL;
}

/* Fields whose types the index has not, from the vendor's module. */
static void vendor_fill(const struct type_index *index, const char *path, struct btf *base,
			struct ms_layout *ret)
{
	struct btf *split = btf__parse_split(path, base);
	__u32 id, nr = split ? btf__type_cnt(split) : 0;
	size_t i;

	for (id = btf__type_cnt(base); id < nr; id++) {
		const struct btf_type *t = btf__type_by_id(split, id);
		const char *name;

		if (!t || !btf_is_composite(t) || !t->name_off)
			continue;
		name = btf__str_by_offset(split, t->name_off);
		if (!name || index_get(index, name))
			continue;
		for (i = 0; i < MS_F_NR; i++)
			if (!ret->f[i].present && !strcmp(field_defs[i].type, name))
				field_resolve(split, t, field_defs[i].path, &ret->f[i]);
	}
	btf__free(split);
}

static struct ms_err *btf_open_err(const char *path)
{
	int saved = errno;
	struct ms_err *err = ms_err_errno(MS_ERR_TARGET, saved, "BTF %s", path);

	if (saved == ENOENT)
		return ms_err_hint(err, "the kernel needs CONFIG_DEBUG_INFO_BTF and the kvm module loaded");
	return ms_err_hint(err, "see 'mmuscope doctor'");
}

struct ms_err *ms_layout_from_btf(const char *vmlinux, const char *module, const char *vendor,
				  struct ms_layout *ret)
{
	struct type_index index = { 0 };
	struct btf *base, *split = NULL;
	struct ms_err *err;

	base = btf__parse(vmlinux, NULL);
	if (!base)
		return btf_open_err(vmlinux);
	if (module) {
		split = btf__parse_split(module, base);
		if (!split) {
			err = btf_open_err(module);
			btf__free(base);
			return err;
		}
	}
	err = index_build(&index, split ? split : base, split ? btf__type_cnt(base) : 1);
	if (!err)
		err = layout_fill(&index, ret);
	if (!err && vendor)
		vendor_fill(&index, vendor, base, ret);
	btf__free(split);
	btf__free(base);
	return err;
}
