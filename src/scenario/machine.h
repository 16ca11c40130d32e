/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine in process: host memory, the engine (src/nmmu) and CPUs (src/hw) put together, so that an access
 * runs as on a real host: the CPU walks the shadow tables, exits, the engine mends, the CPU tries again.
 * Used by scenarios, the sim target, the random tests and the benchmark. It decides nothing about the MMU.
 */
#ifndef SCENARIO_MACHINE_H
#define SCENARIO_MACHINE_H

#include "base/err.h"
#include "hw/hw.h"
#include "nmmu/types.h"

struct ms_machine;

/*
 * A device behind which the engine of a machine is (abi/kmod_nmmu.h): the kernel module's, or one made for a test. All
 * else of the machine stays in this process.
 */
struct ms_device {
	/* A session for one engine. */
	struct ms_err *(*open)(void *ctx, void **session_ret);
	int (*request)(void *session, unsigned long nr, void *arg); /* 0 or -errno */
	void (*close)(void *session);
};

struct ms_machine_opts {
	struct nmmu_config config;
	u64 seed; /* of host frame numbers */
	u32 tlb_entries; /* 0: 64 */
	u64 max_bytes; /* host memory at most, 0: 256 MiB */
	/* Called for each event of the engine, in order; may be NULL. */
	void (*event)(void *ctx, const struct ms_event *event);
	void *event_ctx;
	void (*yield)(void *ctx, enum nmmu_point point);
	/* mmu_lock when yield may switch; may be NULL. */
	void (*lock)(void *ctx);
	void (*unlock)(void *ctx);
	/* Points (1u << enum nmmu_point) at which yield has something to do now; bit 31: lock and unlock. NULL: all. */
	u32 (*watched)(void *ctx);
	void *yield_ctx;
	const struct ms_device *device; /* NULL: the engine is in process */
	void *device_ctx;
};

struct ms_err *ms_machine_create(const struct ms_machine_opts *opts, struct ms_machine **ret) MS_MUST_CHECK;
void ms_machine_destroy(struct ms_machine *machine); /* takes NULL */
/*
 * The engine, to be read; behind a device a copy of it as it is now, valid until the second change from now on. What
 * changes it are the functions here; in process those of nmmu.h are as good.
 */
struct nmmu *ms_machine_nmmu(struct ms_machine *machine);
/* The i-th allocation from now on fails (1: the next); 0: none. For tests of -ENOMEM. */
void ms_machine_fail_alloc(struct ms_machine *machine, u64 after);
/* The same of pages that the host is asked to pin. */
void ms_machine_fail_pin(struct ms_machine *machine, u64 after);
u64 ms_machine_bytes(const struct ms_machine *machine); /* host memory in use, tables included */

/* What the engine asked for its pinned pages since the machine was made. */
struct ms_pin_calls {
	u64 pin, unpin, zap, unzap; /* pin: those that were not refused */
	u64 held_pages; /* 4 KiB frames that are pinned now */
	u8 last_level; /* of the page of the last call */
};

struct ms_pin_calls ms_machine_pin_calls(const struct ms_machine *machine);

/* --- host memory --- */

/*
 * Back [hva, hva + bytes) with memory of the VMM: pages of `level' (1, 2, 3) where alignment allows. Memory
 * is made when touched.
 */
struct ms_err *ms_machine_map(struct ms_machine *machine, u64 hva, u64 bytes, u32 level,
			      bool writable) MS_MUST_CHECK;
/*
 * Take the frames away (MADV_DONTNEED with mmu_notifier calls): contents are lost, new frames come on next
 * use.
 */
void ms_machine_discard(struct ms_machine *machine, u64 hva, u64 bytes);
/* Notifier calls, as for a move that the host does not make then: nothing is changed. */
void ms_machine_notify(struct ms_machine *machine, u64 hva, u64 bytes);
/* Same contents, other frame or other rights, with notifier calls. */
void ms_machine_migrate(struct ms_machine *machine, u64 hva, u64 bytes);
void ms_machine_protect(struct ms_machine *machine, u64 hva, u64 bytes, bool writable);
/* Put small pages together again where the map's page size allows (khugepaged), with notifier calls. */
void ms_machine_collapse(struct ms_machine *machine, u64 hva, u64 bytes);
/* The frame now behind hva, ~0 when none. */
struct hostmem *ms_machine_mem(struct ms_machine *machine);
u64 ms_machine_pfn(const struct ms_machine *machine, u64 hva);

/* --- vCPUs --- */

struct ms_err *ms_machine_add_vcpu(struct ms_machine *machine, u32 *id_ret) MS_MUST_CHECK;
struct nmmu_vcpu *ms_machine_vcpu(struct ms_machine *machine, u32 id);

/* Memory or a slot is being taken away: faults try again until that has ended. */
bool ms_machine_unsettled(const struct ms_machine *machine);
bool ms_machine_is_vmx(const struct ms_machine *machine);

/* What is asked of each vCPU all the time. */
struct ms_vcpu_state {
	bool guest_mode;
	bool pml12; /* L1 logs writes of this L2 ... */
	u16 pml12_index; /* ... here next */
};

struct ms_vcpu_state ms_machine_vcpu_state(struct ms_machine *machine, u32 id);

/* As the functions of nmmu.h that are called so. */
int ms_machine_emulate(struct ms_machine *machine, u32 id, const struct nmmu_access *access,
		       struct nmmu_result *ret);
int ms_machine_nested_enter(struct ms_machine *machine, u32 id, const struct nmmu_nested *nested);
void ms_machine_nested_leave(struct ms_machine *machine, u32 id, u16 *pml_index_ret);
int ms_machine_invept(struct ms_machine *machine, u32 id, bool all, u64 eptp);
void ms_machine_flush_npt(struct ms_machine *machine, u32 id);
void ms_machine_pml_drain(struct ms_machine *machine, u32 id);
int ms_machine_prefault(struct ms_machine *machine, u32 id, struct nmmu_prefault *range);
int ms_machine_translate(struct ms_machine *machine, u32 id, const struct nmmu_access *access,
			 struct nmmu_trace *ret);
int ms_machine_log_mode(struct ms_machine *machine, u32 mode);
int ms_machine_unpin(struct ms_machine *machine, u16 as_id, u64 gfn);
void ms_machine_mm_release(struct ms_machine *machine);
bool ms_machine_age(struct ms_machine *machine, u64 start, u64 end);
int ms_machine_set_nx(struct ms_machine *machine, bool on);
void ms_machine_nx_recover(struct ms_machine *machine, u32 ratio);
void ms_machine_max_pages(struct ms_machine *machine, u32 max_pages);
void ms_machine_zap_all(struct ms_machine *machine);
int ms_machine_host_write(struct ms_machine *machine, u64 gpa, const void *src, u32 len);
/* A slot's place, addresses and flags; of nothing else in it anything is said. NULL: there is none. */
const struct nmmu_slot *ms_machine_slot(struct ms_machine *machine, u16 as_id, u16 id);
const struct nmmu_slot *ms_machine_slot_at(struct ms_machine *machine, u16 as_id, u64 gfn);

/* nmmu_self_check(). */
struct ms_self_check {
	u32 row; /* 0: all is well */
	const char *text;
	bool has_gfn;
	u64 gfn;
	u64 cost; /* pages that were looked at */
};

void ms_machine_self_check(struct ms_machine *machine, struct ms_self_check *ret);

#define MS_RUN_MAX_EXITS 64 /* more for one access is a ping-pong: given up, result.stuck */

/* How one access ended. */
struct ms_run {
	enum nmmu_action action; /* DONE: made (by the CPU or the emulator); EXIT_L1, PF, MMIO, DEAD */
	struct nmmu_result last; /* of the last exit handled; ret NMMU_RET_NONE when there was none */
	u64 value; /* read */
	u64 pa; /* where the CPU went; 0 when the emulator did it */
	u32 exits; /* exits on the way */
	u32 nr_kind[5]; /* by enum nmmu_exit_kind */
	bool emulated;
	bool stuck;
	/*
	 * -ENOMEM, -EIO from the engine; -EFAULT: its tables led the CPU to a frame that does not exist (pa),
	 * always a bug. Then action is meaningless.
	 */
	int error;
};

/* Make the access as the guest at work on this vCPU, until it is made or goes to somebody else. */
void ms_machine_access(struct ms_machine *machine, u32 vcpu, const struct nmmu_access *access,
		       struct ms_run *ret);
/* Only the CPU: no exit is handled. For tests that look at one exit. */
void ms_machine_cpu_access(struct ms_machine *machine, u32 vcpu, const struct nmmu_access *access,
			   struct hw_result *ret);
/* Every vCPU leaves the guest: PML buffers are drained. As KVM does before it hands out a dirty log. */
void ms_machine_kick(struct ms_machine *machine);

/* --- memslots and their logs, with an eye on what is really written (written.c) --- */

/* As nmmu_slot_set(). */
int ms_machine_slot_set(struct ms_machine *machine, u16 as_id, u16 id, u64 gfn, u64 nr_pages, u64 hva,
			u32 flags);
/* nmmu_log_get() behind ms_machine_kick(). */
int ms_machine_log_get(struct ms_machine *machine, u16 as_id, u16 id, u64 *bitmap_ret);
/* As nmmu_log_clear(). */
int ms_machine_log_clear(struct ms_machine *machine, u16 as_id, u16 id, u64 first, u64 nr, const u64 *bitmap);
/*
 * Pages of slots that log, written since their bit was last cleared or logging began, by guest or engine; rec->kvm is
 * 0. Not those that two slots have. Ends with what fn returns, unless that is 0. Slots and logs must have been set by
 * the functions above, all of them.
 */
typedef int (*ms_machine_changed_fn)(void *ctx, const struct ms_rec_changed *rec);
int ms_machine_changed(struct ms_machine *machine, ms_machine_changed_fn fn, void *ctx);

/*
 * Take a frame away without telling the engine, as a host with a bug would: for tests of what must be
 * noticed.
 */
int ms_machine_break_host(struct ms_machine *machine, u64 hva);
/* Host page-table changes that ran out of memory, and rules of nmmu_ops that the engine broke; NULL: none. */
const char *ms_machine_misuse(const struct ms_machine *machine);
/*
 * INVLPG, CR3 writes and the like act on the CPU's own TLB too: these do both. With shadow paging such
 * instructions exit, and the CPU forgets only what the engine flushes. Other registers than those the vCPU
 * ran with last flush by themselves.
 */
void ms_machine_invlpg(struct ms_machine *machine, u32 vcpu, u64 gva);
void ms_machine_flush_guest(struct ms_machine *machine, u32 vcpu);
int ms_machine_set_regs(struct ms_machine *machine, u32 vcpu, const struct nmmu_regs *regs);

/* --- guest memory, by GPA, as L0 or a test sees it: no faults, no marks --- */

int ms_machine_peek(struct ms_machine *machine, u64 gpa, void *dst, u32 len);
int ms_machine_poke(struct ms_machine *machine, u64 gpa, const void *src, u32 len);
/* The page that the host maps at an address of the VMM's, and where it lies. -EFAULT: none, and none is made. */
int ms_machine_page(struct ms_machine *machine, u64 hva, u8 *page, u64 *hpa_ret);

/* --- building guest tables --- */

struct ms_tables; /* one set of tables of one format in guest memory */
/* kind and levels of the tables; frames for them are taken from [pool_gfn, pool_gfn + pool_pages). */
struct ms_err *ms_tables_create(struct ms_machine *machine, enum nmmu_gpt kind, u32 levels, u64 pool_gfn,
				u64 pool_pages, struct ms_tables **ret) MS_MUST_CHECK;
void ms_tables_destroy(struct ms_tables *tables); /* takes NULL */
/*
 * For a nested guest's own tables addresses are nGPA: to_gpa says where they lie in L1 (~0: nowhere). NULL,
 * as at first: identity.
 */
void ms_tables_set_space(struct ms_tables *tables, u64 (*to_gpa)(void *ctx, u64 ngpa), void *ctx);
u64 ms_tables_root_gfn(const struct ms_tables *tables);
/*
 * Map addr at level to gfn with raw entry bits (rights, memory type, A/D, NX) in `bits'; upper entries are
 * made with `upper' bits. An error names the address when the pool is exhausted.
 */
struct ms_err *ms_tables_map(struct ms_tables *tables, u64 addr, u64 gfn, u32 level, u64 bits,
			     u64 upper) MS_MUST_CHECK;
/* GPA of the entry that translates addr at level; ~0 when a table on the way is missing. */
u64 ms_tables_entry(const struct ms_tables *tables, u64 addr, u32 level);

#endif
