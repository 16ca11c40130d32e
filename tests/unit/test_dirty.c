/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/query/dirty*.c fed with made-up events: each way is told from each other, batches are put together, times
 * and frames fall where they belong, and what does not fit is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "query/dirty.h"
#include "small.h"

#define GFN 0x1234ull
#define W 2ull /* of a PFERR */

#define EV(name, ...)                                                                       \
	{                                                                                   \
		.id = MS_EV_##name, .vcpu = 1, .guest = MS_EV_L1, .u.name = { __VA_ARGS__ } \
	}
#define EVC(name, why, ...)                                                                            \
	{                                                                                              \
		.id = MS_EV_##name, .vcpu = 1, .guest = MS_EV_L1, .cause = MS_CAUSE_##why, .u.name = { \
			__VA_ARGS__                                                                    \
		}                                                                                      \
	}
#define DIRTY(why, frame) EVC(dirty, why, .gfn = (frame), .slot = 3)

static struct ms_dirty *make(void)
{
	struct ms_dirty *d = NULL;

	assert_null(ms_dirty_create(spte_profile_by_name("ept-6.12"), &d));
	return d;
}

static void feed(struct ms_dirty *d, const struct ms_event *events, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		ms_dirty_event(d, &events[i]);
}

#define FEED(d, ...)                                              \
	do {                                                      \
		const struct ms_event list_[] = { __VA_ARGS__ };  \
		feed(d, list_, sizeof(list_) / sizeof(list_[0])); \
	} while (0)

/* --- ways --- */

#define LEAF 0x8000000000000b77ull

static void way_is(const struct ms_dirty *d, const char *what, enum ms_dirty_way way)
{
	u32 i;

	for (i = 0; i < MS_DIRTY_WAYS; i++)
		if (d->ways[i] != (i == way))
			fail_msg("%s: %llu of way %s", what, (unsigned long long)d->ways[i],
				 ms_dirty_way_name(i));
}

struct way_case {
	const char *what;
	enum ms_dirty_way way;
	struct ms_event events[5];
};

static const struct way_case way_cases[] = {
	{ "cause pml", MS_DIRTY_PML, { DIRTY(PML, GFN) } },
	{ "an entry of a batch, no cause",
	  MS_DIRTY_PML,
	  { EV(pml_drain, .entries = 1), EV(pml, .gfn = GFN), DIRTY(NONE, GFN) } },
	{ "an entry of a batch, another frame marked",
	  MS_DIRTY_UNKNOWN,
	  { EV(pml_drain, .entries = 1), EV(pml, .gfn = GFN + 1), DIRTY(NONE, GFN) } },
	{ "a batch is over when a fault begins",
	  MS_DIRTY_FAULT,
	  { EV(pml_drain, .entries = 1), EV(pml, .gfn = GFN), EV(fault, .addr = GFN << 12, .error = W),
	    DIRTY(NONE, GFN) } },
	{ "cause fault, of a write",
	  MS_DIRTY_FAULT,
	  { EV(fault, .addr = GFN << 12, .error = W), DIRTY(FAULT, GFN), EV(fault_done, .gfn = GFN) } },
	{ "cause fault, no fault seen", MS_DIRTY_FAULT, { DIRTY(FAULT, GFN) } },
	{ "cause fault, of a read",
	  MS_DIRTY_READ,
	  { EV(fault, .addr = GFN << 12, .error = 4), DIRTY(FAULT, GFN) } },
	{ "no cause, a read's fault",
	  MS_DIRTY_READ,
	  { EV(fault, .addr = GFN << 12, .error = 4), DIRTY(NONE, GFN) } },
	{ "cause relink, of a write", MS_DIRTY_FAULT, { EV(fault, .error = W), DIRTY(RELINK, GFN) } },
	{ "cause link, of a write", MS_DIRTY_FAULT, { EV(fault, .error = W), DIRTY(LINK, GFN) } },
	{ "cause link, of a read", MS_DIRTY_READ, { EV(fault, .error = 4), DIRTY(LINK, GFN) } },
	{ "cause unprotect, of a write", MS_DIRTY_FAULT, { EV(fault, .error = W), DIRTY(UNPROTECT, GFN) } },
	{ "no cause, the fault is done",
	  MS_DIRTY_UNKNOWN,
	  { EV(fault, .error = W), EV(fault_done, .gfn = GFN), DIRTY(NONE, GFN) } },
	{ "cause fast fault", MS_DIRTY_FAST, { DIRTY(FAST_FAULT, GFN) } },
	{ "cause fault, then the lock-free path says it gave W",
	  MS_DIRTY_FAST,
	  { EV(fault, .addr = GFN << 12, .error = W), DIRTY(FAULT, GFN),
	    EV(fast_fault, .addr = GFN << 12, .old_spte = LEAF & ~2ull, .new_spte = LEAF) } },
	{ "the lock-free path gave W to another frame",
	  MS_DIRTY_FAULT,
	  { EV(fault, .addr = GFN << 12, .error = W), DIRTY(FAULT, GFN),
	    EV(fast_fault, .addr = (GFN + 1) << 12, .old_spte = LEAF & ~2ull, .new_spte = LEAF) } },
	{ "the lock-free path found W",
	  MS_DIRTY_FAULT,
	  { EV(fault, .addr = GFN << 12, .error = W), DIRTY(FAULT, GFN),
	    EV(fast_fault, .addr = GFN << 12, .old_spte = LEAF, .new_spte = LEAF) } },
	{ "the lock-free path after a mark that was logged",
	  MS_DIRTY_PML,
	  { DIRTY(PML, GFN),
	    EV(fast_fault, .addr = GFN << 12, .old_spte = LEAF & ~2ull, .new_spte = LEAF) } },
	{ "the lock-free path, after something else",
	  MS_DIRTY_FAULT,
	  { DIRTY(FAULT, GFN), EV(fault_done, .gfn = GFN),
	    EV(fast_fault, .addr = GFN << 12, .old_spte = LEAF & ~2ull, .new_spte = LEAF) } },
	{ "D set and cleared by a log",
	  MS_DIRTY_D_BIT,
	  { EV(slot, .slot = 3, .gfn = 0, .pages = 0x10000),
	    EVC(spte_set, LOG_CLEAR, .gfn = GFN, .level = 1, .old_spte = 0x8600000000000b77ull | 1ull << 9,
		.new_spte = (0x8600000000000b77ull | 1ull << 9) & ~(1ull << 9)) } },
	{ "cause emulation", MS_DIRTY_EMULATE, { DIRTY(EMULATE, GFN) } },
	{ "cause pt write", MS_DIRTY_EMULATE, { DIRTY(PT_WRITE, GFN) } },
	{ "no cause, within an emulation",
	  MS_DIRTY_EMULATE,
	  { EV(fault, .error = W), EV(emulate, .rip = 1), DIRTY(NONE, GFN) } },
	{ "no cause, an emulation that failed",
	  MS_DIRTY_UNKNOWN,
	  { EV(emulate, .rip = 1, .failed = 1), DIRTY(NONE, GFN) } },
	{ "no cause, SPTEs are set on behalf of an emulation",
	  MS_DIRTY_EMULATE,
	  { EV(emulate, .rip = 1), EV(spte_set, .gfn = GFN + 9, .level = 1), DIRTY(NONE, GFN) } },
	{ "no cause, an emulation is over when something else follows",
	  MS_DIRTY_UNKNOWN,
	  { EV(emulate, .rip = 1), EV(fault_done, .gfn = GFN + 9), DIRTY(NONE, GFN) } },
	{ "cause nested switch", MS_DIRTY_NESTED, { DIRTY(NESTED, GFN) } },
	{ "cause host write", MS_DIRTY_HOST, { DIRTY(HOST_WRITE, GFN) } },
	{ "cause sync, within a fault", MS_DIRTY_SYNC, { EV(fault, .error = W), DIRTY(SYNC, GFN) } },
	{ "cause prefetch", MS_DIRTY_PREFETCH, { EV(fault, .error = W), DIRTY(PREFETCH, GFN) } },
	{ "a cause that is no way", MS_DIRTY_OTHER, { DIRTY(NX, GFN) } },
	{ "nothing says", MS_DIRTY_UNKNOWN, { DIRTY(NONE, GFN) } },
};

static void test_ways(void **state)
{
	struct ms_dirty *d;
	size_t i, nr;
	u32 seen = 0;

	(void)state;
	for (i = 0; i < sizeof(way_cases) / sizeof(way_cases[0]); i++) {
		for (nr = 0; nr < 5 && way_cases[i].events[nr].id; nr++)
			;
		d = make();
		feed(d, way_cases[i].events, nr);
		way_is(d, way_cases[i].what, way_cases[i].way);
		assert_int_equal(d->nr, way_cases[i].way != MS_DIRTY_D_BIT);
		assert_int_equal(d->slots[0].ways[way_cases[i].way], 1);
		assert_int_equal(d->nr_gfns, 1);
		assert_int_equal(d->gfns[0].ways[way_cases[i].way], 1);
		seen |= 1u << way_cases[i].way;
		ms_dirty_destroy(d);
	}
	assert_int_equal(seen, (1u << MS_DIRTY_WAYS) - 1);
}

/* What is no witness of a write: D that stays, that goes for another reason, of an SPTE that does not use it. */
static void test_no_d_bit(void **state)
{
	const u64 leaf = 0x8600000000000b77ull | 1ull << 9, d_bit = 1ull << 9;
	const u64 disabled = leaf | 1ull << 52, wrprot = leaf | 2ull << 52;
	struct ms_dirty *d = make();

	(void)state;
	FEED(d, EV(slot, .slot = 3, .gfn = 0, .pages = 0x10000),
	     EVC(spte_set, LOG_CLEAR, .gfn = GFN, .level = 1, .old_spte = leaf, .new_spte = leaf & ~2ull),
	     EVC(spte_set, SYNC, .gfn = GFN, .level = 1, .old_spte = leaf, .new_spte = leaf & ~d_bit),
	     EVC(spte_set, LOG_CLEAR, .gfn = GFN, .level = 1, .old_spte = leaf, .new_spte = 0),
	     EVC(spte_set, LOG_CLEAR, .gfn = GFN, .level = 1, .old_spte = disabled,
		 .new_spte = disabled & ~d_bit),
	     EVC(spte_set, LOG_CLEAR, .gfn = GFN, .level = 1, .old_spte = wrprot,
		 .new_spte = wrprot & ~d_bit),
	     EVC(spte_set, LOG_CLEAR, .gfn = ~0ull, .level = 1, .old_spte = leaf, .new_spte = leaf & ~d_bit),
	     EVC(spte_set, LOG_CLEAR, .gfn = 0x20000, .level = 1, .old_spte = leaf,
		 .new_spte = leaf & ~d_bit));
	assert_int_equal(d->ways[MS_DIRTY_D_BIT], 0);
	FEED(d, EVC(spte_set, LOG_READ, .gfn = GFN, .level = 1, .old_spte = leaf, .new_spte = leaf & ~d_bit));
	assert_int_equal(d->ways[MS_DIRTY_D_BIT], 1);
	/* Whatever is done to the log: what was written before is found by its D bit. */
	FEED(d,
	     EVC(spte_set, LOG_ENABLE, .gfn = GFN, .level = 1, .old_spte = leaf, .new_spte = leaf & ~d_bit));
	assert_int_equal(d->ways[MS_DIRTY_D_BIT], 2);
	FEED(d,
	     EVC(spte_set, LOG_CLEAR, .gfn = GFN, .level = 1, .old_spte = leaf, .new_spte = leaf & ~d_bit));
	assert_int_equal(d->ways[MS_DIRTY_D_BIT], 3);
	assert_int_equal(d->nr, 0);
	ms_dirty_destroy(d);
}

/* The same frame by an entry of a buffer and by a fault: with causes, and without any. */
static void test_pml_and_fault_on_one_frame(void **state)
{
	const struct ms_event two[] = {
		EV(pml_drain, .entries = 2),
		EV(pml, .gfn = GFN, .nth = 0),
		DIRTY(PML, GFN),
		EV(pml, .gfn = GFN + 1, .nth = 1),
		DIRTY(PML, GFN + 1),
		EV(fault, .addr = GFN << 12, .error = W),
		DIRTY(FAULT, GFN),
		EV(fault_done, .gfn = GFN),
	};
	struct ms_event event;
	struct ms_dirty *d;
	size_t i, round;

	(void)state;
	for (round = 0; round < 2; round++) {
		d = make();
		for (i = 0; i < sizeof(two) / sizeof(two[0]); i++) {
			event = two[i];
			if (round)
				event.cause = MS_CAUSE_NONE;
			ms_dirty_event(d, &event);
		}
		assert_int_equal(d->nr, 3);
		assert_int_equal(d->ways[MS_DIRTY_PML], 2);
		assert_int_equal(d->ways[MS_DIRTY_FAULT], 1);
		assert_int_equal(d->gfns[0].gfn, GFN);
		assert_int_equal(d->gfns[0].ways[MS_DIRTY_PML], 1);
		assert_int_equal(d->gfns[0].ways[MS_DIRTY_FAULT], 1);
		assert_int_equal(d->gfns[0].way, MS_DIRTY_FAULT);
		assert_int_equal(ms_dirty_batch(d, 0)->marked, 2);
		ms_dirty_destroy(d);
	}
}

/* What one vCPU does says nothing about another's marks. */
static void test_vcpus_apart(void **state)
{
	struct ms_event other = DIRTY(NONE, GFN), none = DIRTY(NONE, GFN);
	struct ms_dirty *d = make();

	(void)state;
	other.vcpu = 2;
	none.vcpu = MS_EV_NO_VCPU;
	FEED(d, EV(pml_drain, .entries = 1), EV(pml, .gfn = GFN), other, none);
	assert_int_equal(d->ways[MS_DIRTY_UNKNOWN], 2);
	FEED(d, DIRTY(NONE, GFN));
	assert_int_equal(d->ways[MS_DIRTY_PML], 1);
	/* Each entry marks once. */
	FEED(d, DIRTY(NONE, GFN));
	assert_int_equal(d->ways[MS_DIRTY_PML], 1);
	other.vcpu = MS_DIRTY_VCPUS + 1;
	FEED(d, other);
	assert_int_equal(d->dropped_vcpus, 1);
	ms_dirty_destroy(d);
}

/* --- batches --- */

static void test_batches(void **state)
{
	const struct ms_dirty_batch *b;
	struct ms_dirty *d = make();

	(void)state;
	/* Told one by one, first the whole; oldest first, as later kernels do. */
	FEED(d, EV(pml_drain, .entries = 3, .full = 0), EV(pml, .gfn = 7, .nth = 2),
	     EV(pml, .gfn = 8, .nth = 1), EV(pml, .gfn = 9, .nth = 0));
	b = ms_dirty_batch(d, 0);
	assert_int_equal(b->nr, 3);
	assert_int_equal(b->gfns[0], 9);
	assert_int_equal(b->gfns[2], 7);
	assert_int_equal(b->vcpu, 1);
	assert_false(b->full);
	/* The next, full, of which an entry was lost. */
	FEED(d, EV(pml_drain, .entries = 512, .full = 1), EV(pml, .gfn = 5, .nth = 0),
	     EV(pml, .gfn = 4, .nth = 2));
	b = ms_dirty_batch(d, 1);
	assert_true(b->full);
	assert_int_equal(b->entries, 512);
	assert_int_equal(b->seen, 2);
	assert_int_equal(b->gfns[1], ~0ull);
	/* Entries first, the whole after them: one batch. */
	FEED(d, EV(fault, .error = W), EV(pml, .gfn = 1, .nth = 0), EV(pml, .gfn = 2, .nth = 1),
	     EV(pml_drain, .entries = 2));
	assert_int_equal(d->nr_batches, 3);
	b = ms_dirty_batch(d, 2);
	assert_true(b->announced);
	assert_int_equal(b->seen, 2);
	/* And what the exit was for between them: its marks are no entries'. */
	FEED(d, EV(pml, .gfn = 1, .nth = 0), DIRTY(PML, 1), EV(fault, .error = W), DIRTY(FAULT, 1),
	     EV(fault_done), EV(emulate), EV(pml_drain, .entries = 1), DIRTY(NONE, 1));
	assert_int_equal(d->nr_batches, 4);
	b = ms_dirty_batch(d, 3);
	assert_true(b->announced);
	assert_int_equal(b->entries, 1);
	assert_int_equal(b->marked, 1);
	/* No drain was seen at all, twice: nth begins again. */
	FEED(d, EV(fault, .error = W), EV(pml, .gfn = 1, .nth = 0), EV(pml, .gfn = 2, .nth = 1),
	     EV(pml, .gfn = 3, .nth = 0));
	assert_int_equal(d->nr_batches, 6);
	assert_false(ms_dirty_batch(d, 4)->announced);
	assert_int_equal(ms_dirty_batch(d, 5)->gfns[0], 3);
	/* Beyond the buffer's end there is none. */
	FEED(d, EV(pml, .gfn = 1, .nth = 512));
	assert_int_equal(d->nr_batches, 6);
	assert_int_equal(d->nr_full, 1);
	assert_int_equal(d->nr_entries, 3 + 512 + 2 + 1);
	ms_dirty_destroy(d);
}

/* What is of two batches stays two, whatever of them was lost. */
static void test_batches_apart(void **state)
{
	struct ms_dirty *d = make();

	(void)state;
	/* Two of one size, of the second no entry was seen. */
	FEED(d, EV(pml_drain, .entries = 1), EV(pml, .gfn = 1, .nth = 0), EV(pml_drain, .entries = 1));
	assert_int_equal(d->nr_batches, 2);
	assert_int_equal(ms_dirty_batch(d, 0)->seen, 1);
	assert_int_equal(ms_dirty_batch(d, 1)->seen, 0);
	/* Entries of one whose pml_drain was lost, then a larger one. */
	FEED(d, EV(fault, .error = W), EV(pml, .gfn = 1, .nth = 0), EV(pml, .gfn = 2, .nth = 1),
	     EV(pml_drain, .entries = 5));
	assert_int_equal(d->nr_batches, 4);
	assert_false(ms_dirty_batch(d, 2)->announced);
	assert_int_equal(ms_dirty_batch(d, 3)->entries, 5);
	/* An entry that cannot be of the one announced, of which some were lost. */
	FEED(d, EV(fault, .error = W), EV(pml_drain, .entries = 2), EV(pml, .gfn = 1, .nth = 0),
	     EV(pml, .gfn = 2, .nth = 7));
	assert_int_equal(d->nr_batches, 6);
	assert_int_equal(ms_dirty_batch(d, 4)->seen, 1);
	assert_int_equal(ms_dirty_batch(d, 5)->gfns[7], 2);
	ms_dirty_destroy(d);
}

/* An entry marks once; an entry of the next batch marks anew. */
static void test_entry_marks_once(void **state)
{
	struct ms_dirty *d = make();

	(void)state;
	FEED(d, EV(pml_drain, .entries = 1), EV(pml, .gfn = GFN), DIRTY(NONE, GFN), DIRTY(NONE, GFN));
	assert_int_equal(d->ways[MS_DIRTY_PML], 1);
	assert_int_equal(d->ways[MS_DIRTY_UNKNOWN], 1);
	assert_int_equal(ms_dirty_batch(d, 0)->marked, 1);
	FEED(d, EV(pml_drain, .entries = 1), EV(pml, .gfn = GFN), DIRTY(NONE, GFN));
	assert_int_equal(d->ways[MS_DIRTY_PML], 2);
	assert_int_equal(ms_dirty_batch(d, 1)->marked, 1);
	ms_dirty_destroy(d);
}

static void test_batches_kept(void **state)
{
	struct ms_dirty *d = make();
	u32 i;

	(void)state;
	for (i = 0; i < MS_DIRTY_BATCHES + 3; i++)
		FEED(d, EV(pml_drain, .entries = 1), EV(pml, .gfn = i));
	assert_null(ms_dirty_batch(d, 2));
	assert_int_equal(ms_dirty_batch(d, 3)->gfns[0], 3);
	assert_null(ms_dirty_batch(d, MS_DIRTY_BATCHES + 3));
	/* What L1 reads is another thing. */
	FEED(d, EV(pml12, .addr = 0x5000, .index = 511));
	assert_int_equal(d->nr_batches, MS_DIRTY_BATCHES + 3);
	assert_int_equal(d->nr_pml12, 1);
	assert_int_equal(d->pml12[0].addr, 0x5000);
	ms_dirty_destroy(d);
}

/* --- slots, frames, time --- */

static struct ms_event mark_at(u64 time_ns, u64 gfn)
{
	struct ms_event event = DIRTY(PML, gfn);

	event.time_ns = time_ns;
	return event;
}

static void test_map(void **state)
{
	struct ms_event slot = EV(slot, .slot = 3, .gfn = 0x1000, .pages = 160, .flags = MS_SLOT_LOG_DIRTY);
	struct ms_dirty *d = make();
	struct ms_dirty_slot *s;
	u64 start, end, i;

	(void)state;
	slot.time_ns = 1000;
	FEED(d, slot);
	s = &d->slots[0];
	assert_true(s->logging);
	ms_dirty_row(s, 0, &start, &end);
	assert_int_equal(start, 0x1000);
	assert_int_equal(end, 0x100a);
	ms_dirty_row(s, MS_DIRTY_ROWS - 1, &start, &end);
	assert_int_equal(end, 0x1000 + 160);
	/* One a nanosecond, first in row 0, then in row 15; then one much later, for which bins grow. */
	for (i = 0; i < 32; i++)
		FEED(d, mark_at(1000 + i, 0x1000));
	for (i = 32; i < 64; i++)
		FEED(d, mark_at(1000 + i, 0x109f));
	s = &d->slots[0];
	assert_int_equal(d->bin_ns, 1);
	assert_int_equal(s->map[0][31], 1);
	assert_int_equal(s->map[0][32], 0);
	assert_int_equal(s->map[15][32], 1);
	FEED(d, mark_at(1000 + 255, 0x1005));
	s = &d->slots[0];
	assert_int_equal(d->bin_ns, 4);
	assert_int_equal(ms_dirty_nr_bins(d), 64);
	assert_int_equal(s->map[0][0], 4);
	assert_int_equal(s->map[0][7], 4);
	assert_int_equal(s->map[0][8], 0);
	assert_int_equal(s->map[15][8], 4);
	assert_int_equal(s->map[0][63], 1);
	assert_int_equal(s->bins[0] + s->bins[63], 5);
	assert_int_equal(ms_dirty_span_ns(d), 255);
	/* Of an earlier time than the first. */
	FEED(d, mark_at(5, 0x1005), mark_at(1000, 0x2000));
	s = &d->slots[0];
	assert_int_equal(s->map[0][0], 5);
	assert_int_equal(s->outside, 1);
	assert_int_equal(s->nr, 67);
	/* The slot goes elsewhere: its rows begin anew. */
	slot.u.slot.gfn = 0x8000;
	FEED(d, slot);
	assert_int_equal(d->slots[0].map[0][0], 0);
	/* Small ones have fewer rows. */
	slot.u.slot.pages = 3;
	FEED(d, slot);
	ms_dirty_row(&d->slots[0], 2, &start, &end);
	assert_int_equal(end - start, 1);
	ms_dirty_row(&d->slots[0], 3, &start, &end);
	assert_int_equal(end, 0);
	ms_dirty_time(d, ~0ull);
	assert_int_equal(ms_dirty_nr_bins(d) <= MS_DIRTY_BINS, 1);
	ms_dirty_destroy(d);
}

/* What a source says of a slot is not trusted. */
static void test_slot_without_end(void **state)
{
	struct ms_dirty *d = make();

	(void)state;
	FEED(d, EV(slot, .slot = 3, .gfn = 0x1000, .pages = ~0ull), DIRTY(PML, GFN), DIRTY(PML, ~0ull - 1),
	     DIRTY(PML, 1));
	assert_int_equal(d->nr, 3);
	assert_int_equal(d->slots[0].nr, 3);
	ms_dirty_destroy(d);
}

/* Two slots of one number, in two address spaces: the frame tells. */
static void test_slots_of_one_number(void **state)
{
	struct ms_dirty *d = make();

	(void)state;
	FEED(d, EV(slot, .slot = 3, .as_id = 0, .gfn = 0, .pages = 16),
	     EV(slot, .slot = 3, .as_id = 1, .gfn = 0x100, .pages = 16), DIRTY(PML, 0x101), DIRTY(PML, 1));
	assert_int_equal(d->nr_slots, 2);
	assert_int_equal(d->slots[0].nr, 1);
	assert_int_equal(d->slots[1].nr, 1);
	ms_dirty_destroy(d);
}

/* A frame number of two address spaces is two frames; a D bit is of address space 0. */
static void test_address_spaces(void **state)
{
	const u64 leaf = 0x8600000000000b77ull | 1ull << 9;
	const struct ms_event cleared = EVC(spte_set, LOG_CLEAR, .gfn = 1, .level = 1, .old_spte = leaf,
					    .new_spte = leaf & ~(1ull << 9));
	struct ms_dirty *d = make();

	(void)state;
	FEED(d, EV(slot, .slot = 4, .as_id = 1, .gfn = 0, .pages = 16), cleared);
	assert_int_equal(d->ways[MS_DIRTY_D_BIT], 0);
	FEED(d, EV(slot, .slot = 3, .as_id = 0, .gfn = 0, .pages = 16), cleared,
	     EVC(dirty, PML, .gfn = 1, .slot = 3), EVC(dirty, PML, .gfn = 1, .slot = 4));
	assert_int_equal(d->ways[MS_DIRTY_D_BIT], 1);
	assert_int_equal(d->slots[1].ways[MS_DIRTY_D_BIT], 1);
	assert_int_equal(d->nr_gfns, 2);
	assert_int_equal(d->gfns[0].nr, 1);
	assert_int_equal(d->gfns[1].nr, 1);
	ms_dirty_destroy(d);
}

/* Others' marks are passed over, and tell all the same what is whose. */
static void test_filters(void **state)
{
	struct ms_dirty *d = make();

	(void)state;
	d->only_gfns = true;
	d->gfn_start = 0x10;
	d->gfn_end = 0x12;
	FEED(d, EV(pml_drain, .entries = 4), EV(pml, .gfn = 0x12, .nth = 0), EV(pml, .gfn = 0x11, .nth = 1),
	     EV(pml, .gfn = 0x10, .nth = 2), EV(pml, .gfn = 0xf, .nth = 3), DIRTY(NONE, 0x12),
	     DIRTY(NONE, 0x11), DIRTY(NONE, 0x10), DIRTY(NONE, 0xf));
	assert_int_equal(d->nr, 2);
	assert_int_equal(d->ways[MS_DIRTY_PML], 2);
	assert_int_equal(d->nr_gfns, 2);
	assert_int_equal(ms_dirty_batch(d, 0)->marked, 4);
	d->only_gfns = false;
	d->only_slot = true;
	d->slot_id = 4;
	FEED(d, DIRTY(PML, 0x10));
	assert_int_equal(d->nr, 2);
	d->slot_id = 3;
	FEED(d, DIRTY(PML, 0x10));
	assert_int_equal(d->nr, 3);
	ms_dirty_destroy(d);
}

static void test_top(void **state)
{
	struct ms_dirty *d = make();
	size_t order[5], all[64], nr;
	u64 gfn, i;

	(void)state;
	/* Frame n is marked n % 7 times; those with 6: 6, 13, 20 ... */
	for (gfn = 1; gfn < 50; gfn++)
		for (i = 0; i < gfn % 7; i++)
			FEED(d, mark_at(gfn, gfn));
	nr = ms_dirty_top(d, order, 5);
	assert_int_equal(nr, 5);
	for (i = 0; i < 5; i++)
		assert_int_equal(d->gfns[order[i]].gfn, 48 - 7 * i);
	nr = ms_dirty_top(d, all, 64);
	assert_int_equal(nr, 42);
	for (i = 1; i < nr; i++)
		assert_true(d->gfns[all[i - 1]].nr >= d->gfns[all[i]].nr);
	assert_int_equal(ms_dirty_top(d, order, 0), 0);
	ms_dirty_destroy(d);
}

static void test_bounds(void **state)
{
	struct ms_event event = DIRTY(PML, 0);
	struct ms_dirty *d = make();
	u64 i;

	(void)state;
	for (i = 0; i < MS_DIRTY_GFNS + 10; i++) {
		event.u.dirty.gfn = i;
		ms_dirty_event(d, &event);
	}
	event.u.dirty.gfn = 1ull << 60;
	ms_dirty_event(d, &event);
	assert_int_equal(d->nr_gfns, MS_DIRTY_GFNS);
	assert_int_equal(d->dropped_gfns, 11);
	assert_int_equal(d->nr, MS_DIRTY_GFNS + 11);
	for (i = 0; i < MS_DIRTY_SLOTS + 5; i++) {
		event.u.dirty.slot = (u16)i;
		ms_dirty_event(d, &event);
	}
	assert_int_equal(d->nr_slots, MS_DIRTY_SLOTS);
	assert_int_equal(d->dropped_slots, 5);
	event.vcpu = MS_DIRTY_VCPUS - 1;
	ms_dirty_event(d, &event);
	assert_int_equal(d->dropped_vcpus, 0);
	event.vcpu = MS_DIRTY_VCPUS;
	ms_dirty_event(d, &event);
	assert_int_equal(d->dropped_vcpus, 1);
	ms_dirty_destroy(d);
}

/* --- the log --- */

static void test_marks(void **state)
{
	struct ms_dirty *d = make();

	(void)state;
	/* A memslot that goes has no log, whatever its flags were. */
	FEED(d, EV(slot, .slot = 3, .pages = 9, .flags = MS_SLOT_LOG_DIRTY));
	assert_true(d->slots[0].logging);
	FEED(d, EV(slot, .slot = 3, .pages = 0, .flags = MS_SLOT_LOG_DIRTY));
	assert_false(d->slots[0].logging);
	FEED(d, EV(log_enable, .slot = 3), DIRTY(PML, 1), DIRTY(PML, 2), EV(log_read, .slot = 3, .kept = 1),
	     DIRTY(FAULT, 1), EV(log_clear, .slot = 3, .gfn = 64, .pages = 64), EV(log_read, .slot = 3),
	     EV(log_disable, .slot = 3));
	assert_int_equal(d->nr_marks, 5);
	assert_int_equal(d->marks[0].kind, MS_DIRTY_MARK_ENABLE);
	assert_int_equal(d->marks[1].kind, MS_DIRTY_MARK_READ_KEPT);
	assert_int_equal(d->marks[1].marked, 2);
	assert_int_equal(d->marks[2].kind, MS_DIRTY_MARK_CLEAR);
	assert_int_equal(d->marks[2].gfn, 64);
	assert_int_equal(d->marks[2].marked, 1);
	assert_int_equal(d->marks[3].kind, MS_DIRTY_MARK_READ);
	assert_int_equal(d->marks[3].marked, 1);
	assert_int_equal(d->marks[4].kind, MS_DIRTY_MARK_DISABLE);
	assert_int_equal(d->slots[0].reads, 2);
	assert_int_equal(d->slots[0].clears, 1);
	assert_int_equal(d->slots[0].since_read, 0);
	assert_false(d->slots[0].logging);
	ms_dirty_destroy(d);
}

/* --- leaves, by what can see a write to them --- */

static void test_leaves(void **state)
{
	struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_model *model = NULL;
	u64 kinds = 0, writable = 0;
	struct ms_vm *vm = NULL;
	struct ms_dirty *d;
	struct small fake;
	u64 leaves = 0;
	size_t i;
	u32 k;

	(void)state;
	small_machine(&fake);
	assert_null(ms_model_load(&fake.target, &want, &model));
	assert_null(ms_model_find_vm(model, SMALL_NAME, &vm));
	assert_null(ms_dirty_create(&model->profile, &d));
	ms_dirty_slots(d, vm);
	assert_true(d->nr_slots > 0);
	/* Twice: it counts anew. */
	ms_dirty_leaves(d, model, vm);
	ms_dirty_leaves(d, model, vm);
	for (i = 0; i < vm->nr_sps; i++)
		leaves += vm->sps[i].counts.by_class[SPTE_CLASS_LEAF];
	for (i = 0; i < d->nr_slots; i++) {
		for (k = 0; k < 4; k++)
			kinds += d->slots[i].kinds[k];
		writable += d->slots[i].writable;
	}
	assert_true(kinds > 0);
	assert_int_equal(kinds + d->leaves_unknown, leaves);
	assert_true(writable > 0 && writable < kinds);
	for (i = 0, leaves = 0; i < vm->nr_sps; i++)
		if (vm->sps[i].level > 1)
			leaves += vm->sps[i].counts.by_class[SPTE_CLASS_LEAF];
	for (i = 0, kinds = 0; i < d->nr_slots; i++)
		kinds += d->slots[i].huge;
	assert_true(kinds > 0);
	assert_int_equal(kinds, leaves);
	/* What no memslot has, and what is another address space's, is in none. */
	for (i = 0, leaves = 0; i < vm->nr_sps; i++) {
		leaves += vm->sps[i].counts.by_class[SPTE_CLASS_LEAF];
		role_set(&model->roles, &vm->sps[i].rec.role, ROLE_SMM, 1);
	}
	ms_dirty_leaves(d, model, vm);
	ms_dirty_leaves(d, model, vm);
	assert_int_equal(d->leaves_unknown, leaves);
	ms_dirty_destroy(d);
	ms_model_destroy(model);
	small_end(&fake);
}

/* --- texts --- */

static void spark_is(const u32 *counts, u32 nr, u32 cells, u32 max, bool utf8, const char *want)
{
	struct ms_buf buf = { 0 };

	ms_dirty_spark(counts, nr, cells, max, utf8, &buf);
	assert_string_equal(ms_buf_str(&buf), want);
	ms_buf_deinit(&buf);
}

static void test_spark(void **state)
{
	static const u32 steps[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };
	static const u32 two[] = { 8, 8, 0, 0, 1, 0, 8, 0 };
	static const u32 big[] = { UINT32_MAX, UINT32_MAX, 0, 1 };

	(void)state;
	spark_is(steps, 9, 9, 0, false, " .:-=+*#@");
	spark_is(steps, 9, 9, 0, true, " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588");
	spark_is(two, 8, 4, 0, false, "@ .=");
	/* Never more than there is room for. */
	spark_is(two, 8, 3, 0, false, "*.=");
	spark_is(two, 8, 0, 0, false, "");
	spark_is(two, 4, 4, 16, false, "==  ");
	spark_is(two, 4, 4, 4, false, "@@  ");
	spark_is(big, 4, 2, 0, false, "@.");
	spark_is(big + 2, 1, 5, 0, false, " ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_no_d_bit),
		cmocka_unit_test(test_pml_and_fault_on_one_frame),
		cmocka_unit_test(test_vcpus_apart),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_batches_apart),
		cmocka_unit_test(test_entry_marks_once),
		cmocka_unit_test(test_batches_kept),
		cmocka_unit_test(test_address_spaces),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_slot_without_end),
		cmocka_unit_test(test_slots_of_one_number),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_spark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
