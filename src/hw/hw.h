/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hardware model: what a CPU does with the tables that a hypervisor made. It walks them, checks
 * permissions and reserved bits, sets A and D, fills the page-modification log and keeps what it translated
 * in a TLB until it is told to forget, so that a missing flush is an access that goes wrong.
 *
 * It is written from the manuals and shares no line with the engine that it judges: it knows neither SPTEs
 * nor roles, only bits of EPT, x86 and NPT entries.
 * Sources: Intel SDM vol. 3 4, 28.2-28.3, 28.3.6 (A/D, PML); AMD APM vol. 2 5, 15.25.
 */
#ifndef HW_HW_H
#define HW_HW_H

#include "abi/types.h"

/* Physical memory. Addresses outside it read as all ones for the CPU; -EFAULT says so. */
struct hw_mem {
	int (*read)(void *ctx, u64 pa, void *dst, u32 len); /* within a page */
	int (*write)(void *ctx, u64 pa, const void *src, u32 len);
	/* 4 or 8 bytes: 0 done, -EAGAIN changed meanwhile, -EFAULT */
	int (*cmpxchg)(void *ctx, u64 pa, u64 old, u64 new_value, u32 bytes);
	void *ctx;
};

enum hw_stage { HW_STAGE_NONE, HW_STAGE_EPT, HW_STAGE_NPT }; /* second stage below the guest's own */

/* What the CPU runs on between two exits. */
struct hw_state {
	/*
	 * The guest's own paging. With stage NONE these tables are the shadow ones, of host-physical
	 * addresses.
	 */
	u64 cr0, cr3, cr4, efer;
	bool ac; /* EFLAGS.AC */
	u8 phys_bits; /* MAXPHYADDR of the CPU: reserved bits of every table it walks */
	bool gbpages;
	bool amd; /* bit 8 of PML4E and PML5E is reserved */
	u64 pdpte[4]; /* PAE: loaded when CR3 was; stage NONE, EPT */
	/* The second stage. */
	enum hw_stage stage;
	u64 root_pa; /* table of `levels' */
	u8 levels; /* EPT: 4 or 5; NPT: 2 (32-bit), 3, 4, 5 */
	bool ept_ad; /* EPTP bit 6 */
	bool exec_only;
	bool npt_nx; /* host's EFER.NX */
	/* PML: SDM 28.3.6 */
	bool pml;
	u64 pml_pa;
	u16 *pml_index;
	u64 tag; /* translations are used under the tag they were made with */
};

struct hw_access {
	u64 addr; /* linear */
	u8 bytes; /* 1..8, within a page */
	bool write, fetch, user;
	bool rmw; /* a write that reads too */
	u64 value; /* what is written */
};

enum hw_exit {
	HW_DONE, /* value is what was read */
	HW_FAULT_PF, /* of the guest's own tables: error, addr (CR2) */
	HW_EXIT_EPT_VIOLATION, /* qual, gpa, addr (linear) */
	HW_EXIT_EPT_MISCONFIG, /* gpa */
	HW_EXIT_NPF, /* qual: EXITINFO1, gpa */
	HW_EXIT_PML_FULL, /* gpa; nothing was accessed, D not set */
	HW_MEM_ERROR, /* the tables led to an address without memory: pa */
};

struct hw_result {
	enum hw_exit exit;
	u64 qual; /* exit qualification, EXITINFO1 or #PF error code */
	u64 addr; /* linear */
	u64 gpa;
	u64 pa; /* DONE: where the access went */
	u64 value;
	bool tlb_hit;
};

struct hw_cpu;

/* entries: TLB size, a power of two. NULL when memory is out. */
struct hw_cpu *hw_cpu_create(const struct hw_mem *mem, u32 entries);
void hw_cpu_destroy(struct hw_cpu *cpu); /* takes NULL */
/* One access, or the exit that kept it from being made. Setting A and D may have been done even so. */
void hw_cpu_access(struct hw_cpu *cpu, const struct hw_state *state, const struct hw_access *access,
		   struct hw_result *ret);
/* Forget: everything; one tag; one page of one tag. */
void hw_cpu_flush(struct hw_cpu *cpu);
void hw_cpu_flush_tag(struct hw_cpu *cpu, u64 tag);
void hw_cpu_flush_page(struct hw_cpu *cpu, u64 tag, u64 addr);
/* One page of every tag. */
void hw_cpu_flush_linear(struct hw_cpu *cpu, u64 addr);
/* Translations now held; for tests. */
u32 hw_cpu_tlb_used(const struct hw_cpu *cpu);

#endif
