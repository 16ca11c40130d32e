// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow pages under kvm->mmu_lock: the legacy MMU's list, the TDP MMU's trees, and lists of parents.
 *
 * struct kvm_mmu_page is in no header: its members lie where the layout says. Hence an address counts as a page's only
 * if the page of the table that it names has it as its private word (KVM sets that when it makes the page, and the TDP
 * MMU goes down by it), and if its level is one that there is. What fails is not followed: the reading ends.
 *
 * Between two holds of the lock pages come and go. What a list is taken up by again is looked for in the VM's own hash
 * of pages: the header at that address may be another VM's by then, on another list.
 */
#include <linux/hash.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "kmod/exact.h"

#define SPTE_PRESENT BIT_ULL(11) /* SPTE_MMU_PRESENT_MASK, in no header */
#define SPTE_HUGE BIT_ULL(7)
#define SPTE_ADDRESS GENMASK_ULL(51, 12)
#define ROOT_LEVEL_MAX 5u
/* The list was begun again so often: it has no rest. */
#define AGAIN_MAX 64u
/* Links of the VM's hash of pages that are followed in one hold of the lock, for all pages that are looked for. */
#define HASH_STEPS_MAX 16384u
#define PAGE_RECORD_BYTES \
	((u32)(sizeof(struct mmuscope_exact_rec) + sizeof(struct ms_rec_sp) + 2 * MS_SPTES * sizeof(u64)))

static u64 header_member(const struct mmuscope_exact *x, enum mmuscope_field id)
{
	const void *at = mmuscope_member(x->l, x->header, id);

	if (!mmuscope_has(x->l, id))
		return 0;
	switch (x->l->bytes[id]) {
	case 1:
		return *(const u8 *)at;
	case 4:
		return *(const u32 *)at;
	default: /* of 16 bytes the first pointer */
		return *(const u64 *)at;
	}
}

static u32 header_level(const struct mmuscope_exact *x)
{
	const union kvm_mmu_page_role role = { .word = header_member(x, MMUSCOPE_F_sp_role) };

	return role.level;
}

static bool is_table_page(u64 addr)
{
	return addr && !(addr & ~PAGE_MASK) && virt_addr_valid((void *)addr);
}

/* The page's header to x->header; false and x->where: there is none. */
static bool look_at(struct mmuscope_exact *x, u64 sp, bool tdp)
{
	u64 spt;

	x->where = sp;
	if (sp % sizeof(u64) || !virt_addr_valid((void *)sp) ||
	    !virt_addr_valid((void *)(sp + x->l->sp_bytes - 1)) ||
	    copy_from_kernel_nofault(x->header, (void *)sp, x->l->sp_bytes))
		return false;
	spt = header_member(x, MMUSCOPE_F_sp_spt);
	if (!is_table_page(spt) || page_private(virt_to_page((void *)spt)) != sp)
		return false;
	if (!header_level(x) || header_level(x) > ROOT_LEVEL_MAX ||
	    header_member(x, MMUSCOPE_F_sp_tdp_mmu_page) != tdp)
		return false;
	x->where = 0;
	return true;
}

/* --- records --- */

static const struct {
	enum mmuscope_field id;
	u64 have;
	bool legacy_only;
} members[] = {
	{ MMUSCOPE_F_sp_unsync, MS_SP_HAVE_UNSYNC, true },
	{ MMUSCOPE_F_sp_unsync_children, MS_SP_HAVE_UNSYNC_CHILDREN, true },
	{ MMUSCOPE_F_sp_root_count, MS_SP_HAVE_ROOT_COUNT },
	{ MMUSCOPE_F_sp_mmu_valid_gen, MS_SP_HAVE_GEN, true },
	{ MMUSCOPE_F_sp_write_flooding_count, MS_SP_HAVE_WRITE_FLOODING, true },
	{ MMUSCOPE_F_sp_nx_huge_page_disallowed, MS_SP_HAVE_NX_DISALLOWED },
	{ MMUSCOPE_F_sp_lpage_disallowed, MS_SP_HAVE_NX_DISALLOWED },
	{ MMUSCOPE_F_sp_possible_nx_huge_page_link, MS_SP_HAVE_NX_POSSIBLE },
	{ MMUSCOPE_F_sp_lpage_disallowed_link, MS_SP_HAVE_NX_POSSIBLE },
};

/* A link that was never on a list is zeros on some kernels; one that was has poison; only another link counts. */
static bool is_linked(const struct mmuscope_exact *x, u64 sp, enum mmuscope_field id)
{
	const u64 next = header_member(x, id);

	return mmuscope_has(x->l, id) && next >> 56 == 0xff && next != sp + x->l->off[id];
}

/* The page at sp, whose header is in x->header. False: it cannot be read. */
static bool put_sp(struct mmuscope_exact *x, u64 sp)
{
	const bool tdp = header_member(x, MMUSCOPE_F_sp_tdp_mmu_page);
	const u64 spt = header_member(x, MMUSCOPE_F_sp_spt);
	const u64 translation = header_member(x, MMUSCOPE_F_sp_shadowed_translation);
	const u32 table = MS_SPTES * sizeof(u64);
	struct ms_rec_sp rec = {
		.have = MS_SP_HAVE_PARENTS,
		.kvm = (u64)x->kvm,
		.sp = sp,
		.gfn = header_member(x, MMUSCOPE_F_sp_gfn),
		.spt_pfn = page_to_pfn(virt_to_page((void *)spt)),
		.parents = header_member(x, tdp ? MMUSCOPE_F_sp_ptep : MMUSCOPE_F_sp_parent_ptes),
		.translation = translation,
		.role = header_member(x, MMUSCOPE_F_sp_role),
		.root_count = header_member(x, MMUSCOPE_F_sp_root_count),
		.unsync_children = header_member(x, MMUSCOPE_F_sp_unsync_children),
		.write_flooding = header_member(x, MMUSCOPE_F_sp_write_flooding_count),
		.tdp_mmu_page = tdp,
		.unsync = header_member(x, MMUSCOPE_F_sp_unsync) != 0,
		.mmu_valid_gen = header_member(x, MMUSCOPE_F_sp_mmu_valid_gen),
		.nx_disallowed = header_member(x, MMUSCOPE_F_sp_nx_huge_page_disallowed) ||
				 header_member(x, MMUSCOPE_F_sp_lpage_disallowed),
		.nx_possible = is_linked(x, sp, MMUSCOPE_F_sp_possible_nx_huge_page_link) ||
			       is_linked(x, sp, MMUSCOPE_F_sp_lpage_disallowed_link),
		.state = MS_SP_CONFIRMED,
	};
	u32 bytes = sizeof(rec);
	unsigned int i;
	u8 *at;

	for (i = 0; i < ARRAY_SIZE(members); i++)
		if (mmuscope_has(x->l, members[i].id) && !(tdp && members[i].legacy_only))
			rec.have |= members[i].have;
	if (x->flags & MMUSCOPE_EXACT_TABLES) {
		rec.have |= MS_SP_HAVE_SPTES;
		bytes += table;
		if (!tdp && is_table_page(translation)) {
			rec.have |= MS_SP_HAVE_TRANSLATIONS;
			bytes += table;
		}
	}
	at = exact_put(x, MS_REC_SP, bytes);
	memcpy(at, &rec, sizeof(rec));
	at += sizeof(rec);
	x->where = sp;
	if (rec.have & MS_SP_HAVE_SPTES && copy_from_kernel_nofault(at, (void *)spt, table))
		return false;
	if (rec.have & MS_SP_HAVE_TRANSLATIONS &&
	    copy_from_kernel_nofault(at + table, (void *)translation, table))
		return false;
	x->where = 0;
	return true;
}

/* --- the legacy MMU's list --- */

static struct exact_page page_name(const struct mmuscope_exact *x, u64 sp)
{
	return (struct exact_page){
		.sp = sp,
		.gfn = header_member(x, MMUSCOPE_F_sp_gfn),
		.role = header_member(x, MMUSCOPE_F_sp_role),
	};
}

/* Does the VM's hash have it? Then it is on the VM's list. False, too, when the *steps that are left are used up. */
static bool is_hashed(const struct mmuscope_exact *x, const struct exact_page *page, u32 *steps)
{
	u64 node = (u64)x->kvm->arch.mmu_page_hash[hash_64(page->gfn, KVM_MMU_HASH_SHIFT)].first;
	const u64 want = page->sp + x->l->off[MMUSCOPE_F_sp_hash_link];

	for (; node && *steps; --*steps) {
		if (node == want)
			return true;
		if (copy_from_kernel_nofault(&node, (void *)node, sizeof(node)))
			return false;
	}
	return false;
}

/* Still this VM's, and the same one? Its header is in x->header then. */
static bool is_there(struct mmuscope_exact *x, const struct exact_page *page, u32 *steps)
{
	struct exact_page now;

	if (!page->sp || !look_at(x, page->sp, false)) {
		x->where = 0;
		return false;
	}
	now = page_name(x, page->sp);
	return now.gfn == page->gfn && now.role == page->role && is_hashed(x, page, steps);
}

/* The link to go on at. */
static u64 find_place(struct mmuscope_exact *x)
{
	struct exact_list *list = &x->list;
	u32 i, steps = HASH_STEPS_MAX;

	if (list->begun) {
		if (is_there(x, &list->next, &steps))
			return list->next.sp + x->l->off[MMUSCOPE_F_sp_link];
		for (i = 0; i < EXACT_LAST && i < list->nr_last; i++)
			if (is_there(x, &list->last[(list->nr_last - 1 - i) % EXACT_LAST], &steps))
				return header_member(x, MMUSCOPE_F_sp_link);
		list->again++;
		list->nr_last = 0;
		x->nr_pages = 0;
		x->out_flags |= MMUSCOPE_EXACT_AGAIN;
	}
	list->begun = true;
	return (u64)x->kvm->arch.active_mmu_pages.next;
}

/* A page's parents, where it has any. False: this hold is over. */
static bool put_parents(struct mmuscope_exact *x, u64 sp)
{
	const u64 head = header_member(x, MMUSCOPE_F_sp_parent_ptes);
	const struct ms_rec_rmap rec = { .kvm = (u64)x->kvm, .sp = sp, .level = header_level(x) + 1 };

	return !head || exact_put_list(x, &rec, head);
}

static int read_list(struct mmuscope_exact *x)
{
	const u64 head = (u64)&x->kvm->arch.active_mmu_pages;
	const u32 room = x->kind == MMUSCOPE_EXACT_PARENTS ? EXACT_LIST_BYTES : PAGE_RECORD_BYTES;
	struct exact_list *list = &x->list;
	bool first = true, on = true;
	u64 link, sp;

	for (link = find_place(x); link != head; link = header_member(x, MMUSCOPE_F_sp_link)) {
		if (list->again > AGAIN_MAX) {
			x->out_flags |= MMUSCOPE_EXACT_GAVE_UP;
			return 0;
		}
		sp = link - x->l->off[MMUSCOPE_F_sp_link];
		/* KVM counts its pages: a list with more of them leads back to itself. */
		if (x->nr_pages > 2 * x->kvm->arch.n_used_mmu_pages + 65536 || !look_at(x, sp, false)) {
			x->where = sp;
			return -EUCLEAN;
		}
		if (!first && (!on || !exact_has_room(x, room) || exact_is_late(x))) {
			list->next = page_name(x, sp);
			return 0;
		}
		first = false;
		if (x->kind == MMUSCOPE_EXACT_PARENTS)
			on = put_parents(x, sp);
		else if (!put_sp(x, sp))
			return -EUCLEAN;
		list->last[list->nr_last++ % EXACT_LAST] = page_name(x, sp);
		x->nr_pages++;
	}
	x->out_flags |= MMUSCOPE_EXACT_END;
	return 0;
}

int exact_read_list(struct mmuscope_exact *x)
{
	int err;

	exact_lock(x);
	err = read_list(x);
	exact_unlock(x);
	return err;
}

/* --- the TDP MMU's trees --- */

/* Frames below one entry of a table. */
static u64 entry_frames(u32 table_level)
{
	return 1ull << 9 * (table_level - 1);
}

struct place {
	u64 spt;
	u64 gfn; /* of its first entry */
	u32 level, idx;
};

/* A table, and the entry in it where the pages after the last one begin. */
static struct place place_at(const struct exact_tree *tree, u64 spt, u64 gfn, u32 level)
{
	struct place at = { .spt = spt, .gfn = gfn, .level = level };

	if (tree->gfn > gfn)
		at.idx = min_t(u64, (tree->gfn - gfn) / entry_frames(level), MS_SPTES);
	return at;
}

/* The page that an entry leads to, its header in x->header; 0: none, *err -EUCLEAN: what is there is none. */
static u64 child_of(struct mmuscope_exact *x, const struct place *at, int *err)
{
	u64 spte, sp, table;
	unsigned long pfn;

	if (copy_from_kernel_nofault(&spte, (void *)(at->spt + at->idx * sizeof(spte)), sizeof(spte))) {
		x->where = at->spt;
		*err = -EUCLEAN;
		return 0;
	}
	if (!(spte & SPTE_PRESENT) || spte & SPTE_HUGE)
		return 0;
	*err = -EUCLEAN;
	pfn = __sme_clr(spte & SPTE_ADDRESS) >> PAGE_SHIFT;
	x->where = spte;
	if (!pfn_valid(pfn))
		return 0;
	table = (u64)page_to_virt(pfn_to_page(pfn));
	sp = page_private(pfn_to_page(pfn));
	if (!look_at(x, sp, true))
		return 0;
	x->where = sp;
	if (header_member(x, MMUSCOPE_F_sp_spt) != table || header_level(x) + 1 != at->level)
		return 0;
	x->where = 0;
	*err = 0;
	return sp;
}

/* In the order in which trees are read. */
static bool is_after(const struct exact_tree *tree, u64 gfn, u32 level)
{
	return gfn > tree->gfn || (gfn == tree->gfn && level < tree->level);
}

/* What is left of the root's tree; *done: all. */
static int read_tree(struct mmuscope_exact *x, bool *first, bool *done)
{
	struct exact_tree *tree = &x->tree;
	struct place stack[ROOT_LEVEL_MAX];
	int depth = 0, err = 0;

	stack[0] = place_at(tree, header_member(x, MMUSCOPE_F_sp_spt), header_member(x, MMUSCOPE_F_sp_gfn),
			    header_level(x));
	while (depth >= 0) {
		struct place *at = &stack[depth];
		u64 sp, gfn;

		if (at->level == 1 || at->idx == MS_SPTES) {
			if (--depth >= 0)
				stack[depth].idx++;
			continue;
		}
		sp = child_of(x, at, &err);
		if (err)
			return err;
		if (!sp) {
			at->idx++;
			continue;
		}
		gfn = at->gfn + at->idx * entry_frames(at->level);
		if (is_after(tree, gfn, at->level - 1)) {
			if (!*first && (!exact_has_room(x, PAGE_RECORD_BYTES) || exact_is_late(x)))
				return 0;
			*first = false;
			if (!put_sp(x, sp))
				return -EUCLEAN;
			tree->gfn = gfn;
			tree->level = at->level - 1;
		}
		/* A table is a level below the last, of which there are ROOT_LEVEL_MAX. */
		stack[++depth] = place_at(tree, header_member(x, MMUSCOPE_F_sp_spt), gfn, at->level - 1);
	}
	*done = true;
	return 0;
}

static bool is_done(const struct exact_tree *tree, u64 root)
{
	u32 i;

	for (i = 0; i < tree->nr_done; i++)
		if (tree->done[i] == root)
			return true;
	return false;
}

/* The root that is being read, or the next one; 0: there is none. -EUCLEAN: the list leads to what is no root. */
static int find_root(struct mmuscope_exact *x, u64 *ret)
{
	const u64 head = (u64)&x->kvm->arch.tdp_mmu_roots;
	u64 link = (u64)x->kvm->arch.tdp_mmu_roots.next, next = 0;
	u32 steps;

	*ret = 0;
	/* The head of a VM without the TDP MMU is not made (its pointers are zero). */
	for (steps = 0; link && link != head; steps++, link = header_member(x, MMUSCOPE_F_sp_link)) {
		const u64 sp = link - x->l->off[MMUSCOPE_F_sp_link];

		if (steps > 4096 || !look_at(x, sp, true)) {
			x->where = sp;
			return -EUCLEAN;
		}
		if (sp == x->tree.root) {
			*ret = sp;
			return 0;
		}
		if (!next && !is_done(&x->tree, sp))
			next = sp;
	}
	if (x->tree.root) {
		/* It went, and its tree with it. */
		x->out_flags |= MMUSCOPE_EXACT_AGAIN;
		x->tree.root = 0;
	}
	*ret = next;
	return 0;
}

static int read_trees(struct mmuscope_exact *x)
{
	struct exact_tree *tree = &x->tree;
	bool first = true, done;
	u64 root;
	int err;

	for (;;) {
		err = find_root(x, &root);
		if (err)
			return err;
		if (!root) {
			x->out_flags |= MMUSCOPE_EXACT_END;
			return 0;
		}
		if (!look_at(x, root, true))
			return -EUCLEAN;
		if (!tree->root) {
			if (!first && (!exact_has_room(x, PAGE_RECORD_BYTES) || exact_is_late(x)))
				return 0;
			if (tree->nr_done == EXACT_ROOTS) {
				x->out_flags |= MMUSCOPE_EXACT_GAVE_UP;
				return 0;
			}
			first = false;
			if (!put_sp(x, root))
				return -EUCLEAN;
			tree->root = root;
			tree->gfn = header_member(x, MMUSCOPE_F_sp_gfn);
			tree->level = header_level(x);
			tree->done[tree->nr_done++] = root;
		}
		done = false;
		err = read_tree(x, &first, &done);
		if (err || !done)
			return err;
		tree->root = 0;
	}
}

int exact_read_trees(struct mmuscope_exact *x)
{
	int err;

	exact_lock(x);
	/* Tables that were taken out are given back after a grace period: none that is met is being freed. */
	rcu_read_lock();
	err = read_trees(x);
	rcu_read_unlock();
	exact_unlock(x);
	return err;
}
