/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model: what the user thinks about. Built from any target's records by one code path; read-only once
 * loaded; every answer can say how far it is to be trusted (ms_sp.rec.state, ms_vm.walks).
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>

#include "abi/rec.h"
#include "base/err.h"
#include "base/map.h"
#include "spte/profile.h"
#include "spte/role.h"
#include "spte/spte.h"
#include "target/target.h"

/* The counters of a table's entries, by enum spte_class and by enum spte_wstate for leaves. */
struct ms_counts {
	u16 by_class[SPTE_NR_CLASSES];
	u16 by_wstate[SPTE_NR_WSTATES]; /* leaves only */
	u16 huge; /* leaves above level 1 */
};

struct ms_sp {
	struct ms_rec_sp rec;
	const struct ms_sp_tables *tables; /* NULL: not read */
	struct ms_counts counts; /* valid when tables is there */
	u32 level; /* from the role; 0 when this kernel's role has none */
	u32 index; /* in vm->sps */
};

struct ms_vcpu {
	struct ms_rec_vcpu rec;
	u32 first_mmu, nr_mmus; /* in vm->mmus */
	s32 fd; /* a file descriptor of it in the owner, -1 when none was seen */
};

/* One list of SPTEs: a frame's leaves or a page's parents. */
struct ms_rmap {
	struct ms_rec_rmap rec;
	u32 first_desc; /* its descriptors: rec.nr_descs of them from here in vm->rmap_descs */
};

/* That an SPTE is in a list. */
struct ms_rmap_pte {
	u64 spte; /* its address */
	u32 rmap; /* index in vm->rmaps */
};

struct ms_vm {
	struct ms_rec_vm rec;
	struct ms_rec_fd *fds;
	struct ms_vcpu *vcpus; /* by vcpu_id */
	struct ms_rec_slot *slots; /* by as_id, then base_gfn */
	struct ms_rec_mmu *mmus; /* by vcpu, then which */
	struct ms_sp *sps; /* in the order they were found */
	size_t nr_fds, nr_vcpus, nr_slots, nr_mmus, nr_sps;
	struct ms_rec_walk walks[2]; /* [0] legacy, [1] TDP; flags 0 and kvm 0: not walked */
	struct ms_map by_sp; /* address of the header -> index */
	struct ms_map by_spt; /* pfn of the table + 1 -> index */
	struct ms_rmap *rmaps; /* those of frames by as_id, level, gfn; then parents by page */
	struct ms_rec_rmap_desc *rmap_descs;
	u32 *rmap_firsts; /* by descriptor: which entry of its list it begins with */
	struct ms_rmap_pte *rmap_ptes; /* by SPTE; one that is listed twice is here twice */
	struct ms_rec_gfn *gfn_counts; /* by as_id, level, gfn */
	size_t nr_rmaps, nr_gfn_rmaps, nr_rmap_descs, nr_rmap_ptes, nr_gfn_counts;
	struct ms_rec_exact exact; /* kvm 0: read without a lock, or on a machine that has none */
	struct ms_rec_rmaps rmaps_end; /* have and kvm 0: not read */
	struct ms_rec_pin *pins; /* by as_id, gfn, no two of which overlap; known with MS_VM_HAVE_PINS */
	struct ms_rec_gtable **gtables; /* by as_id, gfn */
	struct ms_rec_changed *changed; /* by as_id, gfn; known with MS_VM_HAVE_CHANGED */
	u64 *flips; /* frames under a write-protect flip, ascending; live only */
	size_t nr_pins, nr_gtables, nr_changed, nr_flips;
	bool detailed; /* its details were asked for */
};

struct ms_model {
	struct ms_rec_host host;
	char target[256]; /* spec it was read from */
	u32 caps; /* of the target */
	struct spte_profile profile;
	struct role_layout roles; /* page roles and the base word of CPU roles */
	struct role_layout roles_ext; /* the extended word of CPU roles */
	char roles_note[160]; /* what is wrong with the layout; "" when it is the kernel's own and whole */
	char profile_note[160]; /* how the profile was chosen, or what is wrong with it */
	struct ms_vm *vms; /* by pid, then kvm */
	size_t nr_vms;
};

/* Read what `want' asks for. *ret is the caller's, ended by ms_model_destroy(). */
struct ms_err *ms_model_load(struct ms_target *target, const struct ms_want *want,
			     struct ms_model **ret) MS_MUST_CHECK;
void ms_model_destroy(struct ms_model *model); /* takes NULL */

/*
 * Find the VM a user means: a pid, an exact process name, "kvm:0xADDR", or NULL when there is exactly one.
 * Name of several, none or a pid with several VMs: a usage error that lists the candidates.
 */
struct ms_err *ms_model_find_vm(const struct ms_model *model, const char *words,
				struct ms_vm **ret) MS_MUST_CHECK;

/* NULL when this VM has no such page. */
struct ms_sp *ms_vm_sp(const struct ms_vm *vm, u64 sp_addr);

/* --- lists of SPTEs (rmap.c): known when vm->rmaps_end.have says so; a list that is not found then is empty --- */

/* The list of the page of this level that holds gfn. */
const struct ms_rmap *ms_vm_rmap(const struct ms_vm *vm, u32 as_id, u32 level, u64 gfn);
/* The parents of the page at sp_addr. */
const struct ms_rmap *ms_vm_parents(const struct ms_vm *vm, u64 sp_addr);
/* The lists that the SPTE at an address is in: *nr_ret of them, from the one returned. */
const struct ms_rmap_pte *ms_vm_rmaps_of(const struct ms_vm *vm, u64 spte_addr, size_t *nr_ret);
/* Address of entry i < rec.nr_entries. */
u64 ms_rmap_entry(const struct ms_vm *vm, const struct ms_rmap *rmap, u32 i);
/* gfn_write_track at level 1, disallow_lpage above; 0 when there is no record of it. */
const struct ms_rec_gfn *ms_vm_gfn_count(const struct ms_vm *vm, u32 as_id, u32 level, u64 gfn);
/*
 * The page whose table holds the SPTE at a kernel address, and which of its entries it is; NULL when none that was
 * read does. Needs MS_RMAPS_HAVE_DIRECT_MAP.
 */
const struct ms_sp *ms_vm_sp_of_spte(const struct ms_vm *vm, u64 spte_addr, u32 *idx_ret);
const char *ms_rmap_state_name(u32 state); /* enum ms_rmap_state: "confirmed", "torn", "unreadable" */
struct ms_sp *ms_vm_sp_by_table(const struct ms_vm *vm, u64 spt_pfn);
/*
 * The child that entry idx of a page points to; NULL for leaves, for entries that are not present, and for
 * children not seen.
 */
struct ms_sp *ms_sp_child(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp,
			  u32 idx);
/* The visible slot of address space as_id that holds gfn, or NULL. */
const struct ms_rec_slot *ms_vm_slot(const struct ms_vm *vm, u32 as_id, u64 gfn);

/* --- what is known of frames (frame.c); NULL: no record of it --- */

/* The pinned page that holds gfn. */
const struct ms_rec_pin *ms_vm_pin(const struct ms_vm *vm, u32 as_id, u64 gfn);
/* Index in vm->gtables of the first at this frame or behind it, of this address space or a later one. */
size_t ms_vm_gtable_from(const struct ms_vm *vm, u32 as_id, u64 gfn);
/* The guest table at a frame. */
const struct ms_rec_gtable *ms_vm_gtable(const struct ms_vm *vm, u32 as_id, u64 gfn);
const char *ms_gtable_state_name(u32 state); /* enum ms_gtable_state: "read", "not present", ... */

enum ms_gfn_source {
	MS_GFN_NONE = 0, /* cannot be told */
	MS_GFN_DIRECT = 1, /* sp.gfn + index: SEMANTICS A3 */
	MS_GFN_STORED = 2, /* from shadowed_translation */
	MS_GFN_IN_SPTE = 3, /* an MMIO SPTE carries it */
};

/* The L1 gfn that a leaf or MMIO entry maps. */
enum ms_gfn_source ms_sp_entry_gfn(const struct ms_model *model, const struct ms_sp *sp, u32 idx,
				   u64 *gfn_ret);
/* Leaves of a page that map a pinned page. */
u32 ms_sp_nr_pinned(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp);
/* The pinned page that holds the frame which a leaf maps, whoever's leaf it is; NULL for all other entries. */
const struct ms_rec_pin *ms_sp_entry_pin(const struct ms_model *model, const struct ms_vm *vm,
					 const struct ms_sp *sp, u32 idx);
/* Does a leaf map a frame that is under a write-protect flip? */
bool ms_sp_entry_flipped(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp,
			 u32 idx);
/* Such leaves of a page. */
u32 ms_sp_nr_flipped(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp);
/* Guest pages that one entry of a page at this level spans: 1, 512, 512^2, ... */
u64 ms_level_pages(u32 level);

/* A root: the top of a tree of shadow pages, in use by an MMU, cached by one, or kept alive otherwise. */
struct ms_root {
	const struct ms_sp *sp; /* NULL: a special root (pae_root ...) or one whose page was not seen */
	const struct ms_rec_mmu *mmu; /* NULL: no MMU that was read refers to it */
	u64 hpa;
	u64 pgd;
	s32 prev; /* -1: current, 0..2: prev_roots index; meaningless without mmu */
};

/*
 * All roots of a VM: those of its MMUs first, then root pages that no MMU names. The array is the caller's
 * (free()).
 */
struct ms_err *ms_vm_roots(const struct ms_model *model, const struct ms_vm *vm, struct ms_root **ret,
			   size_t *nr_ret) MS_MUST_CHECK;

struct ms_visit {
	const struct ms_sp *sp;
	u32 idx;
	u32 depth; /* 0: an entry of the root page itself */
	/*
	 * what this entry translates: page number << 12 in the root's own address space (nGPA, GPA or
	 * GVA)
	 */
	u64 address;
	u64 spte;
	u32 state; /* enum ms_sp_state, the worst of the pages that lead here: the address is no truer than they */
};

/*
 * Visit every entry below a root page whose class is in class_mask (1 << enum spte_class), in address
 * order. A child is entered only when its level is one below its parent's (a torn table can name anything,
 * its ancestor too). visit returns false to stop. Returns false when stopped, by visit or because its pages
 * are met far more often than there are pages.
 */
bool ms_sp_visit(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *root,
		 u32 class_mask, bool (*visit)(void *ctx, const struct ms_visit *v), void *ctx);

/* Short names. */
const char *ms_sp_state_name(u32 state); /* enum ms_sp_state: "confirmed", "torn", ... */
const char *ms_mmu_name(u32 which); /* "root", "guest", "nested" */
/* What the addresses of a root's tree are: "nGPA", "GPA", "GVA". */
const char *ms_root_address_kind(const struct ms_model *model, const struct ms_sp *sp);

#endif
