/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of SEMANTICS H about one entry of a page. */
#include "audit/private.h"

static void found(struct audit *a, u32 row, const struct ms_sp *sp, u32 idx, const char *text)
{
	const struct place at = audit_entry_place(a, sp, idx);

	audit_found(a, row, &at, "%s", text);
}

/* --- the value alone: 1 2 5 9 10 11 12 15 16 --- */

static void value(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	static const u32 present[] = { 5, 11, 12 }, leaf[] = { 1, 2, 9, 10 }, absent[] = { 15, 16 };
	u32 bad = spte_check(a->p, raw, sp->level), rule, asked = 0, i;

	/* Where EPT may withhold R, L1 can have a leaf without any right (H 9). */
	if (a->p->format == SPTE_FMT_EPT && !(a->p->m.present & SPTE_EPT_R) &&
	    !audit_role(a, sp, ROLE_DIRECT))
		bad &= ~SPTE_BAD(RWX0);
	if (spte_is_mmu_present(a->p, raw)) {
		for (i = 0; i < 3; i++)
			asked |= (u32)audit_asks(a, present[i]) << present[i];
		for (i = 0; i < 4 && spte_is_leaf(a->p, raw, sp->level); i++)
			asked |= (u32)audit_asks(a, leaf[i]) << leaf[i];
	} else {
		for (i = 0; i < 2; i++)
			asked |= (u32)audit_asks(a, absent[i]) << absent[i];
	}
	for (rule = 0; bad && rule < SPTE_NR_RULES; rule++)
		if (bad & 1u << rule && asked & 1u << spte_rule_row((enum spte_rule)rule))
			found(a, spte_rule_row((enum spte_rule)rule), sp, idx,
			      spte_rule_text((enum spte_rule)rule));
}

/* --- not present --- */

/* 17: in a table of the TDP MMU that is being changed it is right, for a moment. */
static void frozen(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	if (!sp->rec.tdp_mmu_page && audit_asks(a, 17) && spte_is_frozen(a->p, raw))
		found(a, 17, sp, idx, "the TDP MMU's frozen value in a page that is not its");
}

/* The memslot generation of an address space; false where no slot of it says. */
static bool generation_of(const struct audit *a, u32 as_id, u64 *ret)
{
	size_t i;

	for (i = 0; i < a->vm->nr_slots; i++) {
		if (a->vm->slots[i].as_id != as_id || !(a->vm->slots[i].have & MS_SLOT_HAVE_GENERATION))
			continue;
		*ret = a->vm->slots[i].generation;
		return true;
	}
	return false;
}

/*
 * KVM's own slots (APIC access page, TSS, identity map) have the ids from KVM_USER_MEM_SLOTS on and are not
 * visible: for L2, the APIC's frame is MMIO all the same.
 */
#define USER_MEM_SLOTS (0x7fff - 3)

/* 13 and 14. Bit 63: an update is under way, and entries of either generation are right. */
static void mmio(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	u32 bits = a->p->gen_low_bits + a->p->gen_high_bits, gen = spte_mmio_gen(a->p, raw);
	u32 as_id = audit_as_id(a, sp);
	const struct ms_rec_slot *slot;
	u64 now;

	if (!generation_of(a, as_id, &now) || now >> 63)
		return;
	/* A wrapped number says nothing about before and after. */
	if (!(now >> bits) && audit_asks(a, 14) && gen > now)
		found(a, 14, sp, idx, "an MMIO entry of a generation that has not been");
	if (gen != (now & ((1ull << bits) - 1)) || !audit_asks(a, 13))
		return;
	slot = ms_vm_slot(a->vm, as_id, spte_mmio_gfn(a->p, raw));
	if (slot && slot->id < USER_MEM_SLOTS)
		found(a, 13, sp, idx, "a current MMIO entry over memory");
}

/* --- leaves --- */

/* 25 */
static void transl(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	u32 stored;

	if (sp->rec.tdp_mmu_page || !audit_has_gptes(a, sp) || sp->level > SPTE_LEVEL_HUGE_MAX ||
	    !(sp->rec.have & MS_SP_HAVE_TRANSLATIONS) || !audit_asks(a, 25))
		return;
	stored = sp->tables->translations[idx] & (ROLE_ACC_EXEC | ROLE_ACC_WRITE | ROLE_ACC_USER);
	if (spte_rights(a->p, raw) & ~stored & ~spte_always_granted(a->p))
		found(a, 25, sp, idx, "a leaf gives more than the access stored with it");
}

/* 31 and 33: what may be written, and what is shadowed there. */
static void writable(struct audit *a, const struct ms_sp *sp, u32 idx, u64 gfn)
{
	u32 row = sp->level > 1 ? 33 : 31;
	const struct shadowed *s;

	if (!audit_asks(a, row))
		return;
	s = audit_shadowed(a, audit_as_id(a, sp), gfn, ms_level_pages(sp->level));
	if (row == 33 && s)
		found(a, 33, sp, idx, "a huge page that may be written, with a guest table in it");
	if (row == 31 && s && s->in_sync)
		found(a, 31, sp, idx, "a guest table in sync, mapped writable or MMU-writable");
}

/* 6 and 7 */
static void kinds(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	bool ad_disabled = audit_role(a, sp, ROLE_AD_DISABLED);

	if (role_has(a->roles, ROLE_AD_DISABLED) && audit_asks(a, 6) &&
	    !spte_kind_fits_role(a->p, raw, ad_disabled))
		found(a, 6, sp, idx, "A/D kind and role.ad_disabled differ");
	if (a->model->host.have & MS_HOST_PML && audit_role(a, sp, ROLE_GUEST_MODE) && !ad_disabled &&
	    audit_asks(a, 7) && spte_ad_kind(a->p, raw) != SPTE_AD_WRPROT_ONLY)
		found(a, 7, sp, idx, "a leaf of L2's that is not write-protect-only, with PML");
}

/* 38: set_nx_huge_pages() stores the parameter first, and then zaps by making every page obsolete. */
static void nx_huge(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	if (sp->level > 1 && a->model->host.nx_huge_pages == 1 && !a->vm->rec.nx_huge_disabled &&
	    (sp->rec.tdp_mmu_page || !audit_is_obsolete(a, sp)) && audit_asks(a, 38) &&
	    spte_is_executable(a->p, raw))
		found(a, 38, sp, idx, "an executable huge page with nx_huge_pages on");
}

static void leaf(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw)
{
	const struct ms_rec_slot *slot;
	u64 gfn;

	kinds(a, sp, idx, raw);
	transl(a, sp, idx, raw);
	nx_huge(a, sp, idx, raw);
	audit_guest(a, sp, idx, raw);
	audit_frame(a, sp, idx, raw);
	if (ms_sp_entry_gfn(a->model, sp, idx, &gfn) == MS_GFN_NONE)
		return;
	slot = ms_vm_slot(a->vm, audit_as_id(a, sp), gfn);
	if (slot && slot->flags & MS_SLOT_READONLY && audit_asks(a, 3) && spte_is_host_writable(a->p, raw))
		found(a, 3, sp, idx, "host-writable in a read-only memslot");
	if (slot)
		audit_logged(a, sp, idx, raw, gfn, slot);
	if (spte_is_writable(raw) || spte_is_mmu_writable(a->p, raw))
		writable(a, sp, idx, gfn);
}

/* --- links --- */

/* A value of the field's own width, where this kernel has the field. */
static void put(const struct audit *a, u32 *word, enum role_field_id id, u32 value)
{
	if (role_has(a->roles, id) && role_set(a->roles, word, id, value))
		*word = ~0u;
}

/* The role that a page needs to be linked at idx, but for direct and access, which are its own (C.2, C5). */
static u32 role_wanted(const struct audit *a, const struct ms_sp *sp, u32 idx, u32 own)
{
	static const enum role_field_id its_own[] = { ROLE_DIRECT, ROLE_ACCESS, ROLE_INVALID };
	u32 word = sp->rec.role, i;

	for (i = 0; i < 3; i++)
		put(a, &word, its_own[i], role_get(a->roles, own, its_own[i]));
	put(a, &word, ROLE_LEVEL, sp->level - 1);
	put(a, &word, ROLE_PASSTHROUGH, 0);
	if (audit_role(a, sp, ROLE_HAS_4_BYTE_GPTE))
		put(a, &word, ROLE_QUADRANT, idx & 1);
	return word;
}

/* 23 */
static const char *misplaced(const struct audit *a, const struct ms_sp *sp, u32 idx,
			     const struct ms_sp *child)
{
	bool direct = audit_role(a, sp, ROLE_DIRECT), child_direct = audit_role(a, child, ROLE_DIRECT);
	bool through = audit_role(a, sp, ROLE_PASSTHROUGH);

	if (child->rec.tdp_mmu_page != sp->rec.tdp_mmu_page)
		return "a page of the other MMU";
	if (child->rec.role != role_wanted(a, sp, idx, child->rec.role))
		return "a page of another role than its place asks for";
	if (direct && !child_direct)
		return "a page that shadows, below a direct one";
	if (through && child_direct)
		return "a direct page below a passthrough root";
	if ((direct && child->rec.gfn != sp->rec.gfn + idx * ms_level_pages(sp->level)) ||
	    (through && child->rec.gfn != sp->rec.gfn))
		return "a page of another frame than its place asks for";
	/* With CR0.WP=0 the supervisor writes to what is read-only: rights are then added in the child. */
	if ((a->model->host.tdp_enabled || audit_role(a, sp, ROLE_CR0_WP)) &&
	    audit_role(a, child, ROLE_ACCESS) & ~audit_role(a, sp, ROLE_ACCESS))
		return "a page with rights that the one above lacks";
	return NULL;
}

static void table(struct audit *a, const struct ms_sp *sp, u32 idx)
{
	const struct ms_sp *child = ms_sp_child(a->model, a->vm, sp, idx);
	const char *wrong;

	if (!child || child->rec.state != MS_SP_CONFIRMED)
		return;
	if (audit_asks(a, 23)) {
		wrong = misplaced(a, sp, idx, child);
		if (wrong)
			found(a, 23, sp, idx, wrong);
	}
	if (!sp->rec.tdp_mmu_page && (child->rec.unsync || child->rec.unsync_children) && audit_asks(a, 30) &&
	    !sp->rec.unsync_children)
		found(a, 30, sp, idx, "leads to what is unsync, and counts no unsync children");
}

void audit_entry(struct audit *a, const struct ms_sp *sp, u32 idx)
{
	u64 raw = sp->tables->sptes[idx];

	value(a, sp, idx, raw);
	if (!spte_is_mmu_present(a->p, raw)) {
		frozen(a, sp, idx, raw);
		if (spte_is_mmio(a->p, raw))
			mmio(a, sp, idx, raw);
		return;
	}
	if (idx && audit_role(a, sp, ROLE_PASSTHROUGH) && audit_asks(a, 26))
		found(a, 26, sp, idx, "an entry but the first in a passthrough page");
	if (spte_is_leaf(a->p, raw, sp->level))
		leaf(a, sp, idx, raw);
	else
		table(a, sp, idx);
}
