// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM's memory: geometry drawn from the seed, slots, L1's tables and image, the parameter block. After
 * mem_setup() nothing here writes guest memory any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define SIZE_2M (2 * MIB)
#define MMIO_END (3 * GIB + 768 * MIB) /* below the local APIC's page */
#define TABLE_ENTRIES 512ull
#define MAX_EXITS 4096ull /* of L1's log of nested faults, a ring */
#define MAX_PML 65536ull /* of L1's copy of L2's page-modification log */

enum draw { DRAW_L2_BASE = 0x8000, DRAW_DATA_BASE, DRAW_RO_BASE, DRAW_MMIO_BASE, DRAW_STORM_BASE };

static uint64_t round_up(uint64_t x, uint64_t unit)
{
	return (x + unit - 1) / unit * unit;
}

/* A frame in [lo_gpa, hi_gpa), aligned to 2M, such that nr frames from it still lie inside. */
static uint64_t base_draw(struct vmm_vm *vm, enum draw what, uint64_t lo_gpa, uint64_t hi_gpa, uint64_t nr)
{
	uint64_t size = round_up(nr << GFN_SHIFT, SIZE_2M);

	if (size > hi_gpa - lo_gpa)
		vmm_fail(VMM_USAGE, "geometry: %llu pages do not fit the window at %#llx",
			 (unsigned long long)nr, (unsigned long long)lo_gpa);
	lo_gpa += gf_draw(vm->seed, what, 0) % ((hi_gpa - lo_gpa - size) / SIZE_2M + 1) * SIZE_2M;
	return lo_gpa >> GFN_SHIFT;
}

struct vmm_slot *mem_slot_of(struct vmm_vm *vm, uint64_t gpa)
{
	for (int i = 0; i < NR_SLOTS; i++)
		if (gpa >= vm->slot[i].gpa && gpa - vm->slot[i].gpa < vm->slot[i].size_bytes)
			return &vm->slot[i];
	return NULL;
}

void *mem_ptr(struct vmm_vm *vm, uint64_t gpa, uint64_t len)
{
	struct vmm_slot *slot = mem_slot_of(vm, gpa);

	if (!slot || len > slot->size_bytes - (gpa - slot->gpa))
		return NULL;
	return slot->hva + (gpa - slot->gpa);
}

void mem_slot_set(struct vmm_vm *vm, enum vmm_slot_id id, bool present)
{
	struct vmm_slot *slot = &vm->slot[id];
	struct kvm_userspace_memory_region region = {
		.slot = id,
		.flags = slot->flags,
		.guest_phys_addr = slot->gpa,
		.memory_size = present ? slot->size_bytes : 0,
		.userspace_addr = (uintptr_t)slot->hva,
	};

	vmm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
}

static void slot_create(struct vmm_vm *vm, enum vmm_slot_id id, uint64_t gpa, uint64_t size, uint32_t flags,
			bool thp)
{
	bool hugetlb = id == SLOT_SYS && vm->vmm->opts.sys_hugetlb;
	struct vmm_slot *slot = &vm->slot[id];
	char *p;

	if (!size)
		return;
	/*
	 * Twice the alignment is reserved, so that guest and host address are equal modulo 2M; hugetlbfs aligns by
	 * itself, and its pages are taken now.
	 */
	p = mmap(NULL, hugetlb ? size : size + SIZE_2M, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | (hugetlb ? MAP_HUGETLB : MAP_NORESERVE), -1, 0);
	if (p == MAP_FAILED)
		vmm_fail(VMM_ENVIRONMENT, "mmap of %llu MiB: %s", (unsigned long long)(size / MIB),
			 strerror(errno));
	*slot = (struct vmm_slot){
		.gpa = gpa, .size_bytes = size, .flags = flags, .thp = thp, .hugetlb = hugetlb
	};
	slot->hva = (char *)round_up((uintptr_t)p, SIZE_2M);
	if (!hugetlb && madvise(slot->hva, size, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		vmm_fail(VMM_ENVIRONMENT, "madvise(%s): %s", thp ? "MADV_HUGEPAGE" : "MADV_NOHUGEPAGE",
			 strerror(errno));
	/*
	 * A page that was only read would be the zero page, and the first write to it a change of the host's
	 * tables.
	 */
	if (vm->vmm->opts.trace && madvise(slot->hva, size, MADV_POPULATE_WRITE))
		vmm_fail(VMM_ENVIRONMENT, "madvise(MADV_POPULATE_WRITE): %s", strerror(errno));
	mem_slot_set(vm, id, true);
}

/* Item ranges in both address spaces. */
static void ranges_draw(struct vmm_vm *vm, struct gf_param *p)
{
	const struct vmm_opts *o = &vm->vmm->opts;
	uint64_t leaf = o->size_2m ? TABLE_ENTRIES : 1, step = o->stride * leaf, nr = 0, l2_gfn, top;
	uint64_t mmio_more = o->stubborn_mmio ? o->stubborn_pages : 0;
	bool dense = o->mode == GF_NESTED && o->map != 1;
	struct gf_range *r = p->range;

	r[GF_DATA].nr = o->pages;
	r[GF_ALIAS].nr = o->alias;
	r[GF_RO].nr = o->ro;
	r[GF_MMIO].nr = o->mmio;
	r[GF_STORM].nr = o->storm_pages;
	r[GF_MISCONF].nr = o->misconf;
	r[GF_STUBBORN].nr = o->stubborn_pages;
	r[GF_DATA].l1_step = dense ? leaf : step;
	for (int kind = GF_RO; kind < GF_NR_ITEM_KINDS; kind++)
		r[kind].l1_step = 1;
	p->nr_l1page = o->pages;
	if (o->rewrite == GF_REWRITE_MOVE || o->rewrite == GF_REWRITE_MIX)
		p->nr_l1page *= 2;

	/* Not far up: L1's own tables have to reach it. */
	r[GF_DATA].l1_gfn = (4 * GIB + gf_draw(vm->seed, DRAW_DATA_BASE, 0) % 4096 * SIZE_2M) >> GFN_SHIFT;
	if (o->paging == PAGING_32) /* within 32 bits, and at a multiple of a large page */
		r[GF_DATA].l1_gfn =
			base_draw(vm, DRAW_DATA_BASE, 1 * GIB, 2 * GIB, o->pages + 4096) & ~1023ull;
	r[GF_RO].l1_gfn = base_draw(vm, DRAW_RO_BASE, 2 * GIB, 3 * GIB, o->ro);
	r[GF_MMIO].l1_gfn = base_draw(vm, DRAW_MMIO_BASE, 3 * GIB, MMIO_END, o->mmio + mmio_more);
	if (mmio_more)
		r[GF_STUBBORN].l1_gfn = r[GF_MMIO].l1_gfn + o->mmio;
	r[GF_STORM].l1_gfn = base_draw(vm, DRAW_STORM_BASE, 1 * GIB, 2 * GIB, o->storm_pages);
	top = r[GF_DATA].l1_gfn + p->nr_l1page * r[GF_DATA].l1_step;
	if (top > 1ull << (vm->vmm->phys_bits - GFN_SHIFT))
		vmm_fail(VMM_USAGE, "geometry: the data pages end above the CPU's %u address bits",
			 vm->vmm->phys_bits);

	for (int kind = 0; kind < GF_NR_ITEM_KINDS; kind++)
		nr += r[kind].nr;
	l2_gfn = base_draw(vm, DRAW_L2_BASE, 4 * GIB, 1ull << vm->vmm->phys_bits, nr * step);
	for (int kind = 0; kind < GF_NR_ITEM_KINDS; kind++) {
		r[kind].l2_gfn = o->map == 1 ? r[kind].l1_gfn : l2_gfn;
		r[kind].l2_step = o->map == 1 && kind != GF_DATA ? 1 : step;
		l2_gfn += r[kind].nr * step;
	}
	p->max_work = o->paging ? 0 : nr;
}

static uint64_t area_take(uint64_t *at, uint64_t size_bytes)
{
	uint64_t gpa = *at;

	*at += round_up(size_bytes, 1 << GFN_SHIFT);
	return gpa;
}

/*
 * Upper bound of the tables a 4-level tree needs for leaves of the given level: one for each item, or as many
 * as the span has.
 */
static uint64_t tables_bound(const struct gf_param *p, int leaf_level)
{
	uint64_t total = 0, span = 0;

	for (int kind = 0; kind < GF_NR_ITEM_KINDS; kind++)
		span += p->range[kind].nr * p->range[kind].l2_step;
	for (int level = leaf_level; level <= 4; level++) {
		uint64_t in_span = (span >> (9 * level)) + 2 * GF_NR_ITEM_KINDS;

		total += p->max_work < in_span ? p->max_work : in_span;
	}
	/* What maps the system area (below 1G, 2M for each table), its upper tables, and a root. */
	return total + 64;
}

/* Places the logs, pools and stacks in the system area; returns its end. */
static uint64_t areas_place(struct vmm_vm *vm, struct gf_param *p, uint64_t nr_l1_tables,
			    uint64_t *l1_tables_ret, uint64_t *l1_stacks_ret, uint64_t *paging_ret)
{
	const struct vmm_opts *o = &vm->vmm->opts;
	uint64_t at = GF_SYS_GPA;

	*l1_tables_ret = area_take(&at, nr_l1_tables << GFN_SHIFT);
	*l1_stacks_ret = area_take(&at, o->vcpus * 16384);
	*paging_ret = area_take(&at, o->paging ? paging_area_bytes(o) : 0);
	p->argpage_gpa = area_take(&at, sizeof(struct gf_argpage));
	p->l2_stack_gpa = area_take(&at, o->vcpus << GFN_SHIFT);
	p->work_gpa = area_take(&at, p->max_work * sizeof(struct gf_work));
	p->l1page_gpa = area_take(&at, p->nr_l1page * sizeof(struct gf_l1page));
	p->perm_gpa = area_take(&at, o->pages * sizeof(gf_u32));
	p->order_gpa = area_take(&at, p->max_work * sizeof(gf_u32));
	if (o->mode == GF_NESTED) {
		p->l2_pool_pages = tables_bound(p, 2);
		p->l2_pool_gpa = area_take(&at, p->l2_pool_pages << GFN_SHIFT);
	}
	p->max_rec = p->max_work + p->l2_pool_pages + p->max_work * sizeof(struct gf_work) / 4096 + 16;
	p->rec_gpa = area_take(&at, p->max_rec * sizeof(struct gf_rec));
	if (o->mode == GF_NESTED) {
		p->npt_pool_pages = tables_bound(p, 1) + (at >> 21) + (o->npt_roots - 1);
		p->table_gpa = area_take(&at, p->npt_pool_pages * sizeof(struct gf_table));
		p->npt_pool_gpa = area_take(&at, p->npt_pool_pages << GFN_SHIFT);
		p->max_exit = MAX_EXITS;
		p->exit_gpa = area_take(&at, p->max_exit * sizeof(struct gf_l1exit));
		p->max_pml = o->pml ? MAX_PML : 0;
		p->pml_gpa = area_take(&at, p->max_pml * sizeof(struct gf_pml));
	}
	if (at > GIB)
		vmm_fail(VMM_USAGE, "geometry: logs and tables need %llu MiB, more than 1 GiB",
			 (unsigned long long)(at / MIB));
	return round_up(at, SIZE_2M);
}

static void param_fill(struct vmm_vm *vm, struct gf_param *p)
{
	const struct vmm_opts *o = &vm->vmm->opts;

	p->magic = GF_MAGIC;
	p->version = GF_VERSION;
	p->mode = o->mode;
	p->order = o->order;
	p->rewrite = o->rewrite;
	p->leaf_level = o->size_2m ? 2 : 1;
	p->nr_vcpus = o->vcpus;
	p->nr_rounds = o->rounds;
	p->nr_passes = o->passes;
	p->write_pct = o->write_pct;
	p->npt_ro_pct = o->npt_ro_pct;
	p->rewrite_pct = o->rewrite_pct;
	p->seed = vm->seed;
	p->vendor = vm->vmm->vendor;
	p->l1_write_pct = o->l1_write;
	p->stubborn = o->stubborn;
	p->flags = (o->npt_fault ? GF_F_NPT_FAULT : 0) | (o->npt_ad ? GF_F_NPT_AD : 0) |
		   (o->at_l2 ? GF_F_AT_L2 : 0) | (o->hold == HOLD_RUN ? GF_F_HOLD_RUN : 0) |
		   (o->ro_write ? GF_F_RO_WRITE : 0) | (o->l1_touch ? GF_F_L1_TOUCH : 0) |
		   (o->rounds ? 0 : GF_F_ENDLESS) | (o->map == 2 ? GF_F_SHUFFLE : 0) |
		   (o->npt_nx ? GF_F_NPT_NX : 0) | (o->stop_rewritten ? GF_F_STOP_REWRITTEN : 0) |
		   (o->npt_roots > 1 ? GF_F_TWO_ROOTS : 0) | (o->trace ? GF_F_TRACE : 0) |
		   (o->eptp_ad && vm->vmm->vendor == GF_VMX ? GF_F_EPT_AD : 0) | (o->pml ? GF_F_PML : 0) |
		   (o->write_redraw ? GF_F_REDRAW : 0) | (o->stores ? GF_F_STORES : 0) |
		   (o->stores_avx ? GF_F_STORES_AVX : 0);
}

/* L1's tables: identity, 2M leaves, supervisor, A and D set, over [0, top_gpa). */
static void l1_tables_build(struct vmm_vm *vm, uint64_t tables_gpa, uint64_t top_gpa)
{
	uint64_t nr_pd = round_up(top_gpa, GIB) / GIB,
		 nr_pdpt = round_up(nr_pd, TABLE_ENTRIES) / TABLE_ENTRIES;
	uint64_t pdpt_gpa = tables_gpa + 4096, pd_gpa = pdpt_gpa + (nr_pdpt << GFN_SHIFT);
	uint64_t *pml4 = mem_ptr(vm, tables_gpa, (1 + nr_pdpt + nr_pd) << GFN_SHIFT);
	uint64_t *pdpt = pml4 + TABLE_ENTRIES, *pd = pdpt + nr_pdpt * TABLE_ENTRIES;

	for (uint64_t i = 0; i < nr_pdpt; i++)
		pml4[i] = (pdpt_gpa + (i << GFN_SHIFT)) | 0x23;
	for (uint64_t i = 0; i < nr_pd; i++)
		pdpt[i] = (pd_gpa + (i << GFN_SHIFT)) | 0x23;
	for (uint64_t i = 0; i < nr_pd * TABLE_ENTRIES; i++)
		pd[i] = i * SIZE_2M | 0xe3;
	vm->l1_cr3 = tables_gpa;
	vm->table_gpa = tables_gpa;
	vm->nr_table_pages = 1 + nr_pdpt + nr_pd;
}

static void image_load(struct vmm_vm *vm)
{
	const char *path = vm->vmm->opts.image, *name = "l1.bin";
	char beside[4096], *image = mem_ptr(vm, GF_IMAGE_GPA, GF_SYS_GPA - GF_IMAGE_GPA), *slash;
	ssize_t n;
	int fd;

	if (vm->vmm->opts.paging)
		name = vm->vmm->opts.paging == PAGING_64 ? "script64.bin" : "script32.bin";
	if (!path) {
		n = readlink("/proc/self/exe", beside, sizeof(beside) - 16);
		if (n < 0)
			vmm_fail(VMM_ENVIRONMENT, "/proc/self/exe: %s", strerror(errno));
		beside[n] = 0;
		slash = strrchr(beside, '/');
		strcpy(slash ? slash + 1 : beside, name);
		path = beside;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", path, strerror(errno));
	n = read(fd, image, GF_SYS_GPA - GF_IMAGE_GPA);
	if (n <= 0)
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", path, n ? strerror(errno) : "empty");
	close(fd);
}

static void values_fill(struct vmm_vm *vm)
{
	struct gf_param *p = vm->param;
	struct gf_range *data = &p->range[GF_DATA];

	for (uint64_t i = 0; i < p->nr_l1page; i++) {
		uint64_t gfn = data->l1_gfn + i * data->l1_step;
		uint64_t gpa = (gfn << GFN_SHIFT) + gf_word_offset(vm->seed, gfn, p->leaf_level);

		*(uint64_t *)mem_ptr(vm, gpa, 8) = gf_initial_value(vm->seed, gfn);
	}
	for (uint64_t i = 0; i < p->range[GF_RO].nr; i++) {
		uint64_t gfn = p->range[GF_RO].l1_gfn + i;
		uint64_t gpa = (gfn << GFN_SHIFT) + gf_word_offset(vm->seed, gfn, 1);

		*(uint64_t *)mem_ptr(vm, gpa, 8) = gf_initial_value(vm->seed, gfn);
	}
}

void mem_setup(struct vmm_vm *vm)
{
	const struct vmm_opts *o = &vm->vmm->opts;
	uint64_t top_gpa, end, l1_tables, l1_stacks, paging_area, data_size,
		leaf = o->size_2m ? SIZE_2M : 1 << GFN_SHIFT;
	struct gf_param param = { 0 };
	struct gf_range *data = &param.range[GF_DATA];

	ranges_draw(vm, &param);
	top_gpa = (data->l1_gfn + param.nr_l1page * data->l1_step) << GFN_SHIFT;
	end = areas_place(vm, &param, 2 + top_gpa / GIB + 1 + top_gpa / (GIB * TABLE_ENTRIES) + 1, &l1_tables,
			  &l1_stacks, &paging_area);
	param_fill(vm, &param);
	slot_create(vm, SLOT_SYS, 0, end, 0, o->sys_thp);
	data_size = (param.nr_l1page - 1) * (data->l1_step << GFN_SHIFT) + leaf;
	if (o->paging) /* room for large pages of both sizes */
		data_size = round_up(data_size, 2 * SIZE_2M) + 2 * SIZE_2M;
	slot_create(vm, SLOT_DATA, data->l1_gfn << GFN_SHIFT, data_size,
		    o->dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0, o->thp);
	slot_create(vm, SLOT_RO, param.range[GF_RO].l1_gfn << GFN_SHIFT, o->ro << GFN_SHIFT, KVM_MEM_READONLY,
		    false);
	slot_create(vm, SLOT_STORM, param.range[GF_STORM].l1_gfn << GFN_SHIFT, o->storm_pages << GFN_SHIFT, 0,
		    false);
	vm->param = mem_ptr(vm, GF_PARAM_GPA, sizeof(*vm->param));
	*vm->param = param;
	image_load(vm);
	/* Stacks grow down; as after a call, rsp + 8 is a multiple of 16. */
	for (unsigned int i = 0; i < o->vcpus; i++)
		vm->vcpu[i].l1_rsp = l1_stacks + (i + 1) * 16384 - 16;
	if (o->paging) {
		paging_setup(vm, paging_area);
	} else {
		l1_tables_build(vm, l1_tables, top_gpa);
		values_fill(vm);
	}
	vm->mmio_reads = calloc(o->mmio + 1, sizeof(uint64_t));
	vm->mmio_writes = calloc(o->mmio + 1, sizeof(uint64_t));
	vm->ro_writes = calloc(o->ro + 1, sizeof(uint64_t));
	vm->stubborn_reads = calloc(o->stubborn_pages + 1, sizeof(uint64_t));
	if (!vm->mmio_reads || !vm->mmio_writes || !vm->ro_writes || !vm->stubborn_reads)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");

	/*
	 * KVM's own limit, 2 % of the slots' pages, would recycle shadow pages of a sparse NPT12 while it is
	 * built.
	 */
	vm->nr_mmu_pages = o->mmu_pages;
	if (!vm->nr_mmu_pages && o->mode == GF_NESTED)
		vm->nr_mmu_pages = 2 * param.npt_pool_pages + 4096;
	if (vm->nr_mmu_pages)
		vmm_ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, (void *)vm->nr_mmu_pages, "KVM_SET_NR_MMU_PAGES");
}
