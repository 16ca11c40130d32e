/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /dev/mmuscope: what user space and the kernel module agree on. This file has the device, VMs and the layout;
 * kmod_exact.h, kmod_wp.h and kmod_nmmu.h have the requests of the three parts.
 *
 * Rules for every request:
 *   - its number carries the size of its struct; another size is -EINVAL, an unknown number -ENOTTY. A struct never
 *     changes: what needs another gets another number and raises MMUSCOPE_ABI_MINOR.
 *   - `pad' members are 0, else -EINVAL.
 *   - lists are copied to a buffer of the caller's, with its room in entries; what did not fit is asked for again.
 *   - a number that names something (gfn, VM, address) is looked up and compared, never followed as a pointer.
 *   - 0 or -errno: -EPERM (not allowed), -ENOTCONN (no VM attached yet), -ESRCH (the VM is gone), -EINTR (a fatal
 *     signal), -EFAULT (the caller's memory), -ENOMEM, and what the request itself says.
 *
 * One open file is one session: at most one VM, its flips, one nmmu instance. All of it ends with the file.
 */
#ifndef ABI_KMOD_H
#define ABI_KMOD_H

#include "abi/types.h"

#ifdef __KERNEL__
#include <linux/ioctl.h>
#else
#include <sys/ioctl.h>
#endif

#define MMUSCOPE_DEVICE "/dev/mmuscope"

/* Programs and modules of different majors refuse each other; a newer minor has more requests. */
#define MMUSCOPE_ABI_MAJOR 1u
#define MMUSCOPE_ABI_MINOR 0u

#define MMUSCOPE_IOC 0xb7

/* Request numbers: each part has its own range. */
#define MMUSCOPE_NR_EXACT 0x10
#define MMUSCOPE_NR_WP 0x20
#define MMUSCOPE_NR_NMMU 0x40
#define MMUSCOPE_NR_END 0x60

/* No struct is larger. */
#define MMUSCOPE_ARG_MAX 256

/* What this module can do on this kernel. */
#define MMUSCOPE_HAS_EXACT (1u << 0) /* snapshots under mmu_lock */
#define MMUSCOPE_HAS_WP (1u << 1) /* the kernel has external write tracking */
#define MMUSCOPE_HAS_NMMU (1u << 2)

struct mmuscope_version {
	u32 major, minor;
	u32 has; /* MMUSCOPE_HAS_ */
	u32 pad;
	char release[64]; /* of the kernel that it was built for */
};

/*
 * A VM by its descriptor, which is checked to be KVM's and may be closed afterwards: the module does not keep it
 * open. It holds a reference of the VM until the session ends, until the VMM's memory goes (exit, kill, exec), or
 * until nobody else has one, which it looks for four times a second: then all that the session did to the VM is
 * undone and requests get -ESRCH.
 * -EBADF: no such descriptor; -EINVAL: not a VM; -EBUSY: the session has a VM already.
 */
struct mmuscope_attach {
	s32 vm_fd;
	u32 pad;
	u64 kvm; /* out: address of its struct kvm, as a name */
};

/* What the module holds, all sessions together; for tests and for `doctor'. */
struct mmuscope_state {
	u32 files; /* open sessions, this one included */
	u32 vms; /* VMs of which a reference is held */
	u32 flips; /* frames whose writes are tracked */
	u32 nmmus; /* instances of nmmu */
};

/*
 * Members of structures that no header of the kernel's has. The ids are those of src/layout/fields.def, and a
 * type's size is its. Absent ones are absent in this kernel.
 */
/* clang-format off */
#define MMUSCOPE_FIELDS(F) \
	F(sp_link, 16) \
	F(sp_hash_link, 16) \
	F(sp_tdp_mmu_page, 1) \
	F(sp_unsync, 1) \
	F(sp_mmu_valid_gen, 1) \
	F(sp_lpage_disallowed, 1) \
	F(sp_nx_huge_page_disallowed, 1) \
	F(sp_lpage_disallowed_link, 16) \
	F(sp_possible_nx_huge_page_link, 16) \
	F(sp_role, 4) \
	F(sp_gfn, 8) \
	F(sp_spt, 8) \
	F(sp_shadowed_translation, 8) \
	F(sp_root_count, 4) \
	F(sp_unsync_children, 4) \
	F(sp_parent_ptes, 8) \
	F(sp_ptep, 8) \
	F(sp_write_flooding_count, 4) \
	F(desc_more, 8) \
	F(desc_spte_count, 0) /* 8 or 4 */ \
	F(desc_tail_count, 4) \
	F(desc_sptes, 112)
/* clang-format on */

enum mmuscope_field {
#define MMUSCOPE_FIELD_ID(id, bytes) MMUSCOPE_F_##id,
	MMUSCOPE_FIELDS(MMUSCOPE_FIELD_ID)
#undef MMUSCOPE_FIELD_ID
		MMUSCOPE_F_NR
};

#define MMUSCOPE_ABSENT 0xffffu
#define MMUSCOPE_TYPE_MAX 1024u /* bytes of struct kvm_mmu_page, of struct pte_list_desc */

/*
 * Where they lie. Checked before it is kept: each member lies in its structure, is aligned, and overlaps no other but
 * for those that share a word by design; what must be there is there. -EINVAL says that it is not so, and `bad' which
 * member (enum mmuscope_field, MMUSCOPE_F_NR: a size). It is checked again with each page that is read: a table's page
 * must name the shadow page that names the table.
 */
struct mmuscope_layout {
	u16 sp_bytes, desc_bytes;
	u16 bad; /* out */
	u16 pad;
	u16 off[MMUSCOPE_F_NR]; /* bytes, MMUSCOPE_ABSENT */
	u8 bytes[MMUSCOPE_F_NR]; /* of the member */
	u8 pad2[(8 - MMUSCOPE_F_NR * 3 % 8) % 8];
};

#define MMUSCOPE_VERSION _IOR(MMUSCOPE_IOC, 0x00, struct mmuscope_version)
#define MMUSCOPE_ATTACH _IOWR(MMUSCOPE_IOC, 0x01, struct mmuscope_attach)
#define MMUSCOPE_STATE _IOR(MMUSCOPE_IOC, 0x02, struct mmuscope_state)
/* Once a session, before the first exact read; -EALREADY: it has one. */
#define MMUSCOPE_LAYOUT _IOWR(MMUSCOPE_IOC, 0x03, struct mmuscope_layout)

_Static_assert(sizeof(struct mmuscope_version) == 80, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_attach) == 16, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_state) == 16, "shared with the kernel");
_Static_assert(sizeof(struct mmuscope_layout) % 8 == 0 && sizeof(struct mmuscope_layout) <= MMUSCOPE_ARG_MAX,
	       "shared with the kernel");

#endif
