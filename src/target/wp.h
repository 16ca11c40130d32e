/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Write-protect flips through the kernel module (abi/kmod_wp.h): a session on one VM. All that it flipped ends with
 * ms_wp_close(), or with this process, however that ends.
 */
#ifndef TARGET_WP_H
#define TARGET_WP_H

#include <stdbool.h>
#include <stddef.h>

#include "abi/kmod_wp.h"
#include "abi/rec.h"
#include "base/err.h"

struct ms_wp;

/* A session on the VM, by the first of its descriptors (fds, of any kind) that is there. */
struct ms_err *ms_wp_open(u64 kvm, const struct ms_rec_fd *fds, size_t nr_fds,
			  struct ms_wp **ret) MS_MUST_CHECK;
void ms_wp_close(struct ms_wp *wp); /* takes NULL */
u64 ms_wp_kvm(const struct ms_wp *wp);

/*
 * Frames [start, end). On: all of them, or an error, after which those before the one that it names are flipped.
 * Those that the session has already are no error. Off: *nr_ret of them were its flips.
 */
struct ms_err *ms_wp_on(struct ms_wp *wp, u64 start, u64 end, bool may_kill) MS_MUST_CHECK;
struct ms_err *ms_wp_off(struct ms_wp *wp, u64 start, u64 end, u64 *nr_ret) MS_MUST_CHECK;
/* Flips of all sessions on this VM, ascending; the caller's, free(). */
struct ms_err *ms_wp_list(struct ms_wp *wp, struct mmuscope_wp_flip **ret, size_t *nr_ret) MS_MUST_CHECK;
struct ms_err *ms_wp_info(struct ms_wp *wp, struct mmuscope_wp_info *ret) MS_MUST_CHECK;
/* Waits so long at most, or until a signal; *gone_ret: the VM is, and nothing more will come. */
struct ms_err *ms_wp_read(struct ms_wp *wp, int timeout_ms, struct mmuscope_wp_write *writes, size_t max,
			  size_t *nr_ret, bool *gone_ret) MS_MUST_CHECK;

/*
 * Frames of the VM that are flipped now, by whatever session, ascending; the caller's, free(). None where there is no
 * module, no right to ask it, or nothing flipped: nothing is attached to then.
 */
size_t ms_wp_marks(u64 kvm, const struct ms_rec_fd *fds, size_t nr_fds, u64 **ret);

#endif
