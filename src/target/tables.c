/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages for copies of tables: see tables.h. Pages of a block are handed out once, in order, and never again.
 */
#include "target/tables.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define TABLE_BYTES 4096u
#define BLOCK_BYTES ((size_t)2 << 20)

/* At the start of its block, in the place of the first page; blocks are aligned to their size, so that a
 * page's is found by masking. */
struct ms_table_block {
	u32 taken, live; /* pages, the head's own not counted */
};

#define BLOCK_PAGES ((u32)(BLOCK_BYTES / TABLE_BYTES - 1))

static struct ms_table_block *block_create(void)
{
	/* Twice the size has an aligned block in it; what is around that goes back at once. */
	char *at = mmap(NULL, 2 * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	     *block;
	size_t before;

	if (at == MAP_FAILED)
		return NULL;
	block = (char *)(((uintptr_t)at + BLOCK_BYTES - 1) & ~(uintptr_t)(BLOCK_BYTES - 1));
	before = (size_t)(block - at);
	if (before)
		munmap(at, before);
	if (before < BLOCK_BYTES)
		munmap(block + BLOCK_BYTES, BLOCK_BYTES - before);
	/* Only a wish: without huge pages it works as well, and slower. */
	madvise(block, BLOCK_BYTES, MADV_HUGEPAGE);
	return (struct ms_table_block *)block;
}

u64 *ms_table_alloc(struct ms_tables *tables)
{
	struct ms_table_block *block = tables->current;

	if (!block || block->taken == BLOCK_PAGES) {
		block = block_create();
		if (!block)
			return NULL;
		tables->current = block;
	}
	block->live++;
	block->taken++;
	return (u64 *)((char *)block + (size_t)block->taken * TABLE_BYTES);
}

void ms_table_free(struct ms_tables *tables, u64 *table)
{
	struct ms_table_block *block =
		(struct ms_table_block *)((uintptr_t)table & ~(uintptr_t)(BLOCK_BYTES - 1));

	if (!table || --block->live)
		return;
	if (block == tables->current)
		tables->current = NULL;
	munmap(block, BLOCK_BYTES);
}
