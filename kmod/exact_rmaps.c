// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lists of SPTEs under kvm->mmu_lock, and what memslots keep for their frames: reverse maps, write-track and large-page
 * counts.
 *
 * A memslot may have millions of frames, most of them with nothing: what is empty is skipped without the lock (one word
 * is read at a time; kvm->srcu keeps the arrays), and the lock is taken where there is something. Under it all is read,
 * until the time is up or a stretch is empty again.
 */
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "kmod/exact.h"

/* Words without anything after which the lock is given back, and between two looks at the clock. */
#define EMPTY_RUN 256u
/* Of empty ones, between two chances for others to run. */
#define SKIP_RUN 65536u
/* One request takes so long at most, holds of the lock and skipping together. */
#define PIECE_NS (20 * NSEC_PER_MSEC)

/* Arrays of a memslot. */
enum {
	ARRAY_RMAP, /* one for each level */
	ARRAY_LPAGE = ARRAY_RMAP + KVM_NR_PAGE_SIZES, /* from level 2 on */
	ARRAY_TRACK = ARRAY_LPAGE + KVM_NR_PAGE_SIZES - 1,
	ARRAY_NR
};

/* --- lists --- */

static u64 desc_member(const struct mmuscope_exact *x, const u8 *raw, enum mmuscope_field id)
{
	const u8 *at = raw + x->l->off[id];

	if (!mmuscope_has(x->l, id))
		return 0;
	return x->l->bytes[id] == 4 ? *(const u32 *)at : *(const u64 *)at;
}

/* One descriptor's record; its entries. 0 and *next ~0: it cannot be read. */
static u32 put_desc(struct mmuscope_exact *x, u64 desc, u64 *next)
{
	struct ms_rec_rmap_desc *rec;
	u8 raw[256] __aligned(8);
	u32 nr;

	*next = ~0ull;
	if (x->l->desc_bytes > sizeof(raw) || copy_from_kernel_nofault(raw, (void *)desc, x->l->desc_bytes))
		return 0;
	rec = exact_put(x, MS_REC_RMAP_DESC, sizeof(*rec));
	memset(rec, 0, sizeof(*rec));
	rec->kvm = (u64)x->kvm;
	rec->desc = desc;
	rec->more = desc_member(x, raw, MMUSCOPE_F_desc_more);
	rec->count = desc_member(x, raw, MMUSCOPE_F_desc_spte_count);
	rec->tail_count = desc_member(x, raw, MMUSCOPE_F_desc_tail_count);
	nr = min_t(u64, rec->count, MS_RMAP_EXT);
	memcpy(rec->sptes, raw + x->l->off[MMUSCOPE_F_desc_sptes], nr * sizeof(u64));
	*next = rec->more;
	return nr;
}

bool exact_put_list(struct mmuscope_exact *x, const struct ms_rec_rmap *rec, u64 head)
{
	struct ms_rec_rmap *list = exact_put(x, MS_REC_RMAP, sizeof(*list));
	u64 desc;

	*list = *rec;
	list->head = head;
	list->state = head & MS_RMAP_LOCKED ? MS_RMAP_TORN : MS_RMAP_CONFIRMED;
	if (mmuscope_has(x->l, MMUSCOPE_F_desc_tail_count))
		list->have |= MS_RMAP_HAVE_TAIL_COUNT;
	if (!(head & MS_RMAP_MANY)) {
		list->nr_entries = 1;
		return true;
	}
	for (desc = head & ~MS_RMAP_FLAGS; desc; list->nr_descs++) {
		u64 next;

		if (list->nr_descs == MMUSCOPE_EXACT_DESCS_MAX) {
			list->state = MS_RMAP_UNREADABLE;
			return false;
		}
		list->nr_entries += put_desc(x, desc, &next);
		if (next == ~0ull) {
			list->state = MS_RMAP_UNREADABLE;
			return true;
		}
		desc = next;
	}
	return true;
}

/* --- arrays --- */

struct array {
	const struct kvm_memory_slot *slot;
	u32 which, level;
	const void *at; /* NULL: there is none */
	u64 nr; /* elements */
};

static const void *array_of(const struct kvm_memory_slot *slot, u32 which)
{
	if (which < ARRAY_LPAGE)
		return slot->arch.rmap[which - ARRAY_RMAP];
	if (which < ARRAY_TRACK)
		return slot->arch.lpage_info[which - ARRAY_LPAGE];
#ifdef MMUSCOPE_HAVE_GFN_WRITE_TRACK
	return slot->arch.gfn_write_track;
#else
	return slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE];
#endif
}

static struct array take_array(const struct kvm_memory_slot *slot, u32 which)
{
	struct array a = { .slot = slot, .which = which, .at = array_of(slot, which), .level = 1 };
	u32 shift;

	if (which < ARRAY_LPAGE)
		a.level = which - ARRAY_RMAP + 1;
	else if (which < ARRAY_TRACK)
		a.level = which - ARRAY_LPAGE + 2;
	shift = 9 * (a.level - 1);
	a.nr = ((slot->base_gfn + slot->npages - 1) >> shift) - (slot->base_gfn >> shift) + 1;
	return a;
}

static u64 element(const struct array *a, u64 i)
{
	if (a->which < ARRAY_LPAGE)
		return READ_ONCE(((const struct kvm_rmap_head *)a->at)[i].val);
	if (a->which < ARRAY_TRACK)
		return (u32)READ_ONCE(((const struct kvm_lpage_info *)a->at)[i].disallow_lpage);
	return READ_ONCE(((const unsigned short *)a->at)[i]);
}

/* False: this hold is over. */
static bool put_element(struct mmuscope_exact *x, const struct array *a, u64 i, u64 value)
{
	const u32 shift = 9 * (a->level - 1);
	const u64 gfn = ((a->slot->base_gfn >> shift) + i) << shift;
	struct ms_rec_gfn *count;

	if (a->which < ARRAY_LPAGE) {
		const struct ms_rec_rmap rec = {
			.have = MS_RMAP_HAVE_GFN,
			.kvm = (u64)x->kvm,
			.gfn = gfn,
			.as_id = a->slot->as_id,
			.level = a->level,
		};

		return exact_put_list(x, &rec, value);
	}
	count = exact_put(x, MS_REC_GFN, sizeof(*count));
	*count = (struct ms_rec_gfn){
		.kvm = (u64)x->kvm,
		.gfn = gfn,
		.count = value,
		.as_id = a->slot->as_id,
		.level = a->level,
	};
	return true;
}

static bool has_room(const struct mmuscope_exact *x)
{
	return exact_has_room(x, EXACT_LIST_BYTES);
}

/* From index i on under the lock; returns where to go on. */
static u64 read_stretch(struct mmuscope_exact *x, const struct array *a, u64 i)
{
	u32 empty = 0;

	for (; i < a->nr && empty < EMPTY_RUN; i++) {
		const u64 value = element(a, i);

		if (!value) {
			empty++;
			continue;
		}
		empty = 0;
		if (!has_room(x))
			break;
		if (!put_element(x, a, i, value) || exact_is_late(x)) {
			i++;
			break;
		}
	}
	return i;
}

/* What is left of the array at x->slots.index. False: no room or no time for more. */
static bool read_array(struct mmuscope_exact *x, const struct array *a, u64 until_ns)
{
	u64 i = x->slots.index, skipped = 0;

	while (i < a->nr && has_room(x) && ktime_get_mono_fast_ns() < until_ns &&
	       !fatal_signal_pending(current)) {
		while (i < a->nr && skipped++ % SKIP_RUN != SKIP_RUN - 1 && !element(a, i))
			i++;
		if (i < a->nr && element(a, i)) {
			exact_lock(x);
			i = read_stretch(x, a, i);
			exact_unlock(x);
		}
		cond_resched();
	}
	x->slots.index = i;
	/* Beyond it: a smaller slot is where the one before was that this began with. */
	return i >= a->nr;
}

/* The first slot at gfn or behind. */
static struct kvm_memory_slot *slot_from(struct kvm_memslots *slots, u64 gfn)
{
	struct kvm_memslot_iter iter;

	kvm_for_each_memslot_in_gfn_range(&iter, slots, gfn, ~0ull)
		if (iter.slot->base_gfn >= gfn)
			return iter.slot;
	return NULL;
}

int exact_read_rmaps(struct mmuscope_exact *x)
{
	const u64 until_ns = ktime_get_mono_fast_ns() + PIECE_NS;
	struct exact_slots *at = &x->slots;

	for (; at->as_id < ARRAY_SIZE(x->kvm->memslots); at->as_id++, at->base_gfn = 0) {
		struct kvm_memslots *slots = __kvm_memslots(x->kvm, at->as_id);
		struct kvm_memory_slot *slot;

		while ((slot = slot_from(slots, at->base_gfn))) {
			if (slot->base_gfn != at->base_gfn) {
				/* Another than the one that was begun, if one was. */
				at->base_gfn = slot->base_gfn;
				at->array = 0;
				at->index = 0;
			}
			for (; at->array < ARRAY_NR; at->array++, at->index = 0) {
				const struct array a = take_array(slot, at->array);

				if (!a.at)
					x->out_flags |= MMUSCOPE_EXACT_NO_ARRAY;
				else if (!read_array(x, &a, until_ns))
					goto out;
			}
			at->base_gfn = slot->base_gfn + slot->npages;
			at->array = 0;
			at->index = 0;
		}
	}
	x->out_flags |= MMUSCOPE_EXACT_END;
out:
	if (fatal_signal_pending(current))
		return -EINTR;
	/* What is counted, at the end of each piece. */
	exact_lock(x);
	exact_unlock(x);
	return 0;
}
