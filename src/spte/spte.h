/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one shadow PTE says: a question a function, over a raw 64-bit value and a profile. Pure: no state, no
 * I/O, no opinion on the page it lies in. @level is that of the table holding the entry, 1 (4 KiB) .. 5.
 *
 *   present entry   63       58 57 56 54 53:52 51            12 11 10   9 8  7  6    5:3  2 1 0
 *     EPT           sve(612) M  H  sX sR kind  pfn              P  -    D A  PS ipat mt   X W R
 *     PT            NX       -  -  -  -  -     pfn (+C bit)     P  M    H -  PS D    A:5  U W P
 *   MMIO            62:52 gen[18:8]            gfn              0  10:3 gen[7:0]          value (EPT 110b)
 *
 * The single predicates answer what KVM's own would. Whether the value is one KVM can have written is
 * spte_decode()'s question: it claims success only if spte_encode() gives the same 64 bits back.
 *
 * Sources: SEMANTICS B.3, B5, E.1, H. Entries of pae_root, pml4_root and pml5_root are no SPTEs (they lack
 * bit 11).
 */
#ifndef MS_SPTE_SPTE_H
#define MS_SPTE_SPTE_H

#include "spte/profile.h"

enum spte_ad_kind {
	SPTE_AD_ENABLED = 0,
	SPTE_AD_DISABLED = 1,
	SPTE_AD_WRPROT_ONLY = 2,
	SPTE_AD_INVALID = 3,
};

enum spte_class {
	SPTE_CLASS_UNKNOWN, /* not a value this profile can explain */
	SPTE_CLASS_NONPRESENT, /* empty */
	SPTE_CLASS_MMIO,
	SPTE_CLASS_FROZEN, /* TDP MMU: being changed, or in a removed table */
	SPTE_CLASS_TABLE,
	SPTE_CLASS_LEAF,
};

/* The write states of SEMANTICS E.1, by host-writable, MMU-writable, W. */
enum spte_wstate {
	SPTE_W_NONE, /* not a leaf */
	SPTE_W_RW, /* 1 1 1 */
	SPTE_W_DL, /* 1 1 0: protected for dirty logging */
	SPTE_W_WP, /* 1 0 0: shadowed table, or the guest grants no W, or its D bit is clear */
	SPTE_W_RO, /* 0 0 0: the host has it read-only */
	SPTE_W_AT, /* R, W and X taken away to see accesses, A/D kind disabled */
	SPTE_W_ILLEGAL, /* 0 1 x or x 0 1 */
};

#define SPTE_NR_CLASSES (SPTE_CLASS_LEAF + 1)
#define SPTE_NR_WSTATES (SPTE_W_ILLEGAL + 1)

/* Bits of spte_check(), one a rule of checks.def. */
enum spte_rule {
#define SPTE_RULE(id, row, name, text) SPTE_RULE_##id,
#include "spte/checks.def"
#undef SPTE_RULE
	SPTE_NR_RULES
};
#define SPTE_BAD(id) (1u << SPTE_RULE_##id)

/* Full decode of one value. Members that a class does not use are 0. */
struct spte_info {
	u64 raw;
	u8 level;
	enum spte_class cls;
	enum spte_wstate wstate; /* leaf only */
	u64 unknown_bits; /* set, and nothing in the profile explains them; class UNKNOWN */
	u64 missing_bits; /* clear, though the profile has them in every such entry; class UNKNOWN */

	/* TABLE and LEAF */
	u64 pfn; /* of the page mapped or of the child table */
	bool read_user; /* EPT: readable; PT: user */
	bool writable;
	bool executable;
	bool accessed_bit; /* the bits as stored; spte_is_accessed() says what they mean */
	bool encrypted; /* carries me_value */
	enum spte_ad_kind ad_kind;

	/* LEAF */
	bool huge;
	bool host_writable;
	bool mmu_writable;
	bool dirty_bit;
	bool tracked; /* access-tracked */
	u8 saved; /* R and X put aside by access tracking, at their EPT places */
	u8 memtype; /* EPT: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB */
	bool ignore_pat;

	/* MMIO */
	u64 mmio_gfn;
	u32 mmio_gen;
	u8 mmio_access; /* W = 2, U = 4, as stored in the entry */

	/* NONPRESENT: all bits zero though the profile's empty value is not (a split page not yet filled) */
	bool np_zero;
};

static inline bool spte_is_mmu_present(const struct spte_profile *p, u64 raw)
{
	return raw & p->mmu_present;
}

/* A profile whose MMIO value is 0 has MMIO caching off, so nothing is MMIO. */
static inline bool spte_is_mmio(const struct spte_profile *p, u64 raw)
{
	return p->m.mmio_value && (raw & p->m.mmio_mask) == p->m.mmio_value;
}

static inline bool spte_is_frozen(const struct spte_profile *p, u64 raw)
{
	return raw == p->frozen_value;
}

/*
 * Empty. All zero counts as empty in every profile: the processor and KVM agree on it (SEMANTICS H row 15).
 */
static inline bool spte_is_nonpresent(const struct spte_profile *p, u64 raw)
{
	return raw == p->nonpresent_value || !raw;
}

static inline bool spte_is_huge(const struct spte_profile *p, u64 raw, unsigned int level)
{
	return spte_is_mmu_present(p, raw) && level > 1 && (raw & SPTE_HW_HUGE);
}

static inline bool spte_is_leaf(const struct spte_profile *p, u64 raw, unsigned int level)
{
	return spte_is_mmu_present(p, raw) && (level == 1 || (raw & SPTE_HW_HUGE));
}

/* The questions from here to spte_pfn() are about MMU-present values. */
static inline bool spte_is_writable(u64 raw)
{
	return raw & SPTE_HW_W;
}

static inline bool spte_is_host_writable(const struct spte_profile *p, u64 raw)
{
	return raw & p->m.host_writable;
}

static inline bool spte_is_mmu_writable(const struct spte_profile *p, u64 raw)
{
	return raw & p->m.mmu_writable;
}

/* Neither x (EPT) nor nx (PT) withholds execution. */
static inline bool spte_is_executable(const struct spte_profile *p, u64 raw)
{
	return (raw & (p->m.x | p->m.nx)) == p->m.x;
}

/*
 * Can the guest's accesses read through it? In PT format whatever is present can be read by the supervisor.
 */
static inline bool spte_is_readable(const struct spte_profile *p, u64 raw)
{
	return raw & (p->format == SPTE_FMT_EPT ? SPTE_EPT_R : SPTE_PT_P);
}

/* User accesses allowed. EPT has no such bit: all that can be read can be read by the user. */
static inline bool spte_is_user(const struct spte_profile *p, u64 raw)
{
	return raw & p->m.user;
}

static inline enum spte_ad_kind spte_ad_kind(const struct spte_profile *p, u64 raw)
{
	return (enum spte_ad_kind)((raw & p->ad_mask) >> p->ad_shift);
}

static inline bool spte_is_access_tracked(const struct spte_profile *p, u64 raw)
{
	return p->m.acc_track && spte_ad_kind(p, raw) == SPTE_AD_DISABLED && !(raw & p->m.acc_track);
}

/* By the A bit where there is one in use, else by whether the entry is access-tracked. */
static inline bool spte_is_accessed(const struct spte_profile *p, u64 raw)
{
	if (p->m.accessed && spte_ad_kind(p, raw) != SPTE_AD_DISABLED)
		return raw & p->m.accessed;
	return !spte_is_access_tracked(p, raw);
}

/* By the D bit where there is one in use, else W stands for it. */
static inline bool spte_is_dirty(const struct spte_profile *p, u64 raw)
{
	if (p->m.dirty && spte_ad_kind(p, raw) != SPTE_AD_DISABLED)
		return raw & p->m.dirty;
	return spte_is_writable(raw);
}

/* EPT memory type 0..7; a PT entry leaves it to PAT entry 0, which KVM's hosts have as WB (6). */
static inline u8 spte_memtype(const struct spte_profile *p, u64 raw)
{
	return p->m.memtype ? (raw & SPTE_EPT_MT) >> SPTE_EPT_MT_SHIFT : 6;
}

static inline bool spte_ignore_pat(const struct spte_profile *p, u64 raw)
{
	return raw & p->m.memtype & SPTE_EPT_IPAT;
}

/* R and X that access tracking has put aside, at their EPT places. */
static inline u8 spte_saved_bits(const struct spte_profile *p, u64 raw)
{
	return (raw >> p->track_saved_shift) & p->track_saved;
}

static inline u64 spte_pfn(const struct spte_profile *p, u64 raw)
{
	return (raw & spte_pfn_mask(p)) >> SPTE_PAGE_SHIFT;
}

/* The three of a MMIO value. The gfn bits under the L1TF guard lie rsvd_shift higher. */
static inline u64 spte_mmio_gfn(const struct spte_profile *p, u64 raw)
{
	u64 gpa = raw & p->m.nonpresent_or_rsvd_lower_gfn;

	gpa |= (raw >> p->rsvd_shift) & p->m.nonpresent_or_rsvd;
	return gpa >> SPTE_PAGE_SHIFT;
}

static inline u64 spte_gen_low_mask(const struct spte_profile *p)
{
	return SPTE_BITS(p->gen_low_start + p->gen_low_bits - 1, p->gen_low_start);
}

static inline u64 spte_gen_high_mask(const struct spte_profile *p)
{
	return SPTE_BITS(p->gen_high_start + p->gen_high_bits - 1, p->gen_high_start);
}

/* The memslot generation's low 19 bits; its update-in-progress flag is not stored. */
static inline u32 spte_mmio_gen(const struct spte_profile *p, u64 raw)
{
	return ((raw & spte_gen_low_mask(p)) >> p->gen_low_start) |
	       ((raw & spte_gen_high_mask(p)) >> p->gen_high_start) << p->gen_low_bits;
}

/* W = 2 and U = 4; always 0 in EPT format, whose MMIO mask covers those bits. */
static inline u8 spte_mmio_access(const struct spte_profile *p, u64 raw)
{
	return raw & p->m.mmio_access;
}

/*
 * What a leaf gives, or what KVM may give back without asking the guest's tables: M as W, R and X put aside by
 * access tracking. Bits as role.access: X 1, W 2, U 4 (EPT: readable).
 */
u32 spte_rights(const struct spte_profile *p, u64 raw);
/* Of these, what every present entry has whether it was granted or not: R of EPT without execute-only. */
u32 spte_always_granted(const struct spte_profile *p);

/* H rows 1 and 2: a leaf's write bits are in a state that KVM never makes. */
static inline bool spte_is_write_illegal(const struct spte_profile *p, u64 raw)
{
	if (spte_is_mmu_writable(p, raw))
		return !spte_is_host_writable(p, raw);
	return spte_is_writable(raw);
}

/* H row 6: on a leaf, kind 01 goes with role.ad_disabled and with nothing else. */
static inline bool spte_kind_fits_role(const struct spte_profile *p, u64 raw, bool ad_disabled)
{
	return (spte_ad_kind(p, raw) == SPTE_AD_DISABLED) == ad_disabled;
}

/*
 * Takes @raw apart. 0 when every bit is explained and spte_encode() gives @raw back; -EBADMSG when not (class
 * UNKNOWN, unknown_bits or missing_bits say what is in the way, the fields stay 0); -EINVAL when @level is
 * not 1..5 (class UNKNOWN too). *@info is always written in full. A value that breaks a rule of H but whose
 * bits are all explained decodes: spte_check() tells.
 */
int spte_decode(const struct spte_profile *p, u64 raw, unsigned int level, struct spte_info *info);

/*
 * Puts the value together again from the class and its fields (not from @info->raw, wstate, unknown or
 * missing bits). -EINVAL when the profile cannot express them or they contradict each other; then *@raw_ret
 * is not written.
 */
int spte_encode(const struct spte_profile *p, const struct spte_info *info, u64 *raw_ret);

/* As spte_decode() would say; UNKNOWN for what it refuses. */
enum spte_class spte_class(const struct spte_profile *p, u64 raw, unsigned int level);

/* NONE unless a leaf. Judges the raw bits, also of a value that spte_decode() refuses. */
enum spte_wstate spte_wstate(const struct spte_profile *p, u64 raw, unsigned int level);

/*
 * The rules of H that @raw breaks by itself, as SPTE_BAD(id) bits; 0 when none. @level 1..5. Rules about
 * leaves are applied to leaves only. It is independent of spte_decode().
 */
u32 spte_check(const struct spte_profile *p, u64 raw, unsigned int level);

/*
 * Row of SEMANTICS H, short name and statement of a rule; 0 and "" when @rule is out of range. Static
 * strings.
 */
unsigned int spte_rule_row(unsigned int rule);
const char *spte_rule_name(unsigned int rule);
const char *spte_rule_text(unsigned int rule);

/* Short names; "?" for a number that is none. Static strings. */
const char *spte_class_name(enum spte_class cls);
const char *spte_wstate_name(enum spte_wstate w);
const char *spte_ad_kind_name(enum spte_ad_kind kind);
const char *spte_memtype_name(unsigned int memtype);

/*
 * One letter for a map of a table: T table, leaves W D P R A by write state, M MMIO, F frozen, . empty, !
 * unknown or illegal. A string of length 1, static.
 */
const char *spte_letter(const struct spte_info *info);

/* One named field of a value. */
struct spte_field {
	const char *name; /* static strings */
	const char *meaning;
	const char *source;
	u64 mask;
	u64 value; /* (raw & mask) moved down to the mask's lowest bit */
};

/*
 * The fields of a decoded value, in the order of bits.def; *@pos starts at 0. Returns false when there is
 * none left. Together the fields cover each of the 64 bits once: bits that the format leaves alone come last
 * as "unused". A value of class UNKNOWN is not interpreted: it gives "unknown", "missing" (whose mask may
 * repeat bits) and "rest".
 */
bool spte_field_next(const struct spte_profile *p, const struct spte_info *info, unsigned int *pos,
		     struct spte_field *field_ret);

#endif
