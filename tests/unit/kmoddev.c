/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See kmoddev.h. */
#include "kmoddev.h"

#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBERS 1
#else
#define FIBERS 0
#endif

#define STACK_BYTES (256u << 10)
#define LOWEST 4096u /* no memory of a process lies below */

struct thread {
	struct session *session;
	struct inst_strand *s;
	ucontext_t here, caller;
	void *stack, *fake_stack, *caller_fake_stack;
	const void *caller_stack;
	size_t caller_bytes;
	bool started;
	u64 breaths;
};

struct session {
	struct inst inst;
	bool made;
	struct thread threads[MMUSCOPE_NMMU_STRANDS];
};

struct kmoddev_knobs kmoddev_knobs;

struct inst *kmoddev_inst(void *session)
{
	return &((struct session *)session)->inst;
}

/* --- what kmod/nmmu.c does in the kernel --- */

static bool alloc_fails(void)
{
	return kmoddev_knobs.fail_alloc && !--kmoddev_knobs.fail_alloc;
}

static void *counted(void *p)
{
	kmoddev_knobs.live += p != NULL;
	return p;
}

void *inst_mem_alloc(u64 bytes)
{
	return alloc_fails() ? NULL : counted(calloc(1, bytes));
}

void inst_mem_free(void *mem)
{
	kmoddev_knobs.live -= mem != NULL;
	free(mem);
}

void *inst_page_alloc(void)
{
	void *page = alloc_fails() ? NULL : counted(aligned_alloc(4096, 4096));

	return page ? memset(page, 0, 4096) : NULL;
}

void inst_page_free(void *page)
{
	inst_mem_free(page);
}

static bool is_bad(u64 at, u64 bytes)
{
	return at < LOWEST || at >> 47 || bytes >> 40;
}

int inst_copy_in(void *to, u64 from, u64 bytes)
{
	if (is_bad(from, bytes))
		return -EFAULT;
	memcpy(to, (const void *)(uintptr_t)from, bytes);
	return 0;
}

int inst_copy_out(u64 to, const void *from, u64 bytes)
{
	if (is_bad(to, bytes))
		return -EFAULT;
	memcpy((void *)(uintptr_t)to, from, bytes);
	return 0;
}

int inst_cmpxchg(u64 at, u64 old, u64 new_value, u32 bytes)
{
	u32 old32 = (u32)old;
	bool done;

	if (is_bad(at, bytes))
		return -EFAULT;
	if (bytes == 4)
		done = __atomic_compare_exchange_n((u32 *)(uintptr_t)at, &old32, (u32)new_value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	else
		done = __atomic_compare_exchange_n((u64 *)(uintptr_t)at, &old, new_value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return done ? 0 : -EAGAIN;
}

void inst_traced(const struct inst *inst, const struct ms_event *event)
{
	(void)inst;
	(void)event;
	kmoddev_knobs.traced++;
}

void inst_breathe(struct inst_strand *s)
{
	struct thread *t = s->host;

	if (kmoddev_knobs.breaths && ++t->breaths > kmoddev_knobs.breaths)
		s->refused = INST_TOO_LONG;
}

/* --- strands --- */

static void switch_out(struct thread *t, bool last)
{
#if FIBERS
	__sanitizer_start_switch_fiber(last ? NULL : &t->fake_stack, t->caller_stack, t->caller_bytes);
#endif
	(void)last;
	swapcontext(&t->here, &t->caller);
#if FIBERS
	__sanitizer_finish_switch_fiber(t->fake_stack, &t->caller_stack, &t->caller_bytes);
#endif
}

void inst_wait(struct inst_strand *s)
{
	switch_out(s->host, false);
}

static void thread_main(u32 high, u32 low)
{
	struct thread *t = (void *)(uintptr_t)((u64)high << 32 | low);

#if FIBERS
	__sanitizer_finish_switch_fiber(NULL, &t->caller_stack, &t->caller_bytes);
#endif
	inst_work(t->s);
	t->started = false;
	switch_out(t, true);
}

static void thread_start(struct thread *t)
{
	u64 self = (uintptr_t)t;

	if (!t->stack && !(t->stack = malloc(STACK_BYTES)))
		abort();
#if FIBERS
	__asan_unpoison_memory_region(t->stack, STACK_BYTES);
#endif
	getcontext(&t->here);
	t->here.uc_stack.ss_sp = t->stack;
	t->here.uc_stack.ss_size = STACK_BYTES;
	t->here.uc_link = NULL;
	makecontext(&t->here, (void (*)(void))thread_main, 2, (u32)(self >> 32), (u32)self);
	t->started = true;
	t->breaths = 0;
}

static void strand_run(struct session *session, struct inst_strand *s)
{
	struct thread *t = &session->threads[s - session->inst.strands];

	t->s = s;
	s->host = t;
	session->inst.now = s;
	if (!t->started)
		thread_start(t);
#if FIBERS
	__sanitizer_start_switch_fiber(&t->caller_fake_stack, t->stack, STACK_BYTES);
#endif
	swapcontext(&t->caller, &t->here);
#if FIBERS
	__sanitizer_finish_switch_fiber(t->caller_fake_stack, NULL, NULL);
#endif
	session->inst.now = NULL;
}

/* --- requests --- */

static struct ms_err *dev_open(void *ctx, void **session_ret)
{
	struct session *session = kmoddev_knobs.refuse_open ? NULL : calloc(1, sizeof(*session));

	(void)ctx;
	if (!session)
		return ms_err_new(MS_ERR_TARGET, "no device");
	*session_ret = session;
	return NULL;
}

static void dev_close(void *ptr)
{
	struct session *session = ptr;
	bool busy = true;
	u32 i;

	while (session->made && busy) {
		busy = false;
		for (i = 0; i < MMUSCOPE_NMMU_STRANDS; i++) {
			if (!session->inst.strands[i].busy)
				continue;
			session->inst.strands[i].refused = INST_KILLED;
			strand_run(session, &session->inst.strands[i]);
			busy = true;
		}
	}
	if (session->made)
		inst_deinit(&session->inst);
	for (i = 0; i < MMUSCOPE_NMMU_STRANDS; i++)
		free(session->threads[i].stack);
	free(session);
}

static int run(struct session *session, struct mmuscope_nmmu_run *run)
{
	struct inst_strand *s;
	u32 call = run->call;
	int err = inst_begin(&session->inst, run, &s);

	if (err)
		return err;
	kmoddev_knobs.calls[call]++;
	strand_run(session, s);
	err = inst_report(&session->inst, s, run);
	kmoddev_knobs.asked[run->state]++;
	return err;
}

static int create(struct session *session, struct mmuscope_nmmu_create *create)
{
	int err;

	if (session->made)
		return -EBUSY;
	memset(&session->inst, 0, sizeof(session->inst));
	err = inst_init(&session->inst, create);
	session->made = !err;
	return err;
}

static int dispatch(struct session *session, unsigned long nr, void *arg)
{
	if (nr == MMUSCOPE_NMMU_CREATE)
		return create(session, arg);
	if (!session->made)
		return -ENOTCONN;
	switch (nr) {
	case MMUSCOPE_NMMU_AREA:
		return inst_area(&session->inst, arg);
	case MMUSCOPE_NMMU_RUN:
		return run(session, arg);
	case MMUSCOPE_NMMU_TABLE:
		return inst_table(&session->inst, arg);
	case MMUSCOPE_NMMU_IMAGE:
		return inst_image(&session->inst, arg);
	default:
		return -ENOTTY;
	}
}

static int dev_request(void *ptr, unsigned long nr, void *arg)
{
	int err = dispatch(ptr, nr, arg);

	kmoddev_knobs.requests[_IOC_NR(nr) - MMUSCOPE_NR_NMMU]++;
	if (kmoddev_knobs.spoil)
		kmoddev_knobs.spoil(nr, arg);
	return err;
}

const struct ms_device kmoddev = {
	.open = dev_open,
	.request = dev_request,
	.close = dev_close,
};
