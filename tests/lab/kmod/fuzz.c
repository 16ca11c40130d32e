/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every request of the kernel module's device, with arguments that make sense, almost make sense, or make none; by
 * several threads on sessions of their own and on one that they share, while another one rewrites all memory that the
 * requests name: guest RAM of nmmu, tables of frames, buffers. What the module answers is not judged here, only
 * counted: that it lives, leaks nothing and leaves the VM as it was is for the script that runs this.
 *
 *	fuzz SECONDS SEED PID FD
 *
 * It ends after so many seconds, or when SIGTERM asks it to.
 * Prints "request NAME ok N refused N" for each request and each call of nmmu. With FUZZ_FAIL in its environment its
 * own allocations in the kernel may fail, as /sys/kernel/debug/failslab says.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
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
#include "abi/kmod_exact.h"
#include "abi/kmod_nmmu.h"
#include "abi/kmod_wp.h"
#include "abi/rec.h"
#include "layout/layout.h"
#include "nmmu/image.h"
#include "target/device.h"

#define NR_THREADS 3
#define RAM_PAGES 512u /* of nmmu's guest, at HVA_BASE of its VMM */
#define HVA_BASE 0x7f0000000000ull
#define SCRATCH_BYTES (4u << 20)
#define RAM_AT (1ull << 36)
#define SCRATCH_AT (1ull << 37)
#define TABLE_AT (1ull << 38)
#define TAKEN 32u

/* clang-format off */
#define REQUESTS(R) \
	R(VERSION) R(ATTACH) R(STATE) R(LAYOUT) R(EXACT_BEGIN) R(EXACT_NEXT) R(WP_ON) R(WP_OFF) R(WP_LIST) R(WP_INFO) \
	R(NMMU_CREATE) R(NMMU_AREA) R(NMMU_RUN) R(NMMU_TABLE) R(NMMU_IMAGE)
/* clang-format on */

enum request {
#define REQUEST_ID(name) R_##name,
	REQUESTS(REQUEST_ID)
#undef REQUEST_ID
		R_READ,
	R_POLL,
	R_OPEN,
	R_NR
};

static const unsigned int numbers[R_NR] = {
#define REQUEST_NR(name) [R_##name] = MMUSCOPE_##name,
	REQUESTS(REQUEST_NR)
#undef REQUEST_NR
};

static const char *const names[R_NR] = {
#define REQUEST_NAME(name) [R_##name] = #name,
	REQUESTS(REQUEST_NAME)
#undef REQUEST_NAME
		[R_READ] = "read",
	[R_POLL] = "poll",
	[R_OPEN] = "open",
};

struct rnd {
	u64 s;
};

struct worker {
	pthread_t thread;
	struct rnd rnd;
	int own; /* its own session */
	u64 ok[R_NR], refused[R_NR];
	u64 call_ok[MMUSCOPE_NMMU_NR_CALLS], call_refused[MMUSCOPE_NMMU_NR_CALLS];
	/* What the last RUN on its own session left each strand in. */
	u32 state[MMUSCOPE_NMMU_STRANDS];
	u64 asked[MMUSCOPE_NMMU_STRANDS][3];
	u64 next_frame, frames[MMUSCOPE_NMMU_FRAMES];
	/* Frames that became tables, the last ones: of its own session's engine, and of the shared one's. */
	struct taken {
		u64 pa[TAKEN];
		u32 nr;
	} taken[2];
	/* Of its own session: an entry that it read; and vCPU 0's PML buffer, with where the CPU is in it. */
	u64 read_pa, read_value, pml_pa;
	u16 pml_index;
};

static struct ms_layout layout;
static struct mmuscope_layout good_layout;
static int vm_fd;
static int shared; /* a session that all use */
static u8 *ram, *scratch;
static struct mmuscope_nmmu_page *table;
static _Atomic bool over;

static u64 rnd(struct rnd *r)
{
	r->s ^= r->s << 13;
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return r->s * 0x2545f4914f6cdd1dull;
}

static u64 below(struct rnd *r, u64 n)
{
	return rnd(r) % n;
}

static bool one_in(struct rnd *r, u64 n)
{
	return !below(r, n);
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* --- arguments --- */

/* An address that may be given as the caller's memory: mostly scratch, else anything. */
static u64 some_address(struct rnd *r)
{
	switch (below(r, 12)) {
	case 0:
		return 0;
	case 1:
		return rnd(r);
	case 2:
		return 0xffff888000000000ull + below(r, 1ull << 32);
	case 3:
		return (u64)scratch + SCRATCH_BYTES - below(r, 64); /* runs into what is not mapped */
	case 4:
		return (u64)ram + below(r, RAM_PAGES * 4096ull);
	default:
		return (u64)scratch + below(r, SCRATCH_BYTES / 2) / 8 * 8;
	}
}

static u64 some_gfn(struct rnd *r)
{
	switch (below(r, 16)) {
	case 0:
		return rnd(r);
	case 1:
		return ~0ull;
	case 2:
		return 1ull << below(r, 52);
	default:
		return below(r, RAM_PAGES);
	}
}

static u64 some_gpa(struct rnd *r)
{
	return some_gfn(r) << 12 | below(r, 4096) / (1ull << below(r, 4)) * (1ull << below(r, 4)) % 4096;
}

/* Tables of nmmu's guest: its CR3 and EPTP are low frames of its RAM, which the other thread writes. */
static u64 some_root(struct rnd *r)
{
	return below(r, 8) << 12 | (one_in(r, 2) ? 0x1e : 0);
}

static void some_regs(struct rnd *r, u64 *v)
{
	static const u64 modes[][4] = {
		{ 0x10, 0, 0, 0 },
		{ 0x80000011, 0, 0, 0 },
		{ 0x80000011, 0, 0x20, 0 },
		{ 0x80010031, 0, 0x20, 0xd00 },
		{ 0x80010031, 0, 0x1020, 0xd00 },
		{ 0x80010031, 0, 0x300020, 0xd00 },
	};

	memcpy(v, modes[below(r, 6)], sizeof(modes[0]));
	v[1] = below(r, 8) << 12;
	v[4] = below(r, 4);
	if (one_in(r, 8))
		v[below(r, 4)] ^= 1ull << below(r, 64);
}

static void some_access(struct rnd *r, u64 *v)
{
	v[0] = some_gpa(r);
	v[1] = one_in(r, 8) ? rnd(r) : 1ull << below(r, 4);
	v[2] = below(r, 16);
	v[3] = rnd(r);
}

/* A frame of which the engine said that it is a table's; at times any. */
static u64 some_table(struct worker *w, bool own)
{
	const struct taken *t = &w->taken[!own];
	u64 nr = t->nr < TAKEN ? t->nr : TAKEN;

	if (!nr || one_in(&w->rnd, 8))
		return below(&w->rnd, w->next_frame + 2) << 12;
	return t->pa[below(&w->rnd, nr)] & ~4095ull;
}

/* A configuration, mostly one that is none of those that contradict themselves. */
static struct mmuscope_nmmu_create some_config(struct rnd *r)
{
	struct mmuscope_nmmu_create c = {
		.layout = nmmu_image_layout(),
		.max_bytes = one_in(r, 2) ? 0 : (below(r, 64) << 16),
		.max_pages = one_in(r, 2) ? 0 : 40 + (u32)below(r, 200),
		.first_generation = one_in(r, 4) ? 2 * below(r, 1ull << 62) : 0,
		.bugs = one_in(r, 4) ? (u32)below(r, 64) : 0,
		.flags = (u32)rnd(r) & ((1u << MMUSCOPE_NMMU_F_NR) - 1),
		.hv = one_in(r, 2) ? MS_HV_SVM : MS_HV_VMX,
		.kernel = (u8)below(r, 2),
		.phys_bits = (u8)(36 + below(r, 17)),
		.events = (u8)below(r, 2),
	};
	u32 ept = 1u << MMUSCOPE_NMMU_F_tdp | 1u << MMUSCOPE_NMMU_F_ad;

	c.guest_phys_bits = (u8)(36 + below(r, c.phys_bits - 36 + 1u));
	if (one_in(r, 16)) {
		((u8 *)&c)[below(r, sizeof(c))] = (u8)rnd(r);
		return c;
	}
	if (c.hv != MS_HV_VMX || (c.flags & ept) != ept)
		c.flags &= ~(1u << MMUSCOPE_NMMU_F_pml);
	if (c.hv != MS_HV_VMX)
		c.flags &= ~(1u << MMUSCOPE_NMMU_F_exec_only);
	if (!c.kernel)
		c.flags &= ~(1u << MMUSCOPE_NMMU_F_no_zap_all);
	return c;
}

/* What a CPU does with a table: half of it as a CPU would, on what was seen there last. */
static struct mmuscope_nmmu_table some_cpu(struct worker *w, bool own)
{
	struct rnd *r = &w->rnd;

	if (own && w->pml_pa && one_in(r, 4))
		return (struct mmuscope_nmmu_table){ .pa = w->pml_pa | (u64)w->pml_index % 512 << 3,
						     .op = MMUSCOPE_NMMU_LOG,
						     .words = 1,
						     .v = { some_gfn(r) << 12 } };
	if (own && w->read_pa && one_in(r, 3))
		return (struct mmuscope_nmmu_table){ .pa = w->read_pa,
						     .op = MMUSCOPE_NMMU_MARK,
						     .words = 1,
						     .old = w->read_value,
						     .v = { w->read_value | 1ull << (5 + below(r, 5)) } };
	return (struct mmuscope_nmmu_table){
		/* The first entries are those that are used. */
		.pa = some_table(w, own) | below(r, one_in(r, 2) ? 8 : 500) << 3,
		.op = one_in(r, 2) ? MMUSCOPE_NMMU_READ : (u32)below(r, 4),
		.words = (u32)below(r, 6),
		.old = rnd(r),
		.v = { rnd(r) },
	};
}

static void remember(struct worker *w, bool own, u64 pa)
{
	struct taken *t = &w->taken[!own];

	t->pa[t->nr++ % TAKEN] = pa;
	if (pa >> 12 > w->next_frame && pa >> 12 <= w->next_frame + MMUSCOPE_NMMU_FRAMES)
		w->next_frame = pa >> 12;
}

static void remember_entry(struct worker *w, const struct mmuscope_nmmu_table *t)
{
	if (t->op != MMUSCOPE_NMMU_READ || !t->v[0])
		return;
	w->read_pa = t->pa;
	w->read_value = t->v[0];
}

static void remember_pml(struct worker *w, const struct mmuscope_nmmu_run *run, u32 call)
{
	const struct mmuscope_nmmu_entry *entry = (const void *)run->v;

	if (run->vcpu)
		return;
	w->pml_index = run->pml_index;
	/* Of a load that asked for nothing: they come again and again. */
	if (call == MMUSCOPE_NMMU_VCPU_LOAD && run->state == MMUSCOPE_NMMU_DONE && !run->error)
		w->pml_pa = entry->pml_pa;
}

/* What a RUN took of the frames that it was offered, and the one that it was answered with. */
static void remember_run(struct worker *w, bool own, const struct mmuscope_nmmu_run *run, u64 answer)
{
	for (u32 i = 0; run->frames == (u64)w->frames && i < run->nr_frames && i < MMUSCOPE_NMMU_FRAMES; i++)
		remember(w, own, w->frames[i]);
	if (answer)
		remember(w, own, answer);
}

static void some_run(struct worker *w, struct mmuscope_nmmu_run *run, bool own)
{
	struct rnd *r = &w->rnd;
	u64 *v = run->v;

	run->strand = one_in(r, 4) ? (u32)below(r, MMUSCOPE_NMMU_STRANDS + 1) : 0;
	run->vcpu = one_in(r, 16) ? (u32)rnd(r) : (u32)below(r, 3);
	run->watch = one_in(r, 8) ? (u32)rnd(r) : 0;
	run->fail_after = one_in(r, 16) ? below(r, 20) : 0;
	run->nr_events = MMUSCOPE_NMMU_EVENTS;
	run->nr_notes = MMUSCOPE_NMMU_NOTES;
	run->events = one_in(r, 8) ? some_address(r) : (u64)scratch;
	run->notes = one_in(r, 8) ? some_address(r) : (u64)scratch + SCRATCH_BYTES / 2;
	if (one_in(r, 2)) {
		run->nr_frames = (u32)below(r, MMUSCOPE_NMMU_FRAMES + 1);
		run->frames = (u64)w->frames;
		for (u32 i = 0; i < run->nr_frames; i++)
			w->frames[i] = one_in(r, 64) ? rnd(r) : (w->next_frame + 1 + i) << 12;
	}
	if (own && run->strand < MMUSCOPE_NMMU_STRANDS && w->state[run->strand] != MMUSCOPE_NMMU_DONE) {
		const u64 *asked = w->asked[run->strand];

		run->call = MMUSCOPE_NMMU_ANSWER;
		v[0] = one_in(r, 10) ? (u64) - (s64)below(r, 40) : 0;
		if (w->state[run->strand] == MMUSCOPE_NMMU_ASK_FAULT) {
			u64 at = asked[0] - HVA_BASE;

			if (at < RAM_PAGES * 4096ull && !one_in(r, 8))
				table[at >> 12] = (struct mmuscope_nmmu_page){
					.frame = ((at >> 12) + 1) << 12 | 1 << 2 | 3,
					.at = (u64)ram + (at & ~4095ull),
				};
		} else {
			v[1] = one_in(r, 10) ? rnd(r) : (w->next_frame + 1) << 12;
		}
		return;
	}
	for (int i = 0; i < (int)MMUSCOPE_NMMU_VALUES; i++)
		v[i] = one_in(r, 4) ? rnd(r) : below(r, 64);
	run->call = (u32)below(r, MMUSCOPE_NMMU_NR_CALLS + (one_in(r, 16) ? 3 : 0));
	switch (run->call) {
	case MMUSCOPE_NMMU_EXIT:
		v[0] = below(r, 6);
		v[1] = one_in(r, 2) ? below(r, 0x200) : rnd(r);
		v[2] = some_gpa(r);
		some_access(r, v + 3);
		if (one_in(r, 2))
			v[4] = 0;
		break;
	case MMUSCOPE_NMMU_EMULATE:
	case MMUSCOPE_NMMU_TRANSLATE:
		some_access(r, v + 3);
		v[0] = some_address(r);
		break;
	case MMUSCOPE_NMMU_SET_REGS:
		some_regs(r, v);
		break;
	case MMUSCOPE_NMMU_NESTED_ENTER:
		v[0] = below(r, 4);
		v[1] = some_root(r);
		v[2] = below(r, 2);
		v[3] = below(r, 8) << 12;
		v[4] = below(r, 513);
		some_regs(r, v + 5);
		break;
	case MMUSCOPE_NMMU_SLOT_SET:
		v[0] = below(r, 2);
		v[1] = below(r, 3);
		v[2] = one_in(r, 8) ? some_gfn(r) : 0;
		v[3] = one_in(r, 4) ? below(r, RAM_PAGES) : RAM_PAGES;
		v[4] = HVA_BASE + (one_in(r, 8) ? rnd(r) : 0);
		v[5] = below(r, 4);
		break;
	case MMUSCOPE_NMMU_LOG_GET:
	case MMUSCOPE_NMMU_LOG_CLEAR:
		v[0] = below(r, 2);
		v[1] = below(r, 3);
		v[2] = some_address(r);
		v[3] = RAM_PAGES / 64;
		v[4] = below(r, RAM_PAGES);
		v[5] = below(r, RAM_PAGES);
		break;
	case MMUSCOPE_NMMU_INVALIDATE_BEGIN:
	case MMUSCOPE_NMMU_AGE:
		v[0] = HVA_BASE + (below(r, RAM_PAGES) << 12);
		v[1] = v[0] + (below(r, 16) << 12);
		break;
	case MMUSCOPE_NMMU_HOST_WRITE:
		v[0] = some_gpa(r);
		v[2] = 1ull << below(r, 4);
		break;
	case MMUSCOPE_NMMU_PREFAULT:
		v[0] = some_gpa(r);
		v[1] = below(r, 64) << 12;
		break;
	}
	if (one_in(r, 16))
		v[below(r, MMUSCOPE_NMMU_VALUES)] = rnd(r);
}

/* Fills in the argument of a request; sizes are those of its number. */
static void some_argument(struct worker *w, enum request q, void *arg, bool own)
{
	struct rnd *r = &w->rnd;

	switch (q) {
	case R_ATTACH:
		*(struct mmuscope_attach *)arg =
			(struct mmuscope_attach){ .vm_fd = one_in(r, 8) ? (s32)rnd(r) % 64 : vm_fd };
		break;
	case R_LAYOUT: {
		struct mmuscope_layout *l = arg;

		*l = good_layout;
		if (one_in(r, 4))
			((u8 *)l)[below(r, sizeof(*l))] ^= (u8)(1 << below(r, 8));
		break;
	}
	case R_EXACT_BEGIN:
		*(struct mmuscope_exact_begin *)arg =
			(struct mmuscope_exact_begin){ .kind = (u32)below(r, 5),
						       .flags = (u32)below(r, 2),
						       .budget_ns =
							       one_in(r, 2) ? (u32)below(r, 1000001) : 0 };
		break;
	case R_EXACT_NEXT:
		*(struct mmuscope_exact_next *)arg =
			(struct mmuscope_exact_next){ .buf = one_in(r, 8) ? some_address(r) : (u64)scratch,
						      .bytes = one_in(r, 8) ? (u32)rnd(r)
									    : MMUSCOPE_EXACT_BYTES };
		break;
	case R_WP_ON:
	case R_WP_OFF:
		*(struct mmuscope_wp_range *)arg =
			(struct mmuscope_wp_range){ .gfn = some_gfn(r),
						    .nr = one_in(r, 8) ? (u32)rnd(r) : 1 + (u32)below(r, 16),
						    .flags = one_in(r, 8) ? (u32)below(r, 4) : 0 };
		break;
	case R_WP_LIST:
		*(struct mmuscope_wp_list *)arg =
			(struct mmuscope_wp_list){ .gfn = one_in(r, 2) ? some_gfn(r) : 0,
						   .buf = some_address(r),
						   .room = (u32)below(r, 256) };
		break;
	case R_NMMU_CREATE:
		*(struct mmuscope_nmmu_create *)arg = some_config(r);
		break;
	case R_NMMU_AREA:
		*(struct mmuscope_nmmu_area *)arg =
			(struct mmuscope_nmmu_area){ .hva = HVA_BASE +
							    (one_in(r, 4) ? below(r, 64) << 12 : 0),
						     .bytes = one_in(r, 4) ? rnd(r) : RAM_PAGES * 4096ull,
						     .table = one_in(r, 4) ? some_address(r) : (u64)table };
		break;
	case R_NMMU_RUN:
		some_run(w, arg, own);
		break;
	case R_NMMU_TABLE:
		*(struct mmuscope_nmmu_table *)arg = some_cpu(w, own);
		break;
	case R_NMMU_IMAGE:
		*(struct mmuscope_nmmu_image *)arg =
			(struct mmuscope_nmmu_image){ .to = some_address(r),
						      .bytes = below(r, SCRATCH_BYTES) };
		break;
	default:
		break;
	}
	/* And a byte of it anything. */
	if (one_in(r, 8))
		((u8 *)arg)[below(r, MMUSCOPE_ARG_MAX)] ^= (u8)(1 << below(r, 8));
}

/* --- the work --- */

static int open_device(void)
{
	return open(MMUSCOPE_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

/* A session that can do everything, before it is worked at random. */
static void prepare(int fd)
{
	struct mmuscope_attach a = { .vm_fd = vm_fd };
	struct mmuscope_layout l = good_layout;

	(void)ioctl(fd, MMUSCOPE_ATTACH, &a);
	(void)ioctl(fd, MMUSCOPE_LAYOUT, &l);
}

static void renew(struct worker *w)
{
	int fd = open_device();

	if (fd < 0) {
		w->refused[R_OPEN]++;
		return;
	}
	w->ok[R_OPEN]++;
	close(w->own);
	w->own = fd;
	memset(w->state, 0, sizeof(w->state));
	w->taken[0].nr = 0;
	w->read_pa = w->pml_pa = 0;
	if (!one_in(&w->rnd, 4))
		prepare(fd);
}

static void one(struct worker *w)
{
	u8 arg[MMUSCOPE_ARG_MAX] __attribute__((aligned(8))) = { 0 };
	bool own = !one_in(&w->rnd, 3);
	int fd = own ? w->own : shared, ret;
	/* Half of all is the engine's work, which needs many to get anywhere. */
	enum request q = one_in(&w->rnd, 2) ? R_NMMU_RUN : (enum request)below(&w->rnd, R_NR);
	struct mmuscope_nmmu_run *run = (void *)arg;
	u32 call = 0, strand = 0;
	u64 answer = 0;

	if (q == R_OPEN) {
		if (one_in(&w->rnd, 40))
			renew(w);
		return;
	}
	if (q == R_READ) {
		ret = (int)read(fd, scratch + below(&w->rnd, SCRATCH_BYTES / 2), below(&w->rnd, 8192));
	} else if (q == R_POLL) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		ret = poll(&p, 1, 0) >= 0 && !(p.revents & POLLERR) ? 0 : -1;
	} else {
		some_argument(w, q, arg, own);
		call = run->call;
		strand = run->strand;
		if (q == R_NMMU_RUN && own && call == MMUSCOPE_NMMU_ANSWER &&
		    strand < MMUSCOPE_NMMU_STRANDS && w->state[strand] == MMUSCOPE_NMMU_ASK_FRAME &&
		    !run->v[0])
			answer = run->v[1];
		ret = ioctl(fd, one_in(&w->rnd, 200) ? (unsigned int)rnd(&w->rnd) : numbers[q], arg);
	}
	/* A range of which nothing was flipped is no success. */
	if (ret < 0 || ((q == R_WP_ON || q == R_WP_OFF) && !((struct mmuscope_wp_range *)arg)->done))
		w->refused[q]++;
	else
		w->ok[q]++;
	if (q == R_NMMU_TABLE && own && !ret)
		remember_entry(w, (void *)arg);
	if (q != R_NMMU_RUN || call >= MMUSCOPE_NMMU_NR_CALLS)
		return;
	if (ret < 0)
		w->call_refused[call]++;
	else
		w->call_ok[call]++;
	if (!ret)
		remember_run(w, own, run, answer);
	if (own && !ret && strand < MMUSCOPE_NMMU_STRANDS) {
		remember_pml(w, run, call);
		w->state[strand] = run->state;
		memcpy(w->asked[strand], run->v, sizeof(w->asked[strand]));
	}
}

/* Of this thread. */
static void let_fail(void)
{
	int fd = open("/proc/thread-self/make-it-fail", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		die("/proc/thread-self/make-it-fail");
	close(fd);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	if (getenv("FUZZ_FAIL"))
		let_fail();
	while (!over)
		one(w);
	return NULL;
}

/* Everything that a request may name, while requests run: words of tables, mostly, so that walks get somewhere. */
static void *rewrite(void *arg)
{
	struct rnd r = { .s = (u64)(uintptr_t)arg | 1 };

	while (!over) {
		u64 page = below(&r, RAM_PAGES), *word = (u64 *)(ram + page * 4096 + below(&r, 512) * 8);

		if (page < 8)
			*word = one_in(&r, 8) ? rnd(&r) : below(&r, RAM_PAGES) << 12 | below(&r, 256) | 7;
		else
			*word = rnd(&r);
		if (one_in(&r, 64))
			table[page] = one_in(&r, 4)
					      ? (struct mmuscope_nmmu_page){ rnd(&r), some_address(&r) }
					      : (struct mmuscope_nmmu_page){ (page + 1) << 12 | 1 << 2 | 3,
									     (u64)ram + page * 4096 };
		if (one_in(&r, 4))
			*(u64 *)(scratch + below(&r, SCRATCH_BYTES / 8) * 8) = rnd(&r);
	}
	return NULL;
}

/*
 * Far from all that the process itself has, by two bits and more: a request whose address has a wrong bit must not
 * have the kernel write the fuzzer's own stacks.
 */
static void *map(u64 where, size_t bytes)
{
	u8 *at = mmap((void *)(uintptr_t)where, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at != (void *)(uintptr_t)where)
		die("memory");
	return at;
}

static void get_layout(void)
{
	struct ms_err *err =
		ms_layout_from_btf("/sys/kernel/btf/vmlinux", "/sys/kernel/btf/kvm", NULL, &layout);

	if (err) {
		fprintf(stderr, "fuzz: %s\n", ms_err_text(err));
		exit(2);
	}
	ms_device_layout_of(&layout, &good_layout);
}

int main(int argc, char **argv)
{
	struct worker workers[NR_THREADS] = { 0 };
	struct timespec seconds;
	pthread_t writer;
	sigset_t term;
	u64 seed;
	int pidfd;

	if (argc != 5) {
		fprintf(stderr, "usage: fuzz SECONDS SEED PID FD\n");
		return 2;
	}
	/* Blocked in all threads: taken where it is waited for. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	seconds = (struct timespec){ .tv_sec = atoi(argv[1]) };
	seed = strtoull(argv[2], NULL, 0);
	get_layout();
	pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[3]), 0);
	vm_fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, atoi(argv[4]), 0);
	if (vm_fd < 0)
		die("the VM's descriptor");
	ram = map(RAM_AT, RAM_PAGES * 4096ull);
	scratch = map(SCRATCH_AT, SCRATCH_BYTES);
	table = map(TABLE_AT, RAM_PAGES * sizeof(*table));
	shared = open_device();
	if (shared < 0)
		die(MMUSCOPE_DEVICE);
	prepare(shared);
	for (u64 i = 0; i < NR_THREADS; i++) {
		workers[i].rnd.s = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
		workers[i].own = open_device();
		if (workers[i].own >= 0)
			prepare(workers[i].own);
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("a thread");
	}
	if (pthread_create(&writer, NULL, rewrite, (void *)(uintptr_t)(seed ^ 0x5eed)))
		die("a thread");
	sigtimedwait(&term, NULL, &seconds);
	over = true;
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_join(writer, NULL);
	for (int q = 0; q < R_NR; q++) {
		u64 ok = 0, refused = 0;

		for (int i = 0; i < NR_THREADS; i++) {
			ok += workers[i].ok[q];
			refused += workers[i].refused[q];
		}
		printf("request %s ok %llu refused %llu\n", names[q], (unsigned long long)ok,
		       (unsigned long long)refused);
	}
	for (int c = 0; c < MMUSCOPE_NMMU_NR_CALLS; c++) {
		u64 ok = 0, refused = 0;

		for (int i = 0; i < NR_THREADS; i++) {
			ok += workers[i].call_ok[c];
			refused += workers[i].call_refused[c];
		}
		printf("request call-%d ok %llu refused %llu\n", c, (unsigned long long)ok,
		       (unsigned long long)refused);
	}
	return 0;
}
