/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scenarios: a text that builds a machine, acts on it and says what must come of it (doc/scenarios.md). A
 * text is parsed once and played any number of times, one statement a step, so that a viewer can stop behind
 * each. Text is untrusted: sizes, numbers and nesting are bounded, errors name line and column.
 */
#ifndef SCENARIO_SCENARIO_H
#define SCENARIO_SCENARIO_H

#include "base/buf.h"
#include "base/err.h"
#include "scenario/machine.h"

#define MS_SCENARIO_MAX_BYTES (1u << 20)
#define MS_SCENARIO_MAX_LINES 20000
#define MS_SCENARIO_MAX_STMTS 10000
#define MS_SCENARIO_MAX_ARGS 32 /* of one statement */
#define MS_SCENARIO_MAX_NAMES 256
#define MS_SCENARIO_MAX_TABLES 32
#define MS_SCENARIO_MAX_VCPUS 8
#define MS_SCENARIO_MAX_DEPTH 4 /* of repeat */
#define MS_SCENARIO_MAX_ROUNDS (1u << 24) /* of one repeat */
#define MS_SCENARIO_MAX_TIMES (1u << 20) /* of one access, pages of one map */
#define MS_SCENARIO_MAX_SCHEDULES (1u << 16) /* of one interleave */
#define MS_SCENARIO_MAX_PAGES (1u << 21) /* of a slot */
#define MS_SCENARIO_MAX_STEPS (4u << 20) /* of one play, an access of `times=' counted each time */

struct ms_scenario;

/* The text need not end with a newline nor with NUL. name is how messages call it. Usage errors only. */
struct ms_err *ms_scenario_parse(const char *name, const char *text, size_t len,
				 struct ms_scenario **ret) MS_MUST_CHECK;
void ms_scenario_destroy(struct ms_scenario *scenario); /* takes NULL */

/* What its head says; "" when it does not. Valid as long as the scenario. */
const char *ms_scenario_title(const struct ms_scenario *scenario);
const char *ms_scenario_rule(const struct ms_scenario *scenario);
const char *ms_scenario_twin(const struct ms_scenario *scenario);
/* Bugs that it shows (1u << enum nmmu_bug): it is to be played without and with each. */
u32 ms_scenario_bugs(const struct ms_scenario *scenario);
/* Does its machine name a kernel? If not it is to be played as each. */
bool ms_scenario_names_kernel(const struct ms_scenario *scenario);
u32 ms_scenario_nr_stmts(const struct ms_scenario *scenario);
u32 ms_scenario_nr_expects(const struct ms_scenario *scenario);
/* Name of a bug switch or mutant, and back; NULL and false when there is none. */
const char *ms_bug_name(u32 bug);
bool ms_bug_find(const char *name, size_t len, u32 *bug_ret);
const char *ms_mutant_name(u32 mutant); /* from 1 */
const char *ms_mutant_scenario(u32 mutant); /* the one it must break */
bool ms_mutant_find(const char *name, u32 *mutant_ret);

/* --- playing --- */

struct ms_play;

struct ms_play_opts {
	enum nmmu_kernel kernel; /* for a machine that names none */
	u32 bugs; /* switched on beside the machine's own: 1u << enum nmmu_bug */
	u32 mutant; /* enum nmmu_mutant; works in test builds only */
	bool no_self_check; /* otherwise the engine's invariants are looked at behind every action */
	u64 max_steps; /* 0: MS_SCENARIO_MAX_STEPS */
	void (*event)(void *ctx, const struct ms_event *event); /* may be NULL */
	void *event_ctx;
	const struct ms_device *device; /* NULL: the engine is in process */
	void *device_ctx;
};

enum ms_step {
	MS_STEP_DONE, /* the statement was carried out, or what it expects is so */
	MS_STEP_FAILED, /* it is not so: text says what was found */
	MS_STEP_END, /* there is no statement left */
};

struct ms_step_result {
	enum ms_step step;
	u32 line, column; /* of the statement; of an action whose outcome nobody expected */
	const char *text; /* FAILED: one line; valid until the next step */
	bool expect; /* the statement was an expectation */
	bool wrong; /* FAILED: the text asks for what there is not, rather than that it is not so */
};

/* The scenario outlives the play. MS_ERR_MEMORY, or an error of a machine that contradicts itself. */
struct ms_err *ms_play_create(const struct ms_scenario *scenario, const struct ms_play_opts *opts,
			      struct ms_play **ret) MS_MUST_CHECK;
void ms_play_destroy(struct ms_play *play); /* takes NULL */
/* The next statement. After FAILED and END: END. */
void ms_play_step(struct ms_play *play, struct ms_step_result *ret);
/* To the end, or the first failure. */
void ms_play_run(struct ms_play *play, struct ms_step_result *ret);
/* NULL before the statement `machine'. */
struct ms_machine *ms_play_machine(struct ms_play *play);
/* Statements carried out, and expectations found to be so. */
u64 ms_play_nr_steps(const struct ms_play *play);
u64 ms_play_nr_expects(const struct ms_play *play);

#endif
