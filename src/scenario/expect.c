/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expectations of a scenario about what an action came to: its outcome, events, logs and memory. */
#include "scenario/play.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const exit_names[] = {
	[HW_DONE] = "done",
	[HW_FAULT_PF] = "pf",
	[HW_EXIT_EPT_VIOLATION] = "violation",
	[HW_EXIT_EPT_MISCONFIG] = "misconfig",
	[HW_EXIT_NPF] = "npf",
	[HW_EXIT_PML_FULL] = "pml-full",
	[HW_MEM_ERROR] = "memory-error",
};

static void in_words(u64 reason, u64 qual, struct ms_buf *to)
{
	struct ms_buf text = { 0 };

	if (words_qual(reason, qual, &text))
		ms_buf_printf(to, " (%s)", ms_buf_str(&text));
	ms_buf_deinit(&text);
}

/* As L1 would be told the reason of what the CPU alone ran into; 0: none with bits. */
static u64 reason_of(const struct hw_result *hw)
{
	return hw->exit == HW_EXIT_EPT_VIOLATION ? 48 : hw->exit == HW_EXIT_NPF ? 0x400 : 0;
}

static void probe_print(const struct hw_result *hw, struct ms_buf *to)
{
	ms_buf_printf(to, "probe %s", hw->exit < LEN(exit_names) ? exit_names[hw->exit] : "?");
	if (hw->exit != HW_DONE) {
		ms_buf_printf(to, " qual=0x%llx", (unsigned long long)hw->qual);
		in_words(hw->exit == HW_FAULT_PF ? 0x400 : reason_of(hw), hw->qual, to);
	}
	ms_buf_printf(to, " gpa=0x%llx%s", (unsigned long long)hw->gpa, hw->tlb_hit ? " from the TLB" : "");
}

static void run_print(const struct ms_run *run, struct ms_buf *to)
{
	const struct nmmu_result *last = &run->last;

	switch (run->action) {
	case NMMU_ACT_EXIT_L1:
		if (last->reason == 0x400)
			ms_buf_puts(to, "exit npf");
		else
			ms_buf_printf(to, "exit %llu", (unsigned long long)last->reason);
		ms_buf_printf(to, " qual=0x%llx", (unsigned long long)last->qual);
		in_words(last->reason, last->qual, to);
		ms_buf_printf(to, " addr=0x%llx", (unsigned long long)last->addr);
		break;
	case NMMU_ACT_PF:
		ms_buf_printf(to, "pf error=0x%llx (", (unsigned long long)last->qual);
		words_error(last->qual, to);
		ms_buf_printf(to, ") addr=0x%llx", (unsigned long long)last->addr);
		break;
	case NMMU_ACT_MMIO:
		ms_buf_printf(to, "mmio gpa=0x%llx", (unsigned long long)last->gpa);
		break;
	case NMMU_ACT_DEAD:
		ms_buf_puts(to, "dead");
		break;
	case NMMU_ACT_RESUME:
	case NMMU_ACT_DONE:
		ms_buf_printf(to, "done value=0x%llx", (unsigned long long)run->value);
		break;
	}
	ms_buf_printf(to, " exits=%u%s%s", run->exits, run->emulated ? " emulated" : "",
		      run->last.fast ? " fast" : "");
}

void outcome_print(const struct outcome *out, struct ms_buf *to)
{
	if (out->kind == OUT_NONE) {
		ms_buf_puts(to, "nothing that can be expected");
	} else if (out->kind == OUT_AGE) {
		ms_buf_puts(to, out->young ? "young" : "old");
	} else if (out->kind == OUT_PROBE) {
		probe_print(&out->hw, to);
	} else if (out->kind == OUT_ACCESS && out->error == -EFAULT) {
		ms_buf_puts(to, "the host has no memory there");
	} else if (out->error && words_errno(out->error)) {
		ms_buf_puts(to, words_errno(out->error));
	} else if (out->error) {
		ms_buf_printf(to, "error %d", out->error);
	} else if (out->kind == OUT_CALL) {
		ms_buf_puts(to, "done");
	} else if (out->run.stuck) {
		ms_buf_printf(to, "stuck after %u exits", out->run.exits);
	} else {
		run_print(&out->run, to);
	}
}

bool num_fits(u8 op, u64 found, u64 wanted)
{
	switch ((enum arg_op)op) {
	case ARG_NE:
		return found != wanted;
	case ARG_LE:
		return found <= wanted;
	case ARG_GE:
		return found >= wanted;
	case ARG_EQ:
		break;
	}
	return found == wanted;
}

static const char *const op_texts[] = { "", "other than ", "<= ", ">= " };

/*
 * A small number as it is; a large one as it is written, and in words when it has bits that mean something.
 */
static void number_print(const struct outcome *out, enum key_id key, u64 value, struct ms_buf *to)
{
	ms_buf_printf(to, value < 10 ? "%llu" : "0x%llx", (unsigned long long)value);
	if (key == KEY_ERROR || (key == KEY_QUAL && out->kind == OUT_PROBE && out->hw.exit == HW_FAULT_PF))
		in_words(0x400, value, to);
	else if (key == KEY_QUAL)
		in_words(out->kind == OUT_PROBE ? reason_of(&out->hw) : out->run.last.reason, value, to);
	else if (value >= 10 && (key == KEY_EXITS || key == KEY_COUNT || key == KEY_INDEX))
		ms_buf_printf(to, " (%llu)", (unsigned long long)value);
}

static bool fail_num(struct ms_play *play, const struct stmt *stmt, const struct arg *arg, const char *what,
		     u64 found, u64 wanted)
{
	const struct outcome *out = stmt->inner ? &play->inner : &play->outcome;
	enum key_id key = (enum key_id)arg->key;
	struct ms_buf text = { 0 };

	ms_buf_printf(&text, "%s is ", what);
	number_print(out, key, found, &text);
	ms_buf_printf(&text, ", expected was %s", op_texts[arg->op]);
	number_print(out, key, wanted, &text);
	play_fail(play, stmt, "%s", ms_buf_str(&text));
	ms_buf_deinit(&text);
	return false;
}

bool check_num(struct ms_play *play, const struct stmt *stmt, enum key_id key, const char *what, u64 found)
{
	const struct arg *arg;
	u64 wanted;
	u32 i;

	/* Each that is given: a range is two. */
	for (i = 0; i < stmt->nr_args; i++) {
		arg = &play->sc->args[stmt->first_arg + i];
		if (arg->key != key)
			continue;
		wanted = arg_eval(play, stmt, arg);
		if (play->failed)
			return false;
		if (!num_fits(arg->op, found, wanted))
			return fail_num(play, stmt, arg, what, found, wanted);
	}
	return true;
}

static bool fail_outcome(struct ms_play *play, const struct stmt *stmt, const struct outcome *out)
{
	struct ms_buf text = { 0 };

	outcome_print(out, &text);
	if (stmt->verb == VERB_X_PROBE && out->kind != OUT_PROBE)
		play_wrong(play, stmt, NR_KEYS, "the last action was no `probe'; it came to: %s",
			   ms_buf_str(&text));
	else if ((stmt->verb == VERB_X_YOUNG || stmt->verb == VERB_X_OLD) && out->kind != OUT_AGE)
		play_wrong(play, stmt, NR_KEYS, "the last action was no `host age'; it came to: %s",
			   ms_buf_str(&text));
	else
		play_fail(play, stmt, "it came to: %s", ms_buf_str(&text));
	ms_buf_deinit(&text);
	return false;
}

/* What guest memory lies behind a host-physical address. ~0: none that a slot maps. */
static bool is_memory(struct ms_play *play, u64 gpa, u64 pa)
{
	const struct nmmu_slot *slot = ms_machine_slot_at(play->machine, 0, gpa >> NMMU_PAGE_SHIFT);
	u64 hva;

	if (!slot)
		return false;
	hva = slot->hva + (gpa - (slot->base_gfn << NMMU_PAGE_SHIFT));
	return ms_machine_pfn(play->machine, hva) == pa >> NMMU_PAGE_SHIFT;
}

static bool check_memory(struct ms_play *play, const struct stmt *stmt, u64 pa)
{
	u64 gpa;

	if (!arg_has(play, stmt, KEY_MEMORY))
		return true;
	gpa = arg_num(play, stmt, KEY_MEMORY, 0);
	if (play->failed || is_memory(play, gpa, pa))
		return !play->failed;
	return play_fail(play, stmt, "the CPU went to host address 0x%llx, which is not behind 0x%llx",
			 (unsigned long long)pa, (unsigned long long)gpa);
}

static bool expect_run(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	const struct ms_run *run = &out->run;
	enum nmmu_action wanted = stmt->verb == VERB_X_EXIT   ? NMMU_ACT_EXIT_L1
				  : stmt->verb == VERB_X_PF   ? NMMU_ACT_PF
				  : stmt->verb == VERB_X_MMIO ? NMMU_ACT_MMIO
				  : stmt->verb == VERB_X_DEAD ? NMMU_ACT_DEAD
							      : NMMU_ACT_DONE;

	if (stmt->verb == VERB_X_DONE && out->kind == OUT_CALL && !out->error)
		return !stmt->nr_args ||
		       play_wrong(play, stmt, NR_KEYS,
				  "the action was no access: it has no value, exits or memory");
	if (out->kind != OUT_ACCESS || out->error || run->stuck || run->action != wanted)
		return fail_outcome(play, stmt, out);
	return check_num(play, stmt, KEY_REASON, "the exit reason", run->last.reason) &&
	       check_num(play, stmt, KEY_QUAL, "the qualification", run->last.qual) &&
	       check_num(play, stmt, KEY_ERROR, "the error code", run->last.qual) &&
	       check_num(play, stmt, KEY_ADDR, "the address", run->last.addr) &&
	       check_num(play, stmt, KEY_GPA, "the address", run->last.gpa) &&
	       check_num(play, stmt, KEY_VALUE, "the value read", run->value) &&
	       check_num(play, stmt, KEY_EXITS, "the number of exits", run->exits) &&
	       check_num(play, stmt, KEY_FAST, "fast", run->last.fast) &&
	       check_num(play, stmt, KEY_EMULATED, "emulated", run->emulated) &&
	       check_memory(play, stmt, run->pa);
}

static bool expect_probe(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	if (out->kind != OUT_PROBE || out->hw.exit != (enum hw_exit)arg_choice(play, stmt, KEY_HW, 0))
		return fail_outcome(play, stmt, out);
	return check_num(play, stmt, KEY_QUAL, "the qualification", out->hw.qual) &&
	       check_num(play, stmt, KEY_ADDR, "the linear address", out->hw.addr) &&
	       check_num(play, stmt, KEY_GPA, "the guest-physical address", out->hw.gpa) &&
	       check_num(play, stmt, KEY_HIT, "hit", out->hw.tlb_hit) &&
	       check_num(play, stmt, KEY_VALUE, "the value read", out->hw.value) &&
	       check_memory(play, stmt, out->hw.pa);
}

/* Why a call or an access was refused: choices of keys.def. */
static const int whys[] = { -ENOENT, -EBUSY, -ENOSPC, -EIO, -EAGAIN, -EOPNOTSUPP };

static bool expect_error(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	if (arg_has(play, stmt, KEY_WHY)) {
		if ((out->kind == OUT_CALL || out->kind == OUT_ACCESS) &&
		    out->error == whys[arg_choice(play, stmt, KEY_WHY, 0)])
			return true;
		return fail_outcome(play, stmt, out);
	}
	if (stmt->verb == VERB_X_NOMEM ? out->error == -ENOMEM
	    : out->kind == OUT_CALL    ? out->error == -EINVAL || out->error == -EEXIST ||
					      out->error == -ENOENT || out->error == -EBUSY
				    : out->error == -EINVAL)
		return true;
	return fail_outcome(play, stmt, out);
}

static bool expect_outcome(struct ms_play *play, const struct stmt *stmt)
{
	struct outcome *out = stmt->inner ? &play->inner : &play->outcome;

	out->unclaimed = false;
	switch ((enum verb_id)stmt->verb) {
	case VERB_X_PROBE:
		return expect_probe(play, stmt, out);
	case VERB_X_PREFAULTED:
		return expect_prefaulted(play, stmt, out);
	case VERB_X_REFUSED:
	case VERB_X_NOMEM:
		return expect_error(play, stmt, out);
	case VERB_X_STUCK:
		return (out->kind == OUT_ACCESS && !out->error && out->run.stuck) ||
		       fail_outcome(play, stmt, out);
	case VERB_X_YOUNG:
	case VERB_X_OLD:
		return (out->kind == OUT_AGE && out->young == (stmt->verb == VERB_X_YOUNG)) ||
		       fail_outcome(play, stmt, out);
	default:
		return expect_run(play, stmt, out);
	}
}

/* --- logs --- */

struct bits {
	const u64 *bitmap;
	u64 pages;
	bool wanted;
	u64 bad; /* first page that is not as wanted, ~0: none */
	u64 *seen; /* bits that were named */
};

static int check_bits(void *ctx, u64 first, u64 last)
{
	struct bits *bits = ctx;

	if (last >= bits->pages)
		return -1;
	for (; first <= last; first++) {
		if (!(bits->bitmap[first / 64] >> first % 64 & 1) == bits->wanted && bits->bad == ~0ULL)
			bits->bad = first;
		if (bits->seen)
			bits->seen[first / 64] |= 1ULL << first % 64;
	}
	return 0;
}

static void print_bits(const u64 *bitmap, u64 pages, struct ms_buf *to)
{
	u64 first, last;
	u32 ranges = 0;

	for (first = 0; first < pages && ranges < 16; first = last + 1) {
		last = first;
		if (!(bitmap[first / 64] >> first % 64 & 1))
			continue;
		while (last + 1 < pages && bitmap[(last + 1) / 64] >> (last + 1) % 64 & 1)
			last++;
		ms_buf_printf(to, ranges++ ? ",%llu" : "%llu", (unsigned long long)first);
		if (last > first)
			ms_buf_printf(to, "-%llu", (unsigned long long)last);
	}
	if (!ranges)
		ms_buf_puts(to, "none");
	else if (first < pages)
		ms_buf_puts(to, "...");
}

static bool fail_bits(struct ms_play *play, const struct stmt *stmt, const char *what,
		      const struct bits *bits)
{
	struct ms_buf text = { 0 };

	print_bits(bits->bitmap, bits->pages, &text);
	play_fail(play, stmt, "%s: %s", what, ms_buf_str(&text));
	ms_buf_deinit(&text);
	return false;
}

/* Exactly these pages were in the log that was got last. */
static bool expect_log(struct ms_play *play, const struct stmt *stmt)
{
	struct bits bits = { .bitmap = play->log, .pages = play->log_pages, .wanted = true, .bad = ~0ULL };
	u64 words = (play->log_pages + 63) / 64;
	struct expr_error e;
	bool good;

	if (!play->log || arg_num(play, stmt, KEY_SLOT, 0) != play->log_slot)
		return play_fail(play, stmt, "the log of this slot was not got last");
	if (!play_spend_pages(play, stmt, play->log_pages))
		return false;
	bits.seen = calloc(words ? words : 1, sizeof(*bits.seen));
	if (!bits.seen)
		return play_fail(play, stmt, "out of memory");
	if (list_eval(stmt_arg(play->sc, stmt, KEY_LIST)->text, check_bits, &bits, &e))
		good = play_fail(play, stmt, "%s", e.text);
	else
		good = bits.bad == ~0ULL && !memcmp(bits.seen, play->log, words * sizeof(u64));
	free(bits.seen);
	return good || fail_bits(play, stmt, "the log was", &bits);
}

/* These pages are marked now, or are not. */
static bool expect_dirty(struct ms_play *play, const struct stmt *stmt)
{
	u16 as_id = (u16)arg_num(play, stmt, KEY_AS, 0), id = (u16)arg_num(play, stmt, KEY_SLOT, 0);
	const struct nmmu_slot *slot = play_engine_slot(play, stmt, as_id, id);
	struct bits bits = { .wanted = stmt->verb == VERB_X_DIRTY, .bad = ~0ULL };
	struct expr_error e;

	if (!slot || !play_spend_pages(play, stmt, slot->nr_pages))
		return false;
	if (!slot->dirty)
		return play_fail(play, stmt, "slot %u does not log", id);
	bits.bitmap = slot->dirty;
	bits.pages = slot->nr_pages;
	if (list_eval(stmt_arg(play->sc, stmt, KEY_LIST)->text, check_bits, &bits, &e))
		return play_fail(play, stmt, "%s", e.text);
	return bits.bad == ~0ULL || fail_bits(play, stmt, "marked are", &bits);
}

/* --- events, memory --- */

static bool event_fits(struct ms_play *play, const struct stmt *stmt, const struct ms_event *event)
{
	const struct arg *arg;
	u64 wanted;
	u32 i;

	for (i = 0; i < stmt->nr_args; i++) {
		arg = &play->sc->args[stmt->first_arg + i];
		if (arg->key == KEY_EVENT && event->id != arg->num)
			return false;
		if (arg->key != ARG_FIELD)
			continue;
		if (!event_value_find(event->id, arg->num, arg->text, &wanted))
			wanted = arg_eval(play, stmt, arg);
		if (!num_fits(arg->op, event_field_get(event, arg->num), wanted))
			return false;
	}
	return true;
}

static bool expect_event(struct ms_play *play, const struct stmt *stmt)
{
	u64 count = 0;
	size_t i;

	/* Each is work, as a page is. */
	if (!play_spend_pages(play, stmt, play->nr_events))
		return false;
	for (i = 0; i < play->nr_events && !play->failed; i++)
		count += event_fits(play, stmt, &play->events[i]);
	if (play->failed)
		return false;
	if (arg_has(play, stmt, KEY_COUNT))
		return check_num(play, stmt, KEY_COUNT, "the number of such events", count);
	if (!count == (stmt->verb == VERB_X_NO_EVENT))
		return true;
	if (!count)
		return play_fail(play, stmt, "no such event among the %zu of the last action",
				 play->nr_events);
	return play_fail(play, stmt, "there are %llu such events", (unsigned long long)count);
}

static bool expect_memory(struct ms_play *play, const struct stmt *stmt)
{
	u64 gpa = arg_num(play, stmt, KEY_GPA, 0), bytes = arg_num(play, stmt, KEY_BYTES, 8), value = 0;

	if (play->failed)
		return false;
	if (!bytes || bytes > 8 || (gpa & (NMMU_PAGE_SIZE - 1)) + bytes > NMMU_PAGE_SIZE)
		return play_wrong(play, stmt, KEY_GPA, "1 to 8 bytes of one page");
	if (ms_machine_peek(play->machine, gpa, &value, (u32)bytes))
		return play_fail(play, stmt, "there is no memory at 0x%llx", (unsigned long long)gpa);
	return check_num(play, stmt, KEY_VALUE, "the value there", value);
}

/* What says where to look is one thing, and not compared with anything. */
static bool is_place(u32 verb, u32 key)
{
	switch (key) {
	case KEY_VCPU:
	case KEY_AS:
	case KEY_MMU:
	case KEY_BYTES:
	case KEY_MEMORY:
	case KEY_MAPS:
	case KEY_SHAPE:
		return true;
	case KEY_LEVEL:
		return verb == VERB_X_GPTE || verb == VERB_X_RMAP;
	default:
		return false;
	}
}

static bool check_places(struct ms_play *play, const struct stmt *stmt)
{
	const struct arg *arg;
	u32 i;

	for (i = 0; i < stmt->nr_args; i++) {
		arg = &play->sc->args[stmt->first_arg + i];
		if (!is_place(stmt->verb, arg->key))
			continue;
		if (arg->op != ARG_EQ || stmt_arg(play->sc, stmt, (enum key_id)arg->key) != arg)
			return play_wrong(play, stmt, (enum key_id)arg->key, "%s: one value, given by `='",
					  ms_keys[arg->key].name);
	}
	return true;
}

bool expect(struct ms_play *play, const struct stmt *stmt)
{
	if (!check_places(play, stmt))
		return false;
	switch ((enum verb_id)stmt->verb) {
	case VERB_X_DONE:
	case VERB_X_EXIT:
	case VERB_X_PF:
	case VERB_X_MMIO:
	case VERB_X_DEAD:
	case VERB_X_STUCK:
	case VERB_X_REFUSED:
	case VERB_X_PREFAULTED:
	case VERB_X_NOMEM:
	case VERB_X_PROBE:
	case VERB_X_YOUNG:
	case VERB_X_OLD:
		return expect_outcome(play, stmt);
	case VERB_X_LOG:
		return expect_log(play, stmt);
	case VERB_X_DIRTY:
	case VERB_X_CLEAN:
		return expect_dirty(play, stmt);
	case VERB_X_MEMORY:
		return expect_memory(play, stmt);
	case VERB_X_EVENT:
	case VERB_X_NO_EVENT:
		return expect_event(play, stmt);
	case VERB_X_SCHEDULES:
		return expect_schedules(play, stmt);
	default:
		return expect_mmu(play, stmt);
	}
}
