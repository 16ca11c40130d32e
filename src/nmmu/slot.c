// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memslots of two address spaces: what a change is, the swaps and generations that it takes, looking one up.
 * What hangs on a slot page by page is lpage.c's; what a change of logging does to SPTEs is dirty.c's.
 *
 *   create, flags    |--swap--|                  generation +2
 *   delete, move     |--swap--|  zap  |--swap--|             +4
 *                    invalid          gone or elsewhere
 *
 * During a swap bit 63 of the generation is set and the slots are already the new ones: an MMIO SPTE made
 * then carries the old number and is stale at once (SEMANTICS F "memslot generation", I 11).
 *
 * Memory: all that a change needs is taken before the first swap, so that a failure changes nothing. What it
 * replaces is buried, not freed: a vCPU that was inside the engine may hold a pointer (KVM waits for SRCU).
 */
#include "nmmu/private.h"

#define MAX_SLOT_ID 32764u /* KVM_USER_MEM_SLOTS */
#define MAX_SLOT_PAGES ((1ULL << 31) - 1) /* KVM_MEM_MAX_NR_PAGES */

void nmmu_slots_init(struct nmmu *m, u64 first_gen)
{
	for (u32 i = 0; i < NMMU_NR_AS; i++)
		m->as[i].generation = first_gen + i;
}

/* As nmmu_lock(), for what no vCPU can tell happened: no yield point. */
static void graves_lock(struct nmmu *m)
{
	if (m->ops->lock)
		m->ops->lock(m->host);
}

static void graves_unlock(struct nmmu *m)
{
	if (m->ops->unlock)
		m->ops->unlock(m->host);
}

void nmmu_bury(struct nmmu *m, struct nmmu_grave *grave)
{
	grave->next = m->graves;
	m->graves = grave;
}

/* Who comes inside after this look cannot find what was buried before it. */
static void free_graves(struct nmmu *m)
{
	struct nmmu_grave *grave = NULL, *next;

	graves_lock(m);
	if (!nmmu_read64(&m->readers)) {
		grave = m->graves;
		m->graves = NULL;
	}
	graves_unlock(m);
	for (; grave; grave = next) {
		next = grave->next;
		m->ops->free(m->host, grave);
	}
}

static void bury_slot(struct nmmu *m, struct nmmu_slot *slot)
{
	graves_lock(m);
	nmmu_bury(m, slot->arrays);
	if (slot->dirty_mem)
		nmmu_bury(m, slot->dirty_mem);
	if (slot->pin_mem)
		nmmu_bury(m, slot->pin_mem);
	nmmu_bury(m, &slot->grave);
	graves_unlock(m);
}

/* Of a slot that nobody has seen. Takes NULL. */
static void free_slot(struct nmmu *m, struct nmmu_slot *slot)
{
	if (!slot)
		return;
	if (slot->arrays)
		m->ops->free(m->host, slot->arrays);
	if (slot->dirty_mem)
		m->ops->free(m->host, slot->dirty_mem);
	if (slot->pin_mem)
		m->ops->free(m->host, slot->pin_mem);
	m->ops->free(m->host, slot);
}

void nmmu_slots_free(struct nmmu *m)
{
	for (u32 i = 0; i < NMMU_NR_AS; i++) {
		struct nmmu_slot_table *table = m->as[i].table;

		for (u32 k = 0; table && k < table->nr; k++)
			free_slot(m, table->slot[k]);
		if (table)
			m->ops->free(m->host, table);
		m->as[i].table = NULL;
		m->as[i].first = NULL;
		m->as[i].nr = 0;
	}
	free_graves(m);
}

void nmmu_slots_enter(struct nmmu *m)
{
	nmmu_add64(&m->readers, 1);
}

void nmmu_slots_leave(struct nmmu *m)
{
	nmmu_add64(&m->readers, (u64)-1);
}

/* --- looking up --- */

static bool has_gfn(const struct nmmu_slot *slot, u64 gfn)
{
	return gfn - slot->base_gfn < slot->nr_pages;
}

static struct nmmu_slot *search_slot(struct nmmu_slot_table *table, u64 gfn)
{
	u32 low = 0, high = table->nr;

	/* The last slot that begins at or below gfn is slot[low - 1]. */
	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (table->slot[mid]->base_gfn <= gfn)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || !has_gfn(table->slot[low - 1], gfn))
		return NULL;
	table->last = low - 1;
	return table->slot[low - 1];
}

/* A fault asks a dozen times, nearly always for the slot of before. */
static inline struct nmmu_slot *find_slot(const struct nmmu *m, u16 as_id, u64 gfn)
{
	struct nmmu_slot_table *table;
	struct nmmu_slot *last;

	if (as_id >= NMMU_NR_AS)
		return NULL;
	table = m->as[as_id].table;
	if (!table || !table->nr)
		return NULL;
	/* Read once: other vCPUs have their own last one. */
	last = table->slot[table->last];
	return has_gfn(last, gfn) ? last : search_slot(table, gfn);
}

struct nmmu_slot *nmmu_slot_any(const struct nmmu *m, u16 as_id, u64 gfn)
{
	return find_slot(m, as_id, gfn);
}

struct nmmu_slot *nmmu_slot_of(const struct nmmu *m, u16 as_id, u64 gfn)
{
	struct nmmu_slot *slot = find_slot(m, as_id, gfn);

	return slot && !(slot->flags & MS_SLOT_INVALID) ? slot : NULL;
}

struct nmmu_slot *nmmu_slot_vcpu(struct nmmu_vcpu *v, u64 gfn)
{
	return nmmu_slot_of(v->m, v->regs.smm, gfn);
}

struct nmmu_slot *nmmu_slot_by_id(const struct nmmu *m, u16 as_id, u16 id)
{
	if (as_id >= NMMU_NR_AS)
		return NULL;
	for (struct nmmu_slot *slot = m->as[as_id].first; slot; slot = slot->next)
		if (slot->id == id)
			return slot;
	return NULL;
}

u64 nmmu_generation(const struct nmmu *m, u16 as_id)
{
	return nmmu_read64(&m->as[as_id].generation);
}

/*
 * The number in an MMIO SPTE has 19 bits: when it wraps, SPTEs of half a million updates ago would look
 * current again (I 12). Stripped of the address space's bit, so that a wrap of either is seen.
 */
void nmmu_mmio_gen_changed(struct nmmu *m, u64 gen)
{
	u32 bits = m->profile.gen_low_bits + m->profile.gen_high_bits;

	if (gen & ((1ULL << bits) - 1) & ~(u64)(NMMU_NR_AS - 1) || nmmu_mutant(m, NO_WRAP))
		return;
	nmmu_lock(m);
	nmmu_zap_all_locked(m, MS_CAUSE_MMIO_GEN);
	nmmu_unlock(m);
}

/* --- changing --- */

/* A table for the slots of as without `out', with `in'; either may be NULL. */
static struct nmmu_slot_table *make_table(struct nmmu *m, const struct nmmu_slots *as,
					  const struct nmmu_slot *out, struct nmmu_slot *in)
{
	u32 nr = as->nr - !!out + !!in, k = 0;
	struct nmmu_slot_table *table;

	table = m->ops->alloc(m->host, sizeof(*table) + nr * sizeof(table->slot[0]));
	if (!table)
		return NULL;
	for (struct nmmu_slot *s = as->first; s; s = s->next) {
		if (in && s->base_gfn > in->base_gfn) {
			table->slot[k++] = in;
			in = NULL;
		}
		if (s != out)
			table->slot[k++] = s;
	}
	if (in)
		table->slot[k++] = in;
	table->nr = k;
	return table;
}

/*
 * One swap of the slot array: the change itself is made by the members that are not NULL, between the flag
 * and the new number.
 */
struct swap {
	struct nmmu_slot_table *table; /* becomes the table */
	struct nmmu_slot *invalid; /* gets MS_SLOT_INVALID */
	struct nmmu_slot *flags; /* gets new_flags */
	u32 new_flags;
	bool stale; /* faults that are on their way must look again */
};

static void swap_slots(struct nmmu *m, u16 as_id, const struct swap *swap)
{
	struct nmmu_slots *as = &m->as[as_id];
	u64 gen = as->generation;

	nmmu_lock(m);
	nmmu_write64(&as->generation, gen | NMMU_GEN_UPDATE);
	if (swap->table) {
		struct nmmu_slot **link = &as->first;

		for (u32 i = 0; i < swap->table->nr; i++) {
			*link = swap->table->slot[i];
			link = &swap->table->slot[i]->next;
		}
		*link = NULL;
		as->nr = swap->table->nr;
		if (as->table)
			nmmu_bury(m, &as->table->grave);
		as->table = swap->table;
	}
	if (swap->invalid)
		swap->invalid->flags |= MS_SLOT_INVALID;
	if (swap->flags)
		swap->flags->flags = swap->new_flags;
	/* What SRCU gives KVM: no fault that looked a slot up before maps it after. */
	if (swap->stale)
		m->invalidate_seq++;
	nmmu_unlock(m);

	nmmu_yield(m, NMMU_POINT_SLOTS_SWAP);

	gen += NMMU_NR_AS;
	nmmu_mmio_gen_changed(m, gen);
	nmmu_write64(&as->generation, gen);
}

static void count_log_slots(struct nmmu *m, const struct nmmu_slot *slot, u32 old_flags, u32 new_flags)
{
	bool logs = new_flags & MS_SLOT_LOG_DIRTY;

	if (!((old_flags ^ new_flags) & MS_SLOT_LOG_DIRTY))
		return;
	nmmu_lock(m);
	m->nr_log_slots += logs ? 1 : -1;
	nmmu_unlock(m);
	if (logs)
		nmmu_event_for(m, NULL, MS_CAUSE_LOG_ENABLE, log_enable, .slot = slot->id,
			       .as_id = slot->as_id);
	else
		nmmu_event_for(m, NULL, MS_CAUSE_LOG_DISABLE, log_disable, .slot = slot->id,
			       .as_id = slot->as_id);
}

static void tell(struct nmmu *m, const struct nmmu_slot *slot, u64 nr_pages)
{
	nmmu_event_for(m, NULL, MS_CAUSE_SLOT, slot, .slot = slot->id, .as_id = slot->as_id,
		       .gfn = slot->base_gfn, .pages = nr_pages, .flags = slot->flags & ~MS_SLOT_INVALID,
		       .gen = m->as[slot->as_id].generation);
}

/* A slot goes: everything that was made of its pages. */
static void zap_slot(struct nmmu *m, struct nmmu_slot *slot)
{
	struct nmmu_link invalid;
	bool flush;

	/* With pins by slot always: other slots' pages stay mapped (G). */
	if ((!m->cfg.no_zap_all || !nmmu_is_6_12(m)) && !m->cfg.pins) {
		nmmu_zap_all(m);
		return;
	}
	/* Also shadow pages of tables in the slot: their counts live in it. */
	nmmu_link_init(&invalid);
	nmmu_lock(m);
	flush = nmmu_zap_gfn_range(m, slot, slot->base_gfn, slot->base_gfn + slot->nr_pages, MS_CAUSE_SLOT);
	for (u64 gfn = slot->base_gfn; gfn < slot->base_gfn + slot->nr_pages; gfn++) {
		struct nmmu_sp *next;

		for (struct nmmu_sp *sp = nmmu_hash_first(m, gfn); sp; sp = next) {
			next = nmmu_hash_next(sp);
			if (sp->role.invalid || !nmmu_sp_has_gptes(sp))
				continue;
			nmmu_sp_prepare_zap(m, sp, &invalid, MS_CAUSE_SLOT);
			/* Zapping children may have taken the next one away. */
			next = nmmu_hash_first(m, gfn);
		}
	}
	if (flush && nmmu_link_empty(&invalid))
		nmmu_flush_all(m, MS_CAUSE_SLOT, false);
	nmmu_sp_commit_zap(m, &invalid, MS_CAUSE_SLOT);
	nmmu_unlock(m);
}

static int slot_create(struct nmmu *m, struct nmmu_slot *slot)
{
	struct swap swap = { .table = make_table(m, &m->as[slot->as_id], NULL, slot) };

	if (!swap.table)
		return -ENOMEM;
	swap_slots(m, slot->as_id, &swap);
	count_log_slots(m, slot, 0, slot->flags);
	tell(m, slot, slot->nr_pages);
	return 0;
}

/* new_slot NULL: delete. */
static int slot_replace(struct nmmu *m, struct nmmu_slot *old, struct nmmu_slot *new_slot)
{
	struct swap first = { .invalid = old, .stale = true };
	struct swap second = { .table = make_table(m, &m->as[old->as_id], old, new_slot), .stale = true };
	u32 old_flags = old->flags;

	if (!second.table)
		return -ENOMEM;
	swap_slots(m, old->as_id, &first);
	for (u64 i = 0; nmmu_mutant(m, PIN_Z_LEAK) && old->nr_pins && i < old->nr_pages; i++) {
		if (!old->pins[i].level || old->pins[i].mapped)
			continue;
		old->pins[i].level = 0;
		old->nr_pins--;
		m->nr_pins--;
	}
	zap_slot(m, old);
	if (old->nr_pins && !nmmu_mutant(m, PIN_SLOT_LEAK)) {
		nmmu_lock(m);
		if (nmmu_mutant(m, PIN_SLOT_ALL))
			nmmu_pins_drop_all(m);
		nmmu_pins_drop(m, old);
		nmmu_unlock(m);
	}
	if (new_slot && (old_flags & new_slot->flags & MS_SLOT_LOG_DIRTY)) {
		/* The log moves along, with what has come to it until now. */
		new_slot->dirty = old->dirty;
		new_slot->dirty_mem = old->dirty_mem;
		old->dirty_mem = NULL;
	}
	swap_slots(m, old->as_id, &second);
	count_log_slots(m, old, old_flags, new_slot ? new_slot->flags : 0);
	tell(m, new_slot ? new_slot : old, new_slot ? new_slot->nr_pages : 0);
	bury_slot(m, old);
	return 0;
}

/* Only MS_SLOT_LOG_DIRTY can differ. */
static int slot_set_flags(struct nmmu *m, struct nmmu_slot *slot, u32 flags)
{
	struct swap swap = { .flags = slot, .new_flags = flags };
	u32 old_flags = slot->flags;
	int err;

	/* A pinned page cannot be mapped anew as logging wants it (G). */
	if (flags & MS_SLOT_LOG_DIRTY && slot->nr_pins)
		return -EBUSY;
	if (flags & MS_SLOT_LOG_DIRTY) {
		err = nmmu_dirty_alloc(m, slot);
		if (err)
			return err;
	}
	swap_slots(m, slot->as_id, &swap);
	count_log_slots(m, slot, old_flags, flags);
	/* A read-only slot has nothing to protect and nothing to collapse into. */
	if (flags & MS_SLOT_READONLY)
		;
	else if (flags & MS_SLOT_LOG_DIRTY)
		nmmu_log_started(m, slot);
	else
		nmmu_log_stopped(m, slot);
	if (!(flags & MS_SLOT_LOG_DIRTY)) {
		struct nmmu_grave *mem = slot->dirty_mem;

		slot->dirty = NULL;
		slot->dirty_mem = NULL;
		graves_lock(m);
		nmmu_bury(m, mem);
		graves_unlock(m);
	}
	tell(m, slot, slot->nr_pages);
	return 0;
}

/* First gfn that no SPTE can map. */
static u64 gfn_limit(const struct nmmu *m)
{
	return 1ULL << ((m->cfg.tdp ? m->cfg.phys_bits : 52) - NMMU_PAGE_SHIFT);
}

static bool overlaps(const struct nmmu_slots *as, u16 id, u64 gfn, u64 end)
{
	for (const struct nmmu_slot *s = as->first; s; s = s->next)
		if (s->id != id && gfn < s->base_gfn + s->nr_pages && s->base_gfn < end)
			return true;
	return false;
}

static int change_slot(struct nmmu *m, const struct nmmu_slot *want)
{
	struct nmmu_slots *as = &m->as[want->as_id];
	struct nmmu_slot *old = nmmu_slot_by_id(m, want->as_id, want->id);
	struct nmmu_slot *slot;
	int err;

	if (!want->nr_pages)
		return old ? slot_replace(m, old, NULL) : -EINVAL;
	if (old) {
		/* A slot keeps its size, its memory, and whether it is read-only. */
		if (want->hva != old->hva || want->nr_pages != old->nr_pages ||
		    (want->flags ^ old->flags) & MS_SLOT_READONLY)
			return -EINVAL;
		if (want->base_gfn == old->base_gfn)
			return want->flags == old->flags ? 0 : slot_set_flags(m, old, want->flags);
	}
	if (overlaps(as, want->id, want->base_gfn, want->base_gfn + want->nr_pages))
		return -EEXIST;
	if (want->base_gfn + want->nr_pages > gfn_limit(m))
		return -EINVAL;

	slot = m->ops->alloc(m->host, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	*slot = *want;
	err = nmmu_slot_arrays(m, slot);
	if (!err && m->cfg.pins)
		err = nmmu_pins_alloc(m, slot);
	if (!err && slot->flags & MS_SLOT_LOG_DIRTY && !(old && old->dirty))
		err = nmmu_dirty_alloc(m, slot);
	if (!err)
		err = old ? slot_replace(m, old, slot) : slot_create(m, slot);
	if (err)
		free_slot(m, slot);
	return err;
}

int nmmu_slot_set(struct nmmu *m, u16 as_id, u16 id, u64 gfn, u64 nr_pages, u64 hva, u32 flags)
{
	const struct nmmu_slot want = {
		.base_gfn = gfn, .nr_pages = nr_pages, .hva = hva, .flags = flags, .id = id, .as_id = as_id
	};
	int err;

	if (as_id >= NMMU_NR_AS || id >= MAX_SLOT_ID || flags & ~(MS_SLOT_LOG_DIRTY | MS_SLOT_READONLY) ||
	    nr_pages > MAX_SLOT_PAGES || gfn > 1ULL << (64 - NMMU_PAGE_SHIFT) || hva & (NMMU_PAGE_SIZE - 1) ||
	    hva + (nr_pages << NMMU_PAGE_SHIFT) < hva)
		return -EINVAL;
	err = change_slot(m, &want);
	free_graves(m);
	return err;
}
