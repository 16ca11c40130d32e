/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shadow pages of one VM, without a lock.
 *
 * Legacy MMU: the pages hang on kvm->arch.active_mmu_pages, newest first. TDP MMU: from the roots on
 * kvm->arch.tdp_mmu_roots downwards, a level at a time; a table's page says which kvm_mmu_page it belongs to
 * (page->private).
 *
 * KVM changes all of this meanwhile. A page is `confirmed' only if
 *   1. its header says the same right before and right after its table was copied, and once more after the
 *      last copy (gfn, role, table, translations), and
 *   2. it is still part of this VM by what is read after the copy: for the legacy MMU by walking the list
 *      again from the tail to the head over those headers, for the TDP MMU by finding in its parent the
 *      entry that led to it, up to a root that is still on the VM's list. A freed header is poisoned
 *      (list_del()) or handed to another VM; either way one of the two fails; and
 *   3. the pages that its entries lead to name it as their parent: its table is not older than they are; and
 *   4. the translations that it keeps beside its entries belong to them: nobody held mmu_lock for writing
 *      between the copies of the two.
 * A page that fails is looked at again a few times, table and all, and then delivered with a label. What
 * cannot be told: a page that left the VM and came back as the same one, to the same place in the list,
 * between two adjacent reads of one batch; and 4., of a kernel whose mmu_lock is no plain rwlock.
 *
 * Every address is checked before it is followed (ms_kmem_may_read()): a stale pointer leads to a refusal,
 * not to a read.
 */
#include "target/kvm_walk.h"

#include <stdlib.h>
#include <string.h>

/*
 * 6.1 leaves zeros in a link that was never on a list, and poison in one that was: only the address of another link
 * counts.
 */
static bool on_nx_list(const struct walk *w, const struct sp *sp)
{
	return sp->head.nx_next >> 56 == 0xff &&
	       sp->head.nx_next != walk_field(w, sp->addr, walk_nx_link(w->kmem->layout));
}

static void sp_record(const struct walk *w, size_t i, struct ms_rec_sp *rec)
{
	const struct ms_layout *l = w->kmem->layout;
	const struct sp *sp = &w->sps[i];
	const struct {
		enum ms_field_id id;
		u64 have;
		bool legacy_only;
	} fields[] = {
		{ MS_F_sp_unsync, MS_SP_HAVE_UNSYNC, true },
		{ MS_F_sp_unsync_children, MS_SP_HAVE_UNSYNC_CHILDREN, true },
		{ MS_F_sp_root_count, MS_SP_HAVE_ROOT_COUNT, false },
		{ sp->head.tdp ? MS_F_sp_ptep : MS_F_sp_parent_ptes, MS_SP_HAVE_PARENTS, false },
		{ MS_F_sp_mmu_valid_gen, MS_SP_HAVE_GEN, true },
		{ MS_F_sp_write_flooding_count, MS_SP_HAVE_WRITE_FLOODING, true },
	};
	size_t f;

	*rec = (struct ms_rec_sp){
		.kvm = w->vm->kvm,
		.sp = sp->addr,
		.gfn = sp->head.gfn,
		.spt_pfn = ms_kmem_is_direct(w->kmem, sp->head.spt, PAGE_BYTES)
				   ? ms_kmem_pfn(w->kmem, sp->head.spt)
				   : 0,
		.parents = sp->head.parents,
		.translation = sp->head.translation,
		.order = i,
		.role = sp->head.role,
		.root_count = sp->head.root_count,
		.unsync_children = sp->head.unsync_children,
		.write_flooding = sp->head.write_flooding,
		.tdp_mmu_page = sp->head.tdp,
		.unsync = sp->head.unsync,
		.mmu_valid_gen = sp->head.gen,
		.nx_disallowed = sp->head.nx,
		.nx_possible = on_nx_list(w, sp),
		.state = sp->state,
	};
	for (f = 0; f < sizeof(fields) / sizeof(fields[0]); f++)
		if (l->f[fields[f].id].present && !(sp->head.tdp && fields[f].legacy_only))
			rec->have |= fields[f].have;
	if (l->f[MS_F_sp_nx_huge_page_disallowed].present || l->f[MS_F_sp_lpage_disallowed].present)
		rec->have |= MS_SP_HAVE_NX_DISALLOWED;
	if (l->f[walk_nx_link(l)].present)
		rec->have |= MS_SP_HAVE_NX_POSSIBLE;
	if ((w->want->what & MS_WANT_SPTES) && sp->sptes)
		rec->have |= MS_SP_HAVE_SPTES | (sp->translations ? MS_SP_HAVE_TRANSLATIONS : 0);
}

static struct ms_err *deliver(struct walk *w, const struct ms_sink *sink)
{
	struct ms_sp_tables *tables = calloc(1, sizeof(*tables));
	struct ms_err *err = NULL;
	size_t i;

	if (!tables)
		return ms_err_nomem();
	for (i = 0; !err && i < w->nr; i++) {
		struct sp *sp = &w->sps[i];
		struct ms_rec_sp rec;

		w->rec.nr_torn += sp->state == MS_SP_TORN;
		w->rec.nr_unlinked += sp->state == MS_SP_UNLINKED;
		w->rec.nr_unreadable += sp->state == MS_SP_UNREADABLE;
		sp_record(w, i, &rec);
		if (rec.have & MS_SP_HAVE_SPTES)
			memcpy(tables->sptes, sp->sptes, PAGE_BYTES);
		if (rec.have & MS_SP_HAVE_TRANSLATIONS)
			memcpy(tables->translations, sp->translations, PAGE_BYTES);
		err = sink->put(sink->ctx, MS_REC_SP, &rec, rec.have & MS_SP_HAVE_SPTES ? tables : NULL);
		/* Given back as we go: the receiver holds its own copy, and there is no room for two. */
		walk_drop_tables(sp);
	}
	w->rec.nr_pages = w->nr;
	w->rec.end_ns = ms_kmem_now_ns();
	if (!err && w->kmem->alive) {
		bool alive = true;

		err = w->kmem->alive(w->kmem, w->vm->kvm, &alive);
		if (!alive)
			w->rec.flags |= MS_WALK_VM_GONE;
	}
	if (!err)
		err = sink->put(sink->ctx, MS_REC_WALK, &w->rec, NULL);
	free(tables);
	return err;
}

static struct ms_err *walk_one(struct ms_kmem *kmem, const struct ms_rec_host *host,
			       const struct ms_rec_vm *vm, u32 which, const struct ms_want *want,
			       const struct ms_sink *sink)
{
	const struct ms_role_bit *bit = ms_layout_role_bit(kmem->layout, "level");
	struct walk w = { .kmem = kmem, .vm = vm, .want = want };
	struct ms_err *err;

	w.rec = (struct ms_rec_walk){ .kvm = vm->kvm, .flags = which, .start_ns = ms_kmem_now_ns() };
	w.raw_len = kmem->layout->type_size[MS_T_kvm_mmu_page];
	if (!bit || !bit->width || bit->bit + bit->width > 31)
		return ms_err_new(MS_ERR_TARGET, "this kernel's kvm_mmu_page_role has no level");
	w.level = *bit;
	w.table_mask = ms_kvm_address_mask(host);
	if (!w.raw_len || w.raw_len > MS_KREAD_MAX_LEN)
		return ms_err_new(MS_ERR_TARGET, "this kernel's struct kvm_mmu_page has %u bytes: not read",
				  w.raw_len);
	w.raw = calloc(kmem->buffer_pages + 1, w.raw_len);
	if (!w.raw)
		return ms_err_nomem();
	err = which == MS_WALK_LEGACY ? walk_legacy(&w) : walk_tdp(&w);
	if (!err)
		err = deliver(&w, sink);
	walk_reset(&w);
	free(w.sps);
	free(w.raw);
	return err;
}

struct ms_err *ms_kvm_read_sps(struct ms_kmem *kmem, const struct ms_rec_host *host,
			       const struct ms_rec_vm *vm, const struct ms_want *want,
			       const struct ms_sink *sink)
{
	struct ms_err *err = NULL;

	if (vm->have & MS_VM_HAVE_LEGACY)
		err = walk_one(kmem, host, vm, MS_WALK_LEGACY, want, sink);
	if (!err && (vm->have & MS_VM_HAVE_TDP_MMU))
		err = walk_one(kmem, host, vm, MS_WALK_TDP, want, sink);
	return err;
}
