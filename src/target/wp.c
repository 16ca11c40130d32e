/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Write-protect flips: see wp.h. */
#include "target/wp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "target/device.h"

struct ms_wp {
	int device;
	u64 kvm;
};

struct ms_err *ms_wp_open(u64 kvm, const struct ms_rec_fd *fds, size_t nr_fds, struct ms_wp **ret)
{
	struct ms_wp *wp;
	struct ms_err *err;
	size_t i;

	for (i = 0; i < nr_fds && (fds[i].kind != MS_FD_VM || fds[i].kvm != kvm); i++)
		;
	if (i == nr_fds)
		return ms_err_hint(ms_err_new(MS_ERR_TARGET, "no process has a descriptor of this VM"),
				   "its VMM may be ending");
	wp = calloc(1, sizeof(*wp));
	if (!wp)
		return ms_err_nomem();
	wp->kvm = kvm;
	err = ms_device_open(MMUSCOPE_HAS_WP, &wp->device, NULL);
	if (err) {
		free(wp);
		return err;
	}
	err = ms_device_attach(wp->device, fds[i].pid, fds[i].fd, kvm);
	if (!err && fcntl(wp->device, F_SETFL, O_NONBLOCK) < 0)
		err = ms_err_errno(MS_ERR_TARGET, errno, "%s", MMUSCOPE_DEVICE);
	if (err) {
		ms_wp_close(wp);
		return err;
	}
	*ret = wp;
	return NULL;
}

void ms_wp_close(struct ms_wp *wp)
{
	if (!wp)
		return;
	close(wp->device);
	free(wp);
}

u64 ms_wp_kvm(const struct ms_wp *wp)
{
	return wp->kvm;
}

static struct ms_err *frame_refused(u64 gfn, int err)
{
	const unsigned long long n = gfn;

	switch (err) {
	case ENOENT:
		return ms_err_hint(ms_err_new(MS_ERR_TARGET, "frame 0x%llx: there is no memslot", n),
				   "`mmuscope slots' has the frames that there are");
	case EOPNOTSUPP:
		return ms_err_new(MS_ERR_TARGET, "frame 0x%llx: KVM counts no writers for its memslot", n);
	case ENOSPC:
		return ms_err_hint(ms_err_new(MS_ERR_TARGET,
					      "frame 0x%llx: one session flips %u frames at most", n,
					      MMUSCOPE_WP_MAX_GFNS),
				   "choose fewer");
	default:
		return ms_err_errno(MS_ERR_TARGET, err, "frame 0x%llx", n);
	}
}

static struct ms_err *on_error(int err)
{
	switch (err) {
	case EOPNOTSUPP:
		return ms_err_hint(
			ms_err_new(MS_ERR_TARGET, "this kernel's KVM has no write tracking for others"),
			"it needs CONFIG_KVM_EXTERNAL_WRITE_TRACKING");
	case EACCES:
		return ms_err_new(
			MS_ERR_TARGET,
			"this guest's memory or registers are encrypted (SEV): KVM cannot emulate its stores");
	case EBUSY:
		return ms_err_hint(ms_err_new(MS_ERR_TARGET,
					      "KVM cannot be kept from ending a guest whose stores it cannot "
					      "emulate: its functions are not to be had (see dmesg)"),
				   "--may-kill-guest flips all the same");
	default:
		return ms_device_err(err, "flipping frames");
	}
}

struct ms_err *ms_wp_on(struct ms_wp *wp, u64 start, u64 end, bool may_kill)
{
	while (start < end) {
		const u64 nr = end - start < MMUSCOPE_WP_MAX_GFNS ? end - start : MMUSCOPE_WP_MAX_GFNS;
		struct mmuscope_wp_range range = { .gfn = start,
						   .nr = (u32)nr,
						   .flags = may_kill ? MMUSCOPE_WP_MAY_KILL : 0 };

		if (ioctl(wp->device, MMUSCOPE_WP_ON, &range) < 0)
			return on_error(errno);
		start += range.done;
		if (range.err == EEXIST)
			start++;
		else if (range.err)
			return frame_refused(start, (int)range.err);
	}
	return NULL;
}

struct ms_err *ms_wp_off(struct ms_wp *wp, u64 start, u64 end, u64 *nr_ret)
{
	u64 done = 0;

	while (start < end) {
		const u64 nr = end - start < MMUSCOPE_WP_MAX_GFNS ? end - start : MMUSCOPE_WP_MAX_GFNS;
		struct mmuscope_wp_range range = { .gfn = start, .nr = (u32)nr };

		if (ioctl(wp->device, MMUSCOPE_WP_OFF, &range) < 0)
			return ms_device_err(errno, "undoing flips");
		done += range.done;
		start += nr;
	}
	*nr_ret = done;
	return NULL;
}

struct ms_err *ms_wp_list(struct ms_wp *wp, struct mmuscope_wp_flip **ret, size_t *nr_ret)
{
	enum { ROOM = 1024 };
	struct mmuscope_wp_flip *flips = NULL, *grown;
	struct mmuscope_wp_list list = { 0 };
	size_t nr = 0, cap = 0;

	do {
		grown = ms_grow(flips, &cap, nr + ROOM, sizeof(*grown));
		if (!grown) {
			free(flips);
			return ms_err_nomem();
		}
		flips = grown;
		list = (struct mmuscope_wp_list){ .gfn = nr ? flips[nr - 1].gfn + 1 : 0,
						  .buf = (u64)(uintptr_t)(flips + nr),
						  .room = ROOM };
		if (ioctl(wp->device, MMUSCOPE_WP_LIST, &list) < 0) {
			free(flips);
			return ms_device_err(errno, "listing flips");
		}
		nr += list.nr;
	} while (list.nr == ROOM);
	*ret = flips;
	*nr_ret = nr;
	return NULL;
}

struct ms_err *ms_wp_info(struct ms_wp *wp, struct mmuscope_wp_info *ret)
{
	return ioctl(wp->device, MMUSCOPE_WP_INFO, ret) < 0 ? ms_device_err(errno, "asking for flips") : NULL;
}

struct ms_err *ms_wp_read(struct ms_wp *wp, int timeout_ms, struct mmuscope_wp_write *writes, size_t max,
			  size_t *nr_ret, bool *gone_ret)
{
	struct pollfd fd = { .fd = wp->device, .events = POLLIN };
	ssize_t got;

	*nr_ret = 0;
	*gone_ret = false;
	/* POLLERR alone: nothing is flipped. */
	if (poll(&fd, 1, timeout_ms) <= 0 || !(fd.revents & (POLLIN | POLLHUP)))
		return NULL;
	got = read(wp->device, writes, max * sizeof(*writes));
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? NULL : ms_device_err(errno, "reading writes");
	*nr_ret = (size_t)got / sizeof(*writes);
	*gone_ret = !got;
	return NULL;
}

static bool any_flips(void)
{
	int device = open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC);
	struct mmuscope_state state = { 0 };
	bool any = device >= 0 && !ioctl(device, MMUSCOPE_STATE, &state) && state.flips;

	if (device >= 0)
		close(device);
	return any;
}

size_t ms_wp_marks(u64 kvm, const struct ms_rec_fd *fds, size_t nr_fds, u64 **ret)
{
	struct mmuscope_wp_flip *flips = NULL;
	struct ms_wp *wp = NULL;
	size_t nr = 0, n = 0, i;
	struct ms_err *err;

	*ret = NULL;
	if (!any_flips())
		return 0;
	err = ms_wp_open(kvm, fds, nr_fds, &wp);
	if (!err)
		err = ms_wp_list(wp, &flips, &nr);
	*ret = !err && nr ? calloc(nr, sizeof(**ret)) : NULL;
	for (i = 0; *ret && i < nr; i++)
		if (!(flips[i].flags & MMUSCOPE_WP_GONE))
			(*ret)[n++] = flips[i].gfn;
	free(flips);
	ms_wp_close(wp);
	ms_err_free(err);
	return n;
}
