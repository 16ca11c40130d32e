/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events that are listened to as they happen: round by round what has come, then what was raised, seen and lost and
 * what it cost. With --by nothing is delivered but counts, which are made where the events happen. Each round is a
 * query of its own; what they share is here, the model is read once.
 */
#include "query/events.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "query/private.h"
#include "query/stack.h"
#include "target/kmem.h"

#define SLICE_MS 100 /* one round waits so long at most, that a signal and a reader's end are noticed */
#define BATCH 4096 /* events of one round */

struct ms_stream_state {
	struct ms_listener *l;
	struct ms_listen_stats before;
	struct listened listened;
	u64 until_ns, next_ns; /* on the clock of the events; 0: no end */
	u64 begun_ns; /* on ours */
	u64 count; /* --count, 0: no end */
	u64 late; /* events that were handed out, and are behind the end */
	struct ms_event *events;
	size_t nr, cap;
	bool no_memory, summary;
	bool full; /* as many as --count asked for */
	bool held; /* nothing is an event any more; what was one until then is still handed out */
	u64 *seen; /* of the stream */
	struct ms_event_count *counts;
	size_t nr_counts;
	struct ms_column count_cols[10];
	size_t nr_count_cols;
	u16 by_event[MS_EV_NR]; /* those that were raised, most first */
	struct ms_event_table table;
	struct ms_event_show show;
	struct stacks *stacks; /* NULL: not asked for */
	struct ms_redactor *redactor;
};

struct ms_redactor **stream_redactor(struct ms_stream *stream)
{
	return &stream->state->redactor;
}

struct ms_listen events_wanted(const struct query *q)
{
	struct ms_listen ret = { .events = q->args->events ? q->args->events : ~0ull };

	query_listen_filter(q, &ret);
	return ret;
}

struct ms_err *ms_stream_wanted(struct ms_session *session, const struct ms_args *args, bool *ret)
{
	bool asked = args->follow || args->for_ms || args->count || args->by || args->stack || args->trace;
	struct ms_err *err;

	*ret = wp_is_on(args) && (!session->keeps || args->follow || args->for_ms || args->count);
	if (args->command != &ms_commands[MS_CMD_ID_events] || args->list)
		return NULL;
	err = ms_session_open(session, args);
	if (err)
		return err;
	*ret = asked || (!args->probes && session->target->caps & MS_CAP_LISTEN &&
			 !(session->target->caps & MS_CAP_EVENTS));
	return NULL;
}

/* --- keys of counts --- */

static const struct key {
	const char *name;
	u32 bit;
	struct ms_column col;
} keys[] = {
	{ "event", MS_BY_EVENT, { "event", "EVENT", MS_V_TEXT } },
	{ "vm", MS_BY_KVM, { "kvm", "VM", MS_V_HEX, MS_SECRET_KVM } },
	{ "vcpu", MS_BY_VCPU, { "vcpu_id", "VCPU", MS_V_INT } },
	{ "guest", MS_BY_GUEST, { "guest", "OF", MS_V_TEXT } },
	{ "cause", MS_BY_CAUSE, { "cause", "CAUSE", MS_V_TEXT } },
	{ "gfn", MS_BY_GFN, { "gfn", "L1 GFN", MS_V_HEX } },
	{ "level", MS_BY_LEVEL, { "level", "LEVEL", MS_V_COUNT } },
	{ "ret", MS_BY_RET, { "ret", "OUTCOME", MS_V_TEXT } },
};

u32 event_key_find(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < MS_LEN(keys); i++)
		if (strlen(keys[i].name) == len && !memcmp(keys[i].name, word, len))
			return keys[i].bit;
	return 0;
}

static void count_columns(struct ms_stream_state *s, u32 by)
{
	static const struct ms_column count = { "count", "COUNT", MS_V_COUNT };
	size_t i;

	s->count_cols[s->nr_count_cols++] = count;
	for (i = 0; i < MS_LEN(keys); i++)
		if (by & keys[i].bit)
			s->count_cols[s->nr_count_cols++] = keys[i].col;
}

static void count_cell(struct ms_cell **at, u32 bit, const struct ms_event_count *count)
{
	switch (bit) {
	case MS_BY_EVENT:
		cell_text(at, ms_event_name(count->id));
		return;
	case MS_BY_KVM:
		cell_opt(at, count->kvm, MS_V_HEX, count->kvm);
		return;
	case MS_BY_VCPU:
		cell_opt(at, count->vcpu != MS_EV_NO_VCPU, MS_V_INT, count->vcpu);
		return;
	case MS_BY_GUEST:
		cell_text(at, ms_guest_name(count->guest));
		return;
	case MS_BY_CAUSE:
		cell_text(at, count->cause ? ms_value_name(MS_UNIT_CAUSE, count->cause) : NULL);
		return;
	case MS_BY_GFN:
		cell_opt(at, count->gfn != ~0ull, MS_V_HEX, count->gfn);
		return;
	case MS_BY_LEVEL:
		cell_opt(at, count->level, MS_V_COUNT, count->level);
		return;
	default:
		cell_text(at, ms_value_name(MS_UNIT_RET, count->ret));
		return;
	}
}

static void count_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_stream_state *s = section->ctx;
	u32 by = s->l->listen.count_by;
	size_t i;

	cell_count(&cells, s->counts[row].nr);
	for (i = 0; i < MS_LEN(keys); i++)
		if (by & keys[i].bit)
			count_cell(&cells, keys[i].bit, &s->counts[row]);
}

/* Most first; those of one number by their keys, so that two runs look alike. */
static int count_cmp(const void *a, const void *b)
{
	const struct ms_event_count *x = a, *y = b;
	const u64 xs[] = { y->nr, x->id, x->kvm, x->vcpu, x->guest, x->cause, x->gfn, x->level, x->ret };
	const u64 ys[] = { x->nr, y->id, y->kvm, y->vcpu, y->guest, y->cause, y->gfn, y->level, y->ret };
	size_t i;

	for (i = 0; i < MS_LEN(xs); i++)
		if (xs[i] != ys[i])
			return xs[i] < ys[i] ? -1 : 1;
	return 0;
}

static struct ms_err *counts_add(struct query *q, struct ms_stream_state *s)
{
	struct ms_section *section;
	size_t nr;
	struct ms_err *err;

	free(s->counts);
	s->counts = NULL;
	s->nr_counts = 0;
	err = ms_listen_counts(s->l, &s->counts, &s->nr_counts);
	if (err) {
		s->counts = NULL;
		return err;
	}
	qsort(s->counts, s->nr_counts, sizeof(*s->counts), count_cmp);
	nr = q->args->last && q->args->last < s->nr_counts ? q->args->last : s->nr_counts;
	section = section_add(q, "counts", q->args->watch ? "Counts since the beginning" : "Counts", true,
			      s->count_cols, s->nr_count_cols, nr, count_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = s;
	return rows_left_note(q, "counts", s->nr_counts - nr);
}

/* --- probes --- */

static const struct ms_column probe_cols[] = {
	{ "probe", "PROBE", MS_V_TEXT },
	{ "status", "STATUS", MS_V_TEXT },
	{ "explains", "CAUSE ONLY", MS_V_BOOL, .prio = 1 },
	{ "misses", "MISSED", MS_V_COUNT },
	{ "feeds", "FEEDS", MS_V_WORDS, .flags = MS_COL_TEXT_ONLY },
	{ "events", "FEEDS", MS_V_WORDS, .flags = MS_COL_SKIP },
	{ "lost", "WITHOUT IT", MS_V_TEXT, .flags = MS_COL_SKIP },
	{ "why", "WHY IT IS OFF", MS_V_TEXT, .flags = MS_COL_SKIP },
	{ "off", "", MS_V_TEXT, .flags = MS_COL_BELOW | MS_COL_TEXT_ONLY },
};

#define FEEDS_MAX 3 /* names of a probe's events in text; JSON has all */

struct probes {
	const struct ms_probe **probe;
	size_t nr;
};

static void probes_free(void *owned)
{
	struct probes *probes = owned;

	free(probes->probe);
	free(probes);
}

/* At most max of them, and how many there are beyond. */
static void feeds_cell(struct ms_cell **at, u64 events, u32 max)
{
	struct ms_cell *words = cell_words(at);
	char more[16];
	u32 id, nr = 0;

	for (id = 1; id < MS_EV_NR; id++)
		if (events >> id & 1 && nr++ < max)
			word_add(words, ms_event_name(id));
	if (nr <= max)
		return;
	snprintf(more, sizeof(more), "+%u", nr - max);
	word_add(words, more);
}

static void off_cell(struct ms_cell **at, const struct ms_probe *probe)
{
	struct ms_cell *cell;

	if (probe->status != MS_PROBE_OFF) {
		cell_none(at);
		return;
	}
	cell = cell_text(at, "");
	ms_buf_printf(&cell->text, "without it: %s; it is off: %s",
		      probe->lost && *probe->lost ? probe->lost : "nothing is missed",
		      probe->why && *probe->why ? probe->why : "the reason is not known");
}

static void probe_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	static const char *const status[] = { [MS_PROBE_ON] = "on",
					      [MS_PROBE_IDLE] = "idle",
					      [MS_PROBE_SPARE] = "spare",
					      [MS_PROBE_OFF] = "off" };
	static const enum ms_style style[] = { [MS_PROBE_ON] = MS_STYLE_GOOD,
					       [MS_PROBE_IDLE] = MS_STYLE_DIM,
					       [MS_PROBE_SPARE] = MS_STYLE_DIM,
					       [MS_PROBE_OFF] = MS_STYLE_WARN };
	const struct probes *probes = section->ctx;
	const struct ms_probe *probe = probes->probe[row];

	cell_text(&cells, probe->name);
	cell_text(&cells, status[probe->status])->style = style[probe->status];
	cell_bool(&cells, probe->explains);
	cell_opt(&cells, !probe->misses_unknown || probe->misses, MS_V_COUNT, probe->misses)->style =
		probe->misses ? MS_STYLE_WARN : MS_STYLE_PLAIN;
	feeds_cell(&cells, probe->events, FEEDS_MAX);
	feeds_cell(&cells, probe->events, MS_EV_NR);
	cell_text(&cells, probe->lost && *probe->lost ? probe->lost : NULL);
	cell_text(&cells, probe->why && *probe->why ? probe->why : NULL);
	off_cell(&cells, probe);
}

struct ms_err *probes_add(struct query *q, const struct ms_listener *l, bool all)
{
	const struct ms_probe *probe = NULL;
	size_t nr = ms_listen_probes(l, &probe), i;
	struct ms_section *section;
	struct probes *probes;

	if (!nr && all)
		return note_add(q->result, "target %s has events without probes: every one is seen",
				q->session->target->ops->name);
	probes = calloc(1, sizeof(*probes));
	if (!probes)
		return ms_err_nomem();
	probes->probe = calloc(nr ? nr : 1, sizeof(*probes->probe));
	/* Those that are off come first: what cannot be seen. */
	for (i = 0; probes->probe && i < nr; i++)
		if (probe[i].status == MS_PROBE_OFF && (all || probe[i].events & l->listen.events))
			probes->probe[probes->nr++] = &probe[i];
	for (i = 0; probes->probe && all && i < nr; i++)
		if (probe[i].status != MS_PROBE_OFF)
			probes->probe[probes->nr++] = &probe[i];
	if (probes->probe && !probes->nr) {
		probes_free(probes);
		return NULL;
	}
	section = probes->probe ? section_add(q, "probes", all ? "Probes" : "Probes that are not on", true,
					      probe_cols, MS_LEN(probe_cols), probes->nr, probe_row)
				: NULL;
	if (!section) {
		probes_free(probes);
		return ms_err_nomem();
	}
	section->ctx = section->owned = probes;
	section->owned_free = probes_free;
	return NULL;
}

/* --- a round --- */

/* Who sees nothing until the end is told that there is none by itself. */
static void say_endless(const struct query *q)
{
	const struct ms_args *args = q->args;
	char line[400];

	if (args->for_ms || args->follow || (args->count && !args->by) ||
	    !(args->trace || (args->by && !args->watch)) || !q->session->tell)
		return;
	snprintf(line, sizeof(line), "listening to %s until it is interrupted (^C); --for ends it by itself",
		 *q->session->target->spec ? q->session->target->spec : q->session->target->ops->name);
	q->session->tell(line);
}

static struct ms_err *begin(struct query *q, enum ms_stream_cells cells, struct ms_stream_state *s)
{
	const struct ms_args *args = q->args;
	struct ms_listen listen = events_wanted(q);
	struct ms_err *err;

	if (args->pretty)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "events: --pretty does not go with one object a line"),
			"--json has them");
	listen.stacks = args->stack;
	listen.count_by = args->by ? args->by | MS_BY_EVENT : 0;
	/* One that is left from a command before has heard what is not asked for. */
	query_unlisten(q->session);
	err = query_listener(q, &listen, &s->l);
	if (!err)
		err = ms_listen_stats(s->l, &s->before);
	if (err) {
		s->l = NULL;
		return err;
	}
	s->listened.start_ns = s->listened.end_ns = ms_listen_now(s->l);
	s->listened.counted = args->by;
	s->until_ns = args->for_ms ? s->listened.start_ns + args->for_ms * NS_PER_MS : 0;
	s->next_ns = s->listened.start_ns;
	s->begun_ns = ms_kmem_now_ns();
	s->count = args->by ? 0 : args->count; /* else it is about rounds */
	s->show = (struct ms_event_show){ .model = q->model,
					  .start_ns = s->listened.start_ns,
					  .redactor = q->result->redactor };
	/* Before the first event: reading symbols takes a while. */
	if (args->stack && q->session->target->ops != &ms_target_sim) {
		err = stacks_create(s->l, NULL, args->redact, &s->stacks);
		if (err)
			return err;
		s->show.stack = stacks_cell;
		s->show.stack_ctx = s->stacks;
	}
	ms_event_columns(!q->vm, &s->table);
	ms_event_columns_for(cells, &s->table);
	count_columns(s, listen.count_by);
	say_endless(q);
	return NULL;
}

static bool keep(struct ms_stream_state *s, const struct ms_event *event)
{
	struct ms_event *grown = ms_grow(s->events, &s->cap, s->nr + 1, sizeof(*grown));

	s->no_memory |= !grown;
	if (!grown)
		return false;
	/* The first may have come before we looked at the clock. */
	if (!*s->seen && event->time_ns < s->show.start_ns)
		s->show.start_ns = event->time_ns;
	s->events = grown;
	grown[s->nr++] = *event;
	++*s->seen;
	return true;
}

/* What was kept before anybody listened: the last ones, as without --follow. */
static struct ms_err *kept_before(struct query *q, struct ms_stream_state *s)
{
	size_t max = q->args->last ? q->args->last : MS_EVENTS_LAST, nr = 0, i;
	struct ms_listen listen = events_wanted(q);
	struct ms_event_log log;
	struct ms_err *err;

	if (!q->args->follow || q->args->trace || !q->vm || !(q->session->target->caps & MS_CAP_EVENTS))
		return NULL;
	err = ms_target_events(q->session->target, q->vm->rec.kvm, MS_EVENTS_MAX, &log);
	if (err)
		return err;
	for (i = 0; i < log.nr; i++)
		if (ms_listen_passes(&listen, &log.events[i]))
			log.events[nr++] = log.events[i];
	for (i = nr > max ? nr - max : 0; i < nr && !s->no_memory; i++)
		keep(s, &log.events[i]);
	free(log.events);
	if (s->nr)
		s->show.start_ns = s->events[0].time_ns;
	return NULL;
}

static bool put(void *ctx, const struct ms_event *event)
{
	struct ms_stream_state *s = ctx;

	/* It has come while the last ones were taken. */
	if (s->until_ns && event->time_ns > s->until_ns) {
		s->late++;
		return true;
	}
	if (!keep(s, event))
		return false;
	s->full = s->count && *s->seen >= s->count;
	return !s->full && s->nr < BATCH;
}

static bool enough(const struct query *q)
{
	const struct ms_session *session = q->session;

	return session->progress && !session->progress(session->progress_ctx, 0);
}

static bool reached(const struct ms_stream_state *s, u64 end_ns)
{
	return end_ns && s->listened.end_ns >= end_ns;
}

/*
 * A simulated machine's time passes as fast as it is asked for. Without an end to it, nobody could follow: there it
 * passes as fast as ours.
 */
static void keep_pace(const struct ms_stream_state *s)
{
	u64 theirs = s->listened.end_ns - s->listened.start_ns, ours = ms_kmem_now_ns() - s->begun_ns;

	if (ms_listen_fd(s->l) < 0 && !s->until_ns && !s->count && theirs > ours)
		poll(NULL, 0, listen_wait_ms(ours, theirs, SLICE_MS));
}

static struct ms_err *listen_once(struct query *q, struct ms_stream_state *s, u64 end_ns)
{
	struct ms_err *err = NULL;

	if (!s->held) {
		err = ms_listen_next(s->l, listen_wait_ms(s->listened.end_ns, end_ns, SLICE_MS), put, s);
		s->listened.end_ns = ms_listen_now(s->l);
		if (!err && !s->full && !s->no_memory)
			keep_pace(s);
		/* Writing what was heard may take longer than hearing it: what comes meanwhile is no part of it. */
		s->held = (!s->until_ns && ms_listen_over(s->l)) || s->full || s->late ||
			  reached(s, s->until_ns) || enough(q);
		if (s->held)
			ms_listen_hold(s->l);
	}
	if (!err && s->held && !s->full && s->nr < BATCH)
		err = ms_listen_rest(s->l, put, s);
	return !err && s->no_memory ? ms_err_nomem() : err;
}

static void event_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_stream_state *s = section->ctx;

	ms_event_cells(&s->table, &s->show, &s->events[row], cells);
}

static struct ms_err *events_round(struct query *q, struct ms_stream_state *s, struct ms_stream *stream)
{
	struct ms_section *section;
	struct ms_err *err = NULL;

	s->nr = 0;
	if (!stream->rounds)
		err = kept_before(q, s);
	/* --count is about what happens from now on. */
	if (!err && !stream->rounds && s->count)
		s->count += s->nr;
	if (!err && !s->nr)
		err = listen_once(q, s, s->until_ns);
	if (err)
		return err;
	/* A full round may have left some that belong to it. */
	stream->over = s->full || (s->held && s->nr < BATCH);
	stream->events = s->events;
	stream->nr = s->nr;
	section = section_add(q, "events", "Events", true, s->table.cols, s->table.nr, s->nr, event_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = s;
	return NULL;
}

/* Until the interval is over, or without --watch to the end. */
static struct ms_err *counts_round(struct query *q, struct ms_stream_state *s, struct ms_stream *stream)
{
	u64 end_ns = s->until_ns;
	struct ms_err *err = NULL;

	if (q->args->watch) {
		s->next_ns += q->args->interval_ms * NS_PER_MS;
		if (!end_ns || s->next_ns < end_ns)
			end_ns = s->next_ns;
	}
	while (!err && !s->held && !reached(s, end_ns))
		err = listen_once(q, s, end_ns);
	if (err)
		return err;
	stream->over = !q->args->watch || s->held || (q->args->count && stream->rounds + 1 >= q->args->count);
	return counts_add(q, s);
}

/* --- the end --- */

static const struct ms_column by_event_cols[] = {
	{ "event", "EVENT", MS_V_TEXT },
	{ "raised", "RAISED", MS_V_COUNT },
};

static void by_event_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_stream_state *s = section->ctx;

	cell_text(&cells, ms_event_name(s->by_event[row]));
	cell_count(&cells, s->listened.stats.by_event[s->by_event[row]]);
}

static struct ms_err *by_event_add(struct query *q, struct ms_stream_state *s)
{
	const u64 *nr = s->listened.stats.by_event;
	struct ms_section *section;
	size_t n = 0, at;
	u16 id;

	for (id = 1; id < MS_EV_NR; id++) {
		if (!nr[id])
			continue;
		for (at = n++; at && nr[s->by_event[at - 1]] < nr[id]; at--)
			s->by_event[at] = s->by_event[at - 1];
		s->by_event[at] = id;
	}
	section = section_add(q, "by_event", "By event", true, by_event_cols, MS_LEN(by_event_cols), n,
			      by_event_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = s;
	/* The counts are the same, unless they had no room. */
	section->data_only = q->args->by == MS_BY_EVENT && !s->listened.stats.lost_count;
	return NULL;
}

static const struct ms_column cost_cols[] = {
	{ "ns_per_event", "time of the probes for one event, ns", MS_V_COUNT },
	{ "cpu_ppm", "", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "cpu", "of one CPU's time", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },
};

static void cost_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_stream_state *s = section->ctx;
	u64 raised = listened_raised(&s->listened), us = (s->listened.end_ns - s->listened.start_ns) / 1000;
	u64 ppm = us ? s->listened.stats.run_ns * 1000 / us : 0;
	struct ms_cell *cell;

	(void)row;
	cell_opt(&cells, raised, MS_V_COUNT, raised ? s->listened.stats.run_ns / raised : 0);
	cell_opt(&cells, us, MS_V_COUNT, ppm);
	cell = cell_text(&cells, us ? "" : NULL);
	if (us)
		ms_buf_printf(&cell->text, "%llu.%02llu%%", (unsigned long long)ppm / 10000,
			      (unsigned long long)ppm / 100 % 100);
}

static const struct ms_column trace_cols[] = {
	{ "file", "file", MS_V_TEXT },
	{ "events", "events", MS_V_COUNT },
};

struct traced {
	const char *file;
	u64 nr;
};

static void trace_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct traced *traced = section->ctx;

	(void)row;
	cell_text(&cells, traced->file);
	cell_count(&cells, traced->nr);
}

static struct ms_err *trace_add(struct query *q, const struct ms_stream_state *s)
{
	struct ms_section *section;
	struct traced *traced = calloc(1, sizeof(*traced));

	if (!traced)
		return ms_err_nomem();
	*traced = (struct traced){ .file = q->args->trace, .nr = *s->seen };
	section = section_add(q, "trace", "Trace", false, trace_cols, MS_LEN(trace_cols), 1, trace_row);
	if (!section) {
		free(traced);
		return ms_err_nomem();
	}
	section->ctx = section->owned = traced;
	return NULL;
}

static struct ms_err *summary(struct query *q, struct ms_stream_state *s)
{
	struct ms_section *section;
	struct ms_err *err = ms_listen_stats(s->l, &s->listened.stats);

	if (err)
		return err;
	listen_stats_since(&s->before, &s->listened.stats);
	s->listened.stats.delivered -= s->late;
	if (q->args->by)
		err = counts_add(q, s);
	if (!err)
		err = by_event_add(q, s);
	if (!err)
		err = listened_add(q, &s->listened);
	if (!err && s->listened.stats.runs) {
		section = section_add(q, "cost", "Cost", false, cost_cols, MS_LEN(cost_cols), 1, cost_row);
		if (section)
			section->ctx = s;
		else
			err = ms_err_nomem();
	}
	if (!err && q->args->trace)
		err = trace_add(q, s);
	if (!err)
		err = probes_add(q, s->l, q->args->probes);
	if (!err && !q->model->nr_vms)
		err = note_add(q->result, "there was no VM when it began to listen");
	if (!err && q->args->stack && !s->stacks)
		err = note_add(q->result, "a simulated machine has no kernel stacks");
	if (!err && s->stacks && *stacks_note(s->stacks))
		err = note_add(q->result, "%s", stacks_note(s->stacks));
	return err;
}

bool stream_is_summing(const struct ms_stream *stream)
{
	return stream->state->summary;
}

struct ms_err *stream_run(struct query *q)
{
	struct ms_stream *stream = q->session->stream;
	struct ms_stream_state *s = stream->state;
	struct ms_err *err = NULL;

	if (!s->l)
		err = begin(q, stream->cells, s);
	if (err)
		return err;
	if (s->summary)
		return summary(q, s);
	return q->args->by ? counts_round(q, s, stream) : events_round(q, s, stream);
}

static struct ms_err *run(struct ms_session *session, const struct ms_args *args, struct ms_stream *stream,
			  bool summary, struct ms_result **ret)
{
	bool hold = session->hold;
	struct ms_err *err;

	if (!stream->state) {
		stream->state = calloc(1, sizeof(*stream->state));
		if (!stream->state)
			return ms_err_nomem();
		stream->state->seen = &stream->nr_seen;
		if (!hold)
			ms_session_drop(session);
	}
	stream->state->summary = summary;
	session->hold = true;
	session->stream = stream;
	err = ms_query_run(session, args, ret);
	session->stream = NULL;
	session->hold = hold;
	return err;
}

struct ms_err *ms_stream_round(struct ms_session *session, const struct ms_args *args,
			       struct ms_stream *stream, struct ms_result **ret)
{
	struct ms_err *err = run(session, args, stream, false, ret);

	if (!err)
		stream->rounds++;
	return err;
}

struct ms_err *ms_stream_summary(struct ms_session *session, const struct ms_args *args,
				 struct ms_stream *stream, struct ms_result **ret)
{
	return run(session, args, stream, true, ret);
}

void ms_stream_deinit(struct ms_session *session, struct ms_stream *stream)
{
	struct ms_stream_state *s = stream->state;

	if (s) {
		query_unlisten(session);
		stacks_destroy(s->stacks);
		redactor_destroy(s->redactor);
		free(s->events);
		free(s->counts);
		free(s);
	}
	*stream = (struct ms_stream){ 0 };
}
