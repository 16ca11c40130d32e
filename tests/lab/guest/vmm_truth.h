/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the units that write the ground truth share: one line, one contradiction, and the areas of the guest.
 */
#ifndef TESTS_LAB_GUEST_VMM_TRUTH_H
#define TESTS_LAB_GUEST_VMM_TRUTH_H

#include <stdio.h>

#include "vmm.h"

struct truth {
	FILE *out; /* NULL: only check */
	struct vmm_vm *vm;
	const char *stat_line; /* of the statistics being written */
	uint64_t checkpoint;
	unsigned long nr_lines;
	unsigned long nr_wrong;
};

void truth_line(struct truth *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Something contradicts itself: said on standard error, and the VMM ends with VMM_BAD_DATA. */
void truth_wrong(struct truth *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Host address of a guest area that is named by a log of the guest; ends the VMM if it is no memory. */
void *truth_area(struct truth *t, uint64_t gpa, uint64_t size_bytes);

/* truth_log: L1's logs of nested faults and of L2's PML, misconfigured and stubborn entries. */
void truth_nested_logs(struct truth *t);
/*
 * truth_dirty: which pages of the data slot were written since the last truth; and with --dirty get the dirty log,
 * which it clears, some pages of it before it is read if --dirty-lose says so.
 */
void truth_dirty(struct truth *t);

#endif
