/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening to the running kernel: the ops of target live, apart from its reading (live.c), and what can be tested
 * without a kernel: which probes there are, and putting events back in order.
 */
#ifndef TARGET_LIVE_LISTEN_H
#define TARGET_LIVE_LISTEN_H

#include "abi/listen.h"
#include "target/target.h"

struct ms_kmem;

/* Of live.c: an error in libbpf's words, what it said last, and the reader of kernel memory. */
struct ms_err *ms_live_err(int err, const char *what) MS_MUST_CHECK;
const char *ms_live_says(void);
void ms_live_says_reset(void);
struct ms_kmem *ms_live_kmem(struct ms_target *target);

enum ms_probe_vendor {
	MS_PROBE_kvm,
	MS_PROBE_amd,
	MS_PROBE_intel,
};

/* A line of abi/probes.def. An operation is two programs: op_FN and ox_FN, its entry and exit. */
struct ms_probe_desc {
	const char *name; /* "fentry/mark_page_dirty_in_slot" */
	const char *prog; /* program; of an operation the function's name */
	const char *fn; /* kernel function or tracepoint */
	const char *lost;
	u64 events; /* fed, or explained */
	u8 group; /* 0: none; `together' is not part of it */
	u8 vendor; /* enum ms_probe_vendor */
	u8 cause, who; /* of an operation: enum ms_cause, enum ms_op_who */
	bool is_operation, is_tracepoint, is_kprobe;
	bool together; /* with those of its group that have this, too: one is none for the other */
};

/* Is b of no use where a is on? */
bool ms_probe_replaces(const struct ms_probe_desc *a, const struct ms_probe_desc *b);

extern const struct ms_probe_desc ms_probe_descs[];
extern const size_t ms_nr_probe_descs;

/*
 * Events on their way to the reader: CPUs number them before they put them into the buffer, so that some come
 * a little late. Zero is empty.
 */
struct ms_event_queue {
	struct ms_event *events;
	size_t head, nr, cap;
	u64 seq; /* of the last one handed out */
	u64 missing; /* numbers skipped so far, less those that came late */
	u64 gap_since_ns; /* since when the first one waits for its predecessor; 0: it does not */
	bool oom;
};

void ms_event_queue_deinit(struct ms_event_queue *q);
void ms_event_queue_put(struct ms_event_queue *q, const struct ms_event *event);
/* After a number of puts: in order again. */
void ms_event_queue_sort(struct ms_event_queue *q);
/*
 * The next event, NULL: none that may be handed out yet. A number that is missing is waited for, unless that many
 * are known to be lost, or it has not come for MS_QUEUE_WAIT_NS.
 */
#define MS_QUEUE_WAIT_NS 100000000ull
const struct ms_event *ms_event_queue_next(struct ms_event_queue *q, u64 lost, u64 now_ns);

struct ms_err *ms_live_listen(struct ms_target *target, const struct ms_listen *listen,
			      struct ms_listener **ret) MS_MUST_CHECK;

#endif
