/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of SEMANTICS H about a page, an MMU, a vCPU, or pages with each other. */
#include "audit/private.h"

#include <stdlib.h>

static void found(struct audit *a, u32 row, const struct ms_sp *sp, const char *text)
{
	const struct place at = { .sp = sp, .idx = MS_AUDIT_NO_INDEX, .have_gfn = true, .gfn = sp->rec.gfn };

	audit_found(a, row, &at, "%s", text);
}

/* 40: a root that is zapped while in use is taken off the list (__kvm_mmu_prepare_zap_page()). */
static void invalid_sp(struct audit *a, const struct ms_sp *sp)
{
	if (audit_asks(a, 40) && audit_role(a, sp, ROLE_INVALID))
		found(a, 40, sp, "a zapped page among the active ones");
}

/* 39 */
static void generation(struct audit *a, const struct ms_sp *sp)
{
	if (sp->rec.have & MS_SP_HAVE_GEN && audit_asks(a, 39) && audit_is_obsolete(a, sp))
		found(a, 39, sp, "a page of an old generation");
}

/* 24, the part that records can answer. */
static void direct_gfn(struct audit *a, const struct ms_sp *sp)
{
	if (audit_role(a, sp, ROLE_DIRECT) && audit_asks(a, 24) &&
	    sp->rec.gfn & (ms_level_pages(sp->level + 1) - 1))
		found(a, 24, sp, "a direct page whose first frame is not aligned to what it spans");
}

/* 26, for the page; its entries are looked at one by one. */
static void passthrough(struct audit *a, const struct ms_sp *sp)
{
	if (audit_role(a, sp, ROLE_PASSTHROUGH) && audit_asks(a, 26) && sp->level != 5)
		found(a, 26, sp, "a passthrough page that is not of level 5");
}

/* 29 */
static void unsync_level(struct audit *a, const struct ms_sp *sp)
{
	if (sp->rec.unsync && audit_asks(a, 29) && (sp->level != 1 || !audit_has_gptes(a, sp)))
		found(a, 29, sp, "unsync, and not a guest table of level 1");
}

void audit_page(struct audit *a, const struct ms_sp *sp)
{
	if (!sp->rec.tdp_mmu_page)
		invalid_sp(a, sp);
	if (!a->valid[sp->index])
		return;
	direct_gfn(a, sp);
	if (sp->rec.tdp_mmu_page)
		return;
	generation(a, sp);
	passthrough(a, sp);
	unsync_level(a, sp);
}

/* 27: only SVM's shadow of a nested table is ever of more levels than the table (C.3). */
void audit_mmu(struct audit *a, const struct ms_rec_mmu *mmu)
{
	const struct place at = { .idx = MS_AUDIT_NO_INDEX, .mmu = mmu };
	bool want;

	if (!(mmu->have & MS_MMU_HAVE_CPU_ROLE) || !(mmu->have & MS_MMU_HAVE_ROOT_ROLE) ||
	    mmu->which == MS_MMU_NESTED || !audit_asks(a, 27))
		return;
	want = mmu->which == MS_MMU_GUEST && a->model->host.hv == MS_HV_SVM &&
	       !role_get(a->roles, mmu->root_role, ROLE_DIRECT) &&
	       role_get(a->roles, mmu->root_role, ROLE_LEVEL) == 5 &&
	       role_get(a->roles, (u32)mmu->cpu_role, ROLE_LEVEL) == 4;
	if (!role_get(a->roles, mmu->root_role, ROLE_PASSTHROUGH) == want)
		audit_found(a, 27, &at, "root role 0x%x: %s", mmu->root_role,
			    want ? "a 4-level NPT12 below 5 levels, and not passthrough"
				 : "passthrough, and not a 4-level NPT12 below 5 levels");
}

/* 8: while vmcs02 logs, the CPU puts addresses of L2's into the buffer that L0 reads as L1's. */
void audit_vcpu(struct audit *a, const struct ms_rec_vcpu *vcpu)
{
	const struct place at = { .idx = MS_AUDIT_NO_INDEX, .vcpu = vcpu };

	if (vcpu->have & MS_VCPU_HAVE_PML02 && audit_asks(a, 8) && vcpu->pml02)
		audit_found(a, 8, &at, "PML is on in vmcs02 of vCPU %d", vcpu->vcpu_id);
}

static int by_key(const void *left, const void *right)
{
	const struct ms_sp *a = *(const struct ms_sp *const *)left, *b = *(const struct ms_sp *const *)right;

	if (a->rec.gfn != b->rec.gfn)
		return a->rec.gfn < b->rec.gfn ? -1 : 1;
	if (a->rec.role != b->rec.role)
		return a->rec.role < b->rec.role ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* 28 */
void audit_keys(struct audit *a)
{
	const struct ms_vm *vm = a->vm;
	const struct ms_sp **sps = calloc(vm->nr_sps ? vm->nr_sps : 1, sizeof(*sps));
	size_t i, nr = 0;

	if (!sps) {
		a->oom = true;
		return;
	}
	for (i = 0; i < vm->nr_sps; i++)
		if (a->valid[i] && !vm->sps[i].rec.tdp_mmu_page && !audit_is_obsolete(a, &vm->sps[i]))
			sps[nr++] = &vm->sps[i];
	qsort(sps, nr, sizeof(*sps), by_key);
	for (i = 0; i < nr; i++)
		if (audit_asks(a, 28) && i && sps[i]->rec.gfn == sps[i - 1]->rec.gfn &&
		    sps[i]->rec.role == sps[i - 1]->rec.role)
			found(a, 28, sps[i], "another live page has the same frame and role");
	free(sps);
}
