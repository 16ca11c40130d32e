/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of the kernel module's device, made by hand: what its tests hold sessions open with and are hostile with.
 * It shares nothing with mmuscope but the ABI's header.
 *
 *	ctl version | state		what the module says of itself, as KEY VALUE lines
 *	ctl hold PID FD			attaches to that VM, says "attached ADDRESS", and keeps the session till its
 *					input ends; then says how many VMs the module has
 *	ctl refuse PID FD		requests that must be refused: a line NAME ERRNO-NAME for each
 *	ctl cycle N PID FD		N times: open, attach, tell a layout, close
 *	ctl whole N PID FD GFN		N times: the same with a piece of an exact reading, a flip on and off, and an
 *					instance of nmmu with a vCPU
 *	ctl nobody			opens the device without CAP_SYS_ADMIN, as root
 *	ctl nmmu			the same of an instance of nmmu: what does not come to what it must
 *	ctl lose			makes a VM, attaches to it, closes the VM and lives on: "let go after N ms"
 *	ctl exec			the same of a child's VM; the child becomes another program, with the VM open
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/kvm.h>

#include "abi/kmod.h"
#include "abi/kmod_exact.h"
#include "abi/kmod_wp.h"
#include "ctl_nmmu.h"

static void die(const char *what)
{
	fprintf(stderr, "ctl: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int device(void)
{
	int fd = open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(MMUSCOPE_DEVICE);
	return fd;
}

static int vm_fd(const char *pid, const char *fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	int got = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, atoi(fd), 0);

	if (got < 0)
		die("the VM's descriptor");
	close(pidfd);
	return got;
}

static void attach(int dev, int fd, struct mmuscope_attach *a)
{
	*a = (struct mmuscope_attach){ .vm_fd = fd };
	if (ioctl(dev, MMUSCOPE_ATTACH, a) < 0)
		die("MMUSCOPE_ATTACH");
}

/* One that the module takes: members side by side. */
static struct mmuscope_layout some_layout(void)
{
	static const u8 bytes[MMUSCOPE_F_NR] = {
#define FIELD_BYTES(id, size) [MMUSCOPE_F_##id] = size ? size : 8,
		MMUSCOPE_FIELDS(FIELD_BYTES)
#undef FIELD_BYTES
	};
	struct mmuscope_layout l = { 0 };
	u16 at[2] = { 0, 0 };

	for (int i = 0; i < MMUSCOPE_F_NR; i++) {
		u16 *next = &at[i >= MMUSCOPE_F_desc_more];
		u16 align = bytes[i] % 8 == 0 ? 8 : bytes[i];

		*next = (u16)((*next + align - 1) / align * align);
		l.off[i] = *next;
		l.bytes[i] = bytes[i];
		*next = (u16)(*next + bytes[i]);
	}
	l.sp_bytes = (u16)((at[0] + 7) & ~7);
	l.desc_bytes = at[1];
	return l;
}

static void told(const char *name, int ret)
{
	printf("%s %s\n", name, ret < 0 ? strerrorname_np(errno) : "OK");
}

static void layout_told(const char *name, int dev, const struct mmuscope_layout *layout)
{
	struct mmuscope_layout l = *layout;
	int ret = ioctl(dev, MMUSCOPE_LAYOUT, &l);

	printf("%s %s %u\n", name, ret < 0 ? strerrorname_np(errno) : "OK", l.bad);
}

static void refuse_layouts(int dev)
{
	struct mmuscope_layout good = some_layout(), l;

#define WITH(name, change)                  \
	do {                                \
		l = good;                   \
		change;                     \
		layout_told(name, dev, &l); \
	} while (0)
	WITH("layout-empty", memset(&l, 0, sizeof(l)));
	WITH("layout-pad", l.pad = 1);
	WITH("layout-big", l.sp_bytes = MMUSCOPE_TYPE_MAX + 1);
	WITH("layout-behind-the-end", l.off[MMUSCOPE_F_sp_gfn] = l.sp_bytes);
	WITH("layout-at-the-end", l.off[MMUSCOPE_F_sp_gfn] = (u16)(l.sp_bytes - 4));
	WITH("layout-odd", l.off[MMUSCOPE_F_sp_gfn]++);
	WITH("layout-size", l.bytes[MMUSCOPE_F_sp_spt] = 4);
	WITH("layout-overlap", l.off[MMUSCOPE_F_sp_spt] = l.off[MMUSCOPE_F_sp_gfn]);
	WITH("layout-no-role", l.off[MMUSCOPE_F_sp_role] = MMUSCOPE_ABSENT);
	WITH("layout-good", l.off[MMUSCOPE_F_sp_ptep] = l.off[MMUSCOPE_F_sp_parent_ptes]);
	WITH("layout-again", (void)0);
}

static void refuse(const char *pid, const char *fd)
{
	struct mmuscope_attach a = { .vm_fd = -1 };
	struct mmuscope_version version;
	int dev = device(), vm = vm_fd(pid, fd), other;

	told("no-request", ioctl(dev, _IOWR(MMUSCOPE_IOC, 0x5f, u64), &a));
	told("no-number", ioctl(dev, _IOWR(MMUSCOPE_IOC, 0xff, u64), &a));
	told("other-type", ioctl(dev, _IOR('K', 0, struct mmuscope_version), &version));
	told("other-size", ioctl(dev, _IOR(MMUSCOPE_IOC, 0, u64), &version));
	told("other-direction", ioctl(dev, _IOW(MMUSCOPE_IOC, 0, struct mmuscope_version), &version));
	told("no-memory", ioctl(dev, MMUSCOPE_VERSION, (void *)8));
	told("kernel-memory", ioctl(dev, MMUSCOPE_VERSION, (void *)0xffff888000000000ull));
	told("no-descriptor", ioctl(dev, MMUSCOPE_ATTACH, &a));
	a = (struct mmuscope_attach){ .vm_fd = vm, .pad = 1 };
	told("pad", ioctl(dev, MMUSCOPE_ATTACH, &a));
	a = (struct mmuscope_attach){ .vm_fd = dev };
	told("itself", ioctl(dev, MMUSCOPE_ATTACH, &a));
	a = (struct mmuscope_attach){ .vm_fd = other = eventfd(0, 0) };
	told("eventfd", ioctl(dev, MMUSCOPE_ATTACH, &a));
	close(other);
	a = (struct mmuscope_attach){ .vm_fd = other = open("/dev/kvm", O_RDWR) };
	told("dev-kvm", ioctl(dev, MMUSCOPE_ATTACH, &a));
	close(other);
	a = (struct mmuscope_attach){ .vm_fd = vm };
	told("the-vm", ioctl(dev, MMUSCOPE_ATTACH, &a));
	a = (struct mmuscope_attach){ .vm_fd = vm };
	told("twice", ioctl(dev, MMUSCOPE_ATTACH, &a));
	refuse_layouts(dev);
	told("read", (int)read(dev, &version, 0));
	told("write", (int)write(dev, &version, 1));
	told("seek", (int)lseek(dev, 0, SEEK_SET));
}

static void hold(const char *pid, const char *fd)
{
	struct mmuscope_attach a;
	struct mmuscope_state s;
	int dev = device(), vm = vm_fd(pid, fd), c;

	attach(dev, vm, &a);
	close(vm);
	printf("attached 0x%llx\n", (unsigned long long)a.kvm);
	fflush(stdout);
	while ((c = getchar()) != EOF)
		;
	if (ioctl(dev, MMUSCOPE_STATE, &s) < 0)
		die("MMUSCOPE_STATE");
	printf("vms %u\n", s.vms);
}

/* Of a session: one of all that it can have. Memslots' arrays can be read whatever the layout. */
static void use(int dev, u64 gfn)
{
	static u8 buf[MMUSCOPE_EXACT_BYTES];
	struct mmuscope_exact_begin begin = { .kind = MMUSCOPE_EXACT_RMAPS };
	struct mmuscope_exact_next next = { .buf = (u64)(uintptr_t)buf, .bytes = sizeof(buf) };
	struct mmuscope_wp_range on = { .gfn = gfn, .nr = 1 }, off = on;
	int err;

	if (ioctl(dev, MMUSCOPE_EXACT_BEGIN, &begin) < 0 || ioctl(dev, MMUSCOPE_EXACT_NEXT, &next) < 0)
		die("an exact reading");
	if (ioctl(dev, MMUSCOPE_WP_ON, &on) < 0 || on.done != 1 || ioctl(dev, MMUSCOPE_WP_OFF, &off) < 0 ||
	    off.done != 1)
		die("a flip");
	err = ctl_nmmu_make(dev);
	if (err) {
		errno = -err;
		die("an instance");
	}
}

/* used: the frame to be flipped, NULL: nothing is made use of. */
static void cycle(int nr, const char *pid, const char *fd, const char *used)
{
	int vm = vm_fd(pid, fd);

	while (nr-- > 0) {
		struct mmuscope_layout l = some_layout();
		struct mmuscope_attach a;
		int dev = device();

		attach(dev, vm, &a);
		if (ioctl(dev, MMUSCOPE_LAYOUT, &l) < 0)
			die("MMUSCOPE_LAYOUT");
		if (used)
			use(dev, strtoull(used, NULL, 0));
		close(dev);
	}
}

/* Root, with every right but the one. */
static void nobody(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		die("capget");
	data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
	if (syscall(SYS_capset, &head, data) < 0)
		die("capset");
	told("open", open(MMUSCOPE_DEVICE, O_RDWR));
}

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

static int new_vm(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0)
		die("KVM_CREATE_VM");
	close(kvm);
	return vm;
}

/* Till no more than nr VMs are held. */
static void let_go_after(int dev, u32 nr)
{
	u64 start = now_ms();
	struct mmuscope_state s;

	do {
		usleep(5000);
		if (ioctl(dev, MMUSCOPE_STATE, &s) < 0)
			die("MMUSCOPE_STATE");
	} while (s.vms > nr && now_ms() - start < 5000);
	printf(s.vms > nr ? "not let go of in %llu ms\n" : "let go after %llu ms\n",
	       (unsigned long long)(now_ms() - start));
}

static void lose(void)
{
	int dev = device(), vm = new_vm();
	struct mmuscope_attach a;
	struct mmuscope_state s;

	attach(dev, vm, &a);
	/* Long enough for the module to have looked: held, it stays. */
	usleep(600000);
	if (ioctl(dev, MMUSCOPE_STATE, &s) < 0)
		die("MMUSCOPE_STATE");
	printf("held %u\n", s.vms);
	close(vm);
	let_go_after(dev, s.vms - 1);
}

static void exec_away(void)
{
	int dev = device(), to[2], from[2], vm = -1;
	struct mmuscope_attach a;
	char text[16], word = 0;
	pid_t child;

	if (pipe(to) < 0 || pipe(from) < 0 || (child = fork()) < 0)
		die("a child");
	if (!child) {
		vm = new_vm();
		if (fcntl(vm, F_SETFD, 0) < 0 || write(from[1], &vm, sizeof(vm)) < 0 ||
		    read(to[0], &word, 1) < 0)
			_exit(1);
		execl("/bin/sleep", "sleep", "10", NULL);
		_exit(1);
	}
	if (read(from[0], &vm, sizeof(vm)) != sizeof(vm))
		die("the child's VM");
	snprintf(text, sizeof(text), "%d", child);
	{
		char number[16];

		snprintf(number, sizeof(number), "%d", vm);
		vm = vm_fd(text, number);
	}
	attach(dev, vm, &a);
	close(vm);
	if (write(to[1], &word, 1) != 1)
		die("the child");
	let_go_after(dev, 0);
	kill(child, SIGKILL);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct mmuscope_version v;
	struct mmuscope_state s;

	if (!strcmp(what, "version")) {
		if (ioctl(device(), MMUSCOPE_VERSION, &v) < 0)
			die("MMUSCOPE_VERSION");
		printf("major %u\nminor %u\nhas 0x%x\nrelease %.64s\n", v.major, v.minor, v.has, v.release);
	} else if (!strcmp(what, "state")) {
		if (ioctl(device(), MMUSCOPE_STATE, &s) < 0)
			die("MMUSCOPE_STATE");
		printf("files %u\nvms %u\nflips %u\nnmmus %u\n", s.files, s.vms, s.flips, s.nmmus);
	} else if (!strcmp(what, "hold") && argc == 4) {
		hold(argv[2], argv[3]);
	} else if (!strcmp(what, "refuse") && argc == 4) {
		refuse(argv[2], argv[3]);
	} else if (!strcmp(what, "cycle") && argc == 5) {
		cycle(atoi(argv[2]), argv[3], argv[4], NULL);
	} else if (!strcmp(what, "whole") && argc == 6) {
		cycle(atoi(argv[2]), argv[3], argv[4], argv[5]);
	} else if (!strcmp(what, "nmmu")) {
		return ctl_nmmu() != 0;
	} else if (!strcmp(what, "nobody")) {
		nobody();
	} else if (!strcmp(what, "lose")) {
		lose();
	} else if (!strcmp(what, "exec")) {
		exec_away();
	} else {
		fprintf(stderr, "usage: see the head of ctl.c\n");
		return 2;
	}
	return 0;
}
