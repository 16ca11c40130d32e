/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel stacks of events as words: function, offset, module, and the source line where debug information is there. */
#include "query/stack.h"

#include <stdlib.h>
#include <string.h>

#include "query/private.h"
#include "sym/sym.h"

struct stacks {
	struct ms_listener *l;
	bool redact;
	struct ms_symtab *symtab; /* NULL: addresses have no names */
	struct ms_lines *lines; /* NULL: no debug information */
	bool any, any_line; /* were met, and with a line */
	char note[512];
};

static void note_err(struct stacks *s, const char *what, struct ms_err *err)
{
	const char *hint = ms_err_hint_text(err);

	if (!*s->note)
		snprintf(s->note, sizeof(s->note), "stacks %s: %s%s%s", what, ms_err_text(err),
			 hint ? ": " : "", hint ? hint : "");
	ms_err_free(err);
}

struct ms_err *stacks_create(struct ms_listener *l, const char *kallsyms, bool redact, struct stacks **ret)
{
	struct stacks *s = calloc(1, sizeof(*s));
	struct ms_err *err;

	if (!s)
		return ms_err_nomem();
	s->l = l;
	s->redact = redact;
	err = ms_symtab_load(kallsyms, &s->symtab);
	if (err) {
		s->symtab = NULL;
		note_err(s, "without names", err);
	}
	err = kallsyms ? NULL : ms_lines_open_kernel(&s->lines);
	if (err) {
		s->lines = NULL;
		note_err(s, "without lines", err);
	}
	*ret = s;
	return NULL;
}

void stacks_destroy(struct stacks *stacks)
{
	if (!stacks)
		return;
	ms_symtab_destroy(stacks->symtab);
	ms_lines_close(stacks->lines);
	free(stacks);
}

const char *stacks_note(const struct stacks *stacks)
{
	if (*stacks->note || !stacks->any || stacks->any_line)
		return stacks->note;
	return "stacks without lines: no debug information of this kernel is found";
}

/* A word has no blanks. */
static void put_joined(struct ms_buf *out, const char *text)
{
	for (; *text; text++)
		ms_buf_putc(out, *text == ' ' ? '_' : *text);
}

/* What lies behind the last directory but one: enough to find it in a source tree. */
static const char *short_path(const char *file)
{
	const char *at = file + strlen(file);
	int slashes = 0;

	for (; at > file; at--)
		if (at[-1] == '/' && ++slashes == 3)
			break;
	return at;
}

bool stack_word(const struct ms_symtab *symtab, struct ms_lines *lines, u64 addr, bool innermost, bool redact,
		struct ms_buf *ret)
{
	struct ms_place place;
	const char *file;
	int line;

	if (symtab && ms_symtab_find(symtab, addr, &place)) {
		if (*place.module) {
			put_joined(ret, place.module);
			ms_buf_putc(ret, ':');
		}
		put_joined(ret, place.name);
		ms_buf_printf(ret, "+0x%llx", (unsigned long long)place.offset);
	} else if (redact) {
		ms_buf_puts(ret, "hidden");
	} else {
		ms_buf_printf(ret, "0x%llx", (unsigned long long)addr);
	}
	/* A caller's address is that of what is to be done next. */
	if (!lines || !ms_lines_find(lines, innermost ? addr : addr - 1, &file, &line))
		return false;
	ms_buf_putc(ret, '@');
	put_joined(ret, short_path(file));
	ms_buf_printf(ret, ":%d", line);
	return true;
}

size_t stack_own(const struct ms_symtab *symtab, const u64 *ips, size_t nr)
{
	static const char *const own[] = { "bpf_prog_", "bpf_trampoline_", "bpf_dispatcher_",
					   "ftrace_trampoline" };
	struct ms_place place;
	size_t i, k;

	for (i = 0; symtab && i < nr; i++) {
		if (!ms_symtab_find(symtab, ips[i], &place))
			continue;
		for (k = 0; k < MS_LEN(own); k++)
			if (!strncmp(place.name, own[k], strlen(own[k])))
				break;
		if (k == MS_LEN(own))
			return i;
	}
	return 0;
}

void stacks_cell(void *ctx, const struct ms_event *event, struct ms_cell *cell)
{
	struct stacks *s = ctx;
	struct ms_cell *at = cell;
	u64 ips[MS_STACK_MAX];
	size_t nr = ms_listen_stack(s->l, event->stack, ips, MS_STACK_MAX), first, i;

	if (!nr)
		return;
	first = stack_own(s->symtab, ips, nr);
	cell = cell_words(&at);
	for (i = first; i < nr; i++) {
		if (i > first)
			ms_buf_putc(&cell->text, ' ');
		s->any_line |= stack_word(s->symtab, s->lines, ips[i], i == first, s->redact, &cell->text);
	}
	s->any = true;
	if (s->redact)
		return;
	cell = cell_words(&at);
	for (i = 0; i < nr; i++)
		ms_buf_printf(&cell->text, "%s0x%llx", i ? " " : "", (unsigned long long)ips[i]);
}
