// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Write-protect flips: sessions, their requests, and the rings of what was written.
 *
 * A session keeps a list of its own, so that it undoes what it did and nothing else. Its ring is filled by
 * vCPUs under tracker.lock and never waits for the reader: what finds no room is lost, and is counted.
 */
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kmod/wp.h"

/* Records copied out, and flips listed, at once. */
#define CHUNK 32

/* The session's, once it has flipped something; the reader and poll do not hold file->lock. */
static struct mmuscope_flips *flips_of(struct mmuscope_file *file)
{
	return smp_load_acquire(&file->flips);
}

static void ring_put(struct mmuscope_flips *f, struct mmuscope_wp_write *write)
{
	write->seq = f->seq++;
	if (f->filled == MMUSCOPE_WP_RING)
		f->lost++;
	else
		f->ring[(f->first + f->filled++) % MMUSCOPE_WP_RING] = *write;
	wake_up_interruptible(&f->wait);
}

void mmuscope_flips_tell(struct mmuscope_tracker *t, const struct mmuscope_wp_write *write)
{
	struct mmuscope_wp_write mine = *write;
	struct mmuscope_wp_mine *m;
	struct mmuscope_flips *f;

	rcu_read_lock();
	list_for_each_entry(f, &t->sessions, link) {
		m = xa_load(&f->gfns, write->gpa >> PAGE_SHIFT);
		if (!m || m->gone)
			continue;
		mine.count = ++m->count;
		ring_put(f, &mine);
	}
	rcu_read_unlock();
}

void mmuscope_flips_gone(struct mmuscope_tracker *t, u64 gfn)
{
	struct mmuscope_wp_write write = {
		.kind = MMUSCOPE_WP_LOST,
		.ns = ktime_get_ns(),
		.gpa = gfn << PAGE_SHIFT,
		.vcpu = -1,
	};
	struct mmuscope_wp_mine *m;
	struct mmuscope_flips *f;

	rcu_read_lock();
	spin_lock(&t->lock);
	list_for_each_entry(f, &t->sessions, link) {
		m = xa_load(&f->gfns, gfn);
		if (!m || m->gone)
			continue;
		m->gone = true;
		write.count = m->count;
		ring_put(f, &write);
	}
	spin_unlock(&t->lock);
	rcu_read_unlock();
}

void mmuscope_flips_ended(struct mmuscope_tracker *t)
{
	struct mmuscope_flips *f;

	spin_lock(&t->lock);
	list_for_each_entry(f, &t->sessions, link) {
		f->ended = true;
		wake_up_interruptible(&f->wait);
	}
	spin_unlock(&t->lock);
}

/* Needs file->lock and the VM entered. */
static int flips_create(struct mmuscope_file *file)
{
	struct mmuscope_flips *f;

	if (file->flips)
		return 0;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->ring = kvcalloc(MMUSCOPE_WP_RING, sizeof(*f->ring), GFP_KERNEL_ACCOUNT);
	if (!f->ring)
		goto out_free;
	f->t = mmuscope_tracker_of(file);
	if (IS_ERR(f->t))
		goto out_free_ring;
	xa_init_flags(&f->gfns, XA_FLAGS_ACCOUNT);
	init_waitqueue_head(&f->wait);
	mutex_init(&f->reading);
	spin_lock(&f->t->lock);
	list_add_tail(&f->link, &f->t->sessions);
	spin_unlock(&f->t->lock);
	smp_store_release(&file->flips, f);
	return 0;
out_free_ring:
	kvfree(f->ring);
out_free:
	kfree(f);
	return -ENOMEM;
}

/* Needs t->mutex. */
static int flip_on(struct mmuscope_flips *f, u64 gfn)
{
	struct mmuscope_wp_mine *m = xa_load(&f->gfns, gfn);
	int err;

	if (m && !m->gone)
		return -EEXIST;
	if (m) {
		/* Its memslot went; there is another one. */
		err = mmuscope_tracker_add(f->t, gfn);
		if (err)
			return err;
		spin_lock(&f->t->lock);
		m->count = 0;
		m->gone = false;
		spin_unlock(&f->t->lock);
		return 0;
	}
	if (f->nr == MMUSCOPE_WP_MAX_GFNS)
		return -ENOSPC;
	m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m)
		return -ENOMEM;
	err = xa_err(xa_store(&f->gfns, gfn, m, GFP_KERNEL_ACCOUNT));
	if (!err) {
		err = mmuscope_tracker_add(f->t, gfn);
		if (err)
			xa_erase(&f->gfns, gfn);
	}
	if (err) {
		kfree_rcu(m, rcu);
		return err;
	}
	f->nr++;
	return 0;
}

/* Needs t->mutex. Was it one that was still there? */
static bool flip_off(struct mmuscope_flips *f, u64 gfn, struct mmuscope_wp_mine *m)
{
	const bool was = !m->gone;

	xa_erase(&f->gfns, gfn);
	f->nr--;
	if (was)
		mmuscope_tracker_remove(f->t, gfn);
	kfree_rcu(m, rcu);
	return was;
}

static bool range_valid(const struct mmuscope_wp_range *r)
{
	return !r->done && !r->err && r->nr && r->nr <= MMUSCOPE_WP_MAX_GFNS &&
	       r->gfn <= (~0ull >> PAGE_SHIFT) && r->gfn + r->nr - 1 <= (~0ull >> PAGE_SHIFT);
}

/* Of all flips: last is ~0. Needs f->t->change. */
static u32 range_off(struct mmuscope_flips *f, u64 gfn, u64 last)
{
	struct mmuscope_wp_mine *m;
	unsigned long index;
	u32 done = 0;

	xa_for_each_range(&f->gfns, index, m, gfn, last)
	{
		mutex_lock(&f->t->mutex);
		done += flip_off(f, index, m);
		mutex_unlock(&f->t->mutex);
		cond_resched();
	}
	return done;
}

/* In turns, so that vCPUs that wait for the mutex, and whoever kills us, get theirs. Needs f->t->change. */
static int range_on(struct mmuscope_flips *f, struct mmuscope_wp_range *r)
{
	int err = 0;

	while (!err && r->done < r->nr) {
		mutex_lock(&f->t->mutex);
		err = f->t->ended ? -ESRCH : flip_on(f, r->gfn + r->done);
		mutex_unlock(&f->t->mutex);
		if (!err)
			r->done++;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	switch (err) {
	case -ENOENT:
	case -EOPNOTSUPP:
	case -ENOSPC:
	case -EEXIST:
		r->err = -err;
		return 0;
	default:
		/* `done' is not told with an error: none is left. */
		if (err && r->done)
			range_off(f, r->gfn, r->gfn + r->done - 1);
		return err;
	}
}

static int run_on(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_wp_range *r = arg;
	struct mmuscope_flips *f;
	struct kvm *kvm;
	int err;

	if (!range_valid(r) || (r->flags & ~MMUSCOPE_WP_MAY_KILL))
		return -EINVAL;
	if (!MMUSCOPE_CAN_WP)
		return -EOPNOTSUPP;
	kvm = mmuscope_vm_enter(file);
	if (IS_ERR(kvm))
		return PTR_ERR(kvm);
	/* With MAY_KILL, too: it is about what KVM cannot do, not about what it does to the guest then. */
	err = mmuscope_vm_is_encrypted(kvm) ? -EACCES : flips_create(file);
	if (err)
		goto out;
	f = file->flips;
	mutex_lock(&f->t->change);
	err = mmuscope_tracker_start(f->t, r->flags & MMUSCOPE_WP_MAY_KILL);
	if (!err) {
		f->guarded = f->t->guarded;
		err = range_on(f, r);
	}
	mmuscope_tracker_stop(f->t); /* if nothing came of it */
	mutex_unlock(&f->t->change);
out:
	mmuscope_vm_leave(file);
	return err;
}

static int run_off(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_wp_range *r = arg;
	struct mmuscope_flips *f = file->flips;
	struct kvm *kvm;

	if (!range_valid(r) || r->flags)
		return -EINVAL;
	kvm = mmuscope_vm_enter(file);
	if (IS_ERR(kvm))
		return PTR_ERR(kvm);
	if (f) {
		mutex_lock(&f->t->change);
		r->done = range_off(f, r->gfn, r->gfn + r->nr - 1);
		mmuscope_tracker_stop(f->t);
		mutex_unlock(&f->t->change);
	}
	mmuscope_vm_leave(file);
	return 0;
}

/* One flip as it is listed: the tracker's, or a session's own that is gone. False: none. Needs t->mutex. */
static bool flip_tell(struct mmuscope_tracker *t, struct mmuscope_flips *f, u64 gfn,
		      struct mmuscope_wp_flip *ret)
{
	const struct mmuscope_wp_entry *e = xa_load(&t->gfns, gfn);
	const struct mmuscope_wp_mine *m = f ? xa_load(&f->gfns, gfn) : NULL;

	memset(ret, 0, sizeof(*ret));
	ret->gfn = gfn;
	if (!e && !m)
		return false;
	spin_lock(&t->lock);
	if (e) {
		ret->stores = e->stores;
		ret->through = e->through;
		ret->walks = e->walks;
		ret->sessions = e->sessions;
		ret->flags = (m && !m->gone ? MMUSCOPE_WP_MINE : 0) | (e->armed ? 0 : MMUSCOPE_WP_LIFTED);
	} else {
		ret->stores = m->count;
		ret->flags = MMUSCOPE_WP_MINE | MMUSCOPE_WP_GONE;
	}
	spin_unlock(&t->lock);
	return true;
}

/* The next frame that either list has, from gfn on; false: none. Needs t->mutex. */
static bool next_gfn(struct mmuscope_tracker *t, struct mmuscope_flips *f, u64 *gfn)
{
	unsigned long a = *gfn, b = *gfn;
	const bool in_t = xa_find(&t->gfns, &a, ULONG_MAX, XA_PRESENT);
	const bool in_f = f && xa_find(&f->gfns, &b, ULONG_MAX, XA_PRESENT);

	*gfn = in_t && in_f ? min(a, b) : in_t ? a : b;
	return in_t || in_f;
}

static int list_chunk(struct mmuscope_tracker *t, struct mmuscope_flips *f, u64 *gfn,
		      struct mmuscope_wp_flip *flips, u32 room)
{
	u32 nr = 0;

	mutex_lock(&t->mutex);
	while (nr < room && next_gfn(t, f, gfn)) {
		if (flip_tell(t, f, *gfn, &flips[nr]))
			nr++;
		++*gfn;
	}
	mutex_unlock(&t->mutex);
	return nr;
}

static int run_list(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_wp_list *l = arg;
	struct mmuscope_wp_flip *flips;
	struct mmuscope_tracker *t;
	u64 gfn = l->gfn;
	struct kvm *kvm;
	int err = 0;
	u32 nr;

	if (l->pad || l->nr || l->total)
		return -EINVAL;
	flips = kcalloc(CHUNK, sizeof(*flips), GFP_KERNEL_ACCOUNT);
	if (!flips)
		return -ENOMEM;
	while (!err) {
		kvm = mmuscope_vm_enter(file);
		if (IS_ERR(kvm)) {
			err = PTR_ERR(kvm);
			break;
		}
		t = READ_ONCE(file->vm->tracker);
		nr = 0;
		if (t) {
			l->total = READ_ONCE(t->nr);
			nr = list_chunk(t, file->flips, &gfn, flips, min_t(u32, CHUNK, l->room - l->nr));
		}
		/* Before the copy, which may wait for as long as the caller's memory does. */
		mmuscope_vm_leave(file);
		if (!nr)
			break;
		if (copy_to_user((struct mmuscope_wp_flip __user *)l->buf + l->nr, flips,
				 nr * sizeof(*flips)))
			err = -EFAULT;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		l->nr += nr;
	}
	kfree(flips);
	return err;
}

static int run_info(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_wp_info *info = arg;
	struct mmuscope_flips *f = file->flips;

	if (!f)
		return 0;
	mutex_lock(&f->t->change);
	/* With the last flip the guard goes, too. */
	if (f->guarded || f->t->guarded)
		info->flags |= MMUSCOPE_WP_GUARDED;
	mutex_unlock(&f->t->change);
#ifdef MMUSCOPE_HAVE_TRACK_REGISTER_INT
	info->flags |= MMUSCOPE_WP_TRACKING;
#endif
	spin_lock(&f->t->lock);
	info->seq = f->seq;
	info->lost = f->lost;
	spin_unlock(&f->t->lock);
	info->gfns = READ_ONCE(f->nr);
	return 0;
}

/* After the VM was let go of its tracker has nothing left to undo: what remains is memory. */
static void wp_release(struct mmuscope_file *file)
{
	struct mmuscope_flips *f = file->flips;
	bool there;

	if (!f)
		return;
	/* Not mmuscope_vm_enter(), which gives up for those who are being killed. */
	down_read(&file->vm->use);
	there = file->vm->kvm;
	mutex_lock(&f->t->change);
	range_off(f, 0, ~0ull);
	if (there)
		mmuscope_tracker_stop(f->t);
	mutex_unlock(&f->t->change);
	mmuscope_vm_leave(file);
	spin_lock(&f->t->lock);
	list_del(&f->link);
	spin_unlock(&f->t->lock);
	xa_destroy(&f->gfns);
	mmuscope_tracker_put(f->t);
	mutex_destroy(&f->reading);
	kvfree(f->ring);
	kfree(f);
	file->flips = NULL;
}

static __poll_t wp_poll(struct mmuscope_file *file, struct poll_table_struct *wait)
{
	struct mmuscope_flips *f = flips_of(file);
	__poll_t mask = 0;

	/* Nothing would ever wake it: as with read(2), it is an error before the first flip. */
	if (!f)
		return EPOLLERR;
	poll_wait(file->file, &f->wait, wait);
	spin_lock(&f->t->lock);
	if (f->filled)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (f->ended)
		mask |= EPOLLHUP | EPOLLIN;
	spin_unlock(&f->t->lock);
	return mask;
}

/* The oldest records, up to nr, which stay; tells whether more may come. Needs f->reading, as ring_drop() does. */
static unsigned int ring_peek(struct mmuscope_flips *f, struct mmuscope_wp_write *to, unsigned int nr,
			      bool *ended)
{
	unsigned int n;

	spin_lock(&f->t->lock);
	for (n = 0; n < nr && n < f->filled; n++)
		to[n] = f->ring[(f->first + n) % MMUSCOPE_WP_RING];
	*ended = f->ended;
	spin_unlock(&f->t->lock);
	return n;
}

static void ring_drop(struct mmuscope_flips *f, unsigned int nr)
{
	spin_lock(&f->t->lock);
	f->first = (f->first + nr) % MMUSCOPE_WP_RING;
	f->filled -= nr;
	spin_unlock(&f->t->lock);
}

static ssize_t wp_read(struct mmuscope_file *file, char __user *to, size_t bytes, bool nonblock)
{
	struct mmuscope_flips *f = flips_of(file);
	struct mmuscope_wp_write *chunk;
	size_t room = bytes / sizeof(*chunk), done = 0;
	bool ended = false;
	unsigned int n;
	ssize_t err = 0;

	if (!f || !room)
		return -EINVAL;
	if (mutex_lock_interruptible(&f->reading))
		return -ERESTARTSYS;
	chunk = kcalloc(CHUNK, sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk) {
		err = -ENOMEM;
		goto out;
	}
	while (done < room) {
		n = ring_peek(f, chunk, min_t(size_t, CHUNK, room - done), &ended);
		if (!n && (done || ended))
			break;
		if (!n) {
			err = nonblock ? -EAGAIN
				       : wait_event_interruptible(f->wait, READ_ONCE(f->filled) ||
										   READ_ONCE(f->ended));
			if (err)
				break;
			continue;
		}
		if (copy_to_user(to + done * sizeof(*chunk), chunk, n * sizeof(*chunk))) {
			err = -EFAULT;
			break;
		}
		ring_drop(f, n);
		done += n;
		if (fatal_signal_pending(current))
			break;
	}
	kfree(chunk);
out:
	mutex_unlock(&f->reading);
	return done ? (ssize_t)(done * sizeof(*chunk)) : err;
}

static void wp_let_go(struct mmuscope_vm *vm)
{
	mmuscope_tracker_let_go(vm);
}

/* kfree_rcu() of this module's objects needs none of its code; but what sits in callbacks of ours would. */
static void wp_exit(void)
{
	rcu_barrier();
}

static const struct mmuscope_request wp_requests[] = {
	{ MMUSCOPE_WP_ON, run_on },
	{ MMUSCOPE_WP_OFF, run_off },
	{ MMUSCOPE_WP_LIST, run_list },
	{ MMUSCOPE_WP_INFO, run_info },
};

const struct mmuscope_part mmuscope_wp_part = {
	.requests = wp_requests,
	.nr_requests = ARRAY_SIZE(wp_requests),
	.release = wp_release,
	.let_go = wp_let_go,
	.poll = wp_poll,
	.read = wp_read,
	.exit = wp_exit,
	.has = MMUSCOPE_CAN_WP ? MMUSCOPE_HAS_WP : 0,
};
