/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds tables of a guest in guest memory, behind the engine's back: what L1's or L2's own code would have
 * stored before the story begins. Only the raw layout is known here; what the bits do is the business of
 * those who walk them.
 */
#include "scenario/machine.h"

#include <stdlib.h>

#define ENTRY_PRESENT 1ULL
#define ENTRY_BIG (1ULL << 7)
#define PDPTE_FREE (1ULL << 3 | 1ULL << 4) /* what a PAE PDPTE may carry beside P */
#define EPT_RWX 7ULL
#define ADDR_MASK 0x000ffffffffff000ULL

struct ms_tables {
	struct ms_machine *machine;
	enum nmmu_gpt kind;
	u32 levels;
	u64 next_gfn, end_gfn;
	u64 root_gfn;
	u64 (*to_gpa)(void *ctx, u64 ngpa);
	void *ctx;
};

static u64 where(const struct ms_tables *t, u64 addr)
{
	return t->to_gpa ? t->to_gpa(t->ctx, addr) : addr;
}

static u32 entry_bytes(const struct ms_tables *t)
{
	return t->kind == NMMU_GPT_32 ? 4 : 8;
}

static u32 level_shift(const struct ms_tables *t, u32 level)
{
	return 12 + (t->kind == NMMU_GPT_32 ? 10 : 9) * (level - 1);
}

static u64 entry_addr(const struct ms_tables *t, u64 table_gfn, u64 addr, u32 level)
{
	u32 bits = t->kind == NMMU_GPT_32 ? 10 : 9;
	u64 index = addr >> level_shift(t, level) & ((1u << bits) - 1);

	if (t->kind == NMMU_GPT_PAE && level == 3)
		index &= 3;
	return (table_gfn << NMMU_PAGE_SHIFT) + index * entry_bytes(t);
}

static bool is_present(const struct ms_tables *t, u64 entry)
{
	return entry & (t->kind == NMMU_GPT_EPT ? EPT_RWX : ENTRY_PRESENT);
}

static int entry_read(const struct ms_tables *t, u64 addr, u64 *ret)
{
	*ret = 0;
	return ms_machine_peek(t->machine, where(t, addr), ret, entry_bytes(t));
}

static struct ms_err *table_take(struct ms_tables *t, u64 for_addr, u64 *gfn_ret)
{
	if (t->next_gfn >= t->end_gfn)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "no page left for a table that maps 0x%llx",
					      (unsigned long long)for_addr),
				   "give these tables a larger pool");
	*gfn_ret = t->next_gfn++;
	return NULL;
}

struct ms_err *ms_tables_create(struct ms_machine *machine, enum nmmu_gpt kind, u32 levels, u64 pool_gfn,
				u64 pool_pages, struct ms_tables **ret)
{
	static const struct {
		u8 min, max;
	} of_kind[] = {
		[NMMU_GPT_32] = { 2, 2 },   [NMMU_GPT_PAE] = { 3, 3 }, [NMMU_GPT_64] = { 4, 4 },
		[NMMU_GPT_LA57] = { 5, 5 }, [NMMU_GPT_EPT] = { 4, 5 },
	};
	struct ms_tables *t;
	struct ms_err *err;

	if (kind == NMMU_GPT_NONE || kind > NMMU_GPT_EPT || levels < of_kind[kind].min ||
	    levels > of_kind[kind].max)
		return ms_err_new(MS_ERR_USAGE, "tables of this kind do not have %u levels", levels);
	t = calloc(1, sizeof(*t));
	if (!t)
		return ms_err_nomem();
	*t = (struct ms_tables){ .machine = machine,
				 .kind = kind,
				 .levels = levels,
				 .next_gfn = pool_gfn,
				 .end_gfn = pool_gfn + pool_pages };
	err = table_take(t, 0, &t->root_gfn);
	if (err) {
		free(t);
		return err;
	}
	*ret = t;
	return NULL;
}

void ms_tables_destroy(struct ms_tables *tables)
{
	free(tables);
}

void ms_tables_set_space(struct ms_tables *tables, u64 (*to_gpa)(void *ctx, u64 ngpa), void *ctx)
{
	tables->to_gpa = to_gpa;
	tables->ctx = ctx;
}

u64 ms_tables_root_gfn(const struct ms_tables *tables)
{
	return tables->root_gfn;
}

static struct ms_err *entry_store(const struct ms_tables *t, u64 addr, u64 value)
{
	if (!ms_machine_poke(t->machine, where(t, addr), &value, entry_bytes(t)))
		return NULL;
	return ms_err_new(MS_ERR_USAGE, "table entry at 0x%llx has no memory behind it",
			  (unsigned long long)addr);
}

/* A frame in an entry: above 4 GiB, a 32-bit large page has its own place for it (PSE-36). */
static u64 frame_bits(const struct ms_tables *t, u64 gfn, u32 level)
{
	u64 pa = gfn << NMMU_PAGE_SHIFT;

	if (t->kind == NMMU_GPT_32)
		return (pa & 0xfffff000ULL) | (level == 2 ? (pa >> 32 & 0xf) << 13 : 0);
	return pa & ADDR_MASK;
}

struct ms_err *ms_tables_map(struct ms_tables *t, u64 addr, u64 gfn, u32 level, u64 bits, u64 upper)
{
	u64 table_gfn = t->root_gfn;
	u64 entry, value, at;
	u32 i;

	if (level < 1 || level > t->levels)
		return ms_err_new(MS_ERR_USAGE, "0x%llx cannot be mapped at level %u",
				  (unsigned long long)addr, level);
	for (i = t->levels; i > level; i--) {
		u64 child = 0;
		struct ms_err *err;

		at = entry_addr(t, table_gfn, addr, i);
		if (entry_read(t, at, &entry))
			return ms_err_new(MS_ERR_USAGE, "table entry at 0x%llx has no memory behind it",
					  (unsigned long long)at);
		if (is_present(t, entry)) {
			table_gfn = (t->kind == NMMU_GPT_32 ? entry & 0xfffff000ULL : entry & ADDR_MASK) >>
				    NMMU_PAGE_SHIFT;
			continue;
		}
		err = table_take(t, addr, &child);
		if (err)
			return err;
		value = child << NMMU_PAGE_SHIFT;
		value |= t->kind == NMMU_GPT_PAE && i == 3 ? (upper & PDPTE_FREE) | ENTRY_PRESENT : upper;
		err = entry_store(t, at, value);
		if (err)
			return err;
		table_gfn = child;
	}
	value = frame_bits(t, gfn, level) | bits | (level > 1 ? ENTRY_BIG : 0);
	return entry_store(t, entry_addr(t, table_gfn, addr, level), value);
}

u64 ms_tables_entry(const struct ms_tables *t, u64 addr, u32 level)
{
	u64 table_gfn = t->root_gfn;
	u64 entry;

	if (level < 1 || level > t->levels)
		return ~0ULL;
	for (u32 i = t->levels; i > level; i--) {
		if (entry_read(t, entry_addr(t, table_gfn, addr, i), &entry) || !is_present(t, entry))
			return ~0ULL;
		table_gfn = (t->kind == NMMU_GPT_32 ? entry & 0xfffff000ULL : entry & ADDR_MASK) >>
			    NMMU_PAGE_SHIFT;
	}
	return where(t, entry_addr(t, table_gfn, addr, level));
}
