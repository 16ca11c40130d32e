/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk: how the guest at work on a vCPU translates an address, entry by entry, in one dimension or in two,
 * and what the shadow pages of the MMU in use hold for the same address. The walk is the target's; nothing is
 * decided here.
 */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

#include "model/gpte.h"

/* One level of the shadow tables on the way to the address. */
struct shadow {
	const struct ms_sp *sp;
	u32 idx;
};

struct walk {
	struct ms_trace trace;
	const struct ms_vcpu *vcpu;
	const struct ms_args *args;
	u64 address;
	u32 address_bits; /* the address has no meaning in so few bits: nothing was walked; 0: it has */
	struct shadow shadow[SPTE_LEVEL_MAX];
	size_t nr_shadow;
};

/* --- what came of it --- */

static const struct ms_column walk_cols[] = {
	{ "vcpu_id", "vCPU", MS_V_INT },
	{ "guest", "guest at work", MS_V_TEXT },
	{ "second", "second dimension", MS_V_TEXT },
	{ "address", "address", MS_V_HEX },
	{ "access", "access", MS_V_TEXT },
	{ "cr3", "CR3", MS_V_HEX },
	{ "root12", "EPTP or nCR3", MS_V_HEX },
	{ "result", "result", MS_V_TEXT },
	{ "ngpa", "L2 GPA", MS_V_HEX },
	{ "gpa", "L1 GPA", MS_V_HEX },
	{ "slot", "in slot", MS_V_INT },
	{ "error", "error code", MS_V_HEX },
	{ "error_bits", "error bits", MS_V_WORDS },
	{ "qualification", "exit qualification", MS_V_HEX },
};

static const char *dim_name(const struct ms_trace *trace, u32 dim)
{
	if (dim)
		return trace->is_ept ? "EPT12" : "NPT12";
	return trace->guest_mode ? "L2" : "L1";
}

static void put_access(struct ms_cell *cell, const struct ms_args *args)
{
	ms_buf_puts(&cell->text, args->fetch ? "fetch" : args->write ? "write" : "read");
	ms_buf_puts(&cell->text, args->user ? ", user" : ", supervisor");
}

static void error_words(struct ms_cell **at, u64 error)
{
	static const struct {
		u32 bit;
		const char *name;
	} bits[] = {
		{ 0, "present" }, { 1, "write" },  { 2, "user" },   { 3, "reserved" },
		{ 4, "fetch" },	  { 32, "final" }, { 33, "table" },
	};
	struct ms_cell *words = cell_words(at);
	size_t i;

	for (i = 0; i < MS_LEN(bits); i++)
		if (error >> bits[i].bit & 1)
			word_add(words, bits[i].name);
}

static bool has_ngpa(const struct ms_trace *trace)
{
	return trace->nested && !(trace->fault && !trace->fault_dim);
}

static void walk_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct walk *walk = section->ctx;
	const struct ms_trace *trace = &walk->trace;
	const struct ms_rec_slot *slot = NULL;
	struct ms_cell *cell;

	(void)row;
	if (!trace->fault && !walk->address_bits)
		slot = ms_vm_slot(section->vm, walk->vcpu->rec.smm, trace->gpa >> SPTE_PAGE_SHIFT);
	cell_int(&cells, walk->vcpu->rec.vcpu_id);
	cell_text(&cells, dim_name(trace, 0))->style = MS_STYLE_ACCENT;
	cell_text(&cells, trace->nested ? dim_name(trace, 1) : NULL);
	cell_hex(&cells, walk->address);
	put_access(cell_text(&cells, ""), walk->args);
	cell_hex(&cells, trace->root[0]);
	cell_opt(&cells, trace->nested, MS_V_HEX, trace->root[1]);
	cell = cell_text(&cells, "");
	if (walk->address_bits) {
		ms_buf_printf(&cell->text,
			      walk->address_bits == 32 ? "no address: it has more than %u bits"
						       : "not canonical in %u bits: the CPU gives #GP",
			      walk->address_bits);
		cell->style = MS_STYLE_WARN;
		return;
	}
	if (trace->fault) {
		ms_buf_printf(&cell->text, "fault of %s", dim_name(trace, trace->fault_dim));
		cell->style = MS_STYLE_WARN;
	} else {
		ms_buf_puts(&cell->text, slot ? "memory" : "no memory: a device");
		cell->style = slot ? MS_STYLE_GOOD : MS_STYLE_PLAIN;
	}
	cell_opt(&cells, has_ngpa(trace), MS_V_HEX, trace->ngpa);
	cell_opt(&cells, !trace->fault, MS_V_HEX, trace->gpa);
	cell_opt(&cells, slot, MS_V_INT, slot ? (u64)(s64)slot->id : 0);
	cell_opt(&cells, trace->fault, MS_V_HEX, trace->error);
	if (trace->fault)
		error_words(&cells, trace->error);
	else
		cell_none(&cells);
	cell_opt(&cells, trace->fault && trace->fault_dim && trace->is_ept, MS_V_HEX, trace->qual);
}

/* --- its steps --- */

static const struct ms_column step_cols[] = {
	{ "step", "STEP", MS_V_COUNT },
	{ "table", "TABLE", MS_V_TEXT },
	{ "level", "LEVEL", MS_V_COUNT },
	{ "index", "INDEX", MS_V_COUNT },
	{ "input", "TRANSLATES", MS_V_HEX, .prio = 2 },
	{ "entry_at", "ENTRY AT", MS_V_HEX, .prio = 1 },
	{ "kind", "KIND", MS_V_TEXT },
	{ "frame", "FRAME", MS_V_HEX },
	{ "access", "ACC", MS_V_TEXT },
	{ "accessed", "A", MS_V_BOOL, .prio = 3 },
	{ "dirty", "D", MS_V_BOOL, .prio = 3 },
	{ "notes", "NOTES", MS_V_WORDS },
	{ "raw", "RAW", MS_V_HEX, .digits = 16 },
};

static const char *kind_name(const struct ms_trace_step *step, const struct ms_gpte *g)
{
	if (step->flags & MS_TRACE_UNBACKED)
		return "unbacked";
	if (step->flags & MS_TRACE_NOT_PRESENT || !g->present)
		return "not present";
	if (!g->leaf)
		return "table";
	return g->bytes == 4096 ? "4K" : g->bytes == 2ull << 20 ? "2M" : g->bytes == 4ull << 20 ? "4M" : "1G";
}

static void put_rights(struct ms_cell *cell, bool ept, u32 access)
{
	ms_buf_putc(&cell->text, access & MS_GPTE_R ? (ept ? 'r' : 'u') : '-');
	ms_buf_putc(&cell->text, access & MS_GPTE_W ? 'w' : '-');
	ms_buf_putc(&cell->text, access & MS_GPTE_X ? 'x' : '-');
}

/* What the entries from the top of this table's walk down to this step grant together. */
static u32 rights_down_to(const struct ms_trace *trace, size_t row)
{
	const struct ms_trace_step *last = &trace->steps[row], *step;
	u32 access = MS_GPTE_R | MS_GPTE_W | MS_GPTE_X;
	struct ms_gpte g;
	size_t i;

	for (i = 0; i <= row; i++) {
		step = &trace->steps[i];
		/* A second dimension is walked once for each address that the first one comes to. */
		if (step->dim != last->dim || (step->dim && step->input != last->input))
			continue;
		ms_gpte_decode(step->gpt, step->level, step->entry, &g);
		access &= g.access;
	}
	return access;
}

#define CR0_WP (1ull << 16)
#define CR4_SMEP (1ull << 20)
#define ERROR_WRITE (1ull << 1)
#define ERROR_USER (1ull << 2)
#define ERROR_FETCH (1ull << 4)

/* Which rule of the CPU's refuses the access, by what it tried and what the entries grant. */
static void put_reason(struct ms_cell *words, const struct walk *walk, size_t row)
{
	const struct ms_trace_step *step = &walk->trace.steps[row];
	u32 access = rights_down_to(&walk->trace, row);
	size_t before = words->text.len;
	u64 error = walk->trace.error;
	bool ept = step->gpt == MS_GPT_EPT, write = error & ERROR_WRITE, fetch = error & ERROR_FETCH;
	/* NPT takes every access for a user's. */
	bool user = step->dim || error & ERROR_USER, wp = user || walk->vcpu->rec.cr0 & CR0_WP;

	if (ept && !write && !fetch && !(access & MS_GPTE_R))
		word_add(words, "not-readable");
	if (!ept && user && !(access & MS_GPTE_R))
		word_add(words, "not-user");
	if (write && !(access & MS_GPTE_W) && (ept || wp))
		word_add(words, "not-writable");
	if (fetch && !(access & MS_GPTE_X))
		word_add(words, ept ? "not-executable" : "NX");
	/* What else refuses a supervisor a user's page; EFLAGS.AC, which lets it read, is not known here. */
	if (!ept && !user && access & MS_GPTE_R) {
		if (fetch && walk->vcpu->rec.cr4 & CR4_SMEP)
			word_add(words, "SMEP");
		else if (!fetch && words->text.len == before)
			word_add(words, "SMAP");
	}
}

static void step_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	static const struct {
		u32 flag;
		const char *name;
	} flags[] = {
		{ MS_TRACE_DENIED, "denies" },
		{ MS_TRACE_SET_A, "would-set-A" },
		{ MS_TRACE_SET_D, "would-set-D" },
	};
	const struct walk *walk = section->ctx;
	const struct ms_trace_step *step = &walk->trace.steps[row];
	bool ept = step->gpt == MS_GPT_EPT, mapped;
	struct ms_cell *words;
	struct ms_gpte g;
	size_t i;

	ms_gpte_decode(step->gpt, step->level, step->entry, &g);
	mapped = g.present && !(step->flags & (MS_TRACE_NOT_PRESENT | MS_TRACE_UNBACKED));
	cell_count(&cells, row);
	cell_text(&cells, dim_name(&walk->trace, step->dim))->style =
		step->dim ? MS_STYLE_DIM : MS_STYLE_ACCENT;
	cell_count(&cells, step->level);
	cell_count(&cells, ms_gpt_index(step->gpt, step->level, step->input));
	cell_hex(&cells, step->input);
	cell_hex(&cells, step->entry_at);
	cell_text(&cells, kind_name(step, &g))->style = mapped ? MS_STYLE_PLAIN : MS_STYLE_WARN;
	cell_opt(&cells, mapped, MS_V_HEX, g.frame);
	if (mapped)
		put_rights(cell_text(&cells, ""), ept, g.access);
	else
		cell_none(&cells);
	cell_opt(&cells, mapped && g.has_ad, MS_V_BOOL, g.accessed);
	cell_opt(&cells, mapped && g.has_ad && g.leaf, MS_V_BOOL, g.dirty);
	words = cell_words(&cells);
	if (step->flags & MS_TRACE_RSVD)
		word_add(words, ept ? "misconfigured" : "reserved-bits");
	for (i = 0; i < MS_LEN(flags); i++)
		if (step->flags & flags[i].flag)
			word_add(words, flags[i].name);
	if (step->flags & MS_TRACE_DENIED)
		put_reason(words, walk, row);
	cell_opt(&cells, !(step->flags & MS_TRACE_UNBACKED), MS_V_HEX, step->entry);
}

/* --- the shadow pages on the way --- */

static const struct ms_column shadow_cols[] = {
	{ "level", "LEVEL", MS_V_COUNT },
	{ "index", "INDEX", MS_V_COUNT },
	{ "sp", "SP", MS_V_HEX, MS_SECRET_SP },
	{ "sp_gfn", "PAGE'S GFN", MS_V_HEX, .prio = 2 },
	{ "class", "CLASS", MS_V_TEXT },
	{ "state", "STATE", MS_V_TEXT },
	{ "gfn", "L1 GFN", MS_V_HEX },
	{ "role_text", "ROLE", MS_V_TEXT, .prio = 1 },
	{ "raw", "RAW", MS_V_HEX, MS_SECRET_SPTE, .digits = 16 },
};

static void shadow_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct walk *walk = section->ctx;
	const struct shadow *shadow = &walk->shadow[row];
	const struct ms_model *model = section->model;
	const struct ms_sp *sp = shadow->sp;
	u64 raw = sp->tables->sptes[shadow->idx], gfn = 0;
	enum spte_class cls = spte_class(&model->profile, raw, sp->level);
	enum ms_gfn_source source = ms_sp_entry_gfn(model, sp, shadow->idx, &gfn);
	struct ms_cell *cell;

	cell_count(&cells, sp->level);
	cell_count(&cells, shadow->idx);
	cell_hex(&cells, sp->rec.sp);
	cell_hex(&cells, sp->rec.gfn);
	cell_text(&cells, spte_class_name(cls));
	cell_text(&cells, cls == SPTE_CLASS_LEAF
				  ? spte_wstate_name(spte_wstate(&model->profile, raw, sp->level))
				  : NULL);
	cell_opt(&cells, source != MS_GFN_NONE && cls != SPTE_CLASS_TABLE, MS_V_HEX, gfn);
	cell_role(&cells, model, sp->rec.role);
	cell = cell_hex(&cells, raw);
	if (cls != SPTE_CLASS_LEAF && cls != SPTE_CLASS_TABLE && cls != SPTE_CLASS_UNKNOWN)
		cell->secret = MS_PUBLIC;
}

static const struct ms_sp *root_in_use(const struct ms_vm *vm, const struct ms_vcpu *vcpu)
{
	const struct ms_rec_mmu *mmu;
	u32 i;

	for (i = 0; i < vcpu->nr_mmus; i++) {
		mmu = &vm->mmus[vcpu->first_mmu + i];
		if (vcpu->rec.have & MS_VCPU_HAVE_MMU && mmu->mmu == vcpu->rec.mmu &&
		    mmu->root.hpa != MS_INVALID_PAGE)
			return ms_vm_sp_by_table(vm, mmu->root.hpa >> SPTE_PAGE_SHIFT);
	}
	return NULL;
}

/* The address as the MMU in use has it: what its root translates. */
static bool shadow_address(const struct query *q, const struct walk *walk, u64 *ret)
{
	const struct ms_trace *trace = &walk->trace;

	if (trace->nested) {
		*ret = trace->ngpa;
		return has_ngpa(trace);
	}
	if (q->model->host.have & MS_HOST_HAVE_TDP_ENABLED && q->model->host.tdp_enabled) {
		*ret = trace->gpa;
		return !trace->fault;
	}
	*ret = walk->address;
	return true;
}

static void shadow_fill(const struct query *q, struct walk *walk)
{
	const struct ms_sp *sp = root_in_use(q->vm, walk->vcpu);
	u64 address;
	u32 idx;

	if (walk->address_bits || !shadow_address(q, walk, &address))
		return;
	while (sp && sp->tables && sp->level && walk->nr_shadow < SPTE_LEVEL_MAX) {
		idx = (u32)(address >> (SPTE_PAGE_SHIFT + SPTE_LEVEL_BITS * (sp->level - 1))) % MS_SPTES;
		walk->shadow[walk->nr_shadow++] = (struct shadow){ sp, idx };
		sp = sp->level > 1 ? ms_sp_child(q->model, q->vm, sp, idx) : NULL;
	}
}

const struct ms_vcpu *vcpu_by_id(const struct ms_vm *vm, u32 id)
{
	size_t i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i].rec.vcpu_id == (s32)id)
			return &vm->vcpus[i];
	return NULL;
}

struct ms_err *no_vcpu(const struct query *q)
{
	return ms_err_hint(
		ms_err_new(MS_ERR_USAGE, "%s: the VM has no vCPU %u", q->args->command->name, q->args->vcpu),
		"`mmuscope vcpus' lists them");
}

#define CR0_PG (1ull << 31)
#define CR4_LA57 (1ull << 12)
#define EFER_LMA (1ull << 10)

/* The bits of linear addresses on this vCPU when this one is none of them, else 0. */
static u32 address_bits_broken(const struct ms_vcpu *vcpu, u64 address)
{
	bool longs = vcpu->rec.efer & EFER_LMA && vcpu->rec.cr0 & CR0_PG;
	u32 bits = !longs ? 32 : vcpu->rec.cr4 & CR4_LA57 ? 57 : 48;

	/* What was not read says nothing. */
	if (!(vcpu->rec.have & MS_VCPU_HAVE_CR0) || !(vcpu->rec.have & MS_VCPU_HAVE_CR4) ||
	    !(vcpu->rec.have & MS_VCPU_HAVE_EFER))
		return 0;
	if (!longs)
		return address >> 32 ? bits : 0;
	return (u64)((s64)(address << (64 - bits)) >> (64 - bits)) == address ? 0 : bits;
}

static struct ms_err *walk_init(struct query *q, struct walk *walk)
{
	const struct ms_args *args = q->args;
	struct ms_trace_req req = { .kvm = q->vm->rec.kvm,
				    .vcpu_id = (s32)args->vcpu,
				    .write = args->write,
				    .fetch = args->fetch,
				    .user = args->user };
	struct ms_err *err;

	if (!ms_parse_u64(args->args[0], ~0ull, &req.address))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "walk: '%s' is no address", args->args[0]),
				   "e.g. walk 0xffff888000100000 --vcpu 0");
	walk->args = args;
	walk->address = req.address;
	err = ms_target_translate(q->session->target, &req, &walk->trace);
	if (err)
		return err;
	walk->vcpu = vcpu_by_id(q->vm, args->vcpu);
	if (!walk->vcpu)
		return no_vcpu(q);
	if (walk->trace.nr > MS_TRACE_MAX)
		return ms_err_new(MS_ERR_TARGET, "walk: more steps than there is room for");
	walk->address_bits = address_bits_broken(walk->vcpu, req.address);
	if (walk->address_bits)
		walk->trace.nr = 0;
	shadow_fill(q, walk);
	return NULL;
}

struct ms_err *query_run_walk(struct query *q)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	struct ms_section *section;
	struct ms_err *err = walk ? walk_init(q, walk) : ms_err_nomem();

	section =
		err ? NULL : section_add(q, "walk", "Walk", false, walk_cols, MS_LEN(walk_cols), 1, walk_row);
	if (!section) {
		free(walk);
		return err ? err : ms_err_nomem();
	}
	section->ctx = section->owned = walk;
	section = section_add(q, "steps", "Guest's entries", true, step_cols, MS_LEN(step_cols),
			      walk->trace.nr, step_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = walk;
	section = section_add(q, "shadow", "Shadow pages in use", true, shadow_cols, MS_LEN(shadow_cols),
			      walk->nr_shadow, shadow_row);
	if (!section)
		return ms_err_nomem();
	section->ctx = walk;
	return NULL;
}
