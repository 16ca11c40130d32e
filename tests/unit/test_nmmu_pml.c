// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both page-modification logs: the CPU's at every index (SEMANTICS E4, I 6), the one L1 reads (E5, I 7, 39),
 * and the first seed's bug (E7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmuhost.h"

#define LOG MS_SLOT_LOG_DIRTY
#define BASE 0x1000ULL /* gfn */

static _Alignas(4096) u64 log_page[512];

static void pml_host(struct host *h, u32 bugs)
{
	struct nmmu_config cfg = host_config(true);

	cfg.bugs = bugs;
	host_init(h, &cfg);
	assert_int_equal(nmmu_slot_set(h->m, 0, 1, BASE, 512, HOST_HVA, LOG), 0);
	for (u32 i = 0; i < 512; i++)
		log_page[i] = (BASE + i) << 12;
	h->v.pml.va = log_page;
}

static void test_every_index(void **state)
{
	struct nmmu_slot *slot;
	struct host h;

	(void)state;
	pml_host(&h, 0);
	slot = nmmu_slot_of(h.m, 0, BASE);
	for (u32 n = 0; n <= 512 + 3; n++) {
		/* 511: nothing; 510: one; 0: 511 of them; from 512 on the CPU has gone past 0: all. */
		u16 index = n < 512 ? n : (u16[]){ 512, 513, 0x8000, 0xffff }[n - 512];
		u32 first = index < 512 ? index + 1u : 0, events = h.events[MS_EV_pml_drain];

		memset(slot->dirty, 0, 64);
		h.m->stats.pml_entries = 0;
		h.v.pml_index = index;
		nmmu_pml_drain(&h.v);
		for (u32 i = 0; i < 512; i++)
			assert_int_equal(slot->dirty[i / 64] >> i % 64 & 1, i >= first);
		assert_int_equal(h.v.pml_index, 511);
		assert_int_equal(h.m->stats.pml_entries, 512 - first);
		assert_int_equal(h.events[MS_EV_pml_drain], events + (first < 512));
		if (first < 512)
			assert_int_equal(h.last[MS_EV_pml_drain].u.pml_drain.entries, 512 - first);
	}
	host_deinit(&h);
}

/* The CPU logs what it likes: frames of no slot, of one that does not log, of the other address space. */
static void test_strange_entries(void **state)
{
	struct host h;

	(void)state;
	pml_host(&h, 0);
	assert_int_equal(nmmu_slot_set(h.m, 0, 2, 0x8000, 64, HOST_HVA, 0), 0);
	assert_int_equal(nmmu_slot_set(h.m, 1, 1, BASE, 64, HOST_HVA, LOG), 0);
	log_page[508] = ~0ULL;
	log_page[509] = 0x8000ULL << 12;
	log_page[510] = 0;
	log_page[511] = ((BASE + 3) << 12) | 0x7ff;
	h.v.pml_index = 507;
	nmmu_pml_drain(&h.v);
	assert_int_equal(nmmu_slot_of(h.m, 0, BASE)->dirty[0], 8);
	assert_int_equal(nmmu_slot_of(h.m, 1, BASE)->dirty[0], 0);

	/* A vCPU in SMM runs on the other slots. */
	h.v.regs.smm = true;
	log_page[511] = (BASE + 4) << 12;
	h.v.pml_index = 510;
	nmmu_pml_drain(&h.v);
	assert_int_equal(nmmu_slot_of(h.m, 0, BASE)->dirty[0], 8);
	assert_int_equal(nmmu_slot_of(h.m, 1, BASE)->dirty[0], 16);
	host_deinit(&h);
}

/* vmcs02 has no PML; with the bug, addresses of L2's are marked (E7). */
static void test_guest_mode(void **state)
{
	(void)state;
	for (u32 bug = 0; bug < 2; bug++) {
		struct host h;

		pml_host(&h, bug ? 1u << NMMU_BUG_PML_L2 : 0);
		h.v.guest_mode = true;
		h.v.pml_index = 510;
		nmmu_pml_drain(&h.v);
		assert_int_equal(h.v.pml_index, bug ? 511 : 510);
		assert_int_equal(!!nmmu_slot_of(h.m, 0, BASE)->dirty[7], bug);
		host_deinit(&h);
	}
}

static void test_off(void **state)
{
	struct host h;

	(void)state;
	pml_host(&h, 0);
	h.v.pml.va = NULL;
	h.v.pml_index = 0xffff;
	nmmu_pml_drain(&h.v);
	assert_int_equal(h.events[MS_EV_pml_drain], 0);
	host_deinit(&h);
	host_init(&h, NULL);
	h.v.pml.va = log_page;
	h.v.pml_index = 0xffff;
	nmmu_pml_drain(&h.v);
	assert_int_equal(h.events[MS_EV_pml_drain], 0);
	host_deinit(&h);
}

/* --- PML12 --- */

static u64 entry_at(const struct host *h, u32 page, u32 index)
{
	u64 entry;

	memcpy(&entry, h->mem + page * 4096 + index * 8, 8);
	return entry;
}

static void test_pml12(void **state)
{
	struct host h;

	(void)state;
	pml_host(&h, 0);
	h.v.guest_mode = true;
	h.v.nested = (struct nmmu_nested){
		.kind = NMMU_NESTED_EPT, .pml = true, .pml_addr = (BASE + 9) << 12, .pml_index = 511
	};
	/* All 512, then full: at 0 the index goes below. */
	for (u32 i = 0; i < 512; i++) {
		u64 ngpa = 0xc0000000ULL + i * 4096ULL;

		assert_int_equal(nmmu_pml12_put(&h.v, ngpa | 0xabc), 0);
		assert_int_equal(entry_at(&h, 9, 511 - i), ngpa);
		assert_int_equal(h.v.nested.pml_index, (u16)(510 - i));
		assert_int_equal(h.last[MS_EV_pml12].u.pml12.index, 511 - i);
	}
	assert_int_equal(h.v.nested.pml_index, 0xffff);
	/* The log page is the guest's memory, and was written. */
	assert_int_equal(nmmu_slot_of(h.m, 0, BASE)->dirty[0], 1 << 9);
	assert_int_equal(nmmu_pml12_put(&h.v, 0x1000), -ENOSPC);
	h.v.nested.pml_index = 512;
	assert_int_equal(nmmu_pml12_put(&h.v, 0x1000), -ENOSPC);
	assert_int_equal(h.events[MS_EV_pml12], 512);

	/* Whoever has no PML12 logs nothing, and is never full. */
	h.v.nested.pml = false;
	assert_int_equal(nmmu_pml12_put(&h.v, 0x1000), 0);
	h.v.nested.pml = true;
	h.v.nested.kind = NMMU_NESTED_NPT;
	assert_int_equal(nmmu_pml12_put(&h.v, 0x1000), 0);
	h.v.nested.kind = NMMU_NESTED_EPT;
	h.v.guest_mode = false;
	assert_int_equal(nmmu_pml12_put(&h.v, 0x1000), 0);
	assert_int_equal(h.events[MS_EV_pml12], 512);
	host_deinit(&h);
}

/* I 39: the log page cannot be written: no entry, the index stays, no exit. */
static void test_pml12_unwritable(void **state)
{
	struct host h;

	(void)state;
	pml_host(&h, 0);
	assert_int_equal(nmmu_slot_set(h.m, 0, 2, 0x8000, 16, HOST_HVA + 0x400000, MS_SLOT_READONLY), 0);
	h.v.guest_mode = true;
	for (u32 i = 0; i < 3; i++) {
		h.v.nested = (struct nmmu_nested){
			.kind = NMMU_NESTED_EPT,
			.pml = true,
			.pml_index = 5,
			/* No slot; a read-only one; memory that the host has read-only. */
			.pml_addr = (u64[]){ 0x9999000, 0x8000000, BASE << 12 }[i],
		};
		h.readonly = i == 2;
		assert_int_equal(nmmu_pml12_put(&h.v, 0x1000), 0);
		assert_int_equal(h.v.nested.pml_index, 5);
		assert_int_equal(h.events[MS_EV_pml12], 0);
		assert_int_equal(nmmu_slot_of(h.m, 0, BASE)->dirty[0], 0);
	}
	host_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_index), cmocka_unit_test(test_strange_entries),
		cmocka_unit_test(test_guest_mode),  cmocka_unit_test(test_off),
		cmocka_unit_test(test_pml12),	    cmocka_unit_test(test_pml12_unwritable),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
