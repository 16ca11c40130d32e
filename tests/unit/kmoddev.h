/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of mmuscope.ko that has instances of nmmu, in this process: kmod/nmmu_*.c as they are, on what they ask of
 * their surroundings. Strands are coroutines; memory, its end and a call's time are the test's to say.
 */
#ifndef TESTS_UNIT_KMODDEV_H
#define TESTS_UNIT_KMODDEV_H

#include "kmod/nmmu.h"
#include "scenario/machine.h"

extern const struct ms_device kmoddev;

/* Of all sessions. */
struct kmoddev_knobs {
	u64 fail_alloc; /* the n-th from now on; 0: none */
	u64 breaths; /* requests of a call until it has taken too long; 0: never */
	bool refuse_open;
	u64 requests[5]; /* how many there were, by number */
	u64 calls[MMUSCOPE_NMMU_NR_CALLS], asked[MMUSCOPE_NMMU_ASK_ROOM + 1];
	u64 traced; /* events */
	u64 live; /* pieces of memory that are not given back */
	/* Between a request's arrival and its return: the test spoils what it likes. NULL: nothing. */
	void (*spoil)(unsigned long nr, void *arg);
};

extern struct kmoddev_knobs kmoddev_knobs;

/* The instance of a session. */
struct inst *kmoddev_inst(void *session);

#endif
