/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of the made-up host's records (fake.h): which break an invariant and no other, and which look
 * like it and are right. They are made of bit numbers, as fake.c makes its entries.
 */
#ifndef TESTS_UNIT_AUDITTRIPS_H
#define TESTS_UNIT_AUDITTRIPS_H

#include "fake.h"
#include "small.h"

#define ROW(n) (1ull << (n))

/* EPT 6.1, EPT 6.12, NPT 6.1, NPT 6.12, passthrough 6.1, passthrough 6.12. */
#define AUDIT_VARIANTS 6
/* Bits of struct audit_trip's on. */
enum audit_variant { EPT61 = 1, EPT612 = 2, NPT61 = 4, NPT612 = 8, PT61 = 16, PT612 = 32 };
#define EPT (EPT61 | EPT612)
#define PT (PT61 | PT612)
#define NPT (NPT61 | NPT612 | PT)
#define ALL (EPT | NPT)

extern const struct fake_opts audit_variants[AUDIT_VARIANTS];

struct audit_host {
	struct small records;
	bool ept, v61;
	bool listed; /* lists of SPTEs are there (auditlists.h) */
	struct ms_event events[8];
	size_t nr_events;
	bool no_events; /* the target keeps none */
	bool guest; /* guest tables are there (auditguest.h) */
};

/*
 * Ended by small_end(&h->records). Without lists and guest tables: a change may add wrong ones, whoever runs it adds
 * right ones else.
 */
void audit_host_init(struct audit_host *h, const struct fake_opts *opts);

/* Records to be changed; of VM 0 where they are a VM's. */
struct ms_rec_host *audit_host(struct audit_host *h);
struct ms_rec_vm *audit_vm(struct audit_host *h);
struct ms_rec_slot *audit_slot(struct audit_host *h, size_t i); /* of any VM, NULL behind the last */
struct ms_rec_sp *audit_page_of(struct audit_host *h, enum fake_page n);
struct ms_sp_tables *audit_tables(struct audit_host *h, enum fake_page n);
u64 *audit_spte(struct audit_host *h, enum fake_page n, u32 idx);
struct ms_rec_mmu *audit_mmu_of(struct audit_host *h, enum ms_mmu_which which); /* of the first vCPU */
u64 audit_bit_m(const struct audit_host *h); /* MMU-writable */

struct audit_trip {
	const char *what;
	u64 rows; /* ROW(n) of what is to be found; 0: nothing */
	u32 on; /* enum audit_variant */
	void (*change)(struct audit_host *h);
};

/* Each ended by one without what. */
extern const struct audit_trip audit_trips[], audit_list_trips[], audit_event_trips[], audit_guest_trips[],
	audit_pin_trips[], audit_more_trips[];
/* All of them, ended by NULL. */
extern const struct audit_trip *const audit_trip_tables[];

#endif
