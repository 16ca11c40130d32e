// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nmmu's walks against the reference walker on tables of random entries: every format alone, and every format
 * of L2 over EPT12 and NPT12 of every format. Compared are the outcome, the fault bit by bit, every entry
 * read with its address, and all of memory afterwards (A and D bits). Counts are printed, and none may be
 * near zero.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/cpujudge.h"
#include "tests/unit/nmmu_fixture.h"
#include "tests/unit/refwalk.h"

/* Frames of the second dimension's tables, and those of L2's (or L1's) tables and data. */
#define SECOND_PAGES 16
#define FILLINGS 160
#define WALKS 100

static u64 seed = 0x243f6a8885a308d3;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1d;
}

static u32 below(u32 n)
{
	return (u32)(rnd() >> 33) % n;
}

static bool chance(u32 percent)
{
	return below(100) < percent;
}

/* How a filling is drawn. */
struct mood {
	u32 present, rights, odd, large, ad;
};

static u64 odd_bits(void)
{
	return 1ULL << (below(4) ? below(64) : 40 + below(24));
}

static u64 draw_x86(const struct mood *mood, u32 first, u32 nr, bool wide)
{
	u64 e = (u64)(first + below(nr)) << 12;

	e |= chance(mood->present);
	e |= chance(mood->rights) ? 2 : 0;
	e |= chance(mood->rights) ? 4 : 0;
	e |= chance(mood->ad) ? 0x20 : 0;
	e |= chance(mood->ad) ? 0x40 : 0;
	e |= chance(mood->large) ? 0x80 : 0;
	if (e & 0x80 && chance(80))
		e &= wide ? ~0x1ff000ULL : ~0x3ff000ULL;
	else if (e & 0x80 && !wide)
		e |= (u64)below(32) << 17;
	if (wide) {
		e |= chance(mood->rights) ? 0 : 1ULL << 63;
		if (chance(mood->odd))
			e ^= odd_bits();
	} else if (chance(mood->odd)) {
		e ^= 1ULL << below(32);
	}
	return e;
}

static u64 draw_ept(const struct mood *mood, u32 first, u32 nr, bool leaf)
{
	u64 e = (u64)(first + below(nr)) << 12;

	e |= chance(mood->rights) ? 1 : 0;
	e |= e & 1 && chance(mood->rights) ? 2 : 0;
	e |= chance(mood->rights) ? 4 : 0;
	if (!chance(mood->present))
		e &= ~7ULL;
	if (leaf)
		e |= 0x30;
	else if (chance(mood->large))
		e = (e & 0xfff) | 0xb0;
	e |= chance(mood->ad) ? 0x100 : 0;
	e |= chance(mood->ad) ? 0x200 : 0;
	if (chance(mood->odd))
		e ^= odd_bits();
	return e;
}

static void fill_x86(struct fix *f, const struct mood *mood, u32 first, u32 nr, u32 to_first, u32 to_nr,
		     bool wide)
{
	for (u32 p = first; p < first + nr; p++) {
		for (u32 i = 0; i < 512; i++) {
			u64 e = draw_x86(mood, to_first, to_nr, wide);

			if (!wide)
				e |= draw_x86(mood, to_first, to_nr, wide) << 32;
			fix_set(f, p * 4096ULL + i * 8, e);
		}
	}
}

/*
 * Second dimension: frames [0, SECOND_PAGES), the level of each fixed so that leaves lead out of them. nGPAs
 * are small: only the first entries of upper tables are used, all others are random too.
 */
static void fill_second(struct fix *f, const struct mood *mood, u32 levels, enum nmmu_gpt kind)
{
	for (u32 p = 0; p < SECOND_PAGES; p++) {
		u32 level = levels - p * levels / SECOND_PAGES, below_first = 0, below_nr = 0;

		/* Frames of the next level down: [first, first + nr). */
		for (u32 q = 0; q < SECOND_PAGES; q++) {
			if (levels - q * levels / SECOND_PAGES != level - 1)
				continue;
			if (!below_nr++)
				below_first = q;
		}
		if (level == 1) {
			below_first = SECOND_PAGES;
			below_nr = FIX_PAGES - SECOND_PAGES + (chance(20) ? 2 : 0);
		}
		for (u32 i = 0; i < 512; i++) {
			u64 e;

			if (kind == NMMU_GPT_EPT)
				e = draw_ept(mood, below_first, below_nr, level == 1);
			else
				e = draw_x86(mood, below_first, below_nr, kind != NMMU_GPT_32);
			if (kind == NMMU_GPT_32)
				e |= draw_x86(mood, below_first, below_nr, false) << 32;
			/* Mostly usable at the top, or nothing below is ever reached. */
			if (level > 1 && !i && chance(kind == NMMU_GPT_32 ? 60 : 90)) {
				if (kind == NMMU_GPT_EPT)
					e = (e & 0xfffffffff300ULL) | 7;
				else
					e = (e & 0xffffffff00fff060ULL) |
					    (kind == NMMU_GPT_32 ? 0x700000007 : 7);
				if (kind == NMMU_GPT_32)
					e &= 0x00fff06700fff067;
				else if (kind != NMMU_GPT_EPT)
					e &= 0xfffff067;
			}
			fix_set(f, p * 4096ULL + i * 8, e);
		}
	}
}

struct counts {
	u32 walks, code[2][5], table, large, marked;
};

static void compare_steps(const struct nmmu_trace *t, const struct ref_result *r)
{
	/* A walk repeated after a race sees A and D that its first try has set. */
	const u64 ad = 0x360;

	assert_int_equal(t->nr, r->nr_steps);
	for (u32 i = 0; i < t->nr; i++) {
		assert_int_equal(t->steps[i].dim, r->step[i].dim);
		assert_int_equal(t->steps[i].level, r->step[i].level);
		assert_int_equal(t->steps[i].entry_gpa, r->step[i].at);
		assert_int_equal(t->steps[i].entry & ~ad, r->step[i].value & ~ad);
	}
}

static void compare_fault(const struct nmmu_walk_fault *fault, const struct ref_result *r, bool ept)
{
	assert_int_equal(fault->nested, r->dim == 1);
	assert_int_equal(fault->addr, r->addr);
	assert_int_equal(fault->misconfig, r->dim == 1 && ept && r->code == REF_RESERVED);
	assert_int_equal(fault->table, r->table);
	assert_false(fault->pml_full);
	if (r->dim == 1 && ept)
		assert_int_equal(fault->qual, r->qual);
	else
		assert_int_equal(fault->error, r->error);
}

struct setup {
	struct fix f;
	struct ref_tables guest, second;
	bool has_second;
	u8 *ref_bytes;
	struct cpu_judge cpu;
	u32 filled, synced, marked; /* fillings drawn; the one in ref_bytes; exchanges by the engine */
};

static void one_walk(struct setup *s, u64 addr, const struct ref_access *a, bool set_ad, struct counts *c)
{
	struct ref_mem mem = { s->ref_bytes, s->f.backed, s->f.readonly, FIX_PAGES };
	bool ept = s->second.kind == REF_EPT4 || s->second.kind == REF_EPT5;
	u64 pferr = (a->write ? NMMU_PF_W : 0) | (a->fetch ? NMMU_PF_I : 0) | (a->user ? NMMU_PF_U : 0);
	struct nmmu_walk_fault fault;
	struct nmmu_trace trace;
	struct ref_result r;
	u32 access = ~0u, asked = s->cpu.nr_asked, ref_changes;
	u64 gpa = ~0ULL;
	int ret;

	memset(&trace, 0, sizeof(trace));
	if (s->synced != s->filled)
		memcpy(s->ref_bytes, s->f.mem, FIX_PAGES * 4096);
	s->synced = s->filled;
	ref_walk(&mem, &s->guest, s->has_second ? &s->second : NULL, addr, a, set_ad, &r);
	ref_changes = mem.changes;
	mem.bytes = s->f.mem;
	mem.changes = s->filled + s->marked;
	cpu_judge_walk(&s->cpu, &mem, &s->f.v.regs, &s->guest, s->has_second ? &s->second : NULL, addr, a,
		       &r);
	if (set_ad && r.code == REF_OK && s->cpu.nr_asked != asked && (ref_changes || s->cpu.mem.changes))
		assert_memory_equal(s->cpu.mem.bytes, s->ref_bytes, FIX_PAGES * 4096);
	ret = nmmu_walk_gva(&s->f.v, addr, pferr,
			    (set_ad ? NMMU_WALK_SET_AD : 0) | (a->rmw ? NMMU_WALK_RMW : 0), &gpa, &access,
			    &fault, &trace);
	assert_int_equal(ret, r.code == REF_OK);
	if (ret) {
		assert_int_equal(gpa, r.gpa);
		assert_int_equal(access, r.rights);
		if (s->has_second)
			assert_int_equal(trace.l2_gpa, r.l2_gpa);
		c->large += r.leaf_level > 1;
	} else {
		compare_fault(&fault, &r, ept);
		c->table += r.dim == 1 && r.table;
	}
	compare_steps(&trace, &r);
	/* Nobody says to have changed anything: believed mostly. */
	if ((ref_changes || s->f.nr_cmpxchg || c->walks % 50 == 0) &&
	    memcmp(s->ref_bytes, s->f.mem, FIX_PAGES * 4096))
		fail_msg("memory differs after a walk of %#llx", (unsigned long long)addr);
	c->marked += s->f.nr_cmpxchg != 0;
	s->marked += s->f.nr_cmpxchg;
	s->f.nr_cmpxchg = 0;
	c->walks++;
	c->code[ret ? 0 : r.dim][r.code]++;
}

static void draw_regs(enum ref_kind kind, struct nmmu_regs *regs, struct ref_tables *t, u64 root)
{
	*regs = (struct nmmu_regs){ .cr0 = kind == REF_OFF ? 0 : CR0_PG, .cr3 = root, .ac = chance(50) };
	t->kind = kind;
	t->root = root;
	t->phys_bits = 46;
	t->gb = true;
	t->wp = chance(50);
	t->smep = chance(50);
	t->smap = chance(50);
	t->nxe = chance(80);
	t->pse = chance(80);
	t->ac = regs->ac;
	regs->cr0 |= t->wp ? CR0_WP : 0;
	regs->cr4 = (t->smep ? CR4_SMEP : 0) | (t->smap ? CR4_SMAP : 0) | (t->pse ? CR4_PSE : 0) |
		    (kind != REF_32 ? CR4_PAE : 0) | (kind == REF_5LEVEL ? CR4_LA57 : 0);
	regs->efer =
		(t->nxe ? EFER_NX : 0) | (kind == REF_4LEVEL || kind == REF_5LEVEL ? EFER_LME | EFER_LMA : 0);
}

static struct ref_access draw_access(void)
{
	struct ref_access a = { .user = chance(50) };

	switch (below(4)) {
	case 0:
		a.write = true;
		a.rmw = chance(30);
		break;
	case 1:
		a.fetch = true;
	}
	return a;
}

static u64 draw_addr(enum ref_kind kind)
{
	u64 addr = rnd();

	switch (kind) {
	case REF_OFF:
		return addr % (FIX_PAGES * 4096ULL + 8192);
	case REF_32:
	case REF_PAE:
		return addr & 0xffffffff;
	default:
		return addr;
	}
}

static void draw_memory(struct fix *f)
{
	u32 i;

	for (i = 0; i < FIX_PAGES; i++) {
		f->backed[i] = true;
		f->readonly[i] = false;
	}
	/* The roots stay, else nothing is seen. */
	for (u32 n = below(3); n; n--) {
		i = 1 + below(FIX_PAGES - 1);
		f->backed[i] = i == SECOND_PAGES;
	}
	for (u32 n = below(4); n; n--)
		f->readonly[below(FIX_PAGES)] = true;
	fix_slots(f);
}

static struct mood draw_mood(void)
{
	static const struct mood moods[] = {
		{ 100, 100, 0, 0, 50 }, { 99, 97, 1, 5, 50 }, { 97, 90, 2, 20, 10 },
		{ 85, 70, 5, 30, 90 },	{ 99, 95, 0, 10, 0 },
	};

	return moods[below(sizeof(moods) / sizeof(moods[0]))];
}

static void print_counts(const char *name, const struct counts *c)
{
	print_message(
		"# %-12s %6u walks: ok %u large %u marked %u; dim 0: np %u rsvd %u denied %u unbacked %u; "
		"dim 1: np %u rsvd %u denied %u unbacked %u tables %u\n",
		name, c->walks, c->code[0][0], c->large, c->marked, c->code[0][1], c->code[0][2],
		c->code[0][3], c->code[0][4], c->code[1][1], c->code[1][2], c->code[1][3], c->code[1][4],
		c->table);
}

static struct setup *setup_new(enum ms_hv hv)
{
	struct setup *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	fix_init(&s->f, hv, NMMU_6_12);
	s->ref_bytes = malloc(FIX_PAGES * 4096);
	assert_non_null(s->ref_bytes);
	cpu_judge_init(&s->cpu, FIX_PAGES);
	return s;
}

static void setup_free(struct setup *s)
{
	print_message("# the CPU model judged %u of them, %u met another fault first\n", s->cpu.nr_asked,
		      s->cpu.nr_other_order);
	assert_true(s->cpu.nr_asked > 5000);
	assert_true(s->cpu.nr_other_order < s->cpu.nr_asked / 50);
	cpu_judge_deinit(&s->cpu);
	fix_deinit(&s->f);
	free(s->ref_bytes);
	free(s);
}

static void one_dimension(void **state)
{
	static const struct {
		enum ref_kind kind;
		const char *name;
	} kinds[] = { { REF_32, "32" }, { REF_PAE, "pae" }, { REF_4LEVEL, "4" }, { REF_5LEVEL, "5" } };

	(void)state;
	for (u32 k = 0; k < 4; k++) {
		struct setup *s = setup_new(k & 1 ? MS_HV_SVM : MS_HV_VMX);
		struct counts c = { 0 };

		for (u32 n = 0; n < FILLINGS; n++) {
			struct mood mood = draw_mood();
			struct nmmu_regs regs;

			draw_memory(&s->f);
			fill_x86(&s->f, &mood, 0, FIX_PAGES, 0, FIX_PAGES, kinds[k].kind != REF_32);
			draw_regs(kinds[k].kind, &regs, &s->guest, (u64)SECOND_PAGES << 12);
			s->guest.amd = k & 1;
			s->f.m.cfg.gbpages = s->guest.gb = chance(70);
			fix_l1(&s->f, &regs);
			for (u32 i = 0; i < 4; i++)
				s->guest.pdpte[i] = s->f.v.root_mmu.pdptrs[i] =
					draw_x86(&mood, 0, FIX_PAGES, true);
			s->filled++;
			for (u32 i = 0; i < WALKS; i++) {
				struct ref_access a = draw_access();

				one_walk(s, draw_addr(kinds[k].kind), &a, chance(70), &c);
			}
		}
		print_counts(kinds[k].name, &c);
		for (u32 i = 0; i < 5; i++)
			assert_true(c.code[0][i] > 100);
		assert_true(c.marked > 1000 && c.large > 100);
		setup_free(s);
	}
}

static void two_dimensions(struct setup *s, enum ref_kind second, bool ept_ad, const char *name,
			   struct counts *total)
{
	static const enum ref_kind guests[] = { REF_OFF, REF_32, REF_PAE, REF_4LEVEL, REF_5LEVEL };
	bool ept = second == REF_EPT4 || second == REF_EPT5;
	struct counts c = { 0 };

	s->has_second = true;
	for (u32 n = 0; n < FILLINGS; n++) {
		enum ref_kind kind = guests[n % 5];
		struct mood mood = draw_mood();
		struct nmmu_regs l1, l2;
		u32 levels;

		draw_memory(&s->f);
		fill_x86(&s->f, &mood, SECOND_PAGES, FIX_PAGES - SECOND_PAGES, 0, FIX_PAGES, kind != REF_32);
		draw_regs(kind, &l2, &s->guest, (u64)below(FIX_PAGES) << 12);
		s->f.m.cfg.gbpages = s->second.gb = s->guest.gb = chance(70);
		s->f.m.cfg.exec_only = ept && chance(50);
		s->guest.amd = !ept;
		if (ept) {
			levels = second == REF_EPT5 ? 5 : 4;
			l1 = (struct nmmu_regs){ .cr0 = CR0_PG };
			s->second.kind = second;
			s->second.phys_bits = 46;
			s->second.ept_ad = ept_ad;
			s->second.exec_only = s->f.m.cfg.exec_only;
			s->second.root = (levels == 5 ? EPTP_WB5 : EPTP_WB4) | (ept_ad ? EPTP_AD : 0);
			fill_second(&s->f, &mood, levels, NMMU_GPT_EPT);
		} else {
			levels = second == REF_32 ? 2 : second == REF_PAE ? 3 : second == REF_4LEVEL ? 4 : 5;
			draw_regs(second, &l1, &s->second, 0);
			s->second.amd = true;
			s->second.gb = s->guest.gb;
			/*
			 * VMRUN takes no CR0 of L1 into NPT; all walks are a user's, so WP decides nothing.
			 */
			s->second.ac = false;
			fill_second(&s->f, &mood, levels, second == REF_32 ? NMMU_GPT_32 : NMMU_GPT_64);
		}
		fix_l2(&s->f, ept ? NMMU_NESTED_EPT : NMMU_NESTED_NPT, s->second.root, &l1, &l2);
		for (u32 i = 0; i < 4; i++)
			s->guest.pdpte[i] = s->f.v.nested_mmu.pdptrs[i] = draw_x86(&mood, 0, FIX_PAGES, true);
		s->filled++;
		for (u32 i = 0; i < WALKS; i++) {
			struct ref_access a = draw_access();

			one_walk(s, draw_addr(kind), &a, chance(70), &c);
		}
	}
	print_counts(name, &c);
	for (u32 i = 0; i < 2; i++)
		for (u32 j = 0; j < 5; j++)
			total->code[i][j] += c.code[i][j];
	assert_true(c.code[0][0] > 500);
	assert_true(c.table > 500);
	assert_true(c.code[1][REF_NOT_PRESENT] > 100 && c.code[1][REF_RESERVED] > 100);
	assert_true(c.code[1][REF_DENIED] > 100);
	assert_true(c.code[0][REF_NOT_PRESENT] > 100 && c.code[0][REF_DENIED] > 100);
}

static void over_ept(void **state)
{
	struct setup *s = setup_new(MS_HV_VMX);
	struct counts total = { 0 };

	(void)state;
	two_dimensions(s, REF_EPT4, true, "ept4 ad", &total);
	two_dimensions(s, REF_EPT4, false, "ept4", &total);
	two_dimensions(s, REF_EPT5, true, "ept5 ad", &total);
	two_dimensions(s, REF_EPT5, false, "ept5", &total);
	for (u32 i = 0; i < 2; i++)
		for (u32 j = 0; j < 5; j++)
			assert_true(i == 1 && j == 0 ? true : total.code[i][j] > 20);
	setup_free(s);
}

static void over_npt(void **state)
{
	struct setup *s = setup_new(MS_HV_SVM);
	struct counts total = { 0 };

	(void)state;
	two_dimensions(s, REF_32, false, "npt 32", &total);
	two_dimensions(s, REF_PAE, false, "npt pae", &total);
	two_dimensions(s, REF_4LEVEL, false, "npt 4", &total);
	two_dimensions(s, REF_5LEVEL, false, "npt 5", &total);
	for (u32 i = 0; i < 2; i++)
		for (u32 j = 0; j < 5; j++)
			assert_true(i == 1 && j == 0 ? true : total.code[i][j] > 20);
	setup_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_dimension),
		cmocka_unit_test(over_ept),
		cmocka_unit_test(over_npt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
