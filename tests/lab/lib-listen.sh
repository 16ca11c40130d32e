# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For tests of the lab that listen (tests/lab/listen): a listener at a time, and what it heard. Sourced after lib.sh.

listen=$BUILD/tests/lab/listen/listen
heard=$SCRATCH/heard
: >"$SCRATCH/all"
listener=
tracing=/sys/kernel/tracing
# What VMX alone brings about: 80-events.sh asks for it on Intel, 81-causes.sh, which is AMD's, does not.
vmx_causes="invept pml"
vmx_events="pml pml_drain pml12"

# listen_start OPTION...: returns when the probes are attached.
listen_start()
{
	local i

	# By this shell: the one in the background may not have come to it when the file is looked at, and an older listener's
	# "ready" would be taken for this one's.
	: >"$heard"
	"$listen" "$@" >"$heard" 2>"$SCRATCH/listen.err" &
	listener=$!
	for ((i = 0; i < 1200; i++)); do
		grep -q '^ready' "$heard" && return 0
		kill -0 "$listener" 2>/dev/null || break
		sleep 0.05
	done
	diag "the listener did not start: $(cat "$SCRATCH/listen.err")"
	return 1
}

# listening_by FILE PID: waits until that mmuscope says on standard error, which is this file, that it listens.
listening_by()
{
	local i

	for ((i = 0; i < 3000; i++)); do
		grep -q '^mmuscope: listening by' "$1" && return 0
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

listen_stop()
{
	# What was provoked last is still on its way: pages of the TDP MMU are freed after a grace period.
	sleep 0.3
	kill -TERM "$listener"
	wait "$listener"
	grep '^event' "$heard" >>"$SCRATCH/all"
}

# What a listener had attached is taken away after its end.
nothing_left()
{
	local i left

	for ((i = 0; i < 600; i++)); do
		left=$(bpftool prog show 2>/dev/null | grep -E 'tracing|kprobe')$(cat /sys/kernel/tracing/enabled_functions)
		[ -n "$left" ] || return 0
		sleep 0.1
	done
	diag "left: $(echo "$left" | head -n 5)"
	return 1
}

# heard_nr NAME [WORD...]: events with all these words.
heard_nr()
{
	awk -v name="$1" -v want="${*:2}" 'BEGIN { n = split(want, w, " ") }
		$1 == "event" && $2 == name {
			line = $0 " "
			for (i = 1; i <= n; i++)
				if (!index(line, " " w[i] " "))
					next
			nr++
		}
		END { print nr + 0 }' "$heard"
}

stat_of()
{
	awk -v name="$1" '$1 == "stat" && $2 == name { print $3 }' "$heard"
}

total_of()
{
	awk -v name="$1" '$1 == "total" && $2 == name { print $3; n = 1 } END { if (!n) print 0 }' "$heard"
}

# passed: all events that passed the filter, delivered, counted or lost.
passed()
{
	awk '$1 == "total" { n += $3 } END { print n + 0 }' "$heard"
}

# kvm_of NAME: a fixture guest's struct kvm, as `vms' has it.
kvm_of()
{
	"$BUILD/mmuscope" vms -j | jq -r --arg pid "${vmm_pid[$1]}" '.vms[] | select((.pid | tostring) == $pid) | .kvm'
}

# hist ""|! KEY GROUP/TRACEPOINT...: the kernel's own histograms begin or end.
hist()
{
	local end=$1 key=$2 tp
	shift 2

	for tp; do
		echo "${end}hist:keys=$key" >"$tracing/events/$tp/trigger"
	done
}

# hits GROUP/TRACEPOINT: as its histogram counted it.
hits()
{
	awk '$1 == "Hits:" { print $2 }' "$tracing/events/$1/hist"
}

# row_nr NAME: of the only row that an event has.
row_nr()
{
	awk -v name="$1" '$1 == "count" && $2 == name { sub("nr=", "", $NF); n += $NF } END { print n + 0 }' "$heard"
}

# [zap=1] run_through VMM-OPTION...: a guest that runs to its second checkpoint, and ends; with a memslot deleted and
# made again at the first.
run_through()
{
	start_vmm g --seed "$seed" "$@"
	wait_checkpoint g 1 || result 1 "guest: $*"
	[ -z "${zap:-}" ] || is "a memslot goes and comes" "$(vmm_ctl g zap)" ok
	release_vmm g
	wait_checkpoint g 2 || result 1 "guest: $*"
	end_vmm g
}

# want PART: whether this part of the script is to run; ONLY="PART..." takes some.
want()
{
	case " ${ONLY:-$1} " in
	*" $1 "*) return 0 ;;
	*) return 1 ;;
	esac
}
