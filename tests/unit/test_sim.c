/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The target sim through the model, as every command sees it: what it says is the engine's state, says that
 * it is simulated, moves on when it should and only then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/event_desc.h"
#include "model/gpte.h"
#include "model/model.h"
#include "query/query.h"
#include "scenario/workload.h"
#include "target/sim.h"

static void must(struct ms_err *err)
{
	if (err)
		fail_msg("%s", ms_err_text(err));
}

static struct ms_target *target_open(const char *spec)
{
	struct ms_target *target = NULL;

	must(ms_target_open(spec, NULL, &target));
	return target;
}

static struct ms_model *load(struct ms_target *target, u32 what)
{
	struct ms_want want = { .what = what };
	struct ms_model *model = NULL;

	must(ms_model_load(target, &want, &model));
	assert_int_equal(model->nr_vms, 1);
	return model;
}

static const char *const specs[] = { "sim", "sim:hv=svm", "sim:seed=5,kernel=6.1",
				     "sim:kernel=6.1,hv=svm,steps=900" };

static void test_says_that_it_is_simulated(void **state)
{
	struct ms_target *target;
	struct ms_model *model;
	size_t i, f;

	(void)state;
	for (i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		target = target_open(specs[i]);
		model = load(target, MS_WANT_VCPUS);
		assert_string_equal(model->host.target, "sim");
		assert_non_null(strstr(model->host.release, "nmmu like 6.1"));
		assert_int_equal(!strcmp(model->host.release, "nmmu like 6.12"),
				 !strstr(specs[i], "kernel=6.1"));
		assert_int_equal(model->host.hv, strstr(specs[i], "svm") ? MS_HV_SVM : MS_HV_VMX);
		assert_int_equal(model->vms[0].rec.pid, 0);
		assert_memory_equal(model->vms[0].rec.comm, "sim:", 4);
		for (f = 0; f < model->vms[0].nr_fds; f++)
			assert_memory_equal(model->vms[0].fds[f].comm, "sim:", 4);
		assert_int_equal(model->vms[0].nr_fds, 1 + model->vms[0].nr_vcpus);
		ms_model_destroy(model);
		ms_target_close(target);
	}
}

/* Masks, bits and values of the HOST record are enough to understand every entry. */
static void test_every_entry_is_understood(void **state)
{
	struct ms_target *target;
	struct ms_model *model;
	const struct ms_vm *vm;
	u32 leaves, tables;
	size_t i, s;

	(void)state;
	for (i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		target = target_open(specs[i]);
		model = load(target, MS_WANT_ALL);
		vm = &model->vms[0];
		assert_string_equal(model->roles_note, "");
		assert_null(strstr(model->profile_note, "doubt"));
		assert_null(strstr(model->profile_note, "assumed"));
		assert_true(vm->nr_sps > 20);
		assert_int_equal(vm->nr_sps, vm->rec.n_used_mmu_pages);
		assert_int_equal(vm->walks[0].flags, MS_WALK_LEGACY);
		assert_int_equal(vm->walks[0].nr_pages, vm->nr_sps);
		for (s = 0, leaves = tables = 0; s < vm->nr_sps; s++) {
			assert_int_equal(vm->sps[s].rec.state, MS_SP_CONFIRMED);
			assert_int_equal(vm->sps[s].counts.by_class[SPTE_CLASS_UNKNOWN], 0);
			assert_int_equal(vm->sps[s].counts.by_class[SPTE_CLASS_FROZEN], 0);
			assert_int_equal(vm->sps[s].counts.by_wstate[SPTE_W_ILLEGAL], 0);
			leaves += vm->sps[s].counts.by_class[SPTE_CLASS_LEAF];
			tables += vm->sps[s].counts.by_class[SPTE_CLASS_TABLE];
		}
		assert_int_equal(leaves, vm->rec.pages_4k + vm->rec.pages_2m + vm->rec.pages_1g);
		assert_true(leaves > 200 && tables > 10);
		ms_model_destroy(model);
		ms_target_close(target);
	}
}

#define DIRECT_MAP 0xffff888000000000ull

/* Identities agree with one another: a parent's address leads to the entry that points down. */
static void test_identities_agree(void **state)
{
	struct ms_target *target = target_open("sim");
	struct ms_model *model = load(target, MS_WANT_ALL);
	const struct ms_vm *vm = &model->vms[0];
	const struct ms_sp *sp, *parent;
	u32 followed = 0, in_use = 0;
	size_t i, k;
	u64 word;

	(void)state;
	for (i = 0; i < vm->nr_sps; i++) {
		sp = &vm->sps[i];
		word = sp->rec.parents;
		assert_true(sp->rec.sp >> 47 == 0x1ffff);
		if (!word || word & 1)
			continue;
		parent = ms_vm_sp_by_table(vm, (word - DIRECT_MAP) >> 12);
		assert_non_null(parent);
		assert_ptr_equal(ms_sp_child(model, vm, parent, (u32)(word & 0xfff) / 8), sp);
		followed++;
	}
	assert_true(followed > 10);
	for (i = 0; i < vm->nr_vcpus; i++)
		for (k = 0; k < vm->vcpus[i].nr_mmus; k++)
			in_use += vm->mmus[vm->vcpus[i].first_mmu + k].mmu == vm->vcpus[i].rec.mmu;
	assert_int_equal(in_use, vm->nr_vcpus);
	ms_model_destroy(model);
	ms_target_close(target);
}

static void test_two_l2_at_work(void **state)
{
	struct ms_target *target = target_open("sim");
	struct ms_model *model = load(target, MS_WANT_ALL);
	const struct ms_vm *vm = &model->vms[0];
	struct ms_root *roots;
	u32 nested = 0;
	size_t nr, i;

	(void)state;
	must(ms_vm_roots(model, vm, &roots, &nr));
	for (i = 0; i < nr; i++)
		nested += roots[i].mmu && roots[i].mmu->which == MS_MMU_GUEST && roots[i].prev == -1 &&
			  roots[i].sp;
	assert_int_equal(nested, 2);
	free(roots);
	assert_true(vm->rec.indirect_shadow_pages > 5);
	assert_true(vm->nr_slots >= 3);
	ms_model_destroy(model);
	ms_target_close(target);
}

static u64 digest(const struct ms_model *model)
{
	const struct ms_vm *vm = &model->vms[0];
	u64 sum = vm->rec.n_used_mmu_pages;
	size_t i, k;

	for (i = 0; i < vm->nr_sps; i++) {
		sum = sum * 31 + vm->sps[i].rec.sp + vm->sps[i].rec.role;
		for (k = 0; vm->sps[i].tables && k < MS_SPTES; k++)
			sum = sum * 31 + vm->sps[i].tables->sptes[k];
	}
	return sum;
}

static u64 digest_next(struct ms_target *target, u32 what)
{
	struct ms_model *model = load(target, what);
	u64 sum = digest(model);

	ms_model_destroy(model);
	return sum;
}

static void test_time(void **state)
{
	struct ms_target *a = target_open("sim:7"), *b = target_open("sim:seed=7"), *later;
	u64 first, second;

	(void)state;
	assert_true(a->caps & MS_CAP_LIVE);
	first = digest_next(a, MS_WANT_ALL);
	/* Other kinds of records, not told yet: the same moment. */
	digest_next(a, MS_WANT_VCPUS);
	digest_next(a, MS_WANT_SLOTS);
	second = digest_next(a, MS_WANT_ALL);
	assert_true(first != second);
	assert_true(digest_next(b, MS_WANT_ALL) == first);
	assert_true(digest_next(b, MS_WANT_ALL) == second);
	/* The clock has no part in it: so many steps at once are the same. */
	later = target_open("sim:seed=7,steps=4250");
	assert_true(digest_next(later, MS_WANT_ALL) == second);
	ms_target_close(later);
	later = target_open("sim:8");
	assert_true(digest_next(later, MS_WANT_ALL) != first);
	ms_target_close(later);
	ms_target_close(a);
	ms_target_close(b);
}

static void test_bad_words(void **state)
{
	static const char *const bad[] = { "sim:",
					   "sim:x",
					   "sim:seed=",
					   "sim:seed=-1",
					   "sim:kernel=6",
					   "sim:hv=amd",
					   "sim:bug=none",
					   "sim:seed=1,",
					   "sim:seed=1,,hv=svm",
					   "sim:steps=99999999999",
					   "sim:18446744073709551616" };
	struct ms_target *target;
	struct ms_err *err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = ms_target_open(bad[i], NULL, &target);
		if (!err)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
		assert_non_null(ms_err_hint_text(err));
		ms_err_free(err);
	}
	ms_target_close(target_open("sim:18446744073709551615"));
	ms_target_close(target_open("sim:steps=0,bug=no-flush,stale-qual"));
}

/* --- events --- */

static void test_events(void **state)
{
	struct ms_target *target = target_open("sim");
	struct ms_model *model = load(target, MS_WANT_VCPUS);
	u64 kvm = model->vms[0].rec.kvm, raised;
	struct ms_event_log log;
	struct ms_event_desc desc;
	struct ms_err *err;
	size_t i;

	(void)state;
	must(ms_target_events(target, kvm, 100, &log));
	assert_int_equal(log.nr, 100);
	assert_true(log.nr_raised > 1000);
	assert_true(log.nr_overwritten < log.nr_raised);
	assert_int_equal(log.nr_missing, 0);
	for (i = 0; i < log.nr; i++) {
		assert_true(ms_event_desc(log.events[i].id, &desc));
		if (i)
			assert_int_equal(log.events[i].seq, log.events[i - 1].seq + 1);
	}
	raised = log.nr_raised;
	free(log.events);
	must(ms_target_events(target, kvm, ~(size_t)0, &log));
	assert_int_equal(log.nr_raised, raised);
	assert_int_equal(log.nr + log.nr_overwritten, log.nr_raised);
	free(log.events);
	err = ms_target_events(target, kvm + 1, 1, &log);
	assert_non_null(err);
	ms_err_free(err);
	ms_model_destroy(model);
	ms_target_close(target);
}

static void put(struct ms_sim_ring *ring, u64 seq)
{
	struct ms_event event = { .seq = seq, .id = MS_EV_flush };

	ms_sim_ring_put(ring, &event);
}

static void test_ring_counts_losses(void **state)
{
	struct ms_sim_ring *ring = ms_sim_ring_create(4);
	struct ms_event_log log;
	u64 seq;

	(void)state;
	must(ms_sim_ring_read(ring, 10, &log));
	assert_int_equal(log.nr, 0);
	assert_int_equal(log.nr_raised, 0);
	free(log.events);
	for (seq = 1; seq <= 3; seq++)
		put(ring, seq);
	must(ms_sim_ring_read(ring, 2, &log));
	assert_int_equal(log.nr, 2);
	assert_int_equal(log.events[0].seq, 2);
	assert_int_equal(log.nr_overwritten, 0);
	free(log.events);
	put(ring, 4);
	put(ring, 6); /* 5 and 7 never came */
	put(ring, 8);
	must(ms_sim_ring_read(ring, 10, &log));
	assert_int_equal(log.nr, 4);
	assert_int_equal(log.events[0].seq, 3);
	assert_int_equal(log.events[3].seq, 8);
	assert_int_equal(log.nr_raised, 6);
	assert_int_equal(log.nr_overwritten, 2);
	assert_int_equal(log.nr_missing, 2);
	free(log.events);
	ms_sim_ring_destroy(ring);
}

/* Every event reads back, field by field, what was put there; a name that two share has one unit. */
static void test_event_tables(void **state)
{
	struct ms_event_desc desc, other;
	struct ms_event event;
	u32 id, i, id2, k;
	u64 want;

	(void)state;
	assert_false(ms_event_desc(0, &desc));
	assert_false(ms_event_desc(MS_EV_NR, &desc));
	for (id = 1; ms_event_desc(id, &desc); id++) {
		assert_int_equal(ms_event_find(desc.name, strlen(desc.name)), id);
		for (i = 0; i < desc.nr_fields; i++) {
			memset(&event, 0, sizeof(event));
			event.id = (u16)id;
			memset((char *)&event + desc.fields[i].offset, 0xa5, desc.fields[i].bytes);
			want = 0xa5a5a5a5a5a5a5a5ull >> (64 - 8 * desc.fields[i].bytes);
			for (k = 0; k < desc.nr_fields; k++)
				assert_true(ms_event_value(&event, &desc.fields[k]) == (k == i ? want : 0));
			for (id2 = 1; ms_event_desc(id2, &other); id2++)
				for (k = 0; k < other.nr_fields; k++)
					if (!strcmp(other.fields[k].name, desc.fields[i].name))
						assert_int_equal(other.fields[k].unit, desc.fields[i].unit);
		}
	}
	assert_int_equal(id, MS_EV_NR);
	assert_int_equal(ms_event_find("faul", 4), 0);
	event = (struct ms_event){ .id = MS_EV_flush, .cause = MS_CAUSE_NX, .u.flush = { .deferred = 1 } };
	assert_string_equal(ms_value_name(MS_UNIT_CAUSE, ms_event_value(&event, &ms_event_cause)), "nx huge");
	assert_null(ms_value_name(MS_UNIT_CAUSE, MS_CAUSE_NR));
	assert_string_equal(ms_value_name(MS_UNIT_RET, NMMU_RET_FIXED), "fixed");
	assert_null(ms_value_name(MS_UNIT_RET, MS_RET_NR));
}

/* --- walks --- */

#define L2_HEAP 0x7f5500000000ull

struct found {
	u32 vcpu;
	u64 address, gpa, ngpa;
};

/* An address of the heap that is mapped all the way; several are tried. */
static bool find_mapped(struct ms_target *target, u64 kvm, s32 vcpu, struct ms_trace *trace)
{
	struct ms_trace_req req = { .kvm = kvm, .vcpu_id = vcpu, .user = true };
	u64 page;

	for (page = 0; page < 512; page++) {
		req.address = L2_HEAP + page * 4096 + 0x128;
		must(ms_target_translate(target, &req, trace));
		if (!trace->fault)
			return true;
	}
	return false;
}

static void check_steps(const struct ms_trace *trace)
{
	struct ms_gpte g;
	u64 table[2];
	u32 i;

	/* Dimension 0 has four levels, each below a walk of dimension 1, and so has the page: 4 * 5 + 4. */
	assert_int_equal(trace->nr, 24);
	table[0] = trace->root[0] >> 12;
	for (i = 0; i < trace->nr; i++) {
		const struct ms_trace_step *step = &trace->steps[i];
		u32 level = 4 - (step->dim ? i % 5 : i / 5);

		assert_int_equal(step->dim, i % 5 == 4 ? 0 : 1);
		assert_int_equal(step->level, level);
		if (step->dim && step->level == 4)
			table[1] = trace->root[1] >> 12;
		/* The entry lies where the address says, in the table that the entry before named. */
		assert_true(step->entry_at ==
			    (table[step->dim] << 12) +
				    8ull * ms_gpt_index(step->gpt, step->level, step->input));
		ms_gpte_decode(step->gpt, step->level, step->entry, &g);
		assert_true(g.present);
		assert_int_equal(g.leaf, step->level == 1);
		assert_int_equal(!!(step->flags & MS_TRACE_LEAF), g.leaf);
		table[step->dim] = g.frame;
	}
	assert_true(table[0] == trace->ngpa >> 12);
	assert_true(table[1] == trace->gpa >> 12);
}

static void test_walk_l2(void **state)
{
	static const char *const small[] = { "sim", "sim:hv=svm" };
	struct ms_target *target;
	struct ms_model *model;
	struct ms_trace trace;
	u64 before;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		target = target_open(small[i]);
		before = digest_next(target, MS_WANT_ALL);
		model = load(target, MS_WANT_VCPUS);
		assert_true(find_mapped(target, model->vms[0].rec.kvm, 0, &trace));
		assert_true(trace.guest_mode && trace.nested);
		assert_int_equal(trace.is_ept, i == 0);
		assert_int_equal(trace.ngpa & 0xfff, 0x128);
		assert_int_equal(trace.gpa & 0xfff, 0x128);
		check_steps(&trace);
		ms_model_destroy(model);
		ms_target_close(target);
		/* Walking changes nothing: the next moment is the one of a machine that nobody walked. */
		target = target_open(small[i]);
		assert_true(digest_next(target, MS_WANT_ALL) == before);
		ms_target_close(target);
	}
}

static void test_walk_changes_nothing(void **state)
{
	struct ms_target *a = target_open("sim"), *b = target_open("sim");
	struct ms_model *model = load(a, MS_WANT_VCPUS);
	struct ms_trace_req req = { .kvm = model->vms[0].rec.kvm, .write = true };
	struct ms_trace trace;

	(void)state;
	/* Writes would set D bits in many entries, and A where nobody has been. */
	for (req.vcpu_id = 0; req.vcpu_id < 2; req.vcpu_id++)
		for (req.address = 0xffff888000040000ull; req.address < 0xffff888001000000ull;
		     req.address += 4096)
			must(ms_target_translate(a, &req, &trace));
	assert_true(digest_next(a, MS_WANT_ALL) == digest_next(b, MS_WANT_ALL));
	assert_true(digest_next(a, MS_WANT_ALL) == digest_next(b, MS_WANT_ALL));
	ms_model_destroy(model);
	ms_target_close(a);
	ms_target_close(b);
}

static void test_walk_faults(void **state)
{
	struct ms_target *target = target_open("sim");
	struct ms_model *model = load(target, MS_WANT_VCPUS);
	struct ms_trace_req req = { .kvm = model->vms[0].rec.kvm, .vcpu_id = 0, .address = 0x1000 };
	struct ms_trace trace;
	struct ms_err *err;

	(void)state;
	/* L2 maps nothing there. */
	must(ms_target_translate(target, &req, &trace));
	assert_true(trace.fault);
	assert_int_equal(trace.fault_dim, 0);
	assert_int_equal(trace.error & 1, 0);
	assert_true(trace.steps[trace.nr - 1].flags & MS_TRACE_NOT_PRESENT);
	/* A user may not read the kernel's map; the entries are there. */
	req.address = 0xffff888000040000ull;
	req.user = true;
	must(ms_target_translate(target, &req, &trace));
	assert_true(trace.fault);
	assert_int_equal(trace.error & 5, 5);
	/* L1 alone: one dimension. */
	req.vcpu_id = 2;
	req.user = false;
	must(ms_target_translate(target, &req, &trace));
	assert_false(trace.fault);
	assert_false(trace.nested);
	assert_true(trace.gpa == 0x40000);
	req.vcpu_id = 9;
	err = ms_target_translate(target, &req, &trace);
	assert_non_null(err);
	assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
	ms_err_free(err);
	ms_model_destroy(model);
	ms_target_close(target);
}

/* Entries by format, from SEMANTICS B.1 and B.2. */
static void test_guest_entries(void **state)
{
	struct ms_gpte g;

	(void)state;
	ms_gpte_decode(MS_GPT_EPT, 1, 0x0000000012345337ull, &g); /* WB, A, D */
	assert_true(g.present && g.leaf && g.accessed && g.dirty);
	assert_int_equal(g.access, 7);
	assert_int_equal(g.memtype, 6);
	assert_int_equal(g.frame, 0x12345);
	ms_gpte_decode(MS_GPT_EPT, 2, 0x00000000002000b4ull, &g); /* 2M, execute-only */
	assert_true(g.leaf && g.access == MS_GPTE_X && !g.accessed && g.bytes == 2u << 20);
	ms_gpte_decode(MS_GPT_EPT, 4, 0x87, &g); /* bit 7 is reserved there, no page */
	assert_true(g.present && !g.leaf);
	ms_gpte_decode(MS_GPT_EPT, 1, 0x1000, &g);
	assert_false(g.present);
	ms_gpte_decode(MS_GPT_64, 3, 0x80000000400000e3ull, &g); /* 1G, NX */
	assert_true(g.leaf && g.bytes == 1u << 30 && g.access == MS_GPTE_W && g.accessed && g.dirty);
	assert_int_equal(g.frame, 0x40000);
	ms_gpte_decode(MS_GPT_PAE, 3, 0x12001, &g); /* a PDPTE: P alone */
	assert_true(g.present && !g.leaf && g.access == 7 && !g.has_ad && g.frame == 0x12);
	ms_gpte_decode(MS_GPT_32, 2, 0x00c06087, &g); /* 4M, PSE-36: 16:13 = 3 */
	assert_true(g.leaf && g.bytes == 4u << 20 && g.frame == (0xc00 | 3u << 20));
	ms_gpte_decode(MS_GPT_32, 1, 0x80001003, &g); /* bit 31 is an address bit, there is no NX */
	assert_true(g.access == (MS_GPTE_W | MS_GPTE_X) && g.frame == 0x80001);
	assert_int_equal(ms_gpt_index(MS_GPT_32, 2, 0xffc00000), 1023);
	assert_int_equal(ms_gpt_index(MS_GPT_PAE, 3, 0xffffffff), 3);
	assert_int_equal(ms_gpt_index(MS_GPT_LA57, 5, 0x180ull << 48), 0x180);
}

static void test_completion(void **state)
{
	const char *found[8];
	size_t start;

	(void)state;
	assert_int_equal(ms_query_complete("events --event fau", found, 8, &start), 2);
	assert_string_equal(found[0], "fault");
	assert_string_equal(found[1], "fault_done");
	assert_int_equal(ms_query_complete("-T si", found, 8, &start), 1);
	assert_string_equal(found[0], "sim");
	assert_int_equal(ms_query_complete("walk --vc", found, 8, &start), 1);
	assert_string_equal(found[0], "--vcpu");
}

static void test_others_say_no(void **state)
{
	static const struct ms_target_ops ops = { .name = "other" };
	struct ms_target other = { .ops = &ops, .spec = "other" };
	struct ms_trace_req req = { 0 };
	struct ms_event_log log;
	struct ms_trace trace;
	struct ms_err *err;

	(void)state;
	err = ms_target_events(&other, 1, 1, &log);
	assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
	assert_non_null(strstr(ms_err_hint_text(err), "-T sim"));
	ms_err_free(err);
	err = ms_target_translate(&other, &req, &trace);
	assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
	ms_err_free(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says_that_it_is_simulated),
		cmocka_unit_test(test_every_entry_is_understood),
		cmocka_unit_test(test_identities_agree),
		cmocka_unit_test(test_two_l2_at_work),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_ring_counts_losses),
		cmocka_unit_test(test_event_tables),
		cmocka_unit_test(test_walk_l2),
		cmocka_unit_test(test_walk_changes_nothing),
		cmocka_unit_test(test_walk_faults),
		cmocka_unit_test(test_guest_entries),
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_others_say_no),
	};

	return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
