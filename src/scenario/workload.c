/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workload's machine, its VMM (L0's user space), and what is done next. L1 is in workload_l1.c, its
 * tables in workload_t12.c, L2 in workload_l2.c.
 */
#include "scenario/workload.h"

#include <stdlib.h>
#include <string.h>

#include "scenario/workload_private.h"

#define HOST_BYTES (512ull << 20)
#define PHYS_BITS 46
#define ROUNDS 5 /* of a migration of the VM */
#define ROUND_PAGES 512 /* cleared at once */

/* splitmix64 */
u64 wl_random(struct ms_workload *w)
{
	u64 x = w->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static const char *action_name(const struct ms_run *run)
{
	if (run->error)
		return run->error == -ENOMEM ? "memory is out" : "the engine gives up";
	if (run->stuck)
		return "it exits for ever";
	return run->action == NMMU_ACT_DEAD ? "triple fault" : NULL;
}

struct ms_err *wl_access(struct ms_workload *w, u32 vcpu, const struct nmmu_access *access,
			 struct ms_run *ret)
{
	struct ms_run run = { 0 };
	const char *why;

	ms_machine_access(w->machine, vcpu, access, &run);
	why = action_name(&run);
	if (why)
		return ms_err_new(run.error == -ENOMEM ? MS_ERR_MEMORY : MS_ERR_BUG,
				  "access to 0x%llx on vCPU %u: %s", (unsigned long long)access->gva, vcpu,
				  why);
	*ret = run;
	return NULL;
}

/* --- the VMM --- */

static int slot_set(struct ms_workload *w, u16 id, u32 flags)
{
	static const struct {
		u64 gfn, pages, hva;
		u32 flags;
	} slots[] = {
		[WL_SLOT_RAM] = { 0, WL_RAM_PAGES, WL_HVA, 0 },
		[WL_SLOT_FB] = { WL_FB, WL_FB_PAGES, WL_FB_HVA, MS_SLOT_LOG_DIRTY },
		[WL_SLOT_ROM] = { WL_ROM, WL_ROM_PAGES, WL_ROM_HVA, MS_SLOT_READONLY },
	};

	return ms_machine_slot_set(w->machine, 0, id, slots[id].gfn, slots[id].pages, slots[id].hva,
				   slots[id].flags | flags);
}

static struct ms_err *log_round(struct ms_workload *w, u16 slot, u64 pages)
{
	u64 first, i, any;
	int err;

	err = ms_machine_log_get(w->machine, 0, slot, w->bitmap);
	for (i = 0; i < pages / 64 && !err; i++)
		w->stats.l0_dirty += (u64)__builtin_popcountll(w->bitmap[i]);
	/* As QEMU does: parts are cleared right before they are sent. */
	for (first = 0; first < pages && !err; first += ROUND_PAGES) {
		for (i = 0, any = 0; i < ROUND_PAGES / 64; i++)
			any |= w->bitmap[first / 64 + i];
		if (any)
			err = ms_machine_log_clear(w->machine, 0, slot, first, ROUND_PAGES,
						   w->bitmap + first / 64);
	}
	if (slot == WL_SLOT_RAM && !err)
		wl_check_vm_sent(w, w->bitmap);
	return err ? ms_err_errno(MS_ERR_BUG, -err, "the dirty log of slot %u", slot) : NULL;
}

static struct ms_err *l0_migrate(struct ms_workload *w)
{
	struct ms_err *err = NULL;
	int res = 0;

	if (!w->l0_rounds) {
		/* Most of the time none is on: huge pages come back. */
		if (wl_below(w, 4))
			return NULL;
		w->l0_rounds = ROUNDS;
		res = slot_set(w, WL_SLOT_RAM, MS_SLOT_LOG_DIRTY);
		wl_check_vm_start(w);
	} else {
		w->stats.l0_rounds++;
		err = log_round(w, WL_SLOT_RAM, WL_RAM_PAGES);
		if (!err && !--w->l0_rounds) {
			wl_check_vm_end(w);
			res = slot_set(w, WL_SLOT_RAM, 0);
			w->stats.l0_migrations++;
		}
	}
	return res ? ms_err_errno(MS_ERR_BUG, -res, "the VMM changes a slot") : err;
}

/* A virtio device writes into L1's memory. */
static struct ms_err *host_write(struct ms_workload *w)
{
	u64 gpa = (u64)(WL_L1_WORK + wl_below(w, WL_L1_WORK_PAGES)) << NMMU_PAGE_SHIFT, value = wl_random(w);
	int err = nmmu_host_write(w->m, gpa, &value, sizeof(value));

	w->stats.host_writes++;
	return err ? ms_err_errno(MS_ERR_BUG, -err, "a device writes GPA 0x%llx", (unsigned long long)gpa)
		   : NULL;
}

/* Compaction or NUMA balancing: frames change, huge pages stay whole. */
static void host_move(struct ms_workload *w, u64 hva)
{
	if (hva < WL_HVA_SMALL)
		ms_machine_migrate(w->machine, hva & ~(WL_HUGE_BYTES - 1), WL_HUGE_BYTES);
	else
		ms_machine_migrate(w->machine, hva, 4 * NMMU_PAGE_SIZE);
	w->stats.host_moves++;
}

static struct ms_err *vmm_step(struct ms_workload *w, u32 what)
{
	u64 hva = wl_hva(wl_below(w, WL_RAM_PAGES - 64));

	if (what < 400)
		return host_write(w);
	if (what < 600) {
		host_move(w, hva);
		return NULL;
	}
	if (what < 800) {
		w->stats.aged += nmmu_age(w->m, hva, hva + 64 * NMMU_PAGE_SIZE);
		return NULL;
	}
	if (what < 900)
		return log_round(w, WL_SLOT_FB, WL_FB_PAGES);
	if (what < 970)
		return l0_migrate(w);
	nmmu_nx_recover(w->m, 4);
	return NULL;
}

/* --- what comes next --- */

static struct ms_err *one_step(struct ms_workload *w)
{
	struct wl_l2 *l2 = &w->l2[wl_below(w, WL_NR_L2)];
	u32 what = wl_below(w, 1000);

	if (what < 740)
		return wl_l2_step(w, l2);
	if (what < 820)
		return wl_l1_work(w, WL_NR_VCPUS - 1);
	if (what < 870) {
		wl_l1_interrupt(w, l2);
		return wl_l1_work(w, l2->vcpu);
	}
	if (what < 890)
		return wl_l1_balloon(w, l2);
	if (what < 898)
		return wl_l1_migrate(w, l2);
	if (what < 900)
		return wl_l1_rebuild(w, l2);
	return vmm_step(w, wl_below(w, 1000));
}

struct ms_err *ms_workload_run(struct ms_workload *w, u64 nr)
{
	struct ms_err *err = NULL;

	if (w->failed)
		return ms_err_new(MS_ERR_BUG, "the simulated machine stopped at step %llu",
				  (unsigned long long)w->stats.steps);
	while (nr-- && !err) {
		w->stats.steps++;
		err = one_step(w);
	}
	if (!err)
		return NULL;
	w->failed = true;
	return ms_err_wrap(err, "the simulated machine stopped at step %llu",
			   (unsigned long long)w->stats.steps);
}

/* --- making it --- */

static void config_fill(const struct ms_workload *w, struct nmmu_config *config)
{
	bool vmx = wl_is_vmx(w);

	*config = (struct nmmu_config){
		.hv = w->opts.hv,
		.kernel = w->opts.kernel,
		.tdp = true,
		.ad = true,
		.pml = vmx,
		.exec_only = vmx,
		.gbpages = true,
		.nx_huge_pages = vmx, /* AMD's CPUs do not need it */
		.mmio_caching = true,
		.compat = true,
		.phys_bits = PHYS_BITS,
		.guest_phys_bits = PHYS_BITS,
		.bugs = w->opts.bugs,
	};
}

static struct ms_err *map_memory(struct ms_workload *w)
{
	const u64 huge = WL_HVA_SMALL - WL_HVA, all = (u64)WL_RAM_PAGES << NMMU_PAGE_SHIFT;
	struct ms_err *err;
	u32 i;

	err = ms_machine_map(w->machine, WL_HVA, huge, 2, true);
	if (!err)
		err = ms_machine_map(w->machine, WL_HVA_SMALL, all - huge, 1, true);
	if (!err)
		err = ms_machine_map(w->machine, WL_FB_HVA, (u64)WL_FB_PAGES << NMMU_PAGE_SHIFT, 1, true);
	if (!err)
		err = ms_machine_map(w->machine, WL_ROM_HVA, (u64)WL_ROM_PAGES << NMMU_PAGE_SHIFT, 1, false);
	if (!err && nmmu_log_mode(w->m, NMMU_LOG_MANUAL))
		err = ms_err_new(MS_ERR_BUG, "the VMM cannot choose how it logs");
	for (i = WL_SLOT_RAM; i <= WL_SLOT_ROM && !err; i++)
		if (slot_set(w, (u16)i, 0))
			err = ms_err_new(MS_ERR_BUG, "the VMM cannot make slot %u", i);
	return err;
}

static struct ms_err *add_vcpus(struct ms_workload *w)
{
	struct ms_err *err = NULL;
	u32 i, id;

	for (i = 0; i < WL_NR_VCPUS && !err; i++) {
		err = ms_machine_add_vcpu(w->machine, &id);
		if (!err && (id != i || ms_machine_set_regs(w->machine, id, &w->l1_regs)))
			err = ms_err_new(MS_ERR_BUG, "vCPU %u cannot be set up", i);
	}
	return err;
}

static struct ms_err *l2_create(struct ms_workload *w, u32 nr)
{
	struct wl_l2 *l2 = &w->l2[nr];
	struct ms_err *err;
	u32 i;

	l2->vcpu = nr;
	l2->huge = nr == 1;
	l2->pml_gfn = WL_LOG12 + 2 * nr;
	l2->bitmap_gfn = l2->pml_gfn + 1;
	l2->nested.pml_addr = l2->pml_gfn << NMMU_PAGE_SHIFT;
	for (i = 0; i < WL_L2_PAGES; i++)
		l2->frame[i] = (u16)(WL_L2_RAM + nr * WL_L2_PAGES + i);
	err = wl_t12_init(w, l2);
	return err ? err : wl_l2_init(w, l2);
}

static struct ms_err *setup(struct ms_workload *w)
{
	struct ms_machine_opts opts = { .seed = w->opts.seed,
					.max_bytes = HOST_BYTES,
					.event = w->opts.event,
					.event_ctx = w->opts.event_ctx };
	struct ms_err *err;
	u32 i;

	config_fill(w, &opts.config);
	err = ms_machine_create(&opts, &w->machine);
	if (err)
		return err;
	w->m = ms_machine_nmmu(w->machine);
	err = map_memory(w);
	if (!err)
		err = wl_l1_init(w);
	if (!err)
		err = add_vcpus(w);
	for (i = 0; i < WL_SPARE_PAGES; i++)
		w->spare[w->nr_spare++] = (u16)(WL_SPARE + i);
	for (i = 0; i < WL_NR_L2 && !err; i++)
		err = l2_create(w, i);
	return err;
}

struct ms_err *ms_workload_create(const struct ms_workload_opts *opts, struct ms_workload **ret)
{
	struct ms_workload *w = calloc(1, sizeof(*w));
	struct ms_err *err;

	if (!w)
		return ms_err_nomem();
	w->opts = *opts;
	if (w->opts.hv == MS_HV_UNKNOWN)
		w->opts.hv = MS_HV_VMX;
	w->random = opts->seed;
	w->bitmap = calloc(WL_RAM_PAGES / 64, sizeof(u64));
	err = w->bitmap ? NULL : ms_err_nomem();
	if (!err && opts->check)
		err = wl_check_init(w);
	if (!err)
		err = setup(w);
	if (err) {
		ms_workload_destroy(w);
		return ms_err_wrap(err, "the simulated machine cannot be set up");
	}
	*ret = w;
	return NULL;
}

void ms_workload_destroy(struct ms_workload *w)
{
	if (!w)
		return;
	ms_machine_destroy(w->machine);
	wl_check_deinit(w);
	free(w->bitmap);
	free(w);
}

struct ms_machine *ms_workload_machine(struct ms_workload *w)
{
	return w->machine;
}

const struct ms_workload_stats *ms_workload_stats(const struct ms_workload *w)
{
	return &w->stats;
}
