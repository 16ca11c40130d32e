/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the two halves of the parser: parse.c has statements, parse_args.c their arguments. */
#ifndef SCENARIO_PARSE_H
#define SCENARIO_PARSE_H

#include "scenario/lang.h"

struct parse {
	struct ms_scenario *scenario;
	struct stmt *stmt; /* being made; not yet in the list */
	struct word words[MAX_WORDS];
	u32 nr_words, at;
	u32 line;
	u32 open[MS_SCENARIO_MAX_DEPTH], nr_open; /* REPEATs without END */
	bool has_machine, has_slot;
	bool acted, acted_at; /* an action was seen; one of `at ... do' */
	u32 nr_vcpus;
	u32 halves; /* actions seen of the interleave that is open */
	u32 half_vcpus; /* 1u << */
	bool then; /* it has its two, what follows is done behind them */
	bool half_slots, interleaved; /* the last action was an interleave */
};

struct ms_err *parse_error(struct parse *p, u32 col, const char *fmt, ...) MS_PRINTF(3, 4) MS_MUST_CHECK;
/* Names that would be right, as a hint. name(i) is NULL behind the last. */
struct ms_err *parse_candidates(struct ms_err *err, const char *what,
				const char *(*name)(u32 i)) MS_MUST_CHECK;
struct ms_err *parse_usage(struct ms_err *err, const struct verb *verb) MS_MUST_CHECK;

/* As much of a word as a message shows: for %.*s. */
static inline int shown(struct word word)
{
	return (int)(word.len < 40 ? word.len : 40);
}

/* Number that the statement being made will have. */
static inline u32 this_stmt(const struct parse *p)
{
	return (u32)p->scenario->nr_stmts;
}

struct ms_err *parse_expr(struct parse *p, struct word word,
			  u64 *ret) MS_MUST_CHECK; /* ret may be NULL: only checked */
struct ms_err *parse_add_name(struct parse *p, struct word word, bool table, u64 value) MS_MUST_CHECK;
/* NAME OP VALUE taken apart. False: the word has no operator. */
bool parse_split(struct word word, struct word *name, u8 *op, struct word *value);
/* The words from p->at on, as arguments of the verb. */
/* check.c: what can be known of the statement before it is played */
struct ms_err *parse_check(struct parse *p) MS_MUST_CHECK;
struct ms_err *check_half(struct parse *p) MS_MUST_CHECK;
struct ms_err *parse_args(struct parse *p, const struct verb *verb) MS_MUST_CHECK;

#endif
