/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: the last events of a VM's MMUs, and with --list what events there are. Everything about an event
 * comes from abi/events.def through abi/event_desc.h. In JSON each field that the event has is a member of
 * its own; in text the fields of an event stand in one column.
 */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"

_Static_assert(MS_EV_NR <= 64, "--event keeps its choice in 64 bits");

/* --- which fields there are, over all events: one column each --- */

#define FIXED_COLS 6
#define COLS_MAX (FIXED_COLS + 64)

struct events {
	struct ms_event_log log;
	size_t cap; /* of log.events, when they are listened to */
	bool no_memory;
	struct listened listened;
	size_t nr; /* of log.events, those that passed */
	struct ms_column cols[COLS_MAX];
	size_t nr_cols;
	bool redact;
};

static void events_free(void *owned)
{
	struct events *events = owned;

	free(events->log.events);
	free(events);
}

static enum ms_secret secret_of(enum ms_event_unit unit)
{
	switch (unit) {
	case MS_UNIT_SPTE:
		return MS_SECRET_SPTE;
	case MS_UNIT_SP:
		return MS_SECRET_SP;
	case MS_UNIT_HPA:
		return MS_SECRET_HPA;
	case MS_UNIT_HVA:
		return MS_SECRET_HVA;
	default:
		return MS_PUBLIC;
	}
}

static enum ms_value_kind kind_of(enum ms_event_unit unit)
{
	if (ms_unit_form(unit) == MS_FORM_N)
		return MS_V_TEXT;
	if (ms_unit_form(unit) == MS_FORM_B)
		return MS_V_BOOL;
	return ms_unit_form(unit) == MS_FORM_D ? MS_V_COUNT : MS_V_HEX;
}

/* Two events may have a field of one name: it is one column, so its unit has to be one. A test sees to it. */
static void cols_fill(struct events *events)
{
	static const struct ms_column fixed[FIXED_COLS] = {
		{ "seq", "SEQ", MS_V_COUNT },
		{ "vcpu_id", "VCPU", MS_V_INT },
		{ "guest", "OF", MS_V_TEXT, .flags = MS_COL_OMIT },
		{ "event", "EVENT", MS_V_TEXT },
		{ "cause", "CAUSE", MS_V_TEXT, .flags = MS_COL_OMIT },
		{ "fields", "FIELDS", MS_V_WORDS, .flags = MS_COL_TEXT_ONLY },
	};
	struct ms_event_desc desc;
	u32 id, i;
	size_t c;

	memcpy(events->cols, fixed, sizeof(fixed));
	events->nr_cols = FIXED_COLS;
	for (id = 1; ms_event_desc(id, &desc); id++)
		for (i = 0; i < desc.nr_fields; i++) {
			for (c = FIXED_COLS; c < events->nr_cols; c++)
				if (!strcmp(events->cols[c].name, desc.fields[i].name))
					break;
			if (c < events->nr_cols || c == COLS_MAX)
				continue;
			events->cols[events->nr_cols++] = (struct ms_column){
				.name = desc.fields[i].name,
				.title = desc.fields[i].name,
				.kind = kind_of(desc.fields[i].unit),
				.secret = secret_of(desc.fields[i].unit),
				.digits = ms_unit_form(desc.fields[i].unit) == MS_FORM_R ? 16 : 0,
				.flags = MS_COL_SKIP | MS_COL_OMIT,
			};
		}
}

/* --- one field --- */

/* Blanks separate fields: within one they become commas. */
static void put_joined(struct ms_buf *out, const char *text)
{
	for (; *text; text++)
		ms_buf_putc(out, *text == ' ' ? ',' : *text);
}

static u32 level_of(const struct ms_event *event)
{
	return event->id == MS_EV_spte_set ? event->u.spte_set.level : 1;
}

static void put_decoded(const struct ms_model *model, const struct ms_event *event,
			const struct ms_event_field *field, u64 value, struct ms_buf *out)
{
	const struct spte_profile *p = &model->profile;
	u32 level = level_of(event);
	enum spte_class cls;
	char text[160];

	if (field->unit == MS_UNIT_ROLE) {
		role_format(&model->roles, (u32)value, p->format == SPTE_FMT_EPT, text, sizeof(text));
		ms_buf_putc(out, '[');
		put_joined(out, text);
		ms_buf_putc(out, ']');
	} else if (field->unit == MS_UNIT_SPTE && level >= SPTE_LEVEL_MIN && level <= SPTE_LEVEL_MAX) {
		cls = spte_class(p, value, level);
		ms_buf_printf(out, "[%s%s%s]", spte_class_name(cls), cls == SPTE_CLASS_LEAF ? "," : "",
			      cls == SPTE_CLASS_LEAF ? spte_wstate_name(spte_wstate(p, value, level)) : "");
	}
}

static void put_field(const struct ms_model *model, const struct events *events, const struct ms_event *event,
		      const struct ms_event_field *field, struct ms_cell *cell)
{
	u64 value = ms_event_value(event, field);
	const char *name = ms_value_name(field->unit, value);
	struct ms_buf *out = &cell->text;

	if (out->len)
		ms_buf_putc(out, ' ');
	ms_buf_printf(out, "%s=", field->name);
	if (name)
		put_joined(out, name);
	else if (events->redact && secret_of(field->unit) != MS_PUBLIC)
		ms_buf_puts(out, "hidden");
	else if (field->unit == MS_UNIT_GFN && value == ~0ull)
		ms_buf_putc(out, '-');
	else if (ms_unit_form(field->unit) == MS_FORM_D)
		ms_buf_printf(out, "%llu", (unsigned long long)value);
	else if (ms_unit_form(field->unit) == MS_FORM_B)
		ms_buf_puts(out, value ? "yes" : "no");
	else
		ms_buf_printf(out, "0x%llx", (unsigned long long)value);
	put_decoded(model, event, field, value, out);
}

static void cell_field(struct ms_cell *cell, const struct ms_event *event, const struct ms_event_field *field)
{
	u64 value = ms_event_value(event, field);
	const char *name = ms_value_name(field->unit, value);

	/* No frame is no number. */
	if (field->unit == MS_UNIT_GFN && value == ~0ull)
		return;
	if (name)
		cell_text(&cell, name);
	else if (kind_of(field->unit) == MS_V_TEXT)
		cell_num(&cell, MS_V_COUNT, value);
	else
		cell_num(&cell, kind_of(field->unit), value);
}

static void event_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct events *events = section->ctx;
	const struct ms_event *event = &events->log.events[row];
	struct ms_cell *at = cells, *fields;
	struct ms_event_desc desc;
	size_t c;
	u32 i;

	cell_count(&at, event->seq);
	cell_opt(&at, event->vcpu != MS_EV_NO_VCPU, MS_V_INT, event->vcpu);
	if (event->guest)
		cell_text(&at, event->guest == MS_EV_L2 ? "l2" : "l1");
	else
		cell_none(&at);
	if (!ms_event_desc(event->id, &desc))
		return;
	cell_text(&at, desc.name)->style = MS_STYLE_ACCENT;
	if (event->cause)
		cell_text(&at, ms_value_name(MS_UNIT_CAUSE, event->cause));
	else
		cell_none(&at);
	fields = cell_words(&at);
	for (i = 0; i < desc.nr_fields; i++) {
		put_field(section->model, events, event, &desc.fields[i], fields);
		for (c = FIXED_COLS; c < events->nr_cols; c++)
			if (!strcmp(events->cols[c].name, desc.fields[i].name))
				cell_field(&cells[c], event, &desc.fields[i]);
	}
}

/* --- what is kept --- */

static bool gfn_passes(const struct ms_filter *f, const struct ms_event *event)
{
	struct ms_event_desc desc;
	u64 gfn;
	u32 i;

	if (!f->has_gfn)
		return true;
	if (!ms_event_desc(event->id, &desc))
		return false;
	for (i = 0; i < desc.nr_fields; i++) {
		if (desc.fields[i].unit != MS_UNIT_GFN && desc.fields[i].unit != MS_UNIT_GPA)
			continue;
		gfn = ms_event_value(event, &desc.fields[i]);
		if (desc.fields[i].unit == MS_UNIT_GPA)
			gfn >>= SPTE_PAGE_SHIFT;
		if (gfn >= f->gfn_start && gfn < f->gfn_end)
			return true;
	}
	return false;
}

static bool passes(const struct ms_args *args, const struct ms_event *event)
{
	if (args->events && !(event->id < MS_EV_NR && args->events & 1ull << event->id))
		return false;
	if (args->has_vcpu && event->vcpu != args->vcpu)
		return false;
	return gfn_passes(&args->filter, event);
}

static const struct ms_column log_cols[] = {
	{ "raised", "raised so far", MS_V_COUNT }, { "overwritten", "no longer kept", MS_V_COUNT },
	{ "lost", "lost on the way", MS_V_COUNT }, { "looked_at", "looked at", MS_V_COUNT },
	{ "shown", "shown", MS_V_COUNT },
};

static void log_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct events *events = section->ctx;

	(void)row;
	cell_count(&cells, events->log.nr_raised);
	cell_count(&cells, events->log.nr_overwritten);
	cell_count(&cells, events->log.nr_missing)->style =
		events->log.nr_missing ? MS_STYLE_WARN : MS_STYLE_PLAIN;
	cell_count(&cells, events->log.nr);
	cell_count(&cells, events->nr);
}

/* --- --list --- */

static const struct ms_column list_cols[] = {
	{ "event", "EVENT", MS_V_TEXT },     { "field", "FIELD", MS_V_TEXT },
	{ "type", "TYPE", MS_V_TEXT },	     { "unit", "UNIT", MS_V_TEXT },
	{ "meaning", "MEANING", MS_V_TEXT }, { "unit_meaning", "UNIT IS", MS_V_TEXT, .prio = 1 },
};

/* The values that have names, one a row, unit by unit. */
static const struct ms_column value_cols[] = {
	{ "unit", "UNIT", MS_V_TEXT },
	{ "value", "VALUE", MS_V_TEXT },
	{ "meaning", "MEANING", MS_V_TEXT },
};

static bool value_find(size_t row, enum ms_event_unit *unit_ret, u64 *value_ret)
{
	u32 unit;
	u64 value;

	for (unit = 0; unit < MS_NR_UNITS; unit++)
		for (value = 0; ms_value_name(unit, value); value++)
			if (!row--) {
				*unit_ret = unit;
				*value_ret = value;
				return true;
			}
	return false;
}

static void value_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	enum ms_event_unit unit;
	const char *text;
	u64 value;

	(void)section;
	if (!value_find(row, &unit, &value))
		return;
	cell_text(&cells, ms_unit_name(unit));
	cell_text(&cells, ms_value_name(unit, value))->style = MS_STYLE_ACCENT;
	text = ms_value_text(unit, value);
	cell_text(&cells, *text ? text : NULL);
}

/* Each event has a row of its own before its fields'. */
static bool list_find(size_t row, struct ms_event_desc *desc_ret, u32 *field_ret)
{
	struct ms_event_desc desc;
	size_t at = 0;
	u32 id;

	for (id = 1; ms_event_desc(id, &desc); id++) {
		if (row <= at + desc.nr_fields) {
			*desc_ret = desc;
			*field_ret = (u32)(row - at);
			return true;
		}
		at += desc.nr_fields + 1;
	}
	return false;
}

static void list_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_event_field *field;
	struct ms_event_desc desc;
	u32 nr;

	(void)section;
	if (!list_find(row, &desc, &nr))
		return;
	cell_text(&cells, desc.name)->style = MS_STYLE_ACCENT;
	if (!nr) {
		cell_none(&cells);
		cell_none(&cells);
		cell_none(&cells);
		cell_text(&cells, desc.text);
		return;
	}
	field = &desc.fields[nr - 1];
	cell_text(&cells, field->name);
	cell_text(&cells, field->type);
	cell_text(&cells, ms_unit_name(field->unit));
	cell_text(&cells, field->text);
	cell_text(&cells, ms_unit_text(field->unit));
}

static struct ms_err *list_run(struct query *q)
{
	struct ms_event_desc desc;
	enum ms_event_unit unit;
	size_t nr = 0;
	u64 value;
	u32 id;

	for (id = 1; ms_event_desc(id, &desc); id++)
		nr += desc.nr_fields + 1;
	if (!section_add(q, "list", "Events and their fields", true, list_cols, MS_LEN(list_cols), nr,
			 list_row))
		return ms_err_nomem();
	for (nr = 0; value_find(nr, &unit, &value); nr++)
		;
	return section_add(q, "values", "Values that have names", true, value_cols, MS_LEN(value_cols), nr,
			   value_row)
		       ? NULL
		       : ms_err_nomem();
}

/* --- listening --- */

static bool listen_put(void *ctx, const struct ms_event *event)
{
	struct events *events = ctx;
	struct ms_event *grown =
		ms_grow(events->log.events, &events->cap, events->log.nr + 1, sizeof(*grown));

	events->no_memory = !grown;
	if (!grown)
		return false;
	events->log.events = grown;
	grown[events->log.nr++] = *event;
	return true;
}

/* Those of so many ms, the last max of them. */
static struct ms_err *listen_run(struct query *q, struct events *events, size_t max)
{
	struct ms_listen listen = { .events = q->args->events ? q->args->events : ~0ull };
	struct ms_event_log *log = &events->log;
	struct ms_err *err;

	query_listen_filter(q, &listen);
	err = query_listen(q, &listen, q->args->for_ms ? q->args->for_ms : MS_FOR_MS, listen_put, events,
			   &events->listened);
	if (!err && events->no_memory)
		err = ms_err_nomem();
	if (err)
		return err;
	log->nr_raised = listened_raised(&events->listened);
	log->nr_missing = listened_lost(&events->listened);
	if (log->nr > max) {
		log->nr_overwritten = log->nr - max;
		memmove(log->events, log->events + log->nr - max, max * sizeof(*log->events));
		log->nr = max;
	}
	return NULL;
}

struct ms_err *query_run_events(struct query *q)
{
	size_t max = q->args->last ? q->args->last : MS_EVENTS_LAST, i;
	u32 caps;
	struct ms_section *section;
	struct events *events;
	struct ms_err *err;

	if (q->args->list)
		return list_run(q);
	if (q->args->has_vcpu && !vcpu_by_id(q->vm, q->args->vcpu))
		return no_vcpu(q);
	events = calloc(1, sizeof(*events));
	if (!events)
		return ms_err_nomem();
	caps = q->session->target->caps;
	if (q->args->for_ms || (caps & MS_CAP_LISTEN && !(caps & MS_CAP_EVENTS)))
		err = listen_run(q, events, max);
	else
		err = ms_target_events(q->session->target, q->vm->rec.kvm, max, &events->log);
	if (err) {
		events_free(events);
		return err;
	}
	events->redact = q->args->redact;
	for (i = 0; i < events->log.nr; i++)
		if (passes(q->args, &events->log.events[i]))
			events->log.events[events->nr++] = events->log.events[i];
	cols_fill(events);
	section = section_add(q, "events", "Events", true, events->cols, events->nr_cols, events->nr,
			      event_row);
	if (!section) {
		events_free(events);
		return ms_err_nomem();
	}
	section->ctx = section->owned = events;
	section->owned_free = events_free;
	section = section_add(q, "log", "Log", false, log_cols, MS_LEN(log_cols), 1, log_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = events;
	return NULL;
}
