// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The list of VMs: who owns each, how much both MMUs hold by KVM's own counters, what is going on. Selection
 * is by kvm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/core.h"
#include "ui/rates.h"

struct vms_view {
	struct ms_view view;
	struct ms_list list;
	u64 kvm; /* selected */
	bool rates_on;
	struct ms_rates rates;
	u64 lost; /* while it listened */
};

static struct vms_view *vms_of(struct ms_view *view)
{
	return (struct vms_view *)view;
}

static const struct ms_vm *vm_at(struct ms_ui *ui, size_t row)
{
	return row < ui->list->nr_vms ? &ui->list->vms[row] : NULL;
}

static void selection_note(struct ms_ui *ui, struct vms_view *v)
{
	const struct ms_vm *vm = vm_at(ui, v->list.cursor);

	v->kvm = vm ? vm->rec.kvm : 0;
}

static void vms_destroy(struct ms_view *view)
{
	ms_rates_deinit(&vms_of(view)->rates);
	free(view);
}

static struct ms_err *vms_reload(struct ms_ui *ui, struct ms_view *view)
{
	struct vms_view *v = vms_of(view);
	size_t i;

	ms_list_fit(&v->list, ui->list->nr_vms, v->list.rows);
	for (i = 0; i < ui->list->nr_vms; i++)
		if (ui->list->vms[i].rec.kvm == v->kvm)
			ms_list_go(&v->list, i);
	selection_note(ui, v);
	return NULL;
}

static void vms_title(struct ms_ui *ui, struct ms_view *view, struct ms_buf *buf)
{
	const struct vms_view *v = vms_of(view);
	u64 lost = v->lost + (ui->listen.view == view ? ms_ui_listen_lost(ui) : 0);

	ms_buf_puts(buf, "VMs");
	/* Only here, and it costs: under other views it does not listen. */
	if (!v->rates_on || ms_ui_top(ui) != view)
		return;
	ms_buf_puts(buf, ", listening for rates");
	if (lost)
		ms_buf_printf(buf, ", %llu LOST", (unsigned long long)lost);
}

/* ---- rates ---- */

static bool vms_listen(struct ms_ui *ui, struct ms_view *view, struct ms_listen *ret)
{
	if (!vms_of(view)->rates_on || ms_ui_top(ui) != view)
		return false;
	ms_rates_listen(ret);
	return true;
}

static void vms_counts(struct ms_ui *ui, struct ms_view *view, const struct ms_event_count *counts, size_t nr,
		       u64 now_ns)
{
	ms_rates_take(&vms_of(view)->rates, ui->listen.fed, counts, nr, now_ns);
}

static void vms_ended(struct ms_ui *ui, struct ms_view *view)
{
	vms_of(view)->lost += ms_ui_listen_lost(ui);
	ms_rates_reset(&vms_of(view)->rates);
}

static void rates_toggle(struct ms_ui *ui, struct vms_view *v)
{
	if (!(ui->target->caps & MS_CAP_LISTEN)) {
		ms_ui_status(ui, MS_LOOK_WARNING, "%s has no events to count", ui->target->spec);
		return;
	}
	v->rates_on = !v->rates_on;
	v->lost = 0;
	if (v->rates_on)
		ms_ui_status(ui, MS_LOOK_NORMAL,
			     "listening to every VM while this list is shown: it costs them a little");
}

/* ---- what a row says ---- */

struct vm_facts {
	u32 vcpus, in_l2, roots;
	bool logging, deleting;
};

static void facts_of(const struct ms_vm *vm, struct vm_facts *facts)
{
	size_t i, j;

	memset(facts, 0, sizeof(*facts));
	facts->vcpus = (u32)vm->nr_vcpus;
	for (i = 0; i < vm->nr_vcpus; i++)
		facts->in_l2 +=
			vm->vcpus[i].rec.have & MS_VCPU_HAVE_GUEST_MODE && vm->vcpus[i].rec.guest_mode;
	for (i = 0; i < vm->nr_slots; i++) {
		facts->logging |= vm->slots[i].flags & MS_SLOT_LOG_DIRTY;
		facts->deleting |= vm->slots[i].flags & MS_SLOT_INVALID;
	}
	for (i = 0; i < vm->nr_mmus; i++) {
		const struct ms_rec_mmu *mmu = &vm->mmus[i];
		bool seen = mmu->root.hpa == MS_INVALID_PAGE || !mmu->root.hpa;

		/* vCPUs share roots: count each table once. */
		for (j = 0; j < i && !seen; j++)
			seen = vm->mmus[j].root.hpa == mmu->root.hpa;
		facts->roots += !seen;
	}
}

static void flags_put(const struct ms_vm *vm, const struct vm_facts *facts, struct ms_buf *buf)
{
	if (vm->rec.have & MS_VM_HAVE_INDIRECT && vm->rec.indirect_shadow_pages)
		ms_buf_puts(buf, "shadow ");
	if (facts->logging)
		ms_buf_puts(buf, "log ");
	if (vm->rec.have & MS_VM_HAVE_INVALIDATE && vm->rec.invalidate_in_progress)
		ms_buf_puts(buf, "invalidating ");
	if (facts->deleting)
		ms_buf_puts(buf, "slot-change ");
}

#define NEVER 0xffffffffu

enum {
	COL_PID,
	COL_NAME,
	COL_VCPU,
	COL_L2,
	COL_SHADOW,
	COL_TDP,
	COL_ROOTS,
	COL_4K,
	COL_2M,
	COL_1G,
	COL_RATES, /* MS_NR_RATES of them */
	COL_FLAGS = COL_RATES + MS_NR_RATES,
	NR_COLS
};

static const struct {
	const char *title;
	u32 width; /* 0: takes what is left */
	u32 since; /* shown from this width of the view on */
	u32 since_rates; /* the same while rates are shown */
	bool left;
} cols[NR_COLS] = {
	[COL_PID] = { "PID", 7, 0, 0, false },
	[COL_NAME] = { "NAME", 15, 0, 0, true },
	[COL_VCPU] = { "VCPU", 4, 0, 76, false },
	[COL_L2] = { "IN L2", 5, 72, 72, false },
	[COL_SHADOW] = { "SHADOW", 7, 44, 90, false },
	[COL_TDP] = { "TDP", 7, 52, 96, false },
	[COL_ROOTS] = { "ROOTS", 5, 64, 110, false },
	[COL_4K] = { "4K", 8, 58, 120, false },
	[COL_2M] = { "2M", 6, 90, 130, false },
	[COL_1G] = { "1G", 4, 100, 140, false },
	[COL_RATES + MS_RATE_FAULT] = { "FAULT/S", 7, NEVER, 0, false },
	[COL_RATES + MS_RATE_DIRTY] = { "DIRTY/S", 7, NEVER, 0, false },
	[COL_RATES + MS_RATE_L2_EXIT] = { "L2EXIT/S", 8, NEVER, 50, false },
	[COL_RATES + MS_RATE_FLUSH] = { "FLUSH/S", 7, NEVER, 60, false },
	[COL_FLAGS] = { "FLAGS", 0, 76, 76, true },
};

static void count_put(struct ms_buf *buf, bool have, u64 value)
{
	if (have)
		ms_buf_printf(buf, "%llu", (unsigned long long)value);
	else
		ms_buf_puts(buf, "-");
}

static void cell_put(const struct vms_view *v, const struct ms_vm *vm, const struct vm_facts *facts, u32 col,
		     struct ms_buf *buf)
{
	const struct ms_rec_vm *rec = &vm->rec;
	u64 rate = 0;
	bool have;

	switch (col) {
	case COL_PID:
		if (rec->have & MS_VM_HAVE_OWNER)
			ms_buf_printf(buf, "%d", rec->pid);
		else
			ms_buf_puts(buf, "-");
		break;
	case COL_NAME:
		if (rec->have & MS_VM_HAVE_OWNER)
			ms_buf_printf(buf, "%.*s", MS_COMM_LEN, rec->comm);
		else
			ms_buf_puts(buf, "-");
		break;
	case COL_VCPU:
		count_put(buf, true, facts->vcpus);
		break;
	case COL_L2:
		count_put(buf, true, facts->in_l2);
		break;
	case COL_SHADOW:
		count_put(buf, rec->have & MS_VM_HAVE_USED, rec->n_used_mmu_pages);
		break;
	case COL_TDP:
		count_put(buf, rec->have & MS_VM_HAVE_TDP_PAGES, rec->tdp_mmu_pages);
		break;
	case COL_ROOTS:
		count_put(buf, true, facts->roots);
		break;
	case COL_4K:
		count_put(buf, rec->have & MS_VM_HAVE_PAGES_4K, rec->pages_4k);
		break;
	case COL_2M:
		count_put(buf, rec->have & MS_VM_HAVE_PAGES_2M, rec->pages_2m);
		break;
	case COL_1G:
		count_put(buf, rec->have & MS_VM_HAVE_PAGES_1G, rec->pages_1g);
		break;
	case COL_FLAGS:
		flags_put(vm, facts, buf);
		break;
	default:
		have = ms_rates_of(&v->rates, rec->kvm, (enum ms_rate)(col - COL_RATES), &rate);
		count_put(buf, have, rate);
	}
}

static void draw_row(const struct vms_view *v, struct ms_grid *grid, u32 y, u32 w, const struct ms_vm *vm)
{
	struct ms_buf buf = { 0 };
	struct vm_facts facts;
	u32 x = 1, c, room;

	if (vm)
		facts_of(vm, &facts);
	for (c = 0; c < NR_COLS && x < w; c++) {
		if (w < (v->rates_on ? cols[c].since_rates : cols[c].since))
			continue;
		room = cols[c].width && x + cols[c].width < w ? cols[c].width : w - x;
		ms_buf_reset(&buf);
		if (vm)
			cell_put(v, vm, &facts, c, &buf);
		else
			ms_buf_puts(&buf, cols[c].title);
		if (cols[c].left)
			ms_grid_put(grid, y, x, room,
				    !vm		     ? MS_LOOK_HEADER
				    : c == COL_FLAGS ? MS_LOOK_WARNING
						     : MS_LOOK_NORMAL,
				    ms_buf_str(&buf));
		else
			ms_grid_put_right(grid, y, x, room, vm ? MS_LOOK_NORMAL : MS_LOOK_HEADER,
					  ms_buf_str(&buf));
		x += room + 1 + (w >= 100);
	}
	ms_buf_deinit(&buf);
}

/* Under the list: what has no column of its own. */
static void draw_detail(struct ms_grid *grid, u32 y, u32 w, const struct ms_vm *vm)
{
	const struct ms_rec_vm *rec = &vm->rec;
	struct ms_buf buf = { 0 };

	ms_buf_printf(&buf, "kvm 0x%llx", (unsigned long long)rec->kvm);
	if (rec->have & MS_VM_HAVE_MAX)
		ms_buf_printf(&buf, "  limit %llu pages", (unsigned long long)rec->n_max_mmu_pages);
	if (rec->have & MS_VM_HAVE_VALID_GEN)
		ms_buf_printf(&buf, "  valid_gen %u", rec->mmu_valid_gen);
	if (rec->have & MS_VM_HAVE_INDIRECT)
		ms_buf_printf(&buf, "  indirect %u", rec->indirect_shadow_pages);
	if (rec->have & MS_VM_HAVE_INVALIDATE)
		ms_buf_printf(&buf, "  invalidate_seq %llu", (unsigned long long)rec->invalidate_seq);
	ms_grid_put(grid, y, 1, w - 1, MS_LOOK_DIM, ms_buf_str(&buf));
	ms_buf_deinit(&buf);
}

#define NOTE_LINES 4u

/* The target's note, whole words in up to NOTE_LINES lines that end above row y. Returns how many. */
static u32 draw_note(struct ms_ui *ui, struct ms_grid *grid, u32 y, u32 w)
{
	const char *at = ui->target->note, *line[NOTE_LINES];
	u32 len[NOTE_LINES], nr = 0, take, i;

	while (*at && nr < NOTE_LINES) {
		take = (u32)strlen(at);
		if (take > w - 2)
			for (take = w - 2; take && at[take] != ' ';)
				take--;
		if (!take)
			take = w - 2;
		line[nr] = at;
		len[nr++] = take;
		at += take;
		at += *at == ' ';
	}
	for (i = 0; i < nr; i++)
		ms_grid_printf(grid, y - nr + i, 1, w - 1, MS_LOOK_WARNING, "%.*s", (int)len[i], line[i]);
	return nr;
}

static void vms_draw(struct ms_ui *ui, struct ms_view *view, struct ms_grid *grid, struct ms_rect r)
{
	struct vms_view *v = vms_of(view);
	const struct ms_vm *vm;
	u32 note, i;

	if (!ui->list->nr_vms) {
		ms_grid_put(grid, r.y + 1, r.x + 1, r.w - 1, MS_LOOK_NORMAL, "No VM is there.");
		ms_grid_put(grid, r.y + 2, r.x + 1, r.w - 1, MS_LOOK_DIM,
			    ui->target->caps & MS_CAP_LIVE ? "Start one and press r to read again." : "");
		return;
	}
	note = r.h > NOTE_LINES + 4 ? draw_note(ui, grid, r.y + r.h - 1, r.w) : 0;
	ms_list_fit(&v->list, ui->list->nr_vms, r.h - 2 - note);
	draw_row(v, grid, r.y, r.w, NULL);
	for (i = 0; i < v->list.rows && (vm = vm_at(ui, v->list.top + i)); i++) {
		draw_row(v, grid, r.y + 1 + i, r.w, vm);
		if (v->list.top + i == v->list.cursor)
			ms_grid_flag(grid, r.y + 1 + i, r.x, r.w, MS_CELL_SELECTED);
	}
	draw_detail(grid, r.y + r.h - 1, r.w, vm_at(ui, v->list.cursor));
}

static void vm_open(struct ms_ui *ui, struct vms_view *v)
{
	struct ms_err *err;

	if (!v->kvm)
		return;
	err = ms_ui_load_vm(ui, v->kvm);
	if (!err)
		err = ms_view_tree_open(ui);
	ms_ui_error(ui, err);
}

/* What is of the VM selected, without its pages: the way back is to the list. False: none of these. */
static bool open_beside_tree(struct ms_ui *ui, struct vms_view *v, enum ms_request request)
{
	struct ms_err *err;

	if (request != MS_REQ_AUDIT && request != MS_REQ_EVENTS && request != MS_REQ_DIRTY)
		return false;
	/* Which is said by who asks otherwise. */
	if (request != MS_REQ_AUDIT && !(ui->target->caps & MS_CAP_LISTEN))
		return false;
	err = ms_ui_load_vm(ui, v->kvm);
	if (!err)
		err = request == MS_REQ_AUDIT	 ? ms_view_audit_open(ui)
		      : request == MS_REQ_EVENTS ? ms_view_events_open(ui)
						 : ms_view_dirty_open(ui);
	ms_ui_forget_vm(ui);
	ms_ui_error(ui, err);
	return true;
}

static bool vms_request(struct ms_ui *ui, struct ms_view *view, enum ms_request request)
{
	struct vms_view *v = vms_of(view);

	if (ms_list_request(&v->list, request)) {
		selection_note(ui, v);
		return true;
	}
	if (request == MS_REQ_OPEN || request == MS_REQ_RIGHT) {
		vm_open(ui, v);
		return true;
	}
	if (request == MS_REQ_RATES) {
		rates_toggle(ui, v);
		return true;
	}
	return v->kvm && open_beside_tree(ui, v, request);
}

static bool vms_search(struct ms_ui *ui, struct ms_view *view, const char *needle, int dir)
{
	struct vms_view *v = vms_of(view);
	size_t nr = ui->list->nr_vms, i, row;
	struct ms_buf buf = { 0 };
	struct vm_facts facts;
	bool found = false;
	u32 c;

	for (i = 1; i <= nr && !found; i++) {
		row = (v->list.cursor + (dir > 0 ? i : nr - i)) % nr;
		ms_buf_reset(&buf);
		facts_of(vm_at(ui, row), &facts);
		for (c = 0; c < NR_COLS; c++) {
			cell_put(v, vm_at(ui, row), &facts, c, &buf);
			ms_buf_putc(&buf, ' ');
		}
		ms_buf_printf(&buf, "0x%llx", (unsigned long long)vm_at(ui, row)->rec.kvm);
		found = ms_text_has(ms_buf_str(&buf), needle);
		if (found)
			ms_list_go(&v->list, row);
	}
	ms_buf_deinit(&buf);
	selection_note(ui, v);
	return found;
}

static bool vms_click(struct ms_ui *ui, struct ms_view *view, u32 y, u32 x)
{
	struct vms_view *v = vms_of(view);

	if (!y || y > v->list.rows || v->list.top + y - 1 >= v->list.nr)
		return false;
	ms_list_go(&v->list, v->list.top + y - 1);
	selection_note(ui, v);
	return true;
}

static const struct ms_view_ops vms_ops = {
	.context = MS_CTX_VMS,
	.destroy = vms_destroy,
	.reload = vms_reload,
	.title = vms_title,
	.draw = vms_draw,
	.request = vms_request,
	.search = vms_search,
	.click = vms_click,
	.listen = vms_listen,
	.counts = vms_counts,
	.ended = vms_ended,
	.hints = { MS_REQ_OPEN, MS_REQ_SEARCH, MS_REQ_REFRESH, MS_REQ_INTERVAL, MS_REQ_RATES, MS_REQ_COMMAND,
		   MS_REQ_HELP, MS_REQ_QUIT },
};

struct ms_err *ms_view_vms_open(struct ms_ui *ui)
{
	struct vms_view *v = calloc(1, sizeof(*v));

	if (!v)
		return ms_err_nomem();
	v->view.ops = &vms_ops;
	return ms_ui_push(ui, &v->view);
}
