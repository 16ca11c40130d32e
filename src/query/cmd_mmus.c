/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mmus: the MMUs of each vCPU and every root of the VM. */
#include "query/private.h"

#include <stdlib.h>

static const struct ms_column mmu_cols[] = {
	{ "vcpu_id", "VCPU", MS_V_INT },
	{ "mmu", "MMU", MS_V_TEXT },
	{ "in_use", "IN USE AS", MS_V_WORDS },
	{ "root_hpa", "ROOT HPA", MS_V_HEX, MS_SECRET_HPA },
	{ "root_pgd", "ROOT PGD", MS_V_HEX },
	{ "cached_roots", "CACHED", MS_V_COUNT },
	{ "root_role", "ROOT ROLE", MS_V_HEX },
	{ "root_role_text", "", MS_V_TEXT, .prio = 1 },
	{ "cpu_role", "CPU ROLE", MS_V_HEX },
	{ "cpu_role_text", "", MS_V_TEXT, .prio = 1 },
	{ "pae_root", "PAE ROOT", MS_V_HEX, MS_SECRET_PTR, .prio = 4 },
	{ "pml4_root", "PML4 ROOT", MS_V_HEX, MS_SECRET_PTR, .prio = 4 },
	{ "pml5_root", "PML5 ROOT", MS_V_HEX, MS_SECRET_PTR, .prio = 4 },
	{ "pdptrs", "PDPTRS", MS_V_WORDS, .prio = 3 },
	{ "address", "AT", MS_V_HEX, MS_SECRET_MMU, .prio = 5 },
};

/*
 * Whether there is a root: frame 0 is never a table, and the words of nested_mmu, which KVM gives no root,
 * are zero and not INVALID_PAGE (SEMANTICS A1).
 */
static bool is_root(const struct ms_rec_root *root)
{
	return root->hpa && root->hpa != MS_INVALID_PAGE;
}

static const struct ms_vcpu *vcpu_of(const struct ms_vm *vm, u64 address)
{
	size_t i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i].rec.vcpu == address)
			return &vm->vcpus[i];
	return NULL;
}

/* What a section of this command needs: MMUs and roots that passed, with their vCPUs already found. */
struct mmu_ref {
	const struct ms_rec_mmu *mmu;
	const struct ms_vcpu *vcpu;
};

static void mmu_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct mmu_ref *ref = &((const struct mmu_ref *)section->ctx)[row];
	const struct ms_rec_vcpu *vcpu = &ref->vcpu->rec;
	const struct ms_rec_mmu *mmu = ref->mmu;
	struct ms_cell *words;
	char text[24];
	u32 cached = 0;
	int i;

	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		cached += is_root(&mmu->prev[i]);
	cell_int(&cells, vcpu->vcpu_id);
	cell_text(&cells, ms_mmu_name(mmu->which))->style = MS_STYLE_ACCENT;
	if (vcpu->have & MS_VCPU_HAVE_MMU) {
		words = cell_words(&cells);
		if (vcpu->mmu == mmu->mmu)
			word_add(words, "mmu");
		if (vcpu->walk_mmu == mmu->mmu)
			word_add(words, "walk_mmu");
	} else {
		cell_none(&cells);
	}
	cell_opt(&cells, is_root(&mmu->root), MS_V_HEX, mmu->root.hpa);
	cell_opt(&cells, is_root(&mmu->root), MS_V_HEX, mmu->root.pgd);
	cell_opt(&cells, mmu->have & MS_MMU_HAVE_PREV, MS_V_COUNT, cached);
	cell_opt(&cells, mmu->have & MS_MMU_HAVE_ROOT_ROLE, MS_V_HEX, mmu->root_role);
	if (mmu->have & MS_MMU_HAVE_ROOT_ROLE)
		cell_role(&cells, section->model, mmu->root_role);
	else
		cell_none(&cells);
	cell_opt(&cells, mmu->have & MS_MMU_HAVE_CPU_ROLE, MS_V_HEX, mmu->cpu_role);
	if (mmu->have & MS_MMU_HAVE_CPU_ROLE)
		cell_cpu_role(&cells, section->model, mmu->cpu_role);
	else
		cell_none(&cells);
	cell_opt(&cells, mmu->have & MS_MMU_HAVE_PAE_ROOT, MS_V_HEX, mmu->pae_root);
	cell_opt(&cells, mmu->have & MS_MMU_HAVE_PML4_ROOT, MS_V_HEX, mmu->pml4_root);
	cell_opt(&cells, mmu->have & MS_MMU_HAVE_PML5_ROOT, MS_V_HEX, mmu->pml5_root);
	if (mmu->have & MS_MMU_HAVE_PDPTRS) {
		words = cell_words(&cells);
		for (i = 0; i < 4; i++) {
			snprintf(text, sizeof(text), "0x%llx", (unsigned long long)mmu->pdptrs[i]);
			word_add(words, text);
		}
	} else {
		cell_none(&cells);
	}
	cell_hex(&cells, mmu->mmu);
}

static const struct ms_column root_cols[] = {
	{ "vcpu_id", "VCPU", MS_V_INT },
	{ "mmu", "MMU", MS_V_TEXT },
	{ "which", "WHICH", MS_V_TEXT },
	{ "pgd", "PGD", MS_V_HEX },
	{ "hpa", "HPA", MS_V_HEX, MS_SECRET_HPA, .prio = 3 },
	{ "sp", "SP", MS_V_HEX, MS_SECRET_SP },
	{ "level", "LEVEL", MS_V_COUNT },
	{ "gfn", "GFN", MS_V_HEX },
	{ "translates", "TRANSLATES", MS_V_TEXT },
	{ "page_state", "PAGE", MS_V_TEXT },
	{ "role", "ROLE", MS_V_HEX },
	{ "role_text", "", MS_V_TEXT, .prio = 1 },
};

struct root_ref {
	struct ms_root root;
	const struct ms_vcpu *vcpu; /* NULL without MMU */
};

static void root_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	static const char *const prevs[MS_NR_PREV_ROOTS] = { "previous-0", "previous-1", "previous-2" };
	const struct root_ref *ref = &((const struct root_ref *)section->ctx)[row];
	const struct ms_root *root = &ref->root;
	const struct ms_sp *sp = root->sp;

	cell_opt(&cells, ref->vcpu, MS_V_INT, ref->vcpu ? (u64)(s64)ref->vcpu->rec.vcpu_id : 0);
	cell_text(&cells, root->mmu ? ms_mmu_name(root->mmu->which) : NULL);
	cell_text(&cells, !root->mmu ? "unnamed" : root->prev < 0 ? "current" : prevs[root->prev]);
	cell_opt(&cells, root->mmu, MS_V_HEX, root->pgd);
	cell_hex(&cells, root->hpa);
	cell_opt(&cells, sp, MS_V_HEX, sp ? sp->rec.sp : 0)->style = MS_STYLE_ACCENT;
	cell_opt(&cells, sp, MS_V_COUNT, sp ? sp->level : 0);
	cell_opt(&cells, sp, MS_V_HEX, sp ? sp->rec.gfn : 0);
	cell_text(&cells, sp ? ms_root_address_kind(section->model, sp) : NULL);
	if (!sp) {
		cell_none(&cells);
		cell_none(&cells);
		cell_none(&cells);
		return;
	}
	cell_sp_state(&cells, sp->rec.state);
	cell_hex(&cells, sp->rec.role);
	cell_role(&cells, section->model, sp->rec.role);
}

static struct ms_err *roots_add(struct query *q)
{
	const struct ms_filter *f = &q->args->filter;
	const struct ms_vcpu *vcpu = NULL;
	struct ms_root *roots = NULL;
	struct ms_section *section;
	struct root_ref *refs;
	size_t nr = 0, kept = 0, i;
	struct ms_err *err;

	err = ms_vm_roots(q->model, q->vm, &roots, &nr);
	if (err)
		return err;
	refs = calloc(nr ? nr : 1, sizeof(*refs));
	if (!refs) {
		free(roots);
		return ms_err_nomem();
	}
	for (i = 0; i < nr; i++) {
		if (f->has_mmu && (!roots[i].mmu || roots[i].mmu->which != f->mmu))
			continue;
		/* Roots come by vCPU: the last one found is nearly always right. */
		if (roots[i].mmu && (!vcpu || vcpu->rec.vcpu != roots[i].mmu->vcpu))
			vcpu = vcpu_of(q->vm, roots[i].mmu->vcpu);
		refs[kept++] = (struct root_ref){ .root = roots[i], .vcpu = roots[i].mmu ? vcpu : NULL };
	}
	free(roots);
	section = section_add(q, "roots", "Roots", true, root_cols, MS_LEN(root_cols), kept, root_row);
	if (!section) {
		free(refs);
		return ms_err_nomem();
	}
	section->ctx = section->owned = refs;
	return NULL;
}

struct ms_err *query_run_mmus(struct query *q)
{
	const struct ms_filter *f = &q->args->filter;
	struct ms_section *section;
	struct mmu_ref *refs;
	size_t nr = 0, v;
	u32 i;

	refs = calloc(q->vm->nr_mmus ? q->vm->nr_mmus : 1, sizeof(*refs));
	if (!refs)
		return ms_err_nomem();
	for (v = 0; v < q->vm->nr_vcpus; v++)
		for (i = 0; i < q->vm->vcpus[v].nr_mmus; i++) {
			const struct ms_rec_mmu *mmu = &q->vm->mmus[q->vm->vcpus[v].first_mmu + i];

			if (!f->has_mmu || mmu->which == f->mmu)
				refs[nr++] = (struct mmu_ref){ .mmu = mmu, .vcpu = &q->vm->vcpus[v] };
		}
	section = section_add(q, "mmus", "MMUs", true, mmu_cols, MS_LEN(mmu_cols), nr, mmu_row);
	if (!section) {
		free(refs);
		return ms_err_nomem();
	}
	section->ctx = section->owned = refs;
	return roots_add(q);
}
