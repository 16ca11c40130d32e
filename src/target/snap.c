/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The target "snap:FILE": a snapshot file as if it were the host it was taken of. The format is
 * snapfile_read.c's.
 */
#include <stdlib.h>
#include <string.h>

#include "target/snapfile.h"
#include "target/target.h"

static void snap_close(struct ms_target *target)
{
	free(target->priv);
	target->priv = NULL;
}

static struct ms_err *snap_read(struct ms_target *target, const struct ms_want *want,
				const struct ms_sink *sink)
{
	return ms_snap_read(target->priv, want, sink);
}

static struct ms_err *snap_open(struct ms_target *target, const char *arg, const struct ms_target_opts *opts)
{
	struct ms_err *err;

	if (!arg || !arg[0])
		return ms_err_new(MS_ERR_USAGE, "target '%s': 'snap' needs a file: snap:FILE", target->spec);
	err = ms_snap_probe(arg);
	if (err)
		return err;
	target->priv = strdup(arg);
	return target->priv ? NULL : ms_err_nomem();
}

const struct ms_target_ops ms_target_snap = {
	.name = "snap",
	.summary = "snap:FILE, a snapshot that `mmuscope save' wrote",
	.open = snap_open,
	.close = snap_close,
	.read = snap_read,
};
