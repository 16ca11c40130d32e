/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An audit of a target that may be in motion: what is found is looked for in further readings. */
#include "audit/audit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of the events that a target keeps, so many of the last. */
#define EVENTS_JUDGED 16384u
/*
 * Readings of a running VM that a finding has to be in, with longer and longer pauses between them, 155 ms in all.
 * What is compared (an SPTE and a page's unsync, a list and its entries, pages and a generation) changes at
 * different moments: where it never rests three readings miss in the same way now and then, and a busy host may
 * take a while from one change to the next.
 */
#define READINGS 6u
#define PAUSE_NS 5000000l

static void wait_a_little(u32 reading)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS << (reading - 1) };

	/* A signal cuts it short, and the readings decide all the same. */
	nanosleep(&pause, NULL);
}

bool ms_audit_counts(const struct ms_model *model, const struct ms_finding *finding)
{
	return finding->readings >= READINGS || finding->of_one_moment ||
	       ms_invariants[finding->row].lock == MS_AUDIT_ONE || ms_audit_is_still(model);
}

/* The worst first, then by row and place. */
static int by_weight(const void *left, const void *right, void *ctx)
{
	const struct ms_finding *findings = ctx;
	const struct ms_finding *a = &findings[*(const size_t *)left], *b = &findings[*(const size_t *)right];
	enum ms_audit_severity sa = ms_invariants[a->row].severity, sb = ms_invariants[b->row].severity;

	return sa != sb ? (sa > sb ? -1 : 1) : ms_finding_cmp(a, b);
}

size_t *ms_audit_order(const struct ms_model *model, const struct ms_audit *audit, size_t *kept_ret)
{
	size_t *order = calloc(audit->nr ? audit->nr : 1, sizeof(*order)), nr = 0, i;

	if (!order)
		return NULL;
	for (i = 0; i < audit->nr; i++)
		if (ms_audit_counts(model, &audit->findings[i]))
			order[nr++] = i;
	*kept_ret = nr;
	for (i = 0; i < audit->nr; i++)
		if (!ms_audit_counts(model, &audit->findings[i]))
			order[nr++] = i;
	qsort_r(order, *kept_ret, sizeof(*order), by_weight, audit->findings);
	qsort_r(order + *kept_ret, nr - *kept_ret, sizeof(*order), by_weight, audit->findings);
	return order;
}

/*
 * What compares an SPTE with a list that was read after it: of those whose SPTE is another by now the reading does not
 * count. One that cannot be read any more is another.
 */
static struct ms_err *look_again(struct ms_target *target, const struct ms_model *model,
				 struct ms_audit *audit)
{
	/* The CPU's own bits say nothing of lists. */
	u64 same = ~(model->profile.m.accessed | model->profile.m.dirty);
	u64 *now = calloc(audit->nr ? audit->nr : 1, sizeof(*now));
	struct ms_kread *reqs = calloc(audit->nr ? audit->nr : 1, sizeof(*reqs));
	struct ms_err *err = NULL;
	size_t i, nr = 0;

	if (!now || !reqs) {
		free(now);
		free(reqs);
		return ms_err_nomem();
	}
	for (i = 0; i < audit->nr; i++)
		if (audit->findings[i].look_at) {
			reqs[nr] = (struct ms_kread){ .addr = audit->findings[i].look_at,
						      .dst = &now[nr],
						      .len = sizeof(*now) };
			nr++;
		}
	if (nr)
		err = ms_target_kread(target, reqs, nr);
	for (i = nr = 0; i < audit->nr && !err; i++) {
		struct ms_finding *f = &audit->findings[i];

		if (!f->look_at)
			continue;
		if (reqs[nr].status || (now[nr] ^ f->look_raw) & same)
			f->readings--;
		nr++;
	}
	free(now);
	free(reqs);
	return err;
}

/* A VM that has gone has nothing again. */
static struct ms_err *read_again(struct ms_target *target, const struct ms_want *want, u64 rows,
				 struct ms_audit *audit)
{
	struct ms_audit again = { 0 };
	struct ms_model *model;
	struct ms_err *err;
	size_t i;

	err = ms_model_load(target, want, &model);
	if (err)
		return err;
	for (i = 0; i < model->nr_vms && !err; i++)
		if (model->vms[i].rec.kvm == want->kvm)
			err = ms_audit_vm(model, &model->vms[i], rows, NULL, &again);
	if (!err && target->caps & MS_CAP_KREAD)
		err = look_again(target, model, &again);
	if (!err)
		ms_audit_keep(audit, &again);
	ms_audit_deinit(&again);
	ms_model_destroy(model);
	return err;
}

/* Is there one that was in every reading so far, and has to be in more? */
static bool any_may_count(const struct ms_audit *audit, u32 readings)
{
	size_t i;

	for (i = 0; i < audit->nr; i++)
		if (audit->findings[i].readings == readings && !audit->findings[i].of_one_moment &&
		    ms_invariants[audit->findings[i].row].lock != MS_AUDIT_ONE)
			return true;
	return false;
}

struct ms_err *ms_audit_target(struct ms_target *target, const struct ms_want *want,
			       const struct ms_model *model, const struct ms_vm *vm, u64 rows,
			       struct ms_audit *ret)
{
	bool keeps_events = target->caps & MS_CAP_EVENTS;
	struct ms_event_log events = { 0 };
	struct ms_err *err = NULL;
	u32 reading;

	memset(ret, 0, sizeof(*ret));
	if (keeps_events)
		err = ms_target_events(target, vm->rec.kvm, EVENTS_JUDGED, &events);
	if (!err)
		err = ms_audit_vm(model, vm, rows, keeps_events ? &events : NULL, ret);
	free(events.events);
	if (!(model->caps & MS_CAP_LIVE) || ms_audit_is_still(model))
		return err;
	if (!err && target->caps & MS_CAP_KREAD)
		err = look_again(target, model, ret);
	for (reading = 1; !err && reading < READINGS && any_may_count(ret, reading); reading++) {
		wait_a_little(reading);
		err = read_again(target, want, rows, ret);
	}
	return err;
}
