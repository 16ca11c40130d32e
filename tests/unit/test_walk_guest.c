/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest tables read through the VMM's page tables: each kind of host page, what is not there, what must not be read,
 * and memory, tables and memslots that change between any two reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakemem.h"
#include "target/hostpt.h"

#define BIT(n) (1ull << (n))
#define PAGE_AT(n) (FM_PAGE_OFFSET + (n)*4096ull)
#define MEMSLOTS(as) PAGE_AT(60 + (as))
#define SLOT(n) (PAGE_AT(62) + 256ull * (n))
#define MM PAGE_AT(63)
#define RESOURCE(n) (PAGE_AT(64) + 64ull * (n))
#define PGT(n) PAGE_AT(70 + (n))
/* What the guest has: pages of the host filled with one byte. */
#define DATA(n) (480 + (n))
#define NR_DATA 24
#define FILL(n) (0x40 + (n))

#define HVA 0x7f1234400000ull
#define BASE_GFN 0x1000ull
#define C_BIT BIT(47)
#define ENTRY(page, bits) ((u64)(page) << 12 | C_BIT | (bits))
#define P_U_W 7

enum { OFF_MEMSLOTS = 0x300, OFF_MM = 0x380, OFF_PGD = 0x48 };
enum { ROLE_LEVEL = 1, ROLE_DIRECT = BIT(7), ROLE_PASSTHROUGH = BIT(18), ROLE_SMM = BIT(24) };
enum { RAM = 0x01000200, DEVICE = 0x200 };

struct got {
	struct ms_rec_gtable table[192];
	u32 nr;
};

static struct got got;

/* --- what may be read --- */

static struct {
	struct ms_err *(*read)(struct ms_kmem *kmem, struct ms_kread *reqs, size_t nr);
	u64 lo, hi; /* bytes that nobody may touch */
	u64 shift; /* the direct map as the walker sees it, less where it is */
} guard;

static struct ms_err *guarded_read(struct ms_kmem *kmem, struct ms_kread *reqs, size_t nr)
{
	u64 page_offset = kmem->page_offset;
	struct ms_err *err;
	size_t i;

	for (i = 0; i < nr; i++) {
		if (reqs[i].addr >= page_offset && reqs[i].addr < page_offset + FM_PAGES * 4096ull)
			reqs[i].addr -= guard.shift;
		assert_false(reqs[i].addr < guard.hi && reqs[i].addr + reqs[i].len > guard.lo);
	}
	kmem->page_offset -= guard.shift;
	err = guard.read(kmem, reqs, nr);
	kmem->page_offset = page_offset;
	return err;
}

/* --- a host --- */

static struct ms_err *take(void *ctx, enum ms_rec_type type, const void *rec,
			   const struct ms_sp_tables *tables)
{
	(void)ctx;
	assert_null(tables);
	assert_int_equal(type, MS_REC_GTABLE);
	assert_true(got.nr < 192);
	got.table[got.nr++] = *(const struct ms_rec_gtable *)rec;
	return NULL;
}

/* What happens between the two looks. */
static void (*between)(struct fakemem *fm);

static void read_tables(struct fakemem *fm, const struct ms_rec_host *host, const struct ms_rec_vm *vm,
			const struct ms_want *want)
{
	const struct ms_sink sink = { take, NULL };
	struct ms_kvm_guest *guest = NULL;

	memset(&got, 0, sizeof(got));
	assert_null(ms_kvm_guest_look(&fm->kmem, host, vm, want, &guest));
	if (between)
		between(fm);
	assert_null(ms_kvm_guest_look_again(guest));
	assert_null(ms_kvm_guest_put(guest, &sink));
	ms_kvm_guest_destroy(guest);
	assert_int_equal(fm->nr_refused, 0);
}

static void read_guest(struct fakemem *fm)
{
	const struct ms_rec_host host = { .have = MS_HOST_HAVE_MASK(MS_SM_me_mask),
					  .masks = { [MS_SM_me_mask] = C_BIT } };
	const struct ms_rec_vm vm = { .have = MS_VM_HAVE_LEGACY | MS_VM_HAVE_USED, .kvm = fm_kvm(0) };
	const struct ms_want want = { .what = MS_WANT_GUEST };

	read_tables(fm, &host, &vm, &want);
}

static const struct ms_rec_gtable *table_of(u64 gfn, u32 as_id)
{
	u32 i;

	for (i = 0; i < got.nr; i++)
		if (got.table[i].gfn == gfn && got.table[i].as_id == as_id)
			return &got.table[i];
	fail_msg("no table of frame 0x%llx", (unsigned long long)gfn);
	return NULL;
}

/* All of a page is one byte, of the DATA page n; -1: nothing is. */
static void is_table(u64 gfn, u32 as_id, u32 state, int n)
{
	const struct ms_rec_gtable *t = table_of(gfn, as_id);
	u32 i;

	if (t->state != state)
		fail_msg("frame 0x%llx: state %u, not %u", (unsigned long long)gfn, t->state, state);
	assert_int_equal(t->kvm, fm_kvm(0));
	assert_int_equal(t->hpa, n < 0 ? 0 : DATA(n) << 12);
	for (i = 0; i < 4096; i++)
		assert_int_equal(t->bytes[i], n < 0 ? 0 : FILL(n));
}

static void field(struct fakemem *fm, enum ms_field_id id, u32 off, u32 elem, u32 nr)
{
	fm->layout.f[id] = (struct ms_field){
		.off = off, .size = elem * nr, .elem_size = elem, .nr_elems = nr, .present = true
	};
}

static void fill(struct fakemem *fm, u32 page, u32 byte)
{
	memset(fm->phys + page * 4096ull, (int)byte, 4096);
}

static void resource(struct fakemem *fm, u32 n, u64 start, u64 last, u64 flags, u64 sibling, u64 child)
{
	fm_set(fm, RESOURCE(n), start);
	fm_set(fm, RESOURCE(n) + 8, last);
	fm_set(fm, RESOURCE(n) + 24, flags);
	fm_set(fm, RESOURCE(n) + 48, sibling);
	fm_set(fm, RESOURCE(n) + 56, child);
}

static void slot(struct fakemem *fm, u32 n, u64 gfn, u64 nr, u64 hva, u32 id, u32 flags, u32 as_id, u64 next)
{
	fm_set(fm, SLOT(n), next);
	fm_set(fm, SLOT(n) + 0x40, gfn);
	fm_set(fm, SLOT(n) + 0x48, nr);
	fm_set(fm, SLOT(n) + 0x50, hva);
	fm_set(fm, SLOT(n) + 0x58, flags | (u64)id << 32 | (u64)as_id << 48);
}

/* The host's entry of an address; tables 0..3 are pgd to the level-1 table of the 2 MiB at HVA. */
static u64 entry_at(u32 level, u64 va)
{
	return PGT(4 - level) + 8 * (va >> (12 + 9 * (level - 1)) & 511);
}

static void map_page(struct fakemem *fm, u64 gfn, u64 entry)
{
	fm_set(fm, entry_at(1, HVA + ((gfn - BASE_GFN) << 12)), entry);
}

/*
 * Memory: pages 0 to 499 of the host, but 484, which is a device's; then to 511 a device's, which lies in the direct
 * map all the same. One slot of 2 MiB and what follows it, its first NR_DATA frames mapped to the pages of the host
 * that are filled.
 */
static void begin(struct fakemem *fm)
{
	static const struct ms_role_bit roles[] = {
		{ .name = "level", .bit = 0, .width = 4 },
		{ .name = "direct", .bit = 7, .width = 1 },
		{ .name = "passthrough", .bit = 18, .width = 1 },
		{ .name = "smm", .bit = 24, .width = 8 },
	};
	u32 i;

	fm_init(fm);
	memset(&guard, 0, sizeof(guard));
	guard.read = fm->kmem.read;
	fm->kmem.read = guarded_read;
	memcpy(fm->layout.role, roles, sizeof(roles));
	fm->layout.nr_role = 4;
	field(fm, MS_F_kvm_mm, OFF_MM, 8, 1);
	field(fm, MS_F_mm_pgd, OFF_PGD, 8, 1);
	field(fm, MS_F_kvm_memslots, OFF_MEMSLOTS, 8, 2);
	field(fm, MS_F_memslots_generation, 0, 8, 1);
	field(fm, MS_F_memslots_node_idx, 8, 4, 1);
	field(fm, MS_F_memslots_id_hash, 16, 8, 4);
	field(fm, MS_F_memslot_id_node, 0, 16, 2);
	field(fm, MS_F_memslot_base_gfn, 0x40, 8, 1);
	field(fm, MS_F_memslot_npages, 0x48, 8, 1);
	field(fm, MS_F_memslot_userspace_addr, 0x50, 8, 1);
	field(fm, MS_F_memslot_flags, 0x58, 4, 1);
	field(fm, MS_F_memslot_id, 0x5c, 2, 1);
	field(fm, MS_F_memslot_as_id, 0x5e, 2, 1);
	field(fm, MS_F_resource_start, 0, 8, 1);
	field(fm, MS_F_resource_end, 8, 8, 1);
	field(fm, MS_F_resource_flags, 24, 8, 1);
	field(fm, MS_F_resource_sibling, 48, 8, 1);
	field(fm, MS_F_resource_child, 56, 8, 1);
	fm->kmem.sym[MS_KSYM_iomem_resource] = RESOURCE(0);
	resource(fm, 0, 0, ~0ull, DEVICE, 0, RESOURCE(1));
	resource(fm, 1, 0, (500 << 12) - 1, RAM, RESOURCE(4), RESOURCE(2));
	resource(fm, 2, 1 << 12, (2 << 12) - 1, RAM, RESOURCE(3), 0); /* "Kernel code" */
	resource(fm, 3, (484 << 12) + 0x800, (485 << 12) - 1, DEVICE, 0, 0); /* an aperture in memory */
	resource(fm, 4, 500 << 12, 0xffffffff, DEVICE, 0, 0);
	for (i = 0; i < NR_DATA; i++)
		fill(fm, DATA(i), FILL(i));
	fm_set(fm, fm_kvm(0) + OFF_MM, MM);
	fm_set(fm, MM + OFF_PGD, PGT(0));
	for (i = 4; i > 1; i--)
		fm_set(fm, entry_at(i, HVA), ENTRY(70 + 5 - i, P_U_W));
	for (i = 0; i < NR_DATA; i++)
		map_page(fm, BASE_GFN + i, ENTRY(DATA(i), P_U_W));
	for (i = 0; i < 2; i++) {
		fm_set(fm, fm_kvm(0) + OFF_MEMSLOTS + 8 * i, MEMSLOTS(i));
		fm_set(fm, MEMSLOTS(i), 6 + i);
	}
	fm_set(fm, MEMSLOTS(0) + 16, SLOT(0));
	slot(fm, 0, BASE_GFN, 1024, HVA, 0, 0, 0, 0);
}

static void shadow(struct fakemem *fm, u32 n, u64 gfn, u32 role)
{
	fm_legacy_add(fm, 0, n, gfn, role, 0);
}

/* --- tests --- */

static void test_which(void **state)
{
	struct fakemem fm;

	(void)state;
	begin(&fm);
	fm_set(&fm, MEMSLOTS(1) + 16, SLOT(1));
	slot(&fm, 1, BASE_GFN, 8, HVA + 0x8000, 0, 0, 1, 0);
	shadow(&fm, 0, BASE_GFN, 4);
	shadow(&fm, 1, BASE_GFN, 3); /* the same frame again */
	shadow(&fm, 2, BASE_GFN + 1, 1 | ROLE_DIRECT);
	shadow(&fm, 3, BASE_GFN + 2, 5 | ROLE_PASSTHROUGH);
	shadow(&fm, 4, BASE_GFN, 1 | ROLE_SMM);
	shadow(&fm, 5, BASE_GFN + 3, 1);
	fm_tdp_add(&fm, 0, 6, BASE_GFN + 4, 4, FM_ROOT, 0);
	read_guest(&fm);
	assert_int_equal(got.nr, 3);
	is_table(BASE_GFN, 0, MS_GTABLE_READ, 0);
	is_table(BASE_GFN, 1, MS_GTABLE_READ, 8);
	is_table(BASE_GFN + 3, 0, MS_GTABLE_READ, 3);
	/* Without the bit that says which pages are direct, none is known to shadow. */
	fm.layout.role[1].name[0] = 'x';
	read_guest(&fm);
	assert_int_equal(got.nr, 0);
	fm_deinit(&fm);
}

/* More than are read together, and a reader that gives up. */
static bool give_up(void *ctx, u64 nr)
{
	*(u64 *)ctx = nr;
	return false;
}

static void test_many(void **state)
{
	const struct ms_rec_host host = { .have = MS_HOST_HAVE_MASK(MS_SM_me_mask),
					  .masks = { [MS_SM_me_mask] = C_BIT } };
	const struct ms_rec_vm vm = { .have = MS_VM_HAVE_LEGACY, .kvm = fm_kvm(0) };
	u64 seen = 0;
	struct ms_want want = { .what = MS_WANT_GUEST, .progress = give_up, .progress_ctx = &seen };
	struct fakemem fm;
	u32 i;

	(void)state;
	begin(&fm);
	for (i = 0; i < 150; i++) {
		map_page(&fm, BASE_GFN + i, ENTRY(DATA(i % 4), P_U_W));
		shadow(&fm, i, BASE_GFN + i, 1);
	}
	read_guest(&fm);
	assert_int_equal(got.nr, 150);
	for (i = 0; i < 150; i++)
		is_table(BASE_GFN + i, 0, MS_GTABLE_READ, (int)i % 4);
	read_tables(&fm, &host, &vm, &want);
	assert_int_equal(got.nr, 128);
	assert_int_equal(seen, 128);
	fm_deinit(&fm);
}

static void test_host_pages(void **state)
{
	struct fakemem fm;

	(void)state;
	begin(&fm);
	shadow(&fm, 0, BASE_GFN + 2, 1);
	/* 2 MiB: all of this host's memory is its first such page. PAT of a large page is bit 12. */
	fm_set(&fm, entry_at(2, HVA), ENTRY(0, P_U_W | BIT(7) | BIT(12)));
	slot(&fm, 0, BASE_GFN, 1024, HVA + (DATA(0) << 12), 0, 0, 0, 0);
	read_guest(&fm);
	is_table(BASE_GFN + 2, 0, MS_GTABLE_READ, 2);
	/* 1 GiB */
	fm_set(&fm, entry_at(3, HVA), ENTRY(0, P_U_W | BIT(7) | BIT(12)));
	slot(&fm, 0, BASE_GFN, 1024, (HVA & ~(BIT(30) - 1)) + (DATA(0) << 12), 0, 0, 0, 0);
	read_guest(&fm);
	is_table(BASE_GFN + 2, 0, MS_GTABLE_READ, 2);
	/* One that NUMA balancing has protected: resident, its address inverted. */
	fm_deinit(&fm);
	begin(&fm);
	shadow(&fm, 0, BASE_GFN + 2, 1);
	map_page(&fm, BASE_GFN + 2, (~ENTRY(DATA(2), 0) & 0x000ffffffffff000ull) | BIT(8));
	read_guest(&fm);
	is_table(BASE_GFN + 2, 0, MS_GTABLE_READ, 2);
	/* The same for a huge page. */
	fm_set(&fm, entry_at(2, HVA), (~C_BIT & 0x000fffffffe00000ull) | BIT(8) | BIT(7));
	slot(&fm, 0, BASE_GFN, 1024, HVA + (DATA(0) << 12), 0, 0, 0, 0);
	read_guest(&fm);
	is_table(BASE_GFN + 2, 0, MS_GTABLE_READ, 2);
	fm_deinit(&fm);
}

static void test_five_levels(void **state)
{
	const u64 va = 0xab123400007000ull, page_offset = 0xff11000000000000ull;
	struct host_walk walks[2] = { { .va = va }, { .va = va | BIT(56) } };
	struct fakemem fm;
	u64 mask = 0x000ffffffffff000ull;
	u32 i;

	(void)state;
	begin(&fm);
	assert_int_equal(host_pt_levels(&fm.kmem), 4);
	fm.kmem.page_offset = page_offset;
	guard.shift = page_offset - FM_PAGE_OFFSET;
	assert_int_equal(host_pt_levels(&fm.kmem), 5);
	for (i = 0; i < 4; i++)
		fm_set(&fm, PGT(10 + i) + 8 * (va >> (48 - 9 * i) & 511), (u64)(81 + i) << 12 | P_U_W);
	fm_set(&fm, PGT(14) + 8 * (va >> 12 & 511), (u64)DATA(7) << 12 | P_U_W);
	assert_null(host_walk(&fm.kmem, mask, PGT(10) + guard.shift, walks, 2));
	assert_int_equal(walks[0].end, HOST_WALK_PAGE);
	assert_int_equal(walks[0].pa, DATA(7) << 12);
	assert_int_equal(walks[1].end, HOST_WALK_UNREADABLE);
	fm_deinit(&fm);
}

static void test_not_there(void **state)
{
	struct fakemem fm;
	u32 level;

	(void)state;
	begin(&fm);
	for (level = 0; level < 6; level++)
		shadow(&fm, level, BASE_GFN + level, 1);
	map_page(&fm, BASE_GFN, 0);
	map_page(&fm, BASE_GFN + 1, 0x3fffffffe00000ull << 9 | 0x200); /* swapped out */
	map_page(&fm, BASE_GFN + 2, ENTRY(DATA(2), P_U_W & ~1ull)); /* not P: no matter what else */
	read_guest(&fm);
	for (level = 0; level < 3; level++)
		is_table(BASE_GFN + level, 0, MS_GTABLE_NOT_PRESENT, -1);
	is_table(BASE_GFN + 3, 0, MS_GTABLE_READ, 3);
	for (level = 2; level <= 4; level++) {
		fm_deinit(&fm);
		begin(&fm);
		shadow(&fm, 0, BASE_GFN, 1);
		fm_set(&fm, entry_at(level, HVA), 0);
		read_guest(&fm);
		is_table(BASE_GFN, 0, MS_GTABLE_NOT_PRESENT, -1);
		/* A huge page in between, and what no level has. */
		fm_set(&fm, entry_at(level, HVA), ENTRY(0, BIT(7)));
		read_guest(&fm);
		is_table(BASE_GFN, 0, MS_GTABLE_NOT_PRESENT, -1);
	}
	fm_set(&fm, entry_at(4, HVA), ENTRY(0, P_U_W | BIT(7)));
	read_guest(&fm);
	is_table(BASE_GFN, 0, MS_GTABLE_NOT_PRESENT, -1);
	fm_deinit(&fm);
}

static void test_no_slot(void **state)
{
	struct fakemem fm;

	(void)state;
	begin(&fm);
	fm_set(&fm, SLOT(0), SLOT(1)); /* two more in the chain of the hash */
	slot(&fm, 0, BASE_GFN, 4, HVA, 0, 0, 0, SLOT(1));
	slot(&fm, 1, BASE_GFN + 4, 4, HVA, 1, MS_SLOT_INVALID, 0, SLOT(2));
	slot(&fm, 2, BASE_GFN + 8, 4, HVA, 0x7fff - 3, 0, 0, 0);
	shadow(&fm, 0, BASE_GFN + 3, 1);
	shadow(&fm, 1, BASE_GFN + 4, 1);
	shadow(&fm, 2, BASE_GFN + 8, 1);
	shadow(&fm, 3, BASE_GFN + 12, 1);
	shadow(&fm, 4, BASE_GFN, 1 | 7 * ROLE_SMM); /* there is no such address space */
	shadow(&fm, 5, BASE_GFN, 1 | ROLE_SMM); /* that one has no slots */
	shadow(&fm, 6, BASE_GFN - 1, 1);
	read_guest(&fm);
	assert_int_equal(got.nr, 7);
	is_table(BASE_GFN + 3, 0, MS_GTABLE_READ, 3);
	is_table(BASE_GFN + 4, 0, MS_GTABLE_NO_SLOT, -1);
	is_table(BASE_GFN + 8, 0, MS_GTABLE_NO_SLOT, -1);
	is_table(BASE_GFN + 12, 0, MS_GTABLE_NO_SLOT, -1);
	is_table(BASE_GFN, 7, MS_GTABLE_NO_SLOT, -1);
	is_table(BASE_GFN, 1, MS_GTABLE_NO_SLOT, -1);
	is_table(BASE_GFN - 1, 0, MS_GTABLE_NO_SLOT, -1);
	fm_deinit(&fm);
}

/* A device's registers: guarded_read() fails at a touch. */
static void test_not_ram(void **state)
{
	struct fakemem fm;

	(void)state;
	begin(&fm);
	guard.lo = PAGE_AT(500);
	guard.hi = PAGE_AT(512);
	shadow(&fm, 0, BASE_GFN, 1);
	shadow(&fm, 1, BASE_GFN + 1, 1);
	shadow(&fm, 2, BASE_GFN + 3, 1);
	shadow(&fm, 3, BASE_GFN + 4, 1);
	map_page(&fm, BASE_GFN, ENTRY(501, P_U_W | BIT(9))); /* special, in the direct map */
	map_page(&fm, BASE_GFN + 1, ENTRY(0xfe000, P_U_W | BIT(9))); /* beyond it */
	read_guest(&fm);
	is_table(BASE_GFN, 0, MS_GTABLE_NOT_RAM, -1);
	is_table(BASE_GFN + 1, 0, MS_GTABLE_NOT_RAM, -1);
	is_table(BASE_GFN + 3, 0, MS_GTABLE_READ, 3);
	guard.lo = PAGE_AT(484);
	guard.hi = PAGE_AT(485);
	read_guest(&fm);
	is_table(BASE_GFN + 4, 0, MS_GTABLE_NOT_RAM, -1); /* the aperture */
	/* The host's tables themselves lead to the device, as one that was freed and used anew can. */
	guard.lo = PAGE_AT(512);
	guard.hi = PAGE_AT(1024);
	fm_set(&fm, entry_at(2, HVA), ENTRY(600, P_U_W));
	read_guest(&fm);
	is_table(BASE_GFN + 3, 0, MS_GTABLE_UNREADABLE, -1);
	fm_deinit(&fm);
}

static void test_memory_unknown(void **state)
{
	struct fakemem fm;
	u32 i;

	(void)state;
	for (i = 0; i < 7; i++) {
		begin(&fm);
		shadow(&fm, 0, BASE_GFN + 3, 1);
		if (i == 0)
			fm.kmem.sym[MS_KSYM_iomem_resource] = 0;
		else if (i == 1)
			fm.layout.f[MS_F_resource_child].present = false;
		else if (i == 2)
			fm_set(&fm, RESOURCE(4) + 48, 0xffffc90000000000ull); /* vmalloc space */
		else if (i == 3)
			fm_set(&fm, RESOURCE(4) + 48, RESOURCE(1)); /* a ring */
		else if (i == 4)
			fm_set(&fm, RESOURCE(3) + 8, 600 << 12); /* beyond the one above */
		else if (i == 5)
			fm_set(&fm, RESOURCE(1) + 8, 0), fm_set(&fm, RESOURCE(1), 4096);
		else
			fm_set(&fm, RESOURCE(2) + 56, RESOURCE(2)); /* below itself */
		read_guest(&fm);
		is_table(BASE_GFN + 3, 0, MS_GTABLE_UNREADABLE, -1);
		fm_deinit(&fm);
	}
}

struct change {
	u64 step;
	u32 kind;
	u64 n;
};

enum { BYTES, MOVED, GONE, SLOT_MOVED, SLOT_GONE, MM_GONE, NR_KINDS, NEVER_AT_REST, NEVER_STAYS };

static u64 filled(u32 byte)
{
	u8 bytes[4096];

	memset(bytes, (int)byte, sizeof(bytes));
	return ms_frame_digest(bytes);
}

/* Frames by their numbers, in any order and any number; nothing else of the guest is looked at. */
static void test_frames(void **state)
{
	const struct ms_rec_host host = { .have = MS_HOST_HAVE_MASK(MS_SM_me_mask),
					  .masks = { [MS_SM_me_mask] = C_BIT } };
	struct ms_frame frames[200];
	struct ms_err *err;
	struct fakemem fm;
	u64 byte;
	u32 i;

	(void)state;
	begin(&fm);
	map_page(&fm, BASE_GFN + 3, 0);
	map_page(&fm, BASE_GFN + 5, ENTRY(DATA(4), P_U_W)); /* in part a device's: see begin() */
	memset(frames, 0xff, sizeof(frames));
	for (i = 0; i < 200; i++)
		frames[i].gfn = BASE_GFN + (i < 190 ? i % 3 : 0);
	frames[1].gfn = BASE_GFN + 3;
	frames[130].gfn = BASE_GFN + 5;
	frames[131].gfn = BASE_GFN - 1;
	fm.kmem.vm_lo = fm.kmem.vm_hi = 0;
	assert_null(ms_kvm_frames(&fm.kmem, &host, fm_kvm(0), 0, frames, 200));
	assert_int_equal(fm.nr_refused, 0);
	for (i = 0; i < 200; i++) {
		u32 want = i == 1     ? MS_GTABLE_NOT_PRESENT
			   : i == 130 ? MS_GTABLE_NOT_RAM
			   : i == 131 ? MS_GTABLE_NO_SLOT
				      : MS_GTABLE_READ;

		assert_int_equal(frames[i].state, want);
		assert_true(frames[i].digest ==
			    (want == MS_GTABLE_READ ? filled(FILL(frames[i].gfn - BASE_GFN)) : 0));
	}
	/* One byte makes a difference, the last one too. */
	byte = FILL(0) | 0x0101010101010101ull << 8;
	fm_set(&fm, PAGE_AT(DATA(0)) + 4088, byte);
	assert_null(ms_kvm_frames(&fm.kmem, &host, fm_kvm(0), 0, frames, 1));
	assert_true(frames[0].state == MS_GTABLE_READ && frames[0].digest != filled(FILL(0)));
	/* There is no such address space; nor such a VM any more. */
	assert_null(ms_kvm_frames(&fm.kmem, &host, fm_kvm(0), 2, frames, 1));
	assert_int_equal(frames[0].state, MS_GTABLE_NO_SLOT);
	fm.vm_dead = true;
	err = ms_kvm_frames(&fm.kmem, &host, fm_kvm(0), 0, frames, 1);
	assert_non_null(err);
	assert_int_equal(ms_err_kind(err), MS_ERR_TARGET);
	ms_err_free(err);
	fm_deinit(&fm);
}

static void change(struct fakemem *fm, void *ctx)
{
	struct change *c = ctx;

	if (c->kind == NEVER_AT_REST)
		fm_set(fm, PAGE_AT(DATA(3)) + 8, c->n++);
	if (c->kind == NEVER_STAYS)
		map_page(fm, BASE_GFN + 3, ENTRY(DATA(5 + c->n++ % 13), P_U_W));
	if (fm->nr_ops != c->step)
		return;
	if (c->kind == BYTES) {
		fill(fm, DATA(3), FILL(7));
	} else if (c->kind == MOVED) { /* and the old page is somebody else's */
		map_page(fm, BASE_GFN + 3, ENTRY(DATA(6), P_U_W));
		fill(fm, DATA(3), 0xee);
	} else if (c->kind == GONE) {
		map_page(fm, BASE_GFN + 3, 0);
		fill(fm, DATA(3), 0xee);
	} else if (c->kind == SLOT_MOVED) {
		fm_set(fm, MEMSLOTS(0), 8);
		slot(fm, 0, BASE_GFN, 1024, HVA + 0x3000, 0, 0, 0, 0);
	} else if (c->kind == SLOT_GONE) {
		fm_set(fm, MEMSLOTS(0), 8);
		fm_set(fm, MEMSLOTS(0) + 16, 0);
	} else if (c->kind == MM_GONE) { /* another, without pages */
		fm_set(fm, MM + OFF_PGD, PGT(9));
	}
	/* What was behind the slot or the address space is somebody else's. */
	if (c->kind >= SLOT_MOVED && c->kind < NR_KINDS)
		fill(fm, DATA(3), 0xee);
}

/* What a change of one kind leaves. */
static u32 state_after(u32 kind)
{
	if (kind == SLOT_GONE)
		return MS_GTABLE_NO_SLOT;
	return kind == GONE || kind == MM_GONE ? MS_GTABLE_NOT_PRESENT : MS_GTABLE_READ;
}

/* All of the old, all of the new, or, when it came between the looks, the new that is no longer what it was. */
static void test_change_at_each_step(void **state)
{
	const struct ms_rec_gtable *t = &got.table[0];
	u64 steps, before, after, changed;
	struct change c = { 0 };
	struct fakemem fm;
	u32 i, left;

	(void)state;
	for (c.kind = 0; c.kind < NR_KINDS; c.kind++) {
		before = after = changed = 0;
		left = state_after(c.kind);
		for (c.step = 1, steps = 1; c.step <= steps; c.step++) {
			begin(&fm);
			shadow(&fm, 0, BASE_GFN + 3, 1);
			fm.hook = change;
			fm.hook_ctx = &c;
			read_guest(&fm);
			steps = fm.nr_ops > steps ? fm.nr_ops : steps;
			assert_int_equal(got.nr, 1);
			for (i = 1; i < 4096; i++)
				assert_int_equal(t->bytes[i], t->bytes[0]);
			if (t->state == MS_GTABLE_READ && t->bytes[0] == FILL(3)) {
				before++;
			} else if (t->state == MS_GTABLE_CHANGED) {
				changed++;
				assert_int_equal(left, MS_GTABLE_READ);
			} else {
				after++;
				assert_int_equal(t->state, left);
			}
			if (t->state == MS_GTABLE_CHANGED ||
			    (t->state == MS_GTABLE_READ && t->bytes[0] != FILL(3)))
				assert_int_equal(t->bytes[0], c.kind == BYTES ? FILL(7) : FILL(6));
			fm_deinit(&fm);
		}
		assert_true(before > 0 && after > 0);
		assert_true((left == MS_GTABLE_READ) == (changed > 0));
	}
	for (c.kind = NEVER_AT_REST; c.kind <= NEVER_STAYS; c.kind++) {
		begin(&fm);
		shadow(&fm, 0, BASE_GFN + 3, 1);
		shadow(&fm, 1, BASE_GFN + 2, 1);
		c.step = 0;
		fm.hook = change;
		fm.hook_ctx = &c;
		read_guest(&fm);
		assert_int_equal(table_of(BASE_GFN + 3, 0)->state, MS_GTABLE_CHANGED);
		assert_int_not_equal(table_of(BASE_GFN + 3, 0)->hpa, 0);
		is_table(BASE_GFN + 2, 0, MS_GTABLE_READ, 2); /* the others are no worse for it */
		fm_deinit(&fm);
	}
}

static void store_between(struct fakemem *fm)
{
	fm_set(fm, PAGE_AT(DATA(3)) + 1024, 7);
}

static void page_in_between(struct fakemem *fm)
{
	map_page(fm, BASE_GFN + 3, ENTRY(DATA(3), P_U_W));
}

static void migrate_between(struct fakemem *fm)
{
	fill(fm, DATA(3), 0xee);
	fill(fm, DATA(9), FILL(3));
	map_page(fm, BASE_GFN + 3, ENTRY(DATA(9), P_U_W));
}

/* The shadow pages were read between: a table that is another afterwards is not the one that goes with them. */
static void test_two_looks(void **state)
{
	struct fakemem fm;

	(void)state;
	begin(&fm);
	shadow(&fm, 0, BASE_GFN + 3, 1);
	shadow(&fm, 1, BASE_GFN + 2, 1);
	between = store_between;
	read_guest(&fm);
	assert_int_equal(table_of(BASE_GFN + 3, 0)->state, MS_GTABLE_CHANGED);
	is_table(BASE_GFN + 2, 0, MS_GTABLE_READ, 2);
	fm_deinit(&fm);
	begin(&fm);
	shadow(&fm, 0, BASE_GFN + 3, 1);
	map_page(&fm, BASE_GFN + 3, 0);
	between = page_in_between;
	read_guest(&fm);
	is_table(BASE_GFN + 3, 0, MS_GTABLE_CHANGED, 3);
	/* One of zeros came where nothing was. */
	map_page(&fm, BASE_GFN + 3, 0);
	fill(&fm, DATA(3), 0);
	read_guest(&fm);
	assert_int_equal(got.table[0].state, MS_GTABLE_CHANGED);
	fill(&fm, DATA(3), FILL(3));
	/* Another page of the host with the same bytes is the same table. */
	between = migrate_between;
	read_guest(&fm);
	assert_int_equal(got.table[0].state, MS_GTABLE_READ);
	assert_int_equal(got.table[0].hpa, DATA(9) << 12);
	between = NULL;
	fm_deinit(&fm);
}

/* What is memory changes under the reading of it: what is not in two readings is not believed. */
static void unplug(struct fakemem *fm, void *ctx)
{
	if (fm->nr_ops != *(u64 *)ctx)
		return;
	resource(fm, 1, 0, (400 << 12) - 1, RAM, RESOURCE(4), 0);
	resource(fm, 4, 400 << 12, 0xffffffff, DEVICE, 0, 0);
}

static void test_memory_unplugged(void **state)
{
	u64 step, steps = 1, read = 0, not = 0;
	struct fakemem fm;

	(void)state;
	for (step = 1; step <= steps; step++) {
		begin(&fm);
		shadow(&fm, 0, BASE_GFN + 3, 1);
		fm.hook = unplug;
		fm.hook_ctx = &step;
		read_guest(&fm);
		steps = fm.nr_ops > steps ? fm.nr_ops : steps;
		read += got.table[0].state == MS_GTABLE_READ;
		not += got.table[0].state == MS_GTABLE_NOT_RAM;
		assert_int_equal(read + not, step);
		fm_deinit(&fm);
	}
	assert_true(read > 0 && not > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_host_pages),
		cmocka_unit_test(test_five_levels),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_no_slot),
		cmocka_unit_test(test_not_ram),
		cmocka_unit_test(test_memory_unknown),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_change_at_each_step),
		cmocka_unit_test(test_memory_unplugged),
		cmocka_unit_test(test_two_looks),
	};

	return cmocka_run_group_tests_name("walk_guest", tests, NULL, NULL);
}
