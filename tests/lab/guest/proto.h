/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fixture's VMM and its flat L1 share: I/O ports, the parameter block and the logs in guest memory.
 * The VMM writes struct gf_param before the first entry; L1 and L2 write the logs; the VMM only reads them
 * back. It must stay free of libc so that both the hosted VMM and the freestanding L1 can include it.
 *
 * Guest-physical layout (L1 GPA), every address but the first three drawn from the seed or computed:
 *
 *	0x00010000	struct gf_param
 *	0x00200000	l1.bin (text, data, bss)
 *	0x00400000	system area: L1 stacks and tables, logs, pools (slot 0 ends behind it)
 *	1G..2G		storm slot		2G..3G	read-only slot		3G..3.75G	MMIO hole
 *	4G..		data slot
 */
#ifndef TESTS_LAB_GUEST_PROTO_H
#define TESTS_LAB_GUEST_PROTO_H

typedef unsigned char gf_u8;
typedef unsigned short gf_u16;
typedef unsigned int gf_u32;
#ifdef __LP64__
typedef unsigned long gf_u64;
#else
typedef unsigned long long gf_u64;
#endif

#define GF_MAGIC 0x6d757466u /* "ftum" in memory order */
#define GF_VERSION 2u

#define GF_PARAM_GPA 0x10000ul
#define GF_IMAGE_GPA 0x200000ul
#define GF_SYS_GPA 0x400000ul
#define GF_MAX_VCPUS 8

/* One-byte writes; GF_PORT_CHECKPOINT is held by the VMM, GF_PORT_EXIT ends the vCPU with enum gf_exit. */
#define GF_PORT_CONSOLE 0xe9
#define GF_PORT_EXIT 0xf4
#define GF_PORT_CHECKPOINT 0xf5
#define GF_PORT_TRAP 0xf6 /* enum gf_trap; only with GF_F_TRACE */

enum gf_exit {
	GF_EXIT_OK = 0,
	GF_EXIT_DATA = 1, /* a value read back was not the expected one */
	GF_EXIT_NO_NESTED =
		2, /* nested mode on a CPU without SVM and VMX, or without what an option needs of them */
	GF_EXIT_POOL = 3, /* a table pool given by the VMM was too small */
	GF_EXIT_UNEXPECTED = 4, /* an L2 exit or an address L1 did not plan */
	GF_EXIT_PROTO = 5, /* parameter block of another version */
};

/* What a traced guest tells the VMM, as KVM does not see it. */
enum gf_trap {
	GF_TRAP_TABLES = 1, /* the first tables are built and not yet in use */
	GF_TRAP_STORE = 2, /* stored just now into a table: (r)di address, (r)cx length, (r)si value */
};

enum gf_mode { GF_PLAIN, GF_NESTED };

/* What KVM offers to L1, as the VMM found it in CPUID. NPT12 stands for EPT12 wherever L1 runs on VMX. */
enum gf_vendor { GF_VENDOR_NONE, GF_SVM, GF_VMX };
enum gf_order { GF_ORDER_SEQ, GF_ORDER_RANDOM };

/* What L1 does to its own NPT between rounds, to the share rewrite_pct of the data pages. */
enum gf_rewrite {
	GF_REWRITE_NONE,
	GF_REWRITE_W, /* flip the W bit (L2 then only reads a page without W) */
	GF_REWRITE_UNMAP, /* clear the entry; L2's next access faults and L1 maps it again */
	GF_REWRITE_MOVE, /* point the entry at the page's spare L1 page, and back next time */
	GF_REWRITE_MIX, /* one of the three, drawn for each page and round */
};

/* gf_param.flags */
#define GF_F_NPT_FAULT (1u << 0) /* L1 fills NPT12 on nested page faults instead of in advance */
#define GF_F_NPT_AD (1u << 1) /* NPT12 leaves are written with A and D set */
#define GF_F_AT_L2 (1u << 2) /* the checkpoint's port write is made by L2, with no exit to L1 */
#define GF_F_HOLD_RUN (1u << 3) /* spin in the guest until released instead of staying out of KVM_RUN */
#define GF_F_RO_WRITE (1u << 4) /* the read-only slot is also written (dropped by the VMM) */
#define GF_F_L1_TOUCH (1u << 5) /* nested: L1 reads every data page itself after each round */
#define GF_F_ENDLESS (1u << 6) /* one checkpoint after the first round, then rounds without end */
#define GF_F_SHUFFLE (1u << 7) /* L2 page i lies on L1 page perm(i) instead of i */
#define GF_F_NPT_NX (1u << 8) /* NPT12 data leaves carry NX (needs EFER.NXE in L1) */
#define GF_F_STOP_REWRITTEN (1u << 9) /* one more checkpoint: NPT12 is rewritten, L2 has not run since */
#define GF_F_TWO_ROOTS (1u << 10) /* even rounds run on a copy of NPT12's root */
#define GF_F_TRACE (1u << 11) /* tell of tables and stores to them by GF_PORT_TRAP */
#define GF_F_EPT_AD (1u << 12) /* VMX: accessed and dirty flags on in the EPTP */
#define GF_F_PML (1u << 13) /* VMX: page-modification log of L2; D is clear in NPT12 when a round begins */
#define GF_F_REDRAW (1u << 14) /* which items are written is drawn for each round anew */
#define GF_F_STORES (1u << 15) /* each round vCPU 0 stores by each of enum gf_store, too */
#define GF_F_STORES_AVX (1u << 16) /* by those of AVX, too, if CPUID has it */

/* Instructions that store, in the order of their addresses (l2_stores.c). */
enum gf_store {
	GF_ST_MOV64,
	GF_ST_MOV8,
	GF_ST_MOV32,
	GF_ST_MOVUPS,
	GF_ST_MOVAPS,
	GF_ST_MOVQ_XMM,
	GF_ST_MOVSS,
	GF_ST_MOVSD_XMM,
	GF_ST_MOVNTI,
	GF_ST_MOVNTDQ,
	GF_ST_CMPXCHG16B,
	GF_ST_CMPXCHG8B,
	GF_ST_XADD,
	GF_ST_LOCK_OR,
	GF_ST_XCHG,
	GF_ST_REP_MOVSB,
	GF_ST_REP_STOSQ,
	GF_ST_MOVSQ,
	GF_ST_SETCC,
	GF_ST_PUSH,
	GF_ST_BTS,
	GF_ST_FISTP,
	GF_ST_VMOVDQU, /* where there is AVX */
	GF_NR_STORES
};

#define GF_STORES_ON 1u
#define GF_STORES_AVX 2u

/* Items: the pages that the guest is told to touch. Their numbers run through the kinds in this order. */
enum gf_kind {
	GF_DATA,
	GF_ALIAS, /* a second L2 address of a data page */
	GF_RO,
	GF_MMIO,
	GF_STORM, /* may vanish at any time: not checked */
	GF_MISCONF, /* its NPT12 entry is one that the CPU refuses; L1 has L2 go on behind the access */
	GF_STUBBORN, /* read-only in NPT12 and written by L2; L1 is told, changes nothing and resumes L2 */
	GF_NR_ITEM_KINDS,
	/* pages L2 needs to run at all: mapped one to one, never rewritten */
	GF_CODE = GF_NR_ITEM_KINDS,
	GF_STACK,
	GF_ARG,
	GF_WORK,
	GF_L2TABLE,
	GF_NR_KINDS
};

/* Item k of a kind: L2 frame l2_gfn + k * l2_step; L1 frame l1_gfn + x * l1_step, x = k or perm(k). */
struct gf_range {
	gf_u64 l2_gfn;
	gf_u64 l1_gfn;
	gf_u64 nr;
	gf_u64 l2_step; /* frames */
	gf_u64 l1_step; /* frames */
};

#define GF_ACC_R 1u
#define GF_ACC_W 2u
#define GF_ACC_X 4u

/* L1's record of one NPT12 leaf (nested) or of one page it means to touch (plain). Written by L1 only. */
struct gf_rec {
	gf_u64 l2_gfn; /* plain: equal to l1_gfn */
	gf_u64 l1_gfn;
	gf_u64 pte_gpa; /* where the NPT12 entry lies; 0: never mapped */
	gf_u8 kind;
	gf_u8 level; /* 1: 4K, 2: 2M */
	gf_u8 access; /* GF_ACC_*: what the leaf grants */
	gf_u8 mapped; /* the leaf is present now */
	gf_u32 work; /* index into the work list; ~0: none */
	gf_u64 nr_faults; /* nested faults that L1 was told of at these addresses */
	gf_u64 pad[3];
};

#define GF_OP_R 1u
#define GF_OP_W 2u
#define GF_OP_NOCHECK 4u /* the value may be anything */
#define GF_OP_SINK 8u /* a write has no effect: it is read back as want */
#define GF_OP_EITHER 16u /* another address of the page may already have stored put */
#define GF_OP_SKIP \
	32u /* L1 may have L2 go on behind the access without making it; the value may be anything */

/* One access of the work list. done is written by whoever really made the access (L2, or a plain guest). */
struct gf_work {
	gf_u64 va; /* identity mapped: the address in L2 GPA (nested) or GPA (plain) */
	gf_u64 want;
	gf_u64 put;
	gf_u32 op;
	gf_u32 done; /* GF_ACC_R | GF_ACC_W, of accesses through the present mapping; above: GF_DONE_ROUND */
};

/* In gf_work.done: the low 24 bits of the round of the last store; 0: none through the present mapping. */
#define GF_DONE_ACC 7u
#define GF_DONE_ROUND 8

/* One L1 page of the data range (its spare pages for moves included). Written by L1. */
struct gf_l1page {
	gf_u64 value; /* the word it holds after the last complete round */
	gf_u32 nr_l2; /* L2 addresses planned for it; more than one: aliased */
	gf_u32 l1_touched; /* GF_ACC_*: L1 itself has read or written it through its own mapping */
	gf_u64 l1_round; /* round in which L1 wrote it last; 0: never */
	gf_u64 pad;
};

/* One table page of NPT12, in the order of allocation. Written by L1. */
struct gf_table {
	gf_u64 gfn;
	gf_u64 l2_gfn; /* first frame it translates */
	gf_u64 level; /* 4 is the root */
};

/* What L1 did about a nested fault. */
enum gf_did {
	GF_DID_MAP = 1, /* filled the entry */
	GF_DID_AGAIN, /* nothing: another vCPU had filled it meanwhile */
	GF_DID_STAY, /* nothing, on purpose: L2 will fault again */
	GF_DID_SKIP, /* had L2 go on behind the access */
	GF_DID_DRAIN, /* emptied its PML page */
};

/* One nested fault as L1 saw it. Written by L1, in a ring: exit n lies at n % max_exit. */
struct gf_l1exit {
	gf_u64 n; /* from 0; all vCPUs count together */
	gf_u64 reason; /* VMX: basic exit reason; SVM: EXITCODE */
	gf_u64 qual; /* VMX: exit qualification; SVM: EXITINFO1 */
	gf_u64 gpa; /* VMX: guest-physical address; SVM: EXITINFO2 */
	gf_u64 gla; /* VMX: guest-linear address; only if has_gla */
	gf_u64 rip; /* of L2 */
	gf_u32 round;
	gf_u8 vcpu;
	gf_u8 did; /* enum gf_did */
	gf_u8 has_gla;
	gf_u8 pad;
	gf_u64 pad2;
};

/* One entry of L2's page-modification log, as L1 took it from the page. */
struct gf_pml {
	gf_u64 gpa; /* L2's */
	gf_u32 round;
	gf_u8 vcpu;
	gf_u8 full; /* taken at a PML-full exit, not at the end of a round */
	gf_u16 index; /* in the page: 511 is written first */
};

/* Per vCPU; all of them share the one argument page, which L2 can write. Padded to 256 bytes. */
struct gf_arg {
	gf_u64 work; /* address of the work list */
	gf_u64 nr_work; /* entries in the whole list */
	gf_u64 first; /* this vCPU takes first, first + step, ... */
	gf_u64 step;
	gf_u64 nr_passes;
	gf_u64 stop_port; /* port to write at the end of the round, 0: none */
	gf_u64 wait_for; /* after that spin until *release >= wait_for; 0: do not */
	gf_u64 nr_rounds; /* rounds completed; written by the toucher */
	gf_u64 nr_bad;
	gf_u64 bad_pos; /* work index, found and wanted value of the first wrong one */
	gf_u64 bad_found;
	gf_u64 vendor; /* enum gf_vendor: which instruction calls L1 */
	/* --stores: GF_STORES_, first data page, offset of the first store in it, crossing stores there is room for */
	gf_u64 stores, stores_va, stores_base, stores_cross;
	gf_u64 pad[16];
};

struct gf_argpage {
	struct gf_arg arg[GF_MAX_VCPUS];
	gf_u64 release; /* number of the last checkpoint let go; written by the VMM */
	gf_u64 nr_arrived; /* barrier between passes, counts up for ever */
	gf_u64 nr_vcpus;
};

/* Facts each vCPU's L1 reads out of its own registers. */
struct gf_facts {
	gf_u64 cr0, cr3, cr4, efer;
	gf_u64 l2_cr0, l2_cr3, l2_cr4, l2_efer;
	gf_u64 npt_cr3;
	gf_u64 nr_exits, nr_npf, nr_rewrites;
	gf_u64 nr_misconf, nr_pml_full; /* npf: all nested faults but PML-full, these among them */
	gf_u64 nr_left; /* times the present access was left as it was (GF_STUBBORN) */
	gf_u64 round; /* round it is in, from 1; also what the other vCPUs wait for on vCPU 0's block */
};

struct gf_param {
	gf_u32 magic, version;
	gf_u32 mode, order, rewrite, flags;
	gf_u32 leaf_level; /* of data and alias leaves in NPT12: 1 or 2 */
	gf_u32 nr_vcpus;
	gf_u32 nr_rounds, nr_passes;
	gf_u32 write_pct, npt_ro_pct, rewrite_pct;
	gf_u32 vendor; /* enum gf_vendor */
	gf_u32 l1_write_pct; /* nested: data pages L1 itself writes after each round */
	gf_u32 stubborn; /* times L1 leaves one access as it was, then L2 skips it */
	gf_u64 seed;
	struct gf_range range[GF_NR_ITEM_KINDS];
	/* areas in the system slot, all page aligned, sizes in entries or pages */
	gf_u64 rec_gpa, max_rec;
	gf_u64 work_gpa, max_work;
	gf_u64 table_gpa; /* struct gf_table[npt_pool_pages] */
	gf_u64 l1page_gpa, nr_l1page; /* struct gf_l1page */
	gf_u64 perm_gpa, order_gpa; /* L1's own: gf_u32 per data page, gf_u32 per item */
	gf_u64 argpage_gpa;
	gf_u64 l2_stack_gpa; /* one page for each vCPU */
	gf_u64 npt_pool_gpa, npt_pool_pages;
	gf_u64 l2_pool_gpa, l2_pool_pages;
	/* the scripted guest's (script.h); it counts facts[0].round in operations */
	gf_u64 op_gpa, nr_op, user_sp;
	/* L1's logs of nested faults and of L2's PML */
	gf_u64 exit_gpa, max_exit, pml_gpa, max_pml;
	/* written by L1 */
	gf_u64 nr_rec, nr_item, nr_table, nr_l2_table;
	gf_u64 ready_round; /* rounds vCPU 0 has prepared */
	gf_u64 lock;
	gf_u64 nr_exit, nr_pml; /* ever; a log holds the last max_exit, and the first max_pml */
	struct gf_facts facts[GF_MAX_VCPUS];
};

_Static_assert(sizeof(struct gf_rec) == 64, "records divide a page");
_Static_assert(sizeof(struct gf_l1exit) == 64, "entries of the ring divide a page");
_Static_assert(sizeof(struct gf_pml) == 16, "entries of the log divide a page");
_Static_assert(sizeof(struct gf_work) == 32, "work entries divide a page");
_Static_assert(sizeof(struct gf_arg) == 256, "the argument page holds eight");
_Static_assert(sizeof(struct gf_argpage) <= 4096, "one page");
_Static_assert(sizeof(struct gf_param) <= 4096, "one page");

/* Finaliser of the splitmix64 generator (public domain, S. Vigna): a bijective hash of 64 bits. */
static inline gf_u64 gf_mix(gf_u64 x)
{
	x += 0x9e3779b97f4a7c15ul;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebul;
	return x ^ (x >> 31);
}

/* A value drawn from the seed for purpose a, item b; independent of the order of calls. */
static inline gf_u64 gf_draw(gf_u64 seed, gf_u64 a, gf_u64 b)
{
	return gf_mix(gf_mix(gf_mix(seed) ^ a) ^ b);
}

/* What the VMM stores into L1 frame gfn (or answers for it in the MMIO hole) before the guest starts. */
static inline gf_u64 gf_initial_value(gf_u64 seed, gf_u64 gfn)
{
	return gf_draw(seed, 0x1717, gfn);
}

/* What a write of round r stores into L1 frame gfn, r from 1. */
static inline gf_u64 gf_written_value(gf_u64 seed, gf_u64 gfn, gf_u64 r)
{
	return gf_draw(seed, 0x2323 + r, gfn);
}

/* What L1's own write of round r stores into the word beside, whose address is gf_word_offset() ^ 8. */
static inline gf_u64 gf_l1_value(gf_u64 seed, gf_u64 gfn, gf_u64 r)
{
	return gf_draw(seed, 0x4242 + r, gfn);
}

/* Byte offset of the touched word in a leaf that starts at L1 frame gfn; 8-byte aligned. */
static inline gf_u64 gf_word_offset(gf_u64 seed, gf_u64 gfn, int level)
{
	return gf_draw(seed, 0x3131, gfn) & (level == 2 ? 0x1ffff8ul : 0xff8ul);
}

#endif
