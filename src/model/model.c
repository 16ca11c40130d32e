/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building a model from records. What a record claims is checked here, once: after this file the rest of
 * the program may rely on unique addresses, on known enum values and on sorted arrays. Meaning is
 * decode.c's, questions are in walk.c.
 */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "model/private.h"
#include "target/wp.h"

/* Room in the arrays of one VM. */
struct vm_room {
	size_t fds, vcpus, slots, mmus, sps;
	struct rmap_room rmaps;
	struct frame_room frames;
};

struct builder {
	struct ms_model *model;
	struct vm_room *room; /* as model->vms */
	size_t vms_cap, room_cap;
	struct ms_map by_kvm; /* address -> index in vms */
	bool host_seen;
	u64 table_bytes, max_table_bytes;
};

/* Tables of a snapshot are packed a thousandfold: what a small file unpacks to may be more than the machine
 * has. */
static struct ms_err *take_memory(struct builder *b, u64 bytes)
{
	b->table_bytes += bytes;
	if (b->table_bytes <= b->max_table_bytes)
		return NULL;
	return ms_err_hint(ms_err_new(MS_ERR_TARGET,
				      "the tables of these shadow pages need more than %llu MiB of memory",
				      (unsigned long long)b->max_table_bytes >> 20),
			   "name one VM with --vm, or use a machine with more");
}

static u64 bytes_of_tables(const struct ms_rec_sp *rec)
{
	u64 tables = 1 + !!(rec->have & MS_SP_HAVE_TRANSLATIONS);

	return rec->have & MS_SP_HAVE_SPTES ? tables * MS_SPTES * sizeof(u64) : 0;
}

static u64 half_of_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);

	return pages > 0 && bytes > 0 ? (u64)pages / 2 * (u64)bytes : ~0ull;
}

struct ms_err *model_refuse(const char *what, u64 addr)
{
	struct ms_err *err =
		ms_err_new(MS_ERR_TARGET, "record of a %s at 0x%llx", what, (unsigned long long)addr);

	return ms_err_wrap(err, "target's records contradict each other");
}

static struct ms_err *put_vm(struct builder *b, const struct ms_rec_vm *rec)
{
	struct ms_model *model = b->model;
	struct vm_room *room;
	struct ms_vm *vm;
	void *grown;

	if (!rec->kvm || ms_map_get(&b->by_kvm, rec->kvm) != MS_MAP_NONE)
		return model_refuse("VM without an address or seen before", rec->kvm);
	grown = ms_grow(b->room, &b->room_cap, model->nr_vms + 1, sizeof(*room));
	if (!grown)
		return ms_err_nomem();
	b->room = grown;
	if (!ms_map_put(&b->by_kvm, rec->kvm, (u32)model->nr_vms))
		return ms_err_nomem();
	room = &b->room[model->nr_vms];
	vm = APPEND(model->vms, model->nr_vms, b->vms_cap);
	if (!vm)
		return ms_err_nomem();
	memset(room, 0, sizeof(*room));
	memset(vm, 0, sizeof(*vm));
	vm->rec = *rec;
	return NULL;
}

/* A page that comes twice was moved while the list was walked: the better record stays. */
static struct ms_err *put_sp(struct ms_vm *vm, struct vm_room *room, const struct ms_rec_sp *rec,
			     const struct ms_sp_tables *tables)
{
	bool translations = rec->have & MS_SP_HAVE_TRANSLATIONS;
	struct ms_sp_tables *copy = NULL;
	struct ms_sp *sp;
	size_t bytes;
	u32 known;

	if (!rec->sp)
		return model_refuse("shadow page without an address, of the VM", vm->rec.kvm);
	if (tables && rec->have & MS_SP_HAVE_SPTES) {
		/* Direct pages have no second half: at ten thousand pages that counts. */
		bytes = translations ? sizeof(*copy) : sizeof(copy->sptes);
		copy = malloc(bytes);
		if (!copy)
			return ms_err_nomem();
		memcpy(copy, tables, bytes);
	}
	known = ms_map_get(&vm->by_sp, rec->sp);
	if (known != MS_MAP_NONE) {
		sp = &vm->sps[known];
		if (rec->state >= sp->rec.state) {
			free(copy);
			return NULL;
		}
		free((void *)sp->tables);
	} else {
		if (vm->nr_sps >= MS_MAP_NONE || !ms_map_put(&vm->by_sp, rec->sp, (u32)vm->nr_sps)) {
			free(copy);
			return ms_err_nomem();
		}
		sp = APPEND(vm->sps, vm->nr_sps, room->sps);
		if (!sp) {
			free(copy);
			return ms_err_nomem();
		}
	}
	memset(sp, 0, sizeof(*sp));
	sp->rec = *rec;
	if (sp->rec.state > MS_SP_UNREADABLE)
		sp->rec.state = MS_SP_UNREADABLE;
	sp->tables = copy;
	if (!copy)
		sp->rec.have &= ~(MS_SP_HAVE_SPTES | MS_SP_HAVE_TRANSLATIONS);
	return NULL;
}

static struct ms_err *put_walk(struct ms_vm *vm, const struct ms_rec_walk *rec)
{
	u32 kind = rec->flags & (MS_WALK_LEGACY | MS_WALK_TDP);
	struct ms_rec_walk *walk;

	if (kind != MS_WALK_LEGACY && kind != MS_WALK_TDP)
		return model_refuse("walk of no MMU or of two, of the VM", rec->kvm);
	walk = &vm->walks[kind == MS_WALK_TDP];
	if (walk->kvm)
		return model_refuse("walk done before, of the VM", rec->kvm);
	*walk = *rec;
	return NULL;
}

static struct ms_err *put_detail(struct builder *b, enum ms_rec_type type, u64 kvm, const void *rec,
				 const struct ms_sp_tables *tables)
{
	u32 index = kvm ? ms_map_get(&b->by_kvm, kvm) : MS_MAP_NONE;
	struct ms_rec_fd *fd;
	struct ms_vcpu *vcpu;
	struct ms_rec_slot *slot;
	struct ms_rec_mmu *mmu;
	struct vm_room *room;
	struct ms_vm *vm;

	if (index == MS_MAP_NONE)
		return model_refuse("part of a VM that was not listed,", kvm);
	vm = &b->model->vms[index];
	room = &b->room[index];
	vm->detailed = vm->detailed || type != MS_REC_FD;
	switch (type) {
	case MS_REC_FD:
		fd = APPEND(vm->fds, vm->nr_fds, room->fds);
		if (!fd)
			return ms_err_nomem();
		*fd = *(const struct ms_rec_fd *)rec;
		return NULL;
	case MS_REC_VCPU:
		vcpu = APPEND(vm->vcpus, vm->nr_vcpus, room->vcpus);
		if (!vcpu)
			return ms_err_nomem();
		memset(vcpu, 0, sizeof(*vcpu));
		vcpu->rec = *(const struct ms_rec_vcpu *)rec;
		vcpu->fd = -1;
		return NULL;
	case MS_REC_SLOT:
		slot = APPEND(vm->slots, vm->nr_slots, room->slots);
		if (!slot)
			return ms_err_nomem();
		*slot = *(const struct ms_rec_slot *)rec;
		return NULL;
	case MS_REC_MMU:
		mmu = APPEND(vm->mmus, vm->nr_mmus, room->mmus);
		if (!mmu)
			return ms_err_nomem();
		*mmu = *(const struct ms_rec_mmu *)rec;
		return NULL;
	case MS_REC_SP:
		return put_sp(vm, room, rec, tables);
	case MS_REC_WALK:
		return put_walk(vm, rec);
	case MS_REC_RMAP:
	case MS_REC_RMAP_DESC:
	case MS_REC_GFN:
	case MS_REC_RMAPS:
		return rmap_put(vm, &room->rmaps, type, rec);
	case MS_REC_EXACT:
		vm->exact = *(const struct ms_rec_exact *)rec;
		return NULL;
	case MS_REC_PIN:
	case MS_REC_GTABLE:
	case MS_REC_CHANGED:
		return frame_put(vm, &room->frames, type, rec);
	case MS_REC_HOST:
	case MS_REC_VM:
	case MS_REC_END:
		break;
	}
	return model_refuse("kind this program does not know, of the VM", kvm);
}

static struct ms_err *put(void *ctx, enum ms_rec_type type, const void *rec,
			  const struct ms_sp_tables *tables)
{
	struct builder *b = ctx;
	struct ms_err *err = NULL;

	switch (type) {
	case MS_REC_HOST:
		if (b->host_seen)
			return model_refuse("host, a second one", 0);
		b->host_seen = true;
		b->model->host = *(const struct ms_rec_host *)rec;
		b->model->host.release[sizeof(b->model->host.release) - 1] = '\0';
		b->model->host.target[sizeof(b->model->host.target) - 1] = '\0';
		return NULL;
	case MS_REC_VM:
		return put_vm(b, rec);
	case MS_REC_END:
		return NULL;
	case MS_REC_SP:
		err = tables ? take_memory(b, bytes_of_tables(rec)) : NULL;
		break;
	case MS_REC_GTABLE:
		err = take_memory(b, sizeof(struct ms_rec_gtable));
		break;
	default:
		if (!ms_rec_size(type))
			return model_refuse("kind this program does not know", 0);
		break;
	}
	return err ? err : put_detail(b, type, ms_rec_kvm(type, rec), rec, tables);
}

/* --- order --- */

#define CMP(a, b) (((a) > (b)) - ((a) < (b)))

static int vm_cmp(const void *pa, const void *pb)
{
	const struct ms_vm *a = pa, *b = pb;
	int by_pid = CMP(a->rec.pid, b->rec.pid);

	return by_pid ? by_pid : CMP(a->rec.kvm, b->rec.kvm);
}

static int fd_cmp(const void *pa, const void *pb)
{
	const struct ms_rec_fd *a = pa, *b = pb;
	int by_pid = CMP(a->pid, b->pid);

	return by_pid ? by_pid : CMP(a->fd, b->fd);
}

static int vcpu_cmp(const void *pa, const void *pb)
{
	const struct ms_vcpu *a = pa, *b = pb;
	int by_id = CMP(a->rec.vcpu_id, b->rec.vcpu_id);

	return by_id ? by_id : CMP(a->rec.vcpu, b->rec.vcpu);
}

static int slot_cmp(const void *pa, const void *pb)
{
	const struct ms_rec_slot *a = pa, *b = pb;
	int by_as = CMP(a->as_id, b->as_id), by_gfn = CMP(a->base_gfn, b->base_gfn);

	return by_as ? by_as : by_gfn ? by_gfn : CMP(a->id, b->id);
}

static int mmu_cmp(const void *pa, const void *pb, void *ctx)
{
	const struct ms_rec_mmu *a = pa, *b = pb;
	const struct ms_map *order = ctx;
	u32 va = ms_map_get(order, a->vcpu), vb = ms_map_get(order, b->vcpu);
	int by_vcpu = CMP(va, vb), by_which = CMP(a->which, b->which);

	return by_vcpu ? by_vcpu : by_which ? by_which : CMP(a->mmu, b->mmu);
}

/* An empty array may be NULL, which qsort() does not take. */
static void sort(void *array, size_t nr, size_t bytes, int (*cmp)(const void *a, const void *b))
{
	if (nr > 1)
		qsort(array, nr, bytes, cmp);
}

static struct ms_err *vm_finish_vcpus(struct ms_vm *vm)
{
	struct ms_map order = { 0 };
	struct ms_err *err = NULL;
	size_t i;
	u32 at;

	sort(vm->vcpus, vm->nr_vcpus, sizeof(*vm->vcpus), vcpu_cmp);
	for (i = 0; i < vm->nr_vcpus && !err; i++) {
		if (!vm->vcpus[i].rec.vcpu || ms_map_get(&order, vm->vcpus[i].rec.vcpu) != MS_MAP_NONE)
			err = model_refuse("vCPU without an address or seen before,", vm->vcpus[i].rec.vcpu);
		else if (!ms_map_put(&order, vm->vcpus[i].rec.vcpu, (u32)i))
			err = ms_err_nomem();
	}
	for (i = 0; i < vm->nr_mmus && !err; i++)
		if (!vm->mmus[i].vcpu || ms_map_get(&order, vm->mmus[i].vcpu) == MS_MAP_NONE)
			err = model_refuse("MMU of a vCPU that was not listed,", vm->mmus[i].mmu);
	if (err) {
		ms_map_deinit(&order);
		return err;
	}
	if (vm->nr_mmus > 1)
		qsort_r(vm->mmus, vm->nr_mmus, sizeof(*vm->mmus), mmu_cmp, &order);
	for (i = vm->nr_mmus; i-- > 0;) {
		at = ms_map_get(&order, vm->mmus[i].vcpu);
		vm->vcpus[at].first_mmu = (u32)i;
		vm->vcpus[at].nr_mmus++;
	}
	for (i = 0; i < vm->nr_fds; i++) {
		at = vm->fds[i].vcpu ? ms_map_get(&order, vm->fds[i].vcpu) : MS_MAP_NONE;
		if (at != MS_MAP_NONE && vm->vcpus[at].fd < 0)
			vm->vcpus[at].fd = vm->fds[i].fd;
	}
	ms_map_deinit(&order);
	return NULL;
}

static struct ms_err *vm_finish(struct ms_vm *vm, const struct vm_room *room)
{
	struct ms_err *err = rmap_finish(vm, &room->rmaps);

	if (!err)
		err = frame_finish(vm);
	size_t i;
	u64 key;

	if (err)
		return err;
	sort(vm->fds, vm->nr_fds, sizeof(*vm->fds), fd_cmp);
	sort(vm->slots, vm->nr_slots, sizeof(*vm->slots), slot_cmp);
	for (i = 0; i < vm->nr_sps; i++) {
		vm->sps[i].index = (u32)i;
		key = vm->sps[i].rec.spt_pfn + 1;
		/*
		 * Two pages cannot own one table: a torn header may say so, then the better record is found
		 * by it.
		 */
		if (!key || (ms_map_get(&vm->by_spt, key) != MS_MAP_NONE &&
			     vm->sps[ms_map_get(&vm->by_spt, key)].rec.state <= vm->sps[i].rec.state))
			continue;
		if (!ms_map_put(&vm->by_spt, key, (u32)i))
			return ms_err_nomem();
	}
	return vm_finish_vcpus(vm);
}

static void vm_free(struct ms_vm *vm)
{
	size_t i;

	for (i = 0; i < vm->nr_sps; i++)
		free((void *)vm->sps[i].tables);
	free(vm->flips);
	free(vm->fds);
	free(vm->vcpus);
	free(vm->slots);
	free(vm->mmus);
	free(vm->sps);
	rmap_free(vm);
	frame_free(vm);
	ms_map_deinit(&vm->by_sp);
	ms_map_deinit(&vm->by_spt);
}

struct ms_err *ms_model_load(struct ms_target *target, const struct ms_want *want, struct ms_model **ret)
{
	struct builder b = { .model = calloc(1, sizeof(*b.model)) };
	struct ms_sink sink = { .put = put, .ctx = &b };
	struct ms_err *err;
	size_t i;

	if (!b.model)
		return ms_err_nomem();
	b.max_table_bytes = want->max_table_bytes ? want->max_table_bytes : half_of_memory();
	snprintf(b.model->target, sizeof(b.model->target), "%s", target->spec);
	b.model->caps = target->caps;
	err = ms_target_read(target, want, &sink);
	if (!err && !b.host_seen)
		err = ms_err_new(MS_ERR_TARGET, "%s: it says nothing about its host", b.model->target);
	for (i = 0; i < b.model->nr_vms && !err; i++)
		err = vm_finish(&b.model->vms[i], &b.room[i]);
	/* Flips are no part of what a target tells: the kernel module has them. */
	for (i = 0; i < b.model->nr_vms && !err && target->caps & MS_CAP_KREAD; i++)
		b.model->vms[i].nr_flips = ms_wp_marks(b.model->vms[i].rec.kvm, b.model->vms[i].fds,
						       b.model->vms[i].nr_fds, &b.model->vms[i].flips);
	if (!err) {
		sort(b.model->vms, b.model->nr_vms, sizeof(*b.model->vms), vm_cmp);
		model_decode(b.model);
	}
	free(b.room);
	ms_map_deinit(&b.by_kvm);
	if (err) {
		ms_model_destroy(b.model);
		return err;
	}
	*ret = b.model;
	return NULL;
}

void ms_model_destroy(struct ms_model *model)
{
	size_t i;

	if (!model)
		return;
	for (i = 0; i < model->nr_vms; i++)
		vm_free(&model->vms[i]);
	free(model->vms);
	free(model);
}
