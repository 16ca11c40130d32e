// SPDX-License-Identifier: GPL-2.0-or-later
/* What is read off a struct ms_dirty: orders, times, texts of counts, and the leaves that marks can come from. */
#include "query/dirty.h"

#include <stdlib.h>
#include <string.h>

/* --- leaves --- */

static struct ms_dirty_slot *slot_at(struct ms_dirty *d, u16 as_id, u64 gfn)
{
	size_t i;

	for (i = 0; i < d->nr_slots; i++)
		if (d->slots[i].as_id == as_id && d->slots[i].known &&
		    gfn - d->slots[i].base_gfn < d->slots[i].nr_pages)
			return &d->slots[i];
	return NULL;
}

static void leaves_of(struct ms_dirty *d, const struct ms_model *model, const struct ms_sp *sp)
{
	const struct spte_profile *p = &model->profile;
	u64 smm = role_get(&model->roles, sp->rec.role, ROLE_SMM);
	struct ms_dirty_slot *slot;
	u64 gfn, raw;
	u32 idx;

	for (idx = 0; idx < MS_SPTES; idx++) {
		raw = sp->tables->sptes[idx];
		if (spte_class(p, raw, sp->level) != SPTE_CLASS_LEAF)
			continue;
		slot = ms_sp_entry_gfn(model, sp, idx, &gfn) != MS_GFN_NONE ? slot_at(d, (u16)smm, gfn)
									    : NULL;
		if (!slot) {
			d->leaves_unknown++;
			continue;
		}
		slot->kinds[spte_ad_kind(p, raw) & 3]++;
		slot->enabled_small += sp->level == 1 && spte_ad_kind(p, raw) == SPTE_AD_ENABLED;
		slot->huge += sp->level > 1;
		slot->writable += spte_is_writable(raw);
	}
}

void ms_dirty_leaves(struct ms_dirty *d, const struct ms_model *model, const struct ms_vm *vm)
{
	size_t i;

	d->leaves = true;
	d->leaves_unknown = 0;
	for (i = 0; i < d->nr_slots; i++) {
		memset(d->slots[i].kinds, 0, sizeof(d->slots[i].kinds));
		d->slots[i].huge = d->slots[i].writable = d->slots[i].enabled_small = 0;
	}
	for (i = 0; i < vm->nr_sps; i++)
		if (vm->sps[i].tables && vm->sps[i].level >= SPTE_LEVEL_MIN &&
		    vm->sps[i].level <= SPTE_LEVEL_MAX)
			leaves_of(d, model, &vm->sps[i]);
}

/* --- orders --- */

/* Is a to be shown before b? */
static bool gfn_before(const struct ms_dirty_gfn *a, const struct ms_dirty_gfn *b)
{
	if (a->nr != b->nr)
		return a->nr > b->nr;
	if (a->last_ns != b->last_ns)
		return a->last_ns > b->last_ns;
	return a->gfn < b->gfn;
}

/* order[] is a heap whose top is the last to be shown: max may be far less than there are. */
static void sink(const struct ms_dirty *d, size_t *order, size_t nr, size_t at)
{
	size_t child, tmp;

	while ((child = 2 * at + 1) < nr) {
		if (child + 1 < nr && gfn_before(&d->gfns[order[child]], &d->gfns[order[child + 1]]))
			child++;
		if (!gfn_before(&d->gfns[order[at]], &d->gfns[order[child]]))
			return;
		tmp = order[at];
		order[at] = order[child];
		order[child] = tmp;
		at = child;
	}
}

size_t ms_dirty_top(const struct ms_dirty *d, size_t *order, size_t max)
{
	size_t nr = 0, i, tmp;

	for (i = 0; i < d->nr_gfns && max; i++) {
		/* Only a witness of a write, and no mark. */
		if (!d->gfns[i].nr)
			continue;
		if (nr < max) {
			order[nr++] = i;
			if (nr == max)
				for (tmp = nr / 2; tmp-- > 0;)
					sink(d, order, nr, tmp);
		} else if (gfn_before(&d->gfns[i], &d->gfns[order[0]])) {
			order[0] = i;
			sink(d, order, nr, 0);
		}
	}
	if (nr < max)
		for (tmp = nr / 2; tmp-- > 0;)
			sink(d, order, nr, tmp);
	for (i = nr; i > 1; i--) {
		tmp = order[0];
		order[0] = order[i - 1];
		order[i - 1] = tmp;
		sink(d, order, i - 1, 0);
	}
	return nr;
}

/* --- time and texts --- */

u64 ms_dirty_span_ns(const struct ms_dirty *d)
{
	return d->last_ns - d->start_ns;
}

u32 ms_dirty_nr_bins(const struct ms_dirty *d)
{
	return (u32)((d->last_ns - d->start_ns) / d->bin_ns) + 1;
}

void ms_dirty_row(const struct ms_dirty_slot *slot, u32 row, u64 *start_ret, u64 *end_ret)
{
	u64 pages = (slot->nr_pages + MS_DIRTY_ROWS - 1) / MS_DIRTY_ROWS, first = row * pages;

	*start_ret = *end_ret = 0;
	if (!slot->known || first >= slot->nr_pages)
		return;
	*start_ret = slot->base_gfn + first;
	*end_ret = slot->base_gfn + (first + pages < slot->nr_pages ? first + pages : slot->nr_pages);
}

void ms_dirty_spark(const u32 *counts, u32 nr, u32 cells, u32 max, bool utf8, struct ms_buf *out)
{
	static const char *const bars[] = { "\u2581", "\u2582", "\u2583", "\u2584",
					    "\u2585", "\u2586", "\u2587", "\u2588" };
	static const char ascii[] = ".:-=+*#@";
	u32 per = cells ? (nr + cells - 1) / cells : 0, i, k, step;
	u64 total, full = max;

	for (i = 0; !max && i < nr; i++)
		full = counts[i] > full ? counts[i] : full;
	/* Of cells that stand for several bins the mean is shown, so that full means the same for any width. */
	for (i = 0; per && i < nr; i += per) {
		for (k = i, total = 0; k < nr && k < i + per; k++)
			total += counts[k];
		if (!total) {
			ms_buf_putc(out, ' ');
			continue;
		}
		step = (u32)((total * 8 - 1) / (full * (k - i)));
		step = step < 8 ? step : 7;
		if (utf8)
			ms_buf_puts(out, bars[step]);
		else
			ms_buf_putc(out, ascii[step]);
	}
}
