#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# nmmu in the kernel, inside the lab: a scenario played with the module's engine (-T kmod:FILE) comes to the same as with
# the one in process (-T sim:FILE), view by view; its events are tracepoints, as many as were told; and an instance
# ends with its file, whatever becomes of who made it.
#
# Of 22-shadowed-every-order, which plays eight thousand orders, those at two kinds of points are played; WHOLE=1 in
# the environment has all of them, which takes minutes.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-kmod.sh
. "$(dirname "$0")/lib-kmod.sh"

scenarios=$SRCDIR/tests/scenarios
tracing=/sys/kernel/tracing
mountpoint -q $tracing || mount -t tracefs none $tracing
kmod_load
"$CTL" nmmu >"$SCRATCH/hostile"
result $? "requests that must be refused are" || diag "$(cat "$SCRATCH/hostile")"

# --- the same, view by view ---
cat >"$SCRATCH/views" <<'VIEWS'
vms
vcpus
slots
mmus
sps --list
leaves
rmap 5
rmap 9
pins
walk 0x5000
walk 0x40000000 --access w
events --last 16384
audit --guest
VIEWS
# What differs by name or by the clock.
same='s/kmod:scenario/sim:scenario/g; s/target: kmod:/target: sim:/; s/time: [^;]*;/time: T;/; s/  */ /g'
nr=0
: >"$SCRATCH/differ"
for file in "$scenarios"/*.scn; do
	name=${file##*/}
	played=$SCRATCH/$name
	case $name,${WHOLE-} in
	22-shadowed-every-order.scn,) sed 's/points=[a-z,-]*/points=enter,lock/' "$file" >"$played" ;;
	*) cp "$file" "$played" ;;
	esac
	for target in sim kmod; do
		timeout 200 "$mmuscope" -T "$target:$played" prompt <"$SCRATCH/views" >"$SCRATCH/$target.out" 2>&1
		echo "status $?" >>"$SCRATCH/$target.out"
		sed "$same" "$SCRATCH/$target.out" >"$SCRATCH/$target.same"
	done
	nr=$((nr + 1))
	cmp -s "$SCRATCH/sim.same" "$SCRATCH/kmod.same" && grep -q '^Virtual CPUs' "$SCRATCH/kmod.same" || {
		echo "$name: $(diff "$SCRATCH/sim.same" "$SCRATCH/kmod.same" | head -n 6 | cut -c1-300)" >>"$SCRATCH/differ"
	}
done
[ $nr -ge 59 ] && [ ! -s "$SCRATCH/differ" ]
result $? "$nr scenarios come to the same in the kernel, view by view" || diag "$(head -n 40 "$SCRATCH/differ")"
is "no instance is left" "$(kmod_state nmmus)" 0

# --- its events are tracepoints ---
cd $tracing || exit 1
is "there is a tracepoint for each event" "$(find events/mmuscope -mindepth 1 -maxdepth 1 -name 'nmmu_*' | wc -l)" \
	"$("$mmuscope" events --list --json | grep -o '"event":"[a-z0-9_]*"' | sort -u | wc -l)"
echo 32768 >buffer_size_kb
echo 0 >tracing_on
: >trace
echo 1 >events/mmuscope/enable
echo 1 >tracing_on
"$mmuscope" -T "kmod:$scenarios/01-dirty-two-aliases.scn" events --last 16384 --no-header >"$SCRATCH/told"
echo 0 >tracing_on
echo 0 >events/mmuscope/enable
# Those of the end of the instance are traced, and told to nobody any more.
awk '$1 ~ /^[0-9]+$/ { print $1 }' "$SCRATCH/told" | wc -l >"$SCRATCH/nr"
told=$(cat "$SCRATCH/nr")
traced=$(awk -v told="$told" '/: nmmu_/ { for (i = 1; i <= NF; i++) if ($i ~ /^seq=/) { sub(/seq=/, "", $i); if ($i + 0 <= told) n++ } } END { print n + 0 }' trace)
[ "$told" -gt 20 ]
result $? "events are told: $told"
is "each of them was traced once" "$traced" "$told"
grep -q 'nmmu_dirty: .*gfn=0xc0000 slot=1' trace
result $? "with its fields" || diag "$(grep -m 3 nmmu_ trace)"
: >trace
cd / || exit 1

# --- it ends with its file ---
bad=0
for ((i = 0; i < 20; i++)); do
	"$mmuscope" -T "kmod:$scenarios/22-shadowed-every-order.scn" vms >/dev/null 2>&1 &
	pid=$!
	sleep "0.$((RANDOM % 5 + 1))"
	kill -9 $pid
	wait $pid 2>/dev/null
	within_s 2 [ "$(kmod_state nmmus)" = 0 ] || bad=$((bad + 1))
done
is "killed in its midst 20 times, every instance ends" $bad 0
is "and so do its threads" "$(pgrep -c mmuscope-nmmu)" 0

# --- whose memory it is ---
cgroup=/sys/fs/cgroup/nmmu
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir $cgroup
# charged TARGET: it is open in the cgroup, and has answered, when this returns; $kernel is the cgroup's kernel memory then.
charged()
{
	rm -f "$SCRATCH/ask"
	mkfifo "$SCRATCH/ask"
	bash -c "echo \$\$ >$cgroup/cgroup.procs && exec \"\$@\"" - "$mmuscope" -T "$1" prompt <"$SCRATCH/ask" >"$SCRATCH/answer" 2>&1 &
	prompt=$!
	exec 7>"$SCRATCH/ask"
	echo "sps -j" >&7
	within_s 20 grep -q '}$' "$SCRATCH/answer"
	kernel=$(awk '$1 == "kernel" { print $2 }' $cgroup/memory.stat)
}
for target in sim kmod; do
	charged "$target:$scenarios/26-flooding.scn"
	exec 7>&-
	wait $prompt
	declare "of_$target=$kernel"
done
diag "kernel memory of its user: in process $of_sim bytes, in the kernel $of_kmod"
# Six shadow pages with their two tables each, and what is around them.
cmp_ok "an instance is charged to its user's cgroup" $((of_kmod - of_sim)) -ge 65536
rmdir $cgroup
result $? "what was charged is given back"

# --- limits ---
echo 0 >/sys/module/mmuscope/parameters/nmmu_call_ms
"$mmuscope" -T "kmod:$scenarios/01-dirty-two-aliases.scn" vms >"$SCRATCH/late" 2>&1
grep -q 'Timer expired\|ETIME\|expired' "$SCRATCH/late"
result $? "a call that takes too long is ended, and said to be" || diag "$(cat "$SCRATCH/late")"
echo 10000 >/sys/module/mmuscope/parameters/nmmu_call_ms
"$mmuscope" -T "kmod:$scenarios/01-dirty-two-aliases.scn" vms >"$SCRATCH/again" 2>&1
result $? "the next instance is as any"

kmod_unload
kmod_log_clean
done_testing
