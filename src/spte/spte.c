// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Takes shadow PTEs apart and puts them together. It must never guess: a bit that the profile does not
 * explain makes the whole value unknown. The naming of fields for people is in explain.c.
 */
#include "spte/spte.h"

#include "spte/role.h"

/* EPT memory types that exist, one bit a type; 2, 3 and 7 are misconfigurations (SDM 28.2.3.1). */
#define MEMTYPES_VALID (1u << 0 | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6)

static bool is_ept(const struct spte_profile *p)
{
	return p->format == SPTE_FMT_EPT;
}

static bool memtype_valid(u8 memtype)
{
	return memtype < 8 && MEMTYPES_VALID & 1u << memtype;
}

/* Bits a leaf always has. Access tracking takes away the R that the present mask may hold. */
static u64 leaf_required(const struct spte_profile *p, bool tracked)
{
	return p->mmu_present | (tracked ? p->m.present & ~p->m.acc_track : p->m.present);
}

/* Bits a table entry always has; see make_nonleaf_spte in the kernel (B.3, "Non-leaf"). */
static u64 table_required(const struct spte_profile *p)
{
	return p->mmu_present | p->m.present | SPTE_HW_W | p->m.user | p->m.x;
}

static u64 track_saved_mask(const struct spte_profile *p)
{
	return is_ept(p) ? p->track_saved << p->track_saved_shift : 0;
}

static u64 kind_mask(const struct spte_profile *p)
{
	/* Bits 62:52 are reserved in PAE, so a PT entry never has a kind. */
	return is_ept(p) ? p->ad_mask : 0;
}

/* A leaf's bits that may be set, its address bits included. */
static u64 leaf_known(const struct spte_profile *p, unsigned int level)
{
	u64 known = p->mmu_present | p->m.present | SPTE_HW_W | p->m.user | p->m.x | p->m.nx |
		    p->m.host_writable | p->m.mmu_writable | p->m.accessed | p->m.dirty | p->m.memtype |
		    p->m.me_mask | kind_mask(p) | track_saved_mask(p);

	known |= spte_pfn_mask(p) & ~spte_align_mask(level);
	if (level > 1 && level <= SPTE_LEVEL_HUGE_MAX)
		known |= SPTE_HW_HUGE;
	return known;
}

static u64 table_known(const struct spte_profile *p)
{
	return table_required(p) | p->m.accessed | p->m.me_mask | kind_mask(p) | spte_pfn_mask(p);
}

/* Fields whose bits are known but whose value is none of those KVM writes. */
static u64 bad_field_values(const struct spte_profile *p, u64 raw, bool leaf)
{
	enum spte_ad_kind kind = spte_ad_kind(p, raw);
	u64 bad = 0;

	if (kind == SPTE_AD_INVALID || (!leaf && kind == SPTE_AD_WRPROT_ONLY))
		bad |= raw & p->ad_mask;
	if ((raw & p->m.me_mask) != 0 && (raw & p->m.me_mask) != p->m.me_value)
		bad |= raw & p->m.me_mask;
	if (leaf && is_ept(p) && !memtype_valid(spte_memtype(p, raw)))
		bad |= raw & SPTE_EPT_MT;
	if (spte_is_mmio(p, raw))
		bad |= raw & p->m.mmio_mask;
	return bad;
}

static int decode_refuse(struct spte_info *info, u64 unknown, u64 missing)
{
	info->cls = SPTE_CLASS_UNKNOWN;
	info->unknown_bits = unknown;
	info->missing_bits = missing;
	return -EBADMSG;
}

/* By H, M and W alone; AT is the caller's to tell. */
static enum spte_wstate wstate_of(const struct spte_profile *p, u64 raw)
{
	if (spte_is_write_illegal(p, raw))
		return SPTE_W_ILLEGAL;
	if (spte_is_access_tracked(p, raw))
		return SPTE_W_AT;
	if (spte_is_writable(raw))
		return SPTE_W_RW;
	if (spte_is_mmu_writable(p, raw))
		return SPTE_W_DL;
	return spte_is_host_writable(p, raw) ? SPTE_W_WP : SPTE_W_RO;
}

static int decode_present(const struct spte_profile *p, u64 raw, unsigned int level, struct spte_info *info)
{
	bool leaf = spte_is_leaf(p, raw, level);
	bool tracked = spte_is_access_tracked(p, raw);
	u64 unknown, missing;

	if (leaf) {
		unknown = raw & ~leaf_known(p, level);
		missing = leaf_required(p, tracked) & ~raw;
	} else {
		unknown = raw & ~table_known(p);
		missing = table_required(p) & ~raw;
	}
	unknown |= bad_field_values(p, raw, leaf);
	if (unknown || missing)
		return decode_refuse(info, unknown, missing);

	info->cls = leaf ? SPTE_CLASS_LEAF : SPTE_CLASS_TABLE;
	info->pfn = spte_pfn(p, raw);
	info->read_user = raw & p->m.user;
	info->writable = spte_is_writable(raw);
	info->executable = spte_is_executable(p, raw);
	info->accessed_bit = raw & p->m.accessed;
	info->encrypted = p->m.me_value && (raw & p->m.me_mask);
	info->ad_kind = spte_ad_kind(p, raw);
	if (!leaf)
		return 0;

	info->wstate = wstate_of(p, raw);
	info->huge = level > 1;
	info->host_writable = spte_is_host_writable(p, raw);
	info->mmu_writable = spte_is_mmu_writable(p, raw);
	info->dirty_bit = raw & p->m.dirty;
	info->tracked = tracked;
	if (is_ept(p))
		info->saved = spte_saved_bits(p, raw);
	info->memtype = spte_memtype(p, raw);
	info->ignore_pat = spte_ignore_pat(p, raw);
	return 0;
}

static u64 mmio_known(const struct spte_profile *p)
{
	u64 guard = p->m.nonpresent_or_rsvd;

	return p->m.mmio_mask | p->m.mmio_access | spte_gen_low_mask(p) | spte_gen_high_mask(p) | guard |
	       guard << p->rsvd_shift | p->m.nonpresent_or_rsvd_lower_gfn;
}

static int decode_mmio(const struct spte_profile *p, u64 raw, struct spte_info *info)
{
	u64 unknown = raw & ~mmio_known(p);
	u64 missing = p->m.nonpresent_or_rsvd & ~raw;

	if (unknown || missing)
		return decode_refuse(info, unknown, missing);

	info->cls = SPTE_CLASS_MMIO;
	info->mmio_gfn = spte_mmio_gfn(p, raw);
	info->mmio_gen = spte_mmio_gen(p, raw);
	info->mmio_access = spte_mmio_access(p, raw);
	return 0;
}

int spte_decode(const struct spte_profile *p, u64 raw, unsigned int level, struct spte_info *info)
{
	*info = (struct spte_info){ .raw = raw, .level = (u8)level };

	if (level < SPTE_LEVEL_MIN || level > SPTE_LEVEL_MAX) {
		decode_refuse(info, raw, 0);
		return -EINVAL;
	}
	if (spte_is_mmu_present(p, raw))
		return decode_present(p, raw, level, info);
	if (spte_is_nonpresent(p, raw)) {
		info->cls = SPTE_CLASS_NONPRESENT;
		info->np_zero = raw != p->nonpresent_value;
		return 0;
	}
	if (spte_is_frozen(p, raw)) {
		info->cls = SPTE_CLASS_FROZEN;
		return 0;
	}
	if (spte_is_mmio(p, raw))
		return decode_mmio(p, raw, info);
	return decode_refuse(info, raw, 0);
}

/* What leaf and table have in common; -EINVAL when the pfn or the kind does not fit. */
static int encode_common(const struct spte_profile *p, const struct spte_info *info, u64 *raw)
{
	u64 pa = info->pfn << SPTE_PAGE_SHIFT;

	if (info->pfn >> (52 - SPTE_PAGE_SHIFT) || pa & ~spte_pfn_mask(p))
		return -EINVAL;
	if (info->level < SPTE_LEVEL_MIN || info->level > SPTE_LEVEL_MAX)
		return -EINVAL;
	if (info->ad_kind != SPTE_AD_ENABLED && (!is_ept(p) || info->ad_kind >= SPTE_AD_INVALID))
		return -EINVAL;
	if (info->accessed_bit && !p->m.accessed)
		return -EINVAL;
	if (info->encrypted && !p->m.me_value)
		return -EINVAL;

	*raw = p->mmu_present | pa | (u64)info->ad_kind << p->ad_shift;
	if (info->accessed_bit)
		*raw |= p->m.accessed;
	if (info->encrypted)
		*raw |= p->m.me_value;
	return 0;
}

static int encode_table(const struct spte_profile *p, const struct spte_info *info, u64 *raw_ret)
{
	u64 raw;

	if (encode_common(p, info, &raw))
		return -EINVAL;
	if (info->level == 1 || info->ad_kind == SPTE_AD_WRPROT_ONLY)
		return -EINVAL;
	/* KVM grants everything in a table entry and restricts in the leaf. */
	if (!info->read_user || !info->writable || !info->executable)
		return -EINVAL;

	*raw_ret = raw | table_required(p);
	return 0;
}

static int encode_leaf(const struct spte_profile *p, const struct spte_info *info, u64 *raw_ret)
{
	u64 raw;

	if (encode_common(p, info, &raw))
		return -EINVAL;
	if (info->huge != (info->level > 1) || info->level > SPTE_LEVEL_HUGE_MAX ||
	    raw & spte_align_mask(info->level))
		return -EINVAL;
	if (info->saved & ~p->track_saved || (info->saved && !is_ept(p)))
		return -EINVAL;
	if (is_ept(p) ? !memtype_valid(info->memtype) : info->memtype != 6 || info->ignore_pat)
		return -EINVAL;
	if (info->dirty_bit && !p->m.dirty)
		return -EINVAL;
	if (!info->executable && !(p->m.x | p->m.nx))
		return -EINVAL;

	raw |= leaf_required(p, info->tracked);
	raw |= info->read_user ? p->m.user : 0;
	raw |= info->writable ? SPTE_HW_W : 0;
	raw |= info->executable ? p->m.x : p->m.nx;
	raw |= info->huge ? SPTE_HW_HUGE : 0;
	raw |= info->host_writable ? p->m.host_writable : 0;
	raw |= info->mmu_writable ? p->m.mmu_writable : 0;
	raw |= info->dirty_bit ? p->m.dirty : 0;
	if (is_ept(p)) {
		raw |= (u64)info->memtype << SPTE_EPT_MT_SHIFT;
		raw |= info->ignore_pat ? SPTE_EPT_IPAT : 0;
		raw |= (u64)info->saved << p->track_saved_shift;
	}

	/*
	 * The bits say "tracked" by themselves: refuse a claim that they contradict, and a pattern that means
	 * MMIO.
	 */
	if (spte_is_access_tracked(p, raw) != info->tracked || spte_is_mmio(p, raw))
		return -EINVAL;
	if (!info->read_user && raw & p->m.user)
		return -EINVAL;

	*raw_ret = raw;
	return 0;
}

static int encode_mmio(const struct spte_profile *p, const struct spte_info *info, u64 *raw_ret)
{
	u64 gpa = info->mmio_gfn << SPTE_PAGE_SHIFT;
	u64 guard = p->m.nonpresent_or_rsvd;

	if (!p->m.mmio_value || info->mmio_gfn >> (52 - SPTE_PAGE_SHIFT))
		return -EINVAL;
	if (gpa & ~(p->m.nonpresent_or_rsvd_lower_gfn | guard))
		return -EINVAL;
	if (info->mmio_gen >> (p->gen_low_bits + p->gen_high_bits) || info->mmio_access & ~p->m.mmio_access)
		return -EINVAL;

	*raw_ret = p->m.mmio_value | info->mmio_access | (gpa & ~guard) | guard |
		   (gpa & guard) << p->rsvd_shift |
		   (((u64)info->mmio_gen << p->gen_low_start) & spte_gen_low_mask(p)) |
		   ((u64)(info->mmio_gen >> p->gen_low_bits) << p->gen_high_start);
	return 0;
}

int spte_encode(const struct spte_profile *p, const struct spte_info *info, u64 *raw_ret)
{
	switch (info->cls) {
	case SPTE_CLASS_NONPRESENT:
		*raw_ret = info->np_zero ? 0 : p->nonpresent_value;
		return 0;
	case SPTE_CLASS_FROZEN:
		*raw_ret = p->frozen_value;
		return 0;
	case SPTE_CLASS_MMIO:
		return encode_mmio(p, info, raw_ret);
	case SPTE_CLASS_TABLE:
		return encode_table(p, info, raw_ret);
	case SPTE_CLASS_LEAF:
		return encode_leaf(p, info, raw_ret);
	case SPTE_CLASS_UNKNOWN:
		break;
	}
	return -EINVAL;
}

enum spte_class spte_class(const struct spte_profile *p, u64 raw, unsigned int level)
{
	struct spte_info info;

	spte_decode(p, raw, level, &info);
	return info.cls;
}

enum spte_wstate spte_wstate(const struct spte_profile *p, u64 raw, unsigned int level)
{
	return spte_is_leaf(p, raw, level) ? wstate_of(p, raw) : SPTE_W_NONE;
}

/* Reserved by hardware, whatever KVM's own use of ignored bits (H row 11; SEMANTICS B.1, B.2). */
static bool hw_reserved(const struct spte_profile *p, u64 raw, unsigned int level)
{
	bool leaf = spte_is_leaf(p, raw, level);
	u64 rsvd = SPTE_BITS(51, SPTE_PAGE_SHIFT) & ~spte_pfn_mask(p) & ~p->m.me_value;
	u64 rwx = raw & SPTE_EPT_RWX;

	if (level > SPTE_LEVEL_HUGE_MAX)
		rsvd |= SPTE_HW_HUGE;
	/* Bit 12 of a huge PT entry is its PAT bit. */
	if (leaf && level > 1)
		rsvd |= spte_align_mask(level) & ~(is_ept(p) ? 0 : SPTE_BIT(SPTE_PAGE_SHIFT));
	if (is_ept(p)) {
		if (!leaf)
			rsvd |= SPTE_EPT_MT | SPTE_EPT_IPAT;
		else if (rwx && !memtype_valid(spte_memtype(p, raw)))
			return true;
		if (rwx == SPTE_HW_W || rwx == (SPTE_HW_W | SPTE_EPT_X))
			return true;
		/*
		 * KVM leaves R out of the present mask exactly when the hardware can execute without reading.
		 */
		if (rwx == SPTE_EPT_X && p->m.present & SPTE_EPT_R)
			return true;
	} else if (level >= 4) {
		rsvd |= SPTE_BIT(8); /* AMD, PML4E and PML5E */
	}
	return raw & rsvd;
}

static u32 check_present(const struct spte_profile *p, u64 raw, unsigned int level)
{
	enum spte_ad_kind kind = spte_ad_kind(p, raw);
	u32 bad = 0;

	if (spte_is_mmio(p, raw))
		bad |= SPTE_BAD(PRESENT_MMIO);
	if (kind == SPTE_AD_INVALID || (!is_ept(p) && kind != SPTE_AD_ENABLED))
		bad |= SPTE_BAD(KIND);
	if (is_ept(p) && kind == SPTE_AD_DISABLED && raw & (p->m.accessed | p->m.dirty))
		bad |= SPTE_BAD(AD_RSVD);
	if (hw_reserved(p, raw, level))
		bad |= SPTE_BAD(RSVD);
	if (!spte_is_leaf(p, raw, level))
		return bad;

	if (spte_is_mmu_writable(p, raw) && !spte_is_host_writable(p, raw))
		bad |= SPTE_BAD(MW_NOT_HW);
	if (spte_is_writable(raw) && !spte_is_mmu_writable(p, raw))
		bad |= SPTE_BAD(W_NOT_MW);
	if (is_ept(p)) {
		if (!(raw & SPTE_EPT_RWX) && kind != SPTE_AD_DISABLED)
			bad |= SPTE_BAD(RWX0);
		if (raw & track_saved_mask(p) && !spte_is_access_tracked(p, raw))
			bad |= SPTE_BAD(SAVED);
	}
	return bad;
}

u32 spte_rights(const struct spte_profile *p, u64 raw)
{
	u32 access = 0, saved;

	if (spte_is_executable(p, raw))
		access |= ROLE_ACC_EXEC;
	if (spte_is_writable(raw) || spte_is_mmu_writable(p, raw))
		access |= ROLE_ACC_WRITE;
	if (p->format == SPTE_FMT_PT)
		return spte_is_user(p, raw) ? access | ROLE_ACC_USER : access;
	saved = spte_is_access_tracked(p, raw) ? spte_saved_bits(p, raw) : 0;
	if (spte_is_readable(p, raw) || saved & SPTE_EPT_R)
		access |= ROLE_ACC_USER;
	if (saved & SPTE_EPT_X)
		access |= ROLE_ACC_EXEC;
	return access;
}

u32 spte_always_granted(const struct spte_profile *p)
{
	return p->format == SPTE_FMT_EPT && p->m.present & SPTE_EPT_R ? ROLE_ACC_USER : 0;
}

u32 spte_check(const struct spte_profile *p, u64 raw, unsigned int level)
{
	u64 guard = p->m.nonpresent_or_rsvd;
	u32 bad = 0;

	if (spte_is_mmu_present(p, raw))
		return check_present(p, raw, level);
	if (spte_is_nonpresent(p, raw) || spte_is_frozen(p, raw))
		return 0;
	if (!spte_is_mmio(p, raw) || raw & ~mmio_known(p))
		bad |= SPTE_BAD(NP_FORM);
	if ((raw & guard) != guard && raw & SPTE_BITS(51, SPTE_PAGE_SHIFT))
		bad |= SPTE_BAD(L1TF);
	return bad;
}
