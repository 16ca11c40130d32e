/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the units of the flat L1 share. There is no libc and no interrupt; every address is identity mapped,
 * so a guest-physical address may be used as a pointer.
 */
#ifndef TESTS_LAB_GUEST_L1_H
#define TESTS_LAB_GUEST_L1_H

#include "proto.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ul
#define NO_WORK (~0u)

/* Long-mode table entries, also those of NPT12 on SVM. */
#define PTE_P (1ul << 0)
#define PTE_W (1ul << 1)
#define PTE_U (1ul << 2)
#define PTE_A (1ul << 5)
#define PTE_D (1ul << 6)
#define PTE_PS (1ul << 7)
#define PTE_NX (1ul << 63)
#define PTE_ADDR 0xffffffffff000ul

/* Entries of EPT12, which is NPT12 on VMX (SDM volume 3, 29.3.2); PTE_PS and PTE_ADDR hold there too. */
#define EPT_R (1ul << 0)
#define EPT_W (1ul << 1)
#define EPT_X (1ul << 2)
#define EPT_MEMTYPE_SHIFT 3
#define EPT_WB (6ul << EPT_MEMTYPE_SHIFT)
#define EPT_A (1ul << 8)
#define EPT_D (1ul << 9)

#define MSR_EFER 0xc0000080u
#define EFER_NXE (1ul << 11)
#define EFER_SVME (1ul << 12)
#define MSR_VM_HSAVE_PA 0xc0010117u

/* The general registers of L2 but rsp; rax only on VMX, the VMCB keeps it. The order is the assembly's. */
struct l2_regs {
	gf_u64 rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rax;
};

/* A nested fault, as the CPU reports it. Fields as in struct gf_l1exit. */
struct l2_fault {
	gf_u64 reason, qual, gpa, gla, rip;
	int has_gla;
	int misconf; /* the entry is one that the CPU refuses */
	int pml_full;
};

/* The areas that the parameter block names. Set up by vCPU 0, read by all. */
struct l1_areas {
	struct gf_param *param;
	struct gf_rec *rec;
	struct gf_work *work;
	struct gf_table *table;
	struct gf_argpage *argpage;
	struct gf_l1page *l1page;
	struct gf_l1exit *exit;
	struct gf_pml *pml;
	gf_u32 *perm; /* data page k lies on L1 page perm[k] */
	gf_u32 *order; /* item touched at place i */
	int stores_avx; /* l2_stores.c: there is AVX */
};

extern struct l1_areas l1;

static inline void port_write(gf_u32 port, gf_u8 value)
{
	asm volatile("outb %0, %w1" ::"a"(value), "Nd"(port) : "memory");
}

/* After a store to a table: KVM learns of it only when the page is write-protected. */
static inline void trap_store(gf_u64 gpa, gf_u64 len, gf_u64 value)
{
	asm volatile("outb %b0, %w1" ::"a"(GF_TRAP_STORE), "Nd"(GF_PORT_TRAP), "D"(gpa), "c"(len), "S"(value)
		     : "memory");
}

static inline gf_u64 msr_read(gf_u32 msr)
{
	gf_u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (gf_u64)hi << 32 | lo;
}

static inline void msr_write(gf_u32 msr, gf_u64 value)
{
	asm volatile("wrmsr" ::"c"(msr), "a"((gf_u32)value), "d"((gf_u32)(value >> 32)) : "memory");
}

/* Reads what another vCPU or the VMM may be changing. */
static inline gf_u64 word_read(const gf_u64 *p)
{
	return *(const volatile gf_u64 *)p;
}

static inline void l1_lock(void)
{
	while (__atomic_exchange_n(&l1.param->lock, 1, __ATOMIC_ACQUIRE))
		asm volatile("pause");
}

static inline void l1_unlock(void)
{
	__atomic_store_n(&l1.param->lock, 0, __ATOMIC_RELEASE);
}

/* main: one line on the console port: a text and two numbers; and the end of this vCPU. */
void l1_say(const char *text, gf_u64 a, gf_u64 b);
void l1_exit(enum gf_exit status) __attribute__((noreturn));
/* L1's own control registers, into the facts: cr0, cr3, cr4, efer. */
void l1_facts_read(struct gf_facts *facts);

/*
 * plan: fills records and work list for the first round; rewrites NPT12 for round r > 1; and then brings the
 * work list to it. In between the work list tells of the round before.
 */
void plan_init(void);
void plan_rewrite(gf_u64 round);
void plan_next_round(gf_u64 round);
/* Whether L1 itself writes L1 page i of the data range in that round. */
int plan_l1_writes(gf_u64 i, gf_u64 round);

/*
 * npt: L2's tables and NPT12, in the format of the vendor. npt_init wants the records of all items; it adds those
 * of the pages L2 runs on.
 */
void npt_init(void);
void npt_map(struct gf_rec *rec);
void npt_unmap(struct gf_rec *rec);
/* Clears D in each leaf that is present, so that the next write of L2 is logged again. */
void npt_clear_dirty(void);
/* The root to run on in that round. */
gf_u64 npt_root(gf_u64 round);
/* Writes NPT12's first root without changing it: twice a zero into its last entry, which is never used. */
void npt_root_write(void);
gf_u64 l2_root(void);
/* The record of the leaf that is planned at that L2 frame, or 0. */
struct gf_rec *npt_find(gf_u64 gfn);

/*
 * fault: what L1 does about a nested fault, and its log of them. Returns enum gf_did, or 0 when nothing like it was
 * planned. With GF_DID_SKIP the caller has L2 go on at its r11.
 */
int fault_handle(unsigned int vcpu, const struct l2_fault *f);
/* One more entry of L2's PML. */
void fault_pml_log(unsigned int vcpu, gf_u64 gpa, unsigned int index, int full);

/* svm, vmx: prepares a vCPU and runs its L2 until it says that its round is done. */
void svm_init(unsigned int vcpu);
void svm_run_round(unsigned int vcpu);
void vmx_init(unsigned int vcpu);
void vmx_run_round(unsigned int vcpu);

/* l2: the touching itself; run by L2, or by L1 when it is a plain guest. */
void touch_round(struct gf_arg *arg, struct gf_argpage *page);
void l2_entry(struct gf_arg *arg, struct gf_argpage *page) __attribute__((noreturn));
/* l2_stores: one store by each instruction, by whoever touches; what L1 does for it, before and each round. */
void stores_round(struct gf_arg *arg);
void stores_enable(void);
void stores_arg(struct gf_arg *arg);
extern gf_u8 l2_text_start[];

#endif
