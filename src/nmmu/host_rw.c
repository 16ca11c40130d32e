// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory by GPA, for L0: within one page for the engine, any length for devices and userspace. Shadow
 * pages are not told of a write (SEMANTICS H 35): that is ptwrite.c's, for what the emulator writes.
 */
#include "nmmu/private.h"

/* -EFAULT: no slot, or the range leaves the page. */
static int find(struct nmmu *m, u16 as_id, u64 gpa, u32 len, struct nmmu_slot **slot_ret, u64 *hva_ret)
{
	struct nmmu_slot *slot = nmmu_slot_of(m, as_id, gpa >> NMMU_PAGE_SHIFT);
	u32 offset = gpa & (NMMU_PAGE_SIZE - 1);

	if (!slot || len > NMMU_PAGE_SIZE - offset)
		return -EFAULT;
	*slot_ret = slot;
	*hva_ret = nmmu_slot_hva(slot, gpa >> NMMU_PAGE_SHIFT) + offset;
	return 0;
}

int nmmu_gpa_read(struct nmmu *m, u16 as_id, u64 gpa, void *dst, u32 len)
{
	struct nmmu_slot *slot;
	u64 hva;
	int err = find(m, as_id, gpa, len, &slot, &hva);

	return err ? err : m->ops->read(m->host, hva, dst, len);
}

int nmmu_gpa_write(struct nmmu *m, u16 as_id, u64 gpa, const void *src, u32 len)
{
	struct nmmu_slot *slot;
	u64 hva;
	int err = find(m, as_id, gpa, len, &slot, &hva);

	if (err)
		return err;
	if (slot->flags & MS_SLOT_READONLY)
		return -EFAULT;
	return m->ops->write(m->host, hva, src, len);
}

/* Bytes of [gpa, gpa + len) in its first page. */
static u32 in_page(u64 gpa, u32 len)
{
	u32 left = NMMU_PAGE_SIZE - (gpa & (NMMU_PAGE_SIZE - 1));

	return len < left ? len : left;
}

static int host_read(struct nmmu *m, u64 gpa, void *dst, u32 len)
{
	while (len) {
		u32 part = in_page(gpa, len);
		int err = nmmu_gpa_read(m, 0, gpa, dst, part);

		if (err)
			return err;
		gpa += part;
		dst = (char *)dst + part;
		len -= part;
	}
	return 0;
}

/* Stops at the first page that cannot be written; those before it are written and marked. */
static int host_write(struct nmmu *m, u64 gpa, const void *src, u32 len)
{
	while (len) {
		u32 part = in_page(gpa, len);
		int err = nmmu_gpa_write(m, 0, gpa, src, part);

		if (err)
			return err;
		nmmu_mark_written(m, NULL, nmmu_slot_of(m, 0, gpa >> NMMU_PAGE_SHIFT),
				  gpa >> NMMU_PAGE_SHIFT);
		gpa += part;
		src = (const char *)src + part;
		len -= part;
	}
	return 0;
}

int nmmu_host_read(struct nmmu *m, u64 gpa, void *dst, u32 len)
{
	int err;

	nmmu_slots_enter(m);
	err = host_read(m, gpa, dst, len);
	nmmu_slots_leave(m);
	return err;
}

int nmmu_host_write(struct nmmu *m, u64 gpa, const void *src, u32 len)
{
	int err;

	nmmu_slots_enter(m);
	err = host_write(m, gpa, src, len);
	nmmu_slots_leave(m);
	return err;
}
