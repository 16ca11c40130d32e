/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectations of a scenario about the MMU's state: SPTEs, roots, shadow pages, reverse maps, guest entries.
 * Entries are read by src/spte, tables are walked here: the engine's own walk is not asked.
 */
#include "scenario/play.h"

#include "spte/spte.h"

/* --- shadow tables --- */

struct look {
	u64 spte;
	u32 level; /* of the table that holds it */
	bool special; /* in a root that is no shadow page: not an SPTE */
	bool found; /* false: there is no root */
};

static struct nmmu_mmu *mmu_of(struct ms_play *play, const struct stmt *stmt, int vcpu)
{
	struct nmmu_vcpu *v = ms_machine_vcpu(play->machine, (u32)vcpu);

	switch (arg_choice(play, stmt, KEY_MMU, ~0u)) {
	case 0:
		return &v->root_mmu;
	case 1:
		return &v->guest_mmu;
	case 2:
		return &v->nested_mmu;
	default:
		return v->mmu;
	}
}

/* The table at a host-physical address, of whatever kind. */
static const u64 *table_at(const struct nmmu *m, const struct nmmu_mmu *mmu, u64 pa, bool *special_ret)
{
	const struct nmmu_page *pages[] = { &mmu->pae_root, &mmu->pml4_root, &mmu->pml5_root };
	const struct nmmu_sp *sp = nmmu_sp_by_pa(m, pa);
	u32 i;

	*special_ret = !sp;
	if (sp)
		return sp->spt;
	for (i = 0; i < LEN(pages); i++)
		if (pages[i]->va && pages[i]->pa == pa)
			return pages[i]->va;
	return NULL;
}

/* Down from the root until a leaf, nothing, or the wanted level. */
static struct look look(const struct nmmu *m, const struct nmmu_mmu *mmu, u64 addr, u32 wanted)
{
	u64 pa = mmu->root.hpa;
	struct look at = { .level = mmu->root_role.level };
	const u64 *table;

	if (pa == NMMU_NO_PAGE)
		return at;
	for (;; at.level--) {
		table = table_at(m, mmu, pa & SPTE_BITS(51, 12), &at.special);
		if (!table)
			return at;
		at.found = true;
		at.spte = table[addr >> (12 + 9 * (at.level - 1)) & 511];
		if (at.level == wanted || at.level == 1)
			return at;
		if (at.special ? !(at.spte & 1)
			       : spte_class(&m->profile, at.spte, at.level) != SPTE_CLASS_TABLE)
			return at;
		pa = at.special ? at.spte : spte_pfn(&m->profile, at.spte) << NMMU_PAGE_SHIFT;
	}
}

static bool fail_spte(struct ms_play *play, const struct stmt *stmt, const struct look *at, const char *what)
{
	const struct spte_profile *p = &play_nmmu(play)->profile;
	struct spte_info info;

	spte_decode(p, at->spte, at->level, &info);
	return play_fail(play, stmt, "%s: 0x%016llx at level %u is %s %s", what, (unsigned long long)at->spte,
			 at->level, spte_class_name(info.cls), spte_wstate_name(info.wstate));
}

static bool check_class(struct ms_play *play, const struct stmt *stmt, const struct look *at,
			enum spte_class cls)
{
	if (arg_has(play, stmt, KEY_NONE))
		return cls == SPTE_CLASS_NONPRESENT || fail_spte(play, stmt, at, "something is there");
	if (arg_has(play, stmt, KEY_SPTE_TABLE))
		return cls == SPTE_CLASS_TABLE || fail_spte(play, stmt, at, "it is no table");
	if (arg_has(play, stmt, KEY_SPTE_MMIO))
		return cls == SPTE_CLASS_MMIO || fail_spte(play, stmt, at, "it is no MMIO entry");
	return cls == SPTE_CLASS_LEAF || fail_spte(play, stmt, at, "it is no leaf");
}

static bool check_maps(struct ms_play *play, const struct stmt *stmt, const struct look *at, u64 pfn)
{
	struct nmmu_slot *slot;
	u64 gpa, hva;

	if (!arg_has(play, stmt, KEY_MAPS))
		return true;
	gpa = arg_num(play, stmt, KEY_MAPS, 0);
	slot = nmmu_slot_of(play_nmmu(play), 0, gpa >> NMMU_PAGE_SHIFT);
	if (!slot)
		return play_fail(play, stmt, "no slot has 0x%llx", (unsigned long long)gpa);
	hva = slot->hva + (gpa - (slot->base_gfn << NMMU_PAGE_SHIFT));
	if (ms_machine_pfn(play->machine, hva) == pfn)
		return true;
	return fail_spte(play, stmt, at, "it maps another page");
}

static bool check_bits(struct ms_play *play, const struct stmt *stmt, const struct spte_info *info)
{
	return check_num(play, stmt, KEY_BIT_R, "R", info->read_user) &&
	       check_num(play, stmt, KEY_BIT_U, "U", info->read_user) &&
	       check_num(play, stmt, KEY_BIT_W, "W", info->writable) &&
	       check_num(play, stmt, KEY_BIT_X, "X", info->executable) &&
	       check_num(play, stmt, KEY_BIT_A, "A", info->accessed_bit) &&
	       check_num(play, stmt, KEY_BIT_D, "D", info->dirty_bit) &&
	       check_num(play, stmt, KEY_BIT_H, "H", info->host_writable) &&
	       check_num(play, stmt, KEY_BIT_M, "M", info->mmu_writable) &&
	       check_num(play, stmt, KEY_AD_KIND, "the A/D kind", info->ad_kind) &&
	       check_num(play, stmt, KEY_TRACKED, "tracked", info->tracked) &&
	       check_num(play, stmt, KEY_GEN, "the generation", info->mmio_gen);
}

static bool expect_spte(struct ms_play *play, const struct stmt *stmt)
{
	const struct nmmu *m = play_nmmu(play);
	const struct arg *level_arg = stmt_arg(play->sc, stmt, KEY_LEVEL);
	u64 addr = arg_num(play, stmt, KEY_ADDR, 0), level = 0;
	int vcpu = arg_vcpu(play, stmt);
	struct spte_info info;
	struct look at;

	/* A level is looked at; a comparison is with that of the leaf. */
	if (level_arg && level_arg->op == ARG_EQ)
		level = arg_eval(play, stmt, level_arg);
	if (vcpu < 0 || play->failed)
		return false;
	at = look(m, mmu_of(play, stmt, vcpu), addr, (u32)level);
	if (!at.found && arg_has(play, stmt, KEY_NONE))
		return true;
	if (!at.found)
		return play_fail(play, stmt, "this MMU has no root");
	if (at.special)
		return at.spte & 1
			       ? play_fail(play, stmt, "that is an entry of a special root")
			       : arg_has(play, stmt, KEY_NONE) || play_fail(play, stmt, "nothing is there");
	spte_decode(&m->profile, at.spte, at.level, &info);
	if (!check_class(play, stmt, &at, info.cls))
		return false;
	if (!arg_has(play, stmt, KEY_NONE) && !check_num(play, stmt, KEY_LEVEL, "the level", at.level))
		return false;
	return check_num(play, stmt, KEY_RAW, "the entry", at.spte) && check_bits(play, stmt, &info) &&
	       check_maps(play, stmt, &at, info.pfn);
}

static bool expect_root(struct ms_play *play, const struct stmt *stmt)
{
	int vcpu = arg_vcpu(play, stmt);
	const struct nmmu_mmu *mmu;
	const struct nmmu_sp *sp;

	if (vcpu < 0)
		return false;
	mmu = mmu_of(play, stmt, vcpu);
	if (arg_has(play, stmt, KEY_NONE))
		return mmu->root.hpa == NMMU_NO_PAGE ||
		       play_fail(play, stmt, "the root is 0x%llx", (unsigned long long)mmu->root.hpa);
	if (mmu->root.hpa == NMMU_NO_PAGE)
		return play_fail(play, stmt, "this MMU has no root");
	sp = nmmu_sp_by_pa(play_nmmu(play), mmu->root.hpa);
	if (arg_has(play, stmt, KEY_GFN) && !sp)
		return play_fail(play, stmt, "the root is no shadow page");
	return check_num(play, stmt, KEY_WORD, "the root role", mmu->root_role.word) &&
	       check_num(play, stmt, KEY_LEVEL, "the root's level", mmu->root_role.level) &&
	       check_num(play, stmt, KEY_PASSTHROUGH, "passthrough", mmu->root_role.passthrough) &&
	       check_num(play, stmt, KEY_DIRECT, "direct", mmu->root_role.direct) &&
	       check_num(play, stmt, KEY_GUEST_MODE, "guest_mode", mmu->root_role.guest_mode) &&
	       check_num(play, stmt, KEY_GFN, "the root's gfn", sp ? sp->gfn : 0);
}

/* --- shadow pages --- */

struct count {
	struct ms_play *play;
	const struct stmt *stmt;
	u64 count;
};

static bool count_page(void *ctx, const struct nmmu_sp *sp)
{
	struct count *count = ctx;
	const struct {
		u64 value;
		enum key_id key;
	} facts[] = {
		{ sp->gfn, KEY_GFN },
		{ sp->role.level, KEY_LEVEL },
		{ sp->role.word, KEY_WORD },
		{ sp->role.direct, KEY_DIRECT },
		{ sp->role.passthrough, KEY_PASSTHROUGH },
		{ sp->role.guest_mode, KEY_GUEST_MODE },
		{ sp->role.quadrant, KEY_QUADRANT },
		{ sp->role.access, KEY_ACCESS },
		{ sp->unsync, KEY_UNSYNC },
		{ sp->gen != play_nmmu(count->play)->valid_gen, KEY_OBSOLETE },
	};
	const struct arg *arg;
	u32 i, k;

	for (i = 0; i < count->stmt->nr_args; i++) {
		arg = &count->play->sc->args[count->stmt->first_arg + i];
		for (k = 0; k < LEN(facts); k++)
			if (facts[k].key == (enum key_id)arg->key &&
			    !num_fits(arg->op, facts[k].value, arg_eval(count->play, count->stmt, arg)))
				return true;
	}
	count->count++;
	return true;
}

static bool expect_pages(struct ms_play *play, const struct stmt *stmt)
{
	struct count count = { .play = play, .stmt = stmt };

	if (!play_spend_pages(play, stmt, play_nmmu(play)->nr_used))
		return false;
	nmmu_for_each_sp(play_nmmu(play), count_page, &count);
	return !play->failed && check_num(play, stmt, KEY_COUNT, "the number of such pages", count.count);
}

/* --- reverse maps and counts of slots --- */

static struct nmmu_slot *slot_with(struct ms_play *play, const struct stmt *stmt, u64 gpa)
{
	u64 as_id = arg_num(play, stmt, KEY_AS, 0);
	struct nmmu_slot *slot = NULL;

	if (as_id < NMMU_NR_AS)
		slot = nmmu_slot_of(play_nmmu(play), (u16)as_id, gpa >> NMMU_PAGE_SHIFT);
	if (!slot)
		play_fail(play, stmt, "no slot has 0x%llx", (unsigned long long)gpa);
	return slot;
}

static bool count_spte(void *ctx, u64 *sptep)
{
	u64 *count = ctx;

	(void)sptep;
	(*count)++;
	return true;
}

struct shape {
	const struct nmmu_pte_desc *desc;
	bool single, ended;
};

static int shape_next(void *ctx, u64 first, u64 last)
{
	struct shape *shape = ctx;

	if (first != last)
		return -1;
	if (shape->single) {
		shape->single = false;
		return first == 1 ? 0 : -1;
	}
	if (!shape->desc || shape->desc->nr != first)
		return -1;
	shape->desc = shape->desc->more;
	return 0;
}

static bool check_shape(struct ms_play *play, const struct stmt *stmt, struct nmmu_rmap rmap)
{
	const struct arg *arg = stmt_arg(play->sc, stmt, KEY_SHAPE);
	const struct nmmu_pte_desc *desc =
		rmap.val & 1 ? (const struct nmmu_pte_desc *)(rmap.val & ~(uintptr_t)1) : NULL;
	struct shape shape = { .desc = desc, .single = rmap.val && !(rmap.val & 1) };
	struct ms_buf text = { 0 };
	struct expr_error e;

	if (!arg || (!list_eval(arg->text, shape_next, &shape, &e) && !shape.desc && !shape.single))
		return true;
	for (; desc && text.len < 200; desc = desc->more)
		ms_buf_printf(&text, " %u", desc->nr);
	play_fail(play, stmt, "the list's descriptors hold:%s", ms_buf_str(&text));
	ms_buf_deinit(&text);
	return false;
}

static bool expect_rmap(struct ms_play *play, const struct stmt *stmt)
{
	u64 gpa = arg_num(play, stmt, KEY_GPA, 0), level = arg_num(play, stmt, KEY_LEVEL, 1), count = 0;
	struct nmmu_slot *slot = slot_with(play, stmt, gpa);
	struct nmmu_rmap rmap = { 0 };
	u32 shift;

	if (!slot)
		return false;
	if (level < 1 || level > 3)
		return play_fail(play, stmt, "a level is 1 to 3");
	shift = 9 * ((u32)level - 1);
	if (slot->rmap[level - 1])
		rmap = slot->rmap[level - 1][(gpa >> NMMU_PAGE_SHIFT >> shift) - (slot->base_gfn >> shift)];
	nmmu_rmap_each(rmap, count_spte, &count);
	return check_num(play, stmt, KEY_COUNT, "the number of mappings", count) &&
	       check_shape(play, stmt, rmap);
}

static bool expect_tracked(struct ms_play *play, const struct stmt *stmt)
{
	u64 gpa = arg_num(play, stmt, KEY_GPA, 0);
	struct nmmu_slot *slot = slot_with(play, stmt, gpa);

	if (!slot)
		return false;
	return check_num(play, stmt, KEY_COUNT, "the write-track count",
			 slot->write_track ? slot->write_track[(gpa >> NMMU_PAGE_SHIFT) - slot->base_gfn]
					   : 0);
}

/* --- guest tables --- */

static bool expect_gpte(struct ms_play *play, const struct stmt *stmt)
{
	u32 table = arg_choice(play, stmt, KEY_TABLE, 0);
	u64 addr = arg_num(play, stmt, KEY_ADDR, 0), level = arg_num(play, stmt, KEY_LEVEL, 1), gpa, gpte = 0;
	bool ept = table_is_ept(play, table), is32 = play->sc->tables[table].kind == KIND_PT32;

	if (level < 1 || level > 5 || table_entry(play, table, addr, (u32)level, &gpa))
		return arg_has(play, stmt, KEY_NONE) ||
		       play_fail(play, stmt,
				 "there is no entry at this level: a table on the way is missing");
	if (ms_machine_peek(play->machine, gpa, &gpte, is32 ? 4 : 8))
		return play_fail(play, stmt, "there is no memory at 0x%llx", (unsigned long long)gpa);
	if (arg_has(play, stmt, KEY_NONE) && gpte & (ept ? 7 : 1))
		return play_fail(play, stmt, "the entry is 0x%llx", (unsigned long long)gpte);
	return check_num(play, stmt, KEY_RAW, "the entry", gpte) &&
	       check_num(play, stmt, KEY_BIT_R, "R", gpte & 1) &&
	       check_num(play, stmt, KEY_BIT_W, "W", gpte >> 1 & 1) &&
	       check_num(play, stmt, KEY_BIT_X, "X", ept ? gpte >> 2 & 1 : !(gpte >> 63)) &&
	       check_num(play, stmt, KEY_BIT_U, "U", gpte >> 2 & 1) &&
	       check_num(play, stmt, KEY_BIT_A, "A", gpte >> (ept ? 8 : 5) & 1) &&
	       check_num(play, stmt, KEY_BIT_D, "D", gpte >> (ept ? 9 : 6) & 1);
}

static bool expect_mmio_cache(struct ms_play *play, const struct stmt *stmt)
{
	int vcpu = arg_vcpu(play, stmt);
	const struct nmmu_vcpu *v;

	if (vcpu < 0)
		return false;
	v = ms_machine_vcpu(play->machine, (u32)vcpu);
	if (arg_has(play, stmt, KEY_NONE))
		return !v->mmio_valid ||
		       play_fail(play, stmt, "it has frame 0x%llx", (unsigned long long)v->mmio_gfn);
	if (!v->mmio_valid)
		return play_fail(play, stmt, "it is empty");
	return check_num(play, stmt, KEY_GFN, "the frame", v->mmio_gfn);
}

bool expect_mmu(struct ms_play *play, const struct stmt *stmt)
{
	const struct nmmu *m = play_nmmu(play);
	int vcpu;
	u64 as_id;

	switch ((enum verb_id)stmt->verb) {
	case VERB_X_SPTE:
		return expect_spte(play, stmt);
	case VERB_X_GPTE:
		return expect_gpte(play, stmt);
	case VERB_X_ROOT:
		return expect_root(play, stmt);
	case VERB_X_PAGES:
		return expect_pages(play, stmt);
	case VERB_X_RMAP:
		return expect_rmap(play, stmt);
	case VERB_X_PINS:
	case VERB_X_PIN:
	case VERB_X_PIN_CALLS:
	case VERB_X_READERS:
		return expect_pins(play, stmt);
	case VERB_X_TRACKED:
		return expect_tracked(play, stmt);
	case VERB_X_PML:
		vcpu = arg_vcpu(play, stmt);
		return vcpu >= 0 && check_num(play, stmt, KEY_INDEX, "the index",
					      ms_machine_vcpu(play->machine, (u32)vcpu)->pml_index);
	case VERB_X_PML12:
		vcpu = arg_vcpu(play, stmt);
		return vcpu >= 0 && check_num(play, stmt, KEY_INDEX, "the index", play->pml12_index[vcpu]);
	case VERB_X_MMIO_CACHE:
		return expect_mmio_cache(play, stmt);
	case VERB_X_LEAVES:
		return check_num(play, stmt, KEY_PAGES_4K, "the number of 4K leaves", m->stats.pages[0]) &&
		       check_num(play, stmt, KEY_PAGES_2M, "the number of 2M leaves", m->stats.pages[1]) &&
		       check_num(play, stmt, KEY_PAGES_1G, "the number of 1G leaves", m->stats.pages[2]) &&
		       check_num(play, stmt, KEY_NX_SPLITS, "the number of NX splits", m->stats.nx_splits);
	case VERB_X_GENERATION:
		as_id = arg_num(play, stmt, KEY_AS, 0);
		return as_id < NMMU_NR_AS && check_num(play, stmt, KEY_VALUE, "the generation",
						       play_nmmu(play)->as[as_id].generation);
	default:
		return play_fail(play, stmt, "not known here");
	}
}
