/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared within src/scenario: what a parsed scenario is, and how its pieces are asked for. */
#ifndef SCENARIO_LANG_H
#define SCENARIO_LANG_H

#include "scenario/scenario.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

enum key_id {
#define KEY(id, name, type, what) KEY_##id,
#include "scenario/keys.def"
#undef KEY
	NR_KEYS
};

enum key_type {
	TYPE_NUM, /* an expression */
	TYPE_RANGE, /* FRAME+PAGES */
	TYPE_LIST, /* 0,3-5 or none */
	TYPE_POINTS, /* names with commas; a mask in num */
	TYPE_DIGITS, /* taken as text */
	TYPE_CHOICE,
	TYPE_FLAG,
	TYPE_RIGHTS,
	TYPE_NEW, /* a name that is made here */
	TYPE_TABLE,
	TYPE_BUG,
	TYPE_EVENT,
};

enum verb_id {
#define VERB(id, words, group, pos, keys, needs, usage) VERB_##id,
#include "scenario/verbs.def"
#undef VERB
	NR_VERBS
};

enum verb_group { GROUP_HEAD, GROUP_SETUP, GROUP_ACT, GROUP_EXPECT };

struct key {
	const char *id, *name, *what;
	enum key_type type;
};

struct verb {
	const char *words;
	enum verb_group group;
	const char *pos, *keys, *needs, *usage;
};

extern const struct key ms_keys[NR_KEYS];
extern const struct verb ms_verbs[NR_VERBS];

/* A word of a line. Text is not NUL terminated. */
struct word {
	const char *s;
	u32 len, col; /* col counts bytes from 1 */
};

#define MAX_WORDS (MS_SCENARIO_MAX_ARGS + 8)

enum arg_op { ARG_EQ, ARG_NE, ARG_LE, ARG_GE };

#define ARG_FIELD NR_KEYS /* key of an argument that names an event's field, its index in num */

struct arg {
	u8 key; /* enum key_id, or ARG_FIELD */
	u8 op;
	u32 num; /* CHOICE: index; TABLE, NEW: table's index; BUG, EVENT: id; RIGHTS: RIGHT_ */
	struct word text; /* value */
};

#define TABLE_NONE_INDEX 0xffffu

#define RIGHT_R 1u
#define RIGHT_W 2u
#define RIGHT_X 4u
#define RIGHT_U 8u

struct stmt {
	u8 verb;
	bool inner; /* expect inner: about what `at ... do' did */
	bool some; /* expect some: after one schedule at least */
	u8 point; /* enum nmmu_point + 1 of `at POINT do', 0: none */
	u8 nth; /* the how-many-eth time */
	u32 only_with, only_without; /* bugs: 1u << */
	u32 line, col;
	u32 first_arg, nr_args;
	u32 jump; /* REPEAT, INTERLEAVE: its END; END: its beginning */
};

struct name {
	struct word word;
	bool table;
	u64 value; /* number, or table's index */
	u32 stmt; /* defined by this statement */
};

struct table_def {
	struct word name;
	u8 kind; /* enum table_kind */
};

/* As in the choices of KEY_KIND. */
enum table_kind { KIND_EPT4, KIND_EPT5, KIND_PT32, KIND_PTPAE, KIND_PT64, KIND_PTLA57 };

struct ms_scenario {
	char *name;
	char *text;
	size_t len;
	char *title, *rule, *twin;
	u32 bugs;
	struct stmt *stmts;
	size_t nr_stmts, cap_stmts;
	struct arg *args;
	size_t nr_args, cap_args;
	struct name names[MS_SCENARIO_MAX_NAMES];
	u32 nr_names;
	struct table_def tables[MS_SCENARIO_MAX_TABLES];
	u32 nr_tables;
	u32 nr_expects;
	bool names_kernel;
};

/* --- lex.c --- */

static inline bool word_is(struct word word, const char *str)
{
	size_t i;

	for (i = 0; i < word.len && str[i]; i++)
		if (word.s[i] != str[i])
			return false;
	return i == word.len && !str[i];
}

/*
 * Split a line into words: comments go, blanks around = != <= >= too. Returns how many, or -1 when there are
 * more than max.
 */
int lex_line(const char *line, size_t len, struct word *words, u32 max);
/* The i-th word of a list separated by `sep', false behind the last. */
bool list_at(const char *list, char sep, u32 i, struct word *ret);
/*
 * Does a blank-separated list hold exactly this word? `suffix' (may be NULL): the characters right behind it.
 */
bool list_has(const char *list, const char *word);

/* --- expr.c --- */

/* What names mean while an expression is worked out. */
struct expr_env {
	const struct ms_scenario *scenario;
	u32 stmt; /* names defined behind this statement are not known yet */
	/*
	 * Address of a table's root (level 0), or of the entry for addr. -ENOENT: none. NULL: not worked out.
	 */
	int (*entry)(void *ctx, u32 table, u64 addr, u32 level, u64 *ret);
	void *ctx;
	bool no_tables; /* they cannot be named here */
};

struct expr_error {
	u32 col;
	char text[100];
};

#define EXPR_MAX_DEPTH 8

/* 0, or -1 with *err. */
int expr_eval(const struct expr_env *env, struct word word, u64 *ret, struct expr_error *err);
const struct name *name_find(const struct ms_scenario *scenario, u32 stmt, struct word word);
/* A list of pages: calls visit for each range [first, last]. Numbers only. -1 with *err. */
int list_eval(struct word word, int (*visit)(void *ctx, u64 first, u64 last), void *ctx,
	      struct expr_error *err);
/* FRAME+PAGES: the words on each side of the last `+'. */
bool range_split(struct word word, struct word *first, struct word *second);

/* --- events.c: events by name --- */

u32 event_find(struct word word); /* 0: none */
int event_field_find(u32 id, struct word word); /* -1: none */
u64 event_field_get(const struct ms_event *event, u32 field);
/* The name of a field; NULL: there is none. */
const char *event_field_name(u32 id, u32 field);
/* A value by name (a cause with - for blanks, a return value); false: it is none. */
bool event_value_find(u32 id, u32 field, struct word word, u64 *ret);
/* A cause or return value: is written by name, never as a number. */
bool event_field_by_name_only(u32 id, u32 field);
/* The event on one line. */
void event_print(const struct ms_event *event, struct ms_buf *out);

/* --- parse.c --- */

const char *point_name(u32 point); /* NULL: there is none */

/* --- check.c --- */

/* Is this an address that tables of this kind translate? */
bool table_has_addr(enum table_kind kind, u64 addr);

/* --- asking a statement --- */

const struct arg *stmt_arg(const struct ms_scenario *scenario, const struct stmt *stmt, enum key_id key);

#endif
