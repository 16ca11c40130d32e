/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who dirtied what, when, and by which way: made from events one at a time, in bounded memory. What did not
 * fit is counted. The command `dirty' and the interface's view read the same struct; nothing here listens.
 *
 *   events -> way of each mark -> slots (counts, frames x time), frames, marks of the log
 *          -> PML batches, entries of the PML that L1 reads
 *
 * How a way is told: doc/dirty.md.
 */
#ifndef QUERY_DIRTY_H
#define QUERY_DIRTY_H

#include "abi/event.h"
#include "base/buf.h"
#include "base/map.h"
#include "model/model.h"

enum ms_dirty_way {
#define DIRTY_WAY(id, key, name, meaning) MS_DIRTY_##id,
#include "query/dirty.def"
	MS_DIRTY_WAYS
};

enum ms_dirty_mark_kind {
#define DIRTY_MARK(id, name) MS_DIRTY_MARK_##id,
#include "query/dirty.def"
	MS_DIRTY_MARK_KINDS
};

#define MS_DIRTY_BINS 64u /* of time; when they are full, two become one */
#define MS_DIRTY_ROWS 16u /* of a slot's map: ranges of frames */
#define MS_DIRTY_BATCHES 64u /* the last ones are kept */
#define MS_DIRTY_BATCH_MAX 512u /* entries of a PML buffer */
#define MS_DIRTY_PML12 64u /* the last entries of L1's PML are kept */
#define MS_DIRTY_MARKS 128u /* the last ones are kept */
#define MS_DIRTY_SLOTS 1024u
#define MS_DIRTY_GFNS 65536u
#define MS_DIRTY_VCPUS 4096u

struct ms_dirty_slot {
	u16 id, as_id;
	bool known; /* base_gfn and nr_pages are */
	bool logging; /* as the last that was heard of it says */
	u64 base_gfn, nr_pages;
	u64 ways[MS_DIRTY_WAYS];
	u64 nr; /* marks: all ways but the D bit */
	u64 by_guest[3]; /* marks, by enum ms_ev_guest */
	u64 since_read; /* marks since the last reading of its log */
	u64 reads, clears;
	u64 first_ns, last_ns; /* of its marks */
	u64 outside; /* marks of frames that lie outside it, as it is known: in no row of the map */
	u32 map[MS_DIRTY_ROWS][MS_DIRTY_BINS];
	u32 bins[MS_DIRTY_BINS];
	/* Leaves: by enum spte_ad_kind; above level 1; with W; A/D enabled and at level 1. ms_dirty_leaves() */
	u64 kinds[4], huge, writable, enabled_small;
};

/* A PML buffer that was emptied. Host PML: what L1 sees of its own is struct ms_dirty_pml12. */
struct ms_dirty_batch {
	u64 serial; /* from 0 */
	u64 time_ns;
	u16 vcpu; /* MS_EV_NO_VCPU: not known */
	u8 guest; /* enum ms_ev_guest */
	bool announced; /* its pml_drain event was seen: entries and full are known */
	bool full;
	u16 entries;
	u16 seen; /* entries that were seen one by one */
	u16 marked; /* and marked a frame; the others' frames were marked before, or lie in no slot that logs */
	u16 nr; /* of gfns */
	u64 gfns[MS_DIRTY_BATCH_MAX]; /* the newest first, ~0: this one was not seen */
};

struct ms_dirty_pml12 {
	u64 time_ns, addr; /* nGPA */
	u16 vcpu, index;
};

struct ms_dirty_mark {
	u64 time_ns;
	enum ms_dirty_mark_kind kind;
	u16 slot, as_id;
	u32 tid;
	u64 gfn, pages; /* CLEAR: of what; else 0 */
	u64 marked; /* frames of the slot marked since the reading before */
};

struct ms_dirty_gfn {
	u64 gfn, first_ns, last_ns;
	u64 nr; /* marks: all ways but the D bit */
	u32 ways[MS_DIRTY_WAYS];
	u16 slot; /* index in slots */
	u16 vcpu; /* of the last mark */
	u8 guest, cause, way; /* of the last mark */
};

struct ms_dirty_vcpu;

struct ms_dirty {
	struct spte_profile profile; /* for D bits */
	bool have_profile;
	/* What counts: marks of other frames or slots are passed over, though they say what a vCPU does. */
	bool only_gfns, only_slot;
	u64 gfn_start, gfn_end; /* [start, end) */
	u16 slot_id;
	u64 events; /* fed */
	u64 start_ns, last_ns; /* of the events fed, or of ms_dirty_time() */
	bool started;
	u64 bin_ns; /* width of a bin */
	u64 ways[MS_DIRTY_WAYS], nr;
	u64 faults; /* taken for a write */
	struct ms_dirty_slot *slots;
	size_t nr_slots, cap_slots;
	struct ms_dirty_gfn *gfns;
	size_t nr_gfns, cap_gfns;
	struct ms_map by_gfn; /* gfn + 1, address space at bit 52 */
	struct ms_dirty_batch *batches; /* batch of a serial at serial % MS_DIRTY_BATCHES */
	u64 nr_batches, nr_full, nr_entries;
	struct ms_dirty_pml12 pml12[MS_DIRTY_PML12]; /* the i-th at i % MS_DIRTY_PML12 */
	u64 nr_pml12;
	struct ms_dirty_mark marks[MS_DIRTY_MARKS]; /* the i-th at i % MS_DIRTY_MARKS */
	u64 nr_marks;
	struct ms_dirty_vcpu *vcpus; /* what each was doing */
	size_t nr_vcpus, cap_vcpus;
	/* What did not fit, or memory was out for. */
	u64 dropped_gfns, dropped_slots, dropped_vcpus;
	u64 leaves_unknown; /* leaves whose frame cannot be told, or lies in no slot */
	bool leaves; /* ms_dirty_leaves() was called */
	bool ring; /* readings are not seen: MS_VM_DIRTY_RING */
};

/* profile may be NULL: then D bits are not looked at. *ret is ended by ms_dirty_destroy(). */
struct ms_err *ms_dirty_create(const struct spte_profile *profile, struct ms_dirty **ret) MS_MUST_CHECK;
void ms_dirty_destroy(struct ms_dirty *d); /* takes NULL */
/* The memslots as they are before the first event. */
void ms_dirty_slots(struct ms_dirty *d, const struct ms_vm *vm);
/* Counts the leaves of each slot by A/D kind, anew; pages that are not confirmed count, too. */
void ms_dirty_leaves(struct ms_dirty *d, const struct ms_model *model, const struct ms_vm *vm);
/* Events in the order in which they were delivered. */
void ms_dirty_event(struct ms_dirty *d, const struct ms_event *event);
/* It is this time (of the events' clock) and nothing happened: rates and times know it. */
void ms_dirty_time(struct ms_dirty *d, u64 now_ns);
/* What has to be listened to, 1 << enum ms_event_id. */
u64 ms_dirty_events(void);

/* NULL behind the last. */
const char *ms_dirty_way_name(u32 way);
const char *ms_dirty_way_text(u32 way);
const char *ms_dirty_mark_name(u32 kind);

/* The batch of a serial; NULL when it is no longer kept. */
const struct ms_dirty_batch *ms_dirty_batch(const struct ms_dirty *d, u64 serial);
/* Indices of d->gfns, most marked first (of equals the one marked last first), at most max; returns how many. */
size_t ms_dirty_top(const struct ms_dirty *d, size_t *order, size_t max);
/* Nanoseconds that were listened to. */
u64 ms_dirty_span_ns(const struct ms_dirty *d);
/* Bins in use, at least 1. */
u32 ms_dirty_nr_bins(const struct ms_dirty *d);
/* First frame of a row of a slot's map, and the frame behind its last; both 0 for a row that has none. */
void ms_dirty_row(const struct ms_dirty_slot *slot, u32 row, u64 *start_ret, u64 *end_ret);

/*
 * Counts as a text of at most `cells' characters, the highest as a full one, nothing as a blank or a dot. max: what a
 * full one stands for, 0: the highest of these.
 */
void ms_dirty_spark(const u32 *counts, u32 nr, u32 cells, u32 max, bool utf8, struct ms_buf *out);

#endif
