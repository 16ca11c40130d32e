/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Write-protect flips, inside the module:
 *
 *	wp.c		sessions: requests, rings of writes, read and poll
 *	wp_kvm.c	a VM's tracker: KVM's write tracking in both kernels' forms
 *	wp_guard.c	what keeps a guest alive whose stores KVM cannot emulate
 *	wp_step.c	one instruction of a vCPU, and then a look at it
 *	wp_vm.c		VMs that are refused
 *
 * Locks, outermost first: mmuscope_file.lock, mmuscope_vm.use, tracker.change, the guard's, tracker.mutex,
 * KVM's own, tracker.lock. vCPUs take tracker.mutex and tracker.lock with kvm->srcu held; so nothing under
 * these two may wait for that SRCU, or for the tracker's notifier.
 */
#ifndef KMOD_WP_H
#define KMOD_WP_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "kmod/mmuscope.h"
/* KVM's own, after kvm_host.h. */
#include <asm/kvm_page_track.h>

#include "abi/kmod_wp.h"

#if defined(MMUSCOPE_HAVE_WRITE_TRACK_GFN) || defined(MMUSCOPE_HAVE_SLOT_PAGE_TRACK)
#define MMUSCOPE_CAN_WP 1
#else
#define MMUSCOPE_CAN_WP 0
#endif

/* A frame of the VM that at least one session has flipped. */
struct mmuscope_wp_entry {
	u64 gfn;
	u32 sessions; /* tracker.mutex */
	bool armed; /* KVM's count holds one of ours; tracker.mutex */
	/* tracker.lock */
	u64 stores, through, walks;
	/* Being let through; tracker.mutex, lifter also read without. */
	struct list_head lifted; /* in tracker.lifted or tracker.late, or in neither */
	struct kvm_vcpu *lifter; /* NULL: not lifted; compared, and only followed by that vCPU itself */
	struct mmuscope_wp_write write; /* what will be told of it */
	struct hrtimer kick;
	struct rcu_head rcu;
};

/* A VM's. Made with its first flip, undone when the VM is let go of; sessions and vCPUs may keep the memory longer. */
struct mmuscope_tracker {
	struct kref kref;
	struct rcu_head rcu;
	struct list_head link; /* of all; RCU */
	struct kvm *kvm; /* compared by vCPUs; valid for others while !ended, under mutex or change */
	struct mmuscope_vm *vm; /* as kvm is */
	struct delayed_work ending; /* from the last flip on, with references of its own (wp_step.c) */
	bool ends; /* it has them; its own while it runs, else under change */
	struct delayed_work stopping; /* the last flip went with its memslot; has references, too */
	unsigned long grace; /* of kvm->srcu, since a flip was last removed; under mutex, read without */
	bool removed; /* one was, and the guard stays for it */
	unsigned int looks; /* how often `ending' has looked */
	/* vCPUs, by index, for which a step was begun, not known to be past it; none once `ending' is over */
	DECLARE_BITMAP(stepping, KVM_MAX_VCPUS);

	struct mutex change; /* registering and the like: what waits for callbacks */
	bool registered, guarded; /* change; while registered, guarded does not end */

	struct mutex mutex;
	bool ended; /* the VM is let go of */
	struct xarray gfns; /* struct mmuscope_wp_entry; changed under mutex, looked up under RCU */
	u32 nr; /* of them */
	struct list_head lifted;
	struct list_head late; /* to be armed again, which their memslot did not allow */
	u32 nr_lifted; /* of both lists; read without */

	spinlock_t lock;
	struct list_head sessions;
	struct kvm_page_track_notifier_node node;
};

/* A session's flip of one frame. */
struct mmuscope_wp_mine {
	u64 count; /* writes; tracker.lock */
	bool gone; /* with its memslot; tracker.mutex */
	struct rcu_head rcu;
};

/* A session's; made with its first flip. */
struct mmuscope_flips {
	struct mmuscope_tracker *t;
	struct list_head link; /* in t->sessions; t->lock */
	struct xarray gfns; /* struct mmuscope_wp_mine; changed under t->mutex, looked up under RCU */
	u32 nr; /* of them, the gone ones included; t->mutex */
	bool guarded; /* its flips are, or were when they were last made; t->change */
	wait_queue_head_t wait;
	struct mutex reading;
	/* t->lock: */
	bool ended; /* nothing more will come */
	u64 seq, lost;
	unsigned int first, filled;
	struct mmuscope_wp_write *ring; /* MMUSCOPE_WP_RING */
};

/* wp_kvm.c. Needs mmuscope_vm_enter(), vm->tracker's creation included. */
struct mmuscope_tracker *mmuscope_tracker_of(struct mmuscope_file *file);
void mmuscope_tracker_put(struct mmuscope_tracker *t);
/* Registered, and guarded or allowed not to be: before the first flip. Needs t->change. */
int mmuscope_tracker_start(struct mmuscope_tracker *t, bool may_kill);
/* The opposite, when no flip is left. Needs t->change, not t->mutex. */
void mmuscope_tracker_stop(struct mmuscope_tracker *t);
/* One frame more, one less, for a session; need t->mutex. 0, or -errno as struct mmuscope_wp_range tells it. */
int mmuscope_tracker_add(struct mmuscope_tracker *t, u64 gfn);
void mmuscope_tracker_remove(struct mmuscope_tracker *t, u64 gfn);
void mmuscope_tracker_let_go(struct mmuscope_vm *vm);

/* For vCPUs in the guard. The tracker of a VM, NULL: none; to be put. */
struct mmuscope_tracker *mmuscope_tracker_find(struct kvm *kvm);
/* May a vCPU still be about to emulate a store to a frame of this VM that is flipped no more? */
bool mmuscope_vm_removes(struct kvm *kvm);
/* Was a step of the vCPU begun, by whichever of its VM's trackers? */
bool mmuscope_vm_steps(const struct kvm_vcpu *vcpu);
void mmuscope_vm_step_ended(const struct kvm_vcpu *vcpu);
/* Is that frame flipped? */
bool mmuscope_tracker_has(struct mmuscope_tracker *t, u64 gfn);
/* One that is not lifted. */
bool mmuscope_tracker_stops(struct mmuscope_tracker *t, u64 gfn);
/* The vCPU's store at gpa shall be made by the CPU: lift the protection. */
void mmuscope_tracker_lift(struct mmuscope_tracker *t, struct kvm_vcpu *vcpu, u64 gpa,
			   enum mmuscope_wp_kind kind);
/* Each exit of a vCPU: is a store through that was let? */
void mmuscope_tracker_exit(struct kvm_vcpu *vcpu);
/* Does the vCPU have something lifted, at the level that it runs at? */
bool mmuscope_tracker_waits(struct kvm_vcpu *vcpu);
/* What the vCPU was let through is done: made, or given up. */
void mmuscope_tracker_stepped(struct kvm_vcpu *vcpu, bool made);

/* wp.c: to all sessions that flipped its frame. write->seq and ->count are theirs. Needs t->lock. */
void mmuscope_flips_tell(struct mmuscope_tracker *t, const struct mmuscope_wp_write *write);
/* The frame's flips are over, with its memslot. Needs t->mutex. */
void mmuscope_flips_gone(struct mmuscope_tracker *t, u64 gfn);
/* The VM is. */
void mmuscope_flips_ended(struct mmuscope_tracker *t);

/* wp_step.c. May what stores at gpa, where the vCPU is, be stepped? May sleep; needs that t->mutex is not held. */
bool mmuscope_step_may(struct kvm_vcpu *vcpu, u64 gpa, enum mmuscope_wp_kind kind);
/* By a vCPU itself; false: it cannot be stepped now. */
bool mmuscope_step_begin(struct mmuscope_tracker *t, struct kvm_vcpu *vcpu);
bool mmuscope_is_stepping(const struct kvm_vcpu *vcpu);
/* Behind KVM's handling of an exit, which returned r; what is to be returned instead. */
int mmuscope_step_exit(struct kvm_vcpu *vcpu, int r);
void mmuscope_steps_init(struct mmuscope_tracker *t);
/* Of a VM: before the first flip. */
void mmuscope_steps_allow(struct kvm *kvm);
/* After the last one: gives the guard back when no vCPU needs it any more. Needs t->change. */
void mmuscope_steps_end(struct mmuscope_tracker *t);
/* Flips again; true: before it was given back, which is then not done. Needs t->change. */
bool mmuscope_steps_go_on(struct mmuscope_tracker *t);

/* wp_vm.c: KVM cannot emulate what such a guest does. Takes kvm->lock. */
bool mmuscope_vm_is_encrypted(struct kvm *kvm);

/*
 * wp_guard.c: what a probe on a function, which is never armed, would be put at: with indirect-branch tracking behind
 * the instruction that one has to go to. 0: no such function. traced: ftrace enters there.
 */
unsigned long mmuscope_find_function(const char *name, bool *traced_ret);

/* wp_guard.c: 0, or -EBUSY: the functions cannot be had (said in the log). Nested calls count. */
int mmuscope_guard_get(void);
void mmuscope_guard_put(void);

#endif
