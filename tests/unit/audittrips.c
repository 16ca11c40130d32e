/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See audittrips.h. The table is at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audittrips.h"

#define BIT(n) (1ull << (n))
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

const struct fake_opts audit_variants[AUDIT_VARIANTS] = {
	{ .ept = true, .v61 = true },	      { .ept = true },	       { .v61 = true }, { .ept = false },
	{ .v61 = true, .passthrough = true }, { .passthrough = true },
};

/* --- records --- */

static struct ms_err *take(void *ctx, enum ms_rec_type type, const void *rec,
			   const struct ms_sp_tables *tables)
{
	/* The target of small.h ends by itself. */
	if (type != MS_REC_END)
		small_add(ctx, type, rec, tables);
	return NULL;
}

void audit_host_init(struct audit_host *h, const struct fake_opts *opts)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_sink sink = { .put = take, .ctx = &h->records };
	struct ms_target *target = NULL;

	small_init(&h->records);
	h->ept = opts->ept;
	h->v61 = opts->v61;
	h->listed = h->no_events = h->guest = false;
	h->nr_events = 0;
	assert_null(fake_open(opts, &target));
	assert_null(ms_target_read(target, &want, &sink));
	ms_target_close(target);
}

struct ms_rec_host *audit_host(struct audit_host *h)
{
	return small_find(&h->records, MS_REC_HOST, 0)->rec;
}

struct ms_rec_vm *audit_vm(struct audit_host *h)
{
	return small_find(&h->records, MS_REC_VM, 0)->rec;
}

struct ms_rec_slot *audit_slot(struct audit_host *h, size_t i)
{
	struct small_item *item = small_find(&h->records, MS_REC_SLOT, i);

	return item ? item->rec : NULL;
}

static struct small_item *page_item(struct audit_host *h, u32 v, enum fake_page n)
{
	struct small_item *item;
	size_t i;

	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++)
		if (((struct ms_rec_sp *)item->rec)->sp == FAKE_SP(v, (u64)n))
			return item;
	fail_msg("there is no page %u", (unsigned int)n);
	return NULL;
}

struct ms_rec_sp *audit_page_of(struct audit_host *h, enum fake_page n)
{
	return page_item(h, 0, n)->rec;
}

struct ms_sp_tables *audit_tables(struct audit_host *h, enum fake_page n)
{
	return page_item(h, 0, n)->tables;
}

u64 *audit_spte(struct audit_host *h, enum fake_page n, u32 idx)
{
	return &audit_tables(h, n)->sptes[idx];
}

static u64 bit_h(const struct audit_host *h)
{
	return h->ept ? BIT(57) : BIT(9);
}

u64 audit_bit_m(const struct audit_host *h)
{
	return h->ept ? BIT(58) : BIT(10);
}

/* --- what breaks a row --- */

static void mw_not_hw(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 3) &= ~bit_h(h);
}

static void w_not_mw(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L1, 5) &= ~audit_bit_m(h);
}

static void host_writable_in_rom(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1_RO, 2) |= bit_h(h);
}

static void host_writable_in_rom_for_l2(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L1, FAKE_N_RO_IDX) |= bit_h(h);
}

static void kind_3(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 0) |= 3ull << 52;
}

static void kind_outside_ept(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 0) |= BIT(53);
}

static void kind_disabled(struct audit_host *h)
{
	u64 *raw = audit_spte(h, FAKE_TDP_L1, 1);

	*raw = (*raw & ~(BIT(8) | BIT(9))) | BIT(52);
}

static void kind_enabled_for_l2(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L1, 7) &= ~BIT(53);
}

static void kind_enabled_for_l2_split(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_DIRECT, 0) &= ~BIT(53);
}

static void no_rights(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1_LOG, 0) &= ~7ull;
}

static void saved_not_tracked(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 2) |= BIT(54);
}

/* VM 1 as if the CPU had no A/D bits, but for one leaf. */
static void accessed_though_disabled(struct audit_host *h)
{
	static const enum fake_page pages[] = { FAKE_TDP_ROOT, FAKE_TDP_L3, FAKE_TDP_L2, FAKE_TDP_L1 };
	struct small_item *item;
	u32 i, idx;

	for (i = 0; i < LEN(pages); i++) {
		item = page_item(h, 1, pages[i]);
		((struct ms_rec_sp *)item->rec)->role |= BIT(16);
		for (idx = 0; idx < MS_SPTES; idx++)
			if (item->tables->sptes[idx] & BIT(11))
				item->tables->sptes[idx] =
					(item->tables->sptes[idx] & ~(BIT(8) | BIT(9))) | BIT(52);
	}
	page_item(h, 1, FAKE_TDP_L1)->tables->sptes[1] |= BIT(8);
}

static void address_too_wide(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 4) |= BIT(48);
}

static void write_without_read(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 4) &= ~5ull;
}

static void table_too_wide(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L2, 0) |= BIT(47);
}

/* The pattern of MMIO is one that the hardware refuses, so that 11 is broken with it. */
static void present_and_mmio(struct audit_host *h)
{
	u64 *raw = audit_spte(h, FAKE_TDP_L1, 6);

	if (h->ept)
		*raw = (*raw & ~(7ull | BIT(63))) | 6;
	else
		*raw |= BIT(51) | BIT(0);
}

static struct ms_rec_slot *slot_over_mmio(struct audit_host *h)
{
	struct ms_rec_slot *slot;
	size_t i;

	for (i = 0; (slot = audit_slot(h, i)); i++)
		if (slot->flags & MS_SLOT_INVALID) {
			slot->base_gfn = FAKE_APIC_GFN;
			slot->nr_pages = 1;
			slot->flags = 0;
			return slot;
		}
	fail();
	return NULL;
}

static void memory_at_mmio(struct audit_host *h)
{
	slot_over_mmio(h);
}

static void set_generation(struct audit_host *h, u64 generation)
{
	struct ms_rec_slot *slot;
	size_t i;

	for (i = 0; (slot = audit_slot(h, i)); i++)
		slot->generation = generation;
}

static void generation_to_come(struct audit_host *h)
{
	set_generation(h, FAKE_MMIO_GEN - 1);
}

static void neither_form(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 100) = 8;
}

static void neither_form_for_l2(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_UNSYNC, 511) = h->ept ? 4 : 0x10;
}

/* A CPU with L1TF whose MMIO entries lack the guard, five bits below bit 46. */
static void no_guard(struct audit_host *h)
{
	struct ms_rec_host *host = audit_host(h);

	host->masks[MS_SM_nonpresent_or_rsvd] = BIT(46) - BIT(41);
	host->masks[MS_SM_nonpresent_or_rsvd_lower_gfn] = BIT(41) - BIT(12);
}

static void frozen_in_legacy(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L1, 300) = *audit_spte(h, FAKE_TDP_L1, FAKE_FROZEN_IDX);
}

static void child_of_other_role(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_UNSYNC)->role ^= BIT(12);
}

static void child_of_other_level(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L3, 9) = *audit_spte(h, FAKE_N_L2, 0);
}

static void direct_child_of_other_frame(struct audit_host *h)
{
	audit_page_of(h, FAKE_TDP_L1_RO)->gfn += 0x100000;
}

static void child_with_more_access(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_L2)->role &= ~BIT(9);
}

static void shadowing_below_direct(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L2, 9) = *audit_spte(h, FAKE_N_L2, 0);
}

static void direct_not_aligned(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_DIRECT)->gfn += 1;
}

static void more_than_stored(struct audit_host *h)
{
	audit_tables(h, FAKE_N_L1)->translations[4] &= ~2ull;
}

static void exec_not_stored(struct audit_host *h)
{
	u64 *raw = audit_spte(h, FAKE_N_L1, FAKE_N_NOEXEC_IDX);

	*raw = h->ept ? *raw | BIT(2) : *raw & ~BIT(63);
}

static void passthrough_second_entry(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_ROOT5, 1) = *audit_spte(h, FAKE_N_ROOT5, 0);
}

struct ms_rec_mmu *audit_mmu_of(struct audit_host *h, enum ms_mmu_which which)
{
	struct small_item *item;
	size_t i;

	for (i = 0; (item = small_find(&h->records, MS_REC_MMU, i)); i++)
		if (((struct ms_rec_mmu *)item->rec)->mmu == FAKE_MMU(0, 0, (u64)which))
			return item->rec;
	fail();
	return NULL;
}

static void root_not_passthrough(struct audit_host *h)
{
	audit_mmu_of(h, MS_MMU_GUEST)->root_role &= ~BIT(18);
}

static void root_passthrough(struct audit_host *h)
{
	audit_mmu_of(h, MS_MMU_ROOT)->root_role |= BIT(18);
}

static void same_key(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_PREV)->gfn = audit_page_of(h, FAKE_N_ROOT)->gfn;
	audit_page_of(h, FAKE_N_PREV)->role = audit_page_of(h, FAKE_N_ROOT)->role;
}

static void upper_unsync(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_L2)->unsync = 1;
}

static void direct_unsync(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_DIRECT)->unsync = 1;
}

static void unsync_not_counted(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_L2)->unsync_children = 0;
}

static void unsync_not_counted_above(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_ROOT)->unsync_children = 0;
}

static void table_writable_by_l1(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, FAKE_N_L3_GFN) |= audit_bit_m(h);
}

static void table_writable_by_l2(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L1, FAKE_N_WP_IDX) |= audit_bit_m(h) | BIT(1);
}

static void table_no_longer_unsync(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_UNSYNC)->unsync = 0;
}

/* A guest table of L1's at this frame. With a passthrough root that page is none. */
static void table_at(struct audit_host *h, u64 gfn)
{
	audit_page_of(h, FAKE_N_PREV)->gfn = gfn;
	audit_page_of(h, FAKE_N_PREV)->role = audit_page_of(h, FAKE_N_ROOT)->role;
}

static void table_in_huge_page(struct audit_host *h)
{
	table_at(h, 700);
}

static void huge_executable(struct audit_host *h)
{
	audit_host(h)->nx_huge_pages = 1;
}

static void huge_executable_let_off(struct audit_host *h)
{
	audit_host(h)->nx_huge_pages = 1;
	audit_vm(h)->nx_huge_disabled = 1;
}

/* A huge leaf of L2's, as L1's is, with what KVM stores beside it. */
static u64 *huge_for_l2(struct audit_host *h, u32 idx)
{
	u64 *raw = audit_spte(h, FAKE_N_L2, idx);

	*raw = *audit_spte(h, FAKE_TDP_L2, 1) | (h->ept ? BIT(53) : 0);
	audit_tables(h, FAKE_N_L2)->translations[idx] = FAKE_HUGE_GFN << 12 | 7;
	return raw;
}

static struct ms_rec_slot *ram_slot(struct audit_host *h, u32 as_id)
{
	struct ms_rec_slot *slot;
	size_t i;

	for (i = 0; (slot = audit_slot(h, i)); i++)
		if (slot->id == FAKE_SLOT_RAM && slot->as_id == as_id && slot->kvm == FAKE_KVM(0))
			return slot;
	fail();
	return NULL;
}

/* L1's huge leaf, which is writable, in a memslot that is logged. */
static void huge_writable_logged(struct audit_host *h)
{
	ram_slot(h, 0)->flags |= MS_SLOT_LOG_DIRTY;
}

static void huge_writable_logged_manual(struct audit_host *h)
{
	audit_vm(h)->log_mode = MS_LOG_MANUAL;
	huge_writable_logged(h);
}

/* L1's is protected, and L2's forgotten. */
static void huge_writable_logged_for_l2(struct audit_host *h)
{
	huge_for_l2(h, 9);
	*audit_spte(h, FAKE_TDP_L2, 1) &= ~BIT(1);
	huge_writable_logged(h);
}

static void huge_executable_for_l2_old(struct audit_host *h)
{
	huge_for_l2(h, 9);
	audit_page_of(h, FAKE_N_L2)->mmu_valid_gen = 0;
	*audit_spte(h, FAKE_TDP_L2, 1) =
		h->ept ? *audit_spte(h, FAKE_TDP_L2, 1) & ~BIT(2) : *audit_spte(h, FAKE_TDP_L2, 1) | BIT(63);
	huge_executable(h);
}

/* Pages of level 1 may be writable, huge ones that are not are what logging leaves of them. */
static void huge_protected_logged(struct audit_host *h)
{
	*huge_for_l2(h, 9) &= ~BIT(1);
	*audit_spte(h, FAKE_TDP_L2, 1) &= ~BIT(1);
	huge_writable_logged(h);
}

static void logged_in_another_space(struct audit_host *h)
{
	ram_slot(h, 1)->flags |= MS_SLOT_LOG_DIRTY;
}

/* Nothing is protected when such a log begins. */
static void huge_writable_all_set(struct audit_host *h)
{
	audit_vm(h)->log_mode = MS_LOG_MANUAL | MS_LOG_INIT_SET;
	huge_writable_logged(h);
}

static void old_generation(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_PREV)->mmu_valid_gen = 0;
}

/* What an obsolete page shadows may be written. */
static void old_generation_twice(struct audit_host *h)
{
	table_at(h, 3);
	old_generation(h);
	audit_page_of(h, FAKE_N_UNSYNC)->mmu_valid_gen = 0;
	audit_page_of(h, FAKE_N_UNSYNC)->unsync = 0;
}

static void old_key_taken_anew(struct audit_host *h)
{
	same_key(h);
	old_generation(h);
}

static void zapped_and_listed(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_PREV)->role |= BIT(11);
}

static void pml_in_vmcs02(struct audit_host *h)
{
	struct ms_rec_vcpu *vcpu = small_find(&h->records, MS_REC_VCPU, 0)->rec;

	vcpu->have |= MS_VCPU_HAVE_PML02;
	vcpu->pml02 = 1;
}

static void written(struct audit_host *h, u64 gfn, bool logged)
{
	const struct ms_rec_changed rec = { .kvm = FAKE_KVM(0), .gfn = gfn, .slot = 1, .logged = logged };

	((struct ms_rec_vm *)small_find(&h->records, MS_REC_VM, 0)->rec)->have |= MS_VM_HAVE_CHANGED;
	small_add(&h->records, MS_REC_CHANGED, &rec, NULL);
}

static void written_not_logged(struct audit_host *h)
{
	written(h, FAKE_LOG_GFN + 3, false);
	written(h, FAKE_LOG_GFN + 4, true);
}

/* --- what looks like it and is right --- */

static void written_and_logged(struct audit_host *h)
{
	written(h, FAKE_LOG_GFN + 3, true);
}

static void no_pml_in_vmcs02(struct audit_host *h)
{
	pml_in_vmcs02(h);
	((struct ms_rec_vcpu *)small_find(&h->records, MS_REC_VCPU, 0)->rec)->pml02 = 0;
}

static void torn_is_not_judged(struct audit_host *h)
{
	u32 idx;

	for (idx = 0; idx < MS_SPTES; idx++)
		*audit_spte(h, FAKE_N_TORN, idx) = 8;
	*audit_spte(h, FAKE_N_UNLINKED, 0) = 8;
	audit_page_of(h, FAKE_N_TORN)->unsync_children = 9;
}

/* As a page comes that was freed, and used for something else, while it was read. */
static void torn_child(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_UNSYNC)->state = MS_SP_TORN;
	audit_page_of(h, FAKE_N_UNSYNC)->role ^= BIT(12);
	audit_page_of(h, FAKE_TDP_L1_RO)->state = MS_SP_TORN;
	audit_page_of(h, FAKE_TDP_L1_RO)->gfn += 512;
}

/* H3: what hangs below a zapped root of the TDP MMU. Its pages say nothing of it themselves. */
static void zapped_tdp_root(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 0) &= ~audit_bit_m(h);
	*audit_spte(h, FAKE_TDP_L1, FAKE_N_L3_GFN) |= audit_bit_m(h);
	audit_page_of(h, FAKE_TDP_ROOT)->role |= BIT(11);
}

static void zapped_tdp_root5(struct audit_host *h)
{
	*audit_spte(h, FAKE_TDP_L1, 0) &= ~audit_bit_m(h);
	audit_page_of(h, FAKE_TDP_ROOT5)->role |= BIT(11);
}

static void memory_at_stale_mmio(struct audit_host *h)
{
	slot_over_mmio(h);
	set_generation(h, FAKE_MMIO_GEN + 1);
}

static void memslots_being_changed(struct audit_host *h)
{
	slot_over_mmio(h);
	set_generation(h, BIT(63) | FAKE_MMIO_GEN);
}

static void generation_has_wrapped(struct audit_host *h)
{
	set_generation(h, BIT(19) + 2);
}

static void apic_access_page(struct audit_host *h)
{
	slot_over_mmio(h)->id = 0x7fff - 3 + 1;
}

/* H 9: L1 leaves no right where the CPU may execute without reading. */
static void exec_only_without_rights(struct audit_host *h)
{
	*audit_spte(h, FAKE_N_L1, 9) &= ~7ull;
}

static void frame_of_another_space(struct audit_host *h)
{
	table_at(h, 3);
	audit_page_of(h, FAKE_N_PREV)->role |= BIT(24);
}

static void frame_of_this_space(struct audit_host *h)
{
	table_at(h, 3);
}

static void direct_child_with_less(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_DIRECT)->role &= ~BIT(9);
}

static void stale_unsync_children(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_UNSYNC)->unsync = 0;
	*audit_spte(h, FAKE_TDP_L1, FAKE_N_UNSYNC_GFN) &= ~(audit_bit_m(h) | BIT(1));
}

/* A huge page with nothing but host-writable, over a table: a huge page is there, but nobody may write. */
static void table_in_protected_huge_page(struct audit_host *h)
{
	table_in_huge_page(h);
	*audit_spte(h, FAKE_TDP_L2, 1) &= ~(audit_bit_m(h) | BIT(1));
}

const struct audit_trip audit_trips[] = {
	{ "MMU-writable, not host-writable", ROW(1), ALL, mw_not_hw },
	{ "writable, not MMU-writable", ROW(2), ALL, w_not_mw },
	{ "host-writable in a read-only slot, L1's", ROW(3), ALL, host_writable_in_rom },
	{ "host-writable in a read-only slot, L2's", ROW(3), ALL, host_writable_in_rom_for_l2 },
	{ "A/D kind 3", ROW(5), EPT, kind_3 },
	{ "A/D kind in an NPT entry", ROW(5), NPT, kind_outside_ept },
	{ "kind disabled, role not", ROW(6), EPT, kind_disabled },
	{ "kind enabled for L2, with PML", ROW(7), EPT, kind_enabled_for_l2 },
	{ "the same in a split huge page", ROW(7), EPT, kind_enabled_for_l2_split },
	{ "PML on in vmcs02", ROW(8), EPT, pml_in_vmcs02 },
	{ "no rights, not access-tracked", ROW(9), EPT, no_rights },
	{ "saved bits, not access-tracked", ROW(9), EPT, saved_not_tracked },
	{ "accessed, A/D disabled", ROW(10), EPT, accessed_though_disabled },
	{ "a leaf's address beyond the CPU's", ROW(11), ALL, address_too_wide },
	{ "a table's address beyond the CPU's", ROW(11), ALL, table_too_wide },
	{ "EPT W without R", ROW(11), EPT, write_without_read },
	{ "MMU-present and MMIO's pattern", ROW(12) | ROW(11), ALL, present_and_mmio },
	{ "a memslot at a current MMIO entry", ROW(13), ALL, memory_at_mmio },
	{ "an MMIO entry of a later generation", ROW(14), ALL, generation_to_come },
	{ "not present and of no form, TDP MMU", ROW(15), ALL, neither_form },
	{ "not present and of no form, legacy MMU", ROW(15), ALL, neither_form_for_l2 },
	{ "MMIO without the L1TF guard", ROW(16), ALL, no_guard },
	{ "frozen in a legacy page", ROW(17), ALL, frozen_in_legacy },
	{ "a child of another role", ROW(23), ALL, child_of_other_role },
	{ "a child two levels below", ROW(23), ALL, child_of_other_level },
	{ "a direct child of another frame", ROW(23), ALL, direct_child_of_other_frame },
	{ "a child with more access", ROW(23), ALL, child_with_more_access },
	{ "a child of the legacy MMU in the TDP MMU", ROW(23), ALL, shadowing_below_direct },
	{ "a direct page's frame not aligned", ROW(24), ALL, direct_not_aligned },
	{ "W without it being stored", ROW(25), ALL, more_than_stored },
	{ "X without it being stored", ROW(25), ALL, exec_not_stored },
	{ "a second entry in a passthrough page", ROW(26), PT, passthrough_second_entry },
	{ "5 levels over 4, not passthrough", ROW(27), PT, root_not_passthrough },
	{ "L1's own root passthrough", ROW(27), ALL, root_passthrough },
	{ "two pages of one key", ROW(28), ALL, same_key },
	{ "an upper page unsync", ROW(29), ALL, upper_unsync },
	{ "a direct page unsync", ROW(29), ALL, direct_unsync },
	{ "unsync, not counted by its parent", ROW(30), ALL, unsync_not_counted },
	{ "unsync, not counted by the root", ROW(30), ALL, unsync_not_counted_above },
	{ "L1 may write to a table in sync", ROW(31), ALL, table_writable_by_l1 },
	{ "L2 may write to a table in sync", ROW(31), ALL, table_writable_by_l2 },
	{ "a table in sync while it is writable", ROW(31), ALL, table_no_longer_unsync },
	{ "a table at a frame that is writable", ROW(31), ALL, frame_of_this_space },
	{ "a table in a writable huge page", ROW(33), ALL, table_in_huge_page },
	{ "a writable huge page in a logged slot", ROW(34), ALL, huge_writable_logged },
	{ "the same, logs protected by hand", ROW(34), ALL, huge_writable_logged_manual },
	{ "L2's writable huge page in such a slot", ROW(34), ALL, huge_writable_logged_for_l2 },
	{ "a page written, and not in the log", ROW(37), ALL, written_not_logged },
	{ "an executable huge page, nx_huge_pages", ROW(38), ALL, huge_executable },
	{ "the same in an obsolete page", ROW(39), ALL, huge_executable_for_l2_old },
	{ "a page of an old generation", ROW(39), ALL, old_generation },
	{ "the same, their frames writable", ROW(39), ALL, old_generation_twice },
	{ "the same, and another with its key", ROW(39), ALL, old_key_taken_anew },
	{ "a zapped page among the active", ROW(40), ALL, zapped_and_listed },

	{ "a torn and an unlinked page of rubbish", 0, ALL, torn_is_not_judged },
	{ "PML off in vmcs02", 0, EPT, no_pml_in_vmcs02 },
	{ "a page written, and in the log", 0, ALL, written_and_logged },
	{ "children that are torn", 0, ALL, torn_child },
	{ "broken entries below a zapped TDP root", 0, EPT | NPT61 | NPT612, zapped_tdp_root },
	{ "the same with five levels", 0, PT, zapped_tdp_root5 },
	{ "a memslot at a stale MMIO entry", 0, ALL, memory_at_stale_mmio },
	{ "memslots being changed", 0, ALL, memslots_being_changed },
	{ "the generation has wrapped", 0, ALL, generation_has_wrapped },
	{ "KVM's own memslot at an MMIO entry", 0, ALL, apic_access_page },
	{ "no rights for L2, exec-only hardware", 0, EPT, exec_only_without_rights },
	{ "a table at that frame of another space", 0, ALL, frame_of_another_space },
	{ "a direct child with less access", 0, ALL, direct_child_with_less },
	{ "unsync children counted, none there", 0, ALL, stale_unsync_children },
	{ "a table in a protected huge page", 0, ALL, table_in_protected_huge_page },
	{ "huge pages protected in a logged slot", 0, ALL, huge_protected_logged },
	{ "another address space's slot logged", 0, ALL, logged_in_another_space },
	{ "a huge page in a log that began all set", 0, ALL, huge_writable_all_set },
	{ "an executable huge page of a VM let off", 0, ALL, huge_executable_let_off },
	{ 0 },
};

const struct audit_trip *const audit_trip_tables[] = { audit_trips,
						       audit_list_trips,
						       audit_event_trips,
						       audit_guest_trips,
						       audit_pin_trips,
						       audit_more_trips,
						       NULL };
