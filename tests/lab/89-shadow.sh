#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# As 88-rarer.sh, without NPT: what only the shadowing of a guest's own tables brings about.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

modules '' npt=0 || result 1 "KVM loaded without NPT"
hold_kvm
nx 1 100 force
# shellcheck disable=SC2119 # of all events
rarer_begin
run_through --paging 64 --pages 100 --rounds 2
run_through --paging 64 --odd --pages 30 --rounds 2
run_through --paging 32 --pages 60 --rounds 2
guest --pages 4 --size 2m --sys-thp --rounds 0
release_vmm g
until_heard nx_recover
end_vmm g TERM
rarer_end shadow "sync,unsync,pt_write,wp,inject of #PF,nx_recover"
# What a sync changes is on its behalf, whatever the format of the tables; the kernel's own count of them is told with it.
cmp_ok "SPTEs changed by syncs have that cause" "$(heard_nr spte_set cause=sync)" -ge "$(heard_sum sync changed)"
diag "pages brought up to date $(heard_nr sync), writes to tables $(heard_nr pt_write)"
# Others come after this script.
again '' ''
done_testing
