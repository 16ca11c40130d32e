/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sps: the shadow pages of a VM, as a tree or as a list. */
#include "query/private.h"

#include <stdlib.h>

/* How a page came into the output. */
enum link {
	LINK_LISTED, /* --list */
	LINK_ROOT, /* an MMU names it, or it is a root by its own record */
	LINK_CHILD,
	LINK_AGAIN, /* was shown before: its children are not repeated */
	LINK_ORPHAN, /* no root reaches it */
};

struct page_ref {
	u32 sp; /* index in vm->sps */
	u8 depth;
	u8 link;
};

struct pages {
	struct page_ref *refs;
	size_t nr, cap;
	struct ms_root *roots;
	size_t nr_roots;
	u8 *seen; /* by page index; only while the tree is made */
	bool oom;
};

static const struct ms_column sps_cols[] = {
	{ "sp", "SP", MS_V_HEX, MS_SECRET_SP, .flags = MS_COL_INDENT },
	{ "depth", "DEPTH", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "link", "LINK", MS_V_TEXT, .prio = 3 },
	{ "root_of", "ROOT OF", MS_V_WORDS, .prio = 4 },
	{ "mmu", "MMU", MS_V_TEXT, .prio = 4 },
	{ "level", "LV", MS_V_COUNT },
	{ "gfn", "GFN", MS_V_HEX },
	{ "role", "ROLE", MS_V_HEX, .prio = 2 },
	{ "role_text", "ROLE TEXT", MS_V_TEXT, .prio = 3 },
	{ "page_state", "PAGE", MS_V_TEXT, .prio = 2 },
	{ "flags", "FLAGS", MS_V_WORDS, .prio = 2 },
	{ "tables", "TBL", MS_V_COUNT, .prio = 1 },
	{ "leaves", "LEAF", MS_V_COUNT },
	{ "huge", "HUGE", MS_V_COUNT, .prio = 3 },
	{ "rw", "RW", MS_V_COUNT },
	{ "dl", "DL", MS_V_COUNT },
	{ "wp", "WP", MS_V_COUNT },
	{ "ro", "RO", MS_V_COUNT },
	{ "at", "AT", MS_V_COUNT, .prio = 3 },
	{ "illegal", "ILL", MS_V_COUNT, .prio = 1 },
	{ "mmio", "MMIO", MS_V_COUNT },
	{ "pinned", "PINNED", MS_V_COUNT, .prio = 3 },
	{ "frozen", "FROZEN", MS_V_COUNT, .prio = 3 },
	{ "unknown", "UNK", MS_V_COUNT, .prio = 1 },
	{ "empty", "EMPTY", MS_V_COUNT, .prio = 5 },
	{ "unsync_children", "UNSYNC CHILDREN", MS_V_COUNT, .prio = 5 },
	{ "root_count", "ROOT COUNT", MS_V_COUNT, .prio = 5 },
	{ "write_flooding", "WRITES", MS_V_COUNT, .prio = 6 },
	{ "generation", "GEN", MS_V_COUNT, .prio = 6 },
	{ "table_pfn", "TABLE PFN", MS_V_HEX, MS_SECRET_PFN, .prio = 5 },
	{ "parents", "PARENTS", MS_V_HEX, MS_SECRET_PTR, .prio = 6 },
};

static const char *link_name(u8 link)
{
	static const char *const names[] = {
		[LINK_LISTED] = "listed", [LINK_ROOT] = "root",	    [LINK_CHILD] = "child",
		[LINK_AGAIN] = "again",	  [LINK_ORPHAN] = "orphan",
	};

	return names[link];
}

static void cell_root_of(struct ms_cell **at, const struct ms_section *section, const struct ms_sp *sp)
{
	const struct pages *pages = section->ctx;
	struct ms_cell *words = cell_words(at);
	const struct ms_root *root;
	char text[64];
	size_t i, v;

	for (i = 0; i < pages->nr_roots; i++) {
		root = &pages->roots[i];
		if (root->sp != sp || !root->mmu)
			continue;
		for (v = 0; v < section->vm->nr_vcpus && section->vm->vcpus[v].rec.vcpu != root->mmu->vcpu;
		     v++)
			;
		if (v == section->vm->nr_vcpus)
			continue;
		snprintf(text, sizeof(text), root->prev < 0 ? "vcpu%d:%s" : "vcpu%d:%s:previous-%d",
			 section->vm->vcpus[v].rec.vcpu_id, ms_mmu_name(root->mmu->which), root->prev);
		word_add(words, text);
	}
}

static void sps_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct pages *pages = section->ctx;
	const struct page_ref *ref = &pages->refs[row];
	const struct ms_sp *sp = &section->vm->sps[ref->sp];
	const struct ms_model *model = section->model;
	const struct ms_rec_sp *rec = &sp->rec;
	const u16 *cls = sp->counts.by_class, *w = sp->counts.by_wstate;
	const struct ms_rec_vm *vm = &section->vm->rec;
	bool have = sp->tables;
	struct ms_cell *words;

	cell_hex(&cells, rec->sp)->style = MS_STYLE_ACCENT;
	cell_count(&cells, ref->depth);
	cell_text(&cells, link_name(ref->link));
	if (ref->link == LINK_ROOT || ref->link == LINK_LISTED)
		cell_root_of(&cells, section, sp);
	else
		cell_words(&cells);
	cell_text(&cells, rec->tdp_mmu_page ? "tdp" : "legacy");
	cell_count(&cells, sp->level);
	cell_hex(&cells, rec->gfn);
	cell_hex(&cells, rec->role);
	cell_role(&cells, model, rec->role);
	cell_sp_state(&cells, rec->state);
	words = cell_words(&cells);
	if (rec->have & MS_SP_HAVE_UNSYNC && rec->unsync)
		word_add(words, "unsync");
	if (role_get(&model->roles, rec->role, ROLE_INVALID))
		word_add(words, "invalid");
	/* The byte is the legacy MMU's alone (SEMANTICS F). */
	if (rec->have & MS_SP_HAVE_GEN && vm->have & MS_VM_HAVE_VALID_GEN && !rec->tdp_mmu_page &&
	    rec->mmu_valid_gen != vm->mmu_valid_gen)
		word_add(words, "obsolete");
	if (rec->have & MS_SP_HAVE_NX_DISALLOWED && rec->nx_disallowed)
		word_add(words, "nx-split");
	cell_opt(&cells, have, MS_V_COUNT, cls[SPTE_CLASS_TABLE]);
	cell_opt(&cells, have, MS_V_COUNT, cls[SPTE_CLASS_LEAF]);
	cell_opt(&cells, have, MS_V_COUNT, sp->counts.huge);
	cell_opt(&cells, have, MS_V_COUNT, w[SPTE_W_RW]);
	cell_opt(&cells, have, MS_V_COUNT, w[SPTE_W_DL]);
	cell_opt(&cells, have, MS_V_COUNT, w[SPTE_W_WP]);
	cell_opt(&cells, have, MS_V_COUNT, w[SPTE_W_RO]);
	cell_opt(&cells, have, MS_V_COUNT, w[SPTE_W_AT]);
	cell_opt(&cells, have, MS_V_COUNT, w[SPTE_W_ILLEGAL])->style =
		w[SPTE_W_ILLEGAL] ? MS_STYLE_BAD : MS_STYLE_PLAIN;
	cell_opt(&cells, have, MS_V_COUNT, cls[SPTE_CLASS_MMIO]);
	cell_opt(&cells, have && vm->have & MS_VM_HAVE_PINS, MS_V_COUNT,
		 ms_sp_nr_pinned(model, section->vm, sp));
	cell_opt(&cells, have, MS_V_COUNT, cls[SPTE_CLASS_FROZEN]);
	cell_opt(&cells, have, MS_V_COUNT, cls[SPTE_CLASS_UNKNOWN])->style =
		cls[SPTE_CLASS_UNKNOWN] ? MS_STYLE_BAD : MS_STYLE_PLAIN;
	cell_opt(&cells, have, MS_V_COUNT, cls[SPTE_CLASS_NONPRESENT]);
	cell_opt(&cells, rec->have & MS_SP_HAVE_UNSYNC_CHILDREN, MS_V_COUNT, rec->unsync_children);
	cell_opt(&cells, rec->have & MS_SP_HAVE_ROOT_COUNT, MS_V_COUNT, rec->root_count);
	cell_opt(&cells, rec->have & MS_SP_HAVE_WRITE_FLOODING, MS_V_COUNT, rec->write_flooding);
	cell_opt(&cells, rec->have & MS_SP_HAVE_GEN && !rec->tdp_mmu_page, MS_V_COUNT, rec->mmu_valid_gen);
	cell_hex(&cells, rec->spt_pfn);
	cell_opt(&cells, rec->have & MS_SP_HAVE_PARENTS, MS_V_HEX, rec->parents);
}

static void page_add(struct pages *pages, const struct ms_sp *sp, u32 depth, enum link link)
{
	struct page_ref *grown = ms_grow(pages->refs, &pages->cap, pages->nr + 1, sizeof(*grown));

	if (!grown) {
		pages->oom = true;
		return;
	}
	pages->refs = grown;
	grown[pages->nr++] = (struct page_ref){ .sp = sp->index, .depth = (u8)depth, .link = (u8)link };
}

/* Children are one level below, so this is at most five deep; each page is unfolded once, so it ends. */
static void tree_add(struct query *q, const struct sieve *sieve, struct pages *pages, const struct ms_sp *sp,
		     u32 depth, enum link link)
{
	bool again = pages->seen[sp->index];
	const struct ms_sp *child;
	u32 i;

	if (sieve_page(sieve, q, sp))
		page_add(pages, sp, depth, again ? LINK_AGAIN : link);
	if (again)
		return;
	pages->seen[sp->index] = 1;
	if (!sp->counts.by_class[SPTE_CLASS_TABLE])
		return;
	for (i = 0; i < MS_SPTES && !pages->oom; i++) {
		child = ms_sp_child(q->model, q->vm, sp, i);
		if (child && child->level && child->level + 1 == sp->level)
			tree_add(q, sieve, pages, child, depth + 1, LINK_CHILD);
	}
}

static struct ms_err *orphans_add(struct query *q, const struct sieve *sieve, struct pages *pages)
{
	const struct ms_vm *vm = q->vm;
	const struct ms_sp *child;
	u8 *has_parent;
	size_t s;
	u32 i;

	has_parent = calloc(vm->nr_sps ? vm->nr_sps : 1, 1);
	if (!has_parent)
		return ms_err_nomem();
	for (s = 0; s < vm->nr_sps; s++)
		for (i = 0; i < MS_SPTES && !pages->seen[s] && vm->sps[s].counts.by_class[SPTE_CLASS_TABLE];
		     i++) {
			child = ms_sp_child(q->model, vm, &vm->sps[s], i);
			if (child && child->level && child->level + 1 == vm->sps[s].level)
				has_parent[child->index] = 1;
		}
	for (s = 0; s < vm->nr_sps; s++)
		if (!pages->seen[s] && !has_parent[s])
			tree_add(q, sieve, pages, &vm->sps[s], 0, LINK_ORPHAN);
	free(has_parent);
	return NULL;
}

static struct ms_err *make_tree(struct query *q, const struct sieve *sieve, struct pages *pages)
{
	const struct ms_filter *f = &q->args->filter;
	struct ms_err *err = NULL;
	size_t i;

	pages->seen = calloc(q->vm->nr_sps ? q->vm->nr_sps : 1, 1);
	if (!pages->seen)
		return ms_err_nomem();
	if (f->root)
		tree_add(q, sieve, pages, ms_vm_sp(q->vm, f->root), 0, LINK_ROOT);
	/* A root that several MMUs share is shown once; root_of names them all. */
	for (i = 0; i < pages->nr_roots && !f->root; i++)
		if (pages->roots[i].sp && !pages->seen[pages->roots[i].sp->index])
			tree_add(q, sieve, pages, pages->roots[i].sp, 0, LINK_ROOT);
	if (!f->root && !f->has_mmu)
		err = orphans_add(q, sieve, pages);
	free(pages->seen);
	pages->seen = NULL;
	return err;
}

static void pages_free(void *owned)
{
	struct pages *pages = owned;

	free(pages->refs);
	free(pages->roots);
	free(pages);
}

static struct ms_err *collect(struct query *q, struct pages *pages)
{
	struct sieve sieve;
	struct ms_err *err;
	size_t i;

	err = ms_vm_roots(q->model, q->vm, &pages->roots, &pages->nr_roots);
	if (!err)
		err = sieve_init(&sieve, q);
	if (err)
		return err;
	if (!q->args->list)
		err = make_tree(q, &sieve, pages);
	for (i = 0; q->args->list && i < q->vm->nr_sps; i++)
		if (sieve_page(&sieve, q, &q->vm->sps[i]))
			page_add(pages, &q->vm->sps[i], 0, LINK_LISTED);
	sieve_deinit(&sieve);
	if (!err && pages->oom)
		err = ms_err_nomem();
	return err;
}

struct ms_err *query_run_sps(struct query *q)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	struct ms_section *section;
	struct ms_err *err;

	if (!pages)
		return ms_err_nomem();
	err = collect(q, pages);
	if (!err)
		err = mmu_note(q);
	section = err ? NULL
		      : section_add(q, "sps", "Shadow pages", true, sps_cols, MS_LEN(sps_cols), pages->nr,
				    sps_row);
	if (!section) {
		pages_free(pages);
		return err ? err : ms_err_nomem();
	}
	section->ctx = section->owned = pages;
	section->owned_free = pages_free;
	return NULL;
}
