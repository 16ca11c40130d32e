// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket, both ends, and main's loop. One request a line, one answer a line:
 *
 *	wait N	answers when checkpoint N or a later one has been reached and its truth is written
 *	go	lets the held checkpoint go
 *	zap	while held: the storm slot is deleted and made again, its memory dropped
 *	evict	while held: VM 0's NPT12 pages are dropped and left to a userfaultfd that nobody answers
 *	faults	how many faults have come to it
 *	device	while held: a device's memory in place of VM 0's NPT12 root
 *	refill	the pages are put back as they were; before `go'
 *	status	phase, checkpoint, round
 *	quit	ends the VMM
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

#define MAX_CLIENTS 16

struct client {
	int fd; /* -1: free */
	uint64_t waits_for; /* 0: for nothing */
	size_t len;
	char buf[128];
};

struct loop {
	struct vmm *vmm;
	struct client client[MAX_CLIENTS];
	bool quit;
	bool wrong; /* a truth contradicted itself */
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void address_set(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(addr->sun_path))
		vmm_fail(VMM_USAGE, "%s: a socket's path has at most %zu bytes", path,
			 sizeof(addr->sun_path) - 1);
	strcpy(addr->sun_path, path);
}

int ctl_listen(const char *path)
{
	struct sockaddr_un addr;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address_set(&addr, path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, MAX_CLIENTS))
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", path, strerror(errno));
	return fd;
}

static void client_close(struct client *c)
{
	close(c->fd);
	*c = (struct client){ .fd = -1 };
}

static void __attribute__((format(printf, 2, 3))) answer(struct client *c, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	text[n++] = '\n';
	/* A client that is gone or does not read loses its answer; the VMM does not wait for it. */
	if (send(c->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
		client_close(c);
}

/* Answers those who wait for a checkpoint up to the present one. */
static void waiters_answer(struct loop *l)
{
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *c = &l->client[i];

		if (c->fd < 0 || !c->waits_for || c->waits_for > l->vmm->checkpoint)
			continue;
		c->waits_for = 0;
		answer(c, "ok checkpoint=%" PRIu64, l->vmm->checkpoint);
	}
}

static bool go(struct loop *l)
{
	struct vmm *vmm = l->vmm;
	bool held;

	pthread_mutex_lock(&vmm->lock);
	held = vmm->phase == PHASE_HELD;
	if (held)
		vmm_release(vmm);
	pthread_mutex_unlock(&vmm->lock);
	if (held && vmm->opts.storms && !vmm->storm_started)
		storm_start(vmm);
	return held;
}

static bool zap(struct loop *l)
{
	bool done;

	pthread_mutex_lock(&l->vmm->lock);
	done = l->vmm->phase == PHASE_HELD && storm_zap(l->vmm);
	pthread_mutex_unlock(&l->vmm->lock);
	return done;
}

static bool held(struct loop *l)
{
	bool is;

	pthread_mutex_lock(&l->vmm->lock);
	is = l->vmm->phase == PHASE_HELD;
	pthread_mutex_unlock(&l->vmm->lock);
	return is;
}

/* The storm slot's log goes on and off so many times: each time memslots have a new generation, and nothing else. */
static bool slots_turn(struct loop *l, uint64_t nr)
{
	struct vmm_vm *vm = &l->vmm->vm[0];

	if (!held(l) || !vm->slot[SLOT_STORM].size_bytes)
		return false;
	for (uint64_t i = 0; i < 2 * nr; i++) {
		vm->slot[SLOT_STORM].flags ^= KVM_MEM_LOG_DIRTY_PAGES;
		mem_slot_set(vm, SLOT_STORM, true);
	}
	return true;
}

/* Dirty logging of the data slots, with the guest's pages where they are. */
static bool log_set(struct loop *l, bool on)
{
	struct vmm *vmm = l->vmm;
	bool held;

	pthread_mutex_lock(&vmm->lock);
	held = vmm->phase == PHASE_HELD;
	for (unsigned int i = 0; held && i < vmm->opts.vms; i++) {
		vmm->vm[i].slot[SLOT_DATA].flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0;
		mem_slot_set(&vmm->vm[i], SLOT_DATA, true);
	}
	pthread_mutex_unlock(&vmm->lock);
	return held;
}

static void request(struct loop *l, struct client *c, const char *text)
{
	static const char *const phases[] = { "run", "held", "end" };
	uint64_t round = l->vmm->vm[0].param->facts[0].round, faults;
	const char *why;
	char *end;

	if (!strncmp(text, "wait ", 5)) {
		c->waits_for = strtoull(text + 5, &end, 10);
		if (*end || end == text + 5 || !c->waits_for) {
			c->waits_for = 0;
			answer(c, "err wait wants a number from 1");
		}
		waiters_answer(l);
	} else if (!strcmp(text, "go")) {
		answer(c, go(l) ? "ok" : "err nothing is held");
	} else if (!strcmp(text, "zap")) {
		answer(c, zap(l) ? "ok" : "err nothing is held, or there is no storm slot");
	} else if (!strcmp(text, "evict")) {
		why = held(l) ? uffd_evict(l->vmm) : "nothing is held";
		answer(c, "%s%s", why ? "err " : "ok", why ? why : "");
	} else if (!strcmp(text, "device")) {
		why = held(l) ? uffd_device(l->vmm) : "nothing is held";
		answer(c, "%s%s", why ? "err " : "ok", why ? why : "");
	} else if (!strcmp(text, "faults")) {
		why = uffd_faults(l->vmm, &faults);
		if (why)
			answer(c, "err %s", why);
		else
			answer(c, "ok faults=%" PRIu64, faults);
	} else if (!strcmp(text, "refill")) {
		why = uffd_refill(l->vmm);
		answer(c, "%s%s", why ? "err " : "ok", why ? why : "");
	} else if (!strcmp(text, "clock") || !strcmp(text, "translate")) {
		if (!held(l)) {
			answer(c, "err nothing is held");
			return;
		}
		if (text[0] == 'c')
			vcpu_clock(l->vmm);
		else
			vcpu_translate(l->vmm);
		answer(c, "ok");
	} else if (!strncmp(text, "slots ", 6)) {
		answer(c, slots_turn(l, strtoull(text + 6, NULL, 10))
				  ? "ok"
				  : "err nothing is held, or there is no storm slot");
	} else if (!strcmp(text, "log on") || !strcmp(text, "log off")) {
		answer(c, log_set(l, !strcmp(text, "log on")) ? "ok" : "err nothing is held");
	} else if (!strcmp(text, "status")) {
		answer(c, "ok phase=%s checkpoint=%" PRIu64 " round=%" PRIu64 " storms=%" PRIu64,
		       phases[l->vmm->phase], l->vmm->checkpoint, round, l->vmm->nr_storm);
	} else if (!strcmp(text, "quit")) {
		answer(c, "ok");
		l->quit = true;
	} else {
		answer(c, "err unknown request");
	}
}

static void client_read(struct loop *l, struct client *c)
{
	ssize_t n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len, MSG_DONTWAIT);
	char *newline;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			client_close(c);
		return;
	}
	c->len += n;
	c->buf[c->len] = 0;
	while (c->fd >= 0 && (newline = strchr(c->buf, '\n'))) {
		*newline = 0;
		request(l, c, c->buf);
		if (c->fd < 0)
			return;
		c->len -= newline + 1 - c->buf;
		memmove(c->buf, newline + 1, c->len + 1);
	}
	if (c->len == sizeof(c->buf) - 1)
		client_close(c);
}

static void client_accept(struct loop *l, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < MAX_CLIENTS; i++) {
		if (l->client[i].fd >= 0)
			continue;
		l->client[i] = (struct client){ .fd = fd };
		return;
	}
	close(fd);
}

/* Threads have something new: a checkpoint that all have reached, or the end. */
static void threads_look(struct loop *l)
{
	struct vmm *vmm = l->vmm;
	uint64_t checkpoint;

	pthread_mutex_lock(&vmm->lock);
	if (vmm->phase == PHASE_RUN && vmm_all_ended(vmm))
		vmm->phase = PHASE_END;
	if (vmm->phase == PHASE_RUN && vmm_all_arrived(vmm, &checkpoint)) {
		vmm->phase = PHASE_HELD;
		/* First: the truth may read the dirty log, which changes SPTEs. */
		trace_checkpoint(vmm, checkpoint);
		l->wrong |= truth_write(vmm, checkpoint) != 0;
		vmm->checkpoint = checkpoint;
	}
	pthread_mutex_unlock(&vmm->lock);
	waiters_answer(l);
	if (vmm->phase == PHASE_HELD && vmm->opts.hold == HOLD_NO)
		go(l);
}

static int signals_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		vmm_fail(VMM_ENVIRONMENT, "signalfd: %s", strerror(errno));
	return fd;
}

static void signal_read(struct loop *l, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		vmm_fail(VMM_ENVIRONMENT, "signalfd: %s", strerror(errno));
	if (info.ssi_signo == SIGUSR1)
		go(l);
	else
		l->quit = true;
}

enum vmm_status ctl_loop(struct vmm *vmm, int listen_fd)
{
	double end_s = vmm->opts.timeout_s ? now_s() + vmm->opts.timeout_s : 0;
	struct pollfd fds[3 + MAX_CLIENTS];
	struct loop l = { .vmm = vmm };
	int signal_fd = signals_open();
	eventfd_t count;

	for (int i = 0; i < MAX_CLIENTS; i++)
		l.client[i].fd = -1;
	while (!l.quit && vmm->phase != PHASE_END) {
		fds[0] = (struct pollfd){ .fd = vmm->event_fd, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
		fds[2] = (struct pollfd){ .fd = listen_fd, .events = POLLIN };
		for (int i = 0; i < MAX_CLIENTS; i++)
			fds[3 + i] = (struct pollfd){ .fd = l.client[i].fd, .events = POLLIN };
		if (poll(fds, 3 + MAX_CLIENTS, end_s ? 500 : -1) < 0 && errno != EINTR)
			vmm_fail(VMM_ENVIRONMENT, "poll: %s", strerror(errno));
		if (end_s && now_s() > end_s)
			vmm_fail(VMM_TIMEOUT, "timeout after %" PRIu64 " s", vmm->opts.timeout_s);
		if (fds[0].revents && !eventfd_read(vmm->event_fd, &count))
			threads_look(&l);
		if (fds[1].revents)
			signal_read(&l, signal_fd);
		if (fds[2].revents)
			client_accept(&l, listen_fd);
		for (int i = 0; i < MAX_CLIENTS; i++)
			if (fds[3 + i].revents && l.client[i].fd == fds[3 + i].fd)
				client_read(&l, &l.client[i]);
	}
	return l.wrong ? VMM_BAD_DATA : VMM_OK;
}

/* Connects, waiting for the socket to appear until end_s; returns -1 on timeout. */
static int client_connect(const char *path, double end_s)
{
	struct sockaddr_un addr;
	int fd;

	address_set(&addr, path);
	do {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			vmm_fail(VMM_ENVIRONMENT, "socket: %s", strerror(errno));
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			return fd;
		close(fd);
		usleep(20000);
	} while (now_s() < end_s);
	return -1;
}

int ctl_client(int argc, char **argv)
{
	double timeout_s = 30, end_s;
	char text[256] = "", *out = text;
	int fd, i = 1;

	if (argc > 3 && !strcmp(argv[2], "-t")) {
		timeout_s = atof(argv[3]);
		i = 3;
	}
	if (argc < i + 2)
		vmm_fail(
			VMM_USAGE,
			"usage: vmm ctl PATH [-t SECONDS] wait N | go | zap | log on|off | clock | translate | "
			"evict | faults | device | refill | status | quit");
	for (int j = i + 1; j < argc; j++)
		out += snprintf(out, text + 200 - out > 0 ? text + 200 - out : 0, "%s%s",
				out > text ? " " : "", argv[j]);
	if (strlen(text) > 100)
		vmm_fail(VMM_USAGE, "that is no request");
	strcat(text, "\n");
	end_s = now_s() + timeout_s;
	fd = client_connect(argv[1], end_s);
	if (fd < 0)
		vmm_fail(VMM_TIMEOUT, "%s: nobody answers: %s", argv[1], strerror(errno));
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		vmm_fail(VMM_BAD_DATA, "%s: %s", argv[1], strerror(errno));
	for (size_t n = 0; n < sizeof(text) - 1;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int left_ms = (end_s - now_s()) * 1000;
		ssize_t got;

		if (poll(&p, 1, left_ms > 0 ? left_ms : 0) <= 0)
			vmm_fail(VMM_TIMEOUT, "no answer within %g s", timeout_s);
		got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0)
			vmm_fail(VMM_BAD_DATA, "the VMM has ended");
		n += got;
		text[n] = 0;
		if (text[n - 1] != '\n')
			continue;
		fputs(text, stdout);
		return strncmp(text, "ok", 2) ? 1 : 0;
	}
	return 1;
}
