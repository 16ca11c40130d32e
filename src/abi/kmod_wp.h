/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /dev/mmuscope, write-protect flips: guest frames whose stores KVM is made to intercept, and what was stored.
 *
 * A flip belongs to the session that made it and ends with it, with the VM, or with its memslot. Two sessions
 * may flip the same frame: the protection goes when the last of them is gone. What KVM itself tracks
 * (shadowed page tables) stays as it is.
 *
 * KVM emulates each store to such a frame. A store that it cannot emulate (and a page walk of the CPU's that
 * sets A and D bits there) is let through: the protection of that one frame is lifted until the vCPU is past
 * the instruction, and the write is reported with what the memory held afterwards. What other vCPUs store
 * there meanwhile is not seen. Seen are stores by vCPUs alone, outside SMM (another address space): not the VMM's,
 * devices', or KVM's own.
 *
 * Writes are read with read(2): whole records, as many as fit; poll(2) tells when there are some. Before the session's
 * first flip both are an error (EINVAL, POLLERR). What could not be copied (EFAULT) stays and comes again. A read that
 * gives 0 bytes: the VM is gone and all has been read.
 */
#ifndef ABI_KMOD_WP_H
#define ABI_KMOD_WP_H

#include "abi/kmod.h"

#define MMUSCOPE_WP_MAX_GFNS 4096u /* a session's flips */
#define MMUSCOPE_WP_RING \
	4096u /* records kept for a session; older ones than read stay, newer ones are lost */
#define MMUSCOPE_WP_VALUE_BYTES 16u

/* On: without the guard (below) if it cannot be had. */
#define MMUSCOPE_WP_MAY_KILL (1u << 0)

enum mmuscope_wp_kind {
	MMUSCOPE_WP_STORE, /* emulated by KVM; `bytes' and `value' are what was stored */
	MMUSCOPE_WP_THROUGH, /* let through: KVM could not emulate it; `value' was read back */
	MMUSCOPE_WP_WALK, /* let through: the CPU's walk of the guest's page tables; `value' was read back */
	MMUSCOPE_WP_LOST, /* no write: the flip ended with its memslot */
	MMUSCOPE_WP_EVENT, /* let through: the CPU's delivery of an event, to its stack; `value' was read back */
	MMUSCOPE_WP_UNFINISHED, /* let through, and the vCPU did not get past it in time: made, or to be told again */
};

struct mmuscope_wp_write {
	u64 seq; /* of the session, from 0; a gap is what was lost */
	u64 ns; /* CLOCK_MONOTONIC */
	u64 gpa; /* of the first byte in this frame */
	u64 rip; /* linear, of the instruction; 0: not known */
	u64 count; /* writes to this frame since the session flipped it, this one included */
	u32 bytes; /* in this frame; 0: not known */
	s32 vcpu; /* its id; -1: not known */
	u8 kind; /* enum mmuscope_wp_kind */
	u8 level; /* 1: L1, 2: L2, 0: not known */
	u8 value_bytes; /* of `value' */
	u8 pad[5];
	u8 value[MMUSCOPE_WP_VALUE_BYTES];
};

/*
 * [gfn, gfn + nr). On: `done' frames are flipped by this session now; when that is less than nr, `err'
 * (errno's value) says why the next one is not: ENOENT (no memslot), EOPNOTSUPP (this slot has no counters),
 * ENOSPC (WP_MAX_GFNS), EEXIST (this session has it). Off: `done' flips were undone; the others in the range
 * were none. The request itself, which leaves no flip then: -EOPNOTSUPP, the kernel has no external write
 * tracking; -EACCES, the guest's memory or registers are encrypted (SEV, SEV-ES, SNP), and KVM can emulate none of
 * its stores, whatever the flags; -EBUSY, the guard cannot be had, and MAY_KILL was not given; -EINVAL, a range
 * that is empty, wraps or is larger than WP_MAX_GFNS.
 */
struct mmuscope_wp_range {
	u64 gfn;
	u32 nr;
	u32 flags; /* MMUSCOPE_WP_MAY_KILL; off: 0 */
	u32 done; /* out */
	u32 err; /* out */
};

#define MMUSCOPE_WP_MINE (1u << 0) /* this session's, too */
#define MMUSCOPE_WP_LIFTED (1u << 1) /* a store is being let through */
#define MMUSCOPE_WP_GONE (1u << 2) /* ended with its memslot; only this session's are listed */

struct mmuscope_wp_flip {
	u64 gfn;
	/*
	 * Since the first session flipped it; GONE: as this session saw it. through: UNFINISHED ones, too, of which not
	 * each may have been made. walks: the CPU's own writes, WALK and EVENT, and such ones that were not finished.
	 */
	u64 stores, through, walks;
	u32 sessions;
	u32 flags;
};

/* The VM's flips from gfn on, all sessions', ascending; then ask again from the last one + 1. */
struct mmuscope_wp_list {
	u64 gfn;
	u64 buf; /* struct mmuscope_wp_flip[room] */
	u32 room;
	u32 nr; /* out: copied */
	u32 total; /* out: flips of the VM */
	u32 pad;
};

#define MMUSCOPE_WP_GUARDED (1u << 0) /* stores that KVM cannot emulate are let through */
#define MMUSCOPE_WP_TRACKING \
	(1u << 1) /* external write tracking stays enabled for the VM's life, as this kernel does */

struct mmuscope_wp_info {
	u64 seq; /* records of this session ever made, lost ones included */
	u64 lost;
	u32 gfns; /* this session's flips */
	u32 flags; /* MMUSCOPE_WP_GUARDED, _TRACKING */
};

#define MMUSCOPE_WP_ON _IOWR(MMUSCOPE_IOC, MMUSCOPE_NR_WP + 0, struct mmuscope_wp_range)
#define MMUSCOPE_WP_OFF _IOWR(MMUSCOPE_IOC, MMUSCOPE_NR_WP + 1, struct mmuscope_wp_range)
#define MMUSCOPE_WP_LIST _IOWR(MMUSCOPE_IOC, MMUSCOPE_NR_WP + 2, struct mmuscope_wp_list)
#define MMUSCOPE_WP_INFO _IOR(MMUSCOPE_IOC, MMUSCOPE_NR_WP + 3, struct mmuscope_wp_info)

_Static_assert(sizeof(struct mmuscope_wp_write) == 72, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_wp_range) == 24, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_wp_flip) == 40, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_wp_list) == 32, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_wp_info) == 24, "shared with the kernel");

#endif
