/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Types out of BTF, a module's split BTF included. Reads files; loads nothing. */
#include "layout/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

struct btf_source {
	struct layout_source source;
	struct btf *btf;
	__u32 first; /* its own types begin here */
};

/* Type ids are the first word of a struct layout_type. */
static struct layout_type type_make(__u32 id)
{
	return (struct layout_type){ { id } };
}

/* Typedefs and qualifiers peeled off. */
static const struct btf_type *type_strip(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	unsigned int steps = 0;

	/* Damaged BTF may go round in circles. */
	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = ++steps < 64 ? btf__type_by_id(btf, t->type) : NULL;
	return t;
}

static struct ms_err *btf_find(struct layout_source *source, struct layout_wanted *wanted, size_t nr)
{
	const struct btf_source *bs = (const struct btf_source *)source;
	__u32 id, end = btf__type_cnt(bs->btf);
	size_t i;

	for (id = bs->first; id < end; id++) {
		const struct btf_type *t = btf__type_by_id(bs->btf, id);
		const char *name;

		if (!t || !btf_is_composite(t) || !t->name_off)
			continue;
		name = btf__str_by_offset(bs->btf, t->name_off);
		for (i = 0; name && i < nr; i++) {
			if (wanted[i].source || wanted[i].name[0] != name[0] || strcmp(wanted[i].name, name))
				continue;
			wanted[i].source = source;
			wanted[i].type = type_make(id);
		}
	}
	return NULL;
}

static bool btf_info(const struct layout_source *source, const struct layout_type *type,
		     struct layout_info *ret)
{
	const struct btf *btf = ((const struct btf_source *)source)->btf;
	const struct btf_type *t = type_strip(btf, (__u32)type->word[0]);
	__s64 size = btf__resolve_size(btf, (__u32)type->word[0]);

	if (!t || size < 0 || size > UINT32_MAX)
		return false;
	*ret = (struct layout_info){ .kind = LAYOUT_SCALAR, .size = (uint32_t)size, .nr_elems = 1 };
	if (btf_is_array(t)) {
		ret->kind = LAYOUT_ARRAY;
		ret->nr_elems = btf_array(t)->nelems;
	} else if (btf_is_composite(t)) {
		ret->kind = LAYOUT_COMPOSITE;
	}
	return true;
}

static bool btf_each_member(const struct layout_source *source, const struct layout_type *type,
			    bool (*each)(void *ctx, const struct layout_member *member), void *ctx)
{
	const struct btf *btf = ((const struct btf_source *)source)->btf;
	const struct btf_type *t = type_strip(btf, (__u32)type->word[0]);
	__u32 i;

	if (!t || !btf_is_composite(t))
		return false;
	for (i = 0; i < btf_vlen(t); i++) {
		const struct btf_member *m = btf_members(t) + i;
		struct layout_member member = {
			.name = btf__str_by_offset(btf, m->name_off),
			.type = type_make(m->type),
			.bit_off = btf_member_bit_offset(t, i),
			.bits = btf_member_bitfield_size(t, i),
		};

		if (!each(ctx, &member))
			break;
	}
	return true;
}

static void btf_close(struct layout_source *source)
{
	struct btf_source *bs = (struct btf_source *)source;

	if (!bs)
		return;
	btf__free(bs->btf);
	free(bs);
}

static struct ms_err *btf_open_err(int err, const char *path)
{
	struct ms_err *e = ms_err_errno(MS_ERR_TARGET, err, "BTF %s", path);

	if (err == ENOENT)
		return ms_err_hint(e, "the kernel needs CONFIG_DEBUG_INFO_BTF and the kvm module loaded");
	return ms_err_hint(e, "see 'mmuscope doctor'");
}

static struct ms_err *btf_open(const char *path, struct btf *base, struct layout_source **ret)
{
	struct btf_source *bs = calloc(1, sizeof(*bs));
	int err;

	if (!bs)
		return ms_err_nomem();
	bs->btf = base ? btf__parse_split(path, base) : btf__parse(path, NULL);
	if (!bs->btf) {
		err = errno;
		free(bs);
		return btf_open_err(err, path);
	}
	bs->first = base ? btf__type_cnt(base) : 1;
	bs->source = (struct layout_source){ .find = btf_find,
					     .info = btf_info,
					     .members = btf_each_member,
					     .close = btf_close,
					     .path = path };
	*ret = &bs->source;
	return NULL;
}

struct ms_err *layout_btf_open(const char *path, struct layout_source **ret)
{
	return btf_open(path, NULL, ret);
}

struct ms_err *layout_btf_open_module(const char *path, const struct layout_source *base,
				      struct layout_source **ret)
{
	return btf_open(path, ((const struct btf_source *)base)->btf, ret);
}

struct ms_err *ms_layout_from_btf(const char *vmlinux, const char *module, const char *vendor,
				  struct ms_layout *ret)
{
	struct layout_source *base = NULL, *kvm = NULL, *more = NULL, *sources[3];
	struct ms_err *err;
	size_t nr = 0;

	err = layout_btf_open(vmlinux, &base);
	if (!err && module)
		err = layout_btf_open_module(module, base, &kvm);
	if (!err && vendor)
		ms_err_free(layout_btf_open_module(vendor, base, &more));
	/* The module's own types first: vmlinux may hold a namesake. */
	if (kvm)
		sources[nr++] = kvm;
	sources[nr++] = base;
	if (more)
		sources[nr++] = more;
	if (!err)
		err = layout_build(sources, nr, "BTF of this kernel",
				   "load kvm first; the kernel needs CONFIG_DEBUG_INFO_BTF_MODULES", ret);
	btf_close(more);
	btf_close(kvm);
	btf_close(base);
	return err;
}
