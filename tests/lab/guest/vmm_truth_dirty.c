// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The part of the truth about writes: which pages of the data slot were written in which round, by whom; what the
 * dirty log says of them; and which of them a VMM that is not to be trusted (--dirty-lose) has taken out of it.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "vmm_truth.h"

/* Distinct pages of the data slot, as numbers within it, and the last round of each that was written to it. */
struct written {
	uint64_t first_gfn, npages;
	uint32_t *round; /* 0: not since the last truth */
	uint64_t nr;
};

static void page_written(struct truth *t, struct written *w, uint64_t gpa, uint32_t round)
{
	uint64_t i = (gpa >> GFN_SHIFT) - w->first_gfn;

	if (i >= w->npages) {
		truth_wrong(t, "a write to %#" PRIx64 ", which is not in the data slot", gpa);
		return;
	}
	w->nr += !w->round[i];
	if (round > w->round[i])
		w->round[i] = round;
}

static uint64_t word_gpa(const struct gf_param *p, uint64_t gfn, int level)
{
	return (gfn << GFN_SHIFT) + gf_word_offset(p->seed, gfn, level);
}

static void write_items(struct truth *t, struct written *w)
{
	const struct gf_param *p = t->vm->param;
	const struct gf_rec *rec = truth_area(t, p->rec_gpa, p->max_rec * sizeof(*rec));
	const struct gf_work *work = truth_area(t, p->work_gpa, p->max_work * sizeof(*work));

	for (uint64_t i = 0; i < p->nr_item; i++) {
		uint32_t round = work[rec[i].work].done >> GF_DONE_ROUND;
		uint64_t gpa = word_gpa(p, rec[i].l1_gfn, rec[i].level);

		if ((rec[i].kind != GF_DATA && rec[i].kind != GF_ALIAS) || round <= t->vm->told_round)
			continue;
		page_written(t, w, gpa, round);
		if (p->mode == GF_NESTED)
			truth_line(t, "wrote vm=%u round=%u gfn=0x%" PRIx64 " by=l2 l2gfn=0x%" PRIx64,
				   t->vm->index, round, gpa >> GFN_SHIFT,
				   (uint64_t)work[rec[i].work].va >> GFN_SHIFT);
		else
			truth_line(t, "wrote vm=%u round=%u gfn=0x%" PRIx64 " by=guest", t->vm->index, round,
				   gpa >> GFN_SHIFT);
	}
}

/* L1's own writes; the word they left must be there. */
static void write_l1pages(struct truth *t, struct written *w)
{
	const struct gf_param *p = t->vm->param;
	const struct gf_range *r = &p->range[GF_DATA];
	const struct gf_l1page *page = truth_area(t, p->l1page_gpa, p->nr_l1page * sizeof(*page));

	for (uint64_t i = 0; p->mode == GF_NESTED && i < p->nr_l1page; i++) {
		uint64_t gfn = r->l1_gfn + i * r->l1_step, gpa = word_gpa(p, gfn, p->leaf_level) ^ 8;

		if (page[i].l1_round <= t->vm->told_round)
			continue;
		page_written(t, w, gpa, page[i].l1_round);
		if (*(volatile uint64_t *)truth_area(t, gpa, 8) !=
		    gf_l1_value(p->seed, gfn, page[i].l1_round))
			truth_wrong(t, "gpa %#" PRIx64 " does not hold what L1 wrote", gpa);
		truth_line(t, "wrote vm=%u round=%" PRIu64 " gfn=0x%" PRIx64 " by=l1", t->vm->index,
			   (uint64_t)page[i].l1_round, gpa >> GFN_SHIFT);
	}
}

/* In two ranges, the border drawn: each begins at a multiple of 64 pages, as KVM wants it. */
static void log_clear(struct truth *t, uint64_t *bitmap, uint64_t npages)
{
	uint64_t border = gf_draw(t->vm->seed, 0x5152, t->checkpoint) % (npages / 64 + 1) * 64;
	struct kvm_clear_dirty_log low = { .slot = SLOT_DATA, .num_pages = border, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log high = { .slot = SLOT_DATA,
					    .num_pages = npages - border,
					    .first_page = border,
					    .dirty_bitmap = bitmap + border / 64 };

	if (border)
		vmm_ioctl(t->vm->fd, KVM_CLEAR_DIRTY_LOG, &low, "KVM_CLEAR_DIRTY_LOG");
	if (border < npages)
		vmm_ioctl(t->vm->fd, KVM_CLEAR_DIRTY_LOG, &high, "KVM_CLEAR_DIRTY_LOG");
}

/* Draws pages out of those that were written, and clears them in the log, which nobody has read since. */
static uint64_t *log_lose(struct truth *t, const struct written *w)
{
	uint64_t *lost = calloc(w->npages / 64 + 1, 8), left = w->nr, want = t->vm->vmm->opts.dirty_lose;

	if (!lost)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	if (want > left)
		want = left;
	/* Each with the chance that makes it `want' of those that are left. */
	for (uint64_t i = 0; i < w->npages && want; i++) {
		if (!w->round[i])
			continue;
		if (gf_draw(t->vm->seed, 0x5151 + t->checkpoint, i) % left-- < want) {
			want--;
			lost[i / 64] |= 1ull << i % 64;
			truth_line(t, "lost vm=%u gfn=0x%" PRIx64 " round=%u", t->vm->index, w->first_gfn + i,
				   w->round[i]);
		}
	}
	log_clear(t, lost, w->npages);
	return lost;
}

static void log_read(struct truth *t, const struct written *w)
{
	uint64_t *bitmap = calloc(w->npages / 64 + 1, 8), *lost = NULL;
	struct kvm_dirty_log log = { .slot = SLOT_DATA, .dirty_bitmap = bitmap };

	if (!bitmap)
		vmm_fail(VMM_ENVIRONMENT, "out of memory");
	if (t->vm->vmm->opts.dirty_lose)
		lost = log_lose(t, w);
	vmm_ioctl(t->vm->fd, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG");
	trace_dirty_get(SLOT_DATA, bitmap, (w->npages + 63) / 64);
	for (uint64_t i = 0; i < w->npages; i++) {
		if (!(bitmap[i / 64] >> i % 64 & 1))
			continue;
		truth_line(t, "dirty vm=%u gfn=0x%" PRIx64, t->vm->index, w->first_gfn + i);
		if (lost && lost[i / 64] >> i % 64 & 1)
			truth_wrong(t, "gfn %#" PRIx64 " is dirty again, and nobody has run",
				    w->first_gfn + i);
	}
	/* With the losses goes KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, under which reading clears nothing. */
	if (lost)
		log_clear(t, bitmap, w->npages);
	free(lost);
	free(bitmap);
}

void truth_dirty(struct truth *t)
{
	const struct vmm_slot *s = &t->vm->slot[SLOT_DATA];
	const struct vmm_opts *o = &t->vm->vmm->opts;
	struct written w = { .first_gfn = s->gpa >> GFN_SHIFT, .npages = s->size_bytes >> GFN_SHIFT };

	if (t->vm->vmm->opts.paging == PAGING_FLAT) {
		w.round = calloc(w.npages, sizeof(*w.round));
		if (!w.round)
			vmm_fail(VMM_ENVIRONMENT, "out of memory");
		write_items(t, &w);
		write_l1pages(t, &w);
	}
	if (o->dirty == DIRTY_GET)
		log_read(t, &w);
	for (unsigned int i = 0; i < o->vcpus; i++)
		if (t->vm->param->facts[i].round > t->vm->told_round)
			t->vm->told_round = t->vm->param->facts[i].round;
	free(w.round);
}
