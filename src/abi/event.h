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

/* RET_PF_* of the kernel by name: its numbers differ from one to the next. */
enum ms_ret {
#define FAULT_RET(id, name, text) MS_RET_##id,
#include "abi/rets.def"
#undef FAULT_RET
	MS_RET_NR
};

enum ms_flush { /* of one vCPU's TLB */
		MS_FLUSH_CURRENT, /* the context at work */
		MS_FLUSH_GUEST, /* linear mappings only */
		MS_FLUSH_ALL,
		MS_FLUSH_ADDRESS, /* one page */
};

#define MS_EV_NO_VCPU 0xffff
#define MS_EV_NO_STACK (-1)
/* What this source does not know: of a sequence, of how many are under way, of a page, of a BOOL field. */
#define MS_EV_NO_SEQ (~0ull)
#define MS_EV_NO_NR (~0u)
#define MS_EV_NO_ROLE (~0u)
#define MS_EV_UNKNOWN 0xff

enum ms_ev_guest { /* whose code the vCPU runs */
		   MS_EV_GUEST_UNKNOWN,
		   MS_EV_L1,
		   MS_EV_L2,
};

#define FIELD(type, name, unit, text) type name;
#define EVENT(name, fields, text) \
	struct ms_ev_##name {     \
		fields            \
	};
#include "abi/events.def"
#undef FIELD

struct ms_event {
	u64 seq; /* counts up by one for each event of its source: a gap is a loss */
	u64 time_ns; /* CLOCK_MONOTONIC of the host; a simulated machine's steps, 0 when it has none */
	u64 kvm; /* struct kvm, as in ms_rec_vm; 0: not known */
	u32 tid; /* thread at work, of the initial pid namespace; 0: none, or an interrupt */
	s32 stack; /* of the listener, MS_EV_NO_STACK: none taken */
	u16 id; /* enum ms_event_id */
	u16 vcpu; /* that is at work, or that it is about; MS_EV_NO_VCPU: none */
	u8 guest; /* enum ms_ev_guest */
	u8 cause; /* enum ms_cause */
	u16 pad;
	union {
#define EVENT(name, fields, text) struct ms_ev_##name name;
#include "abi/events.def"
	} u;
};

#endif
