/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which kernel addresses may be read, and batches of reads: see kmem.h. */
#include "target/kmem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"

/* x86-64: kernel image, then modules; the fixmap above them holds device pages. */
#define IMAGE_START 0xffffffff80000000ull
#define IMAGE_END 0xffffffffff000000ull

static bool in_range(u64 addr, u64 len, u64 lo, u64 hi)
{
	return addr >= lo && addr < hi && len <= hi - addr;
}

bool ms_kmem_is_direct(const struct ms_kmem *kmem, u64 addr, u64 len)
{
	return in_range(addr, len, kmem->page_offset, kmem->page_offset + (kmem->max_pfn << 12));
}

bool ms_kmem_may_read(const struct ms_kmem *kmem, u64 addr, u32 len)
{
	u64 page_bytes = kmem->layout->type_size[MS_T_page];

	return ms_kmem_is_direct(kmem, addr, len) || in_range(addr, len, kmem->vm_lo, kmem->vm_hi) ||
	       in_range(addr, len, IMAGE_START, IMAGE_END) ||
	       in_range(addr, len, kmem->vmemmap, kmem->vmemmap + kmem->max_pfn * page_bytes);
}

struct ms_err *ms_kmem_read(struct ms_kmem *kmem, struct ms_kread *reqs, size_t nr)
{
	struct ms_err *err = NULL;
	size_t from, i;

	for (from = i = 0; !err && i < nr; i++) {
		if (ms_kmem_may_read(kmem, reqs[i].addr, reqs[i].len))
			continue;
		if (i > from)
			err = kmem->read(kmem, reqs + from, i - from);
		reqs[i].status = -ERANGE;
		from = i + 1;
	}
	return err || from == nr ? err : kmem->read(kmem, reqs + from, nr - from);
}

struct ms_err *ms_kmem_chase(struct ms_kmem *kmem, struct ms_chase_args *args, u64 *nodes)
{
	args->lo = kmem->page_offset;
	args->hi = ms_kmem_va(kmem, kmem->max_pfn);
	return kmem->chase(kmem, args, nodes);
}

void ms_kbatch_deinit(struct ms_kbatch *batch)
{
	free(batch->reqs);
	*batch = (struct ms_kbatch){ 0 };
}

size_t ms_kbatch_add(struct ms_kbatch *batch, u64 addr, u32 len, void *dst)
{
	struct ms_kread *reqs = ms_grow(batch->reqs, &batch->cap, batch->nr + 1, sizeof(*reqs));

	if (!reqs) {
		batch->oom = true;
		return 0;
	}
	batch->reqs = reqs;
	reqs[batch->nr] = (struct ms_kread){ .addr = addr, .len = len, .dst = dst };
	return batch->nr++;
}

bool ms_kbatch_field(struct ms_kbatch *batch, const struct ms_kmem *kmem, u64 base, enum ms_field_id id,
		     u64 *dst)
{
	const struct ms_field *f = &kmem->layout->f[id];

	if (!f->present || f->size > sizeof(*dst) || f->bit_size)
		return false;
	*dst = 0;
	ms_kbatch_add(batch, base + f->off, f->size, dst);
	return true;
}

struct ms_err *ms_kbatch_run(struct ms_kbatch *batch, struct ms_kmem *kmem, size_t *failed_ret)
{
	struct ms_err *err;
	size_t i, failed = 0;

	if (batch->oom)
		return ms_err_nomem();
	err = batch->nr ? ms_kmem_read(kmem, batch->reqs, batch->nr) : NULL;
	for (i = 0; !err && i < batch->nr; i++)
		failed += batch->reqs[i].status != 0;
	batch->nr = 0;
	if (!err && failed_ret)
		*failed_ret = failed;
	return err;
}

u64 ms_raw_field(const struct ms_layout *layout, const u8 *raw, size_t len, enum ms_field_id id)
{
	const struct ms_field *f = &layout->f[id];
	u64 value = 0;

	if (!f->present || f->size > sizeof(value) || f->off + f->size > len)
		return 0;
	memcpy(&value, raw + f->off, f->size);
	return value;
}

u64 ms_kmem_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

u64 ms_kvm_address_mask(const struct ms_rec_host *host)
{
	u64 mask = 0x000ffffffffff000ull;

	return host->have & MS_HOST_HAVE_MASK(MS_SM_me_mask) ? mask & ~host->masks[MS_SM_me_mask] : mask;
}
