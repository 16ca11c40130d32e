# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For tests that run inside the lab: TAP output, fixture guests by name, look-ups in their truth files, and a clean
# end. Sourced, with BUILD naming the build directory. It knows the truth file's format and nothing of mmuscope.
#
#	start_vmm g --mode nested		guest "g": socket, truth and output lie in $SCRATCH/g.{ctl,truth,log}
#	wait_checkpoint g 1
#	is "leaves" "$(truth_count g l2map kind=data)" 256
#	end_vmm g
#	done_testing

set -u

: "${BUILD:?the build directory is to be given in BUILD}"
BUILD=$(cd "$BUILD" && pwd) || exit 1
VMM=$BUILD/tests/lab/vmm
# Whose virtualisation this machine has, and the module's name. Scripts say in their head on which they run ("# Vendors: ...").
vendor=amd
[ ! -d /sys/module/kvm_intel ] || vendor=intel
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/lab-test.XXXXXX") || exit 1

tap_nr=0
tap_failed=0
tap_planned=
declare -A vmm_pid=()

cleanup()
{
	local name

	for name in "${!vmm_pid[@]}"; do
		kill -KILL "${vmm_pid[$name]}"
	done 2>/dev/null
	wait 2>/dev/null
	rm -rf "$SCRATCH"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# plan N: before the first test, when the number is known; else done_testing tells it.
plan()
{
	tap_planned=$1
	echo "1..$1"
}

# result STATUS NAME: one TAP line; the text of a failure follows by diag.
result()
{
	tap_nr=$((tap_nr + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_nr - $2"
		return 0
	fi
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_nr - $2"
	return 1
}

diag()
{
	printf '%s\n' "$@" | sed 's/^/# /'
}

# ok NAME COMMAND...: the command succeeds.
ok()
{
	local name=$1 status
	shift
	"$@" >"$SCRATCH/ok.out" 2>&1
	status=$?
	result $status "$name" || diag "status $status of: $*" "$(tail -n 20 "$SCRATCH/ok.out")"
}

# is NAME GOT WANT
is()
{
	[ "$2" = "$3" ]
	result $? "$1" || diag "got:    $2" "wanted: $3"
}

# status_is NAME WANT COMMAND...: runs it in this shell, so that it may wait for our guests.
status_is()
{
	local name=$1 want=$2 status
	shift 2
	"$@" >"$SCRATCH/ok.out" 2>&1
	status=$?
	[ "$status" -eq "$want" ]
	result $? "$name" || diag "status $status instead of $want of: $*" "$(tail -n 20 "$SCRATCH/ok.out")"
}

# cmp_ok NAME GOT OPERATOR WANT: an operator of test(1) on integers.
cmp_ok()
{
	test "$2" "$3" "$4" 2>/dev/null
	result $? "$1" || diag "got:    $2" "wanted: $3 $4"
}

skip()
{
	tap_nr=$((tap_nr + 1))
	echo "ok $tap_nr - $1 # SKIP $2"
}

# done_testing: ends the script; status 0 only if all that was planned ran and passed.
done_testing()
{
	[ -n "$tap_planned" ] || plan "$tap_nr"
	if [ "$tap_planned" -ne "$tap_nr" ]; then
		diag "planned $tap_planned tests, ran $tap_nr"
		exit 1
	fi
	[ "$tap_failed" -eq 0 ] || diag "$tap_failed of $tap_nr failed"
	exit $((tap_failed != 0))
}

# same NAME FILE FILE: two lists hold the same, in any order and however often.
same()
{
	comm -3 <(sort -u "$2") <(sort -u "$3") >"$SCRATCH/same.out"
	[ ! -s "$SCRATCH/same.out" ]
	result $? "$1" || diag "only in one of them:" "$(head -n 5 "$SCRATCH/same.out")"
}

# within NAME FILE FILE: all of the first list is in the second.
within()
{
	comm -23 <(sort -u "$2") <(sort -u "$3") >"$SCRATCH/within.out"
	[ -s "$2" ] && [ ! -s "$SCRATCH/within.out" ]
	result $? "$1" || diag "of $(sort -u "$2" | wc -l), not there:" "$(head -n 5 "$SCRATCH/within.out")"
}

# within_s SECONDS COMMAND...: returns 0 as soon as it succeeds, 1 when it did not in time.
within_s()
{
	local end=$(($(date +%s%N) / 1000000 + $1 * 1000))
	shift
	until "$@"; do
		[ $(($(date +%s%N) / 1000000)) -lt $end ] || return 1
		sleep 0.02
	done
}

# huge_pages_on: Linux leaves transparent huge pages off where memory is below 512 MB, as in the Intel lab.
huge_pages_on()
{
	local file=/sys/kernel/mm/transparent_hugepage/enabled

	! grep -q '\[never\]' $file || echo madvise >$file
}

# start_vmm NAME OPTION...: starts a guest in the background; its checkpoints wait for us.
start_vmm()
{
	local name=$1
	shift
	rm -f "$SCRATCH/$name".*
	"$VMM" --ctl "$SCRATCH/$name.ctl" --truth "$SCRATCH/$name.truth" --timeout 300 "$@" \
		>"$SCRATCH/$name.log" 2>&1 &
	vmm_pid[$name]=$!
}

# hold_kvm: a guest that stays held to the end. KVM patches the scheduler's code (the static key of its preemption
# notifiers) when the first VM comes and when the last one goes, and an emulator with several CPUs does not survive
# each time: seen once as an oops "int3" in __schedule. With a VM always there, nothing is patched.
hold_kvm()
{
	start_vmm keeper --pages 1
	wait_checkpoint keeper 1
}

# vmm_ctl NAME REQUEST...: prints the answer; a guest that has ended is told apart at once, with its last words.
vmm_ctl()
{
	local name=$1
	shift
	if ! kill -0 "${vmm_pid[$name]}" 2>/dev/null; then
		diag "guest $name has ended; it said:" "$(tail -n 20 "$SCRATCH/$name.log")" >&2
		return 1
	fi
	"$VMM" ctl "$SCRATCH/$name.ctl" -t "${VMM_WAIT:-30}" "$@"
}

# wait_checkpoint NAME N: returns when N is reached and the truth is written; else tells why not and fails.
wait_checkpoint()
{
	local name=$1 i

	# A guest that ends before it listens would be waited for in vain.
	for ((i = 0; i < 1000; i++)); do
		[ -S "$SCRATCH/$name.ctl" ] && break
		kill -0 "${vmm_pid[$name]}" 2>/dev/null || break
		sleep 0.01
	done
	if [ -S "$SCRATCH/$name.ctl" ] && vmm_ctl "$name" wait "$2" >/dev/null; then
		return 0
	fi
	diag "guest $name did not come to checkpoint $2; it said:" "$(tail -n 20 "$SCRATCH/$name.log")"
	return 1
}

release_vmm()
{
	vmm_ctl "$1" go >/dev/null
}

# end_vmm NAME [SIGNAL]: has it quit, or sends the signal; returns its exit status.
end_vmm()
{
	local name=$1 status

	if [ $# -gt 1 ]; then
		kill -s "$2" "${vmm_pid[$name]}"
	else
		vmm_ctl "$name" quit >/dev/null
	fi
	wait_vmm "$name"
	status=$?
	return $status
}

# wait_vmm NAME: waits for a guest that ends by itself; returns its exit status.
wait_vmm()
{
	local name=$1 status

	wait "${vmm_pid[$name]}"
	status=$?
	unset "vmm_pid[$name]"
	return $status
}

# truth_awk NAME WHAT TYPE [KEY=VALUE]...: of the lines of that type that have all these words: WHAT is "." for the
# lines, "#" for their number, or the KEY whose values are wanted. One process: starting many is what costs time here.
truth_awk()
{
	local name=$1 what=$2
	shift 2
	awk -v what="$what" -v want="$*" '
	BEGIN { n = split(want, w, " "); len = length(what) }
	$1 == w[1] {
		line = " " $0 " "
		for (i = 2; i <= n; i++)
			if (!index(line, " " w[i] " "))
				next
		count++
		if (what == ".")
			print
		else if (what != "#")
			for (i = 2; i <= NF; i++)
				if (substr($i, 1, len + 1) == what "=")
					print substr($i, len + 2)
	}
	END { if (what == "#") print count + 0 }' "$SCRATCH/$name.truth"
}

# truth NAME TYPE [KEY=VALUE]...
truth()
{
	truth_awk "$1" . "${@:2}"
}

truth_count()
{
	truth_awk "$1" "#" "${@:2}"
}

# truth_get NAME KEY TYPE [KEY=VALUE]...: the values of KEY, one for each line.
truth_get()
{
	truth_awk "$@"
}

# kvmstat NAME STATISTIC: of VM 0.
kvmstat()
{
	truth_get "$1" value kvmstat vm=0 "name=$2"
}
