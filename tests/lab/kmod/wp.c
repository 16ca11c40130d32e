/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session with flips, without mmuscope: starts fast, and may be killed at any point.
 *
 *	wp flip PID FD GFN NR	flips, says "on", and reads writes till it is killed or the VM is gone ("gone")
 *	wp refuse PID FD GFN	requests that must be refused: a line NAME ERRNO-NAME for each
 *	wp cost PID FD GFN MS	flips one frame for so long: "writes N"
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/kmod_wp.h"

static void die(const char *what)
{
	fprintf(stderr, "wp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int session(const char *pid, const char *fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	struct mmuscope_attach a = { .vm_fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(fd), 0) };
	int dev = open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC);

	if (a.vm_fd < 0 || dev < 0 || ioctl(dev, MMUSCOPE_ATTACH, &a) < 0)
		die("the VM");
	close(a.vm_fd);
	close(pidfd);
	return dev;
}

static int on(int dev, u64 gfn, u32 nr, u32 *err_ret)
{
	struct mmuscope_wp_range range = { .gfn = gfn, .nr = nr };
	int ret = ioctl(dev, MMUSCOPE_WP_ON, &range);

	*err_ret = range.err;
	return ret;
}

static void flip(int dev, u64 gfn, u32 nr)
{
	static struct mmuscope_wp_write writes[256];
	ssize_t got;
	u32 err = 0;

	if (on(dev, gfn, nr, &err) < 0 || err)
		die("MMUSCOPE_WP_ON");
	puts("on");
	fflush(stdout);
	while ((got = read(dev, writes, sizeof(writes))) > 0)
		;
	puts(got ? strerrorname_np(errno) : "gone");
}

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

static void cost(int dev, u64 gfn, u64 ms)
{
	struct mmuscope_wp_info info;
	u64 end, seq;
	u32 err = 0;

	if (on(dev, gfn, 1, &err) < 0 || err)
		die("MMUSCOPE_WP_ON");
	if (ioctl(dev, MMUSCOPE_WP_INFO, &info) < 0)
		die("MMUSCOPE_WP_INFO");
	seq = info.seq;
	for (end = now_ms() + ms; now_ms() < end;)
		usleep(1000);
	if (ioctl(dev, MMUSCOPE_WP_INFO, &info) < 0)
		die("MMUSCOPE_WP_INFO");
	printf("writes %llu\n", (unsigned long long)(info.seq - seq));
}

static void told(const char *name, int ret, u32 err)
{
	printf("%s %s\n", name, ret < 0 ? strerrorname_np(errno) : err ? strerrorname_np((int)err) : "OK");
}

static void refuse(int dev, int unattached, u64 gfn)
{
	struct mmuscope_wp_range range = { .gfn = gfn, .nr = 1, .flags = 2 };
	struct mmuscope_wp_list list = { .buf = 8, .room = 1 };
	struct mmuscope_wp_write write;
	u32 err = 0;
	int ret;

	told("read-without-flips", (int)read(dev, &write, sizeof(write)), 0);
	told("unattached", on(unattached, gfn, 1, &err), err);
	told("flags", ioctl(dev, MMUSCOPE_WP_ON, &range), 0);
	ret = on(dev, gfn, 0, &err);
	told("empty", ret, err);
	ret = on(dev, gfn, MMUSCOPE_WP_MAX_GFNS + 1, &err);
	told("large", ret, err);
	ret = on(dev, ~0ull, 1, &err);
	told("behind-the-end", ret, err);
	ret = on(dev, (1ull << 52) - 1, 2, &err);
	told("over-the-end", ret, err);
	ret = on(dev, (1ull << 52) - 1, 1, &err);
	told("no-slot", ret, err);
	range = (struct mmuscope_wp_range){ .gfn = gfn, .nr = 1, .err = 1 };
	told("out-given", ioctl(dev, MMUSCOPE_WP_ON, &range), 0);
	ret = on(dev, gfn, 1, &err);
	told("good", ret, err);
	ret = on(dev, gfn, 1, &err);
	told("twice", ret, err);
	told("list-no-memory", ioctl(dev, MMUSCOPE_WP_LIST, &list), 0);
	list = (struct mmuscope_wp_list){ .pad = 1 };
	told("list-pad", ioctl(dev, MMUSCOPE_WP_LIST, &list), 0);
	list = (struct mmuscope_wp_list){ 0 };
	told("list-no-room", ioctl(dev, MMUSCOPE_WP_LIST, &list), 0);
	told("read-short", (int)read(dev, &write, sizeof(write) - 1), 0);
	range = (struct mmuscope_wp_range){ .gfn = gfn, .nr = 1, .flags = 1 };
	told("off-flags", ioctl(dev, MMUSCOPE_WP_OFF, &range), 0);
	range = (struct mmuscope_wp_range){ .gfn = gfn + 1, .nr = 1 };
	ret = ioctl(dev, MMUSCOPE_WP_OFF, &range);
	printf("off-none %d %u\n", ret, range.done);
	range = (struct mmuscope_wp_range){ .gfn = gfn, .nr = 1 };
	ret = ioctl(dev, MMUSCOPE_WP_OFF, &range);
	printf("off-one %d %u\n", ret, range.done);
}

int main(int argc, char **argv)
{
	const char *what = argc > 4 ? argv[1] : "";
	u64 gfn = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;

	if (!strcmp(what, "flip") && argc == 6)
		flip(session(argv[2], argv[3]), gfn, (u32)atoi(argv[5]));
	else if (!strcmp(what, "refuse"))
		refuse(session(argv[2], argv[3]), open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC), gfn);
	else if (!strcmp(what, "cost") && argc == 6)
		cost(session(argv[2], argv[3]), gfn, strtoull(argv[5], NULL, 0));
	else
		fprintf(stderr, "usage: see the head of wp.c\n");
	return 0;
}
