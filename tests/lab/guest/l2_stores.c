// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --stores: each round one store by each of many instructions, and what memory holds afterwards is compared.
 * Run by L2, or by L1 when it is a plain guest; it lies in L2's page of code.
 *
 * Instruction k stores at stores_base + 64 * k of the first data page, in the half that has not the page's
 * word: whoever sees a store knows by its address which one it is. Crossing store j lies on the border of
 * data pages 1 + 2j and 2 + 2j, if their words leave room.
 */
#include "l1.h"

#define STORES_TEXT static __attribute__((section(".l2text"), noinline))
#define STORES_INLINE static inline __attribute__((always_inline))

/* The compiler keeps its hands off SSE and x87 registers: none is a clobber. */
STORES_INLINE void put(enum gf_store kind, gf_u64 va, gf_u64 v)
{
	gf_u64 src[4] = { v, ~v, v + 1, v ^ 0x5555 }, n, s, d, rsp;

	switch (kind) {
	case GF_ST_MOV64:
		asm volatile("movq %1, (%0)" ::"r"(va), "r"(v) : "memory");
		return;
	case GF_ST_MOV8:
		asm volatile("movb %b1, (%0)" ::"r"(va), "q"(v) : "memory");
		return;
	case GF_ST_MOV32:
		asm volatile("movl %k1, (%0)" ::"r"(va), "r"(v) : "memory");
		return;
	case GF_ST_MOVUPS:
		asm volatile("movups (%1), %%xmm0; movups %%xmm0, (%0)" ::"r"(va), "r"(src) : "memory");
		return;
	case GF_ST_MOVAPS:
		asm volatile("movups (%1), %%xmm0; movaps %%xmm0, (%0)" ::"r"(va), "r"(src) : "memory");
		return;
	case GF_ST_MOVQ_XMM:
		asm volatile("movq %1, %%xmm0; movq %%xmm0, (%0)" ::"r"(va), "r"(v) : "memory");
		return;
	case GF_ST_MOVSS:
		asm volatile("movq %1, %%xmm0; movss %%xmm0, (%0)" ::"r"(va), "r"(v) : "memory");
		return;
	case GF_ST_MOVSD_XMM:
		asm volatile("movq %1, %%xmm0; movsd %%xmm0, (%0)" ::"r"(va), "r"(v) : "memory");
		return;
	case GF_ST_MOVNTI:
		asm volatile("movnti %1, (%0)" ::"r"(va), "r"(v) : "memory");
		return;
	case GF_ST_MOVNTDQ:
		asm volatile("movups (%1), %%xmm0; movntdq %%xmm0, (%0)" ::"r"(va), "r"(src) : "memory");
		return;
	case GF_ST_CMPXCHG16B:
		asm volatile("lock cmpxchg16b (%2)"
			     : "=a"(n), "=d"(d)
			     : "r"(va), "a"(((gf_u64 *)va)[0]), "d"(((gf_u64 *)va)[1]), "b"(v), "c"(~v)
			     : "memory", "cc");
		return;
	case GF_ST_CMPXCHG8B:
		asm volatile("lock cmpxchg8b (%2)"
			     : "=a"(n), "=d"(d)
			     : "r"(va), "a"(((gf_u32 *)va)[0]), "d"(((gf_u32 *)va)[1]), "b"((gf_u32)v),
			       "c"(v >> 32)
			     : "memory", "cc");
		return;
	case GF_ST_XADD:
		n = v - *(volatile gf_u64 *)va;
		asm volatile("lock xaddq %0, (%1)" : "+r"(n) : "r"(va) : "memory", "cc");
		return;
	case GF_ST_LOCK_OR:
		asm volatile("lock orq %1, (%0)" ::"r"(va), "r"(v) : "memory", "cc");
		return;
	case GF_ST_XCHG:
		n = v;
		asm volatile("xchgq %0, (%1)" : "+r"(n) : "r"(va) : "memory");
		return;
	case GF_ST_REP_MOVSB:
		s = (gf_u64)src, d = va, n = 32;
		asm volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n)::"memory");
		return;
	case GF_ST_REP_STOSQ:
		d = va, n = 4;
		asm volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(v) : "memory");
		return;
	case GF_ST_MOVSQ:
		s = (gf_u64)src, d = va;
		asm volatile("movsq" : "+S"(s), "+D"(d)::"memory");
		return;
	case GF_ST_SETCC:
		asm volatile("testb $1, %b1; setnz (%0)" ::"r"(va), "q"(v) : "memory", "cc");
		return;
	case GF_ST_PUSH:
		asm volatile("movq %%rsp, %0; leaq 8(%1), %%rsp; pushq %2; movq %0, %%rsp"
			     : "=&r"(rsp)
			     : "r"(va), "r"(v)
			     : "memory");
		return;
	case GF_ST_BTS:
		asm volatile("lock btsq %1, (%0)" ::"r"(va), "r"(v & 63) : "memory", "cc");
		return;
	case GF_ST_FISTP:
		asm volatile("fninit; fildq (%1); fistpq (%0)" ::"r"(va), "r"(src) : "memory");
		return;
	case GF_ST_VMOVDQU:
		asm volatile("vmovdqu (%1), %%ymm0; vmovdqu %%ymm0, (%0)" ::"r"(va), "r"(src) : "memory");
		return;
	case GF_NR_STORES:
		return;
	}
}

/* Bytes that must be there afterwards, of v, ~v, v + 1, v ^ 0x5555, or of v again and again. */
STORES_INLINE unsigned int length_of(enum gf_store kind)
{
	switch (kind) {
	case GF_ST_MOV8:
		return 1;
	case GF_ST_MOV32:
	case GF_ST_MOVSS:
		return 4;
	case GF_ST_MOVUPS:
	case GF_ST_MOVAPS:
	case GF_ST_MOVNTDQ:
	case GF_ST_CMPXCHG16B:
		return 16;
	case GF_ST_REP_MOVSB:
	case GF_ST_REP_STOSQ:
	case GF_ST_VMOVDQU:
		return 32;
	default:
		return 8;
	}
}

/* What must be there: bytes of v, ~v, v + 1, v ^ 0x5555; of v again and again; or what was there and bits of v. */
enum { THERE_SRC, THERE_V, THERE_OR };

STORES_TEXT gf_u64 value_of(const struct gf_arg *arg, enum gf_store kind)
{
	return gf_mix(arg->nr_rounds << 8 | kind);
}

STORES_TEXT void check(struct gf_arg *arg, enum gf_store kind, gf_u64 va, gf_u64 v, gf_u64 before,
		       unsigned int how, unsigned int nr)
{
	gf_u64 src[4] = { v, ~v, v + 1, v ^ 0x5555 }, want;
	unsigned int i;
	int good = 1;

	src[0] |= how == THERE_OR ? before : 0;
	for (i = 0; i < nr; i++) {
		want = src[how == THERE_V ? 0 : i / 8];
		good &= *(volatile gf_u8 *)(va + i) == (gf_u8)(want >> (i % 8 * 8));
	}
	if (!good && !arg->nr_bad++) {
		arg->bad_pos = 0;
		arg->bad_found = *(volatile gf_u64 *)va << 8 | kind;
	}
}

STORES_INLINE void store_at(struct gf_arg *arg, enum gf_store kind, gf_u64 va)
{
	gf_u64 v = value_of(arg, kind), before = *(volatile gf_u64 *)va;

	put(kind, va, v);
	if (kind == GF_ST_SETCC)
		check(arg, kind, va, v & 1, before, THERE_SRC, 1);
	else if (kind == GF_ST_LOCK_OR)
		check(arg, kind, va, v, before, THERE_OR, 8);
	else if (kind == GF_ST_BTS)
		check(arg, kind, va, 1ul << (v & 63), before, THERE_OR, 8);
	else
		check(arg, kind, va, v, before, kind == GF_ST_REP_STOSQ ? THERE_V : THERE_SRC,
		      length_of(kind));
}

#define STORE(kind) store_at(arg, kind, arg->stores_va + arg->stores_base + 64 * kind)
#define CROSS(j, kind, offset)                                                                      \
	do {                                                                                        \
		if (arg->stores_cross >> (j)&1)                                                     \
			store_at(arg, kind, arg->stores_va + (1 + 2 * (j)) * PAGE_SIZE + (offset)); \
	} while (0)

__attribute__((section(".l2text"), noinline)) void stores_round(struct gf_arg *arg)
{
	STORE(GF_ST_MOV64);
	STORE(GF_ST_MOV8);
	STORE(GF_ST_MOV32);
	STORE(GF_ST_MOVUPS);
	STORE(GF_ST_MOVAPS);
	STORE(GF_ST_MOVQ_XMM);
	STORE(GF_ST_MOVSS);
	STORE(GF_ST_MOVSD_XMM);
	STORE(GF_ST_MOVNTI);
	STORE(GF_ST_MOVNTDQ);
	STORE(GF_ST_CMPXCHG16B);
	STORE(GF_ST_CMPXCHG8B);
	STORE(GF_ST_XADD);
	STORE(GF_ST_LOCK_OR);
	STORE(GF_ST_XCHG);
	STORE(GF_ST_REP_MOVSB);
	STORE(GF_ST_REP_STOSQ);
	STORE(GF_ST_MOVSQ);
	STORE(GF_ST_SETCC);
	STORE(GF_ST_PUSH);
	STORE(GF_ST_BTS);
	STORE(GF_ST_FISTP);
	if (arg->stores & GF_STORES_AVX)
		STORE(GF_ST_VMOVDQU);
	CROSS(0, GF_ST_MOV64, 0xffc);
	CROSS(1, GF_ST_MOVQ_XMM, 0xffc);
	CROSS(2, GF_ST_REP_MOVSB, 0xff0);
	CROSS(3, GF_ST_XADD, 0xffc);
	CROSS(4, GF_ST_MOVUPS, 0xff8);
	if (arg->stores & GF_STORES_AVX)
		CROSS(5, GF_ST_VMOVDQU, 0xff0);
}

/* --- L1's --- */

/* Switches SSE on, and AVX where the CPU has it; before L2's CR4 is taken from ours. */
void stores_enable(void)
{
	gf_u32 a = 1, b, c = 0, d;
	gf_u64 cr4;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	cr4 |= 0x600 | (c >> 26 & 1) << 18;
	asm volatile("mov %0, %%cr4" ::"r"(cr4) : "memory");
	if (c >> 26 & 1)
		asm volatile("xsetbv" ::"c"(0), "a"(c >> 28 & 1 ? 7 : 3), "d"(0) : "memory");
	l1.stores_avx =
		c >> 26 & 1 && c >> 28 & 1 && ((struct gf_param *)GF_PARAM_GPA)->flags & GF_F_STORES_AVX;
}

static gf_u64 word_of(gf_u64 item)
{
	return l1.work[l1.rec[item].work].va & (PAGE_SIZE - 1);
}

void stores_arg(struct gf_arg *arg)
{
	const struct gf_param *p = l1.param;
	const struct gf_range *r = &p->range[GF_DATA];
	gf_u64 j;

	arg->stores = GF_STORES_ON | (l1.stores_avx ? GF_STORES_AVX : 0);
	arg->stores_va = (p->mode == GF_NESTED ? r->l2_gfn : r->l1_gfn) << PAGE_SHIFT;
	arg->stores_base = (word_of(0) & 0x800) ^ 0x800;
	arg->stores_cross = 0;
	for (j = 0; j < 6 && 2 + 2 * j < r->nr; j++)
		if (word_of(1 + 2 * j) < 0xfe0 && word_of(2 + 2 * j) >= 0x20)
			arg->stores_cross |= 1ul << j;
}
