/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of SEMANTICS H about an entry and the guest's entry that it was made from, 35 and 36, and where guest tables lie
 * (24). The guest's is read at
 * sp.gfn[index], not by a walk from a root, so that pages which no root reaches are judged as well.
 *
 * Not judged: pages that are unsync or obsolete (KVM owes them nothing), tables that were not read, shadow paging
 * without CR0.WP (the supervisor writes where its tables say no). What no record tells: that a table was last written
 * by the VMM, by a device or by the host without KVM's knowledge; such a page is found, rightly, to differ.
 */
#include "audit/private.h"

#include <string.h>

#include "model/gpte.h"

#define ACCESS_ALL (ROLE_ACC_EXEC | ROLE_ACC_WRITE | ROLE_ACC_USER)
_Static_assert(MS_GPTE_R == ROLE_ACC_USER && MS_GPTE_W == ROLE_ACC_WRITE && MS_GPTE_X == ROLE_ACC_EXEC,
	       "rights of a guest's entry are those of a role");

/*
 * What the table behind a page is (C.2): with two-dimensional paging only nested tables are shadowed, EPT12 on VMX.
 * PAE's and long mode's entries are alike in the levels that are shadowed; PDPTEs of PAE have no page.
 */
static enum ms_gpt format_of(const struct audit *a, const struct ms_sp *sp)
{
	const struct ms_rec_host *host = &a->model->host;

	if (host->hv == MS_HV_VMX && host->tdp_enabled)
		return MS_GPT_EPT;
	return audit_role(a, sp, ROLE_HAS_4_BYTE_GPTE) ? MS_GPT_32 : MS_GPT_64;
}

/* The guest's entry behind entry idx. A table of 4-byte entries has two or four pages (C5). */
static u64 gpte_of(const struct audit *a, const struct ms_sp *sp, const struct ms_rec_gtable *table,
		   enum ms_gpt gpt, u32 idx)
{
	u32 quadrant = audit_role(a, sp, ROLE_QUADRANT), of_4;
	u64 of_8;

	if (gpt != MS_GPT_32) {
		memcpy(&of_8, table->bytes + 8 * idx, 8);
		return of_8;
	}
	idx = sp->level == 2 ? (quadrant & 3) * 256 + idx / 2 : (quadrant & 1) * 512 + idx;
	memcpy(&of_4, table->bytes + 4 * idx, 4);
	return of_4;
}

static void found(struct audit *a, u32 row, const struct ms_sp *sp, u32 idx, u64 gpte, const char *text)
{
	struct place at = audit_entry_place(a, sp, idx);

	at.have_gpte = true;
	at.gpte = gpte;
	audit_found(a, row, &at, "%s", text);
}

/* Whoever walks cannot set D in a table of a read-only memslot, and maps what was written all the same (D.1 step 6). */
static bool can_be_clean(const struct audit *a, const struct ms_sp *sp, enum ms_gpt gpt)
{
	const struct ms_rec_slot *slot = ms_vm_slot(a->vm, audit_as_id(a, sp), sp->rec.gfn);

	return !slot || slot->flags & MS_SLOT_READONLY ||
	       (gpt == MS_GPT_EPT && audit_role(a, sp, ROLE_AD_DISABLED));
}

/* Large pages of 4-byte entries have address bits of their own, and two SPTEs each: they are not compared. */
static bool is_elsewhere(const struct audit *a, const struct ms_sp *sp, u32 idx, enum ms_gpt gpt,
			 const struct ms_gpte *guest)
{
	u64 gfn, offset = ms_level_pages(sp->level) - 1;

	if ((gpt == MS_GPT_32 && sp->level > 1) || ms_sp_entry_gfn(a->model, sp, idx, &gfn) == MS_GFN_NONE)
		return false;
	return (gfn ^ guest->frame) & ~offset;
}

void audit_guest(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	const struct ms_rec_gtable *table;
	struct ms_gpte guest;
	enum ms_gpt gpt;
	u32 rights;
	u64 gpte;

	if (sp->rec.tdp_mmu_page || !audit_has_gptes(a, sp) || sp->rec.unsync || audit_is_obsolete(a, sp) ||
	    sp->level > SPTE_LEVEL_HUGE_MAX ||
	    (!a->model->host.tdp_enabled && !audit_role(a, sp, ROLE_CR0_WP)))
		return;
	table = ms_vm_gtable(a->vm, audit_as_id(a, sp), sp->rec.gfn);
	if (!table || table->state != MS_GTABLE_READ)
		return;
	gpt = format_of(a, sp);
	gpte = gpte_of(a, sp, table, gpt, idx);
	ms_gpte_decode(gpt, sp->level, gpte, &guest);
	rights = spte_rights(a->p, raw) & ACCESS_ALL & ~spte_always_granted(a->p);
	if (audit_asks(a, 35)) {
		if (!guest.present)
			found(a, 35, sp, idx, gpte, "a leaf where the guest's entry is not present");
		else if (!guest.leaf)
			found(a, 35, sp, idx, gpte, "a leaf where the guest's entry leads to a table");
		else if (is_elsewhere(a, sp, idx, gpt, &guest))
			found(a, 35, sp, idx, gpte, "a leaf of another frame than the guest's entry names");
		else if (rights & ~guest.access)
			found(a, 35, sp, idx, gpte, "a leaf gives a right that the guest's entry withholds");
		else if (rights & ~audit_role(a, sp, ROLE_ACCESS))
			found(a, 35, sp, idx, gpte, "a leaf gives a right that the entries above withhold");
	}
	if (guest.present && guest.leaf && !can_be_clean(a, sp, gpt) && audit_asks(a, 36) &&
	    rights & ROLE_ACC_WRITE && !guest.dirty)
		found(a, 36, sp, idx, gpte, "a writable leaf, and the guest's entry is clean");
}

/*
 * 24, as far as it is known where a frame is: of guest tables the host's own page tables were asked. A huge leaf may
 * map several of them, of which some are enough: records may be made to have all tables in each of many huge leaves.
 */
#define TABLES_A_LEAF 16u

void audit_frame(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	const struct ms_rec_gtable *table;
	struct place at = { .sp = sp, .idx = idx, .have_gfn = true };
	u64 gfn, nr = ms_level_pages(sp->level);
	size_t i, end;

	if (!audit_role(a, sp, ROLE_DIRECT) || ms_sp_entry_gfn(a->model, sp, idx, &gfn) == MS_GFN_NONE)
		return;
	i = ms_vm_gtable_from(a->vm, audit_as_id(a, sp), gfn);
	for (end = i + TABLES_A_LEAF; i < a->vm->nr_gtables && i < end; i++) {
		table = a->vm->gtables[i];
		if (table->as_id != audit_as_id(a, sp) || table->gfn - gfn >= nr)
			break;
		at.gfn = table->gfn;
		if (table->state == MS_GTABLE_READ && audit_asks(a, 24) &&
		    spte_pfn(a->p, raw) + (table->gfn - gfn) != table->hpa >> 12)
			audit_found(a, 24, &at, "the host has this frame at 0x%llx",
				    (unsigned long long)table->hpa);
	}
}

u32 audit_lacking_guest(const struct ms_vm *vm)
{
	size_t i;

	for (i = 0; i < vm->nr_gtables; i++)
		if (vm->gtables[i]->state == MS_GTABLE_READ)
			return 0;
	return MS_AUDIT_NEED_GUEST;
}
