/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A made-up host for tests: two VMs, the first with a nested guest, as records of a target. Deterministic,
 * and every fact in it follows from what is written here, so that a test can say what the right answer is
 * without asking the code under test. The entries are put together from bit numbers by fake.c itself, with
 * nothing of src/spte.
 *
 * VM 0 ("owner", pid FAKE_PID(0)), L1 physical memory:
 *
 *	gfn 0 .. 511	   RAM in 4 KiB pages: present at FAKE_RAM_LEAVES, all else not present
 *	gfn 512 .. 1023	   RAM, one 2 MiB leaf
 *	gfn 1024 .. 1535   read-only slot, FAKE_RO_LEAVES pages mapped
 *	gfn 1536 .. 2047   slot with dirty logging: FAKE_DL_LEAVES pages protected for it, then one written
 *	gfn 0xfee00	   no slot: an MMIO SPTE
 *	gfn FAKE_EXTRA_GFN .. with opts.extra_pages: so many full tables of RW leaves
 *
 * Its TDP MMU's tree has these pages (FAKE_TDP_*), its legacy list the shadow of L1's nested tables
 * (FAKE_N_*):
 *
 *	N_ROOT -> N_L3 -> N_L2 -+- [0] N_L1	nGPA 0 ..: see FAKE_N_*_IDX
 *				+- [1] N_UNSYNC nGPA 2 MiB ..: FAKE_UNSYNC_LEAVES leaves, unsync
 *				+- [2] N_DIRECT a 2 MiB entry of L1's, split: direct, from gfn 512
 *
 * a previous root without children (N_PREV), a torn page and an unlinked one. With opts.passthrough (NPT,
 * host with five levels) a passthrough page N_ROOT5 and a fifth level TDP_ROOT5 stand above the two roots.
 *
 * VM 1 is a plain guest: one tree of four pages, FAKE_B_LEAVES RW leaves from gfn 0.
 */
#ifndef TESTS_UNIT_FAKE_H
#define TESTS_UNIT_FAKE_H

#include "abi/rec.h"
#include "base/err.h"
#include "target/target.h"

struct fake_opts {
	bool ept; /* VMX and EPT, else SVM and NPT */
	bool v61; /* as Linux 6.1 has it, else as 6.12 */
	bool passthrough; /* NPT only */
	const char *owner; /* name of VM 0's process, cut to 15 bytes; NULL: "fake-vmm" */
	u32 extra_pages; /* 0..FAKE_EXTRA_MAX: more TDP tables in VM 0 */
};

/* L3 entries 16 and up lead to the extra tables, 512 to each level-2 page. */
#define FAKE_EXTRA_MAX (495u * 512u)
#define FAKE_EXTRA_GFN 0x400000ull
#define FAKE_EXTRA_L2S(nr) (((nr) + 511) / 512)

/* Several may be open at once. Ended by ms_target_close(). */
struct ms_err *fake_open(const struct fake_opts *opts, struct ms_target **ret) MS_MUST_CHECK;

#define FAKE_NR_VMS 2
#define FAKE_TIME_NS 1700000000000000000ull
#define FAKE_PID(v) (4242 + 101 * (v))
#define FAKE_VM1_NAME "plain-vmm"

/*
 * Identities. Page numbers n are enum fake_page, and from FAKE_NR_PAGES on the extra pages: level-2 pages
 * first, then tables.
 */
#define FAKE_KVM(v) (0xffff888100000000ull + 0x100000ull * (v))
#define FAKE_MM(v) (0xffff888110000000ull + 0x1000ull * (v))
#define FAKE_VCPU(v, i) (0xffff888120000000ull + 0x1000000ull * (v) + 0x10000ull * (i))
#define FAKE_MMU(v, i, which) (FAKE_VCPU(v, i) + 0x400 + 0x200ull * (which))
#define FAKE_SP(v, n) (0xffff888200000000ull + 0x10000000ull * (v) + 0xb8ull * (n))
#define FAKE_SPT_PFN(v, n) (0x40000000ull + 0x1000000ull * (v) + (n))
/* The host page behind an L1 page. */
#define FAKE_PFN(v, gfn) (0x1000000ull + 0x10000000ull * (v) + (gfn))

/*
 * Kernel addresses: of an entry of page n's table (what points to it is the child's `parents'), of its
 * shadowed_translation.
 */
#define FAKE_DIRECT_MAP 0xffff888000000000ull
#define FAKE_ENTRY_VA(v, n, idx) (FAKE_DIRECT_MAP + (FAKE_SPT_PFN(v, n) << 12) + 8ull * (idx))
#define FAKE_TRANSLATION(v, n) (0xffff888300000000ull + 0x10000000ull * (v) + 0x1000ull * (n))

enum fake_page {
	/* TDP MMU of VM 0, breadth first; VM 1 uses ROOT, L3, L2 and L1. */
	FAKE_TDP_ROOT5, /* passthrough variant only */
	FAKE_TDP_ROOT,
	FAKE_TDP_L3,
	FAKE_TDP_L2, /* GPA 0 */
	FAKE_TDP_L2_MMIO, /* GPA 3 GiB */
	FAKE_TDP_L1, /* gfn 0 */
	FAKE_TDP_L1_RO, /* gfn 1024 */
	FAKE_TDP_L1_LOG, /* gfn 1536 */
	FAKE_TDP_L1_MMIO, /* gfn 0xfee00 */
	/* Legacy MMU of VM 0, in the list's order. */
	FAKE_N_UNLINKED,
	FAKE_N_TORN,
	FAKE_N_UNSYNC,
	FAKE_N_DIRECT,
	FAKE_N_L1,
	FAKE_N_L2,
	FAKE_N_L3,
	FAKE_N_ROOT,
	FAKE_N_ROOT5, /* passthrough variant only */
	FAKE_N_PREV,
	FAKE_NR_PAGES
};

#define FAKE_NR_LEGACY(opts) (9u + ((opts)->passthrough ? 1 : 0))
#define FAKE_NR_TDP(opts) \
	(8u + ((opts)->passthrough ? 1 : 0) + (opts)->extra_pages + FAKE_EXTRA_L2S((opts)->extra_pages))
#define FAKE_B_NR_TDP 4u

/* TDP tree of VM 0. */
#define FAKE_RAM_LEAVES 16u /* FAKE_TDP_L1[0..15]: RW, dirty */
#define FAKE_FROZEN_IDX 300u /* FAKE_TDP_L1: frozen */
/*
 * FAKE_TDP_L1[0x20..0x23], the gfns of L1's nested tables, sync: WP (host-writable, not MMU-writable). 0x24
 * is unsync: RW.
 */
#define FAKE_RO_LEAVES 16u /* FAKE_TDP_L1_RO[0..15]: RO */
#define FAKE_DL_LEAVES 8u /* FAKE_TDP_L1_LOG[0..7]: DL; [8]: RW */
#define FAKE_APIC_GFN 0xfee00ull
#define FAKE_MMIO_GEN 0x12345ull /* and the memslots' generation */
#define FAKE_HUGE_GFN 512ull
#define FAKE_RO_GFN 1024ull
#define FAKE_LOG_GFN 1536ull
#define FAKE_B_LEAVES 4u

/* L1's nested tables: gfns of the guest tables that the nested pages shadow. */
#define FAKE_N_ROOT_GFN 0x20ull
#define FAKE_N_L3_GFN 0x21ull
#define FAKE_N_L2_GFN 0x22ull
#define FAKE_N_L1_GFN 0x23ull
#define FAKE_N_UNSYNC_GFN 0x24ull
#define FAKE_N_TORN_GFN 0x25ull
#define FAKE_N_UNLINKED_GFN 0x26ull
#define FAKE_N_PREV_GFN 0x30ull
/* FAKE_N_L1[i], i < FAKE_L2_LEAVES, maps nGPA i << 12 to L1 gfn FAKE_L2_GFN(i), RW. */
#define FAKE_L2_LEAVES 32u
#define FAKE_L2_GFN(i) (0x40ull + (i))
#define FAKE_N_ALIAS_IDX 100u /* the same gfn as entry 0, RW */
#define FAKE_N_WP_IDX 150u /* FAKE_N_L1_GFN itself, WP */
#define FAKE_N_RO_IDX 160u /* FAKE_RO_GFN, RO */
#define FAKE_N_NOEXEC_IDX 170u /* FAKE_L2_GFN(40), RW, not executable */
#define FAKE_N_MMIO_IDX 200u /* FAKE_APIC_GFN, an MMIO SPTE; no translation is stored for it */
#define FAKE_UNSYNC_LEAVES 4u /* FAKE_N_UNSYNC[i]: FAKE_UNSYNC_LEAF_GFN(i), RW */
#define FAKE_UNSYNC_LEAF_GFN(i) (0x80ull + (i))
#define FAKE_SPLIT_LEAVES 6u /* FAKE_N_DIRECT[i]: gfn 512 + i, RW; a direct page stores no translation */

/*
 * Leaves that map 4 KiB in all pages that are CONFIRMED; of 2 MiB there is one. What KVM's own counters say.
 */
#define FAKE_N_4K (FAKE_L2_LEAVES + 4u + FAKE_UNSYNC_LEAVES + FAKE_SPLIT_LEAVES)
#define FAKE_TDP_4K (FAKE_RAM_LEAVES + 5u + FAKE_RO_LEAVES + FAKE_DL_LEAVES + 1u)
#define FAKE_PAGES_4K(opts) (FAKE_N_4K + FAKE_TDP_4K + 512ull * (opts)->extra_pages)

/*
 * Role words, SEMANTICS C.2: SMEP and SMAP of L1 are 0. A page's role is its root's with the level replaced.
 */
#define FAKE_ROLE_TDP 0x3784u
#define FAKE_ROLE_TDP5 0x3785u
#define FAKE_ROLE_EPT02 0x20704u
#define FAKE_ROLE_NPT02 0x21704u
#define FAKE_ROLE_NPT02_PASSTHROUGH 0x61705u

/* vCPU 0 runs L2, vCPU 1 is outside in L1, vCPU 2 never ran. VM 1 has one, outside. */
#define FAKE_NR_VCPUS 3
#define FAKE_EPTP 0x2005eull /* root gfn 0x20, WB, four levels, A/D */
#define FAKE_NCR3 0x20000ull

/* Memslots of VM 0 by id. Address space 1 (SMM) has the first one only. */
enum fake_slot {
	FAKE_SLOT_RAM, /* gfn 0..1023 */
	FAKE_SLOT_RO, /* KVM_MEM_READONLY */
	FAKE_SLOT_LOG, /* KVM_MEM_LOG_DIRTY_PAGES, with a bitmap */
	FAKE_SLOT_DELETED, /* KVM_MEMSLOT_INVALID: gfn 0x100000..0x1000ff */
	FAKE_SLOT_EXTRA, /* with extra_pages only */
};
#define FAKE_DELETED_GFN 0x100000ull
#define FAKE_HVA(gfn) (0x7f0000000000ull + ((u64)(gfn) << 12))

/* Physical address bits: no L1TF bits in use, and below 52, so that NPT has MMIO caching. */
#define FAKE_PHYS_BITS 46u

/* --- catching records --- */

struct fake_log_rec {
	enum ms_rec_type type;
	size_t at; /* of the struct in bytes, the tables behind it */
	bool tables, translations;
};

/* What a sink was given, byte for byte. Zero-initialised is empty. */
struct fake_log {
	u8 *bytes;
	size_t nr_bytes, cap_bytes;
	struct fake_log_rec *recs;
	size_t nr, cap;
};

struct ms_sink fake_log_sink(struct fake_log *log);
void fake_log_deinit(struct fake_log *log);
/* The i-th record of a type, or NULL. */
const void *fake_log_get(const struct fake_log *log, enum ms_rec_type type, size_t i);
size_t fake_log_count(const struct fake_log *log, enum ms_rec_type type);
/* The tables of a record, NULL when it has none. */
const struct ms_sp_tables *fake_log_tables(const struct fake_log *log, size_t rec_index);

#endif
