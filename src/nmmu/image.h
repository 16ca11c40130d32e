/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine that lies in somebody else's memory (an instance in the kernel), copied here byte by byte: to be looked at
 * as if it had been made here. Both must have been built from the same structures, which nmmu_image_layout() tells.
 */
#ifndef NMMU_IMAGE_H
#define NMMU_IMAGE_H

#include "nmmu/types.h"

#define NMMU_IMAGE_ADD(hash, n) (((hash) ^ (u64)(n)) * 0x100000001b3ULL)

/* A number that is another when the structures are. */
static inline u64 nmmu_image_layout(void)
{
	u64 hash = 0xcbf29ce484222325ULL;

#define AT(type, member) (hash = NMMU_IMAGE_ADD(hash, offsetof(struct type, member)))
	AT(nmmu, cfg);
	AT(nmmu, profile);
	AT(nmmu, as);
	AT(nmmu, vcpus);
	AT(nmmu, index);
	AT(nmmu, active_pages);
	AT(nmmu, nr_pins);
	AT(nmmu, invalidate_start);
	AT(nmmu, stats);
	AT(nmmu_config, gbpages);
	AT(nmmu_config, first_generation);
	AT(nmmu_config, mutant);
	AT(nmmu_vcpu, regs);
	AT(nmmu_vcpu, nested);
	AT(nmmu_vcpu, guest_mmu);
	AT(nmmu_vcpu, walk_mmu);
	AT(nmmu_vcpu, cache);
	AT(nmmu_vcpu, mmio_valid);
	AT(nmmu_vcpu, pml);
	AT(nmmu_vcpu, pml_index);
	AT(nmmu_mmu, fmt);
	AT(nmmu_mmu, root);
	AT(nmmu_mmu, prev);
	AT(nmmu_mmu, pae_root);
	AT(nmmu_mmu, pdptrs);
	AT(nmmu_slot, hva);
	AT(nmmu_slot, rmap);
	AT(nmmu_slot, write_track);
	AT(nmmu_slot, dirty);
	AT(nmmu_slot, pins);
	AT(nmmu_sp, link);
	AT(nmmu_sp, role);
	AT(nmmu_sp, spt);
	AT(nmmu_sp, parents);
	AT(nmmu_sp, unsync_bitmap);
	AT(nmmu_sp, nr_pinned);
	AT(nmmu_pte_desc, sptes);
	AT(nmmu_slot_table, slot);
	AT(nmmu_trace, fault);
#undef AT
#define BYTES(type) (hash = NMMU_IMAGE_ADD(hash, sizeof(struct type)))
	BYTES(nmmu);
	BYTES(nmmu_vcpu);
	BYTES(nmmu_slot);
	BYTES(nmmu_sp);
	BYTES(nmmu_pte_desc);
	BYTES(nmmu_pin);
	BYTES(nmmu_trace);
	BYTES(nmmu_step);
	BYTES(ms_event);
#undef BYTES
	return NMMU_IMAGE_ADD(hash, MS_EV_NR);
}

struct nmmu_image {
	/*
	 * Where `bytes' from an address on have come to lie; NULL: not in the image. Tables at addresses that are
	 * multiples of their size. The first time for each piece that was allocated as one, fresh_ret is set.
	 */
	void *(*at)(void *ctx, u64 address, u64 bytes, bool *fresh_ret);
	void *ctx;
};

/*
 * Has all of the machine whose struct lies at `address' there point here. ops->alloc gives memory for an index. It is
 * to be read, and never to be worked or destroyed. -EINVAL: what lies there is no machine; -ENOMEM.
 */
int nmmu_image_adopt(const struct nmmu_image *image, u64 address, const struct nmmu_ops *ops, void *host,
		     struct nmmu **ret);

#endif
