# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For tests of the lab that listen (tests/lab/listen): a listener at a time, and what it heard. Sourced after lib.sh.

listen=$BUILD/tests/lab/listen/listen
heard=$SCRATCH/heard
: >"$SCRATCH/all"
listener=

# listen_start OPTION...: returns when the probes are attached.
listen_start()
{
	local i

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

# want PART: whether this part of the script is to run; ONLY="PART..." takes some.
want()
{
	case " ${ONLY:-$1} " in
	*" $1 "*) return 0 ;;
	*) return 1 ;;
	esac
}
