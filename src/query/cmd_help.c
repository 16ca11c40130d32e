/* SPDX-License-Identifier: GPL-2.0-or-later */
/* help, targets, version: what the program says about itself, all of it from the tables. */
#include "config.h"

#include "query/private.h"

#include <stdlib.h>
#include <string.h>

#include "nmmu/nmmu.h"

/* --- commands and options --- */

static const struct ms_column command_cols[] = {
	{ "command", "COMMAND", MS_V_TEXT },
	{ "arguments", "ARGUMENTS", MS_V_TEXT },
	{ "summary", "WHAT IT SHOWS OR DOES", MS_V_TEXT },
};

static void command_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	(void)section;
	cell_text(&cells, ms_commands[row].name)->style = MS_STYLE_ACCENT;
	cell_text(&cells, *ms_commands[row].args ? ms_commands[row].args : NULL);
	cell_text(&cells, ms_commands[row].summary);
}

static const struct ms_column option_cols[] = {
	{ "option", "OPTION", MS_V_TEXT },
	{ "letter", "SHORT", MS_V_TEXT },
	{ "argument", "VALUE", MS_V_TEXT },
	{ "help", "MEANING", MS_V_TEXT },
};

static void option_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const u8 *ids = section->ctx;
	const struct ms_option *opt = &ms_options[ids[row]];
	struct ms_cell *cell;

	cell = cell_text(&cells, "--");
	ms_buf_puts(&cell->text, opt->name);
	cell->style = MS_STYLE_ACCENT;
	if (opt->letter) {
		cell = cell_text(&cells, "-");
		ms_buf_putc(&cell->text, opt->letter);
	} else {
		cell_none(&cells);
	}
	cell_text(&cells, opt->arg);
	cell_text(&cells, opt->help);
}

static struct ms_err *options_add(struct query *q, u64 which)
{
	struct ms_section *section;
	u8 *ids = calloc(MS_NR_OPTS, 1);
	size_t nr = 0, i;

	if (!ids)
		return ms_err_nomem();
	for (i = 0; i < MS_NR_OPTS; i++)
		if (which & 1ull << i)
			ids[nr++] = (u8)i;
	section =
		section_add(q, "options", "Options", true, option_cols, MS_LEN(option_cols), nr, option_row);
	if (!section) {
		free(ids);
		return ms_err_nomem();
	}
	section->ctx = section->owned = ids;
	return NULL;
}

static const struct ms_column one_cols[] = {
	{ "usage", "usage", MS_V_TEXT },
	{ "summary", "what", MS_V_TEXT },
	{ "detail", "more", MS_V_TEXT },
};

static void one_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_command *command = section->ctx;
	struct ms_cell *cell = cell_text(&cells, "mmuscope ");

	(void)row;
	ms_buf_printf(&cell->text, "%s%s%s [OPTION...]", command->name, *command->args ? " " : "",
		      command->args);
	cell_text(&cells, command->summary);
	cell_text(&cells, *command->detail ? command->detail : NULL);
}

static struct ms_err *help_command(struct query *q, const struct ms_command *command)
{
	struct ms_section *section =
		section_add(q, "help", "Command", false, one_cols, MS_LEN(one_cols), 1, one_row);

	if (!section)
		return ms_err_nomem();
	section->ctx = command;
	return options_add(q, command->opts);
}

/* --- other topics: name, kind, meaning --- */

static const struct ms_column topic_cols[] = {
	{ "name", "NAME", MS_V_TEXT },
	{ "kind", "KIND", MS_V_TEXT },
	{ "meaning", "MEANING", MS_V_TEXT },
};

static const char *const page_state_texts[] = {
	[MS_SP_CONFIRMED] = "same header before and after the copy, and still this VM's afterwards",
	[MS_SP_TORN] = "it, its links or its translations changed while they were copied",
	[MS_SP_UNLINKED] = "no longer reached from this VM after the copy",
	[MS_SP_UNREADABLE] = "some part could not be read",
};

static const char *const class_texts[] = {
	[SPTE_CLASS_UNKNOWN] = "the profile cannot explain the value",
	[SPTE_CLASS_NONPRESENT] = "nothing is mapped",
	[SPTE_CLASS_MMIO] = "no memory behind it: each access exits",
	[SPTE_CLASS_FROZEN] = "TDP MMU: being changed, or in a removed table",
	[SPTE_CLASS_TABLE] = "points to a lower table",
	[SPTE_CLASS_LEAF] = "maps a page",
};

static const char *const wstate_texts[] = {
	"host-writable, MMU-writable, W: writable",
	"host-writable, MMU-writable, W clear: protected for dirty logging",
	"host-writable only: shadowed table, or the guest grants no write, or its D bit is clear",
	"the host has the page read-only",
	"access-tracked: R, W and X taken away",
	"a combination of the three that KVM never makes",
};

/* Behind the states: the columns beside them, and what column `why' says. */
static const char *const beside_texts[][3] = {
	{ "translation", "column",
	  "indirect pages: what KVM stored beside the entry, L1 frame << 12 | guest_access" },
	{ "guest_access", "column",
	  "indirect pages: what the guest's tables grant, as stored; W is also missing while the guest's D bit is "
	  "clear" },
	{ "why", "column",
	  "why a leaf grants no write, where what was read proves it; else nothing. It cannot tell a leaf that KVM "
	  "tracks for someone else, a huge one under an initially-all-set dirty log, nor what made AT" },
	{ "host", "why", "RO: the host's page or slot is read-only" },
	{ "dirty-log", "why",
	  "DL with A/D bits: protected for dirty logging (or a write-protect-only entry)" },
	{ "guest-denies", "why",
	  "WP: a table of the guest's above the entry, or the entry, grants no write" },
	{ "guest-no-w", "why",
	  "WP: guest_access has no W: the guest's entry grants no write, or its D bit is clear" },
	{ "shadowed-table", "why",
	  "WP: the frame, or one in a huge leaf, is a guest table that a valid, current, synced page shadows" },
};

static void state_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const size_t nr = MS_LEN(page_state_texts) + MS_LEN(class_texts) + MS_LEN(wstate_texts);
	size_t i = row;

	(void)section;
	if (i >= nr) {
		cell_text(&cells, beside_texts[i - nr][0])->style = MS_STYLE_ACCENT;
		cell_text(&cells, beside_texts[i - nr][1]);
		cell_text(&cells, beside_texts[i - nr][2]);
		return;
	}
	cell_text(&cells, state_name_at(row))->style = MS_STYLE_ACCENT;
	if (i < MS_LEN(page_state_texts)) {
		cell_text(&cells, "page");
		cell_text(&cells, page_state_texts[i]);
		return;
	}
	i -= MS_LEN(page_state_texts);
	if (i < MS_LEN(class_texts)) {
		cell_text(&cells, "entry");
		cell_text(&cells, class_texts[i]);
		return;
	}
	i -= MS_LEN(class_texts);
	cell_text(&cells, "leaf");
	cell_text(&cells, wstate_texts[i]);
}

static void role_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	(void)section;
	cell_text(&cells, role_field_name((unsigned int)row))->style = MS_STYLE_ACCENT;
	cell_text(&cells, role_field_word((unsigned int)row) == ROLE_BASE ? "page" : "cpu");
	cell_text(&cells, role_field_meaning((unsigned int)row));
}

static void format_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct spte_profile *p = spte_profile_at((unsigned int)row);

	(void)section;
	cell_text(&cells, p->name)->style = MS_STYLE_ACCENT;
	cell_text(&cells, p->format == SPTE_FMT_EPT ? "ept" : "pt");
	cell_text(&cells, p->format == SPTE_FMT_EPT
				  ? "two-dimensional paging on VMX"
				  : "nested paging on SVM and shadow paging, which KVM writes alike");
}

static const char *const exit_texts[][2] = {
	{ "0", "fine" },
	{ "1", "a finding: doctor says that the live target cannot be used" },
	{ "1", "audit: something counts that no invariant allows" },
	{ "1", "stuck: a fault comes again and again, or events were lost" },
	{ "1", "run: an expectation of a scenario failed" },
	{ "1", "diff: something differs, or could not be compared" },
	{ "1", "an answer about shadow pages is not complete: the VM ended while it was read, or its list "
	       "of pages could not be followed to the end" },
	{ "2", "the words of the call are off" },
	{ "3", "the target cannot be read, or the output cannot be written" },
};

static void exit_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	(void)section;
	cell_text(&cells, exit_texts[row][0])->style = MS_STYLE_ACCENT;
	cell_text(&cells, "exit");
	cell_text(&cells, exit_texts[row][1]);
}

/* --- the bug switches --- */

static const struct ms_column bug_cols[] = {
	{ "name", "BUG", MS_V_TEXT },
	{ "seed", "SEED", MS_V_COUNT, .flags = MS_COL_SKIP },
	{ "wrong", "WHAT IS WRONG", MS_V_TEXT },
	{ "harm", "WHAT COMES OF IT", MS_V_TEXT },
	{ "see", "TO SEE IT", MS_V_TEXT },
};

static void bug_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	static const struct {
		const char *name, *wrong, *harm;
		u32 seed;
	} bugs[] = {
#define NMMU_BUG(id, name, seed, text, harm) { name, text, harm, seed },
#include "nmmu/bugs.def"
#undef NMMU_BUG
	};

	(void)section;
	cell_text(&cells, bugs[row].name)->style = MS_STYLE_ACCENT;
	cell_count(&cells, bugs[row].seed);
	cell_text(&cells, bugs[row].wrong);
	cell_text(&cells, bugs[row].harm);
	ms_buf_printf(&cell_text(&cells, "")->text, "mmuscope run tests/scenarios/bug-%s.scn",
		      bugs[row].name);
}

static struct ms_err *help_topic(struct query *q, const char *topic)
{
	const struct ms_command *command = ms_command_find(topic);
	void (*row)(const struct ms_section *section, size_t row, struct ms_cell *cells) = NULL;
	const char *title = "", *nearest;
	struct ms_err *err;
	size_t nr = 0;

	if (!strcmp(topic, "options"))
		return options_add(q, ~0ull);
	if (!strcmp(topic, "bugs"))
		return section_add(q, "bugs", "Bugs of KVM's past, as switches: run --bug, -T sim:bug=", true,
				   bug_cols, MS_LEN(bug_cols), NMMU_NR_BUGS, bug_row)
			       ? NULL
			       : ms_err_nomem();
	if (!strcmp(topic, "states")) {
		row = state_row;
		title = "States";
		while (state_name_at(nr))
			nr++;
		nr += MS_LEN(beside_texts);
	} else if (!strcmp(topic, "role")) {
		row = role_row;
		title = "Role fields";
		nr = ROLE_NR_FIELDS;
	} else if (!strcmp(topic, "formats")) {
		row = format_row;
		title = "Formats";
		nr = SPTE_NR_PROFILES;
	} else if (!strcmp(topic, "exit")) {
		row = exit_row;
		title = "Exit statuses";
		nr = MS_LEN(exit_texts);
	}
	if (!command && !row) {
		nearest = ms_command_nearest(topic);
		err = ms_err_new(MS_ERR_USAGE, "help: there is none on '%s'", topic);
		return nearest ? ms_err_hint(err, "did you mean `help %s'?", nearest)
			       : ms_err_hint(
					 err,
					 "see `help'; topics: options, states, role, formats, bugs, exit");
	}
	err = command ? help_command(q, command) : NULL;
	if (!err && row && !section_add(q, "topic", title, true, topic_cols, MS_LEN(topic_cols), nr, row))
		err = ms_err_nomem();
	return err;
}

struct ms_err *query_run_help(struct query *q)
{
	if (q->args->nr_args)
		return help_topic(q, q->args->args[0]);
	if (!section_add(q, "commands", "Commands", true, command_cols, MS_LEN(command_cols), MS_NR_CMDS,
			 command_row))
		return ms_err_nomem();
	return options_add(q, ~0ull);
}

/* --- targets --- */

static const struct ms_column target_cols[] = {
	{ "target", "TARGET", MS_V_TEXT },
	{ "summary", "WHAT IT IS", MS_V_TEXT },
};

static void target_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	(void)section;
	cell_text(&cells, ms_target_list[row]->name)->style = MS_STYLE_ACCENT;
	cell_text(&cells, ms_target_list[row]->summary);
}

struct ms_err *query_run_targets(struct query *q)
{
	size_t nr = 0;

	while (ms_target_list[nr])
		nr++;
	return section_add(q, "targets", "Targets", true, target_cols, MS_LEN(target_cols), nr, target_row)
		       ? NULL
		       : ms_err_nomem();
}

/* --- version --- */

static const struct ms_column version_cols[] = {
	{ "version", "mmuscope", MS_V_TEXT },
	{ "bpf", "live target", MS_V_BOOL },
	{ "tui", "terminal interface", MS_V_BOOL },
	{ "readline", "line editing", MS_V_BOOL },
	{ "libdw", "DWARF", MS_V_BOOL },
};

static void version_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	bool bpf = false, tui = false, readline = false, libdw = false;

#ifdef WITH_BPF
	bpf = true;
#endif
#ifdef WITH_TUI
	tui = true;
#endif
#ifdef WITH_READLINE
	readline = true;
#endif
#ifdef WITH_LIBDW
	libdw = true;
#endif
	(void)section;
	(void)row;
	cell_text(&cells, PACKAGE_VERSION);
	cell_bool(&cells, bpf);
	cell_bool(&cells, tui);
	cell_bool(&cells, readline);
	cell_bool(&cells, libdw);
}

struct ms_err *query_run_version(struct query *q)
{
	return section_add(q, "version", "Version", false, version_cols, MS_LEN(version_cols), 1, version_row)
		       ? NULL
		       : ms_err_nomem();
}
