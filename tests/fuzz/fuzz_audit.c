/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer target: the model and the auditor on hostile records. The input is an unpacked snapshot stream, as
 * fuzz_snap has it, whose records are mended (mend.h), so that nearly every input gets as far as the auditor. It may
 * find what it will, in time that grows with the records, and its own numbers must agree with each other.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit/audit.h"
#include "target/snapfmt.h"
#include "tests/fuzz/mend.h"

#define MAX_SECONDS 5 /* of the processor, under sanitizers: what is quadratic takes longer */
#define MAX_VISITS 100000
#define MAX_EVENTS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static void *room(size_t nr, size_t size)
{
	void *p = calloc(nr ? nr : 1, size);

	if (!p)
		abort();
	return p;
}

/* --- the target, which is all of src/target that the model and the auditor call --- */

static struct ms_err *stream_read(void *ctx, void *buf, size_t len, size_t *got_ret)
{
	struct stream *s = ctx;

	*got_ret = len < s->len - s->at ? len : s->len - s->at;
	if (*got_ret)
		memcpy(buf, s->bytes + s->at, *got_ret);
	s->at += *got_ret;
	return NULL;
}

struct ms_err *ms_target_read(struct ms_target *target, const struct ms_want *want,
			      const struct ms_sink *sink)
{
	struct ms_snap_source source = { .read = stream_read, .ctx = target->priv };

	((struct stream *)target->priv)->at = 0;
	return ms_snap_read_stream(&source, "fuzz", MEND_MAX_RECORDS, want, sink);
}

/* For ms_audit_target(), which reads again what cannot change here. */
struct ms_err *ms_target_kread(struct ms_target *target, struct ms_kread *reqs, size_t nr)
{
	(void)reqs;
	(void)nr;
	return ms_err_new(MS_ERR_USAGE, "target '%s' holds no kernel memory to read", target->spec);
}

struct ms_err *ms_target_events(struct ms_target *target, u64 kvm, size_t max, struct ms_event_log *ret)
{
	(void)target;
	(void)kvm;
	(void)max;
	memset(ret, 0, sizeof(*ret));
	return NULL;
}

/* --- what is run --- */

/* What might have happened to these pages: each entry follows upon its neighbour, or is given to the guest. */
static void make_events(const struct ms_vm *vm, struct ms_event_log *log)
{
	size_t i;

	log->events = room(MAX_EVENTS, sizeof(*log->events));
	for (i = 0; i < vm->nr_sps && log->nr + 2 <= MAX_EVENTS; i++) {
		const struct ms_sp *sp = &vm->sps[i];
		u32 idx = (u32)(sp->rec.order + i) % (MS_SPTES + 1);
		struct ms_event *event = &log->events[log->nr];

		if (!sp->tables)
			continue;
		event[0] = (struct ms_event){ .seq = log->nr, .id = MS_EV_spte_set };
		event[0].u.spte_set =
			(struct ms_ev_spte_set){ .sp = sp->rec.sp,
						 .gfn = sp->rec.gfn,
						 .old_spte = sp->tables->sptes[idx % MS_SPTES],
						 .new_spte = sp->tables->sptes[(idx + 1) % MS_SPTES],
						 .index = (u16)idx,
						 .level = (u8)sp->rec.role };
		event[1] = (struct ms_event){ .seq = log->nr + 1, .id = MS_EV_inject };
		event[1].u.inject = (struct ms_ev_inject){ .reason = 48,
							   .qual = sp->tables->sptes[idx % MS_SPTES],
							   .addr = sp->rec.spt_pfn,
							   .unbacked = sp->rec.unsync };
		log->nr += 2;
	}
}

static void check_findings(const struct ms_model *model, const struct ms_audit *audit)
{
	size_t *order, kept = 0, sum = 0, i;
	u64 found = 0;
	u32 row;

	for (row = 1; row <= MS_AUDIT_ROWS; row++) {
		if (audit->found[row] && (audit->lacking[row] || !audit->chosen[row]))
			abort();
		found += audit->found[row];
	}
	if (found != audit->nr + audit->nr_lost || audit->nr > MS_AUDIT_KEPT)
		abort();
	order = ms_audit_order(model, audit, &kept);
	if (!order || kept > audit->nr)
		abort();
	for (i = 0; i < audit->nr; i++) {
		const struct ms_finding *finding = &audit->findings[order[i]];

		if (!finding->row || finding->row > MS_AUDIT_ROWS || !finding->text[0] ||
		    (finding->idx >= MS_SPTES && finding->idx != MS_AUDIT_NO_INDEX) ||
		    ms_audit_counts(model, finding) != (i < kept))
			abort();
		sum += order[i];
	}
	if (audit->nr && sum != audit->nr * (audit->nr - 1) / 2)
		abort();
	free(order);
}

static void audit(const struct ms_model *model, const struct ms_vm *vm)
{
	struct ms_event_log log = { 0 };
	struct ms_audit without, with;

	if (ms_audit_vm(model, vm, 0, NULL, &without))
		abort();
	check_findings(model, &without);
	make_events(vm, &log);
	if (ms_audit_vm(model, vm, 0, &log, &with))
		abort();
	check_findings(model, &with);
	/* One model, one answer: each finding is there again. */
	if (without.nr) {
		ms_audit_keep(&without, &with);
		if (!with.nr_lost &&
		    (without.findings[0].readings != 2 || without.findings[without.nr - 1].readings != 2))
			abort();
	}
	ms_audit_deinit(&without);
	ms_audit_deinit(&with);
	free(log.events);
}

static bool count_visit(void *ctx, const struct ms_visit *visit)
{
	u32 *nr = ctx;

	if (visit->idx >= MS_SPTES || !visit->sp->tables)
		abort();
	return ++*nr < MAX_VISITS;
}

/* What the queries about lists, pins and trees ask a model. */
static void ask(const struct ms_model *model, const struct ms_vm *vm)
{
	struct ms_root *roots;
	size_t nr_roots, nr, i;
	u32 visits = 0, idx, e;

	for (i = 0; i < vm->nr_rmaps; i++)
		for (e = 0; e < vm->rmaps[i].rec.nr_entries; e++) {
			u64 spte = ms_rmap_entry(vm, &vm->rmaps[i], e);

			if (!ms_vm_rmaps_of(vm, spte, &nr) ||
			    (ms_vm_sp_of_spte(vm, spte, &idx) && idx >= MS_SPTES))
				abort();
		}
	for (i = 0; i < vm->nr_sps; i++) {
		ms_vm_parents(vm, vm->sps[i].rec.sp);
		ms_sp_nr_pinned(model, vm, &vm->sps[i]);
	}
	if (ms_vm_roots(model, vm, &roots, &nr_roots))
		abort();
	for (i = 0; i < nr_roots && visits < MAX_VISITS; i++)
		if (roots[i].sp && roots[i].sp->tables)
			ms_sp_visit(model, vm, roots[i].sp, ~0u, count_visit, &visits);
	free(roots);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ms_want want = { .what = MS_WANT_ALL, .max_table_bytes = 2 * MEND_MAX_TABLE_BYTES };
	struct stream *s = room(1, sizeof(*s));
	struct ms_target target = { .priv = s };
	struct ms_model *model = NULL;
	clock_t began = clock();
	struct ms_err *err;
	size_t i;

	mend_stream(data, size, s);
	err = ms_model_load(&target, &want, &model);
	for (i = 0; !err && i < model->nr_vms; i++) {
		audit(model, &model->vms[i]);
		ask(model, &model->vms[i]);
	}
	ms_err_free(err);
	if (!err)
		ms_model_destroy(model);
	if (clock() - began > MAX_SECONDS * CLOCKS_PER_SEC)
		abort();
	mend_deinit(s);
	free(s);
	return 0;
}

/* --- mutation by the format: values that meet those of other records say more than noise --- */

#define MAX_MARKS 4096

static unsigned int next(unsigned int *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

static size_t find_records(const uint8_t *data, size_t size, size_t *marks)
{
	size_t at = sizeof(struct ms_snap_head), nr = 0;
	struct ms_snap_rec rec;

	while (at + sizeof(rec) <= size && nr < MAX_MARKS) {
		memcpy(&rec, data + at, sizeof(rec));
		if (rec.len > size - at - sizeof(rec))
			break;
		marks[nr++] = at;
		at += sizeof(rec) + rec.len;
	}
	return nr;
}

/* A 64-bit word of the record at a mark, NULL: it has none. Members of its struct as often as its tables. */
static uint8_t *word_of(uint8_t *data, size_t mark, unsigned int *seed)
{
	struct ms_snap_rec rec;
	size_t words;

	memcpy(&rec, data + mark, sizeof(rec));
	words = rec.len / 8;
	if (words > 16 && next(seed) % 2)
		words = 16;
	return words ? data + mark + sizeof(rec) + 8 * (next(seed) % words) : NULL;
}

static void change_word(uint8_t *word, const uint8_t *other, unsigned int *seed)
{
	static const u64 steps[] = { 1, 8, 512, 4096, 1 << 18, 1 << 21, 1ull << 63, 0x7f };
	u64 value;

	memcpy(&value, word, 8);
	switch (next(seed) % 5) {
	case 0:
		value ^= 1ull << (next(seed) % 64);
		break;
	case 1:
		value += steps[next(seed) % 8];
		break;
	case 2:
		value -= steps[next(seed) % 8];
		break;
	default:
		memcpy(&value, other, 8);
		break;
	}
	memcpy(word, &value, 8);
}

/* Put a copy of one record before another. Returns the new size. */
static size_t copy_record(uint8_t *data, size_t size, size_t max_size, size_t from, size_t len, size_t to)
{
	uint8_t *copy;

	if (len > max_size - size)
		return size;
	copy = room(1, len);
	memcpy(copy, data + from, len);
	memmove(data + to + len, data + to, size - to);
	memcpy(data + to, copy, len);
	free(copy);
	return size + len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	static size_t marks[MAX_MARKS];
	size_t nr = find_records(data, size, marks), at, other, len;
	uint8_t *word, *from;
	struct ms_snap_rec rec;
	unsigned int count;

	if (!nr || next(&seed) % 32 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	at = marks[next(&seed) % nr];
	other = marks[next(&seed) % nr];
	memcpy(&rec, data + at, sizeof(rec));
	len = sizeof(rec) + rec.len;
	switch (next(&seed) % 8) {
	case 0: /* out with it */
		memmove(data + at, data + at + len, size - at - len);
		return size - len;
	case 1: /* once more, elsewhere, and seldom the same */
		size = copy_record(data, size, max_size, at, len, other);
		word = word_of(data, other, &seed);
		if (word)
			change_word(word, word, &seed);
		return size;
	case 2: /* other bytes, as many */
		if (rec.len)
			LLVMFuzzerMutate(data + at + sizeof(rec), rec.len, rec.len);
		return size;
	default:
		for (count = next(&seed) % 4 + 1; count; count--) {
			word = word_of(data, at, &seed);
			from = word_of(data, other, &seed);
			if (word && from)
				change_word(word, from, &seed);
		}
		return size;
	}
}
