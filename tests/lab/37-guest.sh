#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# Guest tables that KVM shadows, as mmuscope reads them through the VMM's page tables (gtables.py), inside the lab: their bytes and frames
# against /proc/PID/mem and pagemap, over small pages, THP and hugetlbfs; where the pages are left to userfaultfd nothing is read, nothing waits
# and nothing is faulted in. Leaves held against them: silent on the real KVM, at rest and busy.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

here=$(dirname "$0")
mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

gtables()
{
	/usr/bin/python3 "$here/gtables.py" "$@"
}

# kept NAME FILE: of guest g alone.
kept()
{
	rm -f "$SCRATCH/$2"
	ok "$1: saved" timeout 60 "$mmuscope" --vm "${vmm_pid[g]}" save --guest "$SCRATCH/$2"
}

# silent NAME [TRIES [COMMAND]]: rows 35 and 36 are judged, and nothing counts. A busy guest may have no pages just now; COMMAND is what
# to do before another try.
silent()
{
	local i

	for ((i = 0; i < ${2:-1}; i++)); do
		((i == 0)) || ${3:-:}
		"$mmuscope" --vm "${vmm_pid[g]}" audit --guest --row shadow-guest,d-clean -j >"$SCRATCH/a.json" 2>"$SCRATCH/a.err"
		jq -e '([.invariants[] | .judged > 5] | all) or ([.findings[] | select(.counts)] != [])' "$SCRATCH/a.json" >/dev/null && break
	done
	is "$1: leaves are what the guest's entries grant" \
		"$(jq -r '"\([.findings[] | select(.counts)] | length) \([.invariants[] | .judged > 5] | all)"' "$SCRATCH/a.json")" "0 true"
	diag "$(jq -r '"judged " + ([.invariants[].judged] | tostring) + ", pages " + (.audit.pages | tostring) + ", not seen again " +
		(.audit.not_seen_again | tostring)' "$SCRATCH/a.json")"
}

# next_round: a guest that is held goes on to its next checkpoint.
next_round()
{
	release_vmm g
	wait_checkpoint g $((++round))
}

# held NAME OPTION...: a guest at its first checkpoint; its tables are what the VMM has.
held()
{
	local name=$1
	shift
	start_vmm g --seed "$seed" "$@"
	if ! wait_checkpoint g 1; then
		result 1 "$name: guest"
		return 1
	fi
	kept "$name" g.snap
	ok "$name: every table as the VMM has it" gtables same "$SCRATCH/g.snap" "$SCRATCH/g.truth"
	grep tables "$SCRATCH/ok.out" | sed 's/^/# /'
	round=1
	silent "$name" "${tries:-1}" next_round
}

# used: resident pages and faults of the VMM.
used()
{
	awk '{ print $10 " " $12 " " $24 }' "/proc/${vmm_pid[g]}/stat"
}

hold_kvm
nested="--mode nested --pages 200 --stride 64 --map shuffle --alias 9 --ro 9 --mmio 6 --npt-ro 20"
# shellcheck disable=SC2086 # words
held "small pages" $nested --ad 0 --npt-roots 2
is "a snapshot has no guest memory unless asked" \
	"$("$mmuscope" save "$SCRATCH/none.snap" >/dev/null; gtables same "$SCRATCH/none.snap" "$SCRATCH/g.truth" | tail -n 1)" \
	"0 tables, 0 not empty, 0 differences"
sed '/^slot .*gfn=0x0 /s/hva=0x\(.*\)000 /hva=0x\1fff000 /; t; /^slot id=0 /s/hva=0x\([0-9a-f]*\)/hva=0x1\1/' "$SCRATCH/g.truth" >"$SCRATCH/wrong.truth"
ok "a wrong truth is noticed" eval "! gtables same '$SCRATCH/g.snap' '$SCRATCH/wrong.truth'"

# Nobody answers the userfaultfd: whoever touched a page there would wait for ever.
is "NPT12's pages are left to userfaultfd" "$(vmm_ctl g evict)" ok
before=$(used)
kept "not there" gone.snap
ok "not there: each table says so" gtables gone "$SCRATCH/gone.snap" "$SCRATCH/g.truth"
grep tables "$SCRATCH/ok.out" | sed 's/^/# /'
is "not there: nothing to hold leaves against" \
	"$(timeout 60 "$mmuscope" --vm "${vmm_pid[g]}" audit --guest --row 35,36 -j | jq -r '[.invariants[].lacking] | unique | join(",")')" "guest memory"
is "not there: the VMM took no fault, and no page more" "$(used)" "$before"
is "not there: no fault came to userfaultfd" "$(vmm_ctl g faults)" "ok faults=0"
# That these can fail: somebody does touch a page, and waits.
/usr/bin/python3 -c 'import ctypes, sys
pid, at, buf = int(sys.argv[1]), int(sys.argv[2], 0) + (int(sys.argv[3], 0) << 12), ctypes.create_string_buffer(8)
local, remote = (ctypes.c_void_p * 2)(ctypes.addressof(buf), 8), (ctypes.c_void_p * 2)(at, 8)
ctypes.CDLL(None).process_vm_readv(pid, local, 1, remote, 1, 0)' \
	"${vmm_pid[g]}" "$(truth_get g hva slot id=0)" "$(truth_get g gfn npt12 level=4 | head -n 1)" &
touching=$!
for ((i = 0; i < 200; i++)); do
	# What has come since it was last asked.
	faults=$(vmm_ctl g faults)
	[ "$faults" = "ok faults=0" ] || break
	sleep 0.1
done
is "a touch there would have been seen" "$faults" "ok faults=1"
ok "and would have waited" kill -KILL "$touching"
wait "$touching" 2>/dev/null
is "put back" "$(vmm_ctl g refill)" ok

# VGA memory of the PC lies in the kernel's direct map, where a read would reach the device.
is "a device's memory in place of NPT12's root" "$(vmm_ctl g device)" ok
kept "a device" device.snap
ok "a device: not read, and the others are" gtables device "$SCRATCH/device.snap" "$SCRATCH/g.truth"
grep tables "$SCRATCH/ok.out" | sed 's/^/# /'
is "a device: put back" "$(vmm_ctl g refill)" ok
kept "put back" again.snap
ok "put back: the same tables in other frames" gtables equal "$SCRATCH/g.snap" "$SCRATCH/again.snap"
ok "put back: as the VMM has it" gtables same "$SCRATCH/again.snap" "$SCRATCH/g.truth"
silent "put back"
release_vmm g
status_is "the guest ends well" 0 wait_vmm g

# shellcheck disable=SC2086
held "THP" $nested --sys-thp
cmp_ok "THP: the system slot has huge pages" "$(truth_get g huge_kib slot id=0)" -gt 2048
end_vmm g
echo 64 >/proc/sys/vm/nr_hugepages
# shellcheck disable=SC2086
held "hugetlbfs" $nested --sys-hugetlb
is "hugetlbfs: behind the system slot" "$(truth_get g backing slot id=0)" hugetlb
end_vmm g
echo 0 >/proc/sys/vm/nr_hugepages
# shellcheck disable=SC2086
held "L1 rewrites its tables" $nested --vcpus 2 --rounds 0 --rewrite mix --storm madvise --storm-hz 20
release_vmm g
for i in 1 2 3; do
	silent "busy, $i" 20
done
end_vmm g TERM

end_vmm keeper
modules '' npt=0
hold_kvm
# Pages are judged that were made with CR0.WP, which the guest sets and clears as drawn.
tries=8
for bits in 32 pae 64; do
	held "shadow paging, $bits" --paging $bits --rounds 9 --pages 200 --ro 4 --mmio 4
	end_vmm g
done
end_vmm keeper
modules '' ''
done_testing
