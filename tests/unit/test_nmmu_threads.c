// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine under real threads: vCPUs that fault, with and without mmu_lock, while logs are taken, slots
 * come and go, the host invalidates, and the index of pages grows. What is checked: no page written and not
 * marked (SEMANTICS H 37), the engine's own invariants at each standstill, nothing left behind; the
 * sanitizers see the rest. Which thread comes first is the machine's choice, so a failure may need several
 * runs to come again.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "nmmu/private.h"

#define VCPUS 3u
#define REGIONS 400u /* of 2 MiB, a page used in each: more tables than the first index is made for */
#define PAGES (REGIONS * 512u)
#define HVA 0x7f0000000000ULL
#define ROUNDS 12u
#define FAULTS 3000u /* of a vCPU in a round */

struct machine {
	pthread_mutex_t lock;
	struct nmmu *m;
	struct nmmu_vcpu *v[VCPUS];
	u64 seed;
	u32 stop; /* vCPUs that are through */
	u8 wrote[REGIONS], seen[REGIONS];
	u64 live;
};

static int page_alloc(void *host, struct nmmu_page *ret)
{
	struct machine *mc = host;

	ret->va = aligned_alloc(4096, 4096);
	if (!ret->va)
		return -ENOMEM;
	memset(ret->va, 0, 4096);
	ret->pa = (u64)(uintptr_t)ret->va & SPTE_BITS(45, 12);
	__atomic_add_fetch(&mc->live, 1, __ATOMIC_RELAXED);
	return 0;
}

static void page_free(void *host, struct nmmu_page page)
{
	struct machine *mc = host;

	__atomic_sub_fetch(&mc->live, 1, __ATOMIC_RELAXED);
	free(page.va);
}

static void *mem_alloc(void *host, size_t bytes)
{
	struct machine *mc = host;

	__atomic_add_fetch(&mc->live, 1, __ATOMIC_RELAXED);
	return calloc(1, bytes);
}

static void mem_free(void *host, void *p)
{
	struct machine *mc = host;

	__atomic_sub_fetch(&mc->live, 1, __ATOMIC_RELAXED);
	free(p);
}

static int hva_to_pfn(void *host, u64 hva, bool write, struct nmmu_pfn *ret)
{
	(void)host;
	(void)write;
	*ret = (struct nmmu_pfn){ .pfn = 0x100000 + ((hva - HVA) >> 12), .level = 1, .writable = true };
	return 0;
}

static int no_read(void *host, u64 hva, void *dst, u32 len)
{
	(void)host;
	(void)hva;
	memset(dst, 0, len);
	return 0;
}

static int no_write(void *host, u64 hva, const void *src, u32 len)
{
	(void)host;
	(void)hva;
	(void)src;
	(void)len;
	return 0;
}

static int no_cmpxchg(void *host, u64 hva, u64 old, u64 new_value, u32 bytes)
{
	(void)host;
	(void)hva;
	(void)old;
	(void)new_value;
	(void)bytes;
	return 0;
}

/* No CPU of ours caches anything. */
static void flush(void *host, struct nmmu_vcpu *vcpu)
{
	(void)host;
	(void)vcpu;
}

static void lock(void *host)
{
	pthread_mutex_lock(&((struct machine *)host)->lock);
}

static void unlock(void *host)
{
	pthread_mutex_unlock(&((struct machine *)host)->lock);
}

/* Somebody else's turn, now and then, and where no lock is held for long enough to do a lot. */
static void yield(void *host, enum nmmu_point point)
{
	static __thread u32 count;
	bool free_of_locks = point == NMMU_POINT_FAST_READ || point == NMMU_POINT_FAST_CMPXCHG ||
			     point == NMMU_POINT_PFN_RESOLVED;

	(void)host;
	count++;
	if (free_of_locks && count % 64 == 0)
		usleep(100);
	else if (count % 4 == 0)
		sched_yield();
}

static const struct nmmu_ops ops = {
	.page_alloc = page_alloc,
	.page_free = page_free,
	.alloc = mem_alloc,
	.free = mem_free,
	.hva_to_pfn = hva_to_pfn,
	.read = no_read,
	.write = no_write,
	.cmpxchg = no_cmpxchg,
	.flush = flush,
	.lock = lock,
	.unlock = unlock,
	.yield = yield,
};

static u64 draw(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

struct vcpu_work {
	struct machine *mc;
	u32 id;
	u64 fixed, fast, spurious, errors;
};

/* Write a page: as often as a CPU would fault until it may. */
static void write_page(struct vcpu_work *w, u32 region)
{
	struct nmmu_vcpu *v = w->mc->v[w->id];
	struct nmmu_entry entry;

	for (u32 tries = 0; tries < 1000000; tries++) {
		const struct nmmu_exit exit = {
			.kind = NMMU_EXIT_EPT_VIOLATION,
			/*
			 * What EPT01 had: nothing, or a leaf that could be read. A stale answer is as good.
			 */
			.info = tries & 1 ? 0x182 : 0x1aa,
			.addr = (u64)region << 21,
		};
		struct nmmu_result result;

		int err = nmmu_vcpu_load(v, &entry);

		if (!err)
			err = nmmu_handle_exit(v, &exit, &result);
		if (err) {
			fprintf(stderr, "vCPU %u, page %u, try %u: error %d\n", w->id, region * 512, tries,
				err);
			w->errors++;
			return;
		}
		if (result.ret == NMMU_RET_FIXED || result.ret == NMMU_RET_SPURIOUS) {
			w->fixed += result.ret == NMMU_RET_FIXED;
			w->spurious += result.ret == NMMU_RET_SPURIOUS;
			w->fast += result.fast;
			__atomic_store_n(&w->mc->wrote[region], 1, __ATOMIC_SEQ_CST);
			return;
		}
		/* The host may be in the middle of an invalidation, without a CPU to go on. */
		sched_yield();
	}
	w->errors++;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu_work *w = arg;
	u64 seed = w->mc->seed + w->id * 7919 + 1;

	/* All of them once, so that the index grows while others look; then at random. */
	for (u32 i = 0; i < FAULTS; i++)
		write_page(w, i < REGIONS ? i : draw(&seed) % REGIONS);
	__atomic_add_fetch(&w->mc->stop, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void take_log(struct machine *mc, u64 *bits)
{
	if (nmmu_log_get(mc->m, 0, 1, bits))
		abort();
	for (u32 i = 0; i < REGIONS; i++)
		mc->seen[i] |= bits[i * 8] & 1;
}

struct host_work {
	struct machine *mc;
	u64 logs, slots, invalidations, ages;
};

/* The VMM and the host's memory management: slots_lock is this one thread. */
static void *host_thread(void *arg)
{
	struct host_work *w = arg;
	struct machine *mc = w->mc;
	u64 *bits = calloc(PAGES / 64, 8), seed = mc->seed + 104729, at;
	bool other = false;

	if (!bits)
		abort();
	while (__atomic_load_n(&mc->stop, __ATOMIC_SEQ_CST) < VCPUS) {
		switch (draw(&seed) % 5) {
		case 0:
			other = !other;
			if (nmmu_slot_set(mc->m, 0, 2, PAGES, other ? 64 : 0, other ? HVA : 0, 0))
				abort();
			w->slots++;
			break;
		case 1:
			at = HVA + (draw(&seed) % REGIONS << 21);
			nmmu_invalidate_begin(mc->m, at, at + (8 << 21));
			sched_yield();
			nmmu_invalidate_end(mc->m, at, at + (8 << 21));
			w->invalidations++;
			break;
		case 2:
			nmmu_age(mc->m, HVA, HVA + ((u64)PAGES << 12));
			w->ages++;
			break;
		default:
			take_log(mc, bits);
			w->logs++;
		}
	}
	free(bits);
	return NULL;
}

static void one_round(struct machine *mc, enum nmmu_kernel kernel, bool ad, struct vcpu_work total[1],
		      struct host_work *host_total)
{
	const struct nmmu_config cfg = {
		.hv = MS_HV_VMX,
		.kernel = kernel,
		.tdp = true,
		.ad = ad,
		.mmio_caching = true,
		.no_zap_all = kernel == NMMU_6_12,
		.phys_bits = 46,
		.guest_phys_bits = 46,
	};
	struct host_work host = { .mc = mc };
	struct vcpu_work work[VCPUS];
	pthread_t thread[VCPUS + 1];
	const struct nmmu_sp *sp;
	const char *text = "";
	u64 *bits = calloc(PAGES / 64, 8);
	u32 row;

	assert_non_null(bits);
	assert_int_equal(nmmu_create(&cfg, &ops, mc, &mc->m), 0);
	for (u32 i = 0; i < VCPUS; i++)
		assert_int_equal(nmmu_vcpu_create(mc->m, &mc->v[i]), 0);
	assert_int_equal(nmmu_slot_set(mc->m, 0, 1, 0, PAGES, HVA, MS_SLOT_LOG_DIRTY), 0);

	mc->stop = 0;
	memset(mc->wrote, 0, sizeof(mc->wrote));
	memset(mc->seen, 0, sizeof(mc->seen));
	for (u32 i = 0; i < VCPUS; i++) {
		work[i] = (struct vcpu_work){ .mc = mc, .id = i };
		assert_int_equal(pthread_create(&thread[i], NULL, vcpu_thread, &work[i]), 0);
	}
	assert_int_equal(pthread_create(&thread[VCPUS], NULL, host_thread, &host), 0);
	for (u32 i = 0; i <= VCPUS; i++)
		pthread_join(thread[i], NULL);

	take_log(mc, bits);
	for (u32 i = 0; i < REGIONS; i++)
		if (mc->wrote[i] && !mc->seen[i])
			fail_msg("page %u was written and is in no log", i * 512);
	row = nmmu_self_check(mc->m, &text, &sp);
	if (row)
		fail_msg("H %u: %s", row, text);
	for (u32 i = 0; i < VCPUS; i++) {
		assert_int_equal(work[i].errors, 0);
		total->fixed += work[i].fixed;
		total->fast += work[i].fast;
		total->spurious += work[i].spurious;
	}
	host_total->logs += host.logs;
	host_total->slots += host.slots;
	host_total->invalidations += host.invalidations;
	host_total->ages += host.ages;
	nmmu_destroy(mc->m);
	assert_int_equal(mc->live, 0);
	free(bits);
}

static void threads(void **state)
{
	struct machine mc = { .lock = PTHREAD_MUTEX_INITIALIZER, .seed = 20261126 };
	struct host_work host = { 0 };
	struct vcpu_work total = { 0 };

	(void)state;
	for (u32 i = 0; i < ROUNDS; i++) {
		one_round(&mc, i & 1 ? NMMU_6_12 : NMMU_6_1, i & 2, &total, &host);
		mc.seed += 1000003;
	}
	print_message(
		"threads: %llu fixed, %llu of them without the lock, %llu spurious; %llu logs, %llu slots, "
		"%llu invalidations, %llu agings\n",
		(unsigned long long)total.fixed, (unsigned long long)total.fast,
		(unsigned long long)total.spurious, (unsigned long long)host.logs,
		(unsigned long long)host.slots, (unsigned long long)host.invalidations,
		(unsigned long long)host.ages);
	/* Each of them happened, on whatever machine. */
	assert_true(total.fixed > ROUNDS * REGIONS && total.fast > 0);
	assert_true(host.logs > 0 && host.slots > 0 && host.invalidations > 0 && host.ages > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
