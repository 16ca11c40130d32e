/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * More changes of the made-up host's records (audittrips.h): of address space 1, of shadow paging, of lists and
 * guest tables that are there in part. Many are made of one page, that of a previous root, which no other leads to.
 */
#include <stdlib.h>
#include <string.h>

#include "auditguest.h"
#include "auditlists.h"

#define BIT(n) (1ull << (n))
/* Bits of a role. */
#define R_4_BYTE BIT(4)
#define R_QUADRANT_1 BIT(5)
#define R_DIRECT BIT(7)
#define R_WRITE BIT(9)
#define R_USER BIT(10)
#define R_INVALID BIT(11)
#define R_WP BIT(13)
#define R_NO_AD BIT(16)
#define R_PASSTHROUGH BIT(18)
#define R_SPACE_1 BIT(24)

#define NO_SLOT_GFN 0x50000ull

/* The lone page, with the role of another. */
static struct ms_rec_sp *lone(struct audit_host *h, enum fake_page as, u64 more)
{
	struct ms_rec_sp *sp = audit_page_of(h, FAKE_N_PREV);

	sp->role = (audit_page_of(h, as)->role & ~(u32)R_PASSTHROUGH) | (u32)more;
	/* A direct page stores none. */
	sp->have &= ~MS_SP_HAVE_TRANSLATIONS;
	sp->have |= sp->role & R_DIRECT ? 0 : MS_SP_HAVE_TRANSLATIONS;
	return sp;
}

/* Entry 3 of it is L2's of the lowest level, entry 9 of an upper one L1's huge leaf as L2 has it. */
static struct ms_rec_sp *lone_leaf(struct audit_host *h, u64 more)
{
	struct ms_sp_tables *t = audit_tables(h, FAKE_N_PREV);

	t->sptes[3] = *audit_spte(h, FAKE_N_L1, 3);
	t->translations[3] = FAKE_L2_GFN(3) << 12 | 7;
	return lone(h, FAKE_N_L1, more);
}

static struct ms_rec_sp *lone_huge(struct audit_host *h, u64 gfn, u64 more)
{
	struct ms_sp_tables *t = audit_tables(h, FAKE_N_PREV);

	t->sptes[9] = *audit_spte(h, FAKE_TDP_L2, 1) | (h->ept ? BIT(53) : 0);
	t->translations[9] = gfn << 12 | 7;
	return lone(h, FAKE_N_L2, more);
}

static struct ms_rec_slot *ram_of_space_1(struct audit_host *h)
{
	struct ms_rec_slot *slot;
	size_t i;

	for (i = 0; (slot = audit_slot(h, i)); i++)
		if (slot->id == FAKE_SLOT_RAM && slot->as_id == 1 && slot->kvm == FAKE_KVM(0))
			return slot;
	abort();
}

static void set_generation(struct audit_host *h, u16 as_id, u64 generation)
{
	struct ms_rec_slot *slot;
	size_t i;

	for (i = 0; (slot = audit_slot(h, i)); i++)
		if (slot->as_id == as_id)
			slot->generation = generation;
}

/* --- address spaces --- */

static void mmio_of_space_1(struct audit_host *h)
{
	lone(h, FAKE_N_L1, R_SPACE_1);
	*audit_spte(h, FAKE_N_PREV, 3) = *audit_spte(h, FAKE_N_L1, FAKE_N_MMIO_IDX);
}

static void slot_of_space_1(struct audit_host *h, u64 gfn)
{
	struct ms_rec_slot *slot;
	size_t i;

	for (i = 0; (slot = audit_slot(h, i)); i++)
		if (slot->flags & MS_SLOT_INVALID)
			break;
	if (!slot)
		abort();
	slot->base_gfn = gfn;
	slot->nr_pages = 1;
	slot->flags = 0;
	slot->as_id = 1;
}

static void memory_of_space_1(struct audit_host *h)
{
	slot_of_space_1(h, FAKE_APIC_GFN);
}

static void memory_at_mmio(struct audit_host *h)
{
	mmio_of_space_1(h);
	memory_of_space_1(h);
}

static void memory_at_old_mmio(struct audit_host *h)
{
	memory_at_mmio(h);
	set_generation(h, 1, FAKE_MMIO_GEN + 1);
}

static void mmio_to_come(struct audit_host *h)
{
	mmio_of_space_1(h);
	set_generation(h, 1, FAKE_MMIO_GEN - 1);
}

static void mmio_to_come_elsewhere(struct audit_host *h)
{
	set_generation(h, 1, FAKE_MMIO_GEN - 1);
}

static void host_writable(struct audit_host *h)
{
	lone_leaf(h, R_SPACE_1);
	ram_of_space_1(h)->flags |= MS_SLOT_READONLY;
}

static void huge_logged(struct audit_host *h)
{
	lone_huge(h, FAKE_HUGE_GFN, R_SPACE_1);
	ram_of_space_1(h)->flags |= MS_SLOT_LOG_DIRTY;
}

static void maps_itself(struct audit_host *h)
{
	lone_leaf(h, R_SPACE_1)->gfn = FAKE_L2_GFN(3);
	*audit_spte(h, FAKE_N_L1, 3) = *audit_spte(h, FAKE_N_L1, 300);
}

static void huge_over_itself(struct audit_host *h)
{
	lone_huge(h, FAKE_HUGE_GFN, R_SPACE_1)->gfn = 700;
	*audit_spte(h, FAKE_TDP_L2, 1) = *audit_spte(h, FAKE_TDP_L2, 9);
}

/* --- links --- */

/* As if L1's tables had entries of 4 bytes: of a VM with EPT, whose tables are not read as such. */
static void of_4_bytes(struct audit_host *h, u64 quadrant)
{
	u32 n;

	for (n = FAKE_N_UNSYNC; n <= FAKE_N_ROOT; n++)
		audit_page_of(h, (enum fake_page)n)->role |= R_4_BYTE;
	audit_page_of(h, FAKE_N_UNSYNC)->role |= (u32)quadrant;
}

static void quadrant_0_at_1(struct audit_host *h)
{
	of_4_bytes(h, 0);
}

static void quadrant_1_at_1(struct audit_host *h)
{
	of_4_bytes(h, R_QUADRANT_1);
}

static void legacy_in_tdp(struct audit_host *h)
{
	struct ms_rec_sp *sp = audit_page_of(h, FAKE_TDP_L1_RO);

	sp->tdp_mmu_page = 0;
	sp->have |= MS_SP_HAVE_UNSYNC | MS_SP_HAVE_UNSYNC_CHILDREN;
}

static void tdp_in_legacy(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_DIRECT)->tdp_mmu_page = 1;
}

/* In its place by number, L1's read-only memory. */
static void shadows_below_direct(struct audit_host *h)
{
	lone(h, FAKE_N_L2, R_DIRECT)->gfn = 0;
	audit_page_of(h, FAKE_N_L1)->gfn = FAKE_RO_GFN;
	*audit_spte(h, FAKE_N_PREV, 2) = *audit_spte(h, FAKE_N_L2, 0);
}

static void direct_below_passthrough(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_ROOT5)->gfn = 0;
	audit_page_of(h, FAKE_N_ROOT)->gfn = 0;
	audit_page_of(h, FAKE_N_ROOT)->role |= R_DIRECT;
	*audit_spte(h, FAKE_N_ROOT, 0) = *audit_spte(h, FAKE_N_ROOT, 5);
}

static void passthrough_of_other_frame(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_ROOT5)->gfn = 0x31;
}

static void more_access_with_shadow_paging(struct audit_host *h)
{
	audit_host(h)->tdp_enabled = 0;
	audit_page_of(h, FAKE_N_L2)->role &= ~(u32)R_WRITE;
}

static void more_access_with_wp(struct audit_host *h)
{
	struct small_item *item;
	size_t i;

	more_access_with_shadow_paging(h);
	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++)
		((struct ms_rec_sp *)item->rec)->role |= R_WP;
}

static void rubbish_in_tdp(struct audit_host *h)
{
	audit_page_of(h, FAKE_TDP_L1)->unsync_children = 1;
	audit_page_of(h, FAKE_TDP_L1_RO)->unsync = 1;
}

/* --- passthrough --- */

static void passthrough_of_level_4(struct audit_host *h)
{
	lone(h, FAKE_N_ROOT, R_PASSTHROUGH);
}

static void root_of(struct audit_host *h, u32 level, u64 more)
{
	struct ms_rec_mmu *mmu = audit_mmu_of(h, MS_MMU_GUEST);

	mmu->root_role = ((mmu->root_role & ~15u & ~(u32)R_PASSTHROUGH) | level) + (u32)more;
}

static void ept_of_5_levels(struct audit_host *h)
{
	root_of(h, 5, 0);
}

static void ept_passthrough(struct audit_host *h)
{
	root_of(h, 5, R_PASSTHROUGH);
}

static void npt_of_4_passthrough(struct audit_host *h)
{
	root_of(h, 4, R_PASSTHROUGH);
}

static void npt_direct(struct audit_host *h)
{
	root_of(h, 5, R_DIRECT);
}

static void npt_direct_passthrough(struct audit_host *h)
{
	root_of(h, 5, R_DIRECT | R_PASSTHROUGH);
}

static void npt_of_5(struct audit_host *h)
{
	root_of(h, 5, 0);
	audit_mmu_of(h, MS_MMU_GUEST)->cpu_role++;
}

static void npt_of_5_passthrough(struct audit_host *h)
{
	root_of(h, 5, R_PASSTHROUGH);
	audit_mmu_of(h, MS_MMU_GUEST)->cpu_role++;
}

static void l1_of_5_levels(struct audit_host *h)
{
	struct ms_rec_mmu *mmu = audit_mmu_of(h, MS_MMU_ROOT);

	/* Shadow paging. */
	mmu->root_role = FAKE_ROLE_NPT02_PASSTHROUGH & ~(u32)R_PASSTHROUGH;
}

static void nested_passthrough(struct audit_host *h)
{
	audit_mmu_of(h, MS_MMU_NESTED)->root_role |= (u32)R_PASSTHROUGH;
}

static void roles_not_known(struct audit_host *h)
{
	audit_mmu_of(h, MS_MMU_GUEST)->root_role ^= (u32)R_PASSTHROUGH;
	audit_mmu_of(h, MS_MMU_GUEST)->have &= ~MS_MMU_HAVE_CPU_ROLE;
	audit_mmu_of(h, MS_MMU_ROOT)->root_role ^= (u32)R_PASSTHROUGH;
	audit_mmu_of(h, MS_MMU_ROOT)->have &= ~MS_MMU_HAVE_ROOT_ROLE;
}

/* --- entries --- */

static void ad_disabled_for_l2(struct audit_host *h)
{
	u64 *raw;

	lone_leaf(h, R_NO_AD);
	raw = audit_spte(h, FAKE_N_PREV, 3);
	*raw = (*raw & ~(BIT(8) | BIT(9) | BIT(53))) | BIT(52);
}

/* A CPU that cannot execute without reading. */
static void always_reads(struct audit_host *h)
{
	audit_host(h)->masks[MS_SM_present] |= BIT(0);
}

static void no_rights_always_reads(struct audit_host *h)
{
	always_reads(h);
	*audit_spte(h, FAKE_N_L1, 9) &= ~7ull;
}

static void no_rights_direct(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_DIRECT, 2) &= ~7ull;
}

static void read_not_stored(struct audit_host *h)
{
	audit_tables(h, FAKE_N_L1)->translations[4] &= ~4ull;
	audit_page_of(h, FAKE_N_L1)->role |= (u32)R_USER;
}

/* Where R is granted by every leaf, L1's may withhold it, and so may those above. */
static void read_not_granted(struct audit_host *h)
{
	struct ms_sp_tables *t = audit_tables(h, FAKE_N_L1);
	struct ms_rec_gtable *g;
	u64 gpte;
	u32 idx;

	always_reads(h);
	audit_page_of(h, FAKE_N_L1)->role &= ~(u32)(R_USER | R_WRITE);
	for (idx = 0; idx < MS_SPTES; idx++) {
		if (!(t->sptes[idx] & BIT(11)))
			continue;
		t->sptes[idx] &= ~(audit_bit_m(h) | BIT(1));
		t->translations[idx] &= ~6ull;
	}
	audit_guest_add(h);
	g = audit_gtable(h, FAKE_N_L1);
	for (idx = 0; idx < MS_SPTES; idx++) {
		memcpy(&gpte, g->bytes + 8 * idx, 8);
		gpte &= ~3ull;
		memcpy(g->bytes + 8 * idx, &gpte, 8);
	}
}

static void w_not_mw_over_table(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, FAKE_N_L3_GFN) |= BIT(1);
}

/* Two pages of one guest table, of which one is in sync. */
static void one_in_sync(struct audit_host *h)
{
	lone(h, FAKE_N_ROOT, 0)->gfn = FAKE_N_UNSYNC_GFN;
}

static void none_in_sync(struct audit_host *h)
{
	one_in_sync(h);
	lone(h, FAKE_N_L1, R_NO_AD)->unsync = 1;
}

/* --- guest tables --- */

static void empty(struct audit_host *h, enum fake_page n)
{
	audit_guest_add(h);
	memset(audit_gtable(h, n)->bytes, 0, 4096);
}

static void empty_in_space_1(struct audit_host *h)
{
	lone_leaf(h, R_SPACE_1);
	empty(h, FAKE_N_PREV);
}

static void empty_and_obsolete(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_L1)->mmu_valid_gen = 0;
	empty(h, FAKE_N_L1);
}

/* L1's leaf of a guest table, in space 1, where the host has the table elsewhere. */
static void elsewhere_in_space_1(struct audit_host *h)
{
	struct ms_rec_gtable *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	lone(h, FAKE_N_DIRECT, R_SPACE_1)->gfn = 0;
	*audit_spte(h, FAKE_N_PREV, FAKE_N_L1_GFN) =
		*audit_spte(h, FAKE_TDP_L1, FAKE_N_L1_GFN) | (h->ept ? BIT(53) : 0);
	audit_guest_add(h);
	*t = *audit_gtable(h, FAKE_N_L1);
	t->as_id = 1;
	t->hpa ^= BIT(20);
	small_add(&h->records, MS_REC_GTABLE, t, NULL);
	free(t);
}

static void clean(struct audit_host *h, u64 more, u64 gfn)
{
	struct ms_rec_gtable *t;
	u64 gpte;

	lone_leaf(h, more)->gfn = gfn;
	audit_guest_add(h);
	t = audit_gtable(h, FAKE_N_PREV);
	memcpy(&gpte, t->bytes + 8 * 3, 8);
	gpte &= ~(h->ept ? BIT(9) : BIT(6));
	memcpy(t->bytes + 8 * 3, &gpte, 8);
}

static void clean_in_slot(struct audit_host *h)
{
	clean(h, 0, FAKE_N_PREV_GFN);
}

static void clean_in_no_slot(struct audit_host *h)
{
	clean(h, 0, NO_SLOT_GFN);
}

static void clean_in_slot_of_space_1(struct audit_host *h)
{
	slot_of_space_1(h, NO_SLOT_GFN);
	clean(h, R_SPACE_1, NO_SLOT_GFN);
}

static void clean_in_no_slot_of_space_1(struct audit_host *h)
{
	clean(h, R_SPACE_1, FAKE_LOG_GFN + 100);
}

static void frame_inside_huge(struct audit_host *h)
{
	lone_huge(h, FAKE_HUGE_GFN + 5, 0);
}

static void other_huge_frame(struct audit_host *h)
{
	frame_inside_huge(h);
	audit_guest_add(h);
	audit_tables(h, FAKE_N_PREV)->translations[9] = NO_SLOT_GFN << 12 | 7;
}

static void frame_not_stored(struct audit_host *h)
{
	lone_leaf(h, 0)->have &= ~MS_SP_HAVE_TRANSLATIONS;
}

/* With shadow paging, and CR0.WP for this page alone. */
static void entries_of_4_bytes(struct audit_host *h, u32 gpte)
{
	struct ms_rec_gtable *t;
	u32 i;

	audit_host(h)->tdp_enabled = 0;
	audit_guest_add(h);
	t = audit_gtable(h, FAKE_N_PREV);
	for (i = 0; i < 1024; i++)
		memcpy(t->bytes + 4 * i, &gpte, 4);
}

static void large_of_4_bytes(struct audit_host *h)
{
	lone_huge(h, FAKE_HUGE_GFN, R_4_BYTE | R_WP);
	entries_of_4_bytes(h, 0x4000e7); /* P W U A D PS */
}

static void other_frame_of_4_bytes(struct audit_host *h)
{
	lone_leaf(h, R_4_BYTE | R_WP);
	entries_of_4_bytes(h, FAKE_L2_GFN(4) << 12 | 0x67);
}

static void frame_of_4_bytes(struct audit_host *h)
{
	lone_leaf(h, R_4_BYTE | R_WP);
	entries_of_4_bytes(h, FAKE_L2_GFN(3) << 12 | 0x67);
}

/* --- lists --- */

#define LONE(idx) FAKE_ENTRY_VA(0, FAKE_N_PREV, idx)

static void list_of_zapped(struct audit_host *h)
{
	lone_leaf(h, R_INVALID);
	AUDIT_LISTS(h, .foreign = LONE(3), .foreign_gfn = FAKE_L2_GFN(3));
}

static void list_of_other_level(struct audit_host *h)
{
	lone_huge(h, FAKE_HUGE_GFN, 0);
	AUDIT_LISTS(h, .foreign = LONE(9), .foreign_gfn = FAKE_HUGE_GFN);
}

static void list_of_other_space(struct audit_host *h)
{
	lone_leaf(h, R_SPACE_1);
	AUDIT_LISTS(h, .foreign = LONE(3), .foreign_gfn = FAKE_L2_GFN(3));
}

/* Of one that is full, with L2's first frame mapped so often. */
static void desc_of_15(struct audit_host *h)
{
	struct ms_sp_tables *t = audit_tables(h, FAKE_N_PREV);
	struct ms_rec_rmap_desc *desc;
	size_t i;

	lone(h, FAKE_N_L1, 0);
	for (i = 0; i < MS_RMAP_EXT - 2; i++) {
		t->sptes[i] = *audit_spte(h, FAKE_N_L1, 0);
		t->translations[i] = FAKE_L2_GFN(0) << 12 | 7;
	}
	AUDIT_LISTS(h, .omit = 0);
	for (i = 0; small_find(&h->records, MS_REC_RMAP_DESC, i); i++) {
		desc = small_find(&h->records, MS_REC_RMAP_DESC, i)->rec;
		desc->count += desc->count == MS_RMAP_EXT;
	}
}

static void no_descs(struct audit_host *h)
{
	const struct ms_rec_rmap rec = { .have = MS_RMAP_HAVE_GFN,
					 .kvm = FAKE_KVM(0),
					 .head = 0xffff888e00000000ull + MS_RMAP_MANY,
					 .gfn = FAKE_L2_GFN(60),
					 .level = 1 };

	small_add(&h->records, MS_REC_RMAP, &rec, NULL);
	AUDIT_LISTS(h, .omit = 0);
}

static void parent_is_leaf_of_it(struct audit_host *h)
{
	u64 *raw = audit_spte(h, FAKE_N_L1, 20);

	*raw = (*raw & ~((BIT(FAKE_PHYS_BITS) - 1) & ~0xfffull)) | FAKE_SPT_PFN(0, (u64)FAKE_N_UNSYNC) << 12;
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_N_L1, 20),
		    .foreign_sp = FAKE_SP(0, (u64)FAKE_N_UNSYNC));
}

static void parent_is_mmio_of_it(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L1, 201) = *audit_spte(h, FAKE_N_L1, FAKE_N_MMIO_IDX) ^ FAKE_APIC_GFN << 12 ^
					 FAKE_SPT_PFN(0, (u64)FAKE_N_UNSYNC) << 12;
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_N_L1, 201),
		    .foreign_sp = FAKE_SP(0, (u64)FAKE_N_UNSYNC));
}

static void obsolete_not_listed(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_L1)->mmu_valid_gen = 0;
	AUDIT_LISTS(h, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
}

static void not_listed_in_update(struct audit_host *h)
{
	const u64 generation = BIT(63) | FAKE_MMIO_GEN;

	set_generation(h, 0, generation);
	set_generation(h, 1, generation);
	AUDIT_LISTS(h, .generation = generation, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
}

static void not_listed(struct audit_host *h, u64 more)
{
	lone_leaf(h, more);
	audit_tables(h, FAKE_N_PREV)->translations[3] = NO_SLOT_GFN << 12 | 7;
	AUDIT_LISTS(h, .omit = LONE(3));
}

static void not_listed_without_slot(struct audit_host *h)
{
	not_listed(h, 0);
}

static void not_listed_in_space_1(struct audit_host *h)
{
	slot_of_space_1(h, NO_SLOT_GFN);
	not_listed(h, R_SPACE_1);
}

static void not_listed_in_space_0(struct audit_host *h)
{
	slot_of_space_1(h, NO_SLOT_GFN);
	not_listed(h, 0);
}

/* --- counts --- */

static void be_sim(struct audit_host *h)
{
	memset(audit_host(h)->target, 0, sizeof(audit_host(h)->target));
	memcpy(audit_host(h)->target, "sim", 3);
}

static void all_confirmed(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_TORN)->state = MS_SP_CONFIRMED;
	audit_page_of(h, FAKE_N_UNLINKED)->state = MS_SP_CONFIRMED;
}

static void once_too_often(struct audit_host *h)
{
	AUDIT_LISTS(h, .count_gfn = FAKE_N_L2_GFN, .count_by = 1);
}

static void too_often_not_sim(struct audit_host *h)
{
	all_confirmed(h);
	once_too_often(h);
}

static void too_often_not_confirmed(struct audit_host *h)
{
	be_sim(h);
	once_too_often(h);
}

static void add_count(struct audit_host *h, u8 state)
{
	const struct ms_rec_gfn rec = {
		.kvm = FAKE_KVM(0), .gfn = FAKE_HUGE_GFN, .count = 1, .level = 1, .state = state
	};

	small_add(&h->records, MS_REC_GFN, &rec, NULL);
}

static void count_without_table(struct audit_host *h)
{
	be_sim(h);
	all_confirmed(h);
	add_count(h, MS_RMAP_CONFIRMED);
}

static void torn_count_without_table(struct audit_host *h)
{
	be_sim(h);
	all_confirmed(h);
	add_count(h, MS_RMAP_TORN);
}

static void count_without_table_not_sim(struct audit_host *h)
{
	all_confirmed(h);
	add_count(h, MS_RMAP_CONFIRMED);
}

static void not_tracked_without_slot(struct audit_host *h)
{
	lone(h, FAKE_N_ROOT, 0)->gfn = NO_SLOT_GFN;
	AUDIT_LISTS(h, .count_gfn = NO_SLOT_GFN, .count_by = -1);
}

const struct audit_trip audit_more_trips[] = {
	{ "memory of space 1 at its MMIO entry", ROW(13), ALL, memory_at_mmio },
	{ "an MMIO entry of space 1, of later", ROW(14), ALL, mmio_to_come },
	{ "host-writable, read-only in space 1", ROW(3), ALL, host_writable },
	{ "a writable huge page, logged in space 1", ROW(34), ALL, huge_logged },
	{ "a table in sync, writable in space 1", ROW(31), ALL, maps_itself },
	{ "a table in a huge page of space 1", ROW(33), ALL, huge_over_itself },
	{ "memory of space 1 at the others' MMIO", 0, ALL, memory_of_space_1 },
	{ "memory of space 1 at its stale MMIO", 0, ALL, memory_at_old_mmio },
	{ "a generation of space 1 before the other", 0, ALL, mmio_to_come_elsewhere },

	{ "quadrant 0 at an odd entry", ROW(23), EPT, quadrant_0_at_1 },
	{ "quadrant 1 at an odd entry", 0, EPT, quadrant_1_at_1 },
	{ "a direct page of the legacy MMU in the TDP", ROW(23), ALL, legacy_in_tdp },
	{ "a page of the TDP MMU in the legacy MMU", ROW(23), ALL, tdp_in_legacy },
	{ "a page that shadows below a direct one", ROW(23), ALL, shadows_below_direct },
	{ "a direct page below a passthrough root", ROW(23), PT, direct_below_passthrough },
	{ "passthrough to a page of another frame", ROW(23), PT, passthrough_of_other_frame },
	{ "a child with more access, WP, no TDP", ROW(23), NPT, more_access_with_wp },
	{ "a child with more access, no WP, no TDP", 0, NPT, more_access_with_shadow_paging },
	{ "the TDP MMU's unsync, whatever it be", 0, ALL, rubbish_in_tdp },

	{ "a passthrough page of level 4", ROW(26), ALL, passthrough_of_level_4 },
	{ "passthrough over EPT12", ROW(27), EPT, ept_passthrough },
	{ "passthrough of 4 levels", ROW(27), NPT, npt_of_4_passthrough },
	{ "passthrough, and direct", ROW(27), NPT, npt_direct_passthrough },
	{ "passthrough over NPT12 of 5 levels", ROW(27), NPT, npt_of_5_passthrough },
	{ "5 levels over EPT12", 0, EPT, ept_of_5_levels },
	{ "5 levels, direct", 0, NPT, npt_direct },
	{ "5 levels over NPT12 of 5", 0, NPT, npt_of_5 },
	{ "5 levels over L1's 4, shadow paging", 0, NPT, l1_of_5_levels },
	{ "a nested MMU's root role", 0, ALL, nested_passthrough },
	{ "passthrough or not, roles not known", 0, ALL, roles_not_known },

	{ "no rights for L2, no exec-only hardware", ROW(9), EPT, no_rights_always_reads },
	{ "no rights in a split huge page", ROW(9), EPT, no_rights_direct },
	{ "R or U without it being stored", ROW(25), ALL, read_not_stored },
	{ "W over a table, not MMU-writable", ROW(2) | ROW(31), ALL, w_not_mw_over_table },
	{ "two pages of a table, one in sync", ROW(31), ALL, one_in_sync },
	{ "two pages of a table, none in sync", 0, ALL, none_in_sync },
	{ "L2's leaf with A/D off, with PML", 0, EPT, ad_disabled_for_l2 },
	{ "R withheld, no exec-only hardware", 0, EPT, read_not_granted },

	{ "an empty table of space 1", ROW(35), ALL, empty_in_space_1 },
	{ "an obsolete page's table is empty", ROW(39), ALL, empty_and_obsolete },
	{ "clean, its table in a memslot", ROW(36), ALL, clean_in_slot },
	{ "a huge leaf of another frame", ROW(35), ALL, other_huge_frame },
	{ "clean, its table in one of space 1", ROW(36), ALL, clean_in_slot_of_space_1 },
	{ "another frame, entries of 4 bytes", ROW(35), NPT, other_frame_of_4_bytes },
	{ "a table of space 1 elsewhere in the host", ROW(24), ALL, elsewhere_in_space_1 },
	{ "the frame of a 4-byte entry", 0, NPT, frame_of_4_bytes },
	{ "clean, its table in one of space 0 only", 0, ALL, clean_in_no_slot_of_space_1 },
	{ "clean, its table in no memslot", 0, ALL, clean_in_no_slot },
	{ "a huge leaf stored by a frame in it", 0, ALL, frame_inside_huge },
	{ "a leaf whose frame is not stored", 0, ALL, frame_not_stored },
	{ "a large page of 4-byte entries", 0, NPT, large_of_4_bytes },

	{ "a reverse map of a zapped page's leaf", ROW(19) | ROW(40), ALL, list_of_zapped },
	{ "a reverse map of another level's leaf", ROW(19), ALL, list_of_other_level },
	{ "a reverse map of another space's leaf", ROW(19), ALL, list_of_other_space },
	{ "a descriptor of 15", ROW(20), ALL, desc_of_15 },
	{ "a head without descriptors", ROW(20), ALL, no_descs },
	{ "a parent that maps the page", ROW(22), ALL, parent_is_leaf_of_it },
	{ "a parent that is MMIO of its frame", ROW(22), ALL, parent_is_mmio_of_it },
	{ "a leaf not listed, of space 1's memslot", ROW(18), ALL, not_listed_in_space_1 },
	{ "the same frame in space 0", 0, ALL, not_listed_in_space_0 },
	{ "a leaf not listed, its page obsolete", ROW(39), ALL, obsolete_not_listed },
	{ "a leaf not listed, memslots changing", 0, ALL, not_listed_in_update },
	{ "a leaf not listed, of no memslot", 0, ALL, not_listed_without_slot },

	{ "a count without a table, simulated", ROW(32), ALL, count_without_table },
	{ "the same, torn", 0, ALL, torn_count_without_table },
	{ "a count without a table, not simulated", 0, ALL, count_without_table_not_sim },
	{ "counted once too often, not simulated", 0, ALL, too_often_not_sim },
	{ "the same, simulated, pages torn", 0, ALL, too_often_not_confirmed },
	{ "a table not tracked, in no memslot", 0, ALL, not_tracked_without_slot },
	{ 0 },
};
