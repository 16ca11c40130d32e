/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wp: write-protect flips. `on' goes on until it is interrupted, and shows each write as it comes; at the prompt it
 * flips and returns, and what it flipped ends with `off' or with the prompt. `list' has all sessions' flips of a VM.
 */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "target/kmem.h"
#include "target/wp.h"

_Static_assert(MS_EV_L1 == 1 && MS_EV_L2 == 2, "the module's numbers of guests are those of events");

#define SLICE_MS 100 /* a signal and a reader's end are noticed in that time */
#define BATCH 1024 /* writes of one round */

/* A session's flips, and what was heard of them. */
struct wp_state {
	struct ms_wp *wp;
	struct mmuscope_wp_write *writes;
	size_t nr;
	u64 start_ns, until_ns; /* CLOCK_MONOTONIC; until: 0, no end */
	u64 stores, through, walks, unfinished, lost_slot;
	struct mmuscope_wp_info info;
	u64 undone;
	bool gone;
};

void wp_state_destroy(struct wp_state *state)
{
	if (!state)
		return;
	ms_wp_close(state->wp);
	free(state->writes);
	free(state);
}

bool wp_is_on(const struct ms_args *args)
{
	return args->command == &ms_commands[MS_CMD_ID_wp] && args->nr_args && !strcmp(args->args[0], "on");
}

/* --- what is given --- */

static struct ms_err *ranges_each(const struct query *q,
				  struct ms_err *(*each)(struct query *q, u64 start, u64 end),
				  struct query *ctx)
{
	struct ms_err *err = NULL;
	u64 start, end;
	size_t i;

	for (i = 1; i < q->args->nr_args && !err; i++) {
		if (!ms_parse_gfns(q->args->args[i], &start, &end))
			return ms_err_hint(ms_err_new(MS_ERR_USAGE, "wp %s: '%s' is no frame",
						      q->args->args[0], q->args->args[i]),
					   "a frame number A, a range A-B without B, or A+N for N frames");
		err = each ? each(ctx, start, end) : NULL;
	}
	return err;
}

static struct ms_err *state_open(struct query *q)
{
	struct ms_session *session = q->session;
	struct wp_state *state;
	struct ms_err *err;

	if (session->wp && ms_wp_kvm(session->wp->wp) == q->vm->rec.kvm)
		return NULL;
	if (session->wp)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "wp: frames of another VM are flipped here"),
				   "undo them first, or flip these from another mmuscope");
	if (!(session->target->caps & MS_CAP_LIVE) || session->target->ops == &ms_target_sim)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE,
					      "wp: target %s has no KVM whose writes could be caught",
					      session->target->ops->name),
				   "the target is live");
	state = calloc(1, sizeof(*state));
	if (!state)
		return ms_err_nomem();
	state->writes = calloc(BATCH, sizeof(*state->writes));
	err = state->writes ? ms_wp_open(q->vm->rec.kvm, q->vm->fds, q->vm->nr_fds, &state->wp)
			    : ms_err_nomem();
	if (err) {
		wp_state_destroy(state);
		return err;
	}
	state->start_ns = ms_kmem_now_ns();
	session->wp = state;
	return NULL;
}

static struct ms_err *flip_on(struct query *q, u64 start, u64 end)
{
	return ms_wp_on(q->session->wp->wp, start, end, q->args->may_kill);
}

static struct ms_err *flip_off(struct query *q, u64 start, u64 end)
{
	struct wp_state *state = q->session->wp;
	struct ms_err *err;
	u64 nr = 0;

	err = ms_wp_off(state->wp, start, end, &nr);
	state->undone += nr;
	return err;
}

/* --- flips --- */

struct flips {
	struct mmuscope_wp_flip *flips;
	size_t nr;
};

static void flips_free(void *owned)
{
	struct flips *flips = owned;

	free(flips->flips);
	free(flips);
}

static const struct ms_column flip_cols[] = {
	{ "gfn", "GFN", MS_V_HEX },
	{ "stores", "STORES", MS_V_COUNT },
	{ "through", "LET THROUGH", MS_V_COUNT },
	{ "walks", "CPU'S OWN", MS_V_COUNT },
	{ "sessions", "SESSIONS", MS_V_COUNT },
	{ "mine", "MINE", MS_V_BOOL },
	{ "state", "STATE", MS_V_TEXT },
};

static void flip_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct mmuscope_wp_flip *flip = &((const struct flips *)section->ctx)->flips[row];
	const bool gone = flip->flags & MMUSCOPE_WP_GONE;

	cell_hex(&cells, flip->gfn)->style = MS_STYLE_ACCENT;
	cell_count(&cells, flip->stores);
	cell_count(&cells, flip->through);
	cell_count(&cells, flip->walks);
	cell_count(&cells, flip->sessions);
	cell_bool(&cells, flip->flags & MMUSCOPE_WP_MINE);
	cell_text(&cells, gone				     ? "lost with its slot"
			  : flip->flags & MMUSCOPE_WP_LIFTED ? "lifted"
							     : "on")
		->style = gone ? MS_STYLE_WARN : MS_STYLE_PLAIN;
}

static struct ms_err *flips_add(struct query *q, struct ms_wp *wp)
{
	struct flips *flips = calloc(1, sizeof(*flips));
	struct ms_section *section;
	struct ms_err *err;

	if (!flips)
		return ms_err_nomem();
	err = ms_wp_list(wp, &flips->flips, &flips->nr);
	if (err) {
		free(flips);
		return err;
	}
	section = section_add(q, "flips", "Write-protect flips", true, flip_cols, MS_LEN(flip_cols),
			      flips->nr, flip_row);
	if (!section) {
		flips_free(flips);
		return ms_err_nomem();
	}
	section->ctx = section->owned = flips;
	section->owned_free = flips_free;
	return NULL;
}

/* --- writes as they come --- */

static const char *const kinds[] = {
	[MMUSCOPE_WP_STORE] = "store",		[MMUSCOPE_WP_THROUGH] = "let-through",
	[MMUSCOPE_WP_WALK] = "page-walk",	[MMUSCOPE_WP_LOST] = "lost-with-slot",
	[MMUSCOPE_WP_EVENT] = "event-delivery", [MMUSCOPE_WP_UNFINISHED] = "not-finished"
};

static const struct ms_column write_cols[] = {
	{ "seq", "SEQ", MS_V_COUNT, .prio = 3 },
	{ "at_us", "AT US", MS_V_COUNT },
	{ "kind", "KIND", MS_V_TEXT },
	{ "vcpu_id", "VCPU", MS_V_INT },
	{ "guest", "OF", MS_V_TEXT },
	{ "gpa", "GPA", MS_V_HEX },
	{ "bytes", "LEN", MS_V_COUNT },
	{ "value", "VALUE", MS_V_TEXT, MS_SECRET_HIDE },
	{ "value_bytes", "OF IT", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "count", "COUNT", MS_V_COUNT },
	{ "rip", "RIP", MS_V_HEX, .prio = 2 },
};

/* As one number, the last byte first: what the guest's registers held. */
static void value_cell(struct ms_cell **at, const struct mmuscope_wp_write *w)
{
	u32 nr = w->value_bytes < sizeof(w->value) ? w->value_bytes : (u32)sizeof(w->value);
	struct ms_cell *cell;

	if (!nr) {
		cell_none(at);
		return;
	}
	cell = cell_text(at, "0x");
	while (nr--)
		ms_buf_printf(&cell->text, "%02x", w->value[nr]);
}

static void write_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct wp_state *state = section->ctx;
	const struct mmuscope_wp_write *w = &state->writes[row];
	const bool known = w->kind < MS_LEN(kinds);

	cell_count(&cells, w->seq);
	cell_count(&cells, w->ns > state->start_ns ? (w->ns - state->start_ns) / 1000 : 0);
	cell_text(&cells, known ? kinds[w->kind] : "?")->style =
		w->kind == MMUSCOPE_WP_STORE ? MS_STYLE_PLAIN : MS_STYLE_WARN;
	cell_opt(&cells, w->vcpu >= 0, MS_V_INT, (u64)w->vcpu);
	cell_text(&cells, ms_guest_name(w->level));
	cell_hex(&cells, w->gpa)->style = MS_STYLE_ACCENT;
	cell_opt(&cells, w->bytes, MS_V_COUNT, w->bytes);
	value_cell(&cells, w);
	cell_opt(&cells, w->value_bytes, MS_V_COUNT, w->value_bytes);
	cell_count(&cells, w->count);
	cell_opt(&cells, w->rip, MS_V_HEX, w->rip);
}

static void count_writes(struct wp_state *state)
{
	size_t i;

	for (i = 0; i < state->nr; i++)
		switch (state->writes[i].kind) {
		case MMUSCOPE_WP_STORE:
			state->stores++;
			break;
		case MMUSCOPE_WP_THROUGH:
			state->through++;
			break;
		case MMUSCOPE_WP_UNFINISHED:
			state->unfinished++;
			break;
		case MMUSCOPE_WP_WALK:
		case MMUSCOPE_WP_EVENT:
			state->walks++;
			break;
		default:
			state->lost_slot++;
		}
}

static struct ms_err *round_run(struct query *q, struct wp_state *state)
{
	struct ms_stream *stream = q->session->stream;
	u64 now = ms_kmem_now_ns(), left;
	struct ms_section *section;
	struct ms_err *err;
	size_t max = BATCH;

	if (q->args->count && q->args->count - stream->nr_seen < max)
		max = q->args->count - stream->nr_seen;
	err = ms_wp_read(state->wp, listen_wait_ms(now, state->until_ns, SLICE_MS), state->writes, max,
			 &state->nr, &state->gone);
	if (err)
		return err;
	count_writes(state);
	stream->nr_seen += state->nr;
	left = state->until_ns && ms_kmem_now_ns() >= state->until_ns ? 0 : 1;
	stream->over = state->gone || !left || (q->args->count && stream->nr_seen >= q->args->count) ||
		       (q->session->progress && !q->session->progress(q->session->progress_ctx, 0));
	section = section_add(q, "writes", "Writes", true, write_cols, MS_LEN(write_cols), state->nr,
			      write_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = state;
	return NULL;
}

/* --- the end --- */

static const struct ms_column sum_cols[] = {
	{ "frames", "frames flipped", MS_V_COUNT },
	{ "stores", "stores caught", MS_V_COUNT },
	{ "through", "stores let through", MS_V_COUNT },
	{ "walks", "the CPU's own writes let through", MS_V_COUNT },
	{ "lost", "writes lost", MS_V_COUNT },
	{ "lost_with_slot", "frames lost with their memslot", MS_V_COUNT },
	{ "undone", "flips undone", MS_V_COUNT },
	{ "guarded", "guest kept from harm", MS_V_BOOL },
};

static void sum_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct wp_state *state = section->ctx;

	(void)row;
	cell_count(&cells, state->info.gfns);
	cell_count(&cells, state->stores);
	cell_count(&cells, state->through);
	cell_count(&cells, state->walks);
	cell_count(&cells, state->info.lost)->style = state->info.lost ? MS_STYLE_WARN : MS_STYLE_PLAIN;
	cell_count(&cells, state->lost_slot);
	cell_count(&cells, state->undone);
	cell_bool(&cells, state->info.flags & MMUSCOPE_WP_GUARDED);
}

static struct ms_err *notes(struct query *q, const struct wp_state *state)
{
	struct ms_err *err = NULL;

	if (state->gone)
		err = note_add(q->result, "the VM ended, and its flips with it");
	if (!err && state->info.lost)
		err = note_add(q->result, "%llu writes found no room and were not told: reading was too slow",
			       (unsigned long long)state->info.lost);
	if (!err && state->through + state->walks)
		err = note_add(q->result,
			       "let through: KVM cannot emulate these; the CPU made them with the flip "
			       "lifted for a moment, in which other writes to the frame are not seen");
	if (!err && state->unfinished)
		err = note_add(
			q->result,
			"%llu were let through and not finished within 100 ms: each was made, or is told again",
			(unsigned long long)state->unfinished);
	if (!err && !state->gone && state->info.flags & MMUSCOPE_WP_TRACKING)
		err = note_add(q->result,
			       "what stays: this kernel's KVM keeps external write tracking enabled for "
			       "the rest of the VM's life (two bytes a guest frame)");
	return err;
}

static struct ms_err *summary(struct query *q, struct wp_state *state)
{
	struct ms_section *section;
	struct ms_err *err = ms_wp_info(state->wp, &state->info);

	if (!err && !state->gone)
		err = ranges_each(q, flip_off, q);
	if (err)
		return err;
	if (state->info.lost)
		q->result->status = 1;
	section = section_add(q, "wp", "Write protection", false, sum_cols, MS_LEN(sum_cols), 1, sum_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = state;
	return notes(q, state);
}

/* --- */

static struct ms_err *begin(struct query *q)
{
	const bool had = q->session->wp;
	struct ms_err *err;

	if (q->args->pretty)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "wp on: --pretty does not go with one object a line"),
			"--json has them");
	err = state_open(q);
	if (!err)
		err = ranges_each(q, flip_on, q);
	if (err && !had) {
		wp_state_destroy(q->session->wp);
		q->session->wp = NULL;
	}
	if (!err)
		q->session->wp->until_ns =
			q->args->for_ms ? ms_kmem_now_ns() + q->args->for_ms * NS_PER_MS : 0;
	return err;
}

static struct ms_err *run_on(struct query *q)
{
	struct ms_stream *stream = q->session->stream;
	struct ms_err *err = NULL;

	if (stream && stream_is_summing(stream))
		return summary(q, q->session->wp);
	if (stream) {
		if (!stream->rounds)
			err = begin(q);
		return err ? err : round_run(q, q->session->wp);
	}
	if (!q->session->keeps)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "wp on: not possible here"),
			"`mmuscope --write wp on' in a shell; in the terminal interface w flips the entry's frame");
	err = begin(q);
	return err ? err : flips_add(q, q->session->wp->wp);
}

static struct ms_err *run_off(struct query *q)
{
	struct wp_state *state = q->session->wp;
	struct ms_err *err;

	if (!state)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "wp off: nothing is flipped here"),
			"a flip belongs to the mmuscope that made it, and ends with it: at the prompt, in "
			"the interface (w), or when `wp on' is interrupted");
	state->undone = 0;
	err = ranges_each(q, flip_off, q);
	if (!err)
		err = flips_add(q, state->wp);
	return err ? err
		   : note_add(q->result, "%llu flip%s undone", (unsigned long long)state->undone,
			      state->undone == 1 ? "" : "s");
}

static struct ms_err *run_list(struct query *q)
{
	const bool had = q->session->wp;
	struct ms_err *err = state_open(q);

	if (!err)
		err = flips_add(q, q->session->wp->wp);
	/* Nothing was flipped: nothing is held. */
	if (!had) {
		wp_state_destroy(q->session->wp);
		q->session->wp = NULL;
	}
	return err;
}

struct ms_err *query_run_wp(struct query *q)
{
	struct ms_session *session = q->session;
	struct wp_state borrowed = { .wp = session->flips };
	struct ms_err *err = ranges_each(q, NULL, NULL);
	bool lent;

	if (err)
		return err;
	/* Those of who asks are meant by `list' and `off' as if this session had made them. */
	lent = !session->wp && session->flips && ms_wp_kvm(session->flips) == q->vm->rec.kvm;
	if (lent)
		session->wp = &borrowed;
	if (!strcmp(q->args->args[0], "list"))
		err = run_list(q);
	else
		err = wp_is_on(q->args) ? run_on(q) : run_off(q);
	if (lent)
		session->wp = NULL;
	return err;
}
