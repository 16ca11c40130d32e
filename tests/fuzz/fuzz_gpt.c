/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer target: whatever a guest has in its tables and registers. The input is a machine, entries to be
 * put into tables that are good at first, and acts of a guest and its host; tables come to point into
 * themselves, at nothing, at each other. Nothing may crash, no access may reach memory of the host that is
 * not the guest's, and the engine's invariants hold behind every act.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario/machine.h"

#define PAGES 32 /* of guest memory: few, so that an entry often hits a table */
#define HVA 0x7f0000000000ULL
#define HOLE 20 /* frames from here to 23 have no memory */
#define MAX_ACTS 64
#define CHECK_EACH 8

/* Frames of the tables there are at first; each maps all of memory to itself. */
enum {
	EPT_ROOT = 1,
	LONG_ROOT = 5,
	LONG_L2 = 7,
	OLD_ROOT = 9,
	LA57_ROOT = 11,
	PAE_ROOT = 12,
	EPT5_ROOT = 13
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

struct input {
	const uint8_t *data;
	size_t size, at;
};

static u64 take(struct input *in, u32 bytes)
{
	u64 value = 0;
	u32 i;

	for (i = 0; i < bytes && in->at < in->size; i++)
		value |= (u64)in->data[in->at++] << 8 * i;
	return value;
}

/* An entry: mostly one of this memory with arbitrary low bits, at times anything. */
static u64 take_entry(struct input *in)
{
	u64 how = take(in, 1), low = take(in, 2);

	if (how >= 0xf0)
		return take(in, 8);
	return (how & 0x1f) << 12 | (low & 0xfff) | (low >> 12) << 60 | (how & 0x80 ? 0 : 7);
}

static void put_entry(struct ms_machine *machine, u64 gfn, u32 index, u64 entry, u32 bytes)
{
	if (ms_machine_poke(machine, gfn << 12 | (u64)index * bytes, &entry, bytes))
		abort();
}

/* Four levels from root on, one frame after the other; tables and pages with these bits. */
static void make_chain(struct ms_machine *machine, u64 root, u64 table_bits, u64 page_bits)
{
	u32 i;

	for (i = 0; i < 3; i++)
		put_entry(machine, root + i, 0, (root + i + 1) << 12 | table_bits, 8);
	for (i = 0; i < PAGES; i++)
		put_entry(machine, root + 3, i, (u64)i << 12 | page_bits, 8);
	/* Once more as a large page. */
	put_entry(machine, root + 2, 1, page_bits | 1 << 7, 8);
}

static void make_tables(struct ms_machine *machine)
{
	u32 i;

	make_chain(machine, EPT_ROOT, 0x107, 0x337);
	put_entry(machine, EPT5_ROOT, 0, (u64)EPT_ROOT << 12 | 0x107, 8);
	make_chain(machine, LONG_ROOT, 0x27, 0x67);
	put_entry(machine, LA57_ROOT, 0, (u64)LONG_ROOT << 12 | 0x27, 8);
	for (i = 0; i < 4; i++)
		put_entry(machine, PAE_ROOT, i, (u64)LONG_L2 << 12 | 1, 8);
	put_entry(machine, OLD_ROOT, 0, (u64)(OLD_ROOT + 1) << 12 | 0x27, 4);
	for (i = 0; i < PAGES; i++)
		put_entry(machine, OLD_ROOT + 1, i, i << 12 | 0x67, 4);
}

static void change_tables(struct ms_machine *machine, struct input *in)
{
	u32 nr = (u32)take(in, 1) & 31, i;

	for (i = 0; i < nr && in->at < in->size; i++) {
		u64 gpa = take(in, 1) % PAGES << 12 | (take(in, 1) & 0x3f) << 3, entry = take_entry(in);

		/* Some at the high end, where canonical addresses go. */
		if (gpa & 0x100)
			gpa |= 0xe00;
		if (ms_machine_poke(machine, gpa, &entry, 8) && (gpa >> 12 < HOLE || gpa >> 12 >= HOLE + 4))
			abort();
	}
}

/* One of the modes there are, with a root for it; at times any bits and any root. */
static void take_regs(struct input *in, struct nmmu_regs *regs)
{
	static const struct {
		u64 cr0, cr3, cr4, efer;
	} modes[] = {
		{ 0x11, 0, 0, 0 },
		{ 0x80000011, OLD_ROOT, 0, 0 },
		{ 0x80000011, PAE_ROOT, 0x20, 0 },
		{ 0x80000011, LONG_ROOT, 0x20, 0x500 },
		{ 0x80000011, LA57_ROOT, 0x1020, 0x500 },
	};
	u64 bits = take(in, 2), mode = bits % 5;

	bits >>= 4;
	*regs = (struct nmmu_regs){
		.cr0 = modes[mode].cr0 | (bits & 1 ? 1ULL << 16 : 0),
		.cr3 = modes[mode].cr3 << 12,
		.cr4 = modes[mode].cr4 | (bits & 2 ? 1ULL << 20 : 0) | (bits & 4 ? 1ULL << 21 : 0) |
		       (bits & 8 ? 1ULL << 4 : 0),
		.efer = modes[mode].efer | (bits & 16 ? 1ULL << 11 : 0),
		.ac = bits & 32,
		.smm = (bits & 0x1c0) == 0x1c0,
	};
	if ((bits & 0xe00) == 0xe00)
		regs->cr3 = take(in, 2) << 4;
	if ((bits & 0xe00) == 0xc00)
		regs->cr4 ^= take(in, 2);
}

static u64 take_addr(struct input *in)
{
	u64 how = take(in, 1), page = take(in, 2);

	if (how < 0x80)
		return (page & 0x3f) << 12 | (how & 0x7f) << 3;
	if (how < 0xc0)
		return (page & 7) << 39 | (page >> 3 & 7) << 30 | (page >> 6 & 7) << 21 |
		       (page >> 9 & 15) << 12;
	if (how < 0xe0)
		return 0xffffULL << 48 | page << 32 | (page & 0xff) << 12;
	return take(in, 8) & ~7ULL;
}

/*
 * All accesses of the guest. Of two kinds of stores into tables nobody tells their shadow pages, in KVM neither
 * (SEMANTICS F, "address spaces"; H 35). One in SMM goes through an address space of its own, whose memslots are not
 * those in which tables used outside it are write-protected; and an entry of the PML buffer of L1 is written by L0.
 */
static void do_access(struct ms_machine *machine, u32 vcpu, const struct nmmu_access *access,
		      struct ms_run *run, bool *told)
{
	struct nmmu_vcpu *v = ms_machine_vcpu(machine, vcpu);
	bool smm = v->regs.smm;
	u16 index = v->nested.pml_index;

	ms_machine_access(machine, vcpu, access, run);
	if (smm || v->nested.pml_index != index)
		*told = false;
}

static void act_access(struct ms_machine *machine, struct input *in, u32 vcpu, bool *told)
{
	u64 bits = take(in, 1);
	struct nmmu_access access = {
		.gva = take_addr(in),
		.bytes = (u8)(1u << (bits & 3)),
		.write = bits & 4,
		.fetch = (bits & 12) == 8,
		.user = bits & 16,
		.value = bits & 32 ? take_entry(in) : bits,
	};
	struct ms_run run;
	struct nmmu *m = ms_machine_nmmu(machine);

	access.rmw = access.write && bits & 64;
	do_access(machine, vcpu, &access, &run, told);
	/* Memory reached by the CPU is a page of a slot. */
	if (!run.error && !run.stuck && run.action == NMMU_ACT_DONE && run.pa) {
		struct nmmu_slot *slot;
		u64 gfn;

		for (gfn = 0; gfn < 2 * PAGES; gfn++) {
			slot = nmmu_slot_of(m, gfn >= PAGES, gfn % PAGES);
			if (slot && ms_machine_pfn(machine, slot->hva + ((gfn % PAGES - slot->base_gfn)
									 << 12)) == run.pa >> 12)
				return;
		}
		abort();
	}
}

static void act_nested(struct ms_machine *machine, struct input *in, struct nmmu_vcpu *v)
{
	struct nmmu *m = ms_machine_nmmu(machine);
	u64 bits = take(in, 2);
	struct nmmu_nested nested = {
		.kind = bits & 1 ? (m->cfg.hv == MS_HV_VMX ? NMMU_NESTED_EPT : NMMU_NESTED_NPT)
				 : NMMU_NESTED_OFF,
		.root = (bits & 0x40		  ? bits >> 8 & 0x1f
			 : m->cfg.hv == MS_HV_SVM ? (v->regs.cr4 & 0x1000   ? LA57_ROOT
						     : v->regs.efer & 0x400 ? LONG_ROOT
									    : PAE_ROOT)
			 : bits & 8		  ? EPT5_ROOT
						  : EPT_ROOT)
			<< 12,
		.pml = bits & 2,
		.pml_addr = (bits >> 9 & 0x1f) << 12,
		.pml_index = (u16)(bits & 4 ? bits : bits & 511),
	};

	if (v->guest_mode) {
		nmmu_nested_leave(v, NULL);
		return;
	}
	if (nested.kind == NMMU_NESTED_EPT)
		nested.root |= (bits & 8 ? 4u << 3 : 3u << 3) | 6 | (bits & 16 ? 1u << 6 : 0);
	take_regs(in, &nested.l2);
	if (nmmu_nested_enter(v, &nested) > 0)
		abort();
}

static void die(const char *what, const struct nmmu_trace *t, const struct ms_run *run)
{
	fprintf(stderr, "%s: tables say %s dim %u error 0x%llx gpa 0x%llx; action %d qual 0x%llx pa 0x%llx\n",
		what, t->fault ? "fault" : "page", t->fault_dim, (unsigned long long)t->error,
		(unsigned long long)t->gpa, (int)run->action, (unsigned long long)run->last.qual,
		(unsigned long long)run->pa);
	abort();
}

static bool is_simple(const struct nmmu_trace *t)
{
	u32 i;

	for (i = 0; i < t->nr; i++)
		if (t->steps[i].flags & NMMU_STEP_UNBACKED)
			return false;
	return true;
}

static void compare(struct ms_machine *machine, const struct nmmu_trace *t, const struct ms_run *run,
		    u64 gfn_limit)
{
	struct nmmu *m = ms_machine_nmmu(machine);
	struct nmmu_slot *slot;

	if (run->error || run->stuck || run->action == NMMU_ACT_DEAD || !is_simple(t))
		return;
	if (t->fault && run->action != (t->fault_dim ? NMMU_ACT_EXIT_L1 : NMMU_ACT_PF))
		die("a fault", t, run);
	if (t->fault)
		return;
	slot = nmmu_slot_of(m, 0, t->gpa >> 12);
	if (!slot) {
		if (run->action != NMMU_ACT_MMIO && t->gpa >> 12 < gfn_limit)
			die("a device", t, run);
		return;
	}
	if (run->action != NMMU_ACT_DONE)
		die("memory", t, run);
	if (run->pa &&
	    ms_machine_pfn(machine, slot->hva + ((t->gpa >> 12) - slot->base_gfn) * 4096) != run->pa >> 12)
		die("another page", t, run);
}

/*
 * The guest forgets all that may be cached; then a read must go where its tables lead. Not for what L0 or the
 * host did to tables: nobody tells shadow pages of that (H 35).
 */
static void act_compare(struct ms_machine *machine, struct input *in, u32 vcpu, u64 gva, bool *told)
{
	struct nmmu_vcpu *v = ms_machine_vcpu(machine, vcpu);
	struct nmmu *m = ms_machine_nmmu(machine);
	struct nmmu_access access = { .gva = gva & 0x7fffffffffffULL, .bytes = 1 };
	struct nmmu_nested nested = v->nested;
	struct nmmu_trace t;
	struct ms_run run;

	access.user = take(in, 1) & 1;
	if (v->regs.smm)
		return;
	if (v->guest_mode) {
		nested.l2 = v->regs;
		nmmu_nested_leave(v, NULL);
		nmmu_invept(v, true, 0);
		nmmu_flush_nested_npt(v);
		if (nmmu_nested_enter(v, &nested))
			return;
	}
	/* PDPTEs on NPT: the CPU reads them when it walks, the engine has them since CR3 was loaded. */
	if (m->cfg.hv == MS_HV_SVM && v->regs.cr4 & 0x20 && !(v->regs.efer & 0x400))
		return;
	if (!(v->regs.efer & 0x400))
		access.gva &= 0xffffffff;
	ms_machine_flush_guest(machine, vcpu);
	if (nmmu_translate(v, &access, false, &t))
		return;
	do_access(machine, vcpu, &access, &run, told);
	if (*told)
		compare(machine, &t, &run, 1ULL << (m->cfg.phys_bits - 12));
}

/* A page that was just used gets another entry in one of its tables, stored by a guest. */
static void act_edit(struct ms_machine *machine, struct input *in, u32 vcpu, bool *told)
{
	static const u8 tables[] = { EPT_ROOT + 3,  LONG_ROOT + 3, OLD_ROOT + 1, EPT_ROOT + 2,
				     LONG_ROOT + 2, LONG_ROOT + 1, EPT_ROOT + 1, PAE_ROOT };
	u64 bits = take(in, 2), page = bits & 31, table = tables[bits >> 5 & 7];
	struct nmmu_access access = { .gva = page << 12, .bytes = 1 };
	struct ms_run run;

	do_access(machine, vcpu, &access, &run, told);
	access = (struct nmmu_access){ .bytes = table == OLD_ROOT + 1 ? 4 : 8, .write = true };
	access.gva = table << 12 | ((bits >> 5 & 7) >= 3 ? 0 : page * access.bytes);
	access.value =
		bits & 0x8000 ? take_entry(in) : (take(in, 1) & 31) << 12 | (bits & 0x4000 ? 0x337 : 0x67);
	do_access(machine, bits & 0x2000 ? vcpu : !vcpu, &access, &run, told);
	if (*told)
		act_compare(machine, in, vcpu, page << 12, told);
}

static void act_host(struct ms_machine *machine, struct input *in)
{
	struct nmmu *m = ms_machine_nmmu(machine);
	u64 how = take(in, 1), page = take(in, 1) % PAGES, bitmap[1] = { 0 };
	u64 entry;

	switch (how % 10) {
	case 0:
		ms_machine_discard(machine, HVA + (page << 12), 1 << 12);
		break;
	case 1:
		ms_machine_migrate(machine, HVA + (page << 12), 4 << 12);
		break;
	case 2:
		ms_machine_protect(machine, HVA + (page << 12), 1 << 12, how & 16);
		break;
	case 3:
		nmmu_age(m, HVA, HVA + (PAGES << 12));
		break;
	case 4:
		entry = take_entry(in);
		nmmu_host_write(m, page << 12 | (how & 0xf0) << 3, &entry, 8);
		break;
	case 5:
		nmmu_log_get(m, 0, 0, bitmap);
		break;
	case 6:
		nmmu_slot_set(m, 0, 0, 0, HOLE, HVA, how & 16 ? MS_SLOT_LOG_DIRTY : 0);
		break;
	case 7:
		nmmu_slot_set(m, 0, 1, HOLE + 4, how & 16 ? PAGES - HOLE - 4 : 0, HVA + ((HOLE + 4) << 12),
			      how & 32 ? MS_SLOT_READONLY : 0);
		break;
	case 8:
		nmmu_set_max_pages(m, how & 16 ? 40 : 0);
		break;
	default:
		if (how & 16)
			nmmu_zap_all(m);
		else
			nmmu_set_nx_huge_pages(m, how & 32);
		break;
	}
}

static void act(struct ms_machine *machine, struct input *in, bool *told)
{
	u64 how = take(in, 1);
	u32 vcpu = how >> 7;
	struct nmmu_vcpu *v = ms_machine_vcpu(machine, vcpu);
	struct nmmu_regs regs;

	switch (how % 10) {
	case 0:
		take_regs(in, &regs);
		ms_machine_set_regs(machine, vcpu, &regs);
		break;
	case 1:
		act_nested(machine, in, v);
		break;
	case 2:
		*told = false;
		act_host(machine, in);
		break;
	case 5:
		if (*told)
			act_compare(machine, in, vcpu, take_addr(in), told);
		break;
	case 6:
		act_edit(machine, in, vcpu, told);
		break;
	case 3:
		if (how & 64)
			ms_machine_invlpg(machine, vcpu, take_addr(in));
		else if (how & 32)
			ms_machine_flush_guest(machine, vcpu);
		else
			nmmu_invept(v, how & 16, take(in, 1) << 12 | 0x1e);
		break;
	case 4:
		ms_machine_fail_alloc(machine, take(in, 1) & 15);
		act_access(machine, in, vcpu, told);
		ms_machine_fail_alloc(machine, 0);
		break;
	default:
		act_access(machine, in, vcpu, told);
		break;
	}
}

static void take_config(struct input *in, struct nmmu_config *config)
{
	u64 bits = take(in, 2);
	bool vmx = bits & 1;

	*config = (struct nmmu_config){
		.hv = vmx ? MS_HV_VMX : MS_HV_SVM,
		.kernel = bits & 2 ? NMMU_6_1 : NMMU_6_12,
		.tdp = bits & 12,
		.ad = !vmx || bits & 48,
		.exec_only = vmx && bits & 64,
		.la57 = bits & 128,
		.gbpages = bits & 256,
		.nx_huge_pages = bits & 512,
		.mmio_caching = !(bits & 1024),
		.compat = bits & 2048,
		.phys_bits = bits & 4096 ? 52 : 46,
		.guest_phys_bits = 46,
		.no_zap_all = bits & 8192,
	};
	config->pml = vmx && config->tdp && config->ad && bits & 16384;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data, .size = size };
	struct ms_machine_opts opts = { .seed = 1, .tlb_entries = 16, .max_bytes = 16 << 20 };
	struct ms_machine *machine = NULL;
	const struct nmmu_sp *sp;
	const char *text;
	struct ms_err *err;
	u32 i, vcpu, row;
	bool told = true; /* whoever changed a table did it as a guest */

	take_config(&in, &opts.config);
	err = ms_machine_create(&opts, &machine);
	for (i = 0; i < 2 && !err; i++)
		err = ms_machine_add_vcpu(machine, &vcpu);
	if (!err)
		err = ms_machine_map(machine, HVA, PAGES << 12, 1, true);
	if (!err && (nmmu_slot_set(ms_machine_nmmu(machine), 0, 0, 0, HOLE, HVA, 0) ||
		     nmmu_slot_set(ms_machine_nmmu(machine), 0, 1, HOLE + 4, PAGES - HOLE - 4,
				   HVA + ((HOLE + 4) << 12), 0) ||
		     nmmu_slot_set(ms_machine_nmmu(machine), 1, 0, 0, HOLE, HVA, 0)))
		abort();
	if (!err)
		make_tables(machine);
	if (!err)
		change_tables(machine, &in);
	for (i = 1; i <= MAX_ACTS && !err && in.at < in.size; i++) {
		act(machine, &in, &told);
		/* Of all that a run does this costs most. */
		if (i % CHECK_EACH && i < MAX_ACTS && in.at < in.size)
			continue;
		row = nmmu_self_check(ms_machine_nmmu(machine), &text, &sp);
		if (row) {
			fprintf(stderr, "invariant %u behind act %u: %s\n", row, i, text);
			abort();
		}
	}
	ms_machine_destroy(machine);
	ms_err_free(err);
	return 0;
}

/*
 * A long story now and then: grown byte by byte it would take many runs to get into a nested guest and back.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	u64 state = seed * 0x9e3779b97f4a7c15ULL + 1;
	size_t nr = 64 + seed % 448, at;

	if (seed % 3)
		return LLVMFuzzerMutate(data, size, max_size);
	at = seed % 6 ? 0 : size; /* anew, or behind what there is */
	for (; nr && at < max_size; nr--) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		data[at++] = (uint8_t)state;
	}
	return at;
}
