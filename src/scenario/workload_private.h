/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared within the workload (workload.h): who owns which memory, and the calls between its parts.
 *
 * L1's memory, in L1 frames:
 *
 *	0x0000 ..   L1's tables (0x10), low memory
 *	0x0400 ..   what L1 itself works on
 *	0x0c00 ..   EPT12 or NPT12 of L2 a, then of L2 b
 *	0x0e00 ..   for each L2: the PML12 page, then L1's dirty bitmap of it
 *	0x1000 ..   memory of L2 a    0x2000 ..  of L2 b
 *	0x3000 ..   frames to give out when a balloon deflates
 *	0x4000      end of RAM
 *	0xfd000 ..  frame buffer, its writes always logged
 *	0xfe800     a device of L0, no slot
 *	0xfffc0 ..  ROM, a read-only slot
 */
#ifndef SCENARIO_WORKLOAD_PRIVATE_H
#define SCENARIO_WORKLOAD_PRIVATE_H

#include "scenario/workload.h"

#define WL_NR_L2 2
#define WL_NR_VCPUS 3 /* the last runs L1 only */

#define WL_RAM_PAGES 0x4000u
#define WL_L1_TABLES 0x10u
#define WL_L1_WORK 0x400u
#define WL_L1_WORK_PAGES 0x800u
#define WL_T12 0xc00u
#define WL_T12_PAGES 0x100u /* of each L2 */
#define WL_LOG12 0xe00u
#define WL_L2_RAM 0x1000u
#define WL_L2_PAGES 0x1000u /* 16 MiB each; the first L1 frame is a multiple of 2 MiB */
#define WL_SPARE 0x3000u
#define WL_SPARE_PAGES 0x1000u
#define WL_FB 0xfd000u
#define WL_FB_PAGES 0x400u
#define WL_DEVICE 0xfe800u
#define WL_ROM 0xfffc0u
#define WL_ROM_PAGES 0x40u

#define WL_HUGE_BYTES (2ull << 20)
#define WL_HVA 0x7f4000000000ull /* where the VMM has L1's RAM */
#define WL_HVA_SMALL \
	(WL_HVA + ((u64)WL_SPARE << NMMU_PAGE_SHIFT)) /* from here on by 4 KiB, before by 2 MiB */
#define WL_FB_HVA 0x7f3e00000000ull
#define WL_ROM_HVA 0x7f3f00000000ull

#define WL_SLOT_RAM 0
#define WL_SLOT_FB 1
#define WL_SLOT_ROM 2

/* Linear addresses of L1 and of each L2, as Linux has them. */
#define WL_DIRECT_MAP 0xffff888000000000ull
#define WL_IO_MAP 0xffffc90000000000ull
#define WL_HEAP 0x00007f5500000000ull

/* nGPA frames of an L2's devices: one that L1 emulates, one that L1 hands through from L0. */
#define WL_L2_EMULATED 0xfe000u
#define WL_L2_DIRECT 0xfe001u

#define WL_L2_TABLES 1u /* nGPA frames of its own tables */
#define WL_L2_DATA 0x40u
#define WL_HEAP_PAGES 512u

#define WL_NO_FRAME 0u

struct wl_l2 {
	u32 vcpu; /* that runs it, by id */
	bool huge; /* L1 maps it by 2 MiB where it can */
	struct nmmu_nested nested; /* as L1 enters it next */
	u32 next_table, last_table; /* of L1's pool for it */
	u64 root_gfn;
	u16 frame
		[WL_L2_PAGES]; /* L1 frame behind each of its frames, WL_NO_FRAME: ballooned or not yet given */
	u64 dirty[WL_L2_PAGES / 64]; /* L1's log of it */
	u32 rounds; /* of migration still to go, 0: none on */
	u64 pml_gfn, bitmap_gfn;
	u32 hot; /* where it works at the moment: an nGPA frame */
	u32 heap_next; /* nGPA frame that its heap takes next */
};

struct ms_workload {
	struct ms_machine *machine;
	struct nmmu *m;
	struct ms_workload_opts opts;
	u64 random;
	struct nmmu_regs l1_regs;
	struct wl_l2 l2[WL_NR_L2];
	u16 spare[WL_SPARE_PAGES + WL_NR_L2 * WL_L2_PAGES]; /* L1's free frames */
	u32 nr_spare;
	u32 l0_rounds; /* of the VM's migration still to go, 0: none on */
	u64 *bitmap; /* of the largest slot */
	struct wl_check *check; /* NULL: not asked for */
	struct ms_workload_stats stats;
	bool failed;
};

/* workload.c */
u64 wl_random(struct ms_workload *w);
/* 0 .. n - 1 */
static inline u32 wl_below(struct ms_workload *w, u32 n)
{
	return (u32)(wl_random(w) >> 32) % n;
}

static inline bool wl_is_vmx(const struct ms_workload *w)
{
	return w->opts.hv == MS_HV_VMX;
}

static inline u64 wl_hva(u64 gfn)
{
	return WL_HVA + (gfn << NMMU_PAGE_SHIFT);
}

/* An access that cannot be ended is an error; how it ended is in *ret otherwise. */
struct ms_err *wl_access(struct ms_workload *w, u32 vcpu, const struct nmmu_access *access,
			 struct ms_run *ret) MS_MUST_CHECK;

/* workload_l1.c: L1 at work. Its vCPU must not be in L2. */
struct ms_err *wl_l1_init(struct ms_workload *w) MS_MUST_CHECK;
/* Out of L2 for something that is no exit of the MMU: an interrupt, say. */
void wl_l1_interrupt(struct ms_workload *w, struct wl_l2 *l2);
struct ms_err *wl_l1_access(struct ms_workload *w, u32 vcpu, u64 gpa, bool write, u64 value,
			    u64 *value_ret) MS_MUST_CHECK;
/* L1 has an exit of this L2 to deal with. *skip_ret: go on behind the instruction. */
struct ms_err *wl_l1_exit(struct ms_workload *w, struct wl_l2 *l2, const struct nmmu_result *exit,
			  bool *skip_ret) MS_MUST_CHECK;
struct ms_err *wl_l1_work(struct ms_workload *w, u32 vcpu) MS_MUST_CHECK;
struct ms_err *wl_l1_balloon(struct ms_workload *w, struct wl_l2 *l2) MS_MUST_CHECK;
struct ms_err *wl_l1_migrate(struct ms_workload *w, struct wl_l2 *l2) MS_MUST_CHECK;
struct ms_err *wl_l1_rebuild(struct ms_workload *w, struct wl_l2 *l2) MS_MUST_CHECK;

/* workload_t12.c: the tables that L1 keeps for an L2 */
struct ms_err *wl_t12_init(struct ms_workload *w, struct wl_l2 *l2) MS_MUST_CHECK;
/* A new, empty root; the old tables are cleared entry by entry and used again. */
struct ms_err *wl_t12_restart(struct ms_workload *w, struct wl_l2 *l2) MS_MUST_CHECK;
/* GPA and value of the entry that decides about an nGPA frame, and its level; the value may be 0. */
struct ms_err *wl_t12_find(struct ms_workload *w, const struct wl_l2 *l2, u64 ngfn, u64 *gpa_ret,
			   u64 *entry_ret, u32 *level_ret) MS_MUST_CHECK;
/* Make the entry of this level for ngfn. Tables above it are made. */
struct ms_err *wl_t12_set(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn, u32 level,
			  u64 entry) MS_MUST_CHECK;
struct ms_err *wl_t12_write(struct ms_workload *w, const struct wl_l2 *l2, u64 gpa, u64 entry) MS_MUST_CHECK;
/* Replace a 2 MiB entry by a table of the same rights. */
struct ms_err *wl_t12_split(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn) MS_MUST_CHECK;
u64 wl_t12_leaf(const struct ms_workload *w, u64 gfn, u32 level, bool device);
u64 wl_t12_mmio(const struct ms_workload *w, u64 ngfn); /* an entry that makes each access exit */
bool wl_t12_present(const struct ms_workload *w, u64 entry);
u64 wl_t12_dirty_bit(const struct ms_workload *w);
/* L1 has taken rights away: INVEPT, or an ASID flush. */
void wl_t12_flush(struct ms_workload *w, const struct wl_l2 *l2);

#define WL_T12_W (1ull << 1) /* EPT and PT alike */
#define WL_T12_HUGE (1ull << 7)
#define WL_T12_ADDR 0x000ffffffffff000ull

/* workload_check.c: each does nothing unless a check was asked for */
struct ms_err *wl_check_init(struct ms_workload *w) MS_MUST_CHECK;
void wl_check_deinit(struct ms_workload *w);
/*
 * The VM: all was sent at the start; then what the bitmap names, once it has been cleared; nobody runs at the
 * end.
 */
void wl_check_vm_start(struct ms_workload *w);
void wl_check_vm_sent(struct ms_workload *w, const u64 *bitmap);
void wl_check_vm_end(struct ms_workload *w);
/* An L2: as for the VM. A frame that comes anew is sent at once. */
void wl_check_l2_start(struct ms_workload *w, const struct wl_l2 *l2);
void wl_check_l2_sent(struct ms_workload *w, const struct wl_l2 *l2, u64 ngfn);
void wl_check_l2_end(struct ms_workload *w, const struct wl_l2 *l2);

/* workload_l2.c */
struct ms_err *wl_l2_init(struct ms_workload *w, struct wl_l2 *l2) MS_MUST_CHECK;
/* One thing that this L2 does. */
struct ms_err *wl_l2_step(struct ms_workload *w, struct wl_l2 *l2) MS_MUST_CHECK;

#endif
