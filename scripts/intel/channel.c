// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of the one way out of an Intel lab machine: bytes that the guest writes to port 0xe9 appear on Bochs'
 * standard output, among words of Bochs' own. Packets carry several streams over it:
 *
 *	0x1e 'L' kind length(2 bytes, the low one first) that many bytes
 *
 * Kinds:
 *	o, e	output of the command
 *	u	uptime when it starts: the machine is up
 *	x	why the machine failed, a line
 *	t	a piece of a tar archive: what --out asked for
 *	s	the command's exit status as text; the last packet
 *
 * usage: channel run [--out DIR] COMMAND [ARG]...
 *		as process 1 of the machine: runs the command, then ends all others and switches off
 *	  channel fail TEXT
 *		as process 1 too: tells why not, and switches off
 *	  channel receive DIR SECONDS
 *		on the host, with Bochs' output as standard input: writes o and e to standard output and error,
 *		the others to the files up, error, out.tar and status of DIR, what is between packets to words.
 *		Ends with 0 at the status, 3 when the machine is not up after SECONDS, 4 when the input ends
 *		without a status, 1 on errors of its own, and by SIGPIPE when nobody reads what it writes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_OUT 0xe9
#define PORT_SHUTDOWN 0x8900
#define START 0x1e
#define MARK 'L'
#define PIECE 32768

/* --- the machine's end */

static void port_write(const void *data, size_t size)
{
	__asm__ volatile("rep outsb" : "+S"(data), "+c"(size) : "d"(PORT_OUT) : "memory");
}

static void packet(char kind, const void *data, size_t size)
{
	unsigned char head[5] = { START, MARK, (unsigned char)kind, size & 0xff, (unsigned char)(size >> 8) };

	port_write(head, sizeof(head));
	port_write(data, size);
}

static void packet_text(char kind, const char *text)
{
	packet(kind, text, strlen(text));
}

static _Noreturn void switch_off(void)
{
	for (const char *s = "Shutdown"; *s; s++)
		outb((unsigned char)*s, PORT_SHUTDOWN);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static _Noreturn void give_up(const char *text)
{
	packet_text('x', text);
	switch_off();
}

/* pass_on: one piece of a stream; false at its end. */
static int pass_on(char kind, int fd)
{
	static char data[PIECE];
	ssize_t n = read(fd, data, sizeof(data));

	if (n > 0)
		packet(kind, data, (size_t)n);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

/* ports: the right to write to ours, which the command does not inherit. */
static int ports(int on)
{
	return ioperm(PORT_OUT, 1, on) || ioperm(PORT_SHUTDOWN, 1, on);
}

/* start: a child with /dev/null as input. */
static pid_t start(char **argv, const int out[2], const int err[2])
{
	pid_t pid = fork();
	sigset_t none;

	if (pid)
		return pid;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ports(0);
	dup2(null, 0);
	dup2(out[1], 1);
	dup2(err[1], 2);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(126);
}

/* tell_uptime: the first word of /proc/uptime. */
static void tell_uptime(void)
{
	char text[64];
	int fd = open("/proc/uptime", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, " ")] = 0;
	packet_text('u', text);
	close(fd);
}

/* bury: who ended; true when it was the one asked for, whose status is then told. */
static int bury(pid_t pid, int *status)
{
	int how, found = 0;
	pid_t gone;

	while ((gone = waitpid(-1, &how, WNOHANG)) > 0)
		if (gone == pid) {
			*status = WIFEXITED(how) && WEXITSTATUS(how) <= 126 ? WEXITSTATUS(how) : 126;
			found = 1;
		}
	return found;
}

/*
 * run: passes on the command's output as it comes, under the two kinds. What it left running when it ended is ended
 * too, which ends its outputs. As process 1 we bury everybody's orphans.
 */
static int run(char **argv, const char kinds[2], int *status)
{
	int out[2], err[2], left = 3;
	sigset_t children;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	int ends = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);

	if (ends < 0 || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return -1;
	pid_t pid = start(argv, out, err);

	if (pid < 0)
		return -1;
	close(out[1]);
	close(err[1]);
	struct pollfd fds[3] = { { .fd = out[0], .events = POLLIN },
				 { .fd = err[0], .events = POLLIN },
				 { .fd = ends, .events = POLLIN } };

	while (left) {
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return -1;
		for (int i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && fds[i].revents && !pass_on(kinds[i], fds[i].fd)) {
				close(fds[i].fd);
				fds[i].fd = -1;
				left--;
			}
		struct signalfd_siginfo unused;

		while (read(ends, &unused, sizeof(unused)) > 0)
			;
		if (bury(pid, status)) {
			kill(-1, SIGKILL);
			left--;
		}
	}
	close(ends);
	return 0;
}

static int in_machine(int argc, char **argv)
{
	int at = 2, status = 126;
	const char *keep = NULL;
	char text[16];

	if (getpid() != 1) {
		fprintf(stderr, "channel: runs as process 1 of a lab machine only; use scripts/lab\n");
		return 125;
	}
	signal(SIGPIPE, SIG_IGN);
	if (ports(1))
		_exit(125);
	if (!strcmp(argv[1], "fail"))
		give_up(argv[2]);
	if (argc > 4 && !strcmp(argv[2], "--out")) {
		keep = argv[3];
		at = 4;
	}
	tell_uptime();
	if (run(argv + at, "oe", &status))
		give_up("channel: the command cannot be started");
	if (keep) {
		char *tar[] = { "tar", "-C", (char *)keep, "-cf", "-", ".", NULL };
		int done = 1;

		if (run(tar, "te", &done) || done)
			give_up("channel: --out cannot be packed");
	}
	snprintf(text, sizeof(text), "%d\n", status);
	packet_text('s', text);
	switch_off();
}

/* --- the host's end */

struct receiver {
	const char *dir;
	unsigned char head[5];
	unsigned have; // bytes of head
	size_t left; // of the packet whose head is complete
};

static _Noreturn void failed(const char *what)
{
	fprintf(stderr, "channel: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_all(int fd, const unsigned char *data, size_t size, const char *what)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			failed(what);
		data += n;
		size -= (size_t)n;
	}
}

static void append(const struct receiver *r, const char *name, const unsigned char *data, size_t size)
{
	char path[4096];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", r->dir, name) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		failed(name);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		failed(path);
	write_all(fd, data, size, path);
	close(fd);
}

static const char *file_of(unsigned char kind)
{
	switch (kind) {
	case 'u':
		return "up";
	case 'x':
		return "error";
	case 't':
		return "out.tar";
	case 's':
		return "status";
	}
	return NULL;
}

/* body: a part of a packet. */
static void body(struct receiver *r, const unsigned char *data, size_t size)
{
	unsigned char kind = r->head[2];

	if (kind == 'o' || kind == 'e')
		write_all(kind == 'o' ? 1 : 2, data, size, "output");
	else
		append(r, file_of(kind), data, size);
	// From here on the machine may take its time.
	if (kind == 'u')
		alarm(0);
	r->left -= size;
	if (r->left)
		return;
	r->have = 0;
	if (kind == 's')
		exit(0);
}

/* head: one more byte that is not of a packet's body; false if it is no head after all. */
static int head(struct receiver *r, unsigned char c)
{
	r->head[r->have++] = c;
	switch (r->have) {
	case 1:
		return c == START;
	case 2:
		return c == MARK;
	case 3:
		return c == 'o' || c == 'e' || file_of(c);
	case 5:
		r->left = r->head[3] | (size_t)r->head[4] << 8;
		if (!r->left)
			r->have = 0;
	}
	return 1;
}

static void received(struct receiver *r, const unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size;) {
		if (r->left) {
			size_t n = size - i < r->left ? size - i : r->left;

			body(r, data + i, n);
			i += n;
		} else if (r->have || data[i] == START) {
			if (!head(r, data[i])) {
				append(r, "words", r->head, r->have - 1);
				r->have = 0;
				// This byte may begin a head itself.
				continue;
			}
			i++;
		} else {
			const unsigned char *next = memchr(data + i, START, size - i);
			size_t n = next ? (size_t)(next - data) - i : size - i;

			append(r, "words", data + i, n);
			i += n;
		}
	}
}

static void too_late(int unused)
{
	(void)unused;
	_exit(3);
}

static int receive(const char *dir, unsigned seconds)
{
	static unsigned char data[65536];
	struct receiver r = { .dir = dir };
	ssize_t n;

	signal(SIGALRM, too_late);
	alarm(seconds);
	while ((n = read(0, data, sizeof(data))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			received(&r, data, (size_t)n);
	return n ? 1 : 4;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "receive"))
		return receive(argv[2], (unsigned)atoi(argv[3]));
	if (argc >= 3 && (!strcmp(argv[1], "run") || !strcmp(argv[1], "fail")))
		return in_machine(argc, argv);
	fprintf(stderr, "channel: see the head of its source\n");
	return 125;
}
