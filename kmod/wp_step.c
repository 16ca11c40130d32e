// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One instruction of a vCPU, and then a look at it: what lets a store through with nothing behind it unseen.
 *
 * KVM can single-step a guest for a debugger (KVM_SET_GUEST_DEBUG). The same is asked of it here, by the
 * vCPU's own thread: the trap flag is set where the guest does not see it, interrupts wait
 * (KVM_GUESTDBG_BLOCKIRQ), and the exit to the VMM that ends the step is taken back. It is refused where
 * somebody else has use for these: the guest traps itself, or the VMM debugs it. A bit of our own in
 * vcpu->guest_debug, which KVM does not look at, tells our steps from a debugger's.
 *
 * A step must not outlive the flips, or the VMM would get an exit that it did not ask for; and a vCPU that was
 * told to emulate a store to a flipped page must not do so unguarded because the flip ended in between. So the
 * guard stays for a while after the last flip, by a work item: until each vCPU that was left in a step by a
 * signal is put right, as soon as its mutex can be had, and no vCPU is any more in an exit that began with the
 * flip (kvm->srcu, which vCPUs hold but for when the guest runs or the VMM does).
 */
#include <linux/module.h>
#include <linux/sched/mm.h>

#include "kmod/wp.h"

#define STEP_OURS (1u << 30)
#define STEP_BITS (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ | STEP_OURS)

#define PUT_RIGHT_EVERY (HZ / 100 ?: 1)

/* Vendors have APICs that hand interrupts to a guest without KVM, which cannot make these wait. */
static void apicv_update(struct kvm *kvm, bool flips)
{
	bool inhibit = flips;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		inhibit |= !!(READ_ONCE(vcpu->guest_debug) & KVM_GUESTDBG_BLOCKIRQ);
	kvm_set_or_clear_apicv_inhibit(kvm, APICV_INHIBIT_REASON_BLOCKIRQ, inhibit);
}

void mmuscope_steps_allow(struct kvm *kvm)
{
	apicv_update(kvm, true);
}

bool mmuscope_is_stepping(const struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->guest_debug) & STEP_OURS;
}

bool mmuscope_step_begin(struct kvm_vcpu *vcpu)
{
	const unsigned long rflags = kvm_get_rflags(vcpu);

	if (mmuscope_is_stepping(vcpu))
		return true;
	if (vcpu->guest_debug || (rflags & X86_EFLAGS_TF))
		return false;
	WRITE_ONCE(vcpu->guest_debug, STEP_BITS);
	vcpu->arch.singlestep_rip = kvm_get_linear_rip(vcpu);
	/* Sets the flag, for the RIP is the step's. */
	kvm_set_rflags(vcpu, rflags);
	return true;
}

/* By the vCPU itself, or with it loaded. */
static void step_end(struct kvm_vcpu *vcpu)
{
	const unsigned long rflags = kvm_get_rflags(vcpu);

	WRITE_ONCE(vcpu->guest_debug, 0);
	kvm_set_rflags(vcpu, rflags);
}

int mmuscope_step_exit(struct kvm_vcpu *vcpu, int r)
{
	const struct kvm_run *run = vcpu->run;
	bool made, on;

	if (!mmuscope_is_stepping(vcpu))
		return r;
	made = !r && run->exit_reason == KVM_EXIT_DEBUG && run->debug.arch.exception == DB_VECTOR;
	/* An interrupt of the host's, or the fault that maps the frame: the step is still to be made. */
	on = r > 0 && kvm_is_linear_rip(vcpu, vcpu->arch.singlestep_rip);
	if (on && mmuscope_tracker_waits(vcpu))
		return r;
	step_end(vcpu);
	mmuscope_tracker_stepped(vcpu, made);
	return made ? 1 : r;
}

/* --- the end --- */

/* Are there vCPUs left in a step? Those that can be had are put right. */
static bool put_right(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	bool left = false;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!mmuscope_is_stepping(vcpu))
			continue;
		if (!mutex_trylock(&vcpu->mutex)) {
			/* It runs: it will look at itself when it exits. */
			kvm_vcpu_kick(vcpu);
			left = true;
			continue;
		}
		vcpu_load(vcpu);
		if (mmuscope_is_stepping(vcpu))
			step_end(vcpu);
		vcpu_put(vcpu);
		mutex_unlock(&vcpu->mutex);
	}
	return left;
}

/* Without its memory no vCPU runs again; but the grace period is waited for: it is the VM's that goes next. */
static bool is_over(struct mmuscope_tracker *t)
{
	struct kvm *kvm = t->kvm;

	return !(atomic_read(&kvm->mm->mm_users) && put_right(kvm)) && !mmuscope_vm_removes(kvm);
}

static void ending_work(struct work_struct *work)
{
	struct mmuscope_tracker *t = container_of(to_delayed_work(work), struct mmuscope_tracker, ending);
	struct kvm *kvm = t->kvm;

	if (!is_over(t)) {
		mmuscope_queue_delayed(&t->ending, PUT_RIGHT_EVERY);
		return;
	}
	WRITE_ONCE(t->removed, false);
	t->ends = false;
	mmuscope_tracker_put(t);
	kvm_put_kvm(kvm);
	mmuscope_guard_put();
	module_put(THIS_MODULE);
}

void mmuscope_steps_init(struct mmuscope_tracker *t)
{
	INIT_DELAYED_WORK(&t->ending, ending_work);
}

bool mmuscope_steps_go_on(struct mmuscope_tracker *t)
{
	/* Whether it was pending says nothing: it may have run, not been over, and could not start itself anew. */
	cancel_delayed_work_sync(&t->ending);
	if (!t->ends)
		return false;
	t->ends = false;
	kvm_put_kvm(t->kvm);
	mmuscope_tracker_put(t);
	module_put(THIS_MODULE);
	return true;
}

void mmuscope_steps_end(struct mmuscope_tracker *t)
{
	struct kvm *kvm = t->kvm;

	if (atomic_read(&kvm->mm->mm_users))
		apicv_update(kvm, false);
	__module_get(THIS_MODULE);
	kvm_get_kvm(kvm);
	kref_get(&t->kref);
	t->ends = true;
	mmuscope_queue_delayed(&t->ending, PUT_RIGHT_EVERY);
}
