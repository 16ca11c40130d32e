/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract between the live target's listener and its BPF programs (bpf/events.bpf.c): what is configured
 * before they are loaded, and what they count. The events themselves are abi/event.h's.
 */
#ifndef ABI_LISTEN_H
#define ABI_LISTEN_H

#include "abi/event.h"

/* A member that this kernel does not have. */
#define MS_OFF_NONE 0xffffffffu

/* Byte offsets, from the layout table. */
struct ms_probe_offsets {
#define PROBE_FIELD(id, need) u32 id;
#include "abi/probes.def"
};

/* Where a part of a page's role lies in its word. */
struct ms_probe_role {
	u32 level_shift, level_mask;
	u32 direct, passthrough, invalid; /* masks; 0: this kernel has none */
};

/* Who is at work, for an operation: what its first argument says. */
enum ms_op_who {
	MS_OP_VCPU, /* the vCPU that runs on this CPU */
	MS_OP_KVM, /* argument: struct kvm */
	MS_OP_NOTIFIER, /* argument: the mmu_notifier in a struct kvm */
	MS_OP_FILE, /* argument: a file whose private_data is a struct kvm */
	MS_OP_WORKER, /* argument: a pointer to anything; the VM is not known */
};

enum ms_op_id {
	MS_OP_NONE,
#define OPERATION(fn, op_cause, who, module, group, explains, lost) MS_OP_##fn,
#include "abi/probes.def"
	MS_OP_RUN, /* KVM_RUN itself */
	MS_OP_NR
};

/* How many operations deep a thread's are kept. What is deeper counts, and is not told apart. */
#define MS_OPS_MAX 16u

struct ms_op {
	u64 kvm;
	u16 op; /* enum ms_op_id */
	u8 cause; /* enum ms_cause */
	u8 pad[5];
};

/* A key of the counts: as struct ms_event_count, without its number. */
struct ms_count_key {
	u64 kvm, gfn;
	u16 id, vcpu;
	u8 guest, cause, level, ret;
};

/* What is part of a key: MS_BY_ of target/target.h. */
#define MS_COUNT_BY_KVM (1u << 1)
#define MS_COUNT_BY_VCPU (1u << 2)
#define MS_COUNT_BY_GUEST (1u << 3)
#define MS_COUNT_BY_CAUSE (1u << 4)
#define MS_COUNT_BY_GFN (1u << 5)
#define MS_COUNT_BY_LEVEL (1u << 6)
#define MS_COUNT_BY_RET (1u << 7)

#define MS_COUNT_KEYS 65536u
#define MS_STACKS 16384u
#define MS_ZAPPED_PAGES 32768u
#define MS_STACK_DEPTH 32u
#define MS_FREE_MAX 4096u /* pages of one list of freed ones that are told */
#define MS_PROBE_RETS 16u /* RET_PF_* of the kernel */

_Static_assert(sizeof(struct ms_op) == 16, "shared with BPF");
_Static_assert(sizeof(struct ms_count_key) == 24, "shared with BPF");

#endif
