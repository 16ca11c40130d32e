/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workload's L2 guests: a kernel's direct map of 2 MiB pages, devices, and a process whose heap is mapped
 * page by page when it is touched. L2 mends faults of its own tables; what L1 has to do comes back as an exit
 * and is handed on (workload_l1.c).
 */
#include <string.h>

#include "scenario/workload_private.h"

/* L2's own tables, in nGPA frames. */
enum {
	TABLE_PML4 = WL_L2_TABLES,
	TABLE_DIRECT_PDPT,
	TABLE_DIRECT_PD,
	TABLE_IO_PDPT,
	TABLE_IO_PD,
	TABLE_IO_PT,
	TABLE_HEAP_PDPT,
	TABLE_HEAP_PD,
	TABLE_HEAP_PT,
};

#define PT_KERNEL 0x63ull /* P, W, A, D */
#define PT_DEVICE 0x800000000000007bull /* and PCD, PWT, NX */
#define PT_UPPER_USER 0x67ull
#define PT_HEAP 0x8000000000000007ull /* P, W, U, NX; the CPU sets A and D */

#define TEXT_PAGES 0x80u
#define HOT_PAGES 48u
#define HEAP_FIRST 0x800u /* nGPA frames that the heap takes */
#define TRIES 16 /* exits and faults on the way of one access */
#define ACCESSES 4 /* of one step */

static u64 direct_map(u64 ngpa)
{
	return WL_DIRECT_MAP + ngpa;
}

static struct ms_err *poke_entry(struct ms_workload *w, const struct wl_l2 *l2, u32 table, u64 addr,
				 u32 level, u64 entry)
{
	u64 gpa = ((u64)l2->frame[table] << NMMU_PAGE_SHIFT) + 8 * (addr >> (3 + 9 * level) & 511);

	if (ms_machine_poke(w->machine, gpa, &entry, sizeof(entry)))
		return ms_err_new(MS_ERR_BUG, "L2's table at 0x%llx has no memory", (unsigned long long)gpa);
	return NULL;
}

#define TABLE(nr) ((u64)(nr) << NMMU_PAGE_SHIFT)

struct ms_err *wl_l2_init(struct ms_workload *w, struct wl_l2 *l2)
{
	const struct {
		u32 table;
		u64 addr;
		u32 level;
		u64 entry;
	} upper[] = {
		{ TABLE_PML4, WL_DIRECT_MAP, 4, TABLE(TABLE_DIRECT_PDPT) | PT_KERNEL },
		{ TABLE_DIRECT_PDPT, WL_DIRECT_MAP, 3, TABLE(TABLE_DIRECT_PD) | PT_KERNEL },
		{ TABLE_PML4, WL_IO_MAP, 4, TABLE(TABLE_IO_PDPT) | PT_KERNEL },
		{ TABLE_IO_PDPT, WL_IO_MAP, 3, TABLE(TABLE_IO_PD) | PT_KERNEL },
		{ TABLE_IO_PD, WL_IO_MAP, 2, TABLE(TABLE_IO_PT) | PT_KERNEL },
		{ TABLE_IO_PT, WL_IO_MAP, 1, TABLE(WL_L2_EMULATED) | PT_DEVICE },
		{ TABLE_IO_PT, WL_IO_MAP + NMMU_PAGE_SIZE, 1, TABLE(WL_L2_DIRECT) | PT_DEVICE },
		{ TABLE_PML4, WL_HEAP, 4, TABLE(TABLE_HEAP_PDPT) | PT_UPPER_USER },
		{ TABLE_HEAP_PDPT, WL_HEAP, 3, TABLE(TABLE_HEAP_PD) | PT_UPPER_USER },
		{ TABLE_HEAP_PD, WL_HEAP, 2, TABLE(TABLE_HEAP_PT) | PT_UPPER_USER },
	};
	struct ms_err *err = NULL;
	u64 ngpa;
	size_t i;

	for (i = 0; i < sizeof(upper) / sizeof(upper[0]) && !err; i++)
		err = poke_entry(w, l2, upper[i].table, upper[i].addr, upper[i].level, upper[i].entry);
	for (ngpa = 0; ngpa < TABLE(WL_L2_PAGES) && !err; ngpa += 512 * NMMU_PAGE_SIZE)
		err = poke_entry(w, l2, TABLE_DIRECT_PD, direct_map(ngpa), 2, ngpa | PT_KERNEL | WL_T12_HUGE);
	l2->nested.l2 = w->l1_regs;
	l2->nested.l2.cr3 = TABLE(TABLE_PML4);
	l2->hot = WL_L2_DATA + TEXT_PAGES;
	l2->heap_next = HEAP_FIRST;
	return err;
}

static struct ms_err *enter(struct ms_workload *w, struct wl_l2 *l2)
{
	struct nmmu_vcpu *v = ms_machine_vcpu(w->machine, l2->vcpu);
	int err;

	if (v->guest_mode)
		return NULL;
	err = nmmu_nested_enter(v, &l2->nested);
	return err ? ms_err_errno(MS_ERR_BUG, -err, "L1 cannot enter L2 on vCPU %u", l2->vcpu) : NULL;
}

static void count(struct ms_workload *w, const struct nmmu_access *access)
{
	if (access->write)
		w->stats.l2_writes++;
	else if (access->fetch)
		w->stats.l2_fetches++;
	else
		w->stats.l2_reads++;
}

/*
 * Until it is made, L1 or a device has made it, or L2 has a fault of its own. *action_ret: DONE, MMIO or PF.
 */
static struct ms_err *l2_access(struct ms_workload *w, struct wl_l2 *l2, const struct nmmu_access *access,
				enum nmmu_action *action_ret)
{
	struct ms_err *err;
	struct ms_run run;
	bool skip = false;
	u32 tries;

	for (tries = 0; tries < TRIES; tries++) {
		err = enter(w, l2);
		if (!err)
			err = wl_access(w, l2->vcpu, access, &run);
		if (err)
			return err;
		if (run.action == NMMU_ACT_DONE)
			count(w, access);
		if (run.action == NMMU_ACT_MMIO)
			w->stats.l0_mmio++;
		if (run.action != NMMU_ACT_EXIT_L1) {
			*action_ret = run.action;
			return NULL;
		}
		w->stats.exits_l1++;
		err = wl_l1_exit(w, l2, &run.last, &skip);
		if (err || skip) {
			*action_ret = NMMU_ACT_MMIO;
			return err;
		}
	}
	if (w->opts.bugs & 1u << NMMU_BUG_STALE_QUAL &&
	    access->gva - (WL_IO_MAP + NMMU_PAGE_SIZE) < NMMU_PAGE_SIZE) {
		w->stats.l2_stuck++;
		*action_ret = NMMU_ACT_MMIO;
		return NULL;
	}
	return ms_err_new(MS_ERR_BUG, "L1 is asked for ever for L2's address 0x%llx",
			  (unsigned long long)access->gva);
}

/* L2's kernel gives a page to its process: the entry is written through the direct map. */
static struct ms_err *heap_fault(struct ms_workload *w, struct wl_l2 *l2, u64 gva)
{
	struct nmmu_access access = { .bytes = 8, .write = true };
	enum nmmu_action action;

	access.gva = direct_map(TABLE(TABLE_HEAP_PT)) + 8 * ((gva - WL_HEAP) >> NMMU_PAGE_SHIFT);
	access.value = TABLE(l2->heap_next) | PT_HEAP;
	if (++l2->heap_next == WL_L2_PAGES)
		l2->heap_next = HEAP_FIRST;
	w->stats.l2_page_faults++;
	return l2_access(w, l2, &access, &action);
}

static struct ms_err *l2_touch(struct ms_workload *w, struct wl_l2 *l2, const struct nmmu_access *access)
{
	bool heap = access->gva - WL_HEAP < TABLE(WL_HEAP_PAGES);
	enum nmmu_action action;
	struct ms_err *err;

	err = l2_access(w, l2, access, &action);
	if (!err && action == NMMU_ACT_PF && heap) {
		err = heap_fault(w, l2, access->gva);
		if (!err)
			err = l2_access(w, l2, access, &action);
	}
	if (!err && action != NMMU_ACT_DONE && action != NMMU_ACT_MMIO)
		err = ms_err_new(MS_ERR_BUG, "L2's access to 0x%llx ends with action %d",
				 (unsigned long long)access->gva, action);
	return err;
}

/* The process gives a page of its heap back: entry cleared, INVLPG. */
static struct ms_err *heap_unmap(struct ms_workload *w, struct wl_l2 *l2)
{
	u32 page = wl_below(w, WL_HEAP_PAGES);
	struct nmmu_access access = { .gva = direct_map(TABLE(TABLE_HEAP_PT)) + 8 * page,
				      .bytes = 8,
				      .write = true };
	struct ms_err *err = l2_touch(w, l2, &access);

	if (!err)
		ms_machine_invlpg(w->machine, l2->vcpu, WL_HEAP + TABLE(page));
	return err;
}

u64 ms_workload_l2_gva(const struct ms_workload *w, u32 id)
{
	u32 i;

	for (i = 0; i < WL_NR_L2; i++)
		if (w->l2[i].vcpu == id)
			return direct_map(TABLE(w->l2[i].hot));
	return direct_map(TABLE(WL_L1_WORK));
}

static struct ms_err *l2_one(struct ms_workload *w, struct wl_l2 *l2)
{
	u32 what = wl_below(w, 1000), offset = wl_below(w, 512) * 8;
	struct nmmu_access access = { .bytes = 8 };

	access.write = wl_below(w, 3) == 0;
	access.value = wl_random(w);
	if (what < 520) {
		access.gva = direct_map(TABLE(l2->hot + wl_below(w, HOT_PAGES))) + offset;
	} else if (what < 850) {
		access.gva = WL_HEAP + TABLE(wl_below(w, WL_HEAP_PAGES)) + offset;
		access.user = true;
	} else if (what < 930) {
		access.gva = direct_map(TABLE(WL_L2_DATA + wl_below(w, TEXT_PAGES))) + offset;
		access.fetch = true;
		access.write = false;
		access.bytes = 1;
	} else if (what < 960) {
		access.gva = WL_IO_MAP + (offset & 0xff8);
		access.bytes = 4;
	} else if (what < 975) {
		access.gva = WL_IO_MAP + NMMU_PAGE_SIZE + (offset & 0xf8);
		access.bytes = 4;
	} else if (what < 990) {
		return heap_unmap(w, l2);
	} else {
		/* Another task runs: it works elsewhere. */
		l2->hot = WL_L2_DATA + TEXT_PAGES +
			  wl_below(w, HEAP_FIRST - WL_L2_DATA - TEXT_PAGES - HOT_PAGES);
		return NULL;
	}
	return l2_touch(w, l2, &access);
}

struct ms_err *wl_l2_step(struct ms_workload *w, struct wl_l2 *l2)
{
	struct ms_err *err = NULL;
	u32 i;

	for (i = 0; i < ACCESSES && !err; i++)
		err = l2_one(w, l2);
	return err;
}
