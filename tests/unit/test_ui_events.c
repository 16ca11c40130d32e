// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The events view and the rates of the list of VMs, on the machine of ui_machine.h: who listens and when, what is kept
 * and what was lost, filter, pause, follow, and where Enter leads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ui_rig.h"

static struct ms_err *command(void *ctx, struct ms_target *target, const struct ms_ui_command *cmd,
			      struct ms_buf *out)
{
	const struct rig *rig = ctx;

	ms_buf_printf(out, "%s: %s\n", cmd->line, rig->machine.listener ? "not alone" : "alone");
	return NULL;
}

static struct rig *rig_start(unsigned int nr_vms)
{
	return rig_create(nr_vms, 0, command, true);
}

static struct ms_event *happens(struct rig *rig, enum ms_event_id id, u64 kvm, u16 vcpu, u8 guest)
{
	struct ms_event *event = &rig->events[rig->nr++];

	assert_in_range(rig->nr, 1, RIG_EVENTS);
	*event = (struct ms_event){
		.seq = rig->nr,
		.time_ns = rig->nr * 1000000,
		.kvm = kvm,
		.stack = MS_EV_NO_STACK,
		.id = (u16)id,
		.vcpu = vcpu,
		.guest = guest,
		.cause = MS_CAUSE_FAULT,
	};
	rig->machine.nr_events = rig->nr;
	return event;
}

static void fault(struct rig *rig, u64 addr, u16 vcpu)
{
	happens(rig, MS_EV_fault, UI_KVM_A, vcpu, MS_EV_L1)->u.fault.addr = addr;
}

static void faults(struct rig *rig, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		fault(rig, 0x1000000 + (u64)(rig->nr << 12), (u16)(i % 2));
}

/* Of L2's pages, or of L1's. */
static void spte_set(struct rig *rig, u64 sp, u16 idx, u64 gfn)
{
	struct ms_event *event = happens(rig, MS_EV_spte_set, UI_KVM_A, 0, MS_EV_L2);

	event->u.spte_set = (struct ms_ev_spte_set){ .sp = sp, .gfn = gfn, .index = idx, .level = 1 };
}

static void test_listens_while_open(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	assert_int_equal(rig->machine.nr_listens, 0);
	type(rig, "e");
	assert_int_equal(rig->machine.nr_listens, 1);
	assert_non_null(rig->machine.listener);
	assert_int_equal(rig->machine.listener->listen.kvm, UI_KVM_A);
	sees(rig, "Events, following");
	sees(rig, "Nothing has happened yet");
	faults(rig, 3);
	happens(rig, MS_EV_fault, UI_KVM_B, 0, MS_EV_L1)->u.fault.addr = 0xbad000;
	look(rig);
	sees(rig, "3 events");
	sees(rig, "addr=0x1000000");
	misses(rig, "0xbad000");
	/* Views above it do not end it, nor begin it anew. */
	type(rig, "?");
	faults(rig, 2);
	type(rig, "q");
	sees(rig, "5 events");
	assert_int_equal(rig->machine.nr_listens, 1);
	/* A second key leads to the view that is open. */
	type(rig, "?e");
	sees(rig, "5 events");
	assert_int_equal(rig->ui->nr_views, 3);
	type(rig, "q");
	assert_null(rig->machine.listener);
	faults(rig, 2);
	look(rig);
	assert_int_equal(rig->machine.next_event, 6);
	rig_end(rig);
}

static void test_follow(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "e");
	faults(rig, 40);
	look(rig);
	sees(rig, "addr=0x1027000");
	misses(rig, "addr=0x1000000");
	type(rig, "k");
	misses(rig, "following");
	faults(rig, 40);
	look(rig);
	sees(rig, "80 events");
	sees(rig, "addr=0x1026000");
	misses(rig, "addr=0x104f000");
	type(rig, "G");
	sees(rig, "following");
	faults(rig, 1);
	look(rig);
	sees(rig, "addr=0x1050000");
	type(rig, "F");
	misses(rig, "following");
	faults(rig, 40);
	look(rig);
	sees(rig, "addr=0x1050000");
	type(rig, "F");
	sees(rig, "following");
	sees(rig, "addr=0x1078000");
	type(rig, "g");
	sees(rig, "addr=0x1000000");
	misses(rig, "following");
	rig_end(rig);
}

static void test_ring(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "e");
	faults(rig, 4096);
	look(rig);
	sees(rig, "4096 events");
	misses(rig, "no longer kept");
	type(rig, "gj");
	sees(rig, "addr=0x1001000");
	faults(rig, 5);
	look(rig);
	sees(rig, "4096 events, 5 before them no longer kept");
	misses(rig, "addr=0x1004000 ");
	sees(rig, "addr=0x1005000");
	/* What is selected stays selected. */
	type(rig, "G");
	type(rig, "kkk");
	sees(rig, " addr=0x2001000 error=0x0[absent,read] mmu=root seq=4098");
	faults(rig, 100);
	look(rig);
	sees(rig, "seq=4098");
	rig->machine.lost = 7;
	look(rig);
	sees(rig, "7 LOST");
	sees(rig, "7 lost on the way");
	/* What one listener lost stays said when another begins. */
	type(rig, "p");
	sees(rig, "7 LOST");
	rig->machine.lost = 0;
	type(rig, "p");
	sees(rig, "7 LOST");
	rig_end(rig);
}

static void test_pause(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "e");
	faults(rig, 3);
	look(rig);
	type(rig, "p");
	sees(rig, "Events, paused");
	assert_null(rig->machine.listener);
	faults(rig, 3);
	look(rig);
	sees(rig, "3 events");
	type(rig, "p");
	assert_int_equal(rig->machine.nr_listens, 2);
	sees(rig, "following");
	sees(rig, "6 events");
	rig_end(rig);
}

/* From the list of VMs and back to it; from a VM's pages back to these. */
static void test_back(void **state)
{
	static const char *const keys[] = { "e", "d", "a" };
	struct rig *rig = rig_start(2);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		type(rig, "j");
		type(rig, keys[i]);
		assert_int_equal(rig->ui->nr_views, 2);
		assert_non_null(ms_ui_vm(rig->ui));
		sees(rig, "4242 qemu-system-x86: ");
		ms_ui_key(rig->ui, MS_KEY_ESC);
		look(rig);
		sees(rig, "2 VMs");
		assert_int_equal(rig->ui->nr_views, 1);
		assert_null(rig->ui->detail);
		assert_null(rig->machine.listener);
		/* Above the pages. */
		type(rig, "\r");
		type(rig, keys[i]);
		assert_int_equal(rig->ui->nr_views, 3);
		misses(rig, "4242 qemu-system-x86: ");
		ms_ui_key(rig->ui, MS_KEY_ESC);
		look(rig);
		sees(rig, "nested_mmu");
		type(rig, "q");
	}
	/* Nothing is open when reading fails. */
	rig->machine.fail = true;
	type(rig, "e");
	assert_int_equal(rig->ui->nr_views, 1);
	assert_null(rig->ui->detail);
	rig->machine.fail = false;
	type(rig, "e");
	assert_int_equal(rig->ui->nr_views, 2);
	/* What a key does now. */
	sees(rig, "p Pause");
	type(rig, "pj");
	sees(rig, "p Go on");
	sees(rig, "7Go on");
	misses(rig, "Pause ");
	type(rig, "pj");
	sees(rig, "p Pause");
	rig_end(rig);
}

static void test_filter(void **state)
{
	struct rig *rig = rig_start(1);
	const struct ms_listen *listen;

	(void)state;
	type(rig, "e");
	faults(rig, 10);
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 5, 0x1000);
	look(rig);
	sees(rig, "11 events");
	type(rig, "f");
	sees(rig, "only:\n");
	type(rig, "-e fault --vcpu 1\r");
	sees(rig, "5 events; only -e fault --vcpu 1");
	misses(rig, "spte_set");
	listen = &rig->machine.listener->listen;
	assert_int_equal(listen->events, 1ull << MS_EV_fault);
	assert_true(listen->has_vcpu && listen->vcpu == 1 && !listen->has_gfn && listen->kvm == UI_KVM_A);
	faults(rig, 2);
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 5, 0x1000);
	look(rig);
	sees(rig, "6 events");
	/* It is there to be changed. What is no filter leaves it as it was. */
	type(rig, "f");
	sees(rig, "only: -e fault --vcpu 1");
	type(rig, "\025--gfn 0x1000 -j\r");
	sees(rig, "the filter takes --event, --vcpu and --gfn");
	sees(rig, "only -e fault --vcpu 1");
	type(rig, "f\025--event nosuch\r");
	sees(rig, "'nosuch' is no event");
	type(rig, "f\025spte_set,nosuch\r");
	sees(rig, "'nosuch' is no event");
	/* Until the next key, whatever is read meanwhile. */
	ms_ui_refresh(rig->ui);
	faults(rig, 1);
	look(rig);
	sees(rig, "'nosuch' is no event");
	type(rig, "j");
	misses(rig, "'nosuch' is no event");
	/* What was typed is there to be put right, and nothing has changed meanwhile. */
	sees(rig, "; only -e fault --vcpu 1");
	type(rig, "f");
	sees(rig, "only: spte_set,nosuch");
	type(rig, "\025--vcpu 77\r");
	sees(rig, "the VM has no vCPU 77");
	sees(rig, "; only -e fault --vcpu 1");
	assert_int_equal(rig->machine.listener->listen.vcpu, 1);
	type(rig, "f");
	sees(rig, "only: --vcpu 77");
	type(rig, "\177\177"
		  "0\r");
	sees(rig, "; only --vcpu 0");
	/* Who gives it up finds the one that is. */
	type(rig, "f\025--vcpu x\rf");
	sees(rig, "only: --vcpu x");
	ms_ui_key(rig->ui, MS_KEY_ESC);
	type(rig, "f");
	sees(rig, "only: --vcpu 0");
	type(rig, "\025 fault,flush -c 1\r");
	sees(rig, "only fault,flush -c 1");
	assert_int_equal(rig->machine.listener->listen.events, 1ull << MS_EV_fault | 1ull << MS_EV_flush);
	assert_true(rig->machine.listener->listen.has_vcpu);
	type(rig, "f\025--gfn 0x1000\r");
	sees(rig, "0 events; only --gfn 0x1000");
	assert_true(rig->machine.listener->listen.has_gfn);
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 5, 0x1000);
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 6, 0x1001);
	look(rig);
	sees(rig, "1 events; only");
	type(rig, "f\025\r");
	sees(rig, "1 events\n");
	assert_false(rig->machine.listener->listen.has_gfn);
	rig_end(rig);
}

/* Enter, when what is on the screen has been seen. */
static void enter(struct rig *rig)
{
	rig->ui->now_ms += 1000;
	type(rig, "\r");
}

static void test_enter(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	/* The page and its entry. */
	type(rig, "e");
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 6, 3);
	look(rig);
	enter(rig);
	sees(rig, "role 0x20701");
	sees(rig, "entry 6");
	type(rig, "q");
	sees(rig, "1 events");
	/* The page alone. */
	happens(rig, MS_EV_unsync, UI_KVM_A, 0, MS_EV_L2)->u.unsync.sp = UI_SP(UI_SP_SHADOW_L2);
	type(rig, "G");
	enter(rig);
	sees(rig, "role 0x20702");
	type(rig, "q");
	/* A frame: the leaf of L1's pages for L1, of L2's for L2, of the other's where there is but that. */
	happens(rig, MS_EV_dirty, UI_KVM_A, 1, MS_EV_L1)->u.dirty.gfn = 3;
	type(rig, "G");
	enter(rig);
	sees(rig, "role 0x3781");
	sees(rig, "entry 3");
	type(rig, "q");
	happens(rig, MS_EV_dirty, UI_KVM_A, 0, MS_EV_L2)->u.dirty.gfn = 3;
	type(rig, "G");
	enter(rig);
	sees(rig, "role 0x20701");
	sees(rig, "entry 6");
	type(rig, "q");
	happens(rig, MS_EV_dirty, UI_KVM_A, 0, MS_EV_L2)->u.dirty.gfn = 513;
	type(rig, "G");
	enter(rig);
	sees(rig, "role 0x3782");
	sees(rig, "entry 1");
	type(rig, "q");
	/* Neither. */
	happens(rig, MS_EV_dirty, UI_KVM_A, 0, MS_EV_L2)->u.dirty.gfn = 0x7777;
	type(rig, "G");
	enter(rig);
	sees(rig, "what it was about is not there any more");
	happens(rig, MS_EV_sp_zap, UI_KVM_A, 0, MS_EV_L2)->u.sp_zap =
		(struct ms_ev_sp_zap){ .sp = UI_SP(99), .gfn = 0x7777 };
	type(rig, "G");
	enter(rig);
	sees(rig, "what it was about is not there any more");
	happens(rig, MS_EV_flush, UI_KVM_A, 0, MS_EV_L2);
	type(rig, "G");
	enter(rig);
	sees(rig, "this event names no page and no frame");
	/* An index that is none. */
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 600, 3);
	type(rig, "G");
	enter(rig);
	sees(rig, "role 0x20701");
	rig_end(rig);
}

/* Events go on between seeing one and pressing a key: Enter opens none that has just come. */
static void test_enter_while_they_come(void **state)
{
	struct rig *rig = rig_start(1);
	u32 i;

	(void)state;
	type(rig, "e");
	rig->ui->now_ms = 10000;
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 6, 3);
	look(rig);
	/* It came right before the key. */
	rig->ui->now_ms += 499;
	type(rig, "\r");
	sees(rig, "events go on, this one is selected");
	misses(rig, "following");
	sees(rig, "seq=1");
	/* It stays the one, whatever comes. */
	faults(rig, 50);
	look(rig);
	sees(rig, "51 events");
	sees(rig, "seq=1");
	type(rig, "\r");
	sees(rig, "entry 6");
	type(rig, "q");
	/* Nothing came for a while. */
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 5, 3);
	type(rig, "G");
	rig->ui->now_ms += 500;
	type(rig, "\r");
	sees(rig, "entry 5");
	type(rig, "q");
	/* Paused: rows stand still. */
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 6, 3);
	type(rig, "Gp\r");
	sees(rig, "entry 6");
	/* The one selected is pushed out: Enter says so, and opens no other unseen. */
	type(rig, "qpk");
	sees(rig, "seq=52");
	for (i = 0; i < 4096; i++)
		spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 6, 3);
	look(rig);
	type(rig, "\r");
	sees(rig, "what was selected is no longer kept");
	misses(rig, "entry 6");
	type(rig, "\r");
	sees(rig, "entry 6");
	type(rig, "q");
	/* Who goes to another row has seen that one. */
	type(rig, "gk");
	for (i = 0; i < 10; i++)
		spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 6, 3);
	look(rig);
	type(rig, "j\r");
	sees(rig, "entry 6");
	rig_end(rig);
}

static void test_search(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "e");
	faults(rig, 30);
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 6, 3);
	faults(rig, 30);
	look(rig);
	misses(rig, "spte_set");
	type(rig, "/spte_set\r");
	sees(rig, "spte_set");
	misses(rig, "following");
	type(rig, "/nowhere\r");
	sees(rig, "nothing found");
	rig_end(rig);
}

/* Many more come than are kept: what was on the screen is found, stays, and so do its neighbours. */
static void test_search_while_it_runs(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "e");
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 6, 3);
	faults(rig, 5);
	spte_set(rig, UI_SP(UI_SP_SHADOW_L1), 7, 3);
	faults(rig, 4089);
	look(rig);
	sees(rig, "4096 events");
	misses(rig, "not kept");
	/* While it is typed. */
	type(rig, "/spte_s");
	faults(rig, 300);
	look(rig);
	type(rig, "et\r");
	sees(rig, "seq=7");
	sees(rig, "held at a match");
	sees(rig, "300 not kept while it was held");
	faults(rig, 5000);
	look(rig);
	sees(rig, "seq=7");
	sees(rig, "5300 not kept");
	/* Both ways, around the end. */
	type(rig, "N");
	sees(rig, "seq=1");
	type(rig, "n");
	sees(rig, "seq=7");
	type(rig, "n");
	sees(rig, "seq=1");
	type(rig, "k");
	faults(rig, 10);
	look(rig);
	sees(rig, "seq=1");
	/* It goes on where it is now. */
	type(rig, "F");
	sees(rig, "following");
	faults(rig, 10);
	look(rig);
	sees(rig, "5310 not kept");
	sees(rig, "10 before them no longer kept");
	/* What is not there holds nothing; nor does a search that is given up. */
	type(rig, "/nowhere\r");
	sees(rig, "nothing found");
	sees(rig, "following");
	faults(rig, 10);
	look(rig);
	sees(rig, "20 before them no longer kept");
	type(rig, "/x\033");
	faults(rig, 10);
	look(rig);
	sees(rig, "30 before them no longer kept");
	sees(rig, "5310 not kept");
	rig_end(rig);
}

static void test_listening_fails(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	rig->machine.fail_listen = true;
	type(rig, "e");
	sees(rig, "it is deaf");
	look(rig);
	look(rig);
	assert_int_equal(rig->machine.nr_listens, 0);
	rig->machine.fail_listen = false;
	look(rig);
	assert_int_equal(rig->machine.nr_listens, 0);
	/* Who reads again wants to hear again. */
	type(rig, "r");
	assert_int_equal(rig->machine.nr_listens, 1);
	faults(rig, 1);
	look(rig);
	sees(rig, "1 events");
	rig->machine.fail_listen = true;
	look(rig);
	sees(rig, "it is deaf");
	assert_null(rig->machine.listener);
	rig->machine.fail_listen = false;
	ms_ui_refresh(rig->ui);
	look(rig);
	misses(rig, "it is deaf");
	assert_non_null(rig->machine.listener);
	ms_ui_listen_stop(rig->ui);
	type(rig, "q");
	rig_end(rig);
}

/* A target has one listener: commands that listen get it. */
static void test_command_listens(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "e");
	type(rig, ":stuck\r");
	sees(rig, "stuck: alone");
	type(rig, "q");
	assert_non_null(rig->machine.listener);
	type(rig, ":vms\r");
	sees(rig, "vms: not alone");
	type(rig, "q");
	assert_int_equal(rig->machine.nr_listens, 2);
	rig_end(rig);
}

static void test_no_events(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	rig->machine.target.caps &= ~MS_CAP_LISTEN;
	type(rig, "e");
	sees(rig, "machine has no events");
	assert_int_equal(rig->ui->nr_views, 2);
	rig_end(rig);
}

static void test_vm_goes(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "e");
	faults(rig, 3);
	rig->machine.nr_vms = 0;
	type(rig, "r");
	look(rig);
	sees(rig, "is gone");
	sees(rig, "3 events");
	type(rig, "\r");
	type(rig, "qqq");
	rig_end(rig);
}

static void test_cannot_be_heard(void **state)
{
	struct rig *rig = rig_start(1);

	(void)state;
	type(rig, "e");
	misses(rig, "cannot be heard");
	type(rig, "q");
	rig->machine.deaf = 1ull << MS_EV_pml | 1ull << MS_EV_dirty;
	type(rig, "e");
	sees(rig, "2 kinds cannot be heard here");
	type(rig, "f-e dirty,fault\r");
	sees(rig, "1 kinds cannot be heard here");
	type(rig, "f\025-e fault\r");
	misses(rig, "cannot be heard");
	rig_end(rig);
}

/* --- rates --- */

static void count(struct rig *rig, u64 kvm, u32 nr_faults, u32 nr_dirty)
{
	while (nr_faults--)
		happens(rig, MS_EV_fault, kvm, 0, MS_EV_L1);
	while (nr_dirty--)
		happens(rig, MS_EV_dirty, kvm, 1, MS_EV_L1);
}

/* n looks are n tenths of a second. */
static void looks(struct rig *rig, u32 nr)
{
	while (nr--)
		look(rig);
}

static void test_rates(void **state)
{
	struct rig *rig = rig_start(2);

	(void)state;
	misses(rig, "FAULT/S");
	assert_int_equal(rig->machine.nr_listens, 0);
	type(rig, "R");
	sees(rig, "VMs, listening for rates");
	sees(rig, "FAULT/S DIRTY/S L2EXIT/S FLUSH/S");
	sees(rig, " 2     1       -       -        -       - ");
	assert_int_equal(rig->machine.nr_listens, 1);
	assert_int_equal(rig->machine.listener->listen.kvm, 0);
	assert_int_equal(rig->machine.listener->listen.count_by, MS_BY_EVENT | MS_BY_KVM);
	count(rig, UI_KVM_A, 300, 20);
	looks(rig, 11);
	/* A second and a tenth since the first look. */
	sees(rig, " 2     1     300      20        0       0 ");
	sees(rig, " 0     0       0       0        0       0\n");
	count(rig, UI_KVM_A, 50, 0);
	count(rig, UI_KVM_B, 7, 0);
	looks(rig, 10);
	sees(rig, " 2     1      50       0        0       0 ");
	sees(rig, " 0     0       7       0        0       0\n");
	looks(rig, 10);
	sees(rig, " 2     1       0       0        0       0 ");
	rig->machine.lost = 3;
	look(rig);
	sees(rig, "VMs, listening for rates, 3 LOST");
	/* Below another view it does not listen, and begins anew. */
	type(rig, "\r");
	assert_null(rig->machine.listener);
	misses(rig, "listening");
	type(rig, "q");
	assert_int_equal(rig->machine.nr_listens, 2);
	sees(rig, " 2     1       -       -        -       - ");
	type(rig, "R");
	assert_null(rig->machine.listener);
	misses(rig, "FAULT/S");
	sees(rig, " SHADOW ");
	rig_end(rig);
}

static void test_rates_unheard(void **state)
{
	struct rig *rig = rig_start(2);

	(void)state;
	rig->machine.deaf = 1ull << MS_EV_dirty;
	type(rig, "R");
	count(rig, UI_KVM_A, 10, 0);
	looks(rig, 11);
	sees(rig, " 2     1      10       -        0       0 ");
	type(rig, "R");
	rig->machine.target.caps &= ~MS_CAP_LISTEN;
	type(rig, "R");
	sees(rig, "machine has no events to count");
	misses(rig, "FAULT/S");
	rig_end(rig);
}

/* Any events, and any keys while they come. */
static void test_monkey(void **state)
{
	static const char keys[] = "jkgGfFp\rq\033e?n/:R<jjkk\025re";
	struct rig *rig = rig_start(2);
	u32 i, k, seed = 4711;

	(void)state;
	for (i = 0; i < 40000; i++) {
		seed = seed * 1664525 + 1013904223;
		if (i % 4 == 0) {
			struct ms_event *event;

			if (rig->nr == RIG_EVENTS)
				rig->nr = rig->machine.next_event = 0;
			event = happens(rig, MS_EV_NONE, UI_KVM_A, 0, 0);
			for (k = 0; k < sizeof(event->u); k++) {
				seed = seed * 1664525 + 1013904223;
				((u8 *)&event->u)[k] = (u8)(seed >> 24);
			}
			event->id = (u16)(seed >> 8) % (MS_EV_NR + 2);
			event->guest = (u8)(seed >> 16) % 5;
			event->cause = (u8)(seed >> 20);
			if (seed & 1)
				event->u.spte_set.sp = UI_SP(seed >> 4 & 15);
		}
		ms_ui_key(rig->ui, (u32)keys[(seed >> 16) % (sizeof(keys) - 1)]);
		if (seed & 1 << 10)
			look(rig);
		if (!(seed >> 24 & 63))
			rig->machine.fail_listen = !rig->machine.fail_listen;
		if (!(seed >> 25 & 63))
			assert_null(ms_grid_resize(&rig->grid, 30 + (seed >> 3) % 120, 5 + (seed >> 5) % 40));
		rig->ui->quit = false;
	}
	assert_true(rig->machine.nr_listens > 100);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listens_while_open),
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_enter),
		cmocka_unit_test(test_enter_while_they_come),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_search_while_it_runs),
		cmocka_unit_test(test_listening_fails),
		cmocka_unit_test(test_command_listens),
		cmocka_unit_test(test_no_events),
		cmocka_unit_test(test_vm_goes),
		cmocka_unit_test(test_cannot_be_heard),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_rates_unheard),
		cmocka_unit_test(test_monkey),
	};

	return cmocka_run_group_tests_name("ui events", tests, NULL, NULL);
}
