/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workload's EPT12 and NPT12: tables in L1's memory, written by L1's own instructions, so that KVM's part
 * of the work (write protection, unsync, emulated writes) is done. Looking for an entry goes through L1's
 * bookkeeping, which costs no access.
 */
#include <string.h>

#include "scenario/workload_private.h"

#define EPT_RWX 7ull
#define EPT_RW 3ull
#define EPT_MISCONFIG 6ull /* W and X without R: each access exits with reason 49 */
#define EPT_WB (6ull << 3)
#define EPT_D (1ull << 9)
#define EPTP_WB 6ull
#define EPTP_4_LEVELS (3ull << 3)
#define EPTP_AD (1ull << 6)

#define PT_PWU 7ull
#define PT_PCD (1ull << 4)
#define PT_D (1ull << 6)
#define PT_NX (1ull << 63)
#define PT_RSVD (1ull << 51) /* above L1's MAXPHYADDR: what KVM as L1 does for a device */

#define TOP_LEVEL 4u

static u32 index_of(u64 ngfn, u32 level)
{
	return (u32)(ngfn >> (9 * (level - 1))) & 511;
}

u64 wl_t12_leaf(const struct ms_workload *w, u64 gfn, u32 level, bool device)
{
	u64 entry = gfn << NMMU_PAGE_SHIFT | (level > 1 ? WL_T12_HUGE : 0);

	if (wl_is_vmx(w))
		return entry | (device ? EPT_RW : EPT_RWX | EPT_WB);
	return entry | PT_PWU | (device ? PT_PCD | PT_NX : 0);
}

u64 wl_t12_mmio(const struct ms_workload *w, u64 ngfn)
{
	return ngfn << NMMU_PAGE_SHIFT | (wl_is_vmx(w) ? EPT_MISCONFIG : PT_RSVD | 1);
}

bool wl_t12_present(const struct ms_workload *w, u64 entry)
{
	if (wl_is_vmx(w))
		return entry & EPT_RWX && (entry & EPT_RWX) != EPT_MISCONFIG;
	return entry & 1 && !(entry & PT_RSVD);
}

u64 wl_t12_dirty_bit(const struct ms_workload *w)
{
	return wl_is_vmx(w) ? EPT_D : PT_D;
}

static struct ms_err *peek_entry(struct ms_workload *w, u64 gpa, u64 *ret)
{
	if (ms_machine_peek(w->machine, gpa, ret, sizeof(*ret)))
		return ms_err_new(MS_ERR_BUG, "L1's table entry at 0x%llx has no memory",
				  (unsigned long long)gpa);
	return NULL;
}

struct ms_err *wl_t12_find(struct ms_workload *w, const struct wl_l2 *l2, u64 ngfn, u64 *gpa_ret,
			   u64 *entry_ret, u32 *level_ret)
{
	u64 table = l2->root_gfn << NMMU_PAGE_SHIFT, gpa, entry;
	u32 level = TOP_LEVEL;
	struct ms_err *err;

	for (;;) {
		gpa = table + 8 * index_of(ngfn, level);
		err = peek_entry(w, gpa, &entry);
		if (err)
			return err;
		if (level == 1 || !wl_t12_present(w, entry) || (level == 2 && entry & WL_T12_HUGE))
			break;
		table = entry & WL_T12_ADDR;
		level--;
	}
	*gpa_ret = gpa;
	*entry_ret = entry;
	*level_ret = level;
	return NULL;
}

struct ms_err *wl_t12_write(struct ms_workload *w, const struct wl_l2 *l2, u64 gpa, u64 entry)
{
	return wl_l1_access(w, l2->vcpu, gpa, true, entry, NULL);
}

/* The pool is large enough for two sets of tables (wl_t12_restart()). */
static struct ms_err *new_table(struct wl_l2 *l2, u64 *gfn_ret)
{
	u64 pool = WL_T12 + (l2->root_gfn - WL_T12) / WL_T12_PAGES * WL_T12_PAGES;

	if (l2->next_table == l2->last_table)
		return ms_err_new(MS_ERR_BUG, "L1's pool of tables at 0x%llx is used up",
				  (unsigned long long)pool);
	*gfn_ret = l2->next_table++;
	return NULL;
}

struct ms_err *wl_t12_set(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn, u32 level, u64 entry)
{
	u64 gpa, old, table = 0;
	struct ms_err *err;
	u32 at;

	for (;;) {
		err = wl_t12_find(w, l2, ngfn, &gpa, &old, &at);
		if (err || at <= level)
			break;
		err = new_table(l2, &table);
		if (!err)
			err = wl_t12_write(w, l2, gpa, table << NMMU_PAGE_SHIFT | EPT_RWX);
		if (err)
			return err;
	}
	if (!err && at != level)
		err = ms_err_new(MS_ERR_BUG, "L1 maps nGPA frame 0x%llx over a table",
				 (unsigned long long)ngfn);
	return err ? err : wl_t12_write(w, l2, gpa, entry);
}

struct ms_err *wl_t12_split(struct ms_workload *w, struct wl_l2 *l2, u64 ngfn)
{
	u64 gpa, entry, table = 0;
	struct ms_err *err;
	u32 level, i;

	err = wl_t12_find(w, l2, ngfn, &gpa, &entry, &level);
	if (err || level != 2 || !wl_t12_present(w, entry))
		return err;
	err = new_table(l2, &table);
	for (i = 0; i < 512 && !err; i++)
		err = wl_t12_write(w, l2, (table << NMMU_PAGE_SHIFT) + 8 * i,
				   (entry & ~WL_T12_HUGE) + ((u64)i << NMMU_PAGE_SHIFT));
	if (!err)
		err = wl_t12_write(w, l2, gpa, table << NMMU_PAGE_SHIFT | EPT_RWX);
	w->stats.l1_splits++;
	return err;
}

void wl_t12_flush(struct ms_workload *w, const struct wl_l2 *l2)
{
	struct nmmu_vcpu *v = ms_machine_vcpu(w->machine, l2->vcpu);

	if (wl_is_vmx(w))
		nmmu_invept(v, false, l2->nested.root);
	else
		nmmu_flush_nested_npt(v);
}

static void set_root(struct ms_workload *w, struct wl_l2 *l2)
{
	l2->root_gfn = l2->next_table++;
	l2->nested.root = l2->root_gfn << NMMU_PAGE_SHIFT;
	if (wl_is_vmx(w))
		l2->nested.root |= EPTP_WB | EPTP_4_LEVELS | EPTP_AD;
}

/* What was linked is taken apart from the top, as an L1 does that gives pages back to its allocator. */
static struct ms_err *clear_tables(struct ms_workload *w, const struct wl_l2 *l2, u32 first, u32 end)
{
	u64 entries[512], gpa;
	struct ms_err *err;
	u32 gfn, i;

	for (gfn = first; gfn < end; gfn++) {
		gpa = (u64)gfn << NMMU_PAGE_SHIFT;
		if (ms_machine_peek(w->machine, gpa, entries, sizeof(entries)))
			return ms_err_new(MS_ERR_BUG, "L1's table at 0x%llx has no memory",
					  (unsigned long long)gpa);
		for (i = 0; i < 512; i++) {
			err = entries[i] ? wl_t12_write(w, l2, gpa + 8 * i, 0) : NULL;
			if (err)
				return err;
		}
	}
	return NULL;
}

struct ms_err *wl_t12_restart(struct ms_workload *w, struct wl_l2 *l2)
{
	u32 pool = WL_T12 + (u32)(l2 - w->l2) * WL_T12_PAGES, half = pool + WL_T12_PAGES / 2;
	u32 first = (u32)l2->root_gfn, end = l2->next_table;

	/* The set of tables in use lies in one half of the pool, the new one goes to the other. */
	l2->next_table = first < half ? half : pool;
	l2->last_table = l2->next_table + WL_T12_PAGES / 2;
	set_root(w, l2);
	wl_t12_flush(w, l2);
	return clear_tables(w, l2, first, end);
}

struct ms_err *wl_t12_init(struct ms_workload *w, struct wl_l2 *l2)
{
	u32 pool = WL_T12 + (u32)(l2 - w->l2) * WL_T12_PAGES;

	l2->next_table = pool;
	l2->last_table = pool + WL_T12_PAGES / 2;
	set_root(w, l2);
	l2->nested.kind = wl_is_vmx(w) ? NMMU_NESTED_EPT : NMMU_NESTED_NPT;
	return NULL;
}
