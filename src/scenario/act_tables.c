/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Actions of a scenario on tables of L1 and L2: making them in guest memory, and changing an entry as a
 * guest, as the host, or behind everybody's back. Entry bits: SEMANTICS B.1, B.2.
 */
#include "scenario/play.h"

#include <errno.h>

#define X86_P 1ULL
#define X86_W 2ULL
#define X86_U 4ULL
#define X86_A (1ULL << 5)
#define X86_D (1ULL << 6)
#define X86_NX (1ULL << 63)
#define EPT_R 1ULL
#define EPT_W 2ULL
#define EPT_X 4ULL
#define EPT_A (1ULL << 8)
#define EPT_D (1ULL << 9)
#define ENTRY_LARGE (1ULL << 7)
#define EPT_MT_WB 6u

enum by { BY_GUEST, BY_HOST, BY_POKE }; /* choices of keys.def */

static const struct {
	enum nmmu_gpt gpt;
	u32 levels;
} kinds[] = {
	[KIND_EPT4] = { NMMU_GPT_EPT, 4 }, [KIND_EPT5] = { NMMU_GPT_EPT, 5 },
	[KIND_PT32] = { NMMU_GPT_32, 2 },  [KIND_PTPAE] = { NMMU_GPT_PAE, 3 },
	[KIND_PT64] = { NMMU_GPT_64, 4 },  [KIND_PTLA57] = { NMMU_GPT_LA57, 5 },
};

static u8 kind_of(const struct ms_play *play, u32 table)
{
	return play->sc->tables[table].kind;
}

bool table_is_ept(const struct ms_play *play, u32 table)
{
	return kinds[kind_of(play, table)].gpt == NMMU_GPT_EPT;
}

u64 table_eptp(struct ms_play *play, u32 table, bool ad)
{
	return ms_tables_root_gfn(play->tables[table]) << NMMU_PAGE_SHIFT | EPT_MT_WB |
	       (u64)(kinds[kind_of(play, table)].levels - 1) << 3 | (ad ? 1ULL << 6 : 0);
}

static u32 entry_bytes(const struct ms_play *play, u32 table)
{
	return kind_of(play, table) == KIND_PT32 ? 4 : 8;
}

int table_entry(void *ctx, u32 table, u64 addr, u32 level, u64 *ret)
{
	struct ms_play *play = ctx;

	if (!play->tables[table])
		return -ENOENT;
	*ret = level ? ms_tables_entry(play->tables[table], addr, level)
		     : ms_tables_root_gfn(play->tables[table]) << NMMU_PAGE_SHIFT;
	return *ret == ~0ULL ? -ENOENT : 0;
}

static struct ms_tables *made(struct ms_play *play, const struct stmt *stmt, u32 *table_ret)
{
	*table_ret = arg_choice(play, stmt, KEY_TABLE, 0);
	if (!play->tables[*table_ret])
		play_fail(play, stmt, "the table was not made: is its statement in a loop that was not run?");
	return play->tables[*table_ret];
}

/* Every frame of the pool lies in a slot: tables are written into guest memory. */
static bool check_pool(struct ms_play *play, const struct stmt *stmt, u64 gfn, u64 end)
{
	const struct nmmu_slot *slot;

	for (; gfn < end; gfn = slot->base_gfn + slot->nr_pages) {
		slot = ms_machine_slot_at(play->machine, 0, gfn);
		if (!slot)
			return play_wrong(play, stmt, KEY_POOL, "pool: no slot has frame 0x%llx",
					  (unsigned long long)gfn);
	}
	return true;
}

void act_table(struct ms_play *play, const struct stmt *stmt)
{
	u32 table = arg_choice(play, stmt, KEY_NEW, 0), kind = arg_choice(play, stmt, KEY_KIND, 0);
	const struct arg *pool = stmt_arg(play->sc, stmt, KEY_POOL);
	struct arg first = { 0 }, pages = { 0 };
	struct ms_err *err;
	u64 gfn, nr;

	if (play->tables[table]) {
		play_fail(play, stmt, "the table is made already");
		return;
	}
	if (!pool || !range_split(pool->text, &first.text, &pages.text)) {
		play_fail(play, stmt, "pool=FRAME+PAGES is missing");
		return;
	}
	gfn = arg_eval(play, stmt, &first);
	nr = arg_eval(play, stmt, &pages);
	if (nr < 1 || nr > 1u << 20 || gfn >= 1ULL << 40)
		play_wrong(play, stmt, KEY_POOL, "a pool has 1 to %u pages", 1u << 20);
	if (play->failed || !check_pool(play, stmt, gfn, gfn + nr))
		return;
	err = ms_tables_create(play->machine, kinds[kind].gpt, kinds[kind].levels, gfn, nr,
			       &play->tables[table]);
	if (err)
		play_fail_err(play, stmt, err);
}

/* The bits of an entry beside its address. missing: rights when none are given. */
static u64 entry_bits(struct ms_play *play, const struct stmt *stmt, u32 table, u32 level, u32 rights)
{
	bool ad = arg_has(play, stmt, KEY_AD), a = ad || arg_has(play, stmt, KEY_A);
	bool d = ad || arg_has(play, stmt, KEY_D);
	u64 bits = arg_num(play, stmt, KEY_BITS, 0) | (level > 1 ? ENTRY_LARGE : 0);

	rights = arg_choice(play, stmt, KEY_RIGHTS, rights);
	if (table_is_ept(play, table))
		return bits | (rights & RIGHT_R ? EPT_R : 0) | (rights & RIGHT_W ? EPT_W : 0) |
		       (rights & RIGHT_X ? EPT_X : 0) | (u64)arg_choice(play, stmt, KEY_MT, EPT_MT_WB) << 3 |
		       (a ? EPT_A : 0) | (d ? EPT_D : 0);
	return bits | (rights & RIGHT_R ? X86_P : 0) | (rights & RIGHT_W ? X86_W : 0) |
	       (rights & RIGHT_U ? X86_U : 0) |
	       (rights & RIGHT_X || kind_of(play, table) == KIND_PT32 ? 0 : X86_NX) | (a ? X86_A : 0) |
	       (d ? X86_D : 0);
}

#define RIGHTS_ALL (RIGHT_R | RIGHT_W | RIGHT_X | RIGHT_U)

static u32 level_of(struct ms_play *play, const struct stmt *stmt)
{
	u64 level = arg_num(play, stmt, KEY_LEVEL, 1);

	if (level >= 1 && level <= 5)
		return (u32)level;
	play_wrong(play, stmt, KEY_LEVEL, "a level is 1 to 5");
	return 1;
}

/* Bytes that an entry of a level maps. */
static u64 level_bytes(const struct ms_play *play, u32 table, u32 level)
{
	return kind_of(play, table) == KIND_PT32 && level == 2 ? 4ULL << 20 : 4096ULL << 9 * (level - 1);
}

static bool check_addr(struct ms_play *play, const struct stmt *stmt, u32 table, u64 addr)
{
	if (table_has_addr((enum table_kind)kind_of(play, table), addr))
		return true;
	return play_wrong(play, stmt, KEY_ADDR, "0x%llx is no address that the table translates",
			  (unsigned long long)addr);
}

void act_map(struct ms_play *play, const struct stmt *stmt)
{
	u64 addr = arg_num(play, stmt, KEY_ADDR, 0), gpa = arg_num(play, stmt, KEY_GPA, 0);
	u64 pages = arg_num(play, stmt, KEY_PAGES, 1), bits, upper;
	u32 level = level_of(play, stmt), rights, table;
	struct ms_tables *tables = made(play, stmt, &table);
	struct ms_err *err = NULL;

	if (!tables)
		return;
	if (pages < 1 || pages > 1u << 20 || level > 3) {
		play_wrong(play, stmt, KEY_PAGES, "1 to %u pages of level 1 to 3", 1u << 20);
		return;
	}
	bits = entry_bits(play, stmt, table, level, RIGHTS_ALL);
	rights = arg_choice(play, stmt, KEY_UPPER, RIGHTS_ALL);
	if (table_is_ept(play, table))
		upper = (rights & RIGHT_R ? EPT_R : 0) | (rights & RIGHT_W ? EPT_W : 0) |
			(rights & RIGHT_X ? EPT_X : 0);
	else
		upper = X86_P | (rights & RIGHT_W ? X86_W : 0) | (rights & RIGHT_U ? X86_U : 0) |
			(rights & RIGHT_X || kind_of(play, table) == KIND_PT32 ? 0 : X86_NX);
	if ((addr | gpa) & (NMMU_PAGE_SIZE - 1))
		play_wrong(play, stmt, KEY_ADDR, "addresses of pages");
	for (; pages && !err && play_spend(play, stmt); pages--) {
		if (!check_addr(play, stmt, table, addr))
			return;
		err = ms_tables_map(tables, addr, gpa >> NMMU_PAGE_SHIFT, level, bits, upper);
		addr += level_bytes(play, table, level);
		if (!arg_has(play, stmt, KEY_ALIAS))
			gpa += level_bytes(play, table, level);
	}
	if (err)
		play_fail_err(play, stmt, err);
}

/* Store a value into an entry in the way that by= says. */
static void store(struct ms_play *play, const struct stmt *stmt, u32 table, u64 gpa, u64 value,
		  struct outcome *out)
{
	u32 bytes = entry_bytes(play, table);
	struct nmmu_access access = {
		.gva = arg_num(play, stmt, KEY_AT, gpa),
		.bytes = (u8)bytes,
		.write = true,
		.value = value,
	};
	int vcpu;

	switch ((enum by)arg_choice(play, stmt, KEY_BY, BY_GUEST)) {
	case BY_GUEST:
		vcpu = arg_vcpu(play, stmt);
		if (vcpu >= 0)
			do_access(play, (u32)vcpu, &access, out);
		return;
	case BY_HOST:
		out->kind = OUT_CALL;
		out->error = ms_machine_host_write(play->machine, gpa, &value, bytes);
		break;
	case BY_POKE:
		out->kind = OUT_CALL;
		out->error = ms_machine_poke(play->machine, gpa, &value, bytes);
		break;
	}
	out->unclaimed = out->error;
}

/* The entry that a statement names; false with a failure when a table on the way is missing. */
static bool find_entry(struct ms_play *play, const struct stmt *stmt, u32 *table_ret, u64 *gpa_ret)
{
	u64 addr = arg_num(play, stmt, KEY_ADDR, 0);
	u32 level = level_of(play, stmt);

	if (!made(play, stmt, table_ret) || !check_addr(play, stmt, *table_ret, addr))
		return false;
	*gpa_ret = ms_tables_entry(play->tables[*table_ret], addr, level);
	if (*gpa_ret == ~0ULL)
		return play_fail(play, stmt, "0x%llx has no entry at level %u: a table on the way is missing",
				 (unsigned long long)addr, level);
	return !play->failed;
}

void act_edit(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u64 gpa, value;
	u32 table;

	if (!find_entry(play, stmt, &table, &gpa))
		return;
	if (arg_has(play, stmt, KEY_NONE))
		value = 0;
	else if (arg_has(play, stmt, KEY_VALUE))
		value = arg_num(play, stmt, KEY_VALUE, 0);
	else if (arg_has(play, stmt, KEY_GPA))
		value = arg_num(play, stmt, KEY_GPA, 0) |
			entry_bits(play, stmt, table, level_of(play, stmt), RIGHTS_ALL);
	else {
		play_fail(play, stmt, "to what? -> GPA, none, or value=V");
		return;
	}
	if (!play->failed)
		store(play, stmt, table, gpa, value, out);
}

/*
 * What an L1 does on an exit that tells of missing access: it adds the rights that the exit asked for, and no
 * others, to the entry. If that changes nothing it stores nothing.
 */
void act_grant(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u64 gpa, value = 0, before;
	u32 table;

	if (!find_entry(play, stmt, &table, &gpa))
		return;
	if (ms_machine_peek(play->machine, gpa, &value, entry_bytes(play, table))) {
		play_fail(play, stmt, "the entry cannot be read");
		return;
	}
	before = value;
	value |= arg_num(play, stmt, KEY_GPA, 0);
	if (table_is_ept(play, table))
		value |= (play->told.qual & 7) | EPT_MT_WB << 3;
	else
		value |= X86_P | X86_U | (play->told.qual & NMMU_PF_W ? X86_W : 0);
	if (!play->failed && value != before)
		store(play, stmt, table, gpa, value, out);
}
