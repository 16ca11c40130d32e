#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# Reverse maps as KVM keeps them against the leaves of the shadow pages (rmap.py), inside the lab, on a guest that stands still:
# both are read by mmuscope, but over different pointers.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(dirname "$0")
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

hold_kvm
start_vmm g --seed "$seed" --mode nested --pages 48 --stride 120 --map identity --npt-roots 2
wait_checkpoint g 1 || result 1 "guest"
"$BUILD/mmuscope" save "$SCRATCH/g.snap" >"$SCRATCH/save.out" 2>&1
ok "a snapshot with its reverse maps" test -s "$SCRATCH/g.snap"
ok "reverse maps hold the leaves of the nested guest's pages" \
	/usr/bin/python3 "$here/rmap.py" "$BUILD/mmuscope" "$SCRATCH/g.snap" "${vmm_pid[g]}"
sed 's/^/# /' "$SCRATCH/ok.out" | head -20
end_vmm g
done_testing
