// SPDX-License-Identifier: GPL-2.0-or-later
/* The reference walker; see refwalk.h. */
#include <string.h>

#include "tests/unit/refwalk.h"

struct run {
	struct ref_mem *mem;
	const struct ref_tables *second;
	bool set_ad;
	struct ref_result *res;
};

static bool is_ept(const struct ref_tables *t)
{
	return t->kind == REF_EPT4 || t->kind == REF_EPT5;
}

static bool bit(uint64_t v, int n)
{
	return v >> n & 1;
}

static bool any_bit(uint64_t v, int from, int to)
{
	for (int n = from; n <= to; n++)
		if (bit(v, n))
			return true;
	return false;
}

static bool mem_read(struct ref_mem *mem, uint64_t gpa, unsigned int bytes, uint64_t *ret)
{
	if (gpa >> 12 >= mem->nr_pages || !mem->backed[gpa >> 12])
		return false;
	*ret = 0;
	memcpy(ret, mem->bytes + gpa, bytes);
	return true;
}

static void mem_set(struct ref_mem *mem, uint64_t gpa, int n)
{
	if (mem->readonly[gpa >> 12])
		return;
	mem->changes++;
	mem->bytes[gpa + (unsigned int)n / 8] |= (uint8_t)(1 << n % 8);
}

static void step(struct run *run, int dim, int level, uint64_t at, uint64_t gpa, uint64_t value)
{
	struct ref_result *res = run->res;

	if (res->nr_steps < 64)
		res->step[res->nr_steps++] =
			(struct ref_step){ .dim = dim, .level = level, .at = at, .gpa = gpa, .value = value };
}

/* --- EPT --- */

static bool ept_misconfigured(const struct ref_tables *t, uint64_t e, int level)
{
	bool r = bit(e, 0), w = bit(e, 1), x = bit(e, 2);
	bool leaf = level == 1 || ((level == 2 || level == 3) && bit(e, 7));

	if (w && !r)
		return true;
	if (x && !r && !t->exec_only)
		return true;
	if (any_bit(e, t->phys_bits, 51))
		return true;
	if (!leaf)
		return any_bit(e, 3, level >= 4 ? 7 : 6);
	if (level == 3 && (!t->gb || any_bit(e, 12, 29)))
		return true;
	if (level == 2 && any_bit(e, 12, 20))
		return true;
	switch (e >> 3 & 7) {
	case 0:
	case 1:
	case 4:
	case 5:
	case 6:
		return false;
	}
	return true;
}

static bool ept_fault(struct run *run, enum ref_code code, uint64_t ngpa, int rwx, int granted, bool page)
{
	struct ref_result *res = run->res;

	res->code = code;
	res->dim = 1;
	res->table = page;
	res->addr = ngpa;
	res->qual = code == REF_RESERVED ? 0 : (uint64_t)(rwx | granted << 3 | 1 << 7 | (page ? 0 : 1 << 8));
	return false;
}

static bool ept_walk(struct run *run, const struct ref_tables *t, uint64_t ngpa, int rwx, bool page,
		     bool set_ad, uint64_t *gpa_ret)
{
	int top = t->kind == REF_EPT5 ? 5 : 4, level = top, granted = 7;
	uint64_t table = t->root & 0xffffffffff000, at[6], e, size;

	if (ngpa >> (t->kind == REF_EPT5 ? 57 : 48)) {
		step(run, 1, level, 0, 0, 0);
		return ept_fault(run, REF_NOT_PRESENT, ngpa, rwx, 0, page);
	}
	for (;; level--) {
		at[level] = table + (ngpa >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
		if (!mem_read(run->mem, at[level], 8, &e)) {
			step(run, 1, level, at[level], at[level], 0);
			return ept_fault(run, REF_NO_MEMORY, ngpa, rwx, granted, page);
		}
		step(run, 1, level, at[level], at[level], e);
		granted &= (int)(e & 7);
		if (!(e & 7))
			return ept_fault(run, REF_NOT_PRESENT, ngpa, rwx, 0, page);
		if (ept_misconfigured(t, e, level))
			return ept_fault(run, REF_RESERVED, ngpa, rwx, granted, page);
		if (level == 1 || bit(e, 7))
			break;
		table = e & 0xffffffffff000;
	}
	if (rwx & ~granted)
		return ept_fault(run, REF_DENIED, ngpa, rwx, granted, page);
	run->res->leaf_level = level;
	run->res->rights = (granted & 1 ? 4 : 0) | (granted & 2) | (granted & 4 ? 1 : 0);
	if (set_ad && t->ept_ad) {
		for (int l = top; l >= level; l--)
			mem_set(run->mem, at[l], 8);
		if (rwx & 2)
			mem_set(run->mem, at[level], 9);
	}
	size = 1ull << (12 + 9 * (level - 1));
	*gpa_ret = (e & 0xffffffffff000 & ~(size - 1)) | (ngpa & (size - 1));
	return true;
}

/* --- x86 --- */

bool ref_x86_allowed(const struct ref_tables *t, bool user_page, bool writable, bool executable,
		     const struct ref_access *a)
{
	bool xd = t->nxe && t->kind != REF_32 && !executable;

	if (a->user) {
		if (!user_page)
			return false;
		if (a->write)
			return writable && !(a->fetch && xd);
		return !(a->fetch && xd);
	}
	if (a->fetch)
		return !xd && !(user_page && t->smep);
	if (user_page && t->smap && !t->ac)
		return false;
	return !a->write || writable || !t->wp;
}

static bool x86_reserved(const struct ref_tables *t, uint64_t e, int level)
{
	switch (t->kind) {
	case REF_32:
		return level == 2 && bit(e, 7) && t->pse && any_bit(e, 17, 21);
	case REF_PAE:
		if (any_bit(e, t->phys_bits, 62))
			return true;
		break;
	default:
		if (any_bit(e, t->phys_bits, 51))
			return true;
		if (level >= 4 && (bit(e, 7) || (t->amd && bit(e, 8))))
			return true;
	}
	if (bit(e, 63) && !t->nxe)
		return true;
	if (level == 3 && bit(e, 7) && (!t->gb || any_bit(e, 13, 29)))
		return true;
	return level == 2 && bit(e, 7) && any_bit(e, 13, 20);
}

static bool x86_fault(struct run *run, const struct ref_tables *t, enum ref_code code, uint64_t addr,
		      const struct ref_access *a, int dim, bool page)
{
	struct ref_result *res = run->res;

	res->code = code;
	res->dim = dim;
	res->table = page;
	res->addr = addr;
	res->error = (code == REF_DENIED || code == REF_RESERVED ? 1 : 0) | (a->write ? 2 : 0) |
		     (a->user ? 4 : 0) | (code == REF_RESERVED ? 8 : 0);
	if (a->fetch && (t->smep || (t->nxe && t->kind != REF_32)))
		res->error |= 16;
	if (dim == 1)
		res->error |= page ? 1ull << 33 : 1ull << 32;
	return false;
}

static bool second_walk(struct run *run, uint64_t ngpa, int rwx, bool page, bool set_ad, uint64_t *gpa_ret);

static int index_of(const struct ref_tables *t, uint64_t addr, int level)
{
	if (t->kind == REF_32)
		return level == 2 ? (int)(addr >> 22 & 0x3ff) : (int)(addr >> 12 & 0x3ff);
	return (int)(addr >> (12 + 9 * (level - 1)) & 0x1ff);
}

static bool x86_walk(struct run *run, const struct ref_tables *t, int dim, uint64_t addr,
		     const struct ref_access *a, bool page, bool set_ad, uint64_t *out_ret,
		     const int *final_rwx)
{
	bool two = dim == 0 && run->second;
	bool u = true, w = true, x = true;
	unsigned int bytes = t->kind == REF_32 ? 4 : 8;
	uint64_t table, e = 0, at[6], phys[6], size, out, value[6];
	int level, top;

	table = t->kind == REF_32 ? t->root & 0xfffff000 : t->root & 0xffffffffff000;
	level = t->kind == REF_32 ? 2 : t->kind == REF_PAE ? 3 : t->kind == REF_4LEVEL ? 4 : 5;
	if (dim == 1 && addr >> (t->kind == REF_4LEVEL ? 48 : t->kind == REF_5LEVEL ? 57 : 32)) {
		step(run, dim, level, 0, 0, 0);
		return x86_fault(run, t, REF_NOT_PRESENT, addr, a, dim, page);
	}
	if (t->kind == REF_PAE) {
		int i = (int)(addr >> 30 & 3);
		uint64_t where = (t->root & 0xfffffffffffe0) + (uint64_t)i * 8;

		if (dim == 0)
			e = t->pdpte[i];
		else if (!mem_read(run->mem, where, 8, &e))
			e = 0;
		step(run, dim, 3, where, where, e);
		if (!bit(e, 0))
			return x86_fault(run, t, REF_NOT_PRESENT, addr, a, dim, page);
		table = e & 0xffffffffff000;
		level = 2;
	}
	for (top = level;; level--) {
		at[level] = table + (uint64_t)index_of(t, addr, level) * bytes;
		phys[level] = at[level];
		/* A CPU asks for R and W under NPT, and under EPT with A/D on; else for R (SDM 28.3.3.2). */
		if (two && !second_walk(run, at[level], !is_ept(run->second) || run->second->ept_ad ? 3 : 1,
					true, set_ad, &phys[level]))
			return false;
		if (!mem_read(run->mem, phys[level], bytes, &e)) {
			step(run, dim, level, at[level], phys[level], 0);
			return x86_fault(run, t, REF_NO_MEMORY, addr, a, dim, page);
		}
		step(run, dim, level, at[level], phys[level], e);
		if (!bit(e, 0))
			return x86_fault(run, t, REF_NOT_PRESENT, addr, a, dim, page);
		if (x86_reserved(t, e, level))
			return x86_fault(run, t, REF_RESERVED, addr, a, dim, page);
		value[level] = e;
		w = w && bit(e, 1);
		u = u && bit(e, 2);
		x = x && (t->kind == REF_32 || !bit(e, 63));
		if (level == 1 || (bit(e, 7) && (t->kind != REF_32 || t->pse)))
			break;
		table = t->kind == REF_32 ? e & 0xfffff000 : e & 0xffffffffff000;
	}
	if (!ref_x86_allowed(t, u, w, x, a))
		return x86_fault(run, t, REF_DENIED, addr, a, dim, page);

	if (t->kind == REF_32 && level == 2) {
		out = (e & 0xffc00000) | (e >> 13 & 0xf) << 32 | (addr & 0x3fffff);
	} else {
		size = 1ull << (12 + (t->kind == REF_32 ? 10 : 9) * (level - 1));
		out = (e & 0xffffffffff000 & ~(size - 1)) | (addr & (size - 1));
	}
	if (two) {
		run->res->l2_gpa = out;
		if (!second_walk(run, out, *final_rwx, false, set_ad, &out))
			return false;
	}
	for (int l = top; l >= level; l--) {
		bool set_a = !bit(value[l], 5), set_d = l == level && a->write && !bit(value[l], 6);
		uint64_t ignore;

		if (!set_a && !set_d)
			continue;
		if (two && is_ept(run->second) && !run->second->ept_ad) {
			int nr = run->res->nr_steps;
			bool ok = second_walk(run, at[l], 3, true, false, &ignore);

			run->res->nr_steps = nr;
			if (!ok)
				return false;
		}
		if (set_ad && set_a)
			mem_set(run->mem, phys[l], 5);
		if (set_ad && set_d)
			mem_set(run->mem, phys[l], 6);
	}
	run->res->leaf_level = level;
	run->res->rights = (u ? 4 : 0) | (w ? 2 : 0) | (x ? 1 : 0);
	*out_ret = out;
	return true;
}

/* --- both --- */

static bool second_walk(struct run *run, uint64_t ngpa, int rwx, bool page, bool set_ad, uint64_t *gpa_ret)
{
	struct ref_access a = { .write = rwx & 2, .fetch = rwx & 4, .user = true };

	if (is_ept(run->second))
		return ept_walk(run, run->second, ngpa, rwx, page, set_ad, gpa_ret);
	return x86_walk(run, run->second, 1, ngpa, &a, page, set_ad, gpa_ret, NULL);
}

void ref_walk_second(struct ref_mem *mem, const struct ref_tables *second, uint64_t addr, int rwx, bool page,
		     bool set_ad, struct ref_result *ret)
{
	struct run run = { .mem = mem, .second = second, .set_ad = set_ad, .res = ret };

	memset(ret, 0, sizeof(*ret));
	second_walk(&run, addr, rwx, page, set_ad, &ret->gpa);
}

void ref_walk(struct ref_mem *mem, const struct ref_tables *tables, const struct ref_tables *second,
	      uint64_t addr, const struct ref_access *a, bool set_ad, struct ref_result *ret)
{
	struct run run = { .mem = mem, .second = second, .set_ad = set_ad, .res = ret };
	int rwx = (a->write ? 2 : 0) | (a->fetch ? 4 : 0);

	if (!rwx || a->rmw)
		rwx |= 1;
	memset(ret, 0, sizeof(*ret));
	if (tables->kind != REF_OFF) {
		x86_walk(&run, tables, 0, addr, a, false, set_ad, &ret->gpa, &rwx);
		return;
	}
	ret->l2_gpa = addr;
	ret->rights = 7;
	ret->gpa = addr;
	if (second) {
		second_walk(&run, addr, rwx, false, set_ad, &ret->gpa);
		ret->rights = 7;
	}
}
