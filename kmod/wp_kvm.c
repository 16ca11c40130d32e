// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM's tracker: which of its frames are flipped, and KVM's write tracking for them.
 *
 * KVM counts, for each frame of a memslot, who wants stores to it intercepted. An entry that is `armed'
 * stands for exactly one in that count; it is raised and lowered under tracker.mutex. When a memslot goes its
 * counts go with it: KVM tells so after the slot was marked invalid and before it is freed, and entries in it
 * are dropped there. A frame is armed inside a section of kvm->srcu in which its slot was seen valid; KVM
 * waits for such sections before it tells. Hence no count of a slot that is not the one that was raised is
 * ever lowered.
 *
 * When it is told differs. 6.1 tells of a slot that is marked, before it is known whether it goes. 6.12 tells
 * of one that is gone: for a while before that, in which KVM waits for kvm->srcu, there is no slot to be found
 * though entries in it are armed, and no other can be made there. And of a slot that was marked and taken back
 * (a move that is refused) it does not tell at all: what is to be armed meanwhile has to wait.
 */
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kmod/wp.h"

/* A vCPU that does not get past its store is not waited for any longer. */
#define LIFTED_MAX_NS (100 * NSEC_PER_MSEC)
/* Where it is not stepped, the guest is interrupted so long after its store was let through. */
#define KICK_NS (50 * NSEC_PER_USEC)

static LIST_HEAD(trackers);
static DEFINE_SPINLOCK(trackers_lock);

/* Of the guest that the vCPU runs. */
static u8 level_of(const struct kvm_vcpu *vcpu)
{
	return vcpu->arch.hflags & HF_GUEST_MASK ? 2 : 1;
}

#if MMUSCOPE_CAN_WP

static bool slot_counts(const struct kvm_memory_slot *slot)
{
#ifdef MMUSCOPE_HAVE_WRITE_TRACK_GFN
	return slot->arch.gfn_write_track;
#else
	return slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE];
#endif
}

/* Raise the frame's count. Needs t->mutex. */
static int arm(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e)
{
	struct kvm *kvm = t->kvm;
	struct kvm_memory_slot *slot;
	int idx, err = 0;

	idx = srcu_read_lock(&kvm->srcu);
	slot = gfn_to_memslot(kvm, e->gfn);
	if (!slot || (slot->flags & KVM_MEMSLOT_INVALID)) {
		err = -ENOENT;
	} else if (!slot_counts(slot)) {
		err = -EOPNOTSUPP;
	} else {
#ifdef MMUSCOPE_HAVE_WRITE_TRACK_GFN
		err = kvm_write_track_add_gfn(kvm, e->gfn);
#else
		write_lock(&kvm->mmu_lock);
		kvm_slot_page_track_add_page(kvm, slot, e->gfn, KVM_PAGE_TRACK_WRITE);
		write_unlock(&kvm->mmu_lock);
#endif
	}
	srcu_read_unlock(&kvm->srcu, idx);
	WRITE_ONCE(e->armed, !err);
	return err;
}

/* Lower it again. Needs t->mutex. */
static void disarm(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e)
{
	struct kvm *kvm = t->kvm;
#ifdef MMUSCOPE_HAVE_WRITE_TRACK_GFN
	/* -EINVAL: the slot is gone, with the count, and we are about to be told. */
	(void)kvm_write_track_remove_gfn(kvm, e->gfn);
#else
	const int idx = srcu_read_lock(&kvm->srcu);
	struct kvm_memory_slot *slot = gfn_to_memslot(kvm, e->gfn);

	if (!WARN_ON_ONCE(!slot)) {
		write_lock(&kvm->mmu_lock);
		kvm_slot_page_track_remove_page(kvm, slot, e->gfn, KVM_PAGE_TRACK_WRITE);
		write_unlock(&kvm->mmu_lock);
	}
	srcu_read_unlock(&kvm->srcu, idx);
#endif
	WRITE_ONCE(e->armed, false);
}

static void on_write(struct mmuscope_tracker *t, struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new, int bytes)
{
	struct mmuscope_wp_write write = {};
	struct mmuscope_wp_entry *e;

	rcu_read_lock();
	e = xa_load(&t->gfns, gpa >> PAGE_SHIFT);
	if (e && bytes > 0) {
		write.kind = MMUSCOPE_WP_STORE;
		write.ns = ktime_get_ns();
		write.gpa = gpa;
		write.bytes = bytes;
		write.value_bytes = min_t(u32, bytes, sizeof(write.value));
		memcpy(write.value, new, write.value_bytes);
		write.vcpu = -1;
		if (vcpu && vcpu->kvm == t->kvm) {
			write.vcpu = vcpu->vcpu_id;
			write.rip = kvm_get_linear_rip(vcpu);
			write.level = level_of(vcpu);
		}
		spin_lock(&t->lock);
		e->stores++;
		mmuscope_flips_tell(t, &write);
		spin_unlock(&t->lock);
	}
	rcu_read_unlock();
}

/* Out of the list that it is in. Needs t->mutex. */
static void lifted_end(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e)
{
	if (list_empty(&e->lifted))
		return;
	WRITE_ONCE(e->lifter, NULL);
	list_del_init(&e->lifted);
	WRITE_ONCE(t->nr_lifted, t->nr_lifted - 1);
	hrtimer_cancel(&e->kick);
}

/*
 * Who finds the entry no more finds that one was removed. Needs t->mutex, and that t->guarded stays: t->change, or a
 * callback.
 */
static void entry_remove(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e)
{
	if (e->armed)
		disarm(t, e);
	WRITE_ONCE(t->grace, start_poll_synchronize_srcu(&t->kvm->srcu));
	smp_store_release(&t->removed, t->guarded);
	smp_wmb(); /* mmuscope_vm_removes() */
	lifted_end(t, e);
	xa_erase(&t->gfns, e->gfn);
	t->nr--;
	atomic_dec(&mmuscope_nr_flips);
	kfree_rcu(e, rcu);
}

/* A callback cannot wait for its own end: when it ended the last flip the rest is a work item's. */
static void stop_work(struct work_struct *work)
{
	struct mmuscope_tracker *t = container_of(to_delayed_work(work), struct mmuscope_tracker, stopping);

	mutex_lock(&t->change);
	if (!t->ended)
		mmuscope_tracker_stop(t);
	mutex_unlock(&t->change);
	mmuscope_tracker_put(t);
	module_put(THIS_MODULE);
}

/* By a callback, while the tracker is registered: so a session has both the module and the tracker. */
static void stop_later(struct mmuscope_tracker *t)
{
	__module_get(THIS_MODULE);
	kref_get(&t->kref);
	if (mmuscope_queue_delayed(&t->stopping, 0))
		return;
	mmuscope_tracker_put(t);
	module_put(THIS_MODULE);
}

/*
 * Frames of a memslot that goes, of whichever address space: ours is the first's. 6.1 takes one back that it told of
 * and cannot move in the end, with its counts: ours is taken from them.
 */
static void on_slot_gone(struct mmuscope_tracker *t, gfn_t gfn, unsigned long nr)
{
	const struct kvm_memory_slot *slot;
	struct mmuscope_wp_entry *e;
	unsigned long index;
	bool going, left = false;
	int idx;

	mutex_lock(&t->mutex);
	xa_for_each_range(&t->gfns, index, e, gfn, gfn + nr - 1)
	{
		idx = srcu_read_lock(&t->kvm->srcu);
		slot = gfn_to_memslot(t->kvm, e->gfn);
		going = !slot || (slot->flags & KVM_MEMSLOT_INVALID);
		srcu_read_unlock(&t->kvm->srcu, idx);
		if (!going)
			continue;
		mmuscope_flips_gone(t, e->gfn);
		entry_remove(t, e);
		left = !t->nr;
	}
	if (left)
		stop_later(t);
	mutex_unlock(&t->mutex);
}

#ifdef MMUSCOPE_HAVE_TRACK_WRITE_VCPU
static void track_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new, int bytes,
			struct kvm_page_track_notifier_node *node)
{
	on_write(container_of(node, struct mmuscope_tracker, node), vcpu, gpa, new, bytes);
}
#else
static void track_write(gpa_t gpa, const u8 *new, int bytes, struct kvm_page_track_notifier_node *node)
{
	on_write(container_of(node, struct mmuscope_tracker, node), kvm_get_running_vcpu(), gpa, new, bytes);
}
#endif

#ifdef MMUSCOPE_HAVE_TRACK_FLUSH_SLOT
static void track_flush_slot(struct kvm *kvm, struct kvm_memory_slot *slot,
			     struct kvm_page_track_notifier_node *node)
{
	on_slot_gone(container_of(node, struct mmuscope_tracker, node), slot->base_gfn, slot->npages);
}
#endif
#ifdef MMUSCOPE_HAVE_TRACK_REMOVE_REGION
static void track_remove_region(gfn_t gfn, unsigned long nr, struct kvm_page_track_notifier_node *node)
{
	on_slot_gone(container_of(node, struct mmuscope_tracker, node), gfn, nr);
}
#endif

/* KVM registers a notifier only for a task that has the VMM's memory. */
struct registration {
	struct work_struct work;
	struct mmuscope_tracker *t;
	int err;
};

static void register_work(struct work_struct *work)
{
	struct registration *r = container_of(work, struct registration, work);
	struct kvm *kvm = r->t->kvm;
	struct mm_struct *mm = kvm->mm;

	r->err = -ESRCH;
	if (!mmget_not_zero(mm))
		return;
	kthread_use_mm(mm);
#ifdef MMUSCOPE_HAVE_TRACK_REGISTER_INT
	r->err = kvm_page_track_register_notifier(kvm, &r->t->node);
	if (!r->err) /* KVM took a reference of the VM for it */
		atomic_inc(&r->t->vm->refs);
#else
	kvm_page_track_register_notifier(kvm, &r->t->node);
	r->err = 0;
#endif
	kthread_unuse_mm(mm);
	mmput(mm);
}

static int notifier_register(struct mmuscope_tracker *t)
{
	struct registration r = { .t = t };

	INIT_WORK_ONSTACK(&r.work, register_work);
	queue_work(system_unbound_wq, &r.work);
	flush_work(&r.work);
	destroy_work_on_stack(&r.work);
	return r.err;
}

static void notifier_unregister(struct mmuscope_tracker *t)
{
#ifdef MMUSCOPE_HAVE_TRACK_REGISTER_INT
	atomic_dec(&t->vm->refs);
#endif
	kvm_page_track_unregister_notifier(t->kvm, &t->node);
}

static void notifier_init(struct mmuscope_tracker *t)
{
	INIT_DELAYED_WORK(&t->stopping, stop_work);
	t->node.track_write = track_write;
#ifdef MMUSCOPE_HAVE_TRACK_FLUSH_SLOT
	t->node.track_flush_slot = track_flush_slot;
#endif
#ifdef MMUSCOPE_HAVE_TRACK_REMOVE_REGION
	t->node.track_remove_region = track_remove_region;
#endif
}

#else /* this kernel has no external write tracking: mmuscope_tracker_start() says so, and nothing else is called */

static int arm(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e)
{
	return -EOPNOTSUPP;
}

static void disarm(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e)
{
}

static void lifted_end(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e)
{
}

static void entry_remove(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e)
{
}

static int notifier_register(struct mmuscope_tracker *t)
{
	return -EOPNOTSUPP;
}

static void notifier_unregister(struct mmuscope_tracker *t)
{
}

static void notifier_init(struct mmuscope_tracker *t)
{
}

#endif

/* --- one VM's --- */

static void tracker_free(struct kref *kref)
{
	struct mmuscope_tracker *t = container_of(kref, struct mmuscope_tracker, kref);

	xa_destroy(&t->gfns);
	mutex_destroy(&t->change);
	mutex_destroy(&t->mutex);
	spin_lock(&trackers_lock);
	list_del_rcu(&t->link);
	spin_unlock(&trackers_lock);
	kfree_rcu(t, rcu);
}

void mmuscope_tracker_put(struct mmuscope_tracker *t)
{
	kref_put(&t->kref, tracker_free);
}

/* Several sessions may be here at once, with vm->use held for reading by each. */
struct mmuscope_tracker *mmuscope_tracker_of(struct mmuscope_file *file)
{
	struct mmuscope_vm *vm = file->vm;
	struct mmuscope_tracker *t = smp_load_acquire(&vm->tracker), *new;

	if (!t) {
		new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
		if (!new)
			return ERR_PTR(-ENOMEM);
		kref_init(&new->kref);
		new->kvm = vm->kvm;
		new->vm = vm;
		mutex_init(&new->change);
		mutex_init(&new->mutex);
		xa_init_flags(&new->gfns, XA_FLAGS_ACCOUNT);
		INIT_LIST_HEAD(&new->link);
		INIT_LIST_HEAD(&new->lifted);
		INIT_LIST_HEAD(&new->late);
		INIT_LIST_HEAD(&new->sessions);
		spin_lock_init(&new->lock);
		notifier_init(new);
		mmuscope_steps_init(new);
		/* In the list before any session has it: with the first flip vCPUs look for it there. */
		spin_lock(&trackers_lock);
		t = vm->tracker;
		if (!t) {
			t = new;
			list_add_rcu(&t->link, &trackers);
			smp_store_release(&vm->tracker, t);
		}
		spin_unlock(&trackers_lock);
		if (t != new)
			kref_put(&new->kref, tracker_free);
	}
	kref_get(&t->kref);
	return t;
}

int mmuscope_tracker_start(struct mmuscope_tracker *t, bool may_kill)
{
	int err;

	if (!t->guarded) {
		err = mmuscope_steps_go_on(t) ? 0 : mmuscope_guard_get();
		t->guarded = !err;
		if (err && !may_kill)
			return err;
		if (!err)
			mmuscope_steps_allow(t->kvm);
	}
	if (t->registered)
		return 0;
	err = notifier_register(t);
	t->registered = !err;
	if (err)
		mmuscope_tracker_stop(t);
	return err;
}

void mmuscope_tracker_stop(struct mmuscope_tracker *t)
{
	if (READ_ONCE(t->nr))
		return;
	if (t->registered)
		notifier_unregister(t);
	if (t->guarded)
		mmuscope_steps_end(t);
	t->registered = t->guarded = false;
}

/* The guest runs on the CPU that this was started on: an interrupt is an exit, which is when the vCPU is looked at. */
static enum hrtimer_restart kick(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

int mmuscope_tracker_add(struct mmuscope_tracker *t, u64 gfn)
{
	struct mmuscope_wp_entry *e = xa_load(&t->gfns, gfn);
	int err;

	if (t->ended)
		return -ESRCH;
	if (!e) {
		e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
		if (!e)
			return -ENOMEM;
		e->gfn = gfn;
		INIT_LIST_HEAD(&e->lifted);
		hrtimer_init(&e->kick, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
		e->kick.function = kick;
		err = xa_err(xa_store(&t->gfns, gfn, e, GFP_KERNEL_ACCOUNT));
		if (!err) {
			err = arm(t, e);
			if (err)
				xa_erase(&t->gfns, gfn);
		}
		if (err) {
			kfree_rcu(e, rcu);
			return err;
		}
		t->nr++;
		atomic_inc(&mmuscope_nr_flips);
	}
	e->sessions++;
	return 0;
}

void mmuscope_tracker_remove(struct mmuscope_tracker *t, u64 gfn)
{
	struct mmuscope_wp_entry *e = xa_load(&t->gfns, gfn);

	if (!t->ended && !WARN_ON_ONCE(!e) && !--e->sessions)
		entry_remove(t, e);
}

void mmuscope_tracker_let_go(struct mmuscope_vm *vm)
{
	struct mmuscope_tracker *t = vm->tracker;
	struct mmuscope_wp_entry *e;
	unsigned long index;

	if (!t)
		return;
	vm->tracker = NULL;
	mutex_lock(&t->change);
	mutex_lock(&t->mutex);
	xa_for_each(&t->gfns, index, e)
		entry_remove(t, e);
	t->ended = true;
	mutex_unlock(&t->mutex);
	mmuscope_tracker_stop(t);
	mutex_unlock(&t->change);
	mmuscope_flips_ended(t);
	mmuscope_tracker_put(t);
}

/* --- vCPUs --- */

/* Into one of the tracker's lists. Needs t->mutex. */
static void lifted_begin(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e, struct list_head *list)
{
	list_add_tail(&e->lifted, list);
	WRITE_ONCE(t->nr_lifted, t->nr_lifted + 1);
}

struct mmuscope_tracker *mmuscope_tracker_find(struct kvm *kvm)
{
	struct mmuscope_tracker *t, *found = NULL;

	rcu_read_lock();
	list_for_each_entry_rcu(t, &trackers, link)
		if (t->kvm == kvm && kref_get_unless_zero(&t->kref)) {
			found = t;
			break;
		}
	rcu_read_unlock();
	return found;
}

bool mmuscope_vm_steps(const struct kvm_vcpu *vcpu)
{
	struct mmuscope_tracker *t;
	bool steps = false;

	rcu_read_lock();
	list_for_each_entry_rcu(t, &trackers, link)
		steps |= t->kvm == vcpu->kvm && test_bit(vcpu->vcpu_idx, t->stepping);
	rcu_read_unlock();
	return steps;
}

void mmuscope_vm_step_ended(const struct kvm_vcpu *vcpu)
{
	struct mmuscope_tracker *t;

	rcu_read_lock();
	list_for_each_entry_rcu(t, &trackers, link)
		if (t->kvm == vcpu->kvm)
			clear_bit(vcpu->vcpu_idx, t->stepping);
	rcu_read_unlock();
}

/* Of trackers that ended before, too, in which vCPUs may have been when they did. */
bool mmuscope_vm_removes(struct kvm *kvm)
{
	struct mmuscope_tracker *t;
	bool removes = false;

	smp_rmb(); /* entry_remove() */
	rcu_read_lock();
	list_for_each_entry_rcu(t, &trackers, link)
		removes |= t->kvm == kvm && smp_load_acquire(&t->removed) &&
			   !poll_state_synchronize_srcu(&kvm->srcu, READ_ONCE(t->grace));
	rcu_read_unlock();
	return removes;
}

bool mmuscope_tracker_has(struct mmuscope_tracker *t, u64 gfn)
{
	/* The pointer alone, which is not followed. */
	return xa_load(&t->gfns, gfn);
}

bool mmuscope_tracker_stops(struct mmuscope_tracker *t, u64 gfn)
{
	const struct mmuscope_wp_entry *e;
	bool stops;

	rcu_read_lock();
	e = xa_load(&t->gfns, gfn);
	stops = e && READ_ONCE(e->armed);
	rcu_read_unlock();
	return stops;
}

void mmuscope_tracker_lift(struct mmuscope_tracker *t, struct kvm_vcpu *vcpu, u64 gpa,
			   enum mmuscope_wp_kind kind)
{
	const bool may_step = mmuscope_step_may(vcpu, gpa, kind);
	struct mmuscope_wp_entry *e;

	mutex_lock(&t->mutex);
	e = t->ended ? NULL : xa_load(&t->gfns, gpa >> PAGE_SHIFT);
	if (!e || !e->armed)
		goto out;
	disarm(t, e);
	memset(&e->write, 0, sizeof(e->write));
	e->write.kind = kind;
	e->write.ns = ktime_get_ns();
	e->write.gpa = gpa;
	e->write.rip = kvm_get_linear_rip(vcpu);
	e->write.vcpu = vcpu->vcpu_id;
	e->write.level = level_of(vcpu);
	lifted_begin(t, e, &t->lifted);
	WRITE_ONCE(e->lifter, vcpu);
	if (!may_step || !mmuscope_step_begin(t, vcpu))
		hrtimer_start(&e->kick, ns_to_ktime(KICK_NS), HRTIMER_MODE_REL_PINNED);
out:
	mutex_unlock(&t->mutex);
}

/* What is in the frame now; needs t->mutex, so that nothing is faulted in. */
static void read_back(struct kvm_vcpu *vcpu, struct mmuscope_wp_write *write)
{
	const int offset = offset_in_page(write->gpa);
	const int bytes = min_t(int, sizeof(write->value), PAGE_SIZE - offset);

	pagefault_disable();
	if (!kvm_vcpu_read_guest_page(vcpu, write->gpa >> PAGE_SHIFT, write->value, offset, bytes))
		write->value_bytes = bytes;
	pagefault_enable();
}

/* What became of a store that was let through. */
enum outcome { MADE, NOT_MADE, NOT_KNOWN };

/*
 * Arms it again; its memslot may be going. Either KVM will tell, or it takes the slot back and then kicks each vCPU,
 * whose exit arms what is late. Needs t->mutex.
 */
static void lower(struct mmuscope_tracker *t, struct mmuscope_wp_entry *e, struct kvm_vcpu *vcpu,
		  enum outcome outcome)
{
	const bool is_store = e->write.kind == MMUSCOPE_WP_THROUGH;

	if (outcome == MADE)
		read_back(vcpu, &e->write);
	if (outcome == NOT_KNOWN)
		e->write.kind = MMUSCOPE_WP_UNFINISHED;
	lifted_end(t, e);
	if (arm(t, e))
		lifted_begin(t, e, &t->late);
	if (outcome == NOT_MADE)
		return;
	spin_lock(&t->lock);
	if (is_store)
		e->through++;
	else
		e->walks++;
	mmuscope_flips_tell(t, &e->write);
	spin_unlock(&t->lock);
}

/*
 * The vCPU is past the instruction when it is elsewhere at the same level of guest. Its RIP says nothing
 * after it went from L2 to L1, or when it is the same by chance: then a later exit tells.
 */
static bool is_past(struct kvm_vcpu *vcpu, const struct mmuscope_wp_entry *e)
{
	return e->lifter == vcpu && e->write.level == level_of(vcpu) &&
	       !kvm_is_linear_rip(vcpu, e->write.rip);
}

/* Those that lower() could not arm, at each exit: their memslot either stays or takes them along. Needs t->mutex. */
static void arm_late(struct mmuscope_tracker *t)
{
	struct mmuscope_wp_entry *e, *next;

	list_for_each_entry_safe(e, next, &t->late, lifted)
		if (!arm(t, e))
			lifted_end(t, e);
}

static void look_at_lifted(struct mmuscope_tracker *t, struct kvm_vcpu *vcpu)
{
	const u64 now = ktime_get_ns();
	struct mmuscope_wp_entry *e, *next;

	mutex_lock(&t->mutex);
	arm_late(t);
	list_for_each_entry_safe(e, next, &t->lifted, lifted) {
		if (t->ended)
			break;
		if (is_past(vcpu, e))
			lower(t, e, vcpu, MADE);
		else if (now - e->write.ns > LIFTED_MAX_NS)
			lower(t, e, vcpu, NOT_KNOWN);
	}
	mutex_unlock(&t->mutex);
}

/* A tracker that has something lifted, with a reference. */
static struct mmuscope_tracker *find_lifted(struct kvm *kvm)
{
	struct mmuscope_tracker *t, *found = NULL;

	rcu_read_lock();
	list_for_each_entry_rcu(t, &trackers, link)
		if (t->kvm == kvm && READ_ONCE(t->nr_lifted) && kref_get_unless_zero(&t->kref)) {
			found = t;
			break;
		}
	rcu_read_unlock();
	return found;
}

void mmuscope_tracker_exit(struct kvm_vcpu *vcpu)
{
	struct mmuscope_tracker *t;

	/* Whose step it is, KVM's handler has to find out first. */
	if (mmuscope_is_stepping(vcpu))
		return;
	t = find_lifted(vcpu->kvm);
	if (!t)
		return;
	look_at_lifted(t, vcpu);
	mmuscope_tracker_put(t);
}

bool mmuscope_tracker_waits(struct kvm_vcpu *vcpu)
{
	struct mmuscope_tracker *t = find_lifted(vcpu->kvm);
	struct mmuscope_wp_entry *e;
	bool waits = false;

	if (!t)
		return false;
	mutex_lock(&t->mutex);
	list_for_each_entry(e, &t->lifted, lifted)
		waits |= e->lifter == vcpu && e->write.level == level_of(vcpu);
	mutex_unlock(&t->mutex);
	mmuscope_tracker_put(t);
	return waits;
}

void mmuscope_tracker_stepped(struct kvm_vcpu *vcpu, bool made)
{
	struct mmuscope_tracker *t = find_lifted(vcpu->kvm);
	struct mmuscope_wp_entry *e, *next;

	if (!t)
		return;
	mutex_lock(&t->mutex);
	arm_late(t);
	list_for_each_entry_safe(e, next, &t->lifted, lifted)
		if (!t->ended && e->lifter == vcpu)
			lower(t, e, vcpu, made ? MADE : NOT_MADE);
	mutex_unlock(&t->mutex);
	mmuscope_tracker_put(t);
}
