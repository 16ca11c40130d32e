// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tree of one VM, drawn: roots and shadow pages with what each holds. Rows are made in tree.c; selection
 * is by node id.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/core.h"
#include "ui/tree.h"

#define PATH_MAX_IDS 20u

struct tree_view {
	struct ms_view view;
	struct ms_tree tree;
	struct ms_list list;
	u64 path[PATH_MAX_IDS]; /* ids from the selected node up to the top */
	u32 path_len;
	u64 sp; /* address of the selected page, 0 none */
	bool opened; /* the first rows were chosen */
	u32 indent; /* columns a level */
};

static struct tree_view *tree_of(struct ms_view *view)
{
	return (struct tree_view *)view;
}

static const struct ms_node *selected(const struct tree_view *t)
{
	return t->list.cursor < t->tree.nr ? &t->tree.nodes[t->list.cursor] : NULL;
}

/* ---- selection ---- */

static void path_note(struct tree_view *t)
{
	const struct ms_node *node = selected(t);

	t->path_len = 0;
	t->sp = node && node->sp ? node->sp->rec.sp : 0;
	while (node && t->path_len < PATH_MAX_IDS) {
		t->path[t->path_len++] = node->id;
		node = node->parent == MS_NODE_NO_PARENT ? NULL : &t->tree.nodes[node->parent];
	}
}

/* The same node; else the same page at another place; else what is left of the way to it. */
static void path_find(struct tree_view *t)
{
	size_t row = SIZE_MAX, i;

	if (t->path_len)
		row = ms_tree_find(&t->tree, t->path[0]);
	for (i = 0; row == SIZE_MAX && t->sp && i < t->tree.nr; i++)
		if (t->tree.nodes[i].sp && t->tree.nodes[i].sp->rec.sp == t->sp)
			row = i;
	for (i = 1; row == SIZE_MAX && i < t->path_len; i++)
		row = ms_tree_find(&t->tree, t->path[i]);
	ms_list_fit(&t->list, t->tree.nr, t->list.rows);
	if (row != SIZE_MAX)
		ms_list_go(&t->list, row);
}

static void tree_go(struct tree_view *t, size_t row)
{
	ms_list_go(&t->list, row);
	path_note(t);
}

static void tree_destroy(struct ms_view *view)
{
	struct tree_view *t = tree_of(view);

	ms_tree_deinit(&t->tree);
	free(t);
}

static struct ms_err *tree_reload(struct ms_ui *ui, struct ms_view *view)
{
	struct tree_view *t = tree_of(view);
	const struct ms_vm *vm = ms_ui_vm(ui);
	struct ms_err *err;

	if (!vm) {
		ms_tree_reset(&t->tree);
		return NULL;
	}
	err = ms_tree_load(&t->tree, ui->detail, vm);
	if (!err && !t->opened)
		err = ms_tree_open_default(&t->tree, ui->detail, vm, 40);
	t->opened = true;
	path_find(t);
	path_note(t);
	return err;
}

static struct ms_err *rows_again(struct ms_ui *ui, struct tree_view *t)
{
	struct ms_err *err = ms_tree_rows(&t->tree, ui->detail, ms_ui_vm(ui));

	path_find(t);
	path_note(t);
	return err;
}

static void tree_title(struct ms_ui *ui, struct ms_view *view, struct ms_buf *buf)
{
	const struct ms_vm *vm = ms_ui_vm(ui);

	if (vm)
		ms_ui_vm_words(vm, buf);
}

/* ---- what a row says ---- */

static bool is_ept(const struct ms_ui *ui)
{
	return ui->detail->profile.format == SPTE_FMT_EPT;
}

static void role_put(struct ms_ui *ui, u32 word, struct ms_buf *buf)
{
	char text[160];

	role_format(&ui->detail->roles, word, is_ept(ui), text, sizeof(text));
	ms_buf_puts(buf, text);
}

static const struct ms_vcpu *vcpu_of_mmu(const struct ms_vm *vm, u32 mmu_index)
{
	size_t i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (mmu_index - vm->vcpus[i].first_mmu < vm->vcpus[i].nr_mmus)
			return &vm->vcpus[i];
	return NULL;
}

static void label_vcpu(const struct ms_vcpu *vcpu, struct ms_buf *buf)
{
	ms_buf_printf(buf, "vcpu %d", vcpu->rec.vcpu_id);
	if (vcpu->rec.have & MS_VCPU_HAVE_GUEST_MODE)
		ms_buf_puts(buf, vcpu->rec.guest_mode ? "  runs L2" : "  runs L1");
	if (vcpu->rec.have & MS_VCPU_HAVE_SMM && vcpu->rec.smm)
		ms_buf_puts(buf, "  SMM");
	if (vcpu->rec.have & MS_VCPU_HAVE_CPU && vcpu->rec.cpu >= 0)
		ms_buf_printf(buf, "  cpu %d", vcpu->rec.cpu);
}

static void label_mmu(const struct ms_vm *vm, u32 index, struct ms_buf *buf)
{
	const struct ms_rec_mmu *mmu = &vm->mmus[index];
	const struct ms_vcpu *vcpu = vcpu_of_mmu(vm, index);

	ms_buf_printf(buf, "%s_mmu", ms_mmu_name(mmu->which));
	if (vcpu && vcpu->rec.have & MS_VCPU_HAVE_MMU && vcpu->rec.mmu == mmu->mmu)
		ms_buf_puts(buf, "  in use");
	else if (vcpu && vcpu->rec.have & MS_VCPU_HAVE_MMU && vcpu->rec.walk_mmu == mmu->mmu)
		ms_buf_puts(buf, "  walks the guest");
}

static void label_put(struct ms_ui *ui, struct tree_view *t, const struct ms_node *node, struct ms_buf *buf)
{
	const struct ms_vm *vm = ms_ui_vm(ui);
	const struct ms_root *root;
	size_t i, nr = 0;

	switch (node->kind) {
	case MS_NODE_VCPU:
		label_vcpu(&vm->vcpus[node->index], buf);
		return;
	case MS_NODE_MMU:
		label_mmu(vm, node->index, buf);
		return;
	case MS_NODE_GROUP:
		if (node->index == MS_GROUP_UNREACHED) {
			ms_buf_printf(buf, "not reached from a root (%zu)", t->tree.nr_unreached);
			return;
		}
		for (i = 0; i < t->tree.nr_roots; i++)
			nr += !t->tree.roots[i].mmu;
		ms_buf_printf(buf, "roots no MMU names (%zu)", nr);
		return;
	case MS_NODE_ROOT:
		root = &t->tree.roots[node->index];
		if (!root->mmu)
			ms_buf_puts(buf, "root ");
		else if (root->prev < 0)
			ms_buf_puts(buf, "current ");
		else
			ms_buf_printf(buf, "prev[%d] ", root->prev);
		if (!node->sp)
			ms_buf_printf(buf, "at 0x%llx, no page seen", (unsigned long long)root->hpa);
		break;
	default:
		if (t->tree.nodes[node->parent].kind != MS_NODE_GROUP)
			ms_buf_printf(buf, "%3u ", node->index);
	}
	if (node->sp)
		role_put(ui, node->sp->rec.role, buf);
}

/*
 * What is to be said of a page beside its counts: letters (explained by view_help.c) for the column, words
 * for searches.
 */
static void marks_put(struct ms_ui *ui, const struct ms_sp *sp, bool words, struct ms_buf *buf)
{
	const struct ms_vm *vm = ms_ui_vm(ui);
	const struct ms_rec_sp *rec = &sp->rec;
	const struct {
		bool holds;
		char letter;
		const char *word;
	} marks[] = {
		{ rec->state == MS_SP_TORN, 'T', "torn" },
		{ rec->state == MS_SP_UNLINKED, 'L', "unlinked" },
		{ rec->state == MS_SP_UNREADABLE, 'E', "unreadable" },
		{ sp->tables &&
			  (sp->counts.by_class[SPTE_CLASS_UNKNOWN] || sp->counts.by_wstate[SPTE_W_ILLEGAL]),
		  '!', "unknown" },
		{ rec->have & MS_SP_HAVE_UNSYNC && rec->unsync, 'U', "unsync" },
		{ rec->have & MS_SP_HAVE_UNSYNC_CHILDREN && rec->unsync_children, 'u', "children" },
		{ role_get(&ui->detail->roles, rec->role, ROLE_INVALID), 'I', "invalid" },
		{ rec->have & MS_SP_HAVE_GEN && vm->rec.have & MS_VM_HAVE_VALID_GEN &&
			  rec->mmu_valid_gen != vm->rec.mmu_valid_gen,
		  'O', "obsolete" },
		{ rec->have & MS_SP_HAVE_NX_DISALLOWED && rec->nx_disallowed, 'N', "nx" },
		{ ms_sp_nr_pinned(ui->detail, vm, sp), 'p', "pinned" },
		{ ms_sp_nr_flipped(ui->detail, vm, sp), 'f', "wp-flip" },
	};
	size_t i;

	for (i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		if (!marks[i].holds)
			continue;
		if (words)
			ms_buf_printf(buf, " %s", marks[i].word);
		else
			ms_buf_putc(buf, marks[i].letter);
	}
}

enum {
	COL_GFN,
	COL_PRESENT,
	COL_LEAF,
	COL_RW,
	COL_DL,
	COL_WP,
	COL_RO,
	COL_AT,
	COL_MMIO,
	COL_HUGE,
	COL_FROZEN,
	NR_COLS
};

static const struct {
	const char *title;
	u32 width;
	u32 since; /* shown from this width of the view on */
	u8 look; /* enum ms_look of a count that is not 0 */
} cols[NR_COLS] = {
	[COL_GFN] = { "GFN", 11, 0, MS_LOOK_NORMAL },	   [COL_PRESENT] = { "PRES", 4, 0, MS_LOOK_NORMAL },
	[COL_LEAF] = { "LEAF", 4, 50, MS_LOOK_NORMAL },	   [COL_RW] = { "RW", 3, 60, MS_LOOK_WRITABLE },
	[COL_DL] = { "DL", 3, 70, MS_LOOK_DIRTY_LOG },	   [COL_WP] = { "WP", 3, 70, MS_LOOK_PROTECTED },
	[COL_RO] = { "RO", 3, 70, MS_LOOK_READONLY },	   [COL_AT] = { "AT", 3, 104, MS_LOOK_TRACKED },
	[COL_MMIO] = { "MMIO", 4, 70, MS_LOOK_MMIO },	   [COL_HUGE] = { "HUGE", 4, 104, MS_LOOK_NORMAL },
	[COL_FROZEN] = { "FRZN", 4, 104, MS_LOOK_FROZEN },
};

static u32 count_of(const struct ms_sp *sp, u32 col)
{
	const struct ms_counts *c = &sp->counts;

	switch (col) {
	case COL_PRESENT:
		return c->by_class[SPTE_CLASS_TABLE] + c->by_class[SPTE_CLASS_LEAF];
	case COL_LEAF:
		return c->by_class[SPTE_CLASS_LEAF];
	case COL_RW:
		return c->by_wstate[SPTE_W_RW];
	case COL_DL:
		return c->by_wstate[SPTE_W_DL];
	case COL_WP:
		return c->by_wstate[SPTE_W_WP];
	case COL_RO:
		return c->by_wstate[SPTE_W_RO];
	case COL_AT:
		return c->by_wstate[SPTE_W_AT];
	case COL_MMIO:
		return c->by_class[SPTE_CLASS_MMIO];
	case COL_HUGE:
		return c->huge;
	default:
		return c->by_class[SPTE_CLASS_FROZEN];
	}
}

#define MARKS_WIDTH 4u

static u32 cols_width(u32 w)
{
	u32 total = MARKS_WIDTH + 1, c;

	for (c = 0; c < NR_COLS; c++)
		if (w >= cols[c].since)
			total += cols[c].width + 1;
	return total;
}

static void draw_counts(struct ms_ui *ui, struct ms_grid *grid, u32 y, u32 w, const struct ms_sp *sp)
{
	u32 x = w - cols_width(w), c;
	struct ms_buf marks = { 0 };
	char text[24];

	for (c = 0; c < NR_COLS; c++) {
		enum ms_look look = cols[c].look;
		u32 count = 0;

		if (w < cols[c].since)
			continue;
		if (c == COL_GFN) {
			snprintf(text, sizeof(text), "0x%llx", (unsigned long long)sp->rec.gfn);
		} else if (!sp->tables) {
			look = MS_LOOK_DIM;
			snprintf(text, sizeof(text), "-");
		} else {
			count = count_of(sp, c);
			look = count ? look : MS_LOOK_EMPTY;
			snprintf(text, sizeof(text), count ? "%u" : ".", count);
		}
		ms_grid_put_right(grid, y, x, cols[c].width, look, text);
		x += cols[c].width + 1;
	}
	marks_put(ui, sp, false, &marks);
	ms_grid_put(grid, y, x, MARKS_WIDTH, MS_LOOK_TORN, ms_buf_str(&marks));
	ms_buf_deinit(&marks);
}

static void draw_titles(struct ms_grid *grid, u32 y, u32 w)
{
	u32 x = w - cols_width(w), c;

	ms_grid_put(grid, y, 2, x > 3 ? x - 3 : 0, MS_LOOK_HEADER, "ROOTS AND PAGES");
	for (c = 0; c < NR_COLS; c++) {
		if (w < cols[c].since)
			continue;
		ms_grid_put_right(grid, y, x, cols[c].width, MS_LOOK_HEADER, cols[c].title);
		x += cols[c].width + 1;
	}
	ms_grid_put(grid, y, x, MARKS_WIDTH, MS_LOOK_HEADER, "MARK");
}

static void draw_node(struct ms_ui *ui, struct tree_view *t, struct ms_grid *grid, u32 y, u32 w,
		      const struct ms_node *node)
{
	bool page = node->kind == MS_NODE_SP || node->kind == MS_NODE_ROOT;
	u32 x = node->depth * t->indent, end = w - (page ? cols_width(w) : 0);
	struct ms_buf label = { 0 };

	if (node->can_open && x < end)
		ms_grid_glyph(grid, y, x, MS_LOOK_KEY, node->open ? MS_GLYPH_OPEN : MS_GLYPH_CLOSED);
	label_put(ui, t, node, &label);
	if (x + 2 < end)
		ms_grid_put(grid, y, x + 2, end - x - 2, page ? MS_LOOK_NORMAL : MS_LOOK_LABEL,
			    ms_buf_str(&label));
	if (node->sp)
		draw_counts(ui, grid, y, w, node->sp);
	ms_buf_deinit(&label);
}

/* ---- the lines under the tree: the selected node in words ---- */

static void detail_page(struct ms_ui *ui, const struct ms_sp *sp, struct ms_buf *one, struct ms_buf *two)
{
	const struct ms_rec_sp *rec = &sp->rec;
	u32 pinned;

	ms_buf_printf(one, "sp 0x%llx  table 0x%llx000  role 0x%x ", (unsigned long long)rec->sp,
		      (unsigned long long)rec->spt_pfn, rec->role);
	role_put(ui, rec->role, one);
	ms_buf_printf(two, "%s, %s", rec->tdp_mmu_page ? "TDP MMU" : "legacy MMU",
		      ms_sp_state_name(rec->state));
	if (rec->have & MS_SP_HAVE_UNSYNC && rec->unsync)
		ms_buf_puts(two, ", unsync");
	if (rec->have & MS_SP_HAVE_UNSYNC_CHILDREN && rec->unsync_children)
		ms_buf_printf(two, ", %u unsync %s", rec->unsync_children,
			      rec->unsync_children == 1 ? "child" : "children");
	pinned = ms_sp_nr_pinned(ui->detail, ms_ui_vm(ui), sp);
	if (pinned)
		ms_buf_printf(two, ", %u pinned %s", pinned, pinned == 1 ? "leaf" : "leaves");
	if (rec->have & MS_SP_HAVE_ROOT_COUNT)
		ms_buf_printf(two, ", root count %u", rec->root_count);
	if (rec->have & MS_SP_HAVE_PARENTS && rec->parents)
		ms_buf_printf(two, ", parents 0x%llx", (unsigned long long)rec->parents);
	if (rec->have & MS_SP_HAVE_GEN)
		ms_buf_printf(two, ", generation %u", rec->mmu_valid_gen);
}

static void detail_put(struct ms_ui *ui, struct tree_view *t, const struct ms_node *node, struct ms_buf *one,
		       struct ms_buf *two)
{
	const struct ms_vm *vm = ms_ui_vm(ui);
	const struct ms_rec_vcpu *vcpu;
	const struct ms_rec_mmu *mmu;

	if (node->kind == MS_NODE_VCPU) {
		vcpu = &vm->vcpus[node->index].rec;
		ms_buf_printf(one, "vcpu 0x%llx", (unsigned long long)vcpu->vcpu);
		if (vcpu->have & MS_VCPU_HAVE_HFLAGS)
			ms_buf_printf(one, "  hflags 0x%x", vcpu->hflags);
		if (vcpu->have & MS_VCPU_HAVE_CR3)
			ms_buf_printf(two, "cr0 0x%llx  cr3 0x%llx  cr4 0x%llx  efer 0x%llx",
				      (unsigned long long)vcpu->cr0, (unsigned long long)vcpu->cr3,
				      (unsigned long long)vcpu->cr4, (unsigned long long)vcpu->efer);
	} else if (node->kind == MS_NODE_MMU) {
		mmu = &vm->mmus[node->index];
		if (mmu->have & MS_MMU_HAVE_CPU_ROLE) {
			ms_buf_printf(one, "cpu role 0x%llx ", (unsigned long long)mmu->cpu_role);
			role_put(ui, (u32)mmu->cpu_role, one);
		}
		if (mmu->which == MS_MMU_NESTED) {
			ms_buf_puts(two, "walks L2's own tables; owns no shadow pages");
		} else if (mmu->have & MS_MMU_HAVE_ROOT_ROLE) {
			ms_buf_printf(two, "root role 0x%x ", mmu->root_role);
			role_put(ui, mmu->root_role, two);
		}
	} else if (node->kind == MS_NODE_GROUP) {
		ms_buf_puts(one, node->index == MS_GROUP_ROOTS
					 ? "kept alive by a walk, a zap or a stale reference"
					 : "zapped, obsolete, new, or below a root that is no shadow page");
	} else if (node->sp) {
		detail_page(ui, node->sp, one, two);
	}
	if (node->kind == MS_NODE_ROOT)
		ms_buf_printf(two, "%spgd 0x%llx", two->len ? ", " : "",
			      (unsigned long long)t->tree.roots[node->index].pgd);
}

static void tree_draw(struct ms_ui *ui, struct ms_view *view, struct ms_grid *grid, struct ms_rect r)
{
	struct tree_view *t = tree_of(view);
	u32 lines = r.h >= 10 ? 3 : 1, i;
	struct ms_buf one = { 0 }, two = { 0 };
	const struct ms_node *node;

	t->indent = r.w >= 60 ? 2 : 1;
	ms_list_fit(&t->list, t->tree.nr, r.h - 1 - (lines > 1 ? lines : 0));
	draw_titles(grid, r.y, r.w);
	if (!t->tree.nr)
		ms_grid_put(grid, r.y + 1, 3, r.w - 3, MS_LOOK_DIM,
			    "This VM has neither vCPUs nor shadow pages.");
	for (i = 0; i < t->list.rows && t->list.top + i < t->tree.nr; i++) {
		draw_node(ui, t, grid, r.y + 1 + i, r.w, &t->tree.nodes[t->list.top + i]);
		if (t->list.top + i == t->list.cursor)
			ms_grid_flag(grid, r.y + 1 + i, r.x, r.w, MS_CELL_SELECTED);
	}
	node = selected(t);
	if (lines > 1) {
		if (node)
			detail_put(ui, t, node, &one, &two);
		ms_grid_hline(grid, r.y + r.h - 3, r.x, r.w, MS_LOOK_DIM);
		ms_grid_put(grid, r.y + r.h - 2, 1, r.w - 1, MS_LOOK_NORMAL, ms_buf_str(&one));
		ms_grid_put(grid, r.y + r.h - 1, 1, r.w - 1, MS_LOOK_NORMAL, ms_buf_str(&two));
	}
	ms_buf_deinit(&one);
	ms_buf_deinit(&two);
}

/* ---- requests ---- */

static void open_set(struct ms_ui *ui, struct tree_view *t, const struct ms_node *node, bool open)
{
	struct ms_err *err = ms_tree_set_open(&t->tree, node->id, open);

	ms_ui_error(ui, err ? err : rows_again(ui, t));
}

static void page_open(struct ms_ui *ui, struct tree_view *t, const struct ms_node *node)
{
	struct ms_step steps[MS_MAX_STEPS];
	const struct ms_node *at = node;
	size_t nr = 0, i;

	/* From the page up to its root, then turned round. */
	while (at->kind == MS_NODE_SP && at->parent != MS_NODE_NO_PARENT && nr < MS_MAX_STEPS) {
		const struct ms_node *up = &t->tree.nodes[at->parent];

		if (!up->sp)
			break;
		steps[nr++] = (struct ms_step){ .sp = up->sp->rec.sp, .idx = at->index };
		at = up;
	}
	for (i = 0; i < nr / 2; i++) {
		struct ms_step step = steps[i];

		steps[i] = steps[nr - 1 - i];
		steps[nr - 1 - i] = step;
	}
	ms_ui_error(ui, ms_view_sp_open(ui, node->sp->rec.sp, steps, nr, at->kind == MS_NODE_ROOT));
}

static void go_left(struct ms_ui *ui, struct tree_view *t, const struct ms_node *node)
{
	if (node->can_open && node->open)
		open_set(ui, t, node, false);
	else if (node->parent != MS_NODE_NO_PARENT)
		tree_go(t, node->parent);
}

static void expand_all(struct ms_ui *ui, struct tree_view *t, const struct ms_node *node)
{
	struct ms_err *err;

	if (!node->can_open)
		return;
	if (node->open) {
		open_set(ui, t, node, false);
		return;
	}
	err = ms_tree_open_below(&t->tree, ui->detail, ms_ui_vm(ui), node->id);
	if (err)
		ms_err_free(rows_again(ui, t));
	else
		err = rows_again(ui, t);
	ms_ui_error(ui, err);
}

static bool tree_request(struct ms_ui *ui, struct ms_view *view, enum ms_request request)
{
	struct tree_view *t = tree_of(view);
	const struct ms_node *node = selected(t);

	if (ms_list_request(&t->list, request)) {
		path_note(t);
		return true;
	}
	if (!node)
		return false;
	switch (request) {
	case MS_REQ_OPEN:
		if (node->sp)
			page_open(ui, t, node);
		else if (node->can_open)
			open_set(ui, t, node, !node->open);
		return true;
	case MS_REQ_RIGHT:
		if (node->can_open && !node->open)
			open_set(ui, t, node, true);
		else if (node->open)
			tree_go(t, t->list.cursor + 1);
		return true;
	case MS_REQ_LEFT:
		go_left(ui, t, node);
		return true;
	case MS_REQ_EXPAND_ALL:
		expand_all(ui, t, node);
		return true;
	default:
		return false;
	}
}

static bool node_has(struct ms_ui *ui, struct tree_view *t, const struct ms_node *node, const char *needle,
		     struct ms_buf *buf)
{
	ms_buf_reset(buf);
	label_put(ui, t, node, buf);
	if (node->sp) {
		ms_buf_printf(buf, " gfn 0x%llx sp 0x%llx 0x%x", (unsigned long long)node->sp->rec.gfn,
			      (unsigned long long)node->sp->rec.sp, node->sp->rec.role);
		marks_put(ui, node->sp, true, buf);
	}
	return ms_text_has(ms_buf_str(buf), needle);
}

/* Searches what is closed, too: the way to the match is then opened. */
static bool tree_search(struct ms_ui *ui, struct ms_view *view, const char *needle, int dir)
{
	struct tree_view *t = tree_of(view);
	u64 from = t->path_len ? t->path[0] : 0;
	struct ms_buf buf = { 0 };
	size_t start, i, nr, row = 0;
	struct ms_err *err;
	bool found = false;

	err = ms_tree_rows_all(&t->tree, ui->detail, ms_ui_vm(ui));
	if (err)
		goto out;
	nr = t->tree.nr;
	start = ms_tree_find(&t->tree, from);
	/* A page that is unfolded elsewhere in this list: go on from where it is. */
	for (i = 0; start == SIZE_MAX && t->sp && i < nr; i++)
		if (t->tree.nodes[i].sp && t->tree.nodes[i].sp->rec.sp == t->sp)
			start = i;
	start = start == SIZE_MAX ? 0 : start;
	for (i = 1; i <= nr && !found; i++) {
		row = (start + (dir > 0 ? i : nr - i)) % nr;
		found = node_has(ui, t, &t->tree.nodes[row], needle, &buf);
	}
	if (found) {
		ms_list_fit(&t->list, nr, t->list.rows);
		tree_go(t, row);
		for (i = 1; i < t->path_len && !err; i++)
			err = ms_tree_set_open(&t->tree, t->path[i], true);
	}
out:
	ms_buf_deinit(&buf);
	found |= err != NULL; /* the error is what is said then */
	if (err)
		ms_err_free(rows_again(ui, t));
	else
		err = rows_again(ui, t);
	ms_ui_error(ui, err);
	return found;
}

static bool tree_click(struct ms_ui *ui, struct ms_view *view, u32 y, u32 x)
{
	struct tree_view *t = tree_of(view);
	const struct ms_node *node;
	u32 mark;

	if (!y || y > t->list.rows || t->list.top + y - 1 >= t->tree.nr)
		return false;
	tree_go(t, t->list.top + y - 1);
	node = selected(t);
	mark = node->depth * t->indent;
	if (node->can_open && x >= mark && x <= mark + 1) {
		open_set(ui, t, node, !node->open);
		return false;
	}
	return true;
}

static const struct ms_view_ops tree_ops = {
	.context = MS_CTX_TREE,
	.of_vm = true,
	.destroy = tree_destroy,
	.reload = tree_reload,
	.title = tree_title,
	.draw = tree_draw,
	.request = tree_request,
	.search = tree_search,
	.click = tree_click,
	.hints = { MS_REQ_OPEN, MS_REQ_EXPAND_ALL, MS_REQ_SEARCH, MS_REQ_REFRESH, MS_REQ_COMMAND, MS_REQ_HELP,
		   MS_REQ_BACK },
};

struct ms_err *ms_view_tree_open(struct ms_ui *ui)
{
	struct tree_view *t = calloc(1, sizeof(*t));

	if (!t)
		return ms_err_nomem();
	t->view.ops = &tree_ops;
	return ms_ui_push(ui, &t->view);
}
