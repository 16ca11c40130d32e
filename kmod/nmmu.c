// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instances of nmmu: the requests, and what they stand on here. An instance has up to MMUSCOPE_NMMU_STRANDS kernel
 * threads, each for one call of the engine that may stop in its midst to ask its caller something. Only one runs, while
 * the one who asked for it waits in its ioctl, holding the file's lock: whatever guards an instance is that lock.
 *
 *	 ioctl RUN	go = true, waits for parked	---->	works with the caller's mm and cgroup
 *	 returns		<-----	parked = true, waits for go: it has a question, or has ended
 *
 * A fatal signal, and too long a call, have every request of the engine's fail: it ends by its own ways for that, which
 * takes as long as the work on what it holds already. The thread may sleep in the caller's memory, for whose pages
 * somebody else is waited for (a userfaultfd, a file system in user space): it gets a SIGKILL, which ends such a wait.
 * Threads end with the file.
 */
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "kmod/mmuscope.h"
#include "kmod/nmmu.h"

static unsigned int nmmu_call_ms = 10000;
module_param(nmmu_call_ms, uint, 0644);
MODULE_PARM_DESC(nmmu_call_ms, "milliseconds that one call of an instance of nmmu may work (10000)");

static atomic64_t ids;

struct thread {
	struct inst_strand *s;
	struct task_struct *task; /* NULL: not yet needed */
	struct wait_queue_head wait;
	bool go, parked;
	ktime_t since; /* of this stretch */
	s64 worked_ns; /* before */
	struct mem_cgroup *memcg; /* while it works: what was there before */
};

struct mmuscope_nmmu {
	struct inst inst;
	struct thread threads[MMUSCOPE_NMMU_STRANDS];
	struct mm_struct *mm; /* of who made it; grabbed, not its users */
	struct mem_cgroup *memcg;
	bool ending;
};

/* --- what the engine gets --- */

/* At the cgroup's limit the engine's own paths for the want of memory are taken: nobody is killed for it. */
#define GFP_ENGINE (GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

void *inst_mem_alloc(u64 bytes)
{
	return kvzalloc(bytes, GFP_ENGINE);
}

void inst_mem_free(void *mem)
{
	kvfree(mem);
	cond_resched();
}

void *inst_page_alloc(void)
{
	return (void *)get_zeroed_page(GFP_ENGINE);
}

void inst_page_free(void *page)
{
	free_page((unsigned long)page);
	cond_resched();
}

/* A thread that has not taken on the caller's memory has somebody else's, or none. */
static bool has_memory(void)
{
	return current->mm;
}

int inst_copy_in(void *to, u64 from, u64 bytes)
{
	return !has_memory() || copy_from_user(to, u64_to_user_ptr(from), bytes) ? -EFAULT : 0;
}

int inst_copy_out(u64 to, const void *from, u64 bytes)
{
	return !has_memory() || copy_to_user(u64_to_user_ptr(to), from, bytes) ? -EFAULT : 0;
}

int inst_cmpxchg(u64 at, u64 old, u64 new_value, u32 bytes)
{
	u32 __user *at32 = u64_to_user_ptr(at);
	u64 __user *at64 = u64_to_user_ptr(at);
	u32 old32 = (u32)old;
	int ret;

	if (!has_memory() || !access_ok(at64, sizeof(*at64)))
		return -EFAULT;
	/* 0: it is done, 1: it was another value. */
	if (bytes == 4)
		ret = __try_cmpxchg_user(at32, &old32, (u32)new_value, four);
	else
		ret = __try_cmpxchg_user(at64, &old, new_value, eight);
	return ret > 0 ? -EAGAIN : ret;
}

/* --- threads --- */

static struct mmuscope_nmmu *nmmu_of(struct thread *t)
{
	return container_of(t->s->inst, struct mmuscope_nmmu, inst);
}

/* While it works it is as the caller: its memory, its cgroup's allowance. */
static void work_begin(struct thread *t)
{
	struct mmuscope_nmmu *nmmu = nmmu_of(t);

	/* What ended the stretch before. Whoever sends one waits for its end. */
	flush_signals(current);
	t->since = ktime_get();
	/* When the file ends the memory may be gone already; nobody has it read then. */
	if (nmmu->ending)
		return;
	kthread_use_mm(nmmu->mm);
	t->memcg = set_active_memcg(nmmu->memcg);
}

static void work_end(struct thread *t)
{
	struct mmuscope_nmmu *nmmu = nmmu_of(t);

	if (!nmmu->ending) {
		set_active_memcg(t->memcg);
		kthread_unuse_mm(nmmu->mm);
	}
	t->worked_ns += ktime_to_ns(ktime_sub(ktime_get(), t->since));
}

/* False: the thread is to end. */
static bool wait_for_go(struct thread *t)
{
	wait_event_idle(t->wait, smp_load_acquire(&t->go) || kthread_should_stop());
	if (!t->go)
		return false;
	t->go = false;
	return true;
}

static void park(struct thread *t)
{
	smp_store_release(&t->parked, true);
	wake_up(&t->wait);
}

static int thread_main(void *arg)
{
	struct thread *t = arg;

	allow_signal(SIGKILL);
	while (wait_for_go(t)) {
		work_begin(t);
		inst_work(t->s);
		work_end(t);
		park(t);
	}
	return 0;
}

void inst_wait(struct inst_strand *s)
{
	struct thread *t = s->host;

	work_end(t);
	park(t);
	/* kthread_stop() comes only to who has nothing under way. */
	wait_for_go(t);
	work_begin(t);
}

void inst_breathe(struct inst_strand *s)
{
	struct thread *t = s->host;
	s64 worked = t->worked_ns + ktime_to_ns(ktime_sub(ktime_get(), t->since));

	if (worked > (s64)READ_ONCE(nmmu_call_ms) * NSEC_PER_MSEC)
		WRITE_ONCE(s->refused, INST_TOO_LONG);
	cond_resched();
}

/* What is left of a call's time, in jiffies, at least one. The thread does not run. */
static long time_left(const struct thread *t)
{
	s64 ms = (s64)READ_ONCE(nmmu_call_ms) - div_s64(t->worked_ns, NSEC_PER_MSEC);

	return msecs_to_jiffies(clamp_t(s64, ms, 1, UINT_MAX));
}

static void refuse(struct thread *t, enum inst_refused why)
{
	WRITE_ONCE(t->s->refused, why);
	send_sig(SIGKILL, t->task, 1);
}

/* Until the strand has stopped. A fatal signal, and the end of its time, shorten what it does, but it is waited for. */
static int strand_run(struct mmuscope_nmmu *nmmu, struct inst_strand *s)
{
	struct thread *t = &nmmu->threads[s - nmmu->inst.strands];
	long left;
	int err;

	if (!s->waits)
		t->worked_ns = 0;
	left = time_left(t);
	nmmu->inst.now = s;
	t->parked = false;
	smp_store_release(&t->go, true);
	wake_up(&t->wait);
	left = wait_event_killable_timeout(t->wait, smp_load_acquire(&t->parked), left);
	err = min(left, 0L);
	if (!left) {
		refuse(t, INST_TOO_LONG);
		err = wait_event_killable(t->wait, smp_load_acquire(&t->parked));
	}
	if (err) {
		refuse(t, INST_KILLED);
		wait_event(t->wait, smp_load_acquire(&t->parked));
	}
	nmmu->inst.now = NULL;
	return err ? -EINTR : 0;
}

/* -ENOMEM, -EINTR. */
static int thread_make(struct mmuscope_nmmu *nmmu, unsigned int i)
{
	struct thread *t = &nmmu->threads[i];
	struct task_struct *task;

	if (t->task)
		return 0;
	t->s = &nmmu->inst.strands[i];
	t->s->host = t;
	init_waitqueue_head(&t->wait);
	task = kthread_run(thread_main, t, "mmuscope-nmmu");
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* It does the caller's work: where the caller may do it. */
	set_cpus_allowed_ptr(task, current->cpus_ptr);
	t->task = task;
	return 0;
}

/* Each call that waits gets no for an answer. One may wait for a lock of another's: hence in turns. */
static void threads_end(struct mmuscope_nmmu *nmmu)
{
	bool busy = true;
	unsigned int i;

	nmmu->ending = true;
	while (busy) {
		busy = false;
		for (i = 0; i < MMUSCOPE_NMMU_STRANDS; i++) {
			struct inst_strand *s = &nmmu->inst.strands[i];

			if (!s->busy)
				continue;
			s->refused = INST_KILLED;
			strand_run(nmmu, s);
			busy = true;
		}
	}
	for (i = 0; i < MMUSCOPE_NMMU_STRANDS; i++)
		if (nmmu->threads[i].task)
			kthread_stop(nmmu->threads[i].task);
}

/* --- requests --- */

static int run_create(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_nmmu *nmmu;
	int err;

	if (file->nmmu)
		return -EBUSY;
	nmmu = kvzalloc(sizeof(*nmmu), GFP_KERNEL_ACCOUNT);
	if (!nmmu)
		return -ENOMEM;
	err = inst_init(&nmmu->inst, arg);
	if (err) {
		kvfree(nmmu);
		return err;
	}
	nmmu->inst.id = atomic64_inc_return(&ids);
	nmmu->mm = current->mm;
	mmgrab(nmmu->mm);
	nmmu->memcg = get_mem_cgroup_from_mm(nmmu->mm);
	file->nmmu = nmmu;
	atomic_inc(&mmuscope_nr_nmmus);
	return 0;
}

static void nmmu_release(struct mmuscope_file *file)
{
	struct mmuscope_nmmu *nmmu = file->nmmu;

	if (!nmmu)
		return;
	threads_end(nmmu);
	inst_deinit(&nmmu->inst);
	mem_cgroup_put(nmmu->memcg);
	mmdrop(nmmu->mm);
	kvfree(nmmu);
	file->nmmu = NULL;
	atomic_dec(&mmuscope_nr_nmmus);
}

static int run_area(struct mmuscope_file *file, void *arg)
{
	return file->nmmu ? inst_area(&file->nmmu->inst, arg) : -ENOTCONN;
}

static int run_run(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_nmmu *nmmu = file->nmmu;
	struct mmuscope_nmmu_run *run = arg;
	struct inst_strand *s;
	int err;

	if (!nmmu)
		return -ENOTCONN;
	/* Addresses are those of whoever made it. */
	if (current->mm != nmmu->mm)
		return -ESRCH;
	if (run->strand >= MMUSCOPE_NMMU_STRANDS)
		return -EINVAL;
	err = thread_make(nmmu, run->strand);
	if (err)
		return err;
	err = inst_begin(&nmmu->inst, run, &s);
	if (!err)
		err = strand_run(nmmu, s);
	if (!err)
		err = inst_report(&nmmu->inst, s, run);
	return err;
}

static int run_table(struct mmuscope_file *file, void *arg)
{
	return file->nmmu ? inst_table(&file->nmmu->inst, arg) : -ENOTCONN;
}

static int run_image(struct mmuscope_file *file, void *arg)
{
	return file->nmmu ? inst_image(&file->nmmu->inst, arg) : -ENOTCONN;
}

static const struct mmuscope_request nmmu_requests[] = {
	{ MMUSCOPE_NMMU_CREATE, run_create }, { MMUSCOPE_NMMU_AREA, run_area },
	{ MMUSCOPE_NMMU_RUN, run_run },	      { MMUSCOPE_NMMU_TABLE, run_table },
	{ MMUSCOPE_NMMU_IMAGE, run_image },
};

const struct mmuscope_part mmuscope_nmmu_part = {
	.requests = nmmu_requests,
	.nr_requests = ARRAY_SIZE(nmmu_requests),
	.release = nmmu_release,
	.has = MMUSCOPE_HAS_NMMU,
};
