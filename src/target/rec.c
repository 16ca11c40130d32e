/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The size of each record (abi/rec.h) and whose it is, apart from target.c so that it links without any backend. */
#include "target/target.h"

size_t ms_rec_size(enum ms_rec_type type)
{
	switch (type) {
	case MS_REC_HOST:
		return sizeof(struct ms_rec_host);
	case MS_REC_VM:
		return sizeof(struct ms_rec_vm);
	case MS_REC_FD:
		return sizeof(struct ms_rec_fd);
	case MS_REC_VCPU:
		return sizeof(struct ms_rec_vcpu);
	case MS_REC_SLOT:
		return sizeof(struct ms_rec_slot);
	case MS_REC_MMU:
		return sizeof(struct ms_rec_mmu);
	case MS_REC_SP:
		return sizeof(struct ms_rec_sp);
	case MS_REC_WALK:
		return sizeof(struct ms_rec_walk);
	case MS_REC_RMAP:
		return sizeof(struct ms_rec_rmap);
	case MS_REC_RMAP_DESC:
		return sizeof(struct ms_rec_rmap_desc);
	case MS_REC_GFN:
		return sizeof(struct ms_rec_gfn);
	case MS_REC_RMAPS:
		return sizeof(struct ms_rec_rmaps);
	case MS_REC_PIN:
		return sizeof(struct ms_rec_pin);
	case MS_REC_GTABLE:
		return sizeof(struct ms_rec_gtable);
	case MS_REC_CHANGED:
		return sizeof(struct ms_rec_changed);
	case MS_REC_EXACT:
		return sizeof(struct ms_rec_exact);
	case MS_REC_END:
		return sizeof(struct ms_rec_end);
	}
	return 0;
}

u64 ms_rec_kvm(enum ms_rec_type type, const void *rec)
{
	switch (type) {
	case MS_REC_FD:
		return ((const struct ms_rec_fd *)rec)->kvm;
	case MS_REC_VCPU:
		return ((const struct ms_rec_vcpu *)rec)->kvm;
	case MS_REC_SLOT:
		return ((const struct ms_rec_slot *)rec)->kvm;
	case MS_REC_MMU:
		return ((const struct ms_rec_mmu *)rec)->kvm;
	case MS_REC_SP:
		return ((const struct ms_rec_sp *)rec)->kvm;
	case MS_REC_WALK:
		return ((const struct ms_rec_walk *)rec)->kvm;
	case MS_REC_RMAP:
		return ((const struct ms_rec_rmap *)rec)->kvm;
	case MS_REC_RMAP_DESC:
		return ((const struct ms_rec_rmap_desc *)rec)->kvm;
	case MS_REC_GFN:
		return ((const struct ms_rec_gfn *)rec)->kvm;
	case MS_REC_RMAPS:
		return ((const struct ms_rec_rmaps *)rec)->kvm;
	case MS_REC_PIN:
		return ((const struct ms_rec_pin *)rec)->kvm;
	case MS_REC_GTABLE:
		return ((const struct ms_rec_gtable *)rec)->kvm;
	case MS_REC_CHANGED:
		return ((const struct ms_rec_changed *)rec)->kvm;
	case MS_REC_EXACT:
		return ((const struct ms_rec_exact *)rec)->kvm;
	default:
		return 0;
	}
}
