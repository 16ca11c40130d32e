/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instance of nmmu: what the files of this part share. What asks nothing of Linux is apart from what does, and is
 * compiled into a unit test too (tests/unit/kmoddev.c), which does then what nmmu.c does here:
 *
 *   nmmu.c		requests, strands as kernel threads, the caller's memory, limits of time
 *   nmmu_ops.c		what the engine calls (struct nmmu_ops)
 *   nmmu_call.c	from a request to a call of the engine and back
 *   nmmu_table.c	the CPU's way to the tables; the image
 *   nmmu_trace.c	tracepoints
 *
 * Everything is under mmuscope_file.lock, which whoever runs a strand holds for it: one strand runs at a time.
 */
#ifndef KMOD_NMMU_H
#define KMOD_NMMU_H

#include "abi/kmod_nmmu.h"
#include "nmmu/types.h"

#define INST_BUCKETS 256u

/* Memory of the engine's. Its first byte is 16 behind an address that is a multiple of 32. */
struct inst_block {
	struct inst_block *prev, *next;
	u64 bytes; /* behind the head */
	u64 pad;
};

struct inst_table {
	struct inst_table *next; /* of its bucket */
	u64 pa;
	void *va;
};

struct inst;

/* A call under way, or room for one. */
struct inst_strand {
	struct inst *inst;
	struct mmuscope_nmmu_run run; /* what came in; v[] goes out */
	bool busy; /* between a call and its DONE */
	bool waits; /* for an answer */
	u8 locks; /* depth of mmu_lock that it holds: 0, 1 */
	u8 refused; /* INST_ */
	bool has_vcpu, has_slots;
	void *host; /* of whoever provides inst_wait() */
};

/* Why a call's requests are refused. */
enum inst_refused { INST_GOES_ON, INST_TOO_LONG, INST_KILLED };

struct inst {
	struct nmmu *m;
	struct nmmu_ops ops;
	struct mmuscope_nmmu_area areas[MMUSCOPE_NMMU_AREAS];
	u32 nr_areas;
	struct nmmu_vcpu *vcpus[MMUSCOPE_NMMU_VCPUS];
	u32 nr_vcpus;
	u32 vcpus_busy;
	bool slots_busy;
	struct inst_strand strands[MMUSCOPE_NMMU_STRANDS];
	struct inst_strand *now; /* that runs; NULL: none, as when the instance is made and ended */
	struct inst_strand *lock; /* that holds mmu_lock */
	u32 watch;
	u64 fail_after;
	u64 id; /* of the instance, for tracepoints: counts up */
	/* Memory: of blocks and tables, in bytes. */
	u64 bytes, max_bytes;
	struct inst_block blocks;
	struct inst_table *tables[INST_BUCKETS];
	u64 nr_tables;
	/* What is to be told. */
	u32 flushed;
	struct ms_event *events; /* MMUSCOPE_NMMU_EVENTS */
	u32 nr_events;
	u64 lost;
	u64 notes[MMUSCOPE_NMMU_NOTES];
	u32 nr_notes;
	/* What the caller has ready for tables, of this stretch. */
	u64 frames[MMUSCOPE_NMMU_FRAMES];
	u32 nr_frames, frames_used;
	void *host;
};

/* --- nmmu_call.c --- */

/* -EINVAL, -EPROTO, -ENOMEM. inst is zeroed, but for host. */
int inst_init(struct inst *inst, struct mmuscope_nmmu_create *create);
void inst_deinit(struct inst *inst); /* no strand is busy */
int inst_area(struct inst *inst, const struct mmuscope_nmmu_area *area);
/* Check a new call, or take an answer: the strand is to run. 0, or what RUN comes to. */
int inst_begin(struct inst *inst, const struct mmuscope_nmmu_run *run, struct inst_strand **ret);
/* On the strand, once: makes the call. It is not busy afterwards. */
void inst_work(struct inst_strand *s);
/* What RUN tells of a strand that has stopped. 0, -EFAULT: some of it is lost. */
int inst_report(struct inst *inst, const struct inst_strand *s, struct mmuscope_nmmu_run *ret);

/* --- nmmu_ops.c --- */

void inst_ops(struct nmmu_ops *ops, bool events);
/* The strand asks and waits. 0, or -errno of the answer; -EINTR when its requests are refused. */
int inst_ask(struct inst *inst, enum mmuscope_nmmu_state what, u64 a, u64 b, u64 c, u64 *ret);
struct inst_table *inst_table_of(struct inst *inst, u64 pa);

/* --- nmmu_table.c --- */

int inst_table(struct inst *inst, struct mmuscope_nmmu_table *table);
int inst_image(struct inst *inst, struct mmuscope_nmmu_image *image);

/* --- what the surroundings provide --- */

/* Zeroed, multiples of 16 bytes; NULL. */
void *inst_mem_alloc(u64 bytes);
void inst_mem_free(void *mem);
void *inst_page_alloc(void);
void inst_page_free(void *page);
/* The caller's memory: 0, -EFAULT; cmpxchg of 4 or 8 aligned bytes: -EAGAIN. */
int inst_copy_in(void *to, u64 from, u64 bytes);
int inst_copy_out(u64 to, const void *from, u64 bytes);
int inst_cmpxchg(u64 at, u64 old, u64 new_value, u32 bytes);
/* Stops the strand that runs until it is told to go on. */
void inst_wait(struct inst_strand *s);
/* Now and then, on the strand: others may run; sets s->refused when time is up. */
void inst_breathe(struct inst_strand *s);
void inst_traced(const struct inst *inst, const struct ms_event *event);

#endif
