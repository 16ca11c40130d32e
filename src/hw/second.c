/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second stage: from guest-physical to host-physical addresses through EPT or NPT, and what it tells the
 * hypervisor when it cannot. The log of page modifications is written here, for it is about setting D in EPT.
 *
 * Sources: Intel SDM vol. 3 28.3.2 (entries), 28.3.3 (violations, misconfigurations), 28.3.5-28.3.6 (A/D,
 * PML), 27.2.1 (exit qualification); AMD APM vol. 2 15.25.
 */
#include "hw/private.h"

#define EPT_R HW_BIT(0)
#define EPT_W HW_BIT(1)
#define EPT_X HW_BIT(2)
#define EPT_RWX (EPT_R | EPT_W | EPT_X)
#define EPT_BIG HW_BIT(7)
#define EPT_A HW_BIT(8)
#define EPT_D HW_BIT(9)

#define QUAL_RIGHTS_SHIFT 3
#define QUAL_LINEAR HW_BIT(7)
#define QUAL_FINAL HW_BIT(8)
#define NPF_FINAL HW_BIT(32)
#define NPF_TABLE HW_BIT(33)

#define PML_LAST 511 /* the index starts here and counts down */

struct ept_entry {
	u64 value;
	u64 pa;
};

u32 hw_table_access(const struct hw_state *s, bool update)
{
	/* With A/D in EPT, and always with NPT, an access to the guest's tables counts as a write. */
	if (s->stage == HW_STAGE_NPT)
		return HW_W;
	return s->ept_ad || update ? HW_R | HW_W : HW_R;
}

static int ept_violation(struct hw_walk *w, u64 gpa, u32 access, bool table, u32 rights)
{
	w->ret->exit = HW_EXIT_EPT_VIOLATION;
	w->ret->gpa = gpa;
	w->ret->qual = access | rights << QUAL_RIGHTS_SHIFT | QUAL_LINEAR | (table ? 0 : QUAL_FINAL);
	return HW_EXIT;
}

static bool ept_is_leaf(u64 entry, u32 level)
{
	return level == 1 || (level <= 3 && (entry & EPT_BIG));
}

static bool ept_is_bad(const struct hw_state *s, u64 entry, u32 level)
{
	u64 rwx = entry & EPT_RWX;
	u64 rsvd = hw_bits(51, s->phys_bits);
	u64 type = entry >> 3 & 7;

	if (rwx == EPT_W || rwx == (EPT_W | EPT_X))
		return true;
	if (rwx == EPT_X && !s->exec_only)
		return true;
	if (!ept_is_leaf(entry, level))
		return entry & (rsvd | hw_bits(6, 3) | (level >= 4 ? EPT_BIG : 0));
	if (type == 2 || type == 3 || type == 7)
		return true;
	if (level == 3 && !s->gbpages)
		return true;
	return entry & (rsvd | hw_bits(12 + 9 * (level - 1) - 1, 12));
}

/* A on every entry used, D on the last one of a write; PML comes before D. */
static int ept_set_flags(struct hw_walk *w, struct ept_entry *entries, u32 level, u64 gpa, bool write)
{
	const struct hw_state *s = w->s;
	bool need = write && !(entries[level].value & EPT_D);

	for (u32 i = s->levels; i >= level; i--)
		need |= !(entries[i].value & EPT_A);
	if (need && s->pml && *s->pml_index > PML_LAST) {
		w->ret->exit = HW_EXIT_PML_FULL;
		w->ret->gpa = gpa;
		return HW_EXIT;
	}
	for (u32 i = s->levels; need && i >= level; i--) {
		struct ept_entry *e = &entries[i];
		bool set_d = i == level && write && !(e->value & EPT_D);
		u64 value = e->value | EPT_A | (set_d ? EPT_D : 0);
		u64 page = gpa & HW_PAGE_MASK;
		int rc;

		if (value == e->value)
			continue;
		rc = w->mem->cmpxchg(w->mem->ctx, e->pa, e->value, value, 8);
		if (rc == -EAGAIN)
			return HW_AGAIN;
		if (rc)
			return hw_mem_error(w, e->pa);
		if (!set_d || !s->pml)
			continue;
		if (w->mem->write(w->mem->ctx, s->pml_pa + 8 * (u64)*s->pml_index, &page, 8))
			return hw_mem_error(w, s->pml_pa);
		--*s->pml_index;
	}
	return 0;
}

static int ept_walk(struct hw_walk *w, u64 gpa, u32 access, bool table, struct hw_map *ret)
{
	const struct hw_state *s = w->s;
	struct ept_entry entries[6] = { 0 };
	u64 base = s->root_pa & HW_PAGE_MASK;
	u32 rights = EPT_RWX;
	u32 level;
	u64 offset;
	int rc;

	if (gpa >> (12 + 9 * s->levels))
		return ept_violation(w, gpa, access, table, 0);
	for (level = s->levels;; level--) {
		struct ept_entry *e = &entries[level];

		e->pa = base + (gpa >> (12 + 9 * (level - 1)) & 511) * 8;
		if (w->mem->read(w->mem->ctx, e->pa, &e->value, 8))
			return hw_mem_error(w, e->pa);
		if (!(e->value & EPT_RWX))
			return ept_violation(w, gpa, access, table, 0);
		if (ept_is_bad(s, e->value, level)) {
			w->ret->exit = HW_EXIT_EPT_MISCONFIG;
			w->ret->gpa = gpa;
			return HW_EXIT;
		}
		rights &= e->value & EPT_RWX;
		if (ept_is_leaf(e->value, level))
			break;
		base = e->value & HW_PAGE_MASK;
	}
	if (access & ~rights)
		return ept_violation(w, gpa, access, table, rights);
	if (s->ept_ad) {
		rc = ept_set_flags(w, entries, level, gpa, access & HW_W);
		if (rc)
			return rc;
	}
	offset = hw_bits(12 + 9 * (level - 1) - 1, 0);
	*ret = (struct hw_map){
		.addr = (entries[level].value & HW_PAGE_MASK & ~offset) | (gpa & offset),
		.level = level,
		.rights = rights,
		.dirty = !s->ept_ad || (access & HW_W) || (entries[level].value & EPT_D),
	};
	return 0;
}

static int npt_walk(struct hw_walk *w, u64 gpa, u32 access, bool table, struct hw_map *ret)
{
	const struct hw_state *s = w->s;
	/* Every access is a user's, and the host's CR0.WP then does not matter. */
	struct hw_want want = {
		.read = access & HW_R, .write = access & HW_W, .fetch = access & HW_X, .user = true
	};
	struct hw_x86 x = {
		.levels = s->levels,
		.bytes = s->levels == 2 ? 4 : 8,
		.phys_bits = s->phys_bits,
		.nx = s->npt_nx && s->levels > 2,
		.pse = true,
		.gbpages = s->gbpages,
		.amd = s->amd,
		.pae = s->levels == 3,
		.wp = true,
		.root = s->root_pa & (s->levels == 3 ? hw_bits(31, 5) : HW_PAGE_MASK),
	};
	u32 bits = s->levels <= 3 ? 32 : 12 + 9 * s->levels;
	u64 error = 0;
	int rc = HW_EXIT;

	if (gpa >> bits)
		error = HW_PF_U | (want.write ? HW_PF_W : 0) | (want.fetch && x.nx ? HW_PF_I : 0);
	else
		rc = hw_x86_walk(w, &x, gpa, &want, ret, &error);
	if (rc == HW_EXIT && error != ~0ULL) {
		w->ret->exit = HW_EXIT_NPF;
		w->ret->gpa = gpa;
		w->ret->qual = error | (table ? NPF_TABLE : NPF_FINAL);
	}
	return rc;
}

int hw_second(struct hw_walk *w, u64 gpa, u32 access, bool table, struct hw_map *ret)
{
	if (w->s->stage == HW_STAGE_EPT)
		return ept_walk(w, gpa, access, table, ret);
	if (w->s->stage == HW_STAGE_NPT)
		return npt_walk(w, gpa, access, table, ret);
	*ret = (struct hw_map){ .addr = gpa, .level = 1, .rights = HW_R | HW_W | HW_X | HW_U, .dirty = true };
	return 0;
}
