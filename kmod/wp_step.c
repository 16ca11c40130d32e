// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One instruction of a vCPU, and then a look at it: what lets a store through with nothing behind it unseen.
 *
 * KVM can single-step a guest for a debugger (KVM_SET_GUEST_DEBUG). The same is asked of it here, by the
 * vCPU's own thread: the trap flag is set where the guest does not see it, interrupts wait
 * (KVM_GUESTDBG_BLOCKIRQ), and the exit to the VMM that ends the step is taken back. It is refused where
 * somebody else has use for these: the guest traps itself or has breakpoints of its own (one #DB may tell of both,
 * and would be taken for the step's), or the VMM debugs it. Refused, too, is an instruction that may fault behind
 * its store, in another page: the guest would find the trap flag in what it saves.
 *
 * Whose step it is says the tracker, which no VMM writes. A bit of our own in vcpu->guest_debug, which KVM does not
 * look at, says that the VMM has not set another one meanwhile (KVM_SET_GUEST_DEBUG); alone it means nothing.
 *
 * A step must not outlive the flips, or the VMM would get an exit that it did not ask for; and a vCPU that was
 * told to emulate a store to a flipped page must not do so unguarded because the flip ended in between. So the
 * guard stays for a while after the last flip, by a work item: until each vCPU that was left in a step by a
 * signal is put right, as soon as its mutex can be had, and no vCPU is any more in an exit that began with the
 * flip (kvm->srcu, which vCPUs hold but for when the guest runs or the VMM does).
 */
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <asm/cpuid.h>

#include "kmod/wp.h"
#include "kmod/wp_insn.h"

#define STEP_OURS (1u << 30)
#define STEP_BITS (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ | STEP_OURS)

#define PUT_RIGHT_EVERY (HZ / 100 ?: 1)
/* A vCPU may be parked for as long as its VMM likes: after so many looks there is one each second. */
#define PUT_RIGHT_OFTEN 100

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
	return READ_ONCE(vcpu->guest_debug) == STEP_BITS && mmuscope_vm_steps(vcpu);
}

/* The area of all that this CPU can save, in its longer form; WP_REACH_FAR: longer than a page. */
static u32 xsave_bytes(void)
{
	u32 eax, ebx, ecx, edx, compact;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return WP_REACH_FXSAVE;
	cpuid_count(0xd, 1, &eax, &compact, &ecx, &edx);
	cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx);
	return min_t(u32, max(ecx, compact), WP_REACH_FAR);
}

/* The bytes at the vCPU's RIP that can be read, up to the longest instruction. */
static u32 read_insn(struct kvm_vcpu *vcpu, u8 *insn)
{
	const u64 rip = kvm_get_linear_rip(vcpu);
	u32 nr = 0, part;
	gpa_t gpa;

	for (; nr < WP_INSN_MAX; nr += part) {
		part = min_t(u32, WP_INSN_MAX - nr, PAGE_SIZE - offset_in_page(rip + nr));
		gpa = kvm_mmu_gva_to_gpa_read(vcpu, rip + nr, NULL);
		if (gpa == INVALID_GPA || kvm_vcpu_read_guest(vcpu, gpa, insn + nr, part))
			break;
	}
	return nr;
}

/* Neither are a page walk, whose instruction may fault, and the delivery of an event, which is one. */
bool mmuscope_step_may(struct kvm_vcpu *vcpu, u64 gpa, enum mmuscope_wp_kind kind)
{
	u8 insn[WP_INSN_MAX];
	u32 reach;

	if (kind != MMUSCOPE_WP_THROUGH)
		return false;
	reach = wp_insn_reach(insn, read_insn(vcpu, insn));
	if (reach == WP_REACH_XSAVE)
		reach = xsave_bytes();
	return offset_in_page(gpa) + reach <= PAGE_SIZE;
}

bool mmuscope_step_begin(struct mmuscope_tracker *t, struct kvm_vcpu *vcpu)
{
	const unsigned long rflags = kvm_get_rflags(vcpu);

	if (mmuscope_is_stepping(vcpu))
		return true;
	/* Unguarded: nobody would put it right after the last flip. */
	if (vcpu->guest_debug || (rflags & X86_EFLAGS_TF) || (vcpu->arch.dr7 & DR7_BP_EN_MASK) ||
	    !READ_ONCE(t->guarded))
		return false;
	set_bit(vcpu->vcpu_idx, t->stepping);
	WRITE_ONCE(vcpu->guest_debug, STEP_BITS);
	/* Whatever the VMM does with KVM_SET_GUEST_DEBUG lifts it, or sees our bits from here on. */
	kvm_set_or_clear_apicv_inhibit(vcpu->kvm, APICV_INHIBIT_REASON_BLOCKIRQ, true);
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
	mmuscope_vm_step_ended(vcpu);
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
		mmuscope_queue_delayed(&t->ending, t->looks++ < PUT_RIGHT_OFTEN ? PUT_RIGHT_EVERY : HZ);
		return;
	}
	/* The memory may stay longer than the VM, and another VM may get its address. */
	bitmap_zero(t->stepping, KVM_MAX_VCPUS);
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
	t->looks = 0;
	mmuscope_queue_delayed(&t->ending, PUT_RIGHT_EVERY);
}
