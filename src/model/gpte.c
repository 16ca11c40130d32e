/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest page table entries, for display. It says what bits mean, not whether a CPU accepts them: reserved
 * bits depend on the CPU, and whoever walked has seen them (MS_TRACE_RSVD).
 */
#include "model/gpte.h"

#include "spte/profile.h"

#define ADDR SPTE_BITS(51, 12)
#define ADDR_32 SPTE_BITS(31, 12)

u32 ms_gpt_index(enum ms_gpt gpt, u32 level, u64 address)
{
	u32 bits = gpt == MS_GPT_32 ? 10 : 9;
	u32 index = (u32)(address >> (12 + bits * (level - 1)));

	/* The top of PAE has four entries. */
	return index & (gpt == MS_GPT_PAE && level == 3 ? 3 : (1u << bits) - 1);
}

static void decode_ept(u32 level, u64 entry, struct ms_gpte *g)
{
	g->present = entry & SPTE_EPT_RWX;
	g->leaf = level == 1 || (level <= SPTE_LEVEL_HUGE_MAX && entry & SPTE_HW_HUGE);
	g->access = (entry & SPTE_EPT_R ? MS_GPTE_R : 0) | (entry & SPTE_HW_W ? MS_GPTE_W : 0) |
		    (entry & SPTE_EPT_X ? MS_GPTE_X : 0);
	g->has_ad = true;
	g->accessed = entry & SPTE_BIT(8);
	g->dirty = g->leaf && entry & SPTE_BIT(9);
	g->memtype = (entry & SPTE_EPT_MT) >> SPTE_EPT_MT_SHIFT;
	g->frame = (entry & ADDR) >> 12;
}

static void decode_pt(enum ms_gpt gpt, u32 level, u64 entry, struct ms_gpte *g)
{
	bool four = gpt == MS_GPT_32, pdpte = gpt == MS_GPT_PAE && level == 3;

	g->present = entry & SPTE_PT_P;
	g->leaf =
		level == 1 || (level <= (four ? 2u : SPTE_LEVEL_HUGE_MAX) && !pdpte && entry & SPTE_HW_HUGE);
	/* A PDPTE of PAE grants all (B1a). */
	g->access = pdpte ? MS_GPTE_R | MS_GPTE_W | MS_GPTE_X
			  : (entry & SPTE_PT_U ? MS_GPTE_R : 0) | (entry & SPTE_HW_W ? MS_GPTE_W : 0) |
				    (four || !(entry & SPTE_PT_NX) ? MS_GPTE_X : 0);
	g->has_ad = !pdpte;
	g->accessed = g->has_ad && entry & SPTE_BIT(5);
	g->dirty = g->leaf && entry & SPTE_BIT(6);
	g->frame = (entry & (four ? ADDR_32 : ADDR)) >> 12;
	/* PSE-36: bits 35:32 of a 4 MiB page are 16:13 of its entry. */
	if (four && g->leaf && level == 2)
		g->frame = (entry & SPTE_BITS(31, 22)) >> 12 | (entry >> 13 & 15) << 20;
}

void ms_gpte_decode(enum ms_gpt gpt, u32 level, u64 entry, struct ms_gpte *ret)
{
	u32 shift = 12 + (gpt == MS_GPT_32 ? 10 : 9) * (level - 1);
	struct ms_gpte g = { 0 };

	if (gpt == MS_GPT_EPT)
		decode_ept(level, entry, &g);
	else
		decode_pt(gpt, level, entry, &g);
	if (g.leaf) {
		g.bytes = 1ull << shift;
		g.frame &= ~(g.bytes / 4096 - 1);
	}
	*ret = g;
}
