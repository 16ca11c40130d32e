/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers of a scenario: 0x1f, 12, names, TABLE (its root), TABLE[ADDRESS] and TABLE[ADDRESS@LEVEL] (where
 * the entry lies), + - * | and brackets. A word holds no blanks, so neither does an expression.
 */
#include "scenario/lang.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct parser {
	const struct expr_env *env;
	const char *start, *s, *end;
	u32 col;
	u32 depth;
	struct expr_error *err;
};

static const struct {
	const char *name;
	u64 value;
} constants[] = {
	{ "npf", 0x400 },
	{ "none", ~0ULL },
};

static int MS_PRINTF(2, 3) fail(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->err->text, sizeof(p->err->text), fmt, ap);
	va_end(ap);
	p->err->col = p->col + (u32)(p->s - p->start);
	return -1;
}

static bool is_name(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

const struct name *name_find(const struct ms_scenario *scenario, u32 stmt, struct word word)
{
	u32 i;

	for (i = 0; i < scenario->nr_names; i++) {
		const struct name *name = &scenario->names[i];

		if (name->stmt < stmt && name->word.len == word.len &&
		    !memcmp(name->word.s, word.s, word.len))
			return name;
	}
	return NULL;
}

static int parse_number(struct parser *p, u64 *ret)
{
	u64 base = 10, digit;

	*ret = 0;
	if (p->end - p->s > 2 && p->s[0] == '0' && (p->s[1] == 'x' || p->s[1] == 'X')) {
		base = 16;
		p->s += 2;
	}
	for (; p->s < p->end; p->s++) {
		if (*p->s >= '0' && *p->s <= '9')
			digit = (u64)(*p->s - '0');
		else if (*p->s >= 'a' && *p->s <= 'f')
			digit = (u64)(*p->s - 'a') + 10;
		else if (*p->s >= 'A' && *p->s <= 'F')
			digit = (u64)(*p->s - 'A') + 10;
		else if (*p->s == '_' && p->s[-1] != 'x')
			continue;
		else
			break;
		if (digit >= base)
			return fail(p, "not a digit of this number");
		if (*ret > (~0ULL - digit) / base)
			return fail(p, "the number has more than 64 bits");
		*ret = *ret * base + digit;
	}
	if (p->s < p->end && is_name(*p->s, true))
		return fail(p, "not a digit of this number");
	return 0;
}

static int parse_sum(struct parser *p, u64 *ret);

static int expect_char(struct parser *p, char c)
{
	if (p->s == p->end || *p->s != c)
		return fail(p, "a '%c' is missing", c);
	p->s++;
	return 0;
}

static int eval_entry(struct parser *p, u32 table, u64 addr, u32 level, u64 *ret)
{
	*ret = 0;
	if (p->env->no_tables)
		return fail(p, "where a table lies is known only where it is used");
	if (!p->env->entry)
		return 0;
	if (p->env->entry(p->env->ctx, table, addr, level, ret))
		return fail(p, "0x%llx has no entry at level %u of it: a table on the way is missing",
			    (unsigned long long)addr, level);
	return 0;
}

static int parse_table(struct parser *p, u32 table, u64 *ret)
{
	u64 addr, level = 1;

	if (p->s == p->end || *p->s != '[')
		return eval_entry(p, table, 0, 0, ret);
	p->s++;
	if (parse_sum(p, &addr))
		return -1;
	if (p->s < p->end && *p->s == '@') {
		p->s++;
		if (parse_sum(p, &level))
			return -1;
		if (level < 1 || level > 5)
			return fail(p, "a level is 1 to 5");
	}
	if (expect_char(p, ']'))
		return -1;
	return eval_entry(p, table, addr, (u32)level, ret);
}

static int parse_term(struct parser *p, u64 *ret)
{
	struct word word = { .s = p->s };
	const struct name *name;
	size_t i;

	if (p->s == p->end)
		return fail(p, "a number is missing");
	if (*p->s == '(') {
		p->s++;
		if (parse_sum(p, ret))
			return -1;
		return expect_char(p, ')');
	}
	if (*p->s >= '0' && *p->s <= '9')
		return parse_number(p, ret);
	if (!is_name(*p->s, true))
		return fail(p, "a number or name is missing");
	while (p->s + word.len < p->end && is_name(p->s[word.len], !word.len))
		word.len++;
	name = name_find(p->env->scenario, p->env->stmt, word);
	if (name) {
		p->s += word.len;
		if (name->table)
			return parse_table(p, (u32)name->value, ret);
		*ret = name->value;
		return 0;
	}
	for (i = 0; i < LEN(constants); i++)
		if (word_is(word, constants[i].name)) {
			p->s += word.len;
			*ret = constants[i].value;
			return 0;
		}
	return fail(p, "no name '%.*s' is known here", (int)(word.len < 40 ? word.len : 40), word.s);
}

static int parse_product(struct parser *p, u64 *ret)
{
	u64 right;

	if (parse_term(p, ret))
		return -1;
	while (p->s < p->end && *p->s == '*') {
		p->s++;
		if (parse_term(p, &right))
			return -1;
		*ret *= right;
	}
	return 0;
}

/* + - | from left to right. Wraps around at 64 bits, as addresses do. */
static int parse_sum(struct parser *p, u64 *ret)
{
	u64 right;
	char op;

	if (++p->depth > EXPR_MAX_DEPTH)
		return fail(p, "more than %d brackets in each other", EXPR_MAX_DEPTH);
	if (parse_product(p, ret))
		return -1;
	while (p->s < p->end && (*p->s == '+' || *p->s == '-' || *p->s == '|')) {
		op = *p->s++;
		if (parse_product(p, &right))
			return -1;
		*ret = op == '+' ? *ret + right : op == '-' ? *ret - right : *ret | right;
	}
	p->depth--;
	return 0;
}

int expr_eval(const struct expr_env *env, struct word word, u64 *ret, struct expr_error *err)
{
	struct parser p = {
		.env = env,
		.start = word.s,
		.s = word.s,
		.end = word.s + word.len,
		.col = word.col,
		.err = err,
	};
	u64 value;

	if (parse_sum(&p, &value))
		return -1;
	if (p.s != p.end)
		return fail(&p, "'%.*s' does not belong to a number",
			    (int)(p.end - p.s < 40 ? p.end - p.s : 40), p.s);
	*ret = value;
	return 0;
}

int list_eval(struct word word, int (*visit)(void *ctx, u64 first, u64 last), void *ctx,
	      struct expr_error *err)
{
	struct parser p = {
		.start = word.s,
		.s = word.s,
		.end = word.s + word.len,
		.col = word.col,
		.err = err,
	};
	u64 first, last;

	if (word_is(word, "none"))
		return 0;
	for (;;) {
		if (p.s == p.end || *p.s < '0' || *p.s > '9')
			return fail(&p, "a page number is missing");
		if (parse_number(&p, &first))
			return -1;
		last = first;
		if (p.s < p.end && *p.s == '-') {
			p.s++;
			if (p.s == p.end || *p.s < '0' || *p.s > '9')
				return fail(&p, "the last page of a range is missing");
			if (parse_number(&p, &last))
				return -1;
		}
		if (last < first || last > 1u << 30)
			return fail(&p, "%llu-%llu is no range of pages", (unsigned long long)first,
				    (unsigned long long)last);
		if (visit && visit(ctx, first, last))
			return fail(&p, "page %llu is not in the slot", (unsigned long long)last);
		if (p.s == p.end)
			return 0;
		if (expect_char(&p, ','))
			return -1;
	}
}

bool range_split(struct word word, struct word *first, struct word *second)
{
	u32 at = word.len;

	while (at && word.s[at - 1] != '+')
		at--;
	if (at < 2 || at == word.len)
		return false;
	*first = (struct word){ .s = word.s, .len = at - 1, .col = word.col };
	*second = (struct word){ .s = word.s + at, .len = word.len - at, .col = word.col + at };
	return true;
}
