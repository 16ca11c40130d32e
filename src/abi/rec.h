/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records: what every target says about a host, its VMs and their MMUs.
 *
 * A record is plain data of fixed width with no pointers that user space may follow. The live target fills
 * records from kernel memory, a snapshot file holds them byte for byte, the model is built from them. Kernel
 * addresses in a record are identities (two records that name the same `sp' speak of the same shadow page),
 * never something to dereference.
 *
 * A kernel may lack a member that a record has room for. Each record has a `have' word: a field whose
 * MS_HAVE_ bit is clear was not there and must not be shown as zero.
 *
 * Addresses: gfn and gpa are L1's, hva belongs to the VMM, hpa and pfn to the host.
 */
#ifndef ABI_REC_H
#define ABI_REC_H

#include "abi/types.h"

#define MS_REC_VERSION 3
#define MS_COMM_LEN 16
#define MS_SPTES 512

enum ms_rec_type {
	MS_REC_HOST = 1, /* struct ms_rec_host, first and once */
	MS_REC_VM = 2, /* struct ms_rec_vm */
	MS_REC_FD = 3, /* struct ms_rec_fd: a file that refers to a VM or vCPU */
	MS_REC_VCPU = 4, /* struct ms_rec_vcpu */
	MS_REC_SLOT = 5, /* struct ms_rec_slot */
	MS_REC_MMU = 6, /* struct ms_rec_mmu */
	MS_REC_SP = 7, /* struct ms_rec_sp, its SPTEs and translations beside it (struct ms_sp_tables) */
	MS_REC_WALK = 8, /* struct ms_rec_walk: how a walk of one VM's shadow pages ended */
	MS_REC_END = 9, /* struct ms_rec_end, last and once */
	MS_REC_RMAP = 10, /* struct ms_rec_rmap: one list of SPTEs, followed by its descriptors */
	MS_REC_RMAP_DESC = 11, /* struct ms_rec_rmap_desc, those of the list before, in the chain's order */
	MS_REC_GFN =
		12, /* struct ms_rec_gfn: a count that a memslot keeps for a frame, where it is not zero */
	MS_REC_RMAPS = 13, /* struct ms_rec_rmaps: how the reading of one VM's lists and counts ended */
	MS_REC_PIN = 14, /* struct ms_rec_pin: a page that its memslot's pin table has */
	MS_REC_GTABLE = 15, /* struct ms_rec_gtable: a guest table, as it lies in the guest's memory */
	MS_REC_CHANGED = 16, /* struct ms_rec_changed: a page of a logged memslot that was written */
	MS_REC_EXACT =
		17, /* struct ms_rec_exact: this VM's pages, lists and counts were read under its lock */
};

/* The masks of the running kernel that decide what an SPTE means: the index of each in ms_rec_host.masks. */
enum ms_shadow_mask {
#define SPTE_MASK(member, symbol) MS_SM_##member,
#include "abi/masks.def"
#undef SPTE_MASK
	MS_SM_NR
};

/* Where the bits of a role word lie on this kernel: index is the position in src/spte's role.def. */
#define MS_ROLE_FIELDS_MAX 32

struct ms_rec_role_field {
	char name[20]; /* as in the kernel, NUL padded */
	u8 bit; /* lowest bit; 0..31 in the base word, 32..63 in the extended word */
	u8 width;
	u8 pad[2];
};

enum ms_hv {
	MS_HV_UNKNOWN = 0,
	MS_HV_SVM = 1,
	MS_HV_VMX = 2,
};

#define MS_HOST_HAVE_MASK(i) (1ull << (i)) /* masks[i], i < MS_SM_NR */
#define MS_HOST_HAVE_TDP_ENABLED (1ull << 40)
#define MS_HOST_HAVE_TDP_MMU (1ull << 41)
#define MS_HOST_HAVE_MMIO_CACHING (1ull << 42)
#define MS_HOST_HAVE_NX_HUGE (1ull << 43)
#define MS_HOST_HAVE_PHYS_BITS (1ull << 44)
#define MS_HOST_HAVE_NP_VALUE (1ull << 45)
#define MS_HOST_HAVE_ROLE_FIELDS (1ull << 46)
#define MS_HOST_HAVE_PML (1ull << 47) /* whether L0 uses PML is known ... */
#define MS_HOST_PML (1ull << 48) /* ... and it does: no field of its own */

struct ms_rec_host {
	u64 have;
	u64 time_ns; /* wall clock when the first record was read, ns since the epoch */
	char release[64];
	char target[32]; /* the target that read it: "live", "sim", ... */
	u32 hv; /* enum ms_hv */
	u32 phys_bits;
	u64 masks[MS_SM_NR];
	u64 np_value; /* the non-present SPTE value by the kernel's structure evidence */
	u8 tdp_enabled, tdp_mmu_enabled, mmio_caching;
	s8 nx_huge_pages; /* as the module parameter: -1 auto, 0 off, 1 on */
	u32 nr_role_fields;
	struct ms_rec_role_field role_fields[MS_ROLE_FIELDS_MAX];
};

#define MS_VM_HAVE_OWNER (1ull << 0) /* pid, comm: some process holds a file for it */
#define MS_VM_HAVE_USERSPACE_PID (1ull << 1) /* kvm->userspace_pid */
#define MS_VM_HAVE_USED (1ull << 2) /* n_used_mmu_pages */
#define MS_VM_HAVE_MAX (1ull << 3) /* n_max_mmu_pages */
#define MS_VM_HAVE_INDIRECT (1ull << 4) /* indirect_shadow_pages */
#define MS_VM_HAVE_VALID_GEN (1ull << 5) /* mmu_valid_gen */
#define MS_VM_HAVE_ONLINE_VCPUS (1ull << 6) /* online_vcpus */
#define MS_VM_HAVE_CREATED_VCPUS (1ull << 7) /* created_vcpus */
#define MS_VM_HAVE_TDP_PAGES (1ull << 8) /* tdp_mmu_pages as a counter (absent where it is a list) */
#define MS_VM_HAVE_MMIO_VALUE (1ull << 9) /* arch.shadow_mmio_value */
#define MS_VM_HAVE_INVALIDATE (1ull << 10) /* mmu_invalidate_seq, mmu_invalidate_in_progress */
#define MS_VM_HAVE_LOG_MODE (1ull << 11) /* manual_dirty_log_protect */
#define MS_VM_HAVE_PAGES_4K (1ull << 12) /* stat.pages_4k */
#define MS_VM_HAVE_PAGES_2M (1ull << 13)
#define MS_VM_HAVE_PAGES_1G (1ull << 14)
#define MS_VM_HAVE_LEGACY (1ull << 15) /* the legacy MMU's list exists */
#define MS_VM_HAVE_TDP_MMU (1ull << 16) /* the TDP MMU's root list exists */
#define MS_VM_HAVE_SHADOW_ROOT (1ull << 17) /* shadow_root_allocated */
#define MS_VM_HAVE_TDP_MMU_ON (1ull << 18) /* tdp_mmu_on: per-VM switch, else the host's applies */
#define MS_VM_HAVE_MM (1ull << 19)
#define MS_VM_HAVE_NX_DISABLED (1ull << 20) /* nx_huge_disabled */
/* Not fields: with MS_WANT_PINS, or _CHANGED, all records of that type come; without the bit nothing is known. */
#define MS_VM_HAVE_PINS (1ull << 21)
#define MS_VM_HAVE_CHANGED (1ull << 22)
/* Nor this: KVM_CAP_DIRTY_LOG_RING, dirty frames go to rings of the vCPUs' instead of memslots' bitmaps. */
#define MS_VM_DIRTY_RING (1ull << 23)

#define MS_LOG_MANUAL (1u << 0) /* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE */
#define MS_LOG_INIT_SET (1u << 1) /* KVM_DIRTY_LOG_INITIALLY_SET: a log begins with every page dirty */

struct ms_rec_vm {
	u64 have;
	u64 kvm; /* identity: address of struct kvm */
	u64 mm; /* identity: address of the mm it belongs to */
	s32 pid; /* thread group id of the owner, initial pid namespace; several owners: the first, see
		    MS_REC_FD */
	s32 userspace_pid;
	char comm[MS_COMM_LEN]; /* not trusted */
	u64 n_used_mmu_pages, n_max_mmu_pages;
	u64 tdp_mmu_pages;
	u64 mmio_value;
	u64 invalidate_seq;
	u64 invalidate_in_progress;
	u64 pages_4k, pages_2m, pages_1g; /* KVM's own statistics, pages mapped by leaf SPTEs */
	u32 indirect_shadow_pages;
	u32 online_vcpus, created_vcpus;
	u8 mmu_valid_gen;
	u8 shadow_root_allocated;
	u8 tdp_mmu_on;
	u8 nx_huge_disabled; /* arch.disable_nx_huge_pages: let off from the mitigation */
	u64 log_mode; /* MS_LOG_, with bits of newer kernels as found */
};

enum ms_fd_kind {
	MS_FD_VM = 1,
	MS_FD_VCPU = 2,
};

struct ms_rec_fd {
	u64 kvm;
	u64 vcpu; /* 0 for a VM file */
	s32 pid;
	s32 fd;
	u32 kind; /* enum ms_fd_kind */
	u32 pad;
	char comm[MS_COMM_LEN];
};

#define MS_VCPU_HAVE_CPU (1ull << 0)
#define MS_VCPU_HAVE_MODE (1ull << 1)
#define MS_VCPU_HAVE_HFLAGS (1ull << 2)
#define MS_VCPU_HAVE_CR0 (1ull << 3)
#define MS_VCPU_HAVE_CR3 (1ull << 4)
#define MS_VCPU_HAVE_CR4 (1ull << 5)
#define MS_VCPU_HAVE_EFER (1ull << 6)
#define MS_VCPU_HAVE_MMU (1ull << 7)
#define MS_VCPU_HAVE_GUEST_MODE (1ull << 8)
#define MS_VCPU_HAVE_SMM (1ull << 9)
#define MS_VCPU_HAVE_PML02 (1ull << 10) /* pml02: VMX, and L2 is at work or vmcs02 is there */

struct ms_rec_vcpu {
	u64 have;
	u64 kvm, vcpu;
	s32 vcpu_id, vcpu_idx;
	s32 cpu; /* the host CPU it runs or last ran on, -1 none */
	s32 mode; /* OUTSIDE_GUEST_MODE 0, IN_GUEST_MODE 1, EXITING_GUEST_MODE 2, READING_SHADOW_PAGE_TABLES 3
		   */
	u64 cr0, cr3, cr4, efer; /* as KVM caches them: may lag behind the running guest */
	u64 mmu, walk_mmu; /* which struct kvm_mmu is in use: compare with ms_rec_mmu.mmu */
	u32 hflags;
	u8 guest_mode; /* runs L2 now (hflags HF_GUEST_MASK or its successor) */
	u8 smm;
	u8 pml02; /* vmcs02 has the PML control (SECONDARY_EXEC_ENABLE_PML) on */
	u8 pad;
};

#define MS_SLOT_HAVE_DIRTY_BITMAP (1ull << 0)
#define MS_SLOT_HAVE_GENERATION (1ull << 1)
/* Not a field: the slots of this address space changed under every try to read them together. */
#define MS_SLOT_UNSTABLE (1ull << 2)

#define MS_SLOT_LOG_DIRTY (1u << 0) /* KVM_MEM_LOG_DIRTY_PAGES */
#define MS_SLOT_READONLY (1u << 1) /* KVM_MEM_READONLY */
#define MS_SLOT_GUEST_MEMFD (1u << 2)
#define MS_SLOT_INVALID (1u << 16) /* KVM_MEMSLOT_INVALID: being deleted or moved */

struct ms_rec_slot {
	u64 have;
	u64 kvm;
	u64 base_gfn, nr_pages;
	u64 hva;
	u64 dirty_bitmap; /* non-zero: there is one (its address) */
	u64 generation; /* of the address space's memslots, bit 63 set during an update */
	u32 flags; /* KVM's own, user flags and KVM_MEMSLOT_INVALID */
	s16 id;
	u16 as_id;
};

enum ms_mmu_which {
	MS_MMU_ROOT = 0, /* vcpu->arch.root_mmu: L1, and L2 when L1 gives it no nested paging */
	MS_MMU_GUEST = 1, /* vcpu->arch.guest_mmu: shadows EPT12/NPT12 */
	MS_MMU_NESTED = 2, /* vcpu->arch.nested_mmu: walks L2's own tables, owns no shadow pages */
};

#define MS_NR_PREV_ROOTS 3
#define MS_INVALID_PAGE (~0ull) /* KVM's INVALID_PAGE */

#define MS_MMU_HAVE_CPU_ROLE (1ull << 0)
#define MS_MMU_HAVE_ROOT_ROLE (1ull << 1)
#define MS_MMU_HAVE_PREV (1ull << 2)
#define MS_MMU_HAVE_PAE_ROOT (1ull << 3)
#define MS_MMU_HAVE_PML4_ROOT (1ull << 4)
#define MS_MMU_HAVE_PML5_ROOT (1ull << 5)
#define MS_MMU_HAVE_PDPTRS (1ull << 6)

struct ms_rec_root {
	u64 pgd; /* what the guest named as its root: CR3, EPTP, nCR3 */
	u64 hpa; /* MS_INVALID_PAGE: none */
};

struct ms_rec_mmu {
	u64 have;
	u64 kvm, vcpu;
	u64 mmu; /* identity */
	u32 which; /* enum ms_mmu_which */
	u32 root_role;
	u64 cpu_role; /* base word low, extended word high */
	struct ms_rec_root root;
	struct ms_rec_root prev[MS_NR_PREV_ROOTS];
	u64 pae_root, pml4_root, pml5_root; /* addresses of the special roots, 0 none */
	u64 pdptrs[4];
};

#define MS_SP_HAVE_UNSYNC (1ull << 0)
#define MS_SP_HAVE_UNSYNC_CHILDREN (1ull << 1)
#define MS_SP_HAVE_ROOT_COUNT (1ull << 2)
#define MS_SP_HAVE_PARENTS (1ull << 3)
#define MS_SP_HAVE_GEN (1ull << 4) /* legacy pages only: the byte is shared with a flag in TDP roots */
#define MS_SP_HAVE_NX_DISALLOWED (1ull << 5)
#define MS_SP_HAVE_WRITE_FLOODING (1ull << 6)
#define MS_SP_HAVE_SPTES (1ull << 7) /* the table was asked for and read */
#define MS_SP_HAVE_TRANSLATIONS (1ull << 8) /* so was shadowed_translation */
#define MS_SP_HAVE_NX_POSSIBLE (1ull << 9)

/* How far a shadow page's record can be trusted. Only the first is an answer about one moment's page. */
enum ms_sp_state {
	MS_SP_CONFIRMED =
		0, /* same header before and after the copy, and still linked into this VM afterwards */
	MS_SP_TORN = 1, /* header, links or translations changed while they were copied */
	MS_SP_UNLINKED = 2, /* afterwards it was no longer reached from this VM */
	MS_SP_UNREADABLE = 3 /* some part could not be read */
};

struct ms_rec_sp {
	u64 have;
	u64 kvm;
	u64 sp; /* identity: address of struct kvm_mmu_page */
	u64 gfn; /* SEMANTICS A3 */
	u64 spt_pfn; /* host pfn of the 512 entries */
	u64 parents; /* legacy: parent_ptes word (SEMANTICS F); TDP: address of the one parent entry, 0 for a
			root */
	u64 translation; /* address of shadowed_translation, 0: this page has none */
	u64 order; /* position in the walk that found it: legacy list newest first, TDP breadth first */
	u32 role;
	u32 root_count;
	u32 unsync_children;
	u32 write_flooding;
	u8 tdp_mmu_page, unsync, mmu_valid_gen, nx_disallowed;
	u8 state; /* enum ms_sp_state */
	u8 nx_possible; /* on the VM's list of pages that NX recovery zaps (possible_nx_huge_pages) */
	u8 pad[2];
};

/*
 * The entries of one shadow page. A translation is what KVM stored about the guest entry behind an SPTE of an
 * indirect page: L1 gfn << 12 | access (UWX, as role.access).
 */
struct ms_sp_tables {
	u64 sptes[MS_SPTES];
	u64 translations[MS_SPTES];
};

#define MS_WALK_LEGACY (1u << 0)
#define MS_WALK_TDP (1u << 1)
/* Why an answer may be incomplete; 0 is a walk that closed on its own head. */
#define MS_WALK_BROKEN \
	(1u << 8) /* the list led to something that is no shadow page (freed or another list's head) */
#define MS_WALK_VM_GONE (1u << 9) /* the VM was gone when the walk ended */
#define MS_WALK_CHANGED (1u << 10) /* pages came or went during the walk */

struct ms_rec_walk {
	u64 kvm;
	u64 broken_at; /* the address a broken list led to */
	u32 flags;
	u32 retries;
	u64 nr_pages, nr_torn, nr_unlinked, nr_unreadable;
	u64 start_ns, end_ns; /* monotonic */
};

/* How far a list of SPTEs, or a count, can be trusted. */
enum ms_rmap_state {
	MS_RMAP_CONFIRMED =
		0, /* the head and every descriptor said the same twice, each time from head to tail */
	MS_RMAP_TORN = 1, /* they changed under every try, or who owns the list did */
	MS_RMAP_UNREADABLE = 2, /* the chain led to something that cannot be read */
};

/* Slots of a descriptor, struct pte_list_desc: PTE_LIST_EXT of every kernel since 5.15. */
#define MS_RMAP_EXT 14
/* Of a head (SEMANTICS F): it leads to descriptors; a kernel after 6.12 locks a list with the next bit. */
#define MS_RMAP_MANY 1ull
#define MS_RMAP_LOCKED 2ull
#define MS_RMAP_FLAGS 7ull /* the rest is an address of 8 bytes */

#define MS_RMAP_HAVE_GFN \
	(1ull << 0) /* as_id and gfn: the list is a memslot's. Else sp: it is a page's parents */
#define MS_RMAP_HAVE_TAIL_COUNT (1ull << 1) /* this kernel's descriptors count those behind them */
/* Not a field: the chain leads back to one of its own descriptors, behind the last that is given. */
#define MS_RMAP_ENDLESS (1ull << 2)

/*
 * One list of SPTEs: the leaves that map a frame at a level (as_id, level, gfn), or the non-leaf SPTEs that lead to
 * a shadow page (sp). Empty lists have no record. A head without MS_RMAP_MANY is itself the address of the only
 * SPTE; one with it names the first of nr_descs descriptors, which follow as records of their own. What they say
 * is not judged here: SEMANTICS H rows 18-22.
 */
struct ms_rec_rmap {
	u64 have;
	u64 kvm;
	u64 gfn; /* L1's, the first of the frames that an SPTE of this level maps in this list */
	u64 sp; /* address of the struct kvm_mmu_page whose parent_ptes it is */
	u64 head; /* the raw word */
	u32 nr_entries; /* addresses of SPTEs in this record and its descriptors' */
	u32 nr_descs;
	u16 as_id;
	u8 level; /* of the SPTEs that are listed; 1.. for a frame's, the page's level + 1 for parents, 0 unknown */
	u8 state; /* enum ms_rmap_state */
	u8 pad[4];
};

struct ms_rec_rmap_desc {
	u64 kvm;
	u64 desc; /* identity: address of the struct pte_list_desc */
	u64 more; /* of the next one, 0: the last */
	u64 count; /* spte_count as found, which may be more than there is room for */
	u64 tail_count; /* with MS_RMAP_HAVE_TAIL_COUNT in the list's record, as found */
	u64 sptes
		[MS_RMAP_EXT]; /* addresses; those in use come first: count, at most MS_RMAP_EXT. The others are 0 */
};

/*
 * A count of a memslot that is not zero. Level 1: gfn_write_track, how often writes to the frame are tracked. Levels
 * 2 and 3: disallow_lpage as found, how often a large page of that level is refused (bit 31 on 6.12: mixed
 * attributes; SEMANTICS F "lpage").
 */
struct ms_rec_gfn {
	u64 kvm;
	u64 gfn; /* the first of the large page */
	u32 count;
	u16 as_id;
	u8 level;
	u8 state; /* enum ms_rmap_state; a count is one read, torn is who owns it */
};

#define MS_RMAPS_HAVE_RMAPS (1ull << 0) /* lists of memslots were read: without it nothing is known of them */
#define MS_RMAPS_HAVE_PARENTS (1ull << 1) /* parents of shadow pages */
#define MS_RMAPS_HAVE_WRITE_TRACK (1ull << 2)
#define MS_RMAPS_HAVE_LPAGE (1ull << 3)
#define MS_RMAPS_HAVE_DIRECT_MAP (1ull << 4)
#define MS_RMAPS_HAVE_GENERATION (1ull << 5)

/* Why an answer may be incomplete. */
#define MS_RMAPS_BROKEN (1u << 0) /* given up before the end */
#define MS_RMAPS_CHANGED (1u << 1) /* memslots were replaced, or lists changed, during the reading */
#define MS_RMAPS_UNREAD \
	(1u << 2) /* some memslot's arrays could not be read: nr_unread pieces of 4096 bytes */
#define MS_RMAPS_UNSTABLE (1u << 3) /* the memslots changed under every try to list them */
/* Not a fault: a memslot without the array, since no shadow root was ever made (shadow_root_allocated). */
#define MS_RMAPS_NO_ARRAY (1u << 4)

struct ms_rec_rmaps {
	u64 have;
	u64 kvm;
	u32 flags; /* MS_RMAPS_ of the second kind */
	u32 retries;
	u64 nr_lists, nr_torn, nr_unreadable; /* MS_REC_RMAP records */
	u64 nr_counts; /* MS_REC_GFN records */
	u64 nr_unread;
	u64 direct_map; /* address of host frame 0: what an SPTE's address is counted from */
	u64 generation
		[2]; /* of the memslots by as_id, when all was read: compare with ms_rec_slot.generation */
	u64 start_ns, end_ns; /* monotonic */
};

/* An entry of a memslot's pin table (SEMANTICS G). KVM has none; nmmu has. */
struct ms_rec_pin {
	u64 kvm;
	u64 gfn, pfn; /* first of the page */
	u16 as_id;
	u16 slot;
	u8 level; /* 1 to 3 */
	u8 mapped; /* an SPTE maps it (P); 0: zapped, and still pinned (Z) */
	u8 pad[2];
};

/* Why the bytes of a guest table are there or not. */
enum ms_gtable_state {
	MS_GTABLE_READ = 0, /* twice the same, and the host mapped the same page before and after */
	MS_GTABLE_CHANGED = 1, /* they or their page changed under every try: the last bytes */
	MS_GTABLE_NOT_PRESENT =
		2, /* no page is mapped there by the host: never touched, swapped out, being moved */
	MS_GTABLE_NO_SLOT = 3, /* no visible memslot has this frame */
	MS_GTABLE_NOT_RAM = 4, /* a device's memory, or another that must not be read */
	MS_GTABLE_UNREADABLE = 5, /* the host's tables could not be followed */
};

/* The frame that indirect shadow pages shadow. Bytes are zero where the state says that none were read. */
struct ms_rec_gtable {
	u64 kvm;
	u64 gfn;
	u64 hpa; /* where it lies, with MS_GTABLE_READ and _CHANGED */
	u16 as_id;
	u8 state; /* enum ms_gtable_state */
	u8 pad[5];
	u8 bytes[4096];
};

/* A page that guest or KVM has written since its bit in the dirty log was last cleared, or logging began. */
struct ms_rec_changed {
	u64 kvm;
	u64 gfn;
	u16 as_id;
	u16 slot;
	u8 logged; /* its bit is set, or a PML buffer that is not drained yet names it */
	u8 pad[3];
};

/* All that was read under the lock was so at one moment: it was read twice, and was the same. */
#define MS_EXACT_ONE_MOMENT (1u << 0)

/*
 * How pages, lists and counts of a VM were read by target exact: kvm->mmu_lock was held while each was. A VM without
 * this record was read without a lock.
 */
struct ms_rec_exact {
	u64 kvm;
	u32 flags; /* MS_EXACT_ */
	u32 holds; /* how often the lock was taken */
	u64 longest_ns, held_ns; /* the longest of these, and all of them */
};

struct ms_rec_end {
	u64 nr_records; /* all before this one */
};

_Static_assert(sizeof(struct ms_rec_role_field) == 24, "record layout");
_Static_assert(sizeof(struct ms_rec_host) ==
		       8 + 8 + 64 + 32 + 8 + 8 * MS_SM_NR + 8 + 8 + 24 * MS_ROLE_FIELDS_MAX,
	       "record layout");
_Static_assert(sizeof(struct ms_rec_vm) == 144, "record layout");
_Static_assert(sizeof(struct ms_rec_fd) == 48, "record layout");
_Static_assert(sizeof(struct ms_rec_vcpu) == 96, "record layout");
_Static_assert(sizeof(struct ms_rec_slot) == 64, "record layout");
_Static_assert(sizeof(struct ms_rec_mmu) == 168, "record layout");
_Static_assert(sizeof(struct ms_rec_sp) == 88, "record layout");
_Static_assert(sizeof(struct ms_rec_walk) == 72, "record layout");
_Static_assert(sizeof(struct ms_rec_rmap) == 56, "record layout");
_Static_assert(sizeof(struct ms_rec_rmap_desc) == 40 + 8 * MS_RMAP_EXT, "record layout");
_Static_assert(sizeof(struct ms_rec_gfn) == 24, "record layout");
_Static_assert(sizeof(struct ms_rec_rmaps) == 104, "record layout");
_Static_assert(sizeof(struct ms_rec_pin) == 32, "record layout");
_Static_assert(sizeof(struct ms_rec_gtable) == 32 + 4096, "record layout");
_Static_assert(sizeof(struct ms_rec_changed) == 24, "record layout");
_Static_assert(sizeof(struct ms_rec_exact) == 32, "record layout");

#endif
