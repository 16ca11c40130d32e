/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Coroutines and the choice of who runs next: see sched.h. */
#include "scenario/sched.h"

#include <stdlib.h>
#include <ucontext.h>

#include "base/buf.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define SCHED_ASAN 1
#else
#define SCHED_ASAN 0
#endif

#define STACK_BYTES (256u << 10)
#define NOBODY (~0u)

enum action_state {
	ACTION_READY,
	ACTION_WAITING, /* for the lock */
	ACTION_PAUSED, /* until another has run */
	ACTION_DONE,
};

struct action {
	struct ms_sched *sched;
	void (*fn)(void *arg);
	void *arg;
	enum action_state state;
	ucontext_t ctx;
	void *stack; /* kept from run to run */
	void *fake_stack; /* ASan's, while it is not running */
};

/* One decision where more than one could go on. */
struct choice {
	u8 taken, options;
};

struct ms_sched {
	struct action actions[MS_SCHED_ACTIONS];
	u32 nr_actions;
	u32 running; /* NOBODY: outside, or the scheduler itself */
	u32 lock_owner;
	ucontext_t main_ctx;
	void *main_fake_stack;
	const void *main_stack;
	size_t main_stack_bytes;
	/* Where the running action stands. */
	u32 at_point;

	/* Exploring. */
	u32 points;
	struct choice *choices;
	size_t nr_choices, cap_choices;
	size_t depth; /* choices made in this run */
	bool oom;

	/* Drawn. */
	bool random;
	u64 rng;

	/* A script. */
	const struct ms_sched_step *steps;
	u32 nr_steps, step, seen;

	u64 nr_runs;
	struct ms_buf text;
};

static const char *const point_names[] = {
#define NMMU_POINT(id, name) name,
#include "nmmu/points.def"
#undef NMMU_POINT
};

struct ms_err *ms_sched_create(struct ms_sched **ret)
{
	struct ms_sched *sched = calloc(1, sizeof(*sched));

	if (!sched)
		return ms_err_nomem();
	sched->running = NOBODY;
	sched->lock_owner = NOBODY;
	sched->points = MS_SCHED_ALL_POINTS;
	*ret = sched;
	return NULL;
}

void ms_sched_destroy(struct ms_sched *sched)
{
	if (!sched)
		return;
	for (u32 i = 0; i < MS_SCHED_ACTIONS; i++)
		free(sched->actions[i].stack);
	free(sched->choices);
	ms_buf_deinit(&sched->text);
	free(sched);
}

void ms_sched_explore(struct ms_sched *sched, u32 points)
{
	sched->random = false;
	sched->steps = NULL;
	sched->points = points;
	sched->nr_choices = 0;
	sched->nr_runs = 0;
}

void ms_sched_script(struct ms_sched *sched, const struct ms_sched_step *steps, u32 nr)
{
	sched->random = false;
	sched->steps = steps;
	sched->nr_steps = nr;
	sched->points = MS_SCHED_ALL_POINTS;
	sched->nr_choices = 0;
	sched->nr_runs = 0;
}

void ms_sched_random(struct ms_sched *sched, u64 seed)
{
	sched->steps = NULL;
	sched->random = true;
	sched->rng = seed;
	sched->nr_runs = 0;
}

bool ms_sched_replay(struct ms_sched *sched, u32 points, const char *digits, u32 nr)
{
	struct choice *choices = ms_grow(sched->choices, &sched->cap_choices, nr + 1, sizeof(*choices));

	if (!choices)
		return false;
	ms_sched_explore(sched, points);
	sched->choices = choices;
	for (u32 i = 0; i < nr; i++)
		choices[i] = (struct choice){ .taken = (u8)(digits[i] - '0') };
	sched->nr_choices = nr;
	return true;
}

void ms_sched_digits(const struct ms_sched *sched, struct ms_buf *to)
{
	size_t nr = sched->depth;

	while (nr && !sched->choices[nr - 1].taken)
		nr--;
	for (size_t i = 0; i < nr; i++)
		ms_buf_putc(to, (char)('0' + sched->choices[i].taken));
	if (!nr)
		ms_buf_putc(to, '0');
}

u64 ms_sched_nr(const struct ms_sched *sched)
{
	return sched->nr_runs;
}

u32 ms_sched_missed(const struct ms_sched *sched)
{
	return sched->steps ? sched->nr_steps - sched->step : 0;
}

const char *ms_sched_text(const struct ms_sched *sched)
{
	return ms_buf_str(&sched->text);
}

/* --- switching --- */

/* From the scheduler into an action, until it comes back. */
static void switch_in(struct ms_sched *sched, u32 i)
{
	struct action *a = &sched->actions[i];

	sched->running = i;
#if SCHED_ASAN
	__sanitizer_start_switch_fiber(&sched->main_fake_stack, a->stack, STACK_BYTES);
#endif
	swapcontext(&sched->main_ctx, &a->ctx);
#if SCHED_ASAN
	__sanitizer_finish_switch_fiber(sched->main_fake_stack, NULL, NULL);
#endif
	sched->running = NOBODY;
}

/* From an action back to the scheduler; `last': it will not be resumed. */
static void switch_out(struct ms_sched *sched, bool last)
{
	struct action *a = &sched->actions[sched->running];

#if SCHED_ASAN
	__sanitizer_start_switch_fiber(last ? NULL : &a->fake_stack, sched->main_stack,
				       sched->main_stack_bytes);
#endif
	(void)last;
	swapcontext(&a->ctx, &sched->main_ctx);
#if SCHED_ASAN
	__sanitizer_finish_switch_fiber(a->fake_stack, &sched->main_stack, &sched->main_stack_bytes);
#endif
}

/* makecontext() passes ints only: a pointer goes as two halves. */
static void action_main(u32 high, u32 low)
{
	struct action *a = (void *)(uintptr_t)((u64)high << 32 | low);
	struct ms_sched *sched = a->sched;

#if SCHED_ASAN
	__sanitizer_finish_switch_fiber(NULL, &sched->main_stack, &sched->main_stack_bytes);
#endif
	a->fn(a->arg);
	a->state = ACTION_DONE;
	sched->at_point = MS_SCHED_END;
	switch_out(sched, true);
}

int ms_sched_add(struct ms_sched *sched, void (*fn)(void *arg), void *arg)
{
	struct action *a = &sched->actions[sched->nr_actions];
	u64 self = (uintptr_t)a;

	if (sched->nr_actions == MS_SCHED_ACTIONS)
		return -ENOSPC;
	if (!a->stack) {
		a->stack = malloc(STACK_BYTES);
		if (!a->stack)
			return -ENOMEM;
	}
#if SCHED_ASAN
	/* Frames of an action that was abandoned or has ended. */
	__asan_unpoison_memory_region(a->stack, STACK_BYTES);
#endif
	a->sched = sched;
	a->fn = fn;
	a->arg = arg;
	a->state = ACTION_READY;
	getcontext(&a->ctx);
	a->ctx.uc_stack.ss_sp = a->stack;
	a->ctx.uc_stack.ss_size = STACK_BYTES;
	a->ctx.uc_link = NULL;
	makecontext(&a->ctx, (void (*)(void))action_main, 2, (u32)(self >> 32), (u32)self);
	sched->nr_actions++;
	return 0;
}

/* --- choosing --- */

/* The i-th of those that can run, the one that ran last being the first. */
static u32 nth_ready(const struct ms_sched *sched, u32 last, u32 nth)
{
	if (last != NOBODY && sched->actions[last].state == ACTION_READY && !nth--)
		return last;
	for (u32 i = 0; i < sched->nr_actions; i++)
		if (i != last && sched->actions[i].state == ACTION_READY && !nth--)
			return i;
	return NOBODY;
}

static u32 count_ready(const struct ms_sched *sched)
{
	u32 nr = 0;

	for (u32 i = 0; i < sched->nr_actions; i++)
		nr += sched->actions[i].state == ACTION_READY;
	return nr;
}

static u32 choose_explored(struct ms_sched *sched, u32 last)
{
	u32 options = count_ready(sched);
	bool may_switch = last == NOBODY || sched->actions[last].state != ACTION_READY ||
			  sched->points & 1u << sched->at_point;

	if (options <= 1 || !may_switch)
		return nth_ready(sched, last, 0);
	if (sched->depth == sched->nr_choices) {
		struct choice *more =
			ms_grow(sched->choices, &sched->cap_choices, sched->nr_choices + 1, sizeof(*more));

		if (!more) {
			sched->oom = true;
			return nth_ready(sched, last, 0);
		}
		sched->choices = more;
		more[sched->nr_choices++] = (struct choice){ .options = options };
	}
	/* A digit that was given may be none of this machine's. */
	if (sched->choices[sched->depth].taken >= options)
		sched->choices[sched->depth].taken = 0;
	return nth_ready(sched, last, sched->choices[sched->depth++].taken);
}

/* As likely to go on as to switch. */
static u32 choose_drawn(struct ms_sched *sched, u32 last)
{
	u32 options = count_ready(sched);
	u64 z = sched->rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z ^= z >> 27;
	if (!options)
		return NOBODY;
	return nth_ready(sched, last, z & 1 ? 0 : (z >> 8) % options);
}

static u32 choose_scripted(struct ms_sched *sched, u32 last)
{
	u32 want;

	/* Has the step that is under way come to its end? */
	if (sched->step < sched->nr_steps && last != NOBODY && last == sched->steps[sched->step].action) {
		const struct ms_sched_step *step = &sched->steps[sched->step];
		u32 times = step->times ? step->times : 1;

		if (sched->at_point == step->point && sched->actions[last].state != ACTION_WAITING &&
		    ++sched->seen >= times) {
			sched->step++;
			sched->seen = 0;
		}
	}
	if (sched->step >= sched->nr_steps)
		return nth_ready(sched, NOBODY, 0);
	want = sched->steps[sched->step].action;
	if (want < sched->nr_actions && sched->actions[want].state == ACTION_READY)
		return want;
	return nth_ready(sched, NOBODY, 0);
}

static u32 choose(struct ms_sched *sched, u32 last)
{
	if (sched->steps)
		return choose_scripted(sched, last);
	return sched->random ? choose_drawn(sched, last) : choose_explored(sched, last);
}

static void wake_paused(struct ms_sched *sched, u32 ran)
{
	for (u32 i = 0; i < sched->nr_actions; i++)
		if (i != ran && sched->actions[i].state == ACTION_PAUSED)
			sched->actions[i].state = ACTION_READY;
}

/* All who are not done wait: those who only pause can. */
static u32 wake_one(struct ms_sched *sched)
{
	for (u32 i = 0; i < sched->nr_actions; i++) {
		if (sched->actions[i].state != ACTION_PAUSED)
			continue;
		sched->actions[i].state = ACTION_READY;
		return i;
	}
	return NOBODY;
}

int ms_sched_run(struct ms_sched *sched)
{
	u32 last = NOBODY;
	int rc = 0;

	ms_buf_reset(&sched->text);
	sched->depth = 0;
	sched->step = 0;
	sched->seen = 0;
	sched->lock_owner = NOBODY;
	for (;;) {
		u32 next = choose(sched, last);

		if (next == NOBODY)
			next = wake_one(sched);
		if (next == NOBODY)
			break;
		switch_in(sched, next);
		wake_paused(sched, next);
		ms_buf_printf(&sched->text, "%s%u:%s", sched->text.len ? " " : "", next,
			      sched->at_point == MS_SCHED_END ? "end" : point_names[sched->at_point]);
		last = next;
	}
	for (u32 i = 0; i < sched->nr_actions; i++)
		if (sched->actions[i].state != ACTION_DONE)
			rc = -EDEADLK;
	sched->nr_actions = 0;
	sched->lock_owner = NOBODY;
	sched->nr_runs++;
	return rc;
}

bool ms_sched_next(struct ms_sched *sched)
{
	if (sched->random)
		return true;
	if (sched->steps || sched->oom)
		return false;
	/* Depth first: the last decision that has another way to go. */
	sched->nr_choices = sched->depth;
	while (sched->nr_choices) {
		struct choice *c = &sched->choices[sched->nr_choices - 1];

		if (++c->taken < c->options)
			return true;
		sched->nr_choices--;
	}
	return false;
}

/* --- hooks --- */

void ms_sched_yield(void *ctx, enum nmmu_point point)
{
	struct ms_sched *sched = ctx;

	if (sched->running == NOBODY)
		return;
	sched->at_point = point;
	switch_out(sched, false);
}

void ms_sched_pause(void *ctx, enum nmmu_point point)
{
	struct ms_sched *sched = ctx;

	if (sched->running == NOBODY)
		return;
	sched->actions[sched->running].state = ACTION_PAUSED;
	sched->at_point = point;
	switch_out(sched, false);
}

void ms_sched_lock(void *ctx)
{
	struct ms_sched *sched = ctx;

	if (sched->running == NOBODY)
		return;
	while (sched->lock_owner != NOBODY) {
		sched->actions[sched->running].state = ACTION_WAITING;
		sched->at_point = NMMU_POINT_LOCK;
		switch_out(sched, false);
	}
	sched->lock_owner = sched->running;
}

void ms_sched_unlock(void *ctx)
{
	struct ms_sched *sched = ctx;

	if (sched->running == NOBODY)
		return;
	sched->lock_owner = NOBODY;
	for (u32 i = 0; i < sched->nr_actions; i++)
		if (sched->actions[i].state == ACTION_WAITING)
			sched->actions[i].state = ACTION_READY;
}
