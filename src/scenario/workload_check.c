/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Was a migration complete? What has been sent is remembered page by page, as a digest; when the last round
 * is through, a page that differs from what was sent was written without the log saying so. Memory is read
 * past everything under test: neither CPU nor engine is asked.
 */
#include <stdlib.h>
#include <string.h>

#include "scenario/workload_private.h"

struct wl_check {
	bool vm_on, l2_on[WL_NR_L2];
	u64 vm[WL_RAM_PAGES];
	u64 l2[WL_NR_L2][WL_L2_PAGES];
};

struct ms_err *wl_check_init(struct ms_workload *w)
{
	w->check = calloc(1, sizeof(*w->check));
	return w->check ? NULL : ms_err_nomem();
}

void wl_check_deinit(struct ms_workload *w)
{
	free(w->check);
}

/* Of one of L1's frames. Memory that was never touched is zero; asking must not touch it. */
static u64 digest(struct ms_workload *w, u64 gfn)
{
	u64 words[512], sum = 0xcbf29ce484222325ull;
	u32 i;

	if (ms_machine_pfn(w->machine, wl_hva(gfn)) == ~0ull ||
	    ms_machine_peek(w->machine, gfn << NMMU_PAGE_SHIFT, words, sizeof(words)))
		memset(words, 0, sizeof(words));
	for (i = 0; i < 512; i++)
		sum = (sum ^ words[i]) * 0x100000001b3ull;
	return sum;
}

void wl_check_vm_start(struct ms_workload *w)
{
	u64 gfn;

	if (!w->check)
		return;
	for (gfn = 0; gfn < WL_RAM_PAGES; gfn++)
		w->check->vm[gfn] = digest(w, gfn);
	w->check->vm_on = true;
}

void wl_check_vm_sent(struct ms_workload *w, const u64 *bitmap)
{
	u64 gfn;

	if (!w->check || !w->check->vm_on)
		return;
	for (gfn = 0; gfn < WL_RAM_PAGES; gfn++)
		if (bitmap[gfn / 64] >> gfn % 64 & 1)
			w->check->vm[gfn] = digest(w, gfn);
}

void wl_check_vm_end(struct ms_workload *w)
{
	u64 gfn;

	if (!w->check || !w->check->vm_on)
		return;
	for (gfn = 0; gfn < WL_RAM_PAGES; gfn++)
		w->stats.l0_lost += w->check->vm[gfn] != digest(w, gfn);
	w->check->vm_on = false;
}

void wl_check_l2_sent(struct ms_workload *w, const struct wl_l2 *l2, u64 ngfn)
{
	u32 nr = (u32)(l2 - w->l2);

	if (w->check && w->check->l2_on[nr] && l2->frame[ngfn] != WL_NO_FRAME)
		w->check->l2[nr][ngfn] = digest(w, l2->frame[ngfn]);
}

void wl_check_l2_start(struct ms_workload *w, const struct wl_l2 *l2)
{
	u64 ngfn;

	if (!w->check)
		return;
	w->check->l2_on[l2 - w->l2] = true;
	for (ngfn = 0; ngfn < WL_L2_PAGES; ngfn++)
		wl_check_l2_sent(w, l2, ngfn);
}

void wl_check_l2_end(struct ms_workload *w, const struct wl_l2 *l2)
{
	u32 nr = (u32)(l2 - w->l2);
	u64 ngfn;

	if (!w->check || !w->check->l2_on[nr])
		return;
	for (ngfn = 0; ngfn < WL_L2_PAGES; ngfn++)
		w->stats.l1_lost += l2->frame[ngfn] != WL_NO_FRAME &&
				    w->check->l2[nr][ngfn] != digest(w, l2->frame[ngfn]);
	w->check->l2_on[nr] = false;
}
