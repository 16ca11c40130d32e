/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leaves: every leaf and MMIO entry below each root. A VM has millions of them, so none is stored: for each
 * stretch of one page there is a bitmap of the entries that passed, and a row is found by searching the
 * stretches.
 */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

struct stretch {
	const struct ms_sp *root;
	const struct ms_sp *sp;
	u64 address; /* of entry `first' */
	u64 first_row;
	u32 state; /* enum ms_sp_state: of all pages on the way */
	u64 bits[MS_SPTES / 64]; /* entries that are rows */
	u32 first, nr;
	u32 last;
};

struct leaves {
	struct stretch *stretches;
	size_t nr, cap;
	u64 nr_rows;
	struct sieve sieve;
	struct why why;
	/* While walking. */
	const struct query *q;
	const struct ms_sp *root;
	bool oom;
};

static const struct ms_column leaf_cols[] = {
	{ "root", "ROOT", MS_V_HEX, MS_SECRET_SP, .prio = 4 },
	{ "translates", "KIND", MS_V_TEXT },
	{ "address", "ADDRESS", MS_V_HEX },
	{ "level", "LV", MS_V_COUNT },
	ENTRY_COLUMNS,
	{ "sp", "SP", MS_V_HEX, MS_SECRET_SP, .prio = 3 },
	{ "index", "INDEX", MS_V_COUNT, .prio = 3 },
	{ "page_state", "PAGE", MS_V_TEXT, .prio = 2 },
};

/* The stretch that holds a row: the last one that begins at or before it. */
static const struct stretch *stretch_of(const struct leaves *leaves, u64 row)
{
	size_t lo = 0, hi = leaves->nr, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (leaves->stretches[mid].first_row <= row)
			lo = mid;
		else
			hi = mid;
	}
	return &leaves->stretches[lo];
}

static void leaf_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct leaves *leaves = section->ctx;
	const struct stretch *s = stretch_of(leaves, row);
	u32 idx = entry_nth(s->bits, (u32)(row - s->first_row));

	cell_hex(&cells, s->root->rec.sp);
	cell_text(&cells, ms_root_address_kind(section->model, s->root));
	cell_hex(&cells,
		 s->address + (u64)(idx - s->first) * (ms_level_pages(s->sp->level) << SPTE_PAGE_SHIFT))
		->style = MS_STYLE_ACCENT;
	cell_count(&cells, s->sp->level);
	entry_cells(section->model, &leaves->why, s->sp, idx, &cells);
	cell_hex(&cells, s->sp->rec.sp);
	cell_count(&cells, idx);
	cell_sp_state(&cells, s->state);
}

static bool leaf_visit(void *ctx, const struct ms_visit *v)
{
	struct leaves *leaves = ctx;
	struct stretch *s = leaves->nr ? &leaves->stretches[leaves->nr - 1] : NULL, *grown;
	u64 span = ms_level_pages(v->sp->level) << SPTE_PAGE_SHIFT;

	if (!sieve_address(&leaves->sieve, v->address, span) || !sieve_state(&leaves->sieve, v->state) ||
	    !sieve_header(&leaves->sieve, v->sp) ||
	    !sieve_entry(&leaves->sieve, leaves->q->model, v->sp, v->idx))
		return true;
	/* The same page may come again below the same root, at another address. */
	if (!s || s->sp != v->sp || s->root != leaves->root || v->idx <= s->last || v->state != s->state ||
	    v->address != s->address + (u64)(v->idx - s->first) * span) {
		grown = ms_grow(leaves->stretches, &leaves->cap, leaves->nr + 1, sizeof(*grown));
		if (!grown) {
			leaves->oom = true;
			return false;
		}
		leaves->stretches = grown;
		s = &grown[leaves->nr++];
		*s = (struct stretch){
			.root = leaves->root,
			.sp = v->sp,
			.address = v->address,
			.state = v->state,
			.first = v->idx,
			.first_row = leaves->nr_rows,
		};
	}
	s->bits[v->idx / 64] |= 1ull << v->idx % 64;
	s->last = v->idx;
	s->nr++;
	leaves->nr_rows++;
	return true;
}

static struct ms_err *walk_root(struct query *q, struct leaves *leaves, const struct ms_sp *root)
{
	const struct ms_filter *f = &q->args->filter;
	u32 classes = f->classes | (f->wstates ? 1u << SPTE_CLASS_LEAF : 0);

	leaves->root = root;
	if (!classes)
		classes = 1u << SPTE_CLASS_LEAF | 1u << SPTE_CLASS_MMIO;
	if (ms_sp_visit(q->model, q->vm, root, classes, leaf_visit, leaves))
		return NULL;
	if (leaves->oom)
		return ms_err_nomem();
	return note_add(q->result,
			"a root's tree has more paths than pages can make sense of: its walk was given up");
}

static struct ms_err *walk_all(struct query *q, struct leaves *leaves)
{
	const struct ms_filter *f = &q->args->filter;
	struct ms_root *roots = NULL;
	struct ms_map done = { 0 };
	struct ms_err *err = NULL;
	size_t nr = 0, i;

	/* sieve_init() has refused a --root that is not there. */
	if (f->root)
		return walk_root(q, leaves, ms_vm_sp(q->vm, f->root));
	err = ms_vm_roots(q->model, q->vm, &roots, &nr);
	for (i = 0; i < nr && !err; i++) {
		const struct ms_sp *sp = roots[i].sp;

		if (!sp || ms_map_get(&done, sp->rec.sp) != MS_MAP_NONE)
			continue;
		if (f->has_mmu && (!roots[i].mmu || roots[i].mmu->which != f->mmu))
			continue;
		if (!ms_map_put(&done, sp->rec.sp, 1))
			err = ms_err_nomem();
		else
			err = walk_root(q, leaves, sp);
	}
	free(roots);
	ms_map_deinit(&done);
	return err;
}

static void leaves_free(void *owned)
{
	struct leaves *leaves = owned;

	why_deinit(&leaves->why);
	free(leaves->stretches);
	free(leaves);
}

/* An empty answer to --address says what it means. */
static struct ms_err *address_note(struct query *q, const struct leaves *leaves)
{
	const u64 others =
		1ull << MS_OPT_GFN | 1ull << MS_OPT_LEVEL | 1ull << MS_OPT_ROLE | 1ull << MS_OPT_STATE;
	const struct ms_filter *f = &q->args->filter;
	const char *what = q->args->given & others ? "no entry that passes the other filters" : "no leaf";

	if (!f->has_address || leaves->nr_rows)
		return NULL;
	if (f->address_first == f->address_last)
		return note_add(q->result, "%s maps address 0x%llx below the roots looked at", what,
				(unsigned long long)f->address_first);
	return note_add(q->result, "%s maps any of the addresses 0x%llx to 0x%llx below the roots looked at",
			what, (unsigned long long)f->address_first, (unsigned long long)f->address_last);
}

struct ms_err *query_run_leaves(struct query *q)
{
	struct leaves *leaves = calloc(1, sizeof(*leaves));
	struct ms_section *section;
	struct ms_err *err;

	if (!leaves)
		return ms_err_nomem();
	leaves->q = q;
	err = sieve_init(&leaves->sieve, q);
	if (!err) {
		err = walk_all(q, leaves);
		sieve_deinit(&leaves->sieve);
	}
	leaves->q = NULL;
	if (!err)
		err = why_init(&leaves->why, q);
	if (!err)
		err = address_note(q, leaves);
	if (!err)
		err = mmu_note(q);
	section = err ? NULL
		      : section_add(q, "leaves", "Leaves", true, leaf_cols, MS_LEN(leaf_cols),
				    leaves->nr_rows, leaf_row);
	if (!section) {
		leaves_free(leaves);
		return err ? err : ms_err_nomem();
	}
	section->ctx = section->owned = leaves;
	section->owned_free = leaves_free;
	return NULL;
}
