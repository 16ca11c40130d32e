// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the host does to a machine: takes memory away, asks for its age, recovers huge pages; slots that go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmuhost.h"

#define BASE 0x40000ULL
#define TABLES 0x900000ULL
#define HVA(page) (HOST_HVA + (u64)(page)*4096)

static union nmmu_role role_of(u32 level, bool direct, u32 as_id)
{
	return (union nmmu_role){
		.level = level, .direct = direct, .access = NMMU_ACC_ALL, .guest_mode = !direct, .smm = as_id
	};
}

static void test_hva_range(void **state)
{
	static const struct {
		u64 start, end; /* relative to the slot's first address */
		bool some;
		u64 first, last_end; /* relative to its first gfn */
	} t[] = {
		{ 0, 0x10000, true, 0, 16 },	   { -0x5000ULL, 0x1000, true, 0, 1 },
		{ 0xf000, 0x20000, true, 15, 16 }, { 0x1001, 0x1002, true, 1, 2 },
		{ 0x1fff, 0x2001, true, 1, 3 },	   { 0x10000, 0x11000, false, 0, 0 },
		{ -0x1000ULL, 0, false, 0, 0 },	   { 0x3000, 0x3000, false, 0, 0 },
		{ 0x4000, 0x3000, false, 0, 0 },
	};
	const struct nmmu_slot slot = { .base_gfn = BASE, .nr_pages = 16, .hva = HOST_HVA };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		u64 first = 0, end = 0;
		bool some =
			nmmu_slot_hva_range(&slot, HOST_HVA + t[i].start, HOST_HVA + t[i].end, &first, &end);

		assert_int_equal(some, t[i].some);
		if (some) {
			assert_int_equal(first, BASE + t[i].first);
			assert_int_equal(end, BASE + t[i].last_end);
		}
	}
}

/* Every slot that has the memory, in both address spaces; nothing else; flushed under the lock. */
static void test_invalidate(void **state)
{
	u64 *low, *mid, *high, *smm, *alias;
	struct nmmu_slot *s, *s_smm, *s_alias;
	struct nmmu_sp *sp;
	struct host h;
	u64 seq;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 64, HVA(0), 0), 0);
	assert_int_equal(nmmu_slot_set(h.m, 0, 2, BASE + 0x100, 64, HVA(0), 0), 0);
	assert_int_equal(nmmu_slot_set(h.m, 1, 1, BASE, 64, HVA(8), 0), 0);
	s = nmmu_slot_of(h.m, 0, BASE);
	s_alias = nmmu_slot_of(h.m, 0, BASE + 0x100);
	s_smm = nmmu_slot_of(h.m, 1, BASE);
	sp = host_sp(&h, TABLES, role_of(1, false, 0));
	u64 leaf = host_leaf(&h, 1, SPTE_AD_ENABLED, HOST_W | HOST_A | HOST_D);

	low = host_map(&h, s, sp, 0, BASE + 9, leaf);
	mid = host_map(&h, s, sp, 1, BASE + 10, leaf);
	high = host_map(&h, s, sp, 2, BASE + 12, leaf);
	alias = host_map(&h, s_alias, sp, 3, BASE + 0x10b, leaf);
	smm = host_map(&h, s_smm, host_sp(&h, TABLES + 1, role_of(1, false, 1)), 0, BASE + 2, leaf);

	seq = h.m->invalidate_seq;
	h.flushes = 0;
	nmmu_invalidate_begin(h.m, HVA(10), HVA(12));
	assert_true(spte_is_mmu_present(&h.m->profile, *low));
	assert_true(spte_is_nonpresent(&h.m->profile, *mid));
	assert_true(spte_is_mmu_present(&h.m->profile, *high));
	assert_true(spte_is_nonpresent(&h.m->profile, *alias));
	assert_true(spte_is_nonpresent(&h.m->profile, *smm));
	assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(s, BASE + 10, 1)), 0);
	assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(s, BASE + 9, 1)), 1);
	assert_int_equal(h.flushes, 1);
	assert_true(h.flush_locked);
	assert_int_equal(h.m->invalidate_in_progress, 1);
	assert_int_equal(h.m->invalidate_start, HVA(10));
	assert_int_equal(h.m->invalidate_end, HVA(12));

	/* A second one at the same time: the range covers both until both have ended. */
	nmmu_invalidate_begin(h.m, HVA(100), HVA(110));
	assert_int_equal(h.flushes, 1); /* nothing was mapped there */
	assert_int_equal(h.m->invalidate_start, HVA(10));
	assert_int_equal(h.m->invalidate_end, HVA(110));
	nmmu_invalidate_end(h.m, HVA(10), HVA(12));
	assert_int_equal(h.m->invalidate_in_progress, 1);
	assert_int_equal(h.m->invalidate_start, HVA(10));
	assert_int_equal(h.m->invalidate_seq, seq + 1);
	nmmu_invalidate_end(h.m, HVA(100), HVA(110));
	assert_int_equal(h.m->invalidate_in_progress, 0);
	assert_int_equal(h.m->invalidate_seq, seq + 2);
	/* One too many is not ours to crash on. */
	nmmu_invalidate_end(h.m, HVA(100), HVA(110));
	assert_int_equal(h.m->invalidate_in_progress, 0);
	nmmu_invalidate_begin(h.m, HVA(50), HVA(51));
	assert_int_equal(h.m->invalidate_start, HVA(50));
	assert_int_equal(h.m->invalidate_end, HVA(51));
	nmmu_invalidate_end(h.m, HVA(50), HVA(51));
	host_deinit(&h);
}

static void test_invalidate_huge(void **state)
{
	struct nmmu_slot *s;
	u64 *sptep;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 2048, HVA(0), 0), 0);
	s = nmmu_slot_of(h.m, 0, BASE);
	sptep = host_map(&h, s, host_sp(&h, TABLES, role_of(2, false, 0)), 0, BASE + 512,
			 host_leaf(&h, 2, SPTE_AD_ENABLED, HOST_W));
	nmmu_invalidate_begin(h.m, HVA(1024), HVA(1025));
	nmmu_invalidate_end(h.m, HVA(1024), HVA(1025));
	assert_true(spte_is_mmu_present(&h.m->profile, *sptep));
	/* One page of it is enough. */
	nmmu_invalidate_begin(h.m, HVA(1023), HVA(1024));
	nmmu_invalidate_end(h.m, HVA(1023), HVA(1024));
	assert_true(spte_is_nonpresent(&h.m->profile, *sptep));
	host_deinit(&h);
}

static void test_age(void **state)
{
	u64 *ad, *tracked, *huge, leaf;
	const struct spte_profile *p;
	struct nmmu_slot *s;
	struct nmmu_sp *sp;
	struct host h;

	(void)state;
	host_init(&h, NULL);
	p = &h.m->profile;
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 2048, HVA(0), 0), 0);
	s = nmmu_slot_of(h.m, 0, BASE);
	sp = host_sp(&h, TABLES, role_of(1, false, 0));
	ad = host_map(&h, s, sp, 0, BASE + 1, host_leaf(&h, 1, SPTE_AD_ENABLED, HOST_W | HOST_A | HOST_D));
	tracked = host_map(&h, s, sp, 1, BASE + 2, host_leaf(&h, 1, SPTE_AD_DISABLED, HOST_W));
	huge = host_map(&h, s, host_sp(&h, TABLES + 1, role_of(2, false, 0)), 0, BASE + 512,
			host_leaf(&h, 2, SPTE_AD_ENABLED, HOST_W | HOST_A));
	h.flushes = 0;

	assert_false(nmmu_age(h.m, HVA(3), HVA(512)));
	leaf = *ad;
	assert_true(nmmu_age(h.m, HVA(1), HVA(2)));
	assert_int_equal(*ad, leaf & ~p->m.accessed);
	assert_false(nmmu_age(h.m, HVA(1), HVA(2)));

	/* No A bit: R, W and X go, R and X are put aside, host- and MMU-writable stay (E.1 AT). */
	leaf = *tracked;
	assert_true(nmmu_age(h.m, HVA(2), HVA(3)));
	assert_true(spte_is_access_tracked(p, *tracked));
	assert_int_equal(*tracked & 7, 0);
	assert_int_equal(spte_saved_bits(p, *tracked), leaf & 5);
	assert_int_equal(spte_pfn(p, *tracked), spte_pfn(p, leaf));
	assert_true(spte_is_mmu_writable(p, *tracked) && spte_is_host_writable(p, *tracked));
	assert_false(nmmu_age(h.m, HVA(2), HVA(3)));

	assert_true(nmmu_age(h.m, HVA(700), HVA(701)));
	assert_false(*huge & p->m.accessed);
	assert_false(nmmu_age(h.m, 0, ~0ULL));
	assert_int_equal(h.flushes, 0);
	host_deinit(&h);
}

/* --- the mitigation --- */

static void nx_machine(struct host *h, enum nmmu_kernel kernel, struct nmmu_sp *sp[5])
{
	struct nmmu_config cfg = host_config(false);

	cfg.kernel = kernel;
	cfg.nx_huge_pages = true;
	host_init(h, &cfg);
	assert_int_equal(nmmu_slot_set(h->m, 0, 1, BASE, 4096, HVA(0), 0), 0);
	for (u32 i = 0; i < 5; i++) {
		sp[i] = host_sp(h, BASE + i * 512, role_of(1, true, 0));
		nmmu_nx_account(h->m, sp[i]);
		nmmu_nx_account(h->m, sp[i]); /* linked at a second place */
	}
	assert_int_equal(h->m->stats.nx_splits, 5);
}

static void test_nx(void **state)
{
	struct nmmu_sp *sp[5];
	struct host h;

	(void)state;
	for (u32 kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		nx_machine(&h, kernel, sp);
		assert_int_equal(nmmu_nx_recover(h.m, 0), 0);
		/* A quarter of five, rounded up, the oldest. */
		h.flushes = 0;
		assert_int_equal(nmmu_nx_recover(h.m, 4), 2);
		assert_int_equal(h.flushes, 1);
		assert_int_equal(h.m->stats.nx_splits, 3);
		assert_null(nmmu_hash_first(h.m, BASE));
		assert_null(nmmu_hash_first(h.m, BASE + 512));
		assert_ptr_equal(nmmu_hash_first(h.m, BASE + 1024), sp[2]);
		nmmu_nx_unaccount(h.m, sp[3]);
		nmmu_nx_unaccount(h.m, sp[3]);
		assert_int_equal(h.m->stats.nx_splits, 2);
		/* While the slot logs its pages stay small: 6.12 lets go of them, 6.1 zaps in vain. */
		assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 4096, HVA(0), MS_SLOT_LOG_DIRTY), 0);
		assert_int_equal(nmmu_nx_recover(h.m, 1), kernel == NMMU_6_12 ? 0 : 2);
		assert_int_equal(h.m->stats.nx_splits, 0);
		assert_int_equal(!nmmu_hash_first(h.m, BASE + 1024), kernel == NMMU_6_1);
		assert_int_equal(nmmu_nx_recover(h.m, 1), 0);
		host_deinit(&h);
	}
}

static void test_nx_toggle(void **state)
{
	struct nmmu_sp *sp[5];
	struct host h;

	(void)state;
	nx_machine(&h, NMMU_6_12, sp);
	nmmu_set_nx_huge_pages(h.m, true);
	assert_int_equal(h.m->nr_used, 5);
	nmmu_set_nx_huge_pages(h.m, false);
	assert_int_equal(h.m->nr_used, 0);
	assert_int_equal(h.m->stats.nx_splits, 0);
	assert_false(h.m->cfg.nx_huge_pages);
	host_deinit(&h);
}

/* --- slots that go take with them what was made of their pages --- */

static void test_delete(void **state)
{
	static const struct {
		enum nmmu_kernel kernel;
		bool no_zap_all, move;
	} t[] = {
		{ NMMU_6_1, false, false }, { NMMU_6_12, false, false }, { NMMU_6_12, true, false },
		{ NMMU_6_1, false, true },  { NMMU_6_12, false, true },	 { NMMU_6_12, true, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct nmmu_config cfg = host_config(false);
		struct nmmu_slot *gone, *other;
		struct nmmu_sp *sp, *table;
		u64 *in_gone, *in_other, *below_table;
		struct host h;

		cfg.kernel = t[i].kernel;
		cfg.no_zap_all = t[i].no_zap_all;
		host_init(&h, &cfg);
		assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 64, HVA(0), 0), 0);
		assert_int_equal(nmmu_slot_set(h.m, 0, 2, BASE + 64, 64, HVA(64), 0), 0);
		gone = nmmu_slot_of(h.m, 0, BASE);
		other = nmmu_slot_of(h.m, 0, BASE + 64);
		sp = host_sp(&h, TABLES, role_of(1, false, 0));
		/* A guest table in the slot: counted there. */
		table = host_sp(&h, BASE + 5, role_of(1, false, 0));
		assert_int_equal(gone->disallow_lpage[0][0], 2); /* and the edge */
		u64 leaf = host_leaf(&h, 1, SPTE_AD_ENABLED, HOST_W | HOST_A | HOST_D);

		in_gone = host_map(&h, gone, sp, 0, BASE + 1, leaf);
		in_other = host_map(&h, other, sp, 1, BASE + 65, leaf);
		below_table = host_map(&h, other, table, 0, BASE + 66, leaf);
		(void)below_table;
		h.flushes = 0;
		if (t[i].move)
			assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE + 4096, 64, HVA(0), 0), 0);
		else
			assert_int_equal(nmmu_slot_set(h.m, 0, 1, 0, 0, 0, 0), 0);
		assert_int_equal(h.flushes, 1);
		assert_null(nmmu_hash_first(h.m, BASE + 5));
		if (t[i].no_zap_all) {
			/* Leaves of this slot, and pages with gptes in it. */
			assert_int_equal(h.m->nr_used, 1);
			assert_true(spte_is_nonpresent(&h.m->profile, *in_gone));
			assert_true(spte_is_mmu_present(&h.m->profile, *in_other));
			assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(other, BASE + 65, 1)), 1);
		} else {
			assert_int_equal(h.m->nr_used, 0);
			assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(other, BASE + 65, 1)), 0);
		}
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(other, BASE + 66, 1)), 0);
		host_deinit(&h);
	}
}

/* --- slots that come and go while a fault is under way --- */

struct meddle {
	enum nmmu_point point;
	u32 times; /* at which passing of the point */
	u64 nr_pages; /* 0: delete slot 1, else make it */
	struct nmmu_vcpu *v;
	u64 gen; /* of the MMIO SPTEs made inside the swap */
	bool done;
};

static void meddle(struct host *h, enum nmmu_point point)
{
	struct meddle *md = h->ctx;

	if (md->done || point != md->point || h->locked || --md->times)
		return;
	md->done = true;
	assert_int_equal(nmmu_slot_set(h->m, 0, 1, BASE, md->nr_pages, HVA(0), 0), 0);
}

static enum nmmu_ret fault_at(struct nmmu_vcpu *v, u64 gpa)
{
	const struct nmmu_access access = { .gva = gpa, .bytes = 8 };
	/* A read, not present. */
	const struct nmmu_exit exit = {
		.kind = NMMU_EXIT_EPT_VIOLATION, .info = 0x181, .addr = gpa, .access = &access
	};
	struct nmmu_result result;
	int err = nmmu_handle_exit(v, &exit, &result);

	assert_int_equal(err, 0);
	return result.ret;
}

static u64 leaf_at(struct nmmu *m, u64 gfn)
{
	const struct nmmu_sp *sp = nmmu_hash_first(m, gfn & ~511ULL);

	while (sp && (sp->role.level != 1 || nmmu_sp_is_obsolete(m, sp)))
		sp = nmmu_hash_next(sp);
	return sp ? sp->spt[gfn & 511] : m->profile.nonpresent_value;
}

static void check_sound(struct nmmu *m)
{
	const struct nmmu_sp *sp;
	const char *text = "";
	u32 row = nmmu_self_check(m, &text, &sp);

	if (row)
		fail_msg("H %u: %s", row, text);
}

static void test_meddle(void **state)
{
	u32 hit = 0, mmio = 0, ram = 0;

	(void)state;
	for (u32 kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		for (u32 n = 0; n < 2 * NMMU_NR_POINTS * 4; n++) {
			struct meddle md = { .point = n / 8,
					     .times = 1 + n % 4,
					     .nr_pages = n & 4 ? 0 : 600 };
			struct nmmu_config cfg = host_config(false);
			enum nmmu_ret ret;
			struct host h;
			u64 spte;

			cfg.kernel = kernel;
			cfg.no_zap_all = kernel == NMMU_6_12;
			host_init(&h, &cfg);
			assert_int_equal(nmmu_vcpu_create(h.m, &md.v), 0);
			if (!md.nr_pages)
				assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 600, HVA(0), 0), 0);
			struct nmmu_entry entry;

			assert_int_equal(nmmu_vcpu_load(md.v, &entry), 0);
			h.ctx = &md;
			h.on_yield = meddle;
			ret = fault_at(md.v, BASE << 12);
			h.on_yield = NULL;
			check_sound(h.m);
			hit += md.done;
			mmio += ret == NMMU_RET_EMULATE;
			ram += ret == NMMU_RET_FIXED;
			/* In the end the guest finds what is there. */
			for (u32 i = 0; i < 3; i++) {
				assert_int_equal(nmmu_vcpu_load(md.v, &entry), 0);
				ret = fault_at(md.v, BASE << 12);
			}
			spte = leaf_at(h.m, BASE);
			if (nmmu_slot_of(h.m, 0, BASE))
				assert_true(spte_is_leaf(&h.m->profile, spte, 1));
			else
				assert_int_equal(spte_mmio_gen(&h.m->profile, spte), nmmu_generation(h.m, 0));
			check_sound(h.m);
			host_deinit(&h);
		}
	}
	print_message("slots changed inside %u faults; %u ended in MMIO, %u in RAM\n", hit, mmio, ram);
	assert_true(hit > 8 && mmio > 8 && ram > 8);
}

/* I 10, 11: an MMIO SPTE made during the swap has the old number, and no vCPU caches it. */
static void inside_swap(struct host *h, enum nmmu_point point)
{
	struct meddle *md = h->ctx;

	if (point != NMMU_POINT_SLOTS_SWAP || md->done)
		return;
	md->done = true;
	assert_int_equal(fault_at(md->v, (BASE + 700) << 12), NMMU_RET_EMULATE);
	md->gen = spte_mmio_gen(&h->m->profile, leaf_at(h->m, BASE + 700));
}

static void test_inside_swap(void **state)
{
	struct meddle md = { 0 };
	struct nmmu_entry entry;
	struct host h;
	u64 spte;

	(void)state;
	host_init(&h, NULL);
	assert_int_equal(nmmu_vcpu_create(h.m, &md.v), 0);
	assert_int_equal(nmmu_slot_set(h.m, 0, 1, BASE, 600, HVA(0), 0), 0);
	assert_int_equal(nmmu_vcpu_load(md.v, &entry), 0);
	h.ctx = &md;
	h.on_yield = inside_swap;
	assert_int_equal(nmmu_slot_set(h.m, 0, 2, BASE + 1024, 64, HVA(1024), 0), 0);
	assert_true(md.done);
	assert_int_equal(md.gen, 2);
	assert_int_equal(h.m->as[0].generation, 4);
	assert_false(md.v->mmio_valid);
	check_sound(h.m);
	/* Exit 49: stale, so it is made anew. */
	const struct nmmu_access access = { .gva = (BASE + 700) << 12, .bytes = 8 };
	const struct nmmu_exit exit = { .kind = NMMU_EXIT_EPT_MISCONFIG,
					.addr = (BASE + 700) << 12,
					.access = &access };
	struct nmmu_result result;

	assert_int_equal(nmmu_handle_exit(md.v, &exit, &result), 0);
	assert_int_equal(result.action, NMMU_ACT_MMIO);
	spte = leaf_at(h.m, BASE + 700);
	assert_int_equal(spte_mmio_gen(&h.m->profile, spte), 4);
	assert_true(md.v->mmio_valid);
	/* And RAM, once a slot is there. */
	assert_int_equal(nmmu_slot_set(h.m, 0, 3, BASE + 600, 200, HVA(600), 0), 0);
	assert_int_equal(nmmu_handle_exit(md.v, &exit, &result), 0);
	assert_int_equal(result.action, NMMU_ACT_RESUME);
	assert_true(spte_is_leaf(&h.m->profile, leaf_at(h.m, BASE + 700), 1));
	host_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hva_range),
		cmocka_unit_test(test_invalidate),
		cmocka_unit_test(test_invalidate_huge),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_nx),
		cmocka_unit_test(test_nx_toggle),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_meddle),
		cmocka_unit_test(test_inside_swap),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
