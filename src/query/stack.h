/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel stacks of events as words. */
#ifndef QUERY_STACK_H
#define QUERY_STACK_H

#include "query/query.h"

struct ms_symtab;
struct ms_lines;
struct stacks;

/*
 * kallsyms: NULL for the running kernel's, whose debug information is looked for, too. What is not found is left out of
 * the words, and stacks_note() says so.
 */
struct ms_err *stacks_create(struct ms_listener *l, const char *kallsyms, bool redact,
			     struct stacks **ret) MS_MUST_CHECK;
void stacks_destroy(struct stacks *stacks); /* takes NULL */
/* "" when nothing is missing. */
const char *stacks_note(const struct stacks *stacks);
/*
 * How many of the innermost frames are the listening's own: its program's and what called that, which KVM's function
 * has no part in. By their names: those of programs and their trampolines, or none at all; when that is all there is,
 * none.
 */
size_t stack_own(const struct ms_symtab *symtab, const u64 *ips, size_t nr);
/*
 * For struct ms_event_show; ctx is a struct stacks. The cell: words, without the listening's own frames; the one behind
 * it: every address as the kernel gave it, unless they are to be hidden. Leaves both absent when the stack was lost.
 */
void stacks_cell(void *ctx, const struct ms_event *event, struct ms_cell *cell);
/*
 * "kvm:mark_page_dirty+0x1f@virt/kvm/kvm_main.c:3400", as far as it is known; symtab and lines may be NULL. Returns
 * whether there is a line.
 */
bool stack_word(const struct ms_symtab *symtab, struct ms_lines *lines, u64 addr, bool innermost, bool redact,
		struct ms_buf *ret);

#endif
