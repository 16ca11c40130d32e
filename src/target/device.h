/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel module's device (abi/kmod.h), as user space opens it: errors become words here, once. What the requests
 * of a part mean is for those who make them.
 */
#ifndef TARGET_DEVICE_H
#define TARGET_DEVICE_H

#include "abi/kmod.h"
#include "abi/rec.h"
#include "base/err.h"
#include "layout/layout.h"

/*
 * Open a session. needs: MMUSCOPE_HAS_ bits without which the caller can do nothing. *fd_ret is the caller's, close().
 * ret may be NULL.
 */
struct ms_err *ms_device_open(u32 needs, int *fd_ret, struct mmuscope_version *ret) MS_MUST_CHECK;

/*
 * Attach the session to the VM that `fd' of process `pid' refers to (struct ms_rec_fd of kind MS_FD_VM); our copy of
 * the descriptor is closed at once. kvm: the VM as it is known from elsewhere; if the descriptor is another one's by
 * now, that is an error, and the session is of no more use.
 */
struct ms_err *ms_device_attach(int device, s32 pid, s32 fd, u64 kvm) MS_MUST_CHECK;

/* What the module is told of a layout. */
void ms_device_layout_of(const struct ms_layout *layout, struct mmuscope_layout *ret);
/* Tell the session where this kernel's members lie. */
struct ms_err *ms_device_layout(int device, const struct ms_layout *layout) MS_MUST_CHECK;

/*
 * An error of a request that says nothing of its own: what was being done, to what, why. err: errno's value.
 */
struct ms_err *ms_device_err(int err, const char *what) MS_MUST_CHECK;

#endif
