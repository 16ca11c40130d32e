/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The doctor: what this host allows, and what is missing for what. It only reads files of /proc, /sys and /dev, and
 * looks for debug files on this machine; it loads nothing, opens no VM and tries nothing out, so that asking is
 * always safe.
 *
 * What the live target needs, from the kernel's sources (the same in 6.1 and 6.12):
 *
 *	CAP_BPF		any BPF program but a socket filter; BPF_PROG_TYPE_SYSCALL asks for no more
 *			(kernel/bpf/syscall.c)
 *	CAP_PERFMON	programs of type TRACING, thus the iterator over files; bpf_probe_read_kernel()
 *			anywhere (is_perfmon_prog_type(), bpf_base_func_proto())
 *	CAP_SYS_ADMIN	stands in for these two. Nothing of ours asks for a kernel object by its id,
 *			which would need it
 *	CAP_SYSLOG	addresses in /proc/kallsyms: with kptr_restrict 0 and 1; without it only with 0
 *			and perf_event_paranoid below 2; with kptr_restrict 2 nobody sees them
 *			(kallsyms_show_value()). CAP_SYS_ADMIN does not stand in
 *
 * All are asked of the initial user namespace. CAP_SYS_PTRACE is not needed: the iterator over files asks for no
 * such right. Files of /sys/kernel/btf may be read by everyone. Lockdown forbids bpf_probe_read_kernel() at
 * "confidentiality" only (LOCKDOWN_BPF_READ_KERNEL lies above LOCKDOWN_INTEGRITY_MAX). The iterator shows files of
 * tasks of our own pid namespace.
 */
#ifndef TARGET_DOCTOR_H
#define TARGET_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

enum ms_check_status {
	MS_CHECK_OK,
	MS_CHECK_MISSING, /* what needs it cannot be done */
	MS_CHECK_LIMITED, /* it can, with what the detail says left out */
	MS_CHECK_UNKNOWN, /* this host does not let us tell */
};

struct ms_check {
	const char *name; /* short and fixed: a key for scripts */
	enum ms_check_status status;
	bool for_live; /* counts for the live target: MISSING here, and it cannot be used */
	bool for_module; /* counts for loading the kernel module and using it, in the same way */
	char detail[320]; /* what was found; one clean line */
	const char *needed_for; /* what it is good for */
	const char *what_to_do; /* NULL when there is nothing to do */
};

#define MS_DOCTOR_MAX 32

struct ms_doctor {
	struct ms_check checks[MS_DOCTOR_MAX];
	size_t nr;
	/*
	 * Which targets can be used: OK, MISSING (no), LIMITED, or UNKNOWN when something that decides it
	 * could not be told.
	 */
	enum ms_check_status live;
	enum ms_check_status snap;
	/* The kernel module and what it is for: targets exact and kmod, flips. OK: loaded, and open to us. */
	enum ms_check_status module;
};

/*
 * Look at the host whose /proc, /sys, /dev and /usr/lib/debug lie below root ("" for this one; tests have their
 * own). types: as ms_layout_plan() has spec. Never fails: what cannot be read is a finding.
 */
void ms_doctor_run(const char *root, const char *types, struct ms_doctor *ret);

/* NULL when there is no check of this name. */
const struct ms_check *ms_doctor_find(const struct ms_doctor *doctor, const char *name);
/* "ok", "missing", "limited", "unknown". */
const char *ms_check_status_name(enum ms_check_status status);

#endif
