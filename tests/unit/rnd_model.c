/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The auditor over the machine, by way of records and model as for any target: an engine that is right has no
 * finding, and what the auditor finds the engine's own check must have missed for a reason.
 */
#include "tests/unit/rnd.h"

#include "audit/audit.h"
#include "target/sim.h"

static struct ms_err *read_machine(struct ms_target *target, const struct ms_want *want,
				   const struct ms_sink *sink)
{
	const struct rnd *r = target->priv;
	const struct ms_sim_shown shown = { .m = r->m, .machine = r->machine, .owner = "random" };

	return ms_sim_records(&shown, want, sink);
}

static const struct ms_target_ops ops = { .name = "random", .read = read_machine };

void rnd_event(void *ctx, const struct ms_event *event)
{
	struct rnd *r = ctx;

	if (r->nr_events < RND_EVENTS && (event->id == MS_EV_spte_set || event->id == MS_EV_inject))
		r->events[r->nr_events++] = *event;
}

void rnd_invariants(struct rnd *r)
{
	struct ms_target target = { .ops = &ops, .spec = "random", .priv = r };
	const struct ms_want want = { .what = ms_audit_want(0) | MS_WANT_GUEST };
	const struct ms_event_log events = { .events = r->events, .nr = r->nr_events };
	struct ms_audit audit = { 0 };
	struct ms_model *model = NULL;
	struct ms_err *err;
	u32 row;

	err = ms_model_load(&target, &want, &model);
	if (!err)
		err = ms_audit_vm(model, &model->vms[0], 0, &events, &audit);
	if (err) {
		rnd_fail(r, "%s", ms_err_text(err));
		ms_err_free(err);
	} else if (audit.nr && !r->failed) {
		r->row = audit.findings[0].row;
		rnd_fail(r, "audit: row %u: %s (page 0x%llx entry %d raw 0x%llx gfn 0x%llx)",
			 audit.findings[0].row, audit.findings[0].text,
			 (unsigned long long)audit.findings[0].sp, (int)audit.findings[0].idx,
			 (unsigned long long)audit.findings[0].raw,
			 (unsigned long long)audit.findings[0].gfn);
	}
	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		r->count->judged[row] += audit.judged[row];
	r->nr_events = 0;
	ms_audit_deinit(&audit);
	ms_model_destroy(model);
}
