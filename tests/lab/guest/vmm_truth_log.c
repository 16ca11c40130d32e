// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The part of the truth that L1 wrote as it went: each nested fault as the CPU told it, L2's page-modification log,
 * and the entries that were planted to make faults. What is not in a log any more is counted.
 */
#include <inttypes.h>

#include "vmm_truth.h"

#define REASON_EPT_VIOLATION 48
#define REASON_EPT_MISCONFIG 49
#define REASON_PML_FULL 62
#define EXIT_NPF 0x400

static const char *did_name(struct truth *t, unsigned int did)
{
	static const char *const name[] = {
		[GF_DID_MAP] = "map",	[GF_DID_AGAIN] = "again", [GF_DID_STAY] = "stay",
		[GF_DID_SKIP] = "skip", [GF_DID_DRAIN] = "drain",
	};

	if (did >= sizeof(name) / sizeof(name[0]) || !name[did]) {
		truth_wrong(t, "L1's log says that it did %u", did);
		return "?";
	}
	return name[did];
}

static const char *reason_name(struct truth *t, uint64_t reason)
{
	switch (reason) {
	case EXIT_NPF:
		return "npf";
	case REASON_EPT_VIOLATION:
		return "violation";
	case REASON_EPT_MISCONFIG:
		return "misconfig";
	case REASON_PML_FULL:
		return "pml-full";
	default:
		truth_wrong(t, "L1's log has an exit for reason %" PRIu64, reason);
		return "?";
	}
}

static void write_exits(struct truth *t)
{
	const struct gf_param *p = t->vm->param;
	uint64_t kept = p->nr_exit < p->max_exit ? p->nr_exit : p->max_exit;
	const struct gf_l1exit *log = truth_area(t, p->exit_gpa, p->max_exit * sizeof(*log));
	char gla[24];

	for (uint64_t n = p->nr_exit - kept; n < p->nr_exit; n++) {
		const struct gf_l1exit *e = &log[n % p->max_exit];

		if (e->n != n)
			truth_wrong(t, "L1's log has exit %" PRIu64 " where %" PRIu64 " belongs",
				    (uint64_t)e->n, n);
		snprintf(gla, sizeof(gla), e->has_gla ? "0x%" PRIx64 : "-", (uint64_t)e->gla);
		truth_line(t,
			   "l1exit vm=%u id=%u n=%" PRIu64 " round=%u reason=%" PRIu64
			   " by=%s qual=0x%" PRIx64 " gpa=0x%" PRIx64 " gla=%s rip=0x%" PRIx64 " did=%s",
			   t->vm->index, e->vcpu, n, e->round, (uint64_t)e->reason, reason_name(t, e->reason),
			   (uint64_t)e->qual, (uint64_t)e->gpa, gla, (uint64_t)e->rip, did_name(t, e->did));
	}
	truth_line(t, "l1exits vm=%u total=%" PRIu64 " kept=%" PRIu64 " lost=%" PRIu64, t->vm->index,
		   (uint64_t)p->nr_exit, kept, p->nr_exit - kept);
}

static void write_pml(struct truth *t)
{
	const struct gf_param *p = t->vm->param;
	uint64_t kept = p->nr_pml < p->max_pml ? p->nr_pml : p->max_pml;
	const struct gf_pml *log;

	if (!p->max_pml)
		return;
	log = truth_area(t, p->pml_gpa, p->max_pml * sizeof(*log));
	for (uint64_t n = 0; n < kept; n++)
		truth_line(t, "pml vm=%u id=%u n=%" PRIu64 " round=%u l2gfn=0x%" PRIx64 " index=%u full=%u",
			   t->vm->index, log[n].vcpu, n, log[n].round, (uint64_t)log[n].gpa >> GFN_SHIFT,
			   log[n].index, log[n].full);
	truth_line(t, "pmlsum vm=%u entries=%" PRIu64 " kept=%" PRIu64 " lost=%" PRIu64, t->vm->index,
		   (uint64_t)p->nr_pml, kept, p->nr_pml - kept);
}

static void write_planted(struct truth *t)
{
	const struct gf_param *p = t->vm->param;
	const struct gf_rec *rec = truth_area(t, p->rec_gpa, p->max_rec * sizeof(*rec));

	for (uint64_t i = 0; i < p->nr_item; i++) {
		if (!rec[i].mapped)
			continue;
		if (rec[i].kind == GF_MISCONF)
			truth_line(t,
				   "misconf vm=%u l2gfn=0x%" PRIx64 " l1gfn=0x%" PRIx64 " npte=0x%" PRIx64
				   " faults=%" PRIu64,
				   t->vm->index, (uint64_t)rec[i].l2_gfn, (uint64_t)rec[i].l1_gfn,
				   *(uint64_t *)truth_area(t, rec[i].pte_gpa, 8), (uint64_t)rec[i].nr_faults);
		if (rec[i].kind == GF_STUBBORN)
			truth_line(t,
				   "stubborn vm=%u l2gfn=0x%" PRIx64 " l1gfn=0x%" PRIx64
				   " on=%s asked=w limit=%u faults=%" PRIu64,
				   t->vm->index, (uint64_t)rec[i].l2_gfn, (uint64_t)rec[i].l1_gfn,
				   t->vm->vmm->opts.stubborn_mmio ? "mmio" : "data", p->stubborn,
				   (uint64_t)rec[i].nr_faults);
	}
}

void truth_nested_logs(struct truth *t)
{
	if (t->vm->param->mode != GF_NESTED)
		return;
	write_planted(t);
	write_exits(t);
	write_pml(t);
}
