/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The built-in workload: a VMM whose guest is a hypervisor (L1) that runs two guests of its own (L2), all of
 * it on a machine in process (machine.h). It is made to keep an MMU busy the way real hosts do: demand paging
 * at every level, migration of the VM and of each L2, ballooning, devices, frames moved by the host.
 *
 * What happens is decided by the seed and the number of steps alone: two workloads of one seed and as many
 * steps are in the same state. No clock is asked.
 */
#ifndef SCENARIO_WORKLOAD_H
#define SCENARIO_WORKLOAD_H

#include "scenario/machine.h"

struct ms_workload;

struct ms_workload_opts {
	u64 seed;
	enum ms_hv hv; /* MS_HV_UNKNOWN: MS_HV_VMX */
	enum nmmu_kernel kernel;
	u32 bugs; /* 1u << enum nmmu_bug */
	bool check; /* hold each migration to what was really written: costs time */
	void (*event)(void *ctx, const struct ms_event *event); /* may be NULL */
	void *event_ctx;
};

/* What has been done so far: by whom, how often. For tests: nothing of it may stay near zero. */
struct ms_workload_stats {
	u64 steps;
	u64 l2_reads, l2_writes, l2_fetches; /* made */
	u64 l2_page_faults; /* of L2's own tables, mended by L2 */
	u64 exits_l1; /* given to L1: violations, misconfigurations, nested page faults, full logs */
	u64 l1_maps, l1_unmaps; /* entries of EPT12 or NPT12 */
	u64 l1_splits; /* of 2 MiB entries */
	u64 l1_log_faults; /* writes that L1's own write protection caught */
	u64 l1_pml_full, l1_pml_entries; /* PML12 */
	u64 l1_mmio; /* accesses to devices that L1 emulates for L2 */
	u64 l0_mmio; /* accesses to devices of L0 */
	u64 l1_rounds, l1_migrations; /* of an L2, by L1 */
	u64 l0_rounds, l0_migrations, l0_dirty; /* of the VM, by L0; pages its log named */
	u64 l2_stuck; /* accesses that L1 was asked for until L2 gave up; by bug stale-qual alone */
	u64 l0_lost, l1_lost; /* pages written that a log did not name; with opts.check, else 0 */
	u64 balloon_pages, host_moves, host_writes, aged, rebuilds;
};

struct ms_err *ms_workload_create(const struct ms_workload_opts *opts,
				  struct ms_workload **ret) MS_MUST_CHECK;
void ms_workload_destroy(struct ms_workload *w); /* takes NULL */
/* Go on by nr steps. An error (an access that cannot be ended, no memory) says at which step, and stays. */
struct ms_err *ms_workload_run(struct ms_workload *w, u64 nr) MS_MUST_CHECK;
struct ms_machine *ms_workload_machine(struct ms_workload *w);
const struct ms_workload_stats *ms_workload_stats(const struct ms_workload *w);
/* An address in the L2 that vCPU id runs which is likely to be mapped; for those who want to walk one. */
u64 ms_workload_l2_gva(const struct ms_workload *w, u32 id);

#endif
