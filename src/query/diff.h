/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The comparison of one VM at two moments, or of two VMs: what `diff' shows, without the showing.
 *
 * A page is known by (MMU, L1 frame, role without `invalid'); where several of one side have that, by its
 * address too. What either side does not know for sure is counted as lacking, never as a change.
 */
#ifndef QUERY_DIFF_H
#define QUERY_DIFF_H

#include "query/private.h"

enum diff_side { DIFF_A, DIFF_B, DIFF_SIDES };

enum diff_object {
#define DIFF_OBJECT(id, name) DIFF_O_##id,
#include "query/diff.def"
	DIFF_NR_OBJECTS
};

enum diff_change {
#define DIFF_CHANGE(id, name, meaning) DIFF_##id,
#include "query/diff.def"
	DIFF_NR_CHANGES
};

enum diff_cause {
#define DIFF_CAUSE(id, name, meaning) DIFF_C_##id,
#include "query/diff.def"
	DIFF_NR_CAUSES
};

enum diff_lack {
#define DIFF_LACK(id, name, meaning) DIFF_L_##id,
#include "query/diff.def"
	DIFF_NR_LACKS
};

_Static_assert(DIFF_NR_CHANGES <= 64 && DIFF_NR_CAUSES <= 32, "sets of them are words");

#define DIFF_BIT(change) (1ull << DIFF_##change)
#define DIFF_NONE UINT32_MAX /* no page on this side */

struct diff_word {
	const char *name, *meaning;
};

extern const char *const diff_objects[DIFF_NR_OBJECTS];
extern const struct diff_word diff_changes[DIFF_NR_CHANGES];
extern const struct diff_word diff_causes[DIFF_NR_CAUSES];
extern const struct diff_word diff_lacks[DIFF_NR_LACKS];

/* One value of a member: a cell without its storage. text is the model's or static, NULL: a number. */
struct diff_value {
	enum ms_value_kind kind; /* MS_V_ABSENT: not there on this side */
	enum ms_secret secret;
	u64 u;
	const char *text;
	size_t len; /* of text */
};

/* A difference outside the pages. */
struct diff_member {
	enum diff_object object;
	enum diff_change change; /* CAME, WENT or CHANGED */
	char id[40]; /* "vcpu0:guest", "as0:1"; "" where there is one only */
	const char *member; /* NULL: the object itself */
	struct diff_value value[DIFF_SIDES];
};

/* A difference of one page; DIFF_NONE where it is not. */
struct diff_page {
	u32 sp[DIFF_SIDES]; /* indices in vm->sps */
	u32 causes; /* 1 << enum diff_cause */
	u16 nr_entries; /* entries that differ */
	u8 change; /* enum diff_change */
};

/* The entries of a pair of pages that differ. */
struct diff_stretch {
	u32 sp[DIFF_SIDES];
	u64 first_row;
	u64 bits[MS_SPTES / 64];
};

struct diff {
	struct ms_session session[DIFF_SIDES];
	struct query q[DIFF_SIDES]; /* session, model, vm of each; vm NULL: no VM is compared */
	struct sieve sieve[DIFF_SIDES];
	struct why why[DIFF_SIDES];
	/* Address and owner of the VM, kernel and hypervisor agree: else addresses and frames say nothing. */
	bool same_vm;
	bool same_profile, same_roles;
	struct diff_member *members;
	struct diff_page *pages;
	struct diff_stretch *stretches;
	size_t nr_members, members_cap, nr_pages, pages_cap, nr_stretches, stretches_cap;
	u64 nr_entries; /* that differ */
	u32 *mate[DIFF_SIDES]; /* while comparing: by page, its page of the other side, or DIFF_NONE */
	u64 counts[DIFF_NR_OBJECTS][DIFF_NR_CHANGES][DIFF_NR_CAUSES]; /* NONE: no cause is proven */
	u64 lacks[DIFF_NR_OBJECTS][DIFF_NR_LACKS][DIFF_SIDES];
	u64 work; /* pages looked up and entries compared */
};

/* Models, VMs, sieves are there; fills the rest. */
struct ms_err *diff_compare(struct diff *d) MS_MUST_CHECK;
/* Its parts. */
struct ms_err *diff_members(struct diff *d) MS_MUST_CHECK;
struct ms_err *diff_pages(struct diff *d) MS_MUST_CHECK;
void diff_deinit(struct diff *d);

/* What differs at idx of two tables: 1 << enum diff_change; 0 nothing. Both tables are there. */
u64 diff_entry(const struct diff *d, const struct ms_sp *a, const struct ms_sp *b, u32 idx);
/* Why these changes, as far as it is proven: 1 << enum diff_cause, 0 when nothing is. */
u32 diff_entry_causes(const struct diff *d, const struct ms_sp *a, const struct ms_sp *b, u32 idx,
		      u64 changes);
/* Count a change, once for each of its causes. */
void diff_count(struct diff *d, enum diff_object object, enum diff_change change, u32 causes);
bool diff_is_empty(const struct diff *d);
bool diff_is_whole(const struct diff *d);

static inline const struct ms_sp *diff_sp(const struct diff *d, enum diff_side side, u32 index)
{
	return index == DIFF_NONE ? NULL : &d->q[side].vm->sps[index];
}

#endif
