/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See auditlists.h. */
#include <stdlib.h>
#include <string.h>

#include "auditlists.h"

#define BIT(n) (1ull << (n))

/* That an SPTE belongs into a list: of a frame (sp 0) or of a page. */
struct member {
	u64 sp, gfn;
	u32 as_id, level;
	u64 spte;
};

struct members {
	struct member m[4096];
	size_t nr;
};

static void add(struct members *all, struct member m)
{
	if (all->nr == sizeof(all->m) / sizeof(all->m[0]))
		abort();
	all->m[all->nr++] = m;
}

static const struct ms_rec_sp *page_by_table(struct audit_host *h, u64 pfn)
{
	struct small_item *item;
	size_t i;

	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++) {
		const struct ms_rec_sp *sp = item->rec;

		if (sp->kvm == FAKE_KVM(0) && sp->spt_pfn == pfn)
			return sp;
	}
	return NULL;
}

static u64 span(u32 level)
{
	return 1ull << 9 * (level - 1);
}

static void members_of_page(struct audit_host *h, struct members *all, const struct ms_rec_sp *sp,
			    const struct ms_sp_tables *t)
{
	u32 level = sp->role & 15, idx;
	bool stored = sp->have & MS_SP_HAVE_TRANSLATIONS;

	for (idx = 0; idx < MS_SPTES; idx++) {
		u64 raw = t->sptes[idx], pfn = raw >> 12 & (BIT(40) - 1);
		struct member m = { .spte = FAKE_DIRECT_MAP + (sp->spt_pfn << 12) + 8 * idx };
		const struct ms_rec_sp *child;

		if (!(raw & BIT(11)))
			continue;
		if (level == 1 || raw & BIT(7)) {
			m.as_id = sp->role >> 24;
			m.level = level;
			m.gfn = stored ? t->translations[idx] >> 12 : sp->gfn + idx * span(level);
			m.gfn &= ~(span(level) - 1);
		} else {
			child = page_by_table(h, pfn);
			if (!child || child->tdp_mmu_page)
				continue;
			m.sp = child->sp;
			m.level = level;
		}
		add(all, m);
	}
}

static int by_list(const void *left, const void *right)
{
	const struct member *a = left, *b = right;

#define CMP(field)                \
	if (a->field != b->field) \
		return a->field < b->field ? -1 : 1;
	CMP(sp)
	CMP(as_id)
	CMP(level)
	CMP(gfn)
	CMP(spte)
#undef CMP
	return 0;
}

static bool same_list(const struct member *a, const struct member *b)
{
	return a->sp == b->sp && a->as_id == b->as_id && a->level == b->level && a->gfn == b->gfn;
}

/* How many of nr entries the next descriptor takes: kernels that count tails fill all but the head. */
static size_t fill(const struct audit_host *h, const struct audit_lists *opts, size_t left, bool head)
{
	size_t each = opts->per_desc ? opts->per_desc : MS_RMAP_EXT;

	if (head && opts->first_desc)
		return opts->first_desc;
	if (head && !h->v61 && left % each)
		return left % each;
	return left < each ? left : each;
}

static void put_descs(struct audit_host *h, const struct audit_lists *opts, const struct member *m, size_t nr,
		      struct ms_rec_rmap *rec)
{
	bool empty = !rec->sp && rec->gfn == opts->empty_desc_gfn;
	struct ms_rec_rmap_desc desc = { .kvm = FAKE_KVM(0), .desc = rec->head & ~MS_RMAP_FLAGS };
	size_t at, n, i;

	for (at = 0; at < nr; at += fill(h, opts, nr - at, !at))
		rec->nr_descs++;
	rec->nr_descs += empty;
	small_add(&h->records, MS_REC_RMAP, rec, NULL);
	if (empty) {
		desc.tail_count = nr;
		desc.more = desc.desc + 128;
		small_add(&h->records, MS_REC_RMAP_DESC, &desc, NULL);
		desc.desc += 128;
	}
	for (at = 0; at < nr; at += n) {
		n = fill(h, opts, nr - at, !at);
		memset(desc.sptes, 0, sizeof(desc.sptes));
		desc.count = n;
		desc.tail_count = h->v61 ? 0 : nr - at - n + opts->tails_off;
		desc.more = at + n < nr ? desc.desc + 128 : 0;
		for (i = 0; i < n; i++)
			desc.sptes[i] = m[at + i].spte;
		small_add(&h->records, MS_REC_RMAP_DESC, &desc, NULL);
		desc.desc += 128;
	}
}

static void put_list(struct audit_host *h, const struct audit_lists *opts, const struct member *m, size_t nr,
		     u64 nth)
{
	struct ms_rec_rmap rec = { .have = opts->have | (m->sp ? 0 : MS_RMAP_HAVE_GFN) |
					   (h->v61 ? 0 : MS_RMAP_HAVE_TAIL_COUNT),
				   .kvm = FAKE_KVM(0),
				   .gfn = m->gfn,
				   .sp = m->sp,
				   .as_id = (u16)m->as_id,
				   .level = (u8)m->level,
				   .nr_entries = (u32)nr,
				   .state = (u8)opts->state };

	if (nr == 1 && (m->sp || m->gfn != opts->empty_desc_gfn)) {
		rec.head = m->spte;
		small_add(&h->records, MS_REC_RMAP, &rec, NULL);
		return;
	}
	rec.head = 0xffff888f00000000ull + nth * 0x10000 + MS_RMAP_MANY;
	put_descs(h, opts, m, nr, &rec);
}

static void put_counts(struct audit_host *h, const struct audit_lists *opts)
{
	struct small_item *item, *other;
	size_t i, j;

	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++) {
		const struct ms_rec_sp *sp = item->rec, *twin;
		struct ms_rec_gfn rec = {
			.kvm = FAKE_KVM(0), .gfn = sp->gfn, .as_id = (u16)(sp->role >> 24), .level = 1
		};
		bool first = true;

		/* Guest tables of level 2 and more: neither direct, nor zapped, nor passthrough. */
#define TRACKS(sp)                                                                                       \
	((sp)->kvm == FAKE_KVM(0) && !(sp)->tdp_mmu_page && ((sp)->role & 15) > 1 && (sp)->state == 0 && \
	 !((sp)->role & (BIT(7) | BIT(11) | BIT(18))))
		if (!TRACKS(sp))
			continue;
		for (j = 0; (other = small_find(&h->records, MS_REC_SP, j)); j++) {
			twin = other->rec;
			if (!TRACKS(twin) || twin->gfn != sp->gfn || twin->role >> 24 != sp->role >> 24)
				continue;
			rec.count++;
			first = first && j >= i;
		}
		if (opts->count_by && rec.gfn == opts->count_gfn)
			rec.count = (u32)((s32)rec.count + opts->count_by);
		if (first && rec.count)
			small_add(&h->records, MS_REC_GFN, &rec, NULL);
	}
}

void audit_lists_add(struct audit_host *h, const struct audit_lists *opts)
{
	struct ms_rec_rmaps end = { .have = (MS_RMAPS_HAVE_RMAPS | MS_RMAPS_HAVE_PARENTS |
					     MS_RMAPS_HAVE_WRITE_TRACK | MS_RMAPS_HAVE_LPAGE |
					     MS_RMAPS_HAVE_DIRECT_MAP) &
					    ~opts->lacking,
				    .kvm = FAKE_KVM(0),
				    .generation = { opts->generation, opts->generation },
				    .flags = opts->flags,
				    .direct_map = FAKE_DIRECT_MAP };
	struct members *all = calloc(1, sizeof(*all));
	struct small_item *item;
	size_t i, nr, kept = 0;

	if (opts->generation)
		end.have |= MS_RMAPS_HAVE_GENERATION;
	if (!all)
		abort();
	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++) {
		const struct ms_rec_sp *sp = item->rec;

		if (sp->kvm == FAKE_KVM(0) && !sp->tdp_mmu_page && item->tables && !(sp->role & BIT(11)))
			members_of_page(h, all, sp, item->tables);
	}
	if (opts->foreign)
		add(all, (struct member){ .sp = opts->foreign_sp,
					  .gfn = opts->foreign_gfn,
					  .level = opts->foreign_sp ? 2 : 1,
					  .spte = opts->foreign });
	for (i = 0, nr = all->nr; i < nr; i++) {
		if (all->m[i].spte == opts->twice)
			add(all, all->m[i]);
		if (all->m[i].spte == opts->omit)
			all->m[i].level = ~0u;
	}
	qsort(all->m, all->nr, sizeof(all->m[0]), by_list);
	for (i = 0; i < all->nr; i++)
		if (all->m[i].level != ~0u)
			all->m[kept++] = all->m[i];
	for (i = 0; i < kept; i += nr) {
		for (nr = 1; i + nr < kept && same_list(&all->m[i], &all->m[i + nr]); nr++)
			;
		put_list(h, opts, &all->m[i], nr, i);
	}
	put_counts(h, opts);
	small_add(&h->records, MS_REC_RMAPS, &end, NULL);
	h->listed = true;
	free(all);
}

/* --- what breaks a row --- */

static void leaf_not_listed(struct audit_host *h)
{
	AUDIT_LISTS(h, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
}

static void leaf_of_split_not_listed(struct audit_host *h)
{
	AUDIT_LISTS(h, .omit = FAKE_ENTRY_VA(0, FAKE_N_DIRECT, 2));
}

static void alias_not_listed(struct audit_host *h)
{
	AUDIT_LISTS(h, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, FAKE_N_ALIAS_IDX));
}

static void leaf_listed_twice(struct audit_host *h)
{
	AUDIT_LISTS(h, .twice = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
}

static void list_of_nothing(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_DIRECT_MAP + 0x7ffff000, .foreign_gfn = FAKE_L2_GFN(2));
}

static void list_of_absent(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_N_L1, 300), .foreign_gfn = FAKE_L2_GFN(2));
}

static void list_of_table(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_N_L2, 0), .foreign_gfn = FAKE_L2_GFN(2));
}

static void list_of_other_frame(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_N_L1, 7), .foreign_gfn = FAKE_L2_GFN(2));
}

static void list_of_tdp(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_TDP_L1, 2), .foreign_gfn = 2);
}

static void list_with_empty_desc(struct audit_host *h)
{
	audit_lists_add(h, &(struct audit_lists){ .empty_desc_gfn = FAKE_L2_GFN(0) });
}

static void list_in_ring(struct audit_host *h)
{
	AUDIT_LISTS(h, .have = MS_RMAP_ENDLESS);
}

static void tails_not_full(struct audit_host *h)
{
	AUDIT_LISTS(h, .per_desc = 1);
}

static void tails_miscounted(struct audit_host *h)
{
	AUDIT_LISTS(h, .tails_off = 1);
}

static void table_not_listed(struct audit_host *h)
{
	AUDIT_LISTS(h, .omit = FAKE_ENTRY_VA(0, FAKE_N_L2, 1));
}

static void table_listed_twice(struct audit_host *h)
{
	AUDIT_LISTS(h, .twice = FAKE_ENTRY_VA(0, FAKE_N_ROOT, 0));
}

static void parent_of_another(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_N_L2, 0),
		    .foreign_sp = FAKE_SP(0, (u64)FAKE_N_UNSYNC));
}

static void parent_that_is_leaf(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_N_L1, 0),
		    .foreign_sp = FAKE_SP(0, (u64)FAKE_N_UNSYNC));
}

static void parent_nowhere(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_DIRECT_MAP + 0x7ffff008, .foreign_sp = FAKE_SP(0, (u64)FAKE_N_UNSYNC));
}

static void table_not_tracked(struct audit_host *h)
{
	AUDIT_LISTS(h, .count_gfn = FAKE_N_L2_GFN, .count_by = -1);
}

static void two_tables_tracked_once(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_PREV)->gfn = FAKE_N_ROOT_GFN;
	audit_page_of(h, FAKE_N_PREV)->role = audit_page_of(h, FAKE_N_ROOT)->role ^ BIT(13);
	AUDIT_LISTS(h, .count_gfn = FAKE_N_ROOT_GFN, .count_by = -1);
}

static void be_sim(struct audit_host *h)
{
	struct ms_rec_host *host = audit_host(h);

	memset(host->target, 0, sizeof(host->target));
	memcpy(host->target, "sim", 3);
	host->nx_huge_pages = 0;
	audit_page_of(h, FAKE_N_TORN)->state = MS_SP_CONFIRMED;
	audit_page_of(h, FAKE_N_UNLINKED)->state = MS_SP_CONFIRMED;
}

static void tracked_once_too_often(struct audit_host *h)
{
	be_sim(h);
	AUDIT_LISTS(h, .count_gfn = FAKE_N_L2_GFN, .count_by = 1);
}

/* Others may track a frame as well. */
static void tracked_by_others(struct audit_host *h)
{
	AUDIT_LISTS(h, .count_gfn = FAKE_N_L2_GFN, .count_by = 1);
}

static void torn_lists(struct audit_host *h)
{
	AUDIT_LISTS(h, .state = MS_RMAP_TORN, .foreign = FAKE_DIRECT_MAP + 0x7ffff000,
		    .foreign_gfn = FAKE_L2_GFN(2), .per_desc = 1);
}

static void lists_of_later(struct audit_host *h)
{
	AUDIT_LISTS(h, .generation = FAKE_MMIO_GEN + 2, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
}

static void leaf_not_listed_steady(struct audit_host *h)
{
	AUDIT_LISTS(h, .generation = FAKE_MMIO_GEN, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
}

static void walk_broken(struct audit_host *h)
{
	struct small_item *item;
	size_t i;

	for (i = 0; (item = small_find(&h->records, MS_REC_WALK, i)); i++)
		((struct ms_rec_walk *)item->rec)->flags |= MS_WALK_BROKEN;
}

static void list_of_page_not_met(struct audit_host *h)
{
	walk_broken(h);
	list_of_nothing(h);
}

static void parent_not_met(struct audit_host *h)
{
	walk_broken(h);
	parent_nowhere(h);
}

static void lists_not_whole(struct audit_host *h)
{
	AUDIT_LISTS(h, .flags = MS_RMAPS_UNREAD, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
}

static void lists_broken(struct audit_host *h)
{
	AUDIT_LISTS(h, .flags = MS_RMAPS_BROKEN, .omit = FAKE_ENTRY_VA(0, FAKE_N_L1, 3));
}

static void parent_torn(struct audit_host *h)
{
	AUDIT_LISTS(h, .foreign = FAKE_ENTRY_VA(0, FAKE_N_TORN, 300),
		    .foreign_sp = FAKE_SP(0, (u64)FAKE_N_UNSYNC));
}

static void parents_of_torn(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_UNSYNC)->state = MS_SP_TORN;
	parent_that_is_leaf(h);
}

/* A table in sync at this frame of address space 1. */
static void table_of_space_1(struct audit_host *h, u64 gfn)
{
	audit_page_of(h, FAKE_N_PREV)->gfn = gfn;
	audit_page_of(h, FAKE_N_PREV)->role = audit_page_of(h, FAKE_N_ROOT)->role | BIT(24);
}

static void behind_all_tables(struct audit_host *h)
{
	table_of_space_1(h, FAKE_L2_GFN(3));
}

static void where_one_is_unsync(struct audit_host *h)
{
	table_of_space_1(h, FAKE_N_UNSYNC_GFN);
}

static void where_one_is_tracked(struct audit_host *h)
{
	table_of_space_1(h, FAKE_N_L2_GFN);
}

const struct audit_trip audit_list_trips[] = {
	{ "a leaf in no reverse map", ROW(18), ALL, leaf_not_listed },
	{ "the same, memslots as before", ROW(18), ALL, leaf_not_listed_steady },
	{ "a leaf of a split page in none", ROW(18), ALL, leaf_of_split_not_listed },
	{ "an alias in none", ROW(18), ALL, alias_not_listed },
	{ "a leaf twice in its reverse map", ROW(18), ALL, leaf_listed_twice },
	{ "a reverse map of what is no page", ROW(19), ALL, list_of_nothing },
	{ "a reverse map of what is not present", ROW(19), ALL, list_of_absent },
	{ "a reverse map of an entry of a table", ROW(19), ALL, list_of_table },
	{ "a reverse map of another frame's leaf", ROW(19), ALL, list_of_other_frame },
	{ "a reverse map of a TDP MMU's leaf", ROW(19), ALL, list_of_tdp },
	{ "a descriptor that is empty", ROW(20), ALL, list_with_empty_desc },
	{ "descriptors in a ring", ROW(20), ALL, list_in_ring },
	{ "descriptors behind the head not full", ROW(20), EPT612 | NPT612 | PT612, tails_not_full },
	{ "descriptors that miscount their tail", ROW(20), EPT612 | NPT612 | PT612, tails_miscounted },
	{ "a table's entry not among the parents", ROW(21), ALL, table_not_listed },
	{ "a table's entry twice among them", ROW(21), ALL, table_listed_twice },
	{ "a parent that leads to another page", ROW(22), ALL, parent_of_another },
	{ "a parent that is a leaf", ROW(22), ALL, parent_that_is_leaf },
	{ "a parent in no page", ROW(22), ALL, parent_nowhere },
	{ "a guest table whose writes go by", ROW(32), ALL, table_not_tracked },
	{ "two tables of a frame, counted once", ROW(32), ALL, two_tables_tracked_once },
	{ "a count that nobody holds, simulated", ROW(32), ALL, tracked_once_too_often },
	{ "descriptors of one each, on 6.1", 0, EPT61 | NPT61 | PT61, tails_not_full },
	{ "a frame that others track, too", 0, ALL, tracked_by_others },
	{ "torn lists of rubbish", 0, ALL, torn_lists },
	{ "a list of a page that was not met", 0, ALL, list_of_page_not_met },
	{ "a parent that was not met", 0, ALL, parent_not_met },
	{ "memslots that changed meanwhile", 0, ALL, lists_of_later },
	{ "lists that were not read whole", 0, ALL, lists_not_whole },
	{ "lists that were left half-way", 0, ALL, lists_broken },
	{ "a parent in a torn page", 0, ALL, parent_torn },
	{ "a wrong parent of a torn page", 0, ALL, parents_of_torn },
	{ "a table of space 1 behind all of space 0", 0, ALL, behind_all_tables },
	{ "one where space 0 has one that is unsync", 0, ALL, where_one_is_unsync },
	{ "one where space 0 has one that is tracked", 0, ALL, where_one_is_tracked },
	{ 0 },
};
