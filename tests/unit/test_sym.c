/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/sym: names to addresses out of a kallsyms file, however odd the file is. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),		 cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_odd_lines),	 cmocka_unit_test(test_long_file),
		cmocka_unit_test(test_line_without_end), cmocka_unit_test(test_records),
		cmocka_unit_test(test_records_refused),	 cmocka_unit_test(test_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
