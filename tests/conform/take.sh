# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154 # seed and mmuscope are the sourcing script's
#
# Inside the lab: runs a fixture guest with a trace and saves what the real KVM came to. Sourced after
# tests/lab/lib.sh.
#
#	take DIR NAME N VMM-OPTION...	DIR/NAME.{trace,snap,truth} of checkpoint N

# khugepaged may put huge pages where small ones were, which no trace tells of.
echo 0 >/sys/kernel/mm/transparent_hugepage/khugepaged/defrag

kvm_unloaded()
{
	modprobe -r "kvm_$vendor" kvm 2>"$SCRATCH/modprobe"
}

# modules "KVM OPTIONS" "KVM_AMD OR KVM_INTEL OPTIONS": loads KVM anew. Programs that were attached to its functions hold it until they
# are freed, which is after their user's end.
modules()
{
	within_s 120 kvm_unloaded || {
		diag "$(cat "$SCRATCH/modprobe")"
		modprobe "kvm_$vendor"
		return 1
	}
	modprobe kvm ${1:+$1} && modprobe "kvm_$vendor" ${2:+$2}
}

take()
{
	local dir=$1 name=$2 nr=$3 i
	shift 3

	start_vmm t --seed "$seed" --trace "$SCRATCH/t.trace" "$@"
	for ((i = 1; i <= nr; i++)); do
		wait_checkpoint t "$i" || return 1
		[ "$i" -eq "$nr" ] || release_vmm t
	done
	"$mmuscope" save "$SCRATCH/t.snap" >/dev/null || return 1
	end_vmm t || return 1
	mv "$SCRATCH/t.trace" "$dir/$name.trace" && mv "$SCRATCH/t.snap" "$dir/$name.snap" &&
		cp "$SCRATCH/t.truth" "$dir/$name.truth"
}
