// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whose doing an event is: that of the vCPU that is in the engine, however deep below it was raised, or
 * nobody's when the host or the VMM is; also when another gets in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/faultlab.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define POOL_GFN 0x1000
#define POOL_PAGES 256
#define EPT_BITS 0x337ULL /* RWX WB A D */
#define EPT_UPPER 0x107ULL
#define PT_BITS 0x67ULL /* P W U A D */
#define PT_UPPER 0x27ULL

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

struct who {
	u16 now; /* whose turn it is */
	u32 seen[MS_EV_NR];
	enum nmmu_point point;
	u32 skip;
	bool done;
	void (*act)(struct lab *lab);
};

static void judge(struct lab *lab, const struct ms_event *event)
{
	struct who *who = lab->ctx;

	who->seen[event->id]++;
	if (event->vcpu != who->now)
		fail_msg("event %u of %#x was told as %#x's", event->id, who->now, event->vcpu);
}

static void act_as(struct lab *lab, u16 vcpu)
{
	struct who *who = lab->ctx;

	who->now = vcpu;
}

static struct ms_run access_by(struct lab *lab, u16 vcpu, u64 gva, bool write)
{
	struct nmmu_access access = { .gva = gva, .bytes = 8, .write = write, .value = 5 };
	struct who *who = lab->ctx;
	u16 before = who->now;
	struct ms_run run;

	act_as(lab, vcpu);
	ms_machine_access(lab->mm, vcpu, &access, &run);
	act_as(lab, before);
	assert_int_equal(run.error, 0);
	return run;
}

static void start(struct lab *lab, struct who *who, const struct nmmu_config *cfg)
{
	u32 id;

	memset(who, 0, sizeof(*who));
	lab_init(lab, cfg, 1);
	lab_ok(ms_machine_add_vcpu(lab->mm, &id));
	assert_int_equal(id, 1);
	lab->ctx = who;
	lab->on_event = judge;
	act_as(lab, MS_EV_NO_VCPU);
}

static void finish(struct lab *lab)
{
	/* What goes when a vCPU ends is told as its. */
	lab->on_event = NULL;
	lab_deinit(lab);
}

static void take_log(struct lab *lab)
{
	static u64 bitmap[LAB_PAGES / 64];

	assert_int_equal(ms_machine_log_get(lab->mm, 0, 0, bitmap), 0);
}

static void saw(const struct who *who, u32 event)
{
	if (!who->seen[event])
		fail_msg("no event %u", event);
}

/*
 * Shadow paging, for it does the most: a vCPU's faults, the tables it writes and flushes, and what the host
 * does to it.
 */
static void told_as_whose(void **state)
{
	struct nmmu_regs regs = { .cr0 = LAB_CR0_PE | LAB_CR0_PG | LAB_CR0_WP,
				  .cr4 = LAB_CR4_PAE,
				  .efer = LAB_EFER_LME };
	static const u32 of_vcpu[] = { MS_EV_spte_set, MS_EV_sp_create, MS_EV_root_load, MS_EV_flush_vcpu,
				       MS_EV_wp,       MS_EV_flush,	MS_EV_unsync,	 MS_EV_sync,
				       MS_EV_sp_zap,   MS_EV_sp_free,	MS_EV_root_free };
	static const u32 of_host[] = { MS_EV_spte_set, MS_EV_sp_zap, MS_EV_sp_free, MS_EV_flush, MS_EV_wp };
	u32 k, i;

	(void)state;
	for (k = 0; k < NR(kernels); k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		struct ms_tables *t;
		struct who who;
		struct lab lab;
		u64 leaf;

		cfg.tdp = cfg.exec_only = false;
		start(&lab, &who, &cfg);
		lab_ok(ms_tables_create(lab.mm, NMMU_GPT_64, 4, POOL_GFN, POOL_PAGES, &t));
		lab_map(t, 0x600000, 0x8000, 1, PT_BITS, PT_UPPER);
		leaf = ms_tables_entry(t, 0x600000, 1);
		/* The table maps itself, so that the guest can write it. */
		lab_map(t, 0x700000, leaf >> 12, 1, PT_BITS, PT_UPPER);
		lab_map(t, 0x40000000, 0x8002, 1, PT_BITS, PT_UPPER);
		regs.cr3 = ms_tables_root_gfn(t) << 12;
		for (i = 0; i < 2; i++) {
			act_as(&lab, (u16)i);
			assert_int_equal(ms_machine_set_regs(lab.mm, i, &regs), 0);
		}

		/* vCPU 1: the table becomes writable and unsync, is written, and flushed. */
		access_by(&lab, 1, 0x600000, true);
		access_by(&lab, 1, 0x40000000, true);
		access_by(&lab, 1, 0x700000 + (leaf & 0xfff) + 8, true);
		act_as(&lab, 1);
		ms_machine_flush_guest(lab.mm, 1);
		access_by(&lab, 1, 0x40000000, true);
		/*
		 * vCPU 0: writes above level 1 are emulated and told to the shadow; then all of it is
		 * dropped.
		 */
		access_by(&lab, 0, 0x600000, false);
		act_as(&lab, MS_EV_NO_VCPU);
		lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
		take_log(&lab);
		access_by(&lab, 0, 0x600000, true);
		take_log(&lab);
		nmmu_invalidate_begin(lab.m, LAB_SLOT_HVA, LAB_SLOT_HVA + (0x9000ULL << 12));
		nmmu_invalidate_end(lab.m, LAB_SLOT_HVA, LAB_SLOT_HVA + (0x9000ULL << 12));
		memset(&who.seen, 0, sizeof(who.seen));
		nmmu_zap_all(lab.m);
		lab_set_slot_flags(&lab, 0);
		lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
		access_by(&lab, 0, 0x600000, true);
		access_by(&lab, 1, 0x600000, true);
		take_log(&lab);
		nmmu_zap_all(lab.m);
		for (i = 0; i < NR(of_host); i++)
			saw(&who, of_host[i]);
		ms_tables_destroy(t);
		finish(&lab);

		/* The same kinds again, of vCPUs alone. */
		start(&lab, &who, &cfg);
		lab_ok(ms_tables_create(lab.mm, NMMU_GPT_64, 4, POOL_GFN, POOL_PAGES, &t));
		lab_map(t, 0x600000, 0x8000, 1, PT_BITS, PT_UPPER);
		leaf = ms_tables_entry(t, 0x600000, 1);
		lab_map(t, 0x700000, leaf >> 12, 1, PT_BITS, PT_UPPER);
		lab_map(t, 0x40000000, 0x8002, 1, PT_BITS, PT_UPPER);
		lab_map(t, 0x710000, ms_tables_entry(t, 0x40000000, 2) >> 12, 1, PT_BITS, PT_UPPER);
		act_as(&lab, 1);
		assert_int_equal(ms_machine_set_regs(lab.mm, 1, &regs), 0);
		access_by(&lab, 1, 0x710000, false);
		access_by(&lab, 1, 0x40000000, true);
		access_by(&lab, 1, 0x700000 + (leaf & 0xfff) + 8, true);
		act_as(&lab, 1);
		ms_machine_flush_guest(lab.mm, 1);
		access_by(&lab, 1, 0x600000, true);
		/* Flooding, and another role. */
		for (i = 0; i < 8; i++)
			access_by(&lab, 1, 0x710000 + 0x800 + 8 * i, true);
		regs.cr4 ^= LAB_CR4_PSE;
		act_as(&lab, 1);
		assert_int_equal(ms_machine_set_regs(lab.mm, 1, &regs), 0);
		access_by(&lab, 1, 0x600000, true);
		for (i = 0; i < NR(of_vcpu); i++)
			saw(&who, of_vcpu[i]);
		ms_tables_destroy(t);
		finish(&lab);
	}
}

/* --- another in between --- */

static void intrude(struct lab *lab, enum nmmu_point point)
{
	struct who *who = lab->ctx;

	if (who->done || point != who->point || who->skip--)
		return;
	who->done = true;
	who->act(lab);
}

static void act_other(struct lab *lab)
{
	access_by(lab, 1, 0x500000, true);
}

static void act_host(struct lab *lab)
{
	act_as(lab, MS_EV_NO_VCPU);
	nmmu_zap_all(lab->m);
	act_as(lab, 0);
}

/* mmu_lock may be another's: all that this does is one exchange. */
static void act_fast(struct lab *lab)
{
	struct ms_run run = access_by(lab, 1, 0x400000, true);

	assert_true(run.last.fast);
}

static void in_between(void **state)
{
	static const struct {
		enum nmmu_point point;
		void (*act)(struct lab *lab);
	} cases[] = {
		{ NMMU_POINT_LOCK, act_other },	  { NMMU_POINT_PFN_RESOLVED, act_other },
		{ NMMU_POINT_UNLOCK, act_other }, { NMMU_POINT_LOCK, act_host },
		{ NMMU_POINT_UNLOCK, act_host },  { NMMU_POINT_SPTE_STORED, act_fast },
		{ NMMU_POINT_FLUSH, act_fast },	  { NMMU_POINT_LOCK, act_fast },
	};
	u32 i, skip, happened = 0;

	(void)state;
	for (i = 0; i < NR(cases); i++)
		for (skip = 0; skip < 6; skip++) {
			struct nmmu_config cfg = lab_config(false, kernels[skip % 2]);
			struct who who;
			struct lab lab;
			u32 before;

			start(&lab, &who, &cfg);
			access_by(&lab, 1, 0x400000, true);
			lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
			access_by(&lab, 1, 0x400000, false);
			take_log(&lab);
			who.point = cases[i].point;
			who.act = cases[i].act;
			who.skip = skip;
			before = who.seen[MS_EV_spte_set];
			lab.on_yield = intrude;
			access_by(&lab, 0, 0x600000, true);
			lab.on_yield = NULL;
			happened += who.done;
			assert_true(who.seen[MS_EV_spte_set] > before + who.done);
			finish(&lab);
		}
	assert_true(happened >= 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_as_whose),
		cmocka_unit_test(in_between),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
