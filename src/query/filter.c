/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages and entries a command shows: --gfn, --address, --level, --role, --state, --mmu, --root. */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

/* The names of --state, page states first, then classes, then write states; each name once. */
const char *state_name_at(size_t i)
{
	static const enum spte_wstate wstates[] = { SPTE_W_RW, SPTE_W_DL, SPTE_W_WP,
						    SPTE_W_RO, SPTE_W_AT, SPTE_W_ILLEGAL };

	if (i <= MS_SP_UNREADABLE)
		return ms_sp_state_name((u32)i);
	i -= MS_SP_UNREADABLE + 1;
	if (i < SPTE_NR_CLASSES)
		return spte_class_name((enum spte_class)i);
	i -= SPTE_NR_CLASSES;
	return i < MS_LEN(wstates) ? spte_wstate_name(wstates[i]) : NULL;
}

static bool take_state(const char *word, size_t len, struct ms_filter *f)
{
	u32 i;

	for (i = 0; i <= MS_SP_UNREADABLE; i++)
		if (strlen(ms_sp_state_name(i)) == len && !strncasecmp(word, ms_sp_state_name(i), len)) {
			f->page_states |= 1u << i;
			return true;
		}
	for (i = 0; i < SPTE_NR_CLASSES; i++)
		if (strlen(spte_class_name(i)) == len && !strncasecmp(word, spte_class_name(i), len)) {
			f->classes |= 1u << i;
			return true;
		}
	for (i = SPTE_W_RW; i < SPTE_NR_WSTATES; i++)
		if (strlen(spte_wstate_name(i)) == len && !strncasecmp(word, spte_wstate_name(i), len)) {
			f->wstates |= 1u << i;
			return true;
		}
	return false;
}

struct ms_err *parse_states(const char *words, struct ms_filter *filter)
{
	struct ms_buf names = { 0 };
	struct ms_err *err;
	size_t len, i;

	for (;;) {
		len = strcspn(words, ",");
		if (!take_state(words, len, filter))
			break;
		words += len;
		if (!*words++)
			return NULL;
	}
	for (i = 0; state_name_at(i); i++)
		ms_buf_printf(&names, "%s%s", i ? ", " : "", state_name_at(i));
	err = ms_err_hint(
		ms_err_new(MS_ERR_USAGE, "--state: '%.*s' is no state", (int)(len < 40 ? len : 40), words),
		"known: %s", ms_buf_str(&names));
	ms_buf_deinit(&names);
	return err;
}

static struct ms_err *unknown_role_field(const struct role_layout *roles, const char *word)
{
	struct ms_buf names = { 0 };
	struct ms_err *err;
	unsigned int id;

	for (id = 0; id < ROLE_NR_FIELDS; id++)
		if (role_has(roles, (enum role_field_id)id))
			ms_buf_printf(&names, "%s%s", names.len ? ", " : "", role_field_name(id));
	err = ms_err_hint(ms_err_new(MS_ERR_USAGE, "--role: '%s' is not field=value", word),
			  "this kernel's fields: %s", ms_buf_str(&names));
	ms_buf_deinit(&names);
	return err;
}

static struct ms_err *parse_role(const struct role_layout *roles, const char *words, struct sieve *sieve)
{
	struct ms_err *err = NULL;
	char word[64], *equals;
	unsigned int id;
	size_t len;
	u64 value;

	for (;;) {
		len = strcspn(words, ",");
		if (len >= sizeof(word))
			return ms_err_hint(ms_err_new(MS_ERR_USAGE, "--role: a word of it is too long"),
					   "write field=value,...");
		memcpy(word, words, len);
		word[len] = '\0';
		equals = strchr(word, '=');
		if (equals)
			*equals = '\0';
		for (id = 0; id < ROLE_NR_FIELDS; id++)
			if (!strcmp(word, role_field_name(id)) && role_has(roles, (enum role_field_id)id))
				break;
		if (!equals || id == ROLE_NR_FIELDS || !ms_parse_u64(equals + 1, ~0u, &value))
			err = unknown_role_field(roles, word);
		else if (sieve->role_mask & role_mask(roles, (enum role_field_id)id))
			err = ms_err_hint(ms_err_new(MS_ERR_USAGE, "--role: %s is given twice", word),
					  "leave one of them out");
		else if (role_set(roles, &sieve->role_value, (enum role_field_id)id, (u32)value))
			err = ms_err_hint(ms_err_new(MS_ERR_USAGE, "--role: %s has no room for %llu", word,
						     (unsigned long long)value),
					  "its bits are 0x%x", role_mask(roles, (enum role_field_id)id));
		if (err)
			return err;
		sieve->role_mask |= role_mask(roles, (enum role_field_id)id);
		words += len;
		if (!*words++)
			return NULL;
	}
}

/* Mark what lies below a page, each page once. Children are one level below, so the depth is bounded. */
static void mark(const struct query *q, const struct ms_sp *sp, u8 *reached)
{
	const struct ms_sp *child;
	u32 i;

	if (reached[sp->index])
		return;
	reached[sp->index] = 1;
	if (!sp->tables || !sp->counts.by_class[SPTE_CLASS_TABLE])
		return;
	for (i = 0; i < MS_SPTES; i++) {
		child = ms_sp_child(q->model, q->vm, sp, i);
		if (child && child->level && child->level + 1 == sp->level)
			mark(q, child, reached);
	}
}

static struct ms_err *mark_from_roots(struct sieve *sieve, const struct query *q)
{
	const struct ms_filter *f = sieve->f;
	struct ms_root *roots = NULL;
	const struct ms_sp *sp;
	struct ms_err *err;
	size_t nr = 0, i;

	sieve->reached = calloc(q->vm->nr_sps ? q->vm->nr_sps : 1, 1);
	if (!sieve->reached)
		return ms_err_nomem();
	if (f->root) {
		sp = ms_vm_sp(q->vm, f->root);
		if (!sp)
			return ms_err_hint(
				ms_err_new(MS_ERR_USAGE, "--root: this VM has no shadow page at 0x%llx",
					   (unsigned long long)f->root),
				"`mmuscope sps' shows the addresses; on a live VM they come and go");
		mark(q, sp, sieve->reached);
		return NULL;
	}
	err = ms_vm_roots(q->model, q->vm, &roots, &nr);
	for (i = 0; i < nr && !err; i++)
		if (roots[i].sp && roots[i].mmu && roots[i].mmu->which == f->mmu)
			mark(q, roots[i].sp, sieve->reached);
	free(roots);
	return err;
}

struct ms_err *sieve_init(struct sieve *sieve, const struct query *q)
{
	struct ms_err *err = NULL;

	*sieve = (struct sieve){ .f = &q->args->filter };
	if (sieve->f->role)
		err = parse_role(&q->model->roles, sieve->f->role, sieve);
	if (!err && (sieve->f->has_mmu || sieve->f->root))
		err = mark_from_roots(sieve, q);
	if (err)
		sieve_deinit(sieve);
	return err;
}

void sieve_deinit(struct sieve *sieve)
{
	free(sieve->reached);
	sieve->reached = NULL;
}

void page_gfns(const struct ms_model *model, const struct ms_sp *sp, u64 *start_ret, u64 *end_ret)
{
	bool direct = role_get(&model->roles, sp->rec.role, ROLE_DIRECT);
	u64 pages = direct ? ms_level_pages(sp->level + 1) : 1;

	*start_ret = sp->rec.gfn;
	*end_ret = sp->rec.gfn + (pages ? pages : 1);
	if (*end_ret < *start_ret)
		*end_ret = ~0ull;
}

bool sieve_state(const struct sieve *sieve, u32 state)
{
	return !sieve->f->page_states || sieve->f->page_states & 1u << state;
}

bool sieve_header(const struct sieve *sieve, const struct ms_sp *sp)
{
	const struct ms_filter *f = sieve->f;

	return (!f->level || sp->level == f->level) && (sp->rec.role & sieve->role_mask) == sieve->role_value;
}

static bool holds_entry(const struct ms_filter *f, const struct ms_sp *sp)
{
	u32 i;

	for (i = 0; i < SPTE_NR_CLASSES; i++)
		if (f->classes & 1u << i && sp->counts.by_class[i])
			return true;
	for (i = 0; i < SPTE_NR_WSTATES; i++)
		if (f->wstates & 1u << i && sp->counts.by_wstate[i])
			return true;
	return false;
}

bool sieve_page(const struct sieve *sieve, const struct query *q, const struct ms_sp *sp)
{
	const struct ms_filter *f = sieve->f;
	u64 start, end;

	if (!sieve_state(sieve, sp->rec.state) || !sieve_header(sieve, sp) ||
	    (sieve->reached && !sieve->reached[sp->index]))
		return false;
	if (f->has_gfn) {
		page_gfns(q->model, sp, &start, &end);
		if (start >= f->gfn_end || end <= f->gfn_start)
			return false;
	}
	return (!f->classes && !f->wstates) || (sp->tables && holds_entry(f, sp));
}

bool sieve_address(const struct sieve *sieve, u64 address, u64 span)
{
	const struct ms_filter *f = sieve->f;

	if (!f->has_address)
		return true;
	/* Written so that the top of the address space cannot overflow. */
	return address <= f->address_last &&
	       (address >= f->address_first || f->address_first - address < span);
}

struct ms_err *mmu_note(struct query *q)
{
	if (!q->args->filter.has_mmu || q->args->filter.mmu != MS_MMU_NESTED)
		return NULL;
	/* SEMANTICS A1. */
	return note_add(q->result, "nested_mmu owns no shadow pages: it walks L2's own tables in software; "
				   "the pages made for L2 are below --mmu guest");
}

bool sieve_entry(const struct sieve *sieve, const struct ms_model *model, const struct ms_sp *sp, u32 idx)
{
	const struct ms_filter *f = sieve->f;
	u64 raw = sp->tables->sptes[idx], gfn = 0, pages;
	enum spte_class cls;

	if (f->classes || f->wstates) {
		cls = spte_class(&model->profile, raw, sp->level);
		if (!(f->classes & 1u << cls) &&
		    !(cls == SPTE_CLASS_LEAF &&
		      f->wstates & 1u << spte_wstate(&model->profile, raw, sp->level)))
			return false;
	}
	if (!f->has_gfn)
		return true;
	if (ms_sp_entry_gfn(model, sp, idx, &gfn) == MS_GFN_NONE)
		return false;
	pages = spte_class(&model->profile, raw, sp->level) == SPTE_CLASS_LEAF ? ms_level_pages(sp->level)
									       : 1;
	/* Written so that no gfn of a hostile record can overflow. */
	return gfn < f->gfn_end && (gfn >= f->gfn_start || f->gfn_start - gfn < pages);
}
