/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page tables of the host and its memory: see hostpt.h. */
#include "target/hostpt.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* Bits of an entry. PROTNONE is G of an entry that is not P: mprotect(PROT_NONE), NUMA balancing. */
#define P (1ull << 0)
#define PS (1ull << 7)
#define PROTNONE (1ull << 8)

#define TABLE_BYTES 4096u
#define INDEX(va, level) ((va) >> (12 + 9 * ((level)-1)) & 511)
#define LEVEL_BYTES(level) (1ull << (12 + 9 * ((level)-1)))

enum host_entry host_entry_decode(u64 entry, u32 level, u64 mask, u64 *pa_ret)
{
	bool large = level > 1 && entry & PS;

	if (!(entry & (P | PROTNONE)))
		return large ? HOST_ENTRY_BETWEEN : HOST_ENTRY_NONE;
	/* No table of the host is protected; level 4 and 5 have no pages. */
	if ((level > 3 && large) || (level > 1 && !large && !(entry & P)))
		return HOST_ENTRY_NONE;
	/* Against L1TF the kernel inverts the address of what is not P: __pte_needs_invert(). */
	*pa_ret = (entry & P ? entry : ~entry) & mask;
	if (level > 1 && !large)
		return HOST_ENTRY_TABLE;
	*pa_ret &= ~(LEVEL_BYTES(level) - 1); /* bit 12 of a large page is PAT */
	return HOST_ENTRY_PAGE;
}

u32 host_pt_levels(const struct ms_kmem *kmem)
{
	return kmem->page_offset >> 47 == 0x1ffff ? 4 : 5;
}

static void walk_step(const struct ms_kmem *kmem, u64 mask, u32 level, s32 status, struct host_walk *w)
{
	static const u32 ends[] = {
		[HOST_ENTRY_NONE] = HOST_WALK_NONE,
		[HOST_ENTRY_PAGE] = HOST_WALK_PAGE,
		[HOST_ENTRY_BETWEEN] = HOST_WALK_BETWEEN,
	};
	enum host_entry e;
	u64 pa = 0;

	w->level = level;
	if (status) {
		w->end = HOST_WALK_UNREADABLE;
		w->done = true;
		return;
	}
	e = host_entry_decode(w->raw, level, mask, &pa);
	w->table = kmem->page_offset + pa;
	if (e == HOST_ENTRY_TABLE && ms_kmem_is_direct(kmem, w->table, TABLE_BYTES))
		return;
	w->done = true;
	w->end = e == HOST_ENTRY_TABLE ? HOST_WALK_UNREADABLE : ends[e];
	if (w->end == HOST_WALK_PAGE)
		w->pa = pa + (w->va & (LEVEL_BYTES(level) - 1));
}

struct ms_err *host_walk(struct ms_kmem *kmem, u64 mask, u64 pgd, struct host_walk *walks, size_t nr)
{
	u32 level = host_pt_levels(kmem), top = level == 5 ? 56 : 47;
	struct ms_kbatch batch = { 0 };
	struct ms_err *err = NULL;
	size_t i, k;

	for (i = 0; i < nr; i++) {
		walks[i].table = pgd;
		walks[i].done = walks[i].va >> top || !ms_kmem_is_direct(kmem, pgd, TABLE_BYTES);
		walks[i].end = HOST_WALK_UNREADABLE;
		walks[i].level = level;
		walks[i].pa = 0;
	}
	for (; level && !err; level--) {
		for (i = 0; i < nr; i++)
			if (!walks[i].done)
				ms_kbatch_add(&batch, walks[i].table + 8 * INDEX(walks[i].va, level), 8,
					      &walks[i].raw);
		if (batch.oom)
			err = ms_err_nomem();
		else if (batch.nr)
			err = ms_kmem_read(kmem, batch.reqs, batch.nr);
		for (i = k = 0; i < nr && !err; i++)
			if (!walks[i].done)
				walk_step(kmem, mask, level, batch.reqs[k++].status, &walks[i]);
		batch.nr = 0;
	}
	ms_kbatch_deinit(&batch);
	return err;
}

/* --- plain memory --- */

/* include/linux/ioport.h: IORESOURCE_SYSTEM_RAM, IORESOURCE_MEM. */
#define RES_MEM 0x200ull
#define RES_SYSTEM_RAM 0x01000200ull
#define RESOURCES_MAX 16384
#define DEPTH_MAX 16
#define TRIES 4

struct node {
	u64 addr, start, last, flags, sibling, child;
	u64 lo, hi; /* of the one above */
	u32 depth;
	bool below_ram;
};

struct tree {
	struct node *nodes;
	size_t nr, cap;
	bool broken;
};

void host_ram_deinit(struct host_ram *ram)
{
	free(ram->ranges);
	*ram = (struct host_ram){ 0 };
}

static struct ms_err *tree_add(struct tree *tree, u64 addr, const struct node *like, u32 depth,
			       bool below_ram)
{
	struct node *grown;

	if (!addr)
		return NULL;
	if (tree->nr == RESOURCES_MAX || depth > DEPTH_MAX) {
		tree->broken = true;
		return NULL;
	}
	grown = ms_grow(tree->nodes, &tree->cap, tree->nr + 1, sizeof(*grown));
	if (!grown)
		return ms_err_nomem();
	tree->nodes = grown;
	grown[tree->nr++] = (struct node){ .addr = addr, .depth = depth, .below_ram = below_ram };
	if (like) {
		grown[tree->nr - 1].lo = like->lo;
		grown[tree->nr - 1].hi = like->hi;
	}
	return NULL;
}

static bool is_ram(const struct node *n)
{
	return (n->flags & RES_SYSTEM_RAM) == RES_SYSTEM_RAM;
}

/* Breadth first: nodes [from, end) are read, what they lead to is added. */
static struct ms_err *tree_step(struct ms_kmem *kmem, struct tree *tree, size_t from)
{
	static const enum ms_field_id ids[] = { MS_F_resource_start, MS_F_resource_end, MS_F_resource_flags,
						MS_F_resource_sibling, MS_F_resource_child };
	size_t end = tree->nr, i, f, failed = 0;
	struct ms_kbatch batch = { 0 };
	struct ms_err *err;

	for (i = from; i < end; i++) {
		struct node *n = &tree->nodes[i];
		u64 *to[] = { &n->start, &n->last, &n->flags, &n->sibling, &n->child };

		for (f = 0; f < 5; f++)
			tree->broken |= !ms_kbatch_field(&batch, kmem, n->addr, ids[f], to[f]);
	}
	err = ms_kbatch_run(&batch, kmem, &failed);
	ms_kbatch_deinit(&batch);
	tree->broken |= failed != 0;
	for (i = from; i < end && !err && !tree->broken; i++) {
		struct node n = tree->nodes[i], below;

		/* The kernel keeps what is below inside what is above, siblings in order. */
		tree->broken = n.start > n.last || (n.depth && (n.start < n.lo || n.last > n.hi));
		below = (struct node){ .lo = n.start, .hi = n.last };
		err = tree_add(tree, n.child, &below, n.depth + 1, n.below_ram || is_ram(&n));
		n.lo = n.last + 1;
		if (!err && n.depth)
			err = tree_add(tree, n.sibling, &n, n.depth, n.below_ram);
	}
	return err;
}

static struct ms_err *tree_read(struct ms_kmem *kmem, struct tree *tree)
{
	struct ms_err *err;
	size_t from = 0, end;

	tree->nr = 0;
	tree->broken = false;
	err = tree_add(tree, kmem->sym[MS_KSYM_iomem_resource], NULL, 0, false);
	while (!err && !tree->broken && from < tree->nr) {
		end = tree->nr;
		err = tree_step(kmem, tree, from);
		from = end;
	}
	return err;
}

static bool tree_same(const struct tree *a, const struct tree *b)
{
	size_t i;

	if (a->broken || b->broken || a->nr != b->nr)
		return false;
	for (i = 0; i < a->nr; i++)
		if (memcmp(&a->nodes[i].addr, &b->nodes[i].addr, offsetof(struct node, depth)))
			return false;
	return true;
}

static struct ms_err *tree_ranges(const struct tree *tree, struct host_ram *ret)
{
	struct host_range *grown;
	size_t i;

	for (i = 0; i < tree->nr; i++) {
		const struct node *n = &tree->nodes[i];

		if (!is_ram(n) && !n->below_ram)
			continue;
		grown = ms_grow(ret->ranges, &ret->cap, ret->nr + 1, sizeof(*grown));
		if (!grown)
			return ms_err_nomem();
		ret->ranges = grown;
		grown[ret->nr++] = (struct host_range){
			.start = n->start, .last = n->last, .depth = n->depth, .ram = is_ram(n)
		};
	}
	return NULL;
}

struct ms_err *host_ram_read(struct ms_kmem *kmem, struct host_ram *ret)
{
	struct tree trees[2] = { 0 };
	struct host_ram ram = { 0 };
	struct ms_err *err;
	u32 tries;

	err = kmem->sym[MS_KSYM_iomem_resource] ? tree_read(kmem, &trees[0]) : NULL;
	for (tries = 1; !err && kmem->sym[MS_KSYM_iomem_resource] && tries < TRIES; tries++) {
		err = tree_read(kmem, &trees[tries & 1]);
		if (err || !tree_same(&trees[0], &trees[1]))
			continue;
		err = tree_ranges(&trees[0], &ram);
		break;
	}
	free(trees[0].nodes);
	free(trees[1].nodes);
	if (err)
		host_ram_deinit(&ram);
	else
		*ret = ram;
	return err;
}

bool host_ram_has(const struct host_ram *ram, u64 pa, u64 len)
{
	const struct host_range *in = NULL;
	u64 last = pa + len - 1;
	size_t i;

	/* The deepest that holds it all must be memory, and nothing below that may have a part of it. */
	for (i = 0; i < ram->nr; i++) {
		const struct host_range *r = &ram->ranges[i];

		if (r->start <= pa && last <= r->last && (!in || r->depth > in->depth))
			in = r;
	}
	for (i = 0; in && in->ram && i < ram->nr; i++) {
		const struct host_range *r = &ram->ranges[i];

		if (r->depth > in->depth && !r->ram && r->start <= last && pa <= r->last)
			return false;
	}
	return in && in->ram;
}
