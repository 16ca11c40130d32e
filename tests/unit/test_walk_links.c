/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a walk over the legacy MMU's pages puts together from several of them: a table and the page that it
 * leads to, entries and what they translate. A change between any two reads must not make a pair that never
 * was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakemem.h"

#define ROLE(level) (0x20700u | (level))
#define MANY 1ull
#define NR 8u

/* Pages: two tables of level 2, and the child that one of them leads to. */
enum { OLD, NEW, CHILD, OTHERS };
#define IDX 5u
#define OLD_GFN 0x1111ull
#define NEW_GFN 0x2222ull

struct got {
	struct ms_rec_sp sp[NR];
	struct ms_sp_tables tables[NR];
	bool has[NR];
	u32 confirmed, nr;
};

static struct got got;

static struct ms_err *collect(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables)
{
	const struct ms_rec_sp *sp = rec;
	u64 n;

	if (type != MS_REC_SP)
		return NULL;
	n = (sp->sp - fm_sp(0)) / FM_SP_BYTES;
	assert_true(n < NR);
	got.sp[n] = *sp;
	got.nr++;
	got.confirmed += sp->state == MS_SP_CONFIRMED;
	got.has[n] = tables != NULL;
	if (tables)
		got.tables[n] = *tables;
	return NULL;
}

static void walk(struct fakemem *fm)
{
	const struct ms_rec_host host = { 0 };
	const struct ms_rec_vm vm = { .have = MS_VM_HAVE_LEGACY | MS_VM_HAVE_USED, .kvm = fm_kvm(0) };
	const struct ms_want want = { .what = MS_WANT_SPS | MS_WANT_SPTES };
	const struct ms_sink sink = { collect, NULL };

	memset(&got, 0, sizeof(got));
	assert_null(ms_kvm_read_sps(&fm->kmem, &host, &vm, &want, &sink));
}

/* --- links --- */

struct change {
	u64 step, steps;
	bool many; /* the child has more than one parent */
	u64 seen; /* walks in which something was not confirmed */
};

static void make_child(struct fakemem *fm, u32 parent, u64 gfn, bool many)
{
	fm_legacy_add(fm, 0, CHILD, gfn, ROLE(1), 0x800);
	fm_link(fm, parent, IDX, CHILD);
	if (many)
		fm_parents(fm, CHILD, FM_PAGE_OFFSET | MANY);
}

/* The child is freed, and its header and table are at once those of the other table's child. */
static void reuse(struct fakemem *fm, void *ctx)
{
	const struct change *change = ctx;

	if (fm->nr_ops != change->step)
		return;
	fm_set(fm, fm_table(OLD) + 8 * IDX, 0);
	fm_legacy_free(fm, CHILD);
	make_child(fm, NEW, NEW_GFN, change->many);
}

static bool leads_to_child(u32 parent)
{
	u64 spte = got.tables[parent].sptes[IDX];

	return got.sp[parent].state == MS_SP_CONFIRMED && got.has[parent] && spte & 0x800 &&
	       (spte & 0xffffffffff000ull) == fm_table(CHILD) - FM_PAGE_OFFSET;
}

static void judge_link(u32 parent, u64 gfn)
{
	if (leads_to_child(parent) && got.sp[CHILD].state == MS_SP_CONFIRMED)
		assert_int_equal(got.sp[CHILD].gfn, gfn);
}

static void reused_at_each_step(bool many)
{
	struct change change = { .step = 1, .steps = 1, .many = many };
	struct fakemem fm;
	u32 buffer, n;

	for (buffer = 1; buffer <= 16; buffer *= 4) {
		for (change.step = 1, change.steps = 1; change.step <= change.steps; change.step++) {
			fm_init(&fm);
			fm.kmem.buffer_pages = buffer;
			fm_legacy_add(&fm, 0, OLD, 0x10, ROLE(2), 0);
			fm_legacy_add(&fm, 0, NEW, 0x11, ROLE(2), 0);
			for (n = OTHERS; n < NR; n++)
				fm_legacy_add(&fm, 0, n, 0x20 + n, ROLE(1), 0);
			make_child(&fm, OLD, OLD_GFN, many);
			fm.hook = reuse;
			fm.hook_ctx = &change;
			walk(&fm);
			change.steps = fm.nr_ops > change.steps ? fm.nr_ops : change.steps;
			assert_int_equal(got.nr, NR);
			judge_link(OLD, OLD_GFN);
			judge_link(NEW, NEW_GFN);
			change.seen += got.confirmed < NR;
			fm_deinit(&fm);
		}
		assert_true(change.steps > 30);
	}
}

static void test_child_reused(void **state)
{
	reused_at_each_step(false);
}

static void test_shared_child_reused(void **state)
{
	reused_at_each_step(true);
}

/* At rest every link holds, those of pages with several parents too; a link that nobody owns up to does not. */
static void test_links_at_rest(void **state)
{
	struct fakemem fm;

	fm_init(&fm);
	fm_legacy_add(&fm, 0, OLD, 0x10, ROLE(2), 0);
	fm_legacy_add(&fm, 0, NEW, 0x11, ROLE(2), 0);
	make_child(&fm, OLD, OLD_GFN, false);
	walk(&fm);
	assert_int_equal(got.confirmed, 3);
	fm_link(&fm, NEW, IDX, CHILD);
	fm_parents(&fm, CHILD, FM_PAGE_OFFSET | MANY);
	walk(&fm);
	assert_int_equal(got.confirmed, 3);
	fm_parents(&fm, CHILD, fm_table(NEW) + 8 * IDX);
	walk(&fm);
	assert_int_equal(got.sp[OLD].state, MS_SP_TORN);
	assert_int_equal(got.sp[NEW].state, MS_SP_CONFIRMED);
	assert_int_equal(got.sp[CHILD].state, MS_SP_CONFIRMED);
	fm_parents(&fm, CHILD, 0);
	walk(&fm);
	assert_int_equal(got.sp[OLD].state, MS_SP_TORN);
	assert_int_equal(got.sp[NEW].state, MS_SP_TORN);
	fm_deinit(&fm);
}

/* --- translations --- */

/*
 * KVM fills entry 0 of page OLD under mmu_lock, and the translation `late' steps after the entry. With `before'
 * another entry was there, which it drops first.
 */
struct fill {
	u64 step, late;
	bool before;
};

#define SPTE_A 0xaaaa807ull
#define SPTE_B 0xbbbb807ull
#define TRANS_A (0xa000ull << 12 | 7)
#define TRANS_B (0xb000ull << 12 | 7)

static void fill(struct fakemem *fm, void *ctx)
{
	const struct fill *f = ctx;

	if (fm->nr_ops == f->step) {
		fm_lock(fm, 0, true);
		fm_set(fm, fm_table(OLD), SPTE_B);
	}
	if (fm->nr_ops == f->step + f->late) {
		fm_set(fm, fm_trans(OLD), TRANS_B);
		fm_lock(fm, 0, false);
	}
}

static void filled_at_each_step(bool before)
{
	struct fakemem fm;
	u64 steps = 1, torn = 0, old = 0, now = 0;
	struct fill f = { .before = before };
	u32 n;

	for (f.late = 0; f.late < 400; f.late = f.late * 2 + 1) {
		for (f.step = 1, steps = 1; f.step <= steps; f.step++) {
			fm_init(&fm);
			fm.kmem.buffer_pages = 3;
			for (n = 0; n < NR; n++)
				fm_legacy_add(&fm, 0, n, 0x20 + n, ROLE(1), 0);
			fm_set(&fm, fm_table(OLD), before ? SPTE_A : 0);
			fm_set(&fm, fm_trans(OLD), TRANS_A);
			fm.hook = fill;
			fm.hook_ctx = &f;
			walk(&fm);
			steps = fm.nr_ops > steps ? fm.nr_ops : steps;
			assert_int_equal(got.nr, NR);
			if (got.sp[OLD].state != MS_SP_CONFIRMED) {
				torn++;
			} else if (got.tables[OLD].sptes[0] == SPTE_B) {
				now++;
				assert_int_equal(got.tables[OLD].translations[0], TRANS_B);
			} else if (got.tables[OLD].sptes[0]) {
				old++;
				assert_int_equal(got.tables[OLD].translations[0], TRANS_A);
			}
			fm_deinit(&fm);
		}
		assert_true(steps > 30);
	}
	assert_true(now > 30 && (!before || old > 30));
	assert_true(torn > 0);
}

static void test_entry_before_translation(void **state)
{
	filled_at_each_step(false);
}

static void test_entry_replaced(void **state)
{
	filled_at_each_step(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_reused),   cmocka_unit_test(test_shared_child_reused),
		cmocka_unit_test(test_links_at_rest),  cmocka_unit_test(test_entry_before_translation),
		cmocka_unit_test(test_entry_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
