// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a request to a call of the engine and back. The engine checks what it is told of guests and of memory; here is
 * what it takes for granted of its caller: that a vCPU exists and is nobody else's at the moment, that memslot ioctls
 * exclude each other, that L2 is left only where it was entered, and that buffers are as large as slots are.
 */
#include "kmod/nmmu.h"
#include "nmmu/image.h"

#define PAGES_MAX (1u << 20)

/* --- the instance --- */

static bool has_flag(const struct mmuscope_nmmu_create *c, enum mmuscope_nmmu_flag flag)
{
	return c->flags & 1u << flag;
}

static bool create_ok(const struct mmuscope_nmmu_create *c)
{
	u32 i;

	for (i = 0; i < sizeof(c->pad); i++)
		if (c->pad[i])
			return false;
	/* max_bytes of next to nothing is -ENOMEM, which is the engine's to say. */
	return !(c->flags >> MMUSCOPE_NMMU_F_NR) && c->kernel <= NMMU_6_12 && c->events <= 1 &&
	       c->max_bytes <= MMUSCOPE_NMMU_BYTES_MAX && c->max_pages <= PAGES_MAX;
}

int inst_init(struct inst *inst, struct mmuscope_nmmu_create *c)
{
	struct nmmu_config config = { .hv = (enum ms_hv)c->hv,
				      .kernel = (enum nmmu_kernel)c->kernel,
				      .phys_bits = c->phys_bits,
				      .guest_phys_bits = c->guest_phys_bits,
				      .max_pages = c->max_pages,
				      .first_generation = c->first_generation,
				      .bugs = c->bugs,
#define FLAG(name) .name = has_flag(c, MMUSCOPE_NMMU_F_##name),
				      MMUSCOPE_NMMU_FLAGS(FLAG)
#undef FLAG
	};
	u64 layout = c->layout;
	int err;
	u32 i;

	c->layout = nmmu_image_layout();
	if (!create_ok(c))
		return -EINVAL;
	if (layout != c->layout)
		return -EPROTO;
	inst->max_bytes = c->max_bytes ? c->max_bytes : MMUSCOPE_NMMU_BYTES_MAX;
	inst->blocks.prev = inst->blocks.next = &inst->blocks;
	for (i = 0; i < MMUSCOPE_NMMU_STRANDS; i++)
		inst->strands[i].inst = inst;
	inst->events = inst_mem_alloc(MMUSCOPE_NMMU_EVENTS * sizeof(*inst->events));
	if (!inst->events)
		return -ENOMEM;
	inst_ops(&inst->ops, c->events);
	err = nmmu_create(&config, &inst->ops, inst, &inst->m);
	if (err)
		inst_mem_free(inst->events);
	return err;
}

void inst_deinit(struct inst *inst)
{
	inst->now = NULL;
	/* Nobody is in the guest: the vCPUs go first, and what is flushed afterwards is nobody's. */
	inst->nr_vcpus = 0;
	nmmu_destroy(inst->m);
	inst_mem_free(inst->events);
}

int inst_area(struct inst *inst, const struct mmuscope_nmmu_area *area)
{
	const struct mmuscope_nmmu_area *other = inst->areas;
	u32 i;

	if (area->pad || !area->bytes || (area->hva | area->bytes) & (NMMU_PAGE_SIZE - 1) ||
	    area->table & 7 || area->hva + area->bytes < area->hva)
		return -EINVAL;
	for (i = 0; i < inst->nr_areas; i++, other++)
		if (area->hva < other->hva + other->bytes && other->hva < area->hva + area->bytes)
			return -EEXIST;
	if (inst->nr_areas == MMUSCOPE_NMMU_AREAS)
		return -E2BIG;
	inst->areas[inst->nr_areas++] = *area;
	return 0;
}

/* --- words to structs --- */

static void to_regs(const u64 *v, struct nmmu_regs *ret)
{
	*ret = (struct nmmu_regs){ .cr0 = v[0],
				   .cr3 = v[1],
				   .cr4 = v[2],
				   .efer = v[3],
				   .ac = v[4] & MMUSCOPE_NMMU_REGS_AC,
				   .smm = v[4] & MMUSCOPE_NMMU_REGS_SMM };
}

static void from_regs(const struct nmmu_regs *regs, u64 *v)
{
	v[0] = regs->cr0;
	v[1] = regs->cr3;
	v[2] = regs->cr4;
	v[3] = regs->efer;
	v[4] = (regs->ac ? MMUSCOPE_NMMU_REGS_AC : 0) | (regs->smm ? MMUSCOPE_NMMU_REGS_SMM : 0);
}

/* False: no instruction makes such an access. */
static bool to_access(const u64 *v, struct nmmu_access *ret)
{
	*ret = (struct nmmu_access){ .gva = v[0],
				     .bytes = (u8)v[1],
				     .write = v[2] & MMUSCOPE_NMMU_ACCESS_WRITE,
				     .fetch = v[2] & MMUSCOPE_NMMU_ACCESS_FETCH,
				     .user = v[2] & MMUSCOPE_NMMU_ACCESS_USER,
				     .rmw = v[2] & MMUSCOPE_NMMU_ACCESS_RMW,
				     .value = v[3] };
	return (v[1] == 1 || v[1] == 2 || v[1] == 4 || v[1] == 8) &&
	       (v[0] & (NMMU_PAGE_SIZE - 1)) + v[1] <= NMMU_PAGE_SIZE;
}

static void from_result(const struct nmmu_result *r, u64 *v)
{
	v[0] = r->action;
	v[1] = r->ret;
	v[2] = r->fast;
	v[3] = r->reason;
	v[4] = r->qual;
	v[5] = r->addr;
	v[6] = r->gpa;
	v[7] = r->value;
}

/* --- calls about one vCPU --- */

static int call_create(struct inst *inst, u64 *v)
{
	struct nmmu_vcpu *vcpu;
	int err;

	if (inst->nr_vcpus == MMUSCOPE_NMMU_VCPUS)
		return -EINVAL;
	err = nmmu_vcpu_create(inst->m, &vcpu);
	if (err)
		return err;
	v[0] = inst->nr_vcpus;
	inst->vcpus[inst->nr_vcpus++] = vcpu;
	return 0;
}

static int call_load(struct nmmu_vcpu *vcpu, u64 *v)
{
	struct mmuscope_nmmu_entry *out = (struct mmuscope_nmmu_entry *)v;
	struct nmmu_entry e;
	int err = nmmu_vcpu_load(vcpu, &e);

	if (err)
		return err;
	nmmu_zero(out, sizeof(*out));
	out->root_pa = e.root_pa;
	out->pml_pa = e.pml_pa;
	out->tag = e.tag;
	from_regs(&e.regs, out->regs);
	nmmu_copy(out->pdptrs, vcpu->walk_mmu->pdptrs, sizeof(out->pdptrs));
	out->format = (u8)e.format;
	out->level = e.level;
	out->phys_bits = e.phys_bits;
	out->guest_mode = vcpu->guest_mode;
	out->pml_index = vcpu->pml_index;
#define FLAG(name) out->flags |= e.name ? 1u << MMUSCOPE_NMMU_E_##name : 0;
	MMUSCOPE_NMMU_ENTRY_FLAGS(FLAG)
#undef FLAG
	return 0;
}

static int call_exit(struct nmmu_vcpu *vcpu, u64 *v)
{
	struct nmmu_exit exit = { .kind = (enum nmmu_exit_kind)v[0], .info = v[1], .addr = v[2] };
	struct nmmu_access access;
	struct nmmu_result result;
	int err;

	if (v[0] > NMMU_EXIT_PML_FULL || (v[4] && !to_access(v + 3, &access)))
		return -EINVAL;
	if (v[4])
		exit.access = &access;
	nmmu_zero(&result, sizeof(result));
	err = nmmu_handle_exit(vcpu, &exit, &result);
	from_result(&result, v);
	return err;
}

static int call_emulate(struct nmmu_vcpu *vcpu, u64 *v)
{
	struct nmmu_access access;
	struct nmmu_result result;
	int err;

	if (!to_access(v + 3, &access))
		return -EINVAL;
	nmmu_zero(&result, sizeof(result));
	err = nmmu_emulate(vcpu, &access, &result);
	from_result(&result, v);
	return err;
}

static int call_enter(struct nmmu_vcpu *vcpu, u64 *v)
{
	struct nmmu_nested nested = { .kind = (enum nmmu_nested_kind)v[0],
				      .root = v[1],
				      .pml = v[2],
				      .pml_addr = v[3],
				      .pml_index = (u16)v[4] };

	to_regs(v + 5, &nested.l2);
	if (v[0] > NMMU_NESTED_NPT || vcpu->guest_mode)
		return -EINVAL;
	return nmmu_nested_enter(vcpu, &nested);
}

static int call_leave(struct nmmu_vcpu *vcpu, u64 *v)
{
	u16 index = 0;

	if (!vcpu->guest_mode)
		return -EINVAL;
	nmmu_nested_leave(vcpu, &index);
	v[0] = index;
	return 0;
}

static int call_prefault(struct nmmu_vcpu *vcpu, u64 *v)
{
	struct nmmu_prefault range = { .gpa = v[0], .size = v[1] };
	int err = nmmu_prefault(vcpu, &range);

	v[0] = range.gpa;
	v[1] = range.size;
	return err;
}

/* A trace is too large for the words of a call, and for a stack. */
static int call_translate(struct inst *inst, struct nmmu_vcpu *vcpu, u64 *v)
{
	struct nmmu_access access;
	struct nmmu_trace *trace;
	int err;

	if (!to_access(v + 3, &access))
		return -EINVAL;
	trace = inst->ops.alloc(inst, sizeof(*trace));
	if (!trace)
		return -ENOMEM;
	err = nmmu_translate(vcpu, &access, false, trace);
	if (!err)
		err = inst_copy_out(v[0], trace, sizeof(*trace));
	inst->ops.free(inst, trace);
	return err;
}

static int call_set_regs(struct nmmu_vcpu *vcpu, u64 *v)
{
	struct nmmu_regs regs;

	to_regs(v, &regs);
	from_regs(&vcpu->regs, v);
	return nmmu_set_regs(vcpu, &regs);
}

static int call_vcpu(struct inst *inst, struct nmmu_vcpu *vcpu, enum mmuscope_nmmu_call call, u64 *v)
{
	switch (call) {
	case MMUSCOPE_NMMU_VCPU_LOAD:
		return call_load(vcpu, v);
	case MMUSCOPE_NMMU_EXIT:
		return call_exit(vcpu, v);
	case MMUSCOPE_NMMU_PML_DRAIN:
		nmmu_pml_drain(vcpu);
		return 0;
	case MMUSCOPE_NMMU_EMULATE:
		return call_emulate(vcpu, v);
	case MMUSCOPE_NMMU_SET_REGS:
		return call_set_regs(vcpu, v);
	case MMUSCOPE_NMMU_NESTED_ENTER:
		return call_enter(vcpu, v);
	case MMUSCOPE_NMMU_NESTED_LEAVE:
		return call_leave(vcpu, v);
	case MMUSCOPE_NMMU_INVLPG:
		nmmu_invlpg(vcpu, v[0]);
		return 0;
	case MMUSCOPE_NMMU_FLUSH_GUEST:
		nmmu_flush_guest(vcpu);
		return 0;
	case MMUSCOPE_NMMU_INVEPT:
		return nmmu_invept(vcpu, v[0], v[1]);
	case MMUSCOPE_NMMU_FLUSH_NPT:
		nmmu_flush_nested_npt(vcpu);
		return 0;
	case MMUSCOPE_NMMU_PREFAULT:
		return call_prefault(vcpu, v);
	case MMUSCOPE_NMMU_TRANSLATE:
		return call_translate(inst, vcpu, v);
	default:
		return -EINVAL;
	}
}

/* --- calls about the machine --- */

static int call_slot_set(struct inst *inst, const u64 *v)
{
	if (v[0] >= NMMU_NR_AS || v[1] > 0xffff || v[5] >> 32 || v[3] > MMUSCOPE_NMMU_SLOT_PAGES)
		return -EINVAL;
	return nmmu_slot_set(inst->m, (u16)v[0], (u16)v[1], v[2], v[3], v[4], (u32)v[5]);
}

/* Room for the bitmap of a slot that logs, and how many words it has. */
static int bitmap_alloc(struct inst *inst, const u64 *v, u64 **ret, u64 *words_ret)
{
	const struct nmmu_slot *slot;
	const u64 fail = inst->fail_after;

	if (v[0] >= NMMU_NR_AS || v[1] > 0xffff)
		return -EINVAL;
	slot = nmmu_slot_by_id(inst->m, (u16)v[0], (u16)v[1]);
	if (!slot)
		return -ENOENT;
	*words_ret = (slot->nr_pages + 63) / 64;
	/* The caller's bitmap is no memory of the engine's: it does not count among the allocations until one fails. */
	inst->fail_after = 0;
	*ret = inst->ops.alloc(inst, *words_ret * sizeof(u64));
	inst->fail_after = fail;
	return *ret ? 0 : -ENOMEM;
}

static int call_log_get(struct inst *inst, const u64 *v)
{
	u64 *bitmap, words;
	int err;

	err = bitmap_alloc(inst, v, &bitmap, &words);
	if (err)
		return err;
	if (words > v[3])
		err = -EINVAL;
	if (!err)
		err = nmmu_log_get(inst->m, (u16)v[0], (u16)v[1], bitmap);
	if (!err)
		err = inst_copy_out(v[2], bitmap, words * sizeof(*bitmap));
	inst->ops.free(inst, bitmap);
	return err;
}

static int call_log_clear(struct inst *inst, const u64 *v)
{
	u64 *bitmap, words;
	int err;

	err = bitmap_alloc(inst, v, &bitmap, &words);
	if (err)
		return err;
	/* Whatever nr is: the engine looks at no more than the slot has from `first' on. */
	if (v[3] > words || v[5] > v[3] * 64)
		err = -EINVAL;
	if (!err)
		err = inst_copy_in(bitmap, v[2], v[3] * sizeof(*bitmap));
	if (!err)
		err = nmmu_log_clear(inst->m, (u16)v[0], (u16)v[1], v[4], v[5], bitmap);
	inst->ops.free(inst, bitmap);
	return err;
}

static int call_host_write(struct inst *inst, const u64 *v)
{
	if (!v[2] || v[2] > 8 || (v[0] & (NMMU_PAGE_SIZE - 1)) + v[2] > NMMU_PAGE_SIZE)
		return -EINVAL;
	return nmmu_host_write(inst->m, v[0], &v[1], (u32)v[2]);
}

static int call_check(struct inst *inst, u64 *v)
{
	const struct nmmu *m = inst->m;
	const struct nmmu_slot *slot;
	const struct nmmu_sp *sp;
	const char *text;
	u32 as_id;

	v[1] = 512 * (u64)m->nr_used;
	for (as_id = 0; as_id < NMMU_NR_AS; as_id++)
		for (slot = m->as[as_id].first; slot; slot = slot->next)
			v[1] += slot->nr_pages;
	v[0] = nmmu_self_check(m, &text, &sp);
	return 0;
}

static int call_slots(struct inst *inst, enum mmuscope_nmmu_call call, u64 *v)
{
	switch (call) {
	case MMUSCOPE_NMMU_SLOT_SET:
		return call_slot_set(inst, v);
	case MMUSCOPE_NMMU_LOG_MODE:
		return v[0] >> 32 ? -EINVAL : nmmu_log_mode(inst->m, (u32)v[0]);
	case MMUSCOPE_NMMU_LOG_GET:
		return call_log_get(inst, v);
	case MMUSCOPE_NMMU_LOG_CLEAR:
		return call_log_clear(inst, v);
	case MMUSCOPE_NMMU_UNPIN:
		return v[0] >= NMMU_NR_AS ? -EINVAL : nmmu_unpin(inst->m, (u16)v[0], v[1]);
	default:
		nmmu_mm_release(inst->m);
		return 0;
	}
}

static int call_machine(struct inst *inst, enum mmuscope_nmmu_call call, u64 *v)
{
	struct nmmu *m = inst->m;

	switch (call) {
	case MMUSCOPE_NMMU_INVALIDATE_BEGIN:
		nmmu_invalidate_begin(m, v[0], v[1]);
		return 0;
	case MMUSCOPE_NMMU_INVALIDATE_END:
		nmmu_invalidate_end(m, v[0], v[1]);
		return 0;
	case MMUSCOPE_NMMU_AGE:
		v[0] = nmmu_age(m, v[0], v[1]);
		return 0;
	case MMUSCOPE_NMMU_SET_NX:
		return nmmu_set_nx_huge_pages(m, v[0]);
	case MMUSCOPE_NMMU_NX_RECOVER:
		if (!v[0] || v[0] > PAGES_MAX)
			return -EINVAL;
		v[0] = nmmu_nx_recover(m, (u32)v[0]);
		return 0;
	case MMUSCOPE_NMMU_MAX_PAGES:
		if (v[0] > PAGES_MAX)
			return -EINVAL;
		nmmu_set_max_pages(m, (u32)v[0]);
		return 0;
	case MMUSCOPE_NMMU_ZAP_ALL:
		nmmu_zap_all(m);
		return 0;
	case MMUSCOPE_NMMU_CHECK:
		return call_check(inst, v);
	default:
		return call_host_write(inst, v);
	}
}

/* --- a call's way --- */

static bool is_vcpus(u32 call)
{
	return call >= MMUSCOPE_NMMU_VCPU_LOAD && call <= MMUSCOPE_NMMU_TRANSLATE;
}

static bool is_slots(u32 call)
{
	return call >= MMUSCOPE_NMMU_SLOT_SET && call <= MMUSCOPE_NMMU_MM_RELEASE;
}

/* vCPUs are told apart, and memslot ioctls exclude each other. */
static int reserve(struct inst *inst, struct inst_strand *s, const struct mmuscope_nmmu_run *run)
{
	if (is_vcpus(run->call)) {
		if (run->vcpu >= inst->nr_vcpus)
			return -EINVAL;
		if (inst->vcpus_busy & 1u << run->vcpu)
			return -EBUSY;
		inst->vcpus_busy |= 1u << run->vcpu;
		s->has_vcpu = true;
		return 0;
	}
	if (run->vcpu)
		return -EINVAL;
	/* A vCPU that comes is not to be met half made. */
	if (is_slots(run->call) || run->call == MMUSCOPE_NMMU_VCPU_CREATE) {
		if (inst->slots_busy)
			return -EBUSY;
		inst->slots_busy = true;
		s->has_slots = true;
	}
	return 0;
}

/* Room for all that may have to be told, or for none. */
static bool run_ok(const struct mmuscope_nmmu_run *run)
{
	return !run->pad && run->strand < MMUSCOPE_NMMU_STRANDS && run->call < MMUSCOPE_NMMU_NR_CALLS &&
	       run->nr_events == MMUSCOPE_NMMU_EVENTS && run->nr_notes == MMUSCOPE_NMMU_NOTES &&
	       run->nr_frames <= MMUSCOPE_NMMU_FRAMES;
}

/* The frames are taken in once, before anything looks at them. */
static int take_frames(struct inst *inst, const struct mmuscope_nmmu_run *run)
{
	inst->frames_used = inst->nr_frames = 0;
	if (run->nr_frames && inst_copy_in(inst->frames, run->frames, run->nr_frames * sizeof(u64)))
		return -EFAULT;
	inst->nr_frames = run->nr_frames;
	return 0;
}

int inst_begin(struct inst *inst, const struct mmuscope_nmmu_run *run, struct inst_strand **ret)
{
	struct inst_strand *s;
	int err;

	if (!run_ok(run))
		return -EINVAL;
	s = &inst->strands[run->strand];
	if (run->call == MMUSCOPE_NMMU_ANSWER ? !s->waits : s->busy)
		return run->call == MMUSCOPE_NMMU_ANSWER ? -EINVAL : -EBUSY;
	err = take_frames(inst, run);
	if (err)
		return err;
	if (run->call == MMUSCOPE_NMMU_ANSWER) {
		s->run.v[0] = run->v[0];
		s->run.v[1] = run->v[1];
	} else {
		err = reserve(inst, s, run);
		if (err)
			return err;
		s->run = *run;
		s->busy = true;
		s->refused = INST_GOES_ON;
	}
	inst->watch = run->watch;
	inst->fail_after = run->fail_after;
	*ret = s;
	return 0;
}

void inst_work(struct inst_strand *s)
{
	struct inst *inst = s->inst;
	enum mmuscope_nmmu_call call = (enum mmuscope_nmmu_call)s->run.call;
	u64 v[MMUSCOPE_NMMU_VALUES];
	int err;

	/* v[] of the strand carries questions and answers meanwhile. */
	nmmu_copy(v, s->run.v, sizeof(v));
	if (call == MMUSCOPE_NMMU_VCPU_CREATE)
		err = call_create(inst, v);
	else if (is_vcpus(call))
		err = call_vcpu(inst, inst->vcpus[s->run.vcpu], call, v);
	else if (is_slots(call))
		err = call_slots(inst, call, v);
	else
		err = call_machine(inst, call, v);
	if (s->refused)
		err = s->refused == INST_TOO_LONG ? -ETIME : -EINTR;
	nmmu_copy(s->run.v, v, sizeof(v));
	s->run.state = MMUSCOPE_NMMU_DONE;
	s->run.error = err;
	if (s->has_vcpu)
		inst->vcpus_busy &= ~(1u << s->run.vcpu);
	if (s->has_slots)
		inst->slots_busy = false;
	s->has_vcpu = s->has_slots = s->busy = false;
}

static bool is_unsettled(const struct nmmu *m)
{
	const struct nmmu_slot *slot;
	u32 as_id;

	if (m->invalidate_in_progress)
		return true;
	for (as_id = 0; as_id < NMMU_NR_AS; as_id++)
		for (slot = m->as[as_id].first; slot; slot = slot->next)
			if (slot->flags & MS_SLOT_INVALID)
				return true;
	return false;
}

static int tell(struct inst *inst, const struct mmuscope_nmmu_run *run)
{
	int err = 0;

	if (inst->nr_events)
		err = inst_copy_out(run->events, inst->events, inst->nr_events * sizeof(struct ms_event));
	if (!err && inst->nr_notes)
		err = inst_copy_out(run->notes, inst->notes, inst->nr_notes * sizeof(u64));
	return err;
}

int inst_report(struct inst *inst, const struct inst_strand *s, struct mmuscope_nmmu_run *ret)
{
	int err = tell(inst, ret);

	const struct nmmu_vcpu *vcpu = is_vcpus(s->run.call) ? inst->vcpus[s->run.vcpu] : NULL;

	ret->fail_after = inst->fail_after;
	ret->state = s->run.state;
	ret->error = s->busy ? 0 : s->run.error;
	ret->flushed = inst->flushed;
	inst->flushed = 0;
	ret->nr_events = inst->nr_events;
	ret->nr_notes = inst->nr_notes;
	ret->nr_frames = inst->frames_used;
	ret->lost = inst->lost;
	inst->nr_events = inst->nr_notes = inst->nr_frames = inst->frames_used = 0;
	ret->unsettled = is_unsettled(inst->m);
	if (vcpu) {
		ret->pml_index = vcpu->pml_index;
		ret->pml12_index = vcpu->nested.pml_index;
		ret->guest_mode = vcpu->guest_mode;
		ret->pml12 = vcpu->nested.pml;
	}
	nmmu_copy(ret->v, s->run.v, sizeof(ret->v));
	return err;
}
