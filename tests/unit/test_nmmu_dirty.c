// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dirty logging: every kind of leaf through every step against the rule of SEMANTICS E.2 and E6 written down
 * once more, random logs against a naive model, and who gets in between the bitmap and the protection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmuhost.h"

#define LOG MS_SLOT_LOG_DIRTY
#define BASE 0x40000ULL /* gfn, 1G aligned as HOST_HVA is */
#define TABLES 0x900000ULL /* gfns of shadowed tables; in no slot */

static union nmmu_role role_of(u32 level, bool direct)
{
	return (union nmmu_role){
		.level = level, .direct = direct, .access = NMMU_ACC_ALL, .guest_mode = !direct
	};
}

static struct nmmu_slot *slot_make(struct host *h, u64 nr, u32 flags)
{
	assert_int_equal(nmmu_slot_set(h->m, 0, 1, BASE, nr, HOST_HVA, flags), 0);
	return nmmu_slot_of(h->m, 0, BASE);
}

enum step { ENABLE, GET, CLEAR, CLEAR_INIT_SET, SHADOW, NR_STEPS };

/* What a leaf becomes, from SEMANTICS E.1, E.2 and E6 alone. */
static u64 expected(const struct spte_profile *p, u64 leaf, u32 level, bool pml, enum step step)
{
	u64 w = 2, m = p->m.mmu_writable, d = p->m.dirty;
	u32 kind = leaf >> 52 & 3;

	if (step == SHADOW)
		return leaf & ~w & ~m;
	if (level == 1) {
		if (!pml || kind)
			return leaf & ~w;
		return leaf & ~d;
	}
	if (step == ENABLE)
		return leaf & ~w;
	if (step == CLEAR_INIT_SET)
		return leaf & ~w & ~m;
	return leaf;
}

static void test_each_leaf(void **state)
{
	static const u32 whats[] = {
		0,	HOST_A,		 HOST_DL,	  HOST_DL | HOST_A,	   HOST_DL | HOST_D | HOST_A,
		HOST_W, HOST_W | HOST_A, HOST_W | HOST_D, HOST_W | HOST_D | HOST_A
	};
	u32 cases = 0;

	(void)state;
	for (u32 n = 0; n < 2 * 3 * 2 * 9 * NR_STEPS; n++) {
		enum step step = n % NR_STEPS;
		u32 what = whats[n / NR_STEPS % 9], level = 1 + n / NR_STEPS / 9 % 2;
		enum spte_ad_kind kind = n / NR_STEPS / 18 % 3;
		bool pml = n / NR_STEPS / 54, flush = false;
		struct nmmu_config cfg = host_config(pml);
		struct nmmu_slot *slot;
		struct host h;
		u64 leaf, want, *sptep, bits[16];
		u32 mode = step == CLEAR	    ? NMMU_LOG_MANUAL
			   : step == CLEAR_INIT_SET ? NMMU_LOG_MANUAL | NMMU_LOG_INIT_SET
						    : 0;

		/* Kind 01 has no A and D (H 10). */
		if (kind == SPTE_AD_DISABLED && what & (HOST_A | HOST_D))
			continue;
		cases++;
		host_init(&h, &cfg);
		assert_int_equal(nmmu_log_mode(h.m, mode), 0);
		slot = slot_make(&h, 1024, step == ENABLE || step == SHADOW ? 0 : LOG);
		leaf = host_leaf(&h, level, kind, what);
		sptep = host_map(&h, slot, host_sp(&h, TABLES, role_of(level, false)), 5, BASE + 512, leaf);
		leaf = *sptep;
		h.flushes = 0;
		switch (step) {
		case ENABLE:
			assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 1024, HOST_HVA, LOG), 0);
			assert_int_equal(h.flushes, 1);
			assert_false(h.flush_locked);
			break;
		case GET:
			nmmu_mark_dirty(h.m, NULL, slot, BASE + 512);
			assert_int_equal(nmmu_log_get(h.m, 0, 1, bits), 0);
			assert_int_equal(bits[8], 1);
			assert_int_equal(h.flushes, 1);
			assert_false(h.flush_locked);
			break;
		case CLEAR:
		case CLEAR_INIT_SET:
			nmmu_mark_dirty(h.m, NULL, slot, BASE + 512);
			bits[0] = 1;
			assert_int_equal(nmmu_log_get(h.m, 0, 1, bits), 0);
			assert_int_equal(h.flushes, 0);
			assert_int_equal(*sptep, leaf); /* GET protects nothing in manual mode */
			bits[0] = 1;
			assert_int_equal(nmmu_log_clear(h.m, 0, 1, 512, 64, bits), 0);
			assert_int_equal(h.flushes, 1);
			assert_false(h.flush_locked);
			break;
		default:
			nmmu_lock(h.m);
			nmmu_gfn_write_protect(h.m, slot, BASE + 512, 1, false, MS_CAUSE_SHADOWED, &flush);
			nmmu_unlock(h.m);
			/* E1: M was set, for a CPU may still write, whatever W said. */
			assert_int_equal(flush, !!(what & (HOST_W | HOST_DL)));
			assert_int_equal(h.flushes, 0);
		}
		want = expected(&h.m->profile, leaf, level, pml, step);
		if (*sptep != want)
			fail_msg("step %d kind %d level %u what %u pml %d: %#llx became %#llx, not %#llx",
				 step, kind, level, what, pml, (unsigned long long)leaf,
				 (unsigned long long)*sptep, (unsigned long long)want);
		host_deinit(&h);
	}
	assert_int_equal(cases, 2 * 2 * NR_STEPS * (9 + 9 + 3));
}

/* Initially-all-set: all bits, no protection and no flush (E6). */
static void test_init_set(void **state)
{
	struct nmmu_slot *slot;
	u64 bits[2], *sptep, leaf;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_log_mode(h.m, NMMU_LOG_INIT_SET), -EINVAL);
	assert_int_equal(nmmu_log_mode(h.m, 4), -EINVAL);
	assert_int_equal(nmmu_log_mode(h.m, NMMU_LOG_MANUAL | NMMU_LOG_INIT_SET), 0);
	slot = slot_make(&h, 70, 0);
	sptep = host_map(&h, slot, host_sp(&h, TABLES, role_of(1, false)), 0, BASE + 3,
			 host_leaf(&h, 1, SPTE_AD_ENABLED, HOST_W | HOST_A | HOST_D));
	leaf = *sptep;
	h.flushes = 0;
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 70, HOST_HVA, LOG), 0);
	assert_int_equal(h.flushes, 0);
	assert_int_equal(*sptep, leaf);
	assert_int_equal(nmmu_log_get(h.m, 0, 1, bits), 0);
	assert_int_equal(bits[0], ~0ULL);
	assert_int_equal(bits[1], 0x3f);
	assert_int_equal(nmmu_log_mode(h.m, 0), -EBUSY);

	/* Bits behind the slot's end are nobody's. */
	bits[0] = ~0ULL;
	assert_int_equal(nmmu_log_clear(h.m, 0, 1, 64, 6, bits), 0);
	assert_int_equal(nmmu_log_get(h.m, 0, 1, bits), 0);
	assert_int_equal(bits[0], ~0ULL);
	assert_int_equal(bits[1], 0);
	assert_int_equal(*sptep, leaf);
	bits[0] = 8;
	assert_int_equal(nmmu_log_clear(h.m, 0, 1, 0, 64, bits), 0);
	assert_int_equal(*sptep, leaf & ~SPTE_HW_W);
	/* Clearing what is clear does nothing, and flushes nothing. */
	h.flushes = 0;
	assert_int_equal(nmmu_log_clear(h.m, 0, 1, 0, 64, bits), 0);
	assert_int_equal(h.flushes, 0);
	host_deinit(&h);
}

/* I 38: two large leaves under one word of the log, for slots need not begin at a multiple of 64. */
static void test_init_set_huge_edges(void **state)
{
	struct nmmu_slot *slot;
	u64 bits[32], leaf, *sptep[2];
	struct nmmu_sp *sp;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_log_mode(h.m, NMMU_LOG_MANUAL | NMMU_LOG_INIT_SET), 0);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE + 480, 1088, HOST_HVA + 480 * 4096, LOG), 0);
	slot = nmmu_slot_of(h.m, 0, BASE + 512);
	sp = host_sp(&h, TABLES, role_of(2, false));
	leaf = host_leaf(&h, 2, SPTE_AD_ENABLED, HOST_W | HOST_A | HOST_D);
	sptep[0] = host_map(&h, slot, sp, 1, BASE + 512, leaf);
	sptep[1] = host_map(&h, slot, sp, 2, BASE + 1024, leaf);
	/*
	 * Pages 512 + 480 + [0, 64) of the guest: bit 31 is the last of the first leaf, 32 the first of the
	 * second.
	 */
	memset(bits, 0, sizeof(bits));
	bits[0] = 1ULL << 32;
	assert_int_equal(nmmu_log_clear(h.m, 0, 1, 512, 64, bits), 0);
	assert_int_equal(spte_wstate(&h.m->profile, *sptep[0], 2), SPTE_W_RW);
	assert_int_equal(spte_wstate(&h.m->profile, *sptep[1], 2), SPTE_W_WP);
	/* The slot is as it was: the leaf again, all bits, and one mask in the first leaf, one in both. */
	for (u32 both = 0; both < 2; both++) {
		assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE + 480, 1088, HOST_HVA + 480 * 4096, 0), 0);
		nmmu_write64(sptep[0], leaf | spte_pfn(&h.m->profile, *sptep[0]) << 12);
		nmmu_write64(sptep[1], leaf | spte_pfn(&h.m->profile, *sptep[1]) << 12);
		assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE + 480, 1088, HOST_HVA + 480 * 4096, LOG), 0);
		bits[0] = 0xf0000000 | (u64)both << 40;
		assert_int_equal(nmmu_log_clear(h.m, 0, 1, 512, 64, bits), 0);
		assert_int_equal(spte_wstate(&h.m->profile, *sptep[0], 2), SPTE_W_WP);
		assert_int_equal(spte_wstate(&h.m->profile, *sptep[1], 2), both ? SPTE_W_WP : SPTE_W_RW);
	}
	host_deinit(&h);
}

static void test_refused(void **state)
{
	static const struct {
		u16 as_id, id;
		u64 first, nr;
		int err;
	} t[] = {
		{ 0, 1, 0, 200, 0 },	       { 0, 1, 64, 136, 0 },	  { 0, 1, 64, 64, 0 },
		{ 0, 1, 192, 8, 0 },	       { 0, 1, 64, 0, 0 },	  { 0, 1, 0, 8, -EINVAL },
		{ 0, 1, 192, 7, -EINVAL },     { 0, 1, 192, 9, -EINVAL }, { 0, 1, 192, 64, -EINVAL },
		{ 0, 1, 1, 64, -EINVAL },      { 0, 1, 256, 0, -EINVAL }, { 0, 1, 64, ~0ULL, -EINVAL },
		{ 0, 1, ~63ULL, 64, -EINVAL }, { 0, 2, 0, 64, -ENOENT },  { 0, 3, 0, 64, -ENOENT },
		{ 1, 1, 0, 64, -ENOENT },      { 2, 1, 0, 64, -EINVAL },
	};
	u64 bits[4] = { ~0ULL, ~0ULL, ~0ULL, ~0ULL };
	struct host h;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_log_mode(h.m, NMMU_LOG_MANUAL), 0);
	slot_make(&h, 200, LOG);
	assert_int_equal(nmmu_slot_set(h.m, 0, 2, 0, 200, HOST_HVA, 0), 0);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int err = nmmu_log_clear(h.m, t[i].as_id, t[i].id, t[i].first, t[i].nr, bits);

		if (err != t[i].err)
			fail_msg("row %zu: %d, not %d", i, err, t[i].err);
	}
	assert_int_equal(nmmu_log_get(h.m, 0, 2, bits), -ENOENT);
	assert_int_equal(nmmu_log_get(h.m, 0, 3, bits), -ENOENT);
	assert_int_equal(nmmu_log_get(h.m, 2, 1, bits), -EINVAL);
	host_deinit(&h);
}

/* A bit set twice is told once; a gfn outside, a slot that does not log, no slot: nothing. */
static void test_mark(void **state)
{
	struct nmmu_slot *slot;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	slot = slot_make(&h, 65, LOG);
	nmmu_mark_dirty(h.m, &h.v, slot, BASE + 64);
	nmmu_mark_dirty(h.m, &h.v, slot, BASE + 64);
	assert_int_equal(slot->dirty[1], 1);
	assert_int_equal(h.events[MS_EV_dirty], 1);
	assert_int_equal(h.last[MS_EV_dirty].u.dirty.gfn, BASE + 64);
	nmmu_mark_dirty(h.m, &h.v, slot, BASE + 65);
	nmmu_mark_dirty(h.m, &h.v, slot, BASE - 1);
	nmmu_mark_dirty(h.m, &h.v, NULL, BASE);
	assert_int_equal(slot->dirty[1], 1);
	assert_int_equal(h.m->stats.dirtied, 1);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 65, HOST_HVA, 0), 0);
	nmmu_mark_dirty(h.m, &h.v, slot, BASE);
	assert_int_equal(h.events[MS_EV_dirty], 1);
	host_deinit(&h);
}

/* --- between the bitmap and the protection --- */

struct race {
	struct nmmu_slot *slot;
	u64 *sptep;
	u32 times;
};

/* A lock-free fault makes the leaf writable and then marks (E.1 "DL->RW, direct"). */
static void fast_fault(struct host *h, enum nmmu_point point)
{
	struct race *race = h->ctx;
	u64 spte = nmmu_read64(race->sptep);

	if (point != NMMU_POINT_CLEAR_DIRTY || race->times++)
		return;
	assert_true(h->locked);
	assert_int_equal(race->slot->dirty[0], 0); /* taken */
	assert_true(nmmu_cmpxchg64(race->sptep, spte, spte | SPTE_HW_W));
	nmmu_mark_dirty(h->m, &h->v, race->slot, BASE + 7);
}

static void test_race(void **state)
{
	(void)state;
	for (u32 manual = 0; manual < 2; manual++) {
		struct race race = { 0 };
		u64 bits = 0;
		struct host h;

		host_init(&h, NULL);
		assert_int_equal(nmmu_log_mode(h.m, manual ? NMMU_LOG_MANUAL : 0), 0);
		race.slot = slot_make(&h, 64, LOG);
		race.sptep = host_map(&h, race.slot, host_sp(&h, TABLES, role_of(1, false)), 0, BASE + 7,
				      host_leaf(&h, 1, SPTE_AD_ENABLED, HOST_DL | HOST_A | HOST_D));
		nmmu_mark_dirty(h.m, &h.v, race.slot, BASE + 7);
		h.on_yield = fast_fault;
		h.ctx = &race;
		bits = 1 << 7;
		if (manual)
			assert_int_equal(nmmu_log_clear(h.m, 0, 1, 0, 64, &bits), 0);
		else
			assert_int_equal(nmmu_log_get(h.m, 0, 1, &bits), 0);
		assert_int_equal(race.times, 1);
		/*
		 * The write that went in between is seen: its bit is there, the leaf may or may not be
		 * protected.
		 */
		assert_int_equal(race.slot->dirty[0], 1 << 7);
		assert_false(spte_is_writable(*race.sptep));
		host_deinit(&h);
	}
}

/* --- random, against a naive model --- */

#define PAGES 300u
#define LEAVES 900u

static void random_round(u64 *seed, bool pml, bool manual, u32 *gets, u32 *clears, u32 *changed)
{
	struct nmmu_config cfg = host_config(pml);
	u64 *sptep[LEAVES], want[LEAVES], bits[8], model[8] = { 0 };
	u32 page[LEAVES], words = (PAGES + 63) / 64;
	struct nmmu_slot *slot;
	struct host h;

	host_init(&h, &cfg);
	assert_int_equal(nmmu_log_mode(h.m, manual ? NMMU_LOG_MANUAL : 0), 0);
	slot = slot_make(&h, PAGES, LOG);
	for (u32 i = 0; i < LEAVES; i++) {
		static struct nmmu_sp *sp;
		enum spte_ad_kind kind = host_random(seed) % 3;
		u32 what = HOST_W | (kind == SPTE_AD_DISABLED ? 0 : HOST_A | HOST_D);

		if (i % 512 == 0)
			sp = host_sp(&h, TABLES + i, role_of(1, false));
		page[i] = host_random(seed) % PAGES;
		sptep[i] = host_map(&h, slot, sp, i % 512, BASE + page[i], host_leaf(&h, 1, kind, what));
		want[i] = *sptep[i];
	}
	for (u32 step = 0; step < 300; step++) {
		u64 r = host_random(seed) % 100, taken[8] = { 0 };

		if (r < 60) {
			u32 i = host_random(seed) % LEAVES;

			/* A write through this leaf: a fault when W is clear, the CPU's log when D is. */
			if (!(want[i] & SPTE_HW_W))
				want[i] |= SPTE_HW_W;
			if ((want[i] >> 52 & 3) == SPTE_AD_ENABLED)
				want[i] |= h.m->profile.m.dirty;
			nmmu_write64(sptep[i], want[i]);
			nmmu_mark_dirty(h.m, &h.v, slot, BASE + page[i]);
			model[page[i] / 64] |= 1ULL << page[i] % 64;
			continue;
		}
		if (manual && r < 90) {
			u64 first = host_random(seed) % words, nr = 1 + host_random(seed) % (words - first);
			u64 mask[8];

			for (u32 k = 0; k < nr; k++) {
				mask[k] = host_random(seed) & host_random(seed);
				taken[first + k] = mask[k] & model[first + k];
				model[first + k] &= ~mask[k];
			}
			assert_int_equal(nmmu_log_clear(h.m, 0, 1, first * 64,
							first + nr == words ? PAGES - first * 64 : nr * 64,
							mask),
					 0);
			++*clears;
		} else {
			assert_int_equal(nmmu_log_get(h.m, 0, 1, bits), 0);
			assert_memory_equal(bits, model, words * 8);
			if (!manual) {
				memcpy(taken, model, sizeof(taken));
				memset(model, 0, sizeof(model));
			}
			++*gets;
		}
		for (u32 i = 0; i < LEAVES; i++) {
			if (taken[page[i] / 64] >> page[i] % 64 & 1) {
				*changed += want[i] != expected(&h.m->profile, want[i], 1, pml, GET);
				want[i] = expected(&h.m->profile, want[i], 1, pml, GET);
			}
			assert_int_equal(*sptep[i], want[i]);
		}
	}
	host_deinit(&h);
}

static void test_random(void **state)
{
	u32 gets = 0, clears = 0, changed = 0;
	u64 seed = 31337;

	(void)state;
	for (u32 i = 0; i < 24; i++)
		random_round(&seed, i & 1, i & 2, &gets, &clears, &changed);
	print_message("log: %u GETs, %u CLEARs, %u leaves protected\n", gets, clears, changed);
	assert_true(gets > 500 && clears > 500 && changed > 5000);
}

/* --- logging off: only direct pages that the host could map larger are given up (E6, I 29) --- */

static void test_collapse(void **state)
{
	static const struct {
		const char *what;
		bool direct;
		u8 level, host_level;
		u64 gfn; /* of the page of SPTEs */
		u64 slot_first;
		bool shadowed; /* a table of the guest lies in the range */
		bool zapped;
	} t[] = {
		{ "direct 4K", true, 1, 2, BASE + 512, BASE, false, true },
		{ "indirect 4K", false, 1, 2, BASE + 512, BASE, false, false },
		{ "host maps 4K", true, 1, 1, BASE + 512, BASE, false, false },
		{ "shadowed", true, 1, 2, BASE + 512, BASE, true, false },
		{ "slot begins inside", true, 1, 2, BASE + 512, BASE + 600, false, false },
		{ "2M of 1G, slot too small", true, 2, 3, BASE, BASE, false, false },
		{ "slot ends inside", true, 1, 2, BASE + 1024, BASE, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		u64 skip = t[i].slot_first - BASE, nr = 1500 - skip, gfn = t[i].gfn + (skip ? 100 : 0),
		    *sptep;
		u32 index = t[i].level == 1 ? gfn - t[i].gfn : 0;
		struct nmmu_slot *slot;
		struct nmmu_sp *sp;
		struct host h;

		host_init(&h, NULL);
		h.level = t[i].host_level;
		assert_int_equal(nmmu_slot_set(h.m, 0, 1, t[i].slot_first, nr, HOST_HVA + skip * 4096, LOG),
				 0);
		slot = nmmu_slot_of(h.m, 0, t[i].slot_first);
		sp = host_sp(&h, t[i].direct ? t[i].gfn : TABLES, role_of(t[i].level, t[i].direct));
		sptep = host_map(&h, slot, sp, index, gfn,
				 host_leaf(&h, t[i].level, SPTE_AD_ENABLED, HOST_W));
		if (t[i].shadowed)
			nmmu_lpage_disallow(slot, t[i].gfn + 3, 1);
		h.flushes = 0;
		assert_int_equal(nmmu_slot_set(h.m, 0, 1, t[i].slot_first, nr, HOST_HVA + skip * 4096, 0), 0);
		if (spte_is_nonpresent(&h.m->profile, *sptep) != t[i].zapped)
			fail_msg("%s: %#llx", t[i].what, (unsigned long long)*sptep);
		assert_int_equal(h.flushes, t[i].zapped);
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(slot, gfn, t[i].level)), !t[i].zapped);
		host_deinit(&h);
	}
}

/* Read-only slots: logging goes on and off, nothing is touched. */
static void test_readonly(void **state)
{
	u64 *sptep, leaf, bits[1];
	struct host h;

	(void)state;
	host_init(&h, NULL);
	slot_make(&h, 64, MS_SLOT_READONLY);
	sptep = host_map(&h, nmmu_slot_of(h.m, 0, BASE), host_sp(&h, TABLES, role_of(1, false)), 0, BASE + 7,
			 host_leaf(&h, 1, SPTE_AD_ENABLED, HOST_A));
	leaf = *sptep;
	h.flushes = 0;
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 64, HOST_HVA, MS_SLOT_READONLY | LOG), 0);
	assert_int_equal(h.flushes, 0);
	assert_int_equal(*sptep, leaf);
	assert_int_equal(nmmu_log_get(h.m, 0, 1, bits), 0);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 64, HOST_HVA, MS_SLOT_READONLY), 0);
	assert_int_equal(*sptep, leaf);
	host_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_leaf),
		cmocka_unit_test(test_init_set),
		cmocka_unit_test(test_init_set_huge_edges),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_collapse),
		cmocka_unit_test(test_readonly),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
