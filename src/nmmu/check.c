// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's check of itself: the invariants of SEMANTICS H that can be judged from the machine alone. It
 * reads and changes nothing, and trusts nothing that it has not looked at: a broken machine is what it is
 * for. Guest memory, traces and the host's mappings are not asked (rows 4, 8, 24's second half, 34-38,
 * 41-44).
 *
 * The machine must be at rest: mmu_lock held, or no vCPU inside the engine.
 */
#include "nmmu/private.h"

#include "spte/role.h"

_Static_assert(NMMU_ACC_X == ROLE_ACC_EXEC && NMMU_ACC_W == ROLE_ACC_WRITE && NMMU_ACC_U == ROLE_ACC_USER,
	       "spte_rights() and the engine name rights by the same bits");

#define SPTES 512u

struct check {
	u64 pinned; /* marks of all pages */
	const struct nmmu *m;
	u32 row;
	const char *text;
	const struct nmmu_sp *sp;
	bool stopped;
};

/* Keeps the first. Returns false, for `return broken(...)'. */
static bool broken(struct check *c, u32 row, const struct nmmu_sp *sp, const char *text)
{
	if (!c->row) {
		c->row = row;
		c->sp = sp;
		c->text = text;
	}
	return false;
}

/* Asked before each list that is gone through for one entry: it may be as long as memory allows. */
static bool is_stopped(struct check *c)
{
	if (!c->stopped && c->m->ops->stop)
		c->stopped = c->m->ops->stop(c->m->host);
	return c->stopped;
}

static u32 times_listed(struct nmmu_rmap head, const u64 *sptep)
{
	struct nmmu_rmap_iter it;
	u32 times = 0;
	u64 *entry;

	for (entry = nmmu_rmap_first(head, &it); entry; entry = nmmu_rmap_next(&it))
		times += entry == sptep;
	return times;
}

static struct nmmu_sp *child_of(const struct nmmu *m, u64 spte)
{
	return nmmu_sp_by_pa(m, spte_pfn(&m->profile, spte) << NMMU_PAGE_SHIFT);
}

static bool is_table(const struct nmmu *m, u64 spte, u32 level)
{
	return spte_is_mmu_present(&m->profile, spte) && !spte_is_leaf(&m->profile, spte, level);
}

/* --- lists (20, 19, 22) --- */

static bool check_shape(struct check *c, struct nmmu_rmap head, const struct nmmu_sp *sp)
{
	const struct nmmu_pte_desc *desc = head.val & 1 ? (void *)(head.val & ~(uintptr_t)1) : NULL;
	const struct nmmu_pte_desc *first = desc;
	u32 left = nmmu_rmap_count(head);

	if ((head.val & 1) && !desc)
		return broken(c, 20, sp, "a list of descriptors without one");
	for (; desc; desc = desc->more) {
		if (!desc->nr || desc->nr > NMMU_PTE_LIST_EXT)
			return broken(c, 20, sp, "a descriptor holds none, or more than fit");
		left -= desc->nr;
		if (!nmmu_is_6_12(c->m))
			continue;
		if (desc != first && desc->nr != NMMU_PTE_LIST_EXT)
			return broken(c, 20, sp, "a descriptor behind the head is not full");
		if (desc->tail_count != left)
			return broken(c, 20, sp, "tail_count is not what follows");
	}
	return true;
}

static bool check_rmap_entry(struct check *c, struct nmmu_slot *slot, const struct nmmu_rmap *head, u32 level,
			     const u64 *sptep)
{
	const struct nmmu *m = c->m;
	const struct nmmu_sp *sp = nmmu_sp_of_spte(m, sptep);
	u64 gfn;

	if (!sp || sp->role.invalid)
		return broken(c, 19, sp, "a reverse map points into no live page");
	if (sp->role.level != level || sp->role.smm != slot->as_id)
		return broken(c, 19, sp, "a reverse map holds an SPTE of another level or address space");
	if (!spte_is_leaf(&m->profile, nmmu_read64(sptep), level))
		return broken(c, 19, sp, "a reverse map holds an SPTE that is no leaf");
	gfn = nmmu_sp_gfn(sp, (u32)(sptep - sp->spt));
	if (gfn < slot->base_gfn && gfn + nmmu_level_pages(level) <= slot->base_gfn)
		return broken(c, 19, sp, "a reverse map holds an SPTE of another slot");
	if (gfn >= slot->base_gfn + slot->nr_pages || nmmu_slot_rmap(slot, gfn, level) != head)
		return broken(c, 19, sp, "a reverse map holds an SPTE of another gfn");
	return true;
}

static u32 nr_tracking(const struct nmmu *m, const struct nmmu_slot *slot, u64 gfn)
{
	struct nmmu_sp *sp;
	u32 nr = 0;

	for (sp = nmmu_hash_first(m, gfn); sp; sp = nmmu_hash_next(sp))
		nr += !sp->role.invalid && sp->role.level > 1 && nmmu_sp_has_gptes(sp) &&
		      sp->role.smm == slot->as_id;
	return nr;
}

static bool check_slot(struct check *c, struct nmmu_slot *slot)
{
	u64 i;
	u32 level;

	for (i = 0; i < slot->nr_pages; i++)
		if (slot->write_track[i] &&
		    slot->write_track[i] != nr_tracking(c->m, slot, slot->base_gfn + i))
			return broken(c, 32, nmmu_hash_first(c->m, slot->base_gfn + i),
				      "write-track count is not the number of tables at the gfn");
	for (level = 1; level <= SPTE_LEVEL_HUGE_MAX; level++) {
		u64 nr = nmmu_nr_lpages(slot, level);

		for (i = 0; i < nr; i++) {
			const struct nmmu_rmap *head = &slot->rmap[level - 1][i];
			struct nmmu_rmap_iter it;
			u64 *sptep;

			if (!head->val)
				continue;
			if (is_stopped(c) || !check_shape(c, *head, NULL))
				return false;
			for (sptep = nmmu_rmap_first(*head, &it); sptep; sptep = nmmu_rmap_next(&it))
				if (!check_rmap_entry(c, slot, head, level, sptep))
					return false;
		}
	}
	return true;
}

static bool is_marked(const struct nmmu_sp *sp, u32 index)
{
	return sp->unsync_bitmap[index / 64] & 1ULL << index % 64;
}

static bool check_parents(struct check *c, const struct nmmu_sp *sp)
{
	struct nmmu_rmap_iter it;
	u64 *sptep;

	if (!check_shape(c, sp->parents, sp))
		return false;
	for (sptep = nmmu_rmap_first(sp->parents, &it); sptep; sptep = nmmu_rmap_next(&it)) {
		const struct nmmu_sp *parent = nmmu_sp_of_spte(c->m, sptep);
		u64 spte = nmmu_read64(sptep);

		if (!parent || parent->role.invalid)
			return broken(c, 22, sp, "a parent entry lies in no live page");
		if (!is_table(c->m, spte, parent->role.level) || child_of(c->m, spte) != sp)
			return broken(c, 22, sp, "a parent entry does not point here");
		if ((sp->unsync || sp->unsync_children) && !is_marked(parent, (u32)(sptep - parent->spt)))
			return broken(c, 30, sp, "unsync, and not marked in a parent");
	}
	return true;
}

/* --- one SPTE --- */

static bool check_value(struct check *c, const struct nmmu_sp *sp, u64 spte)
{
	const struct spte_profile *p = &c->m->profile;
	u32 bad = spte_check(p, spte, sp->role.level), rule;

	/* L1 can bring this about (H 9). */
	if (c->m->cfg.exec_only)
		bad &= ~SPTE_BAD(RWX0);
	for (rule = 0; rule < SPTE_NR_RULES; rule++)
		if (bad & 1u << rule)
			return broken(c, spte_rule_row(rule), sp, spte_rule_text(rule));
	if (spte_is_frozen(p, spte))
		return broken(c, 17, sp, "the TDP MMU's frozen value in a page that is not its");
	return true;
}

static bool check_mmio(struct check *c, const struct nmmu_sp *sp, u64 spte)
{
	const struct spte_profile *p = &c->m->profile;
	u64 gen = nmmu_generation(c->m, sp->role.smm);
	u64 gen_mask = SPTE_BITS(p->gen_low_bits + p->gen_high_bits - 1, 0);

	if (gen & NMMU_GEN_UPDATE || spte_mmio_gen(p, spte) != (gen & gen_mask))
		return true;
	if (nmmu_slot_of(c->m, sp->role.smm, spte_mmio_gfn(p, spte)))
		return broken(c, 13, sp, "a current MMIO entry over memory");
	return true;
}

static bool check_leaf(struct check *c, const struct nmmu_sp *sp, u32 index, u64 spte)
{
	const struct nmmu *m = c->m;
	const struct spte_profile *p = &m->profile;
	u64 gfn = nmmu_sp_gfn(sp, index);
	struct nmmu_slot *slot = nmmu_sp_slot(m, sp, gfn);
	u32 times;

	if (sp->role.level > SPTE_LEVEL_HUGE_MAX)
		return broken(c, 11, sp, "a leaf above level 3");
	if (slot && slot->flags & MS_SLOT_READONLY && spte_is_host_writable(p, spte))
		return broken(c, 3, sp, "host-writable in a read-only slot");
	if (!spte_kind_fits_role(p, spte, sp->role.ad_disabled))
		return broken(c, 6, sp, "A/D kind and role.ad_disabled differ");
	if (m->cfg.pml && sp->role.guest_mode && !sp->role.ad_disabled &&
	    spte_ad_kind(p, spte) != SPTE_AD_WRPROT_ONLY)
		return broken(c, 7, sp, "a leaf of L2 that PML would log");
	if (is_stopped(c))
		return false;
	times = slot ? times_listed(*nmmu_slot_rmap(slot, gfn, sp->role.level), &sp->spt[index]) : 0;
	if (times != 1)
		return broken(c, 18, sp, "a leaf is not once in its reverse map");
	if (nmmu_sp_has_gptes(sp) &&
	    spte_rights(p, spte) & ~nmmu_sp_access(sp, index) & ~spte_always_granted(p))
		return broken(c, 25, sp, "a leaf gives more than the access stored with it");
	return true;
}

static bool check_table(struct check *c, const struct nmmu_sp *sp, u32 index, u64 spte)
{
	const struct nmmu *m = c->m;
	const struct nmmu_sp *child = child_of(m, spte);
	union nmmu_role want;

	if (!child)
		return broken(c, 21, sp, "a link to no page");
	if (is_stopped(c))
		return false;
	if (times_listed(child->parents, &sp->spt[index]) != 1)
		return broken(c, 21, sp, "a link that is not once among its child's parents");
	if (sp->role.level == 1)
		return broken(c, 23, sp, "a link in a page of level 1");
	want = nmmu_child_role(sp, index, child->role.direct, child->role.access);
	if (child->role.word != want.word)
		return broken(c, 23, sp, "a child of another role than its place asks for");
	if (sp->role.direct && !child->role.direct)
		return broken(c, 23, sp, "a child that shadows, in a direct page");
	if ((sp->role.direct || sp->role.passthrough) && child->gfn != nmmu_sp_gfn(sp, index))
		return broken(c, 23, sp, "a child of another gfn than its place asks for");
	if (sp->role.passthrough && child->role.direct)
		return broken(c, 23, sp, "a direct child under a passthrough root");
	/* With CR0.WP=0 the supervisor writes to what is read-only: rights are then added in the child. */
	if ((sp->role.cr0_wp || m->cfg.tdp) && child->role.access & ~sp->role.access)
		return broken(c, 23, sp, "a child with rights that its parent lacks");
	return true;
}

static bool check_spte(struct check *c, const struct nmmu_sp *sp, u32 index)
{
	const struct spte_profile *p = &c->m->profile;
	u64 spte = nmmu_read64(&sp->spt[index]);

	if (!check_value(c, sp, spte))
		return false;
	if (spte_is_leaf(p, spte, sp->role.level))
		return check_leaf(c, sp, index, spte);
	if (spte_is_mmu_present(p, spte))
		return check_table(c, sp, index, spte);
	if (spte_is_mmio(p, spte))
		return check_mmio(c, sp, spte);
	return true;
}

/* --- one page --- */

/* No writable mapping of a table that is not unsync (31), no huge one of any (33). */
static bool check_protected(struct check *c, const struct nmmu_sp *sp)
{
	const struct spte_profile *p = &c->m->profile;
	struct nmmu_slot *slot = nmmu_sp_slot(c->m, sp, sp->gfn);
	u32 level;

	if (!slot)
		return true;
	if (sp->role.level > 1 && !slot->write_track[sp->gfn - slot->base_gfn])
		return broken(c, 32, sp, "a table that is not write-tracked");
	for (level = 1; level <= SPTE_LEVEL_HUGE_MAX; level++) {
		struct nmmu_rmap_iter it;
		u64 *sptep;

		for (sptep = nmmu_rmap_first(*nmmu_slot_rmap(slot, sp->gfn, level), &it); sptep;
		     sptep = nmmu_rmap_next(&it)) {
			u64 spte = nmmu_read64(sptep);

			if (!spte_is_mmu_writable(p, spte) && !spte_is_writable(spte))
				continue;
			if (level > 1)
				return broken(c, 33, sp, "a table inside a huge page that may be written");
			if (!sp->unsync && !nmmu_sp_is_obsolete(c->m, sp))
				return broken(c, 31, sp, "a table in sync, mapped MMU-writable");
		}
	}
	return true;
}

static u32 nr_marked(const struct nmmu_sp *sp)
{
	u32 nr = 0, i;

	for (i = 0; i < SPTES; i++)
		nr += is_marked(sp, i);
	return nr;
}

/* Row 42, from the leaves: each mark is one reference of the entry that pins its page. */
static bool check_pinned(struct check *c, const struct nmmu_sp *sp)
{
	const struct spte_profile *p = &c->m->profile;
	u32 nr = 0;

	for (u32 i = 0; i < SPTES; i++) {
		u64 gfn = nmmu_sp_gfn(sp, i), spte = nmmu_read64(&sp->spt[i]);
		const struct nmmu_slot *slot;
		const struct nmmu_pin *pin;

		if (!nmmu_sp_is_pinned(sp, i))
			continue;
		nr++;
		if (!spte_is_leaf(p, spte, sp->role.level))
			return broken(c, 42, sp, "an entry marked as pinned that maps nothing");
		slot = nmmu_sp_slot(c->m, sp, gfn);
		if (!slot || !slot->pins)
			return broken(c, 42, sp, "an entry marked as pinned in no slot that pins");
		pin = &slot->pins[gfn - slot->base_gfn];
		if (pin->level != sp->role.level || pin->pfn != spte_pfn(p, spte) || !pin->mapped)
			return broken(c, 42, sp, "a pinned leaf that is not what the pin table says");
	}
	c->pinned += nr;
	if (nr != sp->nr_pinned)
		return broken(c, 42, sp, "nr_pinned is not the number of marks");
	return true;
}

/* Row 42, from the table: no page is pinned twice, and the counts are right. */
static void check_pin_tables(struct check *c)
{
	u64 mapped = 0, all = 0;

	for (u32 as_id = 0; as_id < NMMU_NR_AS; as_id++) {
		for (const struct nmmu_slot *slot = c->m->as[as_id].first; slot; slot = slot->next) {
			u64 nr = 0, end = 0;

			for (u64 i = 0; slot->pins && i < slot->nr_pages; i++) {
				const struct nmmu_pin *pin = &slot->pins[i];

				if (!pin->level)
					continue;
				if (i < end) {
					broken(c, 42, NULL, "a page that is pinned twice");
					return;
				}
				end = i + nmmu_level_pages(pin->level);
				mapped += pin->mapped;
				nr++;
			}
			if (nr != slot->nr_pins)
				broken(c, 42, NULL, "a slot's nr_pins is not the number of its pins");
			all += nr;
		}
	}
	if (all != c->m->nr_pins)
		broken(c, 42, NULL, "nr_pins is not the number of all pins");
	else if (mapped != c->pinned)
		broken(c, 42, NULL, "pins count other leaves than are marked");
}

static bool check_page(struct check *c, const struct nmmu_sp *sp)
{
	const struct nmmu *m = c->m;
	const struct nmmu_sp *other;
	u32 i;

	if (sp->role.invalid)
		return broken(c, 40, sp, "a zapped page among the active ones");
	if (sp->gen != m->valid_gen)
		return broken(c, 39, sp, "a page of an old generation");
	for (other = nmmu_hash_first(m, sp->gfn); other; other = nmmu_hash_next(other))
		if (other != sp && other->role.word == sp->role.word && !nmmu_sp_is_obsolete(m, other))
			return broken(c, 28, sp, "two pages of one gfn and role");
	if (sp->role.passthrough && (sp->role.level != 5 || (nmmu_is_6_12(m) && sp->translation)))
		return broken(c, 26, sp, "passthrough, and not of level 5, or with translations");
	if (sp->role.direct && sp->gfn & (nmmu_level_pages(sp->role.level + 1) - 1))
		return broken(c, 24, sp, "a direct page whose first gfn is not aligned to what it maps");
	if (sp->unsync && (sp->role.level != 1 || !nmmu_sp_has_gptes(sp)))
		return broken(c, 29, sp, "unsync, though not a level-1 table");
	if (nr_marked(sp) != sp->unsync_children)
		return broken(c, 30, sp, "unsync_children is not the number of marks");
	if (!check_parents(c, sp) || (nmmu_sp_has_gptes(sp) && !check_protected(c, sp)))
		return false;
	if (sp->nr_pinned && !check_pinned(c, sp))
		return false;
	for (i = 0; i < SPTES; i++) {
		if (sp->role.passthrough && i && spte_is_mmu_present(&m->profile, nmmu_read64(&sp->spt[i])))
			return broken(c, 26, sp, "an entry but the first in a passthrough root");
		if (!check_spte(c, sp, i))
			return false;
	}
	return true;
}

/* --- the machine --- */

static bool check_hashed_page(void *ctx, const struct nmmu_sp *sp)
{
	if (sp->role.invalid && !sp->root_count && nmmu_link_empty(&sp->link))
		return broken(ctx, 40, sp, "a zapped page that nobody will free");
	if (sp->role.invalid && sp->nr_pinned)
		return broken(ctx, 43, sp, "a zapped page with pinned leaves");
	return true;
}

static bool check_mmu(struct check *c, const struct nmmu_mmu *mmu)
{
	bool want = mmu->which == MS_MMU_GUEST && c->m->cfg.hv == MS_HV_SVM && !mmu->root_role.direct &&
		    mmu->root_role.level == 5 && mmu->cpu_role.base.level == 4;

	if (mmu->root_role.passthrough != want)
		return broken(c, 27, NULL, "passthrough does not say 4-level NPT12 under 5 levels");
	return true;
}

static bool goes_on(const struct check *c)
{
	return !c->row && !c->stopped;
}

u32 nmmu_self_check(const struct nmmu *m, const char **text_ret, const struct nmmu_sp **sp_ret)
{
	struct check c = { .m = m };
	const struct nmmu_link *link;
	const struct nmmu_vcpu *v;
	struct nmmu_slot *slot;
	u32 as_id;

	for (link = m->active_pages.next; link != &m->active_pages && goes_on(&c); link = link->next)
		check_page(&c, nmmu_container(link, struct nmmu_sp, link));
	for (as_id = 0; as_id < NMMU_NR_AS; as_id++)
		for (slot = m->as[as_id].first; slot && goes_on(&c); slot = slot->next)
			check_slot(&c, slot);
	if (goes_on(&c) && m->cfg.pins)
		check_pin_tables(&c);
	for (v = m->vcpus; v && goes_on(&c); v = v->next)
		if (check_mmu(&c, &v->root_mmu))
			check_mmu(&c, &v->guest_mmu);
	if (goes_on(&c))
		nmmu_index_each(m, check_hashed_page, &c);
	if (c.row) {
		*text_ret = c.text;
		*sp_ret = c.sp;
	}
	return c.row;
}
