/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LAB_KMOD_CTL_NMMU_H
#define TESTS_LAB_KMOD_CTL_NMMU_H

/* How many came to something else than they must; each is printed. */
int ctl_nmmu(void);

/* An instance with a vCPU; -errno. It ends with the file. */
int ctl_nmmu_make(int fd);

#endif
