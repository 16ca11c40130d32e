/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pins: the pinned pages of a VM by its memslots' pin tables, and the SPTEs that map them. */
#include "query/private.h"

#include <stdlib.h>

#include "base/buf.h"

/* A leaf that maps frames of a pinned page. */
struct spte_ref {
	u32 pin, sp, idx;
};

struct pins {
	u32 *shown; /* indices of vm->pins */
	u32 *nr_sptes; /* by index of vm->pins */
	struct spte_ref *refs; /* in the order of pins, page, index */
	size_t nr, nr_refs, cap_refs;
	u64 nr_mapped, nr_frames;
};

static const struct ms_column sum_cols[] = {
	{ "pins", "pinned pages", MS_V_COUNT },
	{ "mapped", "mapped", MS_V_COUNT },
	{ "zapped", "zapped", MS_V_COUNT },
	{ "frames", "4K frames", MS_V_COUNT },
	{ "sptes", "SPTEs that map them", MS_V_COUNT },
};

static void sum_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct pins *pins = section->ctx;
	bool have = section->vm->rec.have & MS_VM_HAVE_PINS;

	(void)row;
	cell_opt(&cells, have, MS_V_COUNT, pins->nr);
	cell_opt(&cells, have, MS_V_COUNT, pins->nr_mapped);
	cell_opt(&cells, have, MS_V_COUNT, pins->nr - pins->nr_mapped);
	cell_opt(&cells, have, MS_V_COUNT, pins->nr_frames);
	cell_opt(&cells, have, MS_V_COUNT, pins->nr_refs);
}

static const struct ms_column pin_cols[] = {
	{ "as_id", "AS", MS_V_COUNT },
	{ "slot", "SLOT", MS_V_COUNT },
	{ "gfn", "GFN", MS_V_HEX },
	{ "level", "LV", MS_V_COUNT },
	{ "pfn", "PFN", MS_V_HEX, MS_SECRET_PFN },
	{ "state", "STATE", MS_V_TEXT },
	{ "sptes", "SPTES", MS_V_COUNT },
};

static void pin_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct pins *pins = section->ctx;
	const struct ms_rec_pin *pin = &section->vm->pins[pins->shown[row]];

	cell_count(&cells, pin->as_id);
	cell_count(&cells, pin->slot);
	cell_hex(&cells, pin->gfn)->style = MS_STYLE_ACCENT;
	cell_count(&cells, pin->level);
	cell_hex(&cells, pin->pfn);
	cell_text(&cells, pin->mapped ? "P" : "Z")->style = pin->mapped ? MS_STYLE_GOOD : MS_STYLE_WARN;
	cell_count(&cells, pins->nr_sptes[pins->shown[row]]);
}

static const struct ms_column spte_cols[] = {
	{ "as_id", "AS", MS_V_COUNT },
	{ "pin_gfn", "PIN", MS_V_HEX },
	{ "gfn", "GFN", MS_V_HEX },
	{ "level", "LV", MS_V_COUNT },
	{ "sp", "SP", MS_V_HEX, MS_SECRET_SP },
	{ "index", "INDEX", MS_V_COUNT },
	{ "page_state", "PAGE STATE", MS_V_TEXT },
	{ "raw", "RAW", MS_V_HEX, MS_SECRET_SPTE, .digits = 16 },
};

static void spte_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct spte_ref *ref = &((const struct pins *)section->ctx)->refs[row];
	const struct ms_rec_pin *pin = &section->vm->pins[ref->pin];
	const struct ms_sp *sp = &section->vm->sps[ref->sp];
	u64 gfn = 0;
	bool have = ms_sp_entry_gfn(section->model, sp, ref->idx, &gfn) != MS_GFN_NONE;

	cell_count(&cells, pin->as_id);
	cell_hex(&cells, pin->gfn);
	cell_opt(&cells, have, MS_V_HEX, gfn);
	cell_count(&cells, sp->level);
	cell_hex(&cells, sp->rec.sp);
	cell_count(&cells, ref->idx);
	cell_sp_state(&cells, sp->rec.state);
	cell_hex(&cells, sp->tables->sptes[ref->idx]);
}

static int by_pin(const void *left, const void *right)
{
	const struct spte_ref *a = left, *b = right;

	if (a->pin != b->pin)
		return a->pin < b->pin ? -1 : 1;
	if (a->sp != b->sp)
		return a->sp < b->sp ? -1 : 1;
	return a->idx < b->idx ? -1 : a->idx > b->idx;
}

static bool passes(const struct ms_filter *f, const struct ms_rec_pin *pin)
{
	return !f->has_gfn || (f->gfn_end > pin->gfn && f->gfn_start < pin->gfn + ms_level_pages(pin->level));
}

static bool find_sptes(struct pins *pins, const struct query *q)
{
	const struct ms_vm *vm = q->vm;
	struct spte_ref *grown;

	for (size_t i = 0; vm->nr_pins && i < vm->nr_sps; i++) {
		for (u32 idx = 0; vm->sps[i].tables && idx < MS_SPTES; idx++) {
			const struct ms_rec_pin *pin = ms_sp_entry_pin(q->model, vm, &vm->sps[i], idx);

			if (!pin || !passes(&q->args->filter, pin))
				continue;
			grown = ms_grow(pins->refs, &pins->cap_refs, pins->nr_refs + 1, sizeof(*grown));
			if (!grown)
				return false;
			pins->refs = grown;
			grown[pins->nr_refs++] = (struct spte_ref){ (u32)(pin - vm->pins), (u32)i, idx };
			pins->nr_sptes[pin - vm->pins]++;
		}
	}
	if (pins->nr_refs > 1)
		qsort(pins->refs, pins->nr_refs, sizeof(*pins->refs), by_pin);
	return true;
}

static bool fill(struct pins *pins, const struct query *q)
{
	const struct ms_vm *vm = q->vm;

	pins->shown = calloc(vm->nr_pins + 1, sizeof(*pins->shown));
	pins->nr_sptes = calloc(vm->nr_pins + 1, sizeof(*pins->nr_sptes));
	if (!pins->shown || !pins->nr_sptes)
		return false;
	for (size_t i = 0; i < vm->nr_pins; i++) {
		const struct ms_rec_pin *pin = &vm->pins[i];

		if (!passes(&q->args->filter, pin))
			continue;
		pins->shown[pins->nr++] = (u32)i;
		pins->nr_mapped += pin->mapped != 0;
		pins->nr_frames += ms_level_pages(pin->level);
	}
	return find_sptes(pins, q);
}

static void pins_free(void *owned)
{
	struct pins *pins = owned;

	free(pins->shown);
	free(pins->nr_sptes);
	free(pins->refs);
	free(pins);
}

struct ms_err *query_run_pins(struct query *q)
{
	struct pins *pins = calloc(1, sizeof(*pins));
	struct ms_section *section;

	if (!pins || !fill(pins, q)) {
		if (pins)
			pins_free(pins);
		return ms_err_nomem();
	}
	section = section_add(q, "summary", "Pins", false, sum_cols, MS_LEN(sum_cols), 1, sum_row);
	if (!section) {
		pins_free(pins);
		return ms_err_nomem();
	}
	section->ctx = section->owned = pins;
	section->owned_free = pins_free;
	section = section_add(q, "pins", "Pinned pages", true, pin_cols, MS_LEN(pin_cols), pins->nr, pin_row);
	if (section) {
		section->ctx = pins;
		section = section_add(q, "sptes", "SPTEs", true, spte_cols, MS_LEN(spte_cols), pins->nr_refs,
				      spte_row);
	}
	if (!section)
		return ms_err_nomem();
	section->ctx = pins;
	if (!(q->vm->rec.have & MS_VM_HAVE_PINS))
		return note_add(
			q->result,
			"this VM has no pin tables: KVM keeps none, a simulated machine only with `pins'");
	return NULL;
}
