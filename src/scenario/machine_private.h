/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine's parts, for those who make it up: machine.c has the host and the CPUs, engine.c says where the engine is,
 * remote.c reaches one behind a device and mirror.c shows its memory.
 */
#ifndef SCENARIO_MACHINE_PRIVATE_H
#define SCENARIO_MACHINE_PRIVATE_H

#include "abi/kmod_nmmu.h"
#include "scenario/hostmem.h"
#include "scenario/machine.h"
#include "scenario/pinhost.h"

struct remote;

struct vcpu {
	struct nmmu_vcpu *v; /* NULL: behind a device */
	struct hw_cpu *cpu;
	struct nmmu_regs seen[2]; /* what L1 [0] and L2 [1] ran with last */
};

struct ms_machine {
	struct ms_machine_opts opts;
	struct nmmu_ops ops;
	struct nmmu *m; /* NULL: behind a device */
	struct remote *remote; /* NULL: in process */
	struct hostmem *mem;
	struct vcpu *vcpus;
	u32 nr_vcpus;
	u64 fail_after; /* allocations until one fails, 0 none */
	u64 heap_bytes;
	struct pinhost pins;
	bool locked;
	const char *misuse;
};

static inline void machine_misuse(struct ms_machine *machine, const char *text)
{
	if (text && !machine->misuse)
		machine->misuse = text;
}

/* What a CPU is to run on, and what else it has to know of the vCPU. */
struct machine_entry {
	struct nmmu_entry e;
	u64 pdptrs[4];
	bool guest_mode;
	u16 pml_index; /* behind a device: e.pml_index points here */
};

/* --- engine.c: calls of the engine, wherever it is. In process they are those of nmmu.h. --- */

int engine_load(struct ms_machine *machine, u32 vcpu, struct machine_entry *ret);
int engine_exit(struct ms_machine *machine, u32 vcpu, const struct nmmu_exit *exit, struct nmmu_result *ret);
/* old_ret: those of the guest at work before. */
int engine_set_regs(struct ms_machine *machine, u32 vcpu, const struct nmmu_regs *regs,
		    struct nmmu_regs *old_ret);
void engine_invlpg(struct ms_machine *machine, u32 vcpu, u64 gva);
void engine_flush_guest(struct ms_machine *machine, u32 vcpu);
void engine_invalidate_begin(struct ms_machine *machine, u64 start, u64 end);
void engine_invalidate_end(struct ms_machine *machine, u64 start, u64 end);
int engine_slot_set(struct ms_machine *machine, u16 as_id, u16 id, u64 gfn, u64 nr_pages, u64 hva, u32 flags);
int engine_log_get(struct ms_machine *machine, u16 as_id, u16 id, u64 *bitmap);
int engine_log_clear(struct ms_machine *machine, u16 as_id, u16 id, u64 first, u64 nr, const u64 *bitmap);

/* --- remote.c --- */

struct ms_err *remote_create(struct ms_machine *machine) MS_MUST_CHECK;
void remote_destroy(struct ms_machine *machine); /* takes one without */
/* A call and what is asked for meanwhile. What the engine says; a device that fails is told of by remote_broken(). */
int remote_call(struct ms_machine *machine, enum mmuscope_nmmu_call call, u32 vcpu, u64 *v);
bool remote_unsettled(const struct ms_machine *machine);
int remote_add_vcpu(struct ms_machine *machine);
struct ms_vcpu_state remote_vcpu_state(struct ms_machine *machine, u32 vcpu);
/* The slots as they were set; while they are being set they are looked up in the engine. */
const struct nmmu_slot *remote_slot(struct ms_machine *machine, u16 as_id, u16 id);
const struct nmmu_slot *remote_slot_at(struct ms_machine *machine, u16 as_id, u64 gfn);
void remote_slot_was_set(struct ms_machine *machine, const struct nmmu_slot *slot);
/* Host memory: what is behind [hva, hva + bytes) has changed. */
int remote_map(struct ms_machine *machine, u64 hva, u64 bytes);
/* hostmem_fault(), of which the device is told. */
int remote_fault(struct ms_machine *machine, u64 hva, bool write, struct hostmem_pfn *ret);
void remote_sync(struct ms_machine *machine, u64 hva, u64 bytes);
/* A CPU's accesses to the engine's tables. */
int remote_read(struct ms_machine *machine, u64 pa, void *dst, u32 len);
int remote_write(struct ms_machine *machine, u64 pa, const void *src, u32 len);
int remote_cmpxchg(struct ms_machine *machine, u64 pa, u64 old, u64 new_value);
/* The engine as it is now, valid until the call after the next one. */
struct nmmu *remote_nmmu(struct ms_machine *machine);

/* --- mirror.c: a machine out of the memory that MMUSCOPE_NMMU_IMAGE gave --- */

struct mirror;

/* `image' stays the caller's. -EINVAL, -ENOMEM. */
int mirror_create(const u8 *image, u64 bytes, u64 address, const struct nmmu_ops *ops, void *host,
		  struct mirror **ret);
void mirror_destroy(struct mirror *mirror); /* takes NULL */
struct nmmu *mirror_nmmu(struct mirror *mirror);

#endif
