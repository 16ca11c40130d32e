/* SPDX-License-Identifier: GPL-2.0-or-later */
/* events: the last events of a VM's MMUs, and with --list what events there are. */
#include "query/events.h"

#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "query/private.h"

_Static_assert(MS_EV_NR <= 64, "--event keeps its choice in 64 bits");

struct events {
	struct ms_event_log log;
	size_t max; /* so many of the last are shown */
	u64 nr_heard; /* when they are listened to: the i-th is at i % max of log.events */
	struct listened listened;
	size_t first, nr; /* those that are shown: the i-th is at (first + i) % log.nr of log.events */
	struct ms_event_table table;
	struct ms_event_show show;
};

static void events_free(void *owned)
{
	struct events *events = owned;

	free(events->log.events);
	free(events);
}

static const struct ms_event *event_at(const struct events *events, size_t row)
{
	return &events->log.events[(events->first + row) % events->log.nr];
}

static void event_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct events *events = section->ctx;

	ms_event_cells(&events->table, &events->show, event_at(events, row), cells);
}

/* --- what is kept --- */

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
	cell_count(&cells, events->nr_heard ? events->nr_heard : events->log.nr);
	cell_count(&cells, events->nr);
}

/* --- --list --- */

static const struct ms_column list_cols[] = {
	{ "event", "EVENT", MS_V_TEXT },     { "field", "FIELD", MS_V_TEXT },
	{ "type", "TYPE", MS_V_TEXT },	     { "unit", "UNIT", MS_V_TEXT },
	{ "meaning", "MEANING", MS_V_TEXT }, { "unit_meaning", "UNIT IS", MS_V_TEXT, .prio = 1 },
};

/* events: those of --event, 1 << id; 0: all. */
static bool is_listed(u64 events, u32 id)
{
	return !events || events >> id & 1;
}

/* Has an event that is listed such a value? A cause has each. */
static bool is_unit_listed(u64 events, enum ms_event_unit unit)
{
	struct ms_event_desc desc;
	u32 id, i;

	for (id = 1; ms_event_desc(id, &desc); id++)
		for (i = 0; i < desc.nr_fields && is_listed(events, id); i++)
			if (desc.fields[i].unit == unit)
				return true;
	return unit == MS_UNIT_CAUSE;
}

/* The values that have names, one a row, unit by unit. */
static const struct ms_column value_cols[] = {
	{ "unit", "UNIT", MS_V_TEXT },
	{ "value", "VALUE", MS_V_TEXT },
	{ "meaning", "MEANING", MS_V_TEXT },
};

static bool value_find(u64 events, size_t row, enum ms_event_unit *unit_ret, u64 *value_ret)
{
	u32 unit;
	u64 value;

	for (unit = 0; unit < MS_NR_UNITS; unit++)
		for (value = 0; is_unit_listed(events, unit) && ms_value_name(unit, value); value++)
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

	if (!value_find(*(const u64 *)section->ctx, row, &unit, &value))
		return;
	cell_text(&cells, ms_unit_name(unit));
	cell_text(&cells, ms_value_name(unit, value))->style = MS_STYLE_ACCENT;
	text = ms_value_text(unit, value);
	cell_text(&cells, *text ? text : NULL);
}

/* Each event has a row of its own before its fields'. */
static bool list_find(u64 events, size_t row, struct ms_event_desc *desc_ret, u32 *field_ret)
{
	struct ms_event_desc desc;
	size_t at = 0;
	u32 id;

	for (id = 1; ms_event_desc(id, &desc); id++) {
		if (!is_listed(events, id))
			continue;
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

	if (!list_find(*(const u64 *)section->ctx, row, &desc, &nr))
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
	u64 *events = malloc(sizeof(*events));
	struct ms_section *section;
	struct ms_event_desc desc;
	enum ms_event_unit unit;
	size_t nr = 0;
	u64 value;
	u32 id;

	for (id = 1; ms_event_desc(id, &desc); id++)
		nr += is_listed(q->args->events, id) ? desc.nr_fields + 1 : 0;
	section = events ? section_add(q, "list", "Events and their fields", true, list_cols,
				       MS_LEN(list_cols), nr, list_row)
			 : NULL;
	if (!section) {
		free(events);
		return ms_err_nomem();
	}
	*events = q->args->events;
	section->ctx = section->owned = events;
	for (nr = 0; value_find(*events, nr, &unit, &value); nr++)
		;
	section = section_add(q, "values", "Values that have names", true, value_cols, MS_LEN(value_cols), nr,
			      value_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = events;
	return NULL;
}

/* --- listening --- */

static bool listen_put(void *ctx, const struct ms_event *event)
{
	struct events *events = ctx;

	events->log.events[events->nr_heard++ % events->max] = *event;
	return true;
}

/* Those of so many ms: only as many as are shown are kept. */
static struct ms_err *listen_run(struct query *q, struct events *events)
{
	struct ms_listen listen = events_wanted(q);
	struct ms_event_log *log = &events->log;
	struct ms_err *err;

	log->events = calloc(events->max, sizeof(*log->events));
	if (!log->events)
		return ms_err_nomem();
	err = query_listen(q, &listen, q->args->for_ms ? q->args->for_ms : MS_FOR_MS, listen_put, events,
			   &events->listened);
	if (err)
		return err;
	log->nr_raised = listened_raised(&events->listened);
	log->nr_missing = listened_lost(&events->listened);
	log->nr = events->nr_heard < events->max ? (size_t)events->nr_heard : events->max;
	log->nr_overwritten = events->nr_heard - log->nr;
	events->nr = log->nr;
	events->first = log->nr < events->max ? 0 : events->nr_heard % events->max;
	return NULL;
}

/* Of all that the target has kept, the last of those that were asked for. */
static struct ms_err *kept_run(struct query *q, struct events *events)
{
	const struct ms_listen listen = events_wanted(q);
	struct ms_event_log *log = &events->log;
	size_t nr = 0, i;
	struct ms_err *err;
	struct ms_vm *vm;

	if (!q->vm)
		return ms_model_find_vm(q->model, NULL, &vm); /* says what there is */
	err = ms_target_events(q->session->target, q->vm->rec.kvm, MS_EVENTS_MAX, log);
	if (err)
		return err;
	for (i = 0; i < log->nr; i++)
		if (ms_listen_passes(&listen, &log->events[i]))
			log->events[nr++] = log->events[i];
	events->nr = nr < events->max ? nr : events->max;
	events->first = nr - events->nr;
	return NULL;
}

static struct ms_err *probes_run(struct query *q)
{
	struct ms_listen listen = events_wanted(q);
	struct ms_listener *l;
	struct ms_err *err = query_listener(q, &listen, &l);

	return err ? err : probes_add(q, l, true);
}

/* The one that --vm names; NULL: none is named, and there are several or none. */
static struct ms_err *find_vm(struct query *q)
{
	struct ms_vm *vm = NULL;
	struct ms_err *err = NULL;

	if (q->args->vm || q->model->nr_vms == 1)
		err = ms_model_find_vm(q->model, q->args->vm, &vm);
	q->vm = q->result->prov.vm = vm;
	q->result->prov_section.vm = vm;
	if (!err && vm && q->args->has_vcpu && !vcpu_by_id(vm, q->args->vcpu))
		err = no_vcpu(q);
	return err;
}

/* A simulated machine's clock goes on by a step at a time, and one that is not stepped has none. */
static struct ms_err *time_note(struct query *q, const struct events *events)
{
	u64 first_ns, last_ns;

	if (events->nr < 2)
		return NULL;
	first_ns = event_at(events, 0)->time_ns;
	last_ns = event_at(events, events->nr - 1)->time_ns;
	if (!last_ns)
		return note_add(q->result,
				"this machine has no clock: its events have an order, and no times");
	return first_ns == last_ns && q->session->target->ops == &ms_target_sim
		       ? note_add(q->result, "these events are of one step of the machine: its clock has "
					     "nothing shorter, so that no time passes between them")
		       : NULL;
}

static struct ms_err *kept_add(struct query *q, struct events *events)
{
	struct ms_section *section = section_add(q, "events", "Events", true, events->table.cols,
						 events->table.nr, events->nr, event_row);

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

/* What goes on needs somebody who goes on asking. */
static struct ms_err *only_in_shell(const struct query *q)
{
	static const enum ms_opt_id opts[] = { MS_OPT_FOLLOW, MS_OPT_COUNT, MS_OPT_BY,
					       MS_OPT_STACK,  MS_OPT_TRACE, MS_OPT_WATCH };
	size_t i;

	for (i = 0; i < MS_LEN(opts); i++)
		if (q->args->given & 1ull << opts[i])
			return ms_err_hint(ms_err_new(MS_ERR_USAGE, "events: --%s is not possible here",
						      ms_options[opts[i]].name),
					   "`mmuscope events --%s' in a shell; here --for listens",
					   ms_options[opts[i]].name);
	return NULL;
}

struct ms_err *query_run_events(struct query *q)
{
	struct events *events;
	struct ms_err *err;
	u32 caps;

	if (q->args->list)
		return list_run(q);
	err = find_vm(q);
	if (err)
		return err;
	if (q->session->stream)
		return stream_run(q);
	err = only_in_shell(q);
	if (err)
		return err;
	if (q->args->probes)
		return probes_run(q);
	events = calloc(1, sizeof(*events));
	if (!events)
		return ms_err_nomem();
	events->max = q->args->last ? q->args->last : MS_EVENTS_LAST;
	caps = q->session->target->caps;
	if (q->args->for_ms || (caps & MS_CAP_LISTEN && !(caps & MS_CAP_EVENTS)))
		err = listen_run(q, events);
	else
		err = kept_run(q, events);
	if (err) {
		events_free(events);
		return err;
	}
	events->show = (struct ms_event_show){ .model = q->model,
					       .start_ns = events->nr ? event_at(events, 0)->time_ns : 0,
					       .redactor = q->result->redactor };
	ms_event_columns(!q->vm, &events->table);
	err = kept_add(q, events);
	return err ? err : time_note(q, events);
}
