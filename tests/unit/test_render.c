/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/render: alignment, colour, width, JSON's quoting, writing that fails, and speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "small.h"
#include "render/render.h"

struct made {
	struct small fake;
	struct ms_session session;
	struct ms_args args;
	struct ms_result *result;
};

static void make(struct made *made, const char *line)
{
	struct ms_err *err;

	memset(made, 0, sizeof(*made));
	small_machine(&made->fake);
	made->session.target = small_open(&made->fake);
	err = ms_args_parse_line(line, NULL, &made->args);
	assert_null(err);
	err = ms_query_run(&made->session, &made->args, &made->result);
	assert_null(err);
}

static void unmake(struct made *made)
{
	ms_result_destroy(made->result);
	ms_args_deinit(&made->args);
	ms_session_deinit(&made->session);
	small_end(&made->fake);
}

/* The output of a line; the caller frees. */
static char *render(const char *line, const struct ms_render_opts *opts)
{
	struct made made;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int error;

	make(&made, line);
	out = open_memstream(&text, &len);
	assert_null(ms_render(made.result, opts, out, &error));
	fclose(out);
	unmake(&made);
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

static void hasnt(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("'%s' is in:\n%s", part, text);
}

static void test_table(void **state)
{
	struct ms_render_opts opts = { 0 };
	char *text = render("slots --vm 4242", &opts);

	has(text, "# target: fake:/secret/path; time: 2023-11-14T22:13:20Z; kernel: 6.1.0-fake");
	has(text,
	    "\nMemory slots (2)\n"
	    "AS  ID  FIRST GFN  END GFN  PAGES  FLAGS     RAW FLAGS  DIRTY LOG             HVA  GENERATION  BITMAP AT\n"
	    " 0   0        0x0    0x800   2048  -               0x0  no         0x7f55aa000000           -          -\n"
	    " 0   1     0x1000   0x1010     16  readonly        0x2  no         0x7f55ba000000           -          -\n");
	free(text);
}

static void test_no_header(void **state)
{
	struct ms_render_opts opts = { .no_header = true };
	char *text = render("sps --list --vm 4242", &opts);

	hasnt(text, "LEAF");
	hasnt(text, "#");
	/* How far it can be trusted is always said. */
	has(text, "note: torn: 1 pages");
	has(text, " torn ");
	free(text);
}

static void test_tree(void **state)
{
	struct ms_render_opts opts = { 0 };
	char *text = render("sps --vm 4242", &opts);

	has(text, "\n0xffff8881bbbb1000 ");
	has(text, "\n  0xffff8881bbbb2000 ");
	has(text, "\n      0xffff8881bbbb4000 ");
	hasnt(text, "DEPTH");
	free(text);
}

static void test_foreign_text(void **state)
{
	struct ms_render_opts opts = { 0 };
	char *text = render("vms", &opts);

	hasnt(text, "\033");
	hasnt(text, "\007");
	hasnt(text, "\xff");
	has(text, "\\x1b]0;pwn\\x07\\xff\"q");
	free(text);
	opts.json = true;
	text = render("vms", &opts);
	hasnt(text, "\033");
	hasnt(text, "\xff");
	has(text, "\"name\":\"\\\\x1b]0;pwn\\\\x07\\\\xff\\\"q\"");
	free(text);
}

static void test_color(void **state)
{
	struct ms_render_opts opts = { .color = true };
	char *text = render("sp 0xffff8881bbbb4000 --vm 4242", &opts);

	has(text, "\033[1;31m");
	has(text, "unknown");
	has(text, "\033[0m");
	free(text);
	opts.color = false;
	text = render("sp 0xffff8881bbbb4000 --vm 4242", &opts);
	hasnt(text, "\033");
	free(text);
}

/* The first line of a table that begins with a heading. */
static void heading_has(const char *text, const char *first, const char *const *titles)
{
	const char *at = strstr(text, first), *end;
	char line[128];
	size_t i;

	assert_non_null(at);
	end = strchr(at, '\n');
	assert_true(end && (size_t)(end - at) < sizeof(line) - 2);
	snprintf(line, sizeof(line), " %.*s ", (int)(end - at), at);
	for (i = 0; titles[i]; i++)
		has(line, titles[i]);
}

/* What is left out is called by the headings, and is not there. */
static void test_width_columns(void **state)
{
	static const char *const sps[] = { " SP ", " LV ", " GFN ", " TBL ",  " LEAF ", " RW ",
					   " DL ", " WP ", " RO ",  " MMIO ", NULL };
	static const char *const leaves[] = { " KIND ",	  " ADDRESS ", " LV ",	" CLASS ", " STATE ",
					      " L1 GFN ", " PFN ",     " ACC ", " WHY ",   NULL };
	struct ms_render_opts opts = { .width = 80 };
	char *text = render("sps --vm 4242", &opts), *line, *save;

	heading_has(text, "SP  ", sps);
	has(text, "ROOT OF");
	has(text, "ROLE TEXT");
	hasnt(text, "root_of");
	hasnt(text, "depth");
	free(text);
	text = render("leaves --vm 4242", &opts);
	heading_has(text, "KIND  ", leaves);
	has(text, "RAW");
	/* Each entry is one line. */
	assert_non_null(strstr(text, "\nnGPA  0x610000"));
	assert_non_null(strstr(text, "\nGPA     0x1000"));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		assert_true(strlen(line) <= 80);
	free(text);
}

static void test_width(void **state)
{
	struct ms_render_opts opts = { .width = 80 };
	char *text = render("sps --vm 4242", &opts), *line, *save;
	bool left_out = false;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strlen(line) > 80)
			fail_msg("%zu columns: %s", strlen(line), line);
		left_out |= strstr(line, "left out") != NULL;
	}
	assert_true(left_out);
	free(text);
}

static void test_json(void **state)
{
	struct ms_render_opts opts = { .json = true };
	char *text = render("sp 0xffff8881bbbb4000 --state rw,mmio --vm 4242", &opts);

	has(text,
	    "{\"schema\":\"mmuscope/1\",\"command\":\"sp\",\"target\":\"fake:/secret/path\",\"provenance\":{");
	has(text, "\"pages\":9,\"confirmed\":8,\"torn\":1,");
	has(text, "\"index\":0,\"class\":\"leaf\",\"state\":\"RW\",\"gfn\":\"0x0\"");
	has(text, "\"class\":\"mmio\",\"state\":null,\"gfn\":\"0x4\"");
	has(text, "\"rules\":[],");
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
	opts.pretty = true;
	text = render("role 0x3784", &opts);
	has(text, "\n  \"role\": {\n    \"word\": \"0x3784\",\n");
	free(text);
}

static void test_write_errors(void **state)
{
	struct ms_render_opts opts = { 0 };
	FILE *full = fopen("/dev/full", "w");
	struct ms_err *err;
	struct made made;
	int error = 0;

	assert_non_null(full);
	make(&made, "sps --vm 4242");
	err = ms_render(made.result, &opts, full, &error);
	assert_non_null(err);
	assert_int_equal(error, ENOSPC);
	assert_int_equal(ms_err_exit_status(err), 3);
	ms_err_free(err);
	opts.json = true;
	error = 0;
	err = ms_render(made.result, &opts, full, &error);
	assert_int_equal(error, ENOSPC);
	ms_err_free(err);
	unmake(&made);
	fclose(full);
}

#define MANY 10000u

/*
 * Ten thousand full pages: time grows with them, not with their square. The bound is wide, for sanitizers
 * and busy machines.
 */
static void test_many(void **state)
{
	struct ms_render_opts opts = { .no_header = true };
	struct ms_sp_tables tables;
	struct timespec start, end;
	struct ms_rec_sp sp;
	struct made made;
	FILE *null = fopen("/dev/null", "w");
	unsigned int n, i;
	int error;

	memset(&made, 0, sizeof(made));
	small_machine(&made.fake);
	memset(&tables, 0, sizeof(tables));
	for (i = 0; i < MS_SPTES; i++)
		tables.sptes[i] = small_leaf(SMALL_PFN(i), 1, 1, 1, i & 1);
	for (n = 0; n < MANY; n++) {
		small_sp(&sp, 100 + n, 0x3781, 0x100000 + 512ull * n);
		small_add(&made.fake, MS_REC_SP, &sp, &tables);
	}
	made.session.target = small_open(&made.fake);
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_null(ms_args_parse_line("sps --vm 4242 --state DL", NULL, &made.args));
	assert_null(ms_query_run(&made.session, &made.args, &made.result));
	assert_int_equal(made.result->sections[0].nr_rows, MANY + 1);
	assert_null(ms_render(made.result, &opts, null, &error));
	clock_gettime(CLOCK_MONOTONIC, &end);
	print_message("# %u pages loaded, filtered and written in %.3f s\n", MANY,
		      (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
	assert_true(end.tv_sec - start.tv_sec < 20);
	fclose(null);
	unmake(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table), cmocka_unit_test(test_no_header),
		cmocka_unit_test(test_tree),  cmocka_unit_test(test_foreign_text),
		cmocka_unit_test(test_color), cmocka_unit_test(test_width),
		cmocka_unit_test(test_json),  cmocka_unit_test(test_write_errors),
		cmocka_unit_test(test_many),  cmocka_unit_test(test_width_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
