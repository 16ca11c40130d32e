/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine, its guests' tables, and values worth writing into them: see rnd.h. */
#include "tests/unit/rnd.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "scenario/sched.h"

#define HVA 0x7f0000000000ULL
#define P 1ULL
#define RWU 7ULL
#define A (1ULL << 5)
#define D (1ULL << 6)
#define PS (1ULL << 7)
#define EPT_A (1ULL << 8)
#define EPT_D (1ULL << 9)
#define NX (1ULL << 63)
#define EPT_WB (6ULL << 3)
#define WINDOW_32 0xc0000000ULL
#define WINDOW_64 (2ULL << 39)
#define WINDOW_57 (2ULL << 48)

u64 rnd_next(struct rnd *r)
{
	u64 z = r->rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u64 rnd_below(struct rnd *r, u64 bound)
{
	return rnd_next(r) % bound;
}

bool rnd_chance(struct rnd *r, u32 percent)
{
	return rnd_below(r, 100) < percent;
}

u32 rnd_mutant, rnd_bugs;

void rnd_fail(struct rnd *r, const char *fmt, ...)
{
	va_list ap;

	if (r->failed)
		return;
	r->failed = true;
	va_start(ap, fmt);
	if (r->quiet) {
		vsnprintf(r->text, sizeof(r->text), fmt, ap);
		va_end(ap);
		return;
	}
	printf("# seed 0x%llx, operation %llu: %s\n# ", (unsigned long long)r->seed,
	       (unsigned long long)r->now, r->what);
	vprintf(fmt, ap);
	printf("\n# hv %d tdp %d ad %d pml %d la57 %d kernel %d exec_only %d nx %d phys %d\n", r->cfg.hv,
	       r->cfg.tdp, r->cfg.ad, r->cfg.pml, r->cfg.la57, r->cfg.kernel, r->cfg.exec_only,
	       r->cfg.nx_huge_pages, r->cfg.phys_bits);
	va_end(ap);
}

u32 rnd_entry_bytes(enum nmmu_gpt kind)
{
	return kind == NMMU_GPT_32 ? 4 : 8;
}

u32 rnd_entries(const struct rnd_table *t)
{
	return t->kind == NMMU_GPT_32 ? 1024 : t->kind == NMMU_GPT_PAE && t->level == 3 ? 4 : 512;
}

u32 rnd_shift(enum nmmu_gpt kind, u32 level)
{
	return 12 + (kind == NMMU_GPT_32 ? 10 : 9) * (level - 1);
}

const struct rnd_table *rnd_table_at(const struct rnd *r, u64 gfn)
{
	for (u32 i = 0; i < r->nr_tables; i++)
		if (r->tables[i].gfn == gfn)
			return &r->tables[i];
	return NULL;
}

u64 rnd_window(enum nmmu_gpt kind)
{
	switch (kind) {
	case NMMU_GPT_NONE:
		return 0;
	case NMMU_GPT_64:
		return WINDOW_64;
	case NMMU_GPT_LA57:
		return WINDOW_57;
	default:
		return WINDOW_32;
	}
}

bool rnd_kind_ok(const struct rnd *r, enum nmmu_gpt kind)
{
	return kind != NMMU_GPT_LA57 || r->cfg.la57;
}

const struct rnd_root *rnd_root_pick(struct rnd *r, enum rnd_use use, enum nmmu_gpt kind)
{
	u32 start = rnd_below(r, r->nr_roots);

	for (u32 i = 0; i < r->nr_roots; i++) {
		const struct rnd_root *root = &r->roots[(start + i) % r->nr_roots];

		if (root->use == use && root->kind == kind)
			return root;
	}
	return NULL;
}

/* --- entries --- */

static bool is_ept(const struct rnd_table *t)
{
	return t->kind == NMMU_GPT_EPT;
}

static u64 leaf_bits(struct rnd *r, const struct rnd_table *t, bool good)
{
	static const u8 mt[] = { 6, 0, 1, 4, 5, 2, 3, 7 };
	u64 bits;

	if (is_ept(t)) {
		bits = good ? RWU : rnd_below(r, 8);
		bits |= (u64)(good || rnd_chance(r, 90) ? 6 : mt[rnd_below(r, 8)]) << 3;
		if (rnd_chance(r, 60))
			bits |= EPT_A;
		if (rnd_chance(r, 50))
			bits |= EPT_A | EPT_D;
		return bits;
	}
	bits = good ? RWU : rnd_below(r, 8);
	if (!good && rnd_chance(r, 70))
		bits |= P;
	if (!good && t->kind != NMMU_GPT_32 && rnd_chance(r, 25))
		bits |= NX;
	if (rnd_chance(r, 60))
		bits |= A;
	if (rnd_chance(r, 50))
		bits |= A | D;
	return bits;
}

static u64 any_gfn(struct rnd *r)
{
	u32 dice = rnd_below(r, 100);

	if (dice < 40)
		return 0x400 + rnd_below(r, 0x400);
	if (dice < 55)
		return 0x200 + rnd_below(r, 0x100);
	if (dice < 65)
		return 0x300 + rnd_below(r, 0x40);
	if (dice < 75)
		return 0x800 + rnd_below(r, 0x10);
	if (dice < 85)
		return 0x1000 + rnd_below(r, 16); /* a device */
	if (dice < 95)
		return rnd_below(r, RND_POOL_PAGES);
	return rnd_below(r, 1ULL << 20);
}

/* Another table that could stand below this one. */
static u64 child_gfn(struct rnd *r, const struct rnd_table *t)
{
	u32 start = rnd_below(r, r->nr_tables);

	for (u32 i = 0; i < r->nr_tables; i++) {
		const struct rnd_table *c = &r->tables[(start + i) % r->nr_tables];

		if (c->kind == t->kind && c->use == t->use && c->level == t->level - 1)
			return c->gfn;
	}
	return rnd_below(r, RND_POOL_PAGES);
}

/* The child that was built for this place, ~0 when none was. */
static u64 own_child(const struct rnd *r, const struct rnd_table *t, u32 index)
{
	u64 base = t->base + ((u64)index << rnd_shift(t->kind, t->level));

	for (u32 i = 0; i < r->nr_tables; i++) {
		const struct rnd_table *c = &r->tables[i];

		if (c->kind == t->kind && c->use == t->use && c->level == t->level - 1 && c->base == base)
			return c->gfn;
	}
	return ~0ULL;
}

static u64 table_bits(struct rnd *r, const struct rnd_table *t, bool good)
{
	if (t->kind == NMMU_GPT_PAE && t->level == 3)
		return P;
	if (is_ept(t))
		return (good ? RWU : rnd_below(r, 8)) | (rnd_chance(r, 50) ? EPT_A : 0);
	return (good ? RWU : P | rnd_below(r, 8)) | (rnd_chance(r, 50) ? A : 0) |
	       (!good && t->kind != NMMU_GPT_32 && rnd_chance(r, 10) ? NX : 0);
}

static bool may_be_large(const struct rnd_table *t)
{
	if (t->kind == NMMU_GPT_32)
		return t->level == 2;
	return t->level == 2 || (t->level == 3 && t->kind != NMMU_GPT_PAE);
}

static u64 large_entry(struct rnd *r, const struct rnd_table *t, bool good)
{
	u64 pages = 1ULL << (rnd_shift(t->kind, t->level) - 12);
	u64 gfn = t->level == 3 ? 0 : rnd_chance(r, 70) ? 0x400 : any_gfn(r);

	gfn &= ~(pages - 1);
	if (rnd_mix->low_bits && rnd_chance(r, rnd_mix->low_bits))
		gfn |= pages >> 1;
	return gfn << 12 | leaf_bits(r, t, good) | PS;
}

static u64 good_entry(struct rnd *r, const struct rnd_table *t, u32 index)
{
	u64 child;

	if (t->level == 1)
		return ((t->base >> 12) + index) << 12 | leaf_bits(r, t, true);
	child = own_child(r, t, index);
	if (child != ~0ULL)
		return child << 12 | table_bits(r, t, true);
	if (t->level == 2 && index >= 4 && index < 8)
		return large_entry(r, t, true);
	return 0;
}

/* What the mix wants there. */
static bool rnd_mix_entry(struct rnd *r, const struct rnd_table *t, u32 index, u64 *ret)
{
	const struct rnd_mix *mix = rnd_mix;
	u64 gfn = 0;

	if (t->level > 1) {
		if (!mix->empty_upper || !rnd_chance(r, mix->empty_upper))
			return false;
		*ret = good_entry(r, t, index) & ~RWU;
		return true;
	}
	if (mix->one_frame && rnd_chance(r, mix->one_frame))
		gfn = 0x400;
	else if (mix->devices && rnd_chance(r, mix->devices))
		gfn = 0x1000 + rnd_below(r, 16);
	else if (mix->devices && rnd_chance(r, 60)) {
		*ret = 0;
		return true;
	}
	/* The usual draws nothing here. */
	if (!gfn)
		return false;
	*ret = gfn << 12 | leaf_bits(r, t, mix->one_frame);
	return true;
}

u64 rnd_entry(struct rnd *r, const struct rnd_table *t, u32 index)
{
	u32 dice = rnd_below(r, 100);
	u64 entry;

	if (rnd_mix_entry(r, t, index, &entry))
		return entry;
	if (dice < 50)
		return good_entry(r, t, index);
	if (dice < 57)
		return 0;
	if (t->level == 1)
		entry = (dice < 75 ? (t->base >> 12) + index : any_gfn(r)) << 12 | leaf_bits(r, t, false);
	else if (dice < 80 && may_be_large(t))
		entry = large_entry(r, t, dice < 75);
	else if (dice < 90)
		entry = child_gfn(r, t) << 12 | table_bits(r, t, dice < 85);
	else
		entry = good_entry(r, t, index) & ~(is_ept(t) ? EPT_A | EPT_D : A | D);
	if (rnd_chance(r, 3))
		entry ^= 1ULL << rnd_below(r, 8 * rnd_entry_bytes(t->kind));
	return entry;
}

/* --- tables --- */

static struct rnd_table *table_new(struct rnd *r, enum rnd_use use, enum nmmu_gpt kind, u32 level, u64 base)
{
	struct rnd_table *t = &r->tables[r->nr_tables];

	if (r->nr_tables == RND_TABLES_MAX || r->next_gfn == RND_POOL_PAGES) {
		rnd_fail(r, "the pool of tables is too small");
		return NULL;
	}
	r->nr_tables++;
	*t = (struct rnd_table){
		.kind = kind, .level = level, .use = use, .gfn = r->next_gfn++, .base = base
	};
	return t;
}

static void poke(struct rnd *r, u64 gpa, u64 value, u32 bytes)
{
	if (ms_machine_poke(r->machine, gpa, &value, bytes))
		rnd_fail(r, "no memory at 0x%llx", (unsigned long long)gpa);
}

static void table_fill(struct rnd *r, const struct rnd_table *t)
{
	u32 bytes = rnd_entry_bytes(t->kind);

	for (u32 i = 0; i < rnd_entries(t); i++) {
		u64 entry = good_entry(r, t, i);

		if (entry)
			poke(r, ((u64)t->gfn << 12) + i * bytes, entry, bytes);
	}
}

/* 8 MiB of identity from address 0. */
static void build_set(struct rnd *r, enum rnd_use use, enum nmmu_gpt kind, u32 levels)
{
	u32 first = r->nr_tables, pages = kind == NMMU_GPT_32 ? 2 : 4;
	struct rnd_table *root = table_new(r, use, kind, levels, 0);

	for (u32 level = levels - 1; root && level > 1; level--)
		table_new(r, use, kind, level, 0);
	for (u32 i = 0; i < pages; i++)
		table_new(r, use, kind, 1, (u64)i << rnd_shift(kind, 2));
	/*
	 * Children are found among those of the same use and kind: the first set's serve the second root too.
	 */
	for (u32 i = first; i < r->nr_tables; i++)
		table_fill(r, &r->tables[i]);
	if (root && r->nr_roots < RND_ROOTS_MAX)
		r->roots[r->nr_roots++] =
			(struct rnd_root){ .kind = kind, .levels = levels, .use = use, .gfn = root->gfn };
}

/* A second root over the same tables. */
static void build_second_root(struct rnd *r, enum rnd_use use, enum nmmu_gpt kind, u32 levels)
{
	struct rnd_table *root = table_new(r, use, kind, levels, 0);

	if (!root)
		return;
	table_fill(r, root);
	r->roots[r->nr_roots++] =
		(struct rnd_root){ .kind = kind, .levels = levels, .use = use, .gfn = root->gfn };
}

/*
 * Tables that nobody edits: the window through which L1 reaches the pool. Supervisor, so SMAP does not
 * matter.
 */
static void build_window(struct rnd *r)
{
	u64 pt8 = r->next_gfn, pd8 = pt8 + 2, pdpt8 = pd8 + 1, pml4 = pdpt8 + 1, pt4 = pml4 + 1;

	r->next_gfn += 6;
	for (u32 i = 0; i < 1024; i++) {
		poke(r, (pt8 << 12) + i * 8, (u64)i << 12 | 3 | A | D, 8);
		poke(r, (pt4 << 12) + i * 4, (u64)i << 12 | 3 | A | D, 4);
	}
	poke(r, pd8 << 12, pt8 << 12 | 3 | A, 8);
	poke(r, (pd8 << 12) + 8, (pt8 + 1) << 12 | 3 | A, 8);
	poke(r, pdpt8 << 12, pd8 << 12 | 3 | A, 8);
	poke(r, pml4 << 12, pdpt8 << 12 | 3 | A, 8);
	for (u32 i = 0; i < r->nr_roots; i++) {
		u64 root = (u64)r->roots[i].gfn << 12;

		if (r->roots[i].use != RND_L1)
			continue;
		switch (r->roots[i].kind) {
		case NMMU_GPT_32:
			poke(r, root + 768 * 4, pt4 << 12 | 3 | A, 4);
			break;
		case NMMU_GPT_PAE:
			poke(r, root + 3 * 8, pd8 << 12 | P, 8);
			break;
		case NMMU_GPT_64:
			poke(r, root + 2 * 8, pdpt8 << 12 | 3 | A, 8);
			break;
		default:
			poke(r, root + 2 * 8, pml4 << 12 | 3 | A, 8);
		}
	}
}

static void build_tables(struct rnd *r)
{
	static const struct {
		enum nmmu_gpt kind;
		u8 levels;
	} kinds[] = { { NMMU_GPT_32, 2 }, { NMMU_GPT_PAE, 3 }, { NMMU_GPT_64, 4 }, { NMMU_GPT_LA57, 5 } };

	r->next_gfn = 1;
	for (u32 i = 0; i < 4; i++) {
		if (!rnd_kind_ok(r, kinds[i].kind))
			continue;
		build_set(r, RND_L1, kinds[i].kind, kinds[i].levels);
		build_second_root(r, RND_L1, kinds[i].kind, kinds[i].levels);
		build_set(r, RND_L2, kinds[i].kind, kinds[i].levels);
		if (r->cfg.hv == MS_HV_SVM) {
			build_set(r, RND_NESTED, kinds[i].kind, kinds[i].levels);
			build_second_root(r, RND_NESTED, kinds[i].kind, kinds[i].levels);
		}
	}
	if (r->cfg.hv == MS_HV_VMX) {
		build_set(r, RND_NESTED, NMMU_GPT_EPT, 4);
		build_second_root(r, RND_NESTED, NMMU_GPT_EPT, 4);
		if (r->cfg.la57)
			build_second_root(r, RND_NESTED, NMMU_GPT_EPT, 5);
	}
	build_window(r);
}

/* --- registers --- */

struct nmmu_regs rnd_regs(struct rnd *r, enum rnd_use use, enum nmmu_gpt kind)
{
	struct nmmu_regs regs = { .cr0 = 1 | (rnd_next(r) & 1ULL << 16),
				  .cr4 = rnd_next(r) & (1ULL << 20 | 1ULL << 21),
				  .efer = !r->cfg.tdp || rnd_chance(r, 85) ? 1ULL << 11 : 0,
				  .ac = rnd_chance(r, 30) };
	const struct rnd_root *root;

	/*
	 * As in KVM, shadow pages are shared between guests with and without PSE, and with and without NX,
	 * which are not in the page role (C.1): tables that are shadowed are used with one value of each.
	 */
	/* A kernel that honours SMAP or SMEP is rare enough among the accesses here. */
	if (rnd_chance(r, 60))
		regs.cr4 = 0;
	regs.cr4 |= kind == NMMU_GPT_32
			    ? (r->cfg.hv == MS_HV_SVM || !r->cfg.tdp || rnd_chance(r, 80) ? 1ULL << 4 : 0)
			    : 1ULL << 5;
	if (kind == NMMU_GPT_NONE)
		return regs;
	root = rnd_root_pick(r, use, kind);
	regs.cr0 |= 1ULL << 31;
	regs.cr3 = (u64)root->gfn << 12;
	if (kind == NMMU_GPT_64 || kind == NMMU_GPT_LA57)
		regs.efer |= 1ULL << 8;
	if (kind == NMMU_GPT_LA57)
		regs.cr4 |= 1ULL << 12;
	return regs;
}

/* --- the machine --- */

static void draw_config(struct rnd *r)
{
	struct nmmu_config *c = &r->cfg;

	*c = (struct nmmu_config){
		.hv = rnd_chance(r, 50) ? MS_HV_VMX : MS_HV_SVM,
		.kernel = rnd_chance(r, 50) ? NMMU_6_12 : NMMU_6_1,
		.tdp = rnd_chance(r, 75),
		.la57 = rnd_chance(r, 50),
		.gbpages = rnd_chance(r, 70),
		.nx_huge_pages = rnd_chance(r, 30),
		.mmio_caching = rnd_chance(r, 85),
		.phys_bits = 36 + rnd_below(r, 16),
	};
	c->guest_phys_bits = c->phys_bits;
	if (c->hv == MS_HV_VMX && c->tdp) {
		c->ad = rnd_chance(r, 75);
		c->pml = c->ad && rnd_chance(r, 60);
		c->exec_only = rnd_chance(r, 60);
	}
	if (rnd_mix->config)
		rnd_mix->config(c);
	/* Not drawn: the other machines are what they were. */
	c->pins = r->seed % 6 == 5;
	c->mutant = rnd_mutant;
	c->bugs = rnd_bugs;
	c->no_zap_all = c->kernel == NMMU_6_12 && rnd_chance(r, 40);
	if (rnd_chance(r, 20) && !c->first_generation)
		c->first_generation = (1ULL << 19) - 2 * rnd_below(r, 20);
	/* Bit 62 of an MMIO entry is set then, and is no pin (G defect 9). */
	if (c->pins && r->seed / 6 % 2)
		c->first_generation = 1ULL << 18;
}

static void add_slot(struct rnd *r, u32 id, u64 gfn, u64 nr, u64 hva, u32 level, u32 flags)
{
	struct rnd_slot *s = &r->slot[id];
	struct ms_err *err = ms_machine_map(r->machine, hva, nr << 12, level, true);

	if (err) {
		rnd_fail(r, "%s", ms_err_text(err));
		ms_err_free(err);
		return;
	}
	*s = (struct rnd_slot){ .on = true, .flags = flags, .gfn = gfn, .nr = nr, .hva = hva };
	if (ms_machine_slot_set(r->machine, 0, id, gfn, nr, hva, flags))
		rnd_fail(r, "slot %u", id);
}

bool rnd_world_make(struct rnd *r)
{
	struct ms_machine_opts opts = { .seed = r->seed,
					.tlb_entries = 64,
					.yield = rnd_yield,
					.event = rnd_event,
					.event_ctx = r,
					.lock = rnd_lock,
					.unlock = rnd_unlock,
					.yield_ctx = r };
	struct ms_err *err;

	draw_config(r);
	snprintf(r->what, sizeof(r->what), "making the machine");
	opts.config = r->cfg;
	err = ms_sched_create(&r->sched);
	if (err) {
		rnd_fail(r, "%s", ms_err_text(err));
		ms_err_free(err);
		return false;
	}
	ms_sched_random(r->sched, r->seed);
	if (rnd_chance(r, 30))
		opts.tlb_entries = 512;
	err = ms_machine_create(&opts, &r->machine);
	if (err) {
		rnd_fail(r, "%s", ms_err_text(err));
		ms_err_free(err);
		return false;
	}
	r->m = ms_machine_nmmu(r->machine);
	r->log_mode = rnd_chance(r, 50)	  ? 0
		      : rnd_chance(r, 50) ? NMMU_LOG_MANUAL
					  : NMMU_LOG_MANUAL | NMMU_LOG_INIT_SET;
	if (rnd_mix->log_mode)
		r->log_mode = rnd_mix->log_mode;
	if (nmmu_log_mode(r->m, r->log_mode))
		rnd_fail(r, "log mode");
	add_slot(r, 0, 0, 0x300, HVA, 1 + rnd_below(r, 2), 0);
	add_slot(r, 1, 0x400, 0x400, HVA + 0x40000000, 1 + rnd_below(r, 2), 0);
	add_slot(r, 2, 0x300, 0x40, HVA + 0x80000000, 1, 0);
	add_slot(r, 3, 0x800, 0x10, HVA + 0xc0000000, 1, MS_SLOT_READONLY);
	build_tables(r);
	for (u32 i = 0; i < 2 && rnd_mix->logging && !r->failed; i++)
		rnd_slot_log(r, i);
	for (u32 i = 0; i < RND_VCPUS && !r->failed; i++) {
		struct rnd_vcpu *vc = &r->vc[i];

		err = ms_machine_add_vcpu(r->machine, &vc->id);
		if (err) {
			rnd_fail(r, "%s", ms_err_text(err));
			ms_err_free(err);
			break;
		}
		vc->v = ms_machine_vcpu(r->machine, vc->id);
		vc->regs[0] = vc->v->regs;
	}
	return !r->failed;
}

void rnd_world_free(struct rnd *r)
{
	for (u32 i = 0; i < RND_SLOTS; i++)
		rnd_log_stop(&r->slot[i]);
	ms_machine_destroy(r->machine);
	r->machine = NULL;
	ms_sched_destroy(r->sched);
}
