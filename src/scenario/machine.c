/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine's surroundings and the loop of one access: see machine.h. */
#include "scenario/machine_private.h"

#include <stdlib.h>
#include <string.h>

#include "nmmu/x86.h"

#define DEFAULT_TLB 64
#define DEFAULT_BYTES (256ULL << 20)

/* Room before each heap block for its size, keeping alignment. */
union heap_head {
	size_t bytes;
	max_align_t align;
};

/* --- what the engine calls --- */

static bool alloc_fails(struct ms_machine *machine)
{
	/* With several actions under way it may be another's lock. */
	if (machine->locked && !machine->opts.lock)
		machine_misuse(machine, "memory allocated under mmu_lock");
	return machine->fail_after && !--machine->fail_after;
}

static int op_page_alloc(void *host, struct nmmu_page *ret)
{
	struct ms_machine *machine = host;

	if (alloc_fails(machine))
		return -ENOMEM;
	return hostmem_table_alloc(machine->mem, &ret->va, &ret->pa);
}

static void op_page_free(void *host, struct nmmu_page page)
{
	struct ms_machine *machine = host;

	hostmem_table_free(machine->mem, page.pa);
}

static void *op_alloc(void *host, size_t bytes)
{
	struct ms_machine *machine = host;
	union heap_head *head;

	if (alloc_fails(machine) || machine->heap_bytes + bytes > machine->opts.max_bytes)
		return NULL;
	head = calloc(1, sizeof(*head) + bytes);
	if (!head)
		return NULL;
	head->bytes = bytes;
	machine->heap_bytes += bytes;
	return head + 1;
}

static void op_free(void *host, void *p)
{
	struct ms_machine *machine = host;
	union heap_head *head = p;

	if (!p)
		return;
	machine->heap_bytes -= head[-1].bytes;
	free(head - 1);
}

static int op_hva_to_pfn(void *host, u64 hva, bool write, struct nmmu_pfn *ret)
{
	struct ms_machine *machine = host;
	struct hostmem_pfn pfn;
	int rc = hostmem_fault(machine->mem, hva, write, &pfn);

	if (!rc)
		*ret = (struct nmmu_pfn){ .pfn = pfn.pfn, .level = pfn.level, .writable = pfn.writable };
	return rc;
}

static int op_hva_to_pfn_fast(void *host, u64 hva, struct nmmu_pfn *ret)
{
	struct ms_machine *machine = host;
	struct hostmem_pfn pfn;

	if (hostmem_lookup(machine->mem, hva, &pfn) || !pfn.writable)
		return -EFAULT;
	*ret = (struct nmmu_pfn){ .pfn = pfn.pfn, .level = pfn.level, .writable = true };
	return 0;
}

/* The physical address behind hva for an access of our own. */
static int hva_to_pa(struct ms_machine *machine, u64 hva, bool write, u64 *pa_ret)
{
	struct hostmem_pfn pfn;
	int rc = machine->remote ? remote_fault(machine, hva, write, &pfn)
				 : hostmem_fault(machine->mem, hva, write, &pfn);

	if (!rc)
		*pa_ret = pfn.pfn << NMMU_PAGE_SHIFT | (hva & (NMMU_PAGE_SIZE - 1));
	return rc;
}

static int op_read(void *host, u64 hva, void *dst, u32 len)
{
	struct ms_machine *machine = host;
	u64 pa;
	int rc = hva_to_pa(machine, hva, false, &pa);

	return rc ? -EFAULT : hostmem_read(machine->mem, pa, dst, len);
}

static int op_write(void *host, u64 hva, const void *src, u32 len)
{
	struct ms_machine *machine = host;
	u64 pa;
	int rc = hva_to_pa(machine, hva, true, &pa);

	return rc || hostmem_write(machine->mem, pa, src, len) ? -EFAULT : 0;
}

static int op_cmpxchg(void *host, u64 hva, u64 old, u64 new_value, u32 bytes)
{
	struct ms_machine *machine = host;
	u64 pa;
	int rc = hva_to_pa(machine, hva, true, &pa);

	if (rc)
		return -EFAULT;
	rc = hostmem_cmpxchg(machine->mem, pa, old, new_value, bytes);
	return rc == -EAGAIN ? rc : rc ? -EFAULT : 0;
}

static void op_flush(void *host, struct nmmu_vcpu *vcpu)
{
	struct ms_machine *machine = host;

	for (u32 i = 0; i < machine->nr_vcpus; i++) {
		if (vcpu && machine->vcpus[i].v != vcpu)
			continue;
		hw_cpu_flush(machine->vcpus[i].cpu);
		/* Whom the interrupt found in the guest has left it, and did what is done at every exit. */
		nmmu_pml_drain(machine->vcpus[i].v);
	}
}

static void op_event(void *host, const struct ms_event *event)
{
	struct ms_machine *machine = host;

	machine->opts.event(machine->opts.event_ctx, event);
}

static void op_lock(void *host)
{
	struct ms_machine *machine = host;

	if (machine->opts.lock)
		machine->opts.lock(machine->opts.yield_ctx);
	if (machine->locked)
		machine_misuse(machine, "mmu_lock taken twice");
	machine->locked = true;
}

static void op_unlock(void *host)
{
	struct ms_machine *machine = host;

	if (!machine->locked)
		machine_misuse(machine, "mmu_lock given back without being held");
	machine->locked = false;
	if (machine->opts.unlock)
		machine->opts.unlock(machine->opts.yield_ctx);
}

static void op_yield(void *host, enum nmmu_point point)
{
	struct ms_machine *machine = host;

	machine->opts.yield(machine->opts.yield_ctx, point);
}

/* --- pinned pages. That a host moved one all the same (host migrate) is the engine's to find. --- */

static bool op_pin(void *host, u64 gfn, u64 pfn, u8 level)
{
	struct ms_machine *machine = host;

	return pinhost_pin(&machine->pins, gfn, pfn, level);
}

static void op_unpin(void *host, u64 gfn, u64 pfn, u8 level)
{
	struct ms_machine *machine = host;

	machine_misuse(machine, pinhost_unpin(&machine->pins, gfn, pfn, level));
}

static void op_zap(void *host, u64 gfn, u64 pfn, u8 level)
{
	struct ms_machine *machine = host;

	machine_misuse(machine, pinhost_zap(&machine->pins, gfn, pfn, level));
}

static void op_unzap(void *host, u64 gfn, u64 pfn, u8 level)
{
	struct ms_machine *machine = host;

	machine_misuse(machine, pinhost_unzap(&machine->pins, gfn, pfn, level));
}

static const struct nmmu_ops machine_ops = {
	.page_alloc = op_page_alloc,
	.page_free = op_page_free,
	.alloc = op_alloc,
	.free = op_free,
	.hva_to_pfn = op_hva_to_pfn,
	.hva_to_pfn_fast = op_hva_to_pfn_fast,
	.read = op_read,
	.write = op_write,
	.cmpxchg = op_cmpxchg,
	.flush = op_flush,
	.pin = op_pin,
	.unpin = op_unpin,
	.zap = op_zap,
	.unzap = op_unzap,
	.lock = op_lock,
	.unlock = op_unlock,
};

/* --- what a CPU reaches --- */

static bool is_elsewhere(const struct ms_machine *machine, u64 pa)
{
	return machine->remote && hostmem_is_table(machine->mem, pa);
}

static int mem_read(void *ctx, u64 pa, void *dst, u32 len)
{
	struct ms_machine *machine = ctx;

	return is_elsewhere(machine, pa) ? remote_read(machine, pa, dst, len)
					 : hostmem_read(machine->mem, pa, dst, len);
}

static int mem_write(void *ctx, u64 pa, const void *src, u32 len)
{
	struct ms_machine *machine = ctx;

	return is_elsewhere(machine, pa) ? remote_write(machine, pa, src, len)
					 : hostmem_write(machine->mem, pa, src, len);
}

static int mem_cmpxchg(void *ctx, u64 pa, u64 old, u64 new_value, u32 bytes)
{
	struct ms_machine *machine = ctx;

	return is_elsewhere(machine, pa) ? remote_cmpxchg(machine, pa, old, new_value)
					 : hostmem_cmpxchg(machine->mem, pa, old, new_value, bytes);
}

/* --- life --- */

struct ms_err *ms_machine_create(const struct ms_machine_opts *opts, struct ms_machine **ret)
{
	struct ms_machine *machine = calloc(1, sizeof(*machine));
	int rc;

	if (!machine)
		return ms_err_nomem();
	machine->opts = *opts;
	if (!machine->opts.tlb_entries)
		machine->opts.tlb_entries = DEFAULT_TLB;
	if (!machine->opts.max_bytes)
		machine->opts.max_bytes = DEFAULT_BYTES;
	machine->ops = machine_ops;
	if (opts->event)
		machine->ops.event = op_event;
	if (opts->yield)
		machine->ops.yield = op_yield;
	machine->mem = hostmem_create(opts->seed, opts->config.phys_bits, machine->opts.max_bytes);
	if (!machine->mem) {
		ms_machine_destroy(machine);
		return ms_err_new(MS_ERR_USAGE, "a host with %u physical address bits cannot be made",
				  opts->config.phys_bits);
	}
	if (opts->device) {
		struct ms_err *err = remote_create(machine);

		if (err) {
			ms_machine_destroy(machine);
			return err;
		}
		*ret = machine;
		return NULL;
	}
	rc = nmmu_create(&machine->opts.config, &machine->ops, machine, &machine->m);
	if (rc) {
		ms_machine_destroy(machine);
		if (rc == -ENOMEM)
			return ms_err_nomem();
		return ms_err_errno(MS_ERR_USAGE, -rc, "the settings of the machine contradict each other");
	}
	*ret = machine;
	return NULL;
}

void ms_machine_destroy(struct ms_machine *machine)
{
	if (!machine)
		return;
	/* The CPUs first: nobody is in the guest while the engine is torn down. */
	for (u32 i = 0; i < machine->nr_vcpus; i++)
		hw_cpu_destroy(machine->vcpus[i].cpu);
	machine->nr_vcpus = 0;
	nmmu_destroy(machine->m);
	remote_destroy(machine);
	hostmem_destroy(machine->mem);
	pinhost_deinit(&machine->pins);
	free(machine->vcpus);
	free(machine);
}

struct nmmu *ms_machine_nmmu(struct ms_machine *machine)
{
	return machine->remote ? remote_nmmu(machine) : machine->m;
}

void ms_machine_fail_alloc(struct ms_machine *machine, u64 after)
{
	machine->fail_after = after;
}

void ms_machine_fail_pin(struct ms_machine *machine, u64 after)
{
	machine->pins.fail_after = after;
}

struct ms_pin_calls ms_machine_pin_calls(const struct ms_machine *machine)
{
	return machine->pins.calls;
}

u64 ms_machine_bytes(const struct ms_machine *machine)
{
	return hostmem_bytes(machine->mem) + machine->heap_bytes;
}

const char *ms_machine_misuse(const struct ms_machine *machine)
{
	return machine->misuse;
}

/* --- host memory --- */

struct ms_err *ms_machine_map(struct ms_machine *machine, u64 hva, u64 bytes, u32 level, bool writable)
{
	int rc = hostmem_map(machine->mem, hva, bytes, level, writable);

	if (!rc && machine->remote)
		rc = remote_map(machine, hva, bytes);
	if (!rc)
		return NULL;
	return ms_err_errno(MS_ERR_USAGE, -rc, "host memory [0x%llx, 0x%llx)", (unsigned long long)hva,
			    (unsigned long long)(hva + bytes));
}

/* What is told to the engine: a large page is split as a whole, though only a part of it changes. */
struct notice {
	struct ms_machine *machine;
	u64 start, end;
};

static struct notice notice_begin(struct ms_machine *machine, u64 hva, u64 bytes)
{
	struct notice n = { .machine = machine };
	u64 unused;

	hostmem_span(machine->mem, hva, &n.start, &unused);
	hostmem_span(machine->mem, hva + bytes - 1, &unused, &n.end);
	engine_invalidate_begin(machine, n.start, n.end);
	return n;
}

static void notice_end(const struct notice *n, int rc)
{
	if (rc)
		machine_misuse(n->machine, "a change of host memory ran out of room");
	if (n->machine->remote)
		remote_sync(n->machine, n->start, n->end - n->start);
	engine_invalidate_end(n->machine, n->start, n->end);
}

void ms_machine_discard(struct ms_machine *machine, u64 hva, u64 bytes)
{
	struct notice n = notice_begin(machine, hva, bytes);

	notice_end(&n, hostmem_discard(machine->mem, hva, bytes));
}

void ms_machine_notify(struct ms_machine *machine, u64 hva, u64 bytes)
{
	struct notice n = notice_begin(machine, hva, bytes);

	notice_end(&n, 0);
}

void ms_machine_migrate(struct ms_machine *machine, u64 hva, u64 bytes)
{
	struct notice n = notice_begin(machine, hva, bytes);

	notice_end(&n, hostmem_migrate(machine->mem, hva, bytes));
}

void ms_machine_protect(struct ms_machine *machine, u64 hva, u64 bytes, bool writable)
{
	struct notice n = notice_begin(machine, hva, bytes);

	notice_end(&n, hostmem_protect(machine->mem, hva, bytes, writable));
}

void ms_machine_collapse(struct ms_machine *machine, u64 hva, u64 bytes)
{
	struct notice n = notice_begin(machine, hva, bytes);

	notice_end(&n, hostmem_collapse(machine->mem, hva, bytes));
}

int ms_machine_break_host(struct ms_machine *machine, u64 hva)
{
	int rc = hostmem_discard(machine->mem, hva & ~(u64)(NMMU_PAGE_SIZE - 1), NMMU_PAGE_SIZE);
	u64 start, end;

	hostmem_span(machine->mem, hva, &start, &end);
	if (machine->remote)
		remote_sync(machine, start, end - start);
	return rc;
}

bool ms_machine_is_vmx(const struct ms_machine *machine)
{
	return machine->opts.config.hv == MS_HV_VMX;
}

struct hostmem *ms_machine_mem(struct ms_machine *machine)
{
	return machine->mem;
}

u64 ms_machine_pfn(const struct ms_machine *machine, u64 hva)
{
	return hostmem_pfn(machine->mem, hva);
}

/* --- vCPUs --- */

struct ms_err *ms_machine_add_vcpu(struct ms_machine *machine, u32 *id_ret)
{
	struct hw_mem mem = { .read = mem_read, .write = mem_write, .cmpxchg = mem_cmpxchg, .ctx = machine };
	struct vcpu *more = realloc(machine->vcpus, (machine->nr_vcpus + 1) * sizeof(*more));
	struct vcpu vcpu = { 0 };
	int rc;

	if (!more)
		return ms_err_nomem();
	machine->vcpus = more;
	vcpu.cpu = hw_cpu_create(&mem, machine->opts.tlb_entries);
	if (!vcpu.cpu)
		return ms_err_nomem();
	rc = machine->remote ? remote_add_vcpu(machine) : nmmu_vcpu_create(machine->m, &vcpu.v);
	if (rc) {
		hw_cpu_destroy(vcpu.cpu);
		return ms_err_errno(MS_ERR_MEMORY, -rc, "vCPU %u", machine->nr_vcpus);
	}
	more[machine->nr_vcpus] = vcpu;
	*id_ret = machine->nr_vcpus++;
	return NULL;
}

struct nmmu_vcpu *ms_machine_vcpu(struct ms_machine *machine, u32 id)
{
	struct nmmu_vcpu *v;

	if (!machine->remote)
		return id < machine->nr_vcpus ? machine->vcpus[id].v : NULL;
	for (v = remote_nmmu(machine)->vcpus; v && v->id != id; v = v->next)
		;
	return v;
}

/* The guest's registers in a CPU that has a second stage. */
static void state_two_stages(struct ms_machine *machine, const struct machine_entry *from, struct hw_state *s)
{
	const struct nmmu_entry *entry = &from->e;

	s->cr0 = entry->regs.cr0;
	s->cr3 = entry->regs.cr3;
	s->cr4 = entry->regs.cr4;
	s->efer = entry->regs.efer;
	memcpy(s->pdpte, from->pdptrs, sizeof(s->pdpte));
	s->stage = machine->opts.config.hv == MS_HV_VMX ? HW_STAGE_EPT : HW_STAGE_NPT;
	s->root_pa = entry->root_pa;
	s->levels = entry->level;
	s->ept_ad = entry->ad;
	s->exec_only = entry->exec_only;
	s->npt_nx = true;
	s->pml = entry->pml;
	s->pml_pa = entry->pml_pa;
	s->pml_index = entry->pml_index;
}

/* Shadow tables are the CPU's only ones, and its registers are those that KVM needs. */
static int state_shadow(struct ms_machine *machine, const struct nmmu_entry *entry, struct hw_state *s)
{
	s->cr0 = CR0_PE | CR0_PG | (entry->wp ? CR0_WP : 0);
	s->cr3 = entry->root_pa;
	s->cr4 = CR4_PAE | (entry->smep ? CR4_SMEP : 0) | (entry->smap ? CR4_SMAP : 0);
	s->efer = entry->nx ? EFER_NX : 0;
	s->stage = HW_STAGE_NONE;
	if (entry->level == 3)
		return mem_read(machine, entry->root_pa, s->pdpte, sizeof(s->pdpte));
	s->efer |= EFER_LME | EFER_LMA;
	if (entry->level == 5)
		s->cr4 |= CR4_LA57;
	return 0;
}

static bool same_paging(const struct nmmu_regs *a, const struct nmmu_regs *b)
{
	return a->cr3 == b->cr3 && !((a->cr0 ^ b->cr0) & CR0_PG) && a->cr4 == b->cr4 &&
	       !((a->efer ^ b->efer) & ~EFER_LMA) && a->smm == b->smm;
}

static int build_state(struct ms_machine *machine, struct vcpu *vcpu, const struct machine_entry *from,
		       struct hw_state *s)
{
	const struct nmmu_entry *entry = &from->e;
	struct nmmu_regs *seen = &vcpu->seen[from->guest_mode];

	*s = (struct hw_state){
		.ac = entry->regs.ac,
		.phys_bits = entry->phys_bits,
		.gbpages = machine->opts.config.gbpages,
		.amd = machine->opts.config.hv == MS_HV_SVM,
		.tag = entry->tag,
	};
	if (!entry->tdp)
		return state_shadow(machine, entry, s);
	state_two_stages(machine, from, s);
	/* Entered with other registers than it ran with last. */
	if (!same_paging(seen, &entry->regs))
		hw_cpu_flush_tag(vcpu->cpu, s->tag);
	*seen = entry->regs;
	return 0;
}

static void to_hw(const struct nmmu_access *access, struct hw_access *ret)
{
	*ret = (struct hw_access){ .addr = access->gva,
				   .bytes = access->bytes,
				   .write = access->write,
				   .fetch = access->fetch,
				   .user = access->user,
				   .rmw = access->rmw,
				   .value = access->value };
}

/* Enter the guest and make the access. 0 or what the engine said. */
static int run_cpu(struct ms_machine *machine, u32 id, const struct nmmu_access *access, bool *tdp_ret,
		   struct hw_result *ret)
{
	struct hw_access hw_access;
	struct machine_entry entry;
	struct hw_state state;
	int rc;

	if (machine->opts.yield)
		machine->opts.yield(machine->opts.yield_ctx, NMMU_POINT_ENTER);
	rc = engine_load(machine, id, &entry);
	*ret = (struct hw_result){ .exit = HW_MEM_ERROR };
	if (rc)
		return rc;
	*tdp_ret = entry.e.tdp;
	rc = build_state(machine, &machine->vcpus[id], &entry, &state);
	if (rc)
		return rc;
	to_hw(access, &hw_access);
	hw_cpu_access(machine->vcpus[id].cpu, &state, &hw_access, ret);
	return 0;
}

/* The exit as the engine is told; false: there is none to be handled. */
static bool to_exit(const struct hw_result *hw, const struct nmmu_access *access, bool tdp,
		    struct nmmu_exit *ret)
{
	*ret = (struct nmmu_exit){ .info = hw->qual, .addr = hw->gpa, .access = access };
	switch (hw->exit) {
	case HW_EXIT_EPT_VIOLATION:
		ret->kind = NMMU_EXIT_EPT_VIOLATION;
		return true;
	case HW_EXIT_EPT_MISCONFIG:
		ret->kind = NMMU_EXIT_EPT_MISCONFIG;
		return true;
	case HW_EXIT_NPF:
		ret->kind = NMMU_EXIT_NPF;
		return true;
	case HW_EXIT_PML_FULL:
		ret->kind = NMMU_EXIT_PML_FULL;
		return true;
	case HW_FAULT_PF:
		ret->kind = NMMU_EXIT_PF;
		ret->addr = hw->addr;
		return !tdp;
	default:
		return false;
	}
}

/* An end without an exit to handle. */
static void finish_cpu(const struct hw_result *hw, struct ms_run *ret)
{
	ret->pa = hw->pa;
	ret->value = hw->value;
	if (hw->exit == HW_DONE) {
		ret->action = NMMU_ACT_DONE;
	} else if (hw->exit == HW_FAULT_PF) {
		ret->action = NMMU_ACT_PF;
		ret->last.action = NMMU_ACT_PF;
		ret->last.ret = NMMU_RET_NONE;
		ret->last.qual = hw->qual;
		ret->last.addr = hw->addr;
	} else {
		ret->error = -EFAULT;
	}
}

void ms_machine_access(struct ms_machine *machine, u32 id, const struct nmmu_access *access,
		       struct ms_run *ret)
{
	*ret = (struct ms_run){ .action = NMMU_ACT_RESUME, .last = { .ret = NMMU_RET_NONE } };
	for (; ret->exits < MS_RUN_MAX_EXITS; ret->exits++) {
		struct hw_result hw;
		struct nmmu_exit exit;
		bool tdp;

		ret->error = run_cpu(machine, id, access, &tdp, &hw);
		if (ret->error)
			return;
		if (!to_exit(&hw, access, tdp, &exit)) {
			finish_cpu(&hw, ret);
			return;
		}
		ret->nr_kind[exit.kind]++;
		ms_machine_pml_drain(machine, id);
		ret->error = engine_exit(machine, id, &exit, &ret->last);
		if (ret->error)
			return;
		if (ret->last.action == NMMU_ACT_RESUME)
			continue;
		ret->exits++;
		ret->action = ret->last.action;
		ret->emulated = ret->action == NMMU_ACT_DONE;
		ret->value = ret->last.value;
		return;
	}
	ret->stuck = true;
}

void ms_machine_cpu_access(struct ms_machine *machine, u32 id, const struct nmmu_access *access,
			   struct hw_result *ret)
{
	bool tdp;

	if (run_cpu(machine, id, access, &tdp, ret))
		*ret = (struct hw_result){ .exit = HW_MEM_ERROR };
}

void ms_machine_kick(struct ms_machine *machine)
{
	for (u32 i = 0; i < machine->nr_vcpus; i++)
		ms_machine_pml_drain(machine, i);
}

void ms_machine_invlpg(struct ms_machine *machine, u32 id, u64 gva)
{
	struct vcpu *vcpu = &machine->vcpus[id];

	engine_invlpg(machine, id, gva);
	/* Combined translations go whatever EPT they were made with (SDM 28.4.3.1). */
	if (machine->opts.config.tdp)
		hw_cpu_flush_linear(vcpu->cpu, gva);
}

void ms_machine_flush_guest(struct ms_machine *machine, u32 id)
{
	struct vcpu *vcpu = &machine->vcpus[id];

	engine_flush_guest(machine, id);
	if (machine->opts.config.tdp)
		hw_cpu_flush(vcpu->cpu);
}

int ms_machine_set_regs(struct ms_machine *machine, u32 id, const struct nmmu_regs *regs)
{
	struct vcpu *vcpu = &machine->vcpus[id];
	struct nmmu_regs old;
	int rc = engine_set_regs(machine, id, regs, &old);

	/* PDPTEs that are loaded again may be others. */
	if (!rc && machine->opts.config.tdp &&
	    (!same_paging(&old, regs) || (regs->cr4 & CR4_PAE && !(regs->efer & EFER_LME))))
		hw_cpu_flush(vcpu->cpu);
	return rc;
}

/* --- guest memory --- */

static int guest_pa(struct ms_machine *machine, u64 gpa, bool write, u64 *pa_ret)
{
	const struct nmmu_slot *slot = ms_machine_slot_at(machine, 0, gpa >> NMMU_PAGE_SHIFT);

	if (!slot)
		return -EFAULT;
	return hva_to_pa(machine, slot->hva + (gpa - (slot->base_gfn << NMMU_PAGE_SHIFT)), write, pa_ret);
}

static u32 in_page(u64 gpa, u32 len)
{
	u32 left = NMMU_PAGE_SIZE - (gpa & (NMMU_PAGE_SIZE - 1));

	return len < left ? len : left;
}

int ms_machine_peek(struct ms_machine *machine, u64 gpa, void *dst, u32 len)
{
	u8 *at = dst;

	for (u32 done; len; gpa += done, at += done, len -= done) {
		u64 pa;
		int rc = guest_pa(machine, gpa, false, &pa);

		done = in_page(gpa, len);
		rc = rc ? rc : hostmem_read(machine->mem, pa, at, done);
		if (rc)
			return rc;
	}
	return 0;
}

int ms_machine_poke(struct ms_machine *machine, u64 gpa, const void *src, u32 len)
{
	const u8 *at = src;
	bool written;

	for (u32 done; len; gpa += done, at += done, len -= done) {
		u64 pa;
		int rc = guest_pa(machine, gpa, false, &pa);

		done = in_page(gpa, len);
		written = !rc && hostmem_is_written(machine->mem, pa >> NMMU_PAGE_SHIFT);
		rc = rc ? rc : hostmem_write(machine->mem, pa, at, done);
		if (rc)
			return rc;
		if (!written)
			hostmem_clear_written(machine->mem, pa >> NMMU_PAGE_SHIFT);
	}
	return 0;
}

int ms_machine_page(struct ms_machine *machine, u64 hva, u8 *page, u64 *hpa_ret)
{
	struct hostmem_pfn pfn;
	int rc = hostmem_lookup(machine->mem, hva, &pfn);

	if (!rc)
		rc = hostmem_read(machine->mem, pfn.pfn << NMMU_PAGE_SHIFT, page, NMMU_PAGE_SIZE);
	if (!rc)
		*hpa_ret = pfn.pfn << NMMU_PAGE_SHIFT;
	return rc;
}
