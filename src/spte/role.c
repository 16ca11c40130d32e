// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Role words by layout. Knows names and places of fields, not how KVM arrives at their values.
 */
#include "spte/role.h"
#include "spte/str.h"

struct role_text {
	enum role_word word;
	const char *name;
	const char *text;
	const char *meaning;
};

static const struct role_text texts[ROLE_NR_FIELDS] = {
#define ROLE_FIELD(id, word, name, offset, width, text, meaning) [ROLE_##id] = { word, name, text, meaning },
#include "spte/role.def"
#undef ROLE_FIELD
};

/* A field's place in the layout of word @w: none when it belongs to the other one or to other kernels. */
#define FIELD_IN(w, word, offset, width) \
	{ (word) == (w) ? (offset) : 0, (word) == (w) ? (width) : 0, (word) == (w) && (width) != 0 }

static const struct role_layout builtin_base = {
	.word = ROLE_BASE,
	.f = {
#define ROLE_FIELD(id, word, name, offset, width, text, meaning) [ROLE_##id] = FIELD_IN(ROLE_BASE, word, offset, width),
#include "spte/role.def"
#undef ROLE_FIELD
	},
};

static const struct role_layout builtin_ext = {
	.word = ROLE_EXT,
	.f = {
#define ROLE_FIELD(id, word, name, offset, width, text, meaning) [ROLE_##id] = FIELD_IN(ROLE_EXT, word, offset, width),
#include "spte/role.def"
#undef ROLE_FIELD
	},
};

/* The sum of all masks equals their OR exactly when no two fields share a bit; the extended word goes above the other. */
#define WORD_SHIFT(word) ((word) == ROLE_EXT ? 32 : 0)
#define FIELD_MASK(word, offset, width) (((1ULL << (width)) - 1) << ((offset) + WORD_SHIFT(word)))
#define ROLE_FIELD(id, word, name, offset, width, text, meaning) +FIELD_MASK(word, offset, width)
enum masks_summed {
	MASKS_SUMMED = (0ULL
#include "spte/role.def"
		       ),
};
#undef ROLE_FIELD
#define ROLE_FIELD(id, word, name, offset, width, text, meaning) | FIELD_MASK(word, offset, width)
enum masks_joined {
	MASKS_JOINED = (0ULL
#include "spte/role.def"
		       ),
};
#undef ROLE_FIELD
_Static_assert((u64)MASKS_SUMMED == (u64)MASKS_JOINED, "two role fields share a bit");

void role_layout_init(struct role_layout *layout, enum role_word word)
{
	*layout = (struct role_layout){ .word = word };
}

const struct role_layout *role_layout_builtin(enum role_word word)
{
	return word == ROLE_EXT ? &builtin_ext : &builtin_base;
}

static u32 field_mask(const struct role_field *f)
{
	return f->present ? (u32)(((1ULL << f->width) - 1) << f->offset) : 0;
}

/* Bits of all fields present but @except; ROLE_NR_FIELDS excepts none. */
static u32 known_bits(const struct role_layout *layout, unsigned int except)
{
	unsigned int i;
	u32 known = 0;

	for (i = 0; i < ROLE_NR_FIELDS; i++) {
		if (i != except)
			known |= field_mask(&layout->f[i]);
	}
	return known;
}

int role_layout_set(struct role_layout *layout, const char *name, unsigned int offset, unsigned int width)
{
	struct role_field f = { .present = true };
	unsigned int i;

	for (i = 0; i < ROLE_NR_FIELDS; i++) {
		if (texts[i].word == layout->word && spte_str_equal(texts[i].name, name))
			break;
	}
	if (i == ROLE_NR_FIELDS)
		return -ENOENT;
	if (!width || width > 32 || offset > 32 - width)
		return -ERANGE;

	f.offset = (u8)offset;
	f.width = (u8)width;
	if (field_mask(&f) & known_bits(layout, i))
		return -EEXIST;
	layout->f[i] = f;
	return 0;
}

const char *role_field_name(unsigned int id)
{
	return id < ROLE_NR_FIELDS ? texts[id].name : "";
}

const char *role_field_meaning(unsigned int id)
{
	return id < ROLE_NR_FIELDS ? texts[id].meaning : "";
}

enum role_word role_field_word(unsigned int id)
{
	return id < ROLE_NR_FIELDS ? texts[id].word : ROLE_BASE;
}

bool role_has(const struct role_layout *layout, enum role_field_id id)
{
	return layout->f[id].present;
}

u32 role_mask(const struct role_layout *layout, enum role_field_id id)
{
	return field_mask(&layout->f[id]);
}

u32 role_get(const struct role_layout *layout, u32 word, enum role_field_id id)
{
	const struct role_field *f = &layout->f[id];

	return (word & field_mask(f)) >> f->offset;
}

int role_set(const struct role_layout *layout, u32 *word, enum role_field_id id, u32 value)
{
	const struct role_field *f = &layout->f[id];
	u64 shifted = (u64)value << f->offset;

	if (!f->present)
		return -ENOENT;
	if (shifted & ~(u64)field_mask(f))
		return -ERANGE;
	*word = (*word & ~field_mask(f)) | (u32)shifted;
	return 0;
}

u32 role_unknown_bits(const struct role_layout *layout, u32 word)
{
	return word & ~known_bits(layout, ROLE_NR_FIELDS);
}

void role_decode(const struct role_layout *layout, u32 word, struct role_info *info_ret)
{
	unsigned int i;

	for (i = 0; i < ROLE_NR_FIELDS; i++)
		info_ret->value[i] = role_get(layout, word, (enum role_field_id)i);
	info_ret->unknown = role_unknown_bits(layout, word);
}

int role_make(const struct role_layout *layout, const struct role_info *info, u32 *word_ret)
{
	u32 word = info->unknown;
	unsigned int i;
	int err;

	if (word & known_bits(layout, ROLE_NR_FIELDS))
		return -EEXIST;
	for (i = 0; i < ROLE_NR_FIELDS; i++) {
		if (!info->value[i])
			continue;
		err = role_set(layout, &word, (enum role_field_id)i, info->value[i]);
		if (err)
			return err;
	}
	*word_ret = word;
	return 0;
}

/* Text under way into a buffer of fixed size; @len goes on counting past its end. */
struct text {
	char *buf;
	size_t size;
	size_t len;
};

static void text_char(struct text *t, char c)
{
	if (t->len + 1 < t->size)
		t->buf[t->len] = c;
	t->len++;
}

static void text_str(struct text *t, const char *s)
{
	while (*s)
		text_char(t, *s++);
}

static void text_number(struct text *t, u32 v, unsigned int base)
{
	char digits[10];
	unsigned int nr = 0;

	do {
		digits[nr++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (nr)
		text_char(t, digits[--nr]);
}

static void text_word(struct text *t, const char *s)
{
	if (t->len)
		text_char(t, ' ');
	text_str(t, s);
}

static void text_access(struct text *t, u32 access, bool ept)
{
	text_word(t, access & ROLE_ACC_USER ? (ept ? "r" : "u") : "-");
	text_char(t, access & ROLE_ACC_WRITE ? 'w' : '-');
	text_char(t, access & ROLE_ACC_EXEC ? 'x' : '-');
	/* A wider field (7.1 and later) holds a bit whose letter we do not know. */
	if (access >> 3) {
		text_str(t, "+0x");
		text_number(t, access & ~7u, 16);
	}
}

size_t role_format(const struct role_layout *layout, u32 word, bool ept, char *buf, size_t size)
{
	struct text t = { buf, size, 0 };
	u32 unknown = role_unknown_bits(layout, word);
	unsigned int i;

	for (i = 0; i < ROLE_NR_FIELDS; i++) {
		u32 value = role_get(layout, word, (enum role_field_id)i);

		if (!layout->f[i].present)
			continue;
		if (i == ROLE_ACCESS) {
			text_access(&t, value, ept);
		} else if (i == ROLE_LEVEL || (i == ROLE_QUADRANT && role_get(layout, word, ROLE_HAS_4_BYTE_GPTE)) ||
			   value > 1) {
			text_word(&t, texts[i].text);
			text_number(&t, value, 10);
		} else if (value) {
			text_word(&t, texts[i].text);
			if (i == ROLE_QUADRANT)
				text_char(&t, '1');
		}
	}
	if (unknown) {
		text_word(&t, "+0x");
		text_number(&t, unknown, 16);
	}
	if (size)
		buf[t.len < size ? t.len : size - 1] = '\0';
	return t.len;
}
