/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel's memory made up for tests of the walkers: a direct map, its struct page array and one VM
 * structure a VM, with a hook before every request that is carried out, so that a test can change things at
 * any point of a walk.
 */
#ifndef TESTS_FAKEMEM_H
#define TESTS_FAKEMEM_H

#include "target/kmem.h"

#define FM_PAGES 512u
#define FM_PAGE_OFFSET 0xffff888000000000ull
#define FM_VMEMMAP 0xffffea0000000000ull
#define FM_VM_BASE 0xffffc90000100000ull /* VM i at FM_VM_BASE + i * FM_VM_STRIDE */
#define FM_VM_STRIDE 0x10000ull
#define FM_NR_VMS 2
#define FM_SP_BYTES 192u

#define FM_LIST_POISON1 0xdead000000000100ull
#define FM_LIST_POISON2 0xdead000000000122ull

struct fakemem {
	struct ms_kmem kmem;
	struct ms_layout layout;
	u8 *phys; /* FM_PAGES * 4096 */
	u8 *vmemmap; /* FM_PAGES * 64 */
	u8 vm[FM_NR_VMS][4096];
	u64 nr_ops; /* requests and chase steps so far */
	u64 nr_refused; /* requests that reached memory though they may not be read */
	void (*hook)(struct fakemem *fm, void *ctx);
	void *hook_ctx;
	bool vm_dead;
};

void fm_init(struct fakemem *fm);
void fm_deinit(struct fakemem *fm);

u64 fm_kvm(u32 vm);
u64 fm_legacy_head(u32 vm);
u64 fm_tdp_head(u32 vm);
u64 fm_sp(u32 n); /* address of header n: headers live in the first pages of memory, FM_SP_BYTES apart */
u64 fm_table(u32 n); /* address of table n: page 128 + n */
u64 fm_trans(u32 n); /* and its translations: page 320 + n */

u64 fm_get(struct fakemem *fm, u64 addr);
void fm_set(struct fakemem *fm, u64 addr, u64 value);

/* A legacy page with header n and table n, its 512 entries `spte', at the head of a VM's list. */
void fm_legacy_add(struct fakemem *fm, u32 vm, u32 n, u64 gfn, u32 role, u64 spte);
/* Entry idx of legacy page parent leads to page n, whose only parent it is; the word of one with several. */
void fm_link(struct fakemem *fm, u32 parent, u32 idx, u32 n);
void fm_parents(struct fakemem *fm, u32 n, u64 word);
/* Somebody has taken, or released, a VM's mmu_lock for writing. */
void fm_lock(struct fakemem *fm, u32 vm, bool writer);
/* Off its list and freed, as the kernel does it. */
void fm_legacy_free(struct fakemem *fm, u32 n);
/* A TDP page; parent MS_SPTES: a root on the VM's list, else entry idx of table `parent' leads to it. */
void fm_tdp_add(struct fakemem *fm, u32 vm, u32 n, u64 gfn, u32 level, u32 parent, u32 idx);
#define FM_ROOT 0xffffu

#endif
