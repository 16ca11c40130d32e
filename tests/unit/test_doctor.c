/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The doctor against made-up /proc and /sys trees: a host where all is well, then each thing that can be
 * wrong, one at a time.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/doctor.h"

static char root[] = "/tmp/test_doctor.XXXXXX";

#ifdef WITH_BPF
#define ALL_WELL MS_CHECK_OK
#else
/* Without BPF in the build nothing makes the live target usable. */
#define ALL_WELL MS_CHECK_MISSING
#endif

static void full_path(const char *path, char out[256])
{
	snprintf(out, 256, "%s%s", root, path);
}

static void put(const char *path, const char *text)
{
	char full[256], *slash;
	int fd;

	full_path(path, full);
	for (slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(!mkdir(full, 0700) || errno == EEXIST);
		*slash = '/';
	}
	unlink(full);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void put_link(const char *path, const char *to)
{
	char full[256];

	put(path, "");
	full_path(path, full);
	assert_int_equal(unlink(full), 0);
	assert_int_equal(symlink(to, full), 0);
}

static void drop(const char *path)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s%s'", root, path);
	assert_int_equal(system(command), 0);
}

#define STATUS(caps) \
	"Name:\tmmuscope\nCapPrm:\t0000000000000000\nCapEff:\t" caps "\nCapBnd:\t000001ffffffffff\n"
#define ALL_CAPS STATUS("000001ffffffffff")

/* A Debian 12 host with kvm_amd, and we are root on it. */
static void good_host(void)
{
	drop("");
	assert_int_equal(mkdir(root, 0700), 0);
	put("/proc/sys/kernel/arch", "x86_64\n");
	put("/proc/sys/kernel/osrelease", "6.1.0-56-amd64\n");
	put("/proc/sys/kernel/unprivileged_bpf_disabled", "2\n");
	put("/proc/sys/kernel/kptr_restrict", "0\n");
	put("/proc/sys/kernel/perf_event_paranoid", "3\n");
	put("/proc/self/status", ALL_CAPS);
	put_link("/proc/self/ns/pid", "pid:[4026531836]");
	put_link("/proc/self/ns/user", "user:[4026531837]");
	put("/sys/module/kvm/initstate", "live\n");
	put("/sys/module/kvm/parameters/tdp_mmu", "Y\n");
	put("/sys/module/kvm_amd/parameters/nested", "1\n");
	put("/sys/module/kvm_amd/parameters/npt", "Y\n");
	put("/dev/kvm", "");
	put("/sys/kernel/btf/vmlinux", "\x9f\xeb\x01");
	put("/sys/kernel/btf/kvm", "\x9f\xeb\x01");
	put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	put("/proc/modules", "kvm 1 0 - Live 0x0\n");
	put("/sys/module/mmuscope/version", PACKAGE_VERSION "\n");
	put("/lib/modules/6.1.0-56-amd64/updates/dkms/mmuscope.ko", "");
	put("/lib/modules/6.1.0-56-amd64/build/Module.symvers", "");
}

static void want(const char *name, enum ms_check_status status, const char *detail, enum ms_check_status live)
{
	struct ms_doctor doctor;
	const struct ms_check *check;

	ms_doctor_run(root, NULL, &doctor);
	check = ms_doctor_find(&doctor, name);
	if (!check)
		fail_msg("no check '%s'", name);
	if (check->status != status || !strstr(check->detail, detail))
		fail_msg("%s is %s: '%s', not %s: '%s'", name, ms_check_status_name(check->status),
			 check->detail, ms_check_status_name(status), detail);
	if (status == MS_CHECK_MISSING && strcmp(name, "build"))
		assert_non_null(check->what_to_do);
	if (status == MS_CHECK_OK)
		assert_null(check->what_to_do);
	assert_int_equal(doctor.live, ALL_WELL == MS_CHECK_OK ? live : MS_CHECK_MISSING);
	assert_int_equal(doctor.snap, MS_CHECK_OK);
}

static void test_good(void **state)
{
	struct ms_doctor doctor;
	size_t i, k;

	good_host();
	ms_doctor_run(root, NULL, &doctor);
	assert_int_equal(doctor.nr, 26);
	for (i = 0; i < doctor.nr; i++) {
		const struct ms_check *check = &doctor.checks[i];

		assert_non_null(check->needed_for);
		assert_true(check->detail[0] != '\0');
		/* Without BPF no BTF is read. */
		if (strcmp(check->name, "build") && (ALL_WELL == MS_CHECK_OK || strcmp(check->name, "types")))
			assert_int_equal(check->status, MS_CHECK_OK);
		for (k = 0; k < i; k++)
			assert_string_not_equal(check->name, doctor.checks[k].name);
	}
	assert_int_equal(doctor.live, ALL_WELL);
	assert_null(ms_doctor_find(&doctor, "none such"));
}

static void test_nothing(void **state)
{
	struct ms_doctor doctor;

	/* A tree with nothing in it: nothing is known, nothing crashes, and a snapshot can be looked at. */
	drop("");
	assert_int_equal(mkdir(root, 0700), 0);
	ms_doctor_run(root, NULL, &doctor);
	assert_int_equal(ms_doctor_find(&doctor, "kvm")->status, MS_CHECK_UNKNOWN);
	assert_int_equal(ms_doctor_find(&doctor, "kernel")->status, MS_CHECK_UNKNOWN);
	assert_int_equal(ms_doctor_find(&doctor, "CAP_BPF")->status, MS_CHECK_UNKNOWN);
	assert_int_equal(doctor.live, MS_CHECK_MISSING); /* no BTF */
	assert_int_equal(doctor.snap, MS_CHECK_OK);
}

static void test_kernel(void **state)
{
	good_host();
	put("/proc/sys/kernel/osrelease", "6.12.117+deb12-amd64\n");
	want("kernel", MS_CHECK_OK, "6.12.117+deb12-amd64, tested", MS_CHECK_OK);
	put("/proc/sys/kernel/osrelease", "6.18.1\n");
	want("kernel", MS_CHECK_LIMITED, "6.18.1, not tested", MS_CHECK_LIMITED);
	put("/proc/sys/kernel/osrelease", "6.11.0\n");
	want("kernel", MS_CHECK_LIMITED, "not tested", MS_CHECK_LIMITED);
	put("/proc/sys/kernel/osrelease", "5.16.9\n");
	want("kernel", MS_CHECK_MISSING, "older than 5.17", MS_CHECK_MISSING);
	put("/proc/sys/kernel/osrelease", "\033[31mred\n");
	want("kernel", MS_CHECK_UNKNOWN, "\\x1b[31mred", MS_CHECK_UNKNOWN);
	good_host();
	put("/proc/sys/kernel/arch", "aarch64\n");
	want("machine", MS_CHECK_MISSING, "aarch64", MS_CHECK_MISSING);
	drop("/proc/sys/kernel/arch");
	want("machine", MS_CHECK_UNKNOWN, "does not say", MS_CHECK_UNKNOWN);
	good_host();
	drop("/proc/sys/kernel/unprivileged_bpf_disabled");
	want("bpf", MS_CHECK_MISSING, "no bpf(2)", MS_CHECK_MISSING);
}

static void test_kvm(void **state)
{
	good_host();
	drop("/sys/module/kvm");
	want("kvm", MS_CHECK_MISSING, "not loaded", MS_CHECK_MISSING);
	want("btf-kvm", MS_CHECK_UNKNOWN, "kvm is not loaded", MS_CHECK_MISSING);
	good_host();
	drop("/sys/module/kvm_amd");
	want("kvm-vendor", MS_CHECK_MISSING, "no vendor module (kvm_intel or kvm_amd)", MS_CHECK_MISSING);
	/* Nor is there one where KVM itself is part of the kernel. */
	drop("/sys/module/kvm/initstate");
	want("kvm-vendor", MS_CHECK_MISSING, "no vendor module", MS_CHECK_MISSING);
	put("/sys/module/kvm/initstate", "live\n");
	put("/sys/module/kvm_intel/parameters/nested", "N\n");
	put("/sys/module/kvm_intel/parameters/ept", "N\n");
	want("kvm-vendor", MS_CHECK_OK, "kvm_intel", MS_CHECK_OK);
	want("nested", MS_CHECK_LIMITED, "off", MS_CHECK_OK);
	want("ept", MS_CHECK_LIMITED, "off", MS_CHECK_OK);
	put("/sys/module/kvm_intel/parameters/nested", "perhaps\n");
	want("nested", MS_CHECK_UNKNOWN, "perhaps", MS_CHECK_OK);
	good_host();
	put("/sys/module/kvm_amd/parameters/npt", "0\n");
	want("npt", MS_CHECK_LIMITED, "off", MS_CHECK_OK);
	put("/sys/module/kvm/parameters/tdp_mmu", "N\n");
	want("tdp-mmu", MS_CHECK_OK, "off: direct pages are on the legacy list", MS_CHECK_OK);
	drop("/sys/module/kvm/parameters/tdp_mmu");
	want("tdp-mmu", MS_CHECK_UNKNOWN, "No such file", MS_CHECK_OK);
	drop("/dev/kvm");
	want("dev-kvm", MS_CHECK_LIMITED, "No such file", MS_CHECK_OK);
}

static void test_btf(void **state)
{
	good_host();
	drop("/sys/kernel/btf/vmlinux");
	want("btf", MS_CHECK_MISSING, "No such file", MS_CHECK_MISSING);
	put("/sys/kernel/btf/vmlinux", "\x7f"
				       "ELF");
	want("btf", MS_CHECK_MISSING, "holds no BTF", MS_CHECK_MISSING);
	put("/sys/kernel/btf/vmlinux", "");
	want("btf", MS_CHECK_MISSING, "holds no BTF", MS_CHECK_MISSING);
	good_host();
	drop("/sys/kernel/btf/kvm");
	want("btf-kvm", MS_CHECK_MISSING, "No such file", MS_CHECK_MISSING);
	/* Debug files could stand in for it: here they cannot even be looked for. */
	want("types", MS_CHECK_MISSING, "types of kvm", MS_CHECK_MISSING);
	drop("/sys/module/kvm/initstate");
	want("btf-kvm", MS_CHECK_OK, "built in", MS_CHECK_OK);
	want("kvm", MS_CHECK_OK, "built into the kernel", MS_CHECK_OK);
}

static void test_lockdown(void **state)
{
	good_host();
	put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	want("lockdown", MS_CHECK_OK, "integrity", MS_CHECK_OK);
	put("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	want("lockdown", MS_CHECK_MISSING, "confidentiality", MS_CHECK_MISSING);
	put("/sys/kernel/security/lockdown", "none integrity [total]\n");
	want("lockdown", MS_CHECK_UNKNOWN, "total", MS_CHECK_UNKNOWN);
	put("/sys/kernel/security/lockdown", "none\n");
	want("lockdown", MS_CHECK_UNKNOWN, "'none'", MS_CHECK_UNKNOWN);
	drop("/sys/kernel/security");
	want("lockdown", MS_CHECK_UNKNOWN, "No such file", MS_CHECK_UNKNOWN);
	/* A directory opens but cannot be read: as good as any other failure, root or not. */
	put("/sys/kernel/security/lockdown/x", "");
	want("lockdown", MS_CHECK_UNKNOWN, "Is a directory", MS_CHECK_UNKNOWN);
}

static void test_caps(void **state)
{
	good_host();
	/* CAP_BPF 39, CAP_PERFMON 38, CAP_SYSLOG 34, CAP_SYS_ADMIN 21. */
	put("/proc/self/status", STATUS("000000c400000000"));
	want("CAP_BPF", MS_CHECK_OK, "held", MS_CHECK_OK);
	want("CAP_SYS_ADMIN", MS_CHECK_OK, "not held, not needed", MS_CHECK_OK);
	put("/proc/self/status", STATUS("0000004400000000"));
	want("CAP_BPF", MS_CHECK_MISSING, "not held", MS_CHECK_MISSING);
	want("CAP_PERFMON", MS_CHECK_OK, "held", MS_CHECK_MISSING);
	put("/proc/self/status", STATUS("0000008400000000"));
	want("CAP_PERFMON", MS_CHECK_MISSING, "not held", MS_CHECK_MISSING);
	put("/proc/self/status", STATUS("0000000400200000"));
	want("CAP_BPF", MS_CHECK_OK, "CAP_SYS_ADMIN stands in", MS_CHECK_OK);
	want("CAP_PERFMON", MS_CHECK_OK, "CAP_SYS_ADMIN stands in", MS_CHECK_OK);
	put("/proc/self/status", STATUS("000000c000200000"));
	want("CAP_SYSLOG", MS_CHECK_LIMITED, "not held", MS_CHECK_MISSING);
	put("/proc/self/status", "Name:\tx\n");
	want("CAP_BPF", MS_CHECK_UNKNOWN, "does not say", MS_CHECK_UNKNOWN);
}

static void test_kptr(void **state)
{
	good_host();
	put("/proc/sys/kernel/kptr_restrict", "1\n");
	want("kptr_restrict", MS_CHECK_OK, "CAP_SYSLOG is held", MS_CHECK_OK);
	put("/proc/sys/kernel/kptr_restrict", "2\n");
	want("kptr_restrict", MS_CHECK_MISSING, "hidden from everyone", MS_CHECK_MISSING);
	put("/proc/sys/kernel/kptr_restrict", "many\n");
	want("kptr_restrict", MS_CHECK_UNKNOWN, "cannot be read", MS_CHECK_UNKNOWN);
	good_host();
	put("/proc/self/status", STATUS("000000c000000000"));
	want("kptr_restrict", MS_CHECK_MISSING, "which is not held", MS_CHECK_MISSING);
	put("/proc/sys/kernel/perf_event_paranoid", "1\n");
	want("kptr_restrict", MS_CHECK_OK, "perf_event_paranoid is 1", MS_CHECK_OK);
	put("/proc/sys/kernel/kptr_restrict", "1\n");
	want("kptr_restrict", MS_CHECK_MISSING, "which is not held", MS_CHECK_MISSING);
}

static void test_namespaces(void **state)
{
	good_host();
	put_link("/proc/self/ns/pid", "pid:[4026532201]");
	want("pid-namespace", MS_CHECK_LIMITED, "inode 4026532201", MS_CHECK_LIMITED);
	put_link("/proc/self/ns/pid", "nonsense");
	want("pid-namespace", MS_CHECK_UNKNOWN, "Invalid", MS_CHECK_UNKNOWN);
	good_host();
	put_link("/proc/self/ns/user", "user:[4026532200]");
	want("user-namespace", MS_CHECK_MISSING, "inode 4026532200", MS_CHECK_MISSING);
}

static void want_module(const char *name, enum ms_check_status status, const char *detail,
			enum ms_check_status module)
{
	struct ms_doctor doctor;

	want(name, status, detail, MS_CHECK_OK);
	ms_doctor_run(root, NULL, &doctor);
	assert_int_equal(doctor.module, module);
}

static void test_module(void **state)
{
	good_host();
	want_module("module", MS_CHECK_OK, "loaded, version " PACKAGE_VERSION, MS_CHECK_OK);
	want_module("module-file", MS_CHECK_OK, "/lib/modules/6.1.0-56-amd64/updates/dkms/mmuscope.ko",
		    MS_CHECK_OK);
	want_module("kernel-headers", MS_CHECK_OK, "/lib/modules/6.1.0-56-amd64/build", MS_CHECK_OK);
	want_module("module-loading", MS_CHECK_OK, "it is loaded", MS_CHECK_OK);
	put("/sys/module/mmuscope/version", "0.0.0\n");
	want_module("module", MS_CHECK_LIMITED, "loaded, version 0.0.0; this is", MS_CHECK_LIMITED);
	/* One that is not loaded: why, and whether it could be. */
	drop("/sys/module/mmuscope");
	want_module("module", MS_CHECK_MISSING, "not loaded", MS_CHECK_MISSING);
	want_module("module-loading", MS_CHECK_OK, "taints the kernel", MS_CHECK_MISSING);
	drop("/lib/modules/6.1.0-56-amd64/updates");
	want_module("module-file", MS_CHECK_MISSING, "none in /lib/modules/6.1.0-56-amd64/updates",
		    MS_CHECK_MISSING);
	drop("/lib/modules/6.1.0-56-amd64/build");
	want_module("kernel-headers", MS_CHECK_MISSING, "is no build directory", MS_CHECK_MISSING);
	put("/sys/module/module/parameters/sig_enforce", "Y\n");
	want_module("module-loading", MS_CHECK_LIMITED, "module.sig_enforce", MS_CHECK_MISSING);
	put("/sys/module/module/parameters/sig_enforce", "N\n");
	want_module("module-loading", MS_CHECK_OK, "taints", MS_CHECK_MISSING);
	put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	want_module("module-loading", MS_CHECK_LIMITED, "lockdown", MS_CHECK_MISSING);
	put("/proc/sys/kernel/modules_disabled", "1\n");
	want_module("module-loading", MS_CHECK_MISSING, "until the next boot", MS_CHECK_MISSING);
	drop("/proc/modules");
	want_module("module-loading", MS_CHECK_MISSING, "loads no modules", MS_CHECK_MISSING);
	good_host();
	/* CAP_SYS_PTRACE 19, CAP_SYS_ADMIN 21. */
	put("/proc/self/status", STATUS("000000c400200000"));
	want_module("module-rights", MS_CHECK_LIMITED, "CAP_SYS_PTRACE is not held", MS_CHECK_LIMITED);
	put("/proc/self/status", STATUS("000000c400080000"));
	want_module("module-rights", MS_CHECK_MISSING, "CAP_SYS_ADMIN is not held", MS_CHECK_MISSING);
	good_host();
	drop("/sys/module/kvm/initstate");
	drop("/sys/module/mmuscope");
	want_module("module-loading", MS_CHECK_MISSING, "KVM is built in", MS_CHECK_MISSING);
}

/* This very host: whatever it is, each finding is a line of its own. */
static void test_here(void **state)
{
	struct ms_doctor doctor;
	size_t i;

	ms_doctor_run("", NULL, &doctor);
	assert_true(doctor.nr >= 16 && doctor.nr <= MS_DOCTOR_MAX);
	for (i = 0; i < doctor.nr; i++)
		assert_true(doctor.checks[i].detail[0] && !strchr(doctor.checks[i].detail, '\n'));
	assert_int_not_equal(ms_doctor_find(&doctor, "kernel")->status, MS_CHECK_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	   cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_kernel),	   cmocka_unit_test(test_kvm),
		cmocka_unit_test(test_btf),	   cmocka_unit_test(test_lockdown),
		cmocka_unit_test(test_caps),	   cmocka_unit_test(test_kptr),
		cmocka_unit_test(test_namespaces), cmocka_unit_test(test_module),
		cmocka_unit_test(test_here),
	};
	int failed;

	if (!mkdtemp(root))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	drop("");
	return failed;
}
