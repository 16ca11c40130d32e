/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/query: words, filters, commands, redaction. What a row holds is asked for by column name. */
#include "ask.h"

static void test_words(void **state)
{
	struct run run;

	setup(&run);
	refuse(&run, "vsm", "vms");
	refuse(&run, "leafs", "leaves");
	refuse(&run, "xyzzy", "help");
	refuse(&run, "vms --nonsense", "--nonsense");
	refuse(&run, "vms -Z", "-Z");
	refuse(&run, "vms -j -j", "twice");
	refuse(&run, "vms --json=1", "takes no value");
	refuse(&run, "sps --vm", "missing");
	refuse(&run, "sps --vm ''", "write --vm VM");
	refuse(&run, "events --by event,event", "event is given twice");
	refuse(&run, "events --by cause,evento", "'evento' is nothing to count by");
	refuse(&run, "events --by cause,", "'' is nothing to count by");
	refuse(&run, "events --by", "write --by KEY");
	refuse(&run, "events --watch", "is for --by");
	refuse(&run, "events --force", "write --trace FILE");
	refuse(&run, "stuck --count 2", "write --watch [SECONDS]");
	refuse(&run, "run --bug pml-l2,pml-l2 x", "help bugs");
	refuse(&run, "sps --tree --list", "contradict");
	refuse(&run, "sps --mmu root --root 0x1", "contradict");
	refuse(&run, "sps --level 0", "level");
	refuse(&run, "sps --level 6", "level");
	refuse(&run, "sps --level 1x", "level");
	refuse(&run, "sps --level -1", "level");
	refuse(&run, "sps --gfn 5-5", "range");
	refuse(&run, "sps --gfn 5-4", "range");
	refuse(&run, "sps --gfn 5+0", "range");
	refuse(&run, "sps --gfn 0x10g", "range");
	refuse(&run, "sps --gfn 0x1ffffffffff", "range");
	refuse(&run, "sps --gfn 18446744073709551615+2", "range");
	refuse(&run, "sps --gfn 0x", "range");
	refuse(&run, "leaves --address 5-5", "bytes");
	refuse(&run, "leaves --address 5-4", "bytes");
	refuse(&run, "leaves --address 5+0", "bytes");
	refuse(&run, "leaves -a 0x", "bytes");
	refuse(&run, "leaves -a x", "bytes");
	refuse(&run, "leaves -a 0x1-", "bytes");
	refuse(&run, "leaves -a 0x10000000000000000", "bytes");
	refuse(&run, "leaves -a 0xffffffffffffffff+2", "bytes");
	refuse(&run, "sps -a 1", "takes no --address");
	refuse(&run, "-T vms", "SPEC is missing");
	refuse(&run, "-T sp 0x1", "SPEC is missing");
	refuse(&run, "-T nowhere 0x1", "no such command");
	refuse(&run, "sps --state rw,,dl", "known: ");
	refuse(&run, "sps --state rx", "known: ");
	refuse(&run, "sps --mmu host", "guest");
	refuse(&run, "sps --color blue", "always");
	refuse(&run, "sps --buffer-pages 0", "pages");
	refuse(&run, "sps --format npt-6.1", "takes no --format");
	refuse(&run, "vms sps", "too many");
	refuse(&run, "sp", "usage: mmuscope sp SP");
	refuse(&run, "sp 0x1 0x2", "too many");
	refuse(&run, "sp 0x1 0x2 0x3", "too many");
	refuse(&run, "spte 0x10000000000000000", "64-bit");
	refuse(&run, "spte 12a", "64-bit");
	refuse(&run, "spte ''", "64-bit");
	refuse(&run, "spte 1 --format npt", "formats");
	refuse(&run, "role 0x100000000", "--layout cpu");
	refuse(&run, "role 1 --layout x", "page or cpu");
	refuse(&run, "vms 'x", "quote");
	refuse(&run, "vms \\", "backslash");
	refuse(&run, "prompt", "shell");
	refuse(&run, "-j", "help");
	teardown(&run);
}

static void test_numbers(void **state)
{
	u64 n = 5;

	assert_true(ms_parse_u64("18446744073709551615", ~0ull, &n));
	assert_true(n == ~0ull);
	assert_true(ms_parse_u64("0xFFFFffffFFFFffff", ~0ull, &n));
	assert_true(n == ~0ull);
	assert_false(ms_parse_u64("18446744073709551616", ~0ull, &n));
	assert_false(ms_parse_u64("+1", ~0ull, &n));
	assert_false(ms_parse_u64(" 1", ~0ull, &n));
	assert_false(ms_parse_u64("1 ", ~0ull, &n));
	assert_false(ms_parse_u64("11", 10, &n));
	assert_true(n == ~0ull);
}

static void test_vm_choice(void **state)
{
	struct run run;

	setup(&run);
	refuse(&run, "sps", "kvm:0xffff888200000000");
	refuse(&run, "sps --redact", "--redact");
	refuse(&run, "sps --vm 4244", "qemu-nested");
	ask(&run, "vms");
	rows(&run, "vms", 2);
	rows(&run, "files", 2);
	is(&run, "vms", 0, "name", "qemu-nested");
	is(&run, "vms", 1, "name", "\\x1b]0;pwn\\x07\\xff\"q");
	is(&run, "vms", 0, "tdp_mmu", "yes");
	is(&run, "vms", 0, "max_pages", "-");
	ask(&run, "vms --vm 4343");
	rows(&run, "vms", 1);
	rows(&run, "files", 0);
	ask(&run, "vcpus --vm qemu-nested");
	is(&run, "vcpus", 0, "mmu", "guest");
	is(&run, "vcpus", 0, "walk_mmu", "nested");
	is(&run, "vcpus", 0, "cr0", "-");
	ask(&run, "slots " VM);
	rows(&run, "slots", 2);
	is(&run, "slots", 1, "flags", "readonly");
	ask(&run, "slots --gfn 0x800-0x1001 " VM);
	rows(&run, "slots", 1);
	ask(&run, "slots --gfn 0x800+0x800 " VM);
	rows(&run, "slots", 0);
	teardown(&run);
}

static void test_mmus(void **state)
{
	struct run run;

	setup(&run);
	ask(&run, "mmus " VM);
	rows(&run, "mmus", 3);
	rows(&run, "roots", 2);
	is(&run, "mmus", 1, "in_use", "mmu");
	is(&run, "mmus", 2, "root_hpa", "-");
	is(&run, "roots", 0, "translates", "GPA");
	is(&run, "roots", 1, "translates", "nGPA");
	ask(&run, "mmus --mmu guest " VM);
	rows(&run, "mmus", 1);
	rows(&run, "roots", 1);
	is(&run, "roots", 0, "sp", "0xffff8881bbbb5000");
	teardown(&run);
}

static void test_sps(void **state)
{
	struct run run;

	setup(&run);
	ask(&run, "sps " VM);
	rows(&run, "sps", 9);
	is(&run, "sps", 0, "root_of", "vcpu0:root");
	is(&run, "sps", 3, "depth", "3");
	is(&run, "sps", 3, "rw", "2");
	is(&run, "sps", 7, "flags", "unsync");
	is(&run, "sps", 8, "link", "orphan");
	is(&run, "sps", 8, "page_state", "torn");
	assert_int_equal(run.result->prov.nr_torn, 1);
	assert_int_equal(run.result->nr_notes, 1);
	assert_non_null(strstr(run.result->notes[0], "torn"));
	ask(&run, "sps --list " VM);
	rows(&run, "sps", 9);
	is(&run, "sps", 8, "link", "listed");
	ask(&run, "sps --level 1 " VM);
	rows(&run, "sps", 3);
	ask(&run, "sps --role guest_mode=1,level=4 " VM);
	rows(&run, "sps", 1);
	refuse(&run, "sps --role guest_mode=2 " VM, "room");
	refuse(&run, "sps --role guest=1 " VM, "guest_mode");
	refuse(&run, "sps --role level=1,level=2 " VM, "twice");
	refuse(&run, "sps --role level " VM, "field=value");
	ask(&run, "sps --state torn " VM);
	rows(&run, "sps", 1);
	ask(&run, "sps --state DL,mmio " VM);
	rows(&run, "sps", 1);
	is(&run, "sps", 0, "sp", "0xffff8881bbbb4000");
	ask(&run, "sps --state confirmed,mmio --list " VM);
	rows(&run, "sps", 1);
	ask(&run, "sps --state torn,mmio --list " VM);
	rows(&run, "sps", 0);
	ask(&run, "sps --mmu guest " VM);
	rows(&run, "sps", 4);
	ask(&run, "sps --root 0xffff8881bbbb3000 " VM);
	rows(&run, "sps", 2);
	refuse(&run, "sps --root 0xffff8881bbbb3008 " VM, "0xffff8881bbbb3008");
	ask(&run, "sps --list --gfn 0x300 " VM);
	rows(&run, "sps", 4); /* three upper direct pages and the guest table */
	ask(&run, "sps --list --gfn 0x2ff " VM);
	rows(&run, "sps", 3);
	teardown(&run);
}

static void test_sp(void **state)
{
	struct run run;

	setup(&run);
	ask(&run, "sp 0xffff8881bbbb4000 " VM);
	rows(&run, "entries", 512);
	is(&run, "page", 0, "level", "1");
	is(&run, "entries", 0, "state", "RW");
	is(&run, "entries", 1, "state", "DL");
	is(&run, "entries", 2, "state", "WP");
	is(&run, "entries", 3, "state", "RO");
	is(&run, "entries", 3, "pfn", "0x123403");
	is(&run, "entries", 4, "class", "mmio");
	is(&run, "entries", 4, "mmio_gen", "7");
	is(&run, "entries", 5, "class", "frozen");
	is(&run, "entries", 6, "class", "unknown");
	is(&run, "entries", 6, "raw", "0x0000000000000008");
	is(&run, "entries", 7, "class", "empty");
	is(&run, "entries", 511, "gfn", "0x1ff");
	ask(&run, "sp 0xffff8881bbbb4000 --state ro,mmio " VM);
	rows(&run, "entries", 2);
	is(&run, "entries", 1, "index", "4");
	ask(&run, "sp 0xffff8881bbbb3000 --gfn 0x5ff " VM);
	rows(&run, "entries", 1);
	is(&run, "entries", 0, "gfn", "0x400");
	ask(&run, "sp 0xffff8881bbbb3000 --gfn 0x600 " VM);
	rows(&run, "entries", 0);
	ask(&run, "sp 0xffff8881bbbb3000 --state table " VM);
	is(&run, "entries", 0, "child_sp", "0xffff8881bbbb4000");
	ask(&run, "sp 0xffff8881bbbb9000 " VM);
	is(&run, "page", 0, "page_state", "torn");
	assert_int_equal(run.result->nr_notes, 2);
	refuse(&run, "sp 0xffff8881bbbb4001 " VM, "0xffff8881bbbb4001");
	refuse(&run, "sp 0 " VM, "address");
	teardown(&run);
}

static void test_leaves(void **state)
{
	struct run run;

	setup(&run);
	ask(&run, "leaves " VM);
	rows(&run, "leaves", 9);
	is(&run, "leaves", 0, "address", "0x0");
	is(&run, "leaves", 4, "class", "mmio");
	is(&run, "leaves", 5, "address", "0x1ff000");
	is(&run, "leaves", 6, "address", "0x400000");
	is(&run, "leaves", 6, "level", "2");
	is(&run, "leaves", 7, "address", "0x610000");
	is(&run, "leaves", 7, "translates", "nGPA");
	is(&run, "leaves", 8, "gfn", "0x20");
	/* Rows can be asked for in any order. */
	is(&run, "leaves", 0, "pfn", "0x123400");
	ask(&run, "leaves --mmu guest " VM);
	rows(&run, "leaves", 2);
	ask(&run, "leaves --state rw --level 1 " VM);
	rows(&run, "leaves", 4);
	ask(&run, "leaves --gfn 0x20 " VM);
	rows(&run, "leaves", 2);
	ask(&run, "leaves --gfn 0x4ff-0x500 " VM);
	rows(&run, "leaves", 1);
	ask(&run, "leaves --role direct=0 " VM);
	rows(&run, "leaves", 2);
	ask(&run, "leaves --root 0xffff8881bbbb8000 " VM);
	rows(&run, "leaves", 2);
	ask(&run, "leaves --state frozen,unknown " VM);
	rows(&run, "leaves", 2);
	ask(&run, "leaves --vm 4343");
	rows(&run, "leaves", 0);
	teardown(&run);
}

static void test_address(void **state)
{
	struct run run;

	setup(&run);
	/* nGPA 0x610000, 4 KiB: first and last byte, and those beside them. */
	ask(&run, "leaves --mmu guest --address 0x610000 " VM);
	rows(&run, "leaves", 1);
	is(&run, "leaves", 0, "index", "16");
	ask(&run, "leaves --mmu guest -a 0x610fff " VM);
	rows(&run, "leaves", 1);
	is(&run, "leaves", 0, "index", "16");
	ask(&run, "leaves --mmu guest -a 0x611000 " VM);
	is(&run, "leaves", 0, "index", "17");
	ask(&run, "leaves --mmu guest -a 0x610fff+1 " VM);
	rows(&run, "leaves", 1);
	ask(&run, "leaves --mmu guest -a 0x610fff+2 " VM);
	rows(&run, "leaves", 2);
	ask(&run, "leaves --mmu guest -a 0x610fff-0x611000 " VM);
	rows(&run, "leaves", 1);
	ask(&run, "leaves --mmu guest -a 0-0xffffffffffffffff " VM);
	rows(&run, "leaves", 2);
	ask(&run, "leaves --mmu guest -a 0x60ffff " VM);
	rows(&run, "leaves", 0);
	note_is(&run, "no leaf maps address 0x60ffff");
	/* GPA 0x400000, 2 MiB. */
	ask(&run, "leaves --mmu root -a 0x512345 " VM);
	rows(&run, "leaves", 1);
	is(&run, "leaves", 0, "level", "2");
	is(&run, "leaves", 0, "address", "0x400000");
	ask(&run, "leaves --mmu root -a 0x5fffff " VM);
	rows(&run, "leaves", 1);
	ask(&run, "leaves --mmu root -a 0x600000+0x10 " VM);
	rows(&run, "leaves", 0);
	note_is(&run, "no leaf maps any of the addresses 0x600000 to 0x60000f");
	ask(&run, "leaves --mmu root -a 0x512345 --state ro " VM);
	rows(&run, "leaves", 0);
	note_is(&run, "no entry that passes the other filters maps address 0x512345");
	/* MMIO entries translate too; without --mmu each root is asked. */
	ask(&run, "leaves -a 0x4fff " VM);
	rows(&run, "leaves", 1);
	is(&run, "leaves", 0, "class", "mmio");
	ask(&run, "leaves -a 0xffffffffffffffff " VM);
	rows(&run, "leaves", 0);
	ask(&run, "leaves --mmu nested " VM);
	note_is(&run, "nested_mmu owns no shadow pages");
	ask(&run, "sps --mmu nested " VM);
	note_is(&run, "nested_mmu owns no shadow pages");
	teardown(&run);
}

static void test_bare_words(void **state)
{
	struct run run;

	setup(&run);
	ask(&run, "spte 0x0600000012345b77 --format ept-6.1");
	is(&run, "spte", 0, "state", "RW");
	is(&run, "spte", 0, "pfn", "0x12345");
	is(&run, "spte", 0, "fits", "ept-6.1");
	rows(&run, "broken_rules", 0);
	ask(&run, "spte 0x0600000012345b77");
	is(&run, "spte", 0, "format", "ept-6.12");
	is(&run, "spte", 0, "class", "unknown");
	is(&run, "spte", 0, "missing_bits", "0x8000000000000000");
	assert_int_equal(run.result->nr_notes, 1);
	ask(&run, "spte 0x12300000fee0022e --format ept-6.1 --level 1");
	is(&run, "spte", 0, "mmio_gfn", "0xfee00");
	is(&run, "spte", 0, "mmio_gen", "74565");
	assert_int_equal(run.result->nr_notes, 0);
	ask(&run, "spte 0x0400000012345b77 --format ept-6.1");
	is(&run, "broken_rules", 0, "rule", "mw=>hw");
	ask(&run, "role 0x20704");
	is(&run, "role", 0, "text", "L4 uwx guest");
	ask(&run, "role 0x80000001");
	is(&run, "role", 0, "unknown", "0x0");
	ask(&run, "role 0x880001");
	is(&run, "role", 0, "unknown", "0x880000");
	ask(&run, "role --layout cpu 0x8100003784");
	rows(&run, "fields", 22);
	assert_int_equal(run.fake.reads, 0);
	teardown(&run);
}

static void test_help(void **state)
{
	struct run run;
	char line[64];
	size_t i;

	setup(&run);
	ask(&run, "help");
	rows(&run, "commands", MS_NR_CMDS);
	rows(&run, "options", MS_NR_OPTS);
	for (i = 0; i < MS_NR_CMDS; i++) {
		snprintf(line, sizeof(line), "help %s", ms_commands[i].name);
		ask(&run, line);
		is(&run, "help", 0, "summary", ms_commands[i].summary);
	}
	ask(&run, "help states");
	is(&run, "topic", 16, "name", "translation");
	is(&run, "topic", 18, "name", "why");
	is(&run, "topic", 23, "name", "shadowed-table");
	rows(&run, "topic", 24);
	ask(&run, "help formats");
	ask(&run, "help exit");
	rows(&run, "topic", 9);
	is(&run, "topic", 8, "name", "3");
	ask(&run, "help bugs");
	rows(&run, "bugs", 5);
	is(&run, "bugs", 4, "see", "mmuscope run tests/scenarios/bug-stale-qual.scn");
	refuse(&run, "help slot", "did you mean `help slots'?");
	refuse(&run, "help xyzzy", "see `help'; topics: options, states, role, formats, bugs, exit");
	ask(&run, "version");
	ask(&run, "targets");
	teardown(&run);
}

/* Every cell has the kind that its column states, or is absent: JSON's schema stands on that. */
static void test_kinds(void **state)
{
	static const char *const lines[] = {
		"vms",
		"vcpus " VM,
		"slots " VM,
		"mmus " VM,
		"sps " VM,
		"sp 0xffff8881bbbb4000 " VM,
		"sp 0xffff8881bbbb8000 " VM,
		"leaves " VM,
		"spte 0x8600000012345b77",
		"spte 8",
		"role 0x3784",
		"help",
		"help sps",
		"help states",
		"help exit",
		"help bugs",
		"version",
		"targets",
		"doctor",
	};
	struct ms_cell *cells;
	struct run run;
	size_t l, s, r, c;

	setup(&run);
	for (l = 0; l < sizeof(lines) / sizeof(*lines); l++) {
		ask(&run, lines[l]);
		for (s = 0; s < run.result->nr_sections; s++) {
			const struct ms_section *sec = &run.result->sections[s];

			assert_true(sec->table || sec->nr_rows == 1);
			cells = ms_cells_create(sec->nr_cols);
			for (r = 0; r < sec->nr_rows; r++) {
				ms_result_row(run.result, sec, r, cells);
				for (c = 0; c < sec->nr_cols; c++)
					if (cells[c].kind != MS_V_ABSENT &&
					    cells[c].kind != sec->cols[c].kind)
						fail_msg("%s: %s[%zu].%s has another kind", lines[l],
							 sec->key, r, sec->cols[c].name);
			}
			ms_cells_destroy(cells, sec->nr_cols);
		}
	}
	teardown(&run);
}

static void test_redaction(void **state)
{
	struct run run;

	setup(&run);
	ask(&run, "vms --redact");
	is(&run, "vms", 0, "kvm", "kvm#0");
	is(&run, "vms", 1, "kvm", "kvm#1");
	is(&run, "vms", 0, "name", "name#0");
	is(&run, "vms", 1, "pid", "pid#1");
	is(&run, "files", 0, "name", "name#0");
	is(&run, "files", 0, "kvm", "kvm#0");
	is(&run, "vms", 0, "mm", "ptr#0");
	assert_string_equal(run.result->prov.target, "fake");
	ask(&run, "sp 0xffff8881bbbb4000 --redact " VM);
	is(&run, "page", 0, "sp", "sp#0");
	is(&run, "page", 0, "table_pfn", "pfn#0");
	is(&run, "entries", 0, "pfn", "pfn#1");
	is(&run, "entries", 0, "raw", "0x000xxxxxxxxxxe67");
	is(&run, "entries", 0, "gfn", "0x0");
	is(&run, "entries", 6, "raw", "0x000xxxxxxxxxx008");
	is(&run, "entries", 7, "raw", "0x0000000000000000");
	is(&run, "entries", 0, "pfn", "pfn#1");
	ask(&run, "leaves --redact --mmu guest " VM);
	is(&run, "leaves", 0, "pfn", "pfn#0");
	is(&run, "leaves", 1, "pfn", "pfn#0");
	ask(&run, "mmus --redact " VM);
	is(&run, "mmus", 0, "root_hpa", "pfn#0");
	is(&run, "roots", 0, "hpa", "pfn#0");
	is(&run, "roots", 0, "pgd", "0x0");
	ask(&run, "spte --redact 0x8600000012345b77");
	is(&run, "spte", 0, "value", "0x860xxxxxxxxxxb77");
	is(&run, "spte", 0, "pfn", "pfn#0");
	is(&run, "fields", 8, "field", "pfn");
	is(&run, "fields", 8, "value", "hidden");
	teardown(&run);
}

/*
 * A file is read once; a live target once for the VMs and once for the one that is meant, each time, unless
 * it is held.
 */
static void test_reads(void **state)
{
	struct run run;

	setup(&run);
	ask(&run, "vms");
	ask(&run, "sps " VM);
	assert_int_equal(run.fake.reads, 2);
	ask(&run, "leaves " VM);
	ask(&run, "sps --vm 4343");
	assert_int_equal(run.fake.reads, 2);
	teardown(&run);
	setup(&run);
	run.session.target->caps = MS_CAP_LIVE;
	ask(&run, "sps " VM);
	assert_int_equal(run.fake.reads, 2);
	ask(&run, "sps " VM);
	assert_int_equal(run.fake.reads, 4);
	run.session.hold = true;
	ask(&run, "leaves " VM);
	ask(&run, "vms");
	assert_int_equal(run.fake.reads, 4);
	teardown(&run);
}

static bool offers(const char *line, const char *word)
{
	const char *found[128];
	size_t start = 99, nr = ms_query_complete(line, found, 128, &start), i;

	for (i = 0; i < nr; i++)
		if (!strcmp(found[i], word))
			return true;
	return false;
}

static void test_completion(void **state)
{
	assert_true(offers("", "vms"));
	assert_true(offers("sp", "spte"));
	assert_false(offers("sp", "vms"));
	assert_true(offers("-j sp", "sps"));
	assert_true(offers("sps --s", "--state"));
	assert_false(offers("sps --f", "--format"));
	assert_true(offers("spte --f", "--format"));
	assert_true(offers("sps --state ", "torn"));
	assert_true(offers("sps -s R", "RW"));
	assert_true(offers("help st", "states"));
	assert_true(offers("-T live s", "sps"));
	assert_false(offers("sps ", "vms"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),	   cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_vm_choice),  cmocka_unit_test(test_mmus),
		cmocka_unit_test(test_sps),	   cmocka_unit_test(test_sp),
		cmocka_unit_test(test_leaves),	   cmocka_unit_test(test_bare_words),
		cmocka_unit_test(test_help),	   cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_redaction),  cmocka_unit_test(test_reads),
		cmocka_unit_test(test_completion), cmocka_unit_test(test_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
