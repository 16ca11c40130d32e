/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Actions of a scenario on vCPUs and on the machine as a whole. What came of one goes into its outcome. */
#include "scenario/play.h"
#include "nmmu/x86.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum paging { PAGING_OFF, PAGING_32, PAGING_PAE, PAGING_64, PAGING_LA57 }; /* choices of keys.def */

void call_done(struct outcome *out, int error)
{
	out->kind = OUT_CALL;
	out->error = error;
	out->unclaimed = error;
}

/* --- accesses --- */

void do_access(struct ms_play *play, u32 vcpu, const struct nmmu_access *access, struct outcome *out)
{
	out->kind = OUT_ACCESS;
	out->is_write = access->write;
	out->is_fetch = access->fetch;
	ms_machine_access(play->machine, vcpu, access, &out->run);
	out->error = out->run.error;
	if (!out->error && out->run.action == NMMU_ACT_EXIT_L1)
		play->told = out->run.last;
	out->unclaimed = out->run.error || out->run.stuck || out->run.action != NMMU_ACT_DONE;
}

/* The address is one that this vCPU's paging has, rather than cut to one. */
static bool check_linear(struct ms_play *play, const struct stmt *stmt, u32 vcpu, u64 addr)
{
	const struct nmmu_regs *regs =
		ms_machine_vcpu_state(play->machine, vcpu).guest_mode ? &play->l2[vcpu] : &play->l1[vcpu];
	bool wide = regs->cr0 & CR0_PG && regs->efer & EFER_LMA;
	u32 bits = regs->cr4 & CR4_LA57 ? 57 : 48;

	if (play->failed)
		return false;
	if (!wide && addr >> 32)
		return play_wrong(play, stmt, KEY_ADDR, "0x%llx has more than the 32 bits of an address %s",
				  (unsigned long long)addr,
				  regs->cr0 & CR0_PG ? "of this paging" : "without paging");
	if (wide && (u64)((s64)(addr << (64 - bits)) >> (64 - bits)) != addr)
		return play_wrong(play, stmt, KEY_ADDR, "0x%llx is not canonical: %u bits",
				  (unsigned long long)addr, bits);
	return true;
}

static bool access_of(struct ms_play *play, const struct stmt *stmt, u32 vcpu, struct nmmu_access *access)
{
	u64 bytes = arg_num(play, stmt, KEY_BYTES, 8);

	if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
		return play_wrong(play, stmt, KEY_BYTES, "bytes: %llu is none of 1, 2, 4, 8",
				  (unsigned long long)bytes);
	*access = (struct nmmu_access){
		.gva = arg_num(play, stmt, KEY_ADDR, 0),
		.bytes = (u8)bytes,
		.write = stmt->verb == VERB_WRITE || stmt->verb == VERB_PROBE_WRITE ||
			 stmt->verb == VERB_EMULATE_WRITE,
		.fetch = stmt->verb == VERB_EXEC || stmt->verb == VERB_PROBE_EXEC,
		.user = arg_has(play, stmt, KEY_USER),
		.rmw = arg_has(play, stmt, KEY_RMW),
		.value = arg_num(play, stmt, KEY_VALUE, 0x5ca1ab1e),
	};
	if ((access->gva & (NMMU_PAGE_SIZE - 1)) + bytes > NMMU_PAGE_SIZE)
		return play_wrong(play, stmt, KEY_ADDR, "the access crosses a page");
	if (bytes < 8 && arg_has(play, stmt, KEY_VALUE) && access->value >> 8 * bytes)
		return play_wrong(play, stmt, KEY_VALUE, "value: 0x%llx does not fit into %llu bytes",
				  (unsigned long long)access->value, (unsigned long long)bytes);
	return check_linear(play, stmt, vcpu, access->gva);
}

static void act_access(struct ms_play *play, const struct stmt *stmt, u32 vcpu, struct outcome *out)
{
	u64 times = arg_num(play, stmt, KEY_TIMES, 1), step = arg_num(play, stmt, KEY_STEP, NMMU_PAGE_SIZE);
	struct nmmu_access access;

	if (!access_of(play, stmt, vcpu, &access))
		return;
	if (times < 1 || times > MS_SCENARIO_MAX_TIMES) {
		play_wrong(play, stmt, KEY_TIMES, "times: %llu is not 1 to %u", (unsigned long long)times,
			   MS_SCENARIO_MAX_TIMES);
		return;
	}
	/* The first that is not simply done is the outcome. */
	for (; times && play_spend(play, stmt); times--, access.gva += step) {
		if (!check_linear(play, stmt, vcpu, access.gva))
			return;
		do_access(play, vcpu, &access, out);
		if (out->unclaimed)
			return;
	}
}

/* nmmu_emulate(): KVM decodes the instruction by itself, no CPU makes the access. */
static void act_emulate(struct ms_play *play, const struct stmt *stmt, u32 vcpu, struct outcome *out)
{
	struct nmmu_access access;
	struct nmmu_result *last = &out->run.last;

	if (!access_of(play, stmt, vcpu, &access))
		return;
	out->kind = OUT_ACCESS;
	out->is_write = access.write;
	out->error = out->run.error = ms_machine_emulate(play->machine, vcpu, &access, last);
	out->run.action = last->action;
	out->run.value = last->value;
	out->run.emulated = true;
	if (!out->error && last->action == NMMU_ACT_EXIT_L1)
		play->told = *last;
	out->unclaimed = out->error || last->action != NMMU_ACT_DONE;
}

static void act_probe(struct ms_play *play, const struct stmt *stmt, u32 vcpu, struct outcome *out)
{
	struct nmmu_access access;

	if (!access_of(play, stmt, vcpu, &access))
		return;
	out->kind = OUT_PROBE;
	ms_machine_cpu_access(play->machine, vcpu, &access, &out->hw);
	out->unclaimed = true;
}

/* --- vCPU state --- */

static void regs_of(struct ms_play *play, const struct stmt *stmt, struct nmmu_regs *regs)
{
	u32 paging = arg_choice(play, stmt, KEY_PAGING, PAGING_OFF);

	*regs = (struct nmmu_regs){
		.cr0 = CR0_PE | CR0_ET,
		.cr3 = arg_num(play, stmt, KEY_ROOT, 0),
		.ac = arg_has(play, stmt, KEY_AC),
		.smm = arg_has(play, stmt, KEY_SMM),
	};
	if (paging != PAGING_OFF)
		regs->cr0 |= CR0_PG;
	if (paging >= PAGING_PAE)
		regs->cr4 |= CR4_PAE;
	if (paging >= PAGING_64)
		regs->efer |= EFER_LME | EFER_LMA;
	if (paging == PAGING_LA57)
		regs->cr4 |= CR4_LA57;
	regs->cr0 |= arg_has(play, stmt, KEY_WP) ? CR0_WP : 0;
	regs->cr4 |= arg_has(play, stmt, KEY_PSE) ? CR4_PSE : 0;
	regs->cr4 |= arg_has(play, stmt, KEY_SMEP) ? CR4_SMEP : 0;
	regs->cr4 |= arg_has(play, stmt, KEY_SMAP) ? CR4_SMAP : 0;
	regs->efer |= arg_has(play, stmt, KEY_NX) ? EFER_NX : 0;
}

/* L1's registers are set at once; L2's when it is entered, or at once when it runs. */
static void act_regs(struct ms_play *play, const struct stmt *stmt, u32 vcpu, struct outcome *out)
{
	bool guest_mode = ms_machine_vcpu_state(play->machine, vcpu).guest_mode;
	struct nmmu_regs *regs = stmt->verb == VERB_L1 ? &play->l1[vcpu] : &play->l2[vcpu];

	regs_of(play, stmt, regs);
	if (play->failed)
		return;
	if (stmt->verb == VERB_L1 && guest_mode)
		play_fail(play, stmt, "L2 runs on this vCPU: `leave' first");
	else if (stmt->verb == VERB_L1 || guest_mode)
		call_done(out, ms_machine_set_regs(play->machine, vcpu, regs));
}

static void act_enter(struct ms_play *play, const struct stmt *stmt, u32 vcpu, struct outcome *out)
{
	u32 table = arg_choice(play, stmt, KEY_TABLE_NONE, TABLE_NONE_INDEX);
	bool ept = ms_machine_is_vmx(play->machine);
	struct nmmu_nested nested = {
		.kind = table == TABLE_NONE_INDEX ? NMMU_NESTED_OFF
			: ept			  ? NMMU_NESTED_EPT
						  : NMMU_NESTED_NPT,
		.pml = arg_has(play, stmt, KEY_PML_ADDR),
		.pml_addr = arg_num(play, stmt, KEY_PML_ADDR, 0),
		.pml_index = (u16)arg_num(play, stmt, KEY_INDEX, play->pml12_index[vcpu]),
		.l2 = play->l2[vcpu],
	};

	if (ms_machine_vcpu_state(play->machine, vcpu).guest_mode) {
		play_fail(play, stmt, "L2 runs on this vCPU already");
		return;
	}
	if (table != TABLE_NONE_INDEX && !play->tables[table]) {
		play_fail(play, stmt, "the table was not made");
		return;
	}
	if (nested.kind == NMMU_NESTED_EPT)
		nested.root =
			arg_num(play, stmt, KEY_EPTP, table_eptp(play, table, arg_has(play, stmt, KEY_AD)));
	else if (nested.kind == NMMU_NESTED_NPT)
		nested.root = ms_tables_root_gfn(play->tables[table]) << NMMU_PAGE_SHIFT;
	if (!play->failed)
		call_done(out, ms_machine_nested_enter(play->machine, vcpu, &nested));
}

static void act_leave(struct ms_play *play, const struct stmt *stmt, u32 vcpu)
{
	u16 index = 0;

	if (!ms_machine_vcpu_state(play->machine, vcpu).guest_mode) {
		play_fail(play, stmt, "L2 does not run on this vCPU");
		return;
	}
	ms_machine_pml_drain(play->machine, vcpu);
	ms_machine_nested_leave(play->machine, vcpu, &index);
	if (ms_machine_vcpu_state(play->machine, vcpu).pml12)
		play->pml12_index[vcpu] = index;
}

static void act_invept(struct ms_play *play, const struct stmt *stmt, u32 vcpu, struct outcome *out)
{
	u32 table = arg_choice(play, stmt, KEY_TABLE, TABLE_NONE_INDEX);
	bool all = arg_has(play, stmt, KEY_ALL);
	u64 eptp = 0;

	if (arg_has(play, stmt, KEY_EPTP)) {
		eptp = arg_num(play, stmt, KEY_EPTP, 0);
	} else if (table != TABLE_NONE_INDEX && play->tables[table]) {
		eptp = table_eptp(play, table, arg_has(play, stmt, KEY_AD));
	} else if (!all) {
		play_fail(play, stmt, "which one? A table, eptp=VALUE, or all");
		return;
	}
	call_done(out, ms_machine_invept(play->machine, vcpu, all, eptp));
}

static void act_vcpu(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	int id = arg_vcpu(play, stmt);
	u32 vcpu;

	if (id < 0)
		return;
	vcpu = (u32)id;
	switch ((enum verb_id)stmt->verb) {
	case VERB_READ:
	case VERB_WRITE:
	case VERB_EXEC:
		act_access(play, stmt, vcpu, out);
		break;
	case VERB_EMULATE_READ:
	case VERB_EMULATE_WRITE:
		act_emulate(play, stmt, vcpu, out);
		break;
	case VERB_PROBE_READ:
	case VERB_PROBE_WRITE:
	case VERB_PROBE_EXEC:
		act_probe(play, stmt, vcpu, out);
		break;
	case VERB_L1:
	case VERB_L2:
		act_regs(play, stmt, vcpu, out);
		break;
	case VERB_ENTER:
		act_enter(play, stmt, vcpu, out);
		break;
	case VERB_LEAVE:
		act_leave(play, stmt, vcpu);
		break;
	case VERB_INVLPG:
		if (check_linear(play, stmt, vcpu, arg_num(play, stmt, KEY_ADDR, 0)))
			ms_machine_invlpg(play->machine, vcpu, arg_num(play, stmt, KEY_ADDR, 0));
		break;
	case VERB_FLUSH:
		ms_machine_flush_guest(play->machine, vcpu);
		break;
	case VERB_FLUSH_NPT:
		ms_machine_flush_npt(play->machine, vcpu);
		break;
	case VERB_INVEPT:
		act_invept(play, stmt, vcpu, out);
		break;
	case VERB_KICK:
		ms_machine_pml_drain(play->machine, vcpu);
		break;
	default:
		break;
	}
}

/* --- logs --- */

static void kick_all(struct ms_play *play)
{
	u32 i;

	for (i = 0; i < play->nr_vcpus; i++)
		ms_machine_pml_drain(play->machine, i);
}

static void act_log_get(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u16 as_id = (u16)arg_num(play, stmt, KEY_AS, 0), id = (u16)arg_num(play, stmt, KEY_SLOT, 0);
	const struct nmmu_slot *slot = play_slot(play, stmt, as_id, id);
	u64 *bitmap;

	if (!slot || !play_spend_pages(play, stmt, slot->nr_pages))
		return;
	bitmap = calloc((slot->nr_pages + 63) / 64, sizeof(*bitmap));
	if (!bitmap) {
		play_fail(play, stmt, "out of memory");
		return;
	}
	kick_all(play);
	free(play->log);
	play->log = bitmap;
	play->log_pages = slot->nr_pages;
	play->log_slot = id;
	call_done(out, ms_machine_log_get(play->machine, as_id, id, bitmap));
}

struct clear {
	u64 *bitmap;
	u64 pages, first, last;
};

static int clear_bits(void *ctx, u64 first, u64 last)
{
	struct clear *clear = ctx;

	if (last >= clear->pages)
		return -1;
	if (first < clear->first)
		clear->first = first;
	if (last > clear->last)
		clear->last = last;
	for (; clear->bitmap && first <= last; first++)
		clear->bitmap[first / 64] |= 1ULL << first % 64;
	return 0;
}

static void act_log_clear(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u16 as_id = (u16)arg_num(play, stmt, KEY_AS, 0), id = (u16)arg_num(play, stmt, KEY_SLOT, 0);
	const struct nmmu_slot *slot = play_slot(play, stmt, as_id, id);
	struct clear clear = { .first = ~0ULL };
	struct expr_error e;
	u64 first, end;

	if (!slot || !play_spend_pages(play, stmt, slot->nr_pages))
		return;
	clear.pages = slot->nr_pages;
	clear.bitmap = calloc(slot->nr_pages / 64 + 1, sizeof(*clear.bitmap));
	if (!clear.bitmap) {
		play_fail(play, stmt, "out of memory");
		return;
	}
	if (list_eval(stmt_arg(play->sc, stmt, KEY_LIST)->text, clear_bits, &clear, &e)) {
		play_fail(play, stmt, "%s", e.text);
	} else if (clear.first != ~0ULL) {
		kick_all(play);
		first = clear.first / 64 * 64;
		end = clear.last / 64 * 64 + 64;
		if (end > slot->nr_pages)
			end = slot->nr_pages;
		call_done(out, ms_machine_log_clear(play->machine, as_id, id, first, end - first,
						    clear.bitmap + first / 64));
	}
	free(clear.bitmap);
}

static void act_log_mode(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u32 mode = (arg_has(play, stmt, KEY_MANUAL) ? NMMU_LOG_MANUAL : 0) |
		   (arg_has(play, stmt, KEY_INIT_SET) ? NMMU_LOG_INIT_SET : 0);

	call_done(out, ms_machine_log_mode(play->machine, mode));
}

/* --- all of them --- */

static void act_whole(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	u64 nr = arg_num(play, stmt, KEY_NR, 1);

	switch ((enum verb_id)stmt->verb) {
	case VERB_NX:
		call_done(out, ms_machine_set_nx(play->machine, arg_choice(play, stmt, KEY_ONOFF, 0)));
		break;
	case VERB_NX_RECOVER:
		if (nr < 1 || nr > 1u << 20)
			play_wrong(play, stmt, KEY_NR, "a ratio is 1 to %u", 1u << 20);
		else
			ms_machine_nx_recover(play->machine, (u32)nr);
		break;
	case VERB_LIMIT:
		if (nr > 1u << 20)
			play_wrong(play, stmt, KEY_NR, "a limit is 0 to %u", 1u << 20);
		else
			ms_machine_max_pages(play->machine, (u32)nr);
		break;
	case VERB_ZAP_ALL:
		ms_machine_zap_all(play->machine);
		break;
	case VERB_FAIL_ALLOC:
		ms_machine_fail_alloc(play->machine, nr);
		break;
	default:
		break;
	}
}

/* Memslot and log ioctls exclude each other in a VMM. */
static bool takes_slots(const struct stmt *stmt)
{
	return stmt->verb == VERB_SLOT || stmt->verb == VERB_LOG_MODE || stmt->verb == VERB_LOG_GET ||
	       stmt->verb == VERB_LOG_CLEAR || stmt->verb == VERB_UNPIN || stmt->verb == VERB_MM_RELEASE;
}

void act(struct ms_play *play, const struct stmt *stmt, struct outcome *out)
{
	*out = (struct outcome){ .line = stmt->line, .col = stmt->col };
	if (play->in_inner && play->outer_slots && takes_slots(stmt)) {
		play_fail(play, stmt, "the action that this is done in holds the slots");
		return;
	}
	if (!play->in_inner)
		play->outer_slots = takes_slots(stmt);
	switch ((enum verb_id)stmt->verb) {
	case VERB_TABLE:
		act_table(play, stmt);
		break;
	case VERB_MAP:
		act_map(play, stmt);
		break;
	case VERB_EDIT:
		act_edit(play, stmt, out);
		break;
	case VERB_GRANT:
		act_grant(play, stmt, out);
		break;
	case VERB_SLOT:
		act_slot(play, stmt, out);
		break;
	case VERB_LOG_MODE:
		act_log_mode(play, stmt, out);
		break;
	case VERB_LOG_GET:
		act_log_get(play, stmt, out);
		break;
	case VERB_LOG_CLEAR:
		act_log_clear(play, stmt, out);
		break;
	case VERB_POKE:
	case VERB_HOST_WRITE:
	case VERB_HOST_DISCARD:
	case VERB_HOST_MIGRATE:
	case VERB_HOST_PROTECT:
	case VERB_HOST_AGE:
	case VERB_HOST_NOTIFY:
		act_host(play, stmt, out);
		break;
	case VERB_UNPIN:
	case VERB_PREFAULT:
	case VERB_MM_RELEASE:
	case VERB_FAIL_PIN:
		act_pins(play, stmt, out);
		break;
	case VERB_NX:
	case VERB_NX_RECOVER:
	case VERB_LIMIT:
	case VERB_ZAP_ALL:
	case VERB_FAIL_ALLOC:
		act_whole(play, stmt, out);
		break;
	default:
		act_vcpu(play, stmt, out);
		break;
	}
}
