/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The layout table from whatever knows types: see private.h. */
#include "layout/private.h"

#include <string.h>

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

/* The types that fields.def names are found in one pass: a search per field would walk 130,000 types each time. */
#define MAX_TYPES 32
/* Anonymous members within anonymous members, and members of members. The kernel has four. */
#define MAX_DEPTH 16
/* Members that are looked at for one table: it takes 20,000. A damaged file may make a struct a member of itself. */
#define MAX_MEMBERS 2000000u

struct build {
	struct layout_wanted wanted[MAX_TYPES];
	size_t nr;
	struct ms_layout *layout;
	unsigned int members;
	const struct layout_source *damaged; /* which makes no sense */
};

static struct layout_wanted *wanted_get(struct build *b, const char *name)
{
	size_t i;

	for (i = 0; i < b->nr; i++)
		if (!strcmp(b->wanted[i].name, name))
			return &b->wanted[i];
	return NULL;
}

static bool want(struct build *b, const char *name)
{
	if (wanted_get(b, name))
		return true;
	if (b->nr == MAX_TYPES)
		return false;
	b->wanted[b->nr++].name = name;
	return true;
}

static struct ms_err *want_all(struct build *b)
{
	bool fit = true;
	size_t i;

	for (i = 0; i < MS_F_NR; i++)
		fit &= want(b, field_defs[i].type);
	for (i = 0; i < MS_T_NR; i++)
		fit &= want(b, type_defs[i]);
	fit &= want(b, "kvm_mmu_page_role") && want(b, "kvm_mmu_extended_role");
	return fit ? NULL : ms_err_new(MS_ERR_BUG, "fields.def names more than %d types", MAX_TYPES);
}

struct find {
	struct build *b;
	const struct layout_source *source;
	const char *name; /* len characters */
	size_t len;
	uint32_t base; /* bits before the struct that is looked at */
	unsigned int depth;
	bool found;
	struct layout_member member; /* bit_off from the outermost struct */
};

static bool members_of(struct build *b, const struct layout_source *source, const struct layout_type *type,
		       bool (*each)(void *ctx, const struct layout_member *member), void *ctx)
{
	if (!source->members(source, type, each, ctx))
		b->damaged = source;
	return !b->damaged;
}

/* Counts what is looked at, and that no offset overflows: 512 MiB are in a uint32_t of bits. */
static bool member_ok(struct build *b, const struct layout_source *source, uint32_t base,
		      const struct layout_member *m, unsigned int depth)
{
	if (++b->members > MAX_MEMBERS || depth > MAX_DEPTH || m->bit_off > UINT32_MAX - base)
		b->damaged = source;
	return !b->damaged;
}

/* A member by name, through anonymous structs and unions. */
static bool find_each(void *ctx, const struct layout_member *m)
{
	struct find *f = ctx;
	struct layout_info info;

	if (!member_ok(f->b, f->source, f->base, m, f->depth))
		return false;
	if (m->name && *m->name) {
		if (strncmp(m->name, f->name, f->len) || m->name[f->len])
			return true;
		f->member = *m;
		f->member.bit_off += f->base;
		f->found = true;
		return false;
	}
	if (f->source->info(f->source, &m->type, &info) && info.kind == LAYOUT_COMPOSITE) {
		struct find inner = *f;

		inner.base += m->bit_off;
		inner.depth++;
		members_of(f->b, f->source, &m->type, find_each, &inner);
		if (inner.found) {
			f->found = true;
			f->member = inner.member;
		}
	}
	return !f->found && !f->b->damaged;
}

static void field_fill(const struct find *found, struct ms_field *f)
{
	const struct layout_member *m = &found->member;
	struct layout_info info;

	if (!found->source->info(found->source, &m->type, &info))
		return;
	f->present = true;
	f->off = m->bit_off / 8;
	f->size = f->elem_size = info.size;
	f->nr_elems = 1;
	f->kind = MS_FK_SCALAR;
	if (m->bits) {
		f->bit_off = (uint8_t)(m->bit_off % 8);
		f->bit_size = (uint8_t)m->bits;
	} else if (info.kind == LAYOUT_ARRAY) {
		f->kind = MS_FK_ARRAY;
		f->nr_elems = info.nr_elems;
		f->elem_size = info.nr_elems ? info.size / info.nr_elems : 0;
	} else if (info.kind == LAYOUT_COMPOSITE) {
		f->kind = MS_FK_STRUCT;
	}
}

static void field_resolve(struct build *b, const struct layout_wanted *in, const char *path,
			  struct ms_field *f)
{
	struct find find = { .b = b, .source = in->source };
	struct layout_type type = in->type;
	struct layout_info info;

	for (;;) {
		find.name = path;
		find.len = strcspn(path, ".");
		find.found = false;
		if (!in->source->info(in->source, &type, &info) || info.kind != LAYOUT_COMPOSITE ||
		    !members_of(b, in->source, &type, find_each, &find) || !find.found)
			return;
		if (!path[find.len])
			break;
		find.base = find.member.bit_off;
		type = find.member.type;
		path += find.len + 1;
	}
	field_fill(&find, f);
}

struct collect {
	struct build *b;
	const struct layout_source *source;
	uint32_t base;
	unsigned int depth;
};

/* The named bit fields of a role union, base word first. */
static bool role_each(void *ctx, const struct layout_member *m)
{
	const struct collect *c = ctx;
	struct ms_layout *layout = c->b->layout;
	struct layout_info info = { 0 };
	struct ms_role_bit *role;
	uint32_t off, bits = m->bits;
	bool known;

	if (!member_ok(c->b, c->source, c->base, m, c->depth))
		return false;
	off = c->base + m->bit_off;
	known = c->source->info(c->source, &m->type, &info);
	if (known && info.kind == LAYOUT_COMPOSITE) {
		struct collect inner = { c->b, c->source, off, c->depth + 1 };

		return members_of(c->b, c->source, &m->type, role_each, &inner);
	}
	if (!m->name || !*m->name || !strcmp(m->name, "word"))
		return true;
	/* `smm' is a full byte: a compiler may leave the size of the bit field out, then its type says it. */
	if (!bits && known && info.size <= 4)
		bits = 8 * info.size;
	if (!bits || bits > 32 || off > 64 - bits || layout->nr_role == MS_LAYOUT_ROLE_MAX)
		return true;
	role = &layout->role[layout->nr_role++];
	strncpy(role->name, m->name, sizeof(role->name) - 1);
	role->bit = (uint8_t)off;
	role->width = (uint8_t)bits;
	return true;
}

static void roles(struct build *b, const char *name, uint32_t base)
{
	const struct layout_wanted *in = wanted_get(b, name);
	struct collect c = { .b = b, .base = base };

	if (!in->source)
		return;
	c.source = in->source;
	members_of(b, in->source, &in->type, role_each, &c);
}

static void fill(struct build *b)
{
	const struct layout_wanted *in;
	struct layout_info info;
	size_t i;

	for (i = 0; i < MS_F_NR && !b->damaged; i++) {
		in = wanted_get(b, field_defs[i].type);
		if (in->source)
			field_resolve(b, in, field_defs[i].path, &b->layout->f[i]);
	}
	for (i = 0; i < MS_T_NR; i++) {
		in = wanted_get(b, type_defs[i]);
		if (in->source && in->source->info(in->source, &in->type, &info))
			b->layout->type_size[i] = info.size;
	}
	roles(b, "kvm_mmu_page_role", 0);
	roles(b, "kvm_mmu_extended_role", 32);
}

struct ms_err *layout_build(struct layout_source *const *sources, size_t nr, const char *what,
			    const char *hint, struct ms_layout *ret)
{
	static const char *const needed[] = { "kvm", "kvm_vcpu", "kvm_mmu", "kvm_mmu_page",
					      "kvm_memory_slot" };
	struct ms_layout layout = { 0 };
	struct build b = { .layout = &layout };
	struct ms_err *err = want_all(&b);
	size_t i;

	for (i = 0; i < nr && !err; i++)
		err = sources[i]->find(sources[i], b.wanted, b.nr);
	if (err)
		return err;
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!wanted_get(&b, needed[i])->source)
			return ms_err_hint(ms_err_new(MS_ERR_TARGET, "%s: no struct %s", what, needed[i]),
					   "%s", hint);
	fill(&b);
	if (b.damaged)
		return ms_err_hint(ms_err_new(MS_ERR_TARGET, "%s: its types make no sense", b.damaged->path),
				   "the file is damaged: get it anew");
	*ret = layout;
	return NULL;
}
