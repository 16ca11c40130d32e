/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boot sector of the Intel lab's disk. It reads a table from the sector after its own, copies each extent that the
 * table names to its place in memory, and enters the kernel in 64-bit mode as boot.rst ("64-bit boot protocol") wants
 * it: paging on with memory below 4G mapped to itself, %rsi pointing at boot_params, interrupts off. All that
 * the kernel is told (boot_params, memory map, command line) is an extent like others, made by scripts/intel/image.
 *
 * The disk is read by bus master DMA (PIIX3), which for the emulator is a copy; by the BIOS it would be a loop over words.
 *
 *	sector 0	this
 *	sector 1	entries of 16 bytes: first sector, address, number of sectors, 0; number 0 ends the table, and the
 *			address there is the kernel's entry
 *	sector 2...	what the entries name
 *
 * Memory: 0x600 descriptor of the DMA, 0x800 table, 0x1000 and 0x2000 page tables, stack below 0x7c00.
 * What goes wrong is told by "lab-loader: X" on port 0xe9, X being
 * P: no IDE controller, R: cannot be read.
 */

	.set PRD, 0x600
	.set TABLE, 0x800
	.set PML4, 0x1000
	.set PDPT, 0x2000
	.set BOOT_PARAMS, 0x10000	/* as scripts/intel/image has it */

	.set CHUNK, 128			/* sectors of one command: 64K, the most that one descriptor can say */

	.set PCI_IDE, 0x80000900	/* bus 0, device 1, function 1 */
	.set ATA, 0x1f0
	.set ATA_CONTROL, 0x3f6

	.code16
	.globl _start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	ljmp	$0, $1f
1:	cld
	inb	$0x92, %al		/* A20 */
	orb	$2, %al
	outb	%al, $0x92
	sti				/* the BIOS answers IRQ 14, which ends our waiting */

	/* The controller: its bus master's ports into %bp. */
	movb	$'P', fault
	movl	$PCI_IDE, %eax
	call	pci
	inl	%dx, %eax
	incl	%eax			/* no such function reads as -1 */
	jz	failed
	movl	$PCI_IDE + 4, %eax
	call	pci
	inw	%dx, %ax
	orw	$5, %ax			/* I/O ports, bus master */
	outw	%ax, %dx
	movl	$PCI_IDE + 0x20, %eax
	call	pci
	inl	%dx, %eax
	andw	$0xfff0, %ax
	jz	failed
	movw	%ax, %bp
	movw	$ATA_CONTROL, %dx
	movb	$8, %al			/* interrupts on */
	outb	%al, %dx

	/* The table, by an entry that stands here. */
	movb	$'R', fault
	movw	$first, %si
	call	extent
	movw	$TABLE, %si
2:	cmpl	$0, 8(%si)
	je	3f
	call	extent
	addw	$16, %si
	jmp	2b
3:	movl	4(%si), %ebx		/* the kernel's entry */

	/* Four pages of 1G, which the machine's CPU has: memory below 4G at its own addresses. */
	cli
	movw	$PML4, %di
	xorl	%eax, %eax
	movw	$2048, %cx
	rep stosl
	movl	$PDPT + 3, PML4
	movl	$0x83, %eax
	movw	$PDPT, %di
4:	movl	%eax, (%di)
	addw	$8, %di
	addl	$0x40000000, %eax
	cmpw	$PDPT + 32, %di
	jne	4b

	/* From real mode to long mode at once: Intel SDM 3A 9.8.5 asks for PAE, CR3 and LME before PG. */
	lgdtl	gdtr
	movl	$0x20, %eax
	movl	%eax, %cr4
	movl	$PML4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER */
	rdmsr
	orl	$0x100, %eax		/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	ljmpl	$0x10, $long_mode

/* extent: reads what the entry at %si names. */
extent:
	movl	(%si), %edi		/* sector */
	movl	4(%si), %eax		/* address */
	movl	8(%si), %ecx		/* sectors left */
	movl	%eax, PRD
1:	movl	$CHUNK, %ebx
	cmpl	%ebx, %ecx
	jae	2f
	movl	%ecx, %ebx
2:	pushl	%ecx
	movl	%ebx, %eax
	shll	$9, %eax		/* bytes; 64K is said as 0 */
	movw	%ax, PRD + 4
	movw	$0x8000, PRD + 6	/* the only descriptor */
	leaw	4(%bp), %dx
	movl	$PRD, %eax
	outl	%eax, %dx
	leaw	2(%bp), %dx
	movb	$6, %al			/* forget the interrupt and error of before */
	outb	%al, %dx
	movb	%bl, task		/* ATA's registers 2 to 7: READ DMA of that many from there */
	movl	%edi, task + 1
	orb	$0xe0, task + 4		/* first drive, LBA */
	pushw	%si
	movw	$task, %si
	movw	$ATA + 2, %dx
	movw	$6, %cx
3:	outsb
	incw	%dx
	loop	3b
	popw	%si
	movw	%bp, %dx
	movb	$9, %al			/* start; towards memory */
	outb	%al, %dx
4:	hlt
	leaw	2(%bp), %dx
	inb	%dx, %al
	testb	$2, %al
	jnz	failed
	testb	$4, %al			/* its interrupt came */
	jz	4b
	movw	%bp, %dx
	xorb	%al, %al
	outb	%al, %dx
	movw	$ATA + 7, %dx
	inb	%dx, %al
	testb	$0x21, %al		/* DF, ERR */
	jnz	failed
	movl	%ebx, %eax
	addl	%eax, %edi
	shll	$9, %eax
	addl	%eax, PRD
	popl	%ecx
	subl	%ebx, %ecx
	jnz	1b
	ret

/* pci: selects the register %eax of the configuration space; %dx is then its port. */
pci:
	movw	$0xcf8, %dx
	outl	%eax, %dx
	movw	$0xcfc, %dx
	ret

failed:
	movw	$message, %si
	movw	$0xe9, %dx
1:	lodsb
	outb	%al, %dx
	cmpb	$'\n', %al
	jne	1b
	cli
	hlt

	.code64
long_mode:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$BOOT_PARAMS, %esi
	movl	%ebx, %ebx
	jmp	*%rbx

message:
	.ascii	"lab-loader: "
fault:
	.ascii	"?\n"
	.balign 4
first:
	.long	1, TABLE, 1, 0
task:
	.byte	0, 0, 0, 0, 0, 0xc8
	.balign 8
gdt:					/* selectors as boot.rst wants them: code 0x10, data 0x18 */
	.quad	0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdtr:
	.word	gdtr - gdt - 1
	.long	gdt
	.org 510
	.word	0xaa55
