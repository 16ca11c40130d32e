/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of SEMANTICS H about memslots that are logged. A slot's flag is there before its pages are protected
 * (kvm_mmu_slot_apply_flags() runs behind the swap of the memslots), so that one reading proves nothing.
 */
#include "audit/private.h"

/*
 * In a log that begins with all pages dirty nothing is protected when it begins, only range by range as they are
 * cleared (E6). Which were, nobody keeps: a bit that is set may have been cleared and set again.
 */
u32 audit_logs_lacking(const struct ms_vm *vm)
{
	size_t i;

	if (!(vm->rec.have & MS_VM_HAVE_LOG_MODE))
		return MS_AUDIT_NEED_LOG_MODE;
	for (i = 0; i < vm->nr_slots && vm->rec.log_mode & MS_LOG_INIT_SET; i++)
		if (vm->slots[i].flags & MS_SLOT_LOG_DIRTY)
			return MS_AUDIT_NEED_LOG_CLEARED;
	return 0;
}

/*
 * 34: a write through a huge leaf would be logged nowhere, or as one page of 512. Both MMUs protect them, those of
 * old generations included: walk_slot_rmaps() goes by reverse maps.
 */
void audit_logged(struct audit *a, const struct ms_sp *sp, u32 idx, u64 raw, u64 gfn,
		  const struct ms_rec_slot *slot)
{
	const struct place at = { .sp = sp, .idx = idx, .have_gfn = true, .gfn = gfn };

	if (sp->level > 1 && slot->flags & MS_SLOT_LOG_DIRTY && audit_asks(a, 34) && spte_is_writable(raw))
		audit_found(a, 34, &at, "a writable huge page in a memslot that is logged");
}
