// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tables of keys and requests: no key asks for two things in one place, everything has help, labels fit
 * the F-key bar.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ui/keymap.h"

static void test_key_once(void **state)
{
	size_t i, j;

	/* A global key works in every view, so it may not be in a view's context either. */
	for (i = 0; i < ms_keymap_nr; i++)
		for (j = 0; j < i; j++)
			if (ms_keymap[i].key == ms_keymap[j].key)
				assert_true(ms_keymap[i].context != ms_keymap[j].context &&
					    ms_keymap[i].context != MS_CTX_GLOBAL &&
					    ms_keymap[j].context != MS_CTX_GLOBAL);
}

static void test_every_request(void **state)
{
	unsigned int r, c;
	bool reached;

	for (r = MS_REQ_NONE + 1; r < MS_NR_REQUESTS; r++) {
		assert_true(strlen(ms_request_help(r)) > 4);
		assert_true(strlen(ms_request_group(r)) > 0);
		assert_true(strlen(ms_request_label(r)) > 0 && strlen(ms_request_label(r)) <= 6);
		for (reached = false, c = 0; c < MS_NR_CONTEXTS; c++)
			reached |= ms_request_key(c, r) && ms_key_request(c, ms_request_key(c, r)) == r;
		assert_true(reached);
	}
	assert_string_equal(ms_request_help(MS_REQ_NONE), "");
}

static void test_groups_together(void **state)
{
	unsigned int r, q;

	/* The help screen prints a heading where the group changes: a group in two parts would have two. */
	for (r = 2; r < MS_NR_REQUESTS; r++)
		for (q = 1; q + 1 < r; q++)
			if (!strcmp(ms_request_group(q), ms_request_group(r)))
				assert_string_equal(ms_request_group(r - 1), ms_request_group(r));
}

static void test_names(void **state)
{
	char name[MS_KEY_NAME_MAX];

	assert_string_equal(ms_key_name(MS_KEY_F(10), name), "F10");
	assert_string_equal(ms_key_name(MS_KEY_PAGE_UP, name), "PgUp");
	assert_string_equal(ms_key_name(MS_CTRL('l'), name), "^L");
	assert_string_equal(ms_key_name('?', name), "?");
	assert_string_equal(ms_key_name(0xe9, name), "U+00E9");
	assert_string_equal(ms_key_name(UINT32_MAX, name), "U+FFFFFFFF");
}

static void test_conventions(void **state)
{
	assert_int_equal(ms_key_request(MS_CTX_TREE, 'j'), MS_REQ_DOWN);
	assert_int_equal(ms_key_request(MS_CTX_SP, MS_KEY_ESC), MS_REQ_BACK);
	assert_int_equal(ms_key_request(MS_CTX_GLOBAL, '<'), MS_REQ_BACK);
	assert_int_equal(ms_key_request(MS_CTX_GLOBAL, MS_KEY_F(1)), MS_REQ_HELP);
	assert_int_equal(ms_key_request(MS_CTX_GLOBAL, MS_KEY_F(10)), MS_REQ_QUIT);
	assert_int_equal(ms_key_request(MS_CTX_SP, MS_KEY_TAB), MS_REQ_NEXT_PANE);
	assert_int_equal(ms_key_request(MS_CTX_TREE, 'f'), MS_REQ_NONE);
	assert_int_equal(ms_key_request(MS_CTX_GLOBAL, 0), MS_REQ_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_once),	cmocka_unit_test(test_every_request),
		cmocka_unit_test(test_groups_together), cmocka_unit_test(test_names),
		cmocka_unit_test(test_conventions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
