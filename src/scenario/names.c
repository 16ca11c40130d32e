/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables behind the language: its keys and statements, bugs and mutants by name; what a scenario says of
 * itself.
 */
#include "scenario/lang.h"

#include <stdlib.h>
#include <string.h>

const struct key ms_keys[NR_KEYS] = {
#define KEY(id, name, type, what) [KEY_##id] = { #id, name, what, TYPE_##type },
#include "scenario/keys.def"
#undef KEY
};

const struct verb ms_verbs[NR_VERBS] = {
#define VERB(id, words, group, pos, keys, needs, usage) \
	[VERB_##id] = { words, GROUP_##group, pos, keys, needs, usage },
#include "scenario/verbs.def"
#undef VERB
};

static const char *const bug_names[] = {
#define NMMU_BUG(id, name, seed, text, harm) [NMMU_BUG_##id] = name,
#include "nmmu/bugs.def"
#undef NMMU_BUG
};

static const struct {
	const char *name, *scenario;
} mutants[] = {
	[NMMU_MUTANT_NONE] = { "", "" },
#define NMMU_MUTANT_DEF(id, name, scenario, text) [NMMU_MUTANT_##id] = { name, scenario },
#include "nmmu/mutants.def"
#undef NMMU_MUTANT_DEF
};

const char *ms_bug_name(u32 bug)
{
	return bug < LEN(bug_names) ? bug_names[bug] : NULL;
}

bool ms_bug_find(const char *name, size_t len, u32 *bug_ret)
{
	u32 i;

	for (i = 0; i < LEN(bug_names); i++)
		if (strlen(bug_names[i]) == len && !memcmp(bug_names[i], name, len)) {
			*bug_ret = i;
			return true;
		}
	return false;
}

const char *ms_mutant_name(u32 mutant)
{
	return mutant && mutant < LEN(mutants) ? mutants[mutant].name : NULL;
}

const char *ms_mutant_scenario(u32 mutant)
{
	return mutant && mutant < LEN(mutants) ? mutants[mutant].scenario : NULL;
}

bool ms_mutant_find(const char *name, u32 *mutant_ret)
{
	u32 i;

	for (i = 1; i < LEN(mutants); i++)
		if (!strcmp(mutants[i].name, name)) {
			*mutant_ret = i;
			return true;
		}
	return false;
}

void ms_scenario_destroy(struct ms_scenario *scenario)
{
	if (!scenario)
		return;
	free(scenario->name);
	free(scenario->text);
	free(scenario->title);
	free(scenario->rule);
	free(scenario->twin);
	free(scenario->stmts);
	free(scenario->args);
	free(scenario);
}

static const char *or_empty(const char *str)
{
	return str ? str : "";
}

const char *ms_scenario_title(const struct ms_scenario *scenario)
{
	return or_empty(scenario->title);
}

const char *ms_scenario_rule(const struct ms_scenario *scenario)
{
	return or_empty(scenario->rule);
}

const char *ms_scenario_twin(const struct ms_scenario *scenario)
{
	return or_empty(scenario->twin);
}

u32 ms_scenario_bugs(const struct ms_scenario *scenario)
{
	return scenario->bugs;
}

bool ms_scenario_names_kernel(const struct ms_scenario *scenario)
{
	return scenario->names_kernel;
}

u32 ms_scenario_nr_stmts(const struct ms_scenario *scenario)
{
	return (u32)scenario->nr_stmts;
}

u32 ms_scenario_nr_expects(const struct ms_scenario *scenario)
{
	return scenario->nr_expects;
}

const struct arg *stmt_arg(const struct ms_scenario *scenario, const struct stmt *stmt, enum key_id key)
{
	u32 i;

	for (i = 0; i < stmt->nr_args; i++)
		if (scenario->args[stmt->first_arg + i].key == key)
			return &scenario->args[stmt->first_arg + i];
	return NULL;
}
