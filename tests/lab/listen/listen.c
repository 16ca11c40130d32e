// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Listens to the running kernel for the tests of the lab and prints what it hears, one line each:
 *
 *	ready			the probes are attached
 *	event NAME seq=N time=N kvm=X vcpu=N tid=N guest=N cause=WORD FIELD=VALUE...
 *	count NAME kvm=X vcpu=N guest=N cause=WORD gfn=X level=N ret=N nr=N
 *	probe STATUS NAME misses=N lost=... why=...
 *	total NAME N		what passed the filter
 *	stat NAME N
 *
 * It ends at SIGTERM or SIGINT, or after a time. It judges nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "abi/event_desc.h"
#include "target/target.h"

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void __attribute__((noreturn)) fail(struct ms_err *err)
{
	fprintf(stderr, "listen: %s%s%s\n", ms_err_text(err), ms_err_hint_text(err) ? ": " : "",
		ms_err_hint_text(err) ? ms_err_hint_text(err) : "");
	exit(1);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: listen [-e NAME,...] [-k KVM] [-v VCPU] [-g FIRST-END] [-b BYTES] [-c BY] [-s]\n"
		"              [-S STACKS kept] [-F freed PAGES told] [-Z zapped PAGES kept] [-K KEYS counted] [-T THREADS with a record]\n"
		"              [-t SECONDS] [-w MILLISECONDS before it reads] [-q]\n");
	exit(2);
}

struct listen {
	bool quiet;
	u64 heard, gaps, last, backwards;
	struct ms_listener *l;
};

static const char *word(const char *name)
{
	static char buf[64];
	size_t i;

	for (i = 0; name && name[i] && i < sizeof(buf) - 1; i++)
		buf[i] = name[i] == ' ' ? '-' : name[i];
	buf[i] = '\0';
	return buf;
}

static void print_value(const struct ms_event *event, const struct ms_event_field *field)
{
	u64 value = ms_event_value(event, field);

	switch (ms_unit_form(field->unit)) {
	case MS_FORM_D:
	case MS_FORM_B:
		printf(" %s=%" PRIu64, field->name, value);
		break;
	case MS_FORM_N:
		printf(" %s=%s", field->name,
		       ms_value_name(field->unit, value) ? word(ms_value_name(field->unit, value)) : "?");
		break;
	default:
		printf(" %s=0x%" PRIx64, field->name, value);
	}
}

static bool put(void *ctx, const struct ms_event *event)
{
	struct listen *li = ctx;
	struct ms_event_desc desc;
	u64 ips[MS_STACK_MAX];
	size_t nr, i;
	u32 k;

	li->heard++;
	if (event->seq <= li->last)
		li->backwards++;
	else
		li->gaps += event->seq - li->last - 1;
	if (event->seq > li->last)
		li->last = event->seq;
	if (li->quiet || !ms_event_desc(event->id, &desc))
		return !stop;
	printf("event %s seq=%" PRIu64 " time=%" PRIu64 " kvm=0x%" PRIx64 " vcpu=%u tid=%u guest=%u cause=%s",
	       desc.name, event->seq, event->time_ns, event->kvm, event->vcpu, event->tid, event->guest,
	       word(ms_value_name(MS_UNIT_CAUSE, event->cause)));
	for (k = 0; k < desc.nr_fields; k++)
		print_value(event, &desc.fields[k]);
	if (event->stack != MS_EV_NO_STACK) {
		nr = ms_listen_stack(li->l, event->stack, ips, MS_STACK_MAX);
		printf(" stack=");
		for (i = 0; i < nr; i++)
			printf("%s%" PRIx64, i ? "," : "", ips[i]);
	}
	putchar('\n');
	return !stop;
}

static u64 events_of(char *list)
{
	u64 mask = 0;
	char *name;

	for (name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		u32 id = ms_event_find(name, strlen(name));

		if (!id)
			usage();
		mask |= 1ull << id;
	}
	return mask;
}

static void print_probes(const struct ms_listener *l)
{
	static const char *const words[] = { "on", "idle", "spare", "off" };
	const struct ms_probe *probes;
	size_t nr = ms_listen_probes(l, &probes), i;

	for (i = 0; i < nr; i++)
		printf("probe %s %s misses=%" PRIu64 " lost=%s; why=%s\n", words[probes[i].status],
		       probes[i].name, probes[i].misses, probes[i].lost, probes[i].why);
}

static void print_counts(struct ms_listener *l)
{
	struct ms_event_count *rows;
	struct ms_event_desc desc;
	struct ms_err *err;
	size_t nr, i;

	err = ms_listen_counts(l, &rows, &nr);
	if (err)
		fail(err);
	for (i = 0; i < nr; i++)
		if (ms_event_desc(rows[i].id, &desc))
			printf("count %s kvm=0x%" PRIx64 " vcpu=%u guest=%u cause=%s gfn=0x%" PRIx64
			       " level=%u ret=%u nr=%" PRIu64 "\n",
			       desc.name, rows[i].kvm, rows[i].vcpu, rows[i].guest,
			       word(ms_value_name(MS_UNIT_CAUSE, rows[i].cause)), rows[i].gfn, rows[i].level,
			       rows[i].ret, rows[i].nr);
	free(rows);
}

static void print_stats(struct listen *li)
{
	struct ms_listen_stats stats;
	struct ms_event_desc desc;
	struct ms_err *err = ms_listen_stats(li->l, &stats);
	u32 id;

	if (err)
		fail(err);
	for (id = 1; id < MS_EV_NR; id++)
		if (ms_event_desc(id, &desc) && stats.by_event[id])
			printf("total %s %" PRIu64 "\n", desc.name, stats.by_event[id]);
	printf("stat delivered %" PRIu64 "\nstat heard %" PRIu64 "\nstat gaps %" PRIu64
	       "\nstat backwards %" PRIu64 "\nstat lost_buffer %" PRIu64 "\nstat lost_count %" PRIu64
	       "\nstat lost_recursion %" PRIu64 "\nstat lost_probe %" PRIu64 "\nstat runs %" PRIu64
	       "\nstat run_ns %" PRIu64 "\nstat lost_thread %" PRIu64 "\nstat lost_stack %" PRIu64
	       "\nstat lost_free %" PRIu64 "\nstat lost_owner %" PRIu64 "\nstat unknown_vm %" PRIu64
	       "\nstat lost_probe_unknown %u\n",
	       stats.delivered, li->heard, li->gaps, li->backwards, stats.lost_buffer, stats.lost_count,
	       stats.lost_recursion, stats.lost_probe, stats.runs, stats.run_ns, stats.lost_thread,
	       stats.lost_stack, stats.lost_free, stats.lost_owner, stats.unknown_vm,
	       stats.lost_probe_unknown);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct ms_listen listen = { .events = ((1ull << MS_EV_NR) - 1) & ~1ull };
	struct sigaction act = { .sa_handler = on_signal };
	struct listen li = { 0 };
	double seconds = 0, end, start;
	u64 before;
	struct ms_target *target;
	struct ms_err *err;
	int opt, wait_ms = 0;
	char *at;

	while ((opt = getopt(argc, argv, "e:k:v:g:b:c:sS:F:Z:K:T:t:w:q")) != -1) {
		switch (opt) {
		case 'e':
			listen.events = events_of(optarg);
			break;
		case 'k':
			listen.kvm = strtoull(optarg, NULL, 16);
			break;
		case 'v':
			listen.has_vcpu = true;
			listen.vcpu = (u16)atoi(optarg);
			break;
		case 'g':
			listen.has_gfn = true;
			listen.gfn_start = strtoull(optarg, &at, 16);
			if (*at != '-')
				usage();
			listen.gfn_end = strtoull(at + 1, NULL, 16);
			break;
		case 'b':
			listen.buffer_bytes = (u32)strtoul(optarg, NULL, 0);
			break;
		case 'c':
			listen.count_by = (u32)strtoul(optarg, NULL, 0);
			break;
		case 's':
			listen.stacks = true;
			break;
		case 'S':
			listen.stacks_max = (u32)strtoul(optarg, NULL, 0);
			break;
		case 'F':
			listen.free_max = (u32)strtoul(optarg, NULL, 0);
			break;
		case 'Z':
			listen.zapped_max = (u32)strtoul(optarg, NULL, 0);
			break;
		case 'K':
			listen.counts_max = (u32)strtoul(optarg, NULL, 0);
			break;
		case 'T':
			listen.threads_max = (u32)strtoul(optarg, NULL, 0);
			break;
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		case 'w':
			wait_ms = atoi(optarg);
			break;
		case 'q':
			li.quiet = true;
			break;
		default:
			usage();
		}
	}
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	err = ms_target_open("live", NULL, &target);
	if (err)
		fail(err);
	start = now();
	err = ms_target_listen(target, &listen, &li.l);
	if (err)
		fail(err);
	printf("ready %.3f\n", now() - start);
	fflush(stdout);
	if (wait_ms)
		usleep((useconds_t)wait_ms * 1000);
	end = now() + seconds;
	while (!stop && (seconds == 0 || now() < end)) {
		err = ms_listen_next(li.l, 200, put, &li);
		if (err)
			fail(err);
		fflush(stdout);
	}
	stop = 0;
	/* What is still in the buffer; those who go on filling it are not waited for. */
	end = now() + 3;
	for (before = ~0ull; !listen.count_by && before != li.heard && now() < end;) {
		before = li.heard;
		err = ms_listen_next(li.l, 200, put, &li);
		if (err)
			fail(err);
	}
	print_counts(li.l);
	print_stats(&li);
	/* Misses are those of the statistics. */
	print_probes(li.l);
	ms_unlisten(li.l);
	ms_target_close(target);
	return 0;
}
