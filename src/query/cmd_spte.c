/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spte: one bare value, bit by bit. */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

static const struct ms_column value_cols[] = {
	{ "value", "value", MS_V_HEX, MS_SECRET_SPTE, .digits = 16 },
	{ "format", "format", MS_V_TEXT },
	{ "level", "level", MS_V_COUNT },
	{ "class", "class", MS_V_TEXT },
	{ "state", "write state", MS_V_TEXT },
	{ "state_means", "that is", MS_V_TEXT },
	{ "pfn", "pfn", MS_V_HEX, MS_SECRET_PFN },
	{ "pages", "pages mapped", MS_V_COUNT },
	{ "accessed", "accessed", MS_V_BOOL },
	{ "dirty", "dirty", MS_V_BOOL },
	{ "ad_kind", "A/D kind", MS_V_TEXT },
	{ "memtype", "memory type", MS_V_TEXT },
	{ "ignore_pat", "guest's PAT ignored", MS_V_BOOL },
	{ "mmio_gfn", "MMIO gfn", MS_V_HEX },
	{ "mmio_gen", "MMIO generation", MS_V_COUNT },
	{ "letter", "letter in maps", MS_V_TEXT },
	{ "unknown_bits", "unexplained bits", MS_V_HEX, MS_SECRET_HIDE },
	{ "missing_bits", "bits missing", MS_V_HEX, MS_SECRET_HIDE },
	{ "fits", "formats that explain it", MS_V_WORDS },
};

struct value {
	const struct spte_profile *p;
	struct spte_info info;
	struct spte_field fields[64 + 8];
	size_t nr_fields;
	u8 rules[SPTE_NR_RULES];
	size_t nr_rules;
};

static const char *wstate_meaning(enum spte_wstate w)
{
	switch (w) {
	case SPTE_W_NONE:
		return NULL;
	case SPTE_W_RW:
		return "writable";
	case SPTE_W_DL:
		return "write-protected for dirty logging; may be made writable without a lock";
	case SPTE_W_WP:
		return "write-protected: a shadowed table, or the guest grants no write, or its D bit is "
		       "clear";
	case SPTE_W_RO:
		return "the host has the page read-only";
	case SPTE_W_AT:
		return "access taken away to see the next access";
	case SPTE_W_ILLEGAL:
		return "a combination that KVM never makes";
	}
	return NULL;
}

static void value_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct value *v = section->ctx;
	const struct spte_info *info = &v->info;
	bool leaf = info->cls == SPTE_CLASS_LEAF, mapped = leaf || info->cls == SPTE_CLASS_TABLE;
	bool mmio = info->cls == SPTE_CLASS_MMIO, unknown = info->cls == SPTE_CLASS_UNKNOWN;
	u32 fits = spte_profiles_fitting(info->raw, info->level), i;
	struct ms_cell *words;

	(void)row;
	cell_hex(&cells, info->raw);
	cell_text(&cells, v->p->name);
	cell_count(&cells, info->level);
	cell_text(&cells, spte_class_name(info->cls))->style = unknown ? MS_STYLE_BAD : MS_STYLE_ACCENT;
	cell_text(&cells, leaf ? spte_wstate_name(info->wstate) : NULL);
	cell_text(&cells, leaf ? wstate_meaning(info->wstate) : NULL);
	cell_opt(&cells, mapped, MS_V_HEX, info->pfn);
	cell_opt(&cells, leaf, MS_V_COUNT, leaf ? ms_level_pages(info->level) : 0);
	cell_opt(&cells, mapped, MS_V_BOOL, mapped && spte_is_accessed(v->p, info->raw));
	cell_opt(&cells, leaf, MS_V_BOOL, leaf && spte_is_dirty(v->p, info->raw));
	cell_text(&cells, mapped ? spte_ad_kind_name(info->ad_kind) : NULL);
	cell_text(&cells, leaf ? spte_memtype_name(spte_memtype(v->p, info->raw)) : NULL);
	cell_opt(&cells, leaf, MS_V_BOOL, leaf && spte_ignore_pat(v->p, info->raw));
	cell_opt(&cells, mmio, MS_V_HEX, info->mmio_gfn);
	cell_opt(&cells, mmio, MS_V_COUNT, info->mmio_gen);
	cell_text(&cells, spte_letter(info));
	cell_opt(&cells, unknown, MS_V_HEX, info->unknown_bits);
	cell_opt(&cells, unknown, MS_V_HEX, info->missing_bits);
	words = cell_words(&cells);
	for (i = 0; i < SPTE_NR_PROFILES; i++)
		if (fits & 1u << i)
			word_add(words, spte_profile_at(i)->name);
}

static const struct ms_column field_cols[] = {
	{ "field", "FIELD", MS_V_TEXT },
	{ "bits", "BITS", MS_V_TEXT },
	{ "mask", "MASK", MS_V_HEX, .digits = 16, .prio = 3 },
	{ "value", "VALUE", MS_V_HEX, MS_SECRET_HIDE },
	{ "meaning", "MEANING", MS_V_TEXT },
	{ "source", "SOURCE", MS_V_TEXT, .prio = 2 },
};

/* "51:12", "7", or "63,8:7" for a mask with gaps. */
static void cell_bits(struct ms_cell **at, u64 mask)
{
	struct ms_cell *cell = cell_text(at, "");
	int high, low;

	for (high = 63; high >= 0; high = low - 1) {
		low = high;
		if (!(mask >> high & 1))
			continue;
		while (low > 0 && mask >> (low - 1) & 1)
			low--;
		if (cell->text.len)
			ms_buf_putc(&cell->text, ',');
		if (high == low)
			ms_buf_printf(&cell->text, "%d", high);
		else
			ms_buf_printf(&cell->text, "%d:%d", high, low);
	}
}

static void field_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct value *v = section->ctx;
	const struct spte_field *f = &v->fields[row];
	bool tells = v->info.cls != SPTE_CLASS_MMIO && v->info.cls != SPTE_CLASS_NONPRESENT &&
		     v->info.cls != SPTE_CLASS_FROZEN;
	struct ms_cell *cell;

	cell_text(&cells, f->name)->style = MS_STYLE_ACCENT;
	cell_bits(&cells, f->mask);
	cell_hex(&cells, f->mask);
	cell = cell_hex(&cells, f->value);
	/* Whatever reaches into the address bits of a mapping tells host frames. */
	if (!tells || !(f->mask & SPTE_BITS(51, 12)))
		cell->secret = MS_PUBLIC;
	cell_text(&cells, f->meaning);
	cell_text(&cells, f->source);
}

static const struct ms_column rule_cols[] = {
	{ "rule", "RULE", MS_V_TEXT },
	{ "statement", "BROKEN BECAUSE", MS_V_TEXT },
};

static void rule_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct value *v = section->ctx;

	cell_text(&cells, spte_rule_name(v->rules[row]))->style = MS_STYLE_BAD;
	cell_text(&cells, spte_rule_text(v->rules[row]));
}

struct ms_err *query_run_spte(struct query *q)
{
	const struct ms_args *args = q->args;
	struct ms_section *section;
	unsigned int pos = 0, rule;
	struct value *v;
	u32 broken;
	u64 raw;

	if (!ms_parse_u64(args->args[0], ~0ull, &raw))
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "spte: '%s' is not a 64-bit value", args->args[0]),
			"decimal, or 0x and hexadecimal digits, e.g. 0x8600000012345b77");
	v = calloc(1, sizeof(*v));
	if (!v)
		return ms_err_nomem();
	v->p = args->format ? spte_profile_by_name(args->format) : spte_profile_default();
	spte_decode(v->p, raw, args->filter.level ? args->filter.level : 1, &v->info);
	while (v->nr_fields < MS_LEN(v->fields) &&
	       spte_field_next(v->p, &v->info, &pos, &v->fields[v->nr_fields]))
		v->nr_fields++;
	broken = spte_check(v->p, raw, v->info.level);
	for (rule = 0; rule < SPTE_NR_RULES; rule++)
		if (broken & 1u << rule)
			v->rules[v->nr_rules++] = (u8)rule;
	section = section_add(q, "spte", "SPTE", false, value_cols, MS_LEN(value_cols), 1, value_row);
	if (!section) {
		free(v);
		return ms_err_nomem();
	}
	section->ctx = section->owned = v;
	section = section_add(q, "fields", "Fields", true, field_cols, MS_LEN(field_cols), v->nr_fields,
			      field_row);
	if (section) {
		section->ctx = v;
		section = section_add(q, "broken_rules", "Rules that it breaks", true, rule_cols,
				      MS_LEN(rule_cols), v->nr_rules, rule_row);
	}
	if (!section)
		return ms_err_nomem();
	section->ctx = v;
	if (args->format && args->filter.level)
		return NULL;
	return note_add(q->result, "read as %s at level %u%s", v->p->name, v->info.level,
			args->format	     ? "; --level says otherwise"
			: args->filter.level ? "; --format says otherwise"
					     : "; --format and --level say otherwise");
}
