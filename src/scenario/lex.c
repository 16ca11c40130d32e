/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line of a scenario into words. Knows no word by name. */
#include "scenario/lang.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Length of the operator that begins at s, 0: none. */
static u32 op_len(const char *s, const char *end)
{
	if (s < end && *s == '=')
		return 1;
	if (s + 1 < end && s[1] == '=' && (*s == '!' || *s == '<' || *s == '>'))
		return 2;
	return 0;
}

/* The part of a word that ends at blanks; an operator inside it is part of it. */
static const char *skip_word(const char *s, const char *end)
{
	while (s < end && !is_blank(*s) && *s != '#')
		s++;
	return s;
}

static const char *skip_blanks(const char *s, const char *end)
{
	while (s < end && is_blank(*s))
		s++;
	return s;
}

int lex_line(const char *line, size_t len, struct word *words, u32 max)
{
	const char *s = line, *end = line + len, *start, *next;
	u32 nr = 0;

	for (;;) {
		s = skip_blanks(s, end);
		if (s == end || *s == '#')
			return (int)nr;
		start = s;
		s = skip_word(s, end);
		/*
		 * `a = 1' and `a =1' and `a= 1' are one word: blanks inside are skipped when it is taken
		 * apart.
		 */
		for (;;) {
			next = skip_blanks(s, end);
			if (op_len(next, end))
				s = skip_word(next, end);
			else if (next > s && s > start && s[-1] == '=')
				s = skip_word(next, end);
			else
				break;
			if (next == end || *next == '#')
				break;
		}
		if (nr == max)
			return -1;
		words[nr].s = start;
		words[nr].len = (u32)(s - start);
		words[nr++].col = (u32)(start - line) + 1;
	}
}

bool list_at(const char *list, char sep, u32 i, struct word *ret)
{
	const char *end;

	for (;; list = end + 1) {
		while (sep == ' ' && *list == ' ')
			list++;
		if (!*list)
			return false;
		end = strchr(list, sep);
		if (!end)
			end = list + strlen(list);
		if (!i--)
			break;
		if (!*end)
			return false;
	}
	*ret = (struct word){ .s = list, .len = (u32)(end - list) };
	return true;
}

bool list_has(const char *list, const char *word)
{
	struct word at;
	u32 i;

	for (i = 0; list_at(list, ' ', i, &at); i++)
		if (word_is(at, word))
			return true;
	return false;
}
