// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The scripted guest: runs the VMM's list of operations one by one and notes for each whether it was done or
 * faulted. It decides nothing. Compiled for 32-bit and for 64-bit code; all its own addresses are one to one
 * and below 4G. Interrupts stay off; the only exceptions are page faults and the software interrupt that ends
 * an access of ring 3.
 */
#include "script.h"

#define VOLATILE_OP(op) ((volatile struct gs_op *)(op))

#ifdef __x86_64__
#define REG_PARMS
/* rdi: address, rsi: value; rax: 0, or 1 and the error code in edx; ecx: what was loaded */
#define A "rdi"
#define V "esi"
#define SP "rsp"
#define IRET "iretq\n"
#define PUSH_SAVED "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
#define POP_SAVED "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
#else
#define REG_PARMS __attribute__((regparm(3)))
/* eax: address, edx: value */
#define A "eax"
#define V "edx"
#define SP "esp"
#define IRET "iret\n"
#define PUSH_SAVED "push %ebx\n push %ebp\n push %esi\n push %edi\n"
#define POP_SAVED "pop %edi\n pop %esi\n pop %ebp\n pop %ebx\n"
#endif

/* Written by the handlers. */
gf_u32 gs_fault_err, gs_loaded;
/* Where they return to: the stack of the access that is under way. */
unsigned long gs_saved_sp;
unsigned long gs_user_entry, gs_user_sp;

/* Each returns 0, or 1 after a page fault. */
int REG_PARMS gs_load(unsigned long addr, gf_u32 value);
int REG_PARMS gs_store(unsigned long addr, gf_u32 value);
int REG_PARMS gs_call(unsigned long addr, gf_u32 value);
/* The same in ring 3, by gs_user_entry. */
int REG_PARMS gs_user(unsigned long addr, gf_u32 value);
extern char gs_user_load[], gs_user_store[], gs_user_call[];

asm(".section .start, \"ax\"\n"
    "	call gs_main\n"
    "1:	hlt\n"
    "	jmp 1b\n"
    ".text\n"
    "gs_load:\n" PUSH_SAVED "	mov %" SP ", gs_saved_sp\n"
    "	mov (%" A "), %ecx\n"
    "	jmp access_done\n"
    "gs_store:\n" PUSH_SAVED "	mov %" SP ", gs_saved_sp\n"
    "	mov %" V ", (%" A ")\n"
    "	jmp access_done\n"
    "gs_call:\n" PUSH_SAVED "	mov %" SP ", gs_saved_sp\n"
    "	call *%" A "\n"
    "	jmp access_done\n"
    "gs_user:\n" PUSH_SAVED "	mov %" SP ", gs_saved_sp\n"
#ifdef __x86_64__
    "	push $0x23\n	push gs_user_sp\n	push $2\n	push $0x1b\n	push gs_user_entry\n"
#else
    "	push $0x23\n	push gs_user_sp\n	push $2\n	push $0x1b\n	push gs_user_entry\n"
#endif
    IRET
    /* Both handlers end in ring 0, on the stack of the TSS or on ours, and leave the frame behind. */
    "fault_entry:\n"
#ifdef __x86_64__
    "	pop %rax\n"
#else
    "	pop %eax\n"
#endif
    "	mov gs_saved_sp, %" SP "\n"
    "	mov %eax, gs_fault_err\n"
    "	mov $1, %eax\n"
    "	jmp access_end\n"
    "user_return_entry:\n"
    "	mov gs_saved_sp, %" SP "\n"
    "access_done:\n"
    "	mov %ecx, gs_loaded\n"
    "	xor %eax, %eax\n"
    "access_end:\n" POP_SAVED "	ret\n"
    ".section .utext, \"ax\"\n"
    "gs_user_load:\n	mov (%" A "), %ecx\n	int $0x80\n"
    "gs_user_store:\n	mov %" V ", (%" A ")\n	int $0x80\n"
    "gs_user_call:\n	call *%" A "\n	int $0x80\n"
    ".section .vectors, \"aw\"\n"
    "	.long fault_entry, 0\n"
    "	.long user_return_entry, 0\n"
    ".text\n");

static void port_write(gf_u32 port, gf_u32 value)
{
	asm volatile("outb %b0, %w1" ::"a"(value), "Nd"(port) : "memory");
}

static int access(const struct gs_op *op)
{
	unsigned long addr = op->addr;
	gf_u32 value = op->value;

	if (op->flags & GS_F_USER) {
		gs_user_entry = (unsigned long)(op->code == GS_LOAD    ? gs_user_load
						: op->code == GS_STORE ? gs_user_store
								       : gs_user_call);
		return gs_user(addr, value);
	}
	switch (op->code) {
	case GS_LOAD:
		return gs_load(addr, value);
	case GS_STORE:
		return gs_store(addr, value);
	default:
		return gs_call(addr, value);
	}
}

static void table_store(const struct gs_op *op)
{
	unsigned long addr = op->addr, value = op->value, gpa = op->gpa;

#ifdef __x86_64__
	if (op->len == 8)
		*(volatile gf_u64 *)addr = value;
	else
#endif
		*(volatile gf_u32 *)addr = value;
	asm volatile("outb %b0, %w1" ::"a"(GF_TRAP_STORE), "Nd"(GF_PORT_TRAP), "D"(gpa), "c"(op->len),
		     "S"(value)
		     : "memory");
}

static void wp_set(int on)
{
	unsigned long cr0;

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	cr0 = on ? cr0 | 1ul << 16 : cr0 & ~(1ul << 16);
	asm volatile("mov %0, %%cr0" ::"r"(cr0) : "memory");
}

static void pge_turn(void)
{
	unsigned long cr4;
	int i;

	for (i = 0; i < 2; i++) {
		asm volatile("mov %%cr4, %0" : "=r"(cr4));
		asm volatile("mov %0, %%cr4" ::"r"(cr4 ^ 0x80) : "memory");
	}
}

static int run(struct gs_op *op)
{
	volatile gf_u32 *word = (volatile gf_u32 *)(unsigned long)op->addr;
	gf_u32 i, value;

	switch (op->code) {
	case GS_TABLE:
		table_store(op);
		return 0;
	case GS_INVLPG:
		asm volatile("invlpg (%0)" ::"r"((unsigned long)op->addr) : "memory");
		return 0;
	case GS_CR3:
		asm volatile("mov %0, %%cr3" ::"r"((unsigned long)op->value) : "memory");
		return 0;
	case GS_WP:
		wp_set(op->value);
		return 0;
	case GS_NOT:
		asm volatile("notl (%0)\n notl (%0)" ::"r"(word) : "memory");
		return 0;
	case GS_FLOOD:
		value = *word;
		for (i = 0; i < op->value; i++)
			*word = value;
		return 0;
	case GS_PGE:
		pge_turn();
		return 0;
	case GS_CHECKPOINT:
		port_write(GF_PORT_CHECKPOINT, 0);
		return 0;
	default:
		return access(op);
	}
}

static void facts_read(struct gf_facts *facts)
{
	unsigned long cr0, cr3, cr4;
	gf_u32 lo, hi;

	asm("mov %%cr0, %0" : "=r"(cr0));
	asm("mov %%cr3, %0" : "=r"(cr3));
	asm("mov %%cr4, %0" : "=r"(cr4));
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(0xc0000080u));
	facts->cr0 = cr0;
	facts->cr3 = cr3;
	facts->cr4 = cr4;
	facts->efer = lo;
}

void __attribute__((used)) gs_main(void)
{
	struct gf_param *p = (struct gf_param *)GF_PARAM_GPA;
	struct gs_op *op = (struct gs_op *)(unsigned long)p->op_gpa;
	gf_u32 i;

	if (p->magic != GF_MAGIC || p->version != GF_VERSION)
		for (;;)
			port_write(GF_PORT_EXIT, GF_EXIT_PROTO);
	gs_user_sp = p->user_sp;
	facts_read(&p->facts[0]);
	for (i = 0; i < p->nr_op; i++) {
		gs_loaded = gs_fault_err = 0;
		p->facts[0].round = i;
		if (run(&op[i])) {
			op[i].err = gs_fault_err;
			op[i].status = GS_FAULTED;
		} else {
			op[i].found = gs_loaded;
			op[i].status = GS_DONE;
		}
	}
	for (;;)
		port_write(GF_PORT_EXIT, GF_EXIT_OK);
}
