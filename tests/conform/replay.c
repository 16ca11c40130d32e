// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay TRACE SNAPSHOT: drives the engine through what the real KVM was told, and tells where its answer is
 * another: how a fault ends, what is injected, the guest's tables (A and D bits), and at the end shadow
 * pages, roles and entries. Exit status 0: equal; 1: not; 2: wrong use; 3: no usable trace or snapshot.
 */
#include "replay.h"
#include "spte/spte.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 4096u
#define GPTE_D (1ull << 6)

void replay_differ(struct replay *r, const char *fmt, ...)
{
	va_list ap;

	if (r->nr_differences++ >= r->max_shown)
		return;
	printf("differ: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* Guest memory as the guest sees it; NULL outside of the slots. */
static void *guest_ptr(struct replay *r, u64 gpa)
{
	const struct nmmu_slot *slot = nmmu_slot_of(r->m, 0, gpa >> NMMU_PAGE_SHIFT);

	if (!slot)
		return NULL;
	return host_ptr(&r->host, slot->hva + (gpa - (slot->base_gfn << NMMU_PAGE_SHIFT)));
}

static struct ms_err *guest_store(struct replay *r, const struct tr_event *ev)
{
	void *p = guest_ptr(r, ev->a);

	if (!p || (ev->a & (PAGE_SIZE - 1)) + ev->b > PAGE_SIZE)
		return ms_err_new(MS_ERR_TARGET, "line %u: no guest memory at %#lx", ev->line, ev->a);
	memcpy(p, &ev->c, ev->b);
	return NULL;
}

/* Does a guest's entry at level 1 map a frame without memory? */
static bool maps_device(struct replay *r, u64 entry)
{
	return !nmmu_slot_of(r->m, 0, (entry & SPTE_BITS(50, NMMU_PAGE_SHIFT)) >> NMMU_PAGE_SHIFT);
}

/*
 * KVM's emulator knows the device page it met last by its address and does not walk for it, so that a store
 * there leaves D clear, which a CPU would set. The entries of one word may be two.
 */
static bool is_device_d(struct replay *r, u64 mine, u64 kvm)
{
	u64 differ = mine ^ kvm;

	if (differ & ~mine)
		return false;
	if (strcmp(r->trace->paging, "32"))
		return differ == GPTE_D && maps_device(r, mine);
	if (differ & ~(GPTE_D | GPTE_D << 32))
		return false;
	return (!(differ & GPTE_D) || maps_device(r, mine & 0xffffffff)) &&
	       (!(differ >> 32) || maps_device(r, mine >> 32));
}

/* Is gfn a table that the engine shadows now? Only of those the A and D bits are KVM's doing alone. */
struct shadowed {
	u64 gfn;
	bool found;
};

static bool shadowed_visit(void *ctx, const struct nmmu_sp *sp)
{
	struct shadowed *s = ctx;

	s->found |= !sp->role.direct && !sp->role.passthrough && sp->gfn == s->gfn;
	return !s->found;
}

static void page_compare(struct replay *r, const struct tr_event *ev)
{
	struct shadowed s = { .gfn = ev->a };
	const u64 *mine;

	nmmu_for_each_sp(r->m, shadowed_visit, &s);
	mine = s.found ? guest_ptr(r, ev->a << NMMU_PAGE_SHIFT) : NULL;
	for (int i = 0; mine && i < 512; i++) {
		r->nr_words += !!ev->words[i];
		if (mine[i] != ev->words[i] && is_device_d(r, mine[i], ev->words[i]))
			r->nr_excused++;
		else if (mine[i] != ev->words[i])
			replay_differ(r, "line %u: guest table gfn %#lx[%d] is %#lx, under KVM %#lx",
				      ev->line, ev->a, i, mine[i], ev->words[i]);
	}
}

/* --- one fault --- */

/* How KVM went on, from the lines behind the fault. */
struct outcome {
	bool inject, emulate;
	bool stored; /* it changed an SPTE */
	u64 error; /* inject: of the #PF */
	const struct tr_event *write; /* the store that KVM emulated */
	const struct tr_event *vmexit; /* of a nested page fault given to L1 */
};

/*
 * Is it the instruction that faulted that KVM emulates next? An intercepted one may be behind the fault as
 * well, even the very instruction that could not be fetched before.
 */
static bool is_emulated(const struct tr_event *fault, const char *text)
{
	const char *rip = strchr(text, ':');
	char *rip_end;

	if (!rip || strtoull(rip + 1, &rip_end, 16) != fault->c || fault->b & (NMMU_PF_I | NMMU_PF_PAGE))
		return false;
	/* INT that faults on the stack it pushes to: only skipped, to be injected again. */
	return strncmp(rip_end, ":cd ", 4);
}

static struct outcome outcome_of(const struct trace *t, size_t i)
{
	const struct tr_event *fault = &t->events[i];
	struct outcome o = { 0 };
	const char *p;

	for (i++; i < t->nr; i++) {
		const struct tr_event *ev = &t->events[i];

		if (ev->kind == TR_WRITE) {
			o.write = ev;
			continue;
		}
		if (ev->kind == TR_VMEXIT && !strncmp(ev->text, "npf", 3))
			o.vmexit = ev;
		if (ev->kind != TR_SAW)
			break;
		o.stored |= !strncmp(ev->text, "kvm_mmu_set_spte ", 17);
		o.emulate |= !strncmp(ev->text, "emulate ", 8) && is_emulated(fault, ev->text + 8);
		/* One whose delivery faulted is given once more, and is not of this fault. */
		if (!strncmp(ev->text, "inject #PF (", 12) && !strstr(ev->text, "reinjected")) {
			o.inject = true;
			p = ev->text + 12;
			o.error = strtoull(p, NULL, 0);
		}
	}
	return o;
}

static const char *action_name(enum nmmu_action action)
{
	static const char *const names[] = {
		[NMMU_ACT_RESUME] = "resume",	   [NMMU_ACT_DONE] = "emulate", [NMMU_ACT_MMIO] = "MMIO",
		[NMMU_ACT_EXIT_L1] = "exit to L1", [NMMU_ACT_PF] = "#PF",	[NMMU_ACT_DEAD] = "shutdown",
	};

	return action < sizeof(names) / sizeof(names[0]) && names[action] ? names[action] : "?";
}

static void outcome_compare(struct replay *r, const struct tr_event *ev, const struct outcome *o,
			    const struct nmmu_result *result)
{
	bool emulated = result->action == NMMU_ACT_DONE || result->action == NMMU_ACT_MMIO;

	if (o->vmexit) {
		if (result->action != NMMU_ACT_EXIT_L1)
			replay_differ(r, "line %u: fault at %#lx: %s, KVM exits to L1", ev->line, ev->a,
				      action_name(result->action));
		else if (result->qual != o->vmexit->b || result->addr != o->vmexit->c)
			replay_differ(r, "line %u: exit to L1 with %#lx at %#lx, KVM's %#lx at %#lx",
				      ev->line, result->qual, result->addr, o->vmexit->b, o->vmexit->c);
		return;
	}
	if (o->inject) {
		if (result->action != NMMU_ACT_PF)
			replay_differ(r, "line %u: fault at %#lx: %s, KVM injects #PF", ev->line, ev->a,
				      action_name(result->action));
		else if (result->qual != o->error)
			replay_differ(r, "line %u: #PF at %#lx with error %#lx, KVM's is %#lx", ev->line,
				      ev->a, result->qual, o->error);
		return;
	}
	if (o->emulate != emulated)
		replay_differ(r, "line %u: fault at %#lx error %#lx: %s, KVM %s", ev->line, ev->a, ev->b,
			      action_name(result->action), o->emulate ? "emulates" : "resumes");
	else if (!emulated && result->action != NMMU_ACT_RESUME)
		replay_differ(r, "line %u: fault at %#lx: %s, KVM resumes", ev->line, ev->a,
			      action_name(result->action));
}

/* The window of the level-1 entry for a guest address at which only one of the two changed an SPTE. */
static struct ms_err *window_note(struct replay *r, const struct nmmu_access *access, bool ours)
{
	struct nmmu_trace walk = { 0 };
	const struct nmmu_step *leaf;
	struct replay_window *more;

	if (nmmu_translate(r->v, access, false, &walk) || walk.fault || !walk.nr)
		return NULL;
	more = reallocarray(r->windows, r->nr_windows + 1, sizeof(*more));
	if (!more)
		return ms_err_nomem();
	r->windows = more;
	leaf = &walk.steps[walk.nr - 1];
	/* An SP of a 4-byte table has half of it; the index within it is that of the address either way. */
	r->windows[r->nr_windows++] = (struct replay_window){
		.table_gfn = (leaf->level == 1 ? leaf->entry_gpa : walk.gpa & ~((1ull << 21) - 1)) >>
			     NMMU_PAGE_SHIFT,
		.index = access->gva >> NMMU_PAGE_SHIFT & 511 & ~7u,
		.ours = ours,
	};
	return NULL;
}

static struct ms_err *fault_replay(struct replay *r, size_t i)
{
	const struct tr_event *ev = &r->trace->events[i];
	struct outcome o = outcome_of(r->trace, i);
	/* All that may be emulated in a fixture is a plain move, of 8 bytes but for the scripted guest's. */
	struct nmmu_access access = {
		.gva = ev->a, /* one to one, under NPT */
		.bytes = o.write			    ? o.write->b
			 : strcmp(r->trace->paging, "flat") ? 4
							    : 8,
		.write = ev->b & NMMU_PF_W,
		.fetch = ev->b & NMMU_PF_I,
		.user = !r->trace->npt && ev->b & NMMU_PF_U,
		.value = o.write ? o.write->c : 0,
	};
	struct nmmu_exit exit = {
		.kind = r->trace->npt ? NMMU_EXIT_NPF : NMMU_EXIT_PF,
		.info = ev->b,
		.addr = ev->a,
		.access = &access,
	};
	struct nmmu_result result = { 0 };
	int err = nmmu_handle_exit(r->v, &exit, &result);

	r->nr_faults++;
	if (err) {
		replay_differ(r, "line %u: fault at %#lx error %#lx: %s", ev->line, ev->a, ev->b,
			      strerror(-err));
		return NULL;
	}
	outcome_compare(r, ev, &o, &result);
	if (!r->trace->npt && result.action == NMMU_ACT_RESUME && o.stored != (result.ret == NMMU_RET_FIXED))
		return window_note(r, &access, !o.stored);
	return NULL;
}

/* --- the events --- */

static void write_compare(struct replay *r, const struct tr_event *ev)
{
	void *p = guest_ptr(r, ev->a);

	if (!p || memcmp(p, &ev->c, ev->b))
		replay_differ(r, "line %u: KVM has emulated a store of %#lx to %#lx, we have not", ev->line,
			      ev->c, ev->a);
}

static void regs_set(struct replay *r, const struct tr_event *ev)
{
	struct nmmu_regs regs = r->v->regs;
	int err;

	if (ev->kind == TR_EFER)
		regs.efer = ev->a;
	else if (ev->a == 0)
		regs.cr0 = ev->b;
	else if (ev->a == 3)
		regs.cr3 = ev->b;
	else if (ev->a == 4)
		regs.cr4 = ev->b;
	if (ev->kind == TR_CR && ev->a == 3 && ev->b == r->v->regs.cr3) {
		/*
		 * MOV to CR3 with the value that is there: KVM syncs the current root before the next entry,
		 * and leaves the previous ones alone, as TLB_CONTROL of a VMRUN makes it do. INVPCID and
		 * INVVPID, for which nmmu_flush_guest() is, sync those too.
		 */
		nmmu_flush_nested_npt(r->v);
		return;
	}
	err = nmmu_set_regs(r->v, &regs);
	if (err)
		replay_differ(r, "line %u: registers refused: %s", ev->line, strerror(-err));
}

static void vmrun_replay(struct replay *r, const struct tr_event *ev)
{
	struct nmmu_nested nested = {
		.kind = ev->a ? NMMU_NESTED_NPT : NMMU_NESTED_OFF,
		.root = ev->a ? ev->b : 0,
		.l2 = r->v->regs, /* the fixture's L2 has L1's but for CR3 */
	};
	int err;

	nested.l2.cr3 = r->l2_cr3;

	if (r->v->guest_mode)
		nmmu_nested_leave(r->v, NULL);
	r->nr_vmruns++;
	err = nmmu_nested_enter(r->v, &nested);
	if (err)
		replay_differ(r, "line %u: vmrun refused: %s", ev->line, strerror(-err));
}

static struct ms_err *dirty_get(struct replay *r, const struct tr_event *ev)
{
	const struct nmmu_slot *slot = nmmu_slot_by_id(r->m, 0, ev->a);
	u64 *bitmap = slot ? calloc((slot->nr_pages + 63) / 64, 8) : NULL;
	int err;

	if (!bitmap)
		return ms_err_new(MS_ERR_TARGET, "line %u: no slot %lu", ev->line, ev->a);
	err = nmmu_log_get(r->m, 0, ev->a, bitmap);
	free(bitmap);
	return err ? ms_err_errno(MS_ERR_TARGET, -err, "line %u: log", ev->line) : NULL;
}

static struct ms_err *page_store(struct replay *r, const struct tr_event *ev)
{
	void *p = guest_ptr(r, ev->a << NMMU_PAGE_SHIFT);

	if (!p)
		return ms_err_new(MS_ERR_TARGET, "line %u: no guest memory at gfn %#lx", ev->line, ev->a);
	memcpy(p, ev->words, PAGE_SIZE);
	return NULL;
}

/* Before whatever the guest did next, KVM had entered it. */
static void enter(struct replay *r, const struct tr_event *ev)
{
	struct nmmu_entry entry;
	int err = nmmu_vcpu_load(r->v, &entry);

	if (err)
		replay_differ(r, "line %u: entry refused: %s", ev->line, strerror(-err));
}

/* A 2M leaf became a table? The text is "... gfn 400 level 2 old_spte 10c00ae5 new_spte cc1e827". */
static struct ms_err *split_note(struct replay *r, const char *text)
{
	u64 gfn, old_spte, new_spte, *more;
	unsigned int as_id, level;

	if (sscanf(text, "kvm_tdp_mmu_spte_changed as id %u gfn %lx level %u old_spte %lx new_spte %lx",
		   &as_id, &gfn, &level, &old_spte, &new_spte) != 5 ||
	    level != 2 || !spte_is_leaf(&r->m->profile, old_spte, 2) ||
	    !spte_is_mmu_present(&r->m->profile, new_spte) || spte_is_leaf(&r->m->profile, new_spte, 2))
		return NULL;
	more = reallocarray(r->splits, r->nr_splits + 1, sizeof(*more));
	if (!more)
		return ms_err_nomem();
	r->splits = more;
	r->splits[r->nr_splits++] = gfn;
	return NULL;
}

static struct ms_err *event_replay(struct replay *r, size_t i, bool *checking)
{
	const struct tr_event *ev = &r->trace->events[i];

	if (*checking && ev->kind != TR_PAGE && ev->kind != TR_END && ev->kind != TR_DIRTYGET)
		*checking = false;
	switch (ev->kind) {
	case TR_FAULT:
	case TR_STORE:
	case TR_CHECKPOINT:
	case TR_CR:
	case TR_EFER:
	case TR_INVLPG:
	case TR_VMRUN:
	case TR_VMEXIT:
		enter(r, ev);
		r->nr_events++;
		break;
	default:
		break;
	}
	switch (ev->kind) {
	case TR_PAGE:
		if (!*checking)
			return page_store(r, ev);
		page_compare(r, ev);
		return NULL;
	case TR_STORE:
		r->nr_stores++;
		return guest_store(r, ev);
	case TR_CHECKPOINT:
		*checking = true;
		return NULL;
	case TR_L2:
		r->l2_cr3 = ev->a;
		return NULL;
	case TR_DIRTYGET:
		return dirty_get(r, ev);
	case TR_FAULT:
		return fault_replay(r, i);
	case TR_WRITE:
		write_compare(r, ev);
		return NULL;
	case TR_VMRUN:
		vmrun_replay(r, ev);
		return NULL;
	case TR_VMEXIT:
		/* One that the engine made itself has been compared at its fault. */
		if (r->v->guest_mode)
			nmmu_nested_leave(r->v, NULL);
		return NULL;
	case TR_CR:
	case TR_EFER:
		regs_set(r, ev);
		return NULL;
	case TR_INVLPG:
		nmmu_invlpg(r->v, ev->a);
		return NULL;
	case TR_SAW:
		if (!strncmp(ev->text, "unmap ", 6))
			return ms_err_new(MS_ERR_TARGET, "line %u: the host took memory away", ev->line);
		return split_note(r, ev->text);
	default:
		return NULL;
	}
}

/* --- the machine --- */

static struct ms_err *machine_create(struct replay *r)
{
	const struct ms_rec_host *host = &r->model->host;
	struct nmmu_config config = {
		.hv = MS_HV_SVM,
		.kernel = !strncmp(r->trace->kernel, "6.1.", 4) ? NMMU_6_1 : NMMU_6_12,
		.tdp = r->trace->npt,
		.ad = true,
		.gbpages = true,
		.nx_huge_pages = host->nx_huge_pages > 0,
		.mmio_caching = host->mmio_caching,
		.compat = true,
		/* Few snapshots know the host's; KVM on AMD hands it on to guests as it is. */
		.phys_bits = host->have & MS_HOST_HAVE_PHYS_BITS ? host->phys_bits : r->trace->phys_bits,
		.guest_phys_bits = r->trace->phys_bits,
		.max_pages = r->vm->rec.n_max_mmu_pages,
	};
	int err;

	if (strcmp(host->release, r->trace->kernel))
		return ms_err_new(MS_ERR_TARGET, "trace of %s, snapshot of %s", r->trace->kernel,
				  host->release);
	/* By any thread; the trace has only what the vCPU's own did. */
	if (r->vm->rec.have & MS_VM_HAVE_INVALIDATE && r->vm->rec.invalidate_seq)
		return ms_err_new(MS_ERR_TARGET, "the host took memory away: its notifier sequence is %lu",
				  r->vm->rec.invalidate_seq);
	if (host->hv != MS_HV_SVM)
		return ms_err_new(MS_ERR_TARGET, "the snapshot is not of an AMD host");
	err = nmmu_create(&config, &host_ops, &r->host, &r->m);
	if (!err)
		err = nmmu_vcpu_create(r->m, &r->v);
	return err ? ms_err_errno(MS_ERR_TARGET, -err, "no machine like that host's") : NULL;
}

static struct ms_err *machine_setup(struct replay *r)
{
	u64 hva = 0, gfn = 0;
	int err = 0;

	for (size_t i = 0; i < r->trace->nr && !err; i++) {
		const struct tr_event *ev = &r->trace->events[i];

		if (ev->kind == TR_SLOT) {
			gfn = ev->b;
			hva = ev->e;
			err = nmmu_slot_set(r->m, 0, ev->a, ev->b, ev->c, ev->e, ev->d);
		} else if (ev->kind == TR_BACK) {
			if (!host_back_add(&r->host, hva + ((ev->a - gfn) << NMMU_PAGE_SHIFT), ev->b, ev->d,
					   ev->c))
				return ms_err_nomem();
		} else if (ev->kind == TR_REGS) {
			struct nmmu_regs regs = { .cr0 = ev->a, .cr3 = ev->b, .cr4 = ev->c, .efer = ev->d };

			/* PDPTRs are loaded from memory, which the pages behind this line fill. */
			for (size_t k = i + 1; k < r->trace->nr && r->trace->events[k].kind == TR_PAGE; k++) {
				struct ms_err *fault = page_store(r, &r->trace->events[k]);

				if (fault)
					return fault;
			}
			err = nmmu_set_regs(r->v, &regs);
		}
		if (err)
			return ms_err_errno(MS_ERR_TARGET, -err, "line %u", ev->line);
	}
	return NULL;
}

/* The VM of the snapshot that has the trace's slots. */
static struct ms_err *vm_find(struct replay *r)
{
	for (size_t i = 0; i < r->model->nr_vms; i++)
		for (size_t k = 0; k < r->model->vms[i].nr_slots; k++)
			for (size_t e = 0; e < r->trace->nr; e++)
				if (r->trace->events[e].kind == TR_SLOT &&
				    r->trace->events[e].e == r->model->vms[i].slots[k].hva &&
				    r->trace->events[e].b == r->model->vms[i].slots[k].base_gfn) {
					r->vm = &r->model->vms[i];
					return NULL;
				}
	return ms_err_new(MS_ERR_TARGET, "the snapshot has no VM with the trace's slots");
}

static void self_check(struct replay *r)
{
	const struct nmmu_sp *sp = NULL;
	const char *text = "";
	u32 row = nmmu_self_check(r->m, &text, &sp);

	if (row)
		replay_differ(r, "the engine's own check: row %u, %s (gfn %#lx role %#x)", row, text,
			      sp ? sp->gfn : 0, sp ? sp->role.word : 0);
}

struct flip {
	const struct spte_profile *profile;
	u64 nr, at;
	u32 bit;
	bool done;
};

static bool flip_visit(void *ctx, const struct nmmu_sp *sp)
{
	struct flip *f = ctx;

	for (int i = 0; i < MS_SPTES && !f->done; i++) {
		if (!spte_is_mmu_present(f->profile, sp->spt[i]) || sp->role.level != 1 ||
		    !(sp->spt[i] & f->profile->m.accessed))
			continue;
		f->done = f->bit < 64 && f->nr == f->at;
		if (f->done)
			sp->spt[i] ^= SPTE_BIT(f->bit);
		f->nr++;
	}
	return !f->done;
}

/* For the tests of the comparison: a bit of one accessed 4K leaf, the middle one of all, is turned over. */
static void flip(struct replay *r, u32 bit)
{
	struct flip f = { .profile = &r->m->profile, .bit = 64 };

	nmmu_for_each_sp(r->m, flip_visit, &f);
	f = (struct flip){ .profile = &r->m->profile, .at = f.nr / 2, .bit = bit };
	nmmu_for_each_sp(r->m, flip_visit, &f);
}

static struct ms_err *replay_run(struct replay *r)
{
	struct ms_err *err = vm_find(r);
	bool checking = false;

	if (!err)
		err = machine_create(r);
	if (!err)
		err = machine_setup(r);
	for (size_t i = 0; !err && i < r->trace->nr; i++)
		err = event_replay(r, i, &checking);
	if (err)
		return err;
	self_check(r);
	if (r->flip_bit < 64)
		flip(r, r->flip_bit);
	compare_shadow_pages(r);
	compare_tdp_leaves(r);
	return NULL;
}

static struct ms_err *load(const char *trace_path, const char *snap_path, struct trace **trace_ret,
			   struct ms_model **model_ret)
{
	struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_target *target = NULL;
	struct ms_err *err = trace_read(trace_path, trace_ret);
	char spec[4200];

	if (err)
		return err;
	snprintf(spec, sizeof(spec), "snap:%s", snap_path);
	err = ms_target_open(spec, NULL, &target);
	if (!err)
		err = ms_model_load(target, &want, model_ret);
	ms_target_close(target);
	return err;
}

int main(int argc, char **argv)
{
	struct replay r = { .max_shown = 20, .flip_bit = 64 };
	struct trace *trace = NULL;
	struct ms_model *model = NULL;
	struct ms_err *err;
	int status;

	for (; argc > 4 && !strncmp(argv[1], "--", 2); argc -= 2, argv += 2) {
		if (!strcmp(argv[1], "--max"))
			r.max_shown = strtoul(argv[2], NULL, 10);
		else if (!strcmp(argv[1], "--flip"))
			r.flip_bit = strtoul(argv[2], NULL, 10);
		else
			break;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: replay [--max N] [--flip BIT] TRACE SNAPSHOT\n");
		return 2;
	}
	err = load(argv[1], argv[2], &trace, &model);
	if (!err) {
		r.trace = trace;
		r.model = model;
		err = replay_run(&r);
	}
	if (err) {
		fprintf(stderr, "replay: %s\n", ms_err_text(err));
		ms_err_free(err);
		status = 3;
	} else {
		printf("replay: events=%lu faults=%lu stores=%lu vmruns=%lu words=%lu pages=%lu tables=%lu "
		       "leaves=%lu mmio=%lu excused=%lu differences=%lu\n",
		       r.nr_events, r.nr_faults, r.nr_stores, r.nr_vmruns, r.nr_words, r.nr_sps, r.nr_tables,
		       r.nr_leaves, r.nr_mmio, r.nr_excused, r.nr_differences);
		status = r.nr_differences ? 1 : 0;
	}
	nmmu_destroy(r.m);
	if (!err && r.host.nr_tables)
		fprintf(stderr, "replay: the engine has kept %lu tables\n", r.host.nr_tables);
	host_deinit(&r.host);
	free(r.windows);
	free(r.splits);
	ms_model_destroy(model);
	trace_destroy(trace);
	return status;
}
