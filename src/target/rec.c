/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The size of each record (abi/rec.h), apart from target.c so that it links without any backend. */
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
	case MS_REC_END:
		return sizeof(struct ms_rec_end);
	}
	return 0;
}
