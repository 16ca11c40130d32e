/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LAB_KMOD_CTL_NMMU_H
#define TESTS_LAB_KMOD_CTL_NMMU_H

/* How many came to something else than they must; each is printed. */
int ctl_nmmu(void);

#endif
