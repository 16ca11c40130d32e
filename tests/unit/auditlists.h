/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of SPTEs and counts of frames that go with the made-up host's shadow pages, worked out from its records by
 * bit numbers, and ways to have them wrong.
 */
#ifndef TESTS_UNIT_AUDITLISTS_H
#define TESTS_UNIT_AUDITLISTS_H

#include "audittrips.h"

struct audit_lists {
	u64 omit; /* address of an SPTE that is in no list; 0: none */
	u64 twice; /* of one that is there twice */
	/* SPTE that is put into a list beside those that belong there: of the frame, or (sp) of the page. */
	u64 foreign, foreign_gfn, foreign_sp;
	u32 per_desc; /* entries of each descriptor, 0: 14 */
	u32 first_desc; /* of the head, 0: as full as it gets */
	u32 tails_off; /* added to each tail_count */
	u64 empty_desc_gfn; /* of this frame the head is an empty descriptor; ~0: no frame */
	u64 count_gfn; /* this frame's write-track count is changed by ... */
	s32 count_by;
	u32 state; /* enum ms_rmap_state of all lists */
	u64 have; /* MS_RMAP_HAVE_ bits, MS_RMAP_ENDLESS, added to all lists */
	u32 flags; /* MS_RMAPS_ of the end */
	u64 lacking; /* MS_RMAPS_HAVE_ bits that the end does not have */
	u64 generation; /* of memslots at the end, 0: not said */
};

#define AUDIT_LISTS_RIGHT ((struct audit_lists){ .empty_desc_gfn = ~0ull })

/* Adds them for VM 0. */
void audit_lists_add(struct audit_host *h, const struct audit_lists *opts);
/* With the members that are named, all else right. */
#define AUDIT_LISTS(h, ...) audit_lists_add(h, &(struct audit_lists){ .empty_desc_gfn = ~0ull, __VA_ARGS__ })

#endif
