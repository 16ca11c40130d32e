/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /dev/mmuscope: an instance of nmmu in the kernel (kmod.h has the rules for every request). One for each open file.
 *
 * The instance is the engine and the memory that it takes for itself: shadow pages, slots, vCPUs. What surrounds it is
 * the caller's, as a VMM and a host's mm are KVM's: guest memory, the table that says which frame is behind a host-
 * virtual address, the CPUs that run on the shadow pages.
 *
 *   RUN a call --- the engine works on a strand (a thread of its own) ---+--- DONE, and the results
 *        ^                                                               |
 *        +---------------- RUN with call 0: the answer ------------------+--- it asks for something, and waits
 *
 * Several strands may be under way; one runs at a time. Hence yield points and mmu_lock can be scheduled by the caller.
 * A strand that waits for mmu_lock asks until it is free.
 *
 * Guest memory is read and written where the caller has it, at each use once, and is never mapped or kept. What the
 * engine wants of memory for itself is charged to whoever made the instance, and limited.
 */
#ifndef ABI_KMOD_NMMU_H
#define ABI_KMOD_NMMU_H

#include "abi/kmod.h"

#define MMUSCOPE_NMMU_BYTES_MAX (256ull << 20)
#define MMUSCOPE_NMMU_AREAS 64u
#define MMUSCOPE_NMMU_STRANDS 8u
#define MMUSCOPE_NMMU_VCPUS 32u
#define MMUSCOPE_NMMU_SLOT_PAGES (1ull << 21)
#define MMUSCOPE_NMMU_EVENTS 128u
#define MMUSCOPE_NMMU_NOTES 128u
#define MMUSCOPE_NMMU_FRAMES 16u
#define MMUSCOPE_NMMU_VALUES 16u

/* flags of struct mmuscope_nmmu_create: members of struct nmmu_config */
#define MMUSCOPE_NMMU_FLAGS(F) \
	F(tdp)                 \
	F(ad)                  \
	F(pml)                 \
	F(exec_only)           \
	F(la57)                \
	F(gbpages)             \
	F(nx_huge_pages)       \
	F(mmio_caching)        \
	F(pins)                \
	F(compat)              \
	F(no_zap_all)

enum mmuscope_nmmu_flag {
#define MMUSCOPE_NMMU_FLAG(name) MMUSCOPE_NMMU_F_##name,
	MMUSCOPE_NMMU_FLAGS(MMUSCOPE_NMMU_FLAG)
#undef MMUSCOPE_NMMU_FLAG
		MMUSCOPE_NMMU_F_NR
};

/*
 * -EINVAL: a configuration that contradicts itself. -EPROTO: the caller was built from other sources of the engine,
 * `layout' is the module's. -EBUSY: there is an instance already. -ENOMEM. events: whether it tells of them.
 */
struct mmuscope_nmmu_create {
	u64 layout; /* of the engine's structures, see src/nmmu/image.h; out, with -EINVAL too: the module's */
	u64 max_bytes; /* for the engine itself, 0: MMUSCOPE_NMMU_BYTES_MAX */
	u64 first_generation;
	u32 max_pages, bugs, flags; /* 1u << enum mmuscope_nmmu_flag */
	u8 hv, kernel, phys_bits, guest_phys_bits;
	u8 events;
	u8 pad[7];
};

/*
 * Guest memory. `table' has one struct mmuscope_nmmu_page for each page of [hva, hva + bytes), and belongs to the
 * caller: whatever changes in it is the host's doing, of which the engine is told by INVALIDATE_BEGIN and _END.
 * -EEXIST: it overlaps; -E2BIG: too many.
 */
struct mmuscope_nmmu_area {
	u64 hva, bytes, table;
	u64 pad;
};

#define MMUSCOPE_NMMU_PAGE_PRESENT (1ull << 0)
#define MMUSCOPE_NMMU_PAGE_WRITABLE (1ull << 1)
#define MMUSCOPE_NMMU_PAGE_LEVEL_SHIFT 2 /* two bits: 1, 2, 3 */
#define MMUSCOPE_NMMU_PAGE_PFN_SHIFT 12

struct mmuscope_nmmu_page {
	u64 frame; /* 0: not there, FAULT is asked for */
	u64 at; /* the caller's address of its 4096 bytes; 0: FAULT is asked for, and if it stays 0 it reads as zeros */
};

enum mmuscope_nmmu_call {
	MMUSCOPE_NMMU_ANSWER, /* go on with what the strand waits for; v[0]: 0 or -errno, v[1]: what was asked for */
	MMUSCOPE_NMMU_VCPU_CREATE, /* -> v[0] its number */
	MMUSCOPE_NMMU_VCPU_LOAD, /* -> struct mmuscope_nmmu_entry */
	MMUSCOPE_NMMU_EXIT, /* v[0] kind, v[1] info, v[2] addr, v[3..6] access or v[4] 0 -> result */
	MMUSCOPE_NMMU_PML_DRAIN,
	MMUSCOPE_NMMU_EMULATE, /* v[3..6] access -> result */
	MMUSCOPE_NMMU_SET_REGS, /* v[0..4] regs -> those before */
	MMUSCOPE_NMMU_NESTED_ENTER, /* v[0] kind, v[1] root, v[2] pml, v[3] pml_addr, v[4] pml_index, v[5..9] regs */
	MMUSCOPE_NMMU_NESTED_LEAVE, /* -> v[0] PML12 index */
	MMUSCOPE_NMMU_INVLPG, /* v[0] gva */
	MMUSCOPE_NMMU_FLUSH_GUEST,
	MMUSCOPE_NMMU_INVEPT, /* v[0] all, v[1] eptp */
	MMUSCOPE_NMMU_FLUSH_NPT,
	MMUSCOPE_NMMU_PREFAULT, /* v[0] gpa, v[1] size -> what is left */
	MMUSCOPE_NMMU_TRANSLATE, /* v[0] address of a struct nmmu_trace to be filled, v[3..6] access */
	/* Of the machine: vcpu is 0. Up to LOG_CLEAR they exclude each other (-EBUSY), and UNPIN and MM_RELEASE. */
	MMUSCOPE_NMMU_SLOT_SET, /* v[0] as_id, v[1] id, v[2] gfn, v[3] nr_pages, v[4] hva, v[5] flags */
	MMUSCOPE_NMMU_LOG_MODE, /* v[0] */
	MMUSCOPE_NMMU_LOG_GET, /* v[0] as_id, v[1] id, v[2] address of the bitmap, v[3] words that it has */
	MMUSCOPE_NMMU_LOG_CLEAR, /* v[0] as_id, v[1] id, v[2] address, v[3] words, v[4] first, v[5] nr */
	MMUSCOPE_NMMU_UNPIN, /* v[0] as_id, v[1] gfn */
	MMUSCOPE_NMMU_MM_RELEASE,
	MMUSCOPE_NMMU_INVALIDATE_BEGIN, /* v[0] start, v[1] end */
	MMUSCOPE_NMMU_INVALIDATE_END,
	MMUSCOPE_NMMU_AGE, /* v[0] start, v[1] end -> v[0] young */
	MMUSCOPE_NMMU_SET_NX, /* v[0] */
	MMUSCOPE_NMMU_NX_RECOVER, /* v[0] ratio -> v[0] pages */
	MMUSCOPE_NMMU_MAX_PAGES, /* v[0] */
	MMUSCOPE_NMMU_ZAP_ALL,
	MMUSCOPE_NMMU_HOST_WRITE, /* v[0] gpa, v[1] value, v[2] bytes, 1..8 within a page */
	MMUSCOPE_NMMU_CHECK, /* nmmu_self_check() -> v[0] row, v[1] pages looked at */
	MMUSCOPE_NMMU_NR_CALLS
};

/* regs: cr0, cr3, cr4, efer, flags. access: gva, bytes, flags, value. result: see struct nmmu_result, in its order. */
#define MMUSCOPE_NMMU_REGS_AC (1u << 0)
#define MMUSCOPE_NMMU_REGS_SMM (1u << 1)
#define MMUSCOPE_NMMU_ACCESS_WRITE (1u << 0)
#define MMUSCOPE_NMMU_ACCESS_FETCH (1u << 1)
#define MMUSCOPE_NMMU_ACCESS_USER (1u << 2)
#define MMUSCOPE_NMMU_ACCESS_RMW (1u << 3)

#define MMUSCOPE_NMMU_ENTRY_FLAGS(F) F(tdp) F(ad) F(pml) F(exec_only) F(nx) F(wp) F(smep) F(smap)

enum mmuscope_nmmu_entry_flag {
#define MMUSCOPE_NMMU_ENTRY_FLAG(name) MMUSCOPE_NMMU_E_##name,
	MMUSCOPE_NMMU_ENTRY_FLAGS(MMUSCOPE_NMMU_ENTRY_FLAG)
#undef MMUSCOPE_NMMU_ENTRY_FLAG
};

/* What VCPU_LOAD returns, in v[]: struct nmmu_entry, and the PDPTEs that the CPU has. */
struct mmuscope_nmmu_entry {
	u64 root_pa, pml_pa, tag;
	u64 regs[5];
	u64 pdptrs[4];
	u8 format, level, phys_bits, flags; /* 1u << enum mmuscope_nmmu_entry_flag */
	u8 guest_mode, pad;
	u16 pml_index;
};

enum mmuscope_nmmu_state {
	MMUSCOPE_NMMU_DONE, /* error, and v[] */
	MMUSCOPE_NMMU_ASK_FAULT, /* v[0] hva, v[1] is to be written, v[2] has to have its 4096 bytes */
	MMUSCOPE_NMMU_ASK_FRAME, /* a frame for a table: v[1] of the answer is its address */
	MMUSCOPE_NMMU_ASK_PIN, /* v[0] gfn, v[1] pfn, v[2] level; v[1] of the answer: 1, it is kept where it is */
	MMUSCOPE_NMMU_ASK_UNPIN, /* the same, nothing is answered; so with the others */
	MMUSCOPE_NMMU_ASK_ZAP,
	MMUSCOPE_NMMU_ASK_UNZAP,
	MMUSCOPE_NMMU_ASK_YIELD, /* v[0] enum nmmu_point, one that is watched */
	MMUSCOPE_NMMU_ASK_LOCK, /* the lock is taken once this is answered, if it is free; else it is asked again */
	MMUSCOPE_NMMU_ASK_UNLOCK, /* it was given back */
	MMUSCOPE_NMMU_ASK_ROOM, /* there is no room for more events or notes: those so far come with this */
};

#define MMUSCOPE_NMMU_WATCH_LOCK (1u << 31)

/* A note: kind in its low bits, the frame's address above. */
#define MMUSCOPE_NMMU_NOTE_FREED 1ull /* a table's frame was given back */
#define MMUSCOPE_NMMU_NOTE_WRITTEN 2ull /* guest memory was written, or tried to */

/*
 * -EBUSY: the strand waits for an answer, or the vCPU or the slots are in use by another; -EINVAL; -ESRCH: the memory
 * is another process's. What the engine itself says is `error', with 0; -ETIME there: the call took too long, and its
 * requests for memory were refused from then on.
 */
struct mmuscope_nmmu_run {
	u32 strand; /* below MMUSCOPE_NMMU_STRANDS */
	u32 call; /* enum mmuscope_nmmu_call */
	u32 vcpu;
	u32 watch; /* from now on: 1u << enum nmmu_point, MMUSCOPE_NMMU_WATCH_LOCK */
	u64 fail_after; /* in and out: allocations until one fails, 0: none */
	u32 state; /* out: enum mmuscope_nmmu_state; so is all that follows, but v[] */
	s32 error;
	u32 flushed; /* 1u << vCPU: its TLB is to be flushed before it goes on */
	u32 nr_events, nr_notes; /* in: room at `events' and `notes'; out: how many came, none is kept */
	u32 nr_frames; /* in: at `frames'; out: how many of them are a table's now, from the first on */
	/* Of this vCPU. */
	u16 pml_index, pml12_index;
	u8 guest_mode, pml12;
	u8 unsettled; /* of the machine: memory is being taken away, or a slot; faults try again until that has ended */
	u8 pad;
	/*
	 * Addresses, or 0 with no room: of struct ms_event and u64, MMUSCOPE_NMMU_EVENTS and _NOTES of them; and of
	 * u64, frames that the engine may take before it has to ask (ASK_FRAME).
	 */
	u64 events, notes, frames;
	u64 lost; /* events that found no room, since the instance was made */
	u64 v[MMUSCOPE_NMMU_VALUES]; /* in: arguments, or an answer; out: results, or what is asked for */
};

/*
 * A CPU at work on the engine's tables. READ: 1 to 4 words. MARK: A or D are set in an entry that is present, -EAGAIN
 * if it is not `old' any more. LOG: the next entry of a vCPU's PML buffer, whose index goes down. Nothing else may be
 * written. -EFAULT: no table there; -EPERM.
 */
enum mmuscope_nmmu_table_op { MMUSCOPE_NMMU_READ, MMUSCOPE_NMMU_MARK, MMUSCOPE_NMMU_LOG };

struct mmuscope_nmmu_table {
	u64 pa;
	u32 op, words;
	u64 old, v[4]; /* MARK, LOG: v[0] */
};

/*
 * All memory of the instance as it is: blocks, each with a head. -E2BIG: `bytes' is what it takes. `machine' is the
 * address of struct nmmu. Addresses are names: they are compared, and never given back to the module.
 */
struct mmuscope_nmmu_image {
	u64 to, bytes;
	u64 machine;
};

struct mmuscope_nmmu_block {
	u64 address, bytes; /* a multiple of 8 follows */
	u64 pa; /* of a table, else ~0 */
};

#define MMUSCOPE_NMMU_CREATE _IOWR(MMUSCOPE_IOC, MMUSCOPE_NR_NMMU + 0, struct mmuscope_nmmu_create)
#define MMUSCOPE_NMMU_AREA _IOW(MMUSCOPE_IOC, MMUSCOPE_NR_NMMU + 1, struct mmuscope_nmmu_area)
#define MMUSCOPE_NMMU_RUN _IOWR(MMUSCOPE_IOC, MMUSCOPE_NR_NMMU + 2, struct mmuscope_nmmu_run)
#define MMUSCOPE_NMMU_TABLE _IOWR(MMUSCOPE_IOC, MMUSCOPE_NR_NMMU + 3, struct mmuscope_nmmu_table)
#define MMUSCOPE_NMMU_IMAGE _IOWR(MMUSCOPE_IOC, MMUSCOPE_NR_NMMU + 4, struct mmuscope_nmmu_image)

_Static_assert(sizeof(struct mmuscope_nmmu_create) == 48, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_nmmu_area) == 32, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_nmmu_run) == 216, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_nmmu_table) == 56, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_nmmu_image) == 24, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_nmmu_entry) <= 8 * MMUSCOPE_NMMU_VALUES, "results of a call");

#endif
