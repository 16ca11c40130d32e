/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feeding src/query/stuck.c with faults, and asking what it found: for test_stuck.c. */
#ifndef TESTS_UNIT_STUCKFEED_H
#define TESTS_UNIT_STUCKFEED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/rec.h"
#include "query/stuck.h"

#define N 20u
#define ALL (~0ull)
#define ADDR 0xfee00340ull
#define W 2ull
#define FETCH 0x10ull
#define PRESENT 1ull
#define RSVD 8ull
#define NS 1000ull /* between two events */

struct feed {
	struct ms_stuck *stuck;
	u64 now;
	u16 vcpu;
	u8 guest;
};

static inline void start(struct feed *f, u64 fed)
{
	*f = (struct feed){ .stuck = ms_stuck_create(fed), .guest = MS_EV_L1 };
	assert_non_null(f->stuck);
}

static inline void stop(struct feed *f)
{
	ms_stuck_destroy(f->stuck);
}

static inline void put(struct feed *f, struct ms_event event)
{
	f->now += NS;
	event.seq = event.time_ns = f->now;
	event.vcpu = f->vcpu;
	event.guest = f->guest;
	ms_stuck_event(f->stuck, &event);
}

/* PUT(feed, name, .field = value, ...) */
#define PUT(f, name, ...) put(f, (struct ms_event){ .id = MS_EV_##name, .u.name = { __VA_ARGS__ } })

static inline void fault(struct feed *f, u64 addr, u64 error)
{
	PUT(f, fault, .addr = addr, .error = error, .mmu = f->guest == MS_EV_L2 ? MS_MMU_GUEST : MS_MMU_ROOT);
}

static inline void done(struct feed *f, u64 addr, enum ms_ret ret)
{
	PUT(f, fault_done, .addr = addr, .gfn = addr >> 12, .ret = (u8)ret);
}

static inline void whole(struct feed *f, u64 addr, u64 error, enum ms_ret ret)
{
	fault(f, addr, error);
	done(f, addr, ret);
}

static inline void inject(struct feed *f, u64 addr, u64 error, u64 reason, u64 qual)
{
	fault(f, addr, error);
	PUT(f, inject, .reason = reason, .qual = qual, .addr = addr);
	done(f, addr, MS_RET_NONE);
}

static inline void finds(struct feed *f, u64 min, size_t nr, struct ms_stuck_place *first_ret)
{
	struct ms_stuck_place *found = NULL;

	assert_int_equal(ms_stuck_found(f->stuck, min, &found), nr);
	if (nr && first_ret)
		*first_ret = found[0];
	free(found);
}

static inline void nothing(struct feed *f)
{
	finds(f, 2, 0, NULL);
	stop(f);
}

/* One place, with a series of nr of this cause. */
static inline struct ms_stuck_place one(struct feed *f, enum ms_stuck_cause cause, u64 nr)
{
	struct ms_stuck_place place = { 0 };

	finds(f, 2, 1, &place);
	assert_int_equal(ms_stuck_cause(&place), cause);
	assert_int_equal(place.nr, nr);
	assert_int_equal(place.vcpu, f->vcpu);
	return place;
}

#endif
