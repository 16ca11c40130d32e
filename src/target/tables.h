/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for copies of shadow page tables: pages of 4 KiB out of blocks of 2 MiB. A walk takes tens of
 * thousands of them, and a page fault for each was a third of its time; a block takes one fault where the
 * kernel has huge pages to give. A block goes back to the kernel with its last page, so that a walk that
 * hands on its tables in order holds no more than it still needs.
 */
#ifndef TARGET_TABLES_H
#define TARGET_TABLES_H

#include "abi/types.h"

struct ms_table_block;

/* Zero-initialised is empty and valid. Needs no deinit: it holds nothing when every table is freed. */
struct ms_tables {
	struct ms_table_block *current; /* pages are taken from this one */
};

/* A page of 4 KiB, aligned, content undefined; NULL when memory is out. Given back with ms_table_free(). */
u64 *ms_table_alloc(struct ms_tables *tables);
void ms_table_free(struct ms_tables *tables, u64 *table); /* takes NULL */

#endif
