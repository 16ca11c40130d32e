/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a leaf grants no write, as far as what was read proves it (SEMANTICS E.1). A state alone proves little:
 * WP is also the state of a leaf whose table is no table at all. What has no evidence gets no reason.
 */
#include "query/private.h"

#define HUGE_LEVEL_MAX 3u /* KVM maps 1 GiB at most */

/* What a table's gfn is looked up by: level, address space, frame in units of that level. 0: none. */
static u64 key(const struct ms_model *model, const struct ms_sp *sp, u64 gfn, u32 level)
{
	u64 smm = role_get(&model->roles, sp->rec.role, ROLE_SMM);

	if (gfn >> 52 || smm > 0xff)
		return 0;
	return (u64)level << 60 | smm << 52 | gfn >> SPTE_LEVEL_BITS * (level - 1);
}

/*
 * Does KVM have to keep the guest table behind this page unwritten? H row 31: sync, not obsolete, with guest
 * tables. Only what a confirmed header says counts, and only level 1 can be unsync (H row 29).
 */
static bool protects(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp)
{
	const struct role_layout *roles = &model->roles;
	const struct ms_rec_sp *rec = &sp->rec;

	if (rec->state != MS_SP_CONFIRMED || rec->tdp_mmu_page || !role_has(roles, ROLE_DIRECT) ||
	    role_get(roles, rec->role, ROLE_DIRECT) || role_get(roles, rec->role, ROLE_PASSTHROUGH) ||
	    role_get(roles, rec->role, ROLE_INVALID))
		return false;
	if (rec->have & MS_SP_HAVE_GEN && vm->rec.have & MS_VM_HAVE_VALID_GEN &&
	    rec->mmu_valid_gen != vm->rec.mmu_valid_gen)
		return false;
	return sp->level > 1 || (rec->have & MS_SP_HAVE_UNSYNC && !rec->unsync);
}

struct ms_err *why_init(struct why *why, const struct query *q)
{
	size_t i;
	u32 level;
	u64 k;

	*why = (struct why){ .vm = q->vm };
	for (i = 0; i < q->vm->nr_sps; i++) {
		const struct ms_sp *sp = &q->vm->sps[i];

		if (!protects(q->model, q->vm, sp))
			continue;
		for (level = SPTE_LEVEL_MIN; level <= HUGE_LEVEL_MAX; level++) {
			k = key(q->model, sp, sp->rec.gfn, level);
			if (k && !ms_map_put(&why->tables, k, 1)) {
				why_deinit(why);
				return ms_err_nomem();
			}
		}
	}
	return NULL;
}

void why_deinit(struct why *why)
{
	ms_map_deinit(&why->tables);
}

bool guest_access(const struct ms_model *model, const struct ms_sp *sp, u32 idx, u32 *access_ret)
{
	u64 gfn;

	if (ms_sp_entry_gfn(model, sp, idx, &gfn) != MS_GFN_STORED)
		return false;
	*access_ret = sp->tables->translations[idx] & 7;
	return true;
}

/*
 * KVM takes W out of what it stores when the guest's leaf entry has a D bit and it is clear (SEMANTICS B1),
 * so a missing W is the guest's refusal only where a table above refuses already, or where the guest's tables
 * have no D bit: EPT12 without A/D.
 */
static const char *guest_reason(const struct ms_model *model, const struct ms_sp *sp, u32 idx)
{
	const struct role_layout *roles = &model->roles;
	u32 granted = role_get(roles, sp->rec.role, ROLE_ACCESS), access;
	bool no_dirty = model->profile.format == SPTE_FMT_EPT &&
			role_get(roles, sp->rec.role, ROLE_GUEST_MODE) &&
			role_get(roles, sp->rec.role, ROLE_AD_DISABLED);

	if (!guest_access(model, sp, idx, &access) || access & ROLE_ACC_WRITE)
		return NULL;
	return no_dirty || (role_has(roles, ROLE_ACCESS) && !(granted & ROLE_ACC_WRITE)) ? "guest-denies"
											 : "guest-no-w";
}

void why_reasons(const struct why *why, const struct ms_model *model, const struct ms_sp *sp, u32 idx,
		 const char *reasons[2])
{
	struct spte_info info;
	const bool flipped = ms_sp_entry_flipped(model, why->vm, sp, idx);
	u64 gfn = 0;

	reasons[0] = reasons[1] = NULL;
	spte_decode(&model->profile, sp->tables->sptes[idx], sp->level, &info);
	switch (info.wstate) {
	case SPTE_W_RO:
		reasons[0] = "host";
		break;
	case SPTE_W_DL:
		/* Without A/D a read of an access-tracked leaf ends here too (SEMANTICS B5, E.1). */
		if (info.ad_kind != SPTE_AD_DISABLED)
			reasons[0] = "dirty-log";
		break;
	case SPTE_W_WP:
		/* Entry, translation and role must be of one moment. */
		if (sp->rec.state != MS_SP_CONFIRMED)
			break;
		reasons[0] = guest_reason(model, sp, idx);
		if (sp->level <= HUGE_LEVEL_MAX && ms_sp_entry_gfn(model, sp, idx, &gfn) != MS_GFN_NONE &&
		    ms_map_get(&why->tables, key(model, sp, gfn, sp->level)) != MS_MAP_NONE)
			reasons[1] = "shadowed-table";
		break;
	case SPTE_W_NONE:
	case SPTE_W_RW:
	case SPTE_W_AT: /* aging, or prefetched: cannot be told apart */
	case SPTE_W_ILLEGAL:
		break;
	}
	/* Somebody's tool: of all reasons the one that will go. */
	if (flipped && reasons[0] && !reasons[1])
		reasons[1] = reasons[0];
	if (flipped)
		reasons[0] = "wp-flip";
}

void why_cell(const struct why *why, const struct ms_model *model, const struct ms_sp *sp, u32 idx,
	      struct ms_cell **at)
{
	const char *reasons[2];
	struct ms_cell *cell;
	size_t i;

	why_reasons(why, model, sp, idx, reasons);
	if (!reasons[0] && !reasons[1]) {
		cell_none(at);
		return;
	}
	cell = cell_words(at);
	for (i = 0; i < MS_LEN(reasons); i++)
		if (reasons[i])
			word_add(cell, reasons[i]);
}
