/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel module's device: see device.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/guard.h"
#include "target/device.h"

static const char *const field_names[MMUSCOPE_F_NR] = {
#define FIELD_NAME(id, size) [MMUSCOPE_F_##id] = #id,
	MMUSCOPE_FIELDS(FIELD_NAME)
#undef FIELD_NAME
};

struct ms_err *ms_device_err(int err, const char *what)
{
	struct ms_err *e;

	switch (err) {
	case ESRCH:
		return ms_err_new(MS_ERR_TARGET, "%s: the VM is gone", what);
	case EINTR:
		return ms_err_new(MS_ERR_TARGET, "%s: interrupted", what);
	case ENOTTY:
	case EINVAL:
		e = ms_err_errno(MS_ERR_TARGET, err, "%s: %s", MMUSCOPE_DEVICE, what);
		return ms_err_hint(e, "are mmuscope and mmuscope.ko of one version? See 'mmuscope doctor'");
	default:
		return ms_err_errno(MS_ERR_TARGET, err, "%s: %s", MMUSCOPE_DEVICE, what);
	}
}

static struct ms_err *open_error(int err)
{
	struct ms_err *e = ms_err_errno(MS_ERR_TARGET, err, "%s", MMUSCOPE_DEVICE);

	switch (err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return ms_err_hint(
			e, "the kernel module is not loaded: modprobe mmuscope (see 'mmuscope doctor')");
	case EPERM:
	case EACCES:
		return ms_err_hint(
			e, "the kernel module answers to root alone, with CAP_SYS_ADMIN in the initial user "
			   "namespace");
	default:
		return ms_err_hint(e, "see 'mmuscope doctor'");
	}
}

struct ms_err *ms_device_open(u32 needs, int *fd_ret, struct mmuscope_version *ret)
{
	static const struct {
		u32 has;
		const char *what;
	} parts[] = {
		{ MMUSCOPE_HAS_EXACT, "exact snapshots" },
		{ MMUSCOPE_HAS_WP, "write-protect flips: the kernel has no external write tracking" },
		{ MMUSCOPE_HAS_NMMU, "nmmu" },
	};
	MS_CLOSE int fd = open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC);
	struct mmuscope_version version;

	if (fd < 0)
		return open_error(errno);
	if (ioctl(fd, MMUSCOPE_VERSION, &version) < 0)
		return ms_device_err(errno, "asking for its version");
	if (version.major != MMUSCOPE_ABI_MAJOR)
		return ms_err_hint(ms_err_new(MS_ERR_TARGET,
					      "%s: mmuscope.ko speaks version %u, this mmuscope %u",
					      MMUSCOPE_DEVICE, version.major, MMUSCOPE_ABI_MAJOR),
				   "load the module of this release: rmmod mmuscope, modprobe mmuscope");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if ((needs & parts[i].has) && !(version.has & parts[i].has))
			return ms_err_new(MS_ERR_TARGET, "mmuscope.ko cannot do this on this kernel: no %s",
					  parts[i].what);
	if (ret)
		*ret = version;
	*fd_ret = fd;
	fd = -1;
	return NULL;
}

struct ms_err *ms_device_attach(int device, s32 pid, s32 fd, u64 kvm)
{
	MS_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	MS_CLOSE int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	struct mmuscope_attach attach = { .vm_fd = copy };

	if (copy < 0 && errno == ESRCH)
		return ms_err_new(MS_ERR_TARGET, "process %d, which has the VM, is gone", pid);
	if (copy < 0)
		return ms_err_hint(ms_err_errno(MS_ERR_TARGET, errno, "descriptor %d of process %d", fd, pid),
				   errno == EPERM ? "taking a descriptor needs CAP_SYS_PTRACE"
						  : "see 'mmuscope doctor'");
	if (ioctl(device, MMUSCOPE_ATTACH, &attach) < 0)
		switch (errno) {
		case EINVAL:
			return ms_err_new(MS_ERR_TARGET, "descriptor %d of process %d is no VM any more", fd,
					  pid);
		default:
			return ms_device_err(errno, "attaching to the VM");
		}
	if (attach.kvm != kvm)
		return ms_err_hint(ms_err_new(MS_ERR_TARGET,
					      "descriptor %d of process %d is another VM by now", fd, pid),
				   "ask again");
	return NULL;
}

void ms_device_layout_of(const struct ms_layout *layout, struct mmuscope_layout *ret)
{
	static const enum ms_field_id from[MMUSCOPE_F_NR] = {
#define FIELD_FROM(id, size) [MMUSCOPE_F_##id] = MS_F_##id,
		MMUSCOPE_FIELDS(FIELD_FROM)
#undef FIELD_FROM
	};

	*ret = (struct mmuscope_layout){
		.sp_bytes = (u16)layout->type_size[MS_T_kvm_mmu_page],
		.desc_bytes = (u16)layout->type_size[MS_T_pte_list_desc],
	};
	for (size_t i = 0; i < MMUSCOPE_F_NR; i++) {
		const struct ms_field *f = &layout->f[from[i]];

		ret->off[i] = f->present && f->off < MMUSCOPE_TYPE_MAX ? (u16)f->off : MMUSCOPE_ABSENT;
		ret->bytes[i] = f->present && f->size < 256 ? (u8)f->size : 0;
	}
}

struct ms_err *ms_device_layout(int device, const struct ms_layout *layout)
{
	struct mmuscope_layout l;

	ms_device_layout_of(layout, &l);
	if (!ioctl(device, MMUSCOPE_LAYOUT, &l))
		return NULL;
	if (errno == EINVAL)
		return ms_err_hint(
			ms_err_new(MS_ERR_TARGET, "mmuscope.ko refuses this kernel's layout: %s",
				   l.bad < MMUSCOPE_F_NR ? field_names[l.bad] : "the size of a structure"),
			"report this with the output of 'mmuscope doctor'");
	return ms_device_err(errno, "telling the layout");
}
