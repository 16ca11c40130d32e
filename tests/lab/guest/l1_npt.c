// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L1's two sets of tables for L2: L2's own (L2 virtual = L2 physical, 2M leaves) and NPT12, which on VMX is EPT12.
 * Whatever is put into NPT12 goes through npt_map() and npt_unmap(), which keep the records; nothing else may write
 * a leaf, but npt_clear_dirty() one bit of it.
 */
#include "l1.h"

/* Pages handed out in turn, zeroed by the VMM or by us never having used them. */
struct table_pool {
	gf_u64 gpa;
	gf_u64 max;
	gf_u64 used;
	gf_u64 root;
	gf_u64 link; /* bits of a non-leaf entry */
	struct gf_table *log;
};

static struct table_pool npt_pool, l2_pool;
/* A copy of NPT12's root, whose entries do not change once NPT12 is built; 0: none. */
static gf_u64 npt_second_root;
static int npt_is_live; /* built, and the VMM knows what it looked like then */

static gf_u64 table_alloc(struct table_pool *pool, gf_u64 gfn, int level)
{
	gf_u64 gpa, span = 1ul << (9 * level);

	if (pool->used == pool->max) {
		l1_say("table pool exhausted: pages, level", pool->max, level);
		l1_exit(GF_EXIT_POOL);
	}
	gpa = pool->gpa + pool->used * PAGE_SIZE;
	if (pool->log) {
		pool->log[pool->used].gfn = gpa >> PAGE_SHIFT;
		pool->log[pool->used].l2_gfn = gfn & ~(span - 1);
		pool->log[pool->used].level = level;
	}
	pool->used++;
	return gpa;
}

/* Stores an entry. Those of L2's own tables are only written before L2 runs. */
static void pool_store(struct table_pool *pool, gf_u64 *entry, gf_u64 value)
{
	*(volatile gf_u64 *)entry = value;
	if (pool == &npt_pool && npt_is_live && l1.param->flags & GF_F_TRACE)
		trap_store((gf_u64)entry, 8, value);
}

/* The entry for gfn at the given level of a 4-level table; missing tables above it are made. */
static gf_u64 *table_entry(struct table_pool *pool, gf_u64 gfn, int level)
{
	gf_u64 *table = (gf_u64 *)pool->root, *entry;
	int l;

	for (l = 4; l > level; l--) {
		entry = &table[gfn >> (9 * (l - 1)) & 511];
		/* Bit 0 is P, or R of EPT12: upper entries grant everything. */
		if (!(*entry & PTE_P))
			pool_store(pool, entry, table_alloc(pool, gfn, l - 1) | pool->link);
		table = (gf_u64 *)(*entry & PTE_ADDR);
	}
	return &table[gfn >> (9 * (level - 1)) & 511];
}

static void pool_init(struct table_pool *pool, gf_u64 gpa, gf_u64 max, gf_u64 link, struct gf_table *log)
{
	pool->gpa = gpa;
	pool->max = max;
	pool->used = 0;
	pool->link = link;
	pool->log = log;
	pool->root = table_alloc(pool, 0, 4);
}

gf_u64 npt_root(gf_u64 round)
{
	return npt_second_root && !(round & 1) ? npt_second_root : npt_pool.root;
}

void npt_root_write(void)
{
	volatile gf_u64 *last = (volatile gf_u64 *)npt_pool.root + 511;

	*last = 0;
	*last = 0;
	if (l1.param->flags & GF_F_TRACE)
		trap_store((gf_u64)last, 8, 0);
}

static void npt_root_copy(void)
{
	gf_u64 *copy, i;

	npt_second_root = table_alloc(&npt_pool, 0, 4);
	copy = (gf_u64 *)npt_second_root;
	for (i = 0; i < 512; i++)
		copy[i] = ((gf_u64 *)npt_pool.root)[i];
	l1.param->nr_table = npt_pool.used;
}

gf_u64 l2_root(void)
{
	return l2_pool.root;
}

/*
 * A and D are left clear on purpose: what the CPU sets shows which table pages a walk of L2 has really used.
 */
static void l2_map(gf_u64 gfn)
{
	gf_u64 *entry = table_entry(&l2_pool, gfn, 2);

	if (!(*entry & PTE_P))
		*entry = (gfn & ~511ul) << PAGE_SHIFT | PTE_P | PTE_W | PTE_PS;
}

/* Bits of an NPT leaf (APM volume 2, 15.25.5): that of a long-mode table, user as nested accesses are. */
static gf_u64 npt_leaf(const struct gf_rec *rec)
{
	gf_u64 bits = PTE_P | PTE_U;

	/* Reserved: no CPU of the lab has so many address bits. */
	if (rec->kind == GF_MISCONF)
		bits |= 1ul << 51;
	if (rec->access & GF_ACC_W)
		bits |= PTE_W;
	if (!(rec->access & GF_ACC_X))
		bits |= PTE_NX;
	if (l1.param->flags & GF_F_NPT_AD)
		bits |= PTE_A | PTE_D;
	return bits;
}

/* Bits of an EPT leaf; and three that are a misconfiguration (SDM volume 3, 29.3.3.1), one after the other. */
static gf_u64 ept_leaf(const struct gf_rec *rec)
{
	gf_u64 bits = EPT_WB;

	if (rec->kind == GF_MISCONF) {
		static const gf_u64 bad[] = { EPT_WB | EPT_W, EPT_WB | EPT_W | EPT_X,
					      EPT_R | EPT_W | EPT_X | 2ul << EPT_MEMTYPE_SHIFT };

		return bad[(rec - l1.rec) % 3];
	}
	if (rec->access & GF_ACC_R)
		bits |= EPT_R;
	if (rec->access & GF_ACC_W)
		bits |= EPT_W;
	if (rec->access & GF_ACC_X)
		bits |= EPT_X;
	/* Ignored bits unless the EPTP turns them on. */
	if (l1.param->flags & GF_F_NPT_AD && l1.param->flags & GF_F_EPT_AD)
		bits |= l1.param->flags & GF_F_PML ? EPT_A : EPT_A | EPT_D;
	return bits;
}

void npt_map(struct gf_rec *rec)
{
	gf_u64 *entry = table_entry(&npt_pool, rec->l2_gfn, rec->level);
	gf_u64 bits = l1.param->vendor == GF_VMX ? ept_leaf(rec) : npt_leaf(rec);

	if (rec->level == 2)
		bits |= PTE_PS;
	rec->pte_gpa = (gf_u64)entry;
	rec->mapped = 1;
	pool_store(&npt_pool, entry, rec->l1_gfn << PAGE_SHIFT | bits);
	l1.param->nr_table = npt_pool.used;
}

void npt_unmap(struct gf_rec *rec)
{
	if (!rec->mapped)
		return;
	pool_store(&npt_pool, (gf_u64 *)rec->pte_gpa, 0);
	rec->mapped = 0;
}

void npt_clear_dirty(void)
{
	gf_u64 i, *entry;

	for (i = 0; i < l1.param->nr_rec; i++) {
		entry = (gf_u64 *)l1.rec[i].pte_gpa;
		if (l1.rec[i].mapped && l1.rec[i].kind != GF_MISCONF && *entry & EPT_D)
			pool_store(&npt_pool, entry, *entry & ~EPT_D);
	}
}

/* A page L2 runs on: one to one, 4K, readable, writable and executable. */
static void system_page(gf_u64 gpa, enum gf_kind kind)
{
	struct gf_param *p = l1.param;
	struct gf_rec *rec;

	if (p->nr_rec == p->max_rec) {
		l1_say("record area full: entries", p->max_rec, kind);
		l1_exit(GF_EXIT_POOL);
	}
	rec = &l1.rec[p->nr_rec++];
	rec->l2_gfn = rec->l1_gfn = gpa >> PAGE_SHIFT;
	rec->kind = kind;
	rec->level = 1;
	rec->access = GF_ACC_R | GF_ACC_W | GF_ACC_X;
	rec->work = NO_WORK;
	if (kind != GF_L2TABLE)
		l2_map(rec->l2_gfn);
}

void npt_init(void)
{
	struct gf_param *p = l1.param;
	gf_u64 i;

	/* P, W and U of NPT are R, W and X of EPT. */
	pool_init(&npt_pool, p->npt_pool_gpa, p->npt_pool_pages, PTE_P | PTE_W | PTE_U, l1.table);
	pool_init(&l2_pool, p->l2_pool_gpa, p->l2_pool_pages, PTE_P | PTE_W, 0);
	for (i = 0; i < p->nr_item; i++)
		l2_map(l1.rec[i].l2_gfn);
	system_page((gf_u64)l2_text_start, GF_CODE);
	system_page(p->argpage_gpa, GF_ARG);
	for (i = 0; i < p->nr_vcpus; i++)
		system_page(p->l2_stack_gpa + i * PAGE_SIZE, GF_STACK);
	for (i = 0; i * PAGE_SIZE < p->nr_item * sizeof(struct gf_work); i++)
		system_page(p->work_gpa + i * PAGE_SIZE, GF_WORK);
	/* Last: from here on L2's tables do not grow. */
	for (i = 0; i < l2_pool.used; i++)
		system_page(p->l2_pool_gpa + i * PAGE_SIZE, GF_L2TABLE);
	p->nr_l2_table = l2_pool.used;
	p->nr_table = npt_pool.used;
	for (i = 0; !(p->flags & GF_F_NPT_FAULT) && i < p->nr_rec; i++)
		npt_map(&l1.rec[i]);
	if (p->flags & GF_F_TWO_ROOTS)
		npt_root_copy();
	npt_is_live = 1;
	if (p->flags & GF_F_TRACE)
		port_write(GF_PORT_TRAP, GF_TRAP_TABLES);
}

struct gf_rec *npt_find(gf_u64 gfn)
{
	struct gf_param *p = l1.param;
	gf_u64 first = 0, off, i;
	int kind;

	for (kind = 0; kind < GF_NR_ITEM_KINDS; first += p->range[kind++].nr) {
		struct gf_range *r = &p->range[kind];

		off = gfn - r->l2_gfn;
		if (gfn < r->l2_gfn || off >= r->nr * r->l2_step)
			continue;
		i = first + off / r->l2_step;
		if (off % r->l2_step < 1ul << (9 * (l1.rec[i].level - 1)))
			return &l1.rec[i];
	}
	for (i = p->nr_item; i < p->nr_rec; i++)
		if (l1.rec[i].l2_gfn == gfn)
			return &l1.rec[i];
	return 0;
}
