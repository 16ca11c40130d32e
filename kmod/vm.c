// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a descriptor to a VM, and letting go of it.
 *
 * The module must never be the reason why a dead VM stays. A reference of struct kvm is held while at least one session
 * is attached, and given back at whichever comes first:
 *   - the last session on it ends;
 *   - the VMM's address space goes (mmu_notifier's release(): exit, a signal, exec). KVM frees nothing there, for the
 *     callback runs inside the notifier's own SRCU, which destroying a VM waits for: a work item lets go;
 *   - nobody else refers to it: the VMM closed its descriptors and lives on. No callback tells of that, so the count
 *     is compared with what the module itself holds, four times a second.
 * The descriptor is looked at during one request and not kept.
 */
#include <linux/file.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "kmod/mmuscope.h"

#define LOOK_EVERY (HZ / 4)

static DEFINE_MUTEX(mmuscope_vms_lock);
static LIST_HEAD(vms);
static struct workqueue_struct *queue;

/*
 * Kernels that do not export file_is_kvm(): a VM's file is known by the function that ends it, which the kernel's own
 * symbol table names, module included. Nobody else's file can have it.
 */
static bool is_vm(struct file *file)
{
#ifdef MMUSCOPE_HAVE_FILE_IS_KVM
	return file_is_kvm(file);
#else
	char name[64];

	snprintf(name, sizeof(name), "%ps", file->f_op->release);
	return !strcmp(name, "kvm_vm_release [kvm]") || !strcmp(name, "kvm_vm_release");
#endif
}

/* Nobody uses vm->kvm afterwards. */
static void let_go(struct mmuscope_vm *vm)
{
	struct kvm *kvm;

	down_write(&vm->use);
	kvm = vm->kvm;
	if (kvm) {
		mmuscope_parts_let_go(vm);
		vm->kvm = NULL;
		atomic_dec(&vm->refs);
		atomic_dec(&mmuscope_nr_vms);
	}
	up_write(&vm->use);
	if (kvm)
		kvm_put_kvm(kvm);
}

static void let_go_work(struct work_struct *work)
{
	let_go(container_of(work, struct mmuscope_vm, let_go));
}

static void look_work(struct work_struct *work)
{
	struct mmuscope_vm *vm = container_of(to_delayed_work(work), struct mmuscope_vm, look);
	bool alone = false, gone;

	down_read(&vm->use);
	gone = !vm->kvm;
	/* Once it is so it stays so, but for debugfs, which takes a reference while one of its files is open. */
	if (!gone)
		alone = refcount_read(&vm->kvm->users_count) <= atomic_read(&vm->refs);
	up_read(&vm->use);
	if (alone)
		let_go(vm);
	else if (!gone)
		queue_delayed_work(queue, &vm->look, LOOK_EVERY);
}

static void mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	queue_work(queue, &container_of(mn, struct mmuscope_vm, mn)->let_go);
}

static const struct mmu_notifier_ops mm_ops = {
	.release = mm_release,
};

/* Takes over the caller's reference of the VM when it succeeds. Needs mmuscope_vms_lock. */
static struct mmuscope_vm *vm_create(struct kvm *kvm)
{
	struct mm_struct *mm = kvm->mm;
	struct mmuscope_vm *vm;
	int err = -ENOMEM;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		goto out;
	init_rwsem(&vm->use);
	vm->kvm = kvm;
	vm->name = (u64)kvm;
	vm->mm = mm;
	atomic_set(&vm->refs, 1);
	vm->mn.ops = &mm_ops;
	INIT_WORK(&vm->let_go, let_go_work);
	INIT_DELAYED_WORK(&vm->look, look_work);
	err = -ESRCH;
	if (!mmget_not_zero(mm))
		goto out_free;
	err = mmu_notifier_register(&vm->mn, mm);
	mmput(mm);
	if (err)
		goto out_free;
	mmgrab(mm);
	list_add(&vm->link, &vms);
	atomic_inc(&mmuscope_nr_vms);
	queue_delayed_work(queue, &vm->look, LOOK_EVERY);
	return vm;
out_free:
	kfree(vm);
out:
	return ERR_PTR(err);
}

/* Needs mmuscope_vms_lock, and that no session has it. */
static void vm_destroy(struct mmuscope_vm *vm)
{
	list_del(&vm->link);
	/* After this no callback runs, and none queues the work. */
	mmu_notifier_unregister(&vm->mn, vm->mm);
	cancel_delayed_work_sync(&vm->look);
	cancel_work_sync(&vm->let_go);
	let_go(vm);
	mmdrop(vm->mm);
	kfree(vm);
}

/* A VM that was let go of is never attached to again: its address may be another's by now. */
static struct mmuscope_vm *vm_find(const struct kvm *kvm)
{
	struct mmuscope_vm *vm;
	bool found;

	list_for_each_entry(vm, &vms, link) {
		down_read(&vm->use);
		found = vm->kvm == kvm;
		up_read(&vm->use);
		if (found)
			return vm;
	}
	return NULL;
}

static int run_attach(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_attach *attach = arg;
	struct mmuscope_vm *vm;
	struct file *filp;
	struct kvm *kvm;
	int err = 0;

	if (attach->pad || attach->kvm)
		return -EINVAL;
	if (file->vm)
		return -EBUSY;
	filp = fget(attach->vm_fd);
	if (!filp)
		return -EBADF;
	if (!is_vm(filp)) {
		fput(filp);
		return -EINVAL;
	}
	kvm = filp->private_data;
	/* The file is held: so is the VM. */
	kvm_get_kvm(kvm);
	fput(filp);

	mutex_lock(&mmuscope_vms_lock);
	vm = vm_find(kvm);
	if (vm) {
		kvm_put_kvm(kvm);
	} else {
		vm = vm_create(kvm);
		if (IS_ERR(vm)) {
			err = PTR_ERR(vm);
			kvm_put_kvm(kvm);
		}
	}
	if (!err) {
		vm->sessions++;
		file->vm = vm;
		attach->kvm = vm->name;
	}
	mutex_unlock(&mmuscope_vms_lock);
	return err;
}

static void vm_release(struct mmuscope_file *file)
{
	if (!file->vm)
		return;
	mutex_lock(&mmuscope_vms_lock);
	if (!--file->vm->sessions)
		vm_destroy(file->vm);
	file->vm = NULL;
	mutex_unlock(&mmuscope_vms_lock);
}

struct kvm *mmuscope_vm_enter(struct mmuscope_file *file)
{
	struct mmuscope_vm *vm = file->vm;

	if (!vm)
		return ERR_PTR(-ENOTCONN);
	if (down_read_killable(&vm->use))
		return ERR_PTR(-EINTR);
	if (vm->kvm)
		return vm->kvm;
	up_read(&vm->use);
	return ERR_PTR(-ESRCH);
}

void mmuscope_vm_leave(struct mmuscope_file *file)
{
	up_read(&file->vm->use);
}

bool mmuscope_queue_delayed(struct delayed_work *work, unsigned long delay)
{
	return queue_delayed_work(queue, work, delay);
}

static int vm_init(void)
{
	queue = alloc_workqueue("mmuscope", WQ_UNBOUND, 0);
	return queue ? 0 : -ENOMEM;
}

static void vm_exit(void)
{
	destroy_workqueue(queue);
}

static const struct mmuscope_request vm_requests[] = {
	{ MMUSCOPE_ATTACH, run_attach },
};

const struct mmuscope_part mmuscope_vm_part = {
	.requests = vm_requests,
	.nr_requests = ARRAY_SIZE(vm_requests),
	.release = vm_release,
	.init = vm_init,
	.exit = vm_exit,
};
