/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/query/stuck.c: a series for each cause, and none for what only looks like one. */
#include "stuckfeed.h"

/* --- a series for each cause --- */

static void seq_moves(void **state)
{
	struct ms_stuck_place place;
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		fault(&f, ADDR, W);
		PUT(&f, stale, .addr = ADDR, .gfn = ADDR >> 12, .seq_seen = 100 + i, .seq_now = 101 + i);
		done(&f, ADDR, MS_RET_RETRY);
	}
	place = one(&f, MS_STUCK_SEQ, N);
	assert_true(place.has_stale && place.open && !place.injected);
	assert_int_equal(place.seq_seen, 100 + N - 1);
	assert_int_equal(place.seq_now, 100 + N);
	assert_int_equal(place.gfn, ADDR >> 12);
	assert_int_equal(place.error, W);
	assert_int_equal(place.addr, ADDR);
	assert_int_equal(place.last_ret, MS_RET_RETRY);
	assert_int_equal(place.first_ns, 3 * NS);
	assert_int_equal(place.last_ns, 3 * NS * N);
	assert_int_equal(place.taken, N);
	assert_int_equal(place.resolved, 0);
	/* In the end it gets on: told all the same, as over. */
	whole(&f, ADDR, W, MS_RET_FIXED);
	place = one(&f, MS_STUCK_SEQ, N);
	assert_false(place.open);
	assert_int_equal(place.resolved, 2);
	stop(&f);
}

static void in_progress(void **state)
{
	struct ms_stuck_place place;
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		fault(&f, ADDR, 0);
		PUT(&f, stale, .addr = ADDR, .gfn = 1, .seq_seen = 7, .seq_now = 7, .in_progress = 2);
		done(&f, ADDR, MS_RET_RETRY);
	}
	place = one(&f, MS_STUCK_IN_PROGRESS, N);
	assert_int_equal(place.in_progress, 2);
	stop(&f);
}

/* A kernel without the members: what else was seen tells, and 0 is not said of what nobody read. */
static void seq_unknown(void **state)
{
	struct ms_stuck_place place;
	struct feed f;
	u32 i;

	(void)state;
	for (i = 0; i < 3; i++) {
		u32 k;

		start(&f, ALL);
		for (k = 0; k < N; k++) {
			fault(&f, ADDR, W);
			if (i == 1)
				PUT(&f, invalidate, .start = 0x1000, .end = 0x2000);
			if (i == 1)
				PUT(&f, invalidate_end, .start = 0x1000, .end = 0x2000);
			PUT(&f, stale, .addr = ADDR, .gfn = 1, .seq_seen = i == 2 ? 7 : ~0ull,
			    .seq_now = ~0ull, .in_progress = ~0u);
			done(&f, ADDR, MS_RET_RETRY);
		}
		place = one(&f, i == 1 ? MS_STUCK_SEQ : MS_STUCK_RETRY, N);
		assert_true(place.seq_now == ~0ull && place.in_progress == MS_EV_NO_NR);
		stop(&f);
	}
}

/* Its end may be among what was lost. */
static void invalidation_lost(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	PUT(&f, invalidate, .start = 0x1000, .end = 0x2000);
	ms_stuck_lost(f.stuck);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, 0, MS_RET_RETRY);
	one(&f, MS_STUCK_RETRY, N);
	stop(&f);
}

/* The source has no `stale', but the invalidation has begun and not ended. */
static void invalidation_open(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	PUT(&f, invalidate, .start = 0x1000, .end = 0x2000);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, 0, MS_RET_RETRY);
	one(&f, MS_STUCK_IN_PROGRESS, N);
	PUT(&f, invalidate_end, .start = 0x1000, .end = 0x2000);
	for (i = 0; i < 2 * N; i++)
		whole(&f, ADDR, 0, MS_RET_RETRY);
	/* Most of them came after its end. */
	one(&f, MS_STUCK_RETRY, 3 * N);
	stop(&f);
}

static void root_goes(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		fault(&f, ADDR, W);
		PUT(&f, stale, .addr = ADDR, .gfn = 1, .seq_seen = 1, .seq_now = 2, .root_obsolete = 1);
		done(&f, ADDR, MS_RET_RETRY);
	}
	one(&f, MS_STUCK_ROOT, N);
	stop(&f);
	/* Without `stale': all pages became obsolete meanwhile. */
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		fault(&f, ADDR, W);
		PUT(&f, zap_all, .gen = i);
		done(&f, ADDR, MS_RET_RETRY);
	}
	one(&f, MS_STUCK_ROOT, N);
	stop(&f);
}

static void retry_unknown(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, W, MS_RET_RETRY);
	one(&f, MS_STUCK_RETRY, N);
	stop(&f);
}

static void emulation_fails(void **state)
{
	struct ms_stuck_place place;
	struct ms_stuck_vcpu shown;
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_EMULATE);
		PUT(&f, emulate, .rip = 0x401000, .failed = 1);
	}
	place = one(&f, MS_STUCK_EMULATION_FAILS, N);
	assert_int_equal(place.rip, 0x401000);
	assert_true(ms_stuck_vcpu(f.stuck, 0, &shown));
	assert_int_equal(shown.failed, N);
	assert_int_equal(shown.emulated, 0);
	stop(&f);
}

static void emulation_repeats(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_WRITE_PROTECTED);
		PUT(&f, emulate, .rip = 0x401000);
	}
	/* What became of the last one is not known yet. */
	one(&f, MS_STUCK_EMULATION_REPEATS, N - 1);
	stop(&f);
}

/* Marks of pages that the CPU logged, or that KVM wrote for the guest, are not what was emulated. */
static void emulation_repeats_beside_marks(void **state)
{
	static const u8 causes[] = { MS_CAUSE_PML, MS_CAUSE_HOST_WRITE, MS_CAUSE_EMULATE };
	struct feed f;
	u32 i, k;

	(void)state;
	for (k = 0; k < 3; k++) {
		start(&f, ALL);
		for (i = 0; i < N; i++) {
			whole(&f, ADDR, W, MS_RET_WRITE_PROTECTED);
			PUT(&f, emulate, .rip = 0x401000);
			put(&f, (struct ms_event){
					.id = MS_EV_dirty, .cause = causes[k], .u.dirty = { .gfn = 0x77 } });
		}
		if (causes[k] == MS_CAUSE_EMULATE) {
			nothing(&f);
			continue;
		}
		one(&f, MS_STUCK_EMULATION_REPEATS, N - 1);
		stop(&f);
	}
}

/* Seed 3: L2 writes, L1 is told of the read that it has granted (SEMANTICS D.3). */
static void ping_pong(void **state)
{
	struct ms_stuck_place place;
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		f.guest = MS_EV_L2;
		PUT(&f, nested_enter, .pgd = 0x5000);
		whole(&f, ADDR, RSVD, MS_RET_EMULATE);
		PUT(&f, emulate, .rip = 0x401000);
		PUT(&f, inject, .reason = 48, .qual = 0x189, .addr = ADDR);
		/* L1 has faults of its own on the way, and they are resolved. */
		f.guest = MS_EV_L1;
		whole(&f, ADDR, W, MS_RET_FIXED);
		PUT(&f, flush_vcpu, .what = MS_FLUSH_ALL);
		PUT(&f, sync, .sp = 1, .gfn = 2, .changed = 0);
	}
	place = one(&f, MS_STUCK_L1_GRANTS, N);
	assert_true(place.injected);
	assert_int_equal(place.error, 0x189);
	assert_int_equal(place.reason, 48);
	assert_int_equal(place.pgd, 0x5000);
	assert_int_equal(place.guest, MS_EV_L2);
	assert_int_equal(place.mmu, MS_MMU_GUEST);
	stop(&f);
}

/* What the emulator carries out at the address resolves what L1 was told for, not what was granted all the time. */
static void l1_denies(void **state)
{
	static const struct {
		u64 reason, qual;
		enum ms_stuck_cause cause;
		bool by[2]; /* resolved by a read, by a write */
	} rows[] = {
		{ 48, 0x18a, MS_STUCK_L1_DENIES, { false, true } }, /* W tried, R granted */
		{ 48, 0x181, MS_STUCK_L1_DENIES, { true, false } }, /* nothing granted */
		{ 48, 0x18b, MS_STUCK_L1_DENIES, { false, true } }, /* R and W tried, R granted */
		{ 48, 0x19b, MS_STUCK_L1_GRANTS, { false, false } }, /* both granted */
		{ 48, 0x189, MS_STUCK_L1_GRANTS, { false, true } },
		{ 48, 0x184, MS_STUCK_L1_DENIES },
		{ 48, 0x1a4, MS_STUCK_L1_GRANTS, { true, true } },
		{ 0x400, 0x100000007, MS_STUCK_L1_DENIES, { false, true } },
		{ 0x400, 0x100000006, MS_STUCK_L1_DENIES, { false, true } },
		{ 0x400, 0x100000015, MS_STUCK_L1_DENIES },
		{ 0x400, 0x100000005, MS_STUCK_L1_GRANTS, { false, true } },
	};
	struct feed f;
	size_t row;
	u32 i, w;

	(void)state;
	for (row = 0; row < 2 * sizeof(rows) / sizeof(rows[0]); row++) {
		start(&f, ALL);
		f.guest = MS_EV_L2;
		w = row & 1;
		for (i = 0; i < N; i++)
			inject(&f, ADDR, W, rows[row / 2].reason, rows[row / 2].qual);
		assert_true(one(&f, rows[row / 2].cause, N).open);
		whole(&f, ADDR, RSVD, MS_RET_EMULATE);
		PUT(&f, mmio, .gpa = ADDR, .write = (u8)w);
		if (one(&f, rows[row / 2].cause, N).open == rows[row / 2].by[w])
			fail_msg("qualification 0x%llx, %u", (unsigned long long)rows[row / 2].qual, w);
		stop(&f);
	}
}

static void spurious(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, W, MS_RET_SPURIOUS);
	one(&f, MS_STUCK_SPURIOUS, N);
	stop(&f);
}

static void fixed_again(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, W, MS_RET_FIXED);
	one(&f, MS_STUCK_FIXED, N);
	stop(&f);
}

/* What was being taken away while the fault came is gone when that ends: the next fault is for a reason. */
static void invalidation_ends_between(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++)
		PUT(&f, invalidate, .start = i << 12, .end = (i + 1) << 12);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_FIXED);
		PUT(&f, invalidate_end, .start = i << 12, .end = (i + 1) << 12);
	}
	nothing(&f);
}

/* What was lost may have been what took the entry away; an end without a beginning is no invalidation under way. */
static void lost_between(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_FIXED);
		ms_stuck_lost(f.stuck);
	}
	nothing(&f);
	start(&f, ALL);
	PUT(&f, invalidate_end, .start = 0, .end = 4096);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, W, MS_RET_RETRY);
	one(&f, MS_STUCK_RETRY, N);
	stop(&f);
}

/* Guest and MMU say the same; a read carried out is no write; no emulation is heard of where none can be. */
static void details(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	f.guest = MS_EV_GUEST_UNKNOWN;
	for (i = 0; i < N; i++) {
		PUT(&f, fault, .addr = ADDR, .error = W, .mmu = MS_MMU_GUEST);
		done(&f, ADDR, MS_RET_RETRY);
	}
	assert_int_equal(one(&f, MS_STUCK_RETRY, N).guest, MS_EV_L2);
	stop(&f);

	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_RETRY);
		whole(&f, ADDR, 0, MS_RET_EMULATE);
		PUT(&f, emulate, .rip = 0x401000);
		PUT(&f, mmio, .gpa = ADDR);
	}
	one(&f, MS_STUCK_RETRY, N);
	whole(&f, ADDR, 0, MS_RET_EMULATE);
	PUT(&f, emulate, .rip = 0x401000);
	PUT(&f, mmio, .gpa = ADDR, .write = 1);
	assert_false(one(&f, MS_STUCK_RETRY, N).open);
	stop(&f);

	start(&f, ALL & ~(1ull << MS_EV_emulate));
	for (i = 0; i < N; i++)
		whole(&f, ADDR, W, MS_RET_EMULATE);
	one(&f, MS_STUCK_EMULATION_REPEATS, N - 1);
	stop(&f);
}

static void handler_fails(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, W, MS_RET_ERROR);
	one(&f, MS_STUCK_ERROR, N);
	stop(&f);
}

/* An interrupt handler goes on while the instruction does not. */
static void others_get_on(void **state)
{
	struct ms_stuck_place place;
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_RETRY);
		whole(&f, 0x1000000 + (i << 12), W, MS_RET_FIXED);
	}
	place = one(&f, MS_STUCK_RETRY, N);
	assert_int_equal(place.addr, ADDR);
	/* A read of the same page says nothing of a write. */
	whole(&f, ADDR + 8, 0, MS_RET_FIXED);
	whole(&f, ADDR, W, MS_RET_RETRY);
	one(&f, MS_STUCK_RETRY, N + 1);
	stop(&f);
}

/* --- what is no series --- */

static void many_pages(void **state)
{
	struct feed f;
	u32 i, pass;

	(void)state;
	start(&f, ALL);
	for (pass = 0; pass < 3; pass++)
		for (i = 0; i < 20000; i++) {
			whole(&f, 0x40000000 + ((u64)i << 12), W, MS_RET_FIXED);
			if (!i)
				PUT(&f, flush, .deferred = 0);
		}
	nothing(&f);
}

static void progress_between(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_RETRY);
		whole(&f, ADDR, W, MS_RET_FIXED);
		PUT(&f, invalidate, .start = 0, .end = 0x1000);
		PUT(&f, invalidate_end, .start = 0, .end = 0x1000);
	}
	nothing(&f);
	/* The same by another instruction, or another access that needs as much. */
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_RETRY);
		whole(&f, ADDR + 64, W | PRESENT, MS_RET_FIXED);
		PUT(&f, flush, .deferred = 0);
	}
	nothing(&f);
	/* By another vCPU: it is the same page. */
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W, MS_RET_RETRY);
		f.vcpu = 1;
		whole(&f, ADDR, W, MS_RET_FIXED);
		f.vcpu = 0;
		PUT(&f, wp, .gfn = ADDR >> 12, .sptes = 1);
	}
	nothing(&f);
}

static void taken_away(void **state)
{
	struct feed f;
	u32 i, way;

	(void)state;
	for (way = 0; way < 6; way++) {
		start(&f, ALL);
		for (i = 0; i < N; i++) {
			whole(&f, ADDR, W, way & 1 ? MS_RET_SPURIOUS : MS_RET_FIXED);
			if (way == 0)
				PUT(&f, invalidate, .start = 0, .end = 0x1000);
			else if (way == 1)
				PUT(&f, flush, .deferred = 0);
			else if (way == 2)
				PUT(&f, log_clear, .gfn = ADDR >> 12, .pages = 1);
			else if (way == 3)
				PUT(&f, age, .start = 0, .end = 0x1000, .clears = 1);
			else if (way == 4)
				PUT(&f, sp_zap, .sp = 1);
			else
				PUT(&f, pt_write, .gpa = 0x1000, .bytes = 8, .zapped = 1);
		}
		nothing(&f);
	}
}

static void two_vcpus(void **state)
{
	struct ms_stuck_place *found;
	struct feed f;
	u32 i;

	(void)state;
	/* Each meets what the other has made. */
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		f.vcpu = (u16)(i & 1);
		whole(&f, 0x1000000 + ((u64)(i / 2) << 12), W, i & 1 ? MS_RET_SPURIOUS : MS_RET_FIXED);
	}
	nothing(&f);
	/* Both are stuck: two places. */
	start(&f, ALL);
	for (i = 0; i < 2 * N; i++) {
		f.vcpu = (u16)(i & 1);
		whole(&f, ADDR, W, MS_RET_RETRY);
	}
	assert_int_equal(ms_stuck_found(f.stuck, MS_STUCK_MIN, &found), 2);
	assert_int_equal(found[0].nr, N);
	assert_int_equal(found[0].vcpu, 0);
	assert_int_equal(found[1].nr, N);
	assert_int_equal(found[1].vcpu, 1);
	free(found);
	stop(&f);
}

/* A device that is polled: each access reaches it. */
static void device(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, RSVD, MS_RET_EMULATE);
		PUT(&f, emulate, .rip = 0x401000);
		PUT(&f, mmio, .gpa = ADDR);
	}
	nothing(&f);
	/* A source that sees the device while the fault is dealt with. */
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		fault(&f, ADDR, RSVD);
		PUT(&f, mmio, .gpa = ADDR);
		done(&f, ADDR, MS_RET_EMULATE);
		PUT(&f, emulate, .rip = 0x401000);
	}
	nothing(&f);
	/* A loop that writes a page table of its own. */
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W | PRESENT, MS_RET_WRITE_PROTECTED);
		PUT(&f, emulate, .rip = 0x401000);
		PUT(&f, pt_write, .gpa = ADDR, .bytes = 8);
	}
	nothing(&f);
	/* Other instructions, to no effect that is seen. */
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, W | PRESENT, MS_RET_EMULATE);
		PUT(&f, emulate, .rip = 0x401000 + 4 * i);
	}
	nothing(&f);
}

/* KVM says `retry' of a fault that it has given to the guest; nmmu says `none'. */
static void injected_is_no_retry(void **state)
{
	struct ms_stuck_vcpu shown;
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	f.guest = MS_EV_L2;
	for (i = 0; i < N; i++) {
		fault(&f, ADDR, W);
		PUT(&f, inject, .reason = 0x400, .qual = 0x100000007, .addr = ADDR);
		done(&f, ADDR, MS_RET_RETRY);
	}
	one(&f, MS_STUCK_L1_DENIES, N);
	assert_true(ms_stuck_vcpu(f.stuck, 0, &shown));
	assert_int_equal(shown.injected, N);
	assert_int_equal(shown.retried, 0);
	stop(&f);
}

/* L1 makes its devices by entries that are misconfigured, or have reserved bits. */
static void l1_devices(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL);
	f.guest = MS_EV_L2;
	for (i = 0; i < N; i++)
		inject(&f, ADDR, 0, 49, 0);
	for (i = 0; i < N; i++)
		inject(&f, ADDR, RSVD, 0x400, 0x10000000d);
	/* Its log is full. */
	for (i = 0; i < N; i++)
		inject(&f, ADDR, W, 62, 0);
	/* A page fault of L2's own. */
	for (i = 0; i < N; i++)
		inject(&f, ADDR, W, 14, 6);
	nothing(&f);
}

static void l1_grants(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	/* L1 logs by taking W away: told, grants, L2 gets on. */
	start(&f, ALL);
	f.guest = MS_EV_L2;
	for (i = 0; i < N; i++) {
		inject(&f, ADDR, W | PRESENT, 48, 0x18a);
		whole(&f, ADDR, W | PRESENT, MS_RET_FIXED);
	}
	nothing(&f);
	/* INVEPT brings the shadow page up to date: no fault is needed. */
	start(&f, ALL);
	f.guest = MS_EV_L2;
	for (i = 0; i < N; i++) {
		inject(&f, ADDR, W | PRESENT, 48, 0x18a);
		PUT(&f, sync, .sp = 1, .gfn = 2, .changed = 1);
	}
	nothing(&f);
	/* Nor is one when an entry was made ahead with a neighbour's. */
	start(&f, ALL);
	f.guest = MS_EV_L2;
	for (i = 0; i < N; i++) {
		inject(&f, ADDR, W, 48, 0x182);
		whole(&f, ADDR + 0x1000, W, MS_RET_FIXED);
		PUT(&f, flush_vcpu, .what = MS_FLUSH_ALL);
	}
	nothing(&f);
	/* Another L2 at the same address is another matter. */
	start(&f, ALL);
	for (i = 0; i < N; i++) {
		f.guest = MS_EV_L2;
		PUT(&f, nested_enter, .pgd = 0x5000);
		inject(&f, ADDR, W, 48, 0x182);
		f.vcpu = 1;
		PUT(&f, nested_enter, .pgd = 0x6000);
		whole(&f, ADDR, W, MS_RET_FIXED);
		PUT(&f, flush, .deferred = 0);
		f.vcpu = 0;
	}
	one(&f, MS_STUCK_L1_DENIES, N);
	stop(&f);
}

/* --- what cannot be told, room, and what was not seen --- */

static void not_fed(void **state)
{
	struct feed f;
	u32 i;

	(void)state;
	start(&f, ALL & ~(1ull << MS_EV_flush));
	for (i = 0; i < N; i++)
		whole(&f, ADDR, W, MS_RET_FIXED);
	nothing(&f);
	start(&f, ALL & ~(1ull << MS_EV_mmio));
	for (i = 0; i < N; i++) {
		whole(&f, ADDR, RSVD, MS_RET_EMULATE);
		PUT(&f, emulate, .rip = 0x401000);
	}
	nothing(&f);
	/* It was not emulated, after all. */
	start(&f, ALL);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, W, MS_RET_WRITE_PROTECTED);
	one(&f, MS_STUCK_RETRY, N - 1);
	stop(&f);
	/* Without the ends no beginning counts as open. */
	start(&f, ALL & ~(1ull << MS_EV_invalidate_end));
	PUT(&f, invalidate, .start = 0, .end = 0x1000);
	for (i = 0; i < N; i++)
		whole(&f, ADDR, 0, MS_RET_RETRY);
	one(&f, MS_STUCK_RETRY, N);
	stop(&f);
}

static void room(void **state)
{
	struct ms_stuck_totals totals;
	struct ms_stuck_place *found;
	struct feed f;
	size_t nr;
	u32 i, j;

	(void)state;
	start(&f, ALL);
	for (j = 0; j < 100; j++)
		whole(&f, ADDR, W, MS_RET_RETRY);
	for (i = 0; i < 3 * MS_STUCK_PLACES; i++)
		for (j = 0; j < 3; j++)
			whole(&f, (u64)i << 15, W, MS_RET_RETRY);
	ms_stuck_totals(f.stuck, &totals);
	assert_in_range(totals.places, MS_STUCK_PLACES / 2, MS_STUCK_PLACES);
	assert_int_equal(totals.places + totals.dropped, 3 * MS_STUCK_PLACES + 1);
	assert_int_equal(totals.dropped_longest, 3);
	nr = ms_stuck_found(f.stuck, 3, &found);
	assert_int_equal(nr, totals.places);
	assert_int_equal(found[0].addr, ADDR);
	assert_int_equal(found[0].nr, 100);
	free(found);
	finds(&f, 101, 0, NULL);
	finds(&f, 100, 1, NULL);
	stop(&f);
}

/* Events of any content: what others wrote. */
static void any_events(void **state)
{
	struct ms_event event;
	struct feed f;
	u64 x = 88172645463325252ull;
	u32 i;

	(void)state;
	start(&f, ALL);
	for (i = 0; i < 200000; i++) {
		u8 *at = (u8 *)&event;
		size_t k;

		for (k = 0; k < sizeof(event); k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			at[k] = (u8)x;
		}
		if (i % 4)
			event.id %= MS_EV_NR + 3;
		if (i % 3)
			event.vcpu %= 5;
		ms_stuck_event(f.stuck, &event);
	}
	finds(&f, 1000, 0, NULL);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seq_moves),
		cmocka_unit_test(in_progress),
		cmocka_unit_test(seq_unknown),
		cmocka_unit_test(invalidation_open),
		cmocka_unit_test(invalidation_lost),
		cmocka_unit_test(root_goes),
		cmocka_unit_test(retry_unknown),
		cmocka_unit_test(emulation_fails),
		cmocka_unit_test(emulation_repeats),
		cmocka_unit_test(emulation_repeats_beside_marks),
		cmocka_unit_test(ping_pong),
		cmocka_unit_test(l1_denies),
		cmocka_unit_test(spurious),
		cmocka_unit_test(invalidation_ends_between),
		cmocka_unit_test(lost_between),
		cmocka_unit_test(details),
		cmocka_unit_test(fixed_again),
		cmocka_unit_test(handler_fails),
		cmocka_unit_test(others_get_on),
		cmocka_unit_test(many_pages),
		cmocka_unit_test(progress_between),
		cmocka_unit_test(taken_away),
		cmocka_unit_test(two_vcpus),
		cmocka_unit_test(device),
		cmocka_unit_test(injected_is_no_retry),
		cmocka_unit_test(l1_devices),
		cmocka_unit_test(l1_grants),
		cmocka_unit_test(not_fed),
		cmocka_unit_test(room),
		cmocka_unit_test(any_events),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
