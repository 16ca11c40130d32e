/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine's events (abi/event_desc.h) for expectations about them, and to write one down. */
#include "scenario/lang.h"

#include <string.h>

#include "abi/event_desc.h"

u32 event_find(struct word word)
{
	return ms_event_find(word.s, word.len);
}

/* A field that is known to exist: ids and numbers come from the two finders. The cause is the last one of all. */
static const struct ms_event_field *field_of(u32 id, u32 field)
{
	struct ms_event_desc desc;

	if (!ms_event_desc(id, &desc) || field > desc.nr_fields)
		return NULL;
	return field < desc.nr_fields ? &desc.fields[field] : &ms_event_cause;
}

const char *event_field_name(u32 id, u32 field)
{
	const struct ms_event_field *f = field_of(id, field);

	return f ? f->name : NULL;
}

int event_field_find(u32 id, struct word word)
{
	struct ms_event_desc desc;
	u32 i;

	if (!ms_event_desc(id, &desc))
		return -1;
	for (i = 0; i < desc.nr_fields; i++)
		if (word_is(word, desc.fields[i].name))
			return (int)i;
	return word_is(word, ms_event_cause.name) ? (int)i : -1;
}

u64 event_field_get(const struct ms_event *event, u32 field)
{
	const struct ms_event_field *f = field_of(event->id, field);

	return f ? ms_event_value(event, f) : 0;
}

/* As word_is(), a blank of the name being written as - in the text. */
static bool dashed_is(struct word word, const char *name)
{
	u32 i;

	if (word.len != strlen(name))
		return false;
	for (i = 0; i < word.len; i++)
		if (word.s[i] != (name[i] == ' ' ? '-' : name[i]))
			return false;
	return true;
}

bool event_value_find(u32 id, u32 field, struct word word, u64 *ret)
{
	const struct ms_event_field *f = field_of(id, field);
	const char *name;
	u64 value;

	for (value = 0; f && (name = ms_value_name(f->unit, value)); value++)
		if (dashed_is(word, name)) {
			*ret = value;
			return true;
		}
	return false;
}

bool event_field_by_name_only(u32 id, u32 field)
{
	const struct ms_event_field *f = field_of(id, field);

	return f && ms_value_name(f->unit, 0);
}

static void put_value(enum ms_event_unit unit, u64 value, struct ms_buf *out)
{
	enum ms_event_form form = ms_unit_form(unit);
	const char *name = ms_value_name(unit, value);

	if (name)
		ms_buf_puts(out, name);
	else if (form == MS_FORM_D || form == MS_FORM_B)
		ms_buf_printf(out, "%llu", (unsigned long long)value);
	else
		ms_buf_printf(out, "0x%llx", (unsigned long long)value);
}

void event_print(const struct ms_event *event, struct ms_buf *out)
{
	struct ms_event_desc desc;
	u32 i;

	if (!ms_event_desc(event->id, &desc))
		return;
	ms_buf_puts(out, desc.name);
	for (i = 0; i < desc.nr_fields; i++) {
		ms_buf_printf(out, " %s=", desc.fields[i].name);
		put_value(desc.fields[i].unit, ms_event_value(event, &desc.fields[i]), out);
	}
}
