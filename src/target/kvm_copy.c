/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers, tables and lists of shadow pages as copied from a kernel that goes on meanwhile: kvm_walk.h. */
#include "target/kvm_walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/guard.h"

/* A list in motion is chased again before its answer counts as broken. */
#define CHASE_TRIES 3

u64 walk_field(const struct walk *w, u64 base, enum ms_field_id id)
{
	return base + w->kmem->layout->f[id].off;
}

enum ms_field_id walk_nx_link(const struct ms_layout *l)
{
	return l->f[MS_F_sp_possible_nx_huge_page_link].present ? MS_F_sp_possible_nx_huge_page_link
								: MS_F_sp_lpage_disallowed_link;
}

void walk_head_decode(const struct walk *w, const u8 *raw, struct sp_head *h)
{
	const struct ms_layout *l = w->kmem->layout;
	const struct ms_field *link = &l->f[MS_F_sp_link], *nx_link = &l->f[walk_nx_link(l)];
	size_t len = w->raw_len;

	memset(h, 0, sizeof(*h));
	memcpy(&h->next, raw + link->off, 8);
	memcpy(&h->prev, raw + link->off + 8, 8);
	if (nx_link->present && nx_link->off + sizeof(h->nx_next) <= len)
		memcpy(&h->nx_next, raw + nx_link->off, sizeof(h->nx_next));
	h->gfn = ms_raw_field(l, raw, len, MS_F_sp_gfn);
	h->spt = ms_raw_field(l, raw, len, MS_F_sp_spt);
	h->translation = ms_raw_field(l, raw, len, MS_F_sp_shadowed_translation);
	h->role = (u32)ms_raw_field(l, raw, len, MS_F_sp_role);
	h->root_count = (u32)ms_raw_field(l, raw, len, MS_F_sp_root_count);
	h->unsync_children = (u32)ms_raw_field(l, raw, len, MS_F_sp_unsync_children);
	h->write_flooding = (u32)ms_raw_field(l, raw, len, MS_F_sp_write_flooding_count);
	h->tdp = ms_raw_field(l, raw, len, MS_F_sp_tdp_mmu_page) != 0;
	h->unsync = ms_raw_field(l, raw, len, MS_F_sp_unsync) != 0;
	h->gen = (u8)ms_raw_field(l, raw, len, MS_F_sp_mmu_valid_gen);
	h->nx = ms_raw_field(l, raw, len, MS_F_sp_nx_huge_page_disallowed) != 0 ||
		ms_raw_field(l, raw, len, MS_F_sp_lpage_disallowed) != 0;
	h->parents = ms_raw_field(l, raw, len, h->tdp ? MS_F_sp_ptep : MS_F_sp_parent_ptes);
}

/* Could this be a shadow page's header? Its table must be a page of plain memory. */
static bool head_plausible(const struct walk *w, const struct sp_head *h, bool tdp)
{
	return h->tdp == tdp && !(h->spt & (PAGE_BYTES - 1)) &&
	       ms_kmem_is_direct(w->kmem, h->spt, PAGE_BYTES) && !(h->gfn >> 52);
}

/* What a page is; counters, links and flags may change without making it another page. */
bool walk_head_same(const struct sp_head *a, const struct sp_head *b)
{
	return a->gfn == b->gfn && a->role == b->role && a->spt == b->spt &&
	       a->translation == b->translation && a->tdp == b->tdp;
}

struct sp *walk_add(struct walk *w, u64 addr)
{
	struct sp *grown = ms_grow(w->sps, &w->cap, w->nr + 1, sizeof(*grown));

	if (!grown || w->nr >= MS_MAP_NONE - 1 || !ms_map_put(&w->by_addr, addr, (u32)w->nr)) {
		if (grown)
			w->sps = grown;
		return NULL;
	}
	w->sps = grown;
	grown[w->nr] = (struct sp){ .addr = addr, .parent = NO_PARENT };
	return &grown[w->nr++];
}

void walk_drop_tables(struct sp *sp)
{
	free(sp->sptes);
	free(sp->translations);
	sp->sptes = sp->translations = NULL;
}

void walk_reset(struct walk *w)
{
	size_t i;

	for (i = 0; i < w->nr; i++)
		walk_drop_tables(&w->sps[i]);
	w->nr = 0;
	ms_map_deinit(&w->by_addr);
}

/* True to go on. */
static bool walk_progress(struct walk *w, u64 nr_pages)
{
	if (!w->want->progress || w->want->progress(w->want->progress_ctx, nr_pages))
		return true;
	w->rec.flags |= MS_WALK_BROKEN;
	return false;
}

struct ms_err *walk_read_heads(struct walk *w, size_t from, size_t end, bool tdp)
{
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;
	size_t step = w->kmem->buffer_pages, i, k;

	for (; !err && from < end; from += step) {
		size_t n = end - from < step ? end - from : step;

		for (i = 0; i < n; i++)
			if (!w->sps[from + i].linked)
				ms_kbatch_add(&batch, w->sps[from + i].addr, w->raw_len,
					      w->raw + i * w->raw_len);
		if (batch.oom) {
			err = ms_err_nomem();
			break;
		}
		err = batch.nr ? ms_kmem_read(w->kmem, batch.reqs, batch.nr) : NULL;
		for (i = k = 0; !err && i < n; i++) {
			struct sp *sp = &w->sps[from + i];

			if (sp->linked)
				continue;
			if (batch.reqs[k++].status) {
				sp->state = MS_SP_UNREADABLE;
				continue;
			}
			walk_head_decode(w, w->raw + i * w->raw_len, &sp->head);
			sp->state = head_plausible(w, &sp->head, tdp) ? MS_SP_CONFIRMED : MS_SP_UNLINKED;
		}
		batch.nr = 0;
	}
	ms_kbatch_deinit(&batch);
	return err;
}

/* Does this page keep what the guest's entries said? */
static bool has_translations(const struct walk *w, const struct sp *sp)
{
	return !sp->head.tdp && sp->head.translation && !(sp->head.translation & (PAGE_BYTES - 1)) &&
	       ms_kmem_is_direct(w->kmem, sp->head.translation, PAGE_BYTES);
}

u64 walk_child_table(const struct walk *w, u64 spte)
{
	u64 pfn = (spte & w->table_mask) >> 12;

	if (!(spte & SPTE_PRESENT) || (spte & SPTE_HUGE) || pfn >= w->kmem->max_pfn)
		return 0;
	return ms_kmem_va(w->kmem, pfn);
}

u32 walk_sp_level(const struct walk *w, const struct sp *sp)
{
	return ms_role_bit_get(&w->level, sp->head.role);
}

/* A level-1 table of the TDP MMU has no children to find: it is read only when its entries were asked for. */
static bool wants_table(const struct walk *w, const struct sp *sp)
{
	if (sp->state != MS_SP_CONFIRMED)
		return false;
	return (w->want->what & MS_WANT_SPTES) || walk_sp_level(w, sp) != 1;
}

/* One page's part of a batch. */
struct copy {
	u8 *raw; /* two headers, one after the other */
	u64 *again; /* the table once more, for a page with translations */
	u64 locked; /* by a writer, between table and translations */
	bool unreadable;
};

/*
 * KVM stores an entry first and what it translates after, under mmu_lock (mmu_set_spte()), in a page that it
 * does not clear: what is found there belongs to the entries if nobody held the lock in between, and if they
 * lead where they led when it was read.
 */
static bool translations_settled(const struct walk *w, const struct sp *sp, const struct copy *copy)
{
	size_t i;

	if (copy->locked)
		return false;
	for (i = 0; i < MS_SPTES; i++)
		if ((sp->sptes[i] ^ copy->again[i]) & (w->table_mask | SPTE_PRESENT))
			return false;
	return true;
}

static void judge_copy(struct walk *w, struct sp *sp, const struct copy *copy)
{
	struct sp_head before, after;

	if (copy->unreadable) {
		sp->state = MS_SP_UNREADABLE;
		walk_drop_tables(sp);
		return;
	}
	walk_head_decode(w, copy->raw, &before);
	walk_head_decode(w, copy->raw + w->raw_len, &after);
	if (!walk_head_same(&sp->head, &before) || !walk_head_same(&before, &after) ||
	    (!after.tdp && (before.next != after.next || before.prev != after.prev)) ||
	    (sp->translations && !translations_settled(w, sp, copy)))
		sp->state = MS_SP_TORN;
	sp->head = after;
}

/* Asks for header, table, translations between another two looks, header. False: memory is out. */
static bool ask_copy(struct walk *w, struct sp *sp, struct copy *copy, struct ms_kbatch *batch)
{
	sp->sptes = malloc(PAGE_BYTES);
	if (has_translations(w, sp))
		sp->translations = malloc(PAGE_BYTES);
	if (!sp->sptes || (has_translations(w, sp) && !sp->translations))
		return false;
	copy->locked = 0;
	ms_kbatch_add(batch, sp->addr, w->raw_len, copy->raw);
	ms_kbatch_add(batch, sp->head.spt, PAGE_BYTES, sp->sptes);
	if (sp->translations) {
		ms_kbatch_field(batch, w->kmem, w->vm->kvm, MS_F_kvm_mmu_lock_writer, &copy->locked);
		ms_kbatch_add(batch, sp->head.translation, PAGE_BYTES, sp->translations);
		ms_kbatch_add(batch, sp->head.spt, PAGE_BYTES, copy->again);
	}
	ms_kbatch_add(batch, sp->addr, w->raw_len, copy->raw + w->raw_len);
	return !batch->oom;
}

/* Tables of one batch, at w->sps + from. */
static struct ms_err *copy_tables(struct walk *w, size_t from, size_t n, struct copy *copies)
{
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;
	size_t i, at = 0;

	for (i = 0; i < n; i++) {
		struct sp *sp = &w->sps[from + i];

		if (sp->linked)
			continue;
		walk_drop_tables(sp);
		if (!wants_table(w, sp))
			continue;
		copies[i].unreadable = false;
		if (!ask_copy(w, sp, &copies[i], &batch)) {
			err = ms_err_nomem();
			goto out;
		}
	}
	err = batch.nr ? ms_kmem_read(w->kmem, batch.reqs, batch.nr) : NULL;
	for (i = 0; !err && i < n; i++) {
		struct sp *sp = &w->sps[from + i];
		bool last = false;

		if (sp->linked || !sp->sptes)
			continue;
		for (; !last; at++) {
			copies[i].unreadable |= batch.reqs[at].status != 0;
			last = batch.reqs[at].dst == copies[i].raw + w->raw_len;
		}
		judge_copy(w, sp, &copies[i]);
	}
out:
	ms_kbatch_deinit(&batch);
	return err;
}

struct ms_err *walk_read_tables(struct walk *w, size_t from, size_t end)
{
	size_t step = w->kmem->buffer_pages / 3 ? w->kmem->buffer_pages / 3 : 1, i;
	MS_FREE struct copy *copies = calloc(step, sizeof(*copies));
	MS_FREE u64 *again = malloc(step * PAGE_BYTES);
	struct ms_err *err = NULL;

	if (!copies || !again)
		return ms_err_nomem();
	for (i = 0; i < step; i++) {
		copies[i].raw = w->raw + 2 * i * w->raw_len;
		copies[i].again = again + i * MS_SPTES;
	}
	for (; !err && from < end && walk_progress(w, from); from += step)
		err = copy_tables(w, from, end - from < step ? end - from : step, copies);
	return err;
}

struct ms_err *walk_check_heads(struct walk *w)
{
	size_t step = w->kmem->buffer_pages, from, i, n;
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;

	for (from = 0; !err && from < w->nr; from += step) {
		n = w->nr - from < step ? w->nr - from : step;
		for (i = 0; i < n; i++)
			ms_kbatch_add(&batch, w->sps[from + i].addr, w->raw_len, w->raw + i * w->raw_len);
		err = batch.oom ? ms_err_nomem() : ms_kmem_read(w->kmem, batch.reqs, batch.nr);
		for (i = 0; !err && i < n; i++) {
			struct sp *sp = &w->sps[from + i];
			struct sp_head now = { 0 };

			if (!batch.reqs[i].status)
				walk_head_decode(w, w->raw + i * w->raw_len, &now);
			sp->parents_now = now.parents;
			if (sp->state != MS_SP_CONFIRMED || walk_head_same(&sp->head, &now))
				continue;
			sp->state = batch.reqs[i].status ? MS_SP_UNREADABLE : MS_SP_TORN;
			sp->linked = false;
		}
		batch.nr = 0;
	}
	ms_kbatch_deinit(&batch);
	return err;
}

struct ms_err *walk_read_list_head(struct walk *w, u64 head, u64 ends[2], bool *ok)
{
	struct ms_kread req = { .addr = head, .len = 16, .dst = ends };
	struct ms_err *err = ms_kmem_read(w->kmem, &req, 1);

	*ok = !err && !req.status;
	return err;
}

struct ms_err *walk_chase_pages(struct walk *w, u64 head, u64 first, u32 next_off, u64 limit, bool *closed)
{
	u32 link_off = w->kmem->layout->f[MS_F_sp_link].off;
	u32 chunk = w->kmem->buffer_pages * 64 < MS_KREAD_BUF_BYTES / 8 ? w->kmem->buffer_pages * 64
									: MS_KREAD_BUF_BYTES / 8;
	struct ms_chase_args args = { .cur = first, .stop = head, .next_off = next_off, .max = chunk };
	MS_FREE u64 *nodes = calloc(chunk, sizeof(*nodes));
	u64 met = 0;
	struct ms_err *err;
	u32 i;

	*closed = false;
	if (!nodes)
		return ms_err_nomem();
	do {
		err = ms_kmem_chase(w->kmem, &args, nodes);
		if (err)
			return err;
		for (i = 0; i < args.nr; i++) {
			u64 addr = nodes[i] - link_off;

			if (!ms_kmem_is_direct(w->kmem, addr, w->raw_len)) {
				w->rec.broken_at = nodes[i];
				return NULL;
			}
			if (ms_map_get(&w->by_addr, addr) != MS_MAP_NONE) {
				if (next_off)
					continue; /* the second direction meets what the first one had */
				w->rec.broken_at = nodes[i];
				return NULL;
			}
			if (!walk_add(w, addr))
				return ms_err_nomem();
		}
		met += args.nr;
	} while (args.end == MS_CHASE_MAX && args.nr && met < limit);
	*closed = args.end == MS_CHASE_STOP;
	if (!*closed)
		w->rec.broken_at = args.cur;
	return NULL;
}

struct ms_err *walk_chase_list(struct walk *w, u64 head, u64 limit, u64 ends[2])
{
	bool closed = false, ok = true;
	struct ms_err *err = NULL;
	u32 tries;

	for (tries = 0; !err && ok && tries < CHASE_TRIES && !closed; tries++) {
		walk_reset(w);
		w->rec.retries += tries > 0;
		err = walk_read_list_head(w, head, ends, &ok);
		if (!err && ok)
			err = walk_chase_pages(w, head, ends[0], 0, limit, &closed);
	}
	if (!closed)
		w->rec.flags |= MS_WALK_BROKEN;
	return err;
}
