/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scripted guest: a small interpreter, built once for 32-bit and once for 64-bit code, that runs the list
 * of operations the VMM has drawn, in paging modes of the VMM's choice (--paging). Shared by both sides; the
 * structures have one layout whatever the size of a pointer.
 *
 * Its image is loaded at GF_IMAGE_GPA like L1's, one to one; the VMM makes all tables, the GDT, the IDT and
 * the TSS.
 */
#ifndef TESTS_LAB_GUEST_SCRIPT_H
#define TESTS_LAB_GUEST_SCRIPT_H

#include "proto.h"

/* Fixed places in the image; script.ld asserts them. */
#define GS_USER_TEXT 0x202000ul /* the one page that runs in ring 3 */
#define GS_DATA 0x203000ul
/* Where the handlers are, at the start of GS_DATA: two addresses of gf_u64 that the VMM puts into the IDT. */
#define GS_VECTORS GS_DATA

#define GS_KERNEL_CS 0x08
#define GS_KERNEL_DS 0x10
#define GS_USER_CS 0x1b
#define GS_USER_DS 0x23
#define GS_TSS 0x28
#define GS_USER_RETURN 0x80 /* the interrupt that ends an access of ring 3 */

enum gs_code {
	GS_LOAD, /* 4 bytes from addr, to found */
	GS_STORE, /* the low 4 bytes of value to addr */
	GS_CALL, /* calls addr, where a `ret' lies */
	GS_TABLE, /* len bytes of value to addr, where the table entry at gpa is mapped */
	GS_INVLPG,
	GS_CR3, /* value */
	GS_WP, /* CR0.WP = value */
	GS_NOT, /* twice `not' of 4 bytes at addr: KVM does not take that for a write of tables */
	GS_FLOOD, /* so many stores as value says of what is in the 4 bytes at addr */
	GS_PGE, /* CR4.PGE is turned over twice */
	GS_CHECKPOINT,
	GS_NR_CODES
};

#define GS_F_USER 1u /* load, store and call: in ring 3 */

enum gs_status { GS_PENDING, GS_DONE, GS_FAULTED };

struct gs_op {
	gf_u32 code; /* enum gs_code */
	gf_u32 flags;
	gf_u64 addr;
	gf_u64 value;
	gf_u64 gpa; /* GS_TABLE */
	gf_u32 len;
	/* written by the guest */
	gf_u32 status; /* enum gs_status */
	gf_u32 err; /* of the page fault */
	gf_u32 found;
};

_Static_assert(sizeof(struct gs_op) == 48, "one layout for both guests");

#endif
