/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workload's L1: a hypervisor that gives its guests memory when they touch it, migrates them (by PML12,
 * or by write protection where there is none), takes frames back and emulates a device. All it does to its
 * memory is done by instructions of its own, which may exit as any guest's.
 */
#include <string.h>

#include "scenario/workload_private.h"

#define L1_PML4 WL_L1_TABLES
#define L1_PDPT (WL_L1_TABLES + 1)
#define L1_PD (WL_L1_TABLES + 2) /* four: 4 GiB by 2 MiB */
#define L1_UPPER 0x63ull /* P, W, A, D */
#define L1_HUGE 0xe3ull
#define CR0_PAGED 0x80050033ull /* PG, AM, WP, NE, ET, MP, PE */
#define CR4_LINUX 0x3006f0ull /* SMAP, SMEP, OSXMMEXCPT, OSFXSR, PGE, MCE, PAE, PSE */
#define CR4_VMXE (1ull << 13)
#define EFER_LINUX 0xd01ull /* NXE, LMA, LME, SCE */
#define EFER_SVME (1ull << 12)

#define EXIT_VIOLATION 48
#define EXIT_MISCONFIG 49
#define EXIT_PML_FULL 62
#define EXIT_NPF 0x400
#define QUAL_WRITE (1ull << 1) /* of EPT and of NPT alike */
#define NPF_RSVD (1ull << 3)

#define PML_LAST 511
#define MIGRATION_ROUNDS 4
#define BALLOON_PAGES 24
#define FAULT_AROUND 4 /* pages mapped at once, where L1 has none larger */

static struct ms_err *l1_table(struct ms_workload *w, u64 gfn, u32 index, u64 entry)
{
	u64 gpa = (gfn << NMMU_PAGE_SHIFT) + 8 * index;

	if (ms_machine_poke(w->machine, gpa, &entry, sizeof(entry)))
		return ms_err_new(MS_ERR_BUG, "L1's table at 0x%llx has no memory", (unsigned long long)gpa);
	return NULL;
}

struct ms_err *wl_l1_init(struct ms_workload *w)
{
	struct ms_err *err;
	u32 i;

	err = l1_table(w, L1_PML4, WL_DIRECT_MAP >> 39 & 511, L1_PDPT << NMMU_PAGE_SHIFT | L1_UPPER);
	for (i = 0; i < 4 && !err; i++)
		err = l1_table(w, L1_PDPT, i, (u64)(L1_PD + i) << NMMU_PAGE_SHIFT | L1_UPPER);
	for (i = 0; i < 4 * 512 && !err; i++)
		err = l1_table(w, L1_PD + i / 512, i % 512, (u64)i << 21 | L1_HUGE);
	w->l1_regs = (struct nmmu_regs){
		.cr0 = CR0_PAGED,
		.cr3 = L1_PML4 << NMMU_PAGE_SHIFT,
		.cr4 = CR4_LINUX | (wl_is_vmx(w) ? CR4_VMXE : 0),
		.efer = EFER_LINUX | (wl_is_vmx(w) ? 0 : EFER_SVME),
	};
	return err;
}

struct ms_err *wl_l1_access(struct ms_workload *w, u32 vcpu, u64 gpa, bool write, u64 value, u64 *value_ret)
{
	struct nmmu_access access = {
		.gva = WL_DIRECT_MAP + gpa, .bytes = 8, .write = write, .value = value
	};
	struct ms_err *err;
	struct ms_run run;

	err = wl_access(w, vcpu, &access, &run);
	if (err)
		return err;
	if (run.action == NMMU_ACT_MMIO)
		w->stats.l0_mmio++;
	else if (run.action != NMMU_ACT_DONE)
		return ms_err_new(MS_ERR_BUG, "L1's access to GPA 0x%llx ends with action %d",
				  (unsigned long long)gpa, run.action);
	if (value_ret)
		*value_ret = run.value;
	return NULL;
}

/* --- L1's log of an L2 --- */

static struct ms_err *log_page(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn)
{
	u64 bit = 1ull << ngfn % 64;

	if (ngfn >= WL_L2_PAGES || l2->dirty[ngfn / 64] & bit)
		return NULL;
	l2->dirty[ngfn / 64] |= bit;
	return wl_l1_access(w, l2->vcpu, (l2->bitmap_gfn << NMMU_PAGE_SHIFT) + 8 * (ngfn / 64), true,
			    l2->dirty[ngfn / 64], NULL);
}

/* Take what the emulated PML has gathered. The index counts down; behind entry 0 it wraps. */
static struct ms_err *drain_pml12(struct ms_workload *w, struct wl_l2 *l2)
{
	u32 at = (u32)(u16)(l2->nested.pml_index + 1);
	struct ms_err *err = NULL;
	u64 ngpa;

	if (!l2->nested.pml)
		return NULL;
	for (; at <= PML_LAST && !err; at++) {
		err = wl_l1_access(w, l2->vcpu, (l2->pml_gfn << NMMU_PAGE_SHIFT) + 8 * at, false, 0, &ngpa);
		if (!err)
			err = log_page(w, l2, ngpa >> NMMU_PAGE_SHIFT);
		w->stats.l1_pml_entries++;
	}
	l2->nested.pml_index = PML_LAST;
	return err;
}

/* --- exits --- */

static struct ms_err *frame_give(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn)
{
	u32 at;

	if (l2->frame[ngfn] != WL_NO_FRAME)
		return NULL;
	if (!w->nr_spare)
		return ms_err_new(MS_ERR_BUG, "L1 has no frame left");
	at = wl_below(w, w->nr_spare);
	l2->frame[ngfn] = w->spare[at];
	w->spare[at] = w->spare[--w->nr_spare];
	wl_check_l2_sent(w, l2, ngfn);
	return NULL;
}

/* Is all of its 2 MiB there, one behind the other? */
static bool is_contiguous(const struct wl_l2 *l2, u64 ngfn)
{
	u64 first = ngfn & ~511ull;
	u32 i;

	for (i = 0; i < 512; i++)
		if (l2->frame[first + i] != l2->frame[first] + i)
			return false;
	return l2->frame[first] % 512 == 0;
}

static struct ms_err *map_one(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn, bool write)
{
	u64 gpa, old, entry;
	struct ms_err *err;
	u32 level;

	err = wl_t12_find(w, l2, ngfn, &gpa, &old, &level);
	if (err || wl_t12_present(w, old))
		return err;
	if (l2->huge && !l2->rounds && level >= 2 && is_contiguous(l2, ngfn)) {
		w->stats.l1_maps++;
		return wl_t12_set(w, l2, ngfn & ~511ull, 2,
				  wl_t12_leaf(w, l2->frame[ngfn & ~511ull], 2, false));
	}
	err = frame_give(w, l2, ngfn);
	if (err)
		return err;
	entry = wl_t12_leaf(w, l2->frame[ngfn], 1, false);
	/* A log by write protection: what is mapped for a read stays unwritable. */
	if (l2->rounds && !l2->nested.pml) {
		if (write)
			err = log_page(w, l2, ngfn);
		else
			entry &= ~WL_T12_W;
	}
	w->stats.l1_maps++;
	return err ? err : wl_t12_set(w, l2, ngfn, 1, entry);
}

static struct ms_err *map_ram(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn, bool write)
{
	u64 at, end = (ngfn | (FAULT_AROUND - 1)) + 1;
	struct ms_err *err = map_one(w, l2, ngfn, write);

	for (at = ngfn & ~(FAULT_AROUND - 1ull); at < end && !err; at++)
		if (l2->frame[at] != WL_NO_FRAME)
			err = map_one(w, l2, at, false);
	return err;
}

/* L1's device model: some state of its own is read and written. */
static struct ms_err *emulate_device(struct ms_workload *w, struct wl_l2 *l2)
{
	u64 gpa = (u64)(WL_L1_WORK + 8 * (u32)(l2 - w->l2)) << NMMU_PAGE_SHIFT, value;
	struct ms_err *err = wl_l1_access(w, l2->vcpu, gpa, false, 0, &value);

	w->stats.l1_mmio++;
	return err ? err : wl_l1_access(w, l2->vcpu, gpa, true, value + 1, NULL);
}

static struct ms_err *ram_exit(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn, bool write)
{
	u64 gpa, entry;
	struct ms_err *err;
	u32 level;

	err = wl_t12_find(w, l2, ngfn, &gpa, &entry, &level);
	if (err)
		return err;
	if (!wl_t12_present(w, entry))
		return map_ram(w, l2, ngfn, write);
	if (write && !(entry & WL_T12_W)) {
		w->stats.l1_log_faults++;
		err = log_page(w, l2, ngfn);
		return err ? err : wl_t12_write(w, l2, gpa, entry | WL_T12_W);
	}
	/* It is granted by now: what the CPU had was older. */
	wl_t12_flush(w, l2);
	return NULL;
}

/* The device that L1 hands through: what L2 does not write is mapped for reads. */
static struct ms_err *direct_exit(struct ms_workload *w, struct wl_l2 *l2, bool write)
{
	u64 gpa, entry, leaf = wl_t12_leaf(w, WL_DEVICE, 1, true);
	struct ms_err *err;
	u32 level;

	err = wl_t12_find(w, l2, WL_L2_DIRECT, &gpa, &entry, &level);
	if (err)
		return err;
	if (!wl_t12_present(w, entry))
		return wl_t12_set(w, l2, WL_L2_DIRECT, 1, write ? leaf : leaf & ~WL_T12_W);
	if (write && !(entry & WL_T12_W))
		return wl_t12_write(w, l2, gpa, leaf);
	wl_t12_flush(w, l2);
	return NULL;
}

struct ms_err *wl_l1_exit(struct ms_workload *w, struct wl_l2 *l2, const struct nmmu_result *exit,
			  bool *skip_ret)
{
	u64 ngfn = exit->addr >> NMMU_PAGE_SHIFT;
	bool device = exit->reason == EXIT_MISCONFIG || (exit->reason == EXIT_NPF && exit->qual & NPF_RSVD);
	struct ms_err *err;

	*skip_ret = false;
	l2->nested.pml_index = ms_machine_vcpu(w->machine, l2->vcpu)->nested.pml_index;
	if (exit->reason == EXIT_PML_FULL) {
		w->stats.l1_pml_full++;
		return drain_pml12(w, l2);
	}
	if (exit->reason != EXIT_VIOLATION && exit->reason != EXIT_MISCONFIG && exit->reason != EXIT_NPF)
		return ms_err_new(MS_ERR_BUG, "L1 gets exit 0x%llx", (unsigned long long)exit->reason);
	if (ngfn == WL_L2_EMULATED) {
		err = device ? NULL : wl_t12_set(w, l2, ngfn, 1, wl_t12_mmio(w, ngfn));
		*skip_ret = true;
		return err ? err : emulate_device(w, l2);
	}
	if (device)
		return ms_err_new(MS_ERR_BUG,
				  "L1 is told of a misconfiguration at nGPA 0x%llx, where it has none",
				  (unsigned long long)exit->addr);
	if (ngfn == WL_L2_DIRECT)
		return direct_exit(w, l2, exit->qual & QUAL_WRITE);
	if (ngfn >= WL_L2_PAGES)
		return ms_err_new(MS_ERR_BUG, "L2 is said to touch nGPA 0x%llx, which it does not",
				  (unsigned long long)exit->addr);
	return ram_exit(w, l2, ngfn, exit->qual & QUAL_WRITE);
}

void wl_l1_interrupt(struct ms_workload *w, struct wl_l2 *l2)
{
	struct nmmu_vcpu *v = ms_machine_vcpu(w->machine, l2->vcpu);

	if (v->guest_mode)
		nmmu_nested_leave(v, &l2->nested.pml_index);
}

/* --- what L1 does by itself --- */

struct ms_err *wl_l1_work(struct ms_workload *w, u32 vcpu)
{
	u32 base = WL_L1_WORK + wl_below(w, WL_L1_WORK_PAGES - 64), i;
	struct ms_err *err = NULL;
	u64 gpa;

	for (i = 0; i < 8 && !err; i++) {
		gpa = (u64)(base + wl_below(w, 64)) << NMMU_PAGE_SHIFT;
		err = wl_l1_access(w, vcpu, gpa + 8 * wl_below(w, 512), wl_below(w, 2), wl_random(w), NULL);
	}
	gpa = (u64)(WL_FB + wl_below(w, WL_FB_PAGES)) << NMMU_PAGE_SHIFT;
	if (!err && wl_below(w, 4) == 0)
		err = wl_l1_access(w, vcpu, gpa, true, wl_random(w), NULL);
	gpa = (u64)(WL_ROM + wl_below(w, WL_ROM_PAGES)) << NMMU_PAGE_SHIFT;
	if (!err && wl_below(w, 8) == 0)
		err = wl_l1_access(w, vcpu, gpa, false, 0, NULL);
	if (!err && wl_below(w, 4) == 0)
		err = wl_l1_access(w, vcpu, (u64)WL_DEVICE << NMMU_PAGE_SHIFT, wl_below(w, 2), 1, NULL);
	return err;
}

struct ms_err *wl_l1_balloon(struct ms_workload *w, struct wl_l2 *l2)
{
	u32 first = WL_L2_DATA + wl_below(w, WL_L2_PAGES - WL_L2_DATA - BALLOON_PAGES), i;
	struct ms_err *err = NULL;
	u64 gpa, entry;
	u32 level;

	wl_l1_interrupt(w, l2);
	for (i = first; i < first + BALLOON_PAGES && !err; i++) {
		if (l2->frame[i] == WL_NO_FRAME)
			continue;
		err = wl_t12_split(w, l2, i);
		if (!err)
			err = wl_t12_find(w, l2, i, &gpa, &entry, &level);
		if (!err && level == 1 && entry) {
			err = wl_t12_write(w, l2, gpa, 0);
			w->stats.l1_unmaps++;
		}
		w->spare[w->nr_spare++] = l2->frame[i];
		l2->frame[i] = WL_NO_FRAME;
		w->stats.balloon_pages++;
	}
	/* Frames must not be given to another before this. */
	wl_t12_flush(w, l2);
	return err;
}

/*
 * Bring every leaf that is mapped (or, with dirty_only, those in the log) to a state where a write is seen.
 */
static struct ms_err *arm_log(struct ms_workload *w, struct wl_l2 *l2, bool dirty_only)
{
	u64 clear = l2->nested.pml ? wl_t12_dirty_bit(w) : WL_T12_W, gpa, entry;
	struct ms_err *err = NULL;
	u32 ngfn, level;

	for (ngfn = 0; ngfn < WL_L2_PAGES && !err; ngfn++) {
		if (dirty_only && !(l2->dirty[ngfn / 64] & 1ull << ngfn % 64))
			continue;
		err = wl_t12_find(w, l2, ngfn, &gpa, &entry, &level);
		if (!err && wl_t12_present(w, entry) && level == 1 && entry & clear)
			err = wl_t12_write(w, l2, gpa, entry & ~clear);
		if (dirty_only)
			wl_check_l2_sent(w, l2, ngfn);
	}
	memset(l2->dirty, 0, sizeof(l2->dirty));
	wl_t12_flush(w, l2);
	return err;
}

static struct ms_err *migration_start(struct ms_workload *w, struct wl_l2 *l2)
{
	u64 gpa, entry;
	struct ms_err *err;
	u32 ngfn, level;

	/* What L2 does to the device has to be known, too. */
	err = wl_t12_find(w, l2, WL_L2_DIRECT, &gpa, &entry, &level);
	if (!err && level == 1 && entry & WL_T12_W)
		err = wl_t12_write(w, l2, gpa, entry & ~WL_T12_W);
	for (ngfn = 0; ngfn < WL_L2_PAGES && !err; ngfn += 512)
		err = wl_t12_split(w, l2, ngfn);
	l2->rounds = MIGRATION_ROUNDS;
	l2->nested.pml = wl_is_vmx(w);
	l2->nested.pml_index = PML_LAST;
	if (!err)
		err = arm_log(w, l2, false);
	wl_check_l2_start(w, l2);
	return err;
}

/* Write access comes back when it is asked for: ram_exit() grants it. */
static void migration_end(struct ms_workload *w, struct wl_l2 *l2)
{
	l2->nested.pml = false;
	wl_check_l2_end(w, l2);
	w->stats.l1_migrations++;
}

struct ms_err *wl_l1_migrate(struct ms_workload *w, struct wl_l2 *l2)
{
	struct ms_err *err;

	wl_l1_interrupt(w, l2);
	if (!l2->rounds)
		return migration_start(w, l2);
	err = drain_pml12(w, l2);
	if (!err)
		err = arm_log(w, l2, true);
	w->stats.l1_rounds++;
	if (!err && !--l2->rounds)
		migration_end(w, l2);
	return err;
}

struct ms_err *wl_l1_rebuild(struct ms_workload *w, struct wl_l2 *l2)
{
	struct ms_err *err;

	wl_l1_interrupt(w, l2);
	/* What the log has not yet taken from the tables would go with them. */
	err = drain_pml12(w, l2);
	w->stats.rebuilds++;
	return err ? err : wl_t12_restart(w, l2);
}
