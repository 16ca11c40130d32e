/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plays a scenario: one statement a step, loops, what was expected of whom, and two actions in each other.
 * What the statements do is in act*.c, what they check in expect*.c.
 */
#include "scenario/play.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define INNER_STACK_BYTES (512u << 10)

/* Behind this many statements the self-check runs only now and then: loops of a million rounds are legal. */
#define SELF_CHECK_ALWAYS 4096

#define PAGES_A_STEP 64

/*
 * The self-check looks at every page of every slot: with more of them than this it is left out behind some
 * actions.
 */
#define CHECK_PAGES_AN_ACTION (1u << 20)

bool play_fail(struct ms_play *play, const struct stmt *stmt, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (play->failed)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	play->failed = true;
	play->fail_line = stmt->line;
	play->fail_col = stmt->col;
	ms_buf_reset(&play->text);
	ms_buf_puts(&play->text, text);
	return false;
}

bool play_wrong(struct ms_play *play, const struct stmt *stmt, enum key_id key, const char *fmt, ...)
{
	const struct arg *arg = key < NR_KEYS ? stmt_arg(play->sc, stmt, key) : NULL;
	char text[400];
	va_list ap;

	if (play->failed)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	play_fail(play, stmt, "%s", text);
	play->wrong = true;
	if (arg)
		play->fail_col = arg->text.col;
	return false;
}

void play_fail_err(struct ms_play *play, const struct stmt *stmt, struct ms_err *err)
{
	play_fail(play, stmt, "%s", ms_err_text(err));
	ms_err_free(err);
}

bool play_spend(struct ms_play *play, const struct stmt *stmt)
{
	u64 max = play->opts.max_steps ? play->opts.max_steps : MS_SCENARIO_MAX_STEPS;

	if (++play->nr_steps + play->spent > max)
		play_fail(
			play, stmt,
			"more than %llu steps: statements, repeated accesses, and pages of what takes time for each",
			(unsigned long long)max);
	return !play->failed;
}

bool play_spend_pages(struct ms_play *play, const struct stmt *stmt, u64 pages)
{
	play->spent += pages / PAGES_A_STEP;
	play->nr_steps--;
	return play_spend(play, stmt);
}

u64 arg_eval(struct ms_play *play, const struct stmt *stmt, const struct arg *arg)
{
	struct expr_env env = {
		.scenario = play->sc,
		.stmt = (u32)(stmt - play->sc->stmts),
		.entry = table_entry,
		.ctx = play,
	};
	struct expr_error e;
	u64 value = 0;

	if (expr_eval(&env, arg->text, &value, &e) && !play->failed) {
		play_fail(play, stmt, "%s", e.text);
		play->fail_col = e.col;
	}
	return value;
}

u64 arg_num(struct ms_play *play, const struct stmt *stmt, enum key_id key, u64 missing)
{
	const struct arg *arg = stmt_arg(play->sc, stmt, key);

	return arg ? arg_eval(play, stmt, arg) : missing;
}

bool arg_has(struct ms_play *play, const struct stmt *stmt, enum key_id key)
{
	return stmt_arg(play->sc, stmt, key);
}

u32 arg_choice(struct ms_play *play, const struct stmt *stmt, enum key_id key, u32 missing)
{
	const struct arg *arg = stmt_arg(play->sc, stmt, key);

	return arg ? arg->num : missing;
}

int arg_vcpu(struct ms_play *play, const struct stmt *stmt)
{
	u64 vcpu = arg_num(play, stmt, KEY_VCPU, 0);

	if (vcpu < play->nr_vcpus && play->in_inner && play->outer_vcpus & 1u << vcpu) {
		play_fail(play, stmt, "vCPU %llu is in the middle of the action that this is done in",
			  (unsigned long long)vcpu);
		return -1;
	}
	if (vcpu < play->nr_vcpus) {
		if (!play->in_inner)
			play->outer_vcpus |= 1u << vcpu;
		return (int)vcpu;
	}
	play_wrong(play, stmt, KEY_VCPU, "there is no vCPU %llu: the machine has %u",
		   (unsigned long long)vcpu, play->nr_vcpus);
	return -1;
}

const struct nmmu_slot *play_slot(struct ms_play *play, const struct stmt *stmt, u16 as_id, u16 id)
{
	const struct nmmu_slot *slot = ms_machine_slot(play->machine, as_id, id);

	if (!slot)
		play_wrong(play, stmt, KEY_SLOT, "there is no slot %u", id);
	return slot;
}

const struct nmmu_slot *play_engine_slot(struct ms_play *play, const struct stmt *stmt, u16 as_id, u16 id)
{
	const struct nmmu_slot *slot = nmmu_slot_by_id(play_nmmu(play), as_id, id);

	if (!slot)
		play_wrong(play, stmt, KEY_SLOT, "there is no slot %u", id);
	return slot;
}

/* An outcome that is not plain success was not what the text counted on, unless it says so. */
static void claim(struct ms_play *play, struct outcome *out)
{
	const struct stmt at = { .line = out->line, .col = out->col };
	struct ms_buf text = { 0 };

	if (!out->unclaimed)
		return;
	out->unclaimed = false;
	outcome_print(out, &text);
	play_fail(play, &at, "nobody expected: %s", ms_buf_str(&text));
	ms_buf_deinit(&text);
}

/* --- two actions in each other --- */

static void inner_main(unsigned int low, unsigned int high)
{
	struct ms_play *play = (struct ms_play *)((uintptr_t)low | (uintptr_t)high << 32);

	act(play, &play->sc->stmts[play->inner_stmt], &play->inner);
	play->inner_alive = false;
	/* uc_link leads back to whoever switched here last. */
}

static void inner_resume(struct ms_play *play)
{
	play->in_inner = true;
	swapcontext(&play->outer_ctx, &play->inner_ctx);
	play->in_inner = false;
}

static void inner_start(struct ms_play *play, u32 stmt)
{
	if (!play->stack)
		play->stack = malloc(INNER_STACK_BYTES);
	if (!play->stack || getcontext(&play->inner_ctx)) {
		play_fail(play, &play->sc->stmts[stmt], "out of memory");
		return;
	}
	play->inner_ctx.uc_stack.ss_sp = play->stack;
	play->inner_ctx.uc_stack.ss_size = INNER_STACK_BYTES;
	play->inner_ctx.uc_link = &play->outer_ctx;
	play->inner_stmt = stmt;
	play->inner_alive = true;
	makecontext(&play->inner_ctx, (void (*)(void))(uintptr_t)inner_main, 2, (unsigned int)(uintptr_t)play,
		    (unsigned int)((uintptr_t)play >> 32));
	inner_resume(play);
}

static void on_yield(void *ctx, enum nmmu_point point)
{
	struct ms_play *play = ctx;
	u32 i;

	if (play->sched) {
		interleave_yield(play, point);
		return;
	}
	if (play->in_inner || play->inner_alive)
		return;
	for (i = 0; i < play->nr_hooks; i++) {
		struct hook *hook = &play->hooks[i];

		if (hook->done || play->sc->stmts[hook->stmt].point != (u8)point + 1 || --hook->left)
			continue;
		hook->done = true;
		/*
		 * Several may wait for one point: in the order of the text, unless one has to wait for the
		 * lock.
		 */
		claim(play, &play->inner);
		inner_start(play, hook->stmt);
		if (play->inner_alive || play->failed)
			return;
	}
}

/*
 * mmu_lock. The inner action waits for it by letting the outer one go on. The outer one never has to wait:
 * the inner one runs until it is done, or waits itself.
 */
static void on_lock(void *ctx)
{
	struct ms_play *play = ctx;

	if (play->sched) {
		ms_sched_lock(play->sched);
		return;
	}
	while (play->lock_held && play->in_inner) {
		play->inner_waits = true;
		swapcontext(&play->inner_ctx, &play->outer_ctx);
	}
	play->lock_held = true;
}

static void on_unlock(void *ctx)
{
	struct ms_play *play = ctx;

	if (play->sched) {
		ms_sched_unlock(play->sched);
		return;
	}
	play->lock_held = false;
	if (play->inner_waits && !play->in_inner) {
		play->inner_waits = false;
		inner_resume(play);
	}
}

/* Where somebody waits for whoever works in the engine. */
static u32 on_watched(void *ctx)
{
	const struct ms_play *play = ctx;
	u32 points = 0, i;

	if (play->sched || play->inner_alive)
		return ~0u;
	for (i = 0; i < play->nr_hooks; i++)
		points |= 1u << (play->sc->stmts[play->hooks[i].stmt].point - 1);
	return points ? points | 1u << 31 : 0;
}

static void on_event(void *ctx, const struct ms_event *event)
{
	struct ms_play *play = ctx;
	struct ms_event *events;

	if (play->opts.event)
		play->opts.event(play->opts.event_ctx, event);
	if (play->nr_events == MAX_EVENTS)
		return;
	events = ms_grow(play->events, &play->cap_events, play->nr_events + 1, sizeof(*events));
	if (!events)
		return;
	play->events = events;
	events[play->nr_events++] = *event;
}

/* --- the machine --- */

/* Choices of keys.def as the engine has them. */
static void config_from(struct ms_play *play, const struct stmt *stmt, struct nmmu_config *config)
{
	bool vmx = !arg_choice(play, stmt, KEY_HV, 0);

	*config = (struct nmmu_config){
		.hv = vmx ? MS_HV_VMX : MS_HV_SVM,
		.kernel = arg_choice(play, stmt, KEY_KERNEL, play->opts.kernel) ? NMMU_6_12 : NMMU_6_1,
		.tdp = !arg_has(play, stmt, KEY_SHADOW),
		.ad = arg_has(play, stmt, KEY_AD) || !vmx,
		.pml = arg_has(play, stmt, KEY_PML),
		.exec_only = arg_has(play, stmt, KEY_EXEC_ONLY),
		.la57 = arg_has(play, stmt, KEY_LA57),
		.gbpages = arg_has(play, stmt, KEY_GBPAGES),
		.nx_huge_pages = arg_has(play, stmt, KEY_NX_HUGE),
		.mmio_caching = !arg_choice(play, stmt, KEY_MMIO_CACHE, 0),
		.compat = arg_has(play, stmt, KEY_COMPAT),
		.no_zap_all = arg_has(play, stmt, KEY_NO_ZAP_ALL),
		.pins = arg_has(play, stmt, KEY_PINS),
		.phys_bits = (u8)arg_num(play, stmt, KEY_PHYS, 46),
		.guest_phys_bits = (u8)arg_num(play, stmt, KEY_GUEST_PHYS, 46),
		.max_pages = (u32)arg_num(play, stmt, KEY_LIMIT, 0),
		.first_generation = arg_num(play, stmt, KEY_GEN, 0),
		.bugs = play->opts.bugs,
		.mutant = (enum nmmu_mutant)play->opts.mutant,
	};
}

static u64 bounded(struct ms_play *play, const struct stmt *stmt, enum key_id key, u64 missing, u64 least,
		   u64 most)
{
	u64 value = arg_num(play, stmt, key, missing);

	if (value >= least && value <= most)
		return value;
	play_wrong(play, stmt, key, "%s: %llu is not %llu to %llu", ms_keys[key].name,
		   (unsigned long long)value, (unsigned long long)least, (unsigned long long)most);
	return least;
}

void act_machine(struct ms_play *play, const struct stmt *stmt)
{
	struct ms_machine_opts opts = {
		.seed = arg_num(play, stmt, KEY_SEED, 1),
		.tlb_entries = (u32)bounded(play, stmt, KEY_TLB, 64, 1, 4096),
		.event = on_event,
		.event_ctx = play,
		.yield = on_yield,
		.lock = on_lock,
		.unlock = on_unlock,
		.watched = on_watched,
		.device = play->opts.device,
		.device_ctx = play->opts.device_ctx,
		.yield_ctx = play,
	};
	u32 vcpus = (u32)bounded(play, stmt, KEY_VCPUS, 1, 1, MS_SCENARIO_MAX_VCPUS), id;
	struct ms_err *err;

	bounded(play, stmt, KEY_PHYS, 46, 36, 52);
	bounded(play, stmt, KEY_GUEST_PHYS, 46, 36, 52);
	bounded(play, stmt, KEY_LIMIT, 0, 0, 1u << 20);
	if (bounded(play, stmt, KEY_GEN, 0, 0, (1u << 19) - 4) % NMMU_NR_AS)
		play_wrong(play, stmt, KEY_GEN, "gen: the first generation is a multiple of %u", NMMU_NR_AS);
	if (opts.tlb_entries & (opts.tlb_entries - 1))
		play_wrong(play, stmt, KEY_TLB, "tlb: %u is no power of two", opts.tlb_entries);
	if (play->failed)
		return;
	config_from(play, stmt, &opts.config);
	err = ms_machine_create(&opts, &play->machine);
	while (!err && play->nr_vcpus < vcpus) {
		play->l1[play->nr_vcpus].cr0 = play->l2[play->nr_vcpus].cr0 = 0x11;
		play->pml12_index[play->nr_vcpus] = 511;
		err = ms_machine_add_vcpu(play->machine, &id);
		if (!err)
			play->nr_vcpus++;
	}
	if (err)
		play_fail_err(play, stmt, err);
}

/* --- steps --- */

static bool is_played(const struct ms_play *play, const struct stmt *stmt)
{
	if (stmt->only_with && (stmt->only_with & play->opts.bugs) != stmt->only_with)
		return false;
	return !(stmt->only_without & play->opts.bugs);
}

static void self_check(struct ms_play *play, const struct stmt *stmt)
{
	struct ms_self_check check;

	if (play->opts.no_self_check || !play->machine ||
	    (play->nr_steps > SELF_CHECK_ALWAYS && play->nr_steps % SELF_CHECK_ALWAYS))
		return;
	/* A bug that is switched on breaks rules: that is what it is for. */
	if (play->opts.bugs)
		return;
	if (play->check_debt > CHECK_PAGES_AN_ACTION) {
		play->check_debt -= CHECK_PAGES_AN_ACTION;
		return;
	}
	ms_machine_self_check(play->machine, &check);
	play->check_debt = check.cost;
	if (check.row)
		play_fail(play, stmt, "invariant %u is broken behind it: %s%s%.0llx", check.row, check.text,
			  check.has_gfn ? ", page of gfn 0x" : "", (unsigned long long)check.gfn);
}

static void hooks_end(struct ms_play *play)
{
	u32 i;

	if (play->inner_alive) {
		play->inner_waits = false;
		inner_resume(play);
	}
	for (i = 0; i < play->nr_hooks; i++)
		if (!play->hooks[i].done)
			play_fail(play, &play->sc->stmts[play->hooks[i].stmt],
				  "its point was not reached by the next action");
	play->nr_hooks = 0;
}

static void note_pml12(struct ms_play *play)
{
	struct ms_vcpu_state state;
	u32 i;

	for (i = 0; i < play->nr_vcpus; i++) {
		state = ms_machine_vcpu_state(play->machine, i);
		if (state.pml12)
			play->pml12_index[i] = state.pml12_index;
	}
}

void play_claim(struct ms_play *play)
{
	claim(play, &play->outcome);
	claim(play, &play->inner);
}

void play_action_end(struct ms_play *play, const struct stmt *stmt)
{
	if (play->machine)
		note_pml12(play);
	if (!play->failed)
		self_check(play, stmt);
	/* In process it tells of the engine's faults, which the random tests look for; of a device's somebody must. */
	if (play->opts.device && play->machine && ms_machine_misuse(play->machine))
		play_fail(play, stmt, "%s", ms_machine_misuse(play->machine));
}

static void do_action(struct ms_play *play, const struct stmt *stmt)
{
	claim(play, &play->outcome);
	claim(play, &play->inner);
	if (play->failed)
		return;
	if (stmt->point) {
		if (play->nr_hooks == MAX_HOOKS) {
			play_fail(play, stmt, "more than %d actions wait for the next one", MAX_HOOKS);
			return;
		}
		play->hooks[play->nr_hooks++] =
			(struct hook){ .stmt = (u32)(stmt - play->sc->stmts), .left = stmt->nth };
		return;
	}
	play->nr_events = 0;
	play->outer_vcpus = 0;
	play->outer_slots = false;
	if (stmt->verb == VERB_MACHINE)
		act_machine(play, stmt);
	else
		act(play, stmt, &play->outcome);
	hooks_end(play);
	play_action_end(play, stmt);
}

const struct stmt *play_next(struct ms_play *play)
{
	while (play->pc < play->sc->nr_stmts && !is_played(play, &play->sc->stmts[play->pc]))
		play->pc++;
	return play->pc < play->sc->nr_stmts ? &play->sc->stmts[play->pc] : NULL;
}

static void do_loop(struct ms_play *play, const struct stmt *stmt)
{
	u64 rounds;

	if (stmt->verb == VERB_END && play->sc->stmts[stmt->jump].verb == VERB_INTERLEAVE)
		return;
	if (stmt->verb == VERB_END) {
		if (--play->left[play->depth - 1])
			play->pc = stmt->jump + 1;
		else
			play->depth--;
		return;
	}
	rounds = arg_num(play, stmt, KEY_NR, 1);
	if (!rounds || rounds > MS_SCENARIO_MAX_ROUNDS)
		play_wrong(play, stmt, KEY_NR, "%llu rounds are not 1 to %u", (unsigned long long)rounds,
			   MS_SCENARIO_MAX_ROUNDS);
	else
		play->left[play->depth++] = rounds;
}

static void play_stmt(struct ms_play *play, const struct stmt *stmt)
{
	switch (ms_verbs[stmt->verb].group) {
	case GROUP_HEAD:
		break;
	case GROUP_EXPECT:
		if (stmt->some ? expect_some(play, stmt) : expect(play, stmt))
			play->nr_expects++;
		else
			play_fail(play, stmt, "it is not so");
		break;
	case GROUP_SETUP:
	case GROUP_ACT:
		if (stmt->verb == VERB_REPEAT || stmt->verb == VERB_END)
			do_loop(play, stmt);
		else if (stmt->verb == VERB_INTERLEAVE)
			do_interleave(play, stmt);
		else if (stmt->verb != VERB_LET && stmt->verb != VERB_THEN)
			do_action(play, stmt);
		break;
	}
}

void ms_play_step(struct ms_play *play, struct ms_step_result *ret)
{
	const struct stmt *stmt;

	*ret = (struct ms_step_result){ .step = MS_STEP_END, .text = "" };
	if (play->failed)
		return;
	stmt = play_next(play);
	if (stmt)
		play->pc++;
	if (!stmt) {
		claim(play, &play->outcome);
		claim(play, &play->inner);
		if (play->nr_hooks && !play->failed)
			play_fail(play, &play->sc->stmts[play->hooks[0].stmt],
				  "no action follows that it could be done in");
	} else {
		ret->line = stmt->line;
		ret->column = stmt->col;
		ret->expect = ms_verbs[stmt->verb].group == GROUP_EXPECT;
		ret->step = MS_STEP_DONE;
		if (play_spend(play, stmt))
			play_stmt(play, stmt);
	}
	if (play->failed) {
		ret->step = MS_STEP_FAILED;
		ret->line = play->fail_line;
		ret->column = play->fail_col;
		ret->wrong = play->wrong;
		ret->text = ms_buf_str(&play->text);
	}
}

void ms_play_run(struct ms_play *play, struct ms_step_result *ret)
{
	do
		ms_play_step(play, ret);
	while (ret->step == MS_STEP_DONE);
}

struct ms_err *ms_play_create(const struct ms_scenario *scenario, const struct ms_play_opts *opts,
			      struct ms_play **ret)
{
	struct ms_play *play = calloc(1, sizeof(*play));

	if (!play)
		return ms_err_nomem();
	play->sc = scenario;
	play->opts = *opts;
	*ret = play;
	return NULL;
}

void ms_play_destroy(struct ms_play *play)
{
	u32 i;

	if (!play)
		return;
	for (i = 0; i < MS_SCENARIO_MAX_TABLES; i++)
		ms_tables_destroy(play->tables[i]);
	ms_machine_destroy(play->machine);
	free(play->stack);
	free(play->held);
	free(play->events);
	free(play->log);
	ms_buf_deinit(&play->text);
	free(play);
}

struct ms_machine *ms_play_machine(struct ms_play *play)
{
	return play->machine;
}

u64 ms_play_nr_steps(const struct ms_play *play)
{
	return play->nr_steps;
}

u64 ms_play_nr_expects(const struct ms_play *play)
{
	return play->nr_expects;
}
