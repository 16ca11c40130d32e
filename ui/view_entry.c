// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One entry of a shadow page, taken apart: its state in words, where it leads, rules it breaks, every field
 * of src/spte's table. With room each field has a line and its meaning; without, one-bit fields are run
 * together as +set and -clear.
 */
#include "ui/view_sp.h"

#include <stdio.h>
#include <string.h>

#define LINES_MAX 64u
#define LINE_LEN 160u

struct line {
	enum ms_look look;
	u32 label; /* leading bytes that are the field's name */
	char text[LINE_LEN];
};

struct lines {
	struct line at[LINES_MAX];
	u32 nr;
	u32 width;
};

static struct line *line_new(struct lines *l, enum ms_look look)
{
	struct line *line = &l->at[l->nr < LINES_MAX ? l->nr++ : LINES_MAX - 1];

	memset(line, 0, sizeof(*line));
	line->look = look;
	return line;
}

#define line_printf(l, look, ...) snprintf(line_new(l, look)->text, LINE_LEN, __VA_ARGS__)

/* Words run together up to the width. */
static void line_flow(struct lines *l, struct line **at, const char *word)
{
	size_t len = *at ? strlen((*at)->text) : 0;

	if (!*at || len + 1 + strlen(word) > l->width) {
		*at = line_new(l, MS_LOOK_NORMAL);
		len = 0;
	}
	snprintf((*at)->text + len, LINE_LEN - len, "%s%s", len ? " " : "", word);
}

static const char *page_size(u32 level)
{
	return level == 1 ? "4K" : level == 2 ? "2M" : level == 3 ? "1G" : "";
}

static void lines_pin(struct ms_ui *ui, struct lines *l, const struct ms_sp *sp, u32 idx)
{
	const struct ms_rec_pin *pin = ms_sp_entry_pin(ui->detail, ms_ui_vm(ui), sp, idx);

	if (!pin)
		return;
	line_printf(l, MS_LOOK_NORMAL, "pinned %s %s, slot %u", page_size(pin->level),
		    pin->mapped ? "P" : "Z", pin->slot);
	/* The page is larger, or the entry is another's. */
	if (pin->pfn != spte_pfn(&ui->detail->profile, sp->tables->sptes[idx]))
		line_printf(l, MS_LOOK_NORMAL, "pin gfn 0x%llx pfn 0x%llx", (unsigned long long)pin->gfn,
			    (unsigned long long)pin->pfn);
}

static void lines_summary(struct ms_ui *ui, struct lines *l, const struct ms_sp *sp, u32 idx,
			  const struct spte_info *info)
{
	const struct ms_sp *child;
	u64 gfn;
	u32 access;

	switch (info->cls) {
	case SPTE_CLASS_LEAF:
		line_printf(l, ms_look_of_entry(info), "%s leaf %s %s", ms_entry_state(info),
			    page_size(info->level),
			    ui->detail->profile.format == SPTE_FMT_EPT ? spte_memtype_name(info->memtype)
								       : "");
		line_printf(l, MS_LOOK_NORMAL, "pfn 0x%llx", (unsigned long long)info->pfn);
		break;
	case SPTE_CLASS_TABLE:
		child = ms_sp_child(ui->detail, ms_ui_vm(ui), sp, idx);
		line_printf(l, MS_LOOK_TABLE, "table");
		if (child)
			line_printf(l, MS_LOOK_NORMAL, "sp 0x%llx", (unsigned long long)child->rec.sp);
		else
			line_printf(l, MS_LOOK_WARNING, "child page was not read");
		break;
	case SPTE_CLASS_MMIO:
		line_printf(l, MS_LOOK_MMIO, "mmio, generation %u", info->mmio_gen);
		line_printf(l, MS_LOOK_NORMAL, "gfn 0x%llx", (unsigned long long)info->mmio_gfn);
		break;
	case SPTE_CLASS_UNKNOWN:
		line_printf(l, MS_LOOK_ERROR, "not explained by %s",
			    ui->detail->profile.name ? ui->detail->profile.name : "its profile");
		break;
	default:
		line_printf(l, ms_look_of_entry(info), "%s", ms_entry_state(info));
	}
	if (info->cls == SPTE_CLASS_LEAF && ms_sp_entry_gfn(ui->detail, sp, idx, &gfn) == MS_GFN_STORED &&
	    sp->rec.have & MS_SP_HAVE_TRANSLATIONS) {
		access = (u32)sp->tables->translations[idx];
		line_printf(l, MS_LOOK_NORMAL, "gfn 0x%llx, guest access %c%c%c", (unsigned long long)gfn,
			    !(access & ROLE_ACC_USER)			 ? '-'
			    : ui->detail->profile.format == SPTE_FMT_EPT ? 'r'
									 : 'u',
			    access & ROLE_ACC_WRITE ? 'w' : '-', access & ROLE_ACC_EXEC ? 'x' : '-');
	}
}

static void lines_rules(struct ms_ui *ui, struct lines *l, const struct ms_sp *sp,
			const struct spte_info *info)
{
	u32 broken = spte_check(&ui->detail->profile, info->raw, sp->level);
	unsigned int rule;

	for (rule = 0; rule < SPTE_NR_RULES; rule++)
		if (broken & 1u << rule)
			line_printf(l, MS_LOOK_ERROR, "! %s: %s", spte_rule_name(rule), spte_rule_text(rule));
}

/* Name, value and meaning; what of the meaning does not fit goes on below itself. */
static void field_wide(struct lines *l, const struct spte_field *field)
{
	struct line *line = line_new(l, MS_LOOK_NORMAL);
	const char *at = field->meaning;
	u32 indent, room, take;

	line->label = (u32)strlen(field->name);
	indent = (u32)snprintf(line->text, LINE_LEN, "%-11s 0x%-9llx ", field->name,
			       (unsigned long long)field->value);
	room = l->width > indent + 16 ? l->width - indent : LINE_LEN;
	for (;;) {
		take = (u32)strlen(at);
		if (take > room)
			for (take = room; take && at[take] != ' ';)
				take--;
		if (!take)
			take = (u32)strlen(at);
		snprintf(line->text + indent, LINE_LEN - indent, "%.*s", (int)take, at);
		at += take;
		if (!*at)
			return;
		at++;
		line = line_new(l, MS_LOOK_NORMAL);
		snprintf(line->text, LINE_LEN, "%*s", (int)indent, "");
	}
}

static void lines_fields(struct ms_ui *ui, struct lines *l, const struct spte_info *info)
{
	bool wide = l->width >= 44;
	struct spte_field field;
	struct line *flow = NULL, *line;
	unsigned int pos = 0;
	char word[48];

	/* One-bit fields first when they are run together, so that the others follow in one block. */
	for (pos = 0; !wide && spte_field_next(&ui->detail->profile, info, &pos, &field);) {
		if (!field.mask || field.mask & (field.mask - 1))
			continue;
		snprintf(word, sizeof(word), "%c%s", field.value ? '+' : '-', field.name);
		line_flow(l, &flow, word);
	}
	for (pos = 0; spte_field_next(&ui->detail->profile, info, &pos, &field);) {
		if (!wide && field.mask && !(field.mask & (field.mask - 1)))
			continue;
		/* The summary has it. */
		if (info->cls == SPTE_CLASS_LEAF && !strcmp(field.name, "pfn"))
			continue;
		if (wide) {
			field_wide(l, &field);
			continue;
		}
		line = line_new(l, MS_LOOK_NORMAL);
		snprintf(line->text, LINE_LEN, "%s 0x%llx", field.name, (unsigned long long)field.value);
		line->label = (u32)strlen(field.name);
	}
}

u32 ms_entry_draw(struct ms_ui *ui, const struct ms_sp *sp, u32 idx, const char *address, u32 top,
		  struct ms_grid *grid, struct ms_rect r)
{
	struct lines l = { .width = r.w };
	struct spte_info info;
	u32 i;

	(void)spte_decode(&ui->detail->profile, sp->tables->sptes[idx], sp->level, &info);
	lines_summary(ui, &l, sp, idx, &info);
	lines_pin(ui, &l, sp, idx);
	if (ms_sp_entry_flipped(ui->detail, ms_ui_vm(ui), sp, idx))
		line_printf(&l, MS_LOOK_WARNING, "wp-flip: a tool catches each store to it");
	lines_rules(ui, &l, sp, &info);
	line_printf(&l, MS_LOOK_NORMAL, "%s %s", ms_root_address_kind(ui->detail, sp), address);
	line_printf(&l, MS_LOOK_NORMAL, "raw 0x%016llx", (unsigned long long)info.raw);
	lines_fields(ui, &l, &info);
	if (top + r.h > l.nr)
		top = l.nr > r.h ? l.nr - r.h : 0;
	for (i = 0; i < r.h && top + i < l.nr; i++) {
		const struct line *line = &l.at[top + i];

		ms_grid_put(grid, r.y + i, r.x, r.w, line->look, line->text);
		if (line->label) {
			char name[32];

			snprintf(name, sizeof(name), "%.*s", (int)line->label, line->text);
			ms_grid_put(grid, r.y + i, r.x, r.w, MS_LOOK_LABEL, name);
		}
	}
	/* More above or below is seen at the edge. */
	if (top && r.w)
		ms_grid_glyph(grid, r.y, r.x + r.w - 1, MS_LOOK_KEY, MS_GLYPH_UP);
	if (top + r.h < l.nr && r.w)
		ms_grid_glyph(grid, r.y + r.h - 1, r.x + r.w - 1, MS_LOOK_KEY, MS_GLYPH_DOWN);
	return top;
}
