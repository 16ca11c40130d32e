/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The events of abi/events.def as data: names, fields, units, and the words for values that have names. */
#ifndef ABI_EVENT_DESC_H
#define ABI_EVENT_DESC_H

#include "abi/event.h"

enum ms_event_unit {
#define EVENT_UNIT(id, form, text) MS_UNIT_##id,
#include "abi/events.def"
	MS_NR_UNITS
};

/* How a unit's values are written. */
enum ms_event_form {
	MS_FORM_X, /* hexadecimal */
	MS_FORM_D, /* decimal */
	MS_FORM_B, /* yes or no */
	MS_FORM_R, /* SPTE */
	MS_FORM_O, /* role word */
	MS_FORM_N, /* a name: ms_value_name() */
};

struct ms_event_field {
	const char *name, *type, *text;
	enum ms_event_unit unit;
	u16 offset, bytes; /* in struct ms_event */
};

struct ms_event_desc {
	const char *name, *text;
	const struct ms_event_field *fields;
	u32 nr_fields;
};

/* The head's cause, as a field of every event. */
extern const struct ms_event_field ms_event_cause;

/* id: from 1 up to MS_EV_NR - 1, else false. */
bool ms_event_desc(u32 id, struct ms_event_desc *ret);
/* NULL: no event has that number. */
const char *ms_event_name(u32 id);
/* "l1" or "l2" of enum ms_ev_guest; NULL: not known. */
const char *ms_guest_name(u8 guest);
/* 0 when there is none of this name. */
u32 ms_event_find(const char *name, size_t len);
/* The value of a field of that event. */
u64 ms_event_value(const struct ms_event *event, const struct ms_event_field *field);

/* The frame an event is about: its first GFN that is one, or the frame of its GPA. False: it names none. */
bool ms_event_gfn(const struct ms_event *event, u64 *ret);
/* And how many frames from there on: more than one for an entry of a higher level, or a range of a memslot. */
bool ms_event_frames(const struct ms_event *event, u64 *gfn_ret, u64 *nr_ret);
/* The first field of a unit. False: the event has none. */
bool ms_event_first(const struct ms_event *event, enum ms_event_unit unit, u64 *ret);

const char *ms_unit_name(enum ms_event_unit unit);
const char *ms_unit_text(enum ms_event_unit unit);
enum ms_event_form ms_unit_form(enum ms_event_unit unit);
/* Names of values: of a unit whose form is N. NULL when the value has none: they are numbered from 0 on. */
const char *ms_value_name(enum ms_event_unit unit, u64 value);
/* What it says, "" where the name says it all. */
const char *ms_value_text(enum ms_event_unit unit, u64 value);

#endif
