/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/base: cleaning of foreign text, errors, the map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"

static void clean_is(const char *in, size_t len, const char *want)
{
	struct ms_buf buf = { 0 };

	ms_buf_put_clean(&buf, in, len);
	assert_string_equal(ms_buf_str(&buf), want);
	ms_buf_deinit(&buf);
}

static void test_clean_controls(void **state)
{
	clean_is("plain", 5, "plain");
	clean_is("\033[2Jx", 5, "\\x1b[2Jx");
	clean_is("a\nb\tc\x7f", 6, "a\\x0ab\\x09c\\x7f");
	clean_is("a\0b", 3, "a\\x00b");
	clean_is("\xc2\x9b"
		 "1m",
		 4, "\\xc2\\x9b1m"); /* C1 CSI in UTF-8 */
	clean_is("\x9b"
		 "1m",
		 3, "\\x9b1m"); /* and raw */
}

static void test_clean_utf8(void **state)
{
	clean_is("\xc3\xa9", 2, "\xc3\xa9");
	clean_is("\xe2\x80\xae", 3, "\\xe2\\x80\\xae"); /* right-to-left override */
	clean_is("\xc0\xaf", 2, "\\xc0\\xaf"); /* overlong */
	clean_is("\xed\xa0\x80", 3, "\\xed\\xa0\\x80"); /* surrogate */
	clean_is("\xf5\x80\x80\x80", 4, "\\xf5\\x80\\x80\\x80");
	clean_is("\xe2\x82", 2, "\\xe2\\x82"); /* cut off */
}

static void test_clean_every_byte(void **state)
{
	struct ms_buf buf = { 0 };
	unsigned int c;
	size_t i;

	for (c = 0; c < 256; c++) {
		char byte = (char)c;

		ms_buf_reset(&buf);
		ms_buf_put_clean(&buf, &byte, 1);
		for (i = 0; i < buf.len; i++)
			assert_true(buf.data[i] >= 0x20 && buf.data[i] < 0x7f);
	}
	ms_buf_deinit(&buf);
}

static void test_err(void **state)
{
	struct ms_err *err = ms_err_new(MS_ERR_TARGET, "open %s", "a\033b");

	assert_string_equal(ms_err_text(err), "open a\\x1bb");
	assert_null(ms_err_hint_text(err));
	assert_int_equal(ms_err_exit_status(err), 3);
	err = ms_err_wrap(err, "vm %d", 7);
	err = ms_err_hint(err, "try %s", "again");
	assert_string_equal(ms_err_text(err), "vm 7: open a\\x1bb");
	assert_string_equal(ms_err_hint_text(err), "try again");
	ms_err_free(err);
	err = ms_err_errno(MS_ERR_USAGE, 2, "x");
	assert_string_equal(ms_err_text(err), "x: No such file or directory");
	assert_int_equal(ms_err_exit_status(err), 2);
	ms_err_free(err);
	ms_err_free(ms_err_hint(ms_err_wrap(ms_err_nomem(), "a"), "b"));
}

static void test_map(void **state)
{
	struct ms_map map = { 0 };
	uint64_t i;

	assert_int_equal(ms_map_get(&map, 5), MS_MAP_NONE);
	for (i = 1; i <= 20000; i++)
		assert_true(ms_map_put(&map, i << 12, (uint32_t)i));
	for (i = 1; i <= 20000; i++) {
		assert_int_equal(ms_map_get(&map, i << 12), i);
		assert_int_equal(ms_map_get(&map, (i << 12) + 1), MS_MAP_NONE);
	}
	assert_true(ms_map_put(&map, 1 << 12, 9));
	assert_int_equal(ms_map_get(&map, 1 << 12), 9);
	assert_int_equal(map.nr, 20000);
	assert_int_equal(ms_map_get(&map, 0), MS_MAP_NONE);
	ms_map_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_controls),
		cmocka_unit_test(test_clean_utf8),
		cmocka_unit_test(test_clean_every_byte),
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
