// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vCPU threads: registers, the run loop and the exits. It keeps account of what KVM hands out (MMIO,
 * writes to the read-only slot) and stops at checkpoints; it neither writes the truth nor decides when to go
 * on.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm.h"

#define KICK_SIGNAL SIGUSR2

static void kick_handler(int sig)
{
	(void)sig;
}

static void segment_set(struct kvm_segment *s, uint16_t selector, uint8_t type, bool code64)
{
	*s = (struct kvm_segment){ .limit = 0xffffffff,
				   .selector = selector,
				   .type = type,
				   .present = 1,
				   .s = 1,
				   .l = code64,
				   .db = !code64,
				   .g = 1 };
}

static void cpuid_set(struct vmm_vcpu *vcpu)
{
	size_t size = sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *cpuid = calloc(1, size);

	if (!cpuid)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	cpuid->nent = 256;
	vmm_ioctl(vcpu->vm->vmm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	vmm_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	free(cpuid);
}

void vcpu_setup(struct vmm_vcpu *vcpu)
{
	struct vmm_vm *vm = vcpu->vm;
	unsigned int bits = vm->vmm->opts.l1_bits;
	/*
	 * IF set: Bochs 2.7 gives no VM exit for the host's interrupts to a guest that was entered with IF clear, and
	 * a loop without exits would keep the machine for ever. Nothing is there that could send the guest any.
	 */
	struct kvm_regs regs = {
		.rip = GF_IMAGE_GPA, .rsp = vcpu->l1_rsp, .rflags = 0x202, .rdi = vcpu->index
	};
	struct kvm_sregs sregs;

	vcpu->fd = vmm_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)vcpu->index, "KVM_CREATE_VCPU");
	vcpu->stats_fd = stats_open(vcpu->fd);
	vcpu->run = mmap(NULL, vm->vmm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		vmm_fail(VMM_ENVIRONMENT, "mmap of a vCPU: %s", strerror(errno));
	cpuid_set(vcpu);
	vmm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	segment_set(&sregs.cs, 8, 11, true);
	segment_set(&sregs.ds, 16, 3, false);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.cr3 = vm->l1_cr3;
	/* PG, ET, MP, PE (NE stays clear: no FPU is used); PAE; LMA and LME. */
	sregs.cr0 = 0x80000013 | (bits & L1_WP ? 1u << 16 : 0);
	sregs.cr4 = 0x20 | (bits & L1_SMEP ? 1u << 20 : 0) | (bits & L1_SMAP ? 1u << 21 : 0);
	sregs.efer = 0x500 | (bits & L1_NX ? 1u << 11 : 0);
	if (vm->vmm->opts.paging)
		paging_sregs(vm, &sregs);
	vmm_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS (is a bit of --l1 missing on this CPU?)");
	vmm_ioctl(vcpu->fd, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void notify_main(struct vmm *vmm)
{
	if (eventfd_write(vmm->event_fd, 1))
		vmm_fail(VMM_ENVIRONMENT, "eventfd: %s", strerror(errno));
}

static void console_byte(struct vmm_vm *vm, unsigned char c)
{
	pthread_mutex_lock(&vm->vmm->lock);
	if (c != '\n' && vm->line_len < sizeof(vm->line) - 1) {
		vm->line[vm->line_len++] = c >= ' ' && c < 127 ? c : '?';
	} else {
		fprintf(stderr, "vmm: guest %u: %.*s\n", vm->index, (int)vm->line_len, vm->line);
		vm->line_len = 0;
	}
	pthread_mutex_unlock(&vm->vmm->lock);
}

/*
 * The guest came to a checkpoint. Outside of --hold run this returns when it has been let go, or at the end.
 */
static void checkpoint_hold(struct vmm_vcpu *vcpu)
{
	struct vmm *vmm = vcpu->vm->vmm;
	uint64_t number;

	pthread_mutex_lock(&vmm->lock);
	number = ++vcpu->arrived;
	pthread_mutex_unlock(&vmm->lock);
	notify_main(vmm);
	if (vmm->opts.hold == HOLD_RUN)
		return;
	pthread_mutex_lock(&vmm->lock);
	while (vmm->released < number && !vmm->stop)
		pthread_cond_wait(&vmm->cond, &vmm->lock);
	pthread_mutex_unlock(&vmm->lock);
}

static void guest_ended(struct vmm_vcpu *vcpu, unsigned int status)
{
	static const char *const why[] = {
		[GF_EXIT_DATA] = "the guest read a wrong value",
		[GF_EXIT_NO_NESTED] =
			"no SVM or VMX in the guest, or a part of it is missing: nested mode needs kvm_amd or "
			"kvm_intel with nested=1",
		[GF_EXIT_POOL] = "a pool for guest tables was too small",
		[GF_EXIT_UNEXPECTED] = "an exit of L2 that was not planned",
		[GF_EXIT_PROTO] = "l1.bin and vmm are of different versions",
	};
	struct vmm *vmm = vcpu->vm->vmm;

	if (status == GF_EXIT_DATA)
		vmm_fail(VMM_BAD_DATA, "VM %u: %s", vcpu->vm->index, why[status]);
	if (status == GF_EXIT_NO_NESTED)
		vmm_fail(VMM_ENVIRONMENT, "VM %u: %s", vcpu->vm->index, why[status]);
	if (status != GF_EXIT_OK)
		vmm_fail(VMM_GUEST, "VM %u: %s (%u)", vcpu->vm->index,
			 status < sizeof(why) / sizeof(why[0]) ? why[status] : "unknown exit status", status);
	pthread_mutex_lock(&vmm->lock);
	vcpu->ended = true;
	pthread_mutex_unlock(&vmm->lock);
	notify_main(vmm);
}

static void handle_io(struct vmm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	unsigned char value = *((unsigned char *)run + run->io.data_offset);

	if (run->io.direction != KVM_EXIT_IO_OUT || run->io.size != 1 || run->io.count != 1)
		vmm_fail(VMM_GUEST, "VM %u: unplanned access to port %#x", vcpu->vm->index, run->io.port);
	switch (run->io.port) {
	case GF_PORT_CONSOLE:
		console_byte(vcpu->vm, value);
		break;
	case GF_PORT_CHECKPOINT:
		checkpoint_hold(vcpu);
		break;
	case GF_PORT_TRAP:
		trace_trap(vcpu, value);
		break;
	case GF_PORT_EXIT:
		guest_ended(vcpu, value);
		break;
	default:
		vmm_fail(VMM_GUEST, "VM %u: write to unknown port %#x", vcpu->vm->index, run->io.port);
	}
}

static bool in_range(const struct gf_range *r, uint64_t gfn)
{
	return gfn >= r->l1_gfn && gfn - r->l1_gfn < r->nr * r->l1_step;
}

static void handle_mmio(struct vmm_vcpu *vcpu)
{
	struct vmm_vm *vm = vcpu->vm;
	struct kvm_run *run = vcpu->run;
	const struct gf_range *r = vm->param->range;
	uint64_t gfn = run->mmio.phys_addr >> GFN_SHIFT, value = gf_initial_value(vm->seed, gfn);
	bool known = true;

	pthread_mutex_lock(&vm->vmm->lock);
	if (in_range(&r[GF_MMIO], gfn)) {
		if (run->mmio.is_write)
			vm->mmio_writes[gfn - r[GF_MMIO].l1_gfn]++;
		else
			vm->mmio_reads[gfn - r[GF_MMIO].l1_gfn]++;
	} else if (vm->vmm->opts.stubborn_mmio && in_range(&r[GF_STUBBORN], gfn) && !run->mmio.is_write) {
		vm->stubborn_reads[gfn - r[GF_STUBBORN].l1_gfn]++;
	} else if (in_range(&r[GF_RO], gfn) && run->mmio.is_write) {
		vm->ro_writes[gfn - r[GF_RO].l1_gfn]++;
	} else if (in_range(&r[GF_STORM], gfn)) {
		vm->nr_storm_exits++;
	} else {
		known = false;
	}
	pthread_mutex_unlock(&vm->vmm->lock);
	if (!known || run->mmio.len > sizeof(value))
		vmm_fail(VMM_GUEST, "VM %u: unplanned %s of %u bytes at %#llx", vm->index,
			 run->mmio.is_write ? "write" : "read", run->mmio.len,
			 (unsigned long long)run->mmio.phys_addr);
	if (!run->mmio.is_write)
		memcpy(run->mmio.data, &value, run->mmio.len);
}

/* Returns whether to enter the guest again after KVM_RUN failed with this errno. */
static bool run_failed(struct vmm_vcpu *vcpu, int err)
{
	struct vmm *vmm = vcpu->vm->vmm;

	if (err == EINTR || err == EAGAIN)
		return true;
	/* A write while the storm has the data slot's host mapping read-only: it will be writable again. */
	if (err == EFAULT && vmm->opts.storms & STORM_MPROTECT) {
		sched_yield();
		return true;
	}
	vmm_fail(VMM_ENVIRONMENT, "KVM_RUN: %s", strerror(err));
}

static void *vcpu_thread(void *arg)
{
	struct vmm_vcpu *vcpu = arg;
	struct vmm *vmm = vcpu->vm->vmm;
	struct kvm_regs regs = { 0 };
	bool stop;

	pthread_mutex_lock(&vmm->lock);
	vcpu->tid = gettid();
	pthread_mutex_unlock(&vmm->lock);
	trace_thread(vcpu);
	for (;;) {
		pthread_mutex_lock(&vmm->lock);
		stop = vmm->stop || vcpu->ended;
		pthread_mutex_unlock(&vmm->lock);
		if (stop)
			return NULL;
		if (ioctl(vcpu->fd, KVM_RUN, NULL)) {
			run_failed(vcpu, errno);
			continue;
		}
		switch (vcpu->run->exit_reason) {
		case KVM_EXIT_IO:
			handle_io(vcpu);
			break;
		case KVM_EXIT_MMIO:
			handle_mmio(vcpu);
			break;
		default:
			ioctl(vcpu->fd, KVM_GET_REGS, &regs);
			vmm_fail(VMM_GUEST, "VM %u vCPU %u: exit reason %u (sub %u) at rip %#llx",
				 vcpu->vm->index, vcpu->index, vcpu->run->exit_reason,
				 vcpu->run->internal.suberror, (unsigned long long)regs.rip);
		}
	}
}

void vcpu_start(struct vmm_vcpu *vcpu)
{
	struct sigaction sa = { .sa_handler = kick_handler };
	int err;

	sigaction(KICK_SIGNAL, &sa, NULL);
	err = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	if (err)
		vmm_fail(VMM_ENVIRONMENT, "pthread_create: %s", strerror(err));
	vcpu->started = true;
}

void vcpu_clock(struct vmm *vmm)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry.index = 0x4b564d00 }; /* MSR_KVM_WALL_CLOCK_NEW */
	char before[12]; /* struct pvclock_wall_clock */

	for (unsigned int i = 0; i < vmm->opts.vms; i++) {
		struct vmm_vm *vm = &vmm->vm[i];
		void *at = vm->slot[SLOT_DATA].hva;

		memcpy(before, at, sizeof(before));
		msrs.entry.data = vm->slot[SLOT_DATA].gpa;
		if (vmm_ioctl(vm->vcpu[0].fd, KVM_SET_MSRS, &msrs, "KVM_SET_MSRS") != 1 ||
		    !memcmp(before, at, sizeof(before)))
			vmm_fail(VMM_ENVIRONMENT, "KVM wrote no wall clock");
		memcpy(at, before, sizeof(before));
	}
}

void vcpu_translate(struct vmm *vmm)
{
	for (unsigned int i = 0; i < vmm->opts.vms; i++) {
		struct kvm_translation translation = { .linear_address = GF_IMAGE_GPA };
		struct vmm_vm *vm = &vmm->vm[i];
		uint64_t *tables = mem_ptr(vm, vm->table_gpa, vm->nr_table_pages << GFN_SHIFT);

		for (uint64_t k = 0; k < vm->nr_table_pages * 512; k++)
			tables[k] &= ~(tables[k] & 1 ? 0x20ull : 0);
		vm->slot[SLOT_SYS].flags = KVM_MEM_LOG_DIRTY_PAGES;
		mem_slot_set(vm, SLOT_SYS, true);
		vmm_ioctl(vm->vcpu[0].fd, KVM_TRANSLATE, &translation, "KVM_TRANSLATE");
		vm->slot[SLOT_SYS].flags = 0;
		mem_slot_set(vm, SLOT_SYS, true);
		if (!translation.valid || translation.physical_address != GF_IMAGE_GPA)
			vmm_fail(VMM_ENVIRONMENT, "KVM_TRANSLATE of the image: %#llx",
				 (unsigned long long)translation.physical_address);
	}
}

void vcpu_stop_all(struct vmm *vmm)
{
	pthread_mutex_lock(&vmm->lock);
	vmm->stop = true;
	pthread_cond_broadcast(&vmm->cond);
	pthread_mutex_unlock(&vmm->lock);
	for (unsigned int i = 0; i < vmm->opts.vms; i++) {
		for (unsigned int j = 0; j < vmm->opts.vcpus; j++) {
			struct vmm_vcpu *vcpu = &vmm->vm[i].vcpu[j];

			if (!vcpu->started)
				continue;
			/*
			 * Makes the next KVM_RUN return at once, so that a signal that comes early is not
			 * lost.
			 */
			__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
			pthread_kill(vcpu->thread, KICK_SIGNAL);
			pthread_join(vcpu->thread, NULL);
			vcpu->started = false;
		}
	}
}
