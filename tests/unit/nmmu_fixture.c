// SPDX-License-Identifier: GPL-2.0-or-later
/* A small machine for tests; see nmmu_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/nmmu_fixture.h"

static void *host_of(struct fix *f, u64 hva, u32 len)
{
	u64 offset = hva - FIX_HVA;

	if (offset + len > FIX_PAGES * 4096ULL || (offset & 4095) + len > 4096)
		return NULL;
	if (f->fault_hva && hva >> 12 == f->fault_hva >> 12)
		return NULL;
	return f->mem + offset;
}

static int host_read(void *host, u64 hva, void *dst, u32 len)
{
	void *p = host_of(host, hva, len);

	if (!p)
		return -EFAULT;
	memcpy(dst, p, len);
	return 0;
}

static int host_write(void *host, u64 hva, const void *src, u32 len)
{
	void *p = host_of(host, hva, len);

	if (!p)
		return -EFAULT;
	memcpy(p, src, len);
	return 0;
}

static int host_cmpxchg(void *host, u64 hva, u64 old, u64 new_value, u32 bytes)
{
	struct fix *f = host;
	u8 *p;
	int err;

	assert_true(bytes == 4 || bytes == 8);
	assert_int_equal(hva % bytes, 0);
	f->nr_cmpxchg++;
	if (f->before_cmpxchg) {
		err = f->before_cmpxchg(f, hva - FIX_HVA);
		if (err)
			return err;
	}
	p = host_of(f, hva, bytes);
	if (!p)
		return -EFAULT;
	if (memcmp(p, &old, bytes))
		return -EAGAIN;
	memcpy(p, &new_value, bytes);
	return 0;
}

static void *host_alloc(void *host, size_t bytes)
{
	(void)host;
	return calloc(1, bytes);
}

static void host_free(void *host, void *p)
{
	(void)host;
	free(p);
}

static void host_flush(void *host, struct nmmu_vcpu *v)
{
	(void)host;
	(void)v;
}

static void host_event(void *host, const struct ms_event *event)
{
	struct fix *f = host;

	f->nr_events[event->id]++;
	f->last[event->id] = *event;
}

void fix_init(struct fix *f, enum ms_hv hv, enum nmmu_kernel kernel)
{
	memset(f, 0, sizeof(*f));
	f->mem = calloc(FIX_PAGES, 4096);
	assert_non_null(f->mem);
	f->ops = (struct nmmu_ops){
		.alloc = host_alloc,
		.free = host_free,
		.read = host_read,
		.write = host_write,
		.cmpxchg = host_cmpxchg,
		.flush = host_flush,
		.event = host_event,
	};
	f->m.ops = &f->ops;
	f->m.host = f;
	f->m.cfg.hv = hv;
	f->m.cfg.kernel = kernel;
	f->m.cfg.tdp = true;
	f->m.cfg.ad = true;
	f->m.cfg.gbpages = true;
	f->m.cfg.phys_bits = 46;
	f->m.cfg.guest_phys_bits = 46;
	f->m.profile = *spte_profile_by_name(hv == MS_HV_VMX ? "ept-6.1" : "npt-6.1");
	nmmu_link_init(&f->m.active_pages);
	nmmu_link_init(&f->m.nx_pages);
	nmmu_slots_init(&f->m, 0);
	assert_int_equal(nmmu_index_init(&f->m), 0);
	f->v.m = &f->m;
	f->v.mmu = f->v.walk_mmu = &f->v.root_mmu;
	f->v.root_mmu.root.hpa = f->v.guest_mmu.root.hpa = f->v.nested_mmu.root.hpa = NMMU_NO_PAGE;
	for (u32 i = 0; i < MS_NR_PREV_ROOTS; i++) {
		f->v.root_mmu.prev[i].hpa = NMMU_NO_PAGE;
		f->v.guest_mmu.prev[i].hpa = NMMU_NO_PAGE;
	}
	for (u32 i = 0; i < FIX_PAGES; i++)
		f->backed[i] = true;
	fix_slots(f);
}

void fix_deinit(struct fix *f)
{
	nmmu_slots_free(&f->m);
	nmmu_index_deinit(&f->m);
	free(f->mem);
}

void fix_slots(struct fix *f)
{
	u16 id = 1;

	nmmu_slots_free(&f->m);
	nmmu_slots_init(&f->m, 0);
	for (u32 i = 0, n; i < FIX_PAGES; i += n) {
		u32 flags = MS_SLOT_LOG_DIRTY;

		for (n = 1; i + n < FIX_PAGES; n++)
			if (f->backed[i + n] != f->backed[i] || f->readonly[i + n] != f->readonly[i])
				break;
		if (!f->backed[i])
			continue;
		if (f->readonly[i])
			flags |= MS_SLOT_READONLY;
		assert_int_equal(nmmu_slot_set(&f->m, 0, id++, i, n, FIX_HVA + i * 4096ULL, flags), 0);
	}
	fix_clear_dirty(f);
}

u64 fix_get(const struct fix *f, u64 gpa)
{
	u64 value;

	memcpy(&value, f->mem + gpa, 8);
	return value;
}

void fix_set(struct fix *f, u64 gpa, u64 value)
{
	memcpy(f->mem + gpa, &value, 8);
}

bool fix_is_dirty(const struct fix *f, u64 gfn)
{
	const struct nmmu_slot *slot = nmmu_slot_of(&f->m, 0, gfn);
	u64 i;

	if (!slot || !slot->dirty)
		return false;
	i = gfn - slot->base_gfn;
	return slot->dirty[i / 64] >> i % 64 & 1;
}

void fix_clear_dirty(struct fix *f)
{
	for (struct nmmu_slot *slot = f->m.as[0].first; slot; slot = slot->next)
		if (slot->dirty)
			memset(slot->dirty, 0, (slot->nr_pages + 63) / 64 * 8);
}

void fix_l1(struct fix *f, const struct nmmu_regs *regs)
{
	f->v.regs = *regs;
	f->v.guest_mode = false;
	f->v.mmu = f->v.walk_mmu = &f->v.root_mmu;
	nmmu_init_root_mmu(&f->v);
}

void fix_l2(struct fix *f, enum nmmu_nested_kind kind, u64 root, const struct nmmu_regs *l1,
	    const struct nmmu_regs *l2)
{
	f->v.l1 = *l1;
	f->v.regs = *l1;
	f->v.guest_mode = false;
	nmmu_init_root_mmu(&f->v);
	f->v.guest_mode = true;
	f->v.regs = *l2;
	f->v.nested = (struct nmmu_nested){ .kind = kind, .root = root, .l2 = *l2 };
	f->v.mmu = &f->v.guest_mmu;
	f->v.walk_mmu = &f->v.nested_mmu;
	if (kind == NMMU_NESTED_EPT)
		nmmu_init_shadow_ept(&f->v, root);
	else
		nmmu_init_shadow_npt(&f->v, l1, root);
	nmmu_init_nested_mmu(&f->v);
}

u64 fix_entry(u64 root_gfn, u32 level, u64 gfn)
{
	return (root_gfn + 4 - level) << 12 | (level == 1 ? gfn * 8 : 0);
}

static void identity(struct fix *f, u64 root_gfn, u64 upper, u64 leaf)
{
	for (u32 level = 4; level > 1; level--)
		fix_set(f, fix_entry(root_gfn, level, 0), (root_gfn + 5 - level) << 12 | upper);
	for (u64 gfn = 0; gfn < FIX_PAGES; gfn++)
		fix_set(f, fix_entry(root_gfn, 1, gfn), gfn << 12 | leaf);
}

void fix_identity_ept(struct fix *f)
{
	identity(f, FIX_EPT_ROOT, 7, 0x37);
}

void fix_identity_pt(struct fix *f, u64 root_gfn)
{
	identity(f, root_gfn, 7, 7);
}

void fix_l2_identity(struct fix *f, u64 eptp_bits)
{
	bool ept = f->m.cfg.hv == MS_HV_VMX;
	struct nmmu_regs regs = { .cr0 = CR0_PG | CR0_WP,
				  .cr4 = CR4_PAE,
				  .efer = EFER_LME | EFER_LMA | EFER_NX,
				  .cr3 = FIX_PT_ROOT << 12 };

	if (ept)
		fix_identity_ept(f);
	else
		fix_identity_pt(f, FIX_EPT_ROOT);
	fix_identity_pt(f, FIX_PT_ROOT);
	fix_l2(f, ept ? NMMU_NESTED_EPT : NMMU_NESTED_NPT, FIX_EPT_ROOT << 12 | eptp_bits, &regs, &regs);
}
