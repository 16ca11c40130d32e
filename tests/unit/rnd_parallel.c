/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several at once: vCPUs and the VMM or host, switched at the engine's yield points by a drawn schedule.
 * Where each access may go meanwhile is not judged. That no frame is reached which is gone, that every access
 * ends, and what the machine looks like when all have ended, is: its own checks, the audit, and the logs read
 * later.
 */
#include "tests/unit/rnd.h"

#include <string.h>

#include "scenario/sched.h"

#define ACCESSES 2

struct job {
	struct rnd *r;
	struct rnd_vcpu *vc;
	struct nmmu_access access[ACCESSES];
	u32 nr;
	u32 what; /* of a job without vCPU */
};

/* Faults only try again while the host or the VMM takes pages away. */
static bool is_blocked(const struct rnd *r)
{
	bool blocked = r->m && r->m->invalidate_in_progress;

	for (const struct nmmu_slot *s = r->m ? r->m->as[0].first : NULL; s; s = s->next)
		blocked |= s->flags & MS_SLOT_INVALID;
	return blocked;
}

void rnd_yield(void *ctx, enum nmmu_point point)
{
	struct rnd *r = ctx;

	if (point == NMMU_POINT_ENTER && is_blocked(r))
		ms_sched_pause(r->sched, point);
	else
		ms_sched_yield(r->sched, point);
}

void rnd_lock(void *ctx)
{
	ms_sched_lock(((struct rnd *)ctx)->sched);
}

void rnd_unlock(void *ctx)
{
	ms_sched_unlock(((struct rnd *)ctx)->sched);
}

/* The end of the schedule is where it went wrong. */
static const char *last_steps(const struct rnd *r)
{
	const char *text = ms_sched_text(r->sched);
	size_t len = strlen(text);

	return len > 400 ? text + len - 400 : text;
}

static void run_accesses(void *arg)
{
	struct job *job = arg;
	struct rnd *r = job->r;

	for (u32 i = 0; i < job->nr && !r->failed; i++) {
		struct ms_run run;
		u32 again = 0;

		/*
		 * A thousand steps of the host are more tries than one access has, and may end with the last
		 * one.
		 */
		do {
			ms_machine_access(r->machine, job->vc->id, &job->access[i], &run);
		} while (run.stuck && (is_blocked(r) || !again++));
		if (run.error == -EFAULT && run.pa)
			rnd_fail(r, "vCPU %u reached pa 0x%llx, where no frame is: %s", job->vc->id,
				 (unsigned long long)run.pa, last_steps(r));
		else if (run.stuck && r->cfg.kernel != NMMU_6_1)
			rnd_fail(r, "vCPU %u: an access does not end: %s", job->vc->id, last_steps(r));
		if (run.action == NMMU_ACT_EXIT_L1 && !run.error)
			break;
	}
}

static void run_vmm(void *arg)
{
	struct job *job = arg;
	struct rnd *r = job->r;

	switch (job->what) {
	case 0:
	case 1:
		rnd_log_round(r);
		break;
	case 2:
		rnd_clear_round(r);
		break;
	case 3:
	case 4:
		rnd_op_slot(r);
		break;
	case 5:
	case 6:
	case 7:
		rnd_op_migrate(r);
		break;
	case 8:
		rnd_op_age(r);
		break;
	case 9:
		nmmu_zap_all(r->m);
		break;
	case 12:
	case 13:
		rnd_pins_round(r);
		break;
	default:
		rnd_op_reclaim(r);
	}
}

/* Writes go to data, and the guests' tables are edited by one vCPU at most: what they held is then known. */
static bool draw_job(struct rnd *r, struct rnd_vcpu *vc, struct job *job, bool may_edit)
{
	*job = (struct job){ .r = r, .vc = vc, .nr = 1 + rnd_below(r, ACCESSES) };
	for (u32 i = 0; i < job->nr; i++) {
		struct rnd_want want;
		struct rnd_answer answer;

		if (may_edit && i == 0 && !vc->l2 && rnd_chance(r, 40)) {
			rnd_draw_edit(r, vc, &job->access[i]);
			job->nr = 1;
			return true;
		}
		rnd_draw_access(r, vc, &job->access[i]);
		want = (struct rnd_want){ .addr = job->access[i].gva,
					  .write = job->access[i].write,
					  .fetch = job->access[i].fetch,
					  .user = job->access[i].user,
					  .rmw = job->access[i].rmw };
		rnd_ask(r, vc, &want, &answer);
		for (u32 k = 0; k < answer.nr; k++)
			if (answer.paths[k].gpa >> 12 < RND_POOL_PAGES)
				job->access[i].write = job->access[i].rmw = false;
	}
	return false;
}

void rnd_op_parallel(struct rnd *r)
{
	struct job jobs[RND_VCPUS + 1];
	u32 first = rnd_below(r, RND_VCPUS), nr = 1 + rnd_below(r, 2), k;
	struct rnd_vcpu *editor = NULL;
	struct rnd_answer answer = { .nr = 0 };
	u64 before[RND_PATHS_MAX][2];

	for (k = 0; k < nr; k++) {
		struct rnd_vcpu *vc = &r->vc[(first + k) % RND_VCPUS];

		if (draw_job(r, vc, &jobs[k], !editor)) {
			struct rnd_want want = { .addr = jobs[k].access[0].gva, .write = true };

			editor = vc;
			rnd_ask(r, vc, &want, &answer);
			for (u32 i = 0; i < answer.nr; i++)
				rnd_read_pair(r, answer.paths[i].gpa, before[i]);
		}
		if (ms_sched_add(r->sched, run_accesses, &jobs[k]))
			rnd_fail(r, "no coroutine");
	}
	jobs[k] = (struct job){ .r = r,
				.what = rnd_mix->job ? rnd_mix->job - 1u
						     : rnd_below(r, r->cfg.pins ? 14 : 12) };
	if (ms_sched_add(r->sched, run_vmm, &jobs[k]))
		rnd_fail(r, "no coroutine");
	snprintf(r->what, sizeof(r->what), "%u vCPUs and VMM %u at once", nr, jobs[k].what);
	if (ms_sched_run(r->sched))
		rnd_fail(r, "deadlock: %s", last_steps(r));
	for (u32 i = 0; i < answer.nr; i++)
		rnd_note_raced_write(r, answer.paths[i].gpa, before[i]);
	for (k = 0; k < RND_VCPUS; k++)
		if (r->vc[k].l2 && !r->vc[k].v->guest_mode)
			rnd_left_l2(r, &r->vc[k]);
	r->count->parallel++;
}
