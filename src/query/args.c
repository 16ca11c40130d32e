/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words to struct ms_args. Everything is strict: a number is all of its word, an option that a command does
 * not know, is given twice or contradicts another is an error. Options may stand anywhere; `--' ends them.
 */
#include "query/private.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "abi/event_desc.h"
#include "audit/audit.h"
#include "scenario/scenario.h"

#define WORDS_MAX 64

/* How an option is written, "--by KEY,...". */
static struct ms_err *write_it(struct ms_err *err, enum ms_opt_id opt)
{
	const char *arg = ms_options[opt].arg;

	return ms_err_hint(err, "write --%s%s%s", ms_options[opt].name, arg ? " " : "", arg ? arg : "");
}

static struct ms_err *bad_value(enum ms_opt_id opt, const char *word, const char *hint)
{
	return ms_err_hint(
		ms_err_new(MS_ERR_USAGE, "--%s: '%s' is not a value for it", ms_options[opt].name, word),
		"%s", hint);
}

/* A, A-B (B excluded), A+N. */
static struct ms_err *parse_gfn(enum ms_opt_id opt, const char *word, u64 *start_ret, u64 *end_ret)
{
	return ms_parse_gfns(word, start_ret, end_ret)
		       ? NULL
		       : bad_value(
				 opt, word,
				 "a frame number A, a range A-B without B, or A+N for N frames, e.g. 0x100-0x200");
}

/* A, A-B (B excluded), A+N: bytes of any address space. */
static struct ms_err *parse_address(const char *word, struct ms_filter *f)
{
	size_t at = strcspn(word, "-+");
	char first[24];
	u64 a, b, nr = 1;

	if (at >= sizeof(first))
		goto bad;
	memcpy(first, word, at);
	first[at] = '\0';
	if (!ms_parse_u64(first, ~0ull, &a))
		goto bad;
	if (word[at] == '-') {
		if (!ms_parse_u64(word + at + 1, ~0ull, &b) || b <= a)
			goto bad;
		nr = b - a;
	} else if (word[at] && (!ms_parse_u64(word + at + 1, ~0ull, &nr) || !nr)) {
		goto bad;
	}
	if (nr - 1 > ~0ull - a)
		goto bad;
	f->has_address = true;
	f->address_first = a;
	f->address_last = a + (nr - 1);
	return NULL;
bad:
	return bad_value(MS_OPT_ADDRESS, word,
			 "an address A, a range A-B without B, or A+N for N bytes, e.g. 0x326240a123");
}

static struct ms_err *parse_mmu(const char *word, struct ms_filter *f)
{
	u32 which;

	for (which = 0; which <= MS_MMU_NESTED; which++)
		if (!strcmp(word, ms_mmu_name(which))) {
			f->has_mmu = true;
			f->mmu = which;
			return NULL;
		}
	return bad_value(MS_OPT_MMU, word, "root, guest or nested");
}

static struct ms_err *parse_bugs(const char *words, u32 *ret)
{
	const char *word = words;
	size_t len;
	u32 bug;

	for (*ret = 0;; word += len + 1) {
		len = strcspn(word, ",");
		if (!ms_bug_find(word, len, &bug) || *ret & 1u << bug)
			return bad_value(MS_OPT_BUG, words, "`mmuscope help bugs' has them, each once");
		*ret |= 1u << bug;
		if (!word[len])
			return NULL;
	}
}

static struct ms_err *parse_access(const char *word, struct ms_args *args)
{
	const char *at;
	u32 kinds = 0;

	for (at = word; *at && strchr("rwxu", *at); at++) {
		args->write |= *at == 'w';
		args->fetch |= *at == 'x';
		args->user |= *at == 'u';
		kinds += *at != 'u';
	}
	if (*at || kinds > 1)
		return bad_value(MS_OPT_ACCESS, word, "one of r, w, x, and u for a user's, e.g. wu");
	return NULL;
}

static struct ms_err *parse_rows(const char *words, struct ms_args *args)
{
	size_t len;
	u32 row;

	for (;; words += len + 1) {
		len = strcspn(words, ",");
		row = ms_audit_find(words, len);
		if (!row)
			return ms_err_hint(
				ms_err_new(MS_ERR_USAGE, "--row %.*s: no invariant", (int)len, words),
				"a number from 1 to %u, or a name of `audit --list'", MS_AUDIT_ROWS);
		args->rows |= 1ull << row;
		if (!words[len])
			return NULL;
	}
}

static struct ms_err *parse_severity(const char *word, struct ms_args *args)
{
	for (args->severity = MS_AUDIT_LOW; args->severity <= MS_AUDIT_CRITICAL; args->severity++)
		if (!strcmp(word, ms_audit_severity_name((enum ms_audit_severity)args->severity)))
			return NULL;
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "--severity %s: no severity", word),
			   "low, medium, high or critical");
}

static struct ms_err *no_event(const char *word, size_t len)
{
	const char *nearest = event_nearest(word, len);
	struct ms_err *err = ms_err_new(MS_ERR_USAGE, "--event: '%.*s' is no event", (int)len, word);

	return nearest ? ms_err_hint(err, "did you mean `%s'?", nearest)
		       : ms_err_hint(err, "`mmuscope events --list' has them");
}

static struct ms_err *parse_events(const char *words, struct ms_args *args)
{
	size_t len;
	u32 id;

	for (;;) {
		len = strcspn(words, ",");
		id = ms_event_find(words, len);
		if (!id)
			return no_event(words, len);
		args->events |= 1ull << id;
		if (!words[len])
			return NULL;
		words += len + 1;
	}
}

static struct ms_err *parse_by(const char *words, u32 *ret)
{
	const char *word = words;
	size_t len;
	u32 bit;

	for (*ret = 0;; word += len + 1) {
		len = strcspn(word, ",");
		bit = event_key_find(word, len);
		if (!bit)
			return ms_err_hint(ms_err_new(MS_ERR_USAGE, "--by: '%.*s' is nothing to count by",
						      (int)len, word),
					   "event, vm, vcpu, guest, cause, gfn, level or ret");
		if (*ret & bit)
			return ms_err_hint(
				ms_err_new(MS_ERR_USAGE, "--by: %.*s is given twice", (int)len, word),
				"leave one of them out");
		*ret |= bit;
		if (!word[len])
			return NULL;
	}
}

static struct ms_err *parse_color(const char *word, enum ms_color *ret)
{
	if (!strcmp(word, "auto"))
		*ret = MS_COLOR_AUTO;
	else if (!strcmp(word, "always"))
		*ret = MS_COLOR_ALWAYS;
	else if (!strcmp(word, "never"))
		*ret = MS_COLOR_NEVER;
	else
		return bad_value(MS_OPT_COLOR, word, "auto, always or never");
	return NULL;
}

/* Seconds with up to three decimals, as milliseconds. */
static struct ms_err *parse_interval(enum ms_opt_id opt, const char *word, u32 *ret)
{
	static const char digits[] = "0123456789";
	size_t whole = strspn(word, digits), point = word[whole] == '.';
	size_t decimals = point ? strspn(word + whole + 1, digits) : 0;
	char text[16] = "";
	u64 ms;

	if (!word[whole + point + decimals] && whole <= 5 && decimals <= 3 && point == !!decimals) {
		memcpy(text, word, whole);
		memcpy(text + whole, word + whole + point, decimals);
		memcpy(text + whole + decimals, "000", 3 - decimals);
	}
	if (!ms_parse_u64(text, MS_WATCH_MS_MAX, &ms) || ms < MS_WATCH_MS_MIN)
		return bad_value(opt, word, "a number of seconds from 0.1 to 86400, e.g. 5 or 0.5");
	*ret = (u32)ms;
	return NULL;
}

/* word is args' own storage, or NULL for an option without argument. */
static struct ms_err *take_option(struct ms_args *args, enum ms_opt_id opt, const char *word)
{
	u64 number;

	if (args->given & 1ull << opt)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "--%s: given twice", ms_options[opt].name),
				   "leave one of them out");
	if (word && !*word)
		return write_it(ms_err_new(MS_ERR_USAGE, "--%s: its value is empty", ms_options[opt].name),
				opt);
	args->given |= 1ull << opt;
	switch (opt) {
	case MS_OPT_TARGET:
		args->target = word;
		return NULL;
	case MS_OPT_VM:
		args->vm = word;
		return NULL;
	case MS_OPT_VM_B:
		args->vm_b = word;
		return NULL;
	case MS_OPT_GFN:
		args->filter.has_gfn = true;
		return parse_gfn(opt, word, &args->filter.gfn_start, &args->filter.gfn_end);
	case MS_OPT_CHECK:
		return parse_gfn(opt, word, &args->check_start, &args->check_end);
	case MS_OPT_ADDRESS:
		return parse_address(word, &args->filter);
	case MS_OPT_LEVEL:
		if (!ms_parse_u64(word, SPTE_LEVEL_MAX, &number) || number < SPTE_LEVEL_MIN)
			return bad_value(opt, word, "a level from 1 (4 KiB entries) to 5");
		args->filter.level = (u32)number;
		return NULL;
	case MS_OPT_ROLE:
		args->filter.role = word;
		return NULL;
	case MS_OPT_STATE:
		return parse_states(word, &args->filter);
	case MS_OPT_MMU:
		return parse_mmu(word, &args->filter);
	case MS_OPT_ROOT:
		if (!ms_parse_u64(word, ~0ull, &number) || !number)
			return bad_value(
				opt, word,
				"a page's address as `mmuscope sps' shows it, e.g. 0xffff888100000000");
		args->filter.root = number;
		return NULL;
	case MS_OPT_TREE:
		args->list = false;
		return NULL;
	case MS_OPT_LIST:
		args->list = true;
		return NULL;
	case MS_OPT_VCPU:
		if (!ms_parse_u64(word, 4095, &number))
			return bad_value(opt, word, "a vCPU's number as `mmuscope vcpus' shows it, e.g. 0");
		args->has_vcpu = true;
		args->vcpu = (u32)number;
		return NULL;
	case MS_OPT_ACCESS:
		return parse_access(word, args);
	case MS_OPT_LAST:
		if (!ms_parse_u64(word, MS_EVENTS_MAX, &number) || !number)
			return bad_value(opt, word, "a number of events from 1 to 16384");
		args->last = (u32)number;
		return NULL;
	case MS_OPT_ROW:
		return parse_rows(word, args);
	case MS_OPT_SEVERITY:
		return parse_severity(word, args);
	case MS_OPT_QUICK:
		args->quick = true;
		return NULL;
	case MS_OPT_GUEST:
		args->guest = true;
		return NULL;
	case MS_OPT_WATCH:
		args->watch = true;
		args->interval_ms = MS_WATCH_MS;
		return word ? parse_interval(MS_OPT_WATCH, word, &args->interval_ms) : NULL;
	case MS_OPT_FOR:
		return parse_interval(opt, word, &args->for_ms);
	case MS_OPT_FOLLOW:
		args->follow = true;
		return NULL;
	case MS_OPT_BY:
		return parse_by(word, &args->by);
	case MS_OPT_STACK:
		args->stack = true;
		return NULL;
	case MS_OPT_PROBES:
		args->probes = true;
		return NULL;
	case MS_OPT_TRACE:
		args->trace = word;
		return NULL;
	case MS_OPT_COUNT:
		if (!ms_parse_u64(word, UINT32_MAX, &number) || !number)
			return bad_value(opt, word, "a number from 1");
		args->count = (u32)number;
		return NULL;
	case MS_OPT_SLOT:
		if (!ms_parse_u64(word, UINT16_MAX, &number))
			return bad_value(opt, word, "a memslot's number, see `mmuscope slots'");
		args->slot = (u32)number;
		return NULL;
	case MS_OPT_MIN:
		if (!ms_parse_u64(word, UINT32_MAX, &number) || number < 2)
			return bad_value(opt, word, "a number of faults from 2");
		args->min = (u32)number;
		return NULL;
	case MS_OPT_EVENT:
		return parse_events(word, args);
	case MS_OPT_FORMAT:
		args->format = word;
		return spte_profile_by_name(word) ? NULL
						  : bad_value(opt, word, "see `mmuscope help formats'");
	case MS_OPT_LAYOUT:
		args->layout = word;
		return !strcmp(word, "page") || !strcmp(word, "cpu") ? NULL
								     : bad_value(opt, word, "page or cpu");
	case MS_OPT_JSON:
		args->json = true;
		return NULL;
	case MS_OPT_PRETTY:
		args->json = args->pretty = true;
		return NULL;
	case MS_OPT_REDACT:
		args->redact = true;
		return NULL;
	case MS_OPT_COLOR:
		return parse_color(word, &args->color);
	case MS_OPT_NO_HEADER:
		args->no_header = true;
		return NULL;
	case MS_OPT_WRITE:
		args->may_write = true;
		return NULL;
	case MS_OPT_MAY_KILL:
		args->may_kill = true;
		return NULL;
	case MS_OPT_FORCE:
		args->force = true;
		return NULL;
	case MS_OPT_BUG:
		return parse_bugs(word, &args->bugs);
	case MS_OPT_BUFFER_PAGES:
		if (!ms_parse_u64(word, 1u << 20, &number) || !number)
			return bad_value(opt, word, "a number of pages from 1 to 1048576");
		args->buffer_pages = (u32)number;
		return NULL;
	case MS_OPT_TYPES:
		args->types = word;
		return *word ? NULL : bad_value(opt, word, "auto, btf, dwarf, a directory or debug files");
	case MS_OPT_FRAME:
	case MS_OPT_HELP:
	case MS_OPT_VERSION:
		return NULL;
	case MS_NR_OPTS:
		break;
	}
	return ms_err_new(MS_ERR_BUG, "option %d is not in the table", (int)opt);
}

static struct ms_err *check_pair(const struct ms_args *args, enum ms_opt_id a, enum ms_opt_id b)
{
	u64 both = 1ull << a | 1ull << b;

	if ((args->given & both) != both)
		return NULL;
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "--%s and --%s contradict each other", ms_options[a].name,
				      ms_options[b].name),
			   "leave one of them out");
}

/* `-T vms': the command was taken for the target. */
static bool target_is_command(const struct ms_args *args)
{
	return args->target && ms_command_find(args->target);
}

static struct ms_err *target_missing(const struct ms_args *args)
{
	return ms_err_hint(
		ms_err_new(MS_ERR_USAGE,
			   "--target: there is no target '%s', which is a command: SPEC is missing",
			   args->target),
		"write -T live, -T snap:FILE or -T sim before it");
}

static bool is_events(const struct ms_args *args)
{
	return args->command == &ms_commands[MS_CMD_ID_events];
}

static struct ms_err *events_need_by(const char *option)
{
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "events: --%s is for --by", option),
			   "e.g. --by event,cause --%s", option);
}

/* What of `events' goes with what. */
static struct ms_err *check_events(const struct ms_args *args)
{
	static const enum ms_opt_id alone[] = { MS_OPT_FOLLOW, MS_OPT_STACK, MS_OPT_TRACE };
	struct ms_err *err = NULL;
	size_t i;

	if (!is_events(args))
		return NULL;
	if (args->watch && !args->by)
		return events_need_by(ms_options[MS_OPT_WATCH].name);
	if (args->count && args->by && !args->watch)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "events: --count and --by: there is but one round"),
			"--for ends it, or --watch makes rounds of it");
	for (i = 0; i < MS_LEN(alone) && !err; i++)
		err = check_pair(args, MS_OPT_BY, alone[i]);
	for (i = 0; i < MS_LEN(alone) && !err; i++)
		err = check_pair(args, MS_OPT_LIST, alone[i]);
	if (!err)
		err = check_pair(args, MS_OPT_LIST, MS_OPT_LAST);
	if (!err)
		err = check_pair(args, MS_OPT_LIST, MS_OPT_PROBES);
	if (!err)
		err = check_pair(args, MS_OPT_LIST, MS_OPT_BY);
	if (!err)
		err = check_pair(args, MS_OPT_LAST, MS_OPT_TRACE);
	if (!err && args->last && !args->by && (args->for_ms || args->stack || args->count) && !args->follow)
		err = ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "events: --last is about those that were kept before"),
			"--follow shows them, then those that happen");
	if (!err && args->force && !args->trace)
		err = write_it(ms_err_new(MS_ERR_USAGE, "events: --force is for --trace"), MS_OPT_TRACE);
	return err;
}

static bool is_wp(const struct ms_args *args)
{
	return args->command == &ms_commands[MS_CMD_ID_wp];
}

/* The words of `wp'; that it may change something is looked at when it is known what it inherits. */
static struct ms_err *check_wp(const struct ms_args *args)
{
	const char *verb = args->args[0];
	bool list;

	if (!is_wp(args) || !args->nr_args)
		return NULL;
	list = !strcmp(verb, "list");
	if (!list && strcmp(verb, "on") && strcmp(verb, "off"))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "wp: '%s' is nothing it does", verb),
				   "on, off or list");
	if (list != (args->nr_args == 1))
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "wp %s: %s", verb,
					      list ? "takes no frames" : "which frames is missing"),
				   "e.g. `wp list', `wp on 0x1a2b+4'");
	return NULL;
}

static struct ms_err *check_write(const struct ms_args *args)
{
	if (!is_wp(args) || !args->nr_args || strcmp(args->args[0], "on") || args->may_write ||
	    args->given & (1ull << MS_OPT_HELP | 1ull << MS_OPT_VERSION))
		return NULL;
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "wp on: changes a running VM, which needs --write"),
			   "mmuscope --write wp on %s", args->nr_args > 1 ? args->args[1] : "GFN");
}

/* What goes with --watch, where it is not events'. */
static struct ms_err *check_watch(const struct ms_args *args)
{
	const u64 both = 1ull << MS_OPT_WATCH | 1ull << MS_OPT_FOR;

	if (args->given & 1ull << MS_OPT_COUNT && !args->watch)
		return write_it(ms_err_new(MS_ERR_USAGE, "--count: there is but one round without --watch"),
				MS_OPT_WATCH);
	if ((args->given & both) == both)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "--watch and --for: a round lasts as long as --watch says"),
			"--watch SECONDS is each round's length, --count N ends it after so many");
	if (args->command == &ms_commands[MS_CMD_ID_audit]) {
		struct ms_err *err = check_pair(args, MS_OPT_WATCH, MS_OPT_LAST);

		return err ? err : check_pair(args, MS_OPT_LIST, MS_OPT_LAST);
	}
	return NULL;
}

static struct ms_err *check(const struct ms_args *args)
{
	const struct ms_command *command = args->command;
	struct ms_err *err;
	unsigned int i;

	err = check_pair(args, MS_OPT_TREE, MS_OPT_LIST);
	if (!err)
		err = check_pair(args, MS_OPT_MMU, MS_OPT_ROOT);
	if (!err)
		err = check_pair(args, MS_OPT_FRAME, MS_OPT_JSON);
	if (!err)
		err = check_pair(args, MS_OPT_FRAME, MS_OPT_PRETTY);
	if (!err)
		err = check_pair(args, MS_OPT_WATCH, MS_OPT_LIST);
	/* One object a line. */
	if (!err)
		err = check_pair(args, MS_OPT_WATCH, MS_OPT_PRETTY);
	if (!err)
		err = check_events(args);
	if (!err && !is_events(args) && !is_wp(args))
		err = check_watch(args);
	if (err || args->given & (1ull << MS_OPT_HELP | 1ull << MS_OPT_VERSION))
		return err;
	if (!command)
		return target_is_command(args) ? target_missing(args) : NULL;
	for (i = 0; i < MS_NR_OPTS; i++)
		if (args->given & 1ull << i && !(command->opts & 1ull << i))
			return ms_err_hint(ms_err_new(MS_ERR_USAGE, "%s: takes no --%s", command->name,
						      ms_options[i].name),
					   "see `mmuscope help %s'", command->name);
	if (args->nr_args < command->min_args || args->nr_args > command->max_args)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "%s: %s", command->name,
					      args->nr_args > command->max_args
						      ? "too many words behind it"
						      : "something is missing behind it"),
				   "usage: mmuscope %s%s%s [OPTION...]", command->name,
				   *command->args ? " " : "", command->args);
	return check_wp(args);
}

static struct ms_err *unknown_command(const char *word)
{
	const char *nearest = ms_command_nearest(word);
	struct ms_err *err = ms_err_new(MS_ERR_USAGE, "%s: no such command", word);

	return nearest ? ms_err_hint(err, "did you mean `%s'?", nearest)
		       : ms_err_hint(err, "see `mmuscope help'");
}

static struct ms_err *take_word(struct ms_args *args, const char *word)
{
	if (!args->command) {
		args->command = ms_command_find(word);
		if (args->command)
			return NULL;
		return target_is_command(args) ? target_missing(args) : unknown_command(word);
	}
	if (args->nr_args == MS_LEN(args->args))
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "%s: too many words behind it", args->command->name),
			"see `mmuscope help %s'", args->command->name);
	args->args[args->nr_args++] = word;
	return NULL;
}

/* `[NAME]': the word may be left out. getopt knows --watch=5 only; parse_words() takes a number behind it, too. */
static bool takes_word_or_not(unsigned int opt)
{
	return ms_options[opt].arg && ms_options[opt].arg[0] == '[';
}

/* getopt_long() wants arrays made from the table. An option's value is its id + 256, or its letter. */
struct getopt_tables {
	struct option longs[MS_NR_OPTS + 1];
	char shorts[4 * MS_NR_OPTS + 3];
};

static void getopt_prepare(struct getopt_tables *t)
{
	char *at = t->shorts;
	unsigned int i;

	*t = (struct getopt_tables){ 0 };
	*at++ = '-'; /* hand over other words in order */
	*at++ = ':'; /* tell a missing argument from an unknown option */
	for (i = 0; i < MS_NR_OPTS; i++) {
		t->longs[i].name = ms_options[i].name;
		t->longs[i].has_arg = !ms_options[i].arg     ? no_argument
				      : takes_word_or_not(i) ? optional_argument
							     : required_argument;
		t->longs[i].val = 256 + (int)i;
		if (!ms_options[i].letter)
			continue;
		*at++ = ms_options[i].letter;
		if (ms_options[i].arg)
			*at++ = ':';
		if (takes_word_or_not(i))
			*at++ = ':';
	}
}

static enum ms_opt_id option_of(int val)
{
	unsigned int i;

	if (val >= 256)
		return (enum ms_opt_id)(val - 256);
	for (i = 0; i < MS_NR_OPTS; i++)
		if (val && ms_options[i].letter == val)
			break;
	return (enum ms_opt_id)i;
}

static struct ms_err *getopt_error(int c, const char *word)
{
	enum ms_opt_id opt = option_of(optopt);

	if (c == ':' && opt < MS_NR_OPTS)
		return write_it(ms_err_new(MS_ERR_USAGE, "--%s: its value is missing", ms_options[opt].name),
				opt);
	if (opt < MS_NR_OPTS && optopt >= 256)
		return write_it(ms_err_new(MS_ERR_USAGE, "--%s: takes no value", ms_options[opt].name), opt);
	if (optopt)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "-%c: no such option", optopt),
				   "see `mmuscope help options'");
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "%s: no such option", word),
			   "see `mmuscope help options'");
}

static struct ms_err *parse_words(struct ms_args *args, int argc, char **argv)
{
	struct ms_err *err = NULL;
	bool interval_next = false;
	struct getopt_tables t;
	int c;

	getopt_prepare(&t);
	optind = 0; /* glibc: start over */
	opterr = 0;
	while (!err) {
		c = getopt_long(argc, argv, t.shorts, t.longs, NULL);
		if (c == -1)
			break;
		if (c == '?' || c == ':')
			err = getopt_error(c, argv[optind > 0 ? optind - 1 : 0]);
		else if (c == 1 && interval_next && strspn(optarg, "0123456789."))
			err = parse_interval(MS_OPT_WATCH, optarg, &args->interval_ms);
		else if (c == 1)
			err = take_word(args, optarg);
		else
			err = take_option(args, option_of(c), optarg);
		interval_next = c != 1 && option_of(c) == MS_OPT_WATCH && !optarg;
	}
	while (!err && optind < argc)
		err = take_word(args, argv[optind++]);
	return err ? err : check(args);
}

static void inherit(struct ms_args *args, const struct ms_args *base)
{
	if (!args->target)
		args->target = base->target;
	args->redact |= base->redact;
	args->may_write |= base->may_write;
	if (!(args->given & 1ull << MS_OPT_COLOR))
		args->color = base->color;
	if (!args->buffer_pages)
		args->buffer_pages = base->buffer_pages;
	if (!args->types)
		args->types = base->types;
}

struct ms_err *ms_args_parse(size_t nr, const char *const *words, const struct ms_args *base,
			     struct ms_args *ret)
{
	/* [0] stands for the program's name, which getopt skips; the last is NULL. */
	struct ms_args args = { .words = calloc(nr + 2, sizeof(*args.words)), .nr_words = nr + 1 };
	struct ms_err *err = NULL;
	char **argv;
	size_t i;

	argv = calloc(nr + 2, sizeof(*argv));
	if (!args.words || !argv)
		err = ms_err_nomem();
	for (i = 0; i <= nr && !err; i++) {
		args.words[i] = strdup(i ? words[i - 1] : "mmuscope");
		if (!args.words[i])
			err = ms_err_nomem();
		else
			argv[i] = args.words[i];
	}
	/* argv is a second list of the same strings: getopt may reorder it. */
	if (!err)
		err = parse_words(&args, (int)nr + 1, argv);
	free(argv);
	if (err) {
		ms_args_deinit(&args);
		return err;
	}
	if (base)
		inherit(&args, base);
	err = check_write(&args);
	if (err) {
		ms_args_deinit(&args);
		return err;
	}
	*ret = args;
	return NULL;
}

static struct ms_err *split_word(const char **at, struct ms_buf *word)
{
	const char *s = *at;
	char quote = 0;

	for (; *s; s++) {
		if (quote && *s == quote) {
			quote = 0;
		} else if (!quote && (*s == '\'' || *s == '"')) {
			quote = *s;
		} else if (*s == '\\' && quote != '\'') {
			if (!s[1])
				return ms_err_hint(
					ms_err_new(MS_ERR_USAGE, "the line ends behind a backslash"),
					"write \\\\ for one");
			ms_buf_putc(word, *++s);
		} else if (!quote && (*s == ' ' || *s == '\t')) {
			break;
		} else {
			ms_buf_putc(word, *s);
		}
	}
	if (quote)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "a quote %c is not closed", quote),
				   "close it, or write \\%c", quote);
	*at = s;
	return NULL;
}

struct ms_err *ms_args_parse_line(const char *line, const struct ms_args *base, struct ms_args *ret)
{
	struct ms_buf bufs[WORDS_MAX] = { 0 };
	const char *words[WORDS_MAX] = { 0 };
	struct ms_err *err = NULL;
	size_t nr = 0, i;

	for (;;) {
		line += strspn(line, " \t\r\n");
		if (!*line || err)
			break;
		if (nr == WORDS_MAX)
			err = ms_err_hint(
				ms_err_new(MS_ERR_USAGE, "the line has more than %d words", WORDS_MAX),
				"see `help'");
		else
			err = split_word(&line, &bufs[nr++]);
	}
	for (i = 0; i < nr && !err; i++) {
		words[i] = ms_buf_str(&bufs[i]);
		if (bufs[i].oom)
			err = ms_err_nomem();
	}
	if (!err)
		err = ms_args_parse(nr, words, base, ret);
	for (i = 0; i < nr; i++)
		ms_buf_deinit(&bufs[i]);
	return err;
}

void ms_args_deinit(struct ms_args *args)
{
	size_t i;

	for (i = 0; args->words && i < args->nr_words; i++)
		free(args->words[i]);
	free(args->words);
	*args = (struct ms_args){ 0 };
}
