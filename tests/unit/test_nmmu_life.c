// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A long random life of a machine: a guest that edits its tables (emulated, or as it likes where they are
 * unsync), maps them for itself, switches roots and flushes; a host that takes pages away, zaps, recycles and
 * changes slots. After every step all invariants hold; and after a flush each address leads where a plain
 * walk of the tables says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmu_box.h"

#define R NMMU_PF_U
#define W NMMU_PF_W

#define NR_TABLES 14u /* the first two are roots, of 4 levels */
#define NR_ADDRS 40u
#define DATA_GFN 0x1000u
#define SLOT2_GFN 0x4000u
#define SLOT2_PAGES 512u

struct life {
	struct box b;
	u64 random;
	bool ept, slot2;
	u64 table[NR_TABLES]; /* gfns */
	u64 root; /* at work */
	u64 addr[NR_ADDRS];
};

static u64 any(struct life *l, u64 nr)
{
	return (box_random(&l->random) >> 8) % nr;
}

/* Level that a table is meant for; some entries will say otherwise. */
static u32 level_of_table(u32 i)
{
	return i < 2 ? 4 : i < 4 ? 3 : i < 8 ? 2 : 1;
}

static u64 any_entry(struct life *l, u32 level)
{
	static const u64 ept_rights[] = { 7, 7, 7, 3, 1, 5 };
	static const u64 pt_rights[] = { 7, 7, 5, 5, 7 };
	u64 rights = l->ept ? ept_rights[any(l, 6)] : pt_rights[any(l, 5)];
	u64 leaf = rights | (l->ept ? 0x330 : 0x60), table = rights | (l->ept ? 0x100 : 0x20);

	if (any(l, 6) == 0)
		return 0;
	if (level == 1) {
		if (any(l, 5) == 0)
			return l->table[any(l, NR_TABLES)] << 12 | leaf;
		if (any(l, 4) == 0)
			return (SLOT2_GFN + any(l, 4)) << 12 | leaf;
		/* Not accessed, or clean: the walk sets what is missing. */
		return (DATA_GFN + any(l, 8)) << 12 |
		       (any(l, 4) ? leaf : leaf & ~(l->ept ? 0x300ULL : 0x60ULL));
	}
	if (level == 2 && any(l, 4) == 0)
		return (u64)(DATA_GFN + 512 * any(l, 3)) << 12 | leaf | PT_HUGE;
	/* A table of the next level; now and then one of another level. */
	for (;;) {
		u32 i = 2 + (u32)any(l, NR_TABLES - 2);

		if (level_of_table(i) == level - 1 || any(l, 20) == 0)
			return l->table[i] << 12 | table;
	}
}

/*
 * As the guest can: where every shadow of the table is unsync, or there is none, the CPU stores; else it is
 * emulated.
 */
static void write_entry(struct life *l, u64 gpa, u64 value)
{
	struct nmmu_sp *sp;
	bool emulated = false;

	for (sp = nmmu_hash_first(l->b.m, gpa >> 12); sp; sp = nmmu_hash_next(sp))
		if (!nmmu_sp_is_obsolete(l->b.m, sp) && nmmu_sp_has_gptes(sp) && !sp->unsync)
			emulated = true;
	box_set(&l->b, gpa, value);
	if (emulated)
		nmmu_pt_write(l->b.v, gpa, value, 8);
}

static void edit(struct life *l)
{
	u32 i = (u32)any(l, NR_TABLES), level = level_of_table(i);

	write_entry(l, (l->table[i] << 12) + any(l, level == 1 ? 10 : 3) * 8, any_entry(l, level));
}

static void start_on(struct life *l, u64 root)
{
	l->root = root;
	if (!l->b.m->cfg.tdp) {
		box_long_mode(&l->b, root << 12);
		return;
	}
	if (l->b.v->guest_mode)
		nmmu_nested_leave(l->b.v, NULL);
	box_enter(&l->b, l->ept ? NMMU_NESTED_EPT : NMMU_NESTED_NPT,
		  root << 12 | (!l->ept		 ? 0
				: l->b.m->cfg.ad ? EPTP
						 : EPTP_NO_AD));
}

static void flush(struct life *l)
{
	if (l->ept) {
		nmmu_invept(l->b.v, true, 0);
	} else if (l->b.m->cfg.tdp) {
		nmmu_flush_nested_npt(l->b.v);
	} else {
		nmmu_flush_guest(l->b.v);
	}
	box_load(&l->b);
}

static int fault(struct life *l, u64 addr, u64 error)
{
	struct nmmu_result result = { 0 };
	int ret, tries = 0;

	/* NPT12 walks are user accesses, and hardware says which stage. */
	if (!l->ept && l->b.m->cfg.tdp)
		error |= NMMU_PF_U | NMMU_PF_FINAL;
	do {
		box_load(&l->b);
		ret = nmmu_page_fault(l->b.v, addr, error, &result);
		assert_true(++tries < 20);
	} while (ret == NMMU_RET_RETRY && result.action == NMMU_ACT_RESUME);
	/* An exit to L1, or a #PF: back to work. */
	if (l->b.m->cfg.tdp && !l->b.v->guest_mode)
		start_on(l, l->root);
	return ret;
}

static void step(struct life *l)
{
	struct nmmu *m = l->b.m;

	switch (any(l, 30)) {
	case 0:
		start_on(l, l->table[any(l, 2)]);
		break;
	case 1:
		flush(l);
		break;
	case 2:
		nmmu_zap_all(m);
		break;
	case 3:
		nmmu_set_max_pages(m, (u32)any(l, 2) * 40);
		break;
	case 4: {
		u64 hva = BOX_HVA + ((u64)(DATA_GFN + any(l, 8)) << 12);

		nmmu_invalidate_begin(m, hva, hva + 0x1000);
		nmmu_invalidate_end(m, hva, hva + 0x1000);
		break;
	}
	case 5:
		l->slot2 = !l->slot2;
		assert_int_equal(nmmu_slot_set(m, 0, 2, SLOT2_GFN, l->slot2 ? SLOT2_PAGES : 0,
					       BOX_HVA + ((u64)DATA_GFN << 12), 0),
				 0);
		break;
	case 6:
		nmmu_lock(m);
		nmmu_unprotect_gfn(m, l->table[any(l, NR_TABLES)]);
		nmmu_unlock(m);
		break;
	case 7:
		nmmu_invlpg(l->b.v, l->addr[any(l, NR_ADDRS)]);
		break;
	case 8 ... 15:
		edit(l);
		break;
	default:
		fault(l, l->addr[any(l, NR_ADDRS)], any(l, 2) ? R : W);
		break;
	}
	box_check(&l->b);
}

/*
 * A walk that knows nothing of the engine's. Returns the pfn, 0 when there is none; rights_ret: of all
 * levels.
 */
static u64 walk(struct life *l, u64 addr, u64 *rights_ret)
{
	u64 gfn = l->root, rights = 7, present = l->ept ? 7 : 1;
	u32 level;

	for (level = 4;; level--) {
		u32 shift = 12 + 9 * (level - 1);
		u64 entry, frame;

		if (gfn >= BOX_PAGES)
			return 0;
		entry = box_get(&l->b, (gfn << 12) + (addr >> shift & 511) * 8);
		if (!(entry & present))
			return 0;
		rights &= entry;
		frame = entry & 0xffffffffff000ULL;
		/* What the formats refuse: leaves with bits of a table, and tables with bits of a leaf. */
		if (level > 1 && entry & PT_HUGE && level > 3)
			return 0;
		if (l->ept && level > 1 && !(entry & PT_HUGE) && entry & 0x78)
			return 0;
		if (l->ept && (level == 1 || entry & PT_HUGE) && (0x8c >> (entry >> 3 & 7)) & 1)
			return 0;
		if (level == 1 || entry & PT_HUGE) {
			u64 low = (1ULL << shift) - 1;

			if (frame & low & ~0xfffULL)
				return 0;
			*rights_ret = rights;
			gfn = (frame | (addr & low)) >> 12;
			if (gfn < BOX_PAGES)
				return BOX_PFN + gfn;
			if (l->slot2 && gfn >= SLOT2_GFN && gfn < SLOT2_GFN + SLOT2_PAGES)
				return BOX_PFN + DATA_GFN + gfn - SLOT2_GFN;
			return 0;
		}
		gfn = frame >> 12;
	}
}

static u32 compare(struct life *l)
{
	const struct spte_profile *p = &l->b.m->profile;
	u32 i, mapped = 0;

	flush(l);
	for (i = 0; i < NR_ADDRS; i++) {
		u64 rights = 0, want, got = 0, *sptep;

		want = walk(l, l->addr[i], &rights);
		/* Readable: EPT's bit 0; user: bit 2. */
		if (!(rights & (l->ept ? 1 : 4)))
			want = 0;
		fault(l, l->addr[i], R);
		box_check(&l->b);
		sptep = box_spte(&l->b, l->addr[i], 1);
		if (sptep && spte_is_mmu_present(p, *sptep)) {
			got = spte_pfn(p, *sptep);
			assert_false(spte_is_writable(*sptep) && !(rights & 2));
		}
		/* Without the right to read it may be there, for who else may. */
		if (want || !rights)
			assert_int_equal(got, want);
		mapped += got != 0;
	}
	return mapped;
}

static u32 live(const struct nmmu_config *cfg, u64 seed, u32 steps)
{
	struct life l = { .random = seed * 0x9e3779b97f4a7c15ULL, .ept = cfg->tdp && cfg->hv == MS_HV_VMX };
	u32 i, mapped = 0;

	box_init(&l.b, cfg);
	for (i = 0; i < NR_TABLES; i++)
		l.table[i] = box_table(&l.b);
	for (i = 0; i < NR_ADDRS; i++)
		l.addr[i] = any(&l, 3) << 39 | any(&l, 3) << 30 | any(&l, 3) << 21 | any(&l, 10) << 12;
	for (i = 0; i < NR_TABLES; i++) {
		u32 j, level = level_of_table(i);

		for (j = 0; j < (level == 1 ? 10 : 3); j++)
			box_set(&l.b, (l.table[i] << 12) + j * 8, any_entry(&l, level));
	}
	box_long_mode(&l.b, 0);
	start_on(&l, l.table[0]);
	for (i = 0; i < steps; i++) {
		step(&l);
		if (i % 25 == 24)
			mapped += compare(&l);
	}
	box_deinit(&l.b);
	return mapped;
}

static void run(bool tdp, enum ms_hv hv, bool ad, bool la57)
{
	enum nmmu_kernel kernel;
	u64 seed;
	u32 mapped = 0;

	for (kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
		struct nmmu_config cfg = box_config(kernel);

		cfg.tdp = tdp;
		cfg.hv = hv;
		cfg.ad = ad;
		cfg.la57 = la57;
		for (seed = 1; seed <= 6; seed++)
			mapped += live(&cfg, seed, 300);
	}
	/* It would prove little if nothing was ever mapped. */
	assert_true(mapped > 1000);
}

static void life_on_ept12(void **state)
{
	run(true, MS_HV_VMX, true, false);
	run(true, MS_HV_VMX, false, false);
}

static void life_on_npt12(void **state)
{
	run(true, MS_HV_SVM, true, false);
}

static void life_on_npt12_under_five_levels(void **state)
{
	run(true, MS_HV_SVM, true, true);
}

static void life_on_shadow_paging(void **state)
{
	run(false, MS_HV_VMX, true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life_on_ept12),
		cmocka_unit_test(life_on_npt12),
		cmocka_unit_test(life_on_npt12_under_five_levels),
		cmocka_unit_test(life_on_shadow_paging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
