// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Start and end of the fixture's VMM: opens KVM, makes the VMs, runs the loop, takes everything down. Also
 * the definition of when a checkpoint is reached and what letting go means.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm.h"

/* Removed again by vmm_fail(), which any thread may call; set once before threads start. */
static const char *socket_path;

void vmm_fail(enum vmm_status status, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "vmm: %s\n", text);
	fflush(stdout);
	if (socket_path)
		unlink(socket_path);
	trace_close();
	/* Not exit(): other threads are running. The kernel takes the VMs down with the process. */
	_exit(status);
}

int vmm_ioctl(int fd, unsigned long request, void *arg, const char *what)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", what, strerror(errno));
	return ret;
}

bool vmm_all_arrived(struct vmm *vmm, uint64_t *checkpoint_ret)
{
	for (unsigned int i = 0; i < vmm->opts.vms; i++)
		for (unsigned int j = 0; j < vmm->opts.vcpus; j++)
			if (vmm->vm[i].vcpu[j].arrived <= vmm->released)
				return false;
	*checkpoint_ret = vmm->released + 1;
	return true;
}

bool vmm_all_ended(struct vmm *vmm)
{
	for (unsigned int i = 0; i < vmm->opts.vms; i++)
		for (unsigned int j = 0; j < vmm->opts.vcpus; j++)
			if (!vmm->vm[i].vcpu[j].ended)
				return false;
	return true;
}

void vmm_release(struct vmm *vmm)
{
	vmm->released = vmm->checkpoint;
	vmm->phase = PHASE_RUN;
	for (unsigned int i = 0; i < vmm->opts.vms; i++) {
		struct gf_param *p = vmm->vm[i].param;
		struct gf_argpage *argpage = mem_ptr(&vmm->vm[i], p->argpage_gpa, sizeof(*argpage));

		/*
		 * For guests that spin; the page is the VMM's own memory, and writing it moves nothing in the
		 * MMU.
		 */
		__atomic_store_n(&argpage->release, vmm->released, __ATOMIC_RELEASE);
	}
	pthread_cond_broadcast(&vmm->cond);
}

/* What KVM offers to guests: MAXPHYADDR, and SVM or VMX. */
static void cpuid_read(struct vmm *vmm)
{
	size_t size = sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *cpuid = calloc(1, size);

	if (!cpuid)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	cpuid->nent = 256;
	vmm_ioctl(vmm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	vmm->phys_bits = 36;
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 0x80000008)
			vmm->phys_bits = e->eax & 0xff;
		if (e->function == 1 && e->ecx >> 5 & 1)
			vmm->vendor = GF_VMX;
		if (e->function == 0x80000001 && e->ecx >> 2 & 1)
			vmm->vendor = GF_SVM;
	}
	free(cpuid);
}

static void kvm_open(struct vmm *vmm)
{
	vmm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vmm->kvm_fd < 0)
		vmm_fail(VMM_ENVIRONMENT, "/dev/kvm: %s (is kvm_amd or kvm_intel loaded?)", strerror(errno));
	if (vmm_ioctl(vmm->kvm_fd, KVM_GET_API_VERSION, NULL, "KVM_GET_API_VERSION") != KVM_API_VERSION)
		vmm_fail(VMM_ENVIRONMENT, "/dev/kvm speaks another API version");
	vmm->run_size = vmm_ioctl(vmm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	cpuid_read(vmm);
	if ((vmm->opts.pml || !vmm->opts.eptp_ad) && vmm->vendor != GF_VMX)
		vmm_fail(VMM_ENVIRONMENT,
			 "--pml and --eptp-ad 0 need VMX in the guest: kvm_intel with nested=1");
}

static void cap_enable(struct vmm_vm *vm, uint32_t cap, uint64_t arg, const char *what)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	vmm_ioctl(vm->fd, KVM_ENABLE_CAP, &enable, what);
}

/* As large as KVM allows. */
#define DIRTY_RING_BYTES (65536 * sizeof(struct kvm_dirty_gfn))

static void vm_create(struct vmm *vmm, unsigned int index)
{
	struct vmm_vm *vm = &vmm->vm[index];

	vm->vmm = vmm;
	vm->index = index;
	vm->seed = vmm->opts.seed + index;
	vm->fd = vmm_ioctl(vmm->kvm_fd, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	vm->stats_fd = stats_open(vm->fd);
	if (vmm->opts.log_mode || vmm->opts.dirty_lose)
		cap_enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			   KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				   (vmm->opts.log_mode == LOG_ALL_SET ? KVM_DIRTY_LOG_INITIALLY_SET : 0),
			   "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	if (vmm->opts.dirty_ring)
		cap_enable(vm, KVM_CAP_DIRTY_LOG_RING, DIRTY_RING_BYTES, "KVM_CAP_DIRTY_LOG_RING");
	if (vmm->opts.nx_off)
		cap_enable(vm, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 0, "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES");
	for (uint64_t i = 0; i < vmm->opts.dups; i++) {
		vm->dup_fd[i] = fcntl(vm->fd, F_DUPFD_CLOEXEC, 0);
		if (vm->dup_fd[i] < 0)
			vmm_fail(VMM_ENVIRONMENT, "dup of a VM descriptor: %s", strerror(errno));
	}
	mem_setup(vm);
	for (unsigned int i = 0; i < vmm->opts.vcpus; i++) {
		vm->vcpu[i].vm = vm;
		vm->vcpu[i].index = i;
		vcpu_setup(&vm->vcpu[i]);
	}
}

static void signals_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	/* Inherited by all threads; main reads them through a signalfd. */
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		vmm_fail(VMM_ENVIRONMENT, "sigprocmask: %s", strerror(errno));
}

static void vmm_teardown(struct vmm *vmm)
{
	storm_stop(vmm);
	vcpu_stop_all(vmm);
	trace_close();
	if (socket_path)
		unlink(socket_path);
}

int main(int argc, char **argv)
{
	/* Over 100 KiB: not on the stack. */
	static struct vmm vmm = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	enum vmm_status status;
	int listen_fd = -1;

	if (argc > 1 && !strcmp(argv[1], "ctl"))
		return ctl_client(argc - 1, argv + 1);
	opts_parse(&vmm.opts, argc, argv);
	signals_block();
	if (vmm.opts.comm && prctl(PR_SET_NAME, vmm.opts.comm))
		vmm_fail(VMM_ENVIRONMENT, "PR_SET_NAME: %s", strerror(errno));
	vmm.event_fd = eventfd(0, EFD_CLOEXEC);
	if (vmm.event_fd < 0)
		vmm_fail(VMM_ENVIRONMENT, "eventfd: %s", strerror(errno));
	kvm_open(&vmm);
	for (unsigned int i = 0; i < vmm.opts.vms; i++)
		vm_create(&vmm, i);
	trace_open(&vmm);
	if (vmm.opts.ctl) {
		listen_fd = ctl_listen(vmm.opts.ctl);
		socket_path = vmm.opts.ctl;
	}
	printf("vmm: pid %d seed 0x%" PRIx64 "\n", getpid(), vmm.opts.seed);
	fflush(stdout);
	for (unsigned int i = 0; i < vmm.opts.vms; i++)
		for (unsigned int j = 0; j < vmm.opts.vcpus; j++)
			vcpu_start(&vmm.vm[i].vcpu[j]);
	status = ctl_loop(&vmm, listen_fd);
	vmm_teardown(&vmm);
	return status;
}
