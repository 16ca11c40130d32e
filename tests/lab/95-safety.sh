#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# The kernel module under hostile use, inside the lab: every request with arguments of all kinds while memory that they name is
# rewritten; its users and the VM killed in the middle; unloading under load; and, on the debug kernel, failing allocations, leaks and
# the branches that all this went through. For FUZZ_SECONDS (20; with MMUSCOPE_DEEP=1 600).

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-kmod.sh
. "$(dirname "$0")/lib-kmod.sh"

deep=${MMUSCOPE_DEEP:-0}
seconds=${FUZZ_SECONDS:-$([ "$deep" = 1 ] && echo 600 || echo 20)}
kills=${KILLS:-$([ "$deep" = 1 ] && echo 1000 || echo 30)}
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
fuzz=$BUILD/tests/lab/kmod/fuzz
diag "seed $seed, kernel $(uname -r)"

hold_kvm
kmod_load

# storm NAME: a nested guest whose pages come and go and are written, held at no checkpoint.
storm()
{
	start_vmm "$1" --mode nested --pages 300 --rounds 0 --rewrite mix --storm madvise --storm-hz 200 --timeout 3000
	wait_checkpoint "$1" 1
	release_vmm "$1"
}

storm g
read -r pid fd < <(vm_of g)
"$fuzz" "$seconds" "$seed" "$pid" "$fd" >"$SCRATCH/fuzz"
is "the fuzzer comes to its end" $? 0
awk '$1 == "request" { ok[$2 ~ /^call-/] += $4; no[$2 ~ /^call-/] += $6; n++ }
	END { printf "# ! fuzz: %d requests done, %d refused; of calls of nmmu %d done, %d refused\n", ok[0], no[0], ok[1], no[1] }' "$SCRATCH/fuzz"
is "each request, and each call of nmmu, was done at least once" \
	"$(awk '$1 == "request" && $4 == 0 && $2 != "call-0" { print $2 }' "$SCRATCH/fuzz" | paste -sd ' ')" ""
sed 's/^/# /' "$SCRATCH/fuzz"
within_s 5 test "$(kmod_state vms) $(kmod_state flips) $(kmod_state nmmus)" = '0 0 0'
result $? "nothing is left of it: no VM, no flip, no instance"
kill -0 "${vmm_pid[g]}"
result $? "the guest goes on"

# works: a fuzzer has its sessions, and the VM.
works()
{
	[ "$(kmod_state files)" -gt 1 ] && [ "$(kmod_state vms)" = 1 ]
}

# --- its user is killed, wherever it is ---
for ((killed = 0; killed < kills; killed++)); do
	"$fuzz" 100 $((seed + killed)) "$pid" "$fd" >/dev/null 2>"$SCRATCH/fuzz.err" &
	within_s 30 works
	sleep "0.$((RANDOM % 60 + 10))"
	kill -KILL $! 2>/dev/null
	wait $! 2>/dev/null
	status=$?
	[ $status = 137 ] || { diag "it ended by itself: $status $(cat "$SCRATCH/fuzz.err")"; break; }
done
diag "! killed: $killed of $kills"
is "killed at random points" "$killed" "$kills"
left()
{
	[ "$(kmod_state files) $(kmod_state vms) $(kmod_state flips) $(kmod_state nmmus)" = '0 0 0 0' ]
}
within_s 5 left
result $? "no session, VM, flip or instance is left" || diag "$("$CTL" state)"

# --- the VM is killed under it ---
"$fuzz" 600 "$seed" "$pid" "$fd" >"$SCRATCH/fuzz" &
fuzzer=$!
within_s 30 works
end_vmm g KILL 2>/dev/null
# The fuzzer holds the VM's descriptor itself: the VM lives as long as that, the module lets go at once.
no_vm()
{
	[ "$(kmod_state vms)" = 0 ]
}
within_s 2 no_vm
result $? "killed with its VMM, the VM is let go of under requests"
rmmod mmuscope 2>/dev/null
is "the module does not unload under requests" $? 1
kill -TERM $fuzzer
wait $fuzzer
is "the fuzzer ends well without the VM" $? 0

# --- what only a debug kernel can tell ---
if [ -d /sys/kernel/debug/failslab ]; then
	storm f
	read -r pid fd < <(vm_of f)
	(
		cd /sys/kernel/debug/failslab && echo 5 >probability && echo -1 >times && echo 0 >verbose && echo 1 >task-filter && echo N >ignore-gfp-wait
		FUZZ_FAIL=1 exec "$fuzz" $((seconds / 2)) "$seed" "$pid" "$fd"
	) >"$SCRATCH/fuzz"
	is "with every twentieth allocation failing" $? 0
	sed 's/^/# /' "$SCRATCH/fuzz"
	echo 0 >/sys/kernel/debug/failslab/probability
	end_vmm f KILL 2>/dev/null
	within_s 5 left
	result $? "nothing is left"
	echo scan >/sys/kernel/debug/kmemleak
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	grep -A12 mmuscope /sys/kernel/debug/kmemleak >"$SCRATCH/leaks"
	[ ! -s "$SCRATCH/leaks" ]
	result $? "kmemleak finds nothing of the module's" || diag "$(head -n 30 "$SCRATCH/leaks")"
fi
kmod_unload
kmod_log_clean
done_testing
