/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See mend.h. */
#include "tests/fuzz/mend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

#define MAX_VMS 8

#define UP_TO(last) (((last) << 1) - 1)

static void *room(size_t nr, size_t size)
{
	void *p = calloc(nr ? nr : 1, size);

	if (!p)
		abort();
	return p;
}

/* --- records, mended one by one --- */

struct item {
	u32 key; /* VM, then stage: the order of the stream */
	u32 seq; /* as they came */
	enum ms_rec_type type;
	void *rec;
	struct ms_sp_tables *tables;
};

struct input {
	struct item items[MEND_MAX_RECORDS];
	size_t nr;
	struct ms_rec_vm vms[MAX_VMS];
	u32 nr_vms;
	struct ms_rec_host host;
	struct ms_rec_walk walks[MAX_VMS][2];
	struct ms_rec_rmaps ends[MAX_VMS];
	struct ms_rec_exact exacts[MAX_VMS]; /* kvm 0: none */
	size_t table_bytes;
};

static void mend_host(struct ms_rec_host *host)
{
	u32 i;

	host->have &= UP_TO(MS_HOST_PML) & ~(MS_HOST_HAVE_TDP_ENABLED - MS_HOST_HAVE_MASK(MS_SM_NR));
	host->release[sizeof(host->release) - 1] = host->target[sizeof(host->target) - 1] = '\0';
	host->hv %= MS_HV_VMX + 1;
	host->nr_role_fields %= MS_ROLE_FIELDS_MAX + 1;
	for (i = 0; i < host->nr_role_fields; i++) {
		struct ms_rec_role_field *field = &host->role_fields[i];

		field->name[0] = field->name[0] ? field->name[0] : 'x';
		field->name[sizeof(field->name) - 1] = '\0';
		field->bit %= 64;
		if (!field->width || field->bit % 32 + field->width > 32)
			field->width = 1;
		memset(field->pad, 0, sizeof(field->pad));
	}
	memset(&host->role_fields[i], 0, (MS_ROLE_FIELDS_MAX - i) * sizeof(host->role_fields[0]));
}

static void mend_sp(struct ms_rec_sp *sp, const struct ms_sp_tables *tables)
{
	sp->have &= UP_TO(MS_SP_HAVE_NX_POSSIBLE);
	if (!tables)
		sp->have &= ~(MS_SP_HAVE_SPTES | MS_SP_HAVE_TRANSLATIONS);
	sp->sp = sp->sp ? sp->sp : 8;
	/* What cannot be trusted is not judged: let there be little of it. */
	sp->state = sp->state <= MS_SP_UNREADABLE ? sp->state : MS_SP_CONFIRMED;
	sp->tdp_mmu_page &= 1;
	sp->unsync &= 1;
	sp->nx_disallowed &= 1;
	sp->nx_possible &= 1;
	memset(sp->pad, 0, sizeof(sp->pad));
}

static void mend_rmap(struct ms_rec_rmap *rmap)
{
	rmap->have &= UP_TO(MS_RMAP_ENDLESS);
	if (!rmap->sp)
		rmap->have |= MS_RMAP_HAVE_GFN;
	if (rmap->have & MS_RMAP_HAVE_GFN) {
		rmap->sp = 0;
		rmap->level = rmap->level ? rmap->level : 1;
	} else {
		rmap->gfn = rmap->as_id = 0;
	}
	rmap->gfn &= (1ull << 52) - 1;
	rmap->level %= 7;
	rmap->head = rmap->head ? rmap->head : 8;
	rmap->state %= MS_RMAP_UNREADABLE + 1;
	/* Counted again when its descriptors are known. */
	rmap->nr_descs = 0;
	rmap->nr_entries = !(rmap->head & MS_RMAP_MANY);
	memset(rmap->pad, 0, sizeof(rmap->pad));
}

static void mend_frame(enum ms_rec_type type, void *rec)
{
	struct ms_rec_pin *pin = rec;
	struct ms_rec_gtable *table = rec;
	struct ms_rec_changed *changed = rec;

	if (type == MS_REC_PIN) {
		pin->level = pin->level && pin->level <= 3 ? pin->level : 1;
		pin->gfn &= ((1ull << 52) - 1) & ~(ms_level_pages(pin->level) - 1);
		pin->mapped &= 1;
		memset(pin->pad, 0, sizeof(pin->pad));
	} else if (type == MS_REC_GTABLE) {
		table->gfn &= (1ull << 52) - 1;
		table->state %= MS_GTABLE_UNREADABLE + 1;
		if (table->state > MS_GTABLE_CHANGED)
			memset(table->bytes, 0, sizeof(table->bytes));
		memset(table->pad, 0, sizeof(table->pad));
	} else {
		changed->gfn &= (1ull << 52) - 1;
		changed->logged &= 1;
		memset(changed->pad, 0, sizeof(changed->pad));
	}
}

static void mend(enum ms_rec_type type, void *rec, const struct ms_sp_tables *tables)
{
	struct ms_rec_vcpu *vcpu = rec;
	struct ms_rec_slot *slot = rec;
	struct ms_rec_mmu *mmu = rec;
	struct ms_rec_rmap_desc *desc = rec;
	struct ms_rec_gfn *gfn = rec;
	u64 used;

	switch (type) {
	case MS_REC_VCPU:
		vcpu->have &= UP_TO(MS_VCPU_HAVE_PML02);
		vcpu->guest_mode &= 1;
		vcpu->smm &= 1;
		vcpu->pml02 &= 1;
		vcpu->pad = 0;
		break;
	case MS_REC_SLOT:
		slot->have &= UP_TO(MS_SLOT_UNSTABLE);
		slot->base_gfn &= (1ull << 52) - 1;
		slot->nr_pages &= (1ull << 52) - 1;
		break;
	case MS_REC_MMU:
		mmu->have &= UP_TO(MS_MMU_HAVE_PDPTRS);
		mmu->which %= MS_MMU_NESTED + 1;
		break;
	case MS_REC_SP:
		mend_sp(rec, tables);
		break;
	case MS_REC_RMAP:
		mend_rmap(rec);
		break;
	case MS_REC_RMAP_DESC:
		used = desc->count < MS_RMAP_EXT ? desc->count : MS_RMAP_EXT;
		desc->desc = desc->desc ? desc->desc : 8;
		memset(desc->sptes + used, 0, 8 * (MS_RMAP_EXT - used));
		break;
	case MS_REC_GFN:
		gfn->gfn &= (1ull << 52) - 1;
		gfn->level = gfn->level && gfn->level <= 6 ? gfn->level : 1;
		gfn->count = gfn->count ? gfn->count : 1;
		gfn->state %= MS_RMAP_UNREADABLE + 1;
		break;
	case MS_REC_PIN:
	case MS_REC_GTABLE:
	case MS_REC_CHANGED:
		mend_frame(type, rec);
		break;
	default: /* as it came: files, which nobody judges */
		break;
	}
}

/* --- from bytes to records --- */

/* As ms_snap_table_decode(), of any bytes: what is not there is the filler. */
static size_t take_table(const uint8_t *in, size_t len, u64 *values)
{
	u64 head[1 + MS_SNAP_BITMAP_WORDS] = { 0 };
	size_t at = sizeof(head) < len ? sizeof(head) : len;
	u32 i;

	memcpy(head, in, at);
	for (i = 0; i < MS_SPTES; i++) {
		values[i] = head[0];
		if (!(head[1 + i / 64] >> (i % 64) & 1) || len - at < 8)
			continue;
		memcpy(&values[i], in + at, 8);
		at += 8;
	}
	return at;
}

static struct ms_sp_tables *take_tables(struct input *in, u64 have, const uint8_t *bytes, size_t len)
{
	size_t need = (have & MS_SP_HAVE_TRANSLATIONS ? 2 : 1) * MS_SPTES * sizeof(u64), at;
	struct ms_sp_tables *tables;

	if (!(have & MS_SP_HAVE_SPTES) || in->table_bytes + need > MEND_MAX_TABLE_BYTES)
		return NULL;
	in->table_bytes += need;
	tables = room(1, sizeof(*tables));
	at = take_table(bytes, len, tables->sptes);
	if (have & MS_SP_HAVE_TRANSLATIONS)
		take_table(bytes + at, len - at, tables->translations);
	return tables;
}

static void take_vm(struct input *in, struct ms_rec_vm *vm)
{
	u32 i;

	vm->have &= UP_TO(MS_VM_HAVE_CHANGED);
	vm->kvm = vm->kvm ? vm->kvm : 8;
	vm->comm[sizeof(vm->comm) - 1] = '\0';
	vm->nx_huge_disabled &= 1;
	for (i = 0; i < in->nr_vms; i++)
		if (in->vms[i].kvm == vm->kvm)
			return;
	if (in->nr_vms < MAX_VMS)
		in->vms[in->nr_vms++] = *vm;
}

/* Where the struct of this type names its VM. */
static u64 *kvm_of(enum ms_rec_type type, void *rec)
{
	switch (type) {
	case MS_REC_VCPU:
		return &((struct ms_rec_vcpu *)rec)->kvm;
	case MS_REC_SLOT:
		return &((struct ms_rec_slot *)rec)->kvm;
	case MS_REC_MMU:
		return &((struct ms_rec_mmu *)rec)->kvm;
	case MS_REC_SP:
		return &((struct ms_rec_sp *)rec)->kvm;
	case MS_REC_WALK:
		return &((struct ms_rec_walk *)rec)->kvm;
	case MS_REC_RMAP:
		return &((struct ms_rec_rmap *)rec)->kvm;
	case MS_REC_RMAPS:
		return &((struct ms_rec_rmaps *)rec)->kvm;
	default: /* FD, RMAP_DESC, GFN, PIN, GTABLE, CHANGED, EXACT */
		return rec;
	}
}

enum stage { VCPUS, SLOTS, MMUS, LEGACY, TDP, LISTS, COUNTS, PINS, GTABLES, CHANGES, NR_STAGES };

static enum stage stage_of(enum ms_rec_type type, const void *rec)
{
	switch (type) {
	case MS_REC_VCPU:
		return VCPUS;
	case MS_REC_SLOT:
		return SLOTS;
	case MS_REC_MMU:
		return MMUS;
	case MS_REC_SP:
		return ((const struct ms_rec_sp *)rec)->tdp_mmu_page ? TDP : LEGACY;
	case MS_REC_RMAP:
	case MS_REC_RMAP_DESC:
		return LISTS;
	case MS_REC_GFN:
		return COUNTS;
	case MS_REC_PIN:
		return PINS;
	case MS_REC_GTABLE:
		return GTABLES;
	default:
		return CHANGES;
	}
}

/* A part of a VM: of the one that it names, or of the last. Takes rec. */
static void take_detail(struct input *in, enum ms_rec_type type, void *rec, struct ms_sp_tables *tables)
{
	u64 *kvm = kvm_of(type, rec);
	struct ms_rec_walk *walk = rec;
	u32 vm = 0;

	while (vm + 1 < in->nr_vms && in->vms[vm].kvm != *kvm)
		vm++;
	*kvm = in->vms[vm].kvm;
	mend(type, rec, tables);
	if (type == MS_REC_WALK)
		in->walks[vm][!!(walk->flags & MS_WALK_TDP)] = *walk;
	else if (type == MS_REC_RMAPS)
		in->ends[vm] = *(struct ms_rec_rmaps *)rec;
	else if (type == MS_REC_EXACT)
		in->exacts[vm] = *(struct ms_rec_exact *)rec;
	if (type == MS_REC_WALK || type == MS_REC_RMAPS || type == MS_REC_EXACT ||
	    ms_snap_check_record(type, rec)) {
		free(rec);
		free(tables);
		return;
	}
	in->items[in->nr] = (struct item){ .key = vm * NR_STAGES + stage_of(type, rec),
					   .seq = (u32)in->nr,
					   .type = type,
					   .rec = rec,
					   .tables = tables };
	in->nr++;
}

static void take(struct input *in, const uint8_t *data, size_t size)
{
	size_t at = sizeof(struct ms_snap_head), len, want;
	struct ms_sp_tables *tables;
	struct ms_snap_rec head;
	void *rec;

	for (; at + sizeof(head) <= size && in->nr < MEND_MAX_RECORDS; at += len) {
		memcpy(&head, data + at, sizeof(head));
		at += sizeof(head);
		len = head.len < size - at ? head.len : size - at;
		want = ms_rec_size(head.type);
		if (!want || head.type == MS_REC_END || head.type == MS_REC_FD ||
		    (!in->nr_vms && head.type > MS_REC_VM))
			continue;
		rec = room(1, want);
		memcpy(rec, data + at, want < len ? want : len);
		if (head.type == MS_REC_HOST)
			in->host = *(struct ms_rec_host *)rec;
		else if (head.type == MS_REC_VM)
			take_vm(in, rec);
		if (head.type <= MS_REC_VM) {
			free(rec);
			continue;
		}
		tables = NULL;
		if (head.type == MS_REC_SP)
			tables = take_tables(in, ((struct ms_rec_sp *)rec)->have, data + at + want,
					     len > want ? len - want : 0);
		take_detail(in, head.type, rec, tables);
	}
	mend_host(&in->host);
}

static int by_stage(const void *left, const void *right)
{
	const struct item *a = left, *b = right;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* --- from records to a stream --- */

static struct ms_err *stream_write(void *ctx, const void *buf, size_t len)
{
	struct stream *s = ctx;

	if (s->cap - s->len < len) {
		s->cap = 2 * s->cap + len;
		s->bytes = realloc(s->bytes, s->cap);
		if (!s->bytes)
			abort();
	}
	memcpy(s->bytes + s->len, buf, len);
	s->len += len;
	return NULL;
}

/* A refusal here would be of a record that was not mended: then this file knows the format no more. */
static void put(struct stream *s, enum ms_rec_type type, const void *rec, const struct ms_sp_tables *tables)
{
	struct ms_err *err = ms_snap_encode_put(&s->encoder, type, rec, tables);

	if (err) {
		fprintf(stderr, "%s\n", ms_err_text(err));
		abort();
	}
}

static bool is_new(struct stream *s, u64 key)
{
	if (!key || ms_map_get(&s->seen, key) != MS_MAP_NONE)
		return false;
	if (!ms_map_put(&s->seen, key, 1))
		abort();
	return true;
}

static void put_lists(struct stream *s, const struct item *items, size_t nr, struct ms_rec_rmaps *end)
{
	size_t i, d;

	for (i = 0; i < nr; i++) {
		struct ms_rec_rmap *rmap = items[i].rec;

		if (items[i].type != MS_REC_RMAP)
			continue;
		for (d = i + 1; d < nr && items[d].type == MS_REC_RMAP_DESC && rmap->head & MS_RMAP_MANY;
		     d++) {
			u64 count = ((struct ms_rec_rmap_desc *)items[d].rec)->count;

			rmap->nr_entries += count < MS_RMAP_EXT ? (u32)count : MS_RMAP_EXT;
			rmap->nr_descs++;
		}
		put(s, MS_REC_RMAP, rmap, NULL);
		for (d = 1; d <= rmap->nr_descs; d++)
			put(s, MS_REC_RMAP_DESC, items[i + d].rec, NULL);
		end->nr_lists++;
		end->nr_torn += rmap->state == MS_RMAP_TORN;
		end->nr_unreadable += rmap->state == MS_RMAP_UNREADABLE;
	}
}

static void put_pages(struct stream *s, const struct item *items, size_t nr, struct ms_rec_walk *walk)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		const struct ms_rec_sp *sp = items[i].rec;

		if (!is_new(s, sp->sp))
			continue;
		put(s, MS_REC_SP, sp, items[i].tables);
		walk->nr_pages++;
		walk->nr_torn += sp->state == MS_SP_TORN;
		walk->nr_unlinked += sp->state == MS_SP_UNLINKED;
		walk->nr_unreadable += sp->state == MS_SP_UNREADABLE;
	}
	put(s, MS_REC_WALK, walk, NULL);
}

/* The model takes no pins that overlap. */
static bool overlaps(const struct item *items, size_t i)
{
	const struct ms_rec_pin *a = items[i].rec;
	size_t k;

	for (k = 0; k < i; k++) {
		const struct ms_rec_pin *b = items[k].rec;

		if (a->as_id == b->as_id && a->gfn < b->gfn + ms_level_pages(b->level) &&
		    b->gfn < a->gfn + ms_level_pages(a->level))
			return true;
	}
	return false;
}

/* As the format has it: of address spaces 0 to 4095. */
static u64 frame_key(u16 as_id, u64 gfn)
{
	return (gfn | (u64)as_id << 52) + 1;
}

/* Details that are one by one; of those that would come twice, the first. */
static void put_each(struct stream *s, enum stage stage, const struct item *items, size_t nr, u64 *vcpu)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		struct ms_rec_mmu *mmu = items[i].rec;
		const struct ms_rec_pin *pin = items[i].rec;
		const struct ms_rec_gtable *table = items[i].rec;
		const struct ms_rec_changed *changed = items[i].rec;
		bool good = true;

		if (stage == VCPUS) {
			good = is_new(s, ((struct ms_rec_vcpu *)items[i].rec)->vcpu);
			if (good)
				*vcpu = ((struct ms_rec_vcpu *)items[i].rec)->vcpu;
		} else if (stage == MMUS) {
			if (ms_map_get(&s->seen, mmu->vcpu) == MS_MAP_NONE)
				mmu->vcpu = *vcpu;
			good = *vcpu && is_new(s, mmu->mmu);
		} else if (stage == PINS) {
			good = !overlaps(items, i) && is_new(s, frame_key(pin->as_id, pin->gfn));
		} else if (stage == GTABLES) {
			good = is_new(s, frame_key(table->as_id, table->gfn));
		} else if (stage == CHANGES) {
			good = is_new(s, frame_key(changed->as_id, changed->gfn));
		}
		if (good)
			put(s, items[i].type, items[i].rec, NULL);
	}
}

static void put_vm(struct stream *s, struct input *in, u32 vm)
{
	u64 kvm = in->vms[vm].kvm, vcpu = 0;
	struct ms_rec_rmaps *end = &in->ends[vm];
	struct ms_rec_exact *exact = &in->exacts[vm];
	struct ms_rec_walk *walk;
	size_t from = 0, nr;
	u32 stage;

	while (from < in->nr && in->items[from].key < vm * NR_STAGES)
		from++;
	end->have &= UP_TO(MS_RMAPS_HAVE_GENERATION);
	end->flags &= UP_TO(MS_RMAPS_NO_ARRAY);
	end->kvm = kvm;
	end->nr_lists = end->nr_torn = end->nr_unreadable = end->nr_counts = 0;
	for (stage = 0; stage < NR_STAGES; stage++, from += nr) {
		const struct item *items = &in->items[from];

		for (nr = 0; from + nr < in->nr && items[nr].key == vm * NR_STAGES + stage; nr++)
			;
		/* An MMU is no vCPU, and names one. */
		if (stage > MMUS)
			ms_map_deinit(&s->seen);
		if (stage == LEGACY || stage == TDP) {
			walk = &in->walks[vm][stage == TDP];
			walk->kvm = kvm;
			walk->flags &= MS_WALK_BROKEN | MS_WALK_VM_GONE | MS_WALK_CHANGED;
			walk->flags |= stage == TDP ? MS_WALK_TDP : MS_WALK_LEGACY;
			walk->nr_pages = walk->nr_torn = walk->nr_unlinked = walk->nr_unreadable = 0;
			put_pages(s, items, nr, walk);
		} else if (stage == LISTS) {
			put_lists(s, items, nr, end);
		} else {
			put_each(s, stage, items, nr, &vcpu);
		}
		if (stage == COUNTS) {
			end->nr_counts = nr;
			put(s, MS_REC_RMAPS, end, NULL);
			exact->flags &= MS_EXACT_ONE_MOMENT;
			if (exact->kvm)
				put(s, MS_REC_EXACT, exact, NULL);
		}
	}
	ms_map_deinit(&s->seen);
}

void mend_stream(const uint8_t *data, size_t size, struct stream *s)
{
	struct input *in = room(1, sizeof(*in));
	size_t i;
	u32 vm;

	take(in, data, size);
	qsort(in->items, in->nr, sizeof(in->items[0]), by_stage);
	s->encoder.drain = (struct ms_snap_drain){ .write = stream_write, .ctx = s };
	if (ms_snap_encode_begin(&s->encoder))
		abort();
	put(s, MS_REC_HOST, &in->host, NULL);
	for (vm = 0; vm < in->nr_vms; vm++)
		put(s, MS_REC_VM, &in->vms[vm], NULL);
	for (vm = 0; vm < in->nr_vms; vm++)
		put_vm(s, in, vm);
	if (ms_snap_encode_end(&s->encoder))
		abort();
	for (i = 0; i < in->nr; i++) {
		free(in->items[i].rec);
		free(in->items[i].tables);
	}
	free(in);
}

void mend_deinit(struct stream *s)
{
	ms_snap_order_deinit(&s->encoder.order);
	free(s->bytes);
}
