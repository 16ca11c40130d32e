/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations that a thread is in (abi/ops.h): what explains an event, and for how long when an end is missed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "abi/ops.h"

#define VM 0x1000u

/* As op_enter() of the programs does it. */
static void enter(struct ops *o, u16 op, u8 cause, u32 who)
{
	ops_settle(o, op, who);
	ops_enter(o, op, cause, who == MS_OP_VCPU ? ops_kvm(o) : VM);
}

#define ENTER(op, cause, who) enter(&o, MS_OP_##op, MS_CAUSE_##cause, MS_OP_##who)
#define LEAVE(op) ops_leave(&o, MS_OP_##op)
#define CAUSE(cause) assert_int_equal(ops_cause(&o), MS_CAUSE_##cause)

/* A vCPU that runs, and takes a fault. */
static void run(struct ops *o)
{
	ops_settle(o, MS_OP_kvm_vcpu_ioctl, MS_OP_VCPU);
	ops_enter(o, MS_OP_RUN, MS_CAUSE_NONE, VM);
}

static void test_nesting(void **state)
{
	struct ops o = { 0 };

	(void)state;
	CAUSE(NONE);
	assert_int_equal(ops_kvm(&o), 0);
	run(&o);
	CAUSE(NONE);
	assert_int_equal(ops_kvm(&o), VM);
	ENTER(kvm_mmu_page_fault, FAULT, VCPU);
	CAUSE(FAULT);
	assert_true(ops_in(&o, MS_OP_kvm_mmu_page_fault));
	assert_int_equal(ops_kvm(&o), VM);
	/* The host takes memory away to have some for the fault. */
	ENTER(kvm_mmu_notifier_invalidate_range_start, NOTIFIER, NOTIFIER);
	CAUSE(NOTIFIER);
	LEAVE(kvm_mmu_notifier_invalidate_range_start);
	CAUSE(FAULT);
	/* A page is zapped with its children. */
	ENTER(__kvm_mmu_prepare_zap_page, FLOODING, KVM);
	ENTER(__kvm_mmu_prepare_zap_page, FLOODING, KVM);
	assert_int_equal(o.depth, 4);
	LEAVE(__kvm_mmu_prepare_zap_page);
	CAUSE(FLOODING);
	LEAVE(__kvm_mmu_prepare_zap_page);
	CAUSE(FAULT);
	LEAVE(kvm_mmu_page_fault);
	CAUSE(NONE);
	/* KVM_RUN ends as the system call that it is. */
	LEAVE(kvm_vcpu_ioctl);
	assert_int_equal(o.depth, 0);
	assert_false(o.in_call);
	/* An end without a beginning, which was before the probes. */
	LEAVE(kvm_vcpu_ioctl);
	assert_int_equal(o.depth, 0);
}

static void test_missed_in_a_call(void **state)
{
	struct ops o = { 0 };

	(void)state;
	/* What encloses it ends: so has it. */
	run(&o);
	ENTER(kvm_mmu_page_fault, FAULT, VCPU);
	ENTER(kvm_mmu_new_pgd, CR3, VCPU);
	LEAVE(kvm_mmu_page_fault);
	CAUSE(NONE);
	assert_int_equal(o.depth, 1);
	/* It begins again: it has ended, with all that was in it. */
	ENTER(kvm_mmu_page_fault, FAULT, VCPU);
	ENTER(kvm_mmu_new_pgd, CR3, VCPU);
	ENTER(kvm_mmu_page_fault, FAULT, VCPU);
	assert_int_equal(o.depth, 2);
	LEAVE(kvm_mmu_page_fault);
	CAUSE(NONE);
	/* The next system call. */
	ENTER(kvm_mmu_new_pgd, CR3, VCPU);
	ENTER(kvm_vm_ioctl, IOCTL, FILE);
	CAUSE(IOCTL);
	assert_int_equal(o.depth, 1);
	LEAVE(kvm_vm_ioctl);
	assert_int_equal(o.depth, 0);
}

/* Threads of the host's, which make no system call that would end it. */
static void test_missed_outside(void **state)
{
	struct ops o = { 0 };

	(void)state;
	ENTER(kvm_mmu_notifier_invalidate_range_start, NOTIFIER, NOTIFIER);
	ENTER(kvm_zap_all_rmap_sptes, NOTIFIER, KVM);
	CAUSE(NOTIFIER);
	ENTER(kvm_mmu_notifier_clear_young, AGE, NOTIFIER);
	CAUSE(AGE);
	assert_int_equal(o.depth, 1);
	LEAVE(kvm_mmu_notifier_clear_young);
	CAUSE(NONE);
	ENTER(mmu_shrink_scan, SHRINK, WORKER);
	ENTER(kvm_mmu_notifier_release, TEARDOWN, NOTIFIER);
	LEAVE(kvm_mmu_notifier_release);
	CAUSE(NONE);
	ENTER(kvm_mmu_notifier_clear_young, AGE, NOTIFIER);
	ENTER(kvm_destroy_vm, TEARDOWN, KVM);
	assert_int_equal(o.depth, 1);
	LEAVE(kvm_destroy_vm);
	CAUSE(NONE);
	/* Within a system call they end nothing: a fault has to wait for memory. */
	run(&o);
	ENTER(kvm_mmu_page_fault, FAULT, VCPU);
	ENTER(mmu_shrink_scan, SHRINK, WORKER);
	assert_int_equal(o.depth, 3);
	LEAVE(mmu_shrink_scan);
	CAUSE(FAULT);
}

/* Deeper than is kept: counted, so that what is left comes back right. */
static void test_deep(void **state)
{
	struct ops o = { 0 };
	u32 i;

	(void)state;
	run(&o);
	for (i = 0; i < MS_OPS_MAX + 3; i++)
		ENTER(__kvm_mmu_prepare_zap_page, FLOODING, KVM);
	assert_int_equal(o.depth, MS_OPS_MAX + 4);
	for (i = 0; i < MS_OPS_MAX + 3; i++)
		LEAVE(__kvm_mmu_prepare_zap_page);
	assert_int_equal(o.depth, 1);
	LEAVE(kvm_vcpu_ioctl);
	run(&o);
	assert_int_equal(o.depth, 1);
	CAUSE(NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_missed_in_a_call),
		cmocka_unit_test(test_missed_outside),
		cmocka_unit_test(test_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
