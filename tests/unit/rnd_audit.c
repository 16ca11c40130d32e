/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadow pages against the guest's tables as they are (SEMANTICS H 23, 24, 35, 36): what a page in sync
 * grants, its table must grant, and the frame is the one behind the gfn. Nobody has to use a wrong entry for
 * it to be seen. Bits are taken from the manuals, not from the engine's profiles.
 */
#include "tests/unit/rnd.h"

#define MMU_PRESENT (1ULL << 11)
#define BIG (1ULL << 7)

struct audit {
	struct rnd *r;
	const struct nmmu_sp *sp;
	bool ept, four;
	union {
		u64 of_8[512];
		u32 of_4[1024];
	} table; /* the guest's */
};

static u64 gpte_of(const struct audit *a, u32 index)
{
	u32 at = index;

	if (!a->four)
		return a->table.of_8[index];
	/* 1024 entries of 4 MiB, or of 4 KiB: two shadow pages or entries for one of the guest's (C5). */
	if (a->sp->role.level == 2)
		at = a->sp->role.quadrant * 256 + index / 2;
	else
		at = a->sp->role.quadrant * 512 + index;
	return a->table.of_4[at];
}

static u64 frame_of(const struct audit *a, u64 gpte)
{
	return a->four ? gpte >> 12 & 0xfffff : gpte >> 12 & 0xffffffffffULL;
}

/* gfn that a leaf of the shadow page's size maps at this index. */
static u64 leaf_gfn(const struct audit *a, u64 gpte, u32 index)
{
	u64 gfn = frame_of(a, gpte);

	if (a->sp->role.level == 1)
		return gfn;
	if (a->four)
		return ((gpte >> 22 & 0x3ff) << 10 | (gpte >> 13 & 15) << 20) + (index & 1) * 512;
	return gfn & ~((1ULL << 9 * (a->sp->role.level - 1)) - 1);
}

static bool is_large(const struct audit *a, u64 gpte)
{
	return a->sp->role.level > 1 && (gpte & BIG);
}

static void judge_leaf(struct audit *a, u32 index, u64 spte, u64 gpte)
{
	struct rnd *r = a->r;
	bool has_ad = a->ept ? !a->sp->role.ad_disabled : true;
	u64 gfn = leaf_gfn(a, gpte, index), pfn;
	struct rnd_slot *s = rnd_slot_of(r, gfn), *table = rnd_slot_of(r, a->sp->gfn);
	bool w = spte >> 1 & 1, clean = !(gpte & (a->ept ? 0x200 : 0x40));
	bool frozen = table->flags & MS_SLOT_READONLY || table->protected[a->sp->gfn - table->gfn];
	u64 grants, has;

	if (a->ept) {
		has = spte & 7;
		grants = gpte & 7;
	} else {
		has = (w ? 2 : 0) | (spte >> 2 & 1 ? 4 : 0) | (spte >> 63 ? 0 : 1);
		grants = (gpte & 6) | (!a->four && gpte >> 63 ? 0 : 1);
		/* The kernel of a guest without CR0.WP writes where its tables say no. */
		if (!r->cfg.tdp && !a->sp->role.cr0_wp)
			has &= ~6ULL;
	}
	if (has & ~grants)
		rnd_fail(r, "H 35: gfn 0x%llx role 0x%x [%u]: SPTE 0x%llx grants more than 0x%llx",
			 (unsigned long long)a->sp->gfn, a->sp->role.word, index, (unsigned long long)spte,
			 (unsigned long long)gpte);
	if (w && clean && has_ad && !frozen)
		rnd_fail(r, "H 36: gfn 0x%llx role 0x%x [%u]: SPTE 0x%llx is writable, 0x%llx is clean",
			 (unsigned long long)a->sp->gfn, a->sp->role.word, index, (unsigned long long)spte,
			 (unsigned long long)gpte);
	if (!s) {
		rnd_fail(r, "a leaf for gfn 0x%llx, where no memory is", (unsigned long long)gfn);
		return;
	}
	pfn = spte >> 12 & ((1ULL << (r->cfg.phys_bits - 12)) - 1);
	if (pfn != ms_machine_pfn(r->machine, s->hva + ((gfn - s->gfn) << 12)))
		rnd_fail(r, "H 24: gfn 0x%llx role 0x%x [%u]: SPTE 0x%llx is not of gfn 0x%llx",
			 (unsigned long long)a->sp->gfn, a->sp->role.word, index, (unsigned long long)spte,
			 (unsigned long long)gfn);
	r->count->audited++;
}

static void judge_table(struct audit *a, u32 index, u64 spte, u64 gpte)
{
	struct rnd *r = a->r;
	u64 pa = spte & ((1ULL << r->cfg.phys_bits) - 1) & ~0xfffULL, gfn = frame_of(a, gpte);
	const struct nmmu_sp *child = nmmu_sp_by_pa(r->m, pa);

	if (!child) {
		rnd_fail(r, "a link to no page");
		return;
	}
	if (child->role.direct != is_large(a, gpte))
		rnd_fail(r, "H 23: gfn 0x%llx role 0x%x [%u]: a %s child under 0x%llx",
			 (unsigned long long)a->sp->gfn, a->sp->role.word, index,
			 child->role.direct ? "direct" : "shadowing", (unsigned long long)gpte);
	else if (child->gfn != (child->role.direct ? leaf_gfn(a, gpte, index) : gfn))
		rnd_fail(r, "H 23: gfn 0x%llx role 0x%x [%u]: a child of gfn 0x%llx under 0x%llx",
			 (unsigned long long)a->sp->gfn, a->sp->role.word, index,
			 (unsigned long long)child->gfn, (unsigned long long)gpte);
}

static bool judge_page(void *ctx, const struct nmmu_sp *sp)
{
	struct audit *a = ctx;
	struct rnd *r = a->r;

	if (sp->role.direct || sp->role.passthrough || sp->role.invalid || sp->unsync || !sp->accounted ||
	    sp->gen != r->m->valid_gen)
		return true;
	a->sp = sp;
	a->ept = r->cfg.tdp && r->cfg.hv == MS_HV_VMX;
	a->four = sp->role.has_4_byte_gpte;
	if (!rnd_slot_of(r, sp->gfn) ||
	    ms_machine_peek(r->machine, sp->gfn << 12, &a->table, sizeof(a->table)))
		return true;
	for (u32 i = 0; i < 512 && !r->failed; i++) {
		u64 spte = sp->spt[i], gpte = gpte_of(a, i);
		bool present = a->ept ? gpte & 7 : gpte & 1;

		if (!(spte & MMU_PRESENT))
			continue;
		if (!present)
			rnd_fail(r, "H 35: gfn 0x%llx role 0x%x [%u]: SPTE 0x%llx for an absent entry",
				 (unsigned long long)sp->gfn, sp->role.word, i, (unsigned long long)spte);
		else if (sp->role.level == 1 || spte & BIG)
			judge_leaf(a, i, spte, gpte);
		else
			judge_table(a, i, spte, gpte);
	}
	return !r->failed;
}

void rnd_audit(struct rnd *r)
{
	struct audit a = { .r = r };

	nmmu_for_each_sp(r->m, judge_page, &a);
}
