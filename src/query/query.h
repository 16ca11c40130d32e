/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queries: a line of words in, a typed columnar result out. Command line, prompt and the TUI's ':' all come
 * through here, and both renderers read nothing but results. Nothing here prints or exits.
 *
 *   words --ms_args_parse--> ms_args --ms_query_run(session)--> ms_result --ms_result_row--> cells
 *   cells --render--> text, JSON
 *
 * A result is made of sections; a section is a table or one object (a table with exactly one row, shown as
 * name and value). Rows are made when they are asked for, by number, in any order.
 */
#ifndef QUERY_QUERY_H
#define QUERY_QUERY_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/model.h"
#include "target/target.h"

/* --- values --- */

enum ms_value_kind {
	MS_V_ABSENT, /* this kernel or target has no such thing: "-" in text, null in JSON */
	MS_V_COUNT, /* u, decimal; a JSON number */
	MS_V_INT, /* (s64)u, decimal; a JSON number */
	MS_V_HEX, /* u, 0x...; a JSON string */
	MS_V_BOOL, /* u; yes or no; true or false */
	MS_V_TEXT, /* text */
	MS_V_WORDS, /* text, words with one space between; a JSON array of strings */
};

/* What a value gives away about the host; --redact replaces all but the first. */
enum ms_secret {
	MS_PUBLIC,
	MS_SECRET_KVM, /* addresses of kernel objects, each kind with its own numbering: kvm#0 ... */
	MS_SECRET_VCPU,
	MS_SECRET_MMU,
	MS_SECRET_SP,
	MS_SECRET_PTR, /* any other kernel address */
	MS_SECRET_HVA, /* address in the VMM */
	MS_SECRET_PFN, /* host frame */
	MS_SECRET_HPA, /* host physical address: named by its frame */
	MS_SECRET_SPTE, /* SPTE: bits 51:12 shown as x unless it holds no host address */
	MS_SECRET_NAME, /* process name */
	MS_SECRET_PID,
	MS_SECRET_HIDE, /* replaced by "hidden": cannot be named without giving it away */
};

/* What a value means to the eye. Never the only carrier of a fact. */
enum ms_style {
	MS_STYLE_PLAIN,
	MS_STYLE_DIM,
	MS_STYLE_GOOD,
	MS_STYLE_WARN,
	MS_STYLE_BAD,
	MS_STYLE_ACCENT,
};

struct ms_cell {
	enum ms_value_kind kind;
	enum ms_secret secret; /* starts as the column's; a row may change it */
	enum ms_style style;
	u64 u;
	struct ms_buf text; /* may be foreign: renderers clean it. Storage is kept from row to row */
};

#define MS_COL_INDENT (1u << 0) /* text: indented by the row's depth, which is the column called "depth" */
#define MS_COL_SKIP (1u << 1) /* text leaves it out (it is said in another way there) */
#define MS_COL_TEXT_ONLY (1u << 2) /* JSON leaves it out (it is said in another way there) */
#define MS_COL_OMIT (1u << 3) /* JSON has no member where it is absent, instead of null */
#define MS_COL_BELOW (1u << 4) /* text: below the row; words stand one a line, a text is wrapped */

struct ms_column {
	const char *name; /* JSON key */
	const char *title; /* text heading, with the unit where there is one */
	enum ms_value_kind kind; /* of its cells when not absent */
	enum ms_secret secret;
	u8 digits; /* MS_V_HEX: least number of hex digits */
	u8 prio; /* 0: always shown; on a narrow terminal columns with the highest number go first */
	u8 flags; /* MS_COL_ */
	u8 least; /* columns of text, where rows come bit by bit and the widest is not known */
};

struct ms_result;

struct ms_section {
	const char *key; /* JSON key */
	const char *title; /* text heading */
	bool table; /* else one object, nr_rows is 1 */
	bool line; /* an object that text shows on one line */
	bool data_only; /* not in text: another section has the same */
	const struct ms_column *cols;
	size_t nr_cols, nr_rows;
	/* Fill all cells of a row; kinds arrive as absent. Raw values: ms_result_row() redacts. */
	void (*row)(const struct ms_section *section, size_t row, struct ms_cell *cells);
	const struct ms_model *model; /* NULL without target */
	const struct ms_vm *vm; /* NULL when not about one */
	const void *ctx; /* rows' source; owned by the result when in `owned' */
	void *owned; /* freed with the result */
	void (*owned_free)(void *owned); /* NULL: free() */
};

/* Where a result comes from and how far it can be trusted. */
struct ms_provenance {
	bool present; /* a target was read */
	char target[300]; /* its spec; only the backend's name when redacted */
	bool live;
	u64 time_ns; /* wall clock of the reading, ns since the epoch */
	const struct ms_rec_host *host;
	const char *profile; /* SPTE profile */
	const char *profile_note;
	const struct ms_vm *vm; /* NULL when not about one */
	bool walked; /* the numbers below and walk_flags are about a walk of its shadow pages */
	u32 walk_flags; /* MS_WALK_ of both walks */
	u64 nr_pages, nr_confirmed, nr_torn, nr_unlinked, nr_unreadable; /* counted over the pages read */
};

struct ms_redactor;

struct ms_result {
	const char *command;
	struct ms_provenance prov;
	struct ms_section prov_section; /* the same as an object, for renderers; nr_cols 0 without target */
	struct ms_section *sections;
	size_t nr_sections;
	char **notes; /* one line each, no foreign text */
	size_t nr_notes;
	int status; /* exit status: 0 fine, 1 a finding */
	struct ms_redactor *redactor; /* NULL: not redacted */
	bool redactor_lent; /* it outlives the result */
};

/* Cells for one row, reused from row to row; NULL when memory is out. */
struct ms_cell *ms_cells_create(size_t nr);
void ms_cells_destroy(struct ms_cell *cells, size_t nr); /* takes NULL */

/*
 * Fill cells (section->nr_cols of them) with a row, row < nr_rows, redacted if the result is. Pseudonyms
 * are numbered in the order in which values are first seen: ask for rows in order where two outputs shall
 * agree.
 */
void ms_result_row(const struct ms_result *result, const struct ms_section *section, size_t row,
		   struct ms_cell *cells);
/*
 * The value as one clean word or text, as both renderers write it (JSON adds quotes): "0x1f", "12", "yes",
 * "-".
 */
void ms_cell_format(const struct ms_cell *cell, const struct ms_column *col, struct ms_buf *out);
void ms_result_destroy(struct ms_result *result); /* takes NULL */

/* --- commands and options: commands.def, options.def --- */

enum ms_opt_id {
#define MS_OPTION(id, name, letter, arg, help) MS_OPT_##id,
#include "query/options.def"
#undef MS_OPTION
	MS_NR_OPTS
};

struct ms_option {
	const char *name;
	char letter; /* 0: none */
	const char *arg; /* NULL: takes none */
	const char *help;
};

extern const struct ms_option ms_options[MS_NR_OPTS];
/* Options that every command takes, that those take which make a result, and those that read a target. */
#define MS_OPTS_HELP (1ull << MS_OPT_HELP)
#define MS_OPTS_OUTPUT                                                                        \
	(MS_OPTS_HELP | 1ull << MS_OPT_JSON | 1ull << MS_OPT_PRETTY | 1ull << MS_OPT_REDACT | \
	 1ull << MS_OPT_COLOR | 1ull << MS_OPT_NO_HEADER)
#define MS_OPTS_TARGET (1ull << MS_OPT_TARGET | 1ull << MS_OPT_BUFFER_PAGES | 1ull << MS_OPT_TYPES)

#define MS_CMD_TARGET (1u << 0) /* reads a target */
#define MS_CMD_VM (1u << 1) /* is about one VM */
#define MS_CMD_CLI (1u << 2) /* only the command line can carry it out */
#define MS_CMD_FILE (1u << 3) /* writes a file: interrupted, it has to tidy up */
#define MS_CMD_LIST (1u << 4) /* with --list it reads no target */
#define MS_CMD_LISTEN (1u << 5) /* listens to events: interrupted, it says what it has */

#define MS_FOR_MS 2000u /* listening, unless --for says otherwise */

#define MS_WATCH_MS 5000u /* between rounds, unless --watch says otherwise */
#define MS_WATCH_MS_MIN 100u
#define MS_WATCH_MS_MAX 86400000u

#define MS_EVENTS_LAST 40 /* shown unless --last says otherwise */
#define MS_EVENTS_MAX 16384

enum ms_cmd_id {
#define MS_COMMAND(id, args, min, max, want, flags, opts, summary, detail) MS_CMD_ID_##id,
#include "query/commands.def"
#undef MS_COMMAND
	MS_NR_CMDS
};

struct ms_command {
	const char *name, *args;
	u8 min_args, max_args;
	u32 want; /* MS_WANT_ */
	u32 flags; /* MS_CMD_ */
	u64 opts; /* 1 << MS_OPT_, the common ones included */
	const char *summary, *detail;
};

extern const struct ms_command ms_commands[MS_NR_CMDS];
/* NULL when there is none of this exact name. */
const struct ms_command *ms_command_find(const char *name);
/* The closest name for a misspelt one, NULL when nothing is close. */
const char *ms_command_nearest(const char *name);
/*
 * Candidates to complete the last word of a line (which may be ""): commands, options, topics and state
 * names. At most max of them go to ret, static strings; returns how many. *word_start_ret is where the last
 * word begins.
 */
size_t ms_query_complete(const char *line, const char **ret, size_t max, size_t *word_start_ret);

/* --- words --- */

enum ms_color {
	MS_COLOR_AUTO,
	MS_COLOR_ALWAYS,
	MS_COLOR_NEVER,
};

/* What rows are kept. Zero-initialised keeps all. */
struct ms_filter {
	bool has_gfn;
	u64 gfn_start, gfn_end; /* [start, end) */
	bool has_address;
	u64 address_first, address_last; /* bytes, both included: the range may end with the address space */
	u32 level; /* 0: any */
	bool has_mmu;
	u32 mmu; /* enum ms_mmu_which */
	u64 root; /* address of a page, 0: none */
	u32 page_states; /* 1 << enum ms_sp_state, 0: any */
	u32 classes; /* 1 << enum spte_class */
	/*
	 * 1 << enum spte_wstate; a leaf passes by its write state or by class leaf. classes == wstates
	 * == 0: any
	 */
	u32 wstates;
	const char *role; /* "field=value,..." , checked against the target's own role layout; NULL: any */
};

#define MS_ARGS_MAX 32 /* words behind a command */

struct ms_args {
	const struct ms_command *command; /* NULL: none was given */
	u64 given; /* 1 << MS_OPT_ */
	const char *target, *vm, *vm_b, *format, *layout; /* NULL: not given */
	struct ms_filter filter;
	bool list;
	bool has_vcpu;
	u32 vcpu;
	bool write, fetch, user; /* --access */
	u32 last; /* events, rows; 0: default */
	u32 slot; /* --slot */
	u64 check_start, check_end; /* --check: frames [start, end) */
	u64 events; /* 1 << enum ms_event_id, 0: any */
	u32 min; /* faults in a row, 0: default */
	u64 rows; /* 1 << number of an invariant, 0: any */
	u32 severity; /* enum ms_audit_severity, the least */
	bool quick;
	bool guest;
	bool watch;
	u32 interval_ms; /* of --watch */
	u32 count; /* rounds, of events: events; 0: no end */
	u32 for_ms; /* --for, 0: the command's default */
	bool may_write, may_kill; /* --write, --may-kill-guest */
	bool follow, probes, stack;
	u32 by; /* MS_BY_, 0: not given */
	const char *trace; /* NULL: not given */
	bool json, pretty, redact, no_header, force;
	enum ms_color color;
	u32 buffer_pages;
	const char *types; /* NULL: not given */
	u32 bugs; /* 1u << enum nmmu_bug */
	const char *args[MS_ARGS_MAX];
	size_t nr_args;
	char **words; /* storage of what the strings above point to */
	size_t nr_words;
};

/*
 * Parse words (without program name) as options and one command. `base', if not NULL, gives target, redact,
 * color, buffer_pages and types where the words do not. Nothing in words need outlive the call. *ret is ended by
 * ms_args_deinit(). Usage errors only.
 */
struct ms_err *ms_args_parse(size_t nr, const char *const *words, const struct ms_args *base,
			     struct ms_args *ret) MS_MUST_CHECK;
/*
 * The same for a line typed at a prompt: words split at blanks, quotes '...' and "..." group, a backslash
 * quotes one character.
 */
struct ms_err *ms_args_parse_line(const char *line, const struct ms_args *base,
				  struct ms_args *ret) MS_MUST_CHECK;
void ms_args_deinit(struct ms_args *args);

/* "12", "0x1f": the whole string, no sign, no blanks. False when it is not a number or above max. */
bool ms_parse_u64(const char *str, u64 max, u64 *ret);
/* Frames: "A", "A-B" without B, "A+N" for N frames; [start, end). False when it is not that. */
bool ms_parse_gfns(const char *word, u64 *start_ret, u64 *end_ret);

/* --- running --- */

struct wp_state; /* cmd_wp.c */
struct ms_wp; /* target/wp.h */

/* An open target and what was read from it. Zero-initialised is valid and empty. */
struct ms_session {
	struct ms_target *target;
	char *spec; /* as given to ms_target_open(), NULL: default */
	struct ms_model *model;
	struct ms_want loaded; /* what `model' holds */
	/*
	 * A live target is read anew for each command unless this is set: then what is there is used again
	 * until ms_session_drop() (the TUI, whose ':' answers shall be about the moment on screen).
	 */
	bool hold;
	bool (*progress)(void *ctx, u64 nr_pages); /* as in struct ms_want; may be NULL */
	void *progress_ctx;
	void (*tell)(const char *line); /* of what takes long, for whoever waits; may be NULL */
	struct ms_watch *watch; /* of the round under way, NULL without */
	struct ms_listener *listener; /* of the command that listened last, NULL: none */
	struct ms_stream *stream; /* of the round under way, NULL without */
	bool keeps; /* commands to come: `wp on' need not go on until it is interrupted */
	struct wp_state *wp; /* flips of this session, NULL: none */
	struct ms_wp *flips; /* of who asks, borrowed: the interface's; NULL: none */
	struct ms_listen_stats heard; /* what it had to say when it was asked last */
};

void ms_session_deinit(struct ms_session *session);
/* Forget what was read. Results made from it must be gone. */
void ms_session_drop(struct ms_session *session);
/* Open the target that args name, unless it is open already. */
struct ms_err *ms_session_open(struct ms_session *session, const struct ms_args *args) MS_MUST_CHECK;
/*
 * What `what' (MS_WANT_) asks for, of the VM that words name (ms_model_find_vm(); *vm_ret may be NULL to
 * have no VM singled out: then every VM's details are read). The model belongs to the session.
 */
struct ms_err *ms_session_load(struct ms_session *session, u32 what, const char *vm_words,
			       const struct ms_model **model_ret, const struct ms_vm **vm_ret) MS_MUST_CHECK;

/*
 * Run a parsed command. The result points into the session's model and args: it must be destroyed before
 * the next run, before ms_session_drop() and before ms_args_deinit(). Errors: usage (status 2), target
 * (status 3).
 */
struct ms_err *ms_query_run(struct ms_session *session, const struct ms_args *args,
			    struct ms_result **ret) MS_MUST_CHECK;

/* --- the same again and again: watch.c, of commands that take --watch --- */

struct ms_finding;
struct ms_stuck;
struct ms_stuck_place;

/* What is known from the rounds before. Zero-initialised is before the first; ended by ms_watch_deinit(). */
struct ms_watch {
	u64 rounds; /* carried out */
	u64 came, went; /* findings, in the last of them */
	bool whole; /* all that the last one asked for was read */
	struct ms_finding *known; /* by place */
	size_t nr_known;
	struct ms_stuck *stuck; /* of stuck: what it knows, and what it found in the last round */
	u64 seq; /* of stuck: the number of the last event */
	struct ms_stuck_place *places;
	size_t nr_places;
	u64 start_ns; /* of its first round, on the clock of the events */
	char vm[32]; /* the VM of the first round, as --vm has it; later rounds are about no other */
	u64 mm; /* and its mm, 0 where the target has none */
	struct ms_redactor *redactor; /* pseudonyms hold for all rounds */
};

/*
 * The next round, of a target that is read anew. As ms_query_run(); in a result, `watch' is this round in figures,
 * and `changes' the findings that came and went. Without the VM of the first round: an error of the target.
 */
struct ms_err *ms_watch_round(struct ms_session *session, const struct ms_args *args, struct ms_watch *watch,
			      struct ms_result **ret) MS_MUST_CHECK;
void ms_watch_deinit(struct ms_watch *watch);

/* --- events as they happen: stream.c, of `events' --- */

/* What is known from the rounds before. Zero-initialised is before the first; ended by ms_stream_deinit(). */
/* Which cells of an event the caller is going to look at. */
enum ms_stream_cells {
	MS_STREAM_ALL,
	MS_STREAM_TEXT, /* those that text shows */
	MS_STREAM_DATA, /* those that JSON has */
};

struct ms_stream {
	enum ms_stream_cells cells; /* set before the first round */
	u64 rounds; /* carried out */
	bool over; /* nothing more will come: time or number are reached, or somebody has had enough */
	const struct ms_event *events; /* of this round, in the order of the rows of its section `events' */
	size_t nr;
	u64 nr_seen; /* events, of all rounds */
	struct ms_stream_state *state;
};

/* Do these words ask for it? Opens the target: one that keeps no events is listened to. */
struct ms_err *ms_stream_wanted(struct ms_session *session, const struct ms_args *args,
				bool *ret) MS_MUST_CHECK;
/*
 * The next events, of which there may be none: a result of one section, `events'; with --by one of counts, `counts'.
 * As ms_query_run(). A moment is waited for them; a signal cuts that short.
 */
struct ms_err *ms_stream_round(struct ms_session *session, const struct ms_args *args,
			       struct ms_stream *stream, struct ms_result **ret) MS_MUST_CHECK;
/* What was raised, seen, lost, and what it cost. */
struct ms_err *ms_stream_summary(struct ms_session *session, const struct ms_args *args,
				 struct ms_stream *stream, struct ms_result **ret) MS_MUST_CHECK;
/* Results of it must be gone. */
void ms_stream_deinit(struct ms_session *session, struct ms_stream *stream);

#endif
