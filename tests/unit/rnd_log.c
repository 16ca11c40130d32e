/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty log against copies of memory, as a migration keeps them: whatever differs from the copy must be
 * in the next log (SEMANTICS H 37). Copies are taken when the engine has promised to see later writes.
 */
#include "tests/unit/rnd.h"

#include <stdlib.h>
#include <string.h>

static void page_read(struct rnd *r, const struct rnd_slot *s, u64 i, u8 *dst)
{
	if (ms_machine_peek(r->machine, (s->gfn + i) << 12, dst, 4096))
		rnd_fail(r, "no memory at gfn 0x%llx", (unsigned long long)(s->gfn + i));
}

static void copy_page(struct rnd *r, struct rnd_slot *s, u64 i)
{
	page_read(r, s, i, s->copy + i * 4096);
}

void rnd_log_start(struct rnd *r, struct rnd_slot *s)
{
	s->copy = malloc(s->nr * 4096);
	s->bits = calloc((s->nr + 63) / 64, sizeof(u64));
	if (!s->copy || !s->bits) {
		rnd_fail(r, "out of memory");
		return;
	}
	s->logging = true;
	for (u64 i = 0; i < s->nr; i++)
		copy_page(r, s, i);
}

void rnd_log_stop(struct rnd_slot *s)
{
	free(s->copy);
	free(s->bits);
	s->copy = NULL;
	s->bits = NULL;
	s->logging = false;
}

void rnd_log_forget(struct rnd *r, u64 hva, u64 bytes)
{
	for (u32 k = 0; k < RND_SLOTS; k++) {
		struct rnd_slot *s = &r->slot[k];

		for (u64 i = 0; s->on && s->logging && i < s->nr; i++)
			if (s->hva + i * 4096 >= hva && s->hva + i * 4096 < hva + bytes)
				copy_page(r, s, i);
	}
}

static struct rnd_slot *pick_logging(struct rnd *r)
{
	u32 start = rnd_below(r, RND_SLOTS);

	for (u32 i = 0; i < RND_SLOTS; i++) {
		struct rnd_slot *s = &r->slot[(start + i) % RND_SLOTS];

		if (s->on && s->logging)
			return s;
	}
	return NULL;
}

static void log_get(struct rnd *r, bool all_stopped)
{
	struct rnd_slot *s = pick_logging(r);
	u64 words[0x400 / 64];
	u8 page[4096];
	int rc;

	if (!s)
		return;
	snprintf(r->what, sizeof(r->what), "log of slot %d read", (int)(s - r->slot));
	if (all_stopped)
		rnd_judge_log_begin(r);
	rc = ms_machine_log_get(r->machine, 0, s - r->slot, words);
	if (all_stopped)
		rnd_judge_log_end(r);
	if (rc) {
		rnd_fail(r, "error %d", rc);
		return;
	}
	r->count->log_get++;
	for (u64 i = 0; i < s->nr && !r->failed; i++) {
		bool dirty = words[i / 64] >> i % 64 & 1;

		page_read(r, s, i, page);
		if (!dirty && all_stopped && memcmp(page, s->copy + i * 4096, 4096))
			rnd_fail(r, "gfn 0x%llx has changed and is not in the log",
				 (unsigned long long)(s->gfn + i));
		if (dirty && !r->log_mode)
			memcpy(s->copy + i * 4096, page, 4096);
	}
	if (r->log_mode)
		memcpy(s->bits, words, (s->nr + 63) / 64 * sizeof(u64));
}

void rnd_op_log_get(struct rnd *r)
{
	log_get(r, true);
}

void rnd_log_round(struct rnd *r)
{
	log_get(r, false);
}

static void log_clear(struct rnd *r, bool all_stopped)
{
	struct rnd_slot *s = pick_logging(r);
	u64 words[0x400 / 64], first, nr, nr_words;
	int rc;

	if (!s || !r->log_mode)
		return;
	nr_words = (s->nr + 63) / 64;
	first = rnd_below(r, nr_words);
	nr = 1 + rnd_below(r, nr_words - first);
	for (u64 i = 0; i < nr; i++)
		words[i] = s->bits[first + i] & (rnd_chance(r, 60) ? ~0ULL : rnd_next(r));
	snprintf(r->what, sizeof(r->what), "log of slot %d cleared from page %llu, %llu pages",
		 (int)(s - r->slot), (unsigned long long)first * 64, (unsigned long long)nr * 64);
	if (all_stopped)
		rnd_judge_log_begin(r);
	rc = ms_machine_log_clear(r->machine, 0, s - r->slot, first * 64,
				  (first + nr) * 64 > s->nr ? s->nr - first * 64 : nr * 64, words);
	if (all_stopped)
		rnd_judge_log_end(r);
	if (rc) {
		rnd_fail(r, "error %d", rc);
		return;
	}
	r->count->log_clear++;
	for (u64 i = first * 64; i < (first + nr) * 64 && i < s->nr; i++) {
		if (!(words[i / 64 - first] >> i % 64 & 1))
			continue;
		copy_page(r, s, i);
		s->bits[i / 64] &= ~(1ULL << i % 64);
		if (all_stopped)
			rnd_judge_cleared(r, s->gfn + i);
	}
}

void rnd_op_log_clear(struct rnd *r)
{
	log_clear(r, true);
}

void rnd_clear_round(struct rnd *r)
{
	log_clear(r, false);
}
