/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Write-protect flips made with a key: see flip.h. */
#include "ui/flip.h"

#include <stdlib.h>
#include <string.h>

#include "target/wp.h"
#include "ui/core.h"

static struct ms_err *session(struct ms_ui *ui, const struct ms_vm *vm)
{
	if (ui->wp && ms_wp_kvm(ui->wp) == vm->rec.kvm)
		return NULL;
	ms_ui_flip_end(ui);
	return ms_wp_open(vm->rec.kvm, vm->fds, vm->nr_fds, &ui->wp);
}

/* Is it one of ours? Others' are left alone. */
static struct ms_err *is_mine(struct ms_ui *ui, u64 gfn, bool *ret)
{
	struct mmuscope_wp_flip *flips;
	struct ms_err *err;
	size_t nr, i;

	err = ms_wp_list(ui->wp, &flips, &nr);
	*ret = false;
	if (err)
		return err;
	for (i = 0; i < nr; i++)
		*ret |= flips[i].gfn == gfn && flips[i].flags & MMUSCOPE_WP_MINE &&
			!(flips[i].flags & MMUSCOPE_WP_GONE);
	free(flips);
	return NULL;
}

void ms_ui_flip(struct ms_ui *ui, u64 gfn)
{
	const struct ms_vm *vm = ms_ui_vm(ui);
	struct ms_err *err;
	bool mine = false;
	u64 nr;

	if (!ui->opts->may_write) {
		ms_ui_status(ui, MS_LOOK_ERROR,
			     "A flip changes the running VM: start mmuscope with --write.");
		return;
	}
	if (!vm || !(ui->target->caps & MS_CAP_KREAD)) {
		ms_ui_status(ui, MS_LOOK_ERROR, "This target has no KVM whose writes could be caught.");
		return;
	}
	err = session(ui, vm);
	if (!err)
		err = is_mine(ui, gfn, &mine);
	if (!err)
		err = mine ? ms_wp_off(ui->wp, gfn, gfn + 1, &nr) : ms_wp_on(ui->wp, gfn, gfn + 1, false);
	if (err) {
		ms_ui_error(ui, err);
		return;
	}
	ms_ui_refresh(ui);
	/* What was stored before says nothing any more. */
	if (mine)
		ms_ui_flip_poll(ui);
	ms_ui_status(ui, MS_LOOK_NORMAL,
		     mine ? "Frame 0x%llx: its flip is undone."
			  : "Frame 0x%llx is flipped: each store to it is caught, until w again or the end.",
		     (unsigned long long)gfn);
}

static void write_told(struct ms_ui *ui, const struct mmuscope_wp_write *w, size_t nr)
{
	u32 bytes = w->value_bytes < sizeof(w->value) ? w->value_bytes : (u32)sizeof(w->value);
	struct ms_buf buf = { 0 };

	if (w->kind == MMUSCOPE_WP_LOST) {
		ms_buf_printf(&buf, "flip of 0x%llx lost with its slot", (unsigned long long)w->gpa >> 12);
	} else {
		ms_buf_printf(&buf, "%s: vCPU %d%s, GPA 0x%llx",
			      w->kind == MMUSCOPE_WP_STORE	  ? "store"
			      : w->kind == MMUSCOPE_WP_UNFINISHED ? "let through and not finished"
								  : "let through",
			      w->vcpu,
			      w->level == 1   ? " L1"
			      : w->level == 2 ? " L2"
					      : "",
			      (unsigned long long)w->gpa);
		if (w->kind != MMUSCOPE_WP_UNFINISHED)
			ms_buf_printf(&buf, ", %u bytes 0x", w->bytes);
		while (w->kind != MMUSCOPE_WP_UNFINISHED && bytes)
			ms_buf_printf(&buf, "%02x", w->value[--bytes]);
		ms_buf_printf(&buf, ", %llu of this frame; %zu since", (unsigned long long)w->count, nr);
	}
	ms_ui_status(ui, MS_LOOK_NORMAL, "%s", ms_buf_str(&buf));
	ms_buf_deinit(&buf);
}

void ms_ui_flip_poll(struct ms_ui *ui)
{
	static const size_t max = 256;
	struct mmuscope_wp_write *writes, last;
	struct ms_err *err = NULL;
	size_t nr = 1, all = 0;
	bool gone = false;

	if (!ui->wp)
		return;
	writes = calloc(max, sizeof(*writes));
	/* As many as the module keeps: a storm must not hold the interface. */
	while (writes && !err && nr && !gone && all < MMUSCOPE_WP_RING) {
		err = ms_wp_read(ui->wp, 0, writes, max, &nr, &gone);
		if (!err && nr)
			last = writes[nr - 1];
		all += err ? 0 : nr;
	}
	free(writes);
	if (err)
		ms_ui_error(ui, err);
	else if (all)
		write_told(ui, &last, all);
	if (!gone)
		return;
	ms_ui_flip_end(ui);
	ms_ui_status(ui, MS_LOOK_WARNING, "The VM ended, and its flips with it.");
}

void ms_ui_flip_end(struct ms_ui *ui)
{
	ms_wp_close(ui->wp);
	ui->wp = NULL;
}
