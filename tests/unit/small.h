/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A target made of records in memory, for tests: a host with NPT and two VMs. The first VM runs a nested
 * guest:
 *
 *   TDP MMU      sp 0x..1000 L4 direct -> 0x..2000 L3 -> 0x..3000 L2 -> 0x..4000 L1:
 *		  gfns 0..511, one of each kind of entry
 *                                                        L2 also maps 2 MiB at gfn 0x400
 *   legacy, L2   sp 0x..5000 L4 guest_mode -> 0x..6000 L3 -> 0x..7000 L2 -> 0x..8000 L1:
 *		  stored gfns, two aliases of one frame
 *   orphan       sp 0x..9000 L1, torn, below nothing
 *
 * The second VM has no vCPU, and a process name that would harm a terminal.
 */
#ifndef TESTS_UNIT_SMALL_H
#define TESTS_UNIT_SMALL_H

#include "abi/rec.h"
#include "target/target.h"

#define SMALL_KVM 0xffff888100000000ull
#define SMALL_KVM2 0xffff888200000000ull
#define SMALL_VCPU 0xffff8881aaaa0000ull
#define SMALL_MMU 0xffff8881aaaa1000ull /* root; guest + 0x100, nested + 0x200 */
#define SMALL_SP(n) (0xffff8881bbbb0000ull + (n)*0x1000ull)
#define SMALL_SPT_PFN(n) (0x77700ull + (n))
#define SMALL_PID 4242
#define SMALL_PID2 4343
#define SMALL_NAME "qemu-nested"
#define SMALL_NAME2 "\033]0;pwn\007\xff\"q"
#define SMALL_HVA 0x7f55aa000000ull
#define SMALL_PFN(i) (0x123400ull + (i)) /* of leaves */
#define SMALL_RELEASE "6.1.0-fake"

struct small_item {
	enum ms_rec_type type;
	void *rec;
	struct ms_sp_tables *tables;
};

struct small {
	struct ms_target target;
	struct small_item *items;
	size_t nr, cap;
	unsigned int reads; /* how often it was read */
};

/* An empty one, and the machine above. small_end() frees. */
void small_init(struct small *fake);
void small_machine(struct small *fake);
void small_end(struct small *fake);
/* Copy a record (of ms_rec_size(type)) and tables (NULL: none) to the end. */
void small_add(struct small *fake, enum ms_rec_type type, const void *rec, const struct ms_sp_tables *tables);
/* The i-th record of a type, to be changed. NULL: there is none. */
struct small_item *small_find(struct small *fake, enum ms_rec_type type, size_t i);
/* A target whose records are the fake's, on the heap, for a session to close. The fake must live longer. */
struct ms_target *small_open(struct small *fake);

/* Records of the machine, to make more of. */
void small_host(struct ms_rec_host *ret);
void small_sp(struct ms_rec_sp *ret, unsigned int n, unsigned int role, unsigned long long gfn);
/* NPT entries of 6.1: a leaf of pfn with all rights and H, M, W as given; a table. */
u64 small_leaf(u64 pfn, unsigned int level, int h, int m, int w);
u64 small_table(u64 pfn);
u64 small_mmio(u64 gfn, u32 gen);

#endif
