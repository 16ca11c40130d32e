// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L1's entry and its rounds: prepare, touch (itself, or through L2), check, stop at the checkpoint. Entered
 * in long mode with rdi = vCPU number, on a stack of its own. Interrupts stay off for good.
 */
#include "l1.h"

struct l1_areas l1;

void __attribute__((section(".start"), used, naked)) _start(void)
{
	asm("call l1_main\n"
	    "1:	hlt\n"
	    "	jmp 1b\n");
}

static void say_hex(gf_u64 v)
{
	int shift;

	for (shift = 60; shift >= 0; shift -= 4)
		port_write(GF_PORT_CONSOLE, "0123456789abcdef"[v >> shift & 15]);
}

void l1_say(const char *text, gf_u64 a, gf_u64 b)
{
	while (*text)
		port_write(GF_PORT_CONSOLE, *text++);
	port_write(GF_PORT_CONSOLE, ' ');
	say_hex(a);
	port_write(GF_PORT_CONSOLE, ' ');
	say_hex(b);
	port_write(GF_PORT_CONSOLE, '\n');
}

void l1_exit(enum gf_exit status)
{
	for (;;)
		port_write(GF_PORT_EXIT, status);
}

static void areas_init(struct gf_param *p)
{
	l1.param = p;
	l1.rec = (struct gf_rec *)p->rec_gpa;
	l1.work = (struct gf_work *)p->work_gpa;
	l1.table = (struct gf_table *)p->table_gpa;
	l1.argpage = (struct gf_argpage *)p->argpage_gpa;
	l1.l1page = (struct gf_l1page *)p->l1page_gpa;
	l1.perm = (gf_u32 *)p->perm_gpa;
	l1.order = (gf_u32 *)p->order_gpa;
	l1.exit = (struct gf_l1exit *)p->exit_gpa;
	l1.pml = (struct gf_pml *)p->pml_gpa;
}

void l1_facts_read(struct gf_facts *facts)
{
	asm("mov %%cr0, %0" : "=r"(facts->cr0));
	asm("mov %%cr3, %0" : "=r"(facts->cr3));
	asm("mov %%cr4, %0" : "=r"(facts->cr4));
	facts->efer = msr_read(MSR_EFER);
}

static int is_checkpoint(gf_u64 round)
{
	return !(l1.param->flags & GF_F_ENDLESS) || round == 1;
}

static void arg_set(unsigned int vcpu, gf_u64 round)
{
	struct gf_param *p = l1.param;
	struct gf_arg *arg = &l1.argpage->arg[vcpu];

	arg->work = p->work_gpa;
	arg->nr_work = p->nr_item;
	arg->first = vcpu;
	arg->step = p->nr_vcpus;
	arg->nr_passes = p->nr_passes;
	arg->stop_port = p->flags & GF_F_AT_L2 && is_checkpoint(round) ? GF_PORT_CHECKPOINT : 0;
	arg->wait_for = p->flags & GF_F_HOLD_RUN ? round : 0;
	arg->vendor = p->vendor;
	if (p->flags & GF_F_STORES && !vcpu)
		stores_arg(arg);
}

/* L1's own reading of the data pages, through its own mapping and so through the direct MMU. */
static void l1_touch(void)
{
	struct gf_param *p = l1.param;
	gf_u64 i, found;

	for (i = 0; i < p->range[GF_DATA].nr; i++) {
		struct gf_rec *rec = &l1.rec[i];
		struct gf_work *w = &l1.work[rec->work];
		struct gf_range *r = &p->range[GF_DATA];
		gf_u64 off = w->va & ((1ul << (PAGE_SHIFT + 9 * (rec->level - 1))) - 1);

		found = word_read((gf_u64 *)((rec->l1_gfn << PAGE_SHIFT) + off));
		l1.l1page[(rec->l1_gfn - r->l1_gfn) / r->l1_step].l1_touched |= GF_ACC_R;
		if (found == (w->op & GF_OP_W ? w->put : w->want) ||
		    (w->op & GF_OP_EITHER && found == w->put))
			continue;
		l1_say("L1 found a wrong value: gfn, value", rec->l1_gfn, found);
		l1_exit(GF_EXIT_DATA);
	}
}

/* L1's own writes, to the word beside the one that L2 touches. */
static void l1_write(gf_u64 round)
{
	struct gf_param *p = l1.param;
	struct gf_range *r = &p->range[GF_DATA];
	gf_u64 i;

	for (i = 0; i < p->nr_l1page; i++) {
		gf_u64 gfn = r->l1_gfn + i * r->l1_step;
		gf_u64 gpa = (gfn << PAGE_SHIFT) + (gf_word_offset(p->seed, gfn, p->leaf_level) ^ 8);

		if (!plan_l1_writes(i, round))
			continue;
		*(volatile gf_u64 *)gpa = gf_l1_value(p->seed, gfn, round);
		l1.l1page[i].l1_touched |= GF_ACC_W;
		l1.l1page[i].l1_round = round;
	}
}

static void nested_init(unsigned int vcpu)
{
	switch (l1.param->vendor) {
	case GF_SVM:
		svm_init(vcpu);
		break;
	case GF_VMX:
		vmx_init(vcpu);
		break;
	default:
		l1_say("neither SVM nor VMX in CPUID", 0, 0);
		l1_exit(GF_EXIT_NO_NESTED);
	}
}

static void nested_run(unsigned int vcpu)
{
	if (l1.param->vendor == GF_VMX)
		vmx_run_round(vcpu);
	else
		svm_run_round(vcpu);
}

static void round_run(unsigned int vcpu, gf_u64 round)
{
	struct gf_param *p = l1.param;
	struct gf_arg *arg = &l1.argpage->arg[vcpu];

	p->facts[vcpu].round = round;
	arg_set(vcpu, round);
	if (p->mode == GF_NESTED)
		nested_run(vcpu);
	else
		touch_round(arg, l1.argpage);
	if (arg->nr_bad) {
		l1_say("wrong value: address, value", l1.work[arg->bad_pos].va, arg->bad_found);
		l1_exit(GF_EXIT_DATA);
	}
	if (vcpu == 0 && p->mode == GF_NESTED && p->flags & GF_F_L1_TOUCH)
		l1_touch();
	if (vcpu == 0 && p->mode == GF_NESTED && p->l1_write_pct)
		l1_write(round);
	if (arg->stop_port || !is_checkpoint(round))
		return;
	port_write(GF_PORT_CHECKPOINT, round);
	while (arg->wait_for && word_read(&l1.argpage->release) < arg->wait_for)
		asm volatile("pause");
}

void __attribute__((used)) l1_main(unsigned int vcpu)
{
	struct gf_param *p = (struct gf_param *)GF_PARAM_GPA;
	gf_u64 round;

	if (p->magic != GF_MAGIC || p->version != GF_VERSION) {
		l1_say("parameter block of another version: magic, version", p->magic, p->version);
		l1_exit(GF_EXIT_PROTO);
	}
	if (p->flags & GF_F_STORES)
		stores_enable();
	l1_facts_read(&p->facts[vcpu]);
	if (vcpu == 0) {
		areas_init(p);
		l1.argpage->nr_vcpus = p->nr_vcpus;
		plan_init();
		if (p->mode == GF_NESTED)
			npt_init();
		__atomic_store_n(&p->ready_round, 1, __ATOMIC_RELEASE);
	}
	for (round = 1; p->flags & GF_F_ENDLESS || round <= p->nr_rounds; round++) {
		if (vcpu == 0 && round > 1) {
			plan_rewrite(round);
			if (p->flags & GF_F_STOP_REWRITTEN && is_checkpoint(round)) {
				npt_root_write();
				port_write(GF_PORT_CHECKPOINT, round);
			}
			plan_next_round(round);
			if (p->flags & GF_F_PML)
				npt_clear_dirty();
			__atomic_store_n(&p->ready_round, round, __ATOMIC_RELEASE);
		}
		while (word_read(&p->ready_round) < round)
			asm volatile("pause");
		if (round == 1 && p->mode == GF_NESTED)
			nested_init(vcpu);
		round_run(vcpu, round);
	}
	l1_exit(GF_EXIT_OK);
}
