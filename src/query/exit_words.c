/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults and exits in words: see exit_words.h. Numbers are those of the SDM (appendix C) and the APM (appendix C). */
#include "query/exit_words.h"

#include "abi/event_desc.h"
#include "abi/rec.h"
#include "query/private.h"

#define VMX_BASIC 0xffffull /* of an exit reason: what is above are flags */
#define VECTOR_PF 14 /* what `inject' has for a page fault that is given to the guest */

/* One more word. */
static void add(struct ms_buf *ret, size_t start, const char *word)
{
	if (ret->len > start)
		ms_buf_putc(ret, ',');
	ms_buf_puts(ret, word);
}

void access_words(u64 bits, struct ms_buf *ret)
{
	static const char *const words[] = { "read", "write", "fetch" };
	bool any = false;
	u32 i;

	for (i = 0; i < MS_LEN(words); i++)
		if (bits >> i & 1) {
			ms_buf_printf(ret, "%s%s", any ? "+" : "", words[i]);
			any = true;
		}
	if (!any)
		ms_buf_puts(ret, "nothing");
}

void pferr_words(u64 error, struct ms_buf *ret)
{
	static const struct {
		u32 bit;
		const char *word;
	} bits[] = {
		{ 1, "write" },	       { 4, "fetch" },	      { 2, "user" },	   { 3, "reserved" },
		{ 5, "key" },	       { 6, "shadow-stack" }, { 15, "sgx" },	   { 31, "rmp" },
		{ 32, "translation" }, { 33, "table" },	      { 34, "encrypted" }, { 35, "rmp-size" },
		{ 36, "vmpl" },	       { 48, "implicit" },    { 49, "private" },
	};
	size_t start = ret->len;
	u32 i;

	add(ret, start, error & 1 ? "present" : "absent");
	if (!(error & (1u << 1 | 1u << 4)))
		add(ret, start, "read");
	for (i = 0; i < MS_LEN(bits); i++)
		if (error >> bits[i].bit & 1)
			add(ret, start, bits[i].word);
}

void ept_qual_words(u64 qual, struct ms_buf *ret)
{
	ms_buf_puts(ret, "tried:");
	access_words(qual, ret);
	ms_buf_puts(ret, ",granted:");
	access_words(qual >> 3, ret);
	/* Bit 8 means something with a linear address (bit 7) alone. */
	if (qual >> 7 & 1)
		ms_buf_puts(ret, qual >> 8 & 1 ? ",translation" : ",table");
}

static const char *const vmx_reasons[] = {
	[0] = "exception",
	[1] = "interrupt",
	[2] = "triple-fault",
	[3] = "init",
	[4] = "sipi",
	[7] = "interrupt-window",
	[8] = "nmi-window",
	[9] = "task-switch",
	[10] = "cpuid",
	[12] = "hlt",
	[13] = "invd",
	[14] = "invlpg",
	[15] = "rdpmc",
	[16] = "rdtsc",
	[18] = "vmcall",
	[19] = "vmclear",
	[20] = "vmlaunch",
	[21] = "vmptrld",
	[22] = "vmptrst",
	[23] = "vmread",
	[24] = "vmresume",
	[25] = "vmwrite",
	[26] = "vmxoff",
	[27] = "vmxon",
	[28] = "cr-access",
	[29] = "dr-access",
	[30] = "io",
	[31] = "rdmsr",
	[32] = "wrmsr",
	[33] = "entry-bad-state",
	[34] = "entry-bad-msr",
	[36] = "mwait",
	[37] = "monitor-trap",
	[39] = "monitor",
	[40] = "pause",
	[41] = "entry-machine-check",
	[43] = "tpr-threshold",
	[44] = "apic-access",
	[45] = "virtual-eoi",
	[46] = "gdtr-idtr",
	[47] = "ldtr-tr",
	[48] = "ept-violation",
	[49] = "ept-misconfig",
	[50] = "invept",
	[51] = "rdtscp",
	[52] = "preemption-timer",
	[53] = "invvpid",
	[54] = "wbinvd",
	[55] = "xsetbv",
	[56] = "apic-write",
	[57] = "rdrand",
	[58] = "invpcid",
	[59] = "vmfunc",
	[60] = "encls",
	[61] = "rdseed",
	[62] = "pml-full",
	[63] = "xsaves",
	[64] = "xrstors",
	[67] = "umwait",
	[68] = "tpause",
	[74] = "bus-lock",
	[75] = "notify",
};

/* From 0x60 on. */
#define SVM_FIRST 0x60u
static const char *const svm_codes[] = {
	"interrupt",   "nmi",	     "smi",	   "init",	"virtual-interrupt",
	"cr0-write",   "idtr-read",  "gdtr-read",  "ldtr-read", "tr-read",
	"idtr-write",  "gdtr-write", "ldtr-write", "tr-write",	"rdtsc",
	"rdpmc",       "pushf",	     "popf",	   "cpuid",	"rsm",
	"iret",	       "int",	     "invd",	   "pause",	"hlt",
	"invlpg",      "invlpga",    "io",	   "msr",	"task-switch",
	"ferr-freeze", "shutdown",   "vmrun",	   "vmmcall",	"vmload",
	"vmsave",      "stgi",	     "clgi",	   "skinit",	"rdtscp",
	"icebp",       "wbinvd",     "monitor",	   "mwait",	"mwait",
	"xsetbv",      "rdpru",
};

static const char *svm_name(u64 code)
{
	static const char *const of_registers[] = { "cr-read", "cr-write", "dr-read", "dr-write" };

	if (code < 0x40)
		return of_registers[code >> 4];
	if (code < SVM_FIRST)
		return code == 0x40 + VECTOR_PF ? "page-fault" : "exception";
	if (code - SVM_FIRST < MS_LEN(svm_codes))
		return svm_codes[code - SVM_FIRST];
	return code == REASON_NPF ? "npf" : NULL;
}

const char *exit_reason_name(u32 hv, u64 reason)
{
	if (hv == MS_HV_SVM)
		return svm_name(reason);
	if (hv != MS_HV_VMX || (reason & VMX_BASIC) >= MS_LEN(vmx_reasons))
		return NULL;
	return vmx_reasons[reason & VMX_BASIC];
}

static void qual_words(u32 hv, const struct ms_event *event, u64 reason, u64 qual, struct ms_buf *ret)
{
	bool page_fault = event->id == MS_EV_inject && reason == VECTOR_PF;

	if (page_fault || (hv == MS_HV_SVM && reason == REASON_NPF))
		pferr_words(qual, ret);
	else if (hv == MS_HV_VMX && reason == REASON_VIOLATION)
		ept_qual_words(qual, ret);
}

void event_exit_words(u32 hv, const struct ms_event *event, u32 unit, u64 value, struct ms_buf *ret)
{
	const char *name = NULL;
	u64 reason;

	if (unit == MS_UNIT_PFERR)
		pferr_words(value, ret);
	else if (unit == MS_UNIT_REASON)
		name = event->id == MS_EV_inject && value == VECTOR_PF ? "page-fault"
								       : exit_reason_name(hv, value);
	else if (unit == MS_UNIT_QUAL && ms_event_first(event, MS_UNIT_REASON, &reason))
		qual_words(hv, event, reason, value, ret);
	if (name)
		ms_buf_puts(ret, name);
}
