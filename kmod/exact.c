// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exact snapshots: requests, the lock and how long it is held, the buffer between it and the caller.
 *
 * Locks: kvm->srcu, which keeps the memslots, around kvm->mmu_lock, which is held for writing. Nobody changes a page,
 * an SPTE, a list or a count meanwhile, but for the CPU's accessed and dirty bits and KVM's lockless fast page fault.
 * Nothing sleeps under the lock, and user memory is written after it was given back.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "kmod/exact.h"

void exact_lock(struct mmuscope_exact *x) __acquires(&x->kvm->mmu_lock)
{
#ifdef KVM_HAVE_MMU_RWLOCK
	write_lock(&x->kvm->mmu_lock);
#else
	spin_lock(&x->kvm->mmu_lock);
#endif
	x->since_ns = ktime_get_mono_fast_ns();
}

static void take_seq(struct mmuscope_exact *x)
{
	struct kvm *kvm = x->kvm;
	unsigned int i;

	memset(&x->seq, 0, sizeof(x->seq));
	x->seq.invalidate_seq = kvm->mmu_invalidate_seq;
	x->seq.invalidate_in_progress = kvm->mmu_invalidate_in_progress != 0;
	x->seq.used_pages = kvm->arch.n_used_mmu_pages;
	x->seq.valid_gen = kvm->arch.mmu_valid_gen;
	for (i = 0; i < ARRAY_SIZE(x->seq.generation) && i < ARRAY_SIZE(kvm->memslots); i++)
		x->seq.generation[i] = __kvm_memslots(kvm, i)->generation;
}

void exact_unlock(struct mmuscope_exact *x) __releases(&x->kvm->mmu_lock)
{
	u64 ns;

	take_seq(x);
	ns = ktime_get_mono_fast_ns() - x->since_ns;
#ifdef KVM_HAVE_MMU_RWLOCK
	write_unlock(&x->kvm->mmu_lock);
#else
	spin_unlock(&x->kvm->mmu_lock);
#endif
	x->holds++;
	x->held_ns += ns;
	x->longest_ns = max_t(u64, x->longest_ns, min_t(u64, ns, U32_MAX));
}

bool exact_is_late(const struct mmuscope_exact *x)
{
	return ktime_get_mono_fast_ns() - x->since_ns >= x->budget_ns;
}

void *exact_put(struct mmuscope_exact *x, u32 type, u32 bytes)
{
	struct mmuscope_exact_rec *rec = (struct mmuscope_exact_rec *)(x->buf + x->used);

	rec->type = type;
	rec->bytes = bytes;
	x->used += sizeof(*rec) + bytes;
	x->nr++;
	return rec + 1;
}

static int run_begin(struct mmuscope_file *file, void *arg)
{
	const struct mmuscope_exact_begin *begin = arg;
	struct mmuscope_exact *x = file->exact;
	u8 *buf = x ? x->buf : NULL;

	if (begin->kind < MMUSCOPE_EXACT_LEGACY || begin->kind > MMUSCOPE_EXACT_RMAPS ||
	    begin->flags & ~MMUSCOPE_EXACT_TABLES || begin->budget_ns > MMUSCOPE_EXACT_BUDGET_MAX_NS ||
	    begin->pad)
		return -EINVAL;
	if (!file->vm)
		return -ENOTCONN;
	if (!file->layout)
		return -ENODATA;
	if (!x) {
		x = kzalloc(sizeof(*x), GFP_KERNEL_ACCOUNT);
		buf = kvzalloc(MMUSCOPE_EXACT_BYTES, GFP_KERNEL_ACCOUNT);
		if (!x || !buf) {
			kfree(x);
			kvfree(buf);
			return -ENOMEM;
		}
		file->exact = x;
	}
	memset(x, 0, sizeof(*x));
	x->buf = buf;
	x->l = file->layout;
	x->kind = begin->kind;
	x->flags = begin->flags;
	x->budget_ns = begin->budget_ns ? begin->budget_ns : MMUSCOPE_EXACT_BUDGET_NS;
	return 0;
}

static int read_piece(struct mmuscope_exact *x)
{
	int idx, err;

	idx = srcu_read_lock(&x->kvm->srcu);
	if (x->kind == MMUSCOPE_EXACT_RMAPS)
		err = exact_read_rmaps(x);
	else if (x->kind == MMUSCOPE_EXACT_TDP)
		err = exact_read_trees(x);
	else
		err = exact_read_list(x);
	srcu_read_unlock(&x->kvm->srcu, idx);
	return err;
}

/* To x->buf. */
static int take_piece(struct mmuscope_file *file, struct mmuscope_exact *x)
{
	int err;

	x->kvm = mmuscope_vm_enter(file);
	if (IS_ERR(x->kvm)) {
		err = PTR_ERR(x->kvm);
		x->kvm = NULL;
		return err;
	}
	x->used = x->nr = x->holds = x->longest_ns = 0;
	x->held_ns = x->where = 0;
	/* A memslot without an array is so for the reading; the others are about a piece. */
	x->out_flags &= MMUSCOPE_EXACT_NO_ARRAY;
	err = read_piece(x);
	x->kvm = NULL;
	mmuscope_vm_leave(file);
	x->over = (err && err != -EINTR) || x->out_flags & (MMUSCOPE_EXACT_END | MMUSCOPE_EXACT_GAVE_UP);
	return err;
}

static int run_next(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_exact_next *next = arg;
	struct mmuscope_exact *x = file->exact;
	int err;

	if (!x || (x->over && !x->kept))
		return -ENODATA;
	if (next->bytes < MMUSCOPE_EXACT_BYTES)
		return -EINVAL;
	err = x->kept ? 0 : take_piece(file, x);
	if (fatal_signal_pending(current))
		return -EINTR;
	next->used = x->used;
	next->nr = x->nr;
	next->flags = x->out_flags;
	next->holds = x->holds;
	next->longest_ns = x->longest_ns;
	next->held_ns = x->held_ns;
	next->where = x->where;
	next->seq = x->seq;
	x->kept = !err && copy_to_user(u64_to_user_ptr(next->buf), x->buf, x->used);
	return x->kept ? -EFAULT : err;
}

static void exact_release(struct mmuscope_file *file)
{
	if (!file->exact)
		return;
	kvfree(file->exact->buf);
	kfree(file->exact);
	file->exact = NULL;
}

static const struct mmuscope_request exact_requests[] = {
	{ MMUSCOPE_EXACT_BEGIN, run_begin },
	{ MMUSCOPE_EXACT_NEXT, run_next },
};

const struct mmuscope_part mmuscope_exact_part = {
	.requests = exact_requests,
	.nr_requests = ARRAY_SIZE(exact_requests),
	.release = exact_release,
	.has = MMUSCOPE_HAS_EXACT,
};
