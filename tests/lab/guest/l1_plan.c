// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which page lies where, who touches it how and in what order: all drawn from the seed in the parameter
 * block. It fills the records and the work list and carries them from round to round. It never touches a page
 * of the list.
 */
#include "l1.h"

/* Purposes of gf_draw(); any distinct numbers. */
enum draw {
	DRAW_L1_WRITE = 0x3800,
	DRAW_MISCONF,
	DRAW_STUBBORN,
	DRAW_PERM = 0x4000,
	DRAW_ORDER,
	DRAW_WRITE,
	DRAW_NPT_RO,
	DRAW_ALIAS,
	DRAW_REWRITE, /* + 2 * round: whether; + 2 * round + 1: which */
};

static void shuffle(gf_u32 *v, gf_u64 n, gf_u64 purpose)
{
	gf_u64 i, j;
	gf_u32 t;

	for (i = n; i-- > 1;) {
		j = gf_draw(l1.param->seed, purpose, i) % (i + 1);
		t = v[i];
		v[i] = v[j];
		v[j] = t;
	}
}

static int drawn_below(enum draw purpose, gf_u64 item, gf_u32 pct)
{
	return gf_draw(l1.param->seed, purpose, item) % 100 < pct;
}

/* An item and a round as one number to draw for. */
static gf_u64 in_round(gf_u64 item, gf_u64 round)
{
	return item | round << 40;
}

int plan_l1_writes(gf_u64 i, gf_u64 round)
{
	return drawn_below(DRAW_L1_WRITE, in_round(i, round), l1.param->l1_write_pct);
}

static struct gf_l1page *l1page_of(const struct gf_rec *rec)
{
	struct gf_range *r = &l1.param->range[GF_DATA];

	if (rec->kind != GF_DATA && rec->kind != GF_ALIAS)
		return 0;
	return &l1.l1page[(rec->l1_gfn - r->l1_gfn) / r->l1_step];
}

/* What is done to item i in this round, and which values are right. */
static void work_set(gf_u64 i, gf_u64 round)
{
	struct gf_param *p = l1.param;
	struct gf_rec *rec = &l1.rec[i];
	struct gf_work *w = &l1.work[rec->work];
	struct gf_l1page *page = l1page_of(rec);
	gf_u64 draw_for = p->flags & GF_F_REDRAW ? in_round(i, round) : i;
	int level = rec->level, writes = drawn_below(DRAW_WRITE, draw_for, p->write_pct);

	if (!(rec->access & GF_ACC_W))
		writes = 0;

	w->va = (rec->l2_gfn << PAGE_SHIFT) + gf_word_offset(p->seed, rec->l1_gfn, level);
	w->want = page ? page->value : gf_initial_value(p->seed, rec->l1_gfn);
	w->put = gf_written_value(p->seed, rec->l1_gfn, round);
	w->op = writes ? GF_OP_W : GF_OP_R;
	switch (rec->kind) {
	case GF_RO:
		w->op = writes && p->flags & GF_F_RO_WRITE ? GF_OP_R | GF_OP_W : GF_OP_R;
		w->op |= GF_OP_SINK;
		break;
	case GF_MMIO:
		w->op |= GF_OP_SINK;
		break;
	case GF_STORM:
		w->op |= GF_OP_NOCHECK;
		break;
	case GF_MISCONF:
		w->op |= GF_OP_SKIP;
		break;
	case GF_STUBBORN:
		w->op = GF_OP_R | GF_OP_W | GF_OP_SKIP;
		break;
	default:
		if (page->nr_l2 > 1)
			w->op |= GF_OP_EITHER;
	}
}

static void rec_init(gf_u64 i, enum gf_kind kind, gf_u64 k)
{
	struct gf_param *p = l1.param;
	struct gf_range *r = &p->range[kind], *data = &p->range[GF_DATA];
	struct gf_rec *rec = &l1.rec[i];
	gf_u64 x = k;

	if (kind == GF_DATA)
		x = l1.perm[k];
	if (kind == GF_ALIAS || kind == GF_MISCONF || (kind == GF_STUBBORN && !r->l1_gfn)) {
		enum draw what = kind == GF_ALIAS     ? DRAW_ALIAS
				 : kind == GF_MISCONF ? DRAW_MISCONF
						      : DRAW_STUBBORN;

		r = data;
		x = l1.perm[gf_draw(p->seed, what, k) % data->nr];
	}
	rec->kind = kind;
	rec->l1_gfn = r->l1_gfn + x * r->l1_step;
	rec->l2_gfn = rec->l1_gfn;
	if (p->mode == GF_NESTED)
		rec->l2_gfn = p->range[kind].l2_gfn + k * p->range[kind].l2_step;
	rec->level = kind == GF_DATA || kind == GF_ALIAS ? p->leaf_level : 1;
	rec->access = GF_ACC_R | GF_ACC_W;
	if (!(p->flags & GF_F_NPT_NX))
		rec->access |= GF_ACC_X;
	if (p->mode == GF_NESTED && drawn_below(DRAW_NPT_RO, i, p->npt_ro_pct) && kind <= GF_ALIAS)
		rec->access &= ~GF_ACC_W;
	if (kind == GF_STUBBORN)
		rec->access &= ~GF_ACC_W;
	if (kind == GF_DATA || kind == GF_ALIAS)
		l1page_of(rec)->nr_l2++;
}

void plan_init(void)
{
	struct gf_param *p = l1.param;
	struct gf_range *data = &p->range[GF_DATA];
	gf_u64 i, k, n = 0;
	int kind;

	for (k = 0; k < data->nr; k++)
		l1.perm[k] = k;
	if (p->flags & GF_F_SHUFFLE)
		shuffle(l1.perm, data->nr, DRAW_PERM);
	for (k = 0; k < p->nr_l1page; k++)
		l1.l1page[k].value = gf_initial_value(p->seed, data->l1_gfn + k * data->l1_step);
	for (kind = 0; kind < GF_NR_ITEM_KINDS; kind++)
		for (k = 0; k < p->range[kind].nr; k++)
			rec_init(n++, kind, k);
	p->nr_item = p->nr_rec = n;
	for (i = 0; i < n; i++)
		l1.order[i] = i;
	if (p->order == GF_ORDER_RANDOM)
		shuffle(l1.order, n, DRAW_ORDER);
	for (i = 0; i < n; i++)
		l1.rec[l1.order[i]].work = i;
	for (i = 0; i < n; i++)
		work_set(i, 1);
}

/* Data page k goes to its spare L1 page, or back from it. */
static void page_move(struct gf_rec *rec)
{
	struct gf_range *data = &l1.param->range[GF_DATA];
	gf_u64 half = data->nr * data->l1_step;

	l1page_of(rec)->nr_l2--;
	if (rec->l1_gfn < data->l1_gfn + half)
		rec->l1_gfn += half;
	else
		rec->l1_gfn -= half;
	l1page_of(rec)->nr_l2++;
}

static void page_rewrite(gf_u64 i, enum gf_rewrite how, gf_u64 draw)
{
	struct gf_rec *rec = &l1.rec[i];

	if (how == GF_REWRITE_MIX)
		how = GF_REWRITE_W + draw % 3;
	switch (how) {
	case GF_REWRITE_W:
		rec->access ^= GF_ACC_W;
		npt_map(rec);
		break;
	case GF_REWRITE_UNMAP:
		npt_unmap(rec);
		break;
	default:
		page_move(rec);
		npt_map(rec);
	}
	l1.work[rec->work].done = 0;
	l1.param->facts[0].nr_rewrites++;
}

static void values_advance(void)
{
	struct gf_param *p = l1.param;
	gf_u64 i;

	for (i = 0; i < p->nr_item; i++) {
		struct gf_l1page *page = l1page_of(&l1.rec[i]);

		if (page && l1.work[l1.rec[i].work].op & GF_OP_W)
			page->value = l1.work[l1.rec[i].work].put;
	}
}

void plan_rewrite(gf_u64 round)
{
	struct gf_param *p = l1.param;
	gf_u64 i, draw;

	/* First: a page that moves takes no value along. */
	values_advance();
	for (i = 0; i < p->range[GF_DATA].nr && p->rewrite != GF_REWRITE_NONE; i++) {
		draw = gf_draw(p->seed, DRAW_REWRITE + round, i);
		if (draw % 100 < p->rewrite_pct)
			page_rewrite(i, p->rewrite, draw >> 32);
	}
}

void plan_next_round(gf_u64 round)
{
	gf_u64 i;

	for (i = 0; i < l1.param->nr_item; i++)
		work_set(i, round);
}
