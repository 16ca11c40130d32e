/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One audit: what can be judged by this model, the passes over its pages, the findings. */
#include "audit/private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define CRITICAL MS_AUDIT_CRITICAL
#define HIGH MS_AUDIT_HIGH
#define MEDIUM MS_AUDIT_MEDIUM
#define LOW MS_AUDIT_LOW

const struct ms_invariant ms_invariants[MS_AUDIT_ROWS + 1] = {
#define N(x) MS_AUDIT_NEED_##x
#define MS_INVARIANT(number, name, severity, lock, needs, statement) \
	[number] = { name, statement, severity, MS_AUDIT_##lock, needs },
#include "audit/invariants.def"
#undef MS_INVARIANT
};

const char *ms_audit_severity_name(enum ms_audit_severity severity)
{
	static const char *const names[] = { "low", "medium", "high", "critical" };

	return names[severity];
}

const char *ms_audit_need_name(u32 needs)
{
	static const char *const names[] = {
#define MS_AUDIT_NEED(id, text) text,
#include "audit/needs.def"
#undef MS_AUDIT_NEED
	};
	u32 i;

	for (i = 0; i < MS_AUDIT_NR_NEEDS; i++)
		if (needs & 1u << i)
			return names[i];
	return "";
}

u32 ms_audit_find(const char *word, size_t len)
{
	u32 row, number = 0;
	size_t i;

	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if (strlen(ms_invariants[row].name) == len && !strncmp(ms_invariants[row].name, word, len))
			return row;
	for (i = 0; i < len && i < 3; i++) {
		if (word[i] < '0' || word[i] > '9')
			return 0;
		number = number * 10 + (u32)(word[i] - '0');
	}
	return len && i == len && number <= MS_AUDIT_ROWS ? number : 0;
}

u32 ms_audit_want(u64 rows)
{
	static const struct {
		u32 needs, want;
	} more[] = {
		{ MS_AUDIT_NEED_RMAPS | MS_AUDIT_NEED_PARENTS | MS_AUDIT_NEED_TRACK, MS_WANT_RMAPS },
		{ MS_AUDIT_NEED_PINS, MS_WANT_PINS },
		{ MS_AUDIT_NEED_LOG, MS_WANT_CHANGED },
	};
	u32 want = MS_WANT_VCPUS | MS_WANT_SLOTS | MS_WANT_MMUS | MS_WANT_SPS | MS_WANT_SPTES, row, i;

	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		for (i = 0; i < sizeof(more) / sizeof(more[0]); i++)
			if ((!rows || rows & 1ull << row) && ms_invariants[row].needs & more[i].needs)
				want |= more[i].want;
	return want;
}

u32 ms_audit_want_guest(u64 rows)
{
	u32 row;

	for (row = 1; row <= MS_AUDIT_ROWS; row++)
		if ((!rows || rows & 1ull << row) && ms_invariants[row].needs & MS_AUDIT_NEED_GUEST)
			return MS_WANT_GUEST;
	return 0;
}

bool ms_audit_is_still(const struct ms_model *model)
{
	return !strncmp(model->host.target, "sim", sizeof(model->host.target)) ||
	       !strncmp(model->host.target, "kmod", sizeof(model->host.target));
}

/* --- findings --- */

/*
 * What a row may be judged by and still be of the moment that pages and lists are of. Memslots are: their generations
 * are compared with those that were read under the lock. vCPUs' MMUs, the VM's generation and the guest's memory are
 * read at other times.
 */
#define UNDER_THE_LOCK                                                                                   \
	(MS_AUDIT_NEED_SPTES | MS_AUDIT_NEED_ROLES | MS_AUDIT_NEED_TRANSLATIONS | MS_AUDIT_NEED_UNSYNC | \
	 MS_AUDIT_NEED_PML | MS_AUDIT_NEED_NX | MS_AUDIT_NEED_STEADY | MS_AUDIT_NEED_RMAPS |             \
	 MS_AUDIT_NEED_PARENTS | MS_AUDIT_NEED_TRACK)

void audit_found(struct audit *a, u32 row, const struct place *at, const char *fmt, ...)
{
	struct ms_audit *ret = a->ret;
	struct ms_finding *grown;
	va_list ap;

	ret->found[row]++;
	if (ret->nr == MS_AUDIT_KEPT) {
		ret->nr_lost++;
		return;
	}
	grown = ms_grow(ret->findings, &ret->cap, ret->nr + 1, sizeof(*grown));
	if (!grown) {
		a->oom = true;
		return;
	}
	ret->findings = grown;
	grown = &grown[ret->nr++];
	*grown = (struct ms_finding){
		.row = row,
		.idx = at->idx,
		.sp = at->sp ? at->sp->rec.sp : 0,
		.mmu = at->mmu ? at->mmu->mmu : 0,
		.vcpu = at->vcpu ? at->vcpu->vcpu : 0,
		.raw = at->idx != MS_AUDIT_NO_INDEX ? at->sp->tables->sptes[at->idx] : 0,
		.gfn = at->gfn,
		.spte = at->spte,
		.event = at->event,
		.seq = at->seq,
		.look_at = at->look_at,
		.look_raw = at->look_raw,
		.gpte = at->gpte,
		.have_gfn = at->have_gfn,
		.have_gpte = at->have_gpte,
		.readings = 1,
		.of_one_moment = a->one_moment && ms_invariants[row].lock <= MS_AUDIT_LOCK &&
				 !(ms_invariants[row].needs & ~UNDER_THE_LOCK),
	};
	va_start(ap, fmt);
	vsnprintf(grown->text, sizeof(grown->text), fmt, ap);
	va_end(ap);
}

int ms_finding_cmp(const void *left, const void *right)
{
	const struct ms_finding *a = left, *b = right;

#define CMP(member)                 \
	if (a->member != b->member) \
		return a->member < b->member ? -1 : 1;
	CMP(row)
	CMP(sp)
	CMP(mmu)
	CMP(vcpu)
	CMP(idx)
	CMP(gfn)
	CMP(spte)
	CMP(seq)
#undef CMP
	return 0;
}

void ms_audit_keep(struct ms_audit *audit, const struct ms_audit *again)
{
	struct ms_finding *others;
	size_t i, at = 0;

	if (!again->nr || !audit->nr)
		return;
	others = malloc(again->nr * sizeof(*others));
	/* Without memory none was seen again, as far as anybody knows. */
	if (!others)
		return;
	memcpy(others, again->findings, again->nr * sizeof(*others));
	qsort(others, again->nr, sizeof(*others), ms_finding_cmp);
	qsort(audit->findings, audit->nr, sizeof(*audit->findings), ms_finding_cmp);
	for (i = 0; i < audit->nr; i++) {
		while (at < again->nr && ms_finding_cmp(&others[at], &audit->findings[i]) < 0)
			at++;
		if (at < again->nr && !ms_finding_cmp(&others[at], &audit->findings[i]))
			audit->findings[i].readings += others[at].readings;
	}
	free(others);
}

void ms_audit_deinit(struct ms_audit *audit)
{
	free(audit->findings);
	memset(audit, 0, sizeof(*audit));
}

/* --- what can be judged --- */

static u32 lacking_of_pages(const struct audit *a)
{
	const struct ms_vm *vm = a->vm;
	u32 lacking = MS_AUDIT_NEED_SPTES | MS_AUDIT_NEED_TRANSLATIONS;
	size_t i;

	for (i = 0; i < vm->nr_sps && lacking; i++) {
		const struct ms_sp *sp = &vm->sps[i];

		if (sp->tables)
			lacking &= ~MS_AUDIT_NEED_SPTES;
		if (sp->rec.have & MS_SP_HAVE_TRANSLATIONS)
			lacking &= ~MS_AUDIT_NEED_TRANSLATIONS;
	}
	/* Without indirect pages there is nothing to be stored. */
	for (i = 0; i < vm->nr_sps; i++)
		if (!vm->sps[i].rec.tdp_mmu_page && audit_has_gptes(a, &vm->sps[i]))
			break;
	if (i == vm->nr_sps)
		lacking &= ~MS_AUDIT_NEED_TRANSLATIONS;
	/* Of pages that are judged; one that could not be read says nothing of the others. */
	for (i = 0; i < vm->nr_sps; i++)
		if (!vm->sps[i].rec.tdp_mmu_page && vm->sps[i].rec.state == MS_SP_CONFIRMED &&
		    (!(vm->sps[i].rec.have & MS_SP_HAVE_UNSYNC) ||
		     !(vm->sps[i].rec.have & MS_SP_HAVE_UNSYNC_CHILDREN)))
			return lacking | MS_AUDIT_NEED_UNSYNC;
	return lacking;
}

static u32 lacking_of(const struct audit *a)
{
	const struct ms_rec_host *host = &a->model->host;
	const struct ms_vm *vm = a->vm;
	u32 lacking = lacking_of_pages(a) | audit_lacking_rmaps(a->vm) | audit_lacking_guest(a->vm) |
		      audit_lacking_pins(a->vm);
	bool generation = false;
	size_t i;

	if (!role_has(a->roles, ROLE_LEVEL) || !role_has(a->roles, ROLE_DIRECT) ||
	    !role_has(a->roles, ROLE_INVALID) || !role_has(a->roles, ROLE_ACCESS))
		lacking |= MS_AUDIT_NEED_ROLES;
	if (!vm->nr_slots)
		lacking |= MS_AUDIT_NEED_SLOTS;
	for (i = 0; i < vm->nr_slots; i++) {
		if (vm->slots[i].have & MS_SLOT_UNSTABLE)
			lacking |= MS_AUDIT_NEED_SLOTS;
		generation |= vm->slots[i].have & MS_SLOT_HAVE_GENERATION;
	}
	if (!generation)
		lacking |= MS_AUDIT_NEED_GENERATIONS;
	for (i = 0; i < vm->nr_vcpus && !(vm->vcpus[i].rec.have & MS_VCPU_HAVE_PML02); i++)
		;
	if (i == vm->nr_vcpus)
		lacking |= MS_AUDIT_NEED_VMCS;
	if (!vm->nr_mmus)
		lacking |= MS_AUDIT_NEED_MMUS;
	if (!(vm->rec.have & MS_VM_HAVE_CHANGED))
		lacking |= MS_AUDIT_NEED_LOG;
	if (!(vm->rec.have & MS_VM_HAVE_VALID_GEN))
		lacking |= MS_AUDIT_NEED_VM_GENERATION;
	if (!(host->have & MS_HOST_HAVE_PML))
		lacking |= MS_AUDIT_NEED_PML;
	/* A VM may have been let off (KVM_CAP_VM_DISABLE_NX_HUGE_PAGES). */
	if (!(host->have & MS_HOST_HAVE_NX_HUGE) ||
	    (host->nx_huge_pages == 1 && !(vm->rec.have & MS_VM_HAVE_NX_DISABLED)))
		lacking |= MS_AUDIT_NEED_NX;
	return lacking | audit_logs_lacking(vm);
}

/* H1 and H3: zapped pages are not judged, nor what hangs below a zapped root of the TDP MMU. */
static void find_valid(struct audit *a)
{
	const struct ms_vm *vm = a->vm;
	size_t i, nr = 0;
	u32 idx, *queue = calloc(vm->nr_sps ? vm->nr_sps : 1, sizeof(*queue));

	if (!queue) {
		a->oom = true;
		return;
	}
	for (i = 0; i < vm->nr_sps; i++) {
		const struct ms_sp *sp = &vm->sps[i];

		if (sp->rec.state != MS_SP_CONFIRMED || audit_role(a, sp, ROLE_INVALID) || !sp->level ||
		    sp->level > SPTE_LEVEL_MAX)
			continue;
		if (sp->rec.tdp_mmu_page && (!(sp->rec.have & MS_SP_HAVE_PARENTS) || sp->rec.parents))
			continue;
		a->valid[i] = 1;
		if (sp->rec.tdp_mmu_page)
			queue[nr++] = (u32)i;
	}
	while (nr) {
		const struct ms_sp *sp = &vm->sps[queue[--nr]];

		for (idx = 0; sp->tables && sp->level > 1 && idx < MS_SPTES; idx++) {
			const struct ms_sp *child = ms_sp_child(a->model, vm, sp, idx);

			if (!child || a->valid[child->index] || !child->rec.tdp_mmu_page ||
			    child->rec.state != MS_SP_CONFIRMED || child->level + 1 != sp->level)
				continue;
			a->valid[child->index] = 1;
			queue[nr++] = child->index;
		}
	}
	free(queue);
}

/* --- shadowed frames --- */

bool audit_is_obsolete(const struct audit *a, const struct ms_sp *sp)
{
	return sp->rec.have & MS_SP_HAVE_GEN && a->vm->rec.have & MS_VM_HAVE_VALID_GEN &&
	       sp->rec.mmu_valid_gen != a->vm->rec.mmu_valid_gen;
}

int audit_by_frame(const void *left, const void *right)
{
	const struct shadowed *a = left, *b = right;

	if (a->as_id != b->as_id)
		return a->as_id < b->as_id ? -1 : 1;
	return a->gfn < b->gfn ? -1 : a->gfn > b->gfn;
}

static void find_shadowed(struct audit *a)
{
	const struct ms_vm *vm = a->vm;
	size_t i, nr = 0, kept = 0;

	a->shadowed = calloc(vm->nr_sps ? vm->nr_sps : 1, sizeof(*a->shadowed));
	if (!a->shadowed) {
		a->oom = true;
		return;
	}
	for (i = 0; i < vm->nr_sps; i++) {
		const struct ms_sp *sp = &vm->sps[i];

		if (!a->valid[i] || sp->rec.tdp_mmu_page || !audit_has_gptes(a, sp))
			continue;
		a->shadowed[nr++] =
			(struct shadowed){ .gfn = sp->rec.gfn,
					   .as_id = audit_as_id(a, sp),
					   .in_sync = !sp->rec.unsync && !audit_is_obsolete(a, sp) };
	}
	qsort(a->shadowed, nr, sizeof(*a->shadowed), audit_by_frame);
	for (i = 0; i < nr; i++) {
		if (kept && !audit_by_frame(&a->shadowed[kept - 1], &a->shadowed[i]))
			a->shadowed[kept - 1].in_sync |= a->shadowed[i].in_sync;
		else
			a->shadowed[kept++] = a->shadowed[i];
	}
	a->nr_shadowed = kept;
}

const struct shadowed *audit_shadowed(const struct audit *a, u32 as_id, u64 gfn, u64 nr)
{
	const struct shadowed want = { .gfn = gfn, .as_id = as_id };
	size_t lo = 0, hi = a->nr_shadowed, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (audit_by_frame(&a->shadowed[mid], &want) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < a->nr_shadowed && a->shadowed[lo].as_id == as_id && a->shadowed[lo].gfn - gfn < nr
		       ? &a->shadowed[lo]
		       : NULL;
}

/* --- the audit --- */

static void pages(struct audit *a)
{
	const struct ms_vm *vm = a->vm;
	size_t i;
	u32 idx;

	for (i = 0; i < vm->nr_sps; i++) {
		const struct ms_sp *sp = &vm->sps[i];

		if (sp->rec.state != MS_SP_CONFIRMED) {
			a->ret->nr_unconfirmed++;
			continue;
		}
		a->ret->nr_pages++;
		audit_page(a, sp);
		if (!a->valid[i] || !sp->tables)
			continue;
		for (idx = 0; idx < MS_SPTES; idx++)
			audit_entry(a, sp, idx);
		a->ret->nr_sptes += MS_SPTES;
	}
}

struct ms_err *ms_audit_vm(const struct ms_model *model, const struct ms_vm *vm, u64 rows,
			   const struct ms_event_log *events, struct ms_audit *ret)
{
	struct audit a = {
		.model = model, .vm = vm, .p = &model->profile, .roles = &model->roles, .ret = ret
	};
	u32 lacking, row;
	size_t i;

	memset(ret, 0, sizeof(*ret));
	a.one_moment = vm->exact.flags & MS_EXACT_ONE_MOMENT;
	a.pages_whole = !(vm->walks[0].flags & (MS_WALK_BROKEN | MS_WALK_VM_GONE));
	a.valid = calloc(vm->nr_sps ? vm->nr_sps : 1, 1);
	if (!a.valid)
		return ms_err_nomem();
	lacking = lacking_of(&a) | (events ? 0 : MS_AUDIT_NEED_TRACE | MS_AUDIT_NEED_EXITS);
	for (row = 1; row <= MS_AUDIT_ROWS; row++) {
		ret->chosen[row] = !rows || rows & 1ull << row;
		ret->lacking[row] = ms_invariants[row].needs & lacking;
	}
	find_valid(&a);
	if (!a.oom)
		find_shadowed(&a);
	if (!a.oom) {
		pages(&a);
		audit_keys(&a);
		audit_rmaps(&a);
		audit_changed(&a);
		audit_pins(&a);
		if (events)
			audit_events(&a, events);
		for (i = 0; i < vm->nr_mmus; i++)
			audit_mmu(&a, &vm->mmus[i]);
		for (i = 0; i < vm->nr_vcpus; i++)
			audit_vcpu(&a, &vm->vcpus[i].rec);
		ret->nr_mmus = vm->nr_mmus;
		ret->nr_slots = vm->nr_slots;
	}
	free(a.valid);
	free(a.shadowed);
	return a.oom ? ms_err_nomem() : NULL;
}
