/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest tables of a machine in process, as they lie in its host's memory. A page that is not there stays so. */
#include <stdlib.h>

#include "base/map.h"
#include "scenario/machine.h"
#include "target/sim.h"

struct guest {
	const struct ms_sim_shown *shown;
	const struct ms_want *want;
	const struct ms_sink *sink;
	struct ms_map met; /* frames seen: gfn | as_id << 52, plus one */
	struct ms_rec_gtable *rec;
	struct ms_err *err;
	u64 nr;
};

static void read_table(struct guest *g, u16 as_id, u64 gfn)
{
	const struct nmmu_slot *slot = nmmu_slot_of(g->shown->m, as_id, gfn);
	u64 hva;

	*g->rec = (struct ms_rec_gtable){
		.kvm = ms_sim_kvm(g->shown->m), .gfn = gfn, .as_id = as_id, .state = MS_GTABLE_NO_SLOT
	};
	if (!slot)
		return;
	hva = slot->hva + ((gfn - slot->base_gfn) << NMMU_PAGE_SHIFT);
	g->rec->state = ms_machine_page(g->shown->machine, hva, g->rec->bytes, &g->rec->hpa)
				? MS_GTABLE_NOT_PRESENT
				: MS_GTABLE_READ;
}

static bool visit(void *ctx, const struct nmmu_sp *sp)
{
	struct guest *g = ctx;
	u64 key = (sp->gfn | (u64)sp->role.smm << 52) + 1; /* a map has no key 0 */

	if (sp->role.direct || sp->role.passthrough || ms_map_get(&g->met, key) != MS_MAP_NONE)
		return true;
	if (!ms_map_put(&g->met, key, 0)) {
		g->err = ms_err_nomem();
		return false;
	}
	read_table(g, (u16)sp->role.smm, sp->gfn);
	g->err = g->sink->put(g->sink->ctx, MS_REC_GTABLE, g->rec, NULL);
	g->nr++;
	return !g->err &&
	       (!g->want->progress || g->nr % 1024 || g->want->progress(g->want->progress_ctx, g->nr));
}

struct ms_err *ms_sim_guest(const struct ms_sim_shown *shown, const struct ms_want *want,
			    const struct ms_sink *sink)
{
	struct guest g = { .shown = shown, .want = want, .sink = sink };

	if (!shown->machine)
		return NULL;
	g.rec = malloc(sizeof(*g.rec));
	if (!g.rec)
		return ms_err_nomem();
	nmmu_for_each_sp(shown->m, visit, &g);
	ms_map_deinit(&g.met);
	free(g.rec);
	return g.err;
}

void ms_sim_frames(const struct ms_sim_shown *shown, u32 as_id, struct ms_frame *frames, size_t nr)
{
	const struct nmmu_slot *slot;
	u8 bytes[NMMU_PAGE_SIZE];
	u64 hva, hpa;
	size_t i;

	for (i = 0; i < nr; i++) {
		slot = as_id < NMMU_NR_AS ? nmmu_slot_of(shown->m, (u16)as_id, frames[i].gfn) : NULL;
		frames[i].digest = 0;
		frames[i].state = MS_GTABLE_NO_SLOT;
		if (!slot || !shown->machine)
			continue;
		hva = slot->hva + ((frames[i].gfn - slot->base_gfn) << NMMU_PAGE_SHIFT);
		frames[i].state = MS_GTABLE_NOT_PRESENT;
		if (ms_machine_page(shown->machine, hva, bytes, &hpa))
			continue;
		frames[i].state = MS_GTABLE_READ;
		frames[i].digest = ms_frame_digest(bytes);
	}
}
