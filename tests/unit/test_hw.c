/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hardware model against tables written down as data: each format, each way out, bit by bit. Memory is a
 * small array here, so that nothing but src/hw is in play.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hw/hw.h"

#define PAGES 64
#define MEM_BASE 0x100000ULL
#define PAGE(i) (MEM_BASE + (u64)(i)*4096)

static u8 memory[PAGES * 4096];
static u32 races; /* compare-and-exchanges that are to fail */

static int mem_read(void *ctx, u64 pa, void *dst, u32 len)
{
	if (pa < MEM_BASE || pa + len > MEM_BASE + sizeof(memory))
		return -EFAULT;
	memcpy(dst, memory + (pa - MEM_BASE), len);
	return 0;
}

static int mem_write(void *ctx, u64 pa, const void *src, u32 len)
{
	if (pa < MEM_BASE || pa + len > MEM_BASE + sizeof(memory))
		return -EFAULT;
	memcpy(memory + (pa - MEM_BASE), src, len);
	return 0;
}

static int mem_cmpxchg(void *ctx, u64 pa, u64 old, u64 new_value, u32 bytes)
{
	u64 now = 0;

	if (mem_read(ctx, pa, &now, bytes))
		return -EFAULT;
	if (races) {
		races--;
		return -EAGAIN;
	}
	if (now != old)
		return -EAGAIN;
	return mem_write(ctx, pa, &new_value, bytes);
}

static const struct hw_mem mem = { .read = mem_read, .write = mem_write, .cmpxchg = mem_cmpxchg };

static u64 get(u64 pa)
{
	u64 value;

	assert_int_equal(mem_read(NULL, pa, &value, 8), 0);
	return value;
}

static void put(u64 pa, u64 value)
{
	assert_int_equal(mem_write(NULL, pa, &value, 8), 0);
}

static void put4(u64 pa, u32 value)
{
	assert_int_equal(mem_write(NULL, pa, &value, 4), 0);
}

static struct hw_cpu *cpu;

static int setup(void **state)
{
	memset(memory, 0, sizeof(memory));
	races = 0;
	cpu = hw_cpu_create(&mem, 64);
	return cpu ? 0 : -1;
}

static int teardown(void **state)
{
	hw_cpu_destroy(cpu);
	return 0;
}

/* For tests that are made of many. */
static void fresh(void)
{
	teardown(NULL);
	assert_int_equal(setup(NULL), 0);
}

#define PG (1ULL << 31)
#define WP (1ULL << 16)
#define PSE (1ULL << 4)
#define PAE (1ULL << 5)
#define LA57 (1ULL << 12)
#define SMEP (1ULL << 20)
#define SMAP (1ULL << 21)
#define LMA (1ULL << 10)
#define NXE (1ULL << 11)
#define NX (1ULL << 63)

static struct hw_result go(const struct hw_state *s, u64 addr, const char *how, u64 value)
{
	struct hw_access a = { .addr = addr, .bytes = 8, .value = value };
	struct hw_result r;

	for (; *how; how++) {
		a.write |= *how == 'w' || *how == 'm';
		a.rmw |= *how == 'm';
		a.fetch |= *how == 'x';
		a.user |= *how == 'u';
	}
	hw_cpu_access(cpu, s, &a, &r);
	return r;
}

/* --- the guest's own tables, alone --- */

/* 4-level: entries at each level for address 0, tables in pages 1.. and data in page 9. */
struct x86_case {
	const char *name;
	u64 cr0, cr4, efer;
	bool ac, amd, gbpages;
	u64 e[5]; /* bits by level - 1, address added unless 0; level 5 only with LA57 */
	u32 leaf; /* level of the leaf */
	const char *how;
	enum hw_exit exit;
	u64 error; /* of a fault */
};

#define P 1ULL
#define RW 3ULL
#define US 7ULL
#define PS 0x80ULL
#define BIT(n) (1ULL << (n))

static const struct x86_case x86_cases[] = {
	{ "read", WP, 0, NXE, .e = { US, US, US, US }, .leaf = 1, .how = "u", .exit = HW_DONE },
	{ "not present", WP, 0, NXE, .e = { 0, US, US, US }, .leaf = 1, .how = "", .exit = HW_FAULT_PF,
	  .error = 0 },
	{ "not present uw", WP, 0, NXE, .e = { 0, US, US, US }, .leaf = 1, .how = "uw", .exit = HW_FAULT_PF,
	  .error = 6 },
	{ "not present above", WP, 0, NXE, .e = { US, US, BIT(7) | NX, US }, .leaf = 1, .how = "u",
	  .exit = HW_FAULT_PF, .error = 4 },
	{ "user on supervisor", WP, 0, NXE, .e = { US, RW, US, US }, .leaf = 1, .how = "u",
	  .exit = HW_FAULT_PF, .error = 5 },
	{ "write, WP", WP, 0, NXE, .e = { P, RW, RW, RW }, .leaf = 1, .how = "w", .exit = HW_FAULT_PF,
	  .error = 3 },
	{ "write, no WP", 0, 0, NXE, .e = { P, RW, RW, RW }, .leaf = 1, .how = "w", .exit = HW_DONE },
	{ "user write, no WP", 0, 0, NXE, .e = { P | 4, US, US, US }, .leaf = 1, .how = "uw",
	  .exit = HW_FAULT_PF, .error = 7 },
	{ "write denied above", WP, 0, NXE, .e = { RW, RW, P, RW }, .leaf = 1, .how = "w",
	  .exit = HW_FAULT_PF, .error = 3 },
	{ "fetch NX", WP, 0, NXE, .e = { US | NX, US, US, US }, .leaf = 1, .how = "ux", .exit = HW_FAULT_PF,
	  .error = 0x15 },
	{ "fetch NX above", WP, 0, NXE, .e = { US, US, US, US | NX }, .leaf = 1, .how = "x",
	  .exit = HW_FAULT_PF, .error = 0x11 },
	{ "read NX", WP, 0, NXE, .e = { US | NX, US, US, US }, .leaf = 1, .how = "u", .exit = HW_DONE },
	{ "NX without NXE", WP, 0, 0, .e = { US | NX, US, US, US }, .leaf = 1, .how = "u",
	  .exit = HW_FAULT_PF, .error = 0xd },
	{ "fetch without NXE: no I", WP, 0, 0, .e = { 0, US, US, US }, .leaf = 1, .how = "ux",
	  .exit = HW_FAULT_PF, .error = 4 },
	{ "fetch with SMEP: I", WP, SMEP, 0, .e = { 0, US, US, US }, .leaf = 1, .how = "ux",
	  .exit = HW_FAULT_PF, .error = 0x14 },
	{ "SMEP", WP, SMEP, NXE, .e = { US, US, US, US }, .leaf = 1, .how = "x", .exit = HW_FAULT_PF,
	  .error = 0x11 },
	{ "SMEP, supervisor page", WP, SMEP, NXE, .e = { RW, US, US, US }, .leaf = 1, .how = "x",
	  .exit = HW_DONE },
	{ "SMAP", WP, SMAP, NXE, .e = { US, US, US, US }, .leaf = 1, .how = "", .exit = HW_FAULT_PF,
	  .error = 1 },
	{ "SMAP write", WP, SMAP, NXE, .e = { US, US, US, US }, .leaf = 1, .how = "w", .exit = HW_FAULT_PF,
	  .error = 3 },
	{ "SMAP, AC", WP, SMAP, NXE, .ac = true, .e = { US, US, US, US }, .leaf = 1, .how = "",
	  .exit = HW_DONE },
	{ "SMAP, fetch", WP, SMAP, NXE, .e = { US, US, US, US }, .leaf = 1, .how = "x", .exit = HW_DONE },
	{ "SMAP, user", WP, SMAP, NXE, .e = { US, US, US, US }, .leaf = 1, .how = "u", .exit = HW_DONE },
	{ "frame beyond MAXPHYADDR", WP, 0, NXE, .e = { US | BIT(46), US, US, US }, .leaf = 1, .how = "",
	  .exit = HW_FAULT_PF, .error = 9 },
	{ "bit 52 is ignored", WP, 0, NXE, .e = { US | BIT(52), US, US | BIT(62), US }, .leaf = 1, .how = "u",
	  .exit = HW_DONE },
	{ "bit 7 at level 4", WP, 0, NXE, .e = { US, US, US, US | PS }, .leaf = 1, .how = "w",
	  .exit = HW_FAULT_PF, .error = 0xb },
	{ "bit 8 at level 4, Intel", WP, 0, NXE, .e = { US, US, US, US | BIT(8) }, .leaf = 1, .how = "u",
	  .exit = HW_DONE },
	{ "bit 8 at level 4, AMD", WP, 0, NXE, .amd = true, .e = { US, US, US, US | BIT(8) }, .leaf = 1,
	  .how = "u", .exit = HW_FAULT_PF, .error = 0xd },
	{ "2M", WP, 0, NXE, .e = { 0, US | PS, US, US }, .leaf = 2, .how = "uw", .exit = HW_DONE },
	{ "2M, bit 13", WP, 0, NXE, .e = { 0, US | PS | BIT(13), US, US }, .leaf = 2, .how = "u",
	  .exit = HW_FAULT_PF, .error = 0xd },
	{ "2M, bit 20", WP, 0, NXE, .e = { 0, US | PS | BIT(20), US, US }, .leaf = 2, .how = "u",
	  .exit = HW_FAULT_PF, .error = 0xd },
	{ "2M, bit 12 is PAT", WP, 0, NXE, .e = { 0, US | PS | BIT(12), US, US }, .leaf = 2, .how = "u",
	  .exit = HW_DONE },
	{ "1G without support", WP, 0, NXE, .e = { 0, 0, US | PS, US }, .leaf = 3, .how = "u",
	  .exit = HW_FAULT_PF, .error = 0xd },
	{ "1G, bit 29", WP, 0, NXE, .gbpages = true, .e = { 0, 0, US | PS | BIT(29), US }, .leaf = 3,
	  .how = "u", .exit = HW_FAULT_PF, .error = 0xd },
	{ "1G", WP, 0, NXE, .gbpages = true, .e = { 0, 0, US | PS, US }, .leaf = 3, .how = "u",
	  .exit = HW_DONE },
	{ "5 levels", WP, LA57, NXE, .e = { US, US, US, US, US }, .leaf = 1, .how = "u", .exit = HW_DONE },
	{ "5 levels, none at the top", WP, LA57, NXE, .e = { US, US, US, US, 0 }, .leaf = 1, .how = "u",
	  .exit = HW_FAULT_PF, .error = 4 },
	{ "5 levels, bit 7 at the top", WP, LA57, NXE, .e = { US, US, US, US, US | PS }, .leaf = 1,
	  .how = "u", .exit = HW_FAULT_PF, .error = 0xd },
};

/* Table of level l lies in page l; the leaf maps page 0x30 of memory or, if large, all from address 0. */
static u64 x86_target(const struct x86_case *c, u32 level)
{
	if (level > c->leaf)
		return PAGE(level - 1);
	return level == 1 ? PAGE(0x30) : 0;
}

static void x86_long_mode(void **state)
{
	for (u32 i = 0; i < sizeof(x86_cases) / sizeof(x86_cases[0]); i++) {
		const struct x86_case *c = &x86_cases[i];
		u32 top = c->cr4 & LA57 ? 5 : 4;
		bool wrote = strchr(c->how, 'w');
		struct hw_state s = { .cr0 = c->cr0 | PG,
				      .cr3 = PAGE(top),
				      .cr4 = c->cr4 | PAE,
				      .efer = c->efer | LMA,
				      .ac = c->ac,
				      .amd = c->amd,
				      .gbpages = c->gbpages,
				      .phys_bits = 46 };
		struct hw_result r;

		fresh();
		for (u32 l = 1; l <= 5; l++)
			if (c->e[l - 1])
				put(PAGE(l) + (l == 1 ? 0x130 * 8 : 0), c->e[l - 1] | x86_target(c, l));
		/* Large pages map memory itself: address = MEM_BASE + 0x30 pages. */
		r = go(&s, PAGE(0x30), c->how, 0x55);
		if (r.exit != c->exit || (c->exit == HW_FAULT_PF && r.qual != c->error))
			fail_msg("%s: exit %d error 0x%llx", c->name, r.exit, (unsigned long long)r.qual);
		for (u32 l = c->leaf; l <= top; l++) {
			u64 e = get(PAGE(l) + (l == 1 ? 0x130 * 8 : 0));
			u64 want = c->exit == HW_DONE ? 0x20 | (l == c->leaf && wrote ? 0x40 : 0) : 0;

			if ((e & 0x60) != want)
				fail_msg("%s: level %u has A/D 0x%llx", c->name, l,
					 (unsigned long long)e & 0x60);
		}
		if (c->exit == HW_DONE) {
			assert_int_equal(r.pa, PAGE(0x30));
			assert_int_equal(get(PAGE(0x30)), wrote ? 0x55 : 0);
		} else {
			assert_int_equal(r.addr, PAGE(0x30));
			assert_int_equal(hw_cpu_tlb_used(cpu), 0);
		}
	}
}

static void x86_32_bit(void **state)
{
	struct hw_state s = { .cr0 = PG | WP, .cr3 = PAGE(2), .phys_bits = 46 };
	u64 addr = 0x00c30000;
	struct hw_result r;

	/* Directory entry 3 -> table; entry 0x30 of it. Addresses are cut to 32 bits. */
	put4(PAGE(2) + 3 * 4, PAGE(3) | 7);
	put4(PAGE(3) + 0x30 * 4, PAGE(7) | 7);
	r = go(&s, addr | 1ULL << 40, "uw", 0x77);
	assert_int_equal(r.exit, HW_DONE);
	assert_int_equal(r.pa, PAGE(7));
	assert_int_equal(r.addr, addr);
	assert_int_equal(get(PAGE(2) + 8) >> 32, PAGE(3) | 0x27);
	assert_int_equal(get(PAGE(3) + 0x30 * 4) & 0xffffffff, PAGE(7) | 0x67);
	/* Bit 7 of a directory entry is ignored without CR4.PSE. */
	put4(PAGE(2) + 3 * 4, PAGE(3) | 7 | PS);
	hw_cpu_flush(cpu);
	assert_int_equal(go(&s, addr, "u", 0).exit, HW_DONE);
	/* With it: 4 MiB, and reserved bits 21:17. PAGE(3) has bit 20 set. */
	s.cr4 = PSE;
	hw_cpu_flush(cpu);
	r = go(&s, addr, "u", 0);
	assert_int_equal(r.exit, HW_FAULT_PF);
	assert_int_equal(r.qual, 0xd);
	put4(PAGE(2), 7 | PS);
	r = go(&s, PAGE(5) + 8, "u", 0);
	assert_int_equal(r.exit, HW_DONE);
	assert_int_equal(r.pa, PAGE(5) + 8);
	/* PSE-36: bits 16:13 are address bits 35:32. */
	put4(PAGE(2) + 4, 7 | PS | 1 << 13);
	r = go(&s, 0x400000, "u", 0);
	assert_int_equal(r.exit, HW_MEM_ERROR);
	assert_int_equal(r.pa, 1ULL << 32);
}

static void x86_pae(void **state)
{
	/* PDPTEs come from registers: the third gigabyte is there, its rights do not matter. */
	struct hw_state s = { .cr0 = PG | WP,
			      .cr4 = PAE,
			      .efer = NXE,
			      .cr3 = PAGE(1),
			      .phys_bits = 40,
			      .pdpte = { 0, 0, PAGE(2) | 1 } };
	struct hw_result r;

	put(PAGE(2), PAGE(3) | 7);
	put(PAGE(3), PAGE(4) | 7);
	r = go(&s, 0x80000000, "uw", 1);
	assert_int_equal(r.exit, HW_DONE);
	assert_int_equal(r.pa, PAGE(4));
	r = go(&s, 0, "u", 0);
	assert_int_equal(r.exit, HW_FAULT_PF);
	assert_int_equal(r.qual, 4);
	/* Bits 62:52 are reserved here, and in no 64-bit table. */
	put(PAGE(3) + 8, PAGE(4) | 7 | BIT(52));
	r = go(&s, 0x80001000, "u", 0);
	assert_int_equal(r.exit, HW_FAULT_PF);
	assert_int_equal(r.qual, 0xd);
}

static void x86_no_paging(void **state)
{
	struct hw_state s = { .phys_bits = 46 };
	struct hw_result r;

	put(PAGE(3), 0x99);
	r = go(&s, PAGE(3), "", 0);
	assert_int_equal(r.exit, HW_DONE);
	assert_int_equal(r.value, 0x99);
	assert_int_equal(go(&s, 0x1000, "", 0).exit, HW_MEM_ERROR);
}

static void a_race_is_walked_again(void **state)
{
	struct hw_state s = { .cr0 = PG | WP, .cr4 = PAE, .efer = LMA, .cr3 = PAGE(4), .phys_bits = 46 };

	for (u32 l = 1; l <= 4; l++)
		put(PAGE(l), PAGE(l - 1) | 7);
	races = 3;
	assert_int_equal(go(&s, 0, "w", 5).exit, HW_DONE);
	assert_int_equal(races, 0);
	assert_int_equal(get(PAGE(1)) & 0x60, 0x60);
}

/* --- EPT --- */

#define ROOT PAGE(14)
#define EPT_TABLE(l) PAGE(10 + (l))

/* GPA 0 -> page 0x20 through tables of pages 11..15; 2M and 1G leaves map address 0. */
static void ept_build(u32 leaf, u64 bits)
{
	for (u32 l = 5; l > leaf; l--)
		put(EPT_TABLE(l), EPT_TABLE(l - 1) | 7);
	put(EPT_TABLE(leaf), bits);
}

static struct hw_state ept_state(bool ad)
{
	return (struct hw_state){ .stage = HW_STAGE_EPT,
				  .root_pa = ROOT,
				  .levels = 4,
				  .phys_bits = 46,
				  .ept_ad = ad,
				  .gbpages = true };
}

/*
 * Every RWX at every level against every access, with and without execute-only and A/D (SEMANTICS I 14). What
 * is expected is said by the manual's sentences, not by a table walk.
 */
static void ept_rights(void **state)
{
	static const struct {
		const char *how;
		u32 needs;
	} accesses[] = { { "", 1 }, { "w", 2 }, { "m", 3 }, { "x", 4 } };
	u32 done = 0, violations = 0, misconfigs = 0;

	for (u32 level = 1; level <= 4; level++) {
		for (u32 rwx = 0; rwx < 8; rwx++) {
			for (u32 i = 0; i < 4 * 4; i++) {
				struct hw_state s = ept_state(i & 4);
				u32 needs = accesses[i & 3].needs;
				struct hw_result r;
				bool bad;

				s.exec_only = i & 8;
				fresh();
				ept_build(1, PAGE(0x20) | 0x30 | 7);
				put(EPT_TABLE(level), (get(EPT_TABLE(level)) & ~7ULL) | rwx);
				r = go(&s, 0, accesses[i & 3].how, 7);
				bad = rwx == 2 || rwx == 6 || (rwx == 4 && !s.exec_only);
				if (bad) {
					assert_int_equal(r.exit, HW_EXIT_EPT_MISCONFIG);
					misconfigs++;
				} else if (needs & ~rwx) {
					assert_int_equal(r.exit, HW_EXIT_EPT_VIOLATION);
					assert_int_equal(r.qual, needs | rwx << 3 | 0x180);
					violations++;
				} else {
					assert_int_equal(r.exit, HW_DONE);
					assert_int_equal(r.pa, PAGE(0x20));
					done++;
				}
				for (u32 l = 1; l <= 4; l++) {
					u64 want = r.exit == HW_DONE && s.ept_ad
							   ? 0x100 | (l == 1 && (needs & 2) ? 0x200 : 0)
							   : 0;

					assert_int_equal(get(EPT_TABLE(l)) & 0x300, want);
				}
			}
		}
	}
	assert_true(done > 100 && violations > 100 && misconfigs > 100);
}

struct ept_case {
	const char *name;
	u32 level; /* of the entry */
	u64 bits;
	bool no_gbpages;
	enum hw_exit exit;
};

static const struct ept_case ept_cases[] = {
	{ "memory type 2", 1, 0x17, .exit = HW_EXIT_EPT_MISCONFIG },
	{ "memory type 3", 1, 0x1f, .exit = HW_EXIT_EPT_MISCONFIG },
	{ "memory type 7", 1, 0x3f, .exit = HW_EXIT_EPT_MISCONFIG },
	{ "memory type 1", 1, 0x0f, .exit = HW_MEM_ERROR },
	{ "memory type 5 at 2M", 2, 0xaf, .exit = HW_MEM_ERROR },
	{ "bit 46", 1, 0x37 | BIT(46), .exit = HW_EXIT_EPT_MISCONFIG },
	{ "bit 51 at level 3", 3, 0x07 | BIT(51), .exit = HW_EXIT_EPT_MISCONFIG },
	{ "bit 52", 1, 0x37 | BIT(52), .exit = HW_MEM_ERROR },
	{ "bit 63", 1, 0x37 | BIT(63), .exit = HW_MEM_ERROR },
	{ "bit 7 in a 4K entry", 1, 0xb7, .exit = HW_MEM_ERROR },
	{ "bit 3 in a table entry", 2, 0x0f, .exit = HW_EXIT_EPT_MISCONFIG },
	{ "bit 6 in a table entry", 4, 0x47, .exit = HW_EXIT_EPT_MISCONFIG },
	{ "bit 7 at level 4", 4, 0x87, .exit = HW_EXIT_EPT_MISCONFIG },
	{ "bits 9, 10, 11 in a table entry", 3, 0xe07, .exit = HW_MEM_ERROR },
	{ "2M, bit 12", 2, 0xb7 | BIT(12), .exit = HW_EXIT_EPT_MISCONFIG },
	{ "2M, bit 20 (B4)", 2, 0xb7 | BIT(20), .exit = HW_EXIT_EPT_MISCONFIG },
	{ "2M, bit 21", 2, 0xb7 | BIT(21), .exit = HW_MEM_ERROR },
	{ "1G, bit 29 (B4)", 3, 0xb7 | BIT(29), .exit = HW_EXIT_EPT_MISCONFIG },
	{ "1G, bit 30", 3, 0xb7 | BIT(30), .exit = HW_MEM_ERROR },
	{ "1G without support", 3, 0xb7, .no_gbpages = true, .exit = HW_EXIT_EPT_MISCONFIG },
	{ "not present with reserved bits", 2, BIT(51) | 0x78, .exit = HW_EXIT_EPT_VIOLATION },
};

/* Addresses are chosen to lead out of memory when the entry is taken: that is the third answer. */
static void ept_reserved(void **state)
{
	for (u32 i = 0; i < sizeof(ept_cases) / sizeof(ept_cases[0]); i++) {
		const struct ept_case *c = &ept_cases[i];
		struct hw_state s = ept_state(true);
		struct hw_result r;

		s.gbpages = !c->no_gbpages;
		fresh();
		ept_build(c->level, c->bits);
		r = go(&s, 0x18, "w", 0);
		if (r.exit != c->exit)
			fail_msg("%s: exit %d", c->name, r.exit);
		if (c->exit != HW_MEM_ERROR)
			assert_int_equal(r.gpa, 0x18);
	}
}

/* An upper entry that is not present hides a bad one below (SEMANTICS I 40). */
static void ept_not_present_first(void **state)
{
	struct hw_state s = ept_state(false);
	struct hw_result r;

	ept_build(1, PAGE(0x20) | 2);
	put(EPT_TABLE(3), EPT_TABLE(2));
	r = go(&s, 0, "", 0);
	assert_int_equal(r.exit, HW_EXIT_EPT_VIOLATION);
	assert_int_equal(r.qual, 0x181);
}

static void ept_widths(void **state)
{
	struct hw_state s = ept_state(false);

	ept_build(1, PAGE(0x20) | 0x37);
	assert_int_equal(go(&s, 0, "", 0).exit, HW_DONE);
	s.cr0 = PG | WP;
	s.cr4 = PAE;
	s.efer = LMA;
	s.cr3 = 1ULL << 47;
	hw_cpu_flush(cpu);
	/* Four levels translate 48 bits; the table's address has one more in the next case. */
	assert_int_equal(go(&s, 0, "", 0).qual, 0x081);
	s.cr3 = 1ULL << 48;
	assert_int_equal(go(&s, 0x5000, "", 0).qual, 0x081);
	s.cr0 = 0;
	s.levels = 5;
	s.root_pa = PAGE(15);
	hw_cpu_flush(cpu);
	assert_int_equal(go(&s, 0, "w", 3).exit, HW_DONE);
	assert_int_equal(get(PAGE(0x20)), 3);
}

/*
 * D2: the guest's table in a page that EPT maps with `rights', A/D on and off, the guest's A and D preset or
 * not. GPA page n is memory page n, but for page 3, the guest's last table.
 */
static void ept_guest_tables(void **state)
{
	for (u32 i = 0; i < 16; i++) {
		bool ad = i & 1, preset = i & 2, write = i & 4, writable = i & 8;
		struct hw_state s = ept_state(ad);
		u64 flags = preset ? 0x60 : 0;
		struct hw_result r;

		fresh();
		ept_build(1, 0);
		for (u32 p = 0; p < 9; p++)
			put(EPT_TABLE(1) + p * 8, PAGE(p) | 0x37);
		put(EPT_TABLE(1) + 3 * 8, PAGE(3) | 0x30 | (writable ? 7 : 5));
		s.cr0 = PG | WP;
		s.cr4 = PAE;
		s.efer = LMA;
		s.cr3 = 6 << 12;
		put(PAGE(6), 5 << 12 | 7 | flags);
		put(PAGE(5), 4 << 12 | 7 | flags);
		put(PAGE(4), 3 << 12 | 7 | flags);
		put(PAGE(3), 2 << 12 | 7 | flags);
		r = go(&s, 0x10, write ? "w" : "", 0x42);
		if (writable || (!ad && preset)) {
			assert_int_equal(r.exit, HW_DONE);
			assert_int_equal(r.pa, PAGE(2) + 0x10);
			assert_int_equal(get(PAGE(3)) & 0x60, preset ? 0x60 : write ? 0x60 : 0x20);
			/* A table read counts as a write of its page. */
			if (ad)
				assert_int_equal(get(EPT_TABLE(1) + 5 * 8) & 0x300, 0x300);
		} else {
			assert_int_equal(r.exit, HW_EXIT_EPT_VIOLATION);
			assert_int_equal(r.gpa, 0x3000);
			assert_int_equal(r.qual, 0x3 | 5 << 3 | 0x80);
			assert_int_equal(get(PAGE(3)) & 0x60, flags);
		}
	}
}

/* --- PML --- */

static void pml(void **state)
{
	struct hw_state s = ept_state(true);
	u16 index = 511;
	struct hw_result r;

	ept_build(1, PAGE(0x20) | 0x37);
	put(EPT_TABLE(1) + 8, PAGE(0x21) | 0x37);
	s.pml = true;
	s.pml_pa = PAGE(0x2f);
	s.pml_index = &index;
	assert_int_equal(go(&s, 0x10, "", 0).exit, HW_DONE);
	assert_int_equal(index, 511);
	assert_int_equal(go(&s, 0x123, "w", 1).exit, HW_DONE);
	assert_int_equal(index, 510);
	assert_int_equal(get(PAGE(0x2f) + 511 * 8), 0);
	assert_int_equal(go(&s, 0x18, "w", 1).exit, HW_DONE);
	assert_int_equal(index, 510);
	index = 0;
	assert_int_equal(go(&s, 0x1ff8, "w", 1).exit, HW_DONE);
	assert_int_equal(index, 0xffff);
	assert_int_equal(get(PAGE(0x2f)), 0x1000);
	/* Full: before D is set, and before the data is stored. */
	put(EPT_TABLE(1), PAGE(0x20) | 0x37 | 0x100);
	hw_cpu_flush(cpu);
	r = go(&s, 0x20, "w", 0xabc);
	assert_int_equal(r.exit, HW_EXIT_PML_FULL);
	assert_int_equal(get(EPT_TABLE(1)) & 0x300, 0x100);
	assert_int_equal(get(PAGE(0x20) + 0x20), 0);
	index = 511;
	assert_int_equal(go(&s, 0x20, "w", 0xabc).exit, HW_DONE);
	assert_int_equal(get(EPT_TABLE(1)) & 0x300, 0x300);
	/* D that is set already needs no log. */
	index = 0xffff;
	hw_cpu_flush(cpu);
	assert_int_equal(go(&s, 0x20, "w", 1).exit, HW_DONE);
}

/* --- NPT --- */

struct npt_case {
	const char *name;
	u64 leaf; /* bits of the leaf of the data page */
	u64 table; /* bits of the leaf of the guest's last table */
	const char *how;
	enum hw_exit exit;
	u64 info;
};

/* SEMANTICS D.4 */
static const struct npt_case npt_cases[] = {
	{ "not present read", 0, 7, "", HW_EXIT_NPF, 0x100000004 },
	{ "NX", 7 | NX, 7, "x", HW_EXIT_NPF, 0x100000015 },
	{ "U = 0", 3, 7, "", HW_EXIT_NPF, 0x100000005 },
	{ "write", 5, 7, "w", HW_EXIT_NPF, 0x100000007 },
	{ "table not writable", 7, 5, "", HW_EXIT_NPF, 0x200000007 },
	{ "table not present", 7, 0, "", HW_EXIT_NPF, 0x200000006 },
	{ "reserved", 7 | BIT(50), 7, "", HW_EXIT_NPF, 0x10000000d },
	{ "fine", 7, 7, "w", HW_DONE, 0 },
};

static void npt(void **state)
{
	for (u32 i = 0; i < sizeof(npt_cases) / sizeof(npt_cases[0]); i++) {
		const struct npt_case *c = &npt_cases[i];
		struct hw_state s = { .cr0 = PG | WP,
				      .cr3 = 6 << 12,
				      .cr4 = PAE,
				      .efer = LMA | NXE,
				      .stage = HW_STAGE_NPT,
				      .root_pa = ROOT,
				      .levels = 4,
				      .phys_bits = 46,
				      .npt_nx = true,
				      .amd = true };
		struct hw_result r;

		fresh();
		ept_build(1, 0);
		for (u32 p = 0; p < 9; p++)
			put(EPT_TABLE(1) + p * 8, PAGE(p) | 7);
		put(EPT_TABLE(1) + 2 * 8, c->leaf ? PAGE(2) | c->leaf : 0);
		put(EPT_TABLE(1) + 3 * 8, c->table ? PAGE(3) | c->table : 0);
		for (u32 l = 4; l >= 1; l--)
			put(PAGE(l + 2), (l + 1) << 12 | 7);
		r = go(&s, 0x10, c->how, 0x42);
		if (r.exit != c->exit || (c->exit == HW_EXIT_NPF && r.qual != c->info))
			fail_msg("%s: exit %d info 0x%llx", c->name, r.exit, (unsigned long long)r.qual);
		if (c->exit == HW_EXIT_NPF)
			assert_int_equal(r.gpa, c->info >> 33 ? 0x3000 : 0x2010);
		if (c->exit == HW_DONE) {
			assert_int_equal(get(EPT_TABLE(1) + 3 * 8) & 0x60, 0x60);
			assert_int_equal(get(EPT_TABLE(1) + 2 * 8) & 0x60, 0x60);
			assert_int_equal(get(EPT_TABLE(2)) & 0x60, 0x20);
		}
	}
}

/* A PAE guest on NPT: its PDPTEs are read from memory, by each walk. */
static void npt_pae_guest(void **state)
{
	struct hw_state s = { .cr0 = PG,
			      .cr3 = 6 << 12 | 0x20,
			      .cr4 = PAE,
			      .stage = HW_STAGE_NPT,
			      .root_pa = ROOT,
			      .levels = 4,
			      .phys_bits = 46,
			      .pdpte = { 0 } };

	ept_build(1, 0);
	for (u32 p = 0; p < 9; p++)
		put(EPT_TABLE(1) + p * 8, PAGE(p) | 7);
	put(PAGE(6) + 0x20 + 8, 5 << 12 | 1);
	put(PAGE(5), 4 << 12 | 7);
	put(PAGE(4), 2 << 12 | 7);
	assert_int_equal(go(&s, 0x40000000, "u", 0).pa, PAGE(2));
	put(PAGE(6) + 0x20 + 8, 0);
	hw_cpu_flush(cpu);
	assert_int_equal(go(&s, 0x40000000, "u", 0).exit, HW_FAULT_PF);
}

/* --- TLB --- */

static void tlb(void **state)
{
	struct hw_state s = ept_state(true), other;
	struct hw_result r;

	ept_build(1, PAGE(0x20) | 0x37);
	s.tag = 1;
	r = go(&s, 8, "", 0);
	assert_false(r.tlb_hit);
	assert_int_equal(hw_cpu_tlb_used(cpu), 1);
	/* What is cached holds though the table says otherwise now. */
	put(EPT_TABLE(1), 0);
	r = go(&s, 16, "", 0);
	assert_true(r.tlb_hit);
	assert_int_equal(r.pa, PAGE(0x20) + 16);
	/* A write through a clean translation walks again, for D. */
	assert_int_equal(go(&s, 8, "w", 0).exit, HW_EXIT_EPT_VIOLATION);
	/* ... and that forgot it. */
	assert_int_equal(go(&s, 8, "", 0).exit, HW_EXIT_EPT_VIOLATION);
	put(EPT_TABLE(1), PAGE(0x20) | 0x37);
	assert_int_equal(go(&s, 8, "w", 1).exit, HW_DONE);
	assert_int_equal(get(EPT_TABLE(1)) & 0x200, 0x200);
	/*
	 * Dirty already: the D bit taken away is not seen before a flush. That is what clear-dirty must flush
	 * for.
	 */
	put(EPT_TABLE(1), PAGE(0x20) | 0x37);
	r = go(&s, 8, "w", 2);
	assert_true(r.tlb_hit);
	assert_int_equal(get(EPT_TABLE(1)) & 0x200, 0);
	/* Another tag shares nothing; flushes are by tag, by page, or of all. */
	other = s;
	other.tag = 2;
	assert_false(go(&other, 8, "", 0).tlb_hit);
	hw_cpu_flush_tag(cpu, 2);
	assert_true(go(&s, 8, "", 0).tlb_hit);
	hw_cpu_flush_page(cpu, 1, 0x5000);
	assert_true(go(&s, 8, "", 0).tlb_hit);
	hw_cpu_flush_page(cpu, 1, 0xff0);
	assert_false(go(&s, 8, "", 0).tlb_hit);
	assert_false(go(&other, 8, "", 0).tlb_hit);
	hw_cpu_flush_linear(cpu, 0x1000);
	assert_true(go(&other, 8, "", 0).tlb_hit);
	hw_cpu_flush_linear(cpu, 0x10);
	assert_false(go(&other, 8, "", 0).tlb_hit);
	assert_false(go(&s, 8, "", 0).tlb_hit);
	hw_cpu_flush(cpu);
	assert_int_equal(hw_cpu_tlb_used(cpu), 0);
}

/* Rights are judged anew: CR0.WP and EFLAGS.AC need no flush. INVLPG forgets all of a large page. */
static void tlb_rights(void **state)
{
	struct hw_state s = {
		.cr0 = PG, .cr3 = PAGE(4), .cr4 = PAE | SMAP, .efer = LMA, .phys_bits = 46, .ac = true
	};

	for (u32 l = 2; l <= 4; l++)
		put(PAGE(l), PAGE(l - 1) | 7);
	put(PAGE(2), 0x80 | 5);
	assert_int_equal(go(&s, PAGE(0x20), "w", 1).exit, HW_DONE);
	assert_true(go(&s, PAGE(0x20), "w", 1).tlb_hit);
	assert_int_equal(go(&s, PAGE(0x21), "", 1).exit, HW_DONE);
	s.cr0 |= WP;
	assert_int_equal(go(&s, PAGE(0x20), "w", 1).exit, HW_FAULT_PF);
	assert_true(go(&s, PAGE(0x21), "", 1).tlb_hit);
	s.ac = false;
	assert_int_equal(go(&s, PAGE(0x21), "", 1).exit, HW_FAULT_PF);
	s.ac = true;
	assert_int_equal(go(&s, PAGE(0x21), "", 1).exit, HW_DONE);
	hw_cpu_flush_page(cpu, 0, PAGE(0x30));
	assert_int_equal(hw_cpu_tlb_used(cpu), 0);
}

static void rmw_and_sizes(void **state)
{
	struct hw_state s = { .phys_bits = 46 };
	struct hw_access a = { .addr = PAGE(3) + 4, .bytes = 2, .write = true, .rmw = true, .value = 0x1122 };
	struct hw_result r;

	put(PAGE(3), 0x8877665544332211);
	hw_cpu_access(cpu, &s, &a, &r);
	assert_int_equal(r.value, 0x6655);
	assert_int_equal(get(PAGE(3)), 0x8877112244332211);
	assert_null(hw_cpu_create(&mem, 48));
	hw_cpu_destroy(NULL);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(x86_long_mode),
		T(x86_32_bit),
		T(x86_pae),
		T(x86_no_paging),
		T(a_race_is_walked_again),
		T(ept_rights),
		T(ept_reserved),
		T(ept_not_present_first),
		T(ept_widths),
		T(ept_guest_tables),
		T(pml),
		T(npt),
		T(npt_pae_guest),
		T(tlb),
		T(tlb_rights),
		T(rmw_and_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
