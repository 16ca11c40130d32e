/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The made-up host keeps its word: numbers of fake.h, and entries that src/spte, which had no part in them,
 * reads the same way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spte/profile.h"
#include "spte/spte.h"
#include "tests/unit/fake.h"

static void load(const struct fake_opts *opts, u32 what, struct fake_log *log)
{
	const struct ms_want want = { .what = what };
	struct ms_sink sink = fake_log_sink(log);
	struct ms_target *target = NULL;

	assert_null(fake_open(opts, &target));
	assert_null(ms_target_read(target, &want, &sink));
	ms_target_close(target);
}

static size_t sp_index(const struct fake_log *log, u64 sp)
{
	size_t i;

	for (i = 0; i < log->nr; i++)
		if (log->recs[i].type == MS_REC_SP &&
		    ((const struct ms_rec_sp *)(log->bytes + log->recs[i].at))->sp == sp)
			return i;
	return SIZE_MAX;
}

static const u64 *sptes(const struct fake_log *log, u32 page)
{
	size_t i = sp_index(log, FAKE_SP(0, page));

	assert_true(i != SIZE_MAX);
	assert_non_null(fake_log_tables(log, i));
	return fake_log_tables(log, i)->sptes;
}

static void test_known_values(void **state)
{
	struct fake_log log = { 0 };

	/* SEMANTICS B5: the MMIO vector; an RWX leaf is 0x06..b77 with the pfn in it, and bit 63 on 6.12. */
	load(&(struct fake_opts){ .ept = true, .v61 = true }, MS_WANT_ALL, &log);
	assert_int_equal(sptes(&log, FAKE_TDP_L1_MMIO)[FAKE_APIC_GFN & 511], 0x12300000fee0022e);
	assert_int_equal(sptes(&log, FAKE_TDP_L1)[3], 0x0600000000000b77 | FAKE_PFN(0, 3) << 12);
	assert_int_equal(sptes(&log, FAKE_N_L1)[3], 0x0620000000000b77 | FAKE_PFN(0, FAKE_L2_GFN(3)) << 12);
	assert_int_equal(sptes(&log, FAKE_TDP_L1)[400], 0);
	fake_log_deinit(&log);
	load(&(struct fake_opts){ .ept = true }, MS_WANT_ALL, &log);
	assert_int_equal(sptes(&log, FAKE_TDP_L1)[3], 0x8600000000000b77 | FAKE_PFN(0, 3) << 12);
	assert_int_equal(sptes(&log, FAKE_TDP_L1)[FAKE_FROZEN_IDX], 0x80000000000005a0);
	assert_int_equal(sptes(&log, FAKE_TDP_L1)[400], 1ull << 63);
	fake_log_deinit(&log);
}

static void test_counts(void **state)
{
	static const struct fake_opts variants[] = {
		{ .ept = true },	 { .ept = true, .v61 = true }, { .v61 = true },
		{ .passthrough = true }, { .extra_pages = 700 },
	};
	size_t v;

	for (v = 0; v < sizeof(variants) / sizeof(variants[0]); v++) {
		struct fake_log log = { 0 };
		const struct ms_rec_walk *walk;

		load(&variants[v], MS_WANT_ALL, &log);
		assert_int_equal(fake_log_count(&log, MS_REC_VM), FAKE_NR_VMS);
		walk = fake_log_get(&log, MS_REC_WALK, 0);
		assert_int_equal(walk->nr_pages, FAKE_NR_LEGACY(&variants[v]));
		assert_int_equal(walk->nr_torn, 1);
		assert_int_equal(walk->nr_unlinked, 1);
		walk = fake_log_get(&log, MS_REC_WALK, 1);
		assert_int_equal(walk->nr_pages, FAKE_NR_TDP(&variants[v]));
		assert_int_equal(fake_log_count(&log, MS_REC_WALK), 4);
		assert_int_equal(fake_log_count(&log, MS_REC_VCPU), FAKE_NR_VCPUS + 1);
		assert_int_equal(fake_log_count(&log, MS_REC_MMU), 3 * (FAKE_NR_VCPUS + 1));
		fake_log_deinit(&log);
	}
}

/*
 * Every entry of every page is one that the host's profile explains, and the leaves are as many as the VM
 * says.
 */
static void check_entries(const struct fake_opts *opts, const char *profile_name)
{
	const struct spte_profile *p = spte_profile_by_name(profile_name);
	u64 leaves_4k[FAKE_NR_VMS] = { 0 }, leaves_2m[FAKE_NR_VMS] = { 0 }, mmio = 0, frozen = 0;
	struct fake_log log = { 0 };
	size_t r;
	u32 i, v;

	assert_non_null(p);
	load(opts, MS_WANT_ALL, &log);
	for (r = 0; r < log.nr; r++) {
		const struct ms_rec_sp *sp = (const void *)(log.bytes + log.recs[r].at);

		if (log.recs[r].type != MS_REC_SP)
			continue;
		v = sp->kvm == FAKE_KVM(1);
		for (i = 0; i < MS_SPTES; i++) {
			u64 spte = fake_log_tables(&log, r)->sptes[i];
			struct spte_info info;

			assert_int_equal(spte_decode(p, spte, sp->role & 0xf, &info), 0);
			if (sp->state == MS_SP_CONFIRMED && spte_is_leaf(p, spte, sp->role & 0xf))
				*(sp->role & 0xe ? &leaves_2m[v] : &leaves_4k[v]) += 1;
			if (spte_is_mmio(p, spte)) {
				assert_int_equal(spte_mmio_gfn(p, spte), FAKE_APIC_GFN);
				assert_int_equal(spte_mmio_gen(p, spte), FAKE_MMIO_GEN);
				mmio++;
			}
			frozen += spte_is_frozen(p, spte);
		}
	}
	for (v = 0; v < FAKE_NR_VMS; v++) {
		const struct ms_rec_vm *vm = fake_log_get(&log, MS_REC_VM, v);

		assert_int_equal(vm->pages_4k, leaves_4k[v]);
		assert_int_equal(vm->pages_2m, leaves_2m[v]);
	}
	assert_int_equal(mmio, 2);
	assert_int_equal(frozen, 1);
	fake_log_deinit(&log);
}

static void test_entries(void **state)
{
	check_entries(&(struct fake_opts){ .ept = true, .v61 = true }, "ept-6.1");
	check_entries(&(struct fake_opts){ .ept = true, .extra_pages = 3 }, "ept-6.12");
	check_entries(&(struct fake_opts){ .v61 = true }, "npt-6.1");
	check_entries(&(struct fake_opts){ .passthrough = true }, "npt-6.12");
}

/* Each page that has a parent is what the parent's entry leads to. */
static void test_links(void **state)
{
	static const struct fake_opts variants[] = { { .ept = true, .extra_pages = 600 },
						     { .passthrough = true } };
	size_t k, r, q;

	for (k = 0; k < 2; k++) {
		struct fake_log log = { 0 };
		size_t linked = 0;

		load(&variants[k], MS_WANT_ALL, &log);
		for (r = 0; r < log.nr; r++) {
			const struct ms_rec_sp *sp = (const void *)(log.bytes + log.recs[r].at), *up;
			u64 parent;

			if (log.recs[r].type != MS_REC_SP || !sp->parents)
				continue;
			parent = (sp->parents - FAKE_DIRECT_MAP) >> 12;
			for (q = 0; q < log.nr; q++) {
				up = (const void *)(log.bytes + log.recs[q].at);
				if (log.recs[q].type == MS_REC_SP && up->spt_pfn == parent)
					break;
			}
			assert_true(q < log.nr);
			assert_int_equal((up->role & 0xf), (sp->role & 0xf) + 1);
			assert_int_equal(fake_log_tables(&log, q)->sptes[sp->parents >> 3 & 511] >> 12 &
						 0xffffffff,
					 sp->spt_pfn);
			linked++;
		}
		/* All but the roots, the torn and the unlinked page. */
		assert_int_equal(linked, fake_log_count(&log, MS_REC_SP) - 6);
		fake_log_deinit(&log);
	}
}

static bool give_up(void *ctx, u64 nr_pages)
{
	*(u64 *)ctx = nr_pages;
	return false;
}

static void test_give_up(void **state)
{
	u64 asked = 0;
	const struct ms_want want = { .what = MS_WANT_ALL, .progress = give_up, .progress_ctx = &asked };
	struct fake_log log = { 0 };
	struct ms_sink sink = fake_log_sink(&log);
	struct ms_target *target = NULL;
	const struct ms_rec_walk *walk;

	assert_null(fake_open(&(struct fake_opts){ .extra_pages = 1000 }, &target));
	assert_null(ms_target_read(target, &want, &sink));
	assert_int_equal(asked, fake_log_count(&log, MS_REC_SP));
	assert_int_equal(log.recs[log.nr - 1].type, MS_REC_WALK);
	walk = (const void *)(log.bytes + log.recs[log.nr - 1].at);
	assert_true(walk->flags & MS_WALK_BROKEN);
	ms_target_close(target);
	fake_log_deinit(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values), cmocka_unit_test(test_counts),
		cmocka_unit_test(test_entries),	     cmocka_unit_test(test_links),
		cmocka_unit_test(test_give_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
