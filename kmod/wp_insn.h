/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far one instruction's stores reach, as far as it matters for whether it may be single-stepped: by its bytes
 * alone, without operands. Nothing of KVM's or of the kernel's is used here (tests/unit/test_wp_insn.c).
 *
 * Source: AMD APM volume 3, Intel SDM volume 2; XSAVE's size is what CPUID 0xd says.
 */
#ifndef KMOD_WP_INSN_H
#define KMOD_WP_INSN_H

#include "abi/types.h"

#define WP_INSN_MAX 15u
/* All that is not named below: an AVX-512 register, or MOVDIR64B. */
#define WP_REACH_SHORT 64u
#define WP_REACH_FXSAVE 512u
/* As much as this CPU saves. */
#define WP_REACH_XSAVE 0u
/* It stores in several places, or down a stack, or on another one: nothing is known of where its end is. */
#define WP_REACH_FAR 4097u

/* The byte is a prefix. Of REX: in other modes than 64-bit these are inc and dec, of registers. */
static inline bool wp_insn_is_prefix(u8 byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x40 ... 0x4f:
	case 0x64 ... 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return false;
	}
}

/* Of the XSAVE family, by the byte behind 0f. */
static inline u32 wp_insn_reach_0f(u8 op, u8 modrm)
{
	const u8 reg = modrm >> 3 & 7;

	if (modrm >= 0xc0)
		return WP_REACH_SHORT;
	if (op == 0xae && reg == 0)
		return WP_REACH_FXSAVE;
	/* xsave, xsaveopt; xsavec, xsaves */
	if ((op == 0xae && (reg == 4 || reg == 6)) || (op == 0xc7 && (reg == 4 || reg == 5)))
		return WP_REACH_XSAVE;
	return WP_REACH_SHORT;
}

/*
 * In bytes, from the first one that it stores in a page on: WP_REACH_FAR at most. nr: how many of its bytes are known;
 * one that they do not suffice for is taken for XSAVE.
 */
static inline u32 wp_insn_reach(const u8 *insn, u32 nr)
{
	u32 i = 0;

	while (i < nr && wp_insn_is_prefix(insn[i]))
		i++;
	if (i + 3 > nr)
		return WP_REACH_XSAVE;
	switch (insn[i]) {
	case 0x0f:
		return wp_insn_reach_0f(insn[i + 1], insn[i + 2]);
	case 0xdd: /* fnsave */
	case 0xd9: /* fnstenv */
		return insn[i + 1] < 0xc0 && (insn[i + 1] >> 3 & 7) == 6 ? 2 * WP_REACH_SHORT
									 : WP_REACH_SHORT;
	case 0x9a: /* far calls, which may change to another stack */
	case 0xc8: /* enter: each of its levels is a push */
		return WP_REACH_FAR;
	case 0xff:
		return (insn[i + 1] >> 3 & 7) == 3 ? WP_REACH_FAR : WP_REACH_SHORT;
	case 0x62: /* EVEX, map 0f38: scatters */
		if (i + 5 > nr)
			return WP_REACH_FAR;
		return (insn[i + 1] & 7) == 2 && insn[i + 4] >= 0xa0 && insn[i + 4] <= 0xa3 ? WP_REACH_FAR
											    : WP_REACH_SHORT;
	case 0xc4: /* VEX, map 0f38: tilestored */
		if (i + 4 > nr)
			return WP_REACH_FAR;
		return (insn[i + 1] & 0x1f) == 2 && insn[i + 3] == 0x4b ? WP_REACH_FAR : WP_REACH_SHORT;
	default:
		return WP_REACH_SHORT;
	}
}

#endif
