#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Prints features.h: what the kernel has whose headers are in SRCTREE and whose exports are in OBJTREE/Module.symvers.
# Looked for by what is there, never by version. WITHOUT names exports to be taken for missing (tests).
#
# usage: features.sh SRCTREE OBJTREE [WITHOUT]
set -u
src=$1 obj=$2 without=${3-}
track=$src/arch/x86/include/asm/kvm_page_track.h

# exports SYMBOL: is it there for modules?
exports()
{
	case " $without " in *" $1 "*) return 1 ;; esac
	[ -f "$obj/Module.symvers" ] || return 1
	awk -v want="$1" '$2 == want { found = 1 } END { exit !found }' "$obj/Module.symvers"
}

# has NAME COMMAND...
has()
{
	name=$1
	shift
	if "$@" >/dev/null 2>&1; then echo "#define MMUSCOPE_HAVE_$name 1"; fi
}

echo "/* Made by features.sh. */"
if [ ! -f "$obj/Module.symvers" ] || ! exports kvm_get_kvm; then
	echo "features.sh: $obj/Module.symvers does not name kvm_get_kvm: KVM is no module there, or was not built" >&2
fi
has FILE_IS_KVM exports file_is_kvm
# Write tracking for others than KVM: whole gfns (since 6.6), or a slot's page under KVM's own locks (before).
has WRITE_TRACK_GFN exports kvm_write_track_add_gfn
has SLOT_PAGE_TRACK exports kvm_slot_page_track_add_page
# Counts of write-tracked frames: one array, or one for each kind of tracking.
has GFN_WRITE_TRACK grep -q gfn_write_track "$src/arch/x86/include/asm/kvm_host.h"
# The callback's first argument, and how it learns that frames go.
has TRACK_WRITE_VCPU grep -qE '\(\*track_write\)\(struct kvm_vcpu \*' "$track"
has TRACK_FLUSH_SLOT grep -q '(\*track_flush_slot)' "$track"
has TRACK_REMOVE_REGION grep -q '(\*track_remove_region)' "$track"
has TRACK_REGISTER_INT grep -q '^int kvm_page_track_register_notifier' "$track"
# VMs that are made with memory or registers that KVM cannot read.
has PROTECTED_STATE grep -q '	bool has_protected_state;' "$src/arch/x86/include/asm/kvm_host.h"
has VM_TYPE grep -qE '	(u8|unsigned long) vm_type;' "$src/arch/x86/include/asm/kvm_host.h"
# KVM's exports have a name space since 6.13, which is a string by then.
if [ -f "$obj/Module.symvers" ]; then
	awk '$2 == "kvm_get_kvm" && $5 != "" { printf "#define MMUSCOPE_KVM_NS \"%s\"\n", $5 }' "$obj/Module.symvers"
fi
