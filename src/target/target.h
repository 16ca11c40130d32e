/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Targets: where records come from. One ops table, one file a backend; what a backend can do it declares
 * (ARCHITECTURE decision 5). A target hands out records (abi/rec.h) and keeps nothing of them; the model is
 * built by whoever reads.
 */
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include "abi/event.h"
#include "abi/rec.h"
#include "base/err.h"

#define MS_CAP_LIVE (1u << 0) /* two reads may differ: refresh makes sense */
#define MS_CAP_KREAD (1u << 1) /* kernel memory can be read by address */
#define MS_CAP_EVENTS (1u << 2) /* it keeps the events of a VM */
#define MS_CAP_TRANSLATE (1u << 3) /* it walks a guest's tables */
#define MS_CAP_LISTEN (1u << 4) /* events can be listened to */
#define MS_CAP_FRAMES (1u << 5) /* frames of a guest can be read, as digests */

#define MS_WANT_VCPUS (1u << 0)
#define MS_WANT_SLOTS (1u << 1)
#define MS_WANT_MMUS (1u << 2)
#define MS_WANT_SPS (1u << 3) /* headers of shadow pages */
#define MS_WANT_SPTES (1u << 4) /* and their tables */
#define MS_WANT_RMAPS (1u << 5) /* reverse maps, parents, write-track and large-page counts */
#define MS_WANT_PINS (1u << 6) /* pin tables */
#define MS_WANT_GUEST (1u << 7) /* guest tables that pages shadow: memory of the guest */
#define MS_WANT_CHANGED (1u << 8) /* written pages of logged memslots */
#define MS_WANT_ALL 0x1ffu
/* All but what is the guest's own. */
#define MS_WANT_HOSTS (MS_WANT_ALL & ~MS_WANT_GUEST)

/* Host and VM records are always delivered. */
struct ms_want {
	u32 what; /* MS_WANT_ bits, for the VMs that `kvm' names */
	/* A model's memory for tables, in bytes; more is an error. 0: half of this machine's. Targets do not
	 * look at it. */
	u64 max_table_bytes;
	u64 kvm; /* only this VM's details; 0: every VM's */
	/*
	 * Called now and then with pages read so far; returns false to give up, which ends the read with the
	 * pages so far and MS_WALK_BROKEN set. May be NULL.
	 */
	bool (*progress)(void *ctx, u64 nr_pages);
	void *progress_ctx;
};

/*
 * Receives records in this order: HOST, every VM, then for each wanted VM its FD, VCPU, SLOT, MMU, SP and
 * WALK records, then what MS_WANT_RMAPS is for: RMAP (each with its RMAP_DESC) and GFN in any order, and
 * RMAPS at the end; EXACT where these were read under a lock; then PIN, GTABLE and CHANGED, each frame once.
 * `rec' points to the struct of that type; `tables' is non-NULL for an SP with MS_SP_HAVE_SPTES (translations
 * are valid with MS_SP_HAVE_TRANSLATIONS only). Both are valid during the call. An error stops the read and
 * comes back from it.
 */
struct ms_sink {
	struct ms_err *(*put)(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables);
	void *ctx;
};

/* sizeof the struct that carries a record of this type, 0 for an unknown type. */
size_t ms_rec_size(enum ms_rec_type type);
/* The struct kvm that a record of this type belongs to; 0 for those that are no part of one VM. */
u64 ms_rec_kvm(enum ms_rec_type type, const void *rec);

struct ms_kread {
	u64 addr;
	void *dst;
	u32 len; /* at most MS_KREAD_MAX_LEN */
	s32 status; /* written: 0, -EFAULT (not readable), -ERANGE (not an address this target reads) */
};

/* --- frames of a guest's memory: what is in them, as a number that differs when it does --- */

struct ms_frame {
	u64 gfn; /* set by the caller */
	u64 digest; /* with MS_GTABLE_READ; else 0 */
	u32 state; /* enum ms_gtable_state */
};

/* Of 4096 bytes. What differs by chance is told apart; whoever wants two to be the same can make them so. */
u64 ms_frame_digest(const u8 *bytes);

/* --- events --- */

struct ms_event_log {
	struct ms_event *events; /* oldest first; the caller's, free() */
	size_t nr;
	u64 nr_raised; /* since the VM was made, or since somebody listens */
	u64 nr_overwritten; /* of these, older than the oldest that is still kept */
	u64 nr_missing; /* gaps in the numbers of those kept: lost on the way */
};

/* --- listening: events as they happen --- */

#define MS_BY_EVENT (1u << 0) /* always part of a key */
#define MS_BY_KVM (1u << 1)
#define MS_BY_VCPU (1u << 2)
#define MS_BY_GUEST (1u << 3)
#define MS_BY_CAUSE (1u << 4)
#define MS_BY_GFN (1u << 5) /* the event's first GFN; of those without one ~0 */
#define MS_BY_LEVEL (1u << 6) /* the event's level; of those without one 0 */
#define MS_BY_RET (1u << 7) /* the event's outcome (enum ms_ret); of those without one MS_RET_NR */

/* What is wanted. Filters are applied where the events happen: what does not pass costs a comparison. */
struct ms_listen {
	/* Of this VM only; 0: of any. An event whose VM is not known does not pass, and is counted (unknown_vm). */
	u64 kvm;
	u64 events; /* 1 << enum ms_event_id */
	u64 gfn_start, gfn_end; /* [start, end) in L1 frames, when has_gfn: events with a GFN or GPA in it */
	u16 vcpu; /* when has_vcpu */
	bool has_gfn, has_vcpu;
	bool stacks; /* take the kernel's stack with each */
	/*
	 * MS_BY_: nothing is delivered; what passes is counted by these, where it happens. A storm costs what its
	 * counting costs. 0: each is delivered.
	 */
	u32 count_by;
	u32 buffer_bytes; /* between kernel and reader, a power of two; 0: the target's default */
	/*
	 * Called while ms_target_listen() attaches, which takes seconds where there are many probes: nr of them are to
	 * be attached. False: it gives up, with an error. May be NULL; not used afterwards.
	 */
	bool (*progress)(void *ctx, u32 nr);
	void *progress_ctx;
	/* How much is kept, and of how long a list each is told; 0: the target's default. */
	u32 stacks_max; /* different stacks */
	u32 free_max; /* shadow pages that KVM frees at once */
	u32 zapped_max; /* pages of the TDP MMU from their zapping until they are freed */
	u32 counts_max; /* keys that are counted by */
	u32 threads_max; /* threads with a record */
};

/* One row of a count: zero, or what MS_BY_ says of those without one, where the key has no such part. */
struct ms_event_count {
	u64 kvm, gfn;
	u16 id, vcpu;
	u8 guest, cause, level, ret;
	u64 nr;
};

struct ms_listen_stats {
	u64 by_event[MS_EV_NR]; /* what passed the filter, whatever became of it */
	u64 delivered; /* handed out by next */
	u64 lost_buffer; /* passed, and found the buffer full */
	u64 lost_count; /* passed, and found no room for another key */
	u64 lost_recursion; /* a probe hit while it ran on the same CPU: not looked at (recursion_misses) */
	u64 lost_probe; /* hits that the kernel missed (a kprobe's nmissed) */
	bool lost_probe_unknown; /* there are probes of which the kernel does not tell it: before 6.7 */
	u64 lost_thread; /* hits on a thread whose record could not be had: no event, or one without its cause */
	u64 lost_free; /* pages that were freed, more at once than are told */
	u64 lost_owner; /* pages whose VM was not kept until they were freed: no event, or one without its VM */
	u64 lost_stack; /* delivered, and the stack that was wanted with it could not be kept */
	u64 unknown_vm; /* passed but for the VM, which is not known: not of those that passed */
	u64 runs, run_ns; /* of the probes' own programs; 0, 0 when the kernel does not count them */
};

enum ms_probe_status {
	MS_PROBE_ON,
	MS_PROBE_IDLE, /* not needed for what is listened to */
	MS_PROBE_SPARE, /* another one of its group is on, which does the same */
	MS_PROBE_OFF, /* this kernel has no such place, or nothing attaches to it */
};

/* A place in the kernel where events are taken. Strings are the listener's. */
struct ms_probe {
	const char *name; /* "fentry/mark_page_dirty_in_slot" */
	enum ms_probe_status status;
	u64 events; /* 1 << enum ms_event_id: what it feeds */
	bool explains; /* it tells on whose behalf those events are, and raises none */
	const char *lost; /* what is not seen without it: one clause */
	const char *why; /* MS_PROBE_OFF: the kernel's reason, clean text; else "" */
	u64 misses; /* recursion and kprobe misses of this one */
	bool misses_unknown; /* a kprobe on a kernel that does not tell: before 6.7 */
};

struct ms_listener;
struct ms_target;

#define MS_STACK_MAX 32

/* --- translations: a walk through the guest's tables, as its CPU would do it --- */

#define MS_TRACE_MAX 40

enum ms_gpt { /* format of a guest's table */
	      MS_GPT_NONE,
	      MS_GPT_32,
	      MS_GPT_PAE,
	      MS_GPT_64,
	      MS_GPT_LA57,
	      MS_GPT_EPT,
};

#define MS_TRACE_NOT_PRESENT (1u << 0)
#define MS_TRACE_RSVD (1u << 1) /* reserved bits; EPT: a misconfiguration */
#define MS_TRACE_DENIED (1u << 2) /* this entry is the first to refuse the access */
#define MS_TRACE_LEAF (1u << 3)
#define MS_TRACE_UNBACKED (1u << 4) /* the table's address has no memory */
#define MS_TRACE_SET_A (1u << 5) /* a real access would set A */
#define MS_TRACE_SET_D (1u << 6)

struct ms_trace_step {
	u8 dim; /* 0: the tables of the guest at work; 1: EPT12 or NPT12 */
	u8 level;
	u16 flags; /* MS_TRACE_ */
	u32 gpt; /* enum ms_gpt */
	u64 input; /* the address that is translated: GVA in dimension 0, nGPA in 1 */
	u64 entry_at; /* where the entry lies: nGPA (or GPA without a dimension 1) in 0, GPA in 1 */
	u64 entry;
};

struct ms_trace_req {
	u64 kvm;
	s32 vcpu_id;
	u64 address; /* linear, of the guest at work on that vCPU */
	bool write, fetch, user;
};

struct ms_trace {
	bool guest_mode; /* the guest at work is L2 */
	bool nested; /* there is a dimension 1 */
	bool is_ept; /* it is EPT12 (else NPT12): fault is a qualification */
	u64 root[2]; /* of each dimension: CR3, EPTP or nCR3 */
	u32 nr;
	struct ms_trace_step steps[MS_TRACE_MAX];
	bool fault;
	u8 fault_dim;
	u64 error; /* PFERR bits */
	u64 qual; /* EPT: bits 8:0 of the exit qualification */
	u64 ngpa; /* L2 GPA; valid when nested and without a fault in dimension 0 */
	u64 gpa; /* L1 GPA; valid without a fault */
};

struct ms_target_opts {
	u32 buffer_pages; /* live: shadow pages copied per call into the kernel, 0: default */
	const char *types; /* live: where they come from, as ms_layout_plan() has it; NULL: default */
};

struct ms_target_ops {
	const char *name; /* the word before ':' in a target's spec */
	const char *summary; /* one line for --help */
	struct ms_err *(*open)(struct ms_target *target, const char *arg, const struct ms_target_opts *opts);
	void (*close)(struct ms_target *target);
	struct ms_err *(*read)(struct ms_target *target, const struct ms_want *want,
			       const struct ms_sink *sink);
	/* Reads in order; each has its status. NULL without MS_CAP_KREAD. */
	struct ms_err *(*kread)(struct ms_target *target, struct ms_kread *reqs, size_t nr);
	/* Events kept of a VM, at most the last max. NULL without MS_CAP_EVENTS. */
	struct ms_err *(*events)(struct ms_target *target, u64 kvm, size_t max, struct ms_event_log *ret);
	/* Changes nothing. A fault is a result. NULL without MS_CAP_TRANSLATE. */
	struct ms_err *(*translate)(struct ms_target *target, const struct ms_trace_req *req,
				    struct ms_trace *ret);
	/* Faults nothing in, takes no lock, does not move a simulated machine on. NULL without MS_CAP_FRAMES. */
	struct ms_err *(*frames)(struct ms_target *target, u64 kvm, u32 as_id, struct ms_frame *frames,
				 size_t nr);
	/* See ms_target_listen(). NULL without MS_CAP_LISTEN. */
	struct ms_err *(*listen)(struct ms_target *target, const struct ms_listen *listen,
				 struct ms_listener **ret);
};

/* What a listener does: see ms_listen_fd() and its sisters. */
struct ms_listen_ops {
	int (*fd)(const struct ms_listener *l);
	struct ms_err *(*next)(struct ms_listener *l, int timeout_ms,
			       bool (*put)(void *ctx, const struct ms_event *event), void *ctx);
	struct ms_err *(*stats)(struct ms_listener *l, struct ms_listen_stats *ret);
	struct ms_err *(*counts)(struct ms_listener *l, struct ms_event_count **ret, size_t *nr_ret);
	size_t (*probes)(const struct ms_listener *l, const struct ms_probe **ret);
	size_t (*stack)(struct ms_listener *l, s32 stack, u64 *ips, size_t max);
	u64 (*now)(const struct ms_listener *l); /* NULL: CLOCK_MONOTONIC */
	void (*hold)(struct ms_listener *l); /* NULL: nothing happens while nobody waits */
	/* For ms_listen_rest(): is there what next() keeps back? NULL: it keeps nothing back. */
	bool (*waiting)(const struct ms_listener *l);
	bool (*over)(const struct ms_listener *l); /* NULL: never */
	void (*unlisten)(struct ms_listener *l);
};

/* The head of every target's own, which its listen() makes with `ops' set; the rest is filled in behind it. */
struct ms_listener {
	const struct ms_listen_ops *ops;
	struct ms_target *target;
	struct ms_listen listen; /* as asked for */
};

struct ms_target {
	const struct ms_target_ops *ops;
	u32 caps;
	char spec[256]; /* what was opened, clean text */
	char note[512]; /* what every answer from it has to say; "" when there is nothing. Clean text */
	void *priv;
};

/*
 * spec: "live", "snap:FILE", "sim", "sim:...", "kmod:...", or NULL for the default (live). The error says which targets
 * this build has. Ownership of *ret goes to the caller, who ends it with ms_target_close().
 */
struct ms_err *ms_target_open(const char *spec, const struct ms_target_opts *opts,
			      struct ms_target **ret) MS_MUST_CHECK;
void ms_target_close(struct ms_target *target); /* takes NULL */
struct ms_err *ms_target_read(struct ms_target *target, const struct ms_want *want,
			      const struct ms_sink *sink) MS_MUST_CHECK;
struct ms_err *ms_target_kread(struct ms_target *target, struct ms_kread *reqs, size_t nr) MS_MUST_CHECK;
struct ms_err *ms_target_events(struct ms_target *target, u64 kvm, size_t max,
				struct ms_event_log *ret) MS_MUST_CHECK;
struct ms_err *ms_target_translate(struct ms_target *target, const struct ms_trace_req *req,
				   struct ms_trace *ret) MS_MUST_CHECK;
/* Digests of frames of one address space. A usage error where the target has none. */
struct ms_err *ms_target_frames(struct ms_target *target, u64 kvm, u32 as_id, struct ms_frame *frames,
				size_t nr) MS_MUST_CHECK;

/*
 * Begin to listen. What happened before is not delivered. *ret is ended by ms_unlisten(), before the target is
 * closed. One listener a target at a time.
 */
struct ms_err *ms_target_listen(struct ms_target *target, const struct ms_listen *listen,
				struct ms_listener **ret) MS_MUST_CHECK;
/* Can nothing happen any more (a scenario that was played)? What was not handed out yet is there all the same. */
bool ms_listen_over(const struct ms_listener *l);
/* Readable when there are events; -1: ask with ms_listen_next() at any time (a simulated machine). */
int ms_listen_fd(const struct ms_listener *l);
/*
 * Hands out what there is, oldest first, until put() returns false (what is left stays). Without any it waits, at most
 * timeout_ms (0: not at all, -1: for ever), and is cut short by a signal, which is no error. A simulated
 * machine moves on by some steps instead of waiting.
 */
struct ms_err *ms_listen_next(struct ms_listener *l, int timeout_ms,
			      bool (*put)(void *ctx, const struct ms_event *event), void *ctx) MS_MUST_CHECK;
/*
 * Hands out what happened until now and was not handed out yet, also what next() keeps back for one that comes
 * late, until put() returns false. The last may be later than that. A simulated machine does not move on.
 */
struct ms_err *ms_listen_rest(struct ms_listener *l, bool (*put)(void *ctx, const struct ms_event *event),
			      void *ctx) MS_MUST_CHECK;
struct ms_err *ms_listen_stats(struct ms_listener *l, struct ms_listen_stats *ret) MS_MUST_CHECK;
/* Counts so far with count_by; *ret is the caller's, free(). In no order. */
struct ms_err *ms_listen_counts(struct ms_listener *l, struct ms_event_count **ret,
				size_t *nr_ret) MS_MUST_CHECK;
/* Every probe there is, attached or not; 0 for a target that needs none. Valid until ms_unlisten(). */
size_t ms_listen_probes(const struct ms_listener *l, const struct ms_probe **ret);
/* 1 << enum ms_event_id: what can be heard here, as far as that is known; every event where no probes are needed. */
u64 ms_listen_fed(const struct ms_listener *l);
/* Addresses of an event's stack, the innermost first; returns how many there are, at most max. 0: none, or lost. */
size_t ms_listen_stack(struct ms_listener *l, s32 stack, u64 *ips, size_t max);
/* From now on nothing is an event any more; those that wait are still handed out. */
void ms_listen_hold(struct ms_listener *l);
/* Now, on the clock of the events' time_ns. */
u64 ms_listen_now(const struct ms_listener *l);
void ms_unlisten(struct ms_listener *l); /* takes NULL */
/* All that was lost, of every kind: what was heard is not all that happened if it is not 0. */
u64 ms_listen_lost(const struct ms_listen_stats *stats);

/* For targets: does an event pass the filter (the set of events included)? */
/* Is the same wanted, whoever is told of the progress? */
bool ms_listen_same(const struct ms_listen *a, const struct ms_listen *b);
bool ms_listen_passes(const struct ms_listen *listen, const struct ms_event *event);
/* For targets: the row that an event is counted in, with nr 0. */
void ms_listen_key(u32 count_by, const struct ms_event *event, struct ms_event_count *ret);

extern const struct ms_target_ops ms_target_exact;
extern const struct ms_target_ops ms_target_live;
extern const struct ms_target_ops ms_target_sim;
extern const struct ms_target_ops ms_target_kmod;
extern const struct ms_target_ops ms_target_snap;

/* Every backend this build has, NULL terminated. */
extern const struct ms_target_ops *const ms_target_list[];

#endif
