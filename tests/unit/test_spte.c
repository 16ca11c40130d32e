// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What single SPTEs say: the vectors of SEMANTICS B5, AMD's counterparts, the write states of E.1 by hand,
 * MMIO with and without the L1TF guard, the rules of H, refusals of the encoder, names and fields.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "spte/spte.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static const struct spte_profile *profile(const char *name)
{
	const struct spte_profile *p = spte_profile_by_name(name);

	assert_non_null(p);
	return p;
}

/* Decodes, insists on success, and checks the way back. */
static struct spte_info decode(const struct spte_profile *p, u64 raw, unsigned int level)
{
	struct spte_info info;
	u64 back = 0;

	assert_int_equal(spte_decode(p, raw, level, &info), 0);
	assert_int_equal(spte_encode(p, &info, &back), 0);
	assert_int_equal(back, raw);
	assert_int_equal(spte_class(p, raw, level), info.cls);
	return info;
}

static void b5_leaves(void **state)
{
	static const struct {
		u64 ipat, no_ipat; /* as B5 has them for 6.1 */
		enum spte_ad_kind kind;
		bool r, w, x, a, d, tracked, accessed, dirty;
		enum spte_wstate wstate;
		u8 saved;
	} v[] = {
		{ 0x0600000012345b77, 0x0600000012345b37, SPTE_AD_ENABLED, 1, 1, 1, 1, 1, 0, 1, 1, SPTE_W_RW,
		  0 },
		{ 0x0620000012345b75, 0x0620000012345b35, SPTE_AD_WRPROT_ONLY, 1, 0, 1, 1, 1, 0, 1, 1,
		  SPTE_W_DL, 0 },
		{ 0x0610000012345877, 0x0610000012345837, SPTE_AD_DISABLED, 1, 1, 1, 0, 0, 0, 1, 1, SPTE_W_RW,
		  0 },
		{ 0x0750000012345870, 0x0750000012345830, SPTE_AD_DISABLED, 0, 0, 0, 0, 0, 1, 0, 0, SPTE_W_AT,
		  5 },
		{ 0x0610000012345875, 0x0610000012345835, SPTE_AD_DISABLED, 1, 0, 1, 0, 0, 0, 1, 0, SPTE_W_DL,
		  0 },
	};
	unsigned int i, k;

	(void)state;
	for (i = 0; i < NR(v); i++) {
		for (k = 0; k < 4; k++) {
			const struct spte_profile *p = profile(k & 1 ? "ept-6.12" : "ept-6.1");
			u64 raw = (k & 2 ? v[i].no_ipat : v[i].ipat) | (k & 1 ? 1ULL << 63 : 0);
			struct spte_info info = decode(p, raw, 1);

			assert_int_equal(info.cls, SPTE_CLASS_LEAF);
			assert_int_equal(info.pfn, 0x12345);
			assert_int_equal(info.ad_kind, v[i].kind);
			assert_int_equal(info.read_user, v[i].r);
			assert_int_equal(info.writable, v[i].w);
			assert_int_equal(info.executable, v[i].x);
			assert_int_equal(info.accessed_bit, v[i].a);
			assert_int_equal(info.dirty_bit, v[i].d);
			assert_int_equal(info.tracked, v[i].tracked);
			assert_int_equal(info.saved, v[i].saved);
			assert_int_equal(info.wstate, v[i].wstate);
			assert_true(info.host_writable && info.mmu_writable && !info.huge && !info.encrypted);
			assert_int_equal(info.memtype, 6);
			assert_int_equal(info.ignore_pat, !(k & 2));
			assert_int_equal(spte_is_accessed(p, raw), v[i].accessed);
			assert_int_equal(spte_is_dirty(p, raw), v[i].dirty);
			assert_int_equal(spte_is_readable(p, raw), v[i].r);
			assert_int_equal(spte_wstate(p, raw, 1), v[i].wstate);
			assert_true(spte_kind_fits_role(p, raw, v[i].kind == SPTE_AD_DISABLED));
			assert_false(spte_kind_fits_role(p, raw, v[i].kind != SPTE_AD_DISABLED));
			assert_int_equal(spte_check(p, raw, 1), 0);
		}
	}
	assert_int_equal(decode(profile("ept-6.12"), 0x8600000012345b77, 1).cls, SPTE_CLASS_LEAF);
}

static void b5_mmio(void **state)
{
	const struct spte_profile *p = profile("ept-6.1");
	struct spte_info info = decode(p, 0x12300000fee0022e, 1);

	(void)state;
	assert_int_equal(info.cls, SPTE_CLASS_MMIO);
	assert_int_equal(info.mmio_gfn, 0xfee00);
	assert_int_equal(info.mmio_gen, 0x12345);
	assert_int_equal(info.mmio_access, 0);
	assert_string_equal(spte_letter(&info), "M");

	info = decode(profile("ept-6.12"), 0xfee00016, 1);
	assert_int_equal(info.cls, SPTE_CLASS_MMIO);
	assert_int_equal(info.mmio_gfn, 0xfee00);
	assert_int_equal(info.mmio_gen, 2);

	/* All 19 bits, and nothing of them in bit 63. */
	info = decode(p, 0x7ff00000fee007fe, 1);
	assert_int_equal(info.mmio_gen, 0x7ffff);
	assert_int_equal(spte_decode(p, 0x80000000fee00016, 1, &info), -EBADMSG);
	assert_int_equal(info.unknown_bits, 1ULL << 63);
}

/* 44 address bits cached: the guard is 43:39, and those bits of the gfn move to 48:44. */
static void mmio_l1tf(void **state)
{
	struct spte_mask_set set = { 0 };
	struct spte_profile p;
	struct spte_info info;
	u64 raw;

	(void)state;
	assert_int_equal(spte_mask_set_add(&set, SPTE_MASK_nonpresent_or_rsvd, 0x00000f8000000000), 0);
	assert_int_equal(spte_mask_set_add(&set, SPTE_MASK_nonpresent_or_rsvd_lower_gfn, 0x0000007ffffff000),
			 0);
	assert_int_equal(spte_profile_build(profile("ept-6.1"), &set, &p, NULL), 0);
	assert_int_equal(p.phys_bits, 44);

	/* gpa 0xa80fee00000: 43:39 = 10101, stored as guard 11111 and 10101 at 48:44. */
	info = decode(&p, 0x00015f80fee00016, 1);
	assert_int_equal(info.cls, SPTE_CLASS_MMIO);
	assert_int_equal(info.mmio_gfn, 0xa80fee00);
	assert_int_equal(info.mmio_gen, 2);
	assert_int_equal(spte_check(&p, 0x00015f80fee00016, 1), 0);

	/* Without the guard it is no value of this kernel, and row 16 is broken. */
	assert_int_equal(spte_decode(&p, 0x00015780fee00016, 1, &info), -EBADMSG);
	assert_int_equal(info.missing_bits, 1ULL << 43);
	assert_int_equal(spte_check(&p, 0x00015780fee00016, 1), SPTE_BAD(L1TF));

	/* What cannot be stored is refused. */
	info = (struct spte_info){ .cls = SPTE_CLASS_MMIO, .mmio_gfn = 1ULL << 32 };
	assert_int_equal(spte_encode(&p, &info, &raw), -EINVAL);
}

static void amd_values(void **state)
{
	static const char *const names[] = { "npt-6.1", "npt-6.12" };
	unsigned int k;

	(void)state;
	for (k = 0; k < NR(names); k++) {
		const struct spte_profile *p = profile(names[k]);
		struct spte_info info = decode(p, 0x12345e67, 1);

		assert_int_equal(info.cls, SPTE_CLASS_LEAF);
		assert_int_equal(info.pfn, 0x12345);
		assert_int_equal(info.wstate, SPTE_W_RW);
		assert_true(info.read_user && info.writable && info.executable && info.accessed_bit &&
			    info.dirty_bit);
		assert_int_equal(info.ad_kind, SPTE_AD_ENABLED);
		assert_int_equal(info.memtype, 6);
		assert_true(spte_is_readable(p, 0x12345e67) && spte_is_user(p, 0x12345e67));
		assert_false(spte_is_user(p, 0x12345e63));
		assert_false(spte_ignore_pat(p, 0x12345e67));

		assert_int_equal(decode(p, 0x12345e65, 1).wstate, SPTE_W_DL);
		assert_int_equal(decode(p, 0x12345a65, 1).wstate, SPTE_W_WP);
		assert_int_equal(decode(p, 0x12345825, 1).wstate, SPTE_W_RO);
		assert_false(decode(p, 0x8000000012345e67, 1).executable);

		info = decode(p, 0x40000ee7, 2);
		assert_true(info.huge && spte_is_huge(p, 0x40000ee7, 2));
		assert_false(spte_is_huge(p, 0x40000ee7, 1));
		info = decode(p, 0x12345827, 4);
		assert_int_equal(info.cls, SPTE_CLASS_TABLE);
		assert_int_equal(info.pfn, 0x12345);
		assert_string_equal(spte_letter(&info), "T");

		info = decode(p, 0x00080000fee00017, 1);
		assert_int_equal(info.cls, SPTE_CLASS_MMIO);
		assert_int_equal(info.mmio_gfn, 0xfee00);
		assert_int_equal(info.mmio_gen, 2);
		assert_int_equal(info.mmio_access, 6);
	}
}

static void special_values(void **state)
{
	struct spte_info info;

	(void)state;
	info = decode(profile("ept-6.1"), 0, 1);
	assert_int_equal(info.cls, SPTE_CLASS_NONPRESENT);
	assert_false(info.np_zero);
	info = decode(profile("npt-6.12"), 0, 1);
	assert_int_equal(info.cls, SPTE_CLASS_NONPRESENT);
	assert_true(info.np_zero);
	info = decode(profile("npt-6.12"), 1ULL << 63, 1);
	assert_int_equal(info.cls, SPTE_CLASS_NONPRESENT);
	assert_false(info.np_zero);
	assert_string_equal(spte_letter(&info), ".");
	assert_int_equal(spte_class(profile("npt-6.1"), 1ULL << 63, 1), SPTE_CLASS_UNKNOWN);

	info = decode(profile("npt-6.1"), 0x5a0, 1);
	assert_int_equal(info.cls, SPTE_CLASS_FROZEN);
	assert_string_equal(spte_letter(&info), "F");
	assert_int_equal(decode(profile("ept-6.12"), 0x80000000000005a0, 2).cls, SPTE_CLASS_FROZEN);
	assert_int_equal(spte_class(profile("ept-6.12"), 0x5a0, 2), SPTE_CLASS_UNKNOWN);

	assert_int_equal(spte_decode(profile("npt-6.1"), 0x12345e67, 0, &info), -EINVAL);
	assert_int_equal(info.cls, SPTE_CLASS_UNKNOWN);
	assert_int_equal(spte_decode(profile("npt-6.1"), 0x12345e67, 6, &info), -EINVAL);
	assert_string_equal(spte_letter(&info), "!");
}

/* E.1, written out: H M W, then the state. */
static void write_states(void **state)
{
	static const struct {
		bool h, m, w;
		enum spte_wstate want;
		const char *letter;
	} e1[] = {
		{ 0, 0, 0, SPTE_W_RO, "R" },	  { 0, 0, 1, SPTE_W_ILLEGAL, "!" },
		{ 0, 1, 0, SPTE_W_ILLEGAL, "!" }, { 0, 1, 1, SPTE_W_ILLEGAL, "!" },
		{ 1, 0, 0, SPTE_W_WP, "P" },	  { 1, 0, 1, SPTE_W_ILLEGAL, "!" },
		{ 1, 1, 0, SPTE_W_DL, "D" },	  { 1, 1, 1, SPTE_W_RW, "W" },
	};
	/* Access-tracked: any H and M that are legal at all, W gone. */
	static const struct {
		bool h, m;
		enum spte_wstate want;
	} at[] = {
		{ 0, 0, SPTE_W_AT },
		{ 1, 0, SPTE_W_AT },
		{ 1, 1, SPTE_W_AT },
		{ 0, 1, SPTE_W_ILLEGAL },
	};
	const struct spte_profile *ept = profile("ept-6.1"), *npt = profile("npt-6.1");
	unsigned int i, kind;
	u32 bad;

	(void)state;
	for (i = 0; i < NR(e1); i++) {
		for (kind = 0; kind < 3; kind++) {
			u64 raw = 0x0000000012345871 | (u64)kind << 52 | (u64)e1[i].h << 57 |
				  (u64)e1[i].m << 58 | e1[i].w << 1;
			struct spte_info info = decode(ept, raw, 1);

			assert_int_equal(info.wstate, e1[i].want);
			assert_int_equal(info.ad_kind, kind);
			assert_string_equal(spte_letter(&info), e1[i].letter);
			assert_int_equal(spte_is_write_illegal(ept, raw), e1[i].want == SPTE_W_ILLEGAL);
			bad = (e1[i].m && !e1[i].h ? SPTE_BAD(MW_NOT_HW) : 0) |
			      (e1[i].w && !e1[i].m ? SPTE_BAD(W_NOT_MW) : 0);
			assert_int_equal(spte_check(ept, raw, 1), bad);
		}
		{
			u64 raw = 0x12345825 | e1[i].h << 9 | e1[i].m << 10 | e1[i].w << 1;

			assert_int_equal(decode(npt, raw, 1).wstate, e1[i].want);
			bad = (e1[i].m && !e1[i].h ? SPTE_BAD(MW_NOT_HW) : 0) |
			      (e1[i].w && !e1[i].m ? SPTE_BAD(W_NOT_MW) : 0);
			assert_int_equal(spte_check(npt, raw, 1), bad);
		}
	}
	for (i = 0; i < NR(at); i++) {
		u64 raw = 0x0150000012345870 | (u64)at[i].h << 57 | (u64)at[i].m << 58;
		struct spte_info info = decode(ept, raw, 1);

		assert_int_equal(info.wstate, at[i].want);
		assert_true(info.tracked);
		assert_string_equal(spte_letter(&info), at[i].want == SPTE_W_AT ? "A" : "!");
	}
	/* RWX=0 with another kind is not access-tracked. */
	assert_int_equal(spte_wstate(ept, 0x0600000012345870, 1), SPTE_W_DL);
	assert_int_equal(spte_wstate(ept, 0x0000000012345907, 2), SPTE_W_NONE);
}

static void rules(void **state)
{
	static const struct {
		const char *profile;
		u64 raw;
		unsigned int level;
		u32 want;
	} v[] = {
		{ "ept-6.1", 0x0200000012345877, 1, SPTE_BAD(W_NOT_MW) },
		{ "ept-6.1", 0x0400000012345875, 1, SPTE_BAD(MW_NOT_HW) },
		{ "ept-6.1", 0x0630000012345b77, 1, SPTE_BAD(KIND) },
		{ "npt-6.1", 0x0010000012345e67, 1, SPTE_BAD(KIND) },
		{ "ept-6.1", 0x0600000012345870, 1, SPTE_BAD(RWX0) },
		{ "ept-6.1", 0x0640000012345b77, 1, SPTE_BAD(SAVED) },
		{ "ept-6.1", 0x0710000012345877, 1, SPTE_BAD(SAVED) },
		{ "ept-6.1", 0x0610000012345977, 1, SPTE_BAD(AD_RSVD) },
		{ "ept-6.1", 0x0610000012345a77, 1, SPTE_BAD(AD_RSVD) },
		{ "ept-6.1", 0x0010000012345907, 2, SPTE_BAD(AD_RSVD) },
		{ "ept-6.1", 0x0600000012345872, 1, SPTE_BAD(RSVD) }, /* W alone */
		{ "ept-6.12", 0x8600000012345876, 1, SPTE_BAD(RSVD) }, /* W and X */
		{ "ept-6.1", 0x0600000012345857, 1, SPTE_BAD(RSVD) }, /* memory type 2 */
		{ "ept-6.1", 0x0600000012345bf7, 2, SPTE_BAD(RSVD) }, /* 2M not aligned */
		{ "ept-6.1", 0x06000000001008f7, 2, SPTE_BAD(RSVD) }, /* 2M, bit 20 */
		{ "ept-6.1", 0x06000000200008f7, 3, SPTE_BAD(RSVD) }, /* 1G, bit 29 */
		{ "ept-6.1", 0x06000000400008f7, 3, 0 },
		{ "ept-6.1", 0x0600000000000bf7, 4, SPTE_BAD(RSVD) }, /* huge at level 4 */
		{ "ept-6.1", 0x0000000012345947, 3, SPTE_BAD(RSVD) }, /* bit 6 of a table entry */
		{ "ept-6.1", 0x000000001234590f, 3, SPTE_BAD(RSVD) }, /* bit 3 of a table entry */
		{ "ept-6.1", 0x0600000012345874, 1, 0 }, /* execute only */
		{ "npt-6.1", 0x0008000012345e67, 1, SPTE_BAD(RSVD) | SPTE_BAD(PRESENT_MMIO) },
		{ "npt-6.1", 0x0000000012345927, 4, SPTE_BAD(RSVD) }, /* bit 8 of a PML4E */
		{ "npt-6.1", 0x0000000012345927, 2, 0 },
		{ "npt-6.1", 0x0000000000001ee7, 2, 0 }, /* bit 12 of a 2M entry is PAT */
		{ "npt-6.1", 0x0000000000002ee7, 2, SPTE_BAD(RSVD) },
		{ "ept-6.1", 0x0600000012345876, 1, SPTE_BAD(RSVD) | SPTE_BAD(PRESENT_MMIO) },
		{ "ept-6.1", 0x0000000012345007, 1, SPTE_BAD(NP_FORM) },
		{ "ept-6.1", 0x4000000012345000, 1, SPTE_BAD(NP_FORM) },
		{ "ept-6.1", 0x8000000012345006, 1, SPTE_BAD(NP_FORM) },
		{ "npt-6.1", 1ULL << 63, 1, SPTE_BAD(NP_FORM) },
		{ "npt-6.12", 1ULL << 63, 1, 0 },
		{ "npt-6.12", 0, 1, 0 },
		{ "npt-6.12", 0x5a0, 1, SPTE_BAD(NP_FORM) },
		{ "npt-6.1", 0x5a0, 1, 0 },
		{ "ept-6.1", 0xfee00016, 1, 0 },
	};
	struct spte_mask_set set = { 0 };
	struct spte_profile p;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR(v); i++) {
		u32 got = spte_check(profile(v[i].profile), v[i].raw, v[i].level);

		if (got != v[i].want)
			fail_msg("%s %#llx level %u: %#x, not %#x", v[i].profile,
				 (unsigned long long)v[i].raw, v[i].level, got, v[i].want);
	}

	/*
	 * Hardware that cannot execute without reading: R is in the present mask, and 100 is a
	 * misconfiguration.
	 */
	spte_mask_set_add(&set, SPTE_MASK_present, 1);
	assert_int_equal(spte_profile_build(profile("ept-6.1"), &set, &p, NULL), 0);
	assert_int_equal(spte_check(&p, 0x0600000012345874, 1), SPTE_BAD(RSVD));
	assert_int_equal(spte_class(&p, 0x0600000012345874, 1), SPTE_CLASS_UNKNOWN);
	/* There, too, access tracking takes R away. */
	assert_int_equal(decode(&p, 0x0750000012345870, 1).wstate, SPTE_W_AT);
	assert_int_equal(decode(&p, 0x0600000012345b77, 1).wstate, SPTE_W_RW);

	assert_int_equal(spte_rule_row(SPTE_RULE_MW_NOT_HW), 1);
	assert_int_equal(spte_rule_row(SPTE_RULE_L1TF), 16);
	assert_int_equal(spte_rule_row(SPTE_NR_RULES), 0);
	assert_string_equal(spte_rule_name(SPTE_RULE_W_NOT_MW), "w=>mw");
	assert_string_equal(spte_rule_name(SPTE_NR_RULES), "");
	assert_string_equal(spte_rule_text(SPTE_NR_RULES), "");
	for (i = 0; i < SPTE_NR_RULES; i++)
		assert_true(strlen(spte_rule_text(i)) > 10);
}

/* Each value fits exactly the profiles given, as bits in the order of spte_profile_at(). */
static void wrong_profile(void **state)
{
	static const struct {
		u64 raw;
		unsigned int level;
		u32 fit;
	} v[] = {
		{ 0x0600000012345b77, 1, 0x1 },
		{ 0x8600000012345b77, 1, 0x2 },
		{ 0x0620000012345b75, 1, 0x1 },
		{ 0x8620000012345b35, 1, 0x2 },
		{ 0x0750000012345870, 1, 0x1 },
		{ 0x06000000400008f7, 3, 0x1 },
		{ 0x12345907, 2, 0x1 },
		{ 0x8000000012345907, 2, 0x2 },
		{ 0x0010000012345807, 4, 0x1 },
		{ 0x12345e67, 1, 0xc },
		{ 0x8000000012345e67, 1, 0xc },
		{ 0x12345e65, 1, 0xc },
		{ 0x40000ee7, 2, 0xc },
		{ 0x12345827, 3, 0xc },
		{ 0xfee00016, 1, 0x3 },
		{ 0x00080000fee00017, 1, 0xc },
		{ 0, 1, 0xf },
		{ 1ULL << 63, 1, 0xa },
		{ 0x5a0, 1, 0x5 },
		{ 0x80000000000005a0, 1, 0xa },
		/*
		 * A single value cannot always tell: AMD's read-only leaf reads as EPT's, R-X and
		 * write-through.
		 */
		{ 0x12345825, 1, 0xd },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < NR(v); i++) {
		if (spte_profiles_fitting(v[i].raw, v[i].level) != v[i].fit)
			fail_msg("%#llx fits %#x, not %#x", (unsigned long long)v[i].raw,
				 spte_profiles_fitting(v[i].raw, v[i].level), v[i].fit);
	}
}

static void encode_refuses(void **state)
{
	const struct spte_profile *ept = profile("ept-6.1"), *npt = profile("npt-6.1");
	const struct spte_info leaf = decode(ept, 0x0600000012345b77, 1),
			       at = decode(ept, 0x0750000012345870, 1);
	const struct spte_info table = decode(ept, 0x12345907, 2), amd = decode(npt, 0x12345e67, 1);
	const struct spte_info mmio = decode(ept, 0xfee00016, 1);
	u64 raw = 0x1234;

#define REFUSED(p, from, change)                                     \
	do {                                                         \
		struct spte_info i = from;                           \
		i.change;                                            \
		assert_int_equal(spte_encode(p, &i, &raw), -EINVAL); \
	} while (0)

	(void)state;
	REFUSED(ept, leaf, pfn = 1ULL << 40);
	REFUSED(npt, amd, pfn = 1ULL << 39);
	REFUSED(ept, leaf, level = 0);
	REFUSED(ept, leaf, level = 6);
	REFUSED(ept, leaf, level = 2); /* not huge */
	REFUSED(ept, leaf, huge = true);
	REFUSED(ept, leaf, ad_kind = SPTE_AD_INVALID);
	REFUSED(npt, amd, ad_kind = SPTE_AD_DISABLED);
	REFUSED(ept, leaf, memtype = 3);
	REFUSED(npt, amd, memtype = 0);
	REFUSED(npt, amd, ignore_pat = true);
	REFUSED(npt, amd, saved = 1);
	REFUSED(ept, leaf, saved = 2);
	REFUSED(ept, leaf, encrypted = true);
	REFUSED(ept, leaf, tracked = true);
	REFUSED(ept, at, tracked = false);
	REFUSED(ept, at, read_user = true);
	REFUSED(ept, leaf, read_user = false); /* W and X without R: the MMIO pattern */
	REFUSED(ept, table, level = 1);
	REFUSED(ept, table, ad_kind = SPTE_AD_WRPROT_ONLY);
	REFUSED(ept, table, writable = false);
	REFUSED(ept, table, pfn = 1ULL << 40);
	REFUSED(ept, mmio, mmio_gen = 1u << 19);
	REFUSED(ept, mmio, mmio_access = 2);
	REFUSED(ept, mmio, mmio_gfn = 1ULL << 40);
	REFUSED(npt, mmio, mmio_gfn = 1ULL << 39);
	REFUSED(ept, leaf, cls = SPTE_CLASS_UNKNOWN);
	assert_int_equal(raw, 0x1234);

	/* A pfn whose huge page would not be aligned. */
	{
		struct spte_info i = leaf;

		i.level = 2;
		i.huge = true;
		assert_int_equal(spte_encode(ept, &i, &raw), -EINVAL);
		i.pfn = 0x12400;
		assert_int_equal(spte_encode(ept, &i, &raw), 0);
		assert_int_equal(raw, 0x0600000012400bf7);
	}
}

/*
 * Hosts unlike the built-ins: no A/D bits, no NX, MMIO caching off, execute-only missing, memory encryption.
 */
static void other_hosts(void **state)
{
	struct spte_mask_set noad = { 0 }, nonx = { 0 }, nommio = { 0 }, sme = { 0 }, rx = { 0 };
	struct spte_profile p;
	struct spte_info info;
	u64 raw;

	(void)state;
	spte_mask_set_add(&noad, SPTE_MASK_accessed, 0);
	spte_mask_set_add(&noad, SPTE_MASK_dirty, 0);
	assert_int_equal(spte_profile_build(profile("ept-6.1"), &noad, &p, NULL), 0);
	assert_int_equal(decode(&p, 0x0610000012345877, 1).wstate, SPTE_W_RW);
	assert_int_equal(spte_class(&p, 0x0610000012345977, 1), SPTE_CLASS_UNKNOWN);
	assert_true(spte_is_accessed(&p, 0x0610000012345877) && spte_is_dirty(&p, 0x0610000012345877));
	info = decode(&p, 0x0610000012345877, 1);
	info.accessed_bit = true;
	assert_int_equal(spte_encode(&p, &info, &raw), -EINVAL);
	info.accessed_bit = false;
	info.dirty_bit = true;
	assert_int_equal(spte_encode(&p, &info, &raw), -EINVAL);

	spte_mask_set_add(&nonx, SPTE_MASK_nx, 0);
	assert_int_equal(spte_profile_build(profile("npt-6.1"), &nonx, &p, NULL), 0);
	info = decode(&p, 0x12345e67, 1);
	assert_true(info.executable);
	info.executable = false;
	assert_int_equal(spte_encode(&p, &info, &raw), -EINVAL);

	spte_mask_set_add(&nommio, SPTE_MASK_mmio_value, 0);
	assert_int_equal(spte_profile_build(profile("ept-6.1"), &nommio, &p, NULL), 0);
	assert_int_equal(spte_class(&p, 0xfee00016, 1), SPTE_CLASS_UNKNOWN);
	info = (struct spte_info){ .cls = SPTE_CLASS_MMIO, .mmio_gfn = 0xfee00 };
	assert_int_equal(spte_encode(&p, &info, &raw), -EINVAL);

	spte_mask_set_add(&rx, SPTE_MASK_present, 1);
	assert_int_equal(spte_profile_build(profile("ept-6.1"), &rx, &p, NULL), 0);
	info = decode(&p, 0x0600000012345b75, 1);
	info.read_user = false;
	assert_int_equal(spte_encode(&p, &info, &raw), -EINVAL);

	/*
	 * SME: C bit 47, five address bits lost to it, MMIO by all the reserved ones (svm_adjust_mmio_mask).
	 */
	spte_mask_set_add(&sme, SPTE_MASK_me_mask, 1ULL << 47);
	spte_mask_set_add(&sme, SPTE_MASK_me_value, 1ULL << 47);
	spte_mask_set_add(&sme, SPTE_MASK_mmio_value, 0x000ff80000000001);
	spte_mask_set_add(&sme, SPTE_MASK_mmio_mask, 0x000ff80000000001);
	spte_mask_set_add(&sme, SPTE_MASK_nonpresent_or_rsvd, 0);
	spte_mask_set_add(&sme, SPTE_MASK_nonpresent_or_rsvd_lower_gfn, 0x000007fffffff000);
	assert_int_equal(spte_profile_build(profile("npt-6.12"), &sme, &p, NULL), 0);
	assert_int_equal(p.phys_bits, 43);
	info = decode(&p, 0x0000800012345e67, 1);
	assert_true(info.encrypted);
	assert_int_equal(info.pfn, 0x12345);
	assert_int_equal(spte_check(&p, 0x0000800012345e67, 1), 0);
	assert_false(decode(&p, 0x12345e67, 1).encrypted);
	assert_int_equal(spte_class(&p, 0x0001000012345e67, 1), SPTE_CLASS_UNKNOWN);
	assert_int_equal(decode(&p, 0x000ff800fee00017, 1).mmio_gfn, 0xfee00);

	/* Key bits of which none is KVM's own: any of them is foreign (MKTME). */
	sme = (struct spte_mask_set){ 0 };
	spte_mask_set_add(&sme, SPTE_MASK_me_mask, 3ULL << 46);
	assert_int_equal(spte_profile_build(profile("ept-6.12"), &sme, &p, NULL), 0);
	assert_int_equal(spte_decode(&p, 0x8600400012345b77, 1, &info), -EBADMSG);
	assert_int_equal(info.unknown_bits, 1ULL << 46);
}

static void fields(void **state)
{
	static const struct {
		const char *profile;
		u64 raw;
		unsigned int level;
		const char *name;
		u64 value;
	} v[] = {
		{ "ept-6.1", 0x0750000012345870, 1, "saved-X", 1 },
		{ "ept-6.1", 0x0600000012345b77, 1, "memtype", 6 },
		{ "ept-6.12", 0x8600000040000bf7, 3, "PS", 1 },
		{ "ept-6.12", 0x8600000040000bf7, 3, "suppress-ve", 1 },
		{ "ept-6.1", 0x0620000012345b75, 1, "ad-kind", 2 },
		{ "ept-6.1", 0x12345907, 2, "child", 0x12345 },
		{ "npt-6.1", 0x8000000012345e67, 1, "NX", 1 },
		{ "npt-6.1", 0x12345e67, 1, "pfn", 0x12345 },
		{ "npt-6.1", 0x12345827, 4, "U", 1 },
		{ "npt-6.1", 0x00080000fee00017, 1, "access", 3 },
		{ "ept-6.1", 0x12300000fee0022e, 1, "gen-high", 0x123 },
		{ "ept-6.1", 0x12300000fee0022e, 1, "gen-low", 0x45 },
		{ "npt-6.12", 1ULL << 63, 1, "empty", 1ULL << 63 },
		{ "npt-6.12", 0x80000000000005a0, 1, "frozen", 0x80000000000005a0 },
		{ "npt-6.1", 0xdeadbeef00000801, 1, "unknown", 0 },
	};
	struct spte_info info;
	struct spte_field f;
	unsigned int i, pos;

	(void)state;
	for (i = 0; i < NR(v); i++) {
		const struct spte_profile *p = profile(v[i].profile);
		u64 seen = 0, sum = 0;
		bool found = false;

		spte_decode(p, v[i].raw, v[i].level, &info);
		for (pos = 0; spte_field_next(p, &info, &pos, &f);) {
			assert_true(f.mask && f.name[0] && f.meaning[0] && f.source);
			if (!strcmp(f.name, "missing"))
				continue;
			assert_int_equal(seen & f.mask, 0);
			seen |= f.mask;
			sum |= f.value << __builtin_ctzll(f.mask);
			if (!strcmp(f.name, "unused"))
				assert_int_equal(f.value, 0);
			if (!strcmp(f.name, v[i].name) &&
			    (f.value == v[i].value || info.cls == SPTE_CLASS_UNKNOWN))
				found = true;
		}
		assert_true(seen == ~0ULL);
		assert_true(sum == v[i].raw);
		assert_true(found);
		assert_false(spte_field_next(p, &info, &pos, &f));
	}

	/* 6.1 does not use bit 63 of an EPT entry: it has no name there. */
	spte_decode(profile("ept-6.1"), 0x0600000012345b77, 1, &info);
	for (pos = 0; spte_field_next(profile("ept-6.1"), &info, &pos, &f);)
		assert_int_equal(!!(f.mask & 1ULL << 63), !strcmp(f.name, "unused"));

	/* A missing bit is named too. */
	spte_decode(profile("ept-6.12"), 0x0600000012345b77, 1, &info);
	pos = 0;
	assert_true(spte_field_next(profile("ept-6.12"), &info, &pos, &f));
	assert_string_equal(f.name, "missing");
	assert_int_equal(f.mask, 1ULL << 63);
	assert_int_equal(info.pfn, 0);
}

static void names(void **state)
{
	struct spte_info info = { .cls = SPTE_CLASS_LEAF, .wstate = (enum spte_wstate)99 };

	(void)state;
	assert_string_equal(spte_class_name(SPTE_CLASS_TABLE), "table");
	assert_string_equal(spte_class_name(SPTE_CLASS_UNKNOWN), "unknown");
	assert_string_equal(spte_class_name((enum spte_class)99), "?");
	assert_string_equal(spte_wstate_name(SPTE_W_DL), "DL");
	assert_string_equal(spte_wstate_name(SPTE_W_ILLEGAL), "illegal");
	assert_string_equal(spte_wstate_name((enum spte_wstate)99), "?");
	assert_string_equal(spte_ad_kind_name(SPTE_AD_WRPROT_ONLY), "wrprot-only");
	assert_string_equal(spte_ad_kind_name((enum spte_ad_kind)99), "?");
	assert_string_equal(spte_memtype_name(6), "WB");
	assert_string_equal(spte_memtype_name(2), "?");
	assert_string_equal(spte_memtype_name(8), "?");
	assert_string_equal(spte_letter(&info), "!");
	info.wstate = SPTE_W_NONE;
	assert_string_equal(spte_letter(&info), "!");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b5_leaves),	  cmocka_unit_test(b5_mmio),
		cmocka_unit_test(mmio_l1tf),	  cmocka_unit_test(amd_values),
		cmocka_unit_test(special_values), cmocka_unit_test(write_states),
		cmocka_unit_test(rules),	  cmocka_unit_test(wrong_profile),
		cmocka_unit_test(encode_refuses), cmocka_unit_test(other_hosts),
		cmocka_unit_test(fields),	  cmocka_unit_test(names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("spte", tests, NULL, NULL);
}
