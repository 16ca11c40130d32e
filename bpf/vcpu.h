/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs on what a vCPU does: flushes, dirtied frames, devices, emulation, L2; a part of bpf/events.bpf.c. */

/* --- TLBs --- */

SEC("fentry/kvm_flush_remote_tlbs")
int BPF_PROG(flush_all, u64 kvm)
{
	struct ms_event ev;
	u32 held = 0;

	if (!event_begin(&ev, MS_EV_flush, thread_get(), 0, kvm))
		return 0;
	/* Who holds it is not to be had: it may be another CPU. */
	ev.u.flush.deferred = MS_EV_UNKNOWN;
	if (off.kvm_mmu_lock_cnts != MS_OFF_NONE && !GET(held, kvm, off.kvm_mmu_lock_cnts))
		ev.u.flush.deferred = !held;
	END_PLAIN();
	return 0;
}

INLINE int flush_event(void *ctx, u64 vcpu, u8 what)
{
	struct ms_event ev;

	if (!event_begin(&ev, MS_EV_flush_vcpu, thread_get(), vcpu, 0))
		return 0;
	/* Of linear mappings alone: nobody but the guest asks for it. */
	if (what == MS_FLUSH_GUEST && ev.cause == MS_CAUSE_NONE)
		ev.cause = MS_CAUSE_GUEST_FLUSH;
	ev.u.flush_vcpu.what = what;
	END_PLAIN();
	return 0;
}

#define FLUSH_PROBE(prog, fn, what)                             \
	SEC("fentry/" #fn)                                      \
	int BPF_PROG(prog, u64 vcpu)                            \
	{                                                       \
		return flush_event(ctx, vcpu, MS_FLUSH_##what); \
	}
/* SVM's larger ones are done by the smallest, whose own probe then has nothing to say. */
INLINE int flush_outer(void *ctx, u64 vcpu, u8 what)
{
	struct thread *t = thread_get();

	if (t)
		t->in_flush = 1;
	return flush_event(ctx, vcpu, what);
}

INLINE int flush_outer_done(void)
{
	struct thread *t = thread_get();

	if (t)
		t->in_flush = 0;
	return 0;
}

#define FLUSH_OUTER_PROBES(prog, fn, what)                      \
	SEC("fentry/" #fn)                                      \
	int BPF_PROG(prog, u64 vcpu)                            \
	{                                                       \
		return flush_outer(ctx, vcpu, MS_FLUSH_##what); \
	}                                                       \
	SEC("fexit/" #fn)                                       \
	int BPF_PROG(prog##_done, u64 vcpu)                     \
	{                                                       \
		return flush_outer_done();                      \
	}
FLUSH_OUTER_PROBES(flush_svm_all, svm_flush_tlb_all, ALL)
FLUSH_OUTER_PROBES(flush_svm_current, svm_flush_tlb_current, CURRENT)

SEC("fentry/svm_flush_tlb_asid")
int BPF_PROG(flush_svm_asid, u64 vcpu)
{
	struct thread *t = thread_get();

	if (!t || !t->in_flush)
		return flush_event(ctx, vcpu, MS_FLUSH_GUEST);
	/* Once in each larger one, whose end may have been missed. */
	t->in_flush = 0;
	return 0;
}

FLUSH_PROBE(flush_svm_gva, svm_flush_tlb_gva, ADDRESS)
FLUSH_PROBE(flush_vmx_all, vmx_flush_tlb_all, ALL)
FLUSH_PROBE(flush_vmx_current, vmx_flush_tlb_current, CURRENT)
FLUSH_PROBE(flush_vmx_guest, vmx_flush_tlb_guest, GUEST)
FLUSH_PROBE(flush_vmx_gva, vmx_flush_tlb_gva, ADDRESS)

/* --- dirtied frames --- */

SEC("fentry/mark_page_dirty_in_slot")
int BPF_PROG(dirtied, u64 kvm, u64 slot, u64 gfn)
{
	struct thread *t;
	struct ms_event ev;
	u32 flags = 0;
	s16 id = 0;

	/* Called for every frame that is written: only those in a slot with a log are marked. */
	if (!slot || GET(flags, slot, off.memslot_flags) || !(flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	t = thread_get();
	if (!event_begin(&ev, MS_EV_dirty, t, 0, kvm))
		return 0;
	if (t && t->pml_gfn == gfn + 1) {
		ev.cause = MS_CAUSE_PML;
		t->pml_gfn = 0;
	}
	GET(id, slot, off.memslot_id);
	ev.u.dirty.gfn = gfn;
	ev.u.dirty.slot = (u16)id;
	END_GFN(gfn);
	return 0;
}

/*
 * vmx_flush_pml_buffer() is a part of vmx_handle_exit(): an entry is a call that comes from there. Others that
 * come while an exit is handled come from elsewhere.
 */
SEC("fentry/kvm_vcpu_mark_page_dirty")
int BPF_PROG(pml_entry, u64 vcpu, u64 gfn)
{
	struct thread *t = thread_get();
	u64 ips[5] = { 0 }, here, caller = 0;
	struct ms_event ev;
	u16 nth;
	u8 l2 = 0;
	u32 i;

	if (!t || !ops_in(&t->ops, MS_OP_vmx_handle_exit) || !drain_lo)
		return 0;
	/* L2 runs without PML of the host's (SEMANTICS E6): there pages of vmcs12 are marked by the same function. */
	if (off.vcpu_guest_mode != MS_OFF_NONE && (GET(l2, vcpu, off.vcpu_guest_mode) || l2))
		return 0;
	if (bpf_get_stack(ctx, ips, sizeof(ips), 0) < 16)
		return 0;
	/* This program and its trampoline may be there first; then the traced function itself, at its call of them. */
	here = bpf_get_func_ip(ctx);
	for (i = 0; i < 4 && !caller; i++)
		if (ips[i] - here < 16)
			caller = ips[i + 1];
	if (caller < drain_lo || caller >= drain_hi)
		return 0;
	nth = (u16)t->pml_entries++;
	t->pml_gfn = gfn + 1;
	if (!WANTED(pml) || !event_begin(&ev, MS_EV_pml, t, vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_PML;
	ev.u.pml.gfn = gfn;
	ev.u.pml.nth = nth;
	END_GFN(gfn);
	return 0;
}

SEC("tp_btf/kvm_pml_full")
int BPF_PROG(pml_exit_full, u64 vcpu_id)
{
	struct thread *t = thread_get();

	if (t)
		t->pml_full = 1;
	return 0;
}

SEC("fexit/vmx_handle_exit")
int BPF_PROG(pml_exit, u64 vcpu)
{
	struct thread *t = thread_get();
	struct ms_event ev;
	u32 entries;
	u8 full;

	if (!t)
		return 0;
	entries = t->pml_entries;
	full = t->pml_full;
	t->pml_entries = 0;
	t->pml_full = 0;
	if (!(entries || full) || !WANTED(pml_drain) || !event_begin(&ev, MS_EV_pml_drain, t, vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_PML;
	ev.u.pml_drain.entries = (u16)entries;
	ev.u.pml_drain.full = full;
	END_PLAIN();
	return 0;
}

/* Only what is needed; resolved when loaded (CO-RE), since the layout table does not hold the vendors' modules. */
struct vmcs12 {
	u16 guest_pml_index;
	u64 guest_physical_address;
} __attribute__((preserve_access_index));

struct nested_vmx {
	struct vmcs12 *cached_vmcs12;
} __attribute__((preserve_access_index));

union vmx_exit_reason {
	u32 full;
} __attribute__((preserve_access_index));

struct vcpu_vmx {
	union vmx_exit_reason exit_reason;
	struct nested_vmx nested;
} __attribute__((preserve_access_index));

struct vmcb_control_area {
	u32 exit_code;
	u64 exit_info_1, exit_info_2;
} __attribute__((preserve_access_index));

struct vmcb {
	struct vmcb_control_area control;
} __attribute__((preserve_access_index));

struct vcpu_svm {
	struct vmcb *vmcb;
} __attribute__((preserve_access_index));

#define FIELD_AT(type, member) __builtin_preserve_field_info(((type *)0)->member, 0) /* its byte offset */

/* One more than where vmcs12 has its PML go on; 0: not known. */
INLINE u32 pml12_index(u64 vcpu)
{
	u64 vmcs12 = 0;
	u16 index = 0;

	/* The struct vcpu_vmx begins with its struct kvm_vcpu. */
	if (GET(vmcs12, vcpu, FIELD_AT(struct vcpu_vmx, nested.cached_vmcs12)) || !vmcs12 ||
	    GET(index, vmcs12, FIELD_AT(struct vmcs12, guest_pml_index)))
		return 0;
	return index + 1u;
}

SEC("fentry/nested_vmx_write_pml_buffer")
int BPF_PROG(pml_l1_in, u64 vcpu)
{
	struct thread *t = thread_get();

	if (t)
		t->pml12_index = pml12_index(vcpu);
	return 0;
}

SEC("fexit/nested_vmx_write_pml_buffer")
int BPF_PROG(pml_l1, u64 vcpu, u64 gpa)
{
	struct thread *t = thread_get();
	struct ms_event ev;
	u32 before, after;

	if (!t)
		return 0;
	before = t->pml12_index;
	t->pml12_index = 0;
	after = pml12_index(vcpu);
	/* Counted down when an entry was written: not without PML, with a full log, or when that cannot be written. */
	if (!before || !after || (u16)after != (u16)(before - 1) ||
	    !event_begin(&ev, MS_EV_pml12, t, vcpu, 0))
		return 0;
	ev.u.pml12.addr = gpa & ~0xfffull;
	ev.u.pml12.index = (u16)(before - 1);
	END_PLAIN();
	return 0;
}

/* --- devices and emulation --- */

#define KVM_TRACE_MMIO_READ 1u
#define KVM_TRACE_MMIO_WRITE 2u

SEC("tp_btf/kvm_mmio")
int BPF_PROG(device, u64 type, u64 len, u64 gpa)
{
	struct ms_event ev;

	/* A read that the VMM has to answer is traced twice: unsatisfied, and when it is done. */
	if ((u32)type != KVM_TRACE_MMIO_READ && (u32)type != KVM_TRACE_MMIO_WRITE)
		return 0;
	if (!event_begin(&ev, MS_EV_mmio, thread_get(), 0, 0))
		return 0;
	ev.u.mmio.gpa = gpa;
	ev.u.mmio.write = (u32)type == KVM_TRACE_MMIO_WRITE;
	END_GFN(gpa >> 12);
	return 0;
}

SEC("tp_btf/kvm_fast_mmio")
int BPF_PROG(device_fast, u64 gpa)
{
	struct ms_event ev;

	if (!event_begin(&ev, MS_EV_mmio, thread_get(), 0, 0))
		return 0;
	ev.u.mmio.gpa = gpa;
	ev.u.mmio.write = 1;
	END_GFN(gpa >> 12);
	return 0;
}

SEC("tp_btf/kvm_emulate_insn")
int BPF_PROG(emulated, u64 vcpu, u64 failed)
{
	struct ms_event ev;
	u64 ctxt = 0;

	if (!vcpu || !event_begin(&ev, MS_EV_emulate, thread_get(), vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_EMULATE;
	if (off.vcpu_emulate_ctxt != MS_OFF_NONE && off.emulate_eip != MS_OFF_NONE) {
		GET(ctxt, vcpu, off.vcpu_emulate_ctxt);
		if (ctxt)
			GET(ev.u.emulate.rip, ctxt, off.emulate_eip);
	}
	ev.u.emulate.failed = (u8)failed != 0;
	END_PLAIN();
	return 0;
}

INLINE void written_begin(void)
{
	struct thread *t = thread_get();

	if (!t)
		return;
	t->at_start_sptes = t->sptes_set;
	t->at_start_pages = t->pages_zapped;
	t->at_start_hit = t->tables_hit;
}

INLINE int written_end(void *ctx, u64 vcpu, u64 gpa, u64 bytes)
{
	struct thread *t = thread_get();
	struct ms_event ev;

	/* Every emulated write comes by while there are shadowed tables. One that hit none touched no SPTE. */
	if (!t || t->tables_hit == t->at_start_hit || !event_begin(&ev, MS_EV_pt_write, t, vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_PT_WRITE;
	ev.u.pt_write.gpa = gpa;
	ev.u.pt_write.bytes = (u8)bytes;
	ev.u.pt_write.zapped = (u16)(t->sptes_set - t->at_start_sptes);
	ev.u.pt_write.pages = (u16)(t->pages_zapped - t->at_start_pages);
	END_GFN(gpa >> 12);
	return 0;
}

#define WRITE_PROBES(prog, fn)                                     \
	SEC("fentry/" #fn)                                         \
	int BPF_PROG(prog##_in, u64 vcpu)                          \
	{                                                          \
		written_begin();                                   \
		return 0;                                          \
	}                                                          \
	SEC("fexit/" #fn)                                          \
	int BPF_PROG(prog, u64 vcpu, u64 gpa, u64 data, u64 bytes) \
	{                                                          \
		return written_end(ctx, vcpu, gpa, bytes);         \
	}
WRITE_PROBES(table_write_61, kvm_mmu_pte_write)
WRITE_PROBES(table_write, kvm_mmu_track_write)

/* --- L2 --- */

SEC("tp_btf/kvm_nested_vmenter")
int BPF_PROG(entered, u64 rip, u64 vmcb, u64 nested_rip, u64 int_ctl, u64 event_inj, u64 tdp, u64 pgd)
{
	struct ms_event ev;

	if (!event_begin(&ev, MS_EV_nested_enter, thread_get(), 0, 0))
		return 0;
	ev.cause = MS_CAUSE_NESTED;
	ev.u.nested_enter.pgd = (u8)tdp ? pgd : 0;
	END_PLAIN();
	return 0;
}

SEC("tp_btf/kvm_nested_vmexit")
int BPF_PROG(exited, u64 vcpu)
{
	struct ms_event ev;

	if (!vcpu || !event_begin(&ev, MS_EV_nested_exit, thread_get(), vcpu, 0))
		return 0;
	ev.cause = MS_CAUSE_NESTED;
	if (is_intel) {
		u32 reason = 0;

		GET(reason, vcpu, FIELD_AT(struct vcpu_vmx, exit_reason.full));
		ev.u.nested_exit.reason = reason;
		/* KVM reads these from the VMCS when it needs them, later: what is kept is an earlier exit's. */
		ev.u.nested_exit.qual = ev.u.nested_exit.addr = ~0ull;
	} else {
		u64 vmcb = 0;
		u32 code = 0;

		GET(vmcb, vcpu, FIELD_AT(struct vcpu_svm, vmcb));
		GET(code, vmcb, FIELD_AT(struct vmcb, control.exit_code));
		GET(ev.u.nested_exit.qual, vmcb, FIELD_AT(struct vmcb, control.exit_info_1));
		GET(ev.u.nested_exit.addr, vmcb, FIELD_AT(struct vmcb, control.exit_info_2));
		ev.u.nested_exit.reason = code;
	}
	END_PLAIN();
	return 0;
}
