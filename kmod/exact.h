/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the files that read a VM's MMU under its own lock.
 *
 *   exact.c		requests, the lock and its time, the buffer
 *   exact_pages.c	shadow pages of both MMUs, and the parents of the legacy one's
 *   exact_rmaps.c	memslots' reverse maps and counts
 */
#ifndef KMOD_EXACT_H
#define KMOD_EXACT_H

#include "abi/kmod_exact.h"
#include "kmod/mmuscope.h"

/* A page as it is known from one hold of the lock to the next: names to be compared, not pointers. */
struct exact_page {
	u64 sp; /* 0: none */
	u64 gfn;
	u32 role;
};

#define EXACT_LAST 16u
#define EXACT_ROOTS 256u

/* Where the reading of the legacy MMU's list goes on. */
struct exact_list {
	struct exact_page next; /* to be read next */
	struct exact_page last[EXACT_LAST]; /* those read last, a ring */
	u32 nr_last; /* ever */
	u32 again; /* begun again so often */
	bool begun;
};

/* Of the TDP MMU's trees: the last page read, by its place. */
struct exact_tree {
	u64 root; /* 0: the next root is to be chosen */
	u64 gfn;
	u32 level;
	u64 done[EXACT_ROOTS]; /* roots whose trees are over */
	u32 nr_done;
};

/* Of the memslots' arrays. */
struct exact_slots {
	u32 as_id;
	u64 base_gfn; /* slots before it are over */
	u32 array; /* of the slot at base_gfn: enum in exact_rmaps.c */
	u64 index;
};

struct mmuscope_exact {
	const struct mmuscope_layout *l;
	struct kvm *kvm; /* during a request */
	u32 kind, flags, budget_ns;
	bool over; /* nothing more is to be had */
	bool kept; /* what is in buf could not be copied: it comes again with the next request */

	u8 *buf; /* MMUSCOPE_EXACT_BYTES */
	u32 used, nr, out_flags;
	u64 where;

	u64 since_ns; /* the lock was taken then */
	u32 holds, longest_ns;
	u64 held_ns;
	struct mmuscope_exact_seq seq;

	u64 nr_pages; /* of the legacy MMU, since the list was begun */
	struct exact_list list;
	struct exact_tree tree;
	struct exact_slots slots;
	u8 header[MMUSCOPE_TYPE_MAX]; /* of the page that was looked at last */
};

/* Take and leave kvm->mmu_lock; the time between the two is kept. kvm->srcu is held around them. */
void exact_lock(struct mmuscope_exact *x) __acquires(&x->kvm->mmu_lock);
void exact_unlock(struct mmuscope_exact *x) __releases(&x->kvm->mmu_lock);
/* Has it been held for as long as it may? */
bool exact_is_late(const struct mmuscope_exact *x);

static inline bool exact_has_room(const struct mmuscope_exact *x, u32 bytes)
{
	return bytes <= MMUSCOPE_EXACT_BYTES - x->used;
}

/* Room for a record, which exact_has_room() for with its struct mmuscope_exact_rec: its first byte. Not cleared. */
void *exact_put(struct mmuscope_exact *x, u32 type, u32 bytes);

/* The longest that a list takes, its descriptors included. */
#define EXACT_LIST_BYTES                                                        \
	((u32)(sizeof(struct mmuscope_exact_rec) + sizeof(struct ms_rec_rmap) + \
	       MMUSCOPE_EXACT_DESCS_MAX *                                       \
		       (sizeof(struct mmuscope_exact_rec) + sizeof(struct ms_rec_rmap_desc))))

/*
 * One list of SPTEs, whose head is not 0, behind x->used. rec: what is known of it; head, state and numbers are filled
 * in here. False: it has no end that was found, and has to be the last of this hold.
 */
bool exact_put_list(struct mmuscope_exact *x, const struct ms_rec_rmap *rec, u64 head);

/* One hold of the lock each, or for rmaps a few; 0 or -errno. */
int exact_read_list(struct mmuscope_exact *x);
int exact_read_trees(struct mmuscope_exact *x);
int exact_read_rmaps(struct mmuscope_exact *x);

#endif
