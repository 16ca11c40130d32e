/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the walks over one VM's shadow pages: see kvm_sps.c for what they promise.
 *
 *   kvm_sps.c	    one VM's walks, and their delivery as records
 *   kvm_copy.c	    headers, tables and lists, copied and judged
 *   kvm_legacy.c   the legacy MMU's list and the links between its pages
 *   kvm_tdp.c	    the TDP MMU's tree
 */
#ifndef TARGET_KVM_WALK_H
#define TARGET_KVM_WALK_H

#include "base/map.h"
#include "target/kmem.h"

#define SPTE_PRESENT (1ull << 11) /* SPTE_MMU_PRESENT_MASK: a #define, not to be read from a kernel */
#define SPTE_HUGE (1ull << 7)
#define PAGE_BYTES 4096u

#define NO_PARENT UINT32_MAX

struct sp_head {
	u64 next, prev; /* link; meaningless for TDP pages on 6.12 */
	u64 gfn, spt, translation, parents;
	u64 nx_next; /* of the link in the list of possible NX huge pages */
	u32 role;
	u32 root_count, unsync_children, write_flooding;
	u8 tdp, unsync, gen, nx;
};

struct sp {
	u64 addr;
	struct sp_head head; /* of the time when the table was copied */
	u64 parents_now; /* the word as it was after the last copy */
	u32 parent; /* index of the TDP page whose entry led here */
	u32 idx; /* and which entry it was */
	u8 state; /* enum ms_sp_state */
	bool linked;
	u64 *sptes;
	u64 *translations;
};

struct walk {
	struct ms_kmem *kmem;
	const struct ms_rec_vm *vm;
	const struct ms_want *want;
	u64 table_mask; /* address bits of an SPTE */
	struct ms_role_bit level; /* where a role keeps the level */
	struct sp *sps;
	size_t nr, cap;
	struct ms_map by_addr;
	struct ms_rec_walk rec;
	u8 *raw; /* buffer_pages + 1 headers */
	u32 raw_len;
};

u64 walk_field(const struct walk *w, u64 base, enum ms_field_id id);
/* Where this kernel links pages that its NX recovery may zap; a member that may be absent. */
enum ms_field_id walk_nx_link(const struct ms_layout *layout);
u32 walk_sp_level(const struct walk *w, const struct sp *sp);
/* Has an entry a table below it? Its address, else 0. */
u64 walk_child_table(const struct walk *w, u64 spte);

/* Room for one more; NULL when memory is out. */
struct sp *walk_add(struct walk *w, u64 addr);
void walk_drop_tables(struct sp *sp);
void walk_reset(struct walk *w);

/* Read the headers of pages [from, end), but for those already known to be in place. */
struct ms_err *walk_read_heads(struct walk *w, size_t from, size_t end, bool tdp) MS_MUST_CHECK;
/*
 * Copy the tables of pages [from, end) between two looks at their headers. Pages already in place are left
 * alone.
 */
struct ms_err *walk_read_tables(struct walk *w, size_t from, size_t end) MS_MUST_CHECK;
/* The headers of all pages once more, after the last copy: a page that is another one by now is torn. */
struct ms_err *walk_check_heads(struct walk *w) MS_MUST_CHECK;
bool walk_head_same(const struct sp_head *a, const struct sp_head *b);
void walk_head_decode(const struct walk *w, const u8 *raw, struct sp_head *h);

/* The list head's two pointers. */
struct ms_err *walk_read_list_head(struct walk *w, u64 head, u64 ends[2], bool *ok) MS_MUST_CHECK;
/*
 * Chase one direction of a list and add the pages met. *closed: it came back to its own head. Addresses met
 * twice (a list that runs in a ring without its head) end the chase.
 */
struct ms_err *walk_chase_pages(struct walk *w, u64 head, u64 first, u32 next_off, u64 limit,
				bool *closed) MS_MUST_CHECK;
/*
 * The pages on a list, from its head on, and once more when it was in motion. A list that would not close, or
 * whose head cannot be read, is flagged. ends: the head's two pointers.
 */
struct ms_err *walk_chase_list(struct walk *w, u64 head, u64 limit, u64 ends[2]) MS_MUST_CHECK;

struct ms_err *walk_legacy(struct walk *w) MS_MUST_CHECK;
struct ms_err *walk_tdp(struct walk *w) MS_MUST_CHECK;

#endif
