// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest table formats: reserved bits and misconfigurations entry by entry from a table (SEMANTICS B.1, B.2,
 * B4), every bit of every format alone, EPT's permission values of D.1 step 7, and all of W, U, NX x WP,
 * SMEP, SMAP, AC, NXE x access against the reference walker's rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "nmmu/private.h"
#include "tests/unit/refwalk.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define B(n) (1ULL << (n))

enum { BAD = 1, TABLE, LEAF, ABSENT };

enum fmt_id {
	F32,
	F32_NOPSE,
	FPAE,
	FPAE_NONX,
	F4,
	F4_NONX,
	F4_AMD,
	F4_NOGB,
	F5,
	F5_AMD,
	FEPT,
	FEPT_X,
	FEPT_NOGB,
	FEPT5
};

static const struct nmmu_gfmt formats[] = {
	[F32] = { .kind = NMMU_GPT_32, .levels = 2, .phys_bits = 36, .pse = true, .ad = true },
	[F32_NOPSE] = { .kind = NMMU_GPT_32, .levels = 2, .phys_bits = 36, .ad = true },
	[FPAE] = { .kind = NMMU_GPT_PAE, .levels = 3, .phys_bits = 40, .nx = true, .ad = true },
	[FPAE_NONX] = { .kind = NMMU_GPT_PAE, .levels = 3, .phys_bits = 40, .ad = true },
	[F4] = { .kind = NMMU_GPT_64, .levels = 4, .phys_bits = 46, .nx = true, .gbpages = true, .ad = true },
	[F4_NONX] = { .kind = NMMU_GPT_64, .levels = 4, .phys_bits = 46, .gbpages = true, .ad = true },
	[F4_AMD] = { .kind = NMMU_GPT_64,
		     .levels = 4,
		     .phys_bits = 48,
		     .nx = true,
		     .gbpages = true,
		     .amd = true,
		     .ad = true },
	[F4_NOGB] = { .kind = NMMU_GPT_64, .levels = 4, .phys_bits = 46, .nx = true, .ad = true },
	[F5] = { .kind = NMMU_GPT_LA57,
		 .levels = 5,
		 .phys_bits = 52,
		 .nx = true,
		 .gbpages = true,
		 .ad = true },
	[F5_AMD] = { .kind = NMMU_GPT_LA57,
		     .levels = 5,
		     .phys_bits = 48,
		     .nx = true,
		     .gbpages = true,
		     .amd = true,
		     .ad = true },
	[FEPT] = { .kind = NMMU_GPT_EPT, .levels = 4, .phys_bits = 46, .gbpages = true, .ad = true },
	[FEPT_X] = { .kind = NMMU_GPT_EPT, .levels = 4, .phys_bits = 46, .gbpages = true, .exec_only = true },
	[FEPT_NOGB] = { .kind = NMMU_GPT_EPT, .levels = 4, .phys_bits = 46, .ad = true },
	[FEPT5] = { .kind = NMMU_GPT_EPT, .levels = 5, .phys_bits = 52, .gbpages = true, .ad = true },
};

static int judge(const struct nmmu_gfmt *fmt, u64 gpte, u32 level)
{
	if (!nmmu_gfmt_is_present(fmt, gpte))
		return ABSENT;
	if (nmmu_gfmt_is_rsvd(fmt, gpte, level))
		return BAD;
	return nmmu_gfmt_is_leaf(fmt, gpte, level) ? LEAF : TABLE;
}

static struct nmmu_gfmt get(enum fmt_id id)
{
	struct nmmu_gfmt fmt = formats[id];

	nmmu_gfmt_finish(&fmt);
	return fmt;
}

static void entries(void **state)
{
	static const struct {
		enum fmt_id fmt;
		u32 level;
		u64 gpte;
		int want;
	} v[] = {
		/* 32-bit: 4M pages and PSE36 */
		{ F32, 2, 0x00001067, TABLE },
		{ F32, 2, 0x004000e7, LEAF },
		{ F32, 2, 0x0041e0e7, LEAF }, /* PA[35:32] */
		{ F32, 2, 0x004200e7, BAD }, /* bit 17 */
		{ F32, 2, 0x006000e7, BAD }, /* bit 21 */
		{ F32, 2, 0x00200067, TABLE },
		{ F32, 1, 0x000010e7, LEAF },
		{ F32, 1, 0x00001066, ABSENT },
		{ F32_NOPSE, 2, 0x006000e7, TABLE }, /* bit 7 ignored */
		/* PAE: no rule at level 3 (B1a), all address bits up to 62 */
		{ FPAE, 3, 0x1001, TABLE },
		{ FPAE, 3, 0x1001 | B(63) | B(40) | 0x1e6, TABLE },
		{ FPAE, 2, 0x200087, LEAF },
		{ FPAE, 2, 0x200087 | B(20), BAD },
		{ FPAE, 2, 0x200087 | B(13), BAD },
		{ FPAE, 2, 0x200087 | B(12), LEAF }, /* PAT */
		{ FPAE, 1, 0x1007 | B(39), LEAF },
		{ FPAE, 1, 0x1007 | B(40), BAD },
		{ FPAE, 1, 0x1007 | B(62), BAD },
		{ FPAE, 1, 0x1007 | B(63), LEAF },
		{ FPAE_NONX, 1, 0x1007 | B(63), BAD },
		{ FPAE_NONX, 2, 0x1007 | B(63), BAD },
		/* 4 levels */
		{ F4, 4, 0x1007, TABLE },
		{ F4, 4, 0x1087, BAD },
		{ F4, 4, 0x1107, TABLE }, /* bit 8: AMD only */
		{ F4_AMD, 4, 0x1107, BAD },
		{ F4_AMD, 3, 0x1107, TABLE },
		{ F4, 3, 0x40000087, LEAF },
		{ F4, 3, 0x40000087 | B(29), BAD },
		{ F4, 3, 0x40000087 | B(13), BAD },
		{ F4, 3, 0x40000087 | B(12), LEAF },
		{ F4, 3, 0x40000087 | B(30), LEAF },
		{ F4_NOGB, 3, 0x40000087, BAD },
		{ F4_NOGB, 3, 0x1007, TABLE },
		{ F4, 2, 0x200087, LEAF },
		{ F4, 2, 0x200087 | B(20), BAD },
		{ F4, 2, 0x200087 | B(21), LEAF },
		{ F4, 1, 0x1087, LEAF }, /* PAT */
		{ F4, 1, 0x1007 | B(45), LEAF },
		{ F4, 1, 0x1007 | B(46), BAD },
		{ F4, 1, 0x1007 | B(51), BAD },
		{ F4, 1, 0x1007 | B(52), LEAF },
		{ F4, 1, 0x1007 | B(62), LEAF },
		{ F4_NONX, 4, 0x1007 | B(63), BAD },
		{ F4_NONX, 1, 0x1007 | B(63), BAD },
		{ F4, 2, 0x1007 | B(63), TABLE },
		/* 5 levels */
		{ F5, 5, 0x1007, TABLE },
		{ F5, 5, 0x1087, BAD },
		{ F5, 5, 0x1007 | B(51), TABLE },
		{ F5_AMD, 5, 0x1107, BAD },
		{ F5_AMD, 4, 0x1107, BAD },
		{ F5, 4, 0x1087, BAD },
		/* EPT: rights (B2) */
		{ FEPT, 1, 0x1030, ABSENT },
		{ FEPT, 1, 0x1031, LEAF },
		{ FEPT, 1, 0x1032, BAD },
		{ FEPT, 1, 0x1033, LEAF },
		{ FEPT, 1, 0x1034, BAD },
		{ FEPT, 1, 0x1035, LEAF },
		{ FEPT, 1, 0x1036, BAD },
		{ FEPT_X, 1, 0x1034, LEAF },
		{ FEPT_X, 1, 0x1032, BAD },
		{ FEPT_X, 1, 0x1036, BAD },
		{ FEPT, 4, 0x1002, BAD },
		{ FEPT, 4, 0x1006, BAD },
		{ FEPT, 3, 0x1004, BAD },
		{ FEPT_X, 3, 0x1004, TABLE },
		/* memory types */
		{ FEPT, 1, 0x1007, LEAF },
		{ FEPT, 1, 0x100f, LEAF },
		{ FEPT, 1, 0x1017, BAD },
		{ FEPT, 1, 0x101f, BAD },
		{ FEPT, 1, 0x1027, LEAF },
		{ FEPT, 1, 0x102f, LEAF },
		{ FEPT, 1, 0x1037, LEAF },
		{ FEPT, 1, 0x103f, BAD },
		{ FEPT, 2, 0x2000b7, LEAF },
		{ FEPT, 2, 0x200097, BAD },
		/* bits 6:3 of a table, 7 above level 3 */
		{ FEPT, 2, 0x1007, TABLE },
		{ FEPT, 2, 0x100f, BAD },
		{ FEPT, 2, 0x1037, BAD },
		{ FEPT, 3, 0x1047, BAD },
		{ FEPT, 4, 0x1087, BAD },
		{ FEPT, 4, 0x1047, BAD },
		{ FEPT, 4, 0x1107, TABLE }, /* A */
		{ FEPT5, 5, 0x1087, BAD },
		{ FEPT5, 5, 0x1007, TABLE },
		{ FEPT, 1, 0x10b7, LEAF }, /* bit 7 ignored */
		/* B4, I 16: bits 20 and 29, which the test of kvm-unit-tests leaves out */
		{ FEPT, 2, 0x2000b7 | B(20), BAD },
		{ FEPT, 2, 0x2000b7 | B(12), BAD },
		{ FEPT, 2, 0x2000b7 | B(21), LEAF },
		{ FEPT, 3, 0x400000b7, LEAF },
		{ FEPT, 3, 0x400000b7 | B(29), BAD },
		{ FEPT, 3, 0x400000b7 | B(12), BAD },
		{ FEPT, 3, 0x400000b7 | B(30), LEAF },
		{ FEPT_NOGB, 3, 0x400000b7, BAD },
		{ FEPT_NOGB, 2, 0x2000b7, LEAF },
		/* addresses, ignored bits */
		{ FEPT, 1, 0x1037 | B(45), LEAF },
		{ FEPT, 1, 0x1037 | B(46), BAD },
		{ FEPT, 4, 0x1007 | B(51), BAD },
		{ FEPT, 1, 0x1037 | 0x7ffULL << 52 | B(63) | B(10) | B(11), LEAF },
	};

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		struct nmmu_gfmt fmt = get(v[i].fmt);

		if (judge(&fmt, v[i].gpte, v[i].level) != v[i].want)
			fail_msg("row %u: format %d level %u entry %#llx: %d", i, v[i].fmt, v[i].level,
				 (unsigned long long)v[i].gpte, judge(&fmt, v[i].gpte, v[i].level));
	}
}

/* Where entries lead. */
static void frames(void **state)
{
	static const struct {
		enum fmt_id fmt;
		u32 level;
		u64 gpte, addr;
		u64 leaf_gfn, table_gfn;
		u32 index;
	} v[] = {
		{ F32, 1, 0x12345067, 0x00403abc, 0x12345, 0x12345, 3 },
		{ F32, 2, 0xffc000e7, 0x00c03abc, 0xffc03, 0xffc00, 3 },
		{ F32, 2, 0x0041e0e7, 0x00401000, 0xf00401, 0x41e, 1 },
		{ F32, 2, 0x1067, 0xffffffff, 0x3ff, 1, 1023 },
		{ FPAE, 1, 0x8000000fedcba067, 0x7fe1fff, 0xfedcba, 0xfedcba, 0x1e1 },
		{ FPAE, 2, 0x8000000fede000e7, 0x7fe1fff, 0xfedfe1, 0xfede00, 63 },
		{ FPAE, 3, 0x1001, 0xc0000000, 0, 1, 3 },
		{ F4, 1, 0x8000345678901067, 0xffff812345678fff, 0x345678901, 0x345678901, 0x78 },
		{ F4, 3, 0x3456400000e7, 0x7fffffff, 0x34567ffff, 0x345640000, 1 },
		{ F4, 4, 0x5067, 0xff8000000000, 0, 5, 511 },
		{ F5, 5, 0x5067, 0x1ff000000000000, 0, 5, 511 },
		{ FEPT, 2, 0x123456e000b7, 0x1ff000, 0x123456fff, 0x123456e00, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < NR(v); i++) {
		struct nmmu_gfmt fmt = get(v[i].fmt);

		assert_int_equal(nmmu_gfmt_index(&fmt, v[i].addr, v[i].level), v[i].index);
		assert_int_equal(nmmu_gfmt_table_gfn(&fmt, v[i].gpte), v[i].table_gfn);
		if (v[i].level <= 2 || (v[i].level == 3 && v[i].fmt == F4))
			assert_int_equal(nmmu_gfmt_leaf_gfn(&fmt, v[i].gpte, v[i].level, v[i].addr),
					 v[i].leaf_gfn);
	}
}

/* D.1 step 7, as the rule has it. */
static void ept_permissions(void **state)
{
	static const u8 want[] = { 0, 0x33, 0x0f, 0x3f, 0x55, 0x77, 0x5f, 0x7f };
	struct nmmu_gfmt fmt = get(FEPT);

	(void)state;
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(fmt.perm[i], want[(i & 3) | (i & 8) >> 1]);
}

static void x86_permissions(void **state)
{
	unsigned int nr = 0, nr_denied = 0;

	(void)state;
	for (u32 mode = 0; mode < 64; mode++) {
		bool pae = mode & 32;
		struct nmmu_gfmt fmt = {
			.kind = pae ? NMMU_GPT_64 : NMMU_GPT_32,
			.levels = pae ? 4 : 2,
			.phys_bits = 46,
			.wp = mode & 1,
			.smep = mode & 2,
			.smap = mode & 4,
			.nx = mode & 16,
		};
		struct ref_tables t = {
			.kind = pae ? REF_4LEVEL : REF_32,
			.wp = fmt.wp,
			.smep = fmt.smep,
			.smap = fmt.smap,
			.nxe = fmt.nx,
			.ac = mode & 8,
		};

		nmmu_gfmt_finish(&fmt);
		for (u32 bits = 0; bits < 64; bits++) {
			/* NX is reserved where it is not enabled. */
			bool u = bits & 1, w = bits & 2, nx = (bits & 4) && fmt.nx && pae;
			struct ref_access a = { .user = bits & 8, .write = bits & 16, .fetch = bits & 32 };
			u64 gpte = 1 | (w ? 2 : 0) | (u ? 4 : 0) | (nx ? B(63) : 0);
			u64 pfec = (a.write ? NMMU_PF_W : 0) | (a.user ? NMMU_PF_U : 0) |
				   (a.fetch ? NMMU_PF_I : 0) | (t.ac ? NMMU_PF_RSVD : 0);
			bool denied = fmt.perm[pfec >> 1] >> nmmu_gfmt_access(&fmt, gpte) & 1;

			/* No access writes and fetches at once. */
			if (a.write && a.fetch)
				continue;
			if (denied == ref_x86_allowed(&t, u, w, !nx, &a))
				fail_msg("mode %#x bits %#x: denied %d", mode, bits, denied);
			nr++;
			nr_denied += denied;
		}
	}
	print_message("# %u combinations, %u denied\n", nr, nr_denied);
}

/*
 * All EPT entries in bits 7:0, at each level, with and without execute-only and 1G, against the rule read
 * plainly.
 */
static void ept_low_bits(void **state)
{
	unsigned int nr_bad = 0;

	(void)state;
	for (u32 caps = 0; caps < 4; caps++) {
		struct nmmu_gfmt fmt = formats[FEPT5];

		fmt.exec_only = caps & 1;
		fmt.gbpages = caps & 2;
		nmmu_gfmt_finish(&fmt);
		for (u32 level = 1; level <= 5; level++) {
			for (u32 low = 0; low < 256; low++) {
				u32 rwx = low & 7, mt = low >> 3 & 7;
				bool leaf = level == 1 || (low & 0x80 && level <= 3), bad;

				if (!rwx) {
					assert_false(nmmu_gfmt_is_present(&fmt, low));
					continue;
				}
				bad = (rwx & 3) == 2 || (rwx == 4 && !fmt.exec_only);
				if (leaf)
					bad = bad || mt == 2 || mt == 3 || mt == 7 ||
					      (level == 3 && !fmt.gbpages);
				else
					bad = bad || low & 0x78 || (level > 3 && low & 0x80);
				if (nmmu_gfmt_is_rsvd(&fmt, low, level) != bad)
					fail_msg("caps %u level %u bits %#x", caps, level, low);
				nr_bad += bad;
			}
		}
	}
	assert_true(nr_bad > 1000);
}

static void ad_masks(void **state)
{
	struct nmmu_gfmt none = { .kind = NMMU_GPT_NONE, .ad = true }, fmt;

	(void)state;
	fmt = get(F32);
	assert_int_equal(nmmu_gfmt_a_mask(&fmt), 0x20);
	assert_int_equal(nmmu_gfmt_d_mask(&fmt), 0x40);
	assert_int_equal(nmmu_gfmt_bytes(&fmt), 4);
	fmt = get(FEPT);
	assert_int_equal(nmmu_gfmt_a_mask(&fmt), 0x100);
	assert_int_equal(nmmu_gfmt_d_mask(&fmt), 0x200);
	assert_int_equal(nmmu_gfmt_bytes(&fmt), 8);
	fmt = get(FEPT_X);
	assert_int_equal(nmmu_gfmt_a_mask(&fmt), 0);
	assert_int_equal(nmmu_gfmt_d_mask(&fmt), 0);
	nmmu_gfmt_finish(&none);
	assert_int_equal(nmmu_gfmt_a_mask(&none), 0);
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(none.perm[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries),	   cmocka_unit_test(frames),
		cmocka_unit_test(ept_permissions), cmocka_unit_test(x86_permissions),
		cmocka_unit_test(ept_low_bits),	   cmocka_unit_test(ad_masks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
