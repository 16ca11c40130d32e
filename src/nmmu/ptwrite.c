// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An emulated write hits a page that holds shadowed tables: the SPTEs made from what was overwritten go
 * (SEMANTICS F "pte_write", C5). The guest's memory already has the new value; what SPTEs become of it is the
 * next fault's matter.
 */
#include "nmmu/private.h"
#include "nmmu/x86.h"

#define FLOODED 3u /* writes without a walk in between: no page table, or one being built */

/* One write, as the shadow page sees it. */
struct gpte_write {
	u32 offset; /* in the table */
	u32 bytes;
};

/*
 * A status byte at the start of an entry is fine; else it must be entries, whole or their halves, and one
 * only.
 */
static bool is_misaligned(const struct nmmu *m, const struct nmmu_sp *sp, struct gpte_write w)
{
	u32 gpte_bytes = sp->role.has_4_byte_gpte ? 4 : 8;

	if (w.bytes == 1 && !(w.offset & (gpte_bytes - 1)))
		return nmmu_mutant(m, BYTE_IS_MISALIGNED);
	return w.bytes < 4 || (w.offset ^ (w.offset + w.bytes - 1)) & ~(gpte_bytes - 1);
}

/* Level 1 is left out: it becomes unsync and is written without being emulated. */
static bool is_flooded(const struct nmmu *m, struct nmmu_sp *sp)
{
	return sp->role.level > 1 && ++sp->write_flooding >= FLOODED + nmmu_mutant(m, FLOOD_LATE);
}

/* The SPTEs made from the entry; none when it lies in another quadrant than the page's. */
static u32 written_sptes(const struct nmmu *m, const struct nmmu_sp *sp, struct gpte_write w, u32 *first_ret)
{
	u32 index = w.offset / 8, nr = 1;

	if (sp->role.has_4_byte_gpte) {
		index = w.offset / 4;
		/* 4 MiB by a PDE of 4 bytes, 2 MiB by an SPTE. */
		if (sp->role.level == 2) {
			index *= 2;
			nr = 2;
		}
		if (index / 512 != sp->role.quadrant && !nmmu_mutant(m, ANY_QUADRANT))
			return 0;
		index %= 512;
	}
	*first_ret = index;
	return nr;
}

static u32 zap_written(struct nmmu *m, struct nmmu_sp *sp, struct gpte_write w)
{
	u32 first = 0, nr = written_sptes(m, sp, w, &first), zapped = 0;

	/* Without a list: children are orphaned, since the guest may put the table back. */
	while (nr--)
		zapped += nmmu_sp_zap_entry(m, sp, first + nr, NULL, MS_CAUSE_PT_WRITE);
	return zapped;
}

void nmmu_pt_write(struct nmmu_vcpu *v, u64 gpa, u64 value, u32 bytes)
{
	struct nmmu *m = v->m;
	struct gpte_write w = { .offset = gpa & (NMMU_PAGE_SIZE - 1), .bytes = bytes };
	u64 gfn = gpa >> NMMU_PAGE_SHIFT;
	u32 zapped = 0, pages = 0;
	struct nmmu_link invalid;
	struct nmmu_sp *sp;
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_PT_WRITE);

	nmmu_yield(m, NMMU_POINT_GPTE_STORED);
	/*
	 * A PAE guest writes its entries in two halves: as if it were one. KVM goes by the vCPU's mode,
	 * whatever the format of the table.
	 */
	if (v->regs.cr4 & CR4_PAE && bytes == 4) {
		w.offset &= ~7u;
		w.bytes = 8;
	}
	nmmu_link_init(&invalid);
	nmmu_lock_vcpu(v);
	for (sp = m->nr_indirect ? nmmu_hash_first(m, gfn) : NULL; sp; sp = nmmu_hash_next(sp)) {
		if (nmmu_sp_is_obsolete(m, sp) ||
		    (!nmmu_sp_has_gptes(sp) && !(nmmu_mutant(m, PT_WRITE_PORTAL) && sp->role.passthrough)))
			continue;
		if (is_misaligned(m, sp, w) || is_flooded(m, sp)) {
			nmmu_sp_prepare_zap(m, sp, &invalid, MS_CAUSE_FLOODING);
			m->stats.flooded++;
			pages++;
			continue;
		}
		zapped += zap_written(m, sp, w);
	}
	if (!nmmu_link_empty(&invalid))
		nmmu_sp_commit_zap(m, &invalid, MS_CAUSE_FLOODING);
	else if (zapped)
		nmmu_flush_all(m, MS_CAUSE_PT_WRITE, false);
	if (zapped || pages)
		nmmu_event(m, v, pt_write, .gpa = gpa, .bytes = (u8)bytes, .zapped = (u16)zapped,
			   .pages = (u16)pages);
	nmmu_unlock(m);
	v->cause = was;
}
