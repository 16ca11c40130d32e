/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest tables of one VM as they lie in the VMM's memory, without a lock and without a fault: for each shadow page
 * that shadows one, frame -> memslot -> address in the VMM -> the host's page tables -> the direct map.
 *
 * KVM itself reads them at the memslot's address in the VMM, so that what is found there is what it shadows. Where
 * the host maps no page (never touched, swapped out, left to userfaultfd) nothing is there to be read, and the
 * record says so. Only what the kernel's own tree of resources calls memory is read: a table of the host that was
 * freed meanwhile, or a device that the VMM maps, can lead anywhere. A table counts as read if its bytes were the same
 * twice, and if before and after them the memslots, the VMM's tables and the page were the same; and that at two looks,
 * before and after the shadow pages were read. What cannot be told: bytes that changed and changed back.
 */
#include "target/hostpt.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "target/kvm_slots.h"

#define PAGE 4096u
#define TRIES 4
/* Read together: 1 MiB of the reader's buffer. */
#define TOGETHER 128u
#define NR_AS 2
/* KVM's own memslots have the ids from here on, and are not visible: KVM_USER_MEM_SLOTS. */
#define USER_MEM_SLOTS (0x7fff - 3)

struct table {
	struct ms_rec_gtable rec;
	u8 again[PAGE];
	struct host_walk before, after;
	bool asked, failed; /* its bytes, in this try */
	bool done;
};

/* A frame that is shadowed, and what the first look said. */
struct frame {
	u64 gfn, digest;
	u32 as_id, state;
};

struct ms_kvm_guest {
	struct ms_kmem *kmem;
	const struct ms_rec_vm *vm;
	const struct ms_want *want;
	u64 mask; /* address bits of an entry of the host's tables */
	struct host_ram ram;
	struct slot_set slots[NR_AS];
	u32 nr_as;
	u64 mm, pgd;
	struct frame *frames;
	size_t nr, cap;
	struct ms_map met; /* frames seen: gfn | as_id << 52, plus one */
	struct table *tables; /* TOGETHER of them */
	u32 nr_tables;
	struct ms_rec_gtable *recs; /* of the second look, room for nr; NULL: the first */
	size_t nr_recs;
};

/* --- which frames --- */

static u32 role_part(const struct ms_layout *layout, u32 role, const char *name, u32 otherwise)
{
	const struct ms_role_bit *bit = ms_layout_role_bit(layout, name);

	return bit ? ms_role_bit_get(bit, role) : otherwise;
}

static struct ms_err *collect(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables)
{
	const struct ms_rec_sp *sp = rec;
	struct ms_kvm_guest *g = ctx;
	struct frame *grown;
	u32 as_id;
	u64 key;

	(void)tables;
	if (type != MS_REC_SP || sp->tdp_mmu_page || sp->state != MS_SP_CONFIRMED || sp->gfn >> 52)
		return NULL;
	as_id = role_part(g->kmem->layout, sp->role, "smm", 0);
	key = (sp->gfn | (u64)as_id << 52) + 1; /* a map has no key 0 */
	if (role_part(g->kmem->layout, sp->role, "direct", 1) ||
	    role_part(g->kmem->layout, sp->role, "passthrough", 0) || ms_map_get(&g->met, key) != MS_MAP_NONE)
		return NULL;
	grown = ms_grow(g->frames, &g->cap, g->nr + 1, sizeof(*grown));
	if (!grown || !ms_map_put(&g->met, key, 0)) {
		g->frames = grown ? grown : g->frames;
		return ms_err_nomem();
	}
	g->frames = grown;
	grown[g->nr++] = (struct frame){ .gfn = sp->gfn, .as_id = as_id };
	return NULL;
}

static struct ms_err *collect_frames(struct ms_kvm_guest *g, const struct ms_rec_host *host)
{
	const struct ms_want headers = { .what = MS_WANT_SPS, .kvm = g->vm->kvm };
	const struct ms_sink sink = { .put = collect, .ctx = g };
	struct ms_rec_vm legacy = *g->vm;

	legacy.have &= ~MS_VM_HAVE_TDP_MMU;
	return ms_kvm_read_sps(g->kmem, host, &legacy, &headers, &sink);
}

/* --- what a try stands on: the VMM's tables and the memslots --- */

static struct ms_err *read_pgd(struct ms_kvm_guest *g, u64 *mm_ret, u64 *pgd_ret)
{
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;
	size_t failed = 0;

	*mm_ret = *pgd_ret = 0;
	if (ms_kbatch_field(&batch, g->kmem, g->vm->kvm, MS_F_kvm_mm, mm_ret))
		err = ms_kbatch_run(&batch, g->kmem, &failed);
	if (!err && !failed && ms_kmem_is_direct(g->kmem, *mm_ret, 8) &&
	    ms_kbatch_field(&batch, g->kmem, *mm_ret, MS_F_mm_pgd, pgd_ret))
		err = ms_kbatch_run(&batch, g->kmem, &failed);
	if (failed)
		*pgd_ret = 0;
	ms_kbatch_deinit(&batch);
	return err;
}

static void drop_slots(struct ms_kvm_guest *g)
{
	u32 as_id;

	for (as_id = 0; as_id < NR_AS; as_id++) {
		free(g->slots[as_id].slots);
		g->slots[as_id] = (struct slot_set){ 0 };
	}
}

static struct ms_err *stand(struct ms_kvm_guest *g)
{
	struct ms_err *err = read_pgd(g, &g->mm, &g->pgd);
	u32 as_id;

	drop_slots(g);
	for (as_id = 0; as_id < g->nr_as && !err; as_id++)
		err = kvm_slots_read(g->kmem, g->vm->kvm, as_id, &g->slots[as_id]);
	return err;
}

static struct ms_err *still_stands(struct ms_kvm_guest *g, bool *ret)
{
	const struct ms_field *f = g->kmem->layout->f;
	u64 mm, pgd, now[NR_AS] = { 0 }, gen[NR_AS] = { 0 };
	struct ms_kbatch batch = { 0 };
	struct ms_err *err;
	size_t failed = 0;
	u32 as_id;

	*ret = false;
	err = read_pgd(g, &mm, &pgd);
	if (err)
		return err;
	for (as_id = 0; as_id < g->nr_as; as_id++) {
		ms_kbatch_add(&batch, g->vm->kvm + f[MS_F_kvm_memslots].off + 8ull * as_id, 8, &now[as_id]);
		ms_kbatch_add(&batch, g->slots[as_id].memslots + f[MS_F_memslots_generation].off, 8,
			      &gen[as_id]);
	}
	err = ms_kbatch_run(&batch, g->kmem, &failed);
	ms_kbatch_deinit(&batch);
	*ret = !err && !failed && mm == g->mm && pgd == g->pgd;
	for (as_id = 0; as_id < g->nr_as; as_id++)
		*ret = *ret && g->slots[as_id].stable && now[as_id] == g->slots[as_id].memslots &&
		       gen[as_id] == g->slots[as_id].gen;
	return err;
}

/* Where the VMM has a frame; false: no visible memslot has it. */
static bool frame_hva(const struct ms_kvm_guest *g, u32 as_id, u64 gfn, u64 *ret)
{
	const struct slot_set *set = &g->slots[as_id < NR_AS ? as_id : 0];
	size_t i;

	for (i = 0; as_id < g->nr_as && i < set->nr; i++) {
		const struct slot_read *s = &set->slots[i];

		if (s->as_id != as_id || gfn < s->base_gfn || gfn - s->base_gfn >= s->npages ||
		    s->id >= USER_MEM_SLOTS || s->flags & MS_SLOT_INVALID)
			continue;
		*ret = s->hva + ((gfn - s->base_gfn) << 12);
		return true;
	}
	return false;
}

/* --- one try at the tables that are not done --- */

static struct ms_err *walk_all(struct ms_kvm_guest *g, bool after)
{
	struct host_walk walks[TOGETHER];
	u32 at[TOGETHER], nr = 0, i;
	struct ms_err *err;

	for (i = 0; i < g->nr_tables; i++) {
		struct table *t = &g->tables[i];

		if (t->done || t->rec.state == MS_GTABLE_NO_SLOT)
			continue;
		walks[nr] = (struct host_walk){ .va = t->before.va };
		at[nr++] = i;
	}
	err = host_walk(g->kmem, g->mask, g->pgd, walks, nr);
	for (i = 0; i < nr && !err; i++)
		*(after ? &g->tables[at[i]].after : &g->tables[at[i]].before) = walks[i];
	return err;
}

/* Both copies of all: the second of each a good while after its first. */
static struct ms_err *copy_all(struct ms_kvm_guest *g)
{
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;
	u32 i, pass;
	size_t k = 0;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < g->nr_tables; i++)
			if (g->tables[i].asked)
				ms_kbatch_add(&batch, g->kmem->page_offset + g->tables[i].before.pa, PAGE,
					      pass ? g->tables[i].again : g->tables[i].rec.bytes);
	if (batch.oom)
		err = ms_err_nomem();
	else if (batch.nr)
		err = ms_kmem_read(g->kmem, batch.reqs, batch.nr);
	for (pass = 0; pass < 2 && !err; pass++)
		for (i = 0; i < g->nr_tables; i++)
			if (g->tables[i].asked)
				g->tables[i].failed |= batch.reqs[k++].status != 0;
	ms_kbatch_deinit(&batch);
	return err;
}

static void judge(struct ms_kvm_guest *g, struct table *t, bool stands)
{
	bool same = host_walk_same(&t->before, &t->after);

	t->done = stands && same && t->before.end != HOST_WALK_BETWEEN;
	if (t->rec.state == MS_GTABLE_NO_SLOT) {
		t->done = stands;
		return;
	}
	if (!t->asked || t->failed)
		memset(t->rec.bytes, 0, sizeof(t->rec.bytes));
	t->rec.hpa = t->asked && !t->failed ? t->before.pa : 0;
	if (t->before.end == HOST_WALK_NONE || t->before.end == HOST_WALK_BETWEEN)
		t->rec.state = MS_GTABLE_NOT_PRESENT;
	else if (!t->asked && t->before.end == HOST_WALK_PAGE && g->ram.nr)
		t->rec.state = MS_GTABLE_NOT_RAM;
	else if (!t->asked || t->failed)
		t->rec.state = MS_GTABLE_UNREADABLE;
	else if (!t->done || memcmp(t->rec.bytes, t->again, PAGE)) {
		t->rec.state = MS_GTABLE_CHANGED;
		t->done = false;
	} else
		t->rec.state = MS_GTABLE_READ;
}

static struct ms_err *try_all(struct ms_kvm_guest *g)
{
	bool stands = false;
	struct ms_err *err;
	u32 i;

	for (i = 0; i < g->nr_tables; i++) {
		struct table *t = &g->tables[i];

		if (t->done)
			continue;
		t->asked = t->failed = false;
		t->before = t->after = (struct host_walk){ 0 };
		t->rec.state = frame_hva(g, t->rec.as_id, t->rec.gfn, &t->before.va) ? MS_GTABLE_UNREADABLE
										     : MS_GTABLE_NO_SLOT;
	}
	err = walk_all(g, false);
	for (i = 0; i < g->nr_tables && !err; i++) {
		struct table *t = &g->tables[i];
		u64 pa = t->before.pa;

		t->asked = !t->done && t->rec.state != MS_GTABLE_NO_SLOT && t->before.end == HOST_WALK_PAGE &&
			   host_ram_has(&g->ram, pa, PAGE) &&
			   ms_kmem_is_direct(g->kmem, g->kmem->page_offset + pa, PAGE);
	}
	if (!err)
		err = copy_all(g);
	if (!err)
		err = walk_all(g, true);
	if (!err)
		err = still_stands(g, &stands);
	for (i = 0; i < g->nr_tables && !err; i++)
		if (!g->tables[i].done)
			judge(g, &g->tables[i], stands);
	return err;
}

static struct ms_err *read_some(struct ms_kvm_guest *g, const struct frame *frames, u32 nr)
{
	struct ms_err *err = NULL;
	u32 tries, i;

	for (i = 0; i < nr; i++) {
		struct table *t = &g->tables[i];

		memset(t, 0, sizeof(*t));
		t->rec.kvm = g->vm->kvm;
		t->rec.gfn = frames[i].gfn;
		t->rec.as_id = (u16)frames[i].as_id;
	}
	g->nr_tables = nr;
	for (tries = 0; tries < TRIES && !err; tries++) {
		for (i = 0; i < nr && g->tables[i].done; i++)
			;
		if (i == nr)
			break;
		if (tries)
			err = stand(g);
		if (!err)
			err = try_all(g);
	}
	return err;
}

/* --- two looks --- */

/* Of the first look the digest is kept, of the second the record. */
static void keep(struct ms_kvm_guest *g, struct frame *frame, const struct ms_rec_gtable *rec)
{
	u64 now = ms_frame_digest(rec->bytes);
	struct ms_rec_gtable *kept;

	if (!g->recs) {
		frame->state = rec->state;
		frame->digest = now;
		return;
	}
	kept = &g->recs[g->nr_recs++];
	*kept = *rec;
	if (kept->state == MS_GTABLE_READ && (frame->state != MS_GTABLE_READ || frame->digest != now))
		kept->state = MS_GTABLE_CHANGED;
}

static struct ms_err *look(struct ms_kvm_guest *g)
{
	struct ms_err *err = g->nr ? stand(g) : NULL;
	size_t i;
	u32 nr, k;

	for (i = 0; i < g->nr && !err; i += nr) {
		nr = g->nr - i < TOGETHER ? (u32)(g->nr - i) : TOGETHER;
		err = read_some(g, g->frames + i, nr);
		for (k = 0; k < nr && !err; k++)
			keep(g, &g->frames[i + k], &g->tables[k].rec);
		if (g->want->progress && !g->want->progress(g->want->progress_ctx, i + nr))
			break;
	}
	return err;
}

void ms_kvm_guest_destroy(struct ms_kvm_guest *g)
{
	if (!g)
		return;
	drop_slots(g);
	host_ram_deinit(&g->ram);
	ms_map_deinit(&g->met);
	free(g->frames);
	free(g->tables);
	free(g->recs);
	free(g);
}

static struct ms_err *guest_create(struct ms_kmem *kmem, const struct ms_rec_host *host,
				   const struct ms_rec_vm *vm, const struct ms_want *want,
				   struct ms_kvm_guest **ret)
{
	const struct ms_field *memslots = &kmem->layout->f[MS_F_kvm_memslots];
	struct ms_kvm_guest *g = calloc(1, sizeof(*g));

	if (g)
		g->tables = calloc(TOGETHER, sizeof(*g->tables));
	if (!g || !g->tables) {
		free(g);
		return ms_err_nomem();
	}
	g->kmem = kmem;
	g->vm = vm;
	g->want = want;
	g->mask = ms_kvm_address_mask(host);
	g->nr_as = !memslots->present ? 0 : memslots->nr_elems < NR_AS ? memslots->nr_elems : NR_AS;
	*ret = g;
	return NULL;
}

struct ms_err *ms_kvm_guest_look(struct ms_kmem *kmem, const struct ms_rec_host *host,
				 const struct ms_rec_vm *vm, const struct ms_want *want,
				 struct ms_kvm_guest **ret)
{
	struct ms_kvm_guest *g = NULL;
	struct ms_err *err = guest_create(kmem, host, vm, want, &g);

	if (err)
		return err;
	if (vm->have & MS_VM_HAVE_LEGACY && g->nr_as)
		err = collect_frames(g, host);
	if (!err && g->nr)
		err = host_ram_read(kmem, &g->ram);
	if (!err)
		err = look(g);
	if (err) {
		ms_kvm_guest_destroy(g);
		return err;
	}
	*ret = g;
	return NULL;
}

struct ms_err *ms_kvm_guest_look_again(struct ms_kvm_guest *g)
{
	g->recs = calloc(g->nr ? g->nr : 1, sizeof(*g->recs));
	return g->recs ? look(g) : ms_err_nomem();
}

struct ms_err *ms_kvm_guest_put(const struct ms_kvm_guest *g, const struct ms_sink *sink)
{
	struct ms_err *err = NULL;
	size_t i;

	for (i = 0; i < g->nr_recs && !err; i++)
		err = sink->put(sink->ctx, MS_REC_GTABLE, &g->recs[i], NULL);
	return err;
}

/* --- frames by their numbers --- */

struct ms_err *ms_kvm_frames(struct ms_kmem *kmem, const struct ms_rec_host *host, u64 kvm, u32 as_id,
			     struct ms_frame *frames, size_t nr)
{
	const struct ms_rec_vm vm = { .kvm = kvm };
	struct frame some[TOGETHER];
	struct ms_kvm_guest *g = NULL;
	struct ms_err *err = guest_create(kmem, host, &vm, NULL, &g);
	bool alive = true;
	u32 n, k;
	size_t i;

	if (err)
		return err;
	if (kmem->alive)
		err = kmem->alive(kmem, kvm, &alive);
	if (!err && !alive)
		err = ms_err_new(MS_ERR_TARGET, "the VM ended while its frames were read");
	if (!err) {
		ms_kvm_enter(kmem, kvm);
		err = host_ram_read(kmem, &g->ram);
	}
	if (!err)
		err = stand(g);
	for (i = 0; i < nr && !err; i += n) {
		n = nr - i < TOGETHER ? (u32)(nr - i) : TOGETHER;
		for (k = 0; k < n; k++)
			some[k] = (struct frame){ .gfn = frames[i + k].gfn, .as_id = as_id };
		err = read_some(g, some, n);
		for (k = 0; k < n && !err; k++) {
			const struct ms_rec_gtable *rec = &g->tables[k].rec;

			frames[i + k].state = rec->state;
			frames[i + k].digest = rec->state == MS_GTABLE_READ ? ms_frame_digest(rec->bytes) : 0;
		}
	}
	ms_kvm_guest_destroy(g);
	return err;
}
