// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mmuscope.ko: the device. Sessions, requests, and the copies of their arguments; what a request does is its part's.
 *
 * An argument is copied into the kernel once, whole, before anything looks at it. A file's requests run one after the
 * other; those of different files do not meet here.
 */
#include <linux/capability.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <generated/utsrelease.h>

#include "kmod/mmuscope.h"

atomic_t mmuscope_nr_vms, mmuscope_nr_flips, mmuscope_nr_nmmus;
static atomic_t nr_files;

static const struct mmuscope_part mmuscope_main_part;

/* In the order in which a session's things are undone. */
static const struct mmuscope_part *const parts[] = {
	&mmuscope_main_part, &mmuscope_layout_part, &mmuscope_exact_part,
	&mmuscope_wp_part,   &mmuscope_nmmu_part,   &mmuscope_vm_part,
};

static int run_version(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_version *v = arg;
	unsigned int i;

	v->major = MMUSCOPE_ABI_MAJOR;
	v->minor = MMUSCOPE_ABI_MINOR;
	for (i = 0; i < ARRAY_SIZE(parts); i++)
		v->has |= parts[i]->has;
	strscpy(v->release, UTS_RELEASE, sizeof(v->release));
	return 0;
}

static int run_state(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_state *s = arg;

	s->files = atomic_read(&nr_files);
	s->vms = atomic_read(&mmuscope_nr_vms);
	s->flips = atomic_read(&mmuscope_nr_flips);
	s->nmmus = atomic_read(&mmuscope_nr_nmmus);
	return 0;
}

static const struct mmuscope_request main_requests[] = {
	{ MMUSCOPE_VERSION, run_version },
	{ MMUSCOPE_STATE, run_state },
};

static const struct mmuscope_part mmuscope_main_part = {
	.requests = main_requests,
	.nr_requests = ARRAY_SIZE(main_requests),
};

void mmuscope_parts_let_go(struct mmuscope_vm *vm)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i]->let_go)
			parts[i]->let_go(vm);
}

/* By its number alone: direction and size are compared by the caller. */
static const struct mmuscope_request *find_request(unsigned int cmd)
{
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		for (k = 0; k < parts[i]->nr_requests; k++)
			if (_IOC_NR(parts[i]->requests[k].cmd) == _IOC_NR(cmd))
				return &parts[i]->requests[k];
	return NULL;
}

static long dev_ioctl(struct file *filp, unsigned int cmd, unsigned long uarg)
{
	struct mmuscope_file *file = filp->private_data;
	const struct mmuscope_request *request;
	u8 arg[MMUSCOPE_ARG_MAX] __aligned(8) = {};
	long err;

	if (_IOC_TYPE(cmd) != MMUSCOPE_IOC)
		return -ENOTTY;
	request = find_request(cmd);
	if (!request)
		return -ENOTTY;
	if (request->cmd != cmd)
		return -EINVAL;
	if ((_IOC_DIR(cmd) & _IOC_WRITE) && copy_from_user(arg, (void __user *)uarg, _IOC_SIZE(cmd)))
		return -EFAULT;
	if (mutex_lock_killable(&file->lock))
		return -EINTR;
	err = request->run(file, arg);
	mutex_unlock(&file->lock);
	if ((_IOC_DIR(cmd) & _IOC_READ) && (!err || err == -EINVAL || err == -E2BIG || err == -EUCLEAN) &&
	    copy_to_user((void __user *)uarg, arg, _IOC_SIZE(cmd)))
		return -EFAULT;
	return err;
}

static int dev_open(struct inode *inode, struct file *filp)
{
	struct mmuscope_file *file;

	/* In the first user namespace: capable() asks for no other. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	file->file = filp;
	filp->private_data = file;
	atomic_inc(&nr_files);
	return nonseekable_open(inode, filp);
}

static int dev_release(struct inode *inode, struct file *filp)
{
	struct mmuscope_file *file = filp->private_data;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i]->release)
			parts[i]->release(file);
	mutex_destroy(&file->lock);
	kfree(file);
	atomic_dec(&nr_files);
	return 0;
}

static __poll_t dev_poll(struct file *filp, struct poll_table_struct *wait)
{
	__poll_t mask = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i]->poll)
			mask |= parts[i]->poll(filp->private_data, wait);
	return mask;
}

static ssize_t dev_read(struct file *filp, char __user *to, size_t bytes, loff_t *pos)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i]->read)
			return parts[i]->read(filp->private_data, to, bytes, filp->f_flags & O_NONBLOCK);
	return -EINVAL;
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.open = dev_open,
	.release = dev_release,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl, /* the structs have no member whose size depends on the caller's */
	.poll = dev_poll,
	.read = dev_read,
};

static struct miscdevice dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mmuscope",
	.fops = &dev_fops,
	.mode = 0600,
};

static void parts_exit(unsigned int nr)
{
	while (nr--)
		if (parts[nr]->exit)
			parts[nr]->exit();
}

static int __init mmuscope_init(void)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i]->init)
			err = parts[i]->init();
		if (err)
			goto out;
	}
	err = misc_register(&dev);
out:
	if (err)
		parts_exit(i);
	return err;
}

static void __exit mmuscope_exit(void)
{
	misc_deregister(&dev);
	parts_exit(ARRAY_SIZE(parts));
	/* Who gave back the last reference may not have returned from our code yet, where it was preempted. */
	synchronize_rcu_tasks();
}

module_init(mmuscope_init);
module_exit(mmuscope_exit);

MODULE_DESCRIPTION("mmuscope: what KVM's MMU holds, under KVM's own locks");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
#ifdef MMUSCOPE_KVM_NS
/* A macro until 6.12, a string from 6.13 on: features.sh knows. */
MODULE_IMPORT_NS(MMUSCOPE_KVM_NS);
#endif
