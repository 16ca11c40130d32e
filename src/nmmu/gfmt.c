// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Formats of guest tables (SEMANTICS B.1, B.2): which bits are reserved at which level, what an entry grants,
 * where it points, and which granted access an access faults on. Values only: reads no memory, knows no vCPU.
 *
 * Sources: Intel SDM vol. 3 4.3-4.7 and 28.3.2-28.3.3; AMD APM vol. 2 5.3-5.6; SEMANTICS B1a, B2, D.1 step 7.
 */
#include "nmmu/private.h"

/* Bits hi..lo, both included. */
#define BITS(hi, lo) SPTE_BITS(hi, lo)

#define PT_P (1u << 0)
#define PT_W (1u << 1)
#define PT_U (1u << 2)
#define PT_A (1ULL << 5)
#define PT_D (1ULL << 6)
#define PT_PS (1ULL << 7)
#define PT_NX (1ULL << 63)
#define EPT_A (1ULL << 8)
#define EPT_D (1ULL << 9)
#define EPT_RWX 7u

#define LEVELS 5

/* PA[35:32] of a 4 MiB page are bits 16:13 of its PDE (PSE36); the rest up to the frame is reserved. */
#define PSE36_BITS BITS(16, 13)
#define PSE36_SHIFT (32 - 13)
#define PSE36_RSVD BITS(21, 17)

/* Indices of perm[] are error codes without P; the bit of RSVD stands for "SMAP does not apply". */
#define PFEC_NO_SMAP NMMU_PF_RSVD

static u64 above_phys_bits(const struct nmmu_gfmt *fmt, u32 top)
{
	return fmt->phys_bits > top ? 0 : BITS(top, fmt->phys_bits);
}

static void rsvd_same(struct nmmu_gfmt *fmt, u32 level, u64 mask)
{
	fmt->rsvd[0][level - 1] = mask;
	fmt->rsvd[1][level - 1] = mask;
}

static void rsvd_ept(struct nmmu_gfmt *fmt)
{
	u64 high = above_phys_bits(fmt, 51);
	u32 level;

	rsvd_same(fmt, 5, high | BITS(7, 3));
	rsvd_same(fmt, 4, high | BITS(7, 3));
	for (level = 2; level <= 3; level++)
		fmt->rsvd[0][level - 1] = high | BITS(6, 3);
	fmt->rsvd[1][2] = high | BITS(29, 12) | (fmt->gbpages ? 0 : PT_PS);
	fmt->rsvd[1][1] = high | BITS(20, 12);
	/* Bit 7 of a 4 KiB entry is ignored. */
	rsvd_same(fmt, 1, high);
}

static void rsvd_long(struct nmmu_gfmt *fmt)
{
	u64 high = above_phys_bits(fmt, 51) | (fmt->nx ? 0 : PT_NX);
	u64 top = high | PT_PS | (fmt->amd ? BITS(8, 8) : 0);

	rsvd_same(fmt, 5, top);
	rsvd_same(fmt, 4, top);
	fmt->rsvd[0][2] = high;
	fmt->rsvd[1][2] = high | BITS(29, 13) | (fmt->gbpages ? 0 : PT_PS);
	fmt->rsvd[0][1] = high;
	fmt->rsvd[1][1] = high | BITS(20, 13);
	rsvd_same(fmt, 1, high);
}

static void rsvd_pae(struct nmmu_gfmt *fmt)
{
	u64 high = above_phys_bits(fmt, 62) | (fmt->nx ? 0 : PT_NX);

	/* B1a: nothing at level 3, PDPTEs are checked where they are loaded. */
	fmt->rsvd[0][1] = high;
	fmt->rsvd[1][1] = high | BITS(20, 13);
	rsvd_same(fmt, 1, high);
}

/*
 * entry[5:0] of EPT misconfigurations by rights or memory type (B2). Bits 5:3 of a table are reserved anyway.
 */
static u64 bad_mt_xwr(bool exec_only)
{
	u64 bad = 0;
	u32 low;

	for (low = 0; low < 64; low++) {
		u32 rwx = low & EPT_RWX, mt = low >> 3;

		if (rwx == 2 || rwx == 6 || (rwx == 4 && !exec_only) || mt == 2 || mt == 3 || mt == 7)
			bad |= 1ULL << low;
	}
	return bad;
}

/* Does an access with this error code fault on rights acc? */
static bool denied(const struct nmmu_gfmt *fmt, u32 pfec, u32 acc)
{
	bool write = pfec & NMMU_PF_W, user = pfec & NMMU_PF_U, fetch = pfec & NMMU_PF_I;

	if (fmt->kind == NMMU_GPT_NONE)
		return false;
	if (fmt->kind == NMMU_GPT_EPT)
		return (write && !(acc & NMMU_ACC_W)) || (user && !(acc & NMMU_ACC_U)) ||
		       (fetch && !(acc & NMMU_ACC_X));

	if (fetch && fmt->nx && !(acc & NMMU_ACC_X))
		return true;
	if (user)
		return !(acc & NMMU_ACC_U) || (write && !(acc & NMMU_ACC_W));
	if (write && fmt->wp && !(acc & NMMU_ACC_W))
		return true;
	if (!(acc & NMMU_ACC_U))
		return false;
	/* A supervisor reaches into a user page. */
	if (fetch)
		return fmt->smep;
	return fmt->smap && !(pfec & PFEC_NO_SMAP);
}

void nmmu_gfmt_finish(struct nmmu_gfmt *fmt)
{
	u32 i, acc;

	nmmu_zero(fmt->rsvd, sizeof(fmt->rsvd));
	fmt->bad_mt_xwr = 0;
	switch (fmt->kind) {
	case NMMU_GPT_32:
		/* Without PSE bit 7 is ignored, and nothing is reserved. */
		if (fmt->pse)
			fmt->rsvd[1][1] = PSE36_RSVD;
		break;
	case NMMU_GPT_PAE:
		rsvd_pae(fmt);
		break;
	case NMMU_GPT_64:
	case NMMU_GPT_LA57:
		rsvd_long(fmt);
		break;
	case NMMU_GPT_EPT:
		rsvd_ept(fmt);
		fmt->bad_mt_xwr = bad_mt_xwr(fmt->exec_only);
		break;
	case NMMU_GPT_NONE:
		break;
	}
	for (i = 0; i < 16; i++) {
		fmt->perm[i] = 0;
		for (acc = 0; acc <= NMMU_ACC_ALL; acc++) {
			if (denied(fmt, i << 1, acc))
				fmt->perm[i] |= (u8)(1u << acc);
		}
	}
}

bool nmmu_gfmt_is_rsvd(const struct nmmu_gfmt *fmt, u64 gpte, u32 level)
{
	if (level < 1 || level > LEVELS)
		return true;
	return (gpte & fmt->rsvd[(gpte & PT_PS) != 0][level - 1]) || (fmt->bad_mt_xwr >> (gpte & 63) & 1);
}

bool nmmu_gfmt_is_present(const struct nmmu_gfmt *fmt, u64 gpte)
{
	return fmt->kind == NMMU_GPT_EPT ? gpte & EPT_RWX : gpte & PT_P;
}

bool nmmu_gfmt_is_leaf(const struct nmmu_gfmt *fmt, u64 gpte, u32 level)
{
	if (level == 1)
		return true;
	if (!(gpte & PT_PS))
		return false;
	if (fmt->kind == NMMU_GPT_32)
		return level == 2 && fmt->pse;
	/* A PDPTE of PAE paging is always a table. */
	return level == 2 || (level == 3 && fmt->kind != NMMU_GPT_PAE);
}

u32 nmmu_gfmt_access(const struct nmmu_gfmt *fmt, u64 gpte)
{
	u32 acc = gpte & PT_W ? NMMU_ACC_W : 0;

	if (fmt->kind == NMMU_GPT_EPT)
		return acc | (gpte & 1 ? NMMU_ACC_U : 0) | (gpte & 4 ? NMMU_ACC_X : 0);
	return acc | (gpte & PT_U ? NMMU_ACC_U : 0) |
	       (fmt->kind != NMMU_GPT_32 && (gpte & PT_NX) ? 0 : NMMU_ACC_X);
}

/* Where the index of a level starts in an address. */
static u32 level_shift(const struct nmmu_gfmt *fmt, u32 level)
{
	return NMMU_PAGE_SHIFT + (level - 1) * (fmt->kind == NMMU_GPT_32 ? 10 : 9);
}

u64 nmmu_gfmt_leaf_gfn(const struct nmmu_gfmt *fmt, u64 gpte, u32 level, u64 addr)
{
	u64 offset = (1ULL << level_shift(fmt, level)) - 1;
	u64 base = gpte & (fmt->kind == NMMU_GPT_32 ? BITS(31, 12) : BITS(51, 12)) & ~offset;

	if (fmt->kind == NMMU_GPT_32 && level > 1)
		base |= (gpte & PSE36_BITS) << PSE36_SHIFT;
	return (base | (addr & offset)) >> NMMU_PAGE_SHIFT;
}

u64 nmmu_gfmt_table_gfn(const struct nmmu_gfmt *fmt, u64 gpte)
{
	return (gpte & (fmt->kind == NMMU_GPT_32 ? BITS(31, 12) : BITS(51, 12))) >> NMMU_PAGE_SHIFT;
}

u32 nmmu_gfmt_index(const struct nmmu_gfmt *fmt, u64 addr, u32 level)
{
	u32 mask = 511;

	if (fmt->kind == NMMU_GPT_32)
		mask = 1023;
	else if (fmt->kind == NMMU_GPT_PAE && level == 3)
		mask = 3;
	return (u32)(addr >> level_shift(fmt, level)) & mask;
}

u64 nmmu_gfmt_a_mask(const struct nmmu_gfmt *fmt)
{
	if (!fmt->ad || fmt->kind == NMMU_GPT_NONE)
		return 0;
	return fmt->kind == NMMU_GPT_EPT ? EPT_A : PT_A;
}

u64 nmmu_gfmt_d_mask(const struct nmmu_gfmt *fmt)
{
	if (!fmt->ad || fmt->kind == NMMU_GPT_NONE)
		return 0;
	return fmt->kind == NMMU_GPT_EPT ? EPT_D : PT_D;
}
