/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Written but clean: digests of a range of frames, read now and then, against what the events say of the dirty log. A
 * frame whose content changed, and which no reading of the log can have named, is a finding.
 *
 *	c  the log's bit was cleared: an SPTE of the frame lost W or its D bit for it
 *	C  the ioctl that did so has ended: from here on each write makes a mark
 *	a  a digest is begun		b  another one, which differs, is done
 *
 *	---c-----C-----a..........b--------R1--------R2---->
 *	   |__________________________________________|
 *		a mark in here that a reading can have had, or else a finding
 *
 * Why this finds nothing on a KVM without a bug, whatever comes late: doc/dirty.md.
 */
#ifndef QUERY_DIRTY_CHECK_H
#define QUERY_DIRTY_CHECK_H

#include "abi/event.h"
#include "model/model.h"

#define MS_DIRTY_CHECK_MAX 4096u /* frames */
#define MS_DIRTY_CHECK_KEPT 1024u /* findings */
#define MS_DIRTY_CHECK_LAST 4u /* events of a frame that are kept */

enum ms_dirty_loss {
	MS_DIRTY_NEVER_MARKED, /* no mark since the bit was cleared */
	MS_DIRTY_CLEARED_UNREAD, /* marked, and cleared before any reading */
};

struct ms_dirty_seen {
	u64 time_ns;
	u8 id, cause;
};

struct ms_dirty_finding {
	u64 gfn;
	u16 slot;
	u8 loss; /* enum ms_dirty_loss */
	u64 clean_ns; /* since when it had to be marked */
	u64 from_ns, to_ns; /* the content changed in between */
	u64 before, after; /* digests */
	struct ms_dirty_seen
		last[MS_DIRTY_CHECK_LAST]; /* what happened to the frame, the oldest first; id 0: none */
};

struct ms_dirty_check_opts {
	u64 gfn; /* first frame */
	u32 nr; /* at most MS_DIRTY_CHECK_MAX */
	/* How far the time of a clearing may lie behind that of a mark made after it; 0: nothing runs meanwhile. */
	u64 slack_ns;
	/* Readings of the log, after the change was seen, in which it has to be at the latest. */
	u32 readings;
};

struct ms_dirty_frame;

struct ms_dirty_check {
	struct ms_dirty_check_opts opts;
	struct ms_dirty_frame *frames; /* opts.nr of them */
	bool begins_clear; /* a log begins with no bit set: KVM_DIRTY_LOG_INITIALLY_SET is known to be off */
	bool log_moved; /* a log of these frames was read or cleared since the last digests */
	u64 digested; /* how often */
	u32 nr_read, nr_alias, nr_no_slot; /* frames, of the last digests, resp. of the memslots */
	u64 changes; /* seen, of frames whose memslot logs */
	u64 reported; /* of these: a reading has them */
	u64 unknown; /* ... nothing can be said: when the bit was cleared last is not known */
	u64 dropped; /* ... the host took the page, the memslot changed, events were lost */
	u64 pending; /* ... no reading came yet that must have them */
	u64 found;
	struct ms_dirty_finding *findings; /* the first of those found */
	size_t nr_findings, cap_findings;
	u64 settled; /* of those found, these stand whatever was lost meanwhile */
};

/* vm: its memslots. *ret is ended by ms_dirty_check_destroy(). */
struct ms_err *ms_dirty_check_create(const struct ms_dirty_check_opts *opts, const struct ms_vm *vm,
				     struct ms_dirty_check **ret) MS_MUST_CHECK;
void ms_dirty_check_destroy(struct ms_dirty_check *c); /* takes NULL */
/* What it needs beside ms_dirty_events(), 1 << enum ms_event_id. */
u64 ms_dirty_check_events(void);
void ms_dirty_check_event(struct ms_dirty_check *c, const struct ms_event *event);
/*
 * Digests of opts.nr frames from opts.gfn on, read between these two times on the clock of the events. Every event that
 * could be had before was fed.
 */
void ms_dirty_check_digests(struct ms_dirty_check *c, u64 start_ns, u64 end_ns,
			    const struct ms_frame *frames);
/* Events were lost before the one that comes next: nothing is known of any frame until its bit is cleared again. */
void ms_dirty_check_lost(struct ms_dirty_check *c);
/*
 * Now and then: what was fed since the last time is all there was, but for what ms_dirty_check_lost() was told of; or,
 * lost, there were more, somewhere among it: then what was found of that time is given up.
 */
void ms_dirty_check_settle(struct ms_dirty_check *c, bool lost);

const char *ms_dirty_loss_name(u32 loss);

#endif
