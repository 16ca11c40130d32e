/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nmmu: a nested MMU. One machine is what a `struct kvm' is to KVM's x86 MMU: memslots, shadow pages, dirty
 * logs; each vCPU has the three MMUs of SEMANTICS A. The engine does what SEMANTICS.md says, for a CPU that
 * somebody else runs: a model (src/hw) or, in the kernel module, an experiment.
 *
 * Conventions. 0 or -errno. The engine has no globals and does no I/O: memory, host mappings, flushes, events
 * and locks come through struct nmmu_ops. Addresses: gva and l2 gpa belong to the guest at work, gpa and gfn
 * to L1, hva to the VMM, hpa and pfn to the host.
 *
 * Threads. Calls about one vCPU come from one thread at a time. All others may come from any; mmu_lock is
 * taken inside through ops->lock. Memslot and log ioctls exclude each other (the caller's slots_lock).
 */
#ifndef NMMU_NMMU_H
#define NMMU_NMMU_H

#include "abi/event.h"
#include "abi/rec.h"
#include "spte/profile.h"

struct nmmu; /* types.h shows what is inside, to be read only */
struct nmmu_vcpu;
struct nmmu_sp;

/* --- what the host provides --- */

enum nmmu_point {
#define NMMU_POINT(id, name) NMMU_POINT_##id,
#include "nmmu/points.def"
#undef NMMU_POINT
	NMMU_NR_POINTS
};

struct nmmu_page {
	void *va; /* 4 KiB, aligned, zeroed */
	u64 pa; /* host-physical: goes into SPTEs */
};

/* What the host's page tables say about an address. */
struct nmmu_pfn {
	u64 pfn; /* of the 4 KiB page */
	u8 level; /* size of the host mapping: 1, 2 or 3; pfn and hva are then congruent */
	bool writable; /* may be mapped writable */
};

struct nmmu_ops {
	/* -ENOMEM. Not called under mmu_lock. */
	int (*page_alloc)(void *host, struct nmmu_page *ret);
	void (*page_free)(void *host, struct nmmu_page page);
	/* Zeroed memory, NULL when there is none. Not called under mmu_lock. */
	void *(*alloc)(void *host, size_t bytes);
	void (*free)(void *host, void *p);
	/*
	 * Fault hva in. -EFAULT: no mapping. With write, -EFAULT unless writable; without, `writable' says
	 * what the mapping allows.
	 */
	int (*hva_to_pfn)(void *host, u64 hva, bool write, struct nmmu_pfn *ret);
	/*
	 * A page that is mapped writable at this moment, without faulting anything in; -EFAULT: it is not.
	 * For prefetch and collapsing, under mmu_lock. NULL: hva_to_pfn is asked instead, under mmu_lock
	 * then.
	 */
	int (*hva_to_pfn_fast)(void *host, u64 hva, struct nmmu_pfn *ret);
	/* len bytes within one page; -EFAULT. Guest tables are read under mmu_lock too: no waiting then. */
	int (*read)(void *host, u64 hva, void *dst, u32 len);
	int (*write)(void *host, u64 hva, const void *src, u32 len);
	/* 4 or 8 bytes: 0 done, -EAGAIN the value was another, -EFAULT. */
	int (*cmpxchg)(void *host, u64 hva, u64 old, u64 new_value, u32 bytes);
	/* Before it returns no vCPU (vcpu NULL) or not this one uses a translation cached before. */
	void (*flush)(void *host, struct nmmu_vcpu *vcpu);
	/*
	 * Pinned pages (SEMANTICS G), with config.pins only; then pin and unpin are there. Called under
	 * mmu_lock: no waiting, no call into the engine. gfn and pfn are the first of a page of this level
	 * (1..3). One pin, then zap and unzap in turn, then one unpin behind a zap, with the same pfn and
	 * level always. pin: before the SPTE is stored; true: the host keeps the page where it is from now
	 * on; false: it is mapped without. zap: L1's own mapping has no SPTE of the page any more, TLBs are
	 * flushed next; it stays pinned. A shadow of L1's tables may map it still, but for notifiers and an
	 * unpin. unzap: mapped again. Before a huge page is unpinned because a part is mapped alone, every
	 * part is pinned and zapped. zap and unzap may be NULL.
	 */
	bool (*pin)(void *host, u64 gfn, u64 pfn, u8 level);
	void (*unpin)(void *host, u64 gfn, u64 pfn, u8 level);
	void (*zap)(void *host, u64 gfn, u64 pfn, u8 level);
	void (*unzap)(void *host, u64 gfn, u64 pfn, u8 level);
	/* The rest may be NULL. */
	void (*event)(void *host, const struct ms_event *event);
	void (*lock)(void *host); /* mmu_lock; not recursive */
	void (*unlock)(void *host);
	void (*yield)(void *host, enum nmmu_point point);
	/* In the midst of long work that changes nothing. True: nobody wants its result any more. */
	bool (*stop)(void *host);
};

/* --- the machine --- */

enum nmmu_kernel { NMMU_6_1, NMMU_6_12 }; /* whose behaviour where the two differ */

enum nmmu_bug {
#define NMMU_BUG(id, name, seed, text, harm) NMMU_BUG_##id,
#include "nmmu/bugs.def"
#undef NMMU_BUG
	NMMU_NR_BUGS
};

enum nmmu_mutant {
	NMMU_MUTANT_NONE,
#define NMMU_MUTANT_DEF(id, name, scenario, text) NMMU_MUTANT_##id,
#include "nmmu/mutants.def"
#undef NMMU_MUTANT_DEF
	NMMU_NR_MUTANTS
};

struct nmmu_config {
	enum ms_hv hv; /* MS_HV_SVM or MS_HV_VMX */
	enum nmmu_kernel kernel;
	bool tdp; /* two-dimensional paging in use; else shadow paging */
	bool ad; /* VMX: EPT has A/D bits. SVM and shadow paging always do */
	bool pml; /* VMX: page-modification logging; needs tdp and ad */
	bool exec_only; /* VMX: EPT may execute without reading */
	bool la57; /* SVM: the host runs 5-level paging, and NPT with it. VMX: 5-level EPT exists */
	bool gbpages;
	bool nx_huge_pages; /* the mitigation is on */
	bool mmio_caching;
	bool pins; /* faults of direct MMUs pin what they map (ops->pin) */
	/*
	 * Report what 6.1 and 6.12 report where it is known to be inexact (SEMANTICS D1, D4), and have the
	 * emulator not walk for the device page it met last; off: exact.
	 */
	bool compat;
	u8 phys_bits; /* the host's, 36..52; above 51 PT formats have no MMIO value (caching is then off) */
	u8 guest_phys_bits; /* L1's MAXPHYADDR */
	u32 max_pages; /* n_max_mmu_pages, 0: no limit */
	bool no_zap_all; /* 6.12: quirk SLOT_ZAP_ALL disabled */
	u64 first_generation; /* of memslots; a multiple of NMMU_NR_AS. For tests of the wrap at 19 bits (I 12) */
	u32 bugs; /* 1u << enum nmmu_bug */
	enum nmmu_mutant mutant; /* test builds only */
};

/* -EINVAL for a configuration that contradicts itself, -ENOMEM. ops and host outlive the machine. */
int nmmu_create(const struct nmmu_config *config, const struct nmmu_ops *ops, void *host, struct nmmu **ret);
void nmmu_destroy(struct nmmu *m); /* takes NULL; ends its vCPUs too */
#define NMMU_MAX_VCPUS 4096
int nmmu_vcpu_create(struct nmmu *m, struct nmmu_vcpu **ret); /* -ENOMEM, -EINVAL: too many */

/* --- memslots --- */

#define NMMU_NR_AS 2 /* 0 normal, 1 SMM */

/*
 * Make, change, move or (nr_pages 0) delete a slot. flags: MS_SLOT_LOG_DIRTY, MS_SLOT_READONLY. -EINVAL,
 * -EEXIST (overlap), -ENOMEM, -EBUSY (a slot with pinned pages cannot log); then nothing has changed. Pins
 * of a slot that goes or moves end, each once; those of other slots stay.
 */
int nmmu_slot_set(struct nmmu *m, u16 as_id, u16 id, u64 gfn, u64 nr_pages, u64 hva, u32 flags);

/* --- dirty logs (E) --- */

#define NMMU_LOG_MANUAL (1u << 0) /* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE */
#define NMMU_LOG_INIT_SET (1u << 1) /* KVM_DIRTY_LOG_INITIALLY_SET; needs MANUAL */

/* Of the whole VM; before any slot logs. */
int nmmu_log_mode(struct nmmu *m, u32 mode);
/*
 * KVM_GET_DIRTY_LOG: bitmap of the slot, one bit a page, (nr_pages + 63) / 64 words. Without MANUAL it is
 * cleared and the pages are protected again. PML buffers must have been drained: all vCPUs out of the guest.
 */
int nmmu_log_get(struct nmmu *m, u16 as_id, u16 id, u64 *bitmap_ret);
/*
 * KVM_CLEAR_DIRTY_LOG: pages [first, first + nr) of the slot whose bit is set in bitmap (bit 0 is page
 * first). first is a multiple of 64, nr too unless it ends with the slot.
 */
int nmmu_log_clear(struct nmmu *m, u16 as_id, u16 id, u64 first, u64 nr, const u64 *bitmap);

/* --- host events --- */

/*
 * The host takes [start, end) of hva away: SPTEs are zapped and TLBs flushed before begin returns; end allows
 * new ones.
 */
void nmmu_invalidate_begin(struct nmmu *m, u64 start, u64 end);
void nmmu_invalidate_end(struct nmmu *m, u64 start, u64 end);
/* Any page of the range accessed since the last call? Clears what says so; no flush (E.1 ->AT). */
bool nmmu_age(struct nmmu *m, u64 start, u64 end);
/* -EBUSY: pages are pinned, and what is mapped could not be made anew (G). */
int nmmu_set_nx_huge_pages(struct nmmu *m, bool on);
/* One period of the recovery worker: zaps 1/ratio of the split huge pages. Returns pages zapped. */
u32 nmmu_nx_recover(struct nmmu *m, u32 ratio);
/* n_max_mmu_pages; zaps down to it at once. */
void nmmu_set_max_pages(struct nmmu *m, u32 max_pages);
/*
 * kvm_mmu_zap_all_fast(): a new generation, every page obsolete. From any thread, memslot ioctls or not: what
 * another such call has not reached yet goes before the generation changes again.
 */
void nmmu_zap_all(struct nmmu *m);

/* --- pinned pages (G) --- */

/*
 * The slot's table is the truth: an entry lasts from pin to unpin, whatever becomes of SPTEs and roots. The
 * pin of a huge page is handed to its parts when one of them must be mapped alone; parts stay parts.
 */
struct nmmu_pin_info {
	u64 gfn, pfn; /* first of the page */
	u8 level;
	bool mapped; /* P; else Z */
};

/* The pinned page that holds gfn. -ENOENT: none. */
int nmmu_pin_get(const struct nmmu *m, u16 as_id, u64 gfn, struct nmmu_pin_info *ret);
/* Ballooning: the pinned page that holds gfn is unmapped everywhere and its pin ends. -ENOENT. */
int nmmu_unpin(struct nmmu *m, u16 as_id, u64 gfn);
/* The VMM's address space is going: nothing stays mapped, every pin ends. */
void nmmu_mm_release(struct nmmu *m);

/* KVM_PRE_FAULT_MEMORY's range, both multiples of 4 KiB. */
struct nmmu_prefault {
	u64 gpa, size;
};

/*
 * Map a range for L1 as reads would, and pin it if the machine pins. range moves past what is done; 0: all
 * or some of it, size says what is left. -ENOENT: no memory at gpa, -EINVAL, -EOPNOTSUPP: no TDP, or L2 is
 * at work on nested paging; -EAGAIN: the host takes the page away again and again; else as
 * nmmu_vcpu_load() and nmmu_handle_exit(). An error means that range is unchanged.
 */
int nmmu_prefault(struct nmmu_vcpu *v, struct nmmu_prefault *range);

/* --- vCPU state --- */

struct nmmu_regs {
	u64 cr0, cr3, cr4, efer;
	bool ac; /* EFLAGS.AC */
	bool smm;
};

enum nmmu_nested_kind {
	NMMU_NESTED_OFF, /* L2 runs on L1's map (A2) */
	NMMU_NESTED_EPT,
	NMMU_NESTED_NPT,
};

/* What L1 asks for when it enters L2. */
struct nmmu_nested {
	enum nmmu_nested_kind kind;
	u64 root; /* EPTP12, or nCR3 */
	bool pml; /* EPT: PML12 enabled */
	u64 pml_addr; /* GPA of the log page */
	u16 pml_index; /* GUEST_PML_INDEX as L1 wrote it */
	struct nmmu_regs l2;
};

/* L1's registers (or, with L2 active, L2's): control registers as written by the guest. Loads PDPTRs for PAE.
 * -EINVAL: the CPU would refuse (#GP). A new CR3 switches roots as a MOV to CR3 without NOFLUSH does. */
int nmmu_set_regs(struct nmmu_vcpu *v, const struct nmmu_regs *regs);
/*
 * VM entry from L1. -EINVAL: failed entry (bad EPTP B3, bad PDPTRs), nothing changed. On VMX as with a VPID12
 * that stays the same: translations of L2 made before are kept, and are L1's to invalidate (SDM 28.3.3.1).
 */
int nmmu_nested_enter(struct nmmu_vcpu *v, const struct nmmu_nested *nested);
/*
 * VM exit to L1 that the engine did not cause itself. The PML12 index goes back to pml_index_ret (may be
 * NULL). A PAE L1 has the PDPTRs of before; a CPU loads them anew (SDM 27.5.4), which differs for an L1 that
 * changed its PDPT in between.
 */
void nmmu_nested_leave(struct nmmu_vcpu *v, u16 *pml_index_ret);

/* --- invalidation by the guest at work --- */

void nmmu_invlpg(struct nmmu_vcpu *v, u64 gva);
/* CR3 write with the same value, MOV CR4 flush, INVVPID: everything of this vCPU's guest paging. */
void nmmu_flush_guest(struct nmmu_vcpu *v);
/* INVEPT by L1: single context (the EPTP), or all (eptp 0 and all true). -EINVAL. */
int nmmu_invept(struct nmmu_vcpu *v, bool all, u64 eptp);
/* SVM: L1 enters L2 with TLB_CONTROL flush, or changes nCR3's ASID. */
void nmmu_flush_nested_npt(struct nmmu_vcpu *v);

/* --- running --- */

/* What the CPU is to run on. */
struct nmmu_entry {
	bool tdp; /* root translates guest-physical addresses; else the guest's linear ones */
	enum spte_format format;
	u64 root_pa;
	u8 level; /* 3 (PAE root of 4 entries), 4 or 5 */
	bool ad; /* EPT: EPTP bit 6. PT formats: true */
	bool pml; /* the CPU logs to pml_pa, index *pml_index counting down from 511 */
	u64 pml_pa;
	u16 *pml_index;
	u8 phys_bits;
	bool exec_only;
	bool nx, wp, smep, smap; /* shadow paging: the CPU's EFER.NX and CR0.WP ... as KVM runs the guest */
	u64 tag; /* translations cached under one tag are not used under another: EPTP or ASID */
	struct nmmu_regs regs; /* of the guest at work: the CPU walks its tables when tdp */
};

/*
 * Before each entry: frees obsolete roots, loads the root if there is none, syncs. -ENOMEM; -EIO: the guest
 * shuts down (6.1: root without memory, C7).
 */
int nmmu_vcpu_load(struct nmmu_vcpu *v, struct nmmu_entry *ret);
/* Would the CPU log writes (PML), entering the guest at work now? Of L2: whether vmcs02 has PML on. */
bool nmmu_vcpu_pml(const struct nmmu_vcpu *v);

/* An access by an instruction. */
struct nmmu_access {
	u64 gva;
	u8 bytes; /* 1, 2, 4 or 8 */
	bool write, fetch, user;
	bool rmw; /* with write: reads too */
	u64 value; /* to be written */
};

enum nmmu_exit_kind {
	NMMU_EXIT_EPT_VIOLATION, /* 48: info is the qualification */
	NMMU_EXIT_EPT_MISCONFIG, /* 49 */
	NMMU_EXIT_NPF, /* info is EXITINFO1 */
	NMMU_EXIT_PF, /* shadow paging: info is the error code, addr the gva */
	NMMU_EXIT_PML_FULL, /* 62 */
};

struct nmmu_exit {
	enum nmmu_exit_kind kind;
	u64 info;
	u64 addr; /* GPA, or nGPA when L2 runs on nested paging */
	/* The instruction's access, for emulation; NULL: unknown, then emulation ends with -EIO. */
	const struct nmmu_access *access;
};

enum nmmu_ret {
#define FAULT_RET(id, name, text) NMMU_RET_##id,
#include "abi/rets.def"
#undef FAULT_RET
};

enum nmmu_action {
	NMMU_ACT_RESUME, /* run the instruction again */
	NMMU_ACT_DONE, /* it was emulated: go on behind it; value holds what a read gave */
	NMMU_ACT_MMIO, /* it reaches a device at gpa; go on behind it once that has answered */
	NMMU_ACT_EXIT_L1, /* L1 runs now, with an exit: reason, qual, addr */
	NMMU_ACT_PF, /* #PF in the guest at work: qual is the error code, addr CR2 */
	NMMU_ACT_DEAD, /* triple fault */
};

struct nmmu_result {
	enum nmmu_action action;
	enum nmmu_ret ret; /* of the fault handler, NONE when it was not asked */
	bool fast; /* fixed without mmu_lock */
	u64 reason; /* EXIT_L1: 48, 49, 62, or 0x400 (#NPF) */
	u64 qual; /* qualification, EXITINFO1, or error code */
	u64 addr; /* GUEST_PHYSICAL_ADDRESS, EXITINFO2, or CR2 */
	u64 gpa; /* MMIO */
	u64 value; /* DONE: what was read */
};

/*
 * An exit of the CPU. -ENOMEM: nothing was changed, may be tried again. -EIO: cannot be emulated. -EFAULT:
 * the host has no memory there, as when KVM_RUN fails. -EINVAL: not an exit that this machine's CPU makes.
 */
int nmmu_handle_exit(struct nmmu_vcpu *v, const struct nmmu_exit *exit, struct nmmu_result *ret);
/* Every exit, before anything else: takes what the CPU left in the PML buffer (E4). */
void nmmu_pml_drain(struct nmmu_vcpu *v);

/* An access made by the emulator, as if KVM decoded the instruction. */
int nmmu_emulate(struct nmmu_vcpu *v, const struct nmmu_access *access, struct nmmu_result *ret);
/* L0 itself (a device, userspace) writes guest memory by GPA: marked dirty, shadow pages not told (H 35). */
int nmmu_host_write(struct nmmu *m, u64 gpa, const void *src, u32 len);
int nmmu_host_read(struct nmmu *m, u64 gpa, void *dst, u32 len);

/* --- walking, for display --- */

#define NMMU_MAX_STEPS 36 /* 5 guest levels and the page, each through 5 nested ones, and slack */

#define NMMU_STEP_NOT_PRESENT (1u << 0)
#define NMMU_STEP_RSVD (1u << 1) /* reserved bits, or an EPT misconfiguration */
#define NMMU_STEP_DENIED (1u << 2) /* permissions, told after the last level */
#define NMMU_STEP_LEAF (1u << 3)
#define NMMU_STEP_UNBACKED (1u << 4) /* the table's address has no memory */
#define NMMU_STEP_SET_A (1u << 5)
#define NMMU_STEP_SET_D (1u << 6)

struct nmmu_step {
	u8 dim; /* 0: the guest's own tables; 1: EPT12 or NPT12 */
	u8 level;
	u16 flags;
	u32 pad;
	u64 input; /* address being translated in this dimension */
	u64 entry_gpa; /* where the entry lies: L1 GPA (dim 1), or address in the guest's own space (dim 0) */
	u64 entry; /* its value, before A and D were set */
};

struct nmmu_trace {
	u32 nr;
	struct nmmu_step steps[NMMU_MAX_STEPS];
	bool fault; /* then qual, error and addr say which */
	u8 fault_dim;
	u64 error; /* PFERR bits */
	u64 qual; /* EPT exit qualification bits 8:0 as D.2 */
	u64 l2_gpa; /* valid without fault in dim 0, when there is a dim 1 */
	u64 gpa; /* L1's; valid without fault */
};

/*
 * Walk as the guest's CPU would for this access, changing nothing (no A/D bits) unless set_ad. 0, also for a
 * fault, which is a result.
 */
int nmmu_translate(struct nmmu_vcpu *v, const struct nmmu_access *access, bool set_ad,
		   struct nmmu_trace *ret);

#endif
