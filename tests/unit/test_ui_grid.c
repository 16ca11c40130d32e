// SPDX-License-Identifier: GPL-2.0-or-later
/* ui/grid: clipping, wide and zero-width characters, cleaning, dumps; ui/list: the cursor stays in sight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ui/grid.h"
#include "ui/list.h"

static void grid_make(struct ms_grid *grid, u32 w, u32 h, bool utf8)
{
	memset(grid, 0, sizeof(*grid));
	grid->utf8 = utf8;
	assert_null(ms_grid_resize(grid, w, h));
}

static void text_is(struct ms_grid *grid, const char *want)
{
	struct ms_buf buf = { 0 };

	ms_grid_text(grid, &buf);
	assert_string_equal(ms_buf_str(&buf), want);
	ms_buf_deinit(&buf);
}

static void put_is(bool utf8, u32 x, u32 cols, const char *text, u32 used, const char *want)
{
	struct ms_grid grid;

	grid_make(&grid, 8, 1, utf8);
	assert_int_equal(ms_grid_put(&grid, 0, x, cols, MS_LOOK_NORMAL, text), used);
	text_is(&grid, want);
	ms_grid_deinit(&grid);
}

static void test_clipping(void **state)
{
	put_is(true, 0, 8, "12345678", 8, "12345678\n");
	put_is(true, 0, 8, "123456789", 8, "1234567…\n");
	put_is(false, 0, 8, "123456789", 8, "1234567~\n");
	put_is(true, 6, 8, "abc", 2, "      a…\n");
	put_is(true, 7, 1, "ab", 1, "       …\n");
	put_is(true, 0, 3, "abc", 3, "abc\n");
	put_is(true, 8, 5, "abc", 0, "\n");
	put_is(true, 0, 0, "abc", 0, "\n");
	put_is(true, UINT32_MAX, UINT32_MAX, "abc", 0, "\n");
}

static void test_wide(void **state)
{
	put_is(true, 0, 8, "漢字", 4, "漢字\n");
	put_is(true, 0, 3, "漢字", 3, "漢…\n");
	put_is(true, 0, 4, "a漢字", 4, "a漢…\n");
	put_is(true, 0, 4, "漢字x", 4, "漢 …\n"); /* half a character is a blank */
	put_is(true, 7, 8, "漢", 1, "       …\n");
	put_is(true, 0, 8, "e\xcc\x81x", 2, "ex\n"); /* a combining mark takes no cell */
	put_is(false, 0, 8, "é漢x", 4, "?? x\n");
}

static void test_wide_overwritten(void **state)
{
	struct ms_grid grid;

	grid_make(&grid, 6, 1, true);
	ms_grid_put(&grid, 0, 0, 6, MS_LOOK_NORMAL, "漢字漢");
	ms_grid_put(&grid, 0, 1, 1, MS_LOOK_NORMAL, "x"); /* right half: the left one goes */
	ms_grid_put(&grid, 0, 4, 1, MS_LOOK_NORMAL, "y"); /* left half: the right one goes */
	text_is(&grid, " x字y\n");
	ms_grid_deinit(&grid);
}

static void test_cleaning(void **state)
{
	struct ms_grid grid;
	struct ms_buf buf = { 0 };
	size_t i;

	grid_make(&grid, 40, 1, true);
	ms_grid_put(&grid, 0, 0, 40, MS_LOOK_NORMAL, "\033[31m\x9b\xc2\x9b\xe2\x80\xae\r\n");
	text_is(&grid, "\\x1b[31m\\x9b\\xc2\\x9b\\xe2\\x80\\xae\\x0d\\x0a\n");
	ms_grid_deinit(&grid);

	/* Whatever bytes come, none that a terminal acts on goes out. */
	grid_make(&grid, 200, 60, false);
	for (i = 0; i < 60; i++) {
		char noise[64];
		size_t j;

		for (j = 0; j < sizeof(noise) - 1; j++)
			noise[j] = (char)(1 + (i * 37 + j * 101) % 255);
		noise[j] = '\0';
		ms_grid_put(&grid, (u32)i, 0, 200, MS_LOOK_NORMAL, noise);
	}
	ms_grid_text(&grid, &buf);
	for (i = 0; i < buf.len; i++)
		assert_true((buf.data[i] >= 0x20 && buf.data[i] < 0x7f) || buf.data[i] == '\n');
	ms_buf_deinit(&buf);
	ms_grid_deinit(&grid);
}

static void test_right_and_looks(void **state)
{
	struct ms_grid grid;
	struct ms_buf buf = { 0 };

	grid_make(&grid, 10, 2, true);
	ms_grid_put_right(&grid, 0, 0, 6, MS_LOOK_TABLE, "12");
	ms_grid_put_right(&grid, 1, 0, 3, MS_LOOK_ERROR, "12345");
	ms_grid_flag(&grid, 0, 8, 100, MS_CELL_SELECTED);
	ms_grid_flag(&grid, 9, 0, 100, MS_CELL_SELECTED);
	text_is(&grid, "    12\n12…\n");
	ms_grid_looks(&grid, &buf);
	assert_string_equal(ms_buf_str(&buf), "    TT  SS\nEEE\n");
	ms_buf_deinit(&buf);
	ms_grid_deinit(&grid);
}

static void test_looks_are_told_apart(void **state)
{
	static const char letters[] = {
#define MS_LOOK(id, letter, colour, attrs, mono) letter,
#include "ui/look.def"
#undef MS_LOOK
	};
	size_t i, j;

	for (i = 0; i < sizeof(letters); i++) {
		assert_true(letters[i] != 'S' && letters[i] != 's');
		for (j = 0; j < i; j++)
			assert_true(letters[i] != letters[j]);
	}
}

static void test_sizes(void **state)
{
	struct ms_grid grid = { 0 };

	assert_null(ms_grid_at(&grid, 0, 0));
	ms_grid_put(&grid, 0, 0, 10, MS_LOOK_NORMAL, "x");
	ms_grid_hline(&grid, 0, 0, 10, MS_LOOK_NORMAL);
	ms_grid_fill(&grid, 0, 0, 10, MS_LOOK_NORMAL, 'x');
	assert_null(ms_grid_resize(&grid, 0, 5));
	ms_grid_glyph(&grid, 0, 0, MS_LOOK_NORMAL, MS_GLYPH_OPEN);
	assert_null(ms_grid_resize(&grid, UINT32_MAX, 2));
	assert_int_equal(grid.width, MS_GRID_MAX);
	assert_null(ms_grid_resize(&grid, 3, 1));
	ms_grid_put(&grid, 0, 0, 3, MS_LOOK_NORMAL, "abc");
	assert_null(ms_grid_resize(&grid, 3, 1));
	text_is(&grid, "\n");
	ms_grid_deinit(&grid);
}

static void test_list(void **state)
{
	struct ms_list list = { 0 };
	size_t i;

	ms_list_fit(&list, 100, 10);
	assert_true(ms_list_request(&list, MS_REQ_LAST));
	assert_int_equal(list.cursor, 99);
	assert_int_equal(list.top, 90);
	ms_list_request(&list, MS_REQ_DOWN);
	assert_int_equal(list.cursor, 99);
	ms_list_request(&list, MS_REQ_PAGE_UP);
	assert_int_equal(list.cursor, 90);
	ms_list_fit(&list, 20, 10); /* rows went away */
	assert_int_equal(list.cursor, 19);
	assert_int_equal(list.top, 10);
	ms_list_fit(&list, 20, 30); /* the window grew */
	assert_int_equal(list.top, 0);
	ms_list_fit(&list, 0, 0);
	assert_int_equal(list.cursor, 0);
	for (i = 0; i < 3; i++)
		ms_list_request(&list, MS_REQ_DOWN);
	assert_int_equal(list.cursor, 0);
	assert_false(ms_list_request(&list, MS_REQ_OPEN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clipping),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_wide_overwritten),
		cmocka_unit_test(test_cleaning),
		cmocka_unit_test(test_right_and_looks),
		cmocka_unit_test(test_looks_are_told_apart),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
