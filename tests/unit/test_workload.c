/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The built-in workload on the real engine: it goes on for ever, does everything that it is there for, is the
 * same for the same seed, and leaves the engine consistent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scenario/workload.h"

#define STEPS 6000

struct hv_case {
	enum ms_hv hv;
	enum nmmu_kernel kernel;
	u64 seed;
};

static void must(struct ms_err *err)
{
	if (err)
		fail_msg("%s", ms_err_text(err));
}

static void count_event(void *ctx, const struct ms_event *event)
{
	u64 *counts = ctx;

	assert_in_range(event->id, 1, MS_EV_NR - 1);
	counts[event->id]++;
}

static void check_consistent(struct ms_workload *w)
{
	const struct nmmu_sp *sp = NULL;
	const char *text = "";
	u32 row = nmmu_self_check(ms_machine_nmmu(ms_workload_machine(w)), &text, &sp);

	if (row)
		fail_msg("row %u after %llu steps: %s", row, (unsigned long long)ms_workload_stats(w)->steps,
			 text);
}

/* Sum over everything that may differ. */
static bool add_sp(void *ctx, const struct nmmu_sp *sp)
{
	u64 *sum = ctx;
	u32 i;

	*sum = *sum * 31 + sp->gfn * 7 + sp->role.word;
	for (i = 0; i < 512; i++)
		*sum = *sum * 31 + sp->spt[i];
	return true;
}

static u64 digest(struct ms_workload *w)
{
	u64 sum = 0;

	nmmu_for_each_sp(ms_machine_nmmu(ms_workload_machine(w)), add_sp, &sum);
	return sum;
}

#define AT_LEAST(stats, member, least)                                                         \
	do {                                                                                   \
		print_message("# %-16s %llu\n", #member, (unsigned long long)(stats)->member); \
		if ((stats)->member < (least))                                                 \
			fail_msg("%s: %llu, at least %d expected", #member,                    \
				 (unsigned long long)(stats)->member, (least));                \
	} while (0)

static void test_does_everything(void **state)
{
	const struct hv_case *c = *state;
	u64 counts[MS_EV_NR] = { 0 };
	struct ms_workload_opts opts = {
		.seed = c->seed, .hv = c->hv, .kernel = c->kernel, .event = count_event, .event_ctx = counts
	};
	const struct ms_workload_stats *s;
	struct ms_workload *w;
	u32 i;

	must(ms_workload_create(&opts, &w));
	for (i = 0; i < STEPS / 100; i++) {
		must(ms_workload_run(w, 100));
		check_consistent(w);
	}
	s = ms_workload_stats(w);
	assert_int_equal(s->steps, STEPS);
	AT_LEAST(s, l2_reads, 2000);
	AT_LEAST(s, l2_writes, 1000);
	AT_LEAST(s, l2_fetches, 200);
	AT_LEAST(s, l2_page_faults, 100);
	AT_LEAST(s, exits_l1, 200);
	AT_LEAST(s, l1_maps, 200);
	AT_LEAST(s, l1_unmaps, 20);
	AT_LEAST(s, l1_splits, 1);
	AT_LEAST(s, l1_mmio, 50);
	AT_LEAST(s, l0_mmio, 50);
	AT_LEAST(s, l1_rounds, 8);
	AT_LEAST(s, l1_migrations, 2);
	AT_LEAST(s, l0_rounds, 8);
	AT_LEAST(s, l0_migrations, 1);
	AT_LEAST(s, l0_dirty, 100);
	AT_LEAST(s, balloon_pages, 100);
	AT_LEAST(s, host_moves, 20);
	AT_LEAST(s, host_writes, 50);
	AT_LEAST(s, aged, 5);
	AT_LEAST(s, rebuilds, 3);
	if (c->hv == MS_HV_VMX)
		AT_LEAST(s, l1_pml_entries, 100);
	else
		AT_LEAST(s, l1_log_faults, 20);
	/* Every log was complete: the VM's, which names what L2 wrote too, and those that L1 keeps. */
	assert_int_equal(s->l0_lost, 0);
	assert_int_equal(s->l1_lost, 0);
	for (i = 1; i < MS_EV_NR; i++)
		print_message("# event %u: %llu\n", i, (unsigned long long)counts[i]);
	ms_workload_destroy(w);
}

/* The first of the seeds' bugs by its harm: L2's pages are missing in what was sent, and only then. */
static void test_bug_loses_pages(void **state)
{
	struct ms_workload_opts opts = { .seed = 11, .hv = MS_HV_VMX, .kernel = NMMU_6_12, .check = true };
	struct ms_workload *good, *bad;

	(void)state;
	must(ms_workload_create(&opts, &good));
	must(ms_workload_run(good, 12000));
	opts.bugs = 1u << NMMU_BUG_PML_L2;
	must(ms_workload_create(&opts, &bad));
	must(ms_workload_run(bad, 12000));
	assert_true(ms_workload_stats(good)->l0_migrations >= 2);
	assert_int_equal(ms_workload_stats(good)->l0_lost, 0);
	assert_int_equal(ms_workload_stats(good)->l1_lost, 0);
	assert_true(ms_workload_stats(bad)->l0_lost > 20);
	ms_workload_destroy(good);
	ms_workload_destroy(bad);
}

static void test_same_seed_same_state(void **state)
{
	const struct hv_case *c = *state;
	struct ms_workload_opts opts = { .seed = c->seed, .hv = c->hv, .kernel = c->kernel };
	struct ms_workload *a, *b, *other;

	must(ms_workload_create(&opts, &a));
	must(ms_workload_create(&opts, &b));
	opts.seed++;
	must(ms_workload_create(&opts, &other));
	must(ms_workload_run(a, 900));
	/* In other portions. */
	must(ms_workload_run(b, 1));
	must(ms_workload_run(b, 899));
	must(ms_workload_run(other, 900));
	assert_true(digest(a) == digest(b));
	assert_true(digest(a) != digest(other));
	ms_workload_destroy(a);
	ms_workload_destroy(b);
	ms_workload_destroy(other);
}

int main(void)
{
	static struct hv_case cases[] = {
		{ MS_HV_VMX, NMMU_6_12, 1 },
		{ MS_HV_VMX, NMMU_6_1, 2 },
		{ MS_HV_SVM, NMMU_6_12, 3 },
		{ MS_HV_SVM, NMMU_6_1, 4 },
	};
	const struct CMUnitTest tests[] = {
		{ "vmx 6.12: everything", test_does_everything, NULL, NULL, &cases[0] },
		{ "vmx 6.1: everything", test_does_everything, NULL, NULL, &cases[1] },
		{ "svm 6.12: everything", test_does_everything, NULL, NULL, &cases[2] },
		{ "svm 6.1: everything", test_does_everything, NULL, NULL, &cases[3] },
		{ "vmx: a bug loses pages", test_bug_loses_pages, NULL, NULL, NULL },
		{ "vmx: same seed, same state", test_same_seed_same_state, NULL, NULL, &cases[0] },
		{ "svm: same seed, same state", test_same_seed_same_state, NULL, NULL, &cases[2] },
	};

	return cmocka_run_group_tests_name("workload", tests, NULL, NULL);
}
