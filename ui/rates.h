/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often what happens, a second, VM by VM: from counts that only grow, looked at about once a second. It listens to
 * nothing itself.
 */
#ifndef UI_RATES_H
#define UI_RATES_H

#include "target/target.h"

/* What is counted, in the order of the columns. */
enum ms_rate { MS_RATE_FAULT, MS_RATE_DIRTY, MS_RATE_L2_EXIT, MS_RATE_FLUSH, MS_NR_RATES };

struct ms_rate_row {
	u64 kvm;
	u64 now[MS_NR_RATES],
		before[MS_NR_RATES]; /* counts, of the last look that counts and of the one before */
};

struct ms_rates {
	struct ms_rate_row *rows;
	size_t nr, cap;
	u64 now_ns, before_ns; /* when these were; before_ns 0: there was but one */
	u64 fed; /* 1 << enum ms_event_id: what can be heard here */
	bool begun;
};

/* Zero-initialised is valid and knows nothing. */
void ms_rates_deinit(struct ms_rates *rates);
/* Forget everything: counts begin anew. */
void ms_rates_reset(struct ms_rates *rates);
/* What to listen to for it. */
void ms_rates_listen(struct ms_listen *ret);
/* Counts by VM and event since listening began; fed as of ms_listen_fed(). */
void ms_rates_take(struct ms_rates *rates, u64 fed, const struct ms_event_count *counts, size_t nr,
		   u64 now_ns);
/* A second; false: not known, or not yet. */
bool ms_rates_of(const struct ms_rates *rates, u64 kvm, enum ms_rate rate, u64 *ret);

#endif
