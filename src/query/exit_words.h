/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What faults and exits of a guest say in numbers, in words: error codes, exit reasons, qualifications. Words hold no
 * blank; several are joined by commas. The number is the caller's to show: words leave out what they have no name for.
 */
#ifndef QUERY_EXIT_WORDS_H
#define QUERY_EXIT_WORDS_H

#include "abi/event.h"
#include "base/buf.h"

#define REASON_VIOLATION 48 /* EPT violation, on VMX */
#define REASON_NPF 0x400 /* on SVM */

/* Bits 2:0 as read, write and fetch, joined by `+'; "nothing" where none is set. */
void access_words(u64 bits, struct ms_buf *ret);
/* PFERR bits: "present,write,user". What neither writes nor fetches reads. */
void pferr_words(u64 error, struct ms_buf *ret);
/* Of an EPT violation: "tried:write,granted:read,translation" (SDM, exit qualification for EPT violations). */
void ept_qual_words(u64 qual, struct ms_buf *ret);
/* hv: enum ms_hv; NULL: it has no name for this. */
const char *exit_reason_name(u32 hv, u64 reason);

/* For a field of an event; nothing is appended where there are no words for it. */
void event_exit_words(u32 hv, const struct ms_event *event, u32 unit, u64 value, struct ms_buf *ret);

#endif
