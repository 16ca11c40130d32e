/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared within src/scenario: the state of a play, and who carries out which statement. */
#ifndef SCENARIO_PLAY_H
#define SCENARIO_PLAY_H

#include <ucontext.h>

#include "scenario/lang.h"
#include "scenario/sched.h"

enum outcome_kind {
	OUT_NONE, /* nothing was done yet */
	OUT_ACCESS, /* run is valid */
	OUT_PROBE, /* hw is valid */
	OUT_CALL, /* error is */
	OUT_LOG, /* bitmap is, of slot */
	OUT_AGE, /* young is */
};

/* What came of an action. */
struct outcome {
	enum outcome_kind kind;
	u32 line, col;
	struct ms_run run;
	struct hw_result hw;
	int error; /* 0 or -errno of the engine */
	bool young;
	bool prefault; /* CALL of one ... */
	u64 pages; /* ... which has done so many */
	bool is_write, is_fetch; /* the access */
	/* It was not simply done: an expectation has to say so before the next action. */
	bool unclaimed;
};

#define MAX_MAPPED 64
#define MAX_HOOKS 4
#define MAX_EVENTS 65536

/* An action that waits for a yield point of the next one. */
struct hook {
	u32 stmt;
	u32 left; /* times the point is still to be passed */
	bool done;
};

struct ms_play {
	const struct ms_scenario *sc;
	struct ms_play_opts opts;
	struct ms_machine *machine;
	struct ms_tables *tables[MS_SCENARIO_MAX_TABLES];
	u32 nr_vcpus;
	struct nmmu_regs l1[MS_SCENARIO_MAX_VCPUS], l2[MS_SCENARIO_MAX_VCPUS];
	u16 pml12_index[MS_SCENARIO_MAX_VCPUS];
	struct {
		u64 start, bytes;
	} mapped[MAX_MAPPED];
	u32 nr_mapped;

	u32 pc;
	u64 left[MS_SCENARIO_MAX_DEPTH]; /* rounds of the loops that are open */
	u32 depth;
	u64 nr_steps, nr_expects;
	u64 spent; /* steps that long statements cost beside */
	u64 check_debt; /* pages looked at by the self-check, paid off by actions */

	struct outcome outcome, inner;
	struct nmmu_result told; /* the last exit that L1 was given */
	/* The bitmap of the last log that was got. */
	u64 *log;
	u64 log_pages;
	u16 log_slot;

	/* Events since the last action began. */
	struct ms_event *events;
	size_t nr_events, cap_events;

	/* Interleaving: the action of a hook runs on a stack of its own and waits for mmu_lock there. */
	struct hook hooks[MAX_HOOKS];
	u32 nr_hooks;
	ucontext_t outer_ctx, inner_ctx;
	void *stack;
	bool in_inner, inner_alive, inner_waits, lock_held;
	u32 inner_stmt;
	/* What the outer action is inside of, and the inner one must keep out of: see nmmu.h, Threads. */
	u32 outer_vcpus; /* 1u << */
	bool outer_slots; /* a memslot or log ioctl */

	/* Every order of two actions: see interleave.c. */
	struct ms_sched *sched; /* while they run */
	u64 nr_schedules; /* of the last interleave */
	bool one_schedule; /* it was given */
	u8 *held; /* by statement: `expect some' was so after a schedule */
	/* In a play that is one schedule of another's. */
	struct ms_play *root;
	struct ms_sched *root_sched;
	u32 explored;

	/* The first thing that went wrong. */
	bool failed;
	bool wrong; /* by the text itself */
	u32 fail_line, fail_col;
	struct ms_buf text;
};

/* Note a failure of the statement. Only the first counts. Returns false, so that a check can end with it. */
bool play_fail(struct ms_play *play, const struct stmt *stmt, const char *fmt, ...) MS_PRINTF(3, 4);
/* The same, of an argument (NULL: the statement): the text asks for what there is not. */
bool play_wrong(struct ms_play *play, const struct stmt *stmt, enum key_id key, const char *fmt, ...)
	MS_PRINTF(4, 5);
/* The same from an error, which is freed. */
void play_fail_err(struct ms_play *play, const struct stmt *stmt, struct ms_err *err);

/* One step more of those that a play may take. False when there is none left, or it has failed. */
bool play_spend(struct ms_play *play, const struct stmt *stmt);
/* What takes time for each page costs steps too. */
bool play_spend_pages(struct ms_play *play, const struct stmt *stmt, u64 pages);

/* The value of an argument, or what stands for it when it is not given. */
u64 arg_num(struct ms_play *play, const struct stmt *stmt, enum key_id key, u64 missing);
bool arg_has(struct ms_play *play, const struct stmt *stmt, enum key_id key);
/* CHOICE, TABLE, RIGHTS: the number found when it was parsed. */
u32 arg_choice(struct ms_play *play, const struct stmt *stmt, enum key_id key, u32 missing);
u64 arg_eval(struct ms_play *play, const struct stmt *stmt, const struct arg *arg);
/* The vCPU that a statement names; -1 with a failure when there is none. */
int arg_vcpu(struct ms_play *play, const struct stmt *stmt);
/* What the VMM knows of a slot; with what the engine keeps for it. NULL with a failure: there is none. */
const struct nmmu_slot *play_slot(struct ms_play *play, const struct stmt *stmt, u16 as_id, u16 id);
const struct nmmu_slot *play_engine_slot(struct ms_play *play, const struct stmt *stmt, u16 as_id, u16 id);

static inline struct nmmu *play_nmmu(struct ms_play *play)
{
	return ms_machine_nmmu(play->machine);
}

/* --- act.c: accesses, vCPUs, logs, slots; act_tables.c: guest tables --- */

void act(struct ms_play *play, const struct stmt *stmt, struct outcome *out);
void act_machine(struct ms_play *play, const struct stmt *stmt);
void act_slot(struct ms_play *play, const struct stmt *stmt, struct outcome *out);
void act_host(struct ms_play *play, const struct stmt *stmt, struct outcome *out);
void act_pins(struct ms_play *play, const struct stmt *stmt, struct outcome *out);
/* A call that the VMM made came to 0 or -errno. */
void call_done(struct outcome *out, int error);
void act_table(struct ms_play *play, const struct stmt *stmt);
void act_map(struct ms_play *play, const struct stmt *stmt);
void act_edit(struct ms_play *play, const struct stmt *stmt, struct outcome *out);
void act_grant(struct ms_play *play, const struct stmt *stmt, struct outcome *out);
/* Frame of a table's root, and the EPTP that names it. */
u64 table_eptp(struct ms_play *play, u32 table, bool ad);
bool table_is_ept(const struct ms_play *play, u32 table);
/* Where an entry lies; -ENOENT. level 0: the root. */
int table_entry(void *ctx, u32 table, u64 addr, u32 level, u64 *ret);
void do_access(struct ms_play *play, u32 vcpu, const struct nmmu_access *access, struct outcome *out);

/* --- play.c, for interleave.c --- */

/* Outcomes that nobody has spoken of become failures. */
void play_claim(struct ms_play *play);
/* What comes behind every action. */
void play_action_end(struct ms_play *play, const struct stmt *stmt);
/* The statement that the next step is; NULL: none. */
const struct stmt *play_next(struct ms_play *play);

/* --- interleave.c --- */

void do_interleave(struct ms_play *play, const struct stmt *stmt);
void interleave_yield(struct ms_play *play, enum nmmu_point point);
bool expect_some(struct ms_play *play, const struct stmt *stmt);
bool expect_schedules(struct ms_play *play, const struct stmt *stmt);

/* --- words.c --- */

/* A #PF error code, or EXITINFO1 of #NPF, taken apart. */
void words_error(u64 code, struct ms_buf *to);
/* An exit's qualification; false with nothing written: this reason has none that is known. */
bool words_qual(u64 reason, u64 qual, struct ms_buf *to);
const char *words_errno(int error); /* NULL: not known */

/* --- expect.c, expect_mmu.c --- */

/* False: it is not so, and play says what is. */
bool expect(struct ms_play *play, const struct stmt *stmt);
bool expect_mmu(struct ms_play *play, const struct stmt *stmt);
/* pins.c */
bool expect_pins(struct ms_play *play, const struct stmt *stmt);
bool expect_prefaulted(struct ms_play *play, const struct stmt *stmt, struct outcome *out);
/* A comparison: op is an enum arg_op. */
bool num_fits(u8 op, u64 found, u64 wanted);
/* Compare what was found with the argument, if it is given. */
bool check_num(struct ms_play *play, const struct stmt *stmt, enum key_id key, const char *what, u64 found);
/* A short description of what an action came to. */
void outcome_print(const struct outcome *out, struct ms_buf *to);

#endif
