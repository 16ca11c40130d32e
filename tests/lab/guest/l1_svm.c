// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L1 as an SVM hypervisor: the VMCB, the world switch and the exits of L2. It decides nothing about mappings.
 * VMCB offsets and codes: AMD64 Architecture Programmer's Manual, volume 2, appendices B and C.
 */
#include "l1.h"

enum vmcb_offset {
	VMCB_INTERCEPT_3 = 0x0c,
	VMCB_INTERCEPT_4 = 0x10,
	VMCB_IOPM_PA = 0x40,
	VMCB_MSRPM_PA = 0x48,
	VMCB_ASID = 0x58,
	VMCB_TLB_CONTROL = 0x5c,
	VMCB_EXITCODE = 0x70,
	VMCB_EXITINFO1 = 0x78,
	VMCB_EXITINFO2 = 0x80,
	VMCB_NP_ENABLE = 0x90,
	VMCB_NCR3 = 0xb0,
	VMCB_ES = 0x400,
	VMCB_CS = 0x410,
	VMCB_SS = 0x420,
	VMCB_DS = 0x430,
	VMCB_EFER = 0x4d0,
	VMCB_CR4 = 0x548,
	VMCB_CR3 = 0x550,
	VMCB_CR0 = 0x558,
	VMCB_RFLAGS = 0x570,
	VMCB_RIP = 0x578,
	VMCB_RSP = 0x5d8,
	VMCB_CR2 = 0x640,
	VMCB_GPAT = 0x668,
};

#define INTERCEPT3_HLT (1u << 24)
#define INTERCEPT3_IOIO (1u << 27)
#define INTERCEPT3_SHUTDOWN (1u << 31)
#define INTERCEPT4_VMRUN (1u << 0)
#define INTERCEPT4_VMMCALL (1u << 1)
#define TLB_FLUSH_ALL 1u
#define EXIT_VMMCALL 0x81
#define EXIT_NPF 0x400
#define NPF_RSVD (1ul << 3) /* EXITINFO1: a reserved bit was set */
#define VMMCALL_LENGTH 3
#define GPAT_RESET 0x0007040600070406ul
#define PAGE_ALIGNED __attribute__((aligned(4096)))

static gf_u8 vmcb_page[GF_MAX_VCPUS][4096] PAGE_ALIGNED;
static gf_u8 host_save_page[GF_MAX_VCPUS][4096] PAGE_ALIGNED;
static gf_u8 io_bitmap[3 * 4096] PAGE_ALIGNED;
static gf_u8 msr_bitmap[2 * 4096] PAGE_ALIGNED;
static struct l2_regs l2_regs[GF_MAX_VCPUS];

/* void svm_switch(gf_u64 vmcb_pa, struct l2_regs *regs): runs L2 until its next exit. */
void svm_switch(gf_u64 vmcb_pa, struct l2_regs *regs);
asm(".text\n"
    "svm_switch:\n"
    "	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
    "	push %rsi\n"
    "	mov %rdi, %rax\n"
    "	mov 0(%rsi), %rbx\n	mov 8(%rsi), %rcx\n	mov 16(%rsi), %rdx\n"
    "	mov 32(%rsi), %rdi\n	mov 40(%rsi), %rbp\n"
    "	mov 48(%rsi), %r8\n	mov 56(%rsi), %r9\n	mov 64(%rsi), %r10\n	mov 72(%rsi), %r11\n"
    "	mov 80(%rsi), %r12\n	mov 88(%rsi), %r13\n	mov 96(%rsi), %r14\n	mov 104(%rsi), %r15\n"
    "	mov 24(%rsi), %rsi\n"
    "	vmrun %rax\n"
    "	push %rsi\n"
    "	mov 8(%rsp), %rsi\n"
    "	mov %rbx, 0(%rsi)\n	mov %rcx, 8(%rsi)\n	mov %rdx, 16(%rsi)\n"
    "	mov %rdi, 32(%rsi)\n	mov %rbp, 40(%rsi)\n"
    "	mov %r8, 48(%rsi)\n	mov %r9, 56(%rsi)\n	mov %r10, 64(%rsi)\n	mov %r11, 72(%rsi)\n"
    "	mov %r12, 80(%rsi)\n	mov %r13, 88(%rsi)\n	mov %r14, 96(%rsi)\n	mov %r15, 104(%rsi)\n"
    "	pop %rax\n	mov %rax, 24(%rsi)\n"
    "	pop %rsi\n"
    "	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
    "	ret\n");

static gf_u64 vmcb_read(unsigned int vcpu, enum vmcb_offset off)
{
	return *(volatile gf_u64 *)(vmcb_page[vcpu] + off);
}

static void vmcb_write(unsigned int vcpu, enum vmcb_offset off, gf_u64 value)
{
	*(volatile gf_u64 *)(vmcb_page[vcpu] + off) = value;
}

static void vmcb_write32(unsigned int vcpu, enum vmcb_offset off, gf_u32 value)
{
	*(volatile gf_u32 *)(vmcb_page[vcpu] + off) = value;
}

/* A flat segment: selector and attributes in one word with the limit, then the base. */
static void vmcb_write_segment(unsigned int vcpu, enum vmcb_offset off, gf_u64 selector, gf_u64 attributes)
{
	vmcb_write(vcpu, off, selector | attributes << 16 | 0xffffffffull << 32);
	vmcb_write(vcpu, off + 8, 0);
}

void svm_init(unsigned int vcpu)
{
	struct gf_param *p = l1.param;
	struct gf_facts *facts = &p->facts[vcpu];
	gf_u64 efer;
	unsigned int i;

	msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME);
	msr_write(MSR_VM_HSAVE_PA, (gf_u64)host_save_page[vcpu]);
	efer = facts->efer = msr_read(MSR_EFER);
	/* L2's checkpoint is to reach KVM's user without waking L1; any other port of L2 is a mistake. */
	for (i = 0; i < sizeof(io_bitmap); i++)
		io_bitmap[i] = 0xff;
	io_bitmap[GF_PORT_CHECKPOINT / 8] &= ~(1u << GF_PORT_CHECKPOINT % 8);

	vmcb_write32(vcpu, VMCB_INTERCEPT_3, INTERCEPT3_HLT | INTERCEPT3_IOIO | INTERCEPT3_SHUTDOWN);
	vmcb_write32(vcpu, VMCB_INTERCEPT_4, INTERCEPT4_VMRUN | INTERCEPT4_VMMCALL);
	vmcb_write(vcpu, VMCB_IOPM_PA, (gf_u64)io_bitmap);
	vmcb_write(vcpu, VMCB_MSRPM_PA, (gf_u64)msr_bitmap);
	vmcb_write32(vcpu, VMCB_ASID, 1);
	vmcb_write(vcpu, VMCB_NP_ENABLE, 1);
	vmcb_write_segment(vcpu, VMCB_ES, 16, 0xc93);
	vmcb_write_segment(vcpu, VMCB_CS, 8, 0xa9b);
	vmcb_write_segment(vcpu, VMCB_SS, 16, 0xc93);
	vmcb_write_segment(vcpu, VMCB_DS, 16, 0xc93);
	vmcb_write(vcpu, VMCB_EFER, efer);
	vmcb_write(vcpu, VMCB_CR0, facts->cr0);
	vmcb_write(vcpu, VMCB_CR3, l2_root());
	vmcb_write(vcpu, VMCB_CR4, facts->cr4);
	vmcb_write(vcpu, VMCB_RFLAGS, 2);
	vmcb_write(vcpu, VMCB_RIP, (gf_u64)l2_entry);
	/* As after a call: the ABI wants rsp + 8 to be a multiple of 16. */
	vmcb_write(vcpu, VMCB_RSP, p->l2_stack_gpa + (vcpu + 1) * PAGE_SIZE - 8);
	vmcb_write(vcpu, VMCB_GPAT, GPAT_RESET);
	l2_regs[vcpu].rdi = (gf_u64)&l1.argpage->arg[vcpu];
	l2_regs[vcpu].rsi = (gf_u64)l1.argpage;
	facts->l2_cr0 = facts->cr0;
	facts->l2_cr3 = l2_root();
	facts->l2_cr4 = facts->cr4;
	facts->l2_efer = efer;
}

static int npf_handle(unsigned int vcpu)
{
	struct l2_fault f = {
		.reason = EXIT_NPF,
		.qual = vmcb_read(vcpu, VMCB_EXITINFO1),
		.gpa = vmcb_read(vcpu, VMCB_EXITINFO2),
		.rip = vmcb_read(vcpu, VMCB_RIP),
		.misconf = !!(vmcb_read(vcpu, VMCB_EXITINFO1) & NPF_RSVD),
	};
	int did = fault_handle(vcpu, &f);

	if (did == GF_DID_SKIP)
		vmcb_write(vcpu, VMCB_RIP, l2_regs[vcpu].r11);
	return did;
}

void svm_run_round(unsigned int vcpu)
{
	struct gf_facts *facts = &l1.param->facts[vcpu];

	facts->npt_cr3 = npt_root(facts->round);
	vmcb_write(vcpu, VMCB_NCR3, facts->npt_cr3);
	/* NPT12 may have been rewritten since the last entry. */
	vmcb_write32(vcpu, VMCB_TLB_CONTROL, TLB_FLUSH_ALL);
	for (;;) {
		svm_switch((gf_u64)vmcb_page[vcpu], &l2_regs[vcpu]);
		vmcb_write32(vcpu, VMCB_TLB_CONTROL, 0);
		facts->nr_exits++;
		switch (vmcb_read(vcpu, VMCB_EXITCODE)) {
		case EXIT_VMMCALL:
			vmcb_write(vcpu, VMCB_RIP, vmcb_read(vcpu, VMCB_RIP) + VMMCALL_LENGTH);
			return;
		case EXIT_NPF:
			if (npf_handle(vcpu))
				break;
			/* fall through */
		default:
			l1_say("unexpected exit of L2: code, info1", vmcb_read(vcpu, VMCB_EXITCODE),
			       vmcb_read(vcpu, VMCB_EXITINFO1));
			l1_say("info2, rip", vmcb_read(vcpu, VMCB_EXITINFO2), vmcb_read(vcpu, VMCB_RIP));
			l1_say("rsp, cr3", vmcb_read(vcpu, VMCB_RSP), vmcb_read(vcpu, VMCB_CR3));
			l1_say("vCPU, cr2", vcpu, vmcb_read(vcpu, VMCB_CR2));
			l1_exit(GF_EXIT_UNEXPECTED);
		}
	}
}
