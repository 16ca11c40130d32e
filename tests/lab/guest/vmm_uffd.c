// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory that is not there: NPT12's pages dropped and registered with a userfaultfd that nobody answers, so that
 * whoever touches them waits for ever and is counted. Or guest memory that is a device's: legacy VGA memory, which lies
 * in the kernel's direct map, in place of NPT12's root. The vCPUs are held, and main does not touch it either.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm.h"

static const char *opened(struct vmm *vmm)
{
	struct uffdio_api api = { .api = UFFD_API };

	vmm->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (vmm->uffd < 0)
		return "userfaultfd is not to be had";
	if (!ioctl(vmm->uffd, UFFDIO_API, &api))
		return NULL;
	close(vmm->uffd);
	return "UFFDIO_API failed";
}

const char *uffd_evict(struct vmm *vmm)
{
	struct vmm_vm *vm = &vmm->vm[0];
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	size_t bytes = vm->param->npt_pool_pages << GFN_SHIFT;
	const char *why;

	if (vmm->evicted)
		return "it was done before";
	if (!bytes || vm->slot[SLOT_SYS].thp || vm->slot[SLOT_SYS].hugetlb)
		return "there is no pool of small pages for NPT12";
	why = opened(vmm);
	if (why)
		return why;
	vmm->evicted = mem_ptr(vm, vm->param->npt_pool_gpa, bytes);
	vmm->evicted_bytes = bytes;
	vmm->evicted_copy = malloc(bytes);
	reg.range.start = (uintptr_t)vmm->evicted;
	reg.range.len = bytes;
	if (!vmm->evicted_copy)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	memcpy(vmm->evicted_copy, vmm->evicted, bytes);
	if (ioctl(vmm->uffd, UFFDIO_REGISTER, &reg) || madvise(vmm->evicted, bytes, MADV_DONTNEED))
		vmm_fail(VMM_ENVIRONMENT, "evict: %s", strerror(errno));
	return NULL;
}

/* VGA memory of the legacy range: an address that /dev/mem gives away on every PC. */
#define VGA_ADDRESS 0xa0000

const char *uffd_device(struct vmm *vmm)
{
	struct vmm_vm *vm = &vmm->vm[0];
	size_t bytes = 1 << GFN_SHIFT;
	int fd;

	if (vmm->evicted)
		return "it was done before";
	if (!vm->param->npt_pool_pages || vm->slot[SLOT_SYS].thp || vm->slot[SLOT_SYS].hugetlb)
		return "there is no pool of small pages for NPT12";
	fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return "/dev/mem is not to be had";
	vmm->uffd = -1;
	vmm->evicted = mem_ptr(vm, vm->param->npt_pool_gpa, bytes);
	vmm->evicted_bytes = bytes;
	vmm->evicted_copy = malloc(bytes);
	if (!vmm->evicted_copy)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	memcpy(vmm->evicted_copy, vmm->evicted, bytes);
	if (mmap(vmm->evicted, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd,
		 VGA_ADDRESS) == MAP_FAILED)
		vmm_fail(VMM_ENVIRONMENT, "device: %s", strerror(errno));
	close(fd);
	return NULL;
}

const char *uffd_faults(struct vmm *vmm, uint64_t *ret)
{
	struct uffd_msg msg;

	if (!vmm->evicted || vmm->uffd < 0)
		return "nothing is evicted";
	for (*ret = 0; read(vmm->uffd, &msg, sizeof(msg)) == sizeof(msg);)
		++*ret;
	return errno == EAGAIN ? NULL : strerror(errno);
}

const char *uffd_refill(struct vmm *vmm)
{
	struct uffdio_copy copy = { .dst = (uintptr_t)vmm->evicted,
				    .src = (uintptr_t)vmm->evicted_copy,
				    .len = vmm->evicted_bytes };

	if (!vmm->evicted)
		return "nothing is evicted";
	if (vmm->uffd < 0) {
		if (mmap(vmm->evicted, vmm->evicted_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			vmm_fail(VMM_ENVIRONMENT, "refill: %s", strerror(errno));
		memcpy(vmm->evicted, vmm->evicted_copy, vmm->evicted_bytes);
	} else {
		if (ioctl(vmm->uffd, UFFDIO_COPY, &copy))
			vmm_fail(VMM_ENVIRONMENT, "refill: %s", strerror(errno));
		close(vmm->uffd);
	}
	free(vmm->evicted_copy);
	vmm->evicted = vmm->evicted_copy = NULL;
	return NULL;
}
