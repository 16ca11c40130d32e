/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reference walker of guest tables, in one and in two dimensions: written from the manuals, bit by bit and
 * without tables of masks, to judge src/nmmu/gfmt.c and walk.c. It shares no line and no constant with them,
 * works on memory of its own, and is as slow as it is plain.
 *
 * Sources: Intel SDM vol. 3 4.3-4.8, 28.3.2-28.3.3, table 28-7; AMD APM vol. 2 5.3-5.6, 15.25.
 */
#ifndef TESTS_UNIT_REFWALK_H
#define TESTS_UNIT_REFWALK_H

#include <stdbool.h>
#include <stdint.h>

enum ref_kind { REF_OFF, REF_32, REF_PAE, REF_4LEVEL, REF_5LEVEL, REF_EPT4, REF_EPT5 };

/* One set of tables and how the CPU is told to read it. */
struct ref_tables {
	enum ref_kind kind;
	uint64_t root; /* CR3 or EPTP */
	uint64_t pdpte[4]; /* PAE in dimension 0: registers */
	int phys_bits;
	bool pse, nxe, wp, smep, smap, ac;
	bool gb; /* 1 GiB pages exist */
	bool amd;
	bool ept_ad, exec_only;
};

struct ref_mem {
	uint8_t *bytes;
	const bool *backed, *readonly; /* by page */
	unsigned int nr_pages;
	unsigned int changes; /* counts up with each */
};

enum ref_code { REF_OK, REF_NOT_PRESENT, REF_RESERVED, REF_DENIED, REF_NO_MEMORY };

struct ref_step {
	int dim, level;
	uint64_t at; /* address of the entry in the space of its tables */
	uint64_t gpa; /* and in memory */
	uint64_t value;
};

struct ref_result {
	enum ref_code code;
	int dim; /* of the fault */
	bool table; /* it came while a guest table was read or marked */
	uint64_t error; /* x86: error code, with bits 32 and 33 in dimension 1 */
	uint64_t qual; /* EPT: bits 8:0 */
	uint64_t addr; /* faulting address in its dimension */
	uint64_t l2_gpa, gpa;
	/* x86: 1 executable, 2 writable, 4 user; EPT: 4 readable. OK only; of dimension 0 if there is one */
	int rights;
	int leaf_level;
	struct ref_step step[64];
	int nr_steps;
};

struct ref_access {
	bool write, fetch, user;
	bool rmw;
};

/*
 * Walks addr. second: the tables that translate guest-physical addresses, or NULL. Sets A and D in mem when
 * set_ad. The second stage alone: tables is second's and the access is made with `stage' (FINAL or PAGE of
 * the error code).
 */
void ref_walk(struct ref_mem *mem, const struct ref_tables *tables, const struct ref_tables *second,
	      uint64_t addr, const struct ref_access *access, bool set_ad, struct ref_result *ret);
/* The second stage alone: rwx as the CPU asks (1 read, 2 write, 4 fetch), page: for a guest table. */
void ref_walk_second(struct ref_mem *mem, const struct ref_tables *second, uint64_t addr, int rwx, bool page,
		     bool set_ad, struct ref_result *ret);
/* May x86 tables with these rights in force be accessed so? */
bool ref_x86_allowed(const struct ref_tables *t, bool user_page, bool writable, bool executable,
		     const struct ref_access *access);

#endif
