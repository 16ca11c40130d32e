/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared within src/hw: one access under way, and what one stage of translation answers.
 *
 *   cpu.c     the access: TLB, both stages, the data itself
 *   x86.c     tables in x86 format: the guest's own, shadow ones, NPT
 *   second.c  EPT, NPT as a second stage, the page-modification log
 */
#ifndef HW_PRIVATE_H
#define HW_PRIVATE_H

#include "hw/hw.h"

#define HW_R 1u
#define HW_W 2u
#define HW_X 4u
#define HW_U 8u /* x86 formats: user mode may use it */

#define HW_BIT(n) (1ULL << (n))
/* Bits hi..lo, none when hi < lo. */
static inline u64 hw_bits(u32 hi, u32 lo)
{
	return hi < lo ? 0 : (~0ULL >> (63 - hi)) & (~0ULL << lo);
}

#define HW_PAGE_MASK hw_bits(51, 12)

#define HW_CR0_WP HW_BIT(16)
#define HW_CR0_PG HW_BIT(31)
#define HW_CR4_PSE HW_BIT(4)
#define HW_CR4_PAE HW_BIT(5)
#define HW_CR4_LA57 HW_BIT(12)
#define HW_CR4_SMEP HW_BIT(20)
#define HW_CR4_SMAP HW_BIT(21)
#define HW_EFER_LMA HW_BIT(10)
#define HW_EFER_NXE HW_BIT(11)

#define HW_PF_P HW_BIT(0)
#define HW_PF_W HW_BIT(1)
#define HW_PF_U HW_BIT(2)
#define HW_PF_RSVD HW_BIT(3)
#define HW_PF_I HW_BIT(4)

/* What functions here return beside 0. */
#define HW_EXIT 1 /* result is filled in */
#define HW_AGAIN 2 /* an entry changed under us: the whole translation is made again */

struct hw_tlb_entry {
	bool valid;
	u8 shift; /* log2 of the pages that the entry in the tables of addr maps: INVLPG forgets all of them */
	u8 rights1, rights2;
	bool dirty1, dirty2; /* nothing to be set by a write */
	u64 tag;
	u64 page; /* linear address >> 12 */
	u64 gpa, pa; /* of that 4 KiB page */
};

struct hw_cpu {
	struct hw_mem mem;
	u32 nr;
	struct hw_tlb_entry *tlb;
};

struct hw_walk {
	const struct hw_mem *mem;
	const struct hw_state *s;
	u64 linear;
	struct hw_result *ret;
};

struct hw_map {
	u64 addr; /* output */
	u8 level;
	u8 rights;
	bool dirty;
};

/* A table in x86 format and the rules in force for it. */
struct hw_x86 {
	u8 levels; /* 0: no paging */
	u8 bytes; /* of an entry */
	u8 phys_bits;
	bool nx, pse, gbpages, amd, pae;
	bool wp, smep, smap; /* smap: and not suspended by EFLAGS.AC */
	bool through; /* entries are reached through the second stage */
	u64 root;
	const u64 *pdpte; /* PAE with registers */
};

struct hw_want {
	bool write, fetch, user, read;
};

/* The guest's own tables as the control registers say. */
void hw_x86_guest(const struct hw_state *s, struct hw_x86 *ret);
bool hw_x86_denied(const struct hw_x86 *x, u32 rights, const struct hw_want *want);
/*
 * Walk, check, set A and D. HW_EXIT: *error is a #PF error code when it is not ~0; else an exit of the second
 * stage or a memory error is in w->ret.
 */
int hw_x86_walk(struct hw_walk *w, const struct hw_x86 *x, u64 addr, const struct hw_want *want,
		struct hw_map *ret, u64 *error_ret);
/*
 * The second stage for one guest-physical address. access: HW_R | HW_W | HW_X; table: of the guest's tables.
 */
int hw_second(struct hw_walk *w, u64 gpa, u32 access, bool table, struct hw_map *ret);
/* Everything else that the state says about it: how a table access counts. */
u32 hw_table_access(const struct hw_state *s, bool update);
int hw_mem_error(struct hw_walk *w, u64 pa);

#endif
