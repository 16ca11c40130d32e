// SPDX-License-Identifier: GPL-2.0-or-later
/* The hardware model as a judge; see cpujudge.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hw/hw.h"
#include "tests/unit/cpujudge.h"

static uint8_t *at(struct ref_mem *mem, u64 pa)
{
	return pa >> 12 < mem->nr_pages && mem->backed[pa >> 12] ? mem->bytes + pa : NULL;
}

static int cpu_read(void *ctx, u64 pa, void *dst, u32 len)
{
	const uint8_t *p = at(ctx, pa);

	if (!p)
		return -EFAULT;
	memcpy(dst, p, len);
	return 0;
}

static int cpu_write(void *ctx, u64 pa, const void *src, u32 len)
{
	(void)src;
	(void)len;
	return at(ctx, pa) ? 0 : -EFAULT;
}

static int cpu_cmpxchg(void *ctx, u64 pa, u64 old, u64 new_value, u32 bytes)
{
	struct ref_mem *mem = ctx;
	uint8_t *p = at(mem, pa);

	if (!p)
		return -EFAULT;
	if (memcmp(p, &old, bytes))
		return -EAGAIN;
	if (!mem->readonly[pa >> 12]) {
		memcpy(p, &new_value, bytes);
		mem->changes++;
	}
	return 0;
}

void cpu_judge_init(struct cpu_judge *j, unsigned int nr_pages)
{
	struct hw_mem mem = { .read = cpu_read, .write = cpu_write, .cmpxchg = cpu_cmpxchg, .ctx = &j->mem };

	memset(j, 0, sizeof(*j));
	j->mem.bytes = malloc(nr_pages * 4096);
	j->mem.nr_pages = nr_pages;
	j->cpu = hw_cpu_create(&mem, 16);
	assert_non_null(j->mem.bytes);
	assert_non_null(j->cpu);
}

void cpu_judge_deinit(struct cpu_judge *j)
{
	hw_cpu_destroy(j->cpu);
	free(j->mem.bytes);
}

static bool is_ept(const struct ref_tables *t)
{
	return t->kind == REF_EPT4 || t->kind == REF_EPT5;
}

/*
 * Does a guest table lie in a table of the second stage? Then it matters when A and D are set, and CPU and
 * KVM differ in that.
 */
static bool is_aliased(const struct ref_result *r)
{
	for (int i = 0; i < r->nr_steps; i++)
		for (int k = 0; k < r->nr_steps; k++)
			if (r->step[i].dim == 0 && r->step[k].dim == 1 &&
			    r->step[i].gpa >> 12 == r->step[k].gpa >> 12)
				return true;
	return false;
}

static void set_state(struct hw_state *s, const struct nmmu_regs *regs, const struct ref_tables *guest,
		      const struct ref_tables *second)
{
	static const u8 levels[] = { [REF_32] = 2,     [REF_PAE] = 3,  [REF_4LEVEL] = 4,
				     [REF_5LEVEL] = 5, [REF_EPT4] = 4, [REF_EPT5] = 5 };

	*s = (struct hw_state){
		.cr0 = regs->cr0,
		.cr3 = regs->cr3,
		.cr4 = regs->cr4,
		.efer = regs->efer,
		.ac = regs->ac,
		.phys_bits = (u8)guest->phys_bits,
		.gbpages = guest->gb,
		.amd = guest->amd,
	};
	memcpy(s->pdpte, guest->pdpte, sizeof(s->pdpte));
	if (!second)
		return;
	s->stage = is_ept(second) ? HW_STAGE_EPT : HW_STAGE_NPT;
	s->root_pa = second->root;
	s->levels = levels[second->kind];
	s->ept_ad = second->ept_ad;
	s->exec_only = second->exec_only;
	s->npt_nx = second->nxe;
}

static void compare(struct cpu_judge *j, const struct hw_result *r, const struct ref_tables *second,
		    const struct ref_result *want, const struct ref_access *access)
{
	/* L1's SMEP has KVM report fetches without NX too; the model has no such bit for NPT. */
	u64 ignore = second && second->smep && access->fetch ? 0x10 : 0;

	if (want->code == REF_OK) {
		/* What lies behind the translation need not be memory. */
		assert_true(r->exit == HW_DONE || r->exit == HW_MEM_ERROR);
		assert_int_equal(r->pa, want->gpa);
		return;
	}
	if (want->dim == 0) {
		assert_int_equal(r->exit, HW_FAULT_PF);
		assert_int_equal(r->qual, want->error);
		assert_int_equal(r->addr, want->addr);
		return;
	}
	if (!is_ept(second)) {
		assert_int_equal(r->exit, HW_EXIT_NPF);
		assert_int_equal(r->qual & ~ignore, want->error & ~ignore);
		assert_int_equal(r->gpa, want->addr);
		return;
	}
	/* A CPU marks tables before it looks for the page, KVM after; of two faults the other one is met. */
	if (!second->ept_ad && !want->table && r->exit == HW_EXIT_EPT_VIOLATION && !(r->qual & 0x100)) {
		assert_int_equal(r->qual & 7, 3);
		j->nr_other_order++;
		return;
	}
	assert_int_equal(r->exit, want->code == REF_RESERVED ? HW_EXIT_EPT_MISCONFIG : HW_EXIT_EPT_VIOLATION);
	assert_int_equal(r->qual, want->qual);
	assert_int_equal(r->gpa, want->addr);
}

void cpu_judge_walk(struct cpu_judge *j, const struct ref_mem *before, const struct nmmu_regs *regs,
		    const struct ref_tables *guest, const struct ref_tables *second, uint64_t addr,
		    const struct ref_access *access, const struct ref_result *want)
{
	struct hw_access a = { .addr = addr,
			       .bytes = 1,
			       .write = access->write,
			       .fetch = access->fetch,
			       .user = access->user,
			       .rmw = access->rmw };
	struct hw_result r;
	struct hw_state s;

	if (want->code == REF_NO_MEMORY || (second && is_aliased(want)))
		return;
	if (second && !is_ept(second) && (guest->kind == REF_PAE || (second->kind == REF_32 && !second->pse)))
		return;
	if (j->mem.changes || j->copied != before->changes)
		memcpy(j->mem.bytes, before->bytes, before->nr_pages * 4096);
	j->mem.changes = 0;
	j->copied = before->changes;
	j->mem.backed = before->backed;
	j->mem.readonly = before->readonly;
	set_state(&s, regs, guest, second);
	hw_cpu_flush(j->cpu);
	hw_cpu_access(j->cpu, &s, &a, &r);
	compare(j, &r, second, want, access);
	j->nr_asked++;
}
