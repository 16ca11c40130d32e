/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening to a simulated machine. It moves on while it is listened to: a step is a millisecond of its time, so
 * that whoever waits a second gets what a thousand steps make, the same ones each time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "target/sim.h"

#define MS_STEPS_MAX 250 /* of one call that waits for ever */
#define COUNTS_MAX 65536

struct sim_listener {
	struct ms_listener l;
	struct ms_sim_clock *clock;
	struct ms_event *events; /* that wait to be handed out, from `first' on */
	size_t first, nr, cap;
	struct ms_event_count *counts;
	size_t nr_counts, cap_counts;
	u32 *slots; /* 1 + index of a count, by hash of its key; 0: free */
	struct ms_listen_stats stats;
};

static struct sim_listener *sim_listener(struct ms_listener *l)
{
	return (struct sim_listener *)l;
}

/* --- counts --- */

static u32 hash_key(const struct ms_event_count *key)
{
	u64 h = key->gfn * 0x9e3779b97f4a7c15ull;

	h ^= ((u64)key->id << 48 | (u64)key->vcpu << 32 | (u64)key->guest << 24 | (u64)key->cause << 16 |
	      (u64)key->level << 8 | key->ret) *
	     0xc2b2ae3d27d4eb4full;
	return (u32)(h >> 32);
}

static bool same_key(const struct ms_event_count *a, const struct ms_event_count *b)
{
	return a->kvm == b->kvm && a->gfn == b->gfn && a->id == b->id && a->vcpu == b->vcpu &&
	       a->guest == b->guest && a->cause == b->cause && a->level == b->level && a->ret == b->ret;
}

static void count(struct sim_listener *s, const struct ms_event *event)
{
	struct ms_event_count key, *grown;
	u32 at;

	ms_listen_key(s->l.listen.count_by, event, &key);
	for (at = hash_key(&key); s->slots[at %= 2 * COUNTS_MAX]; at++)
		if (same_key(&s->counts[s->slots[at] - 1], &key)) {
			s->counts[s->slots[at] - 1].nr++;
			return;
		}
	grown = s->nr_counts < COUNTS_MAX
			? ms_grow(s->counts, &s->cap_counts, s->nr_counts + 1, sizeof(*grown))
			: NULL;
	if (!grown) {
		s->stats.lost_count++;
		return;
	}
	s->counts = grown;
	key.nr = 1;
	grown[s->nr_counts++] = key;
	s->slots[at] = (u32)s->nr_counts;
}

/* --- events --- */

/* It passes but for its VM, of which nothing is known. */
static bool of_no_vm(const struct ms_listen *listen, const struct ms_event *event)
{
	struct ms_event known = *event;

	known.kvm = listen->kvm;
	return listen->kvm && !event->kvm && ms_listen_passes(listen, &known);
}

void ms_sim_listener_put(struct ms_listener *l, const struct ms_event *event)
{
	struct sim_listener *s = sim_listener(l);
	struct ms_event *grown;

	if (!ms_listen_passes(&l->listen, event)) {
		s->stats.unknown_vm += of_no_vm(&l->listen, event);
		return;
	}
	s->stats.by_event[event->id]++;
	if (l->listen.count_by) {
		count(s, event);
		return;
	}
	if (s->first == s->nr)
		s->first = s->nr = 0;
	grown = ms_grow(s->events, &s->cap, s->nr + 1, sizeof(*grown));
	if (!grown) {
		s->stats.lost_buffer++;
		return;
	}
	s->events = grown;
	grown[s->nr++] = *event;
}

void ms_sim_listener_lost(struct ms_listener *l, u64 nr)
{
	sim_listener(l)->stats.lost_buffer += nr;
}

static struct ms_err *sim_next(struct ms_listener *l, int timeout_ms,
			       bool (*put)(void *ctx, const struct ms_event *event), void *ctx)
{
	struct sim_listener *s = sim_listener(l);
	u32 steps = timeout_ms < 0 || timeout_ms > MS_STEPS_MAX ? MS_STEPS_MAX : (u32)timeout_ms;
	struct ms_err *err = NULL;

	if (s->first == s->nr && steps)
		err = s->clock->run(s->clock, steps);
	while (!err && s->first < s->nr) {
		s->stats.delivered++;
		if (!put(ctx, &s->events[s->first++]))
			break;
	}
	return err;
}

static int sim_fd(const struct ms_listener *l)
{
	(void)l;
	return -1;
}

static struct ms_err *sim_stats(struct ms_listener *l, struct ms_listen_stats *ret)
{
	*ret = sim_listener(l)->stats;
	return NULL;
}

static struct ms_err *sim_counts(struct ms_listener *l, struct ms_event_count **ret, size_t *nr_ret)
{
	const struct sim_listener *s = sim_listener(l);

	*ret = malloc((s->nr_counts ? s->nr_counts : 1) * sizeof(**ret));
	if (!*ret)
		return ms_err_nomem();
	if (s->nr_counts)
		memcpy(*ret, s->counts, s->nr_counts * sizeof(**ret));
	*nr_ret = s->nr_counts;
	return NULL;
}

static size_t sim_probes(const struct ms_listener *l, const struct ms_probe **ret)
{
	(void)l;
	*ret = NULL;
	return 0;
}

static size_t sim_stack(struct ms_listener *l, s32 stack, u64 *ips, size_t max)
{
	(void)l;
	(void)stack;
	(void)ips;
	(void)max;
	return 0;
}

static u64 sim_now(const struct ms_listener *l)
{
	return ((const struct sim_listener *)l)->clock->now_ns;
}

static bool sim_over(const struct ms_listener *l)
{
	return ((const struct sim_listener *)l)->clock->over;
}

static void sim_unlisten(struct ms_listener *l)
{
	struct sim_listener *s = sim_listener(l);

	if (s->clock->listener == l)
		s->clock->listener = NULL;
	free(s->events);
	free(s->counts);
	free(s->slots);
	free(s);
}

static const struct ms_listen_ops ops = {
	.fd = sim_fd,
	.next = sim_next,
	.stats = sim_stats,
	.counts = sim_counts,
	.probes = sim_probes,
	.stack = sim_stack,
	.now = sim_now,
	.over = sim_over,
	.unlisten = sim_unlisten,
};

struct ms_err *ms_sim_listen(struct ms_sim_clock *clock, const struct ms_listen *listen,
			     struct ms_listener **ret)
{
	struct sim_listener *s;

	if (clock->listener)
		return ms_err_new(MS_ERR_BUG, "target sim: somebody listens already");
	s = calloc(1, sizeof(*s));
	if (!s)
		return ms_err_nomem();
	s->l.ops = &ops;
	s->clock = clock;
	s->l.listen = *listen;
	s->slots = listen->count_by ? calloc(2 * COUNTS_MAX, sizeof(*s->slots)) : NULL;
	if (listen->count_by && !s->slots) {
		free(s);
		return ms_err_nomem();
	}
	clock->listener = &s->l;
	*ret = &s->l;
	return NULL;
}
