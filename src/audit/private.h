/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared within src/audit: one audit under way.
 *
 *   again.c   further readings
 *   audit.c   what can be judged, findings, the passes over pages and MMUs
 *   logs.c    rows about dirty logs
 *   page.c    rows about a page, an MMU, a vCPU, or pages with each other
 *   changed.c the row about what was written
 *   entry.c   rows about one entry
 *   events.c  rows about what happened
 *   guest.c   rows about an entry and the guest's behind it
 *   pins.c    rows about pinned pages
 *   rmap.c    rows about lists of SPTEs and counts of frames
 */
#ifndef AUDIT_PRIVATE_H
#define AUDIT_PRIVATE_H

#include "audit/audit.h"

/* A frame that some page shadows. */
struct shadowed {
	u64 gfn;
	u32 as_id;
	bool in_sync; /* by a page that is neither unsync nor obsolete */
};

struct audit {
	const struct ms_model *model;
	const struct ms_vm *vm;
	const struct spte_profile *p;
	const struct role_layout *roles;
	struct ms_audit *ret;
	struct shadowed *shadowed; /* by as_id, gfn, one of each */
	size_t nr_shadowed;
	u8 *valid; /* by page index: its rows are to be judged (H1, H3) */
	bool one_moment; /* pages, lists and counts are of one moment (struct ms_rec_exact) */
	bool pages_whole; /* the legacy MMU's list was followed to its end */
	bool oom;
};

/* Is the row to be judged? */
static inline bool audit_judges(const struct audit *a, u32 row)
{
	return a->ret->chosen[row] && !a->ret->lacking[row];
}

/* The same, and counts an object that it is asked about. */
static inline bool audit_asks(struct audit *a, u32 row)
{
	if (!audit_judges(a, row))
		return false;
	a->ret->judged[row]++;
	return true;
}

/* Where a finding lies. */
struct place {
	const struct ms_sp *sp;
	u32 idx;
	const struct ms_rec_mmu *mmu;
	const struct ms_rec_vcpu *vcpu;
	bool have_gfn;
	u64 gfn;
	u64 spte; /* an SPTE's address in a list, 0: none */
	u16 event; /* enum ms_event_id, 0: none */
	u64 seq; /* of the event */
	u64 look_at, look_raw; /* as in struct ms_finding */
	u64 gpte; /* the guest's entry, with have_gpte */
	bool have_gpte;
};

/* Of an entry, with its frame where that can be told. */
static inline struct place audit_entry_place(const struct audit *a, const struct ms_sp *sp, u32 idx)
{
	struct place at = { .sp = sp, .idx = idx };

	at.have_gfn = ms_sp_entry_gfn(a->model, sp, idx, &at.gfn) != MS_GFN_NONE;
	return at;
}

void audit_found(struct audit *a, u32 row, const struct place *at, const char *fmt, ...) MS_PRINTF(4, 5);

static inline u32 audit_role(const struct audit *a, const struct ms_sp *sp, enum role_field_id id)
{
	return role_get(a->roles, sp->rec.role, id);
}

static inline u32 audit_as_id(const struct audit *a, const struct ms_sp *sp)
{
	return audit_role(a, sp, ROLE_SMM);
}

/* Guest entries stand behind it: sp_has_gptes(). */
static inline bool audit_has_gptes(const struct audit *a, const struct ms_sp *sp)
{
	return !audit_role(a, sp, ROLE_DIRECT) && !audit_role(a, sp, ROLE_PASSTHROUGH);
}

/* Compares struct shadowed by frame. */
int audit_by_frame(const void *left, const void *right);
/* Of an older generation than the VM: to be zapped soon. */
bool audit_is_obsolete(const struct audit *a, const struct ms_sp *sp);
/* The frames of [gfn, gfn + nr) that are shadowed: the first of them, and how many. */
const struct shadowed *audit_shadowed(const struct audit *a, u32 as_id, u64 gfn, u64 nr);

void audit_page(struct audit *a, const struct ms_sp *sp);
void audit_mmu(struct audit *a, const struct ms_rec_mmu *mmu);
void audit_vcpu(struct audit *a, const struct ms_rec_vcpu *vcpu);
/* Rows that compare pages with each other. */
void audit_keys(struct audit *a);
void audit_entry(struct audit *a, const struct ms_sp *sp, u32 idx);
void audit_rmaps(struct audit *a);
void audit_changed(struct audit *a);
void audit_events(struct audit *a, const struct ms_event_log *events);
/* A leaf and the guest's entry. */
void audit_guest(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw);
void audit_frame(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw);
/* MS_AUDIT_NEED_ bits of lists and counts that were not read, or not whole. */
u32 audit_lacking_rmaps(const struct ms_vm *vm);
/* MS_AUDIT_NEED_GUEST where no guest table was read. */
u32 audit_lacking_guest(const struct ms_vm *vm);
/* Rows about pinned pages. */
void audit_pins(struct audit *a);
u32 audit_lacking_pins(const struct ms_vm *vm);

/* enum ms_audit_need: what is not known of this VM's logs. */
u32 audit_logs_lacking(const struct ms_vm *vm);
/* A leaf that maps gfn, which slot holds in the page's address space. */
void audit_logged(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw, u64 gfn,
		  const struct ms_rec_slot *slot);

#endif
