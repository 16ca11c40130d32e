// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The view of what is dirtied, on the machine of ui_machine.h: who listens and when, what stays selected while rows
 * move, what was lost, and where Enter leads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "query/dirty.h"
#include "ui_rig.h"

/* The row that has `text' is the one selected, in this pane or another. */
static void selected(struct rig *rig, const char *text, u8 flag)
{
	const char *line = rig->text, *end, *at;
	u32 y;

	for (y = 0; y < rig->grid.height && *line; y++, line = end + (*end != 0)) {
		end = line + strcspn(line, "\n");
		at = strstr(line, text);
		if (at && at < end && ms_grid_at(&rig->grid, y, 1)->flags & flag)
			return;
	}
	fail_msg("no selected row has '%s':\n%s", text, rig->text);
}

static struct rig *rig_start(unsigned int nr_vms)
{
	return rig_create(nr_vms, 0, NULL, true);
}

static struct ms_event *happens(struct rig *rig, enum ms_event_id id)
{
	struct ms_event *event = &rig->events[rig->machine.nr_events++];

	assert_in_range(rig->machine.nr_events, 1, RIG_EVENTS);
	*event = (struct ms_event){
		.time_ns = rig->machine.now_ns, .kvm = UI_KVM_A, .id = (u16)id, .vcpu = 0, .guest = MS_EV_L1
	};
	return event;
}

static void mark(struct rig *rig, u64 gfn, u8 cause, u8 guest)
{
	struct ms_event *event = happens(rig, MS_EV_dirty);

	event->u.dirty.gfn = gfn;
	event->cause = cause;
	event->guest = guest;
}

static void batch(struct rig *rig, u64 gfn)
{
	happens(rig, MS_EV_pml_drain)->u.pml_drain.entries = 1;
	happens(rig, MS_EV_pml)->u.pml.gfn = gfn;
}

/* --- listening --- */

static void test_listens_while_open(void **state)
{
	struct rig *rig = rig_start(2);

	(void)state;
	/* Of the VM selected in the list. */
	assert_int_equal(rig->machine.nr_listens, 0);
	type(rig, "jd");
	sees(rig, "4242 qemu-system-x86: Dirty");
	assert_int_equal(rig->machine.nr_listens, 1);
	assert_int_equal(rig->machine.listener->listen.kvm, UI_KVM_A);
	assert_true(rig->machine.listener->listen.events == ms_dirty_events());
	mark(rig, 5, MS_CAUSE_PML, MS_EV_L1);
	look(rig);
	sees(rig, " marks 1,");
	/* Asked for again it is the same one; below another view it still listens. */
	type(rig, "d?");
	mark(rig, 6, MS_CAUSE_PML, MS_EV_L1);
	type(rig, "\033");
	sees(rig, " marks 2,");
	assert_int_equal(rig->machine.nr_listens, 1);
	type(rig, "\033");
	assert_null(rig->machine.listener);
	rig_end(rig);
}

static void test_pause(void **state)
{
	struct rig *rig = rig_start(1);
	u32 i;

	(void)state;
	type(rig, "d");
	for (i = 0; i < 50; i++)
		mark(rig, 5, MS_CAUSE_PML, MS_EV_L1);
	for (i = 0; i < 10; i++)
		look(rig);
	/* 50 within a second. */
	sees(rig, " marks 50, 50/s");
	type(rig, "p");
	sees(rig, "Dirty, paused");
	assert_null(rig->machine.listener);
	mark(rig, 5, MS_CAUSE_PML, MS_EV_L1);
	look(rig);
	sees(rig, " marks 50, 50/s");
	/* While it is paused no time goes by, as far as rates are concerned. */
	rig->machine.next_event = rig->machine.nr_events;
	rig->machine.now_ns += 100000000000ull;
	type(rig, "p");
	misses(rig, "paused");
	look(rig);
	sees(rig, " marks 50, 45/s");
	rig_end(rig);
}

static void test_losses_are_said(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "d");
	misses(rig, "LOST");
	rig->machine.lost = 7;
	look(rig);
	sees(rig, "7 LOST");
	sees(rig, "not the whole");
	/* What one listener lost stays said when another begins. */
	type(rig, "p");
	rig->machine.lost = 0;
	type(rig, "p");
	sees(rig, "7 LOST");
	rig_end(rig);
}

static void test_deaf(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	rig->machine.target.caps &= ~MS_CAP_LISTEN;
	type(rig, "d");
	sees(rig, "has no events");
	misses(rig, ": Dirty");
	rig->machine.target.caps |= MS_CAP_LISTEN;
	rig->machine.fail_listen = true;
	type(rig, "d");
	sees(rig, "it is deaf");
	rig_end(rig);
}

/* --- what is selected --- */

static void test_rows_move(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "d");
	batch(rig, 0x11);
	batch(rig, 0x12);
	batch(rig, 0x13);
	type(rig, "\t");
	/* On top is the newest, whichever it is. */
	selected(rig, ": 0x13", MS_CELL_SELECTED);
	batch(rig, 0x14);
	look(rig);
	selected(rig, ": 0x14", MS_CELL_SELECTED);
	type(rig, "j");
	selected(rig, ": 0x13", MS_CELL_SELECTED);
	batch(rig, 0x15);
	batch(rig, 0x16);
	look(rig);
	selected(rig, ": 0x13", MS_CELL_SELECTED);
	/* Frames overtake. */
	mark(rig, 0x21, MS_CAUSE_PML, MS_EV_L1);
	mark(rig, 0x21, MS_CAUSE_PML, MS_EV_L1);
	mark(rig, 0x22, MS_CAUSE_PML, MS_EV_L1);
	type(rig, "\t");
	selected(rig, "0x21", MS_CELL_SELECTED);
	type(rig, "j");
	selected(rig, "0x22", MS_CELL_SELECTED);
	mark(rig, 0x22, MS_CAUSE_FAULT, MS_EV_L2);
	mark(rig, 0x22, MS_CAUSE_FAULT, MS_EV_L2);
	look(rig);
	selected(rig, "0x22", MS_CELL_SELECTED);
	sees(rig, "3 marks");
	sees(rig, "by l2: pml 1 write fault 2");
	/* The memslot's cursor is still to be seen. */
	selected(rig, "yes", MS_CELL_MARKED);
	type(rig, "/0x21\r");
	selected(rig, "0x21", MS_CELL_SELECTED);
	rig_end(rig);
}

/* --- Enter --- */

static void test_jump(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "d");
	mark(rig, 3, MS_CAUSE_PML, MS_EV_L1);
	mark(rig, 3, MS_CAUSE_FAULT, MS_EV_L1);
	mark(rig, 0x1000, MS_CAUSE_FAULT, MS_EV_L2);
	batch(rig, 11);
	look(rig);
	/* From the memslot to its frames, from there to the leaf: L1's own of gfn 3. */
	type(rig, "\r\r");
	sees(rig, "L1 0xffff888011000300");
	sees(rig, "entry 3");
	/* L2's of gfn 0x1000 is at entry 5 of its page. */
	type(rig, "\033j\r");
	sees(rig, "L1 0xffff888011000700");
	sees(rig, "entry 5");
	type(rig, "\033\t\t\r");
	sees(rig, "entry 11");
	/* One that nothing maps. */
	type(rig, "\033");
	batch(rig, 0x7777);
	look(rig);
	type(rig, "\r");
	sees(rig, "no leaf maps gfn 0x7777");
	rig_end(rig);
}

/* The mouse, and a list that is empty. */
static void test_click(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "d\t\r");
	sees(rig, "No PML buffer");
	type(rig, "\t\r");
	sees(rig, "No frame was marked");
	mark(rig, 3, MS_CAUSE_PML, MS_EV_L1);
	mark(rig, 4, MS_CAUSE_PML, MS_EV_L1);
	look(rig);
	ms_ui_mouse(rig->ui, MS_MOUSE_CLICK, 7, 5); /* the second */
	look(rig);
	selected(rig, "0x4", MS_CELL_SELECTED);
	ms_ui_mouse(rig->ui, MS_MOUSE_CLICK, 6, 5);
	look(rig);
	selected(rig, "0x3", MS_CELL_SELECTED);
	ms_ui_mouse(rig->ui, MS_MOUSE_CLICK, 4, 5);
	look(rig);
	selected(rig, "yes", MS_CELL_SELECTED);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listens_while_open),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_losses_are_said),
		cmocka_unit_test(test_deaf),
		cmocka_unit_test(test_rows_move),
		cmocka_unit_test(test_jump),
		cmocka_unit_test(test_click),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
