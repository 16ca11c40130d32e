// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of a VM's tree: see tree.h. */
#include "ui/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum {
	REACHED = 1 << 0, /* from a root */
	HAS_PARENT = 1 << 1, /* not reached, and another page that is not reached points to it */
	LISTED = 1 << 2, /* in the group of pages not reached, or below one that is */
	UNFOLDED = 1 << 3, /* in this making of the rows */
};

/* Levels are at most 5; a torn table can name anything, its own ancestors too. */
#define MAX_DEPTH 16u

struct maker {
	struct ms_tree *tree;
	const struct ms_model *model;
	const struct ms_vm *vm;
	u64 below; /* unfold everything below this id; 0: nothing */
	bool all; /* unfold everything */
	bool record; /* and remember it as open */
	struct ms_err *err;
};

static u64 id_of(u64 parent, u32 kind, u64 what, u64 where)
{
	const u64 words[] = { parent, kind, what, where };
	u64 h = 0xcbf29ce484222325u;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return h | 1;
}

void ms_tree_reset(struct ms_tree *tree)
{
	free(tree->roots);
	free(tree->marks);
	tree->roots = NULL;
	tree->marks = NULL;
	tree->nr_roots = 0;
	tree->nr_unreached = 0;
	tree->nr = 0;
}

void ms_tree_deinit(struct ms_tree *tree)
{
	ms_tree_reset(tree);
	free(tree->nodes);
	ms_map_deinit(&tree->open);
	memset(tree, 0, sizeof(*tree));
}

struct ms_err *ms_tree_set_open(struct ms_tree *tree, u64 id, bool open)
{
	return ms_map_put(&tree->open, id, open) ? NULL : ms_err_nomem();
}

size_t ms_tree_find(const struct ms_tree *tree, u64 id)
{
	size_t i;

	for (i = 0; i < tree->nr; i++)
		if (tree->nodes[i].id == id)
			return i;
	return SIZE_MAX;
}

/* ---- which pages are reached ---- */

static bool has_children(const struct ms_sp *sp)
{
	return sp && sp->tables && sp->counts.by_class[SPTE_CLASS_TABLE];
}

/* Marks sp and all below it. Each page is entered once, so the work is bounded by the pages there are. */
static struct ms_err *mark_below(struct maker *m, const struct ms_sp *sp, u8 mark)
{
	u8 *marks = m->tree->marks;
	const struct ms_sp **stack = NULL;
	size_t nr = 0, cap = 0;
	u32 i;

	if (!sp || marks[sp->index] & mark)
		return NULL;
	marks[sp->index] |= mark;
	do {
		for (i = 0; has_children(sp) && i < MS_SPTES; i++) {
			const struct ms_sp *child = ms_sp_child(m->model, m->vm, sp, i);
			const struct ms_sp **grown;

			if (!child || marks[child->index] & mark)
				continue;
			marks[child->index] |= mark;
			grown = ms_grow(stack, &cap, nr + 1, sizeof(*stack));
			if (!grown) {
				free(stack);
				return ms_err_nomem();
			}
			stack = grown;
			stack[nr++] = child;
		}
		sp = nr ? stack[--nr] : NULL;
	} while (sp);
	free(stack);
	return NULL;
}

static struct ms_err *mark_pages(struct maker *m)
{
	struct ms_tree *tree = m->tree;
	const struct ms_vm *vm = m->vm;
	u8 *marks = tree->marks;
	struct ms_err *err = NULL;
	size_t i;
	u32 e;

	for (i = 0; i < tree->nr_roots && !err; i++)
		err = mark_below(m, tree->roots[i].sp, REACHED);
	for (i = 0; i < vm->nr_sps; i++) {
		const struct ms_sp *child;

		if (marks[i] & REACHED)
			continue;
		tree->nr_unreached++;
		for (e = 0; has_children(&vm->sps[i]) && e < MS_SPTES; e++) {
			child = ms_sp_child(m->model, vm, &vm->sps[i], e);
			if (child && child->index != i)
				marks[child->index] |= HAS_PARENT;
		}
	}
	return err;
}

/* ---- making rows ---- */

static bool should_open(struct maker *m, u64 id, const struct ms_sp *sp, bool below)
{
	u8 *mark = sp ? &m->tree->marks[sp->index] : NULL;

	if (!m->all && !below && id != m->below)
		return ms_map_get(&m->tree->open, id) == 1;
	if (mark && *mark & UNFOLDED)
		return false;
	if (mark)
		*mark |= UNFOLDED;
	if (m->record && !ms_map_put(&m->tree->open, id, 1))
		m->err = ms_err_nomem();
	return true;
}

/* Returns the row, or MS_NODE_NO_PARENT when memory is out. */
static u32 emit(struct maker *m, const struct ms_node *node)
{
	struct ms_tree *tree = m->tree;
	struct ms_node *grown;

	if (m->err || tree->nr >= UINT32_MAX - 1)
		return MS_NODE_NO_PARENT;
	grown = ms_grow(tree->nodes, &tree->cap, tree->nr + 1, sizeof(*grown));
	if (!grown) {
		m->err = ms_err_nomem();
		return MS_NODE_NO_PARENT;
	}
	tree->nodes = grown;
	grown[tree->nr] = *node;
	return (u32)tree->nr++;
}

static bool on_path(const struct ms_tree *tree, u32 row, const struct ms_sp *sp)
{
	for (; row != MS_NODE_NO_PARENT; row = tree->nodes[row].parent)
		if (tree->nodes[row].sp == sp)
			return true;
	return false;
}

static void emit_sp(struct maker *m, u32 parent, enum ms_node_kind kind, u64 what, u32 index,
		    const struct ms_sp *sp, bool below)
{
	const struct ms_node *up = &m->tree->nodes[parent];
	struct ms_node node = {
		.id = id_of(up->id, kind, sp ? sp->rec.sp : 0, what),
		.sp = sp,
		.parent = parent,
		.index = index,
		.kind = (u8)kind,
		.depth = (u8)(up->depth + 1),
	};
	const struct ms_sp *child;
	u32 row, i;

	node.can_open = has_children(sp) && node.depth < MAX_DEPTH && !on_path(m->tree, parent, sp);
	below |= up->id == m->below;
	node.open = node.can_open && should_open(m, node.id, sp, below);
	row = emit(m, &node);
	if (row == MS_NODE_NO_PARENT || !node.open)
		return;
	for (i = 0; i < MS_SPTES && !m->err; i++) {
		child = ms_sp_child(m->model, m->vm, sp, i);
		if (child)
			emit_sp(m, row, MS_NODE_SP, i, i, child, below || node.id == m->below);
	}
}

static void emit_roots(struct maker *m, u32 parent, const struct ms_rec_mmu *mmu, bool below)
{
	struct ms_tree *tree = m->tree;
	size_t i;

	for (i = 0; i < tree->nr_roots && !m->err; i++) {
		const struct ms_root *root = &tree->roots[i];

		if (root->mmu == mmu)
			emit_sp(m, parent, MS_NODE_ROOT, root->hpa ^ (u64)(root->prev + 1) << 56, (u32)i,
				root->sp, below);
	}
}

static bool mmu_has_roots(const struct ms_tree *tree, const struct ms_rec_mmu *mmu)
{
	size_t i;

	for (i = 0; i < tree->nr_roots; i++)
		if (tree->roots[i].mmu == mmu)
			return true;
	return false;
}

static void emit_vcpu(struct maker *m, u32 index)
{
	const struct ms_vcpu *vcpu = &m->vm->vcpus[index];
	struct ms_node node = {
		.id = id_of(0, MS_NODE_VCPU, vcpu->rec.vcpu, 0),
		.parent = MS_NODE_NO_PARENT,
		.index = index,
		.kind = MS_NODE_VCPU,
		.can_open = vcpu->nr_mmus,
	};
	bool below;
	u32 row, i;

	node.open = node.can_open && should_open(m, node.id, NULL, false);
	below = node.id == m->below;
	row = emit(m, &node);
	for (i = 0; node.open && i < vcpu->nr_mmus && !m->err; i++) {
		const struct ms_rec_mmu *mmu = &m->vm->mmus[vcpu->first_mmu + i];
		struct ms_node sub = {
			.id = id_of(node.id, MS_NODE_MMU, mmu->which, 0),
			.parent = row,
			.index = vcpu->first_mmu + i,
			.kind = MS_NODE_MMU,
			.depth = 1,
			.can_open = mmu_has_roots(m->tree, mmu),
		};
		u32 at;

		sub.open = sub.can_open && should_open(m, sub.id, NULL, below);
		at = emit(m, &sub);
		if (sub.open && at != MS_NODE_NO_PARENT)
			emit_roots(m, at, mmu, below || sub.id == m->below);
	}
}

static u32 emit_group(struct maker *m, enum ms_node_group group, bool *open_ret)
{
	struct ms_node node = {
		.id = id_of(0, MS_NODE_GROUP, group, 0),
		.parent = MS_NODE_NO_PARENT,
		.index = group,
		.kind = MS_NODE_GROUP,
		.can_open = true,
	};

	node.open = should_open(m, node.id, NULL, false);
	*open_ret = node.open;
	return emit(m, &node);
}

/* Tops first; what is then left over lies on a circle and is listed flat. */
static void emit_unreached(struct maker *m, u32 row, bool below)
{
	const struct ms_vm *vm = m->vm;
	u8 *marks = m->tree->marks;
	struct ms_err *err = NULL;
	size_t i;

	for (i = 0; i < vm->nr_sps; i++)
		marks[i] &= (u8)~LISTED;
	for (i = 0; i < vm->nr_sps && !m->err; i++) {
		if (marks[i] & (REACHED | HAS_PARENT))
			continue;
		emit_sp(m, row, MS_NODE_SP, 0, 0, &vm->sps[i], below);
		if (!err)
			err = mark_below(m, &vm->sps[i], LISTED);
	}
	for (i = 0; i < vm->nr_sps && !m->err; i++)
		if (!(marks[i] & (REACHED | LISTED)))
			emit_sp(m, row, MS_NODE_SP, 0, 0, &vm->sps[i], below);
	if (err && !m->err)
		m->err = err;
	else
		ms_err_free(err);
}

static struct ms_err *make(struct maker *m)
{
	struct ms_tree *tree = m->tree;
	bool open;
	size_t i;
	u32 row;

	tree->nr = 0;
	for (i = 0; i < m->vm->nr_sps; i++)
		tree->marks[i] &= (u8)~UNFOLDED;
	for (i = 0; i < m->vm->nr_vcpus && !m->err; i++)
		emit_vcpu(m, (u32)i);
	if (!m->err && mmu_has_roots(tree, NULL)) {
		row = emit_group(m, MS_GROUP_ROOTS, &open);
		if (open && row != MS_NODE_NO_PARENT)
			emit_roots(m, row, NULL, false);
	}
	if (!m->err && tree->nr_unreached) {
		row = emit_group(m, MS_GROUP_UNREACHED, &open);
		if (open && row != MS_NODE_NO_PARENT)
			emit_unreached(m, row, false);
	}
	if (m->err)
		tree->nr = 0;
	return m->err;
}

struct ms_err *ms_tree_rows(struct ms_tree *tree, const struct ms_model *model, const struct ms_vm *vm)
{
	struct maker m = { .tree = tree, .model = model, .vm = vm };

	return make(&m);
}

struct ms_err *ms_tree_rows_all(struct ms_tree *tree, const struct ms_model *model, const struct ms_vm *vm)
{
	struct maker m = { .tree = tree, .model = model, .vm = vm, .all = true };

	return make(&m);
}

struct ms_err *ms_tree_open_below(struct ms_tree *tree, const struct ms_model *model, const struct ms_vm *vm,
				  u64 id)
{
	struct maker m = { .tree = tree, .model = model, .vm = vm, .below = id, .record = true };

	return make(&m);
}

struct ms_err *ms_tree_load(struct ms_tree *tree, const struct ms_model *model, const struct ms_vm *vm)
{
	struct maker m = { .tree = tree, .model = model, .vm = vm };
	struct ms_err *err;

	ms_tree_reset(tree);
	tree->marks = calloc(vm->nr_sps + 1, 1);
	if (!tree->marks)
		return ms_err_nomem();
	err = ms_vm_roots(model, vm, &tree->roots, &tree->nr_roots);
	if (!err)
		err = mark_pages(&m);
	if (!err)
		err = make(&m);
	if (err)
		ms_tree_reset(tree);
	return err;
}

static u32 nr_children(const struct ms_sp *sp)
{
	return sp && sp->tables ? sp->counts.by_class[SPTE_CLASS_TABLE] : 0;
}

struct ms_err *ms_tree_open_default(struct ms_tree *tree, const struct ms_model *model,
				    const struct ms_vm *vm, size_t max_rows)
{
	struct ms_err *err = NULL;
	size_t i;

	/* Rows grow as nodes are opened, and those that appear are looked at in turn. */
	for (i = 0; i < tree->nr && !err; i++) {
		const struct ms_node *node = &tree->nodes[i];
		bool open = node->can_open;

		if (node->kind == MS_NODE_VCPU)
			open &= !node->index || vm->nr_vcpus <= 2;
		else if (node->kind == MS_NODE_ROOT)
			open &= tree->roots[node->index].prev < 0 &&
				tree->nr + nr_children(node->sp) <= max_rows;
		else if (node->kind == MS_NODE_SP)
			open &= nr_children(node->sp) <= 8 && tree->nr + nr_children(node->sp) <= max_rows;
		else if (node->kind == MS_NODE_GROUP)
			open = false;
		if (!open)
			continue;
		err = ms_tree_set_open(tree, node->id, true);
		if (!err)
			err = ms_tree_rows(tree, model, vm);
	}
	return err;
}
