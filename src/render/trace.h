/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events as a trace for Perfetto or chrome://tracing: JSON in the Trace Event Format. A process is a VM, a track one of
 * its vCPUs, or a thread of the host. From fault to fault_done is a slice, so is a drain of PML with its entries; what
 * the host takes away is a slice of its own kind, since several may be under way; all others are instants. Times are in
 * microseconds. What is shown of an event, and how it is redacted, comes from the cells of its row.
 */
#ifndef RENDER_TRACE_H
#define RENDER_TRACE_H

#include <stdio.h>

#include "query/query.h"

struct ms_tracefile;

/* Why a file of this name could not be made, as far as that can be told without making it. */
struct ms_err *ms_tracefile_check(const char *path, bool force) MS_MUST_CHECK;
/*
 * A file that is there is replaced with force alone. Readable by its owner only. "-" is `out', which stays open. It is
 * written as events come: what is kept of them is which vCPUs and threads there were, and what is under way.
 */
struct ms_err *ms_tracefile_create(const char *path, bool force, FILE *out,
				   struct ms_tracefile **ret) MS_MUST_CHECK;
/* The rows of the result's first section, and the nr events that they are of, in their order. */
struct ms_err *ms_tracefile_put(struct ms_tracefile *trace, const struct ms_result *result,
				const struct ms_event *events, size_t nr) MS_MUST_CHECK;
/* What is under way ends here; the file is whole. Takes NULL. */
struct ms_err *ms_tracefile_close(struct ms_tracefile *trace) MS_MUST_CHECK;

#endif
