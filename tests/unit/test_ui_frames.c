// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is on screen after a sequence of keys, on the machine of ui_machine.h: text and looks against
 * tests/golden/NAME.txt. MS_UPDATE_GOLDEN=1 writes the files anew; what changed is then to be read in the
 * diff.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/guard.h"
#include "ui/core.h"
#include "ui_machine.h"

struct frame {
	const char *name;
	const char *keys; /* as typed; \r Enter, \t Tab, \033 Esc */
	u32 width, height;
	unsigned int nr_vms;
	bool utf8;
	bool pins;
	bool events; /* it is listened, and these happen */
	bool marks; /* ... those */
};

#define E(n, name, v, g, c, ...)                                                                            \
	{                                                                                                   \
		.seq = n, .time_ns = n * 1234567ull, .kvm = UI_KVM_A, .tid = 4243, .stack = MS_EV_NO_STACK, \
		.id = MS_EV_##name, .vcpu = v, .guest = MS_EV_##g, .cause = MS_CAUSE_##c, .u.name = {       \
			__VA_ARGS__                                                                         \
		}                                                                                           \
	}

static const struct ms_event events[] = {
	E(1, nested_enter, 0, L1, NESTED, .pgd = 0x80005e),
	E(2, fault, 0, L2, NONE, .addr = 0x40605000, .error = 0x2, .mmu = MS_MMU_GUEST),
	E(3, sp_create, 0, L2, FAULT, .sp = UI_SP(UI_SP_SHADOW_L1), .gfn = 0x803, .role = 0x20701),
	E(4, spte_set, 0, L2, FAULT, .sp = UI_SP(UI_SP_SHADOW_L1), .gfn = 0x1000,
	  .new_spte = 0x600000060000b77, .index = 5, .level = 1, .role = 0x20701),
	E(5, rmap_add, 0, L2, FAULT, .sp = UI_SP(UI_SP_SHADOW_L1), .gfn = 0x1000, .role = 0x20701,
	  .index = 5),
	E(6, fault_done, 0, L2, NONE, .addr = 0x40605000, .gfn = 0x1000, .ret = MS_RET_FIXED),
	E(7, flush, MS_EV_NO_VCPU, GUEST_UNKNOWN, LOG_CLEAR, .deferred = 0),
	E(8, pml_drain, 1, L1, NONE, .entries = 511, .full = 1),
};

static const struct ms_event marks[] = {
	E(1, log_enable, MS_EV_NO_VCPU, GUEST_UNKNOWN, LOG_ENABLE, .slot = 0),
	E(2, pml_drain, 1, L1, PML, .entries = 3),
	E(3, pml, 1, L1, PML, .gfn = 5, .nth = 0),
	E(3, dirty, 1, L1, PML, .gfn = 5),
	E(3, pml, 1, L1, PML, .gfn = 0x4000, .nth = 1),
	E(3, dirty, 1, L1, PML, .gfn = 0x4000),
	E(3, pml, 1, L1, PML, .gfn = 4, .nth = 2),
	E(9, fault, 0, L2, NONE, .addr = 0x40605000, .error = 0x2, .mmu = MS_MMU_GUEST),
	E(9, dirty, 0, L2, FAULT, .gfn = 0x1000),
	E(9, fault_done, 0, L2, NONE, .gfn = 0x1000, .ret = MS_RET_FIXED),
	E(12, pml12, 0, L2, NESTED, .addr = 0x40605000, .index = 511),
	E(12, dirty, 0, L1, HOST_WRITE, .gfn = 0x7000),
	E(14, log_read, MS_EV_NO_VCPU, GUEST_UNKNOWN, LOG_READ, .slot = 0),
	E(25, fault, 0, L1, NONE, .addr = 0x5000, .error = 0x2),
	E(25, dirty, 0, L1, FAST_FAULT, .gfn = 5),
	E(25, fault_done, 0, L1, NONE, .gfn = 5, .ret = MS_RET_FIXED),
	E(30, pml_drain, 1, L1, PML, .entries = 512, .full = 1),
	E(30, pml, 1, L1, PML, .gfn = 0x1001, .nth = 0),
	E(30, dirty, 1, L1, PML, .gfn = 0x1001),
	E(30, pml, 1, L1, PML, .gfn = 0x1003, .nth = 2),
};

static const struct frame frames[] = {
	{ "vms-80x24", "", 80, 24, 2, true },
	{ "vms-120x40-ascii", "jj", 120, 40, 2, false },
	{ "vms-40x10", "j", 40, 10, 2, true },
	{ "vms-none", "", 80, 24, 0, true },
	{ "vms-rates-80x24", "Rrrrrrrrrrrr", 80, 24, 2, true, .events = true },
	{ "vms-rates-44x12-ascii", "R", 44, 12, 2, false, .events = true },
	{ "tree-80x24", "jjj", 80, 24, 1, true },
	{ "tree-80x24-ascii", "/mmu\r", 80, 24, 1, false },
	{ "tree-120x40", "/unsync\r", 120, 40, 1, true },
	{ "tree-40x10", "jjjj", 40, 10, 1, true },
	{ "tree-unreached", "G\rj", 80, 24, 1, true },
	{ "sp-tdp-80x24", "/13 L1\r/0 L1\r\rjjjjjjjjjjjjj", 80, 24, 1, true },
	{ "sp-tdp-80x24-ascii", "/0 L1\r\rf", 80, 24, 1, false },
	{ "sp-shadow-120x40", "/3 L1\r\rj", 120, 40, 1, true },
	{ "sp-mmio-80x24", "/3 L1\r\rf/mmio\r", 80, 24, 1, true },
	{ "sp-unknown-80x24", "/3 L1\r\r/unknown\r", 80, 24, 1, true },
	{ "sp-map-40x10", "/0 L1\r\r\tjl", 40, 10, 1, true },
	{ "sp-torn-entry-44x12", "/4 L1\r\r\t\t", 44, 12, 1, false },
	{ "tree-pinned-80x24", "/pinned\r", 80, 24, 1, true, true },
	{ "sp-pinned-80x24", "/pinned\r/pinned\r\rjj", 80, 24, 1, true, true },
	{ "sp-pinned-huge-120x40", "/0 L2\r\rj", 120, 40, 1, true, true },
	{ "sp-pinned-l2-44x12", "/3 L1\r\r", 44, 12, 1, false, true },
	{ "events-80x24", "e", 80, 24, 1, true, .events = true },
	{ "events-120x40", "ekkkk", 120, 40, 1, true, .events = true },
	{ "events-filtered-80x24", "ef-e spte_set,flush\rp", 80, 24, 1, true, .events = true },
	{ "events-44x12-ascii", "ek", 44, 12, 1, false, .events = true },
	{ "events-prompt-80x24", "ef-e fault", 80, 24, 1, true, .events = true },
	{ "dirty-80x24", "d", 80, 24, 1, true, .marks = true },
	{ "dirty-120x40", "d\tj", 120, 40, 1, true, .marks = true },
	{ "dirty-frames-80x24", "d\t\tjp", 80, 24, 1, true, .marks = true },
	{ "dirty-44x12-ascii", "d\t", 44, 12, 1, false, .marks = true },
	{ "dirty-none-80x24", "d\t", 80, 24, 1, true },
	{ "help-80x24", "?", 80, 24, 1, true },
	{ "too-small-39x10", "", 39, 10, 1, true },
	{ "prompt-80x24", "/a search that is typed", 80, 24, 1, true },
};

static void frame_make(const struct frame *frame, struct ms_buf *buf)
{
	struct ms_ui_opts opts = { .charset = frame->utf8 ? MS_UI_CHARSET_UTF8 : MS_UI_CHARSET_ASCII };
	struct ms_grid grid = { 0 };
	struct ui_machine machine;
	const char *key;
	struct ms_ui *ui;

	ui_machine_init(&machine, frame->nr_vms);
	machine.pins = frame->pins;
	machine.events = frame->marks ? marks : events;
	machine.nr_events = frame->marks    ? sizeof(marks) / sizeof(*marks)
			    : frame->events ? sizeof(events) / sizeof(*events)
					    : 0;
	assert_null(ms_ui_create(&machine.target, &opts, NULL, NULL, &ui));
	assert_null(ms_grid_resize(&grid, frame->width, frame->height));
	ms_ui_draw(ui, &grid);
	for (key = frame->keys; *key; key++) {
		ms_ui_key(ui, (u32)*key);
		ms_ui_listen_sync(ui);
		ms_ui_listen_poll(ui);
		ms_ui_draw(ui, &grid);
	}
	ms_grid_text(&grid, buf);
	ms_buf_puts(buf, "----\n");
	ms_grid_looks(&grid, buf);
	ms_grid_deinit(&grid);
	ms_ui_destroy(ui);
}

static void golden_path(const char *name, char *path, size_t size)
{
	const char *srcdir = getenv("SRCDIR");

	snprintf(path, size, "%s/tests/golden/%s.txt", srcdir ? srcdir : ".", name);
}

static void golden_is(const char *name, const struct ms_buf *got)
{
	static char want[1 << 17];
	char path[512];
	MS_FCLOSE FILE *file = NULL;
	size_t len;

	golden_path(name, path, sizeof(path));
	if (getenv("MS_UPDATE_GOLDEN")) {
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fwrite(got->data, 1, got->len, file), got->len);
		return;
	}
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s is not there", path);
	len = fread(want, 1, sizeof(want) - 1, file);
	want[len] = '\0';
	if (strcmp(want, ms_buf_str(got)))
		print_message("# frame %s is now:\n%s", name, ms_buf_str(got));
	assert_string_equal(ms_buf_str(got), want);
}

static void test_frame(void **state)
{
	const struct frame *frame = *state;
	struct ms_buf buf = { 0 };

	frame_make(frame, &buf);
	golden_is(frame->name, &buf);
	ms_buf_deinit(&buf);
}

/* ms_ui_frame() is the same picture, and as narrow as the environment says. */
static void test_frame_function(void **state)
{
	struct ms_ui_opts opts = { .charset = MS_UI_CHARSET_UTF8 };
	struct frame frame = { "", "", 120, 40, 1, true };
	struct ui_machine machine;
	struct ms_buf want = { 0 };
	MS_FREE char *text = NULL;
	struct ms_err *err;
	size_t size;
	FILE *out;

	ui_machine_init(&machine, 1);
	setenv("COLUMNS", "120", 1);
	setenv("LINES", "40", 1);
	out = open_memstream(&text, &size);
	assert_null(ms_ui_frame(&machine.target, &opts, out));
	fclose(out);
	unsetenv("COLUMNS");
	unsetenv("LINES");
	frame_make(&frame, &want);
	assert_memory_equal(text, want.data, size);
	assert_memory_equal(want.data + size, "----\n", 5);
	ms_buf_deinit(&want);

	out = fopen("/dev/full", "w");
	assert_non_null(out);
	err = ms_ui_frame(&machine.target, &opts, out);
	assert_non_null(err);
	assert_int_equal(ms_err_exit_status(err), 3);
	ms_err_free(err);
	fclose(out);
}

int main(void)
{
	const size_t nr = sizeof(frames) / sizeof(*frames);
	struct CMUnitTest tests[sizeof(frames) / sizeof(*frames) + 1];
	size_t i;

	setenv("TZ", "UTC", 1);
	memset(tests, 0, sizeof(tests));
	for (i = 0; i < nr; i++) {
		tests[i].name = frames[i].name;
		tests[i].test_func = test_frame;
		tests[i].initial_state = (void *)&frames[i];
	}
	tests[nr] = (struct CMUnitTest)cmocka_unit_test(test_frame_function);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
