// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory that is not there: NPT12's pages dropped and registered with a userfaultfd that nobody answers, so that
 * whoever touches them waits for ever and is counted. The vCPUs are held, and main does not touch them either.
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

const char *uffd_faults(struct vmm *vmm, uint64_t *ret)
{
	struct uffd_msg msg;

	if (!vmm->evicted)
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
	if (ioctl(vmm->uffd, UFFDIO_COPY, &copy))
		vmm_fail(VMM_ENVIRONMENT, "refill: %s", strerror(errno));
	close(vmm->uffd);
	free(vmm->evicted_copy);
	vmm->evicted = vmm->evicted_copy = NULL;
	return NULL;
}
