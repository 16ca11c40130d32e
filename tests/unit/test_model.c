/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/model: from records to answers, and what hostile records come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "small.h"
#include "model/model.h"

static struct ms_model *load(struct small *fake)
{
	struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_model *model = NULL;

	assert_null(ms_model_load(&fake->target, &want, &model));
	return model;
}

static struct ms_vm *vm_named(const struct ms_model *model, const char *words)
{
	struct ms_vm *vm = NULL;

	assert_null(ms_model_find_vm(model, words, &vm));
	return vm;
}

static void refused(struct small *fake)
{
	struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_model *model = NULL;
	struct ms_err *err = ms_model_load(&fake->target, &want, &model);

	assert_non_null(err);
	assert_int_equal(ms_err_kind(err), MS_ERR_TARGET);
	ms_err_free(err);
	small_end(fake);
}

static void test_decoded(void **state)
{
	struct ms_model *model;
	struct ms_sp *sp;
	struct ms_vm *vm;
	struct small fake;

	small_machine(&fake);
	model = load(&fake);
	assert_string_equal(model->profile.name, "npt-6.1");
	assert_string_equal(model->roles_note, "");
	assert_int_equal(model->nr_vms, 2);
	vm = vm_named(model, SMALL_NAME);
	assert_int_equal(vm->nr_sps, 9);
	sp = ms_vm_sp(vm, SMALL_SP(4));
	assert_int_equal(sp->level, 1);
	assert_int_equal(sp->counts.by_class[SPTE_CLASS_LEAF], 5);
	assert_int_equal(sp->counts.by_class[SPTE_CLASS_MMIO], 1);
	assert_int_equal(sp->counts.by_class[SPTE_CLASS_FROZEN], 1);
	assert_int_equal(sp->counts.by_class[SPTE_CLASS_UNKNOWN], 1);
	assert_int_equal(sp->counts.by_class[SPTE_CLASS_NONPRESENT], 504);
	assert_int_equal(sp->counts.by_wstate[SPTE_W_RW], 2);
	assert_int_equal(sp->counts.by_wstate[SPTE_W_DL], 1);
	assert_int_equal(sp->counts.by_wstate[SPTE_W_WP], 1);
	assert_int_equal(sp->counts.by_wstate[SPTE_W_RO], 1);
	assert_int_equal(ms_vm_sp(vm, SMALL_SP(3))->counts.huge, 1);
	assert_ptr_equal(ms_vm_sp_by_table(vm, SMALL_SPT_PFN(4)), sp);
	assert_ptr_equal(ms_sp_child(model, vm, ms_vm_sp(vm, SMALL_SP(3)), 0), sp);
	assert_null(ms_sp_child(model, vm, ms_vm_sp(vm, SMALL_SP(3)), 2));
	assert_null(ms_vm_sp(vm, SMALL_SP(1) + 8));
	assert_int_equal(vm->vcpus[0].fd, 12);
	assert_int_equal(vm->vcpus[0].nr_mmus, 3);
	ms_model_destroy(model);
	small_end(&fake);
}

static void test_gfns_and_slots(void **state)
{
	struct ms_model *model;
	struct ms_vm *vm;
	struct small fake;
	u64 gfn = 0;

	small_machine(&fake);
	model = load(&fake);
	vm = vm_named(model, "4242");
	assert_int_equal(ms_sp_entry_gfn(model, ms_vm_sp(vm, SMALL_SP(4)), 511, &gfn), MS_GFN_DIRECT);
	assert_int_equal(gfn, 511);
	assert_int_equal(ms_sp_entry_gfn(model, ms_vm_sp(vm, SMALL_SP(3)), 2, &gfn), MS_GFN_DIRECT);
	assert_int_equal(gfn, 0x400);
	assert_int_equal(ms_sp_entry_gfn(model, ms_vm_sp(vm, SMALL_SP(8)), 17, &gfn), MS_GFN_STORED);
	assert_int_equal(gfn, 0x20);
	assert_int_equal(ms_sp_entry_gfn(model, ms_vm_sp(vm, SMALL_SP(4)), 4, &gfn), MS_GFN_IN_SPTE);
	assert_int_equal(gfn, 4);
	assert_int_equal(ms_sp_entry_gfn(model, ms_vm_sp(vm, SMALL_SP(4)), 100, &gfn), MS_GFN_NONE);
	assert_int_equal(ms_vm_slot(vm, 0, 0x7ff)->id, 0);
	assert_null(ms_vm_slot(vm, 0, 0x800));
	assert_int_equal(ms_vm_slot(vm, 0, 0x1000)->id, 1);
	assert_null(ms_vm_slot(vm, 0, 0x1010));
	assert_null(ms_vm_slot(vm, 1, 0));
	assert_int_equal(ms_level_pages(3), 512 * 512);
	assert_int_equal(ms_level_pages(0), 0);
	ms_model_destroy(model);
	small_end(&fake);
}

struct seen {
	u64 addresses[16];
	u32 states[16];
	size_t nr;
};

static bool see(void *ctx, const struct ms_visit *v)
{
	struct seen *seen = ctx;

	assert_true(seen->nr < 16);
	seen->states[seen->nr] = v->state;
	seen->addresses[seen->nr++] = v->address;
	return true;
}

static void test_roots_and_visit(void **state)
{
	u32 leaves = 1u << SPTE_CLASS_LEAF;
	struct ms_root *roots = NULL;
	struct seen seen = { 0 };
	struct ms_model *model;
	struct ms_vm *vm;
	struct small fake;
	size_t nr = 0;

	small_machine(&fake);
	model = load(&fake);
	vm = vm_named(model, "kvm:0xffff888100000000");
	assert_null(ms_vm_roots(model, vm, &roots, &nr));
	assert_int_equal(nr, 2);
	assert_int_equal(roots[0].sp->rec.sp, SMALL_SP(1));
	assert_int_equal(roots[1].sp->rec.sp, SMALL_SP(5));
	assert_string_equal(ms_root_address_kind(model, roots[0].sp), "GPA");
	assert_string_equal(ms_root_address_kind(model, roots[1].sp), "nGPA");
	assert_true(ms_sp_visit(model, vm, roots[0].sp, leaves, see, &seen));
	assert_int_equal(seen.nr, 6);
	assert_int_equal(seen.addresses[3], 0x3000);
	assert_int_equal(seen.addresses[4], 0x1ff000);
	assert_int_equal(seen.addresses[5], 0x400000);
	seen.nr = 0;
	assert_true(ms_sp_visit(model, vm, roots[1].sp, leaves, see, &seen));
	assert_int_equal(seen.nr, 2);
	assert_int_equal(seen.addresses[0], 3 * 0x200000 + 16 * 0x1000);
	/* What lies below a page that may be torn has an address that may be wrong. */
	assert_int_equal(seen.states[0], MS_SP_CONFIRMED);
	ms_vm_sp(vm, roots[0].sp->rec.sp)->rec.state = MS_SP_TORN;
	ms_sp_child(model, vm, roots[0].sp, 0)->rec.state = MS_SP_UNLINKED;
	seen.nr = 0;
	assert_true(ms_sp_visit(model, vm, roots[0].sp, leaves, see, &seen));
	assert_int_equal(seen.states[0], MS_SP_UNLINKED);
	ms_sp_child(model, vm, roots[0].sp, 0)->rec.state = MS_SP_CONFIRMED;
	seen.nr = 0;
	assert_true(ms_sp_visit(model, vm, roots[0].sp, leaves, see, &seen));
	assert_int_equal(seen.states[0], MS_SP_TORN);
	assert_int_equal(seen.states[5], MS_SP_TORN);
	free(roots);
	ms_model_destroy(model);
	small_end(&fake);
}

/*
 * The MMU is read before the pages: by then its root may be gone and the memory another page's table, which
 * must not be taken for a root, or its entries get addresses that nobody mapped.
 */
static void test_root_gone(void **state)
{
	struct ms_root *roots = NULL;
	struct ms_rec_mmu *mmu;
	struct ms_model *model;
	struct ms_vm *vm;
	struct small fake;
	size_t nr = 0;

	small_machine(&fake);
	mmu = small_find(&fake, MS_REC_MMU, 1)->rec;
	assert_int_equal(mmu->which, MS_MMU_GUEST);
	mmu->root.hpa = SMALL_SPT_PFN(8) << 12;
	model = load(&fake);
	vm = vm_named(model, "kvm:0xffff888100000000");
	assert_null(ms_vm_roots(model, vm, &roots, &nr));
	assert_int_equal(nr, 3);
	assert_int_equal(roots[1].hpa, SMALL_SPT_PFN(8) << 12);
	assert_null(roots[1].sp);
	/* The page that is still counted as a root is one that no MMU names. */
	assert_int_equal(roots[2].sp->rec.sp, SMALL_SP(5));
	assert_null(roots[2].mmu);
	free(roots);
	ms_model_destroy(model);
	small_end(&fake);
}

static void vm_error(const struct ms_model *model, const char *words, const char *part)
{
	struct ms_vm *vm = NULL;
	struct ms_err *err = ms_model_find_vm(model, words, &vm);

	assert_non_null(err);
	assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
	assert_non_null(ms_err_hint_text(err));
	assert_non_null(strstr(ms_err_hint_text(err), part));
	assert_null(strchr(ms_err_hint_text(err), '\033'));
	assert_null(vm);
	ms_err_free(err);
}

static void test_find_vm(void **state)
{
	struct ms_model *model;
	struct small fake;

	small_machine(&fake);
	model = load(&fake);
	assert_int_equal(vm_named(model, "4343")->rec.kvm, SMALL_KVM2);
	assert_int_equal(vm_named(model, SMALL_NAME2)->rec.kvm, SMALL_KVM2);
	vm_error(model, NULL, "4242 qemu-nested kvm:0xffff888100000000");
	vm_error(model, "qemu", "kvm:0xffff888200000000");
	vm_error(model, "4242x", "4242");
	vm_error(model, "kvm:ffff888100000000", "kvm:0x");
	vm_error(model, "kvm:0xffff888100000001", "4242");
	ms_model_destroy(model);
	small_end(&fake);
}

static void test_pid_of_two(void **state)
{
	struct ms_model *model;
	struct small fake;

	small_machine(&fake);
	((struct ms_rec_vm *)small_find(&fake, MS_REC_VM, 1)->rec)->pid = SMALL_PID;
	model = load(&fake);
	vm_error(model, "4242", "kvm:0xffff888200000000");
	ms_model_destroy(model);
	small_end(&fake);
}

static void test_refusals(void **state)
{
	struct ms_rec_host host;
	struct small fake;

	small_init(&fake);
	refused(&fake); /* no host */
	small_machine(&fake);
	small_host(&host);
	small_add(&fake, MS_REC_HOST, &host, NULL);
	refused(&fake);
	small_machine(&fake);
	small_add(&fake, MS_REC_VM, small_find(&fake, MS_REC_VM, 0)->rec, NULL);
	refused(&fake);
	small_machine(&fake);
	((struct ms_rec_sp *)small_find(&fake, MS_REC_SP, 0)->rec)->kvm = 0xdead000;
	refused(&fake);
	small_machine(&fake);
	((struct ms_rec_sp *)small_find(&fake, MS_REC_SP, 0)->rec)->sp = 0;
	refused(&fake);
	small_machine(&fake);
	((struct ms_rec_mmu *)small_find(&fake, MS_REC_MMU, 0)->rec)->vcpu = 1;
	refused(&fake);
	small_machine(&fake);
	small_add(&fake, MS_REC_VCPU, small_find(&fake, MS_REC_VCPU, 0)->rec, NULL);
	refused(&fake);
	small_machine(&fake);
	((struct ms_rec_walk *)small_find(&fake, MS_REC_WALK, 0)->rec)->flags = 0;
	refused(&fake);
}

/* The better of two records of one page stays, whatever their order; an unknown state is the worst. */
static void test_duplicate_pages(void **state)
{
	struct ms_sp_tables tables = { { small_table(1) } };
	struct ms_model *model;
	struct ms_rec_sp sp;
	struct ms_vm *vm;
	struct small fake;

	small_machine(&fake);
	small_sp(&sp, 9, 0x21701, 0x999);
	small_add(&fake, MS_REC_SP, &sp, &tables);
	small_sp(&sp, 8, 0x21701, 0x888);
	sp.state = 77;
	small_add(&fake, MS_REC_SP, &sp, &tables);
	small_sp(&sp, 10, 0x21701, 0x888);
	sp.state = 77;
	small_add(&fake, MS_REC_SP, &sp, NULL);
	model = load(&fake);
	vm = vm_named(model, SMALL_NAME);
	assert_int_equal(vm->nr_sps, 10);
	assert_int_equal(ms_vm_sp(vm, SMALL_SP(9))->rec.gfn, 0x999);
	assert_int_equal(ms_vm_sp(vm, SMALL_SP(9))->rec.state, MS_SP_CONFIRMED);
	assert_int_equal(ms_vm_sp(vm, SMALL_SP(8))->rec.gfn, 0x208);
	assert_int_equal(ms_vm_sp(vm, SMALL_SP(10))->rec.state, MS_SP_UNREADABLE);
	assert_null(ms_vm_sp(vm, SMALL_SP(10))->tables);
	assert_false(ms_vm_sp(vm, SMALL_SP(10))->rec.have & MS_SP_HAVE_SPTES);
	ms_model_destroy(model);
	small_end(&fake);
}

static bool count(void *ctx, const struct ms_visit *v)
{
	++*(u64 *)ctx;
	return true;
}

/* A table that names its ancestor is not entered; five pages that name each other everywhere end, too. */
static void test_cycles(void **state)
{
	struct ms_sp_tables *tables;
	struct ms_model *model;
	struct ms_root *roots;
	struct ms_vm *vm;
	struct small fake;
	unsigned int n, i;
	u64 nr = 0;
	size_t nr_roots;

	small_machine(&fake);
	for (n = 0; n < 4; n++) {
		tables = small_find(&fake, MS_REC_SP, n)->tables;
		for (i = 0; i < MS_SPTES; i++)
			tables->sptes[i] = n < 3 ? small_table(SMALL_SPT_PFN(n + 2))
						 : small_leaf(SMALL_PFN(i), 1, 1, 1, 1);
	}
	small_find(&fake, MS_REC_SP, 2)->tables->sptes[0] = small_table(SMALL_SPT_PFN(1));
	model = load(&fake);
	vm = vm_named(model, SMALL_NAME);
	assert_null(ms_vm_roots(model, vm, &roots, &nr_roots));
	assert_false(ms_sp_visit(model, vm, roots[0].sp, 1u << SPTE_CLASS_LEAF, count, &nr));
	assert_true(nr > 1000000);
	assert_true(nr < (1ull << 24));
	free(roots);
	ms_model_destroy(model);
	small_end(&fake);
}

/* Of entries that name the page itself, a page of the same level, or one two levels down, none is entered. */
static void test_wrong_levels(void **state)
{
	struct ms_sp_tables *tables;
	struct ms_model *model;
	struct ms_vm *vm;
	struct small fake;
	u64 nr = 0;

	small_machine(&fake);
	tables = small_find(&fake, MS_REC_SP, 2)->tables;
	tables->sptes[10] = small_table(SMALL_SPT_PFN(3));
	tables->sptes[11] = small_table(SMALL_SPT_PFN(7));
	small_find(&fake, MS_REC_SP, 1)->tables->sptes[9] = small_table(SMALL_SPT_PFN(4));
	model = load(&fake);
	vm = vm_named(model, SMALL_NAME);
	assert_true(ms_sp_visit(model, vm, ms_vm_sp(vm, SMALL_SP(1)), 1u << SPTE_CLASS_LEAF, count, &nr));
	assert_int_equal(nr, 6);
	ms_model_destroy(model);
	small_end(&fake);
}

static void test_bad_roles(void **state)
{
	struct ms_rec_host *host;
	struct ms_model *model;
	struct small fake;

	small_machine(&fake);
	host = small_find(&fake, MS_REC_HOST, 0)->rec;
	host->role_fields[1].bit = host->role_fields[0].bit;
	host->nr_role_fields = 4000000;
	model = load(&fake);
	assert_non_null(strstr(model->roles_note, "left out"));
	ms_model_destroy(model);
	host->have &= ~MS_HOST_HAVE_ROLE_FIELDS;
	model = load(&fake);
	assert_non_null(strstr(model->roles_note, "assumed"));
	assert_int_equal(ms_vm_sp(vm_named(model, SMALL_NAME), SMALL_SP(1))->level, 4);
	ms_model_destroy(model);
	small_end(&fake);
}

static void test_profile_in_doubt(void **state)
{
	struct ms_rec_host *host;
	struct ms_model *model;
	struct small fake;
	unsigned int i;

	small_machine(&fake);
	host = small_find(&fake, MS_REC_HOST, 0)->rec;
	for (i = 0; i < MS_SM_NR; i++)
		host->masks[i] = ~0ull;
	model = load(&fake);
	assert_non_null(strstr(model->profile_note, "doubt"));
	ms_model_destroy(model);
	small_end(&fake);
}

/* More tables than there may be memory for: one line, not the end of the process. */
static void test_memory_limit(void **state)
{
	struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_model *model = NULL;
	struct small fake;
	struct ms_err *err;

	small_init(&fake);
	small_machine(&fake);
	want.max_table_bytes = 3 * 4096;
	err = ms_model_load(&fake.target, &want, &model);
	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), "memory"));
	assert_non_null(strstr(ms_err_hint_text(err), "--vm"));
	ms_err_free(err);
	want.max_table_bytes = 1 << 20;
	assert_null(ms_model_load(&fake.target, &want, &model));
	ms_model_destroy(model);
	small_end(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decoded),		cmocka_unit_test(test_gfns_and_slots),
		cmocka_unit_test(test_roots_and_visit), cmocka_unit_test(test_root_gone),
		cmocka_unit_test(test_find_vm),		cmocka_unit_test(test_pid_of_two),
		cmocka_unit_test(test_refusals),	cmocka_unit_test(test_duplicate_pages),
		cmocka_unit_test(test_cycles),		cmocka_unit_test(test_wrong_levels),
		cmocka_unit_test(test_bad_roles),	cmocka_unit_test(test_profile_in_doubt),
		cmocka_unit_test(test_memory_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
