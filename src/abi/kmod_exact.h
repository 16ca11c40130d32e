/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exact snapshots: what a VM's MMU holds, read under the lock that KVM changes it under.
 *
 * A reading is begun (MMUSCOPE_EXACT_BEGIN) and then taken piece by piece (MMUSCOPE_EXACT_NEXT) until a piece carries
 * MMUSCOPE_EXACT_END. For each piece kvm->mmu_lock is held for writing, for no longer than the budget and one step (a
 * page with its table, or one list); between pieces nothing is held, and no pointer into KVM's data is kept. What one
 * hold of the lock saw was so at one moment. Pieces are of different moments: struct mmuscope_exact_seq says what
 * moved between them as far as KVM counts it, and whoever reads twice and finds the same knows the rest.
 *
 * What the lock does not stop: the CPU's accessed and dirty bits, and KVM's own fast page fault, which gives a writable
 * bit back to one SPTE at a time. An SPTE is read as one word.
 *
 * -EFAULT: the piece could not be copied, and comes again with the next request.
 * -ENODATA: no layout was given, or no reading was begun; -EUCLEAN: at `where' there is no shadow page, though a list
 * or an SPTE leads there: the layout is another kernel's, or the page is damaged; the reading is over.
 */
#ifndef ABI_KMOD_EXACT_H
#define ABI_KMOD_EXACT_H

#include "abi/kmod.h"
#include "abi/rec.h"

enum mmuscope_exact_kind {
	MMUSCOPE_EXACT_LEGACY = 1, /* MS_REC_SP: the legacy MMU's list, newest first */
	MMUSCOPE_EXACT_TDP =
		2, /* MS_REC_SP: the TDP MMU's trees, root by root, a page before those below it */
	MMUSCOPE_EXACT_PARENTS = 3, /* MS_REC_RMAP, MS_REC_RMAP_DESC: parents of the legacy MMU's pages */
	MMUSCOPE_EXACT_RMAPS = 4, /* the same of memslots' frames, and MS_REC_GFN */
};

#define MMUSCOPE_EXACT_TABLES (1u << 0) /* pages with their SPTEs and translations */

#define MMUSCOPE_EXACT_BUDGET_NS 100000u /* how long the lock is held when nothing else is asked for */
#define MMUSCOPE_EXACT_BUDGET_MAX_NS 1000000u

/* What KVM counts, as of the last hold of the lock. */
struct mmuscope_exact_seq {
	u64 invalidate_seq; /* mmu_invalidate_seq */
	u64 generation[2]; /* of the memslots, by address space */
	u64 used_pages; /* n_used_mmu_pages */
	u32 invalidate_in_progress;
	u8 valid_gen; /* mmu_valid_gen */
	u8 pad[3];
};

struct mmuscope_exact_begin {
	u32 kind; /* enum mmuscope_exact_kind; another reading that was begun is over */
	u32 flags; /* MMUSCOPE_EXACT_TABLES */
	u32 budget_ns; /* 1..MMUSCOPE_EXACT_BUDGET_MAX_NS; 0: MMUSCOPE_EXACT_BUDGET_NS */
	u32 pad;
};

#define MMUSCOPE_EXACT_END (1u << 0) /* it was all */
/* The place to go on from was gone: begun again from the start, so that a page may come twice. */
#define MMUSCOPE_EXACT_AGAIN (1u << 1)
/* ... and that too often: the reading is over before its end. */
#define MMUSCOPE_EXACT_GAVE_UP (1u << 2)
#define MMUSCOPE_EXACT_NO_ARRAY (1u << 3) /* a memslot without an array: of the reading so far */

/* Fixed, and so is the buffer in the kernel, which is filled under the lock and copied afterwards. */
#define MMUSCOPE_EXACT_BYTES (768u << 10)

struct mmuscope_exact_next {
	u64 buf; /* of the caller's: MMUSCOPE_EXACT_BYTES at least */
	u32 bytes; /* its size */
	u32 used; /* out: bytes of records */
	u32 nr; /* out: records */
	u32 flags; /* out: MMUSCOPE_EXACT_END and its sisters */
	u32 holds; /* out: how often the lock was taken */
	u32 longest_ns; /* out: the longest of these */
	u64 held_ns; /* out: all of them together */
	u64 where; /* out, with -EUCLEAN */
	struct mmuscope_exact_seq seq; /* out */
};

/*
 * In the buffer: records one after the other, each with this before it. An SP is followed by its 512 SPTEs with
 * MS_SP_HAVE_SPTES, then by its 512 translations with MS_SP_HAVE_TRANSLATIONS. Its `order' is 0: the reader counts.
 */
struct mmuscope_exact_rec {
	u32 type; /* enum ms_rec_type */
	u32 bytes; /* that follow, a multiple of 8 */
};

/* A list with more descriptors is cut there and MS_RMAP_UNREADABLE: 14 SPTEs each. */
#define MMUSCOPE_EXACT_DESCS_MAX 1024u

#define MMUSCOPE_EXACT_BEGIN _IOW(MMUSCOPE_IOC, MMUSCOPE_NR_EXACT, struct mmuscope_exact_begin)
#define MMUSCOPE_EXACT_NEXT _IOWR(MMUSCOPE_IOC, MMUSCOPE_NR_EXACT + 1, struct mmuscope_exact_next)

_Static_assert(sizeof(struct mmuscope_exact_seq) == 40, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_exact_begin) == 16, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_exact_next) == 88, "shared with the kernel");

#endif
