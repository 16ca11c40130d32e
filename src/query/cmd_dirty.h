/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the command dirty only: what it has heard, and its part with --check (cmd_dirty_check.c). */
#ifndef QUERY_CMD_DIRTY_H
#define QUERY_CMD_DIRTY_H

#include "query/dirty.h"
#include "query/dirty_check.h"
#include "query/private.h"

struct dirty {
	struct ms_dirty *d;
	struct listened listened;
	struct ms_dirty_check *check; /* NULL: not asked for */
	struct ms_frame *frames; /* of it */
	u64 kvm;
	u64 lost; /* events, so far */
	bool numbered; /* see query_lost_before() */
	u64 seq; /* the last */
	bool utf8;
	u64 rate_ns; /* what rates are about, 0: no time went by */
	size_t *slots, nr_slots; /* those that are shown, of d->slots */
	size_t *top, nr_top; /* of d->gfns */
	u64 nr_batches, nr_marks, nr_pml12; /* shown */
	u32 ways[MS_DIRTY_WAYS], nr_ways; /* shown: text has those that were taken */
	size_t map; /* of d->slots */
	u32 map_rows, map_max;
	bool pml_known, pml;
};

/* A time since it began to listen. */
static inline void us_cell(struct ms_cell **at, const struct dirty *dirty, u64 time_ns)
{
	cell_count(at, time_ns > dirty->d->start_ns ? (time_ns - dirty->d->start_ns) / 1000 : 0);
}

/* dirty->check, of the frames that --check names. */
struct ms_err *dirty_check_create(struct query *q, struct dirty *dirty) MS_MUST_CHECK;
void dirty_check_event(struct dirty *dirty, const struct ms_event *event);
/* ctx is the struct dirty: see query_listen_ticks(). */
struct ms_err *dirty_check_tick(void *ctx, struct ms_listener *l) MS_MUST_CHECK;
/* The verdict: sections, notes, and status 1 on a finding. */
struct ms_err *dirty_check_sections(struct query *q, struct dirty *dirty) MS_MUST_CHECK;

#endif
