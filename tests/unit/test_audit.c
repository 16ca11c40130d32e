/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/audit over the made-up host of fake.h: silent on it, and for each invariant that is judged a change of
 * records (audittrips.c) that breaks it and no other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit/audit.h"
#include "auditguest.h"
#include "auditlists.h"
#include "audittrips.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* --- audits --- */

/* Both VMs; found of both is added up. */
static void audit(struct audit_host *h, struct ms_audit *sum)
{
	const struct ms_event_log events = { .events = h->events, .nr = h->nr_events };
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_model *model = NULL;
	struct ms_audit one;
	struct ms_err *err;
	size_t v;
	u32 row;

	err = ms_model_load(&h->records.target, &want, &model);
	if (err)
		fail_msg("%s", ms_err_text(err));
	memset(sum, 0, sizeof(*sum));
	for (v = 0; v < model->nr_vms; v++) {
		assert_null(ms_audit_vm(model, &model->vms[v], 0, v || h->no_events ? NULL : &events, &one));
		for (row = 1; row <= MS_AUDIT_ROWS; row++) {
			sum->found[row] += one.found[row];
			sum->judged[row] += one.judged[row];
			/* What the first VM lacks: the other has no nested guest. */
			if (!v)
				sum->lacking[row] = one.lacking[row];
		}
		assert_true(one.nr == 0 || one.findings);
		if (one.nr)
			printf("#   e.g. sp 0x%llx index %d raw 0x%016llx: %s\n",
			       (unsigned long long)one.findings[0].sp, (int)one.findings[0].idx,
			       (unsigned long long)one.findings[0].raw, one.findings[0].text);
		sum->nr_pages += one.nr_pages;
		sum->nr_sptes += one.nr_sptes;
		sum->nr_slots += one.nr_slots;
		sum->nr_mmus += one.nr_mmus;
		sum->nr_unconfirmed += one.nr_unconfirmed;
		ms_audit_deinit(&one);
	}
	ms_model_destroy(model);
}

static u64 rows_found(const struct ms_audit *sum)
{
	u64 rows = 0;
	u32 row;

	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if (sum->found[row])
			rows |= ROW(row);
	return rows;
}

static void row_names(u64 rows, char *buf, size_t len)
{
	u32 row;
	size_t at = 0;

	buf[0] = 0;
	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if (rows & ROW(row) && at < len)
			at += (size_t)snprintf(buf + at, len - at, "%s%u %s", at ? ", " : "", row,
					       ms_invariants[row].name);
}

static u64 run(const struct audit_trip *trip, const struct fake_opts *opts, struct ms_audit *sum)
{
	struct audit_host h;

	audit_host_init(&h, opts);
	if (trip)
		trip->change(&h);
	if (!h.listed)
		audit_lists_add(&h, &AUDIT_LISTS_RIGHT);
	if (!h.guest)
		audit_guest_add(&h);
	audit(&h, sum);
	small_end(&h.records);
	return rows_found(sum);
}

static void test_silent(void **state)
{
	struct ms_audit sum;
	u64 rows;
	size_t v;

	(void)state;
	for (v = 0; v < AUDIT_VARIANTS; v++) {
		rows = run(NULL, &audit_variants[v], &sum);
		assert_int_equal(rows, 0);
		/* The two that are torn and unlinked are counted, and not judged. */
		assert_int_equal(sum.nr_unconfirmed, 2);
		assert_int_equal(sum.nr_pages, FAKE_NR_LEGACY(&audit_variants[v]) - 2 +
						       FAKE_NR_TDP(&audit_variants[v]) + FAKE_B_NR_TDP +
						       audit_variants[v].passthrough);
		assert_int_equal(sum.nr_sptes, sum.nr_pages * MS_SPTES);
		assert_int_equal(sum.nr_slots, 5 + 2);
		assert_int_equal(sum.nr_mmus, 3 * (FAKE_NR_VCPUS + 1));
	}
}

/* Adds what was judged; returns how often something else was found. */
static u32 try_trip(const struct audit_trip *trip, u64 *judged)
{
	char want[80], got[160];
	struct ms_audit sum;
	u32 row, broken = 0;
	size_t v, nr = 0;
	u64 rows;

	row_names(trip->rows, want, sizeof(want));
	for (v = 0; v < AUDIT_VARIANTS; v++) {
		if (!(trip->on & 1u << v))
			continue;
		nr++;
		rows = run(trip, &audit_variants[v], &sum);
		for (row = 1; row <= MS_AUDIT_ROWS; row++)
			if (!sum.lacking[row])
				*judged |= ROW(row);
		row_names(rows, got, sizeof(got));
		if (rows != trip->rows) {
			printf("# %s, variant %zu: found [%s], not [%s]\n", trip->what, v, got, want);
			broken++;
		}
	}
	assert_true(nr);
	printf("# ! %-42s %s in %zu variants\n", trip->what, trip->rows ? want : "is no finding,", nr);
	return broken;
}

static void test_trips(void **state)
{
	const struct audit_trip *const *table, *trip;
	u64 tripped = 0, judged = 0;
	u32 row, broken = 0;

	(void)state;
	for (table = audit_trip_tables; *table; table++)
		for (trip = *table; trip->what; trip++) {
			broken += try_trip(trip, &judged);
			tripped |= trip->rows;
		}
	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if (judged & ~tripped & ROW(row))
			fail_msg("nothing trips %u %s", row, ms_invariants[row].name);
	/* Every one: what nothing trips is no invariant of ours. */
	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if (!(tripped & ROW(row)))
			fail_msg("no change trips %u %s", row, ms_invariants[row].name);
	assert_true(judged == tripped);
	assert_int_equal(broken, 0);
}

/* --- what is lacking --- */

static void no_pml(struct audit_host *h)
{
	audit_host(h)->have &= ~(MS_HOST_HAVE_PML | MS_HOST_PML);
}

static void no_slot_generation(struct audit_host *h)
{
	struct ms_rec_slot *slot;
	size_t i;

	for (i = 0; (slot = audit_slot(h, i)); i++)
		slot->have &= ~MS_SLOT_HAVE_GENERATION;
}

static void unstable_slots(struct audit_host *h)
{
	audit_slot(h, 0)->have |= MS_SLOT_UNSTABLE;
}

static void no_valid_gen(struct audit_host *h)
{
	audit_vm(h)->have &= ~MS_VM_HAVE_VALID_GEN;
}

/* Without the mitigation it does not matter whether the VM was let off. */
static void no_let_off(struct audit_host *h)
{
	audit_vm(h)->have &= ~MS_VM_HAVE_NX_DISABLED;
}

static void no_let_off_nx(struct audit_host *h)
{
	/* The host's word is of both VMs. */
	((struct ms_rec_vm *)small_find(&h->records, MS_REC_VM, 1)->rec)->have &= ~MS_VM_HAVE_NX_DISABLED;
	no_let_off(h);
	audit_host(h)->nx_huge_pages = 1;
}

static void no_nx_huge(struct audit_host *h)
{
	audit_host(h)->have &= ~MS_HOST_HAVE_NX_HUGE;
}

static void no_log_mode(struct audit_host *h)
{
	audit_vm(h)->have &= ~MS_VM_HAVE_LOG_MODE;
}

static void log_all_set(struct audit_host *h)
{
	audit_vm(h)->log_mode = MS_LOG_MANUAL | MS_LOG_INIT_SET;
}

/* Bits of a newer kernel say nothing of how a log begins. */
static void log_of_tomorrow(struct audit_host *h)
{
	audit_vm(h)->log_mode = MS_LOG_MANUAL | 1ull << 40;
}

static void all_set_not_logged(struct audit_host *h)
{
	struct ms_rec_slot *slot;
	size_t i;

	log_all_set(h);
	for (i = 0; (slot = audit_slot(h, i)); i++)
		slot->flags &= ~(u32)MS_SLOT_LOG_DIRTY;
}

static void no_unsync(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_L1)->have &= ~MS_SP_HAVE_UNSYNC;
}

static void torn_without(struct audit_host *h)
{
	audit_page_of(h, FAKE_N_TORN)->have = 0;
}

static void no_lists(struct audit_host *h)
{
	h->listed = true;
}

static void no_direct_map(struct audit_host *h)
{
	AUDIT_LISTS(h, .lacking = MS_RMAPS_HAVE_DIRECT_MAP);
}

static void memslots_moved(struct audit_host *h)
{
	AUDIT_LISTS(h, .generation = 1);
}

static void no_parents(struct audit_host *h)
{
	AUDIT_LISTS(h, .lacking = MS_RMAPS_HAVE_PARENTS);
}

static void no_counts(struct audit_host *h)
{
	AUDIT_LISTS(h, .lacking = MS_RMAPS_HAVE_WRITE_TRACK);
}

static void lists_unstable(struct audit_host *h)
{
	AUDIT_LISTS(h, .flags = MS_RMAPS_UNSTABLE);
}

static void no_events(struct audit_host *h)
{
	h->no_events = true;
}

static void no_guest_memory(struct audit_host *h)
{
	h->guest = true;
}

static void no_guest_page(struct audit_host *h)
{
	struct small_item *item;
	size_t i;

	audit_guest_add(h);
	for (i = 0; (item = small_find(&h->records, MS_REC_GTABLE, i)); i++)
		((struct ms_rec_gtable *)item->rec)->state = MS_GTABLE_NOT_PRESENT;
}

#define ROWS_OF_LISTS (ROW(18) | ROW(19) | ROW(20) | ROW(21) | ROW(22) | ROW(32))

static void test_lacking(void **state)
{
	static const struct {
		void (*change)(struct audit_host *h);
		u64 rows; /* no longer judged */
		const char *why;
	} cases[] = {
		{ no_pml, ROW(7), "whether PML is in use" },
		{ no_slot_generation, ROW(13) | ROW(14), "generations of memslots" },
		{ unstable_slots, ROW(3) | ROW(13) | ROW(34) | ROW(36), "memslots of one moment" },
		{ no_let_off, 0, "" },
		{ no_let_off_nx, ROW(38), "whether nx_huge_pages holds for this VM" },
		{ no_nx_huge, ROW(38), "whether nx_huge_pages holds for this VM" },
		{ no_log_mode, ROW(34), "how dirty logs of this VM begin" },
		{ log_all_set, ROW(34), "which ranges of an initially set log were cleared" },
		{ log_of_tomorrow, 0, "" },
		{ all_set_not_logged, 0, "" },
		{ no_valid_gen, ROW(39), "the VM's mmu_valid_gen" },
		{ torn_without, 0, "" },
		{ no_events, ROW(4) | ROW(41) | ROW(44), "a trace of changes" },
		{ no_lists, ROWS_OF_LISTS, "reverse maps" },
		{ memslots_moved, ROWS_OF_LISTS, "memslots that stay while lists are read" },
		{ no_direct_map, ROWS_OF_LISTS, "reverse maps" },
		{ lists_unstable, ROWS_OF_LISTS, "reverse maps" },
		{ no_parents, ROW(21) | ROW(22), "lists of parents" },
		{ no_counts, ROW(32), "write-track counts" },
		{ no_guest_memory, ROW(35) | ROW(36), "guest memory" },
		{ no_guest_page, ROW(35) | ROW(36), "guest memory" },
		{ no_unsync, ROW(29) | ROW(30) | ROW(31) | ROW(35) | ROW(36), "unsync and unsync_children" },
	};
	struct ms_audit sum, without;
	struct audit_host h;
	size_t i;
	u32 row;

	(void)state;
	run(NULL, &audit_variants[1], &sum);
	for (i = 0; i < LEN(cases); i++) {
		audit_host_init(&h, &audit_variants[1]);
		cases[i].change(&h);
		if (!h.listed)
			audit_lists_add(&h, &AUDIT_LISTS_RIGHT);
		if (!h.guest)
			audit_guest_add(&h);
		audit(&h, &without);
		assert_int_equal(rows_found(&without), 0);
		for (row = 1; row <= MS_AUDIT_ROWS; row++)
			if ((without.lacking[row] != sum.lacking[row]) != !!(cases[i].rows & ROW(row)))
				fail_msg("case %zu, row %u", i, row);
		/* The others lack what belongs to it. */
		row = cases[i].rows ? (u32)__builtin_ctzll(cases[i].rows) : 0;
		if (row)
			assert_string_equal(ms_audit_need_name(without.lacking[row]), cases[i].why);
		small_end(&h.records);
	}
}

/* --- formats of the guest's entries --- */

static u64 guest_rows_found(struct audit_host *h)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_model *model = NULL;
	struct ms_audit one;
	u64 rows;

	assert_null(ms_model_load(&h->records.target, &want, &model));
	assert_null(ms_audit_vm(model, &model->vms[0], ROW(35) | ROW(36), NULL, &one));
	rows = rows_found(&one);
	ms_audit_deinit(&one);
	ms_model_destroy(model);
	return rows;
}

static void page_tables(struct audit_host *h, enum fake_page n, struct ms_rec_sp **sp_ret, u64 **sptes_ret)
{
	struct small_item *item;
	size_t i;

	*sp_ret = audit_page_of(h, n);
	for (i = 0; (item = small_find(&h->records, MS_REC_SP, i)); i++)
		if (item->rec == *sp_ret)
			*sptes_ret = item->tables->sptes;
}

/* Tables of 4-byte entries: which of 1024 stands behind entry idx of a page of this level and quadrant (C5). */
static void test_guest_quadrants(void **state)
{
	static const struct {
		u32 level, quadrant, idx, at;
	} cases[] = {
		{ 1, 0, 7, 7 }, { 1, 0, 511, 511 }, { 1, 1, 0, 512 }, { 1, 1, 7, 519 },
		{ 2, 0, 6, 3 }, { 2, 0, 7, 3 },	    { 2, 1, 0, 256 }, { 2, 3, 511, 1023 },
	};
	u32 off, gpte, clean, huge;
	struct ms_rec_gtable *t;
	struct audit_host h;
	struct ms_rec_sp *sp;
	u64 *sptes = NULL, *leaves = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < LEN(cases); i++) {
		audit_host_init(&h, &audit_variants[3]);
		audit_host(&h)->tdp_enabled = 0;
		audit_host(&h)->hv = i & 1 ? MS_HV_VMX : MS_HV_SVM; /* shadow paging on either */
		page_tables(&h, FAKE_N_L1, &sp, &leaves);
		page_tables(&h, FAKE_N_PREV, &sp, &sptes);
		huge = cases[i].level == 2 ? 1 << 7 : 0;
		sp->role = cases[i].level | 1 << 4 | cases[i].quadrant << 5 | 7 << 8 | 1 << 13;
		sptes[cases[i].idx] = leaves[0] | huge;
		audit_guest_add(&h);
		t = audit_gtable(&h, FAKE_N_PREV);
		gpte = 0x400067 | huge; /* P W U A D */
		clean = 0x400027 | huge;
		for (off = 0; off < 1024; off++) {
			memset(t->bytes, 0, sizeof(t->bytes));
			memcpy(t->bytes + 4 * off, &gpte, 4);
			if (off + 2 > cases[i].at && off < cases[i].at + 2)
				assert_int_equal(guest_rows_found(&h), off == cases[i].at ? 0 : ROW(35));
		}
		memcpy(t->bytes + 4 * cases[i].at, &clean, 4);
		assert_int_equal(guest_rows_found(&h), ROW(36));
		small_end(&h.records);
	}
}

/* With shadow paging and without CR0.WP the supervisor writes to what is read-only. */
static void test_guest_wp(void **state)
{
	const u64 read_only = FAKE_L2_GFN(3) << 12 | 0x65;
	struct audit_host h;
	struct ms_rec_sp *sp;
	u64 *sptes;
	u32 tdp, wp;

	(void)state;
	for (tdp = 0; tdp < 2; tdp++)
		for (wp = 0; wp < 2; wp++) {
			audit_host_init(&h, &audit_variants[3]);
			audit_host(&h)->tdp_enabled = (u8)tdp;
			page_tables(&h, FAKE_N_L1, &sp, &sptes);
			sp->role = (sp->role & ~(1u << 13)) | wp << 13;
			audit_guest_add(&h);
			memcpy(audit_gtable(&h, FAKE_N_L1)->bytes + 8 * 3, &read_only, 8);
			assert_int_equal(guest_rows_found(&h), tdp || wp ? ROW(35) : 0);
			small_end(&h.records);
		}
}

/* EPTP.6 of L1's says whether its entries have A and D at all. */
static void test_guest_without_ad(void **state)
{
	const u64 clean = FAKE_L2_GFN(3) << 12 | 0x137;
	struct audit_host h;
	u32 off;

	(void)state;
	for (off = 0; off < 2; off++) {
		audit_host_init(&h, &audit_variants[1]);
		audit_page_of(&h, FAKE_N_L1)->role |= off << 16;
		audit_guest_add(&h);
		memcpy(audit_gtable(&h, FAKE_N_L1)->bytes + 8 * 3, &clean, 8);
		assert_int_equal(guest_rows_found(&h), off ? 0 : ROW(36));
		small_end(&h.records);
	}
}

/* --- the list, and readings --- */

static void test_list(void **state)
{
	u32 row, other;
	char word[8];

	(void)state;
	for (row = 1; row <= MS_AUDIT_ROWS; row++) {
		const struct ms_invariant *inv = &ms_invariants[row];

		assert_non_null(inv->name);
		assert_true(inv->needs);
		assert_int_equal(ms_audit_find(inv->name, strlen(inv->name)), row);
		snprintf(word, sizeof(word), "%u", row);
		assert_int_equal(ms_audit_find(word, strlen(word)), row);
		for (other = 1; other < row; other++) {
			assert_string_not_equal(inv->name, ms_invariants[other].name);
			assert_string_not_equal(inv->statement, ms_invariants[other].statement);
		}
	}
	assert_int_equal(ms_audit_find("", 0), 0);
	assert_int_equal(ms_audit_find("0", 1), 0);
	assert_int_equal(ms_audit_find("45", 2), 0);
	assert_int_equal(ms_audit_find("4294967297", 10), 0);
	assert_int_equal(ms_audit_find("mw", 2), 0);
	assert_int_equal(ms_audit_find("mw-hw,w-mw", 5), 1);
}

static struct ms_finding at(u32 row, u64 sp, u32 idx)
{
	return (struct ms_finding){ .row = row, .sp = sp, .idx = idx, .readings = 1 };
}

/* A finding that differs from it in one thing is another. */
static void test_readings_of_others(void **state)
{
	struct ms_finding first = at(3, 9, 1), others[5] = { first, first, first, first, first };
	struct ms_audit audit = { .findings = &first, .nr = 1 }, again = { .findings = others };
	size_t i;

	(void)state;
	others[0].gfn = 1;
	others[1].spte = 1;
	others[2].seq = 1;
	others[3].mmu = 1;
	others[4].vcpu = 1;
	for (i = 0; i < LEN(others); i++) {
		again.findings = &others[i];
		again.nr = 1;
		ms_audit_keep(&audit, &again);
		assert_int_equal(first.readings, 1);
	}
	others[0] = first;
	again.findings = others;
	ms_audit_keep(&audit, &again);
	assert_int_equal(first.readings, 2);
}

static void test_readings(void **state)
{
	struct ms_finding first[] = { at(3, 9, 1), at(1, 7, 2), at(1, 7, 3), at(2, 7, 3) };
	struct ms_finding second[] = { at(2, 7, 3), at(1, 7, 2), at(1, 8, 3), at(3, 9, 2) };
	struct ms_audit audit = { .findings = first, .nr = 4 }, again = { .findings = second, .nr = 4 };
	size_t i;

	(void)state;
	ms_audit_keep(&audit, &again);
	for (i = 0; i < 4; i++) {
		bool both = (first[i].row == 1 && first[i].idx == 2) || first[i].row == 2;

		assert_int_equal(first[i].readings, both ? 2 : 1);
	}
	again.nr = 0;
	ms_audit_keep(&audit, &again);
	for (i = 0; i < 4; i++)
		assert_true(first[i].readings <= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guest_quadrants),
		cmocka_unit_test(test_guest_wp),
		cmocka_unit_test(test_guest_without_ad),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_trips),
		cmocka_unit_test(test_lacking),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_readings),
		cmocka_unit_test(test_readings_of_others),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
