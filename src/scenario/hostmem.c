/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames and host-virtual addresses: see hostmem.h. */
#include "scenario/hostmem.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096u
#define FANOUT 512
#define TRIES 64
#define ZONES 4 /* tables, 4K, 2M, 1G */

/* --- a map from u64 to u64 that can forget --- */

struct slot {
	u64 key; /* + 1; 0: free */
	u64 value;
};

struct table {
	struct slot *slots;
	u64 nr, cap;
};

static u64 table_start(const struct table *t, u64 key)
{
	return key * 0x9e3779b97f4a7c15ULL >> 24 & (t->cap - 1);
}

static struct slot *table_find(const struct table *t, u64 key)
{
	u64 i;

	if (!t->cap)
		return NULL;
	for (i = table_start(t, key); t->slots[i].key; i = (i + 1) & (t->cap - 1))
		if (t->slots[i].key == key + 1)
			return &t->slots[i];
	return NULL;
}

static void table_put_new(struct table *t, u64 key, u64 value)
{
	u64 i = table_start(t, key);

	while (t->slots[i].key)
		i = (i + 1) & (t->cap - 1);
	t->slots[i] = (struct slot){ .key = key + 1, .value = value };
	t->nr++;
}

static int table_add(struct table *t, u64 key, u64 value)
{
	struct slot *found = table_find(t, key);

	if (found) {
		found->value = value;
		return 0;
	}
	if (t->nr * 2 >= t->cap) {
		struct table bigger = { .cap = t->cap ? t->cap * 2 : 64 };

		bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
		if (!bigger.slots)
			return -ENOMEM;
		for (u64 i = 0; i < t->cap; i++)
			if (t->slots[i].key)
				table_put_new(&bigger, t->slots[i].key - 1, t->slots[i].value);
		free(t->slots);
		*t = bigger;
	}
	table_put_new(t, key, value);
	return 0;
}

static void table_del(struct table *t, u64 key)
{
	struct slot *found = table_find(t, key);
	u64 i, hole;

	if (!found)
		return;
	hole = found - t->slots;
	t->slots[hole].key = 0;
	t->nr--;
	/* Whoever sits behind the hole because of it moves up. */
	for (i = (hole + 1) & (t->cap - 1); t->slots[i].key; i = (i + 1) & (t->cap - 1)) {
		u64 home = table_start(t, t->slots[i].key - 1);

		if (((i - home) & (t->cap - 1)) < ((i - hole) & (t->cap - 1)))
			continue;
		t->slots[hole] = t->slots[i];
		t->slots[i].key = 0;
		hole = i;
	}
}

/* --- the host --- */

enum node_state { NODE_NONE, NODE_MAPPED, NODE_SPLIT };

struct node {
	u64 pfn; /* MAPPED: of its first page */
	struct node *children; /* SPLIT: FANOUT of the next smaller size */
	u8 state;
	bool writable;
};

struct area {
	u64 start, end;
	u8 level;
	bool writable;
};

struct hostmem {
	u64 rng;
	u32 pfn_bits;
	u64 max_bytes;
	u64 nr_nodes;
	struct table contents; /* pfn -> page */
	struct table used; /* first pfn of a page of its zone's size -> 4 KiB pages alive */
	struct table holes; /* pfn freed from a page of which others are still alive */
	struct table roots; /* hva >> 30 -> struct node * */
	struct area *areas;
	u32 nr_areas;
};

static u64 pages_of(u32 level)
{
	return 1ULL << (9 * (level - 1));
}

static u64 bytes_of(u32 level)
{
	return pages_of(level) << PAGE_SHIFT;
}

/* splitmix64 */
static u64 draw(struct hostmem *mem)
{
	u64 z = mem->rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

struct hostmem *hostmem_create(u64 seed, u32 phys_bits, u64 max_bytes)
{
	struct hostmem *mem;

	if (phys_bits < 36 || phys_bits > 52)
		return NULL;
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return NULL;
	mem->rng = seed;
	mem->pfn_bits = phys_bits - PAGE_SHIFT;
	mem->max_bytes = max_bytes;
	return mem;
}

static void node_free(struct node *node, u32 level)
{
	if (node->state == NODE_SPLIT)
		for (u32 i = 0; i < FANOUT; i++)
			node_free(&node->children[i], level - 1);
	free(node->children);
}

/* Contents are whole pages of ours, which leaves a bit of their addresses: the page was written. */
#define WRITTEN 1ull

static u8 *contents_of(const struct slot *slot)
{
	return (u8 *)(uintptr_t)(slot->value & ~WRITTEN);
}

void hostmem_destroy(struct hostmem *mem)
{
	if (!mem)
		return;
	for (u64 i = 0; i < mem->contents.cap; i++)
		if (mem->contents.slots[i].key)
			free(contents_of(&mem->contents.slots[i]));
	for (u64 i = 0; i < mem->roots.cap; i++) {
		struct node *root = (void *)(uintptr_t)mem->roots.slots[i].value;

		if (!mem->roots.slots[i].key)
			continue;
		node_free(root, 3);
		free(root);
	}
	free(mem->contents.slots);
	free(mem->used.slots);
	free(mem->holes.slots);
	free(mem->roots.slots);
	free(mem->areas);
	free(mem);
}

u64 hostmem_bytes(const struct hostmem *mem)
{
	return mem->contents.nr << PAGE_SHIFT;
}

/* Memory of this program that it takes to know the host's, beside the contents. */
static u64 overhead(const struct hostmem *mem)
{
	return mem->nr_nodes * sizeof(struct node) + (mem->used.cap + mem->holes.cap) * sizeof(struct slot);
}

static bool is_full(const struct hostmem *mem)
{
	return hostmem_bytes(mem) + overhead(mem) + PAGE_SIZE > mem->max_bytes;
}

/* --- frames --- */

static u32 zone_of(const struct hostmem *mem, u64 pfn)
{
	return pfn >> (mem->pfn_bits - 2);
}

static u32 zone_level(u32 zone)
{
	return zone ? zone : 1;
}

static u64 zone_base(const struct hostmem *mem, u64 pfn)
{
	return pfn & ~(pages_of(zone_level(zone_of(mem, pfn))) - 1);
}

static bool frame_alive(const struct hostmem *mem, u64 pfn)
{
	if (pfn >> mem->pfn_bits)
		return false;
	return table_find(&mem->used, zone_base(mem, pfn)) && !table_find(&mem->holes, pfn);
}

/* A page of the zone that is not in use, or -ENOMEM. */
static int frame_alloc(struct hostmem *mem, u32 zone, u64 *pfn_ret)
{
	u32 level = zone_level(zone);

	for (u32 i = 0; i < TRIES; i++) {
		u64 pfn = draw(mem) & ((1ULL << (mem->pfn_bits - 2)) - 1) & ~(pages_of(level) - 1);

		pfn |= (u64)zone << (mem->pfn_bits - 2);
		if (pfn < 256 || table_find(&mem->used, pfn))
			continue;
		if (table_add(&mem->used, pfn, pages_of(level)))
			return -ENOMEM;
		*pfn_ret = pfn;
		return 0;
	}
	return -ENOMEM;
}

static void frame_free(struct hostmem *mem, u64 first, u64 nr)
{
	for (u64 pfn = first; pfn < first + nr; pfn++) {
		struct slot *page = table_find(&mem->contents, pfn);

		if (!page)
			continue;
		free(contents_of(page));
		table_del(&mem->contents, pfn);
	}
	/* The zones of larger pages may be given back in parts. */
	{
		u64 base = zone_base(mem, first);
		u64 whole = pages_of(zone_level(zone_of(mem, first)));
		struct slot *used = table_find(&mem->used, base);

		used->value -= nr;
		if (used->value) {
			/* Memory being out here only means that a stale access is not caught. */
			for (u64 pfn = first; pfn < first + nr; pfn++)
				if (table_add(&mem->holes, pfn, 1))
					break;
			return;
		}
		table_del(&mem->used, base);
		for (u64 pfn = base; nr < whole && pfn < base + whole; pfn++)
			table_del(&mem->holes, pfn);
	}
}

static int page_make(struct hostmem *mem, u64 pfn, u8 **ret)
{
	struct slot *slot = table_find(&mem->contents, pfn);
	void *page;

	if (slot) {
		*ret = contents_of(slot);
		return 0;
	}
	if (is_full(mem))
		return -ENOMEM;
	page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	if (!page)
		return -ENOMEM;
	memset(page, 0, PAGE_SIZE);
	if (table_add(&mem->contents, pfn, (uintptr_t)page)) {
		free(page);
		return -ENOMEM;
	}
	*ret = page;
	return 0;
}

static void set_written(struct hostmem *mem, u64 pfn)
{
	table_find(&mem->contents, pfn)->value |= WRITTEN;
}

bool hostmem_is_written(const struct hostmem *mem, u64 pfn)
{
	const struct slot *slot = table_find(&mem->contents, pfn);

	return slot && slot->value & WRITTEN;
}

void hostmem_clear_written(struct hostmem *mem, u64 pfn)
{
	struct slot *slot = table_find(&mem->contents, pfn);

	if (slot)
		slot->value &= ~WRITTEN;
}

void hostmem_set_written(struct hostmem *mem, u64 pfn)
{
	if (table_find(&mem->contents, pfn))
		set_written(mem, pfn);
}

bool hostmem_is_table(const struct hostmem *mem, u64 pa)
{
	return !zone_of(mem, pa >> PAGE_SHIFT);
}

void *hostmem_contents(const struct hostmem *mem, u64 pfn)
{
	const struct slot *slot = table_find(&mem->contents, pfn);

	return slot ? contents_of(slot) : NULL;
}

int hostmem_make(struct hostmem *mem, u64 pfn)
{
	u8 *page;

	return frame_alive(mem, pfn) ? page_make(mem, pfn, &page) : -EFAULT;
}

int hostmem_table_alloc(struct hostmem *mem, void **va_ret, u64 *pa_ret)
{
	u64 pfn;
	u8 *page;

	if (frame_alloc(mem, 0, &pfn))
		return -ENOMEM;
	if (page_make(mem, pfn, &page)) {
		frame_free(mem, pfn, 1);
		return -ENOMEM;
	}
	*va_ret = page;
	*pa_ret = pfn << PAGE_SHIFT;
	return 0;
}

u32 hostmem_table_peek(struct hostmem *mem, u64 *pas, u32 nr)
{
	u64 rng = mem->rng, pfn, room = mem->max_bytes;
	u32 n, i;

	/* What is not sure to be had is not shown: a page of each, and what is kept of it. */
	if (hostmem_bytes(mem) + overhead(mem) + (nr + 1) * (u64)PAGE_SIZE +
		    4 * mem->used.cap * sizeof(struct slot) >
	    room)
		return 0;
	for (n = 0; n < nr && !frame_alloc(mem, 0, &pfn); n++)
		pas[n] = pfn << PAGE_SHIFT;
	for (i = 0; i < n; i++)
		table_del(&mem->used, pas[i] >> PAGE_SHIFT);
	mem->rng = rng;
	return n;
}

void hostmem_table_free(struct hostmem *mem, u64 pa)
{
	frame_free(mem, pa >> PAGE_SHIFT, 1);
}

int hostmem_read(struct hostmem *mem, u64 pa, void *dst, u32 len)
{
	struct slot *slot;

	if (!frame_alive(mem, pa >> PAGE_SHIFT) || (pa & (PAGE_SIZE - 1)) + len > PAGE_SIZE)
		return -EFAULT;
	slot = table_find(&mem->contents, pa >> PAGE_SHIFT);
	if (slot)
		memcpy(dst, contents_of(slot) + (pa & (PAGE_SIZE - 1)), len);
	else
		memset(dst, 0, len);
	return 0;
}

int hostmem_write(struct hostmem *mem, u64 pa, const void *src, u32 len)
{
	u8 *page;

	if (!frame_alive(mem, pa >> PAGE_SHIFT) || (pa & (PAGE_SIZE - 1)) + len > PAGE_SIZE)
		return -EFAULT;
	if (page_make(mem, pa >> PAGE_SHIFT, &page))
		return -ENOMEM;
	set_written(mem, pa >> PAGE_SHIFT);
	memcpy(page + (pa & (PAGE_SIZE - 1)), src, len);
	return 0;
}

int hostmem_cmpxchg(struct hostmem *mem, u64 pa, u64 old, u64 new_value, u32 bytes)
{
	u8 *page;
	u32 old32 = old;
	u64 old64 = old;

	if (!frame_alive(mem, pa >> PAGE_SHIFT) || (pa & (bytes - 1)))
		return -EFAULT;
	if (page_make(mem, pa >> PAGE_SHIFT, &page))
		return -ENOMEM;
	set_written(mem, pa >> PAGE_SHIFT);
	page += pa & (PAGE_SIZE - 1);
	if (bytes == 4)
		return __atomic_compare_exchange_n((u32 *)page, &old32, (u32)new_value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
			       ? 0
			       : -EAGAIN;
	return __atomic_compare_exchange_n((u64 *)page, &old64, new_value, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST)
		       ? 0
		       : -EAGAIN;
}

/* --- the VMM's address space --- */

static const struct area *area_of(const struct hostmem *mem, u64 hva)
{
	for (u32 i = 0; i < mem->nr_areas; i++)
		if (hva >= mem->areas[i].start && hva < mem->areas[i].end)
			return &mem->areas[i];
	return NULL;
}

int hostmem_map(struct hostmem *mem, u64 hva, u64 bytes, u32 level, bool writable)
{
	struct area *more;

	if ((hva | bytes) & (PAGE_SIZE - 1) || !bytes || hva + bytes < hva || level < 1 || level > 3)
		return -EINVAL;
	for (u32 i = 0; i < mem->nr_areas; i++)
		if (hva < mem->areas[i].end && mem->areas[i].start < hva + bytes)
			return -EEXIST;
	more = realloc(mem->areas, (mem->nr_areas + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	mem->areas = more;
	more[mem->nr_areas++] =
		(struct area){ .start = hva, .end = hva + bytes, .level = level, .writable = writable };
	return 0;
}

static struct node *root_of(const struct hostmem *mem, u64 hva)
{
	struct slot *slot = table_find(&mem->roots, hva >> 30);

	return slot ? (void *)(uintptr_t)slot->value : NULL;
}

static struct node *child_of(const struct node *node, u64 hva, u32 level)
{
	return &node->children[hva >> (PAGE_SHIFT + 9 * (level - 2)) & (FANOUT - 1)];
}

/* One page becomes FANOUT smaller ones, with the same frames. */
static int node_split(struct hostmem *mem, struct node *node, u32 level)
{
	struct node *children = is_full(mem) ? NULL : calloc(FANOUT, sizeof(*children));

	if (!children)
		return -ENOMEM;
	for (u32 i = 0; node->state == NODE_MAPPED && i < FANOUT; i++)
		children[i] = (struct node){ .pfn = node->pfn + i * pages_of(level - 1),
					     .state = NODE_MAPPED,
					     .writable = node->writable };
	node->children = children;
	node->state = NODE_SPLIT;
	mem->nr_nodes += FANOUT;
	return 0;
}

static bool area_takes(const struct area *area, u64 hva, u32 level)
{
	u64 start = hva & ~(bytes_of(level) - 1);

	return level <= area->level && start >= area->start && start + bytes_of(level) <= area->end;
}

int hostmem_fault(struct hostmem *mem, u64 hva, bool write, struct hostmem_pfn *ret)
{
	const struct area *area = area_of(mem, hva);
	struct node *node = root_of(mem, hva);
	u32 level = 3;

	if (!area)
		return -EFAULT;
	if (!node) {
		node = calloc(1, sizeof(*node));
		if (!node || table_add(&mem->roots, hva >> 30, (uintptr_t)node)) {
			free(node);
			return -ENOMEM;
		}
	}
	for (;; node = child_of(node, hva, level), level--) {
		if (node->state == NODE_MAPPED)
			break;
		if (node->state == NODE_SPLIT)
			continue;
		/* No frames of this size left: smaller ones do. */
		if (area_takes(area, hva, level) && !frame_alloc(mem, level, &node->pfn)) {
			node->state = NODE_MAPPED;
			node->writable = area->writable;
			break;
		}
		if (level == 1 || node_split(mem, node, level))
			return -ENOMEM;
	}
	if (write && !node->writable)
		return -EFAULT;
	*ret = (struct hostmem_pfn){
		.pfn = node->pfn + (hva >> PAGE_SHIFT & (pages_of(level) - 1)),
		.level = level,
		.writable = node->writable,
	};
	return 0;
}

int hostmem_lookup(const struct hostmem *mem, u64 hva, struct hostmem_pfn *ret)
{
	const struct node *node = root_of(mem, hva);
	u32 level = 3;

	while (node && node->state == NODE_SPLIT)
		node = child_of(node, hva, level--);
	if (!node || node->state != NODE_MAPPED)
		return -EFAULT;
	*ret = (struct hostmem_pfn){
		.pfn = node->pfn + (hva >> PAGE_SHIFT & (pages_of(level) - 1)),
		.level = level,
		.writable = node->writable,
	};
	return 0;
}

void hostmem_span(const struct hostmem *mem, u64 hva, u64 *start_ret, u64 *end_ret)
{
	const struct area *area = area_of(mem, hva);
	const struct node *node = root_of(mem, hva);
	u32 level = 3;

	for (; level > 1; level--) {
		bool split = node && node->state == NODE_SPLIT;

		if (!split && area && area_takes(area, hva, level))
			break;
		node = split ? child_of(node, hva, level) : NULL;
	}
	*start_ret = hva & ~(bytes_of(level) - 1);
	*end_ret = *start_ret + bytes_of(level);
}

u64 hostmem_pfn(const struct hostmem *mem, u64 hva)
{
	struct hostmem_pfn pfn;

	return hostmem_lookup(mem, hva, &pfn) ? ~0ULL : pfn.pfn;
}

/* What is done to each page wholly inside a range. */
typedef int (*node_fn)(struct hostmem *mem, struct node *node, u32 level, u64 arg);

static int node_range(struct hostmem *mem, struct node *node, u32 level, u64 base, u64 start, u64 end,
		      node_fn fn, u64 arg)
{
	u64 last = base + bytes_of(level) - 1;
	int rc = 0;

	if (node->state == NODE_NONE || end <= base || start > last)
		return 0;
	if (node->state == NODE_MAPPED && start <= base && last < end)
		return fn(mem, node, level, arg);
	if (node->state == NODE_MAPPED) {
		rc = node_split(mem, node, level);
		if (rc)
			return rc;
	}
	for (u32 i = 0; i < FANOUT; i++) {
		int one = node_range(mem, &node->children[i], level - 1, base + i * bytes_of(level - 1),
				     start, end, fn, arg);

		rc = rc ? rc : one;
	}
	return rc;
}

static int for_range(struct hostmem *mem, u64 hva, u64 bytes, node_fn fn, u64 arg)
{
	u64 end = hva + bytes;
	int rc = 0;

	for (u64 base = hva & ~(bytes_of(3) - 1); base < end; base += bytes_of(3)) {
		struct node *root = root_of(mem, base);
		int one = root ? node_range(mem, root, 3, base, hva, end, fn, arg) : 0;

		rc = rc ? rc : one;
	}
	return rc;
}

static int node_discard(struct hostmem *mem, struct node *node, u32 level, u64 arg)
{
	(void)arg;
	frame_free(mem, node->pfn, pages_of(level));
	node->state = NODE_NONE;
	return 0;
}

int hostmem_discard(struct hostmem *mem, u64 hva, u64 bytes)
{
	return for_range(mem, hva, bytes, node_discard, 0);
}

static int node_migrate(struct hostmem *mem, struct node *node, u32 level, u64 arg)
{
	u64 pfn;

	(void)arg;
	if (frame_alloc(mem, level, &pfn))
		return -ENOMEM;
	for (u64 i = 0; i < pages_of(level); i++) {
		struct slot *page = table_find(&mem->contents, node->pfn + i);
		u64 va;

		if (!page)
			continue;
		va = page->value;
		table_del(&mem->contents, node->pfn + i);
		/* There is room: one was just taken out. */
		if (table_add(&mem->contents, pfn + i, va))
			return -ENOMEM;
	}
	frame_free(mem, node->pfn, pages_of(level));
	node->pfn = pfn;
	return 0;
}

int hostmem_migrate(struct hostmem *mem, u64 hva, u64 bytes)
{
	return for_range(mem, hva, bytes, node_migrate, 0);
}

static int node_protect(struct hostmem *mem, struct node *node, u32 level, u64 arg)
{
	(void)mem;
	(void)level;
	node->writable = arg;
	return 0;
}

int hostmem_protect(struct hostmem *mem, u64 hva, u64 bytes, bool writable)
{
	struct hostmem_pfn pfn;

	/* Rights belong to addresses: pages not yet there get theirs now. */
	for (u64 at = hva; at < hva + bytes;) {
		int rc = hostmem_fault(mem, at, false, &pfn);

		if (rc == -ENOMEM)
			return rc;
		if (rc) {
			at += PAGE_SIZE;
			continue;
		}
		at = (at & ~(bytes_of(pfn.level) - 1)) + bytes_of(pfn.level);
	}
	return for_range(mem, hva, bytes, node_protect, writable);
}

static int node_collapse(struct hostmem *mem, struct node *node, u32 level)
{
	struct node *children = node->children;
	u64 pfn;

	for (u32 i = 0; i < FANOUT; i++)
		if (children[i].state != NODE_MAPPED || children[i].writable != children[0].writable)
			return 0;
	if (frame_alloc(mem, level, &pfn))
		return 0;
	for (u32 i = 0; i < FANOUT; i++) {
		u64 old = children[i].pfn;
		struct slot *page = table_find(&mem->contents, old);

		if (page) {
			u64 va = page->value;

			table_del(&mem->contents, old);
			if (table_add(&mem->contents, pfn + i, va))
				return -ENOMEM;
		}
		frame_free(mem, old, 1);
	}
	node->writable = children[0].writable;
	node->pfn = pfn;
	node->state = NODE_MAPPED;
	node->children = NULL;
	free(children);
	mem->nr_nodes -= FANOUT;
	return 0;
}

int hostmem_collapse(struct hostmem *mem, u64 hva, u64 bytes)
{
	u64 first = (hva + bytes_of(2) - 1) & ~(bytes_of(2) - 1);

	for (u64 base = first; base + bytes_of(2) <= hva + bytes; base += bytes_of(2)) {
		const struct area *area = area_of(mem, base);
		struct node *node = root_of(mem, base);
		int rc;

		if (!area || !node || node->state != NODE_SPLIT || !area_takes(area, base, 2))
			continue;
		node = child_of(node, base, 3);
		if (node->state != NODE_SPLIT)
			continue;
		rc = node_collapse(mem, node, 2);
		if (rc)
			return rc;
	}
	return 0;
}
