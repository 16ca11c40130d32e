/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The legacy MMU's pages: found on their list, confirmed by it and by their links to each other (kvm_sps.c). */
#include "target/kvm_walk.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/guard.h"

/* Pages whose place could not be confirmed are looked at again this often. */
#define CONFIRM_ROUNDS 4
/* Of a parent_ptes word: it points to a list of parents (SEMANTICS F). */
#define KVM_RMAP_MANY 1ull

/*
 * Walk the list backwards (oldest first) over the headers as last read. KVM adds at the head and never
 * elsewhere, so a page met on the way from the tail is this VM's. Returns false when the way ended before the
 * head or a page that is new.
 */
static bool confirm_ring(struct walk *w, u64 head, u64 tail)
{
	u32 link_off = w->kmem->layout->f[MS_F_sp_link].off;
	u64 cur = tail, from = head;
	size_t steps;

	for (steps = 0; cur != head && steps <= w->nr; steps++) {
		u32 i = ms_map_get(&w->by_addr, cur - link_off);
		struct sp *sp;

		if (i == MS_MAP_NONE)
			return true; /* not there when the walk began: all that follow are newer still */
		sp = &w->sps[i];
		/* A page that no longer points back to where we come from was unlinked between the two reads.
		 */
		if (sp->state == MS_SP_UNREADABLE || sp->state == MS_SP_UNLINKED || sp->head.next != from)
			return false;
		sp->linked |= sp->state == MS_SP_CONFIRMED;
		from = cur;
		cur = sp->head.prev;
	}
	return cur == head;
}

/* A page whose header or neighbours changed under the copy deserves another look. */
static bool any_torn(const struct walk *w)
{
	size_t i;

	for (i = 0; i < w->nr; i++)
		if (!w->sps[i].linked && w->sps[i].state == MS_SP_TORN)
			return true;
	return false;
}

/* A child with several parents keeps them in a list of its own. Is the entry still what led to it? */
struct shared {
	size_t parent, child;
	u32 idx;
	u64 entry;
	u8 *raw;
};

/*
 * A table may be older than the page that it seems to lead to, which was freed and used again: does that page
 * name the entry as its parent? If not, both are looked at again.
 */
static bool names_parent(const struct sp *child, u64 entry_va)
{
	return child->parents_now & KVM_RMAP_MANY || child->parents_now == entry_va;
}

static void break_link(struct walk *w, size_t parent)
{
	w->sps[parent].state = MS_SP_TORN;
	w->sps[parent].linked = false;
}

/* Pages whose parents are a list: entry and header are read side by side, after all else. */
static struct ms_err *check_shared(struct walk *w, struct shared *shared, size_t nr)
{
	size_t step = w->kmem->buffer_pages, from, i, n;
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;

	for (from = 0; !err && from < nr; from += step) {
		n = nr - from < step ? nr - from : step;
		for (i = 0; i < n; i++) {
			struct shared *s = &shared[from + i];

			s->raw = w->raw + i * w->raw_len;
			ms_kbatch_add(&batch, w->sps[s->parent].head.spt + 8ull * s->idx, 8, &s->entry);
			ms_kbatch_add(&batch, w->sps[s->child].addr, w->raw_len, s->raw);
		}
		err = batch.oom ? ms_err_nomem() : ms_kmem_read(w->kmem, batch.reqs, batch.nr);
		for (i = 0; !err && i < n; i++) {
			const struct shared *s = &shared[from + i];
			const struct sp *child = &w->sps[s->child];
			struct sp_head now;

			walk_head_decode(w, s->raw, &now);
			if (batch.reqs[2 * i].status || batch.reqs[2 * i + 1].status ||
			    walk_child_table(w, s->entry) != child->head.spt ||
			    !walk_head_same(&child->head, &now))
				break_link(w, s->parent);
		}
		batch.nr = 0;
	}
	ms_kbatch_deinit(&batch);
	return err;
}

struct links {
	struct ms_map by_table; /* pages in place */
	struct shared *shared;
	size_t nr, cap;
};

/* The links of one page. */
static struct ms_err *check_entries(struct walk *w, size_t parent, struct links *links)
{
	const struct sp *sp = &w->sps[parent];
	struct shared *grown;
	u32 i;

	for (i = 0; i < MS_SPTES; i++) {
		u64 table = walk_child_table(w, sp->sptes[i]);
		u32 child = table ? ms_map_get(&links->by_table, table) : MS_MAP_NONE;

		if (child == MS_MAP_NONE)
			continue;
		if (!names_parent(&w->sps[child], sp->head.spt + 8ull * i)) {
			break_link(w, parent);
			return NULL;
		}
		if (!(w->sps[child].parents_now & KVM_RMAP_MANY))
			continue;
		grown = ms_grow(links->shared, &links->cap, links->nr + 1, sizeof(*grown));
		if (!grown)
			return ms_err_nomem();
		links->shared = grown;
		links->shared[links->nr++] = (struct shared){ .parent = parent, .child = child, .idx = i };
	}
	return NULL;
}

/* Every page once more, and every link between two of them. */
static struct ms_err *check_links(struct walk *w)
{
	struct links links = { 0 };
	struct ms_err *err = walk_check_heads(w);
	size_t i;

	if (err || !w->kmem->layout->f[MS_F_sp_parent_ptes].present)
		return err;
	for (i = 0; !err && i < w->nr; i++)
		if (w->sps[i].linked && !ms_map_put(&links.by_table, w->sps[i].head.spt, (u32)i))
			err = ms_err_nomem();
	for (i = 0; !err && i < w->nr; i++)
		if (w->sps[i].linked && w->sps[i].sptes && walk_sp_level(w, &w->sps[i]) > 1)
			err = check_entries(w, i, &links);
	if (!err)
		err = check_shared(w, links.shared, links.nr);
	ms_map_deinit(&links.by_table);
	free(links.shared);
	return err;
}

static struct ms_err *confirm_legacy(struct walk *w, u64 head)
{
	struct ms_err *err = NULL;
	u32 round;
	size_t i;
	bool ok;

	for (round = 0; round < CONFIRM_ROUNDS; round++) {
		u64 ends[2] = { 0 };

		if (round || !(w->want->what & MS_WANT_SPTES))
			err = walk_read_heads(w, 0, w->nr, false);
		if (!err && round && (w->want->what & MS_WANT_SPTES))
			err = walk_read_tables(w, 0, w->nr);
		if (!err)
			err = walk_read_list_head(w, head, ends, &ok);
		if (err)
			return err;
		ok = ok && confirm_ring(w, head, ends[1]);
		if (w->want->what & MS_WANT_SPTES)
			err = check_links(w);
		if (err)
			return err;
		if (ok && !any_torn(w))
			break;
		w->rec.flags |= MS_WALK_CHANGED;
		w->rec.retries++;
	}
	for (i = 0; i < w->nr; i++)
		if (!w->sps[i].linked && w->sps[i].state == MS_SP_CONFIRMED)
			w->sps[i].state = MS_SP_UNLINKED;
	return NULL;
}

struct ms_err *walk_legacy(struct walk *w)
{
	u64 head = walk_field(w, w->vm->kvm, MS_F_kvm_active_mmu_pages), ends[2] = { 0 };
	/* More nodes than this cannot be one VM's pages: KVM's own count, doubled for growth meanwhile. */
	u64 limit = w->vm->n_used_mmu_pages * 2 + 65536;
	bool closed;
	struct ms_err *err;

	err = walk_chase_list(w, head, limit, ends);
	/* The other end of a broken list leads to what lies behind the break. */
	if (!err && w->rec.flags & MS_WALK_BROKEN)
		err = walk_chase_pages(w, head, ends[1], 8, limit, &closed);
	if (!err)
		err = walk_read_heads(w, 0, w->nr, false);
	if (!err && (w->want->what & MS_WANT_SPTES))
		err = walk_read_tables(w, 0, w->nr);
	return err ? err : confirm_legacy(w, head);
}
