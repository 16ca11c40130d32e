/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes of the made-up host's records about pinned pages: a pin table, right or wrong. See audittrips.h. */
#include "audittrips.h"

struct pin {
	u64 gfn, pfn;
	u8 level, mapped;
};

static void pins_known(struct audit_host *h)
{
	((struct ms_rec_vm *)small_find(&h->records, MS_REC_VM, 0)->rec)->have |= MS_VM_HAVE_PINS;
}

static void add_pin(struct audit_host *h, struct pin pin)
{
	const struct ms_rec_pin rec = {
		.kvm = FAKE_KVM(0), .gfn = pin.gfn, .pfn = pin.pfn, .level = pin.level, .mapped = pin.mapped
	};

	small_add(&h->records, MS_REC_PIN, &rec, NULL);
}

static u64 frame(u64 gfn)
{
	return FAKE_PFN(0, gfn);
}

/* A pin table as it should be: two of 4K, one that is zapped, one of 2M, one that only L2 maps now. */
static void right_pins(struct audit_host *h)
{
	pins_known(h);
	add_pin(h, (struct pin){ 2, frame(2), 1, 1 });
	add_pin(h, (struct pin){ 3, frame(3), 1, 1 });
	add_pin(h, (struct pin){ FAKE_RAM_LEAVES, frame(FAKE_RAM_LEAVES), 1, 0 });
	add_pin(h, (struct pin){ FAKE_L2_GFN(1), frame(FAKE_L2_GFN(1)), 1, 0 });
	add_pin(h, (struct pin){ FAKE_HUGE_GFN, frame(FAKE_HUGE_GFN), 2, 1 });
}

static void other_frame(struct audit_host *h)
{
	right_pins(h);
	add_pin(h, (struct pin){ 5, frame(5) + 1, 1, 1 });
}

static void other_frame_huge(struct audit_host *h)
{
	pins_known(h);
	add_pin(h, (struct pin){ FAKE_HUGE_GFN, frame(FAKE_HUGE_GFN) + 512, 2, 1 });
}

static void other_frame_for_l2(struct audit_host *h)
{
	right_pins(h);
	add_pin(h, (struct pin){ FAKE_L2_GFN(4), frame(FAKE_L2_GFN(4)) - 1, 1, 0 });
}

static void mapped_though_zapped(struct audit_host *h)
{
	right_pins(h);
	add_pin(h, (struct pin){ 5, frame(5), 1, 0 });
}

static void huge_over_part(struct audit_host *h)
{
	pins_known(h);
	add_pin(h, (struct pin){ FAKE_HUGE_GFN + 5, frame(FAKE_HUGE_GFN + 5), 1, 0 });
}

static void all_confirmed(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_TORN)->state = MS_SP_CONFIRMED;
	audit_page_of(h, FAKE_N_UNLINKED)->state = MS_SP_CONFIRMED;
}

static void no_page_has_it(struct audit_host *h)
{
	right_pins(h);
	all_confirmed(h);
	add_pin(h, (struct pin){ FAKE_RAM_LEAVES + 1, frame(FAKE_RAM_LEAVES + 1), 1, 1 });
}

static void no_page_has_the_huge_one(struct audit_host *h)
{
	pins_known(h);
	all_confirmed(h);
	add_pin(h, (struct pin){ 0x10000, frame(0x10000), 2, 1 });
}

/* A page that could not be read may have it. */
static void maybe_in_torn(struct audit_host *h)
{
	right_pins(h);
	add_pin(h, (struct pin){ FAKE_RAM_LEAVES + 1, frame(FAKE_RAM_LEAVES + 1), 1, 1 });
}

static void right_and_confirmed(struct audit_host *h)
{
	right_pins(h);
	all_confirmed(h);
}

/* Frames of an address space that nobody has pages of. */
static void other_space(struct audit_host *h)
{
	struct ms_rec_pin rec = {
		.kvm = FAKE_KVM(0), .gfn = 5, .pfn = frame(5) + 1, .as_id = 1, .level = 1, .mapped = 0
	};

	right_pins(h);
	small_add(&h->records, MS_REC_PIN, &rec, NULL);
}

const struct audit_trip audit_pin_trips[] = {
	{ "a pinned page's leaf with another frame", ROW(42), ALL, other_frame },
	{ "a pinned huge page's with another", ROW(42), ALL, other_frame_huge },
	{ "L2's leaf of a pinned page with another", ROW(42), ALL, other_frame_for_l2 },
	{ "a leaf of a page that is zapped", ROW(42), ALL, mapped_though_zapped },
	{ "a huge leaf over a pinned part", ROW(42), ALL, huge_over_part },
	{ "a pinned leaf whose page is gone", ROW(43), ALL, no_page_has_it },
	{ "a pinned huge leaf whose page is gone", ROW(43), ALL, no_page_has_the_huge_one },
	{ "pins that are as they should be", 0, ALL, right_pins },
	{ "the same, every page confirmed", 0, ALL, right_and_confirmed },
	{ "a pinned leaf, in a torn page perhaps", 0, ALL, maybe_in_torn },
	{ "a pin of that frame in another space", 0, ALL, other_space },
	{ 0 },
};
