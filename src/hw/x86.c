/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables in x86 format: 32-bit, PAE, 4- and 5-level. Used for the guest's own tables, for shadow ones and for
 * NPT. A table's entries are read top-down; "not present" comes before reserved bits, permissions after the
 * last level, and only an access that is allowed sets A and D.
 *
 * Sources: Intel SDM vol. 3 4.3-4.8; AMD APM vol. 2 5.2-5.6.
 */
#include "hw/private.h"

#define PT_P HW_BIT(0)
#define PT_W HW_BIT(1)
#define PT_U HW_BIT(2)
#define PT_A HW_BIT(5)
#define PT_D HW_BIT(6)
#define PT_PS HW_BIT(7)
#define PT_G HW_BIT(8)
#define PT_NX HW_BIT(63)

struct x86_entry {
	u64 value;
	u64 addr; /* in the tables' own space */
	u64 pa;
	bool in_memory; /* not a PDPTE register */
};

void hw_x86_guest(const struct hw_state *s, struct hw_x86 *ret)
{
	bool lma = s->efer & HW_EFER_LMA;
	bool pae = s->cr4 & HW_CR4_PAE;

	*ret = (struct hw_x86){
		.bytes = 8,
		.phys_bits = s->phys_bits,
		.nx = s->efer & HW_EFER_NXE,
		.gbpages = s->gbpages,
		.amd = s->amd,
		.wp = s->cr0 & HW_CR0_WP,
		.smep = s->cr4 & HW_CR4_SMEP,
		.smap = (s->cr4 & HW_CR4_SMAP) && !s->ac,
		.through = s->stage != HW_STAGE_NONE,
	};
	if (!(s->cr0 & HW_CR0_PG))
		return;
	if (lma) {
		ret->levels = s->cr4 & HW_CR4_LA57 ? 5 : 4;
		ret->root = s->cr3 & HW_PAGE_MASK;
	} else if (pae) {
		ret->levels = 3;
		ret->pae = true;
		ret->root = s->cr3 & hw_bits(31, 5);
		/* With NPT the CPU reads PDPTEs during the walk. */
		if (s->stage != HW_STAGE_NPT)
			ret->pdpte = s->pdpte;
	} else {
		ret->levels = 2;
		ret->bytes = 4;
		ret->nx = false;
		ret->pse = s->cr4 & HW_CR4_PSE;
		ret->root = s->cr3 & hw_bits(31, 12);
	}
}

static u32 x86_index_bits(const struct hw_x86 *x)
{
	return x->bytes == 4 ? 10 : 9;
}

static u32 x86_shift(const struct hw_x86 *x, u32 level)
{
	return 12 + x86_index_bits(x) * (level - 1);
}

static u64 x86_index(const struct hw_x86 *x, u64 addr, u32 level)
{
	if (x->pae && level == 3)
		return addr >> 30 & 3;
	return addr >> x86_shift(x, level) & ((1u << x86_index_bits(x)) - 1);
}

static bool x86_is_pdpte(const struct hw_x86 *x, u32 level)
{
	return x->pae && level == 3;
}

static bool x86_is_leaf(const struct hw_x86 *x, u64 entry, u32 level)
{
	if (level == 1)
		return true;
	if (x->bytes == 4)
		return x->pse && (entry & PT_PS);
	return level <= 3 && !x86_is_pdpte(x, level) && (entry & PT_PS);
}

static u64 x86_reserved(const struct hw_x86 *x, u64 entry, u32 level)
{
	bool leaf = x86_is_leaf(x, entry, level);
	u64 rsvd;

	if (x86_is_pdpte(x, level))
		return 0; /* checked when it was loaded */
	if (x->bytes == 4)
		return leaf && level == 2 ? hw_bits(21, 17) : 0;
	rsvd = hw_bits(x->pae ? 62 : 51, x->phys_bits);
	if (!x->nx)
		rsvd |= PT_NX;
	if (level >= 4)
		rsvd |= PT_PS | (x->amd ? PT_G : 0);
	if (level == 3 && !x->gbpages)
		rsvd |= PT_PS;
	if (leaf && level > 1)
		rsvd |= hw_bits(x86_shift(x, level) - 1, 13);
	return rsvd;
}

static u64 x86_target(const struct hw_x86 *x, u64 entry, u64 addr, u32 level, bool leaf)
{
	u64 offset = leaf ? hw_bits(x86_shift(x, level) - 1, 0) : 0;

	if (x->bytes == 4 && leaf && level == 2) /* PSE-36 */
		return (entry & hw_bits(31, 22)) | (entry >> 13 & 0xf) << 32 | (addr & offset);
	if (x->bytes == 4)
		return (entry & hw_bits(31, 12)) | (addr & offset);
	return (entry & HW_PAGE_MASK & ~offset) | (addr & offset);
}

bool hw_x86_denied(const struct hw_x86 *x, u32 rights, const struct hw_want *want)
{
	if (!x->levels)
		return false;
	if (want->user && !(rights & HW_U))
		return true;
	if (want->write && !(rights & HW_W) && (want->user || x->wp))
		return true;
	if (want->fetch && !(rights & HW_X))
		return true;
	if (!want->user && (rights & HW_U))
		return want->fetch ? x->smep : x->smap;
	return false;
}

static u64 x86_error(const struct hw_x86 *x, const struct hw_want *want)
{
	u64 error = 0;

	if (want->write)
		error |= HW_PF_W;
	if (want->user)
		error |= HW_PF_U;
	if (want->fetch && (x->nx || x->smep))
		error |= HW_PF_I;
	return error;
}

/* Where an entry lies in the CPU's memory. */
static int x86_locate(struct hw_walk *w, const struct hw_x86 *x, u64 addr, bool update, u64 *pa_ret)
{
	struct hw_map map;
	int rc;

	if (!x->through) {
		*pa_ret = addr;
		return 0;
	}
	rc = hw_second(w, addr, hw_table_access(w->s, update), true, &map);
	if (!rc)
		*pa_ret = map.addr;
	return rc;
}

static int x86_read(struct hw_walk *w, const struct hw_x86 *x, struct x86_entry *e)
{
	u32 narrow = 0;
	int rc = x86_locate(w, x, e->addr, false, &e->pa);

	if (rc)
		return rc;
	e->in_memory = true;
	if (x->bytes == 8)
		return w->mem->read(w->mem->ctx, e->pa, &e->value, 8) ? hw_mem_error(w, e->pa) : 0;
	if (w->mem->read(w->mem->ctx, e->pa, &narrow, 4))
		return hw_mem_error(w, e->pa);
	e->value = narrow;
	return 0;
}

static int x86_set(struct hw_walk *w, const struct hw_x86 *x, struct x86_entry *e, u64 bits)
{
	int rc;

	if ((e->value & bits) == bits)
		return 0;
	rc = x86_locate(w, x, e->addr, true, &e->pa);
	if (rc)
		return rc;
	rc = w->mem->cmpxchg(w->mem->ctx, e->pa, e->value, e->value | bits, x->bytes);
	if (rc == -EAGAIN)
		return HW_AGAIN;
	return rc ? hw_mem_error(w, e->pa) : 0;
}

int hw_x86_walk(struct hw_walk *w, const struct hw_x86 *x, u64 addr, const struct hw_want *want,
		struct hw_map *ret, u64 *error_ret)
{
	struct x86_entry entries[6] = { 0 };
	u64 table = x->root;
	u32 rights = HW_R | HW_W | HW_U | HW_X;
	u32 level;
	int rc;

	*error_ret = ~0ULL;
	for (level = x->levels;; level--) {
		struct x86_entry *e = &entries[level];

		e->addr = table + x86_index(x, addr, level) * x->bytes;
		if (x86_is_pdpte(x, level) && x->pdpte) {
			e->value = x->pdpte[addr >> 30 & 3];
		} else {
			rc = x86_read(w, x, e);
			if (rc)
				return rc;
		}
		if (!(e->value & PT_P)) {
			*error_ret = x86_error(x, want);
			return HW_EXIT;
		}
		if (e->value & x86_reserved(x, e->value, level)) {
			*error_ret = x86_error(x, want) | HW_PF_P | HW_PF_RSVD;
			return HW_EXIT;
		}
		if (!x86_is_pdpte(x, level)) {
			if (!(e->value & PT_W))
				rights &= ~HW_W;
			if (!(e->value & PT_U))
				rights &= ~HW_U;
			if (x->nx && (e->value & PT_NX))
				rights &= ~HW_X;
		}
		if (x86_is_leaf(x, e->value, level))
			break;
		table = x86_target(x, e->value, addr, level, false);
	}
	if (hw_x86_denied(x, rights, want)) {
		*error_ret = x86_error(x, want) | HW_PF_P;
		return HW_EXIT;
	}
	for (u32 i = x->levels; i >= level; i--) {
		if (x86_is_pdpte(x, i))
			continue;
		rc = x86_set(w, x, &entries[i], PT_A | (i == level && want->write ? PT_D : 0));
		if (rc)
			return rc;
	}
	*ret = (struct hw_map){
		.addr = x86_target(x, entries[level].value, addr, level, true),
		.level = level,
		.rights = rights,
		.dirty = want->write || (entries[level].value & PT_D),
	};
	return 0;
}
