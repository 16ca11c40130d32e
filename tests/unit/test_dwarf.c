/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/layout from DWARF: small units that gcc makes here, as DWARF 4 and 5, against BTF of the same lines, which
 * clang makes; files that are damaged, and files that were made to do harm.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

#include "layout/private.h"
#include "shelldir.h"

/* Paths of files in shelldir, valid until the next four calls. */
static const char *in_dir(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned int at;

	at = (at + 1) % 4;
	snprintf(path[at], PATH_MAX, "%s/%s", shelldir, name);
	return path[at];
}

/* What the kernel has, as small as it gets; the first file knows of some types by name only. */
static const char head[] = "typedef unsigned char u8; typedef unsigned int u32; typedef unsigned long u64;\n"
			   "typedef u64 gfn_t; typedef const volatile gfn_t odd_t;\n"
			   "enum mode { A, B, C = 70000 };\n"
			   "struct list_head { struct list_head *next, *prev; };\n";
static const char first[] = "struct kvm_mmu_page; struct kvm_mmu; struct kvm_memory_slot; struct page;\n"
			    "struct kvm_vcpu {\n"
			    "	struct kvm *kvm; u32 before:3; u32 cpu:5; int mode:23; enum mode vcpu_id;\n"
			    "	struct { u64 guest_mode; } stat;\n"
			    "	struct { struct kvm_mmu *mmu; u64 hflags; u8 flags[3]; u64 cr0; } arch;\n"
			    "};\n"
			    "struct kvm_vcpu a_vcpu; struct kvm_mmu_page *a_page; struct page *b_page;\n";
static const char second[] =
	"union kvm_mmu_page_role {\n"
	"	u32 word;\n"
	"	struct { unsigned level:4; unsigned has_4_byte_gpte:1; unsigned quadrant:2; unsigned direct:1; unsigned access:3;\n"
	"		unsigned :13; unsigned smm:8; };\n"
	"};\n"
	"union kvm_mmu_extended_role { u32 word; struct { unsigned int valid:1; unsigned int execonly:1; }; };\n"
	"union kvm_cpu_role { u64 as_u64; struct { union kvm_mmu_page_role base; union kvm_mmu_extended_role ext; }; };\n"
	"struct page { u64 flags; union { struct { struct list_head lru; void *mapping; u64 index; u64 private; };\n"
	"	struct { u64 other[5]; }; }; };\n"
	"struct kvm_mmu_root_info { gfn_t pgd; u64 hpa; };\n"
	"struct kvm_mmu { struct kvm_mmu_root_info root; union kvm_cpu_role cpu_role; union kvm_mmu_page_role root_role;\n"
	"	struct kvm_mmu_root_info prev_roots[3]; u64 *pae_root; u64 pdptrs[4]; };\n"
	"struct kvm_memory_slot { struct list_head id_node[2]; odd_t base_gfn; u64 npages; unsigned long *dirty_bitmap;\n"
	"	struct { void *rmap[3]; void *lpage_info[2]; unsigned short *gfn_write_track; } arch; u64 userspace_addr; u32 flags;\n"
	"	short id; unsigned short as_id; };\n"
	"struct kvm_mmu_page { struct list_head link; struct { void *a; };  _Bool unsync; u8 mmu_valid_gen;\n"
	"	_Bool nx_huge_page_disallowed; union kvm_mmu_page_role role; gfn_t gfn; u64 *spt;\n"
	"	union { struct { int x; union { u64 parent_ptes; u64 *ptep; }; }; u8 pad[64]; }; };\n"
	"struct kvm_memslots { u64 generation; struct kvm_memory_slot *id_hash[1 << 7]; int node_idx; };\n"
	"struct kvm { int (*fn)(int); struct kvm_memslots *memslots[2]; struct { union { struct { u64 pages_4k, pages_2m; };\n"
	"	u64 pages[2]; }; } stat; struct { u64 n_used_mmu_pages; u8 tail[0]; } arch; u8 flexible[]; };\n"
	"struct pte_list_desc { struct pte_list_desc *more; u32 spte_count; u32 tail_count; u64 *sptes[14]; };\n"
	"struct kvm a_kvm; struct kvm_mmu a_mmu; struct kvm_mmu_page a_sp; struct kvm_memory_slot a_slot; struct page a_p;\n"
	"struct pte_list_desc a_desc; struct kvm_memslots a_slots; union kvm_mmu_extended_role a_role;\n";

static void sources(void)
{
	char text[8192];

	snprintf(text, sizeof(text), "%s%s", head, first);
	shelldir_put("first.c", text);
	snprintf(text, sizeof(text), "%s%s", head, second);
	shelldir_put("second.c", text);
	snprintf(text, sizeof(text), "%s%s%s", head, second, first);
	shelldir_put("all.c", text);
}

static struct ms_layout layout;
#ifdef WITH_BPF
static struct ms_layout other;
#endif

static struct ms_err *dwarf2(const char *a, const char *b)
{
	const char *files[] = { a, b };

	return ms_layout_from_dwarf(files, b ? 2 : 1, &layout);
}

static void check_layout(void)
{
	const struct ms_field *f = layout.f;

	assert_int_equal(f[MS_F_vcpu_kvm].off, 0);
	assert_int_equal(f[MS_F_vcpu_cpu].off, 8);
	assert_int_equal(f[MS_F_vcpu_cpu].bit_off, 3);
	assert_int_equal(f[MS_F_vcpu_cpu].bit_size, 5);
	assert_int_equal(f[MS_F_vcpu_mode].off, 9);
	assert_int_equal(f[MS_F_vcpu_mode].bit_size, 23);
	assert_int_equal(f[MS_F_vcpu_id].off, 12);
	assert_int_equal(f[MS_F_vcpu_id].size, 4);
	assert_int_equal(f[MS_F_vcpu_guest_mode].off, 16);
	assert_int_equal(f[MS_F_vcpu_mmu].off, 24);
	assert_int_equal(f[MS_F_vcpu_cr0].off, 48);
	assert_int_equal(f[MS_F_page_private].off, 40);
	assert_int_equal(layout.type_size[MS_T_page], 48);
	assert_int_equal(f[MS_F_mmu_prev_roots].kind, MS_FK_ARRAY);
	assert_int_equal(f[MS_F_mmu_prev_roots].nr_elems, 3);
	assert_int_equal(f[MS_F_mmu_prev_roots].elem_size, 16);
	assert_int_equal(f[MS_F_mmu_root_hpa].off, 8);
	assert_int_equal(f[MS_F_memslot_base_gfn].off, 32);
	assert_int_equal(f[MS_F_memslot_base_gfn].size, 8);
	assert_int_equal(f[MS_F_memslots_id_hash].nr_elems, 128);
	assert_int_equal(f[MS_F_sp_link].kind, MS_FK_STRUCT);
	assert_int_equal(f[MS_F_sp_unsync].off, 24);
	assert_int_equal(f[MS_F_sp_ptep].off, 56);
	assert_int_equal(f[MS_F_kvm_pages_2m].off, 32);
	assert_false(f[MS_F_kvm_tdp_mmu_roots].present);
	assert_false(f[MS_F_vmx_vmcs02].present);
	assert_int_equal(layout.nr_role, 8);
	assert_string_equal(layout.role[1].name, "has_4_byte_gpte");
	assert_int_equal(layout.role[4].bit, 8);
	assert_int_equal(layout.role[4].width, 3);
	assert_string_equal(layout.role[5].name, "smm");
	assert_int_equal(layout.role[5].bit, 24);
	assert_int_equal(layout.role[7].bit, 33);
}

/*
 * Bit offsets are told in two ways; sections of a relocatable file have to be relocated; debug sections may be
 * compressed.
 */
static void test_versions(void **state)
{
	static const char *const how[] = { "-gdwarf-4 -c",
					   "-gdwarf-5 -c",
					   "-gdwarf-4 -shared -fPIC",
					   "-gdwarf-5 -shared -fPIC",
					   "-gdwarf-5 -c -gz",
					   "-gdwarf-4 -fdebug-types-section -shared -fPIC",
					   "-gdwarf-5 -fdebug-types-section -shared -fPIC" };
	size_t i;

	for (i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		sh("gcc -w -O1 %s all.c -o all.o", how[i]);
		memset(&layout, 0xee, sizeof(layout));
		assert_null(dwarf2(in_dir("all.o"), NULL));
		check_layout();
	}
}

/* A type of which one unit, or file, knows but the name. */
static void test_forward(void **state)
{
	sh("gcc -w -g -c first.c && gcc -w -gdwarf-4 -c second.c");
	sh("gcc -w -g -shared -fPIC first.c second.c -o both.so");
	assert_null(dwarf2(in_dir("first.o"), in_dir("second.o")));
	check_layout();
	assert_null(dwarf2(in_dir("second.o"), in_dir("first.o")));
	check_layout();
	assert_null(dwarf2(in_dir("both.so"), NULL));
	check_layout();
}

/* The first that has a type is right, whatever the second says. */
static void test_order(void **state)
{
	sh("gcc -w -g -c all.c -o all.o");
	sh("echo 'struct kvm { long a, b, c, d, e, f, g, h; long memslots[9]; } k;' >namesake.c");
	sh("gcc -g -c namesake.c");
	assert_null(dwarf2(in_dir("all.o"), in_dir("namesake.o")));
	assert_int_equal(layout.f[MS_F_kvm_memslots].nr_elems, 2);
	assert_null(dwarf2(in_dir("namesake.o"), in_dir("all.o")));
	assert_int_equal(layout.f[MS_F_kvm_memslots].nr_elems, 9);
	assert_int_equal(layout.f[MS_F_kvm_memslots].off, 64);
}

#ifdef WITH_BPF
/* Without the live target there is no reader of BTF to compare with, and clang need not be there. */
static void test_like_btf(void **state)
{
	sh(BPF_CLANG " -w -target bpf -g -O1 -c all.c -o btf.o");
	assert_null(ms_layout_from_btf(in_dir("btf.o"), NULL, NULL, &other));
	sh("gcc -w -gdwarf-4 -c all.c -o all.o");
	assert_null(dwarf2(in_dir("all.o"), NULL));
	assert_memory_equal(&layout, &other, sizeof(layout));
	/* clang's own DWARF. */
	assert_null(dwarf2(in_dir("btf.o"), NULL));
	assert_memory_equal(&layout, &other, sizeof(layout));
}
#endif

static void refused(struct ms_err *err, const char *what)
{
	assert_non_null(err);
	if (!strstr(ms_err_text(err), what))
		fail_msg("'%s' does not say '%s'", ms_err_text(err), what);
	assert_non_null(ms_err_hint_text(err));
	ms_err_free(err);
}

static void test_refusals(void **state)
{
	struct ms_err *err;

	sh("gcc -w -g -c first.c && gcc -w -c all.c -o plain.o && echo text >text && mkfifo fifo");
	refused(dwarf2(in_dir("first.o"), NULL), "no struct kvm");
	refused(dwarf2(in_dir("plain.o"), NULL), "plain.o holds no DWARF");
	refused(dwarf2(in_dir("text"), NULL), "text holds no DWARF");
	err = dwarf2(in_dir("nowhere"), NULL);
	assert_non_null(strstr(ms_err_text(err), "No such file"));
	ms_err_free(err);
	err = dwarf2(in_dir("fifo"), NULL);
	assert_non_null(strstr(ms_err_text(err), "not a regular file"));
	ms_err_free(err);
	err = dwarf2(shelldir, NULL);
	assert_non_null(strstr(ms_err_text(err), "not a regular file"));
	ms_err_free(err);
}

/* --- damaged --- */

static struct ms_err *load_apart(const char *path)
{
	struct ms_layout_plan plan = { .nr = 1, .part = { { .from = MS_LAYOUT_DWARF, .name = "x" } } };

	assert_true(strlen(path) < sizeof(plan.part[0].path));
	strcpy(plan.part[0].path, path);
	return ms_layout_load(&plan, &layout);
}

static char *slurp(const char *path, size_t *len_ret)
{
	FILE *f = fopen(path, "r");
	char *data = malloc(1 << 20);

	assert_true(f && data);
	*len_ret = fread(data, 1, 1 << 20, f);
	fclose(f);
	return data;
}

static void spill(const char *path, const char *data, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static uint64_t rnd_below(uint64_t *state, uint64_t n)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (*state >> 33) % n;
}

/* Nothing but an answer or one line of error comes back, and the next file is read as if nothing had been. */
static void test_damaged(void **state)
{
	uint64_t rnd = 20;
	unsigned int round, good = 0, bad = 0, died = 0, i;
	char whole[PATH_MAX], broken[PATH_MAX];
	size_t len, at;
	char *data, *copy;
	struct ms_err *err;

	snprintf(whole, sizeof(whole), "%s/whole.o", shelldir);
	snprintf(broken, sizeof(broken), "%s/broken.o", shelldir);
	for (round = 0; round < 600; round++) {
		if (round % 300 == 0)
			sh("gcc -w -gdwarf-%d %s all.c -o whole.o", round ? 5 : 4,
			   round ? "-c" : "-shared -fPIC");
		data = slurp(whole, &len);
		copy = malloc(len);
		assert_non_null(copy);
		memcpy(copy, data, len);
		if (round % 3 == 0) {
			at = rnd_below(&rnd, len);
			spill(broken, copy, at);
		} else {
			for (i = 0; i < 1 + round % 40; i++)
				copy[rnd_below(&rnd, len)] ^= (char)(1u << rnd_below(&rnd, 8));
			spill(broken, copy, len);
		}
		free(copy);
		free(data);
		err = load_apart(broken);
		if (!err)
			good++;
		else
			bad++;
		if (err && strstr(ms_err_text(err), "signal"))
			died++;
		assert_true(!err || (*ms_err_text(err) && !strchr(ms_err_text(err), '\n')));
		/* What a sanitizer ends is ours. */
		assert_true(!err || !strstr(ms_err_text(err), "ended with status"));
		ms_err_free(err);
	}
	print_message(
		"# ! damaged debug files: %u told so, %u of these by the end of their reader, %u read\n", bad,
		died, good);
	assert_true(bad > 200);
	assert_null(load_apart(whole));
	check_layout();
}

/*
 * A unit by hand: abbreviations 1 unit, 2 struct with members, 3 anonymous member, 4 typedef, 5 member with a name, 6
 * struct without members, 7 struct with a sibling, 8 declaration, 9 number.
 */
static const char hand_head[] = ".section .debug_abbrev,\"\",@progbits\n"
				".byte 1,0x11,1, 0,0\n"
				".byte 2,0x13,1, 3,8, 0x0b,0x0b, 0,0\n"
				".byte 3,0x0d,0, 0x49,0x13, 0x38,0x0b, 0,0\n"
				".byte 4,0x16,0, 0x49,0x13, 0,0\n"
				".byte 5,0x0d,0, 3,8, 0x49,0x13, 0x38,0x0b, 0,0\n"
				".byte 6,0x13,0, 3,8, 0x0b,0x0b, 0,0\n"
				".byte 7,0x13,1, 3,8, 0x0b,0x0b, 1,0x13, 0,0\n"
				".byte 8,0x13,0, 3,8, 0x3c,0x19, 0,0\n"
				".byte 9,0x24,0, 0x0b,0x0b, 0,0\n"
				".byte 0\n"
				".section .debug_info,\"\",@progbits\n"
				"info: .long end-start\nstart: .short 4\n.long 0\n.byte 8\n.byte 1\n";
static const char hand_tail[] =
	".byte 6\n.string \"kvm_vcpu\"\n.byte 8\n.byte 6\n.string \"kvm_mmu\"\n.byte 8\n"
	".byte 6\n.string \"kvm_mmu_page\"\n.byte 8\n.byte 6\n.string \"kvm_memory_slot\"\n.byte 8\n"
	".byte 0\nend:\n";

static struct ms_err *by_hand(const char *kvm)
{
	char text[4096];

	snprintf(text, sizeof(text), "%s%s%s", hand_head, kvm, hand_tail);
	shelldir_put("hand.s", text);
	sh("gcc -c hand.s -o hand.o");
	return dwarf2(in_dir("hand.o"), NULL);
}

static void test_circles(void **state)
{
	/* As it should be, first. */
	assert_null(by_hand(".byte 2\n.string \"kvm\"\n.byte 64\n.byte 0\n"));
	/* A member whose struct is declared here and defined there. */
	assert_null(by_hand(
		"decl: .byte 8\n.string \"far\"\n"
		".byte 2\n.string \"kvm\"\n.byte 64\n.byte 5\n.string \"arch\"\n.long decl-info\n.byte 8\n.byte 0\n"
		"num: .byte 9\n.byte 8\n"
		".byte 2\n.string \"far\"\n.byte 64\n.byte 5\n.string \"n_used_mmu_pages\"\n.long num-info\n.byte 3\n"
		".byte 0\n"));
	assert_true(layout.f[MS_F_kvm_n_used_mmu_pages].present);
	assert_int_equal(layout.f[MS_F_kvm_n_used_mmu_pages].off, 11);
	/* And nowhere. */
	assert_null(by_hand(
		"decl: .byte 8\n.string \"far\"\n"
		".byte 2\n.string \"kvm\"\n.byte 64\n.byte 5\n.string \"arch\"\n.long decl-info\n.byte 8\n.byte 0\n"));
	assert_false(layout.f[MS_F_kvm_n_used_mmu_pages].present);
	/* A struct that is in itself, three times. */
	refused(by_hand("self: .byte 2\n.string \"kvm\"\n.byte 64\n"
			".byte 3\n.long self-info\n.byte 0\n.byte 3\n.long self-info\n.byte 8\n.byte 3\n.long self-info\n.byte 8\n"
			".byte 0\n"),
		"make no sense");
	/* A typedef of itself. */
	assert_null(by_hand(
		"self: .byte 4\n.long self-info\n"
		".byte 2\n.string \"kvm\"\n.byte 64\n.byte 5\n.string \"arch\"\n.long self-info\n.byte 8\n.byte 0\n"));
	assert_false(layout.f[MS_F_kvm_n_used_mmu_pages].present);
	/* The DIE beside it lies before it. */
	refused(by_hand("self: .byte 6\n.string \"other\"\n.byte 1\n"
			".byte 7\n.string \"kvm\"\n.byte 64\n.long self-info\n.byte 0\n"),
		"damaged");
}

/* --- in a process of its own --- */

static struct ms_err *fn_good(const void *in, void *out)
{
	*(int *)out = *(const int *)in + 1;
	return NULL;
}

static struct ms_err *fn_err(const void *in, void *out)
{
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "what %d", *(const int *)in), "do it");
}

static struct ms_err *fn_die(const void *in, void *out)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
	return NULL;
}

static struct ms_err *fn_loop(const void *in, void *out)
{
	volatile int on = 1;

	while (on)
		;
	return NULL;
}

static void test_apart(void **state)
{
	int in = 4, out = 9;
	struct ms_err *err;

	assert_null(layout_apart(fn_good, &in, &out, sizeof(out), 5, "it"));
	assert_int_equal(out, 5);
	err = layout_apart(fn_err, &in, &out, sizeof(out), 5, "it");
	assert_string_equal(ms_err_text(err), "what 4");
	assert_string_equal(ms_err_hint_text(err), "do it");
	assert_int_equal(ms_err_kind(err), MS_ERR_USAGE);
	ms_err_free(err);
	refused(layout_apart(fn_die, &in, &out, sizeof(out), 5, "it"), "it: reading it ended with signal 11");
	refused(layout_apart(fn_loop, &in, &out, sizeof(out), 1, "it"), "it: not read within 1 s");
	assert_int_equal(out, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef WITH_BPF
		cmocka_unit_test(test_like_btf),
#endif
		cmocka_unit_test(test_versions), cmocka_unit_test(test_forward),
		cmocka_unit_test(test_order),	 cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_damaged),	 cmocka_unit_test(test_circles),
		cmocka_unit_test(test_apart),
	};

	return shelldir_run("test_dwarf", sources, tests);
}
