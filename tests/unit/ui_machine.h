/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small machine for the interface's tests, as a target: two VMs on a VMX host of 6.1's format, one of them
 * running a nested guest. It holds what a view has to tell apart, and can be told to change between two
 * reads. Deterministic; nothing here is a claim about KVM.
 *
 *   VM A (pid 4242), 2 vCPUs; vCPU 0 runs L2 on its guest_mmu:
 *     TDP:    L4 [0]-> L3 [0]-> L2 [0]-> L1: entry i maps gfn i; 0..9 RW, 10..12 DL, 13 RO, 14 frozen
 *                              L2 [1] : 2M leaf, gfn 512
 *     shadow: L4 [0]-> L3 [1]-> L2 [3]-> L1, unsync: 5 RW (gfn 0x1000), 6 WP (gfn 3), 7 MMIO (gfn 0xfee00),
 *                                              8 unknown
 *     a torn L1 page below entry 4 of that L2, an unlinked one that no root reaches
 *   VM B (pid 77): a name that tries to talk to the terminal; no pages
 */
#ifndef TESTS_UI_MACHINE_H
#define TESTS_UI_MACHINE_H

#include "target/target.h"

#define UI_KVM_A 0xffff888010000000ull
#define UI_KVM_B 0xffff888020000000ull
#define UI_SP(n) (0xffff888011000000ull + (n)*0x100ull) /* n-th page of VM A */
enum {
	UI_SP_TDP_L4,
	UI_SP_TDP_L3,
	UI_SP_TDP_L2,
	UI_SP_TDP_L1,
	UI_SP_SHADOW_L4,
	UI_SP_SHADOW_L3,
	UI_SP_SHADOW_L2,
	UI_SP_SHADOW_L1,
	UI_SP_TORN,
	UI_SP_UNLINKED,
	UI_SP_FIRST_EXTRA,
};

struct ui_machine {
	struct ms_target target;
	unsigned int nr_vms; /* 0..2; 2: A and B */
	unsigned int nr_extra; /* further L1 pages below the TDP L2 table's siblings, for size */
	bool newest_first; /* the order in which pages are found, turned round */
	bool circles; /* tables that lead to themselves or upwards, levels that are none */
	bool pins; /* gfns 2, 3 and 512 (2M) are pinned and mapped, gfn 0x1000 of L2's leaf zapped */
	bool fail; /* reads fail */
	unsigned int nr_reads;
	/* What happens: the caller's, handed out to who listens to it, each once. */
	const struct ms_event *events;
	size_t nr_events, next_event;
	u64 lost; /* of these so many, as the listener's figures have it */
	u64 now_ns;
	u64 deaf; /* 1 << enum ms_event_id: cannot be heard */
	bool fail_listen; /* listening fails, or what is listened to */
	struct ms_listener *listener; /* NULL: nobody listens */
	unsigned int nr_listens;
};

void ui_machine_init(struct ui_machine *machine, unsigned int nr_vms);

#endif
