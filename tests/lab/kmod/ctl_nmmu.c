/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ctl nmmu: requests to an instance of nmmu that must be refused, each for its reason, and what must come of others. */
#include "ctl_nmmu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/event.h"
#include "abi/kmod_nmmu.h"

static struct ms_event events[MMUSCOPE_NMMU_EVENTS];
static u64 notes[MMUSCOPE_NMMU_NOTES], layout;
static int bad;

static void want(const char *what, int found, int wanted)
{
	if (found == wanted)
		return;
	printf("%s: %d, not %d\n", what, found, wanted);
	bad++;
}

static int request(int fd, unsigned long nr, void *arg)
{
	return ioctl(fd, nr, arg) < 0 ? -errno : 0;
}

static struct mmuscope_nmmu_run run_of(u32 call)
{
	return (struct mmuscope_nmmu_run){ .call = call,
					   .events = (uintptr_t)events,
					   .notes = (uintptr_t)notes,
					   .nr_events = MMUSCOPE_NMMU_EVENTS,
					   .nr_notes = MMUSCOPE_NMMU_NOTES };
}

static int run(int fd, struct mmuscope_nmmu_run run)
{
	return request(fd, MMUSCOPE_NMMU_RUN, &run);
}

/* What the engine says of it. */
static int call(int fd, u32 nr, u64 a, u64 b, u64 c, u64 d)
{
	struct mmuscope_nmmu_run r = run_of(nr);
	int err;

	r.v[0] = a;
	r.v[1] = b;
	r.v[2] = c;
	r.v[3] = d;
	err = request(fd, MMUSCOPE_NMMU_RUN, &r);
	return err ? err : r.state ? 1000 + (int)r.state : r.error;
}

static struct mmuscope_nmmu_create config(void)
{
	return (struct mmuscope_nmmu_create){ .layout = layout,
					      .flags = 1u << MMUSCOPE_NMMU_F_tdp | 1u << MMUSCOPE_NMMU_F_ad,
					      .hv = 1,
					      .phys_bits = 46,
					      .guest_phys_bits = 46,
					      .events = 1 };
}

static void refuse_create(int fd)
{
	struct mmuscope_nmmu_create c = { 0 };

	want("a call before there is an instance", run(fd, run_of(MMUSCOPE_NMMU_ZAP_ALL)), -ENOTCONN);
	want("another engine", request(fd, MMUSCOPE_NMMU_CREATE, &c), -EPROTO);
	/* Which error copies the struct back is main.c's; the number is asked for with -EINVAL. */
	c = config();
	c.flags = ~0u;
	want("unknown flags", request(fd, MMUSCOPE_NMMU_CREATE, &c), -EINVAL);
	c = config();
	c.pad[3] = 1;
	want("pad", request(fd, MMUSCOPE_NMMU_CREATE, &c), -EINVAL);
	c = config();
	c.max_bytes = MMUSCOPE_NMMU_BYTES_MAX + 1;
	want("more memory than allowed", request(fd, MMUSCOPE_NMMU_CREATE, &c), -EINVAL);
	c = config();
	c.max_bytes = 4096;
	want("too little memory", request(fd, MMUSCOPE_NMMU_CREATE, &c), -ENOMEM);
	c = config();
	c.phys_bits = 99;
	want("no such machine", request(fd, MMUSCOPE_NMMU_CREATE, &c), -EINVAL);
}

static void refuse_runs(int fd)
{
	struct mmuscope_nmmu_area area = { .hva = 1, .bytes = 4096 };
	struct mmuscope_nmmu_table table = { .pa = 0x1000, .words = 1 };
	struct mmuscope_nmmu_image image = { 0 };
	struct mmuscope_nmmu_run r;

	r = run_of(MMUSCOPE_NMMU_VCPU_LOAD);
	want("no such vCPU", run(fd, r), -EINVAL);
	r = run_of(MMUSCOPE_NMMU_NR_CALLS);
	want("no such call", run(fd, r), -EINVAL);
	r = run_of(MMUSCOPE_NMMU_ANSWER);
	want("an answer without a question", run(fd, r), -EINVAL);
	r = run_of(MMUSCOPE_NMMU_ZAP_ALL);
	r.strand = MMUSCOPE_NMMU_STRANDS;
	want("no such strand", run(fd, r), -EINVAL);
	r = run_of(MMUSCOPE_NMMU_ZAP_ALL);
	r.nr_events--;
	want("no room", run(fd, r), -EINVAL);
	r = run_of(MMUSCOPE_NMMU_ZAP_ALL);
	r.frames = 8;
	r.nr_frames = 1;
	want("frames nowhere", run(fd, r), -EFAULT);
	r = run_of(MMUSCOPE_NMMU_ZAP_ALL);
	r.events = 8;
	want("events to nowhere", run(fd, r), -EFAULT);
	want("a slot without end", call(fd, MMUSCOPE_NMMU_SLOT_SET, 0, 0, 0, ~0ull), -EINVAL);
	want("no such address space", call(fd, MMUSCOPE_NMMU_SLOT_SET, 9, 0, 0, 1), -EINVAL);
	want("no such log", call(fd, MMUSCOPE_NMMU_LOG_GET, 0, 7, 0, 0), -ENOENT);
	want("a ratio of nothing", call(fd, MMUSCOPE_NMMU_NX_RECOVER, 0, 0, 0, 0), -EINVAL);
	want("too long a write", call(fd, MMUSCOPE_NMMU_HOST_WRITE, 0, 0, 9, 0), -EINVAL);
	want("an area that is none", request(fd, MMUSCOPE_NMMU_AREA, &area), -EINVAL);
	want("no table there", request(fd, MMUSCOPE_NMMU_TABLE, &table), -EFAULT);
	table.words = 5;
	want("too many words", request(fd, MMUSCOPE_NMMU_TABLE, &table), -EINVAL);
	want("no room for the image", request(fd, MMUSCOPE_NMMU_IMAGE, &image), -E2BIG);
	image.to = 8;
	want("an image to nowhere", request(fd, MMUSCOPE_NMMU_IMAGE, &image), -EFAULT);
}

/* A vCPU that loads its root has to ask for a frame: what can be done meanwhile, and what not. */
static void refuse_meanwhile(int fd)
{
	struct mmuscope_nmmu_table table = { .words = 1, .op = MMUSCOPE_NMMU_MARK };
	struct mmuscope_nmmu_run r = run_of(MMUSCOPE_NMMU_VCPU_LOAD), other;
	int status = 0, i;

	want("a vCPU", call(fd, MMUSCOPE_NMMU_VCPU_CREATE, 0, 0, 0, 0), 0);
	want("its load", request(fd, MMUSCOPE_NMMU_RUN, &r), 0);
	want("a frame is asked for", (int)r.state, MMUSCOPE_NMMU_ASK_FRAME);
	want("the same strand", run(fd, run_of(MMUSCOPE_NMMU_ZAP_ALL)), -EBUSY);
	other = run_of(MMUSCOPE_NMMU_FLUSH_GUEST);
	other.strand = 1;
	want("the same vCPU on another", run(fd, other), -EBUSY);
	other = run_of(MMUSCOPE_NMMU_ZAP_ALL);
	other.strand = 1;
	want("another call on another", run(fd, other), 0);
	if (!fork())
		_exit(run(fd, other) == -ESRCH ? 0 : 1);
	wait(&status);
	want("another process's", status, 0);
	/* One frame for all tables: the second one is refused. */
	for (i = 0; i < 64 && r.state == MMUSCOPE_NMMU_ASK_FRAME; i++) {
		struct mmuscope_nmmu_run next = run_of(MMUSCOPE_NMMU_ANSWER);

		next.v[1] = 0x5000;
		want("an answer", request(fd, MMUSCOPE_NMMU_RUN, &next), 0);
		r = next;
	}
	want("the load has ended", (int)r.state, MMUSCOPE_NMMU_DONE);
	want("for want of frames", r.error, -ENOMEM);
	table.pa = 0x5000;
	table.v[0] = ~0ull;
	i = request(fd, MMUSCOPE_NMMU_TABLE, &table);
	want("a table is not written", i == -EPERM || i == -EFAULT, 1);
}

int ctl_nmmu_make(int fd)
{
	struct mmuscope_nmmu_create c = { .pad[0] = 1 };
	int err;

	if (!layout && request(fd, MMUSCOPE_NMMU_CREATE, &c) == -EINVAL)
		layout = c.layout;
	c = config();
	err = request(fd, MMUSCOPE_NMMU_CREATE, &c);
	return err ? err : call(fd, MMUSCOPE_NMMU_VCPU_CREATE, 0, 0, 0, 0);
}

int ctl_nmmu(void)
{
	struct mmuscope_nmmu_create c = { 0 };
	int fd = open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC);

	c.pad[0] = 1;
	want("what is no engine's", request(fd, MMUSCOPE_NMMU_CREATE, &c), -EINVAL);
	layout = c.layout;
	refuse_create(fd);
	c = config();
	want("an instance", request(fd, MMUSCOPE_NMMU_CREATE, &c), 0);
	want("twice", request(fd, MMUSCOPE_NMMU_CREATE, &c), -EBUSY);
	if (!bad) {
		refuse_runs(fd);
		refuse_meanwhile(fd);
	}
	/* With a strand that waits. */
	run(fd, run_of(MMUSCOPE_NMMU_VCPU_CREATE));
	close(fd);
	return bad;
}
