/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shadow pages of one VM, without a lock.
 *
 * Legacy MMU: the pages hang on kvm->arch.active_mmu_pages, newest first. TDP MMU: from the roots on
 * kvm->arch.tdp_mmu_roots downwards, a level at a time; a table's page says which kvm_mmu_page it belongs to
 * (page->private).
 *
 * KVM changes all of this meanwhile. A page is `confirmed' only if
 *   1. its header says the same right before and right after its table was copied (gfn, role, table,
 * translations, links), and
 *   2. it is still part of this VM by what is read after the copy: for the legacy MMU by walking the list
 * again from the tail to the head over those later headers, for the TDP MMU by finding in its parent the
 * entry that led to it, up to a root that is still on the VM's list. A freed header is poisoned (list_del())
 * or handed to another VM; either way one of the two fails. A page that fails is looked at again a few times,
 * table and all, and then delivered with a label. What cannot be told: a page that left the VM and came back
 * as the same one, to the same place in the list, between two adjacent reads of one batch.
 *
 * Every address is checked before it is followed (ms_kmem_may_read()): a stale pointer leads to a refusal,
 * not to a read.
 */
#include "target/kmem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/guard.h"
#include "base/map.h"

#define SPTE_PRESENT (1ull << 11) /* SPTE_MMU_PRESENT_MASK: a #define, not to be read from a kernel */
#define SPTE_HUGE (1ull << 7)
#define PAGE_BYTES 4096u
#define TABLE_MASK 0x000ffffffffff000ull

#define NO_PARENT UINT32_MAX
/* A list in motion is chased again before its answer counts as broken. */
#define CHASE_TRIES 3
/* A VM has a few roots for each of its vCPUs' roles. */
#define MAX_TDP_ROOTS 4096
/* Pages whose place could not be confirmed are looked at again this often. */
#define CONFIRM_ROUNDS 4

struct sp_head {
	u64 next, prev; /* link; meaningless for TDP pages on 6.12 */
	u64 gfn, spt, translation, parents;
	u32 role;
	u32 root_count, unsync_children, write_flooding;
	u8 tdp, unsync, gen, nx;
};

struct sp {
	u64 addr;
	struct sp_head head;
	u32 parent; /* index of the TDP page whose entry led here */
	u32 idx; /* and which entry it was */
	u8 state; /* enum ms_sp_state */
	bool linked;
	u64 *sptes;
	u64 *translations;
};

struct walk {
	struct ms_kmem *kmem;
	const struct ms_rec_vm *vm;
	const struct ms_want *want;
	u64 table_mask; /* address bits of an SPTE */
	struct ms_role_bit level; /* where a role keeps the level */
	struct sp *sps;
	size_t nr, cap;
	struct ms_map by_addr;
	struct ms_rec_walk rec;
	u8 *raw; /* buffer_pages + 1 headers */
	u32 raw_len;
};

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

static u64 field_addr(const struct walk *w, u64 base, enum ms_field_id id)
{
	return base + w->kmem->layout->f[id].off;
}

static void head_decode(const struct walk *w, const u8 *raw, struct sp_head *h)
{
	const struct ms_layout *l = w->kmem->layout;
	const struct ms_field *link = &l->f[MS_F_sp_link];
	size_t len = w->raw_len;

	memset(h, 0, sizeof(*h));
	memcpy(&h->next, raw + link->off, 8);
	memcpy(&h->prev, raw + link->off + 8, 8);
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
static bool head_same(const struct sp_head *a, const struct sp_head *b)
{
	return a->gfn == b->gfn && a->role == b->role && a->spt == b->spt &&
	       a->translation == b->translation && a->tdp == b->tdp;
}

static struct sp *walk_add(struct walk *w, u64 addr)
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

static void drop_tables(struct sp *sp)
{
	free(sp->sptes);
	free(sp->translations);
	sp->sptes = sp->translations = NULL;
}

static void walk_reset(struct walk *w)
{
	size_t i;

	for (i = 0; i < w->nr; i++)
		drop_tables(&w->sps[i]);
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

/* Read the headers of pages [from, end), but for those already known to be in place. */
static struct ms_err *read_heads(struct walk *w, size_t from, size_t end, bool tdp)
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
			head_decode(w, w->raw + i * w->raw_len, &sp->head);
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

static u32 sp_level(const struct walk *w, const struct sp *sp)
{
	return sp->head.role >> w->level.bit & ((1u << w->level.width) - 1);
}

/* A level-1 table of the TDP MMU has no children to find: it is read only when its entries were asked for. */
static bool wants_table(const struct walk *w, const struct sp *sp)
{
	if (sp->state != MS_SP_CONFIRMED)
		return false;
	return (w->want->what & MS_WANT_SPTES) || sp_level(w, sp) != 1;
}

/* What was read of one page: header, table, header. raw: the two headers, one after the other. */
static void judge_copy(struct walk *w, struct sp *sp, const u8 *raw, bool unreadable)
{
	struct sp_head before, after;

	if (unreadable) {
		sp->state = MS_SP_UNREADABLE;
		drop_tables(sp);
		return;
	}
	head_decode(w, raw, &before);
	head_decode(w, raw + w->raw_len, &after);
	if (!head_same(&sp->head, &before) || !head_same(&before, &after) ||
	    (!after.tdp && (before.next != after.next || before.prev != after.prev)))
		sp->state = MS_SP_TORN;
	sp->head = after;
}

/* Copy the tables of pages [from, end) between two looks at their headers. Pages already in place are left
 * alone. */
static struct ms_err *read_tables(struct walk *w, size_t from, size_t end)
{
	size_t step = w->kmem->buffer_pages / 2 ? w->kmem->buffer_pages / 2 : 1, i, k;
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;

	for (; !err && from < end; from += step) {
		size_t n = end - from < step ? end - from : step;

		if (!walk_progress(w, from))
			break;
		for (i = 0; i < n; i++) {
			struct sp *sp = &w->sps[from + i];
			u8 *raw = w->raw + 2 * i * w->raw_len;

			if (sp->linked)
				continue;
			drop_tables(sp);
			if (!wants_table(w, sp))
				continue;
			sp->sptes = malloc(PAGE_BYTES);
			if (has_translations(w, sp))
				sp->translations = malloc(PAGE_BYTES);
			if (!sp->sptes || (has_translations(w, sp) && !sp->translations)) {
				err = ms_err_nomem();
				goto out;
			}
			ms_kbatch_add(&batch, sp->addr, w->raw_len, raw);
			ms_kbatch_add(&batch, sp->head.spt, PAGE_BYTES, sp->sptes);
			if (sp->translations)
				ms_kbatch_add(&batch, sp->head.translation, PAGE_BYTES, sp->translations);
			ms_kbatch_add(&batch, sp->addr, w->raw_len, raw + w->raw_len);
		}
		if (batch.oom) {
			err = ms_err_nomem();
			break;
		}
		err = batch.nr ? ms_kmem_read(w->kmem, batch.reqs, batch.nr) : NULL;
		for (i = k = 0; !err && i < n; i++) {
			struct sp *sp = &w->sps[from + i];
			size_t last = k + (sp->translations ? 4 : 3);
			bool bad = false;

			if (sp->linked || !sp->sptes)
				continue;
			for (; k < last; k++)
				bad |= batch.reqs[k].status != 0;
			judge_copy(w, sp, w->raw + 2 * i * w->raw_len, bad);
		}
		batch.nr = 0;
	}
out:
	ms_kbatch_deinit(&batch);
	return err;
}

/* The list head's two pointers. */
static struct ms_err *read_list_head(struct walk *w, u64 head, u64 ends[2], bool *ok)
{
	struct ms_kread req = { .addr = head, .len = 16, .dst = ends };
	struct ms_err *err = ms_kmem_read(w->kmem, &req, 1);

	*ok = !err && !req.status;
	return err;
}

/*
 * Chase one direction of a list and add the pages met. *closed: it came back to its own head. Addresses met
 * twice (a list that runs in a ring without its head) end the chase.
 */
static struct ms_err *chase_pages(struct walk *w, u64 head, u64 first, u32 next_off, u64 limit, bool *closed)
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

static struct ms_err *confirm_legacy(struct walk *w, u64 head)
{
	struct ms_err *err = NULL;
	u32 round;
	size_t i;
	bool ok;

	for (round = 0; round < CONFIRM_ROUNDS; round++) {
		u64 ends[2] = { 0 };

		if (round || !(w->want->what & MS_WANT_SPTES))
			err = read_heads(w, 0, w->nr, false);
		if (!err && round && (w->want->what & MS_WANT_SPTES))
			err = read_tables(w, 0, w->nr);
		if (!err)
			err = read_list_head(w, head, ends, &ok);
		if (err)
			return err;
		if (ok && confirm_ring(w, head, ends[1]) && !any_torn(w))
			break;
		w->rec.flags |= MS_WALK_CHANGED;
		w->rec.retries++;
	}
	for (i = 0; i < w->nr; i++)
		if (!w->sps[i].linked && w->sps[i].state == MS_SP_CONFIRMED)
			w->sps[i].state = MS_SP_UNLINKED;
	return NULL;
}

/*
 * The pages on a list, from its head on, and once more when it was in motion. A list that would not close, or
 * whose head cannot be read, is flagged. ends: the head's two pointers.
 */
static struct ms_err *chase_list(struct walk *w, u64 head, u64 limit, u64 ends[2])
{
	bool closed = false, ok = true;
	struct ms_err *err = NULL;
	u32 tries;

	for (tries = 0; !err && ok && tries < CHASE_TRIES && !closed; tries++) {
		walk_reset(w);
		w->rec.retries += tries > 0;
		err = read_list_head(w, head, ends, &ok);
		if (!err && ok)
			err = chase_pages(w, head, ends[0], 0, limit, &closed);
	}
	if (!closed)
		w->rec.flags |= MS_WALK_BROKEN;
	return err;
}

static struct ms_err *walk_legacy(struct walk *w)
{
	u64 head = field_addr(w, w->vm->kvm, MS_F_kvm_active_mmu_pages), ends[2] = { 0 };
	/* More nodes than this cannot be one VM's pages: KVM's own count, doubled for growth meanwhile. */
	u64 limit = w->vm->n_used_mmu_pages * 2 + 65536;
	bool closed;
	struct ms_err *err;

	err = chase_list(w, head, limit, ends);
	/* The other end of a broken list leads to what lies behind the break. */
	if (!err && w->rec.flags & MS_WALK_BROKEN)
		err = chase_pages(w, head, ends[1], 8, limit, &closed);
	if (!err)
		err = read_heads(w, 0, w->nr, false);
	if (!err && (w->want->what & MS_WANT_SPTES))
		err = read_tables(w, 0, w->nr);
	return err ? err : confirm_legacy(w, head);
}

/* --- TDP MMU --- */

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
		const u64 *sptes = sp_level(w, &w->sps[p]) > 1 ? w->sps[p].sptes : NULL;

		for (i = n = 0; sptes && i < MS_SPTES; i++) {
			u64 pfn = (sptes[i] & w->table_mask) >> 12;

			if (!(sptes[i] & SPTE_PRESENT) || (sptes[i] & SPTE_HUGE) || pfn >= kmem->max_pfn)
				continue;
			idx[n] = (u16)i;
			children[n] = 0;
			ms_kbatch_add(&batch, kmem->vmemmap + pfn * page_bytes + priv->off, 8, &children[n]);
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
		if (ms_kmem_va(w->kmem, (spte & w->table_mask) >> 12) != sp->head.spt ||
		    sp_level(w, sp) + 1 != sp_level(w, &w->sps[sp->parent]) ||
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
		err = read_list_head(w, head, ends, &ok);
	if (!err && ok)
		err = chase_pages(&roots, head, ends[0], 0, MAX_TDP_ROOTS, &closed);
	for (i = 0; !err && i < w->nr; i++) {
		struct sp *sp = &w->sps[i];

		if (i < nr_roots)
			sp->linked = closed && ms_map_get(&roots.by_addr, sp->addr) != MS_MAP_NONE;
		else
			sp->linked = w->sps[sp->parent].linked && (entries[i] & SPTE_PRESENT) &&
				     !(entries[i] & SPTE_HUGE) &&
				     ms_kmem_va(w->kmem, (entries[i] & w->table_mask) >> 12) == sp->head.spt;
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

static struct ms_err *walk_tdp(struct walk *w)
{
	u64 head = field_addr(w, w->vm->kvm, MS_F_kvm_tdp_mmu_roots), ends[2] = { 0 };
	size_t from, nr_roots;
	struct ms_err *err;

	err = chase_list(w, head, MAX_TDP_ROOTS, ends);
	if (err)
		return err;
	nr_roots = w->nr;
	err = read_heads(w, 0, nr_roots, true);
	/* Without page->private and the size of struct page there is no way down. */
	for (from = 0; !err && from < w->nr;) {
		size_t end = w->nr;

		err = read_tables(w, from, end);
		if (!err && w->kmem->layout->f[MS_F_page_private].present)
			err = add_children(w, from, end);
		if (!err)
			err = read_heads(w, end, w->nr, true);
		if (!err)
			check_children(w, end, w->nr);
		from = end;
	}
	return err ? err : confirm_tdp(w, head, nr_roots);
}

/* --- delivery --- */

static void sp_record(const struct walk *w, size_t i, struct ms_rec_sp *rec)
{
	const struct ms_layout *l = w->kmem->layout;
	const struct sp *sp = &w->sps[i];
	const struct {
		enum ms_field_id id;
		u64 have;
		bool legacy_only;
	} fields[] = {
		{ MS_F_sp_unsync, MS_SP_HAVE_UNSYNC, true },
		{ MS_F_sp_unsync_children, MS_SP_HAVE_UNSYNC_CHILDREN, true },
		{ MS_F_sp_root_count, MS_SP_HAVE_ROOT_COUNT, false },
		{ sp->head.tdp ? MS_F_sp_ptep : MS_F_sp_parent_ptes, MS_SP_HAVE_PARENTS, false },
		{ MS_F_sp_mmu_valid_gen, MS_SP_HAVE_GEN, true },
		{ MS_F_sp_write_flooding_count, MS_SP_HAVE_WRITE_FLOODING, true },
	};
	size_t f;

	*rec = (struct ms_rec_sp){
		.kvm = w->vm->kvm,
		.sp = sp->addr,
		.gfn = sp->head.gfn,
		.spt_pfn = ms_kmem_is_direct(w->kmem, sp->head.spt, PAGE_BYTES)
				   ? ms_kmem_pfn(w->kmem, sp->head.spt)
				   : 0,
		.parents = sp->head.parents,
		.translation = sp->head.translation,
		.order = i,
		.role = sp->head.role,
		.root_count = sp->head.root_count,
		.unsync_children = sp->head.unsync_children,
		.write_flooding = sp->head.write_flooding,
		.tdp_mmu_page = sp->head.tdp,
		.unsync = sp->head.unsync,
		.mmu_valid_gen = sp->head.gen,
		.nx_disallowed = sp->head.nx,
		.state = sp->state,
	};
	for (f = 0; f < sizeof(fields) / sizeof(fields[0]); f++)
		if (l->f[fields[f].id].present && !(sp->head.tdp && fields[f].legacy_only))
			rec->have |= fields[f].have;
	if (l->f[MS_F_sp_nx_huge_page_disallowed].present || l->f[MS_F_sp_lpage_disallowed].present)
		rec->have |= MS_SP_HAVE_NX_DISALLOWED;
	if ((w->want->what & MS_WANT_SPTES) && sp->sptes)
		rec->have |= MS_SP_HAVE_SPTES | (sp->translations ? MS_SP_HAVE_TRANSLATIONS : 0);
}

static struct ms_err *deliver(struct walk *w, const struct ms_sink *sink)
{
	struct ms_sp_tables *tables = calloc(1, sizeof(*tables));
	struct ms_err *err = NULL;
	size_t i;

	if (!tables)
		return ms_err_nomem();
	for (i = 0; !err && i < w->nr; i++) {
		struct sp *sp = &w->sps[i];
		struct ms_rec_sp rec;

		w->rec.nr_torn += sp->state == MS_SP_TORN;
		w->rec.nr_unlinked += sp->state == MS_SP_UNLINKED;
		w->rec.nr_unreadable += sp->state == MS_SP_UNREADABLE;
		sp_record(w, i, &rec);
		if (rec.have & MS_SP_HAVE_SPTES)
			memcpy(tables->sptes, sp->sptes, PAGE_BYTES);
		if (rec.have & MS_SP_HAVE_TRANSLATIONS)
			memcpy(tables->translations, sp->translations, PAGE_BYTES);
		err = sink->put(sink->ctx, MS_REC_SP, &rec, rec.have & MS_SP_HAVE_SPTES ? tables : NULL);
		/* Given back as we go: the receiver holds its own copy, and there is no room for two. */
		drop_tables(sp);
	}
	w->rec.nr_pages = w->nr;
	w->rec.end_ns = now_ns();
	if (!err && w->kmem->alive) {
		bool alive = true;

		err = w->kmem->alive(w->kmem, w->vm->kvm, &alive);
		if (!alive)
			w->rec.flags |= MS_WALK_VM_GONE;
	}
	if (!err)
		err = sink->put(sink->ctx, MS_REC_WALK, &w->rec, NULL);
	free(tables);
	return err;
}

static struct ms_err *walk_one(struct ms_kmem *kmem, const struct ms_rec_host *host,
			       const struct ms_rec_vm *vm, u32 which, const struct ms_want *want,
			       const struct ms_sink *sink)
{
	struct walk w = { .kmem = kmem, .vm = vm, .want = want };
	struct ms_err *err;
	u32 i;

	w.rec = (struct ms_rec_walk){ .kvm = vm->kvm, .flags = which, .start_ns = now_ns() };
	w.raw_len = kmem->layout->type_size[MS_T_kvm_mmu_page];
	for (i = 0; i < kmem->layout->nr_role; i++)
		if (!strcmp(kmem->layout->role[i].name, "level"))
			w.level = kmem->layout->role[i];
	if (!w.level.width || w.level.bit + w.level.width > 31)
		return ms_err_new(MS_ERR_TARGET, "this kernel's kvm_mmu_page_role has no level");
	w.table_mask = TABLE_MASK;
	if (host->have & MS_HOST_HAVE_MASK(MS_SM_me_mask))
		w.table_mask &= ~host->masks[MS_SM_me_mask];
	if (!w.raw_len || w.raw_len > MS_KREAD_MAX_LEN)
		return ms_err_new(MS_ERR_TARGET, "this kernel's struct kvm_mmu_page has %u bytes: not read",
				  w.raw_len);
	w.raw = calloc(kmem->buffer_pages + 1, w.raw_len);
	if (!w.raw)
		return ms_err_nomem();
	err = which == MS_WALK_LEGACY ? walk_legacy(&w) : walk_tdp(&w);
	if (!err)
		err = deliver(&w, sink);
	walk_reset(&w);
	free(w.sps);
	free(w.raw);
	return err;
}

struct ms_err *ms_kvm_read_sps(struct ms_kmem *kmem, const struct ms_rec_host *host,
			       const struct ms_rec_vm *vm, const struct ms_want *want,
			       const struct ms_sink *sink)
{
	struct ms_err *err = NULL;

	if (vm->have & MS_VM_HAVE_LEGACY)
		err = walk_one(kmem, host, vm, MS_WALK_LEGACY, want, sink);
	if (!err && (vm->have & MS_VM_HAVE_TDP_MMU))
		err = walk_one(kmem, host, vm, MS_WALK_TDP, want, sink);
	return err;
}
