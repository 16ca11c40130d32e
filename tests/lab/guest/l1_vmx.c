// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L1 as a VMX hypervisor: the VMCS, the world switch and the exits of L2. It decides nothing about mappings.
 * Fields, controls and exit reasons: Intel SDM, volume 3, appendices A to C.
 */
#include "l1.h"

#define MSR_FEATURE_CONTROL 0x3au
#define FEATURE_CONTROL_LOCKED (1ul << 0)
#define FEATURE_CONTROL_VMXON (1ul << 2)
#define MSR_VMX_BASIC 0x480u
#define MSR_VMX_PIN 0x481u
#define MSR_VMX_PROC 0x482u
#define MSR_VMX_EXIT 0x483u
#define MSR_VMX_ENTRY 0x484u
#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR4_FIXED0 0x488u
#define MSR_VMX_PROC2 0x48bu
#define MSR_VMX_EPT_VPID_CAP 0x48cu

enum vmcs_field {
	GUEST_ES_SELECTOR = 0x0800, /* then CS, SS, DS, FS, GS, LDTR, TR by steps of 2, as for the others */
	PML_INDEX = 0x0812,
	HOST_ES_SELECTOR = 0x0c00, /* then CS, SS, DS, FS, GS, TR */
	IO_BITMAP_A = 0x2000,
	IO_BITMAP_B = 0x2002,
	PML_ADDRESS = 0x200e,
	EPT_POINTER = 0x201a,
	GUEST_PHYSICAL_ADDRESS = 0x2400,
	VMCS_LINK_POINTER = 0x2800,
	GUEST_DEBUGCTL = 0x2802,
	PIN_CONTROLS = 0x4000,
	PROC_CONTROLS = 0x4002,
	EXCEPTION_BITMAP = 0x4004,
	EXIT_CONTROLS = 0x400c,
	ENTRY_CONTROLS = 0x4012,
	PROC2_CONTROLS = 0x401e,
	INSTRUCTION_ERROR = 0x4400,
	EXIT_REASON = 0x4402,
	GUEST_ES_LIMIT = 0x4800,
	GUEST_GDTR_LIMIT = 0x4810,
	GUEST_IDTR_LIMIT = 0x4812,
	GUEST_ES_RIGHTS = 0x4814,
	GUEST_INTERRUPTIBILITY = 0x4824,
	GUEST_ACTIVITY = 0x4826,
	EXIT_QUALIFICATION = 0x6400,
	GUEST_LINEAR_ADDRESS = 0x640a,
	GUEST_CR0 = 0x6800,
	GUEST_CR3 = 0x6802,
	GUEST_CR4 = 0x6804,
	GUEST_ES_BASE = 0x6806,
	GUEST_DR7 = 0x681a,
	GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e,
	GUEST_RFLAGS = 0x6820,
	HOST_CR0 = 0x6c00,
	HOST_CR3 = 0x6c02,
	HOST_CR4 = 0x6c04,
	HOST_RSP = 0x6c14,
	HOST_RIP = 0x6c16,
};

#define PROC_HLT_EXITING (1u << 7)
#define PROC_IO_BITMAPS (1u << 25)
#define PROC_SECONDARY (1u << 31)
#define PROC2_EPT (1u << 1)
#define PROC2_PML (1u << 17)
#define EXIT_HOST_64 (1u << 9)
#define ENTRY_GUEST_64 (1u << 9)

#define REASON_VMCALL 18
#define REASON_EPT_VIOLATION 48
#define REASON_EPT_MISCONFIG 49
#define REASON_PML_FULL 62
#define QUAL_GLA_VALID (1ul << 7)
#define VMCALL_LENGTH 3

#define EPTP_WB 6ul
#define EPTP_LEVELS_4 (3ul << 3)
#define EPTP_AD (1ul << 6)
#define EPT_CAP_AD (1ul << 21)
#define INVEPT_SINGLE 1ul
#define PML_ENTRIES 512

#define SEGMENT_TR 7
#define RFLAGS_IF (1ul << 9)
#define PAGE_ALIGNED __attribute__((aligned(4096)))

static gf_u8 vmxon_page[GF_MAX_VCPUS][4096] PAGE_ALIGNED;
static gf_u8 vmcs_page[GF_MAX_VCPUS][4096] PAGE_ALIGNED;
static gf_u64 pml_page[GF_MAX_VCPUS][PML_ENTRIES] PAGE_ALIGNED;
static gf_u8 io_bitmap[2 * 4096] PAGE_ALIGNED;
static struct l2_regs l2_regs[GF_MAX_VCPUS];
static gf_u8 is_launched[GF_MAX_VCPUS];

/*
 * int vmx_switch(struct l2_regs *regs, unsigned int launched): runs L2 until its next exit; 1: it was not entered.
 * Moves leave the flags of the test alone.
 */
int vmx_switch(struct l2_regs *regs, unsigned int launched);
asm(".text\n"
    "vmx_switch:\n"
    "	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
    "	push %rdi\n"
    "	mov $0x6c14, %eax\n	vmwrite %rsp, %rax\n"
    "	lea vmx_exited(%rip), %rdx\n	mov $0x6c16, %eax\n	vmwrite %rdx, %rax\n"
    "	test %esi, %esi\n"
    "	mov 0(%rdi), %rbx\n	mov 8(%rdi), %rcx\n	mov 16(%rdi), %rdx\n	mov 24(%rdi), %rsi\n"
    "	mov 40(%rdi), %rbp\n"
    "	mov 48(%rdi), %r8\n	mov 56(%rdi), %r9\n	mov 64(%rdi), %r10\n	mov 72(%rdi), %r11\n"
    "	mov 80(%rdi), %r12\n	mov 88(%rdi), %r13\n	mov 96(%rdi), %r14\n	mov 104(%rdi), %r15\n"
    "	mov 112(%rdi), %rax\n	mov 32(%rdi), %rdi\n"
    "	jnz 1f\n"
    "	vmlaunch\n"
    "	jmp 2f\n"
    "1:	vmresume\n"
    "2:	pop %rdi\n"
    "	mov $1, %eax\n"
    "	jmp 3f\n"
    "vmx_exited:\n"
    "	push %rdi\n"
    "	mov 8(%rsp), %rdi\n"
    "	mov %rbx, 0(%rdi)\n	mov %rcx, 8(%rdi)\n	mov %rdx, 16(%rdi)\n	mov %rsi, 24(%rdi)\n"
    "	mov %rbp, 40(%rdi)\n"
    "	mov %r8, 48(%rdi)\n	mov %r9, 56(%rdi)\n	mov %r10, 64(%rdi)\n	mov %r11, 72(%rdi)\n"
    "	mov %r12, 80(%rdi)\n	mov %r13, 88(%rdi)\n	mov %r14, 96(%rdi)\n	mov %r15, 104(%rdi)\n"
    "	mov %rax, 112(%rdi)\n"
    "	pop %rax\n	mov %rax, 32(%rdi)\n"
    "	pop %rdi\n"
    "	xor %eax, %eax\n"
    "3:	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
    "	ret\n");

static void vmx_failed(const char *what, gf_u64 a, gf_u64 b)
{
	l1_say(what, a, b);
	l1_exit(GF_EXIT_UNEXPECTED);
}

static gf_u64 vmcs_read(enum vmcs_field field)
{
	gf_u64 value = 0;

	asm volatile("vmread %1, %0" : "=r"(value) : "r"((gf_u64)field) : "cc");
	return value;
}

static void vmcs_write(enum vmcs_field field, gf_u64 value)
{
	gf_u8 failed;

	asm volatile("vmwrite %2, %1\n	setna %0" : "=q"(failed) : "r"((gf_u64)field), "r"(value) : "cc");
	if (failed)
		vmx_failed("VMWRITE failed: field, value", field, value);
}

/* What is wanted, with the bits that must be 1; a wanted bit that must be 0 is left out. */
static gf_u32 controls(gf_u32 msr, gf_u32 want)
{
	gf_u64 allowed = msr_read(msr);

	return (want | (gf_u32)allowed) & (gf_u32)(allowed >> 32);
}

static void controls_write(enum vmcs_field field, gf_u32 msr, gf_u32 want)
{
	gf_u32 got = controls(msr, want);

	if ((got & want) != want) {
		l1_say("VMX controls missing in the guest: MSR, bits", msr, want & ~got);
		l1_exit(GF_EXIT_NO_NESTED);
	}
	vmcs_write(field, got);
}

static void segment_write(int i, gf_u64 selector, gf_u64 limit, gf_u64 rights)
{
	vmcs_write(GUEST_ES_SELECTOR + 2 * i, selector);
	vmcs_write(GUEST_ES_LIMIT + 2 * i, limit);
	vmcs_write(GUEST_ES_RIGHTS + 2 * i, rights);
	vmcs_write(GUEST_ES_BASE + 2 * i, 0);
}

static void vmx_on(unsigned int vcpu)
{
	gf_u32 revision = msr_read(MSR_VMX_BASIC) & 0x7fffffff;
	gf_u64 pa, cr;
	gf_u8 failed;

	if (!(msr_read(MSR_FEATURE_CONTROL) & FEATURE_CONTROL_LOCKED))
		msr_write(MSR_FEATURE_CONTROL, FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON);
	asm("mov %%cr4, %0" : "=r"(cr));
	cr |= msr_read(MSR_VMX_CR4_FIXED0);
	asm volatile("mov %0, %%cr4" ::"r"(cr) : "memory");
	asm("mov %%cr0, %0" : "=r"(cr));
	cr |= msr_read(MSR_VMX_CR0_FIXED0);
	asm volatile("mov %0, %%cr0" ::"r"(cr) : "memory");
	*(volatile gf_u32 *)vmxon_page[vcpu] = revision;
	*(volatile gf_u32 *)vmcs_page[vcpu] = revision;
	pa = (gf_u64)vmxon_page[vcpu];
	asm volatile("vmxon %1\n	setna %0" : "=q"(failed) : "m"(pa) : "cc", "memory");
	if (failed)
		vmx_failed("VMXON failed: vCPU, revision", vcpu, revision);
	pa = (gf_u64)vmcs_page[vcpu];
	asm volatile("vmclear %1\n	setna %0" : "=q"(failed) : "m"(pa) : "cc", "memory");
	if (failed)
		vmx_failed("VMCLEAR failed: vCPU, revision", vcpu, revision);
	asm volatile("vmptrld %1\n	setna %0" : "=q"(failed) : "m"(pa) : "cc", "memory");
	if (failed)
		vmx_failed("VMPTRLD failed: vCPU, revision", vcpu, revision);
}

static void host_write(const struct gf_facts *facts)
{
	int i;

	vmcs_write(HOST_CR0, facts->cr0);
	vmcs_write(HOST_CR3, facts->cr3);
	vmcs_write(HOST_CR4, facts->cr4);
	/* The descriptor tables of L1 are never used; selectors of CS and TR must not be null. */
	for (i = 0; i < 6; i++)
		vmcs_write(HOST_ES_SELECTOR + 2 * i, i == 1 ? 8 : 16);
	vmcs_write(HOST_ES_SELECTOR + 2 * 6, 24);
}

static void guest_write(unsigned int vcpu, const struct gf_facts *facts)
{
	int i;

	/* Flat as L1's own; no LDT; a busy TSS, which must be there. */
	for (i = 0; i < 6; i++)
		segment_write(i, i == 1 ? 8 : 16, 0xffffffff, i == 1 ? 0xa09b : 0xc093);
	segment_write(6, 0, 0, 0x10000);
	segment_write(SEGMENT_TR, 24, 0x67, 0x8b);
	vmcs_write(GUEST_GDTR_LIMIT, 0);
	vmcs_write(GUEST_IDTR_LIMIT, 0);
	vmcs_write(GUEST_CR0, facts->cr0);
	vmcs_write(GUEST_CR3, l2_root());
	vmcs_write(GUEST_CR4, facts->cr4);
	vmcs_write(GUEST_DR7, 0x400);
	vmcs_write(GUEST_DEBUGCTL, 0);
	/*
	 * IF is set, though no interrupt is ever injected: Bochs 2.7 lets the host's interrupts end a guest only
	 * then, and L2 may spin.
	 */
	vmcs_write(GUEST_RFLAGS, RFLAGS_IF | 2);
	vmcs_write(GUEST_ACTIVITY, 0);
	vmcs_write(GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(GUEST_RIP, (gf_u64)l2_entry);
	/* As after a call: the ABI wants rsp + 8 to be a multiple of 16. */
	vmcs_write(GUEST_RSP, l1.param->l2_stack_gpa + (vcpu + 1) * PAGE_SIZE - 8);
	vmcs_write(VMCS_LINK_POINTER, ~0ul);
}

void vmx_init(unsigned int vcpu)
{
	struct gf_param *p = l1.param;
	struct gf_facts *facts = &p->facts[vcpu];
	int pml = !!(p->flags & GF_F_PML);
	unsigned int i;

	vmx_on(vcpu);
	/* Again: VMX has CR4.VMXE and CR0.NE. */
	l1_facts_read(facts);
	if (p->flags & GF_F_EPT_AD && !(msr_read(MSR_VMX_EPT_VPID_CAP) & EPT_CAP_AD)) {
		l1_say("no accessed and dirty flags for EPT in the guest", 0, 0);
		l1_exit(GF_EXIT_NO_NESTED);
	}
	/* L2's checkpoint is to reach KVM's user without waking L1; any other port of L2 is a mistake. */
	for (i = 0; i < sizeof(io_bitmap); i++)
		io_bitmap[i] = 0xff;
	io_bitmap[GF_PORT_CHECKPOINT / 8] &= ~(1u << GF_PORT_CHECKPOINT % 8);

	controls_write(PIN_CONTROLS, MSR_VMX_PIN, 0);
	controls_write(PROC_CONTROLS, MSR_VMX_PROC, PROC_HLT_EXITING | PROC_IO_BITMAPS | PROC_SECONDARY);
	controls_write(PROC2_CONTROLS, MSR_VMX_PROC2, PROC2_EPT | (pml ? PROC2_PML : 0));
	controls_write(EXIT_CONTROLS, MSR_VMX_EXIT, EXIT_HOST_64);
	controls_write(ENTRY_CONTROLS, MSR_VMX_ENTRY, ENTRY_GUEST_64);
	vmcs_write(EXCEPTION_BITMAP, 0);
	vmcs_write(IO_BITMAP_A, (gf_u64)io_bitmap);
	vmcs_write(IO_BITMAP_B, (gf_u64)io_bitmap + 4096);
	if (pml) {
		vmcs_write(PML_ADDRESS, (gf_u64)pml_page[vcpu]);
		vmcs_write(PML_INDEX, PML_ENTRIES - 1);
	}
	host_write(facts);
	guest_write(vcpu, facts);
	l2_regs[vcpu].rdi = (gf_u64)&l1.argpage->arg[vcpu];
	l2_regs[vcpu].rsi = (gf_u64)l1.argpage;
	facts->l2_cr0 = facts->cr0;
	facts->l2_cr3 = l2_root();
	facts->l2_cr4 = facts->cr4;
	facts->l2_efer = facts->efer;
}

static void ept_flush(gf_u64 eptp)
{
	struct {
		gf_u64 eptp, reserved;
	} what = { eptp, 0 };
	gf_u8 failed;

	asm volatile("invept %1, %2\n	setna %0"
		     : "=q"(failed)
		     : "m"(what), "r"(INVEPT_SINGLE)
		     : "cc", "memory");
	if (failed)
		vmx_failed("INVEPT failed: type, EPTP", INVEPT_SINGLE, eptp);
}

/*
 * Takes what the CPU has logged and starts the page anew. The index is that of the next entry, counted down from 511;
 * the page is full when it has gone below 0 (SDM volume 3, 29.3.6).
 */
static void pml_drain(unsigned int vcpu, int full)
{
	unsigned int next = vmcs_read(PML_INDEX) & 0xffff, i;

	for (i = PML_ENTRIES - 1; next >= PML_ENTRIES || i > next; i--) {
		fault_pml_log(vcpu, word_read(&pml_page[vcpu][i]), i, full);
		if (i == 0)
			break;
	}
	vmcs_write(PML_INDEX, PML_ENTRIES - 1);
}

static int ept_exit_handle(unsigned int vcpu, gf_u64 reason)
{
	struct l2_fault f = {
		.reason = reason,
		.qual = vmcs_read(EXIT_QUALIFICATION),
		.gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS),
		.rip = vmcs_read(GUEST_RIP),
		.misconf = reason == REASON_EPT_MISCONFIG,
		.pml_full = reason == REASON_PML_FULL,
	};
	int did;

	f.has_gla = reason == REASON_EPT_VIOLATION && f.qual & QUAL_GLA_VALID;
	if (f.has_gla)
		f.gla = vmcs_read(GUEST_LINEAR_ADDRESS);
	did = fault_handle(vcpu, &f);
	if (did == GF_DID_DRAIN)
		pml_drain(vcpu, 1);
	if (did == GF_DID_SKIP)
		vmcs_write(GUEST_RIP, l2_regs[vcpu].r11);
	return did;
}

void vmx_run_round(unsigned int vcpu)
{
	struct gf_param *p = l1.param;
	struct gf_facts *facts = &p->facts[vcpu];
	gf_u64 reason;

	facts->npt_cr3 =
		npt_root(facts->round) | EPTP_WB | EPTP_LEVELS_4 | (p->flags & GF_F_EPT_AD ? EPTP_AD : 0);
	vmcs_write(EPT_POINTER, facts->npt_cr3);
	/* EPT12 may have been rewritten since the last entry. */
	ept_flush(facts->npt_cr3);
	for (;;) {
		if (vmx_switch(&l2_regs[vcpu], is_launched[vcpu]))
			vmx_failed("VM entry failed: vCPU, instruction error", vcpu,
				   vmcs_read(INSTRUCTION_ERROR));
		is_launched[vcpu] = 1;
		facts->nr_exits++;
		reason = vmcs_read(EXIT_REASON);
		switch (reason) {
		case REASON_VMCALL:
			vmcs_write(GUEST_RIP, vmcs_read(GUEST_RIP) + VMCALL_LENGTH);
			if (p->flags & GF_F_PML)
				pml_drain(vcpu, 0);
			return;
		case REASON_EPT_VIOLATION:
		case REASON_EPT_MISCONFIG:
		case REASON_PML_FULL:
			if (ept_exit_handle(vcpu, reason))
				break;
			/* fall through */
		default:
			l1_say("unexpected exit of L2: reason, qualification", reason,
			       vmcs_read(EXIT_QUALIFICATION));
			l1_say("guest-physical address, rip", vmcs_read(GUEST_PHYSICAL_ADDRESS),
			       vmcs_read(GUEST_RIP));
			l1_say("rsp, cr3", vmcs_read(GUEST_RSP), vmcs_read(GUEST_CR3));
			l1_say("vCPU, PML index", vcpu, vmcs_read(PML_INDEX));
			l1_exit(GF_EXIT_UNEXPECTED);
		}
	}
}
