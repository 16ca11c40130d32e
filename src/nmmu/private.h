/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared within src/nmmu. Who holds what: "locked" means mmu_lock is held by the caller, "unlocked" that it
 * must not be. Functions that may need memory are unlocked, or take it from the vCPU's cache.
 */
#ifndef NMMU_PRIVATE_H
#define NMMU_PRIVATE_H

#include "nmmu/types.h"
#include "spte/spte.h"

#define nmmu_container(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define nmmu_bug_on(m, id) ((m)->cfg.bugs & 1u << NMMU_BUG_##id)
/* A deliberate mistake of mutants.def; no code in any but a test build. */
#ifdef NMMU_WITH_MUTANTS
#define nmmu_mutant(m, id) ((m)->cfg.mutant == NMMU_MUTANT_##id)
#else
#define nmmu_mutant(m, id) ((void)(m), false)
#endif

static inline void nmmu_yield(struct nmmu *m, enum nmmu_point point)
{
	if (m->ops->yield)
		m->ops->yield(m->host, point);
}

static inline void nmmu_lock(struct nmmu *m)
{
	nmmu_yield(m, NMMU_POINT_LOCK);
	if (m->ops->lock)
		m->ops->lock(m->host);
}

/* As nmmu_lock(), on behalf of a vCPU: what happens until nmmu_unlock() is told as its doing. */
static inline void nmmu_lock_vcpu(struct nmmu_vcpu *v)
{
	nmmu_lock(v->m);
	v->m->at_work = v;
}

static inline void nmmu_unlock(struct nmmu *m)
{
	m->at_work = NULL;
	if (m->ops->unlock)
		m->ops->unlock(m->host);
	nmmu_yield(m, NMMU_POINT_UNLOCK);
}

static inline bool nmmu_is_6_12(const struct nmmu *m)
{
	return m->cfg.kernel == NMMU_6_12;
}

/*
 * On whose behalf things happen (SEMANTICS has the same operations): a vCPU's calls say it in v->cause, what runs
 * under the lock goes by nmmu_cause_begin(), whoever holds it. Both return what to put back.
 */
static inline u8 *nmmu_cause_of(struct nmmu *m)
{
	return m->at_work ? &m->at_work->cause : &m->cause;
}

static inline u8 nmmu_cause_begin(struct nmmu *m, enum ms_cause cause)
{
	u8 *at = nmmu_cause_of(m), was = *at;

	*at = (u8)cause;
	return was;
}

static inline void nmmu_cause_end(struct nmmu *m, u8 was)
{
	*nmmu_cause_of(m) = was;
}

static inline u8 nmmu_vcpu_begin(struct nmmu_vcpu *v, enum ms_cause cause)
{
	u8 was = v->cause;

	v->cause = (u8)cause;
	return was;
}

/*
 * Raise an event: nmmu_event(m, v, dirty, .gfn = gfn, ...). v may be NULL; with the lock held by whoever raises it
 * and no vCPU among its arguments it is m->at_work. Costs one test when nobody listens. nmmu_event_for() says
 * the cause (enum ms_cause) besides: what is raised without a vCPU and without the lock has to. Else it is that of
 * the operation under way.
 */
void nmmu_event_put(struct nmmu *m, const struct nmmu_vcpu *v, struct ms_event *event);
#define nmmu_event_for(machine, vcpu, why, name, ...)                           \
	do {                                                                    \
		if ((machine)->ops->event) {                                    \
			struct ms_event event_ = { .id = MS_EV_##name,          \
						   .cause = (u8)(why),          \
						   .u.name = { __VA_ARGS__ } }; \
			nmmu_event_put(machine, vcpu, &event_);                 \
		}                                                               \
	} while (0)
#define nmmu_event(machine, vcpu, name, ...) nmmu_event_for(machine, vcpu, MS_CAUSE_NONE, name, __VA_ARGS__)

static inline u64 nmmu_level_pages(u32 level)
{
	return 1ULL << (9 * (level - 1));
}

/* First frame of the page of this level that holds gfn. */
static inline u64 nmmu_round_gfn(u64 gfn, u32 level)
{
	return gfn & ~(nmmu_level_pages(level) - 1);
}

/* --- event.c / machine.c --- */

/* Every vCPU; counts and tells. deferred: mmu_lock was dropped before. */
void nmmu_flush_all(struct nmmu *m, enum ms_cause cause, bool deferred);
void nmmu_flush_one(struct nmmu_vcpu *v, enum ms_cause cause);
void nmmu_request_all(struct nmmu *m, u32 request); /* locked, as all of v->requests */
/* Roots, caches and buffers of a vCPU that no longer runs, and the vCPU. Unlocked. */
void nmmu_vcpu_destroy(struct nmmu_vcpu *v);
void nmmu_nested_transition(struct nmmu_vcpu *v); /* L1 <-> L2: what must not survive it. Unlocked. */
bool nmmu_eptp_ok(const struct nmmu *m, u64 eptp); /* B3 */

/* --- link.c: doubly linked lists, as the kernel's --- */
static inline void nmmu_link_init(struct nmmu_link *head)
{
	head->prev = head->next = head;
}

static inline bool nmmu_link_empty(const struct nmmu_link *head)
{
	return head->next == head;
}

static inline void nmmu_link_add(struct nmmu_link *item, struct nmmu_link *head)
{
	item->next = head->next;
	item->prev = head;
	head->next->prev = item;
	head->next = item;
}

static inline void nmmu_link_del(struct nmmu_link *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	nmmu_link_init(item);
}

/* --- slot.c: memslots, guest memory by GPA, lpage and write-track counts --- */

/* first_gen: generation of AS 0, a multiple of NMMU_NR_AS; AS 1 starts one higher. */
void nmmu_slots_init(struct nmmu *m, u64 first_gen);
/* Memory that nobody can find any more is freed once nobody can be using it. Locked. */
void nmmu_bury(struct nmmu *m, struct nmmu_grave *grave);
/* Around whatever a vCPU does in the engine: slots it has looked up stay valid memory meanwhile. */
void nmmu_slots_enter(struct nmmu *m);
void nmmu_slots_leave(struct nmmu *m);
/*
 * As nmmu_slot_of(), but a slot that is being deleted or moved (MS_SLOT_INVALID) is found too: for whatever
 * undoes what was accounted to it (rmaps, write_track). A fault that meets one must not map it.
 */
struct nmmu_slot *nmmu_slot_any(const struct nmmu *m, u16 as_id, u64 gfn);
/* As nmmu_slot_of(), the address space is the vCPU's (regs.smm) or a page's (role.smm). */
struct nmmu_slot *nmmu_slot_vcpu(struct nmmu_vcpu *v, u64 gfn);
static inline u64 nmmu_slot_hva(const struct nmmu_slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << NMMU_PAGE_SHIFT);
}
/* slot may be NULL. */
static inline bool nmmu_slot_logs(const struct nmmu_slot *slot)
{
	return slot && slot->flags & MS_SLOT_LOG_DIRTY;
}
/* Generation of an address space as it goes into MMIO SPTEs: masked to the profile's bits by the caller. */
u64 nmmu_generation(const struct nmmu *m, u16 as_id);
/* Guest memory by GPA, any length within a page; -EFAULT where no slot or mapping is. Write marks nothing. */
int nmmu_gpa_read(struct nmmu *m, u16 as_id, u64 gpa, void *dst, u32 len);
int nmmu_gpa_write(struct nmmu *m, u16 as_id, u64 gpa, const void *src, u32 len);
/* rmap, disallow_lpage and write_track of a new slot, as its edges and addresses have it. -ENOMEM. */
int nmmu_slot_arrays(struct nmmu *m, struct nmmu_slot *slot);
/* Entries of a level's arrays; index of gfn's. */
static inline u64 nmmu_lpage_index(const struct nmmu_slot *slot, u64 gfn, u32 level)
{
	return (gfn >> (9 * (level - 1))) - (slot->base_gfn >> (9 * (level - 1)));
}
static inline u64 nmmu_nr_lpages(const struct nmmu_slot *slot, u32 level)
{
	return nmmu_lpage_index(slot, slot->base_gfn + slot->nr_pages - 1, level) + 1;
}
/* Every slot of a machine without vCPUs and shadow pages. */
void nmmu_slots_free(struct nmmu *m);
/* notifier.c: frames of slot in [start, end) of hva, those in part too. False: none. */
bool nmmu_slot_hva_range(const struct nmmu_slot *slot, u64 start, u64 end, u64 *first_ret, u64 *end_ret);
struct nmmu_rmap *nmmu_slot_rmap(struct nmmu_slot *slot, u64 gfn, u32 level);
/* Largest level that slot, lpage counts and host mapping allow for gfn, at most max_level. Locked. */
u32 nmmu_max_level(struct nmmu *m, const struct nmmu_slot *slot, u64 gfn, u32 host_level, u32 max_level);
/*
 * disallow_lpage of every level, write_track: locked. SP with gptes at level >= 2 write-tracks its gfn (H
 * 32).
 */
void nmmu_lpage_disallow(struct nmmu_slot *slot, u64 gfn, s32 delta);
void nmmu_write_track(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, s32 delta);
bool nmmu_is_write_tracked(const struct nmmu_slot *slot, u64 gfn);
/*
 * Are there MMIO SPTEs to forget? Called after a generation changed: zaps all at the 19-bit wrap (I 12).
 * Unlocked.
 */
void nmmu_mmio_gen_changed(struct nmmu *m, u64 gen);

/* --- dirty.c, pml.c (E) --- */

/* Bitmap of a slot that begins to log; all set when the mode says so. -ENOMEM. */
int nmmu_dirty_alloc(struct nmmu *m, struct nmmu_slot *slot);
/*
 * The slot's LOG_DIRTY flag was changed (and nothing else): protect its pages, or collapse them (E6).
 * Unlocked.
 */
void nmmu_log_started(struct nmmu *m, struct nmmu_slot *slot);
void nmmu_log_stopped(struct nmmu *m, struct nmmu_slot *slot);

/* Sets the bit when the slot logs. v and slot may be NULL. No lock needed (atomic). */
void nmmu_mark_dirty(struct nmmu *m, struct nmmu_vcpu *v, struct nmmu_slot *slot, u64 gfn);
/* The same where the engine itself has written: on behalf of the guest, or of the host (v NULL). */
void nmmu_mark_written(struct nmmu *m, struct nmmu_vcpu *v, struct nmmu_slot *slot, u64 gfn);
/*
 * PML12 (E5): about to set D in EPT12 for this nGPA. -ENOSPC: log full, exit 62 to L1 instead of setting D.
 */
int nmmu_pml12_put(struct nmmu_vcpu *v, u64 ngpa);
/*
 * Write-protect every SPTE of gfn in slot (rmaps of all levels >= min_level). Clears M too unless for_log.
 * Returns SPTEs changed; *flush_ret is set, never cleared, when E1 asks for a flush. Locked.
 */
u32 nmmu_gfn_write_protect(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, u32 min_level, bool for_log,
			   enum ms_cause cause, bool *flush_ret);

/* --- rmap.c --- */

/*
 * Returns the number of entries before the add (6.1: as far as its count goes, F). desc comes from the cache.
 */
u32 nmmu_rmap_add(struct nmmu *m, struct nmmu_cache *cache, struct nmmu_rmap *head, u64 *sptep);
/* -ENOENT when it is not there. Frees through ops->free: legal under the lock. */
int nmmu_rmap_del(struct nmmu *m, struct nmmu_rmap *head, u64 *sptep);
u32 nmmu_rmap_count(struct nmmu_rmap head);
/* The leaf's own reverse map: slot by sp->role.smm, gfn from the page. NULL: no such slot. */
struct nmmu_rmap *nmmu_rmap_of(struct nmmu *m, struct nmmu_sp *sp, u32 index);
/* Every SPTE cleared and the list emptied; true when there was one. No flush. Locked. */
bool nmmu_rmap_zap(struct nmmu *m, struct nmmu_rmap *head, enum ms_cause cause);
/*
 * What the add of a leaf calls when the count that nmmu_rmap_add() returned is larger: zaps all, the new one
 * too.
 */
#define NMMU_RMAP_MAX 1000
void nmmu_rmap_recycle(struct nmmu *m, struct nmmu_rmap *head);
struct nmmu_rmap_iter {
	struct nmmu_pte_desc *desc;
	u32 pos;
};
/* Iterate; entries must not be added or removed meanwhile. NULL ends. */
u64 *nmmu_rmap_first(struct nmmu_rmap head, struct nmmu_rmap_iter *it);
u64 *nmmu_rmap_next(struct nmmu_rmap_iter *it);

/* --- spte_set.c: the only file that stores SPTEs --- */

/* Non-present or MMIO -> any. */
void nmmu_spte_init(struct nmmu *m, u64 *sptep, u64 new_spte, enum ms_cause cause);
/* present -> present, same pfn (E1, E2). True: a flush is needed. Locked. */
bool nmmu_spte_update(struct nmmu *m, u64 *sptep, u64 new_spte, enum ms_cause cause);
/* -> non-present; returns the old value. No rmap or parent work. Locked. */
u64 nmmu_spte_clear(struct nmmu *m, u64 *sptep, enum ms_cause cause);
/* Leaf: rmap entry removed, SPTE cleared. Locked. */
void nmmu_spte_drop(struct nmmu *m, u64 *sptep, enum ms_cause cause);
/*
 * The three that E1 does not judge; the caller knows whether and when to flush. Locked but for the last.
 * Present -> present as aging does it (mmu_spte_update_no_track()): returns what was there.
 */
u64 nmmu_spte_update_no_track(struct nmmu *m, u64 *sptep, u64 new_spte, enum ms_cause cause);
/* Bits cleared in place, atomically; returns what was there. */
u64 nmmu_spte_clear_bits(struct nmmu *m, u64 *sptep, u64 bits, enum ms_cause cause);
/* Lock-free: from old_spte to new_spte, false when it was no longer old_spte. */
bool nmmu_spte_try_update(struct nmmu_vcpu *v, u64 *sptep, u64 old_spte, u64 new_spte, enum ms_cause cause);

struct nmmu_make {
	struct nmmu_sp *sp;
	struct nmmu_slot *slot;
	u32 access; /* NMMU_ACC_ */
	u64 gfn, pfn;
	u64 old_spte;
	u8 level;
	bool prefetch, can_unsync, host_writable;
};
/*
 * make_spte(): the leaf value; tries to unsync when it would be writable (F), marks dirty when it is. Returns
 * true when write protection was needed ("wrprot"): a write fault then is emulated. Locked.
 */
bool nmmu_make_spte(struct nmmu_vcpu *v, const struct nmmu_make *make, u64 *spte_ret);
u64 nmmu_make_nonleaf(struct nmmu *m, u64 child_pa, bool ad_disabled);
u64 nmmu_make_mmio(struct nmmu_vcpu *v, u64 gfn, u32 access);
/* mark_spte_for_access_track(), spte_restore, as values. */
u64 nmmu_spte_mark_tracked(const struct nmmu *m, u64 spte);
u64 nmmu_spte_restore_tracked(const struct nmmu *m, u64 spte);

/* --- index.c: finding shadow pages --- */

int nmmu_index_init(struct nmmu *m);
void nmmu_index_deinit(struct nmmu *m);
void nmmu_index_add(struct nmmu *m, struct nmmu_sp *sp); /* locked */
void nmmu_index_del(struct nmmu *m, struct nmmu_sp *sp); /* locked */
void nmmu_index_grow(struct nmmu *m); /* when there are many pages; unlocked */
struct nmmu_image;
/* image.c: an index of pages that an image's has, each of which find() tells the place of and each() is called with. */
int nmmu_index_adopt(struct nmmu *m, const struct nmmu_image *image,
		     struct nmmu_sp *(*find)(void *ctx, struct nmmu_sp *p),
		     bool (*each)(void *ctx, struct nmmu_sp *sp), void *ctx);
/* Zapped roots too, which are not on active_pages. */
void nmmu_index_each(const struct nmmu *m, bool (*visit)(void *ctx, const struct nmmu_sp *sp), void *ctx);

/* --- sp.c: shadow pages and their life (F) --- */

/* Fill the vCPU's cache before a fault. -ENOMEM: what there is stays for later. Unlocked. */
int nmmu_cache_topup(struct nmmu_vcpu *v, bool indirect);
void nmmu_cache_free(struct nmmu *m, struct nmmu_cache *cache);
/*
 * Find or make the page for (gfn, role). Level-1 unsync pages found are synced when asked for by role; other
 * roles' unsync pages of gfn are zapped when this one is level >= 2. invalid collects what had to go. Locked,
 * from the cache.
 */
struct nmmu_sp *nmmu_sp_get(struct nmmu_vcpu *v, u64 gfn, union nmmu_role role);
/* The role of a child (C5, C.3, H 23). */
union nmmu_role nmmu_child_role(const struct nmmu_sp *parent, u32 index, bool direct, u32 access);
/*
 * C3: the child wanted at *sptep, to be linked by nmmu_sp_link() (which zaps and flushes what is there) once
 * its children are synced and the gpte was read again. NULL: the right one is linked already. Locked.
 */
struct nmmu_sp *nmmu_sp_get_child(struct nmmu_vcpu *v, u64 *sptep, u64 gfn, union nmmu_role role);
/* As nmmu_slot_of(), but a slot that is being deleted counts: what is accounted there must be undone. */
struct nmmu_slot *nmmu_sp_slot(const struct nmmu *m, const struct nmmu_sp *sp, u64 gfn);
/*
 * validate_direct_spte(): a child with other rights than `access' is unlinked, not zapped, and TLBs flushed.
 * Locked.
 */
void nmmu_sp_validate_direct(struct nmmu *m, u64 *sptep, u32 access);
/* This child of sptep may be unsync: mark the way up. Locked. */
void nmmu_mark_unsync(struct nmmu *m, u64 *sptep);
/* For zap.c: zapped pages leave all hashes, then go back to the host. */
void nmmu_sp_unhash(struct nmmu *m, struct nmmu_sp *sp);
void nmmu_sp_free(struct nmmu *m, struct nmmu_sp *sp);
void nmmu_sp_unaccount(struct nmmu *m, struct nmmu_sp *sp);
/* Store the link; zaps what is there first. Locked. */
void nmmu_sp_link(struct nmmu_vcpu *v, u64 *sptep, struct nmmu_sp *child);
/* Zap onto the list `invalid'; true: something was present. Unsync children too. Locked. */
bool nmmu_sp_prepare_zap(struct nmmu *m, struct nmmu_sp *sp, struct nmmu_link *invalid, enum ms_cause cause);
/* Flush (when the list is not empty) and free. Locked. */
void nmmu_sp_commit_zap(struct nmmu *m, struct nmmu_link *invalid, enum ms_cause cause);
/* Pages that nmmu_sp_commit_zap() could not free for lock-free walkers (m->deferred). Locked. */
void nmmu_sp_free_deferred(struct nmmu *m);
/*
 * One entry: leaf dropped, or child unlinked (orphaned unless invalid is given: F "parent_ptes"). Returns
 * true if it was present. Locked.
 */
bool nmmu_sp_zap_entry(struct nmmu *m, struct nmmu_sp *sp, u32 index, struct nmmu_link *invalid,
		       enum ms_cause cause);
bool nmmu_sp_is_obsolete(const struct nmmu *m, const struct nmmu_sp *sp);
bool nmmu_sp_has_gptes(const struct nmmu_sp *sp);
/* What an entry maps (A3, C.3). */
u64 nmmu_sp_gfn(const struct nmmu_sp *sp, u32 index);
u32 nmmu_sp_access(const struct nmmu_sp *sp, u32 index);
void nmmu_sp_set_translation(struct nmmu *m, struct nmmu_sp *sp, u32 index, u64 gfn, u32 access);
struct nmmu_sp *nmmu_hash_first(const struct nmmu *m, u64 gfn);
struct nmmu_sp *nmmu_hash_next(const struct nmmu_sp *sp); /* same gfn */
/* Recycling: at least 5 free, refill to 25 (F). 0 or -ENOSPC. Locked. */
int nmmu_make_room(struct nmmu *m);
/*
 * A new generation: vCPUs are asked to drop their roots, then all pages go, oldest first. Called locked; the
 * lock is dropped between batches.
 */
void nmmu_zap_all_locked(struct nmmu *m, enum ms_cause cause);
void nmmu_zap_all_for(struct nmmu *m, enum ms_cause cause); /* unlocked */
/* MMU-side zapping of a gfn range of a slot, leaves only. True: flush. Locked. */
bool nmmu_zap_gfn_range(struct nmmu *m, struct nmmu_slot *slot, u64 first, u64 end, enum ms_cause cause);
/* kvm_mmu_unprotect_page(): zap every page with gptes at gfn. Locked; true when something went. */
bool nmmu_unprotect_gfn(struct nmmu *m, u64 gfn);

/* --- unsync.c --- */

/* mmu_try_to_unsync_pages(): 0, -EPERM, -EEXIST. Locked. */
int nmmu_try_unsync(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, bool can_unsync, bool prefetch);
/* Bring one page up to date; < 0: could not, zap it; else whether a flush is needed. Locked. */
int nmmu_sp_sync(struct nmmu_vcpu *v, struct nmmu_sp *sp);
/* One SPTE of an unsync page. < 0: could not; else whether a flush is needed. Locked. */
int nmmu_sp_sync_spte(struct nmmu_vcpu *v, struct nmmu_sp *sp, u32 index);
/* All unsync pages below a root or parent. Locked. */
void nmmu_sync_children(struct nmmu_vcpu *v, struct nmmu_sp *parent);
/*
 * Up to `max' different unsync pages below parent; marks found stale are cleared. For unsync.c and zap.c.
 * Locked.
 */
#define NMMU_UNSYNC_BATCH 16
u32 nmmu_collect_unsync(struct nmmu *m, struct nmmu_sp *parent, struct nmmu_sp **ret, u32 max);
/*
 * The guest's entry at sp[index], sp of level 1 with gptes. 1: it may be mapped, access and gfn are filled (F
 * "sync"); 0: not present, A clear or reserved; -EFAULT: unreadable; -EINVAL: sp is not of v->mmu's role.
 */
struct nmmu_gpte {
	u64 gfn;
	u32 access;
};
int nmmu_gpte_read(struct nmmu_vcpu *v, const struct nmmu_sp *sp, u32 index, struct nmmu_gpte *ret);

/* --- root.c --- */

int nmmu_roots_init(struct nmmu_vcpu *v);
/* Every root of a vCPU that no longer runs, and the memory of its special ones. Unlocked. */
void nmmu_roots_deinit(struct nmmu_vcpu *v);
/* v->mmu, which has no root, gets one: -ENOMEM, -ENOSPC (F recycling), -EIO: C7, 6.1. Unlocked. */
int nmmu_root_load(struct nmmu_vcpu *v);
/* What NMMU_REQ_FREE_OBSOLETE asks for. Unlocked. */
void nmmu_root_free_obsolete(struct nmmu_vcpu *v);
bool nmmu_root_is_dummy(const struct nmmu_vcpu *v, u64 hpa);
/*
 * Where a walk of the shadow for addr begins: the page, or NULL (no root, dummy root, PDPTE not present).
 * Special roots are stepped over: then it is a level-2 page of pae_root.
 */
struct nmmu_sp *nmmu_root_sp(const struct nmmu_vcpu *v, const struct nmmu_mmu *mmu, u64 hpa, u64 addr);
void nmmu_root_free(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, bool current, u32 prev_mask,
		    enum ms_cause cause);
void nmmu_root_new_pgd(struct nmmu_vcpu *v, u64 pgd);
void nmmu_root_sync(struct nmmu_vcpu *v);
/* The previous roots are synced by dropping those that need it. */
void nmmu_root_sync_prev(struct nmmu_vcpu *v);
#define NMMU_PREV_ROOTS ((1u << MS_NR_PREV_ROOTS) - 1) /* all of them, as a prev_mask */
/* Is this MMU's root made of a zapped or obsolete page, or is a request pending? Locked (D.1 step 6). */
bool nmmu_root_is_stale(struct nmmu_vcpu *v);
/* --- invalidate.c --- */

/* INVLPG / D3: one address in the current and the given previous roots (bit i: prev[i]). */
void nmmu_invalidate_addr(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, bool current, u32 prev_mask);

/* --- role.c (C.2) --- */

void nmmu_init_root_mmu(struct nmmu_vcpu *v); /* from v->regs and guest_mode */
void nmmu_init_shadow_ept(struct nmmu_vcpu *v, u64 eptp);
void nmmu_init_shadow_npt(struct nmmu_vcpu *v, const struct nmmu_regs *l1, u64 ncr3);
void nmmu_init_nested_mmu(struct nmmu_vcpu *v);

/* --- gfmt.c --- */

/* Fill rsvd, bad_mt_xwr and perm from the other members. */
void nmmu_gfmt_finish(struct nmmu_gfmt *fmt);
bool nmmu_gfmt_is_rsvd(const struct nmmu_gfmt *fmt, u64 gpte, u32 level);
bool nmmu_gfmt_is_present(const struct nmmu_gfmt *fmt, u64 gpte);
bool nmmu_gfmt_is_leaf(const struct nmmu_gfmt *fmt, u64 gpte, u32 level);
u32 nmmu_gfmt_access(const struct nmmu_gfmt *fmt, u64 gpte); /* NMMU_ACC_ granted by this entry */
/* Frame mapped by a leaf for addr, or table's frame. */
u64 nmmu_gfmt_leaf_gfn(const struct nmmu_gfmt *fmt, u64 gpte, u32 level, u64 addr);
u64 nmmu_gfmt_table_gfn(const struct nmmu_gfmt *fmt, u64 gpte);
u32 nmmu_gfmt_index(const struct nmmu_gfmt *fmt, u64 addr, u32 level);
static inline u32 nmmu_gfmt_bytes(const struct nmmu_gfmt *fmt)
{
	return fmt->kind == NMMU_GPT_32 ? 4 : 8;
}
u64 nmmu_gfmt_a_mask(const struct nmmu_gfmt *fmt); /* 0 when A/D are not used */
u64 nmmu_gfmt_d_mask(const struct nmmu_gfmt *fmt);

/* --- walk.c --- */

#define NMMU_WALK_SET_AD \
	(1u << 0) /* set A and D, mark tables dirty, PML12: as the CPU's walk or KVM's fault walk */
#define NMMU_WALK_EMULATOR (1u << 1) /* for the emulator: table accesses and D1's compat rule */
#define NMMU_WALK_RMW \
	(1u << 2) /* nmmu_walk_gva(): a write that reads too: exact EPT walks then ask for R as well */

struct nmmu_walk_fault {
	u64 error; /* PFERR bits to report */
	u64 qual; /* EPT: bits 8:0 (D.2); 0 for a misconfiguration */
	u64 addr; /* what faulted, in the faulting dimension: gva or nGPA */
	bool nested; /* of EPT12/NPT12: goes to L1; else #PF of the guest at work */
	bool misconfig; /* EPT: exit 49 */
	bool pml_full; /* exit 62 */
	bool table; /* nested: while walking the guest's own tables */
	/* A table has no memory, or its A and D bits could not be set; the access may have been granted. */
	bool unbacked;
};

struct nmmu_walk {
	/* Valid down to level (the level of the leaf); index by level - 1. */
	u64 table_gfn[5]; /* in the walk's output space */
	u64 pte_gpa[5]; /* L1 GPA of the entry */
	u64 pte[5];
	u32 pt_access[5]; /* rights granted by the ancestors of this level's table */
	u64 pgd_gfn; /* root table */
	u8 top; /* level of the root table's entries */
	u8 level; /* of the leaf */
	u32 pte_access; /* NMMU_ACC_: AND of all levels */
	u64 gfn; /* of the 4 KiB page, in the output space: L1 gfn, or nGPA frame for nested_mmu */
	bool dirty; /* D of the leaf is set now, or the format has none */
	struct nmmu_walk_fault fault;
};

/*
 * Walk the tables behind mmu for addr. pferr: NMMU_PF_ W, U, I of the access (U for EPT reads: D.1 step 1).
 * 1: found; 0: a fault, w->fault says which; -errno never for guest content. trace may be NULL. Unlocked
 * (reads guest memory).
 */
int nmmu_walk(struct nmmu_vcpu *v, struct nmmu_mmu *mmu, u64 addr, u64 pferr, u32 flags, struct nmmu_walk *w,
	      struct nmmu_trace *trace);
/*
 * GVA (or L2 GVA) of the guest at work all the way to an L1 GPA. Same results, written on success;
 * access_ret: what the guest's own tables grant (may be NULL). fault may be NULL.
 */
int nmmu_walk_gva(struct nmmu_vcpu *v, u64 gva, u64 pferr, u32 flags, u64 *gpa_ret, u32 *access_ret,
		  struct nmmu_walk_fault *fault, struct nmmu_trace *trace);

/* --- fault.c, fault_shadow.c, fast.c, mmio.c --- */

struct nmmu_fault {
	u64 addr;
	u64 error; /* PFERR */
	bool write, user, fetch, present, rsvd;
	bool prefetch;
	u8 max_level, req_level, goal_level;
	u64 gfn;
	struct nmmu_slot *slot;
	u64 pfn;
	u8 host_level;
	bool host_writable;
	bool fast; /* dealt with by nmmu_fast_fault() */
	bool huge_disallowed; /* NX: an execute fault maps 4K */
	u64 seq;
};

/*
 * kvm_mmu_page_fault() less emulation. Returns enum nmmu_ret, -ENOMEM; or 1000: injected, result_ret is
 * filled.
 */
#define NMMU_FAULT_INJECTED 1000
int nmmu_page_fault(struct nmmu_vcpu *v, u64 addr, u64 error, struct nmmu_result *result_ret);
int nmmu_direct_fault(struct nmmu_vcpu *v, struct nmmu_fault *fault);
int nmmu_shadow_fault(struct nmmu_vcpu *v, struct nmmu_fault *fault, struct nmmu_result *result_ret);
int nmmu_fast_fault(struct nmmu_vcpu *v, struct nmmu_fault *fault);
/* D.1 step 2: enum nmmu_ret, or NMMU_RET_NONE to go on with the fault. */
int nmmu_mmio_fault(struct nmmu_vcpu *v, u64 addr);
/* The cache of the last device page; a GVA of 0 is none. */
void nmmu_mmio_cache_fill(struct nmmu_vcpu *v, u64 gva, u64 gfn, u32 access);
void nmmu_mmio_cache_clear(struct nmmu_vcpu *v, bool all, u64 gva);
bool nmmu_mmio_cache_has_gpa(const struct nmmu_vcpu *v, u64 gpa);
bool nmmu_mmio_cache_has_gva(const struct nmmu_vcpu *v, u64 gva);
/*
 * Down the shadow tables of v->mmu, entry by entry; next() is told what the caller read. An sptep of NULL
 * ends. Locked, or between nmmu_lockless_begin() and _end(): pages that a walker may still see are freed by
 * the last one.
 */
struct nmmu_shadow_iter {
	u64 addr;
	struct nmmu_sp *sp;
	u64 *sptep;
	u32 level, index;
};
void nmmu_shadow_first(struct nmmu_vcpu *v, u64 addr, struct nmmu_shadow_iter *it);
void nmmu_shadow_next(struct nmmu_vcpu *v, struct nmmu_shadow_iter *it, u64 spte);
void nmmu_lockless_begin(struct nmmu_vcpu *v);
void nmmu_lockless_end(struct nmmu_vcpu *v);
/* mmu_set_spte(). enum nmmu_ret. Locked. */
int nmmu_set_spte(struct nmmu_vcpu *v, struct nmmu_slot *slot, u64 *sptep, u32 access, u64 gfn, u64 pfn,
		  bool host_writable, struct nmmu_fault *fault);
/* kvm_faultin_pfn(): slot, pfn. enum nmmu_ret or NMMU_RET_NONE to go on. */
int nmmu_faultin_pfn(struct nmmu_vcpu *v, struct nmmu_fault *fault, u32 access);
/* Locked. True is told as an event. */
bool nmmu_fault_is_stale(struct nmmu_vcpu *v, const struct nmmu_fault *fault);
void nmmu_hugepage_adjust(struct nmmu_vcpu *v, struct nmmu_fault *fault);
/* At a level where the goal is a huge leaf: one lower when NX has split what is there. */
void nmmu_hugepage_disallowed(struct nmmu_vcpu *v, struct nmmu_fault *fault, u64 spte, u32 level);
/* Link the direct page below *it's entry that the fault needs, with its NX account. Locked. */
void nmmu_link_direct(struct nmmu_vcpu *v, struct nmmu_fault *fault, const struct nmmu_shadow_iter *it,
		      u64 base_gfn, u32 access);
/* D.1 step 5: write to a write-tracked gfn through a present entry. */
bool nmmu_fault_write_tracked(struct nmmu_vcpu *v, const struct nmmu_fault *fault);
/* A page of slot for prefetching, without waiting. Locked; false: none. */
bool nmmu_prefetch_pfn(struct nmmu *m, const struct nmmu_slot *slot, u64 gfn, u64 *pfn_ret);
/* Prefetch the aligned window of 8 around sptep in a direct page. Locked. */
void nmmu_prefetch_direct(struct nmmu_vcpu *v, struct nmmu_sp *sp, u64 *sptep);
#define NMMU_PREFETCH_NR 8
/* The pfn of a frame without slot. */
#define NMMU_PFN_NOSLOT (~0ULL)

/* --- ptwrite.c --- */

/* kvm_mmu_pte_write(): an emulated write of bytes at gpa; memory is already stored. Unlocked. */
void nmmu_pt_write(struct nmmu_vcpu *v, u64 gpa, u64 value, u32 bytes);

/* --- nested.c (D.2-D.4) --- */

/* Give the guest (or L1) this fault: D3's invalidations, then the exit. */
void nmmu_inject(struct nmmu_vcpu *v, const struct nmmu_walk_fault *fault, const struct nmmu_exit *exit,
		 struct nmmu_result *ret);
/*
 * The same for a fault that the emulator met while dealing with exit (NULL: with none): what the CPU reported
 * with the exit then belongs to another access, and only compat copies any of it.
 */
void nmmu_inject_emulated(struct nmmu_vcpu *v, const struct nmmu_walk_fault *fault,
			  const struct nmmu_exit *exit, struct nmmu_result *ret);
/* nmmu_emulate() for an exit, which may be NULL. */
int nmmu_emulate_exit(struct nmmu_vcpu *v, const struct nmmu_access *access, const struct nmmu_exit *exit,
		      struct nmmu_result *ret);
/* Leave guest mode: roles and roots of L1 again. nested (with the PML12 index) stays to be read. */
void nmmu_leave_guest(struct nmmu_vcpu *v);

/* --- pin.c (G); all locked but the first --- */

/* The pin table of a new slot. -ENOMEM. */
int nmmu_pins_alloc(struct nmmu *m, struct nmmu_slot *slot);
/* Every pin of a slot of which nothing is mapped any more ends. */
void nmmu_pins_drop(struct nmmu *m, struct nmmu_slot *slot);
void nmmu_pins_drop_all(struct nmmu *m);
/* Before the walk: no leaf may be larger than a pinned part of it. */
void nmmu_pin_limit(struct nmmu_fault *fault);
/* A leaf of this level is to come: hand the pin of a larger page to its parts. -EBUSY: the host refused. */
int nmmu_pin_split(struct nmmu *m, struct nmmu_slot *slot, u64 gfn, u32 level);
/*
 * A leaf is about to be stored at sp[index]: pin its page, or find it pinned. -EIO: pinned with another pfn,
 * which can only mean that the guest's data are lost. *unzap_ret: call nmmu_pin_unzapped() once it is stored.
 */
int nmmu_pin_leaf(struct nmmu *m, struct nmmu_slot *slot, struct nmmu_sp *sp, u32 index, u64 gfn, u64 pfn,
		  bool *unzap_ret);
void nmmu_pin_unzapped(struct nmmu *m, u64 gfn, u64 pfn, u8 level);
/* The leaf at sp[index], of a page with nr_pinned, was cleared. */
void nmmu_pin_cleared(struct nmmu *m, struct nmmu_sp *sp, u32 index);
static inline bool nmmu_sp_is_pinned(const struct nmmu_sp *sp, u32 index)
{
	return sp->pinned[index / 64] & 1ULL << index % 64;
}
/* Are there pinned leaves in the page or below? */
bool nmmu_sp_has_pins(const struct nmmu *m, const struct nmmu_sp *sp);

/* --- age.c, nx.c --- */

void nmmu_nx_account(struct nmmu *m, struct nmmu_sp *sp);
void nmmu_nx_unaccount(struct nmmu *m, struct nmmu_sp *sp);

#endif
