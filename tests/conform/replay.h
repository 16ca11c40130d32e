/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conformance: a trace of the real KVM, the engine driven through it, and the two answers held against each
 * other. replay.c drives, compare.c compares; both count differences here.
 */
#ifndef TESTS_CONFORM_REPLAY_H
#define TESTS_CONFORM_REPLAY_H

#include "host.h"
#include "model/model.h"
#include "nmmu/types.h"
#include "spoil.h"
#include "trace.h"

/*
 * Eight neighbouring entries of a table, in which one of the two may have prefetched and the other not:
 * whether a fault finds its SPTE as it would be made hangs on A and D bits that the CPU has set
 * (doc/differences.md).
 */
struct replay_window {
	u64 table_gfn; /* of the guest's table; of a direct page: the first frame of its 2M */
	u32 index; /* of the first */
	bool ours; /* we have prefetched; else KVM has */
};

struct replay_seen {
	u64 nr_events, nr_faults, nr_stores, nr_vmruns;
	u64 nr_sps, nr_tables, nr_leaves, nr_mmio, nr_words; /* compared and equal, but for nr_differences */
	u64 nr_dirty; /* pages in dirty logs */
	u64 nr_excused; /* entries that differ for a reason of doc/differences.md */
	u64 nr_differences;
};

struct replay {
	const struct trace *trace;
	const struct ms_model *model;
	const struct ms_vm *vm;
	struct host host;
	struct nmmu *m;
	struct nmmu_vcpu *v;
	u64 l2_cr3;
	u64 *splits; /* first frames of 2M leaves that the TDP MMU has split into 512 */
	size_t nr_splits;
	struct replay_window *windows;
	size_t nr_windows;
	u32 max_shown; /* differences told of in full */
	u32 nr_keep; /* tables that are never given back: the run fails then */
	struct replay_seen seen;
	bool silent; /* differences are counted only */
	bool spoil; /* the comparison is tested as well */
	struct replay_seen unspoiled; /* of the spoiling at work */
	struct spoil_count spoils[SPOIL_NR_EVENTS];
};

/* One difference, with the reason why it is one. */
void replay_differ(struct replay *r, const char *fmt, ...) MS_PRINTF(2, 3);

/* What is not compared, or not bit by bit, is said in doc/differences.md. */
void compare(struct replay *r);

#endif
