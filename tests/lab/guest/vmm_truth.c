// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ground truth: what the guest's own logs, the memory itself and KVM's counters say at a checkpoint, in
 * the format of truth.md. It reads; it changes neither guest nor MMU, but for --dirty get, which is asked
 * for.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "script.h"
#include "vmm_truth.h"

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0xffffffffff000ull
/* The same of EPT12; bit 0 is R there, and bit 2 X. */
#define EPT_X 4ull
#define EPT_A 0x100ull
#define EPT_D 0x200ull

static const char *const kind_name[GF_NR_KINDS] = {
	[GF_DATA] = "data",   [GF_ALIAS] = "alias",	[GF_RO] = "ro",		  [GF_MMIO] = "mmio",
	[GF_STORM] = "storm", [GF_CODE] = "code",	[GF_STACK] = "stack",	  [GF_ARG] = "arg",
	[GF_WORK] = "work",   [GF_L2TABLE] = "l2table", [GF_MISCONF] = "misconf", [GF_STUBBORN] = "stubborn",
};

void truth_line(struct truth *t, const char *fmt, ...)
{
	va_list ap;

	t->nr_lines++;
	if (!t->out)
		return;
	va_start(ap, fmt);
	vfprintf(t->out, fmt, ap);
	va_end(ap);
	fputc('\n', t->out);
}

void truth_wrong(struct truth *t, const char *fmt, ...)
{
	va_list ap;

	/* The first few say all; a broken translation would give thousands. */
	if (t->nr_wrong++ >= 10)
		return;
	va_start(ap, fmt);
	fprintf(stderr, "vmm: VM %u: ", t->vm->index);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

void *truth_area(struct truth *t, uint64_t gpa, uint64_t size_bytes)
{
	void *p = mem_ptr(t->vm, gpa, size_bytes);

	if (!p)
		vmm_fail(VMM_GUEST, "VM %u: the guest's log names %#" PRIx64 ", which is no memory",
			 t->vm->index, gpa);
	return p;
}

static const char *access_text(unsigned int access, char text[4])
{
	snprintf(text, 4, "%c%c%c", access & GF_ACC_R ? 'r' : '-', access & GF_ACC_W ? 'w' : '-',
		 access & GF_ACC_X ? 'x' : '-');
	return text;
}

/*
 * Whether the CPU has set an accessed bit in this table page of L2: then a walk of L2 has read (and written)
 * it.
 */
static bool table_walked(struct truth *t, uint64_t gfn)
{
	const uint64_t *table = truth_area(t, gfn << GFN_SHIFT, 4096);

	for (int i = 0; i < 512; i++)
		if (table[i] & PTE_A)
			return true;
	return false;
}

static unsigned int touched(struct truth *t, const struct gf_rec *rec, const struct gf_work *work)
{
	const struct gf_param *p = t->vm->param;
	const struct gf_argpage *argpage = truth_area(t, p->argpage_gpa, sizeof(*argpage));
	uint64_t first;
	unsigned int vcpu;

	switch (rec->kind) {
	case GF_CODE:
		return argpage->arg[0].nr_rounds ? GF_ACC_R | GF_ACC_X : 0;
	case GF_ARG:
		return argpage->arg[0].nr_rounds ? GF_ACC_R | GF_ACC_W : 0;
	case GF_STACK:
		/* l2_entry() has called touch_round() on it. */
		vcpu = rec->l1_gfn - (p->l2_stack_gpa >> GFN_SHIFT);
		return vcpu < GF_MAX_VCPUS && argpage->arg[vcpu].nr_rounds ? GF_ACC_R | GF_ACC_W : 0;
	case GF_WORK:
		first = ((rec->l1_gfn << GFN_SHIFT) - p->work_gpa) / sizeof(*work);
		for (uint64_t i = first; i < first + 4096 / sizeof(*work) && i < p->nr_item; i++)
			if (work[i].done)
				return GF_ACC_R | GF_ACC_W;
		return 0;
	case GF_L2TABLE:
		return table_walked(t, rec->l1_gfn) ? GF_ACC_R | GF_ACC_W : 0;
	default:
		return work[rec->work].done & GF_DONE_ACC;
	}
}

/* The NPT12 entry as it lies in memory must be what L1 recorded. */
static uint64_t npte_check(struct truth *t, const struct gf_rec *rec)
{
	uint64_t e = *(uint64_t *)truth_area(t, rec->pte_gpa, 8);
	bool x = t->vm->vmm->vendor == GF_VMX ? e & EPT_X : !(e & PTE_NX);
	unsigned int access = GF_ACC_R | (e & PTE_W ? GF_ACC_W : 0) | (x ? GF_ACC_X : 0);

	if (!(e & PTE_P) || (e & PTE_ADDR) >> GFN_SHIFT != rec->l1_gfn || access != rec->access ||
	    !!(e & PTE_PS) != (rec->level == 2))
		truth_wrong(t, "NPT12 entry %#" PRIx64 " of l2gfn %#" PRIx64 " is not what L1 recorded", e,
			    (uint64_t)rec->l2_gfn);
	return e;
}

static const char *ad_text(struct truth *t, uint64_t e, char text[3])
{
	bool ept = t->vm->vmm->vendor == GF_VMX;

	snprintf(text, 3, "%c%c", e & (ept ? EPT_A : PTE_A) ? 'a' : '-',
		 e & (ept ? EPT_D : PTE_D) ? 'd' : '-');
	return text;
}

static const char *kind_text(struct truth *t, const struct gf_rec *rec)
{
	return kind_name[rec->kind == GF_STUBBORN && t->vm->vmm->opts.stubborn_mmio ? GF_MMIO : rec->kind];
}

static void write_leaves(struct truth *t, const struct gf_rec *rec, const struct gf_work *work)
{
	const struct gf_param *p = t->vm->param;
	unsigned long nr_mapped = 0, nr_touched = 0;
	char granted[4], did[4], ad[3];
	uint64_t npte;

	for (uint64_t i = 0; i < p->nr_rec; i++) {
		unsigned int acc = touched(t, &rec[i], work);

		access_text(rec[i].access, granted);
		access_text(acc, did);
		if (p->mode == GF_PLAIN) {
			nr_touched += !!acc;
			truth_line(t, "gmap vm=%u gfn=0x%" PRIx64 " touched=%s by=guest kind=%s",
				   t->vm->index, (uint64_t)rec[i].l1_gfn, did, kind_name[rec[i].kind]);
			continue;
		}
		/* What is no mapping, but a misconfiguration, has lines of its own. */
		if (!rec[i].mapped || rec[i].kind == GF_MISCONF)
			continue;
		npte = npte_check(t, &rec[i]);
		nr_mapped++;
		nr_touched += !!acc;
		truth_line(t,
			   "l2map vm=%u l2gfn=0x%" PRIx64 " l1gfn=0x%" PRIx64
			   " level=%u access=%s touched=%s kind=%s npte=0x%" PRIx64 " ad=%s faults=%" PRIu64,
			   t->vm->index, (uint64_t)rec[i].l2_gfn, (uint64_t)rec[i].l1_gfn, rec[i].level,
			   granted, did, kind_text(t, &rec[i]), npte, ad_text(t, npte, ad),
			   (uint64_t)rec[i].nr_faults);
	}
	truth_line(t, "sum vm=%u records=%" PRIu64 " l2map=%lu touched=%lu", t->vm->index,
		   (uint64_t)p->nr_rec, nr_mapped, nr_touched);
}

static void write_tables(struct truth *t)
{
	const struct gf_param *p = t->vm->param;
	const struct gf_table *table;

	if (!p->nr_table)
		return;
	table = truth_area(t, p->table_gpa, p->nr_table * sizeof(*table));
	for (uint64_t i = 0; i < p->nr_table; i++)
		truth_line(t, "npt12 vm=%u gfn=0x%" PRIx64 " level=%" PRIu64 " l2gfn=0x%" PRIx64,
			   t->vm->index, (uint64_t)table[i].gfn, (uint64_t)table[i].level,
			   (uint64_t)table[i].l2_gfn);
}

static void write_l1page_touched(struct truth *t)
{
	const struct gf_param *p = t->vm->param;
	const struct gf_range *r = &p->range[GF_DATA];
	const struct gf_l1page *page = truth_area(t, p->l1page_gpa, p->nr_l1page * sizeof(*page));
	char did[4];

	for (uint64_t i = 0; p->mode == GF_NESTED && i < p->nr_l1page; i++)
		if (page[i].l1_touched)
			truth_line(t, "gmap vm=%u gfn=0x%" PRIx64 " touched=%s by=l1 kind=data", t->vm->index,
				   (uint64_t)(r->l1_gfn + i * r->l1_step),
				   access_text(page[i].l1_touched, did));
}

struct alias_key {
	uint64_t l1_gfn, l2_gfn;
};

static int alias_compare(const void *a, const void *b)
{
	const struct alias_key *x = a, *y = b;

	if (x->l1_gfn != y->l1_gfn)
		return x->l1_gfn < y->l1_gfn ? -1 : 1;
	return x->l2_gfn < y->l2_gfn ? -1 : x->l2_gfn > y->l2_gfn;
}

/*
 * Every pair (first, other) of L2 frames on one L1 frame, found from the records and not from what was asked
 * for.
 */
static void write_aliases(struct truth *t, const struct gf_rec *rec)
{
	const struct gf_param *p = t->vm->param;
	struct alias_key *key = calloc(p->nr_rec + 1, sizeof(*key));
	uint64_t n = 0, first = 0;

	if (!key)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	for (uint64_t i = 0; p->mode == GF_NESTED && i < p->nr_rec; i++)
		if (rec[i].mapped && rec[i].kind != GF_MISCONF)
			key[n++] = (struct alias_key){ rec[i].l1_gfn, rec[i].l2_gfn };
	qsort(key, n, sizeof(*key), alias_compare);
	for (uint64_t i = 1; i < n; i++) {
		if (key[i].l1_gfn != key[first].l1_gfn) {
			first = i;
			continue;
		}
		truth_line(t, "alias vm=%u l1gfn=0x%" PRIx64 " l2gfn=0x%" PRIx64 " l2gfn2=0x%" PRIx64,
			   t->vm->index, key[i].l1_gfn, key[first].l2_gfn, key[i].l2_gfn);
	}
	free(key);
}

static void write_exits(struct truth *t)
{
	const struct gf_range *r = t->vm->param->range;

	for (uint64_t i = 0; i < r[GF_MMIO].nr; i++)
		if (t->vm->mmio_reads[i] || t->vm->mmio_writes[i])
			truth_line(t, "mmio vm=%u gfn=0x%" PRIx64 " reads=%" PRIu64 " writes=%" PRIu64,
				   t->vm->index, (uint64_t)r[GF_MMIO].l1_gfn + i, t->vm->mmio_reads[i],
				   t->vm->mmio_writes[i]);
	for (uint64_t i = 0; t->vm->vmm->opts.stubborn_mmio && i < r[GF_STUBBORN].nr; i++)
		if (t->vm->stubborn_reads[i])
			truth_line(t, "mmio vm=%u gfn=0x%" PRIx64 " reads=%" PRIu64 " writes=0", t->vm->index,
				   (uint64_t)r[GF_STUBBORN].l1_gfn + i, t->vm->stubborn_reads[i]);
	for (uint64_t i = 0; i < r[GF_RO].nr; i++)
		if (t->vm->ro_writes[i])
			truth_line(t, "rowrite vm=%u gfn=0x%" PRIx64 " writes=%" PRIu64, t->vm->index,
				   (uint64_t)r[GF_RO].l1_gfn + i, t->vm->ro_writes[i]);
}

/* The host's view of what the guest says it wrote: same word, through the slot's own mapping. */
static void write_verify(struct truth *t, const struct gf_rec *rec, const struct gf_work *work)
{
	const struct gf_param *p = t->vm->param;
	unsigned long nr_written = 0, nr_read = 0, bad_before = t->nr_wrong;

	for (uint64_t i = 0; i < p->nr_item; i++) {
		const struct gf_work *w = &work[rec[i].work];
		uint64_t gpa =
			(rec[i].l1_gfn << GFN_SHIFT) + gf_word_offset(p->seed, rec[i].l1_gfn, rec[i].level);
		uint64_t found;

		if (!w->done || rec[i].kind == GF_MMIO || rec[i].kind == GF_STORM || w->op & GF_OP_SKIP)
			continue;
		found = *(volatile uint64_t *)truth_area(t, gpa, 8);
		if (w->op & GF_OP_W && !(w->op & GF_OP_SINK)) {
			nr_written++;
			if (found != w->put)
				truth_wrong(t,
					    "gpa %#" PRIx64 " holds %#" PRIx64 ", the guest wrote %#" PRIx64,
					    gpa, found, (uint64_t)w->put);
		} else {
			nr_read++;
			if (found != w->want && !(w->op & GF_OP_EITHER && found == w->put))
				truth_wrong(t,
					    "gpa %#" PRIx64 " holds %#" PRIx64
					    ", it should have kept %#" PRIx64,
					    gpa, found, (uint64_t)w->want);
		}
	}
	truth_line(t, "verify vm=%u written=%lu kept=%lu wrong=%lu", t->vm->index, nr_written, nr_read,
		   t->nr_wrong - bad_before);
}

/* AnonHugePages of the mapping that holds hva, in KiB, as /proc/self/smaps has it; -1 if it is not found. */
static long huge_kib(const char *hva)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char text[256];
	uintptr_t lo, hi;
	long kib = -1;
	bool inside = false;

	if (!f)
		return -1;
	while (kib < 0 && fgets(text, sizeof(text), f)) {
		if (sscanf(text, "%" SCNxPTR "-%" SCNxPTR " ", &lo, &hi) == 2)
			inside = (uintptr_t)hva >= lo && (uintptr_t)hva < hi;
		else if (inside)
			sscanf(text, "AnonHugePages: %ld", &kib);
	}
	fclose(f);
	return kib;
}

static void write_slots(struct truth *t)
{
	for (int i = 0; i < NR_SLOTS; i++) {
		const struct vmm_slot *s = &t->vm->slot[i];

		if (s->size_bytes)
			truth_line(t,
				   "slot vm=%u id=%d gfn=0x%" PRIx64 " npages=%" PRIu64
				   " flags=0x%x hva=0x%" PRIxPTR " backing=%s huge_kib=%ld",
				   t->vm->index, i, s->gpa >> GFN_SHIFT, s->size_bytes >> GFN_SHIFT, s->flags,
				   (uintptr_t)s->hva,
				   s->hugetlb ? "hugetlb"
				   : s->thp   ? "thp"
					      : "4k",
				   huge_kib(s->hva));
	}
}

static void emit_stat(void *ctx, const char *name, uint64_t value)
{
	struct truth *t = ctx;

	truth_line(t, "%s name=%s value=%" PRIu64, t->stat_line, name, value);
}

static void write_vcpus(struct truth *t)
{
	for (unsigned int i = 0; i < t->vm->vmm->opts.vcpus; i++) {
		const struct gf_facts *f = &t->vm->param->facts[i];
		const struct vmm_vcpu *v = &t->vm->vcpu[i];

		truth_line(t,
			   "vcpu vm=%u id=%u fd=%d tid=%d round=%" PRIu64 " l1_cr0=0x%" PRIx64
			   " l1_cr3=0x%" PRIx64 " l1_cr4=0x%" PRIx64 " l1_efer=0x%" PRIx64,
			   t->vm->index, i, v->fd, v->tid, (uint64_t)f->round, (uint64_t)f->cr0,
			   (uint64_t)f->cr3, (uint64_t)f->cr4, (uint64_t)f->efer);
		if (t->vm->param->mode == GF_NESTED)
			truth_line(t,
				   "nested vm=%u id=%u npt_cr3=0x%" PRIx64 " l2_cr0=0x%" PRIx64
				   " l2_cr3=0x%" PRIx64 " l2_cr4=0x%" PRIx64 " l2_efer=0x%" PRIx64
				   " exits=%" PRIu64 " npf=%" PRIu64 " rewrites=%" PRIu64 " misconf=%" PRIu64
				   " pml_full=%" PRIu64,
				   t->vm->index, i, (uint64_t)f->npt_cr3, (uint64_t)f->l2_cr0,
				   (uint64_t)f->l2_cr3, (uint64_t)f->l2_cr4, (uint64_t)f->l2_efer,
				   (uint64_t)f->nr_exits, (uint64_t)f->nr_npf, (uint64_t)f->nr_rewrites,
				   (uint64_t)f->nr_misconf, (uint64_t)f->nr_pml_full);
	}
}

static void write_script(struct truth *t)
{
	const struct gf_param *p = t->vm->param;
	const struct gs_op *op;

	if (!p->nr_op)
		return;
	op = truth_area(t, p->op_gpa, p->nr_op * sizeof(*op));
	for (uint64_t i = 0; i < t->vm->nr_table_pages; i++)
		truth_line(t, "gtable vm=%u gfn=0x%" PRIx64, t->vm->index,
			   (t->vm->table_gpa >> GFN_SHIFT) + i);
	/* On which the CPU pushes what a fault finds, from ring 3 (descriptors_make()) and from ring 0. */
	truth_line(t, "stack vm=%u gfn=0x%" PRIx64, t->vm->index,
		   (t->vm->vcpu[0].l1_rsp - 4096 - 8) >> GFN_SHIFT);
	for (uint64_t i = 0; i < p->nr_op && op[i].status != GS_PENDING; i++)
		truth_line(t,
			   "op vm=%u n=%" PRIu64 " code=%u user=%u addr=0x%" PRIx64 " value=0x%" PRIx64
			   " len=%u fault=%u err=0x%x found=0x%x",
			   t->vm->index, i, op[i].code, op[i].flags & GS_F_USER, (uint64_t)op[i].addr,
			   (uint64_t)op[i].value, op[i].len, op[i].status == GS_FAULTED, op[i].err,
			   op[i].found);
}

static void write_vm(struct truth *t)
{
	const struct vmm_vm *vm = t->vm;
	const struct vmm_opts *o = &vm->vmm->opts;
	const struct gf_param *p = vm->param;
	const struct gf_rec *rec = truth_area(t, p->rec_gpa, p->max_rec * sizeof(*rec));
	const struct gf_work *work = truth_area(t, p->work_gpa, p->max_work * sizeof(*work));
	char prefix[64];

	if (p->nr_rec > p->max_rec || p->nr_item != p->max_work || p->nr_table > p->npt_pool_pages)
		vmm_fail(VMM_GUEST, "VM %u: the guest's logs are longer than their areas", vm->index);
	truth_line(t, "vm vm=%u fd=%d mode=%s seed=0x%" PRIx64 " nr_mmu_pages=%" PRIu64 " vendor=%s",
		   vm->index, vm->fd, opts_mode_name(o), vm->seed, vm->nr_mmu_pages,
		   opts_vendor_name(vm->vmm->vendor));
	for (uint64_t i = 0; i < o->dups; i++)
		truth_line(t, "vmfd vm=%u fd=%d", vm->index, vm->dup_fd[i]);
	write_vcpus(t);
	write_slots(t);
	write_leaves(t, rec, work);
	write_tables(t);
	write_script(t);
	write_l1page_touched(t);
	write_aliases(t, rec);
	write_exits(t);
	truth_nested_logs(t);
	write_verify(t, rec, work);
	/* Before the counters: clearing the log changes SPTEs and so some of them. */
	truth_dirty(t);
	snprintf(prefix, sizeof(prefix), "kvmstat vm=%u", vm->index);
	t->stat_line = prefix;
	stats_each(vm->stats_fd, emit_stat, t);
	for (unsigned int i = 0; i < o->vcpus; i++) {
		snprintf(prefix, sizeof(prefix), "vcpustat vm=%u id=%u", vm->index, i);
		stats_each(vm->vcpu[i].stats_fd, emit_stat, t);
	}
}

/* The name with everything but printable ASCII, and the backslash, as \xNN. */
static void comm_text(char out[80])
{
	unsigned char comm[32] = { 0 };
	FILE *f = fopen("/proc/self/comm", "re");
	size_t n = f ? fread(comm, 1, sizeof(comm), f) : 0;

	if (f)
		fclose(f);
	if (n && comm[n - 1] == '\n')
		n--;
	*out = 0;
	for (size_t i = 0; i < n && i < 16; i++)
		out += sprintf(out, comm[i] > ' ' && comm[i] < 127 && comm[i] != '\\' ? "%c" : "\\x%02x",
			       comm[i]);
}

unsigned long truth_write(struct vmm *vmm, uint64_t checkpoint)
{
	const struct vmm_opts *o = &vmm->opts;
	struct truth t = { .checkpoint = checkpoint };
	struct utsname uts;
	char comm[80], *temp = NULL;

	if (o->truth) {
		if (asprintf(&temp, "%s.new", o->truth) < 0)
			vmm_fail(VMM_ENVIRONMENT, "out of memory");
		t.out = fopen(temp, "we");
		if (!t.out)
			vmm_fail(VMM_ENVIRONMENT, "%s: %s", temp, strerror(errno));
	}
	uname(&uts);
	comm_text(comm);
	truth_line(&t, "mmuscope-truth 1");
	truth_line(&t,
		   "run pid=%d comm=%s kernel=%s seed=0x%" PRIx64 " checkpoint=%" PRIu64 " vms=%" PRIu64
		   " at=%s hold=%s"
		   " storms=%" PRIu64,
		   getpid(), comm, uts.release, o->seed, checkpoint, o->vms, o->at_l2 ? "l2" : "l1",
		   o->hold == HOLD_RUN	 ? "run"
		   : o->hold == HOLD_OUT ? "out"
					 : "no",
		   vmm->nr_storm);
	for (unsigned int i = 0; i < o->vms; i++) {
		t.vm = &vmm->vm[i];
		write_vm(&t);
	}
	truth_line(&t, "end lines=%lu", t.nr_lines + 1);
	if (t.out && (fclose(t.out) || rename(temp, o->truth)))
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", temp, strerror(errno));
	free(temp);
	return t.nr_wrong;
}
