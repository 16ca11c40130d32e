/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instances of nmmu that come to a limit, for tests/lab/94-limits.sh, which kills them, or has their time or their
 * cgroup's memory end.
 *
 *	limits sleep		a call that reads guest memory for which a userfaultfd never provides a page
 *	limits busy TABLES	a check, over and over, of so many tables of 512 entries each that all point to one
 *				table: each is looked for in a list of all of them
 *	limits memory		memslots until no more can be had
 *	limits oom		then its own memory, without end
 *
 * Prints "calls" before its call, and "state S error E in N ms, V V" after it, with its first two values.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/event.h"
#include "abi/kmod.h"
#include "abi/kmod_nmmu.h"
#include "nmmu/image.h"
#include "nmmu/nmmu.h"

#define HVA_BASE 0x7f0000000000ull
#define PAGE 4096ull
#define LOW 8u /* frames below those of the guest's many tables */
#define MAX_TABLES 400u
#define FRAMES_FROM 0x100000ull /* frames for the engine's tables, above all of the guest's */

static struct ms_event events[MMUSCOPE_NMMU_EVENTS];
static u64 notes[MMUSCOPE_NMMU_NOTES], frames[MMUSCOPE_NMMU_FRAMES], frame = FRAMES_FROM;
static u8 *ram;
static struct mmuscope_nmmu_page *table;
static int fd;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "limits: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *map(u64 bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		die("memory");
	return at;
}

/* One stretch of a call. Frames that it took are not offered again. */
static void stretch(struct mmuscope_nmmu_run *r)
{
	r->events = (uintptr_t)events;
	r->notes = (uintptr_t)notes;
	r->frames = (uintptr_t)frames;
	r->nr_events = MMUSCOPE_NMMU_EVENTS;
	r->nr_notes = MMUSCOPE_NMMU_NOTES;
	r->nr_frames = MMUSCOPE_NMMU_FRAMES;
	for (u64 i = 0; i < MMUSCOPE_NMMU_FRAMES; i++)
		frames[i] = (frame + i) << 12;
	if (ioctl(fd, MMUSCOPE_NMMU_RUN, r) < 0)
		die("RUN");
	frame += r->nr_frames;
}

/* A call that is to come to its end, whatever that is. */
static int call(struct mmuscope_nmmu_run *r)
{
	stretch(r);
	if (r->state != MMUSCOPE_NMMU_DONE) {
		fprintf(stderr, "limits: call %u asks for %u\n", r->call, r->state);
		exit(2);
	}
	return r->error;
}

static void must(const char *what, struct mmuscope_nmmu_run r)
{
	int err = call(&r);

	if (!err)
		return;
	errno = -err;
	die(what);
}

static struct mmuscope_nmmu_run slot_set(u64 id, u64 pages)
{
	return (struct mmuscope_nmmu_run){ .call = MMUSCOPE_NMMU_SLOT_SET,
					   .v = { 0, id, id * MMUSCOPE_NMMU_SLOT_PAGES, pages,
						  HVA_BASE + id * MMUSCOPE_NMMU_SLOT_PAGES * PAGE } };
}

static void begin(bool tdp)
{
	struct mmuscope_nmmu_create c = { .layout = nmmu_image_layout(),
					  .flags = tdp ? 1u << MMUSCOPE_NMMU_F_tdp : 0,
					  .hv = 1,
					  .kernel = 1,
					  .phys_bits = 46,
					  .guest_phys_bits = 46 };

	fd = open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, MMUSCOPE_NMMU_CREATE, &c) < 0)
		die(MMUSCOPE_DEVICE);
}

static void have_area(u64 pages)
{
	struct mmuscope_nmmu_area area = { .hva = HVA_BASE,
					   .bytes = pages * PAGE,
					   .table = (uintptr_t)table };

	if (ioctl(fd, MMUSCOPE_NMMU_AREA, &area) < 0)
		die("AREA");
	must("a memslot", slot_set(0, pages));
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

/* The call that this is about. */
static int tell(struct mmuscope_nmmu_run r)
{
	u64 from = now_ms();

	puts("calls");
	fflush(stdout);
	stretch(&r);
	printf("state %u error %d in %llu ms, %llu %llu\n", r.state, r.error,
	       (unsigned long long)(now_ms() - from), (unsigned long long)r.v[0], (unsigned long long)r.v[1]);
	fflush(stdout);
	return r.error;
}

static const struct mmuscope_nmmu_run host_write = { .call = MMUSCOPE_NMMU_HOST_WRITE,
						     .v = { 0x2000, 7, 8 } };

static void sleeps(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	table = map(PAGE);
	range.range.start = (uintptr_t)table;
	range.range.len = PAGE;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &range) < 0)
		die("userfaultfd");
	begin(true);
	have_area(16);
	tell(host_write);
	/* As it would have gone with the page there. */
	ram = map(16 * PAGE);
	if (ioctl(uffd, UFFDIO_UNREGISTER, &range.range) < 0)
		die("userfaultfd");
	table[2] = (struct mmuscope_nmmu_page){ 0x3000 | 1 << 2 | 3, (uintptr_t)ram + 2 * PAGE };
	must("a write with the page there", host_write);
	printf("then %u\n", ram[2 * PAGE]);
}

static void entry(u64 gfn, u64 index, u64 to)
{
	((u64 *)(ram + gfn * PAGE))[index] = to << 12 | 0x67;
}

/* By a supervisor's read. */
static void fault(u64 gva)
{
	struct mmuscope_nmmu_run r = { .call = MMUSCOPE_NMMU_EXIT, .v = { NMMU_EXIT_PF, 0, gva } };
	int err = call(&r);

	/* Spurious: the link is new, what it links to has the leaf already. */
	if (!err && (r.v[1] == NMMU_RET_FIXED || r.v[1] == NMMU_RET_SPURIOUS))
		return;
	fprintf(stderr, "limits: the fault at %llx: error %d, action %llu, ret %llu\n",
		(unsigned long long)gva, err, (unsigned long long)r.v[0], (unsigned long long)r.v[1]);
	exit(2);
}

static void busy(u64 tables)
{
	u64 pages = LOW + tables;

	ram = map(pages * PAGE);
	table = map((pages * sizeof(*table) + PAGE - 1) & ~(PAGE - 1));
	for (u64 gfn = 0; gfn < pages; gfn++)
		table[gfn] = (struct mmuscope_nmmu_page){ (gfn + 1) << 12 | 1 << 2 | 3,
							  (uintptr_t)ram + gfn * PAGE };
	entry(1, 0, 2);
	entry(3, 0, 4);
	for (u64 i = 0; i < tables; i++) {
		entry(2, i, LOW + i);
		for (u64 k = 0; k < 512; k++)
			entry(LOW + i, k, 3);
	}
	begin(false);
	have_area(pages);
	must("a vCPU", (struct mmuscope_nmmu_run){ .call = MMUSCOPE_NMMU_VCPU_CREATE });
	must("its registers", (struct mmuscope_nmmu_run){ .call = MMUSCOPE_NMMU_SET_REGS,
							  .v = { 0x80010031, 0x1000, 0x20, 0xd00 } });
	must("its root", (struct mmuscope_nmmu_run){ .call = MMUSCOPE_NMMU_VCPU_LOAD });
	for (u64 gva = 0; gva < tables << 30; gva += 512 * PAGE)
		fault(gva);
	for (;;)
		tell((struct mmuscope_nmmu_run){ .call = MMUSCOPE_NMMU_CHECK });
}

/* Slots as large as can be, 16 MiB of reverse maps each. */
static void memory(void)
{
	u64 id = 0;

	begin(true);
	while (!tell(slot_set(id, MMUSCOPE_NMMU_SLOT_PAGES)))
		id++;
	printf("slots %llu\n", (unsigned long long)id);
	must("a call afterwards", (struct mmuscope_nmmu_run){ .call = MMUSCOPE_NMMU_ZAP_ALL });
	for (u64 i = 0; i < id; i++)
		must("a slot's end", slot_set(i, 0));
	must("a slot where another was", slot_set(0, MMUSCOPE_NMMU_SLOT_PAGES));
	puts("then as before");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "sleep") && argc == 2) {
		sleeps();
	} else if (!strcmp(what, "busy") && argc == 3 && strtoull(argv[2], NULL, 0) - 1 < MAX_TABLES) {
		busy(strtoull(argv[2], NULL, 0));
	} else if ((!strcmp(what, "memory") || !strcmp(what, "oom")) && argc == 2) {
		memory();
		while (what[0] == 'o')
			memset(map(1 << 20), 1, 1 << 20);
	} else {
		fprintf(stderr, "usage: limits sleep | busy TABLES | memory | oom\n");
		return 2;
	}
	return 0;
}
