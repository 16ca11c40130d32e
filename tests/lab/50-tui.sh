#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# The interface on a live nested guest, inside the lab: tmux plays the user. What the screen says is held against what the commands say.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-tui.sh
. "$(dirname "$0")/lib-tui.sh"

mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed, kernel $(uname -r)"

# The fixture's table with most leaves: the page to look at, by the commands.
start_vmm g --seed "$seed" --mode nested --pages 120 --ro 8 --mmio 3 --npt-ro 20 --at l2
wait_checkpoint g 1
pid=${vmm_pid[g]}
page=$("$mmuscope" sps --list -j | jq -r '[.sps[] | select(.mmu == "legacy" and .level == 1)] | max_by(.leaves)')
leaves=$(jq -r .leaves <<<"$page")
gfn=$(jq -r .gfn <<<"$page")
entry=$("$mmuscope" sp "$(jq -r .sp <<<"$page")" -j | jq -c '[.entries[] | select(.class == "leaf")][0]')
raw=$(jq -r .raw <<<"$entry")

tm new-session -d -x 80 -y 24 "LC_ALL=C.UTF-8 $mmuscope; echo status \$?; stty -a | grep -o '[-]*icanon'; sleep 100"
sees "vcpu 0" "opens on the tree of the one VM"
sees "runs L2" "says that the vCPU runs L2"
tm capture-pane -p | sed 's/^/# /'
keys / && tm send-keys -l "$gfn" && keys Enter
sees " $leaves " "search finds the page and its count of leaves"
keys Enter
sees "${raw:2}" "its first leaf, raw, as the command has it"
tm capture-pane -p | sed 's/^/# /'
tm resize-window -x 120 -y 40
sees "host-writable" "wide: the fields of the entry beside the table"
tm resize-window -x 30 -y 8
sleep 0.5
tm resize-window -x 80 -y 24
sees "${raw:2}" "tiny and back"
keys r
sees "live" "reloaded"
keys :
tm send-keys -l slots
keys Enter
sees "readonly" "a command's answer on the screen"
keys q
kill -KILL "$pid"
wait "$pid" 2>/dev/null
unset "vmm_pid[g]"
keys r
sees "STALE" "the VM is gone: said, and what was read stays"
keys q q q q
sees "status 0" "ends with status 0"
sees "icanon" "and leaves the terminal as it was"
is "not raw" "$(tm capture-pane -p | grep -c -- '-icanon')" 0
tm kill-server
done_testing
