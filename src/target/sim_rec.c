/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of a machine in process (sim.h). Its MMU is the legacy kind throughout: every page is on
 * active_pages, none belongs to a TDP MMU.
 *
 * Addresses that leave this file are identities made to look like the kernel's: tables by their place in a
 * direct map of the simulated host, objects by what the engine numbered them with. No address of this process
 * is among them, so two runs of one machine say the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/map.h"
#include "scenario/machine.h"
#include "spte/role.h"
#include "target/sim.h"

#define DIRECT_MAP 0xffff888000000000ull /* of the simulated host */
#define KVM_IDENT 0xffffc90000401000ull /* vmalloc space, where struct kvm lies */
/* struct kvm_mmu are members of struct kvm_vcpu: some way into it, one behind the other. */
#define MMU_OFFSET 0x2d0u
#define MMU_STRIDE 0x1c0u
/* Descriptors of reverse maps and bitmaps have no place in the simulated host's memory. */
#define SLAB_IDENT 0xffff888f00000000ull
#define PROGRESS_EVERY 1024u /* pages; a thousand take a millisecond */

_Static_assert(NMMU_LOG_MANUAL == MS_LOG_MANUAL && NMMU_LOG_INIT_SET == MS_LOG_INIT_SET,
	       "modes of dirty logs");

u64 ms_sim_kvm(const struct nmmu *m)
{
	(void)m;
	return KVM_IDENT;
}

const char *ms_sim_release(const struct nmmu *m)
{
	return m->cfg.kernel == NMMU_6_12 ? "nmmu like 6.12" : "nmmu like 6.1";
}

const struct nmmu_vcpu *ms_sim_vcpu(const struct nmmu *m, u32 id)
{
	const struct nmmu_vcpu *v;

	for (v = m->vcpus; v; v = v->next)
		if (v->id == id)
			return v;
	return NULL;
}

static u64 now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

/* --- host --- */

static void put_role_fields(struct ms_rec_host *host)
{
	static const enum role_word words[] = { ROLE_BASE, ROLE_EXT };
	const struct role_layout *layout;
	struct ms_rec_role_field *field;
	unsigned int id;
	size_t w;

	for (w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
		layout = role_layout_builtin(words[w]);
		for (id = 0; id < ROLE_NR_FIELDS && host->nr_role_fields < MS_ROLE_FIELDS_MAX; id++) {
			if (!layout->f[id].present)
				continue;
			field = &host->role_fields[host->nr_role_fields++];
			snprintf(field->name, sizeof(field->name), "%s", role_field_name(id));
			field->bit = (u8)(layout->f[id].offset + (words[w] == ROLE_EXT ? 32 : 0));
			field->width = layout->f[id].width;
		}
	}
}

static struct ms_err *put_host(const struct ms_sim_shown *shown, const struct ms_sink *sink)
{
	const struct nmmu *m = shown->m;
	struct ms_rec_host host = {
		.have = MS_HOST_HAVE_TDP_ENABLED | MS_HOST_HAVE_TDP_MMU | MS_HOST_HAVE_MMIO_CACHING |
			MS_HOST_HAVE_NX_HUGE | MS_HOST_HAVE_PHYS_BITS | MS_HOST_HAVE_NP_VALUE |
			MS_HOST_HAVE_ROLE_FIELDS | MS_HOST_HAVE_PML | (m->cfg.pml ? MS_HOST_PML : 0),
		.time_ns = now_ns(CLOCK_REALTIME),
		.hv = m->cfg.hv,
		.phys_bits = m->cfg.phys_bits,
		.np_value = m->profile.nonpresent_value,
		.tdp_enabled = m->cfg.tdp,
		.tdp_mmu_enabled = 0,
		.mmio_caching = m->cfg.mmio_caching,
		.nx_huge_pages = m->cfg.nx_huge_pages,
	};
	unsigned int id;

	snprintf(host.target, sizeof(host.target), "%s", shown->target);
	snprintf(host.release, sizeof(host.release), "%s", ms_sim_release(m));
	for (id = 0; id < MS_SM_NR; id++) {
		host.have |= MS_HOST_HAVE_MASK(id);
		host.masks[id] = spte_mask_get(&m->profile.m, id);
	}
	put_role_fields(&host);
	return sink->put(sink->ctx, MS_REC_HOST, &host, NULL);
}

/* --- the VM, its files, vCPUs and slots --- */

static void comm_set(char *comm, const char *owner)
{
	snprintf(comm, MS_COMM_LEN, "%s", owner);
}

static struct ms_err *put_vm(const struct ms_sim_shown *shown, const struct ms_want *want,
			     const struct ms_sink *sink)
{
	const struct nmmu *m = shown->m;
	struct ms_rec_vm vm = {
		.have = MS_VM_HAVE_OWNER | MS_VM_HAVE_USED | MS_VM_HAVE_INDIRECT | MS_VM_HAVE_VALID_GEN |
			MS_VM_HAVE_ONLINE_VCPUS | MS_VM_HAVE_CREATED_VCPUS | MS_VM_HAVE_INVALIDATE |
			MS_VM_HAVE_PAGES_4K | MS_VM_HAVE_PAGES_2M | MS_VM_HAVE_PAGES_1G | MS_VM_HAVE_LEGACY |
			MS_VM_HAVE_NX_DISABLED | MS_VM_HAVE_LOG_MODE,
		.kvm = ms_sim_kvm(m),
		.pid = MS_SIM_PID,
		.n_used_mmu_pages = m->nr_used,
		.invalidate_seq = m->invalidate_seq,
		.invalidate_in_progress = m->invalidate_in_progress,
		.pages_4k = m->stats.pages[0],
		.pages_2m = m->stats.pages[1],
		.pages_1g = m->stats.pages[2],
		.indirect_shadow_pages = m->nr_indirect,
		.online_vcpus = m->nr_vcpus,
		.created_vcpus = m->nr_vcpus,
		.mmu_valid_gen = m->valid_gen,
		.log_mode = m->log_mode,
	};

	if (shown->machine && want->what & MS_WANT_CHANGED)
		vm.have |= MS_VM_HAVE_CHANGED;
	comm_set(vm.comm, shown->owner);
	if (m->cfg.pins && want->what & MS_WANT_PINS)
		vm.have |= MS_VM_HAVE_PINS;
	if (m->nr_max) {
		vm.have |= MS_VM_HAVE_MAX;
		vm.n_max_mmu_pages = m->nr_max;
	}
	if (m->cfg.kernel == NMMU_6_12) {
		vm.have |= MS_VM_HAVE_MMIO_VALUE;
		vm.mmio_value = m->profile.m.mmio_value;
	}
	return sink->put(sink->ctx, MS_REC_VM, &vm, NULL);
}

static struct ms_err *put_fds(const struct ms_sim_shown *shown, const struct ms_sink *sink)
{
	struct ms_rec_fd fd = {
		.kvm = ms_sim_kvm(shown->m), .pid = MS_SIM_PID, .fd = MS_SIM_FD, .kind = MS_FD_VM
	};
	const struct nmmu_vcpu *v;
	struct ms_err *err;

	comm_set(fd.comm, shown->owner);
	err = sink->put(sink->ctx, MS_REC_FD, &fd, NULL);
	fd.kind = MS_FD_VCPU;
	for (v = shown->m->vcpus; v && !err; v = v->next) {
		fd.vcpu = v->ident;
		fd.fd = (s32)(MS_SIM_FD + 1 + v->id);
		err = sink->put(sink->ctx, MS_REC_FD, &fd, NULL);
	}
	return err;
}

static u64 mmu_ident(const struct nmmu_vcpu *v, enum ms_mmu_which which)
{
	return v->ident + MMU_OFFSET + which * MMU_STRIDE;
}

static struct ms_err *put_vcpus(const struct ms_sim_shown *shown, const struct ms_sink *sink)
{
	const struct nmmu_vcpu *v;
	struct ms_err *err = NULL;

	for (v = shown->m->vcpus; v && !err; v = v->next) {
		struct ms_rec_vcpu rec = {
			/* mode is OUTSIDE_GUEST_MODE: a machine in process stands still while it is read. */
			.have = MS_VCPU_HAVE_MODE | MS_VCPU_HAVE_CR0 | MS_VCPU_HAVE_CR3 | MS_VCPU_HAVE_CR4 |
				MS_VCPU_HAVE_EFER | MS_VCPU_HAVE_GUEST_MODE | MS_VCPU_HAVE_SMM,
			.kvm = ms_sim_kvm(shown->m),
			.vcpu = v->ident,
			.vcpu_id = (s32)v->id,
			.vcpu_idx = (s32)v->id,
			.cr0 = v->regs.cr0,
			.cr3 = v->regs.cr3,
			.cr4 = v->regs.cr4,
			.efer = v->regs.efer,
			.guest_mode = v->guest_mode,
			.smm = v->regs.smm,
		};

		if (shown->m->cfg.hv == MS_HV_VMX && v->guest_mode) {
			rec.have |= MS_VCPU_HAVE_PML02;
			rec.pml02 = nmmu_vcpu_pml(v);
		}
		if (v->mmu && v->walk_mmu) {
			rec.have |= MS_VCPU_HAVE_MMU;
			rec.mmu = mmu_ident(v, v->mmu->which);
			rec.walk_mmu = mmu_ident(v, v->walk_mmu->which);
		}
		err = sink->put(sink->ctx, MS_REC_VCPU, &rec, NULL);
	}
	return err;
}

static struct ms_err *put_slots(const struct ms_sim_shown *shown, const struct ms_sink *sink)
{
	const struct nmmu *m = shown->m;
	const struct nmmu_slot *slot;
	struct ms_err *err = NULL;
	u32 as;

	for (as = 0; as < NMMU_NR_AS; as++)
		for (slot = m->as[as].first; slot && !err; slot = slot->next) {
			struct ms_rec_slot rec = {
				.have = MS_SLOT_HAVE_DIRTY_BITMAP | MS_SLOT_HAVE_GENERATION,
				.kvm = ms_sim_kvm(m),
				.base_gfn = slot->base_gfn,
				.nr_pages = slot->nr_pages,
				.hva = slot->hva,
				.generation = m->as[as].generation,
				.flags = slot->flags,
				.id = (s16)slot->id,
				.as_id = slot->as_id,
			};

			if (slot->dirty)
				rec.dirty_bitmap = SLAB_IDENT | ((u64)as << 28) | (u64)slot->id << 12;
			err = sink->put(sink->ctx, MS_REC_SLOT, &rec, NULL);
		}
	return err;
}

/* --- MMUs --- */

static u64 page_ident(const struct nmmu_page *page)
{
	return page->va ? DIRECT_MAP + page->pa : 0;
}

static struct ms_err *put_mmu(const struct ms_sim_shown *shown, const struct nmmu_vcpu *v,
			      const struct nmmu_mmu *mmu, const struct ms_sink *sink)
{
	struct ms_rec_mmu rec = {
		.have = MS_MMU_HAVE_CPU_ROLE | MS_MMU_HAVE_ROOT_ROLE | MS_MMU_HAVE_PREV |
			MS_MMU_HAVE_PAE_ROOT | MS_MMU_HAVE_PML4_ROOT | MS_MMU_HAVE_PML5_ROOT |
			MS_MMU_HAVE_PDPTRS,
		.kvm = ms_sim_kvm(shown->m),
		.vcpu = v->ident,
		.mmu = mmu_ident(v, mmu->which),
		.which = mmu->which,
		.root_role = mmu->root_role.word,
		.cpu_role = mmu->cpu_role.base.word | (u64)mmu->cpu_role.ext.word << 32,
		.root = { .pgd = mmu->root.pgd, .hpa = mmu->root.hpa },
		.pae_root = page_ident(&mmu->pae_root),
		.pml4_root = page_ident(&mmu->pml4_root),
		.pml5_root = page_ident(&mmu->pml5_root),
	};
	u32 i;

	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		rec.prev[i] = (struct ms_rec_root){ mmu->prev[i].pgd, mmu->prev[i].hpa };
	for (i = 0; i < 4; i++)
		rec.pdptrs[i] = mmu->pdptrs[i];
	return sink->put(sink->ctx, MS_REC_MMU, &rec, NULL);
}

static struct ms_err *put_mmus(const struct ms_sim_shown *shown, const struct ms_sink *sink)
{
	const struct nmmu_vcpu *v;
	struct ms_err *err = NULL;

	for (v = shown->m->vcpus; v && !err; v = v->next) {
		err = put_mmu(shown, v, &v->root_mmu, sink);
		if (!err)
			err = put_mmu(shown, v, &v->guest_mmu, sink);
		if (!err)
			err = put_mmu(shown, v, &v->nested_mmu, sink);
	}
	return err;
}

/* --- shadow pages --- */

#define EACH_SP(m, sp, link)                                                                               \
	for ((link) = (m)->active_pages.next;                                                              \
	     (link) != &(m)->active_pages &&                                                               \
	     ((sp) = (const struct nmmu_sp *)((const char *)(link)-offsetof(struct nmmu_sp, link)), true); \
	     (link) = (link)->next)

/* Tables by their place in this process, to name an SPTE by its place in the simulated host. */
struct tables {
	struct ms_map at; /* address of the table -> index */
	u64 *pa;
	size_t nr, cap;
};

static void tables_deinit(struct tables *tables)
{
	ms_map_deinit(&tables->at);
	free(tables->pa);
}

static struct ms_err *tables_init(struct tables *tables, const struct nmmu *m)
{
	const struct nmmu_link *link;
	const struct nmmu_sp *sp;
	u64 *grown;

	*tables = (struct tables){ 0 };
	EACH_SP(m, sp, link)
	{
		grown = ms_grow(tables->pa, &tables->cap, tables->nr + 1, sizeof(*grown));
		if (!grown || !ms_map_put(&tables->at, (u64)(uintptr_t)sp->spt, (u32)tables->nr)) {
			if (grown)
				tables->pa = grown;
			tables_deinit(tables);
			return ms_err_nomem();
		}
		tables->pa = grown;
		tables->pa[tables->nr++] = sp->spt_pa;
	}
	return NULL;
}

/* The parent_ptes word as the simulated host would have it. */
static u64 parents_word(const struct tables *tables, const struct nmmu_sp *sp)
{
	uintptr_t val = sp->parents.val, offset = val % NMMU_PAGE_SIZE;
	u32 at;

	if (!val)
		return 0;
	if (val & 1) /* descriptors: one slab object for each page, and the bit that says so */
		return SLAB_IDENT | (sp->spt_pa & 0xffffff000ull) >> 4 | 1;
	at = ms_map_get(&tables->at, val - offset);
	return at == MS_MAP_NONE ? SLAB_IDENT : DIRECT_MAP + tables->pa[at] + offset;
}

static struct ms_err *put_sp(const struct ms_sim_shown *shown, const struct ms_want *want,
			     const struct tables *parents, const struct nmmu_sp *sp, u64 order,
			     const struct ms_sink *sink)
{
	struct ms_rec_sp rec = {
		.have = MS_SP_HAVE_UNSYNC | MS_SP_HAVE_UNSYNC_CHILDREN | MS_SP_HAVE_ROOT_COUNT |
			MS_SP_HAVE_PARENTS | MS_SP_HAVE_GEN | MS_SP_HAVE_NX_DISALLOWED |
			MS_SP_HAVE_WRITE_FLOODING | MS_SP_HAVE_NX_POSSIBLE,
		.kvm = ms_sim_kvm(shown->m),
		.sp = sp->id,
		.gfn = sp->gfn,
		.spt_pfn = sp->spt_pa >> NMMU_PAGE_SHIFT,
		.parents = parents_word(parents, sp),
		.translation = sp->translation ? (DIRECT_MAP + sp->spt_pa) ^ 0x1000000000ull : 0,
		.order = order,
		.role = sp->role.word,
		.root_count = sp->root_count,
		.unsync_children = sp->unsync_children,
		.write_flooding = sp->write_flooding,
		.unsync = sp->unsync,
		.mmu_valid_gen = sp->gen,
		.nx_disallowed = sp->nx_disallowed,
		.nx_possible = sp->nx_link.next != &sp->nx_link,
		.state = MS_SP_CONFIRMED,
	};
	struct ms_sp_tables tables;

	if (!(want->what & MS_WANT_SPTES))
		return sink->put(sink->ctx, MS_REC_SP, &rec, NULL);
	rec.have |= MS_SP_HAVE_SPTES;
	memcpy(tables.sptes, sp->spt, sizeof(tables.sptes));
	if (sp->translation) {
		rec.have |= MS_SP_HAVE_TRANSLATIONS;
		memcpy(tables.translations, sp->translation, sizeof(tables.translations));
	}
	return sink->put(sink->ctx, MS_REC_SP, &rec, &tables);
}

static struct ms_err *put_sps(const struct ms_sim_shown *shown, const struct ms_want *want,
			      const struct ms_sink *sink)
{
	struct ms_rec_walk walk = { .kvm = ms_sim_kvm(shown->m),
				    .flags = MS_WALK_LEGACY,
				    .start_ns = now_ns(CLOCK_MONOTONIC) };
	const struct nmmu_link *link;
	const struct nmmu_sp *sp;
	struct tables tables;
	struct ms_err *err;

	err = tables_init(&tables, shown->m);
	if (err)
		return err;
	EACH_SP(shown->m, sp, link)
	{
		err = put_sp(shown, want, &tables, sp, walk.nr_pages, sink);
		if (err)
			break;
		walk.nr_pages++;
		if (want->progress && walk.nr_pages % PROGRESS_EVERY == 0 &&
		    !want->progress(want->progress_ctx, walk.nr_pages)) {
			walk.flags |= MS_WALK_BROKEN;
			break;
		}
	}
	tables_deinit(&tables);
	if (err)
		return err;
	walk.end_ns = now_ns(CLOCK_MONOTONIC);
	return sink->put(sink->ctx, MS_REC_WALK, &walk, NULL);
}

/* --- lists of SPTEs, counts of frames --- */

struct put_lists {
	const struct ms_sim_shown *shown;
	const struct tables *tables;
	const struct ms_sink *sink;
	struct ms_rec_rmaps rec;
	u64 nr_descs; /* names descriptors */
};

/* An SPTE's address in the simulated host. */
static u64 spte_ident(const struct tables *tables, const u64 *sptep)
{
	uintptr_t val = (uintptr_t)sptep, offset = val % NMMU_PAGE_SIZE;
	u32 at = ms_map_get(&tables->at, val - offset);

	return at == MS_MAP_NONE ? SLAB_IDENT : DIRECT_MAP + tables->pa[at] + offset;
}

/* Descriptors of reverse maps: behind those that parents_word() names. */
static u64 desc_ident(u64 n)
{
	return (SLAB_IDENT | 0x400000000ull) + n * 128;
}

static struct ms_err *put_list(struct put_lists *p, struct nmmu_rmap head, struct ms_rec_rmap *rec)
{
	const struct nmmu_pte_desc *first = NULL, *desc;
	struct ms_err *err;
	u32 i;

	if (!head.val)
		return NULL;
	rec->kvm = ms_sim_kvm(p->shown->m);
	if (p->shown->m->cfg.kernel == NMMU_6_12)
		rec->have |= MS_RMAP_HAVE_TAIL_COUNT;
	if (head.val & 1)
		first = (const struct nmmu_pte_desc *)(head.val & ~(uintptr_t)1);
	for (desc = first; desc; desc = desc->more) {
		rec->nr_descs++;
		rec->nr_entries += desc->nr;
	}
	if (!first) {
		rec->nr_entries = 1;
		rec->head = spte_ident(p->tables, (const u64 *)head.val);
	} else if (!rec->sp) {
		rec->head = desc_ident(p->nr_descs) | MS_RMAP_MANY;
	}
	p->rec.nr_lists++;
	err = p->sink->put(p->sink->ctx, MS_REC_RMAP, rec, NULL);
	for (desc = first; desc && !err; desc = desc->more) {
		struct ms_rec_rmap_desc out = { .kvm = rec->kvm, .count = desc->nr };

		out.desc = desc == first ? rec->head & ~MS_RMAP_FLAGS : desc_ident(p->nr_descs);
		p->nr_descs++;
		out.more = desc->more ? desc_ident(p->nr_descs) : 0;
		if (rec->have & MS_RMAP_HAVE_TAIL_COUNT)
			out.tail_count = desc->tail_count;
		for (i = 0; i < desc->nr && i < MS_RMAP_EXT; i++)
			out.sptes[i] = spte_ident(p->tables, desc->sptes[i]);
		err = p->sink->put(p->sink->ctx, MS_REC_RMAP_DESC, &out, NULL);
	}
	return err;
}

static struct ms_err *put_count(struct put_lists *p, const struct nmmu_slot *slot, u32 level, u64 gfn,
				u32 count)
{
	struct ms_rec_gfn rec = { .kvm = ms_sim_kvm(p->shown->m),
				  .gfn = gfn,
				  .count = count,
				  .as_id = slot->as_id,
				  .level = (u8)level };

	if (!count)
		return NULL;
	p->rec.nr_counts++;
	return p->sink->put(p->sink->ctx, MS_REC_GFN, &rec, NULL);
}

static struct ms_err *put_slot_lists(struct put_lists *p, const struct nmmu_slot *slot)
{
	struct ms_err *err = NULL;
	u32 level, shift;
	u64 gfn, last, i;

	for (level = 1; level <= NMMU_LPAGE_LEVELS + 1; level++) {
		shift = 9 * (level - 1);
		last = (slot->base_gfn + slot->nr_pages - 1) >> shift;
		for (i = 0; (slot->base_gfn >> shift) + i <= last && !err; i++) {
			struct ms_rec_rmap rec = { .have = MS_RMAP_HAVE_GFN,
						   .as_id = slot->as_id,
						   .level = (u8)level };

			gfn = ((slot->base_gfn >> shift) + i) << shift;
			rec.gfn = gfn;
			err = put_list(p, slot->rmap[level - 1][i], &rec);
			if (!err)
				err = put_count(p, slot, level, gfn,
						level == 1 ? slot->write_track[i]
							   : slot->disallow_lpage[level - 2][i]);
		}
	}
	return err;
}

static struct ms_err *put_rmaps(const struct ms_sim_shown *shown, const struct ms_sink *sink)
{
	struct put_lists p = { .shown = shown, .sink = sink };
	const struct nmmu_slot *slot;
	const struct nmmu_link *link;
	const struct nmmu_sp *sp;
	struct tables tables;
	struct ms_err *err;
	u32 as;

	p.rec = (struct ms_rec_rmaps){
		.have = MS_RMAPS_HAVE_RMAPS | MS_RMAPS_HAVE_PARENTS | MS_RMAPS_HAVE_WRITE_TRACK |
			MS_RMAPS_HAVE_LPAGE | MS_RMAPS_HAVE_DIRECT_MAP | MS_RMAPS_HAVE_GENERATION,
		.kvm = ms_sim_kvm(shown->m),
		.direct_map = DIRECT_MAP,
		.generation = { shown->m->as[0].generation, shown->m->as[1].generation },
		.start_ns = now_ns(CLOCK_MONOTONIC)
	};
	err = tables_init(&tables, shown->m);
	if (err)
		return err;
	p.tables = &tables;
	for (as = 0; as < NMMU_NR_AS && !err; as++)
		for (slot = shown->m->as[as].first; slot && !err; slot = slot->next)
			if (slot->arrays && slot->nr_pages)
				err = put_slot_lists(&p, slot);
	EACH_SP(shown->m, sp, link)
	{
		struct ms_rec_rmap rec = { .sp = sp->id,
					   .head = parents_word(&tables, sp),
					   .level = (u8)(sp->role.level + 1) };

		if (err)
			break;
		err = put_list(&p, sp->parents, &rec);
	}
	tables_deinit(&tables);
	p.rec.end_ns = now_ns(CLOCK_MONOTONIC);
	return err ? err : sink->put(sink->ctx, MS_REC_RMAPS, &p.rec, NULL);
}

/* --- pin tables --- */

static struct ms_err *put_pins(const struct ms_sim_shown *shown, const struct ms_sink *sink)
{
	const struct nmmu_slot *slot;
	struct ms_err *err = NULL;
	u64 i, left;
	u32 as;

	for (as = 0; as < NMMU_NR_AS && !err; as++)
		for (slot = shown->m->as[as].first; slot && !err; slot = slot->next)
			for (i = 0, left = slot->nr_pins; left && i < slot->nr_pages && !err; i++) {
				struct ms_rec_pin rec = { .kvm = ms_sim_kvm(shown->m),
							  .gfn = slot->base_gfn + i,
							  .pfn = slot->pins[i].pfn,
							  .as_id = slot->as_id,
							  .slot = slot->id,
							  .level = slot->pins[i].level,
							  .mapped = slot->pins[i].mapped > 0 };

				if (!rec.level)
					continue;
				left--;
				err = sink->put(sink->ctx, MS_REC_PIN, &rec, NULL);
			}
	return err;
}

/* --- what was written --- */

struct put_changed {
	const struct ms_sim_shown *shown;
	const struct ms_sink *sink;
	struct ms_err *err;
};

static int put_one_changed(void *ctx, const struct ms_rec_changed *changed)
{
	struct put_changed *p = ctx;
	struct ms_rec_changed rec = *changed;

	rec.kvm = ms_sim_kvm(p->shown->m);
	p->err = p->sink->put(p->sink->ctx, MS_REC_CHANGED, &rec, NULL);
	return p->err ? 1 : 0;
}

static struct ms_err *put_changed(const struct ms_sim_shown *shown, const struct ms_sink *sink)
{
	struct put_changed p = { .shown = shown, .sink = sink };

	if (shown->machine)
		ms_machine_changed(shown->machine, put_one_changed, &p);
	return p.err;
}

struct ms_err *ms_sim_records(const struct ms_sim_shown *shown, const struct ms_want *want,
			      const struct ms_sink *sink)
{
	struct ms_err *err = put_host(shown, sink);

	if (!err)
		err = put_vm(shown, want, sink);
	if (err || (want->kvm && want->kvm != ms_sim_kvm(shown->m)))
		return err;
	if (want->what & MS_WANT_VCPUS)
		err = put_fds(shown, sink);
	/* An MMU's vCPU must have come before it. */
	if (!err && want->what & (MS_WANT_VCPUS | MS_WANT_MMUS))
		err = put_vcpus(shown, sink);
	if (!err && want->what & MS_WANT_SLOTS)
		err = put_slots(shown, sink);
	if (!err && want->what & MS_WANT_MMUS)
		err = put_mmus(shown, sink);
	if (!err && want->what & (MS_WANT_SPS | MS_WANT_SPTES))
		err = put_sps(shown, want, sink);
	if (!err && want->what & MS_WANT_RMAPS)
		err = put_rmaps(shown, sink);
	if (!err && want->what & MS_WANT_PINS)
		err = put_pins(shown, sink);
	if (!err && want->what & MS_WANT_GUEST)
		err = ms_sim_guest(shown, want, sink);
	if (!err && want->what & MS_WANT_CHANGED)
		err = put_changed(shown, sink);
	return err;
}
