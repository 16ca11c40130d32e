/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/query/stuck.c, one by one: what may take an entry away, what a cause needs, and which L2's a place is. */
#include "stuckfeed.h"

#define BIT(name) (1ull << MS_EV_##name)

/* An entry that one of these may have taken away is made anew: no series. Of all others there is one. */
static void takes_away(void **state)
{
	const u64 away = BIT(sp_zap) | BIT(sync) | BIT(flush) | BIT(flush_vcpu) | BIT(wp) | BIT(pt_write) |
			 BIT(root_load) | BIT(root_free) | BIT(slot) | BIT(invalidate) | BIT(invalidate_end) |
			 BIT(recycle) | BIT(zap_all) | BIT(split) | BIT(nx_recover) | BIT(log_enable) |
			 BIT(log_disable) | BIT(log_read) | BIT(log_clear) | BIT(write_track) | BIT(age) |
			 BIT(inject);
	/* A fault of its own is another matter. */
	const u64 faults = BIT(fault) | BIT(fault_done);
	struct ms_stuck_place *found;
	struct feed f;
	size_t nr;
	u32 id, i;

	(void)state;
	for (id = 1; id < MS_EV_NR; id++) {
		if (faults >> id & 1)
			continue;
		start(&f, ALL);
		for (i = 0; i < N; i++) {
			whole(&f, ADDR, W, MS_RET_FIXED);
			f.vcpu = 1;
			put(&f, (struct ms_event){ .id = id });
			f.vcpu = 0;
		}
		nr = ms_stuck_found(f.stuck, N, &found);
		if (nr != !(away >> id & 1))
			fail_msg("event %u: %zu series", id, nr);
		free(found);
		stop(&f);
	}
}

/* What a source has to tell for each cause; without one of these events the cause is not looked for. */
static void can_tell(void **state)
{
	const u64 away = BIT(sp_zap) | BIT(flush) | BIT(invalidate) | BIT(age);
	const u64 effects = BIT(mmio) | BIT(pt_write) | BIT(dirty);
	const u64 needs[MS_NR_STUCK] = {
		[MS_STUCK_L1_GRANTS] = BIT(inject),
		[MS_STUCK_L1_DENIES] = BIT(inject),
		[MS_STUCK_FIXED] = away,
		[MS_STUCK_SPURIOUS] = away,
		[MS_STUCK_EMULATION_FAILS] = BIT(emulate),
		[MS_STUCK_EMULATION_REPEATS] = effects,
	};
	u32 cause, id;

	(void)state;
	for (cause = 0; cause < MS_NR_STUCK; cause++)
		for (id = 1; id < MS_EV_NR; id++) {
			bool needed = (needs[cause] | BIT(fault) | BIT(fault_done)) >> id & 1;

			if (ms_stuck_can_tell(ALL & ~(1ull << id), cause) == needed)
				fail_msg("%s, event %u", ms_stuck_name(cause), id);
		}
}

static void enter(struct feed *f, u16 vcpu, u64 pgd)
{
	f->vcpu = vcpu;
	f->guest = MS_EV_L2;
	PUT(f, nested_enter, .pgd = pgd);
}

/* Two L2s of one vCPU fault at one address: two places, and neither in a row with the other. */
static void two_roots(void **state)
{
	struct ms_stuck_place *found;
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < 2 * N; i++) {
		enter(&f, 0, i & 1 ? 0x5000 : 0x6000);
		whole(&f, ADDR, W, MS_RET_RETRY);
	}
	assert_int_equal(ms_stuck_found(f.stuck, 2, &found), 2);
	assert_int_equal(found[0].nr, N);
	assert_int_equal(found[1].nr, N);
	assert_int_equal(found[0].pgd + found[1].pgd, 0xb000);
	free(found);
	stop(&f);
}

/*
 * So many roots that some share a set of places: what one L2 gets on with is not what the other waits for, and a fault
 * of the one is none of the other's.
 */
static void roots_of_one_set(void **state)
{
	enum { ROOTS = 2048 };
	struct ms_stuck_place *found;
	struct feed f;
	size_t nr, i;
	u32 round;

	(void)state;
	start(&f, ALL);
	for (round = 0; round < 3; round++)
		for (i = 0; i < ROOTS; i++) {
			enter(&f, 0, (i + 1) << 12);
			whole(&f, ADDR, W, MS_RET_RETRY);
		}
	nr = ms_stuck_found(f.stuck, 2, &found);
	assert_int_equal(nr, ROOTS);
	for (i = 0; i < nr; i++)
		assert_int_equal(found[i].nr, 3);
	free(found);
	/* Every other one gets on. */
	for (i = 0; i < ROOTS; i += 2) {
		enter(&f, 1, (i + 1) << 12);
		whole(&f, ADDR, W, MS_RET_FIXED);
	}
	nr = ms_stuck_found(f.stuck, 2, &found);
	assert_int_equal(nr, ROOTS);
	for (i = 0; i < nr; i++)
		assert_int_equal(found[i].open, !((found[i].pgd >> 12) & 1));
	free(found);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_away),
		cmocka_unit_test(can_tell),
		cmocka_unit_test(two_roots),
		cmocka_unit_test(roots_of_one_set),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
