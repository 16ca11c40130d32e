/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every expectation of the scenario language, with every argument it takes: it is so when it is so, and fails
 * at its own line when it is not. A runner that checks nothing leaves every scenario green; this one does not.
 * What is not in the tables here but in verbs.def is an error. What the engine does is for the scenarios.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scenario/play.h"

/* --- machines --- */

#define L1 "machine vmx ad vcpus=2\nslot 0 gfn=0 pages=0x800\n"
#define PLAIN "machine vmx vcpus=2\nslot 0 gfn=0 pages=0x800\n"
#define HUGE "machine vmx ad nx-huge gbpages\nslot 0 gfn=0 pages=0x400 host=2m\n"
#define LOGGED L1 "slot 0 log=on\n"
#define DEV "let DEV = 0xd0000000\n" L1
#define EPT L1 "table t ept4 pool=0x100+32\n"
#define L2 EPT "map t 0x40000000 -> 0x5000 rwx ad\npoke 0x5000 value=0x77\nenter t ad\n"
#define SVM_L2                                                                        \
	"machine svm vcpus=2\nslot 0 gfn=0 pages=0x1000\ntable p pt64 pool=0x80+32\n" \
	"map p 0 -> 0 rwx ad level=2 pages=8\nl1 paging=64 root=p nx wp\n"            \
	"table n pt64 pool=0x100+32\nmap n 0x40000000 -> 0x5000 rwxu ad\nenter n\n"
#define PORTAL                                                                    \
	"machine svm la57\nslot 0 gfn=0 pages=0x1000\ntable p pt64 pool=0x80+8\n" \
	"map p 0 -> 0 rwx ad level=2 pages=8\nl1 paging=64 root=p nx wp\n"        \
	"table n pt64 pool=0x140+8\nmap n 0x1000 -> 0x5000 rwxu ad\nenter n\nread 0x1000\n"
#define SHADOW32                                                                      \
	"machine svm shadow\nslot 0 gfn=0 pages=0x800\ntable pd pt32 pool=0x100+32\n" \
	"map pd 0x40200000 -> 0x5000 rwu ad\nl1 paging=32 root=pd wp\n"
#define SHADOW64                                                                     \
	"machine svm shadow\nslot 0 gfn=0 pages=0x800\ntable p pt64 pool=0x100+32\n" \
	"map p 0x40000000 -> 0x5000 rwu ad\nl1 paging=64 root=p wp nx\n"
#define CHAIN EPT "map t 0x40000000 -> 0x5000 rwx pages=16 alias\nenter t ad\nread 0x40000000 times=15\n"
#define ORDERS L1 "interleave points=lock\nwrite 0x5000 value=1\nwrite 0x5000 value=2 vcpu=1\nend\n"
#define PAGED \
	L1 "table p pt64 pool=0x100+32\nmap p 0x40000000 -> 0x5000 rwu ad\nl1 paging=64 root=p nx\nread 0x40000010\n"
#define PINNED \
	"machine vmx ad pins\nslot 0 gfn=0x100 pages=16\nprefault 0x100000 pages=4\nhost notify 0x101000\n"
#define PINNED_2M "machine vmx ad pins\nslot 0 gfn=0x200 pages=0x400 host=2m\nwrite 0x213000\n"
#define TWO_AS                                                                    \
	L1 "slot 1 as=1 gfn=0x2000 pages=16 hva=0x10000000\nslot 1 as=1 log=on\n" \
	   "slot 1 gfn=0x1000 pages=16\nslot 1 log=on\n"

/*
 * A number: the line with its key left out, and what it is. It is asked for with each comparison, on both
 * sides.
 */
struct number {
	u8 verb, key;
	const char *setup, *line;
	u64 value;
};

static const struct number numbers[] = {
	{ VERB_X_DONE, KEY_VALUE, L1 "poke 0x5008 value=0x1234\nread 0x5008\n", "expect done", 0x1234 },
	{ VERB_X_DONE, KEY_EXITS, L1 "read 0x5000\n", "expect done", 1 },
	{ VERB_X_DONE, KEY_EXITS, L1 "read 0x5000 times=2 step=0\n", "expect done", 0 },
	{ VERB_X_DONE, KEY_FAST, L1 "read 0x5000\n", "expect done", 0 },
	{ VERB_X_DONE, KEY_FAST, PLAIN "slot 0 log=on\nwrite 0x5000\nlog get 0\nwrite 0x5000\n",
	  "expect done", 1 },
	{ VERB_X_DONE, KEY_EMULATED, L1 "emulate read 0x5000\n", "expect done", 1 },
	{ VERB_X_DONE, KEY_EMULATED, L1 "read 0x5000\n", "expect done", 0 },
	{ VERB_X_EXIT, KEY_REASON, L2 "read 0x41000000\n", "expect exit", 48 },
	{ VERB_X_EXIT, KEY_REASON, SVM_L2 "read 0x41000000\n", "expect exit", 0x400 },
	{ VERB_X_EXIT, KEY_QUAL, L2 "write 0x41000000\n", "expect exit 48", 0x182 },
	{ VERB_X_EXIT, KEY_ADDR, L2 "write 0x41000010\n", "expect exit 48", 0x41000010 },
	{ VERB_X_EXIT, KEY_EXITS, L2 "write 0x41000010\n", "expect exit 48", 1 },
	{ VERB_X_PF, KEY_ERROR, SHADOW64 "write 0x50000000 user\n", "expect pf", 6 },
	{ VERB_X_PF, KEY_ADDR, SHADOW64 "write 0x50000010 user\n", "expect pf", 0x50000010 },
	{ VERB_X_PF, KEY_EXITS, SHADOW64 "write 0x50000010 user\n", "expect pf", 1 },
	{ VERB_X_MMIO, KEY_GPA, DEV "read DEV+8\n", "expect mmio", 0xd0000008 },
	{ VERB_X_MMIO, KEY_EXITS, DEV "read DEV+8\n", "expect mmio", 1 },
	{ VERB_X_PROBE, KEY_QUAL, L1 "probe write 0x5000\n", "expect probe violation", 0x182 },
	{ VERB_X_PROBE, KEY_ADDR, L1 "probe write 0x5010\n", "expect probe violation", 0x5010 },
	{ VERB_X_PROBE, KEY_GPA, L1 "probe write 0x5010\n", "expect probe violation", 0x5010 },
	{ VERB_X_PROBE, KEY_HIT, L1 "read 0x5010\nprobe read 0x5010\n", "expect probe done", 1 },
	{ VERB_X_PROBE, KEY_HIT,
	  "machine vmx ad tlb=1\nslot 0 gfn=0 pages=16\nread 0x5000\nread 0x6000\nprobe read 0x5000\n",
	  "expect probe done", 0 },
	{ VERB_X_PROBE, KEY_ADDR, PAGED "probe read 0x40000010\n", "expect probe done", 0x40000010 },
	{ VERB_X_PROBE, KEY_GPA, PAGED "probe read 0x40000010\n", "expect probe done", 0x5010 },
	{ VERB_X_PROBE, KEY_VALUE, L1 "poke 0x5010 value=0x99\nread 0x5010\nprobe read 0x5010\n",
	  "expect probe done", 0x99 },

	{ VERB_X_SPTE, KEY_LEVEL, L1 "read 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_LEVEL, HUGE "read 0x5000\n", "expect spte 0x5000", 2 },
	{ VERB_X_SPTE, KEY_GEN, DEV "read DEV\nexpect mmio\n", "expect spte DEV is-mmio", 2 },
	{ VERB_X_SPTE, KEY_BIT_R, L1 "read 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_BIT_R, PLAIN "read 0x5000\nhost age 0x5000\nexpect young\n", "expect spte 0x5000",
	  0 },
	{ VERB_X_SPTE, KEY_BIT_W, L1 "read 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_BIT_W, PLAIN "slot 0 log=on\nwrite 0x5000\nlog get 0\n", "expect spte 0x5000", 0 },
	{ VERB_X_SPTE, KEY_BIT_X, L1 "read 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_BIT_X, HUGE "read 0x5000\n", "expect spte 0x5000", 0 },
	{ VERB_X_SPTE, KEY_BIT_U, SHADOW64 "read 0x40000000 user\n", "expect spte 0x40000000", 1 },
	{ VERB_X_SPTE, KEY_BIT_U, SHADOW64 "map p 0x40001000 -> 0x6000 rw ad\nread 0x40001000\n",
	  "expect spte 0x40001000", 0 },
	{ VERB_X_SPTE, KEY_BIT_A, L1 "read 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_BIT_A, L1 "read 0x5000\nhost age 0x5000\nexpect young\n", "expect spte 0x5000",
	  0 },
	{ VERB_X_SPTE, KEY_BIT_D, L1 "write 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_BIT_D,
	  "machine vmx ad pml\nslot 0 gfn=0 pages=64 log=on\nwrite 0x5000\nlog get 0\n", "expect spte 0x5000",
	  0 },
	{ VERB_X_SPTE, KEY_BIT_H, L1 "read 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_BIT_H, L1 "slot 1 gfn=0x1000 pages=4 host=ro\nread 0x1000000\n",
	  "expect spte 0x1000000", 0 },
	{ VERB_X_SPTE, KEY_BIT_M, L1 "read 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_BIT_M, L1 "slot 1 gfn=0x1000 pages=4 host=ro\nread 0x1000000\n",
	  "expect spte 0x1000000", 0 },
	{ VERB_X_SPTE, KEY_BIT_H, L2 "read 0x40000000\nleave\nread t\n", "expect spte t", 1 },
	{ VERB_X_SPTE, KEY_BIT_M, L2 "read 0x40000000\nleave\nread t\n", "expect spte t", 0 },
	{ VERB_X_SPTE, KEY_AD_KIND, L1 "read 0x5000\n", "expect spte 0x5000", 0 },
	{ VERB_X_SPTE, KEY_AD_KIND, PLAIN "read 0x5000\n", "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_TRACKED, PLAIN "read 0x5000\nhost age 0x5000\nexpect young\n",
	  "expect spte 0x5000", 1 },
	{ VERB_X_SPTE, KEY_TRACKED, PLAIN "read 0x5000\n", "expect spte 0x5000", 0 },
	{ VERB_X_SPTE, KEY_RAW, DEV "read DEV\nexpect mmio\n", "expect spte DEV is-mmio", 0xd0000016 },

	{ VERB_X_GPTE, KEY_BIT_R, EPT "map t 0x40000000 -> 0x5000 r a\n", "expect gpte t 0x40000000", 1 },
	{ VERB_X_GPTE, KEY_BIT_W, EPT "map t 0x40000000 -> 0x5000 w d\n", "expect gpte t 0x40000000", 1 },
	{ VERB_X_GPTE, KEY_BIT_X, EPT "map t 0x40000000 -> 0x5000 x d\n", "expect gpte t 0x40000000", 1 },
	{ VERB_X_GPTE, KEY_BIT_A, EPT "map t 0x40000000 -> 0x5000 r a\n", "expect gpte t 0x40000000", 1 },
	{ VERB_X_GPTE, KEY_BIT_D, EPT "map t 0x40000000 -> 0x5000 r d\n", "expect gpte t 0x40000000", 1 },
	{ VERB_X_GPTE, KEY_BIT_R, EPT "map t 0x40000000 -> 0x5000 wx ad\n", "expect gpte t 0x40000000", 0 },
	{ VERB_X_GPTE, KEY_BIT_W, EPT "map t 0x40000000 -> 0x5000 rx ad\n", "expect gpte t 0x40000000", 0 },
	{ VERB_X_GPTE, KEY_BIT_X, EPT "map t 0x40000000 -> 0x5000 rw ad\n", "expect gpte t 0x40000000", 0 },
	{ VERB_X_GPTE, KEY_BIT_A, EPT "map t 0x40000000 -> 0x5000 rwx d\n", "expect gpte t 0x40000000", 0 },
	{ VERB_X_GPTE, KEY_BIT_D, EPT "map t 0x40000000 -> 0x5000 rwx a\n", "expect gpte t 0x40000000", 0 },
	{ VERB_X_GPTE, KEY_BIT_U, SHADOW64, "expect gpte p 0x40000000", 1 },
	{ VERB_X_GPTE, KEY_BIT_U, SHADOW64 "map p 0x40001000 -> 0x6000 rwx ad\n", "expect gpte p 0x40001000",
	  0 },
	{ VERB_X_GPTE, KEY_BIT_X, SHADOW64 "map p 0x40001000 -> 0x6000 rwx ad\n", "expect gpte p 0x40001000",
	  1 },
	{ VERB_X_GPTE, KEY_BIT_X, SHADOW64 "map p 0x40001000 -> 0x6000 rw ad\n", "expect gpte p 0x40001000",
	  0 },
	{ VERB_X_GPTE, KEY_BIT_A, SHADOW64 "map p 0x40001000 -> 0x6000 rw a\n", "expect gpte p 0x40001000",
	  1 },
	{ VERB_X_GPTE, KEY_BIT_D, SHADOW64 "map p 0x40001000 -> 0x6000 rw a\n", "expect gpte p 0x40001000",
	  0 },
	{ VERB_X_GPTE, KEY_BIT_D, SHADOW64 "map p 0x40001000 -> 0x6000 rw d\n", "expect gpte p 0x40001000",
	  1 },
	{ VERB_X_GPTE, KEY_BIT_A, SHADOW64 "map p 0x40001000 -> 0x6000 rw d\n", "expect gpte p 0x40001000",
	  0 },
	{ VERB_X_GPTE, KEY_RAW, EPT "map t 0x40000000 -> 0x5000 rwx ad\n", "expect gpte t 0x40000000",
	  0x5337 },

	{ VERB_X_ROOT, KEY_WORD, L1 "read 0x5000\n", "expect root", 0x3784 },
	{ VERB_X_ROOT, KEY_LEVEL, L1 "read 0x5000\n", "expect root", 4 },
	{ VERB_X_ROOT, KEY_GFN, L2 "read 0x40000000\n", "expect root", 0x100 },
	{ VERB_X_ROOT, KEY_PASSTHROUGH, PORTAL, "expect root", 1 },
	{ VERB_X_ROOT, KEY_PASSTHROUGH, L1 "read 0x5000\n", "expect root", 0 },
	{ VERB_X_ROOT, KEY_DIRECT, L1 "read 0x5000\n", "expect root", 1 },
	{ VERB_X_ROOT, KEY_DIRECT, L2 "read 0x40000000\n", "expect root", 0 },
	{ VERB_X_ROOT, KEY_DIRECT, SHADOW64 "read 0x40000000\n", "expect root", 0 },
	{ VERB_X_ROOT, KEY_GUEST_MODE, SHADOW64 "read 0x40000000\n", "expect root", 0 },
	{ VERB_X_ROOT, KEY_GUEST_MODE, L1 "read 0x5000\n", "expect root", 0 },
	{ VERB_X_ROOT, KEY_GUEST_MODE, L2 "read 0x40000000\n", "expect root", 1 },

	{ VERB_X_PAGES, KEY_COUNT, L2 "read 0x40000000\n", "expect pages direct=0", 4 },
	{ VERB_X_RMAP, KEY_COUNT, L1 "read 0x5000\n", "expect rmap 0x5000", 1 },
	{ VERB_X_RMAP, KEY_COUNT, L1 "read 0x5000\n", "expect rmap 0x6000", 0 },
	{ VERB_X_MEMORY, KEY_VALUE, L1 "poke 0x5000 value=0x1234\n", "expect memory 0x5000", 0x1234 },
	{ VERB_X_PML, KEY_INDEX,
	  "machine vmx ad pml\nslot 0 gfn=0 pages=64 log=on\nwrite 0\nlog get 0\nwrite 0\n", "expect pml",
	  510 },
	{ VERB_X_PML12, KEY_INDEX,
	  L1
	  "table t ept4 pool=0x100+32\nmap t 0x40000000 -> 0x5000 rwx a\nenter t ad pml=0x200000 index=300\nwrite 0x40000000\n",
	  "expect pml12", 299 },
	{ VERB_X_EVENT, KEY_COUNT, L1 "read 0x5000\n", "expect event spte_set level=1", 1 },
	{ VERB_X_EVENT, KEY_COUNT, L1 "read 0x5000\n", "expect event sp_zap", 0 },
	{ VERB_X_TRACKED, KEY_COUNT, L2 "read 0x40000000\n", "expect write-tracked t", 1 },
	{ VERB_X_TRACKED, KEY_COUNT, L2 "read 0x40000000\n", "expect write-tracked 0x5000", 0 },
	{ VERB_X_MMIO_CACHE, KEY_GFN, DEV "read DEV\nexpect mmio\n", "expect mmio-cache", 0xd0000 },
	{ VERB_X_LEAVES, KEY_PAGES_4K, L1 "read 0x5000 times=3\n", "expect leaves", 3 },
	{ VERB_X_LEAVES, KEY_PAGES_2M, HUGE "read 0x5000\n", "expect leaves", 1 },
	{ VERB_X_LEAVES, KEY_PAGES_1G, "machine vmx ad gbpages\nslot 0 gfn=0 pages=0x40000 host=1g\nread 0\n",
	  "expect leaves", 1 },
	{ VERB_X_LEAVES, KEY_NX_SPLITS, HUGE "exec 0x5000\n", "expect leaves", 1 },
	{ VERB_X_SCHEDULES, KEY_COUNT, L1 "interleave points=lock\nkick\nkick vcpu=1\nend\n",
	  "expect schedules", 2 },
	{ VERB_X_GENERATION, KEY_VALUE, L1, "expect generation", 2 },
	{ VERB_X_PINS, KEY_COUNT, PINNED, "expect pins", 4 },
	{ VERB_X_PINS, KEY_ZAPPED, PINNED, "expect pins", 1 },
	{ VERB_X_PINS, KEY_HELD, PINNED_2M, "expect pins", 512 },
	{ VERB_X_PIN, KEY_LEVEL, PINNED, "expect pin 0x100000", 1 },
	{ VERB_X_PIN, KEY_LEVEL, PINNED_2M, "expect pin 0x200000", 2 },
	{ VERB_X_PIN, KEY_MAPPED, PINNED, "expect pin 0x100000", 1 },
	{ VERB_X_PIN, KEY_MAPPED, PINNED, "expect pin 0x101000", 0 },
	{ VERB_X_PIN_CALLS, KEY_PIN, PINNED, "expect pin-calls", 4 },
	{ VERB_X_PIN_CALLS, KEY_UNPIN, PINNED "unpin 0x102000\nunpin 0x103000\n", "expect pin-calls", 2 },
	{ VERB_X_PIN_CALLS, KEY_ZAP, PINNED, "expect pin-calls", 1 },
	{ VERB_X_PIN_CALLS, KEY_UNZAP, PINNED "read 0x101000\n", "expect pin-calls", 1 },
	{ VERB_X_PIN_CALLS, KEY_LEVEL, PINNED_2M, "expect pin-calls", 2 },
	{ VERB_X_READERS, KEY_COUNT, PINNED, "expect readers", 0 },
	{ VERB_X_PREFAULTED, KEY_PAGES, PINNED "prefault 0x108000 pages=12\n", "expect prefaulted", 8 },
};

/* A filter of `expect pages', behind a line that counts one page: with another value there is none. */
static const struct number filters[] = {
	{ VERB_X_PAGES, KEY_GFN, L2 "read 0x40000000\n", "expect pages count=1 level=4", 0x100 },
	{ VERB_X_PAGES, KEY_LEVEL, L2 "read 0x40000000\n", "expect pages count=1 gfn=0x100", 4 },
	{ VERB_X_PAGES, KEY_WORD, L1 "read 0x5000\n", "expect pages count=1 level=4", 0x3784 },
	{ VERB_X_PAGES, KEY_DIRECT, L1 "read 0x5000\n", "expect pages count=1 level=4", 1 },
	{ VERB_X_PAGES, KEY_DIRECT, L2 "read 0x40000000\n", "expect pages count=1 gfn=0x100", 0 },
	{ VERB_X_PAGES, KEY_DIRECT, SHADOW64 "read 0x40000000\n", "expect pages count=1 gfn=0x100", 0 },
	{ VERB_X_PAGES, KEY_PASSTHROUGH, PORTAL, "expect pages count=1 gfn=0x140 level=5", 1 },
	{ VERB_X_PAGES, KEY_PASSTHROUGH, PORTAL, "expect pages count=1 gfn=0x140 level=4", 0 },
	{ VERB_X_PAGES, KEY_GUEST_MODE, L2 "read 0x40000000\n", "expect pages count=1 gfn=0x100", 1 },
	{ VERB_X_PAGES, KEY_GUEST_MODE, L1 "read 0x5000\n", "expect pages count=1 level=4", 0 },
	{ VERB_X_PAGES, KEY_UNSYNC, L2 "read 0x40000000\nleave\nedit t 0x40000000 -> 0x6000 rwx ad\n",
	  "expect pages count=1 level=1 direct=0", 1 },
	{ VERB_X_PAGES, KEY_UNSYNC, L2 "read 0x40000000\n", "expect pages count=1 level=1", 0 },
	{ VERB_X_PAGES, KEY_QUADRANT, SHADOW32 "read 0x40200000\n", "expect pages count=1 gfn=0x101 level=1",
	  1 },
	{ VERB_X_PAGES, KEY_ACCESS, L1 "read 0x5000\n", "expect pages count=1 level=1", 7 },
	{ VERB_X_PAGES, KEY_OBSOLETE, L1 "read 0x5000\n", "expect pages count=1 level=1", 0 },
};

/* Anything else: what is so and what is not. key NR_KEYS: the words of the verb themselves. */
static const struct {
	u8 verb, key;
	const char *setup, *right, *wrong;
} pairs[] = {
	{ VERB_X_DONE, KEY_MEMORY, L1 "read 0x5008\n", "expect done memory=0x5008",
	  "expect done memory=0x6008" },
	{ VERB_X_DONE, KEY_MEMORY, L1 "read 0x5008\n", "expect done memory=0x5008",
	  "expect done memory=0x9000000" },
	{ VERB_X_PROBE, KEY_MEMORY, L1 "read 0x5008\nprobe read 0x5008\n", "expect probe done memory=0x5008",
	  "expect probe done memory=0x6008" },
	{ VERB_X_PROBE, KEY_HW, L1 "probe read 0x5008\n", "expect probe violation", "expect probe done" },
	{ VERB_X_SPTE, KEY_ADDR, L1 "read 0x5000\n", "expect spte 0x5000", "expect spte 0x6000" },
	{ VERB_X_SPTE, KEY_MMU, L2 "read 0x40000000\n", "expect spte 0x40000000 mmu=guest",
	  "expect spte 0x40000000 mmu=root" },
	{ VERB_X_SPTE, KEY_MMU, L2 "read 0x40000000\n", "expect spte 0x40000000 mmu=nested none",
	  "expect spte 0x40000000 mmu=guest none" },
	{ VERB_X_SPTE, KEY_MMU, L2 "read 0x40000000\n", "expect spte 0x40000000 mmu=root none",
	  "expect spte 0x40000000 mmu=nested" },
	{ VERB_X_SPTE, KEY_MMU, L2 "read 0x40000000\nleave\n", "expect spte 0x40000000 mmu=guest",
	  "expect spte 0x40000000" },
	{ VERB_X_SPTE, KEY_VCPU, L1 "read 0x5000 vcpu=1\n", "expect spte 0x5000 vcpu=1",
	  "expect spte 0x5000 vcpu=0" },
	{ VERB_X_SPTE, KEY_LEVEL, L1 "read 0x5000\n", "expect spte 0x5000 level=3 is-table",
	  "expect spte 0x5000 level=1 is-table" },
	{ VERB_X_SPTE, KEY_NONE, L1 "read 0x5000\n", "expect spte 0x6000 none", "expect spte 0x5000 none" },
	{ VERB_X_SPTE, KEY_SPTE_TABLE, L1 "read 0x5000\n", "expect spte 0x5000 level=2 is-table",
	  "expect spte 0x5000 is-table" },
	{ VERB_X_SPTE, KEY_SPTE_MMIO, DEV "read DEV\nexpect mmio\nread 0x5000\n", "expect spte DEV is-mmio",
	  "expect spte 0x5000 is-mmio" },
	{ VERB_X_SPTE, NR_KEYS, DEV "read DEV\nexpect mmio\nread 0x5000\n", "expect spte 0x5000",
	  "expect spte DEV" },
	{ VERB_X_SPTE, NR_KEYS, L1 "read 0x5000\n", "expect spte 0x5000", "expect spte 0x5000 level=3" },
	{ VERB_X_SPTE, KEY_MAPS, L2 "read 0x40000000\n", "expect spte 0x40000000 maps=0x5000",
	  "expect spte 0x40000000 maps=0x6000" },
	{ VERB_X_SPTE, KEY_MAPS, L1 "read 0x5000\n", "expect spte 0x5000 maps=0x5000",
	  "expect spte 0x5000 maps=0x9000000" },

	{ VERB_X_GPTE, KEY_TABLE,
	  EPT "table u ept4 pool=0x200+8\nmap t 0 -> 0x5000 r\nmap u 0 -> 0x5000 rw\n", "expect gpte u 0 W=1",
	  "expect gpte t 0 W=1" },
	{ VERB_X_GPTE, KEY_ADDR, EPT "map t 0 -> 0x5000 rw\nmap t 0x1000 -> 0x6000 r\n",
	  "expect gpte t 0 W=1", "expect gpte t 0x1000 W=1" },
	{ VERB_X_GPTE, KEY_LEVEL, EPT "map t 0 -> 0x5000 r\n", "expect gpte t 0 level=2 W=1",
	  "expect gpte t 0 level=1 W=1" },
	{ VERB_X_GPTE, KEY_LEVEL, EPT "map t 0 -> 0x5000 r\n", "expect gpte t 0 level=4 W=1",
	  "expect gpte t 0x40000000 level=1 W=0" },
	{ VERB_X_GPTE, KEY_NONE, EPT "map t 0 -> 0x5000 rwx\n", "expect gpte t 0x1000 none",
	  "expect gpte t 0 none" },
	{ VERB_X_GPTE, KEY_NONE, EPT "map t 0 -> 0x5000 rwx\nmap t 0x1000 -> 0x5000 x\n",
	  "expect gpte t 0x40000000 none", "expect gpte t 0x1000 none" },

	{ VERB_X_ROOT, KEY_MMU, L2 "read 0x40000000\n", "expect root mmu=guest direct=0",
	  "expect root mmu=root direct=0" },
	{ VERB_X_ROOT, KEY_VCPU, L1 "read 0x5000\n", "expect root vcpu=1 none", "expect root vcpu=0 none" },
	{ VERB_X_ROOT, KEY_VCPU, L1 "read 0x5000\n", "expect root vcpu=0 level=4",
	  "expect root vcpu=1 level=4" },
	{ VERB_X_ROOT, KEY_NONE, L1 "read 0x5000\n", "expect root vcpu=1 none", "expect root none" },

	{ VERB_X_RMAP, KEY_GPA, L1 "read 0x5000\n", "expect rmap 0x5000 count=1",
	  "expect rmap 0x6000 count=1" },
	{ VERB_X_RMAP, KEY_GPA, L1 "read 0x5000\n", "expect rmap 0x6000 count=0",
	  "expect rmap 0x9000000 count=0" },
	{ VERB_X_RMAP, KEY_LEVEL, HUGE "read 0x5000\n", "expect rmap 0x5000 level=2 count=1",
	  "expect rmap 0x5000 level=1 count=1" },
	{ VERB_X_RMAP, KEY_AS, TWO_AS "read 0x5000\n", "expect rmap 0x5000 as=0 count=1",
	  "expect rmap 0x5000 as=1 count=1" },
	{ VERB_X_RMAP, KEY_SHAPE, L1 "read 0x5000\n", "expect rmap 0x5000 shape=1",
	  "expect rmap 0x5000 shape=2" },
	{ VERB_X_RMAP, KEY_SHAPE, L1 "read 0x5000\n", "expect rmap 0x6000 shape=none",
	  "expect rmap 0x5000 shape=none" },
	{ VERB_X_RMAP, KEY_SHAPE, L2 "read 0x40000000\nleave\nread 0x5000\n", "expect rmap 0x5000 shape=2",
	  "expect rmap 0x5000 shape=1" },
	{ VERB_X_RMAP, KEY_SHAPE, L2 "read 0x40000000\nleave\nread 0x5000\n", "expect rmap 0x5000 shape=2",
	  "expect rmap 0x5000 shape=1,1" },
	{ VERB_X_RMAP, KEY_SHAPE, L2 "read 0x40000000\nleave\nread 0x5000\n", "expect rmap 0x5000 shape=2",
	  "expect rmap 0x5000 shape=2,1" },

	{ VERB_X_RMAP, KEY_SHAPE, L2 "read 0x40000000\nleave\nread 0x5000\n", "expect rmap 0x5000 shape=2",
	  "expect rmap 0x5000 shape=2-3" },
	{ VERB_X_RMAP, KEY_SHAPE, CHAIN, "expect rmap 0x5000 shape=1,14", "expect rmap 0x5000 shape=1" },
	{ VERB_X_RMAP, KEY_SHAPE, CHAIN, "expect rmap 0x5000 shape=1,14", "expect rmap 0x5000 shape=14,1" },
	{ VERB_X_LOG, KEY_SLOT, LOGGED "slot 1 gfn=0x1000 pages=4\nslot 1 log=on\nwrite 0x3000\nlog get 0\n",
	  "expect log 0 3", "expect log 1 3" },
	{ VERB_X_LOG, KEY_LIST, LOGGED "write 0x3000 times=2\nlog get 0\n", "expect log 0 3-4",
	  "expect log 0 3" },
	{ VERB_X_LOG, KEY_LIST, LOGGED "write 0x3000 times=2\nlog get 0\n", "expect log 0 3,4",
	  "expect log 0 3-5" },
	{ VERB_X_LOG, KEY_LIST, LOGGED "write 0x3000 times=2\nlog get 0\n", "expect log 0 3,4",
	  "expect log 0 none" },
	{ VERB_X_LOG, KEY_LIST, LOGGED "log get 0\n", "expect log 0 none", "expect log 0 0" },
	{ VERB_X_DIRTY, KEY_SLOT, LOGGED "slot 1 gfn=0x1000 pages=4\nslot 1 log=on\nwrite 0x3000\n",
	  "expect dirty 0 3", "expect dirty 1 3" },
	{ VERB_X_DIRTY, KEY_LIST, LOGGED "write 0x3000 times=2\n", "expect dirty 0 3-4",
	  "expect dirty 0 3-5" },
	{ VERB_X_DIRTY, KEY_LIST, LOGGED "write 0x3000 times=2\n", "expect dirty 0 4", "expect dirty 0 2" },
	{ VERB_X_DIRTY, KEY_AS, TWO_AS "write 0x1003000\n", "expect dirty 1 3 as=0",
	  "expect dirty 1 3 as=1" },
	{ VERB_X_CLEAN, KEY_SLOT, LOGGED "slot 1 gfn=0x1000 pages=4\nslot 1 log=on\nwrite 0x3000\n",
	  "expect clean 1 3", "expect clean 0 3" },
	{ VERB_X_CLEAN, KEY_LIST, LOGGED "write 0x3000 times=2\n", "expect clean 0 0-2,5-9",
	  "expect clean 0 0-3" },
	{ VERB_X_CLEAN, KEY_LIST, LOGGED "write 0x3000 times=2\n", "expect clean 0 5", "expect clean 0 5,4" },
	{ VERB_X_CLEAN, KEY_AS, TWO_AS "write 0x1003000\n", "expect clean 1 3 as=1",
	  "expect clean 1 3 as=0" },

	{ VERB_X_MEMORY, KEY_GPA, L1 "poke 0x5000 value=7\n", "expect memory 0x5000 value=7",
	  "expect memory 0x5008 value=7" },
	{ VERB_X_MEMORY, KEY_GPA, L1 "poke 0x5000 value=7\n", "expect memory 0x5000 value=7",
	  "expect memory 0x9000000 value>=0" },
	{ VERB_X_MEMORY, KEY_BYTES, L1 "poke 0x5000 value=0x1234\n",
	  "expect memory 0x5000 bytes=1 value=0x34", "expect memory 0x5000 bytes=2 value=0x34" },
	{ VERB_X_PML, KEY_VCPU,
	  "machine vmx ad pml vcpus=2\nslot 0 gfn=0 pages=64 log=on\nwrite 0\nlog get 0\nwrite 0\n",
	  "expect pml index=511 vcpu=1", "expect pml index=511 vcpu=0" },
	{ VERB_X_PML12, KEY_VCPU,
	  EPT "map t 0x40000000 -> 0x5000 rwx a\nenter t ad pml=0x200000 index=300\nwrite 0x40000000\n",
	  "expect pml12 index=511 vcpu=1", "expect pml12 index=511 vcpu=0" },
	{ VERB_X_EVENT, KEY_EVENT, L1 "read 0x5000\n", "expect event spte_set", "expect event sp_zap" },
	{ VERB_X_EVENT, KEY_EVENT, L1 "read 0x5000\nkick\n", "expect event spte_set count=0",
	  "expect event spte_set" },
	{ VERB_X_EVENT, NR_KEYS, L1 "read 0x5000\n", "expect event spte_set level=1",
	  "expect event spte_set level=5" },
	{ VERB_X_EVENT, NR_KEYS, L1 "read 0x5000\n", "expect event spte_set level=1 cause=fault",
	  "expect event spte_set level=1 cause!=fault" },
	{ VERB_X_EVENT, NR_KEYS, L1 "read 0x5000\n", "expect event spte_set level>=4",
	  "expect event spte_set level>=5" },
	{ VERB_X_EVENT, NR_KEYS, L1 "read 0x5000\n", "expect event spte_set level<=1",
	  "expect event spte_set level<=0" },
	{ VERB_X_NO_EVENT, KEY_EVENT, L1 "read 0x5000\n", "expect no event sp_zap",
	  "expect no event spte_set" },
	{ VERB_X_NO_EVENT, NR_KEYS, L1 "read 0x5000\n", "expect no event spte_set level=1 cause!=fault",
	  "expect no event spte_set level=1 cause=fault" },
	{ VERB_X_TRACKED, KEY_GPA, L2 "read 0x40000000\n", "expect write-tracked t count=1",
	  "expect write-tracked t+0xf000 count=1" },
	{ VERB_X_TRACKED, KEY_GPA, L2 "read 0x40000000\n", "expect write-tracked 0 count=0",
	  "expect write-tracked 0x9000000 count=0" },
	{ VERB_X_TRACKED, KEY_AS,
	  TWO_AS
	  "table t ept4 pool=0x100+32\nmap t 0x40000000 -> 0x5000 rwx ad\nenter t ad\nread 0x40000000\n",
	  "expect write-tracked t count=1 as=0", "expect write-tracked t count=1 as=1" },
	{ VERB_X_MMIO_CACHE, KEY_NONE, DEV "read DEV\nexpect mmio\n", "expect mmio-cache none vcpu=1",
	  "expect mmio-cache none" },
	{ VERB_X_MMIO_CACHE, KEY_GFN, DEV "read DEV\nexpect mmio\n", "expect mmio-cache gfn=0xd0000",
	  "expect mmio-cache gfn=0 vcpu=1" },
	{ VERB_X_MMIO_CACHE, KEY_VCPU, DEV "read DEV vcpu=1\nexpect mmio\n",
	  "expect mmio-cache gfn=0xd0000 vcpu=1", "expect mmio-cache gfn=0xd0000 vcpu=0" },
	{ VERB_X_MEMORY, NR_KEYS, ORDERS, "expect some memory 0x5000 value=1",
	  "expect some memory 0x5000 value=3" },
	{ VERB_X_MEMORY, NR_KEYS, ORDERS, "expect some memory 0x5000 value=2",
	  "expect some memory 0x5000 value=0" },
	{ VERB_X_GENERATION, KEY_AS, L1, "expect generation value=2 as=0", "expect generation value=2 as=1" },
	{ VERB_X_PIN, KEY_GPA, PINNED, "expect pin 0x100000 mapped=1", "expect pin 0x104000 mapped=1" },
	{ VERB_X_PIN, KEY_NONE, PINNED, "expect pin 0x104000 none", "expect pin 0x100000 none" },
	{ VERB_X_PIN, KEY_NONE, PINNED, "expect pin 0x9000000 none", "expect pin 0x9000000" },
	{ VERB_X_PIN, KEY_AS, PINNED, "expect pin 0x100000 as=1 none", "expect pin 0x100000 as=1" },
	{ VERB_X_PIN, KEY_MAPS, PINNED, "expect pin 0x102000 maps=0x102000",
	  "expect pin 0x102000 maps=0x103000" },
	{ VERB_X_PIN, KEY_MAPS, PINNED_2M, "expect pin 0x214000 maps=0x214000",
	  "expect pin 0x214000 maps=0x213000" },
	{ VERB_X_REFUSED, KEY_WHY, PINNED "prefault 0x110000\n", "expect refused why=none",
	  "expect refused why=busy" },
	{ VERB_X_REFUSED, KEY_WHY, PINNED "slot 0 log=on\n", "expect refused why=busy",
	  "expect refused why=full" },
	{ VERB_X_REFUSED, KEY_WHY, PINNED "nx on\n", "expect refused why=busy", "expect refused why=none" },
	{ VERB_X_REFUSED, KEY_WHY, PINNED "host migrate 0x102000\nread 0x102000\n",
	  "expect refused why=moved", "expect refused why=again" },
	{ VERB_X_REFUSED, KEY_WHY, "machine vmx shadow\nslot 0 gfn=0x100 pages=16\nprefault 0x100000\n",
	  "expect refused why=no-tdp", "expect refused why=moved" },
	{ VERB_X_PAGES, KEY_OBSOLETE, L1 "read 0x5000\n", "expect pages count=0 obsolete=1",
	  "expect pages count=0 obsolete=0" },
};

/* --- playing --- */

/* Plays the lines behind the setup. True: all are so; else the line that is not is the last one. */
static bool is_so(const char *setup, const char *line)
{
	struct ms_scenario *sc = NULL;
	const struct ms_play_opts opts = { .kernel = NMMU_6_12 };
	char text[2000];
	struct ms_step_result result;
	struct ms_play *p = NULL;
	struct ms_err *err;
	u32 last = 1;
	const char *s;

	snprintf(text, sizeof(text), "%s%s\n", setup, line);
	for (s = setup; *s; s++)
		last += *s == '\n';
	err = ms_scenario_parse("t", text, strlen(text), &sc);
	if (err)
		fail_msg("%s: %s", text, ms_err_text(err));
	assert_null(ms_play_create(sc, &opts, &p));
	ms_play_run(p, &result);
	if (result.step == MS_STEP_FAILED && (result.line != last || !result.expect || result.wrong))
		fail_msg("%sfails at line %u: %s", text, result.line, result.text);
	if (result.step != MS_STEP_FAILED)
		assert_int_equal(ms_play_nr_expects(p), ms_scenario_nr_expects(sc));
	ms_play_destroy(p);
	ms_scenario_destroy(sc);
	return result.step != MS_STEP_FAILED;
}

static void assert_is(bool so, const char *setup, const char *line)
{
	if (is_so(setup, line) != so)
		fail_msg("%s%s\n%s", setup, line, so ? "is not so" : "is said to be so");
}

/* Numbers that the parser takes there. */
static void bounds_of(u32 key, u64 *least, u64 *most)
{
	static const u8 two[] = {
		KEY_FAST,   KEY_EMULATED, KEY_HIT,	KEY_BIT_R,	KEY_BIT_W,	 KEY_BIT_X,
		KEY_BIT_U,  KEY_BIT_A,	  KEY_BIT_D,	KEY_BIT_H,	KEY_BIT_M,	 KEY_TRACKED,
		KEY_DIRECT, KEY_UNSYNC,	  KEY_OBSOLETE, KEY_GUEST_MODE, KEY_PASSTHROUGH, KEY_MAPPED,
	};
	u32 i;

	*least = key == KEY_LEVEL;
	*most = ~0ULL;
	if (key == KEY_LEVEL)
		*most = 5;
	else if (key == KEY_AD_KIND)
		*most = 2;
	else if (key == KEY_QUADRANT)
		*most = 3;
	else if (key == KEY_ACCESS)
		*most = 7;
	else if (key == KEY_INDEX)
		*most = 0xffff;
	for (i = 0; i < LEN(two); i++)
		if (two[i] == key)
			*most = 1;
}

static void ask(bool so, const struct number *n, const char *op, u64 value, const char *op2, u64 value2)
{
	char line[300], one[60], two[60] = "";
	const char *name = ms_keys[n->key].name;

	/* The reason of an exit has a place of its own. */
	snprintf(one, sizeof(one), n->key == KEY_REASON ? "%.0s%.0s%llu" : "%s%s0x%llx", name, op,
		 (unsigned long long)value);
	if (op2)
		snprintf(two, sizeof(two), " %s%s0x%llx", name, op2, (unsigned long long)value2);
	snprintf(line, sizeof(line), "%s %s%s", n->line, one, two);
	assert_is(so, n->setup, line);
}

static void ask_number(const struct number *n)
{
	u64 v = n->value, least, most;

	bounds_of(n->key, &least, &most);
	ask(true, n, "=", v, NULL, 0);
	if (v < most)
		ask(false, n, "=", v + 1, NULL, 0);
	if (v > least)
		ask(false, n, "=", v - 1, NULL, 0);
	if (n->key == KEY_REASON)
		return;
	ask(true, n, ">=", v, "<=", v);
	ask(true, n, "<=", v, ">=", v);
	ask(false, n, "!=", v, NULL, 0);
	if (v < most) {
		ask(false, n, ">=", v + 1, NULL, 0);
		ask(true, n, "<=", v + 1, NULL, 0);
		ask(true, n, "!=", v + 1, NULL, 0);
		/* Each end of a range, the other one being right. */
		ask(false, n, ">=", v + 1, "<=", v + 1);
		ask(false, n, "<=", v + 1, ">=", v + 1);
		ask(false, n, "!=", v + 1, "!=", v);
	}
	if (v > least) {
		ask(false, n, "<=", v - 1, NULL, 0);
		ask(true, n, ">=", v - 1, NULL, 0);
		ask(true, n, "!=", v - 1, NULL, 0);
		ask(false, n, ">=", v - 1, "<=", v - 1);
		ask(false, n, "<=", v - 1, ">=", v - 1);
	}
}

static void test_numbers(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < LEN(numbers); i++)
		ask_number(&numbers[i]);
}

static void test_filters(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < LEN(filters); i++)
		ask_number(&filters[i]);
}

static void test_pairs(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < LEN(pairs); i++) {
		assert_is(true, pairs[i].setup, pairs[i].right);
		assert_is(false, pairs[i].setup, pairs[i].wrong);
	}
}

/* What is no number to compare with says so, rather than to be taken as `='. */
static void test_places(void **state)
{
	static const char *const wrong[] = {
		"expect done memory!=0x5000",	       "expect done memory=0x5000 memory=0x6000",
		"expect spte 0x5000 maps!=0x5000",     "expect spte 0x5000 maps>=0",
		"expect spte 0x5000 vcpu<=1",	       "expect spte 0x5000 mmu!=root",
		"expect rmap 0x5000 count=1 level<=2", "expect rmap 0x5000 shape!=1",
		"expect rmap 0x5000 count=1 as!=1",    "expect memory 0x5000 value=0 bytes<=8",
	};
	const struct ms_play_opts opts = { .kernel = NMMU_6_12 };
	struct ms_step_result result;
	struct ms_scenario *sc;
	struct ms_err *err;
	struct ms_play *p;
	char text[200];
	u32 i;

	(void)state;
	for (i = 0; i < LEN(wrong); i++) {
		snprintf(text, sizeof(text), L1 "read 0x5000\n%s\n", wrong[i]);
		sc = NULL;
		err = ms_scenario_parse("t", text, strlen(text), &sc);
		/* The earlier the better. */
		if (err) {
			ms_err_free(err);
			continue;
		}
		p = NULL;
		assert_null(ms_play_create(sc, &opts, &p));
		ms_play_run(p, &result);
		if (result.step != MS_STEP_FAILED || !result.wrong || result.line != 4)
			fail_msg("%s: line %u: %s", wrong[i], result.line, result.text);
		ms_play_destroy(p);
		ms_scenario_destroy(sc);
	}
}

/* --- outcomes: each against each --- */

struct result {
	const char *line; /* the one expectation that is so */
	enum outcome_kind kind;
	enum nmmu_action action;
	u64 reason;
	int error;
	bool stuck, young;
	enum hw_exit exit;
};

static const struct result results[] = {
	{ "expect done", .kind = OUT_ACCESS, .action = NMMU_ACT_DONE },
	{ "expect exit 48", .kind = OUT_ACCESS, .action = NMMU_ACT_EXIT_L1, .reason = 48 },
	{ "expect exit 49", .kind = OUT_ACCESS, .action = NMMU_ACT_EXIT_L1, .reason = 49 },
	{ "expect exit 62", .kind = OUT_ACCESS, .action = NMMU_ACT_EXIT_L1, .reason = 62 },
	{ "expect exit npf", .kind = OUT_ACCESS, .action = NMMU_ACT_EXIT_L1, .reason = 0x400 },
	{ "expect pf", .kind = OUT_ACCESS, .action = NMMU_ACT_PF },
	{ "expect mmio", .kind = OUT_ACCESS, .action = NMMU_ACT_MMIO },
	{ "expect dead", .kind = OUT_ACCESS, .action = NMMU_ACT_DEAD },
	{ "expect stuck", .kind = OUT_ACCESS, .action = NMMU_ACT_RESUME, .stuck = true },
	{ "expect stuck", .kind = OUT_ACCESS, .action = NMMU_ACT_DONE, .stuck = true },
	{ "expect refused", .kind = OUT_CALL, .error = -EINVAL },
	{ "expect refused", .kind = OUT_CALL, .error = -EEXIST },
	{ "expect refused", .kind = OUT_CALL, .error = -ENOENT },
	{ "expect refused", .kind = OUT_CALL, .error = -EBUSY },
	{ "expect refused", .kind = OUT_ACCESS, .error = -EINVAL, .action = NMMU_ACT_DONE },
	{ "expect nomem", .kind = OUT_CALL, .error = -ENOMEM },
	{ "expect nomem", .kind = OUT_ACCESS, .error = -ENOMEM, .action = NMMU_ACT_DONE },
	{ "", .kind = OUT_CALL, .error = -EIO },
	{ "", .kind = OUT_ACCESS, .error = -EFAULT, .action = NMMU_ACT_DONE },
	{ "", .kind = OUT_NONE },
	{ "expect probe done", .kind = OUT_PROBE, .exit = HW_DONE },
	{ "expect probe pf", .kind = OUT_PROBE, .exit = HW_FAULT_PF },
	{ "expect probe violation", .kind = OUT_PROBE, .exit = HW_EXIT_EPT_VIOLATION },
	{ "expect probe misconfig", .kind = OUT_PROBE, .exit = HW_EXIT_EPT_MISCONFIG },
	{ "expect probe npf", .kind = OUT_PROBE, .exit = HW_EXIT_NPF },
	{ "expect probe pml-full", .kind = OUT_PROBE, .exit = HW_EXIT_PML_FULL },
	{ "expect probe memory-error", .kind = OUT_PROBE, .exit = HW_MEM_ERROR },
	{ "expect young", .kind = OUT_AGE, .young = true },
	{ "expect old", .kind = OUT_AGE },
};

/* The expectation behind an action that came to this, whatever it was. */
static bool fits(const struct result *came, const char *line, bool inner)
{
	const struct ms_play_opts opts = { .kernel = NMMU_6_12 };
	struct ms_scenario *sc = NULL;
	struct ms_step_result result;
	struct ms_play *p = NULL;
	struct outcome *out;
	char text[200];
	u32 i;

	snprintf(text, sizeof(text), L1 "at lock do kick vcpu=1\nread 0x5000\nexpect %s%s\n",
		 inner ? "inner " : "", line + strlen("expect "));
	assert_null(ms_scenario_parse("t", text, strlen(text), &sc));
	assert_null(ms_play_create(sc, &opts, &p));
	for (i = 0; i < 4; i++) {
		ms_play_step(p, &result);
		assert_int_equal(result.step, MS_STEP_DONE);
	}
	out = inner ? &p->inner : &p->outcome;
	*out = (struct outcome){ .kind = came->kind, .error = came->error, .young = came->young };
	out->unclaimed = true;
	out->run.action = came->action;
	out->run.stuck = came->stuck;
	out->run.last.reason = came->reason;
	out->hw.exit = came->exit;
	ms_play_step(p, &result);
	assert_int_equal(result.line, 5);
	if (result.step == MS_STEP_DONE) {
		/* And it was claimed. */
		ms_play_step(p, &result);
		assert_int_equal(result.step, MS_STEP_END);
		result.step = MS_STEP_DONE;
	}
	ms_play_destroy(p);
	ms_scenario_destroy(sc);
	return result.step == MS_STEP_DONE;
}

static void test_outcomes(void **state)
{
	u32 i, k, inner;

	(void)state;
	for (i = 0; i < LEN(results); i++)
		for (k = 0; k < LEN(results); k++)
			for (inner = 0; inner < 2 && *results[k].line; inner++)
				if (fits(&results[i], results[k].line, inner) !=
				    !strcmp(results[i].line, results[k].line))
					fail_msg("`%s' of what is `%s'", results[k].line, results[i].line);
	/* A call that was done is done, and has no value. */
	assert_is(true, L1 "zap all\nslot 1 gfn=0x1000 pages=1\nkick\nslot 0 log=on\nlog get 0\n",
		  "expect done");
}

/* --- is everything in the tables? --- */

static bool in_tables(u32 verb, u32 key)
{
	u32 i;

	for (i = 0; i < LEN(numbers); i++)
		if (numbers[i].verb == verb && numbers[i].key == key)
			return true;
	for (i = 0; i < LEN(filters); i++)
		if (filters[i].verb == verb && filters[i].key == key)
			return true;
	for (i = 0; i < LEN(pairs); i++)
		if (pairs[i].verb == verb && pairs[i].key == key)
			return true;
	return false;
}

/* Each verb: by a key of its own, or as an outcome. Each key of each verb, those with a place of their own too. */
static void test_all_are_here(void **state)
{
	u32 verb, key, i, missing = 0;
	char pos[64];

	(void)state;
	for (verb = 0; verb < NR_VERBS; verb++) {
		const struct verb *v = &ms_verbs[verb];
		bool found = false;

		if (v->group != GROUP_EXPECT)
			continue;
		for (i = 0; i < LEN(results); i++)
			found |= !strncmp(results[i].line, v->words, strlen(v->words));
		for (key = 0; key < NR_KEYS; key++) {
			snprintf(pos, sizeof(pos), "%s?", ms_keys[key].id);
			if (!list_has(v->keys, ms_keys[key].id) && !list_has(v->pos, ms_keys[key].id) &&
			    !list_has(v->pos, pos))
				continue;
			found = true;
			if (in_tables(verb, key))
				continue;
			printf("# `%s': nothing asks for %s\n", v->words, ms_keys[key].id);
			missing++;
		}
		if (!found) {
			printf("# nothing asks for `%s'\n", v->words);
			missing++;
		}
	}
	assert_int_equal(missing, 0);
}

/* What is 0 or 1 is asked for as both: a constant is right half of the time. */
static void test_both(void **state)
{
	static const struct {
		const struct number *of;
		u32 nr;
	} lists[] = { { numbers, LEN(numbers) }, { filters, LEN(filters) } };
	u64 least, most;
	u32 list, i, k;

	(void)state;
	for (list = 0; list < LEN(lists); list++) {
		for (i = 0; i < lists[list].nr; i++) {
			const struct number *n = &lists[list].of[i];
			bool other = false;

			bounds_of(n->key, &least, &most);
			for (k = 0; k < lists[list].nr; k++)
				other |= lists[list].of[k].verb == n->verb &&
					 lists[list].of[k].key == n->key &&
					 lists[list].of[k].value != n->value;
			/* No page that is obsolete outlives an action. */
			if (most == 1 && !other && n->key != KEY_OBSOLETE)
				fail_msg("`%s %s=': only %llu", n->line, ms_keys[n->key].name,
					 (unsigned long long)n->value);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_here), cmocka_unit_test(test_both),
		cmocka_unit_test(test_outcomes),     cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_numbers),	     cmocka_unit_test(test_filters),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests_name("expect", tests, NULL, NULL);
}
