/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the engine needs of its surroundings beyond the ops table: atomic access to 64-bit words, memory
 * barriers, zeroing and copying. The only file of the engine that knows whether it is in the kernel.
 */
#ifndef NMMU_PORT_H
#define NMMU_PORT_H

#include "abi/types.h"

#ifdef __KERNEL__
#include <asm/barrier.h>
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/string.h>

static inline u64 nmmu_read64(const u64 *p)
{
	return READ_ONCE(*p);
}

static inline void nmmu_write64(u64 *p, u64 v)
{
	WRITE_ONCE(*p, v);
}

static inline u64 nmmu_xchg64(u64 *p, u64 v)
{
	return xchg(p, v);
}

/* True when *p was old and is now new. */
static inline bool nmmu_cmpxchg64(u64 *p, u64 old, u64 new_value)
{
	return cmpxchg64(p, old, new_value) == old;
}

static inline void nmmu_and64(u64 *p, u64 v)
{
	atomic64_and((s64)v, (atomic64_t *)p);
}

/* The value before. */
static inline u64 nmmu_fetch_or64(u64 *p, u64 v)
{
	return (u64)atomic64_fetch_or((s64)v, (atomic64_t *)p);
}

static inline u64 nmmu_fetch_and64(u64 *p, u64 v)
{
	return (u64)atomic64_fetch_and((s64)v, (atomic64_t *)p);
}

/* *p += n; returns the new value. */
static inline u64 nmmu_add64(u64 *p, u64 n)
{
	return (u64)atomic64_add_return((s64)n, (atomic64_t *)p);
}

static inline void nmmu_smp_wmb(void)
{
	smp_wmb();
}

#define nmmu_zero(p, n) memset((p), 0, (n))
#define nmmu_copy(d, s, n) memcpy((d), (s), (n))
#define nmmu_fill64(p, v, n) memset64((p), (v), (n))
#else
static inline u64 nmmu_read64(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void nmmu_write64(u64 *p, u64 v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline u64 nmmu_xchg64(u64 *p, u64 v)
{
	return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}

/* True when *p was old and is now new. */
static inline bool nmmu_cmpxchg64(u64 *p, u64 old, u64 new_value)
{
	return __atomic_compare_exchange_n(p, &old, new_value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline void nmmu_and64(u64 *p, u64 v)
{
	__atomic_and_fetch(p, v, __ATOMIC_SEQ_CST);
}

/* The value before. */
static inline u64 nmmu_fetch_or64(u64 *p, u64 v)
{
	return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);
}

static inline u64 nmmu_fetch_and64(u64 *p, u64 v)
{
	return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);
}

/* *p += n; returns the new value. */
static inline u64 nmmu_add64(u64 *p, u64 n)
{
	return __atomic_add_fetch(p, n, __ATOMIC_SEQ_CST);
}

static inline void nmmu_smp_wmb(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void nmmu_zero(void *p, size_t n)
{
	__builtin_memset(p, 0, n);
}

/* nr words, a multiple of 8. */
static inline void nmmu_fill64(u64 *p, u64 v, size_t nr)
{
	for (u64 *end = p + nr; p < end; p += 8) {
		p[0] = p[1] = p[2] = p[3] = v;
		p[4] = p[5] = p[6] = p[7] = v;
	}
}

static inline void nmmu_copy(void *d, const void *s, size_t n)
{
	__builtin_memcpy(d, s, n);
}
#endif

#endif
