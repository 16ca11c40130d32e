// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's shadow pages against those of a snapshot. Pages are the same when gfn and role word are; of an
 * entry all bits count but the address of a child (the child itself must be the same page) and A and D bits
 * that only the snapshot has, since the CPU sets those. The other reasons to excuse an entry are in
 * doc/differences.md.
 */
#include <stdlib.h>

#include "replay.h"
#include "spte/spte.h"

/* A page of the engine, and whether the snapshot has it. */
struct pair {
	const struct nmmu_sp *sp;
	bool seen;
};

struct pages {
	struct pair *pair;
	size_t nr, max;
	bool out_of_memory;
};

static bool page_collect(void *ctx, const struct nmmu_sp *sp)
{
	struct pages *pages = ctx;
	struct pair *more;

	if (pages->nr == pages->max) {
		pages->max = pages->max ? 2 * pages->max : 256;
		more = reallocarray(pages->pair, pages->max, sizeof(*more));
		if (!more) {
			pages->out_of_memory = true;
			return false;
		}
		pages->pair = more;
	}
	pages->pair[pages->nr++] = (struct pair){ .sp = sp };
	return true;
}

/* Several pages may have one key for a while: an obsolete one, or one that is invalid and still a root. */
static struct pair *page_find(struct pages *pages, u64 gfn, u32 role)
{
	for (size_t i = 0; i < pages->nr; i++)
		if (!pages->pair[i].seen && pages->pair[i].sp->gfn == gfn &&
		    pages->pair[i].sp->role.word == role)
			return &pages->pair[i];
	return NULL;
}

/* Bits by which an entry of KVM's may exceed ours. */
static u64 cpu_bits(const struct replay *r)
{
	return r->m->profile.m.accessed | r->m->profile.m.dirty;
}

static bool child_same(struct replay *r, const struct ms_sp *theirs, const struct nmmu_sp *ours, u32 i)
{
	const struct ms_sp *a = ms_sp_child(r->model, r->vm, theirs, i);
	const struct nmmu_sp *b = nmmu_sp_by_pa(r->m, ours->spt[i] & spte_pfn_mask(&r->m->profile));

	if (!a || !b) {
		replay_differ(r, "gfn %#lx role %#x [%u]: child of %s not found", ours->gfn, ours->role.word,
			      i, a ? "ours" : "KVM's");
		return false;
	}
	if (a->rec.gfn == b->gfn && a->rec.role == b->role.word)
		return true;
	replay_differ(r, "gfn %#lx role %#x [%u]: child gfn %#lx role %#x, KVM has gfn %#lx role %#x",
		      ours->gfn, ours->role.word, i, b->gfn, b->role.word, a->rec.gfn, a->rec.role);
	return false;
}

/* An entry that one of the two has prefetched, and the other not. Ours was then never accessed. */
static bool is_window(const struct replay *r, const struct nmmu_sp *sp, u32 i, u64 kvm, u64 mine)
{
	const struct spte_profile *p = &r->m->profile;
	bool ours = spte_is_mmu_present(p, mine);

	if (sp->role.level != 1 || ours == spte_is_mmu_present(p, kvm) || (ours && mine & p->m.accessed))
		return false;
	for (size_t w = 0; w < r->nr_windows; w++)
		if (r->windows[w].table_gfn == sp->gfn && r->windows[w].index == (i & ~7u) &&
		    r->windows[w].ours == ours)
			return true;
	return false;
}

static void entry_compare(struct replay *r, const struct ms_sp *theirs, const struct nmmu_sp *ours, u32 i)
{
	const struct spte_profile *p = &r->m->profile;
	u64 kvm = theirs->tables->sptes[i], mine = ours->spt[i], differ = kvm ^ mine;
	u32 level = ours->role.level;
	bool leaf = spte_is_mmu_present(p, kvm) && (level == 1 || kvm & SPTE_HW_HUGE);

	if (spte_is_mmu_present(p, kvm) && spte_is_mmu_present(p, mine)) {
		if (!leaf && !(level > 1 && mine & SPTE_HW_HUGE)) {
			differ &= ~spte_pfn_mask(p);
			if (child_same(r, theirs, ours, i))
				r->seen.nr_tables++;
		}
		differ &= ~(cpu_bits(r) & kvm);
	}
	if (differ && is_window(r, ours, i, kvm, mine)) {
		r->seen.nr_excused++;
		return;
	}
	if (differ) {
		replay_differ(r, "gfn %#lx role %#x [%u]: %#018lx, KVM has %#018lx", ours->gfn,
			      ours->role.word, i, mine, kvm);
		return;
	}
	if (leaf)
		r->seen.nr_leaves++;
	else if (spte_is_mmio(p, kvm))
		r->seen.nr_mmio++;
	/* What KVM stored of the guest's entry, where there is a mapping. */
	if (leaf && theirs->rec.have & MS_SP_HAVE_TRANSLATIONS && ours->translation &&
	    theirs->tables->translations[i] != ours->translation[i])
		replay_differ(r, "gfn %#lx role %#x [%u]: translation %#lx, KVM has %#lx", ours->gfn,
			      ours->role.word, i, ours->translation[i], theirs->tables->translations[i]);
}

static void header_compare(struct replay *r, const struct ms_rec_sp *theirs, const struct nmmu_sp *ours)
{
	if (theirs->have & MS_SP_HAVE_UNSYNC && theirs->unsync != ours->unsync)
		replay_differ(r, "gfn %#lx role %#x: unsync %d, KVM has %d", ours->gfn, ours->role.word,
			      ours->unsync, theirs->unsync);
	if (theirs->have & MS_SP_HAVE_UNSYNC_CHILDREN && theirs->unsync_children != ours->unsync_children)
		replay_differ(r, "gfn %#lx role %#x: %u unsync children, KVM has %u", ours->gfn,
			      ours->role.word, ours->unsync_children, theirs->unsync_children);
	if (theirs->have & MS_SP_HAVE_ROOT_COUNT && theirs->root_count != ours->root_count)
		replay_differ(r, "gfn %#lx role %#x: root_count %u, KVM has %u", ours->gfn, ours->role.word,
			      ours->root_count, theirs->root_count);
	if (theirs->have & MS_SP_HAVE_WRITE_FLOODING && theirs->write_flooding != ours->write_flooding)
		replay_differ(r, "gfn %#lx role %#x: write flooding count %u, KVM has %u", ours->gfn,
			      ours->role.word, ours->write_flooding, theirs->write_flooding);
}

static bool is_direct(const struct ms_sp *sp)
{
	return (union nmmu_role){ .word = sp->rec.role }.direct;
}

/* With the TDP MMU direct pages are not on KVM's list, and their leaves are compared elsewhere. */
static bool is_elsewhere(const struct replay *r, const struct nmmu_sp *sp)
{
	return r->trace->tdp_mmu && sp->role.direct && !sp->role.guest_mode;
}

static void compare_shadow_pages(struct replay *r)
{
	struct pages pages = { 0 };
	struct pair *pair;

	nmmu_for_each_sp(r->m, page_collect, &pages);
	if (pages.out_of_memory) {
		replay_differ(r, "out of memory");
		free(pages.pair);
		return;
	}
	for (size_t i = 0; i < r->vm->nr_sps; i++) {
		const struct ms_sp *theirs = &r->vm->sps[i];

		if (theirs->rec.tdp_mmu_page)
			continue;
		if (theirs->rec.state != MS_SP_CONFIRMED || !theirs->tables) {
			replay_differ(r, "gfn %#lx role %#x: the snapshot has no confirmed table of it",
				      theirs->rec.gfn, theirs->rec.role);
			continue;
		}
		pair = page_find(&pages, theirs->rec.gfn, theirs->rec.role);
		if (!pair) {
			replay_differ(r, "gfn %#lx role %#x%s: KVM has this page, we do not", theirs->rec.gfn,
				      theirs->rec.role, is_direct(theirs) ? " (direct)" : "");
			continue;
		}
		pair->seen = true;
		r->seen.nr_sps++;
		header_compare(r, &theirs->rec, pair->sp);
		for (u32 e = 0; e < MS_SPTES; e++)
			entry_compare(r, theirs, pair->sp, e);
	}
	for (size_t i = 0; i < pages.nr; i++)
		if (!pages.pair[i].seen && !is_elsewhere(r, pages.pair[i].sp))
			replay_differ(r, "gfn %#lx role %#x: we have this page, KVM does not",
				      pages.pair[i].sp->gfn, pages.pair[i].sp->role.word);
	free(pages.pair);
}

/* --- the TDP MMU's leaves: a page table of another making, but the same mappings --- */

struct leaf {
	u64 gfn, spte;
	u32 level;
	bool seen;
};

struct leaves {
	struct leaf *leaf;
	size_t nr, max;
	bool out_of_memory;
};

static void leaf_add(struct leaves *leaves, u64 gfn, u32 level, u64 spte)
{
	struct leaf *more;

	if (leaves->nr == leaves->max) {
		leaves->max = leaves->max ? 2 * leaves->max : 1024;
		more = reallocarray(leaves->leaf, leaves->max, sizeof(*more));
		if (!more) {
			leaves->out_of_memory = true;
			leaves->max = leaves->nr;
			return;
		}
		leaves->leaf = more;
	}
	leaves->leaf[leaves->nr++] = (struct leaf){ gfn, spte, level, false };
}

static bool is_leaf_or_mmio(const struct spte_profile *p, u64 spte, u32 level)
{
	if (spte_is_mmu_present(p, spte))
		return level == 1 || spte & SPTE_HW_HUGE;
	return spte_is_mmio(p, spte);
}

struct collect {
	struct replay *r;
	struct leaves *leaves;
};

static bool direct_collect(void *ctx, const struct nmmu_sp *sp)
{
	struct collect *c = ctx;

	if (!is_elsewhere(c->r, sp))
		return true;
	for (u32 i = 0; i < MS_SPTES; i++)
		if (is_leaf_or_mmio(&c->r->m->profile, sp->spt[i], sp->role.level))
			leaf_add(c->leaves, sp->gfn + i * ms_level_pages(sp->role.level), sp->role.level,
				 sp->spt[i]);
	return true;
}

static int leaf_order(const void *a, const void *b)
{
	const struct leaf *x = a, *y = b;

	if (x->gfn != y->gfn)
		return x->gfn < y->gfn ? -1 : 1;
	return x->level < y->level ? -1 : x->level > y->level;
}

/* 6.12's TDP MMU splits a 2M leaf into 512 of 4K, where the legacy MMU drops it and maps what is accessed. */
static bool is_split(const struct replay *r, u64 gfn, u32 level)
{
	for (size_t i = 0; level == 1 && i < r->nr_splits; i++)
		if (r->splits[i] == (gfn & ~511ull))
			return true;
	return false;
}

static void tdp_leaf_compare(struct replay *r, struct leaves *leaves, u64 gfn, u32 level, u64 kvm)
{
	struct leaf key = { .gfn = gfn, .level = level }, *found;
	u64 differ;

	found = leaves->nr ? bsearch(&key, leaves->leaf, leaves->nr, sizeof(key), leaf_order) : NULL;
	if (is_split(r, gfn, level) && !(found && found->spte & r->m->profile.m.accessed)) {
		r->seen.nr_excused++;
		if (found)
			found->seen = true;
		return;
	}
	if (!found) {
		replay_differ(r, "TDP MMU: gfn %#lx level %u: KVM has %#018lx, we have no leaf", gfn, level,
			      kvm);
		return;
	}
	found->seen = true;
	differ = found->spte ^ kvm;
	if (spte_is_mmu_present(&r->m->profile, kvm))
		differ &= ~(cpu_bits(r) & kvm);
	if (differ)
		replay_differ(r, "TDP MMU: gfn %#lx level %u: %#018lx, KVM has %#018lx", gfn, level,
			      found->spte, kvm);
	else if (spte_is_mmu_present(&r->m->profile, kvm))
		r->seen.nr_leaves++;
	else
		r->seen.nr_mmio++;
}

static void compare_tdp_leaves(struct replay *r)
{
	struct leaves leaves = { 0 };
	struct collect collect = { r, &leaves };

	if (!r->trace->tdp_mmu)
		return;
	nmmu_for_each_sp(r->m, direct_collect, &collect);
	if (leaves.out_of_memory)
		replay_differ(r, "out of memory");
	if (leaves.nr)
		qsort(leaves.leaf, leaves.nr, sizeof(*leaves.leaf), leaf_order);
	for (size_t i = 0; i < r->vm->nr_sps; i++) {
		const struct ms_sp *sp = &r->vm->sps[i];

		if (!sp->rec.tdp_mmu_page || !sp->tables)
			continue;
		for (u32 e = 0; e < MS_SPTES; e++)
			if (is_leaf_or_mmio(&r->m->profile, sp->tables->sptes[e], sp->level))
				tdp_leaf_compare(r, &leaves, sp->rec.gfn + e * ms_level_pages(sp->level),
						 sp->level, sp->tables->sptes[e]);
	}
	/* A leaf that was never accessed is one we have prefetched, which the TDP MMU does not. */
	for (size_t i = 0; i < leaves.nr; i++)
		if (!leaves.leaf[i].seen &&
		    (leaves.leaf[i].level > 1 || !spte_is_mmu_present(&r->m->profile, leaves.leaf[i].spte) ||
		     leaves.leaf[i].spte & r->m->profile.m.accessed))
			replay_differ(r, "TDP MMU: gfn %#lx level %u: we have %#018lx, KVM has no leaf",
				      leaves.leaf[i].gfn, leaves.leaf[i].level, leaves.leaf[i].spte);
	free(leaves.leaf);
}

void compare(struct replay *r)
{
	compare_shadow_pages(r);
	compare_tdp_leaves(r);
	/* What differs anyway is told of first. */
	if (!r->seen.nr_differences)
		spoil_final(r);
}
