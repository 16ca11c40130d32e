/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of SPTEs and counts of frames of one VM, without a lock: memslot.arch.rmap, gfn_write_track, lpage_info, and
 * kvm_mmu_page.parent_ptes.
 *
 * A list is read from its head along its descriptors, and then once more, head and descriptors. What said the same
 * both times was so at the moment between the two. One that did not is read again a few times and then labelled
 * torn. Who owns the lists is looked at after them: the memslot must still be there with the same arrays, the page
 * must have the same gfn and role. What cannot be told: a list that changed and changed back between two reads.
 *
 * The arrays lie in vmalloc space, where a stale pointer may lead to a device. So no address there is read: the
 * kernel's page tables are walked, and the frame is read in the direct map, which has plain memory only.
 */
#include "target/hostpt.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "target/kvm_slots.h"

#define PAGE 4096u
#define TRIES 4
#define NR_LEVELS 3 /* KVM_NR_PAGE_SIZES */
#define DESC_BYTES_MAX 256u
/* Of one piece of an array, or as many pages: 8 MiB of descriptors in the worst case. */
#define LISTS 512u
#define NODES_MAX (1u << 17) /* of so many lists, each of 1001 SPTEs, over all tries */
#define SLOT_PAGES_MAX (1ull << 31) /* KVM_MEM_MAX_NR_PAGES */
#define UNREAD_IN_A_ROW 16

struct node {
	u64 addr;
	u32 next; /* in its list, 0: the last; index + 1 */
	u8 raw[DESC_BYTES_MAX], again[DESC_BYTES_MAX];
};

struct list {
	u64 at; /* where its head lies, in the direct map */
	u64 head, head_again;
	u64 cur; /* the descriptor to be read next, 0: at the end */
	u64 own[2], own_again[2]; /* a page's gfn and role */
	u32 first, last, nr_nodes; /* in nodes, index + 1 */
	struct ms_rec_rmap rec;
	bool done;
};

struct parent {
	u64 sp, gfn;
	u32 role;
};

struct reader {
	struct ms_kmem *kmem;
	const struct ms_rec_vm *vm;
	const struct ms_want *want;
	const struct ms_sink *sink;
	struct ms_rec_rmaps rec;
	u64 table_mask; /* address bits of an entry of the kernel's page tables */
	u32 desc_bytes;
	/* The last table of the kernel's that was walked to: the 2 MiB of vmalloc space from leaf_at. */
	u64 leaf_at, leaf[MS_SPTES];
	struct list lists[LISTS];
	size_t nr;
	struct node *nodes;
	size_t nr_nodes, nodes_cap;
	u64 progress;
	bool stop;
};

static struct ms_err *read_one(struct reader *r, u64 addr, u32 len, void *dst, bool *ok_ret)
{
	struct ms_kread req = { .addr = addr, .len = len, .dst = dst };
	struct ms_err *err = ms_kmem_read(r->kmem, &req, 1);

	*ok_ret = !err && !req.status;
	return err;
}

/* The same byte in the direct map; 0 when there is none. */
static struct ms_err *resolve(struct reader *r, u64 addr, u64 *ret)
{
	u32 level = host_pt_levels(r->kmem), shift;
	u64 table = r->kmem->sym[MS_KSYM_init_top_pgt], entry = 0, pa;
	struct ms_err *err = NULL;
	enum host_entry kind;
	bool ok = table != 0;

	*ret = 0;
	if (ms_kmem_is_direct(r->kmem, addr, 1)) {
		*ret = addr;
		return NULL;
	}
	if (r->leaf_at == (addr >> 21 << 21) && ok) {
		level = 1;
		entry = r->leaf[addr >> 12 & 511];
	}
	for (; ok; level--) {
		shift = 12 + 9 * (level - 1);
		if (level == 1 && r->leaf_at != addr >> 21 << 21) {
			r->leaf_at = 0;
			err = read_one(r, table, PAGE, r->leaf, &ok);
			if (err || !ok)
				return err;
			r->leaf_at = addr >> 21 << 21;
		}
		if (level == 1)
			entry = r->leaf[addr >> 12 & 511];
		else
			err = read_one(r, table + 8 * (addr >> shift & 511), 8, &entry, &ok);
		if (err || !ok)
			return err;
		kind = host_entry_decode(entry, level, r->table_mask, &pa);
		if (kind != HOST_ENTRY_TABLE && kind != HOST_ENTRY_PAGE)
			return NULL;
		if (kind == HOST_ENTRY_PAGE) {
			pa |= addr & ((1ull << shift) - 1);
			ok = pa >> 12 < r->kmem->max_pfn;
			*ret = ok ? r->kmem->page_offset + pa : 0;
			return NULL;
		}
		table = r->kmem->page_offset + pa;
		ok = ms_kmem_is_direct(r->kmem, table, PAGE);
	}
	return NULL;
}

/* --- lists --- */

static void list_reset(struct list *l)
{
	l->first = l->last = l->nr_nodes = 0;
	l->cur = 0;
	l->rec.have &= ~MS_RMAP_ENDLESS;
	l->rec.state = MS_RMAP_CONFIRMED;
}

static void ask_head(struct reader *r, struct ms_kbatch *batch, struct list *l, u64 *head, u64 *own)
{
	ms_kbatch_add(batch, l->at, 8, head);
	if (!l->rec.sp)
		return;
	ms_kbatch_field(batch, r->kmem, l->rec.sp, MS_F_sp_gfn, &own[0]);
	ms_kbatch_field(batch, r->kmem, l->rec.sp, MS_F_sp_role, &own[1]);
}

static bool is_in_chain(const struct reader *r, const struct list *l, u64 desc)
{
	u32 n;

	for (n = l->first; n; n = r->nodes[n - 1].next)
		if (r->nodes[n - 1].addr == desc)
			return true;
	return false;
}

/* One step along every chain that goes on. */
static struct ms_err *step(struct reader *r, struct ms_map *met, bool *more_ret)
{
	size_t from = r->nr_nodes, i, k;
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;
	struct node *grown = ms_grow(r->nodes, &r->nodes_cap, from + r->nr, sizeof(*grown));

	if (!grown)
		return ms_err_nomem();
	r->nodes = grown;
	*more_ret = false;
	for (i = 0; i < r->nr && !err; i++) {
		struct list *l = &r->lists[i];
		struct node *n;

		if (!l->cur)
			continue;
		/* Where two lists have one descriptor, one of them was changed; a chain that has it twice is a ring. */
		if (ms_map_get(met, l->cur) != MS_MAP_NONE || r->nr_nodes >= NODES_MAX) {
			if (is_in_chain(r, l, l->cur))
				l->rec.have |= MS_RMAP_ENDLESS;
			else
				l->rec.state = MS_RMAP_TORN;
			l->cur = 0;
			continue;
		}
		if (!ms_map_put(met, l->cur, 1)) {
			err = ms_err_nomem();
			break;
		}
		n = &r->nodes[r->nr_nodes++];
		*n = (struct node){ .addr = l->cur };
		ms_kbatch_add(&batch, l->cur, r->desc_bytes, n->raw);
	}
	if (!err)
		err = batch.oom	 ? ms_err_nomem()
		      : batch.nr ? ms_kmem_read(r->kmem, batch.reqs, batch.nr)
				 : NULL;
	for (i = 0, k = from; !err && i < r->nr && k < r->nr_nodes; i++) {
		struct list *l = &r->lists[i];

		if (!l->cur)
			continue;
		if (batch.reqs[k - from].status) {
			l->rec.state = MS_RMAP_UNREADABLE;
			l->cur = 0;
			k++;
			continue;
		}
		if (l->last)
			r->nodes[l->last - 1].next = (u32)k + 1;
		else
			l->first = (u32)k + 1;
		l->last = (u32)++k;
		l->nr_nodes++;
		l->cur = ms_raw_field(r->kmem->layout, r->nodes[k - 1].raw, r->desc_bytes, MS_F_desc_more);
		*more_ret |= l->cur != 0;
	}
	ms_kbatch_deinit(&batch);
	return err;
}

/* All lists that are not done, head and chain; and all of it a second time. */
static struct ms_err *read_round(struct reader *r)
{
	struct ms_kbatch batch = { 0 };
	struct ms_map met = { 0 };
	struct ms_err *err = NULL;
	bool more = true;
	size_t i;
	u32 n;

	for (i = 0; i < r->nr; i++)
		if (!r->lists[i].done) {
			list_reset(&r->lists[i]);
			ask_head(r, &batch, &r->lists[i], &r->lists[i].head, r->lists[i].own);
		}
	err = ms_kbatch_run(&batch, r->kmem, NULL);
	for (i = 0; i < r->nr; i++)
		if (!r->lists[i].done && r->lists[i].head & MS_RMAP_MANY)
			r->lists[i].cur = r->lists[i].head & ~MS_RMAP_FLAGS;
	while (!err && more)
		err = step(r, &met, &more);
	ms_map_deinit(&met);
	for (i = 0; !err && i < r->nr; i++) {
		struct list *l = &r->lists[i];

		if (l->done)
			continue;
		ask_head(r, &batch, l, &l->head_again, l->own_again);
		for (n = l->first; n; n = r->nodes[n - 1].next)
			ms_kbatch_add(&batch, r->nodes[n - 1].addr, r->desc_bytes, r->nodes[n - 1].again);
	}
	if (!err)
		err = ms_kbatch_run(&batch, r->kmem, NULL);
	for (i = 0; !err && i < r->nr; i++) {
		struct list *l = &r->lists[i];
		bool same = l->head == l->head_again && !(l->head & MS_RMAP_LOCKED) &&
			    !memcmp(l->own, l->own_again, sizeof(l->own));

		if (l->done)
			continue;
		for (n = l->first; n && same; n = r->nodes[n - 1].next)
			same = !memcmp(r->nodes[n - 1].raw, r->nodes[n - 1].again, r->desc_bytes);
		if (!same)
			l->rec.state = MS_RMAP_TORN;
		l->done = l->rec.state == MS_RMAP_CONFIRMED;
	}
	ms_kbatch_deinit(&batch);
	return err;
}

static struct ms_err *put_list(struct reader *r, struct list *l)
{
	const struct ms_layout *layout = r->kmem->layout;
	struct ms_err *err;
	u32 n, i;

	l->rec.head = l->head;
	l->rec.nr_descs = l->nr_nodes;
	l->rec.nr_entries = l->head & MS_RMAP_MANY ? 0 : 1;
	for (n = l->first; n; n = r->nodes[n - 1].next) {
		u64 count = ms_raw_field(layout, r->nodes[n - 1].raw, r->desc_bytes, MS_F_desc_spte_count);

		l->rec.nr_entries += count < MS_RMAP_EXT ? (u32)count : MS_RMAP_EXT;
	}
	r->rec.nr_lists++;
	r->rec.nr_torn += l->rec.state == MS_RMAP_TORN;
	r->rec.nr_unreadable += l->rec.state == MS_RMAP_UNREADABLE;
	err = r->sink->put(r->sink->ctx, MS_REC_RMAP, &l->rec, NULL);
	for (n = l->first; n && !err; n = r->nodes[n - 1].next) {
		const u8 *raw = r->nodes[n - 1].raw;
		struct ms_rec_rmap_desc desc = {
			.kvm = r->vm->kvm,
			.desc = r->nodes[n - 1].addr,
			.more = ms_raw_field(layout, raw, r->desc_bytes, MS_F_desc_more),
			.count = ms_raw_field(layout, raw, r->desc_bytes, MS_F_desc_spte_count),
			.tail_count = ms_raw_field(layout, raw, r->desc_bytes, MS_F_desc_tail_count),
		};

		for (i = 0; i < desc.count && i < MS_RMAP_EXT; i++)
			memcpy(&desc.sptes[i], raw + layout->f[MS_F_desc_sptes].off + 8 * i, 8);
		err = r->sink->put(r->sink->ctx, MS_REC_RMAP_DESC, &desc, NULL);
	}
	return err;
}

/* The lists collected so far; alive: who owns them is as it was when they were collected. */
static struct ms_err *run_lists(struct reader *r)
{
	struct ms_err *err = NULL;
	u32 tries;
	size_t i;

	r->nr_nodes = 0;
	for (tries = 0; !err && tries < TRIES; tries++) {
		err = read_round(r);
		for (i = 0; i < r->nr && r->lists[i].done;)
			i++;
		if (i == r->nr)
			break;
		r->rec.retries++;
		r->rec.flags |= MS_RMAPS_CHANGED;
	}
	return err;
}

static struct ms_err *put_lists(struct reader *r, bool owned)
{
	struct ms_err *err = NULL;
	size_t i;

	for (i = 0; i < r->nr && !err; i++) {
		if (!owned)
			r->lists[i].rec.state = MS_RMAP_TORN;
		if (r->lists[i].head)
			err = put_list(r, &r->lists[i]);
	}
	r->nr = 0;
	return err;
}

/* --- memslots --- */

struct slot_at {
	u64 addr, memslots, gen, base_gfn, npages;
	u32 as_id;
	u64 arrays[2 * NR_LEVELS]; /* rmap by level - 1; lpage_info by level - 2; write track */
};

#define TRACK (2 * NR_LEVELS - 1)

static struct ms_err *read_arrays(struct reader *r, u64 slot, u64 *arrays, bool *ok_ret)
{
	const struct ms_field *rmap = &r->kmem->layout->f[MS_F_memslot_rmap];
	const struct ms_field *lpage = &r->kmem->layout->f[MS_F_memslot_lpage_info];
	const struct ms_field *track = &r->kmem->layout->f[MS_F_memslot_gfn_write_track];
	struct ms_kbatch batch = { 0 };
	struct ms_err *err;
	size_t failed = 0;

	if (!track->present)
		track = &r->kmem->layout->f[MS_F_memslot_gfn_track];
	memset(arrays, 0, 8 * 2 * NR_LEVELS);
	if (rmap->present && rmap->size == 8 * NR_LEVELS)
		ms_kbatch_add(&batch, slot + rmap->off, rmap->size, arrays);
	if (lpage->present && lpage->size == 8 * (NR_LEVELS - 1))
		ms_kbatch_add(&batch, slot + lpage->off, lpage->size, arrays + NR_LEVELS);
	if (track->present && track->size == 8)
		ms_kbatch_add(&batch, slot + track->off, 8, &arrays[TRACK]);
	err = ms_kbatch_run(&batch, r->kmem, &failed);
	*ok_ret = !failed;
	ms_kbatch_deinit(&batch);
	return err;
}

/* Is the slot still its VM's, with the same arrays? It may have a new struct: flags that change replace it. */
static struct ms_err *slot_holds(struct reader *r, struct slot_at *s, bool *ret)
{
	u64 at = r->vm->kvm + r->kmem->layout->f[MS_F_kvm_memslots].off + 8ull * s->as_id;
	u64 now[2] = { 0 }, arrays[2 * NR_LEVELS];
	struct slot_set set = { 0 };
	struct ms_err *err;
	bool ok;
	size_t i;

	*ret = false;
	err = read_one(r, at, 8, &now[0], &ok);
	if (!err && ok && now[0] == s->memslots)
		err = read_one(r, s->memslots + r->kmem->layout->f[MS_F_memslots_generation].off, 8, &now[1],
			       &ok);
	if (err || (ok && now[0] == s->memslots && now[1] == s->gen)) {
		*ret = !err;
		return err;
	}
	r->rec.flags |= MS_RMAPS_CHANGED;
	err = kvm_slots_read(r->kmem, r->vm->kvm, s->as_id, &set);
	for (i = 0; !err && set.stable && i < set.nr && !*ret; i++) {
		if (set.slots[i].base_gfn != s->base_gfn || set.slots[i].npages != s->npages)
			continue;
		err = read_arrays(r, set.slots[i].node - set.node_off, arrays, &ok);
		*ret = !err && ok && !memcmp(arrays, s->arrays, sizeof(arrays));
	}
	s->memslots = set.memslots;
	s->gen = set.gen;
	free(set.slots);
	return err;
}

static struct ms_err *counts_piece(struct reader *r, struct slot_at *s, const u8 *buf, u64 first, u64 nr,
				   u32 level, u32 bytes, u32 off)
{
	struct ms_err *err;
	bool owned;
	u64 i;

	err = slot_holds(r, s, &owned);
	for (i = 0; i < nr && !err; i++) {
		struct ms_rec_gfn rec = { .kvm = r->vm->kvm, .as_id = (u16)s->as_id, .level = (u8)level };

		memcpy(&rec.count, buf + i * bytes + off, level == 1 ? 2 : 4);
		if (!rec.count)
			continue;
		rec.gfn = ((s->base_gfn >> 9 * (level - 1)) + first + i) << 9 * (level - 1);
		rec.state = owned ? MS_RMAP_CONFIRMED : MS_RMAP_TORN;
		r->rec.nr_counts++;
		err = r->sink->put(r->sink->ctx, MS_REC_GFN, &rec, NULL);
	}
	return err;
}

static struct ms_err *rmaps_piece(struct reader *r, struct slot_at *s, const u8 *buf, u64 va, u64 first,
				  u64 nr, u32 level)
{
	struct ms_err *err;
	bool owned;
	u64 i, head;

	for (i = 0; i < nr; i++) {
		memcpy(&head, buf + 8 * i, 8);
		if (!head)
			continue;
		r->lists[r->nr++] = (struct list){
			.at = va + 8 * i,
			.rec = { .have = MS_RMAP_HAVE_GFN,
				 .kvm = r->vm->kvm,
				 .as_id = (u16)s->as_id,
				 .level = (u8)level,
				 .gfn = ((s->base_gfn >> 9 * (level - 1)) + first + i) << 9 * (level - 1) },
		};
	}
	if (!r->nr)
		return NULL;
	for (i = 0; i < r->nr; i++)
		if (r->kmem->layout->f[MS_F_desc_tail_count].present)
			r->lists[i].rec.have |= MS_RMAP_HAVE_TAIL_COUNT;
	err = run_lists(r);
	if (!err)
		err = slot_holds(r, s, &owned);
	return err ? err : put_lists(r, owned);
}

/* One of a slot's arrays, a frame of the host at a time. */
static struct ms_err *read_array(struct reader *r, struct slot_at *s, u32 which)
{
	bool rmap = which < NR_LEVELS;
	u32 level = rmap ? which + 1 : which == TRACK ? 1 : which - NR_LEVELS + 2, shift = 9 * (level - 1);
	u32 bytes = rmap ? 8 : which == TRACK ? 2 : r->kmem->layout->type_size[MS_T_kvm_lpage_info];
	u32 off = rmap || which == TRACK ? 0 : r->kmem->layout->f[MS_F_lpage_info_disallow].off;
	u64 nr = ((s->base_gfn + s->npages - 1) >> shift) - (s->base_gfn >> shift) + 1, i = 0, va, piece;
	struct ms_err *err = NULL;
	u32 unread = 0;
	u8 buf[PAGE];
	bool ok;

	if (!rmap && (bytes < 2 || bytes > 8 || off + (which == TRACK ? 2 : 4) > bytes || PAGE % bytes))
		return NULL;
	r->leaf_at = 0;
	for (; i < nr && !err && !r->stop; i += piece) {
		u64 at = s->arrays[which] + i * bytes;

		piece = (PAGE - (at & (PAGE - 1))) / bytes;
		if (!piece)
			break; /* no array of this kind is aligned so */
		if (piece > nr - i)
			piece = nr - i;
		err = resolve(r, at, &va);
		ok = va != 0;
		if (!err && ok)
			err = read_one(r, va, (u32)piece * bytes, buf, &ok);
		if (!err && !ok) {
			r->rec.flags |= MS_RMAPS_UNREAD;
			r->rec.nr_unread++;
			if (++unread == UNREAD_IN_A_ROW)
				break;
			continue;
		}
		unread = 0;
		if (!err)
			err = rmap ? rmaps_piece(r, s, buf, va, i, piece, level)
				   : counts_piece(r, s, buf, i, piece, level, bytes, off);
		if (!(++r->progress % 256) && r->want->progress &&
		    !r->want->progress(r->want->progress_ctx, r->progress)) {
			r->stop = true;
			r->rec.flags |= MS_RMAPS_BROKEN;
		}
	}
	return err;
}

static struct ms_err *read_slot_arrays(struct reader *r, struct slot_at *s)
{
	struct ms_err *err;
	bool ok;
	u32 a;

	err = read_arrays(r, s->addr, s->arrays, &ok);
	if (err)
		return err;
	if (!ok || s->npages > SLOT_PAGES_MAX || s->base_gfn >> 52) {
		r->rec.flags |= MS_RMAPS_UNREAD;
		r->rec.nr_unread++;
		return NULL;
	}
	for (a = 0; a < 2 * NR_LEVELS && !err && !r->stop; a++) {
		if (s->arrays[a])
			err = read_array(r, s, a);
		else if (r->rec.have & (a < NR_LEVELS ? MS_RMAPS_HAVE_RMAPS
					: a == TRACK  ? MS_RMAPS_HAVE_WRITE_TRACK
						      : MS_RMAPS_HAVE_LPAGE))
			r->rec.flags |= MS_RMAPS_NO_ARRAY;
	}
	return err;
}

static struct ms_err *read_as(struct reader *r, u32 as_id)
{
	struct slot_set set = { 0 };
	struct ms_err *err = kvm_slots_read(r->kmem, r->vm->kvm, as_id, &set);
	size_t i;

	if (err)
		return err;
	if (!set.stable)
		r->rec.flags |= MS_RMAPS_UNSTABLE;
	for (i = 0; i < set.nr && !err && !r->stop; i++) {
		struct slot_at s = { .addr = set.slots[i].node - set.node_off,
				     .memslots = set.memslots,
				     .gen = set.gen,
				     .base_gfn = set.slots[i].base_gfn,
				     .npages = set.slots[i].npages,
				     .as_id = as_id };

		if (set.slots[i].as_id == as_id && s.npages)
			err = read_slot_arrays(r, &s);
	}
	free(set.slots);
	return err;
}

/* --- parents --- */

struct parents {
	struct parent *p;
	size_t nr, cap;
};

static struct ms_err *collect(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables)
{
	const struct ms_rec_sp *sp = rec;
	struct parents *ps = ctx;
	struct parent *grown;

	(void)tables;
	if (type != MS_REC_SP || sp->tdp_mmu_page || sp->state != MS_SP_CONFIRMED || !sp->parents)
		return NULL;
	grown = ms_grow(ps->p, &ps->cap, ps->nr + 1, sizeof(*grown));
	if (!grown)
		return ms_err_nomem();
	ps->p = grown;
	grown[ps->nr++] = (struct parent){ .sp = sp->sp, .gfn = sp->gfn, .role = sp->role };
	return NULL;
}

static struct ms_err *read_parents(struct reader *r, const struct ms_rec_host *host)
{
	const struct ms_want headers = { .what = MS_WANT_SPS, .kvm = r->vm->kvm };
	struct parents ps = { 0 };
	const struct ms_sink sink = { .put = collect, .ctx = &ps };
	const struct ms_role_bit *bit = ms_layout_role_bit(r->kmem->layout, "level");
	struct ms_rec_vm legacy = *r->vm;
	struct ms_err *err;
	size_t i, k;

	legacy.have &= ~MS_VM_HAVE_TDP_MMU;
	err = ms_kvm_read_sps(r->kmem, host, &legacy, &headers, &sink);
	for (i = 0; i < ps.nr && !err && !r->stop;) {
		for (; i < ps.nr && r->nr < LISTS; i++) {
			u32 level = bit ? ms_role_bit_get(bit, ps.p[i].role) : 0;

			r->lists[r->nr++] = (struct list){
				.at = ps.p[i].sp + r->kmem->layout->f[MS_F_sp_parent_ptes].off,
				.rec = { .kvm = r->vm->kvm,
					 .sp = ps.p[i].sp,
					 .level = (u8)(level && level < 6 ? level + 1 : 0) },
			};
			if (r->kmem->layout->f[MS_F_desc_tail_count].present)
				r->lists[r->nr - 1].rec.have |= MS_RMAP_HAVE_TAIL_COUNT;
		}
		err = run_lists(r);
		/* Another page by now: its parents are not those of the page that was there. */
		for (k = 0; k < r->nr; k++)
			if (r->lists[k].own[0] != ps.p[i - r->nr + k].gfn ||
			    (u32)r->lists[k].own[1] != ps.p[i - r->nr + k].role)
				r->lists[k].rec.state = MS_RMAP_TORN;
		if (!err)
			err = put_lists(r, true);
	}
	free(ps.p);
	return err;
}

/* What this kernel's layout lets us read. */
static u64 readable(const struct reader *r)
{
	const struct ms_field *f = r->kmem->layout->f;
	u64 have = MS_RMAPS_HAVE_DIRECT_MAP;
	bool descs = r->desc_bytes && r->desc_bytes <= DESC_BYTES_MAX && f[MS_F_desc_more].present &&
		     f[MS_F_desc_spte_count].present && f[MS_F_desc_sptes].size == 8 * MS_RMAP_EXT &&
		     f[MS_F_desc_sptes].off + 8 * MS_RMAP_EXT <= r->desc_bytes;

	if (f[MS_F_kvm_memslots].present) {
		if (descs && f[MS_F_memslot_rmap].size == 8 * NR_LEVELS)
			have |= MS_RMAPS_HAVE_RMAPS;
		if (f[MS_F_memslot_gfn_write_track].size == 8 || f[MS_F_memslot_gfn_track].size == 8)
			have |= MS_RMAPS_HAVE_WRITE_TRACK;
		if (f[MS_F_memslot_lpage_info].size == 8 * (NR_LEVELS - 1) &&
		    f[MS_F_lpage_info_disallow].present)
			have |= MS_RMAPS_HAVE_LPAGE;
	}
	if (descs && f[MS_F_sp_parent_ptes].present && r->vm->have & MS_VM_HAVE_LEGACY)
		have |= MS_RMAPS_HAVE_PARENTS;
	return have;
}

/* For whoever compares lists with pages, which were read before: did the memslots stay as they were? */
static struct ms_err *read_generations(struct reader *r)
{
	const struct ms_field *f = r->kmem->layout->f;
	struct ms_err *err = NULL;
	u64 memslots = 0;
	bool ok = true;
	u32 as_id;

	if (!f[MS_F_kvm_memslots].present || !f[MS_F_memslots_generation].present)
		return NULL;
	for (as_id = 0; as_id < 2 && as_id < f[MS_F_kvm_memslots].nr_elems && ok && !err; as_id++) {
		err = read_one(r, r->vm->kvm + f[MS_F_kvm_memslots].off + 8ull * as_id, 8, &memslots, &ok);
		if (!err && ok)
			err = read_one(r, memslots + f[MS_F_memslots_generation].off, 8,
				       &r->rec.generation[as_id], &ok);
	}
	if (!err && ok)
		r->rec.have |= MS_RMAPS_HAVE_GENERATION;
	else
		memset(r->rec.generation, 0, sizeof(r->rec.generation));
	return err;
}

struct ms_err *ms_kvm_read_rmaps(struct ms_kmem *kmem, const struct ms_rec_host *host,
				 const struct ms_rec_vm *vm, const struct ms_want *want,
				 const struct ms_sink *sink)
{
	struct reader *r = calloc(1, sizeof(*r));
	struct ms_err *err = NULL;
	u32 as_id;

	if (!r)
		return ms_err_nomem();
	r->kmem = kmem;
	r->vm = vm;
	r->want = want;
	r->sink = sink;
	r->desc_bytes = kmem->layout->type_size[MS_T_pte_list_desc];
	r->table_mask = ms_kvm_address_mask(host);
	r->rec = (struct ms_rec_rmaps){ .kvm = vm->kvm,
					.direct_map = kmem->page_offset,
					.start_ns = ms_kmem_now_ns() };
	r->rec.have = readable(r);
	if (r->rec.have & (MS_RMAPS_HAVE_RMAPS | MS_RMAPS_HAVE_WRITE_TRACK | MS_RMAPS_HAVE_LPAGE))
		for (as_id = 0; !err && as_id < kmem->layout->f[MS_F_kvm_memslots].nr_elems; as_id++)
			err = read_as(r, as_id);
	if (!err && r->rec.have & MS_RMAPS_HAVE_PARENTS && !r->stop)
		err = read_parents(r, host);
	if (!err)
		err = read_generations(r);
	r->rec.end_ns = ms_kmem_now_ns();
	if (!err)
		err = sink->put(sink->ctx, MS_REC_RMAPS, &r->rec, NULL);
	free(r->nodes);
	free(r);
	return err;
}
