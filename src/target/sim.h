/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared within the sim target: what a machine in process says as records. Only reads the machine; moving it
 * on is sim.c's business, through what src/scenario offers.
 */
#ifndef TARGET_SIM_H
#define TARGET_SIM_H

#include "nmmu/types.h"
#include "scenario/machine.h"
#include "target/target.h"

/* The owner of a simulated VM is no process: pid 0, which no process has, and a name that says so. */
#define MS_SIM_PID 0
/* A simulated VM's files, numbered from here; there are none behind them. */
#define MS_SIM_FD 3

/* How a machine is shown; the strings outlive the reading. */
struct ms_sim_shown {
	const struct nmmu *m;
	struct ms_machine *machine; /* the guest's memory, and what was written; NULL: not shown */
	const char *owner; /* at most MS_COMM_LEN - 1 bytes */
	const char *target; /* its name */
};

/* The one VM's identity. */
u64 ms_sim_kvm(const struct nmmu *m);
/* "nmmu like 6.12". */
const char *ms_sim_release(const struct nmmu *m);
/* NULL when the machine has no such vCPU. */
const struct nmmu_vcpu *ms_sim_vcpu(const struct nmmu *m, u32 id);

/* Every record, in the order of struct ms_sink, as far as want asks for it. No vCPU may be running. */
struct ms_err *ms_sim_records(const struct ms_sim_shown *shown, const struct ms_want *want,
			      const struct ms_sink *sink) MS_MUST_CHECK;

/* --- sim_kmod.c: the kernel module's engine --- */

extern const struct ms_device ms_sim_device;
/* Is it there? The error says what to do. */
struct ms_err *ms_sim_device_check(void) MS_MUST_CHECK;

/* --- sim_guest.c: guest tables that pages shadow; faults nothing in --- */

struct ms_err *ms_sim_guest(const struct ms_sim_shown *shown, const struct ms_want *want,
			    const struct ms_sink *sink) MS_MUST_CHECK;

/* As ms_target_frames(). */
void ms_sim_frames(const struct ms_sim_shown *shown, u32 as_id, struct ms_frame *frames, size_t nr);

/* --- sim_events.c: the last events, as they come from the engine --- */

struct ms_sim_ring;

/* Keeps up to nr events, a power of two. NULL when memory is out. */
struct ms_sim_ring *ms_sim_ring_create(u32 nr);
void ms_sim_ring_destroy(struct ms_sim_ring *ring); /* takes NULL */
/* ctx is the ring. */
void ms_sim_ring_put(void *ctx, const struct ms_event *event);
struct ms_err *ms_sim_ring_read(const struct ms_sim_ring *ring, size_t max,
				struct ms_event_log *ret) MS_MUST_CHECK;

/* --- sim_listen.c --- */

/* The machine's time, which is its steps', and who listens to it. */
struct ms_sim_clock {
	struct ms_err *(*run)(struct ms_sim_clock *clock, u32 steps); /* lets it move on */
	void *ctx;
	u64 now_ns;
	bool over; /* it moves no more */
	struct ms_listener *listener; /* NULL: nobody */
};

#define MS_SIM_STEP_NS 1000000ull

/* As ms_target_ops.listen; clock->listener is the one it makes, until that ends. */
struct ms_err *ms_sim_listen(struct ms_sim_clock *clock, const struct ms_listen *listen,
			     struct ms_listener **ret) MS_MUST_CHECK;
void ms_sim_listener_put(struct ms_listener *l, const struct ms_event *event);
/* So many were no longer there to be put. */
void ms_sim_listener_lost(struct ms_listener *l, u64 nr);

/* --- sim_trace.c --- */

struct ms_err *ms_sim_translate(const struct ms_sim_shown *shown, const struct ms_trace_req *req,
				struct ms_trace *ret) MS_MUST_CHECK;

#endif
