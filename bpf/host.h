/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs on what the host and the VMM do: notifiers, memslots, dirty logs; a part of bpf/events.bpf.c. */

INLINE int taken_event(void *ctx, u64 mn, u64 range, u16 id)
{
	struct ms_event ev;

	if (off.notifier_range_start == MS_OFF_NONE || off.notifier_range_end == MS_OFF_NONE ||
	    !event_begin(&ev, id, thread_get(), 0, notifier_kvm(mn)))
		return 0;
	ev.cause = MS_CAUSE_NOTIFIER;
	/* Both events have the same fields. */
	GET(ev.u.invalidate.start, range, off.notifier_range_start);
	GET(ev.u.invalidate.end, range, off.notifier_range_end);
	END_PLAIN();
	return 0;
}

SEC("fentry/kvm_mmu_notifier_invalidate_range_start")
int BPF_PROG(taken, u64 mn, u64 range)
{
	return taken_event(ctx, mn, range, MS_EV_invalidate);
}

/* fentry attaches to this one on 6.12.117, and is never hit: a kprobe is. */
SEC("kprobe/kvm_mmu_notifier_invalidate_range_end")
int taken_end(struct pt_regs *ctx)
{
	u64 regs[2];

	kprobe_args(ctx, regs);
	return taken_event(ctx, regs[0], regs[1], MS_EV_invalidate_end);
}

INLINE int age_event(void *ctx, u64 mn, u64 start, u64 end, bool clears)
{
	struct ms_event ev;

	if (!event_begin(&ev, MS_EV_age, thread_get(), 0, notifier_kvm(mn)))
		return 0;
	ev.cause = MS_CAUSE_AGE;
	ev.u.age.start = start;
	ev.u.age.end = end;
	ev.u.age.clears = clears;
	END_PLAIN();
	return 0;
}

SEC("fentry/kvm_mmu_notifier_clear_flush_young")
int BPF_PROG(aged_flush, u64 mn, u64 mm, u64 start, u64 end)
{
	return age_event(ctx, mn, start, end, true);
}

SEC("fentry/kvm_mmu_notifier_clear_young")
int BPF_PROG(aged, u64 mn, u64 mm, u64 start, u64 end)
{
	return age_event(ctx, mn, start, end, true);
}

SEC("fentry/kvm_mmu_notifier_test_young")
int BPF_PROG(aged_test, u64 mn, u64 mm, u64 address)
{
	return age_event(ctx, mn, address, address + 1, false);
}

/* --- memslots --- */

INLINE void slot_read(u64 slot, struct ms_ev_slot *ret)
{
	s16 id = 0;

	GET(id, slot, off.memslot_id);
	ret->slot = (u16)id;
	ret->as_id = 0;
	if (off.memslot_as_id != MS_OFF_NONE)
		GET(ret->as_id, slot, off.memslot_as_id);
	GET(ret->gfn, slot, off.memslot_base_gfn);
	GET(ret->pages, slot, off.memslot_npages);
	GET(ret->flags, slot, off.memslot_flags);
	ret->gen = 0;
}

/* A deleted slot is gone when the function returns. */
SEC("fentry/kvm_set_memslot")
int BPF_PROG(slot_in, u64 kvm, u64 old, u64 new)
{
	struct thread *t = thread_get();

	if (!t)
		return 0;
	if (new) {
		slot_read(new, &t->slot);
	} else if (old) {
		slot_read(old, &t->slot);
		t->slot.pages = 0;
		t->slot.flags = 0;
	}
	return 0;
}

SEC("fexit/kvm_set_memslot")
int BPF_PROG(slot_out, u64 kvm, u64 old, u64 new, u64 change, u64 ret)
{
	struct thread *t;
	struct ms_event ev;
	u64 slots = 0;

	if ((u32)ret)
		return 0;
	t = thread_get();
	if (!t || !event_begin(&ev, MS_EV_slot, t, 0, kvm))
		return 0;
	ev.cause = MS_CAUSE_SLOT;
	ev.u.slot = t->slot;
	/* kvm->memslots[as_id]: 0 is the one that guests have outside of SMM. */
	if (off.kvm_memslots != MS_OFF_NONE && off.memslots_generation != MS_OFF_NONE) {
		GET(slots, kvm, off.kvm_memslots + (ev.u.slot.as_id & 1) * 8);
		GET(ev.u.slot.gen, slots, off.memslots_generation);
	}
	event_end(ctx, &ev, ev.u.slot.gfn, ev.u.slot.pages ? ev.u.slot.pages : 1, 0, MS_RET_NR);
	return 0;
}

/* --- dirty logs --- */

SEC("fentry/kvm_arch_commit_memory_region")
int BPF_PROG(slot_flags, u64 kvm, u64 old, u64 new)
{
	struct ms_ev_slot slot = { 0 };
	u8 cause = commit_cause(old, new);
	struct ms_event ev;
	bool on = cause == MS_CAUSE_LOG_ENABLE;

	if (cause == MS_CAUSE_SLOT || !(on ? WANTED(log_enable) : WANTED(log_disable)))
		return 0;
	if (!new || !event_begin(&ev, on ? MS_EV_log_enable : MS_EV_log_disable, thread_get(), 0, kvm))
		return 0;
	slot_read(new, &slot);
	ev.cause = cause;
	/* Both events have the same fields. */
	ev.u.log_enable.slot = slot.slot;
	ev.u.log_enable.as_id = slot.as_id;
	END_PLAIN();
	return 0;
}

/* The log's ioctls name a slot by number: this call of theirs has it. */
SEC("fentry/kvm_arch_sync_dirty_log")
int BPF_PROG(log_sync, u64 kvm, u64 slot)
{
	struct thread *t = thread_get();

	if (t)
		GET(t->slot_gfn, slot, off.memslot_base_gfn);
	return 0;
}

SEC("fexit/kvm_get_dirty_log_protect")
int BPF_PROG(log_got, u64 kvm, u64 log, u64 ret)
{
	struct ms_event ev;
	u32 slot = 0;
	u8 kept = 0;

	if ((u32)ret || off.dirty_log_slot == MS_OFF_NONE ||
	    !event_begin(&ev, MS_EV_log_read, thread_get(), 0, kvm))
		return 0;
	ev.cause = MS_CAUSE_LOG_READ;
	GET(slot, log, off.dirty_log_slot);
	if (off.kvm_manual_dirty_log_protect != MS_OFF_NONE)
		GET(kept, kvm, off.kvm_manual_dirty_log_protect);
	ev.u.log_read.slot = (u16)slot;
	ev.u.log_read.as_id = (u16)(slot >> 16);
	ev.u.log_read.kept = kept != 0;
	END_PLAIN();
	return 0;
}

SEC("fexit/kvm_clear_dirty_log_protect")
int BPF_PROG(log_cleared, u64 kvm, u64 log, u64 ret)
{
	struct thread *t;
	struct ms_event ev;
	u32 slot = 0, pages = 0;
	u64 first = 0;

	if ((u32)ret || off.clear_log_slot == MS_OFF_NONE || off.clear_log_first_page == MS_OFF_NONE ||
	    off.clear_log_num_pages == MS_OFF_NONE)
		return 0;
	t = thread_get();
	if (!t || !event_begin(&ev, MS_EV_log_clear, t, 0, kvm))
		return 0;
	ev.cause = MS_CAUSE_LOG_CLEAR;
	GET(slot, log, off.clear_log_slot);
	GET(first, log, off.clear_log_first_page);
	GET(pages, log, off.clear_log_num_pages);
	ev.u.log_clear.slot = (u16)slot;
	ev.u.log_clear.as_id = (u16)(slot >> 16);
	ev.u.log_clear.gfn = t->slot_gfn + first;
	ev.u.log_clear.pages = pages;
	event_end(ctx, &ev, ev.u.log_clear.gfn, pages, 0, MS_RET_NR);
	return 0;
}

/* --- write tracking --- */

INLINE int track_event(void *ctx, u64 kvm, u64 gfn, bool on)
{
	struct ms_event ev;

	if (!event_begin(&ev, MS_EV_write_track, thread_get(), 0, kvm))
		return 0;
	ev.cause = MS_CAUSE_WRITE_TRACK;
	ev.u.write_track.gfn = gfn;
	ev.u.write_track.on = on;
	END_GFN(gfn);
	return 0;
}

SEC("fentry/kvm_write_track_add_gfn")
int BPF_PROG(track_on, u64 kvm, u64 gfn)
{
	return track_event(ctx, kvm, gfn, true);
}

SEC("fentry/kvm_write_track_remove_gfn")
int BPF_PROG(track_off, u64 kvm, u64 gfn)
{
	return track_event(ctx, kvm, gfn, false);
}

/*
 * 6.1: KVM's own shadowing comes this way too, on behalf of a vCPU or of a zap. What an external user does has
 * neither under way.
 */
INLINE bool track_is_external(void)
{
	struct thread *t = thread_get();

	return t && !t->ops.depth && !vcpu_running() && !thread_is_nx_worker(t);
}

SEC("fentry/kvm_slot_page_track_add_page")
int BPF_PROG(track_on_61, u64 kvm, u64 slot, u64 gfn)
{
	return track_is_external() ? track_event(ctx, kvm, gfn, true) : 0;
}

SEC("fentry/kvm_slot_page_track_remove_page")
int BPF_PROG(track_off_61, u64 kvm, u64 slot, u64 gfn)
{
	return track_is_external() ? track_event(ctx, kvm, gfn, false) : 0;
}
