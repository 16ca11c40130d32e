/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults that get a vCPU nowhere: faults taken against faults resolved, by vCPU and address. Fed one event at a time,
 * in the order in which they happened; it reads nothing, prints nothing and knows no target. Memory is bounded: places
 * are kept in a fixed table, which gives up the least suspicious of them and counts what it gave up.
 *
 *   fault ... stale, fault_done, emulate, mmio, inject    one fault of one vCPU
 *
 * A series is the same fault of one vCPU again and again (address, error code, MMU, L1 or which L2) with nothing
 * between that resolved it: that made the entry, or carried the instruction out, at this page for this access. What was
 * given to L1 is a place of its own, by what L1 was told; there an entry made for a neighbour resolves it too, since
 * KVM makes entries ahead (SEMANTICS F), and so does a sync that changed something. A fault that was fixed and comes
 * all the same is in a series only as long as nothing may have taken the entry away between: flush, zap, aging, log.
 * Where events were lost every series breaks off.
 *
 * No series: misconfigurations that are given to L1 and nested page faults with RSVD (how an L1 makes its devices),
 * full logs of L1's, page faults that a guest gets in shadow paging (its own business).
 */
#ifndef QUERY_STUCK_H
#define QUERY_STUCK_H

#include <stddef.h>

#include "abi/event.h"

#define MS_STUCK_MIN 8u /* length of a series that is reported, unless said otherwise */
#define MS_STUCK_PLACES 4096u
#define MS_STUCK_VCPUS 1024u /* of numbers from there on nothing is known */

enum ms_stuck_cause {
#define STUCK_CAUSE(id, name, text) MS_STUCK_##id,
#include "query/stuck.def"
#undef STUCK_CAUSE
	MS_NR_STUCK
};

const char *ms_stuck_name(enum ms_stuck_cause cause);
const char *ms_stuck_text(enum ms_stuck_cause cause);

/* 1 << enum ms_event_id: what it looks at. */
u64 ms_stuck_events(void);

#define MS_STUCK_NO_MMU 0xff

struct ms_stuck_place {
	u64 addr; /* as the MMU at work has it */
	u64 error; /* PFERR bits; of what L1 was told its qualification or EXITINFO1 */
	u64 reason; /* exit reason, where L1 was told; else 0 */
	u64 pgd; /* of the L2 that faulted: EPTP or nCR3; 0: not known, or L1's fault */
	u16 vcpu;
	u8 guest; /* enum ms_ev_guest: whose fault */
	u8 mmu; /* enum ms_mmu_which; MS_STUCK_NO_MMU: not seen */
	bool injected; /* L1 was told */

	u64 taken, resolved; /* at this place, while it was kept */

	/* The longest series, or the one under way when that is as long. */
	u64 nr;
	u64 first_ns, last_ns;
	u64 by_cause[MS_NR_STUCK];
	u64 gfn; /* ~0: not known */
	u64 seq_seen, seq_now; /* of the last retry that said so: has_stale; MS_EV_NO_SEQ: not known */
	u32 in_progress; /* MS_EV_NO_NR: not known */
	u64 rip; /* of the last instruction emulated for it, 0: none seen */
	u8 last_ret; /* enum ms_ret, MS_RET_NR: not seen */
	bool has_stale;
	bool open; /* nothing that was heard has resolved it since, */
	bool torn; /* ... but not all was heard */
};

/* The cause that most faults of the series had. */
enum ms_stuck_cause ms_stuck_cause(const struct ms_stuck_place *place);

/* Faults taken, and what became of them: each is counted in one of the figures below, which add up to it. */
struct ms_stuck_vcpu {
	u64 faults;
	u64 fixed, spurious;
	u64 emulated; /* handed to the emulator, which did not fail: also those that hit an MMIO SPTE */
	u64 retried;
	u64 injected; /* given to a guest, by the fault handler or by the emulator */
	u64 failed; /* error, or an emulation that failed */
	u64 unfinished; /* whose end was not seen (yet), or does not say */

	u64 unasked; /* no fault's outcome: given to a guest where no fault was under way */
};

struct ms_stuck_totals {
	u64 events; /* looked at */
	u64 no_vcpu; /* faults of no vCPU, or of one from MS_STUCK_VCPUS on: not looked at */
	u64 places; /* kept */
	u64 dropped; /* places with a series of two and more, given up for lack of room */
	u64 dropped_longest; /* the longest series among those */
	u64 first_ns, last_ns;
};

struct ms_stuck;

/* fed: 1 << enum ms_event_id that the source can raise. NULL when memory is out. */
struct ms_stuck *ms_stuck_create(u64 fed);
void ms_stuck_destroy(struct ms_stuck *stuck); /* takes NULL */
void ms_stuck_event(struct ms_stuck *stuck, const struct ms_event *event);
/*
 * Events were lost before the one that comes next: any of them may have got a vCPU on, so that no series goes over it;
 * nor is it known what a vCPU is at, nor whether an invalidation that began has ended.
 */
void ms_stuck_lost(struct ms_stuck *stuck);
/*
 * Now and then: what was heard since the last time is all there was, but for what ms_stuck_lost() was told of; or,
 * lost, there were more, somewhere among it: then no series of that time stands.
 */
void ms_stuck_settle(struct ms_stuck *stuck, bool lost);
/* False: no fault of this vCPU was seen. */
bool ms_stuck_vcpu(const struct ms_stuck *stuck, u32 id, struct ms_stuck_vcpu *ret);
void ms_stuck_totals(const struct ms_stuck *stuck, struct ms_stuck_totals *ret);
/*
 * Places with a series of at least min faults, the longest first; *ret is the caller's, free(). Returns how many,
 * SIZE_MAX when memory is out.
 */
size_t ms_stuck_found(const struct ms_stuck *stuck, u64 min, struct ms_stuck_place **ret);
/* Whether a cause can be told from what the source raises; a series of another is not made. */
bool ms_stuck_can_tell(u64 fed, enum ms_stuck_cause cause);

#endif
