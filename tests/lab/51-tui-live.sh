#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# The views that listen, on a live guest: rates on the list of VMs, events, dirty pages. tmux plays the user. What the screen counts is
# held against the kernel's own tracepoints and the pages that the guest wrote.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"
# shellcheck source=tests/lab/lib-tui.sh
. "$(dirname "$0")/lib-tui.sh"

mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"
VMM_WAIT=120
tracepoints="kvm/kvm_page_fault kvm/kvm_nested_vmexit"

screen()
{
	tm capture-pane -p
}

# rounds FIRST LAST: guest g goes on to these checkpoints.
rounds()
{
	local n

	for ((n = $1; n <= $2; n++)); do
		release_vmm g
		wait_checkpoint g "$n" || result 1 "round $n"
	done
}

opens()
{
	tm new-session -d -x 120 -y 40 "LC_ALL=C.UTF-8 $mmuscope; echo status \$?; sleep 1000"
	sees "2 VMs" "opens on the list of the two VMs"
}

closes()
{
	keys q q
	sees "status 0" "$1: ends with status 0"
	tm kill-server
	nothing_left
	result $? "$1: nothing stays attached"
}

# faults: of guest g in the list, a second, as shown.
faults()
{
	screen | awk -v pid="${vmm_pid[g]}" '/ PID +NAME/ { for (i = NF; i; i--) if ($i == "FAULT/S") at = NF - i + 1 } $1 == pid && at { print $(NF - at + 1) }'
}

shows_rate()
{
	[ "$(faults)" "$1" "$2" ] 2>/dev/null
}

no_rates()
{
	screen >"$SCRATCH/screen"
	grep -q 'PID  NAME' "$SCRATCH/screen" && ! grep -q 'FAULT/S' "$SCRATCH/screen"
}

# Of a guest that does the same all the time: its rate is the kernel's own, but for what a second may differ from the next.
rates()
{
	local hits begin mean shown

	keys R
	within_s 180 shows_rate -gt 0
	result $? "R: faults of the running guest"
	sees "VMs, listening for rates" "which is said"
	hist '' common_type kvm/kvm_page_fault
	begin=$(cut -d ' ' -f 1 /proc/uptime)
	sleep 4
	hits=$(hits kvm/kvm_page_fault)
	shown=$(faults)
	mean=$(awk -v hits="$hits" -v begin="$begin" '{ print int(hits / ($1 - begin)) }' /proc/uptime)
	hist '!' common_type kvm/kvm_page_fault
	cmp_ok "the kernel counts some" "$mean" -ge 5
	cmp_ok "as many as the kernel counts: $shown is $mean, and no multiple" "$shown" -le $((mean * 4))
	cmp_ok "and no fraction" "$shown" -ge $((mean / 4))
	kill -STOP "${vmm_pid[g]}"
	within_s 180 shows_rate -eq 0
	result $? "it stands still: none"
	kill -CONT "${vmm_pid[g]}"
	keys R
	within_s 180 no_rates
	result $? "R: no more rates"
}

events()
{
	local tp nr=0

	keys j Enter
	sees "vcpu 0" "Enter: the tree of a VM"
	keys e
	sees "Events, following" "e: it listens"
	keys f && tm send-keys -l -- "-e fault,nested_exit" && keys Enter
	sees "; only -e fault,nested_exit" "f: to some"
	# shellcheck disable=SC2086
	hist '' common_type $tracepoints
	rounds 2 2
	for tp in $tracepoints; do
		nr=$((nr + $(hits "$tp")))
	done
	sees " $nr events; only" "as many as the kernel's tracepoints have hit"
	cmp_ok "there were some" "$nr" -ge 20
	# shellcheck disable=SC2086
	hist '!' common_type $tracepoints
	sees "nested_exit" "an exit of L2's"
	keys f
	tm send-keys C-u
	tm send-keys -l -- "-e spte_set"
	keys Enter
	sees "; only -e spte_set" "f: to others"
	rounds 3 3
	sees "new_spte=0x" "SPTEs are set"
	keys Enter
	sees "  role 0x" "Enter: the page of the last"
	keys q q q
}

# marked ID: of a memslot, the marks that the view shows.
marked()
{
	screen | awk -v id="$1" '/ SLOT +GFN/ { for (i = 1; i <= NF; i++) if ($i == "MARKS") at = i; next }
		at && $1 == id && NF >= at { print $at; exit }'
}

# batches: of PML, as the view has them: the entries it shows are pages that the guest wrote, but for those of other memslots.
batches()
{
	local first

	first=$(truth_get g gfn slot id=1)
	screen | sed -n 's/^.* vCPU 0 .* entr[a-z]*: //p' | tr -s ' ' '\n' | grep -x '0x[0-9a-f]*' |
		while read -r gfn; do
			[ $((gfn)) -lt $((first)) ] || echo "$gfn"
		done >"$SCRATCH/shown"
	within "PML: the entries shown are pages that the guest wrote" "$SCRATCH/shown" "$SCRATCH/wrote"
	cmp_ok "PML: as many entries as marks, at least" \
		"$(screen | sed -nE 's/^ marks .*, entries ([0-9]+).*/\1/p')" -ge "$nr"
}

dirty()
{
	local i nr

	keys j Enter
	sees "vcpu 0" "Enter: the tree of a VM"
	keys d
	sees "marks 0" "d: it listens"
	: >"$SCRATCH/wrote"
	for i in 2 3; do
		rounds $i $i
		truth_get g gfn wrote | sort -u >>"$SCRATCH/wrote"
	done
	nr=$(wc -l <"$SCRATCH/wrote")
	cmp_ok "pages were written" "$nr" -ge 50
	for ((i = 0; i < 100; i++)); do
		[ "$(marked 1)" != "$nr" ] || break
		sleep 0.1
	done
	is "as many marks as pages were written" "$(marked 1)" "$nr"
	[ "$vendor" = amd ] || batches
	keys p
	sees "Dirty, paused" "p: a pause"
	rounds 4 4
	sleep 1
	is "then nothing is counted" "$(marked 1)" "$nr"
	keys p q q
}

hold_kvm
# On Intel the dirty view alone, for PML: the emulator there takes minutes to attach to all events.
if [ "$vendor" = amd ]; then
	start_vmm g --seed "$seed" --mode nested --pages 40 --rounds 0 --hold no --rewrite mix
	opens
	rates
	closes "rates"
	end_vmm g

	start_vmm g --seed "$seed" --mode nested --pages 40 --rounds 5 --rewrite mix
	wait_checkpoint g 1 || result 1 "guest"
	opens
	events
	closes "events"
	end_vmm g
fi

start_vmm g --seed "$seed" --pages 200 --rounds 5 --dirty get --write-redraw
wait_checkpoint g 1 || result 1 "guest"
opens
dirty
closes "dirty"
end_vmm g
done_testing
