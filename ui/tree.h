/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rows of a VM's tree: vCPUs, their MMUs, roots, and the shadow pages below. Only open branches have
 * rows, so a tree of any size costs what is seen of it. It draws nothing.
 *
 *   vcpu > mmu > root (current, previous) > page > page ...
 *   roots that no MMU names > root > page ...
 *   pages that no root reaches > page ...
 *
 * A node's id is made of what it is and of its parent's id, so it names the same thing after the next read.
 */
#ifndef UI_TREE_H
#define UI_TREE_H

#include "model/model.h"

enum ms_node_kind {
	MS_NODE_VCPU, /* index: in vm->vcpus */
	MS_NODE_MMU, /* index: in vm->mmus */
	MS_NODE_ROOT, /* index: in tree->roots; sp may be NULL */
	MS_NODE_GROUP, /* index: enum ms_node_group */
	MS_NODE_SP, /* index: the entry of the parent's table that points here; meaningless below a group */
};

enum ms_node_group {
	MS_GROUP_ROOTS, /* root pages that no MMU names */
	MS_GROUP_UNREACHED, /* pages that no root reaches */
};

#define MS_NODE_NO_PARENT UINT32_MAX

struct ms_node {
	u64 id; /* never 0 */
	const struct ms_sp *sp;
	u32 parent; /* row, MS_NODE_NO_PARENT at the top */
	u32 index;
	u8 kind; /* enum ms_node_kind */
	u8 depth; /* 0 at the top */
	bool can_open, open;
};

struct ms_tree {
	struct ms_node *nodes;
	size_t nr, cap;
	struct ms_root *roots; /* of the VM */
	size_t nr_roots;
	u8 *marks; /* a page each: how it is reached */
	size_t nr_unreached;
	struct ms_map open; /* id -> 1 open, 0 closed */
};

void ms_tree_deinit(struct ms_tree *tree);
/* Forget rows, keep what is open. */
void ms_tree_reset(struct ms_tree *tree);
/*
 * Take roots and reachability from a VM just read, and make the rows. An error leaves no rows. vm and model
 * must live until the next load or reset.
 */
struct ms_err *ms_tree_load(struct ms_tree *tree, const struct ms_model *model,
			    const struct ms_vm *vm) MS_MUST_CHECK;
/* Make the rows again after what is open changed. */
struct ms_err *ms_tree_rows(struct ms_tree *tree, const struct ms_model *model,
			    const struct ms_vm *vm) MS_MUST_CHECK;
/* Rows of everything, each page unfolded where it is met first; what is open stays as it is. For searches. */
struct ms_err *ms_tree_rows_all(struct ms_tree *tree, const struct ms_model *model,
				const struct ms_vm *vm) MS_MUST_CHECK;
struct ms_err *ms_tree_set_open(struct ms_tree *tree, u64 id, bool open) MS_MUST_CHECK;
/* Open a node and all below it, a page met again only once. Rows must be made again by the caller. */
struct ms_err *ms_tree_open_below(struct ms_tree *tree, const struct ms_model *model, const struct ms_vm *vm,
				  u64 id) MS_MUST_CHECK;
/* Open what shows most in a few rows. */
struct ms_err *ms_tree_open_default(struct ms_tree *tree, const struct ms_model *model,
				    const struct ms_vm *vm, size_t max_rows) MS_MUST_CHECK;
/* SIZE_MAX when there is no row of this id. */
size_t ms_tree_find(const struct ms_tree *tree, u64 id);

#endif
