// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From addresses of the memory that a machine was copied from to those where its parts lie now. What was met is
 * believed to be of the type that it is pointed to as; that it lies within what was copied is checked.
 */
#include "nmmu/image.h"
#include "nmmu/private.h"

#define LONGEST (1u << 24) /* list of anything */

struct fix {
	const struct nmmu_image *image;
	int err;
	u32 left; /* steps, against lists that do not end */
};

static void *at(struct fix *f, const void *p, u64 bytes, bool *fresh_ret)
{
	void *there;

	*fresh_ret = false;
	if (!p || f->err)
		return NULL;
	there = f->image->at(f->image->ctx, (uintptr_t)p, bytes, fresh_ret);
	if (!there || !f->left--)
		f->err = -EINVAL;
	return f->err ? NULL : there;
}

static void *place(struct fix *f, const void *p, u64 bytes)
{
	bool fresh;

	return at(f, p, bytes, &fresh);
}

/* --- reverse maps --- */

static struct nmmu_pte_desc *fix_desc(struct fix *f, struct nmmu_pte_desc *p)
{
	struct nmmu_pte_desc *first = NULL, **tail = &first;
	bool fresh;

	while (p && !f->err) {
		struct nmmu_pte_desc *desc = at(f, p, sizeof(*desc), &fresh);

		if (!desc)
			break;
		if (!fresh || desc->nr > NMMU_PTE_LIST_EXT) {
			f->err = -EINVAL;
			break;
		}
		for (u32 i = 0; i < desc->nr; i++)
			desc->sptes[i] = place(f, desc->sptes[i], sizeof(u64));
		*tail = desc;
		tail = &desc->more;
		p = desc->more;
	}
	*tail = NULL;
	return first;
}

static void fix_rmap(struct fix *f, struct nmmu_rmap *rmap)
{
	if (rmap->val & 1)
		rmap->val = (uintptr_t)fix_desc(f, (struct nmmu_pte_desc *)(rmap->val & ~(uintptr_t)1)) | 1;
	else
		rmap->val = (uintptr_t)place(f, (void *)rmap->val, sizeof(u64));
	if (f->err)
		rmap->val = 0;
}

/* --- pages --- */

/* What is on no list of the machine's is on one of an operation under way. */
static struct nmmu_link *fix_link(struct fix *f, struct nmmu_link *p, struct nmmu_link *self)
{
	struct nmmu_link *there;
	bool fresh;

	there = p ? f->image->at(f->image->ctx, (uintptr_t)p, sizeof(*p), &fresh) : NULL;
	return there ? there : self;
}

static struct nmmu_sp *fix_sp(void *ctx, struct nmmu_sp *p)
{
	struct fix *f = ctx;
	struct nmmu_sp *sp =
		p ? f->image->at(f->image->ctx, (uintptr_t)p, sizeof(*sp), &(bool){ false }) : NULL;

	if (!sp)
		f->err = -EINVAL;
	return sp;
}

static void fix_page(struct fix *f, struct nmmu_sp *sp)
{
	sp->spt = place(f, sp->spt, NMMU_PAGE_SIZE);
	sp->translation = place(f, sp->translation, 512 * sizeof(u64));
	fix_rmap(f, &sp->parents);
}

static bool fix_each(void *ctx, struct nmmu_sp *sp)
{
	struct fix *f = ctx;

	fix_page(f, sp);
	sp->link.prev = fix_link(f, sp->link.prev, &sp->link);
	sp->link.next = fix_link(f, sp->link.next, &sp->link);
	sp->nx_link.prev = fix_link(f, sp->nx_link.prev, &sp->nx_link);
	sp->nx_link.next = fix_link(f, sp->nx_link.next, &sp->nx_link);
	return !f->err;
}

static void fix_list(struct fix *f, struct nmmu_link *head)
{
	head->prev = fix_link(f, head->prev, head);
	head->next = fix_link(f, head->next, head);
}

/* --- slots --- */

static void fix_arrays(struct fix *f, struct nmmu_slot *slot)
{
	for (u32 level = 1; level <= NMMU_LPAGE_LEVELS + 1; level++) {
		u64 nr = nmmu_nr_lpages(slot, level);
		struct nmmu_rmap *rmap = place(f, slot->rmap[level - 1], nr * sizeof(*rmap));

		slot->rmap[level - 1] = rmap;
		for (u64 i = 0; rmap && i < nr; i++)
			if (rmap[i].val)
				fix_rmap(f, &rmap[i]);
		if (level > 1)
			slot->disallow_lpage[level - 2] =
				place(f, slot->disallow_lpage[level - 2], nr * sizeof(u32));
	}
	slot->write_track = place(f, slot->write_track, slot->nr_pages * sizeof(u32));
	slot->dirty = place(f, slot->dirty, (slot->nr_pages + 63) / 64 * sizeof(u64));
	slot->pins = place(f, slot->pins, slot->nr_pages * sizeof(*slot->pins));
	slot->arrays = place(f, slot->arrays, sizeof(*slot->arrays));
	slot->dirty_mem = place(f, slot->dirty_mem, sizeof(*slot->dirty_mem));
	slot->pin_mem = place(f, slot->pin_mem, sizeof(*slot->pin_mem));
}

static struct nmmu_slot *fix_slot(struct fix *f, struct nmmu_slot *p)
{
	bool fresh;
	struct nmmu_slot *slot = at(f, p, sizeof(*slot), &fresh);

	/* While slots are swapped one is both in the list and in the table that is still looked at, or in one only. */
	if (slot && fresh) {
		if (!slot->nr_pages || slot->nr_pages > 1ULL << 40) {
			f->err = -EINVAL;
			return NULL;
		}
		fix_arrays(f, slot);
	}
	return f->err ? NULL : slot;
}

static void fix_slots(struct fix *f, struct nmmu_slots *slots)
{
	struct nmmu_slot_table *table = place(f, slots->table, sizeof(*table));
	struct nmmu_slot **tail = &slots->first, *slot = slots->first;

	while (slot && !f->err) {
		slot = fix_slot(f, slot);
		*tail = slot;
		if (slot) {
			tail = &slot->next;
			slot = slot->next;
		}
	}
	if (table && place(f, slots->table, sizeof(*table) + table->nr * sizeof(table->slot[0])))
		for (u32 i = 0; i < table->nr; i++)
			table->slot[i] = fix_slot(f, table->slot[i]);
	slots->table = table;
}

/* --- vCPUs --- */

static void fix_mmu_page(struct fix *f, struct nmmu_page *page)
{
	page->va = place(f, page->va, NMMU_PAGE_SIZE);
}

static void fix_mmu(struct fix *f, struct nmmu_mmu *mmu)
{
	fix_mmu_page(f, &mmu->pae_root);
	fix_mmu_page(f, &mmu->pml4_root);
	fix_mmu_page(f, &mmu->pml5_root);
}

static struct nmmu_vcpu *fix_vcpu(struct fix *f, struct nmmu *m, struct nmmu_vcpu *p)
{
	struct nmmu_vcpu *v = place(f, p, sizeof(*v));

	if (!v)
		return NULL;
	v->m = m;
	fix_mmu(f, &v->root_mmu);
	fix_mmu(f, &v->guest_mmu);
	fix_mmu(f, &v->nested_mmu);
	fix_mmu_page(f, &v->dummy_root);
	fix_mmu_page(f, &v->pml);
	v->mmu = place(f, v->mmu, sizeof(*v->mmu));
	v->walk_mmu = place(f, v->walk_mmu, sizeof(*v->walk_mmu));
	nmmu_zero(&v->cache, sizeof(v->cache));
	v->exit = NULL;
	return v;
}

static void fix_vcpus(struct fix *f, struct nmmu *m)
{
	struct nmmu_vcpu **tail = &m->vcpus, *v = m->vcpus;

	while (v && !f->err) {
		v = fix_vcpu(f, m, v);
		*tail = v;
		if (v) {
			tail = &v->next;
			v = v->next;
		}
	}
	m->at_work = place(f, m->at_work, sizeof(*m->at_work));
}

int nmmu_image_adopt(const struct nmmu_image *image, u64 address, const struct nmmu_ops *ops, void *host,
		     struct nmmu **ret)
{
	struct fix f = { .image = image, .left = LONGEST };
	struct nmmu *m = place(&f, (void *)(uintptr_t)address, sizeof(*m));
	int err;

	if (!m)
		return -EINVAL;
	m->ops = ops;
	m->host = host;
	m->graves = NULL;
	fix_vcpus(&f, m);
	for (u32 as_id = 0; as_id < NMMU_NR_AS; as_id++)
		fix_slots(&f, &m->as[as_id]);
	fix_list(&f, &m->active_pages);
	fix_list(&f, &m->nx_pages);
	/* Pages that are being freed: what they point to may be gone. */
	nmmu_link_init(&m->deferred);
	if (f.err)
		return f.err;
	err = nmmu_index_adopt(m, image, fix_sp, fix_each, &f);
	if (!err && !f.err)
		*ret = m;
	return err ? err : f.err;
}
