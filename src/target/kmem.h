/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel's memory as a reader sees it: batched reads, a chase along a list, the layout table and a few
 * symbols. The walkers (kvm_read.c, kvm_sps.c) stand on this alone, so they are the same for the running
 * kernel, and testable on memory that a test makes up.
 */
#ifndef TARGET_KMEM_H
#define TARGET_KMEM_H

#include "abi/kread.h"
#include "abi/rec.h"
#include "base/err.h"
#include "layout/layout.h"
#include "target/target.h"

enum ms_ksym_id {
#define KSYM(id, name, module) MS_KSYM_##id,
#include "target/ksyms.def"
#undef KSYM
	MS_KSYM_NR
};

struct ms_kmem;

/* Another way to a VM's pages and lists than kvm_sps.c and kvm_rmap.c; and what is to be said after both. */
struct ms_kvm_pages_ops {
	struct ms_err *(*sps)(struct ms_kmem *kmem, const struct ms_rec_host *host,
			      const struct ms_rec_vm *vm, const struct ms_want *want,
			      const struct ms_sink *sink);
	struct ms_err *(*rmaps)(struct ms_kmem *kmem, const struct ms_rec_host *host,
				const struct ms_rec_vm *vm, const struct ms_want *want,
				const struct ms_sink *sink);
	struct ms_err *(*end)(struct ms_kmem *kmem, const struct ms_rec_vm *vm, const struct ms_want *want,
			      const struct ms_sink *sink);
};

struct ms_kmem {
	const struct ms_layout *layout;
	u64 sym[MS_KSYM_NR]; /* address, 0: not there */
	u64 page_offset; /* start of the direct map */
	u64 vmemmap; /* struct page of pfn 0 */
	u64 max_pfn; /* end of the direct map, in pages */
	/*
	 * [vm_lo, vm_hi): one more range that may be read, the struct kvm being looked at, which lies in
	 * vmalloc space. Anything else there may be a device's registers, where reading is not harmless: a
	 * stale pointer is refused, not followed.
	 */
	u64 vm_lo, vm_hi;
	bool vmx; /* a vCPU is a struct vcpu_vmx's; ms_kvm_read_host() tells */
	u32 buffer_pages; /* tables to ask for in one batch, at least 1 */

	/*
	 * Read in order; sets each status. An error is one of the reader as a whole. Not to be called but
	 * through ms_kmem_read(), which keeps away what may not be read.
	 */
	struct ms_err *(*read)(struct ms_kmem *kmem, struct ms_kread *reqs, size_t nr);
	/* See abi/kread.h; nodes takes args->max addresses. Through ms_kmem_chase() only. */
	struct ms_err *(*chase)(struct ms_kmem *kmem, struct ms_chase_args *args, u64 *nodes);
	/* Is there still a VM at this address? NULL: cannot be asked (a dead machine's memory does not
	 * change). */
	struct ms_err *(*alive)(struct ms_kmem *kmem, u64 kvm, bool *ret);
	void *priv;
	const struct ms_kvm_pages_ops *pages; /* NULL: without a lock */
	void *pages_ctx;
};

/* May len bytes at addr be read? Direct map, struct page array, kernel image and modules, the VM's own
 * structure. */
bool ms_kmem_may_read(const struct ms_kmem *kmem, u64 addr, u32 len);
/*
 * The only way to memory: reads in order, each with its status; one that may not be read gets -ERANGE, and
 * the reader never sees it.
 */
struct ms_err *ms_kmem_read(struct ms_kmem *kmem, struct ms_kread *reqs, size_t nr) MS_MUST_CHECK;
/* A chase whose nodes are plain memory of the direct map: args->lo and hi are set to it. */
struct ms_err *ms_kmem_chase(struct ms_kmem *kmem, struct ms_chase_args *args, u64 *nodes) MS_MUST_CHECK;
/* Is the range plain memory of the direct map? */
bool ms_kmem_is_direct(const struct ms_kmem *kmem, u64 addr, u64 len);

static inline u64 ms_kmem_va(const struct ms_kmem *kmem, u64 pfn)
{
	return kmem->page_offset + (pfn << 12);
}

static inline u64 ms_kmem_pfn(const struct ms_kmem *kmem, u64 va)
{
	return (va - kmem->page_offset) >> 12;
}

/*
 * A batch being put together. Adding never fails visibly: when memory is out `oom' is set and ms_kbatch_run()
 * says so. The destination of a field is a u64, zero-extended.
 */
struct ms_kbatch {
	struct ms_kread *reqs;
	size_t nr, cap;
	bool oom;
};

void ms_kbatch_deinit(struct ms_kbatch *batch);
/* Returns the request's index. */
size_t ms_kbatch_add(struct ms_kbatch *batch, u64 addr, u32 len, void *dst);
/*
 * Ask for a field of the object at base. Returns false, asking nothing, when this kernel lacks the field.
 * Only scalars of up to 8 bytes.
 */
bool ms_kbatch_field(struct ms_kbatch *batch, const struct ms_kmem *kmem, u64 base, enum ms_field_id id,
		     u64 *dst);
/* Carry out and empty the batch; *failed_ret (may be NULL) gets the number of requests that could not be
 * read. */
struct ms_err *ms_kbatch_run(struct ms_kbatch *batch, struct ms_kmem *kmem, size_t *failed_ret) MS_MUST_CHECK;

/* A scalar field out of a copy of its object (`raw' starts at the object's first byte, len bytes); 0 when
 * absent. */
u64 ms_raw_field(const struct ms_layout *layout, const u8 *raw, size_t len, enum ms_field_id id);

/* Monotonic, ns: what the times of a walk are given in. */
u64 ms_kmem_now_ns(void);
/* Address bits of a page-table entry of this host's: an SPTE's or the kernel's own, without the SME bit. */
u64 ms_kvm_address_mask(const struct ms_rec_host *host);

/* From now on the structure of the VM at kvm may be read, and no other's. */
void ms_kvm_enter(struct ms_kmem *kmem, u64 kvm);
/* Host facts: masks, switches, role layout. */
struct ms_err *ms_kvm_read_host(struct ms_kmem *kmem, struct ms_rec_host *ret) MS_MUST_CHECK;
/* Everything `want' names, for the VMs that `files' refer to and those on KVM's own list. */
struct ms_err *ms_kvm_read(struct ms_kmem *kmem, const struct ms_rec_host *host, const struct ms_kfile *files,
			   size_t nr_files, const struct ms_want *want,
			   const struct ms_sink *sink) MS_MUST_CHECK;
/*
 * The shadow pages of one VM, both MMUs, each MMU's followed by its MS_REC_WALK. How a page is found, and
 * when it counts as confirmed: kvm_sps.c.
 */
struct ms_err *ms_kvm_read_sps(struct ms_kmem *kmem, const struct ms_rec_host *host,
			       const struct ms_rec_vm *vm, const struct ms_want *want,
			       const struct ms_sink *sink) MS_MUST_CHECK;
/* Reverse maps, parents and frames' counts of one VM, and their MS_REC_RMAPS: kvm_rmap.c. */
struct ms_err *ms_kvm_read_rmaps(struct ms_kmem *kmem, const struct ms_rec_host *host,
				 const struct ms_rec_vm *vm, const struct ms_want *want,
				 const struct ms_sink *sink) MS_MUST_CHECK;
/*
 * The guest tables that a VM's shadow pages shadow, an MS_REC_GTABLE for each frame of each address space: kvm_guest.c.
 * Nothing is faulted in. What is to be held against them (shadow pages) is read between the first look and the second,
 * lest a table be of another moment: only tables that said the same both times count as read.
 */
struct ms_kvm_guest;
struct ms_err *ms_kvm_guest_look(struct ms_kmem *kmem, const struct ms_rec_host *host,
				 const struct ms_rec_vm *vm, const struct ms_want *want,
				 struct ms_kvm_guest **ret) MS_MUST_CHECK;
struct ms_err *ms_kvm_guest_look_again(struct ms_kvm_guest *guest) MS_MUST_CHECK;
/* The records, after the second look. */
struct ms_err *ms_kvm_guest_put(const struct ms_kvm_guest *guest, const struct ms_sink *sink) MS_MUST_CHECK;
void ms_kvm_guest_destroy(struct ms_kvm_guest *guest); /* takes NULL */
/* As ms_target_frames(), of the VM at kvm: bytes that were twice the same, of a page that was before and after. */
struct ms_err *ms_kvm_frames(struct ms_kmem *kmem, const struct ms_rec_host *host, u64 kvm, u32 as_id,
			     struct ms_frame *frames, size_t nr) MS_MUST_CHECK;

#endif
