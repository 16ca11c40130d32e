/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening, as far as it is the same for every target: what passes, and what is counted with what. */
#include <poll.h>

#include "abi/event_desc.h"
#include "target/kmem.h"
#include "target/target.h"

bool ms_listen_passes(const struct ms_listen *listen, const struct ms_event *event)
{
	u64 gfn, nr;

	if (!event->id || event->id >= MS_EV_NR || !(listen->events & 1ull << event->id))
		return false;
	if (listen->kvm && event->kvm != listen->kvm)
		return false;
	if (listen->has_vcpu && event->vcpu != listen->vcpu)
		return false;
	return !listen->has_gfn || (ms_event_frames(event, &gfn, &nr) && gfn < listen->gfn_end &&
				    (gfn >= listen->gfn_start || nr > listen->gfn_start - gfn));
}

bool ms_listen_same(const struct ms_listen *a, const struct ms_listen *b)
{
	return a->kvm == b->kvm && a->events == b->events && a->gfn_start == b->gfn_start &&
	       a->gfn_end == b->gfn_end && a->vcpu == b->vcpu && a->has_gfn == b->has_gfn &&
	       a->has_vcpu == b->has_vcpu && a->stacks == b->stacks && a->count_by == b->count_by &&
	       a->buffer_bytes == b->buffer_bytes && a->stacks_max == b->stacks_max &&
	       a->free_max == b->free_max && a->zapped_max == b->zapped_max &&
	       a->counts_max == b->counts_max && a->threads_max == b->threads_max;
}

u64 ms_listen_lost(const struct ms_listen_stats *stats)
{
	return stats->lost_buffer + stats->lost_count + stats->lost_recursion + stats->lost_probe +
	       stats->lost_thread + stats->lost_free + stats->lost_owner;
}

void ms_listen_key(u32 count_by, const struct ms_event *event, struct ms_event_count *ret)
{
	u64 value;

	*ret = (struct ms_event_count){ .id = event->id };
	if (count_by & MS_BY_KVM)
		ret->kvm = event->kvm;
	if (count_by & MS_BY_VCPU)
		ret->vcpu = event->vcpu;
	if (count_by & MS_BY_GUEST)
		ret->guest = event->guest;
	if (count_by & MS_BY_CAUSE)
		ret->cause = event->cause;
	if (count_by & MS_BY_GFN && !ms_event_gfn(event, &ret->gfn))
		ret->gfn = ~0ull;
	if (count_by & MS_BY_LEVEL && ms_event_first(event, MS_UNIT_LEVEL, &value))
		ret->level = (u8)value;
	if (count_by & MS_BY_RET)
		ret->ret = ms_event_first(event, MS_UNIT_RET, &value) ? (u8)value : MS_RET_NR;
}

struct ms_err *ms_target_listen(struct ms_target *target, const struct ms_listen *listen,
				struct ms_listener **ret)
{
	struct ms_err *err;

	if (!target->ops->listen)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "target '%s' has no events to listen to", target->spec),
			"targets live and sim have");
	err = target->ops->listen(target, listen, ret);
	if (err)
		return err;
	(*ret)->target = target;
	(*ret)->listen = *listen;
	(*ret)->listen.progress = NULL;
	return NULL;
}

int ms_listen_fd(const struct ms_listener *l)
{
	return l->ops->fd(l);
}

bool ms_listen_over(const struct ms_listener *l)
{
	return l->ops->over && l->ops->over(l);
}

struct ms_err *ms_listen_next(struct ms_listener *l, int timeout_ms,
			      bool (*put)(void *ctx, const struct ms_event *event), void *ctx)
{
	return l->ops->next(l, timeout_ms, put, ctx);
}

struct ms_err *ms_listen_stats(struct ms_listener *l, struct ms_listen_stats *ret)
{
	return l->ops->stats(l, ret);
}

struct ms_err *ms_listen_counts(struct ms_listener *l, struct ms_event_count **ret, size_t *nr_ret)
{
	return l->ops->counts(l, ret, nr_ret);
}

size_t ms_listen_probes(const struct ms_listener *l, const struct ms_probe **ret)
{
	return l->ops->probes(l, ret);
}

#define REST_MS 20

struct rest {
	bool (*put)(void *ctx, const struct ms_event *event);
	void *ctx;
	u64 end_ns;
	size_t nr;
	bool over;
};

static bool rest_put(void *ctx, const struct ms_event *event)
{
	struct rest *rest = ctx;

	rest->nr++;
	rest->over = !rest->put(rest->ctx, event) || event->time_ns > rest->end_ns;
	return !rest->over;
}

struct ms_err *ms_listen_rest(struct ms_listener *l, bool (*put)(void *ctx, const struct ms_event *event),
			      void *ctx)
{
	struct rest rest = { .put = put, .ctx = ctx, .end_ns = ms_listen_now(l) };
	bool again = !l->ops->waiting;
	struct ms_err *err;

	for (;;) {
		rest.nr = 0;
		err = ms_listen_next(l, 0, rest_put, &rest);
		if (err || rest.over)
			return err;
		if (rest.nr)
			continue;
		/* A CPU may be about to put one into the buffer, in front of those of others. */
		if (again && (!l->ops->waiting || !l->ops->waiting(l)))
			return NULL;
		again = true;
		poll(NULL, 0, REST_MS);
	}
}

u64 ms_listen_fed(const struct ms_listener *l)
{
	const struct ms_probe *probes = NULL;
	size_t nr = l->ops->probes ? l->ops->probes(l, &probes) : 0, i;
	u64 ret = nr ? 0 : ~0ull;

	for (i = 0; i < nr; i++)
		if (!probes[i].explains &&
		    (probes[i].status == MS_PROBE_ON || probes[i].status == MS_PROBE_SPARE))
			ret |= probes[i].events;
	return ret;
}

size_t ms_listen_stack(struct ms_listener *l, s32 stack, u64 *ips, size_t max)
{
	return l->ops->stack(l, stack, ips, max);
}

u64 ms_listen_now(const struct ms_listener *l)
{
	return l->ops->now ? l->ops->now(l) : ms_kmem_now_ns();
}

void ms_listen_hold(struct ms_listener *l)
{
	if (l->ops->hold)
		l->ops->hold(l);
}

void ms_unlisten(struct ms_listener *l)
{
	if (l)
		l->ops->unlisten(l);
}
