/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last events of a simulated VM. A ring that overwrites: how much it has overwritten is always known. */
#include <stdlib.h>
#include <string.h>

#include "target/sim.h"

struct ms_sim_ring {
	u64 nr_put;
	u32 cap; /* a power of two */
	struct ms_event events[];
};

struct ms_sim_ring *ms_sim_ring_create(u32 nr)
{
	struct ms_sim_ring *ring = malloc(sizeof(*ring) + nr * sizeof(ring->events[0]));

	if (!ring)
		return NULL;
	ring->nr_put = 0;
	ring->cap = nr;
	return ring;
}

void ms_sim_ring_destroy(struct ms_sim_ring *ring)
{
	free(ring);
}

void ms_sim_ring_put(void *ctx, const struct ms_event *event)
{
	struct ms_sim_ring *ring = ctx;

	ring->events[ring->nr_put++ & (ring->cap - 1)] = *event;
}

struct ms_err *ms_sim_ring_read(const struct ms_sim_ring *ring, size_t max, struct ms_event_log *ret)
{
	u64 kept = ring->nr_put < ring->cap ? ring->nr_put : ring->cap, first = ring->nr_put - kept, at;
	struct ms_event_log log = { .nr_raised = ring->nr_put, .nr_overwritten = first };
	const struct ms_event *event;
	u64 seq = 0;

	log.nr = kept < max ? (size_t)kept : max;
	log.events = calloc(log.nr ? log.nr : 1, sizeof(*log.events));
	if (!log.events)
		return ms_err_nomem();
	for (at = first; at < ring->nr_put; at++) {
		event = &ring->events[at & (ring->cap - 1)];
		if (at > first && event->seq > seq + 1)
			log.nr_missing += event->seq - seq - 1;
		seq = event->seq;
		if (at >= ring->nr_put - log.nr)
			log.events[at - (ring->nr_put - log.nr)] = *event;
	}
	*ret = log;
	return NULL;
}
