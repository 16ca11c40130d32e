/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/audit over the simulated VM: silent while it works as it should, at many moments, and with a known bug
 * switched on the invariant that the bug breaks, where its traces are in the tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit/audit.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MOMENTS 6

static void must(struct ms_err *err)
{
	if (err)
		fail_msg("%s", ms_err_text(err));
}

/* How often a row is found; the sum of judged objects in *judged_ret. */
static u64 rows_at(struct ms_target *target, u64 *judged)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_model *model = NULL;
	struct ms_audit audit;
	u64 rows = 0;
	u32 row;

	must(ms_model_load(target, &want, &model));
	assert_int_equal(model->nr_vms, 1);
	assert_true(ms_audit_is_still(model));
	must(ms_audit_target(target, &want, model, &model->vms[0], 0, &audit));
	for (row = 1; row <= MS_AUDIT_ROWS; row++) {
		if (audit.found[row])
			rows |= 1ull << row;
		judged[row] += audit.judged[row];
	}
	if (audit.nr)
		printf("# %u %s: sp 0x%llx index %d raw 0x%llx: %s\n", audit.findings[0].row,
		       ms_invariants[audit.findings[0].row].name, (unsigned long long)audit.findings[0].sp,
		       (int)audit.findings[0].idx, (unsigned long long)audit.findings[0].raw,
		       audit.findings[0].text);
	ms_audit_deinit(&audit);
	ms_model_destroy(model);
	return rows;
}

static u64 rows_of(const char *spec, u32 moments, u64 *judged)
{
	struct ms_target *target = NULL;
	u64 rows = 0;
	u32 i;

	must(ms_target_open(spec, NULL, &target));
	for (i = 0; i < moments; i++)
		rows |= rows_at(target, judged);
	ms_target_close(target);
	return rows;
}

/* Every judged row is asked of something in one of them but for those of a passthrough root: these are scenarios'. */
static void test_silent(void **state)
{
	static const char *const specs[] = { "sim",
					     "sim:kernel=6.1",
					     "sim:hv=svm",
					     "sim:hv=svm,kernel=6.1",
					     "sim:seed=7,steps=5000",
					     "sim:hv=svm,seed=8,steps=3000" };
	static const u32 rows[] = { 1,	2,  3,	4,  5,	6,  7,	8,  9,	10, 11, 12, 13,
				    14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27,
				    28, 29, 30, 31, 32, 33, 34, 37, 38, 39, 40, 41, 44 };
	u64 judged[MS_AUDIT_ROWS + 1] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < LEN(specs); i++)
		if (rows_of(specs[i], MOMENTS, judged))
			fail_msg("%s: a finding", specs[i]);
	for (i = 0; i < LEN(rows); i++)
		if (!judged[rows[i]])
			fail_msg("nothing is asked of row %u", rows[i]);
}

/* --- bugs --- */

/* A scenario as a file, which is all that the target takes. */
static u64 rows_of_scenario(const char *text, const char *more)
{
	u64 judged[MS_AUDIT_ROWS + 1] = { 0 }, rows;
	char path[] = "/tmp/test_audit.XXXXXX.scn", spec[80];
	int fd = mkstemps(path, 4);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	snprintf(spec, sizeof(spec), "sim:%s%s", path, more);
	rows = rows_of(spec, 1, judged);
	remove(path);
	return rows;
}

/* A 4-level NPT12 below a host with 5 levels, L2 having read. */
static const char la57[] = "scenario A nested root below five levels\n"
			   "rule C2\n"
			   "machine svm la57\n"
			   "let SECRET = 0x1000000\n"
			   "slot 0 gfn=0 pages=0x1000\n"
			   "slot 1 gfn=0x1000 pages=64\n"
			   "table l1pt4 pt64 pool=0x100+8\n"
			   "map l1pt4 0 -> 0 rwx ad level=2 pages=8\n"
			   "table npt12 pt64 pool=0x140+8\n"
			   "map npt12 0x1000 -> SECRET rwxu ad\n"
			   "l1 paging=64 root=l1pt4 nx wp\n"
			   "enter npt12\n"
			   "read 0x1000\n"
			   "expect done\n";

static void test_bugs(void **state)
{
	static const struct {
		const char *bug;
		u64 rows; /* 0: no trace of it is left */
	} bugs[] = {
		{ "pml-l2", 1 << 7 | 1 << 8 | 1ull << 37 },
		{ "writable-invariant", 1 << 2 },
		{ "no-flush", 0 },
		{ "stale-qual", 1ull << 44 },
	};
	u64 judged[MS_AUDIT_ROWS + 1] = { 0 }, rows;
	char spec[80];
	size_t i;
	u32 row;

	(void)state;
	for (i = 0; i < LEN(bugs); i++) {
		snprintf(spec, sizeof(spec), "sim:bug=%s", bugs[i].bug);
		rows = rows_of(spec, MOMENTS, judged);
		printf("# ! bug=%-18s", bugs[i].bug);
		for (row = 1; row <= MS_AUDIT_ROWS; row++)
			if (rows & 1ull << row)
				printf(" %s", ms_invariants[row].name);
		printf("%s\n", bugs[i].rows ? "" : " is of a TLB: no trace of it is left");
		assert_true(rows == bugs[i].rows);
	}
	assert_int_equal(rows_of_scenario(la57, ""), 0);
	assert_int_equal(rows_of_scenario(la57, ",bug=la57-root"), 1ull << 27);
	printf("# ! bug=%-18s %s\n", "la57-root", ms_invariants[27].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_bugs),
	};

	return cmocka_run_group_tests_name("audit_sim", tests, NULL, NULL);
}
