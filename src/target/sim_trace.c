/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A walk of the engine (nmmu_translate()) in the terms of every target. */
#include "target/sim.h"

_Static_assert(NMMU_MAX_STEPS <= MS_TRACE_MAX, "every step has room");
_Static_assert((int)NMMU_STEP_NOT_PRESENT == (int)MS_TRACE_NOT_PRESENT &&
		       (int)NMMU_STEP_RSVD == (int)MS_TRACE_RSVD &&
		       (int)NMMU_STEP_DENIED == (int)MS_TRACE_DENIED &&
		       (int)NMMU_STEP_LEAF == (int)MS_TRACE_LEAF &&
		       (int)NMMU_STEP_UNBACKED == (int)MS_TRACE_UNBACKED &&
		       (int)NMMU_STEP_SET_A == (int)MS_TRACE_SET_A &&
		       (int)NMMU_STEP_SET_D == (int)MS_TRACE_SET_D,
	       "flags of a step are the engine's");
_Static_assert((int)NMMU_GPT_NONE == (int)MS_GPT_NONE && (int)NMMU_GPT_32 == (int)MS_GPT_32 &&
		       (int)NMMU_GPT_PAE == (int)MS_GPT_PAE && (int)NMMU_GPT_64 == (int)MS_GPT_64 &&
		       (int)NMMU_GPT_LA57 == (int)MS_GPT_LA57 && (int)NMMU_GPT_EPT == (int)MS_GPT_EPT,
	       "formats are the engine's");

struct ms_err *ms_sim_translate(const struct ms_sim_shown *shown, const struct ms_trace_req *req,
				struct ms_trace *ret)
{
	const struct nmmu_vcpu *v = ms_sim_vcpu(shown->m, (u32)req->vcpu_id);
	const struct nmmu_access access = {
		.gva = req->address, .bytes = 1, .write = req->write, .fetch = req->fetch, .user = req->user
	};
	struct ms_trace trace = { 0 };
	struct nmmu_trace from;
	int err;
	u32 i;

	if (!v)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "the VM has no vCPU %d", req->vcpu_id),
				   "`mmuscope vcpus' lists them");
	err = ms_machine_translate(shown->machine, (u32)req->vcpu_id, &access, &from);
	if (err)
		return ms_err_errno(MS_ERR_TARGET, -err, "the walk on vCPU %d", req->vcpu_id);
	trace.guest_mode = v->guest_mode;
	trace.nested = v->guest_mode && v->nested.kind != NMMU_NESTED_OFF;
	trace.is_ept = trace.nested && v->nested.kind == NMMU_NESTED_EPT;
	trace.root[0] = v->regs.cr3;
	trace.root[1] = trace.nested ? v->nested.root : 0;
	trace.nr = from.nr;
	for (i = 0; i < from.nr; i++) {
		const struct nmmu_step *step = &from.steps[i];

		trace.steps[i] = (struct ms_trace_step){
			.dim = step->dim,
			.level = step->level,
			.flags = step->flags,
			.gpt = step->dim ? v->guest_mmu.fmt.kind : v->walk_mmu->fmt.kind,
			.input = step->input,
			.entry_at = step->entry_gpa,
			.entry = step->entry,
		};
	}
	trace.fault = from.fault;
	trace.fault_dim = from.fault_dim;
	trace.error = from.error;
	trace.qual = from.qual;
	trace.ngpa = from.l2_gpa;
	trace.gpa = from.gpa;
	*ret = trace;
	return NULL;
}
