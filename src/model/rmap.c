/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of SPTEs and the counts of frames: kept as they came, sorted, and found by frame, by page and by SPTE. What
 * they claim of each other is checked here, once; whether they are right is for whoever asks.
 */
#include "model/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define CMP(a, b) (((a) > (b)) - ((a) < (b)))

static u32 desc_used(const struct ms_rec_rmap_desc *desc)
{
	return desc->count < MS_RMAP_EXT ? (u32)desc->count : MS_RMAP_EXT;
}

static struct ms_err *put_rmap(struct ms_vm *vm, struct rmap_room *room, const struct ms_rec_rmap *rec)
{
	bool many = rec->head & MS_RMAP_MANY;
	struct ms_rmap *rmap;

	if (room->descs_due)
		return model_refuse("list of SPTEs with fewer descriptors than it counts, of the VM",
				    rec->kvm);
	if (many ? rec->nr_entries > (u64)rec->nr_descs * MS_RMAP_EXT : rec->nr_descs || rec->nr_entries != 1)
		return model_refuse("list of SPTEs with more entries than room, of the VM", rec->kvm);
	if (vm->nr_rmaps >= MS_MAP_NONE)
		return ms_err_nomem();
	rmap = APPEND(vm->rmaps, vm->nr_rmaps, room->rmaps);
	if (!rmap)
		return ms_err_nomem();
	*rmap = (struct ms_rmap){ .rec = *rec, .first_desc = (u32)vm->nr_rmap_descs };
	room->descs_due = rec->nr_descs;
	room->entries_due = many ? rec->nr_entries : 0;
	return NULL;
}

static struct ms_err *put_desc(struct ms_vm *vm, struct rmap_room *room, const struct ms_rec_rmap_desc *rec)
{
	u32 used = desc_used(rec);
	struct ms_rec_rmap_desc *desc;

	if (!room->descs_due || used > room->entries_due)
		return model_refuse("descriptor that no list counts, of the VM", rec->kvm);
	room->descs_due--;
	room->entries_due -= used;
	if (!room->descs_due && room->entries_due)
		return model_refuse("list of SPTEs with fewer entries than it counts, of the VM", rec->kvm);
	if (vm->nr_rmap_descs >= MS_MAP_NONE)
		return ms_err_nomem();
	desc = APPEND(vm->rmap_descs, vm->nr_rmap_descs, room->descs);
	if (!desc)
		return ms_err_nomem();
	*desc = *rec;
	return NULL;
}

struct ms_err *rmap_put(struct ms_vm *vm, struct rmap_room *room, enum ms_rec_type type, const void *rec)
{
	struct ms_rec_gfn *count;

	if (type == MS_REC_RMAP)
		return put_rmap(vm, room, rec);
	if (type == MS_REC_RMAP_DESC)
		return put_desc(vm, room, rec);
	if (room->descs_due)
		return model_refuse("list of SPTEs with fewer descriptors than it counts, of the VM",
				    vm->rec.kvm);
	if (type == MS_REC_RMAPS) {
		if (vm->rmaps_end.kvm)
			return model_refuse("end of reverse maps seen before, of the VM", vm->rec.kvm);
		vm->rmaps_end = *(const struct ms_rec_rmaps *)rec;
		return NULL;
	}
	count = APPEND(vm->gfn_counts, vm->nr_gfn_counts, room->counts);
	if (!count)
		return ms_err_nomem();
	*count = *(const struct ms_rec_gfn *)rec;
	return NULL;
}

static int frame_cmp(u32 as_a, u32 level_a, u64 gfn_a, u32 as_b, u32 level_b, u64 gfn_b)
{
	int by_as = CMP(as_a, as_b), by_level = CMP(level_a, level_b);

	return by_as ? by_as : by_level ? by_level : CMP(gfn_a, gfn_b);
}

static int rmap_cmp(const void *pa, const void *pb)
{
	const struct ms_rmap *a = pa, *b = pb;
	int by_kind = CMP(a->rec.sp != 0, b->rec.sp != 0);

	if (by_kind)
		return by_kind;
	if (a->rec.sp)
		return CMP(a->rec.sp, b->rec.sp);
	return frame_cmp(a->rec.as_id, a->rec.level, a->rec.gfn, b->rec.as_id, b->rec.level, b->rec.gfn);
}

static int count_cmp(const void *pa, const void *pb)
{
	const struct ms_rec_gfn *a = pa, *b = pb;

	return frame_cmp(a->as_id, a->level, a->gfn, b->as_id, b->level, b->gfn);
}

static int pte_cmp(const void *pa, const void *pb)
{
	const struct ms_rmap_pte *a = pa, *b = pb;
	int by_spte = CMP(a->spte, b->spte);

	return by_spte ? by_spte : CMP(a->rmap, b->rmap);
}

/* Which entry of its list each descriptor begins with. */
static struct ms_err *number_entries(struct ms_vm *vm)
{
	size_t i;
	u32 d, first;

	vm->rmap_firsts = vm->nr_rmap_descs ? calloc(vm->nr_rmap_descs, sizeof(*vm->rmap_firsts)) : NULL;
	if (vm->nr_rmap_descs && !vm->rmap_firsts)
		return ms_err_nomem();
	for (i = 0; i < vm->nr_rmaps; i++)
		for (d = first = 0; d < vm->rmaps[i].rec.nr_descs; d++) {
			vm->rmap_firsts[vm->rmaps[i].first_desc + d] = first;
			first += desc_used(&vm->rmap_descs[vm->rmaps[i].first_desc + d]);
		}
	return NULL;
}

struct ms_err *rmap_finish(struct ms_vm *vm, const struct rmap_room *room)
{
	struct ms_err *err;
	size_t nr = 0, i;
	u32 e;

	if (room->descs_due)
		return model_refuse("list of SPTEs with fewer descriptors than it counts, of the VM",
				    vm->rec.kvm);
	if (vm->nr_rmaps > 1)
		qsort(vm->rmaps, vm->nr_rmaps, sizeof(*vm->rmaps), rmap_cmp);
	if (vm->nr_gfn_counts > 1)
		qsort(vm->gfn_counts, vm->nr_gfn_counts, sizeof(*vm->gfn_counts), count_cmp);
	err = number_entries(vm);
	if (err)
		return err;
	for (i = 0; i < vm->nr_rmaps; i++) {
		vm->nr_gfn_rmaps += !vm->rmaps[i].rec.sp;
		nr += vm->rmaps[i].rec.nr_entries;
	}
	vm->rmap_ptes = nr ? calloc(nr, sizeof(*vm->rmap_ptes)) : NULL;
	if (nr && !vm->rmap_ptes)
		return ms_err_nomem();
	for (i = 0; i < vm->nr_rmaps; i++)
		for (e = 0; e < vm->rmaps[i].rec.nr_entries; e++)
			vm->rmap_ptes[vm->nr_rmap_ptes++] =
				(struct ms_rmap_pte){ .spte = ms_rmap_entry(vm, &vm->rmaps[i], e),
						      .rmap = (u32)i };
	if (nr > 1)
		qsort(vm->rmap_ptes, nr, sizeof(*vm->rmap_ptes), pte_cmp);
	return NULL;
}

void rmap_free(struct ms_vm *vm)
{
	free(vm->rmaps);
	free(vm->rmap_descs);
	free(vm->rmap_firsts);
	free(vm->rmap_ptes);
	free(vm->gfn_counts);
}

u64 ms_rmap_entry(const struct ms_vm *vm, const struct ms_rmap *rmap, u32 i)
{
	u32 lo = 0, hi = rmap->rec.nr_descs, mid;

	if (!(rmap->rec.head & MS_RMAP_MANY))
		return rmap->rec.head & ~MS_RMAP_FLAGS;
	/* The last descriptor that begins at i or before: empty ones begin where the next does. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (vm->rmap_firsts[rmap->first_desc + mid] <= i)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return 0;
	i -= vm->rmap_firsts[rmap->first_desc + lo - 1];
	return i < MS_RMAP_EXT ? vm->rmap_descs[rmap->first_desc + lo - 1].sptes[i] : 0;
}

static u64 level_gfn(u32 level, u64 gfn)
{
	return level && level < 6 ? gfn & ~(ms_level_pages(level) - 1) : gfn;
}

static const struct ms_rmap *find(const struct ms_vm *vm, const struct ms_rmap *key)
{
	return vm->nr_rmaps ? bsearch(key, vm->rmaps, vm->nr_rmaps, sizeof(*key), rmap_cmp) : NULL;
}

const struct ms_rmap *ms_vm_rmap(const struct ms_vm *vm, u32 as_id, u32 level, u64 gfn)
{
	struct ms_rmap key = {
		.rec = { .as_id = (u16)as_id, .level = (u8)level, .gfn = level_gfn(level, gfn) }
	};

	return find(vm, &key);
}

const struct ms_rmap *ms_vm_parents(const struct ms_vm *vm, u64 sp_addr)
{
	struct ms_rmap key = { .rec = { .sp = sp_addr } };

	return sp_addr ? find(vm, &key) : NULL;
}

const struct ms_rec_gfn *ms_vm_gfn_count(const struct ms_vm *vm, u32 as_id, u32 level, u64 gfn)
{
	struct ms_rec_gfn key = { .as_id = (u16)as_id, .level = (u8)level, .gfn = level_gfn(level, gfn) };

	return vm->nr_gfn_counts ? bsearch(&key, vm->gfn_counts, vm->nr_gfn_counts, sizeof(key), count_cmp)
				 : NULL;
}

const struct ms_rmap_pte *ms_vm_rmaps_of(const struct ms_vm *vm, u64 spte_addr, size_t *nr_ret)
{
	size_t lo = 0, hi = vm->nr_rmap_ptes, mid, nr;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (vm->rmap_ptes[mid].spte < spte_addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (nr = 0; lo + nr < vm->nr_rmap_ptes && vm->rmap_ptes[lo + nr].spte == spte_addr;)
		nr++;
	*nr_ret = nr;
	return nr ? &vm->rmap_ptes[lo] : NULL;
}

const struct ms_sp *ms_vm_sp_of_spte(const struct ms_vm *vm, u64 spte_addr, u32 *idx_ret)
{
	const struct ms_rec_rmaps *end = &vm->rmaps_end;
	const struct ms_sp *sp;

	/* An address below the direct map is too far behind it for any page. */
	if (!(end->have & MS_RMAPS_HAVE_DIRECT_MAP) || spte_addr & 7)
		return NULL;
	sp = ms_vm_sp_by_table(vm, (spte_addr - end->direct_map) >> 12);
	if (sp)
		*idx_ret = (u32)(spte_addr & 4095) / 8;
	return sp;
}

const char *ms_rmap_state_name(u32 state)
{
	static const char *const names[] = {
		[MS_RMAP_CONFIRMED] = "confirmed",
		[MS_RMAP_TORN] = "torn",
		[MS_RMAP_UNREADABLE] = "unreadable",
	};

	return state <= MS_RMAP_UNREADABLE ? names[state] : "?";
}
