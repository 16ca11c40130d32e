// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Spoils our side, one thing at a time, and asks the comparison. Which entries a row may take is decided here
 * and not with the comparison's own functions. Everything is put right again, since the engine still has to be
 * destroyed.
 */
#include <stdio.h>
#include <string.h>

#include "replay.h"
#include "spte/spte.h"

static const char *const event_names[SPOIL_NR_EVENTS] = {
	[SPOIL_OUTCOME_EMULATE] = "outcome-emulate",
	[SPOIL_OUTCOME_RESUME] = "outcome-resume",
	[SPOIL_OUTCOME_NO_PF] = "outcome-no-pf",
	[SPOIL_OUTCOME_PF] = "outcome-pf",
	[SPOIL_OUTCOME_NO_EXIT] = "outcome-no-exit",
	[SPOIL_OUTCOME_EXIT] = "outcome-exit",
	[SPOIL_PF_ERROR] = "pf-error",
	[SPOIL_EXIT_INFO] = "exit-info",
	[SPOIL_EXIT_ADDR] = "exit-addr",
	[SPOIL_WORD_FRAME] = "word-frame",
	[SPOIL_WORD_ACCESSED] = "word-accessed",
	[SPOIL_WORD_DIRTY_CLEAR] = "word-dirty-clear",
	[SPOIL_WORD_DIRTY_SET] = "word-dirty-set",
	[SPOIL_STORE] = "store",
	[SPOIL_DIRTY_MISSING] = "dirty-missing",
	[SPOIL_DIRTY_EXTRA] = "dirty-extra",
};

bool spoil_begin(struct replay *r)
{
	if (!r->spoil || r->silent)
		return false;
	r->unspoiled = r->seen;
	r->silent = true;
	return true;
}

/* How many differences there were since spoil_begin(). */
static u64 spoil_done(struct replay *r)
{
	u64 nr = r->seen.nr_differences - r->unspoiled.nr_differences;

	r->seen = r->unspoiled;
	r->silent = false;
	return nr;
}

void spoil_end(struct replay *r, enum spoil_event what)
{
	r->spoils[what].nr++;
	r->spoils[what].noticed += !!spoil_done(r);
}

static void row_print(const char *prefix, const char *name, const struct spoil_count *count)
{
	printf("spoil %s%s possible=%lu noticed=%lu\n", prefix, name, count->nr, count->noticed);
}

void spoil_print(const struct replay *r)
{
	for (int i = 0; i < SPOIL_NR_EVENTS; i++)
		row_print("", event_names[i], &r->spoils[i]);
}

/* --- at the end --- */

/* Where a row is at work: a page of ours, its fellow of KVM's, an entry. */
struct spot {
	struct nmmu_sp *sp;
	const struct ms_sp *kvm; /* NULL: a direct page, to be held against the TDP MMU's leaves */
	u32 i;
};

struct search {
	struct replay *r;
	const struct row *row;
	bool tdp; /* among the pages that are compared by their leaves */
	u32 level; /* of the pages looked at */
	u64 nr, at; /* spots seen; the one that is wanted */
	struct spot found;
	bool done;
};

enum kind { LEAF, TABLE, MMIO, NOTHING };

/*
 * An entry: of these kinds for both, `set' in ours, `clear' in neither, and then our entry is changed by
 * `flip' or to what `change' says. Under the TDP MMU with tdp only.
 */
struct row {
	const char *name;
	enum kind kind;
	u64 flip;
	enum {
		FLIP,
		FLIP_A, /* set, where KVM has it clear */
		FLIP_D,
		FLIP_GEN,
		DROP, /* the entry is cleared */
		COPY_LEAF, /* one that is nothing becomes as another of the page */
		COPY_LEAF_A, /* the same with A set: not prefetched */
		COPY_TABLE,
		COPY_MMIO,
		CHILD, /* points to another page of ours */
		NO_CHILD, /* points to what is no page */
		TRANSLATION,
		WINDOW_ELSEWHERE, /* dropped, and a neighbouring range is excused */
		WINDOW_OURS, /* dropped, and there ours is excused */
		WINDOW_ACCESSED, /* as COPY_LEAF_A, and there ours is excused */
		WINDOW_BOTH, /* W turned over, where KVM has it and we too */
	} change;
	bool tdp, shadow;
};

static const struct row rows[] = {
	{ "leaf-w", LEAF, SPTE_BIT(1), FLIP, true, true },
	{ "leaf-u", LEAF, SPTE_BIT(2), FLIP, true, true },
	{ "leaf-host-w", LEAF, SPTE_BIT(9), FLIP, true, true },
	{ "leaf-mmu-w", LEAF, SPTE_BIT(10), FLIP, true, true },
	{ "leaf-frame", LEAF, SPTE_BIT(21), FLIP, true, true },
	{ "leaf-nx", LEAF, SPTE_BIT(63), FLIP, true, true },
	{ "leaf-accessed", LEAF, 0, FLIP_A, false, true },
	{ "leaf-dirty", LEAF, 0, FLIP_D, true, true },
	{ "leaf-missing", LEAF, 0, DROP, true, true },
	{ "leaf-extra", NOTHING, 0, COPY_LEAF, false, true },
	{ "leaf-extra-accessed", NOTHING, 0, COPY_LEAF_A, true, true },
	{ "table-w", TABLE, SPTE_BIT(1), FLIP, false, true },
	{ "table-u", TABLE, SPTE_BIT(2), FLIP, false, true },
	{ "table-nx", TABLE, SPTE_BIT(63), FLIP, false, true },
	{ "table-missing", TABLE, 0, DROP, false, true },
	{ "table-extra", NOTHING, 0, COPY_TABLE, false, true },
	{ "table-child", TABLE, 0, CHILD, false, true },
	{ "table-no-child", TABLE, 0, NO_CHILD, false, true },
	{ "mmio-generation", MMIO, 0, FLIP_GEN, true, true },
	{ "mmio-w", MMIO, SPTE_BIT(1), FLIP, true, true },
	{ "mmio-frame", MMIO, SPTE_BIT(12), FLIP, true, true },
	{ "mmio-missing", MMIO, 0, DROP, true, true },
	{ "mmio-extra", NOTHING, 0, COPY_MMIO, true, true },
	{ "translation-frame", LEAF, SPTE_BIT(12), TRANSLATION, false, true },
	{ "translation-access", LEAF, SPTE_BIT(0), TRANSLATION, false, true },
	{ "window-elsewhere", LEAF, 0, WINDOW_ELSEWHERE, false, true },
	{ "window-ours", LEAF, 0, WINDOW_OURS, false, true },
	{ "window-accessed", NOTHING, 0, WINDOW_ACCESSED, false, true },
	{ "window-both", LEAF, 0, WINDOW_BOTH, false, true },
};

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static enum kind kind_of(const struct replay *r, u64 spte, u32 level)
{
	const struct spte_profile *p = &r->m->profile;

	if (spte_is_mmu_present(p, spte))
		return level == 1 || spte & SPTE_HW_HUGE ? LEAF : TABLE;
	return spte_is_mmio(p, spte) ? MMIO : NOTHING;
}

static bool is_tdp(const struct replay *r, const struct nmmu_sp *sp)
{
	return r->trace->tdp_mmu && sp->role.direct && !sp->role.guest_mode;
}

/* KVM's page, when only one could be meant. */
static const struct ms_sp *fellow_of(const struct replay *r, const struct nmmu_sp *sp)
{
	const struct ms_sp *found = NULL;

	for (size_t i = 0; i < r->vm->nr_sps; i++) {
		const struct ms_sp *kvm = &r->vm->sps[i];

		if (kvm->rec.tdp_mmu_page || kvm->rec.gfn != sp->gfn || kvm->rec.role != sp->role.word)
			continue;
		if (found || !kvm->tables)
			return NULL;
		found = kvm;
	}
	return found;
}

/* What the TDP MMU has for a frame; false: a range it has split, where it may have what we have not. */
static bool tdp_entry(const struct replay *r, u64 gfn, u32 level, u64 *ret)
{
	*ret = 0;
	for (size_t i = 0; i < r->nr_splits; i++)
		if (r->splits[i] == (gfn & ~511ull))
			return false;
	for (size_t i = 0; i < r->vm->nr_sps; i++) {
		const struct ms_sp *kvm = &r->vm->sps[i];
		u64 e = gfn - kvm->rec.gfn;

		if (!kvm->rec.tdp_mmu_page || !kvm->tables || kvm->level != level || gfn < kvm->rec.gfn)
			continue;
		e /= ms_level_pages(level);
		if (e < MS_SPTES)
			*ret = kvm->tables->sptes[e];
	}
	return true;
}

static bool in_window(const struct replay *r, const struct spot *s)
{
	for (size_t w = 0; w < r->nr_windows; w++)
		if (r->windows[w].table_gfn == s->sp->gfn && r->windows[w].index == (s->i & ~7u))
			return true;
	return false;
}

/* An entry of that kind in the same page, or `none'. */
static u64 like(const struct replay *r, const struct nmmu_sp *sp, enum kind kind, u64 none)
{
	for (u32 i = 0; i < MS_SPTES; i++)
		if (kind_of(r, sp->spt[i], sp->role.level) == kind)
			return sp->spt[i];
	return none;
}

struct other {
	const struct nmmu_sp * not, *found;
};

static bool other_visit(void *ctx, const struct nmmu_sp *sp)
{
	struct other *o = ctx;

	if (sp->gfn == o->not ->gfn && sp->role.word == o->not ->role.word)
		return true;
	o->found = sp;
	return false;
}

/* The address of a page of ours that is another than the child of this entry; 0: there is none. */
static u64 other_child(const struct replay *r, u64 spte)
{
	struct other o = { .not = nmmu_sp_by_pa(r->m, spte & spte_pfn_mask(&r->m->profile)) };

	if (!o.not )
		return 0;
	nmmu_for_each_sp(r->m, other_visit, &o);
	return o.found ? o.found->spt_pa : 0;
}

/* The entry as the row has it; the same as before: this is no spot for the row. */
static u64 changed(const struct replay *r, const struct row *row, const struct spot *s, u64 kvm)
{
	const struct spte_profile *p = &r->m->profile;
	u64 mine = s->sp->spt[s->i], pa, other;
	u32 level = s->sp->role.level;

	if (kind_of(r, mine, level) != row->kind || kind_of(r, kvm, level) != row->kind || in_window(r, s))
		return mine;
	switch (row->change) {
	case FLIP:
		return mine ^ row->flip;
	case FLIP_A:
		return kvm & p->m.accessed ? mine : mine | p->m.accessed;
	case FLIP_D:
		return kvm & p->m.dirty ? mine : mine | p->m.dirty;
	case FLIP_GEN:
		return mine ^ (spte_gen_low_mask(p) & -spte_gen_low_mask(p));
	case DROP:
		return p->nonpresent_value;
	case COPY_LEAF:
		return like(r, s->sp, LEAF, mine) & ~p->m.accessed;
	case COPY_LEAF_A:
	case WINDOW_ACCESSED:
		other = like(r, s->sp, LEAF, mine);
		return other == mine ? mine : other | p->m.accessed;
	case COPY_TABLE:
		return like(r, s->sp, TABLE, mine);
	case COPY_MMIO:
		return like(r, s->sp, MMIO, mine);
	case CHILD:
		pa = other_child(r, mine);
		return pa ? (mine & ~spte_pfn_mask(p)) | pa : mine;
	case NO_CHILD:
		return (mine & ~spte_pfn_mask(p)) | NMMU_PAGE_SIZE;
	case TRANSLATION:
		return s->kvm && s->kvm->rec.have & MS_SP_HAVE_TRANSLATIONS && s->sp->translation ? ~mine
												  : mine;
	case WINDOW_ELSEWHERE:
	case WINDOW_OURS:
		return level == 1 ? p->nonpresent_value : mine;
	case WINDOW_BOTH:
		return level == 1 ? mine ^ SPTE_HW_W : mine;
	}
	return mine;
}

static u64 theirs(const struct replay *r, const struct spot *s, bool *ok)
{
	u64 kvm = 0;

	if (s->kvm)
		return s->kvm->tables->sptes[s->i];
	*ok = tdp_entry(r, s->sp->gfn + s->i * ms_level_pages(s->sp->role.level), s->sp->role.level, &kvm);
	return kvm;
}

static bool entry_visit(void *ctx, const struct nmmu_sp *sp)
{
	struct search *search = ctx;
	struct spot s = { .sp = (struct nmmu_sp *)sp };

	if (sp->role.level != search->level || is_tdp(search->r, sp) != search->tdp)
		return true;
	s.kvm = search->tdp ? NULL : fellow_of(search->r, sp);
	if (!search->tdp && !s.kvm)
		return true;
	for (s.i = 0; s.i < MS_SPTES && !search->done; s.i++) {
		bool ok = true;
		u64 kvm = theirs(search->r, &s, &ok);

		if (!ok || changed(search->r, search->row, &s, kvm) == sp->spt[s.i])
			continue;
		search->done = search->nr++ == search->at;
		if (search->done)
			search->found = s;
	}
	return !search->done;
}

/* The page list's own, without const: pages are put out of it and back. */
static bool page_visit(void *ctx, const struct nmmu_sp *sp)
{
	struct search *search = ctx;
	struct spot s = { .sp = (struct nmmu_sp *)sp, .kvm = fellow_of(search->r, sp) };

	if (sp->role.level != search->level || is_tdp(search->r, sp) || !s.kvm)
		return true;
	search->done = search->nr++ == search->at;
	if (search->done)
		search->found = s;
	return !search->done;
}

/* The middle one of all spots. */
static bool search(struct search *search, bool (*visit)(void *ctx, const struct nmmu_sp *sp))
{
	search->at = ~0ull;
	nmmu_for_each_sp(search->r->m, visit, search);
	search->at = search->nr / 2;
	search->nr = 0;
	nmmu_for_each_sp(search->r->m, visit, search);
	return search->done;
}

static u64 spoiled_compare(struct replay *r)
{
	if (!spoil_begin(r))
		return 0;
	compare(r);
	return spoil_done(r);
}

static void entry_spoil(struct replay *r, const struct row *row, const struct spot *s,
			struct spoil_count *count)
{
	struct replay_window window = { s->sp->gfn, s->i & ~7u, row->change != WINDOW_ELSEWHERE };
	struct replay_window *windows = r->windows;
	size_t nr_windows = r->nr_windows;
	u64 *entry = &s->sp->spt[s->i], *translation = s->sp->translation, old = *entry, nr;
	bool ok = true;

	if (row->change == TRANSLATION)
		translation[s->i] ^= row->flip;
	else
		*entry = changed(r, row, s, theirs(r, s, &ok));
	if (row->change >= WINDOW_ELSEWHERE) {
		window.index ^= row->change == WINDOW_ELSEWHERE ? 8 : 0;
		r->windows = &window;
		r->nr_windows = 1;
	}
	nr = spoiled_compare(r);
	r->windows = windows;
	r->nr_windows = nr_windows;
	if (row->change == TRANSLATION)
		translation[s->i] ^= row->flip;
	*entry = old;
	count->nr++;
	/* A bit is one difference, neither more nor less. */
	count->noticed += row->change == FLIP ? nr == 1 : nr > 0;
}

static void entries_spoil(struct replay *r, bool tdp)
{
	for (size_t i = 0; i < NR_ROWS; i++) {
		struct spoil_count count = { 0 };

		if (!(tdp ? rows[i].tdp : rows[i].shadow))
			continue;
		for (u32 level = 1; level <= SPTE_LEVEL_MAX; level++) {
			struct search s = { .r = r, .row = &rows[i], .tdp = tdp, .level = level };

			if (search(&s, entry_visit))
				entry_spoil(r, &rows[i], &s.found, &count);
		}
		row_print(tdp ? "tdp-" : "", rows[i].name, &count);
	}
}

enum page_row {
	PAGE_MISSING,
	PAGE_EXTRA,
	PAGE_ROLE,
	UNSYNC,
	UNSYNC_CHILDREN,
	ROOT_COUNT,
	FLOODING,
	NR_PAGE_ROWS
};

static const char *const page_names[NR_PAGE_ROWS] = {
	[PAGE_MISSING] = "page-missing",
	[PAGE_EXTRA] = "page-extra",
	[PAGE_ROLE] = "page-role",
	[UNSYNC] = "unsync",
	[ROOT_COUNT] = "root-count",
	[FLOODING] = "write-flooding",
	[UNSYNC_CHILDREN] = "unsync-children",
};

static void link_in(struct nmmu_link *link)
{
	link->prev->next = link;
	link->next->prev = link;
}

static void link_out(struct nmmu_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
}

static void page_spoil(struct replay *r, enum page_row row, const struct spot *s, struct spoil_count *count)
{
	struct nmmu_sp *sp = s->sp, old = *sp, extra = *sp;
	u64 have = s->kvm->rec.have, nr;

	if ((row == UNSYNC && !(have & MS_SP_HAVE_UNSYNC)) ||
	    (row == UNSYNC_CHILDREN && !(have & MS_SP_HAVE_UNSYNC_CHILDREN)) ||
	    (row == ROOT_COUNT && !(have & MS_SP_HAVE_ROOT_COUNT)) ||
	    (row == FLOODING && !(have & MS_SP_HAVE_WRITE_FLOODING)))
		return;
	sp->unsync ^= row == UNSYNC;
	sp->unsync_children += row == UNSYNC_CHILDREN;
	sp->root_count += row == ROOT_COUNT;
	sp->write_flooding += row == FLOODING;
	sp->role.efer_nx ^= row == PAGE_ROLE;
	if (row == PAGE_MISSING)
		link_out(&sp->link);
	extra.link = (struct nmmu_link){ &sp->link, sp->link.next };
	if (row == PAGE_EXTRA)
		link_in(&extra.link);
	nr = spoiled_compare(r);
	if (row == PAGE_EXTRA)
		link_out(&extra.link);
	*sp = old;
	if (row == PAGE_MISSING)
		link_in(&sp->link);
	count->nr++;
	count->noticed += nr > 0;
}

void spoil_final(struct replay *r)
{
	if (!r->spoil || r->silent)
		return;
	for (int row = 0; row < NR_PAGE_ROWS; row++) {
		struct spoil_count count = { 0 };

		for (u32 level = 1; level <= SPTE_LEVEL_MAX; level++) {
			struct search s = { .r = r, .level = level };

			if (search(&s, page_visit))
				page_spoil(r, row, &s.found, &count);
		}
		row_print("", page_names[row], &count);
	}
	entries_spoil(r, false);
	entries_spoil(r, true);
}
