/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine's events by name, from abi/events.def: for expectations about them, and to write one down. */
#include "scenario/lang.h"

#include <string.h>

#define EVENT_MAX_FIELDS 10

struct event_desc {
	const char *name;
	struct event_field fields[EVENT_MAX_FIELDS]; /* ends with a NULL name */
	u64 (*get)(const struct ms_event *event, u32 field);
};

/* One function an event: the value of its i-th field. */
#define FIELD(type, member, unit, text) \
	if (!field--)                   \
		return e->member;
#define EVENT(ev, members, text)                                     \
	static u64 get_##ev(const struct ms_event *event, u32 field) \
	{                                                            \
		const struct ms_ev_##ev *e = &event->u.ev;           \
		members return 0;                                    \
	}
#include "abi/events.def"
#undef FIELD

enum unit_form {
#define EVENT_UNIT(id, form, text) UNIT_##id,
#include "abi/events.def"
	NR_UNITS
};

static const char unit_forms[NR_UNITS] = {
#define EVENT_UNIT(id, form, text) [UNIT_##id] = #form[0],
#include "abi/events.def"
};

#define FIELD(type, member, unit, text) { #member, UNIT_##unit },
#define EVENT(ev, members, text) [MS_EV_##ev] = { #ev, { members }, get_##ev },
static const struct event_desc descs[MS_EV_NR] = {
#include "abi/events.def"
};
#undef FIELD

static const char *const causes[MS_CAUSE_NR] = {
#define CAUSE(id, text) [MS_CAUSE_##id] = text,
#include "abi/causes.def"
#undef CAUSE
};

static const char *const rets[] = {
	[NMMU_RET_RETRY] = "retry", [NMMU_RET_EMULATE] = "emulate",   [NMMU_RET_INVALID] = "invalid",
	[NMMU_RET_FIXED] = "fixed", [NMMU_RET_SPURIOUS] = "spurious", [NMMU_RET_NONE] = "none",
};

u32 event_find(struct word word)
{
	u32 id;

	for (id = 1; id < MS_EV_NR; id++)
		if (word_is(word, descs[id].name))
			return id;
	return 0;
}

int event_field_find(u32 id, struct word word)
{
	int i;

	for (i = 0; i < EVENT_MAX_FIELDS && descs[id].fields[i].name; i++)
		if (word_is(word, descs[id].fields[i].name))
			return i;
	return -1;
}

u64 event_field_get(const struct ms_event *event, u32 field)
{
	return descs[event->id].get(event, field);
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
	u32 unit = (u32)descs[id].fields[field].unit, i;

	if (unit == UNIT_CAUSE) {
		for (i = 0; i < LEN(causes); i++)
			if (dashed_is(word, causes[i])) {
				*ret = i;
				return true;
			}
	} else if (unit == UNIT_RET) {
		for (i = 0; i < LEN(rets); i++)
			if (word_is(word, rets[i])) {
				*ret = i;
				return true;
			}
	}
	return false;
}

bool event_field_by_name_only(u32 id, u32 field)
{
	return descs[id].fields[field].unit == UNIT_CAUSE || descs[id].fields[field].unit == UNIT_RET;
}

static void put_value(u32 unit, u64 value, struct ms_buf *out)
{
	if (unit == UNIT_CAUSE && value < LEN(causes))
		ms_buf_puts(out, causes[value]);
	else if (unit == UNIT_RET && value < LEN(rets))
		ms_buf_puts(out, rets[value]);
	else if (unit_forms[unit] == 'D' || unit_forms[unit] == 'B')
		ms_buf_printf(out, "%llu", (unsigned long long)value);
	else
		ms_buf_printf(out, "0x%llx", (unsigned long long)value);
}

void event_print(const struct ms_event *event, struct ms_buf *out)
{
	const struct event_desc *desc;
	u32 i;

	if (!event->id || event->id >= MS_EV_NR)
		return;
	desc = &descs[event->id];
	ms_buf_puts(out, desc->name);
	for (i = 0; i < EVENT_MAX_FIELDS && desc->fields[i].name; i++) {
		ms_buf_printf(out, " %s=", desc->fields[i].name);
		put_value((u32)desc->fields[i].unit, desc->get(event, i), out);
	}
}
