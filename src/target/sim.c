/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The target "sim": the engine in process, on a machine that this program makes. There is no host behind it
 * and nothing of it is real, which every record says: release, owner and target.
 *
 *	sim			the built-in workload
 *	sim:7			... of another seed
 *	sim:seed=7,hv=svm,...	... in detail
 *	sim:FILE.scn,...	the machine of a scenario, as it is when that has been played; kernel= and bug= as
 *				for `run', which plays it every way
 *
 * The target "kmod" has the last of these, with the engine in the kernel: the module's.
 *
 * Time. The machine stands still until something that was already told is asked for again: then it has moved
 * on by STEPS steps. So all that one command reads is of one moment, two commands of one process see two
 * moments, and what is seen depends on nothing but the spec and the number of readings. While it is listened to
 * it moves on by the listener's waiting, a step a millisecond. A scenario's machine stands still for good.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
	struct ms_sim_clock clock;
	u32 bugs; /* of the workload: 1u << enum nmmu_bug */
	bool told[MS_WANT_ALL + 1]; /* by MS_WANT_ bits: each reading of this moment */
};

struct spec {
	const char *target; /* name */
	struct ms_workload_opts workload;
	u64 steps;
	u32 given; /* 1u << enum word */
	u32 last; /* enum word that came last, NR_WORDS: none */
};

/* --- the words behind sim: --- */

static struct ms_err *bad_spec(const struct spec *spec, const char *word, size_t len, const char *hint)
{
	return ms_err_hint(
		ms_err_new(MS_ERR_USAGE, "target %s: '%.*s' is not understood", spec->target, (int)len, word),
		"%s", hint);
}

static bool is_digits(const char *word, size_t len)
{
	return len && word[0] >= '0' && word[0] <= '9';
}

/* Decimal, or hexadecimal behind 0x. */
static bool parse_number(const char *word, size_t len, u64 max, u64 *ret)
{
	bool hex = len > 2 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
	u64 base = hex ? 16 : 10, value = 0, digit;
	size_t i;

	for (i = hex ? 2 : 0; i < len; i++) {
		if (word[i] >= '0' && word[i] <= '9')
			digit = (u64)(word[i] - '0');
		else if (hex && (word[i] | 0x20) >= 'a' && (word[i] | 0x20) <= 'f')
			digit = (u64)((word[i] | 0x20) - 'a' + 10);
		else
			return false;
		if (value > (max - digit) / base)
			return false;
		value = value * base + digit;
	}
	*ret = value;
	return len > 0;
}

static bool is_word(const char *word, size_t len, const char *wanted)
{
	return strlen(wanted) == len && !memcmp(word, wanted, len);
}

enum word { WORD_SEED, WORD_HV, WORD_KERNEL, WORD_STEPS, WORD_BUG, NR_WORDS };

static const struct {
	const char *name, *values;
	bool scenario; /* also for a scenario's machine */
} words[NR_WORDS] = {
	[WORD_SEED] = { "seed", "a number of 64 bits", false },
	[WORD_HV] = { "hv", "vmx or svm", false },
	[WORD_KERNEL] = { "kernel", "6.1 or 6.12", true },
	[WORD_STEPS] = { "steps", "0 to 1000000", false },
	[WORD_BUG] = { "bug",
		       "pml-l2, la57-root, no-flush, writable-invariant or stale-qual, more between commas",
		       true },
};
_Static_assert(STEPS_MAX == 1000000, "what the error of steps= says");

/* A bare number is the seed, a bare name one more of those behind bug=. */
static u32 word_find(const char *word, size_t len, const struct spec *spec)
{
	const char *eq = memchr(word, '=', len);
	u32 i;

	if (!eq && is_digits(word, len))
		return WORD_SEED;
	if (!eq)
		return spec->last == WORD_BUG ? WORD_BUG : NR_WORDS;
	for (i = 0; i < NR_WORDS; i++)
		if (is_word(word, (size_t)(eq - word), words[i].name))
			return i;
	return NR_WORDS;
}

static bool parse_value(u32 word, const char *value, size_t len, struct spec *spec)
{
	struct ms_workload_opts *opts = &spec->workload;
	u32 bug;

	switch (word) {
	case WORD_SEED:
		return parse_number(value, len, ~0ull, &opts->seed);
	case WORD_STEPS:
		return parse_number(value, len, STEPS_MAX, &spec->steps);
	case WORD_HV:
		opts->hv = is_word(value, len, "svm") ? MS_HV_SVM : MS_HV_VMX;
		return is_word(value, len, "vmx") || is_word(value, len, "svm");
	case WORD_KERNEL:
		opts->kernel = is_word(value, len, "6.1") ? NMMU_6_1 : NMMU_6_12;
		return is_word(value, len, "6.1") || is_word(value, len, "6.12");
	default:
		if (!ms_bug_find(value, len, &bug) || opts->bugs & 1u << bug)
			return false;
		opts->bugs |= 1u << bug;
		return true;
	}
}

static struct ms_err *parse_word(const char *text, size_t len, bool scenario, struct spec *spec)
{
	const char *eq = memchr(text, '=', len), *value = eq ? eq + 1 : text;
	u32 word = word_find(text, len, spec);

	if (word == NR_WORDS)
		return bad_spec(spec, text, len,
				scenario ? "behind a scenario: kernel=6.1|6.12, bug=NAME,... between commas"
					 : "sim, sim:SEED, sim:FILE.scn, or sim: with seed=N, hv=vmx|svm, "
					   "kernel=6.1|6.12, steps=N, bug=NAME,... between commas");
	if (scenario && !words[word].scenario)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "target %s: %s= is not for a scenario",
					      spec->target, words[word].name),
				   "its file says what the machine is");
	/* Only a list goes on without its name. */
	if (spec->given & 1u << word && (eq || word != WORD_BUG))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "target %s: %s= is given twice", spec->target,
					      words[word].name),
				   word == WORD_BUG ? "bug=NAME,NAME" : "leave one of them out");
	spec->given |= 1u << word;
	spec->last = word;
	if (parse_value(word, value, len - (size_t)(value - text), spec))
		return NULL;
	return ms_err_hint(
		ms_err_new(MS_ERR_USAGE, "target %s: '%.*s' is not understood", spec->target, (int)len, text),
		"%s=: %s", words[word].name, words[word].values);
}

/* Bugs that this machine has nothing for are no bugs of it. */
static struct ms_err *check_bugs(const struct spec *spec)
{
	const u32 vmx_only = 1u << NMMU_BUG_PML_L2 | 1u << NMMU_BUG_STALE_QUAL;
	u32 bug;

	for (bug = 0; bug < NMMU_NR_BUGS && spec->workload.hv == MS_HV_SVM; bug++)
		if (spec->workload.bugs & vmx_only & 1u << bug)
			return ms_err_hint(ms_err_new(MS_ERR_USAGE, "target sim: bug %s is one of VMX",
						      ms_bug_name(bug)),
					   "hv=svm has no %s", bug == NMMU_BUG_PML_L2 ? "PML" : "EPT");
	return NULL;
}

static struct ms_err *parse_spec(const char *target, const char *arg, bool scenario, struct spec *spec)
{
	struct ms_err *err = NULL;
	size_t len;

	*spec = (struct spec){ .target = target,
			       .workload = { .seed = SEED, .hv = MS_HV_VMX, .kernel = NMMU_6_12 },
			       .steps = STEPS_FIRST,
			       .last = NR_WORDS };
	while (arg && !err) {
		len = strcspn(arg, ",");
		err = parse_word(arg, len, scenario, spec);
		arg = arg[len] ? arg + len + 1 : NULL;
	}
	return err || scenario ? err : check_bugs(spec);
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

/*
 * What the bugs have done so far. Those that show only where two vCPUs meet within one operation, or with
 * tables that no guest of the workload has, are sent to their scenarios: nobody shall take silence for
 * health.
 */
static void note_bugs(struct ms_target *target, u32 bugs)
{
	const u32 hidden =
		1u << NMMU_BUG_LA57_ROOT | 1u << NMMU_BUG_NO_FLUSH | 1u << NMMU_BUG_WRITABLE_INVARIANT;
	const struct ms_workload_stats *stats = ms_workload_stats(((struct sim *)target->priv)->workload);
	struct ms_buf note = { 0 };
	u32 bug;

	if (stats->l0_lost || stats->l1_lost)
		ms_buf_printf(
			&note,
			"migrations have lost %llu pages of the VM and %llu of its L2 guests: they were "
			"written, and no dirty log named them",
			(unsigned long long)stats->l0_lost, (unsigned long long)stats->l1_lost);
	if (stats->l2_stuck)
		ms_buf_printf(&note, "%s%llu writes of L2's to a device never got on: L1 was told of a read",
			      note.len ? "; " : "", (unsigned long long)stats->l2_stuck);
	for (bug = 0; bug < NMMU_NR_BUGS; bug++)
		if (bugs & hidden & 1u << bug && !stats->l0_lost && !stats->l1_lost)
			ms_buf_printf(
				&note,
				"%sthe harm of bug %s is not seen here: `mmuscope run tests/scenarios/bug-%s.scn' shows it",
				note.len ? "; " : "", ms_bug_name(bug), ms_bug_name(bug));
	snprintf(target->note, sizeof(target->note), "%s", ms_buf_str(&note));
	ms_buf_deinit(&note);
}

/* Of the engine: time and the VM are not its business. */
static void on_event(void *ctx, const struct ms_event *raised)
{
	struct sim *sim = ctx;
	struct ms_event event = *raised;

	event.kvm = ms_sim_kvm(NULL);
	event.time_ns = sim->clock.now_ns;
	ms_sim_ring_put(sim->ring, &event);
	if (sim->clock.listener)
		ms_sim_listener_put(sim->clock.listener, &event);
}

static struct ms_err *go_on(struct ms_target *target, u64 steps)
{
	struct sim *sim = target->priv;
	struct ms_err *err = NULL;

	while (!err && steps--) {
		sim->clock.now_ns += MS_SIM_STEP_NS;
		err = ms_workload_run(sim->workload, 1);
	}
	if (!err)
		note_bugs(target, sim->bugs);
	return err;
}

static struct ms_err *start_workload(struct ms_target *target, struct spec *spec)
{
	struct sim *sim = target->priv;
	struct ms_err *err;

	/* Where a bug is on, its harm is looked for. */
	spec->workload.check = spec->workload.bugs;
	sim->bugs = spec->workload.bugs;
	spec->workload.event = on_event;
	spec->workload.event_ctx = sim;
	err = ms_workload_create(&spec->workload, &sim->workload);
	if (!err)
		err = go_on(target, spec->steps);
	if (err)
		return err;
	sim->shown.machine = ms_workload_machine(sim->workload);
	sim->shown.m = ms_machine_nmmu(sim->shown.machine);
	sim->shown.owner = "sim:hypervisor";
	return NULL;
}

/* --- a scenario's machine --- */

/* The length of a file's name at the front of arg: up to its end or the words behind it. 0: none is named. */
static size_t file_len(const char *arg)
{
	const char *at = arg;

	while (at && (at = strstr(at, ".scn"))) {
		at += 4;
		if (!*at || *at == ',')
			return at - arg > 4 ? (size_t)(at - arg) : 0;
	}
	return 0;
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

/* How it was played, where its file leaves that open and so did the spec. */
static void note_choice(struct ms_target *target, const struct sim *sim, const struct spec *spec)
{
	bool kernel = !ms_scenario_names_kernel(sim->scenario) && !(spec->given & 1u << WORD_KERNEL);
	bool bug = ms_scenario_bugs(sim->scenario) && !(spec->given & 1u << WORD_BUG);

	if (!kernel && !bug)
		return;
	snprintf(target->note, sizeof(target->note), "played%s%s; otherwise with sim:FILE.scn%s%s",
		 kernel ? " as 6.12" : "", bug ? " without its bug" : "", kernel ? ",kernel=6.1" : "",
		 bug ? ",bug=NAME" : "");
}

/* A scenario that fails leaves a machine worth looking at: it is shown, and why is said. */
static struct ms_err *play(struct ms_target *target, struct sim *sim, const char *path,
			   const struct spec *spec)
{
	struct ms_play_opts opts = { .bugs = spec->workload.bugs,
				     .kernel = spec->workload.kernel,
				     .event = on_event,
				     .event_ctx = sim };
	struct ms_step_result end;
	struct ms_err *err;

	if (target->ops == &ms_target_kmod)
		opts.device = &ms_sim_device;
	err = ms_play_create(sim->scenario, &opts, &sim->play);
	if (err)
		return err;
	ms_play_run(sim->play, &end);
	if (!ms_play_machine(sim->play)) {
		/* The step's text has no hint: that of a module that is not there is asked for again. */
		err = opts.device ? ms_sim_device_check() : NULL;
		return err ? ms_err_wrap(err, "%s", path)
			   : ms_err_new(MS_ERR_TARGET, "%s: it makes no machine%s%s", path,
					end.step == MS_STEP_FAILED ? ": " : "",
					end.step == MS_STEP_FAILED ? end.text : "");
	}
	note_choice(target, sim, spec);
	if (end.step == MS_STEP_FAILED)
		note_failure(target, &end);
	sim->shown.machine = ms_play_machine(sim->play);
	sim->shown.m = ms_machine_nmmu(sim->shown.machine);
	sim->shown.owner = opts.device ? "kmod:scenario" : "sim:scenario";
	return NULL;
}

static struct ms_err *start_scenario(struct ms_target *target, struct sim *sim, const char *path,
				     const struct spec *spec)
{
	struct ms_buf text = { 0 };
	struct ms_err *err = read_text(path, &text);

	if (!err)
		err = ms_scenario_parse(path, ms_buf_str(&text), text.len, &sim->scenario);
	ms_buf_deinit(&text);
	if (!err && spec->given & 1u << WORD_KERNEL && ms_scenario_names_kernel(sim->scenario))
		err = ms_err_hint(ms_err_new(MS_ERR_USAGE, "%s: its machine names its kernel", path),
				  "leave kernel= out");
	return err ? err : play(target, sim, path, spec);
}

/* Is its first word, which is none of a *.scn, the name of a file? To kmod nothing else can be given. */
static bool is_named_file(const char *arg, bool files_only)
{
	const size_t len = strcspn(arg, ",");
	char *path MS_FREE = strndup(arg, len);
	struct stat st;

	if (!path || !len || memchr(arg, '=', len) || strspn(arg, "0123456789") == len)
		return false;
	return files_only || (!stat(path, &st) && !S_ISDIR(st.st_mode));
}

static struct ms_err *sim_open(struct ms_target *target, const char *arg, const struct ms_target_opts *opts)
{
	size_t len = file_len(arg);
	const char *rest = len ? (arg[len] ? arg + len + 1 : NULL) : arg;
	char *path MS_FREE = NULL;
	struct ms_err *err;
	struct spec spec;
	struct stat st;
	struct sim *sim;

	if (arg && !stat(arg, &st) && S_ISDIR(st.st_mode))
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "target %s: %s is a directory", target->ops->name, arg),
			"name a file *.scn of it; `mmuscope run' plays all");
	if (arg && !len && is_named_file(arg, target->ops == &ms_target_kmod))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE,
					      "target %s: %.*s is no scenario: its name does not end in .scn",
					      target->ops->name, (int)strcspn(arg, ","), arg),
				   "doc/scenarios.md has the language; a copy named *.scn can be played");
	if (target->ops == &ms_target_kmod && !len)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "target kmod: no scenario is named"),
			"kmod:FILE.scn plays it with the kernel module's engine; VMs that run are in target live");
	err = parse_spec(target->ops->name, rest, len, &spec);
	if (err)
		return err;
	path = len ? strndup(arg, len) : NULL;
	sim = calloc(1, sizeof(*sim));
	if (!sim || (len && !path)) {
		free(sim);
		return ms_err_nomem();
	}
	target->priv = sim;
	sim->shown.target = target->ops->name;
	sim->ring = ms_sim_ring_create(EVENTS_KEPT);
	if (!sim->ring)
		err = ms_err_nomem();
	else
		err = path ? start_scenario(target, sim, path, &spec) : start_workload(target, &spec);
	if (err) {
		sim_close(target);
		return ms_err_wrap(err, "target %s", target->ops->name);
	}
	target->caps = (sim->workload ? MS_CAP_LIVE : 0) | MS_CAP_EVENTS | MS_CAP_TRANSLATE | MS_CAP_LISTEN |
		       MS_CAP_FRAMES;
	return NULL;
}

static struct ms_err *sim_read(struct ms_target *target, const struct ms_want *want,
			       const struct ms_sink *sink)
{
	struct sim *sim = target->priv;
	u32 what = want->what & MS_WANT_ALL;
	struct ms_err *err;

	if (sim->workload && sim->told[what]) {
		err = go_on(target, STEPS);
		if (err)
			return ms_err_wrap(err, "target %s", target->ops->name);
		memset(sim->told, 0, sizeof(sim->told));
	}
	sim->told[what] = true;
	return ms_sim_records(&sim->shown, want, sink);
}

static struct ms_err *sim_check_vm(const struct sim *sim, u64 kvm)
{
	return kvm == ms_sim_kvm(sim->shown.m) ? NULL
					       : ms_err_new(MS_ERR_TARGET, "target %s: no VM at 0x%llx",
							    sim->shown.target, (unsigned long long)kvm);
}

static struct ms_err *sim_events(struct ms_target *target, u64 kvm, size_t max, struct ms_event_log *ret)
{
	struct sim *sim = target->priv;
	struct ms_err *err = sim_check_vm(sim, kvm);

	return err ? err : ms_sim_ring_read(sim->ring, max, ret);
}

/* A scenario's machine stands still; who listens to it is told what it did. */
static struct ms_err *clock_run(struct ms_sim_clock *clock, u32 steps)
{
	struct ms_target *target = clock->ctx;
	struct sim *sim = target->priv;
	struct ms_event_log log;
	struct ms_err *err;
	size_t i;

	if (sim->workload) {
		memset(sim->told, 0, sizeof(sim->told));
		return go_on(target, steps);
	}
	clock->now_ns += steps * MS_SIM_STEP_NS;
	if (clock->over)
		return NULL;
	clock->over = true;
	err = ms_sim_ring_read(sim->ring, EVENTS_KEPT, &log);
	if (err)
		return err;
	for (i = 0; i < log.nr; i++)
		ms_sim_listener_put(clock->listener, &log.events[i]);
	ms_sim_listener_lost(clock->listener, log.nr_overwritten);
	free(log.events);
	return NULL;
}

static struct ms_err *sim_listen(struct ms_target *target, const struct ms_listen *listen,
				 struct ms_listener **ret)
{
	struct sim *sim = target->priv;

	sim->clock.run = clock_run;
	sim->clock.ctx = target;
	sim->clock.over = false;
	return ms_sim_listen(&sim->clock, listen, ret);
}

static struct ms_err *sim_translate(struct ms_target *target, const struct ms_trace_req *req,
				    struct ms_trace *ret)
{
	struct sim *sim = target->priv;
	struct ms_err *err = sim_check_vm(sim, req->kvm);

	return err ? err : ms_sim_translate(&sim->shown, req, ret);
}

static struct ms_err *sim_frames(struct ms_target *target, u64 kvm, u32 as_id, struct ms_frame *frames,
				 size_t nr)
{
	struct sim *sim = target->priv;
	struct ms_err *err = sim_check_vm(sim, kvm);

	if (!err)
		ms_sim_frames(&sim->shown, as_id, frames, nr);
	return err;
}

const struct ms_target_ops ms_target_sim = {
	.name = "sim",
	.summary = "sim, sim:SEED, sim:seed=N,hv=vmx|svm,kernel=6.1|6.12,bug=NAME,...: a simulated VM; "
		   "sim:FILE.scn,kernel=6.1|6.12,bug=NAME,...: a scenario's",
	.open = sim_open,
	.close = sim_close,
	.read = sim_read,
	.events = sim_events,
	.frames = sim_frames,
	.listen = sim_listen,
	.translate = sim_translate,
};

const struct ms_target_ops ms_target_kmod = {
	.name = "kmod",
	.summary =
		"kmod:FILE.scn,kernel=6.1|6.12,bug=NAME,...: a scenario's VM, with the engine in the kernel module",
	.open = sim_open,
	.close = sim_close,
	.read = sim_read,
	.events = sim_events,
	.frames = sim_frames,
	.listen = sim_listen,
	.translate = sim_translate,
};
