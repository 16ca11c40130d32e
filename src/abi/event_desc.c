/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables that abi/events.def makes for those who print and filter events. */
#include "abi/event_desc.h"

#include <string.h>

/* The fields of every event, one array each. */
#define FIELD(type, member, unit, text) \
	{ #member, #type, text, MS_UNIT_##unit, offsetof(T, member), sizeof(((T *)0)->member) },
#define EVENT(name, members, text)                                         \
	static const struct ms_event_field *fields_##name(u32 *nr_ret)     \
	{                                                                  \
		typedef struct ms_ev_##name T;                             \
		static const struct ms_event_field fields[] = { members }; \
		*nr_ret = sizeof(fields) / sizeof(fields[0]);              \
		return fields;                                             \
	}
#include "abi/events.def"
#undef FIELD

static const struct {
	const char *name, *text;
	const struct ms_event_field *(*fields)(u32 *nr_ret);
} events[MS_EV_NR] = {
#define EVENT(name, members, text) [MS_EV_##name] = { #name, text, fields_##name },
#include "abi/events.def"
};

bool ms_event_desc(u32 id, struct ms_event_desc *ret)
{
	if (!id || id >= MS_EV_NR)
		return false;
	ret->name = events[id].name;
	ret->text = events[id].text;
	ret->fields = events[id].fields(&ret->nr_fields);
	return true;
}

u32 ms_event_find(const char *name, size_t len)
{
	u32 id;

	for (id = 1; id < MS_EV_NR; id++)
		if (strlen(events[id].name) == len && !memcmp(events[id].name, name, len))
			return id;
	return 0;
}

u64 ms_event_value(const struct ms_event *event, const struct ms_event_field *field)
{
	const char *at = (const char *)&event->u + field->offset;
	u64 value = 0;

	/* Little-endian, as everything that has this MMU. */
	memcpy(&value, at, field->bytes);
	return value;
}

static const struct {
	const char *name, *text;
	enum ms_event_form form;
} units[MS_NR_UNITS] = {
#define EVENT_UNIT(id, form, text) [MS_UNIT_##id] = { #id, text, MS_FORM_##form },
#include "abi/events.def"
};

const char *ms_unit_name(enum ms_event_unit unit)
{
	return units[unit].name;
}

const char *ms_unit_text(enum ms_event_unit unit)
{
	return units[unit].text;
}

enum ms_event_form ms_unit_form(enum ms_event_unit unit)
{
	return units[unit].form;
}

const char *ms_cause_name(u64 cause)
{
	static const char *const names[MS_CAUSE_NR] = {
#define CAUSE(id, text) [MS_CAUSE_##id] = text,
#include "abi/causes.def"
#undef CAUSE
	};

	return cause < MS_CAUSE_NR ? names[cause] : NULL;
}

const char *ms_fault_ret_name(u64 ret)
{
	static const char *const names[] = {
#define FAULT_RET(id, name, text) name,
#include "abi/rets.def"
#undef FAULT_RET
	};

	return ret < sizeof(names) / sizeof(names[0]) ? names[ret] : NULL;
}
