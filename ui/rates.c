// SPDX-License-Identifier: GPL-2.0-or-later
/* Rates from counts: see rates.h. */
#include "ui/rates.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define WINDOW_NS 1000000000ull

static const u16 events[MS_NR_RATES] = {
	[MS_RATE_FAULT] = MS_EV_fault,
	[MS_RATE_DIRTY] = MS_EV_dirty,
	[MS_RATE_L2_EXIT] = MS_EV_nested_exit,
	[MS_RATE_FLUSH] = MS_EV_flush,
};

void ms_rates_deinit(struct ms_rates *rates)
{
	free(rates->rows);
	*rates = (struct ms_rates){ 0 };
}

void ms_rates_reset(struct ms_rates *rates)
{
	rates->nr = 0;
	rates->begun = false;
	rates->before_ns = rates->now_ns = 0;
}

void ms_rates_listen(struct ms_listen *ret)
{
	u32 i;

	ret->count_by = MS_BY_EVENT | MS_BY_KVM;
	for (i = 0; i < MS_NR_RATES; i++)
		ret->events |= 1ull << events[i];
}

static struct ms_rate_row *row_get(struct ms_rates *rates, u64 kvm)
{
	struct ms_rate_row *grown;
	size_t i;

	for (i = 0; i < rates->nr; i++)
		if (rates->rows[i].kvm == kvm)
			return &rates->rows[i];
	grown = ms_grow(rates->rows, &rates->cap, rates->nr + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	rates->rows = grown;
	grown[rates->nr] = (struct ms_rate_row){ .kvm = kvm };
	return &grown[rates->nr++];
}

void ms_rates_take(struct ms_rates *rates, u64 fed, const struct ms_event_count *counts, size_t nr,
		   u64 now_ns)
{
	struct ms_rate_row *row;
	size_t i;
	u32 r;

	if (rates->begun && now_ns - rates->now_ns < WINDOW_NS)
		return;
	for (i = 0; i < rates->nr; i++)
		memcpy(rates->rows[i].before, rates->rows[i].now, sizeof(rates->rows[i].before));
	for (i = 0; i < rates->nr; i++)
		memset(rates->rows[i].now, 0, sizeof(rates->rows[i].now));
	for (i = 0; i < nr; i++) {
		row = row_get(rates, counts[i].kvm);
		for (r = 0; row && r < MS_NR_RATES; r++)
			if (counts[i].id == events[r])
				row->now[r] += counts[i].nr;
	}
	rates->before_ns = rates->begun ? rates->now_ns : now_ns;
	rates->now_ns = now_ns;
	rates->begun = true;
	rates->fed = fed;
}

bool ms_rates_of(const struct ms_rates *rates, u64 kvm, enum ms_rate rate, u64 *ret)
{
	u64 passed_ms = (rates->now_ns - rates->before_ns) / 1000000;
	size_t i;

	if (!rates->begun || !passed_ms || !(rates->fed & 1ull << events[rate]))
		return false;
	*ret = 0;
	for (i = 0; i < rates->nr; i++)
		if (rates->rows[i].kvm == kvm && rates->rows[i].now[rate] > rates->rows[i].before[rate])
			*ret = (rates->rows[i].now[rate] - rates->rows[i].before[rate]) * 1000 / passed_ms;
	return true;
}
