/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The auditor: does what a target holds obey the invariants of SEMANTICS H? It judges a model, so any target,
 * and reads nothing but the model. What the records lack is skipped and said; only confirmed pages are
 * judged. A finding on a machine in motion may be of two moments: ms_audit_keep() counts the readings that
 * have it.
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "base/err.h"
#include "model/model.h"

#define MS_AUDIT_ROWS 44 /* numbered from 1 */

enum ms_audit_need_bit {
#define MS_AUDIT_NEED(id, text) MS_AUDIT_NEED_BIT_##id,
#include "audit/needs.def"
#undef MS_AUDIT_NEED
	MS_AUDIT_NR_NEEDS
};
enum ms_audit_need {
#define MS_AUDIT_NEED(id, text) MS_AUDIT_NEED_##id = 1 << MS_AUDIT_NEED_BIT_##id,
#include "audit/needs.def"
#undef MS_AUDIT_NEED
};

/* From the least. */
enum ms_audit_severity { MS_AUDIT_LOW, MS_AUDIT_MEDIUM, MS_AUDIT_HIGH, MS_AUDIT_CRITICAL };

enum ms_audit_lock { MS_AUDIT_ONE, MS_AUDIT_AGAIN, MS_AUDIT_LOCK, MS_AUDIT_STOPPED };

struct ms_invariant {
	const char *name; /* of letters, digits and dashes */
	const char *statement;
	enum ms_audit_severity severity;
	enum ms_audit_lock lock;
	u32 needs; /* enum ms_audit_need */
};

/* By number; [0] is empty. */
extern const struct ms_invariant ms_invariants[MS_AUDIT_ROWS + 1];
const char *ms_audit_severity_name(enum ms_audit_severity severity); /* "critical", "high", ... */
/* What is lacking, as words for a reader: the first of these needs. "" for none. */
const char *ms_audit_need_name(u32 needs);
/* The number of a name or a decimal number; 0: there is none. */
u32 ms_audit_find(const char *word, size_t len);

#define MS_AUDIT_NO_INDEX UINT32_MAX
#define MS_AUDIT_TEXT 120

struct ms_finding {
	u32 row;
	u32 idx; /* entry of sp's table, or MS_AUDIT_NO_INDEX: about the page or MMU as a whole */
	u64 sp; /* the page, 0: none */
	u64 mmu; /* the MMU, 0: none */
	u64 vcpu; /* the vCPU, where it is about one as a whole, 0: none */
	u64 raw; /* the entry's value, with idx */
	u64 gfn; /* the frame it is about, with have_gfn */
	bool have_gfn;
	u64 spte; /* address of the SPTE that a list names, 0: it is not about one */
	u16 event; /* enum ms_event_id of what happened, 0: it is about what is */
	u64 seq; /* number of that event */
	/*
	 * It compares an SPTE with what was read after it: where that lies, 0: it does not, and the value that was
	 * judged. If that is another by then, nothing is wrong.
	 */
	u64 look_at, look_raw;
	u64 gpte; /* the guest's entry that it was held against, with have_gpte */
	bool have_gpte;
	u32 readings; /* that had it, 1 for the first */
	bool of_one_moment; /* all that it compares was read as it was at one moment */
	char text[MS_AUDIT_TEXT]; /* what is wrong, in our words */
};

/* By row, page, MMU, entry, frame: 0 for two that are the same finding in two readings. For qsort(). */
int ms_finding_cmp(const void *left, const void *right);

/* Findings beyond these are counted, not kept. */
#define MS_AUDIT_KEPT 10000u

struct ms_audit {
	u64 judged[MS_AUDIT_ROWS + 1]; /* objects that a row was asked about */
	u64 found[MS_AUDIT_ROWS + 1];
	u32 lacking[MS_AUDIT_ROWS + 1]; /* enum ms_audit_need: why a row was skipped; 0: it was judged */
	bool chosen[MS_AUDIT_ROWS + 1];
	u64 nr_pages, nr_sptes, nr_slots, nr_mmus; /* visited */
	u64 nr_unconfirmed; /* pages not judged: torn, unlinked, unreadable */
	struct ms_finding *findings;
	size_t nr, cap;
	u64 nr_lost; /* not kept */
};

/* MS_WANT_ bits of what these rows (bit n is invariant n, 0 all) are judged by, but for guest memory. */
u32 ms_audit_want(u64 rows);
/* MS_WANT_GUEST where one of the rows needs it, which is the user's to allow; 0 else. */
u32 ms_audit_want_guest(u64 rows);
/*
 * Judge one VM of a model that was read for it (ms_audit_want()). rows: bit n is
 * invariant n, 0 all. events: the VM's last ones, NULL: this target keeps none. ret is ended by
 * ms_audit_deinit(), also after an error (memory).
 */
struct ms_err *ms_audit_vm(const struct ms_model *model, const struct ms_vm *vm, u64 rows,
			   const struct ms_event_log *events, struct ms_audit *ret) MS_MUST_CHECK;
void ms_audit_deinit(struct ms_audit *audit);
/*
 * The same for a target that can be read again: what is found in a machine in motion is looked for in five more
 * readings of the VM that want names (want->kvm), within 155 ms or longer. An error of a later reading is one of the
 * whole.
 */
struct ms_err *ms_audit_target(struct ms_target *target, const struct ms_want *want,
			       const struct ms_model *model, const struct ms_vm *vm, u64 rows,
			       struct ms_audit *ret) MS_MUST_CHECK;
/* Is it a finding: seen in every reading, or of a kind or on a machine where one look is enough? */
bool ms_audit_counts(const struct ms_model *model, const struct ms_finding *finding);
/*
 * The order in which findings are shown: indices of those that count, then of the others, each the worst first.
 * *kept_ret of them count. The caller's (free()); NULL when memory is out.
 */
size_t *ms_audit_order(const struct ms_model *model, const struct ms_audit *audit, size_t *kept_ret);
/* Is everything in this model of one moment, so that nothing has to be read again? */
bool ms_audit_is_still(const struct ms_model *model);
/* Count for each finding of audit whether `again', made of a later reading, has it too. Sorts them. */
void ms_audit_keep(struct ms_audit *audit, const struct ms_audit *again);

#endif
