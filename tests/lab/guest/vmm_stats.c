// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM's binary statistics of a VM or a vCPU (Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD). The
 * descriptor is opened before the guest runs: that takes the vCPU's mutex, which KVM_RUN holds; reading takes
 * no lock. Histograms are left out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm.h"

static void read_at(int fd, void *buf, size_t size, off_t off)
{
	ssize_t n = pread(fd, buf, size, off);

	if (n < 0 || (size_t)n != size)
		vmm_fail(VMM_ENVIRONMENT, "reading KVM's statistics: %s",
			 n < 0 ? strerror(errno) : "short read");
}

int stats_open(int fd)
{
	return vmm_ioctl(fd, KVM_GET_STATS_FD, NULL, "KVM_GET_STATS_FD");
}

void stats_each(int stats_fd, void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	size_t desc_size;
	uint64_t value;

	read_at(stats_fd, &header, sizeof(header), 0);
	desc_size = sizeof(*desc) + header.name_size;
	desc = malloc(desc_size + 1);
	if (!desc)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	((char *)desc)[desc_size] = 0;
	for (uint32_t i = 0; i < header.num_desc; i++) {
		read_at(stats_fd, desc, desc_size, header.desc_offset + i * desc_size);
		if (desc->size != 1)
			continue;
		read_at(stats_fd, &value, sizeof(value), header.data_offset + desc->offset);
		emit(ctx, desc->name, value);
	}
	free(desc);
}
