/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of SEMANTICS H about lists of SPTEs and counts: 18 to 22 and 32. Each list is gone through once, which
 * judges its entries and marks the SPTEs that it has rightly; then each entry of a page must be marked. A list that
 * was not read whole says nothing of what is missing in it.
 */
#include "audit/private.h"

#include <stdlib.h>

#include "spte/spte.h"

/* By page index: 512 bits, of SPTEs that are in the list where they belong. */
struct listed {
	u64 (*bits)[MS_SPTES / 64];
};

static bool is_listed(const struct listed *l, u32 page, u32 idx)
{
	return l->bits[page][idx / 64] >> (idx % 64) & 1;
}

/* False: it was before. */
static bool mark(struct listed *l, u32 page, u32 idx)
{
	if (is_listed(l, page, idx))
		return false;
	l->bits[page][idx / 64] |= 1ull << (idx % 64);
	return true;
}

/* Of whatever the list is of: its frame, or the page whose parents it has. */
static struct place place_of(const struct audit *a, const struct ms_rmap *rmap)
{
	struct place at = { .idx = MS_AUDIT_NO_INDEX };

	if (rmap->rec.sp) {
		at.sp = ms_vm_sp(a->vm, rmap->rec.sp);
	} else {
		at.have_gfn = true;
		at.gfn = rmap->rec.gfn;
	}
	return at;
}

/* A list is read after the pages: their entries may have changed meanwhile. */
static void look_at(const struct audit *a, struct place *at, const struct ms_sp *sp, u32 idx)
{
	at->look_at = a->vm->rmaps_end.direct_map + (sp->rec.spt_pfn << 12) + 8ull * idx;
	at->look_raw = sp->tables->sptes[idx];
}

static void found_in(struct audit *a, u32 row, const struct ms_rmap *rmap, u64 spte, const char *text)
{
	struct place at = place_of(a, rmap);
	const struct ms_sp *sp;
	u32 idx;

	at.spte = spte;
	sp = spte ? ms_vm_sp_of_spte(a->vm, spte, &idx) : NULL;
	if (sp && sp->tables)
		look_at(a, &at, sp, idx);
	audit_found(a, row, &at, "%s (level %u)", text, rmap->rec.level);
}

static void found_at(struct audit *a, u32 row, const struct ms_sp *sp, u32 idx, const char *text)
{
	struct place at = audit_entry_place(a, sp, idx);

	look_at(a, &at, sp, idx);
	audit_found(a, row, &at, "%s", text);
}

/* --- 20 --- */

/*
 * 6.1 fills holes from the last of the same descriptor, so that any may hold 1 to 14; kernels that count those behind
 * a descriptor fill holes from the head, and all but the head are full (pte_list_add(), pte_list_desc_remove_entry()).
 */
static const char *misshaped(const struct ms_vm *vm, const struct ms_rmap *rmap)
{
	const struct ms_rec_rmap_desc *desc;
	bool tails = rmap->rec.have & MS_RMAP_HAVE_TAIL_COUNT;
	u64 behind = 0;
	u32 d;

	if (rmap->rec.have & MS_RMAP_ENDLESS)
		return "descriptors that lead in a ring";
	if (!rmap->rec.nr_descs)
		return "a head that says descriptors, and has none";
	desc = &vm->rmap_descs[rmap->first_desc];
	for (d = rmap->rec.nr_descs; d-- > 0; behind += desc[d].count) {
		if (!desc[d].count || desc[d].count > MS_RMAP_EXT)
			return "a descriptor that is empty, or counts more than it has room for";
		if (tails && d && desc[d].count != MS_RMAP_EXT)
			return "a descriptor behind the first that is not full";
		if (tails && desc[d].tail_count != behind)
			return "a descriptor that counts others than are behind it";
	}
	return NULL;
}

static void shape(struct audit *a, const struct ms_rmap *rmap)
{
	const char *wrong;

	if (!(rmap->rec.head & MS_RMAP_MANY) || !audit_asks(a, 20))
		return;
	wrong = misshaped(a->vm, rmap);
	if (wrong)
		found_in(a, 20, rmap, 0, wrong);
}

/* --- 18 and 19: frames --- */

/* What is wrong with an SPTE in this list; NULL: nothing, or it cannot be judged (*skip_ret). */
static const char *not_its(const struct audit *a, const struct ms_rmap *rmap, const struct ms_sp *sp, u32 idx,
			   bool *skip_ret)
{
	u64 raw, gfn;

	*skip_ret = !sp && !a->pages_whole;
	if (!sp)
		return *skip_ret ? NULL : "an entry that lies in no shadow page of this VM";
	*skip_ret = sp->rec.state != MS_SP_CONFIRMED || !sp->tables;
	if (*skip_ret)
		return NULL;
	if (sp->rec.tdp_mmu_page)
		return "an entry that lies in a page of the TDP MMU, which has no reverse maps";
	if (audit_role(a, sp, ROLE_INVALID))
		return "an entry that lies in a zapped page";
	raw = sp->tables->sptes[idx];
	if (!spte_is_mmu_present(a->p, raw) || !spte_is_leaf(a->p, raw, sp->level))
		return "an entry that is no leaf";
	if (sp->level != rmap->rec.level || audit_as_id(a, sp) != rmap->rec.as_id)
		return "a leaf of another level or address space";
	*skip_ret = ms_sp_entry_gfn(a->model, sp, idx, &gfn) == MS_GFN_NONE;
	if (*skip_ret)
		return NULL;
	return (gfn & ~(ms_level_pages(sp->level) - 1)) == rmap->rec.gfn ? NULL : "a leaf of another frame";
}

static void frame_list(struct audit *a, struct listed *listed, const struct ms_rmap *rmap)
{
	const struct ms_sp *sp;
	const char *wrong;
	u64 spte;
	bool skip;
	u32 i, idx;

	for (i = 0; i < rmap->rec.nr_entries; i++) {
		spte = ms_rmap_entry(a->vm, rmap, i);
		sp = ms_vm_sp_of_spte(a->vm, spte, &idx);
		skip = false;
		wrong = not_its(a, rmap, sp, idx, &skip);
		if (audit_asks(a, 19) && wrong)
			found_in(a, 19, rmap, spte, wrong);
		if (sp && !wrong && !skip && !mark(listed, sp->index, idx) && audit_asks(a, 18))
			found_at(a, 18, sp, idx, "a leaf that is twice in its reverse map");
	}
}

static void leaf_listed(struct audit *a, const struct listed *listed, const struct ms_sp *sp, u32 idx)
{
	const struct ms_rmap *rmap;
	u64 gfn;

	if (ms_sp_entry_gfn(a->model, sp, idx, &gfn) == MS_GFN_NONE ||
	    !ms_vm_slot(a->vm, audit_as_id(a, sp), gfn) || !audit_asks(a, 18) ||
	    is_listed(listed, sp->index, idx))
		return;
	rmap = ms_vm_rmap(a->vm, audit_as_id(a, sp), sp->level, gfn);
	if (!rmap || rmap->rec.state == MS_RMAP_CONFIRMED)
		found_at(a, 18, sp, idx, "a leaf that is not in its reverse map");
}

/* --- 21 and 22: parents --- */

static const char *no_parent(const struct audit *a, const struct ms_sp *child, const struct ms_sp *sp,
			     u32 idx, bool *skip_ret)
{
	u64 raw;

	*skip_ret = !sp && !a->pages_whole;
	if (!sp)
		return *skip_ret ? NULL : "a parent that lies in no shadow page of this VM";
	*skip_ret = sp->rec.state != MS_SP_CONFIRMED || !sp->tables;
	if (*skip_ret)
		return NULL;
	raw = sp->tables->sptes[idx];
	if (!spte_is_mmu_present(a->p, raw) || spte_is_leaf(a->p, raw, sp->level))
		return "a parent that is no entry of a table";
	return spte_pfn(a->p, raw) == child->rec.spt_pfn ? NULL : "a parent that leads to another page";
}

static void parent_list(struct audit *a, struct listed *listed, const struct ms_rmap *rmap)
{
	const struct ms_sp *child = ms_vm_sp(a->vm, rmap->rec.sp), *sp;
	const char *wrong;
	u64 spte;
	bool skip;
	u32 i, idx;

	/* A page that was not read as one: its list says nothing. */
	if (!child || child->rec.state != MS_SP_CONFIRMED)
		return;
	for (i = 0; i < rmap->rec.nr_entries; i++) {
		spte = ms_rmap_entry(a->vm, rmap, i);
		sp = ms_vm_sp_of_spte(a->vm, spte, &idx);
		skip = false;
		wrong = no_parent(a, child, sp, idx, &skip);
		if (audit_asks(a, 22) && wrong)
			found_in(a, 22, rmap, spte, wrong);
		if (sp && !wrong && !skip && !mark(listed, sp->index, idx) && audit_asks(a, 21))
			found_at(a, 21, sp, idx, "an entry that is twice among the parents of its page");
	}
}

static void table_listed(struct audit *a, const struct listed *listed, const struct ms_sp *sp, u32 idx)
{
	const struct ms_sp *child = ms_sp_child(a->model, a->vm, sp, idx);
	const struct ms_rmap *parents;

	if (!child || child->rec.state != MS_SP_CONFIRMED || child->rec.tdp_mmu_page || !audit_asks(a, 21) ||
	    is_listed(listed, sp->index, idx))
		return;
	parents = ms_vm_parents(a->vm, child->rec.sp);
	if (!parents || parents->rec.state == MS_RMAP_CONFIRMED)
		found_at(a, 21, sp, idx, "an entry that is not among the parents of the page it leads to");
}

/* --- 32 --- */

/* Others track frames too (kvm_page_track_register_notifier()); and a page that is not judged is counted. */
static bool nobody_else(const struct audit *a)
{
	return ms_audit_is_still(a->model) && !a->ret->nr_unconfirmed;
}

static void track_count(struct audit *a, const struct shadowed *t, u32 tables)
{
	const struct place at = { .idx = MS_AUDIT_NO_INDEX, .have_gfn = true, .gfn = t->gfn };
	const struct ms_rec_gfn *rec = ms_vm_gfn_count(a->vm, t->as_id, 1, t->gfn);
	u32 count = rec ? rec->count : 0;

	if (!ms_vm_slot(a->vm, t->as_id, t->gfn) || (rec && rec->state != MS_RMAP_CONFIRMED) ||
	    !audit_asks(a, 32))
		return;
	if (count < tables || (count > tables && nobody_else(a)))
		audit_found(a, 32, &at, "gfn_write_track is %u, and %u tables are shadowed there", count,
			    tables);
}

/* Counts of frames where no table is. */
static void track_without(struct audit *a, const struct shadowed *tracked, size_t nr)
{
	size_t i;

	for (i = 0; i < a->vm->nr_gfn_counts && nobody_else(a); i++) {
		const struct ms_rec_gfn *rec = &a->vm->gfn_counts[i];
		const struct shadowed key = { .gfn = rec->gfn, .as_id = rec->as_id };

		if (rec->level == 1 && !(nr && bsearch(&key, tracked, nr, sizeof(key), audit_by_frame)))
			track_count(a, &key, 0);
	}
}

/*
 * Of level 2 and more, those of an old generation too: each is counted from when it is made until it is zapped
 * (account_shadowed()).
 */
static void track_counts(struct audit *a)
{
	const struct ms_vm *vm = a->vm;
	struct shadowed *tracked = calloc(vm->nr_sps ? vm->nr_sps : 1, sizeof(*tracked));
	size_t i, nr = 0, run;

	if (!tracked) {
		a->oom = true;
		return;
	}
	for (i = 0; i < vm->nr_sps; i++)
		if (a->valid[i] && !vm->sps[i].rec.tdp_mmu_page && vm->sps[i].level > 1 &&
		    audit_has_gptes(a, &vm->sps[i]))
			tracked[nr++] = (struct shadowed){ .gfn = vm->sps[i].rec.gfn,
							   .as_id = audit_as_id(a, &vm->sps[i]) };
	qsort(tracked, nr, sizeof(*tracked), audit_by_frame);
	for (i = 0; i < nr; i += run) {
		for (run = 1; i + run < nr && !audit_by_frame(&tracked[i], &tracked[i + run]); run++)
			;
		track_count(a, &tracked[i], (u32)run);
	}
	track_without(a, tracked, nr);
	free(tracked);
}

/* --- all --- */

/* A memslot that goes takes pages and lists with it: between the two readings, they would not fit. */
static bool is_steady(const struct ms_vm *vm)
{
	const struct ms_rec_rmaps *end = &vm->rmaps_end;
	size_t i;

	for (i = 0; i < vm->nr_slots && end->have & MS_RMAPS_HAVE_GENERATION; i++)
		if (vm->slots[i].have & MS_SLOT_HAVE_GENERATION && vm->slots[i].as_id < 2 &&
		    (vm->slots[i].generation != end->generation[vm->slots[i].as_id] ||
		     vm->slots[i].generation >> 63))
			return false;
	return true;
}

u32 audit_lacking_rmaps(const struct ms_vm *vm)
{
	const struct ms_rec_rmaps *end = &vm->rmaps_end;
	u32 lacking = is_steady(vm) ? 0 : MS_AUDIT_NEED_STEADY;

	if (!(end->have & MS_RMAPS_HAVE_DIRECT_MAP) ||
	    end->flags & (MS_RMAPS_BROKEN | MS_RMAPS_UNREAD | MS_RMAPS_UNSTABLE))
		return lacking | MS_AUDIT_NEED_RMAPS | MS_AUDIT_NEED_PARENTS | MS_AUDIT_NEED_TRACK;
	if (!(end->have & MS_RMAPS_HAVE_RMAPS))
		lacking |= MS_AUDIT_NEED_RMAPS;
	if (!(end->have & MS_RMAPS_HAVE_PARENTS))
		lacking |= MS_AUDIT_NEED_PARENTS;
	if (!(end->have & MS_RMAPS_HAVE_WRITE_TRACK))
		lacking |= MS_AUDIT_NEED_TRACK;
	return lacking;
}

/* 18 to 22 */
static void judge_lists(struct audit *a)
{
	const struct ms_vm *vm = a->vm;
	struct listed listed = { .bits = calloc(vm->nr_sps ? vm->nr_sps : 1, sizeof(*listed.bits)) };
	size_t i;
	u32 idx;

	if (!listed.bits) {
		a->oom = true;
		return;
	}
	for (i = 0; i < vm->nr_rmaps; i++) {
		const struct ms_rmap *rmap = &vm->rmaps[i];

		if (rmap->rec.state != MS_RMAP_CONFIRMED)
			continue;
		shape(a, rmap);
		if (rmap->rec.sp)
			parent_list(a, &listed, rmap);
		else
			frame_list(a, &listed, rmap);
	}
	for (i = 0; i < vm->nr_sps; i++) {
		const struct ms_sp *sp = &vm->sps[i];

		/* A slot that has gone took its lists along; pages from before it are being zapped. */
		if (!a->valid[i] || sp->rec.tdp_mmu_page || !sp->tables || audit_is_obsolete(a, sp))
			continue;
		for (idx = 0; idx < MS_SPTES; idx++) {
			u64 raw = sp->tables->sptes[idx];

			if (!spte_is_mmu_present(a->p, raw))
				continue;
			if (spte_is_leaf(a->p, raw, sp->level))
				leaf_listed(a, &listed, sp, idx);
			else
				table_listed(a, &listed, sp, idx);
		}
	}
	free(listed.bits);
}

void audit_rmaps(struct audit *a)
{
	u32 row;

	/* Going through lists and entries is for those who ask. */
	for (row = 18; row <= 22 && !audit_judges(a, row); row++)
		;
	if (row <= 22)
		judge_lists(a);
	if (audit_judges(a, 32))
		track_counts(a);
}
