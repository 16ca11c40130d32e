// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's ops over memory of this process. One thread, so that locks and atomicity come for free.
 */
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096u
/* Shadow tables: away from all frames of guests (the lab has 2 GiB), below 4 GiB as a PAE root must be. */
#define TABLES_PA 0x80000000ull

static const struct host_back *back_of(const struct host *host, u64 hva)
{
	for (size_t i = 0; i < host->nr_back; i++)
		if (hva >= host->back[i].hva &&
		    (hva - host->back[i].hva) >> PAGE_SHIFT < host->back[i].nr_pages)
			return &host->back[i];
	return NULL;
}

bool host_back_add(struct host *host, u64 hva, u64 nr_pages, u64 pfn, u8 level)
{
	struct host_back *more = reallocarray(host->back, host->nr_back + 1, sizeof(*more));

	if (!more)
		return false;
	host->back = more;
	host->back[host->nr_back++] = (struct host_back){ hva, nr_pages, pfn, level };
	return true;
}

void *host_ptr(struct host *host, u64 hva)
{
	u32 i = ms_map_get(&host->pages, hva >> PAGE_SHIFT);
	u8 **more, *page;

	if (i == MS_MAP_NONE) {
		if (!back_of(host, hva))
			return NULL;
		more = reallocarray(host->data, host->nr_data + 1, sizeof(*more));
		page = more ? calloc(1, PAGE_SIZE) : NULL;
		if (more)
			host->data = more;
		if (!page || !ms_map_put(&host->pages, hva >> PAGE_SHIFT, host->nr_data)) {
			free(page);
			return NULL;
		}
		i = host->nr_data;
		host->data[host->nr_data++] = page;
	}
	return host->data[i] + (hva & (PAGE_SIZE - 1));
}

void host_deinit(struct host *host)
{
	for (size_t i = 0; i < host->nr_data; i++)
		free(host->data[i]);
	free(host->data);
	free(host->back);
	ms_map_deinit(&host->pages);
}

static int op_page_alloc(void *ctx, struct nmmu_page *ret)
{
	struct host *host = ctx;
	void *va = aligned_alloc(PAGE_SIZE, PAGE_SIZE);

	if (!va)
		return -ENOMEM;
	memset(va, 0, PAGE_SIZE);
	/* Never twice the same, so that a pointer to a freed table is seen. */
	*ret = (struct nmmu_page){ va, TABLES_PA + host->next_pa++ * PAGE_SIZE };
	host->nr_tables++;
	return 0;
}

static void op_page_free(void *ctx, struct nmmu_page page)
{
	struct host *host = ctx;

	host->nr_tables--;
	free(page.va);
}

static void *op_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	return calloc(1, bytes);
}

static void op_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

static int op_hva_to_pfn(void *ctx, u64 hva, bool write, struct nmmu_pfn *ret)
{
	const struct host_back *b = back_of(ctx, hva);

	(void)write;
	if (!b)
		return -EFAULT;
	*ret = (struct nmmu_pfn){ b->pfn + ((hva - b->hva) >> PAGE_SHIFT), b->level, true };
	return 0;
}

static int op_read(void *ctx, u64 hva, void *dst, u32 len)
{
	void *p = host_ptr(ctx, hva);

	if (!p || (hva & (PAGE_SIZE - 1)) + len > PAGE_SIZE)
		return -EFAULT;
	memcpy(dst, p, len);
	return 0;
}

static int op_write(void *ctx, u64 hva, const void *src, u32 len)
{
	void *p = host_ptr(ctx, hva);

	if (!p || (hva & (PAGE_SIZE - 1)) + len > PAGE_SIZE)
		return -EFAULT;
	memcpy(p, src, len);
	return 0;
}

static int op_cmpxchg(void *ctx, u64 hva, u64 old, u64 new_value, u32 bytes)
{
	void *p = host_ptr(ctx, hva);
	u64 now = 0;

	if (!p || (bytes != 4 && bytes != 8) || hva & (bytes - 1))
		return -EFAULT;
	memcpy(&now, p, bytes);
	if (now != old)
		return -EAGAIN;
	memcpy(p, &new_value, bytes);
	return 0;
}

static void op_flush(void *ctx, struct nmmu_vcpu *vcpu)
{
	struct host *host = ctx;

	(void)vcpu;
	host->nr_flushes++;
}

const struct nmmu_ops host_ops = {
	.page_alloc = op_page_alloc,
	.page_free = op_page_free,
	.alloc = op_alloc,
	.free = op_free,
	.hva_to_pfn = op_hva_to_pfn,
	.read = op_read,
	.write = op_write,
	.cmpxchg = op_cmpxchg,
	.flush = op_flush,
};
