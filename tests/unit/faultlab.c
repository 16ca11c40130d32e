// SPDX-License-Identifier: GPL-2.0-or-later
/* See faultlab.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/faultlab.h"

void lab_ok(struct ms_err *err)
{
	if (err)
		fail_msg("%s", ms_err_text(err));
}

struct nmmu_config lab_config(bool svm, enum nmmu_kernel kernel)
{
	return (struct nmmu_config){
		.hv = svm ? MS_HV_SVM : MS_HV_VMX,
		.kernel = kernel,
		.tdp = true,
		.ad = !svm,
		.exec_only = !svm,
		.gbpages = true,
		.mmio_caching = true,
		.phys_bits = 46,
		.guest_phys_bits = 46,
	};
}

static void event(void *ctx, const struct ms_event *ev)
{
	struct lab *lab = ctx;

	lab->events[ev->id]++;
	lab->last[ev->id] = *ev;
	if (lab->on_event)
		lab->on_event(lab, ev);
}

static void yield(void *ctx, enum nmmu_point point)
{
	struct lab *lab = ctx;

	if (lab->on_yield)
		lab->on_yield(lab, point);
}

void lab_init(struct lab *lab, const struct nmmu_config *cfg, u32 host_level)
{
	struct ms_machine_opts opts = {
		.config = *cfg, .seed = 7, .event = event, .event_ctx = lab, .yield = yield, .yield_ctx = lab
	};
	u32 id;

	memset(lab, 0, sizeof(*lab));
	lab_ok(ms_machine_create(&opts, &lab->mm));
	lab->m = ms_machine_nmmu(lab->mm);
	lab_ok(ms_machine_map(lab->mm, LAB_SLOT_HVA, (u64)LAB_PAGES << 12, host_level, true));
	assert_int_equal(nmmu_slot_set(lab->m, 0, 0, 0, LAB_PAGES, LAB_SLOT_HVA, 0), 0);
	lab_ok(ms_machine_add_vcpu(lab->mm, &id));
	lab->v = ms_machine_vcpu(lab->mm, id);
}

void lab_check(struct lab *lab)
{
	const struct nmmu_sp *sp;
	const char *text;
	u32 row = nmmu_self_check(lab->m, &text, &sp);

	if (row)
		fail_msg("row %u: %s", row, text);
	if (ms_machine_misuse(lab->mm))
		fail_msg("%s", ms_machine_misuse(lab->mm));
}

void lab_deinit(struct lab *lab)
{
	lab->on_yield = NULL;
	lab_check(lab);
	ms_machine_destroy(lab->mm);
}

struct ms_run lab_access(struct lab *lab, u64 gva, const char *how, u64 value)
{
	struct nmmu_access access = { .gva = gva,
				      .bytes = 8,
				      .write = strchr(how, 'w'),
				      .fetch = strchr(how, 'x'),
				      .user = strchr(how, 'u'),
				      .value = value };
	struct ms_run run;

	ms_machine_access(lab->mm, 0, &access, &run);
	if (getenv("LAB_TRACE"))
		print_message("# %s 0x%llx: act %d err %d exits %u ret %d reason %llx qual %llx addr %llx\n",
			      how, (unsigned long long)gva, run.action, run.error, run.exits, run.last.ret,
			      (unsigned long long)run.last.reason, (unsigned long long)run.last.qual,
			      (unsigned long long)run.last.addr);
	assert_false(run.stuck);
	return run;
}

u64 *lab_leafp(struct lab *lab, u64 addr, u32 *level_ret)
{
	struct nmmu_shadow_iter it;
	u64 *sptep = NULL;

	if (level_ret)
		*level_ret = 0;
	for (nmmu_shadow_first(lab->v, addr, &it); it.sptep;
	     nmmu_shadow_next(lab->v, &it, nmmu_read64(it.sptep))) {
		sptep = it.sptep;
		if (level_ret)
			*level_ret = it.level;
	}
	return sptep;
}

u64 lab_leaf(struct lab *lab, u64 addr, u32 *level_ret)
{
	u64 *sptep = lab_leafp(lab, addr, level_ret);

	return sptep ? nmmu_read64(sptep) : 0;
}

u64 lab_pfn(struct lab *lab, u64 gfn)
{
	return ms_machine_pfn(lab->mm, LAB_SLOT_HVA + (gfn << 12));
}

void lab_set_slot_flags(struct lab *lab, u32 flags)
{
	assert_int_equal(nmmu_slot_set(lab->m, 0, 0, 0, LAB_PAGES, LAB_SLOT_HVA, flags), 0);
}

bool lab_is_dirty(struct lab *lab, u64 gfn)
{
	const struct nmmu_slot *slot = nmmu_slot_of(lab->m, 0, gfn);

	return slot->dirty[gfn / 64] >> gfn % 64 & 1;
}

void lab_map(struct ms_tables *t, u64 addr, u64 gfn, u32 level, u64 bits, u64 upper)
{
	lab_ok(ms_tables_map(t, addr, gfn, level, bits, upper));
}

u64 lab_peek(struct lab *lab, u64 gpa)
{
	u64 value;

	assert_int_equal(ms_machine_peek(lab->mm, gpa, &value, 8), 0);
	return value;
}

void lab_poke(struct lab *lab, u64 gpa, u64 value, u32 bytes)
{
	assert_int_equal(ms_machine_poke(lab->mm, gpa, &value, bytes), 0);
}

void lab_enter(struct lab *lab, const struct ms_tables *t, bool ept, bool ad)
{
	struct nmmu_nested nested = {
		.kind = ept ? NMMU_NESTED_EPT : NMMU_NESTED_NPT,
		.root = ms_tables_root_gfn(t) << 12 | (ept ? 0x1e | (ad ? 0x40 : 0) : 0),
		.l2 = lab->v->regs,
	};

	nested.l2.cr0 &= ~LAB_CR0_PG;
	assert_int_equal(nmmu_nested_enter(lab->v, &nested), 0);
}
