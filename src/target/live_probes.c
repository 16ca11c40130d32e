/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of listening needs no kernel: abi/probes.def as data, and events put back in order. See live_listen.h. */
#include "target/live_listen.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* How a kind of probe is told apart. */
#define KIND_tp_btf .is_tracepoint = true
#define KIND_fentry .is_tracepoint = false
#define KIND_fexit .is_tracepoint = false
#define KIND_kprobe .is_kprobe = true

const struct ms_probe_desc ms_probe_descs[] = {
/* Operations first: an event's own probe on the same function finds itself within it. */
#define OPERATION(f, op_cause, op_who, module, grp, explains, what) \
	{ .name = "fentry+fexit/" #f,                               \
	  .prog = #f,                                               \
	  .fn = #f,                                                 \
	  .lost = what,                                             \
	  .events = explains,                                       \
	  .group = (grp) & (TOGETHER - 1),                          \
	  .together = (grp)&TOGETHER,                               \
	  .vendor = MS_PROBE_##module,                              \
	  .cause = MS_CAUSE_##op_cause,                             \
	  .who = MS_OP_##op_who,                                    \
	  .is_operation = true },
#define PROBE(program, kind, f, module, grp, feeds, what) \
	{ .name = #kind "/" #f,                           \
	  .prog = #program,                               \
	  .fn = #f,                                       \
	  .lost = what,                                   \
	  .events = feeds,                                \
	  .group = (grp) & (TOGETHER - 1),                \
	  .together = (grp)&TOGETHER,                     \
	  .vendor = MS_PROBE_##module,                    \
	  KIND_##kind },
#include "abi/probes.def"
};

const size_t ms_nr_probe_descs = sizeof(ms_probe_descs) / sizeof(ms_probe_descs[0]);

bool ms_probe_replaces(const struct ms_probe_desc *a, const struct ms_probe_desc *b)
{
	return a != b && a->group && a->group == b->group && !(a->together && b->together);
}

void ms_event_queue_deinit(struct ms_event_queue *q)
{
	free(q->events);
	*q = (struct ms_event_queue){ 0 };
}

void ms_event_queue_put(struct ms_event_queue *q, const struct ms_event *event)
{
	struct ms_event *grown;

	if (q->head == q->nr) {
		q->head = q->nr = 0;
	} else if (q->head && q->nr == q->cap) {
		memmove(q->events, q->events + q->head, (q->nr - q->head) * sizeof(*q->events));
		q->nr -= q->head;
		q->head = 0;
	}
	grown = ms_grow(q->events, &q->cap, q->nr + 1, sizeof(*grown));
	if (!grown) {
		q->oom = true;
		return;
	}
	q->events = grown;
	grown[q->nr++] = *event;
}

/* Nearly in order: an insertion sort moves the few that are late, and those only a little. */
void ms_event_queue_sort(struct ms_event_queue *q)
{
	size_t i, k;

	for (i = q->head + 1; i < q->nr; i++) {
		struct ms_event late;

		if (q->events[i - 1].seq <= q->events[i].seq)
			continue;
		late = q->events[i];
		for (k = i; k > q->head && q->events[k - 1].seq > late.seq; k--)
			q->events[k] = q->events[k - 1];
		q->events[k] = late;
	}
}

const struct ms_event *ms_event_queue_next(struct ms_event_queue *q, u64 lost, u64 now_ns)
{
	const struct ms_event *ev;
	u64 gap;

	if (q->head == q->nr)
		return NULL;
	ev = &q->events[q->head];
	if (ev->seq <= q->seq) {
		/* It was given up. */
		if (q->missing)
			q->missing--;
		q->head++;
		return ev;
	}
	gap = ev->seq - q->seq - 1;
	if (gap && q->missing + gap > lost) {
		if (!q->gap_since_ns)
			q->gap_since_ns = now_ns;
		if (now_ns - q->gap_since_ns < MS_QUEUE_WAIT_NS)
			return NULL;
	}
	q->gap_since_ns = 0;
	q->missing += gap;
	q->seq = ev->seq;
	q->head++;
	return ev;
}
