/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sp: one shadow page. Also the columns that an entry has wherever entries are listed. */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

/* --- entries --- */

static const char *gfn_source_name(enum ms_gfn_source source)
{
	switch (source) {
	case MS_GFN_DIRECT:
		return "page";
	case MS_GFN_STORED:
		return "stored";
	case MS_GFN_IN_SPTE:
		return "entry";
	case MS_GFN_NONE:
		break;
	}
	return NULL;
}

static void cell_access(struct ms_cell **at, const struct spte_profile *p, const struct spte_info *info)
{
	bool ept = p->format == SPTE_FMT_EPT;
	char text[4];

	text[0] = info->read_user ? ept ? 'r' : 'u' : '-';
	text[1] = info->writable ? 'w' : '-';
	text[2] = info->executable ? 'x' : '-';
	text[3] = '\0';
	cell_text(at, text);
}

static enum ms_style entry_style(const struct spte_info *info)
{
	switch (info->cls) {
	case SPTE_CLASS_UNKNOWN:
		return MS_STYLE_BAD;
	case SPTE_CLASS_NONPRESENT:
		return MS_STYLE_DIM;
	case SPTE_CLASS_MMIO:
	case SPTE_CLASS_FROZEN:
		return MS_STYLE_WARN;
	case SPTE_CLASS_TABLE:
		return MS_STYLE_PLAIN;
	case SPTE_CLASS_LEAF:
		break;
	}
	return info->wstate == SPTE_W_ILLEGAL ? MS_STYLE_BAD
	       : info->wstate == SPTE_W_RW    ? MS_STYLE_GOOD
					      : MS_STYLE_WARN;
}

static void cell_guest_access(struct ms_cell **at, const struct ms_model *model, const struct ms_sp *sp,
			      u32 idx)
{
	char text[4];
	u32 access;

	if (!guest_access(model, sp, idx, &access)) {
		cell_none(at);
		return;
	}
	text[0] = access & ROLE_ACC_USER ? model->profile.format == SPTE_FMT_EPT ? 'r' : 'u' : '-';
	text[1] = access & ROLE_ACC_WRITE ? 'w' : '-';
	text[2] = access & ROLE_ACC_EXEC ? 'x' : '-';
	text[3] = '\0';
	cell_text(at, text);
}

/* P or Z, as the pin table has the page that a leaf maps. */
static void cell_pin(struct ms_cell **at, const struct ms_model *model, const struct ms_vm *vm,
		     const struct ms_sp *sp, u32 idx)
{
	const struct ms_rec_pin *pin = ms_sp_entry_pin(model, vm, sp, idx);

	cell_text(at, pin ? pin->mapped ? "P" : "Z" : NULL);
}

void entry_cells(const struct ms_model *model, const struct why *why, const struct ms_sp *sp, u32 idx,
		 struct ms_cell **at)
{
	const struct spte_profile *p = &model->profile;
	u64 raw = sp->tables->sptes[idx], gfn = 0;
	enum ms_gfn_source source;
	struct ms_cell *words;
	struct spte_info info;
	bool leaf, mapped;
	u32 broken, rule;

	spte_decode(p, raw, sp->level, &info);
	leaf = info.cls == SPTE_CLASS_LEAF;
	mapped = leaf || info.cls == SPTE_CLASS_TABLE;
	source = leaf || info.cls == SPTE_CLASS_MMIO ? ms_sp_entry_gfn(model, sp, idx, &gfn) : MS_GFN_NONE;
	cell_text(at, spte_class_name(info.cls))->style = entry_style(&info);
	cell_text(at, leaf ? spte_wstate_name(info.wstate) : NULL)->style = entry_style(&info);
	cell_opt(at, source != MS_GFN_NONE, MS_V_HEX, gfn);
	cell_text(at, gfn_source_name(source));
	cell_opt(at, mapped, MS_V_HEX, info.pfn);
	if (mapped)
		cell_access(at, p, &info);
	else
		cell_none(at);
	cell_pin(at, model, why->vm, sp, idx);
	cell_guest_access(at, model, sp, idx);
	why_cell(why, model, sp, idx, at);
	cell_opt(at, leaf, MS_V_BOOL, info.host_writable);
	cell_opt(at, leaf, MS_V_BOOL, info.mmu_writable);
	cell_opt(at, mapped, MS_V_BOOL, mapped && spte_is_accessed(p, raw));
	cell_opt(at, leaf, MS_V_BOOL, leaf && spte_is_dirty(p, raw));
	cell_text(at, mapped ? spte_ad_kind_name(info.ad_kind) : NULL);
	cell_text(at, leaf ? spte_memtype_name(spte_memtype(p, raw)) : NULL);
	cell_opt(at, info.cls == SPTE_CLASS_MMIO, MS_V_COUNT, info.mmio_gen);
	broken = sp->level >= SPTE_LEVEL_MIN && sp->level <= SPTE_LEVEL_MAX ? spte_check(p, raw, sp->level)
									    : 0;
	words = cell_words(at);
	words->style = broken ? MS_STYLE_BAD : MS_STYLE_PLAIN;
	for (rule = 0; broken && rule < SPTE_NR_RULES; rule++)
		if (broken & 1u << rule)
			word_add(words, spte_rule_name(rule));
	cell_hex(at, raw);
}

/* --- the page --- */

static const struct ms_column page_cols[] = {
	{ "sp", "address", MS_V_HEX, MS_SECRET_SP },
	{ "mmu", "MMU", MS_V_TEXT },
	{ "page_state", "page state", MS_V_TEXT },
	{ "level", "level", MS_V_COUNT },
	{ "gfn", "gfn", MS_V_HEX },
	{ "gfn_end", "end gfn", MS_V_HEX },
	{ "gfn_means", "gfn is", MS_V_TEXT },
	{ "role", "role", MS_V_HEX },
	{ "role_text", "role says", MS_V_TEXT },
	{ "role_unknown", "role bits unknown", MS_V_HEX },
	{ "table_pfn", "table pfn", MS_V_HEX, MS_SECRET_PFN },
	{ "unsync", "unsync", MS_V_BOOL },
	{ "unsync_children", "unsync children", MS_V_COUNT },
	{ "root_count", "root count", MS_V_COUNT },
	{ "generation", "generation", MS_V_COUNT },
	{ "vm_generation", "VM's generation", MS_V_COUNT },
	{ "nx_disallowed", "NX split", MS_V_BOOL },
	{ "nx_possible", "NX recovery may zap", MS_V_BOOL },
	{ "write_flooding", "writes since last use", MS_V_COUNT },
	{ "parents", "parents word", MS_V_HEX, MS_SECRET_PTR },
	{ "translations", "translations", MS_V_HEX, MS_SECRET_PTR },
	{ "order", "order in walk", MS_V_COUNT },
};

static const char *gfn_meaning(const struct ms_model *model, const struct ms_sp *sp)
{
	if (role_get(&model->roles, sp->rec.role, ROLE_PASSTHROUGH))
		return "the guest's root table, one level down";
	return role_get(&model->roles, sp->rec.role, ROLE_DIRECT) ? "the first frame mapped"
								  : "the guest table shadowed";
}

static void page_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_model *model = section->model;
	const struct ms_sp *sp = section->ctx;
	const struct ms_rec_vm *vm = &section->vm->rec;
	const struct ms_rec_sp *rec = &sp->rec;
	u64 start, end;

	(void)row;
	page_gfns(model, sp, &start, &end);
	cell_hex(&cells, rec->sp);
	cell_text(&cells, rec->tdp_mmu_page ? "tdp" : "legacy");
	cell_sp_state(&cells, rec->state);
	cell_count(&cells, sp->level);
	cell_hex(&cells, start);
	cell_hex(&cells, end);
	cell_text(&cells, gfn_meaning(model, sp));
	cell_hex(&cells, rec->role);
	cell_role(&cells, model, rec->role);
	cell_hex(&cells, role_unknown_bits(&model->roles, rec->role));
	cell_hex(&cells, rec->spt_pfn);
	cell_opt(&cells, rec->have & MS_SP_HAVE_UNSYNC, MS_V_BOOL, rec->unsync);
	cell_opt(&cells, rec->have & MS_SP_HAVE_UNSYNC_CHILDREN, MS_V_COUNT, rec->unsync_children);
	cell_opt(&cells, rec->have & MS_SP_HAVE_ROOT_COUNT, MS_V_COUNT, rec->root_count);
	cell_opt(&cells, rec->have & MS_SP_HAVE_GEN && !rec->tdp_mmu_page, MS_V_COUNT, rec->mmu_valid_gen);
	cell_opt(&cells, vm->have & MS_VM_HAVE_VALID_GEN, MS_V_COUNT, vm->mmu_valid_gen);
	cell_opt(&cells, rec->have & MS_SP_HAVE_NX_DISALLOWED, MS_V_BOOL, rec->nx_disallowed);
	cell_opt(&cells, rec->have & MS_SP_HAVE_NX_POSSIBLE, MS_V_BOOL, rec->nx_possible);
	cell_opt(&cells, rec->have & MS_SP_HAVE_WRITE_FLOODING, MS_V_COUNT, rec->write_flooding);
	cell_opt(&cells, rec->have & MS_SP_HAVE_PARENTS, MS_V_HEX, rec->parents);
	cell_opt(&cells, rec->translation, MS_V_HEX, rec->translation);
	cell_count(&cells, rec->order);
}

/* Roles by field: also what `role' shows. */
static const struct ms_column role_cols[] = {
	{ "field", "FIELD", MS_V_TEXT },
	{ "bits", "BITS", MS_V_TEXT },
	{ "value", "VALUE", MS_V_COUNT },
	{ "meaning", "MEANING", MS_V_TEXT, .prio = 1 },
};

struct role_ctx {
	const struct role_layout *layout;
	u32 word;
	u8 ids[ROLE_NR_FIELDS];
	size_t nr;
};

static void role_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct role_ctx *ctx = section->ctx;
	enum role_field_id id = ctx->ids[row];
	const struct role_field *f = &ctx->layout->f[id];
	char bits[16];

	if (f->width > 1)
		snprintf(bits, sizeof(bits), "%u:%u", f->offset + f->width - 1u, f->offset);
	else
		snprintf(bits, sizeof(bits), "%u", f->offset);
	cell_text(&cells, role_field_name(id))->style = MS_STYLE_ACCENT;
	cell_text(&cells, bits);
	cell_count(&cells, role_get(ctx->layout, ctx->word, id));
	cell_text(&cells, role_field_meaning(id));
}

static struct ms_err *role_add(struct query *q, const struct ms_sp *sp)
{
	struct role_ctx *ctx = calloc(1, sizeof(*ctx));
	struct ms_section *section;
	unsigned int id;

	if (!ctx)
		return ms_err_nomem();
	ctx->layout = &q->model->roles;
	ctx->word = sp->rec.role;
	for (id = 0; id < ROLE_NR_FIELDS; id++)
		if (role_has(ctx->layout, id))
			ctx->ids[ctx->nr++] = (u8)id;
	section =
		section_add(q, "role_fields", "Role", true, role_cols, MS_LEN(role_cols), ctx->nr, role_row);
	if (!section) {
		free(ctx);
		return ms_err_nomem();
	}
	section->ctx = section->owned = ctx;
	return NULL;
}

static const struct ms_column entry_cols[] = {
	{ "index", "INDEX", MS_V_COUNT },
	ENTRY_COLUMNS,
	{ "child_sp", "CHILD SP", MS_V_HEX, MS_SECRET_SP, .prio = 2 },
	{ "translation", "TRANSLATION", MS_V_HEX, .prio = 3 },
};

struct entries {
	const struct ms_sp *sp;
	struct why why;
	u16 idx[MS_SPTES];
	size_t nr;
};

static void entry_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct entries *entries = section->ctx;
	const struct ms_sp *sp = entries->sp;
	u32 idx = entries->idx[row];
	const struct ms_sp *child = ms_sp_child(section->model, section->vm, sp, idx);

	cell_count(&cells, idx);
	entry_cells(section->model, &entries->why, sp, idx, &cells);
	cell_opt(&cells, child, MS_V_HEX, child ? child->rec.sp : 0);
	if (sp->rec.have & MS_SP_HAVE_TRANSLATIONS)
		cell_hex(&cells, sp->tables->translations[idx]);
	else
		cell_none(&cells);
}

static void entries_free(void *owned)
{
	struct entries *entries = owned;

	why_deinit(&entries->why);
	free(entries);
}

static struct ms_err *entries_add(struct query *q, const struct ms_sp *sp)
{
	struct entries *entries = calloc(1, sizeof(*entries));
	struct ms_section *section;
	struct ms_err *err = NULL;
	struct sieve sieve;
	u32 i;

	if (!entries)
		return ms_err_nomem();
	entries->sp = sp;
	err = sieve_init(&sieve, q);
	for (i = 0; i < MS_SPTES && !err && sp->tables; i++)
		if (sieve_state(&sieve, sp->rec.state) && sieve_entry(&sieve, q->model, sp, i))
			entries->idx[entries->nr++] = (u16)i;
	if (!err) {
		sieve_deinit(&sieve);
		err = why_init(&entries->why, q);
	}
	section = err ? NULL
		      : section_add(q, "entries", "Entries", true, entry_cols, MS_LEN(entry_cols),
				    entries->nr, entry_row);
	if (!section) {
		entries_free(entries);
		return err ? err : ms_err_nomem();
	}
	section->ctx = section->owned = entries;
	section->owned_free = entries_free;
	return sp->tables ? NULL : note_add(q->result, "the page's entries could not be read");
}

struct ms_err *query_run_sp(struct query *q)
{
	const char *word = q->args->args[0];
	struct ms_section *section;
	const struct ms_sp *sp;
	struct ms_err *err;
	u64 address;

	if (!ms_parse_u64(word, ~0ull, &address) || !address)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "sp: '%s' is not an address", word),
				   "`mmuscope sps' shows the addresses, e.g. 0xffff888100000000");
	sp = ms_vm_sp(q->vm, address);
	if (!sp)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "sp: this VM has no shadow page at 0x%llx",
					      (unsigned long long)address),
				   "`mmuscope sps' shows the addresses; on a live VM they come and go");
	section = section_add(q, "page", "Shadow page", false, page_cols, MS_LEN(page_cols), 1, page_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = sp;
	if (sp->rec.state != MS_SP_CONFIRMED) {
		err = note_add(q->result, "this page is %s: do not take its entries for one moment's",
			       ms_sp_state_name(sp->rec.state));
		if (err)
			return err;
	}
	err = role_add(q, sp);
	return err ? err : entries_add(q, sp);
}

/* --- role WORD --- */

static const struct ms_column word_cols[] = {
	{ "word", "word", MS_V_HEX },
	{ "layout", "layout", MS_V_TEXT },
	{ "text", "says", MS_V_TEXT },
	{ "unknown", "unknown bits", MS_V_HEX },
};

struct role_word_ctx {
	u64 word;
	bool cpu;
	struct role_ctx parts[2]; /* base word, extended word */
};

static void word_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct role_word_ctx *ctx = section->ctx;
	u64 unknown = role_unknown_bits(ctx->parts[0].layout, (u32)ctx->word);
	char text[256], ext[256] = "";
	struct ms_cell *cell;

	(void)row;
	role_format(ctx->parts[0].layout, (u32)ctx->word, false, text, sizeof(text));
	if (ctx->cpu) {
		unknown |= (u64)role_unknown_bits(ctx->parts[1].layout, (u32)(ctx->word >> 32)) << 32;
		role_format(ctx->parts[1].layout, (u32)(ctx->word >> 32), false, ext, sizeof(ext));
	}
	cell_hex(&cells, ctx->word);
	cell_text(&cells, ctx->cpu ? "cpu" : "page");
	cell = cell_text(&cells, text);
	if (*ext)
		ms_buf_printf(&cell->text, " | %s", ext);
	cell_hex(&cells, unknown)->style = unknown ? MS_STYLE_BAD : MS_STYLE_PLAIN;
}

static void word_field_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct role_word_ctx *ctx = section->ctx;
	bool ext = row >= ctx->parts[0].nr;
	const struct role_ctx *part = &ctx->parts[ext];
	enum role_field_id id = part->ids[ext ? row - ctx->parts[0].nr : row];
	const struct role_field *f = &part->layout->f[id];
	unsigned int first = f->offset + (ext ? 32u : 0u);
	char bits[16];

	if (f->width > 1)
		snprintf(bits, sizeof(bits), "%u:%u", first + f->width - 1u, first);
	else
		snprintf(bits, sizeof(bits), "%u", first);
	cell_text(&cells, role_field_name(id))->style = MS_STYLE_ACCENT;
	cell_text(&cells, bits);
	cell_count(&cells, role_get(part->layout, part->word, id));
	cell_text(&cells, role_field_meaning(id));
}

static void role_part(struct role_ctx *part, enum role_word which, u32 word)
{
	unsigned int id;

	part->layout = role_layout_builtin(which);
	part->word = word;
	for (id = 0; id < ROLE_NR_FIELDS; id++)
		if (role_has(part->layout, id))
			part->ids[part->nr++] = (u8)id;
}

struct ms_err *query_run_role(struct query *q)
{
	bool cpu = q->args->layout && !strcmp(q->args->layout, "cpu");
	struct ms_section *section, *fields;
	struct role_word_ctx *ctx;
	u64 word;

	if (!ms_parse_u64(q->args->args[0], cpu ? ~0ull : 0xffffffffu, &word))
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "role: '%s' is not a role word", q->args->args[0]),
			cpu ? "a number of at most 64 bits, e.g. 0x8100003784"
			    : "a number of at most 32 bits, e.g. 0x3784; --layout cpu takes 64");
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return ms_err_nomem();
	ctx->word = word;
	ctx->cpu = cpu;
	role_part(&ctx->parts[0], ROLE_BASE, (u32)word);
	if (cpu)
		role_part(&ctx->parts[1], ROLE_EXT, (u32)(word >> 32));
	section = section_add(q, "role", "Role", false, word_cols, MS_LEN(word_cols), 1, word_row);
	if (!section) {
		free(ctx);
		return ms_err_nomem();
	}
	section->ctx = section->owned = ctx;
	fields = section_add(q, "fields", "Fields", true, role_cols, MS_LEN(role_cols),
			     ctx->parts[0].nr + ctx->parts[1].nr, word_field_row);
	if (!fields)
		return ms_err_nomem();
	fields->ctx = ctx;
	return NULL;
}
