// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Single lines of the engine that whole machines rarely depend on: each test here fails when one of them is
 * left out. Flushes of links that go, keys of roots, what is read again under the lock, what a sync may not
 * give, who is an orphan (SEMANTICS C3, C6, D.1, D3, E1, F).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmu_box.h"

#define R NMMU_PF_U
#define W NMMU_PF_W
#define P NMMU_PF_P

#define DATA 0x1000000ULL /* GPAs from here on are data */
#define LARGE 0x1200000ULL /* 2 MiB aligned */
#define DEV_GFN 0x80000ULL /* no slot there */
#define DEV (DEV_GFN << 12)

#define EPT_R 0x331ULL /* read only, write-back, A D */
#define EPT_X 0x334ULL /* execute only */
#define EPT_TABLE_RW 0x103ULL
#define EPT_HUGE 0x80ULL

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

#define for_each_kernel(kernel) \
	for (const enum nmmu_kernel *k_ = kernels; k_ < kernels + 2 && (kernel = *k_, true); k_++)

/* --- links that go --- */

struct links {
	u32 cleared; /* links, and leaves below them that went */
	u32 unflushed; /* of those, when the lock was given away */
	bool pending;
};

static void links_event(struct box *b, const struct ms_event *event)
{
	const struct spte_profile *p = &b->m->profile;
	struct links *links = b->ctx;

	if (event->id == MS_EV_spte_set && spte_is_mmu_present(p, event->u.spte_set.old_spte) &&
	    !spte_is_mmu_present(p, event->u.spte_set.new_spte)) {
		links->cleared++;
		links->pending = true;
	}
	if (event->id == MS_EV_flush)
		links->pending = false;
}

static void links_yield(struct box *b, enum nmmu_point point)
{
	struct links *links = b->ctx;

	if (point == NMMU_POINT_UNLOCK)
		links->unflushed += links->pending;
}

static int fault_watched(struct box *b, u64 addr, u64 error, struct links *links)
{
	struct nmmu_result result = { 0 };
	int ret;

	*links = (struct links){ .cleared = 0 };
	b->ctx = links;
	b->on_event = links_event;
	b->on_yield = links_yield;
	ret = nmmu_page_fault(b->v, addr, error, &result);
	b->on_event = NULL;
	b->on_yield = NULL;
	box_check(b);
	return ret;
}

/* C3: a link is made where another child was, which goes, and what it mapped. */
static void relink_over_a_child(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct links links;
		struct box b;
		u64 root, pde, other;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		pde = box_page_of(&b, 0, 2)->gfn << 12;
		other = box_table(&b);
		box_set(&b, (other << 12) + 9 * 8, (DATA + 0x2000) | EPT_RWX);
		box_set(&b, pde, other << 12 | EPT_TABLE);
		assert_int_equal(fault_watched(&b, 0x9000, R, &links), NMMU_RET_FIXED);
		/* The link and the leaf. */
		assert_int_equal(links.cleared, 2);
		assert_int_equal(links.unflushed, 0);
		assert_int_equal(box_pfn_at(&b, 0), 0);
		box_deinit(&b);
	}
}

/*
 * D.1 step 7: L1 takes rights away from a large page that is mapped in 4K. The direct page with the old
 * rights is only unlinked, its leaves stay: all that stands between them and a CPU is the flush.
 */
static void rights_of_a_direct_page(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_sp *old;
		struct links links;
		struct box b;
		u64 root, pde;

		box_start_l2(&b, kernel, &root);
		pde = box_map(&b, root, 4, 0, LARGE, 2, EPT_RWX | EPT_HUGE, EPT_TABLE);
		assert_int_equal(box_fault(&b, 0, W), NMMU_RET_FIXED);
		old = box_page_of(&b, 0, 1);
		assert_true(old->role.direct);
		assert_true(spte_is_writable(*box_spte(&b, 0, 1)));
		box_set(&b, pde, LARGE | EPT_R | EPT_HUGE);
		assert_int_equal(fault_watched(&b, 0x40000, R, &links), NMMU_RET_FIXED);
		assert_int_equal(links.cleared, 1);
		assert_int_equal(links.unflushed, 0);
		assert_ptr_not_equal(box_page_of(&b, 0x40000, 1), old);
		assert_int_equal(old->parents.val, 0);
		assert_false(spte_is_writable(*box_spte(&b, 0x40000, 1)));
		box_deinit(&b);
	}
}

/* --- roots --- */

/*
 * C6: the key is the whole EPTP. Of what is in it besides the table, only the memory type is not in the role
 * too; the page is the same, the root is another one.
 */
static void key_is_the_eptp(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u64 root, eptp, uncached;

		box_start_l2(&b, kernel, &root);
		eptp = root << 12 | EPTP;
		uncached = eptp & ~7ULL;
		box_load(&b);
		assert_int_equal(b.v->mmu->root.pgd, eptp);
		box_leave(&b);
		box_enter(&b, NMMU_NESTED_EPT, uncached);
		assert_int_equal(b.v->mmu->root.hpa, NMMU_NO_PAGE);
		box_load(&b);
		assert_int_equal(b.v->mmu->root.pgd, uncached);
		assert_int_equal(b.v->mmu->prev[0].pgd, eptp);
		assert_int_equal(b.v->mmu->prev[0].hpa, b.v->mmu->root.hpa);
		assert_int_equal(box_sp(&b, root, 4)->root_count, 2);
		box_deinit(&b);
	}
}

/* With nothing shadowed it is still the CPU's translations that the guest wants gone. */
static void invlpg_without_shadow(void **state)
{
	enum nmmu_kernel kernel;
	u32 tdp;

	for_each_kernel(kernel) for (tdp = 0; tdp < 2; tdp++)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct box b;

		cfg.tdp = tdp;
		box_init(&b, &cfg);
		box_long_mode(&b, box_table(&b) << 12);
		box_load(&b);
		b.flushes = 0;
		nmmu_invlpg(b.v, 0x7000);
		assert_int_equal(b.flushes, 1);
		assert_int_equal(b.last[MS_EV_flush_vcpu].cause, MS_CAUSE_INVLPG);
		box_deinit(&b);
	}
}

/* D3: a CR3 write back, without a flush, may not bring what INVLPG had taken away. */
static void invlpg_in_previous_roots(void **state)
{
	const u64 self = 0x40000000;
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		u64 root[2], pte;
		struct nmmu_sp *sp;
		struct box b;

		cfg.tdp = false;
		box_init(&b, &cfg);
		root[0] = box_table(&b);
		root[1] = box_table(&b);
		pte = box_map(&b, root[0], 4, 0, DATA, 1, PT_RW, PT_TABLE);
		box_map(&b, root[1], 4, 0, DATA + 0x5000, 1, PT_RW, PT_TABLE);
		box_map(&b, root[1], 4, self, pte & ~0xfffULL, 1, PT_RW, PT_TABLE);
		box_long_mode(&b, root[0] << 12);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		sp = box_page_of(&b, 0, 1);
		box_long_mode(&b, root[1] << 12);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_int_equal(box_fault(&b, self, W), NMMU_RET_FIXED);
		assert_int_equal(b.v->mmu->prev[0].pgd, root[0] << 12);
		assert_true(sp->unsync);
		box_set(&b, pte, 0);
		nmmu_invlpg(b.v, 0);
		box_check(&b);
		assert_false(box_is_present(&b, &sp->spt[0]));
		box_deinit(&b);
	}
}

/* --- stores --- */

struct cpu_store {
	u64 *sptep, bits;
	u32 stores;
};

static void store_once(struct box *b, enum nmmu_point point)
{
	struct cpu_store *cpu = b->ctx;

	if (point == NMMU_POINT_SPTE_READ && !cpu->stores++)
		*cpu->sptep |= cpu->bits;
}

/* E2: the CPU sets A and D, or a lock-free fault W, between the look at an entry and the store. */
static void bits_that_came_meanwhile(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct cpu_store cpu = { .stores = 0 };
		u64 accessed, dirty, old_spte;
		struct box b;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		assert_int_equal(box_fault(&b, DATA, W), NMMU_RET_FIXED);
		accessed = b.m->profile.m.accessed;
		dirty = b.m->profile.m.dirty;
		cpu.sptep = box_spte(&b, DATA, 1);
		cpu.bits = accessed | dirty | SPTE_HW_W;
		*cpu.sptep &= ~cpu.bits;
		b.ctx = &cpu;
		b.on_yield = store_once;
		nmmu_lock(b.m);
		old_spte = nmmu_spte_clear_bits(b.m, cpu.sptep, accessed, MS_CAUSE_AGE);
		nmmu_unlock(b.m);
		b.on_yield = NULL;
		assert_int_equal(cpu.stores, 1);
		assert_int_equal(old_spte & cpu.bits, cpu.bits);
		assert_int_equal(*cpu.sptep & cpu.bits, dirty | SPTE_HW_W);
		assert_int_equal(b.last[MS_EV_spte_set].u.spte_set.old_spte, old_spte);
		box_deinit(&b);
	}
}

/* --- freeing under a walker --- */

struct walker {
	u32 walks, unlinked, freed;
};

static void zap_under_walker(struct box *b, enum nmmu_point point)
{
	struct walker *walker = b->ctx;
	u32 freed = b->events[MS_EV_sp_free];

	if (point != NMMU_POINT_FAST_READ || walker->walks++)
		return;
	nmmu_zap_all(b->m);
	walker->unlinked = b->m->nr_used == 1; /* the root */
	walker->freed = b->events[MS_EV_sp_free] - freed;
}

/* E2: what a lock-free walk has found stays until it is over, then goes at once. */
static void pages_wait_for_walkers(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_result result = { 0 };
		struct walker walker = { .walks = 0 };
		struct box b;
		u32 freed;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		assert_int_equal(box_fault(&b, DATA, R), NMMU_RET_FIXED);
		freed = b.events[MS_EV_sp_free];
		b.ctx = &walker;
		b.on_yield = zap_under_walker;
		nmmu_page_fault(b.v, DATA, W | P, &result);
		b.on_yield = NULL;
		assert_true(walker.walks > 0);
		assert_true(walker.unlinked);
		assert_int_equal(walker.freed, 0);
		/* Three levels below the root, which is in use. */
		assert_true(b.events[MS_EV_sp_free] - freed >= 3);
		assert_true(nmmu_link_empty(&b.m->deferred));
		assert_int_equal(box_fault(&b, DATA, W), NMMU_RET_FIXED);
		box_deinit(&b);
	}
}

/* --- the guest's entries are read again --- */

struct change {
	u64 gpa, value;
	u32 changes;
};

static void change_once(struct box *b, enum nmmu_point point)
{
	struct change *change = b->ctx;

	if (point == NMMU_POINT_PFN_RESOLVED && !change->changes++)
		box_set(b, change->gpa, change->value);
}

/* D.1 step 6: the walk was made without the lock; an entry of any level that it used has changed since. */
static void entries_change_after_the_walk(void **state)
{
	enum nmmu_kernel kernel;
	u32 level, warm;

	for_each_kernel(kernel) for (level = 1; level <= 4; level++) for (warm = 0; warm < 2; warm++)
	{
		struct nmmu_result result = { 0 };
		struct change change = { .value = 0 };
		const u64 ngpa = 0x9000;
		struct box b;
		u64 root;
		u32 at;

		box_start_l2(&b, kernel, &root);
		box_map(&b, root, 4, ngpa, DATA, 1, EPT_RWX, EPT_TABLE);
		if (warm)
			/* The neighbour: pages of all levels are there. */
			box_map_l2(&b, root, 0x20000, DATA + 0x1000);
		box_load(&b);
		change.gpa = root << 12;
		for (at = 4; at > level; at--)
			change.gpa = box_get(&b, change.gpa) & 0xffffffffff000ULL;
		if (level == 1)
			change.gpa += 9 * 8;
		assert_int_not_equal(box_get(&b, change.gpa), 0);
		b.ctx = &change;
		b.on_yield = change_once;
		assert_int_equal(nmmu_page_fault(b.v, ngpa, R, &result), NMMU_RET_RETRY);
		b.on_yield = NULL;
		assert_int_equal(change.changes, 1);
		assert_int_equal(box_pfn_at(&b, ngpa), 0);
		/* It is not a matter of luck: the second time L1 hears of it. */
		assert_int_equal(nmmu_page_fault(b.v, ngpa, R, &result), NMMU_FAULT_INJECTED);
		box_deinit(&b);
	}
}

/* --- devices --- */

/* D.1 step 2: nGPAs are no GVAs, so what is cached for L1's addresses answers for none of them. */
static void device_cache_and_nesting(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_result result = { 0 };
		const u64 ngpa = 0x9000;
		struct box b;
		u64 root;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, ngpa, DATA);
		/* As the emulator leaves it for L1. */
		b.v->mmio_gva = ngpa;
		b.v->mmio_gfn = DEV_GFN;
		b.v->mmio_gen = nmmu_generation(b.m, 0);
		b.v->mmio_valid = true;
		assert_true(nmmu_mmio_cache_has_gva(b.v, ngpa));
		assert_int_equal(nmmu_page_fault(b.v, ngpa, NMMU_PF_RSVD, &result), NMMU_RET_RETRY);
		box_deinit(&b);
	}
}

/* D.1 step 2: the entry that the CPU met is gone, or memory by now: nothing to emulate, or to build. */
static void rsvd_on_no_device(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_result result = { 0 };
		struct box b;
		u32 stored;

		box_init(&b, &cfg);
		box_long_mode(&b, 0);
		assert_int_equal(box_fault(&b, DATA, R), NMMU_RET_FIXED);
		stored = b.events[MS_EV_spte_set];
		assert_int_equal(nmmu_page_fault(b.v, DATA, NMMU_PF_RSVD, &result), NMMU_RET_RETRY);
		assert_int_equal(nmmu_page_fault(b.v, LARGE, NMMU_PF_RSVD, &result), NMMU_RET_RETRY);
		assert_int_equal(b.events[MS_EV_spte_set], stored);
		box_check(&b);
		box_deinit(&b);
	}
}

/* --- tables that are not to be relied on, or not to be written --- */

/*
 * C.3: a page made while its table had no memory was never protected; once there is memory it is made anew.
 */
static void page_of_no_memory(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_slot *slot;
		union nmmu_role role;
		struct nmmu_sp *sp;
		struct box b;
		u64 root, id;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		role = box_page_of(&b, 0, 3)->role;
		assert_int_equal(nmmu_cache_topup(b.v, true), 0);
		nmmu_lock(b.m);
		sp = nmmu_sp_get(b.v, DEV_GFN, role);
		id = sp->id;
		assert_false(sp->accounted);
		nmmu_unlock(b.m);
		assert_int_equal(nmmu_slot_set(b.m, 0, 5, DEV_GFN, 1, BOX_HVA, 0), 0);
		assert_int_equal(nmmu_cache_topup(b.v, true), 0);
		nmmu_lock(b.m);
		sp = nmmu_sp_get(b.v, DEV_GFN, role);
		assert_int_not_equal(sp->id, id);
		assert_true(sp->accounted);
		nmmu_unlock(b.m);
		slot = nmmu_slot_of(b.m, 0, DEV_GFN);
		assert_true(nmmu_is_write_tracked(slot, DEV_GFN));
		box_check(&b);
		box_deinit(&b);
	}
}

/*
 * F "unsync attempt": a table of a higher level, shadowed for SMM. The slot of the other address space does
 * not say that it is tracked; the page does.
 */
static void table_of_smm(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_regs regs;
		struct nmmu_sp *sp;
		struct box b;
		u64 root;

		cfg.tdp = false;
		box_init(&b, &cfg);
		assert_int_equal(nmmu_slot_set(b.m, 1, 1, 0, BOX_PAGES, BOX_HVA, 0), 0);
		root = box_table(&b);
		box_map(&b, root, 4, 0, DATA, 1, PT_RW, PT_TABLE);
		box_long_mode(&b, root << 12);
		regs = b.v->regs;
		regs.smm = true;
		assert_int_equal(nmmu_set_regs(b.v, &regs), 0);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		sp = box_page_of(&b, 0, 2);
		assert_int_equal(sp->role.smm, 1);
		nmmu_lock(b.m);
		assert_false(nmmu_is_write_tracked(nmmu_slot_of(b.m, 0, sp->gfn), sp->gfn));
		assert_int_equal(nmmu_try_unsync(b.m, nmmu_slot_of(b.m, 0, sp->gfn), sp->gfn, true, false),
				 -EPERM);
		assert_false(sp->unsync);
		/* Level 1 may, whatever the address space. */
		sp = box_page_of(&b, 0, 1);
		assert_int_equal(nmmu_try_unsync(b.m, nmmu_slot_of(b.m, 0, sp->gfn), sp->gfn, true, false),
				 0);
		assert_true(sp->unsync);
		nmmu_unlock(b.m);
		box_deinit(&b);
	}
}

/* --- what a sync gives --- */

/*
 * Two unsync tables, the first of which maps the second, by now writable. The first is synced first: were the
 * second let be written because it is still unsync then, it would stay so as it is synced in its turn.
 */
static void sync_gives_no_table(void **state)
{
	const u64 second = 1ULL << 21, self = 0x40000000;
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_sp *sp[2];
		u64 root, pte[2];
		struct box b;
		u32 i;

		cfg.tdp = false;
		box_init(&b, &cfg);
		root = box_table(&b);
		pte[0] = box_map(&b, root, 4, 0, DATA, 1, PT_RW, PT_TABLE);
		pte[1] = box_map(&b, root, 4, second, DATA + 0x1000, 1, PT_RW, PT_TABLE);
		for (i = 0; i < 2; i++)
			box_map(&b, root, 4, self + i * 0x1000, pte[i], 1, PT_RW, PT_TABLE);
		/* Read only at first. */
		box_map(&b, root, 4, 0x9000, pte[1], 1, PT_RW & ~2ULL, PT_TABLE);
		box_long_mode(&b, root << 12);
		for (i = 0; i < 2; i++) {
			assert_int_equal(box_fault(&b, i * second, R), NMMU_RET_FIXED);
			sp[i] = box_page_of(&b, i * second, 1);
		}
		if (!box_pfn_at(&b, 0x9000))
			assert_int_equal(box_fault(&b, 0x9000, R), NMMU_RET_FIXED);
		for (i = 0; i < 2; i++) {
			assert_int_equal(box_fault(&b, self + i * 0x1000, W), NMMU_RET_FIXED);
			assert_true(sp[i]->unsync);
		}
		box_set(&b, pte[0] + 9 * 8, pte[1] | PT_RW);
		nmmu_flush_guest(b.v);
		box_check(&b);
		assert_false(sp[0]->unsync);
		assert_false(sp[1]->unsync);
		assert_int_equal(box_pfn_at(&b, 0x9000), box_pfn_of(pte[1]));
		assert_false(spte_is_writable(*box_spte(&b, 0x9000, 1)));
		box_deinit(&b);
	}
}

/* H 9: execute-only hardware, tables that allow no fetch, an entry that allows nothing else. */
static void sync_to_nothing(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct box b;
		u64 root, pte;

		cfg.exec_only = true;
		box_init(&b, &cfg);
		root = box_table(&b);
		box_long_mode(&b, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		pte = box_map(&b, root, 4, 0, DATA, 1, EPT_RWX, EPT_TABLE_RW);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		box_leave(&b);
		assert_false(box_l1_write(&b, pte, DATA | EPT_X));
		assert_int_equal(nmmu_invept(b.v, true, 0), 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | EPTP);
		box_load(&b);
		assert_int_equal(box_pfn_at(&b, 0), 0);
		box_deinit(&b);
	}
}

/*
 * C5: each half of a table of 4-byte entries is synced by its own entries. It hangs below the third of the
 * four pages that stand for the root, so all of them are looked at.
 */
static void sync_by_quadrant(void **state)
{
	const u64 base = 2ULL << 30, half = base + (1 << 21), self = base + (4 << 20);
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_regs regs = { .cr0 = CR0_PE | CR0_PG | CR0_WP };
		u64 pd, pt, own;
		struct box b;
		u32 i;

		cfg.tdp = false;
		box_init(&b, &cfg);
		pd = box_table(&b);
		pt = box_table(&b);
		own = box_table(&b);
		regs.cr3 = pd << 12;
		assert_int_equal(nmmu_set_regs(b.v, &regs), 0);
		box_set32(&b, (pd << 12) + 512 * 4, (u32)(pt << 12 | PT_TABLE));
		box_set32(&b, (pd << 12) + 513 * 4, (u32)(own << 12 | PT_TABLE));
		box_set32(&b, own << 12, (u32)(pt << 12 | PT_RW));
		for (i = 0; i < 1024; i++)
			box_set32(&b, (pt << 12) + i * 4, (u32)((DATA + (u64)i * 0x1000) | PT_RW));
		assert_int_equal(box_fault(&b, base + 0x3000, R), NMMU_RET_FIXED);
		assert_int_equal(box_fault(&b, half + 0x3000, R), NMMU_RET_FIXED);
		assert_int_equal(box_fault(&b, half + 0x9000, R), NMMU_RET_FIXED);
		assert_int_equal(box_fault(&b, self, W), NMMU_RET_FIXED);
		assert_true(box_page_of(&b, base, 1)->unsync);
		assert_true(box_page_of(&b, half, 1)->unsync);
		box_set32(&b, (pt << 12) + (512 + 9) * 4, 0);
		nmmu_flush_guest(b.v);
		box_check(&b);
		assert_false(box_page_of(&b, base, 1)->unsync);
		assert_false(box_page_of(&b, half, 1)->unsync);
		assert_int_equal(box_pfn_at(&b, base + 0x3000), box_pfn_of(DATA + 0x3000));
		assert_int_equal(box_pfn_at(&b, half + 0x3000), box_pfn_of(DATA + 0x203000));
		assert_int_equal(box_pfn_at(&b, half + 0x9000), 0);
		box_deinit(&b);
	}
}

/* --- zapping --- */

static void zap_one(struct box *b, struct nmmu_sp *sp)
{
	struct nmmu_link invalid;

	nmmu_link_init(&invalid);
	nmmu_lock(b->m);
	nmmu_sp_prepare_zap(b->m, sp, &invalid, MS_CAUSE_UNPROTECT);
	nmmu_sp_commit_zap(b->m, &invalid, MS_CAUSE_UNPROTECT);
	nmmu_unlock(b->m);
	box_check(b);
}

/* A root that is gone but for its vCPU is not zapped again, nor does it count as something zapped. */
static void unprotect_twice(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct box b;
		u32 zapped;
		u64 root;

		box_start_l2(&b, kernel, &root);
		box_map_l2(&b, root, 0, DATA);
		nmmu_lock(b.m);
		nmmu_unprotect_gfn(b.m, root);
		zapped = b.events[MS_EV_sp_zap];
		assert_true(zapped > 0);
		assert_int_equal(box_page_of(&b, 0, 4)->role.invalid, 1);
		assert_false(nmmu_unprotect_gfn(b.m, root));
		assert_int_equal(b.events[MS_EV_sp_zap], zapped);
		nmmu_unlock(b.m);
		box_deinit(&b);
	}
}

/* F "zap": an L2's orphans go under nested TDP only; under shadow paging the guest may want them again. */
static void orphans_of_shadow_paging(void **state)
{
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_nested nested = {
			.kind = NMMU_NESTED_OFF,
			.l2 = { .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr4 = CR4_PAE, .efer = EFER_LME | EFER_NX },
		};
		struct nmmu_sp *child;
		struct box b;
		u64 root;

		cfg.tdp = false;
		box_init(&b, &cfg);
		root = box_table(&b);
		box_map(&b, root, 4, 0, DATA, 1, PT_RW, PT_TABLE);
		box_long_mode(&b, box_table(&b) << 12);
		nested.l2.cr3 = root << 12;
		assert_int_equal(nmmu_nested_enter(b.v, &nested), 0);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		child = box_page_of(&b, 0, 1);
		assert_int_equal(child->role.guest_mode, 1);
		zap_one(&b, box_page_of(&b, 0, 2));
		assert_ptr_equal(box_sp(&b, child->gfn, 1), child);
		assert_int_equal(child->parents.val, 0);
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		assert_ptr_equal(box_page_of(&b, 0, 1), child);
		box_deinit(&b);
	}
}

/* The same page is a child of an L2 with five levels, and the root of one with four: it is in use. */
static void child_that_is_a_root(void **state)
{
	const u64 five_levels = 1ULL << 3; /* of the EPTP: levels - 1 */
	enum nmmu_kernel kernel;

	for_each_kernel(kernel)
	{
		struct nmmu_config cfg = box_config(kernel);
		struct nmmu_sp *parent, *child;
		struct box b;
		u64 root;

		cfg.la57 = true;
		box_init(&b, &cfg);
		root = box_table(&b);
		box_map(&b, root, 5, 0, DATA, 1, EPT_RWX, EPT_TABLE);
		box_long_mode(&b, 0);
		box_enter(&b, NMMU_NESTED_EPT, root << 12 | (EPTP + five_levels));
		assert_int_equal(box_fault(&b, 0, R), NMMU_RET_FIXED);
		parent = box_page_of(&b, 0, 5);
		child = box_page_of(&b, 0, 4);
		box_leave(&b);
		box_enter(&b, NMMU_NESTED_EPT, child->gfn << 12 | EPTP);
		box_load(&b);
		assert_int_equal(child->root_count, 1);
		assert_int_not_equal(child->parents.val, 0);
		zap_one(&b, parent);
		assert_int_equal(child->parents.val, 0);
		assert_int_equal(child->role.invalid, 0);
		assert_ptr_equal(box_page_of(&b, 0, 4), child);
		assert_int_equal(box_pfn_at(&b, 0), box_pfn_of(DATA));
		box_deinit(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relink_over_a_child),	    cmocka_unit_test(rights_of_a_direct_page),
		cmocka_unit_test(key_is_the_eptp),	    cmocka_unit_test(invlpg_without_shadow),
		cmocka_unit_test(invlpg_in_previous_roots), cmocka_unit_test(bits_that_came_meanwhile),
		cmocka_unit_test(pages_wait_for_walkers),   cmocka_unit_test(entries_change_after_the_walk),
		cmocka_unit_test(device_cache_and_nesting), cmocka_unit_test(rsvd_on_no_device),
		cmocka_unit_test(page_of_no_memory),	    cmocka_unit_test(table_of_smm),
		cmocka_unit_test(sync_gives_no_table),	    cmocka_unit_test(sync_to_nothing),
		cmocka_unit_test(sync_by_quadrant),	    cmocka_unit_test(unprotect_twice),
		cmocka_unit_test(orphans_of_shadow_paging), cmocka_unit_test(child_that_is_a_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
