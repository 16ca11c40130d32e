// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What keeps a guest alive whose stores KVM is made to emulate, and cannot.
 *
 * KVM emulates a store to a frame whose writes are tracked. When its emulator does not know the instruction
 * it gives up: L1 is ended with an internal error or gets an exception, L2 an exception that its program
 * never made; where KVM expects that un-shadowing the frame would help it lets the guest try again, for ever.
 * And a CPU that walks the guest's tables writes their A and D bits, which no emulation of an instruction
 * stands for.
 *
 * While there are flips, three of KVM's functions are therefore entered through ones of ours, by way of
 * ftrace, in the vCPU's own context, where one may sleep:
 *	x86_emulate_instruction()  for a flipped frame is tried without KVM's own retry; if it fails, what it
 *				   queued is taken back, the flip lifted, and the guest entered again: the
 *				   CPU makes the store
 *	kvm_mmu_page_fault()	   lifts the flip before a walk of the CPU's is handled
 *	svm_handle_exit()	   looks whether a vCPU is past what was let through, and arms the flip again
 * The one instruction that is let through is single-stepped where that is possible (wp_step.c): nothing else
 * of this vCPU's goes unseen.
 *
 * An emulator's failure is told by KVM's own counter; an exception other than #PF and #DB is one, too: the
 * CPU had got as far as to store, so the instruction itself was sound.
 */
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <asm/ibt.h>

#include "kmod/wp.h"

enum { G_EMULATE, G_FAULT, G_EXIT, G_NR };

/* Each is noinline and no tail call leaves it: the module's reference is given back last. */
static int guard_emulate(struct kvm_vcpu *vcpu, gpa_t addr, int type, void *insn, int insn_len);
static int guard_fault(struct kvm_vcpu *vcpu, gpa_t addr, u64 error, void *insn, int insn_len);
static int guard_exit(struct kvm_vcpu *vcpu, int fastpath);

static struct hook {
	const char *names[4]; /* tried in this order */
	void *guard;
	unsigned long addr; /* of the place where ftrace enters */
	unsigned long body; /* where the function goes on */
} hooks[G_NR] = {
	[G_EMULATE] = { { "kvm:x86_emulate_instruction", "x86_emulate_instruction" }, guard_emulate },
	[G_FAULT] = { { "kvm:kvm_mmu_page_fault", "kvm_mmu_page_fault" }, guard_fault },
	/* VMX's is left out: on the emulated Intel a vCPU did not get past a store that was let through. */
	[G_EXIT] = { { "kvm_amd:svm_handle_exit", "svm_handle_exit" }, guard_exit },
};

static DEFINE_MUTEX(guard_lock);
static unsigned int nr_users;

/* The frame that a vCPU's fault is about; false: it cannot be told, or KVM will see no store in it. */
static bool fault_gpa(struct kvm_vcpu *vcpu, gpa_t addr, gpa_t *ret)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	gpa_t gpa = addr;

	/* An L2 GPA through L1's tables, or a linear address through the guest's. */
	if (!mmu->root_role.direct)
		gpa = mmu->gva_to_gpa(vcpu, mmu, addr, PFERR_USER_MASK, NULL);
	if (gpa == INVALID_GPA && !mmu->root_role.direct)
		gpa = mmu->gva_to_gpa(vcpu, mmu, addr, 0, NULL);
	*ret = gpa;
	return gpa != INVALID_GPA;
}

static bool is_failure(u8 vector)
{
	return vector != PF_VECTOR && vector != DB_VECTOR;
}

/*
 * KVM's own functions. None takes six arguments: where guard_enter() is asked again the sixth tells it that it
 * is us.
 */
static int their_emulate(struct kvm_vcpu *vcpu, gpa_t addr, int type, void *insn, int insn_len)
{
	int (*body)(struct kvm_vcpu *, gpa_t, int, void *, int, struct hook *) =
		(void *)READ_ONCE(hooks[G_EMULATE].body);

	return body(vcpu, addr, type, insn, insn_len, &hooks[G_EMULATE]);
}

static int their_fault(struct kvm_vcpu *vcpu, gpa_t addr, u64 error, void *insn, int insn_len)
{
	int (*body)(struct kvm_vcpu *, gpa_t, u64, void *, int, struct hook *) =
		(void *)READ_ONCE(hooks[G_FAULT].body);

	return body(vcpu, addr, error, insn, insn_len, &hooks[G_FAULT]);
}

static int their_exit(struct kvm_vcpu *vcpu, int fastpath)
{
	int (*body)(struct kvm_vcpu *, int, int, int, int, struct hook *) =
		(void *)READ_ONCE(hooks[G_EXIT].body);

	return body(vcpu, fastpath, 0, 0, 0, &hooks[G_EXIT]);
}

/* The emulator gave up, and was not asked to by the guest. */
static bool has_failed(const struct kvm_vcpu *vcpu, u64 failed_before)
{
	const struct kvm_vcpu_arch *arch = &vcpu->arch;

	return vcpu->stat.insn_emulation_fail != failed_before ||
	       (arch->exception.pending && is_failure(arch->exception.vector)) ||
	       (arch->exception_vmexit.pending && is_failure(arch->exception_vmexit.vector));
}

/*
 * A store that was to be emulated for a flip that ended meanwhile is taken back, too: the guest makes it again
 * and is not stopped. Should it be KVM's own tracking that stops it, the same happens once more and is KVM's.
 */
static int emulate_tracked(struct mmuscope_tracker *t, struct kvm_vcpu *vcpu, gpa_t addr, int type,
			   void *insn, int insn_len)
{
	const u64 failed = vcpu->stat.insn_emulation_fail;
	struct kvm_vcpu_arch *arch = &vcpu->arch;
	bool flipped;
	gpa_t gpa;
	int r;

	flipped = fault_gpa(vcpu, addr, &gpa) && mmuscope_tracker_has(t, gpa >> PAGE_SHIFT);
	/* While the flip is lifted it can only be KVM's own tracking that stops the store: which KVM gives up then. */
	if (flipped && mmuscope_tracker_stops(t, gpa >> PAGE_SHIFT))
		type &= ~EMULTYPE_ALLOW_RETRY_PF;
	r = their_emulate(vcpu, addr, type, insn, insn_len);
	if (!has_failed(vcpu, failed) || (!flipped && !mmuscope_vm_removes(vcpu->kvm)))
		return r;
	arch->exception.pending = false;
	arch->exception.injected = false;
	arch->exception_vmexit.pending = false;
	if (flipped)
		mmuscope_tracker_lift(t, vcpu, gpa, MMUSCOPE_WP_THROUGH);
	return 1;
}

static noinline int guard_emulate(struct kvm_vcpu *vcpu, gpa_t addr, int type, void *insn, int insn_len)
{
	struct mmuscope_tracker *t = NULL;
	int r;

	__module_get(THIS_MODULE);
	if ((type & EMULTYPE_PF) && !(type & EMULTYPE_NO_DECODE))
		t = mmuscope_tracker_find(vcpu->kvm);
	if (t) {
		r = emulate_tracked(t, vcpu, addr, type, insn, insn_len);
		mmuscope_tracker_put(t);
	} else {
		r = their_emulate(vcpu, addr, type, insn, insn_len);
	}
	module_put(THIS_MODULE);
	return r;
}

/*
 * A write of the processor's own, which no emulated instruction stands for: to the tables it walks, or to the stack
 * on which it delivers an event. KVM would emulate the instruction that the event came before, and lose the event
 * or deliver it too late.
 */
static bool is_processors(const struct kvm_vcpu *vcpu, u64 error, enum mmuscope_wp_kind *ret)
{
	const u64 write = PFERR_WRITE_MASK | PFERR_PRESENT_MASK;
	const struct kvm_vcpu_arch *arch = &vcpu->arch;
	const bool walk = error & PFERR_GUEST_PAGE_MASK;

	*ret = walk ? MMUSCOPE_WP_WALK : MMUSCOPE_WP_EVENT;
	return (error & write) == write &&
	       (walk || arch->exception.injected || arch->interrupt.injected || arch->nmi_injected);
}

static noinline int guard_fault(struct kvm_vcpu *vcpu, gpa_t addr, u64 error, void *insn, int insn_len)
{
	enum mmuscope_wp_kind kind;
	struct mmuscope_tracker *t;
	gpa_t gpa;
	int r;

	__module_get(THIS_MODULE);
	if (is_processors(vcpu, error, &kind)) {
		t = mmuscope_tracker_find(vcpu->kvm);
		if (t && fault_gpa(vcpu, addr, &gpa) && mmuscope_tracker_has(t, gpa >> PAGE_SHIFT))
			mmuscope_tracker_lift(t, vcpu, gpa, kind);
		if (t)
			mmuscope_tracker_put(t);
	}
	r = their_fault(vcpu, addr, error, insn, insn_len);
	module_put(THIS_MODULE);
	return r;
}

static noinline int guard_exit(struct kvm_vcpu *vcpu, int fastpath)
{
	int r;

	__module_get(THIS_MODULE);
	mmuscope_tracker_exit(vcpu);
	r = their_exit(vcpu, fastpath);
	r = mmuscope_step_exit(vcpu, r);
	module_put(THIS_MODULE);
	return r;
}

/* Are we asked again about calls of our own? See find_hooks(). */
static bool notrace is_asked_again(void)
{
	return cpu_feature_enabled(X86_FEATURE_IBT);
}

static void notrace guard_enter(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
				struct ftrace_regs *fregs)
{
	struct pt_regs *regs = ftrace_get_regs(fregs);
	unsigned int i;

	for (i = 0; regs && i < G_NR; i++) {
		if (hooks[i].addr != ip)
			continue;
		/* Where a function's end jumps to another one's beginning the register is as it was: once is enough. */
		if (is_asked_again() && regs->r9 == (unsigned long)&hooks[i])
			regs->r9 = 0;
		else
			regs->ip = (unsigned long)hooks[i].guard;
	}
}

static struct ftrace_ops guard_ops = {
	.func = guard_enter,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT,
};

unsigned long mmuscope_find_function(const char *name, bool *traced_ret)
{
	struct kprobe probe = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };
	unsigned long addr;

	*traced_ret = false;
	if (!name || register_kprobe(&probe))
		return 0;
	addr = (unsigned long)probe.addr;
	*traced_ret = probe.flags & KPROBE_FLAG_FTRACE;
	unregister_kprobe(&probe);
	return addr;
}

/*
 * Behind the place where ftrace enters, so that whoever else listens there hears of each call once. With
 * indirect-branch tracking one may only go to a function's beginning.
 */
static int find_hooks(void)
{
	unsigned long body, addr;
	unsigned int i, n;
	bool traced;

	for (i = 0; i < G_NR; i++) {
		for (n = 0; n < ARRAY_SIZE(hooks[i].names) && !hooks[i].addr; n++) {
			addr = mmuscope_find_function(hooks[i].names[n], &traced);
			hooks[i].addr = traced ? addr : 0;
		}
		if (!hooks[i].addr)
			return -EBUSY;
		body = hooks[i].addr + MCOUNT_INSN_SIZE;
		if (is_asked_again())
			body = hooks[i].addr - ENDBR_INSN_SIZE;
		/* At once: a vCPU may still be in a guard of an earlier use. */
		WRITE_ONCE(hooks[i].body, body);
	}
	return 0;
}

int mmuscope_guard_get(void)
{
	unsigned long addrs[G_NR];
	unsigned int i;
	int err = 0;

	mutex_lock(&guard_lock);
	if (nr_users++)
		goto out;
	/* Again each time: KVM's modules may have been loaded anew. */
	for (i = 0; i < G_NR; i++)
		hooks[i].addr = 0;
	err = find_hooks();
	for (i = 0; i < G_NR; i++)
		addrs[i] = hooks[i].addr;
	if (!err)
		err = ftrace_set_filter_ips(&guard_ops, addrs, G_NR, 0, 1);
	if (!err)
		err = register_ftrace_function(&guard_ops);
	if (err) {
		nr_users--;
		pr_warn("mmuscope: KVM's functions cannot be guarded (%d)\n", err);
		err = -EBUSY;
	}
out:
	mutex_unlock(&guard_lock);
	return err;
}

/* Afterwards nobody enters; who is inside holds a reference of the module, for ftrace waits for those on their way. */
void mmuscope_guard_put(void)
{
	mutex_lock(&guard_lock);
	if (!--nr_users)
		unregister_ftrace_function(&guard_ops);
	mutex_unlock(&guard_lock);
}
