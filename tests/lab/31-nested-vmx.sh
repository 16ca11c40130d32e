#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: intel
#
# What mmuscope says of a guest that is a hypervisor on VMX against what it really did (truth.py), inside the lab: EPT12
# with and without A/D, aliases, an MMIO hole, refused entries, PML. On SVM the same is in 30-truth.sh.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(dirname "$0")
mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

truth_py()
{
	/usr/bin/python3 "$here/truth.py" "$@"
}

# begin NAME OPTION...: a guest at its first checkpoint.
begin()
{
	local name=$1
	shift
	start_vmm g --seed "$seed" --mode nested "$@"
	wait_checkpoint g 1
	result $? "$name: guest"
}

# saved NAME: the state as a snapshot, and all facts of that: a command that loads probes is what costs time here.
saved()
{
	ok "$1: saved" "$mmuscope" save --force "$SCRATCH/s.snap"
	ok "$1: the snapshot says what the guest did" truth_py check "$mmuscope" "$SCRATCH/g.truth" --target "snap:$SCRATCH/s.snap"
	grep 'facts' "$SCRATCH/ok.out" | sed 's/^/# /'
}

# corrupt NAME SED-EXPRESSION: a truth that is wrong in one point must be noticed, by the snapshot that was just shown to agree.
corrupt()
{
	sed "$2" "$SCRATCH/g.truth" >"$SCRATCH/wrong.truth"
	if cmp -s "$SCRATCH/g.truth" "$SCRATCH/wrong.truth"; then
		result 1 "corrupted truth ($1): the corruption changed nothing"
		return
	fi
	status_is "corrupted truth is noticed: $1" 1 truth_py check "$mmuscope" "$SCRATCH/wrong.truth" --target "snap:$SCRATCH/s.snap"
	grep -v facts "$SCRATCH/ok.out" | head -n 1 | sed 's/^/# /'
}

if ! grep -q '^flags.* vmx ' /proc/cpuinfo; then
	skip "a hypervisor on VMX" "this CPU has no VMX: 30-truth.sh does it on SVM"
	done_testing
fi
huge_pages_on
begin "EPT12, PML" --pages 80 --pml --rounds 2 --write-redraw --map shuffle --alias 5 --ro 4 --ro-write --mmio 3 --order random \
	--npt-ro 20 --misconf 3
release_vmm g
ok "EPT12, PML: second checkpoint" wait_checkpoint g 2
cmp_ok "EPT12, PML: written in round 1 alone" "$(truth_count g l2map touched=rw- ad=a-)" -gt 0
ok "EPT12, PML: live" truth_py check "$mmuscope" "$SCRATCH/g.truth"
saved "EPT12, PML"
corrupt "A/D of the EPTP" 's/npt_cr3=0x\([0-9a-f]*\)5e/npt_cr3=0x\11e/'
corrupt "an L1 frame" '/^l2map .*kind=data/{s/l1gfn=0x\([0-9a-f]*\)/l1gfn=0x\1f/;:a;n;ba}'
corrupt "an access right" '/^l2map .*touched=rw- kind=data.*ad=ad/{s/access=rwx/access=r-x/;:a;n;ba}'
corrupt "a D bit" '/^l2map .*touched=rw- kind=data.*ad=ad/{s/ad=ad/ad=a-/;:a;n;ba}'
end_vmm g
begin "EPT12 without A/D, filled by faults" --pages 60 --eptp-ad 0 --npt fault --mmio 2 --stubborn 5 --order random --vcpus 2
saved "EPT12 without A/D, filled by faults"
end_vmm g
begin "EPT12, L2 active, 2M" --pages 6 --size 2m --rounds 2 --npt-nx --at l2 --hold run
saved "EPT12, L2 active, 2M"
end_vmm g
done_testing
