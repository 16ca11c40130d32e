/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stuck: listens for a while and says which faults get a vCPU nowhere, and why as far as that is known. What counts is
 * stuck.c's; here it is fed, and what it found is made a result. With --watch it goes on from round to round with
 * what it knows.
 */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "query/exit_words.h"
#include "query/stuck.h"

struct stuck_view {
	struct ms_stuck *stuck; /* NULL: the watch's */
	struct listened listened;
	struct ms_stuck_totals totals;
	struct ms_stuck_vcpu sum;
	struct ms_stuck_place *found;
	size_t nr_found, nr_open;
	u32 *vcpus; /* those that faulted */
	size_t nr_vcpus;
	u64 start_ns; /* of the first round */
	u64 min;
	u64 round, came, went; /* of a watch */
	struct ms_stuck *source; /* stuck, or the watch's */
	u64 lost; /* so far */
	bool numbered; /* one after the other, as they passed the filter */
	u64 seq; /* the last */
};

static void view_free(void *owned)
{
	struct stuck_view *view = owned;

	ms_stuck_destroy(view->stuck);
	free(view->found);
	free(view->vcpus);
	free(view);
}

/* --- sections --- */

static const struct ms_column sum_cols[] = {
	{ "findings", "findings", MS_V_COUNT },
	{ "open", "of these not resolved since", MS_V_COUNT },
	{ "min", "faults in a row from which on", MS_V_COUNT },
	{ "faults", "faults taken", MS_V_COUNT },
	{ "fixed", "fixed", MS_V_COUNT },
	{ "spurious", "spurious", MS_V_COUNT },
	{ "emulated", "emulated", MS_V_COUNT },
	{ "retried", "retried", MS_V_COUNT },
	{ "injected", "given to a guest", MS_V_COUNT },
	{ "failed", "failed", MS_V_COUNT },
	{ "unfinished", "end not seen", MS_V_COUNT },
	{ "unasked", "given to a guest without a fault", MS_V_COUNT },
	{ "no_vcpu", "of no vCPU", MS_V_COUNT },
	{ "places", "places kept", MS_V_COUNT },
	{ "dropped", "places given up", MS_V_COUNT },
	{ "dropped_longest", "most faults in a row among those", MS_V_COUNT },
};

static void figures_put(struct ms_cell **at, const struct ms_stuck_vcpu *v)
{
	cell_count(at, v->faults);
	cell_count(at, v->fixed);
	cell_count(at, v->spurious);
	cell_count(at, v->emulated);
	cell_count(at, v->retried);
	cell_count(at, v->injected);
	cell_count(at, v->failed)->style = v->failed ? MS_STYLE_WARN : MS_STYLE_PLAIN;
	cell_count(at, v->unfinished);
	cell_count(at, v->unasked);
}

static void sum_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct stuck_view *view = section->ctx;

	(void)row;
	cell_count(&cells, view->nr_found)->style = view->nr_found ? MS_STYLE_BAD : MS_STYLE_GOOD;
	cell_count(&cells, view->nr_open)->style = view->nr_open ? MS_STYLE_BAD : MS_STYLE_PLAIN;
	cell_count(&cells, view->min);
	figures_put(&cells, &view->sum);
	cell_count(&cells, view->totals.no_vcpu);
	cell_count(&cells, view->totals.places);
	cell_count(&cells, view->totals.dropped)->style =
		view->totals.dropped ? MS_STYLE_WARN : MS_STYLE_PLAIN;
	cell_count(&cells, view->totals.dropped_longest);
}

static const struct ms_column vcpu_cols[] = {
	{ "vcpu_id", "VCPU", MS_V_INT },	{ "faults", "FAULTS", MS_V_COUNT },
	{ "fixed", "FIXED", MS_V_COUNT },	{ "spurious", "SPURIOUS", MS_V_COUNT },
	{ "emulated", "EMULATED", MS_V_COUNT }, { "retried", "RETRIED", MS_V_COUNT },
	{ "injected", "TO GUEST", MS_V_COUNT }, { "failed", "FAILED", MS_V_COUNT },
	{ "unfinished", "NO END", MS_V_COUNT }, { "unasked", "NO FAULT", MS_V_COUNT },
};

static void vcpu_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct stuck_view *view = section->ctx;
	struct ms_stuck_vcpu v = { 0 };

	ms_stuck_vcpu(view->source, view->vcpus[row], &v);
	cell_int(&cells, view->vcpus[row]);
	figures_put(&cells, &v);
}

static const struct ms_column found_cols[] = {
	{ "vcpu_id", "VCPU", MS_V_INT },
	{ "guest", "OF", MS_V_TEXT },
	{ "mmu", "MMU", MS_V_TEXT, .flags = MS_COL_SKIP },
	{ "pgd", "ROOT OF L2", MS_V_HEX, .flags = MS_COL_SKIP },
	{ "address", "ADDRESS", MS_V_HEX },
	{ "gfn", "L1 GFN", MS_V_HEX, .prio = 2 },
	{ "error", "ERROR", MS_V_HEX, .flags = MS_COL_SKIP },
	{ "reason", "REASON", MS_V_HEX, .flags = MS_COL_SKIP },
	{ "qual", "QUAL", MS_V_HEX, .flags = MS_COL_SKIP },
	{ "count", "FAULTS", MS_V_COUNT },
	{ "rate", "/S", MS_V_COUNT, .prio = 3 },
	{ "first_ms", "FIRST, MS", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "last_ms", "LAST, MS", MS_V_COUNT, .prio = 3 },
	{ "outcome", "OUTCOME", MS_V_TEXT, .prio = 2 },
	{ "taken", "OF ALL", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "resolved", "RESOLVED", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "seq_seen", "SEQ", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "seq_now", "SEQ NOW", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "in_progress", "UNDER WAY", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "rip", "RIP", MS_V_HEX, .flags = MS_COL_SKIP },
	{ "open", "OPEN", MS_V_BOOL, .prio = 1 },
	{ "cause", "CAUSE", MS_V_TEXT },
	{ "text", "WHY", MS_V_TEXT, .flags = MS_COL_BELOW },
	{ "figures", "", MS_V_TEXT, .flags = MS_COL_BELOW | MS_COL_TEXT_ONLY },
};

static u64 since_ms(const struct stuck_view *view, u64 time_ns)
{
	return time_ns > view->start_ns ? (time_ns - view->start_ns) / 1000000 : 0;
}

/* Of a kernel that lacks the members nothing is known. */
static bool has_seqs(const struct ms_stuck_place *place)
{
	return place->has_stale && place->seq_seen != MS_EV_NO_SEQ && place->seq_now != MS_EV_NO_SEQ;
}

static bool has_in_progress(const struct ms_stuck_place *place)
{
	return place->has_stale && place->in_progress != MS_EV_NO_NR;
}

/* What text has no column for: the rest of the members. */
static void put_figures(struct ms_buf *out, const struct stuck_view *view, const struct ms_stuck_place *place)
{
	const char *mmu = place->mmu == MS_STUCK_NO_MMU ? NULL : ms_value_name(MS_UNIT_MMU, place->mmu);

	if (place->injected) {
		ms_buf_printf(out, "exit reason 0x%llx, qualification 0x%llx",
			      (unsigned long long)place->reason, (unsigned long long)place->error);
	} else {
		ms_buf_printf(out, "error code 0x%llx (", (unsigned long long)place->error);
		pferr_words(place->error, out);
		ms_buf_putc(out, ')');
	}
	if (mmu)
		ms_buf_printf(out, "; %s MMU", mmu);
	if (place->pgd)
		ms_buf_printf(out, "; root of L2 0x%llx", (unsigned long long)place->pgd);
	ms_buf_printf(out, "; first at %llu ms; of %llu faults here %llu resolved: %s since",
		      (unsigned long long)since_ms(view, place->first_ns), (unsigned long long)place->taken,
		      (unsigned long long)place->resolved,
		      place->torn   ? "it was not seen to get on, but events were lost"
		      : place->open ? "it has not got on"
				    : "such an access has got on");
	if (has_seqs(place))
		ms_buf_printf(out, "; seq %llu, now %llu", (unsigned long long)place->seq_seen,
			      (unsigned long long)place->seq_now);
	if (has_in_progress(place))
		ms_buf_printf(out, "%s %u under way", has_seqs(place) ? "," : ";", place->in_progress);
	if (place->rip)
		ms_buf_printf(out, "; RIP 0x%llx", (unsigned long long)place->rip);
}

/* What L1 was told, in words. */
static void put_told(struct ms_buf *out, const struct ms_stuck_place *place)
{
	if (place->reason == REASON_VIOLATION) {
		ms_buf_puts(out, "; told of ");
		access_words(place->error, out);
		ms_buf_puts(out, ", its entries grant ");
		access_words(place->error >> 3, out);
		return;
	}
	ms_buf_printf(out, "; told of %s of %s page",
		      place->error & 2	  ? "a write"
		      : place->error & 16 ? "a fetch"
					  : "a read",
		      place->error & 1 ? "a present" : "an absent");
}

static void put_why(struct ms_buf *out, const struct ms_stuck_place *place)
{
	enum ms_stuck_cause cause = ms_stuck_cause(place), other;

	ms_buf_puts(out, ms_stuck_text(cause));
	if (place->injected)
		put_told(out, place);
	else if (has_seqs(place) && (cause == MS_STUCK_SEQ || cause == MS_STUCK_ROOT))
		ms_buf_printf(out, "; seq %llu, then %llu", (unsigned long long)place->seq_seen,
			      (unsigned long long)place->seq_now);
	else if (has_in_progress(place) && cause == MS_STUCK_IN_PROGRESS) {
		ms_buf_printf(out, "; %u under way", place->in_progress);
		if (has_seqs(place))
			ms_buf_printf(out, ", seq %llu", (unsigned long long)place->seq_now);
	}
	for (other = 0; other < MS_NR_STUCK; other++)
		if (other != cause && place->by_cause[other])
			ms_buf_printf(out, "; %llu of them: %s", (unsigned long long)place->by_cause[other],
				      ms_stuck_name(other));
}

/* Faults a second between the first and the last; false where no time passed. */
static bool rate_of(const struct ms_stuck_place *place, u64 *ret)
{
	u64 us = (place->last_ns - place->first_ns) / 1000;

	if (place->last_ns <= place->first_ns || !us || place->nr < 2)
		return false;
	*ret = (place->nr - 1) * 1000000 / us;
	return true;
}

static void found_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct stuck_view *view = section->ctx;
	const struct ms_stuck_place *place = &view->found[row];
	struct ms_cell *cell;
	u64 rate = 0;
	bool has_rate = rate_of(place, &rate);

	cell_int(&cells, place->vcpu);
	cell_text(&cells, ms_guest_name(place->guest));
	cell_text(&cells, place->mmu == MS_STUCK_NO_MMU ? NULL : ms_value_name(MS_UNIT_MMU, place->mmu));
	cell_opt(&cells, place->pgd, MS_V_HEX, place->pgd);
	cell_hex(&cells, place->addr)->style = MS_STYLE_ACCENT;
	cell_opt(&cells, place->gfn != ~0ull, MS_V_HEX, place->gfn);
	cell_opt(&cells, !place->injected, MS_V_HEX, place->error);
	cell_opt(&cells, place->injected, MS_V_HEX, place->reason);
	cell_opt(&cells, place->injected, MS_V_HEX, place->error);
	cell_count(&cells, place->nr)->style = MS_STYLE_BAD;
	cell_opt(&cells, has_rate, MS_V_COUNT, rate);
	cell_count(&cells, since_ms(view, place->first_ns));
	cell_count(&cells, since_ms(view, place->last_ns));
	cell_text(&cells, place->last_ret < MS_RET_NR ? ms_value_name(MS_UNIT_RET, place->last_ret) : NULL);
	cell_count(&cells, place->taken);
	cell_count(&cells, place->resolved);
	cell_opt(&cells, place->has_stale && place->seq_seen != MS_EV_NO_SEQ, MS_V_COUNT, place->seq_seen);
	cell_opt(&cells, place->has_stale && place->seq_now != MS_EV_NO_SEQ, MS_V_COUNT, place->seq_now);
	cell_opt(&cells, has_in_progress(place), MS_V_COUNT, place->in_progress);
	cell_opt(&cells, place->rip, MS_V_HEX, place->rip);
	cell_bool(&cells, place->open)->style = place->open ? MS_STYLE_BAD : MS_STYLE_PLAIN;
	cell_text(&cells, ms_stuck_name(ms_stuck_cause(place)))->style = MS_STYLE_BAD;
	cell = cell_text(&cells, "");
	put_why(&cell->text, place);
	cell = cell_text(&cells, "");
	put_figures(&cell->text, view, place);
}

static const struct ms_column round_cols[] = {
	{ "time", "", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },
	{ "round", "round", MS_V_COUNT },
	{ "what", "", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },
	{ "findings", "findings", MS_V_COUNT },
	{ "open", "open", MS_V_COUNT },
	{ "came", "came", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "went", "went", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "faults", "faults", MS_V_COUNT },
	{ "resolved", "resolved", MS_V_COUNT },
	{ "events", "events", MS_V_COUNT },
	{ "lost", "lost", MS_V_COUNT },
};

static void round_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct stuck_view *view = section->ctx;
	struct ms_cell *what;

	(void)row;
	cell_time(&cells, section->model->host.time_ns);
	cell_count(&cells, view->round);
	what = cell_text(&cells, view->came || view->went ? "" : "nothing new");
	if (view->came || view->went)
		ms_buf_printf(&what->text, "%llu came, %llu went", (unsigned long long)view->came,
			      (unsigned long long)view->went);
	cell_count(&cells, view->nr_found)->style = view->nr_found ? MS_STYLE_BAD : MS_STYLE_PLAIN;
	cell_count(&cells, view->nr_open);
	cell_count(&cells, view->came);
	cell_count(&cells, view->went);
	cell_count(&cells, view->sum.faults);
	cell_count(&cells, view->sum.fixed + view->sum.spurious + view->sum.emulated);
	cell_count(&cells, listened_raised(&view->listened));
	cell_count(&cells, listened_lost(&view->listened));
}

/* --- listening --- */

static bool feed(void *ctx, const struct ms_event *event)
{
	struct stuck_view *view = ctx;

	if (query_lost_before(view->numbered, &view->seq, event))
		ms_stuck_lost(view->source);
	ms_stuck_event(view->source, event);
	return true;
}

/* What was lost may have got a vCPU on: faults before it and behind it are not in a row. */
static struct ms_err *look_for_losses(void *ctx, struct ms_listener *l)
{
	struct stuck_view *view = ctx;
	bool lost = false;
	struct ms_err *err = query_lost_more(l, &view->lost, &lost);

	if (!err)
		ms_stuck_settle(view->source, lost);
	return err;
}

static struct ms_err *not_told(struct query *q, u64 fed)
{
	struct ms_buf names = { 0 };
	struct ms_err *err = NULL;
	u32 cause;

	for (cause = 0; cause < MS_NR_STUCK; cause++)
		if (!ms_stuck_can_tell(fed, cause))
			ms_buf_printf(&names, "%s%s", names.len ? ", " : "", ms_stuck_name(cause));
	if (names.oom)
		err = ms_err_nomem();
	else if (names.len)
		err = note_add(q->result, "not looked for, since events for it are missing here: %s",
			       ms_buf_str(&names));
	ms_buf_deinit(&names);
	return err;
}

static struct ms_err *listen_run(struct query *q, struct stuck_view *view)
{
	struct ms_listen listen = { .events = ms_stuck_events() };
	struct ms_watch *watch = q->session->watch;
	struct ms_stuck **at = watch ? &watch->stuck : &view->stuck;
	struct ms_listener *l;
	struct ms_err *err;
	u64 fed;

	listen.kvm = q->vm->rec.kvm;
	err = query_listener(q, &listen, &l);
	if (err)
		return err;
	fed = ms_listen_fed(l);
	if (!*at)
		*at = ms_stuck_create(fed);
	if (!*at)
		return ms_err_nomem();
	view->source = *at;
	view->lost = ms_listen_lost(&q->session->heard);
	view->numbered = ms_listen_fd(l) >= 0;
	view->seq = watch ? watch->seq : 0;
	err = query_listen_ticks(q, &listen,
				 q->args->for_ms ? q->args->for_ms
				 : watch	 ? q->args->interval_ms
						 : MS_FOR_MS,
				 feed, look_for_losses, view, &view->listened);
	if (watch)
		watch->seq = view->seq;
	return err ? err : not_told(q, fed);
}

static struct ms_err *view_fill(const struct query *q, struct stuck_view *view)
{
	struct ms_stuck_vcpu v;
	size_t i, nr = 0;
	u32 id;

	ms_stuck_totals(view->source, &view->totals);
	view->nr_found = ms_stuck_found(view->source, view->min, &view->found);
	view->vcpus = calloc(MS_STUCK_VCPUS, sizeof(*view->vcpus));
	if (view->nr_found == SIZE_MAX || !view->vcpus) {
		view->nr_found = 0;
		return ms_err_nomem();
	}
	/* All vCPUs are listened to: what one does may resolve, or take away from, what another has. */
	for (i = 0; i < view->nr_found; i++)
		if (!q->args->has_vcpu || view->found[i].vcpu == q->args->vcpu) {
			view->found[nr++] = view->found[i];
			view->nr_open += view->found[i].open;
		}
	view->nr_found = nr;
	for (id = 0; id < MS_STUCK_VCPUS; id++) {
		if ((q->args->has_vcpu && id != q->args->vcpu) || !ms_stuck_vcpu(view->source, id, &v))
			continue;
		view->vcpus[view->nr_vcpus++] = id;
		view->sum.faults += v.faults;
		view->sum.fixed += v.fixed;
		view->sum.spurious += v.spurious;
		view->sum.emulated += v.emulated;
		view->sum.retried += v.retried;
		view->sum.injected += v.injected;
		view->sum.failed += v.failed;
		view->sum.unfinished += v.unfinished;
		view->sum.unasked += v.unasked;
	}
	q->result->status |= view->nr_found > 0;
	return NULL;
}

/* --- a watch --- */

static bool was_known(const struct ms_watch *watch, const struct ms_stuck_place *place, bool open)
{
	size_t i;

	for (i = 0; i < watch->nr_places; i++) {
		const struct ms_stuck_place *known = &watch->places[i];

		if (known->addr == place->addr && known->error == place->error &&
		    known->vcpu == place->vcpu && known->pgd == place->pgd && known->guest == place->guest &&
		    known->reason == place->reason && known->mmu == place->mmu)
			return !open || known->open;
	}
	return false;
}

static struct ms_err *watch_take(struct query *q, struct stuck_view *view)
{
	struct ms_watch *watch = q->session->watch;
	struct ms_stuck_place *places = calloc(view->nr_found ? view->nr_found : 1, sizeof(*places));
	size_t i;

	if (!places)
		return ms_err_nomem();
	for (i = 0; i < view->nr_found; i++) {
		const struct ms_stuck_place *place = &view->found[i];

		view->came += !was_known(watch, place, false);
		view->went += !place->open && was_known(watch, place, true);
		places[i] = *place;
	}
	free(watch->places);
	watch->places = places;
	watch->nr_places = view->nr_found;
	watch->came = view->came;
	watch->went = view->went;
	watch->whole = true;
	view->round = watch->rounds + 1;
	return NULL;
}

/* --- the result --- */

static struct ms_section *add(struct query *q, struct stuck_view *view, const char *key, const char *title,
			      bool table, const struct ms_column *cols, size_t nr_cols, size_t nr_rows,
			      void (*row)(const struct ms_section *, size_t, struct ms_cell *))
{
	struct ms_section *section = section_add(q, key, title, table, cols, nr_cols, nr_rows, row);

	if (section)
		section->ctx = view;
	return section;
}

/* view is the result's from here on. */
static struct ms_err *sections_add(struct query *q, struct stuck_view *view)
{
	struct ms_section *first;

	if (q->session->watch)
		first = add(q, view, "watch", "Watch", false, round_cols, MS_LEN(round_cols), 1, round_row);
	else
		first = add(q, view, "stuck", "Stuck", false, sum_cols, MS_LEN(sum_cols), 1, sum_row);
	if (!first) {
		view_free(view);
		return ms_err_nomem();
	}
	first->line = q->session->watch;
	first->owned = view;
	first->owned_free = view_free;
	if (!add(q, view, "places", "Faults that come again and again", true, found_cols, MS_LEN(found_cols),
		 view->nr_found, found_row) ||
	    !add(q, view, "vcpus", "vCPUs", true, vcpu_cols, MS_LEN(vcpu_cols), view->nr_vcpus, vcpu_row))
		return ms_err_nomem();
	if (view->totals.dropped)
		return note_add(q->result,
				"%llu places were given up for lack of room, of at most %llu faults in a row",
				(unsigned long long)view->totals.dropped,
				(unsigned long long)view->totals.dropped_longest);
	return NULL;
}

struct ms_err *query_run_stuck(struct query *q)
{
	struct ms_watch *watch = q->session->watch;
	struct stuck_view *view;
	struct ms_err *err;

	if (q->args->has_vcpu && !vcpu_by_id(q->vm, q->args->vcpu))
		return no_vcpu(q);
	err = watch_begin(q);
	if (err)
		return err;
	view = calloc(1, sizeof(*view));
	if (!view)
		return ms_err_nomem();
	view->min = q->args->min ? q->args->min : MS_STUCK_MIN;
	err = listen_run(q, view);
	if (watch && !watch->rounds)
		watch->start_ns = view->listened.start_ns;
	view->start_ns = watch ? watch->start_ns : view->listened.start_ns;
	if (!err)
		err = view_fill(q, view);
	if (!err && watch)
		err = watch_take(q, view);
	if (err) {
		view_free(view);
		return err;
	}
	err = sections_add(q, view);
	return err ? err : listened_add(q, &view->listened);
}
