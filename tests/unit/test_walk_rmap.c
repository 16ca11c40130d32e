/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of SPTEs read out of a kernel's memory: both shapes, lists that change between any two reads, lists that
 * lead nowhere, arrays in vmalloc space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakemem.h"

#define PAGE_AT(n) (FM_PAGE_OFFSET + (n)*4096ull)
#define MEMSLOTS PAGE_AT(60)
#define SLOT PAGE_AT(61)
#define RMAP4K PAGE_AT(62)
#define RMAP2M PAGE_AT(63)
#define TRACK PAGE_AT(64)
#define LPAGE PAGE_AT(65)
#define DESC(n) (PAGE_AT(66) + 128ull * (n))
#define PGT(n) PAGE_AT(70 + (n))
#define VMALLOC 0xffffc90000200000ull
#define BASE_GFN 0x1fe
#define NPAGES 8
#define SPTE(n) (PAGE_AT(200) + 8ull * (n))

enum { OFF_MEMSLOTS = 0x300, OFF_RMAP = 0x90, OFF_LPAGE = 0xa8, OFF_TRACK = 0xb8 };

struct got {
	struct ms_rec_rmap rmap[8];
	struct ms_rec_rmap_desc desc[64];
	struct ms_rec_gfn count[8];
	struct ms_rec_rmaps end;
	u32 nr, nr_descs, nr_counts;
};

static struct got got;

static struct ms_err *take(void *ctx, enum ms_rec_type type, const void *rec,
			   const struct ms_sp_tables *tables)
{
	(void)ctx;
	assert_null(tables);
	if (type == MS_REC_RMAP) {
		assert_true(got.nr < 8);
		got.rmap[got.nr++] = *(const struct ms_rec_rmap *)rec;
	} else if (type == MS_REC_RMAP_DESC) {
		assert_true(got.nr_descs < 64);
		got.desc[got.nr_descs++] = *(const struct ms_rec_rmap_desc *)rec;
	} else if (type == MS_REC_GFN) {
		assert_true(got.nr_counts < 8);
		got.count[got.nr_counts++] = *(const struct ms_rec_gfn *)rec;
	} else {
		assert_int_equal(type, MS_REC_RMAPS);
		got.end = *(const struct ms_rec_rmaps *)rec;
	}
	return NULL;
}

static void read_rmaps(struct fakemem *fm)
{
	const struct ms_rec_host host = { 0 };
	const struct ms_rec_vm vm = { .have = MS_VM_HAVE_LEGACY | MS_VM_HAVE_USED, .kvm = fm_kvm(0) };
	const struct ms_want want = { .what = MS_WANT_RMAPS };
	const struct ms_sink sink = { take, NULL };

	memset(&got, 0, sizeof(got));
	assert_null(ms_kvm_read_rmaps(&fm->kmem, &host, &vm, &want, &sink));
	assert_int_equal(fm->nr_refused, 0);
	assert_int_equal(got.end.nr_lists, got.nr);
}

static void field(struct fakemem *fm, enum ms_field_id id, u32 off, u32 elem, u32 nr)
{
	fm->layout.f[id] = (struct ms_field){
		.off = off, .size = elem * nr, .elem_size = elem, .nr_elems = nr, .present = true
	};
}

/* One slot of 8 pages that begins 2 pages before a large page; no list, no count. */
static void begin(struct fakemem *fm, bool tail_count)
{
	fm_init(fm);
	field(fm, MS_F_kvm_memslots, OFF_MEMSLOTS, 8, 1);
	field(fm, MS_F_memslots_generation, 0, 8, 1);
	field(fm, MS_F_memslots_node_idx, 8, 4, 1);
	field(fm, MS_F_memslots_id_hash, 16, 8, 4);
	field(fm, MS_F_memslot_id_node, 0, 16, 2);
	field(fm, MS_F_memslot_base_gfn, 0x40, 8, 1);
	field(fm, MS_F_memslot_npages, 0x48, 8, 1);
	field(fm, MS_F_memslot_rmap, OFF_RMAP, 8, 3);
	field(fm, MS_F_memslot_lpage_info, OFF_LPAGE, 8, 2);
	field(fm, tail_count ? MS_F_memslot_gfn_write_track : MS_F_memslot_gfn_track, OFF_TRACK, 8, 1);
	field(fm, MS_F_lpage_info_disallow, 0, 4, 1);
	field(fm, MS_F_desc_more, 0, 8, 1);
	field(fm, MS_F_desc_spte_count, 8, tail_count ? 4 : 8, 1);
	if (tail_count)
		field(fm, MS_F_desc_tail_count, 12, 4, 1);
	field(fm, MS_F_desc_sptes, 16, 8, 14);
	fm->layout.type_size[MS_T_pte_list_desc] = 128;
	fm->layout.type_size[MS_T_kvm_lpage_info] = 4;
	fm_set(fm, fm_kvm(0) + OFF_MEMSLOTS, MEMSLOTS);
	fm_set(fm, MEMSLOTS, 6);
	fm_set(fm, MEMSLOTS + 16, SLOT);
	fm_set(fm, SLOT + 0x40, BASE_GFN);
	fm_set(fm, SLOT + 0x48, NPAGES);
	fm_set(fm, SLOT + OFF_RMAP, RMAP4K);
	fm_set(fm, SLOT + OFF_RMAP + 8, RMAP2M);
	fm_set(fm, SLOT + OFF_LPAGE, LPAGE);
	fm_set(fm, SLOT + OFF_TRACK, TRACK);
}

static void desc(struct fakemem *fm, u32 n, u64 more, u32 count, u32 tail, u32 first)
{
	u32 i;

	fm_set(fm, DESC(n), more);
	fm_set(fm, DESC(n) + 8, count | (u64)tail << 32);
	for (i = 0; i < 14; i++)
		fm_set(fm, DESC(n) + 16 + 8 * i, i < count ? SPTE(first + i) : 0xdeadull << 48);
}

/* 6.12: the head has 1, its tail is full. 6.1: the other way round, and a hole. */
static void test_shapes(void **state)
{
	struct fakemem fm;
	u32 v;

	for (v = 0; v < 2; v++) {
		begin(&fm, v);
		fm_set(&fm, RMAP4K + 8, SPTE(3));
		fm_set(&fm, RMAP4K + 16, DESC(0) | MS_RMAP_MANY);
		desc(&fm, 0, DESC(1), v ? 1 : 14, v ? 14 : 0, 20);
		desc(&fm, 1, 0, v ? 14 : 1, 0, 40);
		fm_set(&fm, RMAP2M + 8, SPTE(4));
		fm_set(&fm, TRACK, 2ull << 48 | 1);
		fm_set(&fm, LPAGE, 0x80000001ull << 32);
		fm_legacy_add(&fm, 0, 0, 0x10, 2, 0);
		fm_legacy_add(&fm, 0, 1, 0x11, 1, 0);
		fm_link(&fm, 0, 5, 1);
		read_rmaps(&fm);
		assert_int_equal(got.nr, 4);
		assert_int_equal(got.end.nr_torn + got.end.nr_unreadable, 0);
		assert_int_equal(got.end.have, MS_RMAPS_HAVE_RMAPS | MS_RMAPS_HAVE_PARENTS |
						       MS_RMAPS_HAVE_WRITE_TRACK | MS_RMAPS_HAVE_LPAGE |
						       MS_RMAPS_HAVE_DIRECT_MAP | MS_RMAPS_HAVE_GENERATION);
		assert_int_equal(got.end.generation[0], 6);
		assert_int_equal(got.end.generation[1], 0);
		assert_int_equal(got.end.flags, MS_RMAPS_NO_ARRAY); /* 1 GiB */
		assert_int_equal(got.rmap[0].gfn, BASE_GFN + 1);
		assert_int_equal(got.rmap[0].head, SPTE(3));
		assert_int_equal(got.rmap[0].nr_entries, 1);
		assert_int_equal(got.rmap[1].gfn, BASE_GFN + 2);
		assert_int_equal(got.rmap[1].nr_entries, 15);
		assert_int_equal(got.rmap[1].nr_descs, 2);
		assert_int_equal(got.rmap[1].have & MS_RMAP_HAVE_TAIL_COUNT, v ? MS_RMAP_HAVE_TAIL_COUNT : 0);
		assert_int_equal(got.desc[0].count, v ? 1 : 14);
		assert_int_equal(got.desc[0].tail_count, v ? 14 : 0);
		assert_int_equal(got.desc[0].more, DESC(1));
		assert_int_equal(got.desc[0].sptes[0], SPTE(20));
		assert_int_equal(got.desc[1].count, v ? 14 : 1);
		assert_int_equal(got.desc[1].sptes[v ? 13 : 0], SPTE(v ? 53 : 40));
		assert_int_equal(got.desc[1].sptes[13] != 0, v);
		assert_int_equal(got.rmap[2].level, 2);
		assert_int_equal(got.rmap[2].gfn, 0x200);
		assert_int_equal(got.rmap[3].sp, fm_sp(1));
		assert_int_equal(got.rmap[3].head, fm_table(0) + 40);
		assert_int_equal(got.rmap[3].level, 2);
		assert_int_equal(got.nr_counts, 3);
		assert_int_equal(got.count[0].level, 2);
		assert_int_equal(got.count[0].gfn, 0x200);
		assert_int_equal(got.count[0].count, 0x80000001);
		assert_int_equal(got.count[1].gfn, BASE_GFN);
		assert_int_equal(got.count[1].count, 1);
		assert_int_equal(got.count[2].gfn, BASE_GFN + 3);
		assert_int_equal(got.count[2].count, 2);
		fm_deinit(&fm);
	}
}

struct change {
	u64 step;
	u32 kind;
	u64 n;
};

/* KVM adds an entry to a full list, drops one, or empties the list and takes its memory for another. */
static void change(struct fakemem *fm, void *ctx)
{
	struct change *c = ctx;

	if (c->kind == 3) { /* never at rest */
		fm_set(fm, DESC(0) + 16, SPTE(100 + c->n++ % 7));
		return;
	}
	if (fm->nr_ops != c->step)
		return;
	if (c->kind == 0) {
		desc(fm, 2, DESC(0), 1, 28, 90);
		fm_set(fm, RMAP4K, DESC(2) | MS_RMAP_MANY);
	} else if (c->kind == 1) {
		desc(fm, 0, DESC(1), 13, 14, 20);
	} else {
		fm_set(fm, RMAP4K, SPTE(90));
		desc(fm, 0, 0, 2, 0, 70);
		desc(fm, 1, 0, 2, 0, 80);
	}
}

static void test_change_at_each_step(void **state)
{
	struct change c = { 0 };
	u64 steps, before, after, retried;
	struct fakemem fm;
	u32 e;

	for (c.kind = 0; c.kind < 3; c.kind++) {
		before = after = retried = 0;
		for (c.step = 1, steps = 1; c.step <= steps; c.step++) {
			begin(&fm, true);
			fm_set(&fm, RMAP4K, DESC(0) | MS_RMAP_MANY);
			desc(&fm, 0, DESC(1), 14, 14, 20);
			desc(&fm, 1, 0, 14, 0, 40);
			fm.hook = change;
			fm.hook_ctx = &c;
			read_rmaps(&fm);
			steps = fm.nr_ops > steps ? fm.nr_ops : steps;
			assert_int_equal(got.nr, 1);
			assert_int_equal(got.rmap[0].state, MS_RMAP_CONFIRMED);
			retried += got.end.retries;
			e = got.rmap[0].nr_entries;
			if (e == 28) {
				before++;
				assert_int_equal(got.desc[0].sptes[13], SPTE(33));
				assert_int_equal(got.desc[1].sptes[13], SPTE(53));
			} else {
				after++;
				assert_int_equal(e, c.kind == 0 ? 29 : c.kind == 1 ? 27 : 1);
			}
			fm_deinit(&fm);
		}
		assert_true(before > 0 && after > 0 && retried > 0);
	}
	begin(&fm, true);
	fm_set(&fm, RMAP4K, DESC(0) | MS_RMAP_MANY);
	desc(&fm, 0, 0, 2, 0, 20);
	fm.hook = change;
	fm.hook_ctx = &c;
	read_rmaps(&fm);
	assert_int_equal(got.rmap[0].state, MS_RMAP_TORN);
	assert_true(got.end.flags & MS_RMAPS_CHANGED);
	fm_deinit(&fm);
}

static void slot_gone(struct fakemem *fm, void *ctx)
{
	if (fm->nr_ops == *(u64 *)ctx) {
		fm_set(fm, MEMSLOTS, 8);
		fm_set(fm, SLOT + OFF_RMAP, 0);
	}
}

/* A slot that is deleted under the reading: nothing read of it after that is confirmed. */
static void test_slot_deleted(void **state)
{
	u64 step, steps = 1, torn = 0, none = 0;
	struct fakemem fm;

	for (step = 1; step <= steps; step++) {
		begin(&fm, true);
		fm_set(&fm, RMAP4K, SPTE(3));
		fm.hook = slot_gone;
		fm.hook_ctx = &step;
		read_rmaps(&fm);
		steps = fm.nr_ops > steps ? fm.nr_ops : steps;
		torn += got.end.nr_torn;
		none += !got.nr;
		fm_deinit(&fm);
	}
	assert_true(torn > 0 && none > 0);
}

static void test_garbage(void **state)
{
	struct fakemem fm;

	begin(&fm, true);
	fm_set(&fm, RMAP4K, DESC(0) | MS_RMAP_MANY);
	desc(&fm, 0, DESC(1), 14, 0, 20);
	desc(&fm, 1, DESC(0), 14, 0, 40); /* a ring */
	fm_set(&fm, RMAP4K + 8, 0xffffc90000400001ull); /* vmalloc space */
	fm_set(&fm, RMAP4K + 16, DESC(2) | MS_RMAP_MANY);
	desc(&fm, 2, 0, 0xffffffff, 0, 40); /* no such count */
	read_rmaps(&fm);
	assert_int_equal(got.nr, 3);
	assert_int_equal(got.rmap[0].state, MS_RMAP_CONFIRMED);
	assert_true(got.rmap[0].have & MS_RMAP_ENDLESS);
	assert_int_equal(got.rmap[0].nr_descs, 2);
	assert_false(got.rmap[2].have & MS_RMAP_ENDLESS);
	assert_int_equal(got.rmap[1].state, MS_RMAP_UNREADABLE);
	assert_int_equal(got.rmap[2].state, MS_RMAP_CONFIRMED);
	assert_int_equal(got.rmap[2].nr_entries, 14);
	assert_int_equal(got.desc[2].count, 0xffffffff);
	/* A slot that claims more pages than there can be. */
	fm_set(&fm, SLOT + 0x48, 1ull << 51);
	read_rmaps(&fm);
	assert_int_equal(got.nr, 0);
	assert_true(got.end.flags & MS_RMAPS_UNREAD);
	/* Nor is anything said of what this kernel lacks. */
	fm.layout.type_size[MS_T_pte_list_desc] = 0;
	read_rmaps(&fm);
	assert_false(got.end.have & (MS_RMAPS_HAVE_RMAPS | MS_RMAPS_HAVE_PARENTS));
	fm_deinit(&fm);
}

/* Arrays in vmalloc space: through the kernel's tables; a frame that is no memory is not read. */
static void test_vmalloc(void **state)
{
	struct fakemem fm;
	u32 i;

	begin(&fm, true);
	fm_set(&fm, SLOT + OFF_RMAP, VMALLOC);
	fm_set(&fm, RMAP4K + 8, SPTE(3));
	read_rmaps(&fm);
	assert_int_equal(got.nr, 0);
	assert_true(got.end.flags & MS_RMAPS_UNREAD);
	fm.kmem.sym[MS_KSYM_init_top_pgt] = PGT(0);
	for (i = 0; i < 3; i++)
		fm_set(&fm, PGT(i) + 8 * (VMALLOC >> (39 - 9 * i) & 511), (PGT(i + 1) - FM_PAGE_OFFSET) | 1);
	fm_set(&fm, PGT(3) + 8 * (VMALLOC >> 12 & 511), (RMAP4K - FM_PAGE_OFFSET) | 1ull << 63 | 1);
	read_rmaps(&fm);
	assert_int_equal(got.nr, 1);
	assert_int_equal(got.rmap[0].head, SPTE(3));
	assert_int_equal(got.rmap[0].state, MS_RMAP_CONFIRMED);
	fm_set(&fm, PGT(3) + 8 * (VMALLOC >> 12 & 511), 0xfe000000ull | 1);
	read_rmaps(&fm);
	assert_int_equal(got.nr, 0);
	assert_true(got.end.flags & MS_RMAPS_UNREAD);
	fm_deinit(&fm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),	     cmocka_unit_test(test_change_at_each_step),
		cmocka_unit_test(test_slot_deleted), cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_vmalloc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
