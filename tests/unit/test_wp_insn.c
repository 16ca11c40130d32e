/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far instructions reach that the kernel module lets through: kmod/wp_insn.h. Bytes are an assembler's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kmod/wp_insn.h"

static void test_reach(void **state)
{
	static const struct {
		const char *what;
		u8 insn[8];
		u32 nr, want;
	} cases[] = {
		{ "movaps %xmm0,(%rdi)", { 0x0f, 0x29, 0x07 }, 3, WP_REACH_SHORT },
		{ "vmovdqu %ymm0,(%rdi)", { 0xc5, 0xfe, 0x7f, 0x07 }, 4, WP_REACH_SHORT },
		{ "vmovdqu64 %zmm0,(%rdi)", { 0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x07 }, 6, WP_REACH_SHORT },
		{ "lock cmpxchg16b (%rdi)", { 0xf0, 0x48, 0x0f, 0xc7, 0x0f }, 5, WP_REACH_SHORT },
		{ "fistpll (%rdi)", { 0xdf, 0x3f, 0x90 }, 3, WP_REACH_SHORT },
		{ "fxsave (%rdi)", { 0x0f, 0xae, 0x07 }, 3, WP_REACH_FXSAVE },
		{ "fxsave64 (%rdi)", { 0x48, 0x0f, 0xae, 0x07 }, 4, WP_REACH_FXSAVE },
		{ "xsave (%rdi)", { 0x0f, 0xae, 0x27 }, 3, WP_REACH_XSAVE },
		{ "xsave64 (%r8)", { 0x49, 0x0f, 0xae, 0x20 }, 4, WP_REACH_XSAVE },
		{ "xsaveopt (%rdi)", { 0x0f, 0xae, 0x37 }, 3, WP_REACH_XSAVE },
		{ "xsavec (%rdi)", { 0x0f, 0xc7, 0x27 }, 3, WP_REACH_XSAVE },
		{ "xsaves64 %fs:(%rdi)", { 0x64, 0x48, 0x0f, 0xc7, 0x2f }, 5, WP_REACH_XSAVE },
		{ "mfence", { 0x0f, 0xae, 0xf0 }, 3, WP_REACH_SHORT },
		{ "stmxcsr (%rdi)", { 0x0f, 0xae, 0x1f }, 3, WP_REACH_SHORT },
		{ "fnsave (%rdi)", { 0xdd, 0x37, 0x90 }, 3, 2 * WP_REACH_SHORT },
		{ "fnstenv (%rdi)", { 0xd9, 0x37, 0x90 }, 3, 2 * WP_REACH_SHORT },
		{ "enter $8,$2", { 0xc8, 0x08, 0x00, 0x02 }, 4, WP_REACH_FAR },
		{ "lcall *(%rdi)", { 0xff, 0x1f, 0x90 }, 3, WP_REACH_FAR },
		{ "push (%rdi)", { 0xff, 0x37, 0x90 }, 3, WP_REACH_SHORT },
		{ "vpscatterdd %zmm0,(%rdi,%zmm1)",
		  { 0x62, 0xf2, 0x7d, 0x49, 0xa0, 0x04, 0x0f },
		  7,
		  WP_REACH_FAR },
		{ "vpscatterdd, cut", { 0x62, 0xf2, 0x7d, 0x49 }, 4, WP_REACH_FAR },
		{ "tilestored %tmm0,(%rdi,%rax)", { 0xc4, 0xe2, 0x7a, 0x4b, 0x04, 0x07 }, 6, WP_REACH_FAR },
		{ "not readable", { 0 }, 0, WP_REACH_XSAVE },
		{ "cut", { 0x48, 0x0f, 0xae }, 3, WP_REACH_XSAVE },
		{ "prefixes alone", { 0xf3, 0xf3, 0xf3, 0xf3, 0xf3, 0xf3, 0xf3, 0xf3 }, 8, WP_REACH_XSAVE },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (wp_insn_reach(cases[i].insn, cases[i].nr) != cases[i].want)
			fail_msg("%s: %u", cases[i].what, wp_insn_reach(cases[i].insn, cases[i].nr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
