// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The built-in profiles, the making and checking of profiles, and the choice of one by evidence. It reads no kernel:
 * values come from the caller.
 */
#include "spte/profile.h"
#include "spte/spte.h"
#include "spte/str.h"

/*
 * Masks of the built-ins, as constants so that the compiler can prove them disjoint. B.3 gives the source of each.
 */
#define MMU_PRESENT SPTE_BIT(11)     /* ignored by every format, and a low bit makes short code */
#define AD_SHIFT 52
#define AD_MASK SPTE_BITS(53, 52)    /* ignored by EPT; reserved in PAE, where the kind is always 0 */
#define SAVED_SHIFT 54
#define SAVED (SPTE_EPT_R | SPTE_EPT_X) /* W is not saved: a write must be seen anyway */
#define GEN_LOW_START 3
#define GEN_LOW_BITS 8
#define GEN_HIGH_START 52
#define GEN_HIGH_BITS 11
#define GEN_LOW SPTE_BITS(GEN_LOW_START + GEN_LOW_BITS - 1, GEN_LOW_START)
#define GEN_HIGH SPTE_BITS(GEN_HIGH_START + GEN_HIGH_BITS - 1, GEN_HIGH_START)
#define RSVD_SHIFT 5
#define NP_6_12 SPTE_BIT(63)	     /* suppresses #VE on an empty entry */
#define FROZEN_LOW 0x5a0ULL	     /* no R, W, X, no address bits, not MMU-present */

#define EPT_H SPTE_BIT(57)	     /* low ignored bits are scarce in EPT, so high ones */
#define EPT_M SPTE_BIT(58)
#define EPT_A SPTE_BIT(8)
#define EPT_D SPTE_BIT(9)
#define EPT_MEMTYPE (SPTE_EPT_MT | SPTE_EPT_IPAT)
#define EPT_MMIO_VALUE (SPTE_HW_W | SPTE_EPT_X) /* a misconfiguration, hence an exit of its own */
#define EPT_PHYS_BITS 52

#define PT_H SPTE_BIT(9)	     /* ignored by every PT format, PAE included */
#define PT_M SPTE_BIT(10)
#define PT_A SPTE_BIT(5)
#define PT_D SPTE_BIT(6)
#define PT_MMIO (SPTE_BIT(51) | SPTE_PT_P) /* a reserved address bit: #PF or #NPF with RSVD */
#define PT_PHYS_BITS 51		     /* with 52 there would be no reserved bit and no MMIO value */

/* For unsigned sums: equal to the OR exactly when no two operands share a bit (no list here can carry around 2^64). */
#define AS_SUM(mask) +(mask)
#define AS_OR(mask) | (mask)
#define STATIC_DISJOINT(LIST) \
	_Static_assert((0ULL LIST(AS_SUM)) == (0ULL LIST(AS_OR)), #LIST ": two masks share a bit")

#define EPT_LEAF_LIST(X)                                                                                              \
	X(SPTE_EPT_R) X(SPTE_HW_W) X(SPTE_EPT_X) X(SPTE_EPT_MT) X(SPTE_EPT_IPAT) X(SPTE_HW_HUGE) X(EPT_A) X(EPT_D)    \
	X(MMU_PRESENT) X(SPTE_BITS(EPT_PHYS_BITS - 1, SPTE_PAGE_SHIFT)) X(AD_MASK) X(SAVED << SAVED_SHIFT) X(EPT_H)   \
	X(EPT_M) X(SPTE_EPT_SVE)
#define EPT_MMIO_LIST(X)                                                                                              \
	X(SPTE_EPT_RWX) X(SPTE_EPT_SVE) X(GEN_LOW) X(GEN_HIGH) X(MMU_PRESENT)                                         \
	X(SPTE_BITS(EPT_PHYS_BITS - 1, SPTE_PAGE_SHIFT))
#define PT_LEAF_LIST(X)                                                                                               \
	X(SPTE_PT_P) X(SPTE_HW_W) X(SPTE_PT_U) X(PT_A) X(PT_D) X(SPTE_HW_HUGE) X(PT_H) X(PT_M) X(MMU_PRESENT)         \
	X(SPTE_BITS(PT_PHYS_BITS - 1, SPTE_PAGE_SHIFT)) X(AD_MASK) X(SPTE_PT_NX)
#define PT_MMIO_LIST(X)                                                                                               \
	X(PT_MMIO) X(SPTE_HW_W) X(SPTE_PT_U) X(GEN_LOW) X(GEN_HIGH) X(MMU_PRESENT)                                    \
	X(SPTE_BITS(PT_PHYS_BITS - 1, SPTE_PAGE_SHIFT))

STATIC_DISJOINT(EPT_LEAF_LIST);
STATIC_DISJOINT(EPT_MMIO_LIST);
STATIC_DISJOINT(PT_LEAF_LIST);
STATIC_DISJOINT(PT_MMIO_LIST);
_Static_assert(!((FROZEN_LOW | NP_6_12) & MMU_PRESENT), "a frozen or empty entry would look present");
_Static_assert((FROZEN_LOW & SPTE_EPT_RWX) == 0, "the processor would use a frozen entry");
_Static_assert((EPT_MMIO_VALUE & ~SPTE_EPT_RWX) == 0, "the MMIO value must lie within its mask");

#define COMMON                                                                                                        \
	.mmu_present = MMU_PRESENT, .ad_mask = AD_MASK, .ad_shift = AD_SHIFT, .track_saved = SAVED,                   \
	.track_saved_shift = SAVED_SHIFT, .gen_low_start = GEN_LOW_START, .gen_low_bits = GEN_LOW_BITS,               \
	.gen_high_start = GEN_HIGH_START, .gen_high_bits = GEN_HIGH_BITS, .rsvd_shift = RSVD_SHIFT

/*
 * EPT hardware that executes without reading, as all of today's does: the present mask has no R. An entry of older
 * hardware (R always set) reads the same; only its own kernel's mask can tell that a clear R would be wrong there.
 */
#define EPT_MASKS(sve)                                                                                                \
	{                                                                                                             \
		.host_writable = EPT_H, .mmu_writable = EPT_M, .x = SPTE_EPT_X, .user = SPTE_EPT_R,                   \
		.accessed = EPT_A, .dirty = EPT_D, .mmio_value = EPT_MMIO_VALUE, .mmio_mask = SPTE_EPT_RWX | (sve),   \
		.present = (sve), .memtype = EPT_MEMTYPE, .acc_track = SPTE_EPT_RWX,                                  \
		.nonpresent_or_rsvd_lower_gfn = SPTE_BITS(EPT_PHYS_BITS - 1, SPTE_PAGE_SHIFT),                        \
	}

#define PT_MASKS                                                                                                      \
	{                                                                                                             \
		.host_writable = PT_H, .mmu_writable = PT_M, .nx = SPTE_PT_NX, .user = SPTE_PT_U, .accessed = PT_A,   \
		.dirty = PT_D, .mmio_value = PT_MMIO, .mmio_mask = PT_MMIO, .mmio_access = SPTE_HW_W | SPTE_PT_U,     \
		.present = SPTE_PT_P,                                                                                 \
		.nonpresent_or_rsvd_lower_gfn = SPTE_BITS(PT_PHYS_BITS - 1, SPTE_PAGE_SHIFT),                         \
	}

static const struct spte_profile profiles[SPTE_NR_PROFILES] = {
	{ .name = "ept-6.1", .format = SPTE_FMT_EPT, .m = EPT_MASKS(0), COMMON, .nonpresent_value = 0,
	  .frozen_value = FROZEN_LOW, .phys_bits = EPT_PHYS_BITS },
	{ .name = "ept-6.12", .format = SPTE_FMT_EPT, .m = EPT_MASKS(SPTE_EPT_SVE), COMMON, .nonpresent_value = NP_6_12,
	  .frozen_value = NP_6_12 | FROZEN_LOW, .phys_bits = EPT_PHYS_BITS },
	{ .name = "npt-6.1", .format = SPTE_FMT_PT, .m = PT_MASKS, COMMON, .nonpresent_value = 0,
	  .frozen_value = FROZEN_LOW, .phys_bits = PT_PHYS_BITS },
	{ .name = "npt-6.12", .format = SPTE_FMT_PT, .m = PT_MASKS, COMMON, .nonpresent_value = NP_6_12,
	  .frozen_value = NP_6_12 | FROZEN_LOW, .phys_bits = PT_PHYS_BITS },
};

#define PROFILE_DEFAULT 1

const struct spte_profile *spte_profile_at(unsigned int i)
{
	return i < SPTE_NR_PROFILES ? &profiles[i] : NULL;
}

const struct spte_profile *spte_profile_default(void)
{
	return &profiles[PROFILE_DEFAULT];
}

/* What follows @prefix in @s, NULL when @s does not start with it. */
static const char *str_after(const char *s, const char *prefix)
{
	while (*prefix) {
		if (*s++ != *prefix++)
			return NULL;
	}
	return s;
}

const struct spte_profile *spte_profile_by_name(const char *name)
{
	static const char *const aliases[] = { "pt-", "shadow-" };
	const char *rest;
	unsigned int i, k;

	for (i = 0; i < SPTE_NR_PROFILES; i++) {
		if (spte_str_equal(name, profiles[i].name))
			return &profiles[i];
		if (profiles[i].format != SPTE_FMT_PT)
			continue;
		for (k = 0; k < sizeof(aliases) / sizeof(aliases[0]); k++) {
			rest = str_after(name, aliases[k]);
			if (rest && spte_str_equal(rest, str_after(profiles[i].name, "npt-")))
				return &profiles[i];
		}
	}
	return NULL;
}

const char *spte_mask_symbol(unsigned int id)
{
	static const char *const symbols[SPTE_NR_MASKS] = {
#define SPTE_MASK(member, symbol) symbol,
#include "abi/masks.def"
#undef SPTE_MASK
	};

	return id < SPTE_NR_MASKS ? symbols[id] : "";
}

static u64 *mask_slot(struct spte_masks *m, unsigned int id)
{
	switch (id) {
#define SPTE_MASK(member, symbol)  \
	case SPTE_MASK_##member:   \
		return &m->member;
#include "abi/masks.def"
#undef SPTE_MASK
	}
	return NULL;
}

u64 spte_mask_get(const struct spte_masks *m, unsigned int id)
{
	struct spte_masks copy = *m;
	u64 *slot = mask_slot(&copy, id);

	return slot ? *slot : 0;
}

int spte_mask_set_add(struct spte_mask_set *set, unsigned int id, u64 value)
{
	u64 *slot = mask_slot(&set->m, id);

	if (!slot)
		return -EINVAL;
	*slot = value;
	set->present |= 1u << id;
	return 0;
}

static int bad(struct spte_overlap *why, const char *a, const char *b, u64 bits)
{
	if (why) {
		why->a = a;
		why->b = b;
		why->bits = bits;
	}
	return -EINVAL;
}

struct named_mask {
	const char *name;
	u64 mask;
};

static int check_disjoint(const struct named_mask *v, unsigned int nr, struct spte_overlap *why)
{
	unsigned int i, k;

	for (i = 0; i < nr; i++) {
		for (k = i + 1; k < nr; k++) {
			if (v[i].mask & v[k].mask)
				return bad(why, v[i].name, v[k].name, v[i].mask & v[k].mask);
		}
	}
	return 0;
}

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static int check_numbers(const struct spte_profile *p, struct spte_overlap *why)
{
	if (p->phys_bits < 32 || p->phys_bits > 52)
		return bad(why, "phys_bits", NULL, 0);
	if (p->ad_shift > 62 || p->ad_mask != 3ULL << p->ad_shift)
		return bad(why, "ad_mask", NULL, p->ad_mask);
	if (p->track_saved_shift > 60 || p->track_saved & ~SPTE_EPT_RWX)
		return bad(why, "track_saved", NULL, p->track_saved);
	if (!p->gen_low_bits || !p->gen_high_bits || p->gen_low_start + p->gen_low_bits > 64 ||
	    p->gen_high_start + p->gen_high_bits > 64 || p->gen_low_bits + p->gen_high_bits > 32)
		return bad(why, "mmio_generation", NULL, 0);
	if (p->rsvd_shift > 20)
		return bad(why, "rsvd_shift", NULL, 0);
	return 0;
}

/* What the code takes for granted about a format; a kernel that differs is one we do not know. */
static int check_format(const struct spte_profile *p, struct spte_overlap *why)
{
	const struct spte_masks *m = &p->m;
	bool ept = p->format == SPTE_FMT_EPT;

	if (m->user != (ept ? SPTE_EPT_R : SPTE_PT_U))
		return bad(why, "user", NULL, m->user);
	if (m->x != (ept ? SPTE_EPT_X : 0))
		return bad(why, "x", NULL, m->x);
	if (m->nx & ~(ept ? 0 : SPTE_PT_NX))
		return bad(why, "nx", NULL, m->nx);
	if (m->memtype != (ept ? EPT_MEMTYPE : 0))
		return bad(why, "memtype", NULL, m->memtype);
	if (m->acc_track != (ept ? SPTE_EPT_RWX : 0))
		return bad(why, "acc_track", NULL, m->acc_track);
	if (ept ? m->present & ~(SPTE_EPT_R | SPTE_EPT_SVE) : m->present != SPTE_PT_P)
		return bad(why, "present", NULL, m->present);
	if (!m->host_writable)
		return bad(why, "host_writable", NULL, 0);
	if (!m->mmu_writable)
		return bad(why, "mmu_writable", NULL, 0);
	if (m->me_value & ~m->me_mask)
		return bad(why, "me_value", NULL, m->me_value & ~m->me_mask);
	return 0;
}

static int check_mmio(const struct spte_profile *p, struct spte_overlap *why)
{
	const struct spte_masks *m = &p->m;
	const struct named_mask v[] = {
		{ "mmio_mask", m->mmio_mask },
		{ "mmio_access", m->mmio_access },
		{ "mmu_present", p->mmu_present },
		{ "mmio_generation_low", spte_gen_low_mask(p) },
		{ "mmio_generation_high", spte_gen_high_mask(p) },
		{ "nonpresent_or_rsvd", m->nonpresent_or_rsvd },
		{ "nonpresent_or_rsvd << rsvd_shift", m->nonpresent_or_rsvd << p->rsvd_shift },
		{ "nonpresent_or_rsvd_lower_gfn", m->nonpresent_or_rsvd_lower_gfn },
	};
	u64 not_address = m->nonpresent_or_rsvd | m->nonpresent_or_rsvd_lower_gfn;

	if (m->mmio_value & ~m->mmio_mask)
		return bad(why, "mmio_value", NULL, m->mmio_value & ~m->mmio_mask);
	if (m->mmio_access & ~(SPTE_HW_W | SPTE_PT_U))
		return bad(why, "mmio_access", NULL, m->mmio_access);
	not_address &= ~SPTE_BITS(51, SPTE_PAGE_SHIFT);
	if (not_address)
		return bad(why, "nonpresent_or_rsvd_lower_gfn", NULL, not_address);
	/* With MMIO caching off nothing is ever decoded as MMIO, and the masks may be anything. */
	return m->mmio_value ? check_disjoint(v, NR(v), why) : 0;
}

static int check_special(const struct spte_profile *p, struct spte_overlap *why)
{
	if (p->nonpresent_value & p->mmu_present)
		return bad(why, "nonpresent_value", "mmu_present", p->mmu_present);
	if (p->frozen_value & p->mmu_present)
		return bad(why, "frozen_value", "mmu_present", p->mmu_present);
	if (!p->frozen_value || p->frozen_value == p->nonpresent_value)
		return bad(why, "frozen_value", "nonpresent_value", p->frozen_value);
	if (spte_is_mmio(p, p->frozen_value))
		return bad(why, "frozen_value", "mmio_value", p->m.mmio_value);
	if (spte_is_mmio(p, p->nonpresent_value))
		return bad(why, "nonpresent_value", "mmio_value", p->m.mmio_value);
	return 0;
}

int spte_profile_check(const struct spte_profile *p, struct spte_overlap *why)
{
	const struct spte_masks *m = &p->m;
	bool ept = p->format == SPTE_FMT_EPT;
	int err;

	/* Numbers first: the masks below are shifted by them. */
	err = check_numbers(p, why);
	if (!err)
		err = check_format(p, why);
	if (err)
		return err;

	{
		const struct named_mask leaf[] = {
			{ "mmu_present", p->mmu_present },
			{ "user", m->user },
			/* R of hardware without execute-only is in both. */
			{ "present", m->present & ~(ept ? SPTE_EPT_R : 0) },
			{ "writable", SPTE_HW_W },
			{ "x", m->x },
			{ "nx", m->nx },
			{ "huge", SPTE_HW_HUGE },
			{ "accessed", m->accessed },
			{ "dirty", m->dirty },
			{ "memtype", m->memtype },
			{ "host_writable", m->host_writable },
			{ "mmu_writable", m->mmu_writable },
			{ "ad_mask", p->ad_mask },
			{ "track_saved", ept ? p->track_saved << p->track_saved_shift : 0 },
			{ "me_mask", m->me_mask },
			{ "pfn", spte_pfn_mask(p) },
		};

		err = check_disjoint(leaf, NR(leaf), why);
	}
	if (!err)
		err = check_mmio(p, why);
	if (!err)
		err = check_special(p, why);
	return err;
}

/* Number of the highest bit set, plus one; 0 for 0. */
static unsigned int bits_used(u64 v)
{
	return v ? 64 - __builtin_clzll(v) : 0;
}

int spte_profile_build(const struct spte_profile *base, const struct spte_mask_set *set,
		       struct spte_profile *profile_ret, struct spte_overlap *why)
{
	const u32 both = 1u << SPTE_MASK_nonpresent_or_rsvd | 1u << SPTE_MASK_nonpresent_or_rsvd_lower_gfn;
	struct spte_profile p = *base;
	struct spte_masks given = set->m;
	unsigned int id;
	int err;

	for (id = 0; id < SPTE_NR_MASKS; id++) {
		if (set->present & 1u << id)
			*mask_slot(&p.m, id) = *mask_slot(&given, id);
	}
	p.from_kernel = set->present & ((1u << SPTE_NR_MASKS) - 1);

	if ((p.from_kernel & both) == both)
		p.phys_bits = (u8)bits_used(p.m.nonpresent_or_rsvd | p.m.nonpresent_or_rsvd_lower_gfn);

	err = spte_profile_check(&p, why);
	if (!err)
		*profile_ret = p;
	return err;
}

/* Do the masks read from a kernel speak against what @base takes for granted of its own kernel and format? */
static bool masks_rule_out(const struct spte_profile *base, const struct spte_mask_set *set)
{
	u32 have = set->present;

	if (have & 1u << SPTE_MASK_x && set->m.x != base->m.x)
		return true;
	if (base->format == SPTE_FMT_EPT) {
		if (have & 1u << SPTE_MASK_present && (set->m.present ^ base->m.present) & SPTE_EPT_SVE)
			return true;
		if (have & 1u << SPTE_MASK_mmio_mask && (set->m.mmio_mask ^ base->m.mmio_mask) & SPTE_EPT_SVE)
			return true;
	}
	return false;
}

void spte_evidence_init(struct spte_evidence *ev, const struct spte_mask_set *set)
{
	unsigned int i;

	*ev = (struct spte_evidence){ .nr_values = 0 };
	for (i = 0; i < SPTE_NR_PROFILES; i++) {
		ev->cand[i] = profiles[i];
		if (set)
			ev->out[i] = masks_rule_out(&profiles[i], set) ||
				     spte_profile_build(&profiles[i], set, &ev->cand[i], NULL);
	}
}

void spte_evidence_add(struct spte_evidence *ev, u64 raw, unsigned int level)
{
	struct spte_info info;
	unsigned int i;

	ev->nr_values++;
	for (i = 0; i < SPTE_NR_PROFILES; i++) {
		if (ev->out[i])
			continue;
		if (spte_decode(&ev->cand[i], raw, level, &info))
			ev->misfit[i]++;
		else if (info.np_zero)
			ev->odd[i]++;
	}
}

int spte_evidence_choose(const struct spte_evidence *ev, const struct spte_profile **profile_ret)
{
	unsigned int i, best = SPTE_NR_PROFILES;
	bool tie = false;

	for (i = 0; i < SPTE_NR_PROFILES; i++) {
		if (ev->out[i])
			continue;
		if (best == SPTE_NR_PROFILES || ev->misfit[i] < ev->misfit[best] ||
		    (ev->misfit[i] == ev->misfit[best] && ev->odd[i] < ev->odd[best])) {
			best = i;
			tie = false;
		} else if (ev->misfit[i] == ev->misfit[best] && ev->odd[i] == ev->odd[best]) {
			tie = true;
		}
	}
	/* One in sixteen leaves room for values torn or changed while they were read. */
	if (best == SPTE_NR_PROFILES || ev->misfit[best] > ev->nr_values / 16)
		return -EBADMSG;
	if (tie)
		return -ENODATA;
	*profile_ret = &ev->cand[best];
	return 0;
}

u32 spte_profiles_fitting(u64 raw, unsigned int level)
{
	struct spte_info info;
	unsigned int i;
	u32 fit = 0;

	for (i = 0; i < SPTE_NR_PROFILES; i++) {
		if (!spte_decode(&profiles[i], raw, level, &info))
			fit |= 1u << i;
	}
	return fit;
}
