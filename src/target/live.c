/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live target: the running kernel, read through four BPF programs (bpf/live.bpf.c). This file loads them
 * and moves bytes; what the bytes mean is kvm_read.c's and kvm_sps.c's. Nothing is written anywhere in the
 * kernel but in these programs' own maps.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/buf.h"
#include "base/guard.h"
#include "layout/layout.h"
#include "sym/sym.h"
#include "target/kmem.h"
#include "target/live.h"
#include "target/live_listen.h"
#include "target/target.h"

#include "live.skel.h"

#define SYS_KVM "/sys/module/kvm"
/* 128 tables of 4 KiB fill a quarter of the buffer: the rest is headers and translations. */
#define DEFAULT_BUFFER_PAGES 256
#define MAX_BUFFER_PAGES 4096

struct live {
	struct ms_layout layout;
	struct ms_kmem kmem;
	struct ms_rec_host host;
	struct live_bpf *skel;
	struct bpf_link *files_link;
	struct ms_kreq *reqs; /* mapped */
	const u8 *buf; /* mapped, read-only */
	size_t reqs_bytes, buf_bytes;
	struct ms_kfile *files; /* of the last enumeration */
	size_t nr_files, cap_files;
	u32 max_reqs; /* per call */
};

/*
 * libbpf tells what went wrong in words, to a callback without a context: the first warning of a failing call
 * is kept here for the error. The one mutable static of the program.
 */
static _Thread_local char bpf_says[256];

static int bpf_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[1024];
	size_t len;

	if (level != LIBBPF_WARN || bpf_says[0])
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	len = strcspn(line, "\n");
	line[len < sizeof(bpf_says) ? len : sizeof(bpf_says) - 1] = '\0';
	memcpy(bpf_says, line, sizeof(bpf_says) - 1);
	return 0;
}

struct ms_err *ms_live_err(int err, const char *what)
{
	struct ms_err *e = ms_err_errno(MS_ERR_TARGET, err < 0 ? -err : err, "live: %s", what);

	if (err == -EPERM || err == EPERM)
		return ms_err_hint(
			e, "reading the live kernel needs root, or CAP_BPF, CAP_PERFMON and CAP_SYSLOG: see "
			   "'mmuscope doctor'");
	if (bpf_says[0])
		return ms_err_hint(e, "%s (see 'mmuscope doctor')", bpf_says);
	return ms_err_hint(e, "see 'mmuscope doctor'");
}

const char *ms_live_says(void)
{
	return bpf_says;
}

void ms_live_says_reset(void)
{
	bpf_says[0] = '\0';
	libbpf_set_print(bpf_print);
}

struct ms_kmem *ms_live_kmem(struct ms_target *target)
{
	return &((struct live *)target->priv)->kmem;
}

static struct ms_err *live_batch(struct live *live, struct ms_kread *reqs, size_t nr)
{
	struct ms_kread_args args = { .nr = (u32)nr };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));
	size_t i;
	int err;

	err = bpf_prog_test_run_opts(bpf_program__fd(live->skel->progs.kread), &opts);
	if (err || opts.retval)
		return ms_live_err(err ? err : -EIO, "reading kernel memory");
	for (i = 0; i < nr; i++) {
		reqs[i].status = live->reqs[i].status;
		if (!reqs[i].status)
			memcpy(reqs[i].dst, live->buf + live->reqs[i].off, reqs[i].len);
	}
	return NULL;
}

static struct ms_err *live_read(struct ms_kmem *kmem, struct ms_kread *reqs, size_t nr)
{
	struct live *live = kmem->priv;
	struct ms_err *err = NULL;
	size_t from = 0, i;
	u32 off = 0, n = 0;

	for (i = 0; !err && i < nr; i++) {
		u32 len = reqs[i].len;

		if (!len || len > MS_KREAD_MAX_LEN)
			return ms_err_new(MS_ERR_BUG, "a read of %u bytes", len);
		live->reqs[n].addr = reqs[i].addr;
		live->reqs[n].len = len;
		live->reqs[n].off = off;
		live->reqs[n].status = 0;
		off += (len + 7) & ~7u;
		n++;
		if (i + 1 == nr || n == live->max_reqs || off > MS_KREAD_BUF_BYTES - MS_KREAD_MAX_LEN) {
			err = live_batch(live, reqs + from, n);
			from = i + 1;
			off = n = 0;
		}
	}
	return err;
}

static struct ms_err *live_chase(struct ms_kmem *kmem, struct ms_chase_args *args, u64 *nodes)
{
	struct live *live = kmem->priv;
	/* A syscall program's context is copied back into ctx_in; ctx_out must not be set. */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(*args));
	u32 max = args->max, got = 0;
	u64 *out = nodes;
	int err;

	/* The buffer may be shorter than what is asked for: go on from where it ended. */
	do {
		args->max = max - got < MS_KREAD_BUF_BYTES / 8 ? max - got : MS_KREAD_BUF_BYTES / 8;
		err = bpf_prog_test_run_opts(bpf_program__fd(live->skel->progs.chase), &opts);
		if (err || opts.retval)
			return ms_live_err(err ? err : -EIO, "following a kernel list");
		memcpy(out + got, live->buf, args->nr * 8ull);
		got += args->nr;
	} while (args->end == MS_CHASE_MAX && args->nr && got < max);
	args->nr = got;
	args->max = max;
	return NULL;
}

/* Every file of KVM that some process has open, as of now. */
static struct ms_err *live_files(struct live *live)
{
	MS_CLOSE int fd = bpf_iter_create(bpf_link__fd(live->files_link));
	struct ms_kfile chunk[64];
	ssize_t got;

	if (fd < 0)
		return ms_live_err(fd, "listing KVM's files");
	live->nr_files = 0;
	for (;;) {
		struct ms_kfile *grown;
		size_t have = 0;

		/* Records arrive whole, but a read may end within one: take it up where it stopped. */
		while (have < sizeof(chunk)) {
			got = read(fd, (char *)chunk + have, sizeof(chunk) - have);
			if (got < 0 && (errno == EINTR || errno == EAGAIN))
				continue;
			if (got < 0)
				return ms_live_err(-errno, "listing KVM's files");
			if (!got)
				break;
			have += (size_t)got;
		}
		have /= sizeof(chunk[0]);
		grown = ms_grow(live->files, &live->cap_files, live->nr_files + have + 1, sizeof(*grown));
		if (!grown)
			return ms_err_nomem();
		live->files = grown;
		memcpy(grown + live->nr_files, chunk, have * sizeof(chunk[0]));
		live->nr_files += have;
		if (have < sizeof(chunk) / sizeof(chunk[0]))
			return NULL;
	}
}

/*
 * A VM ends with its last file, whoever holds it by then. One that is known by its vCPUs' files alone cannot
 * be judged by files: its walk's own confirmation has to do.
 */
static struct ms_err *live_alive(struct ms_kmem *kmem, u64 kvm, bool *ret)
{
	struct live *live = kmem->priv;
	struct ms_kfile *before = live->files;
	size_t nr_before = live->nr_files, i, k;
	struct ms_err *err;
	bool had = false;

	live->files = NULL;
	live->cap_files = 0;
	err = live_files(live);
	*ret = false;
	for (i = 0; i < nr_before; i++) {
		if (before[i].kind != MS_FD_VM || before[i].private_data != kvm)
			continue;
		had = true;
		for (k = 0; !err && k < live->nr_files; k++)
			*ret |= live->files[k].private_data == kvm;
	}
	if (!had || err)
		*ret = true;
	free(live->files);
	live->files = before;
	live->nr_files = nr_before;
	live->cap_files = nr_before; /* what is known to fit */
	return err;
}

/* In doctor's words (doctor.c). */
static struct ms_err *kvm_missing(void)
{
	const char *what = "KVM is not loaded";

	if (!access("/sys/module/kvm", F_OK))
		what = access("/sys/module/kvm_intel", F_OK) && access("/sys/module/kvm_amd", F_OK)
			       ? "no vendor module (kvm_intel or kvm_amd)"
			       : "the kernel does not name KVM's file operations";
	return ms_err_hint(ms_err_new(MS_ERR_TARGET, "live: %s", what),
			   "load kvm_intel or kvm_amd, or open a snapshot with -T snap:FILE");
}

static const struct ms_sym ksyms_wanted[MS_KSYM_NR] = {
#define KSYM(id, sym_name, sym_module) [MS_KSYM_##id] = { .name = sym_name, .module = sym_module },
#include "target/ksyms.def"
#undef KSYM
};

/* Can the kernel's iterator over its symbols be used? */
static bool has_ksym_iter(const struct ms_layout *l)
{
	return l->f[MS_F_ksym_value].present && l->f[MS_F_ksym_name].present &&
	       l->f[MS_F_ksym_module].present && l->f[MS_F_ksym_show_value].present;
}

/* Without the iterator /proc/kallsyms says the same, as 200,000 lines of text that take five times as long.
 */
static struct ms_err *live_symbols(struct live *live)
{
	struct ms_sym syms[MS_KSYM_NR];
	struct bpf_link *link = NULL;
	struct ms_err *err;
	size_t i;

	memcpy(syms, ksyms_wanted, sizeof(syms));
	if (has_ksym_iter(&live->layout)) {
		MS_CLOSE int fd = -1;

		link = bpf_program__attach_iter(live->skel->progs.ksyms, NULL);
		if (!link)
			return ms_live_err(-errno, "attaching the iterator over symbols");
		fd = bpf_iter_create(bpf_link__fd(link));
		err = fd < 0 ? ms_live_err(fd, "listing the kernel's symbols")
			     : ms_ksyms_read(fd, syms, MS_KSYM_NR);
		bpf_link__destroy(link);
	} else {
		err = ms_sym_lookup(NULL, syms, MS_KSYM_NR);
	}
	if (err)
		return ms_err_wrap(err, "live");
	for (i = 0; i < MS_KSYM_NR; i++)
		live->kmem.sym[i] = syms[i].addr;
	if (!live->kmem.sym[MS_KSYM_kvm_vm_fops] || !live->kmem.sym[MS_KSYM_kvm_vcpu_fops])
		return kvm_missing();
	live->skel->bss->addr_kvm_vm_fops = live->kmem.sym[MS_KSYM_kvm_vm_fops];
	live->skel->bss->addr_kvm_vcpu_fops = live->kmem.sym[MS_KSYM_kvm_vcpu_fops];
	if (!live->kmem.sym[MS_KSYM_page_offset_base] || !live->kmem.sym[MS_KSYM_vmemmap_base] ||
	    !live->kmem.sym[MS_KSYM_max_pfn])
		return ms_err_new(MS_ERR_TARGET, "live: this kernel does not say where its memory is mapped "
						 "(page_offset_base, vmemmap_base, max_pfn)");
	return NULL;
}

static void *map_mmap(struct bpf_map *map, size_t bytes, int prot)
{
	void *at = mmap(NULL, bytes, prot, MAP_SHARED, bpf_map__fd(map), 0);

	return at == MAP_FAILED ? NULL : at;
}

static struct ms_err *live_load(struct live *live)
{
	const struct ms_layout *l = &live->layout;
	struct live_bpf *skel;
	long page = sysconf(_SC_PAGESIZE);
	int err;

	ms_live_says_reset();
	skel = live->skel = live_bpf__open();
	if (!skel)
		return ms_live_err(-errno, "opening the BPF programs");
	skel->rodata->off_file_f_op = l->f[MS_F_file_f_op].off;
	skel->rodata->off_file_private_data = l->f[MS_F_file_private_data].off;
	skel->rodata->off_task_tgid = l->f[MS_F_task_tgid].off;
	skel->rodata->off_task_comm = l->f[MS_F_task_comm].off;
	skel->rodata->off_ksym_value = l->f[MS_F_ksym_value].off;
	skel->rodata->off_ksym_name = l->f[MS_F_ksym_name].off;
	skel->rodata->off_ksym_module = l->f[MS_F_ksym_module].off;
	skel->rodata->off_ksym_show_value = l->f[MS_F_ksym_show_value].off;
	ms_ksyms_want(ksyms_wanted, MS_KSYM_NR, (u64 *)skel->rodata->ksyms_wanted);
	bpf_program__set_autoload(skel->progs.ksyms, has_ksym_iter(l));
	err = live_bpf__load(skel);
	if (err)
		return ms_live_err(err, "loading the BPF programs");
	live->files_link = bpf_program__attach_iter(skel->progs.files, NULL);
	if (!live->files_link)
		return ms_live_err(-errno, "attaching the iterator over files");
	live->reqs_bytes =
		(MS_KREAD_MAX_REQS * sizeof(struct ms_kreq) + (size_t)page - 1) & ~((size_t)page - 1);
	live->buf_bytes = MS_KREAD_BUF_BYTES;
	live->reqs = map_mmap(skel->maps.reqs, live->reqs_bytes, PROT_READ | PROT_WRITE);
	live->buf = map_mmap(skel->maps.buf, live->buf_bytes, PROT_READ);
	if (!live->reqs || !live->buf)
		return ms_live_err(-errno, "mapping the BPF maps");
	return NULL;
}

/* Where the direct map begins and ends: the kernel's own variables. They are in its image, which may always
 * be read. */
static struct ms_err *live_memory(struct live *live)
{
	struct ms_kmem *kmem = &live->kmem;
	u64 page_offset = 0, vmemmap = 0, max_pfn = 0;
	struct ms_kread reqs[] = {
		{ .addr = kmem->sym[MS_KSYM_page_offset_base], .len = 8, .dst = &page_offset },
		{ .addr = kmem->sym[MS_KSYM_vmemmap_base], .len = 8, .dst = &vmemmap },
		{ .addr = kmem->sym[MS_KSYM_max_pfn], .len = 8, .dst = &max_pfn },
	};
	struct ms_err *err = ms_kmem_read(kmem, reqs, 3);

	if (err)
		return err;
	if (reqs[0].status || reqs[1].status || reqs[2].status || !page_offset || !max_pfn)
		return ms_err_hint(ms_err_new(MS_ERR_TARGET, "live: kernel memory cannot be read"),
				   "lockdown in confidentiality mode forbids it: see 'mmuscope doctor'");
	kmem->page_offset = page_offset;
	kmem->vmemmap = vmemmap;
	kmem->max_pfn = max_pfn;
	return NULL;
}

static void live_close(struct ms_target *target)
{
	struct live *live = target->priv;

	if (!live)
		return;
	if (live->reqs)
		munmap(live->reqs, live->reqs_bytes);
	if (live->buf)
		munmap((void *)live->buf, live->buf_bytes);
	bpf_link__destroy(live->files_link);
	live_bpf__destroy(live->skel);
	free(live->files);
	free(live);
	target->priv = NULL;
}

static struct ms_err *live_open(struct ms_target *target, const char *arg, const struct ms_target_opts *opts)
{
	struct ms_layout_plan plan;
	struct utsname uts;
	struct live *live;
	struct ms_err *err;

	if (arg)
		return ms_err_new(MS_ERR_USAGE, "target '%s': 'live' takes no argument", target->spec);
	if (opts->buffer_pages > MAX_BUFFER_PAGES)
		return ms_err_new(MS_ERR_USAGE, "buffer of %u pages: at most %d", opts->buffer_pages,
				  MAX_BUFFER_PAGES);
	live = calloc(1, sizeof(*live));
	if (!live)
		return ms_err_nomem();
	target->priv = live;
	target->caps = MS_CAP_LIVE | MS_CAP_KREAD | MS_CAP_LISTEN | MS_CAP_FRAMES;
	live->max_reqs = MS_KREAD_MAX_REQS;
	live->kmem = (struct ms_kmem){
		.layout = &live->layout,
		.buffer_pages = opts->buffer_pages ? opts->buffer_pages : DEFAULT_BUFFER_PAGES,
		.read = live_read,
		.chase = live_chase,
		.alive = live_alive,
		.priv = live,
	};
	if (opts->buffer_pages && opts->buffer_pages * 4 < live->max_reqs)
		live->max_reqs = opts->buffer_pages * 4;
	err = access(SYS_KVM, F_OK) ? kvm_missing() : NULL;
	if (!err)
		err = ms_layout_plan("", opts->types, true, &plan);
	if (!err)
		err = ms_layout_load(&plan, &live->layout);
	if (!err)
		err = live_load(live);
	if (!err)
		err = live_symbols(live);
	if (!err)
		err = live_memory(live);
	if (!err)
		err = ms_kvm_read_host(&live->kmem, &live->host);
	if (err) {
		live_close(target);
		return err;
	}
	uname(&uts);
	snprintf(live->host.release, sizeof(live->host.release), "%.63s", uts.release);
	snprintf(live->host.target, sizeof(live->host.target), "live");
	return NULL;
}

static struct ms_err *live_target_read(struct ms_target *target, const struct ms_want *want,
				       const struct ms_sink *sink)
{
	struct live *live = target->priv;
	struct timespec ts;
	struct ms_err *err;

	err = live_files(live);
	if (err)
		return err;
	clock_gettime(CLOCK_REALTIME, &ts);
	live->host.time_ns = (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
	return ms_kvm_read(&live->kmem, &live->host, live->files, live->nr_files, want, sink);
}

static struct ms_err *live_target_kread(struct ms_target *target, struct ms_kread *reqs, size_t nr)
{
	struct live *live = target->priv;

	return ms_kmem_read(&live->kmem, reqs, nr);
}

static struct ms_err *live_frames(struct ms_target *target, u64 kvm, u32 as_id, struct ms_frame *frames,
				  size_t nr)
{
	struct live *live = target->priv;

	return ms_kvm_frames(&live->kmem, &live->host, kvm, as_id, frames, nr);
}

const struct ms_target_ops ms_target_live = {
	.name = "live",
	.summary = "the running kernel, through BPF; reads only, takes no lock",
	.open = live_open,
	.close = live_close,
	.frames = live_frames,
	.read = live_target_read,
	.kread = live_target_kread,
	.listen = ms_live_listen,
};
