#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# Where instances of nmmu end, inside the lab: killed in the midst of a long call, whether it works or sleeps in its
# user's memory; at the end of a call's time; at their cgroup's limit of memory, and beyond it. Calls: tests/lab/kmod/limits.c.

# shellcheck disable=SC2119,SC2317 # conditions are waited for by name
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-kmod.sh
. "$(dirname "$0")/lib-kmod.sh"

limits=$BUILD/tests/lab/kmod/limits
call_ms=/sys/module/mmuscope/parameters/nmmu_call_ms
# A list so long that the check of it is longer than any limit here.
tables=24
kmod_load

# begin ARG...: it is in its call when this returns; $pid.
begin()
{
	: >"$SCRATCH/out"
	"$limits" "$@" >"$SCRATCH/out" 2>&1 &
	pid=$!
	disown $pid
	within_s 120 grep -q calls "$SCRATCH/out" && within_s 5 in_ioctl
}
in_ioctl()
{
	[ "$(cut -d ' ' -f 1 "/proc/$pid/syscall")" = 16 ]
}
# Whether this shell has waited for it or not yet.
ended()
{
	local state=Z

	{ read -r _ _ state _ <"/proc/$pid/stat"; } 2>/dev/null
	[ "$state" = Z ]
}
nothing()
{
	[ "$(kmod_state nmmus)" = 0 ] && ! pgrep mmuscope-nmmu >/dev/null
}
# A moment without a process for it, which takes longer here.
exec {tick}<> <(:)
pause()
{
	read -rt 0.01 -u "$tick"
}

# kill_in_call WHAT: $pid is gone within a second, and nothing of it left.
kill_in_call()
{
	local from ms i

	# Somewhere in it.
	sleep "0.$((RANDOM % 5 + 1))"
	! ended && in_ioctl
	result $? "$1: it stays in its call"
	from=${EPOCHREALTIME/./}
	kill -KILL $pid
	for ((i = 0; i < 2000; i++)); do
		! ended || break
		pause
	done
	ms=$(((${EPOCHREALTIME/./} - from) / 1000))
	ended
	# It cannot be waited for, nor the module be unloaded.
	result $? "$1: killed, it ends" || { diag "$(cat "/proc/$pid/stack")"; done_testing; }
	diag "! $1: gone $ms ms after it was killed"
	cmp_ok "$1: within a second" $ms -le 1000
	within_s 5 nothing
	result $? "$1: no instance and no thread is left"
}

# told N: so many calls have come to their end.
told()
{
	[ "$(grep -c '^state' "$SCRATCH/out")" -ge "$1" ]
}

# is_late WHAT: the first call has ended with its time.
is_late()
{
	local ms

	grep -m 1 '^state' "$SCRATCH/out" | grep -q '^state 0 error -62 in'
	result $? "$1: told to have taken too long" || diag "$(cat "$SCRATCH/out")"
	ms=$(awk '$1 == "state" { print $6; exit }' "$SCRATCH/out")
	diag "! $1: ended $ms ms after it began, of 300 that it had"
	cmp_ok "$1: not before its time" "${ms:-0}" -ge 290
	cmp_ok "$1: and within a second" "${ms:-9999}" -le 1300
}

begin sleep
result $? "sleep: it is in its call" || diag "$(cat "$SCRATCH/out")"
kill_in_call sleep
echo 300 >$call_ms
timeout 60 "$limits" sleep >"$SCRATCH/out" 2>&1
is "sleep: it comes to its end" $? 0 || diag "$(cat "$SCRATCH/out")"
is_late sleep
is "sleep: its instance goes on" "$(tail -n 1 "$SCRATCH/out")" "then 7"

# Call after call; the last one that is short is waited for.
begin busy $tables
result $? "busy: it is in its call" || diag "$(cat "$SCRATCH/out")"
within_s 20 told 1
is_late busy
echo 10000 >$call_ms
within_s 20 told $(($(grep -c '^state' "$SCRATCH/out") + 1))
kill_in_call busy

# --- the limit of a cgroup's memory ---
cgroup=/sys/fs/cgroup/limits
[ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir $cgroup
echo 96M >$cgroup/memory.max
# in_cgroup COMMAND...
in_cgroup()
{
	bash -c "echo \$\$ >$cgroup/cgroup.procs && exec \"\$@\"" - "$@"
}
ooms()
{
	awk '$1 == "oom_kill" { print $2 }' $cgroup/memory.events
}
in_cgroup timeout 60 "$limits" memory >"$SCRATCH/out" 2>&1
is "memory: it comes to its end" $? 0 || diag "$(cat "$SCRATCH/out")"
slots=$(awk '$1 == "slots" { print $2 }' "$SCRATCH/out")
cmp_ok "memory: some memslots were had within it" "${slots:-0}" -ge 2
cmp_ok "memory: and fewer than without" "${slots:-99}" -le 4
grep '^state' "$SCRATCH/out" | tail -n 1 | grep -q '^state 0 error -12 in'
result $? "memory: then an error" || diag "$(cat "$SCRATCH/out")"
is "memory: and it goes on" "$(tail -n 1 "$SCRATCH/out")" "then as before"
is "memory: nobody was killed for it" "$(ooms)" 0
within_s 5 nothing
result $? "memory: no instance and no thread is left"
kmod_log_clean

# Beyond it the kernel kills, and writes a trace of it into its log: looked at by itself, and the last.
dmesg -C
"$limits" sleep >"$SCRATCH/other" &
other=$!
within_s 20 grep -q calls "$SCRATCH/other"
in_cgroup "$limits" oom >"$SCRATCH/out" 2>&1
is "oom: killed" $? 137 || diag "$(cat "$SCRATCH/out")"
is "oom: alone in its cgroup" "$(ooms) $(dmesg | grep -c 'Killed process')" "1 1"
is "oom: another one's instance goes on" "$(kmod_state nmmus)" 1
kill -KILL $other
wait $other 2>/dev/null
within_s 5 nothing
result $? "oom: no instance and no thread is left"
within_s 5 rmdir $cgroup
result $? "oom: nothing is charged to it any more"
kmod_unload
dmesg >"$SCRATCH/log"
# Those that come after it look for traces, too, in a log that is not empty.
dmesg -C
echo "mmuscope: tests/lab/94-limits.sh emptied the log" >/dev/kmsg
is "oom: nothing else is in the log" \
	"$(grep -E 'WARNING|BUG:|Oops|general protection|leaked|rcu.*stall|stuck for' "$SCRATCH/log" | head -n 3)" ""
done_testing
