// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What L1 does about a nested fault, whatever the vendor, and its log of them: each is recorded as the CPU told it,
 * before anything is changed, with what was done about it.
 */
#include "l1.h"

static void exit_log(unsigned int vcpu, const struct l2_fault *f, enum gf_did did)
{
	struct gf_param *p = l1.param;
	gf_u64 n = p->nr_exit++;
	struct gf_l1exit *e = &l1.exit[n % p->max_exit];

	e->n = n;
	e->reason = f->reason;
	e->qual = f->qual;
	e->gpa = f->gpa;
	e->gla = f->gla;
	e->has_gla = f->has_gla;
	e->rip = f->rip;
	e->round = p->facts[vcpu].round;
	e->vcpu = vcpu;
	e->did = did;
}

/* Lock held. */
static int fault_answer(unsigned int vcpu, const struct l2_fault *f, struct gf_rec *rec)
{
	struct gf_facts *facts = &l1.param->facts[vcpu];

	if (!rec->mapped) {
		if (f->misconf)
			return 0;
		npt_map(rec);
		return GF_DID_MAP;
	}
	if (f->misconf != (rec->kind == GF_MISCONF))
		return 0;
	if (rec->kind == GF_MISCONF)
		return GF_DID_SKIP;
	if (rec->kind != GF_STUBBORN)
		return GF_DID_AGAIN;
	/* L2 makes one access at a time, so the count is of this one. */
	if (facts->nr_left < l1.param->stubborn) {
		facts->nr_left++;
		return GF_DID_STAY;
	}
	facts->nr_left = 0;
	return GF_DID_SKIP;
}

int fault_handle(unsigned int vcpu, const struct l2_fault *f)
{
	struct gf_facts *facts = &l1.param->facts[vcpu];
	struct gf_rec *rec;
	int did = 0;

	l1_lock();
	if (f->pml_full) {
		facts->nr_pml_full++;
		did = GF_DID_DRAIN;
	} else {
		facts->nr_npf++;
		facts->nr_misconf += f->misconf;
		rec = npt_find(f->gpa >> PAGE_SHIFT);
		if (rec) {
			rec->nr_faults++;
			did = fault_answer(vcpu, f, rec);
		}
	}
	if (did)
		exit_log(vcpu, f, did);
	l1_unlock();
	return did;
}

void fault_pml_log(unsigned int vcpu, gf_u64 gpa, unsigned int index, int full)
{
	struct gf_param *p = l1.param;
	gf_u64 n = __atomic_fetch_add(&p->nr_pml, 1, __ATOMIC_RELAXED);

	if (n >= p->max_pml)
		return;
	l1.pml[n] = (struct gf_pml){
		.gpa = gpa, .round = p->facts[vcpu].round, .vcpu = vcpu, .full = full, .index = index
	};
}
