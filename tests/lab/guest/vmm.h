/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixture's VMM: what its units share.
 *
 * Threads: main (control socket, signals, truth), one for each vCPU, one for the storms. Everything below
 * "shared state" in struct vmm is under its lock. While phase is PHASE_HELD no vCPU touches anything new and
 * no storm runs.
 */
#ifndef TESTS_LAB_GUEST_VMM_H
#define TESTS_LAB_GUEST_VMM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/kvm.h>

#include "proto.h"

#define GFN_SHIFT 12
#define VMM_MAX_VMS 16
#define VMM_MAX_DUPS 64

/* Exit statuses; described in --help. */
enum vmm_status {
	VMM_OK = 0,
	VMM_BAD_DATA = 1,
	VMM_USAGE = 2,
	VMM_ENVIRONMENT = 3,
	VMM_GUEST = 4,
	VMM_TIMEOUT = 5,
};

enum { HOLD_OUT, HOLD_RUN, HOLD_NO };
enum { DIRTY_OFF, DIRTY_ON, DIRTY_GET };
enum { LOG_PLAIN, LOG_MANUAL, LOG_ALL_SET };
enum { STORM_SLOT = 1, STORM_MADVISE = 2, STORM_MPROTECT = 4 };
enum { L1_NX = 1, L1_WP = 2, L1_SMEP = 4, L1_SMAP = 8, L1_PSE = 16 };
enum vmm_paging { PAGING_FLAT, PAGING_32, PAGING_PAE, PAGING_64 };

/* Numbers are all uint64_t, so that one table describes them; ranges are checked on parsing. */
struct vmm_opts {
	uint64_t mode, pages, size_2m, thp, stride, order, map, seed, write_pct, npt_ro_pct, npt_fault,
		npt_ad, npt_nx;
	uint64_t alias, ro, ro_write, mmio, rounds, passes, rewrite, rewrite_pct, at_l2, hold, vcpus, vms,
		dups, dirty, log_mode, nx_off, dirty_ring;
	uint64_t storm_pages, storm_hz, l1_touch, mmu_pages, timeout_s, stop_rewritten, npt_roots, sys_thp,
		paging, sys_hugetlb, eptp_ad, pml, misconf, stubborn, stubborn_pages, stubborn_mmio, l1_write,
		write_redraw, dirty_lose, odd, stores, stores_avx;
	unsigned int storms; /* set of STORM_* */
	unsigned int l1_bits; /* set of L1_* */
	const char *comm, *ctl, *truth, *image, *trace;
};

enum vmm_slot_id { SLOT_SYS, SLOT_DATA, SLOT_RO, SLOT_STORM, NR_SLOTS };

struct vmm_slot {
	uint64_t gpa;
	uint64_t size_bytes; /* 0: there is no such slot */
	uint32_t flags; /* KVM_MEM_* */
	bool thp, hugetlb;
	char *hva; /* 2M aligned */
};

struct vmm_vcpu {
	struct vmm_vm *vm;
	unsigned int index;
	int fd;
	int stats_fd;
	struct kvm_run *run;
	uint64_t l1_rsp;
	pthread_t thread;
	bool started;
	/* shared state */
	pid_t tid;
	uint64_t arrived; /* last checkpoint it came to */
	bool ended;
};

struct vmm_vm {
	struct vmm *vmm;
	unsigned int index;
	int fd;
	int stats_fd;
	int dup_fd[VMM_MAX_DUPS];
	uint64_t seed;
	uint64_t nr_mmu_pages; /* what KVM_SET_NR_MMU_PAGES was given; 0: not called */
	uint64_t l1_cr3;
	uint64_t table_gpa, nr_table_pages; /* L1's own tables */
	uint64_t desc_gpa, user_stack_gpa; /* --paging only */
	struct vmm_slot slot[NR_SLOTS];
	struct gf_param *param;
	struct vmm_vcpu vcpu[GF_MAX_VCPUS];
	char line[256]; /* console line being collected, under the lock */
	size_t line_len;
	/* Accesses that KVM handed out, under the lock; indexed by page of the range. */
	uint64_t *mmio_reads, *mmio_writes, *ro_writes, *stubborn_reads;
	uint64_t nr_storm_exits; /* accesses to the storm slot while it was deleted */
	uint64_t told_round; /* last round whose writes are in a truth */
};

enum vmm_phase { PHASE_RUN, PHASE_HELD, PHASE_END };

struct vmm {
	struct vmm_opts opts;
	int kvm_fd;
	int run_size;
	unsigned int phys_bits;
	enum gf_vendor vendor; /* what KVM offers to L1 */
	int event_fd; /* written by threads when main has something to see */
	struct vmm_vm vm[VMM_MAX_VMS];
	pthread_t storm_thread;
	bool storm_started;
	/* shared state */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	enum vmm_phase phase;
	uint64_t checkpoint; /* last one reached by all vCPUs, truth written; 0: none */
	uint64_t released; /* last one let go */
	uint64_t nr_storm; /* storm operations done */
	/* evict: what was taken away, NULL: nothing; uffd -1: a device took its place. By main only */
	int uffd;
	char *evicted, *evicted_copy;
	size_t evicted_bytes;
	bool stop;
};

/* main: prints "vmm: ..." and ends the process with that status. Any thread may call it. */
void vmm_fail(enum vmm_status status, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* ioctl that must succeed; what: for the message. */
int vmm_ioctl(int fd, unsigned long request, void *arg, const char *what);

/* opts: fills opts from the command line, or ends the process (--help: status 0, wrong use: VMM_USAGE). */
void opts_parse(struct vmm_opts *opts, int argc, char **argv);
const char *opts_mode_name(const struct vmm_opts *opts);
const char *opts_vendor_name(enum gf_vendor vendor);
const char *opts_paging_name(const struct vmm_opts *opts);

/* mem: lays out, allocates and registers a VM's slots, loads L1 and fills in the parameter block. */
void mem_setup(struct vmm_vm *vm);
/* Registers slot id with KVM, or deletes it. */
void mem_slot_set(struct vmm_vm *vm, enum vmm_slot_id id, bool present);
/* Host address of [gpa, gpa + len); NULL when that is not within one slot. */
void *mem_ptr(struct vmm_vm *vm, uint64_t gpa, uint64_t len);
/* The slot that holds gpa, or NULL. */
struct vmm_slot *mem_slot_of(struct vmm_vm *vm, uint64_t gpa);

/*
 * paging: the scripted guest of --paging. Bytes it needs in the system area; its tables, script and
 * descriptors, once slots, image and parameter block are there; what of the registers differs from L1's.
 */
uint64_t paging_area_bytes(const struct vmm_opts *opts);
void paging_setup(struct vmm_vm *vm, uint64_t area_gpa);
void paging_sregs(struct vmm_vm *vm, struct kvm_sregs *sregs);

/* vcpu */
void vcpu_setup(struct vmm_vcpu *vcpu);
void vcpu_start(struct vmm_vcpu *vcpu);
/*
 * While everything is held, by vCPU 0 of each VM: its clock's MSR is told to write to the data slot, and what was there
 * is put back; the tables lose their A bits, with the system slot logged, and KVM_TRANSLATE sets them again.
 */
void vcpu_clock(struct vmm *vmm);
void vcpu_translate(struct vmm *vmm);
/* Makes all vCPU threads leave KVM_RUN and end, and waits for them. */
void vcpu_stop_all(struct vmm *vmm);

/* storm */
void storm_start(struct vmm *vmm);
void storm_stop(struct vmm *vmm);
/* One slot storm and one madvise storm, now; false if there is no storm slot. Lock held, vCPUs held. */
bool storm_zap(struct vmm *vmm);

/*
 * uffd: while everything is held, VM 0's pool of NPT12 pages is dropped and left to a userfaultfd that nobody answers;
 * how many faults have waited for it since; and the pages are put back as they were. NULL, or why not.
 */
const char *uffd_evict(struct vmm *vmm);
const char *uffd_device(struct vmm *vmm); /* instead: a device's memory in place of NPT12's root */
const char *uffd_faults(struct vmm *vmm, uint64_t *ret);
const char *uffd_refill(struct vmm *vmm);

/*
 * truth: writes the ground truth of a held process to opts.truth. Returns the number of contradictions found.
 */
unsigned long truth_write(struct vmm *vmm, uint64_t checkpoint);

/*
 * trace: with opts.trace, of VM 0's only vCPU. trace_open when the VMs are made and nothing has run;
 * trace_thread at the start of the vCPU's thread, by it; trace_trap at its GF_PORT_TRAP; trace_checkpoint
 * while it is held; trace_close at the end, and before a failure ends the process.
 */
void trace_open(struct vmm *vmm);
void trace_thread(struct vmm_vcpu *vcpu);
void trace_trap(struct vmm_vcpu *vcpu, enum gf_trap trap);
void trace_checkpoint(struct vmm *vmm, uint64_t checkpoint);
void trace_dirty_get(enum vmm_slot_id id, const uint64_t *bitmap, uint64_t nr_words);
void trace_close(void);

/*
 * stats: the statistics descriptor of a VM or vCPU, to be opened before it runs; calls emit for each of them.
 */
int stats_open(int fd);
void stats_each(int stats_fd, void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx);

/* ctl: the control socket. ctl_loop returns when the process shall end, with its status. */
int ctl_listen(const char *path);
enum vmm_status ctl_loop(struct vmm *vmm, int listen_fd);
/* The client: "vmm ctl PATH COMMAND...". */
int ctl_client(int argc, char **argv);
/* Lets the held checkpoint go; the lock is held by the caller. */
void vmm_release(struct vmm *vmm);
/* Whether every vCPU has come to a checkpoint beyond `released`; whether every one has ended. Lock held. */
bool vmm_all_arrived(struct vmm *vmm, uint64_t *checkpoint_ret);
bool vmm_all_ended(struct vmm *vmm);

#endif
