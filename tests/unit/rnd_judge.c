/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the engine's entries neither guest nor host would ever notice, and SEMANTICS says all the same: kinds of
 * leaves, D bits and huge leaves behind a log, generations behind a wrap, pages that NX recovery took, L1's own log.
 * Bits are taken from the manuals and B.3.
 */
#include "tests/unit/rnd.h"

#include <stdlib.h>
#include <string.h>

#include "spte/spte.h"

#define MMU_PRESENT (1ULL << 11)
#define BIG (1ULL << 7)
#define EPT_D (1ULL << 9)
#define KIND(spte) ((spte) >> 52 & 3)
enum { KIND_ENABLED, KIND_DISABLED, KIND_WRPROT_ONLY };

static bool is_ept(const struct rnd *r)
{
	return r->cfg.tdp && r->cfg.hv == MS_HV_VMX;
}

static bool is_leaf(const struct nmmu_sp *sp, u64 spte)
{
	return spte & MMU_PRESENT && (sp->role.level == 1 || spte & BIG);
}

static const char *place(const struct nmmu_sp *sp, u32 index)
{
	static char text[64];

	snprintf(text, sizeof(text), "gfn 0x%llx role 0x%x [%u]", (unsigned long long)sp->gfn, sp->role.word,
		 index);
	return text;
}

/* --- all pages --- */

/* E.2: where the CPU logs by D, what it logs of L2 would be L2's addresses. */
static u32 kind_wanted(const struct rnd *r, const struct nmmu_sp *sp)
{
	return sp->role.ad_disabled		   ? KIND_DISABLED
	       : sp->role.guest_mode && r->cfg.pml ? KIND_WRPROT_ONLY
						   : KIND_ENABLED;
}

/*
 * H 14, also behind a wrap: everything is zapped then, so that none is left of a number that is still to come. As in
 * KVM the zap comes first and the new number after it: an entry made between the two is of the last number.
 */
static void judge_generation(struct rnd *r, const struct nmmu_sp *sp, u32 index, u64 spte)
{
	const struct spte_profile *p = &r->m->profile;
	u32 bits = p->gen_low_bits + p->gen_high_bits;
	u64 now = r->m->as[sp->role.smm].generation & ((1ULL << bits) - 1);

	if (spte_is_mmio(p, spte) && spte_mmio_gen(p, spte) > now &&
	    spte_mmio_gen(p, spte) < (1u << bits) - NMMU_NR_AS)
		rnd_fail(r, "H 14: %s: MMIO of generation 0x%x, now 0x%llx", place(sp, index),
			 spte_mmio_gen(p, spte), (unsigned long long)now);
}

static bool judge_page(void *ctx, const struct nmmu_sp *sp)
{
	struct rnd *r = ctx;

	if (sp->role.invalid || sp->gen != r->m->valid_gen)
		return true;
	for (u32 i = 0; i < 512 && !r->failed; i++) {
		u64 spte = sp->spt[i];

		if (!(spte & MMU_PRESENT))
			judge_generation(r, sp, i, spte);
		else if (is_ept(r) && is_leaf(sp, spte) && KIND(spte) != kind_wanted(r, sp))
			rnd_fail(r, "H 6, 7: %s: SPTE 0x%llx is of A/D kind %u, not %u", place(sp, i),
				 (unsigned long long)spte, (u32)KIND(spte), kind_wanted(r, sp));
	}
	return !r->failed;
}

void rnd_judge_pages(struct rnd *r)
{
	nmmu_for_each_sp(r->m, judge_page, r);
}

/* --- leaves around a log --- */

/* Write-protect-only leaves that are dirty: the log may take W from them, never D (E.2). */
struct dirty_leaf {
	const struct nmmu_sp *sp;
	u32 index;
	u64 spte;
};

static bool take_dirty(void *ctx, const struct nmmu_sp *sp)
{
	struct rnd *r = ctx;

	for (u32 i = 0; i < 512 && !sp->role.invalid; i++) {
		u64 spte = sp->spt[i];
		struct dirty_leaf *grown;

		if (!is_leaf(sp, spte) || KIND(spte) != KIND_WRPROT_ONLY || !(spte & EPT_D))
			continue;
		if (!(r->nr_dirty & (r->nr_dirty - 1))) {
			grown = realloc(r->dirty, (r->nr_dirty ? 2 * r->nr_dirty : 1) * sizeof(*grown));
			if (!grown)
				return false;
			r->dirty = grown;
		}
		r->dirty[r->nr_dirty++] = (struct dirty_leaf){ sp, i, spte };
	}
	return true;
}

void rnd_judge_log_begin(struct rnd *r)
{
	r->nr_dirty = 0;
	if (is_ept(r) && r->cfg.pml)
		nmmu_for_each_sp(r->m, take_dirty, r);
}

/* A log takes no page away, so that what was there is there. */
void rnd_judge_log_end(struct rnd *r)
{
	for (u32 i = 0; i < r->nr_dirty; i++) {
		const struct dirty_leaf *d = &r->dirty[i];
		u64 now = d->sp->spt[d->index];

		/* A huge leaf may lose M with it (E.1). */
		if ((now ^ d->spte) & ~(2ULL | 1ULL << 58))
			rnd_fail(r, "E.2: %s: SPTE 0x%llx became 0x%llx by a log", place(d->sp, d->index),
				 (unsigned long long)d->spte, (unsigned long long)now);
	}
	free(r->dirty);
	r->dirty = NULL;
	r->nr_dirty = 0;
}

struct cleared {
	struct rnd *r;
	u64 gfn;
};

static bool judge_cleared(void *ctx, const struct nmmu_sp *sp)
{
	struct cleared *c = ctx;
	struct rnd *r = c->r;
	u64 pages = 1ULL << 9 * (sp->role.level - 1), m_bit = is_ept(r) ? 1ULL << 58 : 1ULL << 10;

	for (u32 i = 0; i < 512 && sp->role.level > 1 && !sp->role.invalid && !r->failed; i++) {
		u64 spte = sp->spt[i];
		u64 gfn = sp->role.direct   ? sp->gfn + i * pages
			  : sp->translation ? sp->translation[i] >> 12
					    : ~0ULL;

		if (is_leaf(sp, spte) && c->gfn - gfn < pages && spte & (2 | m_bit))
			rnd_fail(r, "E.1: %s: SPTE 0x%llx may be written, gfn 0x%llx was cleared in the log",
				 place(sp, i), (unsigned long long)spte, (unsigned long long)c->gfn);
	}
	return !r->failed;
}

void rnd_judge_cleared(struct rnd *r, u64 gfn)
{
	struct cleared c = { .r = r, .gfn = gfn };

	/* A log that begins otherwise has none left by then. */
	if (r->log_mode & NMMU_LOG_INIT_SET)
		nmmu_for_each_sp(r->m, judge_cleared, &c);
}

/* --- NX recovery --- */

struct listed {
	u64 ids[1024];
	u32 nr;
	struct rnd *r;
};

static bool is_listed(const struct nmmu_sp *sp)
{
	return sp->nx_link.next != &sp->nx_link;
}

static bool take_listed(void *ctx, const struct nmmu_sp *sp)
{
	struct listed *listed = ctx;

	if (is_listed(sp) && listed->nr < 1024)
		listed->ids[listed->nr++] = sp->id;
	return true;
}

/* Off the list and still there: only where a log keeps its pages small anyway, or parts are pinned. */
static bool judge_listed(void *ctx, const struct nmmu_sp *sp)
{
	struct listed *listed = ctx;
	const struct nmmu_slot *slot = nmmu_slot_of(listed->r->m, sp->role.smm, sp->gfn);

	if (is_listed(sp) || sp->role.invalid || listed->r->cfg.pins ||
	    (listed->r->cfg.kernel == NMMU_6_12 && slot && slot->flags & MS_SLOT_LOG_DIRTY))
		return true;
	for (u32 i = 0; i < listed->nr; i++)
		if (listed->ids[i] == sp->id)
			rnd_fail(listed->r, "NX recovery forgot %s", place(sp, 0));
	return !listed->r->failed;
}

u32 rnd_nx_recover(struct rnd *r, u32 ratio)
{
	struct listed listed = { .r = r };
	u32 zapped;

	nmmu_for_each_sp(r->m, take_listed, &listed);
	zapped = nmmu_nx_recover(r->m, ratio);
	nmmu_for_each_sp(r->m, judge_listed, &listed);
	return zapped;
}

/* --- L1's log --- */

void rnd_judge_pml12(struct rnd *r, const struct rnd_vcpu *vc, u16 before, const struct rnd_answer *answer)
{
	u64 addr = vc->nested.pml_addr, entry;
	u16 now = vc->v->nested.pml_index;
	struct rnd_slot *s = rnd_slot_of(r, addr >> 12);
	bool writable = s && !(s->flags & MS_SLOT_READONLY) && !s->protected[(addr >> 12) - s->gfn];

	if (!vc->nested.pml || vc->nested.kind != NMMU_NESTED_EPT)
		return;
	/* E5: the store is ignored, the index stays. */
	if (!writable && now != before)
		rnd_fail(r, "E5: L1's log moved from %u to %u, and cannot be written", before, now);
	/* What the access wrote may lie there itself. */
	for (u32 i = 0; i < answer->nr; i++)
		if (answer->paths[i].gpa >> 12 == addr >> 12)
			return;
	for (u16 at = before; writable && at != now && at < 512; at--)
		if (!ms_machine_peek(r->machine, addr + at * 8, &entry, 8) && entry & 0xfff)
			rnd_fail(r, "E5: L1's log has 0x%llx, which is no page", (unsigned long long)entry);
}
