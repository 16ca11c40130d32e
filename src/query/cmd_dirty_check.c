/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dirty --check: reads frames when it may tell something, and says which changed without a mark (dirty_check.h). */
#include "query/cmd_dirty.h"

#include <stdlib.h>

#include "abi/event_desc.h"

/*
 * Of a live host: the probe of a clearing may run after the SPTE was stored, and be held up; and of the PML
 * buffers that a reading of the log asks for, the last come when it has ended.
 */
#define CHECK_SLACK_NS 1000000ull
#define CHECK_READINGS 2u

static const struct ms_column check_cols[] = {
	{ "verdict", "verdict", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },
	{ "gfn", "frames from", MS_V_HEX },
	{ "end", "up to", MS_V_HEX },
	{ "no_slot", "of no memslot", MS_V_COUNT },
	{ "alias", "whose memory another memslot has, too", MS_V_COUNT },
	{ "digests", "how often they were read", MS_V_COUNT },
	{ "read", "frames read the last time", MS_V_COUNT },
	{ "changes", "changes seen while it was logged", MS_V_COUNT },
	{ "reported", "that a reading of the log has", MS_V_COUNT },
	{ "found", "that none has", MS_V_COUNT },
	{ "pending", "whose reading did not come yet", MS_V_COUNT },
	{ "unknown", "of frames whose bit was not seen cleared before", MS_V_COUNT },
	{ "dropped", "given up: host, memslot or a loss", MS_V_COUNT },
};

static void check_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_check *c = dirty->check;
	u64 lost = listened_lost(&dirty->listened);
	struct ms_cell *verdict;

	(void)row;
	verdict = cell_text(&cells, "");
	verdict->style = c->found ? MS_STYLE_BAD : c->reported && !lost ? MS_STYLE_GOOD : MS_STYLE_WARN;
	if (c->found)
		ms_buf_printf(&verdict->text, "%llu changes are in no log", (unsigned long long)c->found);
	else if (lost)
		ms_buf_printf(&verdict->text, "not known: %llu events were lost", (unsigned long long)lost);
	else
		ms_buf_puts(&verdict->text, c->reported ? "nothing found" : "not known: see the notes");
	cell_hex(&cells, c->opts.gfn);
	cell_hex(&cells, c->opts.gfn + c->opts.nr);
	cell_count(&cells, c->nr_no_slot);
	cell_count(&cells, c->nr_alias);
	cell_count(&cells, c->digested);
	cell_count(&cells, c->nr_read);
	cell_count(&cells, c->changes);
	cell_count(&cells, c->reported);
	cell_count(&cells, c->found)->style = c->found ? MS_STYLE_BAD : MS_STYLE_GOOD;
	cell_count(&cells, c->pending);
	cell_count(&cells, c->unknown);
	cell_count(&cells, c->dropped);
}

static const struct ms_column finding_cols[] = {
	{ "gfn", "GFN", MS_V_HEX },
	{ "slot", "SLOT", MS_V_COUNT },
	{ "loss", "ITS BIT WAS", MS_V_TEXT },
	{ "clean_us", "CLEAN AT US", MS_V_COUNT },
	{ "from_us", "CHANGED FROM US", MS_V_COUNT },
	{ "to_us", "TO US", MS_V_COUNT },
	{ "last", "LAST EVENTS OF THE FRAME", MS_V_WORDS, .prio = 1 },
	{ "before", "DIGEST BEFORE", MS_V_HEX, MS_SECRET_HIDE, .digits = 16, .prio = 2 },
	{ "after", "AFTER", MS_V_HEX, MS_SECRET_HIDE, .digits = 16, .prio = 2 },
};

static void finding_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct dirty *dirty = section->ctx;
	const struct ms_dirty_finding *f = &dirty->check->findings[row];
	struct ms_event_desc desc;
	struct ms_cell *words;
	char word[80];
	u32 i;

	cell_hex(&cells, f->gfn);
	cell_count(&cells, f->slot);
	cell_text(&cells, ms_dirty_loss_name(f->loss))->style = MS_STYLE_BAD;
	us_cell(&cells, dirty, f->clean_ns);
	us_cell(&cells, dirty, f->from_ns);
	us_cell(&cells, dirty, f->to_ns);
	words = cell_words(&cells);
	for (i = 0; i < MS_DIRTY_CHECK_LAST; i++) {
		if (!ms_event_desc(f->last[i].id, &desc))
			continue;
		snprintf(word, sizeof(word), "%s@%llu", desc.name,
			 (unsigned long long)((f->last[i].time_ns - dirty->d->start_ns) / 1000));
		word_add(words, word);
	}
	cell_hex(&cells, f->before);
	cell_hex(&cells, f->after);
}

struct ms_err *dirty_check_create(struct query *q, struct dirty *dirty)
{
	const struct ms_args *args = q->args;
	bool sim = !(q->session->target->caps & MS_CAP_KREAD);
	u64 nr = args->check_end - args->check_start;
	const struct ms_dirty_check_opts opts = { .gfn = args->check_start,
						  .nr = (u32)nr,
						  .slack_ns = sim ? 0 : CHECK_SLACK_NS,
						  .readings = sim ? 1 : CHECK_READINGS };
	u32 i;

	if (nr > MS_DIRTY_CHECK_MAX)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "--check: %llu frames are too many", (unsigned long long)nr),
			"at most %u, e.g. 0x%llx+%u", MS_DIRTY_CHECK_MAX,
			(unsigned long long)args->check_start, MS_DIRTY_CHECK_MAX);
	dirty->kvm = q->vm->rec.kvm;
	dirty->frames = calloc(nr, sizeof(*dirty->frames));
	if (!dirty->frames)
		return ms_err_nomem();
	for (i = 0; i < nr; i++)
		dirty->frames[i].gfn = args->check_start + i;
	return ms_dirty_check_create(&opts, q->vm, &dirty->check);
}

void dirty_check_event(struct dirty *dirty, const struct ms_event *event)
{
	if (query_lost_before(dirty->numbered, &dirty->seq, event))
		ms_dirty_check_lost(dirty->check);
	ms_dirty_check_event(dirty->check, event);
}

/* At the beginning, and whenever a log of the frames was read or cleared. */
struct ms_err *dirty_check_tick(void *ctx, struct ms_listener *l)
{
	struct dirty *dirty = ctx;
	struct ms_dirty_check *c = dirty->check;
	bool lost = false;
	struct ms_err *err = query_lost_more(l, &dirty->lost, &lost);
	u64 start_ns;

	if (err)
		return err;
	dirty->numbered = ms_listen_fd(l) >= 0;
	ms_dirty_check_settle(c, lost);
	if (c->digested && !c->log_moved)
		return NULL;
	start_ns = ms_listen_now(l);
	err = ms_target_frames(l->target, dirty->kvm, 0, dirty->frames, c->opts.nr);
	if (!err)
		ms_dirty_check_digests(c, start_ns, ms_listen_now(l), dirty->frames);
	return err;
}

struct ms_err *dirty_check_sections(struct query *q, struct dirty *dirty)
{
	const struct ms_dirty_check *c = dirty->check;
	struct ms_section *section = section_add(q, "check", "Written but clean", false, check_cols,
						 MS_LEN(check_cols), 1, check_row);
	struct ms_err *err = NULL;

	if (!section)
		return ms_err_nomem();
	section->ctx = dirty;
	section = section_add(q, "written", "Frames that changed without a mark that was read", true,
			      finding_cols, MS_LEN(finding_cols), c->nr_findings, finding_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = dirty;
	if (c->found)
		q->result->status = 1;
	if (c->found > c->nr_findings)
		err = note_add(q->result, "%llu frames more changed without a mark that was read",
			       (unsigned long long)(c->found - c->nr_findings));
	if (!err && c->found && q->session->target->caps & MS_CAP_KREAD)
		err = note_add(
			q->result,
			"what the VMM itself, or a device by DMA, writes is in no log of KVM's: such a "
			"change looks the same");
	if (!err && !c->reported && !c->found)
		err = note_add(
			q->result,
			"no change could be judged: that takes a clearing of the log, a write, and a reading of it");
	return err;
}
