/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening for commands: for so long, until somebody says enough, with what it cost and what was lost said
 * afterwards. A session keeps its listener from one round to the next that asks for the same.
 */
#include "query/private.h"

#include <stdio.h>
#include <string.h>

#include "target/kmem.h"

#define SLICE_MS 100 /* between two looks at whether to go on */
#define TICK_MS 20 /* and between two ticks */

void query_unlisten(struct ms_session *session)
{
	ms_unlisten(session->listener);
	session->listener = NULL;
}

#define TELL_AFTER_NS 500000000ull

struct attaching {
	struct ms_session *session;
	u64 start_ns;
	u32 nr; /* probes; 0: the target attaches none */
	bool told;
};

static bool attaching(void *ctx, u32 nr)
{
	struct attaching *at = ctx;
	struct ms_session *session = at->session;
	char line[128];

	at->nr = nr;
	if (!at->told && session->tell && ms_kmem_now_ns() - at->start_ns > TELL_AFTER_NS) {
		at->told = true;
		/* The kernel deals with one at a time, also with those that it still takes away. */
		snprintf(line, sizeof(line),
			 "attaching %u probes, behind those that an earlier listening may have left...", nr);
		session->tell(line);
	}
	return !session->progress || session->progress(session->progress_ctx, 0);
}

/* What is done from now on is heard: who waits to do it reads this. */
static void attached(const struct attaching *at)
{
	char line[64];

	if (!at->nr || !at->session->tell)
		return;
	snprintf(line, sizeof(line), "listening by %u probes", at->nr);
	at->session->tell(line);
}

struct ms_err *query_listener(struct query *q, const struct ms_listen *listen, struct ms_listener **ret)
{
	struct ms_session *session = q->session;
	struct ms_err *err;

	if (session->listener && !ms_listen_same(&session->listener->listen, listen))
		query_unlisten(session);
	if (!session->listener) {
		struct attaching at = { .session = session, .start_ns = ms_kmem_now_ns() };
		struct ms_listen want = *listen;

		want.progress = attaching;
		want.progress_ctx = &at;
		err = ms_target_listen(session->target, &want, &session->listener);
		if (err) {
			session->listener = NULL;
			return err;
		}
		attached(&at);
		session->heard = (struct ms_listen_stats){ 0 };
	}
	*ret = session->listener;
	return NULL;
}

void query_listen_filter(const struct query *q, struct ms_listen *ret)
{
	const struct ms_args *args = q->args;

	ret->kvm = q->vm ? q->vm->rec.kvm : 0;
	ret->has_gfn = args->filter.has_gfn;
	ret->gfn_start = args->filter.gfn_start;
	ret->gfn_end = args->filter.gfn_end;
	ret->has_vcpu = args->has_vcpu;
	ret->vcpu = (u16)args->vcpu;
}

void listen_stats_since(const struct ms_listen_stats *before, struct ms_listen_stats *stats)
{
	size_t i;

	for (i = 0; i < MS_EV_NR; i++)
		stats->by_event[i] -= before->by_event[i];
	stats->delivered -= before->delivered;
	stats->lost_buffer -= before->lost_buffer;
	stats->lost_count -= before->lost_count;
	stats->lost_recursion -= before->lost_recursion;
	stats->lost_probe -= before->lost_probe;
	stats->lost_thread -= before->lost_thread;
	stats->lost_free -= before->lost_free;
	stats->lost_owner -= before->lost_owner;
	stats->lost_stack -= before->lost_stack;
	stats->unknown_vm -= before->unknown_vm;
	stats->runs -= before->runs;
	stats->run_ns -= before->run_ns;
}

/* Since the round before, if there was one: what came between the two is this one's. */
static struct ms_err *stats_take(struct ms_session *session, struct ms_listen_stats *ret)
{
	const struct ms_listen_stats before = session->heard;
	struct ms_err *err = ms_listen_stats(session->listener, ret);

	if (err)
		return err;
	session->heard = *ret;
	listen_stats_since(&before, ret);
	return NULL;
}

struct ms_err *query_lost_more(struct ms_listener *l, u64 *lost, bool *ret)
{
	struct ms_listen_stats stats;
	struct ms_err *err = ms_listen_stats(l, &stats);
	u64 now;

	if (err)
		return err;
	now = ms_listen_lost(&stats);
	*ret = now != *lost;
	*lost = now;
	return NULL;
}

bool query_lost_before(bool numbered, u64 *seq, const struct ms_event *event)
{
	bool ret = numbered && *seq && event->seq > *seq + 1;

	if (event->seq > *seq)
		*seq = event->seq;
	return ret;
}

int listen_wait_ms(u64 now_ns, u64 end_ns, u32 slice_ms)
{
	u64 left_ns = end_ns > now_ns ? end_ns - now_ns : 0;

	if (!end_ns || left_ns > slice_ms * NS_PER_MS)
		return (int)slice_ms;
	return (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
}

struct relay {
	bool (*put)(void *ctx, const struct ms_event *event);
	void *ctx;
	bool enough;
};

static bool relay_put(void *ctx, const struct ms_event *event)
{
	struct relay *relay = ctx;

	relay->enough = relay->put && !relay->put(relay->ctx, event);
	return !relay->enough;
}

struct ms_err *query_listen(struct query *q, const struct ms_listen *listen, u32 for_ms,
			    bool (*put)(void *ctx, const struct ms_event *event), void *ctx,
			    struct listened *ret)
{
	return query_listen_ticks(q, listen, for_ms, put, NULL, ctx, ret);
}

/* A simulated machine moves on by as much as is waited: no more than one step between two ticks. */
static u32 slice_ms(const struct ms_listener *l, bool ticks)
{
	return !ticks ? SLICE_MS : ms_listen_fd(l) < 0 ? 1 : TICK_MS;
}

struct ms_err *query_listen_ticks(struct query *q, const struct ms_listen *listen, u32 for_ms,
				  bool (*put)(void *ctx, const struct ms_event *event),
				  struct ms_err *(*tick)(void *ctx, struct ms_listener *l), void *ctx,
				  struct listened *ret)
{
	struct ms_session *session = q->session;
	struct relay relay = { .put = put, .ctx = ctx };
	struct ms_listener *l;
	struct ms_err *err;
	u64 until_ns;
	u32 slice;

	*ret = (struct listened){ 0 };
	err = query_listener(q, listen, &l);
	if (err)
		return err;
	slice = slice_ms(l, tick);
	ret->start_ns = ret->end_ns = ms_listen_now(l);
	until_ns = for_ms ? ret->start_ns + for_ms * NS_PER_MS : 0;
	if (tick)
		err = tick(ctx, l);
	while (!err && !relay.enough && !ret->stopped) {
		err = ms_listen_next(l, listen_wait_ms(ret->end_ns, until_ns, slice), relay_put, &relay);
		if (!err && tick)
			err = tick(ctx, l);
		ret->end_ns = ms_listen_now(l);
		if (until_ns && ret->end_ns >= until_ns)
			break;
		ret->stopped = session->progress && !session->progress(session->progress_ctx, 0);
	}
	if (!err && !relay.enough)
		err = ms_listen_rest(l, relay_put, &relay);
	if (!err && tick)
		err = tick(ctx, l);
	return err ? err : stats_take(session, &ret->stats);
}

/* --- what is said of it --- */

/* raised: its title; delivered: the flags of that column. */
#define LISTENED_COLS(raised, delivered)                                              \
	{ "ms", "listened for, ms", MS_V_COUNT }, { "raised", raised, MS_V_COUNT },   \
		{ "delivered", "of these seen", MS_V_COUNT, .flags = delivered },     \
		{ "lost_buffer", "lost, buffer full", MS_V_COUNT },                   \
		{ "lost_count", "lost, too many keys", MS_V_COUNT },                  \
		{ "lost_recursion", "not looked at, probe was at work", MS_V_COUNT }, \
		{ "lost_probe", "missed by the kernel", MS_V_COUNT },                 \
		{ "lost_thread", "of threads without a record", MS_V_COUNT },         \
		{ "lost_free", "lost, too many freed at once", MS_V_COUNT },          \
		{ "lost_owner", "lost, VM of freed pages", MS_V_COUNT },              \
		{ "lost_stack", "without the stack", MS_V_COUNT },                    \
		{ "unknown_vm", "left out, VM not known", MS_V_COUNT },               \
		{ "probe_runs", "runs of the probes", MS_V_COUNT },                   \
	{                                                                             \
		"probe_ns", "their time, ns", MS_V_COUNT                              \
	}

static const struct ms_column listened_cols[] = { LISTENED_COLS("events", 0) };
static const struct ms_column counted_cols[] = { LISTENED_COLS("events, counted where they happened",
							       MS_COL_SKIP) };

static void lost_cell(struct ms_cell **at, u64 nr)
{
	cell_count(at, nr)->style = nr ? MS_STYLE_WARN : MS_STYLE_PLAIN;
}

static void listened_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct listened *listened = section->ctx;
	const struct ms_listen_stats *stats = &listened->stats;

	(void)row;
	cell_count(&cells, (listened->end_ns - listened->start_ns) / NS_PER_MS);
	cell_count(&cells, listened_raised(listened));
	cell_count(&cells, stats->delivered);
	lost_cell(&cells, stats->lost_buffer);
	lost_cell(&cells, stats->lost_count);
	lost_cell(&cells, stats->lost_recursion);
	if (stats->lost_probe_unknown && !stats->lost_probe)
		cell_opt(&cells, false, MS_V_COUNT, 0);
	else
		lost_cell(&cells, stats->lost_probe);
	lost_cell(&cells, stats->lost_thread);
	lost_cell(&cells, stats->lost_free);
	lost_cell(&cells, stats->lost_owner);
	lost_cell(&cells, stats->lost_stack);
	lost_cell(&cells, stats->unknown_vm);
	cell_opt(&cells, stats->runs, MS_V_COUNT, stats->runs);
	cell_opt(&cells, stats->runs, MS_V_COUNT, stats->run_ns);
}

u64 listened_raised(const struct listened *listened)
{
	u64 ret = 0;
	size_t i;

	for (i = 0; i < MS_EV_NR; i++)
		ret += listened->stats.by_event[i];
	return ret;
}

u64 listened_lost(const struct listened *listened)
{
	return ms_listen_lost(&listened->stats);
}

struct ms_err *listened_add(struct query *q, const struct listened *listened)
{
	const struct ms_listen_stats *stats = &listened->stats;
	struct ms_section *section;
	u64 lost = listened_lost(listened);
	struct ms_err *err;

	section = section_add(q, "listened", "Listened", false,
			      listened->counted ? counted_cols : listened_cols, MS_LEN(listened_cols), 1,
			      listened_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = listened;
	if (stats->lost_stack) {
		err = note_add(q->result, "%llu stacks could not be kept: their events have none",
			       (unsigned long long)stats->lost_stack);
		if (err)
			return err;
	}
	if (stats->unknown_vm) {
		err = note_add(q->result,
			       "%llu events were left out: nothing tells whether they are this VM's",
			       (unsigned long long)stats->unknown_vm);
		if (err)
			return err;
	}
	if (!lost)
		return NULL;
	q->result->status = 1;
	return note_add(q->result, "%llu events were lost: what is said about the others is not the whole",
			(unsigned long long)lost);
}
