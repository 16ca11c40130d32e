/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls of a machine's engine: in process, or through a device as words (abi/kmod_nmmu.h). It decides nothing else. */
#include "scenario/machine_private.h"

#include <string.h>

#define WORDS MMUSCOPE_NMMU_VALUES

/* --- structs to words --- */

static void put_regs(u64 *v, const struct nmmu_regs *regs)
{
	v[0] = regs->cr0;
	v[1] = regs->cr3;
	v[2] = regs->cr4;
	v[3] = regs->efer;
	v[4] = (regs->ac ? MMUSCOPE_NMMU_REGS_AC : 0) | (regs->smm ? MMUSCOPE_NMMU_REGS_SMM : 0);
}

static void get_regs(const u64 *v, struct nmmu_regs *ret)
{
	*ret = (struct nmmu_regs){ .cr0 = v[0],
				   .cr3 = v[1],
				   .cr4 = v[2],
				   .efer = v[3],
				   .ac = v[4] & MMUSCOPE_NMMU_REGS_AC,
				   .smm = v[4] & MMUSCOPE_NMMU_REGS_SMM };
}

static void put_access(u64 *v, const struct nmmu_access *access)
{
	v[3] = access->gva;
	v[4] = access->bytes;
	v[5] = (access->write ? MMUSCOPE_NMMU_ACCESS_WRITE : 0) |
	       (access->fetch ? MMUSCOPE_NMMU_ACCESS_FETCH : 0) |
	       (access->user ? MMUSCOPE_NMMU_ACCESS_USER : 0) | (access->rmw ? MMUSCOPE_NMMU_ACCESS_RMW : 0);
	v[6] = access->value;
}

static void get_result(const u64 *v, struct nmmu_result *ret)
{
	*ret = (struct nmmu_result){ .action = (enum nmmu_action)v[0],
				     .ret = (enum nmmu_ret)v[1],
				     .fast = v[2],
				     .reason = v[3],
				     .qual = v[4],
				     .addr = v[5],
				     .gpa = v[6],
				     .value = v[7] };
}

static void get_entry(const u64 *v, struct machine_entry *ret)
{
	struct mmuscope_nmmu_entry from;

	memcpy(&from, v, sizeof(from));
	*ret = (struct machine_entry){ 0 };
	ret->e = (struct nmmu_entry){ .format = (enum spte_format)from.format,
				      .root_pa = from.root_pa,
				      .level = from.level,
				      .pml_pa = from.pml_pa,
				      .pml_index = &ret->pml_index,
				      .phys_bits = from.phys_bits,
				      .tag = from.tag };
#define FLAG(name) ret->e.name = from.flags & 1u << MMUSCOPE_NMMU_E_##name;
	MMUSCOPE_NMMU_ENTRY_FLAGS(FLAG)
#undef FLAG
	get_regs(from.regs, &ret->e.regs);
	memcpy(ret->pdptrs, from.pdptrs, sizeof(ret->pdptrs));
	ret->pml_index = (u16)from.pml_index;
	ret->guest_mode = from.guest_mode;
}

/* --- vCPUs --- */

static struct nmmu_vcpu *vcpu_of(struct ms_machine *machine, u32 id)
{
	return machine->vcpus[id].v;
}

int engine_load(struct ms_machine *machine, u32 id, struct machine_entry *ret)
{
	u64 v[WORDS] = { 0 };
	int err;

	if (!machine->remote) {
		err = nmmu_vcpu_load(vcpu_of(machine, id), &ret->e);
		if (err)
			return err;
		memcpy(ret->pdptrs, vcpu_of(machine, id)->walk_mmu->pdptrs, sizeof(ret->pdptrs));
		ret->guest_mode = vcpu_of(machine, id)->guest_mode;
		return 0;
	}
	err = remote_call(machine, MMUSCOPE_NMMU_VCPU_LOAD, id, v);
	if (!err)
		get_entry(v, ret);
	return err;
}

int engine_exit(struct ms_machine *machine, u32 id, const struct nmmu_exit *exit, struct nmmu_result *ret)
{
	u64 v[WORDS] = { exit->kind, exit->info, exit->addr };
	int err;

	if (!machine->remote)
		return nmmu_handle_exit(vcpu_of(machine, id), exit, ret);
	if (exit->access)
		put_access(v, exit->access);
	err = remote_call(machine, MMUSCOPE_NMMU_EXIT, id, v);
	get_result(v, ret);
	return err;
}

int ms_machine_emulate(struct ms_machine *machine, u32 id, const struct nmmu_access *access,
		       struct nmmu_result *ret)
{
	u64 v[WORDS] = { 0 };
	int err;

	if (!machine->remote)
		return nmmu_emulate(vcpu_of(machine, id), access, ret);
	put_access(v, access);
	err = remote_call(machine, MMUSCOPE_NMMU_EMULATE, id, v);
	get_result(v, ret);
	return err;
}

int engine_set_regs(struct ms_machine *machine, u32 id, const struct nmmu_regs *regs,
		    struct nmmu_regs *old_ret)
{
	u64 v[WORDS] = { 0 };
	int err;

	if (!machine->remote) {
		*old_ret = vcpu_of(machine, id)->regs;
		return nmmu_set_regs(vcpu_of(machine, id), regs);
	}
	put_regs(v, regs);
	err = remote_call(machine, MMUSCOPE_NMMU_SET_REGS, id, v);
	get_regs(v, old_ret);
	return err;
}

int ms_machine_nested_enter(struct ms_machine *machine, u32 id, const struct nmmu_nested *nested)
{
	u64 v[WORDS] = { nested->kind, nested->root, nested->pml, nested->pml_addr, nested->pml_index };

	if (!machine->remote)
		return nmmu_nested_enter(vcpu_of(machine, id), nested);
	put_regs(v + 5, &nested->l2);
	return remote_call(machine, MMUSCOPE_NMMU_NESTED_ENTER, id, v);
}

void ms_machine_nested_leave(struct ms_machine *machine, u32 id, u16 *pml_index_ret)
{
	u64 v[WORDS] = { 0 };

	if (!machine->remote)
		nmmu_nested_leave(vcpu_of(machine, id), pml_index_ret);
	else if (!remote_call(machine, MMUSCOPE_NMMU_NESTED_LEAVE, id, v) && pml_index_ret)
		*pml_index_ret = (u16)v[0];
}

void engine_invlpg(struct ms_machine *machine, u32 id, u64 gva)
{
	u64 v[WORDS] = { gva };

	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_INVLPG, id, v);
	else
		nmmu_invlpg(vcpu_of(machine, id), gva);
}

void engine_flush_guest(struct ms_machine *machine, u32 id)
{
	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_FLUSH_GUEST, id, NULL);
	else
		nmmu_flush_guest(vcpu_of(machine, id));
}

int ms_machine_invept(struct ms_machine *machine, u32 id, bool all, u64 eptp)
{
	u64 v[WORDS] = { all, eptp };

	return machine->remote ? remote_call(machine, MMUSCOPE_NMMU_INVEPT, id, v)
			       : nmmu_invept(vcpu_of(machine, id), all, eptp);
}

void ms_machine_flush_npt(struct ms_machine *machine, u32 id)
{
	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_FLUSH_NPT, id, NULL);
	else
		nmmu_flush_nested_npt(vcpu_of(machine, id));
}

void ms_machine_pml_drain(struct ms_machine *machine, u32 id)
{
	if (!machine->remote)
		nmmu_pml_drain(vcpu_of(machine, id));
	else if (machine->opts.config.pml)
		remote_call(machine, MMUSCOPE_NMMU_PML_DRAIN, id, NULL);
}

int ms_machine_prefault(struct ms_machine *machine, u32 id, struct nmmu_prefault *range)
{
	u64 v[WORDS] = { range->gpa, range->size };
	int err;

	if (!machine->remote)
		return nmmu_prefault(vcpu_of(machine, id), range);
	err = remote_call(machine, MMUSCOPE_NMMU_PREFAULT, id, v);
	if (!err)
		*range = (struct nmmu_prefault){ .gpa = v[0], .size = v[1] };
	return err;
}

int ms_machine_translate(struct ms_machine *machine, u32 id, const struct nmmu_access *access,
			 struct nmmu_trace *ret)
{
	u64 v[WORDS] = { (uintptr_t)ret };

	if (!machine->remote)
		return nmmu_translate(vcpu_of(machine, id), access, false, ret);
	put_access(v, access);
	return remote_call(machine, MMUSCOPE_NMMU_TRANSLATE, id, v);
}

bool ms_machine_unsettled(const struct ms_machine *machine)
{
	const struct nmmu_slot *slot;
	u32 as_id;

	if (machine->remote)
		return remote_unsettled(machine);
	if (machine->m->invalidate_in_progress)
		return true;
	for (as_id = 0; as_id < NMMU_NR_AS; as_id++)
		for (slot = machine->m->as[as_id].first; slot; slot = slot->next)
			if (slot->flags & MS_SLOT_INVALID)
				return true;
	return false;
}

struct ms_vcpu_state ms_machine_vcpu_state(struct ms_machine *machine, u32 id)
{
	const struct nmmu_vcpu *v;

	if (machine->remote)
		return remote_vcpu_state(machine, id);
	v = vcpu_of(machine, id);
	return (struct ms_vcpu_state){ .guest_mode = v->guest_mode,
				       .pml12 = v->nested.pml,
				       .pml12_index = v->nested.pml_index };
}

/* --- memslots and logs --- */

int engine_slot_set(struct ms_machine *machine, u16 as_id, u16 id, u64 gfn, u64 nr_pages, u64 hva, u32 flags)
{
	const struct nmmu_slot slot = {
		.base_gfn = gfn, .nr_pages = nr_pages, .hva = hva, .flags = flags, .id = id, .as_id = as_id
	};
	u64 v[WORDS] = { as_id, id, gfn, nr_pages, hva, flags };
	int err;

	if (!machine->remote)
		return nmmu_slot_set(machine->m, as_id, id, gfn, nr_pages, hva, flags);
	err = remote_call(machine, MMUSCOPE_NMMU_SLOT_SET, 0, v);
	if (!err)
		remote_slot_was_set(machine, &slot);
	return err;
}

const struct nmmu_slot *ms_machine_slot(struct ms_machine *machine, u16 as_id, u16 id)
{
	return machine->remote ? remote_slot(machine, as_id, id) : nmmu_slot_by_id(machine->m, as_id, id);
}

const struct nmmu_slot *ms_machine_slot_at(struct ms_machine *machine, u16 as_id, u64 gfn)
{
	return machine->remote ? remote_slot_at(machine, as_id, gfn) : nmmu_slot_of(machine->m, as_id, gfn);
}

int ms_machine_log_mode(struct ms_machine *machine, u32 mode)
{
	u64 v[WORDS] = { mode };

	return machine->remote ? remote_call(machine, MMUSCOPE_NMMU_LOG_MODE, 0, v)
			       : nmmu_log_mode(machine->m, mode);
}

int engine_log_get(struct ms_machine *machine, u16 as_id, u16 id, u64 *bitmap)
{
	const struct nmmu_slot *slot = ms_machine_slot(machine, as_id, id);
	u64 v[WORDS] = { as_id, id, (uintptr_t)bitmap, slot ? (slot->nr_pages + 63) / 64 : 0 };

	return machine->remote ? remote_call(machine, MMUSCOPE_NMMU_LOG_GET, 0, v)
			       : nmmu_log_get(machine->m, as_id, id, bitmap);
}

int engine_log_clear(struct ms_machine *machine, u16 as_id, u16 id, u64 first, u64 nr, const u64 *bitmap)
{
	u64 v[WORDS] = { as_id, id, (uintptr_t)bitmap, (nr + 63) / 64, first, nr };

	return machine->remote ? remote_call(machine, MMUSCOPE_NMMU_LOG_CLEAR, 0, v)
			       : nmmu_log_clear(machine->m, as_id, id, first, nr, bitmap);
}

/* --- the machine as a whole --- */

void engine_invalidate_begin(struct ms_machine *machine, u64 start, u64 end)
{
	u64 v[WORDS] = { start, end };

	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_INVALIDATE_BEGIN, 0, v);
	else
		nmmu_invalidate_begin(machine->m, start, end);
}

void engine_invalidate_end(struct ms_machine *machine, u64 start, u64 end)
{
	u64 v[WORDS] = { start, end };

	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_INVALIDATE_END, 0, v);
	else
		nmmu_invalidate_end(machine->m, start, end);
}

int ms_machine_unpin(struct ms_machine *machine, u16 as_id, u64 gfn)
{
	u64 v[WORDS] = { as_id, gfn };

	return machine->remote ? remote_call(machine, MMUSCOPE_NMMU_UNPIN, 0, v)
			       : nmmu_unpin(machine->m, as_id, gfn);
}

void ms_machine_mm_release(struct ms_machine *machine)
{
	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_MM_RELEASE, 0, NULL);
	else
		nmmu_mm_release(machine->m);
}

bool ms_machine_age(struct ms_machine *machine, u64 start, u64 end)
{
	u64 v[WORDS] = { start, end };

	if (!machine->remote)
		return nmmu_age(machine->m, start, end);
	return !remote_call(machine, MMUSCOPE_NMMU_AGE, 0, v) && v[0];
}

int ms_machine_set_nx(struct ms_machine *machine, bool on)
{
	u64 v[WORDS] = { on };

	return machine->remote ? remote_call(machine, MMUSCOPE_NMMU_SET_NX, 0, v)
			       : nmmu_set_nx_huge_pages(machine->m, on);
}

void ms_machine_nx_recover(struct ms_machine *machine, u32 ratio)
{
	u64 v[WORDS] = { ratio };

	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_NX_RECOVER, 0, v);
	else
		nmmu_nx_recover(machine->m, ratio);
}

void ms_machine_max_pages(struct ms_machine *machine, u32 max_pages)
{
	u64 v[WORDS] = { max_pages };

	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_MAX_PAGES, 0, v);
	else
		nmmu_set_max_pages(machine->m, max_pages);
}

void ms_machine_zap_all(struct ms_machine *machine)
{
	if (machine->remote)
		remote_call(machine, MMUSCOPE_NMMU_ZAP_ALL, 0, NULL);
	else
		nmmu_zap_all(machine->m);
}

int ms_machine_host_write(struct ms_machine *machine, u64 gpa, const void *src, u32 len)
{
	u64 v[WORDS] = { gpa, 0, len };

	if (!machine->remote)
		return nmmu_host_write(machine->m, gpa, src, len);
	memcpy(&v[1], src, len < sizeof(v[1]) ? len : sizeof(v[1]));
	return remote_call(machine, MMUSCOPE_NMMU_HOST_WRITE, 0, v);
}

static u64 check_cost(const struct nmmu *m)
{
	const struct nmmu_slot *slot;
	u64 pages = 512 * (u64)m->nr_used;
	u32 as_id;

	for (as_id = 0; as_id < NMMU_NR_AS; as_id++)
		for (slot = m->as[as_id].first; slot; slot = slot->next)
			pages += slot->nr_pages;
	return pages;
}

static void self_check(const struct nmmu *m, struct ms_self_check *ret)
{
	const struct nmmu_sp *sp = NULL;

	*ret = (struct ms_self_check){ .text = "", .cost = check_cost(m) };
	ret->row = nmmu_self_check(m, &ret->text, &sp);
	ret->has_gfn = sp;
	ret->gfn = sp ? sp->gfn : 0;
}

void ms_machine_self_check(struct ms_machine *machine, struct ms_self_check *ret)
{
	u64 v[WORDS] = { 0 };
	int err;

	if (!machine->remote) {
		self_check(machine->m, ret);
		return;
	}
	/* The module's own look at itself; what there is to be said of it is found in the copy. */
	err = remote_call(machine, MMUSCOPE_NMMU_CHECK, 0, v);
	if (err || v[0])
		self_check(remote_nmmu(machine), ret);
	else
		*ret = (struct ms_self_check){ .text = "", .cost = v[1] };
	if (!err && v[0] && !ret->row)
		*ret = (struct ms_self_check){ .row = (u32)v[0],
					       .text = "the module says so, its memory does not",
					       .cost = v[1] };
}
