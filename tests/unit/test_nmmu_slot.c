// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memslots: what is refused, generations and what is visible during their swaps, counts against a naive
 * recomputation, lookups against a naive model, and every failed allocation (SEMANTICS F; I 10-12).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmuhost.h"

#define LOG MS_SLOT_LOG_DIRTY
#define RO MS_SLOT_READONLY
#define HVA(page) (HOST_HVA + (u64)(page)*4096)

static void test_refused(void **state)
{
	static const struct {
		u16 as_id, id;
		u64 gfn, nr, hva;
		u32 flags;
		int err;
	} t[] = {
		/* Slot 1 is [0x100, 0x200), slot 2 [0x200, 0x300), read-only. */
		{ 0, 1, 0x100, 0x100, HVA(0), 0, 0 },
		{ 0, 2, 0x200, 0x100, HVA(0x100), RO, 0 },
		{ 2, 3, 0x400, 1, HVA(0), 0, -EINVAL },
		{ 0, 32764, 0x400, 1, HVA(0), 0, -EINVAL },
		{ 0, 3, 0x400, 1, HVA(0) + 8, 0, -EINVAL },
		{ 0, 3, 0x400, 1, HVA(0), 1u << 2, -EINVAL },
		{ 0, 3, 0x400, 1, HVA(0), MS_SLOT_INVALID, -EINVAL },
		{ 0, 3, 0x400, 1ULL << 31, HVA(0), 0, -EINVAL },
		{ 0, 3, 0x400, 2, ~0ULL << 12, 0, -EINVAL },
		{ 0, 3, 1ULL << 34, 1, HVA(0), 0, -EINVAL }, /* behind the 46 bits of the host */
		{ 0, 3, (1ULL << 34) - 1, 2, HVA(0), 0, -EINVAL },
		{ 0, 3, ~0ULL >> 12, 2, HVA(0), 0, -EINVAL },
		{ 0, 3, ~0ULL, 1, HVA(0), 0, -EINVAL },
		{ 0, 3, 0, 0, 0, 0, -EINVAL }, /* nothing to delete */
		{ 1, 1, 0, 0, 0, 0, -EINVAL },
		{ 0, 3, 0x1ff, 1, HVA(0), 0, -EEXIST },
		{ 0, 3, 0x0, 0x101, HVA(0), 0, -EEXIST },
		{ 0, 3, 0x2ff, 0x100, HVA(0), 0, -EEXIST },
		{ 0, 3, 0x0, 0x1000, HVA(0), 0, -EEXIST },
		{ 0, 1, 0x100, 0x100, HVA(1), 0, -EINVAL }, /* other memory */
		{ 0, 1, 0x100, 0x80, HVA(0), 0, -EINVAL }, /* other size */
		{ 0, 1, 0x100, 0x100, HVA(0), RO, -EINVAL }, /* read-only or not is for good */
		{ 0, 2, 0x200, 0x100, HVA(0x100), 0, -EINVAL },
		{ 0, 1, 0x180, 0x100, HVA(0), 0, -EEXIST }, /* moved onto slot 2 */
		{ 0, 3, 0x300, 1, HVA(0), 0, 0 },
		{ 0, 4, (1ULL << 34) - 1, 1, HVA(0), 0, 0 },
		{ 1, 1, 0x100, 0x100, HVA(0), 0, 0 }, /* address spaces do not overlap */
		{ 0, 1, 0x80, 0x100, HVA(0), 0, 0 }, /* moved, onto itself */
		{ 0, 1, 0x80, 0x100, HVA(0), LOG, 0 },
		{ 0, 2, 0x200, 0x100, HVA(0x100), RO | LOG, 0 },
	};
	struct host h;

	(void)state;
	host_init(&h, NULL);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		u64 gen = h.m->as[0].generation;
		int err = nmmu_slot_set(h.m, t[i].as_id, t[i].id, t[i].gfn, t[i].nr, t[i].hva, t[i].flags);

		if (err != t[i].err)
			fail_msg("row %zu: %d, not %d", i, err, t[i].err);
		if (err)
			assert_int_equal(h.m->as[0].generation, gen);
	}
	assert_int_equal(h.m->nr_log_slots, 2);
	host_deinit(&h);
}

/* What a vCPU finds during each swap. */
struct seen {
	u32 nr;
	struct {
		u64 gen;
		bool at_1000, any_1000, at_2000;
		u32 flags;
	} at[4];
};

static void look(struct host *h, enum nmmu_point point)
{
	struct seen *seen = h->ctx;
	struct nmmu_slot *slot;

	if (point != NMMU_POINT_SLOTS_SWAP)
		return;
	assert_true(seen->nr < 4);
	slot = nmmu_slot_any(h->m, 0, 0x1000);
	seen->at[seen->nr].gen = h->m->as[0].generation;
	seen->at[seen->nr].at_1000 = nmmu_slot_of(h->m, 0, 0x1000);
	seen->at[seen->nr].any_1000 = slot;
	seen->at[seen->nr].flags = slot ? slot->flags : 0;
	seen->at[seen->nr].at_2000 = nmmu_slot_of(h->m, 0, 0x2000);
	seen->nr++;
}

#define UPDATE NMMU_GEN_UPDATE

static void test_generations(void **state)
{
	struct seen seen = { 0 };
	struct host h;

	(void)state;
	host_init(&h, NULL);
	h.on_yield = look;
	h.ctx = &seen;
	assert_int_equal(h.m->as[0].generation, 0);
	assert_int_equal(h.m->as[1].generation, 1);

	/* Create: one swap, with the slot there and the old number. */
	assert_int_equal(nmmu_slot_set(h.m, 0, 7, 0x1000, 16, HVA(0), 0), 0);
	assert_int_equal(seen.nr, 1);
	assert_int_equal(seen.at[0].gen, UPDATE | 0);
	assert_true(seen.at[0].at_1000);
	assert_int_equal(h.m->as[0].generation, 2);
	assert_int_equal(h.last[MS_EV_slot].u.slot.gen, 2);

	/* Flags only: one. */
	seen.nr = 0;
	assert_int_equal(nmmu_slot_set(h.m, 0, 7, 0x1000, 16, HVA(0), LOG), 0);
	assert_int_equal(seen.nr, 1);
	assert_int_equal(seen.at[0].gen, UPDATE | 2);
	assert_int_equal(seen.at[0].flags, LOG);
	assert_int_equal(h.m->as[0].generation, 4);

	/* Nothing to change: none. */
	seen.nr = 0;
	assert_int_equal(nmmu_slot_set(h.m, 0, 7, 0x1000, 16, HVA(0), LOG), 0);
	assert_int_equal(seen.nr, 0);
	assert_int_equal(h.m->as[0].generation, 4);

	/* Move: invalid first, then at its new place. */
	u64 seq = h.m->invalidate_seq;

	assert_int_equal(nmmu_slot_set(h.m, 0, 7, 0x2000, 16, HVA(0), LOG), 0);
	assert_int_equal(seen.nr, 2);
	assert_int_equal(seen.at[0].gen, UPDATE | 4);
	assert_false(seen.at[0].at_1000);
	assert_true(seen.at[0].any_1000);
	assert_false(seen.at[0].at_2000);
	assert_int_equal(seen.at[1].gen, UPDATE | 6);
	assert_false(seen.at[1].any_1000);
	assert_true(seen.at[1].at_2000);
	assert_int_equal(h.m->as[0].generation, 8);
	assert_true(h.m->invalidate_seq > seq);

	/* Delete. */
	seen.nr = 0;
	assert_int_equal(nmmu_slot_set(h.m, 0, 7, 0, 0, 0, 0), 0);
	assert_int_equal(seen.nr, 2);
	assert_int_equal(seen.at[0].gen, UPDATE | 8);
	assert_int_equal(seen.at[1].gen, UPDATE | 10);
	assert_int_equal(h.m->as[0].generation, 12);
	assert_null(nmmu_slot_any(h.m, 0, 0x2000));
	assert_int_equal(h.last[MS_EV_slot].u.slot.pages, 0);
	assert_int_equal(h.m->nr_log_slots, 0);

	/* The other address space counts by itself. */
	seen.nr = 0;
	assert_int_equal(nmmu_slot_set(h.m, 1, 7, 0x1000, 16, HVA(0), 0), 0);
	assert_int_equal(h.m->as[1].generation, 3);
	assert_int_equal(h.m->as[0].generation, 12);
	host_deinit(&h);
}

/* I 12: at 19 bits everything goes, in either address space, and only there. */
static void test_wrap(void **state)
{
	struct nmmu_config cfg = host_config(false);
	struct nmmu_ops ops;
	struct host h;

	(void)state;
	for (u16 as_id = 0; as_id < NMMU_NR_AS; as_id++) {
		u8 gen;

		cfg.first_generation = 0x7fffc;
		host_init(&h, &cfg);
		gen = h.m->valid_gen;
		assert_int_equal(nmmu_slot_set(h.m, as_id, 0, 0, 16, HVA(0), 0), 0);
		assert_int_equal(h.m->valid_gen, gen); /* 0x7fffe */
		assert_int_equal(nmmu_slot_set(h.m, as_id, 1, 32, 16, HVA(0), 0), 0);
		assert_int_equal(h.m->as[as_id].generation, 0x80000 + as_id);
		assert_int_not_equal(h.m->valid_gen, gen);
		gen = h.m->valid_gen;
		assert_int_equal(nmmu_slot_set(h.m, as_id, 2, 64, 16, HVA(0), 0), 0);
		assert_int_equal(h.m->valid_gen, gen);
		host_deinit(&h);
	}
	host_init(&h, NULL);
	/* A lock that is never given back. */
	ops = *h.m->ops;
	ops.unlock = NULL;
	assert_int_equal(nmmu_create(&h.m->cfg, &ops, &h, &h.m), -EINVAL);
	cfg.first_generation = 1;
	assert_int_equal(nmmu_create(&cfg, h.m->ops, &h, &h.m), -EINVAL);
	host_deinit(&h);
}

/* Is a page of this size at gfn possible for the slot: its page whole, and where the host has one? */
static bool lpage_ok(const struct nmmu_slot *s, u64 gfn, u32 level)
{
	u64 size = 1ULL << (9 * (level - 1));
	u64 first = gfn / size * size;

	if (first < s->base_gfn || first + size > s->base_gfn + s->nr_pages)
		return false;
	return (s->hva / 4096 + (first - s->base_gfn)) % size == 0;
}

static void check_counts(struct nmmu *m, struct nmmu_slot *s, const u32 *shadowed)
{
	for (u32 level = 2; level <= 3; level++) {
		u64 size = 1ULL << (9 * (level - 1));

		for (u64 gfn = s->base_gfn; gfn < s->base_gfn + s->nr_pages; gfn = (gfn / size + 1) * size) {
			u64 end = (gfn / size + 1) * size;
			u32 count = s->disallow_lpage[level - 2][gfn / size - s->base_gfn / size], want = 0;

			for (u64 g = gfn; g < end && g < s->base_gfn + s->nr_pages; g++)
				want += shadowed[g - s->base_gfn];
			want += !lpage_ok(s, gfn, level);
			assert_int_equal(count, want);
			if (!want)
				assert_true(nmmu_max_level(m, s, gfn, 3, level) == level);
			else
				assert_true(nmmu_max_level(m, s, gfn, 3, level) < level);
		}
	}
}

static void test_lpage_counts(void **state)
{
	u64 seed = 0x9e3779b97f4a7c15ULL;
	u32 *shadowed = calloc(0x50000, sizeof(*shadowed));
	u32 whole = 0, odd = 0;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	for (int round = 0; round < 120; round++) {
		/* Edges and addresses that are aligned to 2M or 1G often enough. */
		u64 unit = (u64[]){ 1, 512, 262144 }[host_random(&seed) % 3];
		u64 gfn = host_random(&seed) % 0x80000 / unit * unit;
		u64 nr = 1 + host_random(&seed) % (round % 8 ? 3000 : 0x4ffff);
		u64 hva_page = host_random(&seed) % 2 ? gfn : host_random(&seed) % 0x100000;
		struct nmmu_slot *s;

		assert_int_equal(nmmu_slot_set(h.m, 0, 1, gfn, nr, hva_page * 4096, 0), 0);
		s = nmmu_slot_of(h.m, 0, gfn);
		memset(shadowed, 0, nr * sizeof(*shadowed));
		check_counts(h.m, s, shadowed);
		for (int i = 0; i < 50; i++) {
			u64 at = host_random(&seed) % nr;
			bool less = shadowed[at] && host_random(&seed) % 2;

			shadowed[at] += less ? -1 : 1;
			nmmu_lpage_disallow(s, gfn + at, less ? -1 : 1);
		}
		check_counts(h.m, s, shadowed);
		whole += lpage_ok(s, gfn + nr / 2, 2);
		odd += (gfn ^ hva_page) % 512 != 0;
		assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0, 0, 0, 0), 0);
	}
	/* Both kinds came up. */
	assert_true(whole > 10);
	assert_true(odd > 10);
	host_deinit(&h);
	free(shadowed);
}

static void test_max_level(void **state)
{
	struct nmmu_config cfg = host_config(false);
	struct nmmu_slot *s;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x40000, 0x40000, 0x40000ULL << 12, 0), 0);
	s = nmmu_slot_of(h.m, 0, 0x40000);
	assert_int_equal(nmmu_max_level(h.m, s, 0x40000, 3, 3), 3);
	assert_int_equal(nmmu_max_level(h.m, s, 0x40000, 2, 3), 2);
	assert_int_equal(nmmu_max_level(h.m, s, 0x40000, 3, 1), 1);
	assert_int_equal(nmmu_max_level(h.m, s, 0x40000, 1, 3), 1);
	assert_int_equal(nmmu_max_level(h.m, NULL, 0x40000, 3, 3), 1);
	nmmu_lpage_disallow(s, 0x40000, 1);
	assert_int_equal(nmmu_max_level(h.m, s, 0x401ff, 3, 3), 1);
	assert_int_equal(nmmu_max_level(h.m, s, 0x40200, 3, 3), 2); /* only its 1G is shadowed in part */
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x40000, 0x40000, 0x40000ULL << 12, LOG), 0);
	assert_int_equal(nmmu_max_level(h.m, s, 0x40200, 3, 3), 1);
	host_deinit(&h);

	cfg.gbpages = false;
	host_init(&h, &cfg);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x40000, 0x40000, 0x40000ULL << 12, 0), 0);
	assert_int_equal(nmmu_max_level(h.m, nmmu_slot_of(h.m, 0, 0x40000), 0x40000, 3, 3), 2);
	host_deinit(&h);
}

static void test_write_track(void **state)
{
	struct nmmu_slot *s;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x100, 16, HVA(0), 0), 0);
	s = nmmu_slot_of(h.m, 0, 0x100);
	assert_false(nmmu_is_write_tracked(s, 0x10f));
	nmmu_write_track(h.m, s, 0x10f, 1);
	nmmu_write_track(h.m, s, 0x10f, 1);
	nmmu_write_track(h.m, s, 0x10f, -1);
	assert_true(nmmu_is_write_tracked(s, 0x10f));
	assert_false(nmmu_is_write_tracked(s, 0x10e));
	nmmu_write_track(h.m, s, 0x10f, -1);
	assert_false(nmmu_is_write_tracked(s, 0x10f));
	assert_false(nmmu_is_write_tracked(NULL, 0));
	host_deinit(&h);
}

/* --- against a naive model --- */

#define SPACE 256u /* gfns */
#define IDS 12u

struct model {
	bool used;
	u64 gfn, nr, hva;
	u32 flags;
};

static int model_set(struct model *ids, u16 id, u64 gfn, u64 nr, u64 hva, u32 flags)
{
	struct model want = { true, gfn, nr, hva, flags };

	if (!nr) {
		if (!ids[id].used)
			return -EINVAL;
		ids[id].used = false;
		return 0;
	}
	if (ids[id].used && (ids[id].nr != nr || ids[id].hva != hva || (ids[id].flags ^ flags) & RO))
		return -EINVAL;
	for (u64 g = gfn; g < gfn + nr; g++)
		for (u16 i = 0; i < IDS; i++)
			if (i != id && ids[i].used && g >= ids[i].gfn && g < ids[i].gfn + ids[i].nr)
				return -EEXIST;
	ids[id] = want;
	return 0;
}

static void test_random(void **state)
{
	u64 seed = 20261126;
	struct model model[NMMU_NR_AS][IDS] = { 0 };
	u32 done[2] = { 0 }, moved = 0, deleted = 0;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	for (int round = 0; round < 20000; round++) {
		u16 as_id = host_random(&seed) % NMMU_NR_AS, id = host_random(&seed) % IDS;
		struct model *old = &model[as_id][id];
		u64 gfn = host_random(&seed) % SPACE, nr = 1 + host_random(&seed) % 40;
		u64 hva = HVA(host_random(&seed) % 64);
		u32 flags = host_random(&seed) % 4, logs = 0;
		bool was = old->used;
		u64 was_gfn = old->gfn;
		int want, err;

		if (old->used && host_random(&seed) % 2) {
			nr = old->nr;
			hva = old->hva;
			flags = (old->flags & RO) | (flags & LOG);
			if (host_random(&seed) % 2)
				gfn = old->gfn;
		}
		if (host_random(&seed) % 4 == 0)
			nr = 0;
		want = model_set(model[as_id], id, gfn, nr, hva, flags);
		err = nmmu_slot_set(h.m, as_id, id, gfn, nr, hva, flags);
		assert_int_equal(err, want);
		done[!!err]++;
		moved += !err && was && nr && was_gfn != gfn;
		deleted += !err && !nr;

		for (u64 g = 0; g < SPACE + 64; g++) {
			struct nmmu_slot *slot = nmmu_slot_of(h.m, as_id, g);
			struct model *is = NULL;

			for (u16 i = 0; i < IDS; i++) {
				struct model *s = &model[as_id][i];

				if (s->used && g >= s->gfn && g - s->gfn < s->nr) {
					is = s;
					assert_ptr_equal(slot, nmmu_slot_by_id(h.m, as_id, i));
				}
			}
			assert_int_equal(!!slot, !!is);
			if (!slot)
				continue;
			assert_int_equal(slot->base_gfn, is->gfn);
			assert_int_equal(nmmu_slot_hva(slot, g), is->hva + (g - is->gfn) * 4096);
			assert_int_equal(slot->flags, is->flags);
			assert_int_equal(!!slot->dirty, !!(is->flags & LOG));
		}
		for (u16 a = 0; a < NMMU_NR_AS; a++)
			for (u16 i = 0; i < IDS; i++)
				logs += model[a][i].used && model[a][i].flags & LOG;
		assert_int_equal(h.m->nr_log_slots, logs);
	}
	print_message("slots: %u changes, %u refused, %u moves, %u deletions\n", done[0], done[1], moved,
		      deleted);
	assert_true(done[0] > 2000 && done[1] > 2000 && moved > 200 && deleted > 200);
	host_deinit(&h);
}

/* Each allocation of each kind of change fails once: nothing has happened then. */
static void test_enomem(void **state)
{
	static const struct {
		u64 gfn, nr;
		u32 flags;
	} change[] = {
		{ 0x2000, 64, LOG }, /* move and log */
		{ 0x1000, 64, LOG }, /* log */
		{ 0, 0, 0 }, /* delete */
	};
	struct host h;

	(void)state;
	for (size_t i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		int err = -ENOMEM;

		for (int nth = 1; err; nth++) {
			struct nmmu_slot before;
			struct nmmu_slot *slot;

			host_init(&h, NULL);
			assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x1000, 64, HVA(0), 0), 0);
			assert_int_equal(nmmu_slot_set(h.m, 0, 2, 0x8000, 64, HVA(0), 0), 0);
			slot = nmmu_slot_of(h.m, 0, 0x1000);
			before = *slot;
			h.fail_in = nth;
			err = nmmu_slot_set(h.m, 0, 1, change[i].gfn, change[i].nr, HVA(0), change[i].flags);
			h.fail_in = 0;
			if (err) {
				assert_int_equal(err, -ENOMEM);
				assert_int_equal(h.m->as[0].generation, 4);
				assert_ptr_equal(nmmu_slot_of(h.m, 0, 0x1000), slot);
				assert_memory_equal(slot, &before, sizeof(before));
				assert_int_equal(h.m->nr_log_slots, 0);
				assert_null(nmmu_slot_any(h.m, 0, 0x2000));
				assert_int_equal(h.events[MS_EV_slot], 2);
				assert_int_equal(h.m->valid_gen, 0);
			} else {
				assert_true(nth > 1);
			}
			host_deinit(&h);
		}
	}
	/* And creating one. */
	for (int nth = 1; nth <= 4; nth++) {
		host_init(&h, NULL);
		h.fail_in = nth;
		assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x1000, 64, HVA(0), LOG), -ENOMEM);
		h.fail_in = 0;
		assert_int_equal(h.m->as[0].generation, 0);
		assert_null(nmmu_slot_any(h.m, 0, 0x1000));
		host_deinit(&h);
	}
}

/* A vCPU inside the engine keeps what it has looked up. */
static void test_graves(void **state)
{
	struct nmmu_slot *slot;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x1000, 64, HVA(0), LOG), 0);
	slot = nmmu_slot_of(h.m, 0, 0x1000);
	nmmu_slots_enter(h.m);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0, 0, 0, 0), 0);
	/* Late, but into memory that is still there. */
	nmmu_mark_dirty(h.m, NULL, slot, 0x1001);
	assert_int_equal(slot->dirty[0], 2);
	assert_false(nmmu_is_write_tracked(slot, 0x1001));
	nmmu_slots_leave(h.m);
	assert_non_null(h.m->graves);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x1000, 64, HVA(0), 0), 0);
	assert_null(h.m->graves);
	host_deinit(&h);
}

/* Reading and writing by GPA, over slot edges. */
static void test_guest_memory(void **state)
{
	u8 buf[8192], back[8192];
	struct host h;

	(void)state;
	host_init(&h, NULL);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)(i * 7 + i / 251);
	/* Neighbours in the guest, not in the host. */
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x100, 2, HVA(8), LOG), 0);
	assert_int_equal(nmmu_slot_set(h.m, 0, 2, 0x102, 2, HVA(2), LOG), 0);
	assert_int_equal(nmmu_slot_set(h.m, 0, 3, 0x104, 1, HVA(20), RO), 0);

	assert_int_equal(nmmu_host_write(h.m, 0x101800, buf, 8192), 0);
	assert_memory_equal(h.mem + 9 * 4096 + 0x800, buf, 0x800);
	assert_memory_equal(h.mem + 2 * 4096, buf + 0x800, 8192 - 0x800);
	assert_int_equal(nmmu_host_read(h.m, 0x101800, back, 8192), 0);
	assert_memory_equal(back, buf, 8192);
	assert_int_equal(nmmu_slot_of(h.m, 0, 0x100)->dirty[0], 2);
	assert_int_equal(nmmu_slot_of(h.m, 0, 0x102)->dirty[0], 3);

	/* A read-only slot can be read. */
	assert_int_equal(nmmu_host_read(h.m, 0x104000, back, 16), 0);
	assert_int_equal(nmmu_host_write(h.m, 0x104000, buf, 16), -EFAULT);
	assert_int_equal(nmmu_host_read(h.m, 0x104ff8, back, 16), -EFAULT);
	assert_int_equal(nmmu_host_read(h.m, 0xff000, back, 16), -EFAULT);
	/* Up to where it goes. */
	memset(buf, 0xaa, sizeof(buf));
	assert_int_equal(nmmu_host_write(h.m, 0x103ff0, buf, 32), -EFAULT);
	assert_memory_equal(h.mem + 3 * 4096 + 0xff0, buf, 16);
	/* The engine's own accessors stay within a page, and mark nothing. */
	nmmu_slot_of(h.m, 0, 0x100)->dirty[0] = 0;
	assert_int_equal(nmmu_gpa_write(h.m, 0, 0x100000, buf, 4096), 0);
	assert_int_equal(nmmu_gpa_write(h.m, 0, 0x100001, buf, 4096), -EFAULT);
	assert_int_equal(nmmu_gpa_read(h.m, 0, 0x100ffc, buf, 8), -EFAULT);
	assert_int_equal(nmmu_gpa_read(h.m, 1, 0x100000, buf, 8), -EFAULT);
	assert_int_equal(nmmu_slot_of(h.m, 0, 0x100)->dirty[0], 0);
	host_deinit(&h);
}

/* A log moves with its slot. */
static void test_move_log(void **state)
{
	u64 bits = 0;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x1000, 64, HVA(0), LOG), 0);
	nmmu_mark_dirty(h.m, NULL, nmmu_slot_of(h.m, 0, 0x1000), 0x1003);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x2000, 64, HVA(0), LOG), 0);
	assert_int_equal(nmmu_log_get(h.m, 0, 1, &bits), 0);
	assert_int_equal(bits, 8);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0x1000, 64, HVA(0), 0), 0);
	assert_int_equal(nmmu_log_get(h.m, 0, 1, &bits), -ENOENT);
	assert_int_equal(h.m->nr_log_slots, 0);
	host_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	  cmocka_unit_test(test_generations),
		cmocka_unit_test(test_wrap),	  cmocka_unit_test(test_lpage_counts),
		cmocka_unit_test(test_max_level), cmocka_unit_test(test_write_track),
		cmocka_unit_test(test_random),	  cmocka_unit_test(test_enomem),
		cmocka_unit_test(test_graves),	  cmocka_unit_test(test_guest_memory),
		cmocka_unit_test(test_move_log),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
