/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables that abi/events.def makes for those who print and filter events. */
#include "abi/event_desc.h"

#include <string.h>

#include "abi/rec.h"

/* The fields of every event, one array each. */
#define FIELD(type, member, unit, text)                       \
	{ #member,                                            \
	  #type,                                              \
	  text,                                               \
	  MS_UNIT_##unit,                                     \
	  offsetof(struct ms_event, u) + offsetof(T, member), \
	  sizeof(((T *)0)->member) },
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

const struct ms_event_field ms_event_cause = {
	"cause", "u8", "on whose behalf", MS_UNIT_CAUSE, offsetof(struct ms_event, cause), 1,
};

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

const char *ms_event_name(u32 id)
{
	return id < MS_EV_NR ? events[id].name : NULL;
}

const char *ms_guest_name(u8 guest)
{
	return guest == MS_EV_L2 ? "l2" : guest == MS_EV_L1 ? "l1" : NULL;
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
	const char *at = (const char *)event + field->offset;
	u64 value = 0;

	/* Little-endian, as everything that has this MMU. */
	memcpy(&value, at, field->bytes);
	return value;
}

bool ms_event_first(const struct ms_event *event, enum ms_event_unit unit, u64 *ret)
{
	struct ms_event_desc desc;
	u32 i;

	if (!ms_event_desc(event->id, &desc))
		return false;
	for (i = 0; i < desc.nr_fields; i++)
		if (desc.fields[i].unit == unit) {
			*ret = ms_event_value(event, &desc.fields[i]);
			return true;
		}
	return false;
}

bool ms_event_gfn(const struct ms_event *event, u64 *ret)
{
	u64 gpa;

	if (ms_event_first(event, MS_UNIT_GFN, ret))
		return *ret != ~0ull;
	if (!ms_event_first(event, MS_UNIT_GPA, &gpa))
		return false;
	*ret = gpa >> 12;
	return true;
}

static u64 level_pages(u8 level)
{
	return level ? 1ull << ((level - 1u) * 9 & 63) : 1;
}

bool ms_event_frames(const struct ms_event *event, u64 *gfn_ret, u64 *nr_ret)
{
	u64 nr = 1;

	switch (event->id) {
	case MS_EV_spte_set:
		nr = level_pages(event->u.spte_set.level);
		break;
	case MS_EV_split:
		nr = level_pages(event->u.split.level);
		break;
	case MS_EV_slot:
		nr = event->u.slot.pages;
		break;
	case MS_EV_log_clear:
		nr = event->u.log_clear.pages;
		break;
	default:
		break;
	}
	*nr_ret = nr ? nr : 1;
	return ms_event_gfn(event, gfn_ret);
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

struct value {
	const char *name, *text;
};

static const struct value causes[MS_CAUSE_NR] = {
#define CAUSE(id, name) [MS_CAUSE_##id] = { name, "" },
#include "abi/causes.def"
#undef CAUSE
};

static const struct value fault_rets[] = {
#define FAULT_RET(id, name, text) { name, text },
#include "abi/rets.def"
#undef FAULT_RET
};

static const struct value mmus[] = {
	[MS_MMU_ROOT] = { "root", "L1's, and L2's when L1 gives it no nested paging" },
	[MS_MMU_GUEST] = { "guest", "it shadows EPT12 or NPT12" },
	[MS_MMU_NESTED] = { "nested", "it walks L2's own tables and owns no shadow pages" },
};

static const struct value flushes[] = {
	[MS_FLUSH_CURRENT] = { "current", "the context at work" },
	[MS_FLUSH_GUEST] = { "guest", "linear mappings only" },
	[MS_FLUSH_ALL] = { "all", "" },
	[MS_FLUSH_ADDRESS] = { "address", "one page" },
};

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static const struct value *value_find(enum ms_event_unit unit, u64 value)
{
	switch (unit) {
	case MS_UNIT_CAUSE:
		return value < LEN(causes) ? &causes[value] : NULL;
	case MS_UNIT_RET:
		return value < LEN(fault_rets) ? &fault_rets[value] : NULL;
	case MS_UNIT_FLUSH:
		return value < LEN(flushes) ? &flushes[value] : NULL;
	case MS_UNIT_MMU:
		return value < LEN(mmus) ? &mmus[value] : NULL;
	default:
		return NULL;
	}
}

const char *ms_value_name(enum ms_event_unit unit, u64 value)
{
	const struct value *found = value_find(unit, value);

	return found ? found->name : NULL;
}

const char *ms_value_text(enum ms_event_unit unit, u64 value)
{
	const struct value *found = value_find(unit, value);

	return found ? found->text : "";
}
