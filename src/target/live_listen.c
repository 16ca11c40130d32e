/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening to the running kernel, second half: how what the programs see comes here, and the figures. When the
 * process ends, however it does, the kernel takes all of it away: everything hangs on file descriptors.
 *
 * While it listens the kernel counts and times every BPF program's runs (BPF_ENABLE_STATS), also those of others,
 * which costs each some tens of nanoseconds: the tool's own cost has to be known.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "target/live_private.h"

#include "events.skel.h"

#define DEFAULT_BUFFER_BYTES (8u << 20)
#define MAX_BUFFER_BYTES (1u << 30)
/* How often the reader looks: the kernel side does not wake it for each event. */
#define LOOK_NS 20000000
/* Events taken out of the buffer at a time. */
#define QUEUE_MAX 65536u

_Static_assert(MS_BY_KVM == MS_COUNT_BY_KVM && MS_BY_VCPU == MS_COUNT_BY_VCPU &&
		       MS_BY_GUEST == MS_COUNT_BY_GUEST && MS_BY_CAUSE == MS_COUNT_BY_CAUSE &&
		       MS_BY_GFN == MS_COUNT_BY_GFN && MS_BY_LEVEL == MS_COUNT_BY_LEVEL &&
		       MS_BY_RET == MS_COUNT_BY_RET,
	       "as the programs have them");
_Static_assert(MS_STACK_DEPTH == MS_STACK_MAX, "a stack is asked for whole");

static struct live_listener *to_live(const struct ms_listener *l)
{
	return (struct live_listener *)l;
}

/* --- the way of an event --- */

static int take(void *ctx, void *data, size_t bytes)
{
	struct live_listener *ll = ctx;
	struct ms_event event;

	if (bytes < sizeof(event))
		return 0;
	memcpy(&event, data, sizeof(event));
	ms_event_queue_put(&ll->queue, &event);
	/* The rest stays in the buffer. */
	return ll->queue.oom || ll->queue.nr - ll->queue.head >= QUEUE_MAX ? -ENOBUFS : 0;
}

static struct ms_err *open_ring(struct live_listener *ll)
{
	struct itimerspec every = { { 0, LOOK_NS }, { 0, LOOK_NS } };
	struct epoll_event ev = { .events = EPOLLIN };
	int ring_fd;

	ll->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ll->epoll_fd < 0)
		return ms_live_err(-errno, "waiting for events");
	/* Counting: nothing is delivered. */
	if (ll->l.listen.count_by)
		return NULL;
	ll->rb = ring_buffer__new(bpf_map__fd(ll->skel->maps.ring), take, ll, NULL);
	if (!ll->rb)
		return ms_live_err(-errno, "mapping the event buffer");
	ring_fd = ring_buffer__epoll_fd(ll->rb);
	ll->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (ll->timer_fd < 0 || timerfd_settime(ll->timer_fd, 0, &every, NULL) ||
	    epoll_ctl(ll->epoll_fd, EPOLL_CTL_ADD, ring_fd, &ev) ||
	    epoll_ctl(ll->epoll_fd, EPOLL_CTL_ADD, ll->timer_fd, &ev))
		return ms_live_err(-errno, "waiting for events");
	return NULL;
}

static int live_fd(const struct ms_listener *l)
{
	return to_live(l)->epoll_fd;
}

/* Hands out what is in order. Returns how many were, and whether put() wants no more. */
static size_t hand_out(struct live_listener *ll, bool (*put)(void *ctx, const struct ms_event *event),
		       void *ctx, bool *enough_ret)
{
	const struct ms_event *ev;
	u64 now = ms_kmem_now_ns();
	size_t nr = 0;

	while (!*enough_ret && (ev = ms_event_queue_next(&ll->queue, ll->skel->bss->lost_buffer, now))) {
		ll->delivered++;
		nr++;
		*enough_ret = !put(ctx, ev);
	}
	return nr;
}

static struct ms_err *live_next(struct ms_listener *l, int timeout_ms,
				bool (*put)(void *ctx, const struct ms_event *event), void *ctx)
{
	struct live_listener *ll = to_live(l);
	u64 end = ms_kmem_now_ns() + (u64)(timeout_ms > 0 ? timeout_ms : 0) * 1000000, now, ticks;
	bool enough = false;
	struct pollfd p = { .fd = ll->epoll_fd, .events = POLLIN };
	size_t nr = 0;
	int ret;

	for (;;) {
		if (ll->timer_fd >= 0)
			(void)!read(ll->timer_fd, &ticks, sizeof(ticks));
		/* One round of at most QUEUE_MAX: who fills the buffer faster than it is read keeps nobody here. */
		ret = ll->rb ? ring_buffer__consume(ll->rb) : 0;
		if (ret < 0 && ret != -ENOBUFS)
			return ms_live_err(ret, "reading events");
		if (ll->queue.oom)
			return ms_err_nomem();
		ms_event_queue_sort(&ll->queue);
		nr += hand_out(ll, put, ctx, &enough);
		now = ms_kmem_now_ns();
		if (nr || enough || (timeout_ms >= 0 && now >= end))
			return NULL;
		ret = poll(&p, 1, timeout_ms < 0 ? -1 : (int)((end - now + 999999) / 1000000));
		if (ret < 0)
			return errno == EINTR ? NULL : ms_live_err(-errno, "waiting for events");
	}
}

/* --- figures --- */

/* As the kernel has it since 6.7 (3acf8ace68230e9558cf916847f1cc9f208abdf1): a kprobe's missed hits. */
struct link_info_kprobe {
	u32 type, id, prog_id, pad;
	u32 perf_type, pad2;
	u64 func_name;
	u32 name_len, offset;
	u64 addr, missed;
	u64 rest[8];
};

/* False: this kernel does not tell. */
static bool kprobe_missed(const struct bpf_link *link, u64 *ret)
{
	struct link_info_kprobe info = { 0 };
	u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len) ||
	    len < offsetof(struct link_info_kprobe, missed) + sizeof(info.missed))
		return false;
	*ret = info.missed;
	return true;
}

static void kprobe_stats(const struct bpf_link *link, struct ms_probe *shown, struct ms_listen_stats *stats)
{
	u64 missed = 0;

	shown->misses_unknown = !kprobe_missed(link, &missed);
	stats->lost_probe_unknown |= shown->misses_unknown;
	stats->lost_probe += missed;
	shown->misses += missed;
}

/* How often each event passed, by id; 0 of none. */
static struct ms_err *by_event_read(struct live_listener *ll, u64 *ret)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	u64 *per_cpu = calloc((size_t)(cpus > 0 ? cpus : 1), sizeof(*per_cpu));
	u32 id;

	if (!per_cpu || cpus < 1) {
		free(per_cpu);
		return ms_err_nomem();
	}
	ret[0] = 0;
	for (id = 1; id < MS_EV_NR; id++) {
		ret[id] = 0;
		if (bpf_map_lookup_elem(bpf_map__fd(ll->skel->maps.by_event), &id, per_cpu))
			continue;
		for (cpu = 0; cpu < cpus; cpu++)
			ret[id] += per_cpu[cpu];
	}
	free(per_cpu);
	return NULL;
}

static struct ms_err *live_stats(struct ms_listener *l, struct ms_listen_stats *ret)
{
	struct live_listener *ll = to_live(l);
	struct ms_listen_stats stats = { 0 };
	struct ms_err *err = by_event_read(ll, stats.by_event);
	size_t i;
	int k;

	if (err)
		return err;
	stats.delivered = ll->delivered;
	stats.lost_buffer = ll->skel->bss->lost_buffer;
	stats.lost_count = ll->skel->bss->lost_count;
	stats.lost_thread = ll->skel->bss->lost_thread;
	stats.lost_free = ll->skel->bss->lost_free;
	stats.lost_owner = ll->skel->bss->lost_owner;
	stats.lost_stack = ll->skel->bss->lost_stack;
	stats.unknown_vm = ll->skel->bss->unknown_vm;
	for (i = 0; i < ms_nr_probe_descs; i++) {
		ll->shown[i].misses = 0;
		for (k = 0; k < 2 && ll->probes[i].link[k]; k++) {
			struct bpf_prog_info info = { 0 };
			u32 len = sizeof(info);

			if (bpf_obj_get_info_by_fd(bpf_program__fd(ll->probes[i].prog[k]), &info, &len))
				continue;
			stats.runs += info.run_cnt;
			stats.run_ns += info.run_time_ns;
			stats.lost_recursion += info.recursion_misses;
			ll->shown[i].misses += info.recursion_misses;
			if (ms_probe_descs[i].is_kprobe)
				kprobe_stats(ll->probes[i].link[k], &ll->shown[i], &stats);
		}
	}
	*ret = stats;
	return NULL;
}

/* The rows of a count by names alone: these are counted anyway. */
static struct ms_err *name_counts(struct live_listener *ll, struct ms_event_count **ret, size_t *nr_ret)
{
	struct ms_event_count *rows = calloc(MS_EV_NR, sizeof(*rows));
	u64 by_event[MS_EV_NR];
	struct ms_err *err;
	size_t nr = 0;
	u16 id;

	if (!rows)
		return ms_err_nomem();
	err = by_event_read(ll, by_event);
	if (err) {
		free(rows);
		return err;
	}
	for (id = 1; id < MS_EV_NR; id++)
		if (by_event[id])
			rows[nr++] = (struct ms_event_count){ .id = id, .nr = by_event[id] };
	*ret = rows;
	*nr_ret = nr;
	return NULL;
}

static struct ms_err *live_counts(struct ms_listener *l, struct ms_event_count **ret, size_t *nr_ret)
{
	struct live_listener *ll = to_live(l);
	int fd = bpf_map__fd(ll->skel->maps.counts), cpus = libbpf_num_possible_cpus(), cpu;
	struct ms_count_key key, *last = NULL, at;
	struct ms_event_count *rows = NULL, *grown;
	size_t nr = 0, cap = 0;
	u64 *per_cpu;

	if (ll->skel->rodata->count_names)
		return name_counts(ll, ret, nr_ret);
	per_cpu = calloc((size_t)(cpus > 0 ? cpus : 1), sizeof(*per_cpu));
	if (!per_cpu || cpus < 1)
		goto nomem;
	while (l->listen.count_by && !bpf_map_get_next_key(fd, last, &key)) {
		at = key;
		last = &at;
		if (bpf_map_lookup_elem(fd, &key, per_cpu))
			continue;
		grown = ms_grow(rows, &cap, nr + 1, sizeof(*rows));
		if (!grown)
			goto nomem;
		rows = grown;
		rows[nr] = (struct ms_event_count){
			.kvm = key.kvm,
			.gfn = key.gfn,
			.id = key.id,
			.vcpu = key.vcpu,
			.guest = key.guest,
			.cause = key.cause,
			.level = key.level,
			.ret = key.ret,
		};
		for (cpu = 0; cpu < cpus; cpu++)
			rows[nr].nr += per_cpu[cpu];
		nr++;
	}
	free(per_cpu);
	if (!rows)
		rows = calloc(1, sizeof(*rows));
	if (!rows)
		return ms_err_nomem();
	*ret = rows;
	*nr_ret = nr;
	return NULL;
nomem:
	free(per_cpu);
	free(rows);
	return ms_err_nomem();
}

static size_t live_probes(const struct ms_listener *l, const struct ms_probe **ret)
{
	*ret = to_live(l)->shown;
	return ms_nr_probe_descs;
}

static size_t live_stack(struct ms_listener *l, s32 stack, u64 *ips, size_t max)
{
	struct live_listener *ll = to_live(l);
	u64 all[MS_STACK_DEPTH] = { 0 };
	u32 id = (u32)stack;
	size_t nr;

	if (stack < 0 || bpf_map_lookup_elem(bpf_map__fd(ll->skel->maps.stacks), &id, all))
		return 0;
	for (nr = 0; nr < MS_STACK_DEPTH && nr < max && all[nr]; nr++)
		ips[nr] = all[nr];
	return nr;
}

static void live_unlisten(struct ms_listener *l)
{
	struct live_listener *ll;

	if (!l)
		return;
	ll = to_live(l);
	if (ll->skel)
		ll->skel->bss->on = false;
	/* Before others can hold it, too: the kernel times its programs as long as anybody does. */
	if (ll->stats_fd >= 0)
		close(ll->stats_fd);
	ms_live_detach(ll);
	ring_buffer__free(ll->rb);
	if (ll->epoll_fd >= 0)
		close(ll->epoll_fd);
	if (ll->timer_fd >= 0)
		close(ll->timer_fd);
	ms_event_queue_deinit(&ll->queue);
	free(ll->probes);
	free(ll->shown);
	free(ll);
}

static void live_hold(struct ms_listener *l)
{
	to_live(l)->skel->bss->on = false;
}

static bool live_waiting(const struct ms_listener *l)
{
	const struct live_listener *ll = to_live(l);

	return ll->queue.head < ll->queue.nr;
}

static const struct ms_listen_ops live_listen_ops = {
	.fd = live_fd,
	.next = live_next,
	.stats = live_stats,
	.counts = live_counts,
	.probes = live_probes,
	.stack = live_stack,
	.hold = live_hold,
	.waiting = live_waiting,
	.unlisten = live_unlisten,
};

struct ms_err *ms_live_listen(struct ms_target *target, const struct ms_listen *listen,
			      struct ms_listener **ret)
{
	struct live_listener *ll;
	struct ms_err *err;
	u32 bytes = listen->buffer_bytes ? listen->buffer_bytes : DEFAULT_BUFFER_BYTES;

	if (bytes < MS_LISTEN_MIN_BUFFER || bytes > MAX_BUFFER_BYTES || bytes & (bytes - 1))
		return ms_err_new(MS_ERR_USAGE, "an event buffer of %u bytes: a power of two from %u to %u",
				  bytes, MS_LISTEN_MIN_BUFFER, MAX_BUFFER_BYTES);
	ll = calloc(1, sizeof(*ll));
	if (!ll)
		return ms_err_nomem();
	ll->l.listen = *listen;
	ll->l.listen.buffer_bytes = bytes;
	ll->l.ops = &live_listen_ops;
	ll->kmem = ms_live_kmem(target);
	ll->epoll_fd = ll->timer_fd = ll->stats_fd = -1;
	ll->probes = calloc(ms_nr_probe_descs, sizeof(*ll->probes));
	ll->shown = calloc(ms_nr_probe_descs, sizeof(*ll->shown));
	err = ll->probes && ll->shown ? NULL : ms_err_nomem();
	if (!err)
		err = ms_live_load(ll);
	if (!err)
		err = open_ring(ll);
	if (err) {
		live_unlisten(&ll->l);
		return err;
	}
	ll->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	err = ms_live_attach(ll);
	if (err) {
		live_unlisten(&ll->l);
		return err;
	}
	ll->skel->bss->on = true;
	*ret = &ll->l;
	return NULL;
}
