/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages of two sides: which is which, and what differs. Each page is looked up a bounded number of times, by
 * address and by key, so that the cost grows with the number of pages and not with its square.
 */
#include "query/diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

const char *const diff_objects[DIFF_NR_OBJECTS] = {
#define DIFF_OBJECT(id, name) [DIFF_O_##id] = name,
#include "query/diff.def"
};

const struct diff_word diff_changes[DIFF_NR_CHANGES] = {
#define DIFF_CHANGE(id, name, meaning) [DIFF_##id] = { name, meaning },
#include "query/diff.def"
};

const struct diff_word diff_causes[DIFF_NR_CAUSES] = {
#define DIFF_CAUSE(id, name, meaning) [DIFF_C_##id] = { name, meaning },
#include "query/diff.def"
};

const struct diff_word diff_lacks[DIFF_NR_LACKS] = {
#define DIFF_LACK(id, name, meaning) [DIFF_L_##id] = { name, meaning },
#include "query/diff.def"
};

void diff_count(struct diff *d, enum diff_object object, enum diff_change change, u32 causes)
{
	u32 i;

	if (!causes)
		d->counts[object][change][DIFF_C_NONE]++;
	for (i = 1; i < DIFF_NR_CAUSES; i++)
		if (causes & 1u << i)
			d->counts[object][change][i]++;
}

bool diff_is_empty(const struct diff *d)
{
	return !d->nr_members && !d->nr_pages && !d->nr_entries;
}

bool diff_is_whole(const struct diff *d)
{
	u32 o, l;

	for (o = 0; o < DIFF_NR_OBJECTS; o++)
		for (l = 0; l < DIFF_NR_LACKS; l++)
			if (d->lacks[o][l][DIFF_A] || d->lacks[o][l][DIFF_B])
				return false;
	return true;
}

/* --- which page is which --- */

struct page_key {
	u64 gfn;
	u32 role; /* without `invalid', by B's layout */
	u32 mmu; /* 0 legacy, 1 TDP; 2 and 3: the role cannot be put in B's layout, nothing equals it */
};

static bool role_to_b(const struct diff *d, u32 role, u32 *ret)
{
	struct role_info info;

	role_decode(&d->q[DIFF_A].model->roles, role, &info);
	return !role_make(&d->q[DIFF_B].model->roles, &info, ret);
}

static struct page_key page_key(const struct diff *d, enum diff_side side, const struct ms_sp *sp)
{
	struct page_key key = { .gfn = sp->rec.gfn, .role = sp->rec.role, .mmu = !!sp->rec.tdp_mmu_page };

	if (side == DIFF_A && !d->same_roles && !role_to_b(d, sp->rec.role, &key.role))
		key.mmu |= 2;
	else
		key.role &= ~role_mask(&d->q[DIFF_B].model->roles, ROLE_INVALID);
	return key;
}

static bool key_equal(const struct page_key *a, const struct page_key *b)
{
	return a->gfn == b->gfn && a->role == b->role && a->mmu == b->mmu && a->mmu < 2;
}

static u64 key_hash(const struct page_key *key)
{
	u64 h = key->gfn * 0x9e3779b97f4a7c15ull ^ ((u64)key->role << 2 | key->mmu) * 0xc2b2ae3d27d4eb4full;

	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ull;
	return h ^ h >> 32;
}

static void pair(struct diff *d, u32 a, u32 b)
{
	d->mate[DIFF_A][a] = b;
	d->mate[DIFF_B][b] = a;
}

static bool is_free(const struct diff *d, enum diff_side side, const struct ms_sp *sp, bool confirmed)
{
	return d->mate[side][sp->index] == DIFF_NONE && (!confirmed || sp->rec.state == MS_SP_CONFIRMED);
}

static void pair_by_address(struct diff *d, bool confirmed)
{
	const struct ms_vm *vm_a = d->q[DIFF_A].vm, *vm_b = d->q[DIFF_B].vm;
	struct page_key ka, kb;
	const struct ms_sp *b;
	size_t i;

	for (i = 0; i < vm_a->nr_sps; i++) {
		const struct ms_sp *a = &vm_a->sps[i];

		d->work++;
		if (!is_free(d, DIFF_A, a, confirmed))
			continue;
		b = ms_vm_sp(vm_b, a->rec.sp);
		if (!b || !is_free(d, DIFF_B, b, confirmed))
			continue;
		ka = page_key(d, DIFF_A, a);
		kb = page_key(d, DIFF_B, b);
		if (key_equal(&ka, &kb))
			pair(d, a->index, b->index);
	}
}

/* Pages of one key that have no mate. */
struct key_slot {
	struct page_key key;
	u32 first[DIFF_SIDES], nr[DIFF_SIDES];
};

struct key_table {
	struct key_slot *slots;
	size_t cap; /* a power of two, more than all pages */
};

static struct key_slot *key_slot(struct diff *d, struct key_table *t, const struct page_key *key)
{
	size_t at = key_hash(key) & (t->cap - 1);

	while (t->slots[at].nr[DIFF_A] + t->slots[at].nr[DIFF_B] && !key_equal(&t->slots[at].key, key)) {
		d->work++;
		at = (at + 1) & (t->cap - 1);
	}
	d->work++;
	return &t->slots[at];
}

static struct ms_err *pair_by_key(struct diff *d, bool confirmed)
{
	struct key_table t = { .cap = 8 };
	const struct ms_vm *vm;
	struct key_slot *slot;
	struct page_key key;
	u32 side;
	size_t i;

	while (t.cap < 2 * (d->q[DIFF_A].vm->nr_sps + d->q[DIFF_B].vm->nr_sps))
		t.cap *= 2;
	t.slots = calloc(t.cap, sizeof(*t.slots));
	if (!t.slots)
		return ms_err_nomem();
	for (side = DIFF_A; side < DIFF_SIDES; side++) {
		vm = d->q[side].vm;
		for (i = 0; i < vm->nr_sps; i++) {
			if (!is_free(d, side, &vm->sps[i], confirmed))
				continue;
			key = page_key(d, side, &vm->sps[i]);
			if (key.mmu > 1)
				continue;
			slot = key_slot(d, &t, &key);
			slot->key = key;
			slot->first[side] = slot->nr[side] ? slot->first[side] : (u32)i;
			slot->nr[side]++;
		}
	}
	for (i = 0; i < t.cap; i++)
		if (t.slots[i].nr[DIFF_A] == 1 && t.slots[i].nr[DIFF_B] == 1)
			pair(d, t.slots[i].first[DIFF_A], t.slots[i].first[DIFF_B]);
	free(t.slots);
	return NULL;
}

/* Confirmed pages first: what an unconfirmed one says of itself must not take a mate from them. */
static struct ms_err *pair_all(struct diff *d)
{
	struct ms_err *err;

	pair_by_address(d, true);
	err = pair_by_key(d, true);
	if (err)
		return err;
	pair_by_address(d, false);
	return pair_by_key(d, false);
}

/* --- rows --- */

static struct ms_err *page_row(struct diff *d, u32 a, u32 b, enum diff_change change, u32 causes)
{
	struct diff_page *grown = ms_grow(d->pages, &d->pages_cap, d->nr_pages + 1, sizeof(*grown));

	if (!grown)
		return ms_err_nomem();
	d->pages = grown;
	grown[d->nr_pages++] = (struct diff_page){ .sp = { a, b }, .change = (u8)change, .causes = causes };
	diff_count(d, DIFF_O_PAGE, change, causes);
	return NULL;
}

static bool page_passes(const struct diff *d, enum diff_side side, const struct ms_sp *sp)
{
	return sp && sieve_page(&d->sieve[side], &d->q[side], sp);
}

static bool entry_passes(const struct diff *d, enum diff_side side, const struct ms_sp *sp, u32 idx)
{
	const struct sieve *sieve = &d->sieve[side];

	return sieve_header(sieve, sp) && (!sieve->reached || sieve->reached[sp->index]) &&
	       sieve_entry(sieve, d->q[side].model, sp, idx);
}

/* --- one side only --- */

static bool walk_is_whole(const struct ms_vm *vm, bool tdp)
{
	const struct ms_rec_walk *walk = &vm->walks[tdp];

	return walk->kvm && !(walk->flags & (MS_WALK_BROKEN | MS_WALK_VM_GONE | MS_WALK_CHANGED));
}

/* A page that A had and B has not: KVM frees those of old generations, and those invalid, for sure. */
static u32 went_causes(const struct diff *d, const struct ms_sp *a)
{
	const struct ms_rec_vm *vm_a = &d->q[DIFF_A].vm->rec, *vm_b = &d->q[DIFF_B].vm->rec;

	if (!d->same_vm)
		return 0;
	if (role_get(&d->q[DIFF_A].model->roles, a->rec.role, ROLE_INVALID))
		return 1u << DIFF_C_OBSOLETE;
	if (a->rec.tdp_mmu_page || !(a->rec.have & MS_SP_HAVE_GEN) || !(vm_a->have & MS_VM_HAVE_VALID_GEN) ||
	    !(vm_b->have & MS_VM_HAVE_VALID_GEN))
		return 0;
	if (a->rec.mmu_valid_gen != vm_a->mmu_valid_gen)
		return 1u << DIFF_C_OBSOLETE;
	return vm_a->mmu_valid_gen != vm_b->mmu_valid_gen ? 1u << DIFF_C_ZAP_ALL : 0;
}

static struct ms_err *alone(struct diff *d, enum diff_side side, const struct ms_sp *sp)
{
	const enum diff_side other = side == DIFF_A ? DIFF_B : DIFF_A;
	const struct ms_sp *there = ms_vm_sp(d->q[other].vm, sp->rec.sp);
	struct page_key key = page_key(d, side, sp);

	if (!page_passes(d, side, sp))
		return NULL;
	d->work++;
	if (sp->rec.state != MS_SP_CONFIRMED)
		d->lacks[DIFF_O_PAGE][DIFF_L_STATE][side]++;
	else if (there && there->rec.state != MS_SP_CONFIRMED && d->same_vm)
		d->lacks[DIFF_O_PAGE][DIFF_L_STATE][other]++;
	else if (!walk_is_whole(d->q[other].vm, sp->rec.tdp_mmu_page))
		d->lacks[DIFF_O_PAGE][DIFF_L_WALK][other]++;
	else if (key.mmu > 1 || (side == DIFF_B && d->lacks[DIFF_O_PAGE][DIFF_L_ROLE][DIFF_A]))
		d->lacks[DIFF_O_PAGE][DIFF_L_ROLE][side]++;
	else if (side == DIFF_A)
		return page_row(d, sp->index, DIFF_NONE, DIFF_WENT, went_causes(d, sp));
	else
		return page_row(d, DIFF_NONE, sp->index, DIFF_CAME, 0);
	return NULL;
}

/* --- pairs --- */

/* All that the records say but their place in the walk, and the VM's address. */
static bool alike(const struct ms_sp *a, const struct ms_sp *b)
{
	struct ms_rec_sp ra = a->rec, rb = b->rec;
	bool translations = a->rec.have & MS_SP_HAVE_TRANSLATIONS;

	ra.order = rb.order = ra.kvm = rb.kvm = 0;
	if (memcmp(&ra, &rb, sizeof(ra)) || !a->tables != !b->tables)
		return false;
	return !a->tables ||
	       !memcmp(a->tables, b->tables, translations ? sizeof(*a->tables) : sizeof(a->tables->sptes));
}

static struct ms_err *compare_header(struct diff *d, const struct ms_sp *a, const struct ms_sp *b)
{
	const struct ms_rec_sp *ra = &a->rec, *rb = &b->rec;
	const struct ms_rec_vm *vm_a = &d->q[DIFF_A].vm->rec, *vm_b = &d->q[DIFF_B].vm->rec;
	const bool legacy = !ra->tdp_mmu_page, gens = ra->have & rb->have & MS_SP_HAVE_GEN && legacy;
	/* A page keeps its address, its table and its generation for life. */
	const bool rebuilt = d->same_vm && (ra->sp != rb->sp || ra->spt_pfn != rb->spt_pfn ||
					    (gens && ra->mmu_valid_gen != rb->mmu_valid_gen));
	const struct {
		enum diff_change change;
		u64 have; /* 0: always there */
		bool here; /* is it compared at all? */
		u64 a, b;
	} members[] = {
		{ DIFF_REBUILT, 0, rebuilt, 0, 1 },
		{ DIFF_INVALID, 0, true, role_get(&d->q[DIFF_A].model->roles, ra->role, ROLE_INVALID),
		  role_get(&d->q[DIFF_B].model->roles, rb->role, ROLE_INVALID) },
		{ DIFF_UNSYNC, MS_SP_HAVE_UNSYNC, true, ra->unsync, rb->unsync },
		{ DIFF_UNSYNC_CHILDREN, MS_SP_HAVE_UNSYNC_CHILDREN, true, ra->unsync_children,
		  rb->unsync_children },
		{ DIFF_ROOT_COUNT, MS_SP_HAVE_ROOT_COUNT, true, ra->root_count, rb->root_count },
		{ DIFF_GENERATION, MS_SP_HAVE_GEN, legacy, ra->mmu_valid_gen, rb->mmu_valid_gen },
		{ DIFF_PARENTS, MS_SP_HAVE_PARENTS, d->same_vm && !rebuilt, ra->parents, rb->parents },
		{ DIFF_NX_DISALLOWED, MS_SP_HAVE_NX_DISALLOWED, true, ra->nx_disallowed, rb->nx_disallowed },
		{ DIFF_WRITES, MS_SP_HAVE_WRITE_FLOODING, true, ra->write_flooding, rb->write_flooding },
	};
	struct ms_err *err = NULL;
	u32 causes;
	size_t i;

	for (i = 0; i < MS_LEN(members) && !err; i++) {
		if (!members[i].here)
			continue;
		if ((ra->have ^ rb->have) & members[i].have) {
			d->lacks[DIFF_O_PAGE][DIFF_L_MEMBER][ra->have & members[i].have ? DIFF_B : DIFF_A]++;
			continue;
		}
		if ((ra->have & members[i].have) != members[i].have || members[i].a == members[i].b)
			continue;
		causes = members[i].change == DIFF_REBUILT && gens &&
					 vm_a->have & vm_b->have & MS_VM_HAVE_VALID_GEN &&
					 ra->mmu_valid_gen == vm_a->mmu_valid_gen &&
					 vm_a->mmu_valid_gen != vm_b->mmu_valid_gen
				 ? 1u << DIFF_C_ZAP_ALL
				 : 0;
		err = page_row(d, a->index, b->index, members[i].change, causes);
	}
	return err;
}

static struct diff_stretch *stretch_new(struct diff *d, const struct ms_sp *a, const struct ms_sp *b)
{
	struct diff_stretch *grown =
		ms_grow(d->stretches, &d->stretches_cap, d->nr_stretches + 1, sizeof(*grown));

	if (!grown)
		return NULL;
	d->stretches = grown;
	grown[d->nr_stretches] =
		(struct diff_stretch){ .sp = { a->index, b->index }, .first_row = d->nr_entries };
	return &grown[d->nr_stretches++];
}

static struct ms_err *compare_entries(struct diff *d, const struct ms_sp *a, const struct ms_sp *b,
				      u32 *nr_ret)
{
	const u64 stored = a->rec.have & b->rec.have & MS_SP_HAVE_TRANSLATIONS;
	const struct ms_sp_tables *ta = a->tables, *tb = b->tables;
	struct diff_stretch *s = NULL;
	u64 changes;
	u32 idx, c, nr = 0;

	if ((a->rec.have ^ b->rec.have) & MS_SP_HAVE_TRANSLATIONS)
		d->lacks[DIFF_O_PAGE][DIFF_L_TRANSLATIONS]
			[a->rec.have & MS_SP_HAVE_TRANSLATIONS ? DIFF_B : DIFF_A]++;
	for (idx = 0; idx < MS_SPTES; idx++) {
		d->work++;
		if (d->same_profile && ta->sptes[idx] == tb->sptes[idx] &&
		    (!stored || ta->translations[idx] == tb->translations[idx]))
			continue;
		if (!entry_passes(d, DIFF_A, a, idx) && !entry_passes(d, DIFF_B, b, idx))
			continue;
		changes = diff_entry(d, a, b, idx);
		if (!changes)
			continue;
		s = s ? s : stretch_new(d, a, b);
		if (!s)
			return ms_err_nomem();
		s->bits[idx / 64] |= 1ull << idx % 64;
		for (c = 0; c < DIFF_NR_CHANGES; c++)
			if (changes & 1ull << c)
				diff_count(d, DIFF_O_ENTRY, (enum diff_change)c,
					   diff_entry_causes(d, a, b, idx, 1ull << c));
		nr++;
	}
	d->nr_entries += nr;
	*nr_ret = nr;
	return NULL;
}

static struct ms_err *compare_pair(struct diff *d, const struct ms_sp *a, const struct ms_sp *b)
{
	bool confirmed = a->rec.state == MS_SP_CONFIRMED && b->rec.state == MS_SP_CONFIRMED;
	bool passes = page_passes(d, DIFF_A, a) || page_passes(d, DIFF_B, b);
	size_t first = d->nr_pages;
	struct ms_err *err = NULL;
	u32 nr = 0;

	if (d->same_vm && d->same_profile && d->same_roles && alike(a, b)) {
		d->work++;
		return NULL;
	}
	if (!confirmed) {
		if (passes && a->rec.state != MS_SP_CONFIRMED)
			d->lacks[DIFF_O_PAGE][DIFF_L_STATE][DIFF_A]++;
		if (passes && b->rec.state != MS_SP_CONFIRMED)
			d->lacks[DIFF_O_PAGE][DIFF_L_STATE][DIFF_B]++;
		return NULL;
	}
	if (passes)
		err = compare_header(d, a, b);
	if (err)
		return err;
	if (!a->tables || !b->tables) {
		if (passes && !a->tables)
			d->lacks[DIFF_O_PAGE][DIFF_L_TABLES][DIFF_A]++;
		if (passes && !b->tables)
			d->lacks[DIFF_O_PAGE][DIFF_L_TABLES][DIFF_B]++;
		return NULL;
	}
	err = compare_entries(d, a, b, &nr);
	if (!err && nr && d->nr_pages == first)
		err = page_row(d, a->index, b->index, DIFF_ENTRIES, 0);
	for (; first < d->nr_pages; first++)
		d->pages[first].nr_entries = (u16)nr;
	return err;
}

struct ms_err *diff_pages(struct diff *d)
{
	struct ms_err *err = NULL;
	u32 side, mate;
	size_t i, nr;

	for (side = DIFF_A; side < DIFF_SIDES; side++) {
		nr = d->q[side].vm->nr_sps;
		d->mate[side] = malloc((nr ? nr : 1) * sizeof(*d->mate[side]));
		if (!d->mate[side])
			return ms_err_nomem();
		memset(d->mate[side], 0xff, nr * sizeof(*d->mate[side]));
	}
	err = pair_all(d);
	for (side = DIFF_A; side < DIFF_SIDES; side++)
		for (i = 0; i < d->q[side].vm->nr_sps && !err; i++) {
			mate = d->mate[side][i];
			if (mate == DIFF_NONE)
				err = alone(d, side, &d->q[side].vm->sps[i]);
			else if (side == DIFF_A)
				err = compare_pair(d, diff_sp(d, DIFF_A, (u32)i), diff_sp(d, DIFF_B, mate));
		}
	return err;
}

static bool roles_equal(const struct role_layout *a, const struct role_layout *b)
{
	u32 i;

	for (i = 0; i < ROLE_NR_FIELDS; i++)
		if (role_mask(a, (enum role_field_id)i) != role_mask(b, (enum role_field_id)i))
			return false;
	return true;
}

/* What is a #define in the kernel follows from the built-in that both are based on. */
static bool profiles_equal(const struct spte_profile *a, const struct spte_profile *b)
{
	return !strcmp(a->name, b->name) && !memcmp(&a->m, &b->m, sizeof(a->m)) &&
	       a->nonpresent_value == b->nonpresent_value && a->phys_bits == b->phys_bits;
}

struct ms_err *diff_compare(struct diff *d)
{
	const struct ms_model *a = d->q[DIFF_A].model, *b = d->q[DIFF_B].model;
	struct ms_err *err;

	d->same_roles = roles_equal(&a->roles, &b->roles);
	d->same_profile = profiles_equal(&a->profile, &b->profile);
	err = diff_members(d);
	if (err || !d->q[DIFF_A].vm)
		return err;
	err = why_init(&d->why[DIFF_A], &d->q[DIFF_A]);
	if (!err)
		err = why_init(&d->why[DIFF_B], &d->q[DIFF_B]);
	return err ? err : diff_pages(d);
}

void diff_deinit(struct diff *d)
{
	u32 side;

	for (side = DIFF_A; side < DIFF_SIDES; side++) {
		sieve_deinit(&d->sieve[side]);
		why_deinit(&d->why[side]);
		free(d->mate[side]);
		ms_session_deinit(&d->session[side]);
	}
	free(d->members);
	free(d->pages);
	free(d->stretches);
}
