/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command and option tables, the nearest name to a misspelt one, and completion. */
#include "query/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"

const struct ms_option ms_options[MS_NR_OPTS] = {
#define MS_OPTION(id, name, letter, arg, help) [MS_OPT_##id] = { name, letter, arg, help },
#include "query/options.def"
#undef MS_OPTION
};

#define T MS_CMD_TARGET
#define V MS_CMD_VM
#define C MS_CMD_CLI
#define F MS_CMD_FILE
#define L MS_CMD_LIST
#define S MS_CMD_LISTEN
/* What all commands of these flags take. */
#define SHARED_OPTS(flags)                                                                \
	(((flags)&C ? MS_OPTS_HELP : MS_OPTS_OUTPUT) | ((flags)&T ? MS_OPTS_TARGET : 0) | \
	 ((flags)&V ? 1ull << MS_OPT_VM : 0))
const struct ms_command ms_commands[MS_NR_CMDS] = {
#define MS_COMMAND(id, args, min, max, want, flags, opts, summary, detail) \
	[MS_CMD_ID_##id] = { #id, args, min, max, want, flags, SHARED_OPTS(flags) | (opts), summary, detail },
#include "query/commands.def"
#undef MS_COMMAND
};
#undef SHARED_OPTS
#undef T
#undef V
#undef C
#undef F
#undef L
#undef S

const struct ms_command *ms_command_find(const char *name)
{
	size_t i;

	for (i = 0; i < MS_NR_CMDS; i++)
		if (!strcmp(ms_commands[i].name, name))
			return &ms_commands[i];
	return NULL;
}

#define NAME_MAX_LEN 24

/* Levenshtein's distance; names are short. */
static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), i, j, up, diag, best;
	size_t line[NAME_MAX_LEN + 1];

	if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	for (j = 0; j <= lb; j++)
		line[j] = j;
	for (i = 1; i <= la; i++) {
		diag = line[0];
		line[0] = i;
		for (j = 1; j <= lb; j++) {
			up = line[j];
			best = diag + (a[i - 1] != b[j - 1]);
			if (up + 1 < best)
				best = up + 1;
			if (line[j - 1] + 1 < best)
				best = line[j - 1] + 1;
			line[j] = best;
			diag = up;
		}
	}
	return line[lb];
}

/* Of the names that name_at() has, NULL behind the last. */
static const char *name_nearest(const char *name, const char *(*name_at)(size_t i))
{
	size_t i, d, best = NAME_MAX_LEN;
	const char *nearest = NULL, *at;

	for (i = 0; (at = name_at(i)); i++) {
		d = distance(name, at);
		/* A beginning of a name means that name. */
		if (*name && !strncmp(name, at, strlen(name)))
			d = 1;
		if (d < best) {
			best = d;
			nearest = at;
		}
	}
	return best <= 1 + strlen(name) / 3 ? nearest : NULL;
}

static const char *command_name_at(size_t i)
{
	return i < MS_NR_CMDS ? ms_commands[i].name : NULL;
}

const char *ms_command_nearest(const char *name)
{
	return name_nearest(name, command_name_at);
}

static const char *event_name_at(size_t i)
{
	return i + 1 < MS_EV_NR ? ms_event_name((u32)i + 1) : NULL;
}

const char *event_nearest(const char *word, size_t len)
{
	char name[NAME_MAX_LEN + 1];

	if (len >= sizeof(name))
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)len, word);
	return name_nearest(name, event_name_at);
}

struct candidates {
	const char **ret;
	size_t nr, max;
	const char *prefix;
};

static void candidate(struct candidates *c, const char *word)
{
	if (c->nr < c->max && !strncmp(word, c->prefix, strlen(c->prefix)))
		c->ret[c->nr++] = word;
}

static void candidates_of_option(struct candidates *c, enum ms_opt_id opt)
{
	static const char *const colors[] = { "auto", "always", "never", NULL };
	static const char *const layouts[] = { "page", "cpu", NULL };
	const char *const *words = NULL;
	struct ms_event_desc event;
	u32 which;
	size_t i;

	if (opt == MS_OPT_MMU)
		for (which = 0; which <= MS_MMU_NESTED; which++)
			candidate(c, ms_mmu_name(which));
	if (opt == MS_OPT_FORMAT)
		for (i = 0; i < SPTE_NR_PROFILES; i++)
			candidate(c, spte_profile_at((unsigned int)i)->name);
	if (opt == MS_OPT_STATE)
		for (i = 0; state_name_at(i); i++)
			candidate(c, state_name_at(i));
	if (opt == MS_OPT_TARGET)
		for (i = 0; ms_target_list[i]; i++)
			candidate(c, ms_target_list[i]->name);
	if (opt == MS_OPT_EVENT)
		for (i = 1; ms_event_desc((u32)i, &event); i++)
			candidate(c, event.name);
	if (opt == MS_OPT_COLOR)
		words = colors;
	if (opt == MS_OPT_LAYOUT)
		words = layouts;
	for (i = 0; words && words[i]; i++)
		candidate(c, words[i]);
}

/* The option that a word names, MS_NR_OPTS when it is none. */
static enum ms_opt_id option_of_word(const char *word, size_t len)
{
	unsigned int i;

	for (i = 0; i < MS_NR_OPTS; i++)
		if ((len == strlen(ms_options[i].name) + 2 && !strncmp(word, "--", 2) &&
		     !strncmp(word + 2, ms_options[i].name, len - 2)) ||
		    (len == 2 && word[0] == '-' && word[1] == ms_options[i].letter && word[1]))
			return (enum ms_opt_id)i;
	return MS_NR_OPTS;
}

/* "--name" for each option, for completion wants whole words. */
static const char *const option_words[MS_NR_OPTS] = {
#define MS_OPTION(id, name, letter, arg, help) [MS_OPT_##id] = "--" name,
#include "query/options.def"
#undef MS_OPTION
};

size_t ms_query_complete(const char *line, const char **ret, size_t max, size_t *word_start_ret)
{
	static const char *const topics[] = { "options", "states", "role", "formats", "exit" };
	struct candidates c = { .ret = ret, .max = max };
	const struct ms_command *command = NULL;
	enum ms_opt_id opt = MS_NR_OPTS;
	size_t at = 0, start = 0, len, i;

	/*
	 * Walk the words before the last: the first that is no option nor an option's argument is the
	 * command.
	 */
	for (;;) {
		at += strspn(line + at, " \t");
		start = at;
		len = strcspn(line + at, " \t");
		at += len;
		if (!line[at])
			break;
		if (opt != MS_NR_OPTS && ms_options[opt].arg) {
			opt = MS_NR_OPTS;
			continue;
		}
		opt = line[start] == '-' ? option_of_word(line + start, len) : MS_NR_OPTS;
		for (i = 0; line[start] != '-' && !command && i < MS_NR_CMDS; i++)
			if (strlen(ms_commands[i].name) == len &&
			    !strncmp(ms_commands[i].name, line + start, len))
				command = &ms_commands[i];
	}
	c.prefix = line + start;
	*word_start_ret = start;
	if (opt != MS_NR_OPTS && ms_options[opt].arg) {
		candidates_of_option(&c, opt);
		return c.nr;
	}
	if (line[start] == '-') {
		for (i = 0; i < MS_NR_OPTS; i++)
			if (!command || command->opts & 1ull << i)
				candidate(&c, option_words[i]);
		return c.nr;
	}
	if (command && strcmp(command->name, "help"))
		return 0;
	for (i = 0; i < MS_NR_CMDS; i++)
		candidate(&c, ms_commands[i].name);
	for (i = 0; command && i < MS_LEN(topics); i++)
		candidate(&c, topics[i]);
	return c.nr;
}
