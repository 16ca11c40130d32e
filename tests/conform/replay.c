// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay TRACE SNAPSHOT: drives the engine through what the real KVM was told, and tells where its answer is
 * another: how a fault ends, what is injected, the guest's tables (A and D bits), and at the end shadow
 * pages, roles and entries. --spoil 1 tests the comparison as well (spoil.h), --keep N loses N tables.
 * Exit status 0: equal; 1: not; 2: wrong use; 3: no usable trace or snapshot.
 */
#include "replay.h"
#include "spte/spte.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 4096u
#define GPTE_P (1ull << 0)
#define GPTE_A (1ull << 5)
#define GPTE_D (1ull << 6)

void replay_differ(struct replay *r, const char *fmt, ...)
{
	va_list ap;

	if (r->seen.nr_differences++ >= r->max_shown || r->silent)
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

static void page_compare(struct replay *r, const struct tr_event *ev);

/* The first word that has all of `set' and none of `clear' under KVM, with one bit the other way. */
static void word_spoil(struct replay *r, const struct tr_event *ev, u64 *mine, u64 set, u64 clear, u64 bit,
		       enum spoil_event what)
{
	int i = 0;

	while (i < 512 && ((ev->words[i] & set) != set || ev->words[i] & clear || mine[i] != ev->words[i]))
		i++;
	if (i == 512 || !spoil_begin(r))
		return;
	mine[i] ^= bit;
	page_compare(r, ev);
	mine[i] ^= bit;
	spoil_end(r, what);
}

static void page_compare(struct replay *r, const struct tr_event *ev)
{
	struct shadowed s = { .gfn = ev->a };
	u64 *mine;

	nmmu_for_each_sp(r->m, shadowed_visit, &s);
	mine = s.found ? guest_ptr(r, ev->a << NMMU_PAGE_SHIFT) : NULL;
	if (!mine)
		return;
	for (int i = 0; i < 512; i++) {
		r->seen.nr_words += !!ev->words[i];
		if (mine[i] != ev->words[i])
			replay_differ(r, "line %u: guest table gfn %#lx[%d] is %#lx, under KVM %#lx",
				      ev->line, ev->a, i, mine[i], ev->words[i]);
	}
	word_spoil(r, ev, mine, GPTE_P, 0, 1ull << NMMU_PAGE_SHIFT, SPOIL_WORD_FRAME);
	word_spoil(r, ev, mine, GPTE_P | GPTE_A, 0, GPTE_A, SPOIL_WORD_ACCESSED);
	word_spoil(r, ev, mine, GPTE_P | GPTE_D, 0, GPTE_D, SPOIL_WORD_DIRTY_CLEAR);
	word_spoil(r, ev, mine, GPTE_P | GPTE_A, GPTE_D, GPTE_D, SPOIL_WORD_DIRTY_SET);
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

static void outcome_differ(struct replay *r, const struct tr_event *ev, const struct outcome *o,
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

static void outcome_compare(struct replay *r, const struct tr_event *ev, const struct outcome *o,
			    const struct nmmu_result *result);

static void outcome_spoil(struct replay *r, const struct tr_event *ev, const struct outcome *o,
			  struct nmmu_result wrong, enum spoil_event what)
{
	if (!spoil_begin(r))
		return;
	outcome_compare(r, ev, o, &wrong);
	spoil_end(r, what);
}

/* What ended as under KVM is said to have ended otherwise. */
static void outcome_spoils(struct replay *r, const struct tr_event *ev, const struct outcome *o,
			   const struct nmmu_result *result)
{
	struct nmmu_result wrong = *result;

	switch (result->action) {
	case NMMU_ACT_EXIT_L1:
		wrong.qual ^= NMMU_PF_W;
		outcome_spoil(r, ev, o, wrong, SPOIL_EXIT_INFO);
		wrong = *result;
		wrong.addr ^= PAGE_SIZE;
		outcome_spoil(r, ev, o, wrong, SPOIL_EXIT_ADDR);
		wrong = *result;
		wrong.action = NMMU_ACT_RESUME;
		outcome_spoil(r, ev, o, wrong, SPOIL_OUTCOME_NO_EXIT);
		return;
	case NMMU_ACT_PF:
		wrong.qual ^= NMMU_PF_W;
		outcome_spoil(r, ev, o, wrong, SPOIL_PF_ERROR);
		wrong = *result;
		wrong.action = NMMU_ACT_RESUME;
		outcome_spoil(r, ev, o, wrong, SPOIL_OUTCOME_NO_PF);
		return;
	case NMMU_ACT_DONE:
	case NMMU_ACT_MMIO:
		wrong.action = NMMU_ACT_RESUME;
		outcome_spoil(r, ev, o, wrong, SPOIL_OUTCOME_EMULATE);
		break;
	default:
		wrong.action = NMMU_ACT_DONE;
		outcome_spoil(r, ev, o, wrong, SPOIL_OUTCOME_RESUME);
		break;
	}
	wrong.action = NMMU_ACT_PF;
	outcome_spoil(r, ev, o, wrong, SPOIL_OUTCOME_PF);
	wrong.action = NMMU_ACT_EXIT_L1;
	outcome_spoil(r, ev, o, wrong, SPOIL_OUTCOME_EXIT);
}

static void outcome_compare(struct replay *r, const struct tr_event *ev, const struct outcome *o,
			    const struct nmmu_result *result)
{
	u64 before = r->seen.nr_differences;

	outcome_differ(r, ev, o, result);
	if (r->seen.nr_differences == before)
		outcome_spoils(r, ev, o, result);
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

	r->seen.nr_faults++;
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
	u8 *p = guest_ptr(r, ev->a);

	if (!p || memcmp(p, &ev->c, ev->b))
		replay_differ(r, "line %u: KVM has emulated a store of %#lx to %#lx, we have not", ev->line,
			      ev->c, ev->a);
	/* Each of the bytes counts. */
	for (u64 i = 0; p && i < ev->b && spoil_begin(r); i++) {
		p[i] ^= 0x10;
		write_compare(r, ev);
		p[i] ^= 0x10;
		spoil_end(r, SPOIL_STORE);
	}
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
	r->seen.nr_vmruns++;
	err = nmmu_nested_enter(r->v, &nested);
	if (err)
		replay_differ(r, "line %u: vmrun refused: %s", ev->line, strerror(-err));
}

static void dirty_compare(struct replay *r, const struct tr_event *ev, const struct nmmu_slot *slot,
			  u64 *mine)
{
	u64 i;

	for (i = 0; i < slot->nr_pages; i++) {
		bool kvm = ev->words[i / 64] >> i % 64 & 1, ours = mine[i / 64] >> i % 64 & 1;

		r->seen.nr_dirty += kvm && ours;
		if (kvm != ours)
			replay_differ(r, "line %u: gfn %#lx is in the dirty log of %s alone", ev->line,
				      slot->base_gfn + i, ours ? "us" : "KVM");
	}
	/* One page each way, the last there is. */
	for (u64 dirty = 0; dirty < 2; dirty++) {
		for (i = slot->nr_pages; i && (mine[(i - 1) / 64] >> (i - 1) % 64 & 1) != dirty;)
			i--;
		if (!i-- || !spoil_begin(r))
			continue;
		mine[i / 64] ^= 1ull << i % 64;
		dirty_compare(r, ev, slot, mine);
		mine[i / 64] ^= 1ull << i % 64;
		spoil_end(r, dirty ? SPOIL_DIRTY_MISSING : SPOIL_DIRTY_EXTRA);
	}
}

static struct ms_err *dirty_get(struct replay *r, const struct tr_event *ev)
{
	const struct nmmu_slot *slot = nmmu_slot_by_id(r->m, 0, ev->a);
	u64 *bitmap;
	int err;

	if (!slot || slot->nr_pages > 512 * 64)
		return ms_err_new(MS_ERR_TARGET, "line %u: no slot %lu, or a large one", ev->line, ev->a);
	bitmap = calloc((slot->nr_pages + 63) / 64, 8);
	if (!bitmap)
		return ms_err_nomem();
	err = nmmu_log_get(r->m, 0, ev->a, bitmap);
	if (!err)
		dirty_compare(r, ev, slot, bitmap);
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
		r->seen.nr_events++;
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
		r->seen.nr_stores++;
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
	compare(r);
	if (r->spoil)
		spoil_print(r);
	for (u32 i = 0; i < r->nr_keep; i++)
		if (host_ops.page_alloc(&r->host, &(struct nmmu_page){ 0 }))
			return ms_err_nomem();
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
	struct replay r = { .max_shown = 20 };
	struct trace *trace = NULL;
	struct ms_model *model = NULL;
	struct ms_err *err;
	int status;

	for (; argc > 4 && !strncmp(argv[1], "--", 2); argc -= 2, argv += 2) {
		if (!strcmp(argv[1], "--max"))
			r.max_shown = strtoul(argv[2], NULL, 10);
		else if (!strcmp(argv[1], "--spoil"))
			r.spoil = strtoul(argv[2], NULL, 10);
		else if (!strcmp(argv[1], "--keep"))
			r.nr_keep = strtoul(argv[2], NULL, 10);
		else
			break;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: replay [--max N] [--spoil 1] [--keep N] TRACE SNAPSHOT\n");
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
		       "leaves=%lu mmio=%lu dirty=%lu excused=%lu differences=%lu\n",
		       r.seen.nr_events, r.seen.nr_faults, r.seen.nr_stores, r.seen.nr_vmruns,
		       r.seen.nr_words, r.seen.nr_sps, r.seen.nr_tables, r.seen.nr_leaves, r.seen.nr_mmio,
		       r.seen.nr_dirty, r.seen.nr_excused, r.seen.nr_differences);
		status = r.seen.nr_differences ? 1 : 0;
	}
	nmmu_destroy(r.m);
	if (!err && r.host.nr_tables) {
		fprintf(stderr, "replay: the engine has kept %lu tables\n", r.host.nr_tables);
		status = 1;
	}
	host_deinit(&r.host);
	free(r.windows);
	free(r.splits);
	ms_model_destroy(model);
	trace_destroy(trace);
	return status;
}
