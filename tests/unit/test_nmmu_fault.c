// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whole faults, from the CPU's exit to the leaf it runs on: direct and shadow MMUs of every format, page
 * sizes, devices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/faultlab.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

static void direct_sizes(void **state)
{
	u32 svm, k, level, got;

	(void)state;
	for (svm = 0; svm < 2; svm++) {
		for (k = 0; k < 2; k++) {
			for (level = 1; level <= 3; level++) {
				struct nmmu_config cfg = lab_config(svm, kernels[k]);
				const struct spte_profile *p;
				struct lab lab;
				struct ms_run run;
				u64 spte;

				lab_init(&lab, &cfg, level);
				p = &lab.m->profile;
				run = lab_access(&lab, 0x12345678, "w", 0x1122334455667788);
				assert_int_equal(run.error, 0);
				assert_int_equal(run.action, NMMU_ACT_DONE);
				assert_false(run.emulated);
				assert_int_equal(run.exits, 1);
				assert_int_equal(run.last.ret, NMMU_RET_FIXED);
				assert_int_equal(lab_peek(&lab, 0x12345678), 0x1122334455667788);
				spte = lab_leaf(&lab, 0x12345678, &got);
				assert_int_equal(got, level);
				assert_int_equal(spte_pfn(p, spte),
						 lab_pfn(&lab, 0x12345) & ~(nmmu_level_pages(level) - 1));
				assert_int_equal(spte_wstate(p, spte, level), SPTE_W_RW);
				assert_true(spte & p->m.accessed);
				assert_true(spte & p->m.dirty);
				assert_int_equal(lab.m->stats.pages[level - 1],
						 level == 1 ? lab.m->stats.pages[0] : 1);
				run = lab_access(&lab, 0x12345678, "r", 0);
				assert_int_equal(run.exits, 0);
				assert_int_equal(run.value, 0x1122334455667788);
				lab_deinit(&lab);
			}
		}
	}
}

/* --- shadow EPT and NPT --- */

#define POOL_GFN 0x1000 /* guest tables */
#define POOL_PAGES 256
#define PT_BITS 0x67ULL /* P W U A D */
#define PT_UPPER 0x27ULL
#define EPT_BITS 0x337ULL /* RWX WB A D */
#define EPT_UPPER 0x107ULL
#define NESTED_CR4 LAB_CR4_PAE

static struct ms_tables *tables(struct lab *lab, enum nmmu_gpt kind, u32 levels)
{
	struct ms_tables *t;

	lab_ok(ms_tables_create(lab->mm, kind, levels, POOL_GFN, POOL_PAGES, &t));
	return t;
}

/* L1 with NPT needs paging registers for the format of its tables. */
static void l1_long_mode(struct lab *lab)
{
	struct nmmu_regs regs = { .cr0 = LAB_CR0_PE | LAB_CR0_PG | LAB_CR0_WP,
				  .cr4 = LAB_CR4_PAE,
				  .efer = LAB_EFER_LME | LAB_EFER_NX };

	assert_int_equal(ms_machine_set_regs(lab->mm, 0, &regs), 0);
}

static void nested_sizes(void **state)
{
	u32 svm, k, host, guest, got;

	(void)state;
	for (svm = 0; svm < 2; svm++)
		for (k = 0; k < 2; k++)
			for (host = 1; host <= 3; host++)
				for (guest = 1; guest <= 3; guest++) {
					struct nmmu_config cfg = lab_config(svm, kernels[k]);
					u64 addr = 0x70400918; /* nGPA, not what it maps to */
					u64 gfn = guest == 3 ? 0 : guest == 2 ? 0x8200 : 0x8234;
					u64 want_gfn = gfn + (addr >> 12 & (nmmu_level_pages(guest) - 1));
					u32 want = host < guest ? host : guest;
					struct ms_tables *t;
					struct lab lab;
					struct ms_run run;
					u64 spte;

					lab_init(&lab, &cfg, host);
					if (svm)
						l1_long_mode(&lab);
					t = tables(&lab, svm ? NMMU_GPT_64 : NMMU_GPT_EPT, 4);
					lab_map(t, addr, gfn, guest, svm ? PT_BITS : EPT_BITS,
						svm ? PT_UPPER : EPT_UPPER);
					lab_enter(&lab, t, !svm, true);
					/*
					 * A guest page of 1 GiB has the tables inside: 6.1 then maps 4K
					 * (is_self_change_mapping), 6.12 what does not hold a table.
					 */
					if (guest == 3)
						want = k == 0 ? 1 : host < 2 ? host : 2;
					run = lab_access(&lab, addr, "w", 0x55aa);
					assert_int_equal(run.error, 0);
					assert_int_equal(run.action, NMMU_ACT_DONE);
					assert_false(run.emulated);
					assert_int_equal(run.exits, 1);
					assert_int_equal(run.last.ret, NMMU_RET_FIXED);
					assert_int_equal(lab_peek(&lab, want_gfn << 12 | (addr & 0xfff)),
							 0x55aa);
					spte = lab_leaf(&lab, addr, &got);
					assert_int_equal(got, want);
					assert_int_equal(spte_pfn(&lab.m->profile, spte),
							 lab_pfn(&lab, want_gfn) &
								 ~(nmmu_level_pages(want) - 1));
					assert_int_equal(spte_wstate(&lab.m->profile, spte, got), SPTE_W_RW);
					lab_check(&lab);
					ms_tables_destroy(t);
					lab_deinit(&lab);
				}
}

/* --- shadow paging --- */

struct format {
	enum nmmu_gpt kind;
	u32 levels, large; /* size of a large page in guest levels */
	u64 upper;
	struct nmmu_regs regs;
};

static const struct format formats[] = {
	{ NMMU_GPT_32, 2, 2, PT_UPPER, { .cr0 = LAB_CR0_PE | LAB_CR0_PG | LAB_CR0_WP, .cr4 = LAB_CR4_PSE } },
	{ NMMU_GPT_PAE, 3, 2, PT_UPPER, { .cr0 = LAB_CR0_PE | LAB_CR0_PG | LAB_CR0_WP, .cr4 = LAB_CR4_PAE } },
	{ NMMU_GPT_64,
	  4,
	  2,
	  PT_UPPER,
	  { .cr0 = LAB_CR0_PE | LAB_CR0_PG | LAB_CR0_WP,
	    .cr4 = LAB_CR4_PAE,
	    .efer = LAB_EFER_LME | LAB_EFER_NX } },
	{ NMMU_GPT_LA57,
	  5,
	  2,
	  PT_UPPER,
	  { .cr0 = LAB_CR0_PE | LAB_CR0_PG | LAB_CR0_WP,
	    .cr4 = LAB_CR4_PAE | LAB_CR4_LA57,
	    .efer = LAB_EFER_LME | LAB_EFER_NX } },
};

static void shadow_start(struct lab *lab, const struct format *f, u32 svm, enum nmmu_kernel kernel, u32 host,
			 struct ms_tables **t_ret)
{
	struct nmmu_config cfg = lab_config(svm, kernel);

	cfg.tdp = false;
	cfg.exec_only = false;
	cfg.ad = false;
	lab_init(lab, &cfg, host);
	*t_ret = tables(lab, f->kind, f->levels);
}

/* CR3 is loaded when the tables are there, as PDPTRs are read then. */
static void shadow_go(struct lab *lab, const struct format *f, struct ms_tables *t)
{
	struct nmmu_regs regs = f->regs;

	regs.cr3 = ms_tables_root_gfn(t) << 12;
	assert_int_equal(ms_machine_set_regs(lab->mm, 0, &regs), 0);
}

static void shadow_formats(void **state)
{
	u32 svm, k, host, large, i, got;

	(void)state;
	for (i = 0; i < NR(formats); i++)
		for (svm = 0; svm < 2; svm++)
			for (k = 0; k < 2; k++)
				for (host = 1; host <= 2; host++)
					for (large = 0; large < 2; large++) {
						const struct format *f = &formats[i];
						u64 gva = 0xc0a05678;
						u64 gfn = large ? 0x8800 : 0x8a05;
						u64 size = large ? (f->kind == NMMU_GPT_32 ? 1024 : 512) : 1;
						u64 want_gfn = gfn + (gva >> 12 & (size - 1));
						struct ms_tables *t;
						struct ms_run run;
						struct lab lab;
						u64 spte;

						shadow_start(&lab, f, svm, kernels[k], host, &t);
						lab_map(t, gva, gfn, large ? f->large : 1, PT_BITS & ~0x40ULL,
							f->upper);
						shadow_go(&lab, f, t);
						lab_poke(&lab, want_gfn << 12 | (gva & 0xfff), 0xfeed, 8);

						/*
						 * D=0: a read maps it read-only, the write comes as a fault
						 * and sets D.
						 */
						run = lab_access(&lab, gva, "ru", 0);
						assert_int_equal(run.error, 0);
						assert_int_equal(run.action, NMMU_ACT_DONE);
						assert_false(run.emulated);
						assert_int_equal(run.exits, 1);
						assert_int_equal(run.value, 0xfeed);
						spte = lab_leaf(&lab, gva, &got);
						assert_int_equal(got, large && host == 2 ? 2 : 1);
						assert_int_equal(spte_wstate(&lab.m->profile, spte, got),
								 SPTE_W_WP);
						assert_false(
							lab_peek(&lab, ms_tables_entry(t, gva,
										       large ? f->large : 1) &
									       ~7ULL) >>
								(ms_tables_entry(t, gva,
										 large ? f->large : 1) &
										 4
									 ? 32
									 : 0) &
							0x40);
						lab_check(&lab);

						run = lab_access(&lab, gva, "wu", 0xbeef);
						assert_int_equal(run.action, NMMU_ACT_DONE);
						assert_false(run.emulated);
						assert_int_equal(run.exits, 1);
						spte = lab_leaf(&lab, gva, &got);
						assert_int_equal(spte_wstate(&lab.m->profile, spte, got),
								 SPTE_W_RW);
						assert_true(
							lab_peek(&lab, ms_tables_entry(t, gva,
										       large ? f->large : 1) &
									       ~7ULL) >>
								(ms_tables_entry(t, gva,
										 large ? f->large : 1) &
										 4
									 ? 32
									 : 0) &
							0x40);
						assert_int_equal(
							lab_peek(&lab, want_gfn << 12 | (gva & 0xfff)),
							0xbeef);

						/* Not mapped: the guest's own fault. */
						run = lab_access(&lab, 0x1000, "wu", 0);
						assert_int_equal(run.action, NMMU_ACT_PF);
						assert_int_equal(run.last.qual, NMMU_PF_W | NMMU_PF_U);
						assert_int_equal(run.last.addr, 0x1000);
						lab_check(&lab);
						ms_tables_destroy(t);
						lab_deinit(&lab);
					}
}

/* A guest's table is protected while shadowed; a level-1 one may go unsync, those above are emulated. */
static void shadow_tables(void **state)
{
	u32 i, k;

	(void)state;
	for (i = 0; i < NR(formats); i++)
		for (k = 0; k < 2; k++) {
			const struct format *f = &formats[i];
			u64 gva = 0x40203000, window = 0x50000000;
			struct ms_tables *t;
			struct ms_run run;
			struct lab lab;
			u64 table[3], gpte;
			u32 bytes = f->kind == NMMU_GPT_32 ? 4 : 8, n;

			shadow_start(&lab, f, 0, kernels[k], 1, &t);
			lab_map(t, gva, 0x8003, 1, PT_BITS, f->upper);
			lab_map(t, gva + 0x1000, 0x8004, 1, PT_BITS, f->upper);
			/* The guest's window on its own tables. */
			for (n = 1; n <= 2; n++) {
				table[n] = ms_tables_entry(t, gva, n);
				lab_map(t, window + n * 0x1000, table[n] >> 12, 1, PT_BITS, f->upper);
			}
			shadow_go(&lab, f, t);
			lab_poke(&lab, 0x8005000, 0x77, 8);

			run = lab_access(&lab, gva, "w", 1);
			assert_int_equal(run.action, NMMU_ACT_DONE);
			/*
			 * Level 1: becomes unsync and is written by the CPU; seen after INVLPG at the
			 * latest.
			 */
			gpte = 0x8005000 | PT_BITS;
			if (bytes == 8) {
				run = lab_access(&lab, window + 0x1000 + (table[1] & 0xfff), "w", gpte);
				assert_int_equal(run.action, NMMU_ACT_DONE);
				assert_false(run.emulated);
				assert_true(lab.events[MS_EV_unsync] > 0);
				lab_check(&lab);
				ms_machine_invlpg(lab.mm, 0, gva);
				run = lab_access(&lab, gva, "r", 0);
				assert_int_equal(run.value, 0x77);
				/* Level 2: emulated, and what it led to is gone at once. */
				run = lab_access(&lab, window + 0x2000 + (table[2] & 0xfff), "w", 0);
				assert_int_equal(run.action, NMMU_ACT_DONE);
				assert_true(run.emulated);
				ms_machine_invlpg(lab.mm, 0, gva);
				run = lab_access(&lab, gva, "r", 0);
				assert_int_equal(run.action, NMMU_ACT_PF);
			}
			lab_check(&lab);
			ms_tables_destroy(t);
			lab_deinit(&lab);
		}
}

/*
 * CR0.WP=0: the kernel may write what users may only read; then users are kept out (and with SMEP, so is
 * fetching).
 */
static void shadow_wp0(void **state)
{
	u32 smep;

	(void)state;
	for (smep = 0; smep < 2; smep++) {
		struct format f = formats[2];
		u64 gva = 0x7000000;
		struct ms_tables *t;
		struct ms_run run;
		struct lab lab;
		u64 spte;

		f.regs.cr0 &= ~LAB_CR0_WP;
		f.regs.cr4 |= smep ? LAB_CR4_SMEP : 0;
		shadow_start(&lab, &f, 0, NMMU_6_12, 1, &t);
		lab_map(t, gva, 0x8000, 1, PT_BITS & ~2ULL, f.upper);
		shadow_go(&lab, &f, t);

		run = lab_access(&lab, gva, "ru", 0);
		assert_int_equal(run.action, NMMU_ACT_DONE);
		run = lab_access(&lab, gva, "wu", 0);
		assert_int_equal(run.action, NMMU_ACT_PF);
		assert_int_equal(run.last.qual, NMMU_PF_P | NMMU_PF_W | NMMU_PF_U);
		run = lab_access(&lab, gva, "w", 0x99);
		assert_int_equal(run.action, NMMU_ACT_DONE);
		assert_false(run.emulated);
		spte = lab_leaf(&lab, gva, NULL);
		assert_true(spte_is_writable(spte));
		assert_false(spte_is_user(&lab.m->profile, spte));
		assert_int_equal(spte_is_executable(&lab.m->profile, spte), !smep);
		/* And back, when the user comes. */
		run = lab_access(&lab, gva, "ru", 0);
		assert_int_equal(run.action, NMMU_ACT_DONE);
		assert_int_equal(run.value, 0x99);
		ms_tables_destroy(t);
		lab_deinit(&lab);
	}
}

/* Paging off: direct, below a PAE root, 2 MiB at most. */
static void nonpaging(void **state)
{
	u32 svm, got;

	(void)state;
	for (svm = 0; svm < 2; svm++) {
		struct nmmu_config cfg = lab_config(svm, NMMU_6_12);
		struct ms_run run;
		struct lab lab;

		cfg.tdp = cfg.exec_only = cfg.ad = false;
		lab_init(&lab, &cfg, 3);
		run = lab_access(&lab, 0x12345678, "w", 5);
		assert_int_equal(run.action, NMMU_ACT_DONE);
		assert_int_equal(run.exits, 1);
		lab_leaf(&lab, 0x12345678, &got);
		assert_int_equal(got, 2);
		assert_int_equal(lab.v->mmu->root_role.word & 0xfff, 0x783);
		lab_deinit(&lab);
	}
}

/*
 * A MOV to CR3 makes the guest's own changes of unsync tables seen; in PAE it loads the PDPTRs, even with
 * the same value.
 */
static void shadow_cr3(void **state)
{
	u32 i, k;

	(void)state;
	for (i = 1; i < 3; i++)
		for (k = 0; k < 2; k++) {
			const struct format *f = &formats[i];
			u64 gva = 0x40203000, window = 0x50000000, entry, other, root;
			struct nmmu_regs regs;
			struct ms_tables *t;
			struct ms_run run;
			struct lab lab;
			u32 n;

			shadow_start(&lab, f, 0, kernels[k], 1, &t);
			lab_map(t, gva, 0x8003, 1, PT_BITS, f->upper);
			entry = ms_tables_entry(t, gva, 1);
			lab_map(t, window, entry >> 12, 1, PT_BITS, f->upper);
			shadow_go(&lab, f, t);
			lab_poke(&lab, 0x8005000, 0x77, 8);
			lab_access(&lab, gva, "w", 1);
			run = lab_access(&lab, window + (entry & 0xfff), "w", 0x8005000 | PT_BITS);
			assert_false(run.emulated);
			assert_int_equal(lab.events[MS_EV_unsync], 1);

			/* Another root with the same entries, and that table as before. */
			root = ms_tables_root_gfn(t) << 12;
			other = 0x9000000;
			for (n = 0; n < 512; n++)
				lab_poke(&lab, other + 8 * n, lab_peek(&lab, root + 8 * n), 8);
			regs = lab.v->regs;
			regs.cr3 = other;
			assert_int_equal(ms_machine_set_regs(lab.mm, 0, &regs), 0);
			run = lab_access(&lab, gva, "r", 0);
			assert_int_equal(run.value, 0x77);
			lab_check(&lab);

			/* Back to a root that is cached: not made anew, so it must be synced. */
			lab_poke(&lab, 0x8006000, 0x88, 8);
			run = lab_access(&lab, window + (entry & 0xfff), "w", 0x8006000 | PT_BITS);
			assert_false(run.emulated);
			regs.cr3 = root;
			assert_int_equal(ms_machine_set_regs(lab.mm, 0, &regs), 0);
			run = lab_access(&lab, gva, "r", 0);
			assert_int_equal(run.value, 0x88);
			regs.cr3 = other;
			assert_int_equal(ms_machine_set_regs(lab.mm, 0, &regs), 0);

			if (f->kind == NMMU_GPT_PAE) {
				/* The quarter with gva goes; CR3 is written with what it holds. */
				lab_poke(&lab, other + 8, 0, 8);
				run = lab_access(&lab, gva, "r", 0);
				assert_int_equal(run.value, 0x88);
				assert_int_equal(ms_machine_set_regs(lab.mm, 0, &regs), 0);
				run = lab_access(&lab, gva, "r", 0);
				assert_int_equal(run.action, NMMU_ACT_PF);
			}
			ms_tables_destroy(t);
			lab_deinit(&lab);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct_sizes),	  cmocka_unit_test(nested_sizes),
		cmocka_unit_test(shadow_formats), cmocka_unit_test(shadow_tables),
		cmocka_unit_test(shadow_wp0),	  cmocka_unit_test(nonpaging),
		cmocka_unit_test(shadow_cr3),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
