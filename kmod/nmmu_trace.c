// SPDX-License-Identifier: GPL-2.0-or-later
/* Every event of an instance as a tracepoint: mmuscope:nmmu_NAME, with the fields that abi/events.def gives it. */
#include "kmod/nmmu.h"

#define CREATE_TRACE_POINTS
#include "nmmu_events.h"

void inst_traced(const struct inst *inst, const struct ms_event *event)
{
	/* A name, which does not tell where anything lies. */
	const u64 instance = inst->id;

	switch (event->id) {
#define EVENT(name, fields, text)                   \
	case MS_EV_##name:                          \
		trace_nmmu_##name(instance, event); \
		break;
#include "abi/events.def"
	}
}
