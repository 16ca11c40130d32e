/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/query/stuck.c: what it counts, of a vCPU and in all. Each fault has one outcome. */
#include "stuckfeed.h"

static void figures(void **state)
{
	struct ms_stuck_totals totals;
	struct ms_stuck_vcpu v;
	struct feed f;

	(void)state;
	start(&f, ALL);
	/* Its beginning was not heard. */
	done(&f, ADDR, MS_RET_FIXED);
	f.vcpu = 3;
	whole(&f, 0x1000, W, MS_RET_FIXED);
	whole(&f, 0x1000, FETCH, MS_RET_SPURIOUS);
	whole(&f, 0x1000, W, MS_RET_RETRY);
	whole(&f, 0x1000, W, MS_RET_ERROR);
	whole(&f, 0x1000, RSVD, MS_RET_EMULATE);
	inject(&f, 0x1000, W, 48, 0x182);
	fault(&f, 0x2000, W);
	fault(&f, 0x3000, W);
	done(&f, 0x3000, MS_RET_FIXED);
	/* Not of its business. */
	PUT(&f, sp_create, .sp = 1);
	f.vcpu = MS_EV_NO_VCPU;
	whole(&f, 0x1000, W, MS_RET_RETRY);
	assert_false(ms_stuck_vcpu(f.stuck, 0, &v));
	assert_false(ms_stuck_vcpu(f.stuck, MS_EV_NO_VCPU, &v));
	assert_true(ms_stuck_vcpu(f.stuck, 3, &v));
	assert_int_equal(v.faults, 8);
	assert_int_equal(v.fixed, 2);
	assert_int_equal(v.spurious, 1);
	assert_int_equal(v.retried, 1);
	assert_int_equal(v.failed, 1);
	assert_int_equal(v.emulated, 1);
	assert_int_equal(v.injected, 1);
	assert_int_equal(v.unfinished, 1);
	ms_stuck_totals(f.stuck, &totals);
	assert_int_equal(totals.no_vcpu, 1);
	assert_int_equal(totals.events, 19);
	assert_int_equal(totals.first_ns, NS);
	assert_int_equal(totals.last_ns, 20 * NS);
	stop(&f);
}

static void add_up(struct feed *f)
{
	struct ms_stuck_vcpu v;

	assert_true(ms_stuck_vcpu(f->stuck, 0, &v));
	assert_int_equal(v.faults, v.fixed + v.spurious + v.emulated + v.retried + v.injected + v.failed +
					   v.unfinished);
}

/* Each fault has one outcome, and what was given to a guest without a fault is none. */
static void outcomes_add_up(void **state)
{
	struct ms_stuck_vcpu v;
	struct feed f;

	(void)state;
	start(&f, ALL);
	f.guest = MS_EV_L2;
	/* The emulator gives it to L1, with or without an effect before. */
	whole(&f, ADDR, W, MS_RET_EMULATE);
	PUT(&f, inject, .reason = 48, .qual = 0x182, .addr = ADDR);
	whole(&f, ADDR, W, MS_RET_EMULATE);
	PUT(&f, dirty, .gfn = 1);
	PUT(&f, inject, .reason = 48, .qual = 0x182, .addr = ADDR);
	assert_true(ms_stuck_vcpu(f.stuck, 0, &v));
	assert_int_equal(v.injected, 2);
	assert_int_equal(v.emulated, 0);
	add_up(&f);
	/* Told once, by two events. */
	fault(&f, ADDR, W);
	PUT(&f, inject, .reason = 14, .qual = 6, .addr = ADDR);
	PUT(&f, inject, .reason = 0x400, .qual = 0x100000006, .addr = ADDR);
	done(&f, ADDR, MS_RET_EMULATE);
	add_up(&f);
	/* L2 has gone on: this one is of no fault. */
	whole(&f, ADDR, W, MS_RET_EMULATE);
	PUT(&f, nested_enter, .pgd = 0x5000);
	PUT(&f, inject, .reason = 48, .qual = 0x182, .addr = ADDR);
	PUT(&f, inject, .reason = 48, .qual = 0x182, .addr = ADDR);
	assert_true(ms_stuck_vcpu(f.stuck, 0, &v));
	assert_int_equal(v.injected, 3);
	assert_int_equal(v.emulated, 1);
	assert_int_equal(v.unasked, 2);
	add_up(&f);
	/* An end that says nothing, one that was missed, one that is to come. */
	whole(&f, ADDR, W, MS_RET_NONE);
	fault(&f, ADDR, W);
	fault(&f, ADDR, W);
	assert_true(ms_stuck_vcpu(f.stuck, 0, &v));
	assert_int_equal(v.unfinished, 3);
	add_up(&f);
	stop(&f);
}

/* Live, what hits an MMIO SPTE ends with `none', after it was emulated. */
static void mmio_spte(struct feed *f, bool failed, bool effect)
{
	fault(f, ADDR, RSVD);
	PUT(f, emulate, .rip = 0x401000, .failed = failed);
	if (effect)
		PUT(f, mmio, .gpa = ADDR);
	done(f, ADDR, MS_RET_NONE);
}

static void mmio_sptes(void **state)
{
	struct ms_stuck_vcpu v;
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++)
		mmio_spte(&f, false, true);
	/* What a user space device says comes later. */
	for (i = 0; i < N; i++) {
		mmio_spte(&f, false, false);
		PUT(&f, mmio, .gpa = ADDR);
	}
	finds(&f, 2, 0, NULL);
	assert_true(ms_stuck_vcpu(f.stuck, 0, &v));
	assert_int_equal(v.emulated, 2 * N);
	add_up(&f);
	stop(&f);
	start(&f, ALL);
	for (i = 0; i < N; i++)
		mmio_spte(&f, true, false);
	assert_int_equal(one(&f, MS_STUCK_EMULATION_FAILS, N).rip, 0x401000);
	assert_true(ms_stuck_vcpu(f.stuck, 0, &v));
	assert_int_equal(v.failed, N);
	add_up(&f);
	stop(&f);
	start(&f, ALL);
	for (i = 0; i < N; i++)
		mmio_spte(&f, false, false);
	one(&f, MS_STUCK_EMULATION_REPEATS, N - 1);
	add_up(&f);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures),
		cmocka_unit_test(outcomes_add_up),
		cmocka_unit_test(mmio_sptes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
