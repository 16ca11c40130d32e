// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lists of SPTEs (SEMANTICS F "rmap head", "recycle"): their shapes in both kernels at the sizes where they
 * change, removal from anywhere, and any order of adding and removing against a plain set. That the shape is
 * right after each step is worked out here from the rule, not asked of the engine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmu_box.h"

#define MAX 1100u

struct list {
	struct box b;
	struct nmmu_rmap head;
	u64 spte[MAX]; /* their addresses are what is listed */
	bool in[MAX];
	u32 nr;
};

static void list_init(struct list *l, enum nmmu_kernel kernel)
{
	struct nmmu_config cfg = box_config(kernel);

	memset(l, 0, sizeof(*l));
	box_init(&l->b, &cfg);
}

static u32 list_add(struct list *l, u32 i)
{
	u32 before;

	assert_int_equal(nmmu_cache_topup(l->b.v, false), 0);
	before = nmmu_rmap_add(l->b.m, &l->b.v->cache, &l->head, &l->spte[i]);
	l->in[i] = true;
	l->nr++;
	return before;
}

static void list_del(struct list *l, u32 i)
{
	assert_int_equal(nmmu_rmap_del(l->b.m, &l->head, &l->spte[i]), 0);
	l->in[i] = false;
	l->nr--;
}

static struct nmmu_pte_desc *first_desc(const struct list *l)
{
	return l->head.val & 1 ? (struct nmmu_pte_desc *)(l->head.val & ~(uintptr_t)1) : NULL;
}

/* What is iterated is what was put in, each once, and the shape obeys the kernel's rule. */
static void list_check(const struct list *l)
{
	bool is_6_12 = nmmu_is_6_12(l->b.m);
	const struct nmmu_pte_desc *desc;
	struct nmmu_rmap_iter it;
	bool seen[MAX] = { false };
	u32 nr = 0, left = l->nr;
	u64 *sptep;

	for (sptep = nmmu_rmap_first(l->head, &it); sptep; sptep = nmmu_rmap_next(&it)) {
		u32 i = (u32)(sptep - l->spte);

		assert_true(i < MAX && l->in[i] && !seen[i]);
		seen[i] = true;
		nr++;
	}
	assert_int_equal(nr, l->nr);
	assert_int_equal(nmmu_rmap_count(l->head), l->nr);
	if (!l->nr)
		assert_int_equal(l->head.val, 0);
	for (desc = first_desc(l); desc; desc = desc->more) {
		assert_in_range(desc->nr, 1, 14);
		left -= desc->nr;
		if (is_6_12) {
			assert_int_equal(desc->tail_count, left);
			if (desc != first_desc(l))
				assert_int_equal(desc->nr, 14);
		}
	}
}

static void list_deinit(struct list *l)
{
	u32 i;

	for (i = 0; i < MAX; i++)
		if (l->in[i])
			list_del(l, i);
	assert_int_equal(l->head.val, 0);
	box_deinit(&l->b);
}

/* Sizes of the descriptors, first to last, 0 ends; none: a list of one or none. */
static void assert_shape(const struct list *l, const u32 *want)
{
	const struct nmmu_pte_desc *desc = first_desc(l);

	for (; *want; want++, desc = desc->more) {
		assert_non_null(desc);
		assert_int_equal(desc->nr, *want);
	}
	assert_null(desc);
}

static void grow_to(struct list *l, u32 nr)
{
	while (l->nr < nr) {
		u32 before = l->nr;

		/* Without holes both kernels count all. */
		assert_int_equal(list_add(l, l->nr), before);
		list_check(l);
	}
}

static const struct {
	u32 nr;
	u32 shape[2][4]; /* 6.1, 6.12 */
} shapes[] = {
	{ 1, { { 0 }, { 0 } } },
	{ 2, { { 2 }, { 2 } } },
	{ 14, { { 14 }, { 14 } } },
	{ 15, { { 14, 1 }, { 1, 14 } } },
	{ 28, { { 14, 14 }, { 14, 14 } } },
	{ 29, { { 14, 14, 1 }, { 1, 14, 14 } } },
	{ 30, { { 14, 14, 2 }, { 2, 14, 14 } } },
};

static void shapes_while_growing(void **state)
{
	enum nmmu_kernel kernel;
	u32 i;

	for (kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		struct list l;

		list_init(&l, kernel);
		for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
			grow_to(&l, shapes[i].nr);
			assert_shape(&l, shapes[i].shape[kernel]);
		}
		list_deinit(&l);
	}
}

/* A list of one is the SPTE's own address; of two, a descriptor, and stays one when it shrinks again. */
static void one_is_a_pointer(void **state)
{
	enum nmmu_kernel kernel;

	for (kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		struct list l;

		list_init(&l, kernel);
		list_add(&l, 0);
		assert_int_equal(l.head.val, (uintptr_t)&l.spte[0]);
		list_add(&l, 1);
		list_del(&l, 0);
		assert_shape(&l, (u32[]){ 1, 0 });
		list_check(&l);
		list_del(&l, 1);
		assert_int_equal(l.head.val, 0);
		list_deinit(&l);
	}
}

/* Each entry of a list of 30 in turn. */
static void removal_anywhere(void **state)
{
	enum nmmu_kernel kernel;
	u32 i;

	for (kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		for (i = 0; i < 30; i++) {
			struct list l;

			list_init(&l, kernel);
			grow_to(&l, 30);
			list_del(&l, i);
			list_check(&l);
			if (kernel == NMMU_6_12)
				assert_shape(&l, (u32[]){ 1, 14, 14, 0 });
			else if (i < 14)
				assert_shape(&l, (u32[]){ 13, 14, 2, 0 });
			else if (i < 28)
				assert_shape(&l, (u32[]){ 14, 13, 2, 0 });
			else
				assert_shape(&l, (u32[]){ 14, 14, 1, 0 });
			list_deinit(&l);
		}
	}
}

/* Backfilling moves the last of the same descriptor (6.1), or of the head (6.12), into the hole. */
static void hole_is_backfilled(void **state)
{
	struct list l;

	list_init(&l, NMMU_6_1);
	grow_to(&l, 30);
	list_del(&l, 3);
	assert_ptr_equal(first_desc(&l)->sptes[3], &l.spte[13]);
	list_deinit(&l);

	list_init(&l, NMMU_6_12);
	grow_to(&l, 30);
	/* Head 28, 29; then 14..27; then 0..13. */
	list_del(&l, 3);
	assert_ptr_equal(first_desc(&l)->more->more->sptes[3], &l.spte[29]);
	list_deinit(&l);
}

/* An emptied descriptor goes, wherever it is. */
static void empty_descriptor_goes(void **state)
{
	struct list l;
	u32 i;

	list_init(&l, NMMU_6_1);
	grow_to(&l, 42);
	for (i = 14; i < 28; i++)
		list_del(&l, i);
	assert_shape(&l, (u32[]){ 14, 14, 0 });
	for (i = 0; i < 14; i++)
		list_del(&l, i);
	assert_shape(&l, (u32[]){ 14, 0 });
	list_check(&l);
	list_deinit(&l);

	list_init(&l, NMMU_6_12);
	grow_to(&l, 29);
	list_del(&l, 0);
	assert_shape(&l, (u32[]){ 14, 14, 0 });
	list_deinit(&l);
}

/* F: 6.1 counts only as far as the first descriptor with room, where it also adds; 6.12 always counts all. */
static void holes_and_the_count(void **state)
{
	struct list l;

	list_init(&l, NMMU_6_1);
	grow_to(&l, 100);
	list_del(&l, 2);
	assert_int_equal(list_add(&l, 2), 13);
	list_del(&l, 20);
	assert_int_equal(list_add(&l, 20), 14 + 13);
	assert_int_equal(list_add(&l, 100), 100);
	list_deinit(&l);

	list_init(&l, NMMU_6_12);
	grow_to(&l, 100);
	list_del(&l, 2);
	assert_int_equal(list_add(&l, 2), 99);
	list_deinit(&l);
}

static void absent_entry_is_refused(void **state)
{
	enum nmmu_kernel kernel;

	for (kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		struct list l;

		list_init(&l, kernel);
		assert_int_equal(nmmu_rmap_del(l.b.m, &l.head, &l.spte[0]), -ENOENT);
		list_add(&l, 1);
		assert_int_equal(nmmu_rmap_del(l.b.m, &l.head, &l.spte[0]), -ENOENT);
		grow_to(&l, 1);
		list_add(&l, 2);
		assert_int_equal(nmmu_rmap_del(l.b.m, &l.head, &l.spte[0]), -ENOENT);
		list_check(&l);
		list_deinit(&l);
	}
}

static void any_order(void **state)
{
	enum nmmu_kernel kernel;
	u64 seed;

	for (seed = 1; seed <= 20; seed++) {
		for (kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
			u64 random = seed * 0x9e3779b97f4a7c15ULL;
			struct list l;
			u32 step;

			list_init(&l, kernel);
			for (step = 0; step < 1000; step++) {
				u32 i = (u32)(box_random(&random) % 90);

				/* Grows at first and shrinks in the end. */
				if (l.in[i] && (step > 500 || box_random(&random) & 1))
					list_del(&l, i);
				else if (!l.in[i] && (step < 500 || box_random(&random) % 4 == 0))
					list_add(&l, i);
				list_check(&l);
			}
			list_deinit(&l);
		}
	}
}

/* --- over real pages --- */

/* Maps one gfn nr times, from as many nGPAs, by read faults of L2. */
static void map_aliases(struct box *b, u64 root, u32 first, u32 nr)
{
	u32 i;

	for (i = first; i < first + nr; i++) {
		/* One in eight, so that none is prefetched. */
		u64 ngpa = (u64)i << 15;

		box_map(b, root, 4, ngpa, 0x50000, 1, EPT_RWX, EPT_TABLE);
		assert_int_equal(box_fault(b, ngpa, NMMU_PF_U), NMMU_RET_FIXED);
	}
}

/* I 24: 1001 mappings of one page stay, the 1002nd empties the list, flushes, and is gone itself. */
static void recycled_at_1002(void **state)
{
	enum nmmu_kernel kernel;

	for (kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_slot *slot;
		struct box b;
		u64 root;
		u32 flushes;

		box_init(&b, &cfg);
		root = box_table(&b);
		box_long_mode(&b, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		slot = nmmu_slot_of(b.m, 0, 0x50);
		map_aliases(&b, root, 0, 15);
		{
			struct list l = { .head = *nmmu_slot_rmap(slot, 0x50, 1) };

			assert_shape(&l, kernel == NMMU_6_1 ? (u32[]){ 14, 1, 0 } : (u32[]){ 1, 14, 0 });
		}
		map_aliases(&b, root, 15, 1001 - 15);
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(slot, 0x50, 1)), 1001);
		flushes = b.flushes;
		map_aliases(&b, root, 1001, 1);
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(slot, 0x50, 1)), 0);
		assert_true(b.flushes > flushes);
		assert_false(spte_is_mmu_present(&b.m->profile, *box_spte(&b, 1001ULL << 15, 1)));
		box_check(&b);
		map_aliases(&b, root, 1002, 1);
		assert_int_equal(nmmu_rmap_count(*nmmu_slot_rmap(slot, 0x50, 1)), 1);
		box_deinit(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_while_growing),	   cmocka_unit_test(one_is_a_pointer),
		cmocka_unit_test(removal_anywhere),	   cmocka_unit_test(hole_is_backfilled),
		cmocka_unit_test(empty_descriptor_goes),   cmocka_unit_test(holes_and_the_count),
		cmocka_unit_test(absent_entry_is_refused), cmocka_unit_test(any_order),
		cmocka_unit_test(recycled_at_1002),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
