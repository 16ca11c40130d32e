// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A walk for display: every step from the address that the guest at work uses to L1's, and why it failed.
 * Exact, as the CPU would do it, whatever the configuration says of KVM's peculiarities.
 */
#include "nmmu/private.h"

int nmmu_translate(struct nmmu_vcpu *v, const struct nmmu_access *access, bool set_ad, struct nmmu_trace *ret)
{
	u32 flags = (set_ad ? NMMU_WALK_SET_AD : 0) | (access->rmw ? NMMU_WALK_RMW : 0);
	u64 pferr = (access->write ? NMMU_PF_W : 0) | (access->user ? NMMU_PF_U : 0) |
		    (access->fetch ? NMMU_PF_I : 0);
	struct nmmu_walk_fault fault;
	u64 gpa;
	int r;

	nmmu_zero(ret, sizeof(*ret));
	nmmu_slots_enter(v->m);
	r = nmmu_walk_gva(v, access->gva, pferr, flags, &gpa, NULL, &fault, ret);
	nmmu_slots_leave(v->m);
	if (r < 0)
		return r;
	if (r == 1) {
		ret->gpa = gpa;
		return 0;
	}
	ret->fault = true;
	ret->fault_dim = fault.nested;
	ret->error = fault.error;
	ret->qual = fault.qual;
	return 0;
}
