/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's role words: where each field lies in a given kernel, and what a word says. A page role is one 32-bit word
 * (union kvm_mmu_page_role, ROLE_BASE); a CPU role is such a word and an extended one (union kvm_mmu_extended_role,
 * ROLE_EXT), the latter in the upper half of its 64 bits. The bits move between kernels (SEMANTICS C1), so a layout is
 * a parameter: take the built-in one, or start empty and set each field found in BTF. Computing a role from guest
 * state is the engine's business, not ours.
 */
#ifndef MS_SPTE_ROLE_H
#define MS_SPTE_ROLE_H

#include "abi/types.h"

enum role_word {
	ROLE_BASE,
	ROLE_EXT,
};

enum role_field_id {
#define ROLE_FIELD(id, word, name, offset, width, text, meaning) ROLE_##id,
#include "spte/role.def"
#undef ROLE_FIELD
	ROLE_NR_FIELDS
};

/* Bits of ROLE_ACCESS, the kernel's ACC_*_MASK. */
#define ROLE_ACC_EXEC 1u
#define ROLE_ACC_WRITE 2u
#define ROLE_ACC_USER 4u

struct role_field {
	u8 offset; /* of the lowest bit, 0..31 */
	u8 width;  /* in bits */
	bool present;
};

struct role_layout {
	enum role_word word;
	struct role_field f[ROLE_NR_FIELDS]; /* fields of the other word are never present */
};

/* A word taken apart: a value a field, 0 for those that the layout lacks, and the bits that no field covers. */
struct role_info {
	u32 value[ROLE_NR_FIELDS];
	u32 unknown;
};

/* A layout with no field present. */
void role_layout_init(struct role_layout *layout, enum role_word word);

/* The layout of 6.1 and 6.12. Static storage. */
const struct role_layout *role_layout_builtin(enum role_word word);

/*
 * Puts field @name of the layout's word at bits [offset, offset + width). -ENOENT for a name that we do not know: its
 * bits then count as unknown ones. -ERANGE when it does not fit in 32 bits, -EEXIST when it covers a bit of another
 * field present. Setting a field again moves it.
 */
int role_layout_set(struct role_layout *layout, const char *name, unsigned int offset, unsigned int width);

/* The kernel's name of a field, its meaning, the word it belongs to; "" and ROLE_BASE when @id is out of range. */
const char *role_field_name(unsigned int id);
const char *role_field_meaning(unsigned int id);
enum role_word role_field_word(unsigned int id);

/* Does the kernel of this layout have the field? */
bool role_has(const struct role_layout *layout, enum role_field_id id);

/* Bits the field covers, 0 when absent. */
u32 role_mask(const struct role_layout *layout, enum role_field_id id);

/* The field's value, 0 when absent: ask role_has() where that matters. */
u32 role_get(const struct role_layout *layout, u32 word, enum role_field_id id);

/* Stores @value. -ENOENT when the layout lacks the field, -ERANGE when it does not fit; *@word is then untouched. */
int role_set(const struct role_layout *layout, u32 *word, enum role_field_id id, u32 value);

/* Bits set outside every field of the layout. */
u32 role_unknown_bits(const struct role_layout *layout, u32 word);

/* Takes @word apart; loses nothing. */
void role_decode(const struct role_layout *layout, u32 word, struct role_info *info_ret);

/*
 * The inverse of role_decode(). -ENOENT for a value other than 0 in a field that the layout lacks, -ERANGE for one too
 * large, -EEXIST when info->unknown covers a bit of a field.
 */
int role_make(const struct role_layout *layout, const struct role_info *info, u32 *word_ret);

/*
 * Short text of a word into @buf (size bytes, always terminated if size > 0): level, access and every one-bit field set,
 * e.g. "L4 direct rwx nx wp". Access is shown as uwx, or rwx when @ept, for there bit U means readable; "-" for what is
 * not granted. Unknown bits follow as "+0x80000". Returns the length of the whole text, which may be >= @size.
 */
size_t role_format(const struct role_layout *layout, u32 word, bool ept, char *buf, size_t size);

#endif
