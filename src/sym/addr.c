/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All symbols of code by address: see sym.h. */
#include "sym/sym.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/guard.h"

struct symbol {
	uint64_t addr;
	uint32_t name, module; /* offsets into text; module 0: the kernel itself */
};

struct ms_symtab {
	struct symbol *syms; /* by address */
	size_t nr, cap;
	char *text; /* names, each ends with 0; the first is "" */
	size_t len, text_cap;
	uint32_t last_module;
};

static bool text_add(struct ms_symtab *t, const char *s, size_t len, uint32_t *ret)
{
	char *grown = ms_grow(t->text, &t->text_cap, t->len + len + 1, 1);

	if (!grown || t->len > UINT32_MAX - len - 1)
		return false;
	t->text = grown;
	memcpy(grown + t->len, s, len);
	grown[t->len + len] = '\0';
	*ret = (uint32_t)t->len;
	t->len += len + 1;
	return true;
}

/* Those of a module stand together. */
static bool module_add(struct ms_symtab *t, const struct ms_kallsym *k, uint32_t *ret)
{
	const char *last = t->text + t->last_module;

	*ret = 0;
	if (!k->module_len)
		return true;
	if (strlen(last) != k->module_len || memcmp(last, k->module, k->module_len))
		if (!text_add(t, k->module, k->module_len, &t->last_module))
			return false;
	*ret = t->last_module;
	return true;
}

static bool add(void *ctx, const struct ms_kallsym *k)
{
	struct ms_symtab *t = ctx;
	struct symbol sym = { .addr = k->addr };
	struct symbol *grown;

	if (!k->addr || !memchr("tTwW", k->type, 4))
		return true;
	grown = ms_grow(t->syms, &t->cap, t->nr + 1, sizeof(*grown));
	if (!grown)
		return false;
	t->syms = grown;
	if (!text_add(t, k->name, k->name_len, &sym.name) || !module_add(t, k, &sym.module))
		return false;
	grown[t->nr++] = sym;
	return true;
}

static int by_addr(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	/* Of several at one address the first in the file. */
	return x->addr != y->addr ? (x->addr < y->addr ? -1 : 1) : x->name < y->name ? -1 : x->name > y->name;
}

struct ms_err *ms_symtab_load(const char *path, struct ms_symtab **ret)
{
	struct ms_symtab *t = calloc(1, sizeof(*t));
	struct ms_err *err;
	uint32_t empty;

	if (!t || !text_add(t, "", 0, &empty)) {
		ms_symtab_destroy(t);
		return ms_err_nomem();
	}
	err = ms_kallsyms_each(path, add, t);
	if (!err && !t->nr)
		err = ms_sym_hidden_err(path ? path : "/proc/kallsyms");
	if (err) {
		ms_symtab_destroy(t);
		return err;
	}
	qsort(t->syms, t->nr, sizeof(*t->syms), by_addr);
	*ret = t;
	return NULL;
}

void ms_symtab_destroy(struct ms_symtab *symtab)
{
	if (!symtab)
		return;
	free(symtab->syms);
	free(symtab->text);
	free(symtab);
}

bool ms_symtab_find(const struct ms_symtab *symtab, uint64_t addr, struct ms_place *ret)
{
	size_t low = 0, high = symtab->nr, mid;
	uint64_t start;

	/* The last one that begins at or below addr is low - 1. */
	while (low < high) {
		mid = low + (high - low) / 2;
		if (symtab->syms[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || addr - symtab->syms[low - 1].addr >= MS_FUNCTION_MAX)
		return false;
	start = symtab->syms[--low].addr;
	while (low && symtab->syms[low - 1].addr == start)
		low--;
	*ret = (struct ms_place){ .name = symtab->text + symtab->syms[low].name,
				  .module = symtab->text + symtab->syms[low].module,
				  .offset = addr - start };
	return true;
}
