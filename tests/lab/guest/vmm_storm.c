// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Zap storms from the host's side. Each operation is done as a whole under the lock and leaves everything as
 * it found it, so that a checkpoint never sees half of one; while the process is held, the storm rests.
 *
 *	slot		deletes the storm slot and makes it again: KVM zaps all shadow pages of the VM
 *	madvise		drops the storm slot's memory: the MMU notifier zaps its leaves
 *	mprotect	write-protects the data slot's memory and undoes it: the notifier zaps
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "vmm.h"

static void storm_once(struct vmm_vm *vm, unsigned int kind)
{
	struct vmm_slot *storm = &vm->slot[SLOT_STORM], *data = &vm->slot[SLOT_DATA];
	int err = 0;

	switch (kind) {
	case STORM_SLOT:
		mem_slot_set(vm, SLOT_STORM, false);
		mem_slot_set(vm, SLOT_STORM, true);
		break;
	case STORM_MADVISE:
		err = madvise(storm->hva, storm->size_bytes, MADV_DONTNEED);
		break;
	case STORM_MPROTECT:
		err = mprotect(data->hva, data->size_bytes, PROT_READ) ||
		      mprotect(data->hva, data->size_bytes, PROT_READ | PROT_WRITE);
		break;
	}
	if (err)
		vmm_fail(VMM_ENVIRONMENT, "storm: %s", strerror(errno));
}

bool storm_zap(struct vmm *vmm)
{
	if (!vmm->opts.storm_pages)
		return false;
	for (unsigned int i = 0; i < vmm->opts.vms; i++) {
		storm_once(&vmm->vm[i], STORM_SLOT);
		storm_once(&vmm->vm[i], STORM_MADVISE);
	}
	vmm->nr_storm++;
	return true;
}

static void pause_ns(uint64_t ns)
{
	struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&t, NULL);
}

static void *storm_thread(void *arg)
{
	struct vmm *vmm = arg;
	uint64_t period_ns = vmm->opts.storm_hz ? 1000000000 / vmm->opts.storm_hz : 0;

	for (unsigned int turn = 0;; turn++) {
		unsigned int kind = 1u << turn % 3;

		if (!(vmm->opts.storms & kind))
			continue;
		pthread_mutex_lock(&vmm->lock);
		if (vmm->stop) {
			pthread_mutex_unlock(&vmm->lock);
			return NULL;
		}
		if (vmm->phase == PHASE_RUN) {
			for (unsigned int i = 0; i < vmm->opts.vms; i++)
				storm_once(&vmm->vm[i], kind);
			vmm->nr_storm++;
		}
		pthread_mutex_unlock(&vmm->lock);
		/* The lock is not fair: without a pause the vCPU threads would hardly ever get it. */
		pause_ns(period_ns ? period_ns : 20000);
	}
}

void storm_start(struct vmm *vmm)
{
	int err = pthread_create(&vmm->storm_thread, NULL, storm_thread, vmm);

	if (err)
		vmm_fail(VMM_ENVIRONMENT, "pthread_create: %s", strerror(err));
	vmm->storm_started = true;
}

void storm_stop(struct vmm *vmm)
{
	if (!vmm->storm_started)
		return;
	pthread_mutex_lock(&vmm->lock);
	vmm->stop = true;
	pthread_mutex_unlock(&vmm->lock);
	pthread_join(vmm->storm_thread, NULL);
	vmm->storm_started = false;
}
