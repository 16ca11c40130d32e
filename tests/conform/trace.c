// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads a trace. Every line is split once; keys are asked for by name, so their order does not matter.
 */
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_KEYS 5

/* The keys of each kind in the order of a, b, c, d, e. */
static const struct form {
	const char *word;
	const char *key[NR_KEYS];
} forms[TR_NR_KINDS] = {
	[TR_SLOT] = { "slot", { "id", "gfn", "npages", "flags", "hva" } },
	[TR_BACK] = { "back", { "gfn", "npages", "level", "pfn" } },
	[TR_LIMIT] = { "limit", { "nr_mmu_pages" } },
	[TR_REGS] = { "regs", { "cr0", "cr3", "cr4", "efer" } },
	[TR_PAGE] = { "page", { "gfn" } },
	[TR_STORE] = { "store", { "gpa", "len", "value" } },
	[TR_CHECKPOINT] = { "checkpoint", { "n" } },
	[TR_END] = { "end", { "checkpoint" } },
	[TR_L2] = { "l2", { "cr3" } },
	[TR_DIRTYGET] = { "dirtyget", { "slot" } },
	[TR_FAULT] = { "fault", { "addr", "err", "rip" } },
	[TR_VMRUN] = { "vmrun", { "npt", "pgd" } },
	[TR_VMEXIT] = { "vmexit", { NULL, "info1", "info2" } },
	[TR_WRITE] = { "write", { "gpa", "len", "value" } },
	[TR_CR] = { "cr", { "n", "value" } },
	[TR_EFER] = { "efer", { "value" } },
	[TR_INVLPG] = { "invlpg", { "addr" } },
	[TR_SAW] = { "saw", { NULL } },
};

/* The value of "key=" among the words of a line, up to the next space; NULL without it. */
static const char *value_of(const char *line, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = strchr(line, ' '); p; p = strchr(p + 1, ' '))
		if (!strncmp(p + 1, key, n) && p[1 + n] == '=')
			return p + n + 2;
	return NULL;
}

static bool number(const char *text, u64 *ret)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 0);
	return !errno && (!*end || *end == ' ');
}

static bool text(const char *line, const char *key, char *ret, size_t size)
{
	const char *v = value_of(line, key);
	size_t n = v ? strcspn(v, " ") : 0;

	if (!n || n >= size)
		return false;
	memcpy(ret, v, n);
	ret[n] = 0;
	return true;
}

static bool page_words(const char *line, u64 **ret)
{
	const char *p = strchr(line, ' ');
	u64 *words = calloc(512, sizeof(*words));
	char *end;

	for (p = p ? strchr(p + 1, ' ') : NULL; words && p; p = strchr(p + 1, ' ')) {
		unsigned long i = strtoul(p + 1, &end, 10);

		if (end == p + 1 || *end != ':' || i >= 512 || !number(end + 1, &words[i])) {
			free(words);
			return false;
		}
	}
	*ret = words;
	return words;
}

static bool event_parse(const char *line, struct tr_event *ev)
{
	u64 *to[NR_KEYS] = { &ev->a, &ev->b, &ev->c, &ev->d, &ev->e };
	const struct form *form = &forms[ev->kind];

	for (int i = 0; i < NR_KEYS; i++)
		if (form->key[i] && !number(value_of(line, form->key[i]), to[i]))
			return false;
	switch (ev->kind) {
	case TR_PAGE:
	case TR_DIRTYGET:
		return page_words(line, &ev->words);
	case TR_STORE:
	case TR_WRITE:
		return ev->b >= 1 && ev->b <= 8;
	case TR_SAW:
		ev->text = line + strlen("saw") + (line[strlen("saw")] == ' ');
		return true;
	case TR_VMEXIT:
		ev->text = value_of(line, "reason");
		return ev->text;
	default:
		return true;
	}
}

static int kind_of(const char *line)
{
	size_t n = strcspn(line, " ");

	for (int k = 0; k < TR_NR_KINDS; k++)
		if (strlen(forms[k].word) == n && !strncmp(line, forms[k].word, n))
			return k;
	return -1;
}

static bool run_parse(const char *line, struct trace *t)
{
	char npt[4], tdp_mmu[4];
	u64 bits;

	if (!text(line, "kernel", t->kernel, sizeof(t->kernel)) ||
	    !text(line, "mode", t->mode, sizeof(t->mode)) ||
	    !text(line, "paging", t->paging, sizeof(t->paging)) || !text(line, "npt", npt, sizeof(npt)) ||
	    !text(line, "tdp_mmu", tdp_mmu, sizeof(tdp_mmu)) || !number(value_of(line, "seed"), &t->seed) ||
	    !number(value_of(line, "phys_bits"), &bits) || bits < 32 || bits > 52)
		return false;
	t->npt = *npt == 'Y' || *npt == '1';
	t->tdp_mmu = t->npt && (*tdp_mmu == 'Y' || *tdp_mmu == '1');
	t->phys_bits = bits;
	return true;
}

static char *file_read(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t size = 0, n, max = 1 << 20;
	char *buf = f ? malloc(max) : NULL, *more;

	while (buf && (n = fread(buf + size, 1, max - 1 - size, f)) > 0) {
		size += n;
		if (size < max - 1)
			continue;
		max *= 2;
		more = realloc(buf, max);
		if (!more)
			free(buf);
		buf = more;
	}
	if (buf)
		buf[size] = 0;
	if (f)
		fclose(f);
	return buf;
}

static struct ms_err *lines_parse(const char *path, struct trace *t)
{
	size_t max = 0, complete = 0;
	u32 nr_line = 0;
	char *next;
	int kind;

	for (char *line = t->buf; *line; line = next) {
		struct tr_event *more;

		nr_line++;
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (nr_line == 1) {
			if (strcmp(line, "mmuscope-trace 1"))
				return ms_err_new(MS_ERR_TARGET, "%s: not a trace of format 1", path);
			continue;
		}
		if (!strncmp(line, "run ", 4)) {
			if (!run_parse(line, t))
				return ms_err_new(MS_ERR_TARGET, "%s:%u: bad `run'", path, nr_line);
			continue;
		}
		kind = kind_of(line);
		if (kind < 0)
			continue;
		if (t->nr == max) {
			max = max ? 2 * max : 1024;
			more = reallocarray(t->events, max, sizeof(*more));
			if (!more)
				return ms_err_nomem();
			t->events = more;
		}
		t->events[t->nr] = (struct tr_event){ .kind = kind, .line = nr_line };
		if (!event_parse(line, &t->events[t->nr]))
			return ms_err_new(MS_ERR_TARGET, "%s:%u: bad `%s'", path, nr_line, forms[kind].word);
		t->nr++;
		if (kind == TR_END)
			t->checkpoint = t->events[t->nr - 1].a;
		/* What the VMM does while the guest is held comes before whoever looks at it. */
		if (kind == TR_END || (kind == TR_DIRTYGET && complete == t->nr - 1))
			complete = t->nr;
	}
	if (!complete || !*t->kernel)
		return ms_err_new(MS_ERR_TARGET, "%s: cut off: no complete checkpoint", path);
	while (t->nr > complete)
		free(t->events[--t->nr].words);
	return NULL;
}

struct ms_err *trace_read(const char *path, struct trace **ret)
{
	struct trace *t = calloc(1, sizeof(*t));
	struct ms_err *err;

	if (!t)
		return ms_err_nomem();
	t->buf = file_read(path);
	if (!t->buf) {
		trace_destroy(t);
		return ms_err_new(MS_ERR_TARGET, "%s: %s", path, strerror(errno));
	}
	err = lines_parse(path, t);
	if (err) {
		trace_destroy(t);
		return err;
	}
	*ret = t;
	return NULL;
}

void trace_destroy(struct trace *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->nr; i++)
		free(t->events[i].words);
	free(t->events);
	free(t->buf);
	free(t);
}
