/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of an engine that runs elsewhere, put together here: blocks keep their contents, tables lie at addresses
 * of pages, and what points from one to the other does so here (src/nmmu/image.h). What came may be damaged or made up:
 * sizes are checked against what there is, and a pointer to nowhere is an error.
 */
#include "scenario/machine_private.h"

#include <stdlib.h>
#include <string.h>

#include "nmmu/image.h"

struct piece {
	u64 address, bytes;
	void *here;
	bool met;
};

struct mirror {
	struct piece *pieces; /* by address */
	size_t nr;
	u8 *heap; /* of blocks */
	u8 *tables; /* of pages */
	struct nmmu_ops ops;
	void *index; /* what the engine took beside */
	struct nmmu *m;
};

static int by_address(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static void *at(void *ctx, u64 address, u64 bytes, bool *fresh_ret)
{
	struct mirror *mirror = ctx;
	size_t low = 0, high = mirror->nr;
	struct piece *piece;

	*fresh_ret = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (mirror->pieces[mid].address <= address)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	piece = &mirror->pieces[low - 1];
	if (address - piece->address > piece->bytes || bytes > piece->bytes - (address - piece->address))
		return NULL;
	*fresh_ret = !piece->met;
	piece->met = true;
	return (u8 *)piece->here + (address - piece->address);
}

/* Once, for an index. */
static void *index_alloc(void *host, size_t bytes)
{
	struct mirror *mirror = host;

	free(mirror->index);
	mirror->index = calloc(1, bytes);
	return mirror->index;
}

/* How much there is of each kind; false: it is cut off. */
static bool measure(const u8 *image, u64 bytes, size_t *nr_ret, u64 *heap_ret, u64 *tables_ret)
{
	struct mmuscope_nmmu_block head;

	for (; bytes; image += sizeof(head) + head.bytes, bytes -= sizeof(head) + head.bytes) {
		if (bytes < sizeof(head))
			return false;
		memcpy(&head, image, sizeof(head));
		if (head.bytes > bytes - sizeof(head) || head.bytes % 8 || !head.bytes)
			return false;
		if (head.pa != ~0ull && head.bytes != NMMU_PAGE_SIZE)
			return false;
		*(head.pa == ~0ull ? heap_ret : tables_ret) += (head.bytes + 15) / 16 * 16;
		++*nr_ret;
	}
	return true;
}

static void take_in(struct mirror *mirror, const u8 *image)
{
	struct mmuscope_nmmu_block head;
	u8 *heap = mirror->heap, *tables = mirror->tables;
	size_t i;

	for (i = 0; i < mirror->nr; i++, image += sizeof(head) + head.bytes) {
		u8 **to;

		memcpy(&head, image, sizeof(head));
		to = head.pa == ~0ull ? &heap : &tables;
		memcpy(*to, image + sizeof(head), head.bytes);
		mirror->pieces[i] =
			(struct piece){ .address = head.address, .bytes = head.bytes, .here = *to };
		*to += (head.bytes + 15) / 16 * 16;
	}
	qsort(mirror->pieces, mirror->nr, sizeof(*mirror->pieces), by_address);
}

int mirror_create(const u8 *image, u64 bytes, u64 address, const struct nmmu_ops *ops, void *host,
		  struct mirror **ret)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));
	struct nmmu_image from = { .at = at, .ctx = mirror };
	u64 heap = 0, tables = 0;
	int err;

	if (!mirror)
		return -ENOMEM;
	if (!measure(image, bytes, &mirror->nr, &heap, &tables)) {
		mirror_destroy(mirror);
		return -EINVAL;
	}
	mirror->pieces = calloc(mirror->nr + 1, sizeof(*mirror->pieces));
	mirror->heap = aligned_alloc(16, heap + 16);
	mirror->tables = aligned_alloc(NMMU_PAGE_SIZE, tables + NMMU_PAGE_SIZE);
	if (!mirror->pieces || !mirror->heap || !mirror->tables) {
		mirror_destroy(mirror);
		return -ENOMEM;
	}
	take_in(mirror, image);
	/* While the index is made memory is the mirror's; later what is read is the host's. */
	mirror->ops.alloc = index_alloc;
	err = nmmu_image_adopt(&from, address, &mirror->ops, mirror, &mirror->m);
	if (err) {
		mirror_destroy(mirror);
		return err;
	}
	mirror->m->ops = ops;
	mirror->m->host = host;
	*ret = mirror;
	return 0;
}

void mirror_destroy(struct mirror *mirror)
{
	if (!mirror)
		return;
	free(mirror->pieces);
	free(mirror->heap);
	free(mirror->tables);
	free(mirror->index);
	free(mirror);
}

struct nmmu *mirror_nmmu(struct mirror *mirror)
{
	return mirror->m;
}
