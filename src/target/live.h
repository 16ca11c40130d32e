/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel symbols through the BPF iterator over them; part of the live target, apart so that it can be tested
 * without a kernel. */
#ifndef TARGET_LIVE_H
#define TARGET_LIVE_H

#include "abi/kread.h"
#include "base/err.h"
#include "sym/sym.h"

/* Set the bits by which the kernel side recognises the names of syms: MS_KSYM_BITS of them, from zero. */
void ms_ksyms_want(const struct ms_sym *syms, size_t nr, u64 *bitmap);
/*
 * Read the struct ms_ksym records of an iterator to their end and fill in syms as ms_sym_lookup() does. fd
 * stays the caller's. When no record has an address the kernel hides them, which is an error; so is an end
 * within a record.
 */
struct ms_err *ms_ksyms_read(int fd, struct ms_sym *syms, size_t nr) MS_MUST_CHECK;

#endif
