/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of SEMANTICS H about pinned pages: 42 and 43. Each leaf is looked up in the pin tables; then each page that is
 * pinned and mapped must have had its leaf. Entries of devices are no leaves, so that what stands in their bit 62 is
 * never asked.
 */
#include "audit/private.h"

#include <stdlib.h>

#include "spte/spte.h"

u32 audit_lacking_pins(const struct ms_vm *vm)
{
	return vm->rec.have & MS_VM_HAVE_PINS ? 0 : MS_AUDIT_NEED_PINS;
}

/*
 * L1's own mapping: what a fault there maps is pinned. Other direct pages may be parts of a guest's huge page, which
 * are mapped by a shadow of its tables and not pinned by that.
 */
static bool is_of_l1(const struct audit *a, const struct ms_sp *sp)
{
	return a->model->host.tdp_enabled && audit_role(a, sp, ROLE_DIRECT) &&
	       !audit_role(a, sp, ROLE_GUEST_MODE);
}

/* 42, for a leaf that maps part of a pinned page, or all of it and more. */
static const char *not_as_pinned(const struct audit *a, const struct ms_sp *sp, u64 raw, u64 gfn,
				 const struct ms_rec_pin *pin)
{
	/* Of whichever of the two is the larger, the smaller begins so far in. */
	if (spte_pfn(a->p, raw) - pin->pfn != gfn - pin->gfn)
		return "it maps another frame than the one that is pinned";
	if (!is_of_l1(a, sp))
		return NULL;
	if (sp->level != pin->level)
		return "a leaf of another size than its pin";
	return pin->mapped ? NULL : "a leaf of a page that the pin table has as zapped";
}

/* The first pinned page that has frames of [gfn, gfn + nr). */
static const struct ms_rec_pin *pin_in(const struct ms_vm *vm, u32 as_id, u64 gfn, u64 nr)
{
	const struct ms_rec_pin *pin = ms_vm_pin(vm, as_id, gfn);
	size_t lo = 0, hi = vm->nr_pins, mid;

	if (pin)
		return pin;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		pin = &vm->pins[mid];
		if (pin->as_id < as_id || (pin->as_id == as_id && pin->gfn < gfn))
			lo = mid + 1;
		else
			hi = mid;
	}
	pin = lo < vm->nr_pins ? &vm->pins[lo] : NULL;
	return pin && pin->as_id == as_id && pin->gfn - gfn < nr ? pin : NULL;
}

static void leaf(struct audit *a, const struct ms_sp *sp, u32 idx, u8 *seen)
{
	u64 raw = sp->tables->sptes[idx], gfn;
	struct place at = { .sp = sp, .idx = idx };
	const struct ms_rec_pin *pin;
	const char *wrong;

	if (!spte_is_mmu_present(a->p, raw) || !spte_is_leaf(a->p, raw, sp->level) ||
	    ms_sp_entry_gfn(a->model, sp, idx, &gfn) == MS_GFN_NONE)
		return;
	pin = pin_in(a->vm, audit_as_id(a, sp), gfn, ms_level_pages(sp->level));
	if (!pin)
		return;
	if (pin->gfn == gfn && pin->level == sp->level)
		seen[pin - a->vm->pins] = 1;
	if (!audit_asks(a, 42))
		return;
	at.have_gfn = true;
	at.gfn = gfn;
	wrong = not_as_pinned(a, sp, raw, gfn, pin);
	if (wrong)
		audit_found(a, 42, &at, "%s (0x%llx, level %u)", wrong, (unsigned long long)pin->pfn,
			    pin->level);
}

/* 43: the page with the leaf is not among those that are in use. */
static void pages_of_pins(struct audit *a, const u8 *seen)
{
	for (size_t i = 0; i < a->vm->nr_pins; i++) {
		const struct ms_rec_pin *pin = &a->vm->pins[i];
		const struct place at = { .idx = MS_AUDIT_NO_INDEX, .have_gfn = true, .gfn = pin->gfn };

		if (pin->mapped && audit_asks(a, 43) && !seen[i])
			audit_found(a, 43, &at,
				    "pinned and mapped, and no page in use has its leaf (level %u)",
				    pin->level);
	}
}

void audit_pins(struct audit *a)
{
	const struct ms_vm *vm = a->vm;
	bool all = !((vm->walks[0].flags | vm->walks[1].flags) & MS_WALK_BROKEN);
	u8 *seen;

	if (!vm->nr_pins || audit_lacking_pins(vm))
		return;
	seen = calloc(vm->nr_pins, 1);
	if (!seen) {
		a->oom = true;
		return;
	}
	for (size_t i = 0; i < vm->nr_sps; i++) {
		const struct ms_sp *sp = &vm->sps[i];

		all &= sp->rec.state == MS_SP_CONFIRMED && sp->tables;
		for (u32 idx = 0; a->valid[i] && sp->tables && idx < MS_SPTES; idx++)
			leaf(a, sp, idx, seen);
	}
	/* A page that could not be read may have it. */
	if (all)
		pages_of_pins(a, seen);
	free(seen);
}
