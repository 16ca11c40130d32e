/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's frames and page tables: sizes, what is lost when, and that a frame taken away is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scenario/hostmem.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define HVA 0x7f0000000000ULL

static struct hostmem *mem;

static int setup(void **state)
{
	mem = hostmem_create(7, 46, 16 * MIB);
	return mem ? 0 : -1;
}

static int teardown(void **state)
{
	hostmem_destroy(mem);
	return 0;
}

static struct hostmem_pfn fault(u64 hva)
{
	struct hostmem_pfn pfn = { 0 };

	assert_int_equal(hostmem_fault(mem, hva, false, &pfn), 0);
	return pfn;
}

static void put(u64 hva, u64 value)
{
	assert_int_equal(hostmem_write(mem, fault(hva).pfn << 12 | (hva & 0xfff), &value, 8), 0);
}

static u64 get(u64 hva)
{
	u64 value;

	assert_int_equal(hostmem_read(mem, fault(hva).pfn << 12 | (hva & 0xfff), &value, 8), 0);
	return value;
}

static bool alive(u64 pfn)
{
	u64 value;

	return !hostmem_read(mem, pfn << 12, &value, 8);
}

static void sizes(void **state)
{
	struct hostmem_pfn pfn;

	/* From 3 MiB below a gigabyte: small pages do not start before they fit. */
	assert_int_equal(hostmem_map(mem, HVA + GIB - 3 * MIB, 2 * GIB, 3, true), 0);
	assert_int_equal(fault(HVA + GIB - 3 * MIB).level, 1);
	assert_int_equal(fault(HVA + GIB - 2 * MIB).level, 2);
	pfn = fault(HVA + GIB + 0x12345000);
	assert_int_equal(pfn.level, 3);
	assert_int_equal(pfn.pfn & 0x3ffff, 0x12345);
	assert_true(pfn.pfn < 1ULL << 34);
	assert_int_equal(fault(HVA + GIB).pfn, pfn.pfn - 0x12345);
	/* What is behind the end of the last whole gigabyte. */
	assert_int_equal(fault(HVA + 2 * GIB).level, 2);
	/* None of it costs memory before it is written, and then only that. */
	assert_int_equal(hostmem_bytes(mem), 0);
	put(HVA + GIB + 0x12345008, 5);
	assert_int_equal(hostmem_bytes(mem), 4096);
	assert_int_equal(get(HVA + GIB + 0x12345008), 5);
	assert_int_equal(get(HVA + GIB + 0x12345000), 0);

	assert_int_equal(hostmem_map(mem, HVA + GIB, 4096, 1, true), -EEXIST);
	assert_int_equal(hostmem_map(mem, HVA + 12, 4096, 1, true), -EINVAL);
	assert_int_equal(hostmem_map(mem, HVA, 4096, 4, true), -EINVAL);
	assert_int_equal(hostmem_fault(mem, HVA, false, &pfn), -EFAULT);
}

static void rights(void **state)
{
	struct hostmem_pfn pfn;

	assert_int_equal(hostmem_map(mem, HVA, 4 * MIB, 2, true), 0);
	assert_int_equal(hostmem_map(mem, HVA + GIB, 4096, 1, false), 0);
	assert_int_equal(hostmem_fault(mem, HVA + GIB, true, &pfn), -EFAULT);
	assert_false(fault(HVA + GIB).writable);
	/* Part of a large page, and a page that was never touched. */
	pfn = fault(HVA);
	assert_int_equal(hostmem_protect(mem, HVA + 0x3000, 0x1000, false), 0);
	assert_int_equal(hostmem_protect(mem, HVA + 3 * MIB, 0x1000, false), 0);
	assert_int_equal(hostmem_fault(mem, HVA + 0x3000, true, &pfn), -EFAULT);
	assert_int_equal(hostmem_fault(mem, HVA + 3 * MIB, true, &pfn), -EFAULT);
	assert_int_equal(hostmem_fault(mem, HVA + 0x4000, true, &pfn), 0);
	assert_int_equal(pfn.level, 1);
	assert_int_equal(fault(HVA + 0x3000).pfn + 1, pfn.pfn);
	assert_int_equal(hostmem_protect(mem, HVA + 0x3000, 0x1000, true), 0);
	assert_int_equal(hostmem_fault(mem, HVA + 0x3000, true, &pfn), 0);
}

static void discarded_frames_are_gone(void **state)
{
	u64 first, second, pfn;

	assert_int_equal(hostmem_map(mem, HVA, 2 * MIB, 2, true), 0);
	put(HVA + 0x5000, 1);
	put(HVA + 0x6000, 2);
	first = fault(HVA).pfn;
	assert_int_equal(hostmem_discard(mem, HVA + 0x5000, 0x1000), 0);
	assert_false(alive(first + 5));
	assert_true(alive(first + 6));
	assert_int_equal(hostmem_pfn(mem, HVA + 0x5000), ~0ULL);
	assert_int_equal(get(HVA + 0x5000), 0);
	assert_int_equal(get(HVA + 0x6000), 2);
	second = fault(HVA + 0x5000).pfn;
	assert_true(second != first + 5);
	assert_true(alive(second));
	assert_false(alive(first + 5));
	/* All of it: the memory is given back. */
	assert_int_equal(hostmem_discard(mem, HVA, 2 * MIB), 0);
	assert_int_equal(hostmem_bytes(mem), 0);
	for (pfn = first; pfn < first + 512; pfn++)
		assert_false(alive(pfn));
	assert_false(alive(second));
}

static void a_gigabyte_is_split_by_need(void **state)
{
	u64 pfn;

	assert_int_equal(hostmem_map(mem, HVA, GIB, 3, true), 0);
	put(HVA + 0x12345678, 9);
	pfn = fault(HVA).pfn;
	assert_int_equal(hostmem_discard(mem, HVA + 2 * MIB + 0x1000, 0x1000), 0);
	assert_int_equal(fault(HVA).level, 2);
	assert_int_equal(fault(HVA + 2 * MIB).level, 1);
	assert_int_equal(fault(HVA + 2 * MIB).pfn, pfn + 512);
	assert_int_equal(fault(HVA + 4 * MIB).level, 2);
	assert_int_equal(get(HVA + 0x12345678), 9);
	assert_int_equal(hostmem_discard(mem, HVA, GIB), 0);
	assert_false(alive(pfn + 0x12345));
}

static void migration_keeps_contents(void **state)
{
	u64 small, large;

	assert_int_equal(hostmem_map(mem, HVA, 4 * MIB, 2, true), 0);
	put(HVA + 8, 1);
	put(HVA + 2 * MIB + 0x7008, 2);
	large = fault(HVA).pfn;
	small = fault(HVA + 2 * MIB + 0x7000).pfn;
	assert_int_equal(hostmem_migrate(mem, HVA, 2 * MIB), 0);
	assert_int_equal(hostmem_migrate(mem, HVA + 2 * MIB + 0x7000, 0x1000), 0);
	assert_true(fault(HVA).pfn != large);
	assert_int_equal(fault(HVA).level, 2);
	assert_true(fault(HVA + 2 * MIB + 0x7000).pfn != small);
	assert_false(alive(large));
	assert_false(alive(small));
	assert_true(alive(small + 1));
	assert_int_equal(get(HVA + 8), 1);
	assert_int_equal(get(HVA + 2 * MIB + 0x7008), 2);
	/* ... and together again. */
	assert_int_equal(hostmem_collapse(mem, HVA, 4 * MIB), 0);
	assert_int_equal(fault(HVA + 2 * MIB).level, 2);
	assert_int_equal(get(HVA + 2 * MIB + 0x7008), 2);
	assert_false(alive(small + 1));
}

static void tables(void **state)
{
	u64 pa[64], value = 3;
	void *va;

	for (u32 i = 0; i < 64; i++) {
		assert_int_equal(hostmem_table_alloc(mem, &va, &pa[i]), 0);
		assert_int_equal(pa[i] & 0xfff, 0);
		assert_int_equal((uintptr_t)va & 0xfff, 0);
		assert_int_equal(hostmem_write(mem, pa[i] + 16, &value, 8), 0);
		assert_int_equal(((u64 *)va)[2], 3);
		assert_int_equal(hostmem_cmpxchg(mem, pa[i] + 16, 4, 5, 8), -EAGAIN);
		assert_int_equal(hostmem_cmpxchg(mem, pa[i] + 16, 3, 0x1234567890, 8), 0);
		assert_int_equal(hostmem_cmpxchg(mem, pa[i] + 16, 0x34567890, 5, 4), 0);
		assert_int_equal(((u64 *)va)[2], 0x1200000005);
	}
	for (u32 i = 0; i < 64; i += 2)
		hostmem_table_free(mem, pa[i]);
	for (u32 i = 0; i < 64; i++)
		assert_int_equal(alive(pa[i] >> 12), i & 1);
	assert_int_equal(hostmem_read(mem, pa[1] + 0xffc, &value, 8), -EFAULT);
	assert_int_equal(hostmem_read(mem, ~0ULL << 12, &value, 8), -EFAULT);
	/* 16 MiB are all there is. */
	for (u32 i = 0; i < 4096; i++)
		if (hostmem_table_alloc(mem, &va, &pa[0]))
			return;
	fail();
}

static void assert_span(u64 hva, u64 start, u64 bytes)
{
	u64 from, to;

	hostmem_span(mem, hva, &from, &to);
	assert_int_equal(from, start);
	assert_int_equal(to - from, bytes);
}

static void spans(void **state)
{
	assert_int_equal(hostmem_map(mem, HVA, 4 * MIB, 2, true), 0);
	assert_int_equal(hostmem_map(mem, HVA + GIB, 2 * GIB, 3, true), 0);
	/* Also where nothing is yet: a fault could put a large page there at any moment. */
	assert_span(HVA + 0x5000, HVA, 2 * MIB);
	put(HVA + 0x5000, 1);
	assert_span(HVA + 0x5000, HVA, 2 * MIB);
	assert_span(HVA + GIB + 0x5000, HVA + GIB, GIB);
	assert_int_equal(hostmem_discard(mem, HVA + 0x5000, 0x1000), 0);
	assert_span(HVA + 0x5000, HVA + 0x5000, 0x1000);
	assert_span(HVA + 0x6000, HVA + 0x6000, 0x1000);
	assert_span(HVA + 2 * MIB, HVA + 2 * MIB, 2 * MIB);
	assert_span(HVA - 0x1000, HVA - 0x1000, 0x1000);
}

/* The same seed gives the same frames, another one others. */
static void seeds(void **state)
{
	struct hostmem *other = hostmem_create(8, 46, MIB);
	struct hostmem *same = hostmem_create(7, 46, MIB);
	struct hostmem_pfn a, b;

	assert_int_equal(hostmem_map(mem, HVA, MIB, 1, true), 0);
	assert_int_equal(hostmem_map(other, HVA, MIB, 1, true), 0);
	assert_int_equal(hostmem_map(same, HVA, MIB, 1, true), 0);
	assert_int_equal(hostmem_fault(other, HVA, false, &a), 0);
	assert_int_equal(hostmem_fault(same, HVA, false, &b), 0);
	assert_int_equal(fault(HVA).pfn, b.pfn);
	assert_true(a.pfn != b.pfn);
	hostmem_destroy(other);
	hostmem_destroy(same);
	assert_null(hostmem_create(7, 35, MIB));
}

/* What it takes to know a page counts too, though it has no contents. */
static void untouched_pages_are_bounded(void **state)
{
	const u64 bytes = 4096 * MIB;
	struct hostmem_pfn pfn;
	int rc = 0;

	(void)state;
	assert_int_equal(hostmem_map(mem, HVA, 2 * bytes, 1, true), 0);
	for (u64 at = 0; at < bytes && !rc; at += 2 * MIB)
		rc = hostmem_fault(mem, HVA + at, false, &pfn);
	assert_int_equal(rc, -ENOMEM);
	/* Pages that could not be made have no rights to change: that is said. */
	assert_int_equal(hostmem_protect(mem, HVA + bytes, MIB, false), -ENOMEM);
	assert_int_equal(hostmem_bytes(mem), 0);
	assert_int_equal(hostmem_discard(mem, HVA, 2 * bytes), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(sizes),
		T(rights),
		T(discarded_frames_are_gone),
		T(a_gigabyte_is_split_by_need),
		T(migration_keeps_contents),
		T(tables),
		T(spans),
		T(seeds),
		T(untouched_pages_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
