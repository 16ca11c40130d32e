/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TDP MMU's pages: from the roots on their list downwards, a level at a time (kvm_sps.c). */
#include "target/kvm_walk.h"

#include <stdlib.h>

#include "base/guard.h"

/* A VM has a few roots for each of its vCPUs' roles. */
#define MAX_TDP_ROOTS 4096

/* The children that the tables of pages [from, end) point to, added behind them. */
static struct ms_err *add_children(struct walk *w, size_t from, size_t end)
{
	struct ms_kmem *kmem = w->kmem;
	const struct ms_field *priv = &kmem->layout->f[MS_F_page_private];
	u64 page_bytes = kmem->layout->type_size[MS_T_page];
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;
	u64 children[MS_SPTES];
	u16 idx[MS_SPTES];
	size_t p, i, n;

	for (p = from; !err && p < end; p++) {
		const u64 *sptes = walk_sp_level(w, &w->sps[p]) > 1 ? w->sps[p].sptes : NULL;

		for (i = n = 0; sptes && i < MS_SPTES; i++) {
			u64 table = walk_child_table(w, sptes[i]);

			if (!table)
				continue;
			idx[n] = (u16)i;
			children[n] = 0;
			ms_kbatch_add(&batch,
				      kmem->vmemmap + ms_kmem_pfn(kmem, table) * page_bytes + priv->off, 8,
				      &children[n]);
			n++;
		}
		err = ms_kbatch_run(&batch, kmem, NULL);
		for (i = 0; !err && i < n; i++) {
			struct sp *child;

			/* A page that was reached before is shared by no one in the TDP MMU: the table
			 * changed under us. */
			if (!ms_kmem_is_direct(kmem, children[i], w->raw_len) ||
			    ms_map_get(&w->by_addr, children[i]) != MS_MAP_NONE) {
				w->rec.flags |= MS_WALK_CHANGED;
				continue;
			}
			child = walk_add(w, children[i]);
			if (!child) {
				err = ms_err_nomem();
				break;
			}
			child->parent = (u32)p;
			child->idx = idx[i];
		}
	}
	ms_kbatch_deinit(&batch);
	return err;
}

static u64 parent_entry_va(const struct walk *w, const struct sp *sp)
{
	return w->sps[sp->parent].head.spt + 8ull * sp->idx;
}

/* A child whose header does not belong to the entry that led to it was freed or replaced in between. */
static void check_children(struct walk *w, size_t from, size_t end)
{
	size_t i;

	for (i = from; i < end; i++) {
		struct sp *sp = &w->sps[i];
		u64 spte;

		if (sp->state != MS_SP_CONFIRMED)
			continue;
		spte = w->sps[sp->parent].sptes[sp->idx];
		if (walk_child_table(w, spte) != sp->head.spt ||
		    walk_sp_level(w, sp) + 1 != walk_sp_level(w, &w->sps[sp->parent]) ||
		    sp->head.parents != parent_entry_va(w, sp))
			sp->state = MS_SP_UNLINKED;
	}
}

/* After the last copy: is every page still where its parent's entry says, below a root of this VM? */
static struct ms_err *confirm_tdp(struct walk *w, u64 head, size_t nr_roots)
{
	MS_FREE u64 *entries = calloc(w->nr + 1, sizeof(*entries));
	struct walk roots = { .kmem = w->kmem, .vm = w->vm, .want = w->want, .raw_len = w->raw_len };
	struct ms_kbatch batch = { 0 };
	u64 ends[2] = { 0 };
	struct ms_err *err;
	bool ok, closed = false;
	size_t i;

	if (!entries)
		return ms_err_nomem();
	for (i = nr_roots; i < w->nr; i++)
		ms_kbatch_add(&batch, parent_entry_va(w, &w->sps[i]), 8, &entries[i]);
	err = ms_kbatch_run(&batch, w->kmem, NULL);
	ms_kbatch_deinit(&batch);
	if (!err)
		err = walk_read_list_head(w, head, ends, &ok);
	if (!err && ok)
		err = walk_chase_pages(&roots, head, ends[0], 0, MAX_TDP_ROOTS, &closed);
	for (i = 0; !err && i < w->nr; i++) {
		struct sp *sp = &w->sps[i];

		if (i < nr_roots)
			sp->linked = closed && ms_map_get(&roots.by_addr, sp->addr) != MS_MAP_NONE;
		else
			sp->linked =
				w->sps[sp->parent].linked && walk_child_table(w, entries[i]) == sp->head.spt;
		if (!sp->linked) {
			w->rec.flags |= MS_WALK_CHANGED;
			if (sp->state == MS_SP_CONFIRMED)
				sp->state = MS_SP_UNLINKED;
		}
	}
	walk_reset(&roots);
	free(roots.sps);
	return err;
}

struct ms_err *walk_tdp(struct walk *w)
{
	u64 head = walk_field(w, w->vm->kvm, MS_F_kvm_tdp_mmu_roots), ends[2] = { 0 };
	size_t from, nr_roots;
	struct ms_err *err;

	err = walk_chase_list(w, head, MAX_TDP_ROOTS, ends);
	if (err)
		return err;
	nr_roots = w->nr;
	err = walk_read_heads(w, 0, nr_roots, true);
	/* Without page->private and the size of struct page there is no way down. */
	for (from = 0; !err && from < w->nr;) {
		size_t end = w->nr;

		err = walk_read_tables(w, from, end);
		if (!err && w->kmem->layout->f[MS_F_page_private].present)
			err = add_children(w, from, end);
		if (!err)
			err = walk_read_heads(w, end, w->nr, true);
		if (!err)
			check_children(w, end, w->nr);
		from = end;
	}
	return err ? err : confirm_tdp(w, head, nr_roots);
}
