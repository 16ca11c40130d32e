/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bits of control registers that decide how a guest's tables are read (SDM vol. 3 2.5, 2.2.1). */
#ifndef NMMU_X86_H
#define NMMU_X86_H

#define CR0_PE (1ULL << 0)
#define CR0_ET (1ULL << 4)
#define CR0_WP (1ULL << 16)
#define CR0_PG (1ULL << 31)
#define CR0_RESET 0x60000010ULL
#define CR4_PSE (1ULL << 4)
#define CR4_PAE (1ULL << 5)
#define CR4_LA57 (1ULL << 12)
#define CR4_SMEP (1ULL << 20)
#define CR4_SMAP (1ULL << 21)
#define CR4_PKE (1ULL << 22)
#define EFER_LME (1ULL << 8)
#define EFER_LMA (1ULL << 10)
#define EFER_NX (1ULL << 11)

#endif
