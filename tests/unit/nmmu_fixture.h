/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine for tests of what looks at guest tables: a little guest memory, one vCPU put together by hand,
 * and a log of what the engine asked of its surroundings. No CPU, no shadow pages.
 */
#ifndef TESTS_UNIT_NMMU_FIXTURE_H
#define TESTS_UNIT_NMMU_FIXTURE_H

#include "nmmu/private.h"
#include "nmmu/x86.h"

#define FIX_PAGES 64
#define FIX_HVA 0x7f0000000000ULL

struct fix {
	struct nmmu m;
	struct nmmu_vcpu v;
	struct nmmu_ops ops;
	u8 *mem;
	bool backed[FIX_PAGES], readonly[FIX_PAGES];
	u64 fault_hva; /* reads, writes and cmpxchg at this page fail; 0 none */
	/* Before each cmpxchg: may change memory, or return an error that is returned instead. */
	int (*before_cmpxchg)(struct fix *f, u64 gpa);
	u32 nr_cmpxchg;
	u32 nr_events[MS_EV_NR];
	struct ms_event last[MS_EV_NR];
	void *ctx;
};

/* hv, kernel and guest_phys_bits are set; all else is 0. Memory: slot 1 holds every page, logging. */
void fix_init(struct fix *f, enum ms_hv hv, enum nmmu_kernel kernel);
void fix_deinit(struct fix *f);
/* Slots again, as backed[] and readonly[] have it. */
void fix_slots(struct fix *f);
u64 fix_get(const struct fix *f, u64 gpa);
void fix_set(struct fix *f, u64 gpa, u64 value);
bool fix_is_dirty(const struct fix *f, u64 gfn);
void fix_clear_dirty(struct fix *f);

/* Make the MMUs for L1 with these registers, or for L2 under nested paging. */
void fix_l1(struct fix *f, const struct nmmu_regs *regs);
void fix_l2(struct fix *f, enum nmmu_nested_kind kind, u64 root, const struct nmmu_regs *l1,
	    const struct nmmu_regs *l2);

/*
 * Tables that map every frame to itself: EPT12 or NPT12 in frames 0-3 from the root down, L2's (or L1's) own
 * 4-level ones in frames 20-23. Entries grant everything, A and D are clear.
 */
#define FIX_EPT_ROOT 0
#define FIX_PT_ROOT 20
void fix_identity_ept(struct fix *f);
void fix_identity_pt(struct fix *f, u64 root_gfn);
/* GPA of the entry for frame gfn at a level of such tables. */
u64 fix_entry(u64 root_gfn, u32 level, u64 gfn);
/* L2 in long mode on tables at FIX_PT_ROOT, under EPT12 with these EPTP bits or under 4-level NPT12. */
void fix_l2_identity(struct fix *f, u64 eptp_bits);

#define EPTP_WB4 0x1eULL /* 4 levels, write-back */
#define EPTP_WB5 0x26ULL
#define EPTP_AD 0x40ULL

#endif
