/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A listener made up, on the smallest host, for tests of commands that listen: what happens is a list of events. */
#ifndef TESTS_UNIT_MADE_H
#define TESTS_UNIT_MADE_H

#include <poll.h>
#include <unistd.h>

#include "ask.h"

#define MS 1000000ull

struct made {
	struct ms_listener l; /* first */
	const struct ms_event *events;
	size_t nr, at;
	size_t per_call; /* what comes at once; 0: all */
	size_t keeps; /* the last so many are kept back, */
	u32 late; /* until next() was called so often */
	u64 now_ns, step_ns; /* of each call */
	struct ms_listen_stats stats, before;
	size_t lost_at; /* once so many have come, one more is lost; 0: none */
	u32 asked; /* how often for stats */
	const struct ms_probe *probes;
	size_t nr_probes;
	u32 nr_ips;
	bool fails;
	bool open;
	bool numbered; /* as a live one is: events have numbers one after the other */
	u32 holds; /* nothing happens any more */
	u32 listens;
	u32 attach_ms; /* so long it takes */
};

static struct made made;
static struct ms_target_ops ops;

static inline int made_fd(const struct ms_listener *l)
{
	return made.numbered ? STDIN_FILENO : -1;
}

static inline struct ms_err *made_next(struct ms_listener *l, int timeout_ms,
				       bool (*put)(void *ctx, const struct ms_event *event), void *ctx)
{
	size_t nr = made.late ? made.nr - made.keeps : made.nr;
	size_t end = made.per_call ? made.at + made.per_call : nr;

	assert_in_range(timeout_ms, 0, made.holds ? 0 : 100);
	if (made.fails)
		return ms_err_new(MS_ERR_TARGET, "made: it broke");
	if (!made.holds)
		made.now_ns += made.step_ns;
	made.late -= made.late > 0;
	while (made.at < end && made.at < nr)
		if (!put(ctx, &made.events[made.at++]))
			break;
	return NULL;
}

static inline struct ms_err *made_stats(struct ms_listener *l, struct ms_listen_stats *ret)
{
	*ret = made.asked++ ? made.stats : made.before;
	ret->lost_buffer += made.lost_at && made.at >= made.lost_at;
	return NULL;
}

static inline struct ms_err *made_counts(struct ms_listener *l, struct ms_event_count **ret, size_t *nr_ret)
{
	static const struct ms_event_count counts[] = {
		{ .id = MS_EV_dirty,
		  .vcpu = 1,
		  .gfn = 0x20,
		  .cause = MS_CAUSE_PML,
		  .ret = MS_RET_NR,
		  .nr = 3 },
		{ .id = MS_EV_fault_done,
		  .vcpu = MS_EV_NO_VCPU,
		  .gfn = ~0ull,
		  .guest = MS_EV_L2,
		  .ret = MS_RET_FIXED,
		  .nr = 9 },
		{ .id = MS_EV_spte_set,
		  .kvm = SMALL_KVM,
		  .gfn = 0x10,
		  .level = 2,
		  .ret = MS_RET_NR,
		  .nr = 3 },
		{ .id = MS_EV_fault, .vcpu = 0, .gfn = ~0ull, .ret = MS_RET_NR, .nr = 1 },
	};

	*ret = malloc(sizeof(counts));
	memcpy(*ret, counts, sizeof(counts));
	*nr_ret = sizeof(counts) / sizeof(counts[0]);
	return NULL;
}

static inline size_t made_probes(const struct ms_listener *l, const struct ms_probe **ret)
{
	*ret = made.probes;
	return made.nr_probes;
}

static inline size_t made_stack(struct ms_listener *l, s32 stack, u64 *ips, size_t max)
{
	u32 i;

	for (i = 0; i < made.nr_ips && i < max; i++)
		ips[i] = 0x1000u * (i + 1) + (u32)stack;
	return i;
}

static inline u64 made_now(const struct ms_listener *l)
{
	return made.now_ns;
}

static inline void made_hold(struct ms_listener *l)
{
	made.holds++;
}

static inline bool made_waiting(const struct ms_listener *l)
{
	return made.keeps && made.at < made.nr;
}

static inline void made_unlisten(struct ms_listener *l)
{
	made.open = false;
}

static const struct ms_listen_ops listen_ops = {
	.fd = made_fd,
	.next = made_next,
	.stats = made_stats,
	.counts = made_counts,
	.probes = made_probes,
	.stack = made_stack,
	.now = made_now,
	.hold = made_hold,
	.waiting = made_waiting,
	.unlisten = made_unlisten,
};

static inline struct ms_err *made_listen(struct ms_target *target, const struct ms_listen *listen,
					 struct ms_listener **ret)
{
	assert_false(made.open);
	made.open = true;
	made.listens++;
	made.l.ops = &listen_ops;
	/* As often as probes are attached. */
	while (made.attach_ms && listen->progress && listen->progress(listen->progress_ctx, 7)) {
		poll(NULL, 0, 20);
		made.attach_ms -= made.attach_ms > 20 ? 20 : made.attach_ms;
	}
	*ret = &made.l;
	return NULL;
}

/* --- what happens --- */

#define EV(ns, of, name, ...)                                                                            \
	{                                                                                                \
		.seq = 7, .time_ns = 5000 * MS + (ns), .kvm = SMALL_KVM, .vcpu = of, .id = MS_EV_##name, \
		.stack = MS_EV_NO_STACK, .u.name = {                                                     \
			__VA_ARGS__                                                                      \
		}                                                                                        \
	}

static const struct ms_event events[] = {
	EV(10, 0, fault, .addr = 0x1000, .error = 2),
	EV(1510, 0, dirty, .gfn = 1),
	EV(2000510, 0, fault_done, .addr = 0x1000, .gfn = 1, .ret = MS_RET_FIXED),
	EV(3000010, 1, dirty, .gfn = 2),
	EV(1200 * MS, 1, flush_vcpu, .what = MS_FLUSH_ALL),
};
#define NR_EVENTS (sizeof(events) / sizeof(events[0]))

static inline void begin_on(struct run *run, bool vms)
{
	struct ms_rec_host host;

	setup(run);
	if (!vms) {
		teardown(run);
		small_init(&run->fake);
		small_host(&host);
		small_add(&run->fake, MS_REC_HOST, &host, NULL);
		run->session = (struct ms_session){ .target = small_open(&run->fake) };
	}
	made = (struct made){ .events = events, .nr = NR_EVENTS, .now_ns = 5000 * MS, .step_ns = 400 * MS };
	ops = *run->session.target->ops;
	ops.listen = made_listen;
	run->session.target->ops = &ops;
	run->session.target->caps |= MS_CAP_LISTEN | MS_CAP_LIVE;
}

static inline void begin(struct run *run)
{
	begin_on(run, true);
}

static inline void line(struct run *run, const char *words)
{
	struct ms_err *err;
	bool wanted = false;

	drop(run);
	err = ms_args_parse_line(words, NULL, &run->args);
	if (err)
		fail_msg("%s: %s", words, ms_err_text(err));
	assert_null(ms_stream_wanted(&run->session, &run->args, &wanted));
	if (!wanted)
		fail_msg("%s: does not listen", words);
}

static inline void next(struct run *run, struct ms_stream *stream)
{
	ms_result_destroy(run->result);
	run->result = NULL;
	assert_null(ms_stream_round(&run->session, &run->args, stream, &run->result));
}

static inline void summary(struct run *run, struct ms_stream *stream)
{
	ms_result_destroy(run->result);
	run->result = NULL;
	assert_null(ms_stream_summary(&run->session, &run->args, stream, &run->result));
}

static inline void end(struct run *run, struct ms_stream *stream)
{
	ms_result_destroy(run->result);
	run->result = NULL;
	ms_stream_deinit(&run->session, stream);
	assert_false(made.open);
	teardown(run);
}

#endif
