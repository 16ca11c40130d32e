/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text to struct ms_scenario: which statements there are and whether their arguments are what they take.
 * Every name is resolved and every number worked out as far as it can be without a machine, so that a play
 * meets no misspelling. Nothing is carried out here.
 */
#include "scenario/parse.h"

#include <stdlib.h>
#include <string.h>

static const char *const point_names[] = {
#define NMMU_POINT(id, name) [NMMU_POINT_##id] = name,
#include "nmmu/points.def"
#undef NMMU_POINT
};

const char *point_name(u32 i)
{
	return i < LEN(point_names) ? point_names[i] : NULL;
}

/* --- statements --- */

/* How many of the words at p->at are those of the verb; 0: it is another. */
static u32 verb_matches(const struct parse *p, const struct verb *verb)
{
	struct word part;
	u32 i;

	for (i = 0; list_at(verb->words, ' ', i, &part); i++)
		if (p->at + i >= p->nr_words || p->words[p->at + i].len != part.len ||
		    memcmp(p->words[p->at + i].s, part.s, part.len))
			return 0;
	return i;
}

static struct ms_err *find_verb(struct parse *p, u32 *verb_ret)
{
	struct word word = p->words[p->at], part;
	u32 verb, best = 0, nr;
	bool first = false;
	struct ms_err *err;

	for (verb = 0; verb < NR_VERBS; verb++) {
		nr = verb_matches(p, &ms_verbs[verb]);
		if (nr > best) {
			best = nr;
			*verb_ret = verb;
		}
		if (list_at(ms_verbs[verb].words, ' ', 0, &part) && part.len == word.len &&
		    !memcmp(part.s, word.s, word.len))
			first = true;
	}
	if (best) {
		p->at += best;
		return NULL;
	}
	if (!first)
		return ms_err_hint(
			parse_error(p, word.col, "no statement begins with '%.*s'", shown(word), word.s),
			"doc/scenarios.md has them all");
	if (p->at + 1 == p->nr_words)
		err = parse_error(p, word.col + word.len, "'%.*s' of what?", shown(word), word.s);
	else
		err = parse_error(p, p->words[p->at + 1].col, "there is no `%.*s %.*s'", shown(word), word.s,
				  shown(p->words[p->at + 1]), p->words[p->at + 1].s);
	return ms_err_hint(err, "doc/scenarios.md has them all");
}

/* `with BUG', `without BUG', `at POINT [number] do'. */
static struct ms_err *take_prefixes(struct parse *p)
{
	struct word word;
	u32 bug, i;
	u64 nth;
	struct ms_err *err;

	while (p->at + 1 < p->nr_words) {
		bool with = word_is(p->words[p->at], "with"), without = word_is(p->words[p->at], "without");

		if (!with && !without)
			break;
		word = p->words[p->at + 1];
		if (!ms_bug_find(word.s, word.len, &bug))
			return parse_candidates(
				parse_error(p, word.col, "'%.*s' is no bug switch", shown(word), word.s),
				"bugs", ms_bug_name);
		*(with ? &p->stmt->only_with : &p->stmt->only_without) |= 1u << bug;
		p->at += 2;
	}
	if (p->at + 1 < p->nr_words && word_is(p->words[p->at], "at")) {
		word = p->words[p->at + 1];
		for (i = 0; i < LEN(point_names); i++)
			if (word_is(word, point_names[i]))
				break;
		if (i == LEN(point_names))
			return parse_candidates(
				parse_error(p, word.col, "'%.*s' is no yield point", shown(word), word.s),
				"points", point_name);
		p->stmt->point = (u8)(i + 1);
		p->stmt->nth = 1;
		p->at += 2;
		if (p->at < p->nr_words && !word_is(p->words[p->at], "do")) {
			err = parse_expr(p, p->words[p->at], &nth);
			if (err)
				return err;
			if (nth < 1 || nth > 255)
				return parse_error(p, p->words[p->at].col, "which time: 1 to 255");
			p->stmt->nth = (u8)nth;
			p->at++;
		}
		if (p->at >= p->nr_words || !word_is(p->words[p->at], "do"))
			return ms_err_hint(parse_error(p, word.col, "'do' is missing"),
					   "at POINT [N] do ACTION");
		p->at++;
	}
	if (p->at == p->nr_words) {
		word = p->words[p->nr_words - 1];
		return parse_error(p, word.col + word.len, "a statement is missing");
	}
	return NULL;
}

/* The rest of the line as one text. */
static struct ms_err *take_text(struct parse *p, char **to)
{
	const struct word *first, *last;
	char *text;
	size_t len;

	if (p->at == p->nr_words)
		return parse_error(p, p->words[0].col + p->words[0].len, "a text is missing");
	first = &p->words[p->at];
	last = &p->words[p->nr_words - 1];
	len = (size_t)(last->s + last->len - first->s);
	text = malloc((*to ? strlen(*to) + 2 : 0) + len + 1);
	if (!text)
		return ms_err_nomem();
	*text = '\0';
	if (*to) {
		strcpy(text, *to);
		strcat(text, "; ");
	}
	strncat(text, first->s, len);
	free(*to);
	*to = text;
	return NULL;
}

static struct ms_err *take_let(struct parse *p)
{
	struct word name, value;
	struct ms_err *err;
	u64 number = 0;
	u8 op;

	if (p->at + 1 != p->nr_words || !parse_split(p->words[p->at], &name, &op, &value) || op != ARG_EQ ||
	    !value.len)
		return parse_usage(parse_error(p, p->words[0].col, "`let' is not complete"),
				   &ms_verbs[VERB_LET]);
	err = parse_expr(p, value, &number);
	return err ? err : parse_add_name(p, name, false, number);
}

static struct ms_err *check_order(struct parse *p, const struct verb *verb)
{
	struct word word = p->words[0];
	u32 id = p->stmt->verb;

	if (id == VERB_MACHINE && p->has_machine)
		return parse_error(p, word.col, "there is a machine already");
	if (verb->group != GROUP_HEAD && id != VERB_MACHINE && id != VERB_LET && !p->has_machine)
		return ms_err_hint(parse_error(p, word.col, "there is no machine yet"),
				   "begin with `machine vmx ad' or `machine svm'");
	if (p->stmt->point && (verb->group != GROUP_ACT || id == VERB_REPEAT || id == VERB_END ||
			       id == VERB_INTERLEAVE || id == VERB_THEN))
		return parse_error(p, word.col, "only an action can be done at a yield point");
	if ((p->stmt->only_with || p->stmt->only_without) &&
	    (verb->group == GROUP_HEAD || verb->group == GROUP_SETUP || id == VERB_REPEAT || id == VERB_END ||
	     id == VERB_INTERLEAVE || id == VERB_THEN))
		return parse_error(p, word.col, "`%s' cannot depend on a bug", verb->words);
	p->has_machine |= id == VERB_MACHINE;
	return NULL;
}

static struct ms_err *check_halves(struct parse *p)
{
	if (p->halves == 2)
		return NULL;
	return parse_error(p, p->words[0].col, "`interleave' takes two actions, these are %u", p->halves);
}

static struct ms_err *open_interleave(struct parse *p)
{
	if (p->nr_open)
		return parse_error(p, p->words[0].col, "`interleave' cannot be in a loop");
	p->then = false;
	p->halves = p->half_vcpus = 0;
	p->half_slots = false;
	p->open[p->nr_open++] = this_stmt(p);
	return NULL;
}

/* The begin of the innermost block is an interleave's. */
static bool in_interleave(const struct parse *p)
{
	return p->nr_open && p->scenario->stmts[p->open[p->nr_open - 1]].verb == VERB_INTERLEAVE;
}

static struct ms_err *open_then(struct parse *p)
{
	if (!in_interleave(p) || p->then)
		return parse_error(p, p->words[0].col,
				   "`then' stands behind the two actions of an `interleave'");
	p->then = true;
	return check_halves(p);
}

static struct ms_err *open_or_close(struct parse *p)
{
	u32 begin;

	if (p->stmt->verb == VERB_THEN)
		return open_then(p);
	if (in_interleave(p) && !p->then && p->stmt->verb != VERB_END)
		return check_half(p);
	if (p->stmt->verb == VERB_INTERLEAVE)
		return open_interleave(p);
	if (p->stmt->verb == VERB_REPEAT) {
		if (p->nr_open == LEN(p->open))
			return parse_error(p, p->words[0].col, "more than %d loops in each other",
					   MS_SCENARIO_MAX_DEPTH);
		p->open[p->nr_open++] = this_stmt(p);
	} else if (p->stmt->verb == VERB_END) {
		if (!p->nr_open)
			return parse_error(p, p->words[0].col, "nothing is open that could end");
		p->interleaved = in_interleave(p);
		p->then &= !p->interleaved;
		if (p->interleaved && p->halves != 2)
			return check_halves(p);
		begin = p->open[--p->nr_open];
		p->stmt->jump = begin;
		p->scenario->stmts[begin].jump = this_stmt(p);
	}
	return NULL;
}

static struct ms_err *take_head(struct parse *p, bool *keep)
{
	struct ms_scenario *sc = p->scenario;

	*keep = false;
	switch ((enum verb_id)p->stmt->verb) {
	case VERB_SCENARIO:
		return take_text(p, &sc->title);
	case VERB_RULE:
		return take_text(p, &sc->rule);
	case VERB_TWIN:
		return take_text(p, &sc->twin);
	case VERB_LET:
		return take_let(p);
	default:
		*keep = true;
		return parse_args(p, &ms_verbs[p->stmt->verb]);
	}
}

/* `expect inner done' becomes `expect done'; `expect some' too, and before it. */
static void take_inner(struct parse *p)
{
	bool some, inner;

	while (p->at + 1 < p->nr_words && word_is(p->words[p->at], "expect")) {
		some = word_is(p->words[p->at + 1], "some") && !p->stmt->some && !p->stmt->inner;
		inner = word_is(p->words[p->at + 1], "inner") && !p->stmt->inner;
		if (!some && !inner)
			return;
		p->stmt->some |= some;
		p->stmt->inner |= inner;
		p->words[p->at + 1] = p->words[p->at];
		p->at++;
	}
}

static struct ms_err *parse_line(struct parse *p)
{
	struct stmt stmt = { .line = p->line, .col = p->words[0].col };
	struct ms_scenario *sc = p->scenario;
	struct stmt *stmts;
	struct ms_err *err;
	u32 verb = 0;
	bool keep;

	if (sc->nr_stmts == MS_SCENARIO_MAX_STMTS)
		return parse_error(p, 1, "more than %d statements", MS_SCENARIO_MAX_STMTS);
	p->stmt = &stmt;
	p->at = 0;
	stmt.first_arg = (u32)sc->nr_args;
	err = take_prefixes(p);
	if (err)
		return err;
	take_inner(p);
	err = find_verb(p, &verb);
	if (err)
		return err;
	stmt.verb = (u8)verb;
	if (ms_verbs[verb].group == GROUP_ACT)
		p->interleaved = false;
	if (stmt.some && (!(p->interleaved || p->then) || verb == VERB_X_SCHEDULES))
		return parse_error(p, stmt.col,
				   "`expect some' is about the schedules of an `interleave' before it");
	if (verb == VERB_X_SCHEDULES && !p->interleaved && !p->then)
		return parse_error(p, stmt.col, "no `interleave' comes before it");
	err = check_order(p, &ms_verbs[verb]);
	if (!err)
		err = take_head(p, &keep);
	if (!err && keep)
		err = parse_check(p);
	if (!err && keep)
		err = open_or_close(p);
	if (err)
		return err;
	if (verb == VERB_BUG)
		sc->bugs |= 1u << stmt_arg(sc, &stmt, KEY_BUG)->num;
	if (verb == VERB_TABLE)
		sc->tables[stmt_arg(sc, &stmt, KEY_NEW)->num].kind = (u8)stmt_arg(sc, &stmt, KEY_KIND)->num;
	if (verb == VERB_MACHINE)
		sc->names_kernel = stmt_arg(sc, &stmt, KEY_KERNEL);
	sc->nr_expects += ms_verbs[verb].group == GROUP_EXPECT;
	/* A `let' stays too: names are known behind the statement that makes them. */
	stmts = ms_grow(sc->stmts, &sc->cap_stmts, sc->nr_stmts + 1, sizeof(*stmts));
	if (!stmts)
		return ms_err_nomem();
	sc->stmts = stmts;
	stmts[sc->nr_stmts++] = stmt;
	return NULL;
}

/* `with BUG' is for the play with this bug: without the head's `bug' there is none. */
static struct ms_err *check_with(struct parse *p)
{
	struct ms_scenario *sc = p->scenario;
	const struct stmt *stmt;
	u32 bug;

	for (stmt = sc->stmts; stmt < sc->stmts + sc->nr_stmts; stmt++) {
		if (!(stmt->only_with & ~sc->bugs))
			continue;
		p->line = stmt->line;
		bug = (u32)__builtin_ctz(stmt->only_with & ~sc->bugs);
		return ms_err_hint(parse_error(p, stmt->col, "it is never played with %s", ms_bug_name(bug)),
				   "say `bug %s' in the head", ms_bug_name(bug));
	}
	return NULL;
}

/* What stands in a text: printable characters, and bytes of longer ones in comments. */
static struct ms_err *check_text(struct parse *p, const char *s, const char *end)
{
	const char *at;

	for (at = s; at < end; at++)
		if (((u8)*at < 0x20 && *at != '\t' && *at != '\r') || *at == 0x7f)
			return parse_error(p, (u32)(at - s) + 1, "this is no text: it has a byte 0x%02x",
					   (u8)*at);
	return NULL;
}

static struct ms_err *parse_text(struct parse *p)
{
	struct ms_scenario *sc = p->scenario;
	const char *s = sc->text, *end = sc->text + sc->len, *eol;
	struct ms_err *err;
	int nr;

	for (p->line = 1; s < end; p->line++, s = eol + 1) {
		if (p->line > MS_SCENARIO_MAX_LINES)
			return parse_error(p, 1, "more than %d lines", MS_SCENARIO_MAX_LINES);
		eol = memchr(s, '\n', (size_t)(end - s));
		if (!eol)
			eol = end;
		err = check_text(p, s, eol);
		if (err)
			return err;
		nr = lex_line(s, (size_t)(eol - s), p->words, MAX_WORDS);
		if (nr < 0)
			return parse_error(p, 1, "more than %d words", (int)MAX_WORDS);
		p->nr_words = (u32)nr;
		err = nr ? parse_line(p) : NULL;
		if (err)
			return err;
		if (eol == end)
			break;
	}
	if (p->nr_open) {
		p->line = sc->stmts[p->open[p->nr_open - 1]].line;
		return ms_err_hint(parse_error(p, sc->stmts[p->open[p->nr_open - 1]].col,
					       "`%s' without `end'",
					       ms_verbs[sc->stmts[p->open[p->nr_open - 1]].verb].words),
				   "end it with a line `end'");
	}
	p->line = 1;
	if (!p->has_machine)
		return ms_err_hint(parse_error(p, 1, "there is no machine"),
				   "begin with `machine vmx ad' or `machine svm'");
	return check_with(p);
}

struct ms_err *ms_scenario_parse(const char *name, const char *text, size_t len, struct ms_scenario **ret)
{
	struct ms_scenario *sc = calloc(1, sizeof(*sc));
	struct parse *p = calloc(1, sizeof(*p));
	struct ms_err *err;

	if (sc) {
		sc->name = strdup(name);
		sc->text = malloc(len + 1);
	}
	if (!sc || !p || !sc->name || !sc->text) {
		free(p);
		ms_scenario_destroy(sc);
		return ms_err_nomem();
	}
	p->scenario = sc;
	p->line = 1;
	memcpy(sc->text, text, len);
	sc->text[len] = '\0';
	sc->len = len;
	if (len > MS_SCENARIO_MAX_BYTES)
		err = parse_error(p, 1, "more than %u bytes", MS_SCENARIO_MAX_BYTES);
	else
		err = parse_text(p);
	free(p);
	if (err) {
		ms_scenario_destroy(sc);
		return err;
	}
	*ret = sc;
	return NULL;
}
