/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of frames: pins, guest tables, changed pages. Kept as they came, sorted, and found by frame. */
#include "model/private.h"

#include <stdlib.h>
#include <string.h>

#define CMP(a, b) (((a) > (b)) - ((a) < (b)))

struct ms_err *frame_put(struct ms_vm *vm, struct frame_room *room, enum ms_rec_type type, const void *rec)
{
	struct ms_rec_changed *changed;
	struct ms_rec_gtable *copy, **table;
	struct ms_rec_pin *pin;

	switch (type) {
	case MS_REC_PIN:
		pin = APPEND(vm->pins, vm->nr_pins, room->pins);
		if (!pin)
			return ms_err_nomem();
		*pin = *(const struct ms_rec_pin *)rec;
		return NULL;
	case MS_REC_GTABLE:
		copy = malloc(sizeof(*copy));
		table = copy ? APPEND(vm->gtables, vm->nr_gtables, room->gtables) : NULL;
		if (!table) {
			free(copy);
			return ms_err_nomem();
		}
		*copy = *(const struct ms_rec_gtable *)rec;
		*table = copy;
		return NULL;
	default:
		changed = APPEND(vm->changed, vm->nr_changed, room->changed);
		if (!changed)
			return ms_err_nomem();
		*changed = *(const struct ms_rec_changed *)rec;
		return NULL;
	}
}

static int frame_cmp(u32 as_a, u64 gfn_a, u32 as_b, u64 gfn_b)
{
	int by_as = CMP(as_a, as_b);

	return by_as ? by_as : CMP(gfn_a, gfn_b);
}

static int pin_cmp(const void *pa, const void *pb)
{
	const struct ms_rec_pin *a = pa, *b = pb;

	return frame_cmp(a->as_id, a->gfn, b->as_id, b->gfn);
}

static int gtable_cmp(const void *pa, const void *pb)
{
	const struct ms_rec_gtable *a = *(const struct ms_rec_gtable *const *)pa;
	const struct ms_rec_gtable *b = *(const struct ms_rec_gtable *const *)pb;

	return frame_cmp(a->as_id, a->gfn, b->as_id, b->gfn);
}

static int changed_cmp(const void *pa, const void *pb)
{
	const struct ms_rec_changed *a = pa, *b = pb;

	return frame_cmp(a->as_id, a->gfn, b->as_id, b->gfn);
}

/* Pages that a pin holds; 0 for a level or a frame that no pin has. */
static u64 pin_pages(const struct ms_rec_pin *pin)
{
	u64 pages = pin->level && pin->level <= 3 ? ms_level_pages(pin->level) : 0;

	return pages && pin->gfn >> 52 == 0 && !(pin->gfn & (pages - 1)) ? pages : 0;
}

static struct ms_err *check_pins(const struct ms_vm *vm)
{
	size_t i;

	for (i = 0; i < vm->nr_pins; i++) {
		const struct ms_rec_pin *pin = &vm->pins[i];

		if (!pin_pages(pin) ||
		    (i && pin[-1].as_id == pin->as_id && pin->gfn - pin[-1].gfn < pin_pages(&pin[-1])))
			return model_refuse("pin that overlaps another or is no page, of the VM",
					    vm->rec.kvm);
	}
	return NULL;
}

struct ms_err *frame_finish(struct ms_vm *vm)
{
	size_t i;

	if (vm->nr_pins > 1)
		qsort(vm->pins, vm->nr_pins, sizeof(*vm->pins), pin_cmp);
	if (vm->nr_gtables > 1)
		qsort(vm->gtables, vm->nr_gtables, sizeof(*vm->gtables), gtable_cmp);
	if (vm->nr_changed > 1)
		qsort(vm->changed, vm->nr_changed, sizeof(*vm->changed), changed_cmp);
	for (i = 1; i < vm->nr_gtables; i++)
		if (!gtable_cmp(&vm->gtables[i - 1], &vm->gtables[i]))
			return model_refuse("guest table seen before, of the VM", vm->rec.kvm);
	for (i = 1; i < vm->nr_changed; i++)
		if (!changed_cmp(&vm->changed[i - 1], &vm->changed[i]))
			return model_refuse("changed page seen before, of the VM", vm->rec.kvm);
	return check_pins(vm);
}

void frame_free(struct ms_vm *vm)
{
	size_t i;

	for (i = 0; i < vm->nr_gtables; i++)
		free(vm->gtables[i]);
	free(vm->gtables);
	free(vm->pins);
	free(vm->changed);
}

const struct ms_rec_pin *ms_vm_pin(const struct ms_vm *vm, u32 as_id, u64 gfn)
{
	size_t lo = 0, hi = vm->nr_pins, mid;
	const struct ms_rec_pin *pin;

	/* The last that begins at gfn or before. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (frame_cmp(vm->pins[mid].as_id, vm->pins[mid].gfn, as_id, gfn) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	pin = lo ? &vm->pins[lo - 1] : NULL;
	return pin && pin->as_id == as_id && gfn - pin->gfn < pin_pages(pin) ? pin : NULL;
}

const struct ms_rec_pin *ms_sp_entry_pin(const struct ms_model *model, const struct ms_vm *vm,
					 const struct ms_sp *sp, u32 idx)
{
	u64 gfn;

	if (!vm->nr_pins || !sp->tables ||
	    spte_class(&model->profile, sp->tables->sptes[idx], sp->level) != SPTE_CLASS_LEAF ||
	    ms_sp_entry_gfn(model, sp, idx, &gfn) == MS_GFN_NONE)
		return NULL;
	return ms_vm_pin(vm, role_get(&model->roles, sp->rec.role, ROLE_SMM), gfn);
}

u32 ms_sp_nr_pinned(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp)
{
	u32 idx, nr = 0;

	for (idx = 0; vm->nr_pins && sp->tables && idx < MS_SPTES; idx++)
		nr += ms_sp_entry_pin(model, vm, sp, idx) != NULL;
	return nr;
}

bool ms_sp_entry_flipped(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp,
			 u32 idx)
{
	size_t lo = 0, hi = vm->nr_flips, mid;
	u64 gfn;

	if (!vm->nr_flips || !sp->tables ||
	    spte_class(&model->profile, sp->tables->sptes[idx], sp->level) != SPTE_CLASS_LEAF ||
	    ms_sp_entry_gfn(model, sp, idx, &gfn) == MS_GFN_NONE)
		return false;
	/* The first one that is not before it. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (vm->flips[mid] < gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < vm->nr_flips && vm->flips[lo] - gfn < ms_level_pages(sp->level);
}

u32 ms_sp_nr_flipped(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp)
{
	u32 idx, nr = 0;

	for (idx = 0; vm->nr_flips && sp->tables && idx < MS_SPTES; idx++)
		nr += ms_sp_entry_flipped(model, vm, sp, idx);
	return nr;
}

size_t ms_vm_gtable_from(const struct ms_vm *vm, u32 as_id, u64 gfn)
{
	size_t lo = 0, hi = vm->nr_gtables, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (frame_cmp(vm->gtables[mid]->as_id, vm->gtables[mid]->gfn, as_id, gfn) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct ms_rec_gtable *ms_vm_gtable(const struct ms_vm *vm, u32 as_id, u64 gfn)
{
	size_t at = ms_vm_gtable_from(vm, as_id, gfn);
	const struct ms_rec_gtable *table = at < vm->nr_gtables ? vm->gtables[at] : NULL;

	return table && table->as_id == as_id && table->gfn == gfn ? table : NULL;
}

const char *ms_gtable_state_name(u32 state)
{
	static const char *const names[] = {
		[MS_GTABLE_READ] = "read",
		[MS_GTABLE_CHANGED] = "changed",
		[MS_GTABLE_NOT_PRESENT] = "not present",
		[MS_GTABLE_NO_SLOT] = "no memslot",
		[MS_GTABLE_NOT_RAM] = "not RAM",
		[MS_GTABLE_UNREADABLE] = "unreadable",
	};

	return state <= MS_GTABLE_UNREADABLE ? names[state] : "?";
}
