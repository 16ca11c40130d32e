/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A trace file (trace.md) as an array of events, checked for form: what is missing or no number is an error
 * with its line. It knows nothing of what the events mean to an engine.
 */
#ifndef TESTS_CONFORM_TRACE_H
#define TESTS_CONFORM_TRACE_H

#include <stdbool.h>

#include "abi/types.h"
#include "base/err.h"

enum tr_kind {
	TR_SLOT, /* a: id, b: gfn, c: npages, d: flags, e: hva */
	TR_BACK, /* a: gfn, b: npages, c: level, d: pfn */
	TR_LIMIT, /* a: nr_mmu_pages */
	TR_REGS, /* a: cr0, b: cr3, c: cr4, d: efer */
	TR_PAGE, /* a: gfn; words */
	TR_STORE, /* a: gpa, b: len, c: value */
	TR_CHECKPOINT, /* a: n */
	TR_END, /* a: checkpoint */
	TR_L2, /* a: cr3 */
	TR_DIRTYGET, /* a: slot; words: the log, a bit a page */
	TR_FAULT, /* a: addr, b: err, c: rip */
	TR_VMRUN, /* a: npt, b: pgd */
	TR_VMEXIT, /* b: info1, c: info2; text: reason */
	TR_WRITE, /* a: gpa, b: len, c: value */
	TR_CR, /* a: n, b: value */
	TR_EFER, /* a: value */
	TR_INVLPG, /* a: addr */
	TR_SAW, /* text */
	TR_NR_KINDS
};

struct tr_event {
	enum tr_kind kind;
	u32 line;
	u64 a, b, c, d, e;
	const char *text;
	u64 *words; /* 512 of a page, or of a dirty log */
};

struct trace {
	char kernel[64], mode[16], paging[16];
	bool npt, tdp_mmu;
	u64 seed;
	u32 phys_bits;
	struct tr_event *events; /* up to the end of the last checkpoint that is complete */
	size_t nr;
	u64 checkpoint; /* of it */
	char *buf; /* what texts point into */
};

struct ms_err *trace_read(const char *path, struct trace **ret) MS_MUST_CHECK;
void trace_destroy(struct trace *t); /* takes NULL */

#endif
