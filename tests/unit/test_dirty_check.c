/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/query/dirty_check.c fed with made-up events and digests: what is written but clean is found, and nothing else,
 * whatever order a correct KVM has things in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "query/dirty_check.h"

#define FIRST 0x100ull
#define NR 8u
#define GFN (FIRST + 3)
#define HVA 0x7f0000000000ull
#define W 2ull

enum { MANUAL = 1, INIT_SET = 2, LIVE = 4, ALIAS = 8 };

struct host {
	struct ms_rec_slot slots[2];
	struct ms_vm vm;
	struct ms_dirty_check *c;
	struct ms_frame frames[NR];
	u64 now;
};

static void begin(struct host *h, u32 how)
{
	const struct ms_dirty_check_opts opts = {
		.gfn = FIRST, .nr = NR, .slack_ns = how & LIVE ? 10 : 0, .readings = how & LIVE ? 2 : 1
	};
	u32 i;

	memset(h, 0, sizeof(*h));
	h->slots[0] = (struct ms_rec_slot){
		.base_gfn = 0x100, .nr_pages = 0x100, .hva = HVA, .flags = MS_SLOT_LOG_DIRTY
	};
	h->slots[1] =
		(struct ms_rec_slot){ .base_gfn = 0x1000, .nr_pages = 1, .hva = HVA + 3 * 4096, .id = 1 };
	h->vm.slots = h->slots;
	h->vm.nr_slots = how & ALIAS ? 2 : 1;
	h->vm.rec.have = MS_VM_HAVE_LOG_MODE;
	h->vm.rec.log_mode = how & INIT_SET ? MS_LOG_INIT_SET | MS_LOG_MANUAL : MS_LOG_MANUAL;
	h->now = 1000;
	assert_null(ms_dirty_check_create(&opts, &h->vm, &h->c));
	for (i = 0; i < NR; i++)
		h->frames[i] = (struct ms_frame){ .gfn = FIRST + i, .digest = 7, .state = MS_GTABLE_READ };
}

static void end(struct host *h)
{
	ms_dirty_check_destroy(h->c);
}

static void event(struct host *h, struct ms_event ev)
{
	ev.time_ns = h->now;
	h->now += 100;
	ms_dirty_check_event(h->c, &ev);
}

#define EV(h, why, name, ...) \
	event(h, (struct ms_event){ .id = MS_EV_##name, .cause = MS_CAUSE_##why, .u.name = { __VA_ARGS__ } })

static void mark(struct host *h)
{
	EV(h, FAULT, dirty, .gfn = GFN);
}

/* Only by the ioctl that does both; or as its end, after clear_spte(). */
static void read_log(struct host *h, bool kept)
{
	EV(h, LOG_READ, log_read, .kept = kept);
}

static void clear_spte(struct host *h)
{
	EV(h, LOG_CLEAR, spte_set, .gfn = GFN, .level = 1, .old_spte = 0x77, .new_spte = 0x77 & ~W);
}

static void clear_log(struct host *h)
{
	EV(h, LOG_CLEAR, log_clear, .gfn = FIRST, .pages = 64);
}

static void digests(struct host *h)
{
	ms_dirty_check_digests(h->c, h->now, h->now + 50, h->frames);
	h->now += 100;
}

/* Digests before and after the content of the frame is another. */
static void change(struct host *h)
{
	digests(h);
	h->frames[3].digest++;
	digests(h);
}

static void is(const struct host *h, u64 found, u64 reported, u64 unknown, u64 dropped, u64 pending)
{
	const struct ms_dirty_check *c = h->c;

	if (c->found != found || c->reported != reported || c->unknown != unknown || c->dropped != dropped ||
	    c->pending != pending)
		fail_msg("found %llu, reported %llu, unknown %llu, dropped %llu, pending %llu",
			 (unsigned long long)c->found, (unsigned long long)c->reported,
			 (unsigned long long)c->unknown, (unsigned long long)c->dropped,
			 (unsigned long long)c->pending);
	assert_int_equal(c->changes, found + reported + unknown + dropped + pending);
	assert_int_equal(c->nr_findings, found);
}

/* A round as QEMU makes it, after which the frame's bit is known to be clear. */
static void round_of_log(struct host *h)
{
	mark(h);
	read_log(h, true);
	clear_spte(h);
	clear_log(h);
}

static void test_never_marked(void **state)
{
	const struct ms_dirty_finding *f;
	struct host h;

	(void)state;
	begin(&h, MANUAL);
	round_of_log(&h);
	change(&h);
	is(&h, 0, 0, 0, 0, 1);
	read_log(&h, true);
	is(&h, 1, 0, 0, 0, 0);
	f = &h.c->findings[0];
	assert_int_equal(f->gfn, GFN);
	assert_int_equal(f->loss, MS_DIRTY_NEVER_MARKED);
	assert_int_equal(f->clean_ns, 1200);
	assert_int_equal(f->from_ns, 1400);
	assert_int_equal(f->to_ns, 1550);
	assert_int_equal(f->after, f->before + 1);
	assert_int_equal(f->last[MS_DIRTY_CHECK_LAST - 1].id, MS_EV_spte_set);
	assert_int_equal(f->last[MS_DIRTY_CHECK_LAST - 2].id, MS_EV_dirty);
	/* Once is enough; a next change is another. */
	read_log(&h, true);
	is(&h, 1, 0, 0, 0, 0);
	change(&h);
	read_log(&h, true);
	is(&h, 2, 0, 0, 0, 0);
	end(&h);
}

/* Wherever the mark is between the clearing and the reading, it counts. */
static void test_marked(void **state)
{
	struct host h;
	u32 when;

	(void)state;
	for (when = 0; when < 7; when++) {
		begin(&h, MANUAL);
		mark(&h);
		read_log(&h, true);
		clear_spte(&h);
		if (when == 0) /* before the ioctl has ended */
			mark(&h);
		clear_log(&h);
		if (when == 1)
			mark(&h);
		digests(&h);
		if (when == 2)
			mark(&h);
		h.frames[3].digest++;
		if (when == 3)
			mark(&h);
		digests(&h);
		if (when == 4) /* a PML buffer, emptied for the reading */
			mark(&h);
		if (when == 5) {
			/* At the same time as the clearing. */
			h.now = 1200;
			mark(&h);
			h.now = 2000;
		}
		read_log(&h, true);
		if (when < 6)
			is(&h, 0, 1, 0, 0, 0);
		else
			is(&h, 1, 0, 0, 0, 0);
		end(&h);
	}
}

/* A mark that was made before the bit was cleared says nothing of a later change; of other frames neither. */
static void test_marked_before(void **state)
{
	struct host h;

	(void)state;
	begin(&h, MANUAL);
	round_of_log(&h);
	round_of_log(&h);
	EV(&h, FAULT, dirty, .gfn = GFN + 1);
	EV(&h, FAULT, dirty, .gfn = GFN, .slot = 1);
	change(&h);
	read_log(&h, true);
	is(&h, 1, 0, 0, 0, 0);
	end(&h);
}

/* What shows that the bit was cleared. */
static void test_clearings(void **state)
{
	struct host h;
	u32 how;

	(void)state;
	for (how = 0; how < 9; how++) {
		begin(&h, MANUAL);
		mark(&h);
		read_log(&h, true);
		if (how == 0)
			EV(&h, LOG_CLEAR, wp, .gfn = GFN, .sptes = 1);
		else if (how == 1) /* D */
			EV(&h, LOG_CLEAR, spte_set, .gfn = GFN, .level = 1, .old_spte = 0x277,
			   .new_spte = 0x77);
		else if (how == 2)
			EV(&h, LOG_READ, spte_set, .gfn = GFN, .level = 1, .old_spte = 0x77,
			   .new_spte = 0x75);
		else if (how == 3) /* no SPTE of it */
			EV(&h, LOG_CLEAR, wp, .gfn = GFN, .sptes = 0);
		else if (how == 4) /* for another reason */
			EV(&h, SHADOWED, spte_set, .gfn = GFN, .level = 1, .old_spte = 0x77,
			   .new_spte = 0x75);
		else if (how == 5) /* a huge page that begins there */
			EV(&h, LOG_CLEAR, spte_set, .gfn = GFN, .level = 2, .old_spte = 0xf7,
			   .new_spte = 0xf5);
		else if (how == 6) /* nothing is taken from it */
			EV(&h, LOG_CLEAR, spte_set, .gfn = GFN, .level = 1, .old_spte = 0x75,
			   .new_spte = 0x77);
		else if (how == 7)
			EV(&h, LOG_CLEAR, spte_set, .gfn = GFN + 1, .level = 1, .old_spte = 0x77,
			   .new_spte = 0x75);
		clear_log(&h);
		change(&h);
		read_log(&h, true);
		/* Else the bit may be set as it was: not known. */
		if (how < 3)
			is(&h, 1, 0, 0, 0, 0);
		else
			is(&h, 0, 0, 1, 0, 0);
		end(&h);
	}
}

/* Before the ioctl ends a CPU may still write by what it has cached: that is the reading's before. */
static void test_ioctl_goes_on(void **state)
{
	struct host h;

	(void)state;
	begin(&h, MANUAL);
	mark(&h);
	read_log(&h, true);
	clear_spte(&h);
	change(&h);
	clear_log(&h);
	read_log(&h, true);
	is(&h, 0, 0, 1, 0, 0);
	/* The content of that time is no measure for later, either: it was read before the end. */
	h.frames[3].digest++;
	digests(&h);
	read_log(&h, true);
	is(&h, 0, 0, 2, 0, 0);
	/* This one is. */
	change(&h);
	read_log(&h, true);
	is(&h, 1, 0, 2, 0, 0);
	end(&h);
}

/* The VMM clears what it never read. */
static void test_cleared_unread(void **state)
{
	struct host h;

	(void)state;
	begin(&h, MANUAL);
	round_of_log(&h);
	digests(&h);
	h.frames[3].digest++;
	mark(&h);
	clear_spte(&h);
	clear_log(&h);
	digests(&h);
	read_log(&h, true);
	is(&h, 1, 0, 0, 0, 0);
	assert_int_equal(h.c->findings[0].loss, MS_DIRTY_CLEARED_UNREAD);
	end(&h);
	/* Two CPUs' marks, the later one first. */
	begin(&h, MANUAL);
	round_of_log(&h);
	digests(&h);
	h.frames[3].digest++;
	mark(&h);
	h.now -= 900;
	mark(&h);
	h.now += 800;
	digests(&h);
	read_log(&h, true);
	is(&h, 0, 1, 0, 0, 0);
	end(&h);
	/* The host takes away a part of its page. */
	begin(&h, MANUAL);
	round_of_log(&h);
	change(&h);
	EV(&h, NONE, invalidate, .start = HVA + 3 * 4096 + 100, .end = HVA + 3 * 4096 + 200);
	is(&h, 0, 0, 0, 1, 0);
	end(&h);
	/* A second SPTE of the frame loses W for the same bit, and a CPU is quick to write in between. */
	begin(&h, MANUAL);
	round_of_log(&h);
	change(&h);
	mark(&h);
	read_log(&h, true);
	clear_spte(&h);
	mark(&h);
	clear_spte(&h);
	clear_log(&h);
	change(&h);
	read_log(&h, true);
	is(&h, 0, 2, 0, 0, 0);
	end(&h);
	/* Cleared unread, and marked again: the next reading has it. */
	begin(&h, MANUAL);
	round_of_log(&h);
	change(&h);
	mark(&h);
	clear_spte(&h);
	clear_log(&h);
	mark(&h);
	read_log(&h, true);
	is(&h, 0, 1, 0, 0, 0);
	end(&h);
	/* The log is read and cleared by one ioctl: what is cleared is handed out. */
	begin(&h, 0);
	mark(&h);
	EV(&h, LOG_READ, spte_set, .gfn = GFN, .level = 1, .old_spte = 0x77, .new_spte = 0x75);
	read_log(&h, false);
	digests(&h);
	h.frames[3].digest++;
	mark(&h);
	EV(&h, LOG_READ, spte_set, .gfn = GFN, .level = 1, .old_spte = 0x77, .new_spte = 0x75);
	read_log(&h, false);
	digests(&h);
	read_log(&h, false);
	is(&h, 0, 1, 0, 0, 0);
	/* And the same without a mark. */
	change(&h);
	read_log(&h, false);
	is(&h, 1, 1, 0, 0, 0);
	end(&h);
}

/* On a live host the last PML entries come when the reading has ended, and times of CPUs differ a little. */
static void test_live(void **state)
{
	struct host h;

	(void)state;
	begin(&h, LIVE);
	round_of_log(&h);
	change(&h);
	read_log(&h, true);
	is(&h, 0, 0, 0, 0, 1);
	mark(&h);
	read_log(&h, true);
	is(&h, 0, 1, 0, 0, 0);
	/* Without a mark the second reading is enough. */
	clear_spte(&h);
	clear_log(&h);
	change(&h);
	read_log(&h, true);
	read_log(&h, true);
	is(&h, 1, 1, 0, 0, 0);
	/* Its event came before that of the clearing, by so little that it may have been made after it. */
	h.now = 10000;
	mark(&h);
	h.now = 10010;
	clear_spte(&h);
	clear_log(&h);
	change(&h);
	read_log(&h, true);
	read_log(&h, true);
	is(&h, 1, 2, 0, 0, 0);
	/* By more. */
	end(&h);
	begin(&h, LIVE);
	h.now = 10000;
	mark(&h);
	read_log(&h, true);
	h.now = 20000;
	clear_spte(&h);
	clear_log(&h);
	change(&h);
	read_log(&h, true);
	read_log(&h, true);
	is(&h, 1, 0, 0, 0, 0);
	/* A reading that ended before the digest was done says nothing, however late it is told. */
	clear_spte(&h);
	clear_log(&h);
	change(&h);
	h.now -= 100;
	read_log(&h, true);
	h.now += 100;
	read_log(&h, true);
	is(&h, 1, 0, 0, 0, 1);
	end(&h);
}

/* How a log begins. */
static void test_log_begins(void **state)
{
	struct host h;

	(void)state;
	begin(&h, MANUAL);
	EV(&h, LOG_ENABLE, log_enable, .slot = 0);
	EV(&h, SLOT, slot, .gfn = 0x100, .pages = 0x100, .flags = MS_SLOT_LOG_DIRTY);
	/* It may be going on. */
	change(&h);
	is(&h, 0, 0, 1, 0, 0);
	read_log(&h, true);
	change(&h);
	read_log(&h, true);
	is(&h, 1, 0, 1, 0, 0);
	end(&h);
	/* With all bits set: every frame is marked. */
	begin(&h, INIT_SET);
	EV(&h, LOG_ENABLE, log_enable, .slot = 0);
	read_log(&h, true);
	change(&h);
	read_log(&h, true);
	is(&h, 0, 0, 1, 0, 0);
	end(&h);
	/* Without a log nobody is told of writes. */
	begin(&h, MANUAL);
	round_of_log(&h);
	digests(&h);
	EV(&h, LOG_DISABLE, log_disable, .slot = 0);
	h.frames[3].digest++;
	digests(&h);
	change(&h);
	assert_int_equal(h.c->changes, 0);
	end(&h);
}

/* What else than a write changes a frame, or makes that nothing is known. */
static void test_given_up(void **state)
{
	struct host h;
	u32 how;

	(void)state;
	for (how = 0; how < 9; how++) {
		begin(&h, MANUAL);
		round_of_log(&h);
		change(&h);
		if (how == 0)
			EV(&h, NOTIFIER, invalidate, .start = HVA + 3 * 4096, .end = HVA + 4 * 4096);
		else if (how == 1)
			EV(&h, NOTIFIER, invalidate_end, .start = HVA, .end = HVA + 4 * 4096);
		else if (how == 2)
			ms_dirty_check_lost(h.c);
		else if (how == 3)
			EV(&h, SLOT, slot, .gfn = 0x100, .pages = 0);
		else if (how == 4)
			EV(&h, SLOT, slot, .gfn = 0x80, .pages = 0x100, .flags = MS_SLOT_LOG_DIRTY);
		else if (how == 5)
			EV(&h, LOG_DISABLE, log_disable, .slot = 0);
		else if (how == 6)
			EV(&h, NOTIFIER, invalidate, .start = HVA + 4 * 4096, .end = HVA + 5 * 4096);
		else if (how == 7)
			EV(&h, SLOT, slot, .slot = 4, .gfn = 0x300, .pages = 1);
		else
			EV(&h, LOG_DISABLE, log_disable, .slot = 0, .as_id = 1);
		read_log(&h, true);
		if (how < 6)
			is(&h, 0, 0, 0, 1, 0);
		else
			is(&h, 1, 0, 0, 0, 0);
		end(&h);
	}
	/* The host's other content is no change. */
	begin(&h, MANUAL);
	round_of_log(&h);
	digests(&h);
	EV(&h, NOTIFIER, invalidate, .start = HVA, .end = HVA + 8 * 4096);
	h.frames[3].digest++;
	digests(&h);
	/* Nor that of a page which could not be read meanwhile. */
	h.frames[3].state = MS_GTABLE_CHANGED;
	digests(&h);
	h.frames[3].state = MS_GTABLE_READ;
	h.frames[3].digest++;
	digests(&h);
	assert_int_equal(h.c->changes, 0);
	end(&h);
}

/* Something was lost since the last time, nobody knows where: only what was found before stands. */
static void test_settle(void **state)
{
	struct host h;
	u32 lost;

	(void)state;
	for (lost = 0; lost < 2; lost++) {
		begin(&h, MANUAL);
		round_of_log(&h);
		change(&h);
		read_log(&h, true);
		ms_dirty_check_settle(h.c, false);
		change(&h);
		read_log(&h, true);
		is(&h, 2, 0, 0, 0, 0);
		ms_dirty_check_settle(h.c, lost);
		is(&h, 2 - lost, 0, 0, lost, 0);
		/* Nothing is known of the frame any more. */
		change(&h);
		read_log(&h, true);
		is(&h, 3 - 2 * lost, 0, lost, lost, 0);
		end(&h);
	}
}

/* Frames of no memslot, and those whose memory another memslot has: that one's log would say. */
static void test_not_judged(void **state)
{
	struct host h;

	(void)state;
	begin(&h, ALIAS);
	assert_int_equal(h.c->nr_alias, 1);
	round_of_log(&h);
	change(&h);
	assert_int_equal(h.c->changes, 0);
	assert_int_equal(h.c->nr_read, NR - 1);
	end(&h);
	begin(&h, 0);
	h.slots[0].base_gfn = GFN + 1;
	end(&h);
	assert_null(ms_dirty_check_create(
		&(struct ms_dirty_check_opts){ .gfn = FIRST, .nr = NR, .readings = 1 }, &h.vm, &h.c));
	assert_int_equal(h.c->nr_no_slot, 4);
	end(&h);
}

static void test_log_moved(void **state)
{
	struct host h;

	(void)state;
	begin(&h, MANUAL);
	mark(&h);
	assert_false(h.c->log_moved);
	EV(&h, LOG_CLEAR, log_clear, .gfn = 0x180, .pages = 64);
	EV(&h, LOG_READ, log_read, .slot = 1);
	EV(&h, LOG_READ, log_read, .as_id = 1);
	assert_false(h.c->log_moved);
	clear_log(&h);
	assert_true(h.c->log_moved);
	digests(&h);
	assert_false(h.c->log_moved);
	read_log(&h, true);
	assert_true(h.c->log_moved);
	end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_marked),  cmocka_unit_test(test_marked),
		cmocka_unit_test(test_marked_before), cmocka_unit_test(test_clearings),
		cmocka_unit_test(test_ioctl_goes_on), cmocka_unit_test(test_cleared_unread),
		cmocka_unit_test(test_live),	      cmocka_unit_test(test_log_begins),
		cmocka_unit_test(test_given_up),      cmocka_unit_test(test_not_judged),
		cmocka_unit_test(test_log_moved),     cmocka_unit_test(test_settle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
