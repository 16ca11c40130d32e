/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of mmuscope.ko share.
 *
 *   main.c	the device: sessions, requests and their copies
 *   vm.c	VMs: from a descriptor to a reference, and letting go of it
 *   layout.c	where members lie that no header has
 *   exact*.c	reading a VM's MMU under its own locks
 *   wp*.c	write-protect flips
 *   nmmu*.c	instances of the nested MMU
 *
 * Locks, outermost first: mmuscope_file.lock, mmuscope_vm.use, then KVM's own.
 */
#ifndef KMOD_MMUSCOPE_H
#define KMOD_MMUSCOPE_H

#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/workqueue.h>

#include "abi/kmod.h"

/* Made by features.sh: which functions and forms this kernel has. */
#include "features.h"

struct mmuscope_exact; /* exact.c */
struct mmuscope_flips; /* wp.c: one session's */
struct mmuscope_tracker; /* wp.c: one VM's */
struct mmuscope_nmmu; /* nmmu.c */

/* One for each VM that is attached to, whatever the number of sessions. */
struct mmuscope_vm {
	struct list_head link; /* in the list of all; mmuscope_vms_lock */
	unsigned int sessions; /* mmuscope_vms_lock */

	/*
	 * Held for reading while `kvm' is used (mmuscope_vm_enter()), for writing while it is let go of. Taken for
	 * reading by callbacks of KVM's never.
	 */
	struct rw_semaphore use;
	struct kvm *kvm; /* NULL: let go of; `use' */
	u64 name; /* the address, kept for those who compare */
	struct mm_struct *mm; /* grabbed (not its users) as long as this lives */
	/* References to the VM that the module has: its own, and what KVM took for a notifier of ours. */
	atomic_t refs;
	struct mmu_notifier mn;
	struct work_struct let_go;
	struct delayed_work look; /* is there anybody else who has it? */

	struct mmuscope_tracker *tracker; /* wp.c's, NULL: no flip was ever made; `use' */
};

/* One open file. */
struct mmuscope_file {
	struct mutex lock; /* one request at a time */
	struct mmuscope_vm *vm; /* NULL: not attached */
	struct mmuscope_layout *layout; /* NULL: none yet */
	struct mmuscope_exact *exact; /* each NULL until first used */
	struct mmuscope_flips *flips;
	struct mmuscope_nmmu *nmmu;
	struct file *file;
};

/*
 * A request: the argument has been copied in (zeros when the number carries _IOC_READ only), and is copied out
 * after 0, -EINVAL, -E2BIG and -EUCLEAN when the number says so. Called with file->lock held.
 */
struct mmuscope_request {
	unsigned int cmd; /* 0: no such request */
	int (*run)(struct mmuscope_file *file, void *arg);
};

/* A part: what main.c calls. Any function may be NULL. */
struct mmuscope_part {
	const struct mmuscope_request *requests;
	unsigned int nr_requests;
	/* The session ends; nothing else runs in it. May sleep. */
	void (*release)(struct mmuscope_file *file);
	/*
	 * The VM is let go of: vm->kvm is still valid, vm->use is held for writing. Undo all that was done to it; the
	 * sessions go on. May sleep.
	 */
	void (*let_go)(struct mmuscope_vm *vm);
	__poll_t (*poll)(struct mmuscope_file *file, struct poll_table_struct *wait);
	ssize_t (*read)(struct mmuscope_file *file, char __user *to, size_t bytes, bool nonblock);
	int (*init)(void);
	void (*exit)(void);
	u32 has; /* MMUSCOPE_HAS_ */
};

extern const struct mmuscope_part mmuscope_vm_part;
extern const struct mmuscope_part mmuscope_layout_part;
extern const struct mmuscope_part mmuscope_exact_part;
extern const struct mmuscope_part mmuscope_wp_part;
extern const struct mmuscope_part mmuscope_nmmu_part;

/* What struct mmuscope_state tells. */
extern atomic_t mmuscope_nr_vms, mmuscope_nr_flips, mmuscope_nr_nmmus;

/*
 * The session's VM, for use until mmuscope_vm_leave(); ERR_PTR(-ENOTCONN), ERR_PTR(-ESRCH). Needs file->lock. Between
 * the two nobody lets go of it: keep it short, and leave when a fatal signal is pending.
 */
struct kvm *mmuscope_vm_enter(struct mmuscope_file *file);
void mmuscope_vm_leave(struct mmuscope_file *file);
/* Work that is over when the module goes: also the return from it. False: it waits already. */
bool mmuscope_queue_delayed(struct delayed_work *work, unsigned long delay);
/* All parts' let_go(); vm.c calls it. */
void mmuscope_parts_let_go(struct mmuscope_vm *vm);

/* The member's address in a structure, and its presence. */
static inline bool mmuscope_has(const struct mmuscope_layout *l, enum mmuscope_field id)
{
	return l->off[id] != MMUSCOPE_ABSENT;
}

static inline const void *mmuscope_member(const struct mmuscope_layout *l, const void *of,
					  enum mmuscope_field id)
{
	return (const u8 *)of + l->off[id];
}

#endif
