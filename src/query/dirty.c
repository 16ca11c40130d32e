// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From events to who dirtied what. The way of a mark is the cause that its event carries; where that is none, or is
 * less exact than what stands next to it, the events of the same vCPU around it say. Counts are bounded by
 * the constants of dirty.h.
 */
#include "query/dirty.h"

#include <stdlib.h>
#include <string.h>

#define GFN_SHIFT 12
#define PFERR_WRITE (1ull << 1)
#define NONE SIZE_MAX
#define AS_SHIFT 52

/* What one vCPU was doing; those without a number share one. */
struct ms_dirty_vcpu {
	bool fault; /* one is being dealt with */
	u64 fault_error;
	bool batch; /* its entries are being told */
	u64 serial; /* of that batch, and of the last one */
	bool due; /* what the last one came to is still to be told */
	u16 unmarked; /* entry of it to look at first for the next mark */
	u64 matched[MS_DIRTY_BATCH_MAX / 64]; /* entries that marked */
	bool emulating; /* what it said last, but for marks, is that it emulates */
	bool marked; /* what it said last is a mark: */
	u64 gfn; /* ... of what, where it was counted, and as what */
	size_t slot, gfn_at;
	enum ms_dirty_way way;
};

/* --- names --- */

static const char *const way_names[] = {
#define DIRTY_WAY(id, key, name, meaning) name,
#include "query/dirty.def"
};

static const char *const way_texts[] = {
#define DIRTY_WAY(id, key, name, meaning) meaning,
#include "query/dirty.def"
};

static const char *const mark_names[] = {
#define DIRTY_MARK(id, name) name,
#include "query/dirty.def"
};

const char *ms_dirty_way_name(u32 way)
{
	return way < MS_DIRTY_WAYS ? way_names[way] : NULL;
}

const char *ms_dirty_way_text(u32 way)
{
	return way < MS_DIRTY_WAYS ? way_texts[way] : NULL;
}

const char *ms_dirty_mark_name(u32 kind)
{
	return kind < MS_DIRTY_MARK_KINDS ? mark_names[kind] : NULL;
}

u64 ms_dirty_events(void)
{
	return 1ull << MS_EV_dirty | 1ull << MS_EV_pml | 1ull << MS_EV_pml_drain | 1ull << MS_EV_pml12 |
	       1ull << MS_EV_fault | 1ull << MS_EV_fault_done | 1ull << MS_EV_fast_fault |
	       1ull << MS_EV_emulate | 1ull << MS_EV_spte_set | 1ull << MS_EV_slot |
	       1ull << MS_EV_log_enable | 1ull << MS_EV_log_disable | 1ull << MS_EV_log_read |
	       1ull << MS_EV_log_clear;
}

/* --- storage --- */

struct ms_err *ms_dirty_create(const struct spte_profile *profile, struct ms_dirty **ret)
{
	struct ms_dirty *d = calloc(1, sizeof(*d));

	if (d)
		d->batches = calloc(MS_DIRTY_BATCHES, sizeof(*d->batches));
	if (!d || !d->batches) {
		free(d);
		return ms_err_nomem();
	}
	d->bin_ns = 1;
	if (profile) {
		d->profile = *profile;
		d->have_profile = true;
	}
	*ret = d;
	return NULL;
}

void ms_dirty_destroy(struct ms_dirty *d)
{
	if (!d)
		return;
	ms_map_deinit(&d->by_gfn);
	free(d->slots);
	free(d->gfns);
	free(d->batches);
	free(d->vcpus);
	free(d);
}

/* NULL: too many, or no memory. */
static struct ms_dirty_vcpu *vcpu_of(struct ms_dirty *d, u16 vcpu)
{
	size_t at = vcpu == MS_EV_NO_VCPU ? 0 : (size_t)vcpu + 1;
	struct ms_dirty_vcpu *grown;

	if (at > MS_DIRTY_VCPUS)
		return NULL;
	if (at >= d->nr_vcpus) {
		grown = ms_grow(d->vcpus, &d->cap_vcpus, at + 1, sizeof(*grown));
		if (!grown)
			return NULL;
		d->vcpus = grown;
		memset(grown + d->nr_vcpus, 0, (at + 1 - d->nr_vcpus) * sizeof(*grown));
		d->nr_vcpus = at + 1;
	}
	return &d->vcpus[at];
}

static size_t slot_find(const struct ms_dirty *d, u16 as_id, u16 id)
{
	size_t i;

	for (i = 0; i < d->nr_slots; i++)
		if (d->slots[i].id == id && d->slots[i].as_id == as_id)
			return i;
	return NONE;
}

static size_t slot_make(struct ms_dirty *d, u16 as_id, u16 id)
{
	size_t at = slot_find(d, as_id, id);
	struct ms_dirty_slot *grown;

	if (at != NONE)
		return at;
	grown = d->nr_slots < MS_DIRTY_SLOTS
			? ms_grow(d->slots, &d->cap_slots, d->nr_slots + 1, sizeof(*grown))
			: NULL;
	if (!grown)
		return NONE;
	d->slots = grown;
	d->slots[d->nr_slots] = (struct ms_dirty_slot){ .id = id, .as_id = as_id };
	return d->nr_slots++;
}

static bool slot_has(const struct ms_dirty_slot *slot, u64 gfn)
{
	return slot->known && gfn - slot->base_gfn < slot->nr_pages;
}

/* A mark names the slot, not its address space: of two of one number, the one that has the frame. */
static size_t slot_of_mark(struct ms_dirty *d, u16 id, u64 gfn)
{
	size_t i, at = NONE;

	for (i = 0; i < d->nr_slots; i++)
		if (d->slots[i].id == id && (at == NONE || slot_has(&d->slots[i], gfn))) {
			at = i;
			if (slot_has(&d->slots[i], gfn))
				break;
		}
	return at != NONE ? at : slot_make(d, 0, id);
}

static size_t slot_of_gfn(const struct ms_dirty *d, u16 as_id, u64 gfn)
{
	size_t i;

	for (i = 0; i < d->nr_slots; i++)
		if (d->slots[i].as_id == as_id && slot_has(&d->slots[i], gfn))
			return i;
	return NONE;
}

static void slot_place(struct ms_dirty_slot *slot, u64 base_gfn, u64 nr_pages, bool logging)
{
	/* Rows of other frames say nothing of these. */
	if (slot->known && (slot->base_gfn != base_gfn || slot->nr_pages != nr_pages))
		memset(slot->map, 0, sizeof(slot->map));
	slot->known = true;
	slot->base_gfn = base_gfn;
	slot->nr_pages = nr_pages;
	slot->logging = logging;
}

void ms_dirty_slots(struct ms_dirty *d, const struct ms_vm *vm)
{
	size_t i, at;

	d->ring = vm->rec.have & MS_VM_DIRTY_RING;
	for (i = 0; i < vm->nr_slots; i++) {
		const struct ms_rec_slot *rec = &vm->slots[i];

		if (rec->flags & MS_SLOT_INVALID || rec->id < 0)
			continue;
		at = slot_make(d, rec->as_id, (u16)rec->id);
		if (at == NONE)
			d->dropped_slots++;
		else
			slot_place(&d->slots[at], rec->base_gfn, rec->nr_pages,
				   rec->flags & MS_SLOT_LOG_DIRTY);
	}
}

/* Where a frame is counted; NONE when there is no more room. */
static size_t gfn_make(struct ms_dirty *d, size_t slot, u64 gfn)
{
	u64 key = (gfn | (u64)d->slots[slot].as_id << AS_SHIFT) + 1;
	u32 at = gfn >> AS_SHIFT ? MS_MAP_NONE : ms_map_get(&d->by_gfn, key);
	struct ms_dirty_gfn *grown;

	if (at != MS_MAP_NONE)
		return at;
	grown = d->nr_gfns < MS_DIRTY_GFNS && !(gfn >> AS_SHIFT)
			? ms_grow(d->gfns, &d->cap_gfns, d->nr_gfns + 1, sizeof(*grown))
			: NULL;
	if (grown)
		d->gfns = grown;
	if (!grown || !ms_map_put(&d->by_gfn, key, (u32)d->nr_gfns)) {
		d->dropped_gfns++;
		return NONE;
	}
	d->gfns[d->nr_gfns] = (struct ms_dirty_gfn){ .gfn = gfn, .first_ns = d->last_ns, .slot = (u16)slot };
	return d->nr_gfns++;
}

/* --- time --- */

static u32 sum(u32 a, u32 b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static void bins_halve(u32 *bins)
{
	u32 i;

	for (i = 0; i < MS_DIRTY_BINS / 2; i++)
		bins[i] = sum(bins[2 * i], bins[2 * i + 1]);
	memset(bins + MS_DIRTY_BINS / 2, 0, MS_DIRTY_BINS / 2 * sizeof(*bins));
}

/* Two bins become one, in every slot. */
static void widen(struct ms_dirty *d)
{
	size_t i;
	u32 row;

	d->bin_ns *= 2;
	for (i = 0; i < d->nr_slots; i++) {
		bins_halve(d->slots[i].bins);
		for (row = 0; row < MS_DIRTY_ROWS; row++)
			bins_halve(d->slots[i].map[row]);
	}
}

void ms_dirty_time(struct ms_dirty *d, u64 now_ns)
{
	if (!d->started) {
		d->started = true;
		d->start_ns = d->last_ns = now_ns;
	}
	/* From several CPUs they need not come in order. */
	if (now_ns > d->last_ns)
		d->last_ns = now_ns;
	while ((d->last_ns - d->start_ns) / d->bin_ns >= MS_DIRTY_BINS)
		widen(d);
}

static u32 bin_of(const struct ms_dirty *d, u64 time_ns)
{
	return time_ns <= d->start_ns ? 0 : (u32)((time_ns - d->start_ns) / d->bin_ns);
}

/* --- one sighting --- */

static u64 row_pages(const struct ms_dirty_slot *slot)
{
	return slot->nr_pages / MS_DIRTY_ROWS + !!(slot->nr_pages % MS_DIRTY_ROWS);
}

static void count(struct ms_dirty *d, struct ms_dirty_vcpu *v, const struct ms_event *event, size_t slot_at,
		  u64 gfn, enum ms_dirty_way way)
{
	struct ms_dirty_slot *slot = &d->slots[slot_at];
	bool mark = way != MS_DIRTY_D_BIT;
	u32 bin = bin_of(d, event->time_ns);
	size_t at;

	if ((d->only_gfns && (gfn < d->gfn_start || gfn >= d->gfn_end)) ||
	    (d->only_slot && slot->id != d->slot_id))
		return;
	at = gfn_make(d, slot_at, gfn);
	d->ways[way]++;
	slot->ways[way]++;
	if (at != NONE) {
		d->gfns[at].ways[way]++;
		d->gfns[at].nr += mark;
	}
	if (!mark)
		return;
	d->nr++;
	if (!slot->nr++)
		slot->first_ns = event->time_ns;
	slot->last_ns = event->time_ns;
	slot->since_read++;
	slot->by_guest[event->guest <= MS_EV_L2 ? event->guest : MS_EV_GUEST_UNKNOWN]++;
	slot->bins[bin] = sum(slot->bins[bin], 1);
	if (slot_has(slot, gfn)) {
		u32 *cell = &slot->map[(gfn - slot->base_gfn) / row_pages(slot)][bin];

		*cell = sum(*cell, 1);
	} else {
		slot->outside++;
	}
	if (at != NONE) {
		d->gfns[at].last_ns = event->time_ns;
		d->gfns[at].vcpu = event->vcpu;
		d->gfns[at].guest = event->guest;
		d->gfns[at].cause = event->cause;
		d->gfns[at].way = (u8)way;
	}
	v->marked = true;
	v->gfn = gfn;
	v->slot = slot_at;
	v->gfn_at = at;
	v->way = way;
}

/* The mark that was counted last was another way. */
static void recount(struct ms_dirty *d, const struct ms_dirty_vcpu *v, enum ms_dirty_way way)
{
	d->ways[v->way]--;
	d->ways[way]++;
	d->slots[v->slot].ways[v->way]--;
	d->slots[v->slot].ways[way]++;
	if (v->gfn_at == NONE)
		return;
	d->gfns[v->gfn_at].ways[v->way]--;
	d->gfns[v->gfn_at].ways[way]++;
	d->gfns[v->gfn_at].way = (u8)way;
}

/* --- PML: batches --- */

static struct ms_dirty_batch *batch_at(struct ms_dirty *d, u64 serial)
{
	struct ms_dirty_batch *b = &d->batches[serial % MS_DIRTY_BATCHES];

	return serial < d->nr_batches && b->serial == serial ? b : NULL;
}

const struct ms_dirty_batch *ms_dirty_batch(const struct ms_dirty *d, u64 serial)
{
	const struct ms_dirty_batch *b = &d->batches[serial % MS_DIRTY_BATCHES];

	return serial < d->nr_batches && b->serial == serial ? b : NULL;
}

static struct ms_dirty_batch *batch_open(struct ms_dirty *d, struct ms_dirty_vcpu *v,
					 const struct ms_event *event)
{
	struct ms_dirty_batch *b = &d->batches[d->nr_batches % MS_DIRTY_BATCHES];

	*b = (struct ms_dirty_batch){ .serial = d->nr_batches++,
				      .time_ns = event->time_ns,
				      .vcpu = event->vcpu,
				      .guest = event->guest };
	v->batch = v->due = true;
	v->serial = b->serial;
	v->unmarked = 0;
	memset(v->matched, 0, sizeof(v->matched));
	return b;
}

/* NULL: none is being told, or it is no longer kept. */
static struct ms_dirty_batch *batch_of(struct ms_dirty *d, struct ms_dirty_vcpu *v)
{
	return v->batch ? batch_at(d, v->serial) : NULL;
}

static void feed_drain(struct ms_dirty *d, struct ms_dirty_vcpu *v, const struct ms_event *event)
{
	const struct ms_ev_pml_drain *ev = &event->u.pml_drain;
	struct ms_dirty_batch *b = v->due ? batch_at(d, v->serial) : NULL;

	/*
	 * Its entries may have been told before the whole: KVM empties the buffer at the beginning of an
	 * exit, and is heard to have done so at the end. In between is what the exit was for, such as a fault.
	 */
	if (!b || b->announced || b->seen != ev->entries)
		b = batch_open(d, v, event);
	v->due = false;
	b->announced = true;
	b->full = ev->full;
	b->entries = ev->entries < MS_DIRTY_BATCH_MAX ? ev->entries : MS_DIRTY_BATCH_MAX;
	d->nr_full += ev->full;
	d->nr_entries += b->entries;
}

static void feed_pml(struct ms_dirty *d, struct ms_dirty_vcpu *v, const struct ms_event *event)
{
	const struct ms_ev_pml *ev = &event->u.pml;
	struct ms_dirty_batch *b = batch_of(d, v);

	if (ev->nth >= MS_DIRTY_BATCH_MAX)
		return;
	/* Of another batch, whose pml_drain was not seen: this one is whole, or has this entry already. */
	if (!b || (b->announced && (b->seen >= b->entries || ev->nth >= b->entries)) ||
	    (ev->nth < b->nr && b->gfns[ev->nth] != ~0ull))
		b = batch_open(d, v, event);
	while (b->nr <= ev->nth)
		b->gfns[b->nr++] = ~0ull;
	b->gfns[ev->nth] = ev->gfn;
	b->seen++;
}

/* Is it an entry of the batch being told that marked none so far? */
static bool batch_takes(struct ms_dirty *d, struct ms_dirty_vcpu *v, u64 gfn)
{
	struct ms_dirty_batch *b = batch_of(d, v);
	u32 i, nth;

	for (i = 0; b && i < b->nr; i++) {
		nth = (v->unmarked + i) % b->nr;
		if (b->gfns[nth] != gfn || v->matched[nth / 64] >> nth % 64 & 1)
			continue;
		v->matched[nth / 64] |= 1ull << nth % 64;
		v->unmarked = (u16)(nth + 1);
		b->marked++;
		return true;
	}
	return false;
}

/* --- the way of a mark --- */

static enum ms_dirty_way way_of_fault(const struct ms_dirty_vcpu *v)
{
	return v->fault && !(v->fault_error & PFERR_WRITE) ? MS_DIRTY_READ : MS_DIRTY_FAULT;
}

/* Nobody said on whose behalf: what this vCPU was doing. */
static enum ms_dirty_way way_by_neighbours(struct ms_dirty *d, struct ms_dirty_vcpu *v, u64 gfn)
{
	if (batch_takes(d, v, gfn))
		return MS_DIRTY_PML;
	if (v->emulating)
		return MS_DIRTY_EMULATE;
	return v->fault ? way_of_fault(v) : MS_DIRTY_UNKNOWN;
}

static enum ms_dirty_way way_of(struct ms_dirty *d, struct ms_dirty_vcpu *v, const struct ms_event *event)
{
	u64 gfn = event->u.dirty.gfn;

	switch (event->cause) {
	case MS_CAUSE_PML:
		batch_takes(d, v, gfn);
		return MS_DIRTY_PML;
	case MS_CAUSE_FAST_FAULT:
		return MS_DIRTY_FAST;
	case MS_CAUSE_FAULT:
	case MS_CAUSE_LINK:
	case MS_CAUSE_RELINK:
	case MS_CAUSE_UNPROTECT:
		return way_of_fault(v);
	case MS_CAUSE_EMULATE:
	case MS_CAUSE_PT_WRITE:
		return MS_DIRTY_EMULATE;
	case MS_CAUSE_NESTED:
		return MS_DIRTY_NESTED;
	case MS_CAUSE_HOST_WRITE:
		return MS_DIRTY_HOST;
	case MS_CAUSE_SYNC:
		return MS_DIRTY_SYNC;
	case MS_CAUSE_PREFETCH:
		return MS_DIRTY_PREFETCH;
	case MS_CAUSE_NONE:
		return way_by_neighbours(d, v, gfn);
	default:
		return MS_DIRTY_OTHER;
	}
}

static void feed_dirty(struct ms_dirty *d, struct ms_dirty_vcpu *v, const struct ms_event *event)
{
	size_t slot = slot_of_mark(d, event->u.dirty.slot, event->u.dirty.gfn);

	if (slot == NONE) {
		d->dropped_slots++;
		return;
	}
	count(d, v, event, slot, event->u.dirty.gfn, way_of(d, v, event));
}

/*
 * The lock-free path marks before it says what it did, within a fault: a mark that was put down to the fault is the
 * lock-free path's when that gave W to the frame just now.
 */
static void feed_fast(struct ms_dirty *d, struct ms_dirty_vcpu *v, const struct ms_event *event)
{
	const struct ms_ev_fast_fault *ev = &event->u.fast_fault;

	if (v->marked && v->gfn == ev->addr >> GFN_SHIFT && !spte_is_writable(ev->old_spte) &&
	    spte_is_writable(ev->new_spte) &&
	    (v->way == MS_DIRTY_FAULT || v->way == MS_DIRTY_READ || v->way == MS_DIRTY_UNKNOWN))
		recount(d, v, MS_DIRTY_FAST);
}

static bool is_log_cause(u32 cause)
{
	return cause == MS_CAUSE_LOG_READ || cause == MS_CAUSE_LOG_CLEAR || cause == MS_CAUSE_LOG_ENABLE;
}

static void feed_spte(struct ms_dirty *d, struct ms_dirty_vcpu *v, const struct ms_event *event)
{
	const struct ms_ev_spte_set *ev = &event->u.spte_set;
	const struct spte_profile *p = &d->profile;
	size_t slot;

	if (!d->have_profile || ev->level < SPTE_LEVEL_MIN || ev->level > SPTE_LEVEL_MAX ||
	    ev->gfn == ~0ull || !is_log_cause(event->cause) || !spte_is_leaf(p, ev->old_spte, ev->level) ||
	    !spte_is_leaf(p, ev->new_spte, ev->level) || spte_ad_kind(p, ev->old_spte) != SPTE_AD_ENABLED ||
	    !(ev->old_spte & p->m.dirty) || ev->new_spte & p->m.dirty)
		return;
	slot = slot_of_gfn(d, 0, ev->gfn);
	if (slot != NONE)
		count(d, v, event, slot, ev->gfn, MS_DIRTY_D_BIT);
}

/* --- the VMM and the log --- */

static void mark_add(struct ms_dirty *d, const struct ms_event *event, enum ms_dirty_mark_kind kind,
		     u16 slot_id, u16 as_id, u64 gfn, u64 pages)
{
	struct ms_dirty_mark *mark = &d->marks[d->nr_marks % MS_DIRTY_MARKS];
	size_t at = slot_make(d, as_id, slot_id);
	struct ms_dirty_slot *slot = at != NONE ? &d->slots[at] : NULL;

	d->nr_marks++;
	*mark = (struct ms_dirty_mark){
		.time_ns = event->time_ns,
		.kind = kind,
		.slot = slot_id,
		.as_id = as_id,
		.tid = event->tid,
		.gfn = gfn,
		.pages = pages,
		.marked = slot ? slot->since_read : 0,
	};
	if (!slot) {
		d->dropped_slots++;
		return;
	}
	slot->logging = kind != MS_DIRTY_MARK_DISABLE;
	slot->clears += kind == MS_DIRTY_MARK_CLEAR;
	if (kind == MS_DIRTY_MARK_READ || kind == MS_DIRTY_MARK_READ_KEPT) {
		slot->reads++;
		slot->since_read = 0;
	}
}

static void feed_slot(struct ms_dirty *d, const struct ms_event *event)
{
	const struct ms_ev_slot *ev = &event->u.slot;
	size_t at = slot_make(d, ev->as_id, ev->slot);

	if (at == NONE)
		d->dropped_slots++;
	else
		slot_place(&d->slots[at], ev->gfn, ev->pages, ev->pages && ev->flags & MS_SLOT_LOG_DIRTY);
}

static void feed_log(struct ms_dirty *d, const struct ms_event *event)
{
	switch (event->id) {
	case MS_EV_log_enable:
		mark_add(d, event, MS_DIRTY_MARK_ENABLE, event->u.log_enable.slot, event->u.log_enable.as_id,
			 0, 0);
		break;
	case MS_EV_log_disable:
		mark_add(d, event, MS_DIRTY_MARK_DISABLE, event->u.log_disable.slot,
			 event->u.log_disable.as_id, 0, 0);
		break;
	case MS_EV_log_read:
		mark_add(d, event, event->u.log_read.kept ? MS_DIRTY_MARK_READ_KEPT : MS_DIRTY_MARK_READ,
			 event->u.log_read.slot, event->u.log_read.as_id, 0, 0);
		break;
	case MS_EV_log_clear:
		mark_add(d, event, MS_DIRTY_MARK_CLEAR, event->u.log_clear.slot, event->u.log_clear.as_id,
			 event->u.log_clear.gfn, event->u.log_clear.pages);
		break;
	default:
		break;
	}
}

/* What a vCPU says of itself ends what it was doing before; marks, and SPTEs set on the way, do not. */
static void feed_vcpu(struct ms_dirty *d, struct ms_dirty_vcpu *v, const struct ms_event *event)
{
	bool goes_on = event->id == MS_EV_dirty || event->id == MS_EV_spte_set;

	v->batch &= goes_on || event->id == MS_EV_pml || event->id == MS_EV_pml_drain;
	v->emulating &= goes_on;
	switch (event->id) {
	case MS_EV_dirty:
		v->marked = false;
		feed_dirty(d, v, event);
		return;
	case MS_EV_spte_set:
		feed_spte(d, v, event);
		return;
	case MS_EV_pml_drain:
		feed_drain(d, v, event);
		break;
	case MS_EV_pml:
		feed_pml(d, v, event);
		break;
	case MS_EV_fault:
		v->fault = true;
		v->fault_error = event->u.fault.error;
		d->faults += (v->fault_error & PFERR_WRITE) != 0;
		break;
	case MS_EV_fault_done:
		v->fault = false;
		break;
	case MS_EV_fast_fault:
		feed_fast(d, v, event);
		break;
	case MS_EV_emulate:
		v->emulating = !event->u.emulate.failed;
		break;
	default:
		break;
	}
	v->marked = false;
}

void ms_dirty_event(struct ms_dirty *d, const struct ms_event *event)
{
	struct ms_dirty_vcpu *v;

	d->events++;
	ms_dirty_time(d, event->time_ns);
	if (event->id == MS_EV_pml12) {
		d->pml12[d->nr_pml12++ % MS_DIRTY_PML12] =
			(struct ms_dirty_pml12){ .time_ns = event->time_ns,
						 .addr = event->u.pml12.addr,
						 .vcpu = event->vcpu,
						 .index = event->u.pml12.index };
	} else if (event->id == MS_EV_slot) {
		feed_slot(d, event);
	} else {
		feed_log(d, event);
	}
	v = vcpu_of(d, event->vcpu);
	if (v)
		feed_vcpu(d, v, event);
	else
		d->dropped_vcpus++;
}
