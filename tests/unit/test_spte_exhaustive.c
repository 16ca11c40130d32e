// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every combination of the low 12 and the high 12 bits, for a few address fields, in each built-in profile:
 * what decodes must encode to the same bits, and the number of values of each class must be the product of
 * what the format allows, counted by hand below. The counts catch what the round trip cannot: a decoder that
 * refuses or accepts too much.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "spte/spte.h"

struct count {
	u32 empty;
	u32 mmio;
	u32 frozen;
	u32 table;
	u32 leaf;
};

struct sweep {
	const char *profile;
	unsigned int level;
	u64 pfn;
	struct count want;
};

/*
 * EPT leaf, 6.1: RWX 7 (110 is the MMIO pattern) * memtype 5 * ipat 2 * A 2 * D 2 * kind 3 * saved 4 * H 2 *
 * M 2. 6.12: with bit 63 set 110 is no MMIO pattern, so RWX 8. EPT table: A 2 * kind 2. EPT MMIO: generation
 * 2^19.
 */
#define EPT61_LEAF (7 * 5 * 2 * 2 * 2 * 3 * 4 * 2 * 2)
#define EPT612_LEAF (8 * 5 * 2 * 2 * 2 * 3 * 4 * 2 * 2)
#define EPT_TABLE (2 * 2)
#define EPT_MMIO (1 << 19)
/* PT leaf: W U A D H M NX; table: A. MMIO, only with address bit 51: generation 2^19, W and U kept. */
#define PT_LEAF (1 << 7)
#define PT_TABLE 2
#define PT_MMIO (1 << 21)

static const struct sweep sweeps[] = {
	{ "ept-6.1", 1, 0x12345, { .mmio = EPT_MMIO, .leaf = EPT61_LEAF } },
	{ "ept-6.1", 2, 0x12200, { .mmio = EPT_MMIO, .leaf = EPT61_LEAF, .table = EPT_TABLE } },
	{ "ept-6.1",
	  3,
	  0,
	  { .empty = 1, .frozen = 1, .mmio = EPT_MMIO, .leaf = EPT61_LEAF, .table = EPT_TABLE } },
	{ "ept-6.1", 4, 0x40000, { .mmio = EPT_MMIO, .table = EPT_TABLE } },
	{ "ept-6.12", 1, 0x12345, { .mmio = EPT_MMIO, .leaf = EPT612_LEAF } },
	{ "ept-6.12", 2, 0x12345, { .mmio = EPT_MMIO, .table = EPT_TABLE } },
	{ "ept-6.12",
	  3,
	  0,
	  { .empty = 2, .frozen = 1, .mmio = EPT_MMIO, .leaf = EPT612_LEAF, .table = EPT_TABLE } },
	{ "ept-6.12", 5, 0x40000, { .mmio = EPT_MMIO, .table = EPT_TABLE } },
	{ "npt-6.1", 1, 0x12345, { .leaf = PT_LEAF } },
	{ "npt-6.1", 1, 1ULL << 39 | 0xfee00, { .mmio = PT_MMIO } },
	{ "npt-6.1", 3, 0, { .empty = 1, .frozen = 1, .leaf = PT_LEAF, .table = PT_TABLE } },
	{ "npt-6.1", 4, 0x40000, { .table = PT_TABLE } },
	{ "npt-6.12", 1, 0, { .empty = 2, .frozen = 1, .leaf = PT_LEAF } },
	{ "npt-6.12", 2, 1ULL << 39 | 0xfee00, { .mmio = PT_MMIO } },
	{ "npt-6.12", 3, 0x200, { .table = PT_TABLE } },
	{ "npt-6.12", 2, 0x12200, { .leaf = PT_LEAF, .table = PT_TABLE } },
};

static void sweep_run(const struct sweep *s)
{
	const struct spte_profile *p = spte_profile_by_name(s->profile);
	u32 seen[SPTE_CLASS_LEAF + 1] = { 0 };
	u64 back = 0;
	u32 flags;

	assert_non_null(p);
	for (flags = 0; flags < 1u << 24; flags++) {
		u64 raw = (flags & 0xfff) | s->pfn << 12 | (u64)(flags >> 12) << 52;
		struct spte_info info;
		int err = spte_decode(p, raw, s->level, &info);

		seen[info.cls]++;
		if (err) {
			if (err != -EBADMSG || info.cls != SPTE_CLASS_UNKNOWN || info.raw != raw ||
			    !(info.unknown_bits | info.missing_bits) || info.unknown_bits & ~raw ||
			    info.missing_bits & raw)
				fail_msg("%s level %u: %#llx refused without a reason", s->profile, s->level,
					 (unsigned long long)raw);
			continue;
		}
		info.raw = ~0ULL; /* the encoder must not lean on it */
		if (info.cls == SPTE_CLASS_UNKNOWN || spte_encode(p, &info, &back) || back != raw)
			fail_msg("%s level %u: %#llx came back as %#llx", s->profile, s->level,
				 (unsigned long long)raw, (unsigned long long)back);
	}
	assert_int_equal(seen[SPTE_CLASS_NONPRESENT], s->want.empty);
	assert_int_equal(seen[SPTE_CLASS_MMIO], s->want.mmio);
	assert_int_equal(seen[SPTE_CLASS_FROZEN], s->want.frozen);
	assert_int_equal(seen[SPTE_CLASS_TABLE], s->want.table);
	assert_int_equal(seen[SPTE_CLASS_LEAF], s->want.leaf);
}

static void sweep_profile(void **state)
{
	const char *name = *state;
	unsigned int i, done = 0;

	for (i = 0; i < sizeof(sweeps) / sizeof(sweeps[0]); i++) {
		if (spte_profile_by_name(sweeps[i].profile) != spte_profile_by_name(name))
			continue;
		sweep_run(&sweeps[i]);
		done++;
	}
	assert_int_equal(done, 4);
}

/*
 * Each single address bit, at each level: carried over, refused, or (L1TF, encryption) put where it belongs.
 */
static void address_bits(void **state)
{
	unsigned int i, bit, level;

	(void)state;
	for (i = 0; i < SPTE_NR_PROFILES; i++) {
		const struct spte_profile *p = spte_profile_at(i);
		u64 base = p->format == SPTE_FMT_EPT ? 0x0600000000000b77 | p->m.present : 0xe67;

		for (level = 1; level <= 3; level++) {
			for (bit = 12; bit < 52; bit++) {
				u64 raw = base | 1ULL << bit | (level > 1 ? 0x80 : 0);
				bool fits = bit < p->phys_bits && bit >= 12 + 9 * (level - 1);
				struct spte_info info;
				u64 back;

				assert_int_equal(spte_decode(p, raw, level, &info), fits ? 0 : -EBADMSG);
				if (!fits)
					continue;
				assert_int_equal(info.pfn, 1ULL << (bit - 12));
				assert_int_equal(spte_encode(p, &info, &back), 0);
				assert_int_equal(back, raw);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "sweep ept-6.1", sweep_profile, NULL, NULL, "ept-6.1" },
		{ "sweep ept-6.12", sweep_profile, NULL, NULL, "ept-6.12" },
		{ "sweep npt-6.1", sweep_profile, NULL, NULL, "npt-6.1" },
		{ "sweep npt-6.12", sweep_profile, NULL, NULL, "npt-6.12" },
		cmocka_unit_test(address_bits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("spte exhaustive", tests, NULL, NULL);
}
