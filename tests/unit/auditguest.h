/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's tables that go with the made-up host's shadow pages, in the guest's format by bit numbers, and ways to
 * have them or the shadow pages wrong.
 */
#ifndef TESTS_UNIT_AUDITGUEST_H
#define TESTS_UNIT_AUDITGUEST_H

#include "audittrips.h"

/*
 * A table for each page of VM 0 that shadows one and is confirmed: every entry of the lowest level maps with all
 * rights, accessed and dirty; above, what is a leaf in the shadow page is one, all else leads to a table.
 */
void audit_guest_add(struct audit_host *h);
/* The table of a page, once they are there. */
struct ms_rec_gtable *audit_gtable(struct audit_host *h, enum fake_page n);

#endif
