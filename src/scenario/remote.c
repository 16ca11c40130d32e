/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An engine behind a device (abi/kmod_nmmu.h). Host memory, CPUs, pins and the choice of who runs stay here: what the
 * engine would have called of struct nmmu_ops is what the device asks for, and is answered by the same code.
 *
 * Of the host's page tables the device has a copy, a table for each piece of the VMM's memory. An entry is what
 * hostmem says, or nothing: then it asks. Whoever changes what is behind an address has it written anew.
 */
#include "scenario/machine_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "nmmu/image.h"

struct area {
	u64 hva, bytes;
	struct mmuscope_nmmu_page *table;
};

struct remote {
	void *session;
	struct area areas[MMUSCOPE_NMMU_AREAS];
	u32 nr_areas;
	bool strands[MMUSCOPE_NMMU_STRANDS]; /* under way */
	u32 setting_slots; /* calls under way that change slots */
	struct ms_vcpu_state states[MMUSCOPE_NMMU_VCPUS];
	struct nmmu_slot *slots; /* as they were set: no arrays; nr_pages 0: free */
	size_t nr_slots, cap_slots;
	u8 *image;
	u64 image_bytes;
	struct mirror *mirror, *older; /* older: for those who hold something of it */
	bool stale;
	bool unsettled;
	struct nmmu *
		blank; /* what is shown when there is no mirror to be had: a machine in which nothing has happened */
	struct ms_event events[MMUSCOPE_NMMU_EVENTS];
	u64 notes[MMUSCOPE_NMMU_NOTES];
	u64 frames[MMUSCOPE_NMMU_FRAMES]; /* the next ones of hostmem_table_alloc() */
};

static int request(struct ms_machine *machine, unsigned long nr, void *arg)
{
	return machine->opts.device->request(machine->remote->session, nr, arg);
}

/* --- beginning and end --- */

struct ms_err *remote_create(struct ms_machine *machine)
{
	const struct nmmu_config *config = &machine->opts.config;
	struct mmuscope_nmmu_create create = {
		.layout = nmmu_image_layout(),
		.first_generation = config->first_generation,
		.max_pages = config->max_pages,
		.bugs = config->bugs,
		.hv = config->hv,
		.kernel = config->kernel,
		.phys_bits = config->phys_bits,
		.guest_phys_bits = config->guest_phys_bits,
		.events = machine->opts.event != NULL,
	};
	struct ms_err *err;
	int rc;

#define FLAG(name) create.flags |= config->name ? 1u << MMUSCOPE_NMMU_F_##name : 0;
	MMUSCOPE_NMMU_FLAGS(FLAG)
#undef FLAG
	machine->remote = calloc(1, sizeof(*machine->remote));
	if (!machine->remote)
		return ms_err_nomem();
	machine->remote->stale = true;
	err = machine->opts.device->open(machine->opts.device_ctx, &machine->remote->session);
	if (err)
		return err;
	/* Of mutants nothing is known there: their number is a test build's. */
	rc = config->mutant ? -EOPNOTSUPP : request(machine, MMUSCOPE_NMMU_CREATE, &create);
	if (rc == -EPROTO)
		return ms_err_hint(
			ms_err_new(MS_ERR_TARGET, "the module's engine is another than this program's"),
			"load the mmuscope.ko that was built from the same sources");
	if (rc == -ENOMEM)
		return ms_err_hint(ms_err_new(MS_ERR_MEMORY, "the module has no memory for a machine"),
				   "a cgroup's limit counts there, too");
	if (rc)
		return ms_err_errno(MS_ERR_USAGE, -rc, "the settings of the machine contradict each other");
	return nmmu_create(config, &machine->ops, machine, &machine->remote->blank) ? ms_err_nomem() : NULL;
}

void remote_destroy(struct ms_machine *machine)
{
	struct remote *r = machine->remote;
	u32 i;

	if (!r)
		return;
	if (r->session)
		machine->opts.device->close(r->session);
	for (i = 0; i < r->nr_areas; i++)
		free(r->areas[i].table);
	mirror_destroy(r->mirror);
	mirror_destroy(r->older);
	if (r->blank)
		nmmu_destroy(r->blank);
	free(r->slots);
	free(r->image);
	free(r);
	machine->remote = NULL;
}

/* --- the host's page tables --- */

static void set_page(struct ms_machine *machine, struct mmuscope_nmmu_page *page, u64 hva)
{
	struct hostmem_pfn pfn;

	*page = (struct mmuscope_nmmu_page){ 0 };
	if (hostmem_lookup(machine->mem, hva, &pfn))
		return;
	page->frame = pfn.pfn << MMUSCOPE_NMMU_PAGE_PFN_SHIFT |
		      (u64)pfn.level << MMUSCOPE_NMMU_PAGE_LEVEL_SHIFT |
		      (pfn.writable ? MMUSCOPE_NMMU_PAGE_WRITABLE : 0) | MMUSCOPE_NMMU_PAGE_PRESENT;
	page->at = (uintptr_t)hostmem_contents(machine->mem, pfn.pfn);
}

void remote_sync(struct ms_machine *machine, u64 hva, u64 bytes)
{
	struct remote *r = machine->remote;
	u64 end = hva + bytes, at, last;
	u32 i;

	for (i = 0; i < r->nr_areas; i++) {
		const struct area *area = &r->areas[i];

		at = hva > area->hva ? hva : area->hva;
		last = end < area->hva + area->bytes ? end : area->hva + area->bytes;
		for (; at < last; at += NMMU_PAGE_SIZE)
			set_page(machine, &area->table[(at - area->hva) >> NMMU_PAGE_SHIFT], at);
	}
}

int remote_fault(struct ms_machine *machine, u64 hva, bool write, struct hostmem_pfn *ret)
{
	bool was_there = hostmem_pfn(machine->mem, hva) != ~0ull;
	u64 start = hva & ~(u64)(NMMU_PAGE_SIZE - 1), end = start + NMMU_PAGE_SIZE;
	int rc = hostmem_fault(machine->mem, hva, write, ret);

	/* What came may be more than was asked for. */
	if (!was_there)
		hostmem_span(machine->mem, hva, &start, &end);
	remote_sync(machine, start, end - start);
	return rc;
}

int remote_map(struct ms_machine *machine, u64 hva, u64 bytes)
{
	struct remote *r = machine->remote;
	struct mmuscope_nmmu_area area = { .hva = hva, .bytes = bytes };
	struct mmuscope_nmmu_page *table;
	int rc;

	if (r->nr_areas == MMUSCOPE_NMMU_AREAS)
		return -E2BIG;
	table = calloc(bytes >> NMMU_PAGE_SHIFT, sizeof(*table));
	if (!table)
		return -ENOMEM;
	area.table = (uintptr_t)table;
	rc = request(machine, MMUSCOPE_NMMU_AREA, &area);
	if (rc) {
		free(table);
		return rc;
	}
	r->areas[r->nr_areas++] = (struct area){ .hva = hva, .bytes = bytes, .table = table };
	return 0;
}

/* --- what the engine asks for --- */

static int fault(struct ms_machine *machine, u64 hva, bool write, bool bytes)
{
	struct hostmem_pfn pfn;
	int rc = remote_fault(machine, hva, write, &pfn);

	if (rc || !bytes)
		return rc;
	rc = hostmem_make(machine->mem, pfn.pfn);
	remote_sync(machine, hva & ~(u64)(NMMU_PAGE_SIZE - 1), NMMU_PAGE_SIZE);
	return rc;
}

static void answer(struct ms_machine *machine, struct mmuscope_nmmu_run *run)
{
	const struct ms_machine_opts *opts = &machine->opts;
	u64 *v = run->v, gfn = v[0], pfn = v[1], pa = 0;
	u8 level = (u8)v[2];
	void *va;

	switch ((enum mmuscope_nmmu_state)run->state) {
	case MMUSCOPE_NMMU_ASK_FAULT:
		v[0] = fault(machine, v[0], v[1], v[2]) != 0;
		return;
	case MMUSCOPE_NMMU_ASK_FRAME:
		v[0] = hostmem_table_alloc(machine->mem, &va, &pa) != 0;
		v[1] = pa;
		return;
	case MMUSCOPE_NMMU_ASK_PIN:
		v[1] = pinhost_pin(&machine->pins, gfn, pfn, level);
		break;
	case MMUSCOPE_NMMU_ASK_UNPIN:
		machine_misuse(machine, pinhost_unpin(&machine->pins, gfn, pfn, level));
		break;
	case MMUSCOPE_NMMU_ASK_ZAP:
		machine_misuse(machine, pinhost_zap(&machine->pins, gfn, pfn, level));
		break;
	case MMUSCOPE_NMMU_ASK_UNZAP:
		machine_misuse(machine, pinhost_unzap(&machine->pins, gfn, pfn, level));
		break;
	case MMUSCOPE_NMMU_ASK_YIELD:
		if (opts->yield && gfn < NMMU_NR_POINTS)
			opts->yield(opts->yield_ctx, (enum nmmu_point)gfn);
		break;
	case MMUSCOPE_NMMU_ASK_LOCK:
		if (opts->lock)
			opts->lock(opts->yield_ctx);
		break;
	case MMUSCOPE_NMMU_ASK_UNLOCK:
		if (opts->unlock)
			opts->unlock(opts->yield_ctx);
		break;
	case MMUSCOPE_NMMU_ASK_ROOM:
	case MMUSCOPE_NMMU_DONE:
		break;
	}
	v[0] = 0;
}

static void heed(struct ms_machine *machine, u64 note)
{
	u64 pa = note & ~(u64)(NMMU_PAGE_SIZE - 1);

	if ((note & (NMMU_PAGE_SIZE - 1)) == MMUSCOPE_NMMU_NOTE_FREED)
		hostmem_table_free(machine->mem, pa);
	else
		hostmem_set_written(machine->mem, pa >> NMMU_PAGE_SHIFT);
}

/* What is so whenever the device comes back, before anybody else runs. */
static void settle(struct ms_machine *machine, const struct mmuscope_nmmu_run *run)
{
	struct remote *r = machine->remote;
	void *va;
	u64 pa;
	u32 i;

	/* Frames that were shown are drawn now: the same ones, unless something went wrong. */
	for (i = 0; i < run->nr_frames && i < MMUSCOPE_NMMU_FRAMES; i++)
		if (hostmem_table_alloc(machine->mem, &va, &pa) || pa != r->frames[i])
			machine_misuse(machine, "the module's tables lie elsewhere than they were said to");
	for (i = 0; i < machine->nr_vcpus && run->flushed; i++)
		if (run->flushed & 1u << i)
			hw_cpu_flush(machine->vcpus[i].cpu);
	machine->fail_after = run->fail_after;
	r->stale = true;
	r->unsettled = run->unsettled;
	for (i = 0; i < run->nr_notes && i < MMUSCOPE_NMMU_NOTES; i++)
		heed(machine, r->notes[i]);
	for (i = 0; i < run->nr_events && i < MMUSCOPE_NMMU_EVENTS; i++)
		machine->opts.event(machine->opts.event_ctx, &r->events[i]);
	if (run->lost)
		machine_misuse(machine, "the module has lost events");
}

static u32 watched(const struct ms_machine *machine)
{
	const struct ms_machine_opts *opts = &machine->opts;

	if (!opts->yield)
		return 0;
	return opts->watched ? opts->watched(opts->yield_ctx) : ~0u;
}

/* Each strand has its own `run': between two requests others may come to be. */
static int run_strand(struct ms_machine *machine, struct mmuscope_nmmu_run *run)
{
	struct remote *r = machine->remote;
	int rc;

	for (;;) {
		run->pad = 0;
		run->watch = watched(machine);
		run->events = (uintptr_t)r->events;
		run->nr_events = MMUSCOPE_NMMU_EVENTS;
		run->notes = (uintptr_t)r->notes;
		run->nr_notes = MMUSCOPE_NMMU_NOTES;
		run->frames = (uintptr_t)r->frames;
		run->nr_frames = hostmem_table_peek(machine->mem, r->frames, MMUSCOPE_NMMU_FRAMES);
		run->fail_after = machine->fail_after;
		rc = request(machine, MMUSCOPE_NMMU_RUN, run);
		if (rc) {
			machine_misuse(machine, "the module does not do what it is asked for");
			return rc;
		}
		settle(machine, run);
		if (run->state == MMUSCOPE_NMMU_DONE)
			return run->error;
		answer(machine, run);
		run->call = MMUSCOPE_NMMU_ANSWER;
	}
}

int remote_call(struct ms_machine *machine, enum mmuscope_nmmu_call call, u32 vcpu, u64 *v)
{
	struct mmuscope_nmmu_run run = { .call = call, .vcpu = vcpu };
	struct remote *r = machine->remote;
	int rc;

	while (run.strand < MMUSCOPE_NMMU_STRANDS && r->strands[run.strand])
		run.strand++;
	if (run.strand == MMUSCOPE_NMMU_STRANDS)
		return -EBUSY;
	r->strands[run.strand] = true;
	r->setting_slots += call == MMUSCOPE_NMMU_SLOT_SET;
	if (v)
		memcpy(run.v, v, sizeof(run.v));
	rc = run_strand(machine, &run);
	if (v)
		memcpy(v, run.v, sizeof(run.v));
	r->setting_slots -= call == MMUSCOPE_NMMU_SLOT_SET;
	r->strands[run.strand] = false;
	if (call >= MMUSCOPE_NMMU_VCPU_LOAD && call <= MMUSCOPE_NMMU_TRANSLATE && vcpu < MMUSCOPE_NMMU_VCPUS)
		r->states[vcpu] = (struct ms_vcpu_state){ .guest_mode = run.guest_mode,
							  .pml12 = run.pml12,
							  .pml12_index = run.pml12_index };
	return rc;
}

struct ms_vcpu_state remote_vcpu_state(struct ms_machine *machine, u32 vcpu)
{
	return machine->remote->states[vcpu];
}

bool remote_unsettled(const struct ms_machine *machine)
{
	return machine->remote->unsettled;
}

int remote_add_vcpu(struct ms_machine *machine)
{
	u64 v[MMUSCOPE_NMMU_VALUES] = { 0 };

	return remote_call(machine, MMUSCOPE_NMMU_VCPU_CREATE, 0, v);
}

/* --- slots as the VMM knows them --- */

static struct nmmu_slot *slot_by_id(struct remote *r, u16 as_id, u16 id)
{
	size_t i;

	for (i = 0; i < r->nr_slots; i++)
		if (r->slots[i].nr_pages && r->slots[i].as_id == as_id && r->slots[i].id == id)
			return &r->slots[i];
	return NULL;
}

void remote_slot_was_set(struct ms_machine *machine, const struct nmmu_slot *slot)
{
	struct remote *r = machine->remote;
	struct nmmu_slot *old = slot_by_id(r, slot->as_id, slot->id), *slots;

	if (!old && slot->nr_pages) {
		for (old = r->slots; old < r->slots + r->nr_slots && old->nr_pages; old++)
			;
		if (old == r->slots + r->nr_slots) {
			slots = ms_grow(r->slots, &r->cap_slots, r->nr_slots + 1, sizeof(*slots));
			if (!slots) {
				machine_misuse(machine, "out of memory");
				return;
			}
			r->slots = slots;
			old = &slots[r->nr_slots++];
		}
	}
	if (old)
		*old = *slot;
}

const struct nmmu_slot *remote_slot(struct ms_machine *machine, u16 as_id, u16 id)
{
	if (machine->remote->setting_slots)
		return nmmu_slot_by_id(remote_nmmu(machine), as_id, id);
	return slot_by_id(machine->remote, as_id, id);
}

const struct nmmu_slot *remote_slot_at(struct ms_machine *machine, u16 as_id, u64 gfn)
{
	const struct remote *r = machine->remote;
	size_t i;

	if (r->setting_slots)
		return nmmu_slot_of(remote_nmmu(machine), as_id, gfn);
	for (i = 0; i < r->nr_slots; i++)
		if (r->slots[i].as_id == as_id && gfn >= r->slots[i].base_gfn &&
		    gfn - r->slots[i].base_gfn < r->slots[i].nr_pages)
			return &r->slots[i];
	return NULL;
}

/* --- tables, as a CPU sees them --- */

int remote_read(struct ms_machine *machine, u64 pa, void *dst, u32 len)
{
	struct mmuscope_nmmu_table t = { .pa = pa & ~7ull, .op = MMUSCOPE_NMMU_READ };
	u32 skip = pa & 7;

	t.words = (skip + len + 7) / 8;
	if (t.words > 4 || request(machine, MMUSCOPE_NMMU_TABLE, &t))
		return -EFAULT;
	memcpy(dst, (const u8 *)t.v + skip, len);
	return 0;
}

/* A CPU stores into no table but its log. */
int remote_write(struct ms_machine *machine, u64 pa, const void *src, u32 len)
{
	struct mmuscope_nmmu_table t = { .pa = pa, .op = MMUSCOPE_NMMU_LOG, .words = 1 };

	if (len != 8)
		return -EFAULT;
	memcpy(t.v, src, len);
	machine->remote->stale = true;
	return request(machine, MMUSCOPE_NMMU_TABLE, &t) ? -EFAULT : 0;
}

int remote_cmpxchg(struct ms_machine *machine, u64 pa, u64 old, u64 new_value)
{
	struct mmuscope_nmmu_table t = {
		.pa = pa, .op = MMUSCOPE_NMMU_MARK, .words = 1, .old = old, .v = { new_value }
	};
	int rc = request(machine, MMUSCOPE_NMMU_TABLE, &t);

	machine->remote->stale = true;
	return rc == -EAGAIN || !rc ? rc : -EFAULT;
}

/* --- its memory --- */

/* The image, with room for more than the last one had. */
static int get_image(struct ms_machine *machine, struct mmuscope_nmmu_image *image)
{
	struct remote *r = machine->remote;
	int rc, tries;

	for (tries = 0; tries < 4; tries++) {
		*image = (struct mmuscope_nmmu_image){ .to = (uintptr_t)r->image, .bytes = r->image_bytes };
		rc = request(machine, MMUSCOPE_NMMU_IMAGE, image);
		if (rc != -E2BIG)
			return rc;
		free(r->image);
		r->image_bytes = image->bytes + image->bytes / 4;
		r->image = malloc(r->image_bytes);
		if (!r->image) {
			r->image_bytes = 0;
			return -ENOMEM;
		}
	}
	return -E2BIG;
}

struct nmmu *remote_nmmu(struct ms_machine *machine)
{
	struct remote *r = machine->remote;
	struct mmuscope_nmmu_image image;
	struct mirror *mirror;
	int rc;

	if (!r->stale)
		return r->mirror ? mirror_nmmu(r->mirror) : r->blank;
	rc = get_image(machine, &image);
	if (!rc)
		rc = mirror_create(r->image, image.bytes, image.machine, &machine->ops, machine, &mirror);
	if (rc) {
		machine_misuse(machine,
			       rc == -ENOMEM ? "out of memory" : "the module's memory is no machine");
		return r->mirror ? mirror_nmmu(r->mirror) : r->blank;
	}
	mirror_destroy(r->older);
	r->older = r->mirror;
	r->mirror = mirror;
	r->stale = false;
	return mirror_nmmu(mirror);
}
