/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every probe of bpf/events.bpf.c stands on: configuration, maps, who and what is at work, filters, counts,
 * and the way out. Nothing is written but these maps.
 */
#ifndef BPF_PROBE_H
#define BPF_PROBE_H

#include "abi/ops.h"

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define INLINE static __always_inline

/* --- configuration: the verifier treats it as constants --- */

const volatile struct ms_probe_offsets off;
const volatile struct ms_probe_role role_at;
const volatile u64 events_wanted;
const volatile u64 filter_kvm;
const volatile u64 filter_gfn_start, filter_gfn_end;
const volatile u32 filter_vcpu; /* MS_EV_NO_VCPU: any */
const volatile bool filter_gfn;
const volatile bool take_stacks;
const volatile u32 count_by;
const volatile bool count_names; /* counting, by the events' names alone, and all of them */
const volatile u64 wake_bytes; /* the reader is woken when so much waits */
const volatile u64 page_offset, vmemmap, max_pfn;
const volatile u32 page_bytes;
const volatile u64 running_vcpu; /* per-CPU variable kvm_running_vcpu; 0: not there */
const volatile u32 free_max; /* pages of one list of freed ones that are told */
const volatile u32 threads_max; /* threads that get a record; 0: all that there is memory for */
const volatile u64 drain_lo, drain_hi; /* code that empties the PML buffer: [lo, hi) */
const volatile u8 ret_of[MS_PROBE_RETS]; /* enum ms_ret of the kernel's RET_PF_*, MS_RET_NR: unknown */
const volatile bool is_intel;

/* --- what is counted --- */

u64 seq_next; /* of events sent, those that found no room included */
/* Set when all that attaches is attached: what was seen by some of them before is no event yet. */
bool on;
u64 lost_buffer;
u64 lost_count;
u64 lost_thread; /* hits of a probe on a thread whose record could not be had */
u32 nr_threads; /* that were given a record; counted when there is a limit */
u64 lost_free; /* pages freed beyond free_max of one list */
u64 lost_owner; /* pages zapped whose VM could not be kept until they are freed */
u64 lost_stack; /* events sent, and their stack could not be kept */
u64 unknown_vm; /* that passed but for the VM, which nothing tells */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MS_EV_NR);
	__type(key, u32);
	__type(value, u64);
} by_event SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MS_COUNT_KEYS);
	__type(key, struct ms_count_key);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, MS_STACKS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, MS_STACK_DEPTH * sizeof(u64));
} stacks SEC(".maps");

/* Where each CPU's per-CPU variables lie. As large as there are possible CPUs, which x86 numbers without gaps. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} cpu_area SEC(".maps");

/* Pages of the TDP MMU that were zapped and are not yet freed: whose they are. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_ZAPPED_PAGES);
	__type(key, u64);
	__type(value, u64);
} zapped SEC(".maps");

/* --- a thread: the operations that it is in, and what one probe keeps for the next --- */

#define ZAP_DEPTH 8u /* mmu_page_zap_pte() calls itself, a level of the tables each time */

struct thread {
	struct ops ops;
	u32 zap_depth;
	u32 sptes_set, pages_zapped, tables_hit; /* ever, for differences */
	u32 at_start_sptes, at_start_pages, at_start_hit; /* when the operation at work began */
	u32 sync_sptes;
	u64 made_sptep, made_old, made_new; /* an SPTE that is being set for the first time */
	u64 child_sptep, child_old;
	u64 zap_sptep[ZAP_DEPTH], zap_old[ZAP_DEPTH];
	u64 zap_kvm, zap_sp;
	u64 inject_addr;
	u64 fault_addr; /* of the fault at work */
	u64 slot_gfn; /* first frame of the slot whose log is at work */
	u64 pml_gfn; /* one more than the frame that the PML buffer named and that is to be marked dirty */
	struct ms_ev_slot slot;
	u32 pml_entries;
	u32 pml12_index; /* one more than that of L1's log, before an entry is written */
	u8 pml_full, fault_handled, fault_fast, fault_open;
	u8 is_nx_worker, comm_known, in_flush;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* NULL: no memory for a new thread's, or the map is at work on this CPU. What needs it is left out, and counted. */
INLINE struct thread *thread_get(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct thread *t = NULL;

	if (threads_max)
		t = bpf_task_storage_get(&threads, task, NULL, 0);
	if (!t && (!threads_max || __sync_fetch_and_add(&nr_threads, 1) < threads_max))
		t = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		__sync_fetch_and_add(&lost_thread, 1);
	return t;
}

/* --- reading --- */

/* Of an argument whose type the verifier knows: a load that it checks. */
#define ARG(type, ptr, at) (*(const volatile type *)((const char *)(ptr) + (at)))

#define GET(dst, base, at) bpf_probe_read_kernel(&(dst), sizeof(dst), (const void *)((u64)(base) + (at)))

/* The first two arguments at a function's entry: rsi and rdi, the 14th and 15th word of struct pt_regs. */
INLINE void kprobe_args(const void *regs, u64 ret[2])
{
	u64 words[2] = { 0 };

	bpf_probe_read_kernel(words, sizeof(words), (const char *)regs + 13 * sizeof(u64));
	ret[0] = words[1];
	ret[1] = words[0];
}

/* The vCPU that is loaded on this CPU: its thread is the one at work, 0 when there is none. */
INLINE u64 vcpu_running(void)
{
	u32 cpu = bpf_get_smp_processor_id();
	u64 vcpu = 0, *area;

	if (!running_vcpu)
		return 0;
	area = bpf_map_lookup_elem(&cpu_area, &cpu);
	if (area)
		GET(vcpu, running_vcpu, *area);
	return vcpu;
}

/* sptep_to_sp(): the page that holds an SPTE; 0 when it is none that could be. */
INLINE u64 sptep_to_sp(u64 sptep)
{
	u64 pfn = (sptep - page_offset) >> 12, sp = 0;

	if (sptep < page_offset || pfn >= max_pfn)
		return 0;
	GET(sp, vmemmap + pfn * page_bytes, off.page_private);
	return sp;
}

INLINE u32 sptep_index(u64 sptep)
{
	return sptep >> 3 & 511;
}

#define SPTE_PRESENT (1ull << 11) /* SPTE_MMU_PRESENT_MASK: 5.13 and later, both vendors */
#define SPTE_HUGE (1ull << 7)

INLINE bool spte_is_table(u64 spte, u32 level)
{
	return spte & SPTE_PRESENT && level > 1 && !(spte & SPTE_HUGE);
}

INLINE bool spte_is_leaf(u64 spte, u32 level)
{
	return spte & SPTE_PRESENT && (level == 1 || spte & SPTE_HUGE);
}

/* How many frames the event is about: a huge page is about each of its own. */
INLINE u64 spte_pages(u64 old, u64 new, u32 level)
{
	return spte_is_leaf(old, level) || spte_is_leaf(new, level) ? 1ull << (level - 1) * 9 % 64 : 1;
}

INLINE u32 role_level(u32 role)
{
	return role >> role_at.level_shift & role_at.level_mask;
}

/* kvm_mmu_page_get_gfn(): the frame that an entry maps; ~0 when it cannot be read. */
INLINE u64 sp_entry_gfn(u64 sp, u32 role, u64 sp_gfn, u32 index)
{
	u64 translation = 0, entry = 0;

	if (role & role_at.passthrough)
		return sp_gfn;
	if (role & role_at.direct)
		return sp_gfn + ((u64)index << (role_level(role) - 1) * 9 % 64);
	if (off.sp_shadowed_translation == MS_OFF_NONE)
		return ~0ull;
	GET(translation, sp, off.sp_shadowed_translation);
	if (!translation || GET(entry, translation, index * 8ull))
		return ~0ull;
	return entry >> 12;
}

/* --- an event --- */

#define WANTED(name) (events_wanted >> MS_EV_##name & 1)

/* The worker that recovers huge pages never returns, so that its thread is known by its name. */
INLINE bool thread_is_nx_worker(struct thread *t)
{
	char comm[16] = "";

	if (!t->comm_known) {
		bpf_get_current_comm(comm, sizeof(comm));
		t->is_nx_worker = comm[0] == 'k' && comm[1] == 'v' && comm[2] == 'm' && comm[3] == '-' &&
				  comm[4] == 'n' && comm[5] == 'x' && comm[6] == '-';
		t->comm_known = 1;
	}
	return t->is_nx_worker;
}

INLINE u8 thread_cause(struct thread *t)
{
	if (!t->ops.depth)
		return thread_is_nx_worker(t) ? MS_CAUSE_NX : MS_CAUSE_NONE;
	return ops_cause(&t->ops);
}

/* Of an event of this VM: an operation on another one's behalf does not explain it. */
INLINE u8 thread_cause_for(struct thread *t, u64 kvm)
{
	u64 at_work = ops_kvm(&t->ops);

	return kvm && at_work && kvm != at_work ? MS_CAUSE_NONE : thread_cause(t);
}

/*
 * A leaf SPTE of level 1 that a fault makes: the one that the fault is for, or a neighbour of it that is made ahead.
 * Both MMUs of a guest have 512 entries in a table (SEMANTICS C5).
 */
INLINE bool thread_prefetches(struct thread *t, u32 level, u32 index)
{
	return level == 1 && ops_in(&t->ops, MS_OP_kvm_mmu_page_fault) &&
	       index != (u32)(t->fault_addr >> 12 & 511);
}

/*
 * Begin an event: who and why. vcpu 0: the one that runs here; kvm 0: its VM, or the operation's. False: it does
 * not pass the filters of VM and vCPU. One whose VM is not known is left out at its end.
 */
INLINE bool event_begin_full(struct ms_event *ev, u16 id, struct thread *t, u64 vcpu, u64 kvm)
{
	u32 vcpu_id = 0;
	u64 of = 0;
	u8 guest = 0;

	if (!on)
		return false;
	__builtin_memset(ev, 0, sizeof(*ev));
	ev->id = id;
	ev->stack = MS_EV_NO_STACK;
	ev->vcpu = MS_EV_NO_VCPU;
	/*
	 * The vCPU that is loaded may be another VM's: its thread may reclaim memory, or unmap it, of any. What is
	 * under way knows whose.
	 */
	if (!kvm && !vcpu && t)
		kvm = ops_kvm(&t->ops);
	if (!vcpu)
		vcpu = vcpu_running();
	if (vcpu)
		GET(of, vcpu, off.vcpu_kvm);
	if (!kvm)
		kvm = of;
	if (filter_kvm && kvm && kvm != filter_kvm)
		return false;
	if (vcpu && kvm == of) {
		GET(vcpu_id, vcpu, off.vcpu_id);
		ev->vcpu = (u16)vcpu_id;
		if (off.vcpu_guest_mode != MS_OFF_NONE) {
			GET(guest, vcpu, off.vcpu_guest_mode);
			ev->guest = guest ? MS_EV_L2 : MS_EV_L1;
		}
	}
	if (filter_vcpu != MS_EV_NO_VCPU && ev->vcpu != filter_vcpu)
		return false;
	ev->kvm = kvm;
	ev->tid = (u32)bpf_get_current_pid_tgid();
	ev->cause = t ? thread_cause_for(t, kvm) : MS_CAUSE_NONE;
	return true;
}

INLINE void event_note(u32 id)
{
	u64 *nr = bpf_map_lookup_elem(&by_event, &id);

	if (nr)
		(*nr)++;
}

/*
 * When events are counted by nothing but their names, a begun one is counted, and over: who, why and what are not
 * looked at. What stands for the thread is evaluated only if it is.
 */
INLINE bool event_name_only(u32 id)
{
	if (on)
		event_note(id);
	return false;
}

#define event_begin(ev, id, t, vcpu, kvm) \
	(count_names ? event_name_only(id) : event_begin_full(ev, id, t, vcpu, kvm))

INLINE void event_count(const struct ms_event *ev, u64 gfn, u8 level, u8 ret)
{
	struct ms_count_key key = { .id = ev->id };
	u64 *nr, one = 1;

	if (count_by & MS_COUNT_BY_KVM)
		key.kvm = ev->kvm;
	key.vcpu = count_by & MS_COUNT_BY_VCPU ? ev->vcpu : 0;
	key.guest = count_by & MS_COUNT_BY_GUEST ? ev->guest : 0;
	key.cause = count_by & MS_COUNT_BY_CAUSE ? ev->cause : 0;
	key.gfn = count_by & MS_COUNT_BY_GFN ? gfn : 0;
	key.level = count_by & MS_COUNT_BY_LEVEL ? level : 0;
	key.ret = count_by & MS_COUNT_BY_RET ? ret : 0;
	nr = bpf_map_lookup_elem(&counts, &key);
	if (nr) {
		(*nr)++;
		return;
	}
	if (!bpf_map_update_elem(&counts, &key, &one, BPF_NOEXIST))
		return;
	/* Another CPU may have made it meanwhile. */
	nr = bpf_map_lookup_elem(&counts, &key);
	if (nr)
		(*nr)++;
	else
		__sync_fetch_and_add(&lost_count, 1);
}

INLINE void event_send(void *ctx, struct ms_event *ev)
{
	long id = 0;
	u64 wake;

	if (take_stacks) {
		id = bpf_get_stackid(ctx, &stacks, 0);
		ev->stack = id < 0 ? MS_EV_NO_STACK : (s32)id;
	}
	ev->time_ns = bpf_ktime_get_ns();
	ev->seq = __sync_fetch_and_add(&seq_next, 1) + 1;
	/* The reader looks by itself every few milliseconds: it is woken only lest the buffer fill. */
	wake = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= wake_bytes ? BPF_RB_FORCE_WAKEUP
									 : BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_output(&ring, ev, sizeof(*ev), wake))
		__sync_fetch_and_add(&lost_buffer, 1);
	else if (id < 0)
		__sync_fetch_and_add(&lost_stack, 1);
}

/* gfn ~0: it has none. pages: how many frames from there on. */
INLINE void event_end(void *ctx, struct ms_event *ev, u64 gfn, u64 pages, u8 level, u8 ret)
{
	if (filter_gfn && (gfn == ~0ull || gfn >= filter_gfn_end || gfn + pages <= filter_gfn_start))
		return;
	if (filter_kvm && !ev->kvm) {
		__sync_fetch_and_add(&unknown_vm, 1);
		return;
	}
	event_note(ev->id);
	if (count_by)
		event_count(ev, gfn, level, ret);
	else
		event_send(ctx, ev);
}

#define END_GFN(gfn) event_end(ctx, &ev, gfn, 1, 0, MS_RET_NR)
#define END_PLAIN() event_end(ctx, &ev, ~0ull, 0, 0, MS_RET_NR)

INLINE u8 ret_name(u64 ret)
{
	s32 r = (s32)ret;

	if (r < 0)
		return MS_RET_ERROR;
	return (u32)r < MS_PROBE_RETS ? ret_of[r] : MS_RET_NR;
}

#endif
