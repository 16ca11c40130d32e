/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machines for tests of the fault path: one slot of memory, one vCPU or two, guest tables by name, and a
 * look at the leaf that an address ended with. What the CPU does is src/hw's.
 */
#ifndef TESTS_UNIT_FAULTLAB_H
#define TESTS_UNIT_FAULTLAB_H

#include "nmmu/private.h"
#include "scenario/machine.h"

#define LAB_HVA 0x7f0000000000ULL
#define LAB_PAGES (1u << 18) /* 1 GiB, in slot 0 from gfn 0 on */
#define LAB_SLOT_HVA (LAB_HVA + (1ULL << 30)) /* 1 GiB aligned */

#define LAB_CR0_PE (1ULL << 0)
#define LAB_CR0_WP (1ULL << 16)
#define LAB_CR0_PG (1ULL << 31)
#define LAB_CR4_PSE (1ULL << 4)
#define LAB_CR4_PAE (1ULL << 5)
#define LAB_CR4_LA57 (1ULL << 12)
#define LAB_CR4_SMEP (1ULL << 20)
#define LAB_EFER_LME (1ULL << 8)
#define LAB_EFER_NX (1ULL << 11)

struct lab {
	struct ms_machine *mm;
	struct nmmu *m;
	struct nmmu_vcpu *v; /* vCPU 0 */
	u32 events[MS_EV_NR];
	struct ms_event last[MS_EV_NR];
	void (*on_yield)(struct lab *lab, enum nmmu_point point);
	void (*on_event)(struct lab *lab, const struct ms_event *event);
	void *ctx;
};

/* VMX with EPT, A/D, 1 GiB pages and MMIO caching; of the other kind when svm. */
struct nmmu_config lab_config(bool svm, enum nmmu_kernel kernel);
/* host_level: size of the host's pages. */
void lab_init(struct lab *lab, const struct nmmu_config *cfg, u32 host_level);
/* Checks the machine over, ends it. */
void lab_deinit(struct lab *lab);
/* Fails the test when a rule of H that needs no guest memory is broken. */
void lab_check(struct lab *lab);
/* One of: r w x, and u for user; done as the guest at work of vCPU 0. */
struct ms_run lab_access(struct lab *lab, u64 gva, const char *how, u64 value);
/* The shadow entry that ends the walk for addr, and its level. */
u64 lab_leaf(struct lab *lab, u64 addr, u32 *level_ret);
u64 *lab_leafp(struct lab *lab, u64 addr, u32 *level_ret);
u64 lab_pfn(struct lab *lab, u64 gfn);
void lab_set_slot_flags(struct lab *lab, u32 flags);
bool lab_is_dirty(struct lab *lab, u64 gfn);
/* MS_ERR-returning calls that must succeed. */
void lab_ok(struct ms_err *err);
void lab_map(struct ms_tables *t, u64 addr, u64 gfn, u32 level, u64 bits, u64 upper);
u64 lab_peek(struct lab *lab, u64 gpa);
void lab_poke(struct lab *lab, u64 gpa, u64 value, u32 bytes);
/* L1 without paging enters L2 so too, under these tables (EPT: ad as bit 6 of the EPTP). */
void lab_enter(struct lab *lab, const struct ms_tables *t, bool ept, bool ad);

#endif
