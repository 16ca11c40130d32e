/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where types of the running kernel are looked for (src/layout/running.c, find.c), with a made-up kernel: BTF,
 * debug files by build-id, by name, by debug link, from debuginfod; and what is said when there is none.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "layout/private.h"
#include "shelldir.h"

#define KERNEL "00112233445566778899aabbccddeeff00112233"
#define KVM "aa112233445566778899aabbccddeeff00112244"
#define OTHER "bb112233445566778899aabbccddeeff00112255"
#define RELEASE "6.1.0-9-amd64"

/* Notes as the kernel shows them: one that is none of ours, then the build-id. */
static void notes(const char *path, const char *id)
{
	uint8_t bytes[60] = "\6\0\0\0\4\0\0\0\0\1\0\0Linux\0\0\0\1\2\3\4\4\0\0\0\24\0\0\0\3\0\0\0GNU";
	char full[PATH_MAX];
	unsigned int byte;
	size_t i;
	FILE *f;

	for (i = 0; i < 20; i++) {
		assert_int_equal(sscanf(id + 2 * i, "%2x", &byte), 1);
		bytes[40 + i] = (uint8_t)byte;
	}
	sh("mkdir -p $(dirname %s)", path);
	snprintf(full, sizeof(full), "%s/%s", shelldir, path);
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, sizeof(bytes), f), sizeof(bytes));
	assert_int_equal(fclose(f), 0);
}

static void host(void)
{
	sh("rm -rf proc sys usr lib boot other; mkdir -p proc/sys/kernel sys/module/kvm && echo " RELEASE
	   " >proc/sys/kernel/osrelease && echo live >sys/module/kvm/initstate");
	notes("sys/kernel/notes", KERNEL);
	notes("sys/module/kvm/notes/.note.gnu.build-id", KVM);
}

/* A file with DWARF and this build-id; more: for gcc. */
static void debug_file(const char *path, const char *id, const char *more)
{
	sh("mkdir -p $(dirname %s) && gcc -w -shared -fPIC %s -Wl,--build-id=0x%s -o %s t.c", path, more, id,
	   path);
}

static struct ms_layout_plan plan;

static struct ms_err *make(const char *spec, bool network)
{
	memset(&plan, 0, sizeof(plan));
	return ms_layout_plan(shelldir, spec, network, &plan);
}

static void good(const char *spec, size_t nr, const char *first)
{
	struct ms_err *err = make(spec, false);
	char want[PATH_MAX];

	if (err)
		fail_msg("%s", ms_err_text(err));
	assert_int_equal(plan.nr, nr);
	snprintf(want, sizeof(want), "%s/%s", shelldir, first);
	assert_string_equal(plan.part[0].path, want);
}

static void refused(const char *spec, const char *what)
{
	struct ms_err *err = make(spec, false);

	assert_non_null(err);
	if (!strstr(ms_err_text(err), what))
		fail_msg("'%s' does not say '%s'", ms_err_text(err), what);
	assert_null(strchr(ms_err_text(err), '\n'));
	assert_non_null(ms_err_hint_text(err));
	ms_err_free(err);
}

#define BY_ID "usr/lib/debug/.build-id/aa/112233445566778899aabbccddeeff00112244.debug"
#define BY_ID_KERNEL "usr/lib/debug/.build-id/00/112233445566778899aabbccddeeff00112233.debug"
#define BY_NAME "usr/lib/debug/lib/modules/" RELEASE "/kernel/arch/x86/kvm/kvm.ko"
#define BY_NAME_KERNEL "usr/lib/debug/boot/vmlinux-" RELEASE
#define STRIPPED "lib/modules/" RELEASE "/kernel/arch/x86/kvm/kvm.ko"

static void test_nowhere(void **state)
{
	host();
	refused("dwarf", "no debug file of kvm with build-id " KVM);
	refused("dwarf", BY_ID);
	refused("dwarf", BY_NAME);
#ifdef WITH_BPF
	refused("btf", "sys/kernel/btf/kvm: No such file");
	/* Neither BTF nor DWARF: both are named, and BTF not when it was not asked for. */
	refused(NULL, "/sys/kernel/btf/vmlinux: no debug file of kvm with build-id " KVM);
#endif
	{
		struct ms_err *err = make("dwarf", false);

		assert_null(strstr(ms_err_text(err), "BTF"));
		ms_err_free(err);
	}
	/* A kernel that says nothing of itself. */
	sh("rm -r sys/module/kvm/notes");
	refused("dwarf", "has no build-id");
	sh("mkdir -p sys/module/kvm/notes && printf '\\4\\0\\0\\0\\377\\377\\377\\377\\3\\0\\0\\0GNU' >"
	   "sys/module/kvm/notes/.note.gnu.build-id");
	refused("dwarf", "has no build-id");
	/* Built in: kvm's types are the kernel's. */
	host();
	sh("rm sys/module/kvm/initstate");
	refused("dwarf", "no debug file of vmlinux with build-id " KERNEL);
	debug_file(BY_ID_KERNEL, KERNEL, "-g");
	good("dwarf", 1, BY_ID_KERNEL);
}

static void test_build_id(void **state)
{
	host();
	debug_file(BY_ID, KVM, "-g");
	good("dwarf", 1, BY_ID);
	/* What can be done without is told. */
	assert_non_null(strstr(plan.lacking, "no debug file of vmlinux with build-id " KERNEL));
	debug_file(BY_ID_KERNEL, KERNEL, "-g");
	good("dwarf", 2, BY_ID);
	assert_string_equal(plan.lacking, "");
	assert_string_equal(plan.part[1].name, "vmlinux");
	good(NULL, 2, BY_ID);
	/* A file in that place is no proof. */
	debug_file(BY_ID, OTHER, "-g");
	refused("dwarf", "(of another build: " OTHER ")");
	debug_file(BY_ID, KVM, "-s");
	refused("dwarf", "(without DWARF)");
	sh("echo x >%s", BY_ID);
	refused("dwarf", "(of another build: no build-id)");
	sh("rm %s; mkfifo %s", BY_ID, BY_ID);
	refused("dwarf", "(not a file)");
}

static void test_names(void **state)
{
	host();
	debug_file(BY_NAME, KVM, "-g");
	debug_file(BY_NAME_KERNEL, KERNEL, "-g");
	good("dwarf", 2, BY_NAME);
	assert_non_null(strstr(plan.part[1].path, BY_NAME_KERNEL));
	debug_file(BY_NAME, OTHER, "-g");
	refused("dwarf", "(of another build: " OTHER ")");
	/* What was never stripped. */
	debug_file(STRIPPED, KVM, "-g");
	good("dwarf", 2, STRIPPED);
	/* A directory of the user's, as the one of the system. */
	sh("mv usr/lib/debug other && rm -r lib");
	debug_file("other/lib/modules/" RELEASE "/kernel/arch/x86/kvm/kvm.ko", KVM, "-g");
	refused("dwarf", KVM);
	{
		char spec[PATH_MAX];

		snprintf(spec, sizeof(spec), "%s/other", shelldir);
		good(spec, 2, "other/lib/modules/" RELEASE "/kernel/arch/x86/kvm/kvm.ko");
	}
}

static void test_debug_link(void **state)
{
	host();
	debug_file("whole", KVM, "-g");
	sh("mkdir -p usr/lib/debug/$PWD/$(dirname " STRIPPED ") $(dirname " STRIPPED
	   ") && cp whole t.dbg && objcopy -g whole " STRIPPED
	   " && objcopy --add-gnu-debuglink=t.dbg " STRIPPED);
	refused("dwarf", "the debug link of");
	sh("cp t.dbg $(dirname " STRIPPED ")/.debug 2>/dev/null; mkdir -p $(dirname " STRIPPED
	   ")/x; rm -f $(dirname " STRIPPED ")/.debug; mkdir $(dirname " STRIPPED
	   ")/.debug; cp t.dbg $(dirname " STRIPPED ")/.debug/");
	good("dwarf", 1, "lib/modules/" RELEASE "/kernel/arch/x86/kvm/.debug/t.dbg");
}

static void test_files(void **state)
{
	char spec[PATH_MAX];

	host();
	debug_file("mine", KVM, "-g");
	debug_file("theirs", OTHER, "-g");
	sh("gcc -w -g -c t.c -o unit.o");
	snprintf(spec, sizeof(spec), "%s/mine,%s/unit.o", shelldir, shelldir);
	good(spec, 2, "mine");
	assert_non_null(strstr(plan.part[1].name, "without build-id"));
	snprintf(spec, sizeof(spec), "%s/mine,%s/theirs", shelldir, shelldir);
	refused(spec, "theirs is of another kernel: its build-id " OTHER);
	snprintf(spec, sizeof(spec), "%s/nothing", shelldir);
	{
		struct ms_err *err = make(spec, false);

		assert_non_null(strstr(ms_err_text(err), "No such file"));
		ms_err_free(err);
	}
}

static void test_btf(void **state)
{
#ifdef WITH_BPF
	char text[256];

	host();
	sh("mkdir -p sys/kernel/btf && touch sys/kernel/btf/vmlinux sys/kernel/btf/kvm");
	good(NULL, 2, "sys/kernel/btf/kvm");
	good("btf", 2, "sys/kernel/btf/kvm");
	/* The module's BTF is not there, the kernel's is: of each the best. */
	sh("rm sys/kernel/btf/kvm");
	refused(NULL, "/sys/kernel/btf/kvm: no debug file of kvm with build-id " KVM);
	debug_file(BY_ID, KVM, "-g");
	good(NULL, 2, BY_ID);
	assert_int_equal(plan.part[0].from, MS_LAYOUT_DWARF);
	assert_int_equal(plan.part[1].from, MS_LAYOUT_BTF);
	assert_string_equal(plan.lacking, "");
	ms_layout_plan_text(&plan, text, sizeof(text));
	assert_non_null(strstr(text, "DWARF /tmp/"));
	assert_non_null(strstr(text, ", BTF /tmp/"));
	ms_layout_plan_text(&plan, text, 20);
	assert_int_equal(strlen(text), 19);
#else
	/* A build without the live target takes BTF for nothing, and says so when it is asked for by name. */
	host();
	sh("mkdir -p sys/kernel/btf && touch sys/kernel/btf/vmlinux sys/kernel/btf/kvm");
	refused("btf", "this build reads no BTF");
	refused(NULL, "no debug file of kvm with build-id " KVM);
	debug_file(BY_ID, KVM, "-g");
	good(NULL, 1, BY_ID);
	assert_int_equal(plan.part[0].from, MS_LAYOUT_DWARF);
#endif
}

/* What a table is made of both: the module's by DWARF, the rest by BTF. */
static void test_load(void **state)
{
	static struct ms_layout layout;

	host();
	debug_file(BY_ID, KVM, "-g");
	good("dwarf", 1, BY_ID);
	assert_null(ms_layout_load(&plan, &layout));
	assert_true(layout.f[MS_F_kvm_memslots].present);
	assert_false(layout.f[MS_F_resource_start].present);
#ifdef WITH_BPF
	sh("mkdir -p sys/kernel/btf && echo 'struct resource { long start, end; int x[4]; long flags; } r; '"
	   "'struct kvm { int memslots; } k;' >r.c && " BPF_CLANG " -target bpf -g -c r.c "
	   "-o sys/kernel/btf/vmlinux");
	good(NULL, 2, BY_ID);
	assert_null(ms_layout_load(&plan, &layout));
	assert_true(layout.f[MS_F_resource_end].present);
	assert_int_equal(layout.f[MS_F_resource_flags].off, 32);
	assert_int_equal(layout.f[MS_F_kvm_memslots].nr_elems, 2);
#endif
}

/* A server that has one file, and writes down what it is asked for. */
static pid_t serve(uint16_t *port_ret)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	char request[4096], command[2 * PATH_MAX];
	socklen_t len = sizeof(at);
	ssize_t got;
	pid_t pid;

	assert_true(fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	assert_true(!bind(fd, (struct sockaddr *)&at, sizeof(at)) && !listen(fd, 8));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port_ret = ntohs(at.sin_port);
	pid = fork();
	assert_true(pid >= 0);
	if (pid) {
		close(fd);
		return pid;
	}
	alarm(60);
	for (;;) {
		int client = accept(fd, NULL, NULL);
		bool ours;

		got = client < 0 ? -1 : read(client, request, sizeof(request) - 1);
		if (got <= 0)
			continue;
		request[got] = '\0';
		request[strcspn(request, "\r\n")] = '\0';
		ours = strstr(request, "/buildid/" KVM "/debuginfo") != NULL;
		snprintf(command, sizeof(command), "echo '%s' >>%s/requests", request, shelldir);
		if (system(command))
			_exit(1);
		dup2(client, 1);
		snprintf(
			command, sizeof(command),
			ours ? "f=%s/whole; "
			       "printf 'HTTP/1.0 200 OK\\r\\nContent-Length: %%d\\r\\n\\r\\n' $(stat -c %%s $f); cat $f"
			     : ": %s; printf 'HTTP/1.0 404 No\\r\\nContent-Length: 0\\r\\n\\r\\n'",
			shelldir);
		if (system(command))
			_exit(1);
		close(1);
		close(client);
	}
}

static void test_debuginfod(void **state)
{
	char urls[64], cache[PATH_MAX];
	struct ms_err *err;
	uint16_t port;
	pid_t server;

	host();
	debug_file("whole", KVM, "-g");
	server = serve(&port);
	snprintf(urls, sizeof(urls), "http://127.0.0.1:%u", port);
	snprintf(cache, sizeof(cache), "%s/cache", shelldir);
	setenv("DEBUGINFOD_CACHE_PATH", cache, 1);
	setenv("DEBUGINFOD_URLS", urls, 1);
	/* Not where it may not be asked. */
	refused("dwarf", KVM);
	sh("! test -e requests");
	err = make("dwarf", true);
	if (err)
		fail_msg("%s", ms_err_text(err));
	assert_int_equal(plan.nr, 1);
	assert_non_null(strstr(plan.part[0].path, "/cache/"));
	assert_non_null(strstr(plan.lacking, urls));
	sh("grep -q 'GET /buildid/" KVM "/debuginfo' requests && grep -q /buildid/" KERNEL "/ requests");
	unsetenv("DEBUGINFOD_URLS");
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static void write_unit(void)
{
	shelldir_put(
		"t.c",
		"struct kvm { long x; void *memslots[2]; } a; struct kvm_vcpu { int cpu; } b;\n"
		"struct kvm_mmu { int x; } c; struct kvm_mmu_page { long gfn; } d; struct kvm_memory_slot { int id; } e;\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nowhere),	   cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_files),
		cmocka_unit_test(test_debug_link), cmocka_unit_test(test_btf),
		cmocka_unit_test(test_load),	   cmocka_unit_test(test_debuginfod),
	};

	return shelldir_run("test_types", write_unit, tests);
}
