/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be known of a statement before anything is played: numbers within their bounds, values within
 * their bytes, addresses within their tables, vCPUs that the machine has. Numbers that name where a table
 * lies are known only when they are used; the actions look at those.
 */
#include "scenario/parse.h"

#define ANY NR_VERBS

/* Of several that fit a statement the first counts. group: of which; verb: ANY, or the one. */
static const struct bound {
	u8 key;
	u8 verb;
	bool acts; /* ANY: not for expectations */
	u64 least, most;
} bounds[] = {
	{ KEY_PHYS, ANY, false, 36, 52 },
	{ KEY_GUEST_PHYS, ANY, false, 36, 52 },
	{ KEY_LIMIT, ANY, false, 0, 1u << 20 },
	{ KEY_VCPUS, ANY, false, 1, MS_SCENARIO_MAX_VCPUS },
	{ KEY_TLB, ANY, false, 1, 4096 },
	{ KEY_SLOT, ANY, false, 0, 0xffff },
	{ KEY_AS, ANY, false, 0, 1 },
	{ KEY_GFN, ANY, true, 0, (1ULL << 40) - 1 },
	{ KEY_HVA, ANY, false, 0, (1ULL << 47) - 1 },
	{ KEY_PAGES, VERB_MAP, false, 1, MS_SCENARIO_MAX_TIMES },
	{ KEY_PAGES, ANY, false, 1, MS_SCENARIO_MAX_PAGES },
	{ KEY_LEVEL, VERB_MAP, false, 1, 3 },
	{ KEY_LEVEL, VERB_X_RMAP, false, 1, 3 },
	{ KEY_LEVEL, VERB_X_PIN, false, 1, 3 },
	{ KEY_LEVEL, VERB_X_PIN_CALLS, false, 1, 3 },
	{ KEY_PAGES, VERB_X_PREFAULTED, false, 0, MS_SCENARIO_MAX_PAGES },
	{ KEY_GEN, VERB_MACHINE, false, 0, (1u << 19) - 4 },
	{ KEY_LEVEL, ANY, false, 1, 5 },
	{ KEY_GPA, ANY, true, 0, (1ULL << 52) - 1 },
	{ KEY_INDEX, ANY, false, 0, 0xffff },
	{ KEY_TIMES, ANY, false, 1, MS_SCENARIO_MAX_TIMES },
	{ KEY_NR, VERB_REPEAT, false, 1, MS_SCENARIO_MAX_ROUNDS },
	{ KEY_NR, VERB_NX_RECOVER, false, 1, 1u << 20 },
	{ KEY_NR, VERB_LIMIT, false, 0, 1u << 20 },
	{ KEY_FAST, ANY, false, 0, 1 },
	{ KEY_EMULATED, ANY, false, 0, 1 },
	{ KEY_HIT, ANY, false, 0, 1 },
	{ KEY_BIT_R, ANY, false, 0, 1 },
	{ KEY_BIT_W, ANY, false, 0, 1 },
	{ KEY_BIT_X, ANY, false, 0, 1 },
	{ KEY_BIT_U, ANY, false, 0, 1 },
	{ KEY_BIT_A, ANY, false, 0, 1 },
	{ KEY_BIT_D, ANY, false, 0, 1 },
	{ KEY_BIT_H, ANY, false, 0, 1 },
	{ KEY_BIT_M, ANY, false, 0, 1 },
	{ KEY_AD_KIND, ANY, false, 0, 2 },
	{ KEY_TRACKED, ANY, false, 0, 1 },
	{ KEY_MAPPED, ANY, false, 0, 1 },
	{ KEY_DIRECT, ANY, false, 0, 1 },
	{ KEY_PASSTHROUGH, ANY, false, 0, 1 },
	{ KEY_GUEST_MODE, ANY, false, 0, 1 },
	{ KEY_UNSYNC, ANY, false, 0, 1 },
	{ KEY_QUADRANT, ANY, false, 0, 3 },
	{ KEY_ACCESS, ANY, false, 0, 7 },
	{ KEY_OBSOLETE, ANY, false, 0, 1 },
};

/* False: the word names a table's place. */
static bool constant(const struct parse *p, struct word word, u64 *ret)
{
	struct expr_env env = { .scenario = p->scenario, .stmt = this_stmt(p), .no_tables = true };
	struct expr_error e;

	return !expr_eval(&env, word, ret, &e);
}

/* The value of an argument that is given and is known by now. */
static bool given(const struct parse *p, enum key_id key, const struct arg **arg_ret, u64 *ret)
{
	*arg_ret = stmt_arg(p->scenario, p->stmt, key);
	return *arg_ret && constant(p, (*arg_ret)->text, ret);
}

/* What a message calls an argument: one with a place of its own has no name in the text. */
static const char *shown_key(const struct parse *p, u32 key)
{
	const struct verb *verb = &ms_verbs[p->stmt->verb];

	return list_has(verb->keys, ms_keys[key].id) ? ms_keys[key].name : verb->words;
}

static const struct bound *bound_of(u32 verb, u32 key)
{
	u32 i;

	for (i = 0; i < LEN(bounds); i++)
		if (bounds[i].key == key &&
		    (bounds[i].verb == verb ||
		     (bounds[i].verb == ANY && !(bounds[i].acts && ms_verbs[verb].group == GROUP_EXPECT))))
			return &bounds[i];
	return NULL;
}

static struct ms_err *check_bounds(struct parse *p)
{
	const struct bound *bound;
	const struct arg *arg;
	u64 value;
	u32 i;

	for (i = 0; i < p->stmt->nr_args; i++) {
		arg = &p->scenario->args[p->stmt->first_arg + i];
		bound = arg->key < NR_KEYS ? bound_of(p->stmt->verb, arg->key) : NULL;
		if (!bound || !constant(p, arg->text, &value) ||
		    (value >= bound->least && value <= bound->most))
			continue;
		if (bound->most == 1)
			return parse_error(p, arg->text.col, "%s: %llu is neither 0 nor 1",
					   shown_key(p, arg->key), (unsigned long long)value);
		if (bound->most >> 32)
			return parse_error(p, arg->text.col, "%s: 0x%llx is more than 0x%llx",
					   shown_key(p, arg->key), (unsigned long long)value,
					   (unsigned long long)bound->most);
		return parse_error(p, arg->text.col, "%s: %llu is not %llu to %llu", shown_key(p, arg->key),
				   (unsigned long long)value, (unsigned long long)bound->least,
				   (unsigned long long)bound->most);
	}
	return NULL;
}

static struct ms_err *check_vcpu(struct parse *p)
{
	const struct arg *arg;
	u64 vcpu;

	if (!given(p, KEY_VCPU, &arg, &vcpu) || vcpu < p->nr_vcpus)
		return NULL;
	return ms_err_hint(parse_error(p, arg->text.col, "there is no vCPU %llu: the machine has %u",
				       (unsigned long long)vcpu, p->nr_vcpus),
			   "machine ... vcpus=N, up to %d", MS_SCENARIO_MAX_VCPUS);
}

static bool is_access(u32 verb)
{
	return verb == VERB_READ || verb == VERB_WRITE || verb == VERB_EMULATE_READ ||
	       verb == VERB_EMULATE_WRITE || verb == VERB_PROBE_READ || verb == VERB_PROBE_WRITE;
}

/* bytes= is what the statement takes, value= fits, and all of it lies in one page. */
static struct ms_err *check_bytes(struct parse *p)
{
	bool access = is_access(p->stmt->verb), memory;
	const struct arg *arg, *at;
	u64 bytes = 8, value;

	memory = p->stmt->verb == VERB_POKE || p->stmt->verb == VERB_HOST_WRITE ||
		 p->stmt->verb == VERB_X_MEMORY;
	if (!access && !memory)
		return NULL;
	if (stmt_arg(p->scenario, p->stmt, KEY_BYTES) && !given(p, KEY_BYTES, &arg, &bytes))
		return NULL;
	if (access && bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
		return parse_error(p, arg->text.col, "bytes: %llu is none of 1, 2, 4, 8",
				   (unsigned long long)bytes);
	if (!bytes || bytes > 8)
		return parse_error(p, arg->text.col, "bytes: %llu is not 1 to 8", (unsigned long long)bytes);
	if (given(p, KEY_VALUE, &arg, &value) && bytes < 8 && value >> 8 * bytes)
		return parse_error(p, arg->text.col, "value: 0x%llx does not fit into %llu byte%s",
				   (unsigned long long)value, (unsigned long long)bytes,
				   bytes == 1 ? "" : "s");
	if (given(p, access ? KEY_ADDR : KEY_GPA, &at, &value) && (value & 0xfff) + bytes > 0x1000)
		return parse_error(p, at->text.col, "%llu bytes at 0x%llx cross a page",
				   (unsigned long long)bytes, (unsigned long long)value);
	return NULL;
}

bool table_has_addr(enum table_kind kind, u64 addr)
{
	switch (kind) {
	case KIND_EPT4:
		return !(addr >> 48);
	case KIND_EPT5:
		return !(addr >> 57);
	case KIND_PT32:
	case KIND_PTPAE:
		return !(addr >> 32);
	case KIND_PT64:
		return !(addr >> 47) || addr >> 47 == 0x1ffff;
	case KIND_PTLA57:
		return !(addr >> 56) || addr >> 56 == 0xff;
	}
	return false;
}

/* The address lies within the table; what is mapped begins and ends at pages. */
static struct ms_err *check_table(struct parse *p)
{
	const struct arg *table = stmt_arg(p->scenario, p->stmt, KEY_TABLE), *arg;
	u64 value, pages, level, step, last;
	enum table_kind kind;

	if (!table || table->num >= p->scenario->nr_tables || !stmt_arg(p->scenario, p->stmt, KEY_ADDR))
		return NULL;
	kind = (enum table_kind)p->scenario->tables[table->num].kind;
	if (p->stmt->verb == VERB_MAP && given(p, KEY_GPA, &arg, &value) && value & 0xfff)
		return parse_error(p, arg->text.col, "gpa: 0x%llx is no address of a page",
				   (unsigned long long)value);
	if (!given(p, KEY_ADDR, &arg, &value))
		return NULL;
	if (p->stmt->verb == VERB_MAP && value & 0xfff)
		return parse_error(p, arg->text.col, "addr: 0x%llx is no address of a page",
				   (unsigned long long)value);
	if (!table_has_addr(kind, value))
		return parse_error(p, arg->text.col, "0x%llx is no address that '%.*s' translates",
				   (unsigned long long)value, shown(table->text), table->text.s);
	if (p->stmt->verb != VERB_MAP)
		return NULL;
	pages = level = 1;
	if ((stmt_arg(p->scenario, p->stmt, KEY_PAGES) && !given(p, KEY_PAGES, &table, &pages)) ||
	    (stmt_arg(p->scenario, p->stmt, KEY_LEVEL) && !given(p, KEY_LEVEL, &table, &level)))
		return NULL;
	step = kind == KIND_PT32 && level == 2 ? 4ULL << 20 : 4096ULL << 9 * (level - 1);
	last = value + step * (pages - 1);
	if (last < value || !table_has_addr(kind, last))
		return parse_error(p, arg->text.col,
				   "%llu pages from 0x%llx are more than the table translates",
				   (unsigned long long)pages, (unsigned long long)value);
	return NULL;
}

static struct ms_err *check_pool(struct parse *p)
{
	const struct arg *pool = stmt_arg(p->scenario, p->stmt, KEY_POOL);
	struct word first, pages;
	u64 value;

	if (!pool || !range_split(pool->text, &first, &pages))
		return NULL;
	if (constant(p, first, &value) && value >> 40)
		return parse_error(p, first.col, "pool: frame 0x%llx is not below 2^40",
				   (unsigned long long)value);
	if (constant(p, pages, &value) && (value < 1 || value > MS_SCENARIO_MAX_TIMES))
		return parse_error(p, pages.col, "pool: %llu is not 1 to %u pages", (unsigned long long)value,
				   MS_SCENARIO_MAX_TIMES);
	return NULL;
}

static struct ms_err *check_machine(struct parse *p)
{
	const struct arg *arg;
	u64 value;

	p->nr_vcpus = 1;
	if (given(p, KEY_VCPUS, &arg, &value))
		p->nr_vcpus = (u32)value;
	if (given(p, KEY_TLB, &arg, &value) && value & (value - 1))
		return parse_error(p, arg->text.col, "tlb: %llu is no power of two",
				   (unsigned long long)value);
	return NULL;
}

/* An outcome is one of an action. */
static struct ms_err *check_outcome(struct parse *p)
{
	u32 verb = p->stmt->verb;

	if (verb < VERB_X_DONE || verb > VERB_X_OLD || (p->acted && (p->acted_at || !p->stmt->inner)))
		return NULL;
	if (p->stmt->inner)
		return parse_error(p, p->stmt->col, "no action `at POINT do' comes before it");
	if (p->has_slot && verb != VERB_X_DONE)
		return NULL;
	return parse_error(p, p->stmt->col, "no action comes before it");
}

/* One of the two actions of an interleave: neither may be in the way of the other (nmmu.h, Threads). */
struct ms_err *check_half(struct parse *p)
{
	const struct stmt *stmt = p->stmt;
	const struct verb *verb = &ms_verbs[stmt->verb];
	const struct arg *by = stmt_arg(p->scenario, stmt, KEY_BY), *arg;
	bool slots = stmt->verb == VERB_SLOT || stmt->verb == VERB_LOG_MODE || stmt->verb == VERB_LOG_GET ||
		     stmt->verb == VERB_LOG_CLEAR;
	u64 vcpu = 0;

	if (verb->group != GROUP_ACT || stmt->verb == VERB_REPEAT || stmt->verb == VERB_INTERLEAVE)
		return parse_error(p, stmt->col, "`interleave' takes two actions, not `%s'", verb->words);
	if (stmt->point || stmt->only_with || stmt->only_without)
		return parse_error(p, stmt->col, "an action of `interleave' stands alone");
	if (++p->halves > 2)
		return parse_error(p, stmt->col, "`interleave' takes two actions, this is another");
	if (slots && p->half_slots)
		return parse_error(p, stmt->col, "both hold the slots: a VMM must not do that either");
	p->half_slots |= slots;
	if (!list_has(verb->keys, "VCPU") || (by && by->num))
		return NULL;
	if (stmt_arg(p->scenario, stmt, KEY_VCPU) && !given(p, KEY_VCPU, &arg, &vcpu))
		return parse_error(p, stmt->col, "vcpu: a plain number here");
	if (p->half_vcpus & 1u << vcpu)
		return ms_err_hint(
			parse_error(p, stmt->col, "both are of vCPU %llu", (unsigned long long)vcpu),
			"say vcpu= of one of them");
	p->half_vcpus |= 1u << vcpu;
	return NULL;
}

struct ms_err *parse_check(struct parse *p)
{
	struct stmt *stmt = p->stmt;
	struct ms_err *err = check_bounds(p);

	if (!err && stmt->verb == VERB_MACHINE)
		err = check_machine(p);
	if (!err)
		err = check_vcpu(p);
	if (!err)
		err = check_bytes(p);
	if (!err)
		err = check_table(p);
	if (!err)
		err = check_pool(p);
	if (!err)
		err = check_outcome(p);
	/* A memslot that is made says nothing of it: only what comes of one that is refused. */
	p->has_slot |= stmt->verb == VERB_SLOT;
	p->acted |= ms_verbs[stmt->verb].group == GROUP_ACT && stmt->verb != VERB_SLOT &&
		    stmt->verb != VERB_REPEAT;
	p->acted_at |= stmt->point || stmt->verb == VERB_INTERLEAVE;
	return err;
}
