/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One pass over kallsyms: see sym.h. */
#include "sym/sym.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/guard.h"

#define BUF_BYTES (256 * 1024)

/* "ffffffffc0a12340 d kvm_vm_fops\t[kvm]". False for anything else. */
static bool line_parse(const char *s, const char *end, struct ms_kallsym *ret)
{
	const char *tab;
	uint64_t addr = 0;
	char type;

	for (; s < end && *s != ' '; s++) {
		unsigned int c = (unsigned char)*s;

		if (c >= '0' && c <= '9')
			addr = addr << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			addr = addr << 4 | (c - 'a' + 10);
		else
			return false;
	}
	if (end - s < 4 || s[2] != ' ')
		return false;
	type = s[1];
	s += 3;
	tab = memchr(s, '\t', (size_t)(end - s));
	*ret = (struct ms_kallsym){
		.addr = addr, .type = type, .name = s, .name_len = (size_t)((tab ? tab : end) - s)
	};
	if (tab && end - tab > 3 && tab[1] == '[' && end[-1] == ']') {
		ret->module = tab + 2;
		ret->module_len = (size_t)(end - 1 - ret->module);
	}
	return true;
}

/* The kernel's own symbols come first: a module's, met later, wins where one is wanted. */
static bool sym_takes(const struct ms_sym *sym, bool in_module, bool right_module)
{
	return in_module ? sym->module && right_module : !sym->addr;
}

void ms_sym_offer(struct ms_sym *syms, size_t nr, const char *name, const char *module, uint64_t addr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!strcmp(syms[i].name, name) &&
		    sym_takes(&syms[i], *module, syms[i].module && !strcmp(syms[i].module, module)))
			syms[i].addr = addr;
}

struct ms_err *ms_sym_hidden_err(const char *source)
{
	return ms_err_hint(
		ms_err_new(MS_ERR_TARGET, "symbols %s: the kernel hides every address", source),
		"CAP_SYSLOG is needed, and kernel.kptr_restrict must not be 2: see 'mmuscope doctor'");
}

static bool word_is(const char *word, size_t len, const char *want)
{
	return strlen(want) == len && !memcmp(word, want, len);
}

static void line_match(const struct ms_kallsym *line, struct ms_sym *syms, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (syms[i].name[0] != line->name[0] || !word_is(line->name, line->name_len, syms[i].name))
			continue;
		if (sym_takes(&syms[i], line->module,
			      line->module && syms[i].module &&
				      word_is(line->module, line->module_len, syms[i].module)))
			syms[i].addr = line->addr;
	}
}

struct ms_err *ms_kallsyms_each(const char *path, bool (*each)(void *ctx, const struct ms_kallsym *sym),
				void *ctx)
{
	MS_CLOSE int fd = -1;
	MS_FREE char *buf = malloc(BUF_BYTES);
	size_t have = 0;
	ssize_t got;

	if (!path)
		path = "/proc/kallsyms";
	if (!buf)
		return ms_err_nomem();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ms_err_errno(MS_ERR_TARGET, errno, "symbols %s", path);
	while ((got = read(fd, buf + have, BUF_BYTES - have)) != 0) {
		char *start = buf, *nl;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ms_err_errno(MS_ERR_TARGET, errno, "symbols %s", path);
		have += (size_t)got;
		while ((nl = memchr(start, '\n', have - (size_t)(start - buf)))) {
			struct ms_kallsym sym;

			if (line_parse(start, nl, &sym) && !each(ctx, &sym))
				return ms_err_nomem();
			start = nl + 1;
		}
		have -= (size_t)(start - buf);
		memmove(buf, start, have);
		if (have == BUF_BYTES)
			return ms_err_new(MS_ERR_TARGET, "symbols %s: a line longer than %d bytes", path,
					  BUF_BYTES);
	}
	return NULL;
}

struct end_of {
	uint64_t addr, next;
	bool any, begins;
};

/* In no order: modules' symbols are in that of their symbol tables. */
static bool end_each(void *ctx, const struct ms_kallsym *sym)
{
	struct end_of *end = ctx;

	end->any |= sym->addr != 0;
	if (!memchr("tTwW", sym->type, 4))
		return true;
	end->begins |= sym->addr == end->addr;
	if (sym->addr > end->addr && sym->addr - end->addr < MS_FUNCTION_MAX &&
	    (!end->next || sym->addr < end->next))
		end->next = sym->addr;
	return true;
}

struct ms_err *ms_sym_end(const char *path, uint64_t addr, uint64_t *end_ret)
{
	struct end_of end = { .addr = addr };
	struct ms_err *err = ms_kallsyms_each(path, end_each, &end);

	if (!err && !end.any)
		err = ms_sym_hidden_err(path ? path : "/proc/kallsyms");
	if (!err)
		*end_ret = end.begins ? end.next : 0;
	return err;
}

struct lookup {
	struct ms_sym *syms;
	size_t nr;
	bool any;
};

static bool lookup_each(void *ctx, const struct ms_kallsym *sym)
{
	struct lookup *lookup = ctx;

	lookup->any |= sym->addr != 0;
	line_match(sym, lookup->syms, lookup->nr);
	return true;
}

struct ms_err *ms_sym_lookup(const char *path, struct ms_sym *syms, size_t nr)
{
	struct lookup lookup = { .syms = syms, .nr = nr };
	struct ms_err *err;
	size_t i;

	for (i = 0; i < nr; i++)
		syms[i].addr = 0;
	err = ms_kallsyms_each(path, lookup_each, &lookup);
	if (!err && !lookup.any)
		err = ms_sym_hidden_err(path ? path : "/proc/kallsyms");
	return err;
}
