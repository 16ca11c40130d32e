// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One shadow page: its entries as a table, as a map of 512 letters, and the selected one decoded. One cursor
 * for all three. What an entry says is src/spte's answer; the decoded pane is in view_entry.c.
 *
 *   page and role
 *   map, 64 letters a row        counts
 *   table                      | decoded entry
 *
 * Where there is no room for all three, the focused pane has the screen.
 */
#include "ui/view_sp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/flip.h"

enum sp_pane { PANE_TABLE, PANE_MAP, PANE_ENTRY, NR_PANES };

enum sp_filter { SHOW_ALL, SHOW_USED, SHOW_LEAVES, NR_FILTERS };

static const char *const filter_names[NR_FILTERS] = { "all entries", "entries not empty", "leaves" };

struct sp_step {
	u64 sp;
	u64 base; /* address that entry 0 of that page translates */
	u32 idx;
};

struct sp_view {
	struct ms_view view;
	u64 sp; /* the page shown */
	u64 base; /* address that its entry 0 translates; an offset when !rooted */
	bool rooted; /* the steps begin at a root, so addresses are whole */
	struct sp_step steps[MS_MAX_STEPS];
	size_t nr_steps;
	enum sp_pane pane;
	enum sp_filter filter;
	u32 idx; /* selected entry */
	u16 rows[MS_SPTES]; /* entries that pass the filter */
	struct ms_list list; /* of rows; its cursor is at or behind idx */
	u32 entry_top; /* lines of the decoded pane scrolled away */
	struct ms_rect map, table;
	u32 map_cols, map_top;
};

static struct sp_view *sp_of(struct ms_view *view)
{
	return (struct sp_view *)view;
}

static const struct ms_sp *page_of(struct ms_ui *ui, const struct sp_view *v)
{
	const struct ms_vm *vm = ms_ui_vm(ui);

	return vm ? ms_vm_sp(vm, v->sp) : NULL;
}

/* The page when its table is there. */
static const struct ms_sp *page_read(struct ms_ui *ui, const struct sp_view *v)
{
	const struct ms_sp *sp = page_of(ui, v);

	return sp && sp->tables ? sp : NULL;
}

enum ms_look ms_look_of_entry(const struct spte_info *info)
{
	static const enum ms_look leaves[] = {
		[SPTE_W_NONE] = MS_LOOK_ERROR,	  [SPTE_W_RW] = MS_LOOK_WRITABLE,
		[SPTE_W_DL] = MS_LOOK_DIRTY_LOG,  [SPTE_W_WP] = MS_LOOK_PROTECTED,
		[SPTE_W_RO] = MS_LOOK_READONLY,	  [SPTE_W_AT] = MS_LOOK_TRACKED,
		[SPTE_W_ILLEGAL] = MS_LOOK_ERROR,
	};

	switch (info->cls) {
	case SPTE_CLASS_NONPRESENT:
		return MS_LOOK_EMPTY;
	case SPTE_CLASS_MMIO:
		return MS_LOOK_MMIO;
	case SPTE_CLASS_FROZEN:
		return MS_LOOK_FROZEN;
	case SPTE_CLASS_TABLE:
		return MS_LOOK_TABLE;
	case SPTE_CLASS_LEAF:
		return (unsigned int)info->wstate <= SPTE_W_ILLEGAL ? leaves[info->wstate] : MS_LOOK_ERROR;
	case SPTE_CLASS_UNKNOWN:
		break;
	}
	return MS_LOOK_ERROR;
}

static void entry_decode(struct ms_ui *ui, const struct ms_sp *sp, u32 idx, struct spte_info *info)
{
	/* A refusal is an answer, too: class UNKNOWN, with the bits that are in the way. */
	(void)spte_decode(&ui->detail->profile, sp->tables->sptes[idx], sp->level, info);
}

const char *ms_entry_state(const struct spte_info *info)
{
	if (info->cls == SPTE_CLASS_LEAF)
		return spte_wstate_name(info->wstate);
	return spte_class_name(info->cls);
}

static u64 span_of(u32 level)
{
	return ms_level_pages(level) << SPTE_PAGE_SHIFT;
}

/* ---- rows and the cursor ---- */

static bool passes(struct ms_ui *ui, const struct sp_view *v, const struct ms_sp *sp, u32 idx)
{
	enum spte_class cls;

	if (v->filter == SHOW_ALL)
		return true;
	cls = spte_class(&ui->detail->profile, sp->tables->sptes[idx], sp->level);
	return v->filter == SHOW_USED ? cls != SPTE_CLASS_NONPRESENT : cls == SPTE_CLASS_LEAF;
}

static void cursor_sync(struct sp_view *v)
{
	size_t row = 0;

	while (row + 1 < v->list.nr && v->rows[row] < v->idx)
		row++;
	ms_list_go(&v->list, row);
}

static void rows_make(struct ms_ui *ui, struct sp_view *v)
{
	const struct ms_sp *sp = page_read(ui, v);
	size_t nr = 0;
	u32 i;

	for (i = 0; sp && i < MS_SPTES; i++)
		if (passes(ui, v, sp, i))
			v->rows[nr++] = (u16)i;
	ms_list_fit(&v->list, nr, v->list.rows);
	cursor_sync(v);
}

static void idx_go(struct sp_view *v, u32 idx)
{
	v->idx = idx < MS_SPTES ? idx : MS_SPTES - 1;
	v->entry_top = 0;
	cursor_sync(v);
}

/* The first entry in use says more than an empty one. */
static u32 first_used(struct ms_ui *ui, const struct ms_sp *sp)
{
	u32 i;

	for (i = 0; sp && sp->tables && i < MS_SPTES; i++)
		if (spte_class(&ui->detail->profile, sp->tables->sptes[i], sp->level) !=
		    SPTE_CLASS_NONPRESENT)
			return i;
	return 0;
}

static void sp_destroy(struct ms_view *view)
{
	free(view);
}

static struct ms_err *sp_reload(struct ms_ui *ui, struct ms_view *view)
{
	rows_make(ui, sp_of(view));
	return NULL;
}

static void sp_title(struct ms_ui *ui, struct ms_view *view, struct ms_buf *buf)
{
	struct sp_view *v = sp_of(view);
	const struct ms_sp *sp;
	size_t i;

	sp = page_of(ui, v);
	if (sp)
		ms_buf_printf(buf, "L%u ", sp->level);
	/* The way from the root: the entries followed. */
	for (i = 0; i < v->nr_steps; i++)
		ms_buf_printf(buf, "%s%u", i ? "." : "[", v->steps[i].idx);
	ms_buf_printf(buf, "%s0x%llx", v->nr_steps ? "] " : "", (unsigned long long)v->sp);
}

/* ---- drawing ---- */

static void draw_page(struct ms_ui *ui, struct ms_grid *grid, u32 y, u32 w, const struct ms_sp *sp)
{
	const struct spte_profile *profile = &ui->detail->profile;
	char role[160];
	u32 x = 1;

	role_format(&ui->detail->roles, sp->rec.role, profile->format == SPTE_FMT_EPT, role, sizeof(role));
	if (sp->rec.state != MS_SP_CONFIRMED)
		x += ms_grid_printf(grid, y, x, w - x, MS_LOOK_TORN, "%s  ", ms_sp_state_name(sp->rec.state));
	if (sp->rec.have & MS_SP_HAVE_UNSYNC && sp->rec.unsync)
		x += ms_grid_put(grid, y, x, w - x, MS_LOOK_WARNING, "unsync  ");
	x += ms_grid_printf(grid, y, x, w > x ? w - x : 0, MS_LOOK_NORMAL,
			    "gfn 0x%llx  role 0x%x %s  table 0x%llx000  %s", (unsigned long long)sp->rec.gfn,
			    sp->rec.role, role, (unsigned long long)sp->rec.spt_pfn,
			    ui->detail->profile_note);
}

static void draw_map(struct ms_ui *ui, struct sp_view *v, struct ms_grid *grid, const struct ms_sp *sp,
		     struct ms_rect r)
{
	u32 rows, row, c, at;

	v->map = r;
	v->map_cols = r.w >= 69 ? 64 : 32;
	rows = MS_SPTES / v->map_cols;
	at = v->idx / v->map_cols;
	if (at < v->map_top)
		v->map_top = at;
	if (at >= v->map_top + r.h)
		v->map_top = at - r.h + 1;
	if (v->map_top + r.h > rows)
		v->map_top = rows > r.h ? rows - r.h : 0;
	for (row = 0; row < r.h && v->map_top + row < rows; row++) {
		u32 first = (v->map_top + row) * v->map_cols;

		ms_grid_printf(grid, r.y + row, r.x, 3, MS_LOOK_DIM, "%3u", first);
		for (c = 0; c < v->map_cols; c++) {
			struct spte_info info;

			entry_decode(ui, sp, first + c, &info);
			ms_grid_put(grid, r.y + row, r.x + 4 + c, 1, ms_look_of_entry(&info),
				    spte_letter(&info));
			if (first + c == v->idx)
				ms_grid_flag(grid, r.y + row, r.x + 4 + c, 1,
					     v->pane == PANE_MAP ? MS_CELL_SELECTED : MS_CELL_MARKED);
		}
	}
}

/* Beside the map: how many of each, letter and number. */
static void draw_totals(struct ms_ui *ui, struct ms_grid *grid, const struct ms_sp *sp, struct ms_rect r)
{
	static const struct {
		enum spte_class cls;
		enum spte_wstate w;
	} kinds[] = {
		{ SPTE_CLASS_TABLE, SPTE_W_NONE },	{ SPTE_CLASS_LEAF, SPTE_W_RW },
		{ SPTE_CLASS_LEAF, SPTE_W_DL },		{ SPTE_CLASS_LEAF, SPTE_W_WP },
		{ SPTE_CLASS_LEAF, SPTE_W_RO },		{ SPTE_CLASS_LEAF, SPTE_W_AT },
		{ SPTE_CLASS_LEAF, SPTE_W_ILLEGAL },	{ SPTE_CLASS_UNKNOWN, SPTE_W_NONE },
		{ SPTE_CLASS_MMIO, SPTE_W_NONE },	{ SPTE_CLASS_FROZEN, SPTE_W_NONE },
		{ SPTE_CLASS_NONPRESENT, SPTE_W_NONE },
	};
	u32 y = r.y, i, x, pinned = ms_sp_nr_pinned(ui->detail, ms_ui_vm(ui), sp);

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds) && y < r.y + r.h; i++) {
		struct spte_info info = { .cls = kinds[i].cls, .wstate = kinds[i].w };
		u32 count = info.cls == SPTE_CLASS_LEAF ? sp->counts.by_wstate[info.wstate]
							: sp->counts.by_class[info.cls];

		if (!count)
			continue;
		x = r.x + ms_grid_put(grid, y, r.x, 2, ms_look_of_entry(&info), spte_letter(&info));
		x += ms_grid_printf(grid, y, x, r.w > 1 ? r.w - 1 : 0, MS_LOOK_NORMAL, "%4u", count);
		if (r.w >= 16)
			ms_grid_put(grid, y, x + 1, r.w - 6, MS_LOOK_DIM, ms_entry_state(&info));
		y++;
	}
	if (pinned && y < r.y + r.h) {
		x = r.x + ms_grid_put(grid, y, r.x, 2, MS_LOOK_NORMAL, "p");
		x += ms_grid_printf(grid, y, x, r.w > 1 ? r.w - 1 : 0, MS_LOOK_NORMAL, "%4u", pinned);
		if (r.w >= 16)
			ms_grid_put(grid, y, x + 1, r.w - 6, MS_LOOK_DIM, "pinned");
	}
}

static void address_put(const struct sp_view *v, const struct ms_sp *sp, u32 idx, char *buf, size_t size)
{
	snprintf(buf, size, "%s0x%llx", v->rooted ? "" : "+",
		 (unsigned long long)(v->base + idx * span_of(sp->level)));
}

static void gfn_put(struct ms_ui *ui, const struct ms_sp *sp, u32 idx, char *buf, size_t size)
{
	u64 gfn;

	if (ms_sp_entry_gfn(ui->detail, sp, idx, &gfn) == MS_GFN_NONE)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "0x%llx", (unsigned long long)gfn);
}

/* Behind the state of a leaf: its frame is under a write-protect flip; its pin is in state P or Z. */
static const char *pin_mark(struct ms_ui *ui, const struct ms_sp *sp, u32 idx)
{
	const struct ms_rec_pin *pin = ms_sp_entry_pin(ui->detail, ms_ui_vm(ui), sp, idx);

	if (ms_sp_entry_flipped(ui->detail, ms_ui_vm(ui), sp, idx))
		return " f";
	return !pin ? "" : pin->mapped ? " p" : " z";
}

static void draw_row(struct ms_ui *ui, struct sp_view *v, struct ms_grid *grid, u32 y, struct ms_rect r,
		     const struct ms_sp *sp, u32 idx)
{
	char address[24], gfn[24];
	struct spte_info info;
	enum ms_look look, plain;

	entry_decode(ui, sp, idx, &info);
	look = ms_look_of_entry(&info);
	plain = info.cls == SPTE_CLASS_NONPRESENT ? MS_LOOK_EMPTY : MS_LOOK_NORMAL;
	address_put(v, sp, idx, address, sizeof(address));
	gfn_put(ui, sp, idx, gfn, sizeof(gfn));
	ms_grid_printf(grid, y, r.x, 3, plain, "%3u", idx);
	if (r.w >= 54) {
		ms_grid_put_right(grid, y, r.x + 4, 14, plain, address);
		ms_grid_put_right(grid, y, r.x + 19, 9, plain, gfn);
		ms_grid_printf(grid, y, r.x + 29, 18, plain, "0x%016llx", (unsigned long long)info.raw);
		ms_grid_printf(grid, y, r.x + 48, 7, look, "%s%s%s", ms_entry_state(&info),
			       info.huge ? "+PS" : "", pin_mark(ui, sp, idx));
	} else {
		ms_grid_put_right(grid, y, r.x + 4, 9, plain, gfn);
		ms_grid_printf(grid, y, r.x + 14, 18, plain, "0x%016llx", (unsigned long long)info.raw);
		ms_grid_printf(grid, y, r.x + 33, r.w > 33 ? r.w - 33 : 0, look, "%s%s",
			       ms_entry_state(&info), pin_mark(ui, sp, idx));
	}
}

static void draw_table(struct ms_ui *ui, struct sp_view *v, struct ms_grid *grid, const struct ms_sp *sp,
		       struct ms_rect r)
{
	u32 i;

	v->table = r;
	ms_list_fit(&v->list, v->list.nr, r.h - 1);
	ms_grid_put(grid, r.y, r.x, 3, MS_LOOK_HEADER, "IDX");
	if (r.w >= 54) {
		ms_grid_put_right(grid, r.y, r.x + 4, 14, MS_LOOK_HEADER,
				  ms_root_address_kind(ui->detail, sp));
		ms_grid_put_right(grid, r.y, r.x + 19, 9, MS_LOOK_HEADER, "L1 GFN");
		ms_grid_put(grid, r.y, r.x + 29, 18, MS_LOOK_HEADER, "RAW");
		ms_grid_put(grid, r.y, r.x + 48, r.w - 48, MS_LOOK_HEADER, "STATE");
	} else {
		ms_grid_put_right(grid, r.y, r.x + 4, 9, MS_LOOK_HEADER, "L1 GFN");
		ms_grid_put(grid, r.y, r.x + 14, 18, MS_LOOK_HEADER, "RAW");
		ms_grid_put(grid, r.y, r.x + 33, r.w > 33 ? r.w - 33 : 0, MS_LOOK_HEADER, "STATE");
	}
	if (!v->list.nr)
		ms_grid_put(grid, r.y + 1, r.x + 4, r.w - 4, MS_LOOK_DIM, "none of these");
	for (i = 0; i < v->list.rows && v->list.top + i < v->list.nr; i++) {
		u32 idx = v->rows[v->list.top + i];

		draw_row(ui, v, grid, r.y + 1 + i, r, sp, idx);
		if (idx == v->idx)
			ms_grid_flag(grid, r.y + 1 + i, r.x, r.w,
				     v->pane == PANE_TABLE ? MS_CELL_SELECTED : MS_CELL_MARKED);
	}
}

static void draw_entry(struct ms_ui *ui, struct sp_view *v, struct ms_grid *grid, const struct ms_sp *sp,
		       struct ms_rect r)
{
	char address[24];

	address_put(v, sp, v->idx, address, sizeof(address));
	v->entry_top = ms_entry_draw(ui, sp, v->idx, address, v->entry_top, grid, r);
}

static void draw_split(struct sp_view *v, struct ms_grid *grid, u32 y, u32 w, u32 x_entry)
{
	u32 x = 2;

	ms_grid_hline(grid, y, 0, w, MS_LOOK_DIM);
	x += ms_grid_printf(grid, y, x, w - x, v->pane == PANE_TABLE ? MS_LOOK_TITLE : MS_LOOK_DIM,
			    " %s, %zu of %u ", filter_names[v->filter], v->list.nr, MS_SPTES);
	if (x_entry > x)
		ms_grid_printf(grid, y, x_entry, w - x_entry,
			       v->pane == PANE_ENTRY ? MS_LOOK_TITLE : MS_LOOK_DIM, " entry %u ", v->idx);
}

static void draw_all_panes(struct ms_ui *ui, struct sp_view *v, struct ms_grid *grid, const struct ms_sp *sp,
			   struct ms_rect r)
{
	const u32 map_h = 8, x_entry = 57;
	u32 y = r.y + map_h + 1, h = r.h - map_h - 1, i;

	draw_map(ui, v, grid, sp, (struct ms_rect){ r.y, 1, map_h, 69 });
	draw_totals(ui, grid, sp, (struct ms_rect){ r.y, 71, map_h, r.w - 71 });
	draw_split(v, grid, y - 1, r.w, x_entry);
	draw_table(ui, v, grid, sp, (struct ms_rect){ y, 1, h, x_entry - 2 });
	for (i = 0; i < h; i++)
		ms_grid_glyph(grid, y + i, x_entry - 1, MS_LOOK_DIM, MS_GLYPH_VLINE);
	draw_entry(ui, v, grid, sp, (struct ms_rect){ y, x_entry + 1, h, r.w - x_entry - 1 });
}

static void sp_draw(struct ms_ui *ui, struct ms_view *view, struct ms_grid *grid, struct ms_rect r)
{
	struct sp_view *v = sp_of(view);
	const struct ms_sp *sp = page_of(ui, v);
	struct ms_rect rest = { r.y + 1, 1, r.h - 1, r.w - 1 };

	memset(&v->map, 0, sizeof(v->map));
	memset(&v->table, 0, sizeof(v->table));
	if (!sp) {
		ms_grid_put(grid, r.y + 1, 1, r.w - 1, MS_LOOK_WARNING,
			    "This page was not there at the last reading.");
		return;
	}
	draw_page(ui, grid, r.y, r.w, sp);
	if (!sp->tables) {
		ms_grid_put(grid, r.y + 2, 1, r.w - 1, MS_LOOK_WARNING, "Its entries could not be read.");
		return;
	}
	if (r.w >= 78 && r.h >= 16)
		draw_all_panes(ui, v, grid, sp, (struct ms_rect){ r.y + 1, 0, r.h - 1, r.w });
	else if (v->pane == PANE_MAP)
		draw_map(ui, v, grid, sp, rest);
	else if (v->pane == PANE_ENTRY)
		draw_entry(ui, v, grid, sp, rest);
	else
		draw_table(ui, v, grid, sp, rest);
}

/* ---- requests ---- */

static void child_open(struct ms_ui *ui, struct sp_view *v)
{
	const struct ms_sp *sp = page_read(ui, v), *child;

	child = sp ? ms_sp_child(ui->detail, ms_ui_vm(ui), sp, v->idx) : NULL;
	if (!child) {
		ms_ui_status(ui, MS_LOOK_WARNING, "entry %u points to no page that was read", v->idx);
		return;
	}
	if (v->nr_steps == MS_MAX_STEPS) {
		ms_ui_status(ui, MS_LOOK_WARNING, "too deep for a page table: go back first");
		return;
	}
	v->steps[v->nr_steps++] = (struct sp_step){ .sp = v->sp, .base = v->base, .idx = v->idx };
	v->base += v->idx * span_of(sp->level);
	v->sp = child->rec.sp;
	rows_make(ui, v);
	idx_go(v, first_used(ui, child));
}

static bool parent_open(struct ms_ui *ui, struct sp_view *v)
{
	const struct sp_step *step;

	if (!v->nr_steps)
		return false;
	step = &v->steps[--v->nr_steps];
	v->sp = step->sp;
	v->base = step->base;
	v->idx = step->idx;
	rows_make(ui, v);
	idx_go(v, v->idx);
	return true;
}

static bool map_request(struct sp_view *v, enum ms_request request)
{
	u32 row = v->map_cols ? v->map_cols : 64;

	switch (request) {
	case MS_REQ_LEFT:
		idx_go(v, v->idx ? v->idx - 1 : 0);
		return true;
	case MS_REQ_RIGHT:
		idx_go(v, v->idx + 1);
		return true;
	case MS_REQ_UP:
		idx_go(v, v->idx >= row ? v->idx - row : v->idx);
		return true;
	case MS_REQ_DOWN:
		idx_go(v, v->idx + row < MS_SPTES ? v->idx + row : v->idx);
		return true;
	case MS_REQ_PAGE_UP:
	case MS_REQ_FIRST:
		idx_go(v, 0);
		return true;
	case MS_REQ_PAGE_DOWN:
	case MS_REQ_LAST:
		idx_go(v, MS_SPTES - 1);
		return true;
	default:
		return false;
	}
}

static bool table_request(struct ms_ui *ui, struct sp_view *v, enum ms_request request)
{
	if (request == MS_REQ_LEFT)
		return parent_open(ui, v);
	if (request == MS_REQ_RIGHT) {
		child_open(ui, v);
		return true;
	}
	if (!ms_list_request(&v->list, request))
		return false;
	if (v->list.nr)
		idx_go(v, v->rows[v->list.cursor]);
	return true;
}

static bool entry_request(struct sp_view *v, enum ms_request request)
{
	if (request == MS_REQ_UP || request == MS_REQ_PAGE_UP)
		v->entry_top -= v->entry_top ? 1 : 0;
	else if (request == MS_REQ_DOWN || request == MS_REQ_PAGE_DOWN)
		v->entry_top++; /* drawing holds it to what there is */
	else if (request == MS_REQ_FIRST)
		v->entry_top = 0;
	else
		return false;
	return true;
}

static void flip(struct ms_ui *ui, const struct sp_view *v)
{
	const struct ms_sp *sp = page_read(ui, v);
	struct spte_info info;
	u64 gfn;

	if (sp)
		entry_decode(ui, sp, v->idx, &info);
	if (!sp || info.cls != SPTE_CLASS_LEAF ||
	    ms_sp_entry_gfn(ui->detail, sp, v->idx, &gfn) == MS_GFN_NONE)
		ms_ui_status(ui, MS_LOOK_ERROR, "This entry maps no frame.");
	else if (sp->level > SPTE_LEVEL_MIN)
		ms_ui_status(ui, MS_LOOK_ERROR,
			     "It maps a large page: `:wp' or a shell names single frames.");
	else
		ms_ui_flip(ui, gfn);
}

static bool sp_request(struct ms_ui *ui, struct ms_view *view, enum ms_request request)
{
	struct sp_view *v = sp_of(view);

	switch (request) {
	case MS_REQ_OPEN:
		child_open(ui, v);
		return true;
	case MS_REQ_BACK:
		return parent_open(ui, v);
	case MS_REQ_NEXT_PANE:
		v->pane = (v->pane + 1) % NR_PANES;
		return true;
	case MS_REQ_FLIP:
		flip(ui, v);
		return true;
	case MS_REQ_FILTER:
		v->filter = (v->filter + 1) % NR_FILTERS;
		rows_make(ui, v);
		/* What it hides is not selected any more. */
		if (v->list.nr)
			idx_go(v, v->rows[v->list.cursor]);
		return true;
	default:
		break;
	}
	if (v->pane == PANE_MAP)
		return map_request(v, request);
	if (v->pane == PANE_ENTRY)
		return entry_request(v, request);
	return table_request(ui, v, request);
}

static bool sp_search(struct ms_ui *ui, struct ms_view *view, const char *needle, int dir)
{
	struct sp_view *v = sp_of(view);
	const struct ms_sp *sp = page_read(ui, v);
	char text[128], address[24], gfn[24];
	struct spte_info info;
	size_t nr = v->list.nr, i, row;

	for (i = 1; sp && i <= nr; i++) {
		row = (v->list.cursor + (dir > 0 ? i : nr - i)) % nr;
		entry_decode(ui, sp, v->rows[row], &info);
		address_put(v, sp, v->rows[row], address, sizeof(address));
		gfn_put(ui, sp, v->rows[row], gfn, sizeof(gfn));
		snprintf(text, sizeof(text), "%u %s %s 0x%016llx %s %s", v->rows[row], address, gfn,
			 (unsigned long long)info.raw, ms_entry_state(&info), spte_class_name(info.cls));
		if (!ms_text_has(text, needle))
			continue;
		idx_go(v, v->rows[row]);
		return true;
	}
	return false;
}

static bool sp_click(struct ms_ui *ui, struct ms_view *view, u32 y, u32 x)
{
	struct sp_view *v = sp_of(view);
	u32 gy = y + view->rect.y, gx = x + view->rect.x, row;

	if (v->map.h && gy >= v->map.y && gy < v->map.y + v->map.h && gx >= v->map.x + 4 &&
	    gx < v->map.x + 4 + v->map_cols) {
		v->pane = PANE_MAP;
		idx_go(v, (v->map_top + gy - v->map.y) * v->map_cols + gx - v->map.x - 4);
		return true;
	}
	row = gy - v->table.y - 1;
	if (v->table.h && gy > v->table.y && gx < v->table.x + v->table.w && v->list.top + row < v->list.nr) {
		v->pane = PANE_TABLE;
		idx_go(v, v->rows[v->list.top + row]);
		return true;
	}
	return false;
}

static const struct ms_view_ops sp_ops = {
	.context = MS_CTX_SP,
	.of_vm = true,
	.destroy = sp_destroy,
	.reload = sp_reload,
	.title = sp_title,
	.draw = sp_draw,
	.request = sp_request,
	.search = sp_search,
	.click = sp_click,
	.hints = { MS_REQ_OPEN, MS_REQ_BACK, MS_REQ_NEXT_PANE, MS_REQ_FILTER, MS_REQ_SEARCH, MS_REQ_REFRESH,
		   MS_REQ_HELP },
};

struct ms_err *ms_view_sp_open(struct ms_ui *ui, u64 sp, const struct ms_step *steps, size_t nr, bool rooted)
{
	struct sp_view *v = calloc(1, sizeof(*v));
	const struct ms_sp *page;
	size_t i;

	if (!v)
		return ms_err_nomem();
	v->view.ops = &sp_ops;
	v->sp = sp;
	v->rooted = rooted;
	for (i = 0; i < nr && i < MS_MAX_STEPS; i++) {
		page = ms_vm_sp(ms_ui_vm(ui), steps[i].sp);
		v->steps[i] = (struct sp_step){ .sp = steps[i].sp, .base = v->base, .idx = steps[i].idx };
		v->base += page ? steps[i].idx * span_of(page->level) : 0;
	}
	v->nr_steps = i;
	page = page_of(ui, v);
	/* What a direct page maps it says itself. */
	if (!rooted && page && role_get(&ui->detail->roles, page->rec.role, ROLE_DIRECT)) {
		v->base = page->rec.gfn << SPTE_PAGE_SHIFT;
		v->rooted = true;
	}
	v->idx = first_used(ui, page);
	return ms_ui_push(ui, &v->view);
}

void ms_view_sp_select(struct ms_ui *ui, u32 idx)
{
	struct ms_view *top = ms_ui_top(ui);

	if (top->ops != &sp_ops || idx >= MS_SPTES)
		return;
	sp_of(top)->idx = idx;
	cursor_sync(sp_of(top));
}
