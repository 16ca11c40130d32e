/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/query/exit_words.c: error codes, reasons and qualifications as words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "abi/event_desc.h"
#include "abi/rec.h"
#include "query/exit_words.h"

static void says(const struct ms_event *event, u32 hv, u32 unit, u64 value, const char *want)
{
	struct ms_buf buf = { 0 };

	event_exit_words(hv, event, unit, value, &buf);
	assert_string_equal(ms_buf_str(&buf), want);
	ms_buf_deinit(&buf);
}

static void error_codes(void **state)
{
	static const struct {
		u64 error;
		const char *words;
	} rows[] = {
		{ 0, "absent,read" },
		{ 1, "present,read" },
		{ 7, "present,write,user" },
		{ 0x14, "absent,fetch,user" },
		{ 9, "present,read,reserved" },
		{ 0x100000006, "absent,write,user,translation" },
		{ 0x200000007, "present,write,user,table" },
		{ 0x1000000000000003, "present,write" }, /* what has no name is left out */
		{ 0x8061, "present,read,key,shadow-stack,sgx" },
		{ 0x3001c00000001, "present,read,encrypted,rmp-size,vmpl,implicit,private" },
	};
	const struct ms_event fault = { .id = MS_EV_fault };
	u32 i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		says(&fault, MS_HV_UNKNOWN, MS_UNIT_PFERR, rows[i].error, rows[i].words);
}

static void reasons(void **state)
{
	static const struct {
		u32 hv;
		u64 reason;
		const char *words;
	} rows[] = {
		{ MS_HV_VMX, 48, "ept-violation" },
		{ MS_HV_VMX, 49, "ept-misconfig" },
		{ MS_HV_VMX, 62, "pml-full" },
		{ MS_HV_VMX, 14, "invlpg" },
		{ MS_HV_VMX, 0x80000021, "entry-bad-state" },
		{ MS_HV_VMX, 75, "notify" },
		{ MS_HV_VMX, 76, "" },
		{ MS_HV_VMX, 5, "" },
		{ MS_HV_SVM, 0x400, "npf" },
		{ MS_HV_SVM, 0x4e, "page-fault" },
		{ MS_HV_SVM, 0x4d, "exception" },
		{ MS_HV_SVM, 0x10, "cr-write" },
		{ MS_HV_SVM, 0x3f, "dr-write" },
		{ MS_HV_SVM, 0x60, "interrupt" },
		{ MS_HV_SVM, 0x72, "cpuid" },
		{ MS_HV_SVM, 0x78, "hlt" },
		{ MS_HV_SVM, 0x7c, "msr" },
		{ MS_HV_SVM, 0x80, "vmrun" },
		{ MS_HV_SVM, 0x89, "wbinvd" },
		{ MS_HV_SVM, 0x8e, "rdpru" },
		{ MS_HV_SVM, 0x8f, "" },
		{ MS_HV_SVM, ~0ull, "" },
		{ MS_HV_UNKNOWN, 48, "" },
	};
	const struct ms_event exit = { .id = MS_EV_nested_exit }, inject = { .id = MS_EV_inject };
	u32 i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		says(&exit, rows[i].hv, MS_UNIT_REASON, rows[i].reason, rows[i].words);
	/* There 14 is a vector. */
	says(&inject, MS_HV_VMX, MS_UNIT_REASON, 14, "page-fault");
	says(&inject, MS_HV_SVM, MS_UNIT_REASON, 14, "page-fault");
}

static void qualifications(void **state)
{
	static const struct {
		u32 hv;
		u16 id;
		u64 reason, qual;
		const char *words;
	} rows[] = {
		{ MS_HV_VMX, MS_EV_inject, 48, 0x18a, "tried:write,granted:read,translation" },
		{ MS_HV_VMX, MS_EV_inject, 48, 0x083, "tried:read+write,granted:nothing,table" },
		{ MS_HV_VMX, MS_EV_nested_exit, 48, 0x03c, "tried:fetch,granted:read+write+fetch" },
		{ MS_HV_VMX, MS_EV_inject, 49, 0x18a, "" },
		{ MS_HV_VMX, MS_EV_inject, 62, 0, "" },
		{ MS_HV_VMX, MS_EV_inject, 14, 6, "absent,write,user" },
		{ MS_HV_VMX, MS_EV_nested_exit, 14, 6, "" },
		{ MS_HV_SVM, MS_EV_inject, 0x400, 0x100000007, "present,write,user,translation" },
		{ MS_HV_SVM, MS_EV_nested_exit, 0x72, 7, "" },
		{ MS_HV_SVM, MS_EV_inject, 48, 0x18a, "" },
	};
	u32 i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ms_event event = { .id = rows[i].id };

		if (event.id == MS_EV_inject)
			event.u.inject.reason = rows[i].reason;
		else
			event.u.nested_exit.reason = rows[i].reason;
		says(&event, rows[i].hv, MS_UNIT_QUAL, rows[i].qual, rows[i].words);
	}
}

static void others_say_nothing(void **state)
{
	const struct ms_event fault = { .id = MS_EV_fault };
	u32 unit;

	(void)state;
	for (unit = 0; unit < MS_NR_UNITS; unit++)
		if (unit != MS_UNIT_PFERR && unit != MS_UNIT_REASON)
			says(&fault, MS_HV_VMX, unit, 48, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_codes),
		cmocka_unit_test(reasons),
		cmocka_unit_test(qualifications),
		cmocka_unit_test(others_say_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
