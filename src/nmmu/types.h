/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the engine's objects hold. Read by those who show or audit a machine (under the lock, or while no vCPU
 * runs); written by src/nmmu only.
 */
#ifndef NMMU_TYPES_H
#define NMMU_TYPES_H

#include "nmmu/nmmu.h"
#include "nmmu/port.h"

#define NMMU_PAGE_SHIFT 12
#define NMMU_PAGE_SIZE 4096u
#define NMMU_NO_PAGE (~0ULL) /* KVM's INVALID_PAGE */
#define NMMU_NO_GFN (~0ULL)

/* The page role, bit for bit as in 6.1 and 6.12 (SEMANTICS C.1); a test holds it to src/spte/role.def. */
union nmmu_role {
	u32 word;
	struct {
		u32 level : 4;
		u32 has_4_byte_gpte : 1;
		u32 quadrant : 2;
		u32 direct : 1;
		u32 access : 3; /* NMMU_ACC_ */
		u32 invalid : 1;
		u32 efer_nx : 1;
		u32 cr0_wp : 1;
		u32 smep_andnot_wp : 1;
		u32 smap_andnot_wp : 1;
		u32 ad_disabled : 1;
		u32 guest_mode : 1;
		u32 passthrough : 1;
		u32 : 5;
		u32 smm : 8;
	};
};

union nmmu_role_ext {
	u32 word;
	struct {
		u32 valid : 1;
		u32 execonly : 1;
		u32 cr4_pse : 1;
		u32 cr4_pke : 1;
		u32 cr4_smap : 1;
		u32 cr4_smep : 1;
		u32 cr4_la57 : 1;
		u32 efer_lma : 1;
	};
};

struct nmmu_cpu_role {
	union nmmu_role base;
	union nmmu_role_ext ext;
};

#define NMMU_ACC_X 1u
#define NMMU_ACC_W 2u
#define NMMU_ACC_U 4u /* EPT: readable */
#define NMMU_ACC_ALL 7u

/* PFERR bits. */
#define NMMU_PF_P (1ULL << 0)
#define NMMU_PF_W (1ULL << 1)
#define NMMU_PF_U (1ULL << 2)
#define NMMU_PF_RSVD (1ULL << 3)
#define NMMU_PF_I (1ULL << 4)
#define NMMU_PF_FINAL (1ULL << 32)
#define NMMU_PF_PAGE (1ULL << 33)

/* --- reverse maps (F): both kernels' shapes --- */

#define NMMU_PTE_LIST_EXT 14

struct nmmu_pte_desc {
	struct nmmu_pte_desc *more;
	u32 nr; /* used slots of sptes: 1..14 */
	u32 tail_count; /* 6.12: entries in all descriptors after this one */
	u64 *sptes[NMMU_PTE_LIST_EXT];
};

/* 0 empty; bit 0 clear: the one SPTE's address; bit 0 set: a struct nmmu_pte_desc. */
struct nmmu_rmap {
	uintptr_t val;
};

/* --- memslots --- */

/*
 * The head of memory that was taken out of use while a vCPU may still be looking at it. Freed when none is
 * inside the engine (what SRCU does for KVM's memslots).
 */
struct nmmu_grave {
	struct nmmu_grave *next;
};

/* A pinned page, at the entry of its first frame (G). level 0: none begins here. */
struct nmmu_pin {
	u64 pfn;
	u32 mapped; /* SPTEs marked as its in their pages' pinned[]; 0: state Z */
	u8 level;
};

#define NMMU_LPAGE_LEVELS 2 /* disallow_lpage counts for 2 MiB and 1 GiB */

struct nmmu_slot {
	struct nmmu_grave grave;
	struct nmmu_slot *next; /* in its address space, by base_gfn */
	u64 base_gfn, nr_pages;
	u64 hva;
	u32 flags; /* MS_SLOT_LOG_DIRTY, MS_SLOT_READONLY; MS_SLOT_INVALID while it goes */
	u16 id, as_id;
	struct nmmu_rmap *rmap[3]; /* by level - 1, one for each page of that size the slot touches */
	u32 *disallow_lpage[NMMU_LPAGE_LEVELS]; /* by level - 2 */
	u32 *write_track; /* gfn_write_track, one for each page */
	struct nmmu_grave *arrays; /* the memory of the three above */
	u64 *dirty; /* bitmap; NULL when not logging */
	struct nmmu_grave *dirty_mem; /* its memory */
	struct nmmu_pin *pins; /* one for each page; NULL: the machine does not pin */
	struct nmmu_grave *pin_mem; /* its memory */
	u64 nr_pins;
};

/* Slots by base_gfn, for looking one up. Replaced as a whole; only the hint changes. */
struct nmmu_slot_table {
	struct nmmu_grave grave;
	u32 nr;
	u32 last; /* index of the one found last: a hint, written by anybody */
	struct nmmu_slot *slot[];
};

struct nmmu_slots {
	struct nmmu_slot *first;
	struct nmmu_slot_table *table; /* NULL: no slot */
	u64 generation; /* AS0 even, AS1 odd, bit 63 during a swap (F) */
	u32 nr;
};

#define NMMU_GEN_UPDATE (1ULL << 63)

/* --- shadow pages --- */

struct nmmu_link {
	struct nmmu_link *prev, *next;
};

struct nmmu_sp {
	struct nmmu_sp *hash_next; /* by gfn */
	struct nmmu_sp *va_next; /* by address of spt: from an SPTE to its page */
	struct nmmu_sp *pa_next; /* by spt_pa: from a link or a root to its page */
	struct nmmu_link link; /* active_pages, newest first; or an invalid list */
	struct nmmu_link nx_link; /* possible_nx_huge_pages */
	u64 id; /* identity for display: unique in its machine, never 0, looks like a kernel address */
	u64 gfn; /* A3 */
	union nmmu_role role;
	u64 *spt;
	u64 spt_pa;
	u64 *translation; /* gfn << 12 | access for each entry, or NULL (C.3) */
	struct nmmu_rmap parents; /* SPTEs of shadow pages that point here */
	u32 root_count;
	u32 unsync_children;
	u64 unsync_bitmap[8];
	u32 write_flooding;
	u8 gen; /* mmu_valid_gen when it was made */
	bool unsync;
	bool nx_disallowed; /* nx_huge_page_disallowed */
	bool accounted; /* counted in its slot's write_track or lpage counts, and in nr_indirect */
	/*
	 * Leaves whose page is pinned: what the RFC has in bit 62 of the SPTE, which is reserved in PAE and
	 * an MMIO generation's elsewhere (G defects 4, 9).
	 */
	u32 nr_pinned;
	u64 pinned[8];
};

/* --- guest table formats (B.1, B.2) --- */

enum nmmu_gpt { NMMU_GPT_NONE, NMMU_GPT_32, NMMU_GPT_PAE, NMMU_GPT_64, NMMU_GPT_LA57, NMMU_GPT_EPT };

struct nmmu_gfmt {
	enum nmmu_gpt kind;
	u8 levels; /* 2, 3, 4, 5; 0 for NONE */
	u8 phys_bits; /* guest's MAXPHYADDR */
	bool nx, wp, pse, smep, smap, gbpages, amd;
	bool ad; /* A and D are written; EPT: EPTP bit 6, else true */
	bool exec_only;
	/* Reserved bits by [bit 7 of the entry][level - 1]. */
	u64 rsvd[2][5];
	u64 bad_mt_xwr; /* EPT: bit n: entry[5:0] == n is a misconfiguration */
	/* Bit acc of perm[i] (i as KVM's pfec >> 1): access rights acc fault (D.1 step 7). */
	u8 perm[16];
};

/* --- MMUs and vCPUs --- */

struct nmmu_root {
	u64 pgd;
	u64 hpa; /* NMMU_NO_PAGE: none */
};

struct nmmu_mmu {
	enum ms_mmu_which which;
	struct nmmu_cpu_role cpu_role;
	union nmmu_role root_role;
	struct nmmu_gfmt fmt; /* the tables that the guest has behind this MMU */
	u64 guest_pgd; /* CR3, EPTP or nCR3 as the guest wrote it */
	struct nmmu_root root;
	struct nmmu_root prev[MS_NR_PREV_ROOTS];
	struct nmmu_page pae_root, pml4_root, pml5_root; /* va NULL: not made */
	u64 pdptrs[4];
};

#define NMMU_REQ_FREE_OBSOLETE (1u << 0) /* KVM_REQ_MMU_FREE_OBSOLETE_ROOTS */
#define NMMU_REQ_SYNC (1u << 1) /* KVM_REQ_MMU_SYNC */
#define NMMU_REQ_FLUSH (1u << 2)

/* Memory taken before mmu_lock, so that nothing can fail under it. */
#define NMMU_CACHE_PAGES 12
#define NMMU_CACHE_DESCS 48

struct nmmu_cache {
	u32 nr_sp, nr_pages, nr_trans, nr_descs;
	struct nmmu_sp *sp[NMMU_CACHE_PAGES];
	struct nmmu_page pages[NMMU_CACHE_PAGES];
	u64 *trans[NMMU_CACHE_PAGES];
	struct nmmu_pte_desc *descs[NMMU_CACHE_DESCS];
};

struct nmmu_vcpu {
	struct nmmu *m;
	struct nmmu_vcpu *next;
	u32 id;
	u64 ident; /* for display */
	struct nmmu_regs regs; /* of the guest at work */
	struct nmmu_regs l1; /* L1's, while L2 is at work */
	struct nmmu_nested nested; /* valid in guest mode */
	bool guest_mode;
	u8 cause; /* enum ms_cause: the innermost operation under way, for events that name none */
	struct nmmu_mmu root_mmu, guest_mmu, nested_mmu;
	struct nmmu_mmu *mmu, *walk_mmu; /* A1 */
	struct nmmu_page dummy_root; /* C7: empty, for a root without memory; va NULL: not made */
	u64 l1_pdptrs[4];
	u64 requests; /* NMMU_REQ_; changed under the lock */
	struct nmmu_cache cache;
	/* The MMIO cache of one gfn (D.1 step 2). */
	u64 mmio_gva, mmio_gfn;
	u64 mmio_gen;
	u8 mmio_access;
	bool mmio_valid;
	const struct nmmu_exit *exit; /* being handled; NULL outside */
	u64 exit_qual; /* of the last EPT violation: what bug stale-qual injects, and compat's bits 8:7 */
	/* PML01: the CPU's buffer (E4). */
	struct nmmu_page pml;
	u16 pml_index;
	u64 generation; /* of events: fault count */
};

struct nmmu_stats {
	u64 faults, fixed, fast, emulated, spurious, mmio, retries;
	u64 sp_created, sp_zapped, sp_recycled, flooded;
	u64 unsyncs, syncs, flushes, prefetched;
	u64 pages[3]; /* leaves now, by level - 1 */
	u64 nx_splits; /* now */
	u64 injected, pml_entries, dirtied;
};

struct nmmu {
	struct nmmu_config cfg;
	const struct nmmu_ops *ops;
	void *host;
	struct spte_profile profile;
	struct nmmu_slots as[NMMU_NR_AS];
	u32 log_mode;
	struct nmmu_grave *graves; /* slots, tables and bitmaps to be freed */
	u64 readers; /* who looks slots up without the lock: nmmu_slots_enter() */
	u32 nr_log_slots; /* slots that log: PML runs while it is not 0 */
	struct nmmu_vcpu *vcpus;
	u32 nr_vcpus;
	struct nmmu_vcpu *at_work; /* for whom mmu_lock is held; NULL: for the host. Under the lock */
	u8 cause; /* as a vCPU's, of who holds the lock for the host. Under the lock */
	struct nmmu_index *index; /* of the pages: by gfn, by spt, by spt_pa */
	u64 index_seq; /* odd while pages are moved to a larger one */
	struct nmmu_link active_pages;
	struct nmmu_link nx_pages;
	struct nmmu_link deferred; /* zapped pages that lock-free walkers may still look at */
	u64 lockless_walkers; /* atomic */
	u32 nr_used, nr_max; /* pages on active_pages and zapped roots not yet freed; limit, 0 none */
	u32 nr_indirect; /* indirect_shadow_pages */
	u32 nr_nx_pages;
	u64 nr_pins; /* in all slots */
	u8 valid_gen;
	/* Host invalidations (mmu_notifier). */
	u64 invalidate_seq;
	u32 invalidate_in_progress;
	u64 invalidate_start, invalidate_end;
	u64 next_id;
	u64 event_seq;
	struct nmmu_stats stats;
};

/* --- looking, for those outside the engine --- */

/* The page that holds an SPTE, or whose table lies at pa; NULL when there is none. */
struct nmmu_sp *nmmu_sp_of_spte(const struct nmmu *m, const u64 *sptep);
struct nmmu_sp *nmmu_sp_by_pa(const struct nmmu *m, u64 pa);
/* Every page on active_pages, newest first; visit returns false to stop. */
void nmmu_for_each_sp(const struct nmmu *m, bool (*visit)(void *ctx, const struct nmmu_sp *sp), void *ctx);
/* Every SPTE of a reverse map. */
void nmmu_rmap_each(struct nmmu_rmap rmap, bool (*visit)(void *ctx, u64 *sptep), void *ctx);
/* The visible slot of an address space that holds gfn, or NULL (also while it is being deleted or moved). */
struct nmmu_slot *nmmu_slot_of(const struct nmmu *m, u16 as_id, u64 gfn);
struct nmmu_slot *nmmu_slot_by_id(const struct nmmu *m, u16 as_id, u16 id);

/*
 * The engine's own consistency checks over the whole machine (the rows of SEMANTICS H that need no guest
 * memory). Returns the number of the first row broken and says where in *text_ret (static string) and
 * *sp_ret, 0 when none is, or none until ops->stop ended it. For tests and --deep; src/audit is the user's tool.
 */
u32 nmmu_self_check(const struct nmmu *m, const char **text_ret, const struct nmmu_sp **sp_ret);

#endif
