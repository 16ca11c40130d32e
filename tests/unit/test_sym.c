/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/sym: names to addresses out of a kallsyms file, however odd the file is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sym/sym.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),		 cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_odd_lines),	 cmocka_unit_test(test_long_file),
		cmocka_unit_test(test_line_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
