/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vms, vcpus, slots: what a host runs, before any page table is looked at. */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

/* --- vms --- */

static const struct ms_column vm_cols[] = {
	{ "pid", "PID", MS_V_INT, MS_SECRET_PID },
	{ "name", "NAME", MS_V_TEXT, MS_SECRET_NAME },
	{ "kvm", "KVM", MS_V_HEX, MS_SECRET_KVM },
	{ "vcpus", "VCPUS", MS_V_COUNT },
	{ "created_vcpus", "CREATED", MS_V_COUNT, .prio = 7 },
	{ "used_pages", "USED PAGES", MS_V_COUNT },
	{ "max_pages", "MAX PAGES", MS_V_COUNT, .prio = 4 },
	{ "tdp_pages", "TDP PAGES", MS_V_COUNT, .prio = 2 },
	{ "indirect_pages", "INDIRECT PAGES", MS_V_COUNT, .prio = 1 },
	{ "pages_4k", "4K MAPPED", MS_V_COUNT, .prio = 1 },
	{ "pages_2m", "2M MAPPED", MS_V_COUNT, .prio = 1 },
	{ "pages_1g", "1G MAPPED", MS_V_COUNT, .prio = 3 },
	{ "generation", "GEN", MS_V_COUNT, .prio = 5 },
	{ "legacy_mmu", "LEGACY MMU", MS_V_BOOL, .prio = 6 },
	{ "tdp_mmu", "TDP MMU", MS_V_BOOL, .prio = 6 },
	{ "shadow_root_allocated", "SHADOW ROOT", MS_V_BOOL, .prio = 6 },
	{ "invalidate_seq", "INVALIDATE SEQ", MS_V_COUNT, .prio = 5 },
	{ "invalidate_in_progress", "INVALIDATING", MS_V_COUNT, .prio = 5 },
	{ "mmio_value", "MMIO VALUE", MS_V_HEX, .prio = 8 },
	{ "nx_huge_disabled", "NO NX HUGE", MS_V_BOOL, .prio = 8 },
	{ "log_mode", "LOG MODE", MS_V_WORDS, .prio = 8 },
	{ "log_mode_raw", "RAW LOG MODE", MS_V_HEX, .prio = 9 },
	{ "userspace_pid", "CREATED BY", MS_V_INT, MS_SECRET_PID, .prio = 8 },
	{ "mm", "MM", MS_V_HEX, MS_SECRET_PTR, .prio = 9 },
};

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, as it was enabled, and KVM_CAP_DIRTY_LOG_RING. */
static void cell_log_mode(struct ms_cell **at, const struct ms_rec_vm *rec)
{
	struct ms_cell *words;

	if (!(rec->have & MS_VM_HAVE_LOG_MODE)) {
		cell_none(at);
		cell_none(at);
		return;
	}
	words = cell_words(at);
	if (rec->log_mode & MS_LOG_MANUAL)
		word_add(words, "manual-protect");
	if (rec->log_mode & MS_LOG_INIT_SET)
		word_add(words, "initially-set");
	if (rec->have & MS_VM_DIRTY_RING)
		word_add(words, "ring");
	cell_hex(at, rec->log_mode);
}

static void vm_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_vm *vm = section->ctx ? section->ctx : &section->model->vms[row];
	const struct ms_rec_vm *rec = &vm->rec;
	bool owner = rec->have & MS_VM_HAVE_OWNER;
	const struct ms_rec_host *host = &section->model->host;

	cell_opt(&cells, owner, MS_V_INT, (u64)(s64)rec->pid);
	if (owner)
		cell_textn(&cells, rec->comm, strnlen(rec->comm, sizeof(rec->comm)));
	else
		cell_none(&cells);
	cell_hex(&cells, rec->kvm)->style = MS_STYLE_ACCENT;
	cell_opt(&cells, rec->have & MS_VM_HAVE_ONLINE_VCPUS, MS_V_COUNT, rec->online_vcpus);
	cell_opt(&cells, rec->have & MS_VM_HAVE_CREATED_VCPUS, MS_V_COUNT, rec->created_vcpus);
	cell_opt(&cells, rec->have & MS_VM_HAVE_USED, MS_V_COUNT, rec->n_used_mmu_pages);
	cell_opt(&cells, rec->have & MS_VM_HAVE_MAX, MS_V_COUNT, rec->n_max_mmu_pages);
	cell_opt(&cells, rec->have & MS_VM_HAVE_TDP_PAGES, MS_V_COUNT, rec->tdp_mmu_pages);
	cell_opt(&cells, rec->have & MS_VM_HAVE_INDIRECT, MS_V_COUNT, rec->indirect_shadow_pages);
	cell_opt(&cells, rec->have & MS_VM_HAVE_PAGES_4K, MS_V_COUNT, rec->pages_4k);
	cell_opt(&cells, rec->have & MS_VM_HAVE_PAGES_2M, MS_V_COUNT, rec->pages_2m);
	cell_opt(&cells, rec->have & MS_VM_HAVE_PAGES_1G, MS_V_COUNT, rec->pages_1g);
	cell_opt(&cells, rec->have & MS_VM_HAVE_VALID_GEN, MS_V_COUNT, rec->mmu_valid_gen);
	cell_bool(&cells, rec->have & MS_VM_HAVE_LEGACY);
	if (rec->have & MS_VM_HAVE_TDP_MMU_ON)
		cell_bool(&cells, rec->tdp_mmu_on);
	else
		cell_opt(&cells, host->have & MS_HOST_HAVE_TDP_MMU, MS_V_BOOL,
			 host->tdp_mmu_enabled && rec->have & MS_VM_HAVE_TDP_MMU);
	cell_opt(&cells, rec->have & MS_VM_HAVE_SHADOW_ROOT, MS_V_BOOL, rec->shadow_root_allocated);
	cell_opt(&cells, rec->have & MS_VM_HAVE_INVALIDATE, MS_V_COUNT, rec->invalidate_seq);
	cell_opt(&cells, rec->have & MS_VM_HAVE_INVALIDATE, MS_V_COUNT, rec->invalidate_in_progress);
	cell_opt(&cells, rec->have & MS_VM_HAVE_MMIO_VALUE, MS_V_HEX, rec->mmio_value);
	cell_opt(&cells, rec->have & MS_VM_HAVE_NX_DISABLED, MS_V_BOOL, rec->nx_huge_disabled);
	cell_log_mode(&cells, rec);
	cell_opt(&cells, rec->have & MS_VM_HAVE_USERSPACE_PID, MS_V_INT, (u64)(s64)rec->userspace_pid);
	cell_opt(&cells, rec->have & MS_VM_HAVE_MM, MS_V_HEX, rec->mm);
}

static const struct ms_column fd_cols[] = {
	{ "pid", "PID", MS_V_INT, MS_SECRET_PID },
	{ "name", "NAME", MS_V_TEXT, MS_SECRET_NAME },
	{ "fd", "FD", MS_V_INT },
	{ "kind", "KIND", MS_V_TEXT },
	{ "kvm", "KVM", MS_V_HEX, MS_SECRET_KVM },
	{ "vcpu", "VCPU", MS_V_HEX, MS_SECRET_VCPU },
};

static void fd_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_rec_fd *const *fds = section->ctx;
	const struct ms_rec_fd *fd = fds[row];

	cell_int(&cells, fd->pid);
	cell_textn(&cells, fd->comm, strnlen(fd->comm, sizeof(fd->comm)));
	cell_int(&cells, fd->fd);
	cell_text(&cells, fd->kind == MS_FD_VM ? "vm" : fd->kind == MS_FD_VCPU ? "vcpu" : "?");
	cell_hex(&cells, fd->kvm);
	cell_opt(&cells, fd->vcpu, MS_V_HEX, fd->vcpu);
}

static struct ms_err *fds_add(struct query *q, const struct ms_vm *vms, size_t nr_vms)
{
	const struct ms_rec_fd **fds;
	struct ms_section *section;
	size_t nr = 0, v, i;

	for (v = 0; v < nr_vms; v++)
		nr += vms[v].nr_fds;
	fds = calloc(nr ? nr : 1, sizeof(*fds));
	section = fds ? section_add(q, "files", "Files that refer to them", true, fd_cols, MS_LEN(fd_cols),
				    nr, fd_row)
		      : NULL;
	if (!section) {
		free(fds);
		return ms_err_nomem();
	}
	section->ctx = section->owned = fds;
	for (nr = 0, v = 0; v < nr_vms; v++)
		for (i = 0; i < vms[v].nr_fds; i++)
			fds[nr++] = &vms[v].fds[i];
	return NULL;
}

struct ms_err *query_run_vms(struct query *q)
{
	struct ms_section *section;
	struct ms_vm *one = NULL;
	struct ms_err *err;

	if (q->args->vm) {
		err = ms_model_find_vm(q->model, q->args->vm, &one);
		if (err)
			return q->args->redact
				       ? ms_err_hint(
						 err,
						 "what there is to choose from is not shown with --redact")
				       : err;
	}
	section = section_add(q, "vms", "Virtual machines", true, vm_cols, MS_LEN(vm_cols),
			      one ? 1 : q->model->nr_vms, vm_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = one;
	if (!q->model->nr_vms) {
		err = note_add(q->result, "no virtual machine is there");
		if (err)
			return err;
	}
	return fds_add(q, one ? one : q->model->vms, one ? 1 : q->model->nr_vms);
}

/* --- vcpus --- */

static const struct ms_column vcpu_cols[] = {
	{ "id", "ID", MS_V_INT },
	{ "index", "INDEX", MS_V_INT, .prio = 9 },
	{ "fd", "FD", MS_V_INT, .prio = 5 },
	{ "cpu", "CPU", MS_V_INT },
	{ "mode", "MODE", MS_V_TEXT },
	{ "guest_mode", "IN L2", MS_V_BOOL },
	{ "smm", "SMM", MS_V_BOOL, .prio = 4 },
	{ "mmu", "MMU", MS_V_TEXT },
	{ "walk_mmu", "WALK MMU", MS_V_TEXT },
	{ "cr0", "CR0", MS_V_HEX },
	{ "cr3", "CR3", MS_V_HEX },
	{ "cr4", "CR4", MS_V_HEX },
	{ "efer", "EFER", MS_V_HEX },
	{ "hflags", "HFLAGS", MS_V_HEX, .prio = 6 },
	{ "vcpu", "VCPU", MS_V_HEX, MS_SECRET_VCPU, .prio = 3 },
	{ "mmu_address", "MMU AT", MS_V_HEX, MS_SECRET_MMU, .prio = 7 },
	{ "walk_mmu_address", "WALK MMU AT", MS_V_HEX, MS_SECRET_MMU, .prio = 8 },
};

static const char *vcpu_mode_name(s32 mode)
{
	static const char *const names[] = { "outside", "guest", "exiting", "reading-tables" };

	return mode >= 0 && (size_t)mode < MS_LEN(names) ? names[mode] : "?";
}

static void vcpu_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_vcpu *vcpu = &section->vm->vcpus[row];
	const struct ms_rec_vcpu *rec = &vcpu->rec;
	const char *mmu = NULL, *walk_mmu = NULL;
	bool have_mmu = rec->have & MS_VCPU_HAVE_MMU;
	u32 i;

	for (i = 0; i < vcpu->nr_mmus && have_mmu; i++) {
		const struct ms_rec_mmu *m = &section->vm->mmus[vcpu->first_mmu + i];

		if (m->mmu == rec->mmu)
			mmu = ms_mmu_name(m->which);
		if (m->mmu == rec->walk_mmu)
			walk_mmu = ms_mmu_name(m->which);
	}
	cell_int(&cells, rec->vcpu_id)->style = MS_STYLE_ACCENT;
	cell_int(&cells, rec->vcpu_idx);
	cell_opt(&cells, vcpu->fd >= 0, MS_V_INT, (u64)(s64)vcpu->fd);
	cell_opt(&cells, rec->have & MS_VCPU_HAVE_CPU, MS_V_INT, (u64)(s64)rec->cpu);
	cell_text(&cells, rec->have & MS_VCPU_HAVE_MODE ? vcpu_mode_name(rec->mode) : NULL);
	cell_opt(&cells, rec->have & MS_VCPU_HAVE_GUEST_MODE, MS_V_BOOL, rec->guest_mode);
	cell_opt(&cells, rec->have & MS_VCPU_HAVE_SMM, MS_V_BOOL, rec->smm);
	cell_text(&cells, mmu);
	cell_text(&cells, walk_mmu);
	cell_opt(&cells, rec->have & MS_VCPU_HAVE_CR0, MS_V_HEX, rec->cr0);
	cell_opt(&cells, rec->have & MS_VCPU_HAVE_CR3, MS_V_HEX, rec->cr3);
	cell_opt(&cells, rec->have & MS_VCPU_HAVE_CR4, MS_V_HEX, rec->cr4);
	cell_opt(&cells, rec->have & MS_VCPU_HAVE_EFER, MS_V_HEX, rec->efer);
	cell_opt(&cells, rec->have & MS_VCPU_HAVE_HFLAGS, MS_V_HEX, rec->hflags);
	cell_hex(&cells, rec->vcpu);
	cell_opt(&cells, have_mmu, MS_V_HEX, rec->mmu);
	cell_opt(&cells, have_mmu, MS_V_HEX, rec->walk_mmu);
}

struct ms_err *query_run_vcpus(struct query *q)
{
	return section_add(q, "vcpus", "Virtual CPUs", true, vcpu_cols, MS_LEN(vcpu_cols), q->vm->nr_vcpus,
			   vcpu_row)
		       ? NULL
		       : ms_err_nomem();
}

/* --- slots --- */

static const struct ms_column slot_cols[] = {
	{ "as_id", "AS", MS_V_COUNT },
	{ "id", "ID", MS_V_INT },
	{ "gfn", "FIRST GFN", MS_V_HEX },
	{ "gfn_end", "END GFN", MS_V_HEX },
	{ "pages", "PAGES", MS_V_COUNT },
	{ "flags", "FLAGS", MS_V_WORDS },
	{ "flags_raw", "RAW FLAGS", MS_V_HEX, .prio = 4 },
	{ "dirty_log", "DIRTY LOG", MS_V_BOOL, .prio = 3 },
	{ "hva", "HVA", MS_V_HEX, MS_SECRET_HVA },
	{ "generation", "GENERATION", MS_V_HEX, .prio = 2 },
	{ "dirty_bitmap", "BITMAP AT", MS_V_HEX, MS_SECRET_PTR, .prio = 5 },
};

static void slot_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	static const struct {
		u32 bit;
		const char *name;
	} flags[] = {
		{ MS_SLOT_LOG_DIRTY, "log-dirty" },
		{ MS_SLOT_READONLY, "readonly" },
		{ MS_SLOT_GUEST_MEMFD, "guest-memfd" },
		{ MS_SLOT_INVALID, "invalid" },
	};
	const struct ms_rec_slot *const *slots = section->ctx;
	const struct ms_rec_slot *slot = slots[row];
	struct ms_cell *words;
	size_t i;

	cell_count(&cells, slot->as_id);
	cell_int(&cells, slot->id)->style = MS_STYLE_ACCENT;
	cell_hex(&cells, slot->base_gfn);
	cell_hex(&cells, slot->base_gfn + slot->nr_pages);
	cell_count(&cells, slot->nr_pages);
	words = cell_words(&cells);
	for (i = 0; i < MS_LEN(flags); i++)
		if (slot->flags & flags[i].bit)
			word_add(words, flags[i].name);
	/* Not KVM's, but it belongs beside them: these slots may not have been there together. */
	if (slot->have & MS_SLOT_UNSTABLE)
		word_add(words, "unconfirmed");
	cell_hex(&cells, slot->flags);
	cell_opt(&cells, slot->have & MS_SLOT_HAVE_DIRTY_BITMAP, MS_V_BOOL, slot->dirty_bitmap != 0);
	cell_hex(&cells, slot->hva);
	cell_opt(&cells, slot->have & MS_SLOT_HAVE_GENERATION, MS_V_HEX, slot->generation);
	cell_opt(&cells, slot->have & MS_SLOT_HAVE_DIRTY_BITMAP && slot->dirty_bitmap, MS_V_HEX,
		 slot->dirty_bitmap);
}

struct ms_err *query_run_slots(struct query *q)
{
	const struct ms_filter *f = &q->args->filter;
	const struct ms_rec_slot **slots, *slot;
	struct ms_section *section;
	size_t nr = 0, i;

	slots = calloc(q->vm->nr_slots ? q->vm->nr_slots : 1, sizeof(*slots));
	if (!slots)
		return ms_err_nomem();
	for (i = 0; i < q->vm->nr_slots; i++) {
		slot = &q->vm->slots[i];
		if (f->has_gfn &&
		    (slot->base_gfn >= f->gfn_end ||
		     (slot->base_gfn < f->gfn_start && f->gfn_start - slot->base_gfn >= slot->nr_pages)))
			continue;
		slots[nr++] = slot;
	}
	section = section_add(q, "slots", "Memory slots", true, slot_cols, MS_LEN(slot_cols), nr, slot_row);
	if (!section) {
		free(slots);
		return ms_err_nomem();
	}
	section->ctx = section->owned = slots;
	return NULL;
}
