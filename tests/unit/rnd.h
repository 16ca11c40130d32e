/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random operations on a machine in process, judged by a naive oracle: shared by its parts.
 *
 *   rnd_world.c    the machine and its guests' tables, made from a seed; what entries are worth writing
 *   rnd_oracle.c   where an access may go and why it may fail: guest tables, slots and host memory read
 *                  afresh, by code of its own; old entries count while the guest has not invalidated them
 *   rnd_access.c   accesses, table writes and what is expected of them
 *   rnd_ops.c      everything else that can be done to a machine
 *   rnd_audit.c    every entry of every page in sync against the guest's
 *   rnd_parallel.c several of them at once
 *   rnd_pins.c     pinned pages, on every sixth machine
 *   rnd_log.c      the dirty log against copies of memory
 *   rnd_judge.c    what nobody would notice
 *   rnd_mix.c      other machines and other shares of operations, for mistakes that need them
 *
 * Layout: gfn 0..0x2ff slot 0 (tables below 0x200), 0x300.. slot 2 (comes and goes), 0x400..0x7ff slot 1 (2M
 * aligned), 0x800.. slot 3 (read-only), and a device everywhere else.
 */
#ifndef RND_H
#define RND_H

#include <stdio.h>

#include "scenario/machine.h"

#define RND_VCPUS 3
#define RND_SLOTS 4
#define RND_POOL_PAGES 0x200u /* tables */
#define RND_TABLES_MAX 200
#define RND_ROOTS_MAX 24
#define RND_STALE_MAX 4096
#define RND_INVLPG_MAX 64
#define RND_PDPTES_MAX 8
#define RND_PATHS_MAX 64
#define RND_ROWS 44
#define RND_RECENT 8

enum rnd_use { RND_L1, RND_L2, RND_NESTED };

/* A page of the pool: an entry at index i translates base + i * its size, if all is as it was built. */
struct rnd_table {
	enum nmmu_gpt kind;
	u8 level;
	u8 use;
	u16 gfn;
	u64 base;
};

struct rnd_root {
	enum nmmu_gpt kind;
	u8 levels;
	u8 use;
	u16 gfn;
};

/* What a table's memory held before somebody wrote it. */
struct rnd_stale {
	u64 gpa; /* 8-byte aligned */
	u64 value;
	u64 when;
};

struct rnd_slot {
	bool on, logging;
	u32 flags;
	u64 gfn, nr, hva;
	u8 *copy; /* contents when each page was last known to be reported */
	u64 *bits; /* manual mode: bits handed out and not cleared */
	bool protected[0x400]; /* by the host: not writable */
};

struct rnd_invlpg {
	u64 page, when;
	bool l2;
};

/* PDPTEs that were loaded until others were. */
struct rnd_pdptes {
	u64 pdpte[4], when;
};

struct rnd_vcpu {
	u32 id;
	struct nmmu_vcpu *v;
	bool l2;
	struct nmmu_regs regs[2]; /* L1's, L2's */
	enum nmmu_gpt kind[2];
	u64 pdpte[2][4]; /* as loaded */
	struct rnd_pdptes old_pdptes[2][RND_PDPTES_MAX]; /* a ring: what they made may still be cached */
	u32 next_pdptes[2];
	struct nmmu_nested nested;
	enum nmmu_gpt nested_kind;
	u8 nested_levels;
	u64 flush1[2]; /* when the guest last invalidated all of its own paging */
	u64 flush2; /* ... its nested paging */
	struct rnd_invlpg invlpg[RND_INVLPG_MAX];
	u32 next_invlpg;
};

/*
 * A mix: machines and operations beside the usual. Shares are percent of all operations; what is left is drawn as
 * ever. Zeros and NULL ask for nothing.
 */
struct rnd_mix {
	const char *name;
	void (*config)(struct nmmu_config *cfg); /* changes what was drawn */
	u8 parallel, burst, age, slots, log;
	u8 job; /* of the VMM in parallel operations, from 1; 0: drawn */
	bool logging; /* slots 0 and 1 are logged from the start */
	u8 low_bits; /* percent of large entries get a bit of an address that is not aligned */
	u8 one_frame; /* percent of entries of level 1 map the same frame */
	u8 devices; /* percent of them map a device, most others nothing */
	u32 log_mode; /* NMMU_LOG_, 0: drawn */
	u8 empty_upper; /* percent of upper entries lose all rights, and keep their address */
	bool pml12_rom; /* L1's log lies in a memslot that is read-only */
};

/* NULL behind the last; the first is the usual. */
extern const struct rnd_mix rnd_mixes[];
const struct rnd_mix *rnd_mix_find(const char *name);

struct rnd_count {
#define RND_OP(name) u64 name;
#include "tests/unit/rnd_ops.def"
#undef RND_OP
	u64 ops, checks, dead, host_fault, pin_refused;
	u64 judged[RND_ROWS + 1]; /* what the auditor was asked, by row of SEMANTICS H */
};

#define RND_EVENTS 4096

struct dirty_leaf;

struct rnd {
	u64 seed, rng;
	struct nmmu_config cfg;
	struct ms_machine *machine;
	struct ms_sched *sched;
	struct nmmu *m;
	struct rnd_vcpu vc[RND_VCPUS];
	struct rnd_slot slot[RND_SLOTS];
	struct rnd_table tables[RND_TABLES_MAX];
	struct rnd_root roots[RND_ROOTS_MAX];
	u32 nr_tables, nr_roots;
	u16 next_gfn;
	u32 log_mode;
	struct rnd_stale stale[RND_STALE_MAX];
	u32 nr_stale;
	u64 stale_lost; /* old values written up to here may have been forgotten: everything is excused */
	u64 now; /* operations so far */
	u64 recent[RND_RECENT]; /* addresses whose translation was edited */
	u32 next_recent;
	bool nomem; /* an allocation may fail in this operation */
	struct rnd_count *count;
	char what[200]; /* the operation, for the report of a failure */
	bool quiet; /* what is found is kept, not printed */
	u32 row; /* of SEMANTICS H, when the auditor or the engine found it */
	char text[160]; /* what was found */
	struct ms_event events[RND_EVENTS]; /* the first since the last check */
	u32 nr_events;
	struct dirty_leaf *dirty; /* of rnd_judge.c */
	u32 nr_dirty;
	bool pdptes_differ; /* before this access, from those in memory */
	bool failed;
};

/* --- rnd_world.c --- */

/* The mutant that machines have, in a build of the engine that has them: enum nmmu_mutant. */
extern u32 rnd_mutant;
extern u32 rnd_bugs; /* 1u << enum nmmu_bug, in any build */
extern const struct rnd_mix *rnd_mix; /* of machines, never NULL */

u64 rnd_next(struct rnd *r);
u64 rnd_below(struct rnd *r, u64 bound);
bool rnd_chance(struct rnd *r, u32 percent);
bool rnd_world_make(struct rnd *r);
void rnd_world_free(struct rnd *r);
const struct rnd_root *rnd_root_pick(struct rnd *r, enum rnd_use use, enum nmmu_gpt kind);
/* A value worth having in entry index of a table. */
u64 rnd_entry(struct rnd *r, const struct rnd_table *t, u32 index);
u32 rnd_entry_bytes(enum nmmu_gpt kind);
u32 rnd_shift(enum nmmu_gpt kind, u32 level); /* of the address bits that index a table */
u32 rnd_entries(const struct rnd_table *t);
const struct rnd_table *rnd_table_at(const struct rnd *r, u64 gfn);
/* Where L1 of this kind finds all of slot 0's tables, whatever else it has mapped. */
/* Makes of an address that an edit was about one that this mode has. */
u64 rnd_recent(struct rnd *r, enum nmmu_gpt kind);
u64 rnd_window(enum nmmu_gpt kind);
/* Registers for a paging mode, with random role bits. */
struct nmmu_regs rnd_regs(struct rnd *r, enum rnd_use use, enum nmmu_gpt kind);
bool rnd_kind_ok(const struct rnd *r, enum nmmu_gpt kind);
void rnd_fail(struct rnd *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- rnd_oracle.c --- */

struct rnd_want {
	u64 addr;
	bool write, fetch, user, rmw;
};

enum rnd_verdict { RND_OK, RND_PF, RND_NESTED_FAULT, RND_NESTED_MISCONFIG };

struct rnd_path {
	u64 gpa;
	bool clean; /* all entries current, and A and D as the CPU leaves them for this access */
};

struct rnd_answer {
	enum rnd_verdict verdict; /* of the tables as they are */
	u64 error; /* PF, NPF's low half, or bits 5:0 of a qualification */
	u64 addr; /* refused: CR2, or nGPA */
	bool table; /* NESTED_FAULT: for an entry of L2's tables */
	bool update; /* ... to set its A or D bit: the page itself may be refused first */
	u64 gpa; /* OK */
	u32 nr; /* paths that are right or excused, the current one included */
	bool too_many;
	bool old; /* an entry on some way was changed and not yet invalidated */
	bool rom, frozen; /* a table lies in read-only memory; the host lets nobody write one */
	struct rnd_path paths[RND_PATHS_MAX];
};

void rnd_ask(struct rnd *r, const struct rnd_vcpu *vc, const struct rnd_want *want, struct rnd_answer *ret);
/* Visible slot of a gfn, or NULL. */
struct rnd_slot *rnd_slot_of(struct rnd *r, u64 gfn);
/* PDPTEs for CR3, as the CPU loads them; false: it could not. */
bool rnd_load_pdptes(struct rnd *r, struct rnd_vcpu *vc, bool l2);
/* Somebody has stored to [gpa, gpa + 16): old holds what was there (aligned to 8). */
void rnd_note_write(struct rnd *r, u64 gpa, const u64 old[2]);
/* The same beside other vCPUs, whose A and D may have come before the store. */
void rnd_note_raced_write(struct rnd *r, u64 gpa, const u64 old[2]);
void rnd_read_pair(struct rnd *r, u64 gpa, u64 ret[2]);

/* --- rnd_run.c --- */

/* What a machine was found at. */
struct rnd_found {
	u64 now; /* operations until then */
	u32 row; /* of SEMANTICS H, 0: what came of an access or a log was wrong */
	char text[160];
};

/*
 * The machine of a seed. False: something is wrong, which is printed, or with found kept there. Each invariant
 * is judged after check_every operations.
 */
bool rnd_run(struct rnd_count *count, u64 seed, u64 ops, u32 check_every, struct rnd_found *found);

/* --- rnd_model.c --- */

/* Every invariant that the machine's records can answer. */
void rnd_invariants(struct rnd *r);
/* Takes the machine's events: ctx is the struct rnd. Under mmu_lock or without, vCPUs take turns. */
void rnd_event(void *ctx, const struct ms_event *event);

/* --- rnd_access.c --- */

void rnd_op_access(struct rnd *r, struct rnd_vcpu *vc);
/* An access like those of rnd_op_access(), an edit like those of rnd_op_gpte(). */
void rnd_draw_access(struct rnd *r, struct rnd_vcpu *vc, struct nmmu_access *ret);
void rnd_draw_edit(struct rnd *r, struct rnd_vcpu *vc, struct nmmu_access *ret);
void rnd_op_emulate(struct rnd *r, struct rnd_vcpu *vc);
void rnd_op_gpte(struct rnd *r, struct rnd_vcpu *vc);
void rnd_op_burst(struct rnd *r, struct rnd_vcpu *vc);
void rnd_op_cycle(struct rnd *r, struct rnd_vcpu *vc);
/* True: made, or answered by a device. */
bool rnd_access(struct rnd *r, struct rnd_vcpu *vc, const struct nmmu_access *a, bool emulate);

/* --- rnd_ops.c --- */

void rnd_op_other(struct rnd *r, struct rnd_vcpu *vc);
/* The guest invalidates what concerns this address: of its own paging, or of L1's nested tables. */
void rnd_invalidate(struct rnd *r, struct rnd_vcpu *vc, u64 gva, bool nested);
/* The engine has put this vCPU back into L1. */
void rnd_left_l2(struct rnd *r, struct rnd_vcpu *vc);

void rnd_op_slot(struct rnd *r);
/* A slot of the VMM's is logged from now on. */
void rnd_slot_log(struct rnd *r, u32 id);
void rnd_op_migrate(struct rnd *r);
void rnd_op_age(struct rnd *r);
/* Recycling, the NX worker. */
void rnd_op_reclaim(struct rnd *r);

/* --- rnd_parallel.c --- */

void rnd_op_parallel(struct rnd *r);
void rnd_yield(void *ctx, enum nmmu_point point);
void rnd_lock(void *ctx);
void rnd_unlock(void *ctx);

/* --- rnd_pins.c --- */

void rnd_op_pins(struct rnd *r, struct rnd_vcpu *vc);
/* While vCPUs run: what pins are there when it ends is not judged. */
void rnd_pins_round(struct rnd *r);
void rnd_check_pins(struct rnd *r);
/* Is one of these frames pinned, so that the host leaves it where it is? */
bool rnd_is_pinned(const struct rnd *r, u64 gfn, u64 nr);
/* What the host does instead: notifier calls for pages of a slot, and nothing else. */
void rnd_notify(struct rnd *r, const struct rnd_slot *s, u64 first, u64 nr);

/* --- rnd_audit.c --- */

void rnd_audit(struct rnd *r);

/* --- rnd_mix.c --- */

/* An operation that the mix asks for; false: it is another's turn. */
bool rnd_op_mix(struct rnd *r, struct rnd_vcpu *vc);

/* --- rnd_judge.c --- */

/* Kinds of leaves, generations of MMIO entries, in every live page. */
void rnd_judge_pages(struct rnd *r);
/* Around a log that is read or cleared, with all vCPUs at rest. */
void rnd_judge_log_begin(struct rnd *r);
void rnd_judge_log_end(struct rnd *r);
/* A page whose bit was cleared. */
void rnd_judge_cleared(struct rnd *r, u64 gfn);
/* nmmu_nx_recover(), judged. */
u32 rnd_nx_recover(struct rnd *r, u32 ratio);
/* L1's log of an access of L2's, which began with this index. */
void rnd_judge_pml12(struct rnd *r, const struct rnd_vcpu *vc, u16 before, const struct rnd_answer *answer);

/* --- rnd_log.c --- */

void rnd_log_start(struct rnd *r, struct rnd_slot *s);
void rnd_log_stop(struct rnd_slot *s);
void rnd_op_log_get(struct rnd *r);
/* While vCPUs run: pages are copied, and whether the log was complete is seen the next time. */
void rnd_log_round(struct rnd *r);
void rnd_op_log_clear(struct rnd *r);
void rnd_clear_round(struct rnd *r); /* while vCPUs run */
/* Contents changed by the host, not the guest. */
void rnd_log_forget(struct rnd *r, u64 hva, u64 bytes);

#endif
