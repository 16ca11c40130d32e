/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole machine for tests of shadow pages: the engine as it is, a host of one range of memory that can run
 * out of memory on demand, guest tables that tests write entry by entry, and a check of everything after
 * every step.
 */
#ifndef TESTS_UNIT_NMMU_BOX_H
#define TESTS_UNIT_NMMU_BOX_H

#include "nmmu/private.h"
#include "nmmu/x86.h"

#define BOX_PAGES 8192u /* of guest memory: slot 1 from gfn 0, and slot 2 of AS 1 the same memory */
#define BOX_HVA 0x7f0000000000ULL
#define BOX_PFN 0x100000ULL /* of gfn 0 */
#define BOX_FIRST_TABLE 0x100u /* gfns from here on are guest tables, by box_table() */

/* Guest entries. */
#define PT_RW 0x67ULL /* P W U A D */
#define PT_TABLE 0x27ULL
#define PT_HUGE 0x80ULL
#define EPT_RWX 0x337ULL /* write-back, A D */
#define EPT_TABLE 0x107ULL /* A */
#define EPTP 0x5eULL /* 4 levels, write-back, A/D bits in use */
#define EPTP_NO_AD 0x1eULL

struct box {
	struct nmmu *m;
	struct nmmu_vcpu *v;
	u8 *mem;
	u32 next_table; /* gfn */
	u8 host_level;
	bool locked;
	long live; /* pieces of memory given out */
	u32 allocs; /* asked for so far */
	u32 fail_from; /* that allocation and later ones fail; 0: none */
	u32 flushes, events[MS_EV_NR];
	struct ms_event last[MS_EV_NR];
	void (*on_event)(struct box *b, const struct ms_event *event);
	void (*on_yield)(struct box *b, enum nmmu_point point);
	void *ctx;
};

/* VMX with TDP and A/D; change what is needed before box_init(). */
struct nmmu_config box_config(enum nmmu_kernel kernel);
void box_init(struct box *b, const struct nmmu_config *cfg);
/* Ends the machine; nothing of the host's memory may be left. */
void box_deinit(struct box *b);
/* Fails the test when an invariant is broken. */
void box_check_at(struct box *b, const char *file, int line);
#define box_check(b) box_check_at(b, __FILE__, __LINE__)

u64 box_get(const struct box *b, u64 gpa);
/* As a CPU that is free to: the engine is not told. */
void box_set(struct box *b, u64 gpa, u64 value);
void box_set32(struct box *b, u64 gpa, u32 value);
/* An empty guest table; its gfn. */
u64 box_table(struct box *b);
/*
 * Map addr to gpa at level in tables of 8-byte entries below root (a gfn of `top' levels), making what is
 * missing. leaf and table: bits of the entries. Returns the GPA of the leaf.
 */
u64 box_map(struct box *b, u64 root, u32 top, u64 addr, u64 gpa, u32 level, u64 leaf, u64 table);

/* L1 in long mode with this CR3; it needs no tables under TDP. */
void box_long_mode(struct box *b, u64 cr3);
/* Enter L2 with this EPTP or nCR3. */
void box_enter(struct box *b, enum nmmu_nested_kind kind, u64 root);
/* As before each VM entry; fails the test on an error. */
void box_load(struct box *b);
/* A fault at addr until it is fixed; returns what became of it. */
int box_fault(struct box *b, u64 addr, u64 error);

/* The shadow: the page for (gfn, level) that is not direct, and the SPTE for addr at a level (NULL: none). */
struct nmmu_sp *box_sp(struct box *b, u64 gfn, u32 level);
u64 *box_spte(struct box *b, u64 addr, u32 level);
u32 box_nr_pages(struct box *b);

bool box_is_present(struct box *b, const u64 *sptep);
u64 box_pfn_at(struct box *b, u64 addr); /* mapped at level 1; 0: nothing */
u64 box_pfn_of(u64 gpa);
struct nmmu_sp *box_page_of(struct box *b, u64 addr, u32 level);

/* A machine whose L2 runs on EPT12 tables below *root_ret. */
void box_start_l2(struct box *b, enum nmmu_kernel kernel, u64 *root_ret);
/* Maps ngpa to gpa in 4K, and reads there. */
void box_map_l2(struct box *b, u64 root, u64 ngpa, u64 gpa);
void box_leave(struct box *b);
/* L1's store, by the CPU where EPT01 lets it, else emulated. True: emulated. */
bool box_l1_write(struct box *b, u64 gpa, u64 value);

static inline u64 box_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
