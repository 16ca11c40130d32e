/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared within src/query only: how commands make results. */
#ifndef QUERY_PRIVATE_H
#define QUERY_PRIVATE_H

#include "query/query.h"

#define MS_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* What a command is given. */
struct query {
	struct ms_session *session;
	const struct ms_args *args;
	const struct ms_model *model; /* NULL unless the command reads a target */
	const struct ms_vm *vm; /* NULL unless it is about one VM */
	struct ms_result *result;
};

typedef struct ms_err *(*query_run_fn)(struct query *q);

#define MS_COMMAND(id, args, min, max, want, flags, opts, summary, detail) \
	struct ms_err *query_run_##id(struct query *q);
#include "query/commands.def"
#undef MS_COMMAND

/* What a command reads, MS_WANT_ bits: of most, what commands.def says. */
u32 query_want(const struct ms_args *args);
u32 query_audit_want(const struct ms_args *args);

/* --- sections --- */

/*
 * Add a section; NULL when memory is out. key, title and cols are static. The section's model and vm are
 * the query's; ctx and owned are NULL.
 */
struct ms_section *section_add(struct query *q, const char *key, const char *title, bool table,
			       const struct ms_column *cols, size_t nr_cols, size_t nr_rows,
			       void (*row)(const struct ms_section *section, size_t row,
					   struct ms_cell *cells));
/* What --last left out of a table; 0: nothing to say. */
struct ms_err *rows_left_note(struct query *q, const char *what, size_t nr) MS_MUST_CHECK;
struct ms_err *note_add(struct ms_result *result, const char *fmt, ...) MS_PRINTF(2, 3) MS_MUST_CHECK;

/* --- cells: a row is written from left to right through a cursor --- */

static inline struct ms_cell *cell_num(struct ms_cell **at, enum ms_value_kind kind, u64 value)
{
	struct ms_cell *cell = (*at)++;

	cell->kind = kind;
	cell->u = value;
	return cell;
}

static inline struct ms_cell *cell_count(struct ms_cell **at, u64 value)
{
	return cell_num(at, MS_V_COUNT, value);
}

static inline struct ms_cell *cell_int(struct ms_cell **at, s64 value)
{
	return cell_num(at, MS_V_INT, (u64)value);
}

static inline struct ms_cell *cell_hex(struct ms_cell **at, u64 value)
{
	return cell_num(at, MS_V_HEX, value);
}

static inline struct ms_cell *cell_bool(struct ms_cell **at, bool value)
{
	return cell_num(at, MS_V_BOOL, value);
}

/* Leaves the cell absent. */
static inline struct ms_cell *cell_none(struct ms_cell **at)
{
	return (*at)++;
}

/* The value if the target has it. */
static inline struct ms_cell *cell_opt(struct ms_cell **at, bool have, enum ms_value_kind kind, u64 value)
{
	return have ? cell_num(at, kind, value) : cell_none(at);
}

/* NULL: absent. */
struct ms_cell *cell_text(struct ms_cell **at, const char *text);
struct ms_cell *cell_textn(struct ms_cell **at, const char *text, size_t len);
/* Starts a cell of words; word_add() adds to it. */
struct ms_cell *cell_words(struct ms_cell **at);
void word_add(struct ms_cell *cell, const char *word);
/* A role word as text by a layout. */
struct ms_cell *cell_role(struct ms_cell **at, const struct ms_model *model, u32 role);
struct ms_cell *cell_cpu_role(struct ms_cell **at, const struct ms_model *model, u64 role);
struct ms_cell *cell_sp_state(struct ms_cell **at, u32 state);
/* ns since the epoch as a date; absent when 0 or no time that was ever read. */
void cell_time(struct ms_cell **at, u64 time_ns);

/* The closest name of an event for a misspelt one of len bytes, NULL when nothing is close. */
const char *event_nearest(const char *word, size_t len);

/* --- redact.c --- */

struct ms_redactor *redactor_create(void);
/* Whose SPTEs are shown from now on; NULL: nobody's. */
void redactor_model(struct ms_redactor *redactor, const struct ms_model *model);
void redactor_destroy(struct ms_redactor *redactor); /* takes NULL */
void redact_cell(struct ms_redactor *redactor, struct ms_cell *cell);
/* Pseudonyms hold for all rounds of a stream. */
struct ms_redactor **stream_redactor(struct ms_stream *stream);

/* --- filter.c --- */

/* A filter made ready for one model. */
struct sieve {
	const struct ms_filter *f;
	u32 role_mask, role_value;
	u8 *reached; /* by page index: below a root that --mmu or --root name; NULL: all pages */
};

struct ms_err *sieve_init(struct sieve *sieve, const struct query *q) MS_MUST_CHECK;
void sieve_deinit(struct sieve *sieve);
/* Does a page pass, by all that was asked about pages? */
bool sieve_page(const struct sieve *sieve, const struct query *q, const struct ms_sp *sp);
/*
 * A note when --mmu names the one that owns no shadow pages: nothing found then means nothing.
 */
struct ms_err *mmu_note(struct query *q) MS_MUST_CHECK;
/* Does what an entry translates, `span' bytes from address, overlap --address? True without --address. */
bool sieve_address(const struct sieve *sieve, u64 address, u64 span);
/* Does an entry pass --gfn and --state? */
bool sieve_entry(const struct sieve *sieve, const struct ms_model *model, const struct ms_sp *sp, u32 idx);
/* --page-state alone. enum ms_sp_state: of a page, or the worst one of those that lead to an entry. */
bool sieve_state(const struct sieve *sieve, u32 state);
/* --role and --level alone. */
bool sieve_header(const struct sieve *sieve, const struct ms_sp *sp);
/* The frames a page stands for: [start, end). */
void page_gfns(const struct ms_model *model, const struct ms_sp *sp, u64 *start_ret, u64 *end_ret);
/* The words of --state; also for help and completion. */
struct ms_err *parse_states(const char *words, struct ms_filter *filter) MS_MUST_CHECK;
/* i-th name that --state knows, NULL behind the last. */
const char *state_name_at(size_t i);

/* --- entries, shared by sp and leaves: the columns from `class' to `raw' --- */

#define ENTRY_COLUMNS                                                                                        \
	{ "class", "CLASS", MS_V_TEXT }, { "state", "STATE", MS_V_TEXT }, { "gfn", "L1 GFN", MS_V_HEX },     \
		{ "gfn_source", "GFN BY", MS_V_TEXT, .prio = 4 }, { "pfn", "PFN", MS_V_HEX, MS_SECRET_PFN }, \
		{ "access", "ACC", MS_V_TEXT }, { "pinned", "PIN", MS_V_TEXT, .prio = 3 },                   \
		{ "guest_access", "GUEST", MS_V_TEXT, .prio = 2 }, { "why", "WHY", MS_V_WORDS, .prio = 1 },  \
		{ "host_writable", "H", MS_V_BOOL, .prio = 4 },                                              \
		{ "mmu_writable", "M", MS_V_BOOL, .prio = 4 }, { "accessed", "A", MS_V_BOOL, .prio = 4 },    \
		{ "dirty", "D", MS_V_BOOL, .prio = 4 }, { "ad_kind", "A/D KIND", MS_V_TEXT, .prio = 5 },     \
		{ "memtype", "MEMTYPE", MS_V_TEXT, .prio = 6 },                                              \
		{ "mmio_gen", "MMIO GEN", MS_V_COUNT, .prio = 5 },                                           \
		{ "rules", "BROKEN RULES", MS_V_WORDS, .prio = 2 },                                          \
	{                                                                                                    \
		"raw", "RAW", MS_V_HEX, MS_SECRET_SPTE, .digits = 16, .prio = 2                              \
	}

/* Of entries marked in a bitmap of MS_SPTES bits, the index of the nth, from 0. */
u32 entry_nth(const u64 *bits, u32 nth);

/* --- why.c --- */

/* What proves why leaves of one VM grant no write. */
struct why {
	const struct ms_vm *vm;
	struct ms_map tables; /* frames of guest tables that KVM keeps unwritten */
};

struct ms_err *why_init(struct why *why, const struct query *q) MS_MUST_CHECK;
void why_deinit(struct why *why);
/*
 * What the guest's tables grant the leaf at idx (bits as role.access), as KVM stored it beside the leaf of an
 * indirect page. False when nothing is stored: direct and passthrough pages, entries that are no leaf.
 */
bool guest_access(const struct ms_model *model, const struct ms_sp *sp, u32 idx, u32 *access_ret);
/* At most two words, static, NULL behind the last: what keeps a leaf from being writable, as far as proven. */
void why_reasons(const struct why *why, const struct ms_model *model, const struct ms_sp *sp, u32 idx,
		 const char *reasons[2]);
/* The words of column `why'; absent without evidence. */
void why_cell(const struct why *why, const struct ms_model *model, const struct ms_sp *sp, u32 idx,
	      struct ms_cell **at);

void entry_cells(const struct ms_model *model, const struct why *why, const struct ms_sp *sp, u32 idx,
		 struct ms_cell **at);

/* --- audit --- */

#define FINDING_PLACE_COLUMNS                                                                        \
	{ "sp", "SP", MS_V_HEX, MS_SECRET_SP }, { "index", "INDEX", MS_V_COUNT },                    \
		{ "mmu", "MMU", MS_V_HEX, MS_SECRET_MMU, .prio = 3 },                                \
		{ "vcpu", "VCPU", MS_V_HEX, MS_SECRET_VCPU, .prio = 4 }, { "gfn", "GFN", MS_V_HEX }, \
		{ "raw", "RAW", MS_V_HEX, MS_SECRET_SPTE, .digits = 16, .prio = 2 },                 \
		{ "spte", "SPTE AT", MS_V_HEX, MS_SECRET_PTR, .prio = 3 },                           \
		{ "gpte", "GUEST'S", MS_V_HEX, MS_SECRET_HIDE, .digits = 16, .prio = 3 },            \
		{ "text", "WHAT", MS_V_TEXT },                                                       \
	{                                                                                            \
		"see", "SEE", MS_V_TEXT, MS_SECRET_HIDE, .prio = 4                                   \
	}
#define FINDING_NAME_COLUMNS                                         \
	{ "row", "ROW", MS_V_COUNT }, { "name", "NAME", MS_V_TEXT }, \
	{                                                            \
		"severity", "SEVERITY", MS_V_TEXT                    \
	}

struct ms_audit;

void finding_name_cells(struct ms_cell **at, const struct ms_finding *finding);
/* vm: what names the VM in a command, "" where there is but one. */
void finding_place_cells(struct ms_cell **at, const struct ms_finding *finding, const char *vm);
/* With one VM ""; else " --vm kvm:0x...". */
void audit_vm_words(const struct query *q, char *buf, size_t len);

/* The sections of a round; kept of the findings count, order[] has their indices first. Notes are the caller's. */
struct ms_err *watch_sections(struct query *q, const struct ms_audit *audit, const size_t *order,
			      size_t kept) MS_MUST_CHECK;

/*
 * For a command whose rounds are whole answers: refuses --watch where nobody goes on asking, and another VM than
 * the first round's.
 */
struct ms_err *watch_begin(struct query *q) MS_MUST_CHECK;

/* --- listen.c: commands that listen to events --- */

struct listened {
	u64 start_ns, end_ns; /* on the clock of the events */
	bool stopped; /* before its time, by whoever is at the terminal */
	bool counted; /* where they happened: none was to be seen */
	struct ms_listen_stats stats; /* of this time alone */
};

/* --vm, --gfn and --vcpu. Which events is the command's. */
void query_listen_filter(const struct query *q, struct ms_listen *ret);
/*
 * Listens for so long (0: until put() returns false or the session's progress() does) and hands each event to put(),
 * which may be NULL with count_by. The session goes on listening, for a next round, until it listens to something
 * else or ends.
 */
struct ms_err *query_listen(struct query *q, const struct ms_listen *listen, u32 for_ms,
			    bool (*put)(void *ctx, const struct ms_event *event), void *ctx,
			    struct listened *ret) MS_MUST_CHECK;
/* The same; tick() is called before the first event and then every now and then, when there is no event to be had. */
struct ms_err *query_listen_ticks(struct query *q, const struct ms_listen *listen, u32 for_ms,
				  bool (*put)(void *ctx, const struct ms_event *event),
				  struct ms_err *(*tick)(void *ctx, struct ms_listener *l), void *ctx,
				  struct listened *ret) MS_MUST_CHECK;
/*
 * Was more lost than *lost, which becomes what was lost so far? Where, is not known: what has no number, a probe that
 * was not run, is known here alone.
 */
struct ms_err *query_lost_more(struct ms_listener *l, u64 *lost, bool *ret) MS_MUST_CHECK;
/*
 * Was one lost right before this event, by its number? A full buffer drops the latest: the gap is where it was. seq:
 * the last number, 0 at first; numbered: numbers are one after the other as events passed the filter, as they
 * are of a listener that has a descriptor.
 */
bool query_lost_before(bool numbered, u64 *seq, const struct ms_event *event);
/* The session's listener, for counts, probes and stacks: the one that listens to this, or a new one. */
struct ms_err *query_listener(struct query *q, const struct ms_listen *listen,
			      struct ms_listener **ret) MS_MUST_CHECK;
void query_unlisten(struct ms_session *session);
#define NS_PER_MS 1000000ull
/* How long to wait next: until end_ns (0: there is no end), but no longer than a slice. */
int listen_wait_ms(u64 now_ns, u64 end_ns, u32 slice_ms);
/* Takes from each figure what it was before. */
void listen_stats_since(const struct ms_listen_stats *before, struct ms_listen_stats *stats);
u64 listened_raised(const struct listened *listened);
u64 listened_lost(const struct listened *listened);
/* A section with its figures; losses make the status 1 and a note. listened must live as long as the result. */
struct ms_err *listened_add(struct query *q, const struct listened *listened) MS_MUST_CHECK;

/* --- events --- */

/* A word of --by as MS_BY_ bit, 0: none. */
u32 event_key_find(const char *word, size_t len);
/* --vm, --event, --vcpu and --gfn. */
struct ms_listen events_wanted(const struct query *q);
/* The round that session->stream is at. */
struct ms_err *stream_run(struct query *q) MS_MUST_CHECK;
/* Where events are taken; all, or those that this listener lacks for want of a place. Nothing when there are none. */
struct ms_err *probes_add(struct query *q, const struct ms_listener *l, bool all) MS_MUST_CHECK;

/* The round is the last, about all that were before. */
bool stream_is_summing(const struct ms_stream *stream);

/* --- wp --- */

bool wp_is_on(const struct ms_args *args);
/* Undoes the session's flips; takes NULL. */
void wp_state_destroy(struct wp_state *state);

const char *hv_name(u32 hv);

/* The vCPU of this number, NULL when the VM has none; and what is said then. */
const struct ms_vcpu *vcpu_by_id(const struct ms_vm *vm, u32 id);
struct ms_err *no_vcpu(const struct query *q) MS_MUST_CHECK;

#endif
