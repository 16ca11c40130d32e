/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations that a thread is in, innermost last: on whose behalf it does what it does. Plain arithmetic on one
 * structure, without helpers, so that BPF programs and tests/unit/test_ops.c can both run it.
 *
 * A probe at an operation's end may be missed (its program was at work on that CPU already), and then the operation
 * would explain for ever what comes after it. What bounds that: a system call begins with nothing under way; outside of
 * one, so does what the host begins by itself (notifiers, the shrinker, the end of a VM); and what cannot be within
 * itself ends with all that is in it when it begins again.
 */
#ifndef ABI_OPS_H
#define ABI_OPS_H

#include "abi/listen.h"

struct ops {
	u32 depth; /* may be more than is kept */
	bool in_call; /* the outermost is a system call */
	struct ms_op op[MS_OPS_MAX];
};

static inline __attribute__((always_inline)) struct ms_op *ops_at(struct ops *o, u32 i)
{
	return &o->op[i % MS_OPS_MAX];
}

/* What the innermost says: MS_CAUSE_NONE and 0 when there is none. */
static inline __attribute__((always_inline)) u8 ops_cause(struct ops *o)
{
	u32 depth = o->depth;

	return depth ? ops_at(o, depth - 1)->cause : MS_CAUSE_NONE;
}

/* What the one around the innermost says; the innermost where none is known, or only the system call. */
static inline __attribute__((always_inline)) u8 ops_cause_around(struct ops *o)
{
	u32 depth = o->depth;
	u8 cause = depth > 1 ? ops_at(o, depth - 2)->cause : MS_CAUSE_NONE;

	return cause == MS_CAUSE_NONE || cause == MS_CAUSE_IOCTL ? ops_cause(o) : cause;
}

static inline __attribute__((always_inline)) u64 ops_kvm(struct ops *o)
{
	u32 depth = o->depth;

	return depth ? ops_at(o, depth - 1)->kvm : 0;
}

static inline __attribute__((always_inline)) bool ops_in(struct ops *o, u16 op)
{
	u32 depth = o->depth;

	return depth && ops_at(o, depth - 1)->op == op;
}

static inline __attribute__((always_inline)) bool ops_is_call(u16 op)
{
	return op == MS_OP_kvm_vcpu_ioctl || op == MS_OP_kvm_vm_ioctl;
}

/* Begun by the host, and never within another of these. */
static inline __attribute__((always_inline)) bool ops_is_hosts(u16 op, u32 who)
{
	return who == MS_OP_NOTIFIER || who == MS_OP_WORKER || op == MS_OP_kvm_destroy_vm;
}

/* What is within itself: pages are zapped with their children. */
static inline __attribute__((always_inline)) bool ops_recurs(u16 op)
{
	return op == MS_OP___kvm_mmu_prepare_zap_page;
}

/* Before an operation is entered: what cannot be under way any more is left. */
static inline __attribute__((always_inline)) void ops_settle(struct ops *o, u16 op, u32 who)
{
	u32 depth = o->depth, i;

	if (!depth)
		return;
	if (ops_is_call(op) || (ops_is_hosts(op, who) && !o->in_call)) {
		o->depth = 0;
		o->in_call = false;
		return;
	}
	if (ops_recurs(op))
		return;
	for (i = 0; i < MS_OPS_MAX && i < depth; i++) {
		if (ops_at(o, depth - 1 - i)->op == op) {
			o->depth = depth - 1 - i;
			return;
		}
	}
}

/* op: MS_OP_RUN for that of the system calls. */
static inline __attribute__((always_inline)) void ops_enter(struct ops *o, u16 op, u8 cause, u64 kvm)
{
	struct ms_op *at = ops_at(o, o->depth);

	at->kvm = kvm;
	at->op = op;
	at->cause = cause;
	if (!o->depth)
		o->in_call = ops_is_call(op) || op == MS_OP_RUN;
	o->depth++;
}

/* Not found: it was entered before the probes were there. */
static inline __attribute__((always_inline)) void ops_leave(struct ops *o, u16 op)
{
	u32 depth = o->depth, i;

	for (i = 0; i < MS_OPS_MAX && i < depth; i++) {
		u16 found = ops_at(o, depth - 1 - i)->op;

		if (found == op || (op == MS_OP_kvm_vcpu_ioctl && found == MS_OP_RUN)) {
			o->depth = depth - 1 - i;
			break;
		}
	}
	if (!o->depth)
		o->in_call = false;
}

#endif
