/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the records of one host mean: which SPTE profile, which role layout, and from them each page's level
 * and counts. The host's own masks and bits decide; versions are never looked at (ARCHITECTURE decision 1).
 */
#include "model/private.h"

#include <stdio.h>
#include <string.h>

/* Enough to tell the profiles apart; each value costs four decodes. */
#define EVIDENCE_PAGES 1024u
#define EVIDENCE_PER_PAGE 32u

static void choose_roles(struct ms_model *model)
{
	const struct ms_rec_host *host = &model->host;
	u32 nr = host->nr_role_fields, bad = 0, i;
	const struct ms_rec_role_field *f;
	struct role_layout *layout;
	char name[sizeof(f->name) + 1];
	int err;

	if (!(host->have & MS_HOST_HAVE_ROLE_FIELDS) || !nr) {
		model->roles = *role_layout_builtin(ROLE_BASE);
		model->roles_ext = *role_layout_builtin(ROLE_EXT);
		snprintf(model->roles_note, sizeof(model->roles_note),
			 "the host's role bits were not read: those of 6.1 and 6.12 are assumed");
		return;
	}
	role_layout_init(&model->roles, ROLE_BASE);
	role_layout_init(&model->roles_ext, ROLE_EXT);
	if (nr > MS_ROLE_FIELDS_MAX)
		nr = MS_ROLE_FIELDS_MAX;
	for (i = 0; i < nr; i++) {
		f = &host->role_fields[i];
		memcpy(name, f->name, sizeof(f->name));
		name[sizeof(f->name)] = '\0';
		layout = f->bit < 32 ? &model->roles : &model->roles_ext;
		err = role_layout_set(layout, name, f->bit % 32, f->width);
		/* A name that is new to us is no error: its bits are shown as unknown. */
		if (err && err != -ENOENT)
			bad++;
	}
	if (bad)
		snprintf(model->roles_note, sizeof(model->roles_note),
			 "%u role fields of the host overlap or do not fit: they are left out", bad);
}

_Static_assert((int)MS_SM_NR == (int)SPTE_NR_MASKS, "one list of masks: abi/masks.def");

static void collect_masks(const struct ms_rec_host *host, struct spte_mask_set *set)
{
	unsigned int id;

	for (id = 0; id < SPTE_NR_MASKS; id++)
		if (host->have & MS_HOST_HAVE_MASK(id))
			spte_mask_set_add(set, id, host->masks[id]);
}

static void add_page(struct spte_evidence *ev, const struct ms_sp *sp)
{
	u32 taken = 0, empty = 0, i;
	u64 raw;

	if (sp->level < SPTE_LEVEL_MIN || sp->level > SPTE_LEVEL_MAX)
		return;
	for (i = 0; i < MS_SPTES && taken < EVIDENCE_PER_PAGE; i++) {
		raw = sp->tables->sptes[i];
		/* Empty entries tell the two non-present values apart, but a few of them do. */
		if ((!raw || raw == SPTE_BIT(63)) && ++empty > EVIDENCE_PER_PAGE / 4)
			continue;
		spte_evidence_add(ev, raw, sp->level);
		taken++;
	}
}

static void collect_evidence(const struct ms_model *model, struct spte_evidence *ev)
{
	const struct ms_sp *sp;
	u32 pages = 0;
	size_t v, s;

	for (v = 0; v < model->nr_vms; v++)
		for (s = 0; s < model->vms[v].nr_sps && pages < EVIDENCE_PAGES; s++) {
			sp = &model->vms[v].sps[s];
			if (!sp->tables || sp->rec.state != MS_SP_CONFIRMED)
				continue;
			add_page(ev, sp);
			pages++;
		}
}

/* The first candidate left with least misfit; what to take when the evidence decides nothing. */
static unsigned int best_guess(const struct spte_evidence *ev, const struct ms_rec_host *host)
{
	unsigned int i, best = SPTE_NR_PROFILES;

	for (i = 0; i < SPTE_NR_PROFILES; i++) {
		if (ev->out[i])
			continue;
		if (host->hv == MS_HV_SVM && ev->cand[i].format == SPTE_FMT_EPT)
			continue;
		if (best == SPTE_NR_PROFILES || ev->misfit[i] < ev->misfit[best])
			best = i;
	}
	return best;
}

static void choose_profile(struct ms_model *model)
{
	const struct ms_rec_host *host = &model->host;
	const struct spte_profile *chosen;
	struct spte_mask_set set = { 0 };
	struct spte_evidence ev;
	unsigned int i, guess;
	int err;

	collect_masks(host, &set);
	spte_evidence_init(&ev, set.present ? &set : NULL);
	for (i = 0; i < SPTE_NR_PROFILES; i++)
		if (host->have & MS_HOST_HAVE_NP_VALUE && ev.cand[i].nonpresent_value != host->np_value)
			ev.out[i] = true;
	collect_evidence(model, &ev);
	err = spte_evidence_choose(&ev, &chosen);
	guess = err ? best_guess(&ev, host) : 0;
	if (err)
		chosen = guess < SPTE_NR_PROFILES ? &ev.cand[guess] : spte_profile_default();
	model->profile = *chosen;
	if (err && guess == SPTE_NR_PROFILES)
		snprintf(model->profile_note, sizeof(model->profile_note),
			 "no known profile agrees with the host's masks: %s is assumed, decoding is in doubt",
			 chosen->name);
	else if (err == -EBADMSG)
		snprintf(model->profile_note, sizeof(model->profile_note),
			 "%s fits best but leaves %u of %u sampled entries unexplained: decoding is in doubt",
			 chosen->name, ev.misfit[guess], ev.nr_values);
	else if (err)
		snprintf(model->profile_note, sizeof(model->profile_note),
			 "%s assumed: what was read fits other profiles as well", chosen->name);
	else if (!ev.nr_values)
		snprintf(model->profile_note, sizeof(model->profile_note), "%s by %s", chosen->name,
			 set.present ? "the host's masks" : "the host's empty entry");
	else
		snprintf(model->profile_note, sizeof(model->profile_note), "%s by %s, %u entries sampled",
			 chosen->name, set.present ? "the host's masks" : "the entries alone", ev.nr_values);
}

static void count_page(const struct ms_model *model, struct ms_sp *sp)
{
	const struct spte_profile *p = &model->profile;
	enum spte_class cls;
	u32 i;
	u64 raw;

	if (!sp->tables)
		return;
	for (i = 0; i < MS_SPTES; i++) {
		raw = sp->tables->sptes[i];
		if (raw == p->nonpresent_value) {
			sp->counts.by_class[SPTE_CLASS_NONPRESENT]++;
			continue;
		}
		cls = spte_class(p, raw, sp->level);
		sp->counts.by_class[cls]++;
		if (cls != SPTE_CLASS_LEAF)
			continue;
		sp->counts.by_wstate[spte_wstate(p, raw, sp->level)]++;
		sp->counts.huge += sp->level > 1;
	}
}

void model_decode(struct ms_model *model)
{
	size_t v, s;

	choose_roles(model);
	for (v = 0; v < model->nr_vms; v++)
		for (s = 0; s < model->vms[v].nr_sps; s++)
			model->vms[v].sps[s].level =
				role_get(&model->roles, model->vms[v].sps[s].rec.role, ROLE_LEVEL);
	choose_profile(model);
	for (v = 0; v < model->nr_vms; v++)
		for (s = 0; s < model->vms[v].nr_sps; s++)
			count_page(model, &model->vms[v].sps[s]);
}
