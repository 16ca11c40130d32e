/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test of the comparison: each thing that is compared is spoiled once on our side, compared, and put right
 * again. One row for each; a comparison that does not notice a row it had the occasion for is no comparison.
 */
#ifndef TESTS_CONFORM_SPOIL_H
#define TESTS_CONFORM_SPOIL_H

#include <stdbool.h>

#include "abi/types.h"

struct replay;

/* At the events. */
enum spoil_event {
	SPOIL_OUTCOME_EMULATE, /* emulated, said to be resumed */
	SPOIL_OUTCOME_RESUME, /* resumed, said to be emulated */
	SPOIL_OUTCOME_NO_PF,
	SPOIL_OUTCOME_PF, /* a #PF where KVM has none */
	SPOIL_OUTCOME_NO_EXIT,
	SPOIL_OUTCOME_EXIT,
	SPOIL_PF_ERROR,
	SPOIL_EXIT_INFO,
	SPOIL_EXIT_ADDR,
	SPOIL_WORD_FRAME, /* of a guest's table */
	SPOIL_WORD_ACCESSED,
	SPOIL_WORD_DIRTY_CLEAR,
	SPOIL_WORD_DIRTY_SET,
	SPOIL_STORE, /* one that is emulated */
	SPOIL_DIRTY_MISSING,
	SPOIL_DIRTY_EXTRA,
	SPOIL_NR_EVENTS
};

struct spoil_count {
	u64 nr, noticed;
};

/*
 * Each comparison spoils and calls itself, so that one that is no longer called has no occasion either. The
 * call lies between begin and end; begin is false in that call, and without --spoil.
 */
bool spoil_begin(struct replay *r);
void spoil_end(struct replay *r, enum spoil_event what);

/* Of the comparison at the end, which was equal: pages, entries, leaves. Prints its rows. */
void spoil_final(struct replay *r);
/* The rows of the events. */
void spoil_print(const struct replay *r);

#endif
