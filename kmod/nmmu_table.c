// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a CPU does with the engine's tables, and the instance's memory as it is. A CPU reads entries, sets A and D in
 * those that are present, and fills its PML buffer: nothing else can be done to a table from outside, for the engine
 * follows what its tables say.
 */
#include "kmod/nmmu.h"
#include "spte/spte.h"

static u64 *entry_of(struct inst *inst, u64 pa)
{
	struct inst_table *table = pa & 7 ? NULL : inst_table_of(inst, pa);

	return table ? (u64 *)table->va + (pa & (NMMU_PAGE_SIZE - 1)) / 8 : NULL;
}

/* As a locked operation of the CPU's. */
static int mark(struct inst *inst, u64 *entry, u64 old, u64 new_value)
{
	const struct spte_profile *p = &inst->m->profile;

	if ((new_value ^ old) & ~(p->m.accessed | p->m.dirty) || old & ~new_value)
		return -EPERM;
	if (!spte_is_mmu_present(p, old) && !(old & 1))
		return -EPERM;
	return nmmu_cmpxchg64(entry, old, new_value) ? 0 : -EAGAIN;
}

static int log_put(struct inst *inst, u64 pa, u64 *entry, u64 gpa)
{
	u32 i;

	for (i = 0; i < inst->nr_vcpus; i++) {
		struct nmmu_vcpu *v = inst->vcpus[i];

		if (!v->pml.va || v->pml.pa != (pa & ~(u64)(NMMU_PAGE_SIZE - 1)))
			continue;
		if (v->pml_index != (pa & (NMMU_PAGE_SIZE - 1)) / 8)
			return -EPERM;
		nmmu_write64(entry, gpa);
		v->pml_index--;
		return 0;
	}
	return -EPERM;
}

int inst_table(struct inst *inst, struct mmuscope_nmmu_table *t)
{
	u64 *entry = entry_of(inst, t->pa);
	u32 i;

	if (t->op > MMUSCOPE_NMMU_LOG || t->words < 1 || t->words > 4 ||
	    (t->op != MMUSCOPE_NMMU_READ && t->words != 1) ||
	    (t->pa & (NMMU_PAGE_SIZE - 1)) + t->words * 8 > NMMU_PAGE_SIZE)
		return -EINVAL;
	if (!entry)
		return -EFAULT;
	if (t->op == MMUSCOPE_NMMU_MARK)
		return mark(inst, entry, t->old, t->v[0]);
	if (t->op == MMUSCOPE_NMMU_LOG)
		return log_put(inst, t->pa, entry, t->v[0]);
	for (i = 0; i < t->words; i++)
		t->v[i] = nmmu_read64(entry + i);
	return 0;
}

static int put_block(u64 *at, const void *mem, u64 bytes, u64 pa)
{
	struct mmuscope_nmmu_block head = { .address = (uintptr_t)mem, .bytes = bytes, .pa = pa };
	int err = inst_copy_out(*at, &head, sizeof(head));

	if (!err)
		err = inst_copy_out(*at + sizeof(head), mem, bytes);
	*at += sizeof(head) + bytes;
	return err;
}

int inst_image(struct inst *inst, struct mmuscope_nmmu_image *image)
{
	const struct inst_block *block;
	const struct inst_table *table;
	u64 need, at = image->to;
	int err = 0;
	u32 i;

	need = inst->nr_tables * (sizeof(struct mmuscope_nmmu_block) + NMMU_PAGE_SIZE);
	for (block = inst->blocks.next; block != &inst->blocks; block = block->next)
		need += sizeof(struct mmuscope_nmmu_block) + block->bytes;
	image->machine = (uintptr_t)inst->m;
	if (need > image->bytes) {
		image->bytes = need;
		return -E2BIG;
	}
	image->bytes = need;
	for (block = inst->blocks.next; block != &inst->blocks && !err; block = block->next)
		err = put_block(&at, block + 1, block->bytes, ~0ULL);
	for (i = 0; i < INST_BUCKETS; i++)
		for (table = inst->tables[i]; table && !err; table = table->next)
			err = put_block(&at, table->va, NMMU_PAGE_SIZE, table->pa);
	return err;
}
