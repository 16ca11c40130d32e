// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Role words: those of SEMANTICS C.2 field by field and as text, layouts that differ from the built-in one,
 * bits that no field covers, and that nothing is lost on the way there and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "spte/role.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static void c2_words(void **state)
{
	static const struct {
		u32 word;
		u32 level, direct, access, nx, wp, smep, smap, noad, guest, passthrough;
		bool ept;
		const char *text;
	} v[] = {
		{ 0x3784, 4, 1, 7, 1, 1, 0, 0, 0, 0, 0, true, "L4 direct rwx nx wp" },
		{ 0x1783, 3, 1, 7, 1, 0, 0, 0, 0, 0, 0, false, "L3 direct uwx nx" },
		{ 0x20704, 4, 0, 7, 0, 0, 0, 0, 0, 1, 0, true, "L4 rwx guest" },
		{ 0x30704, 4, 0, 7, 0, 0, 0, 0, 1, 1, 0, true, "L4 rwx noad guest" },
		{ 0x61705, 5, 0, 7, 1, 0, 0, 0, 0, 1, 1, false, "L5 uwx nx guest passthrough" },
		{ 0x21705, 5, 0, 7, 1, 0, 0, 0, 0, 1, 0, false, "L5 uwx nx guest" },
		{ 0x6d705, 5, 0, 7, 1, 0, 1, 1, 0, 1, 1, false,
		  "L5 uwx nx smep&!wp smap&!wp guest passthrough" },
		{ 0x2d705, 5, 0, 7, 1, 0, 1, 1, 0, 1, 0, false, "L5 uwx nx smep&!wp smap&!wp guest" },
	};
	const struct role_layout *l = role_layout_builtin(ROLE_BASE);
	char buf[128];
	unsigned int i;

	(void)state;
	for (i = 0; i < NR(v); i++) {
		struct role_info info;
		u32 word = v[i].word, back = 0;

		assert_int_equal(role_get(l, word, ROLE_LEVEL), v[i].level);
		assert_int_equal(role_get(l, word, ROLE_DIRECT), v[i].direct);
		assert_int_equal(role_get(l, word, ROLE_ACCESS), v[i].access);
		assert_int_equal(role_get(l, word, ROLE_EFER_NX), v[i].nx);
		assert_int_equal(role_get(l, word, ROLE_CR0_WP), v[i].wp);
		assert_int_equal(role_get(l, word, ROLE_SMEP_ANDNOT_WP), v[i].smep);
		assert_int_equal(role_get(l, word, ROLE_SMAP_ANDNOT_WP), v[i].smap);
		assert_int_equal(role_get(l, word, ROLE_AD_DISABLED), v[i].noad);
		assert_int_equal(role_get(l, word, ROLE_GUEST_MODE), v[i].guest);
		assert_int_equal(role_get(l, word, ROLE_PASSTHROUGH), v[i].passthrough);
		assert_int_equal(role_get(l, word, ROLE_INVALID), 0);
		assert_int_equal(role_get(l, word, ROLE_SMM), 0);
		assert_int_equal(role_unknown_bits(l, word), 0);
		role_decode(l, word, &info);
		assert_int_equal(role_make(l, &info, &back), 0);
		assert_int_equal(back, word);
		assert_int_equal(role_format(l, word, v[i].ept, buf, sizeof(buf)), strlen(v[i].text));
		assert_string_equal(buf, v[i].text);
	}
}

static void places(void **state)
{
	/* C.1's table, by hand. */
	static const struct {
		enum role_field_id id;
		const char *name;
		u32 mask;
	} base[] = {
		{ ROLE_LEVEL, "level", 0xf },
		{ ROLE_HAS_4_BYTE_GPTE, "has_4_byte_gpte", 0x10 },
		{ ROLE_QUADRANT, "quadrant", 0x60 },
		{ ROLE_DIRECT, "direct", 0x80 },
		{ ROLE_ACCESS, "access", 0x700 },
		{ ROLE_INVALID, "invalid", 0x800 },
		{ ROLE_EFER_NX, "efer_nx", 0x1000 },
		{ ROLE_CR0_WP, "cr0_wp", 0x2000 },
		{ ROLE_SMEP_ANDNOT_WP, "smep_andnot_wp", 0x4000 },
		{ ROLE_SMAP_ANDNOT_WP, "smap_andnot_wp", 0x8000 },
		{ ROLE_AD_DISABLED, "ad_disabled", 0x10000 },
		{ ROLE_GUEST_MODE, "guest_mode", 0x20000 },
		{ ROLE_PASSTHROUGH, "passthrough", 0x40000 },
		{ ROLE_SMM, "smm", 0xff000000 },
		{ ROLE_IS_MIRROR, "is_mirror", 0 },
		{ ROLE_BASE_CR4_SMEP, "cr4_smep", 0 },
	}, ext[] = {
		{ ROLE_VALID, "valid", 0x01 },	     { ROLE_EXECONLY, "execonly", 0x02 },
		{ ROLE_CR4_PSE, "cr4_pse", 0x04 },   { ROLE_CR4_PKE, "cr4_pke", 0x08 },
		{ ROLE_CR4_SMAP, "cr4_smap", 0x10 }, { ROLE_CR4_SMEP, "cr4_smep", 0x20 },
		{ ROLE_CR4_LA57, "cr4_la57", 0x40 }, { ROLE_EFER_LMA, "efer_lma", 0x80 },
	};
	const struct role_layout *b = role_layout_builtin(ROLE_BASE), *e = role_layout_builtin(ROLE_EXT);
	unsigned int i;

	(void)state;
	assert_int_equal(NR(base) + NR(ext), ROLE_NR_FIELDS);
	for (i = 0; i < NR(base); i++) {
		assert_int_equal(role_mask(b, base[i].id), base[i].mask);
		assert_int_equal(role_has(b, base[i].id), base[i].mask != 0);
		assert_false(role_has(e, base[i].id));
		assert_string_equal(role_field_name(base[i].id), base[i].name);
		assert_int_equal(role_field_word(base[i].id), ROLE_BASE);
		assert_true(role_field_meaning(base[i].id)[0]);
	}
	for (i = 0; i < NR(ext); i++) {
		assert_int_equal(role_mask(e, ext[i].id), ext[i].mask);
		assert_false(role_has(b, ext[i].id));
		assert_string_equal(role_field_name(ext[i].id), ext[i].name);
		assert_int_equal(role_field_word(ext[i].id), ROLE_EXT);
	}
	assert_int_equal(role_unknown_bits(b, ~0u), 0x00f80000);
	assert_int_equal(role_unknown_bits(e, ~0u), 0xffffff00);
	assert_string_equal(role_field_name(ROLE_NR_FIELDS), "");
	assert_string_equal(role_field_meaning(ROLE_NR_FIELDS), "");
	assert_int_equal(role_field_word(ROLE_NR_FIELDS), ROLE_BASE);
}

/* Every bit alone and every pair of bits, in both words. */
static void round_trip(void **state)
{
	unsigned int a, b, w;

	(void)state;
	for (w = ROLE_BASE; w <= ROLE_EXT; w++) {
		const struct role_layout *l = role_layout_builtin((enum role_word)w);

		for (a = 0; a < 32; a++) {
			for (b = 0; b < 32; b++) {
				u32 word = 1u << a | 1u << b, back = 0;
				struct role_info info;

				role_decode(l, word, &info);
				assert_int_equal(role_make(l, &info, &back), 0);
				assert_int_equal(back, word);
			}
		}
	}
}

static void other_kernels(void **state)
{
	struct role_layout l, e;
	struct role_info info;
	u32 word = 0;
	char buf[96];

	(void)state;
	/* As BTF of a kernel with is_mirror at bit 19 would have it, and with a field we never heard of. */
	l = *role_layout_builtin(ROLE_BASE);
	assert_int_equal(role_layout_set(&l, "is_mirror", 19, 1), 0);
	assert_int_equal(role_layout_set(&l, "cr4_smep", 20, 1), 0);
	assert_int_equal(role_layout_set(&l, "novel", 21, 1), -ENOENT);
	assert_int_equal(role_get(&l, 1u << 20, ROLE_BASE_CR4_SMEP), 1);
	role_format(&l, 0x3f3784, true, buf, sizeof(buf));
	assert_string_equal(buf, "L4 direct rwx nx wp noad guest passthrough mirror smep +0x200000");

	/* A name belongs to one word only, except cr4_smep, which both have. */
	role_layout_init(&e, ROLE_EXT);
	assert_int_equal(role_unknown_bits(&e, ~0u), ~0u);
	assert_int_equal(role_layout_set(&e, "level", 0, 4), -ENOENT);
	assert_int_equal(role_layout_set(&e, "cr4_smep", 5, 1), 0);
	assert_true(role_has(&e, ROLE_CR4_SMEP));
	assert_false(role_has(&e, ROLE_BASE_CR4_SMEP));
	assert_int_equal(role_layout_set(&l, "efer_lma", 23, 1), -ENOENT);

	/* What cannot be is refused and changes nothing. */
	assert_int_equal(role_layout_set(&l, "smm", 25, 8), -ERANGE);
	assert_int_equal(role_layout_set(&l, "smm", 33, 1), -ERANGE);
	assert_int_equal(role_layout_set(&l, "smm", 0, 33), -ERANGE);
	assert_int_equal(role_layout_set(&l, "smm", 24, 0), -ERANGE);
	assert_int_equal(role_layout_set(&l, "smm", 18, 3), -EEXIST);
	assert_int_equal(role_mask(&l, ROLE_SMM), 0xff000000);
	/* Moving a field over its own place is no collision. */
	assert_int_equal(role_layout_set(&l, "smm", 28, 4), 0);
	assert_int_equal(role_mask(&l, ROLE_SMM), 0xf0000000);

	/* An access field of four bits (7.1 and later), level at the top, one field of 32 bits. */
	role_layout_init(&l, ROLE_BASE);
	assert_int_equal(role_layout_set(&l, "access", 0, 4), 0);
	assert_int_equal(role_layout_set(&l, "level", 28, 4), 0);
	role_format(&l, 0x5000000d, false, buf, sizeof(buf));
	assert_string_equal(buf, "L5 u-x+0x8");
	role_layout_init(&l, ROLE_BASE);
	assert_int_equal(role_layout_set(&l, "smm", 0, 32), 0);
	assert_int_equal(role_get(&l, 0xffffffff, ROLE_SMM), 0xffffffff);
	role_format(&l, 0xffffffff, false, buf, sizeof(buf));
	assert_string_equal(buf, "smm4294967295");

	/* Setting values. */
	l = *role_layout_builtin(ROLE_BASE);
	word = 0xffffffff;
	assert_int_equal(role_set(&l, &word, ROLE_LEVEL, 3), 0);
	assert_int_equal(word, 0xfffffff3);
	assert_int_equal(role_set(&l, &word, ROLE_LEVEL, 16), -ERANGE);
	assert_int_equal(role_set(&l, &word, ROLE_SMM, 256), -ERANGE);
	assert_int_equal(role_set(&l, &word, ROLE_IS_MIRROR, 0), -ENOENT);
	assert_int_equal(word, 0xfffffff3);

	role_decode(&l, 0x3784, &info);
	info.value[ROLE_IS_MIRROR] = 1;
	assert_int_equal(role_make(&l, &info, &word), -ENOENT);
	info.value[ROLE_IS_MIRROR] = 0;
	info.value[ROLE_QUADRANT] = 4;
	assert_int_equal(role_make(&l, &info, &word), -ERANGE);
	info.value[ROLE_QUADRANT] = 0;
	info.unknown = 1;
	assert_int_equal(role_make(&l, &info, &word), -EEXIST);
	assert_int_equal(word, 0xfffffff3);
}

static void text(void **state)
{
	const struct role_layout *l = role_layout_builtin(ROLE_BASE), *e = role_layout_builtin(ROLE_EXT);
	char buf[64];
	unsigned int size;

	(void)state;
	role_format(l, 0x00001012, false, buf, sizeof(buf));
	assert_string_equal(buf, "L2 gpte4 q0 --- nx");
	role_format(l, 0x01000971, false, buf, sizeof(buf));
	assert_string_equal(buf, "L1 gpte4 q3 --x invalid smm");
	role_format(l, 0x02000621, true, buf, sizeof(buf));
	assert_string_equal(buf, "L1 q1 rw- smm2");
	role_format(e, 0xf1, false, buf, sizeof(buf));
	assert_string_equal(buf, "valid smap smep la57 lma");
	role_format(e, 0x10e, false, buf, sizeof(buf));
	assert_string_equal(buf, "execonly pse pke +0x100");
	assert_int_equal(role_format(e, 0, false, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");

	/* Any size is safe: cut, terminated, the full length returned. */
	for (size = 0; size < 24; size++) {
		memset(buf, '#', sizeof(buf));
		assert_int_equal(role_format(l, 0x3784, true, buf, size), 19);
		assert_int_equal(buf[size], '#');
		if (!size)
			continue;
		assert_int_equal(strlen(buf), size - 1 < 19 ? size - 1 : 19);
		assert_memory_equal(buf, "L4 direct rwx nx wp", strlen(buf));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c2_words),	 cmocka_unit_test(places), cmocka_unit_test(round_trip),
		cmocka_unit_test(other_kernels), cmocka_unit_test(text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
