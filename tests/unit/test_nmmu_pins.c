// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pinned pages and prefault (SEMANTICS G; I 31-37), on both kernels. Each case is a function that says what
 * is wrong, NULL: nothing. The right engine passes all; each mutant of mutants.def that is named pin-* or
 * prefault-* must fail the case it is listed with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/nmmuhost.h"

#define HVA(page) (HOST_HVA + (u64)(page)*4096)
#define GPA(gfn) ((u64)(gfn) << 12)

enum call { PIN, UNPIN, ZAP, UNZAP };

struct world {
	struct host h;
	struct nmmu_vcpu *v;
};

#define WANT(cond)                    \
	do {                          \
		if (!(cond))          \
			return #cond; \
	} while (0)

static void begin(struct world *w, const struct nmmu_config *cfg)
{
	struct nmmu_regs regs = { .cr0 = 1 };

	host_init(&w->h, cfg);
	assert_int_equal(nmmu_vcpu_create(w->h.m, &w->v), 0);
	assert_int_equal(nmmu_set_regs(w->v, &regs), 0);
}

static int slot(struct world *w, u16 id, u64 gfn, u64 nr, u64 page, u32 flags)
{
	return nmmu_slot_set(w->h.m, 0, id, gfn, nr, HVA(page), flags);
}

/* enum nmmu_ret or -errno. */
static int fault(struct world *w, u64 gfn, u64 error)
{
	struct nmmu_result result;
	struct nmmu_entry entry;
	int ret = nmmu_vcpu_load(w->v, &entry);

	return ret ? ret : nmmu_page_fault(w->v, GPA(gfn), error | NMMU_PF_FINAL, &result);
}

static u64 leaf(struct world *w, u64 gfn, u32 *level_ret)
{
	struct nmmu_shadow_iter it;
	u64 spte = 0;

	*level_ret = 0;
	for (nmmu_shadow_first(w->v, GPA(gfn), &it); it.sptep; nmmu_shadow_next(w->v, &it, spte)) {
		spte = nmmu_read64(it.sptep);
		*level_ret = it.level;
	}
	return spte;
}

static void discard(struct world *w, u64 page, u64 nr)
{
	nmmu_invalidate_begin(w->h.m, HVA(page), HVA(page + nr));
	nmmu_invalidate_end(w->h.m, HVA(page), HVA(page + nr));
}

static bool is_sound(struct world *w)
{
	const struct nmmu_sp *sp;
	const char *text = "";

	if (!nmmu_self_check(w->h.m, &text, &sp))
		return true;
	print_message("# self check: %s\n", text);
	return false;
}

/* I 31: one pin, one zap, one unzap with the same frame; what Z leaves in the table names no frame. */
static const char *life(struct world *w)
{
	u32 *calls = w->h.pin_calls, level;
	struct nmmu_pin_info info;

	slot(w, 0, 0x100, 0x100, 0, 0);
	WANT(fault(w, 0x155, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(calls[PIN] >= 1 && calls[PIN] == w->h.pinned_pages && !calls[UNZAP]);
	WANT(!nmmu_pin_get(w->h.m, 0, 0x155, &info) && info.mapped && info.pfn == HOST_PFN + 0x55);
	WANT(is_sound(w));
	discard(w, 0x55, 1);
	WANT(calls[ZAP] == 1 && w->h.pin_gfn == 0x155 && w->h.pin_pfn == HOST_PFN + 0x55);
	WANT(!nmmu_pin_get(w->h.m, 0, 0x155, &info) && !info.mapped);
	WANT(leaf(w, 0x155, &level) == w->h.m->profile.nonpresent_value);
	discard(w, 0x55, 1);
	WANT(calls[ZAP] == 1 && is_sound(w));
	WANT(fault(w, 0x155, 0) == NMMU_RET_FIXED);
	WANT(calls[UNZAP] == 1 && calls[ZAP] == 1 && !calls[UNPIN]);
	WANT(calls[PIN] == w->h.pinned_pages && w->h.m->nr_pins == w->h.pinned_pages);
	return NULL;
}

static const char *moved(struct world *w)
{
	slot(w, 0, 0x100, 0x100, 0, 0);
	WANT(fault(w, 0x155, NMMU_PF_W) == NMMU_RET_FIXED);
	discard(w, 0x55, 1);
	w->h.moved = 7;
	WANT(fault(w, 0x155, NMMU_PF_W) == -EIO);
	w->h.moved = 0;
	WANT(fault(w, 0x155, NMMU_PF_W) == NMMU_RET_FIXED);
	return NULL;
}

/* I 32. */
static const char *huge(struct world *w)
{
	u32 *calls = w->h.pin_calls;

	w->h.level = 2;
	slot(w, 0, 0x200, 0x400, 0, 0);
	WANT(fault(w, 0x213, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(calls[PIN] == 1 && w->h.pin_level == 2 && w->h.pin_gfn == 0x200 && w->h.pin_pfn == HOST_PFN);
	discard(w, 0x13, 1);
	WANT(calls[ZAP] == 1 && w->h.pin_level == 2);
	nmmu_zap_all(w->h.m);
	WANT(!calls[UNPIN] && w->h.pinned_pages == 512);
	slot(w, 0, 0, 0, 0, 0);
	WANT(calls[UNPIN] == 1 && w->h.pin_level == 2 && !w->h.pinned_pages);
	return NULL;
}

/* A part of a pinned huge page is mapped alone: its pin is handed down, and parts do not become huge again. */
static const char *split(struct world *w)
{
	struct nmmu_pin_info info;
	u32 level;

	w->h.level = 2;
	slot(w, 0, 0x200, 0x400, 0, 0);
	WANT(fault(w, 0x213, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(leaf(w, 0x213, &level) && level == 2);
	nmmu_lock(w->h.m);
	nmmu_lpage_disallow(nmmu_slot_of(w->h.m, 0, 0x213), 0x213, 1);
	nmmu_unlock(w->h.m);
	discard(w, 0x13, 1);
	w->h.pin_refuse = 100;
	WANT(fault(w, 0x213, NMMU_PF_W) == -EBUSY);
	WANT(w->h.pinned_pages == 512 && w->h.m->nr_pins == 1);
	WANT(fault(w, 0x213, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(w->h.pinned_pages == 512 && w->h.m->nr_pins == 512);
	/* Each part is zapped until it is mapped, and the host was told. */
	WANT(w->h.pin_calls[ZAP] == 1 + 99 + 512 && w->h.pin_calls[UNZAP] >= 1);
	WANT(!nmmu_pin_get(w->h.m, 0, 0x213, &info) && info.level == 1 && info.mapped);
	WANT(info.pfn == HOST_PFN + 0x13);
	WANT(!nmmu_pin_get(w->h.m, 0, 0x3ff, &info) && info.level == 1 && !info.mapped);
	nmmu_lock(w->h.m);
	nmmu_lpage_disallow(nmmu_slot_of(w->h.m, 0, 0x213), 0x213, -1);
	nmmu_unlock(w->h.m);
	WANT(fault(w, 0x2f0, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(leaf(w, 0x2f0, &level) && level == 1 && is_sound(w));
	return NULL;
}

/* I 33: 40 pages at most, each fault in a GiB of its own takes two; with -ENOSPC nothing pinned is gone. */
static const char *recycling(struct world *w)
{
	u32 *calls = w->h.pin_calls;
	int ret = NMMU_RET_FIXED;
	u32 nr = 0;

	for (u16 i = 0; i < 40; i++)
		WANT(!slot(w, i, (u64)i << 18, 1, i, 0));
	while (nr < 40 && ret == NMMU_RET_FIXED)
		ret = fault(w, (u64)nr++ << 18, NMMU_PF_W);
	WANT(ret == -ENOSPC);
	WANT(!calls[ZAP] && !calls[UNPIN] && calls[PIN] == nr - 1);
	WANT(nmmu_unpin(w->h.m, 0, 0) == 0 && nmmu_unpin(w->h.m, 0, 1 << 18) == 0);
	WANT(nmmu_unpin(w->h.m, 0, 2 << 18) == 0 && nmmu_unpin(w->h.m, 0, 3 << 18) == 0);
	WANT(fault(w, (u64)(nr - 1) << 18, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(calls[PIN] == nr && is_sound(w));
	return NULL;
}

/* I 34. */
static const char *slots(struct world *w)
{
	u32 *calls = w->h.pin_calls, nr, level;

	slot(w, 0, 0x100, 0x10, 0, 0);
	WANT(fault(w, 0x101, NMMU_PF_W) == NMMU_RET_FIXED);
	nr = calls[PIN];
	slot(w, 1, 0x200, 0x10, 0x20, 0);
	WANT(fault(w, 0x201, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(slot(w, 1, 0x200, 0x10, 0x20, MS_SLOT_LOG_DIRTY) == -EBUSY);
	slot(w, 0, 0, 0, 0, 0);
	WANT(calls[UNPIN] == nr && calls[ZAP] == nr);
	WANT(w->h.pinned_pages == calls[PIN] - nr && w->h.m->nr_pins == w->h.pinned_pages);
	WANT(spte_is_leaf(&w->h.m->profile, leaf(w, 0x201, &level), 1));
	WANT(is_sound(w));
	nmmu_mm_release(w->h.m);
	WANT(calls[UNPIN] == calls[PIN] && !w->h.m->nr_pins && is_sound(w));
	return NULL;
}

static const char *nx(struct world *w)
{
	slot(w, 0, 0x100, 0x100, 0, 0);
	WANT(!nmmu_set_nx_huge_pages(w->h.m, true) && !nmmu_set_nx_huge_pages(w->h.m, false));
	WANT(fault(w, 0x155, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(nmmu_set_nx_huge_pages(w->h.m, true) == -EBUSY && !w->h.m->cfg.nx_huge_pages);
	WANT(nmmu_set_nx_huge_pages(w->h.m, false) == 0);
	return NULL;
}

/* I 35, 36. */
static const char *prefault(struct world *w)
{
	struct nmmu_prefault range = { .gpa = GPA(0x10c), .size = GPA(8) };
	u64 locks;

	slot(w, 0, 0x100, 0x10, 0, 0);
	WANT(!nmmu_prefault(w->v, &range));
	WANT(range.gpa == GPA(0x110) && range.size == GPA(4) && w->h.pinned_pages >= 4);
	locks = w->h.pinned_pages;
	WANT(nmmu_prefault(w->v, &range) == -ENOENT);
	WANT(range.gpa == GPA(0x110) && range.size == GPA(4) && w->h.pinned_pages == locks);
	WANT(!w->h.m->readers && !w->h.locked);
	range = (struct nmmu_prefault){ .gpa = GPA(0x100) + 1, .size = GPA(1) };
	WANT(nmmu_prefault(w->v, &range) == -EINVAL);
	/* While the host takes it away. */
	range = (struct nmmu_prefault){ .gpa = GPA(0x103), .size = GPA(1) };
	nmmu_invalidate_begin(w->h.m, HVA(3), HVA(4));
	WANT(nmmu_prefault(w->v, &range) == -EAGAIN && range.size == GPA(1));
	nmmu_invalidate_end(w->h.m, HVA(3), HVA(4));
	WANT(!nmmu_prefault(w->v, &range) && !range.size && !w->h.m->readers);
	return NULL;
}

/* I 37: gen[18] lies in bit 62. */
static const char *mmio(struct world *w)
{
	u32 *calls = w->h.pin_calls, nr, level;

	slot(w, 0, 0x100, 0x10, 0, 0);
	WANT(fault(w, 0x101, NMMU_PF_W) == NMMU_RET_FIXED);
	nr = calls[PIN];
	WANT(fault(w, 0x180, 0) == NMMU_RET_EMULATE);
	WANT(spte_is_mmio(&w->h.m->profile, leaf(w, 0x180, &level)));
	WANT(leaf(w, 0x180, &level) & SPTE_BIT(62));
	WANT(calls[PIN] == nr);
	slot(w, 1, 0x180, 0x10, 0x20, 0);
	WANT(fault(w, 0x180, 0) == NMMU_RET_FIXED && calls[PIN] > nr && !calls[UNZAP]);
	WANT(nmmu_rmap_count(*nmmu_slot_rmap(nmmu_slot_of(w->h.m, 0, 0x180), 0x180, 1)) == 1);
	WANT(fault(w, 0x1f0, 0) == NMMU_RET_EMULATE);
	nmmu_zap_all(w->h.m);
	WANT(calls[ZAP] == calls[PIN] && !calls[UNPIN] && is_sound(w));
	return NULL;
}

/* Ballooning: gone from the guest, pinned anew when it comes back; pins may be refused. */
static const char *balloon(struct world *w)
{
	u32 *calls = w->h.pin_calls, nr, level;
	struct nmmu_pin_info info;

	slot(w, 0, 0x100, 0x10, 0, 0);
	WANT(fault(w, 0x101, NMMU_PF_W) == NMMU_RET_FIXED);
	nr = calls[PIN];
	WANT(nmmu_unpin(w->h.m, 0, 0x101) == 0 && calls[UNPIN] == 1 && calls[ZAP] == 1);
	WANT(nmmu_unpin(w->h.m, 0, 0x101) == -ENOENT && nmmu_unpin(w->h.m, 0, 0x900) == -ENOENT);
	WANT(!spte_is_mmu_present(&w->h.m->profile, leaf(w, 0x101, &level)));
	w->h.pin_refuse = 1;
	WANT(fault(w, 0x101, NMMU_PF_W) == NMMU_RET_FIXED && calls[PIN] == nr);
	WANT(nmmu_pin_get(w->h.m, 0, 0x101, &info) == -ENOENT && is_sound(w));
	return NULL;
}

/* A huge page that is zapped is none, and no table either: what lies below is looked for nowhere (defect 2). */
static const char *huge_zapped(struct world *w)
{
	u32 level;

	w->h.level = 2;
	slot(w, 0, 0x200, 0x400, 0, 0);
	WANT(fault(w, 0x213, NMMU_PF_W) == NMMU_RET_FIXED);
	discard(w, 0x13, 1);
	WANT(leaf(w, 0x213, &level) == w->h.m->profile.nonpresent_value && level == 2);
	WANT(fault(w, 0x214, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(leaf(w, 0x214, &level) && level == 2 && is_sound(w));
	return NULL;
}

/* Shadow paging of a guest without paging: direct, and of PAE's format, which reserves bit 62 (defect 4). */
static const char *pae(struct world *w)
{
	u32 level;
	u64 spte;

	slot(w, 0, 0x100, 0x10, 0, 0);
	WANT(fault(w, 0x101, NMMU_PF_W) == NMMU_RET_FIXED && w->h.pin_calls[PIN]);
	spte = leaf(w, 0x101, &level);
	WANT(spte_is_leaf(&w->h.m->profile, spte, 1));
	WANT(!(spte >> 52 & 0x7ff));
	WANT(is_sound(w));
	return NULL;
}

/* A page that was zapped when its slot went, and what comes there later: a device, other memory (defect 7). */
static const char *device_over_zapped(struct world *w)
{
	u32 *calls = w->h.pin_calls, level;

	slot(w, 0, 0x100, 1, 0, 0);
	WANT(fault(w, 0x100, NMMU_PF_W) == NMMU_RET_FIXED);
	discard(w, 0, 1);
	WANT(calls[PIN] == 1 && calls[ZAP] == 1);
	slot(w, 0, 0, 0, 0, 0);
	WANT(calls[UNPIN] == 1 && !w->h.pinned_pages && !w->h.m->nr_pins);
	WANT(fault(w, 0x100, 0) == NMMU_RET_EMULATE);
	WANT(spte_is_mmio(&w->h.m->profile, leaf(w, 0x100, &level)));
	slot(w, 0, 0x100, 1, 7, 0);
	WANT(fault(w, 0x100, NMMU_PF_W) == NMMU_RET_FIXED);
	WANT(calls[PIN] == 2 && !calls[UNZAP] && calls[UNPIN] == 1 && w->h.pin_pfn == HOST_PFN + 7);
	WANT(nmmu_rmap_count(*nmmu_slot_rmap(nmmu_slot_of(w->h.m, 0, 0x100), 0x100, 1)) == 1);
	WANT(is_sound(w));
	return NULL;
}

/* Rows 42 and 43 of H: the engine's own check sees each lie about a sound machine. */
static void test_check(void **state)
{
	struct nmmu_config cfg = host_config(false);
	const struct nmmu_sp *at;
	struct nmmu_slot *slot_0;
	struct nmmu_pin *pin;
	struct nmmu_sp *sp;
	const char *text;
	struct world w;

	(void)state;
	cfg.pins = true;
	begin(&w, &cfg);
	slot(&w, 0, 0x100, 0x10, 0, 0);
	assert_int_equal(fault(&w, 0x101, NMMU_PF_W), NMMU_RET_FIXED);
	assert_true(is_sound(&w));
	slot_0 = nmmu_slot_of(w.h.m, 0, 0x101);
	pin = &slot_0->pins[1];
	sp = nmmu_sp_of_spte(w.h.m, (u64 *)slot_0->rmap[0][1].val);
	assert_non_null(sp);

#define LIE(row, lie, truth)                                               \
	do {                                                               \
		lie;                                                       \
		assert_int_equal(nmmu_self_check(w.h.m, &text, &at), row); \
		truth;                                                     \
		assert_true(is_sound(&w));                                 \
	} while (0)
	LIE(42, pin->pfn++, pin->pfn--);
	LIE(42, pin->level = 2, pin->level = 1);
	LIE(42, pin->mapped++, pin->mapped--);
	LIE(42, pin->level = 0, pin->level = 1);
	LIE(42, slot_0->nr_pins++, slot_0->nr_pins--);
	LIE(42, w.h.m->nr_pins++, w.h.m->nr_pins--);
	LIE(42, sp->nr_pinned++, sp->nr_pinned--);
	LIE(42, sp->pinned[7] ^= 1ULL << 63, sp->pinned[7] ^= 1ULL << 63);
	/* A page that was zapped, but for its last reference. */
	sp = host_sp(&w.h, 0x40000, (union nmmu_role){ .level = 1, .direct = 1, .access = NMMU_ACC_ALL });
	nmmu_link_del(&sp->link);
	sp->role.invalid = 1;
	sp->root_count = 1;
	assert_true(is_sound(&w));
	LIE(43, sp->nr_pinned = 1, sp->nr_pinned = 0);
	sp->role.invalid = 0;
	sp->root_count = 0;
	nmmu_link_add(&sp->link, w.h.m->active_pages.prev);
	host_deinit(&w.h);
}

struct test {
	const char *name;
	const char *(*run)(struct world *w);
	u32 max_pages;
	u64 first_gen;
	bool shadow;
} tests[] = {
	{ "I 31: pin, zap, unzap", life, 0, 0 },
	{ "a pinned page that moved", moved, 0, 0 },
	{ "I 32: huge", huge, 0, 0 },
	{ "a part of a huge page", split, 0, 0 },
	{ "I 33: recycling", recycling, 40, 0 },
	{ "I 34: slots", slots, 0, 0 },
	{ "the NX mitigation", nx, 0, 0 },
	{ "I 35, 36: prefault", prefault, 0, 0 },
	{ "I 37: an MMIO SPTE with bit 62", mmio, 0, 1u << 18 },
	{ "ballooning", balloon, 0, 0 },
	{ "a huge page that is zapped", huge_zapped, 0, 0 },
	{ "PAE tables", pae, .shadow = true },
	{ "a device where a zapped page was", device_over_zapped, 0, 0 },
};

static const char *play(const struct test *t, enum nmmu_kernel kernel, enum nmmu_mutant mutant)
{
	struct nmmu_config cfg = host_config(false);
	struct world w;
	const char *wrong;

	cfg.kernel = kernel;
	cfg.pins = true;
	cfg.tdp = !t->shadow;
	cfg.max_pages = t->max_pages;
	cfg.first_generation = t->first_gen;
	cfg.mutant = mutant;
	begin(&w, &cfg);
	wrong = t->run(&w);
	w.h.m->readers = 0; /* what a mutant leaves must not keep memory */
	host_deinit(&w.h);
	if (!wrong && w.h.pinned_pages)
		wrong = "the machine ended, and pages are pinned";
	return wrong;
}

static void test_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		for (u32 kernel = NMMU_6_1; kernel <= NMMU_6_12; kernel++) {
			const char *wrong = play(&tests[i], kernel, NMMU_MUTANT_NONE);

			if (wrong)
				fail_msg("%s, kernel %u: not so: %s", tests[i].name, kernel, wrong);
		}
	}
}

static void test_mutants(void **state)
{
	static const struct {
		enum nmmu_mutant mutant;
		const char *(*run)(struct world *w);
	} table[] = {
		{ NMMU_MUTANT_PIN_LEVEL_1, huge },
		{ NMMU_MUTANT_PIN_Z_RAW, life },
		{ NMMU_MUTANT_PIN_BIT_62, mmio },
		{ NMMU_MUTANT_PIN_RECYCLED, recycling },
		{ NMMU_MUTANT_PIN_SLOT_ALL, slots },
		{ NMMU_MUTANT_PIN_SLOT_LEAK, slots },
		{ NMMU_MUTANT_PIN_NX, nx },
		{ NMMU_MUTANT_PIN_ANY_PFN, moved },
		{ NMMU_MUTANT_PIN_NO_SPLIT, split },
		{ NMMU_MUTANT_PREFAULT_LEAKS, prefault },
		{ NMMU_MUTANT_PIN_Z_TABLE, huge_zapped },
		{ NMMU_MUTANT_PIN_BIT_SET, pae },
		{ NMMU_MUTANT_PIN_Z_LEAK, device_over_zapped },
		{ NMMU_MUTANT_PIN_STAYS_MAPPED, balloon },
		{ NMMU_MUTANT_PIN_MM_LEAK, slots },
		{ NMMU_MUTANT_PREFAULT_ALL, prefault },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (size_t k = 0; k < sizeof(tests) / sizeof(tests[0]); k++) {
			const char *wrong;

			if (tests[k].run != table[i].run)
				continue;
			wrong = play(&tests[k], NMMU_6_12, table[i].mutant);
			print_message("# mutant %zu, %s: %s\n", i, tests[k].name, wrong ? wrong : "not seen");
			assert_non_null(wrong);
		}
	}
}

/* Without TDP there is nothing to prefault; hooks are needed to pin. */
static void test_refused(void **state)
{
	struct nmmu_config cfg = host_config(false);
	struct nmmu_prefault range = { .gpa = 0, .size = 4096 };
	struct world w;

	(void)state;
	cfg.tdp = false;
	begin(&w, &cfg);
	assert_int_equal(nmmu_prefault(w.v, &range), -EOPNOTSUPP);
	host_deinit(&w.h);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_mutants),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(t, NULL, NULL);
}
