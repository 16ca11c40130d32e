// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events of KVM's MMU as they happen: a program for each line of abi/probes.def. Each looks, and writes to nothing
 * but this object's own maps; which of them are loaded is user space's affair (target/live_listen.c).
 *
 * Where a pair of probes makes one event, what the first saw is kept with the thread (probe.h).
 */
#include "bpf/probe.h"

char LICENSE[] SEC("license") = "GPL";

#define KVM_RUN 0xae80u
#define KVM_MEM_LOG_DIRTY_PAGES 1u
#define PFERR_WRITE 2u

/* --- operations: the cause of what happens in them --- */

#define OP_LOG_FLAGS(ptr, flags)                            \
	({                                                  \
		u32 read_ = 0;                              \
		if (ptr)                                    \
			GET(read_, ptr, off.memslot_flags); \
		(flags) = read_ & KVM_MEM_LOG_DIRTY_PAGES;  \
	})

INLINE u64 notifier_kvm(u64 mn)
{
	return off.kvm_mmu_notifier == MS_OFF_NONE ? 0 : mn - off.kvm_mmu_notifier;
}

INLINE u8 commit_cause(u64 old, u64 new)
{
	u32 was, is;

	OP_LOG_FLAGS(old, was);
	OP_LOG_FLAGS(new, is);
	return is == was || !new ? MS_CAUSE_SLOT : is ? MS_CAUSE_LOG_ENABLE : MS_CAUSE_LOG_DISABLE;
}

/* What is done in an operation within another: what the two together are. */
INLINE u8 op_cause(u64 *ctx, u16 op, u8 cause, u8 outer)
{
	switch (op) {
	case MS_OP_kvm_arch_commit_memory_region:
		return commit_cause(ctx[1], ctx[2]);
	case MS_OP_kvm_mmu_slot_gfn_write_protect:
		return outer == MS_CAUSE_WRITE_TRACK ? outer : cause;
	case MS_OP_kvm_mmu_zap_oldest_mmu_pages:
		return outer == MS_CAUSE_SHRINK ? outer : cause;
	/* An emulated write zaps entries; it zaps the whole page when it gives up (SEMANTICS F "pte_write"). */
	case MS_OP___kvm_mmu_prepare_zap_page:
		return outer == MS_CAUSE_PT_WRITE ? cause : outer;
	/* Whoever takes a frame away empties its reverse map; who adds to it does when it is too long. */
	case MS_OP_kvm_zap_all_rmap_sptes:
		if (outer == MS_CAUSE_FAULT || outer == MS_CAUSE_EMULATE || outer == MS_CAUSE_SPLIT ||
		    outer == MS_CAUSE_LOG_ENABLE || outer == MS_CAUSE_LOG_CLEAR)
			return cause;
		return outer;
	default:
		break;
	}
	/* The guest's own write that KVM carries out, and what KVM does for L2: more is known. */
	if (cause == MS_CAUSE_HOST_WRITE && (outer == MS_CAUSE_EMULATE || outer == MS_CAUSE_NESTED))
		return outer;
	return cause;
}

INLINE int op_enter(u64 *ctx, u16 op, u8 cause, u32 who)
{
	struct thread *t = thread_get();
	u64 kvm = 0;

	if (!t)
		return 0;
	ops_settle(&t->ops, op, who);
	if (who == MS_OP_KVM)
		kvm = ctx[0];
	else if (who == MS_OP_NOTIFIER)
		kvm = notifier_kvm(ctx[0]);
	else if (who == MS_OP_FILE)
		GET(kvm, ctx[0], off.file_private_data);
	else
		kvm = ops_kvm(&t->ops);
	cause = op_cause(ctx, op, cause, thread_cause(t));
	if (op == MS_OP_kvm_vcpu_ioctl && (u32)ctx[1] == KVM_RUN) {
		op = MS_OP_RUN;
		cause = MS_CAUSE_NONE;
	} else if (op == MS_OP_kvm_mmu_page_fault) {
		t->fault_addr = ctx[1];
		t->child_sptep = 0;
	} else if (op == MS_OP_vmx_handle_exit) {
		t->pml_entries = 0;
		t->pml_full = 0;
		t->pml_gfn = 0;
	}
	ops_enter(&t->ops, op, cause, kvm);
	return 0;
}

INLINE int op_leave(u16 op)
{
	struct thread *t = thread_get();

	if (t)
		ops_leave(&t->ops, op);
	return 0;
}

#define OPERATION(fn, op_cause, who, module, group, explains, lost)                 \
	SEC("fentry/" #fn) int op_##fn(u64 *ctx)                                    \
	{                                                                           \
		return op_enter(ctx, MS_OP_##fn, MS_CAUSE_##op_cause, MS_OP_##who); \
	}                                                                           \
	SEC("fexit/" #fn) int ox_##fn(u64 *ctx)                                     \
	{                                                                           \
		return op_leave(MS_OP_##fn);                                        \
	}
#include "abi/probes.def"

/* --- faults --- */

SEC("fentry/kvm_mmu_page_fault")
int BPF_PROG(fault_in, u64 vcpu, u64 addr, u64 error)
{
	struct thread *t = count_names && !WANTED(fault_done) ? NULL : thread_get();
	struct ms_event ev;
	u64 mmu = 0;

	if (t) {
		t->fault_open = 1;
		t->fault_handled = 0;
		t->fault_fast = 0;
	}
	if (!WANTED(fault) || !event_begin(&ev, MS_EV_fault, t, vcpu, 0))
		return 0;
	GET(mmu, vcpu, off.vcpu_mmu);
	ev.cause = MS_CAUSE_FAULT;
	ev.u.fault.addr = addr;
	ev.u.fault.error = error;
	ev.u.fault.mmu = mmu == vcpu + off.vcpu_guest_mmu ? 1 : 0;
	END_PLAIN();
	return 0;
}

INLINE int fault_done(void *ctx, u64 vcpu, u64 fault, u64 ret)
{
	struct thread *t = thread_get();
	struct ms_event ev;
	u64 gfn = ~0ull;

	/* Not one of the CPU's: the handler is also asked to map ahead (KVM_PRE_FAULT_MEMORY, async page faults). */
	if (!t || !t->fault_open || t->fault_handled)
		return 0;
	t->fault_handled = 1;
	if (!event_begin(&ev, MS_EV_fault_done, t, vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_FAULT;
	GET(ev.u.fault_done.addr, fault, off.fault_addr);
	GET(gfn, fault, off.fault_gfn);
	ev.u.fault_done.gfn = gfn;
	ev.u.fault_done.ret = ret_name(ret);
	ev.u.fault_done.fast = t->fault_fast;
	event_end(ctx, &ev, gfn, 1, 0, ev.u.fault_done.ret);
	return 0;
}

#define FAULT_DONE(prog, fn)                              \
	SEC("fexit/" #fn)                                 \
	int BPF_PROG(prog, u64 vcpu, u64 fault, u64 ret)  \
	{                                                 \
		return fault_done(ctx, vcpu, fault, ret); \
	}
FAULT_DONE(done_tdp, kvm_tdp_page_fault)
FAULT_DONE(done_nonpaging, nonpaging_page_fault)
FAULT_DONE(done_32, paging32_page_fault)
FAULT_DONE(done_64, paging64_page_fault)
FAULT_DONE(done_ept, ept_page_fault)

/* A fault that the handler was not asked for: an MMIO SPTE was hit. */
SEC("fexit/kvm_mmu_page_fault")
int BPF_PROG(fault_out, u64 vcpu, u64 addr, u64 error, u64 insn, u64 insn_len)
{
	struct thread *t = thread_get();
	struct ms_event ev;
	bool handled;

	if (!t || !t->fault_open)
		return 0;
	t->fault_open = 0;
	handled = t->fault_handled;
	t->fault_handled = 0;
	if (handled || !event_begin(&ev, MS_EV_fault_done, t, vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_FAULT;
	ev.u.fault_done.addr = addr;
	ev.u.fault_done.gfn = ~0ull;
	ev.u.fault_done.ret = MS_RET_NONE;
	event_end(ctx, &ev, ~0ull, 0, 0, MS_RET_NONE);
	return 0;
}

INLINE void spte_changed(void *ctx, struct thread *t, u64 vcpu, u64 sptep, u64 old, u64 new, u64 gfn,
			 u8 cause)
{
	u32 role = MS_EV_NO_ROLE, level, index = sptep_index(sptep);
	struct ms_event ev;
	u64 sp, sp_gfn = 0;

	if (t)
		t->sptes_set++;
	if (!WANTED(spte_set) || !event_begin(&ev, MS_EV_spte_set, t, vcpu, 0))
		return;
	sp = sptep_to_sp(sptep);
	if (sp) {
		GET(role, sp, off.sp_role);
		GET(sp_gfn, sp, off.sp_gfn);
	}
	level = role == MS_EV_NO_ROLE ? 0 : role_level(role);
	if (spte_is_table(new, level) || (!(new &SPTE_PRESENT) && spte_is_table(old, level)))
		gfn = ~0ull;
	else if (gfn == ~0ull && sp)
		gfn = sp_entry_gfn(sp, role, sp_gfn, index);
	if (cause != MS_CAUSE_NONE)
		ev.cause = cause;
	ev.u.spte_set.sp = sp;
	ev.u.spte_set.gfn = gfn;
	ev.u.spte_set.old_spte = old;
	ev.u.spte_set.new_spte = new;
	ev.u.spte_set.index = (u16)index;
	ev.u.spte_set.level = (u8)level;
	ev.u.spte_set.role = role;
	event_end(ctx, &ev, gfn, spte_pages(old, new, level), (u8)level, MS_RET_NR);
}

SEC("tp_btf/fast_page_fault")
int BPF_PROG(fast, u64 vcpu, u64 fault, u64 sptep, u64 old, u64 ret)
{
	struct thread *t = thread_get();
	u8 outcome = ret_name(ret);
	struct ms_event ev;
	u64 now = old, gfn = ~0ull;

	if (!vcpu || !fault)
		return 0;
	if (outcome == MS_RET_FIXED || outcome == MS_RET_SPURIOUS) {
		GET(now, sptep, 0);
		if (t)
			t->fault_fast = 1;
	}
	GET(gfn, fault, off.fault_gfn);
	if (WANTED(fast_fault) && event_begin(&ev, MS_EV_fast_fault, t, vcpu, 0)) {
		ev.cause = MS_CAUSE_FAULT;
		GET(ev.u.fast_fault.addr, fault, off.fault_addr);
		ev.u.fast_fault.gfn = gfn;
		ev.u.fast_fault.old_spte = old;
		ev.u.fast_fault.new_spte = now;
		ev.u.fast_fault.ret = outcome;
		event_end(ctx, &ev, gfn, 1, 0, outcome);
	}
	if (outcome == MS_RET_FIXED)
		spte_changed(ctx, t, vcpu, sptep, old, now, ~0ull, MS_CAUSE_FAST_FAULT);
	return 0;
}

/*
 * As is_obsolete_sp() has it, of the root at work: zapped, or, in the legacy MMU, of a generation before. A root that
 * is no shadow page has no such word of its own: not obsolete, as far as can be seen.
 */
INLINE bool root_is_obsolete(u64 vcpu, u64 kvm)
{
	u64 mmu = 0, hpa = ~0ull, sp = 0;
	u8 is_tdp = 0, sp_gen = 0, gen = 0;
	u32 role = 0;

	GET(mmu, vcpu, off.vcpu_mmu);
	if (!mmu || off.mmu_root_hpa == MS_OFF_NONE || GET(hpa, mmu, off.mmu_root_hpa) ||
	    hpa >> 12 >= max_pfn)
		return false;
	if (GET(sp, vmemmap + (hpa >> 12) * page_bytes, off.page_private) || !sp ||
	    GET(role, sp, off.sp_role))
		return false;
	if (role & role_at.invalid)
		return true;
	if (off.sp_mmu_valid_gen == MS_OFF_NONE || off.kvm_mmu_valid_gen == MS_OFF_NONE ||
	    off.sp_tdp_mmu_page == MS_OFF_NONE)
		return false;
	GET(is_tdp, sp, off.sp_tdp_mmu_page);
	GET(sp_gen, sp, off.sp_mmu_valid_gen);
	GET(gen, kvm, off.kvm_mmu_valid_gen);
	return !is_tdp && sp_gen != gen;
}

SEC("fexit/is_page_fault_stale")
int BPF_PROG(stale, u64 vcpu, u64 fault, u64 ret)
{
	struct thread *t;
	struct ms_event ev;

	/* A bool: the rest of the register is anything. */
	if (!(u8)ret)
		return 0;
	t = thread_get();
	if (!event_begin(&ev, MS_EV_stale, t, vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_FAULT;
	GET(ev.u.stale.addr, fault, off.fault_addr);
	GET(ev.u.stale.gfn, fault, off.fault_gfn);
	/* Not known, which is not 0, where this kernel lacks the member. */
	ev.u.stale.seq_seen = ev.u.stale.seq_now = MS_EV_NO_SEQ;
	ev.u.stale.in_progress = MS_EV_NO_NR;
	if (off.fault_mmu_seq != MS_OFF_NONE)
		GET(ev.u.stale.seq_seen, fault, off.fault_mmu_seq);
	if (off.kvm_invalidate_seq != MS_OFF_NONE)
		GET(ev.u.stale.seq_now, ev.kvm, off.kvm_invalidate_seq);
	if (off.kvm_invalidate_in_progress != MS_OFF_NONE)
		GET(ev.u.stale.in_progress, ev.kvm, off.kvm_invalidate_in_progress);
	ev.u.stale.root_obsolete = root_is_obsolete(vcpu, ev.kvm);
	END_GFN(ev.u.stale.gfn);
	return 0;
}

/* --- what the guest is told --- */

SEC("tp_btf/kvm_nested_vmexit_inject")
int BPF_PROG(inject_exit, u64 exit_code, u64 info1, u64 info2)
{
	u32 reason = (u32)exit_code;
	struct thread *t = thread_get();
	struct ms_event ev;
	u64 addr = info2;

	if (is_intel) {
		addr = t ? t->inject_addr : 0;
		if (reason != 48 && reason != 49 && reason != 62)
			return 0;
	} else if (reason != 0x400) {
		return 0;
	}
	if (!event_begin(&ev, MS_EV_inject, t, 0, 0))
		return 0;
	/* Told when the exit is made, L1 already at work: it is L2's access, and for what the exit is made. */
	ev.guest = MS_EV_L2;
	if (t && ev.cause == MS_CAUSE_NESTED)
		ev.cause = ops_cause_around(&t->ops);
	ev.u.inject.reason = reason;
	ev.u.inject.qual = info1;
	ev.u.inject.addr = addr;
	ev.u.inject.unbacked = MS_EV_UNKNOWN;
	END_PLAIN();
	return 0;
}

SEC("fentry/nested_ept_inject_page_fault")
int BPF_PROG(inject_ept, u64 vcpu, u64 fault)
{
	struct thread *t = thread_get();

	if (t)
		GET(t->inject_addr, fault, off.exception_address);
	return 0;
}

SEC("fentry/kvm_inject_page_fault")
int BPF_PROG(inject_pf, u64 vcpu, u64 fault)
{
	struct ms_event ev;
	u16 error = 0;

	if (!event_begin(&ev, MS_EV_inject, thread_get(), vcpu, 0))
		return 0;
	GET(error, fault, off.exception_error_code);
	ev.u.inject.reason = 14;
	ev.u.inject.qual = error;
	GET(ev.u.inject.addr, fault, off.exception_address);
	ev.u.inject.unbacked = MS_EV_UNKNOWN;
	END_PLAIN();
	return 0;
}

/* --- SPTEs --- */

SEC("tp_btf/kvm_tdp_mmu_spte_changed")
int BPF_PROG(tdp_set, u64 as_id, u64 gfn, u64 level_arg, u64 old, u64 new)
{
	u32 level = (u32)level_arg & 7;
	struct thread *t = thread_get();
	struct ms_event ev;
	u64 maps = gfn;

	if (t)
		t->sptes_set++;
	if (!WANTED(spte_set) || !level || !event_begin(&ev, MS_EV_spte_set, t, 0, 0))
		return 0;
	if (spte_is_table(new, level) || (!(new &SPTE_PRESENT) && spte_is_table(old, level)))
		maps = ~0ull;
	/* The tracepoint does not say in which page: 0, and nothing of its role but the level. */
	ev.u.spte_set.role = MS_EV_NO_ROLE;
	ev.u.spte_set.gfn = maps;
	ev.u.spte_set.old_spte = old;
	ev.u.spte_set.new_spte = new;
	ev.u.spte_set.index = (u16)(gfn >> (level - 1) * 9 & 511);
	ev.u.spte_set.level = (u8)level;
	event_end(ctx, &ev, maps, spte_pages(old, new, level), (u8)level, MS_RET_NR);
	return 0;
}

SEC("fentry/mmu_spte_update")
int BPF_PROG(spte_update, u64 sptep, u64 new)
{
	struct thread *t = thread_get();
	u64 old = 0;

	if (GET(old, sptep, 0))
		return 0;
	/* For the first time, by mmu_set_spte(): which frame it maps is only known to its tracepoint. */
	if (!(old & SPTE_PRESENT) && t) {
		t->made_sptep = sptep;
		t->made_old = old;
		t->made_new = new;
		return 0;
	}
	if (old != new)
		spte_changed(ctx, t, 0, sptep, old, new, ~0ull, MS_CAUSE_NONE);
	return 0;
}

SEC("tp_btf/kvm_mmu_set_spte")
int BPF_PROG(spte_made, u64 level, u64 gfn, u64 sptep)
{
	struct thread *t = thread_get();

	/* The TDP MMU's have a tracepoint of their own. */
	if (!t || !sptep || t->made_sptep != sptep)
		return 0;
	t->made_sptep = 0;
	spte_changed(ctx, t, 0, sptep, t->made_old, t->made_new, gfn,
		     thread_prefetches(t, (u32)level, sptep_index(sptep)) ? MS_CAUSE_PREFETCH
									  : MS_CAUSE_NONE);
	return 0;
}

/* What goes where a table is about to be linked goes for its sake (SEMANTICS C3). */
INLINE u8 relink_cause(struct thread *t, u64 sptep)
{
	return t && t->child_sptep == sptep && ops_cause(&t->ops) == MS_CAUSE_FAULT ? MS_CAUSE_RELINK
										    : MS_CAUSE_NONE;
}

SEC("fexit/mmu_spte_clear_track_bits")
int BPF_PROG(spte_cleared, u64 kvm, u64 sptep, u64 old)
{
	struct thread *t = thread_get();
	struct ms_event ev;
	u32 role = MS_EV_NO_ROLE;
	u64 sp, sp_gfn = 0, new = 0, gfn;

	if (!(old & SPTE_PRESENT))
		return 0;
	GET(new, sptep, 0);
	spte_changed(ctx, t, 0, sptep, old, new, ~0ull, relink_cause(t, sptep));
	if (!WANTED(rmap_remove) || !event_begin(&ev, MS_EV_rmap_remove, t, 0, kvm))
		return 0;
	sp = sptep_to_sp(sptep);
	if (sp) {
		GET(role, sp, off.sp_role);
		GET(sp_gfn, sp, off.sp_gfn);
	}
	gfn = sp ? sp_entry_gfn(sp, role, sp_gfn, sptep_index(sptep)) : ~0ull;
	ev.u.rmap_remove.sp = sp;
	ev.u.rmap_remove.gfn = gfn;
	ev.u.rmap_remove.role = role;
	ev.u.rmap_remove.index = (u16)sptep_index(sptep);
	END_GFN(gfn);
	return 0;
}

SEC("fentry/kvm_mmu_get_child_sp")
int BPF_PROG(child_find, u64 vcpu, u64 sptep)
{
	struct thread *t = thread_get();

	if (t && !GET(t->child_old, sptep, 0))
		t->child_sptep = sptep;
	return 0;
}

/* Of frames and of parents: a table that was just linked is an SPTE that leads to one. */
SEC("fentry/pte_list_add")
int BPF_PROG(linked, u64 cache, u64 sptep)
{
	u64 new = 0, old = 0, sp;
	struct thread *t;
	u32 role = 0;

	/* A leaf at level 1 is the common case. */
	if (GET(new, sptep, 0) || !(new &SPTE_PRESENT) || new &SPTE_HUGE)
		return 0;
	sp = sptep_to_sp(sptep);
	if (!sp || GET(role, sp, off.sp_role) || !spte_is_table(new, role_level(role)))
		return 0;
	t = thread_get();
	if (t && t->child_sptep == sptep) {
		if (!(t->child_old & SPTE_PRESENT))
			old = t->child_old;
		t->child_sptep = 0;
	}
	spte_changed(ctx, t, 0, sptep, old, new, ~0ull, MS_CAUSE_LINK);
	return 0;
}

SEC("fentry/mmu_page_zap_pte")
int BPF_PROG(zap_pte, u64 kvm, u64 sp, u64 sptep)
{
	struct thread *t = thread_get();
	u32 depth;

	if (!t)
		return 0;
	depth = t->zap_depth++;
	t->tables_hit++;
	t->zap_sptep[depth % ZAP_DEPTH] = 0;
	if (!GET(t->zap_old[depth % ZAP_DEPTH], sptep, 0))
		t->zap_sptep[depth % ZAP_DEPTH] = sptep;
	return 0;
}

SEC("fexit/mmu_page_zap_pte")
int BPF_PROG(zap_pte_done, u64 kvm, u64 sp, u64 sptep)
{
	struct thread *t = thread_get();
	u64 old, new = 0;
	u32 depth, role = 0;

	if (!t || !t->zap_depth)
		return 0;
	depth = --t->zap_depth;
	if (t->zap_sptep[depth % ZAP_DEPTH] != sptep)
		return 0;
	old = t->zap_old[depth % ZAP_DEPTH];
	if (!old || GET(new, sptep, 0))
		return 0;
	if (t->child_sptep == sptep)
		t->child_old = new;
	GET(role, sp, off.sp_role);
	/* Leaves are cleared by mmu_spte_clear_track_bits(). */
	if (new != old && !spte_is_leaf(old, role_level(role)))
		spte_changed(ctx, t, 0, sptep, old, new, ~0ull, relink_cause(t, sptep));
	return 0;
}

SEC("tp_btf/mark_mmio_spte")
int BPF_PROG(mmio_marked, u64 sptep, u64 gfn, u64 new)
{
	struct thread *t = thread_get();
	struct ms_event ev;

	if (!WANTED(mmio_mark) || !event_begin(&ev, MS_EV_mmio_mark, t, 0, 0))
		return 0;
	ev.u.mmio_mark.gfn = gfn;
	ev.u.mmio_mark.new_spte = new;
	/* MMIO_SPTE_GEN_LOW and _HIGH, bits 10:3 and 62:52 (SEMANTICS D "MMIO"). */
	ev.u.mmio_mark.gen = (new >> 3 & 0xff) | (new >> 52 & 0x7ff) << 8;
	END_GFN(gfn);
	return 0;
}

SEC("fentry/__rmap_add")
int BPF_PROG(rmap_added, u64 kvm, u64 cache, u64 slot, u64 sptep, u64 gfn)
{
	struct thread *t = thread_get();
	struct ms_event ev;
	u32 role = MS_EV_NO_ROLE;

	if (!WANTED(rmap_add) || !event_begin(&ev, MS_EV_rmap_add, t, 0, kvm))
		return 0;
	ev.u.rmap_add.sp = sptep_to_sp(sptep);
	if (t && ev.u.rmap_add.sp && !GET(role, ev.u.rmap_add.sp, off.sp_role) &&
	    thread_prefetches(t, role_level(role), sptep_index(sptep)))
		ev.cause = MS_CAUSE_PREFETCH;
	ev.u.rmap_add.gfn = gfn;
	ev.u.rmap_add.role = role;
	ev.u.rmap_add.index = (u16)sptep_index(sptep);
	END_GFN(gfn);
	return 0;
}

#include "bpf/pages.h" /* shadow pages and roots */
#include "bpf/host.h" /* what the VMM and the host do */
#include "bpf/vcpu.h" /* what a vCPU does */
