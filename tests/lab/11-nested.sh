#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# The fixture's L1 as a hypervisor on SVM or on VMX, inside the lab, with BUILD naming the build directory: each nested
# fault is in its log as it was planned, refused and stubborn entries, L2's page-modification log, and who wrote which
# page of the data slot in which round against KVM's dirty log.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

# begin NAME OPTION...: a nested guest at its first checkpoint.
begin()
{
	local what=$1
	shift
	start_vmm g --seed "$seed" "$@"
	wait_checkpoint g 1
	result $? "$what: checkpoint" || return
	well "$what"
}

well()
{
	is "$1: complete, and what was written is there" "$(awk '
		$1 == "verify" { bad += substr($NF, 7); seen++ }
		END { print ($0 == "end lines=" NR ? "complete" : "cut"), (seen ? bad : "unseen") }' \
		"$SCRATCH/g.truth")" "complete 0"
}

# next NAME N: on to checkpoint N.
next()
{
	release_vmm g
	ok "$1: checkpoint $2" wait_checkpoint g "$2"
	well "$1"
}

ended()
{
	status_is "$1: ends" 0 end_vmm g
}

# list FILE KEY TYPE [KEY=VALUE]...: into a file of that name.
list()
{
	local file=$1
	shift
	truth_get g "$@" >"$SCRATCH/$file"
}

# exits [KEY=VALUE]...: frames L2 had nested faults at, as L1 was told.
exits()
{
	truth_get g gpa l1exit "$@" | sed 's/...$//'
}

# without BITS: of the numbers on standard input those that lack one of them.
without()
{
	local n count=0

	while read -r n; do
		[ $((n & $1)) -eq $(($1)) ] || count=$((count + 1))
	done
	echo $count
}

faults()
{
	begin "faults" --mode nested --pages 150 --npt fault --order random --alias 5 --mmio 4 --ro 3
	exits >"$SCRATCH/exits"
	list leaves l2gfn l2map
	same "faults: L1 was told of each leaf" "$SCRATCH/exits" "$SCRATCH/leaves"
	is "faults: once" "$(wc -l <"$SCRATCH/exits")" "$(truth_count g l2map)"
	is "faults: and counts them there" "$(truth_get g faults l2map | sort -u)" 1
	is "faults: mapped each" "$(truth_get g did l1exit | sort -u)" map
	is "faults: by what" "$(truth_get g by l1exit | sort -u)" "$violation"
	is "faults: as many as L1 counts" "$(truth_get g npf nested)" "$(truth_get g total l1exits)"
	# L2 writes through its tables even where it reads, so an access at least is there: R, W or X; SVM: never a
	# violation of what is present.
	if [ "$vendor" = vmx ]; then
		is "faults: qualification says which access" "$(truth_get g qual l1exit | while read -r q; do
			[ $((q & 7)) -ne 0 ] || echo "$q"; done)" ""
		is "faults: and that nothing was granted" "$(truth_get g qual l1exit | while read -r q; do
			[ $((q & 0x38)) -eq 0 ] || echo "$q"; done)" ""
		is "faults: linear address where it is valid" "$(truth_get g qual l1exit | without 0x80)" \
			"$(truth_count g l1exit gla=-)"
	else
		is "faults: EXITINFO1 says not present" "$(truth_get g qual l1exit | while read -r q; do
			[ $((q & 1)) -eq 0 ] || echo "$q"; done)" ""
		is "faults: no linear address" "$(truth_count g l1exit gla=-)" "$(truth_count g l1exit)"
	fi
	ended "faults"

	begin "many faults" --mode nested --pages 4500 --npt fault
	cmp_ok "many faults: more than the ring holds" "$(truth_get g lost l1exits)" -gt 400
	is "many faults: the last are kept" "$(truth_count g l1exit)" 4096
	is "many faults: in order" "$(truth_get g n l1exit | awk 'NR > 1 && $1 != last + 1 { bad++ } { last = $1 }
		END { print bad + 0, last + 1 }')" "0 $(truth_get g total l1exits)"
	ended "many faults"
}

refused()
{
	begin "refused" --mode nested --pages 60 --misconf 7 --vcpus 2 --rounds 2
	is "refused: entries" "$(truth_count g misconf)" 7
	is "refused: each met once" "$(truth_get g faults misconf | sort -u)" 1
	is "refused: L1 counts them" "$(truth_get g misconf nested | awk '{ s += $1 } END { print s }')" 7
	is "refused: not among the mappings" "$(truth_count g l2map kind=misconf)" 0
	exits >"$SCRATCH/exits"
	list planted l2gfn misconf
	same "refused: L1 was told of these" "$SCRATCH/exits" "$SCRATCH/planted"
	is "refused: L2 went on behind" "$(truth_get g did l1exit | sort -u)" skip
	if [ "$vendor" = vmx ]; then
		is "refused: a misconfiguration" "$(truth_get g by l1exit | sort -u)" misconfig
		is "refused: writable and not readable, or a reserved memory type" "$(truth_get g npte misconf |
			while read -r e; do echo $((e & 0x3f)); done | sort -nu | tr '\n' ' ')" "23 50 54 "
	else
		is "refused: a reserved bit" "$(truth_get g qual l1exit | without 0x9)" 0
	fi
	next "refused" 2
	is "refused: and again" "$(truth_get g faults misconf | sort -u)" 2
	ended "refused"
}

# ping-pong: L1 is told and mends nothing.
stubborn()
{
	local on n=$1 asked

	for on in data mmio; do
		begin "stubborn $on" --mode nested --pages 60 --stubborn "$n" --stubborn-pages 3 --stubborn-on $on
		is "stubborn $on: pages" "$(truth_count g stubborn on=$on)" 3
		is "stubborn $on: so many faults each" "$(truth_get g faults stubborn | sort -u)" $((n + 1))
		is "stubborn $on: left as they were" "$(truth_count g l1exit did=stay)" $((3 * n))
		is "stubborn $on: given up in the end" "$(truth_count g l1exit did=skip)" 3
		exits >"$SCRATCH/exits"
		list planted l2gfn stubborn
		same "stubborn $on: at these pages" "$SCRATCH/exits" "$SCRATCH/planted"
		is "stubborn $on: a write was asked for each time" "$(truth_get g qual l1exit | without 2)" 0
		if [ "$vendor" = vmx ]; then asked=0x8; else asked=0x1; fi
		is "stubborn $on: of what was there to read" "$(truth_get g qual l1exit | without $asked)" 0
		is "stubborn $on: read, never written" "$(while read -r gfn; do truth_get g touched l2map "l2gfn=$gfn"; done \
			<"$SCRATCH/planted" | sort -u)" r--
		if [ $on = mmio ]; then
			is "stubborn mmio: the VMM saw reads alone" "$(truth_get g writes mmio | sort -u)" 0
			is "stubborn mmio: one of each" "$(truth_get g reads mmio | tr '\n' ' ')" "1 1 1 "
		fi
		ended "stubborn $on"
	done
}

# EPT's page-modification log, as L1 reads it.
pml()
{
	local round

	if [ "$vendor" != vmx ]; then
		status_is "PML: refused without VMX" 3 "$VMM" --mode nested --pml
		status_is "no A/D: refused without VMX" 3 "$VMM" --mode nested --eptp-ad 0
		return
	fi
	begin "PML" --mode nested --pages 900 --write 90 --pml --npt fault --order random
	list logged l2gfn pml
	list dirty l2gfn l2map ad=ad
	list written l2gfn wrote by=l2
	same "PML: the leaves that are dirty" "$SCRATCH/logged" "$SCRATCH/dirty"
	is "PML: each once" "$(sort "$SCRATCH/logged" | uniq -d | wc -l)" 0
	within "PML: what L2 wrote is in it" "$SCRATCH/written" "$SCRATCH/logged"
	is "PML: nothing lost" "$(truth_get g lost pmlsum)" 0
	is "PML: the page was full once" "$(truth_count g l1exit by=pml-full did=drain)" 1
	is "PML: with 512 entries" "$(truth_count g pml full=1)" 512
	is "PML: counted down from 511" "$(truth_get g index pml full=1 | head -n 1) $(truth_get g index pml full=1 | tail -n 1)" \
		"511 0"
	is "PML: and from 511 again" "$(truth_get g index pml full=0 | head -n 1)" 511
	ended "PML"

	begin "PML, rounds" --mode nested --pages 300 --pml --write-redraw --rounds 3 --vcpus 2
	for round in 1 2 3; do
		[ $round = 1 ] || next "PML, rounds" $round
		list data l2gfn l2map kind=data
		list logged l2gfn pml round=$round
		list written l2gfn wrote by=l2 round=$round
		comm -12 <(sort -u "$SCRATCH/logged") <(sort -u "$SCRATCH/data") >"$SCRATCH/of-data"
		same "PML, round $round: the data pages L2 wrote" "$SCRATCH/of-data" "$SCRATCH/written"
		mv "$SCRATCH/written" "$SCRATCH/written.$round"
	done
	cmp_ok "PML, rounds: not the same pages each time" \
		"$(comm -3 <(sort "$SCRATCH/written.2") <(sort "$SCRATCH/written.3") | wc -l)" -gt 50
	ended "PML, rounds"

	begin "no A/D" --mode nested --pages 100 --eptp-ad 0 --alias 3 --mmio 2
	is "no A/D: off in the EPTP" "$(($(truth_get g npt_cr3 nested) & 0x40))" 0
	is "no A/D: the CPU sets none" "$(truth_get g ad l2map | sort -u)" --
	is "no A/D: all is touched" "$(truth_count g l2map touched=---)" 0
	ended "no A/D"
}

writes()
{
	local round

	begin "writes" --pages 300 --dirty get --rounds 3 --write-redraw
	for round in 1 2 3; do
		[ $round = 1 ] || next "writes" $round
		is "writes, round $round: of this round" "$(truth_get g round wrote | sort -u)" $round
		list written.$round gfn wrote by=guest
		list dirty gfn dirty
		if [ $round = 1 ]; then
			# A page that is mapped for the first time is mapped writable, and so dirty, by a read as well.
			within "writes, round 1: in the dirty log" "$SCRATCH/written.1" "$SCRATCH/dirty"
		else
			same "writes, round $round: the dirty log" "$SCRATCH/dirty" "$SCRATCH/written.$round"
		fi
	done
	cmp_ok "writes: not the same pages each time" \
		"$(comm -3 <(sort "$SCRATCH/written.2") <(sort "$SCRATCH/written.3") | wc -l)" -gt 50
	ended "writes"

	begin "writes of L1 and L2" --mode nested --pages 200 --dirty get --rounds 2 --l1-write 30 --alias 9 --npt-ro 20
	next "writes of L1 and L2" 2
	cmp_ok "writes of L1 and L2: by L1" "$(truth_count g wrote by=l1 round=2)" -gt 20
	cmp_ok "writes of L1 and L2: by L2" "$(truth_count g wrote by=l2 round=2)" -gt 20
	list written gfn wrote
	list dirty gfn dirty
	within "writes of L1 and L2: in the dirty log" "$SCRATCH/written" "$SCRATCH/dirty"
	ended "writes of L1 and L2"

	begin "losses" --pages 300 --dirty get --dirty-lose 9 --rounds 3 --write-redraw
	next "losses" 2
	next "losses" 3
	is "losses: taken out" "$(truth_count g lost round=3)" 9
	list written gfn wrote
	list dirty gfn dirty
	list lost gfn lost
	is "losses: not in the log" "$(sort "$SCRATCH/dirty" "$SCRATCH/lost" | uniq -d | wc -l)" 0
	cat "$SCRATCH/lost" "$SCRATCH/dirty" >"$SCRATCH/both"
	same "losses: written all the same" "$SCRATCH/both" "$SCRATCH/written"
	ended "losses"
}

ok "a guest to keep KVM in use" hold_kvm
vendor=$(truth_get keeper vendor vm)
if [ "$vendor" = vmx ]; then violation=violation; else violation=npf; fi
diag "L1 runs on $vendor"
is "L1 runs on what this CPU has" "$vendor" "$(sed -n 's/^flags.* \(svm\|vmx\)\>.*/\1/p' /proc/cpuinfo | head -n 1)"
faults
refused
stubborn 40
pml
writes
status_is "losses without a log" 2 "$VMM" --dirty-lose 3
status_is "stubborn pages without stubbornness" 2 "$VMM" --mode nested --stubborn-pages 3
done_testing
