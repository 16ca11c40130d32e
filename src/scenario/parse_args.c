/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments of a statement: which it takes, and whether each is what its key takes. */
#include "scenario/parse.h"

#include <stdarg.h>
#include <string.h>

#include "abi/event_desc.h"

struct ms_err *parse_error(struct parse *p, u32 col, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ms_err_new(MS_ERR_USAGE, "%s:%u:%u: %s", p->scenario->name, p->line, col, text);
}

static struct ms_err *expr_failed(struct parse *p, const struct expr_error *e)
{
	return parse_error(p, e->col, "%s", e->text);
}

struct ms_err *parse_candidates(struct ms_err *err, const char *what, const char *(*name)(u32 i))
{
	char list[600];
	size_t len = 0;
	int add;
	u32 i;

	list[0] = '\0';
	for (i = 0; name(i); i++) {
		add = snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", name(i));
		if (add < 0 || (size_t)add >= sizeof(list) - len)
			break;
		len += (size_t)add;
	}
	return ms_err_hint(err, "%s: %s", what, list);
}

struct ms_err *parse_usage(struct ms_err *err, const struct verb *verb)
{
	return ms_err_hint(err, "usage: %s", verb->usage);
}

/* --- arguments --- */

/*
 * An argument with a place of its own is called what its statement is called: its name is no word of a text.
 */
static struct ms_err *take_choice(struct parse *p, struct arg *arg, const struct key *key)
{
	const struct verb *verb = &ms_verbs[p->stmt->verb];
	bool named = list_has(verb->keys, key->id);
	struct word choice;
	u32 i;

	for (i = 0; list_at(key->what, '|', i, &choice); i++)
		if (choice.len == arg->text.len && !memcmp(choice.s, arg->text.s, choice.len)) {
			arg->num = i;
			return NULL;
		}
	return parse_error(p, arg->text.col, "%s: '%.*s' is none of %s", named ? key->name : verb->words,
			   shown(arg->text), arg->text.s, key->what);
}

static struct ms_err *take_rights(struct parse *p, struct arg *arg, const struct key *key)
{
	static const char letters[] = "rwxu";
	const char *found;
	u32 i;

	arg->num = 0;
	if (word_is(arg->text, "none"))
		return NULL;
	for (i = 0; i < arg->text.len; i++) {
		found = memchr(letters, arg->text.s[i], 4);
		if (!found || arg->num & 1u << (found - letters))
			return parse_error(p, arg->text.col, "'%.*s': rights are %s", shown(arg->text),
					   arg->text.s, key->what);
		arg->num |= 1u << (found - letters);
	}
	return NULL;
}

/* With ret the number is taken as it is now, and no table can be part of it. */
struct ms_err *parse_expr(struct parse *p, struct word word, u64 *ret)
{
	struct expr_env env = { .scenario = p->scenario, .stmt = this_stmt(p), .no_tables = ret };
	struct expr_error e;
	u64 value;

	if (expr_eval(&env, word, ret ? ret : &value, &e))
		return expr_failed(p, &e);
	return NULL;
}

struct ms_err *parse_add_name(struct parse *p, struct word word, bool table, u64 value)
{
	struct ms_scenario *sc = p->scenario;
	u32 i;

	for (i = 0; i < word.len; i++)
		if (!((word.s[i] >= 'a' && word.s[i] <= 'z') || (word.s[i] >= 'A' && word.s[i] <= 'Z') ||
		      word.s[i] == '_' || (i && word.s[i] >= '0' && word.s[i] <= '9')))
			break;
	if (!word.len || i < word.len || word.len > 32 || word_is(word, "none"))
		return ms_err_hint(parse_error(p, word.col, "'%.*s' cannot be a name", shown(word), word.s),
				   "letters, digits and _, a letter first, at most 32");
	if (name_find(sc, ~0u, word))
		return parse_error(p, word.col, "'%.*s' is a name already", shown(word), word.s);
	if (sc->nr_names == LEN(sc->names))
		return parse_error(p, word.col, "more than %d names", MS_SCENARIO_MAX_NAMES);
	sc->names[sc->nr_names++] =
		(struct name){ .word = word, .table = table, .value = value, .stmt = this_stmt(p) };
	return NULL;
}

static struct ms_err *take_new(struct parse *p, struct arg *arg)
{
	struct ms_scenario *sc = p->scenario;

	if (sc->nr_tables == MS_SCENARIO_MAX_TABLES)
		return parse_error(p, arg->text.col, "more than %d tables", MS_SCENARIO_MAX_TABLES);
	arg->num = sc->nr_tables;
	sc->tables[sc->nr_tables++].name = arg->text;
	return parse_add_name(p, arg->text, true, arg->num);
}

static struct ms_err *take_table(struct parse *p, struct arg *arg, bool may_be_none)
{
	const struct name *name = name_find(p->scenario, this_stmt(p), arg->text);

	if (may_be_none && word_is(arg->text, "none")) {
		arg->num = TABLE_NONE_INDEX;
		return NULL;
	}
	if (!name || !name->table)
		return ms_err_hint(
			parse_error(p, arg->text.col, "'%.*s' is no table", shown(arg->text), arg->text.s),
			"tables are made by `table NAME KIND pool=FRAME+PAGES'");
	arg->num = (u32)name->value;
	return NULL;
}

static struct ms_err *take_range(struct parse *p, struct arg *arg, const struct key *key)
{
	struct word first, second;
	struct ms_err *err;

	if (!range_split(arg->text, &first, &second))
		return parse_error(p, arg->text.col, "%s: '%.*s' is not %s", key->name, shown(arg->text),
				   arg->text.s, key->what);
	err = parse_expr(p, first, NULL);
	return err ? err : parse_expr(p, second, NULL);
}

static struct ms_err *take_points(struct parse *p, struct arg *arg)
{
	struct word word = { .s = arg->text.s, .col = arg->text.col };
	const char *end = arg->text.s + arg->text.len;
	u32 i;

	for (arg->num = 0; word.s <= end; word.s += word.len + 1, word.col += word.len + 1) {
		for (word.len = 0; word.s + word.len < end && word.s[word.len] != ','; word.len++)
			;
		for (i = 0; point_name(i) && !word_is(word, point_name(i)); i++)
			;
		if (!point_name(i))
			return parse_candidates(
				parse_error(p, word.col, "'%.*s' is no yield point", shown(word), word.s),
				"points", point_name);
		arg->num |= 1u << i;
	}
	return NULL;
}

static struct ms_err *take_digits(struct parse *p, struct arg *arg, const struct key *key)
{
	u32 i;

	for (i = 0; i < arg->text.len; i++)
		if (arg->text.s[i] < '0' || arg->text.s[i] > '9')
			return parse_error(p, arg->text.col + i, "%s: %s", key->name, key->what);
	return NULL;
}

static const char *bug_name(u32 i)
{
	return ms_bug_name(i);
}

static const char *event_name(u32 i)
{
	return ms_event_name(i + 1);
}

static struct ms_err *take_value(struct parse *p, struct arg *arg)
{
	const struct key *key = &ms_keys[arg->key];
	struct expr_error e;

	switch (key->type) {
	case TYPE_NUM:
		return parse_expr(p, arg->text, NULL);
	case TYPE_RANGE:
		return take_range(p, arg, key);
	case TYPE_LIST:
		return list_eval(arg->text, NULL, NULL, &e) ? expr_failed(p, &e) : NULL;
	case TYPE_POINTS:
		return take_points(p, arg);
	case TYPE_DIGITS:
		return take_digits(p, arg, key);
	case TYPE_CHOICE:
		return take_choice(p, arg, key);
	case TYPE_RIGHTS:
		return take_rights(p, arg, key);
	case TYPE_NEW:
		return take_new(p, arg);
	case TYPE_TABLE:
		return take_table(p, arg, arg->key == KEY_TABLE_NONE);
	case TYPE_BUG:
		if (ms_bug_find(arg->text.s, arg->text.len, &arg->num))
			return NULL;
		return parse_candidates(parse_error(p, arg->text.col, "'%.*s' is no bug switch",
						    shown(arg->text), arg->text.s),
					"bugs", bug_name);
	case TYPE_EVENT:
		arg->num = event_find(arg->text);
		if (arg->num)
			return NULL;
		return parse_candidates(parse_error(p, arg->text.col, "no event is called '%.*s'",
						    shown(arg->text), arg->text.s),
					"events", event_name);
	case TYPE_FLAG:
		break;
	}
	return NULL;
}

static struct ms_err *add_arg(struct parse *p, const struct arg *arg)
{
	struct ms_scenario *sc = p->scenario;
	struct arg *args;

	if (p->stmt->nr_args == MS_SCENARIO_MAX_ARGS)
		return parse_error(p, arg->text.col, "more than %d arguments", MS_SCENARIO_MAX_ARGS);
	args = ms_grow(sc->args, &sc->cap_args, sc->nr_args + 1, sizeof(*args));
	if (!args)
		return ms_err_nomem();
	sc->args = args;
	args[sc->nr_args++] = *arg;
	p->stmt->nr_args++;
	return NULL;
}

static bool has_key(const struct parse *p, u32 key)
{
	u32 i;

	for (i = 0; i < p->stmt->nr_args; i++)
		if (p->scenario->args[p->stmt->first_arg + i].key == key)
			return true;
	return false;
}

/* The key of this verb with this name, of flags or of the others. NR_KEYS: none. */
static u32 find_key(const struct verb *verb, struct word name, bool flag)
{
	u32 key;

	for (key = 0; key < NR_KEYS; key++)
		if ((ms_keys[key].type == TYPE_FLAG) == flag && word_is(name, ms_keys[key].name) &&
		    list_has(verb->keys, ms_keys[key].id))
			return key;
	return NR_KEYS;
}

/* Take NAME OP VALUE apart. False: the word has no operator. */
bool parse_split(struct word word, struct word *name, u8 *op, struct word *value)
{
	u32 i, start, len;

	for (i = 0; i < word.len && word.s[i] != '='; i++)
		;
	if (!i || i == word.len)
		return false;
	start = i;
	len = 1;
	*op = ARG_EQ;
	if (memchr("!<>", word.s[i - 1], 3)) {
		*op = word.s[i - 1] == '!' ? ARG_NE : word.s[i - 1] == '<' ? ARG_LE : ARG_GE;
		start--;
		len++;
	}
	*name = (struct word){ .s = word.s, .len = start, .col = word.col };
	while (name->len && (name->s[name->len - 1] == ' ' || name->s[name->len - 1] == '\t'))
		name->len--;
	start += len;
	while (start < word.len && (word.s[start] == ' ' || word.s[start] == '\t'))
		start++;
	*value = (struct word){ .s = word.s + start, .len = word.len - start, .col = word.col + start };
	return true;
}

static struct ms_err *field_hint(struct ms_err *err, u32 event)
{
	char list[300];
	size_t len = 0;
	const char *name;
	int add;
	u32 i;

	list[0] = '\0';
	for (i = 0; (name = event_field_name(event, i)); i++) {
		add = snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", name);
		if (add < 0 || (size_t)add >= sizeof(list) - len)
			break;
		len += (size_t)add;
	}
	return ms_err_hint(err, "its fields: %s", list);
}

/* FIELD=VALUE of `expect event'. */
static struct ms_err *take_field(struct parse *p, struct arg *arg, struct word name)
{
	const struct arg *event = stmt_arg(p->scenario, p->stmt, KEY_EVENT);
	u64 value;
	int field;

	if (!event)
		return parse_error(p, name.col, "the name of the event comes first");
	field = event_field_find(event->num, name);
	if (field < 0)
		return field_hint(parse_error(p, name.col, "event %.*s has no field '%.*s'",
					      shown(event->text), event->text.s, shown(name), name.s),
				  event->num);
	arg->key = ARG_FIELD;
	arg->num = (u32)field;
	if (event_value_find(event->num, arg->num, arg->text, &value))
		return NULL;
	if (event_field_by_name_only(event->num, arg->num))
		return ms_err_hint(
			parse_error(p, arg->text.col, "'%.*s' is no %.*s by name", shown(arg->text),
				    arg->text.s, shown(name), name.s),
			"the event's causes are in src/abi/causes.def, its return values in src/abi/events.def; "
			"a blank is written -");
	return parse_expr(p, arg->text, NULL);
}

static struct ms_err *take_option(struct parse *p, const struct verb *verb, struct word name, struct arg *arg)
{
	bool event = list_has(verb->pos, "EVENT");
	u32 key = find_key(verb, name, false);
	struct ms_err *err;

	if (!arg->text.len)
		return parse_error(p, name.col, "%.*s: its value is missing", shown(name), name.s);
	if (arg->op != ARG_EQ && verb->group != GROUP_EXPECT)
		return parse_error(p, name.col, "only an expectation can compare");
	if (key == NR_KEYS && event) {
		err = take_field(p, arg, name);
	} else if (key == NR_KEYS) {
		err = parse_error(p, name.col, "`%s' takes no '%.*s='", verb->words, shown(name), name.s);
		return parse_usage(err, verb);
	} else if (has_key(p, key) && verb->group != GROUP_EXPECT) {
		err = parse_error(p, name.col, "%.*s is given twice", shown(name), name.s);
	} else {
		arg->key = (u8)key;
		err = take_value(p, arg);
	}
	return err ? err : add_arg(p, arg);
}

/* The positional argument that is next; false: there is none left. */
static bool next_pos(const struct verb *verb, u32 *at, struct word *ret)
{
	return list_at(verb->pos, ' ', (*at)++, ret);
}

static u32 key_by_id(struct word id)
{
	u32 key;

	if (id.len && id.s[id.len - 1] == '?')
		id.len--;
	for (key = 0; key < NR_KEYS; key++)
		if (word_is(id, ms_keys[key].id))
			break;
	return key;
}

static struct ms_err *missing_pos(struct parse *p, const struct verb *verb, struct word pos, u32 col)
{
	u32 key = key_by_id(pos);
	struct ms_err *err;

	err = parse_error(p, col, "%s is missing", key < NR_KEYS ? ms_keys[key].what : "'->'");
	return parse_usage(err, verb);
}

static struct ms_err *take_positional(struct parse *p, const struct verb *verb, struct word word, u32 *at)
{
	struct arg arg = { .text = word };
	struct word pos;
	struct ms_err *err;

	for (;;) {
		if (!next_pos(verb, at, &pos)) {
			err = parse_error(p, word.col, "`%s': '%.*s' is one word too many", verb->words,
					  shown(word), word.s);
			return parse_usage(err, verb);
		}
		if (pos.s[0] != '-')
			break;
		if (word_is(word, "->"))
			return NULL;
		if (pos.s[pos.len - 1] != '?')
			return missing_pos(p, verb, pos, word.col);
	}
	arg.key = (u8)key_by_id(pos);
	err = take_value(p, &arg);
	return err ? err : add_arg(p, &arg);
}

/* Without one of these a statement does nothing, or expects nothing. */
static struct ms_err *check_needs(struct parse *p, const struct verb *verb)
{
	const struct word *last = &p->words[p->nr_words - 1];
	struct word need;
	u32 i;

	if (!*verb->needs)
		return NULL;
	for (i = 0; list_at(verb->needs, ' ', i, &need); i++)
		if (has_key(p, key_by_id(need)))
			return NULL;
	return parse_usage(parse_error(p, last->col + last->len, "`%s' is not complete", verb->words), verb);
}

struct ms_err *parse_args(struct parse *p, const struct verb *verb)
{
	struct ms_err *err = NULL;
	struct word word, name, pos;
	struct arg arg;
	u32 at = 0, flag;

	for (; p->at < p->nr_words && !err; p->at++) {
		word = p->words[p->at];
		arg = (struct arg){ 0 };
		flag = find_key(verb, word, true);
		if (parse_split(word, &name, &arg.op, &arg.text)) {
			err = take_option(p, verb, name, &arg);
		} else if (flag < NR_KEYS) {
			if (has_key(p, flag))
				return parse_error(p, word.col, "%.*s is given twice", shown(word), word.s);
			arg = (struct arg){ .key = (u8)flag, .text = word };
			err = add_arg(p, &arg);
		} else {
			err = take_positional(p, verb, word, &at);
		}
	}
	while (!err && next_pos(verb, &at, &pos))
		if (pos.s[pos.len - 1] != '?')
			return missing_pos(p, verb, pos,
					   p->words[p->nr_words - 1].col + p->words[p->nr_words - 1].len);
	return err ? err : check_needs(p, verb);
}
