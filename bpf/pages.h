/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs on the life of shadow pages, and on roots; a part of bpf/events.bpf.c. */

SEC("tp_btf/kvm_mmu_get_page")
int BPF_PROG(page_get, u64 sp, u64 created)
{
	struct ms_event ev;
	bool is_new = (u8)created;

	if (!sp || !(is_new ? WANTED(sp_create) : WANTED(sp_find)))
		return 0;
	if (!event_begin(&ev, is_new ? MS_EV_sp_create : MS_EV_sp_find, thread_get(), 0, 0))
		return 0;
	/* Both events have the same fields. */
	ev.u.sp_create.sp = sp;
	GET(ev.u.sp_create.gfn, sp, off.sp_gfn);
	GET(ev.u.sp_create.role, sp, off.sp_role);
	END_GFN(ev.u.sp_create.gfn);
	return 0;
}

/* The tracepoint of a zap does not name the VM. */
SEC("fentry/__kvm_mmu_prepare_zap_page")
int BPF_PROG(page_zap_in, u64 kvm, u64 sp)
{
	struct thread *t = thread_get();

	if (t) {
		t->zap_kvm = kvm;
		t->zap_sp = sp;
	}
	return 0;
}

SEC("fentry/kvm_tdp_mmu_zap_sp")
int BPF_PROG(nx_tdp, u64 kvm, u64 sp)
{
	struct thread *t = thread_get();

	if (t) {
		t->zap_kvm = kvm;
		t->zap_sp = sp;
	}
	return 0;
}

/* When a page of the TDP MMU is freed, nothing tells its VM. */
INLINE void page_is_zapped(struct thread *t, u64 sp, u64 kvm)
{
	u8 is_tdp = 0;
	u64 vcpu;

	if (off.sp_tdp_mmu_page == MS_OFF_NONE || GET(is_tdp, sp, off.sp_tdp_mmu_page) || !is_tdp)
		return;
	if (!kvm && t)
		kvm = ops_kvm(&t->ops);
	vcpu = vcpu_running();
	if (!kvm && vcpu)
		GET(kvm, vcpu, off.vcpu_kvm);
	if (kvm && bpf_map_update_elem(&zapped, &sp, &kvm, BPF_ANY) && (!filter_kvm || kvm == filter_kvm))
		__sync_fetch_and_add(&lost_owner, 1);
}

SEC("tp_btf/kvm_mmu_prepare_zap_page")
int BPF_PROG(page_zap, u64 sp)
{
	struct thread *t = thread_get();
	struct ms_event ev;
	u64 kvm = 0;

	if (!sp)
		return 0;
	if (t) {
		t->pages_zapped++;
		t->tables_hit++;
		if (t->zap_sp == sp)
			kvm = t->zap_kvm;
	}
	if (WANTED(sp_zap) && event_begin(&ev, MS_EV_sp_zap, t, 0, kvm)) {
		ev.u.sp_zap.sp = sp;
		GET(ev.u.sp_zap.gfn, sp, off.sp_gfn);
		GET(ev.u.sp_zap.role, sp, off.sp_role);
		END_GFN(ev.u.sp_zap.gfn);
	}
	if (WANTED(sp_free))
		page_is_zapped(t, sp, kvm);
	/* Of a page's children too: the page itself is the one that was named on the way in. */
	if (WANTED(nx_recover) && t && t->zap_sp == sp && thread_cause(t) == MS_CAUSE_NX &&
	    event_begin(&ev, MS_EV_nx_recover, t, 0, kvm)) {
		ev.u.nx_recover.sp = sp;
		GET(ev.u.nx_recover.gfn, sp, off.sp_gfn);
		GET(ev.u.nx_recover.role, sp, off.sp_role);
		END_GFN(ev.u.nx_recover.gfn);
	}
	return 0;
}

#define FREE_WALK_MAX (8u << 20) /* BPF_MAX_LOOPS */

struct free_list {
	void *ctx;
	u64 head, cur, kvm;
};

/* One that is not told would have been. */
INLINE void page_untold(u64 kvm)
{
	struct ms_event ev;

	if (count_names || (!filter_gfn && event_begin(&ev, MS_EV_sp_free, thread_get(), 0, kvm)))
		__sync_fetch_and_add(&lost_free, 1);
}

/*
 * KVM waits meanwhile, and holds its lock: beyond free_max pages are only counted. Nothing of that is kept in the list:
 * to a verifier from 6.7 on a number that grows there is another state each time, and an older one takes what it was
 * before the loop for what it is in it.
 */
static long page_free_one(u32 i, struct free_list *list)
{
	struct ms_event ev;
	u64 next = 0;

	if (list->cur == list->head || list->cur < page_offset || GET(next, list->cur, 0))
		return 1;
	if (i >= free_max && !count_by) {
		page_untold(list->kvm);
	} else if (event_begin(&ev, MS_EV_sp_free, thread_get(), 0, list->kvm)) {
		ev.u.sp_free.sp = list->cur - off.sp_link;
		event_end(list->ctx, &ev, ~0ull, 0, 0, MS_RET_NR);
	}
	list->cur = next;
	return 0;
}

/*
 * The compiler splits the function, and no BTF describes the part: its first two arguments stay where they are.
 * A list whose nodes are no kernel memory ends the walk: what lies behind counts as one more that is not told.
 */
SEC("kprobe/kvm_mmu_commit_zap_page.part.0")
int page_free(struct pt_regs *ctx)
{
	struct free_list list = { 0 };
	u64 regs[2];

	kprobe_args(ctx, regs);
	list.ctx = ctx;
	list.kvm = regs[0];
	list.head = regs[1];
	if (!GET(list.cur, list.head, 0))
		bpf_loop(FREE_WALK_MAX, page_free_one, &list, 0);
	if (list.cur != list.head)
		page_untold(list.kvm);
	return 0;
}

/* After a grace period of RCU: no thread's work, and no VM is named but by who saw the page zapped. */
SEC("fentry/tdp_mmu_free_sp_rcu_callback")
int BPF_PROG(page_free_tdp, u64 head)
{
	struct ms_event ev;
	u64 sp, *kvm;

	if (off.sp_rcu_head == MS_OFF_NONE || !on)
		return 0;
	sp = head - off.sp_rcu_head;
	kvm = bpf_map_lookup_elem(&zapped, &sp);
	__builtin_memset(&ev, 0, sizeof(ev));
	ev.id = MS_EV_sp_free;
	ev.stack = MS_EV_NO_STACK;
	ev.vcpu = MS_EV_NO_VCPU;
	ev.u.sp_free.sp = sp;
	if (kvm) {
		ev.kvm = *kvm;
		bpf_map_delete_elem(&zapped, &sp);
	}
	if (filter_vcpu == MS_EV_NO_VCPU && (!filter_kvm || !ev.kvm || ev.kvm == filter_kvm))
		END_PLAIN();
	return 0;
}

SEC("tp_btf/kvm_mmu_unsync_page")
int BPF_PROG(page_unsync, u64 sp)
{
	struct ms_event ev;

	if (!sp || !event_begin(&ev, MS_EV_unsync, thread_get(), 0, 0))
		return 0;
	ev.u.unsync.sp = sp;
	GET(ev.u.unsync.gfn, sp, off.sp_gfn);
	END_GFN(ev.u.unsync.gfn);
	return 0;
}

INLINE int page_synced(void *ctx, u64 vcpu, u64 sp)
{
	struct thread *t = thread_get();
	struct ms_event ev;

	if (!event_begin(&ev, MS_EV_sync, t, vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_SYNC;
	ev.u.sync.sp = sp;
	GET(ev.u.sync.gfn, sp, off.sp_gfn);
	if (t)
		ev.u.sync.changed = (u16)(t->sptes_set - t->sync_sptes);
	END_GFN(ev.u.sync.gfn);
	return 0;
}

#define SYNC_PROBES(prog, fn)                         \
	SEC("fentry/" #fn)                            \
	int BPF_PROG(prog##_in, u64 vcpu, u64 sp)     \
	{                                             \
		struct thread *t = thread_get();      \
		if (t)                                \
			t->sync_sptes = t->sptes_set; \
		return 0;                             \
	}                                             \
	SEC("fexit/" #fn)                             \
	int BPF_PROG(prog, u64 vcpu, u64 sp)          \
	{                                             \
		return page_synced(ctx, vcpu, sp);    \
	}
SYNC_PROBES(sync_64, paging64_sync_page)
SYNC_PROBES(sync_32, paging32_sync_page)
SYNC_PROBES(sync_ept, ept_sync_page)
SYNC_PROBES(sync_any, __kvm_sync_page)

SEC("tp_btf/kvm_mmu_zap_all_fast")
int BPF_PROG(zap_everything, u64 kvm)
{
	struct ms_event ev;
	u8 gen = 0;

	if (!kvm || !event_begin(&ev, MS_EV_zap_all, thread_get(), 0, kvm))
		return 0;
	/* It is toggled between 0 and 1 right after the tracepoint. */
	if (off.kvm_mmu_valid_gen != MS_OFF_NONE)
		GET(gen, kvm, off.kvm_mmu_valid_gen);
	ev.u.zap_all.gen = !gen;
	END_PLAIN();
	return 0;
}

SEC("fexit/kvm_mmu_zap_oldest_mmu_pages")
int BPF_PROG(recycled, u64 kvm, u64 wanted, u64 zapped)
{
	struct ms_event ev;

	if (!zapped || !event_begin(&ev, MS_EV_recycle, thread_get(), 0, kvm))
		return 0;
	if (ev.cause != MS_CAUSE_SHRINK)
		ev.cause = MS_CAUSE_RECYCLE;
	ev.u.recycle.pages = (u32)zapped;
	END_PLAIN();
	return 0;
}

SEC("fexit/kvm_mmu_slot_gfn_write_protect")
int BPF_PROG(protected, u64 kvm, u64 slot, u64 gfn, u64 min_level, u64 any)
{
	struct thread *t;
	struct ms_event ev;

	if (!(u8)any)
		return 0;
	t = thread_get();
	if (!event_begin(&ev, MS_EV_wp, t, 0, kvm))
		return 0;
	if (ev.cause != MS_CAUSE_WRITE_TRACK)
		ev.cause = MS_CAUSE_SHADOWED;
	ev.u.wp.gfn = gfn;
	if (t)
		ev.u.wp.sptes = (u16)(t->sptes_set - t->at_start_sptes);
	END_GFN(gfn);
	return 0;
}

SEC("fentry/kvm_mmu_slot_gfn_write_protect")
int BPF_PROG(protected_in, u64 kvm)
{
	struct thread *t = thread_get();

	if (t)
		t->at_start_sptes = t->sptes_set;
	return 0;
}

SEC("tp_btf/kvm_mmu_split_huge_page")
int BPF_PROG(huge_split, u64 gfn, u64 old, u64 level, u64 error)
{
	struct ms_event ev;

	if (!event_begin(&ev, MS_EV_split, thread_get(), 0, 0))
		return 0;
	ev.u.split.gfn = gfn;
	ev.u.split.old_spte = old;
	ev.u.split.level = (u8)level;
	ev.u.split.failed = (u32)error != 0;
	event_end(ctx, &ev, gfn, 1ull << (((u32)level - 1) * 9 & 63), (u8)level, MS_RET_NR);
	return 0;
}

/* --- roots --- */

INLINE int root_event(void *ctx, u64 vcpu, u8 cause, bool cached)
{
	struct ms_event ev;
	u64 mmu = 0, hpa = ~0ull;

	GET(mmu, vcpu, off.vcpu_mmu);
	if (!mmu || off.mmu_root_hpa == MS_OFF_NONE || GET(hpa, mmu, off.mmu_root_hpa) || hpa == ~0ull)
		return 0;
	if (!event_begin(&ev, MS_EV_root_load, thread_get(), vcpu, 0))
		return 0;
	if (ev.cause == MS_CAUSE_NONE)
		ev.cause = cause;
	GET(ev.u.root_load.pgd, mmu, off.mmu_root_pgd);
	ev.u.root_load.hpa = hpa;
	GET(ev.u.root_load.role, mmu, off.mmu_root_role);
	ev.u.root_load.cached = cached;
	END_PLAIN();
	return 0;
}

SEC("fexit/kvm_mmu_load")
int BPF_PROG(root_loaded, u64 vcpu, u64 ret)
{
	return (u32)ret ? 0 : root_event(ctx, vcpu, MS_CAUSE_LOAD, false);
}

/* Without a root after it there was none among the previous ones: kvm_mmu_load() will make one. */
SEC("fexit/kvm_mmu_new_pgd")
int BPF_PROG(root_again, u64 vcpu)
{
	return root_event(ctx, vcpu, MS_CAUSE_CR3, true);
}

SEC("fentry/mmu_free_root_page")
int BPF_PROG(root_freed, u64 kvm, u64 root)
{
	struct ms_event ev;
	u64 hpa = ~0ull;

	if (GET(hpa, root, 0) || hpa == ~0ull || !event_begin(&ev, MS_EV_root_free, thread_get(), 0, kvm))
		return 0;
	ev.u.root_free.hpa = hpa;
	END_PLAIN();
	return 0;
}
