#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# Our engine against the real KVM: the same faults on the same guest memory give equal shadow pages, roles and leaf SPTEs. Each
# case runs a fixture guest under a trace, saves what KVM came to, and replays the trace (tests/conform/replay). What differs
# for a reason is in doc/differences.md. Geometry comes from a seed that is drawn and printed.

# shellcheck disable=SC2016 # programs of awk
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

mmuscope=$BUILD/mmuscope
replay=$BUILD/tests/conform/replay
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"
# CONFORM_OUT keeps traces and snapshots.
keep=${CONFORM_OUT:-$SCRATCH}

# case_ok NAME CHECKPOINT VMM-OPTION...
case_ok()
{
	local name=$1

	if ! take "$keep" "$@"; then
		result 1 "$name: guest"
		return
	fi
	ok "$name" "$replay" --spoil 1 "$keep/$name.trace" "$keep/$name.snap"
	sed 's/^/# /' "$SCRATCH/ok.out" | tail -n 1
	grep '^spoil ' "$SCRATCH/ok.out" >>"$SCRATCH/spoils"
	# A difference is told of whatever is spoiled on our side, each time (tests/conform/spoil.c).
	is "$name: noticed: whatever is spoiled" \
		"$(awk '$1 == "spoil" { n++; sub(/.*=/, "", $3); sub(/.*=/, "", $4) }
			$1 == "spoil" && $3 != $4 { print $2 } END { if (!n) print "none" }' "$SCRATCH/ok.out")" ""
}

# noticed NAME WHAT AWK-PROGRAM: the trace of case NAME, changed by awk in one point, is no longer equal.
noticed()
{
	awk "$3" "$keep/$1.trace" >"$SCRATCH/wrong.trace"
	if cmp -s "$keep/$1.trace" "$SCRATCH/wrong.trace"; then
		result 1 "$1: noticed: $2: nothing was changed"
		return
	fi
	status_is "$1: noticed: $2" 1 "$replay" --max 1 "$SCRATCH/wrong.trace" "$keep/$1.snap"
}

# kvm_with "KVM OPTIONS" "KVM_AMD OPTIONS": the modules again, and a VM that keeps KVM's static keys as they are.
kvm_with()
{
	[ -z "${vmm_pid[keeper]:-}" ] || end_vmm keeper
	modules "$@"
	result $? "modules: kvm ${1:-as always}, kvm_amd ${2:-as always}"
	hold_kvm
}

npt_cases()
{
	case_ok "$1-plain" 1 --pages 150 --order random --ro 6 --mmio 3
	case_ok "$1-plain-2m" 1 --pages 12 --size 2m --sys-thp
	case_ok "$1-nested" 1 --mode nested --pages 200 --map shuffle --alias 7 --ro 9 --ro-write --mmio 6 --order random \
		--npt-ro 20
	case_ok "$1-nested-2m" 1 --mode nested --pages 12 --size 2m --npt-nx
	case_ok "$1-nested-fault" 2 --mode nested --pages 100 --npt fault --ad 0 --rewrite mix --rounds 2 --l1 nx,wp,smep,smap
	case_ok "$1-nested-rewrite" 3 --mode nested --pages 150 --rewrite mix --rounds 3 --npt-roots 2 --mmio 3 --l1-touch --sys-thp
}

kvm_with '' ''
npt_cases npt
kvm_with tdp_mmu=0 ''
npt_cases legacy
case_ok legacy-dirty 2 --pages 50 --dirty get --rounds 2
case_ok legacy-nested-dirty 3 --mode nested --pages 60 --dirty get --rounds 3 --rewrite w --ad 0 --l1-touch --map shuffle --alias 5
case_ok legacy-recycle 2 --mode nested --pages 100 --stride 512 --mmu-pages 80 --rounds 2 --order random --passes 2

noticed legacy-nested "host frames" '/^back/ { sub(/pfn=0x/, "pfn=0x1") } { print }'
noticed legacy-nested "one right in NPT12" '!done && /^page/ && sub(/067 /, "065 ") { done = 1 } { print }'
noticed legacy-nested "faults left out" '/^fault/ && length($2) > 15 { next } { print }'
noticed legacy-nested-fault "reads for writes" '/^vmrun/ { late = 1 }
	late && /^fault/ { sub(/err=0x100000006/, "err=0x100000004") } { print }'
noticed legacy-nested-fault "one store left out" '/^store/ && ++n == 20 { next } { print }'

kvm_with '' npt=0
for paging in 32 pae 64; do
	case_ok "shadow-$paging" 2 --paging $paging --pages 300 --rounds 2 --ro 4 --mmio 4
	case_ok "shadow-$paging-smap" 2 --paging $paging --pages 300 --rounds 2 --ro 4 --mmio 4 --l1 nx,smep,smap,pse
	case_ok "shadow-$paging-thp" 2 --paging $paging --pages 300 --rounds 2 --backing thp --sys-thp
	noticed "shadow-$paging" "host frames" '/^back/ { sub(/pfn=0x/, "pfn=0x1") } { print }'
	noticed "shadow-$paging" "stores left out" '!/^store/'
done
case_ok shadow-32-nopse 2 --paging 32 --pages 300 --rounds 2 --l1 wp
case_ok shadow-64-recycle 2 --paging 64 --pages 1200 --rounds 2 --ro 4 --mmio 4 --mmu-pages 64
case_ok shadow-flat 1 --pages 100 --ro 5

is "each spoiling was possible in a case" \
	"$(awk '{ sub(/.*=/, "", $3); nr[$2] += $3 } END { for (name in nr) if (!nr[name]) print name }' \
		"$SCRATCH/spoils")" ""
status_is "noticed: a table that is not given back" 1 "$replay" --keep 1 "$keep/shadow-64.trace" "$keep/shadow-64.snap"

# What is no trace, or not of this snapshot, is told from an engine that differs.
head -n 100 "$keep/shadow-64.trace" >"$SCRATCH/cut.trace"
status_is "a trace that is cut off" 3 "$replay" "$SCRATCH/cut.trace" "$keep/shadow-64.snap"
status_is "a snapshot of another VM" 3 "$replay" "$keep/shadow-64.trace" "$keep/shadow-32.snap"

[ -z "${vmm_pid[keeper]:-}" ] || end_vmm keeper
ok "modules as they were" modules '' ''
done_testing
