/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel module as what a machine's engine is behind (scenario/machine.h): a session for each machine. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/kmod_nmmu.h"
#include "target/device.h"
#include "target/sim.h"

static struct ms_err *device_open(void *ctx, void **session_ret)
{
	int *fd = malloc(sizeof(*fd));
	struct ms_err *err;

	(void)ctx;
	if (!fd)
		return ms_err_nomem();
	err = ms_device_open(MMUSCOPE_HAS_NMMU, fd, NULL);
	if (err)
		free(fd);
	else
		*session_ret = fd;
	return err;
}

static int device_request(void *session, unsigned long nr, void *arg)
{
	return ioctl(*(const int *)session, nr, arg) < 0 ? -errno : 0;
}

static void device_close(void *session)
{
	close(*(const int *)session);
	free(session);
}

struct ms_err *ms_sim_device_check(void)
{
	int fd;
	struct ms_err *err = ms_device_open(MMUSCOPE_HAS_NMMU, &fd, NULL);

	if (!err)
		close(fd);
	return err;
}

const struct ms_device ms_sim_device = {
	.open = device_open,
	.request = device_request,
	.close = device_close,
};
