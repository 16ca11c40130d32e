/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables of the host, walked for addresses of a process or of the kernel without a lock and without a fault,
 * and what of the host's physical memory is plain memory. Reads only; knows nothing of KVM.
 *
 * A table may be freed and used for something else while it is read. So an address that comes out of a walk is
 * a claim: the reader asks host_ram_has() before it reads there, and walks again afterwards (host_walk_same()).
 */
#ifndef TARGET_HOSTPT_H
#define TARGET_HOSTPT_H

#include "target/kmem.h"

#define HOST_PT_LEVELS 5

/* What one entry says (SDM 4.5, arch/x86/include/asm/pgtable.h). */
enum host_entry {
	HOST_ENTRY_NONE, /* no page: nothing was mapped, swapped out, to be filled by userfaultfd */
	HOST_ENTRY_TABLE,
	HOST_ENTRY_PAGE,
	/* A huge page being split or moved: pmd_mkinvalid() leaves PS without P for a moment. */
	HOST_ENTRY_BETWEEN,
};

/*
 * The entry of a table of this level (1..5). *pa_ret, for TABLE and PAGE, is where the table or the first byte of the
 * page lies, in bytes. mask: address bits, without the encryption bit (ms_kvm_address_mask()).
 */
enum host_entry host_entry_decode(u64 entry, u32 level, u64 mask, u64 *pa_ret);

/* Levels of this host's tables: 4 or 5. By where its direct map lies, which five levels have lower down. */
u32 host_pt_levels(const struct ms_kmem *kmem);

enum host_walk_end {
	HOST_WALK_PAGE, /* pa is where the address lies */
	HOST_WALK_NONE,
	HOST_WALK_BETWEEN,
	HOST_WALK_UNREADABLE, /* a table lies where nothing may be read, or the address is no user's */
};

struct host_walk {
	u64 va; /* set by the caller: of the lower half */
	u32 end; /* enum host_walk_end */
	u32 level; /* at which it ended: 1 a page of 4 KiB, 2 of 2 MiB, 3 of 1 GiB */
	u64 pa;
	/* On the way, the top first: */
	u64 table, raw;
	bool done;
};

/*
 * Walks them all, level by level, from the tables whose top is at pgd (an address of the direct map): one batch of
 * reads for each level.
 */
struct ms_err *host_walk(struct ms_kmem *kmem, u64 mask, u64 pgd, struct host_walk *walks,
			 size_t nr) MS_MUST_CHECK;

static inline bool host_walk_same(const struct host_walk *a, const struct host_walk *b)
{
	return a->end == b->end && (a->end != HOST_WALK_PAGE || (a->level == b->level && a->pa == b->pa));
}

/* --- plain memory --- */

/* [start, last] of physical addresses; the deepest one in the kernel's tree that holds an address speaks for it. */
struct host_range {
	u64 start, last;
	u32 depth;
	bool ram;
};

struct host_ram {
	struct host_range *ranges; /* those that are memory, and others below such a one */
	size_t nr, cap;
};

void host_ram_deinit(struct host_ram *ram);
/*
 * "System RAM" as the kernel's own tree of resources has it (iomem_resource), read until two readings agree. Without
 * the symbol, its members, or two that agree, *ret is empty: nothing is known to be memory.
 */
struct ms_err *host_ram_read(struct ms_kmem *kmem, struct host_ram *ret) MS_MUST_CHECK;
/* Are all len bytes at pa memory, and none of it lent to a device (an aperture inside of memory)? */
bool host_ram_has(const struct host_ram *ram, u64 pa, u64 len);

#endif
