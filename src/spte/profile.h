/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An SPTE profile: all that varies between kernels, hosts and formats in how KVM writes a shadow PTE. Every predicate
 * of spte.h takes one. This header says what a profile holds, which are built in, how one is made from a running
 * kernel's variables, how it is checked, and how a base is chosen from what was seen. It reads nothing itself.
 *
 * Sources: SEMANTICS B.3; arch/x86/kvm/mmu/spte.{h,c} of 6.1 and 6.12; Intel SDM vol. 3 28.3.2 for EPT's bits.
 */
#ifndef MS_SPTE_PROFILE_H
#define MS_SPTE_PROFILE_H

#include "abi/types.h"

#define SPTE_BIT(n) (1ULL << (n))
/* Bits hi..lo, both included; 0 <= lo <= hi <= 63. */
#define SPTE_BITS(hi, lo) ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))

#define SPTE_LEVEL_MIN 1
#define SPTE_LEVEL_MAX 5
/* The largest page is 1 GiB: bit 7 is reserved above level 3 in every format. */
#define SPTE_LEVEL_HUGE_MAX 3
#define SPTE_PAGE_SHIFT 12
#define SPTE_LEVEL_BITS 9

/* Bits that hardware fixes, so that no profile varies them. */
#define SPTE_HW_W SPTE_BIT(1)	       /* writable, EPT and PT alike */
#define SPTE_HW_HUGE SPTE_BIT(7)       /* maps a page at level 2 or 3 */
#define SPTE_EPT_R SPTE_BIT(0)
#define SPTE_EPT_X SPTE_BIT(2)
#define SPTE_EPT_RWX SPTE_BITS(2, 0)
#define SPTE_EPT_MT_SHIFT 3
#define SPTE_EPT_MT SPTE_BITS(5, 3)    /* memory type */
#define SPTE_EPT_IPAT SPTE_BIT(6)      /* ignore the guest's PAT */
#define SPTE_EPT_SVE SPTE_BIT(63)      /* suppress #VE */
#define SPTE_PT_P SPTE_BIT(0)
#define SPTE_PT_U SPTE_BIT(2)
#define SPTE_PT_NX SPTE_BIT(63)

enum spte_format {
	SPTE_FMT_EPT, /* VMX two-dimensional paging */
	SPTE_FMT_PT,  /* x86 page tables: NPT and shadow paging, which KVM writes alike */
};

/* The masks that the kernel keeps in variables, one member each (abi/masks.def). */
struct spte_masks {
#define SPTE_MASK(member, symbol) u64 member;
#include "abi/masks.def"
#undef SPTE_MASK
};

enum spte_mask_id {
#define SPTE_MASK(member, symbol) SPTE_MASK_##member,
#include "abi/masks.def"
#undef SPTE_MASK
	SPTE_NR_MASKS
};

/* Values read from a running kernel; bit (1u << SPTE_MASK_x) of @present says that m.x was read. */
struct spte_mask_set {
	u32 present;
	struct spte_masks m;
};

struct spte_profile {
	const char *name; /* of the built-in it is or is based on; static storage */
	enum spte_format format;
	struct spte_masks m;
	u32 from_kernel;  /* which members of @m were read from a kernel, as in spte_mask_set */

	/* What exists in the kernel only as a #define. */
	u64 mmu_present;
	u64 ad_mask; /* the A/D kind, a 2-bit field; kind values as in enum spte_ad_kind */
	u8 ad_shift;
	u64 track_saved; /* bits of RWX saved by access tracking, before the shift */
	u8 track_saved_shift;
	u8 gen_low_start;  /* MMIO generation: its low bits start at this SPTE bit ... */
	u8 gen_low_bits;
	u8 gen_high_start; /* ... and the rest at this one */
	u8 gen_high_bits;
	u8 rsvd_shift; /* how far the gfn bits under nonpresent_or_rsvd are moved up (L1TF) */
	u64 nonpresent_value;
	u64 frozen_value; /* "removed" in 6.1; TDP MMU only */

	u8 phys_bits; /* physical address bits that a pfn may use, 32..52 */
};

/* Two masks that must not share a bit and do, or one mask that breaks its own rule (then @b is NULL). */
struct spte_overlap {
	const char *a; /* static strings */
	const char *b;
	u64 bits;      /* those shared or offending; 0 when the rule is about a number */
};

/* Number of built-in profiles; they are numbered from 0 in a fixed order: ept-6.1, ept-6.12, npt-6.1, npt-6.12. */
#define SPTE_NR_PROFILES 4

/* The i-th built-in, NULL when @i >= SPTE_NR_PROFILES. */
const struct spte_profile *spte_profile_at(unsigned int i);

/*
 * By name; NULL when there is none. "pt-" and "shadow-" are taken as "npt-": KVM writes both alike.
 */
const struct spte_profile *spte_profile_by_name(const char *name);

/*
 * What to assume for a bare value of unknown origin: ept-6.12. It is the profile that misfits loudest: each of its
 * present entries carries bit 63, which no 6.1 EPT entry and no executable NPT entry has, so a value of another kind
 * comes out as unknown and not as a wrong answer.
 */
const struct spte_profile *spte_profile_default(void);

/* The kernel's symbol for a mask, "" when @id is out of range. Static string. */
const char *spte_mask_symbol(unsigned int id);

/* The value of mask @id in @m; @id < SPTE_NR_MASKS, else 0. */
u64 spte_mask_get(const struct spte_masks *m, unsigned int id);

/* Records in @set that the kernel's mask @id has @value. -EINVAL when @id is out of range. */
int spte_mask_set_add(struct spte_mask_set *set, unsigned int id, u64 value);

/*
 * @base with every mask that @set has put over it. phys_bits is taken from the kernel's lower-gfn mask, which ends where
 * the host's physical addresses do (or, with L1TF, from the guard mask right above it). The result is checked; on
 * -EINVAL nothing is written but *@why, which may be NULL.
 */
int spte_profile_build(const struct spte_profile *base, const struct spte_mask_set *set,
		       struct spte_profile *profile_ret, struct spte_overlap *why);

/*
 * Is the profile one that can be decoded without ambiguity? 0, or -EINVAL and *@why (may be NULL). It is written only
 * on failure.
 */
int spte_profile_check(const struct spte_profile *p, struct spte_overlap *why);

/* Bits of @level's physical address field: pfn bits, without memory-encryption bits and without page offset bits. */
static inline u64 spte_pfn_mask(const struct spte_profile *p)
{
	return SPTE_BITS(p->phys_bits - 1, SPTE_PAGE_SHIFT) & ~p->m.me_mask;
}

/* Page offset bits that a huge page's address field must leave clear; 0 at level 1. */
static inline u64 spte_align_mask(unsigned int level)
{
	return SPTE_BITS(SPTE_PAGE_SHIFT + SPTE_LEVEL_BITS * (level - 1) - 1, 0) & ~SPTE_BITS(SPTE_PAGE_SHIFT - 1, 0);
}

/*
 * The choice of a base by evidence. Each built-in that the kernel's masks do not rule out is tried on every value
 * given; the one that leaves least unexplained wins. Nothing is allocated.
 */
struct spte_evidence {
	struct spte_profile cand[SPTE_NR_PROFILES];
	bool out[SPTE_NR_PROFILES];   /* ruled out by the masks */
	u32 misfit[SPTE_NR_PROFILES]; /* values that the candidate does not understand */
	u32 odd[SPTE_NR_PROFILES];    /* understood, but rare there: zero where non-present has bit 63 */
	u32 nr_values;
};

/* @set may be NULL when no mask could be read. */
void spte_evidence_init(struct spte_evidence *ev, const struct spte_mask_set *set);

/* One SPTE seen in a table of @level. */
void spte_evidence_add(struct spte_evidence *ev, u64 raw, unsigned int level);

/*
 * The candidate with the masks of the kernel put over it. -ENODATA when two or more fit equally well (they may differ
 * only in what was not seen), -EBADMSG when the best still fails on more than one value in sixteen. The result points
 * into @ev.
 */
int spte_evidence_choose(const struct spte_evidence *ev, const struct spte_profile **profile_ret);

/* Bit i is set when built-in i understands @raw fully at @level. */
u32 spte_profiles_fitting(u64 raw, unsigned int level);

#endif
