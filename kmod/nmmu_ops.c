// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the engine asks of its host. Memory for itself is had here; guest memory is the caller's, whose table is read
 * anew for each use: nothing that was read of it is kept, and what is decided is decided on the copy. What only the
 * caller can know is asked of it (inst_ask()), for which the strand stops.
 *
 * Once a call's requests are refused (a fatal signal, too long) every one fails at once: the engine's own paths for the
 * want of memory bring it to its end.
 */
#include "kmod/nmmu.h"

static bool is_refused(struct inst *inst)
{
	struct inst_strand *s = inst->now;

	if (!s)
		return false;
	if (!s->refused)
		inst_breathe(s);
	return s->refused;
}

int inst_ask(struct inst *inst, enum mmuscope_nmmu_state what, u64 a, u64 b, u64 c, u64 *ret)
{
	struct inst_strand *s = inst->now;

	if (!s || s->refused)
		return -EINTR;
	s->run.state = what;
	s->run.v[0] = a;
	s->run.v[1] = b;
	s->run.v[2] = c;
	s->waits = true;
	inst_wait(s);
	s->waits = false;
	if (s->refused)
		return -EINTR;
	if (ret)
		*ret = s->run.v[1];
	return s->run.v[0] ? -EFAULT : 0;
}

/* Room in what is told. False: it is lost, for nobody can be asked. */
static bool have_room(struct inst *inst)
{
	while (inst->nr_notes == MMUSCOPE_NMMU_NOTES || inst->nr_events == MMUSCOPE_NMMU_EVENTS)
		if (inst_ask(inst, MMUSCOPE_NMMU_ASK_ROOM, 0, 0, 0, NULL) == -EINTR)
			return false;
	return true;
}

static void note(struct inst *inst, u64 kind, u64 pa)
{
	u64 what = (pa & ~(u64)(NMMU_PAGE_SIZE - 1)) | kind;

	/* A table that is walked is written word by word. */
	if (inst->nr_notes && inst->notes[inst->nr_notes - 1] == what)
		return;
	if (have_room(inst))
		inst->notes[inst->nr_notes++] = what;
}

/* --- memory for the engine --- */

static bool alloc_fails(struct inst *inst, u64 bytes)
{
	if (inst->fail_after && !--inst->fail_after)
		return true;
	return bytes > inst->max_bytes || inst->bytes > inst->max_bytes - bytes || is_refused(inst);
}

static void *op_alloc(void *host, size_t bytes)
{
	struct inst *inst = host;
	u64 whole = sizeof(struct inst_block) + ((u64)bytes + 15) / 16 * 16;
	struct inst_block *block;

	if (bytes > inst->max_bytes || alloc_fails(inst, whole))
		return NULL;
	block = inst_mem_alloc(whole);
	if (!block)
		return NULL;
	block->bytes = whole - sizeof(*block);
	block->next = &inst->blocks;
	block->prev = inst->blocks.prev;
	block->prev->next = block;
	inst->blocks.prev = block;
	inst->bytes += whole;
	return block + 1;
}

static void op_free(void *host, void *p)
{
	struct inst *inst = host;
	struct inst_block *block = p;

	if (!p)
		return;
	block--;
	block->prev->next = block->next;
	block->next->prev = block->prev;
	inst->bytes -= sizeof(*block) + block->bytes;
	inst_mem_free(block);
}

static struct inst_table **bucket_of(struct inst *inst, u64 pa)
{
	return &inst->tables[(pa >> NMMU_PAGE_SHIFT) * 0x9e3779b97f4a7c15ULL >> 56];
}

_Static_assert(INST_BUCKETS == 1u << (64 - 56), "bits that are left of a hash");

struct inst_table *inst_table_of(struct inst *inst, u64 pa)
{
	struct inst_table *table = *bucket_of(inst, pa);

	while (table && table->pa != (pa & ~(u64)(NMMU_PAGE_SIZE - 1)))
		table = table->next;
	return table;
}

static int op_page_alloc(void *host, struct nmmu_page *ret)
{
	struct inst *inst = host;
	u64 whole = NMMU_PAGE_SIZE + sizeof(struct inst_table), pa = 0;
	struct inst_table *table;

	if (alloc_fails(inst, whole))
		return -ENOMEM;
	if (inst->frames_used < inst->nr_frames)
		pa = inst->frames[inst->frames_used++];
	else if (inst_ask(inst, MMUSCOPE_NMMU_ASK_FRAME, 0, 0, 0, &pa))
		return -ENOMEM;
	/* An address that is another table's would have the two be one. */
	if (!pa || pa & (NMMU_PAGE_SIZE - 1) || pa >> inst->m->cfg.phys_bits || inst_table_of(inst, pa))
		return -ENOMEM;
	table = inst_mem_alloc(sizeof(*table));
	if (!table)
		return -ENOMEM;
	table->va = inst_page_alloc();
	if (!table->va) {
		inst_mem_free(table);
		return -ENOMEM;
	}
	table->pa = pa;
	table->next = *bucket_of(inst, pa);
	*bucket_of(inst, pa) = table;
	inst->nr_tables++;
	inst->bytes += whole;
	ret->va = table->va;
	ret->pa = pa;
	return 0;
}

static void op_page_free(void *host, struct nmmu_page page)
{
	struct inst *inst = host;
	struct inst_table **at = bucket_of(inst, page.pa), *table;

	while (*at && (*at)->pa != page.pa)
		at = &(*at)->next;
	table = *at;
	if (!table)
		return;
	*at = table->next;
	inst->nr_tables--;
	inst->bytes -= NMMU_PAGE_SIZE + sizeof(*table);
	inst_page_free(table->va);
	inst_mem_free(table);
	note(inst, MMUSCOPE_NMMU_NOTE_FREED, page.pa);
}

/* --- the caller's: host page table and guest memory --- */

/* What the caller's table says now. -EFAULT: hva is in no area. */
static int read_page(struct inst *inst, u64 hva, struct mmuscope_nmmu_page *ret)
{
	const struct mmuscope_nmmu_area *area = inst->areas;
	u32 i;

	for (i = 0; i < inst->nr_areas; i++, area++)
		if (hva >= area->hva && hva - area->hva < area->bytes)
			return inst_copy_in(
				ret, area->table + ((hva - area->hva) >> NMMU_PAGE_SHIFT) * sizeof(*ret),
				sizeof(*ret));
	return -EFAULT;
}

static u8 level_of(const struct mmuscope_nmmu_page *page)
{
	return page->frame >> MMUSCOPE_NMMU_PAGE_LEVEL_SHIFT & 3;
}

static u64 pfn_of(const struct mmuscope_nmmu_page *page)
{
	return page->frame >> MMUSCOPE_NMMU_PAGE_PFN_SHIFT;
}

/* Such a page can be: of a size, congruent, below the end of memory. */
static bool is_sane(const struct inst *inst, u64 hva, const struct mmuscope_nmmu_page *page)
{
	u8 level = level_of(page);

	return page->frame & MMUSCOPE_NMMU_PAGE_PRESENT && level &&
	       !(pfn_of(page) >> (inst->m->cfg.phys_bits - NMMU_PAGE_SHIFT)) &&
	       !((pfn_of(page) ^ hva >> NMMU_PAGE_SHIFT) & ((1ULL << 9 * (level - 1)) - 1));
}

/* What is wanted of a page: to be mapped, to be read, to be written. */
enum want { WANT_FRAME, WANT_BYTES, WANT_OWN_BYTES };

/* The page behind hva, asked for when it is not there or is not said where its bytes are. */
static int find_page(struct inst *inst, u64 hva, bool write, enum want want, struct mmuscope_nmmu_page *ret)
{
	int err = is_refused(inst) ? -EFAULT : read_page(inst, hva, ret);

	if (err)
		return err;
	if (!(ret->frame & MMUSCOPE_NMMU_PAGE_PRESENT) || (want != WANT_FRAME && !ret->at)) {
		err = inst_ask(inst, MMUSCOPE_NMMU_ASK_FAULT, hva, write, want == WANT_OWN_BYTES, NULL);
		if (!err)
			err = read_page(inst, hva, ret);
		if (err)
			return -EFAULT;
	}
	if (!is_sane(inst, hva, ret) || (want == WANT_OWN_BYTES && !ret->at))
		return -EFAULT;
	return write && !(ret->frame & MMUSCOPE_NMMU_PAGE_WRITABLE) ? -EFAULT : 0;
}

static void to_pfn(const struct mmuscope_nmmu_page *page, struct nmmu_pfn *ret)
{
	ret->pfn = pfn_of(page);
	ret->level = level_of(page);
	ret->writable = page->frame & MMUSCOPE_NMMU_PAGE_WRITABLE;
}

static int op_hva_to_pfn(void *host, u64 hva, bool write, struct nmmu_pfn *ret)
{
	struct mmuscope_nmmu_page page;
	int err = find_page(host, hva, write, WANT_FRAME, &page);

	if (!err)
		to_pfn(&page, ret);
	return err;
}

static int op_hva_to_pfn_fast(void *host, u64 hva, struct nmmu_pfn *ret)
{
	struct mmuscope_nmmu_page page;

	if (is_refused(host) || read_page(host, hva, &page) || !is_sane(host, hva, &page) ||
	    !(page.frame & MMUSCOPE_NMMU_PAGE_WRITABLE))
		return -EFAULT;
	to_pfn(&page, ret);
	return 0;
}

static bool in_page(u64 hva, u32 len)
{
	return len <= NMMU_PAGE_SIZE && (hva & (NMMU_PAGE_SIZE - 1)) + len <= NMMU_PAGE_SIZE;
}

static int op_read(void *host, u64 hva, void *dst, u32 len)
{
	struct mmuscope_nmmu_page page;

	if (!in_page(hva, len) || find_page(host, hva, false, WANT_BYTES, &page))
		return -EFAULT;
	if (page.at)
		return inst_copy_in(dst, page.at + (hva & (NMMU_PAGE_SIZE - 1)), len);
	nmmu_zero(dst, len);
	return 0;
}

static int op_write(void *host, u64 hva, const void *src, u32 len)
{
	struct mmuscope_nmmu_page page;

	if (!in_page(hva, len) || find_page(host, hva, true, WANT_OWN_BYTES, &page))
		return -EFAULT;
	note(host, MMUSCOPE_NMMU_NOTE_WRITTEN, pfn_of(&page) << NMMU_PAGE_SHIFT);
	return inst_copy_out(page.at + (hva & (NMMU_PAGE_SIZE - 1)), src, len);
}

static int op_cmpxchg(void *host, u64 hva, u64 old, u64 new_value, u32 bytes)
{
	struct mmuscope_nmmu_page page;

	if ((bytes != 4 && bytes != 8) || hva & (bytes - 1) ||
	    find_page(host, hva, true, WANT_OWN_BYTES, &page))
		return -EFAULT;
	note(host, MMUSCOPE_NMMU_NOTE_WRITTEN, pfn_of(&page) << NMMU_PAGE_SHIFT);
	/* The whole page is where the caller says, or this would not be aligned. */
	if (page.at & (NMMU_PAGE_SIZE - 1))
		return -EFAULT;
	return inst_cmpxchg(page.at + (hva & (NMMU_PAGE_SIZE - 1)), old, new_value, bytes);
}

/* --- the rest --- */

static void op_flush(void *host, struct nmmu_vcpu *vcpu)
{
	struct inst *inst = host;
	u32 i;

	for (i = 0; i < inst->nr_vcpus; i++) {
		if (vcpu && inst->vcpus[i] != vcpu)
			continue;
		inst->flushed |= 1u << i;
		/* Whom the interrupt found in the guest has left it, and did what is done at every exit. */
		nmmu_pml_drain(inst->vcpus[i]);
	}
}

static void op_event(void *host, const struct ms_event *event)
{
	struct inst *inst = host;

	inst_traced(inst, event);
	if (!have_room(inst)) {
		inst->lost++;
		return;
	}
	inst->events[inst->nr_events++] = *event;
}

/* Whoever has it goes on meanwhile, or nobody does: then for each time that this is answered it is looked at. */
static void op_lock(void *host)
{
	struct inst *inst = host;
	struct inst_strand *s = inst->now;

	if (!s)
		return;
	if (inst->watch & MMUSCOPE_NMMU_WATCH_LOCK)
		inst_ask(inst, MMUSCOPE_NMMU_ASK_LOCK, 0, 0, 0, NULL);
	while (inst->lock) {
		if (!s->refused) {
			inst_ask(inst, MMUSCOPE_NMMU_ASK_LOCK, 0, 0, 0, NULL);
			continue;
		}
		/* All others are being ended as well. */
		s->waits = true;
		inst_wait(s);
		s->waits = false;
	}
	inst->lock = s;
}

static void op_unlock(void *host)
{
	struct inst *inst = host;

	if (!inst->now)
		return;
	inst->lock = NULL;
	if (inst->watch & MMUSCOPE_NMMU_WATCH_LOCK)
		inst_ask(inst, MMUSCOPE_NMMU_ASK_UNLOCK, 0, 0, 0, NULL);
}

static void op_yield(void *host, enum nmmu_point point)
{
	struct inst *inst = host;

	if (inst->now && !is_refused(inst) && inst->watch & 1u << point)
		inst_ask(inst, MMUSCOPE_NMMU_ASK_YIELD, point, 0, 0, NULL);
}

static bool op_stop(void *host)
{
	return is_refused(host);
}

static bool op_pin(void *host, u64 gfn, u64 pfn, u8 level)
{
	u64 kept = 0;

	return !inst_ask(host, MMUSCOPE_NMMU_ASK_PIN, gfn, pfn, level, &kept) && kept;
}

static void op_unpin(void *host, u64 gfn, u64 pfn, u8 level)
{
	inst_ask(host, MMUSCOPE_NMMU_ASK_UNPIN, gfn, pfn, level, NULL);
}

static void op_zap(void *host, u64 gfn, u64 pfn, u8 level)
{
	inst_ask(host, MMUSCOPE_NMMU_ASK_ZAP, gfn, pfn, level, NULL);
}

static void op_unzap(void *host, u64 gfn, u64 pfn, u8 level)
{
	inst_ask(host, MMUSCOPE_NMMU_ASK_UNZAP, gfn, pfn, level, NULL);
}

void inst_ops(struct nmmu_ops *ops, bool events)
{
	*ops = (struct nmmu_ops){
		.page_alloc = op_page_alloc,
		.page_free = op_page_free,
		.alloc = op_alloc,
		.free = op_free,
		.hva_to_pfn = op_hva_to_pfn,
		.hva_to_pfn_fast = op_hva_to_pfn_fast,
		.read = op_read,
		.write = op_write,
		.cmpxchg = op_cmpxchg,
		.flush = op_flush,
		.pin = op_pin,
		.unpin = op_unpin,
		.zap = op_zap,
		.unzap = op_unzap,
		.event = events ? op_event : NULL,
		.lock = op_lock,
		.unlock = op_unlock,
		.yield = op_yield,
		.stop = op_stop,
	};
}
