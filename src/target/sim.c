/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The target "sim": the engine in process, on a machine that this program makes. There is no host behind it and
 * nothing of it is real, which every record says: release, owner and target.
 *
 *	sim			the built-in workload
 *	sim:7			... of another seed
 *	sim:seed=7,hv=svm,...	... in detail
 *	sim:FILE.scn		the machine of a scenario, as it is when that has been played
 *
 * Time. The machine stands still until something that was already told is asked for again: then it has moved on
 * by STEPS steps. So all that one command reads is of one moment, two commands of one process see two moments,
 * and what is seen depends on nothing but the spec and the number of readings. A scenario's machine stands
 * still for good.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/guard.h"
#include "scenario/scenario.h"
#include "scenario/workload.h"
#include "target/sim.h"

#define SEED 3
#define STEPS_FIRST 4000 /* before the first reading */
#define STEPS_MAX 1000000 /* what one may ask for with steps= */
#define STEPS 250 /* between two readings */
#define EVENTS_KEPT 16384

struct sim {
	struct ms_workload *workload; /* NULL: a scenario's machine */
	struct ms_scenario *scenario;
	struct ms_play *play;
	struct ms_sim_ring *ring;
	struct ms_sim_shown shown;
	u32 told; /* 1 << MS_WANT_ of each reading of this moment */
};

struct spec {
	struct ms_workload_opts workload;
	u64 steps;
};

/* --- the words behind sim: --- */

static struct ms_err *bad_spec(const char *word, size_t len, const char *hint)
{
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "target sim: '%.*s' is not understood", (int)len, word),
			   "%s", hint);
}

static bool parse_number(const char *word, size_t len, u64 max, u64 *ret)
{
	u64 value = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9' || value > (max - (u64)(word[i] - '0')) / 10)
			return false;
		value = value * 10 + (u64)(word[i] - '0');
	}
	*ret = value;
	return len > 0;
}

static bool is_word(const char *word, size_t len, const char *wanted)
{
	return strlen(wanted) == len && !memcmp(word, wanted, len);
}

static struct ms_err *parse_bug(const char *word, size_t len, u32 *bugs)
{
	static const char *const names[] = {
#define NMMU_BUG(id, name, seed, text, harm) name,
#include "nmmu/bugs.def"
#undef NMMU_BUG
	};
	size_t i;

	for (i = 0; i < NMMU_NR_BUGS; i++)
		if (is_word(word, len, names[i])) {
			*bugs |= 1u << i;
			return NULL;
		}
	return bad_spec(word, len, "bug=: pml-l2, la57-root, no-flush, writable-invariant or stale-qual");
}

static struct ms_err *parse_pair(const char *word, size_t len, struct spec *spec)
{
	const char *eq = memchr(word, '=', len);
	const char *value = eq ? eq + 1 : word;
	size_t name = eq ? (size_t)(eq - word) : 0, rest = len - (size_t)(value - word);
	struct ms_workload_opts *opts = &spec->workload;

	/* A bare number is the seed. */
	if ((!eq || is_word(word, name, "seed")) && parse_number(value, rest, ~0ull, &opts->seed))
		return NULL;
	if (is_word(word, name, "steps") && parse_number(value, rest, STEPS_MAX, &spec->steps))
		return NULL;
	if (is_word(word, name, "hv") && (is_word(value, rest, "vmx") || is_word(value, rest, "svm"))) {
		opts->hv = *value == 'v' ? MS_HV_VMX : MS_HV_SVM;
		return NULL;
	}
	if (is_word(word, name, "kernel") && (is_word(value, rest, "6.1") || is_word(value, rest, "6.12"))) {
		opts->kernel = rest == 3 ? NMMU_6_1 : NMMU_6_12;
		return NULL;
	}
	if (is_word(word, name, "bug"))
		return parse_bug(value, rest, &opts->bugs);
	return bad_spec(word, len,
			"sim, sim:SEED, sim:FILE.scn, or sim: with seed=N, hv=vmx|svm, kernel=6.1|6.12, "
			"steps=N, bug=NAME between commas");
}

static struct ms_err *parse_spec(const char *arg, struct spec *spec)
{
	struct ms_err *err = NULL;
	size_t len;

	*spec = (struct spec){ .workload = { .seed = SEED, .hv = MS_HV_VMX, .kernel = NMMU_6_12 },
			       .steps = STEPS_FIRST };
	while (arg && !err) {
		len = strcspn(arg, ",");
		err = parse_pair(arg, len, spec);
		arg = arg[len] ? arg + len + 1 : NULL;
	}
	return err;
}

/* --- operations --- */

static void sim_close(struct ms_target *target)
{
	struct sim *sim = target->priv;

	if (!sim)
		return;
	ms_workload_destroy(sim->workload);
	ms_play_destroy(sim->play);
	ms_scenario_destroy(sim->scenario);
	ms_sim_ring_destroy(sim->ring);
	free(sim);
	target->priv = NULL;
}

static struct ms_err *go_on(struct ms_target *target, u64 steps)
{
	struct sim *sim = target->priv;
	const struct ms_workload_stats *stats = ms_workload_stats(sim->workload);
	struct ms_err *err = ms_workload_run(sim->workload, steps);

	if (!err && (stats->l0_lost || stats->l1_lost))
		snprintf(target->note, sizeof(target->note),
			 "%llu pages of the VM and %llu of L2's were written and lost by migrations: "
			 "no log named them",
			 (unsigned long long)stats->l0_lost, (unsigned long long)stats->l1_lost);
	return err;
}

static struct ms_err *start_workload(struct ms_target *target, struct spec *spec)
{
	struct sim *sim = target->priv;
	struct ms_err *err;

	/* Where a bug is on, its harm is looked for. */
	spec->workload.check = spec->workload.bugs;
	spec->workload.event = ms_sim_ring_put;
	spec->workload.event_ctx = sim->ring;
	err = ms_workload_create(&spec->workload, &sim->workload);
	if (!err)
		err = go_on(target, spec->steps);
	if (err)
		return err;
	sim->shown.m = ms_machine_nmmu(ms_workload_machine(sim->workload));
	sim->shown.owner = "sim:hypervisor";
	return NULL;
}

/* --- a scenario's machine --- */

static bool is_file(const char *arg)
{
	size_t len = arg ? strlen(arg) : 0;

	return len > 4 && !strcmp(arg + len - 4, ".scn");
}

static struct ms_err *read_text(const char *path, struct ms_buf *text)
{
	FILE *file MS_FCLOSE = fopen(path, "re");
	char part[4096];
	size_t n;

	if (!file)
		return ms_err_errno(MS_ERR_TARGET, errno, "%s", path);
	while (text->len <= MS_SCENARIO_MAX_BYTES && (n = fread(part, 1, sizeof(part), file)))
		ms_buf_put(text, part, n);
	if (ferror(file))
		return ms_err_errno(MS_ERR_TARGET, errno, "%s", path);
	return text->oom ? ms_err_nomem() : NULL;
}

/* The text may quote the file. */
static void note_failure(struct ms_target *target, const struct ms_step_result *end)
{
	char *clean = ms_clean_dup(end->text);

	snprintf(target->note, sizeof(target->note), "the scenario failed at %u:%u: %s", end->line,
		 end->column, clean ? clean : "");
	free(clean);
}

/* A scenario that fails leaves a machine worth looking at: it is shown, and why is said. */
static struct ms_err *play(struct ms_target *target, struct sim *sim, const char *path)
{
	struct ms_play_opts opts = { .event = ms_sim_ring_put, .event_ctx = sim->ring };
	struct ms_step_result end;
	struct ms_err *err;

	err = ms_play_create(sim->scenario, &opts, &sim->play);
	if (err)
		return err;
	ms_play_run(sim->play, &end);
	if (!ms_play_machine(sim->play))
		return ms_err_new(MS_ERR_TARGET, "%s: it makes no machine%s%s", path,
				  end.step == MS_STEP_FAILED ? ": " : "",
				  end.step == MS_STEP_FAILED ? end.text : "");
	if (end.step == MS_STEP_FAILED)
		note_failure(target, &end);
	sim->shown.m = ms_machine_nmmu(ms_play_machine(sim->play));
	sim->shown.owner = "sim:scenario";
	return NULL;
}

static struct ms_err *start_scenario(struct ms_target *target, struct sim *sim, const char *path)
{
	struct ms_buf text = { 0 };
	struct ms_err *err = read_text(path, &text);

	if (!err)
		err = ms_scenario_parse(path, ms_buf_str(&text), text.len, &sim->scenario);
	ms_buf_deinit(&text);
	return err ? err : play(target, sim, path);
}

static struct ms_err *sim_open(struct ms_target *target, const char *arg, const struct ms_target_opts *opts)
{
	struct ms_err *err = NULL;
	struct spec spec;
	struct sim *sim;

	if (!is_file(arg))
		err = parse_spec(arg, &spec);
	if (err)
		return err;
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		return ms_err_nomem();
	target->priv = sim;
	sim->ring = ms_sim_ring_create(EVENTS_KEPT);
	if (!sim->ring)
		err = ms_err_nomem();
	else
		err = is_file(arg) ? start_scenario(target, sim, arg) : start_workload(target, &spec);
	if (err) {
		sim_close(target);
		return ms_err_wrap(err, "target sim");
	}
	target->caps = (sim->workload ? MS_CAP_LIVE : 0) | MS_CAP_EVENTS | MS_CAP_TRANSLATE;
	return NULL;
}

static struct ms_err *sim_read(struct ms_target *target, const struct ms_want *want,
			       const struct ms_sink *sink)
{
	struct sim *sim = target->priv;
	u32 bit = 1u << (want->what & MS_WANT_ALL);
	struct ms_err *err;

	if (sim->workload && sim->told & bit) {
		err = go_on(target, STEPS);
		if (err)
			return ms_err_wrap(err, "target sim");
		sim->told = 0;
	}
	sim->told |= bit;
	return ms_sim_records(&sim->shown, want, sink);
}

static struct ms_err *sim_check_vm(const struct sim *sim, u64 kvm)
{
	return kvm == ms_sim_kvm(sim->shown.m)
		       ? NULL
		       : ms_err_new(MS_ERR_TARGET, "target sim: no VM at 0x%llx", (unsigned long long)kvm);
}

static struct ms_err *sim_events(struct ms_target *target, u64 kvm, size_t max, struct ms_event_log *ret)
{
	struct sim *sim = target->priv;
	struct ms_err *err = sim_check_vm(sim, kvm);

	return err ? err : ms_sim_ring_read(sim->ring, max, ret);
}

static struct ms_err *sim_translate(struct ms_target *target, const struct ms_trace_req *req,
				    struct ms_trace *ret)
{
	struct sim *sim = target->priv;
	struct ms_err *err = sim_check_vm(sim, req->kvm);

	return err ? err : ms_sim_translate(sim->shown.m, req, ret);
}

const struct ms_target_ops ms_target_sim = {
	.name = "sim",
	.summary =
		"sim, sim:SEED, sim:seed=N,hv=vmx|svm,kernel=6.1|6.12: a simulated VM; sim:FILE.scn: a scenario's",
	.open = sim_open,
	.close = sim_close,
	.read = sim_read,
	.events = sim_events,
	.translate = sim_translate,
};
