/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memslots of one address space as read from a kernel that goes on: kvm_read.c reads, kvm_rmap.c follows. */
#ifndef TARGET_KVM_SLOTS_H
#define TARGET_KVM_SLOTS_H

#include "target/kmem.h"

/* One memslot being read: the words behind its record. */
struct slot_read {
	u64 node, next;
	u64 base_gfn, npages, dirty, hva, flags, id, as_id;
};

struct slot_set {
	struct slot_read *slots; /* free() */
	size_t nr;
	u64 memslots; /* address of the struct kvm_memslots that was active; 0: none could be read */
	u64 gen;
	u64 node_off; /* a slot's address is its node less this */
	bool stable; /* the same set was active before and after */
};

/* Tries several times. */
struct ms_err *kvm_slots_read(struct ms_kmem *kmem, u64 kvm, u32 as_id, struct slot_set *ret) MS_MUST_CHECK;

#endif
