/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The naive oracle: the guest's tables walked from the root for every question, in the words of the manuals
 * and with no memory but one: what an entry held before, as long as this vCPU has not invalidated it, may
 * still be used for an access that succeeds (SDM 4.10.4). It must never be used to refuse one.
 */
#include "tests/unit/rnd.h"

#include <string.h>

#define MAPS_MAX 16
#define VALUES_MAX 6

struct map {
	u64 addr;
	bool clean;
};

struct maps {
	struct map map[MAPS_MAX];
	u32 nr;
	bool too_many;
};

/* Why the walk with current entries fails. */
struct refusal {
	enum rnd_verdict verdict;
	u64 error; /* #PF, NPF's low half, or a qualification's bits 5:0 */
	u64 addr; /* nested: nGPA */
	bool table; /* nested: for an entry of the guest's tables */
	bool update; /* ... whose A or D bit was to be set: KVM looks at the page before that, the CPU after */
};

struct format {
	enum nmmu_gpt kind;
	u8 levels, use_dim; /* 0: the guest's own, 1: nested */
	bool nx, pse, wp, smep, smap, amd, gbpages, ad, exec_only;
	u8 phys_bits;
	u64 root;
	const u64 *pdpte; /* registers; NULL: memory */
};

struct need {
	bool write, fetch, user, read;
	bool table; /* nested: an entry of the guest's tables is wanted */
};

struct ask {
	struct rnd *r;
	const struct rnd_vcpu *vc;
	bool now; /* current entries only: `no' is filled */
	u64 since1, since2; /* old entries count when they were overwritten after */
	struct refusal no;
	u64 ngpa; /* being translated by the nested tables */
	u32 rights; /* R, W and X of all entries met on that way */
	bool old; /* some entry could be taken for more than one value */
	bool rom, frozen; /* a table lies in read-only memory; the host lets nobody write one */
};

struct rnd_slot *rnd_slot_of(struct rnd *r, u64 gfn)
{
	for (u32 i = 0; i < RND_SLOTS; i++)
		if (r->slot[i].on && gfn >= r->slot[i].gfn && gfn < r->slot[i].gfn + r->slot[i].nr)
			return &r->slot[i];
	return NULL;
}

static bool read_mem(struct rnd *r, u64 gpa, void *dst, u32 len)
{
	return rnd_slot_of(r, gpa >> 12) && !ms_machine_peek(r->machine, gpa, dst, len);
}

void rnd_read_pair(struct rnd *r, u64 gpa, u64 ret[2])
{
	u64 at = gpa & ~7ULL;

	ret[0] = ret[1] = 0;
	read_mem(r, at, &ret[0], 8);
	if ((at & 0xfff) != 0xff8)
		read_mem(r, at + 8, &ret[1], 8);
}

static void add_stale(struct rnd *r, u64 gpa, u64 value)
{
	if (r->nr_stale == RND_STALE_MAX) {
		/* Half of it goes, the older one. */
		r->stale_lost = r->stale[RND_STALE_MAX / 2 - 1].when;
		memmove(r->stale, r->stale + RND_STALE_MAX / 2, sizeof(r->stale) / 2);
		r->nr_stale = RND_STALE_MAX / 2;
	}
	r->stale[r->nr_stale++] = (struct rnd_stale){ .gpa = gpa, .value = value, .when = r->now };
}

void rnd_note_write(struct rnd *r, u64 gpa, const u64 old[2])
{
	u64 new_pair[2], at = gpa & ~7ULL;

	rnd_read_pair(r, gpa, new_pair);
	for (u32 i = 0; i < 2; i++)
		if (old[i] != new_pair[i])
			add_stale(r, at + 8 * i, old[i]);
}

void rnd_note_raced_write(struct rnd *r, u64 gpa, const u64 old[2])
{
	static const u64 flags[] = { 0x0000006000000060ULL, 0x300 };

	rnd_note_write(r, gpa, old);
	for (u32 i = 0; i < 4; i++)
		add_stale(r, (gpa & ~7ULL) + 8 * (i / 2), old[i / 2] | flags[i % 2]);
}

/* All that an entry may be taken for. The first is what it is. */
static u32 values_of(struct ask *q, const struct format *f, u64 gpa, u64 *values, bool *too_many)
{
	u32 bytes = f->kind == NMMU_GPT_32 ? 4 : 8, nr = 1, k;
	u64 since = f->use_dim ? q->since2 : q->since1;
	const struct rnd_slot *slot = rnd_slot_of(q->r, gpa >> 12);
	const struct rnd *r = q->r;

	values[0] = 0;
	if (slot) {
		q->rom |= slot->flags & MS_SLOT_READONLY;
		q->frozen |= slot->protected[(gpa >> 12) - slot->gfn];
	}
	if (!read_mem(q->r, gpa, &values[0], bytes))
		return 0;
	if (q->now)
		return 1;
	for (u32 i = r->nr_stale; i-- > 0 && r->stale[i].when > since;) {
		u64 value = r->stale[i].value;

		if (r->stale[i].gpa != (gpa & ~7ULL))
			continue;
		if (bytes == 4)
			value = gpa & 4 ? value >> 32 : value & 0xffffffff;
		for (k = 0; k < nr && values[k] != value; k++)
			;
		if (k < nr)
			continue;
		if (nr == VALUES_MAX) {
			*too_many = true;
			break;
		}
		values[nr++] = value;
		q->old = true;
	}
	return nr;
}

static void add(struct maps *maps, u64 addr, bool clean)
{
	for (u32 i = 0; i < maps->nr; i++)
		if (maps->map[i].addr == addr)
			return;
	if (maps->nr == MAPS_MAX) {
		maps->too_many = true;
		return;
	}
	maps->map[maps->nr++] = (struct map){ .addr = addr, .clean = clean };
}

static void refuse(struct ask *q, const struct format *f, const struct need *n, u64 flags, bool misconfig)
{
	if (!q->now || q->no.verdict != RND_OK)
		return;
	q->no.verdict = RND_PF;
	if (f->use_dim) {
		q->no.verdict = misconfig ? RND_NESTED_MISCONFIG : RND_NESTED_FAULT;
		q->no.table = n->table;
		q->no.addr = q->ngpa;
	}
	if (f->kind == NMMU_GPT_EPT) {
		if (!misconfig)
			q->no.error =
				(n->read ? 1 : 0) | (n->write ? 2 : 0) | (n->fetch ? 4 : 0) | q->rights << 3;
		return;
	}
	q->no.error = flags | (n->write ? 2 : 0) | (n->user ? 4 : 0) |
		      (n->fetch && ((f->nx && f->kind != NMMU_GPT_32) || f->smep) ? 16 : 0);
}

/* --- entries --- */

static u32 shift_at(const struct format *f, u32 level)
{
	return 12 + (f->kind == NMMU_GPT_32 ? 10 : 9) * (level - 1);
}

static bool leaf(const struct format *f, u64 e, u32 level)
{
	if (level == 1)
		return true;
	if (!(e >> 7 & 1))
		return false;
	if (f->kind == NMMU_GPT_32)
		return f->pse;
	return level == 2 || (level == 3 && f->kind != NMMU_GPT_PAE);
}

static bool ept_bad(const struct format *f, u64 e, u32 level)
{
	u32 rwx = e & 7, mt = e >> 3 & 7;

	if (rwx == 2 || rwx == 6 || (rwx == 4 && !f->exec_only))
		return true;
	for (u32 b = f->phys_bits; b < 52; b++)
		if (e >> b & 1)
			return true;
	if (!leaf(f, e, level))
		return (e & 0x78) || (level > 3 && (e & 0x80));
	if (mt == 2 || mt == 3 || mt == 7 || (level == 3 && !f->gbpages))
		return true;
	for (u32 b = 12; b < shift_at(f, level); b++)
		if (e >> b & 1)
			return true;
	return false;
}

static bool x86_bad(const struct format *f, u64 e, u32 level)
{
	if (f->kind == NMMU_GPT_32)
		return level == 2 && leaf(f, e, level) && (e >> 17 & 31);
	for (u32 b = f->phys_bits; b < (f->kind == NMMU_GPT_PAE ? 63 : 52); b++)
		if (e >> b & 1)
			return true;
	if (e >> 63 && !f->nx)
		return true;
	if (level >= 4 && ((e & 0x80) || (f->amd && (e & 0x100))))
		return true;
	if (level == 3 && (e & 0x80) && !f->gbpages)
		return true;
	if (level > 1 && leaf(f, e, level))
		for (u32 b = 13; b < shift_at(f, level); b++)
			if (e >> b & 1)
				return true;
	return false;
}

static u64 target(const struct format *f, u64 e, u64 addr, u32 level, bool is_leaf)
{
	u64 size = is_leaf ? 1ULL << shift_at(f, level) : 4096, pa;

	if (f->kind == NMMU_GPT_32) {
		pa = e & 0xfffff000;
		if (is_leaf && level == 2)
			pa = (e & 0xffc00000) | (e >> 13 & 15) << 32;
	} else {
		pa = e & 0xffffffffff000ULL;
	}
	return (pa & ~(size - 1)) | (is_leaf ? addr & (size - 1) : 0);
}

/* Rights so far and the access: true when it is refused. */
static bool denied(const struct format *f, bool r, bool w, bool x, bool u, const struct need *n)
{
	if (f->kind == NMMU_GPT_EPT)
		return (n->read && !r) || (n->write && !w) || (n->fetch && !x);
	if (n->fetch && !x)
		return true;
	if (n->user && !u)
		return true;
	if (n->write && !w && (n->user || f->wp))
		return true;
	return !n->user && u && ((n->fetch && f->smep) || (!n->fetch && f->smap));
}

/* --- walks --- */

static void nested(struct ask *q, u64 ngpa, const struct need *n, struct maps *ret);

struct state {
	bool r, w, x, u;
	bool clean; /* nothing old used */
	u64 without_a[5]; /* entries on the way whose A bit is to be set */
	u32 nr_without_a;
};

/* The places where an entry at addr of f's own space may lie in L1's. */
static void places(struct ask *q, const struct format *f, u64 addr, bool update, struct maps *ret)
{
	const struct rnd_vcpu *vc = q->vc;
	bool ept = vc->nested.kind == NMMU_NESTED_EPT;
	struct need n = { .table = true, .user = true, .read = true };

	ret->nr = 0;
	ret->too_many = false;
	if (f->use_dim || !vc->l2 || vc->nested.kind == NMMU_NESTED_OFF) {
		add(ret, addr, true);
		return;
	}
	n.write = !ept || (vc->nested.root & 0x40) || update;
	nested(q, addr, &n, ret);
}

static void descend(struct ask *q, const struct format *f, u64 addr, u32 level, u64 table, struct state st,
		    const struct need *n, struct maps *ret);

static void one_value(struct ask *q, const struct format *f, u64 addr, u32 level, u64 e, u64 e_addr,
		      struct state st, const struct need *n, struct maps *ret)
{
	bool ept = f->kind == NMMU_GPT_EPT, pdpte = f->kind == NMMU_GPT_PAE && level == 3;
	u64 a = ept ? 0x100 : 0x20, d = ept ? 0x200 : 0x40;

	if (ept)
		q->rights &= e & 7;
	if (ept ? !(e & 7) : !(e & 1)) {
		refuse(q, f, n, 0, false);
		return;
	}
	if (!pdpte && (ept ? ept_bad(f, e, level) : x86_bad(f, e, level))) {
		refuse(q, f, n, 9, ept);
		return;
	}
	if (!pdpte) {
		st.r &= e & 1;
		st.w &= e >> 1 & 1;
		st.u &= ept || (e >> 2 & 1);
		st.x &= ept ? e >> 2 & 1 : !(f->nx && f->kind != NMMU_GPT_32 && e >> 63);
		st.clean &= !f->ad || (e & a);
		if (f->ad && !(e & a))
			st.without_a[st.nr_without_a++] = e_addr;
	}
	if (!leaf(f, e, level)) {
		descend(q, f, addr, level - 1, target(f, e, addr, level, false), st, n, ret);
		return;
	}
	if (denied(f, st.r, st.w, st.x, st.u, n)) {
		refuse(q, f, n, 1, false);
		return;
	}
	/* A bit must be set where EPT12 without A/D asked for no write: that takes another look. */
	if (f->ad && n->write && !(e & d) && (e & a))
		st.without_a[st.nr_without_a++] = e_addr;
	for (u32 i = 0; q->now && !f->use_dim && i < st.nr_without_a; i++) {
		struct maps again;

		places(q, f, st.without_a[i], true, &again);
		if (!again.nr) {
			q->no.update = true;
			return;
		}
	}
	add(ret, target(f, e, addr, level, true), st.clean && (!f->ad || !n->write || (e & d)));
}

/* PDPTEs are no memory: other ones come with a load, and a VM entry with a VPID forgets nothing (SDM 28.3.3.1). */
static void old_pdptes(struct ask *q, const struct format *f, u64 addr, u32 level, struct state st,
		       const struct need *n, struct maps *ret)
{
	const struct rnd_vcpu *vc = q->vc;

	st.clean = false;
	for (u32 i = 0; i < RND_PDPTES_MAX; i++) {
		const struct rnd_pdptes *old = &vc->old_pdptes[vc->l2][i];
		u32 index = addr >> 30 & 3;

		if (old->when <= q->since1)
			continue;
		/* The oldest one of a full ring: there may have been more. */
		ret->too_many |= i == vc->next_pdptes[vc->l2] % RND_PDPTES_MAX;
		if (old->pdpte[index] == f->pdpte[index])
			continue;
		q->old = true;
		one_value(q, f, addr, level, old->pdpte[index], 0, st, n, ret);
	}
}

static void descend(struct ask *q, const struct format *f, u64 addr, u32 level, u64 table, struct state st,
		    const struct need *n, struct maps *ret)
{
	u32 bytes = f->kind == NMMU_GPT_32 ? 4 : 8, bits = f->kind == NMMU_GPT_32 ? 10 : 9;
	u64 index = addr >> shift_at(f, level) & ((1u << bits) - 1), e_addr, values[VALUES_MAX];
	struct maps at;

	if (f->kind == NMMU_GPT_PAE && level == 3) {
		index &= 3;
		if (f->pdpte)
			one_value(q, f, addr, level, f->pdpte[index], 0, st, n, ret);
		if (f->pdpte && !q->now)
			old_pdptes(q, f, addr, level, st, n, ret);
		/*
		 * AMD's CPU reads them from memory under NPT; what it found may be cached longer than it is
		 * there.
		 */
		if (f->pdpte && (q->now || q->r->cfg.hv != MS_HV_SVM || !q->r->cfg.tdp))
			return;
	}
	e_addr = table + index * bytes;
	places(q, f, e_addr, false, &at);
	ret->too_many |= at.too_many;
	for (u32 i = 0; i < at.nr; i++) {
		u32 nr = values_of(q, f, at.map[i].addr, values, &ret->too_many);

		if (!nr)
			refuse(q, f, n, 0, false);
		for (u32 k = 0; k < nr; k++) {
			struct state next = st;

			next.clean &= k == 0 && at.map[i].clean;
			one_value(q, f, addr, level, values[k], e_addr, next, n, ret);
		}
	}
}

static void walk(struct ask *q, const struct format *f, u64 addr, const struct need *n, struct maps *ret)
{
	struct state st = { .r = true, .w = true, .x = true, .u = true, .clean = true };

	ret->nr = 0;
	ret->too_many = false;
	if (f->kind == NMMU_GPT_NONE) {
		add(ret, addr, true);
		return;
	}
	descend(q, f, addr, f->levels, f->root, st, n, ret);
}

static void nested(struct ask *q, u64 ngpa, const struct need *n, struct maps *ret)
{
	const struct rnd_vcpu *vc = q->vc;
	const struct rnd *r = q->r;
	struct format f = { .kind = vc->nested_kind,
			    .levels = vc->nested_levels,
			    .use_dim = 1,
			    .amd = r->cfg.hv == MS_HV_SVM,
			    .gbpages = r->cfg.gbpages,
			    .phys_bits = r->cfg.guest_phys_bits,
			    .exec_only = r->cfg.exec_only,
			    .root = vc->nested.root & 0xffffffffff000ULL,
			    .ad = true,
			    .wp = true };
	struct need want = *n;
	u32 width;

	if (vc->nested.kind == NMMU_NESTED_EPT) {
		f.ad = vc->nested.root & 0x40;
	} else {
		f.nx = vc->regs[0].efer >> 11 & 1;
		f.pse = vc->regs[0].cr4 >> 4 & 1;
		/* Every access is a user's: of the two, SMEP has fetches told as such. */
		f.smep = vc->regs[0].cr4 >> 20 & 1;
		if (f.kind == NMMU_GPT_PAE)
			f.root = vc->nested.root & 0xfffffffffffe0ULL;
		want.user = true;
	}
	width = f.kind == NMMU_GPT_32 || f.kind == NMMU_GPT_PAE ? 32 : 12 + 9 * f.levels;
	ret->nr = 0;
	ret->too_many = false;
	q->ngpa = ngpa;
	q->rights = 7;
	if (ngpa >> width) {
		q->rights = 0;
		refuse(q, &f, &want, 0, false);
		return;
	}
	walk(q, &f, ngpa, &want, ret);
}

/* The guest's own format, from its registers. */
static struct format own_format(const struct rnd *r, const struct rnd_vcpu *vc)
{
	const struct nmmu_regs *regs = &vc->regs[vc->l2];
	struct format f = { .kind = vc->kind[vc->l2],
			    .nx = regs->efer >> 11 & 1,
			    .pse = regs->cr4 >> 4 & 1,
			    .wp = regs->cr0 >> 16 & 1,
			    .smep = regs->cr4 >> 20 & 1,
			    .smap = (regs->cr4 >> 21 & 1) && !regs->ac,
			    .amd = r->cfg.hv == MS_HV_SVM,
			    .gbpages = r->cfg.gbpages,
			    .phys_bits = r->cfg.guest_phys_bits,
			    .ad = true,
			    .root = regs->cr3 & 0xffffffffff000ULL };

	switch (f.kind) {
	case NMMU_GPT_32:
		f.levels = 2;
		break;
	case NMMU_GPT_PAE:
		f.levels = 3;
		f.pdpte = vc->pdpte[vc->l2];
		break;
	case NMMU_GPT_64:
		f.levels = 4;
		break;
	case NMMU_GPT_LA57:
		f.levels = 5;
		break;
	default:
		break;
	}
	return f;
}

static void own_walk(struct ask *q, const struct rnd_want *want, struct rnd_answer *ret)
{
	struct format f = own_format(q->r, q->vc);
	struct need n = { .write = want->write,
			  .fetch = want->fetch,
			  .user = want->user,
			  .read = !want->fetch && (!want->write || want->rmw) };
	const struct rnd_vcpu *vc = q->vc;
	struct maps first, second;

	walk(q, &f, want->addr, &n, &first);
	ret->too_many |= first.too_many;
	for (u32 i = 0; i < first.nr; i++) {
		if (!vc->l2 || vc->nested.kind == NMMU_NESTED_OFF) {
			second = (struct maps){ .nr = 1,
						.map = { { .addr = first.map[i].addr, .clean = true } } };
		} else {
			nested(q, first.map[i].addr, &n, &second);
			ret->too_many |= second.too_many;
		}
		for (u32 k = 0; k < second.nr; k++) {
			if (ret->nr == RND_PATHS_MAX) {
				ret->too_many = true;
				return;
			}
			ret->paths[ret->nr++] = (struct rnd_path){
				.gpa = second.map[k].addr,
				.clean = first.map[i].clean && second.map[k].clean,
			};
		}
	}
}

void rnd_ask(struct rnd *r, const struct rnd_vcpu *vc, const struct rnd_want *want, struct rnd_answer *ret)
{
	struct ask q = { .r = r, .vc = vc, .now = true };
	struct rnd_want w = *want;

	if (vc->kind[vc->l2] < NMMU_GPT_64)
		w.addr &= 0xffffffff;
	memset(ret, 0, sizeof(*ret));
	own_walk(&q, &w, ret);
	if (ret->nr) {
		ret->gpa = ret->paths[0].gpa;
	} else {
		ret->verdict = q.no.verdict;
		ret->error = q.no.error;
		ret->addr = q.no.verdict == RND_PF ? w.addr : q.no.addr;
		ret->table = q.no.table;
		ret->update = q.no.update;
	}
	/* Once more, with all that may still be cached. */
	q.now = false;
	q.since1 = vc->flush1[vc->l2];
	q.since2 = vc->flush2;
	for (u32 i = 0; i < RND_INVLPG_MAX; i++) {
		const struct rnd_invlpg *inv = &vc->invlpg[i];

		if (inv->when > q.since1 && inv->page == w.addr >> 12 && inv->l2 == vc->l2)
			q.since1 = inv->when;
	}
	ret->nr = 0;
	own_walk(&q, &w, ret);
	ret->old = q.old;
	ret->rom = q.rom;
	ret->frozen = q.frozen;
	if (q.since1 < r->stale_lost || q.since2 < r->stale_lost)
		ret->too_many = true;
}

bool rnd_load_pdptes(struct rnd *r, struct rnd_vcpu *vc, bool l2)
{
	struct ask q = { .r = r, .vc = vc, .now = true };
	u64 at = vc->regs[l2].cr3 & 0xffffffe0, pdpte[4];

	if (l2 && vc->nested.kind != NMMU_NESTED_OFF) {
		bool ept = vc->nested.kind == NMMU_NESTED_EPT;
		struct need n = {
			.table = true, .user = true, .read = true, .write = !ept || (vc->nested.root & 0x40)
		};
		struct maps maps;

		nested(&q, at, &n, &maps);
		if (!maps.nr)
			return false;
		at = maps.map[0].addr;
	}
	for (u32 i = 0; i < 4; i++) {
		if (!read_mem(r, at + i * 8, &pdpte[i], 8))
			return false;
		if ((pdpte[i] & 1) && ((pdpte[i] & 0x1e6) || pdpte[i] >> r->cfg.guest_phys_bits))
			return false;
	}
	if (memcmp(vc->pdpte[l2], pdpte, sizeof(pdpte))) {
		struct rnd_pdptes *old = &vc->old_pdptes[l2][vc->next_pdptes[l2]++ % RND_PDPTES_MAX];

		memcpy(old->pdpte, vc->pdpte[l2], sizeof(old->pdpte));
		old->when = r->now;
		memcpy(vc->pdpte[l2], pdpte, sizeof(pdpte));
	}
	return true;
}
