// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names for people: classes, states, rules, and the fields of a value from bits.def. It decides nothing.
 */
#include "spte/spte.h"

enum {
	EPT_LEAF = 1 << 0,
	EPT_TABLE = 1 << 1,
	PT_LEAF = 1 << 2,
	PT_TABLE = 1 << 3,
	MMIO = 1 << 4,
	NONPRESENT = 1 << 5,
	FROZEN = 1 << 6,
};

enum {
#define SPTE_FIELD(where, mask, name, meaning, source) +1
	NR_FIELDS = 0
#include "spte/bits.def"
#undef SPTE_FIELD
};

struct field_text {
	u8 where;
	const char *name;
	const char *meaning;
	const char *source;
};

static const struct field_text field_texts[NR_FIELDS] = {
#define SPTE_FIELD(where, mask, name, meaning, source) { where, name, meaning, source },
#include "spte/bits.def"
#undef SPTE_FIELD
};

static void field_masks(const struct spte_profile *p, const struct spte_info *info, u64 masks[NR_FIELDS])
{
	unsigned int i = 0;

#define SPTE_FIELD(where, mask, name, meaning, source) masks[i++] = (mask);
#include "spte/bits.def"
#undef SPTE_FIELD
}

static u8 where_of(const struct spte_profile *p, const struct spte_info *info)
{
	bool ept = p->format == SPTE_FMT_EPT;

	switch (info->cls) {
	case SPTE_CLASS_LEAF:
		return ept ? EPT_LEAF : PT_LEAF;
	case SPTE_CLASS_TABLE:
		return ept ? EPT_TABLE : PT_TABLE;
	case SPTE_CLASS_MMIO:
		return MMIO;
	case SPTE_CLASS_NONPRESENT:
		return NONPRESENT;
	case SPTE_CLASS_FROZEN:
		return FROZEN;
	case SPTE_CLASS_UNKNOWN:
		break;
	}
	return 0;
}

static bool field_fill(struct spte_field *ret, u64 raw, u64 mask, const struct field_text *text)
{
	ret->name = text->name;
	ret->meaning = text->meaning;
	ret->source = text->source;
	ret->mask = mask;
	ret->value = mask ? (raw & mask) >> __builtin_ctzll(mask) : 0;
	return true;
}

static bool unknown_next(const struct spte_info *info, unsigned int *pos, struct spte_field *ret)
{
	static const struct field_text texts[] = {
		{ 0, "unknown", "set, and nothing in this profile explains it", "" },
		{ 0, "missing", "clear, though set in every such entry of this profile", "" },
		{ 0, "rest", "not interpreted, since the value as a whole is not understood", "" },
	};
	const u64 masks[] = { info->unknown_bits, info->missing_bits, ~info->unknown_bits };

	while (*pos < 3) {
		unsigned int i = (*pos)++;

		if (masks[i])
			return field_fill(ret, info->raw, masks[i], &texts[i]);
	}
	return false;
}

bool spte_field_next(const struct spte_profile *p, const struct spte_info *info, unsigned int *pos,
		     struct spte_field *field_ret)
{
	static const struct field_text unused = { 0, "unused", "ignored by the processor and by KVM, clear", "" };
	u8 where = where_of(p, info);
	u64 masks[NR_FIELDS];
	u64 seen = 0;
	unsigned int i;

	if (!where)
		return unknown_next(info, pos, field_ret);

	field_masks(p, info, masks);
	for (i = 0; i < NR_FIELDS; i++) {
		if (!(field_texts[i].where & where) || !masks[i])
			continue;
		seen |= masks[i];
		if (i < *pos)
			continue;
		*pos = i + 1;
		return field_fill(field_ret, info->raw, masks[i], &field_texts[i]);
	}
	if (*pos > NR_FIELDS || seen == ~0ULL)
		return false;
	*pos = NR_FIELDS + 1;
	return field_fill(field_ret, info->raw, ~seen, &unused);
}

const char *spte_class_name(enum spte_class cls)
{
	static const char *const names[] = {
		[SPTE_CLASS_UNKNOWN] = "unknown", [SPTE_CLASS_NONPRESENT] = "empty", [SPTE_CLASS_MMIO] = "mmio",
		[SPTE_CLASS_FROZEN] = "frozen",	  [SPTE_CLASS_TABLE] = "table",	     [SPTE_CLASS_LEAF] = "leaf",
	};

	return (unsigned int)cls <= SPTE_CLASS_LEAF ? names[cls] : "?";
}

const char *spte_wstate_name(enum spte_wstate w)
{
	static const char *const names[] = {
		[SPTE_W_NONE] = "-", [SPTE_W_RW] = "RW", [SPTE_W_DL] = "DL",	       [SPTE_W_WP] = "WP",
		[SPTE_W_RO] = "RO",  [SPTE_W_AT] = "AT", [SPTE_W_ILLEGAL] = "illegal",
	};

	return (unsigned int)w <= SPTE_W_ILLEGAL ? names[w] : "?";
}

const char *spte_ad_kind_name(enum spte_ad_kind kind)
{
	static const char *const names[] = {
		[SPTE_AD_ENABLED] = "enabled",
		[SPTE_AD_DISABLED] = "disabled",
		[SPTE_AD_WRPROT_ONLY] = "wrprot-only",
		[SPTE_AD_INVALID] = "invalid",
	};

	return (unsigned int)kind <= SPTE_AD_INVALID ? names[kind] : "?";
}

const char *spte_memtype_name(unsigned int memtype)
{
	static const char *const names[8] = {
		[0] = "UC", [1] = "WC", [2] = "?", [3] = "?", [4] = "WT", [5] = "WP", [6] = "WB", [7] = "?",
	};

	return memtype < 8 ? names[memtype] : "?";
}

const char *spte_letter(const struct spte_info *info)
{
	static const char *const leaf[] = {
		[SPTE_W_NONE] = "!", [SPTE_W_RW] = "W", [SPTE_W_DL] = "D",	[SPTE_W_WP] = "P",
		[SPTE_W_RO] = "R",   [SPTE_W_AT] = "A", [SPTE_W_ILLEGAL] = "!",
	};

	switch (info->cls) {
	case SPTE_CLASS_NONPRESENT:
		return ".";
	case SPTE_CLASS_MMIO:
		return "M";
	case SPTE_CLASS_FROZEN:
		return "F";
	case SPTE_CLASS_TABLE:
		return "T";
	case SPTE_CLASS_LEAF:
		return (unsigned int)info->wstate <= SPTE_W_ILLEGAL ? leaf[info->wstate] : "!";
	case SPTE_CLASS_UNKNOWN:
		break;
	}
	return "!";
}

struct rule_text {
	unsigned int row;
	const char *name;
	const char *text;
};

static const struct rule_text rule_texts[SPTE_NR_RULES] = {
#define SPTE_RULE(id, row, name, text) [SPTE_RULE_##id] = { row, name, text },
#include "spte/checks.def"
#undef SPTE_RULE
};

unsigned int spte_rule_row(unsigned int rule)
{
	return rule < SPTE_NR_RULES ? rule_texts[rule].row : 0;
}

const char *spte_rule_name(unsigned int rule)
{
	return rule < SPTE_NR_RULES ? rule_texts[rule].name : "";
}

const char *spte_rule_text(unsigned int rule)
{
	return rule < SPTE_NR_RULES ? rule_texts[rule].text : "";
}
