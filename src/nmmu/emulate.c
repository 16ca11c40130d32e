// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Accesses made by the emulator: the guest's tables are walked in software, memory is read or written by GPA,
 * and shadow pages are told of what was written. An access within one page only; the caller splits those that
 * cross.
 *
 * Memory is stored before mmu_lock is taken (SEMANTICS F, pte_write): between the two, shadow pages are older
 * than the tables they shadow, as between a store and INVLPG.
 */
#include "nmmu/private.h"

static bool access_ok(const struct nmmu_access *a)
{
	if (a->bytes != 1 && a->bytes != 2 && a->bytes != 4 && a->bytes != 8)
		return false;
	return (a->gva & (NMMU_PAGE_SIZE - 1)) + a->bytes <= NMMU_PAGE_SIZE;
}

/* Values are kept in the low bytes of a u64, as x86 stores them. */
static u64 low_bytes(u64 value, u32 bytes)
{
	return bytes == 8 ? value : value & ((1ULL << 8 * bytes) - 1);
}

/* Exchange, atomic where the host can: old value in *old_ret. -EFAULT. */
static int exchange(struct nmmu *m, u64 hva, u64 value, u32 bytes, u64 *old_ret)
{
	u64 old = 0;
	int err;

	do {
		err = m->ops->read(m->host, hva, &old, bytes);
		if (err)
			return err;
		if (bytes < 4 || (hva & (bytes - 1)))
			err = m->ops->write(m->host, hva, &value, bytes);
		else
			err = (m->ops->cmpxchg)(m->host, hva, old, value, bytes);
	} while (err == -EAGAIN);
	if (!err)
		*old_ret = old;
	return err;
}

static void to_device(struct nmmu_vcpu *v, const struct nmmu_access *a, u64 gpa, struct nmmu_result *ret)
{
	ret->action = NMMU_ACT_MMIO;
	ret->gpa = gpa;
	nmmu_add64(&v->m->stats.mmio, 1);
	nmmu_event(v->m, v, mmio, .gpa = gpa, .write = a->write);
}

/*
 * KVM's emulator does not walk for the device page it met last, if what the guest granted there is enough
 * (x86.c:vcpu_mmio_gva_to_gpa()). A CPU would walk, and set A and D: so in compat mode alone.
 */
static bool known_device(const struct nmmu_vcpu *v, const struct nmmu_access *a, u64 pferr, u64 *gpa_ret)
{
	const struct nmmu_gfmt *fmt = &v->walk_mmu->fmt;
	u32 index = (u32)(pferr | (v->regs.ac ? NMMU_PF_RSVD : 0)) >> 1;

	if (!v->m->cfg.compat || a->fetch || !nmmu_mmio_cache_has_gva(v, a->gva))
		return false;
	if (fmt->kind != NMMU_GPT_NONE && fmt->perm[index] >> v->mmio_access & 1)
		return false;
	*gpa_ret = v->mmio_gfn << NMMU_PAGE_SHIFT | (a->gva & (NMMU_PAGE_SIZE - 1));
	return true;
}

static int emulate(struct nmmu_vcpu *v, const struct nmmu_access *a, const struct nmmu_exit *exit,
		   struct nmmu_result *ret)
{
	u64 pferr = (a->write ? NMMU_PF_W : 0) | (a->user ? NMMU_PF_U : 0) | (a->fetch ? NMMU_PF_I : 0);
	u32 flags = NMMU_WALK_SET_AD | NMMU_WALK_EMULATOR | (a->rmw ? NMMU_WALK_RMW : 0);
	struct nmmu *m = v->m;
	struct nmmu_walk_fault fault;
	struct nmmu_slot *slot;
	u64 gpa, value, old = 0, hva;
	int r;

	if (!access_ok(a) || (a->fetch && a->write))
		return -EINVAL;
	nmmu_event(m, v, emulate, .failed = false);
	if (!known_device(v, a, pferr, &gpa)) {
		r = nmmu_walk_gva(v, a->gva, pferr, flags, &gpa, NULL, &fault, NULL);
		if (r < 0)
			return r;
		if (!r) {
			nmmu_inject_emulated(v, &fault, exit, ret);
			return 0;
		}
	}

	nmmu_zero(ret, sizeof(*ret));
	ret->ret = NMMU_RET_NONE;
	ret->action = NMMU_ACT_DONE;
	nmmu_add64(&m->stats.emulated, 1);
	slot = nmmu_slot_vcpu(v, gpa >> NMMU_PAGE_SHIFT);
	if (!slot || (slot->flags & MS_SLOT_INVALID) || (a->write && (slot->flags & MS_SLOT_READONLY)))
		goto device;
	hva = nmmu_slot_hva(slot, gpa >> NMMU_PAGE_SHIFT) + (gpa & (NMMU_PAGE_SIZE - 1));
	if (!a->write) {
		if (m->ops->read(m->host, hva, &old, a->bytes))
			goto device;
		ret->value = low_bytes(old, a->bytes);
		return 0;
	}

	value = low_bytes(a->value, a->bytes);
	if (a->rmw ? exchange(m, hva, value, a->bytes, &old) : m->ops->write(m->host, hva, &value, a->bytes))
		goto device;
	ret->value = low_bytes(old, a->bytes);
	nmmu_mark_dirty(m, v, slot, gpa >> NMMU_PAGE_SHIFT);
	nmmu_yield(m, NMMU_POINT_GPTE_STORED);
	nmmu_pt_write(v, gpa, value, a->bytes);
	return 0;

device:
	/* KVM has userspace answer where no host memory does, but nothing can be executed from there. */
	if (a->fetch)
		return -EIO;
	to_device(v, a, gpa, ret);
	return 0;
}

int nmmu_emulate_exit(struct nmmu_vcpu *v, const struct nmmu_access *access, const struct nmmu_exit *exit,
		      struct nmmu_result *ret)
{
	u8 was = nmmu_vcpu_begin(v, MS_CAUSE_EMULATE);
	int err;

	nmmu_slots_enter(v->m);
	err = emulate(v, access, exit, ret);
	/* What cannot be emulated is told as that; accesses that are none were never begun. */
	if (err == -EIO)
		nmmu_event(v->m, v, emulate, .failed = true);
	nmmu_slots_leave(v->m);
	v->cause = was;
	return err;
}

int nmmu_emulate(struct nmmu_vcpu *v, const struct nmmu_access *access, struct nmmu_result *ret)
{
	int err;

	nmmu_slots_enter(v->m);
	err = nmmu_emulate_exit(v, access, NULL, ret);
	nmmu_slots_leave(v->m);
	return err;
}
