/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session with flips, without mmuscope: starts fast, and may be killed at any point.
 *
 *	wp flip PID FD GFN NR	flips, says "on", and reads writes till it is killed or the VM is gone ("gone")
 *	wp refuse PID FD GFN	requests that must be refused: a line NAME ERRNO-NAME for each
 *	wp cost PID FD GFN MS	flips one frame for so long: "writes N"
 *	wp loop PID FD GFN NR MS	flips on and off for so long, off by a request and by an end in turn: "on N"
 *	wp own MS		with a VM of its own, without vCPUs: a memslot with flips is moved to where none can
 *				be ("move ERRNO-NAME flips N told N"), then deleted and made again for so long
 *				while flips in it go on and off ("on N made N")
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/kmod_wp.h"

static void die(const char *what)
{
	fprintf(stderr, "wp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int attach(int vm)
{
	struct mmuscope_attach a = { .vm_fd = vm };
	int dev = open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC);

	if (dev < 0 || ioctl(dev, MMUSCOPE_ATTACH, &a) < 0)
		die("the VM");
	return dev;
}

static int vm_of(const char *pid, const char *fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	int vm = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(fd), 0);

	if (vm < 0)
		die("the VM");
	close(pidfd);
	return vm;
}

static int session(const char *pid, const char *fd)
{
	int vm = vm_of(pid, fd), dev = attach(vm);

	close(vm);
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

/* How many flips were on, of a memslot that may be there or not. */
static u64 loop(int vm, u64 gfn, u32 nr, u64 ms)
{
	const u64 end = now_ms() + ms;
	int dev = attach(vm);
	u64 done = 0;

	for (unsigned int turn = 0; now_ms() < end; turn++) {
		struct mmuscope_wp_range range = { .gfn = gfn, .nr = nr };

		if (ioctl(dev, MMUSCOPE_WP_ON, &range) < 0 || (range.err && range.err != ENOENT))
			die("MMUSCOPE_WP_ON");
		done += range.done;
		range = (struct mmuscope_wp_range){ .gfn = gfn, .nr = nr };
		if (turn % 2 && ioctl(dev, MMUSCOPE_WP_OFF, &range) < 0)
			die("MMUSCOPE_WP_OFF");
		if (turn % 2)
			continue;
		close(dev);
		dev = attach(vm);
	}
	close(dev);
	return done;
}

#define OWN_BYTES 0x10000ul
#define OWN_GPA 0x100000ul
#define OWN_NR ((u32)(OWN_BYTES >> 12))

struct own {
	int vm;
	void *mem;
	u64 made;
	atomic_bool stop;
};

/* Slot i; without bytes it is deleted. 0, or errno. */
static int own_slot(const struct own *own, u32 i, u64 gpa, u64 bytes)
{
	struct kvm_userspace_memory_region r = {
		.slot = i,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (u64)(uintptr_t)own->mem,
	};

	return ioctl(own->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? errno : 0;
}

static void *own_remake(void *arg)
{
	struct own *own = arg;

	for (; !atomic_load(&own->stop); own->made++)
		if (own_slot(own, 0, OWN_GPA, 0) || own_slot(own, 0, OWN_GPA, OWN_BYTES))
			die("a memslot");
	return NULL;
}

/* Records that there are. */
static unsigned int own_told(int dev)
{
	struct mmuscope_wp_write write;
	unsigned int n = 0;

	while (poll(&(struct pollfd){ .fd = dev, .events = POLLIN }, 1, 0) > 0 &&
	       read(dev, &write, sizeof(write)) == sizeof(write))
		n++;
	return n;
}

/* Flips that are on. */
static unsigned int own_flips(int dev)
{
	struct mmuscope_wp_flip flips[2 * OWN_NR];
	struct mmuscope_wp_list list = { .buf = (u64)(uintptr_t)flips, .room = 2 * OWN_NR };
	unsigned int n = 0;

	if (ioctl(dev, MMUSCOPE_WP_LIST, &list) < 0)
		die("MMUSCOPE_WP_LIST");
	for (u32 i = 0; i < list.nr; i++)
		n += flips[i].flags == MMUSCOPE_WP_MINE;
	return n;
}

static void run_own(u64 ms)
{
	struct own own = { .vm = ioctl(open("/dev/kvm", O_RDWR | O_CLOEXEC), KVM_CREATE_VM, 0) };
	pthread_t thread;
	int dev, keep;
	u32 err = 0;
	u64 done;

	own.mem = mmap(NULL, OWN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own.vm < 0 || own_slot(&own, 0, OWN_GPA, OWN_BYTES) || own_slot(&own, 1, 2 * OWN_GPA, OWN_BYTES))
		die("a VM");
	/* While one is on, others are fast. */
	keep = attach(own.vm);
	dev = attach(own.vm);
	if (on(keep, 2 * OWN_GPA >> 12, 1, &err) < 0 || err || on(dev, OWN_GPA >> 12, OWN_NR, &err) < 0 ||
	    err)
		die("MMUSCOPE_WP_ON");
	printf("move %s", strerrorname_np(own_slot(&own, 0, 1ull << 52, OWN_BYTES)));
	printf(" flips %u told %u\n", own_flips(dev), own_told(dev));
	close(dev);
	if (pthread_create(&thread, NULL, own_remake, &own))
		die("a thread");
	done = loop(own.vm, OWN_GPA >> 12, OWN_NR, ms);
	atomic_store(&own.stop, true);
	pthread_join(thread, NULL);
	printf("on %llu made %llu\n", (unsigned long long)done, (unsigned long long)own.made);
	close(keep);
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
	else if (!strcmp(what, "loop") && argc == 7)
		printf("on %llu\n", (unsigned long long)loop(vm_of(argv[2], argv[3]), gfn, (u32)atoi(argv[5]),
							     strtoull(argv[6], NULL, 0)));
	else if (argc == 3 && !strcmp(argv[1], "own"))
		run_own(strtoull(argv[2], NULL, 0));
	else
		fprintf(stderr, "usage: see the head of wp.c\n");
	return 0;
}
