/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host below the engine in a replay: guest memory, of which only pages that something was stored to exist
 * (the others read as zero), the real host's frames behind it, and memory for shadow tables. It notes what
 * the engine asks of it in a way no host would allow.
 */
#ifndef TESTS_CONFORM_HOST_H
#define TESTS_CONFORM_HOST_H

#include "base/map.h"
#include "nmmu/nmmu.h"

struct host_back {
	u64 hva, nr_pages, pfn;
	u8 level;
};

struct host {
	struct ms_map pages; /* hva >> 12 -> index + 1 in data */
	u8 **data;
	size_t nr_data;
	struct host_back *back; /* as the trace has them; no two overlap */
	size_t nr_back;
	u64 next_pa; /* of shadow tables */
	u64 nr_tables; /* now */
	u64 nr_flushes;
};

extern const struct nmmu_ops host_ops;

/* Memory is out: false. */
bool host_back_add(struct host *host, u64 hva, u64 nr_pages, u64 pfn, u8 level) MS_MUST_CHECK;
/* The memory at hva, within a page; NULL: no frame there, or out of memory. */
void *host_ptr(struct host *host, u64 hva);
void host_deinit(struct host *host);

#endif
