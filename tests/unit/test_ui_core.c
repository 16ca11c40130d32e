// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the interface does: selection by identity, reading again, failing without going away, searches,
 * commands, and noise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ui_rig.h"

static struct ms_err *command(void *ctx, struct ms_target *target, const struct ms_ui_command *cmd,
			      struct ms_buf *out)
{
	const char *line = cmd->line;
	struct rig *rig = ctx;
	u32 *runs = &rig->runs, i;

	/* Lines that say which run they are of, each time one more; the third run fails. */
	if (!strncmp(line, "events", 6) || !strcmp(line, "count")) {
		if (++*runs == 3)
			return ms_err_new(MS_ERR_TARGET, "nothing today");
		for (i = 0; i < 40 + *runs; i++)
			ms_buf_printf(out, "%s %u line %u\n", cmd->again ? "again" : "first", *runs, i);
		return NULL;
	}
	if (!strcmp(line, "save")) {
		ms_buf_puts(out, cmd->again ? "" : "saved\n");
		return NULL;
	}
	if (strcmp(line, "vms"))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "%s: no such command", line), "try vms");
	ms_buf_printf(out, "one 0x%llx, %u\ntwo \033[2J\nthree\n", (unsigned long long)cmd->kvm, cmd->width);
	return NULL;
}

static struct rig *rig_start(unsigned int nr_vms, unsigned int nr_extra)
{
	return rig_create(nr_vms, nr_extra, command, false);
}

static void test_selection_by_identity(void **state)
{
	struct rig *rig = rig_start(1, 20);
	char sp[32];

	type(rig, "/torn\r");
	snprintf(sp, sizeof(sp), "sp 0x%llx", (unsigned long long)UI_SP(UI_SP_TORN));
	sees(rig, sp);
	rig->machine.newest_first = true; /* each page now has another number */
	rig->machine.nr_extra = 5;
	type(rig, "r");
	sees(rig, sp);
	sees(rig, "15 pages");
	type(rig, "\r");
	sees(rig, "torn  gfn 0x804");
	rig->machine.nr_extra = 30;
	type(rig, "r");
	sees(rig, "torn  gfn 0x804");
	rig_end(rig);

	/* VM B goes, and A moves up a row: A stays the selected one. */
	rig = rig_start(2, 0);
	type(rig, "j");
	sees(rig, "kvm 0xffff888010000000");
	rig->machine.nr_vms = 1;
	type(rig, "r");
	sees(rig, "kvm 0xffff888010000000");
	sees(rig, "1 VM ");
	rig_end(rig);
}

static void test_vm_dies(void **state)
{
	struct rig *rig = rig_start(1, 0);

	type(rig, "/0 L1\r\r");
	sees(rig, "WWWWWWWWWWDDDRF");
	rig->machine.nr_vms = 0;
	type(rig, "r");
	sees(rig, "STALE");
	sees(rig, "VM at 0xffff888010000000 is gone");
	sees(rig, "WWWWWWWWWWDDDRF");
	type(rig, "j");
	sees(rig, "STALE"); /* the message goes, the mark stays */
	misses(rig, "is gone");
	rig->machine.nr_vms = 1;
	type(rig, "r");
	misses(rig, "STALE");
	type(rig, "qq");
	rig->machine.nr_vms = 0;
	type(rig, "r");
	sees(rig, "No VM is there.");
	assert_false(rig->ui->quit);
	type(rig, "q");
	assert_true(rig->ui->quit);
	rig_end(rig);
}

static void test_read_fails(void **state)
{
	struct rig *rig = rig_start(1, 0);
	struct ui_machine off;
	struct ms_ui *ui;
	struct ms_err *err;

	rig->machine.fail = true;
	type(rig, "r");
	sees(rig, "the machine: it is off; switch it on");
	sees(rig, "STALE");
	sees(rig, "vcpu 0");
	type(rig, "qr"); /* the list of VMs */
	sees(rig, "it is off");
	type(rig, "\r"); /* and opening one */
	sees(rig, "it is off");
	sees(rig, "4242");
	/* What a reading by itself had to say goes when one succeeds. */
	ms_ui_refresh(rig->ui);
	rig->machine.fail = false;
	look(rig);
	sees(rig, "it is off");
	ms_ui_refresh(rig->ui);
	look(rig);
	misses(rig, "it is off");
	rig_end(rig);

	/* At the start there is nothing to keep: the error comes back. */
	ui_machine_init(&off, 1);
	off.fail = true;
	err = ms_ui_create(&off.target, &(struct ms_ui_opts){ 0 }, NULL, NULL, &ui);
	assert_non_null(err);
	assert_int_equal(ms_err_exit_status(err), 3);
	ms_err_free(err);
}

static void test_open_by_words(void **state)
{
	struct ui_machine machine;
	struct ms_ui_opts opts = { .vm = "4242" };
	struct ms_ui *ui;
	struct ms_err *err;

	ui_machine_init(&machine, 2);
	assert_null(ms_ui_create(&machine.target, &opts, NULL, NULL, &ui));
	assert_int_equal(ui->kvm, UI_KVM_A);
	ms_ui_destroy(ui);
	opts.vm = "nobody";
	err = ms_ui_create(&machine.target, &opts, NULL, NULL, &ui);
	assert_non_null(err);
	assert_int_equal(ms_err_exit_status(err), 2);
	ms_err_free(err);
}

static void test_search(void **state)
{
	struct rig *rig = rig_start(1, 300);

	/* In a branch that is closed, and round the end. */
	type(rig, "/gfn 0x25c00\r");
	sees(rig, "nothing found: gfn 0x25c00");
	type(rig, "/gfn 0x25a00\r");
	sees(rig, "0x25a00");
	sees(rig, "301 L1");
	type(rig, "/vcpu 1\r");
	sees(rig, "vcpu 0xffff888013001000");
	type(rig, "/MMU\r");
	type(rig, "n");
	type(rig, "N");
	misses(rig, "nothing found");
	type(rig, "/\033");
	assert_int_equal(rig->ui->prompt, MS_PROMPT_NONE);
	type(rig, "/ab\x7f\x7f\x7f"); /* taking away what is not there ends the prompt */
	assert_int_equal(rig->ui->prompt, MS_PROMPT_NONE);
	rig_end(rig);
}

static void test_prompt_utf8(void **state)
{
	struct rig *rig = rig_start(1, 0);
	int i;

	type(rig, "/");
	ms_ui_key(rig->ui, 0xe9);
	ms_ui_key(rig->ui, 0x6f22);
	ms_ui_key(rig->ui, 0x1f600);
	assert_string_equal(rig->ui->line, "é漢😀");
	ms_ui_key(rig->ui, 0x202e); /* turns text round: not taken */
	ms_ui_key(rig->ui, 0x9b);
	assert_string_equal(rig->ui->line, "é漢😀");
	ms_ui_key(rig->ui, MS_KEY_BACKSPACE);
	assert_string_equal(rig->ui->line, "é漢");
	ms_ui_key(rig->ui, MS_KEY_BACKSPACE);
	assert_string_equal(rig->ui->line, "é");
	for (i = 0; i < 1000; i++)
		ms_ui_key(rig->ui, 0x6f22);
	assert_true(strlen(rig->ui->line) < sizeof(rig->ui->line));
	look(rig);
	rig_end(rig);
}

static void test_command(void **state)
{
	struct rig *rig = rig_start(1, 0);

	type(rig, ":vms\r");
	sees(rig, "two \\x1b[2J");
	sees(rig, "one 0xffff888010000000, 78");
	type(rig, "/three\r");
	sees(rig, "lines 1-3 of 3");
	type(rig, "q:nope\r");
	sees(rig, "nope: no such command; try vms");
	sees(rig, "vcpu 0");
	type(rig, ":\r"); /* nothing asked, nothing shown */
	sees(rig, "vcpu 0");
	rig->opts.command = NULL;
	type(rig, ":");
	assert_int_equal(rig->ui->prompt, MS_PROMPT_NONE);
	rig_end(rig);
}

static size_t complete(const char *line, const char **ret, size_t max, size_t *word_start_ret)
{
	static const char *const words[] = { "vcpus", "vms", "events" };
	const char *blank = strrchr(line, ' '), *word = blank ? blank + 1 : line;
	size_t nr = 0, i;

	*word_start_ret = (size_t)(word - line);
	for (i = 0; i < 3 && nr < max; i++)
		if (!strncmp(words[i], word, strlen(word)))
			ret[nr++] = words[i];
	return nr;
}

static void key(struct rig *rig, u32 key)
{
	ms_ui_key(rig->ui, key);
	look(rig);
}

/* The command line remembers, completes and ends. */
static void test_command_line(void **state)
{
	struct rig *rig = rig_start(1, 0);

	rig->opts.complete = complete;
	type(rig, ":v\t");
	sees(rig, "vcpus vms");
	assert_string_equal(rig->ui->line, "v");
	type(rig, "m\t");
	assert_string_equal(rig->ui->line, "vms ");
	misses(rig, "vcpus vms");
	key(rig, MS_KEY_BACKSPACE);
	type(rig, "\rq:nope\rq:");
	key(rig, MS_KEY_UP);
	assert_string_equal(rig->ui->line, "nope");
	key(rig, MS_KEY_UP);
	key(rig, MS_KEY_UP);
	assert_string_equal(rig->ui->line, "vms");
	key(rig, MS_KEY_DOWN);
	key(rig, MS_KEY_DOWN);
	assert_string_equal(rig->ui->line, "");
	type(rig, "x\t");
	assert_string_equal(rig->ui->line, "x");
	key(rig, MS_KEY_ESC);
	/* A search has neither. */
	type(rig, "/v\t");
	key(rig, MS_KEY_UP);
	assert_string_equal(rig->ui->line, "v");
	key(rig, MS_KEY_ESC);
	assert_false(rig->ui->quit);
	type(rig, ":quit\r");
	assert_true(rig->ui->quit);
	rig_end(rig);
}

static void test_history_is_bounded(void **state)
{
	struct rig *rig = rig_start(1, 0);
	char line[32];
	int i;

	for (i = 0; i < 50; i++) {
		snprintf(line, sizeof(line), ":nope%d\r:nope%d\r", i, i);
		type(rig, line);
	}
	assert_int_equal(rig->ui->nr_history, MS_UI_HISTORY);
	type(rig, ":");
	for (i = 0; i < 60; i++)
		key(rig, MS_KEY_UP);
	assert_string_equal(rig->ui->line, "nope18");
	rig_end(rig);
}

static void test_command_again(void **state)
{
	struct rig *rig = rig_start(1, 0);

	type(rig, ":count\r");
	sees(rig, "first 1 line 0");
	type(rig, "jj");
	misses(rig, "line 1\n");
	type(rig, "r");
	sees(rig, "again 2 line 2");
	misses(rig, "first");
	misses(rig, "line 1\n");
	/* What is there stays when it cannot be had anew. */
	type(rig, "r");
	sees(rig, "nothing today");
	sees(rig, "again 2 line 2");
	type(rig, "q?");
	type(rig, "r");
	sees(rig, "one up");
	type(rig, "q");
	/* The end of a log stays in sight. */
	rig->runs = 10;
	ms_view_command_open(rig->ui, "events --last 200", true);
	look(rig);
	sees(rig, "first 11 line 50");
	misses(rig, "line 0\n");
	type(rig, "r");
	sees(rig, "again 12 line 51");
	type(rig, "gr");
	sees(rig, "again 13 line 0");
	misses(rig, "line 52");
	type(rig, "q:save\r");
	sees(rig, "saved");
	type(rig, "r");
	sees(rig, "saved");
	rig_end(rig);
}

static void test_descend_and_filter(void **state)
{
	struct rig *rig = rig_start(1, 0);

	type(rig, "/current L4 rwx\r\r");
	sees(rig, "512 of 512");
	type(rig, "\r\r");
	sees(rig, "L2 [0.1]");
	sees(rig, "entry 3");
	type(rig, "\r");
	sees(rig, "L1 [0.1.3]");
	sees(rig, "0x40605000"); /* 1 << 30 | 3 << 21 | 5 << 12 */
	type(rig, "f");
	sees(rig, "entries not empty, 4 of 512");
	type(rig, "f");
	sees(rig, "leaves, 2 of 512");
	type(rig, "j");
	sees(rig, "entry 6");
	sees(rig, "WP leaf 4K");
	/* An entry that the filter hides is not selected any more. */
	type(rig, "fgf");
	misses(rig, "entry 0");
	type(rig, "ff/WP\r");
	sees(rig, "entry 6");
	type(rig, "\tj"); /* the map moves the same cursor: one row down */
	sees(rig, "entry 70");
	type(rig, "<");
	sees(rig, "L2 [0.1]");
	type(rig, "<<");
	sees(rig, "L4 0xffff");
	type(rig, "<");
	sees(rig, "ROOTS AND PAGES");
	rig_end(rig);
}

/* A torn table can name anything. Every page is there once, and nothing goes round for ever. */
static void test_circles(void **state)
{
	struct rig *rig = rig_start(1, 16);
	int i;

	rig->machine.circles = true;
	type(rig, "r");
	type(rig, "/guest_mmu\r");
	type(rig, "**"); /* close, and open all below */
	type(rig, "G*");
	type(rig, "j");
	sees(rig, "sp 0xffff888011000900");
	type(rig, "/2 L2 rwx\r\r");
	for (i = 0; i < 40; i++) /* entry 20 + n leads to page n, and so up again */
		type(rig, "/table\rn\r");
	for (i = 0; i < 40; i++)
		type(rig, "<");
	type(rig, "/no such\r");
	sees(rig, "nothing found");
	rig_end(rig);
}

static void test_interval(void **state)
{
	struct rig *rig = rig_start(1, 0);
	const u32 cycle[] = { 1, 2, 5, 0 };
	size_t i;

	for (i = 0; i < 4; i++) {
		type(rig, "i");
		assert_int_equal(rig->ui->interval_s, cycle[i]);
	}
	type(rig, "+");
	assert_int_equal(rig->ui->interval_s, 5);
	type(rig, "++");
	assert_int_equal(rig->ui->interval_s, 1);
	type(rig, "+");
	assert_int_equal(rig->ui->interval_s, 1);
	type(rig, "---");
	assert_int_equal(rig->ui->interval_s, 0);
	rig->machine.target.caps = 0;
	type(rig, "i");
	assert_int_equal(rig->ui->interval_s, 0);
	sees(rig, "does not change by itself");
	rig_end(rig);
}

static void test_mouse(void **state)
{
	struct rig *rig = rig_start(1, 0);

	ms_ui_mouse(rig->ui, MS_MOUSE_CLICK, 8, 20); /* row 2 is titles: the fifth node */
	look(rig);
	sees(rig, "sp 0xffff888011000300");
	ms_ui_mouse(rig->ui, MS_MOUSE_DOUBLE, 8, 20);
	look(rig);
	sees(rig, "L1 [0.0.0]");
	ms_ui_mouse(rig->ui, MS_MOUSE_CLICK, 3, 5 + 11);
	look(rig);
	sees(rig, "entry 11");
	ms_ui_mouse(rig->ui, MS_MOUSE_WHEEL_DOWN, 20, 10);
	look(rig);
	sees(rig, "entry 203"); /* the map has the focus now: three rows of 64 */
	ms_ui_mouse(rig->ui, MS_MOUSE_CLICK, 0, 0);
	ms_ui_mouse(rig->ui, MS_MOUSE_CLICK, 5000, 5000);
	rig_end(rig);
}

static void test_resize(void **state)
{
	struct rig *rig = rig_start(1, 0);

	type(rig, "/0 L1\r\r");
	assert_null(ms_grid_resize(&rig->grid, 10, 3));
	look(rig);
	assert_string_equal(rig->text, "10x3: nee…\n\n\n");
	assert_null(ms_grid_resize(&rig->grid, 0, 0));
	look(rig);
	assert_null(ms_grid_resize(&rig->grid, 120, 40));
	look(rig);
	sees(rig, "WWWWWWWWWWDDDRF");
	rig_end(rig);
}

static u64 ms_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)(now.tv_sec - start->tv_sec) * 1000 + (u64)(now.tv_nsec / 1000000) -
	       (u64)(start->tv_nsec / 1000000);
}

/* Keys, mouse, resizes and a machine that changes under it, from a seed that is printed. */
static void test_monkey(void **state)
{
	static const u32 special[] = {
		MS_KEY_UP,    MS_KEY_DOWN,	MS_KEY_LEFT,
		MS_KEY_RIGHT, MS_KEY_PAGE_UP,	MS_KEY_PAGE_DOWN,
		MS_KEY_HOME,  MS_KEY_END,	MS_KEY_DELETE,
		MS_KEY_F(1),  MS_KEY_F(4),	MS_KEY_F(7),
		MS_KEY_F(10), MS_KEY_ENTER,	MS_KEY_ESC,
		MS_KEY_TAB,   MS_KEY_BACKSPACE, MS_KEY_ENTER,
		MS_KEY_ENTER, MS_KEY_RIGHT,	0,
		0x6f22,	      0x10ffff,		UINT32_MAX,
	};
	const char *seed_text = getenv("MS_SEED"), *keys_text = getenv("MS_KEYS");
	unsigned int seed = seed_text ? (unsigned int)strtoul(seed_text, NULL, 0) : (unsigned int)time(NULL);
	unsigned long nr = keys_text ? strtoul(keys_text, NULL, 0) : 100000, i;
	struct rig *rig = rig_start(2, 3);
	struct timespec start;

	print_message("# seed %u\n", seed);
	clock_gettime(CLOCK_MONOTONIC, &start);
	srandom(seed);
	for (i = 0; i < nr; i++) {
		unsigned long r = (unsigned long)random();

		switch (r % 64) {
		case 0:
			assert_null(ms_grid_resize(&rig->grid, (u32)(r >> 8) % 140, (u32)(r >> 16) % 50));
			break;
		case 1:
			rig->machine.nr_vms = (unsigned int)(r >> 8) % 3;
			rig->machine.nr_extra = (unsigned int)(r >> 12) % 12;
			rig->machine.newest_first = r >> 20 & 1;
			rig->machine.fail = !(r >> 21 & 7);
			rig->machine.circles = r >> 24 & 1;
			break;
		case 2:
		case 3:
			ms_ui_mouse(rig->ui, (enum ms_ui_mouse)((r >> 8) % 4), (u32)(r >> 10) % 50,
				    (u32)(r >> 16) % 140);
			break;
		default:
			if (r & 64)
				ms_ui_key(rig->ui, special[(r >> 8) % (sizeof(special) / sizeof(*special))]);
			else
				ms_ui_key(rig->ui, (u32)(r >> 8) & 0x7f);
		}
		if (r % 4 == 0)
			ms_ui_draw(rig->ui, &rig->grid);
		rig->ui->quit = false;
		assert_non_null(ms_ui_top(rig->ui));
	}
	print_message("# %lu keys in %llu ms, %u reads\n", nr, (unsigned long long)ms_since(&start),
		      rig->machine.nr_reads);
	rig_end(rig);
}

/* 10,000 pages: nobody may have to wait for a key. */
static void test_many_pages(void **state)
{
	struct rig *rig = rig_start(1, 0);
	struct timespec start;
	unsigned int i;
	u64 ms;

	rig->machine.nr_extra = 10000;
	type(rig, "r");
	clock_gettime(CLOCK_MONOTONIC, &start);
	type(rig, "/0 L2\r");
	type(rig, "**G*"); /* what no root reaches, too: most of them */
	for (i = 0; i < 200; i++)
		type(rig, "jG");
	type(rig, "/no such page\r");
	type(rig, "gG");
	ms = ms_since(&start);
	print_message("# 426 keys over 10,010 pages: %llu ms\n", (unsigned long long)ms);
	assert_true(ms < 20000); /* an order of magnitude above what it takes, sanitizers included */
	rig_end(rig);
}

/* Findings, from one to its entry and back, and what becomes of them when the target is read again. */
static void test_audit(void **state)
{
	struct rig *rig = rig_start(2, 0);
	char text[64];
	unsigned int reads;

	type(rig, "j");
	reads = rig->machine.nr_reads;
	type(rig, "a");
	sees(rig, "Audit");
	sees(rig, "2 findings; ");
	sees(rig, "2 pages not confirmed and not judged");
	/* The VM for the view, for the audit, and five times more: what both findings compare is of several pages. */
	assert_int_equal(rig->machine.nr_reads - reads, 7);
	sees(rig, "high, broken: a leaf gives no right that is not stored with it");
	snprintf(text, sizeof(text), "0x%llx[8]", (unsigned long long)UI_SP(UI_SP_SHADOW_L1));
	sees(rig, text);
	type(rig, "j");
	sees(rig, "high, broken: a page above an unsync one");
	type(rig, "/transl\r\r");
	sees(rig, "entry 8 ");
	sees(rig, "0xdead000000000bad");
	/* Back to the findings, the same one selected though all rows were made anew. */
	type(rig, "qr");
	sees(rig, "broken: a leaf gives no right");
	rig->machine.fail = true;
	type(rig, "r");
	sees(rig, "STALE");
	sees(rig, "2 findings; ");
	rig->machine.fail = false;
	/* Back to where it was opened. */
	type(rig, "rq");
	sees(rig, "2 VMs");
	type(rig, "\ra");
	sees(rig, "2 findings; ");
	type(rig, "q");
	sees(rig, "nested_mmu");
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selection_by_identity),
		cmocka_unit_test(test_vm_dies),
		cmocka_unit_test(test_read_fails),
		cmocka_unit_test(test_open_by_words),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_prompt_utf8),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_history_is_bounded),
		cmocka_unit_test(test_command_again),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_descend_and_filter),
		cmocka_unit_test(test_circles),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_mouse),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_monkey),
		cmocka_unit_test(test_many_pages),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
