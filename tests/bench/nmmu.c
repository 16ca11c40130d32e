// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the engine costs: a fault among few and among many mapped pages, an access, the memory of a shadow
 * page. In process, on a host that is one flat piece of memory, so that what is counted is the engine (and
 * the access loop of src/scenario where accesses are meant). It judges nothing.
 *
 *	nmmu fault KIND PAGES [6.1|6.12]
 *				cost of a fault when PAGES are mapped; KIND is one of the table below
 *	nmmu access		accesses a second through machine, CPU model and engine
 *	nmmu memory KIND PAGES	bytes held for a shadow page
 *
 * A line of output is one of scripts/bench: name, unit, value (median), least, most. Time is CLOCK_MONOTONIC,
 * which counts instructions in the lab (--icount). Elsewhere run it below valgrind --tool=callgrind
 * --toggle-collect=measured: only the sampled faults are counted then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "nmmu/nmmu.h"
#include "nmmu/types.h"
#include "scenario/machine.h"

#define SAMPLES 1001u
#define MAX_PAGES 1000000u

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "nmmu bench: %s\n", what);
	exit(1);
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

static int u64_cmp(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

/* Of nr values, which are sorted. */
static void print_line(const char *name, const char *unit, u64 *values, u32 nr)
{
	qsort(values, nr, sizeof(*values), u64_cmp);
	printf("%s %s %llu %llu %llu\n", name, unit, (unsigned long long)values[nr / 2],
	       (unsigned long long)values[0], (unsigned long long)values[nr - 1]);
}

/* --- a host: [0, FLAT_BYTES) of physical memory is one mapping; what is never touched costs nothing --- */

#define FLAT_BYTES (16ULL << 30)
#define GUEST_BYTES (10ULL << 30) /* the guest's at 0, the tables of the engine behind it */
#define HVA_BASE (1ULL << 40)
#define GUEST_TABLES_GFN ((5ULL << 30) >> 12) /* where the guest has its tables; data lies below */

struct flat {
	u8 *mem;
	u64 next; /* never given out from here on */
	u64 free[40]; /* lists through the pieces given back, by order; 0: none */
	u64 bytes; /* held by the engine */
	u64 next_table_gfn;
	u64 root_gfn;
};

/* As the kernel zeroes a page. */
static void zero(void *p, u64 bytes)
{
	u64 words = bytes / 8;

	asm volatile("rep stosq" : "+D"(p), "+c"(words) : "a"(0) : "memory");
}

/* A piece of 2^order bytes: one given back, or a new one. Slabs would cost about the same. */
static u64 piece_take(struct flat *f, u32 order)
{
	u64 at = f->free[order];

	if (at) {
		memcpy(&f->free[order], f->mem + at, 8);
	} else {
		at = (f->next + (1ULL << order) - 1) & ~((1ULL << order) - 1);
		f->next = at + (1ULL << order);
		if (f->next > FLAT_BYTES)
			fail("no memory");
	}
	f->bytes += 1ULL << order;
	zero(f->mem + at, 1ULL << order);
	return at;
}

static void piece_give(struct flat *f, u64 at, u32 order)
{
	memcpy(f->mem + at, &f->free[order], 8);
	f->free[order] = at;
	f->bytes -= 1ULL << order;
}

static int page_alloc(void *host, struct nmmu_page *ret)
{
	struct flat *f = host;

	ret->pa = piece_take(f, 12);
	ret->va = f->mem + ret->pa;
	return 0;
}

static void page_free(void *host, struct nmmu_page page)
{
	piece_give(host, page.pa, 12);
}

/* The order lies in a word before it, but not where that would double a page. */
static void *flat_alloc(void *host, size_t bytes)
{
	struct flat *f = host;
	bool page = bytes == 4096;
	u32 order = page ? 12 : 64 - __builtin_clzll(bytes + 15);
	u64 at = piece_take(f, order);

	if (page)
		return f->mem + at;
	memcpy(f->mem + at, &order, sizeof(order));
	return f->mem + at + 16;
}

static void flat_free(void *host, void *p)
{
	struct flat *f = host;
	u64 at = (u64)((u8 *)p - f->mem);
	u32 order = 12;

	if (at % 4096) {
		at -= 16;
		memcpy(&order, f->mem + at, sizeof(order));
	}
	piece_give(f, at, order);
}

static int hva_to_pfn(void *host, u64 hva, bool write, struct nmmu_pfn *ret)
{
	(void)host;
	(void)write;
	*ret = (struct nmmu_pfn){ .pfn = (hva - HVA_BASE) >> 12, .level = 1, .writable = true };
	return 0;
}

static int hva_to_pfn_fast(void *host, u64 hva, struct nmmu_pfn *ret)
{
	return hva_to_pfn(host, hva, true, ret);
}

static int flat_read(void *host, u64 hva, void *dst, u32 len)
{
	memcpy(dst, ((struct flat *)host)->mem + (hva - HVA_BASE), len);
	return 0;
}

static int flat_write(void *host, u64 hva, const void *src, u32 len)
{
	memcpy(((struct flat *)host)->mem + (hva - HVA_BASE), src, len);
	return 0;
}

static int flat_cmpxchg(void *host, u64 hva, u64 old, u64 new_value, u32 bytes)
{
	u64 *p = (u64 *)(((struct flat *)host)->mem + (hva - HVA_BASE));

	if (bytes != 8)
		fail("a table of 4-byte entries");
	return __atomic_compare_exchange_n(p, &old, new_value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
		       ? 0
		       : -EAGAIN;
}

static void flat_flush(void *host, struct nmmu_vcpu *vcpu)
{
	(void)host;
	(void)vcpu;
}

static const struct nmmu_ops flat_ops = {
	.page_alloc = page_alloc,
	.page_free = page_free,
	.alloc = flat_alloc,
	.free = flat_free,
	.hva_to_pfn = hva_to_pfn,
	.hva_to_pfn_fast = hva_to_pfn_fast,
	.read = flat_read,
	.write = flat_write,
	.cmpxchg = flat_cmpxchg,
	.flush = flat_flush,
};

/* --- kinds of faults --- */

struct kind {
	const char *name;
	enum ms_hv hv;
	bool nested; /* L2 on EPT12 or NPT12; else L1 on the direct map */
	u32 stride; /* distance of the addresses in pages; the frames lie densely */
	bool accessed; /* A and D are set in L1's entries: neighbours are mapped along */
};

static const struct kind kinds[] = {
	{ "npt", MS_HV_SVM, true, 1, false },	      { "ept", MS_HV_VMX, true, 1, false },
	{ "npt-table", MS_HV_SVM, true, 512, false }, { "ept-table", MS_HV_VMX, true, 512, false },
	{ "npt-prefetch", MS_HV_SVM, true, 1, true }, { "direct", MS_HV_VMX, false, 1, false },
};

#define X86_P 1ULL
#define X86_W 2ULL
#define X86_U 4ULL
#define X86_A (1ULL << 5)
#define X86_D (1ULL << 6)
#define EPT_RWX 7ULL
#define EPT_WB (6ULL << 3)
#define EPT_A (1ULL << 8)
#define EPT_D (1ULL << 9)
#define EPTP_WB_4_AD 0x5eULL

static u64 upper_bits(const struct kind *kind)
{
	return kind->hv == MS_HV_SVM ? X86_P | X86_W | X86_U | X86_A : EPT_RWX | EPT_A;
}

static u64 leaf_bits(const struct kind *kind)
{
	if (kind->hv == MS_HV_SVM)
		return X86_P | X86_W | X86_U | (kind->accessed ? X86_A | X86_D : 0);
	return EPT_RWX | EPT_WB | (kind->accessed ? EPT_A | EPT_D : 0);
}

/* L1 maps addr to gfn, in the tables behind root_gfn. */
static void guest_map(struct flat *f, const struct kind *kind, u64 addr, u64 gfn)
{
	u64 table = f->root_gfn, *entry;

	for (u32 level = 4; level > 1; level--) {
		entry = (u64 *)(f->mem + (table << 12)) + (addr >> (12 + 9 * (level - 1)) & 511);
		if (!*entry)
			*entry = f->next_table_gfn++ << 12 | upper_bits(kind);
		table = *entry >> 12 & ((1ULL << 40) - 1);
	}
	((u64 *)(f->mem + (table << 12)))[addr >> 12 & 511] = gfn << 12 | leaf_bits(kind);
}

struct bench {
	struct flat flat;
	const struct kind *kind;
	struct nmmu *m;
	struct nmmu_vcpu *v;
	u32 *order; /* of the pages: index by page */
	u32 nr;
};

static u64 addr_of(const struct bench *b, u32 page)
{
	return (u64)page * b->kind->stride << 12;
}

static void bench_enter(struct bench *b)
{
	static const struct nmmu_regs l1 = { .cr0 = 0x80010033, .cr3 = 0x1000, .cr4 = 0x6a0, .efer = 0xd01 };
	struct nmmu_nested nested = { .l2 = l1 };
	struct nmmu_entry entry;

	if (nmmu_set_regs(b->v, &l1))
		fail("registers refused");
	if (b->kind->nested) {
		nested.kind = b->kind->hv == MS_HV_SVM ? NMMU_NESTED_NPT : NMMU_NESTED_EPT;
		nested.root = b->flat.root_gfn << 12 | (b->kind->hv == MS_HV_SVM ? 0 : EPTP_WB_4_AD);
		if (nmmu_nested_enter(b->v, &nested))
			fail("L2 cannot be entered");
	}
	if (nmmu_vcpu_load(b->v, &entry))
		fail("no root");
}

/* nr pages, mapped by L1 in its own tables; none in the engine's yet. */
static void bench_init(struct bench *b, const struct kind *kind, u32 nr, enum nmmu_kernel kernel)
{
	const struct nmmu_config cfg = {
		.hv = kind->hv,
		.kernel = kernel,
		.tdp = true,
		.ad = true,
		.mmio_caching = true,
		.phys_bits = 46,
		.guest_phys_bits = 46,
	};
	u64 seed = 88172645463325252ULL, touch;

	memset(b, 0, sizeof(*b));
	b->kind = kind;
	b->nr = nr;
	b->flat.mem = mmap(NULL, FLAT_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	b->order = calloc(nr, sizeof(*b->order));
	if (b->flat.mem == MAP_FAILED || !b->order)
		fail("no memory");
	b->flat.next = GUEST_BYTES;
	/* The host's own page faults are not to be counted. */
	touch = 64ULL << 20;
	if (kind->stride > 1)
		touch += nr * 10240ULL;
	for (u64 at = 0; at < touch; at += 4096)
		*(volatile u8 *)(b->flat.mem + GUEST_BYTES + at) = 0;
	b->flat.root_gfn = GUEST_TABLES_GFN;
	b->flat.next_table_gfn = GUEST_TABLES_GFN + 1;
	if (nmmu_create(&cfg, &flat_ops, &b->flat, &b->m) || nmmu_vcpu_create(b->m, &b->v))
		fail("no machine");
	if (nmmu_slot_set(b->m, 0, 0, 0, nr, HVA_BASE, 0) ||
	    nmmu_slot_set(b->m, 0, 1, GUEST_TABLES_GFN, 4096 + nr / 512 * kind->stride + 3 * kind->stride,
			  HVA_BASE + (GUEST_TABLES_GFN << 12), 0))
		fail("no slots");
	for (u32 i = 0; i < nr; i++) {
		guest_map(&b->flat, kind, addr_of(b, i), i);
		b->order[i] = i;
	}
	for (u32 i = nr - 1; i && !kind->accessed; i--) {
		u32 j, t;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		j = seed % (i + 1);
		t = b->order[i];
		b->order[i] = b->order[j];
		b->order[j] = t;
	}
	bench_enter(b);
}

static void bench_deinit(struct bench *b)
{
	nmmu_destroy(b->m);
	munmap(b->flat.mem, FLAT_BYTES);
	free(b->order);
}

/* A write that nothing maps yet. */
static int one_fault(struct bench *b, u32 page, struct nmmu_result *result)
{
	const struct nmmu_exit exit = {
		.kind = b->kind->hv == MS_HV_SVM ? NMMU_EXIT_NPF : NMMU_EXIT_EPT_VIOLATION,
		.info = b->kind->hv == MS_HV_SVM ? 0x100000006ULL : 0x182,
		.addr = addr_of(b, page),
	};

	return nmmu_handle_exit(b->v, &exit, result);
}

/* Not static, not inlined: callgrind is told its name. */
int measured(struct bench *b, u32 page, struct nmmu_result *result);
int __attribute__((noinline)) measured(struct bench *b, u32 page, struct nmmu_result *result)
{
	return one_fault(b, page, result);
}

static void check_fixed(int err, const struct nmmu_result *result)
{
	if (err || result->action != NMMU_ACT_RESUME || result->ret != NMMU_RET_FIXED)
		fail("a fault was not fixed");
}

/* What reading the clock costs, to be taken off. */
static u64 clock_cost(void)
{
	u64 cost[101];

	for (u32 i = 0; i < 101; i++) {
		u64 start = now_ns();

		cost[i] = now_ns() - start;
	}
	qsort(cost, 101, sizeof(cost[0]), u64_cmp);
	return cost[50];
}

static void bench_fault(const struct kind *kind, u32 pages, enum nmmu_kernel kernel)
{
	/* With neighbours mapped along, every eighth page faults. */
	u32 step = kind->accessed ? 8 : 1, rest = SAMPLES * step, i;
	u64 cost[SAMPLES], clock = clock_cost(), sum = 0, start;
	struct nmmu_result result;
	struct bench b;

	bench_init(&b, kind, pages + rest, kernel);
	for (i = 0; i < pages; i += step)
		check_fixed(one_fault(&b, b.order[i], &result), &result);
	for (u32 k = 0; k < SAMPLES; k++, i += step) {
		int err;

		start = now_ns();
		err = measured(&b, b.order[i], &result);
		cost[k] = now_ns() - start;
		cost[k] -= cost[k] < clock ? cost[k] : clock;
		sum += cost[k];
		check_fixed(err, &result);
	}
	/* Quartiles: the largest is a matter of the host's interrupts. */
	qsort(cost, SAMPLES, sizeof(cost[0]), u64_cmp);
	printf("median ns %llu %llu %llu\n", (unsigned long long)cost[SAMPLES / 2],
	       (unsigned long long)cost[SAMPLES / 4], (unsigned long long)cost[SAMPLES / 4 * 3]);
	start = sum / SAMPLES;
	print_line("mean", "ns", &start, 1);
	bench_deinit(&b);
}

static void bench_memory(const struct kind *kind, u32 pages, enum nmmu_kernel kernel)
{
	struct nmmu_result result;
	u64 before, each;
	struct bench b;
	u32 nr;

	bench_init(&b, kind, pages, kernel);
	before = b.flat.bytes;
	nr = b.m->nr_used;
	for (u32 i = 0; i < pages; i++)
		if (!kind->accessed || i % 8 == 0)
			check_fixed(one_fault(&b, b.order[i], &result), &result);
	each = (b.flat.bytes - before) / (b.m->nr_used - nr);
	print_line("page", "bytes", &each, 1);
	bench_deinit(&b);
}

/* --- whole accesses --- */

#define ACCESS_PAGES 4096u
#define ACCESSES 100000u

static void die(struct ms_err *err)
{
	if (err)
		fail(ms_err_text(err));
}

/* Reads of L1's, by a guest without paging: in few pages, that the TLB holds, or in many. */
static void bench_access(const char *name, u32 pages)
{
	const struct ms_machine_opts opts = {
		.config = { .hv = MS_HV_VMX,
			    .kernel = NMMU_6_12,
			    .tdp = true,
			    .ad = true,
			    .mmio_caching = true,
			    .phys_bits = 46,
			    .guest_phys_bits = 46 },
		.seed = 1,
		.tlb_entries = 64,
	};
	struct ms_machine *machine;
	u64 start, per_second[5];
	struct ms_run run;
	u32 vcpu;

	die(ms_machine_create(&opts, &machine));
	die(ms_machine_map(machine, HVA_BASE, (u64)ACCESS_PAGES << 12, 1, true));
	die(ms_machine_add_vcpu(machine, &vcpu));
	if (nmmu_slot_set(ms_machine_nmmu(machine), 0, 0, 0, ACCESS_PAGES, HVA_BASE, 0))
		fail("no slot");
	for (int round = -1; round < 5; round++) {
		start = now_ns();
		for (u32 i = 0; i < ACCESSES; i++) {
			const struct nmmu_access access = { .gva = (u64)(i * 7 % pages) << 12, .bytes = 8 };

			ms_machine_access(machine, vcpu, &access, &run);
			if (run.error || run.action != NMMU_ACT_DONE)
				fail("an access was not made");
		}
		if (round >= 0)
			per_second[round] = ACCESSES * 1000000000ULL / (now_ns() - start);
	}
	print_line(name, "accesses/s", per_second, 5);
	ms_machine_destroy(machine);
}

static const struct kind *kind_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

int main(int argc, char **argv)
{
	bool sized = argc == 4 || argc == 5;
	const struct kind *kind = sized ? kind_by_name(argv[2]) : NULL;
	u64 pages = sized ? strtoull(argv[3], NULL, 0) : 0;
	enum nmmu_kernel kernel = argc == 5 && !strcmp(argv[4], "6.1") ? NMMU_6_1 : NMMU_6_12;

	if (argc == 2 && !strcmp(argv[1], "access")) {
		bench_access("held", 16);
		bench_access("walked", ACCESS_PAGES);
		return 0;
	}
	if (kind && pages >= 1 && pages <= MAX_PAGES && !strcmp(argv[1], "fault")) {
		bench_fault(kind, (u32)pages, kernel);
		return 0;
	}
	if (kind && pages >= 1 && pages <= MAX_PAGES && !strcmp(argv[1], "memory")) {
		bench_memory(kind, (u32)pages, kernel);
		return 0;
	}
	fprintf(stderr, "usage: nmmu fault|memory KIND PAGES [6.1|6.12], nmmu access\nKIND:");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(stderr, " %s", kinds[i].name);
	fprintf(stderr, "\n");
	return 2;
}
