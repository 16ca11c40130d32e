// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VMs that no flip is made in: KVM has to read and change what a guest has in its registers and memory to emulate a
 * store, and here it cannot.
 *
 * With SEV-ES (and SNP) KVM does not even try: the vCPU would make the store again, fault again, and so on for ever.
 * With SEV it tries, on ciphertext. Neither is told by a failure that the guard could see.
 *
 * KVM says so of a VM that was made encrypted (vm_type, has_protected_state, where the kernel has them), and of
 * vCPUs whose registers were handed over. Of one that KVM_SEV_INIT made so the only sign is a member of kvm_amd's own.
 * But one of kvm_amd's functions looks at that before anything else: which takes a region back that was never given.
 * No region has the size 0.
 */
#include <linux/kvm.h>
#include <asm/ibt.h>

#include "kmod/wp.h"

/* By kvm_amd itself, which stays as long as there is a VM. Takes kvm->lock. */
static bool is_sev(struct kvm *kvm)
{
	struct kvm_enc_region none = {};
	int (*unregister)(struct kvm *, struct kvm_enc_region *);
	bool traced;
	unsigned long addr = mmuscope_find_function("kvm_amd:sev_mem_enc_unregister_region", &traced);

	/* Intel, or a kernel that is built without SEV. */
	if (!addr)
		return false;
	unregister = (void *)(cpu_feature_enabled(X86_FEATURE_IBT) ? addr - ENDBR_INSN_SIZE : addr);
	return unregister(kvm, &none) != -ENOTTY;
}

static bool is_made_encrypted(const struct kvm *kvm)
{
#ifdef MMUSCOPE_HAVE_PROTECTED_STATE
	if (kvm->arch.has_protected_state)
		return true;
#endif
#ifdef MMUSCOPE_HAVE_VM_TYPE
	return kvm->arch.vm_type != KVM_X86_DEFAULT_VM && kvm->arch.vm_type != KVM_X86_SW_PROTECTED_VM;
#else
	return false;
#endif
}

bool mmuscope_vm_is_encrypted(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (READ_ONCE(vcpu->arch.guest_state_protected))
			return true;
	return is_made_encrypted(kvm) || is_sev(kvm);
}
