// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page-modification logging, both of them. PML01 is the CPU's: GPAs of L1 whose D bit it set, taken over into
 * the dirty bitmaps at every exit (E4). PML12 is the one that L1 reads: the engine writes it, as the CPU that
 * L1 believes in, when it sets a D bit in EPT12 (E5). This file marks; it protects nothing.
 */
#include "nmmu/private.h"

#define PML_ENTRIES 512u
#define PML_LAST (PML_ENTRIES - 1)

/*
 * The index points at the next free entry, counting down: 511 is empty, anything from 512 (the CPU went
 * below 0) is full.
 */
static void drain(struct nmmu_vcpu *v)
{
	struct nmmu *m = v->m;
	const u64 *log = v->pml.va;
	u16 index = v->pml_index;
	bool full = index >= PML_ENTRIES;
	u16 nth;

	if (!m->cfg.pml || !log)
		return;
	/* vmcs02 has no PML. With the bug, what L2's CPU logged is taken for addresses of L1's (E7). */
	if (v->guest_mode && !nmmu_bug_on(m, PML_L2))
		return;
	if (index == PML_LAST || (nmmu_mutant(m, PML_FULL_IS_EMPTY) && index >= PML_ENTRIES))
		return;
	index = full ? 0 : index + 1;
	nmmu_add64(&m->stats.pml_entries, PML_ENTRIES - index);
	nmmu_event(m, v, pml_drain, .entries = PML_ENTRIES - index, .full = full);
	for (nth = 0; index < PML_ENTRIES; index++, nth++) {
		u64 gfn = nmmu_read64(&log[index]) >> NMMU_PAGE_SHIFT;

		nmmu_event(m, v, pml, .gfn = gfn, .nth = nth);
		/* Also in a slot that is being moved: its log moves along. */
		nmmu_mark_dirty(m, v, nmmu_slot_any(m, v->regs.smm, gfn), gfn);
	}
	v->pml_index = PML_LAST;
}

void nmmu_pml_drain(struct nmmu_vcpu *v)
{
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_PML);

	nmmu_slots_enter(v->m);
	drain(v);
	nmmu_slots_leave(v->m);
	v->cause = was;
}

int nmmu_pml12_put(struct nmmu_vcpu *v, u64 ngpa)
{
	struct nmmu_nested *nested = &v->nested;
	struct nmmu *m = v->m;
	u64 addr, entry = ngpa & ~(u64)(NMMU_PAGE_SIZE - 1);

	if (!v->guest_mode || nested->kind != NMMU_NESTED_EPT || !nested->pml)
		return 0;
	if (nested->pml_index >= PML_ENTRIES)
		return -ENOSPC;
	addr = nested->pml_addr + nested->pml_index * sizeof(entry);
	/* A store that fails is lost, and D is set all the same (I 39). */
	if (nmmu_mutant(m, PML12_OFFSET))
		entry = ngpa;
	if (nmmu_gpa_write(m, 0, addr, &entry, sizeof(entry))) {
		if (nmmu_mutant(m, PML12_COUNTS_FAILED))
			nested->pml_index--;
		return 0;
	}
	nmmu_mark_written(m, v, nmmu_slot_of(m, 0, addr >> NMMU_PAGE_SHIFT), addr >> NMMU_PAGE_SHIFT);
	nmmu_event(m, v, pml12, .addr = entry, .index = nested->pml_index);
	nested->pml_index--;
	return 0;
}
