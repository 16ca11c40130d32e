/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two values of one SPTE: what changed, and why where the two states prove it (SEMANTICS B.3, E.1, F). */
#include "query/diff.h"

#include <string.h>

static u64 set_or_cleared(bool a, bool b, enum diff_change set, enum diff_change cleared)
{
	return a == b ? 0 : 1ull << (b ? set : cleared);
}

/* The class is another: what went, and what came in its place. */
static u64 class_changes(enum spte_class a, enum spte_class b)
{
	u64 ret = 0;

	if (a == SPTE_CLASS_LEAF && b == SPTE_CLASS_TABLE)
		return DIFF_BIT(SPLIT);
	if (a == SPTE_CLASS_TABLE && b == SPTE_CLASS_LEAF)
		return DIFF_BIT(COLLAPSED);
	if (a == SPTE_CLASS_LEAF)
		ret |= DIFF_BIT(ZAPPED);
	if (a == SPTE_CLASS_TABLE)
		ret |= DIFF_BIT(UNLINKED);
	if (a == SPTE_CLASS_MMIO)
		ret |= DIFF_BIT(MMIO_DROPPED);
	if (a == SPTE_CLASS_FROZEN)
		ret |= DIFF_BIT(THAWED);
	if (b == SPTE_CLASS_LEAF)
		ret |= DIFF_BIT(MAPPED);
	if (b == SPTE_CLASS_TABLE)
		ret |= DIFF_BIT(LINKED);
	if (b == SPTE_CLASS_MMIO)
		ret |= DIFF_BIT(MMIO_SET);
	if (b == SPTE_CLASS_FROZEN)
		ret |= DIFF_BIT(FROZEN);
	return ret;
}

/* Of tables and leaves alike; for a table H, M, D and the rest are 0 on both sides. */
static u64 bit_changes(const struct diff *d, const struct spte_info *a, const struct spte_info *b)
{
	u64 ret = 0;

	if (d->same_vm && a->pfn != b->pfn)
		ret |= a->cls == SPTE_CLASS_TABLE ? DIFF_BIT(TABLE) : DIFF_BIT(PFN);
	ret |= set_or_cleared(a->writable, b->writable, DIFF_W_SET, DIFF_W_CLEARED);
	ret |= set_or_cleared(a->mmu_writable, b->mmu_writable, DIFF_M_SET, DIFF_M_CLEARED);
	ret |= set_or_cleared(a->host_writable, b->host_writable, DIFF_H_SET, DIFF_H_CLEARED);
	ret |= set_or_cleared(a->accessed_bit, b->accessed_bit, DIFF_A_SET, DIFF_A_CLEARED);
	ret |= set_or_cleared(a->dirty_bit, b->dirty_bit, DIFF_D_SET, DIFF_D_CLEARED);
	/* Access tracking takes R and X along, and keeps them elsewhere. */
	if (a->tracked == b->tracked) {
		ret |= set_or_cleared(a->read_user, b->read_user, DIFF_R_SET, DIFF_R_CLEARED);
		ret |= set_or_cleared(a->executable, b->executable, DIFF_X_SET, DIFF_X_CLEARED);
	}
	ret |= set_or_cleared(a->tracked, b->tracked, DIFF_TRACKED, DIFF_UNTRACKED);
	if (a->ad_kind != b->ad_kind)
		ret |= DIFF_BIT(AD_KIND);
	if (d->q[DIFF_A].model->profile.format == d->q[DIFF_B].model->profile.format &&
	    (a->memtype != b->memtype || a->ignore_pat != b->ignore_pat))
		ret |= DIFF_BIT(MEMTYPE);
	return ret;
}

/* What KVM stored beside a leaf: the L1 frame, and what the guest's tables grant. */
static u64 translation_changes(const struct diff *d, const struct ms_sp *a, const struct ms_sp *b, u32 idx)
{
	u64 gfn_a = 0, gfn_b = 0, ret = 0;
	u32 access_a = 0, access_b = 0;

	if (ms_sp_entry_gfn(d->q[DIFF_A].model, a, idx, &gfn_a) != MS_GFN_NONE &&
	    ms_sp_entry_gfn(d->q[DIFF_B].model, b, idx, &gfn_b) != MS_GFN_NONE && gfn_a != gfn_b)
		ret |= DIFF_BIT(GFN);
	if (guest_access(d->q[DIFF_A].model, a, idx, &access_a) &&
	    guest_access(d->q[DIFF_B].model, b, idx, &access_b) && access_a != access_b)
		ret |= DIFF_BIT(GUEST_ACCESS);
	return ret;
}

/* Bits that no word was found for. Of another host, or of another VM, they say nothing. */
static u64 rest_changes(const struct diff *d, const struct spte_info *a, const struct spte_info *b)
{
	u64 differ = a->raw ^ b->raw;

	if (!d->same_profile || a->cls == SPTE_CLASS_NONPRESENT)
		return 0;
	if (!d->same_vm && (a->cls == SPTE_CLASS_TABLE || a->cls == SPTE_CLASS_LEAF))
		differ &= ~spte_pfn_mask(&d->q[DIFF_A].model->profile);
	return differ ? DIFF_BIT(OTHER_BITS) : 0;
}

u64 diff_entry(const struct diff *d, const struct ms_sp *a, const struct ms_sp *b, u32 idx)
{
	const struct spte_profile *pa = &d->q[DIFF_A].model->profile, *pb = &d->q[DIFF_B].model->profile;
	u64 raw_a = a->tables->sptes[idx], raw_b = b->tables->sptes[idx], ret = 0;
	struct spte_info ia, ib;

	spte_decode(pa, raw_a, a->level, &ia);
	spte_decode(pb, raw_b, b->level, &ib);
	if (ia.cls == SPTE_CLASS_UNKNOWN || ib.cls == SPTE_CLASS_UNKNOWN)
		return raw_a == raw_b && ia.cls == ib.cls ? 0 : DIFF_BIT(UNDECODED);
	if (ia.cls != ib.cls)
		return class_changes(ia.cls, ib.cls);
	switch (ia.cls) {
	case SPTE_CLASS_NONPRESENT:
		return d->same_profile && ia.np_zero != ib.np_zero ? DIFF_BIT(EMPTY_VALUE) : 0;
	case SPTE_CLASS_MMIO:
		if (ia.mmio_gen != ib.mmio_gen)
			ret |= DIFF_BIT(MMIO_GEN);
		if (ia.mmio_gfn != ib.mmio_gfn)
			ret |= DIFF_BIT(GFN);
		if (ia.mmio_access != ib.mmio_access)
			ret |= DIFF_BIT(MMIO_ACCESS);
		break;
	case SPTE_CLASS_TABLE:
		ret = bit_changes(d, &ia, &ib);
		break;
	case SPTE_CLASS_LEAF:
		ret = bit_changes(d, &ia, &ib) | translation_changes(d, a, b, idx);
		break;
	case SPTE_CLASS_FROZEN:
	case SPTE_CLASS_UNKNOWN:
		break;
	}
	return ret ? ret : rest_changes(d, &ia, &ib);
}

/* --- causes --- */

static u32 cause_named(const char *name)
{
	u32 i;

	for (i = 1; i < DIFF_NR_CAUSES; i++)
		if (!strcmp(diff_causes[i].name, name))
			return 1u << i;
	return 0;
}

static u32 reasons(const struct diff *d, enum diff_side side, const struct ms_sp *sp, u32 idx)
{
	const char *words[2];
	u32 ret = 0;
	size_t i;

	why_reasons(&d->why[side], d->q[side].model, sp, idx, words);
	for (i = 0; i < MS_LEN(words); i++)
		if (words[i])
			ret |= cause_named(words[i]);
	return ret;
}

/* The memslot of a frame; false where that cannot be told. */
static bool slot_at(const struct diff *d, enum diff_side side, const struct ms_sp *sp, u64 gfn,
		    const struct ms_rec_slot **ret)
{
	const struct query *q = &d->q[side];
	u32 as_id = role_get(&q->model->roles, sp->rec.role, ROLE_SMM);

	/* Where some changed while they were read, one that is missing proves nothing. */
	if (!q->vm->nr_slots || d->lacks[DIFF_O_SLOT][DIFF_L_UNSTABLE][side])
		return false;
	*ret = ms_vm_slot(q->vm, as_id, gfn);
	return true;
}

static u32 slot_cause(const struct diff *d, const struct ms_sp *a, const struct ms_sp *b, u64 gfn,
		      u32 else_cause)
{
	const struct ms_rec_slot *slot_a, *slot_b;

	if (!slot_at(d, DIFF_A, a, gfn, &slot_a) || !slot_at(d, DIFF_B, b, gfn, &slot_b) || !slot_a)
		return 0;
	if (!slot_b)
		return 1u << DIFF_C_SLOT_DELETED;
	if (slot_a->hva + ((gfn - slot_a->base_gfn) << SPTE_PAGE_SHIFT) !=
	    slot_b->hva + ((gfn - slot_b->base_gfn) << SPTE_PAGE_SHIFT))
		return 1u << DIFF_C_SLOT_MOVED;
	return else_cause;
}

/* D gone from a leaf that stays writable: only the dirty log takes it, and a new leaf has it (E.1, E.2). */
static u32 d_cause(const struct diff *d, const struct ms_sp *a, const struct ms_sp *b, u32 idx, u64 gfn)
{
	const struct spte_profile *p = &d->q[DIFF_B].model->profile;
	u64 raw_a = a->tables->sptes[idx], raw_b = b->tables->sptes[idx];
	const struct ms_rec_slot *slot;

	if (!spte_is_writable(raw_a) || !spte_is_writable(raw_b) ||
	    spte_ad_kind(p, raw_b) != SPTE_AD_ENABLED || !slot_at(d, DIFF_B, b, gfn, &slot) || !slot ||
	    !(slot->flags & MS_SLOT_LOG_DIRTY))
		return 0;
	return 1u << DIFF_C_DIRTY_LOG;
}

static bool child_is_nx_split(const struct diff *d, const struct ms_sp *b, u32 idx)
{
	const struct ms_sp *child = ms_sp_child(d->q[DIFF_B].model, d->q[DIFF_B].vm, b, idx);

	return child && child->rec.state == MS_SP_CONFIRMED && child->rec.have & MS_SP_HAVE_NX_DISALLOWED &&
	       child->rec.nx_disallowed;
}

u32 diff_entry_causes(const struct diff *d, const struct ms_sp *a, const struct ms_sp *b, u32 idx,
		      u64 changes)
{
	const u32 guest = 1u << DIFF_C_GUEST_DENIES | 1u << DIFF_C_GUEST_NO_W;
	u64 gfn_a = 0, gfn_b = 0;
	bool has_a, has_b;
	u32 ret = 0, was;

	if (!d->same_vm)
		return 0;
	has_a = ms_sp_entry_gfn(d->q[DIFF_A].model, a, idx, &gfn_a) != MS_GFN_NONE;
	has_b = ms_sp_entry_gfn(d->q[DIFF_B].model, b, idx, &gfn_b) != MS_GFN_NONE;
	if (changes & (DIFF_BIT(W_CLEARED) | DIFF_BIT(M_CLEARED)))
		ret |= reasons(d, DIFF_B, b, idx);
	if (changes & DIFF_BIT(W_SET)) {
		was = reasons(d, DIFF_A, a, idx);
		if (was & 1u << DIFF_C_SHADOWED && !(was & guest))
			ret |= 1u << DIFF_C_NOT_SHADOWED;
	}
	if (changes & DIFF_BIT(D_CLEARED) && has_b)
		ret |= d_cause(d, a, b, idx, gfn_b);
	if (changes & DIFF_BIT(ZAPPED) && has_a)
		ret |= slot_cause(d, a, b, gfn_a, 0);
	if (changes & DIFF_BIT(PFN) && has_a && has_b)
		ret |= gfn_a != gfn_b ? 1u << DIFF_C_GUEST_TABLE
				      : slot_cause(d, a, b, gfn_a, 1u << DIFF_C_HOST_PAGE);
	if (changes & DIFF_BIT(MMIO_GEN))
		ret |= 1u << DIFF_C_MEMSLOTS;
	if (changes & DIFF_BIT(SPLIT) && child_is_nx_split(d, b, idx))
		ret |= 1u << DIFF_C_NX_HUGE;
	return ret;
}
