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

# heard_sum EVENT FIELD
heard_sum()
{
	awk -v name="$1" -v field="$2=" '$1 == "event" && $2 == name {
		for (i = 3; i <= NF; i++)
			if (index($i, field) == 1)
				n += substr($i, length(field) + 1)
	} END { print n + 0 }' "$heard"
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

# until_heard EVENT [N]: N of them (1), or a minute.
until_heard()
{
	local i

	for ((i = 0; i < 300; i++)); do
		[ "$(grep -c "^event $1 " "$heard")" -lt "${2:-1}" ] || return 0
		sleep 0.2
	done
}

# compared NAME FILE KINDS: a comparison of values.py's or rarer.py's, in FILE, as test results; kinds that are to be there.
compared()
{
	local name=$1 how what

	while read -r how what; do
		[ "$how" = same ]
		result $? "$name: ${what%%: *} as the kernel has it" || diag "$what"
	done <"$2"
	is "$name: kinds that were not seen" "$(awk -v kinds="$3" '
		{ sub("^[a-z]* ", ""); if (split($0, w, ": ") && w[2] != "0") seen[w[1]] = 1 }
		END { n = split(kinds, k, ","); for (i = 1; i <= n; i++) if (!seen[k[i]]) print k[i] }' "$2" | xargs)" ""
	is "$name: nothing was lost" "$(stat_of gaps) $(stat_of lost_buffer) $(stat_of lost_recursion)" "0 0 0"
	diag "$name: $(stat_of delivered) events"
}

# guest VMM-OPTION...: at its first checkpoint.
guest()
{
	start_vmm g --seed "$seed" "$@"
	wait_checkpoint g 1 || result 1 "guest: $*"
}

# --- values of rarer events: 88-rarer.sh, 89-shadow.sh ---

rarer()
{
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$(dirname "$0")/rarer.py" "$@"
}

# rarer_begin [EVENT]: what is listened to, and traced by the kernel.
rarer_begin()
{
	listen_start ${1:+-e "$1"} || result 1 "listening"
	rarer on $tracing "$@"
	result $? "the kernel's own tracing"
}

# rarer_end NAME KINDS: and what both say.
rarer_end()
{
	sleep 0.5
	rarer off $tracing "$SCRATCH/trace"
	listen_stop
	rarer compare "$heard" "$SCRATCH/trace" >"$SCRATCH/compared"
	result $? "$1: the comparison itself"
	diag "$1: $(wc -l <"$SCRATCH/trace") lines of trace; $SECONDS s so far"
	compared "$1" "$SCRATCH/compared" "$2"
	[ -z "${KEEP:-}" ] || { cp "$SCRATCH/trace" "$KEEP/trace-$1" && cp "$heard" "$KEEP/heard-$1"; }
}

# --- what has KVM do what no guest asks for ---

# nx RATIO PERIOD_MS HOW: the recovery of huge pages that NX forbade.
nx()
{
	echo "$1" >/sys/module/kvm/parameters/nx_huge_pages_recovery_ratio
	echo "$2" >/sys/module/kvm/parameters/nx_huge_pages_recovery_period_ms
	echo "$3" >/sys/module/kvm/parameters/nx_huge_pages
}

# again PARAMETER-OF-KVM PARAMETER-OF-VENDOR: KVM loaded anew, with a guest that stays.
again()
{
	end_vmm keeper
	nothing_left || result 1 "probes that hold KVM"
	modules "$@" || result 1 "KVM loaded with $*"
	hold_kvm
}

# The host wants to know which pages are used: it has swap, and takes from this group what is not. The group's first
# process is this shell, so that the guest's memory is counted there from the start.
swap_on()
{
	local zram

	[ ! -e /sys/kernel/mm/lru_gen/enabled ] || echo n >/sys/kernel/mm/lru_gen/enabled
	modprobe zram && zram=/sys/block/zram0 && echo 200M >$zram/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
	result $? "swap"
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p /sys/fs/cgroup/ms-age
}

reclaim()
{
	local i

	sleep 0.5
	for ((i = 0; i < 3; i++)); do
		echo 1M >/sys/fs/cgroup/ms-age/memory.reclaim
		sleep 0.1
	done 2>/dev/null
}
