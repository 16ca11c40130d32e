#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# Every field that mmuscope shows against the same memory read by another way (fields.py), inside the lab, on guests that bring about
# the rarer values: unsync pages and their parents, write flooding, a cached root, an invalid root, generation 1, split huge pages, L2
# active, a vCPU in the guest, and shadow paging without NPT. On Intel guests that are no hypervisors.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

here=$(dirname "$0")
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

# same NAME NEED...: all fields of guest g as memory has them, and the values named really occur.
same()
{
	local name=$1 need args=()
	shift

	for need; do
		args+=(--need "$need")
	done
	ok "$name: as memory has it${*:+; with $*}" \
		/usr/bin/python3 "$here/fields.py" "$BUILD/mmuscope" "$SCRATCH/g.truth" \
		--cache "$SCRATCH/layout" "${args[@]}"
	grep 'facts' "$SCRATCH/ok.out" | sed 's/^/# /'
}

# held NAME OPTION...: guest g at its first checkpoint.
held()
{
	local name=$1
	shift
	start_vmm g --seed "$seed" "$@"
	wait_checkpoint g 1 || result 1 "$name: guest"
}

# next N: lets guest g go to its checkpoint N.
next()
{
	release_vmm g && wait_checkpoint g "$1" || result 1 "guest at checkpoint $1"
}

if [ "$vendor" = intel ]; then
	echo force >/sys/module/kvm/parameters/nx_huge_pages
	held "EPT" --pages 16 --ro 2 --mmio 2 --sys-thp --dirty on --log-mode manual
	same "EPT, logged" log-manual root-count
	end_vmm g
	if [ "${MMUSCOPE_DEEP:-0}" != 0 ]; then
		held "let off" --pages 12 --sys-thp --nx-off --dirty on --log-mode all-set
		same "a VM let off from nx_huge_pages" nx-huge-disabled log-all-set
		end_vmm g
	fi
	ok "kvm_intel without EPT" modules '' ept=0
	held "shadow paging" --pages 16
	same "shadow paging" pae-root indirect translations
	end_vmm g
	modules '' ''
	done_testing
fi

hold_kvm

held "rewritten" --mode nested --pages 48 --stride 120 --map identity --rewrite w --rewrite-pct 90 --rounds 3 --stop-rewritten \
	--npt-roots 2 --storm-pages 4 --ro 2 --mmio 2
next 2
same "L1 rewrote its tables" unsync unsync-children write-flooding translations indirect
next 3
same "L1 changed its root" cached-root translations
ok "the slot is made again" vmm_ctl g zap
same "all pages dropped" invalid invalidate-seq
next 4
next 5
same "pages made since" generation invalidate-seq
end_vmm g

nx_huge=/sys/module/kvm/parameters/nx_huge_pages
nx_before=$(cat $nx_huge)
echo force >$nx_huge
held "L2" --mode nested --at l2 --vcpus 2 --pages 30 --sys-thp --dirty on --log-mode manual
same "L2 active on two vCPUs" l2 hflags root-count nx-split nx-possible log-manual
end_vmm g
held "let off" --pages 30 --sys-thp --nx-off --dirty on --log-mode all-set
same "a VM let off from nx_huge_pages" nx-huge-disabled log-all-set
end_vmm g
echo "$nx_before" >$nx_huge

held "in the guest" --pages 20 --hold run --dirty on
same "a vCPU in the guest" in-guest
end_vmm g
end_vmm keeper

# Whatever becomes of this script, the next one finds NPT.
trap 'cleanup; rmmod kvm_amd; modprobe kvm_amd' EXIT
ok "kvm_amd without NPT" eval "rmmod kvm_amd && modprobe kvm_amd npt=0"
held "shadow paging" --pages 30
same "shadow paging" pae-root indirect translations
end_vmm g
done_testing
