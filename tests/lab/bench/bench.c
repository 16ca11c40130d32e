// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The measuring half of scripts/bench, run inside a lab machine: calls the parts of mmuscope one by one, or
 *runs a whole command, and prints what each round cost. It judges nothing and starts no guest.
 *
 *	bench steps		start-up, part by part
 *	bench walk		shadow pages, headers only and with tables; as records alone, and as a model
 *	bench snap FILE		the same from a snapshot
 *	bench exact MODULE	the same and lists without a lock, and under it by the kernel module, which is loaded
 *	bench audit		what an audit reads, as a model; and the auditor over it
 *	bench bpf		what the live target holds in the kernel
 *	bench trace FUNCTION COMMAND...
 *				each call of a function of the kernel's while a command runs, by ftrace's function_graph
 *	bench run COMMAND...	a whole command; its largest resident set and what it prints
 *	bench count NAME,... COMMAND...
 *				how many events of these names happen while a command runs
 *	bench beside TRACER... -- COMMAND...
 *				a command alone, and beside a tracer that is at rest when it starts
 *	bench storm TRACER... -- COMMAND...
 *				the same, once
 *
 * A line of output: name, unit, value (the median of the rounds), least, most; separated by blanks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "abi/event_desc.h"
#include "audit/audit.h"
#include "layout/layout.h"
#include "model/model.h"
#include "sym/sym.h"
#include "target/kmem.h"
#include "target/target.h"

#define WARM_UP 1
#define ROUNDS 5
#define MAX_FIGURES 16

struct figure {
	const char *name, *unit;
	u64 value[ROUNDS];
	unsigned int nr;
};

static struct figure figures[MAX_FIGURES];
static unsigned int nr_figures;
static int round_nr; /* below 0: warming up */

static void __attribute__((noreturn)) fail(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

static void check(struct ms_err *err)
{
	if (err)
		fail("mmuscope", ms_err_text(err));
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

static void note(const char *name, const char *unit, u64 value)
{
	unsigned int i;

	if (round_nr < 0)
		return;
	for (i = 0; i < nr_figures && strcmp(figures[i].name, name); i++)
		;
	if (i == MAX_FIGURES)
		fail(name, "too many figures");
	if (i == nr_figures)
		figures[nr_figures++] = (struct figure){ .name = name, .unit = unit };
	figures[i].value[figures[i].nr++] = value;
}

static void note_since(const char *name, u64 start)
{
	note(name, "us", (now_ns() - start) / 1000);
}

static int value_cmp(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

static void print_figures(void)
{
	unsigned int i;

	for (i = 0; i < nr_figures; i++) {
		struct figure *f = &figures[i];

		qsort(f->value, f->nr, sizeof(f->value[0]), value_cmp);
		printf("%s %s %llu %llu %llu\n", f->name, f->unit, (unsigned long long)f->value[f->nr / 2],
		       (unsigned long long)f->value[0], (unsigned long long)f->value[f->nr - 1]);
	}
}

/* --- parts --- */

struct tally {
	u64 pages, tables;
	struct ms_rec_exact exact;
};

static struct ms_err *tally_put(void *ctx, enum ms_rec_type type, const void *rec,
				const struct ms_sp_tables *tables)
{
	struct tally *tally = ctx;

	if (type == MS_REC_EXACT)
		tally->exact = *(const struct ms_rec_exact *)rec;
	tally->pages += type == MS_REC_SP;
	tally->tables += tables != NULL;
	return NULL;
}

static void read_records(struct ms_target *target, u32 what, struct tally *ret)
{
	struct ms_want want = { .what = what };
	struct ms_sink sink = { .put = tally_put, .ctx = ret };

	*ret = (struct tally){ 0 };
	check(ms_target_read(target, &want, &sink));
}

static struct ms_target *open_target(const char *spec)
{
	struct ms_target_opts opts = { 0 };
	struct ms_target *target;

	check(ms_target_open(spec, &opts, &target));
	return target;
}

static void round_steps(char **args)
{
	struct ms_sym syms[] = {
#define KSYM(id, sym_name, sym_module) { .name = sym_name, .module = sym_module },
#include "target/ksyms.def"
#undef KSYM
	};
	static struct ms_layout layout;
	struct ms_target *target;
	struct tally tally;
	u64 start;

	(void)args;
	start = now_ns();
	check(ms_sym_lookup(NULL, syms, sizeof(syms) / sizeof(syms[0])));
	note_since("symbols", start);
	start = now_ns();
	check(ms_layout_from_btf("/sys/kernel/btf/vmlinux", "/sys/kernel/btf/kvm", NULL, &layout));
	note_since("layout", start);
	start = now_ns();
	target = open_target("live");
	note_since("open", start);
	start = now_ns();
	read_records(target, 0, &tally);
	note_since("vms", start);
	start = now_ns();
	ms_target_close(target);
	note_since("close", start);
}

static void walk(struct ms_target *target)
{
	static const struct {
		const char *records, *model;
		u32 what;
	} ways[] = {
		{ "headers", "headers+model", MS_WANT_SPS },
		{ "tables", "tables+model", MS_WANT_SPS | MS_WANT_SPTES },
	};
	struct ms_model *model;
	struct tally tally;
	unsigned int i;
	u64 start;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct ms_want want = { .what = ways[i].what };

		start = now_ns();
		read_records(target, ways[i].what, &tally);
		note_since(ways[i].records, start);
		start = now_ns();
		check(ms_model_load(target, &want, &model));
		note_since(ways[i].model, start);
		ms_model_destroy(model);
	}
	note("pages", "pages", tally.pages);
	note("sptes", "SPTEs", tally.tables * MS_SPTES);
}

static void round_walk(char **args)
{
	struct ms_target *target = open_target("live");

	(void)args;
	walk(target);
	ms_target_close(target);
}

/* The same VM without a lock and under it, once each round: pages with their tables, and all that an audit wants. */
static void round_exact(char **args)
{
	static const struct {
		const char *live, *exact;
		u32 what;
	} ways[] = {
		{ "live-tables", "exact-tables", MS_WANT_SPS | MS_WANT_SPTES },
		{ "live-all", "exact-all", MS_WANT_SPS | MS_WANT_SPTES | MS_WANT_RMAPS },
	};
	int fd = open(args[0], O_RDONLY | O_CLOEXEC);
	struct ms_target *live, *exact;
	struct tally tally;
	unsigned int i;
	u64 start;

	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		fail(args[0], strerror(errno));
	close(fd);
	live = open_target("live");
	exact = open_target("exact");
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		start = now_ns();
		read_records(live, ways[i].what, &tally);
		note_since(ways[i].live, start);
		start = now_ns();
		read_records(exact, ways[i].what, &tally);
		note_since(ways[i].exact, start);
	}
	note("pages", "pages", tally.pages);
	note("holds", "holds", tally.exact.holds);
	note("longest-hold", "ns", tally.exact.longest_ns);
	note("held", "us", tally.exact.held_ns / 1000);
	note("mean-hold", "ns", tally.exact.holds ? tally.exact.held_ns / tally.exact.holds : 0);
	ms_target_close(exact);
	ms_target_close(live);
}

static void round_snap(char **args)
{
	char spec[256];
	struct ms_target *target;
	u64 start = now_ns();

	snprintf(spec, sizeof(spec), "snap:%s", args[0]);
	target = open_target(spec);
	note_since("open", start);
	walk(target);
	ms_target_close(target);
}

/* Of the only VM; without the further readings that findings would ask for. */
static void audit_once(struct ms_target *target, u32 what, const char *read, const char *judge)
{
	struct ms_want want = { .what = what };
	struct ms_audit audit;
	struct ms_model *model;
	u64 start = now_ns();

	check(ms_model_load(target, &want, &model));
	note_since(read, start);
	if (model->nr_vms != 1)
		fail("audit", "one VM was expected");
	start = now_ns();
	check(ms_audit_vm(model, &model->vms[0], 0, NULL, &audit));
	note_since(judge, start);
	if (audit.nr)
		fail("audit", audit.findings[0].text);
	if (what & MS_WANT_RMAPS) {
		note("pages", "pages", audit.nr_pages);
		note("entries", "SPTEs", audit.nr_sptes);
	}
	ms_audit_deinit(&audit);
	ms_model_destroy(model);
}

static void round_audit(char **args)
{
	struct ms_target *target = open_target("live");

	(void)args;
	audit_once(target, ms_audit_want(0) & ~MS_WANT_RMAPS, "read-quick", "judge-quick");
	audit_once(target, ms_audit_want(0), "read", "judge");
	ms_target_close(target);
}

static void round_run(char **args)
{
	int out = memfd_create("out", MFD_CLOEXEC), status;
	struct rusage usage;
	struct stat st;
	u64 start;
	pid_t pid;

	if (out < 0)
		fail("memfd", strerror(errno));
	start = now_ns();
	pid = fork();
	if (pid < 0)
		fail("fork", strerror(errno));
	if (!pid) {
		dup2(out, STDOUT_FILENO);
		execvp(args[0], args);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		fail("wait4", strerror(errno));
	note_since("time", start);
	if (status)
		fail(args[0], "failed");
	fstat(out, &st);
	close(out);
	note("memory", "KiB", (u64)usage.ru_maxrss);
	note("output", "bytes", (u64)st.st_size);
}

/* --- functions of the kernel's --- */

#define TRACING "/sys/kernel/tracing/"

static void trace_set(const char *file, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), TRACING "%s", file);
	f = fopen(path, "we");
	if (!f || fprintf(f, "%s\n", value) < 0 || fclose(f))
		fail(path, strerror(errno));
}

static void run_quietly(char **args)
{
	int out = memfd_create("out", MFD_CLOEXEC), status;
	pid_t pid = fork();

	if (out < 0 || pid < 0)
		fail(args[0], strerror(errno));
	if (!pid) {
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		execvp(args[0], args);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		fail(args[0], "failed");
	close(out);
}

/*
 * Only this function is hooked: what it calls is not slowed down. The tracer's own cost is in each time; trace a
 * function that does next to nothing to learn it.
 */
static void show_trace(char **args)
{
	char line[512];
	u64 *ns = NULL, sum = 0, mean;
	size_t nr = 0;
	FILE *f;

	mount("tracefs", TRACING, "tracefs", 0, NULL);
	trace_set("current_tracer", "nop");
	trace_set("trace", "");
	trace_set("buffer_size_kb", "16384");
	trace_set("set_ftrace_filter", args[0]);
	trace_set("current_tracer", "function_graph");
	trace_set("tracing_on", "1");
	run_quietly(args + 1);
	trace_set("tracing_on", "0");
	f = fopen(TRACING "trace", "re");
	while (f && fgets(line, sizeof(line), f)) {
		/* " 0)   4.750 us    |  kvm_mmu_page_fault [kvm]();", perhaps with a mark before the number. */
		char *unit = strstr(line, " us "), *at = unit;
		double us;

		while (at && at > line && strchr("0123456789.", at[-1]))
			at--;
		if (!at || sscanf(at, "%lf", &us) != 1)
			continue;
		if (!(nr & (nr - 1))) {
			ns = realloc(ns, (nr ? 2 * nr : 1) * sizeof(*ns));
			if (!ns)
				fail("trace", "no memory");
		}
		ns[nr] = (u64)(us * 1000 + 0.5);
		sum += ns[nr++];
	}
	if (f)
		fclose(f);
	trace_set("current_tracer", "nop");
	trace_set("set_ftrace_filter", "");
	if (!nr)
		fail(args[0], "was not called");
	qsort(ns, nr, sizeof(*ns), value_cmp);
	mean = sum / nr;
	printf("calls count %zu %zu %zu\n", nr, nr, nr);
	printf("median ns %llu %llu %llu\n", (unsigned long long)ns[nr / 2], (unsigned long long)ns[nr / 4],
	       (unsigned long long)ns[nr / 4 * 3]);
	printf("mean ns %llu %llu %llu\n", (unsigned long long)mean, (unsigned long long)mean,
	       (unsigned long long)mean);
	free(ns);
}

/* --- a tracer beside a command --- */

static u64 rusage_us(const struct rusage *usage)
{
	return (u64)usage->ru_utime.tv_sec * 1000000 + (u64)usage->ru_utime.tv_usec +
	       (u64)usage->ru_stime.tv_sec * 1000000 + (u64)usage->ru_stime.tv_usec;
}

/* The last lines of what was printed, for the reader of a log. */
static void show_tail(int fd)
{
	char text[4096 + 1];
	ssize_t len, from = lseek(fd, 0, SEEK_END) - (off_t)sizeof(text) + 1;

	lseek(fd, from > 0 ? from : 0, SEEK_SET);
	len = read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return;
	text[len] = '\0';
	fprintf(stderr, "%s\n", text);
}

static pid_t start(char **args, int out)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork", strerror(errno));
	if (!pid) {
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		execvp(args[0], args);
		_exit(127);
	}
	return pid;
}

/* CPU time of a process so far, to the instruction. */
static u64 run_ns(pid_t pid)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%llu", &ns) != 1)
		fail(path, "no run time");
	fclose(f);
	return ns;
}

/* No step of a round takes so long, of the machine's time; whoever waits longer says for whom. */
#define LIMIT_S 120

static void show_file(pid_t pid, const char *name)
{
	char path[64], text[2048];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[len > 0 ? len : 0] = '\0';
	fprintf(stderr, "bench: %s: %s\n", path, text);
}

static void __attribute__((noreturn)) stuck(pid_t pid, const char *what, int out)
{
	show_file(pid, "status");
	show_file(pid, "stack");
	show_file(pid, "syscall");
	show_tail(out);
	kill(pid, SIGKILL);
	fail(what, "not within its time");
}

/*
 * Interrupts a tracer and waits for its end; *began_ret: when it was interrupted last. bpftrace 0.17 misses a signal
 * that comes when its epoll_wait() has just timed out, and goes on for ever: as timers of one tick go off together, and
 * the tracer's is one of them, that is no rare case where time counts instructions.
 */
#define AGAIN_MS 2000

static int end_of(pid_t pid, const char *what, int out, u64 *began_ret)
{
	struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	unsigned int tries = 0;
	int status;

	if (ended.fd < 0)
		fail("pidfd_open", strerror(errno));
	do {
		if (tries++ == LIMIT_S * 1000 / AGAIN_MS)
			stuck(pid, what, out);
		*began_ret = now_ns();
		kill(pid, SIGINT);
	} while (!poll(&ended, 1, AGAIN_MS));
	if (tries > 1)
		fprintf(stderr, "bench: %s: interrupted %u times before it ended\n", what, tries);
	close(ended.fd);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid", strerror(errno));
	return status;
}

#define REST_MS 400 /* of which a process at rest spends */
#define REST_NS 4000000 /* no more than this: it may look at the clock now and then */
#define LOOK_MS 10

/* When the rest began: LOOK_MS late at most, and what the process spends in REST_NS. */
static u64 run_ns_at_rest(pid_t pid, u64 *since_ret, int out)
{
	u64 began = now_ns(), spent = 0, since = began, now, ns;

	for (;;) {
		ns = run_ns(pid);
		now = now_ns();
		if (ns - spent > REST_NS) {
			spent = ns;
			since = now;
		} else if (spent && now - since >= REST_MS * 1000000ull) {
			*since_ret = since;
			return ns;
		} else if (now - began > LIMIT_S * 1000000000ull) {
			stuck(pid, "tracer does not come to rest", out);
		}
		usleep(LOOK_MS * 1000);
	}
}

static u64 command_us(char **command, int out)
{
	pid_t pid = start(command, out);
	struct rusage usage;
	int status;

	if (wait4(pid, &status, 0, &usage) != pid || status)
		fail(command[0], "failed");
	return rusage_us(&usage);
}

/* What a tracer says of the events that it saw and lost: mmuscope's summary; bpftrace's map, or a line of each. */
static void tracer_says(int fd, u64 *seen_ret, u64 *lost_ret)
{
	static const char *const lost_as[] = { "lost, ", "not looked at, ", "missed by the kernel" };
	FILE *f = fdopen(dup(fd), "re");
	char line[512], *at;
	unsigned int i;

	*seen_ret = *lost_ret = 0;
	if (!f || fseek(f, 0, SEEK_SET))
		fail("output of the tracer", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		at = strrchr(line, ' ');
		if (!strncmp(line, "events ", 7) && at)
			*seen_ret = strtoull(at, NULL, 10);
		for (i = 0; at && i < sizeof(lost_as) / sizeof(lost_as[0]); i++)
			if (!strncmp(line, lost_as[i], strlen(lost_as[i])))
				*lost_ret += strtoull(at, NULL, 10);
		if (!strncmp(line, "Lost ", 5))
			*lost_ret += strtoull(line + 5, NULL, 10);
		else if (line[0] == '@' && at)
			*seen_ret += strtoull(at, NULL, 10);
		else if (strstr(line, " tracepoint:"))
			++*seen_ret;
	}
	fclose(f);
}

/* How many BPF programs of any kind the kernel holds. */
static unsigned int nr_programs(void)
{
	unsigned int nr = 0;
	u32 id = 0;

	while (!bpf_prog_get_next_id(id, &id))
		nr++;
	return nr;
}

/*
 * CPU time, of the command and the tracer both: what a probe costs is in the command's, what is made of it in the
 * tracer's. start: the tracer until it rests, and ready: by the clock; then the command with and without it, and what
 * the tracer spends until it rests again; end: by the clock, from its interrupt to its end, and gone: to the end of
 * its last program.
 */
static void round_beside(char **args)
{
	char **command = args;
	int out = memfd_create("out", MFD_CLOEXEC), status;
	u64 alone, beside, at_start, at_end, began, since, seen, lost;
	unsigned int programs = nr_programs();
	struct stat st;
	pid_t tracer;

	while (*command && strcmp(*command, "--"))
		command++;
	if (!*command || out < 0)
		fail("beside", "no --");
	*command = NULL;
	alone = command_us(command + 1, out);
	if (ftruncate(out, 0) || lseek(out, 0, SEEK_SET))
		fail("beside", strerror(errno));
	began = now_ns();
	tracer = start(args, out);
	at_start = run_ns_at_rest(tracer, &since, out);
	note("start", "us", at_start / 1000);
	note("ready", "us", (since - began) / 1000);
	/* What the command says is none of the tracer's. */
	beside = command_us(command + 1, open("/dev/null", O_WRONLY | O_CLOEXEC));
	at_end = run_ns_at_rest(tracer, &since, out);
	status = end_of(tracer, args[0], out, &began);
	/* A tracer may say by its status that events were lost. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
		show_tail(out);
		fail(args[0], "failed");
	}
	note_since("end", began);
	while (nr_programs() > programs) {
		if (now_ns() - began > LIMIT_S * 1000000000ull)
			fail(args[0], "its programs stay");
		usleep(LOOK_MS * 1000);
	}
	note_since("gone", began);
	*command = "--";
	fstat(out, &st);
	tracer_says(out, &seen, &lost);
	note("alone", "us", alone);
	note("beside", "us", beside);
	note("tracer", "us", (at_end - at_start) / 1000);
	note("seen", "events", seen);
	note("lost", "events", lost);
	note("output", "bytes", (u64)st.st_size);
	if (!seen)
		show_tail(out);
	close(out);
}

/* How many events of these names happen while a command runs. */
static void show_count(const char *names, char **command)
{
	struct ms_listen listen = { .count_by = MS_BY_EVENT };
	struct ms_target *target = open_target("live");
	struct ms_listen_stats stats;
	struct ms_listener *l;
	u64 nr = 0;
	u32 id;

	while (*names) {
		size_t len = strcspn(names, ",");

		id = ms_event_find(names, len);
		if (!id)
			fail(names, "no event");
		listen.events |= 1ull << id;
		names += len + (names[len] == ',');
	}
	check(ms_target_listen(target, &listen, &l));
	run_quietly(command);
	check(ms_listen_stats(l, &stats));
	if (stats.lost_count + stats.lost_probe + stats.lost_recursion)
		fail("count", "events were lost");
	for (id = 0; id < MS_EV_NR; id++)
		nr += stats.by_event[id];
	ms_unlisten(l);
	ms_target_close(target);
	printf("%llu\n", (unsigned long long)nr);
}

/* The programs and maps that our own descriptors hold, once. */
static void show_bpf(void)
{
	struct ms_target *target = open_target("live");
	u64 jited = 0, bytes = 0, nr_progs = 0, nr_maps = 0;
	int fd;

	for (fd = 3; fd < 256; fd++) {
		union {
			struct bpf_prog_info prog;
			struct bpf_map_info map;
		} info;
		char path[64], line[128];
		u32 len = sizeof(info.prog);
		bool prog = false, map = false;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f)) {
			prog |= !strncmp(line, "prog_jited:", 11);
			map |= !strncmp(line, "map_type:", 9);
		}
		if (f)
			fclose(f);
		memset(&info, 0, sizeof(info));
		if (prog && !bpf_obj_get_info_by_fd(fd, &info, &len)) {
			nr_progs++;
			jited += info.prog.jited_prog_len;
			printf("program:%s bytes %u %u %u\n", info.prog.name, info.prog.jited_prog_len,
			       info.prog.jited_prog_len, info.prog.jited_prog_len);
		}
		len = sizeof(info.map);
		if (map && !bpf_obj_get_info_by_fd(fd, &info, &len)) {
			u64 size = (u64)info.map.max_entries * ((info.map.value_size + 7) & ~7u);

			nr_maps++;
			bytes += size;
			printf("map:%s bytes %llu %llu %llu\n", info.map.name, (unsigned long long)size,
			       (unsigned long long)size, (unsigned long long)size);
		}
	}
	ms_target_close(target);
	note("programs", "count", nr_progs);
	note("programs-size", "bytes", jited);
	note("maps", "count", nr_maps);
	note("maps-size", "bytes", bytes);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		void (*round)(char **args);
		bool once;
	} ways[] = {
		{ "steps", 0, round_steps, false },   { "walk", 0, round_walk, false },
		{ "exact", 1, round_exact, false },   { "snap", 1, round_snap, false },
		{ "audit", 0, round_audit, false },   { "run", 1, round_run, false },
		{ "beside", 3, round_beside, false }, { "storm", 3, round_beside, true },
	};
	unsigned int i;

	for (i = 0; argc > 1 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[1], ways[i].name) || argc < 2 + ways[i].args)
			continue;
		for (round_nr = ways[i].once ? 0 : -WARM_UP; round_nr < (ways[i].once ? 1 : ROUNDS);
		     round_nr++)
			ways[i].round(argv + 2);
		print_figures();
		return 0;
	}
	if (argc > 3 && !strcmp(argv[1], "trace")) {
		show_trace(argv + 2);
		return 0;
	}
	if (argc > 3 && !strcmp(argv[1], "count")) {
		show_count(argv[2], argv + 3);
		return 0;
	}
	if (argc != 2 || strcmp(argv[1], "bpf")) {
		fprintf(stderr,
			"usage: bench steps | walk | snap FILE | audit | bpf | run COMMAND... | beside TRACER... -- COMMAND... | storm TRACER... -- COMMAND... | trace FUNCTION COMMAND... | count NAME,... COMMAND...\n");
		return 2;
	}
	show_bpf();
	print_figures();
	return 0;
}
