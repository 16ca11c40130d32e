/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events as rows: see events.h. */
#include "query/events.h"

#include <string.h>

#include "abi/event_desc.h"
#include "query/exit_words.h"
#include "query/private.h"

static const struct ms_column fixed[] = {
	{ "seq", "SEQ", MS_V_COUNT },
	{ "time", "TIME", MS_V_TEXT, .flags = MS_COL_TEXT_ONLY },
	{ "time_ns", "TIME, ns", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "kvm", "VM", MS_V_HEX, MS_SECRET_KVM, .flags = MS_COL_OMIT },
	{ "tid", "THREAD", MS_V_INT, MS_SECRET_PID, .flags = MS_COL_SKIP | MS_COL_OMIT },
	{ "vcpu_id", "VCPU", MS_V_INT },
	{ "guest", "OF", MS_V_TEXT, .flags = MS_COL_OMIT },
	{ "event", "EVENT", MS_V_TEXT },
	{ "cause", "CAUSE", MS_V_TEXT, .flags = MS_COL_OMIT },
	{ "fields", "FIELDS", MS_V_WORDS, .flags = MS_COL_TEXT_ONLY },
	{ "stack", "STACK", MS_V_WORDS, .flags = MS_COL_BELOW | MS_COL_OMIT },
	{ "stack_addrs", "ADDRESSES", MS_V_WORDS, .flags = MS_COL_SKIP | MS_COL_OMIT },
};
/* Of `fixed'. */
enum { SEQ_COL, TIME_COL, KVM_COL = 3, EVENT_COL = 7, CAUSE_COL };

/* So wide that headings fit what comes later, but for what lasts longer than most. */
#define SEQ_LEAST 8u
#define TIME_LEAST 10u /* 99.123456s */

static const char *event_word(u32 id)
{
	return ms_event_name(id + 1);
}

static const char *cause_word(u32 cause)
{
	return ms_value_name(MS_UNIT_CAUSE, cause);
}

static u8 longest(const char *(*word)(u32 nr))
{
	size_t ret = 0;
	u32 i;

	for (i = 0; word(i); i++)
		if (strlen(word(i)) > ret)
			ret = strlen(word(i));
	return (u8)ret;
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
void ms_event_columns(bool vms, struct ms_event_table *ret)
{
	struct ms_event_desc desc;
	u32 id, i;
	size_t c;

	memcpy(ret->cols, fixed, sizeof(fixed));
	ret->cols[SEQ_COL].least = SEQ_LEAST;
	ret->cols[TIME_COL].least = TIME_LEAST;
	ret->cols[EVENT_COL].least = longest(event_word);
	ret->cols[CAUSE_COL].least = longest(cause_word);
	if (!vms)
		ret->cols[KVM_COL].flags |= MS_COL_SKIP;
	ret->nr = MS_LEN(fixed);
	ret->no_words = false;
	memset(ret->at, 0, sizeof(ret->at));
	for (id = 1; ms_event_desc(id, &desc); id++)
		for (i = 0; i < desc.nr_fields && i < MS_EVENT_FIELDS_MAX; i++) {
			for (c = MS_LEN(fixed); c < ret->nr; c++)
				if (!strcmp(ret->cols[c].name, desc.fields[i].name))
					break;
			ret->at[id][i] = c < MS_EVENT_COLS_MAX ? (u8)c : 0;
			if (c < ret->nr || c == MS_EVENT_COLS_MAX)
				continue;
			ret->cols[ret->nr++] = (struct ms_column){
				.name = desc.fields[i].name,
				.title = desc.fields[i].name,
				.kind = kind_of(desc.fields[i].unit),
				.secret = secret_of(desc.fields[i].unit),
				.digits = ms_unit_form(desc.fields[i].unit) == MS_FORM_R ? 16 : 0,
				.flags = MS_COL_SKIP | MS_COL_OMIT,
			};
		}
}

void ms_event_columns_for(enum ms_stream_cells cells, struct ms_event_table *table)
{
	table->no_words = cells == MS_STREAM_DATA;
	if (cells == MS_STREAM_TEXT)
		table->nr = MS_LEN(fixed);
}

/* --- one field --- */

/* Blanks separate fields: within one they become commas. */
static void put_joined(struct ms_buf *out, const char *text)
{
	size_t len;

	for (; *text; text += len + (text[len] == ' ')) {
		len = strcspn(text, " ");
		ms_buf_put(out, text, len);
		if (text[len])
			ms_buf_putc(out, ',');
	}
}

/* Of the table that an SPTE in the event is from: 1 unless the event says. */
static u32 level_of(const struct ms_event *event)
{
	u64 level;

	return ms_event_first(event, MS_UNIT_LEVEL, &level) ? (u32)level : 1;
}

static void put_decoded(const struct ms_model *model, const struct ms_event *event,
			const struct ms_event_field *field, u64 value, struct ms_buf *out)
{
	const struct spte_profile *p = &model->profile;
	enum spte_class cls;
	struct ms_buf words = { 0 };
	char text[160];
	u32 level;

	event_exit_words(model->host.hv, event, field->unit, value, &words);
	if (words.len) {
		ms_buf_printf(out, "[%s]", ms_buf_str(&words));
		out->oom |= words.oom;
		ms_buf_deinit(&words);
	} else if (field->unit == MS_UNIT_ROLE) {
		role_format(&model->roles, (u32)value, p->format == SPTE_FMT_EPT, text, sizeof(text));
		ms_buf_putc(out, '[');
		put_joined(out, text);
		ms_buf_putc(out, ']');
	} else if (field->unit == MS_UNIT_SPTE) {
		level = level_of(event);
		if (level < SPTE_LEVEL_MIN || level > SPTE_LEVEL_MAX)
			return;
		cls = spte_class(p, value, level);
		ms_buf_putc(out, '[');
		ms_buf_puts(out, spte_class_name(cls));
		if (cls == SPTE_CLASS_LEAF) {
			ms_buf_putc(out, ',');
			ms_buf_puts(out, spte_wstate_name(spte_wstate(p, value, level)));
		}
		ms_buf_putc(out, ']');
	}
}

/* No frame, no page that the source knows, and what KVM has not read of an exit yet: these are no numbers. */
static bool is_absent(const struct ms_event *event, const struct ms_event_field *field, u64 value)
{
	if (event->id == MS_EV_nested_exit)
		return value == ~0ull;
	/* Members that this kernel lacks. */
	if (event->id == MS_EV_stale && field->unit == MS_UNIT_COUNT)
		return value == (field->bytes == sizeof(u32) ? MS_EV_NO_NR : MS_EV_NO_SEQ);
	return (field->unit == MS_UNIT_GFN && value == ~0ull) || (field->unit == MS_UNIT_SP && !value) ||
	       (field->unit == MS_UNIT_ROLE && value == MS_EV_NO_ROLE) ||
	       (field->unit == MS_UNIT_BOOL && value == MS_EV_UNKNOWN);
}

static void put_hex(struct ms_buf *out, u64 value)
{
	ms_buf_put(out, "0x", 2);
	ms_buf_put_number(out, value, 16, 1);
}

/* As the field has it in a column of its own, so that text and JSON name the same thing alike. */
static void put_redacted(struct ms_redactor *redactor, const struct ms_event_field *field, u64 value,
			 struct ms_buf *out)
{
	struct ms_cell cell = { .kind = kind_of(field->unit), .secret = secret_of(field->unit), .u = value };

	redact_cell(redactor, &cell);
	if (cell.kind == MS_V_TEXT)
		ms_buf_put(out, cell.text.data, cell.text.len);
	else
		put_hex(out, value);
	out->oom |= cell.text.oom;
	ms_buf_deinit(&cell.text);
}

void ms_event_field(const struct ms_event_show *show, const struct ms_event *event,
		    const struct ms_event_field *field, struct ms_buf *out)
{
	u64 value = ms_event_value(event, field);
	const char *name = ms_value_name(field->unit, value);

	if (out->len)
		ms_buf_putc(out, ' ');
	ms_buf_puts(out, field->name);
	ms_buf_putc(out, '=');
	if (!name && is_absent(event, field, value)) {
		ms_buf_putc(out, '-');
		return;
	}
	if (name)
		put_joined(out, name);
	else if (show->redactor && secret_of(field->unit) != MS_PUBLIC)
		put_redacted(show->redactor, field, value, out);
	else if (ms_unit_form(field->unit) == MS_FORM_D)
		ms_buf_put_number(out, value, 10, 1);
	else if (ms_unit_form(field->unit) == MS_FORM_B)
		ms_buf_puts(out, value ? "yes" : "no");
	else
		put_hex(out, value);
	put_decoded(show->model, event, field, value, out);
}

void ms_event_fields(const struct ms_event_show *show, const struct ms_event *event, struct ms_buf *ret)
{
	struct ms_event_desc desc;
	u32 i;

	if (!ms_event_desc(event->id, &desc))
		return;
	for (i = 0; i < desc.nr_fields; i++)
		ms_event_field(show, event, &desc.fields[i], ret);
}

static void cell_field(struct ms_cell *cell, const struct ms_event *event, const struct ms_event_field *field)
{
	u64 value = ms_event_value(event, field);
	const char *name = ms_value_name(field->unit, value);

	if (is_absent(event, field, value))
		return;
	if (name)
		cell_text(&cell, name);
	else if (kind_of(field->unit) == MS_V_TEXT)
		cell_num(&cell, MS_V_COUNT, value);
	else
		cell_num(&cell, kind_of(field->unit), value);
}

void ms_event_time(u64 ns, struct ms_buf *ret)
{
	u64 whole = ns < 1000000 ? 1000 : ns < 1000000000 ? 1000000 : 1000000000;

	ms_buf_put_number(ret, ns / whole, 10, 1);
	ms_buf_putc(ret, '.');
	if (whole == 1000)
		ms_buf_put_number(ret, ns % 1000, 10, 3);
	else if (whole == 1000000)
		ms_buf_put_number(ret, ns / 1000 % 1000, 10, 3);
	else
		ms_buf_put_number(ret, ns / 1000 % 1000000, 10, 6);
	ms_buf_puts(ret, whole == 1000 ? "us" : whole == 1000000 ? "ms" : "s");
}

/* --- one event --- */

/* Of several CPUs, one may have been a little earlier than the first. */
static void cell_since(struct ms_cell **at, u64 start_ns, u64 time_ns)
{
	struct ms_cell *cell = cell_text(at, time_ns < start_ns ? "-" : "");

	ms_event_time(time_ns < start_ns ? start_ns - time_ns : time_ns - start_ns, &cell->text);
}

void ms_event_cells(const struct ms_event_table *table, const struct ms_event_show *show,
		    const struct ms_event *event, struct ms_cell *cells)
{
	struct ms_cell *at = cells;
	struct ms_event_desc desc;
	size_t c;
	u32 i;

	cell_count(&at, event->seq);
	/* A simulated machine may have no clock. */
	if (table->no_words || !event->time_ns)
		cell_none(&at);
	else
		cell_since(&at, show->start_ns, event->time_ns);
	cell_opt(&at, event->time_ns, MS_V_COUNT, event->time_ns);
	cell_opt(&at, event->kvm, MS_V_HEX, event->kvm);
	cell_opt(&at, event->tid, MS_V_INT, event->tid);
	cell_opt(&at, event->vcpu != MS_EV_NO_VCPU, MS_V_INT, event->vcpu);
	cell_text(&at, ms_guest_name(event->guest));
	if (!ms_event_desc(event->id, &desc))
		return;
	cell_text(&at, desc.name)->style = MS_STYLE_ACCENT;
	if (event->cause)
		cell_text(&at, ms_value_name(MS_UNIT_CAUSE, event->cause));
	else
		cell_none(&at);
	if (table->no_words)
		cell_none(&at);
	else
		ms_event_fields(show, event, &cell_words(&at)->text);
	if (show->stack && event->stack != MS_EV_NO_STACK)
		show->stack(show->stack_ctx, event, at);
	for (i = 0; i < desc.nr_fields && i < MS_EVENT_FIELDS_MAX; i++) {
		c = table->at[event->id][i];
		if (c && c < table->nr)
			cell_field(&cells[c], event, &desc.fields[i]);
	}
}
