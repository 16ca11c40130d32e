/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host allows: see doctor.h. Each check is one function that reads its files and writes one
 * finding, or a few that belong together.
 */
#include "config.h"

#include "target/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/guard.h"
#include "layout/layout.h"

/* uapi/linux/capability.h; written out so that older headers will do. */
#define CAP_SYS_PTRACE_BIT 19
#define CAP_SYS_ADMIN_BIT 21
#define CAP_SYSLOG_BIT 34
#define CAP_PERFMON_BIT 38
#define CAP_BPF_BIT 39
/* Inode numbers of the initial namespaces: include/linux/proc_ns.h. */
#define PROC_USER_INIT_INO 0xeffffffdu
#define PROC_PID_INIT_INO 0xeffffffcu

#define FOR_LIVE true
#define NOT_FOR_LIVE false

struct exam {
	const char *root;
	struct ms_doctor *out;
	unsigned long long caps; /* effective */
	bool caps_known;
	bool kvm_loaded, kvm_builtin;
	bool lockdown, module_loaded;
};

static struct ms_check *add(struct exam *x, const char *name, bool for_live, const char *needed_for)
{
	struct ms_check *check = &x->out->checks[x->out->nr++];

	*check = (struct ms_check){ .name = name, .for_live = for_live, .needed_for = needed_for };
	return check;
}

/* What was found; details quote files, so they are cleaned. */
static void MS_PRINTF(4, 5) found(struct ms_check *check, enum ms_check_status status, const char *what_to_do,
				  const char *fmt, ...)
{
	struct ms_buf clean = { 0 };
	char raw[sizeof(check->detail)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	ms_buf_put_clean(&clean, raw, strlen(raw));
	snprintf(check->detail, sizeof(check->detail), "%s", ms_buf_str(&clean));
	ms_buf_deinit(&clean);
	check->status = status;
	check->what_to_do = what_to_do;
}

static void path_of(const struct exam *x, const char *path, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s%s", x->root, path);
}

static bool exists(const struct exam *x, const char *path)
{
	char full[PATH_MAX];

	path_of(x, path, full);
	return !access(full, F_OK);
}

/*
 * The first size - 1 bytes of a file without the newline at the end. Positive errno on failure, then text is
 * "".
 */
static int read_text(const struct exam *x, const char *path, char *text, size_t size)
{
	char full[PATH_MAX];
	MS_CLOSE int fd = -1;
	size_t len = 0;
	ssize_t got;

	text[0] = '\0';
	path_of(x, path, full);
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno;
	while (len < size - 1) {
		got = read(fd, text + len, size - 1 - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			text[0] = '\0';
			return errno;
		}
		if (!got)
			break;
		len += (size_t)got;
	}
	text[len] = '\0';
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	return 0;
}

static bool read_number(const struct exam *x, const char *path, long *ret)
{
	char text[32], *end;

	if (read_text(x, path, text, sizeof(text)))
		return false;
	errno = 0;
	*ret = strtol(text, &end, 10);
	return end != text && !*end && !errno;
}

/* --- the program and the kernel --- */

static void check_build(struct exam *x)
{
	struct ms_check *check = add(x, "build", FOR_LIVE, "the live target");

#ifdef WITH_BPF
	found(check, MS_CHECK_OK, NULL, "built with BPF");
#else
	found(check, MS_CHECK_MISSING, "build with libbpf, clang and bpftool installed", "built without BPF");
#endif
}

static void check_machine(struct exam *x)
{
	struct ms_check *check = add(x, "machine", FOR_LIVE, "reading KVM's x86 MMU");
	char arch[64];

	/* The file is there since 6.1. */
	if (read_text(x, "/proc/sys/kernel/arch", arch, sizeof(arch)))
		found(check, MS_CHECK_UNKNOWN, NULL, "the kernel does not say what it runs on");
	else if (strcmp(arch, "x86_64"))
		found(check, MS_CHECK_MISSING, "run on x86-64, or look at a snapshot", "%s", arch);
	else
		found(check, MS_CHECK_OK, NULL, "%s", arch);
}

static void check_kernel(struct exam *x)
{
	struct ms_check *check = add(x, "kernel", FOR_LIVE, "the live target: tested on 6.1 and 6.12");
	char release[80];
	unsigned int major = 0, minor = 0;

	if (read_text(x, "/proc/sys/kernel/osrelease", release, sizeof(release)) ||
	    sscanf(release, "%u.%u", &major, &minor) != 2)
		found(check, MS_CHECK_UNKNOWN, NULL, "no release that could be read: '%s'", release);
	else if (major < 5 || (major == 5 && minor < 17))
		/* 5.17 brought bpf_loop(), three releases after BPF_PROG_TYPE_SYSCALL. */
		found(check, MS_CHECK_MISSING, "use Linux 6.1 or 6.12", "%s, older than 5.17", release);
	else if (major == 6 && (minor == 1 || minor == 12))
		found(check, MS_CHECK_OK, NULL, "%s, tested", release);
	else
		found(check, MS_CHECK_LIMITED, "compare with 6.1 or 6.12 where an answer surprises",
		      "%s, not tested", release);
}

static void check_bpf_syscall(struct exam *x)
{
	struct ms_check *check = add(x, "bpf", FOR_LIVE, "the live target");

	/* The file comes with CONFIG_BPF_SYSCALL. */
	if (exists(x, "/proc/sys/kernel/unprivileged_bpf_disabled"))
		found(check, MS_CHECK_OK, NULL, "the kernel has bpf(2)");
	else if (exists(x, "/proc/sys/kernel"))
		found(check, MS_CHECK_MISSING, "use a kernel with CONFIG_BPF_SYSCALL",
		      "the kernel has no bpf(2)");
	else
		found(check, MS_CHECK_UNKNOWN, "mount /proc", "/proc/sys/kernel is not there");
}

/* --- KVM --- */

static void check_kvm(struct exam *x)
{
	struct ms_check *check =
		add(x, "kvm", FOR_LIVE, "the live target: there is no MMU to look at without it");

	x->kvm_loaded = exists(x, "/sys/module/kvm");
	/* A module that was loaded has a state; one that is built in has none. */
	x->kvm_builtin = x->kvm_loaded && !exists(x, "/sys/module/kvm/initstate");
	if (x->kvm_loaded)
		found(check, MS_CHECK_OK, NULL, x->kvm_builtin ? "built into the kernel" : "loaded");
	else if (exists(x, "/sys/module"))
		found(check, MS_CHECK_MISSING, "load kvm_intel or kvm_amd", "not loaded");
	else
		found(check, MS_CHECK_UNKNOWN, "mount /sys", "/sys/module is not there");
}

static void switch_state(struct exam *x, struct ms_check *check, const char *path,
			 enum ms_check_status when_off, const char *on, const char *off,
			 const char *what_to_do)
{
	char text[16];
	int err = read_text(x, path, text, sizeof(text));

	if (err)
		found(check, MS_CHECK_UNKNOWN, NULL, "%s: %s", path, strerror(err));
	else if (!strcmp(text, "Y") || !strcmp(text, "1"))
		found(check, MS_CHECK_OK, NULL, "%s", on);
	else if (!strcmp(text, "N") || !strcmp(text, "0"))
		found(check, when_off, when_off == MS_CHECK_OK ? NULL : what_to_do, "%s", off);
	else
		found(check, MS_CHECK_UNKNOWN, NULL, "%s: '%s'", path, text);
}

static void check_vendor(struct exam *x)
{
	struct ms_check *check =
		add(x, "kvm-vendor", FOR_LIVE, "the live target: guests, and so something to look at");
	bool amd = exists(x, "/sys/module/kvm_amd"), intel = exists(x, "/sys/module/kvm_intel");

	if (!amd && !intel) {
		found(check, MS_CHECK_MISSING, "load kvm_intel or kvm_amd",
		      "no vendor module (kvm_intel or kvm_amd)");
		return;
	}
	found(check, MS_CHECK_OK, NULL, amd ? "kvm_amd" : "kvm_intel");
	switch_state(x, add(x, "nested", NOT_FOR_LIVE, "guests that are hypervisors themselves"),
		     amd ? "/sys/module/kvm_amd/parameters/nested"
			 : "/sys/module/kvm_intel/parameters/nested",
		     MS_CHECK_LIMITED, "on", "off", "reload the module with nested=1");
	switch_state(x,
		     add(x, amd ? "npt" : "ept", NOT_FOR_LIVE,
			 "nested paging: without it every guest has shadow page tables"),
		     amd ? "/sys/module/kvm_amd/parameters/npt" : "/sys/module/kvm_intel/parameters/ept",
		     MS_CHECK_LIMITED, "on", "off",
		     amd ? "reload the module with npt=1" : "reload the module with ept=1");
}

static void check_tdp_mmu(struct exam *x)
{
	if (!x->kvm_loaded)
		return;
	/* Either way its pages are shown. */
	switch_state(x, add(x, "tdp-mmu", NOT_FOR_LIVE, "knowing on which side direct pages are kept"),
		     "/sys/module/kvm/parameters/tdp_mmu", MS_CHECK_OK, "on: direct pages are the TDP MMU's",
		     "off: direct pages are on the legacy list", NULL);
}

static void check_dev_kvm(struct exam *x)
{
	struct ms_check *check =
		add(x, "dev-kvm", NOT_FOR_LIVE, "starting guests; mmuscope itself does not open it");
	char full[PATH_MAX];
	struct stat st;

	path_of(x, "/dev/kvm", full);
	if (stat(full, &st))
		found(check, MS_CHECK_LIMITED,
		      "load kvm_intel or kvm_amd, switch virtualisation on in the firmware", "/dev/kvm: %s",
		      strerror(errno));
	else
		found(check, MS_CHECK_OK, NULL, "/dev/kvm");
}

/* --- types --- */

static void check_btf_file(struct exam *x, struct ms_check *check, const char *path, const char *what_to_do)
{
	char full[PATH_MAX], magic[3];
	int err = read_text(x, path, magic, sizeof(magic));
	struct stat st;

	path_of(x, path, full);
	if (err)
		found(check, err == EACCES || err == EPERM ? MS_CHECK_UNKNOWN : MS_CHECK_MISSING, what_to_do,
		      "%s: %s", path, strerror(err));
	else if (stat(full, &st) || memcmp(magic, "\x9f\xeb", 2)) /* struct btf_header.magic, little-endian */
		found(check, MS_CHECK_MISSING, what_to_do, "%s holds no BTF", path);
	else
		found(check, MS_CHECK_OK, NULL, "%s, %lld bytes", path, (long long)st.st_size);
}

static void check_btf(struct exam *x)
{
	check_btf_file(x, add(x, "btf", FOR_LIVE, "knowing where this kernel keeps its fields"),
		       "/sys/kernel/btf/vmlinux", "use a kernel with CONFIG_DEBUG_INFO_BTF");
}

static void check_module_btf(struct exam *x)
{
	/* Debug files can stand in for it: see check_types(). */
	struct ms_check *check = add(x, "btf-kvm", NOT_FOR_LIVE,
				     "knowing where KVM keeps its fields, without debug files; events");

	if (!x->kvm_loaded)
		found(check, MS_CHECK_UNKNOWN, "load kvm_intel or kvm_amd", "kvm is not loaded");
	else if (x->kvm_builtin)
		found(check, MS_CHECK_OK, NULL, "kvm is built in: its types are among the kernel's");
	else
		check_btf_file(x, check, "/sys/kernel/btf/kvm",
			       "use a kernel with CONFIG_DEBUG_INFO_BTF_MODULES");
}

/* Without the places that were looked at, which the live target's error tells. */
static int where_len(const char *text)
{
	const char *places = strstr(text, ": looked for");

	return places ? (int)(places - text) : (int)strlen(text);
}

/* From where the table of fields is made. debuginfod is not asked here. */
static void check_types(struct exam *x, const char *types)
{
	struct ms_check *check = add(x, "types", FOR_LIVE, "knowing where KVM keeps its fields");
	const char *urls = getenv("DEBUGINFOD_URLS");
	char text[sizeof(check->detail)] = "";
	struct ms_layout_plan plan;
	struct ms_err *err;

	if (!x->kvm_loaded) {
		found(check, MS_CHECK_UNKNOWN, "load kvm_intel or kvm_amd", "kvm is not loaded");
		return;
	}
	err = ms_layout_plan(x->root, types, false, &plan);
	if (!err) {
		ms_layout_plan_text(&plan, text, sizeof(text));
		if (plan.lacking[0])
			found(check, MS_CHECK_LIMITED, "install the debug files of this kernel", "%s; %.*s",
			      text, where_len(plan.lacking), plan.lacking);
		else
			found(check, MS_CHECK_OK, NULL, "%s", text);
	} else {
		const char *why = ms_err_text(err);

		if (urls && *urls)
			found(check, MS_CHECK_UNKNOWN, "use the live target: it asks debuginfod",
			      "%.*s here; DEBUGINFOD_URLS is set", where_len(why), why);
		else
			found(check, MS_CHECK_MISSING,
			      "install the debug files of this kernel (Debian: linux-image-VERSION-dbg), or set DEBUGINFOD_URLS",
			      "%.*s", where_len(why), why);
	}
	ms_err_free(err);
}

/* --- rights --- */

static void check_lockdown(struct exam *x)
{
	struct ms_check *check = add(x, "lockdown", FOR_LIVE, "reading kernel memory");
	char text[80], *mode, *end;
	int err = read_text(x, "/sys/kernel/security/lockdown", text, sizeof(text));

	/* Not there: no such module in this kernel, or securityfs is not mounted. */
	if (err) {
		found(check, MS_CHECK_UNKNOWN,
		      err == ENOENT ? "mount securityfs on /sys/kernel/security to know" : NULL,
		      "/sys/kernel/security/lockdown: %s", strerror(err));
		return;
	}
	/* "none [integrity] confidentiality": the one in brackets is in force. */
	mode = strchr(text, '[');
	end = mode ? strchr(mode, ']') : NULL;
	if (!end) {
		found(check, MS_CHECK_UNKNOWN, NULL, "/sys/kernel/security/lockdown: '%s'", text);
		return;
	}
	*end = '\0';
	mode++;
	x->lockdown = strcmp(mode, "none") != 0;
	if (!strcmp(mode, "none") || !strcmp(mode, "integrity"))
		found(check, MS_CHECK_OK, NULL, "%s", mode);
	else if (!strcmp(mode, "confidentiality"))
		found(check, MS_CHECK_MISSING, "boot without lockdown=confidentiality", "%s", mode);
	else
		found(check, MS_CHECK_UNKNOWN, NULL, "mode '%s'", mode);
}

static bool has_cap(const struct exam *x, int bit)
{
	return x->caps >> bit & 1;
}

static void read_caps(struct exam *x)
{
	char text[4096], *line;

	if (read_text(x, "/proc/self/status", text, sizeof(text)))
		return;
	line = strstr(text, "\nCapEff:");
	x->caps_known = line && sscanf(line + 8, "%llx", &x->caps) == 1;
}

static void check_cap(struct exam *x, const char *name, int bit, bool admin_will_do, const char *needed_for)
{
	struct ms_check *check = add(x, name, FOR_LIVE, needed_for);

	if (!x->caps_known)
		found(check, MS_CHECK_UNKNOWN, NULL, "/proc/self/status does not say");
	else if (has_cap(x, bit))
		found(check, MS_CHECK_OK, NULL, "held");
	else if (admin_will_do && has_cap(x, CAP_SYS_ADMIN_BIT))
		found(check, MS_CHECK_OK, NULL, "not held; CAP_SYS_ADMIN stands in for it");
	else
		found(check, MS_CHECK_MISSING, "run as root, or give the program the capability", "not held");
}

static void check_cap_admin(struct exam *x)
{
	struct ms_check *check = add(x, "CAP_SYS_ADMIN", NOT_FOR_LIVE,
				     "standing in for CAP_BPF and CAP_PERFMON; the kernel module");

	if (!x->caps_known)
		found(check, MS_CHECK_UNKNOWN, NULL, "/proc/self/status does not say");
	else
		found(check, MS_CHECK_OK, NULL,
		      has_cap(x, CAP_SYS_ADMIN_BIT) ? "held" : "not held, not needed");
}

static void check_syslog(struct exam *x)
{
	struct ms_check *check =
		add(x, "CAP_SYSLOG", NOT_FOR_LIVE, "addresses of kernel symbols: see kptr_restrict");

	if (!x->caps_known)
		found(check, MS_CHECK_UNKNOWN, NULL, "/proc/self/status does not say");
	else if (has_cap(x, CAP_SYSLOG_BIT))
		found(check, MS_CHECK_OK, NULL, "held");
	else
		found(check, MS_CHECK_LIMITED, "run as root, or give the program the capability", "not held");
}

/*
 * Who sees addresses in /proc/kallsyms: kernel/kallsyms.c (6.1), kernel/ksyms_common.c (6.12),
 * kallsyms_show_value().
 */
static void check_kptr(struct exam *x)
{
	struct ms_check *check = add(x, "kptr_restrict", FOR_LIVE, "addresses of kernel symbols");
	long restrict_level, paranoid = 2;

	if (!read_number(x, "/proc/sys/kernel/kptr_restrict", &restrict_level)) {
		found(check, MS_CHECK_UNKNOWN, NULL, "/proc/sys/kernel/kptr_restrict cannot be read");
		return;
	}
	if (restrict_level > 1) {
		found(check, MS_CHECK_MISSING, "sysctl kernel.kptr_restrict=1",
		      "%ld: addresses are hidden from everyone", restrict_level);
		return;
	}
	if (!x->caps_known) {
		found(check, MS_CHECK_UNKNOWN, NULL, "%ld, and it is not known whether CAP_SYSLOG is held",
		      restrict_level);
		return;
	}
	if (has_cap(x, CAP_SYSLOG_BIT)) {
		found(check, MS_CHECK_OK, NULL, "%ld, and CAP_SYSLOG is held", restrict_level);
		return;
	}
	if (restrict_level <= 0 && read_number(x, "/proc/sys/kernel/perf_event_paranoid", &paranoid) &&
	    paranoid <= 1) {
		found(check, MS_CHECK_OK, NULL, "%ld, and perf_event_paranoid is %ld", restrict_level,
		      paranoid);
		return;
	}
	found(check, MS_CHECK_MISSING, "run as root, or give the program CAP_SYSLOG",
	      "%ld: addresses are shown to CAP_SYSLOG, which is not held", restrict_level);
}

/* "pid:[4026531836]" */
static int ns_inode(const struct exam *x, const char *path, unsigned int *ret)
{
	char full[PATH_MAX], text[64];
	const char *open;
	ssize_t len;

	path_of(x, path, full);
	len = readlink(full, text, sizeof(text) - 1);
	if (len < 0)
		return errno;
	text[len] = '\0';
	open = strchr(text, '[');
	return open && sscanf(open, "[%u]", ret) == 1 ? 0 : EINVAL;
}

static void check_ns(struct exam *x, const char *name, const char *path, unsigned int initial,
		     enum ms_check_status otherwise, const char *needed_for, const char *what_to_do)
{
	struct ms_check *check = add(x, name, FOR_LIVE, needed_for);
	unsigned int inode = 0;
	int err = ns_inode(x, path, &inode);

	if (err)
		found(check, MS_CHECK_UNKNOWN, NULL, "%s: %s", path, strerror(err));
	else if (inode == initial)
		found(check, MS_CHECK_OK, NULL, "the initial one");
	else
		found(check, otherwise, what_to_do, "not the initial one (inode %u)", inode);
}

/* --- the kernel module: nothing else needs it --- */

static struct ms_check *add_for_module(struct exam *x, const char *name, const char *needed_for)
{
	struct ms_check *check = add(x, name, NOT_FOR_LIVE, needed_for);

	check->for_module = true;
	return check;
}

static void check_module(struct exam *x)
{
	struct ms_check *check =
		add_for_module(x, "module", "exact snapshots, write-protect flips, nmmu in the kernel");
	char version[40];

	x->module_loaded = exists(x, "/sys/module/mmuscope");
	if (!x->module_loaded)
		found(check, MS_CHECK_MISSING, "modprobe mmuscope", "mmuscope.ko is not loaded");
	else if (read_text(x, "/sys/module/mmuscope/version", version, sizeof(version)))
		found(check, MS_CHECK_OK, NULL, "loaded");
	else if (strcmp(version, PACKAGE_VERSION))
		found(check, MS_CHECK_LIMITED, "load the module of this release",
		      "loaded, version %s; this is %s", version, PACKAGE_VERSION);
	else
		found(check, MS_CHECK_OK, NULL, "loaded, version %s", version);
}

/* Where a build, DKMS and a distribution put it. */
static void check_module_file(struct exam *x, const char *release)
{
	static const char *const places[] = { "updates/mmuscope.ko", "updates/dkms/mmuscope.ko",
					      "updates/mmuscope.ko.xz", "updates/dkms/mmuscope.ko.xz",
					      "updates/dkms/mmuscope.ko.zst" };
	struct ms_check *check = add(x, "module-file", NOT_FOR_LIVE, "loading the kernel module");
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "/lib/modules/%s/%s", release, places[i]);
		if (exists(x, path)) {
			found(check, MS_CHECK_OK, NULL, "%s", path);
			return;
		}
	}
	found(check, x->module_loaded ? MS_CHECK_OK : MS_CHECK_MISSING,
	      x->module_loaded ? NULL : "configure --with-kmod and make install, or make install-dkms",
	      "none in /lib/modules/%s/updates", release);
}

static void check_module_headers(struct exam *x, const char *release)
{
	struct ms_check *check = add(x, "kernel-headers", NOT_FOR_LIVE, "building the kernel module");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/lib/modules/%s/build/Module.symvers", release);
	if (exists(x, path))
		found(check, MS_CHECK_OK, NULL, "/lib/modules/%s/build", release);
	else
		found(check, MS_CHECK_MISSING,
		      "install the running kernel's headers (Debian: linux-headers-amd64)",
		      "/lib/modules/%s/build is no build directory", release);
}

/* Would the kernel take a module that nobody it trusts has signed? kernel/module/signing.c, module_sig_check(). */
static void check_module_loading(struct exam *x)
{
	struct ms_check *check = add_for_module(x, "module-loading", "loading the kernel module");
	char enforce[8];
	long disabled = 0;

	if (x->module_loaded)
		found(check, MS_CHECK_OK, NULL, "it is loaded");
	else if (x->kvm_builtin)
		found(check, MS_CHECK_MISSING, "use a kernel whose KVM is a module",
		      "KVM is built in: it exports nothing");
	else if (!exists(x, "/proc/modules") && exists(x, "/proc/sys/kernel"))
		found(check, MS_CHECK_MISSING, "use a kernel with CONFIG_MODULES",
		      "this kernel loads no modules");
	else if (read_number(x, "/proc/sys/kernel/modules_disabled", &disabled) && disabled)
		found(check, MS_CHECK_MISSING,
		      "boot again, and load it before kernel.modules_disabled is set",
		      "kernel.modules_disabled is 1: no module can be loaded until the next boot");
	else if (x->lockdown)
		found(check, MS_CHECK_LIMITED,
		      "sign mmuscope.ko with a key of the firmware's list (mokutil), or boot without lockdown",
		      "lockdown: a module without a trusted signature is refused");
	else if (!read_text(x, "/sys/module/module/parameters/sig_enforce", enforce, sizeof(enforce)) &&
		 enforce[0] == 'Y')
		found(check, MS_CHECK_LIMITED,
		      "sign mmuscope.ko with a key that the kernel trusts, or boot without module.sig_enforce",
		      "module.sig_enforce: a module without a trusted signature is refused");
	else
		found(check, MS_CHECK_OK, NULL, "an unsigned module is taken, and taints the kernel");
}

static void check_module_rights(struct exam *x)
{
	struct ms_check *check =
		add_for_module(x, "module-rights", "opening /dev/mmuscope, taking a VM's descriptor");
	bool admin = has_cap(x, CAP_SYS_ADMIN_BIT), ptrace = has_cap(x, CAP_SYS_PTRACE_BIT);

	if (!x->caps_known)
		found(check, MS_CHECK_UNKNOWN, NULL, "/proc/self/status does not say");
	else if (admin && ptrace)
		found(check, MS_CHECK_OK, NULL, "CAP_SYS_ADMIN and CAP_SYS_PTRACE are held");
	else
		found(check, admin ? MS_CHECK_LIMITED : MS_CHECK_MISSING, "run as root",
		      admin ? "CAP_SYS_PTRACE is not held: only VMs of our own user's processes"
			    : "CAP_SYS_ADMIN is not held");
}

static void check_modules(struct exam *x)
{
	char release[80];

	check_module(x);
	if (!read_text(x, "/proc/sys/kernel/osrelease", release, sizeof(release)) && !strchr(release, '/')) {
		check_module_file(x, release);
		check_module_headers(x, release);
	}
	check_module_loading(x);
	check_module_rights(x);
}

/* --- all of it --- */

static enum ms_check_status sum_for(const struct ms_doctor *doctor, bool module)
{
	enum ms_check_status sum = MS_CHECK_OK;
	size_t i;

	for (i = 0; i < doctor->nr; i++) {
		const struct ms_check *check = &doctor->checks[i];

		if (!(module ? check->for_module : check->for_live))
			continue;
		if (check->status == MS_CHECK_MISSING)
			return MS_CHECK_MISSING;
		if (check->status == MS_CHECK_UNKNOWN)
			sum = MS_CHECK_UNKNOWN;
		else if (check->status == MS_CHECK_LIMITED && sum == MS_CHECK_OK)
			sum = MS_CHECK_LIMITED;
	}
	return sum;
}

void ms_doctor_run(const char *root, const char *types, struct ms_doctor *ret)
{
	struct exam x = { .root = root, .out = ret };

	memset(ret, 0, sizeof(*ret));
	read_caps(&x);
	check_build(&x);
	check_machine(&x);
	check_kernel(&x);
	check_bpf_syscall(&x);
	check_kvm(&x);
	check_vendor(&x);
	check_tdp_mmu(&x);
	check_dev_kvm(&x);
	check_btf(&x);
	check_module_btf(&x);
	check_types(&x, types);
	check_lockdown(&x);
	check_cap(&x, "CAP_BPF", CAP_BPF_BIT, true, "loading BPF programs");
	check_cap(&x, "CAP_PERFMON", CAP_PERFMON_BIT, true,
		  "BPF programs that read kernel memory and list files");
	check_syslog(&x);
	check_cap_admin(&x);
	check_kptr(&x);
	check_ns(&x, "user-namespace", "/proc/self/ns/user", PROC_USER_INIT_INO, MS_CHECK_MISSING,
		 "capabilities: they count in the initial one only", "run outside the container");
	check_ns(&x, "pid-namespace", "/proc/self/ns/pid", PROC_PID_INIT_INO, MS_CHECK_LIMITED,
		 "owners of VMs: only processes of our own one are seen", "run in the host's pid namespace");
	check_modules(&x);
	ret->live = sum_for(ret, false);
	ret->module = sum_for(ret, true);
	ret->snap = MS_CHECK_OK;
}

const struct ms_check *ms_doctor_find(const struct ms_doctor *doctor, const char *name)
{
	size_t i;

	for (i = 0; i < doctor->nr; i++)
		if (!strcmp(doctor->checks[i].name, name))
			return &doctor->checks[i];
	return NULL;
}

const char *ms_check_status_name(enum ms_check_status status)
{
	switch (status) {
	case MS_CHECK_OK:
		return "ok";
	case MS_CHECK_MISSING:
		return "missing";
	case MS_CHECK_LIMITED:
		return "limited";
	case MS_CHECK_UNKNOWN:
		return "unknown";
	}
	return "unknown";
}
