// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The trace: what KVM was told about VM 0, in the order in which it was told, as tests/conform/trace.md has
 * it. KVM's side comes from a trace instance of its own (tracepoints and a few kprobes on KVM's entry points,
 * of this vCPU's thread only), the VMM's side from trace_trap() and trace_checkpoint(). The vCPU thread is
 * bound to one CPU, so that one ring buffer has all in order; it is emptied while that thread is not in the
 * guest. A trace that has lost an event is an error, never a shorter trace.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmm.h"

#define TRACEFS "/sys/kernel/tracing"
#define GROUP "vmmfixture" /* of our kprobes */
#define BUFFER_KB "65536" /* for the one CPU used; some 500,000 events */
#define MSR_EFER 0xc0000080u
#define PFN_MASK ((1ull << 55) - 1)
#define PAGEMAP_PRESENT (1ull << 63)
#define KPF_THP 22

struct trace {
	FILE *out;
	char dir[128]; /* of the instance */
	int pipe_fd;
	size_t len; /* of an unfinished line in buf */
	char buf[65536];
	unsigned long nr_lines;
	unsigned long nr_probes;
};

static struct trace tr = { .pipe_fd = -1 };

static void __attribute__((format(printf, 1, 2))) line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(tr.out, fmt, ap);
	va_end(ap);
	fputc('\n', tr.out);
	tr.nr_lines++;
}

/* Writes text to a file of tracefs; the path is relative to the instance unless it begins with '/'. */
static bool file_write(const char *path, const char *text, int flags)
{
	char full[256];
	ssize_t n = -1;
	int fd;

	snprintf(full, sizeof(full), "%s%s%s", *path == '/' ? TRACEFS : tr.dir, *path == '/' ? "" : "/",
		 path);
	fd = open(full, O_WRONLY | O_CLOEXEC | flags);
	if (fd >= 0) {
		n = write(fd, text, strlen(text));
		close(fd);
	}
	return n == (ssize_t)strlen(text);
}

static void file_write_must(const char *path, const char *text, int flags)
{
	if (!file_write(path, text, flags))
		vmm_fail(VMM_ENVIRONMENT, "--trace: cannot write `%s' to %s of tracefs: %s", text, path,
			 strerror(errno));
}

/*
 * KVM's entry points that no tracepoint covers. The first of two names that this kernel has is taken: the one
 * of 6.1, then that of 6.12.
 */
static const struct probe {
	const char *name, *function, *function2, *args;
} probes[] = {
	{ "write", "kvm_page_track_write", "kvm_mmu_track_write",
	  "gpa=%si:x64 value=+0(%dx):x64 len=%cx:u32" },
	/* The tracepoint kvm_cr is passed only on CPUs with decode assists. */
	{ "cr0", "kvm_set_cr0", NULL, "value=%si:x64" },
	{ "cr3", "kvm_set_cr3", NULL, "value=%si:x64" },
	{ "cr4", "kvm_set_cr4", NULL, "value=%si:x64" },
	{ "invlpg", "kvm_mmu_invlpg", NULL, "addr=%si:x64" },
	{ "newpgd", "kvm_mmu_new_pgd", NULL, "pgd=%si:x64" },
	{ "load", "kvm_mmu_load", NULL, "" },
	{ "unload", "kvm_mmu_unload", NULL, "" },
	{ "sync", "kvm_mmu_sync_roots", NULL, "" },
	{ "syncprev", "kvm_mmu_sync_prev_roots", NULL, "" },
	{ "reset", "kvm_mmu_reset_context", NULL, "" },
	{ "freeroots", "kvm_mmu_free_roots", NULL, "roots=%dx:x64" },
	{ "unmap", "kvm_unmap_gfn_range", NULL, "slot=+0(%si):x64 start=+8(%si):x64 end=+16(%si):x64" },
};

static const char *const events[] = {
	"kvm/kvm_page_fault",		"kvm/kvm_nested_vmenter",
	"kvm/kvm_nested_vmexit_inject", "kvm/kvm_msr",
	"kvm/kvm_emulate_insn",		"kvm/kvm_inj_exception",
	"kvmmmu/kvm_mmu_get_page",	"kvmmmu/kvm_mmu_prepare_zap_page",
	"kvmmmu/kvm_mmu_set_spte",	"kvmmmu/kvm_mmu_sync_page",
	"kvmmmu/kvm_mmu_unsync_page",	"kvmmmu/mark_mmio_spte",
	"kvmmmu/fast_page_fault",	"kvmmmu/kvm_tdp_mmu_spte_changed",
};

static void probes_define(void)
{
	char text[256];

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		const struct probe *p = &probes[i];
		const char *function = p->function;

		for (; function; function = function == p->function ? p->function2 : NULL) {
			snprintf(text, sizeof(text), "p:" GROUP "/%s %s %s\n", p->name, function, p->args);
			if (file_write("/kprobe_events", text, O_APPEND))
				break;
		}
		if (!function)
			vmm_fail(VMM_ENVIRONMENT, "--trace: no kprobe on %s: %s", p->function,
				 strerror(errno));
	}
}

static void probes_remove(void)
{
	char text[64];

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		snprintf(text, sizeof(text), "-:" GROUP "/%s\n", probes[i].name);
		file_write("/kprobe_events", text, O_APPEND);
	}
}

/* The text behind "KEY" in s as a number; 0 without it. */
static uint64_t number_after(const char *s, const char *key)
{
	const char *p = strstr(s, key);

	return p ? strtoull(p + strlen(key), NULL, 0) : 0;
}

static bool is_event(const char *s, const char *name, const char **text_ret)
{
	size_t n = strlen(name);

	if (strncmp(s, name, n) || s[n] != ':')
		return false;
	*text_ret = s + n + 1 + (s[n + 1] == ' ');
	return true;
}

/* One event of the buffer, from its name on. */
static void event(const char *s)
{
	const char *t, *reason;
	unsigned int msr, len;
	uint64_t value;

	if (is_event(s, "kvm_page_fault", &t)) {
		line("fault addr=0x%" PRIx64 " err=0x%" PRIx64 " rip=0x%" PRIx64, number_after(t, "address "),
		     number_after(t, "error_code "), number_after(t, "rip "));
	} else if (is_event(s, "kvm_nested_vmenter", &t)) {
		line("vmrun npt=%d pgd=0x%" PRIx64 " vmcb=0x%" PRIx64, !strstr(t, "nested_npt=n"),
		     strstr(t, "nested_cr3: ") ? number_after(t, "nested_cr3: ")
					       : number_after(t, "guest_cr3: "),
		     number_after(t, "vmcb: "));
	} else if (is_event(s, "kvm_nested_vmexit_inject", &t)) {
		reason = strstr(t, "reason: ");
		line("vmexit reason=%.*s info1=0x%" PRIx64 " info2=0x%" PRIx64,
		     reason ? (int)strcspn(reason + 8, " ") : 1, reason ? reason + 8 : "?",
		     number_after(t, "ext_inf1: "), number_after(t, "ext_inf2: "));
	} else if (is_event(s, "cr0", &t) || is_event(s, "cr3", &t) || is_event(s, "cr4", &t)) {
		line("cr n=%c value=0x%" PRIx64, s[2], number_after(t, "value="));
	} else if (is_event(s, "kvm_msr", &t)) {
		if (sscanf(t, "msr_write %x = %" SCNx64, &msr, &value) == 2 && msr == MSR_EFER)
			line("efer value=0x%" PRIx64, value);
	} else if (is_event(s, "kvm_emulate_insn", &t)) {
		line("saw emulate %s", t);
	} else if (is_event(s, "kvm_inj_exception", &t)) {
		line("saw inject %s", t);
	} else if (is_event(s, "tracing_mark_write", &t)) {
		line("%s", t);
	} else if (is_event(s, "write", &t)) {
		len = number_after(t, "len=");
		value = number_after(t, "value=");
		if (len < 8)
			value &= (1ull << (8 * len)) - 1;
		line("write gpa=0x%" PRIx64 " len=%u value=0x%" PRIx64, number_after(t, "gpa="), len, value);
	} else if (is_event(s, "invlpg", &t)) {
		line("invlpg addr=0x%" PRIx64, number_after(t, "addr="));
	} else {
		/*
		 * Our other kprobes print "name: (function+...) args"; the rest is a tracepoint's own text.
		 */
		size_t n = strcspn(s, ":");

		t = s[n] ? s + n + 1 + (s[n + 1] == ' ') : "";
		if (*t == '(')
			t = strchr(t, ')') ? strchr(t, ')') + 1 : t;
		line("saw %.*s %s", (int)n, s, t + (*t == ' '));
	}
}

/* "task-pid  [cpu] flags  time: event: text"; a comment line begins with '#'. */
static void pipe_line(char *s)
{
	char *p = strstr(s, "] "), *time_end;

	if (strstr(s, "LOST"))
		vmm_fail(VMM_ENVIRONMENT, "--trace: the kernel lost events");
	if (*s == '#' || !p)
		return;
	time_end = strstr(p, ": ");
	if (time_end)
		event(time_end + 2);
}

/* Empties the buffer. Only while the vCPU thread is not in KVM_RUN, or by that thread. */
static void drain(void)
{
	char *newline;
	ssize_t n;

	for (;;) {
		n = read(tr.pipe_fd, tr.buf + tr.len, sizeof(tr.buf) - 1 - tr.len);
		if (n <= 0)
			break;
		tr.len += n;
		tr.buf[tr.len] = 0;
		while ((newline = strchr(tr.buf, '\n'))) {
			*newline = 0;
			pipe_line(tr.buf);
			tr.len -= newline + 1 - tr.buf;
			memmove(tr.buf, newline + 1, tr.len + 1);
		}
	}
}

static void overrun_check(void)
{
	char path[256], text[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/per_cpu/cpu0/stats", tr.dir);
	f = fopen(path, "re");
	n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	text[n] = 0;
	if (f)
		fclose(f);
	if (!n || number_after(text, "overrun: ") || number_after(text, "dropped events: "))
		vmm_fail(VMM_ENVIRONMENT, "--trace: the kernel lost events");
}

/* One guest page: the words that are not zero. */
static void page_line(struct vmm_vm *vm, uint64_t gfn)
{
	const uint64_t *page = mem_ptr(vm, gfn << GFN_SHIFT, 4096);

	if (!page)
		return;
	fprintf(tr.out, "page gfn=0x%" PRIx64, gfn);
	for (int i = 0; i < 512; i++)
		if (page[i])
			fprintf(tr.out, " %d:0x%" PRIx64, i, page[i]);
	fputc('\n', tr.out);
	tr.nr_lines++;
}

/* Every page of guest memory that holds page tables, as it is now. */
static void tables_write(struct vmm_vm *vm)
{
	const struct gf_param *p = vm->param;
	uint64_t i;

	for (i = 0; i < vm->nr_table_pages; i++)
		page_line(vm, (vm->table_gpa >> GFN_SHIFT) + i);
	if (p->mode != GF_NESTED)
		return;
	for (i = 0; i < p->nr_table; i++)
		page_line(vm, (p->npt_pool_gpa >> GFN_SHIFT) + i);
	for (i = 0; i < p->nr_l2_table; i++)
		page_line(vm, (p->l2_pool_gpa >> GFN_SHIFT) + i);
}

/* Host frames behind a slot, as runs of frames of one size; KPF_THP says what the host maps by 2M. */
static void backing_write(struct vmm_slot *slot)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
	    kpageflags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t n = slot->size_bytes >> GFN_SHIFT, start = 0, *pfn = calloc(n + 1, 8),
		 *huge = calloc(n + 1, 8);

	if (pagemap < 0 || kpageflags < 0 || !pfn || !huge)
		vmm_fail(VMM_ENVIRONMENT, "--trace: pagemap and kpageflags: %s", strerror(errno));
	if (pread(pagemap, pfn, n * 8, (uintptr_t)slot->hva >> GFN_SHIFT << 3) != (ssize_t)(n * 8))
		vmm_fail(VMM_ENVIRONMENT, "--trace: pagemap: %s", strerror(errno));
	for (uint64_t i = 0; i < n; i++) {
		uint64_t flags = 0;

		if (!(pfn[i] & PAGEMAP_PRESENT))
			vmm_fail(VMM_ENVIRONMENT, "--trace: a page of guest memory is not there");
		pfn[i] &= PFN_MASK;
		if (pread(kpageflags, &flags, 8, pfn[i] * 8) == 8)
			huge[i] = flags >> KPF_THP & 1;
	}
	for (uint64_t i = 1; i <= n; i++) {
		if (i < n && pfn[i] == pfn[i - 1] + 1 && huge[i] == huge[start])
			continue;
		line("back gfn=0x%" PRIx64 " npages=%" PRIu64 " level=%d pfn=0x%" PRIx64,
		     (slot->gpa >> GFN_SHIFT) + start, i - start, huge[start] ? 2 : 1, pfn[start]);
		start = i;
	}
	free(pfn);
	free(huge);
	close(pagemap);
	close(kpageflags);
}

static void param_read(const char *path, char text[32])
{
	FILE *f = fopen(path, "re");

	strcpy(text, "?");
	if (f) {
		if (fgets(text, 32, f))
			text[strcspn(text, "\n")] = 0;
		fclose(f);
	}
}

static void head_write(struct vmm_vm *vm)
{
	const struct vmm_opts *o = &vm->vmm->opts;
	char npt[32], tdp_mmu[32];
	struct kvm_sregs s;
	struct utsname uts;

	uname(&uts);
	param_read("/sys/module/kvm_amd/parameters/npt", npt);
	param_read("/sys/module/kvm/parameters/tdp_mmu", tdp_mmu);
	line("mmuscope-trace 1");
	line("run kernel=%s seed=0x%" PRIx64 " mode=%s paging=%s npt=%s tdp_mmu=%s phys_bits=%u", uts.release,
	     vm->seed, opts_mode_name(o), opts_paging_name(o), npt, tdp_mmu, vm->vmm->phys_bits);
	line("limit nr_mmu_pages=%" PRIu64, vm->nr_mmu_pages);
	for (int i = 0; i < NR_SLOTS; i++) {
		if (!vm->slot[i].size_bytes)
			continue;
		line("slot id=%d gfn=0x%" PRIx64 " npages=%" PRIu64 " flags=0x%x hva=0x%" PRIxPTR, i,
		     vm->slot[i].gpa >> GFN_SHIFT, vm->slot[i].size_bytes >> GFN_SHIFT, vm->slot[i].flags,
		     (uintptr_t)vm->slot[i].hva);
		backing_write(&vm->slot[i]);
	}
	vmm_ioctl(vm->vcpu[0].fd, KVM_GET_SREGS, &s, "KVM_GET_SREGS");
	line("regs cr0=0x%llx cr3=0x%llx cr4=0x%llx efer=0x%llx", s.cr0, s.cr3, s.cr4, s.efer);
	tables_write(vm);
}

void trace_open(struct vmm *vmm)
{
	struct vmm_vm *vm = &vmm->vm[0];
	char path[256];

	if (!vmm->opts.trace)
		return;
	tr.out = fopen(vmm->opts.trace, "we");
	if (!tr.out)
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", vmm->opts.trace, strerror(errno));
	snprintf(tr.dir, sizeof(tr.dir), TRACEFS "/instances/vmm-%d", getpid());
	if (mkdir(tr.dir, 0700))
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", tr.dir, strerror(errno));
	file_write_must("tracing_on", "0", 0);
	file_write_must("buffer_size_kb", BUFFER_KB, 0);
	file_write_must("options/overwrite", "0", 0);
	/* KVM's changes to its tables are seen where they happen, and no other thread's are. */
	snprintf(path, sizeof(path), "%s/trace_pipe", tr.dir);
	tr.pipe_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (tr.pipe_fd < 0)
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", path, strerror(errno));
	probes_define();
	head_write(vm);
}

void trace_thread(struct vmm_vcpu *vcpu)
{
	char text[64];
	cpu_set_t set;

	if (!tr.out)
		return;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		vmm_fail(VMM_ENVIRONMENT, "sched_setaffinity: %s", strerror(errno));
	snprintf(text, sizeof(text), "%d", vcpu->tid);
	file_write_must("set_event_pid", text, 0);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), "events/%s/enable", events[i]);
		file_write_must(path, "1", 0);
	}
	file_write_must("events/" GROUP "/enable", "1", 0);
	file_write_must("tracing_on", "1", 0);
}

void trace_trap(struct vmm_vcpu *vcpu, enum gf_trap trap)
{
	struct kvm_regs regs;

	if (!tr.out)
		return;
	vmm_ioctl(vcpu->fd, KVM_GET_REGS, &regs, "KVM_GET_REGS");
	drain();
	switch (trap) {
	case GF_TRAP_TABLES:
		/* The first page of their pool is the root; all else of L2's registers is as L1's. */
		line("l2 cr3=0x%" PRIx64, (uint64_t)vcpu->vm->param->l2_pool_gpa);
		tables_write(vcpu->vm);
		break;
	case GF_TRAP_STORE:
		line("store gpa=0x%llx len=%llu value=0x%llx", regs.rdi, regs.rcx, regs.rsi);
		break;
	default:
		vmm_fail(VMM_GUEST, "unknown trap %d", trap);
	}
}

void trace_checkpoint(struct vmm *vmm, uint64_t checkpoint)
{
	if (!tr.out)
		return;
	drain();
	overrun_check();
	line("checkpoint n=%" PRIu64, checkpoint);
	/* What the tables came to: accessed and dirty bits that KVM and the CPU have set. */
	tables_write(&vmm->vm[0]);
	line("end checkpoint=%" PRIu64 " lines=%lu", checkpoint, tr.nr_lines + 1);
	fflush(tr.out);
	if (ferror(tr.out))
		vmm_fail(VMM_ENVIRONMENT, "%s: %s", vmm->opts.trace, strerror(errno));
}

void trace_dirty_get(enum vmm_slot_id id, const uint64_t *bitmap, uint64_t nr_words)
{
	if (!tr.out)
		return;
	fprintf(tr.out, "dirtyget slot=%d", id);
	for (uint64_t i = 0; i < nr_words; i++)
		if (bitmap[i])
			fprintf(tr.out, " %" PRIu64 ":0x%" PRIx64, i, bitmap[i]);
	fputc('\n', tr.out);
	tr.nr_lines++;
}

void trace_close(void)
{
	if (!tr.out)
		return;
	file_write("tracing_on", "0", 0);
	file_write("events/enable", "0", 0);
	/* What came behind the last checkpoint, for whoever looks into a failure. */
	drain();
	close(tr.pipe_fd);
	rmdir(tr.dir);
	probes_remove();
	fclose(tr.out);
	tr.out = NULL;
}
