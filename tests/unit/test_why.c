/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/query/why.c: a reason for each case that is proven, none for those that are not. */
#include "ask.h"

/* One leaf more at index 20 of the guest's level-1 page, and what `sp' says of it. */
static void why_is(const char *guest, const char *why, u64 raw, u64 translation, u32 role,
		   void (*change)(struct small *fake))
{
	struct small_item *item;
	struct run run;

	setup(&run);
	item = small_find(&run.fake, MS_REC_SP, 7);
	item->tables->sptes[20] = raw;
	item->tables->translations[20] = translation;
	((struct ms_rec_sp *)item->rec)->role = role;
	if (change)
		change(&run.fake);
	ask(&run, "sp 0xffff8881bbbb8000 " VM);
	is(&run, "entries", 20, "guest_access", guest);
	is(&run, "entries", 20, "why", why);
	teardown(&run);
}

static struct ms_rec_sp *table_page(struct small *fake)
{
	return small_find(fake, MS_REC_SP, 6)->rec; /* L2 of the guest's, gfn 0x207 */
}

static void make_obsolete(struct small *fake)
{
	table_page(fake)->mmu_valid_gen = 1;
}

static void make_invalid(struct small *fake)
{
	table_page(fake)->role |= 1u << 11;
}

static void make_direct(struct small *fake)
{
	table_page(fake)->role |= 1u << 7;
}

static void make_passthrough(struct small *fake)
{
	table_page(fake)->role |= 1u << 18;
}

static void make_smm(struct small *fake)
{
	table_page(fake)->role |= 1u << 24;
}

static void make_torn(struct small *fake)
{
	table_page(fake)->state = MS_SP_TORN;
}

static void make_own_torn(struct small *fake)
{
	((struct ms_rec_sp *)small_find(fake, MS_REC_SP, 7)->rec)->state = MS_SP_TORN;
}

/* The guest's level-1 page alone, on a host with EPT; A/D bits only if its role says so. */
static void why_is_ept(const char *guest, const char *why, u64 raw, u64 access, u32 role)
{
	const struct spte_profile *ept = spte_profile_by_name("ept-6.1");
	struct ms_rec_host *host;
	struct small_item *item;
	struct run run;
	unsigned int i;

	setup(&run);
	host = small_find(&run.fake, MS_REC_HOST, 0)->rec;
	host->hv = MS_HV_VMX;
	for (i = 0; i < SPTE_NR_MASKS; i++)
		host->masks[i] = spte_mask_get(&ept->m, i);
	for (i = 0; (item = small_find(&run.fake, MS_REC_SP, i)); i++)
		memset(item->tables, 0, sizeof(*item->tables));
	item = small_find(&run.fake, MS_REC_SP, 7);
	((struct ms_rec_sp *)item->rec)->role = role;
	item->tables->sptes[20] = raw;
	item->tables->translations[20] = 0x40ull << 12 | access;
	ask(&run, "sp 0xffff8881bbbb8000 " VM);
	assert_string_equal(run.result->prov.profile, "ept-6.1");
	is(&run, "entries", 20, "class", "leaf");
	is(&run, "entries", 20, "guest_access", guest);
	is(&run, "entries", 20, "why", why);
	teardown(&run);
}

/* Values of SEMANTICS B5 and their like. */
static void test_why_ept(void **state)
{
	const u64 dl = 0x0620000012345b75ull, dl_no_ad = 0x0610000012345875ull;
	const u64 wp = 0x0200000012345b75ull, wp_no_ad = 0x0210000012345875ull;

	why_is_ept("rwx", "dirty-log", dl, 7, 0x20701);
	/* May be what a read made of an access-tracked leaf. */
	why_is_ept("rwx", "-", dl_no_ad, 7, 0x30701);
	why_is_ept("rwx", "-", 0x0750000012345870ull, 7, 0x30701);
	/* EPT12 with A/D may have D clear; without, it has none. */
	why_is_ept("r-x", "guest-no-w", wp, 5, 0x20701);
	why_is_ept("r-x", "guest-denies", wp_no_ad, 5, 0x30701);
	why_is_ept("rwx", "-", wp_no_ad, 7, 0x30701);
}

static void test_why(void **state)
{
	const u64 rw = small_leaf(SMALL_PFN(9), 1, 1, 1, 1), dl = small_leaf(SMALL_PFN(9), 1, 1, 1, 0);
	const u64 wp = small_leaf(SMALL_PFN(9), 1, 1, 0, 0), ro = small_leaf(SMALL_PFN(9), 1, 0, 0, 0);
	const u64 plain = 0x40ull << 12, table = 0x207ull << 12, unsync = 0x208ull << 12;
	const u32 role = 0x20701, no_write = 0x20501; /* role.access without W */
	struct run run;

	why_is("uwx", "-", rw, plain | 7, role, NULL);
	why_is("uwx", "dirty-log", dl, plain | 7, role, NULL);
	why_is("u-x", "host", ro, plain | 5, role, NULL);
	why_is("uwx", "-", wp, plain | 7, role, NULL);
	why_is("u-x", "guest-no-w", wp, plain | 5, role, NULL);
	why_is("u-x", "guest-denies", wp, plain | 5, no_write, NULL);
	why_is("---", "guest-denies", wp, plain | 0, no_write, NULL);
	why_is("uwx", "shadowed-table", wp, table | 7, role, NULL);
	why_is("u-x", "guest-no-w shadowed-table", wp, table | 5, role, NULL);
	why_is("uwx", "-", rw, table | 7, role, NULL);
	/* Pages that prove nothing. */
	why_is("uwx", "-", wp, unsync | 7, role, NULL);
	why_is("uwx", "-", wp, table | 7, role, make_obsolete);
	why_is("uwx", "-", wp, table | 7, role, make_invalid);
	why_is("uwx", "-", wp, table | 7, role, make_direct);
	why_is("uwx", "-", wp, table | 7, role, make_passthrough);
	why_is("uwx", "-", wp, table | 7, role, make_smm);
	why_is("uwx", "-", wp, table | 7, role, make_torn);
	why_is("u-x", "-", wp, table | 5, role, make_own_torn);

	/* Direct pages store nothing; a table's frame is protected there as well, within huge leaves too. */
	setup(&run);
	ask(&run, "leaves --mmu root " VM);
	is(&run, "leaves", 1, "why", "dirty-log");
	is(&run, "leaves", 2, "why", "-");
	is(&run, "leaves", 2, "guest_access", "-");
	is(&run, "leaves", 3, "why", "host");
	is(&run, "leaves", 4, "why", "-");
	drop(&run);
	ms_session_drop(&run.session);
	small_find(&run.fake, MS_REC_SP, 3)->tables->sptes[7] = wp;
	((struct ms_rec_sp *)small_find(&run.fake, MS_REC_SP, 3)->rec)->gfn = 0x200;
	small_find(&run.fake, MS_REC_SP, 2)->tables->sptes[1] = small_leaf(0x40200, 2, 1, 0, 0);
	small_find(&run.fake, MS_REC_SP, 2)->tables->sptes[2] = small_leaf(0x40400, 2, 1, 0, 0);
	ask(&run, "sp 0xffff8881bbbb4000 --gfn 0x207 " VM);
	is(&run, "entries", 0, "why", "shadowed-table");
	ask(&run, "sp 0xffff8881bbbb3000 --state wp " VM);
	is(&run, "entries", 0, "gfn", "0x200");
	is(&run, "entries", 0, "why", "shadowed-table");
	is(&run, "entries", 1, "why", "-");
	teardown(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_why_ept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
