/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See auditguest.h. */
#include <stdlib.h>
#include <string.h>

#include "auditguest.h"

#define BIT(n) (1ull << (n))

static bool shadows(const struct ms_rec_sp *sp)
{
	return sp->kvm == FAKE_KVM(0) && !sp->tdp_mmu_page && sp->state == MS_SP_CONFIRMED &&
	       !(sp->role & (BIT(7) | BIT(18)));
}

static u16 as_of(const struct ms_rec_sp *sp)
{
	return (u16)(sp->role >> 24);
}

static struct ms_rec_gtable *table_at(struct audit_host *h, u16 as_id, u64 gfn)
{
	struct small_item *item;
	size_t i;

	for (i = 0; (item = small_find(&h->records, MS_REC_GTABLE, i)); i++) {
		struct ms_rec_gtable *t = item->rec;

		if (t->gfn == gfn && t->as_id == as_id)
			return t;
	}
	return NULL;
}

struct ms_rec_gtable *audit_gtable(struct audit_host *h, enum fake_page n)
{
	const struct ms_rec_sp *sp = audit_page_of(h, n);

	return table_at(h, as_of(sp), sp->gfn);
}

static void set(struct ms_rec_gtable *t, u32 idx, u64 gpte)
{
	memcpy(t->bytes + 8 * idx, &gpte, 8);
}

static u64 get(const struct ms_rec_gtable *t, u32 idx)
{
	u64 gpte;

	memcpy(&gpte, t->bytes + 8 * idx, 8);
	return gpte;
}

/* With every right, accessed and, of a page, dirty. */
static u64 full(const struct audit_host *h, u64 gfn, u32 level, bool leaf)
{
	u64 gpte = gfn << 12 | 7 | (leaf && level > 1 ? BIT(7) : 0);

	if (h->ept)
		return gpte | BIT(8) | (leaf ? 6ull << 3 | BIT(9) : 0);
	return gpte | BIT(5) | (leaf ? BIT(6) : 0);
}

void audit_guest_add(struct audit_host *h)
{
	struct ms_rec_gtable *t = calloc(1, sizeof(*t));
	struct small_item *item;
	size_t i;
	u32 idx;

	if (!t)
		abort();
	h->guest = true;
	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++) {
		const struct ms_rec_sp *sp = item->rec;
		u32 level = sp->role & 15;

		if (!shadows(sp) || !item->tables || table_at(h, as_of(sp), sp->gfn))
			continue;
		memset(t, 0, sizeof(*t));
		t->kvm = sp->kvm;
		t->gfn = sp->gfn;
		t->as_id = as_of(sp);
		t->hpa = FAKE_PFN(0, sp->gfn) << 12;
		for (idx = 0; idx < MS_SPTES; idx++) {
			bool huge = item->tables->sptes[idx] & BIT(11) && item->tables->sptes[idx] & BIT(7);
			bool stored =
				sp->have & MS_SP_HAVE_TRANSLATIONS && item->tables->sptes[idx] & BIT(11);
			u64 gfn = stored ? item->tables->translations[idx] >> 12 : 0x40;

			set(t, idx,
			    full(h, gfn & ~((1ull << 9 * (level - 1)) - 1), level, level == 1 || huge));
		}
		small_add(&h->records, MS_REC_GTABLE, t, NULL);
	}
	free(t);
}

/* --- what breaks a row --- */

static void without(struct audit_host *h, u32 idx, u64 bits)
{
	struct ms_rec_gtable *t;

	audit_guest_add(h);
	t = audit_gtable(h, FAKE_N_L1);
	set(t, idx, get(t, idx) & ~bits);
}

static void no_write(struct audit_host *h)
{
	without(h, 3, BIT(1));
}

static void no_exec(struct audit_host *h)
{
	without(h, 3, h->ept ? BIT(2) : 0);
	if (!h->ept)
		set(audit_gtable(h, FAKE_N_L1), 3, full(h, 0x40, 1, true) | BIT(63));
}

static void no_user(struct audit_host *h)
{
	without(h, 3, h->ept ? BIT(0) : BIT(2));
}

static void not_present(struct audit_host *h)
{
	without(h, 3, h->ept ? 7 : 1);
}

static void another_frame(struct audit_host *h)
{
	audit_guest_add(h);
	set(audit_gtable(h, FAKE_N_L1), 3, full(h, FAKE_L2_GFN(4), 1, true));
}

static void host_has_it_elsewhere(struct audit_host *h)
{
	audit_guest_add(h);
	audit_gtable(h, FAKE_N_L3)->hpa ^= BIT(20);
}

/* Not read: nothing is known of where it lies. */
static void not_read_elsewhere(struct audit_host *h)
{
	host_has_it_elsewhere(h);
	audit_gtable(h, FAKE_N_L3)->state = MS_GTABLE_CHANGED;
}

static void withheld_above(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_L1)->role &= ~BIT(9);
}

/* A read-only huge page of L1's, as a large leaf of its table. */
static void huge_leaf(struct audit_host *h, bool table)
{
	struct small_item *item;
	struct ms_rec_gtable *t;
	u64 *sptes = NULL, *stored = NULL;
	size_t i;

	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++)
		if (((struct ms_rec_sp *)item->rec)->sp == FAKE_SP(0, (u64)FAKE_N_L2)) {
			sptes = item->tables->sptes;
			stored = item->tables->translations;
		} else if (((struct ms_rec_sp *)item->rec)->sp == FAKE_SP(0, (u64)FAKE_N_L1)) {
			/* Known to be right: of the same page at level 1. */
			if (sptes)
				abort();
		}
	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++)
		if (((struct ms_rec_sp *)item->rec)->sp == FAKE_SP(0, (u64)FAKE_N_L1))
			break;
	if (!sptes || !item)
		abort();
	sptes[9] = item->tables->sptes[FAKE_N_RO_IDX] | BIT(7);
	stored[9] = FAKE_RO_GFN << 12 | 7;
	audit_guest_add(h);
	t = audit_gtable(h, FAKE_N_L2);
	if (table)
		set(t, 9, full(h, 0x40, 2, false));
}

static void leaf_over_table(struct audit_host *h)
{
	huge_leaf(h, true);
}

static void leaf_over_large(struct audit_host *h)
{
	huge_leaf(h, false);
}

static void clean(struct audit_host *h)
{
	without(h, 3, h->ept ? BIT(9) : BIT(6));
}

/* --- what looks wrong and is right --- */

static void clean_and_not_writable(struct audit_host *h)
{
	without(h, FAKE_N_WP_IDX, h->ept ? BIT(9) : BIT(6));
}

static void clean_and_not_writable_in_slot(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_L1)->gfn = FAKE_RO_GFN + 100;
	without(h, 3, h->ept ? BIT(9) : BIT(6));
}

static void nothing_in(struct audit_host *h, enum fake_page n)
{
	audit_guest_add(h);
	memset(audit_gtable(h, n)->bytes, 0, 4096);
}

static void unsync_table_empty(struct audit_host *h)
{
	nothing_in(h, FAKE_N_UNSYNC);
}

static void table_changes(struct audit_host *h)
{
	nothing_in(h, FAKE_N_L1);
	audit_gtable(h, FAKE_N_L1)->state = MS_GTABLE_CHANGED;
}

static void table_not_there(struct audit_host *h)
{
	nothing_in(h, FAKE_N_L1);
	audit_gtable(h, FAKE_N_L1)->state = MS_GTABLE_NOT_PRESENT;
}

/* In the table of the same frame of another address space. */
static void other_space(struct audit_host *h)
{
	struct ms_rec_gtable *t = calloc(1, sizeof(*t));

	audit_guest_add(h);
	*t = *audit_gtable(h, FAKE_N_L1);
	t->as_id = 1;
	memset(t->bytes, 0, sizeof(t->bytes));
	small_add(&h->records, MS_REC_GTABLE, t, NULL);
	free(t);
}

const struct audit_trip audit_guest_trips[] = {
	{ "a leaf W, the guest's entry not", ROW(35), ALL, no_write },
	{ "a leaf X, the guest's entry not", ROW(35), ALL, no_exec },
	{ "a leaf R or U, the guest's entry not", ROW(35), ALL, no_user },
	{ "a leaf, no guest's entry", ROW(35), ALL, not_present },
	{ "a leaf of another frame", ROW(35), ALL, another_frame },
	{ "a table's frame elsewhere in the host", ROW(24), ALL, host_has_it_elsewhere },
	{ "a leaf W, the entries above not", ROW(35), ALL, withheld_above },
	{ "a huge leaf where the guest has a table", ROW(35), ALL, leaf_over_table },
	{ "a leaf W, the guest's entry clean", ROW(36), ALL, clean },

	{ "a huge leaf where the guest has one", 0, ALL, leaf_over_large },
	{ "a guest's entry clean, the leaf not W", 0, ALL, clean_and_not_writable },
	{ "the same W, in a read-only memslot", 0, ALL, clean_and_not_writable_in_slot },
	{ "an unsync page's table is empty", 0, ALL, unsync_table_empty },
	{ "a table that changed under its reading", 0, ALL, table_changes },
	{ "the same of a table that changed", 0, ALL, not_read_elsewhere },
	{ "a table that is not there", 0, ALL, table_not_there },
	{ "another space's table is empty", 0, ALL, other_space },
	{ 0 },
};
