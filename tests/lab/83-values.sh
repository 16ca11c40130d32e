#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# What the fields of events say, on the real KVM: each against the kernel's own tracing of the same run (values.py), and against what
# the guest did. How many there are: 80-events.sh; on whose behalf: 81-causes.sh.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"

here=$(dirname "$0")
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"
export PYTHONDONTWRITEBYTECODE=1

values()
{
	/usr/bin/python3 "$here/values.py" "$@"
}

# Kinds that these guests bring about: one that is not there is a failure.
kinds="fault,fault_done,fault_done frame,fast_fault,nested_exit,nested_enter,emulate,mmio,invalidate,invalidate_end"
kinds="$kinds,spte_set of the TDP MMU,spte_set made,spte_set cleared,spte_set linked,rmap_add,rmap_remove"
kinds="$kinds,roles of the pages of entries,mmio_mark,sp_create,sp_find,sp_zap,zap_all,root_load,root_free,slot,dirty,flush,flush_vcpu"
if [ "$vendor" = intel ]; then
	kinds="$kinds,inject of EPT violation,pml,pml_drain,pml12"
else
	# With PML nothing is write-protected for a log.
	kinds="$kinds,spte_set by a fast fault,inject of NPF"
fi

hold_kvm
listen_start || result 1 "listening for everything"
values on /sys/kernel/tracing
result $? "the kernel's own tracing"
if [ "$vendor" = intel ]; then
	run_through --pages 40 --mmio 3 --ro 4 --rounds 3 --dirty get
	zap=1 run_through --pages 20 --rounds 2 --storm slot --storm madvise --storm-hz 5
	run_through --mode nested --pages 50 --map shuffle --alias 7 --mmio 3 --rounds 2 --rewrite mix --npt-ro 10 --npt fault --dirty get
	run_through --mode nested --pages 40 --rounds 2 --pml --dirty get
else
	run_through --pages 100 --mmio 3 --ro 4 --rounds 3 --dirty get
	zap=1 run_through --pages 30 --rounds 2 --storm slot --storm madvise --storm-hz 20
	run_through --mode nested --pages 150 --map shuffle --alias 7 --mmio 3 --rounds 2 --rewrite mix --npt-ro 20 --npt fault --dirty get
	run_through --mode nested --pages 40 --npt-roots 2 --rounds 3
fi
sleep 0.5
values off /sys/kernel/tracing "$SCRATCH/trace"
listen_stop
values compare "$heard" "$SCRATCH/trace" >"$SCRATCH/compared"
result $? "the comparison itself"
compared values "$SCRATCH/compared" "$kinds"
diag "$(wc -l <"$SCRATCH/trace") lines of trace"
[ -z "${KEEP:-}" ] || cp "$SCRATCH/trace" "$heard" "$KEEP/"
done_testing
