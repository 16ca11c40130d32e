#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# `mmuscope events' on the real KVM as its users call it: followed, counted, traced into a file, with stacks, to be shown around. Each
# time a guest goes on for a round, and what is told is as much as the kernel's own tracepoints hit.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"

mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"
names=fault,fault_done,sp_zap,rmap_add,nested_exit
counted="fault=kvm/kvm_page_fault sp_zap=kvmmmu/kvm_mmu_prepare_zap_page nested_exit=kvm/kvm_nested_vmexit"
tracepoints=$(sed 's/[^ ]*=//g' <<<"$counted")
round=1

# heard_by NAME OPTION...: what `events' says of one round of the guest is in $SCRATCH/out and $SCRATCH/err, the kernel's counts are in
# $SCRATCH/hits, one NAME=COUNT a line. It is ended by ^C.
heard_by()
{
	local name=$1 tp pid
	shift

	"$mmuscope" events --event $names "$@" >"$SCRATCH/out" 2>"$SCRATCH/err" &
	pid=$!
	listening_by "$SCRATCH/err" $pid
	result $? "$name: it listens" || diag "$(cat "$SCRATCH/err")"
	# shellcheck disable=SC2086 # a list
	hist '' common_type $tracepoints
	release_vmm g
	round=$((round + 1))
	wait_checkpoint g $round || result 1 "$name: guest"
	sleep 0.5
	kill -INT $pid
	wait $pid
	is "$name: ^C ends it, and nothing was lost" $? 0
	for tp in $counted; do
		echo "${tp%%=*}=$(hits "${tp#*=}")"
	done >"$SCRATCH/hits"
	# shellcheck disable=SC2086
	hist '!' common_type $tracepoints
}

# counts: lines NAME COUNT become what $SCRATCH/hits has, of the same names.
counts()
{
	awk -v names="$counted" '{ n[$1] = $2 } END { nr = split(names, w, " "); for (i = 1; i <= nr; i++) { sub("=.*", "", w[i]); print w[i] "=" n[w[i]] + 0 } }'
}

# per_event: lines NAME, one an event, become counts.
per_event()
{
	sort | uniq -c | awk '{ print $2, $1 }' | counts
}

# event_column: of rows of text, what stands below EVENT.
event_column()
{
	awk '$1 == "SEQ" { for (at = 1; $at != "EVENT"; at++) ; next } $1 ~ /^[0-9]+$/ { print $at }' "$SCRATCH/out"
}

hold_kvm
# Below, its pid is looked for where there shall be none: it is a number that nothing else has.
echo 4194304 >/proc/sys/kernel/pid_max
echo $((3000000 + RANDOM * 30)) >/proc/sys/kernel/ns_last_pid
start_vmm g --seed "$seed" --mode nested --pages 100 --rounds 8 --rewrite mix
wait_checkpoint g 1 || result 1 "guest"
pid=${vmm_pid[g]}
comm=$(cat "/proc/$pid/comm")

heard_by "followed, JSON" --follow -j
is "followed, JSON: as often as the kernel's tracepoints" "$(jq -r '.event // empty' "$SCRATCH/out" | per_event)" "$(cat "$SCRATCH/hits")"
cmp_ok "followed, JSON: there was something" "$(sed -n 's/^fault=//p' "$SCRATCH/hits")" -ge 10
is "followed, JSON: one VM's, numbers without a gap, times that rise" \
	"$(jq -s -c '[.[] | select(.event)] | [(map(.kvm) | unique | length), ([range(1; length) as $i | .[$i].seq - .[$i - 1].seq] | unique), (map(.time_ns) | . == sort)]' "$SCRATCH/out")" "[1,[1],true]"
kvm=$(jq -r '.kvm // empty' "$SCRATCH/out" | head -n 1)
is "followed, JSON: the VM is the one of \`vms'" "$kvm" "$(kvm_of g)"

heard_by "followed, text" --follow --vm "$pid"
is "followed, text: as often as the kernel's tracepoints" "$(event_column | per_event)" "$(cat "$SCRATCH/hits")"
cmp_ok "followed, text: lines have addresses of the kernel" "$(grep -cE "ffff[0-9a-f]{8}" "$SCRATCH/out")" -ge 1

heard_by "to be shown around" --follow --vm "$pid" --redact
is "to be shown around: as often as the kernel's tracepoints" "$(event_column | per_event)" "$(cat "$SCRATCH/hits")"
cmp_ok "to be shown around: there was something" "$(event_column | wc -l)" -ge 10
secret="ffff[0-9a-f]{8}|(^|[^0-9a-fx])$pid([^0-9a-f]|\$)|(^| )$comm( |\$)"
is "to be shown around: no address of the kernel, no pid, no name" "$(grep -cE "$secret" "$SCRATCH/out" "$SCRATCH/err" | xargs)" \
	"$SCRATCH/out:0 $SCRATCH/err:0" || diag "$(grep -hE "$secret" "$SCRATCH/out" "$SCRATCH/err" | head -n 3)"

heard_by "counted" --by event,cause -j
is "counted: as often as the kernel's tracepoints" "$(jq -r '.counts[] | "\(.event) \(.count)"' "$SCRATCH/out" | awk '{ n[$1] += $2 } END { for (e in n) print e, n[e] }' | counts)" "$(cat "$SCRATCH/hits")"

heard_by "traced" --trace "$SCRATCH/trace.json"
is "traced: a file of its owner" "$(stat -c %a "$SCRATCH/trace.json")" 600
jq -e . "$SCRATCH/trace.json" >"$SCRATCH/pretty" 2>&1
result $? "traced: the file is JSON"
is "traced: as often as the kernel's tracepoints" "$(jq -r '.traceEvents[] | .args.event // empty' "$SCRATCH/trace.json" | per_event)" "$(cat "$SCRATCH/hits")"
is "traced: what begins ends, on each track" \
	"$(jq -c '[.traceEvents[] | select(.ph == "B" or .ph == "E")] | group_by([.pid, .tid]) | map((map(select(.ph == "B")) | length) == (map(select(.ph == "E")) | length)) | all' "$SCRATCH/trace.json")" true

heard_by "with stacks" --follow --stack -j
jq -c 'select(.event == "rmap_add") | .stack' "$SCRATCH/out" >"$SCRATCH/stacks"
cmp_ok "with stacks: some are of rmap_add" "$(wc -l <"$SCRATCH/stacks")" -ge 1
is "with stacks: those of rmap_add without a page fault's handler in it" "$(grep -cv 'kvm_mmu_page_fault' "$SCRATCH/stacks")" 0
diag "$(head -n 1 "$SCRATCH/stacks" | cut -c 1-300)"
end_vmm g
done_testing
