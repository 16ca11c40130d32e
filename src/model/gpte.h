/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An entry of a guest's page table, taken apart by its format alone (SEMANTICS B.1, B.2). */
#ifndef MODEL_GPTE_H
#define MODEL_GPTE_H

#include "target/target.h"

#define MS_GPTE_R 4u /* EPT: readable. Others: present is readable, and this bit is "user" */
#define MS_GPTE_W 2u
#define MS_GPTE_X 1u

struct ms_gpte {
	bool present;
	bool leaf; /* maps a page */
	u32 access; /* MS_GPTE_, by this entry alone; of others than EPT, the high bit is U */
	bool accessed, dirty;
	bool has_ad; /* this kind of entry has the bits; for EPT only EPTP says whether they are used */
	u8 memtype; /* EPT leaf */
	u64 frame; /* of what it points to, in 4 KiB */
	u64 bytes; /* leaf: of the page */
};

void ms_gpte_decode(enum ms_gpt gpt, u32 level, u64 entry, struct ms_gpte *ret);
/* Entries of one table of this format span this many bits of address at that level: shift of the index. */
u32 ms_gpt_index(enum ms_gpt gpt, u32 level, u64 address);

#endif
