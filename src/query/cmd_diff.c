/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diff: one VM at two moments, or two VMs. First how many changes of each kind there are, then the changes;
 * those of entries are kept as a bitmap a page, since there may be millions.
 */
#include "query/diff.h"

#include <stdlib.h>
#include <string.h>

#define DIFF_ROWS 200 /* of each table, unless --list is given; doc/mmuscope.1 says so too */

static const char *const side_names[DIFF_SIDES] = { "a", "b" };

/* --- the two sides --- */

static const struct ms_column side_cols[] = {
	{ "side", "SIDE", MS_V_TEXT },
	{ "target", "TARGET", MS_V_TEXT },
	{ "time", "TIME", MS_V_TEXT },
	{ "kernel", "KERNEL", MS_V_TEXT },
	{ "profile", "PROFILE", MS_V_TEXT, .prio = 2 },
	{ "vms", "VMS", MS_V_COUNT, .prio = 3 },
	{ "vm_pid", "PID", MS_V_INT, MS_SECRET_PID },
	{ "vm_name", "NAME", MS_V_TEXT, MS_SECRET_NAME },
	{ "vm_kvm", "VM", MS_V_HEX, MS_SECRET_KVM },
	{ "pages", "PAGES", MS_V_COUNT },
	{ "confirmed", "CONFIRMED", MS_V_COUNT },
	{ "walk", "WALK", MS_V_WORDS, .prio = 1 },
};

static void side_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	static const struct {
		u32 bit;
		const char *word;
	} flags[] = {
		{ MS_WALK_LEGACY, "legacy" },	{ MS_WALK_TDP, "tdp" },		{ MS_WALK_BROKEN, "broken" },
		{ MS_WALK_VM_GONE, "vm-gone" }, { MS_WALK_CHANGED, "changed" },
	};
	const struct diff *d = section->ctx;
	const struct query *q = &d->q[row];
	const struct ms_vm *vm = q->vm;
	const bool owner = vm && vm->rec.have & MS_VM_HAVE_OWNER;
	u64 confirmed = 0;
	struct ms_cell *words;
	size_t i;

	for (i = 0; vm && i < vm->nr_sps; i++)
		confirmed += vm->sps[i].rec.state == MS_SP_CONFIRMED;
	cell_text(&cells, side_names[row])->style = MS_STYLE_ACCENT;
	cell_text(&cells, q->args->redact ? q->session->target->ops->name : q->model->target);
	cell_time(&cells, q->model->host.time_ns);
	cell_text(&cells, *q->model->host.release ? q->model->host.release : NULL);
	cell_text(&cells, q->model->profile.name);
	cell_count(&cells, q->model->nr_vms);
	cell_opt(&cells, owner, MS_V_INT, owner ? (u64)(s64)vm->rec.pid : 0);
	if (owner)
		cell_textn(&cells, vm->rec.comm, strnlen(vm->rec.comm, sizeof(vm->rec.comm)));
	else
		cell_none(&cells);
	cell_opt(&cells, vm, MS_V_HEX, vm ? vm->rec.kvm : 0);
	cell_opt(&cells, vm, MS_V_COUNT, vm ? vm->nr_sps : 0);
	cell_opt(&cells, vm, MS_V_COUNT, confirmed);
	words = vm ? cell_words(&cells) : cell_none(&cells);
	for (i = 0; vm && i < MS_LEN(flags); i++)
		if ((vm->walks[0].flags | vm->walks[1].flags) & flags[i].bit)
			word_add(words, flags[i].word);
}

/* --- counts --- */

static const struct ms_column count_cols[] = {
	{ "object", "OBJECT", MS_V_TEXT },
	{ "change", "CHANGE", MS_V_TEXT },
	{ "cause", "CAUSE", MS_V_TEXT },
	{ "count", "COUNT", MS_V_COUNT },
};

/* The row'th count that is not zero, numbered through; how many there are when row is beyond them. */
static size_t count_at(const struct diff *d, size_t row, u32 *o_ret, u32 *ch_ret, u32 *ca_ret)
{
	size_t nr = 0;
	u32 o, ch, ca;

	for (o = 0; o < DIFF_NR_OBJECTS; o++)
		for (ch = 0; ch < DIFF_NR_CHANGES; ch++)
			for (ca = 0; ca < DIFF_NR_CAUSES; ca++) {
				if (!d->counts[o][ch][ca] || nr++ != row)
					continue;
				*o_ret = o;
				*ch_ret = ch;
				*ca_ret = ca;
			}
	return nr;
}

static void count_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct diff *d = section->ctx;
	u32 o = 0, ch = 0, ca = 0;

	count_at(d, row, &o, &ch, &ca);
	cell_text(&cells, diff_objects[o]);
	cell_text(&cells, diff_changes[ch].name)->style = MS_STYLE_ACCENT;
	cell_text(&cells, ca == DIFF_C_NONE ? NULL : diff_causes[ca].name);
	cell_count(&cells, d->counts[o][ch][ca]);
}

static const struct ms_column lack_cols[] = {
	{ "object", "OBJECT", MS_V_TEXT }, { "reason", "REASON", MS_V_TEXT },
	{ "means", "THAT IS", MS_V_TEXT }, { "a", "BY A", MS_V_COUNT },
	{ "b", "BY B", MS_V_COUNT },
};

static size_t lack_at(const struct diff *d, size_t row, u32 *o_ret, u32 *l_ret)
{
	size_t nr = 0;
	u32 o, l;

	for (o = 0; o < DIFF_NR_OBJECTS; o++)
		for (l = 0; l < DIFF_NR_LACKS; l++) {
			if (!(d->lacks[o][l][DIFF_A] | d->lacks[o][l][DIFF_B]) || nr++ != row)
				continue;
			*o_ret = o;
			*l_ret = l;
		}
	return nr;
}

static void lack_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct diff *d = section->ctx;
	u32 o = 0, l = 0;

	lack_at(d, row, &o, &l);
	cell_text(&cells, diff_objects[o]);
	cell_text(&cells, diff_lacks[l].name)->style = MS_STYLE_WARN;
	cell_text(&cells, diff_lacks[l].meaning);
	cell_count(&cells, d->lacks[o][l][DIFF_A]);
	cell_count(&cells, d->lacks[o][l][DIFF_B]);
}

/* --- what is no page --- */

static const struct ms_column member_cols[] = {
	{ "object", "OBJECT", MS_V_TEXT }, { "id", "ID", MS_V_TEXT },	 { "change", "CHANGE", MS_V_TEXT },
	{ "member", "MEMBER", MS_V_TEXT }, { "before", "A", MS_V_TEXT }, { "after", "B", MS_V_TEXT },
};

static void cell_value(struct ms_cell **at, const struct diff_value *value)
{
	struct ms_cell *cell;

	if (value->kind == MS_V_TEXT)
		cell = cell_textn(at, value->text, value->len);
	else
		cell = cell_num(at, value->kind, value->u);
	cell->secret = value->secret;
}

static void member_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct diff *d = section->ctx;
	const struct diff_member *m = &d->members[row];

	cell_text(&cells, diff_objects[m->object]);
	cell_text(&cells, *m->id ? m->id : NULL);
	cell_text(&cells, diff_changes[m->change].name)->style = MS_STYLE_ACCENT;
	cell_text(&cells, m->member);
	cell_value(&cells, &m->value[DIFF_A]);
	cell_value(&cells, &m->value[DIFF_B]);
}

/* --- pages --- */

#define PAGE_COLUMNS                                                                                         \
	{ "mmu", "MMU", MS_V_TEXT, .prio = 3 }, { "level", "LV", MS_V_COUNT }, { "gfn", "GFN", MS_V_HEX },   \
		{ "role", "ROLE", MS_V_HEX, .prio = 2 }, { "role_text", "ROLE TEXT", MS_V_TEXT, .prio = 3 }, \
		{ "sp_a", "SP IN A", MS_V_HEX, MS_SECRET_SP, .prio = 1 },                                    \
	{                                                                                                    \
		"sp_b", "SP IN B", MS_V_HEX, MS_SECRET_SP, .prio = 1                                         \
	}

static const struct ms_column page_cols[] = {
	{ "change", "CHANGE", MS_V_TEXT }, { "cause", "CAUSE", MS_V_WORDS }, { "before", "A", MS_V_TEXT },
	{ "after", "B", MS_V_TEXT },	   { "sptes", "SPTES", MS_V_COUNT }, PAGE_COLUMNS,
};

/* By B where it is there: what is now. */
static void page_cells(const struct diff *d, const struct ms_sp *a, const struct ms_sp *b,
		       struct ms_cell **at)
{
	const struct ms_sp *sp = b ? b : a;

	cell_text(at, sp->rec.tdp_mmu_page ? "tdp" : "legacy");
	cell_count(at, sp->level);
	cell_hex(at, sp->rec.gfn);
	cell_hex(at, sp->rec.role);
	cell_role(at, d->q[b ? DIFF_B : DIFF_A].model, sp->rec.role);
	cell_opt(at, a, MS_V_HEX, a ? a->rec.sp : 0);
	cell_opt(at, b, MS_V_HEX, b ? b->rec.sp : 0);
}

static void cell_causes(struct ms_cell **at, u32 causes)
{
	struct ms_cell *words = causes ? cell_words(at) : cell_none(at);
	u32 i;

	for (i = 1; i < DIFF_NR_CAUSES; i++)
		if (causes & 1u << i)
			word_add(words, diff_causes[i].name);
}

static void cell_member(struct ms_cell **at, const struct diff *d, enum diff_side side,
			const struct ms_sp *sp, enum diff_change change)
{
	const struct ms_rec_sp *rec = sp ? &sp->rec : NULL;
	struct ms_cell *cell;

	switch (rec ? (int)change : DIFF_CAME) {
	case DIFF_REBUILT:
		cell = cell_hex(at, rec->sp);
		cell->secret = MS_SECRET_SP;
		return;
	case DIFF_INVALID:
		cell_bool(at, role_get(&d->q[side].model->roles, rec->role, ROLE_INVALID));
		return;
	case DIFF_UNSYNC:
		cell_bool(at, rec->unsync);
		return;
	case DIFF_UNSYNC_CHILDREN:
		cell_count(at, rec->unsync_children);
		return;
	case DIFF_ROOT_COUNT:
		cell_count(at, rec->root_count);
		return;
	case DIFF_GENERATION:
		cell_count(at, rec->mmu_valid_gen);
		return;
	case DIFF_PARENTS:
		cell = cell_hex(at, rec->parents);
		cell->secret = MS_SECRET_PTR;
		return;
	case DIFF_NX_DISALLOWED:
		cell_bool(at, rec->nx_disallowed);
		return;
	case DIFF_WRITES:
		cell_count(at, rec->write_flooding);
		return;
	default:
		cell_none(at);
	}
}

static void page_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct diff *d = section->ctx;
	const struct diff_page *page = &d->pages[row];
	const struct ms_sp *a = diff_sp(d, DIFF_A, page->sp[DIFF_A]);
	const struct ms_sp *b = diff_sp(d, DIFF_B, page->sp[DIFF_B]);

	cell_text(&cells, diff_changes[page->change].name)->style = MS_STYLE_ACCENT;
	cell_causes(&cells, page->causes);
	cell_member(&cells, d, DIFF_A, a, (enum diff_change)page->change);
	cell_member(&cells, d, DIFF_B, b, (enum diff_change)page->change);
	cell_opt(&cells, a && b, MS_V_COUNT, page->nr_entries);
	page_cells(d, a, b, &cells);
}

/* --- entries --- */

static const struct ms_column entry_cols[] = {
	{ "change", "CHANGE", MS_V_WORDS },
	{ "cause", "CAUSE", MS_V_WORDS },
	{ "index", "INDEX", MS_V_COUNT },
	{ "entry_gfn", "L1 GFN", MS_V_HEX },
	{ "state_a", "A", MS_V_TEXT },
	{ "state_b", "B", MS_V_TEXT },
	{ "raw_a", "RAW IN A", MS_V_HEX, MS_SECRET_SPTE, .digits = 16 },
	{ "raw_b", "RAW IN B", MS_V_HEX, MS_SECRET_SPTE, .digits = 16 },
	PAGE_COLUMNS,
};

static const struct diff_stretch *stretch_of(const struct diff *d, u64 row)
{
	size_t lo = 0, hi = d->nr_stretches, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (d->stretches[mid].first_row <= row)
			lo = mid;
		else
			hi = mid;
	}
	return &d->stretches[lo];
}

/* A leaf's write state, else the class. */
static void cell_state(struct ms_cell **at, const struct query *q, const struct ms_sp *sp, u32 idx)
{
	const struct spte_profile *p = &q->model->profile;
	u64 raw = sp->tables->sptes[idx];
	enum spte_class cls = spte_class(p, raw, sp->level);

	cell_text(at, cls == SPTE_CLASS_LEAF ? spte_wstate_name(spte_wstate(p, raw, sp->level))
					     : spte_class_name(cls));
}

static void entry_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct diff *d = section->ctx;
	const struct diff_stretch *s = stretch_of(d, row);
	const u32 idx = entry_nth(s->bits, (u32)(row - s->first_row));
	const struct ms_sp *a = diff_sp(d, DIFF_A, s->sp[DIFF_A]), *b = diff_sp(d, DIFF_B, s->sp[DIFF_B]);
	const u64 changes = diff_entry(d, a, b, idx);
	struct ms_cell *words = cell_words(&cells);
	u64 gfn = 0;
	bool has;
	u32 c;

	for (c = 0; c < DIFF_NR_CHANGES; c++)
		if (changes & 1ull << c)
			word_add(words, diff_changes[c].name);
	words->style = MS_STYLE_ACCENT;
	cell_causes(&cells, diff_entry_causes(d, a, b, idx, changes));
	cell_count(&cells, idx);
	has = ms_sp_entry_gfn(d->q[DIFF_B].model, b, idx, &gfn) != MS_GFN_NONE ||
	      ms_sp_entry_gfn(d->q[DIFF_A].model, a, idx, &gfn) != MS_GFN_NONE;
	cell_opt(&cells, has, MS_V_HEX, gfn);
	cell_state(&cells, &d->q[DIFF_A], a, idx);
	cell_state(&cells, &d->q[DIFF_B], b, idx);
	cell_hex(&cells, a->tables->sptes[idx]);
	cell_hex(&cells, b->tables->sptes[idx]);
	page_cells(d, a, b, &cells);
}

/* --- reading both sides --- */

#define WANT (MS_WANT_VCPUS | MS_WANT_SLOTS | MS_WANT_MMUS | MS_WANT_SPS | MS_WANT_SPTES)

/* What names no target is a snapshot's file. */
static char *spec_of(const char *word)
{
	size_t len = strcspn(word, ":"), i;
	char *spec = NULL;

	for (i = 0; ms_target_list[i]; i++)
		if (strlen(ms_target_list[i]->name) == len && !strncmp(ms_target_list[i]->name, word, len))
			return strdup(word);
	return asprintf(&spec, "snap:%s", word) < 0 ? NULL : spec;
}

static struct ms_err *side_open(struct diff *d, const struct query *q, enum diff_side side)
{
	struct query *own = &d->q[side];
	struct ms_args args = *q->args;
	struct ms_err *err;
	char *spec;

	*own = (struct query){ .session = &d->session[side], .args = q->args, .result = q->result };
	own->session->progress = q->session->progress;
	own->session->progress_ctx = q->session->progress_ctx;
	if (!own->session->target) {
		spec = spec_of(q->args->args[side]);
		if (!spec)
			return ms_err_nomem();
		args.target = spec;
		err = ms_session_open(own->session, &args);
		free(spec);
		if (err)
			return err;
	}
	/* Asked for the same once more, a simulated VM has moved on; of a live one only what is compared is read. */
	own->session->hold = true;
	return ms_session_load(own->session,
			       own->session->target->caps & MS_CAP_LIVE ? (u32)MS_WANT_VCPUS : (u32)WANT,
			       NULL, &own->model, NULL);
}

/* The VMs that both sides have: how many, and the last one. */
static size_t common_vms(const struct diff *d, const struct ms_vm **ret)
{
	const struct ms_model *a = d->q[DIFF_A].model, *b = d->q[DIFF_B].model;
	size_t i, j = 0, nr = 0;

	/* Both are sorted by pid, then address. */
	for (i = 0; i < a->nr_vms; i++) {
		const struct ms_rec_vm *rec = &a->vms[i].rec;

		while (j < b->nr_vms && (b->vms[j].rec.pid < rec->pid ||
					 (b->vms[j].rec.pid == rec->pid && b->vms[j].rec.kvm < rec->kvm)))
			j++;
		if (j == b->nr_vms || b->vms[j].rec.pid != rec->pid || b->vms[j].rec.kvm != rec->kvm)
			continue;
		*ret = &a->vms[i];
		nr++;
	}
	return nr;
}

static struct ms_err *load_vm(struct diff *d, enum diff_side side, const char *words)
{
	struct query *own = &d->q[side];
	struct ms_err *err = ms_session_load(own->session, WANT, words, &own->model, &own->vm);

	if (err && own->args->redact && ms_err_kind(err) == MS_ERR_USAGE)
		return ms_err_hint(err, "what there is to choose from is not shown with --redact");
	return err ? ms_err_wrap(err, side == DIFF_A ? "diff: A" : "diff: B") : NULL;
}

static struct ms_err *choose_vms(struct diff *d)
{
	const struct ms_args *args = d->q[DIFF_A].args;
	const char *words[DIFF_SIDES] = { args->vm, args->vm_b ? args->vm_b : args->vm };
	const size_t nr_a = d->q[DIFF_A].model->nr_vms, nr_b = d->q[DIFF_B].model->nr_vms;
	const struct ms_vm *common = NULL;
	struct ms_err *err;
	char kvm[40];

	if (!words[DIFF_A] && !words[DIFF_B]) {
		if (!nr_a || !nr_b)
			return NULL;
		if ((nr_a > 1 || nr_b > 1) && common_vms(d, &common) == 1) {
			snprintf(kvm, sizeof(kvm), "kvm:0x%llx", (unsigned long long)common->rec.kvm);
			words[DIFF_A] = words[DIFF_B] = kvm;
		}
	}
	err = load_vm(d, DIFF_A, words[DIFF_A]);
	return err ? err : load_vm(d, DIFF_B, words[DIFF_B]);
}

/* --- the answer --- */

static struct ms_err *side_notes(struct query *q, const struct diff *d, enum diff_side side)
{
	const struct query *own = &d->q[side];
	const char *const notes[] = { own->session->target->note, own->model->roles_note,
				      strstr(own->model->profile_note, "doubt") ? own->model->profile_note
										: "" };
	struct ms_err *err = NULL;
	size_t i;

	for (i = 0; i < MS_LEN(notes) && !err; i++)
		if (*notes[i])
			err = note_add(q->result, "%s: %s", side_names[side], notes[i]);
	return err;
}

static struct ms_err *notes(struct query *q, const struct diff *d)
{
	struct ms_err *err = side_notes(q, d, DIFF_A);

	if (!err)
		err = side_notes(q, d, DIFF_B);
	if (!err && !d->q[DIFF_A].vm)
		err = note_add(q->result, "one side has no VM: nothing but the hosts is compared");
	if (!err && d->q[DIFF_A].vm && !d->same_vm)
		err = note_add(q->result, "not one VM at two moments: host addresses and host frames are not "
					  "compared, and no causes are said");
	if (!err && !d->same_profile)
		err = note_add(q->result,
			       "SPTEs of a are read as %s by a's masks, of b as %s by b's: compared is "
			       "what they mean",
			       d->q[DIFF_A].model->profile.name, d->q[DIFF_B].model->profile.name);
	if (!err && !d->same_roles)
		err = note_add(q->result, "role words differ between the kernels: a's are put in b's bits");
	if (!err && !diff_is_whole(d))
		err = note_add(q->result, "not all could be compared: see the table of that; it counts as no "
					  "change");
	return err;
}

static struct ms_err *table_add(struct query *q, struct diff *d, const char *key, const char *title,
				const struct ms_column *cols, size_t nr_cols, u64 nr, bool limited,
				void (*row)(const struct ms_section *section, size_t row,
					    struct ms_cell *cells))
{
	const u64 shown = limited && !q->args->list && nr > DIFF_ROWS ? DIFF_ROWS : nr;
	struct ms_section *section = section_add(q, key, title, true, cols, nr_cols, shown, row);

	if (!section)
		return ms_err_nomem();
	section->ctx = d;
	return shown == nr ? NULL
			   : note_add(q->result, "%s: %llu of %llu rows are shown; --list shows all", key,
				      (unsigned long long)shown, (unsigned long long)nr);
}

static void diff_free(void *owned)
{
	diff_deinit(owned);
	free(owned);
}

static struct ms_err *answer(struct query *q, struct diff *d)
{
	struct ms_err *err;
	u32 x;

	err = notes(q, d);
	if (!err)
		err = table_add(q, d, "counts", "Changes", count_cols, MS_LEN(count_cols),
				count_at(d, SIZE_MAX, &x, &x, &x), false, count_row);
	if (!err)
		err = table_add(q, d, "not_compared", "Not compared", lack_cols, MS_LEN(lack_cols),
				lack_at(d, SIZE_MAX, &x, &x), false, lack_row);
	if (!err)
		err = table_add(q, d, "members", "Hosts, VMs, vCPUs, MMUs, memslots", member_cols,
				MS_LEN(member_cols), d->nr_members, true, member_row);
	if (!err)
		err = table_add(q, d, "pages", "Shadow pages", page_cols, MS_LEN(page_cols), d->nr_pages,
				true, page_row);
	if (!err)
		err = table_add(q, d, "sptes", "SPTEs", entry_cols, MS_LEN(entry_cols), d->nr_entries, true,
				entry_row);
	q->result->status = !diff_is_empty(d) || !diff_is_whole(d);
	return err;
}

struct ms_err *query_run_diff(struct query *q)
{
	const struct ms_filter *f = &q->args->filter;
	struct ms_section *section;
	struct ms_err *err;
	struct diff *d;

	if (f->page_states)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "diff: --state takes no states of pages"),
				   "only confirmed pages are compared");
	d = calloc(1, sizeof(*d));
	if (!d)
		return ms_err_nomem();
	err = side_open(d, q, DIFF_A);
	if (!err)
		err = side_open(d, q, DIFF_B);
	if (!err)
		err = choose_vms(d);
	if (!err && d->q[DIFF_A].vm)
		err = sieve_init(&d->sieve[DIFF_A], &d->q[DIFF_A]);
	if (!err && d->q[DIFF_A].vm)
		err = sieve_init(&d->sieve[DIFF_B], &d->q[DIFF_B]);
	if (!err)
		err = diff_compare(d);
	if (!err)
		err = mmu_note(q);
	section = err ? NULL
		      : section_add(q, "sides", "Sides", true, side_cols, MS_LEN(side_cols), DIFF_SIDES,
				    side_row);
	if (!section) {
		diff_free(d);
		return err ? err : ms_err_nomem();
	}
	section->ctx = section->owned = d;
	section->owned_free = diff_free;
	return answer(q, d);
}
