// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading the target for the interface: which records a view needs, what happens to what was read before, and
 * what is said when reading fails. Old data is never taken away for an error: it is marked stale.
 */
#include <stdio.h>
#include <string.h>

#include "ui/core.h"

static void want_init(struct ms_ui *ui, struct ms_want *want, u32 what, u64 kvm)
{
	memset(want, 0, sizeof(*want));
	want->what = what;
	want->kvm = kvm;
	want->progress = ui->progress;
	want->progress_ctx = ui->progress_ctx;
}

struct ms_err *ms_ui_load_list(struct ms_ui *ui)
{
	struct ms_model *model;
	struct ms_want want;
	struct ms_err *err;

	want_init(ui, &want, MS_WANT_VCPUS | MS_WANT_SLOTS | MS_WANT_MMUS, 0);
	err = ms_model_load(ui->target, &want, &model);
	if (err)
		return err;
	ms_model_destroy(ui->list);
	ui->list = model;
	ui->stale = false;
	return NULL;
}

static const struct ms_vm *model_vm(const struct ms_model *model, u64 kvm)
{
	size_t i;

	for (i = 0; model && i < model->nr_vms; i++)
		if (model->vms[i].rec.kvm == kvm)
			return &model->vms[i];
	return NULL;
}

const struct ms_vm *ms_ui_vm(const struct ms_ui *ui)
{
	return model_vm(ui->detail, ui->kvm);
}

void ms_ui_vm_words(const struct ms_vm *vm, struct ms_buf *buf)
{
	if (vm->rec.have & MS_VM_HAVE_OWNER)
		ms_buf_printf(buf, "%d %.*s", vm->rec.pid, MS_COMM_LEN, vm->rec.comm);
	else
		ms_buf_printf(buf, "kvm 0x%llx", (unsigned long long)vm->rec.kvm);
}

static void pages_count(struct ms_ui *ui, const struct ms_vm *vm)
{
	size_t i;

	memset(&ui->pages, 0, sizeof(ui->pages));
	ui->pages.nr = vm->nr_sps;
	for (i = 0; i < vm->nr_sps; i++)
		if (vm->sps[i].rec.state < 4)
			ui->pages.by_state[vm->sps[i].rec.state]++;
	ui->pages.walk_flags = vm->walks[0].flags | vm->walks[1].flags;
}

struct ms_err *ms_ui_load_vm(struct ms_ui *ui, u64 kvm)
{
	const struct ms_vm *vm;
	struct ms_model *model;
	struct ms_want want;
	struct ms_err *err;

	want_init(ui, &want, MS_UI_WANT, kvm);
	err = ms_model_load(ui->target, &want, &model);
	if (err)
		return err;
	vm = model_vm(model, kvm);
	if (!vm) {
		ms_model_destroy(model);
		return ms_err_new(MS_ERR_TARGET, "VM at 0x%llx is gone", (unsigned long long)kvm);
	}
	ms_model_destroy(ui->detail);
	ui->detail = model;
	ui->kvm = kvm;
	ui->stale = false;
	pages_count(ui, vm);
	return NULL;
}

/* Every view is told, whatever became of the one before it: none may keep a pointer into the old model. */
static struct ms_err *reload_views(struct ms_ui *ui, bool of_vm)
{
	struct ms_err *first = NULL;
	struct ms_err *err;
	size_t i;

	for (i = 0; i < ui->nr_views; i++) {
		if (ui->views[i]->ops->of_vm != of_vm)
			continue;
		err = ui->views[i]->ops->reload(ui, ui->views[i]);
		if (first)
			ms_err_free(err);
		else
			first = err;
	}
	return first;
}

void ms_ui_refresh(struct ms_ui *ui)
{
	struct ms_view *top = ms_ui_top(ui);
	bool of_vm = ui->detail;
	struct ms_err *err;

	if (ui->listen.failed)
		ms_ui_listen_stop(ui);
	err = of_vm ? ms_ui_load_vm(ui, ui->kvm) : ms_ui_load_list(ui);

	if (err)
		ui->stale = true;
	else
		err = reload_views(ui, of_vm);
	if (!err && top->ops->again)
		err = top->ops->again(ui, top);
	if (err) {
		ms_ui_error(ui, err);
		ui->status_read = true;
	} else if (ui->status_read) {
		ms_ui_status(ui, MS_LOOK_NORMAL, "%s", "");
	}
}
