/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/sym: names to addresses out of a kallsyms file, however odd the file is. */
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "config.h"
#include "query/stack.h"
#include "sym/sym.h"
#include "target/live.h"

static char path[64];

static const char *file_of(const char *text, size_t len)
{
	int fd;

	strcpy(path, "/tmp/test_sym.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
	return path;
}

static struct ms_err *lookup(const char *text, struct ms_sym *syms, size_t nr)
{
	struct ms_err *err = ms_sym_lookup(file_of(text, strlen(text)), syms, nr);

	unlink(path);
	return err;
}

static void test_lookup(void **state)
{
	struct ms_sym s[] = { { "max_pfn", NULL, 1 },
			      { "kvm_vm_fops", "kvm", 1 },
			      { "built_in", "kvm", 1 },
			      { "nowhere", "kvm", 7 },
			      { "kvm_vm", "kvm", 7 } };

	assert_null(lookup("ffffffff81000000 T _text\n"
			   "ffffffff82a5f0c8 D max_pfn\n"
			   "ffffffff82a5f0d0 D built_in\n"
			   "ffffffff82a5f0d8 d kvm_vm_fops\n" /* a namesake in the kernel itself */
			   "ffffffffc0500100 d max_pfn\t[other]\n"
			   "ffffffffc0500200 d kvm_vm_fops\t[other]\n"
			   "ffffffffc0600300 d kvm_vm_fops\t[kvm]\n"
			   "ffffffffc0700300 d kvm_vm_fops\t[kvm_amd]\n"
			   "ffffffffc0800000 b last\t[bpf]",
			   s, 5));
	assert_int_equal(s[0].addr, 0xffffffff82a5f0c8);
	assert_int_equal(s[1].addr, 0xffffffffc0600300);
	assert_int_equal(s[2].addr, 0xffffffff82a5f0d0);
	assert_int_equal(s[3].addr, 0);
	assert_int_equal(s[4].addr, 0);
}

static void test_hidden(void **state)
{
	struct ms_sym s[] = { { "max_pfn", NULL, 0 } };
	struct ms_err *err = lookup("0000000000000000 T _text\n0000000000000000 D max_pfn\n", s, 1);

	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), "hides"));
	assert_non_null(strstr(ms_err_hint_text(err), "kptr_restrict"));
	ms_err_free(err);
}

static void test_odd_lines(void **state)
{
	struct ms_sym s[] = { { "x", NULL, 0 } };

	assert_null(lookup(
		"\n\n  \nzz T x\n12 x\nffff800000000001 T\nffff800000000001 T \nffff800000000002 T x\t\n", s,
		1));
	assert_int_equal(s[0].addr, 0xffff800000000002);
}

static void test_long_file(void **state)
{
	struct ms_sym s[] = { { "sym_39999", "kvm", 0 }, { "sym_20001", "kvm", 0 } };
	char *text = malloc(40000 * 64), *p = text;
	int i;

	for (i = 0; i < 40000; i++)
		p += sprintf(p, "ffffffffc%07x d sym_%05d\t[kvm]\n", i, i);
	assert_null(lookup(text, s, 2));
	assert_int_equal(s[0].addr, 0xffffffffc0000000 + 39999);
	assert_int_equal(s[1].addr, 0xffffffffc0000000 + 20001);
	free(text);
}

static void test_line_without_end(void **state)
{
	size_t len = 300 * 1024;
	char *text = malloc(len + 1);
	struct ms_sym s[] = { { "x", NULL, 0 } };
	struct ms_err *err;

	memset(text, 'a', len);
	text[len] = '\0';
	err = lookup(text, s, 1);
	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), "longer"));
	ms_err_free(err);
	free(text);
	err = ms_sym_lookup("/nonexistent/kallsyms", s, 1);
	assert_non_null(strstr(ms_err_text(err), "/nonexistent/kallsyms"));
	ms_err_free(err);
}

static uint64_t end_of(const char *text, uint64_t addr)
{
	uint64_t end = 1;

	assert_null(ms_sym_end(file_of(text, strlen(text)), addr, &end));
	unlink(path);
	return end;
}

/* A module's symbols stand in no order; data, and what does not begin there, is no function's end. */
static void test_end(void **state)
{
	static const char text[] = "ffffffff81000000 T _text\n"
				   "ffffffff81000400 T __pfx_second\n"
				   "ffffffff81000410 T second\n"
				   "ffffffffc0002000 t vmx_last\t[kvm_intel]\n"
				   "ffffffffc0001e60 t far_above\t[kvm_intel]\n"
				   "ffffffffc0001a10 d no_code\t[kvm_intel]\n"
				   "ffffffffc0001a00 t vmx_handle_exit\t[kvm_intel]\n"
				   "ffffffffc0001a00 T vmx_alias\t[kvm_intel]\n"
				   "ffffffffc0001c40 W next_above\t[kvm_intel]\n"
				   "ffffffffc00019f0 t __pfx_vmx_handle_exit\t[kvm_intel]\n"
				   "ffffffffc0100800 t other\t[other]\n"
				   "ffffffffc0200800 t beyond\t[other]\n";
	uint64_t end = 1;
	struct ms_err *err;

	assert_int_equal(end_of(text, 0xffffffffc0001a00), 0xffffffffc0001c40);
	assert_int_equal(end_of(text, 0xffffffff81000000), 0xffffffff81000400);
	assert_int_equal(end_of(text, 0xffffffffc0002000),
			 0xffffffffc0100800); /* another module's, near by */
	assert_int_equal(end_of(text, 0xffffffffc0100800), 0); /* 1 MiB is no function */
	assert_int_equal(end_of(text, 0xffffffffc0200800), 0); /* the last of all */
	assert_int_equal(end_of(text, 0xffffffffc0001a10), 0); /* data */
	assert_int_equal(end_of(text, 0xffffffffc0001a08), 0); /* within one */
	err = ms_sym_end(file_of("0000000000000000 T _text\n", 25), 0xffffffff81000000, &end);
	unlink(path);
	assert_non_null(strstr(ms_err_text(err), "hides"));
	assert_int_equal(end, 1);
	ms_err_free(err);
	err = ms_sym_end("/nonexistent/kallsyms", 1, &end);
	assert_non_null(strstr(ms_err_text(err), "/nonexistent/kallsyms"));
	assert_int_equal(end, 1);
	ms_err_free(err);
}

/* A file that holds len bytes, to be read from its start. */
static int records_of(const void *data, size_t len)
{
	int fd = memfd_create("ksyms", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void test_records(void **state)
{
	struct ms_sym s[] = { { "max_pfn", NULL, 1 },
			      { "kvm_vm_fops", "kvm", 1 },
			      { "nowhere", "kvm", 7 },
			      { "last_one", "kvm", 7 } };
	enum { NR = 1000 };
	struct ms_ksym *recs = calloc(NR, sizeof(*recs));
	int fd, i;

	for (i = 0; i < NR; i++)
		recs[i] = (struct ms_ksym){ .addr = 0x1000 + (u64)i,
					    .name = "kvm_vm_f_other",
					    .module = "kvm" };
	recs[0] = (struct ms_ksym){ .addr = 0xffffffff82a5f0c8, .name = "max_pfn" };
	recs[1] = (struct ms_ksym){ .addr = 0xffffffff82a5f0d8, .name = "kvm_vm_fops" };
	recs[2] = (struct ms_ksym){ .addr = 0xffffffffc0500200, .name = "kvm_vm_fops", .module = "other" };
	recs[3] = (struct ms_ksym){ .addr = 0xffffffffc0600300, .name = "kvm_vm_fops", .module = "kvm" };
	recs[4] = (struct ms_ksym){ .addr = 0xffffffffc0700300, .name = "max_pfn", .module = "kvm" };
	/* A name without an end, in a record that lies across two reads. */
	memset(recs[400].name, 'x', sizeof(recs[400].name));
	memset(recs[400].module, 'x', sizeof(recs[400].module));
	recs[NR - 1] = (struct ms_ksym){ .addr = 0xffffffffc0600308, .name = "last_one", .module = "kvm" };
	fd = records_of(recs, NR * sizeof(*recs));
	assert_null(ms_ksyms_read(fd, s, 4));
	close(fd);
	assert_int_equal(s[0].addr, 0xffffffff82a5f0c8);
	assert_int_equal(s[1].addr, 0xffffffffc0600300);
	assert_int_equal(s[2].addr, 0);
	assert_int_equal(s[3].addr, 0xffffffffc0600308);
	free(recs);
}

static void refused(const void *data, size_t len, const char *why)
{
	struct ms_sym s[] = { { "max_pfn", NULL, 1 } };
	int fd = records_of(data, len);
	struct ms_err *err = ms_ksyms_read(fd, s, 1);

	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), why));
	ms_err_free(err);
	close(fd);
}

static void test_records_refused(void **state)
{
	struct ms_ksym recs[2] = { { .name = "max_pfn" }, { .name = "other" } };
	struct ms_sym s[] = { { "max_pfn", NULL, 1 } };
	struct ms_err *err;

	refused(recs, sizeof(recs), "hides");
	refused(recs, 0, "hides");
	recs[0].addr = 1;
	refused(recs, sizeof(recs) - 1, "end within one");
	err = ms_ksyms_read(-1, s, 1);
	assert_non_null(err);
	ms_err_free(err);
}

static bool bit_of(const u64 *bitmap, const char *name)
{
	u64 key = 0;
	u32 bit;

	memcpy(&key, name, MS_KSYM_KEY_BYTES);
	bit = ms_ksym_bit(key);
	return bitmap[bit / 64] >> bit % 64 & 1;
}

static void test_wanted(void **state)
{
	struct ms_sym s[] = { { "max_pfn", NULL, 0 }, { "page_offset_base", NULL, 0 } },
		      brief = { "jiffie", NULL, 0 };
	u64 bitmap[MS_KSYM_BITS / 64];
	size_t set = 0, i;

	memset(bitmap, 0xff, sizeof(bitmap));
	ms_ksyms_want(s, 2, bitmap);
	for (i = 0; i < MS_KSYM_BITS; i++)
		set += bitmap[i / 64] >> i % 64 & 1;
	assert_int_equal(set, 2);
	assert_true(bit_of(bitmap, "max_pfn"));
	assert_true(bit_of(bitmap, "page_offset_base"));
	assert_false(bit_of(bitmap, "max_pfn_mapped"));
	/* Too short to be told by 8 bytes: everything passes. */
	ms_ksyms_want(&brief, 1, bitmap);
	for (i = 0; i < MS_KSYM_BITS / 64; i++)
		assert_true(bitmap[i] == ~0ull);
}

/* --- by address --- */

static const char kallsyms[] = "ffffffff81000000 T _text\n"
			       "ffffffff81000000 T startup_64\n"
			       "ffffffff81001000 t fault\n"
			       "ffffffff81001000 t fault_alias\n"
			       "ffffffff82a5f0c8 D max_pfn\n"
			       "ffffffffc0600300 t mark_page_dirty\t[kvm]\n"
			       "ffffffffc0600200 t kvm_ioctl\t[kvm]\n"
			       "0000000000000000 t hidden\n"
			       "ffffffffc0700000 T svm init\t[kvm_amd]\n"
			       "garbage\n";

static struct ms_symtab *symtab_of(const char *text)
{
	struct ms_symtab *symtab = NULL;
	struct ms_err *err = ms_symtab_load(file_of(text, strlen(text)), &symtab);

	unlink(path);
	assert_null(err);
	return symtab;
}

static void place_is(const struct ms_symtab *symtab, uint64_t addr, const char *name, const char *module,
		     uint64_t offset)
{
	struct ms_place place;

	if (!name) {
		assert_false(ms_symtab_find(symtab, addr, &place));
		return;
	}
	assert_true(ms_symtab_find(symtab, addr, &place));
	assert_string_equal(place.name, name);
	assert_string_equal(place.module, module);
	assert_int_equal(place.offset, offset);
}

static void test_by_address(void **state)
{
	struct ms_symtab *symtab = symtab_of(kallsyms);
	struct ms_err *err;

	/* The first of a name; data are no code; modules in any order. */
	place_is(symtab, 0xffffffff81000000, "_text", "", 0);
	place_is(symtab, 0xffffffff81000fff, "_text", "", 0xfff);
	place_is(symtab, 0xffffffff81001000, "fault", "", 0);
	place_is(symtab, 0xffffffff81001010, "fault", "", 0x10);
	place_is(symtab, 0xffffffffc06002ff, "kvm_ioctl", "kvm", 0xff);
	place_is(symtab, 0xffffffffc0600300, "mark_page_dirty", "kvm", 0);
	place_is(symtab, 0xffffffffc0700001, "svm init", "kvm_amd", 1);
	/* Before the first, and too far behind one. */
	place_is(symtab, 0xffffffff80ffffff, NULL, NULL, 0);
	place_is(symtab, 0xffffffff82a5f0c8, NULL, NULL, 0);
	place_is(symtab, 0, NULL, NULL, 0);
	place_is(symtab, ~0ull, NULL, NULL, 0);
	ms_symtab_destroy(symtab);

	err = ms_symtab_load(file_of("0000000000000000 T _text\n", 25), &symtab);
	unlink(path);
	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), "hides every address"));
	ms_err_free(err);
	err = ms_symtab_load("/nowhere/kallsyms", &symtab);
	assert_non_null(err);
	ms_err_free(err);
}

static void word_is(const struct ms_symtab *symtab, struct ms_lines *lines, uint64_t addr, bool redact,
		    const char *want)
{
	struct ms_buf got = { 0 };

	stack_word(symtab, lines, addr, true, redact, &got);
	assert_string_equal(ms_buf_str(&got), want);
	ms_buf_deinit(&got);
}

static void test_words(void **state)
{
	struct ms_symtab *symtab = symtab_of(kallsyms);

	word_is(symtab, NULL, 0xffffffff81001010, false, "fault+0x10");
	word_is(symtab, NULL, 0xffffffffc0600301, true, "kvm:mark_page_dirty+0x1");
	/* A blank would be two words. */
	word_is(symtab, NULL, 0xffffffffc0700000, false, "kvm_amd:svm_init+0x0");
	word_is(symtab, NULL, 0xffffffff82a5f0c8, false, "0xffffffff82a5f0c8");
	word_is(symtab, NULL, 0xffffffff82a5f0c8, true, "hidden");
	word_is(NULL, NULL, 0xffffffff81001010, false, "0xffffffff81001010");
	ms_symtab_destroy(symtab);
}

/* What listens is there first, and is no part of what was at work; nor is what has no name among it. */
static void test_own_frames(void **state)
{
	static const char text[] = "ffffffff81001000 T fault\n"
				   "ffffffff81002000 T caller\n"
				   "ffffffffc0a00000 t bpf_prog_1234567890abcdef_dirtied\t[bpf]\n"
				   "ffffffffc0b00000 t bpf_trampoline_6442539111\t[bpf]\n";
	struct ms_symtab *symtab = symtab_of(text);
	const u64 prog = 0xffffffffc0a00040, tramp = 0xffffffffc0b00050, none = 0xffffffff90000000;
	const u64 fault = 0xffffffff81001005, caller = 0xffffffff81002010;
	const u64 live[] = { prog, tramp, fault, caller }, nameless[] = { prog, none, fault, prog };

	(void)state;
	assert_int_equal(stack_own(symtab, live, 4), 2);
	assert_int_equal(stack_own(symtab, nameless, 4), 2);
	assert_int_equal(stack_own(symtab, live + 2, 2), 0);
	/* Rather all of it than nothing. */
	assert_int_equal(stack_own(symtab, live, 2), 0);
	assert_int_equal(stack_own(symtab, live, 0), 0);
	assert_int_equal(stack_own(NULL, live, 4), 0);
	ms_symtab_destroy(symtab);
}

#ifdef WITH_LIBDW
enum { MARKER_LINE = __LINE__ + 1 };
static __attribute__((noinline, noclone)) int marker(volatile int *at)
{
	return *at + 1;
}

static int first_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	*(uint64_t *)ctx = info->dlpi_addr;
	return 1; /* the program itself comes first */
}

/* This program has been built with debug information, wherever it was loaded. */
static void test_lines(void **state)
{
	struct ms_lines *lines = NULL;
	struct ms_err *err;
	uint64_t bias = 0, addr = (uint64_t)(uintptr_t)marker;
	char want[64];
	struct ms_buf got = { 0 };
	const char *file = NULL;
	volatile int one = 1;
	int line = 0;

	assert_int_equal(marker(&one), 2);
	dl_iterate_phdr(first_object, &bias);
	assert_null(ms_lines_open_file("/proc/self/exe", bias, &lines));
	assert_true(ms_lines_find(lines, addr, &file, &line));
	/* Of what stands at its first address, which of its lines is the compiler's choice. */
	assert_in_range(line, MARKER_LINE, MARKER_LINE + 3);
	assert_non_null(strstr(file, "tests/unit/test_sym.c"));
	/* A caller is where its call is, not where it goes on. */
	stack_word(NULL, lines, addr + 1, false, true, &got);
	snprintf(want, sizeof(want), "tests/unit/test_sym.c:%d", line);
	assert_non_null(strstr(ms_buf_str(&got), want));
	assert_int_equal(strncmp(ms_buf_str(&got), "hidden@", 7), 0);
	/* Who is to go on with the first instruction has called from before it; who is at it, is there. */
	ms_buf_reset(&got);
	stack_word(NULL, lines, addr, true, true, &got);
	assert_non_null(strstr(ms_buf_str(&got), want));
	ms_buf_reset(&got);
	stack_word(NULL, lines, addr, false, true, &got);
	assert_null(strstr(ms_buf_str(&got), want));
	ms_buf_deinit(&got);
	assert_false(ms_lines_find(lines, 0x10, &file, &line));
	ms_lines_close(lines);
	ms_lines_close(NULL);

	err = ms_lines_open_file("/dev/null", 0, &lines);
	assert_non_null(err);
	ms_err_free(err);
	err = ms_lines_open_file("/nowhere/at/all", 0, &lines);
	assert_non_null(err);
	assert_non_null(ms_err_hint_text(err));
	ms_err_free(err);
}
#else
static void test_lines(void **state)
{
	struct ms_lines *lines;
	struct ms_err *err = ms_lines_open_kernel(&lines);

	assert_non_null(strstr(ms_err_text(err), "--with-libdw"));
	ms_err_free(err);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_odd_lines),
		cmocka_unit_test(test_long_file),
		cmocka_unit_test(test_line_without_end),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_records_refused),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_by_address),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_own_frames),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
