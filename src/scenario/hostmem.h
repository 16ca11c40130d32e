/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the host of a machine in process: frames, and the VMM's page tables that say which frame is
 * behind a host-virtual address. A frame taken away is gone at once: whoever still reaches it gets -EFAULT,
 * so a translation that outlived its page is seen. It knows nothing of guests.
 *
 *   hva --- areas (what may be mapped, how) --- tree of 1G/2M/4K nodes --- pfn --- contents, made when written
 *
 * Frame numbers are drawn from a seed, from a quarter of physical memory for each kind (tables, 4K, 2M, 1G),
 * so that equal numbers are chance and a test that relies on neighbours fails.
 */
#ifndef SCENARIO_HOSTMEM_H
#define SCENARIO_HOSTMEM_H

#include "abi/types.h"

struct hostmem;

struct hostmem_pfn {
	u64 pfn; /* of the 4 KiB page */
	u8 level; /* of the mapping */
	bool writable;
};

/* phys_bits 36..52. NULL when memory is out. */
struct hostmem *hostmem_create(u64 seed, u32 phys_bits, u64 max_bytes);
void hostmem_destroy(struct hostmem *mem); /* takes NULL */
u64 hostmem_bytes(const struct hostmem *mem);

/* --- frames that the hypervisor takes for itself --- */

/* A zeroed frame and where it lies for us. -ENOMEM. */
int hostmem_table_alloc(struct hostmem *mem, void **va_ret, u64 *pa_ret);
/* The addresses that the next calls of hostmem_table_alloc() will give, up to nr, if nothing else is drawn before. */
u32 hostmem_table_peek(struct hostmem *mem, u64 *pas, u32 nr);
void hostmem_table_free(struct hostmem *mem, u64 pa);

/* --- by physical address, as a CPU does --- */

/* Within a page. -EFAULT: no such frame (any more); -ENOMEM. */
int hostmem_read(struct hostmem *mem, u64 pa, void *dst, u32 len);
int hostmem_write(struct hostmem *mem, u64 pa, const void *src, u32 len);
/* 4 or 8 bytes, aligned. -EAGAIN: the value was another. */
int hostmem_cmpxchg(struct hostmem *mem, u64 pa, u64 old, u64 new_value, u32 bytes);

/* Is it among the frames that hostmem_table_alloc() gives? */
bool hostmem_is_table(const struct hostmem *mem, u64 pa);
/* Where a frame's 4096 bytes lie; NULL: never written, it reads as zeros. Valid until the frame is given back. */
void *hostmem_contents(const struct hostmem *mem, u64 pfn);
/* Give a frame that is there a place for its bytes. -EFAULT, -ENOMEM. */
int hostmem_make(struct hostmem *mem, u64 pfn);

/* Was the frame written since the last clear, by whomever? Goes along when the page gets another frame. */
bool hostmem_is_written(const struct hostmem *mem, u64 pfn);
void hostmem_clear_written(struct hostmem *mem, u64 pfn);
/* Somebody else has written it, through hostmem_contents(). */
void hostmem_set_written(struct hostmem *mem, u64 pfn);

/* --- the VMM's address space --- */

/* Pages up to `level' (1..3); -EEXIST when it overlaps, -EINVAL, -ENOMEM. */
int hostmem_map(struct hostmem *mem, u64 hva, u64 bytes, u32 level, bool writable);
/* Fault in. -EFAULT: nothing mapped there, or `write' and not writable; -ENOMEM. */
int hostmem_fault(struct hostmem *mem, u64 hva, bool write, struct hostmem_pfn *ret);
/* What is mapped now, without faulting in. -EFAULT: nothing. */
int hostmem_lookup(const struct hostmem *mem, u64 hva, struct hostmem_pfn *ret);
/*
 * The page that hva is in, or would be in when faulted in now: what the host takes away when it changes a
 * part of it, for it is split first.
 */
void hostmem_span(const struct hostmem *mem, u64 hva, u64 *start_ret, u64 *end_ret);
/* The frame now behind hva, ~0 when none. */
u64 hostmem_pfn(const struct hostmem *mem, u64 hva);
/*
 * Ranges are whole pages. A larger page that is only partly inside is split first. -ENOMEM: some of it was
 * done.
 */
int hostmem_discard(struct hostmem *mem, u64 hva, u64 bytes);
int hostmem_migrate(struct hostmem *mem, u64 hva, u64 bytes);
int hostmem_protect(struct hostmem *mem, u64 hva, u64 bytes, bool writable);
/* Put 4 KiB pages of the range together again where a whole page of the area's size is there (khugepaged). */
int hostmem_collapse(struct hostmem *mem, u64 hva, u64 bytes);

#endif
