// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The accesses themselves: what L2 runs, and what L1 runs when it is a plain guest. All of it lies in the one
 * page .l2text and touches nothing but the argument page, the work list, its stack and the pages of the list.
 */
#include "l1.h"

#define L2_TEXT __attribute__((section(".l2text"), noinline))
#define L2_INLINE static inline __attribute__((always_inline))

/* One plain 8-byte move each: an access to the MMIO hole is emulated by KVM from this very instruction. */
L2_INLINE gf_u64 load(gf_u64 va)
{
	gf_u64 value;

	asm volatile("movq (%1), %0" : "=r"(value) : "r"(va) : "memory");
	return value;
}

L2_INLINE void store(gf_u64 va, gf_u64 value)
{
	asm volatile("movq %1, (%0)" ::"r"(va), "r"(value) : "memory");
}

/*
 * Accesses that L1 may have L2 go on behind: r11 says where. They return whether the access was made.
 */
L2_INLINE int load_or_skip(gf_u64 va)
{
	gf_u64 value;
	int made = 0;

	asm volatile("lea 1f(%%rip), %%r11\n"
		     "	movq (%2), %0\n"
		     "	movl $1, %1\n"
		     "1:"
		     : "=&r"(value), "+&r"(made)
		     : "r"(va)
		     : "r11", "memory");
	return made;
}

L2_INLINE int store_or_skip(gf_u64 va, gf_u64 value)
{
	int made = 0;

	asm volatile("lea 1f(%%rip), %%r11\n"
		     "	movq %2, (%1)\n"
		     "	movl $1, %0\n"
		     "1:"
		     : "+&r"(made)
		     : "r"(va), "r"(value)
		     : "r11", "memory");
	return made;
}

L2_INLINE void check(struct gf_arg *arg, gf_u64 pos, gf_u64 found, int good)
{
	if (good)
		return;
	if (!arg->nr_bad++) {
		arg->bad_pos = pos;
		arg->bad_found = found;
	}
}

L2_INLINE void touch(struct gf_arg *arg, struct gf_work *w, gf_u64 pos)
{
	gf_u32 op = w->op, done = w->done;
	gf_u64 v;

	if (op & GF_OP_SKIP) {
		if (op & GF_OP_R && load_or_skip(w->va))
			done |= GF_ACC_R;
		if (op & GF_OP_W && store_or_skip(w->va, w->put))
			done |= GF_ACC_W;
		w->done = done;
		return;
	}
	if (op & GF_OP_R) {
		v = load(w->va);
		done |= GF_ACC_R;
		check(arg, pos, v, op & GF_OP_NOCHECK || v == w->want || (op & GF_OP_EITHER && v == w->put));
	}
	if (op & GF_OP_W) {
		store(w->va, w->put);
		v = load(w->va);
		done = (arg->nr_rounds + 1) << GF_DONE_ROUND | GF_ACC_R | GF_ACC_W;
		check(arg, pos, v, op & GF_OP_NOCHECK || v == (op & GF_OP_SINK ? w->want : w->put));
	}
	w->done = done;
}

/*
 * Nobody starts pass n+1 before all are through pass n: a fault filled by L1 for one vCPU may make KVM zap
 * upper shadow pages that another one had already been through, and only a last common pass without faults
 * has them all.
 */
L2_INLINE void barrier_wait(struct gf_argpage *page, gf_u64 target)
{
	__atomic_add_fetch(&page->nr_arrived, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&page->nr_arrived, __ATOMIC_ACQUIRE) < target)
		asm volatile("pause");
}

L2_TEXT void touch_round(struct gf_arg *arg, struct gf_argpage *page)
{
	gf_u64 pass, pos, passes_before = arg->nr_rounds * arg->nr_passes;
	struct gf_work *work = (struct gf_work *)arg->work;

	for (pass = 1; pass <= arg->nr_passes; pass++) {
		for (pos = arg->first; pos < arg->nr_work; pos += arg->step)
			touch(arg, &work[pos], pos);
		barrier_wait(page, (passes_before + pass) * page->nr_vcpus);
	}
	if (arg->stores)
		stores_round(arg);
	arg->nr_rounds++;
	if (!arg->stop_port)
		return;
	port_write(arg->stop_port, arg->nr_rounds);
	while (arg->wait_for && __atomic_load_n(&page->release, __ATOMIC_ACQUIRE) < arg->wait_for)
		asm volatile("pause");
}

L2_TEXT void l2_entry(struct gf_arg *arg, struct gf_argpage *page)
{
	for (;;) {
		touch_round(arg, page);
		if (arg->vendor == GF_VMX)
			asm volatile("vmcall" ::: "memory");
		else
			asm volatile("vmmcall" ::: "memory");
	}
}
