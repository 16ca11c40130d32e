// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finding shadow pages: by gfn, by the address of their table, by its physical address. Three hash tables in
 * one piece of memory, which is replaced by a larger one as pages become more, so that a lookup costs the
 * same among a thousand and among a million.
 *
 * Changes are under mmu_lock. Lookups by address are also made without it (fast.c): a page is complete before
 * it can be met, old tables are buried like old slots, and a lookup that finds nothing while pages are moved
 * to new tables looks again.
 */
#include "nmmu/image.h"
#include "nmmu/private.h"

#define FIRST_BITS 8
#define GROW_BITS 2

enum by { BY_GFN, BY_VA, BY_PA, NR_BY };

struct nmmu_index {
	struct nmmu_grave grave;
	u32 bits;
	struct nmmu_sp *bucket[]; /* NR_BY << bits */
};

static struct nmmu_sp **bucket(struct nmmu_index *index, enum by by, u64 key)
{
	return &index->bucket[((u64)by << index->bits) + (key * 0x9e3779b97f4a7c15ULL >> (64 - index->bits))];
}

static struct nmmu_index *make(struct nmmu *m, u32 bits)
{
	struct nmmu_index *index;

	index = m->ops->alloc(m->host, sizeof(*index) + ((size_t)NR_BY << bits) * sizeof(index->bucket[0]));
	if (index)
		index->bits = bits;
	return index;
}

int nmmu_index_init(struct nmmu *m)
{
	m->index = make(m, FIRST_BITS);
	return m->index ? 0 : -ENOMEM;
}

void nmmu_index_deinit(struct nmmu *m)
{
	if (m->index)
		m->ops->free(m->host, m->index);
	m->index = NULL;
}

static void add(struct nmmu_index *index, struct nmmu_sp *sp)
{
	struct nmmu_sp **gfn_head = bucket(index, BY_GFN, sp->gfn);
	struct nmmu_sp **va_head = bucket(index, BY_VA, (uintptr_t)sp->spt >> NMMU_PAGE_SHIFT);
	struct nmmu_sp **pa_head = bucket(index, BY_PA, sp->spt_pa >> NMMU_PAGE_SHIFT);

	sp->hash_next = *gfn_head;
	sp->va_next = *va_head;
	sp->pa_next = *pa_head;
	nmmu_smp_wmb();
	*gfn_head = sp;
	*va_head = sp;
	*pa_head = sp;
}

void nmmu_index_add(struct nmmu *m, struct nmmu_sp *sp)
{
	add(m->index, sp);
}

void nmmu_index_del(struct nmmu *m, struct nmmu_sp *sp)
{
	struct nmmu_sp **p;

	for (p = bucket(m->index, BY_GFN, sp->gfn); *p != sp;)
		p = &(*p)->hash_next;
	*p = sp->hash_next;
	for (p = bucket(m->index, BY_VA, (uintptr_t)sp->spt >> NMMU_PAGE_SHIFT); *p != sp;)
		p = &(*p)->va_next;
	*p = sp->va_next;
	for (p = bucket(m->index, BY_PA, sp->spt_pa >> NMMU_PAGE_SHIFT); *p != sp;)
		p = &(*p)->pa_next;
	*p = sp->pa_next;
}

static bool is_crowded(const struct nmmu *m)
{
	return m->nr_used > 1u << m->index->bits;
}

void nmmu_index_grow(struct nmmu *m)
{
	struct nmmu_index *old, *index;

	if (!is_crowded(m))
		return;
	/* No memory: slower, but as right as before. */
	index = make(m, m->index->bits + GROW_BITS);
	if (!index)
		return;
	nmmu_lock(m);
	if (!is_crowded(m)) {
		nmmu_unlock(m);
		m->ops->free(m->host, index);
		return;
	}
	old = m->index;
	nmmu_add64(&m->index_seq, 1);
	nmmu_smp_wmb();
	for (u64 i = 0; i < 1ULL << old->bits; i++) {
		struct nmmu_sp *next;

		for (struct nmmu_sp *sp = old->bucket[((u64)BY_GFN << old->bits) + i]; sp; sp = next) {
			next = sp->hash_next;
			add(index, sp);
		}
	}
	nmmu_smp_wmb();
	m->index = index;
	nmmu_add64(&m->index_seq, 1);
	nmmu_bury(m, &old->grave);
	nmmu_unlock(m);
}

int nmmu_index_adopt(struct nmmu *m, const struct nmmu_image *image,
		     struct nmmu_sp *(*find)(void *ctx, struct nmmu_sp *p),
		     bool (*each)(void *ctx, struct nmmu_sp *sp), void *ctx)
{
	const u64 address = (uintptr_t)m->index;
	struct nmmu_index *old, *index;
	u64 left = m->nr_used + 65536ULL;
	bool fresh;

	old = image->at(image->ctx, address, sizeof(*old), &fresh);
	if (!old || old->bits > 32 ||
	    !image->at(image->ctx, address, sizeof(*old) + ((u64)NR_BY << old->bits) * sizeof(old->bucket[0]),
		       &fresh))
		return -EINVAL;
	index = make(m, old->bits);
	if (!index)
		return -ENOMEM;
	m->index = index;
	m->index_seq &= ~1ULL;
	for (u64 i = 0; i < 1ULL << old->bits; i++) {
		struct nmmu_sp *p = old->bucket[((u64)BY_GFN << old->bits) + i], *sp;

		for (; p; left--) {
			sp = left ? find(ctx, p) : NULL;
			if (!sp)
				return -EINVAL;
			p = sp->hash_next;
			if (!each(ctx, sp))
				return -EINVAL;
			add(index, sp);
		}
	}
	return 0;
}

/* --- looking up --- */

static struct nmmu_sp *same_gfn(struct nmmu_sp *sp, u64 gfn)
{
	while (sp && sp->gfn != gfn)
		sp = sp->hash_next;
	return sp;
}

struct nmmu_sp *nmmu_hash_first(const struct nmmu *m, u64 gfn)
{
	return same_gfn(*bucket(m->index, BY_GFN, gfn), gfn);
}

struct nmmu_sp *nmmu_hash_next(const struct nmmu_sp *sp)
{
	return same_gfn(sp->hash_next, sp->gfn);
}

void nmmu_index_each(const struct nmmu *m, bool (*visit)(void *ctx, const struct nmmu_sp *sp), void *ctx)
{
	for (u64 i = 0; i < 1ULL << m->index->bits; i++)
		for (struct nmmu_sp *sp = m->index->bucket[i]; sp; sp = sp->hash_next)
			if (!visit(ctx, sp))
				return;
}

static struct nmmu_sp *find_va(const struct nmmu *m, uintptr_t spt)
{
	struct nmmu_sp *sp = *bucket(m->index, BY_VA, spt >> NMMU_PAGE_SHIFT);

	while (sp && (uintptr_t)sp->spt != spt)
		sp = sp->va_next;
	return sp;
}

static struct nmmu_sp *find_pa(const struct nmmu *m, u64 pa)
{
	struct nmmu_sp *sp = *bucket(m->index, BY_PA, pa >> NMMU_PAGE_SHIFT);

	while (sp && sp->spt_pa != pa)
		sp = sp->pa_next;
	return sp;
}

/*
 * Nothing was found, maybe only since pages are being moved: until a look had nobody moving them meanwhile.
 */
static struct nmmu_sp *look_again(const struct nmmu *m, uintptr_t spt, u64 pa)
{
	struct nmmu_sp *sp;
	u64 seq;

	do {
		seq = nmmu_read64(&m->index_seq);
		sp = spt ? find_va(m, spt) : find_pa(m, pa);
	} while (!sp && (seq & 1 || seq != nmmu_read64(&m->index_seq)));
	return sp;
}

struct nmmu_sp *nmmu_sp_of_spte(const struct nmmu *m, const u64 *sptep)
{
	const uintptr_t spt = (uintptr_t)sptep & ~(uintptr_t)(NMMU_PAGE_SIZE - 1);
	struct nmmu_sp *sp = find_va(m, spt);

	return sp ? sp : look_again(m, spt, 0);
}

struct nmmu_sp *nmmu_sp_by_pa(const struct nmmu *m, u64 pa)
{
	struct nmmu_sp *sp = find_pa(m, pa);

	return sp ? sp : look_again(m, 0, pa);
}
