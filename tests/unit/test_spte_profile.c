// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Profiles: the built-ins by name, what a running kernel's masks change, what the check refuses and how it
 * says so, and the choice of a base by evidence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "spte/spte.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static void builtins(void **state)
{
	static const char *const names[SPTE_NR_PROFILES] = { "ept-6.1", "ept-6.12", "npt-6.1", "npt-6.12" };
	struct spte_overlap why = { "untouched", NULL, 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < SPTE_NR_PROFILES; i++) {
		const struct spte_profile *p = spte_profile_at(i);

		assert_string_equal(p->name, names[i]);
		assert_ptr_equal(spte_profile_by_name(names[i]), p);
		assert_int_equal(spte_profile_check(p, &why), 0);
		assert_int_equal(p->from_kernel, 0);
	}
	assert_string_equal(why.a, "untouched");
	assert_null(spte_profile_at(SPTE_NR_PROFILES));
	assert_ptr_equal(spte_profile_by_name("shadow-6.1"), spte_profile_at(2));
	assert_ptr_equal(spte_profile_by_name("pt-6.12"), spte_profile_at(3));
	assert_null(spte_profile_by_name("pt-6.13"));
	assert_null(spte_profile_by_name("ept-6"));
	assert_null(spte_profile_by_name("ept-6.121"));
	assert_null(spte_profile_by_name(""));
	assert_string_equal(spte_profile_default()->name, "ept-6.12");
}

static void masks(void **state)
{
	struct spte_mask_set set = { 0 };
	struct spte_profile p;
	unsigned int id;

	(void)state;
	assert_string_equal(spte_mask_symbol(SPTE_MASK_host_writable), "shadow_host_writable_mask");
	assert_string_equal(spte_mask_symbol(SPTE_MASK_nonpresent_or_rsvd_lower_gfn),
			    "shadow_nonpresent_or_rsvd_lower_gfn_mask");
	assert_string_equal(spte_mask_symbol(SPTE_NR_MASKS), "");
	assert_int_equal(SPTE_NR_MASKS, 17);
	for (id = 0; id < SPTE_NR_MASKS; id++) {
		assert_int_equal(spte_mask_set_add(&set, id, 1000 + id), 0);
		assert_int_equal(spte_mask_get(&set.m, id), 1000 + id);
	}
	assert_int_equal(set.present, (1u << 17) - 1);
	assert_int_equal(set.m.mmu_writable, 1001);
	assert_int_equal(spte_mask_set_add(&set, SPTE_NR_MASKS, 0), -EINVAL);
	assert_int_equal(spte_mask_get(&set.m, SPTE_NR_MASKS), 0);

	/* Masks given replace the base's, the others stay; H and M may well move. */
	set = (struct spte_mask_set){ 0 };
	spte_mask_set_add(&set, SPTE_MASK_host_writable, 1ULL << 59);
	assert_int_equal(spte_profile_build(spte_profile_by_name("ept-6.1"), &set, &p, NULL), 0);
	assert_int_equal(p.m.host_writable, 1ULL << 59);
	assert_int_equal(p.m.mmu_writable, 1ULL << 58);
	assert_int_equal(p.from_kernel, 1u << SPTE_MASK_host_writable);
	assert_int_equal(p.phys_bits, 52);
	assert_int_equal(spte_wstate(&p, 0x0c00000012345b77, 1), SPTE_W_RW);
	assert_int_equal(spte_class(&p, 0x0600000012345b77, 1), SPTE_CLASS_UNKNOWN);

	/* The address width of a 46-bit host without L1TF. */
	spte_mask_set_add(&set, SPTE_MASK_nonpresent_or_rsvd, 0);
	spte_mask_set_add(&set, SPTE_MASK_nonpresent_or_rsvd_lower_gfn, 0x00003ffffffff000);
	assert_int_equal(spte_profile_build(spte_profile_by_name("ept-6.1"), &set, &p, NULL), 0);
	assert_int_equal(p.phys_bits, 46);
}

/* One wrong thing at a time; the failure names it. */
static void check_refuses(void **state)
{
	struct spte_overlap why;
	struct spte_profile p;

	(void)state;
#define REFUSED(base, change, name_a, name_b, shared)                    \
	do {                                                             \
		p = *spte_profile_by_name(base);                         \
		p.change;                                                \
		assert_int_equal(spte_profile_check(&p, &why), -EINVAL); \
		assert_int_equal(spte_profile_check(&p, NULL), -EINVAL); \
		assert_string_equal(why.a, name_a);                      \
		if (why.b)                                               \
			assert_string_equal(why.b, name_b);              \
		else                                                     \
			assert_string_equal("", name_b);                 \
		assert_int_equal(why.bits, shared);                      \
	} while (0)

	REFUSED("ept-6.1", m.host_writable = 1ULL << 58, "host_writable", "mmu_writable", 1ULL << 58);
	REFUSED("ept-6.1", m.host_writable = 1ULL << 53, "host_writable", "ad_mask", 1ULL << 53);
	REFUSED("ept-6.1", m.mmu_writable = 1ULL << 56, "mmu_writable", "track_saved", 1ULL << 56);
	REFUSED("npt-6.1", m.accessed = 1ULL << 6, "accessed", "dirty", 1ULL << 6);
	REFUSED("npt-6.1", m.host_writable = 1ULL << 20, "host_writable", "pfn", 1ULL << 20);
	REFUSED("npt-6.1", m.mmu_writable = 1ULL << 11, "mmu_present", "mmu_writable", 1ULL << 11);
	REFUSED("ept-6.1", m.host_writable = 0, "host_writable", "", 0);
	REFUSED("ept-6.1", m.mmu_writable = 0, "mmu_writable", "", 0);
	REFUSED("ept-6.1", m.user = 4, "user", "", 4);
	REFUSED("npt-6.1", m.x = 4, "x", "", 4);
	REFUSED("ept-6.1", m.nx = 1ULL << 63, "nx", "", 1ULL << 63);
	REFUSED("npt-6.1", m.memtype = 0x78, "memtype", "", 0x78);
	REFUSED("npt-6.1", m.acc_track = 7, "acc_track", "", 7);
	REFUSED("npt-6.1", m.present = 0, "present", "", 0);
	REFUSED("ept-6.1", m.present = 2, "present", "", 2);
	REFUSED("npt-6.1", m.me_value = 1ULL << 47, "me_value", "", 1ULL << 47);
	REFUSED("npt-6.1", m.me_mask = 1ULL << 9, "host_writable", "me_mask", 1ULL << 9);
	REFUSED("ept-6.1", m.mmio_value = 1ULL << 63 | 6, "mmio_value", "", 1ULL << 63);
	REFUSED("ept-6.1", m.mmio_mask = 0xf, "mmio_mask", "mmio_generation_low", 8);
	REFUSED("ept-6.1", m.mmio_access = 8, "mmio_access", "", 8);
	REFUSED("ept-6.1", m.mmio_access = 2, "mmio_mask", "mmio_access", 2);
	REFUSED("ept-6.1", m.nonpresent_or_rsvd = 1ULL << 40, "nonpresent_or_rsvd",
		"nonpresent_or_rsvd_lower_gfn", 1ULL << 40);
	REFUSED("ept-6.1", m.nonpresent_or_rsvd_lower_gfn = 0xfffff800, "nonpresent_or_rsvd_lower_gfn", "",
		0x800);
	REFUSED("ept-6.1", frozen_value = 0, "frozen_value", "nonpresent_value", 0);
	REFUSED("ept-6.1", frozen_value = 0x800, "frozen_value", "mmu_present", 0x800);
	REFUSED("ept-6.1", frozen_value = 6, "frozen_value", "mmio_value", 6);
	REFUSED("ept-6.1", nonpresent_value = 0x800, "nonpresent_value", "mmu_present", 0x800);
	REFUSED("ept-6.1", nonpresent_value = 0xe, "nonpresent_value", "mmio_value", 6);
	REFUSED("ept-6.1", phys_bits = 53, "phys_bits", "", 0);
	REFUSED("ept-6.1", phys_bits = 31, "phys_bits", "", 0);
	REFUSED("ept-6.1", ad_shift = 50, "ad_mask", "", 3ULL << 52);
	REFUSED("ept-6.1", track_saved = 8, "track_saved", "", 8);
	REFUSED("ept-6.1", gen_high_bits = 13, "mmio_generation", "", 0);
	REFUSED("ept-6.1", rsvd_shift = 21, "rsvd_shift", "", 0);

	/* A build that fails leaves its result alone. */
	{
		struct spte_mask_set set = { 0 };
		struct spte_profile mine = { .name = "mine" };

		spte_mask_set_add(&set, SPTE_MASK_mmu_writable, 1ULL << 57);
		assert_int_equal(spte_profile_build(spte_profile_at(0), &set, &mine, &why), -EINVAL);
		assert_string_equal(mine.name, "mine");
		assert_string_equal(why.a, "host_writable");
		assert_string_equal(why.b, "mmu_writable");
	}
}

static const char *chosen(const struct spte_evidence *ev)
{
	const struct spte_profile *p = NULL;

	return spte_evidence_choose(ev, &p) ? "none" : p->name;
}

static void evidence_by_values(void **state)
{
	const struct spte_profile *p;
	struct spte_evidence ev;
	unsigned int i;

	(void)state;
	spte_evidence_init(&ev, NULL);
	assert_int_equal(spte_evidence_choose(&ev, &p), -ENODATA);

	spte_evidence_add(&ev, 0x12345e67, 1);
	assert_int_equal(spte_evidence_choose(&ev, &p), -ENODATA); /* NPT, but of which kernel? */
	spte_evidence_add(&ev, 1ULL << 63, 1);
	assert_string_equal(chosen(&ev), "npt-6.12");

	spte_evidence_init(&ev, NULL);
	spte_evidence_add(&ev, 0x12345e67, 1);
	spte_evidence_add(&ev, 0, 1);
	assert_string_equal(chosen(&ev), "npt-6.1");

	spte_evidence_init(&ev, NULL);
	spte_evidence_add(&ev, 0x0600000012345b77, 1);
	assert_string_equal(chosen(&ev), "ept-6.1");
	/* The value that two formats explain does not disturb. */
	spte_evidence_add(&ev, 0x12345825, 1);
	assert_string_equal(chosen(&ev), "ept-6.1");

	spte_evidence_init(&ev, NULL);
	spte_evidence_add(&ev, 0x8600000012345b77, 1);
	assert_string_equal(chosen(&ev), "ept-6.12");
	/* One torn value among sixteen is let pass, two are not. */
	for (i = 0; i < 14; i++)
		spte_evidence_add(&ev, 1ULL << 63, 1);
	spte_evidence_add(&ev, 0xdeadbeef, 1);
	assert_string_equal(chosen(&ev), "ept-6.12");
	spte_evidence_add(&ev, 0xdeadbeef, 1);
	assert_int_equal(spte_evidence_choose(&ev, &p), -EBADMSG);
}

static void evidence_by_masks(void **state)
{
	struct spte_mask_set set = { 0 };
	const struct spte_profile *p;
	struct spte_evidence ev;

	(void)state;
	/* x_mask == 4 is EPT, bit 63 in the present mask is 6.12's: no value needed. */
	spte_mask_set_add(&set, SPTE_MASK_x, 4);
	spte_evidence_init(&ev, &set);
	assert_int_equal(spte_evidence_choose(&ev, &p), -ENODATA);
	spte_mask_set_add(&set, SPTE_MASK_present, 1ULL << 63);
	spte_evidence_init(&ev, &set);
	assert_string_equal(chosen(&ev), "ept-6.12");
	spte_mask_set_add(&set, SPTE_MASK_present, 1);
	spte_evidence_init(&ev, &set);
	assert_string_equal(chosen(&ev), "ept-6.1");
	assert_int_equal(spte_evidence_choose(&ev, &p), 0);
	assert_int_equal(p->m.present, 1);
	assert_int_equal(p->from_kernel, 1u << SPTE_MASK_x | 1u << SPTE_MASK_present);

	/* The MMIO mask alone tells as well. */
	set = (struct spte_mask_set){ 0 };
	spte_mask_set_add(&set, SPTE_MASK_x, 4);
	spte_mask_set_add(&set, SPTE_MASK_mmio_mask, 7);
	spte_evidence_init(&ev, &set);
	assert_string_equal(chosen(&ev), "ept-6.1");

	/* On AMD the masks leave the kernel open, an empty entry settles it; zero is rare in 6.12. */
	set = (struct spte_mask_set){ 0 };
	spte_mask_set_add(&set, SPTE_MASK_x, 0);
	spte_evidence_init(&ev, &set);
	assert_int_equal(spte_evidence_choose(&ev, &p), -ENODATA);
	spte_evidence_add(&ev, 0, 1);
	assert_string_equal(chosen(&ev), "npt-6.1");
	spte_evidence_add(&ev, 1ULL << 63, 1);
	assert_string_equal(chosen(&ev), "npt-6.12");

	/* Masks of no kernel we know rule out everything. */
	set = (struct spte_mask_set){ 0 };
	spte_mask_set_add(&set, SPTE_MASK_user, 1ULL << 40);
	spte_evidence_init(&ev, &set);
	assert_int_equal(spte_evidence_choose(&ev, &p), -EBADMSG);
	spte_evidence_add(&ev, 0, 1);
	assert_int_equal(spte_evidence_choose(&ev, &p), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builtins),	     cmocka_unit_test(masks),
		cmocka_unit_test(check_refuses),     cmocka_unit_test(evidence_by_values),
		cmocka_unit_test(evidence_by_masks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("spte profile", tests, NULL, NULL);
}
