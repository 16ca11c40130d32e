/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host for the engine, made up for unit tests: memory that can run out on demand, one range of host
 * addresses, counted flushes and locks, a hook at yield points; and a way to put SPTEs into a machine without
 * a fault.
 */
#ifndef TESTS_UNIT_NMMUHOST_H
#define TESTS_UNIT_NMMUHOST_H

#include "nmmu/private.h"

#define HOST_HVA 0x7f0000000000ULL
#define HOST_PAGES 4096u /* from HOST_HVA on */
#define HOST_PFN 0x100000ULL /* of the first one */

struct host {
	u8 *mem; /* HOST_PAGES pages */
	u8 level; /* of every host mapping */
	bool readonly;
	bool locked;
	long live; /* pieces of memory given out */
	int fail_in; /* fails the allocation that many from now, 0: none */
	u32 flushes, locks, events[MS_EV_NR];
	bool flush_locked; /* the last flush was under mmu_lock */
	struct ms_event last[MS_EV_NR];
	/* Hooks of pinned pages, as called: pin, unpin, zap, unzap. */
	u32 pin_calls[4];
	u64 pin_gfn, pin_pfn; /* of the last one */
	u8 pin_level;
	u64 pinned_pages; /* 4 KiB, now */
	u32 pin_refuse; /* that many pins from now, 0: none is refused */
	u64 moved; /* added to every pfn */
	void (*on_yield)(struct host *h, enum nmmu_point point);
	void *ctx;
	struct nmmu *m;
	struct nmmu_vcpu v; /* of m; bare: for its cache */
};

/* cfg NULL: VMX, TDP, A/D, 6.12, and PML when pml. Fails the test when it cannot be made. */
void host_init(struct host *h, const struct nmmu_config *cfg);
struct nmmu_config host_config(bool pml);
/* Ends the machine and checks that nothing is left. */
void host_deinit(struct host *h);
/* A shadow page of this role. */
struct nmmu_sp *host_sp(struct host *h, u64 gfn, union nmmu_role role);
/* Maps gfn of slot at sp[index] with this leaf value (pfn filled in), reverse map and all. */
u64 *host_map(struct host *h, struct nmmu_slot *slot, struct nmmu_sp *sp, u32 index, u64 gfn, u64 leaf);
/* A present leaf with these properties. */
#define HOST_W 1u /* W, host- and MMU-writable */
#define HOST_DL 2u /* host- and MMU-writable */
#define HOST_A 4u
#define HOST_D 8u
u64 host_leaf(struct host *h, u32 level, enum spte_ad_kind kind, u32 what);

/* A small generator, seeded, so that a failure can be repeated. */
static inline u64 host_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
