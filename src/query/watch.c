/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command again and again (audit --watch): what came and went since the round before. A finding goes when a reading
 * that could have had it has it not, not when its page could not be confirmed this time.
 */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "query/stuck.h"

void ms_watch_deinit(struct ms_watch *watch)
{
	free(watch->known);
	free(watch->places);
	ms_stuck_destroy(watch->stuck);
	redactor_destroy(watch->redactor);
	*watch = (struct ms_watch){ 0 };
}

/* --- sections --- */

struct change {
	bool came;
	struct ms_finding finding;
};

struct round {
	u64 number, time_ns;
	u64 came, went, findings;
	u64 checked, skipped;
	u64 pages, unconfirmed, sptes, dropped, lost;
	bool whole;
	char vm[48];
	struct change *changes; /* came first */
};

static void round_free(void *owned)
{
	struct round *round = owned;

	if (round)
		free(round->changes);
	free(round);
}

static const struct ms_column round_cols[] = {
	{ "time", "", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },
	{ "round", "round", MS_V_COUNT },
	{ "what", "", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },
	{ "findings", "findings", MS_V_COUNT },
	{ "came", "came", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "went", "went", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "checked", "invariants checked", MS_V_COUNT },
	{ "skipped", "skipped", MS_V_COUNT },
	{ "pages", "pages", MS_V_COUNT },
	{ "pages_unconfirmed", "not confirmed", MS_V_COUNT },
	{ "sptes", "entries", MS_V_COUNT },
	{ "not_seen_again", "not seen again", MS_V_COUNT },
	{ "not_kept", "not kept", MS_V_COUNT },
};

static void round_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct round *r = section->ctx;
	struct ms_cell *what;

	(void)row;
	cell_time(&cells, r->time_ns);
	cell_count(&cells, r->number);
	what = cell_text(&cells, r->came || r->went ? "" : r->whole ? "nothing changed" : "not whole");
	if (r->came || r->went)
		ms_buf_printf(&what->text, "%llu came, %llu went", (unsigned long long)r->came,
			      (unsigned long long)r->went);
	cell_count(&cells, r->findings)->style = r->findings ? MS_STYLE_BAD : MS_STYLE_PLAIN;
	cell_count(&cells, r->came);
	cell_count(&cells, r->went);
	cell_count(&cells, r->checked);
	cell_count(&cells, r->skipped);
	cell_count(&cells, r->pages);
	cell_count(&cells, r->unconfirmed);
	cell_count(&cells, r->sptes);
	cell_count(&cells, r->dropped);
	cell_count(&cells, r->lost);
}

static const struct ms_column change_cols[] = {
	{ "change", "CHANGE", MS_V_TEXT },
	FINDING_NAME_COLUMNS,
	FINDING_PLACE_COLUMNS,
};

static void change_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct round *r = section->ctx;
	const struct change *change = &r->changes[row];

	cell_text(&cells, change->came ? "came" : "went")->style =
		change->came ? MS_STYLE_BAD : MS_STYLE_GOOD;
	finding_name_cells(&cells, &change->finding);
	finding_place_cells(&cells, &change->finding, r->vm);
}

/* --- what changed --- */

static struct ms_finding *sorted(const struct ms_audit *audit, const size_t *order, size_t nr)
{
	struct ms_finding *ret = calloc(nr ? nr : 1, sizeof(*ret));
	size_t i;

	for (i = 0; ret && i < nr; i++)
		ret[i] = audit->findings[order[i]];
	if (ret)
		qsort(ret, nr, sizeof(*ret), ms_finding_cmp);
	return ret;
}

static bool has(const struct ms_finding *sorted, size_t nr, const struct ms_finding *finding)
{
	return nr && bsearch(finding, sorted, nr, sizeof(*sorted), ms_finding_cmp);
}

/* Was the page there, and not judged? */
static bool not_judged(const struct query *q, const struct ms_finding *finding)
{
	const struct ms_sp *sp = finding->sp ? ms_vm_sp(q->vm, finding->sp) : NULL;

	return sp && sp->rec.state != MS_SP_CONFIRMED;
}

/*
 * counting: the findings of this round that count, all: those and the others (audit->nr). What is known
 * afterwards goes to *known_ret, which has room for both. False: memory is out.
 */
static bool compare(const struct query *q, const struct ms_audit *audit, const struct ms_finding *counting,
		    size_t nr_counting, const struct ms_finding *all, struct round *round,
		    struct ms_finding *known_ret, size_t *nr_known_ret)
{
	const struct ms_watch *watch = q->session->watch;
	struct change *changes = calloc(nr_counting + watch->nr_known + 1, sizeof(*changes));
	size_t i, nr = 0, known = 0;

	if (!changes)
		return false;
	for (i = 0; i < nr_counting; i++) {
		known_ret[known++] = counting[i];
		if (!has(watch->known, watch->nr_known, &counting[i]))
			changes[nr++] = (struct change){ .came = true, .finding = counting[i] };
	}
	round->came = nr;
	for (i = 0; i < watch->nr_known; i++) {
		const struct ms_finding *old = &watch->known[i];

		if (has(counting, nr_counting, old))
			continue;
		/* Not every reading had it, or nobody can say. */
		if (!round->whole || audit->lacking[old->row] || has(all, audit->nr, old) ||
		    not_judged(q, old))
			known_ret[known++] = *old;
		else
			changes[nr++] = (struct change){ .finding = *old };
	}
	round->went = nr - round->came;
	round->changes = changes;
	qsort(known_ret, known, sizeof(*known_ret), ms_finding_cmp);
	*nr_known_ret = known;
	return true;
}

static struct ms_err *gone(const struct ms_args *args, const struct ms_watch *watch)
{
	return ms_err_hint(
		ms_err_new(MS_ERR_TARGET, "%s: the VM that is watched has ended", args->command->name),
		"there were %llu rounds before", (unsigned long long)watch->rounds);
}

/* An address may have been used again for another VM, with another process behind it. */
static struct ms_err *same_vm(const struct query *q)
{
	struct ms_watch *watch = q->session->watch;
	u64 mm = q->vm->rec.have & MS_VM_HAVE_MM ? q->vm->rec.mm : 0;

	if (watch->rounds)
		return watch->mm == mm ? NULL : gone(q->args, watch);
	snprintf(watch->vm, sizeof(watch->vm), "kvm:0x%llx", (unsigned long long)q->vm->rec.kvm);
	watch->mm = mm;
	return NULL;
}

static void round_fill(const struct query *q, const struct ms_audit *audit, size_t kept, struct round *round)
{
	u32 row;

	round->number = q->session->watch->rounds + 1;
	round->time_ns = q->model->host.time_ns;
	round->findings = kept;
	round->pages = audit->nr_pages;
	round->unconfirmed = audit->nr_unconfirmed;
	round->sptes = audit->nr_sptes;
	round->dropped = audit->nr - kept;
	round->lost = audit->nr_lost;
	/* Findings that are not kept may be any. */
	round->whole = !(q->result->prov.walk_flags & (MS_WALK_BROKEN | MS_WALK_VM_GONE)) && !audit->nr_lost;
	for (row = 1; row <= MS_AUDIT_ROWS; row++) {
		round->checked += audit->chosen[row] && !audit->lacking[row];
		round->skipped += audit->chosen[row] && audit->lacking[row];
	}
	audit_vm_words(q, round->vm, sizeof(round->vm));
}

/* round is the result's from here on. */
static struct ms_err *round_add(struct query *q, struct round *round)
{
	struct ms_section *section =
		section_add(q, "watch", "Watch", false, round_cols, MS_LEN(round_cols), 1, round_row);

	if (!section) {
		round_free(round);
		return ms_err_nomem();
	}
	section->line = true;
	section->ctx = section->owned = round;
	section->owned_free = round_free;
	section = section_add(q, "changes", "Findings that came and went", true, change_cols,
			      MS_LEN(change_cols), round->came + round->went, change_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = round;
	return NULL;
}

struct ms_err *watch_begin(struct query *q)
{
	if (q->args->watch && !q->session->watch)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "%s: --watch is not possible here", q->args->command->name),
			"`mmuscope %s --watch' in a shell", q->args->command->name);
	if (!q->session->watch)
		return NULL;
	q->session->watch->whole = false;
	return same_vm(q);
}

struct ms_err *watch_sections(struct query *q, const struct ms_audit *audit, const size_t *order, size_t kept)
{
	struct ms_watch *watch = q->session->watch;
	struct ms_finding *counting = sorted(audit, order, kept), *all = sorted(audit, order, audit->nr);
	struct ms_finding *known = calloc(kept + watch->nr_known + 1, sizeof(*known));
	struct round *round = calloc(1, sizeof(*round));
	struct ms_err *err = same_vm(q);
	size_t nr_known = 0;

	if (!err && (!counting || !all || !known || !round))
		err = ms_err_nomem();
	if (!err) {
		round_fill(q, audit, kept, round);
		if (!compare(q, audit, counting, kept, all, round, known, &nr_known))
			err = ms_err_nomem();
	}
	free(counting);
	free(all);
	if (err) {
		free(known);
		round_free(round);
		return err;
	}
	free(watch->known);
	watch->known = known;
	watch->nr_known = nr_known;
	watch->came = round->came;
	watch->went = round->went;
	watch->whole = round->whole;
	return round_add(q, round);
}

struct ms_err *ms_watch_round(struct ms_session *session, const struct ms_args *args, struct ms_watch *watch,
			      struct ms_result **ret)
{
	struct ms_result *result = NULL;
	struct ms_err *err;

	/* The last round's model: what is known of it is in watch. */
	ms_session_drop(session);
	session->watch = watch;
	err = ms_query_run(session, args, &result);
	session->watch = NULL;
	if (!err && !result->prov.live) {
		ms_result_destroy(result);
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "%s: there is nothing to watch in a file",
					      args->command->name),
				   "without --watch it is done once");
	}
	/* The words that named it name nothing any more. */
	if (err && watch->rounds && ms_err_kind(err) == MS_ERR_USAGE) {
		ms_err_free(err);
		return gone(args, watch);
	}
	if (err)
		return err;
	if (result->prov.walk_flags & MS_WALK_VM_GONE) {
		ms_result_destroy(result);
		return gone(args, watch);
	}
	watch->rounds++;
	*ret = result;
	return NULL;
}
