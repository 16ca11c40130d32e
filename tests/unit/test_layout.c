/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/layout: members through anonymous unions, bit fields, arrays, split BTF; a member that is not there is
 * absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "layout/layout.h"

static char base_path[64], split_path[64];

static void save(const struct btf *btf, char *path)
{
	__u32 size;
	const void *data = btf__raw_data(btf, &size);
	int fd;

	strcpy(path, "/tmp/test_layout.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0 && data);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

struct types {
	struct btf *btf;
	int u8, u32, u64, ptr, list_head, role;
};

static void basics(struct types *t)
{
	t->u8 = btf__add_int(t->btf, "unsigned char", 1, 0);
	t->u32 = btf__add_int(t->btf, "unsigned int", 4, 0);
	t->u64 = btf__add_int(t->btf, "unsigned long", 8, 0);
	t->ptr = btf__add_ptr(t->btf, 0);
	t->list_head = btf__add_struct(t->btf, "list_head", 16);
	btf__add_field(t->btf, "next", t->ptr, 0, 0);
	btf__add_field(t->btf, "prev", t->ptr, 64, 0);
	btf__add_struct(t->btf, "page", 64);
	btf__add_field(t->btf, "flags", t->u64, 0, 0);
	btf__add_field(t->btf, "private", t->u64, 40 * 8, 0);
	/* A namesake in the kernel: the module's own type must win. */
	btf__add_struct(t->btf, "kvm_mmu_page", 8);
	btf__add_field(t->btf, "gfn", t->u64, 0, 0);
}

static void role(struct types *t, bool newer)
{
	int bits = btf__add_struct(t->btf, NULL, 4);

	btf__add_field(t->btf, "level", t->u32, 0, 4);
	btf__add_field(t->btf, "access", t->u32, newer ? 9 : 8, 3);
	if (newer)
		btf__add_field(t->btf, "is_mirror", t->u32, 19, 1);
	btf__add_field(t->btf, NULL, t->u32, 20, 4);
	btf__add_field(t->btf, "smm", t->u32, 24, 8);
	t->role = btf__add_union(t->btf, "kvm_mmu_page_role", 4);
	btf__add_field(t->btf, "word", t->u32, 0, 0);
	btf__add_field(t->btf, NULL, bits, 0, 0);
	bits = btf__add_struct(t->btf, NULL, 4);
	btf__add_field(t->btf, "valid", t->u32, 0, 1);
	btf__add_field(t->btf, "execonly", t->u32, 1, 1);
	btf__add_union(t->btf, "kvm_mmu_extended_role", 4);
	btf__add_field(t->btf, "word", t->u32, 0, 0);
	btf__add_field(t->btf, NULL, bits, 0, 0);
}

static void kvm_types(struct types *t, bool newer)
{
	int un, arr, stat, arch, info, gfn_t;

	role(t, newer);
	gfn_t = btf__add_typedef(t->btf, "gfn_t", t->u64);
	un = btf__add_union(t->btf, NULL, 8);
	btf__add_field(t->btf, "parent_ptes", t->u64, 0, 0);
	btf__add_field(t->btf, "ptep", t->ptr, 0, 0);
	btf__add_struct(t->btf, "kvm_mmu_page", 184);
	btf__add_field(t->btf, "link", t->list_head, 0, 0);
	btf__add_field(t->btf, "gfn", gfn_t, 40 * 8, 0);
	btf__add_field(t->btf, "role", t->role, 36 * 8, 0);
	btf__add_field(t->btf, NULL, un, 72 * 8, 0);
	btf__add_field(t->btf, newer ? "nx_huge_page_disallowed" : "lpage_disallowed", t->u8, 35 * 8, 0);
	btf__add_field(t->btf, newer ? "possible_nx_huge_page_link" : "lpage_disallowed_link", t->list_head,
		       16 * 8, 0);
	un = btf__add_union(t->btf, NULL, 16); /* struct { u64 pages_4k; u64 pages_2m } behind a union */
	info = btf__add_struct(t->btf, NULL, 16);
	btf__add_field(t->btf, "pages_4k", t->u64, 0, 0);
	btf__add_field(t->btf, "pages_2m", t->u64, 64, 0);
	stat = btf__add_struct(t->btf, "kvm_vm_stat", 32);
	btf__add_field(t->btf, "other", t->u64, 0, 0);
	btf__add_field(t->btf, NULL, info, 64, 0);
	arch = btf__add_struct(t->btf, "kvm_arch", 64);
	btf__add_field(t->btf, "n_used_mmu_pages", t->u64, 8 * 8, 0);
	if (newer)
		btf__add_field(t->btf, "shadow_mmio_value", t->u64, 16 * 8, 0);
	arr = btf__add_array(t->btf, t->u64, t->ptr, 2);
	btf__add_struct(t->btf, "kvm", 256);
	btf__add_field(t->btf, "memslots", arr, 16 * 8, 0);
	btf__add_field(t->btf, "stat", stat, 64 * 8, 0);
	btf__add_field(t->btf, "arch", arch, 128 * 8, 0);
	btf__add_struct(t->btf, "kvm_vcpu", 8);
	btf__add_field(t->btf, "cpu", t->u32, 3, 5); /* as a bit field */
	btf__add_struct(t->btf, "kvm_mmu", 8);
	btf__add_struct(t->btf, "kvm_memory_slot", 8);
	(void)un;
}

static struct ms_layout layout;

static void test_split(void **state)
{
	struct types t = { .btf = btf__new_empty() };
	struct btf *base = t.btf;
	const struct ms_field *f = layout.f;
	int newer;

	basics(&t);
	for (newer = 0; newer < 2; newer++) {
		t.btf = btf__new_empty_split(base);
		kvm_types(&t, newer);
		save(base, base_path);
		save(t.btf, split_path);
		assert_null(ms_layout_from_btf(base_path, split_path, NULL, &layout));
		assert_int_equal(layout.type_size[MS_T_kvm_mmu_page], 184);
		assert_int_equal(layout.type_size[MS_T_page], 64);
		assert_true(f[MS_F_sp_gfn].present);
		assert_int_equal(f[MS_F_sp_gfn].off, 40);
		assert_int_equal(f[MS_F_sp_gfn].size, 8);
		assert_int_equal(f[MS_F_sp_ptep].off, 72);
		assert_int_equal(f[MS_F_sp_link].kind, MS_FK_STRUCT);
		assert_int_equal(f[MS_F_sp_link].size, 16);
		assert_int_equal(f[MS_F_sp_role].size, 4);
		assert_int_equal(f[MS_F_page_private].off, 40);
		assert_int_equal(f[MS_F_kvm_pages_2m].off, 64 + 8 + 8);
		assert_int_equal(f[MS_F_kvm_n_used_mmu_pages].off, 128 + 8);
		assert_int_equal(f[MS_F_kvm_memslots].kind, MS_FK_ARRAY);
		assert_int_equal(f[MS_F_kvm_memslots].nr_elems, 2);
		assert_int_equal(f[MS_F_kvm_memslots].elem_size, 8);
		assert_int_equal(f[MS_F_vcpu_cpu].bit_off, 3);
		assert_int_equal(f[MS_F_vcpu_cpu].bit_size, 5);
		/* What one has and the other has not. */
		assert_int_equal(f[MS_F_sp_nx_huge_page_disallowed].present, newer);
		assert_int_equal(f[MS_F_sp_lpage_disallowed].present, !newer);
		assert_int_equal(f[MS_F_sp_possible_nx_huge_page_link].present, newer);
		assert_int_equal(f[MS_F_sp_lpage_disallowed_link].present, !newer);
		assert_int_equal(f[MS_F_kvm_shadow_mmio_value].present, newer);
		assert_false(f[MS_F_kvm_tdp_mmu_roots].present);
		assert_false(f[MS_F_xarray_head].present);
		/* Roles by the bits found, not by a list. */
		assert_int_equal(layout.nr_role, 3 + newer + 2);
		assert_string_equal(layout.role[0].name, "level");
		assert_int_equal(layout.role[1].bit, newer ? 9 : 8);
		assert_int_equal(layout.role[2 + newer].bit, 24);
		assert_int_equal(layout.role[2 + newer].width, 8);
		assert_string_equal(layout.role[3 + newer].name, "valid");
		assert_int_equal(layout.role[4 + newer].bit, 33);
		unlink(base_path);
		unlink(split_path);
		btf__free(t.btf);
	}
	btf__free(base);
}

/* A type that is the vendor module's alone; what kvm has too is kvm's. */
static void test_vendor(void **state)
{
	struct types t = { .btf = btf__new_empty() };
	struct btf *base = t.btf, *kvm;
	char vendor_path[64];
	const struct ms_field *f = layout.f;
	int loaded, nested, shadow;

	basics(&t);
	save(base, base_path);
	kvm = t.btf = btf__new_empty_split(base);
	kvm_types(&t, 1);
	save(kvm, split_path);
	t.btf = btf__new_empty_split(base);
	btf__add_struct(t.btf, "kvm_vcpu", 64);
	btf__add_field(t.btf, "cpu", t.u32, 32 * 8, 0);
	btf__add_field(t.btf, "vcpu_id", t.u32, 36 * 8, 0);
	shadow = btf__add_struct(t.btf, "vmcs_controls_shadow", 32);
	btf__add_field(t.btf, "secondary_exec", t.u32, 16 * 8, 0);
	loaded = btf__add_struct(t.btf, "loaded_vmcs", 64);
	btf__add_field(t.btf, "vmcs", t.ptr, 0, 0);
	btf__add_field(t.btf, "controls_shadow", shadow, 32 * 8, 0);
	nested = btf__add_struct(t.btf, "nested_vmx", 128);
	btf__add_field(t.btf, "vmcs02_initialized", t.u8, 8, 0);
	btf__add_field(t.btf, "vmcs02", loaded, 64 * 8, 0);
	btf__add_struct(t.btf, "vcpu_vmx", 512);
	btf__add_field(t.btf, "nested", nested, 256 * 8, 0);
	save(t.btf, vendor_path);

	assert_null(ms_layout_from_btf(base_path, split_path, NULL, &layout));
	assert_false(f[MS_F_vmx_vmcs02].present);
	assert_null(ms_layout_from_btf(base_path, split_path, vendor_path, &layout));
	assert_true(f[MS_F_vmx_vmcs02].present);
	assert_int_equal(f[MS_F_vmx_vmcs02].off, 256 + 64);
	assert_int_equal(f[MS_F_vmx_vmcs02_initialized].off, 256 + 1);
	assert_int_equal(f[MS_F_vmx_vmcs02_secondary_exec].off, 256 + 64 + 32 + 16);
	assert_int_equal(f[MS_F_vmx_vmcs02_secondary_exec].size, 4);
	assert_false(f[MS_F_vmx_vcpu].present);
	assert_int_equal(f[MS_F_vcpu_cpu].bit_off, 3);
	assert_false(f[MS_F_vcpu_id].present);
	/* Without it the rest is there. */
	assert_null(ms_layout_from_btf(base_path, split_path, "/nonexistent/kvm_intel", &layout));
	assert_false(f[MS_F_vmx_vmcs02].present);
	assert_true(f[MS_F_sp_gfn].present);
	unlink(base_path);
	unlink(split_path);
	unlink(vendor_path);
	btf__free(t.btf);
	btf__free(kvm);
	btf__free(base);
}

static void test_refusals(void **state)
{
	struct types t = { .btf = btf__new_empty() };
	struct ms_err *err;

	basics(&t);
	save(t.btf, base_path);
	err = ms_layout_from_btf(base_path, NULL, NULL, &layout);
	assert_non_null(err);
	assert_non_null(strstr(ms_err_text(err), "struct kvm"));
	ms_err_free(err);
	err = ms_layout_from_btf(base_path, "/nonexistent/kvm", NULL, &layout);
	assert_non_null(strstr(ms_err_text(err), "/nonexistent/kvm"));
	ms_err_free(err);
	err = ms_layout_from_btf("/nonexistent/vmlinux", NULL, NULL, &layout);
	assert_non_null(strstr(ms_err_text(err), "No such file"));
	ms_err_free(err);
	assert_int_equal(truncate(base_path, 40), 0);
	err = ms_layout_from_btf(base_path, NULL, NULL, &layout);
	assert_non_null(err);
	ms_err_free(err);
	unlink(base_path);
	btf__free(t.btf);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_vendor),
		cmocka_unit_test(test_refusals),
	};

	libbpf_set_print(quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
