// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's check of itself (SEMANTICS H): each row is broken by hand in a machine that was whole, must be
 * named, and must be silent again once mended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmu_box.h"

#define R NMMU_PF_U
#define W NMMU_PF_W
#define P NMMU_PF_P
#define X NMMU_PF_I
#define DATA 0x1000000ULL

static u32 row_of(struct box *b)
{
	const struct nmmu_sp *sp;
	const char *text;

	return nmmu_self_check(b->m, &text, &sp);
}

/* Puts something else in place, asks, and puts it back. */
#define broken(b, row, lvalue, value)                                             \
	do {                                                                      \
		__typeof__(lvalue) old_ = (lvalue);                               \
		(lvalue) = (value);                                               \
		if (row_of(b) != (row))                                           \
			print_error("wanted row %u, got %u\n", (row), row_of(b)); \
		assert_int_equal(row_of(b), (row));                               \
		(lvalue) = old_;                                                  \
		assert_int_equal(row_of(b), 0);                                   \
	} while (0)

struct scene {
	struct box b;
	u64 root;
	struct nmmu_sp *l4, *l3, *l2, *l1, *direct; /* of L2: 0x0; of L1: 0x0 */
	struct nmmu_slot *slot;
	u64 *leaf, *wleaf; /* L2's; L1's, of level 1 */
};

static void scene_init(struct scene *s, const struct nmmu_config *cfg)
{
	struct box *b = &s->b;

	box_init(b, cfg);
	s->root = box_table(b);
	s->slot = nmmu_slot_of(b->m, 0, 0);
	box_long_mode(b, 0);
	assert_int_equal(box_fault(b, DATA, W), NMMU_RET_FIXED);
	s->wleaf = box_spte(b, DATA, 1);
	s->direct = nmmu_sp_of_spte(b->m, s->wleaf);
	box_enter(b, NMMU_NESTED_EPT, s->root << 12 | EPTP);
	box_map(b, s->root, 4, 0, DATA + 0x100000, 1, EPT_RWX, EPT_TABLE);
	assert_int_equal(box_fault(b, 0, W), NMMU_RET_FIXED);
	s->leaf = box_spte(b, 0, 1);
	s->l1 = nmmu_sp_of_spte(b->m, s->leaf);
	s->l2 = nmmu_sp_of_spte(b->m, box_spte(b, 0, 2));
	s->l3 = nmmu_sp_of_spte(b->m, box_spte(b, 0, 3));
	s->l4 = nmmu_sp_of_spte(b->m, box_spte(b, 0, 4));
	box_check(b);
}

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

#define for_each_kernel(kernel) \
	for (const enum nmmu_kernel *k_ = kernels; k_ < kernels + 2 && (kernel = *k_, true); k_++)

static void values(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		const struct spte_profile *p;
		struct scene s;
		struct box *b = &s.b;
		u64 leaf;

		scene_init(&s, &cfg);
		p = &b->m->profile;
		leaf = *s.leaf;
		broken(b, 1, *s.leaf, leaf & ~p->m.host_writable);
		broken(b, 2, *s.leaf, leaf & ~p->m.mmu_writable);
		broken(b, 5, *s.leaf, leaf | p->ad_mask);
		broken(b, 6, *s.leaf, (leaf & ~(p->m.accessed | p->m.dirty)) | 1ULL << p->ad_shift);
		broken(b, 9, *s.leaf, leaf & ~(SPTE_EPT_RWX | p->m.mmu_writable));
		broken(b, 9, *s.leaf, leaf | 1ULL << p->track_saved_shift);
		broken(b, 10, *s.leaf, leaf | 1ULL << p->ad_shift);
		broken(b, 11, *s.leaf, leaf & ~SPTE_EPT_R);
		broken(b, 11, *s.leaf, leaf | 1ULL << 50);
		broken(b, 15, s.l1->spt[100], 0x1000);
		broken(b, 17, s.l1->spt[100], p->frozen_value);
		box_deinit(b);

		/* PML makes L2's leaves write-protect-only. */
		cfg.pml = true;
		scene_init(&s, &cfg);
		broken(b, 7, *s.leaf, *s.leaf & ~b->m->profile.ad_mask);
		box_deinit(b);
	}
}

static void slots_and_mmio(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct scene s;
		struct box *b = &s.b;

		scene_init(&s, &cfg);
		broken(b, 3, s.slot->flags, MS_SLOT_READONLY);
		broken(b, 13, s.l1->spt[100], nmmu_make_mmio(b->v, 0x77, NMMU_ACC_ALL));
		broken(b, 0, s.l1->spt[100], nmmu_make_mmio(b->v, BOX_PAGES + 1, NMMU_ACC_ALL));
		box_deinit(b);
	}
}

static void lists(void **state)
{
	enum nmmu_kernel kernel;
	u32 i;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_rmap *rmap, other;
		struct nmmu_pte_desc *desc;
		struct scene s;
		struct box *b = &s.b;

		scene_init(&s, &cfg);
		rmap = nmmu_slot_rmap(s.slot, (DATA >> 12) + 0x100, 1);
		other = *nmmu_slot_rmap(s.slot, DATA >> 12, 1);
		assert_int_equal(rmap->val, (uintptr_t)s.leaf);
		broken(b, 18, rmap->val, 0);
		broken(b, 18, *rmap, other);
		/* Listed where it does not belong: nothing is missing, there is one too many. */
		broken(b, 19, nmmu_slot_rmap(s.slot, 5, 1)->val, (uintptr_t)s.leaf);
		broken(b, 19, nmmu_slot_rmap(s.slot, 5, 1)->val, (uintptr_t)&s.l1->spt[100]);
		broken(b, 19, nmmu_slot_rmap(s.slot, 0x1400, 2)->val, (uintptr_t)s.leaf);
		broken(b, 19, nmmu_slot_rmap(s.slot, 5, 1)->val, (uintptr_t)&s.root & ~7ULL);

		broken(b, 21, s.l1->parents.val, 0);
		broken(b, 22, s.l1->parents.val, (uintptr_t)&s.l2->spt[9]);
		/* A link to no page, and one that the child does not know of. */
		broken(b, 21, s.l3->spt[7], s.l3->spt[0] ^ 1ULL << 30);
		broken(b, 21, s.l3->spt[7], s.l3->spt[0]);

		/* Shapes: 30 of one gfn. */
		for (i = 1; i < 30; i++) {
			box_map(b, s.root, 4, (u64)i << 15, DATA + 0x100000, 1, EPT_RWX, EPT_TABLE);
			box_fault(b, (u64)i << 15, R);
		}
		box_check(b);
		desc = (struct nmmu_pte_desc *)(rmap->val & ~(uintptr_t)1);
		/* What is missing from a list is met first, with the page. */
		broken(b, 18, desc->sptes[0], desc->sptes[1]);
		broken(b, 18, desc->more->nr, 13);
		if (kernel == NMMU_6_12)
			broken(b, 20, desc->tail_count, 3);
		else
			broken(b, 0, desc->tail_count, 3);
		box_deinit(b);
	}
}

static void pages(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		union nmmu_role role;
		struct scene s;
		struct box *b = &s.b;

		scene_init(&s, &cfg);
		/* A child that is not what its place asks for. */
		role = s.l1->role;
		role.quadrant = 1;
		broken(b, 23, s.l1->role.word, role.word);
		role = s.l1->role;
		role.efer_nx = 1;
		broken(b, 23, s.l1->role.word, role.word);
		role = s.l3->role;
		role.access = NMMU_ACC_U;
		broken(b, 23, s.l3->role.word, role.word);
		broken(b, 24, s.direct->gfn, s.direct->gfn + 1);
		broken(b, 25, s.l1->translation[0], s.l1->translation[0] & ~(u64)NMMU_ACC_W);
		role = s.l4->role;
		role.passthrough = 1;
		broken(b, 26, s.l4->role.word, role.word);
		role = b->v->guest_mmu.root_role;
		role.passthrough = 1;
		broken(b, 27, b->v->guest_mmu.root_role.word, role.word);
		broken(b, 29, s.l2->unsync, true);
		broken(b, 29, s.direct->unsync, true);
		broken(b, 30, s.l2->unsync_children, 1);
		broken(b, 30, s.l2->unsync_bitmap[3], 2);
		broken(b, 30, s.l1->unsync, true);
		broken(b, 39, s.l2->gen, !s.l2->gen);
		role = s.l1->role;
		role.invalid = 1;
		broken(b, 40, s.l1->role.word, role.word);
		broken(b, 32, s.slot->write_track[s.l2->gfn], 2);
		broken(b, 32, s.slot->write_track[s.l2->gfn], 0);
		broken(b, 32, s.slot->write_track[3], 1);
		box_deinit(b);
	}
}

/* A table that is mapped writable: 31. Inside a large page that may be written: 33. Two of one key: 28. */
static void tables(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		const struct spte_profile *p;
		struct nmmu_sp *twin;
		union nmmu_role role;
		struct box b;
		u64 root, *large, *leaf;
		u32 word;

		box_init(&b, &cfg);
		p = &b.m->profile;
		root = box_table(&b);
		box_long_mode(&b, 0);
		/* The first 2 MiB, before there are tables in it; it stays when they come, protected. */
		b.host_level = 2;
		assert_int_equal(box_fault(&b, 0x3000, W), NMMU_RET_FIXED);
		b.host_level = 1;
		large = box_spte(&b, 0, 2);
		assert_true(spte_is_huge(p, *large, 2) && spte_is_writable(*large));
		box_map(&b, root, 4, 0, DATA, 1, EPT_RWX, EPT_TABLE);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_int_equal(spte_wstate(p, *large, 2), SPTE_W_WP);
		broken(&b, 33, *large, *large | p->m.mmu_writable | SPTE_HW_W);
		broken(&b, 33, *large, *large | p->m.mmu_writable);

		/* L1 maps a table for itself, after the huge leaf has gone. */
		nmmu_nested_leave(b.v, NULL);
		nmmu_invalidate_begin(b.m, BOX_HVA, BOX_HVA + 0x200000);
		nmmu_invalidate_end(b.m, BOX_HVA, BOX_HVA + 0x200000);
		assert_int_equal(box_fault(&b, root << 12, R), NMMU_RET_FIXED);
		leaf = box_spte(&b, root << 12, 1);
		broken(&b, 31, *leaf, *leaf | p->m.mmu_writable);

		role = box_sp(&b, root, 4)->role;
		word = role.word;
		role.access = NMMU_ACC_U;
		assert_int_equal(nmmu_cache_topup(b.v, true), 0);
		nmmu_lock(b.m);
		twin = nmmu_sp_get(b.v, root, role);
		nmmu_unlock(b.m);
		box_check(&b);
		broken(&b, 28, twin->role.word, word);
		box_deinit(&b);
	}
}

static u32 asked, asked_last;

static bool stop(void *host)
{
	return asked++ == asked_last;
}

/* Each time that it asks it can be stopped; what comes behind is not looked at, and it does not ask again. */
static void stopped(void **state)
{
	struct nmmu_config cfg = box_config(NMMU_6_12);
	struct nmmu_ops ops;
	struct scene s;
	u32 times, i;

	scene_init(&s, &cfg);
	ops = *s.b.m->ops;
	ops.stop = stop;
	s.b.m->ops = &ops;
	asked = 0;
	asked_last = ~0u;
	assert_int_equal(row_of(&s.b), 0);
	times = asked;
	assert_true(times > 8);
	/* Found behind the last list, in what the vCPU says of its MMU. */
	s.b.v->guest_mmu.root_role.passthrough = 1;
	assert_int_equal(row_of(&s.b), 27);
	for (i = 0; i < times; i++) {
		asked = 0;
		asked_last = i;
		assert_int_equal(row_of(&s.b), 0);
		assert_int_equal(asked, i + 1);
	}
	s.b.v->guest_mmu.root_role.passthrough = 0;
	box_deinit(&s.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values), cmocka_unit_test(slots_and_mmio), cmocka_unit_test(lists),
		cmocka_unit_test(pages),  cmocka_unit_test(tables),	    cmocka_unit_test(stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
