/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walkers over shadow pages, on memory that changes under them: nothing that is not this VM's is ever
 * confirmed, what is torn says so, a broken list is noticed and ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakemem.h"

#define MAX_SPS 400

/* What a walk delivered. */
struct got {
	struct ms_rec_sp sp[MAX_SPS];
	u64 first_spte[MAX_SPS], last_spte[MAX_SPS];
	u64 translation[MAX_SPS];
	size_t nr;
	struct ms_rec_walk legacy, tdp;
};

static struct ms_err *collect(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables)
{
	struct got *got = ctx;

	if (type == MS_REC_WALK) {
		const struct ms_rec_walk *walk = rec;

		*(walk->flags & MS_WALK_LEGACY ? &got->legacy : &got->tdp) = *walk;
		return NULL;
	}
	assert_int_equal(type, MS_REC_SP);
	assert_true(got->nr < MAX_SPS);
	memcpy(&got->sp[got->nr], rec, sizeof(got->sp[0]));
	if (tables) {
		got->first_spte[got->nr] = tables->sptes[0];
		got->last_spte[got->nr] = tables->sptes[MS_SPTES - 1];
		got->translation[got->nr] =
			got->sp[got->nr].have & MS_SP_HAVE_TRANSLATIONS ? tables->translations[0] : 0;
	}
	got->nr++;
	return NULL;
}

static void walk(struct fakemem *fm, u32 what, struct got *got)
{
	const struct ms_rec_host host = { 0 };
	const struct ms_rec_vm vm = { .have = MS_VM_HAVE_LEGACY | MS_VM_HAVE_TDP_MMU | MS_VM_HAVE_USED,
				      .kvm = fm_kvm(0) };
	const struct ms_want want = { .what = what };
	const struct ms_sink sink = { collect, got };

	memset(got, 0, sizeof(*got));
	assert_null(ms_kvm_read_sps(&fm->kmem, &host, &vm, &want, &sink));
}

static const struct ms_rec_sp *find(const struct got *got, u32 n)
{
	size_t i;

	for (i = 0; i < got->nr; i++)
		if (got->sp[i].sp == fm_sp(n))
			return &got->sp[i];
	return NULL;
}

static u32 state_of(const struct got *got, u32 n)
{
	const struct ms_rec_sp *sp = find(got, n);

	assert_non_null(sp);
	return sp->state;
}

static struct got got;

static void test_legacy_still(void **state)
{
	static const u32 buffers[] = { 1, 2, 16, 64, 4096 };
	struct fakemem fm;
	u32 n, b;

	for (b = 0; b < 5; b++) {
		fm_init(&fm);
		fm.kmem.buffer_pages = buffers[b];
		for (n = 0; n < 150; n++)
			fm_legacy_add(&fm, 0, n, 0x1000 + n, 0x20701, 0x800 | n);
		fm_legacy_add(&fm, 1, 150, 0x99, 0x20701, 0x866);
		walk(&fm, MS_WANT_SPS | MS_WANT_SPTES, &got);
		assert_int_equal(got.nr, 150);
		assert_int_equal(got.legacy.flags, MS_WALK_LEGACY);
		assert_int_equal(got.legacy.nr_pages, 150);
		for (n = 0; n < 150; n++) { /* newest first */
			u32 want = 149 - n;

			assert_int_equal(got.sp[n].sp, fm_sp(want));
			assert_int_equal(got.sp[n].gfn, 0x1000 + want);
			assert_int_equal(got.sp[n].role, 0x20701);
			assert_int_equal(got.sp[n].state, MS_SP_CONFIRMED);
			assert_int_equal(got.sp[n].spt_pfn, 128 + want);
			assert_int_equal(got.first_spte[n], 0x800 | want);
			assert_int_equal(got.last_spte[n], 0x800 | want);
			assert_int_equal(got.translation[n], (0x1000ull + want) << 12 | 7);
			assert_true(got.sp[n].have & MS_SP_HAVE_UNSYNC);
			assert_false(got.sp[n].have &
				     MS_SP_HAVE_WRITE_FLOODING); /* this kernel has no such member */
		}
		assert_int_equal(fm.nr_refused, 0);
		fm_deinit(&fm);
	}
}

/* A page is on the list of possible NX huge pages when its link there leads to another: both kernels' members. */
static void test_nx_list(void **state)
{
	static const enum ms_field_id members[] = { MS_F_sp_lpage_disallowed_link,
						    MS_F_sp_possible_nx_huge_page_link };
	enum { OFF = 0x70 };
	struct fakemem fm;
	u32 m, n;

	for (m = 0; m < 3; m++) {
		fm_init(&fm);
		for (n = 0; n < 6; n++)
			fm_legacy_add(&fm, 0, n, n, 0x20701, 0);
		fm_tdp_add(&fm, 0, 6, 0, 4, FM_ROOT, 0);
		fm_set(&fm, fm_sp(1) + OFF, fm_sp(1) + OFF); /* 6.12: empty */
		fm_set(&fm, fm_sp(2) + OFF, FM_LIST_POISON1); /* 6.1: was on it */
		fm_set(&fm, fm_sp(3) + OFF, fm_sp(4) + OFF); /* followed by another */
		fm_set(&fm, fm_sp(4) + OFF, fm_kvm(0) + 0x200); /* the last: by the list's head */
		fm_set(&fm, fm_sp(6) + OFF, fm_sp(3) + OFF);
		if (m < 2)
			fm.layout.f[members[m]] = (struct ms_field){
				.off = OFF, .size = 16, .elem_size = 16, .nr_elems = 1, .present = true
			};
		walk(&fm, MS_WANT_SPS, &got);
		assert_int_equal(got.nr, 7);
		for (n = 0; n < 7; n++) {
			u32 nr = n == 6 ? 6 : 5 - n; /* newest first, then the TDP MMU's */

			assert_int_equal(got.sp[n].sp, fm_sp(nr));
			assert_int_equal(!!(got.sp[n].have & MS_SP_HAVE_NX_POSSIBLE), m < 2);
			assert_int_equal(got.sp[n].nx_possible, m < 2 && (nr == 3 || nr == 4 || nr == 6));
		}
		fm_deinit(&fm);
	}
}

static void test_headers_only(void **state)
{
	struct fakemem fm;

	fm_init(&fm);
	fm_legacy_add(&fm, 0, 1, 0x10, 0x20701, 0x801);
	walk(&fm, MS_WANT_SPS, &got);
	assert_int_equal(got.nr, 1);
	assert_int_equal(got.sp[0].state, MS_SP_CONFIRMED);
	assert_false(got.sp[0].have & (MS_SP_HAVE_SPTES | MS_SP_HAVE_TRANSLATIONS));
	fm_deinit(&fm);
}

/* A change at one given step of the walk. */
struct at_step {
	u64 step;
	void (*change)(struct fakemem *fm);
};

static void step_hook(struct fakemem *fm, void *ctx)
{
	struct at_step *at = ctx;

	if (fm->nr_ops == at->step)
		at->change(fm);
}

static void free_3(struct fakemem *fm)
{
	fm_legacy_free(fm, 3);
}

/* Page 3 freed, its header and table at once taken by another VM, same gfn and role. */
static void steal_3(struct fakemem *fm)
{
	fm_legacy_free(fm, 3);
	fm_legacy_add(fm, 1, 3, 0x1003, 0x20701, 0xbad800);
}

static void insert_9(struct fakemem *fm)
{
	fm_legacy_add(fm, 0, 9, 0x1009, 0x20701, 0x809);
}

static void remake_3(struct fakemem *fm)
{
	fm_legacy_free(fm, 3);
	fm_legacy_add(fm, 0, 3, 0x7777, 0x20701, 0x877);
}

/* One change, at each step a walk has: what is confirmed must be true. */
static void each_step(void (*change)(struct fakemem *fm), u32 what,
		      void (*check)(struct fakemem *fm, u64 step))
{
	struct at_step at = { .change = change };
	struct fakemem fm;
	u64 steps = 1;
	u32 n;

	for (at.step = 1; at.step <= steps; at.step++) {
		fm_init(&fm);
		fm.kmem.buffer_pages = 2;
		for (n = 0; n < 6; n++)
			fm_legacy_add(&fm, 0, n, 0x1000 + n, 0x20701, 0x800 | n);
		fm_legacy_add(&fm, 1, 20, 0x1014, 0x20701, 0xbad800);
		fm.hook = step_hook;
		fm.hook_ctx = &at;
		walk(&fm, what, &got);
		if (at.step == 1)
			steps = fm.nr_ops;
		check(&fm, at.step);
		fm_deinit(&fm);
	}
	assert_true(steps > 20);
}

/* The others are confirmed, whatever happened to page 3; nothing of VM 1 is. */
static void check_others(struct fakemem *fm, u64 step)
{
	size_t i;
	u32 n;

	for (n = 0; n < 6; n++)
		if (n != 3)
			assert_int_equal(state_of(&got, n), MS_SP_CONFIRMED);
	for (i = 0; i < got.nr; i++) {
		if (got.sp[i].state != MS_SP_CONFIRMED || !(got.sp[i].have & MS_SP_HAVE_SPTES))
			continue;
		assert_int_equal(got.first_spte[i] & 0xfffff000, 0);
		assert_int_equal(got.last_spte[i] & 0xfffff000, 0);
		assert_int_not_equal(got.sp[i].gfn, 0x1014);
	}
	assert_int_equal(got.legacy.flags & (MS_WALK_BROKEN | MS_WALK_VM_GONE), 0);
}

static u32 seen_unconfirmed;

static void check_count_3(struct fakemem *fm, u64 step)
{
	const struct ms_rec_sp *sp = find(&got, 3);

	check_others(fm, step);
	if (sp && sp->state != MS_SP_CONFIRMED)
		seen_unconfirmed++;
}

static void test_freed_any_time(void **state)
{
	seen_unconfirmed = 0;
	each_step(free_3, MS_WANT_SPS | MS_WANT_SPTES, check_count_3);
	assert_true(seen_unconfirmed >= 3);
	seen_unconfirmed = 0;
	each_step(free_3, MS_WANT_SPS, check_count_3);
	assert_true(seen_unconfirmed >= 2);
}

static void test_stolen_any_time(void **state)
{
	seen_unconfirmed = 0;
	each_step(steal_3, MS_WANT_SPS | MS_WANT_SPTES, check_count_3);
	assert_true(seen_unconfirmed >= 3);
}

static void test_remade_any_time(void **state)
{
	each_step(remake_3, MS_WANT_SPS | MS_WANT_SPTES, check_others);
}

static void test_inserted_any_time(void **state)
{
	each_step(insert_9, MS_WANT_SPS | MS_WANT_SPTES, check_others);
}

/* The list is cut for good: page 2 leads to another VM's head. */
static void test_other_head(void **state)
{
	struct fakemem fm;
	u32 n;

	fm_init(&fm);
	for (n = 0; n < 6; n++)
		fm_legacy_add(&fm, 0, n, 0x1000 + n, 0x20701, 0x800 | n);
	fm_set(&fm, fm_sp(2) + fm.layout.f[MS_F_sp_link].off, fm_legacy_head(1));
	walk(&fm, MS_WANT_SPS | MS_WANT_SPTES, &got);
	assert_true(got.legacy.flags & MS_WALK_BROKEN);
	assert_int_equal(got.legacy.broken_at, fm_legacy_head(1));
	/* From the tail 0, 1 are reached; 2 does not point back to 1. */
	assert_int_equal(state_of(&got, 0), MS_SP_CONFIRMED);
	assert_int_equal(state_of(&got, 1), MS_SP_CONFIRMED);
	assert_int_equal(state_of(&got, 2), MS_SP_UNLINKED);
	assert_int_equal(state_of(&got, 5), MS_SP_UNLINKED);
	assert_int_equal(got.nr, 6);
	fm_deinit(&fm);
}

static void test_garbage_next(void **state)
{
	static const u64 nexts[] = { 0,
				     8,
				     FM_LIST_POISON1,
				     ~0ull,
				     ~7ull,
				     FM_PAGE_OFFSET,
				     FM_PAGE_OFFSET + FM_PAGES * 4096 - 8,
				     FM_PAGE_OFFSET + FM_PAGES * 4096,
				     FM_VMEMMAP,
				     FM_VM_BASE + 0x1000000 };
	struct fakemem fm;
	u32 n, i;

	for (i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
		fm_init(&fm);
		for (n = 0; n < 6; n++)
			fm_legacy_add(&fm, 0, n, 0x1000 + n, 0x20701, 0x800 | n);
		fm_set(&fm, fm_sp(2) + fm.layout.f[MS_F_sp_link].off, nexts[i]);
		walk(&fm, MS_WANT_SPS | MS_WANT_SPTES, &got);
		assert_true(got.legacy.flags & MS_WALK_BROKEN);
		assert_int_equal(state_of(&got, 1), MS_SP_CONFIRMED);
		for (n = 0; n < got.nr; n++)
			if (got.sp[n].state == MS_SP_CONFIRMED)
				assert_in_range(got.sp[n].gfn, 0x1000, 0x1005);
		assert_int_equal(fm.nr_refused, 0); /* checked before it is followed, not after */
		fm_deinit(&fm);
	}
}

/* The VM's own structure cannot be read: an answer, and it says that it is none. */
static void test_unreadable_head(void **state)
{
	struct fakemem fm;

	fm_init(&fm);
	fm_legacy_add(&fm, 0, 1, 0x1001, 0x20701, 0x801);
	fm.kmem.vm_hi = fm.kmem.vm_lo;
	walk(&fm, MS_WANT_SPS, &got);
	assert_int_equal(got.nr, 0);
	assert_true(got.legacy.flags & MS_WALK_BROKEN);
	assert_true(got.tdp.flags & MS_WALK_BROKEN);
	fm_deinit(&fm);
}

static void test_ring_without_head(void **state)
{
	struct fakemem fm;
	u32 n;

	fm_init(&fm);
	for (n = 0; n < 6; n++)
		fm_legacy_add(&fm, 0, n, 0x1000 + n, 0x20701, 0x800 | n);
	fm_set(&fm, fm_sp(1) + fm.layout.f[MS_F_sp_link].off, fm_sp(4) + fm.layout.f[MS_F_sp_link].off);
	walk(&fm, MS_WANT_SPS, &got);
	assert_true(got.legacy.flags & MS_WALK_BROKEN);
	assert_int_equal(state_of(&got, 0), MS_SP_CONFIRMED);
	fm_deinit(&fm);
}

static void test_bad_table_pointer(void **state)
{
	static const u64 spts[] = {
		0, 1, FM_PAGE_OFFSET + 8, FM_VM_BASE, 0xffffffff81000000ull, FM_PAGE_OFFSET + FM_PAGES * 4096
	};
	struct fakemem fm;
	u32 i;

	for (i = 0; i < sizeof(spts) / sizeof(spts[0]); i++) {
		fm_init(&fm);
		fm_legacy_add(&fm, 0, 1, 0x1001, 0x20701, 0x801);
		fm_set(&fm, fm_sp(1) + fm.layout.f[MS_F_sp_spt].off, spts[i]);
		walk(&fm, MS_WANT_SPS | MS_WANT_SPTES, &got);
		assert_int_equal(got.nr, 1);
		assert_int_not_equal(got.sp[0].state, MS_SP_CONFIRMED);
		assert_false(got.sp[0].have & MS_SP_HAVE_SPTES);
		assert_int_equal(fm.nr_refused, 0);
		fm_deinit(&fm);
	}
}

/* Root 0 -> 1 -> 2 -> 3 (level 1), and 4, 5 below 2. */
static void tdp_tree(struct fakemem *fm)
{
	u32 i;

	fm_tdp_add(fm, 0, 0, 0, 4, FM_ROOT, 0);
	fm_tdp_add(fm, 0, 1, 0, 3, 0, 7);
	fm_tdp_add(fm, 0, 2, 0, 2, 1, 0);
	fm_tdp_add(fm, 0, 3, 0x200, 1, 2, 1);
	fm_tdp_add(fm, 0, 4, 0x400, 1, 2, 2);
	fm_tdp_add(fm, 0, 5, 0x600, 1, 2, 511);
	fm_set(fm, fm_table(2) + 8 * 9, 1ull << 11 | 1ull << 7 | 0x1000007); /* a huge leaf is no table */
	for (i = 0; i < MS_SPTES; i++) /* and leaves point to memory that is no table either */
		fm_set(fm, fm_table(3) + 8 * i, 1ull << 11 | (128 + 4) * 4096ull | 7);
	fm_tdp_add(fm, 1, 10, 0, 4, FM_ROOT, 0);
	fm_tdp_add(fm, 1, 11, 0, 3, 10, 0);
}

static void test_tdp_still(void **state)
{
	struct fakemem fm;
	u32 n, b;

	for (b = 1; b < 20; b += 6) {
		fm_init(&fm);
		fm.kmem.buffer_pages = b;
		tdp_tree(&fm);
		walk(&fm, MS_WANT_SPS | MS_WANT_SPTES, &got);
		assert_int_equal(got.nr, 6);
		assert_int_equal(got.tdp.flags, MS_WALK_TDP);
		for (n = 0; n < 6; n++) {
			assert_int_equal(got.sp[n].sp, fm_sp(n)); /* breadth first */
			assert_int_equal(got.sp[n].state, MS_SP_CONFIRMED);
			assert_int_equal(got.sp[n].tdp_mmu_page, 1);
			assert_true(got.sp[n].have & MS_SP_HAVE_SPTES);
			assert_false(got.sp[n].have & MS_SP_HAVE_UNSYNC);
		}
		walk(&fm, MS_WANT_SPS, &got);
		assert_int_equal(got.nr, 6);
		assert_false(got.sp[5].have & MS_SP_HAVE_SPTES);
		fm_deinit(&fm);
	}
}

static void zap_2(struct fakemem *fm)
{
	fm_set(fm, fm_table(1), 0x5a0);
}

/* Page 2 is zapped and its memory becomes the other VM's level-2 page. */
static void steal_2(struct fakemem *fm)
{
	fm_set(fm, fm_table(1), 0);
	fm_tdp_add(fm, 1, 2, 0, 2, 11, 0);
	fm_set(fm, fm_table(2), 0xbad000 | 1ull << 11 | 0x80);
}

static void root_gone(struct fakemem *fm)
{
	u64 node = fm_sp(0) + fm->layout.f[MS_F_sp_link].off;
	u64 next = fm_get(fm, node), prev = fm_get(fm, node + 8);

	fm_set(fm, prev, next); /* list_del_rcu(): next stays */
	fm_set(fm, next + 8, prev);
	fm_set(fm, node + 8, FM_LIST_POISON2);
}

static void each_tdp_step(void (*change)(struct fakemem *fm), u32 first_hit)
{
	struct at_step at = { .change = change };
	u64 steps = 1, unlinked = 0;
	struct fakemem fm;
	size_t i;
	u32 n;

	for (at.step = 1; at.step <= steps; at.step++) {
		fm_init(&fm);
		fm.kmem.buffer_pages = 2;
		tdp_tree(&fm);
		fm.hook = step_hook;
		fm.hook_ctx = &at;
		walk(&fm, MS_WANT_SPS | MS_WANT_SPTES, &got);
		if (at.step == 1)
			steps = 80;
		for (i = 0; i < got.nr; i++) {
			if (got.sp[i].state != MS_SP_CONFIRMED) {
				unlinked++;
				continue;
			}
			assert_int_not_equal(got.first_spte[i] >> 12, 0xbad);
			assert_int_not_equal(got.sp[i].sp, fm_sp(10));
		}
		for (n = 0; n < first_hit; n++)
			assert_int_equal(state_of(&got, n), MS_SP_CONFIRMED);
		fm_deinit(&fm);
	}
	assert_true(unlinked > 20);
}

static void test_tdp_changes(void **state)
{
	each_tdp_step(zap_2, 2);
	each_tdp_step(steal_2, 2);
	each_tdp_step(root_gone, 0);
}

static void test_vm_gone(void **state)
{
	struct fakemem fm;

	fm_init(&fm);
	fm_legacy_add(&fm, 0, 1, 0x1001, 0x20701, 0x801);
	fm.vm_dead = true;
	walk(&fm, MS_WANT_SPS, &got);
	assert_true(got.legacy.flags & MS_WALK_VM_GONE);
	assert_true(got.tdp.flags & MS_WALK_VM_GONE);
	fm_deinit(&fm);
}

/* Two VMs that trade pages at random while one is walked, judged by what was true at some moment of the walk.
 */
struct storm {
	u32 rng, rate;
	s8 owner[100]; /* VM of page n, -1 free */
	u64 was[100]; /* bit k: page n was VM 0's with tag k */
	u8 tag[100];
};

static u32 rnd(struct storm *s)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 17;
	s->rng ^= s->rng << 5;
	return s->rng;
}

static void storm_own(struct fakemem *fm, struct storm *s, u32 n, u32 vm)
{
	s->owner[n] = (s8)vm;
	s->tag[n] = (u8)(rnd(s) % 64);
	fm_legacy_add(fm, vm, n, 0x1000 + n, 0x20701, (u64)vm << 20 | 0x800 | (u64)s->tag[n] << 32);
	if (!vm)
		s->was[n] |= 1ull << s->tag[n];
}

static void storm_hook(struct fakemem *fm, void *ctx)
{
	struct storm *s = ctx;
	u32 n;

	if (rnd(s) % s->rate)
		return;
	n = rnd(s) % 100;
	if (s->owner[n] >= 0) {
		fm_legacy_free(fm, n);
		s->owner[n] = -1;
	}
	if (rnd(s) % 2)
		storm_own(fm, s, n, rnd(s) % 2);
}

static void test_storm(void **state)
{
	u64 confirmed = 0, not_confirmed = 0;
	struct fakemem fm;
	u32 seed, n;
	size_t i;

	for (seed = 1; seed <= 1500; seed++) {
		struct storm s = { .rng = seed * 2654435761u | 1, .rate = 1 + seed % 40 };

		fm_init(&fm);
		fm.kmem.buffer_pages = 1 + seed % 9;
		for (n = 0; n < 100; n++)
			storm_own(&fm, &s, n, n % 2);
		fm.hook = storm_hook;
		fm.hook_ctx = &s;
		walk(&fm, MS_WANT_SPS | MS_WANT_SPTES, &got);
		for (i = 0; i < got.nr; i++) {
			u32 page = (u32)((got.sp[i].sp - fm_sp(0)) / FM_SP_BYTES);
			u64 tag = got.first_spte[i] >> 32;

			if (got.sp[i].state != MS_SP_CONFIRMED) {
				not_confirmed++;
				continue;
			}
			confirmed++;
			assert_int_equal(got.first_spte[i] >> 20 & 1, 0); /* not the other VM's table */
			assert_true(s.was[page] >> tag & 1);
		}
		fm_deinit(&fm);
	}
	print_message("# storm: %llu pages confirmed, %llu not\n", (unsigned long long)confirmed,
		      (unsigned long long)not_confirmed);
	assert_true(confirmed > 1000 && not_confirmed > 1000);
}

static bool stop_at_once(void *ctx, u64 nr)
{
	(*(u32 *)ctx)++;
	return false;
}

static void test_cancel(void **state)
{
	const struct ms_rec_host host = { 0 };
	const struct ms_rec_vm vm = { .have = MS_VM_HAVE_LEGACY, .kvm = fm_kvm(0) };
	u32 calls = 0;
	const struct ms_want want = { .what = MS_WANT_SPTES,
				      .progress = stop_at_once,
				      .progress_ctx = &calls };
	const struct ms_sink sink = { collect, &got };
	struct fakemem fm;

	fm_init(&fm);
	fm_legacy_add(&fm, 0, 1, 0x1001, 0x20701, 0x801);
	memset(&got, 0, sizeof(got));
	assert_null(ms_kvm_read_sps(&fm.kmem, &host, &vm, &want, &sink));
	assert_int_equal(calls, 1);
	assert_true(got.legacy.flags & MS_WALK_BROKEN);
	assert_int_equal(got.nr, 1);
	assert_false(got.sp[0].have & MS_SP_HAVE_SPTES);
	fm_deinit(&fm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy_still),
		cmocka_unit_test(test_nx_list),
		cmocka_unit_test(test_headers_only),
		cmocka_unit_test(test_freed_any_time),
		cmocka_unit_test(test_stolen_any_time),
		cmocka_unit_test(test_remade_any_time),
		cmocka_unit_test(test_inserted_any_time),
		cmocka_unit_test(test_other_head),
		cmocka_unit_test(test_garbage_next),
		cmocka_unit_test(test_unreadable_head),
		cmocka_unit_test(test_ring_without_head),
		cmocka_unit_test(test_bad_table_pointer),
		cmocka_unit_test(test_tdp_still),
		cmocka_unit_test(test_tdp_changes),
		cmocka_unit_test(test_vm_gone),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
