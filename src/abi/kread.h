/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract between the live target and its BPF programs (bpf/live.bpf.c): batched reads of kernel memory,
 * chases along a linked list, the files that refer to KVM objects, and kernel symbols. Reading is all there
 * is.
 */
#ifndef ABI_KREAD_H
#define ABI_KREAD_H

#include "abi/types.h"

/* One BPF array element may not exceed 4 MB on 6.1 (KMALLOC_MAX_SIZE), header included. */
#define MS_KREAD_BUF_BYTES (2u << 20)
#define MS_KREAD_MAX_REQS 8192u
#define MS_KREAD_MAX_LEN 4096u

/* Read len bytes at addr into the buffer at off. Requests are carried out in order. */
struct ms_kreq {
	u64 addr;
	u32 len; /* 1..MS_KREAD_MAX_LEN */
	u32 off; /* off + MS_KREAD_MAX_LEN <= MS_KREAD_BUF_BYTES */
	s32 status; /* written: 0, or -EFAULT when any byte could not be read */
	u32 pad;
};

struct ms_kread_args {
	u32 nr;
	u32 pad;
};

/*
 * Follow pointers: from `cur', read the u64 at cur + next_off, write each address met to the buffer as u64,
 * until `stop' is met, an address lies outside [lo, hi), a read fails, or max nodes were written.
 */
enum ms_chase_end {
	MS_CHASE_STOP = 1, /* met stop: the list is closed */
	MS_CHASE_MAX = 2, /* max nodes written; cur is where to go on */
	MS_CHASE_RANGE = 3, /* cur is outside [lo, hi) */
	MS_CHASE_FAULT = 4, /* cur could not be read */
};

struct ms_chase_args {
	u64 cur; /* in: first node; out: the address the chase ended at */
	u64 stop;
	u64 lo, hi;
	u32 next_off;
	u32 max; /* <= MS_KREAD_BUF_BYTES / 8 */
	u32 nr; /* out: nodes written */
	u32 end; /* out: enum ms_chase_end */
};

/* A file of some task whose operations are KVM's. */
struct ms_kfile {
	u64 private_data;
	s32 pid;
	s32 fd;
	u32 kind; /* enum ms_fd_kind of abi/rec.h */
	u32 pad;
	char comm[16];
};

/*
 * A kernel symbol whose name may be wanted. Names are told apart in the kernel by their first 8 bytes, end
 * included: bit ms_ksym_bit() of a bitmap says whether any wanted name begins so. The bitmap lets some
 * through that are not wanted.
 */
#define MS_KSYM_BITS 4096u
#define MS_KSYM_KEY_BYTES 8u

struct ms_ksym {
	u64 addr;
	char module[24]; /* "" for the kernel itself; longer ones are cut */
	char name[64]; /* longer ones are cut */
};

static inline u32 ms_ksym_bit(u64 key)
{
	return (u32)((key * 0x9e3779b97f4a7c15ull) >> 52);
}

_Static_assert(MS_KSYM_BITS == 1u << (64 - 52), "as ms_ksym_bit() has it");
_Static_assert(sizeof(struct ms_ksym) == 96, "shared with BPF");
_Static_assert(sizeof(struct ms_kreq) == 24, "shared with BPF");
_Static_assert(sizeof(struct ms_chase_args) == 48, "shared with BPF");
_Static_assert(sizeof(struct ms_kfile) == 40, "shared with BPF");

#endif
