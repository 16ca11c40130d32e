/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A second judge of guest walks: the hardware model (src/hw), running on the very tables that nmmu and the
 * reference walker read.
 */
#ifndef TESTS_UNIT_CPUJUDGE_H
#define TESTS_UNIT_CPUJUDGE_H

#include "nmmu/nmmu.h"
#include "tests/unit/refwalk.h"

struct cpu_judge {
	struct ref_mem mem; /* its own copy; the data access itself writes nothing */
	struct hw_cpu *cpu;
	unsigned int copied; /* `changes' of what the copy was made from */
	unsigned int nr_asked, nr_other_order;
};

void cpu_judge_init(struct cpu_judge *j, unsigned int nr_pages);
void cpu_judge_deinit(struct cpu_judge *j);
/*
 * Fails the test unless the CPU comes to the result `want', memory being as in `before'. regs are the
 * guest's. Cases that the model cannot express are left out: tables without memory, tables of one stage
 * within those of the other, NPT of an L1 without PSE, PDPTEs of L2 under NPT (KVM has them in registers, the
 * CPU reads them as it walks).
 */
void cpu_judge_walk(struct cpu_judge *j, const struct ref_mem *before, const struct nmmu_regs *regs,
		    const struct ref_tables *guest, const struct ref_tables *second, uint64_t addr,
		    const struct ref_access *access, const struct ref_result *want);

#endif
