/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events as data: one struct for each line of events.def, all behind one head. Plain, fixed width, no
 * pointers.
 */
#ifndef ABI_EVENT_H
#define ABI_EVENT_H

#include "abi/types.h"

enum ms_event_id {
	MS_EV_NONE = 0,
#define EVENT(name, fields, text) MS_EV_##name,
#include "abi/events.def"
	MS_EV_NR
};

enum ms_cause {
#define CAUSE(id, text) MS_CAUSE_##id,
#include "abi/causes.def"
#undef CAUSE
	MS_CAUSE_NR
};

#define MS_EV_NO_VCPU 0xffff

#define FIELD(type, name, unit, text) type name;
#define EVENT(name, fields, text) \
	struct ms_ev_##name {     \
		fields            \
	};
#include "abi/events.def"
#undef FIELD

struct ms_event {
	u64 seq; /* counts up by one for each event of its source: a gap is a loss */
	u16 id; /* enum ms_event_id */
	u16 vcpu; /* MS_EV_NO_VCPU: none at work */
	u32 pad;
	union {
#define EVENT(name, fields, text) struct ms_ev_##name name;
#include "abi/events.def"
	} u;
};

#endif
