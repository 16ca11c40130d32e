/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One access by a CPU: the TLB, then both stages of translation, then the data. The TLB keeps combined
 * translations of 4 KiB pages with the rights of both stages, so that a change of CR0.WP or EFLAGS.AC works
 * at once, and whether a write still has a D bit to set. What a cached translation does not allow is
 * translated anew before it faults, as CPUs do; what it allows is done, whatever the tables say by now.
 *
 * Sources: Intel SDM vol. 3 4.10, 28.4; AMD APM vol. 2 5.5.
 */
#include "hw/private.h"

#include <stdlib.h>
#include <string.h>

struct hw_cpu *hw_cpu_create(const struct hw_mem *mem, u32 entries)
{
	struct hw_cpu *cpu;

	if (!entries || (entries & (entries - 1)))
		return NULL;
	cpu = calloc(1, sizeof(*cpu));
	if (!cpu)
		return NULL;
	cpu->mem = *mem;
	cpu->nr = entries;
	cpu->tlb = calloc(entries, sizeof(*cpu->tlb));
	if (!cpu->tlb) {
		free(cpu);
		return NULL;
	}
	return cpu;
}

void hw_cpu_destroy(struct hw_cpu *cpu)
{
	if (!cpu)
		return;
	free(cpu->tlb);
	free(cpu);
}

void hw_cpu_flush(struct hw_cpu *cpu)
{
	memset(cpu->tlb, 0, cpu->nr * sizeof(*cpu->tlb));
}

void hw_cpu_flush_tag(struct hw_cpu *cpu, u64 tag)
{
	for (u32 i = 0; i < cpu->nr; i++)
		if (cpu->tlb[i].tag == tag)
			cpu->tlb[i].valid = false;
}

static bool tlb_maps(const struct hw_tlb_entry *t, u64 addr)
{
	return (t->page ^ addr >> 12) >> t->shift == 0;
}

void hw_cpu_flush_page(struct hw_cpu *cpu, u64 tag, u64 addr)
{
	for (u32 i = 0; i < cpu->nr; i++)
		if (cpu->tlb[i].tag == tag && tlb_maps(&cpu->tlb[i], addr))
			cpu->tlb[i].valid = false;
}

void hw_cpu_flush_linear(struct hw_cpu *cpu, u64 addr)
{
	for (u32 i = 0; i < cpu->nr; i++)
		if (tlb_maps(&cpu->tlb[i], addr))
			cpu->tlb[i].valid = false;
}

u32 hw_cpu_tlb_used(const struct hw_cpu *cpu)
{
	u32 used = 0;

	for (u32 i = 0; i < cpu->nr; i++)
		used += cpu->tlb[i].valid;
	return used;
}

static struct hw_tlb_entry *tlb_slot(struct hw_cpu *cpu, u64 tag, u64 page)
{
	u64 hash = (page ^ tag << 7 ^ tag >> 9) * 0x9e3779b97f4a7c15ULL;

	return &cpu->tlb[(hash >> 40) & (cpu->nr - 1)];
}

int hw_mem_error(struct hw_walk *w, u64 pa)
{
	w->ret->exit = HW_MEM_ERROR;
	w->ret->pa = pa;
	return HW_EXIT;
}

static u32 second_access(const struct hw_access *access)
{
	if (access->fetch)
		return HW_X;
	if (access->write)
		return HW_W | (access->rmw ? HW_R : 0);
	return HW_R;
}

static bool tlb_allows(const struct hw_tlb_entry *t, const struct hw_x86 *x, const struct hw_want *want,
		       u32 access)
{
	if (hw_x86_denied(x, t->rights1, want) || (access & ~t->rights2))
		return false;
	return !want->write || (t->dirty1 && t->dirty2);
}

/* Both stages. On 0 the slot holds the translation. */
static int translate(struct hw_walk *w, const struct hw_x86 *x, const struct hw_want *want, u32 access,
		     struct hw_tlb_entry *t)
{
	struct hw_map first = {
		.addr = w->linear, .rights = HW_R | HW_W | HW_X | HW_U, .level = 1, .dirty = true
	};
	struct hw_map second;
	u64 error;
	int rc;

	if (x->levels) {
		rc = hw_x86_walk(w, x, w->linear, want, &first, &error);
		if (rc == HW_EXIT && error != ~0ULL) {
			w->ret->exit = HW_FAULT_PF;
			w->ret->qual = error;
		}
		if (rc)
			return rc;
	}
	w->ret->gpa = first.addr;
	rc = hw_second(w, first.addr, access, false, &second);
	if (rc)
		return rc;
	*t = (struct hw_tlb_entry){
		.valid = true,
		.shift = (x->bytes == 4 ? 10 : 9) * (first.level - 1),
		.rights1 = first.rights,
		.rights2 = second.rights,
		.dirty1 = first.dirty,
		.dirty2 = second.dirty,
		.tag = w->s->tag,
		.page = w->linear >> 12,
		.gpa = first.addr & ~0xfffULL,
		.pa = second.addr & ~0xfffULL,
	};
	return 0;
}

static void transfer(struct hw_walk *w, const struct hw_access *access, u64 pa)
{
	u64 value = 0;

	if (!access->write || access->rmw) {
		if (w->mem->read(w->mem->ctx, pa, &value, access->bytes)) {
			hw_mem_error(w, pa);
			return;
		}
	}
	if (access->write && w->mem->write(w->mem->ctx, pa, &access->value, access->bytes)) {
		hw_mem_error(w, pa);
		return;
	}
	w->ret->exit = HW_DONE;
	w->ret->pa = pa;
	w->ret->value = value;
}

void hw_cpu_access(struct hw_cpu *cpu, const struct hw_state *state, const struct hw_access *access,
		   struct hw_result *ret)
{
	struct hw_want want = { .read = !access->write || access->rmw,
				.write = access->write,
				.fetch = access->fetch,
				.user = access->user };
	struct hw_walk w = { .mem = &cpu->mem, .s = state, .linear = access->addr, .ret = ret };
	struct hw_tlb_entry *t;
	struct hw_x86 x;
	u32 second = second_access(access);
	int rc;

	*ret = (struct hw_result){ 0 };
	hw_x86_guest(state, &x);
	if (x.levels < 4)
		w.linear &= hw_bits(31, 0);
	ret->addr = w.linear;
	t = tlb_slot(cpu, state->tag, w.linear >> 12);
	if (t->valid && t->tag == state->tag && t->page == w.linear >> 12 &&
	    tlb_allows(t, &x, &want, second)) {
		ret->tlb_hit = true;
	} else {
		/* A fault forgets what was cached for the address. */
		t->valid = false;
		do {
			rc = translate(&w, &x, &want, second, t);
		} while (rc == HW_AGAIN);
		if (rc)
			return;
	}
	ret->gpa = t->gpa | (w.linear & 0xfff);
	transfer(&w, access, t->pa | (w.linear & 0xfff));
}
