// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SPTE values and what becomes of them: the vectors of SEMANTICS B5, the flush predicate E1 and the atomic
 * update E2 over all leaves there are, and the states H, M, W of E.1 under each operation, against tables
 * written here from the text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/faultlab.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static const enum nmmu_kernel kernels[] = { NMMU_6_1, NMMU_6_12 };

/* --- configurations and their profiles --- */

static int try_config(const struct nmmu_config *cfg)
{
	struct ms_machine_opts opts = { .config = *cfg, .seed = 1 };
	struct ms_machine *mm = NULL;
	struct ms_err *err = ms_machine_create(&opts, &mm);

	if (err) {
		ms_err_free(err);
		return -1;
	}
	ms_machine_destroy(mm);
	return 0;
}

#define REFUSED(svm, change)                                         \
	do {                                                         \
		struct nmmu_config cfg = lab_config(svm, NMMU_6_12); \
                                                                     \
		assert_int_equal(try_config(&cfg), 0);               \
		change;                                              \
		assert_int_equal(try_config(&cfg), -1);              \
	} while (0)

static void configs(void **state)
{
	(void)state;
	REFUSED(0, cfg.hv = MS_HV_UNKNOWN);
	REFUSED(0, cfg.kernel = 2);
	REFUSED(0, cfg.phys_bits = 53);
	REFUSED(0, (cfg.phys_bits = 35, cfg.guest_phys_bits = 35));
	REFUSED(0, cfg.guest_phys_bits = 47);
	REFUSED(0, cfg.guest_phys_bits = 31);
	REFUSED(0, (cfg.pml = true, cfg.ad = false));
	REFUSED(0, (cfg.pml = true, cfg.tdp = false));
	REFUSED(1, cfg.pml = true);
	REFUSED(1, cfg.exec_only = true);
	REFUSED(0, (cfg.kernel = NMMU_6_1, cfg.no_zap_all = true));
	REFUSED(0, cfg.max_pages = 39);
	REFUSED(0, cfg.bugs = 1u << NMMU_NR_BUGS);
	REFUSED(0, cfg.mutant = NMMU_NR_MUTANTS);
}

static void profiles(void **state)
{
	u32 svm, tdp, k, ad, xo, bits, caching;

	(void)state;
	for (svm = 0; svm < 2; svm++)
		for (tdp = 0; tdp < 2; tdp++)
			for (k = 0; k < 2; k++)
				for (ad = 0; ad < 2; ad++)
					for (xo = 0; xo < 2; xo++)
						for (caching = 0; caching < 2; caching++)
							for (bits = 36; bits <= 52; bits++) {
								struct nmmu_config cfg =
									lab_config(svm, kernels[k]);
								const struct spte_profile *p;
								bool ept = !svm && tdp;
								u64 sve = k ? 1ULL << 63 : 0;
								struct lab lab;

								cfg.tdp = tdp;
								cfg.ad = ad;
								cfg.exec_only = xo && !svm;
								cfg.phys_bits = cfg.guest_phys_bits =
									(u8)bits;
								cfg.mmio_caching = caching;
								lab_init(&lab, &cfg, 1);
								p = &lab.m->profile;
								assert_int_equal(spte_profile_check(p, NULL),
										 0);
								assert_int_equal(p->format,
										 ept ? SPTE_FMT_EPT
										     : SPTE_FMT_PT);
								assert_int_equal(p->phys_bits, bits);
								assert_int_equal(p->nonpresent_value, sve);
								assert_int_equal(
									p->m.nonpresent_or_rsvd_lower_gfn,
									((1ULL << bits) - 1) & ~0xfffULL);
								if (ept) {
									assert_int_equal(p->m.accessed,
											 ad ? 1 << 8 : 0);
									assert_int_equal(p->m.dirty,
											 ad ? 1 << 9 : 0);
									assert_true(p->m.present ==
										    (sve | (xo ? 0 : 1)));
									assert_int_equal(p->m.mmio_value,
											 caching ? 6 : 0);
									assert_true(p->m.host_writable ==
											    1ULL << 57 &&
										    p->m.mmu_writable ==
											    1ULL << 58);
								} else {
									assert_int_equal(p->m.accessed,
											 1 << 5);
									assert_int_equal(p->m.dirty, 1 << 6);
									assert_int_equal(p->m.present, 1);
									assert_true(p->m.mmio_value ==
										    (caching && bits < 52
											     ? 1ULL << 51 | 1
											     : 0));
									assert_true(p->m.host_writable ==
											    1 << 9 &&
										    p->m.mmu_writable ==
											    1 << 10);
								}
								lab_deinit(&lab);
							}
}

/* --- B5 --- */

static u64 made(struct lab *lab, struct nmmu_sp *sp, u64 pfn, u32 access, bool prefetch)
{
	struct nmmu_make make = { .sp = sp,
				  .slot = nmmu_slot_of(lab->m, 0, 0x40),
				  .access = access,
				  .gfn = 0x40,
				  .pfn = pfn,
				  .level = (u8)sp->role.level,
				  .prefetch = prefetch,
				  .can_unsync = true,
				  .host_writable = true };
	u64 spte;

	assert_false(nmmu_make_spte(lab->v, &make, &spte));
	return spte;
}

#define IPAT (1ULL << 6)

static void vectors_ept(void **state)
{
	u32 k;

	(void)state;
	for (k = 0; k < 2; k++) {
		struct nmmu_config cfg = lab_config(false, kernels[k]);
		u64 sve = k ? 1ULL << 63 : 0;
		struct nmmu_sp l1 = { .role = { .level = 1, .direct = 1 } };
		struct nmmu_sp l2 = { .role = { .level = 1, .guest_mode = 1 } };
		struct nmmu_sp noad = { .role = { .level = 1, .guest_mode = 1, .ad_disabled = 1 } };
		const struct spte_profile *p;
		struct lab lab;
		u64 spte;

		cfg.pml = true;
		lab_init(&lab, &cfg, 1);
		p = &lab.m->profile;

		spte = made(&lab, &l1, 0x12345, NMMU_ACC_ALL, false);
		assert_true(spte == (0x0600000012345b77 | sve));
		assert_true((spte & ~IPAT) == (0x0600000012345b37 | sve));

		spte = made(&lab, &l2, 0x12345, NMMU_ACC_ALL, false) & ~SPTE_HW_W;
		assert_true(spte == (0x0620000012345b75 | sve));
		assert_true((spte & ~IPAT) == (0x0620000012345b35 | sve));

		spte = made(&lab, &noad, 0x12345, NMMU_ACC_ALL, false);
		assert_true(spte == (0x0610000012345877 | sve));
		assert_true((spte & ~IPAT) == (0x0610000012345837 | sve));

		spte = nmmu_spte_mark_tracked(lab.m, spte);
		assert_true(spte == (0x0750000012345870 | sve));
		assert_true(nmmu_spte_mark_tracked(lab.m, spte) == spte);
		assert_true(nmmu_spte_mark_tracked(lab.m, (0x0610000012345837 | sve)) ==
			    (0x0750000012345830 | sve));
		assert_true(made(&lab, &noad, 0x12345, NMMU_ACC_ALL, true) == spte);
		/* What a fast fault makes of it for a read, and a slow one. */
		assert_true(nmmu_spte_restore_tracked(lab.m, spte) == (0x0610000012345875 | sve));
		assert_true(nmmu_spte_restore_tracked(lab.m, spte & ~IPAT) == (0x0610000012345835 | sve));
		assert_true(made(&lab, &noad, 0x12345, NMMU_ACC_ALL, false) == (0x0610000012345877 | sve));

		/* Prefetched with A bits: just not accessed. D is preset all the same. */
		assert_true(made(&lab, &l1, 0x12345, NMMU_ACC_ALL, true) == (0x0600000012345a77 | sve));

		lab.m->as[0].generation = 0x12345;
		assert_true(nmmu_make_mmio(lab.v, 0xfee00, NMMU_ACC_ALL) == 0x12300000fee0022e);
		lab.m->as[0].generation = 2;
		assert_true(nmmu_make_mmio(lab.v, 0xfee00, NMMU_ACC_ALL) == 0xfee00016);
		/* More than 19 bits, and the flag, are not stored. */
		lab.m->as[0].generation = NMMU_GEN_UPDATE | 1 << 19 | 2;
		assert_true(nmmu_make_mmio(lab.v, 0xfee00, NMMU_ACC_ALL) == 0xfee00016);
		assert_true(spte_is_mmio(p, 0xfee00016) && spte_mmio_gfn(p, 0xfee00016) == 0xfee00);
		lab.m->as[0].generation = 2;

		/* Links: B.3. */
		assert_true(nmmu_make_nonleaf(lab.m, 0x12345000, false) == (0x12345907 | sve));
		assert_true(nmmu_make_nonleaf(lab.m, 0x12345000, true) == (0x0010000012345807 | sve));
		lab_deinit(&lab);
	}
}

static void vectors_pt(void **state)
{
	u32 tdp;

	(void)state;
	for (tdp = 0; tdp < 2; tdp++) {
		struct nmmu_config cfg = lab_config(true, NMMU_6_12);
		struct nmmu_sp l1 = { .role = { .level = 1, .direct = 1 } };
		struct nmmu_sp l2 = { .role = { .level = 2, .guest_mode = 1 } };
		struct lab lab;

		cfg.tdp = tdp;
		lab_init(&lab, &cfg, 1);
		assert_true(made(&lab, &l1, 0x12345, NMMU_ACC_ALL, false) == 0x12345e67);
		assert_true(made(&lab, &l1, 0x12345, NMMU_ACC_ALL, true) == 0x12345e47);
		assert_true(made(&lab, &l1, 0x12345, NMMU_ACC_U, false) == (0x12345a25 | 1ULL << 63));
		assert_true(made(&lab, &l2, 0x12200, NMMU_ACC_ALL, false) == 0x12200ee7);
		lab.m->cfg.nx_huge_pages = true;
		assert_true(made(&lab, &l2, 0x12200, NMMU_ACC_ALL, false) == (0x12200ee7 | 1ULL << 63));
		assert_true(made(&lab, &l1, 0x12345, NMMU_ACC_ALL, false) == 0x12345e67);
		assert_true(nmmu_make_nonleaf(lab.m, 0x12345000, false) == 0x12345827);
		lab.m->as[0].generation = 0x12345;
		assert_true(nmmu_make_mmio(lab.v, 0xfee00, NMMU_ACC_ALL) ==
			    (0x12300000fee00228 | 1ULL << 51 | 7));
		lab.m->as[0].generation = 2;
		lab_deinit(&lab);
	}
}

/* L1TF: the guard bits and what they cover, moved up. */
static void vector_l1tf(void **state)
{
	struct nmmu_config cfg = lab_config(false, NMMU_6_1);
	struct spte_profile *p;
	struct lab lab;
	u64 spte;

	(void)state;
	lab_init(&lab, &cfg, 1);
	p = &lab.m->profile;
	p->m.nonpresent_or_rsvd = SPTE_BITS(45, 41);
	p->m.nonpresent_or_rsvd_lower_gfn = SPTE_BITS(40, 12);
	assert_int_equal(spte_profile_check(p, NULL), 0);
	spte = nmmu_make_mmio(lab.v, 1ULL << (43 - 12) | 0x55, 0);
	assert_true((spte & SPTE_BITS(45, 41)) == SPTE_BITS(45, 41));
	assert_true(spte & 1ULL << 48);
	assert_false(spte & 1ULL << 47);
	assert_true(spte_mmio_gfn(p, spte) == (1ULL << (43 - 12) | 0x55));
	lab_deinit(&lab);
}

/* --- leaves as states --- */

struct leaf {
	u8 h, m, w, a, d, kind, at;
};

/* The n-th leaf that may be; false: no more. */
static bool leaf_nth(u32 n, struct leaf *ret)
{
	static const u8 hmw[4][3] = { { 1, 1, 1 }, { 1, 1, 0 }, { 1, 0, 0 }, { 0, 0, 0 } };
	struct leaf l = { .h = hmw[n & 3][0], .m = hmw[n & 3][1], .w = hmw[n & 3][2] };

	n >>= 2;
	if (n < 8) {
		l.a = n & 1;
		l.d = n >> 1 & 1;
		l.kind = n >> 2 & 1 ? 2 : 0;
	} else if (n < 10) {
		l.kind = 1;
		l.at = n & 1;
		/* Access tracking takes W; which state it came from cannot be told. */
		if (l.at)
			l.w = 0;
	} else {
		return false;
	}
	*ret = l;
	return true;
}

static u64 leaf_value(const struct lab *lab, const struct leaf *l, u64 pfn)
{
	const struct spte_profile *p = &lab->m->profile;
	u64 spte = p->mmu_present | p->m.present | pfn << 12 | 6 << 3 | IPAT;

	spte |= l->h ? p->m.host_writable : 0;
	spte |= l->m ? p->m.mmu_writable : 0;
	spte |= (u64)l->kind << 52;
	spte |= l->a ? p->m.accessed : 0;
	spte |= l->d ? p->m.dirty : 0;
	if (l->at)
		return spte | 5ULL << 54;
	return spte | 5 | (l->w ? 2 : 0);
}

static struct leaf leaf_of(const struct lab *lab, u64 spte)
{
	const struct spte_profile *p = &lab->m->profile;

	return (struct leaf){ .h = !!(spte & p->m.host_writable),
			      .m = !!(spte & p->m.mmu_writable),
			      .w = !!(spte & 2),
			      .a = !!(spte & 1 << 8),
			      .d = !!(spte & 1 << 9),
			      .kind = spte >> 52 & 3,
			      .at = !(spte & 7) };
}

static bool same_leaf(const struct leaf *a, const struct leaf *b)
{
	return !memcmp(a, b, sizeof(*a));
}

#define GFN 0x1234u
#define GPA ((u64)GFN << 12)

/* A leaf of a direct page, with its reverse map, made by an access. */
static u64 *place(struct lab *lab, const struct nmmu_config *cfg)
{
	struct ms_run run;

	lab_init(lab, cfg, 1);
	run = lab_access(lab, GPA, "r", 0);
	assert_int_equal(run.action, NMMU_ACT_DONE);
	return lab_leafp(lab, GPA, NULL);
}

static u64 current_pfn(struct lab *lab)
{
	return lab_pfn(lab, GFN);
}

static void put(struct lab *lab, u64 *sptep, const struct leaf *l)
{
	nmmu_spte_update_no_track(lab->m, sptep, leaf_value(lab, l, current_pfn(lab)), MS_CAUSE_FAULT);
}

/* Leave what the role of the page allows. */
static void finish(struct lab *lab, u64 *sptep)
{
	struct leaf normal = { .h = 1, .m = 1, .w = 1, .a = 1, .d = 1, .kind = lab->m->cfg.ad ? 0 : 1 };

	if (normal.kind)
		normal.a = normal.d = 0;
	if (sptep)
		put(lab, sptep, &normal);
	lab_deinit(lab);
}

/* E1 in the words of the text. */
static bool e1(const struct leaf *o, const struct leaf *n)
{
	bool old_accessed = o->kind == 1 ? !o->at : o->a, new_accessed = n->kind == 1 ? !n->at : n->a;
	bool old_dirty = o->kind == 1 ? o->w : o->d, new_dirty = n->kind == 1 ? n->w : n->d;

	return (o->m && !n->w) || (old_accessed && !new_accessed) || (old_dirty && !new_dirty);
}

static void flush_predicate(void **state)
{
	struct nmmu_config cfg = lab_config(false, NMMU_6_12);
	struct leaf o, n;
	struct lab lab;
	u64 *sptep;
	u32 i, k, tried = 0;

	(void)state;
	cfg.pml = true;
	sptep = place(&lab, &cfg);
	for (i = 0; leaf_nth(i, &o); i++)
		for (k = 0; leaf_nth(k, &n); k++) {
			u64 events = lab.events[MS_EV_spte_set];
			u64 value = leaf_value(&lab, &n, current_pfn(&lab));
			bool flush;

			put(&lab, sptep, &o);
			flush = nmmu_spte_update(lab.m, sptep, value, MS_CAUSE_AGE);
			if (flush != e1(&o, &n))
				fail_msg("leaf %u to %u: flush %d", i, k, flush);
			assert_true(nmmu_read64(sptep) == value);
			assert_int_equal(lab.events[MS_EV_spte_set], events + 2);
			assert_int_equal(lab.last[MS_EV_spte_set].u.spte_set.gfn, GFN);
			assert_true(lab.last[MS_EV_spte_set].u.spte_set.new_spte == value);
			tried++;
		}
	assert_int_equal(tried, 40 * 40);
	finish(&lab, sptep);
}

/*
 * E2: between read and store, what others may do without the lock happens. It must come back from the
 * exchange: a D or A bit of the CPU, W of a lock-free fault, what access tracking gives back.
 */
struct meddle {
	u64 *sptep;
	u64 value;
	bool done;
};

static void meddle(struct lab *lab, enum nmmu_point point)
{
	struct meddle *md = lab->ctx;

	if (point != NMMU_POINT_SPTE_READ || md->done)
		return;
	md->done = true;
	nmmu_write64(md->sptep, md->value);
}

static void nothing_lost(void **state)
{
	struct nmmu_config cfg = lab_config(false, NMMU_6_12);
	struct meddle md;
	struct leaf o, n;
	struct lab lab;
	u32 i, how, tried = 0;

	(void)state;
	cfg.pml = true;
	md.sptep = place(&lab, &cfg);
	lab.ctx = &md;
	for (i = 0; leaf_nth(i, &o); i++)
		for (how = 0; how < 4; how++) {
			u64 old_value = leaf_value(&lab, &o, current_pfn(&lab)), seen, value;
			bool flush;

			n = o;
			if (how == 0 && o.kind != 1 && !o.a && !o.at)
				n.a = 1;
			else if (how == 1 && o.kind != 1 && o.w && !o.d)
				n.d = 1;
			else if (how == 2 && o.m && !o.w && !o.at)
				n.w = 1;
			else if (how == 3 && o.at)
				n.at = 0;
			else
				continue;
			put(&lab, md.sptep, &o);
			/* All that the update means to do is to take W and M. */
			value = old_value & ~(2ULL | lab.m->profile.m.mmu_writable);
			md.value = leaf_value(&lab, &n, current_pfn(&lab));
			md.done = false;
			lab.on_yield = meddle;
			flush = nmmu_spte_update(lab.m, md.sptep, value, MS_CAUSE_SHADOWED);
			lab.on_yield = NULL;
			assert_true(md.done);
			seen = lab.last[MS_EV_spte_set].u.spte_set.old_spte;
			assert_true(seen == md.value);
			o = leaf_of(&lab, value);
			assert_int_equal(flush, e1(&n, &o));
			leaf_nth(i, &o);
			tried++;

			/* The same when it is cleared. */
			put(&lab, md.sptep, &o);
			md.done = false;
			lab.on_yield = meddle;
			seen = nmmu_spte_clear(lab.m, md.sptep, MS_CAUSE_NOTIFIER);
			lab.on_yield = NULL;
			assert_true(seen == md.value);
			nmmu_spte_init(lab.m, md.sptep, old_value, MS_CAUSE_FAULT);
		}
	assert_int_equal(tried, 16 + 4 + 9 + 4);
	finish(&lab, md.sptep);
}

/* --- E.1: each state under each operation --- */

enum op {
	OP_LOG_PROTECT, /* dirty log without PML: W */
	OP_SHADOW_PROTECT, /* a table is shadowed: W and M */
	OP_LOG_CLEAR, /* CLEAR_DIRTY_LOG with PML, E.2 need_wp */
	OP_AGE,
	OP_FAST_WRITE, /* lock-free, direct MMU */
	OP_FAST_READ,
	OP_FAST_FETCH,
	OP_REBUILD, /* make_spte() for a fault that grants all */
	OP_PREFETCH, /* and for a prefetch */
	OP_REVOKE, /* and for a fault where the guest grants no W */
	OP_CLEAR,
	NR_OPS
};

struct outcome {
	struct leaf leaf;
	bool gone; /* not present */
	bool flush;
	int ret; /* of a fast fault */
	bool dirty; /* marked in the log */
};

static void tracked(struct leaf *l)
{
	l->at = 1;
	l->w = 0;
}

/* What SEMANTICS says, state by state. ad: KVM has A/D bits. */
static struct outcome expected(enum op op, struct leaf l, bool ad, bool logging)
{
	struct outcome o = { .leaf = l, .ret = NMMU_RET_INVALID };

	switch (op) {
	case OP_LOG_PROTECT:
		o.leaf.w = 0; /* RW->DL; all others have W=0 */
		o.flush = l.w;
		break;
	case OP_SHADOW_PROTECT:
		o.leaf.w = o.leaf.m = 0; /* RW->WP, DL->WP */
		o.flush = l.m; /* even where W was 0 already */
		break;
	case OP_LOG_CLEAR:
		if (l.kind == 0)
			o.leaf.d = 0; /* W stays, D is for the CPU to set */
		else
			o.leaf.w = 0; /* D stays */
		break;
	case OP_AGE:
		if (l.kind == 1)
			tracked(&o.leaf);
		else
			o.leaf.a = 0;
		break;
	case OP_FAST_WRITE:
		if (l.w) {
			o.ret = NMMU_RET_SPURIOUS;
		} else if (l.m) {
			o.leaf.w = 1; /* DL->RW, AT->RW */
			o.leaf.at = ad ? l.at : 0;
			o.ret = NMMU_RET_FIXED;
			o.dirty = logging;
		}
		break;
	case OP_FAST_READ:
	case OP_FAST_FETCH:
		if (ad)
			break; /* the entry cannot be tracked: nothing to mend */
		o.ret = l.at ? NMMU_RET_FIXED : NMMU_RET_SPURIOUS;
		o.leaf.at = 0;
		break;
	case OP_REBUILD:
	case OP_PREFETCH:
	case OP_REVOKE:
		o.leaf.at = 0;
		o.leaf.a = o.leaf.d = 0;
		/* H is not changed by a rebuild; the kind is the page's. */
		o.leaf.kind = ad ? 0 : 1;
		o.leaf.w = o.leaf.m = l.h && op != OP_REVOKE;
		if (ad) {
			o.leaf.a = op != OP_PREFETCH;
			/* E3: a leaf that was W keeps D for the CPU. */
			o.leaf.d = o.leaf.w && !l.w;
		} else if (op == OP_PREFETCH) {
			tracked(&o.leaf);
		}
		o.dirty = logging && o.leaf.w;
		o.flush = e1(&l, &o.leaf);
		break;
	case OP_CLEAR:
		o.gone = true;
		break;
	default:
		break;
	}
	return o;
}

static void fast(struct lab *lab, enum op op, struct outcome *got)
{
	struct nmmu_fault fault = { .addr = GPA,
				    .gfn = GFN,
				    .slot = nmmu_slot_of(lab->m, 0, GFN),
				    .write = op == OP_FAST_WRITE,
				    .present = op == OP_FAST_WRITE,
				    .fetch = op == OP_FAST_FETCH };

	got->ret = nmmu_fast_fault(lab->v, &fault);
}

static void rebuild(struct lab *lab, u64 *sptep, enum op op, struct outcome *got)
{
	struct nmmu_make make = { .sp = nmmu_sp_of_spte(lab->m, sptep),
				  .slot = nmmu_slot_of(lab->m, 0, GFN),
				  .access = op == OP_REVOKE ? NMMU_ACC_ALL & ~NMMU_ACC_W : NMMU_ACC_ALL,
				  .gfn = GFN,
				  .pfn = current_pfn(lab),
				  .old_spte = nmmu_read64(sptep),
				  .level = 1,
				  .prefetch = op == OP_PREFETCH,
				  .can_unsync = true };
	u64 spte;

	make.host_writable = spte_is_host_writable(&lab->m->profile, make.old_spte);
	assert_false(nmmu_make_spte(lab->v, &make, &spte));
	got->flush = nmmu_spte_update(lab->m, sptep, spte, MS_CAUSE_FAULT);
}

static struct outcome perform(struct lab *lab, u64 *sptep, enum op op)
{
	u64 hva = LAB_SLOT_HVA + GPA, bit = 1ULL << GFN % 64;
	struct outcome got = { .ret = NMMU_RET_INVALID };
	struct nmmu_slot *slot = nmmu_slot_of(lab->m, 0, GFN);
	u32 flushes = lab->events[MS_EV_flush];

	if (slot->dirty)
		slot->dirty[GFN / 64] = op == OP_LOG_CLEAR ? bit : 0;
	switch (op) {
	case OP_LOG_PROTECT:
	case OP_SHADOW_PROTECT:
		nmmu_gfn_write_protect(lab->m, slot, GFN, 1, op == OP_LOG_PROTECT, MS_CAUSE_SHADOWED,
				       &got.flush);
		break;
	case OP_LOG_CLEAR:
		assert_int_equal(nmmu_log_clear(lab->m, 0, 0, GFN & ~63u, 64, &bit), 0);
		break;
	case OP_AGE:
		nmmu_age(lab->m, hva, hva + 4096);
		assert_int_equal(lab->events[MS_EV_flush], flushes);
		break;
	case OP_FAST_WRITE:
	case OP_FAST_READ:
	case OP_FAST_FETCH:
		fast(lab, op, &got);
		assert_int_equal(lab->events[MS_EV_flush], flushes);
		break;
	case OP_REBUILD:
	case OP_PREFETCH:
	case OP_REVOKE:
		rebuild(lab, sptep, op, &got);
		break;
	case OP_CLEAR:
		nmmu_spte_clear(lab->m, sptep, MS_CAUSE_NOTIFIER);
		break;
	default:
		break;
	}
	got.leaf = leaf_of(lab, nmmu_read64(sptep));
	got.gone = nmmu_read64(sptep) == lab->m->profile.nonpresent_value;
	got.dirty = op != OP_LOG_CLEAR && slot->dirty && slot->dirty[GFN / 64] & bit;
	return got;
}

static void states(void **state)
{
	u32 k, ad, logging, i, op, tried = 0;

	(void)state;
	for (k = 0; k < 2; k++)
		for (ad = 0; ad < 2; ad++)
			for (logging = 0; logging < 2; logging++) {
				struct nmmu_config cfg = lab_config(false, kernels[k]);
				struct leaf l;
				struct lab lab;
				u64 *sptep;

				cfg.ad = cfg.pml = ad;
				sptep = place(&lab, &cfg);
				if (logging)
					lab_set_slot_flags(&lab, MS_SLOT_LOG_DIRTY);
				nmmu_log_mode(lab.m, NMMU_LOG_MANUAL);
				for (i = 0; leaf_nth(i, &l); i++)
					for (op = 0; op < NR_OPS; op++) {
						struct outcome want, got;

						/*
						 * Without A/D bits every leaf is of kind 01; with, none of
						 * a direct page is.
						 */
						if ((l.kind == 1) == ad ||
						    (op == OP_LOG_CLEAR && (!logging || !ad)))
							continue;
						put(&lab, sptep, &l);
						want = expected(op, l, ad, logging);
						got = perform(&lab, sptep, op);
						if (got.gone != want.gone || got.flush != want.flush ||
						    got.ret != want.ret || got.dirty != want.dirty ||
						    (!want.gone && !same_leaf(&got.leaf, &want.leaf)))
							fail_msg(
								"kernel %u ad %u log %u: H%uM%uW%u A%uD%u kind %u at %u, op %u: "
								"H%uM%uW%u A%uD%u kind %u at %u flush %u ret %d dirty %u",
								k, ad, logging, l.h, l.m, l.w, l.a, l.d,
								l.kind, l.at, op, got.leaf.h, got.leaf.m,
								got.leaf.w, got.leaf.a, got.leaf.d,
								got.leaf.kind, got.leaf.at, got.flush,
								got.ret, got.dirty);
						if (want.gone)
							nmmu_spte_init(
								lab.m, sptep,
								leaf_value(&lab, &l, current_pfn(&lab)),
								MS_CAUSE_FAULT);
						tried++;
					}
				finish(&lab, sptep);
			}
	assert_int_equal(tried, 2 * (32 * 10 + 32 * 11 + 8 * 10 * 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configs),	cmocka_unit_test(profiles),
		cmocka_unit_test(vectors_ept),	cmocka_unit_test(vectors_pt),
		cmocka_unit_test(vector_l1tf),	cmocka_unit_test(flush_predicate),
		cmocka_unit_test(nothing_lost), cmocka_unit_test(states),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
