// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The scripted guest's memory (--paging): its page tables in one of three formats and the operations it is to
 * run, all drawn from the seed. Tables are far from the identity: regions of 4K pages and large ones, in two
 * roots that share some tables, with aliases, with every mix of R, W, U and NX in leaves and upper entries,
 * with pages of all slots and of the MMIO hole; and the script edits them as it goes, with and without
 * invalidating.
 *
 *	region: what one entry of a page directory maps, a page table or a large page
 *	system area: one to one, 4K leaves, supervisor only but for the code and the stack of ring 3
 *	window: the tables again, by a large page, through which some of the edits go
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"
#include "vmm.h"

#define P_P 1ull
#define P_W 2ull
#define P_U 4ull
#define P_A 0x20ull
#define P_D 0x40ull
#define P_PS 0x80ull
#define P_NX (1ull << 63)
#define P_RSVD (1ull << 51) /* above every MAXPHYADDR of the lab */
#define PAGE 4096ull
#define SIZE_2M (2ull << 20)
#define MAX_REGIONS 24
#define NR_ROOTS 2
#define MAX_TABLES 256
#define WINDOW_GPA GF_SYS_GPA /* a multiple of either large page; all tables are in its first 2M */

/* What the formats differ in. */
struct format {
	int levels;
	int entry_bytes;
	int index_bits; /* of a table of the lower levels */
	uint64_t va_top; /* regions lie below; 0: in both halves of the canonical space */
};

static const struct format formats[] = {
	[PAGING_32] = { .levels = 2, .entry_bytes = 4, .index_bits = 10, .va_top = 1ull << 32 },
	[PAGING_PAE] = { .levels = 3, .entry_bytes = 8, .index_bits = 9, .va_top = 1ull << 32 },
	[PAGING_64] = { .levels = 4, .entry_bytes = 8, .index_bits = 9, .va_top = 0 },
};

struct region {
	uint64_t va;
	unsigned int roots; /* bit i: it is in root i */
	bool large;
	bool exec_only_ram; /* never maps the MMIO hole, so calls may go there */
	uint64_t table_gpa; /* of its 4K leaves; another region may have the same */
};

struct build {
	struct vmm_vm *vm;
	const struct format *f;
	enum vmm_paging paging;
	uint64_t at; /* next free page of the pool */
	uint64_t root[NR_ROOTS];
	bool nx, pse;
	uint64_t word; /* offset touched in every page */
	struct region region[MAX_REGIONS];
	unsigned int nr_region;
	const struct region *odd; /* --odd: a large page in both roots */
	uint64_t window; /* address of WINDOW_GPA in both roots; 0: none */
	struct gs_op *op;
	uint64_t nr_op, max_op;
	uint64_t nr_drawn;
	int root_now;
};

/* The next number of the run; order matters, so calls are in one place after the other. */
static uint64_t draw(struct build *b, uint64_t below)
{
	return gf_draw(b->vm->seed, 0x9a9a, b->nr_drawn++) % below;
}

static bool chance(struct build *b, unsigned int pct)
{
	return draw(b, 100) < pct;
}

static uint64_t entry_read(struct build *b, uint64_t gpa)
{
	uint64_t v = 0;

	memcpy(&v, mem_ptr(b->vm, gpa, b->f->entry_bytes), b->f->entry_bytes);
	return v;
}

static void entry_write(struct build *b, uint64_t gpa, uint64_t value)
{
	memcpy(mem_ptr(b->vm, gpa, b->f->entry_bytes), &value, b->f->entry_bytes);
}

static uint64_t table_take(struct build *b)
{
	uint64_t gpa = b->at;

	b->at += PAGE;
	if ((b->at - b->vm->table_gpa) / PAGE > MAX_TABLES)
		vmm_fail(VMM_USAGE, "--paging: more than %u tables; fewer --pages", MAX_TABLES);
	return gpa;
}

/* Bytes that an entry of this level translates. */
static uint64_t span_of(struct build *b, int level)
{
	return PAGE << (b->f->index_bits * (level - 1));
}

static uint64_t entry_gpa(struct build *b, uint64_t table_gpa, uint64_t va, int level)
{
	/* PAE's root has four entries, and addresses that need no more. */
	uint64_t i = va / span_of(b, level) & ((1ull << b->f->index_bits) - 1);

	return table_gpa + i * b->f->entry_bytes;
}

/* Where the entry for va of this level lies below a root; tables above it are made, open to all. */
static uint64_t walk(struct build *b, int root, uint64_t va, int level)
{
	uint64_t table = b->root[root], at, e;

	for (int l = b->f->levels; l > level; l--) {
		at = entry_gpa(b, table, va, l);
		e = entry_read(b, at);
		if (!(e & P_P)) {
			/* A PDPTE of PAE has no rights of its own, and these bits are reserved in it. */
			e = table_take(b) | P_P | (b->paging == PAGING_PAE && l == 3 ? 0 : P_W | P_U);
			entry_write(b, at, e);
		}
		table = e & ~(P_NX | 0xfff);
	}
	return entry_gpa(b, table, va, level);
}

/* Upper entries grant more often, or little would be left of both. */
static uint64_t rights_draw(struct build *b, bool upper)
{
	uint64_t e = P_P;

	e |= chance(b, upper ? 88 : 75) ? P_W : 0;
	e |= chance(b, upper ? 88 : 75) ? P_U : 0;
	e |= b->nx && chance(b, upper ? 8 : 15) ? P_NX : 0;
	e |= chance(b, 50) ? P_A : 0;
	return e;
}

/* A leaf of 4K, or nothing. */
static uint64_t leaf_draw(struct build *b, const struct region *r)
{
	const struct gf_range *range = b->vm->param->range;
	uint64_t e = rights_draw(b, false), kind = draw(b, 100), gfn;

	if (chance(b, 8))
		return 0;
	e |= chance(b, 50) ? P_D : 0;
	if (b->paging != PAGING_32 && chance(b, 2))
		return e | P_RSVD;
	if (kind < 8 && range[GF_RO].nr)
		gfn = range[GF_RO].l1_gfn + draw(b, range[GF_RO].nr);
	else if (kind < 16 && range[GF_MMIO].nr && !r->exec_only_ram)
		gfn = range[GF_MMIO].l1_gfn + draw(b, range[GF_MMIO].nr);
	else
		gfn = range[GF_DATA].l1_gfn + draw(b, range[GF_DATA].nr);
	return e | gfn << GFN_SHIFT;
}

/* The directory entry of a region: its page table, or a large page of the data slot. */
static uint64_t directory_draw(struct build *b, const struct region *r)
{
	uint64_t e = rights_draw(b, true), span = span_of(b, 2);
	const struct vmm_slot *data = &b->vm->slot[SLOT_DATA];

	if (!r->large)
		/* Without CR4.PSE bit 7 means nothing. */
		return e | r->table_gpa | (b->paging == PAGING_32 && !b->pse && chance(b, 30) ? P_PS : 0);
	e |= P_PS | (chance(b, 50) ? P_D : 0);
	if (chance(b, 3))
		e |= 1ull << 20; /* reserved in each format's large page: 2M bit 20, 4M bits 21:17 */
	return e | (data->gpa + draw(b, data->size_bytes / span) * span);
}

static void system_map(struct build *b, uint64_t end)
{
	uint64_t span = span_of(b, 2), at, e;

	for (uint64_t gpa = 0; gpa < end; gpa += span)
		for (int root = 0; root < NR_ROOTS; root++) {
			at = walk(b, root, gpa, 2);
			if (root) {
				/* The second root has the tables of the first. */
				entry_write(b, at, entry_read(b, walk(b, 0, gpa, 2)));
				continue;
			}
			entry_write(b, at, table_take(b) | P_P | P_W | P_U);
		}
	for (uint64_t gpa = 0; gpa < end; gpa += PAGE) {
		e = gpa | P_P | P_W | P_A | P_D;
		if (gpa == GS_USER_TEXT || gpa == b->vm->user_stack_gpa)
			e |= P_U;
		at = entry_read(b, walk(b, 0, gpa, 2)) & ~(P_NX | 0xfff);
		entry_write(b, entry_gpa(b, at, gpa, 1), e);
	}
}

/* Addresses above the system area that no other region has. */
static uint64_t region_va(struct build *b, uint64_t system_end)
{
	uint64_t span = span_of(b, 2), top = b->f->va_top ? b->f->va_top : 1ull << 47, va;
	bool taken;

	do {
		/* In the same place of another GiB, whose SPTE a wrong quadrant would hit. */
		if (b->nr_region && b->f->va_top && chance(b, 25))
			va = b->region[draw(b, b->nr_region)].va ^ (1 + draw(b, 3)) << 30;
		/* Near each other more often than not, so that upper tables have more than one entry. */
		else if (b->nr_region && chance(b, 60))
			va = (b->region[draw(b, b->nr_region)].va / span + draw(b, 4)) * span;
		else
			va = system_end + draw(b, (top - system_end) / span) * span;
		if (!b->f->va_top && chance(b, 20))
			va |= 0xffff8ull << 44;
		taken = va % span || va < system_end || (b->f->va_top && va >= b->f->va_top) ||
			(!b->f->va_top && (int64_t)(va << 16) >> 16 != (int64_t)va);
		for (unsigned int i = 0; i < b->nr_region; i++)
			taken |= b->region[i].va == va;
		taken |= b->window && b->window == va;
	} while (taken);
	return va;
}

static void window_make(struct build *b, uint64_t system_end)
{
	uint64_t va = region_va(b, system_end);

	for (int root = 0; root < NR_ROOTS; root++)
		entry_write(b, walk(b, root, va, 2),
			    WINDOW_GPA | P_P | P_W | P_PS | (chance(b, 50) ? P_A | P_D : 0));
	b->window = va;
}

static void region_make(struct build *b, uint64_t system_end)
{
	struct region *r = &b->region[b->nr_region], *other = NULL;

	r->va = region_va(b, system_end);
	r->roots = 1 + draw(b, 3);
	r->large = chance(b, 30) && (b->paging != PAGING_32 || b->pse);
	r->exec_only_ram = chance(b, 50);
	if (!r->large && b->nr_region && chance(b, 25)) {
		other = &b->region[draw(b, b->nr_region)];
		if (other->large)
			other = NULL;
	}
	if (other) {
		r->table_gpa = other->table_gpa;
		r->exec_only_ram = other->exec_only_ram;
	} else if (!r->large) {
		r->table_gpa = table_take(b);
		/* Sparse and in runs: what is prefetched depends on the neighbours. */
		for (uint64_t n = 4 + draw(b, 40), i = draw(b, 1ull << b->f->index_bits); n; n--) {
			entry_write(b, r->table_gpa + i % (1ull << b->f->index_bits) * b->f->entry_bytes,
				    leaf_draw(b, r));
			i += chance(b, 80) ? 1 : 1 + draw(b, 64);
		}
	}
	b->nr_region++;
	for (int root = 0; root < NR_ROOTS; root++)
		if (r->roots >> root & 1)
			entry_write(b, walk(b, root, r->va, 2), directory_draw(b, r));
}

static void odd_region_make(struct build *b, uint64_t system_end)
{
	struct region *r = &b->region[b->nr_region++];

	*r = (struct region){
		.va = region_va(b, system_end), .roots = 3, .large = true, .exec_only_ram = true
	};
	for (int root = 0; root < NR_ROOTS; root++)
		entry_write(b, walk(b, root, r->va, 2), directory_draw(b, r));
	b->odd = r;
}

static struct gs_op *op_add(struct build *b, enum gs_code code, uint64_t addr, uint64_t value)
{
	struct gs_op *op = &b->op[b->nr_op];

	if (b->nr_op == b->max_op)
		vmm_fail(VMM_USAGE, "--paging: the script is longer than its area");
	b->nr_op++;
	*op = (struct gs_op){ .code = code, .addr = addr, .value = value };
	return op;
}

static uint64_t va_draw(struct build *b, const struct region *r)
{
	uint64_t i = draw(b, 1ull << b->f->index_bits);

	/* One that is mapped, if a few tries find one. */
	for (int n = 0; n < 20 && !r->large; n++) {
		if (entry_read(b, r->table_gpa + i * b->f->entry_bytes) & P_P)
			break;
		i = draw(b, 1ull << b->f->index_bits);
	}
	return r->va + i * PAGE + b->word;
}

/* Most often one that is there under the present root. */
static struct region *region_draw(struct build *b)
{
	struct region *r = &b->region[draw(b, b->nr_region)];

	for (int n = 0; n < 10 && !(r->roots >> b->root_now & 1) && chance(b, 95); n++)
		r = &b->region[draw(b, b->nr_region)];
	return r;
}

static void access_add(struct build *b)
{
	const struct region *r = region_draw(b);
	unsigned int kind = draw(b, 100);
	enum gs_code code = kind < 50 ? GS_LOAD : kind < 88 || !r->exec_only_ram ? GS_STORE : GS_CALL;
	struct gs_op *op;

	if (b->window && chance(b, 8)) {
		/* Only read: who knows what lies there. */
		op = op_add(b, GS_LOAD, b->window + draw(b, SIZE_2M / 8) * 8, 0);
		op->flags = chance(b, 20) ? GS_F_USER : 0;
		return;
	}
	/* What is stored can be called: its first byte is a `ret'. */
	op = op_add(b, code, va_draw(b, r), (draw(b, 1ull << 24) << 8) | 0xc3);
	op->flags = chance(b, 40) ? GS_F_USER : 0;
}

static void table_add(struct build *b, uint64_t addr, uint64_t gpa, uint64_t value, int len)
{
	struct gs_op *op = op_add(b, GS_TABLE, addr, value);

	op->gpa = gpa;
	op->len = len;
}

/* Stores an entry; 8 bytes in 32-bit code by two stores, the half with P last. */
static void store_add(struct build *b, uint64_t gpa, uint64_t value)
{
	int len = b->f->entry_bytes;
	uint64_t addr = b->window && chance(b, 40) ? b->window + (gpa - WINDOW_GPA) : gpa;

	entry_write(b, gpa, value);
	if (b->paging == PAGING_PAE) {
		if (chance(b, 50))
			table_add(b, addr, gpa, 0, 4);
		table_add(b, addr + 4, gpa + 4, value >> 32, 4);
		table_add(b, addr, gpa, value & 0xffffffff, 4);
		return;
	}
	table_add(b, addr, gpa, value, len);
}

static void cr3_add(struct build *b)
{
	op_add(b, GS_CR3, 0, b->root[b->root_now]);
}

/*
 * Another entry for a region that exists: of its own kind, nothing, or a page table where a large page was.
 * Tables that map the MMIO hole stay out of where calls go.
 */
static uint64_t directory_redraw(struct build *b, const struct region *r)
{
	const struct region *other = &b->region[draw(b, b->nr_region)];
	struct region changed = *r;

	if (chance(b, 15))
		return 0;
	if (chance(b, 30) && !other->large && other->exec_only_ram >= r->exec_only_ram) {
		changed.large = false;
		changed.table_gpa = other->table_gpa;
	}
	return directory_draw(b, &changed);
}

static void edit_add(struct build *b)
{
	struct region *r = region_draw(b);
	uint64_t va = va_draw(b, r), gpa, e;
	int root = draw(b, NR_ROOTS);
	unsigned int how = draw(b, 100);

	if (r->large || chance(b, 15)) {
		if (!(r->roots >> root & 1))
			root = !root;
		gpa = walk(b, root, r->va, 2);
		e = directory_redraw(b, r);
	} else {
		gpa = entry_gpa(b, r->table_gpa, va, 1);
		e = entry_read(b, gpa);
		if (how < 40 || !(e & P_P))
			e = leaf_draw(b, r);
		else if (how < 60)
			e ^= P_W;
		else if (how < 75)
			e ^= P_U;
		else if (how < 90)
			e &= ~(P_A | P_D);
		else
			e = 0;
	}
	store_add(b, gpa, e);
	how = draw(b, 100);
	if (how < 50)
		op_add(b, GS_INVLPG, va, 0);
	else if (how < 65)
		cr3_add(b);
}

/*
 * What makes KVM do what tables that are only edited do not: on an entry of the root in use that maps nothing, and on
 * that of a region of its own. What they hold is the same afterwards, but for A and D.
 */
static void odd_add(struct build *b)
{
	uint64_t gpa = b->root[b->root_now] + PAGE, at;

	do
		gpa -= b->f->entry_bytes;
	while (gpa > b->root[b->root_now] && entry_read(b, gpa));
	if (entry_read(b, gpa))
		vmm_fail(VMM_USAGE, "--odd: no entry of the root is free; fewer --pages");
	/* A large page over small ones that was only read, and is now written: other rights, so another direct page. */
	at = walk(b, b->root_now, b->odd->va, 2);
	store_add(b, at, b->vm->slot[SLOT_DATA].gpa | P_P | P_W | P_A | P_PS);
	op_add(b, GS_INVLPG, b->odd->va, 0);
	op_add(b, GS_LOAD, b->odd->va + b->word, 0);
	op_add(b, GS_STORE, b->odd->va + b->word, 0xc3);
	/* Not a table through which it is reached itself: KVM counts writes since such a table was last walked. */
	op_add(b, GS_FLOOD, at, 6);
	op_add(b, GS_NOT, gpa, 0);
	op_add(b, GS_PGE, 0, 0);
	op_add(b, GS_WP, 0, 0);
	op_add(b, GS_WP, 0, 1);
}

static void script_make(struct build *b, uint64_t nr_rounds, uint64_t nr_pages)
{
	for (uint64_t round = 0; round < nr_rounds; round++) {
		if (b->vm->vmm->opts.odd)
			odd_add(b);
		for (uint64_t n = 0; n < nr_pages; n++) {
			unsigned int kind = draw(b, 100);

			/* The first round reads what is there; edits begin when it is shadowed. */
			if (kind < 80 || (round == 0 && n < nr_pages / 2)) {
				access_add(b);
			} else if (kind < 94) {
				edit_add(b);
			} else if (kind < 98) {
				b->root_now = draw(b, NR_ROOTS);
				cr3_add(b);
			} else {
				op_add(b, GS_WP, 0, draw(b, 2));
			}
		}
		op_add(b, GS_CHECKPOINT, 0, 0);
	}
}

static void descriptor_write(uint64_t *gdt, int selector, uint64_t value)
{
	gdt[selector / 8] = value;
}

static void gate_write(struct build *b, uint64_t idt_gpa, int vector, uint64_t handler, int dpl)
{
	bool wide = b->paging == PAGING_64;
	uint64_t gate = (handler & 0xffff) | (uint64_t)GS_KERNEL_CS << 16 | (0x8e00ull | dpl << 13) << 32 |
			(handler >> 16 & 0xffff) << 48;
	uint64_t *idt = mem_ptr(b->vm, idt_gpa, PAGE);

	idt[vector * (wide ? 2 : 1)] = gate;
	if (wide)
		idt[vector * 2 + 1] = handler >> 32;
}

/* One page: GDT at 0, TSS at 0x100; the IDT has the next one. */
static void descriptors_make(struct build *b)
{
	uint64_t gpa = b->vm->desc_gpa, tss = gpa + 0x100, stack = b->vm->vcpu[0].l1_rsp - 4096;
	uint64_t *gdt = mem_ptr(b->vm, gpa, 2 * PAGE);
	const uint64_t *vectors = mem_ptr(b->vm, GS_VECTORS, 16);
	bool wide = b->paging == PAGING_64;
	char *t = (char *)gdt + 0x100;

	descriptor_write(gdt, GS_KERNEL_CS, wide ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
	descriptor_write(gdt, GS_KERNEL_DS, 0x00cf93000000ffff);
	descriptor_write(gdt, GS_USER_CS & ~7, wide ? 0x00affb000000ffff : 0x00cffb000000ffff);
	descriptor_write(gdt, GS_USER_DS & ~7, 0x00cff3000000ffff);
	descriptor_write(gdt, GS_TSS,
			 0x67 | (tss & 0xffffff) << 16 | 0x8bull << 40 | (tss >> 24 & 0xff) << 56);
	/* The stack for what comes from ring 3; 64-bit: rsp0, 32-bit: esp0 and ss0. */
	if (wide) {
		memcpy(t + 4, &stack, 8);
	} else {
		uint32_t v[2] = { stack, GS_KERNEL_DS };

		memcpy(t + 4, v, 8);
	}
	gate_write(b, gpa + PAGE, 14, vectors[0], 0);
	gate_write(b, gpa + PAGE, GS_USER_RETURN, vectors[1], 3);
}

static void values_fill(struct build *b)
{
	static const enum vmm_slot_id slots[] = { SLOT_DATA, SLOT_RO };

	for (int i = 0; i < 2; i++) {
		struct vmm_slot *s = &b->vm->slot[slots[i]];

		for (uint64_t at = b->word; at < s->size_bytes; at += PAGE) {
			uint32_t v = gf_initial_value(b->vm->seed, (s->gpa + at) >> GFN_SHIFT) << 8 | 0xc3;

			memcpy(s->hva + at, &v, 4);
		}
	}
}

static uint64_t ops_max(const struct vmm_opts *o)
{
	return o->rounds * (o->pages * 5 + 2 + (o->odd ? 12 : 0));
}

uint64_t paging_area_bytes(const struct vmm_opts *o)
{
	uint64_t nr_op = ops_max(o);

	return (3 + MAX_TABLES) * PAGE + nr_op * sizeof(struct gs_op) + PAGE;
}

void paging_setup(struct vmm_vm *vm, uint64_t area_gpa)
{
	const struct vmm_opts *o = &vm->vmm->opts;
	struct build *b = calloc(1, sizeof(*b));
	struct gf_param *p = vm->param;
	uint64_t end = vm->slot[SLOT_SYS].size_bytes, size;
	void *tables, *before;

	if (!b)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	b->vm = vm;
	b->paging = o->paging;
	b->f = &formats[o->paging];
	b->nx = o->l1_bits & L1_NX && o->paging != PAGING_32;
	b->pse = o->l1_bits & L1_PSE;
	b->word = draw(b, PAGE / 8) * 8;
	vm->desc_gpa = area_gpa;
	vm->user_stack_gpa = area_gpa + 2 * PAGE;
	vm->table_gpa = area_gpa + 3 * PAGE;
	b->at = vm->table_gpa;
	p->op_gpa = vm->table_gpa + MAX_TABLES * PAGE;
	if (p->op_gpa > WINDOW_GPA + SIZE_2M)
		vmm_fail(VMM_USAGE, "--paging: the tables do not lie in one large page");
	p->user_sp = vm->user_stack_gpa + PAGE - 64;
	b->max_op = ops_max(o);
	b->op = mem_ptr(vm, p->op_gpa, b->max_op * sizeof(*b->op));
	for (int i = 0; i < NR_ROOTS; i++)
		b->root[i] = table_take(b);
	values_fill(b);
	system_map(b, end);
	if (end < 1ull << 24)
		end = 1ull << 24;
	if ((b->paging != PAGING_32 || b->pse) && chance(b, 80))
		window_make(b, end);
	for (uint64_t n = 6 + draw(b, 10); n; n--)
		region_make(b, end);
	if (o->odd && o->paging != PAGING_64)
		vmm_fail(VMM_USAGE, "--odd is for --paging 64");
	if (o->odd)
		odd_region_make(b, end);
	vm->l1_cr3 = b->root[0];
	/* The tables that the guest will find; what the script stores is undone below. */
	vm->nr_table_pages = (b->at - vm->table_gpa) / PAGE;
	size = vm->nr_table_pages * PAGE;
	tables = mem_ptr(vm, vm->table_gpa, size);
	before = malloc(size);
	if (!before)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	memcpy(before, tables, size);
	script_make(b, o->rounds, o->pages);
	memcpy(tables, before, size);
	free(before);
	p->nr_op = b->nr_op;
	descriptors_make(b);
	free(b);
}

void paging_sregs(struct vmm_vm *vm, struct kvm_sregs *s)
{
	const struct vmm_opts *o = &vm->vmm->opts;
	bool wide = o->paging == PAGING_64;

	s->cs.l = wide;
	s->cs.db = !wide;
	if (!wide)
		s->efer = o->paging == PAGING_PAE && o->l1_bits & L1_NX ? 1u << 11 : 0;
	if (o->paging == PAGING_32)
		s->cr4 &= ~0x20ull;
	if (o->paging == PAGING_32 && o->l1_bits & L1_PSE)
		s->cr4 |= 0x10;
	/* Of ring 3, or an IRET to it would take them away. */
	s->ds.selector = GS_USER_DS;
	s->ds.dpl = 3;
	s->es = s->fs = s->gs = s->ds;
	s->gdt.base = vm->desc_gpa;
	s->gdt.limit = 0x3f;
	s->idt.base = vm->desc_gpa + PAGE;
	s->idt.limit = PAGE - 1;
	/* Not busy, as SVM takes it: the lab's emulated CPU accepts no other in 32-bit code. */
	s->tr = (struct kvm_segment){
		.base = vm->desc_gpa + 0x100, .limit = 0x67, .selector = GS_TSS, .type = 9, .present = 1
	};
}
